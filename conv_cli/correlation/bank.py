"""What the weights of a correlation are like, whatever the image: found once for each bank."""

from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from conv_cli.correlation import program
from conv_cli.correlation.factors import ROUNDED, Factors, factors, whole_factors

Weights = npt.NDArray[Any]
_REMEMBERED = 64


class Bank:
    """The kernels of a problem, shape (O, C/groups, kh, kw).

    weights : ndarray, read-only
    whole : bool. All are finite and have no fraction.
    balance : float. The least |sum| / sum of magnitudes among the outputs; 1 where all weights are
        0.
    gain : float. The largest sum of magnitudes of an output: no result is larger for pixels up to
        1.
    """

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self._finite = bool(np.isfinite(weights).all())
        self.whole = weights.dtype.kind in "bui" or (
            self._finite and bool((weights == np.rint(weights)).all())
        )
        flat = weights.reshape(len(weights), -1).astype(np.float64)
        sums, magnitudes = np.abs(flat.sum(axis=1)), np.abs(flat).sum(axis=1)
        shares = np.divide(sums, magnitudes, out=np.ones(len(flat)), where=magnitudes > 0)
        self.balance, self.gain = float(shares.min()), float(magnitudes.max())

    @cached_property
    def steps(self) -> int:
        """Operations on whole arrays that shift-and-add takes."""
        return sum(map(program.steps, self.weights))

    @cached_property
    def steps_apart(self) -> int:
        """The same where whole-number kernels are taken apart."""
        if self.weights.shape[1] > 1:
            return self.steps
        several = (program.passes(kernel, whole=True) for kernel in self.weights[:, 0])
        return sum(program.steps(part) for parts in several for part in parts)

    def terms(self, dtype: np.dtype[Any], *, whole: bool) -> list[Factors]:
        """Return the terms of every output's kernel; none where one has none, or several channels.

        dtype : numpy.dtype. Of the pixels: float64 has use for the last bits of the weights.
        whole : bool. The factors are to be whole numbers.
        """
        if whole:
            return self._whole_terms
        return self._exact_terms if dtype == np.float64 else self._rounded_terms

    @cached_property
    def _exact_terms(self) -> list[Factors]:
        return self._all_terms(factors)

    @cached_property
    def _rounded_terms(self) -> list[Factors]:
        return self._all_terms(lambda kernel: factors(kernel, ROUNDED))

    @cached_property
    def _whole_terms(self) -> list[Factors]:
        return self._all_terms(whole_factors)

    def _all_terms(self, find: Callable[[Weights], Factors | None]) -> list[Factors]:
        found: list[Factors] = []
        if self.weights.shape[1] > 1 or not self._finite:
            return []
        for kernel in self.weights[:, 0]:
            terms = find(kernel)
            if not terms:
                return []
            found.append(terms)
        return found


def bank_of(weights: Weights) -> Bank:
    """Return the bank of these weights, the same one as for the last image if it can be."""
    return _bank(np.ascontiguousarray(weights).tobytes(), weights.dtype.str, weights.shape)


@lru_cache(_REMEMBERED)
def _bank(data: bytes, dtype: str, shape: tuple[int, ...]) -> Bank:
    return Bank(np.frombuffer(data, dtype).reshape(shape))
