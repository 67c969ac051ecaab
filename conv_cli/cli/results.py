"""What a person must know of a map that was made."""

import math
from collections.abc import Iterator
from typing import Protocol


class Result(Protocol):
    """A map that was made, of any command."""

    @property
    def image(self) -> str:
        """The input."""

    @property
    def output(self) -> str | None:
        """Where the map is."""

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Of its pixels."""

    @property
    def min(self) -> float | None:
        """The least value before the range."""

    @property
    def max(self) -> float | None:
        """The greatest."""

    @property
    def clipped(self) -> float | None:
        """The share of values that the range had to limit."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What reading and writing had to say."""


def size(result: Result) -> str:
    """Return the shape of a map, as 20x31."""
    return "x".join(map(str, result.shape or ()))


def words(result: Result) -> Iterator[str]:
    """Yield what is to be said, line by line."""
    for note in result.notes:
        yield f"{result.image}: {note}"
    if result.clipped:
        share, low, high = result.clipped, result.min, result.max
        count = round(share * math.prod(result.shape or ()))
        yield (
            f"{result.output}: {count:,} values clipped ({share * 100:.3g} %), the true range is "
            f"{low:g} to {high:g}; to keep them use --range signed, abs, shift or stretch"
        )
