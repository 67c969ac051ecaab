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

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, Self

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

    mode : str. "edge", "reflect", "symmetric", "wrap" or "constant".
    value : float. The constant, in the image's own units; 0 for the other modes.
    opaque : bool. The constant is a colour that was given, so its opacity is full, even if it is 0;
        what "zero" means is that there is nothing.
    """

    mode: str
    value: float = 0.0
    opaque: bool = False

    @classmethod
    def named(cls, name: "str | float | Border") -> Self:
        """Return the border of that name, alias or number.

        Raises ConvError if it is neither a known name nor a finite number.
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
        return cls("constant", value, opaque=True)

    @property
    def spelled(self) -> str | float:
        """Return a name or number that ``named`` gives this border for."""
        if self.mode != "constant":
            return self.mode
        return self.value if self.value or self.opaque else "zero"

    def sources(self, size: int, before: int, after: int) -> npt.NDArray[np.intp]:
        """Return, for each place along a padded axis, the index of the pixel that it repeats.

        ``size`` pixels get ``before`` places in front and ``after`` behind. Places that hold the
        border's constant are marked, and mean something to this file only.
        """
        places = np.arange(size)
        if self.mode == "constant":
            return np.pad(places, (before, after), constant_values=_OUTSIDE)
        return np.pad(places, (before, after), mode=self.mode)  # type: ignore[call-overload]


_ANY = Border("edge")
"""The border of an image that has no padding."""


Places = slice | npt.NDArray[np.intp]
"""Consecutive rows or columns, or any."""


class Windows(Protocol):
    """Pixels (N, C, H, W) that are not in an array, and are read window by window."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the pixels."""

    def window(self, rows: Places, columns: Places) -> npt.NDArray[Any]:
        """Return the pixels (N, C, rows, columns) of those places."""


def window_of(
    pixels: npt.NDArray[Any] | Windows, rows: Places, columns: Places
) -> npt.NDArray[Any]:
    """Return the pixels (N, C, rows, columns) of those places; of an array a view if it can be."""
    if isinstance(pixels, np.ndarray):
        return pixels[:, :, rows][..., columns]
    return pixels.window(rows, columns)


