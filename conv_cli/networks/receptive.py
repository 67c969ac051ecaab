"""Receptive fields: which pixels of the input one output pixel sees.

Layer after layer, with r the size of the field, j the jump between the fields of neighbours and s
the place where the first begins (Araujo, Norris & Sim 2019, "Computing receptive fields of
convolutional neural networks")::

    r' = r + (window - 1)·j        j' = j·stride        s' = s - padding·j
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from conv_cli.borders import Span
from conv_cli.correlation.params import Pair
from conv_cli.networks.layer import Window


@dataclass(frozen=True)
class Field:
    """The receptive field of the output of a stack of windows.

    size : (rows, columns). Of the input that one output pixel sees.
    jump : (rows, columns). From the field of one output pixel to that of the next.
    start : (row, column). Where the field of output pixel (0, 0) begins; negative in the padding.
    """

    size: Pair = (1, 1)
    jump: Pair = (1, 1)
    start: Pair = (0, 0)

    def through(self, window: Window) -> "Field":
        """Return the field after one more layer."""
        spans, params = window.span, window.params
        down, across = (
            (r + (w - 1) * j, j * stride, s - before * j)
            for r, j, s, w, stride, (before, _) in zip(
                self.size, self.jump, self.start, spans, params.stride, params.margins, strict=True
            )
        )
        return Field(*zip(down, across, strict=True))

    def of(self, row: int, column: int) -> tuple[Span, Span]:
        """Return the rows and columns [start, stop) that an output pixel sees, padding too."""
        rows, columns = (
            (s + place * j, s + place * j + r)
            for place, r, j, s in zip((row, column), self.size, self.jump, self.start, strict=True)
        )
        return rows, columns


def fields(windows: Sequence[Window]) -> list[Field]:
    """Return the receptive field after each of several windows."""
    found = []
    field = Field()
    for window in windows:
        field = field.through(window)
        found.append(field)
    return found


class PixelField(NamedTuple):
    """What one output pixel sees of an input.

    layer : int. Whose output; counted from 1.
    row, column : int. The output pixel.
    rows, columns : (start, stop). Of the input; beyond its ends lies the padding.
    size : (rows, columns). Of the input.
    """

    layer: int
    row: int
    column: int
    rows: Span
    columns: Span
    size: Pair

    @property
    def inside(self) -> tuple[Span, Span]:
        """The rows and columns [start, stop) that lie in the input; there may be none."""
        rows, columns = (
            (min(max(start, 0), n), min(max(stop, 0), n))
            for (start, stop), n in zip((self.rows, self.columns), self.size, strict=True)
        )
        return rows, columns

    def as_dict(self) -> dict[str, Any]:
        """Return what ``--json`` prints: first and last row and column."""
        return {
            "layer": self.layer,
            "row": self.row,
            "column": self.column,
            "rows": [self.rows[0], self.rows[1] - 1],
            "columns": [self.columns[0], self.columns[1] - 1],
        }

    def __str__(self) -> str:
        rows, columns = (f"{start} to {stop - 1}" for start, stop in (self.rows, self.columns))
        padded = "" if self.inside == (self.rows, self.columns) else ", the padding among them"
        return (
            f"layer {self.layer}, row {self.row}, column {self.column} sees rows {rows} and "
            f"columns {columns} of the input{padded}"
        )
