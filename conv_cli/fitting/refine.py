"""What all pixels have to say: residuals, and the steps that make the error of all of them least.

Normal equations of a sample tell the shape of the error; its slope is found over every pixel. A
step of Newton's method or two then come to the weights that equations of all pixels would give, at
k·k multiply-adds a pixel in place of their square.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.correlation.fft_sizes import fft_side
from conv_cli.fitting.normal import Normal
from conv_cli.fitting.pairs import Pair, Place, Size, Window
from conv_cli.fitting.solve import Solution, inverse
from conv_cli.layers import conv2d
from conv_cli.parallel.threads import summed

Array = npt.NDArray[Any]

_STEPS = 8
_ENOUGH = 0.3
"""What is left of the way, against the standard errors of the weights, when no step is worth it."""
_STRIP = 64
_TILES = 256, 512
"""Sides of tiles for the spectra, for windows up to a sixteenth of them."""


def predicted(pair: Pair, window: Window, solution: Solution) -> tuple[Array, Place]:
    """Return the predicted target (D, h, w) and the region that it covers."""
    rows, columns = pair.region(window)
    weights = solution.weights.T.reshape(len(pair.y), len(pair.x), *window.size)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    if not height or not width:
        return np.empty((len(pair.y), height, width)), (rows, columns)
    read = pair.under((rows, columns), window)
    bias = solution.bias.astype(pair.x.dtype)
    return conv2d(read, weights, bias, stride=pair.stride), (rows, columns)


class Error(NamedTuple):
    """How far off a prediction is: sums over pixels and channels.

    squares : float. Σ (target - prediction)².
    deviations : float. Σ (target - its mean)², each channel by itself: what a bias alone would
        leave.
    numbers : int. How many were summed.
    """

    squares: float
    deviations: float
    numbers: int

    @property
    def mean(self) -> float:
        """Mean squared error."""
        return self.squares / self.numbers if self.numbers else float("nan")


def error(pairs: Sequence[Pair], window: Window, solution: Solution, *, held_out: bool) -> Error:
    """Return the error over the usable pixels that are held out, or those that are not."""
    sums = over_pairs(partial(_errors, window, solution, held_out), pairs)
    squares, totals, energy, counts = sums[0]
    if not counts.any():
        return Error(0.0, 0.0, 0)
    deviations = energy - totals**2 / counts
    return Error(float(squares.sum()), max(float(deviations.sum()), 0.0), int(counts.sum()))


def over_pairs(work: Callable[[Pair], Sequence[Array]], pairs: Sequence[Pair]) -> list[Array]:
    """Return the sums of what the work makes of each pair: every pass over pixels is one of these.

    The work sees one pair at a time, and the sums are added in the order of the pairs.
    """
    return [np.sum(parts, axis=0) for parts in zip(*map(work, pairs), strict=True)]


def _errors(window: Window, solution: Solution, held_out: bool, pair: Pair) -> list[Array]:
    """Return Σ (y - ŷ)², Σ y, Σ y² and the count, for every channel (4, D)."""
    made, (rows, columns) = predicted(pair, window, solution)
    outputs, height, _ = made.shape

    def of_strip(start: int) -> list[Array]:
        stop = min(start + _STRIP, height)
        there = slice(rows.start + start, rows.start + stop), columns
        counted = (pair.usable[there] & (pair.held_out[there] == held_out)).ravel()
        target = pair.y[:, *there].reshape(outputs, -1)[:, counted].astype(np.float64)
        off = target - made[:, start:stop].reshape(outputs, -1)[:, counted]
        return [
            np.stack([
                np.square(off).sum(axis=1), target.sum(axis=1), np.square(target).sum(axis=1),
                np.full(outputs, counted.sum()),
            ])
        ]  # fmt: skip

    return summed(of_strip, range(0, height, _STRIP)) or [np.zeros((4, outputs))]


def refined(
    pairs: Sequence[Pair], solution: Solution, normal: Normal, *, bias: bool, ridge: float = 0.0
) -> Solution:
    """Return the solution over all usable pixels that are not held out.

    normal : Normal. Equations of a sample of them, whose solution is the start.
    """
    window = normal.window
    count = sum(int(np.count_nonzero(_counted(pair, window))) for pair in pairs)
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
        slope, squares = _slope(pairs, window, solution)
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
    return pair.usable[region] & ~pair.held_out[region]


def _slope(pairs: Sequence[Pair], window: Window, solution: Solution) -> tuple[Array, float]:
    """Return Σ φ eᵀ (p, D) over the pixels that count, and Σ e² of a channel.

    Errors are cut into tiles. Spectra of tiles and of the input under them are multiplied and
    summed, and only the sum is transformed back.
    """
    side = _TILES[max(window.size) * 16 > _TILES[0]]
    size = fft_side(side + window.rows - 1), fft_side(side + window.columns - 1)
    work = partial(_products, window, solution, side, size)
    spectrum, totals, squares = over_pairs(work, pairs)
    lags = np.fft.irfft2(spectrum, size)[..., : window.rows, : window.columns]
    lags = lags.transpose(0, 2, 3, 1).reshape(-1, len(totals)) * np.prod(size)  # see `_spectra`
    return np.vstack([lags, totals]), float(squares) / len(totals)


def _products(window: Window, solution: Solution, side: int, size: Size, pair: Pair) -> list[Array]:
    """Return Σ of the products of spectra (C, D, rows, columns), Σ e (D,) and Σ e² of a pair."""
    made, region = predicted(pair, window, solution)
    counted = _counted(pair, window)
    top, left = (part.start + first for part, first in zip(region, window[:2], strict=True))
    target, (height, width) = pair.y[:, *region], counted.shape
    outputs = len(pair.y)

    def of_tiles(row: int) -> list[Array]:
        """Sum over the tiles side by side that begin in a row."""
        bottom = min(row + side, height)
        spectrum = np.zeros((len(pair.x), outputs, size[0], size[1] // 2 + 1), np.complex128)
        totals, squares = np.zeros(outputs), 0.0
        for column in range(0, width, side):
            right = min(column + side, width)
            errors = target[:, row:bottom, column:right] - made[:, row:bottom, column:right]
            errors *= counted[row:bottom, column:right]
            under = pair.x[
                :,
                top + row : top + bottom + window.rows - 1,
                left + column : left + right + window.columns - 1,
            ]
            spectrum += _spectra(under, size)[:, None] * np.conj(_spectra(errors, size))[None]
            totals += errors.sum(axis=(1, 2))
            squares += float(np.vdot(errors, errors))
        return [spectrum, totals, np.array(squares)]

    return summed(of_tiles, range(0, height, side)) or of_tiles(0)


def _spectra(planes: Array, size: tuple[int, int]) -> Array:
    """Return the orthonormal spectra of planes (C, h, w), zeros added up to a size.

    NumPy keeps float32 in float32 where the norm is one that it multiplies by.
    """
    rows = np.fft.rfft(planes, size[1], norm="ortho")
    return np.fft.fft(rows, size[0], axis=1, norm="ortho")
