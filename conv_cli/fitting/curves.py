"""Kernels with a curve: in linear light, or before or after a curve that is learned too.

Each model is fitted to a sample of the pixels by a few steps of Gauss and Newton, and scored in the
target's own levels on pixels that were held out.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.colors import from_linear, to_linear
from conv_cli.fitting.normal import chosen, gathered
from conv_cli.fitting.pairs import HELD_OUT, Pair, Size, Window
from conv_cli.fitting.solve import inverse
from conv_cli.kernels.learned import Tone
from conv_cli.layers import conv2d

Array = npt.NDArray[Any]
Kind = Literal["plain", "light", "after", "before"]
KINDS: tuple[Kind, ...] = ("plain", "light", "after", "before")

_PIXELS, _ROUGHLY = 20_000, 5_000
"""Pixels that are learned from: of the model that is told, and of all to choose one."""
_ROUGH_SIDE = 7
_CLEARLY = 0.985
"""Another model must leave no more of the error than this: some learn more numbers."""
_ENOUGH = 1.004
_ROUNDS = 8
_KNOTS = 65
"""Of a curve over the whole range, at most."""
_PIXELS_PER_KNOT = 40
_HALVINGS = 6
_LEAST_GAIN = 1e-5
_RIDGE = 1e-9
_SIDES = 1, 3, 5, 7, 9, 13, 17
_HELPS, _NEAR = (0.995, 0.9975), 1.3
"""A larger window must leave no more of the error than this, up to so many floors and above."""


class Curved(NamedTuple):
    """A kernel with a curve, and how far off it is on held-out pixels.

    weights : ndarray, shape (h, w); bias : float. In light, 0..top, for "light".
    variances : ndarray, shape (p,). Of the weights and the bias, for an error of 1.
    top : float. What white is.
    """

    kind: Kind
    window: Window
    weights: Array
    bias: float
    tone: Tone | None
    rmse: float
    r2: float
    variances: Array
    top: float = 1.0

    def made(self, under: Array, stride: Size) -> Array:
        """Return what it makes (n, 1, h', w') of the input (n, 1, h, w) under its windows."""
        if self.kind == "light":
            under = to_linear(under, self.top)
        elif self.tone is not None and self.tone.where == "before":
            under = self.tone(under)
        made = conv2d(under, self.weights[None, None], np.array([self.bias]), stride=stride)
        if self.kind == "light":
            return from_linear(made, self.top)
        return self.tone(made) if self.tone is not None and self.tone.where == "after" else made


class _Sample(NamedTuple):
    """Features (p, n), the last of them 1, and targets (n,) that are learned from and held out."""

    features: Array
    targets: Array
    tested: Array
    tests: Array


def likeliest(
    pairs: Sequence[Pair], top: float, centre: Size = (0, 0), kinds: Sequence[Kind] = KINDS
) -> Kind:
    """Return which kind of model explains a rough sample best; "plain" if others hardly do more.

    pairs : sequence of Pair. Of one channel each.
    top : float. What white is.
    kinds : sequence of str. Those that are tried.
    """
    sample = _sample(pairs, Window.around((_ROUGH_SIDE, _ROUGH_SIDE), centre), _ROUGHLY)
    if sample.features.shape[1] < 5 * len(sample.features):
        return "plain"
    window = Window.around((_ROUGH_SIDE, _ROUGH_SIDE), centre)
    errors = {kind: _FITS[kind](sample, window, top).rmse for kind in kinds}
    best = min(errors, key=lambda kind: errors[kind])
    return best if errors[best] < _CLEARLY * errors.get("plain", math.inf) else "plain"


def curve_alone(pairs: Sequence[Pair]) -> Curved:
    """Return the curve of pairs whose target depends on the one input pixel in its place.

    It goes through the mean target of every value, and may rise and fall.
    """
    before, after = (
        np.concatenate([part.ravel() for part in parts])
        for parts in zip(
            *((pair.x[pair.x.shape[0] // 2], pair.y[0]) for pair in pairs), strict=True
        )
    )
    values, places, counts = np.unique(before, return_inverse=True, return_counts=True)
    means = np.bincount(places, after) / counts
    if len(values) == 1:
        values, means = np.append(values, values[0] + 1), np.append(means, means[0])
    off = after - means[places[: len(after)]]
    rmse, spread = float(np.sqrt(np.square(off).mean())), float(after.std())
    r2 = 1 - (rmse / spread) ** 2 if spread > 0 else math.nan
    tone = Tone("after", values.astype(np.float64), means)
    return Curved("after", Window(0, 0, 1, 1), np.ones((1, 1)), 0.0, tone, rmse, r2, np.zeros(2))


def best_curved(
    pairs: Sequence[Pair],
    kind: Kind,
    top: float,
    floor: float,
    size: Size | None = None,
    centre: Size = (0, 0),
) -> Curved | None:
    """Return the kernel of a kind that explains the pairs best; None if there are too few pixels.

    floor : float. The target's own error: no size is sought that leaves less.
    size : (rows, columns), optional. By default the smallest square that no larger one improves.
    """
    best: Curved | None = None
    misses = 0
    outer = Window.around((_SIDES[-1], _SIDES[-1]), centre)
    for rows, columns in [size] if size else [(side, side) for side in _SIDES]:
        window = Window.around((rows, columns), centre)
        sample = _sample(pairs, window, _PIXELS, outer)
        if sample.features.shape[1] < 5 * len(sample.features):
            break
        found = _FITS[kind](sample, window, top)._replace(top=top)
        helps = _HELPS[found.rmse > _NEAR * floor]
        if best is None or found.rmse < helps * best.rmse:
            best, misses = found, 0
        else:
            misses += 1
        if best.rmse <= _ENOUGH * floor or misses > 1:
            break
    return best


def _sample(
    pairs: Sequence[Pair], window: Window, pixels: int, outer: Window | None = None
) -> _Sample:
    """Return pixels of about a number; those of an outer window, if they are enough.

    Windows are compared on the same pixels.
    """
    parts = []
    for held_out, count in ((False, pixels), (True, pixels // (HELD_OUT - 1))):
        places = chosen(pairs, outer or window, count, held_out=held_out)
        if sum(len(some) for _, some in places) < count // 2:
            places = chosen(pairs, window, count, held_out=held_out)
        some = [gathered(pair, window, numbers) for pair, numbers in places if len(numbers)]
        features = np.concatenate([f for f, _ in some], axis=1) if some else np.empty((1, 0))
        targets = np.concatenate([t[0] for _, t in some]) if some else np.empty(0)
        parts += [features.astype(np.float64), targets.astype(np.float64)]
    return _Sample(*parts)


def _least_squares(features: Array, targets: Array) -> Array:
    gram = features @ features.T
    gram[np.diag_indices_from(gram)] += _RIDGE * np.trace(gram) / len(gram)
    return inverse(gram) @ (features @ targets)


def _told(
    kind: Kind, window: Window, solution: Array, tone: Tone | None, made: Array, sample: _Sample,
    slopes: Array,
) -> Curved:  # fmt: skip
    off = sample.tests - made
    rmse = math.sqrt(float(off @ off) / max(len(off), 1))
    spread = float(np.square(sample.tests - sample.tests.mean()).sum()) if len(off) else 0.0
    gram = slopes @ slopes.T
    gram[np.diag_indices_from(gram)] += _RIDGE * np.trace(gram) / len(gram)
    return Curved(
        kind, window, solution[:-1].reshape(window.size), float(solution[-1]), tone, rmse,
        1 - float(off @ off) / spread if spread > 0 else math.nan, np.diag(inverse(gram)),
    )  # fmt: skip


def _plain(sample: _Sample, window: Window, top: float) -> Curved:
    solution = _least_squares(sample.features, sample.targets)
    return _told("plain", window, solution, None, solution @ sample.tested, sample, sample.features)


def _in_light(sample: _Sample, window: Window, top: float) -> Curved:
    """Return a kernel of linear light, errors weighed as they show in levels."""
    features, tested = (_lit(each, top) for each in (sample.features, sample.tested))

    def made(solution: Array) -> tuple[Array, Array]:
        light = solution @ features
        return from_linear(light, top), features * _steepness(light, top)

    start = _least_squares(features, to_linear(sample.targets, top))
    solution, slopes = _descended(start, made, sample.targets)
    return _told(
        "light", window, solution, None, from_linear(solution @ tested, top), sample, slopes
    )


def _lit(features: Array, top: float) -> Array:
    return np.concatenate([to_linear(features[:-1], top), features[-1:]])


def _steepness(light: Array, top: float) -> Array:
    step = 1e-4 * top
    return (from_linear(light + step, top) - from_linear(light - step, top)) / (2 * step)


def _descended(
    start: Array, made: Callable[[Array], tuple[Array, Array]], targets: Array
) -> tuple[Array, Array]:
    """Return the parameters of least squared error near a start, and the slopes there."""
    solution = start
    values, slopes = made(solution)
    error = float(np.square(targets - values).sum())
    for _ in range(_ROUNDS):
        step = _least_squares(slopes, targets - values)
        for _ in range(_HALVINGS):
            tried = made(solution + step)
            off = float(np.square(targets - tried[0]).sum())
            if off < error:
                break
            step = step / 2
        else:
            break
        solution, (values, slopes), gain = solution + step, tried, error - off
        error = off
        if gain < _LEAST_GAIN * error:
            break
    return solution, slopes


def _knots(values: Array) -> Array:
    """Return places over the range of values, each with some pixels about it."""
    low, high = float(values.min()), float(values.max())
    places = np.linspace(low, high, _KNOTS)
    counts = np.histogram(values, places)[0]
    kept, pixels = [places[0]], 0
    for place, count in zip(places[1:], counts, strict=True):
        pixels += count
        if pixels >= _PIXELS_PER_KNOT:
            kept.append(place)
            pixels = 0
    kept[-1] = places[-1] if len(kept) > 1 else kept[-1]
    return np.array(kept if len(kept) > 1 else [low, max(high, low + 1e-6)])


def _hats(values: Array, knots: Array) -> tuple[Array, Array]:
    """Return, of each value, the interval of knots and how far along it lies."""
    place = np.clip(np.searchsorted(knots, values, side="right") - 1, 0, len(knots) - 2)
    return place, (values - knots[place]) / (knots[place + 1] - knots[place])


def _monotone(values: Array) -> Array:
    """Return the nearest values that nowhere fall, by pooling neighbours that do."""
    if values[-1] < values[0]:
        return -_monotone(-values)
    pooled: list[list[float]] = []
    for value in values:
        pooled.append([float(value), 1])
        while len(pooled) > 1 and pooled[-2][0] > pooled[-1][0]:
            (other, more), (last, count) = pooled.pop(), pooled.pop()
            total = more + count
            pooled.append([(other * more + last * count) / total, total])
    return np.concatenate([np.full(int(count), value) for value, count in pooled])


def _curve_after(sample: _Sample, window: Window, top: float) -> Curved:
    """Return a kernel whose sum, or size, is 1, and the curve of what it makes."""
    features, count = sample.features[:-1], len(sample.features) - 1
    weights = _least_squares(sample.features, sample.targets)[:-1]
    total = float(weights.sum())
    size = (
        total if abs(total) > 0.1 * float(np.abs(weights).sum()) else float(np.abs(weights).sum())
    )
    weights = weights / (size or 1.0)
    knots = _knots(weights @ features)
    heights = _fitted_curve(weights @ features, sample.targets, knots)

    def made(both: Array) -> tuple[Array, Array]:
        values, curve = both[:count] @ features, both[count:]
        place, along = _hats(values, knots)
        steep = np.diff(curve) / np.diff(knots)
        hats = np.zeros((len(knots), len(values)))
        numbers = np.arange(len(values))
        hats[place, numbers], hats[place + 1, numbers] = 1 - along, along
        out = curve[place] * (1 - along) + curve[place + 1] * along
        return out, np.concatenate([features * steep[place], hats])

    both, slopes = _descended(np.concatenate([weights, heights]), made, sample.targets)
    weights, tone = both[:count], Tone("after", knots, _monotone(both[count:]))
    made_of_tests = tone(weights @ sample.tested[:-1])
    solution = np.append(weights, 0.0)
    # The kernel's scale is a matter of choice: errors are those of weights whose curve is known.
    known = np.concatenate([slopes[:count], np.ones((1, slopes.shape[1]))])
    return _told("after", window, solution, tone, made_of_tests, sample, known)


def _fitted_curve(values: Array, targets: Array, knots: Array) -> Array:
    """Return the heights at knots of the curve from values to targets, by least squares."""
    place, along = _hats(values, knots)
    hats = np.zeros((len(knots), len(values)))
    numbers = np.arange(len(values))
    hats[place, numbers], hats[place + 1, numbers] = 1 - along, along
    return _monotone(_least_squares(hats, targets))


def _curve_before(sample: _Sample, window: Window, top: float) -> Curved:
    """Return a kernel and the curve of what it is applied to, whose ends stay where they are."""
    pixels, ones = sample.features[:-1], sample.features[-1:]
    knots = _knots(pixels[len(pixels) // 2])
    knots[0], knots[-1] = min(knots[0], pixels.min()), max(knots[-1], pixels.max())
    place, along = _hats(pixels, knots)
    columns = np.arange(pixels.shape[1])
    lower = (place * len(columns) + columns).ravel()
    size, count = len(knots) * len(columns), len(sample.features)

    def made(both: Array) -> tuple[Array, Array]:
        curve = np.concatenate([knots[:1], both[count:], knots[-1:]])
        shaped = np.concatenate([curve[place] * (1 - along) + curve[place + 1] * along, ones])
        weights = both[: count - 1, None]
        basis = np.bincount(lower, (weights * (1 - along)).ravel(), size)
        basis += np.bincount(lower + len(columns), (weights * along).ravel(), size)
        rows = basis.reshape(len(knots), -1)[1:-1]
        return both[:count] @ shaped, np.concatenate([shaped, rows])

    start = np.append(_least_squares(sample.features, sample.targets), knots[1:-1])
    both, slopes = _descended(start, made, sample.targets)
    tone = Tone("before", knots, np.concatenate([knots[:1], both[count:], knots[-1:]]))
    tone = tone._replace(y=_monotone(tone.y))
    tested = np.concatenate([tone(sample.tested[:-1]), sample.tested[-1:]])
    solution = both[:count]
    return _told("before", window, solution, tone, solution @ tested, sample, slopes[:count])


_FITS: dict[Kind, Callable[[_Sample, Window, float], Curved]] = {
    "plain": _plain,
    "light": _in_light,
    "after": _curve_after,
    "before": _curve_before,
}
