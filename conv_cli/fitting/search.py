"""The search for a kernel: its window, its place, and the pixels that it can be learned from."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.errors import FitError
from conv_cli.fitting.codec import Coder
from conv_cli.fitting.descent import descended
from conv_cli.fitting.diagnosis import depends_on_value_alone
from conv_cli.fitting.normal import Normal, sampled
from conv_cli.fitting.outliers import without_outliers
from conv_cli.fitting.pairs import Pair, Size, Window
from conv_cli.fitting.refine import error, predicted, refined
from conv_cli.fitting.result import Method
from conv_cli.fitting.shift import estimated_shift
from conv_cli.fitting.sizes import LARGEST, MOST_WEIGHTS, Scores, chosen_window, grown, placed
from conv_cli.fitting.solve import Certainty, Solution, centred, certainty, solved
from conv_cli.fitting.verdict import EXACT

Array = npt.NDArray[Any]
Watch = Callable[[int, float, Array], None]

_NEAR = 12
"""The usual windows about a pixel's own place hold kernels that are moved by no more than this."""
_WIDE = 7
"""A window of fewer rows or columns is tried about every place."""
_MARGIN = 3.0
"""Standard deviations of the noise between what is predicted and an end of the range."""
_NEARLY = 6.0
"""Up to so many floors, a kernel may be that of a target whose codec shrank its weights."""
_CHOICES = 2
"""The first prediction is itself of pixels that were cut on one side."""
_KEPT = 0.5
"""Pixels are not chosen by a prediction that leaves fewer of them."""
_FEW = 0.001
"""A choice of pixels that differs by no more of them from the last needs no other kernel."""
_OUTLIER = 8.0
"""No pixel is further off than so many floors by rounding."""


class Settings(NamedTuple):
    """How to learn: as `fit_kernel` says.

    ``largest`` is the largest side where none is given; ``causes`` asks for what explains a poor
    pair instead; of ``most`` rows and columns, if that is given, the middle is learned from.
    """

    size: Size | None
    bias: bool
    ridge: float
    method: Method
    epochs: int
    rate: float | None
    seed: int
    watch: Watch | None
    largest: int = LARGEST
    causes: bool = True
    linear: bool = False
    tone: bool = False
    most: int | None = None


class Learned(NamedTuple):
    """A window and its best kernel.

    normal, around : Normal. Equations of this window, and of a larger one, where the size was to be
        found.
    rmse, r2 : float. Over held-out pixels.
    sizes : tuple of (size, error). What was tried.
    errors, precision : ndarray, shape (p,) and (p, p), or None. Standard errors and the inverse of
        the covariance, where the file of the target told them.
    """

    window: Window
    solution: Solution
    normal: Normal
    around: Normal
    rmse: float
    r2: float
    sizes: tuple[tuple[Size, float], ...]
    errors: Array | None = None
    precision: Array | None = None


class Task(NamedTuple):
    """What a kernel is looked for in.

    pairs : sequence of Pair. Each with as many channels.
    floor : float. The target's own error, root mean square.
    valid : (rows, columns) or None. The size of the kernel, if the target is what valid filtering
        leaves.
    """

    pairs: Sequence[Pair]
    settings: Settings
    floor: float
    valid: Size | None


class Found(NamedTuple):
    """What a search ends with.

    given, pairs : sequence of Pair. As they were given, and without the pixels that no kernel made.
    curved : bool. Each target pixel depends on one input pixel alone, but not along a line.
    best : Learned
    cleaned : bool. Pixels that no kernel made were set aside.
    """

    given: Sequence[Pair]
    pairs: Sequence[Pair]
    floor: float
    valid: Size | None
    curved: bool
    best: Learned
    cleaned: bool = False


def stated(pairs: Sequence[Pair], settings: Settings, floor: float) -> Task:
    """Return what is to be searched. Raises FitError if the pairs do not go together."""
    pairs = [_with_two_values(pair) for pair in pairs]
    return Task(pairs, settings, floor, _left_by(pairs, settings.size))


