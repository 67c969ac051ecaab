"""Kinds of values that options and arguments take.

Values are checked where they are read, so that a wrong one is named with its option. What needs
NumPy is imported then and not before: ``--help`` must not wait for it.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from conv_cli.cli.presets import PRESETS
from conv_cli.cli.suggestions import not_known
from conv_cli.errors import ConvError, KernelError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from conv_cli.borders import Border
    from conv_cli.images import FrameChoice
    from conv_cli.kernels.kernel import Kernel
    from conv_cli.pipeline.feature_map import Range
    from conv_cli.pipeline.filter import Bias

_LIKE = "like:"
_READ = "conv_cli.kernel_files"


def completed(words: Iterable[str], incomplete: str) -> "list[CompletionItem]":
    """Return the words that begin like what is typed, for the shell to offer."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(word) for word in words if word.startswith(incomplete.lower())]


class PairType(click.ParamType):
    """A whole number for both axes, `N`, or one for each, `HxW`; the words given are taken too."""

    name = "pair"

    def __init__(self, least: int, *words: str) -> None:
        self._least, self._words = least, words

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return what help shows."""
        return "|".join((*self._words, "N", "HxW"))

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem]":
        """Return the words, and a few sizes."""
        sizes = (str(max(self._least, n)) for n in (1, 2, 3, 5))
        return completed((*self._words, *sizes, "3x3", "3x5"), incomplete)

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
    """A KERNEL: a built-in, a matrix, a file, or what fit finds; a set gives several.

    Files that kernels are read from are inputs, and as such protected from being written.

    by_channel : bool. One that differs from channel to channel is taken too.
    """

    name = "kernel"

    def __init__(self, *, by_channel: bool = False) -> None:
        self._by_channel = by_channel

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "list[Kernel]":
        """Return the kernels that a name stands for."""
        from conv_cli.kernels.catalogue import built_in, is_built_in

        if is_built_in(value):  # before what reads files, which takes time to load
            return built_in(value)
        from conv_cli.kernels.spec import kernel_file, load_kernels
        from conv_cli.pipeline.image_kernel import image_kernel, is_image_kernel

        if value.startswith(_LIKE):
            from conv_cli.fitting.like import fitted_kernel

            return [fitted_kernel(value.removeprefix(_LIKE))]
        if ctx is not None and (file := kernel_file(value)):
            ctx.meta.setdefault(_READ, []).append(file)
        try:
            found = [image_kernel(value)] if is_image_kernel(value) else load_kernels(value)
        except KernelError as error:  # which names the kernel
            has_preset = ctx is not None and any(p.name == "preset" for p in ctx.command.params)
            if has_preset and value.lower() in PRESETS:
                raise KernelError(f"{error} Or use --preset {value.lower()}") from None
            raise
        if not self._by_channel:
            from conv_cli.kernels.learned import require_one

            require_one(found)
        return found

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem]":
        """Return the built-ins and parameters that begin so, else let the shell offer files."""
        from click.shell_completion import CompletionItem

        from conv_cli.kernels.catalogue import CATALOGUE, parameter_names

        name, colon, typed = incomplete.lower().rpartition(":")
        if colon and name in CATALOGUE:
            before, comma, last = typed.rpartition(",")
            stem = f"{name}:{before}{comma}"
            return completed((f"{stem}{each}=" for each in parameter_names(name)), stem + last)
        names = [
            CompletionItem(name, help=entry.summary)
            for name, entry in CATALOGUE.items()
            if name.startswith(incomplete.lower())
        ]
        return names or [CompletionItem(incomplete, type="file")]


def kernel_files(ctx: click.Context) -> tuple[str, ...]:
    """Return the files that the kernels of a command were read from."""
    return tuple(ctx.meta.get(_READ, ()))


class BorderType(click.ParamType):
    """A border by name, alias or number."""

    name = "border"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "Border":
        """Return the border of that name."""
        from conv_cli.borders import NAMES, Border

        try:
            return Border.named(value)
        except ConvError:
            raise click.BadParameter(not_known(value, (*NAMES, "a number"))) from None

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem]":
        """Return the borders that have a name."""
        from conv_cli.borders import ALIASES, NAMES

        return completed((*NAMES, *ALIASES, "0", "255"), incomplete)


class NumberType(click.ParamType):
    """A finite number, within limits if there are any.

    example : str. A number to name where none is given.
    """

    name = "number"

    def __init__(
        self,
        above: float | None = None,
        at_least: float | None = None,
        at_most: float | None = None,
        example: str = "0.5",
    ) -> None:
        self._above, self._at_least, self._at_most = above, at_least, at_most
        self._example = example

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number."""
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if number - number != 0:
            raise click.BadParameter(
                f"{value!r} is not a finite number; give one, as {self._example}"
            )
        if self._above is not None and number <= self._above:
            raise click.BadParameter(
                f"{value!r} is not above {self._above:g}; give one that is, as {self._example}"
            )
        if self._at_least is not None and number < self._at_least:
            raise click.BadParameter(
                f"{value!r} is below {self._at_least:g}; give one that is not, as {self._example}"
            )
        if self._at_most is not None and number > self._at_most:
            raise click.BadParameter(
                f"{value!r} is above {self._at_most:g}; give one that is not, as {self._example}"
            )
        return number


