"""ffmpeg's ``convolution`` filter: whole numbers, times rdiv, plus bias; not flipped, centred.

Without rdiv it divides by the sum of the numbers, or by 1 if that is 0. ffmpeg up to 5.1 does so
even with an rdiv, so none is written: what cannot be said without one is refused.

Reference: https://ffmpeg.org/ffmpeg-filters.html#convolution
"""

from dataclasses import replace

import numpy as np

from conv_cli.errors import ConvError
from conv_cli.io.tables import format_number
from conv_cli.kernels.kernel import Kernel, Size, Weights
from conv_cli.kernels.rational import as_rational
from conv_cli.kernels.tools.typed import Typed

_OPTIONS = tuple(f"{plane}{key}" for key in ("m", "rdiv", "bias", "mode") for plane in range(4))
_MODES = {"0": "square", "1": "row", "2": "column"}
_COLOURS = 3
"""Planes that are filtered: red, green and blue, or grey alone. The fourth is opacity."""
_SQUARES = {9: 3, 25: 5, 49: 7}
_LONGEST = 49
_MOST_SUM = 32_767
"""Of the numbers' magnitudes, so that sums of 16-bit pixels stay within 32 bits."""
_NUMBER, _FROM_0 = "a whole number", "a number from 0"


def read_ffmpeg(typed: Typed) -> list[Kernel]:
    """Return the kernel of a filter, ``convolution=…`` with any of its options, or of a matrix.

    Of a colour image all planes must have the same one.
    """
    options = _options(typed)
    planes = [_plane(options, plane, typed) for plane in range(_COLOURS) if f"{plane}m" in options]
    if "0m" not in options:
        raise typed.fault(len(typed.text), "a matrix of 9, 25 or 49 whole numbers")
    first, *others = planes
    for plane in others:
        if not np.array_equal(plane.weights, first.weights) or plane.bias != first.bias:
            raise ConvError("its planes have different kernels; give one of them alone")
    return [first]


def write_ffmpeg(kernel: Kernel) -> str:
    """Return the filter, for grey and for all three colours."""
    if kernel.bias < 0:
        raise ConvError(f"its bias is {kernel.bias:g}, and ffmpeg takes none below 0")
    mode, shape = _frame(kernel)
    matrix = " ".join(map(format_number, _whole(kernel.framed(shape)).ravel().tolist()))
    parts = [f"{plane}m={matrix}" for plane in range(_COLOURS)]
    if mode != "square":
        parts += [f"{plane}mode={mode}" for plane in range(_COLOURS)]
    if kernel.bias:
        parts += [f"{plane}bias={format_number(kernel.bias)}" for plane in range(_COLOURS)]
    return f"convolution={':'.join(parts)}"


