"""What lies beyond the colours of the noise: values past an end of the range, opacity, depth."""

import math
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.fitting.pairs import level_of
from conv_cli.fitting.reading import with_own_place
from conv_cli.fitting.result import Fit
from conv_cli.images import Image
from conv_cli.probing.charts import TILES
from conv_cli.probing.layout import Layout
from conv_cli.probing.learning import bare, made

Array = npt.NDArray[Any]
Clips = Literal["yes", "wraps", "otherwise"]
Opacity = Literal["copied", "filtered", "dropped", "refused", "changed"]

_MOST = 0.95
_CLEAR = 2.0
"""Levels by which a prediction must be beyond the range for it to tell anything."""
_FEWEST = 20
_DEEP = 1000
"""As far from an end of 16 bits, a prediction is not beyond it."""
_TELLS = 0.5
"""What the better of two models must leave of the error of the other."""
_FEW_VALUES = 64
"""Fewer tell their number better than their steps."""


def tile_of(pixels: Array, name: str, margin: tuple[int, int]) -> Array:
    """Return a tile of a result (H, W, D) without a margin on every side."""
    rows, columns = TILES[name]
    (down, across) = margin
    return pixels[
        rows.start + down : rows.stop - down, columns.start + across : columns.stop - across
    ]


def margin_of(fit: Fit) -> tuple[int, int]:
    """Return how far the windows of a kernel reach, rows and columns."""
    extent = with_own_place(fit.window)
    return (
        max(-extent.top, extent.top + extent.rows - 1),
        max(-extent.left, extent.left + extent.columns - 1),
    )


def clips_of(fit: Fit, chart: Array, result: Array) -> Clips | None:
    """Return what becomes of values beyond the range; None if there are none.

    chart, result : ndarray, (H, W, C) and (H, W, D), of one size.
    """
    if result.dtype.kind != "u":
        return None
    top = float(np.iinfo(result.dtype).max)
    clear = _CLEAR * max(fit.noise_floor, 0.3)
    values = made(fit, chart, result.dtype)
    margin = margin_of(fit)
    v, y = (tile_of(p, "wild", margin) for p in (values, result.astype(np.float64)))
    beyond = (v < -clear) | (v > top + clear)
    if np.count_nonzero(beyond) < _FEWEST:
        return None
    v, y = v[beyond], y[beyond]
    level = math.ceil(3 * fit.noise_floor)
    if (np.abs(np.clip(v, 0, top) - y) <= level).mean() > _MOST:
        return "yes"
    around = np.abs(y - v) % (top + 1)
    off = np.minimum(around, top + 1 - around)
    return "wraps" if (off <= level).mean() > _MOST else "otherwise"


def depth_of(image: Image, fit: Fit | None, chart: Array, layout: Layout | None) -> int:
    """Return how many bits of information a result holds.

    chart : ndarray. Of as many bits as were asked for.
    """
    pixels = np.asarray(image.colours)
    if pixels.dtype.kind == "f":
        return 8 * chart.dtype.itemsize
    values = np.unique(pixels)
    if len(values) < _FEW_VALUES:
        return math.ceil(math.log2(max(len(values), 2)))
    bits = 8 * min(pixels.dtype.itemsize, 2)
    step = float(level_of([pixels]))
    if bits == 16 and fit is not None and layout is not None and not fit.linear:
        step = max(step, _step_of_rounding(pixels, fit, chart, layout))
    return max(1, bits - round(math.log2(step)))


def _step_of_rounding(planes: Array, fit: Fit, chart: Array, layout: Layout) -> float:
    """Return the step to which values were rounded, by how far they are from those of a fit."""
    result = layout.of_result(planes.transpose(1, 2, 0)).astype(np.float64)
    scale = 257 if fit.top == 255 else 1
    # Weights are those of 8 bits; only the bias has their units.
    deep = replace(fit, bias=_times(fit.bias, scale))
    values = made(deep, layout.of_chart(chart), np.dtype(np.uint16))
    down, across = margin_of(fit)
    part = (
        slice(down + 8, result.shape[0] - down - 8),
        slice(across + 8, result.shape[1] - across - 8),
    )
    values = values[: result.shape[0], : result.shape[1]]
    off = (values - result)[part]
    inside = (result > 0) & (result < 65535) & (values > _DEEP) & (values < 65535 - _DEEP)
    off = off[inside[part] & (np.abs(off) < _DEEP)]
    if not off.size:
        return 1.0
    # What the weights' own errors leave is no rounding.
    own = 65535 * float(np.sqrt((fit.stderr**2).sum())) / 4
    return max(1.0, (float(off.std()) ** 2 - own**2) * 12) ** 0.5 if off.std() > own else 1.0


def _times(bias: float | tuple[float, ...], scale: float) -> float | tuple[float, ...]:
    return bias * scale if isinstance(bias, float) else tuple(b * scale for b in bias)


class Behind(NamedTuple):
    """What becomes of opacity, and whether colours count by it."""

    opacity: Opacity | None
    weighted: bool | None


