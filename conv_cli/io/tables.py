"""Numbers and tables of numbers as people type them, in matrices and in text files.

A fault in a table is a ConvError that holds the reason alone.
"""

import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from conv_cli.errors import ConvError
from conv_cli.io.text import shown

# Narrower than float(): no nan, inf, 1_000 or digits of other scripts. No two parts of it can
# match the same digits, so a long bad text costs one pass and not their square.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")

MAX_NUMBERS = 4_194_304
"""Of a table; what is larger belongs into a file of arrays."""
MAX_BYTES = 32 * MAX_NUMBERS
"""Of a file of so many, each up to 25 characters and what parts them."""
ENDINGS = (".csv", ".txt")
Table = npt.NDArray[np.float64]


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


def parse_table(rows: Iterable[Sequence[str]]) -> Table:
    """Return rows of one text per number as a matrix; nothing is read behind the first fault.

    Raises ConvError if there is no row, a row is empty or longer or shorter than the first, a text
    is no number (row and column counted from 1), or there are more than 4,194,304 numbers.
    """
    return rectangle(_parse_row(texts, row) for row, texts in enumerate(rows, 1))


def rectangle(rows: Iterable[Sequence[float]]) -> Table:
    """Return rows of numbers as a float64 matrix; errors are those of `parse_table`."""
    table: list[Sequence[float]] = []
    for number, row in enumerate(rows, 1):
        table.append(row)
        if not row:
            raise ConvError(f"row {number} is empty")
        if len(row) != len(table[0]):
            numbers = "1 number" if len(row) == 1 else f"{len(row)} numbers"
            raise ConvError(
                f"row {number} has {numbers}, row 1 has {len(table[0])}; give every row as many"
            )
        if number * len(row) > MAX_NUMBERS:
            raise ConvError(f"more than {MAX_NUMBERS:,} numbers")
    if not table:
        raise ConvError("it holds no numbers")
    return np.array(table, dtype=np.float64)


def lines(text: str) -> Iterator[str]:
    """Yield the lines of a text one by one, whatever ends them, without blank ones at the end."""
    return (line.strip() for line in io.StringIO(text.rstrip(), newline=None))


def text_table(text: str, ending: str) -> Table:
    """Return the table in a text file: numbers split by commas (.csv), or white space (.txt).

    Fractions are taken, and lines that begin with # are comments. Errors are those of
    `parse_table`.
    """
    rows = (line for line in lines(text) if not line.startswith("#"))
    # No further than the limit, so that one endless line cannot fill the memory.
    if ending == ".csv":
        return parse_table(
            [cell.strip() for cell in line.split(",", MAX_NUMBERS)] if line else [] for line in rows
        )
    return parse_table(line.split(None, MAX_NUMBERS) for line in rows)


def table_text(numbers: npt.NDArray[Any], ending: str) -> str:
    """Return the text of such a file: of every number the shortest text that reads back as it."""
    separator = "," if ending == ".csv" else " "
    spelled = format_number if numbers.dtype == np.float64 else _spelled
    return "".join(f"{separator.join(map(spelled, row))}\n" for row in numbers)


def _spelled(value: np.generic) -> str:
    return str(value).removesuffix(".0")


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
