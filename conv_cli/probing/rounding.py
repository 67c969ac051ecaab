"""How real results became whole numbers, and the bias that is left beside that."""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.fitting.reading import rational
from conv_cli.fitting.result import Fit
from conv_cli.kernels.rational import Rational
from conv_cli.layers import conv2d
from conv_cli.probing.learning import Sample, bare, made

Array = npt.NDArray[Any]
Way = Literal["nearest", "down", "even", "repeated", "none"]

WAYS: dict[str, Callable[[Array], Array]] = {
    "nearest": lambda v: np.floor(v + 0.5),
    "down": np.floor,
    "even": np.rint,
}
"""How one number is rounded. Sums of weights that are no fractions end in 1e-9 or so."""
_DIGITS = 7
"""Sums of weights that are fractions end in 1e-9 or so, which halves do not show then."""
_BETTER = 0.004
"""By so much larger a share of equal pixels, a way of rounding is another one."""
_SURE = 0.8
"""Share of equal pixels below which no way explains the result."""
_SNAP = 0.08
"""As near to a whole number, a bias is that, in levels."""
_RANK = 3e-3
"""What a second term may have of the first in a kernel of one column times one row."""
_TWICE, _ALL = 1.15, 0.97
"""Above so many floors it was rounded more than once, unless this share is made exactly."""
_MANY = 1.04
"""Above so many floors, a linear result was rounded more than once."""


class Rounding(NamedTuple):
    """How a result was rounded.

    way : str or None. None where nothing shows it.
    bias : list of float. What is added besides, for each channel of the result.
    share : float. Of the pixels that are made exactly.
    """

    way: Way | None
    bias: list[float]
    share: float


def with_fractions(fit: Fit) -> tuple[Fit, int]:
    """Return a fit whose weights are the fractions that they may be, and their divisor, or 0."""
    found: Rational | None = fit.rational
    if found is None and fit.weights.ndim > 2:
        flat = fit.weights.reshape(-1, fit.weights.shape[-1])
        found = rational(flat, fit.stderr.reshape(flat.shape))
    if found is None:
        return fit, 0
    weights = (found.numerators / found.divisor).reshape(fit.weights.shape)
    return replace(fit, weights=weights), found.divisor


def rounding_of(sample: Sample, fit: Fit, error: float) -> Rounding:
    """Return how the result of a linear program was rounded.

    error : float. What the fit leaves, in floors.
    """
    outputs = sample.after.shape[2]
    bias = np.broadcast_to(np.array(fit.bias, float), (outputs,))
    if sample.lossy:
        return Rounding(None, [_snapped(value) for value in bias.tolist()], 0.0)
    if not sample.whole:
        return Rounding("none", [_snapped(value) for value in bias], 1.0)
    if fit.linear:
        return Rounding("nearest" if error < _MANY else None, bias.tolist(), 0.0)
    exact, divisor = with_fractions(fit)
    values = made(bare(exact), sample.before, sample.after.dtype)
    values = values[: sample.after.shape[0], : sample.after.shape[1]]
    there = _inside(sample, fit)
    found = []
    for way in WAYS:
        parts = [
            _best_bias(values[..., c], sample, c, there[..., c], way, float(bias[c]), divisor)
            for c in range(outputs)
        ]
        found.append((way, [b for b, _ in parts], min(share for _, share in parts)))
    return _chosen(found, sample, exact, bias, there, error, divisor)


def _chosen(
    found: list[tuple[str, list[float], float]],
    sample: Sample,
    fit: Fit,
    bias: Array,
    there: Array,
    error: float,
    divisor: int,
) -> Rounding:
    by_way = {way: (biases, share) for way, biases, share in found}
    best = max(share for _, share in by_way.values())
    # Where all ways make the same, the simplest bias tells, and none where that does not either.
    ties = [way for way, (_, share) in by_way.items() if share >= best - _BETTER]
    ties.sort(key=lambda way: (_untidy(by_way[way][0]), list(WAYS).index(way)))
    way = ties[0]
    biases, share = by_way[way]
    if "nearest" in ties and "down" in ties and divisor == 1:
        return Rounding(None, biases, share)
    if error > _MANY or share < _SURE:
        repeated, part = _repeated(sample, fit, bias, there)
        if part > share + _BETTER:
            return Rounding("repeated", repeated, part)
    if share >= _SURE and (error <= _TWICE or share >= _ALL):
        return Rounding(way, biases, share)  # type: ignore[arg-type]
    if error > _MANY:
        return Rounding("repeated", [_snapped(float(b)) for b in bias], share)
    return Rounding(None, [_snapped(float(b)) for b in bias], share)


