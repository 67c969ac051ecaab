"""Shift-and-add programs: which sums of shifted images make a correlation, with how few of them.

Equal weights are added first and multiplied once, zeros are skipped, a weight of 1 costs no
multiplication. Whole-number kernels that are a column times a row become one pass each, and a pass
of binomial weights becomes passes of ``1 1``: sobel-x is ``[1 0 -1]``, ``[1 1]ᵀ`` and ``[1 1]ᵀ``,
three operations in place of five additions and a multiplication.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.correlation.factors import whole_factors

Array = npt.NDArray[Any]

_FEW = 1000
"""Kernels of more weights are not searched for equal ones: something else is cheaper anyway."""


class Tap(NamedTuple):
    """Where a weight reads, in rows and columns of the window and by channel of the group."""

    channel: int
    row: int
    column: int


class Group(NamedTuple):
    """Taps that share a weight, but for the sign: weight · (sum of plus - sum of minus).

    There is a ``plus`` tap in each; the weight keeps the dtype of the kernel.
    """

    weight: np.generic
    plus: tuple[Tap, ...]
    minus: tuple[Tap, ...]


def groups(weights: Array, dilation: tuple[int, int]) -> list[Group]:
    """Return the groups of a kernel (C, kh, kw), that of weight 1 first if there is one."""
    found, magnitudes = [], _magnitudes(weights)
    for size in _sizes(weights):
        alike = magnitudes == size
        plus, minus = alike & (weights > 0), alike & (weights < 0)
        first, second = (plus, minus) if plus.any() else (minus, plus)
        weight = weights[first][0]
        found.append(Group(weight, _taps(first, dilation), _taps(second, dilation)))
    return sorted(found, key=lambda group: bool(group.weight != 1))


def passes(kernel: Array, *, whole: bool) -> list[Array]:
    """Return the kernels (kh, kw) to be applied one after the other in place of one, cheapest.

    Only whole numbers are taken apart; no sum on the way exceeds the largest of the result's.
    """
    terms = whole_factors(kernel) if whole and min(kernel.shape) > 1 else None
    alone = _split(kernel) if whole else [kernel]
    if terms is None:
        return alone
    ((column, row),) = terms
    apart = _split(row[None]) + _split(column[:, None])
    return min(alone, apart, key=lambda several: sum(map(steps, several)))


def steps(weights: Array) -> int:
    """Return how many operations on whole arrays a kernel takes: additions and multiplications."""
    taps = int(np.count_nonzero(weights))
    multiplied = taps if taps > _FEW else int((_sizes(weights) != 1).sum())
    return max(1, taps - 1 + multiplied)


def _sizes(weights: Array) -> Array:
    # np.unique would load numpy.ma, a tenth of what NumPy itself takes.
    sizes = np.sort(_magnitudes(weights[weights != 0]))
    return sizes[np.concatenate([[True], sizes[1:] != sizes[:-1]])[: len(sizes)]]


def _magnitudes(weights: Array) -> Array:
    """Return |w|; in its own dtype the least whole number has no negative."""
    if weights.dtype.kind != "i":
        return np.abs(weights)
    return np.abs(weights.astype(np.int64)).astype(np.uint64)


def _taps(mask: Array, dilation: tuple[int, int]) -> tuple[Tap, ...]:
    return tuple(
        Tap(int(c), int(i) * dilation[0], int(j) * dilation[1]) for c, i, j in np.argwhere(mask)
    )


def _split(kernel: Array) -> list[Array]:
    """Take ``1 1`` out of one row or column as often as that saves a step.

    Weights of both signs are left alone: their sum on the way could exceed that of the result.
    """
    flat = kernel.ravel()
    if flat.size not in kernel.shape or flat.size < 3 or flat.min() < 0 < flat.max():
        return [kernel]
    if np.abs(flat.astype(np.float64)).sum() >= 2**53:  # float64 would lose digits
        return [kernel]
    shape = (1, -1) if kernel.shape[0] == 1 else (-1, 1)
    ones = []
    while flat.size > 2:
        signs = np.resize([1.0, -1.0], flat.size)
        quotient = np.cumsum(flat * signs) * signs
        if quotient[-1] != 0 or 1 + steps(quotient[:-1]) >= steps(flat):
            break
        ones.append(np.ones(2).reshape(shape))
        flat = quotient[:-1]
    return [flat.reshape(shape), *ones]
