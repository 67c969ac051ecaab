"""ImageMagick's kernel strings, as ``-morphology Convolve`` means them: flipped.

Grammar, as in https://imagemagick.org/Usage/morphology/#user ::

    KERNEL ; KERNEL …
    WxH+X+Y: 1,2 3 …       W·H numbers; nan and - are no weight
    1,2,3,4 …              a square of them
    Name:ARGUMENTS         one of its own
    3x3@: … Name:args>     @ all rotations by 45°, > by 90°, < by 180° and 90°
"""

import re
from collections.abc import Iterator

import numpy as np

from conv_cli.errors import ConvError
from conv_cli.io.tables import format_number
from conv_cli.io.text import nearest, shown
from conv_cli.kernels.kernel import MAX_WEIGHTS, Kernel, named
from conv_cli.kernels.operations import rotated
from conv_cli.kernels.tools.magick_kernels import NAMES, PATTERNS, Arguments, given, magick_kernels
from conv_cli.kernels.tools.typed import Typed

_NO_WEIGHT = ("nan", "-")
_NUMBER = "a number such as -1 or 0.5, nan or -"
_STEPS = {"@": range(8), ">": range(0, 8, 2), "<": (0, 4, 6, 2)}
"""Eighths of a turn, clockwise, of the kernels that a flag makes of one."""
_SIZE = "WxH or WxH+X+Y in whole numbers before the colon"

_MOST = 1_000_000_000
_FLAGS = frozenset("@<>!%^()")
_DIGITS = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_SHAPE = re.compile(
    rf"(?P<rho>[-+]?{_DIGITS}(?=[xX,/:]|$))?"
    rf"(?:[xX](?P<sigma>{_DIGITS})?|[,/:](?P<listed>[-+]?{_DIGITS})?)?"
    rf"(?:[,/:]?(?P<xi>(?:(?<=[,/:])|(?=[-+]))[-+]*{_DIGITS}))?"
    rf"(?:[,/:]?(?P<psi>(?:(?<=[,/:])|(?=[-+]))[-+]*{_DIGITS}))?"
)


def read_imagemagick(typed: Typed) -> list[Kernel]:
    """Return the kernels of a string, flipped so that correlation does what Convolve does."""
    pieces = [piece for piece in typed.split(";") if piece.text.strip()]
    if not pieces:
        raise typed.fault(len(typed.text), "WxH: and its numbers, or one of ImageMagick's names")
    return [kernel.flipped() for piece in pieces for kernel in _read_one(piece)]


def write_imagemagick(kernel: Kernel) -> str:
    """Return the string for ``-morphology Convolve`` that does what correlation with it does."""
    if kernel.bias != 0:
        percent = 100 * kernel.bias / 255
        raise ConvError(
            f"ImageMagick's strings hold no bias, and this one has {kernel.bias:g}; use --bias 0, "
            f"and say -define convolve:bias={percent:.6g}% there"
        )
    flipped = kernel.flipped()
    (height, width), (y, x) = flipped.shape, flipped.origin
    rows = " ".join(",".join(map(format_number, row)) for row in flipped.weights.tolist())
    return f"{width}x{height}+{x}+{y}: {rows}"


def _read_one(piece: Typed) -> list[Kernel]:
    """Return the kernels of one piece as they are written, not flipped."""
    start = piece.indent
    if piece.text[start].isalpha() and not piece.text[start:].lower().startswith("nan"):
        kernels, flags = _read_name(piece.part(start))
    else:
        kernels, flags = _read_array(piece)
    if len(kernels) > 1:  # the set of one name is not rotated
        return kernels
    return list(_rotations(kernels[0], flags, piece))


def _read_name(piece: Typed) -> tuple[list[Kernel], frozenset[str]]:
    match = re.match(r"[\w-]+", piece.text)
    assert match is not None  # its first character is a letter
    name = match[0].lower().replace("-", "").replace("_", "")
    if name in PATTERNS:
        raise ConvError(
            f"{match[0]} is a pattern of ImageMagick's for hit-and-miss, not a kernel to convolve "
            "with; use one that is"
        )
    if name not in NAMES:
        if near := nearest(name, NAMES):
            raise piece.fault(0, f"one of ImageMagick's names; did you mean {near}?")
        raise piece.fault(0, f"one of ImageMagick's names: {', '.join(NAMES)}")
    end = match.end()
    end += len(piece.text[end:]) - len(piece.text[end:].lstrip(" \t\r\n,:"))
    arguments = _arguments(piece.part(end), "arguments such as 0x2 or 1,2,90")
    label = f"{piece.label}: {match[0]}"
    with named(label):
        return magick_kernels(name, arguments._replace(label=label)), arguments.flags