class NodataType(NumberType):
    """A number that stands for no value, or nan."""

    name = "nodata"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number."""
        if str(value).strip().lower() == "nan":
            return float("nan")
        return super().convert(value, param, ctx)


class IntRange(click.IntRange):
    """A whole number between limits."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        try:
            return int(super().convert(value, param, ctx))
        except click.BadParameter:
            limits = f"from {self.min}" + ("" if self.max is None else f" to {self.max}")
            raise click.BadParameter(
                f"{str(value)!r} is not understood; give a whole number {limits}"
            ) from None


class Choice(click.Choice[str]):
    """One of some words."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the word."""
        try:
            return str(super().convert(value, param, ctx))
        except click.BadParameter:
            raise click.BadParameter(not_known(value, self.choices)) from None


class GreyChoice(Choice):
    """Some words, of which "gray" may be spelled in English too."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the word."""
        return super().convert(value.lower().replace("grey", "gray"), param, ctx)


class ChannelsType(click.ParamType):
    """A word for all channels, or some by their numbers, from 1."""

    name = "channels"
    _WORDS = ("each", "gray", "luma")

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return what help shows."""
        return "each|grey|luma|1,3"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem]":
        """Return the words, and a few numbers."""
        return completed((*self._WORDS, "grey", "1", "1,3"), incomplete)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "str | tuple[int, ...]":
        """Return the word or the numbers."""
        if not isinstance(value, str):
            return tuple(value)
        word = value.lower().replace("grey", "gray")
        if word in self._WORDS:
            return word
        numbers = [number.strip() for number in value.split(",")]
        if all(re.fullmatch(r"[1-9]\d{0,5}", number, re.ASCII) for number in numbers):
            return tuple(sorted(set(map(int, numbers))))
        raise click.BadParameter(not_known(value, (*self._WORDS, "numbers from 1 as 1,3")))


class RangeType(click.ParamType):
    """A range, with the percentile of those that take one."""

    name = "range"
    _NAMES = ("clip", "abs", "shift", "signed", "stretch", "raw")

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return what help shows."""
        return "clip|abs|shift|signed[:P]|stretch[:P]|raw"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "Range":
        """Return the range."""
        from conv_cli.pipeline.feature_map import Range

        name, colon, share = value.lower().partition(":")
        if name not in self._NAMES:
            raise click.BadParameter(not_known(value, self._NAMES))
        if not colon:
            return Range(name)
        if name not in ("signed", "stretch"):
            raise click.BadParameter(
                f"{value!r}: {name} takes no percentile; use signed:{share} or stretch:{share}"
            )
        try:
            percentile = float(share)
        except ValueError:
            percentile = float("nan")
        if not 0 < percentile <= 100:
            raise click.BadParameter(
                f"{value!r}: a percentile is above 0 and at most 100; use {name}:99.5"
            )
        return Range(name, percentile)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem]":
        """Return the ranges that begin like what is typed."""
        return completed((*self._NAMES, "signed:99.5", "stretch:99.5"), incomplete)


class BiasType(click.ParamType):
    """A finite number in the image's units, or with a % behind it a share of white."""

    name = "bias"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "Bias":
        """Return the bias."""
        from conv_cli.pipeline.filter import Bias

        read = NumberType(example="128, or 50% of white")
        number = read.convert(value.removesuffix("%"), param, ctx)
        return Bias(number / 100, of_white=True) if value.endswith("%") else Bias(number)


