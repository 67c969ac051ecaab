"""What a person looks at in place of all pixels: small, and of 8 bits, signed, or with a scale."""

from dataclasses import replace
from threading import Lock
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from conv_cli.colormaps import ColormapName, Scale
from conv_cli.colors import white
from conv_cli.images import Image, PixelRows, reduced
from conv_cli.pipeline.feature_map import Range, colour_scale
from conv_cli.pipeline.percentiles import Tally

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[Any]

MOST_MAPS = 64
"""Maps of one layer of a network that are looked at."""
_SIDE = 512
"""Rows and columns that are kept at most; terminals show fewer."""
_STRIP = 256
"""Rows of an image that are reduced at a time."""
_LINES, _DRAWING = 0.25, 0.05
"""The half of the values in the middle spreads over less of all: what stands out of them are lines.

Of maps, whose noise has a share of 0.15, and of pictures, where all but drawings have more.
"""


class Look(NamedTuple):
    """A picture as it is looked at: its values, reduced, and which colours they have.

    name : str
    values : ndarray, float32, (h, w), or (h, w, 3) for red, green and blue.
    low, high : float. Least and greatest of all values; NaN without any.
    size : (rows, columns) before it was reduced.
    scale : Scale
    layer : int or None. Of a network, counted from 1.
    note : str. What else is to be said of the values, behind their range.
    opacity : ndarray, float32, (h, w), 0..1, or None. What is transparent shows white paper.
    """

    name: str
    values: npt.NDArray[np.float32]
    low: float
    high: float
    size: tuple[int, int]
    scale: Scale
    layer: int | None = None
    note: str = ""
    opacity: npt.NDArray[np.float32] | None = None

    @property
    def has_scale(self) -> bool:
        """Whether its colours stand for values: not if they are its own, or it has none."""
        return self.values.ndim == 2 and self.low <= self.high

    @property
    def pixels(self) -> Pixels:
        """The picture, (h, w, 3); values that are not finite are grey."""
        colours = self._opaque_pixels()
        if self.opacity is not None:
            share = self.opacity[..., None]
            colours = np.rint(255 + share * (colours.astype(np.float32) - 255)).astype(np.uint8)
        return colours

    def _opaque_pixels(self) -> Pixels:
        finite = np.isfinite(self.values)
        if self.values.ndim == 2:
            colours = self.scale.colours(np.where(finite, self.values, 0))
            colours[~finite] = 128
            return colours
        grey = self.scale._replace(colormap="grey")
        planes = np.moveaxis(np.where(finite, self.values, 0), -1, 0)
        return np.stack([grey.colours(plane)[..., 0] for plane in planes], axis=-1)

    def within(self, side: int) -> Self:
        """Return it with at most so many rows and columns."""
        if max(self.values.shape[:2]) <= side:
            return self
        planes = self.values.reshape(*self.values.shape[:2], -1)
        if self.opacity is not None:
            planes = np.concatenate([planes, self.opacity[..., None]], axis=2)
        small = Reduced(planes.shape, side, opaque=None if self.opacity is None else 1.0)
        small.put(0, planes)
        values = small.values(_LINES if self.values.ndim == 2 else _DRAWING)
        values = values.reshape(*values.shape[:2], *self.values.shape[2:])
        return self._replace(values=values, opacity=small.opacity)


