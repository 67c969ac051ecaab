"""A piece of what a user typed that knows where it stands, so that errors can say so."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from conv_cli.errors import KernelError
from conv_cli.kernels.text import parse_decimal, shown

_WORD = re.compile(r"[^\s,;:|()=^]+|\S")
_GAPS = re.compile(r"(?:^|,)\s*,|,\s*$")


class Typed(NamedTuple):
    """A piece of text, and how many characters of the whole stand before it.

    Attributes
    ----------
    text : str
    before : int
    label : str
        What errors call the kernel.
    """

    text: str
    before: int
    label: str

    def part(self, start: int, end: int | None = None) -> "Typed":
        """Return the piece from one index to another."""
        return Typed(self.text[start:end], self.before + start, self.label)

    def split(self, separator: str) -> Iterator["Typed"]:
        """Yield the pieces between separators of one character."""
        start = 0
        for text in self.text.split(separator):
            yield Typed(text, self.before + start, self.label)
            start += len(text) + 1

    def words(self) -> Iterator["Typed"]:
        """Yield what stands between white space and single commas.

        Raises
        ------
        KernelError
            If a comma has nothing before or after it.
        """
        if gap := _GAPS.search(self.text):
            raise self.fault(gap.end() - 1, "a number beside it")
        for match in re.finditer(r"[^\s,]+", self.text):
            yield self.part(match.start(), match.end())

    def number(self, expected: str) -> float:
        """Return the decimal number that the whole piece spells, or raise KernelError."""
        try:
            return parse_decimal(self.text.strip())
        except ValueError:
            raise self.fault(self._first, expected) from None

    @property
    def _first(self) -> int:
        return len(self.text) - len(self.text.lstrip())

    def fault(self, index: int, expected: str) -> KernelError:
        """Return the error that something else was expected from this index on."""
        found = _WORD.match(self.text, index)
        place = self.before + index + 1
        if found is None:
            reason = f"it ends at character {place}"
        else:
            reason = f"character {place} is {shown(found[0])}"
        return KernelError(f"kernel {self.label}: {reason}, expected {expected}")
