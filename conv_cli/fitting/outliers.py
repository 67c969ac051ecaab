"""Pixels that no kernel made: dust, a watermark, a corner that was painted over.

Least squares is led astray by a few of them. Here a kernel is looked for that explains many pixels
to within their rounding, whatever the others are; then the others are told by their residuals. A
pair counts as explained so only if hardly any pixel lies in between: filters that are not linear
leave residuals of every size.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.fitting.normal import chosen, gathered
from conv_cli.fitting.pairs import Pair, Size, Window
from conv_cli.fitting.refine import predicted
from conv_cli.fitting.solve import Solution

Array = npt.NDArray[Any]

_SIDES = {3: 5, 9: 5, 21: 1}
"""Sides of the windows that are tried, and for each how many blocks, each way, the images are cut
into: any of them may be free of what covers the others."""
_SMALL = 9
"""Larger windows are not tried where no larger one was of use before."""
_SAMPLE = 40
"""Pixels a weight."""
_FEWEST = 8_000
_ROUNDS = 8
_ROUGH_SAMPLE, _FEWEST_ROUGH = 15, 3_000
"""Pixels a weight, and in all, of which first guesses are made."""
_NEAR, _FAR = 2.1, 6.6
"""In units of the target's own error: what rounding alone can do, and what it cannot."""
_BETWEEN = 0.06
"""At most so many pixels, for one that is near, may lie between near and far."""
_LEAST_SHARE = 0.3
_DISTANCES = 12, 6, 3, 2.3, 2.3, 2.3
"""What counts as near, round by round, while a first guess settles."""
_FOLLOWED, _SETTLED = 6, 2
"""So many of the first guesses are followed up, and of those at the end: what predicts most pixels.
"""
_UNLIKE = 0.05
"""By so much of their error, predictions differ."""
_CORE = 1.6
"""Twice as far as near there may be so many pixels for one that is: noise has no core."""
_SOFT = 1.1
"""A kernel that is nearly right takes in pixels that are off by this much more."""


class _Sample(NamedTuple):
    features: Array
    targets: Array


def without_outliers(
    pairs: Sequence[Pair], floor: float, centre: Size, size: Size
) -> list[Pair] | None:
    """Return the pairs with their outliers marked as not usable, or None if that explains none.

    floor : float. The target's own error, root mean square.
    centre, size : (rows, columns). Of the window that is best as long as all pixels count.
    """
    for side, blocks in _SIDES.items():
        if side > _SMALL >= max(size):
            break
        window = Window.around((side, side), centre)
        weights = side * side * len(pairs[0].x) + 1
        sample = _sample(pairs, window, max(_SAMPLE * weights, _FEWEST))
        if sample.features.shape[1] < 10 * weights:
            break
        rough = _rough(sample)
        starts = [
            _nearer(rough, start) for start in _unlike(rough, _starts(pairs, window, rough, blocks))
        ]
        starts.sort(key=lambda start: _near(sample, start, _DISTANCES[2] * floor).mean())
        for start in starts[-_SETTLED:]:
            solution = _settled(sample, start, floor)
            if solution is not None and _explains(sample, solution, floor):
                return [_marked(pair, window, solution, floor) for pair in pairs]
    return None


def _sample(pairs: Sequence[Pair], window: Window, count: int) -> _Sample:
    parts = [
        gathered(pair, window, some)
        for pair, some in chosen(pairs, window, count, held_out=None)
        if len(some)
    ]
    if not parts:
        return _Sample(np.empty((0, 0)), np.empty((0, 0)))
    features, targets = zip(*parts, strict=True)
    return _Sample(
        *(np.concatenate(each, axis=1).astype(np.float64) for each in (features, targets))
    )


