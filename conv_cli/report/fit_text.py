"""What a person reads of a fit: a dozen lines, the kernel drawn, and the next command."""

import math
import shlex
from collections.abc import Sequence
from pathlib import PurePath

import numpy as np

from conv_cli.fitting.result import Fit
from conv_cli.kernels.kernel import Weights
from conv_cli.report.kernel_text import kernel_lines

_ROWS = 9
_MARGIN = "  "
_WAYS = {3: "each", 4: "mix"}
"""How channels go together, by the dimensions of the weights."""
_UNSAVED = "add -o kernel.json, then: "
_TRANSPOSED = (
    "FLIP_LEFT_RIGHT", "FLIP_TOP_BOTTOM", "ROTATE_180", "ROTATE_90", "ROTATE_270", "TRANSPOSE",
    "TRANSVERSE",
)  # fmt: skip
"""Pillow's names of ``kernels.comparison.TURNS``, in their order."""


def fit_lines(
    fit: Fit, before: str, after: str, *, saved: str | None, width: int = 79
) -> list[str]:
    """Return the lines of a summary.

    before, after : str. What the first pair is called.
    saved : str or None. The file that holds the kernel.
    width : int. Characters a line may take for the drawn kernel.
    """
    more = f" and {fit.pairs - 1} more" if fit.pairs > 1 else ""
    kernel = [("kernel", kernel_words(fit)), *_below(_drawn(fit, width))]
    reading, error = ("reads as", reading_words(fit)), ("error", error_words(fit))
    verdict = f"{fit.verdict}: {fit.reason}"
    certainty = ("certainty", certainty_words(fit))
    rest = [
        ("pixels", pixel_words(fit)),
        ("place", place_words(fit)),
        ("next", next_command(fit, before, saved) or remedy_command(fit, before, after)),
    ]
    if fit.exact_weights is None:
        facts = [("verdict", verdict), *kernel, reading, error, certainty, *rest]
    else:  # whose verdict it is, and not that of the descent
        exact = [("exact fit", verdict), *_below(_first(fit.exact_weights, fit, width)), certainty]
        facts = [*kernel, *_descent(fit, width), reading, error, *rest, *exact]
    title = f"{before} to {after}{more}"
    return [title, *(f"{_MARGIN}{name:<10} {text}".rstrip() for name, text in facts if text)]


def kernel_words(fit: Fit) -> str:
    """Return size, number, origin and bias."""
    rows, columns = fit.size
    several = {2: "", 3: f"{len(fit.weights)} of ", 4: " by ".join(map(str, fit.weights.shape[:2]))}
    count = several[fit.weights.ndim] + (" of " if fit.weights.ndim == 4 else "")
    bias = ", ".join(f"{round(value, 9) + 0.0:.4g}" for value in np.atleast_1d(fit.bias))
    return f"{count}{rows}x{columns}, origin {fit.origin[0]},{fit.origin[1]}, bias {bias}"


def _drawn(fit: Fit, width: int) -> list[str]:
    if fit.rational is not None and fit.method == "exact":
        lines = kernel_lines(fit.rational.numerators, width=width - 16, height=_ROWS)
        if fit.rational.divisor > 1:
            lines[-1] += f"   / {fit.rational.divisor}"
        return lines
    return _first(fit.weights, fit, width)


def _first(weights: Weights, fit: Fit, width: int) -> list[str]:
    """Return the first of the kernels, drawn; of one weight each all of them."""
    if weights.ndim == 4 and fit.size == (1, 1):
        return kernel_lines(weights[..., 0, 0], width=width - 12, height=_ROWS)
    first = weights.reshape(-1, *fit.size)[0]
    return kernel_lines(first, width=width - 12, height=_ROWS)


def _below(lines: list[str]) -> list[tuple[str, str]]:
    return [("", line) for line in lines]


def _descent(fit: Fit, width: int) -> list[tuple[str, str]]:
    """Return how far gradient descent came, and its kernel in the units that it counts in."""
    before, after = fit.white
    facts = []
    if before != after:
        drawn = _first(fit.weights * before / after, fit, width)
        facts = [("in white", drawn[0]), *_below(drawn[1:])]
    count = f"{len(fit.losses)} epoch{'s' if len(fit.losses) != 1 else ''}"
    loss = f"{fit.losses[-1]:.4g} after {count}: squared errors summed, white counts as 1"
    return [*facts, ("loss", loss)]


def reading_words(fit: Fit) -> str:
    """Return the built-in that the kernel is, and others that it may be as well."""
    if fit.match is not None:
        others = [name.spec for name in fit.names if name.passes and name.spec != fit.match]
        return f"{fit.match}, or {', '.join(others[:2])}" if others else fit.match
    if fit.turned_match is not None:
        return f"{fit.turned_match} turned by 180°: that tool convolves (add --convolve)"
    if fit.names:
        first = fit.names[0]
        if first.passes:
            return " or ".join(name.spec for name in fit.names[:3])
        return f"nothing; {first.spec} is nearest, {first.largest:.2g} off at most"
    return ""


def error_words(fit: Fit) -> str:
    """Return the error on pixels that nothing was learned from, against the target's own."""
    words = f"{fit.rmse:.4g} on held-out pixels, where the target's own is {fit.noise_floor:.4g}"
    if math.isfinite(fit.r2):
        words += f"; R² {_shares(fit.r2)}"
    if math.isfinite(fit.psnr):
        words += f", {fit.psnr:.1f} dB"
    return words


