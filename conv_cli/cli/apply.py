"""conv-cli apply: every kernel on every image."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from conv_cli.cli import boundary
from conv_cli.cli.command import Command
from conv_cli.cli.kinds import Choice, FormatType, IntRange, KernelType, kernel_files
from conv_cli.cli.options import (
    BatchOptions,
    ColouredForm,
    Sliding,
    Telling,
    as_one,
    batch_options,
    coloured_options,
    files_from_option,
    frames_option,
    mask_option,
    nodata_option,
    origin_option,
    recursive_option,
    region_option,
    sliding_options,
    telling_options,
)
from conv_cli.cli.presets import PRESETS, use
from conv_cli.cli.running import found_inputs, inputs_with_frames, require_images, run_batch
from conv_cli.cli.sheets import SheetFile, sheet_option
from conv_cli.cli.suggestions import refuse_strays, row_notes

if TYPE_CHECKING:
    from conv_cli.cli.presets import Preset
    from conv_cli.images import FrameChoice
    from conv_cli.kernels.kernel import Kernel
    from conv_cli.pipeline.feature_map import CombineName
    from conv_cli.pipeline.filter import Filter
    from conv_cli.pipeline.jobs import Destination

EPILOG = """\b
A KERNEL is
  a name    sobel-x, gaussian:2, gaussian:sigma=2,size=13
  a matrix  "1 0 -1; 2 0 -2; 1 0 -1", "1 2 1; 2 4 2; 1 2 1 / 16"
  a file    edge.json .csv .txt .npy .npz .mat; @edge where it could be a name
  a picture psf.png: its grey values by their sum
  a pair    like:BEFORE,AFTER: what fit finds between two images
  a string  of another tool: imagemagick:3x3:..., gmic:(...), ffmpeg:@FILE

\b
Examples
  The edges of a photograph:
    conv-cli apply photo.jpg --preset edges -o edges.png
  A folder, blurred, every picture in its own format:
    conv-cli apply photos/ -k gaussian:3 --format same -o blurred/
  Negative values seen as well, grey being zero:
    conv-cli apply photo.jpg -k laplacian --range signed -o laplacian.png
