"""From real values to pixels: combine, range and rounding. The only place where values are rounded.

========  =====================================================================
range     a value v becomes, for pixels 0..top
========  =====================================================================
clip      v, limited to 0..top
abs       abs(v), limited
shift     v + 128 (8 bits) or v + 32768 (16 bits), limited
signed    v/m · top/2 + top/2, m the largest magnitude in the map
stretch   (v - min) / (max - min) · top, over the whole map
raw       v, as a float
========  =====================================================================
"""

from collections.abc import Callable, Iterator
from threading import Lock
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from conv_cli.borders import Span
from conv_cli.colormaps import ColormapName, Scale, along
from conv_cli.colors import white as white_of
from conv_cli.errors import ConvError, ImageError
from conv_cli.parallel.threads import share
from conv_cli.pipeline.percentiles import Tally

Values = npt.NDArray[Any]
Missing = npt.NDArray[np.bool_]
RangeName = Literal["clip", "abs", "shift", "signed", "stretch", "raw"]
CombineName = Literal["magnitude", "max", "sum", "mean", "angle"]


class Range(NamedTuple):
    """How real values become pixels; an entry of the table above.

    percentile : float, 0..100. Of "signed" and "stretch": the share of values, in percent, that the
        scale is taken from. "signed" leaves out the largest magnitudes, "stretch" one half of the
        rest at each end.
    """

    name: RangeName
    percentile: float = 100.0

    @property
    def needs_extremes(self) -> bool:
        """Whether it depends on all values of a map."""
        return self.name in ("signed", "stretch")

    def __str__(self) -> str:
        """Return it as it is typed."""
        return self.name if self.percentile == 100 else f"{self.name}:{self.percentile:g}"


LEVELS = 65534
"""A map that becomes colours is first of levels 0 to that, whose middle is whole."""
MISSING = 65535
"""The level of pixels without a value."""
_MISSING_COLOUR = (128, 128, 128)
"""Is on no scale."""
_STRIP_ROWS = 64
_WHITES = (1.0, 255.0, 1023.0, 4095.0, 16383.0, 65535.0)
"""What white is in floats that are a share, or counts of 8 to 16 bits."""
_NOISE = 1e-12
"""A map whose values differ by less than this share of white is flat: they differ by rounding."""


def combine(values: Values, how: CombineName) -> Values:
    """Return (C, 1, h, w), one map made of all K of (C, K, h, w).

    "magnitude" is the root of the sum of squares; "max" goes by value, not by magnitude; "angle",
    of two maps x and y, is that of (x, y) in degrees, -180 to 180.
    """
    if how == "max":
        return values.max(axis=1, keepdims=True)
    wide = values.astype(np.result_type(values.dtype, np.float32), copy=False)
    if how == "angle":
        x, y = wide[:, :1] + 0, wide[:, 1:] + 0  # no -0, which would turn 180 to -180
        return np.degrees(np.arctan2(y, x))
    if how == "magnitude":
        return np.sqrt(np.square(wide).sum(axis=1, keepdims=True))
    total = wide.sum(axis=1, keepdims=True)
    return total / values.shape[1] if how == "mean" else total


class Statistics(NamedTuple):
    """What the values of a map were before its range was applied.

    low, high : float. Least and greatest value, in the units of the input; NaN left out.
    clipped : float. Share of the values that the range had to limit, 0..1.
    """

    low: float
    high: float
    clipped: float


class Copied(NamedTuple):
    """Channels of a map that no range changes.

    read : callable. From rows and columns of the map to their finished pixels, (n, h, w).
    channels : int. n.
    order : tuple of int. Of each channel of the map, its place among those of the values with the
        copied ones behind them; none if that is their order.
    """

    read: Callable[[Span, Span], Values]
    channels: int
    order: tuple[int, ...] = ()


class RowSink(Protocol):
    """Where the rows of a map go: a file's sink, or what makes something else of them."""

    strip_rows: int
    """So many rows at a time are best."""

    def put(self, top: int, rows: Values) -> None:
        """Take the rows from ``top`` on, (h, W) or (h, W, C), from any thread and in any order."""


class ArraySink:
    """Takes a whole picture as an array, ``pixels``."""

    def __init__(self, rows: int) -> None:
        self.strip_rows = rows
        self.pixels: Values

    def put(self, top: int, rows: Values) -> None:
        """Take it."""
        self.pixels = rows


