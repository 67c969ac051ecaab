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
_BLOCK = 16
"""Rows and columns within which pixels that are set aside are held against their neighbours."""
_FEWEST_BLOCKS = 20
_LIKELY = 0.75
"""By chance alone a pixel that is set aside has more of something than one that is not in half of
all cases, give or take 0.06 for twenty blocks."""


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


def follows_detail(before: Sequence[Pair], pairs: Sequence[Pair], window: Window) -> bool:
    """Tell whether detail, brightness or the number of a row or column foretells what is set aside.

    Each block that holds pixels of both kinds is asked how often one that is set aside has more of
    it than one that is not (the area under the ROC curve).
    """
    chances: list[Array] = []
    for given, pair in zip(before, pairs, strict=True):
        region = given.region(window)
        lost = (given.usable & ~pair.usable)[region]
        if not lost.any() or not given.same_size:
            continue
        features = _features(given.x.mean(axis=0)[region])
        chances += _within_blocks(features, lost, given.usable[region])
    if len(chances) < _FEWEST_BLOCKS:
        return False
    likely = np.abs(np.mean(chances, axis=0) - 0.5) + 0.5
    return bool(likely.max() > _LIKELY)


def _features(x: Array) -> Array:
    """Return detail within 3×3 and 7×7 pixels, brightness, and whether rows and columns are odd."""
    rows, columns = np.indices(x.shape)
    detail = [np.abs(x - _mean(x, side)) for side in (3, 7)]
    return np.stack([*detail, x, rows % 2, columns % 2])


def _mean(x: Array, side: int) -> Array:
    """Return the mean about each pixel, (side, side)."""
    for axis in (0, 1):
        padded = np.pad(x, [(side // 2,) * 2 if a == axis else (0, 0) for a in (0, 1)], "edge")
        x = np.lib.stride_tricks.sliding_window_view(padded, side, axis=axis).mean(axis=-1)
    return x


def _within_blocks(features: Array, lost: Array, usable: Array) -> list[Array]:
    """Return, for each block of both kinds of pixels, the chance of each feature."""
    chances = []
    for row in range(0, lost.shape[0] - _BLOCK + 1, _BLOCK):
        for column in range(0, lost.shape[1] - _BLOCK + 1, _BLOCK):
            place = slice(row, row + _BLOCK), slice(column, column + _BLOCK)
            here, there = lost[place], (usable & ~lost)[place]
            if min(here.sum(), there.sum()) >= _BLOCK // 2:
                part = features[:, *place]
                chances.append(_chance(part[:, here], part[:, there]))
    return chances


def _chance(some: Array, others: Array) -> Array:
    """Return how often one of some is larger than one of the others, ties counted half."""
    greater = (some[:, :, None] > others[:, None]).mean(axis=(1, 2))
    equal = (some[:, :, None] == others[:, None]).mean(axis=(1, 2))
    return greater + equal / 2
