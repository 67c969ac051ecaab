"""What stdout is, and lines printed to it."""

import io
import os
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from conv_cli.report.kernel_text import Colours


def print_lines(*lines: str) -> None:
    """Print lines; what the encoding of stdout has no characters for becomes a question mark."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    for line in lines:
        click.echo(line)


def terminal_size() -> tuple[int | None, int | None]:
    """Return how many columns and rows a drawing may take; None without a terminal."""
    import shutil

    if not sys.stdout.isatty():
        return None, None
    size = shutil.get_terminal_size()
    return size.columns, max(9, size.lines - 14)


def terminal_colours() -> "Colours":
    """Return how many colours the terminal shows, by the customs of terminals; 0 for none."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return 0
    return 16_777_216 if os.environ.get("COLORTERM") in ("truecolor", "24bit") else 256
