"""The conv-cli command of the same result, tried on the charts before it is proposed."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.borders import Border
from conv_cli.colors import LUMA
from conv_cli.correlation.params import ConvParams
from conv_cli.errors import ConvError
from conv_cli.fitting.result import Fit
from conv_cli.images import Image
from conv_cli.kernels.kernel import Kernel
from conv_cli.kernels.spec import load_kernel
from conv_cli.pipeline.feature_map import Range
from conv_cli.pipeline.filter import Bias, Filter, filtered_pixels
from conv_cli.probing.layout import Layout
from conv_cli.probing.rounding import Rounding, with_fractions

Array = npt.NDArray[Any]

UNSAVED = "kernel.json"
"""The file of kernels that cannot be typed."""
_NEARLY_DOWN = -0.498
"""What makes rounding to nearest one down, but for whole numbers that come out a hair below."""
_NO_BIAS = 0.02
"""Levels by which a bias that a file holds may be off for its estimate."""
_NOWHERE = -1.0
"""No pixel of whole numbers has this value, so it can stand for what is not there."""
_GREY = 5e-3
"""By so much, weights of red, green and blue may be off those of grey."""
_AS_GOOD = 0.02
"""A shorter command may be off by so much more on the mean, in levels."""


class Proposal(NamedTuple):
    """A command, and how far its result is from the program's on the charts, in levels.

    command : str. "{in}" and "{out}" stand for the files.
    apart : ndarray, shape (h, w, D), float64. Its result less the program's, on the first chart.
    """

    command: str
    largest: float
    mean: float
    apart: Array


class Linear(NamedTuple):
    """All that is known of a linear program."""

    fit: Fit
    layout: Layout
    rounding: Rounding
    border: str | None


class _Words(NamedTuple):
    """A command in parts: the kernel as it is written, and what it is."""

    spec: str
    kernel: Kernel
    options: tuple[str, ...]
    rule: Filter


def proposed(
    known: Linear, charts: Sequence[tuple[Image, Array]], saved: str | None
) -> Proposal | None:
    """Return the command of the same result; None where none makes it.

    charts : sequence of (Image, ndarray). Charts, and what the program made of them, (h, w, D).
    saved : str or None. The file that holds the kernel.
    """
    fit, grey = _single(known.fit)
    best: Proposal | None = None
    for spec, kernel in _specs(fit, saved):
        words = _words(known, fit, spec, kernel, grey)
        try:
            off = _off(known, words, charts)
        except ConvError:
            continue
        command = shlex.join(["conv-cli", "apply", "IN", "-k", spec, *words.options, "-o", "OUT"])
        command = command.replace(" IN ", " {in} ").removesuffix("OUT") + "{out}"
        tried = Proposal(command, *off)
        if best is None or (tried.largest, tried.mean) < (best.largest, best.mean - _AS_GOOD):
            best = tried
    return best


def _single(fit: Fit) -> tuple[Fit, bool]:
    """Return a fit of one kernel where channels are but made grey, and whether they are."""
    if fit.weights.ndim < 4 or fit.weights.shape[:2] != (1, 3):
        return fit, False
    kernel = fit.weights[0].sum(axis=0)
    parts = np.array(LUMA)[:, None, None] * kernel
    if np.abs(fit.weights[0] - parts).max() > _GREY * np.abs(kernel).max():
        return fit, False
    bias = float(np.ravel(fit.bias)[0])
    errors = fit.stderr[0].max(axis=0)
    return replace(fit, weights=kernel, stderr=errors, bias=bias, rational=None, match=None), True


def _specs(fit: Fit, saved: str | None) -> list[tuple[str, Kernel]]:
    """Return ways to write the kernel, the shortest first."""
    if fit.weights.ndim > 2:
        return [(saved or UNSAVED, with_fractions(fit)[0].applicable)]
    exact, divisor = with_fractions(fit)
    kernel = exact.applicable
    specs = []
    if fit.match is not None and fit.shift == (0, 0):
        specs.append((fit.match, load_kernel(fit.match)))
    if saved is None or (divisor and kernel.weights.size <= 25):
        specs.append(_inline(kernel, divisor))
    else:
        specs.append((saved, kernel))
    return specs


def _inline(kernel: Kernel, divisor: int) -> tuple[str, Kernel]:
    """Return a kernel as a matrix that is typed, and what that is read as."""
    weights = kernel.weights * divisor if divisor else kernel.weights
    rows = [" ".join(_number(value, whole=bool(divisor)) for value in row) for row in weights]
    text = "; ".join(rows) + (f" / {divisor}" if divisor > 1 else "")
    read = load_kernel(text)
    return text, replace(read, origin=kernel.origin)


def _number(value: float, *, whole: bool) -> str:
    if whole:
        return f"{round(value)}"
    rounded = round(value, 6)
    return f"{rounded:.6g}" if rounded else "0"


def _words(known: Linear, fit: Fit, spec: str, kernel: Kernel, grey: bool) -> _Words:
    """Return the options beside a kernel, and the filter that they stand for."""
    layout, size = known.layout, kernel.shape
    options: list[str] = []
    plain = tuple((k - 1) // 2 for k in size)
    default = load_kernel(spec).origin if _is_text(spec) else kernel.origin
    valid = layout.kind == "cropped" and _is_valid(layout, size)
    if kernel.origin != default and not valid:
        options += ["--origin", f"{kernel.origin[0]},{kernel.origin[1]}"]
    kernel = kernel if not valid else replace(kernel, origin=(plain[0], plain[1]))
    border = _border(known.border)
    nodata = _NOWHERE if known.border == "normalized" else None
    if nodata is not None:
        options += ["--border", border, "--nodata", border]
    elif valid:
        options += ["--padding", "valid"]
    elif border != "edge":
        options += ["--border", border]
    saved_says = not _is_text(spec)
    if layout.stride != (1, 1) and not saved_says:
        down, across = layout.stride
        options += ["--stride", f"{down}" if down == across else f"{down}x{across}"]
    bias = kernel.bias if fit.weights.ndim > 2 else _bias(known, fit)
    if abs(bias - kernel.bias) > (_NO_BIAS if saved_says else 1e-9):
        options += ["--bias", f"{bias:.6g}"]
    if grey:
        options += ["--channels", "gray"]
    if fit.linear and not saved_says:
        options += ["--linear"]
    rule = Filter(
        (kernel,),
        ConvParams(
            padding="valid" if valid else "same", border=Border.named(border), stride=layout.stride
        ),
        nodata=nodata,
        bias=None if fit.weights.ndim > 2 else Bias(bias), gray=grey, linear=fit.linear,
    )  # fmt: skip
    return _Words(spec, kernel, tuple(options), rule)


def _is_text(spec: str) -> bool:
    return Path(spec).suffix.lower() != ".json"


def _is_valid(layout: Layout, size: tuple[int, int]) -> bool:
    rows, columns = layout.chart
    lost = (rows.start, columns.start)
    return lost == tuple((k - 1) // 2 for k in size)


def _border(name: str | None) -> str:
    """Return the border of ``apply`` that is nearest."""
    if name == "normalized":
        return f"{_NOWHERE:g}"
    return "edge" if name in (None, "copied", "cropped") else str(name)


def _bias(known: Linear, fit: Fit) -> float:
    """Return what makes rounding to nearest the program's own rounding, its bias added."""
    own = float(np.mean(known.rounding.bias))
    if fit.linear:
        return round(float(np.ravel(fit.bias)[0]), 3)
    if known.rounding.way == "none":
        return own if abs(own) > 1e-6 else 0.0
    if known.rounding.way != "down":
        # Rounded more than once, a bias is what the mean of all that is.
        off = float(np.mean(fit.bias)) if known.rounding.way in ("repeated", None) else own
        return round(off, 3) if abs(off) > 0.02 else 0.0
    _, divisor = with_fractions(fit)
    return round(own - 0.5 + 0.5 / divisor if divisor else own + _NEARLY_DOWN, 4)