class ColourSink:
    """Takes levels of a map, one a pixel and opacity behind it, and gives their colours on.

    colormap : str
    sink : RowSink. Takes rows of (h, W, 3) or (h, W, 4), uint8.
    """

    def __init__(self, colormap: ColormapName, sink: RowSink) -> None:
        self.strip_rows, self._sink = sink.strip_rows, sink
        self._table = along(colormap, np.arange(LEVELS + 2) / LEVELS)
        self._table[MISSING] = _MISSING_COLOUR

    def put(self, top: int, rows: Values) -> None:
        """Take rows of levels, (h, W), or (h, W, 2) with opacity, uint16."""
        levels = rows if rows.ndim == 2 else rows[..., 0]
        colours = self._table[levels]
        if rows.ndim == 3:
            scale = rescaling(rows.dtype, colours.dtype, 65535.0)
            opacity = rescaled(rows[..., 1], colours.dtype, scale)
            colours = np.concatenate([colours, opacity[..., None]], axis=2)
        self._sink.put(top, colours)


class _Strip(NamedTuple):
    """Some rows of a map in the making, (rows, columns, channels), and those from values alone.

    ``target`` is a view (channels, rows, columns); ``missing`` counts what it waits for.
    """

    top: int
    pixels: Values
    target: Values
    missing: list[int]


