"""How many hits chance gives: the tail of an image's own scores.

Scores of places that have nothing to do with the pattern spread about 0, and their z = artanh(s) is
nearly normal (Fisher 1921), so that the number N of those above s falls as log N = a - b·z². The
line is fitted to the best scores of windows apart, by rank, without the very best: hits lie there.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

SAMPLES = 400
"""Scores of an image, the best of windows apart, that its tail is found from."""
_RANKS = 8, 100
"""The scores that the line is fitted to, counted from the best."""
_SHARE = 0.4
"""Deeper in the list than this share of it scores are low for want of room, not by chance."""
_CERTAIN = 0.002
"""A score of which so few are expected is a hit, and not one of chance."""
_LOWEST = 0.02


class Tail(NamedTuple):
    """log N(s) = offset - slope·artanh(s)²: how many scores of s or more chance gives."""

    offset: float
    slope: float

    def expected(self, score: float) -> float:
        """Return how many false hits of that score or more an image like this gives."""
        return float(np.exp(min(self.offset - self.slope * float(_z(score)) ** 2, 700.0)))

    def threshold(self, count: float) -> float:
        """Return the score at which so many false hits are to be expected, 0..1."""
        return float(np.tanh(np.sqrt(max(self.offset - np.log(count), 0.0) / self.slope)))


def fitted_tail(scores: Array) -> Tail:
    """Return the tail of an image.

    scores : ndarray, shape (n,), best first. The best of all windows that are apart.
    """
    chance = scores[scores > _LOWEST]
    last = int(min(_RANKS[1], _SHARE * len(chance)))
    deep = _line(chance, last // 2, last)
    hits = sum(deep.expected(score) < _CERTAIN for score in chance[:last])
    return _line(chance[hits:], min(_RANKS[0], last // 4), last)


def _line(scores: Array, first: int, last: int) -> Tail:
    """Fit log N to ranks from ``first`` to ``last``, each weighed by the scores that it stands for.

    With too few scores for a line, it goes through the best of them at one expected.
    """
    ranks = np.arange(max(first, 1), min(last, len(scores)) + 1)
    z = _z(scores[ranks - 1]) ** 2
    if len(ranks) < 4 or np.ptp(z) == 0:
        best = float(_z(scores[0])) ** 2 if len(scores) else 1.0
        return Tail(4.0, 4.0 / max(best, 1e-6))
    slope, offset = np.polyfit(z, np.log(ranks - 0.3), 1, w=np.sqrt(ranks))
    return Tail(float(offset), float(max(-slope, 1e-6)))


def _z(score: Any) -> Any:
    return np.arctanh(np.clip(score, 0, 1 - 1e-7))
