"""Where is it? The pattern in every size and at every angle, and the places where it is found."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.errors import PatternError
from conv_cli.finding.pattern import Pattern, pattern_weights, planes_of, prepared, require_fit
from conv_cli.finding.peaks import NO_SCORE, Hit, Peaks, apart, joined, peaks_of
from conv_cli.finding.scales import variants
from conv_cli.finding.scores import Tile, scan
from conv_cli.finding.source import Source
from conv_cli.finding.tail import SAMPLES, Tail, fitted_tail

Array = npt.NDArray[Any]
_PER_TILE = 512
"""Peaks of a tile that are kept where the image's own scores are to tell the threshold."""


class Best(NamedTuple):
    """The place that scores most: its score, row and column."""

    score: float
    row: int
    col: int


class Found(NamedTuple):
    """What a search of one image gave.

    hits : list of Hit. Best first.
    best : Best or None. The best place of all, None if no window has a score.
    heat : ndarray or None. The scores (rows, columns), float32, of the best pattern at every place,
        if they were asked for.
    """

    hits: list[Hit]
    best: Best | None
    heat: Array | None


def score_map(
    image: npt.ArrayLike, pattern: npt.ArrayLike, mask: npt.ArrayLike | None = None
) -> Array:
    """Return the score of every place of an image: zero-mean normalised cross-correlation.

    Parameters
    ----------
    image : array_like, shape (H, W) or (H, W, C)
        Real numbers of any dtype.
    pattern : array_like, shape (h, w) or (h, w, C)
        All channels count together, each less its own mean.
    mask : array_like, shape (h, w), optional
        Weights of the pattern's pixels, 0 or more.

    Returns
    -------
    ndarray, shape (H-h+1, W-w+1), float32
        From -1 to 1; 0 where a window is even, NaN where it holds NaN or infinity.

    Raises
    ------
    ImageError
        The image is no array of real numbers of that shape.
    PatternError
        The pattern has no detail, is larger than the image, has other channels, or the mask does
        not fit it.
    """
    planes, values = planes_of(image), planes_of(pattern)
    weights = pattern_weights(values, None if mask is None else np.asarray(mask))
    only = prepared(values, weights)
    heat = search(planes, [only], threshold=2, heat=True).heat
    assert heat is not None
    return heat


def find_pattern(
    image: npt.ArrayLike,
    pattern: npt.ArrayLike,
    *,
    threshold: float = 0.8,
    limit: int = 100,
    overlap: float = 0.3,
    scale: tuple[float, float] = (1, 1),
    rotate: tuple[float, float] = (0, 0),
    mask: npt.ArrayLike | None = None,
) -> list[Hit]:
    """Return where an image has a pattern, best first.

    Parameters
    ----------
    image, pattern, mask
        As in `score_map`.
    threshold : float
        The least score of a hit.
    limit : int
        So many hits at the most.
    overlap : float
        Of hits whose windows share more than that, intersection over union, the best one stays.
    scale : (float, float)
        From and to: the pattern in sizes so many times its own.
    rotate : (float, float)
        From and to: the pattern turned by so many degrees, counter-clockwise.

    Raises
    ------
    ImageError, PatternError
        As `score_map` does.
    """
    planes, values = planes_of(image), planes_of(pattern)
    weights = pattern_weights(values, None if mask is None else np.asarray(mask))
    patterns = variants(values, weights, scale, rotate, (planes.shape[1], planes.shape[2]))
    return search(planes, patterns, threshold=threshold, limit=limit, overlap=overlap).hits


