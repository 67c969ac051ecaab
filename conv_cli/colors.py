"""Colours, pixel by pixel: linear light, grey, and the weight that a pixel has among others.

Everything here is pointwise and works on tiles of shape (C, 1, h, w), one channel after another.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Tile = npt.NDArray[Any]

LUMA = (0.299, 0.587, 0.114)
"""Weights of R, G and B in grey: ITU-R BT.601-7, 2.5.1."""

TRUST = 1e-4
"""Where less than this share of a kernel's weight lies on pixels that count, they are no guide."""


def white(dtype: np.dtype[Any]) -> float:
    """Return the value of white: 255, 65535 or the greatest of wider integers, 1.0 for floats."""
    return 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)


def to_linear(values: Tile, top: float) -> Tile:
    """Return sRGB-coded values 0..top as linear light 0..top, in float (IEC 61966-2-1).

    Values below 0 are mirrored.
    """
    if values.dtype in (np.uint8, np.uint16):
        return _linear_table(values.dtype)[values]
    coded = values / top
    size = np.abs(coded)
    linear = np.where(size <= 0.04045, size / 12.92, ((size + 0.055) / 1.055) ** 2.4)
    return np.copysign(linear, coded) * top


def from_linear(values: Tile, top: float) -> Tile:
    """Return linear light 0..top as sRGB-coded values 0..top: the inverse of ``to_linear``."""
    linear = values / top
    size = np.abs(linear)
    coded = np.where(size <= 0.0031308, size * 12.92, 1.055 * size ** (1 / 2.4) - 0.055)
    return np.copysign(coded, linear) * top


def _linear_table(dtype: np.dtype[Any]) -> npt.NDArray[np.float32]:
    table = _LINEAR.get(dtype)
    if table is None:
        top = np.iinfo(dtype).max
        table = _LINEAR[dtype] = to_linear(np.arange(top + 1.0), top).astype(np.float32)
    return table


_LINEAR: dict[np.dtype[Any], npt.NDArray[np.float32]] = {}


def to_gray(colours: Tile) -> Tile:
    """Return (1, 1, h, w), 0.299 R + 0.587 G + 0.114 B, of (3, 1, h, w); grey is left as it is."""
    if len(colours) == 1:
        return colours
    weights = np.asarray(LUMA, np.result_type(colours.dtype, np.float32))
    return np.tensordot(weights, colours.astype(weights.dtype), axes=1)[None]


def missing(values: Tile, nodata: float) -> npt.NDArray[np.bool_]:
    """Return where values are the one that stands for none: a number, or NaN."""
    if nodata != nodata:
        return np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, np.bool_)
    with np.errstate(over="ignore"):
        stored = np.asarray(nodata).astype(values.dtype) if values.dtype.kind == "f" else nodata
    return np.asarray(values == stored)


def weigh(colours: Tile, share: Tile) -> Tile:
    """Return colours times their weight, and the weight, one after the other.

    colours : ndarray, shape (C, 1, h, w). What weighs nothing may be NaN.
    share : ndarray, shape (1, 1, h, w) or (C, 1, h, w). The weight of every pixel, or of every
        colour of it, 0..1.
    """
    dtype = np.result_type(colours.dtype, np.float32)
    made = np.empty((len(colours) + len(share), *colours.shape[1:]), dtype)
    weighed = np.multiply(colours, share, out=made[: len(colours)], dtype=dtype)
    if colours.dtype.kind == "f" and not np.isfinite(weighed.sum()):
        weighed[np.broadcast_to(share <= 0, weighed.shape)] = 0
    made[len(colours) :] = share
    return made


class Unweighed(NamedTuple):
    """Correlated colours, and where too little counted for them to be told.

    values : ndarray, shape (C, h, w). 0 where they are untold.
    untold : ndarray of bool, shape (1, h, w) or (C, h, w)
    """

    values: Tile
    untold: npt.NDArray[np.bool_]


def unweigh(signed: Tile, sizes: Tile, colours: int, total: float, size: float) -> Unweighed:
    """Return the correlated colours, each pixel counted by its weight.

    With a kernel w, weights of pixels a of 0..1 and colours c, each pixel of the window counts as
    a·c + (1 - a)·m, where m = Σ|w|ac / Σ|w|a is the mean of the colours that count under it. So an
    even colour stays even under any weights, hidden colours make no fringe, and no result exceeds
    Σ|w|·max|c|. For w ≥ 0 that is Σwac / Σwa · Σw, normalised convolution (Knutsson & Westin 1993).

    signed, sizes : ndarray, shape (N, h, w). What correlation with w, and with |w|, made of
        ``weigh``.
    colours : int. How many channels of colour there are.
    total, size : float. Σw and Σ|w|.
    """
    seen = sizes[colours:]
    untold = seen <= TRUST * size
    mean = sizes[:colours] / np.where(untold, 1, seen)
    mean *= total - signed[colours:]
    mean += signed[:colours]
    if untold.any():
        mean[np.broadcast_to(untold, mean.shape)] = 0
    return Unweighed(mean, untold)
