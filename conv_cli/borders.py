"""Borders: what lies beyond the edge of an image. The only file that knows.

=========  =============================  ===========================================
name       drawn                          also called
=========  =============================  ===========================================
edge       ``a a a | a b c d | d d d``    replicate, nearest, clamp, extend
zero       ``0 0 0 | a b c d | 0 0 0``    zeros, fill
reflect    ``d c b | a b c d | c b a``    mirror
symmetric  ``c b a | a b c d | d c b``
wrap       ``b c d | a b c d | a b c``    circular, tile
a number   ``n n n | a b c d | n n n``    any finite number, in the image's own units
=========  =============================  ===========================================

Each is NumPy's padding mode of the same name, so ``reflect`` does not repeat the edge pixel and
``symmetric`` does (SciPy calls these two ``mirror`` and ``reflect``).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from conv_cli.errors import ConvError

NAMES = ("edge", "zero", "reflect", "symmetric", "wrap")
ALIASES = {
    "replicate": "edge",
    "nearest": "edge",
    "clamp": "edge",
    "extend": "edge",
    "zeros": "zero",
    "fill": "zero",
    "mirror": "reflect",
    "circular": "wrap",
    "tile": "wrap",
}
_OUTSIDE = -1
"""Stands in an index map for a place that has no source pixel: the border's constant goes there."""

Padding = tuple[tuple[int, int], tuple[int, int]]
"""Pixels added ((top, bottom), (left, right)); none is negative."""

Span = tuple[int, int]
"""A half-open range [start, stop) of rows or of columns."""


@dataclass(frozen=True)
class Border:
    """How an image goes on beyond its edge.

    Attributes
    ----------
    mode : str
        "edge", "reflect", "symmetric", "wrap" or "constant".
    value : float
        The constant, in the image's own units; 0 for the other modes.
    """

    mode: str
    value: float = 0.0

    @classmethod
    def named(cls, name: "str | float | Border") -> Self:
        """Return the border of that name, alias or number.

        Raises
        ------
        ConvError
            If it is neither a known name nor a finite number.
        """
        if isinstance(name, cls):
            return name
        word = str(name).strip().lower()
        word = ALIASES.get(word, word)
        if word == "zero":
            return cls("constant", 0.0)
        if word in NAMES:
            return cls(word)
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise ConvError(f"border {name!r} is unknown; use {', '.join(NAMES)} or a number")
        return cls("constant", value)

    def sources(self, size: int, before: int, after: int) -> npt.NDArray[np.intp]:
        """Return, for each place along a padded axis, the index of the pixel that it repeats.

        ``size`` pixels get ``before`` places in front and ``after`` behind. Places that hold the
        border's constant are marked, and mean something to this file only.
        """
        places = np.arange(size)
        if self.mode == "constant":
            return np.pad(places, (before, after), constant_values=_OUTSIDE)
        return np.pad(places, (before, after), mode=self.mode)  # type: ignore[call-overload]


class PaddedImage:
    """An image with its border, read tile by tile; the padded image never exists whole.

    Parameters
    ----------
    x : ndarray, shape (N, C, H, W)
        Pixels of any real dtype and any strides.
    padding, border
        How far it goes on, and how.
    load : callable, optional
        A pointwise map over the pixels of a tile, (N, C, h, w) -> (N', C', h, w), such as the way
        to linear light; the border's constant goes through it too.
    """

    def __init__(
        self,
        x: npt.NDArray[Any],
        padding: Padding,
        border: Border,
        load: Callable[[npt.NDArray[Any]], npt.NDArray[Any]] | None = None,
    ) -> None:
        self._x = x
        self._load = load or (lambda tile: tile)
        self._rows = border.sources(x.shape[2], *padding[0])
        self._columns = border.sources(x.shape[3], *padding[1])
        self._inside = (padding[1][0], padding[1][0] + x.shape[3])
        pixel = np.full((*x.shape[:2], 1, 1), border.value, np.float64)
        self._constant = self._load(pixel)

    def read(self, rows: Span, columns: Span, out: npt.NDArray[Any]) -> None:
        """Write the pixels of those padded rows and columns to ``out``, cast to its dtype.

        ``out`` has shape (N', C', rows, columns).
        """
        row_sources = self._rows[slice(*rows)]
        column_sources = self._columns[slice(*columns)]
        lines = self._x[:, :, _as_slice(np.maximum(row_sources, 0))]
        start = min(max(self._inside[0] - columns[0], 0), len(column_sources))
        stop = max(min(self._inside[1] - columns[0], len(column_sources)), start)
        for part in (slice(0, start), slice(start, stop), slice(stop, None)):
            sources = np.maximum(column_sources[part], 0)
            if sources.size:
                out[..., part] = self._load(lines[..., _as_slice(sources)])
        out[:, :, row_sources == _OUTSIDE] = self._constant
        out[..., column_sources == _OUTSIDE] = self._constant


def _as_slice(places: npt.NDArray[np.intp]) -> "slice | npt.NDArray[np.intp]":
    """Return consecutive places as a slice, which reads without a copy, and others as they are."""
    first, last = int(places[0]), int(places[-1])
    if last - first == len(places) - 1 and np.all(np.diff(places) == 1):
        return slice(first, last + 1)
    return places


def pad(
    x: npt.NDArray[Any], padding: Padding, border: "Border | str | float" = "edge"
) -> npt.NDArray[Any]:
    """Return an image of shape (H, W) with its border around it, in the same dtype."""
    (top, bottom), (left, right) = padding
    height, width = x.shape[0] + top + bottom, x.shape[1] + left + right
    out = np.empty((1, 1, height, width), x.dtype)
    padded = PaddedImage(x[None, None], padding, Border.named(border))
    padded.read((0, height), (0, width), out)
    return out[0, 0]