def search(task: Task, coder: Coder | None) -> Found:
    """Return the best kernel: of all pixels, about a shifted place, or of those it explains.

    ``coder`` is that of targets from lossy files. Raises FitError if pairs are too small.
    """
    curved = False
    if depends_on_value_alone(task.pairs, task.floor):
        point = _solved(task, Window(0, 0, 1, 1))
        curved = _is_off(task, point)
        if task.settings.size is None:
            return Found(task.pairs, task.pairs, task.floor, task.valid, curved, point)
    centres = places(task)
    best = _about(task, next(centres))
    if coder is not None:
        task = task._replace(floor=max(coder.floor(best.window, best.solution), task.floor))
        if task.settings.ridge == 0 and best.rmse <= _NEARLY * task.floor:
            task, best = _by_coefficients(task, best, coder)
    if _is_off(task, best):
        others = [_about(task, centre) for centre in centres if not _holds(best.window, centre)]
        best = min((best, *others), key=lambda learned: learned.rmse)
    used = task
    if _is_off(task, best) and any(pair.ends.any() for pair in task.pairs):
        for _ in range(_CHOICES):
            by_prediction = [_by_prediction(pair, best) for pair in task.pairs]
            if _usable(by_prediction) < _KEPT * _usable(task.pairs):
                break
            changed = _changed(used.pairs, by_prediction)
            used = task._replace(pairs=by_prediction)
            if changed <= _FEW * _usable(by_prediction):
                break
            best = _solved(used, best.window, best.around, best.sizes)
    cleaned = None
    if _is_off(task, best) and _has_outliers(task, best):
        for centre in _centres(best.window):
            cleaned = without_outliers(task.pairs, task.floor, centre, best.window.size)
            if cleaned is not None:
                rest = task._replace(pairs=cleaned)
                learned = _about(rest, centre)
                if not _is_off(rest, learned):
                    used, best = rest, learned
                    break
                cleaned = None
    return Found(task.pairs, used.pairs, task.floor, task.valid, curved, best, cleaned is not None)


