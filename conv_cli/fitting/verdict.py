"""What may be said of a fit: explained, not explained, or not to be known from these pictures."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from conv_cli.fitting.normal import Normal
from conv_cli.fitting.pairs import HELD_OUT, Pair, Window
from conv_cli.fitting.refine import predicted
from conv_cli.fitting.sizes import PIXELS_PER_WEIGHT
from conv_cli.fitting.solve import Certainty, Solution

Array = npt.NDArray[Any]
Verdict = Literal["exact", "good", "noisy", "poor", "underdetermined"]

VERDICTS: tuple[Verdict, ...] = ("exact", "good", "noisy", "poor", "underdetermined")
SURE = VERDICTS[:3]
"""Verdicts by which a kernel makes the target, the last of them but for noise."""
LEFT: dict[Verdict, str] = {
    "exact": "what is left is the target's own rounding",
    "good": "what is left is little more than the target's own rounding",
}
"""What the error is where a kernel explains the target."""
EXACT, GOOD = 1.1, 3.0
"""Up to so many floors of error, a fit is exact, or good."""
_UNSURE = 0.05
"""A kernel that may be off by more than this, as the length of a vector, is not known."""
_STILL = 1e-6
"""Neighbours that differ by less than this share of the pixels' own size do not differ."""
_APART = 0.5
_SOME = 0.002


def graded(rmse: float, floor: float) -> Verdict:
    """Return the verdict on an error, against what the target's own rounding leaves."""
    return "exact" if rmse <= EXACT * floor else "good" if rmse <= GOOD * floor else "poor"


def lacking(normal: Normal, sure: Certainty, floor: float, *, bias: bool, least: int = 1) -> str:
    """Return what the pixels do not tell, and what would; "" if they tell enough.

    normal : Normal. Equations of a window that holds the kernel.
    sure : Certainty. What they say.
    floor : float. The target's own error.
    least : int. Rows and columns that it must be possible to tell apart.
    """
    rows, columns = (max(side, least) for side in normal.window.size)
    weights = normal.channels * rows * columns + bias
    if normal.pixels < PIXELS_PER_WEIGHT * weights:
        whole = round(normal.pixels / (1 - 1 / HELD_OUT))
        return (
            f"only {whole:,} usable pixels for {weights} unknown weights; use larger pictures, "
            "more pairs or a smaller --size"
        )
    if sure.spread * floor <= _UNSURE * max(_gain(normal), 1.0):
        return ""
    return (
        f"{_still(normal)}, so many kernels give this target; use a picture with fine detail in "
        "every direction, such as a photograph with grain, or a smaller --size"
    )


def _gain(normal: Normal) -> float:
    """Return how much more the target varies than the input: about how large weights are."""
    count = max(normal.pixels, 1)
    means = normal.gram[-1, :-1] / count
    before = float((np.diag(normal.gram)[:-1] / count - means**2).max(initial=0))
    after = float((normal.energy / count - (normal.moments[-1] / count) ** 2).max())
    return math.sqrt(max(after, 0.0) / before) if before > 0 else 0.0


def _still(normal: Normal) -> str:
    """Return in which directions the input does not change."""
    rows, columns = normal.window.size
    energy = np.diag(normal.gram)[:-1].reshape(normal.channels, rows, columns)
    size = float(energy.max()) or 1.0
    numbers = np.arange(normal.channels * rows * columns).reshape(energy.shape)

    def change(one: Array, other: Array) -> float:
        i, j = one.ravel(), other.ravel()
        gram = normal.gram
        steps = gram[i, i] + gram[j, j] - 2 * gram[i, j]
        return float(steps.max(initial=0)) / size

    down = change(numbers[:, 1:], numbers[:, :-1]) > _STILL
    across = change(numbers[:, :, 1:], numbers[:, :, :-1]) > _STILL
    if not down and not across:
        return "the input is flat"
    if not down:
        return "the input does not change from row to row"
    if not across:
        return "the input does not change from column to column"
    return "the input repeats itself, or is too smooth to tell neighbouring weights apart"


def unexplained(
    before: Sequence[Pair], pairs: Sequence[Pair], window: Window, solution: Solution, floor: float
) -> str:
    """Return what speaks against a kernel in the pixels that were left out; "" if nothing does.

    Pixels may be hidden, and then it is by chance how bright they ought to be. If those that the
    kernel fails on are just the dark ones, or the bright ones, the filter is not linear.

    before, pairs : sequence of Pair. As they were given, and without their outliers.
    """
    used, lost = [], []
    left_out = sum(
        int(np.count_nonzero(given.ends)) + int(np.count_nonzero(given.usable & ~pair.usable))
        for given, pair in zip(before, pairs, strict=True)
    )
    if left_out <= _SOME * sum(pair.ends.size for pair in pairs):
        return ""
    for given, pair in zip(before, pairs, strict=True):
        made, region = predicted(pair, window, solution)
        made, target = made[0], given.y[0, *region]
        ends, usable = given.ends[region], pair.usable[region]
        limited = np.clip(made, target.min(), target.max())
        off = np.abs(limited - target) > 6 * floor
        used.append(made[usable])
        lost.append(made[off & (ends | (given.usable[region] & ~usable))])
    good, bad = np.concatenate(used), np.concatenate(lost)
    if len(bad) <= _SOME * (len(good) + len(bad)) or not len(good):
        return ""
    low, high = np.percentile(good, [1, 99])
    share = float(((bad < low) | (bad > high)).mean())
    if share < _APART:
        return ""
    side = "dark" if (bad < low).sum() >= (bad > high).sum() else "bright"
    return f"{len(bad) / (len(good) + len(bad)) * 100:.3g} % of the pixels, the {side} ones, differ"
