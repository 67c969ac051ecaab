"""conv-cli net apply: the feature maps of images."""

import gc
import math
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from conv_cli.cli import boundary
from conv_cli.cli.options import (
    LayerType,
    as_json_option,
    depth_option,
    file_format_option,
    force_option,
    max_pixels_option,
    progress_option,
    quiet_option,
    range_option,
    recursive_option,
    white_option,
)
from conv_cli.cli.progress import Progress, is_shown
from conv_cli.cli.results import words

if TYPE_CHECKING:
    from conv_cli.pipeline.network_maps import MapResult

EPILOG = """\b
Examples
  The maps of every layer, as pictures:
    conv-cli net apply edges.json photo.jpg --range stretch -o maps/
  Those of the last layer, as an array of floats:
    conv-cli net apply edges.json photo.jpg --layer last --format npy -o maps/
"""


@click.command(epilog=EPILOG)
@click.argument("model")
@click.argument("images", nargs=-1, required=True, metavar="IMAGES...")
@click.option(
    "-o", "--output", required=True, metavar="DIR", help="A folder, made if it is missing."
)
@click.option(
    "--layer",
    type=LayerType("all", "last"),
    default="all",
    show_default=True,
    help="Whose maps are written; layers count from 1.",
)
@range_option
@depth_option
@white_option
@file_format_option
@recursive_option
@max_pixels_option
@force_option
@as_json_option
@progress_option
@quiet_option
def apply(model: str, **options: Any) -> int:
    """Write the feature maps that a MODEL makes of IMAGES.

    Pictures are called STEM.LAYER.CHANNEL, one for each channel; with --format npy or npz there is
    one array (channels, rows, columns) for each layer, STEM.LAYER.npy.
    """
    from conv_cli.networks.network import Network
    from conv_cli.pipeline.jobs import Destination, collect_inputs
    from conv_cli.pipeline.network_maps import NetworkRun
    from conv_cli.pipeline.run import Report

    network = Network(model)
    with boundary.named(model):
        network.require_weights()
    run = NetworkRun(
        network,
        Destination(
            options["output"],
            format=options["file_format"],
            depth=options["depth"],
            white=options["white"],
            range=options["range_name"],
            force=options["force"],
        ),
        options["layer"],
        max_pixels=options["max_pixels"],
        stdin=boundary.binary(sys.stdin),
    )
    found = {
        name: collect_inputs(name, recursive=options["recursive"], output=options["output"])
        for name in options["images"]
    }
    inputs = [each for several in found.values() for each in several]
    if nothing := ", ".join(name for name, several in found.items() if not several):
        lead = "" if inputs else "Error: "
        boundary.say(f"{lead}{nothing}: no images found; check the name, or add --recursive")
    if not inputs:
        return boundary.NOTHING
    run.check(inputs)
    boundary.require_stdout(options["as_json"])
    report = Report()
    gc.enable()
    with (
        Progress(len(inputs), len(inputs), shown=is_shown(options)) as progress,
        closing(run.results(inputs, progress.advance)) as results,
    ):
        for result in results:
            report.add(result)
            progress.count(result.image, math.prod((result.shape or (0,))[-2:]))
            progress.clear()
            _print_map(result, options)
    if len(inputs) > 1 and not options["quiet"]:
        boundary.say(str(report))
    return report.exit_code


def _print_map(result: "MapResult", options: dict[str, Any]) -> None:
    if options["as_json"]:
        import json

        click.echo(json.dumps(result.as_dict()))
    if result.error is not None:
        boundary.say(f"Error: {result.error}")
    elif not options["quiet"]:
        for line in words(result):
            boundary.say(line)
