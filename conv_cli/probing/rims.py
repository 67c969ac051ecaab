"""The border: what explains the pixels whose windows leave the picture."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from conv_cli.borders import NAMES
from conv_cli.fitting.reading import with_own_place
from conv_cli.fitting.result import Fit
from conv_cli.probing.learning import Sample, bare, made
from conv_cli.probing.rounding import WAYS, Rounding

Array = npt.NDArray[Any]

_EXPLAINED = 0.97
"""Share of the rim that a border must make."""
_EQUAL = 0.02
"""By so much smaller a share of exact pixels, a border is as good as the best."""
_ERRORS = 4.0


def border_of(sample: Sample, fit: Fit, rounding: Rounding) -> str | None:
    """Return the border of a linear program; None if none explains the rim."""
    if sample.layout.kind == "cropped":
        return "cropped"
    rim = _rim(sample, fit)
    if not rim.any():
        return NAMES[0]
    target = sample.after
    tolerance = _ERRORS * max(fit.noise_floor, fit.rmse)
    to_whole = WAYS.get(rounding.way or "nearest", np.rint)
    bias = np.array(rounding.bias)

    shares: dict[str, tuple[float, float]] = {}
    for name, values in _candidates(sample, fit, rim):
        values = values[: target.shape[0], : target.shape[1]]
        off = np.abs(_limited(values, sample) - target)[rim]
        # What lies beyond an end of the range is looked at by itself: it may go round there.
        inside = _inside(values, sample, tolerance)[rim]
        whole = to_whole(np.round(values - _bias(fit, target.shape[2]) + bias, 7))
        near = off <= tolerance
        equal = (_limited(whole, sample) == target)[rim] if sample.whole else near
        shares.setdefault(name, (_share(near, inside), _share(equal, inside)))
    if target.shape == sample.before.shape:
        same = (sample.before == target)[rim]
        shares["copied"] = float(same.mean()), float(same.mean())
    explained = {name: equal for name, (near, equal) in shares.items() if near >= _EXPLAINED}
    if not explained:
        return None
    best = max(explained.values())
    return next(name for name, equal in explained.items() if equal >= best - _EQUAL)


def _bias(fit: Fit, outputs: int) -> Array:
    """Return what the fit adds, which its values hold; in linear light it cannot be taken off."""
    return np.zeros(outputs) if fit.linear else np.broadcast_to(np.array(fit.bias, float), outputs)


def _inside(values: Array, sample: Sample, margin: float) -> Array:
    if not math.isfinite(sample.top):
        return np.ones(values.shape, bool)
    return (values > -margin) & (values < sample.top + margin)


def _share(right: Array, counted: Array) -> float:
    """Return the share of what is right in what counts; 0 where nothing does."""
    return float(right[counted].mean()) if counted.any() else 0.0


def _limited(values: Array, sample: Sample) -> Array:
    return np.clip(values, 0, sample.top) if sample.top < np.inf else values


def _rim(sample: Sample, fit: Fit) -> Array:
    """Return the pixels (h, w) whose windows leave the chart, and those across from them."""
    extent, stride = with_own_place(fit.window), fit.stride
    height, width = sample.after.shape[:2]
    down = -(-max(-extent.top, extent.top + extent.rows - 1) // stride[0])
    across = -(-max(-extent.left, extent.left + extent.columns - 1) // stride[1])
    if stride != (1, 1):  # whose last windows may end within the chart
        inside = sample.pairs(mixed=True)[0].region(extent)
        rim: Array = np.ones((height, width), bool)
        rim[inside] = False
        return rim
    rim = np.ones((height, width), bool)
    rim[down : max(height - down, 0), across : max(width - across, 0)] = False
    return rim


def _candidates(sample: Sample, fit: Fit, rim: Array) -> Iterator[tuple[str, Array]]:
    """Yield the borders by their order, each with what it makes of the chart."""
    predict: Callable[[str], Array] = lambda name: made(  # noqa: E731
        fit, sample.before, sample.after.dtype, name
    )
    for name in NAMES:
        yield name, predict(name)
    if fit.linear:
        return
    none, one = predict("zero"), predict("1")
    height, width = sample.after.shape[:2]
    slope = (one - none)[:height, :width][rim]
    rest = (sample.after - none[:height, :width])[rim]
    energy = float((slope**2).sum())
    if energy > 1e-9 * max(slope.size, 1):
        value = float((slope * rest).sum()) / energy
        near = round(value)
        name = f"{near if abs(value - near) < 0.3 else value:g}"
        if name != "0":
            yield name, predict(name)
    ones = np.ones_like(sample.before, np.float64)
    covered = made(bare(fit), ones, np.dtype(float), "zero")
    whole = made(bare(fit), ones, np.dtype(float), "edge")
    if float(np.abs(whole).min()) > 1e-3 and float(np.abs(covered).min()) > 1e-6:
        bias = _bias(fit, sample.after.shape[2])
        yield "normalized", (none - bias) * whole / covered + bias
