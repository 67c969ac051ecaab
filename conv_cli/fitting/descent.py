"""Gradient descent on the squared error, as the lesson does it, on the normal equations.

The gradient over all pixels is 2 (G w - m), with G = Σ φ φᵀ and m = Σ φ y: an epoch over millions
of pixels costs no more than one over a hundred.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.errors import FitError
from conv_cli.fitting.normal import Normal
from conv_cli.fitting.solve import Solution, centred, inverse

Array = npt.NDArray[Any]

_START = 1e-4
"""Standard deviation of the weights before the first epoch: what no pixel tells stays about 0."""
_RATE = 0.05
"""The default: along every direction of decorrelated pixels a tenth of the way an epoch."""

_ROUNDING = 4 * float(np.finfo(float).eps)
"""Of a loss, by the size of the terms that it is the sum of."""
_RUNAWAY = 1e9
"""A loss so many times that of the first epoch will not come back."""


class Descent(NamedTuple):
    """Where it ended, and the loss after each epoch.

    losses : list of float. Squared errors, summed over the pixels that are learned from and all
        outputs, counted in white. The last may be 0, and the descent ends there.
    """

    solution: Solution
    losses: list[float]


def descended(
    normal: Normal,
    *,
    bias: bool,
    epochs: int,
    rate: float | None,
    seed: int,
    units: tuple[float, float],
    watch: Callable[[int, float, Array], None] | None = None,
    name: str = "pair",
) -> Descent:
    """Return what gradient descent makes of random weights.

    rate : float or None. The weights take this many times the gradient of the summed squared error,
        pixels counted in white, off each epoch. None: the pixels of the window are decorrelated
        first, which makes every direction equally steep, and a rate is taken that suits them all.
    units : (float, float). What white is in the input and in the target: 255 for 8 bits, 1 for
        floats.
    watch : callable, optional. Is told the epoch, counted from 1, its loss, and the weights (p, D)
        after it.
    name : str. What errors call the pair.

    Raises FitError if the weights run away, with a rate that would not let them.
    """
    rng = np.random.default_rng(seed)
    weights = rng.normal(0, _START, (len(normal.gram) - 1, normal.moments.shape[1]))
    plain = None if rate is None else _Plain(normal, bias, rate, units)
    step = plain or _Decorrelated(normal, bias)
    solution = step.begin(weights)
    losses: list[float] = []
    for epoch in range(1, epochs + 1):
        with np.errstate(over="ignore", invalid="ignore"):
            solution = step(solution)
            loss = _loss(normal, solution) / units[1] ** 2
        if plain and not loss < _RUNAWAY * max([*losses[:1], 1.0]):
            raise FitError(
                f"{name}: gradient descent runs away in epoch {epoch} at rate {rate:g}; use a "
                f"smaller --lr, below {plain.limit():.2g}, or leave it out"
            )
        losses.append(loss)
        if watch is not None:
            watch(epoch, loss, solution.weights)
        if loss == 0:
            break
    return Descent(solution, losses)


def _loss(normal: Normal, solution: Solution) -> float:
    """Return the summed squared error; 0 where it is less than the rounding of its own terms."""
    stacked = np.vstack(solution)
    energy, moments = normal.energy.sum(), stacked * normal.moments
    error = energy - 2 * moments.sum() + (stacked * (normal.gram @ stacked)).sum()
    sizes = np.abs(stacked)
    terms = energy + 2 * np.abs(moments).sum() + (sizes * (np.abs(normal.gram) @ sizes)).sum()
    return 0.0 if error <= _ROUNDING * terms else float(error)


class _Plain:
    """w ← w - rate ∂/∂w Σ (y - ŷ)², pixels of both pictures counted in white."""

    def __init__(self, normal: Normal, bias: bool, rate: float, units: tuple[float, float]) -> None:
        before, after = units
        features = np.append(np.full(len(normal.gram) - 1, 1 / before), 1.0)[:, None]
        self._gram = normal.gram * features * features.T
        self._moments = normal.moments * features / after
        # What weights and bias, counted so, are in the pictures' own units.
        self._own = after * features
        self._free = np.arange(len(self._gram) - (not bias))
        self._rate = rate

    def begin(self, weights: Array) -> Solution:
        stacked = np.vstack([weights, np.zeros(weights.shape[1])]) * self._own
        return Solution(stacked[:-1], stacked[-1])

    def __call__(self, solution: Solution) -> Solution:
        stacked = np.vstack(solution) / self._own
        gradient = 2 * (self._gram @ stacked - self._moments)
        stacked[self._free] -= self._rate * gradient[self._free]
        stacked *= self._own
        return Solution(stacked[:-1], stacked[-1])

    def limit(self) -> float:
        """Return the rate from which on weights run away: 1 / the largest eigenvalue."""
        free = self._gram[np.ix_(self._free, self._free)]
        return 1 / float(np.linalg.eigvalsh(free)[-1])


class _Decorrelated:
    """The same step in coordinates in which the pixels of the window are not correlated."""

    def __init__(self, normal: Normal, bias: bool) -> None:
        self._normal, self._bias = normal, bias
        self._gram, self._moments = centred(normal, bias=bias)
        self._inverse = inverse(self._gram)

    def begin(self, weights: Array) -> Solution:
        return self._with_bias(weights)

    def __call__(self, solution: Solution) -> Solution:
        gradient = 2 * (self._gram @ solution.weights - self._moments)
        return self._with_bias(solution.weights - _RATE * (self._inverse @ gradient))

    def _with_bias(self, weights: Array) -> Solution:
        normal = self._normal
        if not self._bias:
            return Solution(weights, np.zeros(weights.shape[1]))
        rest = normal.moments[-1] - normal.gram[-1, :-1] @ weights
        return Solution(weights, rest / max(normal.pixels, 1))
