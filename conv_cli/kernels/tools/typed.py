"""A piece of what a user typed that knows where it stands, so that errors can say so."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from conv_cli.errors import ConvError
from conv_cli.io.tables import parse_number
from conv_cli.io.text import shown

_WORD = re.compile(r"[^\s,;:|()=^]+|\S")
_GAPS = re.compile(r"(?:^|,)\s*,|,\s*$")


class Typed(NamedTuple):
    """A piece of a text: from `start` to `end` of the whole; errors call its kernel `label`."""

    whole: str
    start: int
    end: int
    label: str

    @property
    def text(self) -> str:
        """The piece itself."""
        return self.whole[self.start : self.end]

    @property
    def indent(self) -> int:
        """How much white space the piece begins with."""
        return len(self.text) - len(self.text.lstrip())

    def part(self, start: int, end: int | None = None) -> "Typed":
        """Return the piece from one index of this one to another."""
        last = self.end if end is None else self.start + end
        return self._replace(start=self.start + start, end=last)

    def split(self, separator: str) -> Iterator["Typed"]:
        """Yield the pieces between separators of one character."""
        start = 0
        for text in self.text.split(separator):
            yield self.part(start, start + len(text))
            start += len(text) + 1

    def words(self) -> Iterator["Typed"]:
        """Yield what stands between white space and single commas.

        Raises ConvError if a comma has nothing before or after it.
        """
        text = self.text
        if gap := _GAPS.search(text):
            raise self.fault(gap.end() - 1, "a number beside it")
        for match in re.finditer(r"[^\s,]+", text):
            yield self.part(match.start(), match.end())

    def number(self, expected: str) -> float:
        """Return the number without a / that the whole piece spells, or raise ConvError."""
        try:
            value = parse_number(self.text.strip())
        except ValueError:
            raise self.fault(self.indent, expected) from None
        if "/" in self.text:
            raise self.fault(self.indent, expected)
        return value

    def fault(self, index: int, expected: str) -> ConvError:
        """Return the error that something else was expected at this index of the piece."""
        place = self.start + index
        found = _WORD.match(self.whole, place)
        if found is not None:
            reason = f"character {place + 1} is {shown(found[0])}"
        elif self.whole[place:].strip():
            reason = f"character {place + 1} is a space"
        else:
            reason = f"it ends at character {place + 1}"
        return ConvError(f"{reason}, expected {expected}")