def search(
    planes: Array,
    patterns: Sequence[Pattern],
    *,
    threshold: float = 0.8,
    false_alarms: float | None = None,
    limit: int = 100,
    overlap: float = 0.3,
    heat: bool = False,
    progress: Callable[[float], None] = lambda _: None,
) -> Found:
    """Return where an image has any of some patterns.

    planes : ndarray, shape (C, H, W)
    patterns : sequence of Pattern. Those larger than the image are left out.
    false_alarms : float, optional. In place of the threshold: how many false hits are to be
        expected.
    heat : bool. Whether the scores are wanted too.
    progress : callable. Is told shares of the work.

    Raises PatternError if all patterns are larger than the image, or have other channels.
    """
    if len(planes) != len(patterns[0].kernel):
        raise PatternError(
            f"the pattern has {len(patterns[0].kernel)} channels, and the image {len(planes)}; "
            "make both grey"
        )
    image = planes.shape[1], planes.shape[2]
    fitting = [p for p in patterns if p.size[0] <= image[0] and p.size[1] <= image[1]]
    if not fitting:
        require_fit(min((p.size for p in patterns), key=math.prod), image)
    floor = threshold if false_alarms is None else 0.0
    collected = _Collected(planes.shape[1:], fitting, floor, false_alarms is not None, heat)
    scan(Source(planes), fitting, collected.take, progress)
    peaks = collected.peaks()
    tail: Tail | None = None
    if false_alarms is not None:
        tail = fitted_tail(apart(peaks, fitting, overlap, SAMPLES).score)
        threshold = tail.threshold(false_alarms)
        peaks = peaks.taken(np.flatnonzero(peaks.score >= threshold))
    kept = apart(peaks, fitting, overlap, limit)
    return Found(_hits(kept, fitting, tail), collected.best(), collected.heat)


class _Collected:
    """What the tiles of a search gave, in any order."""

    def __init__(
        self,
        image: tuple[int, ...],
        patterns: Sequence[Pattern],
        floor: float,
        few: bool,
        heat: bool,
    ) -> None:
        self._floor, self._most = floor, _PER_TILE if few else None
        self._peaks: dict[tuple[int, int], Peaks] = {}
        self._best: list[Best] = []
        self._lock = Lock()
        rows, columns = (
            n - min(pattern.size[axis] for pattern in patterns) + 1 for axis, n in enumerate(image)
        )
        self._alone = len(patterns) == 1
        self.heat = np.empty((rows, columns), np.float32) if heat else None
        if self.heat is not None and not self._alone:
            self.heat.fill(np.nan)

    def take(self, index: int, tile: Tile, number: int, scores: Array) -> None:
        """Take the scores of a tile by one pattern."""
        first, stop, start, end = tile.inner
        own = scores[first - tile.top : stop - tile.top, start - tile.left : end - tile.left]
        if not own.size:
            return
        if self.heat is not None:
            part = self.heat[first : first + own.shape[0], start : start + own.shape[1]]
            if self._alone:
                part[...] = own
            else:
                np.fmax(part, own, out=part)
        top = float(own.max())
        if math.isnan(top):
            np.copyto(scores, NO_SCORE, where=np.isnan(scores))
            top = float(own.max())
        if top == NO_SCORE:
            return
        peaks = (
            peaks_of(scores, tile, number, self._floor, self._most) if top >= self._floor else None
        )
        with self._lock:
            if peaks is not None:
                # Tiles of patterns of other sizes have the same numbers.
                self._peaks[number, index] = peaks
            if self._best and top < self._best[-1].score:
                return
        place = np.unravel_index(int(own.argmax()), own.shape)
        with self._lock:
            self._best.append(Best(top, int(place[0]) + first, int(place[1]) + start))
            self._best.sort(key=lambda best: (best.score, -best.row, -best.col))

    def peaks(self) -> Peaks:
        """Return all of them, ranked: the same in whatever order they came."""
        return joined([self._peaks[key] for key in sorted(self._peaks)]).ranked()

    def best(self) -> Best | None:
        """Return the best place."""
        return self._best[-1] if self._best else None


def _hits(peaks: Peaks, patterns: Sequence[Pattern], tail: Tail | None) -> list[Hit]:
    hits = []
    for score, row, col, down, right, number in zip(*peaks, strict=True):
        pattern = patterns[int(number)]
        height, width = pattern.size
        center = float(row + down + (height - 1) / 2), float(col + right + (width - 1) / 2)
        expected = None if tail is None else tail.expected(float(score))
        hits.append(
            Hit(int(row), int(col), height, width, float(score), pattern.scale, pattern.angle,
                center, expected)
        )  # fmt: skip
    return hits
