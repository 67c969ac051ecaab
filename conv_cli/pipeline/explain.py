"""One output pixel taken apart: the window, the weights, the products and their sum."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.borders import PaddedImage
from conv_cli.colors import TRUST, to_gray
from conv_cli.errors import ConvError
from conv_cli.images import Image
from conv_cli.kernels.kernel import Kernel
from conv_cli.pipeline.feature_map import Range
from conv_cli.pipeline.filter import Filter, filtered_pixels, output_shape, white_of

Matrix = npt.NDArray[np.float64]


class ChannelSum(NamedTuple):
    """One channel of an output pixel.

    channel : str. "grey", "R", "G", "B", or its number.
    window : ndarray, shape (kh, kw). The pixels under the kernel, the border's among them.
    opacity : ndarray, shape (kh, kw), or None. By which each pixel counts, 0..1; None where all
        count in full.
    mean : float or None. Of the window's visible colours, weighed by the kernel's magnitudes: what
        stands for the part of a pixel that is not opaque.
    products : ndarray, shape (kh, kw). Weights times pixels, or times what they count as: opacity ·
        pixel + (1 - opacity) · mean.
    sum : float. Of the products.
    bias, value : float. What is added, and the result before the range.
    pixel : float. The result after it: what ``apply`` writes.
    """

    channel: str
    window: Matrix
    opacity: Matrix | None
    mean: float | None
    products: Matrix
    sum: float
    bias: float
    value: float
    pixel: float


class Explanation(NamedTuple):
    """An output pixel taken apart.

    rows, columns : tuple of int. Of the image, under each row and column of the kernel; those
        outside of it are the border's.
    size : (rows, columns). Of the image.
    kernel : Kernel. As it slides: flipped, for a convolution.
    channels : list of ChannelSum
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    size: tuple[int, int]
    kernel: Kernel
    channels: list[ChannelSum]

    def outside(self) -> npt.NDArray[np.bool_]:
        """Return which pixels of the window are the border's, shape (kh, kw)."""
        rows, columns = (
            (np.array(places) < 0) | (np.array(places) >= n)
            for places, n in zip((self.rows, self.columns), self.size, strict=True)
        )
        return rows[:, None] | columns


def explain_pixel(
    image: Image, rule: Filter, at: tuple[int, int], dtype: np.dtype[Any], mode: Range
) -> Explanation:
    """Return what makes one pixel of the map of a rule's only kernel.

    image : Image
    rule : Filter. Of one kernel, in the light as it is coded.
    at : (row, column). Of the map, from 0.
    dtype, mode. Of the map's pixels, and the range that makes them.

    Raises ConvError if the map has no such pixel.
    """
    (kernel,) = rule.kernels
    height, width, _ = output_shape(image, rule, kernel)
    row, column = at
    if row >= height or column >= width:
        raise ConvError(
            f"--at {row},{column}: the map has {height}x{width} pixels; rows count from 0 to "
            f"{height - 1}, columns to {width - 1}"
        )
    params = rule.params.resolved(kernel.shape, kernel.origin)
    padding = params.margins
    spans = [
        (place * stride, place * stride + (k - 1) * gap + 1)
        for place, stride, k, gap in zip(
            at, params.stride, kernel.shape, params.dilation, strict=True
        )
    ]
    planes = image.planes[:, None]
    window = np.empty((*planes.shape[:2], *(stop - start for start, stop in spans)))
    constant = np.full((*planes.shape[:2], 1, 1), params.border.value)
    if image.alpha:
        constant[-1] = white_of(image.dtype, rule) * params.border.opaque
    PaddedImage(planes, padding, params.border, constant=constant).read(spans[0], spans[1], window)
    pixels = window[:, 0, :: params.dilation[0], :: params.dilation[1]]
    rows, columns = (
        tuple(range(start - before, stop - before, gap))
        for (start, stop), (before, _), gap in zip(spans, padding, params.dilation, strict=True)
    )
    written = filtered_pixels(image, rule, (kernel,), dtype, mode)[row, column]
    return Explanation(
        rows, columns, (planes.shape[2], planes.shape[3]), kernel,
        _sums(image, rule, kernel, pixels, np.atleast_1d(written)),
    )  # fmt: skip


def _sums(
    image: Image, rule: Filter, kernel: Kernel, pixels: Matrix, written: npt.NDArray[Any]
) -> list[ChannelSum]:
    """Return the sums of all colours of a window (C, kh, kw)."""
    count = len(pixels) - image.alpha
    colours = pixels[:count]
    if rule.gray:
        colours = to_gray(colours[:, None])[:, 0]
    opacity = None
    if image.alpha:
        share = pixels[count] / white_of(image.dtype, rule)
        opacity = None if (share == 1).all() else share
    bias = kernel.bias if rule.bias is None else rule.bias.in_units(white_of(image.dtype, rule))
    return [
        _sum(name, window, kernel.weights, opacity, bias, float(pixel))
        for name, window, pixel in zip(_names(len(colours)), colours, written, strict=False)
    ]


def _sum(
    name: str, window: Matrix, weights: Matrix, opacity: Matrix | None, bias: float, pixel: float
) -> ChannelSum:
    """Return the sum of one channel, each pixel counted by its opacity as ``colors`` does it."""
    counted, mean = window, None
    if opacity is not None:
        sizes = np.abs(weights) * opacity
        if sizes.sum() > TRUST * np.abs(weights).sum():
            mean = float((sizes * window).sum() / sizes.sum())
            counted = opacity * window + (1 - opacity) * mean
        else:
            opacity = None
    # A weight of zero reads nothing, NaN and infinity neither. Zero is added so that none is -0.
    products = np.where(weights != 0, counted * weights, 0.0) + 0.0
    total = float(products.sum())
    return ChannelSum(
        name, window + 0.0, opacity, mean, products, total, bias, total + bias + 0.0, pixel + 0.0
    )


def _names(count: int) -> Sequence[str]:
    return {1: ("grey",), 3: ("R", "G", "B")}.get(count, tuple(map(str, range(1, count + 1))))