"""


class Writing(NamedTuple):
    """What the options say of the files that are written."""

    output: str | None
    name: str
    show: bool
    sheet: str | None
    file_format: str | None
    quality: int | None
    compress: bool


writing_options = as_one(
    "writing",
    Writing,
    [
        click.option(
            "-o", "--output", metavar="PATH",
            help="A file for one image and one map, a folder for more, - for stdout.",
        ),
        click.option(
            "--name", default="{stem}.{kernel}{ext}", show_default=True, metavar="TEMPLATE",
            help="Names of files in the output folder; also {suffix} and {dir} of the image, "
            "{index}, which counts the kernels, and {frame}.",
        ),
        click.option(
            "--show", is_flag=True,
            help="Draw each image and its map in the terminal; -o may be left out.",
        ),
        sheet_option("Besides, or without -o: every image and its maps"),
        click.option(
            "--format", "file_format", type=FormatType("same"),
            help="File format; same: that of the image.  [default: from the file name, else png]",
        ),
        click.option(
            "--quality", type=IntRange(1, 100), metavar="N",
            help="Of JPEG, WebP and AVIF, 1 to 100.  [default: of a JPEG from a JPEG its own, else "
            "95; WebP without loss]",
        ),
        click.option(
            "--compress", is_flag=True,
            help="Take longer for the smallest files (PNG, TIFF, WebP, JPEG).",
        ),
    ],
)  # fmt: skip
"""The command gets ``writing: Writing``."""


class Filtering(NamedTuple):
    """What the options say of the values of a map, besides the way that kernels slide."""

    origin: tuple[int, int] | None
    region: tuple[int, int, int, int] | None
    alpha: str
    mask: str | None
    nodata: float | None
    linear: bool
    combine: "CombineName | None"

    def rule(
        self, kernels: "Sequence[Kernel]", sliding: Sliding, white: float | None, max_pixels: int
    ) -> "Filter":
        """Return what is to be done to an image."""
        from conv_cli.correlation.problem import Region
        from conv_cli.kernels.learned import manner_of
        from conv_cli.pipeline.filter import Filter
        from conv_cli.pipeline.weights import read_mask

        if self.region is not None:
            _check_region(sliding)
            row, column, height, width = self.region
        manner = manner_of(kernels)
        if self.region is not None and manner.stride != (1, 1):
            raise click.BadParameter(
                f"is a window of a map of the image's size, and {kernels[0].name} has a stride of "
                f"{manner.stride[0]}x{manner.stride[1]}; leave it out",
                param_hint="--region",
            )
        slid = sliding.prepared(kernels, self.origin)
        if self.combine == "angle" and len(slid) != 2:
            raise click.BadParameter(
                f"angle is of two maps, x and y, and there are {len(slid)}; give two kernels, as "
                "-k sobel",
                param_hint="--combine",
            )
        return Filter(
            slid,
            sliding.params,
            bias=sliding.bias,
            gray=sliding.channels == "gray",
            luma=sliding.channels == "luma",
            only=() if isinstance(sliding.channels, str) else sliding.channels,
            filter_alpha=self.alpha == "filter",
            linear=self.linear,
            combine=self.combine,
            white=white,
            mask=read_mask(self.mask, max_pixels, windows=True) if self.mask else None,
            nodata=self.nodata,
            region=Region((row, row + height), (column, column + width)) if self.region else None,
        ).following(manner)


filtering_options = as_one(
    "filtering",
    Filtering,
    [
        origin_option,
        region_option,
        click.option(
            "--alpha", type=Choice(["keep", "filter"]), default="keep", show_default=True,
            help="Copy the opacity and let it weigh the colours, or filter it like a colour.",
        ),
        mask_option,
        nodata_option,
        click.option(
            "--linear", is_flag=True,
            help="Work in linear light: sRGB decoded before, encoded after.",
        ),
        click.option(
            "--combine", type=Choice(["magnitude", "max", "sum", "mean", "angle"]),
            help="Make one map of all kernels; angle: of two, in degrees, -180 to 180.",
        ),
    ],
)  # fmt: skip
"""The command gets ``filtering: Filtering``."""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("images", nargs=-1, metavar="IMAGES...")
@click.option(
    "-k",
    "--kernel",
    "kernels",
    type=KernelType(by_channel=True),
    multiple=True,
    metavar="KERNEL",
    help="What slides over the image; repeat it for more maps. See below.",
)
@click.option(
    "-p",
    "--preset",
    type=Choice(list(PRESETS)),
    callback=use,
    is_eager=True,
    help="Kernels and options that go together; what is given beside them goes before. See "
    "'conv-cli guide presets'.",
)
@writing_options
@sliding_options
@filtering_options
@coloured_options
@frames_option
@recursive_option
@files_from_option
@batch_options
@click.option("--explain", is_flag=True, help="Print the strategy of each result, and why.")
@telling_options
def apply(
    images: tuple[str, ...],
    kernels: "tuple[list[Kernel], ...]",
    preset: "Preset | None",
    writing: Writing,
    sliding: Sliding,
    filtering: Filtering,
    form: ColouredForm,
    frames: "FrameChoice | None",
    recursive: bool,
    files_from: str | None,
    batch: BatchOptions,
    explain: bool,
    telling: Telling,
) -> int:
    """Slide every KERNEL over every image; each result is one feature map.

    IMAGES are files, folders, - for stdin, or matrices such as "0 1 2; 3 4 5".
    """
    from conv_cli.pipeline.filter_task import FilterTask
    from conv_cli.pipeline.jobs import SAME, filter_jobs, has_several_files, with_own_formats

    require_images(images, files_from)
    listed = files_from is not None
    _check(images, kernels, writing, form, batch, listed=listed)
    given = [kernel for several in kernels for kernel in several]
    if form.colours and filtering.alpha == "filter":
        raise click.BadParameter(
            "a colour stands for one value, and opacity would be another; leave out --alpha filter",
            param_hint="--colormap",
        )
    if form.colours and sliding.channels not in ("each", "gray"):
        raise click.BadParameter(
            "a colour stands for one value, so the map is of grey; leave out --channels",
            param_hint="--colormap",
        )
    rule = filtering.rule(given, sliding, form.white, batch.max_pixels)
    maps = rule.maps()
    to = _destination(images, len(maps), writing, form, batch, listed=listed)
    inputs = found_inputs(images, recursive, to.output, files_from)
    if not inputs:
        return boundary.NOTHING
    if to.format == SAME:
        inputs = list(with_own_formats(inputs, boundary.binary(sys.stdin)))
    piped = None
    if frames is not None:
        inputs, piped = inputs_with_frames(inputs, frames, batch.max_pixels)
        if has_several_files(inputs, to):
            to = to._replace(single=False)
    sheet = SheetFile(writing.sheet, batch, len(inputs), len(maps)) if writing.sheet else None
    if sheet is not None and sheet.is_looked_at:
        to = to._replace(look_side=sheet.look_side)
    work = filter_jobs(inputs, maps, to)
    if to.quality is not None:
        _require_lossy({output.format for job in work for output in job.outputs})
    if explain and preset is not None:
        aside = to.output == "-" or batch.as_json
        click.echo(boundary.escaped(f"preset {preset.name}: {preset}"), err=aside)
    if not telling.quiet:
        for note in (*row_notes(kernels), *_suffix_note(to)):
            boundary.say(note)
    read = kernel_files(click.get_current_context())
    return run_batch(
        FilterTask(rule, to), to, work, images, batch, telling, sheet=sheet,
        read=(*read, filtering.mask) if filtering.mask else read,
        explain=explain,
        stdin=piped,
        advice={name: _advice(several, form) for name, several in maps},
    )  # fmt: skip


def _destination(
    images: Sequence[str],
    maps: int,
    writing: Writing,
    form: ColouredForm,
    batch: BatchOptions,
    *,
    listed: bool,
) -> "Destination":
    from conv_cli.pipeline.jobs import Destination, is_single

    return Destination(
        writing.output,
        name=writing.name,
        format=writing.file_format,
        depth=form.depth,
        white=form.white,
        range=form.range,
        colormap=form.colours,
        compress=writing.compress,
        quality=writing.quality,
        show=writing.show,
        force=batch.force,
        skip_existing=batch.skip_existing,
        single=not listed and is_single(writing.output, images, maps),
    )


def _suffix_note(to: "Destination") -> tuple[str, ...]:
    """Return what a file is whose name tells neither that nor that it is no folder."""
    output = to.output
    if not to.single or output in (None, "-") or to.format or Path(str(output)).suffix:
        return ()
    return (f"{output}: becomes a PNG file, as its name has no suffix; a folder is {output}/",)


def _advice(kernels: "Sequence[Kernel]", form: ColouredForm) -> str:
    """Return what keeps values that are beyond the pixels' limits, "" if nothing is wrong."""
    if form.range is not None and form.range.percentile < 100:
        return ""
    if all(kernel.is_zero_sum for kernel in kernels):
        return "to see all of them use --range signed, or --preset edges"
    if all(abs(kernel.weights.sum() - 1) < 1e-6 for kernel in kernels):
        return ""
    return "to keep them use --normalize sum, or --range stretch"


