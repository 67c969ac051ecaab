"""filter_image: what the command does to one picture, as a function."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from conv_cli.borders import Border
from conv_cli.correlation.params import ConvParams, PaddingChoice
from conv_cli.errors import ConvError
from conv_cli.images import Image
from conv_cli.kernels.kernel import Kernel, Normalization
from conv_cli.kernels.learned import manner_of
from conv_cli.kernels.spec import load_kernel
from conv_cli.layers import PairLike, as_pair
from conv_cli.pipeline.feature_map import Range
from conv_cli.pipeline.filter import Bias, Filter, filtered_pixels
from conv_cli.pipeline.image_kernel import image_kernel, is_image_kernel

Array = npt.NDArray[Any]
PaddingLike = PairLike | Literal["same", "valid", "full"]


def filter_image(
    image: npt.ArrayLike | Image,
    kernel: Kernel | npt.ArrayLike | str,
    *,
    padding: PaddingLike = "same",
    border: str | float = "edge",
    stride: PairLike = 1,
    dilation: PairLike = 1,
    convolve: bool = False,
    normalize: Normalization = "none",
    bias: float | None = None,
    linear: bool = False,
) -> npt.NDArray[np.float32]:
    """Return the feature map of an image: what ``conv-cli apply --depth float32`` writes.

    Parameters
    ----------
    image : array_like, shape (H, W) or (H, W, C), or Image
        Any real dtype, in its own units. Channels of an array are all alike; the opacity of an
        Image is copied, and colours count by it.
    kernel : Kernel, array_like of shape (kh, kw), or str
        A string is named as on the command line: ``"gaussian:2"``, ``"1 0 -1"``, ``"edge.json"``,
        ``"psf.png"``. One that was learned is applied in its manner, with its stride, in its light,
        with its curve, each channel by its own kernel.
    padding : "same", "valid", "full", int or (rows, columns)
    border : "edge", "zero", "reflect", "symmetric", "wrap" or a number
    stride, dilation : int or (rows, columns)
    convolve : bool
        Turn the kernel by 180° first: mathematical convolution.
    normalize : "none", "sum" or "abs"
        Divide the kernel by the sum of its weights, or of their magnitudes.
    bias : float, optional
        Added to the result, in the image's units; the kernel's own by default.
    linear : bool
        Work in linear light: sRGB decoded before, encoded after. White is 1 in floats.

    Returns
    -------
    ndarray, float32, of the image's rank
        (h, w) or (h, w, C), or of the channels that a mix makes: real values in the image's units,
        neither rounded nor limited.

    Raises ConvError if an argument is none of these, or the kernel is larger than the image.

    Examples
    --------
    >>> import numpy as np
    >>> filter_image(np.eye(3, dtype=np.uint8), "1 2; 3 4", padding="valid").tolist()
    [[5.0, 3.0], [2.0, 5.0]]
    """
    picture = image if isinstance(image, Image) else _as_image(image)
    if normalize not in ("none", "sum", "abs"):
        raise ConvError(f"normalize is {normalize!r}; expected none, sum or abs")
    if isinstance(kernel, str) and is_image_kernel(kernel):
        kernel = image_kernel(kernel)
    given = load_kernel(kernel)
    slid = given.normalized(normalize)
    slid = slid.flipped() if convolve else slid
    params = ConvParams(
        stride=as_pair(stride, "stride", 1),
        dilation=as_pair(dilation, "dilation", 1),
        padding=_padding(padding),
        border=Border.named(border),
    )
    rule = Filter((slid,), params, bias=None if bias is None else Bias(float(bias)), linear=linear)
    rule = rule.following(manner_of([given]))
    pixels = filtered_pixels(picture, rule, (slid,), np.dtype(np.float32), Range("raw"))
    made = pixels.reshape(*pixels.shape[:2], -1)
    return made[..., 0] if made.shape[2] == 1 and picture.shape[2:] != (1,) else made


def _as_image(image: npt.ArrayLike) -> Image:
    pixels = np.asarray(image)
    if pixels.ndim not in (2, 3) or 0 in pixels.shape or pixels.dtype.kind not in "buif":
        raise ConvError(
            f"image has shape {pixels.shape} and dtype {pixels.dtype}; expected real numbers, "
            "(H, W) or (H, W, C)"
        )
    return Image(pixels.astype(np.uint8) if pixels.dtype == np.bool_ else pixels)


def _padding(padding: PaddingLike) -> PaddingChoice:
    if isinstance(padding, str):
        if padding not in ("same", "valid", "full"):
            raise ConvError(f"padding is {padding!r}; expected same, valid, full or numbers")
        return padding
    rows, columns = as_pair(padding, "padding", 0)
    return (rows, rows), (columns, columns)
