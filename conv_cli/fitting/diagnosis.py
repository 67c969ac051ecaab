"""What explains a pair in place of a kernel, or the pixels that were set aside.

A curve changes each pixel by its own value alone: levels, gamma, a threshold. And dust, a watermark
or a corner that was painted over lie anywhere: a filter that changes just those pixels that have
detail, or one channel of three, is another filter and no set of stray pixels.
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
"""Rows and columns within which pixels that are set aside are compared with their neighbours."""
_FEWEST_BLOCKS, _MOST_BLOCKS = 12, 100
_FEWEST_LOST, _FEWEST_USED = 4, 100
"""Pixels of a block. Under a plate, a few are by chance as the kernel makes them: those of its
brightness."""
_LIKELY = 0.75
"""By chance alone a pixel that is set aside has more of something than one that is not in half of
all cases, give or take 0.08 for twelve blocks."""
_EVEN, _DETAILED = 40, 98
"""Percentiles of detail up to which a picture is even, and from which on it has much."""
_MOSTLY, _MUCH_MORE, _HARDLY = 0.5, 10.0, 0.03
"""Share of pixels with much detail that are set aside, or how many times that of all; and of it the
even ones'."""
_PERIODS = range(2, 9)
"""Every second row, and so on, up to the eighth."""
_FEWEST_PERIODS = 8
_SOME = 0.001
"""Fewer pixels tell no rule."""
_OFTEN = 0.3
"""By chance alone a usual row has as many pixels set aside as another."""
_PIXELS = 300_000
"""An even sample of about so many tells."""
_PIXELS_PER_VALUE = 50
"""With fewer, values that come once predict any target."""
_NOTHING = 0.17
"""By the target's own error: what may be left of it once the input's value is known."""


def depends_on_value_alone(pairs: Sequence[Pair], floor: float) -> bool:
    """Tell whether every target pixel is a function of the one input pixel in its place.

    ``floor`` is the target's own error, root mean square.
    """
    return all(_is_curve(pair, floor) for pair in pairs)


