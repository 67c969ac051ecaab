"""What all pixels have to say: residuals, and the steps that make the error of all of them least.

Normal equations of a sample tell the shape of the error; its slope is found over every pixel. A
step of Newton's method or two then reach the weights that equations of all pixels would give, at
k·k multiply-adds a pixel in place of their square.
"""

import threading
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.fitting.normal import Normal
from conv_cli.fitting.pairs import Pair, Place, Window
from conv_cli.fitting.solve import Solution, inverse
from conv_cli.layers import conv2d
from conv_cli.parallel.threads import share

Array = npt.NDArray[Any]

_STEPS = 8
_ENOUGH = 0.3
"""What is left of the way, against the standard errors of the weights, when no step is worth it."""
_STRIP = 64
_TILES = 256, 512
"""Sides of tiles for the spectra, for windows up to a sixteenth of them."""


def predicted(pair: Pair, window: Window, solution: Solution) -> tuple[Array, Place]:
    """Return the foretold target (D, h, w) and the region that it covers, as `Pair.region` does."""
    rows, columns = pair.region(window)
    weights = solution.weights.T.reshape(len(pair.y), len(pair.x), *window.size)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    if not height or not width:
        return np.empty((len(pair.y), height, width)), (rows, columns)
    # The input that the region reads, and nothing else.
    top, left = rows.start + window.top, columns.start + window.left
    read = pair.x[:, top : top + height + window.rows - 1, left : left + width + window.columns - 1]
    bias = solution.bias.astype(pair.x.dtype)
    return conv2d(read, weights, bias), (rows, columns)


class Error(NamedTuple):
    """How far off a prediction is: sums over pixels and channels.

    Attributes
    ----------
    squares : float
        Σ (target - foretold)².
    deviations : float
        Σ (target - its mean)², each channel by itself: what a bias alone would leave.
    numbers : int
        How many were summed.
    """

    squares: float
    deviations: float
    numbers: int

    @property
    def mean(self) -> float:
        """Mean squared error."""
        return self.squares / self.numbers if self.numbers else float("nan")


def error(pairs: Sequence[Pair], window: Window, solution: Solution, *, held: bool) -> Error:
    """Return the error over the usable pixels that are held out, or those that are not."""
    outputs = len(pairs[0].y)
    sums, lock = np.zeros((4, outputs)), threading.Lock()
    for pair in pairs:
        foretold, region = predicted(pair, window, solution)
        add = partial(_add_errors, pair, foretold, region, held, sums, lock)
        share(add, range(0, foretold.shape[1], _STRIP), None)
    squares, totals, energy, counts = sums
    if not counts.any():
        return Error(0.0, 0.0, 0)
    deviations = energy - totals**2 / counts
    return Error(float(squares.sum()), max(float(deviations.sum()), 0.0), int(counts.sum()))


def _add_errors(
    pair: Pair,
    foretold: Array,
    region: Place,
    held: bool,
    sums: Array,
    lock: threading.Lock,
    waiting: Iterator[int],
) -> None:
    """Add Σ (y - ŷ)², Σ y, Σ y² and the count of some strips, for every channel."""
    own, rows, columns = np.zeros_like(sums), *region
    for start in waiting:
        stop = min(start + _STRIP, foretold.shape[1])
        there = slice(rows.start + start, rows.start + stop), columns
        counted = (pair.usable[there] & (pair.held[there] == held)).ravel()
        target = pair.y[:, *there].reshape(len(foretold), -1)[:, counted].astype(np.float64)
        off = target - foretold[:, start:stop].reshape(len(foretold), -1)[:, counted]
        own[0] += np.square(off).sum(axis=1)
        own[1] += target.sum(axis=1)
        own[2] += np.square(target).sum(axis=1)
        own[3] += counted.sum()
    with lock:
        sums += own


def refined(
    pairs: Sequence[Pair], solution: Solution, normal: Normal, *, bias: bool, ridge: float = 0.0
) -> Solution:
    """Return the solution over all usable pixels that are not held out.

    Parameters
    ----------
    normal : Normal
        Equations of a sample of them, whose solution is the start.
    """
    window = normal.window
    counted = [_counted(pair, window) for pair in pairs]
    count = sum(int(np.count_nonzero(mask)) for mask in counted)
    if count <= normal.pixels:
        return solution
    penalty = ridge * count * np.eye(len(normal.gram))
    penalty[-1] = 0
    curvature = normal.gram * (count / normal.pixels) + penalty
    free = np.arange(len(curvature) - (not bias))
    inverted = inverse(curvature[np.ix_(free, free)])
    spread = np.sqrt(np.abs(np.diag(inverted)))
    # Where G is the shape of the error of all pixels and S that of the sample, the eigenvalues of
    # S⁻¹G lie between 1/(1+√γ)² and 1/(1-√γ)², γ weights to a pixel (Marčenko and Pastur, 1967).
    # This share of a step brings their middle to 1, and leaves so much of the way.
    ratio = len(free) / normal.pixels
    share_of_step, left = (1 - ratio) ** 2 / (1 + ratio), 2 * np.sqrt(ratio) / (1 + ratio)
    before, least = solution, np.inf
    for _ in range(_STEPS):
        slope, squares = _slope(pairs, counted, window, solution)
        if squares > least:  # a sample that tells too little; what was there is better
            return before
        before, least = solution, squares
        stacked = np.vstack([solution.weights, solution.bias])
        step = share_of_step * (inverted @ (slope - penalty @ stacked)[free])
        stacked[free] += step
        solution = Solution(stacked[:-1], stacked[-1])
        noise = np.sqrt(squares / count)
        if (left * np.abs(step) <= _ENOUGH * noise * spread[:, None] + 1e-12).all():
            break
    return solution


