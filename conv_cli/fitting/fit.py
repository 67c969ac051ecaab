"""fit_kernel: from pairs of images to a kernel, and what may be said of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from conv_cli.colors import white
from conv_cli.errors import FitError
from conv_cli.fitting.causes import cause_of
from conv_cli.fitting.codec import Coder, Recode
from conv_cli.fitting.curved import curved_fit
from conv_cli.fitting.files import coded as coded_files
from conv_cli.fitting.files import is_file, opened, recoding
from conv_cli.fitting.judging import verdict_of
from conv_cli.fitting.left_out import LeftOut, Marked, first_reach, left_out
from conv_cli.fitting.misfit import Misfit, linear, misfit
from conv_cli.fitting.pairs import (
    Pair,
    Size,
    Window,
    colours_of,
    level_of,
    prepared,
    stride_between,
)
from conv_cli.fitting.quantised import Coded
from conv_cli.fitting.result import Fit, Method
from conv_cli.fitting.search import Found, Settings, Watch, by_descent, search, stated
from conv_cli.fitting.stored import StoredImage, planes_of
from conv_cli.fitting.telling import decibels, flat, together, told
from conv_cli.fitting.verdict import SURE

Array = npt.NDArray[Any]
NewCoder = Callable[[Sequence[Sequence[Pair]]], Coder]
"""Makes the codec of the targets from planes."""
Channels = Literal["shared", "each", "mix"]

EPOCHS = 100
_ROUNDING = 1 / math.sqrt(12)
"""Standard deviation of what rounding to whole numbers adds."""
_FLOAT_FLOOR = 1e-6
_ROUNDS = 4
"""How often pixels are chosen anew, as the window reaches further than they allow."""
_FAR = 8
"""Rows or columns that pictures are moved by, and not the kernel wide."""
_TRIED_ROWS = 320
"""Rows and columns of the middle on which other ways are tried."""
_OTHER_WAYS: dict[Channels, int] = {"each": 17, "mix": 9}
"""How else the channels of a poor pair may go together, and the largest side that is tried: time
grows with the sixth power of it, and a pair that nothing explains pays all of it."""


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
    mask: Marked | npt.ArrayLike | None = None,
    nodata: float | None = None,
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
    mask : array_like of shape (H, W), optional. Of every input, white 1, or the greatest of whole
        numbers: what is less than half white is left out, and target pixels whose window reads it.
    nodata : float, optional. Pixels of that value, or NaN, have none, and are left out so too; by
        default those that a GeoTIFF says itself.
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
    masked = mask if mask is None or isinstance(mask, Marked) else Marked.of(mask)
    outs = _left_out(befores, afters, names, masked, nodata)
    if any(outs):
        coder = recode and partial(Coder, recode, coded=None)
    return _fit(befores, afters, names, channels, settings, coder, steps, outs)


def _left_out(
    befores: Sequence[Any],
    afters: Sequence[Any],
    names: Sequence[str],
    mask: Marked | None,
    nodata: float | None,
) -> list[LeftOut | None]:
    """Return what does not count of each pair."""
    found = []
    for pair, name in zip(zip(befores, afters, strict=True), names, strict=True):
        before, after = (colours_of(image, name)[0] for image in pair)
        values = [getattr(i, "nodata", None) if nodata is None else nodata for i in pair]
        found.append(left_out(before, after, (values[0], values[1]), mask, name))
    return found


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
    outs: Sequence[LeftOut | None],
) -> Fit:
    level = level_of(afters) if all(_dtype(y).kind in "ui" for y in afters) else 1
    before, target = np.asarray(befores[0]), np.asarray(afters[0])

    def apart(way: Channels, settings: Settings, reach: int) -> tuple[Fit, int]:
        """Return the fit of pixels that windows of some reach lie between."""
        make = [
            partial(
                prepared, before, after, mixed=way == "mix", name=name, level=level, stride=stride,
                left_out=out, reach=reach,
            )
            for before, after, name, out in zip(befores, afters, names, outs, strict=True)
        ]  # fmt: skip
        in_files = any(isinstance(images[0], StoredImage) for images in (befores, afters))
        planes = planes_of(make) if in_files else [each() for each in make]
        _check_alike(planes, [_dtype(after) for after in afters], way)
        if settings.most is not None:
            planes = [[pair.middle(settings.most) for pair in pairs] for pairs in planes]
        if way == "each":
            return _each(planes, settings, before, target, level, coder), len(planes[0])
        return _fitted(planes, settings, before, target, level, coder), min(map(len, planes))

    def fitted(way: Channels, settings: Settings) -> tuple[Fit, int]:
        """Return the fit with channels treated in one way, and how many planes a pair has."""
        if not any(outs):
            return apart(way, settings, 0)
        own = _own_places(before, target, stride)
        descends = settings.method == "gd"
        chosen = settings._replace(method="exact", watch=None) if descends else settings
        reach = first_reach(outs, settings.size)
        for _ in range(_ROUNDS):
            found = apart(way, chosen, reach)
            needed = _reach(found[0].window, own)
            if needed <= reach:
                break
            reach = needed + 1
        return apart(way, settings, reach) if descends else found

    fit, planes = fitted(channels, settings)
    fit = replace(fit, grey=fit.weights.ndim < 4 and _is_made_grey(befores[0], afters[0]))
    found_out = fit.cause is not None and (fit.remedy or fit.flip is not None)
    if channels != "shared" or fit.verdict != "poor" or planes < 2 or found_out:
        return fit
    return _with_other_ways(fit, fitted, settings)


def _own_places(before: Array, target: Array, stride: Size) -> Size:
    """Return the rows and columns of the input that a target pixel stands for, less one."""
    rows, columns = (
        step - 1 if step > 1 else n - m
        for step, n, m in zip(stride, before.shape[:2], target.shape[:2], strict=True)
    )
    return rows, columns


def _reach(window: Window, own: Size) -> int:
    """Return how far a window reaches beyond a target pixel's own places."""
    return max(
        0, *(max(-first, first + length - 1 - more)
             for first, length, more in zip(window[:2], window.size, own, strict=True)),
    )  # fmt: skip


