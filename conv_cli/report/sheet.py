"""A sheet: pictures side by side, each with its name and range. What is on it, and where."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from conv_cli.pipeline.looks import Look

MOST_CELLS = 1200
"""Pictures of a sheet; it would be no help to look at more."""
_MOST_VALUES = 4 << 20
"""Of all pictures of a page together, so that it stays below some ten megabytes."""
_BOXES = ((6, 440), (12, 340), (30, 256), (100, 200))
"""Up to so many pictures, the pixels of the side of each."""
_LEAST_BOX, _LARGEST = 160, 512
_ENLARGED = 16
"""Pixels of the side of one that is enlarged, or more where that leaves a picture tiny."""
_CAPTION = 0.25
"""Of the width of a picture, about."""
_ASPECT = 1.5
"""Of a sheet: its width by its height, about."""


class Group(NamedTuple):
    """What belongs together on a sheet: an image and its maps, the maps of a layer, a bank.

    title : str, "" without one. Stands above.
    looks : the pictures, in order.
    """

    title: str
    looks: tuple[Look, ...]


class Sheet(NamedTuple):
    """What is on a sheet.

    title : str
    groups : each begins a line of its own.
    """

    title: str
    groups: tuple[Group, ...]

    @property
    def size(self) -> int:
        """How many pictures it has."""
        return sum(len(group.looks) for group in self.groups)

    def fitting(self, path: str) -> "Sheet":
        """Return it with every picture reduced to what a file of that name has room for."""
        side = look_side(self.size, path)
        groups = (
            group._replace(looks=tuple(look.within(side) for look in group.looks))
            for group in self.groups
        )
        return self._replace(groups=tuple(groups))


def box_side(sheet: Sheet) -> int:
    """Return the side of the square that its pictures fit into, less for small ones."""
    largest = max(max(look.values.shape[:2]) for group in sheet.groups for look in group.looks)
    return min(_box_side(sheet.size), max(_LEAST_BOX, _ENLARGED * largest))


def _box_side(count: int) -> int:
    return next((side for most, side in _BOXES if count <= most), _LEAST_BOX)


def look_side(count: int, path: str) -> int:
    """Return the rows and columns that each of so many pictures of a sheet keeps at most.

    path : str. Of the sheet: a page has room for more, as its pictures can be enlarged.
    """
    count = max(1, min(count, MOST_CELLS))
    if not path.lower().endswith(".html"):
        return _box_side(count)
    return min(_LARGEST, math.isqrt(_MOST_VALUES // count))


def columns_of(sheet: Sheet) -> int:
    """Return how many pictures stand side by side, for a sheet that is about 3 wide and 2 high.

    Of two numbers that make it so, the one that leaves fewer places empty.
    """
    sizes = [len(group.looks) for group in sheet.groups]
    shapes = [look.size for group in sheet.groups for look in group.looks]
    height = sum(min(rows / columns, 2.0) for rows, columns in shapes) / len(shapes) + _CAPTION

    def strangeness(columns: int) -> float:
        lines = sum(-(-size // columns) for size in sizes)
        empty = sum(-size % columns for size in sizes if size > columns)
        shape = columns / (lines * height)
        return abs(math.log(shape / _ASPECT)) + empty / (2 * lines * columns)

    return min(range(1, max(sizes) + 1), key=strangeness)


def lines_of(looks: Sequence[Look], columns: int) -> Iterator[Sequence[Look]]:
    """Yield pictures by the line that they stand in."""
    for start in range(0, len(looks), columns):
        yield looks[start : start + columns]


def number(value: float) -> str:
    """Return a value as captions write it: in four digits, what is large to the next whole."""
    if (value.is_integer() or abs(value) >= 1000) and abs(value) < 1e7:
        return f"{value:.0f}"
    return f"{value:.4g}"


def range_words(look: Look) -> str:
    """Return the least and the greatest value of a picture."""
    if math.isnan(look.low):
        return "no values"
    return f"{number(look.low)} to {number(look.high)}{look.note}"


def colour_words(look: Look) -> str:
    """Return what its colours mean."""
    if not look.has_scale:
        return "in its own colours" if look.values.ndim == 3 else "all grey"
    ends = {
        "diverging": ("blue", "red"), "viridis": ("dark blue", "yellow"), "grey": ("black", "white")
    }[look.scale.colormap]  # fmt: skip
    middle = ", white 0" if look.scale.colormap == "diverging" else ""
    low, high = number(look.scale.low), number(look.scale.high)
    return f"from {ends[0]} {low} to {ends[1]} {high}{middle}"
