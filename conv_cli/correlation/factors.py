"""Kernels as sums of a column times a row: how many such terms one has, and which.

Two 1-D passes a term cost k + k weights a pixel in place of k·k.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Factors = list[tuple[Array, Array]]
"""One (column, row) a term, float64; the kernel is the sum of their outer products."""

_MOST_TERMS = 6
_EXACT = 1e-14
"""What may be left of a kernel, as a share of its largest weight: the last bits of float64."""


def factors(weights: Array) -> Factors | None:
    """Return the terms that a kernel (kh, kw) is the sum of, or None if they would not pay.

    Each term is a column of what is left times a row of it, over the weight where they cross, the
    largest one: Gaussian elimination with full pivoting. It finds the rank as an SVD does, at
    k·k operations a term, and the factors of rank 1 are weights as they were typed.
    """
    rest = weights.astype(np.float64)
    most = np.abs(rest).max()
    found: Factors = []
    pays = max(1, weights.size // sum(weights.shape))
    while len(found) <= min(_MOST_TERMS, pays):
        i, j = np.unravel_index(np.abs(rest).argmax(), rest.shape)
        if abs(rest[i, j]) <= _EXACT * most:
            return found if _read_nothing_more(found, weights) else None
        column, row = rest[:, j].copy(), rest[i] / rest[i, j]
        found.append((column, row))
        rest -= np.outer(column, row)
    return None


def _read_nothing_more(terms: Factors, weights: Array) -> bool:
    """Tell whether a weight of zero is one in every term: two that cancel leave a rounding."""
    return not any(np.outer(column, row)[weights == 0].any() for column, row in terms)


def whole_factors(weights: Array) -> Factors | None:
    """Return the one term, in whole numbers, of a whole-number kernel (kh, kw) of rank 1, or None.

    The row has no common divisor, so the column takes all of the kernel's.
    """
    weights = weights.astype(np.float64)
    rows = np.flatnonzero(weights.any(axis=1))
    if not rows.size or np.abs(weights).max() >= 2**53:
        return None
    row = weights[rows[0]]
    row = row / np.gcd.reduce(row.astype(np.int64))
    j = np.abs(row).argmax()
    column = np.rint(weights[:, j] / row[j])
    return [(column, row)] if (np.outer(column, row) == weights).all() else None