class Reduced:
    """Takes rows of a picture, in any order, and makes a small one that keeps its thin lines.

    Each of its pixels stands for a block of them: for their mean or, where most values of the
    picture lie close together, for the one that stands out most.

    shape : (rows, columns, channels). Of the rows to come; channels beyond are left out.
    side : int. The most rows and columns of what is made.
    percentile : float. What is left out of the ends of a scale, as of `Range`.
    opaque : float or None. The last channel is opacity, and this is it in full.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        side: int,
        percentile: float = 100.0,
        opaque: float | None = None,
    ) -> None:
        self.strip_rows = 1
        self.shape, self._opaque = shape, opaque
        self._colours = slice(shape[2] - (opaque is not None))
        factor = max(1.0, max(shape[:2]) / side)
        self._small = tuple(max(1, round(n / factor)) for n in shape[:2])
        self._starts = [
            np.arange(count) * n // count for n, count in zip(shape[:2], self._small, strict=True)
        ]
        small = (*self._small, shape[2])
        self._least, self._most = np.full(small, np.inf), np.full(small, -np.inf)
        self._sums, self._counts = np.zeros(small), np.zeros(small)
        self._first = np.full(small, np.nan)
        self.tally = Tally() if percentile < 100 else None
        self._lock = Lock()

    def put(self, top: int, rows: Values) -> None:
        """Take the rows from ``top`` on, (h, W) or (h, W, C)."""
        planes = (rows if rows.ndim == 3 else rows[..., None])[..., : self.shape[2]]
        down, across = self._starts
        first, stop = np.searchsorted(down, (top, top + len(planes) - 1), side="right") - (1, 0)
        starts = np.maximum(down[first:stop], top) - top

        def blocks(how: np.ufunc, values: Values, dtype: type[np.generic] | None = None) -> Values:
            made: Values = how.reduceat(values, starts, axis=0, dtype=dtype)
            return how.reduceat(made, across, axis=1, dtype=dtype).astype(np.float64)

        real = planes.dtype.kind == "f"
        finite = np.isfinite(planes) if real else None
        if finite is None or finite.all():
            least, most = blocks(np.minimum, planes), blocks(np.maximum, planes)
            sums = blocks(np.add, planes, np.float64)
            height = np.diff(starts, append=len(planes))
            width = np.diff(across, append=planes.shape[1])
            counts = (height[:, None] * width)[..., None]
        else:
            least = blocks(np.minimum, np.where(finite, planes, np.inf))
            most = blocks(np.maximum, np.where(finite, planes, -np.inf))
            sums = blocks(np.add, np.where(finite, planes, 0), np.float64)
            counts = blocks(np.add, finite, np.float64)
        own = slice(first, stop)
        begins = down[first:stop] >= top
        with self._lock:
            np.minimum(self._least[own], least, out=self._least[own])
            np.maximum(self._most[own], most, out=self._most[own])
            self._sums[own] += sums
            self._counts[own] += counts
            self._first[first:stop][begins] = planes[starts[begins]][:, across]
            if self.tally is not None:
                self.tally.add(planes[..., self._colours])

    @property
    def extremes(self) -> tuple[float, float]:
        """The least and the greatest value; NaN where there is none."""
        own = self._colours
        low, high = float(self._least[..., own].min()), float(self._most[..., own].max())
        return (low, high) if low <= high else (np.nan, np.nan)

    @property
    def opacity(self) -> npt.NDArray[np.float32] | None:
        """How opaque each pixel is, (h, w), 0..1, where that is known."""
        if self._opaque is None:
            return None
        mean = self._sums[..., -1] / np.maximum(self._counts[..., -1], 1)
        return (mean / self._opaque).astype(np.float32)

    def values(self, lines: float = _LINES) -> npt.NDArray[np.float32]:
        """Return the small picture, (h, w, C), without opacity.

        lines : float. How closely half of the values must lie together for the others to be lines.
        """
        least, most, sums, counts, first = (
            each[..., self._colours]
            for each in (self._least, self._most, self._sums, self._counts, self._first)
        )
        means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan).astype(np.float32)
        sample = first[np.isfinite(first).all(axis=2)]
        if not sample.size:
            return means
        lower, middle, upper = np.percentile(sample, (25, 50, 75), axis=0)
        spread = most.max(axis=(0, 1)) - least.min(axis=(0, 1))
        if not (upper - lower <= lines * spread).all():
            return means
        standing = np.where(most - middle >= middle - least, most, least)
        return np.where(counts > 0, standing, np.nan).astype(np.float32)


def image_look(name: str, image: Image, side: int, top: float | None = None) -> Look:
    """Return an image as it is looked at.

    top : float, optional. White in floats; by default they go from the least to the greatest.
    """
    count = 3 if len(image.colours) == 3 else 1
    planes = image.planes
    chosen = [*range(count), *([len(planes) - 1] if image.alpha else [])]
    full = top if top and image.dtype.kind == "f" else white(image.dtype)
    shape = (*planes.shape[1:], len(chosen))
    small = Reduced(shape, side, opaque=white(image.dtype) if image.alpha else None)
    for row in range(0, planes.shape[1], _STRIP):
        small.put(row, np.moveaxis(planes[chosen, row : row + _STRIP], 0, -1))
    low, high = small.extremes
    scaled = image.dtype.kind != "f" or top
    scale = Scale("grey", 0.0, full) if scaled else Scale("grey", low, high)
    values = small.values(_DRAWING)
    values = values if count == 3 else values[..., 0]
    return Look(name, values, low, high, shape[:2], scale, opacity=small.opacity)


def map_look(
    name: str,
    small: Reduced,
    units: np.dtype[Any],
    *,
    mode: Range | None = None,
    top: float | None = None,
    colormap: ColormapName | None = None,
    signed: bool = False,
    layer: int | None = None,
) -> Look:
    """Return a map as it is looked at.

    small : Reduced. Of its real values.
    units : numpy.dtype. Of the image; top : float, optional. What white is in floats.
    mode : Range, optional. What its scale is taken from: by default "clip", "raw" of floats.
    colormap : str, optional. By default it is grey, or diverging if it is signed.
    signed : bool. Whether 0 is in the middle of what it means, so that negative values are seen.
    """
    low, high = small.extremes
    values = small.values()
    chosen = mode or Range("raw" if units.kind == "f" and not top else "clip")
    if colormap is None and signed and low < 0 and chosen.name in ("clip", "raw"):
        colormap, chosen = "diverging", Range("signed")
    note, ends = "", (low, high)
    if colormap is not None and values.shape[2] > 1:
        # Colours stand for one value, so these are of the mean, whose ends are others.
        note, values = ", mean shown", values.mean(axis=2, keepdims=True)
        ends = float(np.nanmin(values)), float(np.nanmax(values))
    if values.shape[2] != 3:  # the first of bands that are no colours
        values = values[..., 0]
    scale, found = colour_scale(colormap or "grey", chosen, units, top)
    if found.needs_extremes and low <= high:
        first, last = _ends(found, *ends, small.tally)
        scale = scale._replace(low=first, high=last)
    return Look(name, values, low, high, small.shape[:2], scale, layer, note, small.opacity)


def _ends(mode: Range, low: float, high: float, tally: Tally | None) -> tuple[float, float]:
    """Return the ends of the scale of a range that depends on all values."""
    half = (100 - mode.percentile) / 2
    if mode.name == "signed":
        most = max(abs(low), abs(high))
        most = (tally.percentile(mode.percentile, magnitudes=True) if tally else most) or most
        return -most, most
    first, last = (tally.percentile(half), tally.percentile(100 - half)) if tally else (low, high)
    return (first, last) if first < last else (low, high)


def seen(image: Image, top: float | None = None) -> Pixels:
    """Return an image as it is looked at, (h, w) or (h, w, 3), on black where it is transparent.

    top : float, optional. White in floats; by default they are stretched from least to greatest.
    """
    if isinstance(image.pixels, PixelRows):
        image = replace(image, pixels=thinned(image.pixels))
    small = reduced(np.moveaxis(image.planes, 0, -1).astype(np.float32), _SIDE)
    if image.dtype.kind == "f":
        finite = small[np.isfinite(small)]
        small = np.where(np.isfinite(small), small, finite.min(initial=0))
        low, high = (0.0, top) if top else (float(small.min()), float(small.max()))
    else:
        low, high = 0.0, white(image.dtype)
    share = (small - low) / ((high - low) or 1.0)
    if image.alpha:
        share = share[..., :-1] * share[..., -1:]
    shown = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
    return shown[..., 0] if shown.shape[2] != 3 else shown


def thinned(pixels: PixelRows) -> npt.NDArray[Any]:
    """Return some rows and columns of pixels that are too many to be in memory."""
    sink = ThinSink(pixels.shape)
    top = 0
    for band in pixels.bands():
        sink.put(top, band)
        top += len(band)
    return sink.pixels


class ThinSink:
    """Keeps some rows and columns of a picture, ``pixels``: about as many as are looked at."""

    strip_rows = 64

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._step = max(1, max(shape[:2]) // (2 * _SIDE))
        self._size = tuple(-(-n // self._step) for n in shape[:2])
        self.pixels: npt.NDArray[Any] = np.empty(0)
        self._lock = Lock()

    def put(self, top: int, rows: npt.NDArray[Any]) -> None:
        """Take the rows from ``top`` on."""
        kept = rows[-top % self._step :: self._step, :: self._step]
        with self._lock:
            if not self.pixels.size:
                self.pixels = np.zeros((*self._size, *rows.shape[2:]), rows.dtype)
        first = -(-top // self._step)
        self.pixels[first : first + len(kept)] = kept

    def finish(self) -> tuple[str, ...]:
        """Return what a user must be told: nothing."""
        return ()


def signed(values: npt.NDArray[Any], alpha: bool) -> npt.NDArray[np.float32]:
    """Return the mean of the colours of real values (H, W) or (H, W, C), small, (h, w)."""
    channels = values if values.ndim == 3 else values[..., None]
    colours = channels[..., :-1] if alpha else channels
    return np.nan_to_num(reduced(colours.astype(np.float32), _SIDE).mean(axis=2))