class PaddedImage:
    """An image with its border, read tile by tile; the padded image never exists whole.

    x : ndarray or Windows, shape (N, C, H, W). Pixels of any real dtype and any strides.
    padding, border. How far it goes on, and how.
    load : callable, optional. A pointwise map over the pixels of a tile, (N, C, h, w) -> (N', C',
        h, w), such as the way to linear light; the border's constant goes through it too.
    samples : int. How many neighbours in a row are one pixel: 3 for interleaved RGB, whose width
        and padding are counted in samples then.
    constant : ndarray, shape (N', C', 1, 1), optional. The border's constant as ``load`` would make
        it, where it is not the same number in all images and channels.
    """

    def __init__(
        self,
        x: npt.NDArray[Any] | Windows,
        padding: Padding = ((0, 0), (0, 0)),
        border: Border = _ANY,
        load: Callable[[npt.NDArray[Any]], npt.NDArray[Any]] | None = None,
        *,
        samples: int = 1,
        constant: npt.NDArray[Any] | None = None,
    ) -> None:
        self._x = x
        self._load = load or (lambda tile: tile)
        (top, bottom), (left, right) = padding
        height, width = x.shape[2:]
        self._inside = (top, top + height), (left, left + width)
        self._rows = border.sources(height, top, bottom)
        columns = border.sources(width // samples, left // samples, right // samples)
        self._columns = _as_samples(columns, samples) if samples > 1 else columns
        if constant is None and border.mode == "constant":
            constant = self._load(np.full((*x.shape[:2], 1, 1), border.value, np.float64))
        self._constant = constant if border.mode == "constant" else None
        self._shifts: npt.NDArray[Any] | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """What holds its pixels and its border as they are, if there is no ``load``."""
        if self._constant is None:
            return self._x.dtype
        value = float(self._constant.flat[0])
        if value.is_integer() and abs(value) < 2**63:
            return np.result_type(self._x.dtype, np.min_scalar_type(int(value)))
        return np.result_type(self._x.dtype, np.float32, np.min_scalar_type(value))

    @property
    def _array(self) -> npt.NDArray[Any]:
        assert isinstance(self._x, np.ndarray)
        return self._x

    def part(self, item: int, channels: slice) -> Self:
        """Return one image of the batch and some of its channels; there must be no ``load``."""
        if self._x.shape[:2] == (1, channels.stop - channels.start):
            return self
        part = copy.copy(self)
        part._x, part._shifts = self._array[item : item + 1, channels], None
        if self._constant is not None:
            part._constant = self._constant[item : item + 1, channels]
        return part

    def shifted(
        self, rows: Span, columns: Span, shifts: int, gap: int, step: int
    ) -> tuple[int, int, npt.NDArray[Any]] | None:
        """Return what some columns of output read under each of several columns of a kernel.

        rows : span. Of the padded image.
        columns : span. Of output; the first of them reads at the padded image's column ``step``
            times as far.
        shifts, gap : int. Columns of the kernel, and how far apart they lie.

        Returns
        -------
        (start, stop, views) or None
            The columns of output that read nothing but the image, and a view of it, shape
            (rows, C, shifts, stop - start), its batch being of one; None if there are none.
        """
        (top, bottom), (left, right) = self._inside
        start = max(columns[0], -(-left // step))
        stop = min(columns[1], (right - (shifts - 1) * gap - 1) // step + 1)
        if rows[0] < top or rows[1] > bottom or start >= stop:
            return None
        if self._shifts is None:
            # One view of the whole image serves all tiles, which take their parts of it.
            _, channel, line, item = self._array.strides
            _, channels, height, width = self._x.shape
            shape = (height, channels, shifts, width - (shifts - 1) * gap)
            self._shifts = np.lib.stride_tricks.as_strided(
                self._array, shape, (line, channel, gap * item, item), writeable=False
            )
        first, last = start * step - left, (stop - 1) * step - left + 1
        return start, stop, self._shifts[rows[0] - top : rows[1] - top, ..., first:last:step]

    def energy(self, rows: Span) -> float:
        """Return the sum of squares of what those padded rows read, each pixel once, or infinity.

        It is not finite if one of them is not, nor if they do not lie together in memory. There
        must be no ``load``.
        """
        sources = self._rows[slice(*rows)]
        used = sources[sources != _OUTSIDE]
        border = 0.0 if self._constant is None else float(self._constant.flat[0]) ** 2
        if not used.size:
            return border
        lines = self._array[:, :, int(used.min()) : int(used.max()) + 1]
        if not lines[0, 0].flags.c_contiguous:
            return math.inf
        planes = lines.reshape(*lines.shape[:2], -1)
        return border + float(sum(np.dot(plane, plane) for batch in planes for plane in batch))

    def read(self, rows: Span, columns: Span, out: npt.NDArray[Any]) -> None:
        """Write the pixels of those padded rows and columns to ``out``, cast to its dtype.

        ``out`` has shape (N', C', rows, columns).
        """
        (top, bottom), (left, right) = self._inside
        inside = rows[0] >= top and rows[1] <= bottom
        sources = slice(rows[0] - top, rows[1] - top) if inside else _read_from(self._rows, rows)
        first, last = columns
        start = min(max(left, first), last)
        stop = max(min(right, last), start)
        if start < stop:
            inner = window_of(self._x, sources, slice(start - left, stop - left))
            out[..., start - first : stop - first] = self._load(inner)
        for begin, end in ((first, start), (stop, last)):
            if begin == end:
                continue
            beside = out[..., begin - first : end - first]
            if self._constant is not None:
                beside[...] = self._constant
            else:
                places = _read_from(self._columns, (begin, end))
                beside[...] = self._load(window_of(self._x, sources, places))
        if self._constant is not None and not inside:
            out[:, :, self._rows[slice(*rows)] == _OUTSIDE] = self._constant


def _as_samples(pixels: npt.NDArray[np.intp], samples: int) -> npt.NDArray[np.intp]:
    """Return the index map of interleaved samples that goes with one of pixels."""
    expanded = pixels[:, None] * samples + np.arange(samples)
    return np.where(pixels[:, None] == _OUTSIDE, _OUTSIDE, expanded).ravel()


def _read_from(sources: npt.NDArray[np.intp], span: Span) -> Places:
    """Return where a span of places reads: consecutive ones as a slice, which makes no copy."""
    places = np.maximum(sources[slice(*span)], 0)
    first, last = int(places[0]), int(places[-1])
    if last - first == len(places) - 1 and (np.diff(places) == 1).all():
        return slice(first, last + 1)
    return places


def pad(
    x: npt.NDArray[Any], padding: Padding, border: "Border | str | float" = "edge"
) -> npt.NDArray[Any]:
    """Return an image of shape (..., H, W) with its border around it, in the same dtype.

    Without any padding that is the image itself, and no copy.
    """
    (top, bottom), (left, right) = padding
    if not (top or bottom or left or right):
        return x
    height, width = x.shape[-2] + top + bottom, x.shape[-1] + left + right
    out = np.empty((1, x[..., 0, 0].size, height, width), x.dtype)
    padded = PaddedImage(x.reshape(1, -1, *x.shape[-2:]), padding, Border.named(border))
    padded.read((0, height), (0, width), out)
    return out.reshape(*x.shape[:-2], height, width)


def fold(
    padded: npt.NDArray[Any], padding: Padding, border: "Border | str | float"
) -> npt.NDArray[Any]:
    """Return what the pixels of an image get of a padded one: the transpose of ``pad``.

    Every place of the border, (..., H + padding, W + padding), is added to the pixel that it
    repeats; a constant repeats none. This is how a gradient finds its way back through a border.
    """
    edge = Border.named(border)
    for axis, (before, after) in zip((-2, -1), padding, strict=True):
        size = padded.shape[axis] - before - after
        sources = edge.sources(size, before, after)
        lines = np.moveaxis(padded, axis, 0)
        inside = lines[before : before + size].copy()
        for place in [*range(before), *range(before + size, len(lines))]:
            if sources[place] != _OUTSIDE:
                inside[sources[place]] += lines[place]
        padded = np.moveaxis(inside, 0, axis)
    return padded
