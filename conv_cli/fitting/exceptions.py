"""What was set aside, and whether that was right: stray pixels are no rule of the picture's.

Dust, a watermark or a corner that was painted over lie anywhere. A filter that changes just those
pixels that have detail, or one channel of three, is another filter and no set of stray pixels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from conv_cli.fitting.pairs import Pair, Window
from conv_cli.fitting.refine import predicted
from conv_cli.fitting.solve import Solution

Array = npt.NDArray[Any]

_TOLERANCE = 4.0
"""Up to so many times the error of the used pixels, a pixel is as the kernel makes it."""
_BLOCK = 32
"""Rows and columns within which pixels that are set aside are held against their neighbours."""
_FEWEST_BLOCKS, _MOST_BLOCKS = 12, 100
_FEWEST_PIXELS = 4
_LIKELY = 0.75
"""By chance alone a pixel that is set aside has more of something than one that is not in half of
all cases, give or take 0.08 for twelve blocks."""


def explained_shares(
    pairs: Sequence[Pair], window: Window, solution: Solution, error: float
) -> list[float]:
    """Return, for each pair of planes as given, the share of pixels that a kernel makes.

    Saturated pixels are made by it where it goes to that end of the range or beyond.
    """
    return [_explained(pair, window, solution, error) for pair in pairs]


def _explained(pair: Pair, window: Window, solution: Solution, error: float) -> float:
    made, region = predicted(pair, window, solution)
    target, ends = pair.y[:, *region], pair.ends[region]
    counted = pair.usable[region] | ends
    if not counted.any():
        return 1.0
    if ends.any():
        made = np.clip(made, *pair.limits)
    near = np.abs(made - target).max(axis=0) <= _TOLERANCE * error
    return float(near[counted].mean())


def follows_detail(before: Sequence[Pair], pairs: Sequence[Pair]) -> bool:
    """Tell whether detail, brightness or the number of a row or column foretells what is set aside.

    Each block that holds pixels of both kinds is asked how often one that is set aside has more of
    it than one that is not (the area under the ROC curve).
    """
    chances: list[Array] = []
    for given, pair in zip(before, pairs, strict=True):
        lost = given.usable & ~pair.usable
        lost &= _looked_at(pair.usable)
        if given.same_size and lost.any():
            chances += _within_blocks(given, lost, pair.usable)
    if len(chances) < _FEWEST_BLOCKS:
        return False
    likely = np.abs(np.mean(chances, axis=0) - 0.5) + 0.5
    return bool(likely.max() > _LIKELY)


def _looked_at(usable: Array) -> Array:
    """Return the pixels (H, W) but for a rim without whole windows, which was not looked at."""
    inside = []
    for axis in (1, 0):
        there = np.asarray(usable.any(axis=axis))
        inside.append(np.maximum.accumulate(there) & np.maximum.accumulate(there[::-1])[::-1])
    rows, columns = inside
    return rows[:, None] & columns


def _within_blocks(pair: Pair, lost: Array, kept: Array) -> list[Array]:
    """Return, for up to some hundred blocks of both kinds of pixels, the chance of each feature."""
    height, width = lost.shape
    corners = [
        (row, column)
        for row in range(0, height - _BLOCK + 1, _BLOCK)
        for column in range(0, width - _BLOCK + 1, _BLOCK)
    ]
    x, chances = pair.x.mean(axis=0), []
    for row, column in np.random.default_rng(0).permutation(corners)[: 10 * _MOST_BLOCKS]:
        place = slice(row, row + _BLOCK), slice(column, column + _BLOCK)
        here, there = lost[place], kept[place]
        if min(here.sum(), there.sum()) >= _FEWEST_PIXELS:
            features = _features(x, row, column)
            chances.append(_chance(features[:, here], features[:, there]))
        if len(chances) == _MOST_BLOCKS:
            break
    return chances


def _features(x: Array, row: int, column: int) -> Array:
    """Return, of a block, how far pixels are from the mean of 3×3 and 7×7 and the median of 3×3
    pixels about them, brightness, and whether rows and columns are odd.
    """
    margin = 3
    rows, columns = (np.arange(n - margin, n + _BLOCK + margin) for n in (row, column))
    part = x[np.ix_(rows.clip(0, len(x) - 1), columns.clip(0, x.shape[1] - 1))]
    middle = part[margin:-margin, margin:-margin]
    wide = np.lib.stride_tricks.sliding_window_view(part, (7, 7))
    near = wide[..., 2:5, 2:5]
    centres = wide.mean(axis=(2, 3)), near.mean(axis=(2, 3)), np.median(near, axis=(2, 3))
    odd = np.indices(middle.shape) % 2
    return np.stack([*(np.abs(middle - each) for each in centres), middle, *odd])


def _chance(some: Array, others: Array) -> Array:
    """Return how often one of some is larger than one of the others, ties counted half."""
    greater = (some[:, :, None] > others[:, None]).mean(axis=(1, 2))
    equal = (some[:, :, None] == others[:, None]).mean(axis=(1, 2))
    return greater + equal / 2