def _rough(sample: _Sample) -> _Sample:
    """Return fewer pixels: first guesses need no more."""
    count = max(_ROUGH_SAMPLE * len(sample.features), _FEWEST_ROUGH)
    step = max(sample.features.shape[1] // count, 1)
    return _Sample(sample.features[:, ::step].copy(), sample.targets[:, ::step].copy())


def _unlike(sample: _Sample, starts: Iterable[Array]) -> list[Array]:
    """Return the guesses that predict most pixels best, and each another picture."""
    found: list[Array] = []
    made: list[Array] = []
    for start in sorted(
        starts, key=lambda start: np.quantile(_distance(sample, start), _LEAST_SHARE)
    ):
        own = start.T @ sample.features
        spread = float(np.abs(own - sample.targets).mean()) + 1e-12
        if all(np.median(np.abs(own - other)) > _UNLIKE * spread for other in made):
            found.append(start)
            made.append(own)
        if len(found) == _FOLLOWED:
            break
    return found


def _starts(pairs: Sequence[Pair], window: Window, sample: _Sample, blocks: int) -> Iterator[Array]:
    """Yield first guesses: of all pixels, by the sum of absolute errors; of the brighter and of the
    darker than that predicts, as a mark that shines through makes two kernels; and of blocks."""
    weights = len(sample.features)
    solution = _solved(sample, np.ones(sample.features.shape[1], bool))
    for _ in range(_ROUNDS):
        distance = _distance(sample, solution)
        solution = _solved(sample, 1 / np.maximum(distance, 1e-3 * distance.mean() + 1e-12))
    yield solution
    brighter = (sample.targets - solution.T @ sample.features).mean(axis=0) > 0
    for side_of_it in (brighter, ~brighter):
        yield _solved(sample, side_of_it)
    for pair in pairs:
        for block in _blocks(pair, window, blocks):
            part = _sample([block], Window(0, 0, *window.size), 20 * weights)
            if part.features.shape[1] >= 3 * weights:
                yield _solved(part, np.ones(part.features.shape[1], bool))


def _nearer(sample: _Sample, solution: Array) -> Array:
    """Return the solution over the nearer pixels, again and again, fewer each time."""
    most = 4 * float(np.median(_distance(sample, solution)))
    for _ in range(_ROUNDS):
        near = _near(sample, solution, most)
        if near.mean() < _LEAST_SHARE:
            break
        solution, most = _solved(sample, near), most / 2
    return solution


def _blocks(pair: Pair, window: Window, count: int) -> Iterator[Pair]:
    """Yield what lies in one block of a pair after the other, with the input under its windows."""
    region = pair.region(window)
    rows, columns = (
        [slice(*map(int, ends)) for ends in pairwise(np.linspace(part.start, part.stop, count + 1))]
        for part in region
    )
    for down, across in product(rows, columns):
        yield pair._replace(
            x=np.ascontiguousarray(pair.under((down, across), window)),
            y=np.ascontiguousarray(pair.y[:, down, across]),
            usable=pair.usable[down, across],
            held_out=pair.held_out[down, across],
            ends=pair.ends[down, across],
        )


def _solved(sample: _Sample, counts: Array) -> Array:
    """Return the least-squares solution (p, D), each pixel counted so often, or only if true."""
    if counts.dtype == bool:
        features, targets = sample.features[:, counts], sample.targets[:, counts]
        weighted = features
    else:
        features, targets = sample
        weighted = features * counts
    gram = weighted @ features.T
    gram[np.diag_indices_from(gram)] += 1e-12 * np.trace(gram)
    return np.linalg.solve(gram, weighted @ targets.T)


def _distance(sample: _Sample, solution: Array) -> Array:
    """Return the largest residual of each pixel over its channels."""
    return np.abs(sample.targets - solution.T @ sample.features).max(axis=0)


def _near(sample: _Sample, solution: Array, most: float) -> Array:
    """Return which pixels are predicted to within a distance."""
    return _distance(sample, solution) <= most


def _settled(sample: _Sample, solution: Array, floor: float) -> Array | None:
    """Return the solution over the pixels near it, by ever stricter ideas of near."""
    for distance in _DISTANCES:
        near = _near(sample, solution, distance * floor)
        wider = _near(sample, solution, 2 * distance * floor)
        if near.mean() < max(_LEAST_SHARE / 2, wider.mean() / _CORE):
            return None
        solution = _solved(sample, near)
    return solution


def _explains(sample: _Sample, solution: Array, floor: float) -> bool:
    """Tell whether many pixels are near, hardly any between, and not just for being all alike."""
    distance = _distance(sample, solution)
    near = distance <= _NEAR * floor
    count = int(near.sum())
    if count < max(_LEAST_SHARE * len(near), 10 * len(solution)):
        return False
    between = int((distance <= _FAR * floor).sum()) - count
    off = float(np.sqrt(np.square(distance[near]).mean()))
    varied = bool((sample.targets[:, near].std(axis=1) > 3 * floor).any())
    return varied and off <= 1.1 * floor and between <= _BETWEEN * count


def _marked(pair: Pair, window: Window, solution: Array, floor: float) -> Pair:
    """Return the pair without the pixels that lie far from what the solution predicts."""
    made, region = predicted(pair, window, Solution(solution[:-1], solution[-1]))
    near = np.abs(pair.y[:, *region] - made).max(axis=0) <= _NEAR * _SOFT * floor
    usable = np.zeros_like(pair.usable)
    usable[region] = pair.usable[region] & near
    return pair._replace(usable=usable)
