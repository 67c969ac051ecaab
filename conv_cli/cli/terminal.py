"""What stdout is, and lines printed to it."""

import io
import os
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conv_cli.report.kernel_text import Colours

_COLUMNS = 80
"""Where there is no terminal."""


def print_lines(*lines: str) -> None:
    """Print lines; what the encoding of stdout has no characters for becomes a question mark."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    for line in lines:
        click.echo(line)


def table(rows: "Sequence[Sequence[str]]") -> "list[str]":
    """Return rows of cells as lines, every column as wide as its longest cell, to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]


def terminal_size() -> tuple[int, int | None]:
    """Return how many columns and rows a drawing may take: 80 and any without a terminal."""
    import shutil

    if not sys.stdout.isatty():
        return _COLUMNS, None
    size = shutil.get_terminal_size()
    return size.columns, max(9, size.lines - 14)


def hanging(line: str, indent: int) -> list[str]:
    """Return words on lines that fit, those after the first indented; tables stay as they are."""
    import textwrap

    columns = max(40, terminal_size()[0])
    if len(line) <= columns or not line[:indent].strip():
        return [line]
    words = line[indent:]
    wrapped = textwrap.wrap(words, columns - indent, break_long_words=False, break_on_hyphens=False)
    return [line[:indent] + wrapped[0], *(" " * indent + rest for rest in wrapped[1:])]


def terminal_colours() -> "Colours":
    """Return how many colours the terminal shows, by the customs of terminals; 0 for none."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return 0
    return 16_777_216 if os.environ.get("COLORTERM") in ("truecolor", "24bit") else 256
