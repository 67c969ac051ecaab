"""Matrices as people type them: rows split by semicolons, numbers by spaces or commas.

A fault is a ConvError that holds the reason alone.
"""

import os
import re

import numpy as np

from conv_cli.errors import ConvError
from conv_cli.io.tables import Table, parse_number, parse_table

_NUMERIC = frozenset("0123456789+-.eE/,; \t\r\n")
_BESIDE_NUMBERS = _NUMERIC | frozenset("[]")

_GAP = re.compile(r"[^\S\n]+")
# A row ends at a semicolon, wherever the lines break, or at the end of a line.
_ROW_END = re.compile(r" ?(?:\n\s*|;\s*)")
_NUMBER_END = re.compile(r"\s*,\s*|\s+")
_ROW = re.compile(r"\[([^][]*)\]")
_BRACKETED = re.compile(
    r"\[(?:((?:[\s,;]*\[[^][]*\])+)[\s,;]*|([^][]*))\]\s*(?:/\s*(\S+))?", re.DOTALL
)
# A slash with white space beside it, or with nothing after it, divides the whole matrix.
_DIVIDE = re.compile(r"(?<=\s)/|/(?=\s|$)|^/")


def is_matrix(spec: str) -> bool:
    """Tell whether a text is meant as a matrix, if no file has it as its name."""
    if spec.lstrip().startswith("["):
        return True
    has_digit = any(character.isdecimal() for character in spec)
    has_separator = any(character == "," or character.isspace() for character in spec.strip())
    return ";" in spec or (has_digit and (has_separator or _NUMERIC.issuperset(spec)))


def is_typed(name: str) -> bool:
    """Tell whether what stands for an image is a matrix, and no file: as "0 1 2; 3 4 5"."""
    typed = ";" in name or (
        _BESIDE_NUMBERS.issuperset(name) and any(c in " ,[" for c in name.strip())
    )
    return typed and any(c.isdecimal() for c in name) and not os.path.lexists(name)


def parse_matrix(text: str) -> tuple[Table, str]:
    """Return the numbers of a typed matrix, and its text with one space for each gap.

    A divisor at the end divides all of it. Raises ConvError, with row and column from 1.
    """
    squeezed = _without_brackets(_GAP.sub(" ", text).strip())
    matrix, divisor = _split_divisor(squeezed.removesuffix(";"))
    lines = _ROW_END.split(matrix.strip())
    for number, line in enumerate(lines, 1):
        _refuse_mixed(line, number)
    rows = [_NUMBER_END.split(line) if line else [] for line in lines]
    numbers = parse_table(rows)
    name = "; ".join(" ".join(row) for row in rows)
    if divisor is not None:
        name = f"{name} / {divisor}"
        numbers = _divided(numbers, divisor)
    return numbers, name


def _without_brackets(text: str) -> str:
    """Return a matrix of Python's, ``[[1, 2], [3, 4]]``, or MATLAB's, ``[1 2; 3 4]``, plain."""
    if "[" not in text and "]" not in text:
        return text
    if match := _BRACKETED.fullmatch(text):
        rows, body, divisor = match.groups()
        plain = "; ".join(_ROW.findall(rows)) if rows else body
        # Behind a bracket there is no number for it to be a fraction of.
        return plain if divisor is None else f"{plain} / {divisor}"
    raise ConvError(
        "its brackets do not hold rows of numbers; write [[1, 2], [3, 4]], [1 2; 3 4] or 1 2; 3 4"
    )


def _refuse_mixed(line: str, number: int) -> None:
    """Raise ConvError for commas and spaces in one row: they may be rows, or decimal commas."""
    if "," not in line or not any(" " in cell.strip() for cell in line.split(",")):
        return
    parts = re.sub(r"\s*,\s*", ",", line).split()
    commas = {part.count(",") for part in parts}
    if len(commas) == 1:
        advice = f'rows are split by semicolons: write "{"; ".join(parts)}"'
    else:
        row = " ".join(parts).replace(",", " ")
        advice = f'write one row as "{row}", and split rows by semicolons'
    if commas == {1}:
        advice += f', or with decimal points "{" ".join(parts).replace(",", ".")}"'
    raise ConvError(f"row {number} mixes commas with spaces between numbers; {advice}")


def _split_divisor(text: str) -> tuple[str, str | None]:
    parts = _DIVIDE.split(text)
    if len(parts) == 1:
        return text, None
    matrix, divisor = parts[0].strip().removesuffix(";"), parts[-1].strip()
    if len(parts) > 2 or _NUMBER_END.search(divisor) or ";" in divisor:
        raise ConvError(
            "a / with white space beside it divides the whole matrix, so it must stand once, "
            "before one number at the end; write a fraction without spaces, as 1/9"
        )
    return matrix, divisor


def _divided(numbers: Table, divisor: str) -> Table:
    try:
        number = parse_number(divisor)
    except ValueError as error:
        raise ConvError(f"its divisor is {error}") from None
    if number == 0:
        raise ConvError(f"its divisor is {divisor}, expected any other number")
    with np.errstate(over="ignore"):  # whoever takes it says where it is not finite
        return numbers / number