def _off(
    known: Linear, words: _Words, charts: Sequence[tuple[Image, Array]]
) -> tuple[float, float, Array]:
    """Return the largest and the mean difference between a command's results and a program's, and
    all of the first chart.
    """
    largest, total, count = 0.0, 0.0, 0
    apart: list[Array] = []
    for chart, target in charts:
        floats = target.dtype.kind == "f"
        dtype = np.dtype(np.float32) if floats else target.dtype
        mode = Range("raw" if floats else "clip")
        pixels = filtered_pixels(chart, words.rule, words.rule.kernels, dtype, mode)
        pixels = pixels[..., None] if pixels.ndim == 2 else pixels
        ours, theirs = _laid(known.layout, pixels, target)
        apart.append(ours.astype(np.float64) - theirs.astype(np.float64))
        off = np.abs(apart[-1])
        largest, total = max(largest, float(off.max())), total + float(off.sum())
        count += off.size
    return largest, total / max(count, 1), apart[0]


def _laid(layout: Layout, ours: Array, theirs: Array) -> tuple[Array, Array]:
    """Return the parts of two results that lie on each other."""
    theirs = layout.of_result(theirs)
    if layout.kind == "cropped" and ours.shape[:2] != theirs.shape[:2]:
        ours = layout.of_chart(ours)
    rows, columns = (min(a, b) for a, b in zip(ours.shape[:2], theirs.shape[:2], strict=True))
    return ours[:rows, :columns], theirs[:rows, :columns]
