"""conv-cli apply: every kernel on every image."""

from typing import TYPE_CHECKING

import click

from conv_cli.cli import boundary
from conv_cli.cli.options import (
    BatchOptions,
    KernelType,
    PixelForm,
    Sliding,
    Telling,
    batch_options,
    file_format_option,
    pixel_options,
    recursive_option,
    sliding_options,
    telling_options,
)
from conv_cli.cli.running import found_inputs, run_batch

if TYPE_CHECKING:
    from conv_cli.kernels.kernel import Kernel
    from conv_cli.pipeline.feature_map import CombineName

EPILOG = """\b
A KERNEL is
  a name       sobel-x, gaussian:2, gaussian:sigma=2,size=13
  a matrix     "1 0 -1; 2 0 -2; 1 0 -1", "1 2 1; 2 4 2; 1 2 1 / 16"
  a file       edge.json .csv .txt .npy .npz .mat; @edge where a name could be meant
  a string     of another tool: imagemagick:3x3:..., gmic:(...), ffmpeg:...

\b
Examples
  The vertical edges of a photograph:
    conv-cli apply photo.jpg -k sobel-x -o edges.png
  How strong the edges are, in any direction:
    conv-cli apply photo.jpg -k sobel-x -k sobel-y --combine magnitude -o edges.png
  Negative values seen as well, grey being zero:
    conv-cli apply photo.jpg -k laplacian --range signed -o laplacian.png
  A whole tree of photographs, blurred in linear light:
    conv-cli apply photos/ -r -k gaussian:3 --linear -o blurred/
  What would be written, without doing it:
    conv-cli apply photos/ -k kirsch -o maps/ --dry-run
"""


@click.command(epilog=EPILOG)
@click.argument("images", nargs=-1, required=True, metavar="IMAGES...")
@click.option(
    "-k",
    "--kernel",
    "kernels",
    type=KernelType(),
    multiple=True,
    required=True,
    metavar="KERNEL",
    help="What slides over the image; repeat it for more maps. See below.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="PATH",
    help="A file for one image and one map, a folder for more, - for stdout.",
)
@click.option(
    "--name",
    default="{stem}.{kernel}{ext}",
    show_default=True,
    metavar="TEMPLATE",
    help="Names of files in the output folder; also {suffix} and {dir} of the image, and {index}, "
    "which counts the kernels.",
)
@sliding_options
@click.option(
    "--alpha",
    type=click.Choice(["keep", "filter"]),
    default="keep",
    show_default=True,
    help="Copy the opacity and let it weigh the colours, or filter it like a colour.",
)
@click.option(
    "--linear", is_flag=True, help="Work in linear light: sRGB decoded before, encoded after."
)
@click.option(
    "--combine",
    type=click.Choice(["magnitude", "max", "sum", "mean"]),
    help="Make one map of all kernels.",
)
@pixel_options
@file_format_option
@click.option(
    "--compress", is_flag=True, help="Take longer for the smallest files (PNG, TIFF, WebP, JPEG)."
)
@recursive_option
@batch_options
@click.option("--explain", is_flag=True, help="Print the strategy of each result, and why.")
@telling_options
def apply(
    images: tuple[str, ...],
    kernels: "tuple[list[Kernel], ...]",
    output: str,
    name: str,
    sliding: Sliding,
    alpha: str,
    linear: bool,
    combine: "CombineName | None",
    form: PixelForm,
    file_format: str | None,
    compress: bool,
    recursive: bool,
    batch: BatchOptions,
    explain: bool,
    telling: Telling,
) -> int:
    """Slide every KERNEL over every image; each result is one feature map.

    IMAGES are files, folders, or - for stdin.
    """
    from conv_cli.pipeline.filter import Filter
    from conv_cli.pipeline.filter_task import FilterTask
    from conv_cli.pipeline.jobs import Destination, filter_jobs, is_single

    _check(output, form, batch.as_json)
    rule = Filter(
        sliding.prepared(kernel for several in kernels for kernel in several),
        sliding.params,
        bias=sliding.bias,
        gray=sliding.channels == "gray",
        filter_alpha=alpha == "filter",
        linear=linear,
        combine=combine,
        white=form.white,
    )
    maps = rule.maps()
    to = Destination(
        output,
        name=name,
        format=file_format,
        depth=form.depth,
        white=form.white,
        range=form.range_name,
        compress=compress,
        force=batch.force,
        skip_existing=batch.skip_existing,
        single=is_single(output, images, len(maps)),
    )
    inputs = found_inputs(images, recursive, output)
    if not inputs:
        return boundary.NOTHING
    work = filter_jobs(inputs, maps, to)
    return run_batch(FilterTask(rule, to), to, work, images, batch, telling, explain=explain)


def _check(output: str, form: PixelForm, as_json: bool) -> None:
    """Raise for options that contradict each other."""
    if form.range_name == "raw" and form.depth in ("8", "16"):
        raise click.BadParameter(
            f"raw makes floats, which --depth {form.depth} cannot hold; use --depth float32, "
            "or another range",
            param_hint="--range",
        )
    if output == "-" and as_json:
        raise click.BadParameter(
            "stdout cannot carry both the image of -o - and these lines; give an output file",
            param_hint="--json",
        )
