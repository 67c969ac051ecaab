"""fit_kernel: from pairs of images to a kernel, and what may be said of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from conv_cli.colors import white
from conv_cli.errors import FitError
from conv_cli.fitting import reading
from conv_cli.fitting.causes import cause_of
from conv_cli.fitting.codec import Coder, Recode
from conv_cli.fitting.curved import curved_fit
from conv_cli.fitting.diagnosis import explained_shares, follows_a_rule
from conv_cli.fitting.files import coded as coded_files
from conv_cli.fitting.files import is_file, opened, recoding
from conv_cli.fitting.misfit import misfit
from conv_cli.fitting.pairs import Pair, Size, Window, level_of, prepared, stride_between
from conv_cli.fitting.quantised import Coded
from conv_cli.fitting.result import Fit, Method
from conv_cli.fitting.search import (
    Found,
    Settings,
    Task,
    Watch,
    by_descent,
    certainty_of,
    precision_of,
    search,
    stated,
)
from conv_cli.fitting.verdict import SURE, VERDICTS, Verdict, graded, lacking, unexplained

Array = npt.NDArray[Any]
NewCoder = Callable[[Sequence[Sequence[Pair]]], Coder]
"""Makes the codec of the targets from planes."""
Channels = Literal["shared", "each", "mix"]

EPOCHS = 100
_ROUNDING = 1 / math.sqrt(12)
"""Standard deviation of what rounding to whole numbers adds."""
_FLOAT_FLOOR = 1e-6
_CURVED = (
    "each pixel of the target depends on its own value alone, along a curve, as gamma, levels or a "
    "threshold make it"
)
_FAR = 8
"""Rows or columns that pictures are moved by, and not the kernel wide."""
_MISFITS = {
    "tone": "; what is left depends on the brightness",
    "neighbours": "; what is left depends on ranks or limits among neighbours",
    "wider": "; what is left depends on pixels beyond the kernel",
    "position": "; what is left depends on the place in the picture",
}
"""What predicts that which a kernel leaves, in words."""
_LEAST_EXPLAINED = 0.5
"""No kernel explains a channel of which it makes less than this share of the pixels."""
_OTHER_WAYS: dict[Channels, int] = {"each": 17, "mix": 9}
"""How else the channels of a poor pair may go together, and the largest side that is tried: time
grows with the sixth power of it, and a pair that nothing explains pays all of it."""
_ALIKE = 0.02
"""Weights that differ by no more of the largest are those of a built-in, whatever their errors."""
_NOTED = 0.001
"""A verdict says so if more pixels than this share are left out."""
_LEAST_SIDE = 3
"""A size is not told by pictures that could not tell one of three rows and columns."""


def fit_kernel(
    x: Any,
    y: Any,
    size: int | Sequence[int] | Literal["auto"] = "auto",
    *,
    bias: bool = True,
    method: Method = "exact",
    channels: Channels = "shared",
    stride: int | Sequence[int] | Literal["auto"] = "auto",
    linear: bool = False,
    tone: bool = False,
    ridge: float = 0.0,
    epochs: int = EPOCHS,
    lr: float | None = None,
    seed: int = 0,
    names: Sequence[str] | None = None,
    recode: Recode | None = None,
    coded: Sequence[Coded | None] | None = None,
    watch: Watch | None = None,
) -> Fit:
    """Return the kernel and bias that turn x into y, with a verdict.

    Least squares over the pixels whose whole window lies in the input, but for saturated ones and
    for those that nothing linear can have made: dust, a watermark.

    x, y : array_like of shape (H, W) or (H, W, C), names of files, or lists of these. Before and
        after, in their own units. Two or four channels of an array end in opacity, those of an
        Image where it says so. One size, or y as small as valid filtering leaves x. A target of 8
        or 16 bits is taken to be clipped, and what the codec of a lossy file loses is allowed for.
    size : int, (rows, columns) or "auto". "auto": the smallest whose error over held-out pixels is
        no worse than any larger one's.
    bias : bool. Learn a constant too.
    method : str. "exact", or "gd": gradient descent on the squared error from a random start. The
        verdict is on the pair, so it is that of the exact answer.
    channels : str. "shared": one kernel. "each": one a channel. "mix": every channel of y from all
        of x.
    stride : int, (rows, columns) or "auto". Of the input, between pixels of the target. "auto":
        what the sizes ask for.
    linear : bool. Fit in linear light, weighing errors as they show in the target's levels.
    tone : bool. Learn a monotone curve too, before or after the kernel, whichever explains more.
    ridge : float, 0 or more. What a unit of squared weight adds to the mean squared error.
    epochs, lr, seed. Of gradient descent. Each epoch takes `lr` times the gradient of the summed
        squared error, pixels counted in white. None: a rate that suits the pixels, which are
        decorrelated.
    names : sequence of str, optional. What errors call the pairs.
    recode : callable, optional. For targets from lossy files: is given the number of a pair and a
        prediction (H, W) or (H, W, C), uint8, and returns it as it comes back from the codec.
    coded : sequence of Coded or None, optional. For targets that are JPEG files: what each says of
        its brightness.
    watch : callable, optional. Is told of each epoch: its number, the loss, and the weights (p, D).

    Raises FitError if the images do not go together, or cannot be fitted at all.

    Examples
    --------
    >>> import numpy as np
    >>> from conv_cli import corr2d
    >>> x = np.random.default_rng(0).normal(size=(50, 60))
    >>> fit = fit_kernel(x, corr2d(x, [[1, -1]]))
    >>> fit.verdict, fit.size, np.rint(fit.weights).tolist()
    ('exact', (1, 2), [[1.0, -1.0]])
    """
    befores, afters = (list(i) if _several(i) else [i] for i in (x, y))
    if len(befores) != len(afters) or not befores:
        raise FitError(f"{len(befores)} inputs and {len(afters)} targets; give as many of each")
    names = names or [
        f"{before}, {after}" if is_file(before) and is_file(after) else f"pair {number}"
        for number, (before, after) in enumerate(zip(befores, afters, strict=True), 1)
    ]
    files = afters
    befores, afters = opened(befores), opened(afters)
    recode = recode or recoding(files)
    coded = coded if coded is not None or len(files) > 1 else coded_files(files)
    settings = Settings(_size(size), bias, ridge, method, epochs, lr, seed, watch)
    if linear or tone:
        _check_curved(settings, channels, linear, tone)
        settings = settings._replace(linear=linear, tone=tone)
    before, after = (np.shape(image)[:2] for image in (befores[0], afters[0]))
    sampled = len(before) == len(after) == 2 and stride == "auto"
    steps = stride_between(before, after) if sampled else (1, 1)
    steps = steps if stride == "auto" else _sides("stride", stride)
    coder = recode and partial(Coder, recode, coded=coded)
    return _fit(befores, afters, names, channels, settings, coder, steps)


def _check_curved(settings: Settings, channels: Channels, linear: bool, tone: bool) -> None:
    """Raise FitError for what a curve, or linear light, does not go together with."""
    wrong = {
        "linear and tone": linear and tone,
        "a curve and channels each or mix": tone and channels != "shared",
        "linear light and channels mix": linear and channels == "mix",
        "method gd": settings.method == "gd",
        "no bias": not settings.bias,
        "ridge": settings.ridge > 0,
    }
    for what, there in wrong.items():
        if there:
            name = "linear" if linear else "tone"
            raise FitError(f"{name}: {what} cannot be fitted; leave one of them out")


def _fit(
    befores: Sequence[Any],
    afters: Sequence[Any],
    names: Sequence[str],
    channels: Channels,
    settings: Settings,
    coder: NewCoder | None,
    stride: Size,
) -> Fit:
    level = level_of(afters) if all(np.asarray(y).dtype.kind in "ui" for y in afters) else 1
    before, target = np.asarray(befores[0]), np.asarray(afters[0])

    def fitted(way: Channels, settings: Settings) -> tuple[Fit, int]:
        """Return the fit with channels treated in one way, and how many planes a pair has."""
        planes = [
            prepared(before, after, mixed=way == "mix", name=name, level=level, stride=stride)
            for before, after, name in zip(befores, afters, names, strict=True)
        ]
        _check_alike(planes, [np.asarray(after).dtype for after in afters], way)
        if way == "each":
            return _each(planes, settings, before, target, level, coder), len(planes[0])
        return _fitted(planes, settings, before, target, level, coder), min(map(len, planes))

    fit, planes = fitted(channels, settings)
    found_out = fit.cause is not None and (fit.remedy or fit.flip is not None)
    if channels != "shared" or fit.verdict != "poor" or planes < 2 or found_out:
        return fit
    return _with_other_ways(fit, fitted, settings)


def _with_other_ways(
    fit: Fit, fitted: Callable[[Channels, Settings], tuple[Fit, int]], settings: Settings
) -> Fit:
    """Return a poor fit that says whether channels that go together otherwise explain the pair."""
    for way, side in _OTHER_WAYS.items():
        quick = settings._replace(method="exact", watch=None, largest=side, causes=False)
        try:
            other, _ = fitted(way, quick)
        except FitError:  # pairs that do not go together so
            continue
        if other.verdict in SURE:
            why = f"; --channels {way} explains the pair ({other.verdict})"
            cause = "mix" if way == "mix" else "channels"
            options = ("--channels", way)
            return replace(fit, reason=fit.reason + why, cause=cause, remedy=options)
    return replace(fit, reason=f"{fit.reason}; nor do --channels each and mix explain it")


def _each(
    planes: Sequence[Sequence[Pair]],
    settings: Settings,
    before: Array,
    target: Array,
    level: int,
    coder: NewCoder | None,
) -> Fit:
    """Return one fit a channel, of one size, together."""

    def each(settings: Settings) -> list[Fit]:
        alone = ([[pair] for pair in pairs] for pairs in zip(*planes, strict=True))
        return [_fitted(pairs, settings, before, target, level, coder) for pairs in alone]

    fits = each(settings)
    if len({fit.window for fit in fits}) > 1:
        rows, columns = (max(fit.size[axis] for fit in fits) for axis in (0, 1))
        fits = each(settings._replace(size=(rows, columns)))
    return _together(fits)


def _several(images: Any) -> bool:
    """Tell a list of images from one image as nested lists."""
    several = isinstance(images, list | tuple)
    return several and all(is_file(image) or np.ndim(image) >= 2 for image in images)


def _size(size: int | Sequence[int] | str) -> Size | None:
    return None if size == "auto" else _sides("size", size)


def _sides(what: str, size: int | Sequence[int] | str) -> Size:
    sides: tuple[Any, ...] = (size, size) if isinstance(size, int) else tuple(size)
    if len(sides) != 2 or not all(
        isinstance(side, int | np.integer) and side > 0 for side in sides
    ):
        raise FitError(f"{what} {size!r} is not understood; use auto, a number, or (rows, columns)")
    return int(sides[0]), int(sides[1])


def _check_alike(
    planes: Sequence[Sequence[Pair]], dtypes: Sequence[np.dtype[Any]], channels: Channels
) -> None:
    """Raise FitError unless the targets have one unit, and pairs that must as many channels."""
    first = planes[0][0]
    for pairs, dtype in zip(planes, dtypes, strict=True):
        pair = pairs[0]
        counts = (len(pairs), len(pair.x), len(pair.y))
        if channels != "shared" and counts != (len(planes[0]), len(first.x), len(first.y)):
            raise FitError(f"{pair.name}: other channels than {first.name} has; fit them alone")
        if dtype != dtypes[0]:
            raise FitError(
                f"{pair.name}: the target has {dtype} pixels, that of {first.name} {dtypes[0]}; "
                "fit them alone"
            )


def _fitted(
    planes: Sequence[Sequence[Pair]],
    settings: Settings,
    before: Array,
    target: Array,
    level: int,
    coder: NewCoder | None,
) -> Fit:
    """Return one fit over all planes of all pairs."""
    pairs = [pair for some in planes for pair in some]
    whole = target.dtype.kind in "bui"
    spread = 0.0 if whole else max(pair.spread() for pair in pairs)
    floor = _ROUNDING * level if whole else _FLOAT_FLOOR * (spread or 1.0)
    task = stated(pairs, settings, floor)
    if not any(pair.varies() for pair in task.pairs):
        return _flat(task, len(planes))
    if settings.linear or settings.tone:
        return curved_fit(task, before, target, len(planes))
    found = search(task, coder and coder(planes))
    verdict, reason = _verdict(found, settings)
    fit = _told(found, settings, verdict, reason, len(planes))
    if verdict == "poor" and settings.causes:
        fit = _with_cause(fit, found, _unit(target.dtype))
    peak = _unit(target.dtype) if whole else spread
    fit = replace(fit, psnr=_decibels(peak, fit.rmse))
    if settings.method == "exact":
        return fit
    units = _unit(before.dtype), _unit(target.dtype)
    if before.dtype.kind == target.dtype.kind == "u":
        units = units[1], units[1]  # as `prepared` counts them
    end, losses = by_descent(found, settings, units)
    reason = f"by least squares, {reason}"
    other = _told(found._replace(best=end), settings, verdict, reason, len(planes))
    return replace(
        other,
        method="gd",
        losses=tuple(losses),
        white=units,
        exact_weights=fit.weights,
        psnr=_decibels(peak, other.rmse),
    )


def _with_cause(fit: Fit, found: Found, top: float) -> Fit:
    """Return a poor fit that says what explains the pair instead."""
    if found.curved:
        return replace(fit, cause="tone", remedy=("--tone",))
    if len(found.given[0].x) > 1 or found.valid:
        return fit
    window = found.best.window
    middle = window.top + (window.rows - 1) // 2, window.left + (window.columns - 1) // 2
    centre = middle if max(map(abs, middle)) > _FAR else (0, 0)
    cause = cause_of(found.given, found.floor, top, centre)
    if cause is None:
        left = misfit(found.pairs, window, found.best.solution)
        by_detail = found.cleaned or left.group == "neighbours"
        return replace(fit, cause="neighbours") if by_detail else fit
    reason = f"{fit.reason}; {cause.words}"
    return replace(fit, cause=cause.name, remedy=cause.options, flip=cause.flip, reason=reason)


def _decibels(peak: float, rmse: float) -> float:
    """Return the peak signal-to-noise ratio."""
    return 20 * math.log10(peak / rmse) if rmse > 0 else math.inf


def _unit(dtype: np.dtype[Any]) -> float:
    """Return what white is in pixels of 8 and 16 bits, and 1 for others, which have no limit."""
    return white(dtype) if dtype.kind == "u" and dtype.itemsize <= 2 else 1.0


def _verdict(found: Found, settings: Settings) -> tuple[Verdict, str]:
    """Return the verdict and its reason."""
    best = found.best
    least = 1 if settings.size or found.valid else _LEAST_SIDE
    sure = certainty_of(found, best.around, settings)
    lack = lacking(best.around, sure, found.floor, bias=settings.bias, least=least)
    if lack:
        return "underdetermined", lack
    if found.curved:
        return "poor", f"{_CURVED}; {_words('poor', best.r2)}"
    verdict = graded(best.rmse, found.floor)
    if verdict == "poor":
        return _noise_or_misfit(found)
    against = unexplained(found.given, found.pairs, best.window, best.solution, found.floor)
    if against := against or _no_stray_pixels(found):
        return "poor", against
    lost = _lost(found, best.window)
    left_out = f"; {lost * 100:.3g} % of the pixels are left out, which no kernel made"
    return verdict, _words(verdict, best.r2) + (left_out if lost > _NOTED else "")


def _noise_or_misfit(found: Found) -> tuple[Verdict, str]:
    """Return "noisy" where nothing in the picture predicts what is left, or "poor"."""
    best = found.best
    left = misfit(found.pairs, best.window, best.solution)
    if not left.is_noise(best.r2):
        why = _MISFITS.get(left.group or "", "")
        return "poor", _words("poor", best.r2) + why
    noise = math.sqrt(max(best.rmse**2 - found.floor**2, 0.0))
    return "noisy", (
        f"nothing in the picture predicts what is left: noise with a standard deviation of "
        f"{noise:.3g} in the target"
    )


def _no_stray_pixels(found: Found) -> str:
    """Return why what a kernel does not make are no stray pixels; "" if they may be."""
    best = found.best
    error = max(best.rmse, found.floor)
    shares = explained_shares(found.given, best.window, best.solution, error)
    worst = int(np.argmin(shares))
    if shares[worst] < _LEAST_EXPLAINED:
        pair = found.given[worst]
        number = sum(other.name == pair.name for other in found.given[:worst])
        names = {1: ("the picture",), 3: ("red", "green", "blue")}
        each = names.get(pair.planes, [f"channel {n}" for n in range(1, pair.planes + 1)])
        rest = "" if pair.planes == 1 else ", so it was made in another way than the others"
        return (
            f"{pair.name}: the kernel makes {shares[worst] * 100:.3g} % of the pixels of "
            f"{each[number % len(each)]}{rest}"
        )
    rule = follows_a_rule(found.given, found.pairs, best.window, best.solution, error)
    return f"pixels differ, and just {rule}" if rule else ""


def _words(verdict: Verdict, r2: float) -> str:
    if verdict == "exact":
        return "what is left is the target's own rounding"
    if verdict == "good":
        return "what is left is little more than the target's own rounding"
    share = max(r2, 0.0) * 100
    return f"the best linear kernel explains {share:.3g} % of the target's variance, and no more"


def _told(found: Found, settings: Settings, verdict: Verdict, reason: str, images: int) -> Fit:
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
        noise=math.sqrt(max(best.rmse**2 - found.floor**2, 0)) if verdict == "noisy" else None,
        condition=sure.condition,
        stderr=errors,
        clipped=_clipped(given),
        rejected=_lost(found, window),
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


def _flat(task: Task, images: int) -> Fit:
    """Return what a target tells in which all usable pixels are alike: nothing."""
    given, settings = task.pairs, task.settings
    size = settings.size or (1, 1)
    values = [float(pair.y[:, pair.usable].mean()) for pair in given if pair.usable.any()]
    why = "the target is flat" if values else "all pixels of the target are saturated or no numbers"
    return Fit(
        weights=np.zeros(size),
        bias=values[0] if values and settings.bias else 0.0,
        origin=(0, 0),
        rmse=0.0,
        r2=math.nan,
        noise_floor=task.floor,
        verdict="underdetermined",
        reason=f"{why}, so any kernel may have made it; use a pair with detail in both pictures",
        condition=math.inf,
        stderr=np.full(size, math.inf),
        clipped=_clipped(given),
        pairs=images,
        pixels=sum(int(np.count_nonzero(pair.usable)) for pair in given),
        method=settings.method,
    )


def _clipped(pairs: Sequence[Pair]) -> float:
    ends = sum(int(np.count_nonzero(pair.ends)) for pair in pairs)
    return ends / sum(pair.ends.size for pair in pairs)


def _lost(found: Found, window: Window) -> float:
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


def _together(fits: Sequence[Fit]) -> Fit:
    """Return one fit for several channels: errors over all, and the worst verdict."""
    worst = max(fits, key=lambda fit: VERDICTS.index(fit.verdict))
    rmse = math.sqrt(sum(fit.rmse**2 for fit in fits) / len(fits))
    peak = worst.psnr + 20 * math.log10(worst.rmse) if worst.rmse > 0 else math.inf

    def common(name: str) -> Any:
        values = {getattr(fit, name) for fit in fits}
        return values.pop() if len(values) == 1 else None

    exact = [fit.exact_weights for fit in fits if fit.exact_weights is not None]
    return replace(
        worst,
        weights=np.stack([fit.weights for fit in fits]),
        bias=tuple(float(np.ravel(fit.bias)[0]) for fit in fits),
        stderr=np.stack([fit.stderr for fit in fits]),
        rmse=rmse,
        r2=sum(fit.r2 for fit in fits) / len(fits),
        psnr=peak - 20 * math.log10(rmse) if rmse > 0 else math.inf,
        condition=max(fit.condition for fit in fits),
        clipped=sum(fit.clipped for fit in fits) / len(fits),
        rejected=sum(fit.rejected for fit in fits) / len(fits),
        rational=None,
        pixels=sum(fit.pixels for fit in fits),
        losses=tuple(map(sum, zip_longest(*(fit.losses for fit in fits), fillvalue=0.0))),
        exact_weights=np.stack(exact) if exact else None,
        border=common("border"),
        match=common("match"),
        turned_match=common("turned_match"),
    )
