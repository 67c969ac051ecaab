"""How far two pictures are moved against each other, told before any kernel is known."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from conv_cli.fitting.pairs import Pair, Size

_SIDE = 1024
_BLUR = 5


def estimated_shift(pairs: Sequence[Pair]) -> Size:
    """Return the row and column, from a target pixel's own place, about which its window lies.

    The peak of the phase correlation (Kuglin and Hines, 1975) of the middles of the largest pair:
    whatever the kernel is, its weights lie close to each other.
    """
    pair = max(pairs, key=lambda pair: pair.usable.sum())
    if not pair.same_size:
        return 0, 0
    height, width = pair.y.shape[1:]
    rows, columns = (
        slice((n - min(n, _SIDE)) // 2, (n + min(n, _SIDE)) // 2) for n in (height, width)
    )
    before = pair.x[:, rows, columns].mean(axis=0, dtype=np.float64)
    after = np.where(pair.usable, pair.y.mean(axis=0, dtype=np.float64), np.nan)[rows, columns]
    if np.isfinite(after).sum() < 2:
        return 0, 0
    after = np.where(np.isfinite(after), after, np.nanmean(after))
    strength = _blurred(np.abs(_phases(before, after)) ** 2)
    # Circular: what lies in the second half is negative. The target's pixel p is the input's p + d.
    peak = np.unravel_index(int(np.argmax(strength)), strength.shape)
    row, column = (
        -(int(p) if p <= n // 2 else int(p) - n) for p, n in zip(peak, strength.shape, strict=True)
    )
    return row, column


def _phases(before: npt.NDArray[Any], after: npt.NDArray[Any]) -> npt.NDArray[Any]:
    window = np.outer(*(np.hanning(n + 2)[1:-1] for n in before.shape))
    one, other = (np.fft.rfft2((image - image.mean()) * window) for image in (before, after))
    product = other * np.conj(one)
    size = np.abs(product)
    return np.fft.irfft2(product / (size + 1e-3 * size.mean() + 1e-300), before.shape)


def _blurred(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return sums over squares of `_BLUR` rows and columns, the image going on in a circle."""
    for axis in (0, 1):
        steps = range(-(_BLUR // 2), _BLUR // 2 + 1)
        values = np.sum([np.roll(values, step, axis) for step in steps], axis=0)
    return values
