"""Options that commands share, and kinds of their values.

Values are checked where they are read, so that a wrong one is named with its option. What needs
NumPy is imported then and not before: ``--help`` must not wait for it.
"""

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from conv_cli.cli.presets import PRESETS
from conv_cli.cli.suggestions import not_known
from conv_cli.errors import ConvError, KernelError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from conv_cli.borders import Border
    from conv_cli.correlation.params import ConvParams
    from conv_cli.kernels.kernel import Kernel, Normalization
    from conv_cli.pipeline.feature_map import Range
    from conv_cli.pipeline.filter import Bias

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
DEFAULT_MAX_PIXELS = 178_956_970
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
    """

    name = "kernel"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "list[Kernel]":
        """Return the kernels that a name stands for."""
        from conv_cli.kernels.spec import kernel_file, load_kernels
        from conv_cli.pipeline.image_kernel import image_kernel, is_image_kernel

        if value.startswith(_LIKE):
            from conv_cli.fitting.like import fitted_kernel

            return [fitted_kernel(value.removeprefix(_LIKE))]
        if ctx is not None and (file := kernel_file(value)):
            ctx.meta.setdefault(_READ, []).append(file)
        try:
            return [image_kernel(value)] if is_image_kernel(value) else load_kernels(value)
        except KernelError as error:  # which names the kernel
            has_preset = ctx is not None and any(p.name == "preset" for p in ctx.command.params)
            if has_preset and value.lower() in PRESETS:
                raise KernelError(f"{error} Or use --preset {value.lower()}") from None
            raise

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


padding_option = click.option(
    "--padding",
    type=PairType(0, "same", "valid", "full"),
    default="same",
    show_default=True,
    help="Pixels added around the image: as many as keep its size, none, as many as any window "
    "can reach, or that many.",
)
border_option = click.option(
    "--border",
    type=BorderType(),
    default="edge",
    show_default=True,
    metavar="edge|zero|reflect|symmetric|wrap|NUMBER",
    help="What these pixels hold: aaa|abcd|ddd, 000|abcd|000, dcb|abcd|cba, cba|abcd|dcb, "
    "bcd|abcd|abc, or a number.",
)
stride_option = click.option(
    "--stride", type=PairType(1), default="1", show_default=True, help="Take every Nth window only."
)
dilation_option = click.option(
    "--dilation",
    type=PairType(1),
    default="1",
    show_default=True,
    help="Spread the kernel's weights N pixels apart.",
)
convolve_option = click.option(
    "--convolve",
    is_flag=True,
    help="Mathematical convolution: turn the kernel by 180°. Without it, cross-correlation as in "
    "neural networks.",
)
normalize_option = click.option(
    "--normalize",
    type=Choice(["none", "sum", "abs"]),
    default="none",
    show_default=True,
    help="Divide the kernel by the sum of its weights, or of their magnitudes.",
)
bias_option = click.option(
    "--bias",
    type=BiasType(),
    metavar="B",
    help="Add B to the result, in the image's own units (0-255 for 8 bits), or with a % a share "
    "of white.  [default: the kernel's own]",
)
channels_option = click.option(
    "--channels",
    type=GreyChoice(["each", "gray"]),
    default="each",
    show_default=True,
    metavar="each|grey",
    help="Filter each channel, or one of grey (0.299 R + 0.587 G + 0.114 B).",
)
range_option = click.option(
    "--range",
    "range",
    type=RangeType(),
    help="How real values become pixels: limit them; drop the sign; add 128; scale around the "
    "middle; scale min...max to all; leave them as floats. signed:99.5 and stretch:99.5 leave out "
    "the rarest values.  [default: clip, raw for floats]",
)
depth_option = click.option(
    "--depth",
    type=Choice(["8", "16", "float32", "float64"]),
    help="Bits of the result.  [default: the input's own; for .npy and .npz float32, or float64 "
    "where that would lose digits]",
)
white_option = click.option(
    "--white",
    type=NumberType(above=0),
    metavar="V",
    help="What white is in pixels of floats, such as 1 or 255. Needed where they become whole "
    "numbers, unless by --range stretch or signed.",
)
origin_option = click.option(
    "--origin",
    type=PlaceType(),
    metavar="ROW,COL",
    help="Which weight of each kernel, as it is given, lies on the output pixel, from 0.  "
    "[default: the kernel's own, mostly the middle]",
)
region_option = click.option(
    "--region",
    type=RegionType(),
    metavar="ROW,COL,HxW",
    help="Make that window of the map alone; what lies around it is the image.",
)
mask_option = click.option(
    "--mask",
    metavar="FILE",
    help="An image of the same size: how much each pixel counts, white in full, black not at all.",
)
nodata_option = click.option(
    "--nodata",
    type=NodataType(example="-9999, or nan"),
    metavar="V|nan",
    help="Pixels of that value have none, and do not count; results of such pixels alone are V "
    "again.  [default: what a GeoTIFF says itself]",
)
file_format_option = click.option(
    "--format",
    "file_format",
    type=FormatType(),
    help="File format.  [default: from the file name, else png]",
)
recursive_option = click.option(
    "-r", "--recursive", is_flag=True, help="Take the images of whole folder trees."
)
max_pixels_option = click.option(
    "--max-pixels",
    type=IntRange(1),
    default=DEFAULT_MAX_PIXELS,
    show_default=True,
    metavar="N",
    help="Refuse larger images before they take memory.",
)
force_option = click.option(
    "-f", "--force", is_flag=True, help="Overwrite existing files, but never an input."
)
jobs_option = click.option(
    "--jobs",
    type=IntRange(1),
    metavar="N",
    help="Threads in all; the pixels are the same for every N.  [default: all cores]",
)
skip_existing_option = click.option(
    "--skip-existing", is_flag=True, help="Leave out results whose file is there."
)
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Print what would be written, with shapes."
)
as_json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object a result."
)
progress_option = click.option(
    "--progress/--no-progress", default=None, help="Show a progress bar.  [default: on a terminal]"
)
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print errors only.")


class Sliding(NamedTuple):
    """What the options say of how a kernel slides, and over what."""

    padding: "str | tuple[int, int]"
    border: "Border"
    stride: tuple[int, int]
    dilation: tuple[int, int]
    convolve: bool
    normalize: "Normalization"
    bias: "Bias | None"
    channels: str

    def prepared(
        self, kernels: "Iterable[Kernel]", origin: tuple[int, int] | None = None
    ) -> "tuple[Kernel, ...]":
        """Return kernels as they slide: their origin moved, normalized, flipped for a convolution.

        Raises KernelError for a kernel that lacks the origin, or sums to zero.
        """
        if origin is not None:
            kernels = (replace(kernel, origin=origin) for kernel in kernels)
        normalized = (kernel.normalized(self.normalize) for kernel in kernels)
        return tuple(kernel.flipped() if self.convolve else kernel for kernel in normalized)

    @property
    def params(self) -> "ConvParams":
        """How they slide."""
        from conv_cli.correlation.params import ConvParams

        padding: Any = self.padding
        if not isinstance(padding, str):
            rows, columns = padding
            padding = (rows, rows), (columns, columns)
        return ConvParams(
            padding=padding, border=self.border, stride=self.stride, dilation=self.dilation
        )


class PixelForm(NamedTuple):
    """What the options say of how real values become pixels."""

    range: "Range | None"
    depth: str | None
    white: float | None


class BatchOptions(NamedTuple):
    """What the options say of many images and their files."""

    jobs: int | None
    max_pixels: int
    force: bool
    skip_existing: bool
    dry_run: bool
    as_json: bool


class Telling(NamedTuple):
    """What the options say of what goes to stderr."""

    progress: bool | None
    quiet: bool

    @property
    def shows_bar(self) -> bool:
        """Whether long work shows a bar: on a terminal, if nothing else is said."""
        if self.progress is not None:
            return self.progress
        return not self.quiet and sys.stderr is not None and sys.stderr.isatty()


def as_one(name: str, make: type[Any], options: Sequence[Decorator]) -> Decorator:
    """Return a decorator that gives a command several options as one value."""
    fields: tuple[str, ...] = make._fields

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def with_value(*args: Any, **values: Any) -> Any:
            own = {field: values.pop(field) for field in fields}
            return command(*args, **values, **{name: make(**own)})

        decorated: Callable[..., Any] = with_value
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


sliding_options = as_one(
    "sliding",
    Sliding,
    [
        padding_option, border_option, stride_option, dilation_option,
        convolve_option, normalize_option, bias_option, channels_option,
    ],
)  # fmt: skip
"""The command gets ``sliding: Sliding``."""

pixel_options = as_one("form", PixelForm, [range_option, depth_option, white_option])
"""The command gets ``form: PixelForm``."""

batch_options = as_one(
    "batch",
    BatchOptions,
    [
        jobs_option, max_pixels_option, force_option,
        skip_existing_option, dry_run_option, as_json_option,
    ],
)  # fmt: skip
"""The command gets ``batch: BatchOptions``."""

telling_options = as_one("telling", Telling, [progress_option, quiet_option])
"""The command gets ``telling: Telling``."""
