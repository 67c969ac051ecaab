"""Where the pixels of a result lie on the chart: sampled, cropped, or grown by a border."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.fitting.pairs import Size, Window
from conv_cli.probing.charts import DEPTH_STEP, patches

Array = npt.NDArray[Any]
Kind = Literal["same", "sampled", "cropped", "grown"]

_FARTHEST = 60
"""Rows and columns that a weight may lie from its pixel."""
_CERTAIN = 6.0
"""Standard deviations of what chance does."""
_MOST = 16
_LOST = 8
"""Rows or columns that valid windows may cost a result that is sampled."""
_SHARE = 4
"""A crop takes no more than one part in so many of a side, nor does a border add more."""


class Layout(NamedTuple):
    """How results of one size lie on charts of one size.

    kind : str
    stride : (rows, columns). Of the chart, between pixels of the result.
    chart, result : (slice, slice). The parts of both that lie on each other.
    """

    kind: Kind
    stride: Size
    chart: tuple[slice, slice]
    result: tuple[slice, slice]

    def of_chart(self, pixels: Array) -> Array:
        """Return the part of a chart (H, W, C)."""
        return pixels[self.chart]

    def of_result(self, pixels: Array) -> Array:
        """Return the part of a result (h, w, D)."""
        return pixels[self.result]


_ALL = slice(None), slice(None)


def layout_of(chart: Array, result: Array) -> Layout | None:
    """Return how a result (h, w, D) lies on a chart (H, W, C); None if it does in no such way."""
    before, after = chart.shape[:2], result.shape[:2]
    if before == after:
        return Layout("same", (1, 1), _ALL, _ALL)
    steps = [_step(long, short) for long, short in zip(before, after, strict=True)]
    if None not in steps and max(step or 1 for step in steps) > 1:
        return Layout("sampled", (steps[0] or 1, steps[1] or 1), _ALL, _ALL)
    change = [short - long for long, short in zip(before, after, strict=True)]
    if any(abs(n) * _SHARE > long for n, long in zip(change, before, strict=True)):
        return None
    if max(change) <= 0:
        first = _first(chart, result, [-n for n in change])
        return Layout("cropped", (1, 1), _part(first, after), _ALL)
    if min(change) >= 0:
        first = _first(result, chart, change)
        return Layout("grown", (1, 1), _ALL, _part(first, before))
    return None


def _part(first: Sequence[int], size: Sequence[int]) -> tuple[slice, slice]:
    rows, columns = (slice(at, at + length) for at, length in zip(first, size, strict=True))
    return rows, columns


def _step(long: int, short: int) -> int | None:
    step = round(long / short)
    most = -(-long // step) if 1 <= step <= _MOST else 0
    lost = 0 if step == 1 else _LOST
    return step if most - lost <= short <= most else None


def _first(large: Array, small: Array, spare: Sequence[int]) -> list[int]:
    """Return the row and column of the larger picture on which the first of the smaller lies.

    The middle, unless another place is so much more alike that it must be that one.
    """
    middle = [n // 2 for n in spare]
    wide, narrow = (np.float64(p).mean(axis=2) for p in (large, small))
    wide, narrow = (_flat(p) for p in (wide, narrow))
    scores = np.fft.irfft2(
        np.fft.rfft2(wide) * np.conj(np.fft.rfft2(narrow, wide.shape)), wide.shape
    )[: spare[0] + 1, : spare[1] + 1]
    size = np.abs(scores)
    best = np.unravel_index(int(np.argmax(size)), size.shape)
    spread = float(np.sqrt((narrow**2).sum() * (wide**2).mean()))
    near = max(abs(int(b) - m) for b, m in zip(best, middle, strict=True)) <= 1
    clear = size[best] > _CERTAIN * spread
    return middle if near or not clear else [int(best[0]), int(best[1])]


def _flat(plane: Array) -> Array:
    """Return a plane less the means of small squares about each pixel: detail alone."""
    side = 9
    sums = np.pad(plane, side // 2, mode="edge")
    for axis in (0, 1):
        sums = np.lib.stride_tricks.sliding_window_view(sums, side, axis).mean(axis=-1)
    return plane - sums


def seen_by(chart: Array, result: Array, layout: Layout) -> tuple[Window | None, Array]:
    """Return which pixels of the chart show in those of the result, beyond doubt.

    chart, result : ndarray, (H, W, C) and (h, w, D), already laid on each other.

    Returns
    -------
    window : Window or None
        That holds all places; None if there are none.
    channels : ndarray of bool, shape (D, C)
        Whether a channel of the chart shows in one of the result.
    """
    mean, reach = (layout.of_chart(part) for part in patches())
    scale = DEPTH_STEP if chart.dtype == np.uint16 else 1
    before = (chart / scale - mean) / reach
    after = _even(result, (mean, reach), layout.stride, before.shape[:2])
    shape = [side + _FARTHEST for side in before.shape[:2]]
    spectra = [np.fft.rfft2(p, shape, axes=(0, 1)) for p in (before, after)]
    strength = np.zeros((after.shape[2], before.shape[2]), bool)
    lags: Array = np.zeros((2 * _FARTHEST + 1,) * 2, bool)
    for output in range(after.shape[2]):
        energy = float((after[..., output] ** 2).sum())
        if not energy:
            continue
        for channel in range(before.shape[2]):
            product = spectra[0][..., channel] * np.conj(spectra[1][..., output])
            sums = np.fft.irfft2(product, shape)
            near = np.roll(sums, (_FARTHEST, _FARTHEST), (0, 1))[: len(lags), : len(lags)]
            spread = np.sqrt(energy * float((before[..., channel] ** 2).mean()))
            certain = np.abs(near) > _CERTAIN * spread
            strength[output, channel] = certain.any()
            lags |= certain
    if not lags.any():
        return None, strength
    rows, columns = (np.flatnonzero(lags.any(axis=axis)) for axis in (1, 0))
    first = int(rows[0]) - _FARTHEST, int(columns[0]) - _FARTHEST
    return Window(*first, int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1), strength


def _even(result: Array, noise: tuple[Array, Array], stride: Size, size: Size) -> Array:
    """Return a result on the grid of the chart, 0 between, each patch about 0 and as strong."""
    down, across = stride
    mean, reach = (part[::down, ::across] for part in noise)
    rows, columns = (min(a, b) for a, b in zip(result.shape[:2], mean.shape[:2], strict=True))
    values = result[:rows, :columns].astype(np.float64)
    if rows % 2 == columns % 2 == 0:  # what the means alone would give is the same in all tiles
        tiles = values.reshape(2, rows // 2, 2, columns // 2, -1)
        values = (tiles - tiles.mean(axis=(0, 2), keepdims=True)).reshape(values.shape)
    kinds = np.stack([mean[:rows, :columns, 0], reach[:rows, :columns, 0]])
    for kind in np.unique(kinds.reshape(2, -1), axis=1).T:
        there = (kinds == kind[:, None, None]).all(axis=0)
        patch = values[there]
        patch -= patch.mean(axis=0)
        values[there] = patch / np.maximum(patch.std(axis=0), 1e-9)
    spread: Array = np.zeros((*size, values.shape[2]))
    spread[::down, ::across][:rows, :columns] = values
    return spread