class FeatureMap:
    """One map in the making: takes tiles of real values, from any thread, and gives rows of pixels.

    Where the range depends on the extremes of the whole map, every tile is to be measured before
    the first is quantized; else ``add`` does both. Values that are given may be overwritten.

    shape : (rows, columns, channels). Of the finished pixels; the last channel may be opacity.
    units : numpy.dtype. Of the input's pixels; it says what the values mean.
    dtype : numpy.dtype. Of the finished pixels. 8 to 16 bits multiplies by 257, 16 to 8 divides,
        and floats become whole numbers as ``white`` says; nothing else is rescaled but by the
        range.
    mode : Range
    sink : RowSink. Where strips of rows go as soon as they are whole.
    tile_rows : int. Strips are of so many rows, or a multiple, so that tiles of that height fit
        into them.
    samples : int. How many samples of a pixel lie side by side in the tiles: those of such
        interleaved pixels are (1, h, w·samples), others (channels, h, w).
    white : float, optional. What white is in floats; 1 by default.
    copied : Copied, optional. Channels beside those of the values, as opacity,
        which the tiles lack then.
    nodata : float, optional. What pixels without a value become: itself, whatever the range; in
        whole numbers the nearest, NaN being 0. Tiles tell where that is by ``missing``, bools of
        their shape, which no range and no statistic counts.
    scale : Scale, optional. For a map that becomes colours: the pixels, uint16, are levels from 0
        at its lower end to ``LEVELS`` at the upper, and ``MISSING`` without a value. The ends are
        those that a range "signed" or "stretch" finds itself.

    Raises ConvError if "raw" is asked of a dtype that is not float.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        units: np.dtype[Any],
        dtype: np.dtype[Any],
        mode: Range,
        sink: RowSink,
        *,
        tile_rows: int = 1,
        samples: int = 1,
        white: float | None = None,
        copied: Copied | None = None,
        nodata: float | None = None,
        scale: Scale | None = None,
    ) -> None:
        if mode.name == "raw" and dtype.kind != "f":
            raise ConvError("--range raw makes floats; add --depth float32, or choose clip")
        self._shape, self._dtype, self._mode = shape, dtype, mode.name
        self._range = mode
        self._tally = Tally() if mode.percentile < 100 else None
        self._ends: tuple[float, float] | None = None
        self._samples, self._copied, self._sink = samples, copied, sink
        self._channels = shape[2] - (0 if copied is None else copied.channels)
        whole = sink.strip_rows >= shape[0]
        several = max(1, sink.strip_rows // tile_rows) * tile_rows
        self._strip_rows = shape[0] if whole else several
        self._strips: dict[int, _Strip] = {}
        top = white if white and units.kind == "f" else white_of(units)
        self._scale = rescaling(units, dtype, top)
        self._bottom, self._top = _limits(dtype, top)
        self._half = {1: 128.0, 2: 32768.0}.get(dtype.itemsize, self._top / 2)
        self._noise = _NOISE * top
        self._nodata = None if nodata is None else value_in(dtype, nodata)
        self._scaled = scale
        if scale is not None:
            self._top, self._nodata = float(LEVELS), np.uint16(MISSING)
        self._stored: Values | None = None
        self._stored_missing: Missing | None = None
        self._low, self._high, self._clipped = np.inf, -np.inf, 0
        self._lock = Lock()

    @property
    def needs_extremes(self) -> bool:
        """Whether all values must be measured before the first is quantized."""
        return self._range.needs_extremes

    @property
    def size(self) -> int:
        """How many values it holds, copied channels aside."""
        return self._shape[0] * self._shape[1] * self._channels

    @property
    def statistics(self) -> Statistics:
        """What the values have been so far."""
        return Statistics(self._low, self._high, self._clipped / self.size)

    def add(
        self, values: Values, rows: Span, columns: Span, missing: Missing | None = None
    ) -> None:
        """Measure and quantize the values (C, h, w) of those rows and columns."""
        extremes = self.measure(values, missing)
        plain = self._mode == "clip" and self._scale == 1 and self._scaled is None
        as_they_are = plain and missing is None
        self.quantize(values, rows, columns, missing, extremes if as_they_are else None)

    def measure(self, values: Values, missing: Missing | None = None) -> tuple[float, float]:
        """Return the least and the greatest of some values, and remember them.

        Raises ImageError if a value is not finite and the pixels are whole numbers.
        """
        if missing is not None:
            values = values[~missing]
            if not values.size:
                return np.inf, -np.inf
        low, high = values.min(), values.max()
        if not (np.isfinite(low) and np.isfinite(high)):
            low, high = self._finite_extremes(values)
        with self._lock:
            self._low, self._high = min(self._low, float(low)), max(self._high, float(high))
            if self._tally is not None:
                self._tally.add(values)
        return float(low), float(high)

    def store(
        self, values: Values, rows: Span, columns: Span, missing: Missing | None = None
    ) -> None:
        """Measure values and store them as they are, for ``quantize_stored``."""
        self.measure(values, missing)
        shape = (len(values), self._shape[0], self._shape[1] * self._samples)
        with self._lock:
            if self._stored is None:
                self._stored = np.empty(shape, values.dtype)
            if self._stored_missing is None and missing is not None:
                self._stored_missing = np.zeros(shape, np.bool_)
        self._stored[:, slice(*rows), slice(*columns)] = values
        if missing is not None and self._stored_missing is not None:
            self._stored_missing[:, slice(*rows), slice(*columns)] = missing

    def quantize_stored(self) -> None:
        """Quantize all values that were stored."""
        stored, height, step = self._stored, self._shape[0], self._strip_rows
        absent = self._stored_missing
        assert stored is not None
        spans = [
            (start, min(start + _STRIP_ROWS, top + step, height))
            for top in range(0, height, step)
            for start in range(top, min(top + step, height), _STRIP_ROWS)
        ]

        def worker(waiting: Iterator[Span]) -> None:
            for rows in waiting:
                missing = None if absent is None else absent[:, slice(*rows)]
                self.quantize(stored[:, slice(*rows)], rows, (0, stored.shape[2]), missing)

        share(worker, spans)
        self._stored = self._stored_missing = None

    def quantize(
        self,
        values: Values,
        rows: Span,
        columns: Span,
        missing: Missing | None = None,
        extremes: tuple[float, float] | None = None,
    ) -> None:
        """Turn values into pixels: the range, then to the nearest whole number within the limits.

        ``extremes`` are those of the values, if the range leaves them as they are.
        """
        strip = self._strip(rows[0])
        end = strip.top + len(strip.pixels)
        if rows[1] > end:  # of a region, whose tiles do not begin where strips do
            cut = end - rows[0]
            below = None if missing is None else missing[:, cut:]
            self.quantize(values[:, cut:], (end, rows[1]), columns, below, extremes)
            values, rows = values[:, :cut], (rows[0], end)
            missing = None if missing is None else missing[:, :cut]
        inner = slice(rows[0] - strip.top, rows[1] - strip.top)
        target = strip.target[:, inner, slice(*columns)]
        self._round(values, target, extremes, missing)
        if missing is not None:
            target[missing] = self._nodata
        if self._copied is not None:
            pixels = self._copied.read(rows, columns).transpose(1, 2, 0)
            strip.pixels[inner, slice(*columns), self._channels :] = pixels
        with self._lock:
            strip.missing[0] -= values.size
            if strip.missing[0]:
                return
            del self._strips[strip.top]
        order = () if self._copied is None else self._copied.order
        pixels = strip.pixels.take(order, axis=2) if order else strip.pixels
        self._sink.put(strip.top, pixels[..., 0] if self._shape[2] == 1 else pixels)

    def _strip(self, row: int) -> _Strip:
        """Return the strip that a row is in."""
        top = row // self._strip_rows * self._strip_rows
        with self._lock:
            if top not in self._strips:
                rows = min(self._strip_rows, self._shape[0] - top)
                pixels = np.empty((rows, *self._shape[1:]), self._dtype)
                if self._samples > 1:
                    target = pixels.reshape(1, rows, -1)
                else:
                    target = pixels[..., : self._channels].transpose(2, 0, 1)
                self._strips[top] = _Strip(top, pixels, target, [target.size])
            return self._strips[top]

    def _round(
        self,
        values: Values,
        target: Values,
        extremes: tuple[float, float] | None,
        missing: Missing | None,
    ) -> None:
        ranged = self._ranged(values)
        if target.dtype.kind == "f":
            if self._mode == "raw":
                target[...] = ranged
                return
        elif ranged.dtype.kind == "f":
            np.rint(ranged, out=ranged)
        low, high = extremes or (ranged.min(), ranged.max())
        if low < self._bottom or high > self._top:
            np.clip(ranged, *self._limits_in(ranged.dtype), out=target, casting="unsafe")
            limited = target != ranged
            outside = int(np.count_nonzero(limited if missing is None else limited & ~missing))
            with self._lock:
                self._clipped += outside
        else:
            target[...] = ranged

    def _limits_in(self, dtype: np.dtype[Any]) -> tuple[np.generic, np.generic]:
        """Return the limits of the pixels in another dtype, so that comparing converts nothing."""
        if dtype.kind == "f":
            return dtype.type(self._bottom), dtype.type(self._top)
        info = np.iinfo(dtype)
        bottom, top = max(int(self._bottom), info.min), min(int(self._top), info.max)
        return dtype.type(bottom), dtype.type(top)

    def _finite_extremes(self, values: Values) -> tuple[float, float]:
        if self._dtype.kind != "f":
            raise ImageError(
                "its filtered values hold NaN or infinity, which whole-number pixels cannot; "
                "write .npy, or float TIFF with --depth float32"
            )
        finite = values[np.isfinite(values)]
        return (finite.min(), finite.max()) if finite.size else (self._low, self._high)

    def _scale_ends(self) -> tuple[float, float]:
        """Return the values that become the ends of a scale, once all have been measured.

        Where what a percentile leaves is flat, as in a drawing of few lines, they are those of all.
        """
        with self._lock:
            if self._low > self._high:  # there is no value at all
                return 0.0, 0.0
            if self._ends is None:
                largest = max(abs(self._low), abs(self._high))
                signed = self._mode == "signed"
                low, high = (-largest, largest) if signed else (self._low, self._high)
                if self._tally is not None:
                    half = (100 - self._range.percentile) / 2
                    percentile = self._tally.percentile
                    if signed:
                        last = percentile(self._range.percentile, magnitudes=True)
                        first = -last
                    else:
                        first, last = percentile(half), percentile(100 - half)
                    if last - first > self._noise:
                        low, high = first, last
                self._ends = low, high
            return self._ends

    def _ranged(self, values: Values) -> Values:
        """Return the values in the units of the pixels, neither rounded nor limited."""
        if self._scaled is not None and not self.needs_extremes:
            low, high = self._scaled.low, self._scaled.high
            wide = values.astype(np.float64)
            return ((np.abs(wide) if self._scaled.magnitudes else wide) - low) * (
                self._top / (high - low)
            )
        if self._mode == "stretch":
            low, high = self._scale_ends()
            spread = high - low
            factor = self._top / spread if spread > self._noise else 0.0
            return (values.astype(np.float64) - low) * factor
        if self._mode == "signed":
            largest = self._scale_ends()[1]
            factor = self._top / 2 / largest if largest > self._noise else 0.0
            return values.astype(np.float64) * factor + self._top / 2
        if self._scale != 1:
            values = values * np.result_type(values.dtype, np.float32).type(self._scale)
        if self._mode == "abs":
            return np.abs(values)
        if self._mode == "shift":
            return values.astype(np.result_type(values.dtype, np.float32)) + self._half
        return values


def colour_scale(
    colormap: ColormapName, mode: Range, units: np.dtype[Any], white: float | None
) -> tuple[Scale, Range]:
    """Return the colours of the values of a map, and the range that finds their ends.

    Those of "signed" and "stretch" are in the map: the scale is from 0 to 0 then. A diverging
    scale is as far below zero as above, whatever the range.

    units : numpy.dtype. Of the input; white : float, optional. What white is in floats.
    """
    diverges = colormap == "diverging"
    name = mode.name
    if name == "raw":
        name = "signed" if diverges else "stretch"
    if name == "stretch" and diverges:
        name = "signed"
    if name in ("signed", "stretch"):
        return Scale(colormap, 0.0, 0.0), mode._replace(name=name)
    top = white if white and units.kind == "f" else white_of(units)
    low, high = (-top, top) if diverges else (0.0, top)
    if name == "shift":
        half = (top + 1) / 2 if units.kind != "f" else top / 2
        low, high = -half, half if diverges else top - half
    return Scale(colormap, low, high, magnitudes=name == "abs"), mode


def map_to_pixels(
    values: Values,
    units: np.dtype[Any],
    dtype: np.dtype[Any],
    mode: Range,
    white: float | None = None,
    nodata: float | None = None,
) -> tuple[Values, Statistics]:
    """Return the pixels of a whole map, (h, w) or (h, w, C), and what its values were.

    nodata : float, optional. What stands for no value in the pixels; in the values it is NaN.

    Parameters and errors are those of ``FeatureMap``; the values are left as they are.
    """
    planes = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
    channels, rows, columns = planes.shape
    sink = ArraySink(rows)
    feature_map = FeatureMap(
        (rows, columns, channels), units, dtype, mode, sink, white=white, nodata=nodata
    )
    own, missing = planes.copy(), None
    if nodata is not None and (absent := np.isnan(own)).any():
        own[absent], missing = 0, absent
    if feature_map.needs_extremes:
        feature_map.measure(own, missing)
        feature_map.quantize(own, (0, rows), (0, columns), missing)
    else:
        feature_map.add(own, (0, rows), (0, columns), missing)
    return sink.pixels.reshape(values.shape), feature_map.statistics


def rescaled(values: Values, dtype: np.dtype[Any], scale: float) -> Values:
    """Return values times a scale, as whole numbers; in floats they stay as they are."""
    if dtype.kind == "f" or dtype == values.dtype:
        return values
    whole = np.nan_to_num(np.rint(values * scale), nan=0.0)
    info = np.iinfo(dtype)
    return np.clip(whole, info.min, info.max).astype(dtype)


def value_in(dtype: np.dtype[Any], value: float) -> np.generic:
    """Return a value as pixels of a dtype hold it: the nearest whole number, 0 for NaN."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return np.float64(value).astype(dtype)
    info = np.iinfo(dtype)
    return dtype.type(0 if value != value else round(min(max(value, info.min), info.max)))


