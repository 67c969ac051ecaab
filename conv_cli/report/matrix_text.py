"""A matrix of numbers as text: aligned, and read back as it is."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt


def matrix_lines(values: npt.NDArray[Any]) -> Iterator[str]:
    """Yield the rows of a matrix (H, W), or of each channel of (H, W, C), an empty line between."""
    planes = values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0)
    for number, plane in enumerate(planes):
        if number:
            yield ""
        cells = [[number_text(value) for value in row] for row in plane.tolist()]
        width = max(len(cell) for row in cells for cell in row)
        for row in cells:
            yield " ".join(cell.rjust(width) for cell in row)


def number_text(value: float) -> str:
    """Return a number with at most seven digits, zero without a sign."""
    return f"{value + 0.0:.7g}"
