"""From scores to hits: local maxima, each to a fraction of a pixel, and none twice."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.finding.pattern import Pattern
from conv_cli.finding.scores import Tile

Array = npt.NDArray[Any]
NO_SCORE = -2.0
"""Stands where a window has none, below all scores."""


class Hit(NamedTuple):
    """A place where the pattern was found.

    Attributes
    ----------
    row, col : int
        Top left of the window, from 0.
    height, width : int
        Of the window; of a turned pattern the box around it.
    score : float, -1..1
    scale, angle : float
        What the pattern was resized by, and turned by in degrees, counter-clockwise.
    center : (float, float)
        Row and column of the window's middle, to a fraction of a pixel.
    expected_false : float or None
        How many hits of this score or more are to be expected in such an image without the
        pattern; None where that was not asked for.
    """

    row: int
    col: int
    height: int
    width: int
    score: float
    scale: float
    angle: float
    center: tuple[float, float]
    expected_false: float | None = None


class Peaks(NamedTuple):
    """Local maxima of scores.

    score, row, col : ndarray, shape (n,). The place is the top left of the window.
    down, right : ndarray, shape (n,), -0.5..0.5. How far off the true maximum is.
    pattern : ndarray of int, shape (n,). The number of the pattern.
    """

    score: Array
    row: Array
    col: Array
    down: Array
    right: Array
    pattern: Array

    def taken(self, index: Array) -> "Peaks":
        """Return some of them, in the order of the index."""
        return Peaks(*(values[index] for values in self))

    def ranked(self) -> "Peaks":
        """Return them best first; ties go by row, then column, then pattern."""
        return self.taken(np.lexsort((self.pattern, self.col, self.row, -self.score)))


def joined(parts: Sequence[Peaks]) -> Peaks:
    """Return the peaks of several tiles as one."""
    if not parts:
        none, number = np.zeros(0), np.zeros(0, int)
        return Peaks(none, number, number, none, none, number)
    return Peaks(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def peaks_of(
    scores: Array, tile: Tile, number: int, floor: float, most: int | None
) -> Peaks | None:
    """Return the local maxima of a tile's own places that reach a floor, None if there is none.

    A place is one if no neighbour of its eight scores more, nor one before it, by row and then
    column, as much.

    scores : ndarray, shape (rows, columns), of the places from ``tile.top`` and ``tile.left`` on.
        NO_SCORE where there is none.
    most : int, optional. The best ones only.
    """
    first, stop, start, end = tile.inner
    rows = slice(first - tile.top, min(stop - tile.top, scores.shape[0]))
    columns = slice(start - tile.left, min(end - tile.left, scores.shape[1]))
    high = scores.copy()
    np.maximum(high[1:], scores[:-1], out=high[1:])
    np.maximum(high[:-1], scores[1:], out=high[:-1])
    wide = high.copy()
    np.maximum(wide[:, 1:], high[:, :-1], out=wide[:, 1:])
    np.maximum(wide[:, :-1], high[:, 1:], out=wide[:, :-1])
    own = scores[rows, columns]
    row, col = np.nonzero((own == wide[rows, columns]) & (own >= floor))
    row, col = row + rows.start, col + columns.start
    around = _around(scores, row, col)
    alone = (around[:, 4, None] > around[:, :4]).all(axis=1)
    row, col, around = row[alone], col[alone], around[alone]
    score = around[:, 4]
    if most is not None and len(score) > most:
        best = np.argsort(-score, kind="stable")[:most]
        row, col, around, score = row[best], col[best], around[best], score[best]
    if not len(score):
        return None
    down, right = _summit(around.reshape(-1, 3, 3).astype(np.float64))
    numbers = np.full(len(score), number)
    return Peaks(score.astype(np.float64), row + tile.top, col + tile.left, down, right, numbers)


def _around(scores: Array, row: Array, col: Array) -> Array:
    """Return the 3×3 scores (n, 9) around places; NO_SCORE beyond the map."""
    framed = np.pad(scores, 1, constant_values=NO_SCORE)
    down, right = np.divmod(np.arange(9), 3)
    return framed[row[:, None] + down, col[:, None] + right]


def _summit(around: Array) -> tuple[Array, Array]:
    """Return how far the maximum of a quadratic through 3×3 scores lies below and right of theirs.

    A least-squares fit of a + bx + cy + dx² + exy + fy²; where a neighbour is missing, or the
    quadratic has no maximum within half a pixel, the parabolas along each axis tell, or nothing.
    """
    whole = (around > NO_SCORE).all(axis=(1, 2))
    y, x = (around[:, 2] - around[:, 0]).sum(1) / 6, (around[:, :, 2] - around[:, :, 0]).sum(1) / 6
    yy = (around[:, 0] + around[:, 2] - 2 * around[:, 1]).sum(1) / 3
    xx = (around[..., 0] + around[..., 2] - 2 * around[..., 1]).sum(1) / 3
    xy = (around[:, 0, 0] + around[:, 2, 2] - around[:, 0, 2] - around[:, 2, 0]) / 4
    with np.errstate(all="ignore"):
        det = yy * xx - xy * xy
        down, right = (xy * x - xx * y) / det, (xy * y - yy * x) / det
        good = whole & (det > 0) & (np.abs(down) <= 0.75) & (np.abs(right) <= 0.75)
    plain = _parabola(around[:, :, 1]), _parabola(around[:, 1])
    found = [np.where(good, both, one) for both, one in zip((down, right), plain, strict=True)]
    return np.clip(found[0], -0.5, 0.5), np.clip(found[1], -0.5, 0.5)


def _parabola(line: Array) -> Array:
    """Return where the parabola through three scores (n, 3) is highest; 0 where one is missing."""
    bend = line[:, 0] + line[:, 2] - 2 * line[:, 1]
    slope = (line[:, 2] - line[:, 0]) / 2
    known = (line > NO_SCORE).all(axis=1) & (bend < 0)
    return np.divide(-slope, bend, out=np.zeros(len(line)), where=known)


def apart(peaks: Peaks, patterns: Sequence[Pattern], overlap: float, limit: int) -> Peaks:
    """Return the best peaks, of which no two share more of their windows than ``overlap``.

    What two windows share is their intersection over their union.

    peaks : Peaks, ranked
    """
    sizes = np.array([pattern.size for pattern in patterns]).reshape(-1, 2)
    left = np.arange(len(peaks.score))
    kept: list[int] = []
    top, side = peaks.row, peaks.col
    high, wide = sizes[peaks.pattern].T if len(left) else (left, left)
    while len(left) and len(kept) < limit:
        one = int(left[0])
        kept.append(one)
        left = left[1:]
        rows = np.minimum(top[left] + high[left], top[one] + high[one]) - np.maximum(
            top[left], top[one]
        )
        columns = np.minimum(side[left] + wide[left], side[one] + wide[one]) - np.maximum(
            side[left], side[one]
        )
        shared = np.maximum(rows, 0) * np.maximum(columns, 0)
        union = high[left] * wide[left] + high[one] * wide[one] - shared
        left = left[shared <= overlap * union]
    return peaks.taken(np.array(kept, int))