def require_white(
    units: np.dtype[Any],
    dtype: np.dtype[Any],
    mode: Range,
    white: float | None,
    pixels: Values | None = None,
) -> None:
    """Raise ImageError if floats are to become whole numbers and nobody said what white is.

    ``pixels``, if they are there, tell what it may be.
    """
    if units.kind != "f" or dtype.kind == "f" or mode.needs_extremes or white is not None:
        return
    found, fitting = "", 1.0
    finite = np.empty(0) if pixels is None else pixels[np.isfinite(pixels)]
    if finite.size:
        low, high = float(finite.min()), float(finite.max())
        found = f" from {low:g} to {high:g}"
        fitting = next((w for w in _WHITES if max(high, -low) <= w), high)
    raise ImageError(
        f"holds floats{found}, and whole numbers need to know which of them is white; add "
        f"--white {fitting:.15g}, or --range stretch"
    )


def rescaling(units: np.dtype[Any], dtype: np.dtype[Any], top: float) -> float:
    """Return by what values in the units of an input, with a white of ``top``, become pixels."""
    if units.kind == "f" and dtype.kind != "f":
        return white_of(dtype) / top
    widths = (units.itemsize, dtype.itemsize) if units.kind == dtype.kind == "u" else None
    return {(1, 2): 257.0, (2, 1): 1 / 257}.get(widths, 1.0) if widths else 1.0


def _limits(dtype: np.dtype[Any], top: float) -> tuple[float, float]:
    """Return the ends of finished pixels: the dtype's own, or 0 and top for floats."""
    if dtype.kind == "f":
        return 0.0, top
    return float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)
