"""Pairs of images made ready for fitting: planes of one dtype, and which pixels can be trusted."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.colors import to_gray, white
from conv_cli.errors import FitError
from conv_cli.fitting.left_out import LeftOut

Array = npt.NDArray[Any]
Size = tuple[int, int]
Place = tuple[slice, slice]

HELD_OUT = 4
"""One target pixel of so many is not learned from, but held out."""
_LARGEST = 1e100
_LARGEST_STRIDE = 16
_FEWEST_VALUES = 8, 64
"""Fewer values than these may lie a step apart by chance, as those of a threshold do: where the
step is that of fewer bits in 16, and where it is another."""
_KEPT = 4, 16, 64, 256, 257
"""Steps of 14, 12, 10 and 8 bits in 16."""
_STRAY = 0.05
"""Up to this share of pixels may lie between levels: a mark, a white that is not theirs."""
_PERIOD = 509, 521
"""After so many rows and columns the pattern of those that are held out starts again."""


class Window(NamedTuple):
    """Which input pixels a target pixel is made of.

    top, left : int. The first row and column, counted from the target pixel's own place.
    rows, columns : int
    """

    top: int
    left: int
    rows: int
    columns: int

    @classmethod
    def around(cls, size: Size, centre: Size = (0, 0)) -> "Window":
        """Return the window of a size whose middle lies at a place."""
        rows, columns = size
        return cls(centre[0] - (rows - 1) // 2, centre[1] - (columns - 1) // 2, rows, columns)

    @property
    def size(self) -> Size:
        """Rows and columns."""
        return self.rows, self.columns

    def clipped(self, other: "Window") -> "Window":
        """Return what lies in both windows."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        bottom = min(self.top + self.rows, other.top + other.rows)
        right = min(self.left + self.columns, other.left + other.columns)
        return Window(top, left, bottom - top, right - left)

    def with_all_of(self, other: "Window") -> "Window":
        """Return the least window that holds both."""
        top, left = min(self.top, other.top), min(self.left, other.left)
        bottom = max(self.top + self.rows, other.top + other.rows)
        right = max(self.left + self.columns, other.left + other.columns)
        return Window(top, left, bottom - top, right - left)

    def within(self, other: "Window") -> Place:
        """Return where this window lies in a larger one."""
        top, left = self.top - other.top, self.left - other.left
        return slice(top, top + self.rows), slice(left, left + self.columns)


