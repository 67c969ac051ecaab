"""One output pixel taken apart: the window, the weights, the products and their sum."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.borders import PaddedImage
from conv_cli.colors import TRUST, missing, to_gray
from conv_cli.correlation.problem import Region
from conv_cli.errors import ConvError
from conv_cli.images import Image
from conv_cli.kernels.kernel import Kernel
from conv_cli.kernels.learned import ChannelKernel, channel_name
from conv_cli.pipeline.feature_map import Range
from conv_cli.pipeline.filter import Filter, filter_strips, nodata_of, output_shape, white_of

Matrix = npt.NDArray[np.float64]


class ChannelSum(NamedTuple):
    """One channel of an output pixel.

    channel : str. "grey", "R", "G", "B", or its number.
    window : ndarray, shape (kh, kw). The pixels under the kernel, the border's among them. Of a mix
        (C, kh, kw) for all channels of the image, and so with what follows.
    weights : ndarray, shape (kh, kw). What they are multiplied by.
    opacity : ndarray, shape (kh, kw), or None. By which each pixel counts, 0..1, and not at all
        without a value; None where all count in full.
    mean : float or None. Of the window's visible colours, weighed by the kernel's magnitudes: what
        stands for the part of a pixel that is not opaque.
    products : ndarray, shape (kh, kw). Weights times pixels, or times what they count as: opacity ·
        pixel + (1 - opacity) · mean.
    sum : float. Of the products.
    bias, value : float. What is added, and the result before the range.
    pixel : float. The result after it: what ``apply`` writes.
    parts : tuple of ChannelSum. Of a mix, what each channel of the image gives.
    """

    channel: str
    window: Matrix
    weights: Matrix
    opacity: Matrix | None
    mean: float | None
    products: Matrix
    sum: float
    bias: float
    value: float
    pixel: float
    parts: "tuple[ChannelSum, ...]" = ()


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
    inside = np.logical_and.outer(
        *(
            [0 <= place < n for place in places]
            for places, n in zip((rows, columns), image.shape[:2], strict=True)
        )
    )
    beyond = ~inside if params.border.mode == "constant" else np.zeros(inside.shape, np.bool_)
    written = _written(image, rule, at, dtype, mode)
    return Explanation(
        rows, columns, (planes.shape[2], planes.shape[3]), kernel,
        _sums(image, rule, kernel, pixels, beyond, np.atleast_1d(written)),
    )  # fmt: skip


class _PixelSink:
    """Keeps one pixel of a map."""

    strip_rows = 64

    def __init__(self, row: int, column: int) -> None:
        self._row, self._column = row, column
        self.pixel: npt.NDArray[Any]

    def put(self, top: int, rows: npt.NDArray[Any]) -> None:
        """Take the rows from ``top`` on."""
        if top <= self._row < top + len(rows):
            self.pixel = np.array(rows[self._row - top, self._column])

    def finish(self) -> tuple[str, ...]:
        """Return what a user must be told: nothing."""
        return ()


def _written(
    image: Image, rule: Filter, at: tuple[int, int], dtype: np.dtype[Any], mode: Range
) -> npt.NDArray[Any]:
    """Return a pixel of the map; the others are made only where its range depends on them."""
    row, column = at
    if not mode.needs_extremes:
        rule = rule._replace(region=Region((row, row + 1), (column, column + 1)))
        row = column = 0
    sink = _PixelSink(row, column)
    filter_strips(image, rule, rule.kernels, dtype, mode, sink)
    return sink.pixel


def _sums(
    image: Image,
    rule: Filter,
    kernel: Kernel,
    pixels: Matrix,
    beyond: npt.NDArray[np.bool_],
    written: npt.NDArray[Any],
) -> list[ChannelSum]:
    """Return the sums of all colours of a window (C, kh, kw); beyond are pixels of a constant."""
    count = len(pixels) - image.alpha
    colours = pixels[:count]
    nodata = nodata_of(image, rule)
    none = np.zeros(colours.shape, np.bool_)
    if nodata is not None:
        none = missing(colours.astype(image.dtype), nodata) & ~beyond
    if rule.gray:
        colours = to_gray(colours[:, None])[:, 0]
        none = np.broadcast_to(np.logical_or.reduce(none), colours.shape)
    share = pixels[count] / white_of(image.dtype, rule) if image.alpha else np.ones(none.shape[1:])
    names = [channel_name(number, len(colours)) for number in range(len(colours))]
    terms = [_Term(*each) for each in zip(names, colours, share * ~none, strict=True)]
    given = None if rule.bias is None else rule.bias.in_units(white_of(image.dtype, rule))
    if not isinstance(kernel, ChannelKernel):
        bias = kernel.bias if given is None else given
        return [
            _sum([term], kernel.weights[None], nodata, bias, float(pixel))
            for term, pixel in zip(terms, written, strict=False)
        ]
    biases = kernel.biases if given is None else (given,) * kernel.results
    sums = []
    for result, (weights, bias, pixel) in enumerate(
        zip(kernel.weights, biases, written, strict=False)
    ):
        if kernel.mixes:
            total = _sum(terms, weights, nodata, bias, float(pixel))
            sums.append(total._replace(channel=channel_name(result, kernel.results)))
        else:
            sums.append(_sum([terms[result]], weights[None], nodata, bias, float(pixel)))
    return sums


class _Term(NamedTuple):
    """What a channel of the image gives: its name, its window, and how much each pixel counts."""

    name: str
    window: Matrix
    share: Matrix


def _sum(
    terms: Sequence[_Term], weights: Matrix, nodata: float | None, bias: float, pixel: float
) -> ChannelSum:
    """Return the sum over some channels of the image, each with its own weights (C, kh, kw)."""
    pairs = list(zip(terms, weights, strict=True))
    told = all(_is_told(term.share, each) for term, each in pairs if each.any())
    # Where it is not told, colours are taken as they are: all of them.
    parts = [_part(term, each, nodata, told=told) for term, each in pairs]
    total = math.fsum(part.sum for part in parts)
    value = total + bias + 0.0
    if not told and nodata is not None:
        parts = [part._replace(products=np.zeros(part.window.shape), sum=0.0) for part in parts]
        total, bias, value = 0.0, 0.0, nodata
    first = parts[0]
    if len(parts) == 1:
        return first._replace(bias=bias, value=value, pixel=pixel + 0.0, sum=total)
    opacities = [np.ones(p.window.shape) if p.opacity is None else p.opacity for p in parts]
    return ChannelSum(
        channel="",
        window=np.stack([part.window for part in parts]),
        weights=weights,
        opacity=np.stack(opacities) if any(part.opacity is not None for part in parts) else None,
        mean=None,
        products=np.stack([part.products for part in parts]),
        sum=total,
        bias=bias,
        value=value,
        pixel=pixel + 0.0,
        parts=tuple(parts),
    )


def _is_told(share: Matrix, weights: Matrix) -> bool:
    """Tell whether enough of a kernel lies on pixels that count."""
    sizes = np.abs(weights)
    return not (share != 1).any() or bool((sizes * share).sum() > TRUST * sizes.sum())


def _part(term: _Term, weights: Matrix, nodata: float | None, *, told: bool) -> ChannelSum:
    """Return what a channel of the image gives, each pixel counted as ``colors`` does it."""
    window, share, mean, opacity = term.window, term.share, None, None
    counted = window
    if (share != 1).any():
        sizes = np.abs(weights) * share
        if told and sizes.any():
            seen = np.where(share > 0, window, 0)
            mean = float((sizes * seen).sum() / sizes.sum())
            counted = share * seen + (1 - share) * mean
        opacity = share if told or nodata is not None else None
    # A weight of zero reads nothing, NaN and infinity neither. Zero is added so that none is -0.
    products = np.where(weights != 0, counted * weights, 0.0) + 0.0
    total = float(products.sum())
    return ChannelSum(
        term.name, window + 0.0, weights, opacity, mean, products, total, 0.0, total, total
    )
