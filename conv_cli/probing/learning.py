"""The kernel, if there is one: the fit's own parts on a chart that leaves nothing uncertain."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.fitting.curved import curved_fit
from conv_cli.fitting.pairs import Pair, Window, as_learned, level_of, prepared
from conv_cli.fitting.refine import error, predicted
from conv_cli.fitting.result import Fit
from conv_cli.fitting.search import Found, Learned, Settings, Task, learned_in
from conv_cli.fitting.sizes import LARGEST, MOST_WEIGHTS, Scores, trimmed
from conv_cli.fitting.telling import together, told
from conv_cli.fitting.verdict import graded
from conv_cli.probing.charts import patches
from conv_cli.probing.layout import Layout

Array = npt.NDArray[Any]
Channels = Literal["alike", "each", "mixed"]
Floor = Callable[[Fit], float]
"""The error that the codec of a lossy result leaves in what a kernel makes."""

LINEAR = 3.2
"""Up to so many floors of error, a program is linear."""
LIGHT = 1.5
"""Above so many floors, linear light is tried."""
_EXACT = 1.1
RIM = 8
"""So many rows and columns at the rims are not learned from: programs copy more than they must."""
_GROWTH = 4
_HELPS = 0.93
"""What a larger window must leave of the squared error."""
_APART = 0.85
"""What kernels of their own must leave of the error of the worst channel."""
_QUIET = 8
_NEAR = 4
"""Patches whose noise reaches no further hardly come to an end of the range, but near to others."""
_TAIL = 0.3
"""So much of what shows beyond doubt may lie on either side of it and not show."""
_PIXELS_PER_WEIGHT = 8
_CODEC = 1.15
"""Squared errors of a codec differ by so much by chance."""
_FAR = 4 * LINEAR
"""Where so many floors are left, it is not the tail of a kernel that is missing."""
_MANY = 441
"""With more weights, a few pixels for each are enough to tell the window."""
_FLOATS = 1e-6
_SETTINGS = Settings(None, True, 0.0, "exact", 1, None, 0, None, causes=False)


class Sample(NamedTuple):
    """A chart and a result that lie on each other, in the result's units.

    before, after : ndarray, (H, W, C) and (h, w, D).
    layout : Layout
    level : int. The step between the values of a result of whole numbers.
    floor : float. The error of the result itself, root mean square.
    lossy : bool. It went through a codec, whose errors hang together.
    """

    before: Array
    after: Array
    layout: Layout
    level: int
    floor: float
    lossy: bool = False

    @property
    def whole(self) -> bool:
        """The result holds whole numbers."""
        return self.after.dtype.kind in "ui"

    @property
    def top(self) -> float:
        """The largest value that the result can hold; infinite for floats."""
        return float(np.iinfo(self.after.dtype).max) if self.after.dtype.kind == "u" else math.inf

    def pairs(self, *, mixed: bool) -> list[Pair]:
        """Return planes, one by one or all together, without the rims."""
        found = prepared(
            self.before, self.after, mixed=mixed, name="chart", level=self.level,
            stride=self.layout.stride,
        )  # fmt: skip
        inner = np.zeros(self.after.shape[:2], bool)
        inner[RIM:-RIM, RIM:-RIM] = True
        return [pair._replace(usable=pair.usable & inner) for pair in found]


def sample_of(chart: Array, result: Array, layout: Layout) -> Sample:
    """Return a chart and a result laid on each other, opacity left out."""
    before, after = layout.of_chart(chart), layout.of_result(result)
    level = level_of([after]) if after.dtype.kind in "ui" else 1
    spread = float(np.ptp(after[np.isfinite(after)])) if after.dtype.kind == "f" else 0.0
    floor = level / math.sqrt(12) if after.dtype.kind in "ui" else _FLOATS * (spread or 1.0)
    return Sample(before, after, layout, level, floor)


class Linear(NamedTuple):
    """A kernel, and how the channels go together.

    fits : Fit. Of all channels.
    error : float. Root mean square of what is left in the worst channel, by the floor.
    """

    fit: Fit
    channels: Channels
    error: float


def learned(sample: Sample, seen: Window, strength: Array, floor: Floor | None = None) -> Linear:
    """Return the best kernel.

    seen : Window. What shows beyond doubt.
    strength : ndarray of bool, shape (D, C). Which channels show in which of the result.
    floor : callable, optional. Of lossy results.
    """
    outputs, inputs = strength.shape
    crossed = outputs != inputs or bool(strength[~np.eye(outputs, inputs, dtype=bool)].any())
    if crossed:
        return _within_floor(sample, _searched(sample, seen, "mixed"), floor)
    best = _within_floor(sample, _searched(sample, seen, "alike"), floor)
    if best.error <= _EXACT or inputs == 1:
        return best
    if floor is None and not _better_apart(sample, best):
        return best
    each = _within_floor(sample, _searched(sample, seen, "each"), floor)
    return each if each.error < 0.9 * best.error and _differ(each.fit) else best


def _better_apart(sample: Sample, best: Linear) -> bool:
    """Tell whether kernels of their own leave less in the worst of the channels."""
    window = best.fit.window
    errors = [
        _rough_error(Task([pair], _SETTINGS, sample.floor, None), window)
        for pair in sample.pairs(mixed=False)
    ]
    return math.sqrt(max(errors)) < _APART * best.error * sample.floor


def _differ(fit: Fit) -> bool:
    """Tell whether the channels of a fit are treated in different ways, beyond chance."""
    weights, bias = fit.weights, np.array(fit.bias)
    spread = 6 * fit.stderr.max() + 1e-3 * np.abs(weights).max()
    return bool(np.ptp(weights, axis=0).max() > spread or np.ptp(bias) > 0.1 * fit.noise_floor)


def _within_floor(sample: Sample, found: Linear, floor: Floor | None) -> Linear:
    """Return a kernel whose error is counted in the floors of a lossy result."""
    if floor is None:
        return found
    own = max(floor(found.fit), sample.floor)
    ratio = sample.floor / own
    verdict = graded(found.fit.rmse, own)
    fit = replace(found.fit, noise_floor=own, verdict=verdict)
    return found._replace(fit=fit, error=found.error * ratio)


def _searched(sample: Sample, seen: Window, channels: Channels) -> Linear:
    pairs = sample.pairs(mixed=channels == "mixed")
    if channels == "each":
        fits = [_fitted(sample, [pair], seen) for pair in pairs]
        fit = together([fit for fit, _ in fits], pairs)
        return Linear(fit, channels, max(off for _, off in fits))
    fit, off = _fitted(sample, pairs, seen)
    return Linear(fit, channels, off)


def _fitted(sample: Sample, pairs: list[Pair], seen: Window) -> tuple[Fit, float]:
    """Return the fit of some planes, and the error of the worst of them in floors.

    Where values beyond the range are not clipped, but go round or are folded back, they are left
    out: patches of little noise tell which these are.
    """
    task = Task(pairs, _SETTINGS, sample.floor, None)
    best = _in_window(task, seen, lossy=sample.lossy)
    if best.rmse > LINEAR * sample.floor and sample.whole:
        calm = task._replace(pairs=[_calm(pair, sample.layout) for pair in pairs])
        start = _in_window(calm, seen, lossy=sample.lossy)
        if start.rmse <= LINEAR * sample.floor:
            inside = task._replace(pairs=[_in_range(pair, start, sample.floor) for pair in pairs])
            other = _in_window(inside, seen, lossy=sample.lossy)
            if other.rmse <= LINEAR * sample.floor:
                task, best = inside, other
    found = Found(pairs, task.pairs, sample.floor, None, False, best)
    verdict = graded(best.rmse, sample.floor)
    fit = told(found, _SETTINGS, verdict, "", 1)
    errors = [error([pair], best.window, best.solution, held_out=False) for pair in task.pairs]
    worst = max((math.sqrt(e.mean) for e in errors if e.numbers), default=math.inf)
    return fit, worst / sample.floor


def _calm(pair: Pair, layout: Layout) -> Pair:
    """Return a pair that counts the patches of little noise alone."""
    reach = patches()[1][..., 0]
    for axis, step in itertools.product((0, 1), (-_NEAR, _NEAR)):
        reach = np.maximum(reach, np.roll(reach, step, axis))
    reach = layout.of_chart(reach)[:: pair.stride[0], :: pair.stride[1]]
    calm = np.zeros_like(pair.usable)
    rows, columns = (min(a, b) for a, b in zip(calm.shape, reach.shape, strict=True))
    calm[:rows, :columns] = reach[:rows, :columns] <= _QUIET
    return pair._replace(usable=pair.usable & calm)


def _in_range(pair: Pair, best: Learned, floor: float) -> Pair:
    """Return a pair that counts the pixels whose prediction is clearly within the range."""
    made, region = predicted(pair, best.window, best.solution)
    low, high = pair.limits
    margin = 3 * max(best.rmse, floor)
    usable = np.zeros_like(pair.usable)
    inside = ((made > low + margin) & (made < high - margin)).all(axis=0)
    usable[region] = pair.usable[region] & inside
    return pair._replace(usable=usable)


def _in_window(task: Task, seen: Window, *, lossy: bool = False) -> Learned:
    """Return the best kernel of the smallest window about what is seen that is as good as any."""
    outer = _grown(seen, [2 + math.ceil(_TAIL * side) for side in seen.size])
    while not _affordable(task, outer) and outer != seen:
        spare = [min(own - side, 2) // 2 for own, side in zip(outer.size, seen.size, strict=True)]
        outer = _grown(outer, [-n for n in spare])
    best = _rough_error(task, outer)
    while (_EXACT * task.floor) ** 2 < best < (_FAR * task.floor) ** 2:
        larger = _grown(outer, [_GROWTH, _GROWTH])
        if not _affordable(task, larger):
            break
        less = _rough_error(task, larger)
        if less > _HELPS * best:
            break
        outer, best = larger, less
    scores = _scores(task, outer, roughly=math.prod(outer.size) > _MANY)
    least = scores.errors([outer])[0]
    limit = max(scores.limit(least), least * _CODEC if lossy else 0)
    return learned_in(task, scores, trimmed(scores, outer, limit))


def _scores(task: Task, window: Window, *, roughly: bool = False) -> Scores:
    return Scores(task.pairs, window, task.floor, bias=True, ridge=0.0, roughly=roughly)


def _rough_error(task: Task, window: Window) -> float:
    return _scores(task, window, roughly=True).errors([window])[0]


def _affordable(task: Task, window: Window) -> bool:
    weights = len(task.pairs[0].x) * window.rows * window.columns
    usable = sum(int(pair.usable[pair.region(window)].sum()) for pair in task.pairs)
    return (
        max(window.size) <= LARGEST
        and weights <= MOST_WEIGHTS // 2
        and usable >= _PIXELS_PER_WEIGHT * weights
    )


def _grown(window: Window, by: Sequence[int]) -> Window:
    down, across = by
    return Window(
        window.top - down, window.left - across, window.rows + 2 * down, window.columns + 2 * across
    )


def made(fit: Fit, chart: Array, dtype: np.dtype[Any], border: str = "edge") -> Array:
    """Return what a fit makes of a chart (H, W, C), in the units of its results: (h, w, D)."""
    values = fit.predict(as_learned(chart, dtype, grey=False).astype(np.float64), border)
    return values[..., None] if values.ndim == 2 else values


def bare(fit: Fit) -> Fit:
    """Return a fit without its bias."""
    none: float | tuple[float, ...] = 0.0
    if not isinstance(fit.bias, float):
        none = tuple(0.0 for _ in fit.bias)
    return replace(fit, bias=none)


def in_linear_light(sample: Sample, window: Window) -> Fit | None:
    """Return the fit in linear light about a window; None if the channels are not alike in number.

    window : Window. That of the kernel found without.
    """
    if sample.before.shape[2] != sample.after.shape[2] or not sample.whole:
        return None
    rows, columns = (
        2 * max(abs(first), abs(first + length - 1)) + 1
        for first, length in zip(window[:2], window.size, strict=True)
    )
    pairs = sample.pairs(mixed=False)
    settings = _SETTINGS._replace(linear=True, size=(rows, columns))
    task = Task(pairs, settings, sample.floor, None)
    return _without_empty_rims(curved_fit(task, 1))


def _without_empty_rims(fit: Fit) -> Fit:
    """Return a fit without the rows and columns at its rims whose weights may all be 0."""
    counts = np.abs(fit.weights) > np.maximum(4 * fit.stderr, 1e-3 * np.abs(fit.weights).max())
    if not counts.any():
        return fit
    rows, columns = (np.flatnonzero(counts.any(axis=axis)) for axis in (1, 0))
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    top, left = fit.window.top + int(rows[0]), fit.window.left + int(columns[0])
    size = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
    origin = min(max(-top, 0), size[0] - 1), min(max(-left, 0), size[1] - 1)
    return replace(
        fit,
        weights=fit.weights[part],
        stderr=fit.stderr[part],
        window=Window(top, left, *size),
        origin=origin,
        shift=(-top - origin[0], -left - origin[1]),
    )
