"""How many hits chance gives: the tail of an image's own scores."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

SAMPLES = 400
"""Scores of an image, the best of windows apart, that its tail is fitted to."""


class Tail(NamedTuple):
    """log N(s) = offset - slope·z(s): the number of hits expected at a score of s or more.

    z is Fisher's transform, the inverse hyperbolic tangent.
    """

    offset: float
    slope: float

    def expected(self, score: float) -> float:
        """Return how many false hits of that score or more an image like this gives."""
        return float(np.exp(min(self.offset - self.slope * _z(score), 700.0)))

    def threshold(self, count: float) -> float:
        """Return the score at which so many false hits are to be expected."""
        if self.slope <= 0:
            return 1.0
        return float(np.clip(np.tanh((self.offset - np.log(count)) / self.slope), 0.0, 1.0))


def fitted_tail(scores: Array) -> Tail:
    raise NotImplementedError


def _z(score: Any) -> Any:
    return np.arctanh(np.clip(score, -1, 1 - 1e-7))
