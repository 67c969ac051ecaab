"""Numbers and tables of numbers as people type them, in matrices and in text files.

A fault in a table is a ConvError that holds the reason alone; `kernel.named` puts a name before it.
"""

import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from conv_cli.errors import ConvError
from conv_cli.io.text import shown
from conv_cli.kernels.kernel import MAX_WEIGHTS, Weights

# Narrower than float(): no nan, inf, 1_000 or digits of other scripts. No two parts of it can
# match the same digits, so a long bad text costs one pass and not their square.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_LONGEST_NAME = 40


def parse_number(text: str) -> float:
    """Return the number that `text` spells: decimal, with exponent, or a fraction such as 1/9.

    Raises ValueError if it spells none, divides by zero or is too large for float64; the message is
    what follows "row 1, column 1 is" or "sigma is" in an error.
    """
    numerator, slash, denominator = text.partition("/")
    value = _decimal(numerator, text)
    if slash:
        divisor = _decimal(denominator, text)
        if divisor == 0:
            raise ValueError(f"{shown(text)}, which divides by zero")
        value /= divisor
    if not math.isfinite(value):
        raise ValueError(f"{shown(text)}, which is too large for a number of 64 bits")
    return value


def format_number(value: float) -> str:
    """Return the shortest text that reads back as the same float64, whole numbers without a point.

    From 10¹⁵ on an exponent stands for zeros.
    """
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(float(value))


def parse_table(rows: Iterable[Sequence[str]]) -> Weights:
    """Return rows of one text per weight as a matrix; nothing is read behind the first fault.

    Raises ConvError if there is no row, a row is empty or longer or shorter than the first, a text
    is no number (row and column counted from 1), or there are more than 4,194,304 weights.
    """
    return rectangle(_parse_row(texts, row) for row, texts in enumerate(rows, 1))


def rectangle(rows: Iterable[Sequence[float]]) -> Weights:
    """Return rows of numbers as a float64 matrix; errors are those of `parse_table`."""
    table: list[Sequence[float]] = []
    for number, row in enumerate(rows, 1):
        table.append(row)
        if not row:
            raise ConvError(f"row {number} is empty")
        if len(row) != len(table[0]):
            numbers = "1 number" if len(row) == 1 else f"{len(row)} numbers"
            raise ConvError(f"row {number} has {numbers}, row 1 has {len(table[0])}")
        if number * len(row) > MAX_WEIGHTS:
            raise ConvError(f"more than {MAX_WEIGHTS:,} weights")
    if not table:
        raise ConvError("it holds no numbers")
    return np.array(table, dtype=np.float64)


def lines(text: str) -> Iterator[str]:
    """Yield the lines of a text one by one, whatever ends them, without blank ones at the end."""
    return (line.strip() for line in io.StringIO(text.rstrip(), newline=None))


def brief_name(name: str, weights: Weights, kind: str) -> str:
    """Return the name, or for a long one the kind, the size and a digest of the weights."""
    if len(name) <= _LONGEST_NAME:
        return name
    import hashlib

    rows, columns = weights.shape
    digest = hashlib.blake2b(weights.tobytes(), digest_size=4).hexdigest()
    return f"{kind}-{rows}x{columns}-{digest}"


def _parse_row(texts: Sequence[str], row: int) -> list[float]:
    numbers = []
    for column, text in enumerate(texts, 1):
        try:
            numbers.append(parse_number(text))
        except ValueError as error:
            raise ConvError(f"row {row}, column {column} is {error}") from None
    return numbers


def _decimal(part: str, whole: str) -> float:
    if _NUMBER.fullmatch(part) is None:
        raise ValueError(f"{shown(whole)}, expected a number such as -1, 0.5 or 1/9")
    return float(part)
