"""The fit in linear light, or with a curve: what a model of ``curves`` says, as a Fit."""

import math
from dataclasses import replace

import numpy as np

from conv_cli.borders import NAMES
from conv_cli.fitting import reading
from conv_cli.fitting.curves import Curved, best_curved, curve_alone, likeliest
from conv_cli.fitting.diagnosis import depends_on_value_alone
from conv_cli.fitting.judging import noisy_words
from conv_cli.fitting.misfit import misfit
from conv_cli.fitting.pairs import Window
from conv_cli.fitting.result import Fit
from conv_cli.fitting.search import Task, places
from conv_cli.fitting.telling import clipped_share, decibels, noise_beyond, rim_border, usable_count
from conv_cli.fitting.verdict import LEFT, Verdict, graded

_BIAS = 3e-3
"""Up to this share of white, a bias is what a curve between points makes of it."""


def curved_fit(task: Task, images: int) -> Fit:
    """Return the fit of pairs of one channel each in linear light, or with a curve.

    task : Task. Its settings say which.
    images : int. How many pairs of images there are.
    """
    found = _found(task)
    if found is None:
        reason = "there are too few usable pixels; use larger pictures, or more pairs"
        return _fit_of(task, _NOTHING, "underdetermined", reason, images)
    verdict = graded(found.rmse, task.floor)
    share = max(found.r2, 0.0) * 100
    model = {"light": "in linear light", "after": "with a curve after it"}
    how = model.get(found.kind, "with a curve before it")
    poor = f"the best kernel {how} explains {share:.3g} % of the target's variance, and no more"
    fit = _fit_of(task, found, verdict, LEFT.get(verdict, poor), images)
    if verdict == "poor" and misfit(task.pairs, found.window, found.made).is_noise(found.r2):
        noise = noise_beyond(task.floor, found.rmse)
        fit = replace(fit, verdict="noisy", reason=noisy_words(noise), noise=noise)
    if not fit.explains:
        return fit
    unmoved = fit.window._replace(top=-fit.origin[0], left=-fit.origin[1])
    match, flipped = reading.match(
        fit.weights, fit.stderr, unmoved, found.bias, max(2 * task.floor, _BIAS * fit.top)
    )
    first = task.pairs[0]
    border = rim_border(fit, first.x[0], first.y[0], first, NAMES)
    return replace(fit, border=border, match=match, turned_match=flipped)


_NOTHING = Curved(
    "plain", Window(0, 0, 1, 1), np.zeros((1, 1)), 0.0, None, 0.0, math.nan, np.ones(2)
)


def _found(task: Task) -> Curved | None:
    white, size = task.pairs[0].white, task.settings.size
    centre = next(places(task))
    if task.settings.linear:
        return best_curved(task.pairs, "light", white, task.floor, size, centre)
    if size in (None, (1, 1)) and depends_on_value_alone(task.pairs, task.floor):
        return curve_alone(task.pairs)
    kind = likeliest(task.pairs, white, centre, ("after", "before"))
    kind = "after" if kind == "plain" else kind
    return best_curved(task.pairs, kind, white, task.floor, size, centre)


def _fit_of(task: Task, found: Curved, verdict: Verdict, reason: str, images: int) -> Fit:
    window = found.window
    count = found.weights.size
    errors = np.sqrt(found.variances[:count]).reshape(found.weights.shape) * found.rmse
    origin = [min(max(-first, 0), n - 1) for first, n in zip(window[:2], window.size, strict=True)]
    shift = tuple(-first - place for first, place in zip(window[:2], origin, strict=True))
    white = task.pairs[0].white
    return Fit(
        weights=found.weights,
        bias=found.bias,
        origin=(origin[0], origin[1]),
        rmse=found.rmse,
        r2=found.r2,
        noise_floor=task.floor,
        verdict=verdict,
        reason=reason,
        condition=math.inf,
        stderr=errors if verdict != "underdetermined" else np.full(errors.shape, math.inf),
        clipped=clipped_share(task.pairs),
        pairs=images,
        pixels=usable_count(task.pairs),
        psnr=decibels(white, found.rmse),
        shift=(shift[0], shift[1]),
        window=window,
        stride=task.pairs[0].stride,
        linear=task.settings.linear,
        tone=found.tone,
        top=white,
    )
