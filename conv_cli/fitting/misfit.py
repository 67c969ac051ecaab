"""Noise or misfit: whether anything in the picture predicts what a kernel leaves over.

Noise in a target has nothing to do with the picture. What a median, a curve or another kernel in
the other half leaves over has: regressors that no kernel of this size makes predict it, on pixels
that they were not fitted to.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.fitting.pairs import Pair, Window
from conv_cli.fitting.solve import Solution
from conv_cli.layers import conv2d

Array = npt.NDArray[Any]
Model = Callable[[Array, tuple[int, int]], Array]
"""Makes targets (n, D, h', w') of the input (n, C, h, w) under their windows, with a stride."""

_BLOCK = 8
_BLOCKS = 480
"""Blocks of 8×8 pixels: some 30,000 pixels tell."""
_FEWEST_BLOCKS = 12
_CLIP = 4.0
"""Robust deviations at which residuals are cut, so that a few pixels decide nothing."""
_OUTLIER = 5.0
_FEWEST_OUTLIERS = 30
_RIDGE = 2e-3
"""What is added to the diagonal for standardized regressors."""
_AROUND = 2
"""Rows and columns of the wider window, beyond that of the kernel."""
_MOST_AROUND = 64
_BUMPS = 4
"""Bumps of position, each way."""
_REACH = 3
"""Pixels about one of which ranks and local means are taken."""
PREDICTED = 0.01
"""Share of the residual's variance, held out, above which it is no noise."""
_PLACES = 0.15
_STRANGE = 6.5
_SMOOTH, _SOME = 0.5, 0.9
"""Neighbouring residuals that go together so much are a picture, unless the kernel explains nearly
all."""
_EXPLAINED = 0.05


class Misfit(NamedTuple):
    """What predicts the residual.

    r2 : dict. Held-out share of the residual's variance that each group of regressors predicts.
    places : float. The same of where outliers lie.
    strange : float. How far the mean of a block of pixels lies out, in robust deviations.
    smooth : float. Correlation of neighbouring residuals.
    """

    r2: dict[str, float]
    places: float = 0.0
    strange: float = 0.0
    smooth: float = 0.0

    @property
    def share(self) -> float:
        """The share of the residual's variance that the picture predicts, at least."""
        return max(self.r2.values(), default=0.0)

    @property
    def group(self) -> str | None:
        """What predicts most of the residual; None if nothing predicts any."""
        name = max(self.r2, key=lambda name: self.r2[name], default=None)
        if name is not None and self.r2[name] > PREDICTED:
            return name
        if self.places > _PLACES:
            return "neighbours"
        return "position" if self.strange > _STRANGE else None

    def is_noise(self, explained: float) -> bool:
        """Tell whether what is left may be noise; ``explained`` is the fit's own R²."""
        if not self.r2 or self.group is not None or not explained > _EXPLAINED:
            return False
        return self.smooth < _SMOOTH or explained > _SOME


class _Sample(NamedTuple):
    """Blocks of pixels, one after the other, each (n, 8, 8).

    made : ndarray. The prediction.
    left : ndarray. Target less prediction.
    counted : ndarray of bool.
    patches : ndarray, shape (n, 8s+2m, 8s+2m). The input about each block, the mean of channels.
    places : ndarray, shape (n, 2, 8, 8). Row and column, 0..1 over the picture.
    around : ndarray, shape (n, k, 8, 8). Input pixels beyond the kernel's window.
    parity : ndarray, shape (n, 2, 8, 8). 1 in even rows, and columns, and -1 in odd ones.
    """

    made: Array
    left: Array
    counted: Array
    patches: Array
    places: Array
    around: Array
    parity: Array


def linear(pair: Pair, window: Window, solution: Solution) -> Model:
    """Return the model of a kernel."""
    weights = solution.weights.T.reshape(len(pair.y), len(pair.x), *window.size)
    return lambda under, stride: conv2d(under, weights, solution.bias, stride=stride)


