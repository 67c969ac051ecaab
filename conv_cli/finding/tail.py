"""How many hits chance gives: the tail of an image's own scores.

Scores of places that have nothing to do with the pattern spread about 0, and their z = artanh(s) is
nearly normal (Fisher 1921). The number of maxima above z of a normal field over a plane falls as
z·exp(-z²/2σ²) (Adler, "The Geometry of Random Fields", 1981). That curve is fitted to the best
scores of windows apart, by rank, without the very best: hits lie there.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

SAMPLES = 400
"""Scores of an image, the best of windows apart, that its tail is found from."""
_RANKS = 5, 60
"""The scores that the curve is fitted to, counted from the best."""
_SHARE = 0.3
"""Deeper in the list than this share of it scores are low for want of room, not by chance."""
_FEW = 8
"""So many scores are fitted where the share of them would be less."""
_CERTAIN = 0.002
"""A score of which so few are expected is a hit, and not one of chance."""
_LEAST = 0.02
_MOST = 1 - 1e-7


class Tail(NamedTuple):
    """log N = offset + log z - slope·z²: how many scores chance gives above one."""

    offset: float
    slope: float

    def expected(self, score: float) -> float:
        """Return how many false hits of that score or more an image like this gives."""
        z = max(math.atanh(min(max(score, 0.0), _MOST)), self._summit)
        return math.exp(min(self.offset + math.log(z) - self.slope * z * z, 700.0))

    def threshold(self, count: float) -> float:
        """Return the score, 0 to 1, at which so many false hits are to be expected."""
        low, high = math.tanh(self._summit), 1.0
        if self.expected(low) <= count:
            return 0.0
        while high - low > 1e-9:
            middle = (low + high) / 2
            low, high = (middle, high) if self.expected(middle) > count else (low, middle)
        return high

    @property
    def _summit(self) -> float:
        """The z below which the curve would fall again; it stays as high there."""
        return 1 / math.sqrt(2 * self.slope)


def fitted_tail(scores: Array) -> Tail:
    """Return the tail of an image.

    scores : ndarray, shape (n,), best first. The best of all windows that are apart.
    """
    chance = scores[scores > _LEAST]
    last = max(_FEW, min(_RANKS[1], int(_SHARE * len(chance))))
    deep = _curve(chance, last // 2, last)
    hits = sum(deep.expected(float(score)) < _CERTAIN for score in chance[:last])
    return _curve(chance[hits:], min(_RANKS[0], last // 4), last)


def _curve(scores: Array, first: int, last: int) -> Tail:
    """Return the curve through ranks from ``first`` to ``last``, weighed by what each stands for.

    With too few scores for that, the best of them is expected to be the one of chance.
    """
    ranks = np.arange(max(1, min(first, len(scores) - 5)), min(last, len(scores)) + 1)
    z = np.arctanh(np.clip(scores[ranks - 1], _LEAST, _MOST))
    if len(ranks) < 4 or np.ptp(z) == 0:
        best = float(np.arctanh(min(scores[0], _MOST))) if len(scores) else 1.0
        slope = 4 / best**2
        return Tail(4 - math.log(best), slope)
    height = np.log(ranks - 0.3) - np.log(z)
    slope, offset = np.polyfit(z**2, height, 1, w=np.sqrt(ranks))
    return Tail(float(offset), float(max(-slope, 1e-6)))