class Pair(NamedTuple):
    """One before and one after.

    name : str. What errors call it.
    x : ndarray, shape (C, H, W), float32 or float64. The input, in the units of the target.
    y : ndarray, shape (D, H', W'), of the same dtype
    usable : ndarray of bool, shape (H', W'). Target pixels that are numbers, and not at an end of
        their range, where clipping has put what would have lain beyond.
    held_out : ndarray of bool, shape (H', W'). Those that are not learned from: a quarter of all.
    ends : ndarray of bool, shape (H', W'). Target pixels at an end of their range.
    planes : int. Channels of the same picture that are pairs of their own. The rounding errors of
        greyish colours go together, so that there are not as many independent pixels as numbers.
    limits : (float, float). The ends of the target's range.
    stride : (rows, columns). A step of one target pixel is so many input pixels.
    """

    name: str
    x: Array
    y: Array
    usable: Array
    held_out: Array
    ends: Array
    planes: int
    limits: tuple[float, float] = (-math.inf, math.inf)
    stride: Size = (1, 1)

    @property
    def white(self) -> float:
        """What white is in the target's units: 1 where it has no limits."""
        return self.limits[1] if math.isfinite(self.limits[1]) else 1.0

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Those of input and target."""
        return self.x.shape, self.y.shape

    @property
    def same_size(self) -> bool:
        """Input and target have as many rows and columns."""
        before, after = self.shapes
        return self.stride == (1, 1) and before[1:] == after[1:]

    @property
    def missing(self) -> Size:
        """Rows and columns that the target has less than the input."""
        before, after = self.shapes
        return before[1] - after[1], before[2] - after[2]

    def middle(self, most: int) -> "Pair":
        """Return the middle, of so many rows and columns at most, of a pair of one size."""
        if not self.same_size:
            return self
        rows, columns = (slice(max(n - most, 0) // 2, (n + most) // 2) for n in self.usable.shape)
        place = rows, columns
        return self._replace(
            x=np.ascontiguousarray(self.x[:, *place]),
            y=np.ascontiguousarray(self.y[:, *place]),
            usable=self.usable[place],
            held_out=self.held_out[place],
            ends=self.ends[place],
        )

    def spread(self) -> float:
        """Return the largest less the smallest usable value of the target; 0 if there is none."""
        values = self.y[:, self.usable]
        return float(np.ptp(values)) if values.size else 0.0

    def varies(self) -> bool:
        """Tell whether usable pixels of the target differ; mostly a few of them show it."""
        few = slice(None, None, max(self.y.shape[1] // 50, 1))
        some = self._replace(y=self.y[:, few], usable=self.usable[few])
        return some.spread() > 0 or self.spread() > 0

    def region(self, window: Window) -> Place:
        """Return the target pixels whose whole window lies in the input."""
        before, after = self.shapes
        sides = zip(after[1:], before[1:], window[:2], window.size, self.stride, strict=True)
        rows, columns = (_whole(*side) for side in sides)
        return rows, columns

    def under(self, place: Place, window: Window) -> Array:
        """Return the part of the input (C, h, w) that the windows of target pixels cover."""
        (top, bottom), (left, right) = (
            (part.start * step + first, (part.stop - 1) * step + first + length)
            for part, step, first, length in zip(
                place, self.stride, window[:2], window.size, strict=True
            )
        )
        return self.x[:, top:bottom, left:right]


def _whole(targets: int, inputs: int, first: int, length: int, step: int) -> slice:
    """Return the targets i for which 0 <= i·step + first and i·step + first + length <= inputs."""
    start = max(0, -(first // step))
    return slice(start, max(start, min(targets, (inputs - first - length) // step + 1)))


def level_of(targets: Sequence[npt.ArrayLike]) -> int:
    """Return the step between the values of whole-number targets; 1 where few values tell.

    It is 256 for 8 bits that are kept at the top of 16, and 257 where white stayed white.
    """
    return math.gcd(*(_step(np.asarray(target)) for target in targets))


def _step(target: Array) -> int:
    """Return the usual step between values, or that between all, if nearly all pixels keep to it.

    It is 1 if they do not.
    """
    if target.dtype.kind == "u" and target.dtype.itemsize <= 2:
        counts = np.bincount(target.ravel())
        values = np.flatnonzero(counts)
        counts = counts[values]
    else:
        values, counts = np.unique(target, return_counts=True)
    if len(values) < _FEWEST_VALUES[0]:
        return 1
    steps, times = np.unique(np.diff(values), return_counts=True)
    off = values - values[counts.argmax()]
    few = len(values) < _FEWEST_VALUES[1]
    for step in int(steps[times.argmax()]), int(np.gcd.reduce(steps)):
        if few and (target.dtype != np.uint16 or step not in _KEPT):
            continue
        if counts[off % step != 0].sum() <= _STRAY * counts.sum():
            return step
    return 1


def prepared(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    mixed: bool,
    name: str,
    level: int = 1,
    seed: int = 0,
    stride: Size = (1, 1),
    left_out: LeftOut | None = None,
    reach: int = 0,
) -> list[Pair]:
    """Return the pairs of planes in a pair of images: one for each channel, or one of all.

    x, y : array_like, shape (H, W) or (H, W, C). A target of 8 or 16 bits is taken to be clipped at
        the ends of its range. What is NaN or infinite in it is left out. Two or four channels of an
        array end in opacity, those of an Image where it says so; what is not opaque is left out
        too.
    mixed : bool. Every channel of the target may depend on all of the input.
    name : str. What errors call the pair.
    level : int. The step of the target's values.
    stride : (rows, columns). Of the input, between pixels of the target.
    left_out : LeftOut or None. What does not count.
    reach : int. How far windows may go beyond a target pixel's own places, and read none of that.

    Raises FitError if sizes or channels do not go together, or the input is not finite.
    """
    (before, opaque), (after, seen) = colours_of(x, name), colours_of(y, name)
    if left_out is not None:
        before, after = (
            np.where(absent, 0, planes).astype(planes.dtype)
            for planes, absent in zip((before, after), left_out, strict=True)
        )
    _check(before, after, name, stride)
    if not mixed:
        before, after = _alike(before, after, name)
    before = _in_units(before, after.dtype)
    dtype = np.float32 if _few_bits(before) and _few_bits(after) else np.float64
    shown = seen & opaque if seen.shape == opaque.shape else seen
    held_out = _held_out(after.shape[1], after.shape[2], seed)
    pairs = []
    for channel in [slice(None)] if mixed else [slice(c, c + 1) for c in range(len(after))]:
        target, limits, kept = after[channel], _limits(after.dtype, level), shown
        ends = shown & np.any((target <= limits[0]) | (target >= limits[1]), axis=0)
        if left_out is not None:
            apart = not mixed and len(left_out.before) == len(after)
            read = channel if apart else slice(None)
            lost = left_out.near(read, (ends.shape[0], ends.shape[1]), stride, reach)
            lost = lost | left_out.after[channel].any(axis=0)
            ends, kept = ends & ~lost, shown & ~lost
        usable = kept & ~ends
        if target.dtype.kind == "f":
            usable &= np.isfinite(target).all(axis=0)
            target = np.where(usable, target, 0)
        pairs.append(
            Pair(
                name,
                np.ascontiguousarray(before if mixed else before[channel], dtype),
                np.ascontiguousarray(target, dtype),
                usable,
                held_out,
                ends,
                1 if mixed else len(after),
                limits,
                stride,
            )
        )
    return pairs


def as_learned(x: Array, dtype: np.dtype[Any], *, grey: bool) -> Array:
    """Return an input (H, W) or (H, W, C) in the units of a target, and grey if that is."""
    if grey and x.ndim == 3 and x.shape[2] == 3:
        x = to_gray(x.transpose(2, 0, 1)[:, None])[0, 0]
    return _in_units(x, dtype)


def _in_units(values: Array, dtype: np.dtype[Any]) -> Array:
    """Return 8 or 16 bits in the other's units, which differ by 257, as in apply."""
    if values.dtype == dtype or values.dtype.kind != "u" or dtype.kind != "u":
        return values
    return values * (white(dtype) / white(values.dtype))


