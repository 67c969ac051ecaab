"""Colours, pixel by pixel: linear light, grey, and the weight that opacity gives a colour.

Everything here is pointwise and works on tiles of shape (C, 1, h, w), one channel after another.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Tile = npt.NDArray[Any]

LUMA = (0.299, 0.587, 0.114)
"""Weights of R, G and B in grey: ITU-R BT.601-7, 2.5.1."""

TRUST = 1e-4
"""Where less than this share of a kernel's weight lies on opaque pixels, opacity is no guide."""


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


def weigh(colours: Tile, opacity: Tile, top: float) -> Tile:
    """Return colours, colours times opacity, and opacity (0..1), one after the other."""
    dtype = np.result_type(colours.dtype, np.float32)
    share = opacity.astype(dtype) / dtype.type(top)
    return np.concatenate([colours.astype(dtype), colours * share, share])


def unweigh(signed: Tile, sizes: Tile, colours: int, total: float, size: float) -> Tile:
    """Return the correlated colours, each pixel counted by its opacity.

    With a kernel w, opacity a of 0..1 and colour c, each pixel of the window counts as
    a·c + (1 - a)·m, where m = Σ|w|ac / Σ|w|a is the mean of the visible colours under it. So an
    even colour stays even under any opacity, hidden colours make no fringe, and no result exceeds
    Σ|w|·max|c|. For w ≥ 0 that is Σwac / Σwa · Σw, normalised convolution (Knutsson & Westin 1993).

    signed, sizes : ndarray, shape (2·colours + 1, h, w). What correlation with w, and with |w|,
        made of ``weigh``.
    colours : int. How many channels of colour there are.
    total, size : float. Σw and Σ|w|.
    """
    plain, weighted, opacity = signed[:colours], signed[colours:-1], signed[-1:]
    seen = sizes[-1:]
    trusted = seen > TRUST * size
    mean = sizes[colours:-1] / np.where(trusted, seen, 1)
    return np.where(trusted, weighted + mean * (total - opacity), plain)