def opacity_of(image: Image | None, chart: Array, fit: Fit | None, layout: Layout | None) -> Behind:
    """Return what a program makes of a chart with opacity (H, W, 4).

    image : Image or None. The result; None: it refused the chart.
    """
    if image is None:
        return Behind("refused", None)
    planes = np.asarray(image.planes)
    if layout is None:
        return Behind("changed" if len(planes) in (2, 4) else "dropped", None)
    result = layout.of_result(planes.transpose(1, 2, 0)).astype(np.float64)
    before = layout.of_chart(chart)
    unit = _white_of(planes) / 255
    scale = _white_of(planes) / float(np.iinfo(before.dtype).max)
    dropped = len(planes) not in (2, 4) or np.ptp(result[..., -1]) == 0
    if dropped:
        shown = result[..., :3] if len(planes) > 3 else result
        full = np.full(result.shape[:2], 255 * unit)
        inner = _inner(fit, layout, full.shape)
        return Behind("dropped", _weighted(fit, before, shown, full, inner, scale))
    alpha, colours = result[..., -1], result[..., :-1]
    own = before[..., -1:].astype(np.float64) * scale
    down, across = layout.stride
    copied = own[::down, ::across][: alpha.shape[0], : alpha.shape[1], 0]
    inner = _inner(fit, layout, alpha.shape)
    weighted = _weighted(fit, before, colours, alpha, inner, scale)
    if (np.abs(copied - alpha)[inner] <= unit).mean() > _MOST:
        return Behind("copied", weighted)
    if fit is not None:
        values = _of_plane(bare(fit), own)[: alpha.shape[0], : alpha.shape[1]]
        bias = float(np.mean(fit.bias))
        for added in (0.0, -0.5, bias):
            off = np.abs(np.clip(values + added, 0, 255 * unit) - alpha)[inner]
            if (off <= 1.6 * unit).mean() > _MOST:
                return Behind("filtered", weighted)
    return Behind("changed", weighted)


def _white_of(planes: Array) -> float:
    """Return what full opacity is in a result; floats up to 1 are shares."""
    if planes.dtype.kind in "ui":
        return float(np.iinfo(planes.dtype).max)
    return 1.0 if float(np.nanmax(planes[-1])) <= 1 else 255.0


def _inner(fit: Fit | None, layout: Layout, shape: tuple[int, ...]) -> tuple[slice, slice]:
    down, across = (8, 8) if fit is None else margin_of(fit)
    down, across = (n // step + 8 for n, step in zip((down, across), layout.stride, strict=True))
    return slice(down, shape[0] - down), slice(across, shape[1] - across)


def _of_plane(fit: Fit, plane: Array) -> Array:
    """Return what the mean kernel of a fit makes of one plane (H, W, 1): (h, w)."""
    weights = fit.weights
    if weights.ndim == 4:
        weights = weights.sum(axis=1)
    if weights.ndim == 3:
        weights = weights.mean(axis=0)
    alone = replace(fit, weights=weights, bias=float(np.mean(fit.bias)), linear=False)
    return alone.predict(plane)


def _weighted(
    fit: Fit | None, before: Array, colours: Array, alpha: Array, inner: tuple[slice, slice],
    scale: float,
) -> bool | None:  # fmt: skip
    """Tell whether colours count by their opacity; None where that cannot show."""
    if fit is None or fit.weights.ndim == 4 or fit.size == (1, 1) or fit.linear:
        return None
    if colours.shape[2] != before.shape[2] - 1:
        return None
    colour, share = (
        before[..., :-1].astype(np.float64) * scale,
        before[..., -1:] / float(np.iinfo(before.dtype).max),
    )
    unit = scale * float(np.iinfo(before.dtype).max) / 255
    none = bare(fit)
    plain = fit.predict(colour)
    magnitudes = replace(none, weights=np.abs(fit.weights))
    everywhere = np.broadcast_to(share, colour.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = magnitudes.predict(colour * share) / magnitudes.predict(everywhere)
        ours = none.predict(colour * share) + mean * (
            none.predict(np.ones_like(colour)) - none.predict(everywhere)
        )
        theirs = none.predict(colour * share) / none.predict(everywhere)
        theirs = theirs * none.predict(np.ones_like(colour))
    limits = 0, 255 * unit
    shown = [np.clip(m, *limits)[: alpha.shape[0], : alpha.shape[1]][inner]
             for m in (plain, *(np.nan_to_num(m) + fit.bias for m in (ours, theirs)))]  # fmt: skip
    apart = np.abs(shown[0] - shown[1]).max(axis=-1) > _CLEAR * unit
    seen = apart & (alpha[inner] > 16 * unit)
    if np.count_nonzero(seen) < _FEWEST:
        return None
    errors = [float(np.median(np.abs(m - colours[inner])[seen])) for m in shown]
    plain_error, weighted_error = errors[0], min(errors[1:])
    if min(plain_error, weighted_error) > 3 * unit:
        return None
    if weighted_error < _TELLS * plain_error:
        return True
    return False if plain_error < _TELLS * weighted_error else None
