"""A kernel drawn as text: numbers in columns, aligned at the decimal point, shaded or plain."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from conv_cli.colormaps import Colour, diverging, ink
from conv_cli.kernels.kernel import Weights

Colours = Literal[0, 256, 16_777_216]
"""How many colours a terminal shows; 0 for plain text."""

Indices = Sequence[int | None]
"""Of the rows or columns that are drawn, with None where some are left out."""

_GAP = "…"
_NARROWEST = 3
"""Characters that a number and the space around it take at least."""
_SMALLEST, _LARGEST = -4, 6
"""Powers of ten between which the largest weight is written without an exponent."""


def kernel_lines(
    weights: Weights,
    *,
    width: int | None = None,
    height: int | None = None,
    digits: int = 4,
    colours: Colours = 0,
) -> list[str]:
    """Return the lines of a drawn kernel.

    weights : ndarray, shape (kh, kw), float64
    width, height : the most characters a line and the most lines that the drawing may have; rows
        and columns in the middle of a larger one are left out for an ellipsis.
    digits : significant digits of the largest weight.
    colours : where there are any, every number stands on the colour of its value, by the codes of
        terminals.
    """
    limit = float(np.abs(weights).max())
    rows = _drawn(weights.shape[0], height)
    columns: Indices = _drawn(weights.shape[1], width)
    if width is not None:  # how wide a number is shows in those that may come to be drawn
        columns = _drawn(weights.shape[1], max(3, width // _NARROWEST))
        widest = len(number_texts(_part(weights, rows, columns), digits, limit)[0][0])
        columns = _drawn(weights.shape[1], max(3, width // (widest + 2)))
    part = _part(weights, rows, columns)
    texts = number_texts(part, digits, limit)
    gap = _GAP.center(len(texts[0][0]) + 2)
    lines = []
    for line, shades in zip(texts, diverging(part, limit), strict=True):
        pairs = zip(line, shades, strict=True)
        cells = [shaded(f" {text} ", shade, colours) for text, shade in pairs]
        lines.append("".join(_laid_out(cells, columns, gap)).rstrip())
    return _laid_out(lines, rows, gap * len(columns))


def sketch(weights: Weights, width: int, colours: Colours = 0) -> str:
    """Return a kernel in so many characters: an arrow, and the line through its largest weight.

    Of equal ones that is the one nearest to the middle. The line is the row (→) or the column (↓),
    whichever varies more, thinned out if it is long. Blocks rise with the weight, dashes multiply
    below zero, a dot is zero.
    """
    largest = np.argwhere(np.abs(weights) >= (1 - 1e-9) * np.abs(weights).max())
    middle = (np.array(weights.shape) - 1) / 2
    i, j = largest[np.abs(largest - middle).sum(axis=1).argmin()]
    lines = {"→": weights[i], "↓": weights[:, j]}
    arrow = max(lines, key=lambda name: float(np.ptp(lines[name])))
    line, places = lines[arrow], width - 2
    step = -(-len(line) // places)
    line = line[(len(line) - 1) // 2 % step :: step]
    limit = float(np.abs(line).max()) or 1.0
    pairs = zip(line.tolist(), diverging(line), strict=True)
    marks = [shaded(_mark(value / limit), colour, colours) for value, colour in pairs]
    return f"{arrow} {''.join(marks)}{' ' * (places - len(line))}"


def number_texts(
    weights: Weights, digits: int = 4, largest: float | None = None
) -> list[list[str]]:
    """Return every weight as text, all equally wide, with the decimal points below each other.

    Whole numbers stay whole. Others keep as many places as the `largest` magnitude, by default that
    of these weights, needs for its significant digits, and one at least. A small one may then be
    0.0000, but only a weight of zero is 0.
    """
    if largest is None:
        largest = float(np.abs(weights).max())
    exponent = math.floor(math.log10(largest)) if largest > 0 else 0
    places = max(1, digits - 1 - exponent)
    style = f".{places}f" if _SMALLEST <= exponent <= _LARGEST else f".{digits - 1}e"
    parts = [[_number(value, style).partition(".") for value in row] for row in weights.tolist()]
    before = max(len(whole) for row in parts for whole, _, _ in row)
    after = max(len(point + rest) for row in parts for _, point, rest in row)
    return [
        [whole.rjust(before) + (point + rest).ljust(after) for whole, point, rest in row]
        for row in parts
    ]


def shaded(text: str, colour: Colour, colours: Colours) -> str:
    """Return text on a background colour, as the control codes of a terminal say it."""
    if not colours:
        return text
    below, above = colour_code(colour, colours), colour_code(ink(colour), colours)
    return f"\x1b[48;{below};38;{above}m{text}\x1b[0m"


def _number(value: float, style: str) -> str:
    if value == 0:
        return "0"  # and never -0
    if value.is_integer() and style.endswith("f"):
        return f"{value:.0f}"
    text = f"{value:{style}}"
    if float(text) == 0:
        return text.removeprefix("-")
    if style.endswith("f") and float(text) == value:
        return text.rstrip("0")  # a half is 0.5 and no more, but a third is 0.3333
    return text


def _mark(share: float) -> str:
    """Return the character for a value of -1…1."""
    if share == 0:
        return "·"
    return "▁▂▃▄▅▆▇█"[min(7, int(share * 8))] if share > 0 else "-=≡"[min(2, int(-share * 3))]


def colour_code(colour: Colour, colours: Colours) -> str:
    """Return what a terminal's code calls a colour."""
    channels = [int(channel) for channel in colour]
    if colours == 256:  # of which 216 are a cube: 0, and five steps from 95 to 255, a channel
        red, green, blue = (0 if c < 48 else max(1, round((c - 55) / 40)) for c in channels)
        return f"5;{16 + 36 * red + 6 * green + blue}"
    return f"2;{';'.join(map(str, channels))}"


def _drawn(count: int, limit: int | None) -> Indices:
    """Return the indices to draw, with None for those in the middle that do not fit."""
    if limit is None or count <= limit:
        return range(count)
    head = max(1, limit // 2)
    tail = max(1, limit - 1 - head)
    return [*range(head), None, *range(count - tail, count)]


def _part(weights: Weights, rows: Indices, columns: Indices) -> Weights:
    """Return the weights that are drawn."""
    return weights[np.ix_(*([i for i in indices if i is not None] for indices in (rows, columns)))]


def _laid_out(pieces: list[str], indices: Indices, gap: str) -> list[str]:
    """Return the pieces with a gap where some were left out."""
    rest = iter(pieces)
    return [gap if index is None else next(rest) for index in indices]