def _is_made_grey(before: Any, after: Any) -> bool:
    """Tell whether a picture in colour is fitted to one in grey."""
    counts = [shape[2] if len(shape := np.shape(image)) > 2 else 1 for image in (before, after)]
    return counts[0] in (3, 4) and counts[1] < 3


def _with_other_ways(
    fit: Fit, fitted: Callable[[Channels, Settings], tuple[Fit, int]], settings: Settings
) -> Fit:
    """Return a poor fit that says whether channels that go together otherwise explain the pair."""
    for way, side in _OTHER_WAYS.items():
        quick = settings._replace(
            method="exact", watch=None, largest=side, causes=False, most=_TRIED_ROWS
        )
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
    return together(fits, planes[0])


def _dtype(image: Any) -> np.dtype[Any]:
    """Return the dtype of an image, which one that is stored knows without being read."""
    return image.dtype if isinstance(image, StoredImage) else np.asarray(image).dtype


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
        counts = (len(pairs), *(shape[0] for shape in pair.shapes))
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
        return flat(task, len(planes))
    if settings.linear or settings.tone:
        return curved_fit(task, len(planes))
    found = search(task, coder and coder(planes))
    verdict, reason, left = verdict_of(found, settings)
    fit = told(found, settings, verdict, reason, len(planes))
    if verdict == "poor" and settings.causes:
        fit = _with_cause(fit, found, left, _unit(target.dtype))
    peak = _unit(target.dtype) if whole else spread
    fit = replace(fit, psnr=decibels(peak, fit.rmse))
    if settings.method == "exact":
        return fit
    units = _unit(before.dtype), _unit(target.dtype)
    if before.dtype.kind == target.dtype.kind == "u":
        units = units[1], units[1]  # as `prepared` counts them
    end, losses = by_descent(found, settings, units)
    reason = f"by least squares, {reason}"
    other = told(found._replace(best=end), settings, verdict, reason, len(planes))
    return replace(
        other,
        method="gd",
        losses=tuple(losses),
        white=units,
        exact_weights=fit.weights,
        psnr=decibels(peak, other.rmse),
    )


def _with_cause(fit: Fit, found: Found, left: Misfit | None, top: float) -> Fit:
    """Return a poor fit that says what explains the pair instead."""
    if found.curved:
        return replace(fit, cause="tone", remedy=("--tone",))
    if len(found.given[0].x) > 1 or found.valid:
        return fit
    window = found.best.window
    middle = window.top + (window.rows - 1) // 2, window.left + (window.columns - 1) // 2
    centre = middle if max(map(abs, middle)) > _FAR else (0, 0)
    model = linear(found.pairs[0], window, found.best.solution)
    left = left or misfit(found.pairs, window, model)
    cause = cause_of(found.given, found.floor, top, left, centre)
    if cause is None:
        group = "neighbours" if found.cleaned else left.group
        return replace(fit, cause=_BY_GROUP.get(group or ""))
    reason = f"{fit.reason}; {cause.words}"
    return replace(fit, cause=cause.name, remedy=cause.options, flip=cause.flip, reason=reason)


_BY_GROUP = {"tone": "tone", "neighbours": "neighbours", "position": "position"}
"""What a poor pair is due to where no model explains it, by what predicts the rest."""


def _unit(dtype: np.dtype[Any]) -> float:
    """Return what white is in pixels of 8 and 16 bits, and 1 for others, which have no limit."""
    return white(dtype) if dtype.kind == "u" and dtype.itemsize <= 2 else 1.0
