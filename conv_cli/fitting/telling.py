"""All that is said of a kernel once it is found."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt

from conv_cli.borders import NAMES
from conv_cli.fitting import reading
from conv_cli.fitting.pairs import Pair, Size, Window
from conv_cli.fitting.reading import with_own_place
from conv_cli.fitting.result import Fit
from conv_cli.fitting.search import Found, Settings, Task, certainty_of, precision_of
from conv_cli.fitting.verdict import VERDICTS, Verdict

Array = npt.NDArray[Any]

_RIM = 0.97
_ALIKE = 0.02
"""Weights that differ by no more of the largest are those of a built-in, whatever their errors."""


def told(found: Found, settings: Settings, verdict: Verdict, reason: str, images: int) -> Fit:
    """Return all that can be said of a kernel."""
    best, window, given = found.best, found.best.window, found.given
    single = len(given[0].x) == len(given[0].y) == 1
    shape = window.size if single else (len(given[0].y), len(given[0].x), *window.size)
    weights = best.solution.weights.T.reshape(shape)
    sure = certainty_of(found, best.normal, settings)
    known = np.isfinite(sure.variances)
    spread = np.where(known, np.sqrt(np.where(known, sure.variances, 0)) * best.rmse, math.inf)
    if best.errors is not None:
        spread = best.errors
    errors = np.broadcast_to(spread, best.solution.weights.T.shape).reshape(shape).copy()
    origin, shift = _origin(window, found.valid is not None, given[0].stride)
    fit = Fit(
        weights=weights,
        bias=float(best.solution.bias[0]) if single else tuple(best.solution.bias.tolist()),
        origin=origin,
        rmse=best.rmse,
        r2=best.r2,
        noise_floor=found.floor,
        verdict=verdict,
        reason=reason,
        noise=noise_of(found) if verdict == "noisy" else None,
        condition=sure.condition,
        stderr=errors,
        clipped=clipped_share(given),
        rejected=lost_share(found, window),
        shift=shift,
        pairs=images,
        pixels=_count(found.pairs, window),
        valid=found.valid is not None,
        stride=given[0].stride,
        top=given[0].white,
        sizes=best.sizes,
        window=window,
    )
    return _read(fit, found, settings) if fit.explains else fit


def _read(fit: Fit, found: Found, settings: Settings) -> Fit:
    """Return the fit with what its weights and the rim of the target can be read as."""
    best = found.best
    border = None
    if not fit.valid:
        tolerance = 4 * max(found.floor, best.rmse)
        border = reading.border(found.given, best.window, best.solution, tolerance)
    if fit.weights.ndim != 2:
        return replace(fit, border=border)
    unmoved = fit.window._replace(top=-fit.origin[0], left=-fit.origin[1])
    # Halves that are rounded up move the mean by a quarter, truncation moves it by a half.
    match, flipped = reading.match(
        fit.weights, fit.stderr, unmoved, float(best.solution.bias[0]), 2 * found.floor
    )
    fractions = reading.rational(fit.weights, fit.stderr)
    possible = _names(found, unmoved, fit, settings)
    passing = [name.spec for name in possible if name.passes]
    if match is not None and possible and match not in passing:
        close = reading.apart(fit.weights, unmoved, match) <= _ALIKE
        match = match if close else next(iter(passing), None)
    return replace(
        fit,
        border=border,
        match=match,
        turned_match=flipped,
        rational=fractions,
        names=tuple(possible),
    )


def _names(found: Found, window: Window, fit: Fit, settings: Settings) -> list[reading.Named]:
    """Return the built-ins that a kernel may be, with how well they suit."""
    best = found.best
    if not np.isfinite(fit.stderr).all() or not fit.stderr.all():
        return []
    precision = precision_of(found, settings)
    bias = float(best.solution.bias[0])
    return reading.names(fit.weights, precision, window, bias, 2 * found.floor)


def flat(task: Task, images: int) -> Fit:
    """Return what a target tells in which all usable pixels are alike: nothing."""
    given, settings = task.pairs, task.settings
    size = settings.size or (1, 1)
    values = [float(pair.y[:, pair.usable].mean()) for pair in given if pair.usable.any()]
    why = "the target is flat" if values else "all pixels of the target are saturated or no numbers"
    return Fit(
        weights=np.zeros(size),
        bias=values[0] if values and settings.bias else 0.0,
        origin=((size[0] - 1) // 2, (size[1] - 1) // 2),
        rmse=0.0,
        r2=math.nan,
        noise_floor=task.floor,
        verdict="underdetermined",
        reason=f"{why}, so any kernel may have made it; use a pair with detail in both pictures",
        condition=math.inf,
        stderr=np.full(size, math.inf),
        clipped=clipped_share(given),
        pairs=images,
        pixels=usable_count(given),
        method=settings.method,
        window=Window(0, 0, *size) if task.valid else Window.around(size),
    )


def together(fits: Sequence[Fit], first: Sequence[Pair]) -> Fit:
    """Return one fit for several channels: errors over all, and the worst verdict.

    first : the channels of the first pair of images, by which the border is told.
    """
    worst = max(fits, key=lambda fit: VERDICTS.index(fit.verdict))
    rmse = math.sqrt(sum(fit.rmse**2 for fit in fits) / len(fits))
    peak = worst.psnr + 20 * math.log10(worst.rmse) if worst.rmse > 0 else math.inf

    def common(name: str) -> Any:
        values = {getattr(fit, name) for fit in fits}
        return values.pop() if len(values) == 1 else None

    windows = [fit.window for fit in fits]
    window = windows[0]
    for other in windows[1:]:
        window = window.with_all_of(other)
    origin, shift = _origin(window, worst.valid, worst.stride)
    exact = [fit.exact_weights for fit in fits if fit.exact_weights is not None]
    fit = replace(
        worst,
        weights=_stacked([fit.weights for fit in fits], windows, window),
        bias=tuple(float(np.ravel(fit.bias)[0]) for fit in fits),
        stderr=_stacked([fit.stderr for fit in fits], windows, window),
        origin=origin,
        shift=shift,
        window=window,
        rmse=rmse,
        r2=sum(fit.r2 for fit in fits) / len(fits),
        psnr=peak - 20 * math.log10(rmse) if rmse > 0 else math.inf,
        condition=max(fit.condition for fit in fits),
        clipped=sum(fit.clipped for fit in fits) / len(fits),
        rejected=sum(fit.rejected for fit in fits) / len(fits),
        rational=None,
        pixels=sum(fit.pixels for fit in fits),
        losses=tuple(map(sum, zip_longest(*(fit.losses for fit in fits), fillvalue=0.0))),
        exact_weights=_stacked(exact, windows, window) if exact else None,
        border=common("border"),
        match=common("match"),
        turned_match=common("turned_match"),
    )
    return fit if fit.border or not fit.explains or fit.valid else _with_border(fit, fits, first)


def _with_border(fit: Fit, fits: Sequence[Fit], first: Sequence[Pair]) -> Fit:
    """Return a fit of several channels with the border that suits all of them.

    That of a channel alone is the first of several, where its kernel is small or on one side.
    """
    before, target = (
        np.stack(planes, axis=-1) for planes in zip(*((p.x[0], p.y[0]) for p in first), strict=True)
    )
    others = [each.border for each in fits if each.border not in (None, *NAMES)]
    return replace(fit, border=rim_border(fit, before, target, first[0], [*NAMES, *others]))


def _stacked(several: Sequence[Array], windows: Sequence[Window], frame: Window) -> Array:
    """Return weights (C, kh, kw) of kernels that lie at windows of their own, in one frame."""
    stacked = np.zeros((len(several), *frame.size))
    for plane, weights, window in zip(stacked, several, windows, strict=True):
        plane[window.within(frame)] = weights
    return stacked


def rim_border(
    fit: Fit, before: Array, target: Array, pair: Pair, modes: Sequence[str]
) -> str | None:
    """Return the first of some borders by which the fit makes the rim of the target, or None.

    before, target : ndarray, shape (H, W) or (H, W, C). In the units of the target, without
        opacity.
    pair : Pair. Says what the target is clipped to, and which of its pixels count.
    """
    extent = with_own_place(fit.window)
    down = -(-max(-extent.top, extent.top + extent.rows - 1) // fit.stride[0])
    across = -(-max(-extent.left, extent.left + extent.columns - 1) // fit.stride[1])
    height, width = target.shape[:2]
    rim: Array = np.ones((height, width), bool)
    rim[down : height - down, across : width - across] = False
    rim &= pair.usable | pair.ends
    if not rim.any():
        return modes[0]
    limit = 4 * max(fit.noise_floor, fit.rmse)
    for mode in modes:
        made = np.clip(fit.predict(before, mode)[:height, :width], *pair.limits)
        if float((np.abs(made - target)[rim] <= limit).mean()) >= _RIM:
            return mode
    return None


def decibels(peak: float, rmse: float) -> float:
    """Return the peak signal-to-noise ratio."""
    return 20 * math.log10(peak / rmse) if rmse > 0 else math.inf


def noise_of(found: Found) -> float:
    """Return the standard deviation of what is in the target besides its own error."""
    return noise_beyond(found.floor, found.best.rmse)


def noise_beyond(floor: float, rmse: float) -> float:
    """Return the standard deviation of what an error holds besides the target's own."""
    return math.sqrt(max(rmse**2 - floor**2, 0.0))


