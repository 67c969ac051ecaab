"""From normal equations to weights, and how sure each of them is."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.fitting.normal import Normal

Array = npt.NDArray[Any]

_NOTHING = 1e-12
"""Directions with less than this share of the largest eigenvalue hold rounding, and no detail."""
_JITTERS = 0.0, 1e-12, 1e-9, 1e-6
"""What is added to a diagonal, by its size, until a matrix without full rank can be factorized."""


class Solution(NamedTuple):
    """Weights, shape (p, D), and bias, shape (D,)."""

    weights: Array
    bias: Array


def centred(normal: Normal, *, bias: bool) -> tuple[Array, Array]:
    """Return the equations of the weights alone, (p, p) and (p, D), the bias eliminated.

    Without a bias the weights' equations are just a part of all.
    """
    gram, moments = normal.gram[:-1, :-1], normal.moments[:-1]
    if not bias or not normal.pixels:
        return gram, moments
    sums, totals = normal.gram[:-1, -1:], normal.moments[-1:]
    return gram - sums @ sums.T / normal.pixels, moments - sums @ totals / normal.pixels


def solved(normal: Normal, *, bias: bool = True, ridge: float = 0.0) -> Solution:
    """Return the least-squares weights and bias; of many that are as good, the smallest weights.

    ridge : float. What a unit of squared weight adds to the mean squared error.
    """
    gram, moments = centred(normal, bias=bias)
    gram = gram + ridge * normal.pixels * np.eye(len(gram))
    weights = _least_squares(gram, moments)
    return Solution(weights, _bias_of(normal, weights, bias))


def _bias_of(normal: Normal, weights: Array, bias: bool) -> Array:
    if not bias or not normal.pixels:
        return np.zeros(weights.shape[1])
    return (normal.moments[-1] - normal.gram[-1, :-1] @ weights) / normal.pixels


def inverse(gram: Array) -> Array:
    """Return the inverse; where the matrix is singular, that of what there is of it."""
    if _is_regular(gram):
        return np.linalg.inv(gram)
    return np.linalg.pinv(gram, rcond=_NOTHING, hermitian=True)


def _is_regular(gram: Array) -> bool:
    try:
        pivots = np.diag(np.linalg.cholesky(gram))
    except np.linalg.LinAlgError:
        return False
    return bool(pivots.min() > np.sqrt(_NOTHING) * pivots.max())


def _least_squares(gram: Array, moments: Array) -> Array:
    if _is_regular(gram):
        return np.linalg.solve(gram, moments)
    return inverse(gram) @ moments


class Nested:
    """Solutions of the leading parts of one set of equations, of which each costs next to nothing.

    With G = L Lᵀ, the leading block of L⁻¹ is the inverse of the leading block of L: one
    factorization serves every part.

    normal : Normal
    order : sequence of int. The features, without the constant, in the order in which parts take
        them in.
    """

    def __init__(
        self, normal: Normal, order: npt.NDArray[np.intp], *, bias: bool, ridge: float
    ) -> None:
        gram, moments = centred(normal, bias=bias)
        gram, self._moments = gram[np.ix_(order, order)], moments[order]
        most = float(gram.diagonal().max(initial=0)) or 1.0
        gram[np.diag_indices_from(gram)] += ridge * normal.pixels
        self._normal, self._order, self._bias = normal, order, bias
        for nothing in _JITTERS:
            try:
                lower = np.linalg.cholesky(gram + nothing * most * np.eye(len(gram)))
                break
            except np.linalg.LinAlgError:
                continue
        self._inverse = np.linalg.inv(lower)

    def leading(self, count: int) -> Solution:
        """Return the solution of the first features, in their order."""
        part = self._inverse[:count, :count]
        weights = part.T @ (part @ self._moments[:count])
        if not self._bias or not self._normal.pixels:
            return Solution(weights, np.zeros(weights.shape[1]))
        sums = self._normal.gram[-1, self._order[:count]]
        return Solution(weights, (self._normal.moments[-1] - sums @ weights) / self._normal.pixels)


class Certainty(NamedTuple):
    """What the pixels say about the weights, whatever the target is.

    condition : float. The largest by the least eigenvalue; infinite where a direction has no detail
        at all.
    variances : ndarray, shape (p,). Of each weight, for a target whose noise has variance 1;
        infinite where nothing is known.
    weakest : ndarray, shape (p,). The direction of weights that the pixels say least about, of
        length 1.
    spread : float. The standard deviation of the weights in that direction, for noise of 1.
    """

    condition: float
    variances: Array
    weakest: Array
    spread: float


def certainty(normal: Normal, *, bias: bool, ridge: float, share: float = 1.0) -> Certainty:
    """Return how sure weights are; ``share`` is what the equations hold of all pixels."""
    gram, _ = centred(normal, bias=bias)
    gram = gram + ridge * normal.pixels * np.eye(len(gram))
    values, vectors = np.linalg.eigh(gram)
    known = values > max(values[-1], 0) * _NOTHING
    with np.errstate(divide="ignore"):
        inverse = np.where(known, share / np.where(known, values, 1), np.inf)
    variances = np.array([_sum(row**2, inverse) for row in vectors])
    condition = float(values[-1] / values[0]) if known[0] else float("inf")
    return Certainty(condition, variances, vectors[:, 0], float(np.sqrt(inverse[0])))


def _sum(parts: Array, inverse: Array) -> float:
    """Return the sum of products, in which an infinity counts only beside what is not nothing."""
    counted = parts > _NOTHING
    return float((parts[counted] * inverse[counted]).sum())
