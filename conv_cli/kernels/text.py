"""Numbers and tables of numbers as people type them, for inline matrices and text files alike."""

import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from conv_cli.errors import KernelError
from conv_cli.io.text import shown
from conv_cli.kernels.kernel import MAX_WEIGHTS

# Narrower than float(): no nan, inf, 1_000 or digits of other scripts. No two parts of it can
# match the same digits, so a long bad text costs one pass and not their square.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")

_LONGEST_NAME = 40


def parse_number(text: str) -> float:
    """Return the number that `text` spells: decimal, with exponent, or a fraction such as 1/9.

    Raises
    ------
    ValueError
        If it spells none, divides by zero or is too large for float64; the message is what follows
        "row 1, column 1 is" or "sigma is" in an error.
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


def parse_decimal(text: str) -> float:
    """Return the number that `text` spells without a fraction, as other tools write them.

    Raises
    ------
    ValueError
        If it spells none, or one that is too large for float64.
    """
    if "/" in text:
        raise ValueError(f"{shown(text)}, expected a number without a /")
    return parse_number(text)


def format_number(value: float) -> str:
    """Return the shortest text that reads back as the same float64, whole numbers without a point.

    From 10¹⁵ on an exponent takes the place of zeros.
    """
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(float(value))


def parse_table(rows: Iterable[Sequence[str]], label: str) -> npt.NDArray[np.float64]:
    """Return rows of number texts as a matrix.

    Parameters
    ----------
    rows : iterable of sequences of str
        One text per weight; they are read no further than the first fault.
    label : str
        What errors call the kernel.

    Raises
    ------
    KernelError
        If there is no row, a row is empty or longer or shorter than the first, a text is no number
        (row and column counted from 1), or there are more than 4,194,304 weights.
    """
    parsed = (_parse_row(texts, row, label) for row, texts in enumerate(rows, 1))
    return rectangle(parsed, label)


def rectangle(rows: Iterable[Sequence[float]], label: str) -> npt.NDArray[np.float64]:
    """Return rows of numbers as a float64 matrix; errors are those of `parse_table`."""
    table: list[Sequence[float]] = []
    for number, row in enumerate(rows, 1):
        table.append(row)
        if not row:
            raise KernelError(f"kernel {label}: row {number} is empty")
        if len(row) != len(table[0]):
            raise KernelError(
                f"kernel {label}: row {number} has {_numbers(len(row))}, row 1 has {len(table[0])}"
            )
        if number * len(row) > MAX_WEIGHTS:
            raise KernelError(f"kernel {label}: more than {MAX_WEIGHTS:,} weights")
    if not table:
        raise KernelError(f"kernel {label}: it holds no numbers")
    return np.array(table, dtype=np.float64)


def lines(text: str) -> Iterator[str]:
    """Yield the lines of a text one by one, whatever ends them, without blank ones at the end."""
    return (line.strip() for line in io.StringIO(text.rstrip(), newline=None))


def brief_name(name: str, weights: npt.NDArray[np.float64], kind: str) -> str:
    """Return the name, or for a long one the kind, the size and a digest of the weights."""
    if len(name) <= _LONGEST_NAME:
        return name
    import hashlib

    rows, columns = weights.shape
    return (
        f"{kind}-{rows}x{columns}-{hashlib.blake2b(weights.tobytes(), digest_size=4).hexdigest()}"
    )


def _parse_row(texts: Sequence[str], row: int, label: str) -> list[float]:
    numbers = []
    for column, text in enumerate(texts, 1):
        try:
            numbers.append(parse_number(text))
        except ValueError as error:
            raise KernelError(f"kernel {label}: row {row}, column {column} is {error}") from None
    return numbers


def _decimal(part: str, whole: str) -> float:
    if _NUMBER.fullmatch(part) is None:
        raise ValueError(f"{shown(whole)}, expected a number such as -1, 0.5 or 1/9")
    return float(part)


def _numbers(count: int) -> str:
    return f"{count} number" if count == 1 else f"{count} numbers"
