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
ROUNDED = 1e-7
"""What may be left of a kernel for pixels of float32, as a share of the sum of its magnitudes: the
last bits of weights that were float32 once, or had 8 digits. An FFT errs by as much."""
LEAST_BALANCE = 1e-6
"""A kernel whose sum is a smaller share of its magnitudes is a derivative: what float32 loses of
large pixels may be more than it finds."""
_NEAR = 8
"""How many times as much elimination may leave as the best fit does."""


def factors(weights: Array, left: float = 0) -> Factors | None:
    """Return the terms that a kernel (kh, kw) is the sum of, or None if they would not pay.

    Each term is a column of what is left times a row of it, over the weight where they cross, the
    largest one: Gaussian elimination with full pivoting. It finds the rank as an SVD does, at
    k·k operations a term, and the factors of rank 1 are weights as they were typed.

    left : float. What may be left in the end, all magnitudes added, by those of the kernel; the
        terms have the kernel's own sum then, so that even colour is not touched.
    """
    rest = weights.astype(np.float64)
    most, allowed = np.abs(rest).max(), left * np.abs(rest).sum()
    found: Factors = []
    pays = max(1, weights.size // sum(weights.shape))
    while len(found) <= min(_MOST_TERMS, pays):
        i, j = np.unravel_index(np.abs(rest).argmax(), rest.shape)
        if abs(rest[i, j]) > _EXACT * most and np.abs(rest).sum() <= _NEAR * allowed:
            fitted = _fitted(found, weights.astype(np.float64), allowed)
            if fitted:
                return fitted if _read_nothing_more(fitted, weights) else None
        if abs(rest[i, j]) <= _EXACT * most:
            return found if _read_nothing_more(found, weights) else None
        column, row = rest[:, j].copy(), rest[i] / rest[i, j]
        found.append((column, row))
        rest -= np.outer(column, row)
    return None


def _fitted(terms: Factors, weights: Array, allowed: float) -> Factors:
    """Return the terms with columns that fit the weights best, and sum to what these sum to.

    A blur keeps its brightness so, and a derivative finds nothing in an even colour. None where the
    magnitudes of what is left sum to more than is allowed.
    """
    rows = np.array([row for _, row in terms])
    columns = np.linalg.lstsq(rows.T, weights.T)[0]
    rest = weights - columns.T @ rows
    sums = columns.sum(axis=1) * rows.sum(axis=1)
    number, size = int(np.abs(sums).argmax()), np.abs(weights).sum()
    needed = abs(weights.sum()) <= LEAST_BALANCE * size
    if abs(rest.sum()) > _EXACT * size and (needed or abs(sums[number]) > 0.1 * size):
        columns[number] *= 1 + rest.sum() / (sums[number] or 1)
        rest = weights - columns.T @ rows
    is_even = abs(rest.sum()) <= _EXACT * size or not needed
    is_near = np.abs(rest).sum() <= allowed
    return list(zip(columns, rows, strict=True)) if is_even and is_near else []


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
