"""conv-cli net apply: the feature maps of images."""

from typing import TYPE_CHECKING

import click

from conv_cli.cli import boundary
from conv_cli.cli.command import Command
from conv_cli.cli.kinds import LayerType
from conv_cli.cli.models import read_network
from conv_cli.cli.options import (
    BatchOptions,
    PixelForm,
    Telling,
    batch_options,
    file_format_option,
    files_from_option,
    frames_option,
    mask_option,
    nodata_option,
    pixel_options,
    recursive_option,
    telling_options,
)
from conv_cli.cli.running import found_inputs, inputs_with_frames, require_images, run_batch
from conv_cli.cli.sheets import SheetFile, sheet_option

if TYPE_CHECKING:
    from conv_cli.images import FrameChoice
    from conv_cli.pipeline.network_task import LayerChoice

EPILOG = """\b
Examples
  The maps of every layer, as pictures:
    conv-cli net apply edges.json photo.jpg --range stretch -o maps/
  Those of the last layer, as an array of floats:
    conv-cli net apply edges.json photo.jpg --layer last --format npy -o maps/
  A model in one line: kernels side by side, their squares added, the root:
    conv-cli net apply "sobel-x sobel-y | square | sum | sqrt" a.jpg -o maps/
  All maps side by side, to look at:
    conv-cli net apply edges.json photo.jpg --sheet maps.html
  Of a tree of photographs, going on where the last run ended:
    conv-cli net apply edges.json photos/ -r --skip-existing -o maps/
"""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("model")
@click.argument("images", nargs=-1, metavar="IMAGES...")
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    help="A folder, made if it is missing; required without --sheet.",
)
@sheet_option("Besides, or without -o: every image and its maps, 64 of a layer at most")
@click.option(
    "--layer",
    type=LayerType("all", "last"),
    default="all",
    show_default=True,
    help="Whose maps are written; layers count from 1.",
)
@mask_option
@nodata_option
@pixel_options
@file_format_option
@frames_option
@recursive_option
@files_from_option
@batch_options
@telling_options
def apply(
    model: str,
    images: tuple[str, ...],
    output: str | None,
    sheet: str | None,
    layer: "LayerChoice",
    mask: str | None,
    nodata: float | None,
    form: PixelForm,
    file_format: str | None,
    frames: "FrameChoice | None",
    recursive: bool,
    files_from: str | None,
    batch: BatchOptions,
    telling: Telling,
) -> int:
    """Write the feature maps that a MODEL makes of IMAGES.

    MODEL is a file, .json, .npz or .onnx, or one line of layers; net --help says how.

    Pictures are called STEM.LAYER.CHANNEL, one for each channel; with --format npy or npz there is
    one array (channels, rows, columns) for each layer, STEM.LAYER.npy. With --frames STEM is
    followed by the number of the frame: STEM.FRAME.LAYER.CHANNEL.
    """
    from conv_cli.pipeline.jobs import Destination, network_jobs
    from conv_cli.pipeline.network_task import NetworkTask
    from conv_cli.pipeline.weights import read_mask

    require_images(images, files_from)
    if output is None and sheet is None:
        raise click.BadParameter(
            "missing; give a folder, as -o maps/, or look at the maps by --sheet sheet.png",
            param_hint="--output",
        )
    network = read_network(model, quiet=telling.quiet)
    with boundary.named(model):
        network.require_weights()
    to = Destination(
        output,
        format=file_format,
        depth=form.depth,
        white=form.white,
        range=form.range,
        force=batch.force,
        skip_existing=batch.skip_existing,
    )
    weights = read_mask(mask, batch.max_pixels) if mask else None
    inputs = found_inputs(images, recursive, output, files_from)
    if not inputs:
        return boundary.NOTHING
    piped = None
    if frames is not None:
        inputs, piped = inputs_with_frames(inputs, frames, batch.max_pixels)
    page = SheetFile(sheet, batch, len(inputs), 1) if sheet is not None else None
    if page is not None and page.is_looked_at:
        to = to._replace(look_side=page.look_side)
    with boundary.named(model):
        task = NetworkTask(network, to, layer, weights, nodata)
    jobs = network_jobs(inputs, to)
    read = [model, *network.files, *([mask] if mask else [])]
    return run_batch(task, to, jobs, images, batch, telling, read=read, stdin=piped, sheet=page)
