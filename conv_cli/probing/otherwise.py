"""What a program is that no kernel makes: six kinds, in the order in which they are tried."""

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.fitting.causes import Scale, rank_of
from conv_cli.fitting.curves import best_curved
from conv_cli.kernels.comparison import TURNS
from conv_cli.probing.charts import TILES, shuffle
from conv_cli.probing.layout import Layout
from conv_cli.probing.learning import Sample

Array = npt.NDArray[Any]
Kind = Literal["tone", "neighbours", "position", "geometry", "picture", "random"]

_SAME = 0.995
"""Share of pixels that are alike where nothing but chance differs."""
_INNER = 24
"""Rows and columns that a tile's neighbours may show in."""
_BLOCK = 24
_STEP = 36
_CLEAR = 7.0
"""Standard deviations of what chance does to the best of all places."""
_MOVED = 0.25
"""Share of blocks that lie elsewhere, each otherwise, where a picture is bent."""
_FEWEST = 6
_FOUND = 0.3
"""Share of blocks that must be found for sure."""
_TURNED = 0.3
_CELL = 8
_LOSSY = 3.0
_EXPLAINED = 1.6
"""Up to so many floors, a kernel with a curve is what a program does."""


class Otherwise(NamedTuple):
    """What a program is in place of linear, and that in words."""

    kind: Kind
    words: str


class Evidence(NamedTuple):
    """What came back, as (h, w, D); None for charts that were not given.

    chart : ndarray, shape (H, W, C). The noise.
    noise, again, copies : ndarray or None. Of the noise, of it once more, and of the copies.
    layout : Layout or None
    sample : Sample or None
    """

    chart: Array
    noise: Array
    again: Array | None
    copies: Array | None
    layout: Layout | None
    sample: Sample | None


def otherwise(seen: Evidence) -> Otherwise:
    """Return what kind of program it is."""
    if seen.again is not None and not np.array_equal(seen.noise, seen.again):
        return Otherwise("random", "two runs on one picture differ")
    whole = seen.layout is not None and seen.layout.kind == "same"
    if whole and _is_pointwise(seen):
        return Otherwise("tone", _curve_words(seen.chart, seen.noise))
    bent = _geometry(seen.chart, seen.noise)
    if bent:
        return Otherwise("geometry", bent)
    if whole and seen.copies is not None:
        share = _apart(_tile(seen.noise, "first"), _tile(seen.copies, "first"))
        if share > 1 - _SAME:
            return Otherwise(
                "picture", f"{share * 100:.3g} % of a tile change with what lies far from them"
            )
        lossy = _block_words(seen.noise)
        share = _apart(_tile(seen.copies, "first"), _tile(seen.copies, "moved"))
        if share > 1 - _SAME and not lossy:
            return Otherwise(
                "position", f"{share * 100:.3g} % of a tile change where that is moved"
            )
        if lossy:
            return Otherwise("neighbours", lossy)
    if seen.sample is None:
        return Otherwise("geometry", _size_words(seen.chart, seen.noise))
    return _by_cause(seen.sample)


def _tile(pixels: Array, name: str) -> Array:
    rows, columns = TILES[name]
    return pixels[
        rows.start + _INNER : rows.stop - _INNER, columns.start + _INNER : columns.stop - _INNER
    ]


def _apart(one: Array, other: Array) -> float:
    """Return the share of pixels that differ."""
    return float((one != other).any(axis=-1).mean())


def _is_pointwise(seen: Evidence) -> bool:
    """Tell whether equal pixels become equal ones, wherever they lie and whatever is around."""
    if seen.copies is None:
        return _same_by_value(seen.chart, seen.noise)
    first, shuffled = (seen.copies[TILES[name]] for name in ("first", "shuffled"))
    width = first.shape[-1]
    there = first.reshape(-1, width)[shuffle()]
    alike = (there == shuffled.reshape(-1, width)).all(axis=-1).mean() > _SAME
    steady = _apart(seen.noise[TILES["first"]], first) < 1 - _SAME
    return bool(alike and steady)


def _same_by_value(chart: Array, result: Array) -> bool:
    """Tell whether each channel is a function of its own values."""
    if chart.shape != result.shape:
        return False
    for before, after in zip(chart.transpose(2, 0, 1), result.transpose(2, 0, 1), strict=True):
        _, place, counts = np.unique(before, return_inverse=True, return_counts=True)
        means = np.bincount(place.ravel(), after.ravel().astype(float)) / counts
        near = np.abs(after.ravel() - means[place.ravel()]) < 0.51
        if near.mean() < _SAME:
            return False
    return True


def _curve_words(chart: Array, result: Array) -> str:
    if result.shape == chart.shape and _same_by_value(chart, result):
        values = len(np.unique(result))
        if values <= 2:
            return "a threshold at every pixel"
        order = np.argsort(chart[..., 0].ravel(), kind="stable")
        steps = np.diff(result[..., 0].ravel()[order].astype(float))
        rises = "rises" if (steps >= 0).all() else "falls" if (steps <= 0).all() else "turns"
        return f"a curve at every pixel, which {rises}"
    return "every pixel is made of its own colour alone, but not by sums"


