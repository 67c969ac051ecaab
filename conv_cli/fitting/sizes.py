"""Which window: the smallest whose error over held-out pixels no larger one improves."""

import math
from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from conv_cli.fitting.normal import TRIAL, sampled
from conv_cli.fitting.pairs import HELD_OUT, Pair, Size, Window
from conv_cli.fitting.solve import Nested

_LADDER = 9, 17, 31, 47, 63
"""Sides that are tried, one after the other, as long as it helps."""
LARGEST = _LADDER[-1]
_USUAL = 31
_HELPS = 0.7
"""Windows beyond the usual are tried if the last step left no more of the error than this."""
PIXELS_PER_WEIGHT = 5
"""With fewer, weights tell of the noise in the target more than of the filter."""
MOST_WEIGHTS = 5_041
"""Of one kernel, 71×71: equations take its square in numbers, its cube in time."""
_SIGNIFICANT = 6.0
"""Three standard deviations of what chance does to the difference of two errors, 2σδ/√n."""
_NOTHING = 0.007
"""A change of this share of the target's own error is none."""
_ROUGHLY = 0.9
"""What a rough look at a larger window must leave of the error for a closer one."""


class Scores:
    """Errors, over pixels that were held out, of all windows within one.

    pairs : sequence of Pair
    window : Window. The largest.
    floor : float. The target's own error.
    bias, ridge. As for `solved`.
    roughly : bool. Of as few pixels as tell whether there is anything to find.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        window: Window,
        floor: float,
        *,
        bias: bool,
        ridge: float,
        roughly: bool = False,
    ) -> None:
        self.window, self.floor, self._planes = window, floor, pairs[0].planes
        share = 0.0 if roughly else TRIAL
        self.train = sampled(pairs, window, held_out=False, share=share)
        self._test = sampled(pairs, window, held_out=True, share=share)
        self._bias, self._ridge = bias, ridge

    def errors(self, windows: Sequence[Window]) -> list[float]:
        """Return the mean squared error of each window's own best kernel.

        Each window must lie in the one after it.
        """
        order: list[int] = []
        seen = np.zeros(len(self.train.gram), bool)
        counts = []
        for window in windows:
            places = self._features(window)
            order += [int(place) for place in places if not seen[place]]
            seen[places] = True
            counts.append(len(order))
        features = np.array(order)
        nested = Nested(self.train, features, bias=self._bias, ridge=self._ridge)
        return [
            self._test.part(features[:count]).squared_error(*nested.leading(count))
            for count in counts
        ]

    def _features(self, window: Window) -> npt.NDArray[np.intp]:
        """Return the places that a window's pixels have in the equations."""
        shape = (self.train.channels, *self.window.size)
        return np.arange(math.prod(shape)).reshape(shape)[:, *window.within(self.window)].ravel()

    def limit(self, best: float) -> float:
        """Return the largest error that is no worse than the best, but by chance."""
        train, test = (max(normal.pixels / self._planes, 1) for normal in (self.train, self._test))
        # Two kernels that differ by δ: their errors differ by 2σδ/√n by chance. A true difference
        # must exceed that of its own δ, and that of what the many weights made of the noise.
        overfitted = math.sqrt(len(self.train.gram) / train / test)
        chance = _SIGNIFICANT**2 / test + _SIGNIFICANT * overfitted
        return best * (1 + min(chance, 0.1)) + (_NOTHING * self.floor) ** 2

    def squares(self) -> list[Window]:
        """Return the windows with the same middle, smallest first."""
        outer, windows = self.window, []
        for side in range(1, max(outer.size) + 1, 2):
            rows, columns = min(side, outer.rows), min(side, outer.columns)
            top = outer.top + (outer.rows - rows) // 2
            windows.append(Window(top, outer.left + (outer.columns - columns) // 2, rows, columns))
        return windows


def largest_side(pairs: Sequence[Pair], bias: bool) -> int:
    """Return the largest odd side of a window that has enough pixels to be learned from; or 0."""
    side = 0
    while side < _LADDER[-1]:
        window = Window.around((side + 2, side + 2))
        there = sum(int(pair.usable[pair.region(window)].sum()) for pair in pairs)
        weights = len(pairs[0].x) * (side + 2) ** 2 + bias
        if there * (1 - 1 / HELD_OUT) < PIXELS_PER_WEIGHT * weights or weights > MOST_WEIGHTS:
            break
        side += 2
    return side


def chosen_window(
    pairs: Sequence[Pair],
    floor: float,
    centre: Size,
    *,
    bias: bool,
    ridge: float,
    largest: int = LARGEST,
) -> tuple[Window, Scores, list[tuple[Size, float]]]:
    """Return the smallest window that is as good as any, and what was found on the way.

    Returns
    -------
    window : Window
    scores : Scores
        Of the windows that it was chosen from.
    errors : list of (size, root of the mean squared error)
        Of the squares that were tried.
    """
    most = max(min(largest_side(pairs, bias), largest), 1)
    found: _Found | None = None
    for side in sorted({min(side, most) for side in _LADDER}):
        outer = Window.around((side, side), centre)
        if found and found.window != found.scores.window:
            # The best lies within: most likely a larger window finds nothing either.
            rough = Scores(pairs, outer, floor, bias=bias, ridge=ridge, roughly=True)
            if min(rough.errors(rough.squares())) > _ROUGHLY * found.best:
                if side >= _USUAL:
                    break
                continue
        before = found.best if found else math.inf
        found = _Found.within(Scores(pairs, outer, floor, bias=bias, ridge=ridge))
        explained = found.error <= (1.1 * floor) ** 2 and found.window != outer
        if explained or (side >= _USUAL and found.best > _HELPS**2 * before):
            break
    assert found is not None
    window = trimmed(found.scores, found.window, found.scores.limit(found.best))
    return window, found.scores, found.errors


class _Found(NamedTuple):
    """The smallest square among those within one that is as good as any."""

    scores: Scores
    window: Window
    error: float
    best: float
    errors: list[tuple[Size, float]]

    @classmethod
    def within(cls, scores: Scores) -> Self:
        """Return what is found within the window of scores."""
        windows = scores.squares()
        errors = scores.errors(windows)
        best = min(errors)
        pairs = zip(windows, errors, strict=True)
        window, error = next((w, e) for w, e in pairs if e <= scores.limit(best))
        shown = [(w.size, e**0.5) for w, e in zip(windows, errors, strict=True)]
        return cls(scores, window, error, best, shown)


def trimmed(scores: Scores, window: Window, limit: float) -> Window:
    """Return the window without the rows and columns at its rims that do nothing."""
    for without, axis in (
        (_without_top, "rows"),
        (_without_bottom, "rows"),
        (_without_left, "columns"),
        (_without_right, "columns"),
    ):
        smaller = [without(window, n) for n in reversed(range(getattr(window, axis)))]
        tried = zip(smaller, scores.errors(smaller), strict=True)
        window = next(w for w, error in tried if error <= limit or w == window)
    return window


def _without_top(window: Window, count: int) -> Window:
    return window._replace(top=window.top + count, rows=window.rows - count)


def _without_bottom(window: Window, count: int) -> Window:
    return window._replace(rows=window.rows - count)


def _without_left(window: Window, count: int) -> Window:
    return window._replace(left=window.left + count, columns=window.columns - count)


def _without_right(window: Window, count: int) -> Window:
    return window._replace(columns=window.columns - count)


def placed(scores: Scores, size: Size, centre: Size) -> Window:
    """Return the window of a size that explains the target best; of equals the most central."""
    outer = scores.window
    windows = [
        Window(outer.top + row, outer.left + column, *size)
        for row in range(outer.rows - size[0] + 1)
        for column in range(outer.columns - size[1] + 1)
    ]
    central = Window.around(size, centre)
    windows.sort(key=lambda w: (abs(w.top - central.top) + abs(w.left - central.left), w))
    errors = [scores.errors([window])[0] for window in windows]
    limit = scores.limit(min(errors))
    return next(w for w, error in zip(windows, errors, strict=True) if error <= limit)


def grown(window: Window) -> Window:
    """Return the window with a row or column more on every side, and five of each at least."""
    rows, columns = max(window.rows + 2, 5), max(window.columns + 2, 5)
    top = window.top - (rows - window.rows + 1) // 2
    return Window(top, window.left - (columns - window.columns + 1) // 2, rows, columns)
