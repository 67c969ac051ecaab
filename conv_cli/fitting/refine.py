"""What all pixels have to say: residuals, and the steps that make the error of all of them least.

Normal equations of a sample tell the shape of the error; its slope is found over every pixel. A
step of Newton's method or two then reach the weights that equations of all pixels would give, at
k·k multiply-adds a pixel in place of their square.
"""

import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.fitting.normal import Normal
from conv_cli.fitting.pairs import Pair, Place, Window
from conv_cli.fitting.solve import Solution
from conv_cli.layers import conv2d
from conv_cli.threads import share

Array = npt.NDArray[Any]

_STEPS = 8
_ENOUGH = 0.1
"""What is left of the way, against the standard errors of the weights, when no step is worth it."""
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
    count : int
        Numbers summed.
    """

    squares: float
    deviations: float
    count: int

    @property
    def mean(self) -> float:
        """Mean squared error."""
        return self.squares / self.count if self.count else float("nan")


def error(pairs: Sequence[Pair], window: Window, solution: Solution, *, held: bool) -> Error:
    """Return the error over the usable pixels that are held out, or those that are not."""
    squares, values = 0.0, []
    for pair in pairs:
        foretold, region = predicted(pair, window, solution)
        places = np.flatnonzero(pair.usable[region] & (pair.held[region] == held))
        if not len(places):
            continue
        target = pair.y[:, *region].reshape(len(foretold), -1)[:, places].astype(np.float64)
        difference = target - foretold.reshape(len(foretold), -1)[:, places]
        squares += float(np.vdot(difference, difference))
        values.append(target)
    if not values:
        return Error(0.0, 0.0, 0)
    targets = np.concatenate(values, axis=1)
    return Error(squares, float(targets.var(axis=1).sum() * targets.shape[1]), targets.size)


def refined(
    pairs: Sequence[Pair],
    solution: Solution,
    normal: Normal,
    *,
    bias: bool,
    ridge: float = 0.0,
    threads: int | None = None,
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
    inverse = np.linalg.pinv(curvature[np.ix_(free, free)], rcond=1e-12, hermitian=True)
    spread = np.sqrt(np.abs(np.diag(inverse)))
    # A sample's shape is off by about this share, and every step leaves as much of the way.
    left = 2 * np.sqrt(len(free) / normal.pixels)
    for _ in range(_STEPS):
        slope, squares = _slope(pairs, counted, window, solution, threads)
        stacked = np.vstack([solution.weights, solution.bias])
        step = inverse @ (slope - penalty @ stacked)[free]
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
    pairs: Sequence[Pair],
    counted: Sequence[Array],
    window: Window,
    solution: Solution,
    threads: int | None,
) -> tuple[Array, float]:
    """Return Σ φ eᵀ (p, D) over the pixels that count, and Σ e² of a channel.

    Errors are cut into tiles. Spectra of tiles and of the input under them are multiplied and
    summed, and only the sum is transformed back.
    """
    side = _TILES[max(window.size) * 16 > _TILES[0]]
    size = _good_size(side + window.rows - 1), _good_size(side + window.columns - 1)
    channels, outputs = len(pairs[0].x), len(pairs[0].y)
    spectrum = np.zeros((channels, outputs, size[0], size[1] // 2 + 1), np.complex128)
    totals, squares, lock = np.zeros(outputs), 0.0, threading.Lock()
    for pair, mask in zip(pairs, counted, strict=True):
        foretold, region = predicted(pair, window, solution)
        target = pair.y[:, *region]
        top, left = (part.start + first for part, first in zip(region, window[:2], strict=True))
        height, width = mask.shape

        def worker(waiting: Iterator[tuple[int, int]]) -> None:
            nonlocal squares
            own, constant, energy = np.zeros_like(spectrum), np.zeros(outputs), 0.0
            for row, column in waiting:
                place = slice(row, row + side), slice(column, column + side)
                errors = target[:, *place] - foretold[:, *place]
                errors *= mask[place]
                under = pair.x[
                    :,
                    top + row : top + row + errors.shape[1] + window.rows - 1,
                    left + column : left + column + errors.shape[2] + window.columns - 1,
                ]
                own += _spectra(under, size)[:, None] * np.conj(_spectra(errors, size))[None]
                constant += errors.sum(axis=(1, 2))
                energy += float(np.vdot(errors, errors))
            with lock:
                np.add(spectrum, own, out=spectrum)
                np.add(totals, constant, out=totals)
                squares += energy

        tiles = [(r, c) for r in range(0, height, side) for c in range(0, width, side)]
        share(worker, tiles, threads)
    lags = np.fft.irfft2(spectrum, size)[..., : window.rows, : window.columns]
    lags = lags.transpose(0, 2, 3, 1).reshape(-1, outputs) * np.prod(size)  # see `_spectra`
    return np.vstack([lags, totals]), squares / outputs


def _spectra(planes: Array, size: tuple[int, int]) -> Array:
    """Return the orthonormal spectra of planes (C, h, w), zeros added up to a size.

    NumPy keeps float32 in float32 where the norm is one that it multiplies by.
    """
    rows = np.fft.rfft(planes, size[1], norm="ortho")
    return np.fft.fft(rows, size[0], axis=1, norm="ortho")


def _good_size(least: int) -> int:
    """Return the least even product of few small primes that is not below a length."""
    return min(size for a in range(3, 14) for n in (2, 3, 5) if (size := n << a) >= least)
