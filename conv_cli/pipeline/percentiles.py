"""Percentiles of values that are seen piece by piece, in memory that does not grow with them."""

from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[Any]

_SHIFT = 12
_LOW = np.uint32((1 << _SHIFT) - 1)
_SIGN = np.uint32(1 << 31)


class Tally:
    """Counts of values in bins of a 2048th of their magnitude.

    A bin is the sign, the exponent and the first 11 bits behind the point of a float32, so that
    whole numbers up to 2048 have bins of their own.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(1 << (32 - _SHIFT), np.int64)

    def add(self, values: Values) -> None:
        """Count some values, of any shape; those that are not finite are left out."""
        flat = values.ravel().astype(np.float32)
        bits = flat[np.isfinite(flat)].view(np.uint32)
        # Negative numbers count downwards: with all their bits turned, keys rise as values do.
        keys = np.where(bits & _SIGN, ~bits, bits | _SIGN) >> np.uint32(_SHIFT)
        if keys.size:
            first = int(keys.min())
            counts = np.bincount(keys - np.uint32(first))
            self._counts[first : first + len(counts)] += counts

    def percentile(self, share: float, *, magnitudes: bool = False) -> float:
        """Return the least value that ``share`` percent of all do not exceed.

        magnitudes : bool. Of their magnitudes, in place of the values.
        """
        keys = np.flatnonzero(self._counts)
        above = keys >= 1 << (31 - _SHIFT)
        bits = keys.astype(np.uint32) << np.uint32(_SHIFT)
        values = np.where(above, bits ^ _SIGN, ~(bits | _LOW)).view(np.float32)
        counts = self._counts[keys]
        if magnitudes:
            order = np.argsort(np.abs(values), kind="stable")
            values, counts = np.abs(values)[order], counts[order]
        reached = np.cumsum(counts)
        rank = np.ceil(share / 100 * reached[-1])
        return float(values[np.searchsorted(reached, max(rank, 1))])