def _untidy(biases: list[float]) -> float:
    return sum(abs(b - round(b)) for b in biases)


def _inside(sample: Sample, fit: Fit) -> Array:
    """Return which pixels (h, w, D) have their window in the chart, and are not at an end."""
    pairs = sample.pairs(mixed=False) if _planar(sample) else sample.pairs(mixed=True)
    inner = np.zeros((*sample.after.shape[:2], sample.after.shape[2]), bool)
    for number in range(sample.after.shape[2]):
        pair = pairs[min(number, len(pairs) - 1)]
        region = pair.region(fit.window)
        inner[(*region, number)] = pair.usable[region]
    return inner


def _planar(sample: Sample) -> bool:
    return sample.before.shape[2] == sample.after.shape[2]


def _best_bias(
    values: Array, sample: Sample, channel: int, there: Array, way: str, bias: float, divisor: int
) -> tuple[float, float]:
    """Return the bias with which a way of rounding makes most pixels, and their share."""
    v, y = values[there], sample.after[..., channel][there].astype(np.float64)
    if not v.size:
        return bias, 0.0
    level = sample.level
    moved = {"nearest": 0.5 / divisor if divisor and divisor % 2 == 0 else 0.0, "even": 0.0}
    middle = bias / level - moved.get(way, -0.5 + (0.5 / divisor if divisor else 0.0))
    tried = sorted({float(round(middle)), round(middle * 2) / 2, middle},
                   key=lambda b: (abs(b - round(b)), abs(b)))  # fmt: skip
    shares = []
    for candidate in tried:
        equal = WAYS[way](np.round(v / level + candidate, _DIGITS)) * level == y
        shares.append(float(equal.mean()))
    best = max(shares)
    first = next(n for n, share in enumerate(shares) if share >= best - _BETTER)
    chosen = tried[first] * level
    return chosen, shares[first]


def _snapped(value: float) -> float:
    return float(round(value)) if abs(value - round(value)) < _SNAP else value


def _repeated(sample: Sample, fit: Fit, bias: Array, there: Array) -> tuple[list[float], float]:
    """Return the bias and the share of pixels that two passes with rounding between them make."""
    best: tuple[list[float], float] = ([_snapped(float(b)) for b in bias], 0.0)
    if fit.weights.ndim != 2 or min(fit.size) < 2:
        return best
    for column, row in _factors(fit.weights):
        for ways, down_first in itertools.product(itertools.product(WAYS, WAYS), (True, False)):
            values = _two_passes(sample, fit, (column, row), ways, down_first)
            for lost in range(ways.count("down") + 1):
                near = [round(float(b) + lost / 2) for b in bias]
                equal = (np.clip(values + np.array(near), 0, 255) == sample.after)[there]
                share = float(equal.mean()) if equal.size else 0.0
                if share > best[1]:
                    best = [float(b) for b in near], share
    return best


def _factors(weights: Array) -> Iterator[tuple[Array, Array]]:
    """Yield a column and a row whose product is a kernel, of the scales that programs choose."""
    left, sizes, right = np.linalg.svd(weights)
    if len(sizes) > 1 and sizes[1] > _RANK * sizes[0]:
        return
    column, row = left[:, 0] * math.sqrt(sizes[0]), right[0] * math.sqrt(sizes[0])
    if abs(column.sum()) > 0.1 * np.abs(column).sum() and abs(weights.sum() - 1) < 0.02:
        yield column / column.sum(), row * column.sum()
    yield column, row


def _two_passes(
    sample: Sample, fit: Fit, factors: tuple[Array, Array], ways: tuple[str, str], down: bool
) -> Array:
    """Return the whole numbers (h, w, D) of two passes over the chart, the rims meaningless."""
    planes = sample.before.astype(np.float64).transpose(2, 0, 1)[:, None]
    passes = (factors[0][:, None], -fit.window.top), (factors[1][None], -fit.window.left)
    for index, way in zip((0, 1) if down else (1, 0), ways, strict=True):
        weights, place = passes[index]
        before, after = place, max(weights.shape) - 1 - place
        padding = ((before, after), (0, 0)) if index == 0 else ((0, 0), (before, after))
        if before < 0 or after < 0:
            return np.zeros_like(sample.after)
        sums = conv2d(planes, weights[None, None], padding=padding, border="edge")
        planes = WAYS[way](np.round(sums, _DIGITS))
    values = np.clip(planes[:, 0].transpose(1, 2, 0), 0, 255)
    down_step, across = sample.layout.stride
    return values[::down_step, ::across][: sample.after.shape[0], : sample.after.shape[1]]