def _held_out(height: int, width: int, seed: int) -> Array:
    """Return where pixels are held out, drawn at random."""
    drawn = np.random.default_rng(seed).integers(0, HELD_OUT, _PERIOD, np.uint8) == 0
    return np.tile(drawn, (-(-height // _PERIOD[0]), -(-width // _PERIOD[1])))[
        :height, :width
    ].copy()


def colours_of(image: npt.ArrayLike, name: str) -> tuple[Array, Array]:
    """Return the colours of an image as planes (C, H, W), and where it is opaque (H, W).

    Raises FitError for what is no image, (H, W) or (H, W, C).
    """
    pixels = np.asarray(image)
    if pixels.dtype.kind not in "buif" or pixels.ndim not in (2, 3) or 0 in pixels.shape:
        raise FitError(
            f"{name}: an image of shape {pixels.shape} and dtype {pixels.dtype} cannot be fitted; "
            "expected real numbers, (rows, columns) or (rows, columns, channels)"
        )
    planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    if getattr(image, "alpha", len(planes) in (2, 4)):
        return planes[:-1], planes[-1] >= white(planes.dtype)
    return planes, np.ones(planes.shape[1:], bool)


def stride_between(before: Size, after: Size) -> Size:
    """Return the stride that sampled a target of a size, if both its sides say so, or (1, 1)."""
    steps = [round(long / max(short, 1)) for long, short in zip(before, after, strict=True)]
    for step, long, short in zip(steps, before, after, strict=True):
        if not 2 <= step <= _LARGEST_STRIDE or short not in (long // step, -(-long // step)):
            return 1, 1
    return steps[0], steps[1]


def _check_sampled(before: Size, after: Size, name: str, stride: Size) -> None:
    """Raise FitError unless a target is as small as a stride, and windows inside, leave it."""
    most = [-(-side // step) for side, step in zip(before, stride, strict=True)]
    if any(not n / 2 < side <= n for n, side in zip(most, after, strict=True)):
        raise FitError(
            f"{name}: a stride of {stride[0]}x{stride[1]} leaves {most[0]}x{most[1]} of the "
            f"input's {before[0]}x{before[1]} pixels, and the target has {after[0]}x{after[1]}; "
            "give the stride that it was sampled with, or leave out --stride"
        )


def _check(before: Array, after: Array, name: str, stride: Size) -> None:
    sizes = [f"{planes.shape[1]}x{planes.shape[2]}" for planes in (before, after)]
    missing = np.subtract(before.shape[1:], after.shape[1:])
    if stride != (1, 1):
        shapes = [(planes.shape[1], planes.shape[2]) for planes in (before, after)]
        _check_sampled(shapes[0], shapes[1], name, stride)
    elif (missing < 0).any() or (2 * missing > before.shape[1:]).any():
        raise FitError(
            f"{name}: the input has {sizes[0]} pixels, the target {sizes[1]}; they must be of one "
            "size, or the target as small as valid filtering or a --stride leaves it"
        )
    for planes in (before, after):
        finite = planes[np.isfinite(planes)] if planes.dtype.kind == "f" else planes[:0]
        if float(np.abs(finite).max(initial=0)) > _LARGEST:
            raise FitError(f"{name}: its squares overflow beyond {_LARGEST:g}; scale the values")
    if before.dtype.kind == "f" and not np.isfinite(before).all():
        bad = ~np.isfinite(before)
        _, row, column = np.argwhere(bad)[0]
        raise FitError(
            f"{name}: the input holds {int(bad.sum())} values that are NaN or infinite, the first "
            f"at row {row}, column {column}; leave them out with --nodata nan, or replace them"
        )


def _alike(before: Array, after: Array, name: str) -> tuple[Array, Array]:
    """Return planes of as many channels.

    Colour becomes grey where the target is; where that is grey in three channels that are alike,
    one of them stands for all.
    """
    if len(before) == len(after):
        return before, after
    if len(before) == 3 and len(after) == 1:
        return to_gray(before[:, None])[0], after
    if len(before) == 1 and (after == after[:1]).all():
        return before, after[:1]
    raise FitError(
        f"{name}: the input has {len(before)} channels, the target {len(after)}; use --channels "
        "mix, or pictures of one kind"
    )


def _limits(dtype: np.dtype[Any], level: int) -> tuple[float, float]:
    """Return the least and the greatest that a target of 8 or 16 bits can be."""
    if dtype.kind != "u" or dtype.itemsize > 2:
        return -math.inf, math.inf
    return 0.0, white(dtype) // level * level


def _few_bits(planes: Array) -> bool:
    """Tell whether products of such values can be summed in float32 without loss, for a while."""
    return planes.dtype.kind in "bui" and planes.dtype.itemsize == 1