def _shares(r2: float) -> str:
    """Return R² with as many digits as tell it from 1."""
    return f"{r2:.{min(max(4, 1 - math.floor(math.log10(max(1 - r2, 1e-6)))), 6)}f}"


def certainty_words(fit: Fit) -> str:
    """Return how sure the weights are."""
    largest = float(np.max(fit.stderr))
    if not math.isfinite(largest):
        return "none: in some direction the input holds no detail at all"
    return f"weights within {2 * largest:.2g} (two standard errors), condition {fit.condition:,.0f}"


def pixel_words(fit: Fit) -> str:
    """Return how many pixels were used and what was left out."""
    words = f"{fit.pixels:,} used"
    if fit.clipped > 0:
        words += f", {fit.clipped * 100:.3g} % saturated"
    if fit.rejected > 0:
        words += f", {fit.rejected * 100:.3g} % that no kernel made"
    return words


def place_words(fit: Fit) -> str:
    """Return the border, and how the pictures lie to each other."""
    words = "the target is what valid filtering leaves" if fit.valid else f"border {fit.border}"
    if not fit.valid and fit.border is None:
        words = "no border mode explains the rim" if fit.explains else ""
    if fit.shift != (0, 0) and fit.explains:
        down, right = fit.shift
        moved = [
            f"{abs(count)} {word}"
            for count, word in (
                (down, "down" if down > 0 else "up"),
                (right, "right" if right > 0 else "left"),
            )
            if count
        ]
        words = f"{words}; the target is moved {' and '.join(moved)}".lstrip("; ")
    return words


def next_step(fit: Fit, before: str, after: str, saved: str | None) -> str | None:
    """Return one command to go on with: ``apply``, or the ``fit`` that explains a poor pair."""
    if fit.verdict != "poor":
        following = next_command(fit, before, saved)
        if not following.startswith(_UNSAVED):
            return following or None
        flags: tuple[str, ...] = ("--linear",) if fit.linear else ()
        flags += ("--tone",) if fit.tone is not None else ()
        flags += ("--channels", _WAYS[fit.weights.ndim]) if fit.weights.ndim > 2 else ()
        saving = ("-o", "kernel.json")
        again = _shell("conv-cli", "fit", _named(before), _named(after), *flags, *saving)
        return f"{again} && {following.removeprefix(_UNSAVED)}"
    return remedy_command(fit, before, after) or None


def remedy_command(fit: Fit, before: str, after: str) -> str:
    """Return the `fit` that explains a poor pair; "" if none is known."""
    if fit.flip is not None:
        flipped = f"turned{PurePath(before).suffix.lower() or '.png'}"
        script = (
            f"from PIL import Image; Image.open({before!r}).transpose("
            f"Image.Transpose.{_TRANSPOSED[fit.flip]}).save({flipped!r})"
        )
        again = _shell("conv-cli", "fit", flipped, _named(after))
        return f"{_shell('python', '-c', script)} && {again}"
    if not fit.remedy:
        return ""
    return _shell("conv-cli", "fit", _named(before), _named(after), *fit.remedy)


def _named(path: str) -> str:
    """Return a path that no option can be mistaken for."""
    return f"./{path}" if path.startswith("-") else path


def next_command(fit: Fit, image: str, saved: str | None) -> str:
    """Return what to type next, for a shell."""
    if not fit.explains:
        return ""
    image = _named(image)
    own_manner = fit.linear or fit.tone is not None
    own = own_manner or fit.weights.ndim > 2
    named = None if own or fit.shift != (0, 0) else fit.match
    kernel = saved or named
    if kernel is None:
        return _UNSAVED + _shell(
            "conv-cli",
            "apply",
            image,
            "-k",
            "kernel.json",
            *_options(fit, None),
            "-o",
            _output(image),
        )
    options = list(_options(fit, kernel))
    if kernel == saved and not kernel.endswith((".json", ".mat")) and fit.kernel.bias:
        options += ["--bias", f"{fit.kernel.bias:.6g}"]
    return _shell("conv-cli", "apply", image, "-k", kernel, *options, "-o", _output(image))


def _output(image: str) -> str:
    """Return a name for what is made of an image: a format that surely holds it, or PNG."""
    suffix = PurePath(image).suffix.lower()
    return f"out{suffix if suffix in ('.npy', '.tif', '.tiff', '.pfm') else '.png'}"


def _options(fit: Fit, kernel: str | None) -> Sequence[str]:
    if fit.valid:
        return ("--padding", "valid", *(("--channels", "grey") if fit.grey else ()))
    edge = fit.border in (None, "edge")
    options: tuple[str, ...] = () if edge else ("--border", str(fit.border))
    options += ("--channels", "grey") if fit.grey else ()
    saved_manner = kernel is None or kernel.endswith(".json")
    if fit.stride != (1, 1) and not saved_manner:
        options += ("--stride", "x".join(map(str, fit.stride)))
    return (*options, "--linear") if fit.linear and not saved_manner else options


def _shell(*words: str) -> str:
    return " ".join(map(shlex.quote, words))
