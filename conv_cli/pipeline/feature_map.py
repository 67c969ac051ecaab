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

from threading import Lock
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.borders import Span
from conv_cli.colors import white as white_of
from conv_cli.errors import ConvError, ImageError

Values = npt.NDArray[Any]
RangeName = Literal["clip", "abs", "shift", "signed", "stretch", "raw"]
CombineName = Literal["magnitude", "max", "sum", "mean"]

_NEEDS_EXTREMES = ("signed", "stretch")
_STRIP_ROWS = 64
_WHITES = (1.0, 255.0, 1023.0, 4095.0, 16383.0, 65535.0)
"""What white is in floats that are a share, or counts of 8 to 16 bits."""
_NOISE = 1e-12
"""A map whose values differ by less than this share of white is flat: they differ by rounding."""


def combine(values: Values, how: CombineName) -> Values:
    """Return (C, 1, h, w), one map made of all K of (C, K, h, w).

    "magnitude" is the root of the sum of squares; "max" goes by value, not by magnitude.
    """
    if how == "max":
        return values.max(axis=1, keepdims=True)
    wide = values.astype(np.result_type(values.dtype, np.float32), copy=False)
    if how == "magnitude":
        return np.sqrt(np.square(wide).sum(axis=1, keepdims=True))
    total = wide.sum(axis=1, keepdims=True)
    return total / values.shape[1] if how == "mean" else total


class Statistics(NamedTuple):
    """What a map held before its range was applied.

    Attributes
    ----------
    low, high : float
        Least and greatest value, in the units of the input; NaN left out.
    clipped : float
        Share of the values that the range had to limit, 0..1.
    """

    low: float
    high: float
    clipped: float