def _read_array(piece: Typed) -> tuple[list[Kernel], frozenset[str]]:
    size, colon, _ = piece.text.partition(":")
    if not colon:
        return [_square(piece)], frozenset()
    geometry = _arguments(piece.part(0, len(size)), _SIZE)
    width = given(geometry.rho, 0)
    height = given(geometry.sigma, width)
    if min(width, height) < 1:
        raise piece.fault(piece.indent, _SIZE)
    columns, rows = int(width), int(height)
    if rows * columns > MAX_WEIGHTS:
        raise piece.fault(piece.indent, f"a size of at most {MAX_WEIGHTS:,} weights")
    numbers = piece.part(len(size) + 1)
    values = _values(numbers, rows * columns)
    if len(values) < rows * columns:
        many = f"{rows * columns} numbers for {columns}x{rows}, and not {len(values)}"
        raise numbers.fault(len(numbers.text), many)
    x = (columns - 1) // 2 if geometry.xi is None else geometry.xi
    y = (rows - 1) // 2 if geometry.psi is None else geometry.psi
    if not (0 <= x < columns and 0 <= y < rows):
        raise piece.fault(
            piece.indent, f"an origin +X+Y inside of {columns}x{rows}, counted from 0"
        )
    weights = np.reshape(values, (rows, columns))
    return [Kernel(weights, origin=(int(y), int(x)), name=piece.label)], geometry.flags


def _square(piece: Typed) -> Kernel:
    values = _values(piece, MAX_WEIGHTS)
    side = int(len(values) ** 0.5)
    if side * side != len(values):
        raise piece.fault(
            len(piece.text),
            f"{side * side} or {(side + 1) ** 2} numbers for a square and not {len(values)}; "
            "give other sizes as WxH: before the numbers",
        )
    return Kernel(np.reshape(values, (side, side)), name=piece.label)


def _values(numbers: Typed, most: int) -> list[float]:
    """Return the numbers of a piece, 0 for what is no weight; at least one must be one."""
    values: list[float] = []
    real = False
    for word in numbers.words():
        if len(values) == most:
            raise word.fault(0, f"the end after {most} numbers")
        absent = word.text.lower() in _NO_WEIGHT
        values.append(0.0 if absent else word.number(_NUMBER))
        real = real or not absent
    if values and not real:
        raise numbers.fault(len(numbers.text), "at least one number")
    return values


def _arguments(typed: Typed, expected: str) -> Arguments:
    """Return the numbers and flags that a piece spells; flags and white space may stand anywhere.

    Raises ConvError if something is left over, with its place and what was `expected`.
    """
    places = [i for i, c in enumerate(typed.text) if not (c in _FLAGS or c.isspace())]
    text = "".join(typed.text[i] for i in places)
    match = _SHAPE.match(text)
    assert match is not None  # as all of it is optional
    if match.end() < len(text):
        raise typed.fault(places[match.end()], expected)
    sigma = match["sigma"] or match["listed"]
    rho, sigma, xi, psi = map(_signed, (match["rho"], sigma, match["xi"], match["psi"]))
    if any(number is not None and abs(number) > _MOST for number in (rho, sigma, xi, psi)):
        raise typed.fault(0, f"numbers up to {_MOST:,}")
    return Arguments(rho, sigma, xi, psi, frozenset(typed.text) & _FLAGS, typed.label)


def _signed(text: str | None) -> float | None:
    """Return the number of a text that may begin with several signs, each minus reversing it."""
    if text is None:
        return None
    digits = text.lstrip("+-")
    return float(digits) * (-1) ** text[: len(text) - len(digits)].count("-")


def _rotations(kernel: Kernel, flags: frozenset[str], piece: Typed) -> Iterator[Kernel]:
    """Yield the rotations that a flag asks for, for @ and > until the first is there again."""
    flag = next((each for each in _STEPS if each in flags), None)
    if flag is None:
        yield kernel
        return
    rows, columns = kernel.shape
    if (rows, columns) != (3, 3) if flag == "@" else rows != columns and 1 not in (rows, columns):
        raise ConvError(
            f"{shown(piece.text)} cannot be turned: ImageMagick turns 3x3 by 45°, and squares and "
            "lines by 90°"
        )
    for step in _STEPS[flag]:
        result = rotated(kernel, step)
        same = result.origin == kernel.origin and np.array_equal(result.weights, kernel.weights)
        if step and same and flag != "<":
            return
        yield result