def approximate_ffmpeg(kernel: Kernel) -> Kernel:
    """Return the closest kernel that the filter holds: cut down, in whole numbers, of equal sum.

    Raises ConvError if its sum is neither 0 nor 1, or nothing but zeros would be left.
    """
    total = _total(kernel)
    tall, wide = kernel.centred().shape
    shape = (min(tall, _LONGEST), min(wide, _LONGEST)) if 1 in (tall, wide) else (7, 7)
    part = kernel.framed(shape, crop=True)
    left = float(part.weights.sum())
    if total == 1 and left > 0:
        weights = part.weights / left
        scale = int(_MOST_SUM // np.abs(weights).sum()) - weights.size
    else:
        weights, scale = part.weights - left / part.weights.size, 1 - total
    numbers = _rounded(weights * scale, total * scale) if scale > 0 else np.zeros(1)
    if not numbers.any() or numbers.sum() != total * scale:
        raise ConvError(
            "nothing like it is left in whole numbers within 7x7, which is what ffmpeg holds; use "
            "another tool"
        )
    return replace(part, weights=numbers / scale)


def _options(typed: Typed) -> dict[str, Typed]:
    """Return the options by name; those without a name follow ffmpeg's own order."""
    start = typed.indent
    if typed.text.startswith("convolution", start):
        start += len("convolution")
        if not typed.text.startswith("=", start):
            raise typed.fault(start, "= and its options")
        start += 1
    options: dict[str, Typed] = {}
    for place, option in enumerate(_unquoted(typed.part(start)).split(":")):
        name, equals, _ = option.text.partition("=")
        key = name.strip() if equals else _OPTIONS[min(place, len(_OPTIONS) - 1)]
        if key not in _OPTIONS:
            raise option.fault(0, f"one of {', '.join(_OPTIONS)}")
        if key in options:
            raise option.fault(0, f"{key} once, and not twice")
        value = option.part(len(name) + 1) if equals else option
        options[key] = _unquoted(value)
    return options


def _unquoted(value: Typed) -> Typed:
    text = value.text.strip()
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"" and text.count(text[0]) == 2:
        return value.part(value.indent + 1, value.indent + len(text) - 1)
    return value


def _plane(options: dict[str, Typed], plane: int, typed: Typed) -> Kernel:
    matrix = options[f"{plane}m"]
    spaced = matrix._replace(whole=matrix.whole.replace("|", " "))
    if "," in spaced.text:
        raise matrix.fault(matrix.text.index(","), "numbers with spaces between them")
    numbers = []
    for word in spaced.words():
        numbers.append(word.number(_NUMBER))
        if not numbers[-1].is_integer():
            raise word.fault(0, _NUMBER)
        if len(numbers) > _LONGEST:
            raise word.fault(0, f"at most {_LONGEST} numbers")
    shape = _shape(len(numbers), options.get(f"{plane}mode"), matrix)
    rdiv, bias = (_option(options, f"{plane}{key}") for key in ("rdiv", "bias"))
    weights = np.reshape(numbers, shape)
    weights = weights * rdiv if rdiv else weights / (weights.sum() or 1)
    return Kernel(weights, bias=bias, name=typed.label)


def _shape(count: int, mode: Typed | None, matrix: Typed) -> Size:
    name = "square"
    if mode is not None:
        name = mode.text.strip()
        name = _MODES.get(name, name)
        if name not in _MODES.values():
            raise mode.fault(0, f"one of {', '.join(_MODES.values())}")
    end = len(matrix.text)
    if name == "square":
        if count not in _SQUARES:
            raise matrix.fault(
                end, f"9, 25 or 49 numbers, and not {count}, or a mode row or column"
            )
        return _SQUARES[count], _SQUARES[count]
    if count % 2 == 0:
        raise matrix.fault(end, f"an odd number of numbers, and not {count}")
    return (1, count) if name == "row" else (count, 1)


def _option(options: dict[str, Typed], name: str) -> float:
    if name not in options:
        return 0.0
    value = options[name].number(_FROM_0)
    if value < 0:
        raise options[name].fault(0, _FROM_0)
    return value


def _total(kernel: Kernel) -> int:
    """Return what the weights sum to, 0 or 1: with any other sum the filter divides by it."""
    total = float(kernel.weights.sum())
    slack = 1e-9 * max(1.0, min(float(np.abs(kernel.weights).sum()), _MOST_SUM))
    for allowed in (0, 1):
        if abs(total - allowed) <= slack:
            return allowed
    raise ConvError(
        "ffmpeg divides by the sum of the weights, up to 5.1 even with an rdiv, and "
        f"these sum to {total:.6g} and not to 0 or 1; use --normalize sum"
    )


def _frame(kernel: Kernel) -> tuple[str, Size]:
    """Return the mode, and the shape that the matrix gets."""
    tall, wide = kernel.centred().shape
    if tall == 1 < wide <= _LONGEST:
        return "row", (1, wide)
    if wide == 1 < tall <= _LONGEST:
        return "column", (tall, 1)
    side = max(tall, wide, 3)
    if side > max(_SQUARES.values()):
        raise ConvError(
            f"it reaches {side // 2} pixels from its origin, and ffmpeg 3, "
            "or 24 in a single row or column; use --approximate to cut it down"
        )
    return "square", (side, side)


def _whole(kernel: Kernel) -> Weights:
    """Return the whole numbers that the filter, dividing by their sum, makes the weights of."""
    exact = as_rational(kernel.weights, _MOST_SUM)
    total = _total(kernel)
    if exact is None or (total == 0 and exact.divisor > 1):
        raise ConvError(
            "ffmpeg takes whole numbers only, and its weights are not "
            f"{'whole' if total == 0 else 'fractions of few digits'}; use --approximate"
        )
    if np.abs(exact.numerators).sum() > _MOST_SUM:
        raise ConvError(
            "in whole numbers its weights are larger than ffmpeg's 32 bits "
            "hold for 16-bit images; use --approximate"
        )
    return exact.numerators


def _rounded(values: Weights, total: float) -> Weights:
    """Return whole numbers that sum to a whole total, each next to its value: largest remainders.

    The values sum to that total already, but for rounding.
    """
    low = np.floor(values)
    missing = round(total - float(low.sum()))
    up = np.argsort((low - values).ravel(), kind="stable")[:missing]
    low.ravel()[up] += 1
    return low