class FormatType(click.ParamType):
    """A file format that can be written; the words given are taken too."""

    name = "format"

    def __init__(self, *words: str) -> None:
        self._words = words

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the format's own name."""
        from conv_cli.images import format_of

        if value.lower() in self._words:
            return str(value.lower())
        try:
            return format_of(f"x.{value.lower().lstrip('.')}")
        except ConvError as error:
            reason = str(error).split("; ")[-1]
            raise click.BadParameter(f"{value!r} cannot be written; {reason}") from None


class PlaceType(click.ParamType):
    """A pixel: ROW,COL, both from 0."""

    name = "place"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Return (row, column)."""
        match = re.fullmatch(r"\s*(\d{1,9})\s*,\s*(\d{1,9})\s*", value, re.ASCII)
        if match is None:
            raise click.BadParameter(f"{value!r} is not understood; use ROW,COL from 0, as 10,20")
        return int(match[1]), int(match[2])


class FramesType(click.ParamType):
    """Frames: first, all, or numbers from 1."""

    name = "frames"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "FrameChoice":
        """Return "all", or the numbers in their order, each once."""
        word = value.strip().lower()
        if word == "all":
            return "all"
        if word == "first":
            return (1,)
        if re.fullmatch(r"0*[1-9]\d{0,8}(\s*,\s*0*[1-9]\d{0,8})*", word, re.ASCII) is None:
            raise click.BadParameter(
                f"{value!r} is not understood; use first, all, or numbers from 1, as 1,3"
            )
        return tuple(sorted({int(number) for number in word.split(",")}))


class ShiftType(click.ParamType):
    """A shift: ROW,COL, both of either sign."""

    name = "shift"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Return (rows, columns)."""
        match = re.fullmatch(r"\s*([+-]?\d{1,9})\s*,\s*([+-]?\d{1,9})\s*", value, re.ASCII)
        if match is None:
            raise click.BadParameter(f"{value!r} is not understood; use ROW,COL, as 1,1 or 0,-2")
        return int(match[1]), int(match[2])


class RegionType(click.ParamType):
    """A window: ROW,COL,HxW, row and column from 0."""

    name = "region"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int, int, int]:
        """Return (row, column, rows, columns)."""
        match = re.fullmatch(
            r"\s*(\d{1,9})\s*,\s*(\d{1,9})\s*,\s*([1-9]\d{0,8})x([1-9]\d{0,8})\s*",
            value, re.ASCII | re.IGNORECASE,
        )  # fmt: skip
        if match is None:
            raise click.BadParameter(
                f"{value!r} is not understood; use ROW,COL,HxW, as 10,20,100x200"
            )
        return int(match[1]), int(match[2]), int(match[3]), int(match[4])


class ShapeType(click.ParamType):
    """Channels, rows and columns: CxHxW."""

    name = "shape"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int, int]:
        """Return (channels, rows, columns)."""
        match = re.fullmatch(
            r"([1-9]\d{0,8})x([1-9]\d{0,8})x([1-9]\d{0,8})", value, re.ASCII | re.IGNORECASE
        )
        if match is None:
            raise click.BadParameter(
                f"{value!r} is not understood; use channels, rows and columns, as 3x480x640"
            )
        return int(match[1]), int(match[2]), int(match[3])


class SizeType(click.ParamType):
    """Rows and columns of an image: HxW."""

    name = "size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Return (rows, columns)."""
        match = re.fullmatch(r"([1-9]\d{0,5})x([1-9]\d{0,5})", value, re.ASCII | re.IGNORECASE)
        if match is None:
            raise click.BadParameter(f"{value!r} is not understood; use rows and columns, as 8x10")
        return int(match[1]), int(match[2])


class LayerType(click.ParamType):
    """Layers, by their number or by one of the words given."""

    name = "layer"

    def __init__(self, *words: str) -> None:
        self._words = words

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return what help shows."""
        return "|".join((*self._words, "N"))

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "str | int":
        """Return the word or the number."""
        if value in self._words:
            return str(value)
        if value.isdecimal() and value.isascii() and len(value) < 7:
            return int(value)
        expected = ", ".join(self._words)
        raise click.BadParameter(f"{value!r} is not understood; use {expected} or a number from 1")