def _require_lossy(formats: set[str]) -> None:
    """Raise BadParameter for a quality that no result has a use for."""
    from conv_cli.images import FORMATS, LOSSY_FORMATS

    if formats.isdisjoint(LOSSY_FORMATS):
        titles = " and ".join(sorted(FORMATS[format].title for format in formats))
        raise click.BadParameter(
            f"{titles} has none; leave it out, or write --format jpeg", param_hint="--quality"
        )


def _check_region(sliding: Sliding) -> None:
    """Raise BadParameter for a window of a map that is not of the image's size."""
    for name, value, only in (
        ("padding", sliding.padding, "same"),
        ("stride", sliding.stride, (1, 1)),
    ):
        if value != only:
            raise click.BadParameter(
                f"is a window of a map of the image's size; leave out --{name}",
                param_hint="--region",
            )


def _check(
    images: Sequence[str],
    kernels: "Sequence[list[Kernel]]",
    writing: Writing,
    form: ColouredForm,
    batch: BatchOptions,
    *,
    listed: bool,
) -> None:
    """Raise for what is missing, and for options that contradict each other."""
    from conv_cli.pipeline.jobs import is_table

    output, show = writing.output, writing.show
    looked_at = show or writing.sheet is not None
    if not kernels:
        raise click.BadParameter(
            "missing; give one, as -k sobel-x, or --preset edges", param_hint="--kernel"
        )
    refuse_strays(images, kernels)
    if output is None and not looked_at and (listed or not all(map(is_table, images))):
        raise click.BadParameter(
            "missing; give a file or folder, as -o edges.png, - for stdout, or look at the results "
            "with --show or --sheet sheet.png",
            param_hint="--output",
        )
    if form.range and form.range.name == "raw" and form.depth in ("8", "16"):
        raise click.BadParameter(
            f"raw makes floats, which --depth {form.depth} cannot hold; use --depth float32, "
            "or another range",
            param_hint="--range",
        )
    if output == "-" and (batch.as_json or show):
        raise click.BadParameter(
            "stdout cannot carry both the image of -o - and this; give an output file",
            param_hint="--json" if batch.as_json else "--show",
        )
    if batch.as_json and show:
        raise click.BadParameter(
            "stdout cannot carry both pictures and these lines; leave one out", param_hint="--json"
        )
    boundary.require_no_terminal(output == "-", batch.force)