def _counted(pair: Pair, window: Window) -> Array:
    region = pair.region(window)
    return pair.usable[region] & ~pair.held[region]


def _slope(
    pairs: Sequence[Pair], counted: Sequence[Array], window: Window, solution: Solution
) -> tuple[Array, float]:
    """Return Σ φ eᵀ (p, D) over the pixels that count, and Σ e² of a channel.

    Errors are cut into tiles. Spectra of tiles and of the input under them are multiplied and
    summed, and only the sum is transformed back.
    """
    side = _TILES[max(window.size) * 16 > _TILES[0]]
    size = _good_size(side + window.rows - 1), _good_size(side + window.columns - 1)
    outputs = len(pairs[0].y)
    parts = []
    for pair, mask in zip(pairs, counted, strict=True):
        sums = _Sums(pair, mask, window, solution, size)
        share(sums.add, sums.tiles(side), None)
        parts.append(sums)
    spectrum = np.sum([sums.spectrum for sums in parts], axis=0)
    lags = np.fft.irfft2(spectrum, size)[..., : window.rows, : window.columns]
    lags = lags.transpose(0, 2, 3, 1).reshape(-1, outputs) * np.prod(size)  # see `_spectra`
    totals = np.sum([sums.totals for sums in parts], axis=0)
    return np.vstack([lags, totals]), sum(sums.squares for sums in parts) / outputs


class _Sums:
    """Σ of the products of spectra, Σ e and Σ e² over the tiles of a pair, from any thread."""

    def __init__(
        self, pair: Pair, mask: Array, window: Window, solution: Solution, size: tuple[int, int]
    ) -> None:
        foretold, region = predicted(pair, window, solution)
        (top, bottom), (left, right) = (
            (part.start + first, part.stop + first + length - 1)
            for part, first, length in zip(region, window[:2], window.size, strict=True)
        )
        self._read = pair.x[:, top:bottom, left:right]
        self._target, self._foretold, self._mask = pair.y[:, *region], foretold, mask
        self._window, self._size, self._lock = window, size, threading.Lock()
        channels, outputs = len(pair.x), len(pair.y)
        self.spectrum = np.zeros((channels, outputs, size[0], size[1] // 2 + 1), np.complex128)
        self.totals, self.squares = np.zeros(outputs), 0.0

    def tiles(self, side: int) -> list[Place]:
        height, width = self._mask.shape
        return [
            (slice(row, min(row + side, height)), slice(column, min(column + side, width)))
            for row in range(0, height, side)
            for column in range(0, width, side)
        ]

    def add(self, waiting: Iterator[Place]) -> None:
        spectrum, totals, squares = np.zeros_like(self.spectrum), np.zeros_like(self.totals), 0.0
        for rows, columns in waiting:
            errors = self._target[:, rows, columns] - self._foretold[:, rows, columns]
            errors *= self._mask[rows, columns]
            bottom, right = (
                rows.stop + self._window.rows - 1,
                columns.stop + self._window.columns - 1,
            )
            under = self._read[:, rows.start : bottom, columns.start : right]
            products = np.conj(_spectra(errors, self._size))
            spectrum += _spectra(under, self._size)[:, None] * products[None]
            totals += errors.sum(axis=(1, 2))
            squares += float(np.vdot(errors, errors))
        with self._lock:
            self.spectrum += spectrum
            self.totals += totals
            self.squares += squares


def _spectra(planes: Array, size: tuple[int, int]) -> Array:
    """Return the orthonormal spectra of planes (C, h, w), zeros added up to a size.

    NumPy keeps float32 in float32 where the norm is one that it multiplies by.
    """
    rows = np.fft.rfft(planes, size[1], norm="ortho")
    return np.fft.fft(rows, size[0], axis=1, norm="ortho")


def _good_size(least: int) -> int:
    """Return the least even product of few small primes that is not below a length."""
    return min(size for a in range(3, 14) for n in (2, 3, 5) if (size := n << a) >= least)
