"""The search for a kernel: its window, its place, and the pixels that it can be learned from."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.errors import FitError
from conv_cli.fitting.codec import Coder
from conv_cli.fitting.descent import descended
from conv_cli.fitting.normal import Normal, sampled
from conv_cli.fitting.pairs import Pair, Size, Window
from conv_cli.fitting.refine import error, predicted, refined
from conv_cli.fitting.rejection import without_wild
from conv_cli.fitting.result import Method
from conv_cli.fitting.shift import estimated_shift
from conv_cli.fitting.sizes import LARGEST, MOST_WEIGHTS, Scores, chosen_window, grown, placed
from conv_cli.fitting.solve import Certainty, Solution, certainty, solved
from conv_cli.fitting.tones import depends_on_value_alone
from conv_cli.fitting.verdict import EXACT

Array = npt.NDArray[Any]
Watch = Callable[[int, float, Array], None]

_NEAR = 12
"""The usual windows about a pixel's own place hold kernels that are moved by no more than this."""
_WILD = 8.0
"""No pixel is further off than so many floors by rounding."""


class Settings(NamedTuple):
    """How to learn: as `fit_kernel` says.

    Attributes
    ----------
    largest : int
        The largest side that is tried where the size is to be found.
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


class Learned(NamedTuple):
    """A window and its best kernel.

    Attributes
    ----------
    normal : Normal
        Equations of this window.
    around : Normal
        Of one that is a little larger, where the size was to be found.
    rmse, r2 : float
        Over held-out pixels.
    sizes : tuple of (size, error)
        What was tried.
    """

    window: Window
    solution: Solution
    normal: Normal
    around: Normal
    rmse: float
    r2: float
    sizes: tuple[tuple[Size, float], ...]


class Learner:
    """Learns one kernel from pairs.

    Parameters
    ----------
    pairs : sequence of Pair
        Each with as many channels.
    settings : Settings
    floor : float
        The target's own error, root mean square, as far as it is known yet.
    coder : Coder or None
        For targets from lossy files.

    Attributes
    ----------
    given, pairs : sequence of Pair
        As they were given, and without the pixels that no kernel made.
    floor : float
    valid : (rows, columns) or None
        The size of the kernel, if the target is what valid filtering leaves.
    curved : bool
        Each target pixel depends on one input pixel alone, but not along a line.

    Raises
    ------
    FitError
        If the pairs do not go together, or are too small for the size.
    """

    def __init__(
        self, pairs: Sequence[Pair], settings: Settings, floor: float, coder: Coder | None
    ) -> None:
        self.given = self.pairs = [_with_two_values(pair) for pair in pairs]
        self.floor = floor
        self._settings, self._coder = settings, coder
        self.curved = False
        self._certainties: dict[tuple[Window, int], Certainty] = {}
        self.valid = self._left_by()

    def _left_by(self) -> Size | None:
        """Return the size of the kernel whose valid filtering leaves the targets, or None."""
        first = self.given[0]
        for pair in self.given:
            if pair.missing != first.missing:
                raise FitError(
                    f"{pair.name}: the target is {by(pair.missing)} smaller than the input, that "
                    f"of {first.name} {by(first.missing)}; fit them alone"
                )
        if first.same_size:
            return None
        size = first.missing[0] + 1, first.missing[1] + 1
        if self._settings.size not in (None, size):
            raise FitError(
                f"{first.name}: the target is {by(first.missing)} smaller than the input, as a "
                f"kernel of {by(size)} leaves it; use --size {by(size)} or auto"
            )
        return size

    def best(self) -> Learned:
        """Return the best kernel: of all pixels, about a shifted place, or of those it explains."""
        if depends_on_value_alone(self.given, self.floor):
            point = self._solved(Window(0, 0, 1, 1))
            self.curved = self._is_off(point)
            if self._settings.size is None:
                return point
        centres = self._places()
        best = self._about(next(centres))
        if self._coder is not None:
            self.floor = max(self._coder.floor(best.window, best.solution), self.floor)
        if self._is_off(best):
            best = min((best, *map(self._about, centres)), key=lambda learned: learned.rmse)
        if not self._is_off(best) or not self._has_wild(best):
            return best
        for centre in _centres(best.window):
            cleaned = without_wild(self.given, self.floor, centre, best.window.size)
            if cleaned is not None:
                self.pairs = cleaned
                learned = self._about(centre)
                if not self._is_off(learned):
                    return learned
                self.pairs = self.given
        return best

    def _places(self) -> Iterator[Size]:
        """Yield where to look for the kernel: a far place first only if the size is not known."""
        if self.valid:
            yield 0, 0
            return
        if self._settings.size is not None:
            yield 0, 0
        centre = estimated_shift(self.given)
        if max(map(abs, centre)) > (_NEAR if self._settings.size is None else 0):
            yield centre
        if self._settings.size is None:
            yield 0, 0

    def _is_off(self, learned: Learned) -> bool:
        return not learned.rmse <= EXACT * self.floor

    def _has_wild(self, learned: Learned) -> bool:
        """Tell whether any pixel is further off than the target's own error can be."""
        for pair in self.pairs:
            foretold, region = predicted(pair, learned.window, learned.solution)
            off = np.abs(pair.y[:, *region] - foretold).max(axis=0)
            if (off[pair.usable[region]] > _WILD * self.floor).any():
                return True
        return False

    def _about(self, centre: Size) -> Learned:
        """Return the best window about a place, and its kernel."""
        settings, size = self._settings, self.valid or self._settings.size
        if size is None:
            window, scores, found = chosen_window(
                self.pairs,
                self.floor,
                centre,
                bias=settings.bias,
                ridge=settings.ridge,
                largest=settings.largest,
            )
            around = scores.train.cut(grown(window).clipped(scores.window))
            return self._solved(window, around, tuple(found))
        window = Window(0, 0, *size) if self.valid else Window.around(size, centre)
        self._check_size(window)
        best = self._solved(window)
        outer = Window.around((size[0] + 4, size[1] + 4), centre)
        if self.valid or not self._is_off(best) or not _there(self.pairs, outer):
            return best
        scores = Scores(self.pairs, outer, self.floor, bias=settings.bias, ridge=settings.ridge)
        better = placed(scores, size, centre)
        return best if better == window else self._solved(better)

    def _check_size(self, window: Window) -> None:
        weights = len(self.given[0].x) * window.rows * window.columns
        if weights > MOST_WEIGHTS:
            raise FitError(
                f"{self.given[0].name}: a kernel of {by(window.size)} has {weights:,} weights, and "
                f"{MOST_WEIGHTS:,} at most can be fitted; use pictures of one size, or a smaller "
                "--size"
            )
        if not _there(self.given, window):
            smallest = min((pair.x.shape[1:] for pair in self.given), key=min)
            raise FitError(
                f"{self.given[0].name}: no pixel of {by(smallest)} has a whole window of "
                f"{by(window.size)} around it; use a smaller --size or larger pictures"
            )

    def _solved(
        self,
        window: Window,
        around: Normal | None = None,
        sizes: tuple[tuple[Size, float], ...] = (),
    ) -> Learned:
        bias, ridge = self._settings.bias, self._settings.ridge
        normal = sampled(self.pairs, window, held=False)
        start = solved(normal, bias=bias, ridge=ridge)
        solution = refined(self.pairs, start, normal, bias=bias, ridge=ridge)
        around = normal if around is None else around
        return self._scored(Learned(window, solution, normal, around, 0.0, 0.0, sizes))

    def _scored(self, learned: Learned) -> Learned:
        off = error(self.pairs, learned.window, learned.solution, held=True)
        if not off.numbers:
            off = error(self.pairs, learned.window, learned.solution, held=False)
        r2 = 1 - off.squares / off.deviations if off.deviations else math.nan
        return learned._replace(rmse=math.sqrt(off.mean), r2=r2)

    def certainty(self, normal: Normal) -> Certainty:
        """Return how sure the weights of a window are, over all pixels that were learned from."""
        known = self._certainties.get((normal.window, normal.pixels))
        if known is not None:
            return known
        learned_from = sum(
            int(np.count_nonzero((pair.usable & ~pair.held)[pair.region(normal.window)]))
            for pair in self.pairs
        )
        share = min(normal.pixels / max(learned_from, 1), 1.0) * self.pairs[0].planes
        bias, ridge = self._settings.bias, self._settings.ridge
        sure = certainty(normal, bias=bias, ridge=ridge, share=share)
        self._certainties[normal.window, normal.pixels] = sure
        return sure

    def descended(self, best: Learned, units: tuple[float, float]) -> tuple[Learned, list[float]]:
        """Return what gradient descent makes of the same window, and the loss of each epoch."""
        settings = self._settings
        end = descended(
            best.normal,
            bias=settings.bias,
            epochs=settings.epochs,
            rate=settings.rate,
            seed=settings.seed,
            units=units,
            watch=settings.watch,
            name=self.given[0].name,
        )
        return self._scored(best._replace(solution=end.solution)), end.losses


def _with_two_values(pair: Pair) -> Pair:
    """Return a pair whose target is black and white with both made usable: it was not clipped."""
    if pair.usable.any() or not pair.ends.any() or not np.ptp(pair.y):
        return pair
    return pair._replace(usable=pair.ends)


def _there(pairs: Sequence[Pair], window: Window) -> bool:
    """Tell whether any pixel has its whole window in the input."""
    regions = [pair.region(window) for pair in pairs]
    return any(r.stop > r.start and c.stop > c.start for r, c in regions)


def _centres(window: Window) -> list[Size]:
    """Return where a kernel may lie: about the pixel's own place, or where it was found so far."""
    middle = window.top + (window.rows - 1) // 2, window.left + (window.columns - 1) // 2
    return [(0, 0)] if max(map(abs, middle)) <= 2 else [(0, 0), middle]


def by(size: Sequence[int]) -> str:
    """Return rows and columns as a person writes them."""
    return "x".join(map(str, size))