def misfit(pairs: Sequence[Pair], window: Window, model: Model) -> Misfit:
    """Return what predicts the residuals of a model, over an even sample of usable pixels."""
    samples = [_sampled(pair, window, model, len(pairs)) for pair in pairs]
    parts = [sample for sample in samples if sample is not None and sample.counted.any()]
    if sum(len(sample.made) for sample in parts) < _FEWEST_BLOCKS:
        return Misfit({})
    sample = _Sample(*(np.concatenate(each) for each in zip(*parts, strict=True)))
    return _judged(sample)


def _sampled(pair: Pair, window: Window, model: Model, pairs: int) -> _Sample | None:
    """Return evenly spread blocks of a pair; None if it has no room for any."""
    margin = _REACH
    top, left = min(window.top - _AROUND, -margin), min(window.left - _AROUND, -margin)
    bottom = max(window.top + window.rows + _AROUND, margin + 1)
    right = max(window.left + window.columns + _AROUND, margin + 1)
    outer = Window(top, left, bottom - top, right - left)
    rows, columns = pair.region(outer)
    corners = [
        (row, column)
        for row in range(rows.start, rows.stop - _BLOCK + 1, _BLOCK)
        for column in range(columns.start, columns.stop - _BLOCK + 1, _BLOCK)
    ]
    most = max(_BLOCKS // pairs, 4)
    if len(corners) > most:
        chosen = np.random.default_rng(0).permutation(len(corners))[:most]
        corners = [corners[k] for k in np.sort(chosen)]
    if not corners:
        return None
    down, across = pair.stride
    tall, wide = (_BLOCK - 1) * down + outer.rows, (_BLOCK - 1) * across + outer.columns
    under = np.stack(
        [
            pair.x[:, top : top + tall, left : left + wide]
            for top, left in ((r * down + outer.top, c * across + outer.left) for r, c in corners)
        ]
    ).astype(np.float64)
    places = [(slice(r, r + _BLOCK), slice(c, c + _BLOCK)) for r, c in corners]
    target = np.stack([pair.y[:, *place] for place in places]).astype(np.float64)
    counted = np.stack([pair.usable[place] for place in places])
    made = _made(pair, under, window, outer, model)
    grey = under.mean(axis=1)
    ring = _ring(grey, window, outer, pair.stride)
    first, last = -outer.top - margin, -outer.left - margin
    patches = grey[:, first:, last:]
    patches = patches[
        :, : (_BLOCK - 1) * down + 2 * margin + 1, : (_BLOCK - 1) * across + 2 * margin + 1
    ]
    size = np.array(pair.y.shape[1:])[:, None, None]
    grid = np.stack([np.indices((_BLOCK, _BLOCK)) + np.array(c)[:, None, None] for c in corners])
    outputs = len(pair.y)
    return _Sample(
        made.reshape(-1, _BLOCK, _BLOCK),
        (target - made).reshape(-1, _BLOCK, _BLOCK),
        np.repeat(counted, outputs, axis=0),
        np.repeat(_centred_patches(patches, pair.stride), outputs, axis=0),
        np.repeat(grid / size, outputs, axis=0),
        np.repeat(ring, outputs, axis=0),
        np.repeat(1.0 - 2 * (grid % 2), outputs, axis=0),
    )


def _made(pair: Pair, under: Array, window: Window, outer: Window, model: Model) -> Array:
    """Return what a model makes of the input under blocks (n, D, 8, 8)."""
    top, left = window.top - outer.top, window.left - outer.left
    down, across = pair.stride
    tall, wide = (_BLOCK - 1) * down + window.rows, (_BLOCK - 1) * across + window.columns
    return model(under[:, :, top : top + tall, left : left + wide], pair.stride)


def _ring(grey: Array, window: Window, outer: Window, stride: tuple[int, int]) -> Array:
    """Return input pixels about the kernel's window, of every block's pixels (n, k, 8, 8)."""
    top, left = window.top - outer.top, window.left - outer.left
    offsets = [
        (row, column)
        for row in range(top - _AROUND, top + window.rows + _AROUND)
        for column in range(left - _AROUND, left + window.columns + _AROUND)
        if not (top <= row < top + window.rows and left <= column < left + window.columns)
    ]
    step = -(-len(offsets) // _MOST_AROUND)
    down, across = stride
    return np.stack(
        [
            grey[:, row : row + _BLOCK * down : down, column : column + _BLOCK * across : across]
            for row, column in offsets[::step]
        ],
        axis=1,
    )


def _centred_patches(patches: Array, stride: tuple[int, int]) -> Array:
    """Return all 7×7 windows of the input about the pixels of blocks (n, 8, 8, 7, 7)."""
    side = 2 * _REACH + 1
    windows = np.lib.stride_tricks.sliding_window_view(patches, (side, side), axis=(1, 2))
    return windows[:, :: stride[0], :: stride[1]]


def _judged(sample: _Sample) -> Misfit:
    counted = sample.counted
    left = sample.left[counted]
    middle = np.median(left)
    scale = 1.4826 * float(np.median(np.abs(left - middle)))
    if scale <= 0:
        scale = float(left.std()) or 1.0
    cut = np.clip(left - middle, -_CLIP * scale, _CLIP * scale)
    fold = np.broadcast_to((np.arange(len(counted)) % 2 == 0)[:, None, None], counted.shape)
    fold = fold[counted]
    groups = _regressors(sample)
    shares = _predicted_shares(groups, cut, fold)
    outliers = np.abs(left - middle) > _OUTLIER * scale
    places = 0.0
    if outliers.sum() >= _FEWEST_OUTLIERS:
        places = max(_predicted_shares(groups, outliers.astype(float), fold).values())
    return Misfit(shares, places, _strangest(sample, middle, scale), _smoothness(sample, middle))


def _strangest(sample: _Sample, middle: float, scale: float) -> float:
    """Return how far out the mean of any block lies."""
    counts = sample.counted.sum(axis=(1, 2))
    some = counts >= _BLOCK * _BLOCK // 2
    if some.sum() < _FEWEST_BLOCKS:
        return 0.0
    kept = np.where(sample.counted, np.clip(sample.left - middle, -6 * scale, 6 * scale), 0)
    means = kept.sum(axis=(1, 2))[some] / counts[some]
    off = np.abs(means - np.median(means))
    return float(off.max() / max(1.4826 * np.median(off), scale / _BLOCK))


def _smoothness(sample: _Sample, middle: float) -> float:
    both = sample.counted[:, :, 1:] & sample.counted[:, :, :-1]
    one, other = (sample.left - middle)[:, :, 1:][both], (sample.left - middle)[:, :, :-1][both]
    energy = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / energy if energy > 0 else 0.0


def _predicted_shares(groups: dict[str, Array], values: Array, fold: Array) -> dict[str, float]:
    """Return the share of the variance of values that each group predicts across the folds.

    One Gram matrix a fold serves all groups.
    """
    names = list(groups)
    features = np.concatenate([groups[name] for name in names])
    features = features - features.mean(axis=1, keepdims=True)
    spread = features.std(axis=1, keepdims=True)
    features = features / np.where(spread > 0, spread, 1)
    stacked = np.concatenate([features, np.ones((1, len(values))), [values]])
    grams = [stacked[:, part] @ stacked[:, part].T for part in (fold, ~fold)]
    ends = np.cumsum([len(groups[name]) for name in names])
    shares = {}
    for name, end in zip(names, ends, strict=True):
        own = np.append(np.arange(end - len(groups[name]), end), len(features))
        shares[name] = float(np.mean([_share(grams, own, k) for k in (0, 1)]))
    return shares


def _share(grams: Sequence[Array], own: Array, fold: int) -> float:
    train, test = grams[fold], grams[1 - fold]
    gram, moments = train[np.ix_(own, own)], train[own, -1]
    ridge = _RIDGE * train[-2, -2] * np.eye(len(own))
    weights = np.linalg.solve(gram + ridge, moments)
    energy, count = test[-1, -1] - test[-2, -1] ** 2 / max(test[-2, -2], 1), test[-2, -2]
    error = test[-1, -1] - 2 * weights @ test[own, -1] + weights @ test[np.ix_(own, own)] @ weights
    return 1 - float(error / energy) if energy > 0 and count else 0.0


def _regressors(sample: _Sample) -> dict[str, Array]:
    """Return regressors (k, n) that no kernel of this window makes, in groups."""
    counted = sample.counted
    windows = sample.patches[counted]  # (n, 7, 7)
    made = sample.made[counted]
    centre = windows[:, 3, 3]
    near, wide = windows[:, 2:5, 2:5].reshape(-1, 9), windows[:, 1:6, 1:6].reshape(-1, 25)
    squares = [np.square(each) / 255 for each in (windows, near, wide)]
    means = near.mean(axis=1), wide.mean(axis=1), windows.mean(axis=(1, 2))
    details = [centre - mean for mean in means]
    tone = np.stack(
        [
            *_curves(made),
            *_curves(centre),
            *(each.reshape(len(each), -1).mean(1) for each in squares),
        ]
    )
    low, high = np.percentile(made, [1, 99])
    unit = (made - (low + high) / 2) / max(high - low, 1e-12)
    places = _places(sample.places.transpose(0, 2, 3, 1)[counted])
    parity = sample.parity.transpose(1, 0, 2, 3)[:, counted]
    place = np.concatenate([places, parity])
    position = np.concatenate([place, place * details[1], place * unit])
    around = sample.around.transpose(1, 0, 2, 3)[:, counted]
    return {
        "tone": tone,
        "neighbours": _nonlinear(near, wide, centre, details, unit),
        "wider": around,
        "position": position,
    }


def _curves(values: Array) -> list[Array]:
    """Return powers and kinks of values."""
    low, high = np.percentile(values, [0.5, 99.5])
    unit = np.clip((values - (low + high) / 2) / max((high - low) / 2, 1e-12), -2, 2)
    kinks = np.percentile(unit, [5, 15, 30, 50, 70, 85, 95])
    return [unit, *(unit**k for k in (2, 3, 4)), *(np.maximum(unit - k, 0) for k in kinks)]


def _nonlinear(
    near: Array, wide: Array, centre: Array, details: Sequence[Array], unit: Array
) -> Array:
    """Return ranks, local deviations, gradients and what becomes of detail past a limit."""
    ranked = [np.sort(each, axis=1) - centre[:, None] for each in (near, wide)]
    deviations = [each.std(axis=1) for each in (near, wide)]
    down = near[:, 6:].sum(axis=1) - near[:, :3].sum(axis=1)
    across = near[:, 2::3].sum(axis=1) - near[:, ::3].sum(axis=1)
    features = [
        ranked[0][:, 0], ranked[0][:, 4], ranked[0][:, -1],
        ranked[1][:, 0], ranked[1][:, 12], ranked[1][:, -1],
        *deviations, np.hypot(down, across),
    ]  # fmt: skip
    for detail in details:
        size = np.abs(detail)
        limits = np.maximum(np.percentile(size, [40, 70, 90, 98]), 1e-9)
        features += [np.clip(detail, -limit, limit) for limit in limits]
        features += [np.minimum(size, limit) for limit in limits]
        features += [unit * detail, unit**2 * detail, size]
    steps = np.delete(near, 4, axis=1) - centre[:, None]
    for limit in np.maximum(np.percentile(np.abs(steps), [50, 80, 95]), 1e-9):
        features += list(np.clip(steps, -limit, limit).T)
    # Differences to neighbours further off: a bilateral filter weighs them too.
    far = wide[:, (0, 2, 4, 10, 14, 20, 22, 24)] - centre[:, None]
    for limit in np.maximum(np.percentile(np.abs(far), [50, 80]), 1e-9):
        features += [np.clip(far, -limit, limit).sum(axis=1)]
    return np.stack(features)


def _places(where: Array) -> Array:
    """Return bumps of position (k, n)."""
    centres = (np.arange(_BUMPS) + 0.5) / _BUMPS
    down, across = (
        np.exp(-0.5 * ((where[:, None, axis] - centres) * _BUMPS) ** 2).T for axis in (0, 1)
    )
    return (down[:, None] * across[None]).reshape(-1, len(where))
