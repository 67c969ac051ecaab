"""A pattern in other sizes and at other angles, in steps that leave no copy between two of them."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from conv_cli.errors import PatternError
from conv_cli.finding.pattern import Pattern, prepared, require_fit

Array = npt.NDArray[Any]
_SCALE_STEPS = (1.06, 1.04, 1.03, 1.02, 1.015)
_ANGLE_STEPS = (3.0, 2.0, 1.5, 1.0, 0.5)
_ALIKE = 0.93
"""What a pattern half a step away still scores on itself. A copy with noise scores less by what the
noise takes; the coarsest steps are those at which no textured patch under noise of σ 10 was lost.
"""
_LEAST = 3
"""Rows and columns that a pattern has at least when it is made smaller."""


def variants(
    values: Array,
    weights: Array | None,
    scale: tuple[float, float],
    rotate: tuple[float, float],
    image: tuple[int, int],
) -> list[Pattern]:
    """Return a pattern at every scale and angle that an image has room for.

    values : ndarray, shape (C, h, w)
    weights : ndarray, shape (h, w), optional
    scale, rotate : (float, float). From and to; angles in degrees, counter-clockwise.
    image : (rows, columns)

    Raises PatternError if the pattern has no detail at any, or is larger than the image at all.
    """
    prepared(values, weights)  # so that what is wrong with it is said of the pattern as it is
    factors = _factors(values, weights, scale)
    angles = _angles(values, weights, rotate)
    found: dict[tuple[tuple[int, int], float], Pattern] = {}
    least = min(_box(_resized_shape(values.shape, factors[0]), angle) for angle in angles)
    for factor in factors:
        size = _resized_shape(values.shape, factor)
        if min(size) < _LEAST and factor < 1:
            continue
        smaller: tuple[Array, Array | None] | None = None
        for angle in angles:
            box = _box(size, angle)
            if (size, angle) in found or box[0] > image[0] or box[1] > image[1]:
                continue
            smaller = smaller or resized(values, weights, size)
            with suppress(PatternError):  # what detail it has is lost at this scale
                found[size, angle] = prepared(*turned(*smaller, angle), factor, angle)
    if not found:
        require_fit(least, image)
        raise PatternError("the pattern has no detail at any of these scales; use larger ones")
    return list(found.values())


def _box(size: tuple[int, int], angle: float) -> tuple[int, int]:
    """Return rows and columns of the box around a turned pattern."""
    height, width = size
    if angle % 90 == 0:
        return (width, height) if angle % 180 else size
    cos, sin = abs(math.cos(math.radians(angle))), abs(math.sin(math.radians(angle)))
    rows = math.ceil(cos * (height - 1) + sin * (width - 1) - 1e-9) + 1
    return rows, math.ceil(cos * (width - 1) + sin * (height - 1) - 1e-9) + 1


def _resized_shape(shape: tuple[int, ...], factor: float) -> tuple[int, int]:
    return max(1, round(shape[1] * factor)), max(1, round(shape[2] * factor))


def _factors(values: Array, weights: Array | None, scale: tuple[float, float]) -> list[float]:
    """Return scales from one to another, 1 among them if it lies between."""
    low, high = scale
    if low == high:
        return [float(low)]

    def similar(step: float) -> float:
        return _self_score(values, weights, lambda v, w: _rescaled(v, w, math.sqrt(step)))

    step = _widest(_SCALE_STEPS, similar)
    if low < 1 < high:
        below = _spaced(math.log(low), 0, math.log(step))
        above = _spaced(0, math.log(high), math.log(step))
        return [
            float(low),
            *map(math.exp, below[1:-1]),
            1.0,
            *map(math.exp, above[1:-1]),
            float(high),
        ]
    inner = _spaced(math.log(low), math.log(high), math.log(step))[1:-1]
    return [float(low), *map(math.exp, inner), float(high)]


def _angles(values: Array, weights: Array | None, rotate: tuple[float, float]) -> list[float]:
    """Return angles from one to another, 0 among them if it lies between."""
    low, high = rotate
    if low == high:
        return [float(low)]

    def similar(step: float) -> float:
        return _self_score(values, weights, lambda v, w: turned(v, w, step / 2))

    step = _widest(_ANGLE_STEPS, similar)
    if high - low >= 360:
        return [float(low + angle) for angle in _spaced(0, 360, step)[:-1]]
    if low < 0 < high:
        return [*_spaced(low, 0, step), *_spaced(0, high, step)[1:]]
    return _spaced(low, high, step)


def _spaced(low: float, high: float, step: float) -> list[float]:
    """Return evenly spaced numbers, both ends among them, no more than a step apart."""
    count = max(1, math.ceil((high - low) / step - 1e-9))
    return [float(n) for n in np.linspace(low, high, count + 1)]


def _widest(steps: Sequence[float], similar: Callable[[float], float]) -> float:
    """Return the widest step at which the pattern is still like itself, or the last."""
    return next((step for step in steps if similar(step) >= _ALIKE), steps[-1])


def _self_score(
    values: Array,
    weights: Array | None,
    change: Callable[[Array, Array | None], tuple[Array, Array | None]],
) -> float:
    """Return what a changed pattern scores on the unchanged one, middle on middle."""
    other, mask = change(values, weights)
    size = [min(pair) for pair in zip(values.shape[1:], other.shape[1:], strict=True)]

    def middle(array: Array) -> Array:
        top, left = ((n - m) // 2 for n, m in zip(array.shape[-2:], size, strict=True))
        return array[..., top : top + size[0], left : left + size[1]]

    weight = np.ones(size)
    for each in (weights, mask):
        weight = weight if each is None else weight * middle(each)
    try:
        one, two = (prepared(middle(each), weight) for each in (values, other))
    except PatternError:
        return 0.0
    seen = weight > 0
    return float((one.kernel[:, seen] * two.kernel[:, seen] / weight[seen]).sum())


def _rescaled(values: Array, weights: Array | None, factor: float) -> tuple[Array, Array | None]:
    """Return the pattern with its detail scaled by a factor about its middle, its size kept."""
    axes = [_sampling(n, n, 1 / factor) for n in values.shape[1:]]
    return _resampled(values, weights, *axes)


def resized(
    values: Array, weights: Array | None, size: tuple[int, int]
) -> tuple[Array, Array | None]:
    """Return a pattern and its weights in another size, colours weighed by their weights."""
    if values.shape[1:] == size:
        return values, weights
    axes = [_sampling(n, m, n / m) for n, m in zip(values.shape[1:], size, strict=True)]
    return _resampled(values, weights, *axes)


def _resampled(
    values: Array, weights: Array | None, down: Array, across: Array
) -> tuple[Array, Array | None]:
    if weights is None:
        return down @ values @ across.T, None
    shown = np.where(weights > 0, values, 0)
    share = down @ weights @ across.T
    colours = down @ (shown * weights) @ across.T
    seen = share > 0.05
    mask = np.where(seen, np.clip(share, 0, 1), 0)
    return np.divide(colours, share, out=np.zeros_like(colours), where=seen), mask


def _sampling(count: int, wanted: int, step: float) -> Array:
    """Return the matrix (wanted, count) that samples a row of pixels ``step`` apart.

    Catmull and Rom's cubic (1974), widened by the step where that is above 1, so that what the new
    pixels cannot show is averaged; about the middle of the row, its ends repeated.
    """
    places = (np.arange(wanted) - (wanted - 1) / 2) * step + (count - 1) / 2
    width = max(1.0, step)
    reach = math.ceil(2 * width)
    taps = np.floor(places)[:, None] + np.arange(1 - reach, reach + 1)
    weights = _cubic((taps - places[:, None]) / width)
    weights /= weights.sum(axis=1, keepdims=True)
    matrix = np.zeros((wanted, count))
    columns = np.clip(taps, 0, count - 1).astype(int)
    np.add.at(matrix, (np.arange(wanted)[:, None], columns), weights)
    return matrix


def _cubic(x: Array) -> Array:
    x = np.abs(x)
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def turned(values: Array, weights: Array | None, angle: float) -> tuple[Array, Array | None]:
    """Return a pattern turned counter-clockwise by degrees, in the box that it covers.

    Pixels of the box that it does not cover have the weight 0. Quarter turns are exact.
    """
    if angle % 90 == 0:
        quarters = int(angle // 90) % 4
        mask = None if weights is None else np.rot90(weights, quarters)
        return np.rot90(values, quarters, axes=(1, 2)), mask
    height, width = values.shape[1:]
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    rows, columns = _box((height, width), angle)
    y, x = np.mgrid[:rows, :columns] - np.array([(rows - 1) / 2, (columns - 1) / 2])[:, None, None]
    # Rows go down: a counter-clockwise turn of the picture takes (x, y) from (x cos - y sin, ...).
    row = x * sin + y * cos + (height - 1) / 2
    col = x * cos - y * sin + (width - 1) / 2
    slack = 1e-6
    covered = (
        (row >= -slack) & (row <= height - 1 + slack) & (col >= -slack) & (col <= width - 1 + slack)
    )
    if weights is None:
        return _sampled(values, row, col), covered.astype(np.float64)
    shown = np.where(weights > 0, values, 0) * weights
    share, colours = _sampled(weights[None], row, col)[0], _sampled(shown, row, col)
    seen = covered & (share > 0.05)
    mask = np.where(seen, np.clip(share, 0, 1), 0)
    return np.divide(colours, share, out=np.zeros_like(colours), where=seen), mask


def _sampled(values: Array, row: Array, col: Array) -> Array:
    """Return values (C, h, w) at fractional places, by the cubic, the ends repeated."""
    result = np.zeros((len(values), *row.shape))
    down, right = np.floor(row).astype(int), np.floor(col).astype(int)
    for dy, dx in _taps():
        weight = _cubic(down + dy - row) * _cubic(right + dx - col)
        rows = np.clip(down + dy, 0, values.shape[1] - 1)
        columns = np.clip(right + dx, 0, values.shape[2] - 1)
        result += weight * values[:, rows, columns]
    return result


def _taps() -> Iterator[tuple[int, int]]:
    return ((dy, dx) for dy in range(-1, 3) for dx in range(-1, 3))