def usable_count(pairs: Sequence[Pair]) -> int:
    """Return how many pixels of the targets count."""
    return sum(int(np.count_nonzero(pair.usable)) for pair in pairs)


def clipped_share(pairs: Sequence[Pair]) -> float:
    """Return the share of the targets' pixels that are saturated."""
    ends = sum(int(np.count_nonzero(pair.ends)) for pair in pairs)
    return ends / sum(pair.ends.size for pair in pairs)


def lost_share(found: Found, window: Window) -> float:
    """Return the share of usable pixels that were found to be made by no kernel."""
    if not found.cleaned:
        return 0.0
    return 1 - _count(found.pairs, window) / max(_count(found.given, window), 1)


def _count(pairs: Sequence[Pair], window: Window) -> int:
    return sum(int(np.count_nonzero(pair.usable[pair.region(window)])) for pair in pairs)


def _origin(window: Window, valid: bool, stride: Size) -> tuple[Size, Size]:
    """Return the origin within the window, and the shift.

    The middle of an even side may be either of two places; no shift is made up for that. Nor is one
    where the target is sampled: its pixels have no place of their own in the input.
    """
    if valid:
        return ((window.rows - 1) // 2, (window.columns - 1) // 2), (0, 0)
    origin, shift = [], []
    for first, length in zip(window[:2], window.size, strict=True):
        natural = (length - 1) // 2
        if stride != (1, 1):
            natural = min(max(-first, 0), length - 1)
        place = -first if -first in (natural, length // 2) else natural
        origin.append(place)
        shift.append(-first - place)
    return (origin[0], origin[1]), (shift[0], shift[1])
