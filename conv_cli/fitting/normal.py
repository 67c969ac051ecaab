"""Normal equations: all that least squares needs to know of millions of pixels, in a small matrix.

A feature is an input pixel of the window; the last is the constant 1, for the bias. The matrix is
a sum over pixels, so parts, pairs and machines add up. It is summed over a sample of the pixels:
what the others have to say comes in by ``refine``, which needs no matrix.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.fitting.pairs import HELD_OUT, Pair, Window
from conv_cli.parallel.threads import summed

Array = npt.NDArray[Any]

_CHUNK = 256
"""Pixels whose products are summed in float32: 256 · 255² is below 2²⁴, so 8-bit sums are exact."""
_PARTS = 1 << 22, 32
"""Numbers in the partial sums of one product, and how many partial sums at most."""
_BLOCKS = 8
"""So many products are summed by one thread before they are added to those of the others."""
_MOST_PIXELS = 600_000
_FEWEST_PER_WEIGHT = 12
_WORK = 9e10
"""Multiply-adds that a sample may cost, beyond what the fewest pixels take."""
TRIAL = 0.35
"""So much of it where a window is only to be chosen."""


class Normal(NamedTuple):
    """Sums over pixels of the products of features φ (p, the last is 1) and targets y (D).

    gram : ndarray, shape (p, p). Σ φ φᵀ.
    moments : ndarray, shape (p, D). Σ φ yᵀ.
    energy : ndarray, shape (D,). Σ y².
    pixels : int
    window : Window
    channels : int. Of the input; the features are (channels, rows, columns) in that order.
    """

    gram: Array
    moments: Array
    energy: Array
    pixels: int
    window: Window
    channels: int

    def cut(self, window: Window) -> "Normal":
        """Return the equations of a smaller window."""
        shape = (self.channels, *self.window.size)
        numbers = np.arange(len(self.gram) - 1).reshape(shape)
        inner = numbers[:, *window.within(self.window)].ravel()
        return self.part(inner)._replace(window=window)

    def part(self, features: Array) -> "Normal":
        """Return the equations of some features, in their order, and the constant."""
        chosen = np.append(features, len(self.gram) - 1)
        return self._replace(gram=self.gram[np.ix_(chosen, chosen)], moments=self.moments[chosen])

    def squared_error(self, weights: Array, bias: Array) -> float:
        """Return the mean squared error of weights (p-1, D) and a bias (D,)."""
        solution = np.vstack([weights, bias])
        error = self.energy - 2 * (solution * self.moments).sum(axis=0)
        error += (solution * (self.gram @ solution)).sum(axis=0)
        return max(float(error.mean()) / max(self.pixels, 1), 0.0)


def sample_size(features: int, share: float = 1.0) -> int:
    """Return how many pixels a sample takes for so many features, at a share of the usual cost."""
    return int(min(_MOST_PIXELS, max(_FEWEST_PER_WEIGHT * features, share * _WORK / features**2)))


def sampled(pairs: Sequence[Pair], window: Window, *, held_out: bool, share: float = 1.0) -> Normal:
    """Return the normal equations over an even sample of the pixels, of those held out or not.

    Where there are no more pixels than a sample takes, it takes all. A share of 0 of its cost is
    the least that tells anything.
    """
    channels, outputs = len(pairs[0].x), len(pairs[0].y)
    features = channels * window.rows * window.columns + 1
    count = sample_size(features, share)
    size = _CHUNK * min(max(_PARTS[0] // features**2, 1), _PARTS[1])
    pieces = [
        (pair, some[start : start + _BLOCKS * size])
        for pair, some in chosen(pairs, window, count, held_out=held_out)
        for start in range(0, len(some), _BLOCKS * size)
    ]

    def of_piece(piece: tuple[Pair, Array]) -> list[Array]:
        pair, some = piece
        total = _products(*gathered(pair, window, some[:size]))
        for start in range(size, len(some), size):
            for sums, more in zip(
                total, _products(*gathered(pair, window, some[start : start + size])), strict=True
            ):
                sums += more
        return total

    zeros = [np.zeros((features, features)), np.zeros((features, outputs)), np.zeros(outputs)]
    gram, moments, energy = summed(of_piece, pieces) or zeros
    return Normal(gram, moments, energy, sum(len(some) for _, some in pieces), window, channels)


def chosen(
    pairs: Sequence[Pair], window: Window, count: int, *, held_out: bool | None
) -> list[tuple[Pair, Array]]:
    """Return an even sample of each pair's pixels, by their numbers over the whole target.

    count : int. About how many pixels are taken of all pairs together; all, if there are fewer.
    held_out : bool or None. Take those that are held out, those that are not, or both.
    """
    share_of = {None: 1.0, True: 1 / HELD_OUT, False: 1 - 1 / HELD_OUT}[held_out]
    there = sum(int(pair.usable[pair.region(window)].sum()) for pair in pairs) * share_of
    step = max(1.0, there / max(count, 1))
    return [(pair, _every(pair, window, step, held_out)) for pair in pairs]


def _every(pair: Pair, window: Window, step: float, held_out: bool | None) -> Array:
    rows, columns = pair.region(window)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    total = height * width
    numbers = (np.arange(math.ceil(total / step)) * step).astype(np.intp)
    row, column = np.divmod(numbers[numbers < total], max(width, 1))
    places = (row + rows.start) * pair.y.shape[2] + column + columns.start
    usable = pair.usable.ravel()[places]
    if held_out is not None:
        usable &= pair.held_out.ravel()[places] == held_out
    return places[usable]


def gathered(pair: Pair, window: Window, places: Array) -> tuple[Array, Array]:
    """Return features (p, n), the last of them 1, and targets (D, n) of some pixels by number."""
    channels, height, width = pair.x.shape
    rows, columns = np.divmod(places, pair.y.shape[2])
    down, across = pair.stride
    first = (rows * down + window.top) * width + columns * across + window.left
    i, j = np.indices(window.size)
    steps = (np.arange(channels)[:, None, None] * height + i) * width + j
    features = np.empty((steps.size + 1, len(places)), pair.x.dtype)
    np.take(pair.x.ravel(), first + steps.reshape(-1, 1), out=features[:-1], mode="clip")
    features[-1] = 1
    return features, pair.y.reshape(len(pair.y), -1)[:, places]


def _products(features: Array, targets: Array) -> list[Array]:
    """Return Σ φ φᵀ, Σ φ yᵀ and Σ y² in float64."""
    stacked = np.concatenate([features, targets])
    if stacked.dtype == np.float64:
        product = stacked @ stacked.T
    else:
        whole = stacked.shape[1] // _CHUNK * _CHUNK
        parts = stacked[:, :whole].reshape(len(stacked), -1, _CHUNK).swapaxes(0, 1)
        product = np.matmul(parts, parts.swapaxes(1, 2)).sum(axis=0, dtype=np.float64)
        rest = stacked[:, whole:]
        product += rest @ rest.T
    count = len(features)
    energy = np.diag(product)[count:].copy()
    return [product[:count, :count], product[:count, count:], energy]