class FeatureMap:
    """One map in the making: takes tiles of real values, from any thread, and gives pixels.

    Where the range depends on the extremes of the whole map, every tile is to be measured before
    the first is developed; else ``take`` does both. Values that are given may be overwritten.

    Parameters
    ----------
    shape : (rows, columns, channels)
        Of the finished pixels; channels beyond those of the tiles are the caller's to fill.
    channels : int
        Of the tiles, (channels, h, w); those of interleaved samples are (1, h, w·samples).
    units : numpy.dtype
        Of the input's pixels; it says what the values mean.
    dtype : numpy.dtype
        Of the finished pixels. 8 to 16 bits multiplies by 257, 16 to 8 divides, and floats become
        whole numbers as ``white`` says; nothing else is rescaled but by the range.
    mode : str
        The range.
    samples : int
        How many samples of a pixel lie side by side in the tiles.
    white : float, optional
        What white is in floats; 1 by default.

    Raises
    ------
    ConvError
        If "raw" is asked of a dtype that is not float.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        channels: int,
        units: np.dtype[Any],
        dtype: np.dtype[Any],
        mode: RangeName,
        *,
        samples: int = 1,
        white: float | None = None,
    ) -> None:
        if mode == "raw" and dtype.kind != "f":
            raise ConvError("--range raw makes floats; add --depth float32, or choose clip")
        self.pixels = np.empty(shape, dtype)
        self.needs_extremes = mode in _NEEDS_EXTREMES
        top = white if white and units.kind == "f" else white_of(units)
        self._scale = _rescaling(units, dtype, top)
        self._bottom, self._top = _limits(dtype, top)
        self._half = {1: 128.0, 2: 32768.0}.get(dtype.itemsize, self._top / 2)
        self._noise = _NOISE * top
        self._mode = mode
        if samples > 1:
            self._target = self.pixels.reshape(1, shape[0], -1)
        else:
            self._target = self.pixels[..., :channels].transpose(2, 0, 1)
        self._kept: Values | None = None
        self._low, self._high, self._clipped = np.inf, -np.inf, 0
        self._lock = Lock()

    @property
    def statistics(self) -> Statistics:
        """What the map has held so far."""
        return Statistics(self._low, self._high, self._clipped / self._target.size)

    def take(self, values: Values, rows: Span, columns: Span) -> None:
        """Measure and develop the values (C, h, w) of those rows and columns."""
        extremes = self.measure(values)
        as_they_are = self._mode == "clip" and self._scale == 1
        self.develop(values, rows, columns, extremes if as_they_are else None)

    def measure(self, values: Values) -> tuple[float, float]:
        """Return the least and the greatest of some values, and remember them.

        Raises
        ------
        ImageError
            If a value is not finite and the pixels are whole numbers.
        """
        low, high = values.min(), values.max()
        if not (np.isfinite(low) and np.isfinite(high)):
            low, high = self._finite_extremes(values)
        with self._lock:
            self._low, self._high = min(self._low, float(low)), max(self._high, float(high))
        return float(low), float(high)

    def keep(self, values: Values, rows: Span, columns: Span) -> None:
        """Measure values and keep them as they are, for ``develop_kept``."""
        self.measure(values)
        with self._lock:
            if self._kept is None:
                self._kept = np.empty(self._target.shape, values.dtype)
        self._kept[:, slice(*rows), slice(*columns)] = values

    def develop_kept(self) -> None:
        """Develop all values that were kept."""
        assert self._kept is not None
        height, width = self._target.shape[1:]
        for start in range(0, height, _STRIP_ROWS):
            rows = start, min(start + _STRIP_ROWS, height)
            self.develop(self._kept[:, slice(*rows)], rows, (0, width))
        self._kept = None

    def develop(
        self,
        values: Values,
        rows: Span,
        columns: Span,
        extremes: tuple[float, float] | None = None,
    ) -> None:
        """Write values to pixels: the range, then to the nearest whole number within the limits.

        ``extremes`` are those of the values, if the range leaves them as they are.
        """
        target = self._target[:, slice(*rows), slice(*columns)]
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
            outside = int(np.count_nonzero(target != ranged))
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
        if self.pixels.dtype.kind != "f":
            raise ImageError(
                "its filtered values hold NaN or infinity, which whole-number pixels cannot; "
                "write .npy, or float TIFF with --depth float32"
            )
        finite = values[np.isfinite(values)]
        return (finite.min(), finite.max()) if finite.size else (self._low, self._high)

    def _ranged(self, values: Values) -> Values:
        """Return the values in the units of the pixels, neither rounded nor limited."""
        if self._mode == "stretch":
            spread = self._high - self._low
            factor = self._top / spread if spread > self._noise else 0.0
            return (values.astype(np.float64) - self._low) * factor
        if self._mode == "signed":
            largest = max(abs(self._low), abs(self._high))
            factor = self._top / 2 / largest if largest > self._noise else 0.0
            return values.astype(np.float64) * factor + self._top / 2
        if self._scale != 1:
            values = values * np.result_type(values.dtype, np.float32).type(self._scale)
        if self._mode == "abs":
            return np.abs(values)
        if self._mode == "shift":
            return values.astype(np.result_type(values.dtype, np.float32)) + self._half
        return values


def develop_map(
    values: Values,
    units: np.dtype[Any],
    dtype: np.dtype[Any],
    mode: RangeName,
    white: float | None = None,
) -> tuple[Values, Statistics]:
    """Return the pixels (h, w) of one map that is there as a whole, and what it held.

    Parameters and errors are those of ``FeatureMap``; the values are left as they are.
    """
    rows, columns = values.shape
    feature_map = FeatureMap((rows, columns, 1), 1, units, dtype, mode, white=white)
    own = values[None].copy()
    if feature_map.needs_extremes:
        feature_map.measure(own)
        feature_map.develop(own, (0, rows), (0, columns))
    else:
        feature_map.take(own, (0, rows), (0, columns))
    return feature_map.pixels[..., 0], feature_map.statistics


def to_pixels(values: Values, units: np.dtype[Any], mode: RangeName) -> Values:
    """Return real values, (H, W) or (H, W, C), as pixels of the dtype that says their units."""
    planes = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
    channels, height, width = planes.shape
    made = FeatureMap((height, width, channels), channels, units, units, mode)
    made.measure(planes)
    made.develop(planes.copy(), (0, height), (0, width))
    return made.pixels[..., 0] if values.ndim == 2 else made.pixels


def rescaled(opacity: Values, dtype: np.dtype[Any], top: float) -> Values:
    """Return opacity of 0..top in the units of whole numbers; in floats it stays as it is."""
    if dtype.kind == "f" or dtype == opacity.dtype:
        return opacity
    full = white_of(dtype)
    return np.clip(np.rint(opacity / top * full), 0, full).astype(dtype)


def require_white(
    units: np.dtype[Any],
    dtype: np.dtype[Any],
    mode: RangeName,
    white: float | None,
    pixels: Values | None = None,
) -> None:
    """Raise ImageError if floats are to become whole numbers and nobody said what white is.

    ``pixels``, if they are there, tell what it may be.
    """
    if units.kind != "f" or dtype.kind == "f" or mode in _NEEDS_EXTREMES or white is not None:
        return
    held, fitting = "", 1.0
    finite = np.empty(0) if pixels is None else pixels[np.isfinite(pixels)]
    if finite.size:
        low, high = float(finite.min()), float(finite.max())
        held = f" from {low:g} to {high:g}"
        fitting = next((w for w in _WHITES if max(high, -low) <= w), high)
    raise ImageError(
        f"holds floats{held}, and whole numbers need to know which of them is white; add "
        f"--white {fitting:.15g}, or --range stretch"
    )


def _rescaling(units: np.dtype[Any], dtype: np.dtype[Any], top: float) -> float:
    if units.kind == "f" and dtype.kind != "f":
        return white_of(dtype) / top
    widths = (units.itemsize, dtype.itemsize) if units.kind == dtype.kind == "u" else None
    return {(1, 2): 257.0, (2, 1): 1 / 257}.get(widths, 1.0) if widths else 1.0


def _limits(dtype: np.dtype[Any], top: float) -> tuple[float, float]:
    """Return what finished pixels may reach: the dtype's own range, or 0..top for floats."""
    if dtype.kind == "f":
        return 0.0, top
    return float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)