def _is_curve(pair: Pair, floor: float) -> bool:
    if not pair.same_size or len(pair.x) != len(pair.y):
        return False
    step = max(pair.y.size // _PIXELS, 1)
    before, after = (planes.ravel()[::step] for planes in (pair.x, pair.y))
    _, values, counts = np.unique(before, return_inverse=True, return_counts=True)
    if len(before) < _PIXELS_PER_VALUE * len(counts):
        return False
    means = np.bincount(values, after) / counts
    # About the mean, so that large squares do not cancel.
    return float(np.square(after - means[values]).mean()) <= (_NOTHING * floor) ** 2


def explained_shares(
    pairs: Sequence[Pair], window: Window, solution: Solution, error: float
) -> list[float]:
    """Return, for each pair of planes as given, the share of pixels that a kernel makes.

    Saturated pixels are made by it where it goes to that end of the range or beyond.
    """
    return [_explained(pair, window, solution, error) for pair in pairs]


def _explained(pair: Pair, window: Window, solution: Solution, error: float) -> float:
    near, counted = _near(pair, window, solution, error)
    return float(near[counted].mean()) if counted.any() else 1.0


def _near(pair: Pair, window: Window, solution: Solution, error: float) -> tuple[Array, Array]:
    """Return which pixels (h, w) of the window's region a kernel makes, and which of them count."""
    made, region = predicted(pair, window, solution)
    ends = pair.ends[region]
    if ends.any():
        made = np.clip(made, *pair.limits)
    near = np.abs(made - pair.y[:, *region]).max(axis=0) <= _TOLERANCE * error
    return near, pair.usable[region] | ends


def follows_a_rule(
    before: Sequence[Pair], pairs: Sequence[Pair], window: Window, solution: Solution, error: float
) -> str:
    """Return where pixels are set aside, if the picture or their place predicts that; or "".

    Saturated pixels are set aside where the kernel makes something else.
    """
    chances: list[Array] = []
    detail: list[tuple[Array, Array]] = []
    for given, pair in zip(before, pairs, strict=True):
        region = given.region(window)
        near, counted = _near(given, window, solution, error)
        lost = counted & ~near & ~pair.usable[region]
        if np.count_nonzero(lost) <= _SOME * lost.size:
            continue
        if _is_periodic(lost, counted):
            return "in every second row or column, or the like, as interlacing makes them"
        if given.same_size:
            x = given.x.mean(axis=0)[region]
            chances += _within_blocks(x, lost, near & counted)
            detail.append(_detail_of(x, lost, near & counted))
    if detail and _is_picked(*(np.concatenate(some, axis=1) for some in zip(*detail, strict=True))):
        return (
            "where the picture has detail, and nowhere where it has none, as a threshold or a "
            "limit makes them"
        )
    if len(chances) < _FEWEST_BLOCKS:
        return ""
    likely = np.abs(np.mean(chances, axis=0) - 0.5) + 0.5
    if likely.max() <= _LIKELY:
        return ""
    return "where the picture is of a certain kind, as a threshold on detail or a median makes them"


def _is_periodic(lost: Array, counted: Array) -> bool:
    """Tell whether pixels are set aside in every n-th row, column or diagonal, all over.

    Each row is compared with the mean about it, and of all that are n apart the median is taken: a
    few that are dead, and the rim of a mark, are no rule.
    """
    places: Array = np.indices(lost.shape, np.int32)
    for lines in (*places, places.sum(axis=0)):
        there = np.bincount(lines[counted])
        shares = np.bincount(lines[lost], minlength=len(there))[there > 0] / there[there > 0]
        for period in _PERIODS:
            if len(shares) < _FEWEST_PERIODS * period:
                break
            means = np.convolve(shares, np.full(period, 1 / period), "valid")
            more = shares[period // 2 :][: len(means)] - means
            if np.ptp([np.median(more[first::period]) for first in range(period)]) > _OFTEN:
                return True
    return False


def _detail_of(x: Array, lost: Array, used: Array) -> tuple[Array, Array]:
    """Return how much detail there is about pixels that are set aside, and about others (3, n)."""
    height, width = lost.shape
    corners = [
        (row, column)
        for row in range(0, height - _BLOCK + 1, _BLOCK)
        for column in range(0, width - _BLOCK + 1, _BLOCK)
    ]
    some: list[Array] = [np.empty((3, 0))]
    others: list[Array] = [np.empty((3, 0))]
    for row, column in np.random.default_rng(1).permutation(corners)[:_MOST_BLOCKS]:
        place = slice(row, row + _BLOCK), slice(column, column + _BLOCK)
        features = _features(x, row, column, 0.0)[:3]
        some.append(features[:, lost[place]])
        others.append(features[:, used[place]])
    return np.concatenate(some, axis=1), np.concatenate(others, axis=1)


def _is_picked(some: Array, others: Array) -> bool:
    """Tell whether most pixels with much detail are set aside, and hardly any with little.

    What covers a part of a picture covers its even parts too.
    """
    if some.shape[1] < _FEWEST_USED or others.shape[1] < _FEWEST_USED:
        return False
    share = some.shape[1] / (some.shape[1] + others.shape[1])
    for lost, used in zip(some, others, strict=True):
        both = np.concatenate([lost, used])
        low, high = np.percentile(both, [_EVEN, _DETAILED])
        even = float((lost <= low).sum()) / max(float((both <= low).sum()), 1.0)
        busy = float((lost >= high).sum()) / max(float((both >= high).sum()), 1.0)
        if busy >= min(_MOSTLY, _MUCH_MORE * share) and even <= _HARDLY * busy:
            return True
    return False


def _within_blocks(x: Array, lost: Array, used: Array) -> list[Array]:
    """Return, for up to some hundred blocks of both kinds of pixels, the chance of each feature."""
    height, width = lost.shape
    corners = [
        (row, column)
        for row in range(0, height - _BLOCK + 1, _BLOCK)
        for column in range(0, width - _BLOCK + 1, _BLOCK)
    ]
    tone, chances = float(np.median(x[lost])), []
    for row, column in np.random.default_rng(0).permutation(corners)[: 10 * _MOST_BLOCKS]:
        place = slice(row, row + _BLOCK), slice(column, column + _BLOCK)
        here, there = lost[place], used[place]
        if here.sum() >= _FEWEST_LOST and there.sum() >= _FEWEST_USED:
            features = _features(x, row, column, tone)
            chances.append(_chance(features[:, here], features[:, there]))
        if len(chances) == _MOST_BLOCKS:
            break
    return chances


def _features(x: Array, row: int, column: int, tone: float) -> Array:
    """Return, of a block, how far pixels are from the mean of 3×3 and 7×7 and the median of 3×3
    pixels about them and from a tone, and brightness.
    """
    margin = 3
    rows, columns = (np.arange(n - margin, n + _BLOCK + margin) for n in (row, column))
    part = x[np.ix_(rows.clip(0, len(x) - 1), columns.clip(0, x.shape[1] - 1))]
    middle = part[margin:-margin, margin:-margin]
    wide = np.lib.stride_tricks.sliding_window_view(part, (7, 7))
    near = wide[..., 2:5, 2:5]
    centres = wide.mean(axis=(2, 3)), near.mean(axis=(2, 3)), np.median(near, axis=(2, 3))
    return np.stack([*(np.abs(middle - each) for each in (*centres, tone)), middle])


def _chance(some: Array, others: Array) -> Array:
    """Return how often one of some is larger than one of the others, ties counted half."""
    greater = (some[:, :, None] > others[:, None]).mean(axis=(1, 2))
    equal = (some[:, :, None] == others[:, None]).mean(axis=(1, 2))
    return greater + equal / 2
