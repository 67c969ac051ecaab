"""Weights from a JPEG target: a regression on what its file says, intervals of coefficients.

A JPEG holds, of each block of 8×8 pixels, coefficients of a cosine transform, each rounded to a
multiple of a step of its own. Taken for the pixels' values, what is decoded shrinks weights: small
coefficients of fine detail have become 0. But the transform of what a kernel makes is linear in the
weights, and the file says between which two values each coefficient lay: a censored regression
(Tobin, 1958; Stewart, 1983), whose likelihood has one maximum, and whose curvature there tells the
standard errors.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.colors import to_gray, white
from conv_cli.fitting.pairs import Window
from conv_cli.fitting.solve import Solution
from conv_cli.layers import conv2d

Array = npt.NDArray[Any]

_SIDE = 8
_NOISE = 0.5
"""Standard deviation of a coefficient before it is rounded: pixels, and brightness made of colours,
are rounded too, and coders compute with few digits."""
_TIE = 1 / 16
"""Coders compute in eighths of a level, and round halves up: limits lie so much nearer to 0."""
_FINE = 2
"""Steps up to so many levels are not told exactly from decoded pixels."""
_MARGIN = 2.0
"""Levels at the ends of the range within which a block may have been clipped."""
_NUMBERS = 3e7
"""Features of all coefficients that are looked at."""
_MOST_BLOCKS, _PER_WEIGHT = 2_000, 2
_STEPS = 12
_ROUNDS = 3
"""Blocks whose prediction is clipped are left out, by what the weights before predicted."""
_SETTLED = 1e-6
_GROWN, _LARGEST = 2, 25
"""Rows and columns that a window is grown by on every side, and the side beyond which it is not."""
_CHANCE = 1.0
"""Standard deviations by which the squares of weights that are nothing exceed what is expected."""
_FAR = 1e-10
"""Below this chance, a coefficient counts by its distance to the interval."""


class Coded(NamedTuple):
    """What a JPEG file says of its brightness.

    luma : ndarray, shape (H, W), uint8. As it is decoded, upright.
    steps : ndarray, shape (8, 8). Of the coefficients, rows by vertical frequency.
    """

    luma: Array
    steps: Array


class Regressed(NamedTuple):
    """Weights, their bias, and the covariance of their errors (p, p)."""

    solution: Solution
    covariance: Array

    @property
    def errors(self) -> Array:
        """Standard errors of the weights (p,)."""
        return np.sqrt(np.diag(self.covariance))


def trimmed_regression(
    planes: Array, coded: Coded, window: Window, start: Solution
) -> tuple[Window, Regressed] | None:
    """Return the window that holds all weights beyond their errors, and the weights.

    It is looked for from a larger one: least squares may have lost its rim.
    """
    while True:
        outer = Window(
            window.top - _GROWN, window.left - _GROWN,
            window.rows + 2 * _GROWN, window.columns + 2 * _GROWN,
        )  # fmt: skip
        wide = np.pad(start.weights.reshape(window.size), _GROWN).reshape(-1, 1)
        found = regressed(planes, coded, outer, Solution(wide, start.bias))
        if found is None:
            return None
        inner = _significant(found, outer)
        if inner.size == window.size or max(outer.size) >= _LARGEST or _inside(inner, outer):
            break
        window, start = outer, found.solution
    weights = found.solution.weights.reshape(outer.size)[inner.within(outer)]
    again = regressed(planes, coded, inner, Solution(weights.reshape(-1, 1), found.solution.bias))
    return None if again is None else (inner, again)


def _inside(inner: Window, outer: Window) -> bool:
    """Tell whether a window touches no side of another."""
    rows, columns = inner.within(outer)
    ends = rows.stop < outer.rows and columns.stop < outer.columns
    return rows.start > 0 and columns.start > 0 and ends


def _significant(found: Regressed, window: Window) -> Window:
    """Return the smallest window outside of which weights are, together, zero but for chance."""
    weights = found.solution.weights[:, 0]
    numbers = np.arange(len(weights)).reshape(window.size)
    inner, shrunk = window, True
    while shrunk:
        shrunk = False
        for smaller in _smaller(inner):
            outside = np.ones(window.size, bool)
            outside[smaller.within(window)] = False
            some = numbers[outside]
            size = weights[some] @ np.linalg.solve(
                found.covariance[np.ix_(some, some)], weights[some]
            )
            if size <= len(some) + _CHANCE * math.sqrt(2 * len(some)):
                inner, shrunk = smaller, True
                break
    return inner


def _smaller(window: Window) -> list[Window]:
    """Return the windows without one of the outermost rows and columns."""
    top, left, rows, columns = window
    shorter = [Window(top + k, left, rows - 1, columns) for k in (0, 1)] if rows > 1 else []
    narrower = [Window(top, left + k, rows, columns - 1) for k in (0, 1)] if columns > 1 else []
    return [*shorter, *narrower]


def _basis() -> Array:
    """Return the orthonormal cosine transform of 8 values."""
    k, n = np.indices((_SIDE, _SIDE))
    size = np.where(k == 0, math.sqrt(1 / _SIDE), math.sqrt(2 / _SIDE))
    return size * np.cos(np.pi * (2 * n + 1) * k / (2 * _SIDE))


_COSINES = _basis()


def regressed(planes: Array, coded: Coded, window: Window, start: Solution) -> Regressed | None:
    """Return the weights of greatest likelihood; None where too few blocks tell.

    planes : ndarray, shape (C, H, W). The input: grey, or red, green and blue.
    start : Solution. Weights to begin with, of the same window.
    """
    weights = window.rows * window.columns + 1
    most = min(_MOST_BLOCKS, int(_NUMBERS / (_SIDE * _SIDE * weights)))
    corners = _corners(planes.shape[1:], coded, window, 2 * most)
    x = planes if len(planes) == 1 else to_gray(planes[:, None].astype(np.float64))[0]
    best: Regressed | None = None
    solution = start
    for _ in range(_ROUNDS):
        kept = _unclipped(planes, corners, window, solution)[:most]
        if len(kept) < _PER_WEIGHT * weights / _SIDE:
            return best
        best = _likeliest(*_transformed(x, coded, window, kept), coded.steps, solution)
        if np.abs(best.solution.weights - solution.weights).max() < _SETTLED:
            break
        solution = best.solution
    return best


def _corners(size: tuple[int, ...], coded: Coded, window: Window, most: int) -> Array:
    """Return first rows and columns (n, 2) of blocks whose windows lie inside the input.

    They are drawn at random, and none holds black or white, where decoding cuts.
    """
    axes = []
    for side, long, first, length in zip(
        coded.luma.shape, size, window[:2], window.size, strict=True
    ):
        places = np.arange(0, side - _SIDE + 1, _SIDE)
        ends = places + first + length + _SIDE - 1
        axes.append(places[(places + first >= 0) & (ends <= long)])
    corners = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    drawn = np.random.default_rng(0).permutation(len(corners))[: 2 * most]
    blocks = [coded.luma[r : r + _SIDE, c : c + _SIDE] for r, c in corners[drawn]]
    inside = [block.min() > 0 and block.max() < white(block.dtype) for block in blocks]
    return corners[drawn[np.array(inside, bool)]][:most]


def _unclipped(planes: Array, corners: Array, window: Window, solution: Solution) -> Array:
    """Return the blocks of which no pixel is predicted near an end of the range."""
    if not len(corners):
        return corners
    under = np.stack([_under(planes, window, *corner) for corner in corners])
    weights = solution.weights.reshape(1, 1, *window.size)
    made = conv2d(under.reshape(-1, 1, *under.shape[2:]), weights, solution.bias)
    made = made.reshape(len(corners), -1)
    return corners[(made.min(axis=1) > _MARGIN) & (made.max(axis=1) < 255 - _MARGIN)]


def _under(planes: Array, window: Window, row: int, column: int) -> Array:
    """Return the input (C, h, w) that the windows of a block cover."""
    top, left = row + window.top, column + window.left
    return planes[
        :, top : top + window.rows + _SIDE - 1, left : left + window.columns + _SIDE - 1
    ].astype(np.float64)


def _transformed(x: Array, coded: Coded, window: Window, corners: Array) -> tuple[Array, Array]:
    """Return the features of each coefficient (p, n), the last for the bias, and its code (n,)."""
    under = np.stack([_under(x, window, *corner)[0] for corner in corners]) - 128
    windows = np.lib.stride_tricks.sliding_window_view(under, (_SIDE, _SIDE), axis=(1, 2))
    features = (_COSINES @ windows @ _COSINES.T).transpose(1, 2, 0, 3, 4)
    constant = np.zeros((1, len(corners), _SIDE, _SIDE))
    constant[..., 0, 0] = _SIDE
    blocks = np.stack([coded.luma[r : r + _SIDE, c : c + _SIDE] for r, c in corners]) - 128.0
    codes = np.rint(_COSINES @ blocks @ _COSINES.T / coded.steps)
    flat = features.reshape(window.rows * window.columns, -1)
    return np.concatenate([flat, constant.reshape(1, -1)]), codes.ravel()


def _likeliest(features: Array, codes: Array, steps: Array, start: Solution) -> Regressed:
    """Return the weights of greatest likelihood, by Newton's method."""
    step = np.tile(steps.ravel().astype(np.float64), len(codes) // steps.size)
    ends = (codes - 0.5) * step, (codes + 0.5) * step
    low, high = (end - _TIE * np.sign(end) for end in ends)
    noise = np.where(step <= _FINE, math.hypot(_NOISE, 1 / math.sqrt(12)), _NOISE)
    total = float(start.weights.sum())
    # Pixels are counted from mid-grey here.
    solution = np.append(start.weights.ravel(), float(start.bias[0]) + 128 * (total - 1))
    curvature = np.eye(len(features))
    for _ in range(_STEPS):
        slope, bend = _slopes(solution @ features, low, high, noise)
        curvature = (features * bend) @ features.T
        curvature[np.diag_indices_from(curvature)] += 1e-12 * np.trace(curvature)
        move = np.linalg.solve(curvature, features @ slope)
        solution = solution + move
        if np.abs(move[:-1]).max() < _SETTLED:
            break
    covariance = np.linalg.inv(curvature)[:-1, :-1]
    weights = solution[:-1, None]
    bias = solution[-1:] - 128 * (float(weights.sum()) - 1)
    return Regressed(Solution(weights, bias), covariance)


def _slopes(made: Array, low: Array, high: Array, noise: Array) -> tuple[Array, Array]:
    """Return the slope of the logarithm of each interval's chance, and its bend, downwards."""
    first, last = (low - made) / noise, (high - made) / noise
    chance = _below(last) - _below(first)
    far = chance < _FAR
    chance = np.where(far, 1.0, chance)
    here, there = _density(first), _density(last)
    near_slope = (here - there) / (noise * chance)
    near_bend = near_slope**2 - (first * here - last * there) / (noise**2 * chance)
    slope = np.where(far, (np.clip(made, low, high) - made) / noise**2, near_slope)
    return slope, np.where(far, 1 / noise**2, np.maximum(near_bend, 0))


_erf = np.frompyfunc(math.erf, 1, 1)


def _below(values: Array) -> Array:
    """Return the chance that a normal variable is less."""
    return 0.5 * (1 + np.asarray(_erf(values / math.sqrt(2)), np.float64))


def _density(values: Array) -> Array:
    return np.exp(-0.5 * values**2) / math.sqrt(2 * math.pi)
