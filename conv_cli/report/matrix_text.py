"""A matrix of numbers as text: aligned, and read back as it is."""

from collections.abc import Iterator, Sequence


def matrix_lines(rows: Sequence[Sequence[float]]) -> Iterator[str]:
    """Yield the rows of a matrix, its columns aligned at the right."""
    cells = [[number_text(value) for value in row] for row in rows]
    width = max(len(cell) for row in cells for cell in row)
    for row in cells:
        yield " ".join(cell.rjust(width) for cell in row)


def number_text(value: float) -> str:
    """Return a number with at most seven digits, zero without a sign."""
    return f"{value + 0.0:.7g}"
