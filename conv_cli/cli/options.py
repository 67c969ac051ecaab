"""Kinds of option values that commands share.

Values are checked where they are read, so that a wrong one is named with its option. What needs
NumPy is imported then and not before: ``--help`` must not wait for it.
"""

import re
from typing import TYPE_CHECKING, Any

import click

from conv_cli.errors import ConvError

if TYPE_CHECKING:
    from conv_cli.borders import Border
    from conv_cli.kernels.kernel import Kernel

DEFAULT_MAX_PIXELS = 178_956_970


class PairType(click.ParamType):
    """A whole number for both axes, `N`, or one for each, `HxW`; the words given are taken too."""

    name = "pair"

    def __init__(self, least: int, *words: str) -> None:
        self._least, self._words = least, words

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return what help shows."""
        return "|".join((*self._words, "N", "HxW"))

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "str | tuple[int, int]":
        """Return the word or (rows, columns)."""
        if value.lower() in self._words:
            return str(value.lower())
        match = re.fullmatch(r"(\d{1,9})(?:x(\d{1,9}))?", value, re.ASCII | re.IGNORECASE)
        rows, columns = (int(n or match[1]) for n in match.groups()) if match else (-1, -1)
        if min(rows, columns) >= self._least:
            return rows, columns
        expected = [*self._words, f"a whole number from {self._least}"]
        raise click.BadParameter(
            f"{value!r} is not understood; use {', '.join(expected)} or HxW, such as 2x3"
        )


class KernelType(click.ParamType):
    """A KERNEL: a built-in, a matrix, or a file; a set gives several."""

    name = "kernel"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "list[Kernel]":
        """Return the kernels that a name stands for."""
        from conv_cli.kernels.spec import load_kernels

        # Its errors name the kernel, and pass as they are.
        return load_kernels(value)


class BorderType(click.ParamType):
    """A border by name, alias or number."""

    name = "border"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "Border":
        """Return the border of that name."""
        from conv_cli.borders import Border

        try:
            return Border.named(value)
        except ConvError as error:
            raise click.BadParameter(str(error)) from None


class NumberType(click.ParamType):
    """A finite number."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number."""
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if number - number != 0:
            raise click.BadParameter(f"{value!r} is not a finite number")
        return number


class FormatType(click.ParamType):
    """A file format that can be written."""

    name = "format"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the format's own name."""
        from conv_cli.images import format_of

        try:
            return format_of(f"x.{value.lower().lstrip('.')}")
        except ConvError as error:
            reason = str(error).split("; ")[-1]
            raise click.BadParameter(f"{value!r} cannot be written; {reason}") from None