def _size_words(chart: Array, result: Array) -> str:
    before, after = (f"{p.shape[0]}x{p.shape[1]}" for p in (chart, result))
    return f"{before} pixels become {after}"


def _geometry(chart: Array, result: Array) -> str:
    """Return how a picture was turned, scaled or bent; "" if it was not."""
    before, after = (_detail(p) for p in (chart, result))
    for name, turn in TURNS.items():
        turned = turn(before)
        if turned.shape == after.shape and abs(_alike(turned, after)) > _TURNED:
            return name
    moves = _moves(before, after)
    if len(moves) < _FEWEST:
        return ""
    usual = np.median(moves, axis=0)
    elsewhere = (np.abs(moves - usual) > 1).any(axis=1).mean()
    if elsewhere < _MOVED:
        return ""
    if chart.shape[:2] != result.shape[:2]:
        return f"scaled: {_size_words(chart, result)}"
    return "its parts are moved by different distances"


def _detail(pixels: Array) -> Array:
    """Return grey less its means over small squares, each pixel by the spread about it."""
    grey = pixels.astype(np.float64).mean(axis=-1)
    mean = _means(grey)
    spread = np.sqrt(np.maximum(_means(grey**2) - mean**2, 0))
    return (grey - mean) / np.maximum(spread, 1.0)


def _means(plane: Array) -> Array:
    side = 9
    sums = np.pad(plane, side // 2, mode="reflect")
    for axis in (0, 1):
        sums = np.lib.stride_tricks.sliding_window_view(sums, side, axis).mean(axis=-1)
    return sums


def _alike(one: Array, other: Array) -> float:
    size = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float((one * other).sum()) / size if size else 0.0


def _moves(before: Array, after: Array) -> Array:
    """Return by how much the blocks of a result were moved, those alone that are found for sure."""
    shape = [side + _BLOCK for side in before.shape]
    spectrum = np.fft.rfft2(before, shape)
    found, count = [], 0
    for row in range(4, after.shape[0] - _BLOCK - 3, _STEP):
        for column in range(4, after.shape[1] - _BLOCK - 3, _STEP):
            block = after[row : row + _BLOCK, column : column + _BLOCK]
            count += 1
            scores = np.fft.irfft2(spectrum * np.conj(np.fft.rfft2(block, shape)), shape)
            scores = np.abs(scores[: before.shape[0], : before.shape[1]])
            best = int(np.argmax(scores))
            if scores.ravel()[best] > _CLEAR * float(np.sqrt((scores**2).mean())):
                at = divmod(best, before.shape[1])
                found.append((at[0] - row, at[1] - column))
    found = found if len(found) > _FOUND * count else []
    return np.array(found, float).reshape(-1, 2)


def _block_words(result: Array) -> str:
    """Return what tells that a picture went through blocks of a lossy codec; "" if nothing does.

    Coefficients of its blocks are 0, which those of blocks that lie otherwise are not.
    """
    grey = result.astype(np.float64) @ np.full(result.shape[-1], 1 / result.shape[-1])
    shares = [_still(grey[off:, off:]) for off in (0, 4)]
    if shares[0] > 0.05 and shares[0] > _LOSSY * shares[1]:
        return "a lossy step within it rounds the frequencies of blocks of 8x8"
    return ""


def _still(grey: Array) -> float:
    """Return the share of high frequencies of blocks that are next to nothing."""
    rows, columns = (n // _CELL for n in grey.shape)
    blocks = grey[: rows * _CELL, : columns * _CELL].reshape(rows, _CELL, columns, _CELL)
    number = np.arange(_CELL)
    waves = np.cos(np.pi * (2 * number + 1) * number[:, None] / (2 * _CELL)) / 2
    parts = np.einsum("ij,rjcl,kl->rcik", waves, blocks.astype(np.float64), waves)
    return float((np.abs(parts[..., 4:, 4:]) < 0.6).mean())


def _by_cause(sample: Sample) -> Otherwise:
    """Return what explains the first channel, by trying the few models that the fit knows."""
    words = "not a sum of neighbours: a threshold on detail, or the like"
    if sample.before.shape[2] != sample.after.shape[2] or sample.layout.stride != (1, 1):
        return Otherwise("neighbours", words)
    pairs = sample.pairs(mixed=False)[:1]
    top = sample.top if np.isfinite(sample.top) else 1.0
    ranked = rank_of(pairs[0], Scale(sample.floor, top, sample.floor, 1.0))
    if ranked is not None:
        return Otherwise("neighbours", ranked.words)
    curved = best_curved(pairs, "after", top, sample.floor, (7, 7))
    if curved is not None and curved.rmse <= _EXPLAINED * sample.floor:
        words = "a kernel, and a curve after it"
    return Otherwise("neighbours", words)