def _holds(window: Window, centre: Size) -> bool:
    """Tell whether a window reaches beyond a place on every side, by a quarter of itself."""
    sides = zip(centre, window[:2], window.size, strict=True)
    return all(n >= _WIDE and n // 4 <= at - first < n - n // 4 for at, first, n in sides)


def _usable(pairs: Sequence[Pair]) -> int:
    return sum(int(np.count_nonzero(pair.usable)) for pair in pairs)


def _changed(pairs: Sequence[Pair], others: Sequence[Pair]) -> int:
    """Return how many pixels count in one of two choices alone."""
    both = zip(pairs, others, strict=True)
    return sum(int(np.count_nonzero(pair.usable != other.usable)) for pair, other in both)


def _by_coefficients(task: Task, best: Learned, coder: Coder) -> tuple[Task, Learned]:
    """Return the kernel that the coefficients in the target's file tell, if they tell a better one.

    The size that was asked for stays.
    """
    found = coder.regressed(best.window, best.solution, grow=task.settings.size is None)
    if found is None:
        return task, best
    window, told = found
    normal = sampled(task.pairs, window, held_out=False)
    solution = told.solution
    if not task.settings.bias:
        return task, best
    other = _scored(
        task.pairs,
        best._replace(
            window=window,
            solution=solution,
            normal=normal,
            around=normal,
            errors=told.errors,
            precision=np.linalg.inv(told.covariance),
        ),
    )
    floor = max(coder.floor(window, solution), task.floor)
    if other.rmse > EXACT * floor and other.rmse > best.rmse:
        return task, best
    return task._replace(floor=floor), other


def certainty_of(found: Found, normal: Normal, settings: Settings) -> Certainty:
    """Return how sure the weights of a window are, over all pixels that were learned from."""
    learned_from = _learned_from(found, normal.window)
    share = min(normal.pixels / max(learned_from, 1), 1.0) * found.pairs[0].planes
    return certainty(normal, bias=settings.bias, ridge=settings.ridge, share=share)


def precision_of(found: Found, settings: Settings) -> Array:
    """Return the inverse of the covariance of the best weights (p, p)."""
    best = found.best
    if best.precision is not None:
        return best.precision
    gram, _ = centred(best.normal, bias=settings.bias)
    learned_from = _learned_from(found, best.normal.window)
    share = min(best.normal.pixels / max(learned_from, 1), 1.0) * found.pairs[0].planes
    return gram / (share * max(best.rmse, 1e-300) ** 2)


def _learned_from(found: Found, window: Window) -> int:
    return sum(
        int(np.count_nonzero((pair.usable & ~pair.held_out)[pair.region(window)]))
        for pair in found.pairs
    )


def by_descent(
    found: Found, settings: Settings, units: tuple[float, float]
) -> tuple[Learned, list[float]]:
    """Return what gradient descent makes of the same window, and the loss of each epoch."""
    end = descended(
        found.best.normal,
        bias=settings.bias, epochs=settings.epochs, rate=settings.rate, seed=settings.seed,
        units=units, watch=settings.watch, name=found.given[0].name,
    )  # fmt: skip
    return _scored(found.pairs, found.best._replace(solution=end.solution)), end.losses


def by(size: Sequence[int]) -> str:
    """Return rows and columns as a person writes them."""
    return "x".join(map(str, size))


def _left_by(pairs: Sequence[Pair], size: Size | None) -> Size | None:
    """Return the size of the kernel whose valid filtering leaves the targets, or None."""
    first = pairs[0]
    if first.stride != (1, 1):
        return None
    for pair in pairs:
        if pair.missing != first.missing:
            raise FitError(
                f"{pair.name}: the target is {by(pair.missing)} smaller than the input, that "
                f"of {first.name} {by(first.missing)}; fit them alone"
            )
    if first.same_size:
        return None
    left = first.missing[0] + 1, first.missing[1] + 1
    if size not in (None, left):
        raise FitError(
            f"{first.name}: the target is {by(first.missing)} smaller than the input, as a "
            f"kernel of {by(left)} leaves it; use --size {by(left)} or auto"
        )
    return left


def places(task: Task) -> Iterator[Size]:
    """Yield where to look for the kernel: a far place first only if the size is not known."""
    sized = task.settings.size is not None
    if task.pairs[0].stride != (1, 1):
        down, across = task.pairs[0].stride
        yield down // 2, across // 2
        return
    if task.valid or sized:
        yield 0, 0
    if task.valid:
        return
    centre = estimated_shift(task.pairs)
    if max(map(abs, centre)) > (0 if sized else _NEAR):
        yield centre
    if not sized:
        yield 0, 0


def _is_off(task: Task, learned: Learned) -> bool:
    return not learned.rmse <= EXACT * task.floor


def learned_in(task: Task, scores: Scores, window: Window) -> Learned:
    """Return the best kernel of a window that was chosen among those of scores."""
    normal = scores.train.cut(window)
    bias, ridge = task.settings.bias, task.settings.ridge
    solution = refined(
        task.pairs, solved(normal, bias=bias, ridge=ridge), normal, bias=bias, ridge=ridge
    )
    around = scores.train.cut(grown(window).clipped(scores.window))
    return _scored(task.pairs, Learned(window, solution, normal, around, 0.0, 0.0, ()))


def _has_outliers(task: Task, learned: Learned) -> bool:
    """Tell whether any pixel is further off than the target's own error can be."""
    for pair in task.pairs:
        made, region = predicted(pair, learned.window, learned.solution)
        off = np.abs(pair.y[:, *region] - made).max(axis=0)
        if (off[pair.usable[region]] > _OUTLIER * task.floor).any():
            return True
    return False


def _about(task: Task, centre: Size) -> Learned:
    """Return the best window about a place, and its kernel."""
    pairs, settings, floor, valid = task
    bias, ridge, size = settings.bias, settings.ridge, valid or settings.size
    if size is None:
        window, scores, tried = chosen_window(
            pairs, floor, centre, bias=bias, ridge=ridge, largest=settings.largest
        )
        around = scores.train.cut(grown(window).clipped(scores.window))
        return _solved(task, window, around, tuple(tried))
    window = Window(0, 0, *size) if valid else Window.around(size, centre)
    _check_size(pairs, window)
    best = _solved(task, window)
    outer = Window.around((size[0] + 4, size[1] + 4), centre)
    if valid or not _is_off(task, best) or not _fits(pairs, outer):
        return best
    better = placed(Scores(pairs, outer, floor, bias=bias, ridge=ridge), size, centre)
    return best if better == window else _solved(task, better)


def _check_size(pairs: Sequence[Pair], window: Window) -> None:
    name, size = pairs[0].name, by(window.size)
    weights = len(pairs[0].x) * window.rows * window.columns
    if weights > MOST_WEIGHTS:
        raise FitError(
            f"{name}: a kernel of {size} has {weights:,} weights, and {MOST_WEIGHTS:,} at most can "
            "be fitted; use pictures of one size, or a smaller --size"
        )
    if not _fits(pairs, window):
        smallest = min((pair.x.shape[1:] for pair in pairs), key=min)
        raise FitError(
            f"{name}: no pixel of {by(smallest)} has a whole window of {size} around it; use a "
            "smaller --size or larger pictures"
        )


def _solved(
    task: Task,
    window: Window,
    around: Normal | None = None,
    sizes: tuple[tuple[Size, float], ...] = (),
) -> Learned:
    """Return the best kernel of a window."""
    bias, ridge = task.settings.bias, task.settings.ridge
    normal = sampled(task.pairs, window, held_out=False)
    start = solved(normal, bias=bias, ridge=ridge)
    strided = task.pairs[0].stride != (1, 1)  # of which a sample holds nearly all pixels
    solution = start if strided else refined(task.pairs, start, normal, bias=bias, ridge=ridge)
    around = normal if around is None else around
    return _scored(task.pairs, Learned(window, solution, normal, around, 0.0, 0.0, sizes))


def _scored(pairs: Sequence[Pair], learned: Learned) -> Learned:
    off = error(pairs, learned.window, learned.solution, held_out=True)
    if not off.numbers:
        off = error(pairs, learned.window, learned.solution, held_out=False)
    r2 = 1 - off.squares / off.deviations if off.deviations else math.nan
    return learned._replace(rmse=math.sqrt(off.mean), r2=r2)


def _with_two_values(pair: Pair) -> Pair:
    """Return a pair whose target is black and white with both made usable: it was not clipped."""
    if pair.usable.any() or not pair.ends.any() or not np.ptp(pair.y):
        return pair
    return pair._replace(usable=pair.ends)


def _fits(pairs: Sequence[Pair], window: Window) -> bool:
    """Tell whether any pixel has its whole window in the input."""
    regions = [pair.region(window) for pair in pairs]
    return any(r.stop > r.start and c.stop > c.start for r, c in regions)


def _by_prediction(pair: Pair, learned: Learned) -> Pair:
    """Return a pair that counts the pixels that are predicted well within the target's range.

    Under noise, leaving out what the target has at an end cuts the noise on one side.
    """
    low, high = pair.limits
    if not math.isfinite(high):
        return pair
    made, region = predicted(pair, learned.window, learned.solution)
    margin = min(_MARGIN * learned.rmse, (high - low) / 4)
    inside = ((made >= low + margin) & (made <= high - margin)).all(axis=0)
    usable = np.zeros_like(pair.usable)
    usable[region] = (pair.usable | pair.ends)[region] & inside
    return pair._replace(usable=usable)


def _centres(window: Window) -> list[Size]:
    """Return where a kernel may lie: about the pixel's own place, or where it was found so far."""
    middle = window.top + (window.rows - 1) // 2, window.left + (window.columns - 1) // 2
    return [(0, 0)] if max(map(abs, middle)) <= 2 else [(0, 0), middle]
