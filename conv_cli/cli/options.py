"""Options that commands share."""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import click

from conv_cli.cli.kinds import (
    BiasType,
    BorderType,
    ChannelsType,
    Choice,
    FormatType,
    FramesType,
    IntRange,
    NodataType,
    NumberType,
    PairType,
    PlaceType,
    RangeType,
    RegionType,
)

if TYPE_CHECKING:
    from conv_cli.borders import Border
    from conv_cli.colormaps import ColormapName
    from conv_cli.correlation.params import ConvParams
    from conv_cli.kernels.kernel import Kernel, Normalization
    from conv_cli.pipeline.feature_map import Range
    from conv_cli.pipeline.filter import Bias

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
DEFAULT_MAX_PIXELS = 178_956_970


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
    type=ChannelsType(),
    default="each",
    show_default=True,
    help="Filter each channel; or one of grey (0.299 R + 0.587 G + 0.114 B); or that grey, keeping "
    "what the colours differ from it by; or the channels of these numbers, copying the others.",
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
colormap_option = click.option(
    "--colormap",
    type=Choice(["none", "diverging", "viridis"]),
    default="none",
    show_default=True,
    help="Write the map as colours, their scale taken from --range: blue, white and red around "
    "zero, or from dark blue to yellow. With --depth float32 the values are written as they are.",
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
frames_option = click.option(
    "--frames",
    type=FramesType(),
    metavar="first|all|N,...",
    help="Pages of a TIFF, frames of a GIF, PNG, WebP or AVIF, or of an .npy stack: the first, "
    "all, or some, counted from 1.  [default: first]",
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
files_from_option = click.option(
    "--files-from",
    metavar="FILE",
    help="Read more names of images from FILE, one a line or ended by NUL; - for stdin.",
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
cluster_option = click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Run on a Dask cluster whose machines see the same files: tcp://host:8786, the "
    "scheduler's file, or local for one that is started here.",
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


def sliding_params(
    padding: "str | tuple[int, int]",
    border: "Border",
    stride: tuple[int, int],
    dilation: tuple[int, int],
) -> "ConvParams":
    """Return how kernels slide, as the options say it."""
    from conv_cli.correlation.params import ConvParams

    sides: Any = padding
    if not isinstance(padding, str):
        rows, columns = padding
        sides = (rows, rows), (columns, columns)
    return ConvParams(padding=sides, border=border, stride=stride, dilation=dilation)


class Sliding(NamedTuple):
    """What the options say of how a kernel slides, and over what."""

    padding: "str | tuple[int, int]"
    border: "Border"
    stride: tuple[int, int]
    dilation: tuple[int, int]
    convolve: bool
    normalize: "Normalization"
    bias: "Bias | None"
    channels: str | tuple[int, ...]

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
        return sliding_params(self.padding, self.border, self.stride, self.dilation)


class PixelForm(NamedTuple):
    """What the options say of how real values become pixels."""

    range: "Range | None"
    depth: str | None
    white: float | None


class ColouredForm(NamedTuple):
    """`PixelForm`, and which colours these pixels become."""

    range: "Range | None"
    depth: str | None
    white: float | None
    colormap: "ColormapName | Literal['none']"

    @property
    def colours(self) -> "ColormapName | None":
        """The map of colours, None without one.

        Raises BadParameter where they contradict another option.
        """
        if self.colormap == "none":
            return None
        if self.depth == "16":
            raise click.BadParameter(
                "colours have 8 bits; leave out --depth 16, or write the values by --depth float32",
                param_hint="--colormap",
            )
        return self.colormap


class BatchOptions(NamedTuple):
    """What the options say of many images and their files."""

    jobs: int | None
    cluster: str | None
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

coloured_options = as_one(
    "form", ColouredForm, [range_option, depth_option, colormap_option, white_option]
)
"""The command gets ``form: ColouredForm``."""

batch_options = as_one(
    "batch",
    BatchOptions,
    [
        jobs_option, cluster_option, max_pixels_option, force_option,
        skip_existing_option, dry_run_option, as_json_option,
    ],
)  # fmt: skip
"""The command gets ``batch: BatchOptions``."""

telling_options = as_one("telling", Telling, [progress_option, quiet_option])
"""The command gets ``telling: Telling``."""
