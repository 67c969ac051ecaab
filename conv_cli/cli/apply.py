"""conv-cli apply: every kernel on every image."""

import gc
import math
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from conv_cli.cli import boundary
from conv_cli.cli.options import (
    KernelType,
    as_json_option,
    bias_option,
    border_option,
    channels_option,
    convolve_option,
    depth_option,
    dilation_option,
    file_format_option,
    force_option,
    max_pixels_option,
    normalize_option,
    padding_option,
    progress_option,
    quiet_option,
    range_option,
    recursive_option,
    sliding,
    stride_option,
    white_option,
)
from conv_cli.cli.progress import Progress, is_shown
from conv_cli.cli.results import size, words

if TYPE_CHECKING:
    from conv_cli.pipeline.filter import Filter
    from conv_cli.pipeline.jobs import Destination
    from conv_cli.pipeline.run import Result

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
@padding_option
@border_option
@stride_option
@dilation_option
@convolve_option
@normalize_option
@bias_option
@channels_option
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
@range_option
@depth_option
@white_option
@file_format_option
@click.option(
    "--compress", is_flag=True, help="Take longer for the smallest files (PNG, TIFF, WebP, JPEG)."
)
@recursive_option
@click.option(
    "--jobs",
    type=click.IntRange(1),
    metavar="N",
    help="Threads in all; the pixels are the same for every N.  [default: all cores]",
)
@max_pixels_option
@force_option
@click.option("--skip-existing", is_flag=True, help="Leave out results whose file is there.")
@click.option("--dry-run", is_flag=True, help="Print what would be written, with shapes.")
@as_json_option
@click.option("--explain", is_flag=True, help="Print the strategy of each result, and why.")
@progress_option
@quiet_option
def apply(**options: Any) -> int:
    """Slide every KERNEL over every image; each result is one feature map.

    IMAGES are files, folders, or - for stdin.
    """
    from conv_cli.pipeline.jobs import collect_inputs, is_single, plan_jobs
    from conv_cli.pipeline.run import Report, Run

    rule = _filter(options)
    names, output = options["images"], options["output"]
    single = is_single(output, names, len(rule.maps()))
    to = _destination(options, single)
    found = {n: collect_inputs(n, recursive=options["recursive"], output=output) for n in names}
    inputs = [each for name in names for each in found[name]]
    if nothing := ", ".join(name for name in names if not found[name]):
        lead = "" if inputs else "Error: "
        boundary.say(f"{lead}{nothing}: no images found; check the name, or add --recursive")
    if not inputs:
        return boundary.NOTHING
    jobs = plan_jobs(inputs, rule, to)
    boundary.require_stdout(output == "-" or options["as_json"] or options["dry_run"])
    report = Report()
    gc.freeze()
    gc.enable()
    maps = sum(len(job.outputs) for job in jobs)
    shown = is_shown(options)
    with Progress(maps, len(jobs), shown=shown) as progress:
        run = Run(
            rule,
            to,
            threads=options["jobs"],
            max_pixels=options["max_pixels"],
            stdin=boundary.binary(sys.stdin),
            stdout=boundary.binary(sys.stdout),
            progress=progress.advance if shown else None,
        )
        results = run.plan(jobs) if options["dry_run"] else run.results(jobs)
        with closing(results):
            for result in results:
                report.add(result)
                progress.count(result.image, math.prod((result.shape or (0,))[:2]))
                progress.clear()
                _print(result, options)
    several = len(jobs) > 1 or jobs[0].source.path not in names
    if several and not (options["quiet"] or options["dry_run"]):
        boundary.say(str(report))
    return report.exit_code


def _filter(options: dict[str, Any]) -> "Filter":
    """Return what is to be done to each image."""
    from conv_cli.pipeline.filter import Filter

    kernels = [kernel for several in options["kernels"] for kernel in several]
    kernels = [kernel.normalized(options["normalize"]) for kernel in kernels]
    if options["convolve"]:
        kernels = [kernel.flipped() for kernel in kernels]
    return Filter(
        tuple(kernels),
        **sliding(options),
        filter_alpha=options["alpha"] == "filter",
        linear=options["linear"],
        combine=options["combine"],
        white=options["white"],
    )


def _destination(options: dict[str, Any], single: bool) -> "Destination":
    """Return where results go; contradictions between options end here."""
    from conv_cli.pipeline.jobs import Destination

    if options["range_name"] == "raw" and options["depth"] in ("8", "16"):
        raise click.BadParameter(
            f"raw makes floats, which --depth {options['depth']} cannot hold; use --depth float32, "
            "or another range",
            param_hint="--range",
        )
    if options["output"] == "-" and options["as_json"]:
        raise click.BadParameter(
            "stdout cannot carry both the image of -o - and these lines; give an output file",
            param_hint="--json",
        )
    return Destination(
        options["output"],
        name=options["name"],
        format=options["file_format"],
        depth=options["depth"],
        white=options["white"],
        range=options["range_name"],
        compress=options["compress"],
        force=options["force"],
        skip_existing=options["skip_existing"],
        single=single,
    )


def _print(result: "Result", options: dict[str, Any]) -> None:
    """Print a result: data on stdout, words on stderr."""
    if options["as_json"]:
        import json

        click.echo(json.dumps(result.as_dict()))
    elif result.planned:
        click.echo(boundary.escaped(f"{result.output}  {size(result)} {result.dtype}"))
    if result.error is not None:
        boundary.say(f"Error: {result.error}")
        return
    if options["explain"] and result.reason:
        line = f"{result.output}: {result.strategy}: {result.reason}"
        if options["as_json"] or options["output"] == "-":
            boundary.say(line)
        else:
            click.echo(boundary.escaped(line))
    if not options["quiet"]:
        for line in words(result):
            boundary.say(line)
