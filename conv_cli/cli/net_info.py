"""conv-cli net info: what each layer gives, costs and sees."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from conv_cli.cli import boundary
from conv_cli.cli.command import Command
from conv_cli.cli.options import (
    LayerType,
    PlaceType,
    ShapeType,
    as_json_option,
    force_option,
    max_pixels_option,
)
from conv_cli.errors import ImageError
from conv_cli.io.files import same_file

if TYPE_CHECKING:
    from conv_cli.images import Image
    from conv_cli.networks.network import LayerInfo
    from conv_cli.networks.receptive import PixelField
    from conv_cli.pipeline.network_task import LayerChoice

EPILOG = """\b
Examples
  The layers of a model, for grey images of 480 rows and 640 columns:
    conv-cli net info edges.json --input 1x480x640
  What the output pixel in row 100, column 200 sees, drawn on a photograph:
    conv-cli net info edges.json --field 100,200 --image photo.jpg -o field.png
"""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("model")
@click.option(
    "--input",
    "shape",
    type=ShapeType(),
    metavar="CxHxW",
    help="Channels, rows and columns of what enters.  [default: those of --image]",
)
@click.option(
    "--field",
    type=PlaceType(),
    metavar="ROW,COL",
    help="Name the window of the input that this output pixel sees; both count from 0.",
)
@click.option(
    "--layer",
    type=LayerType("last"),
    default="last",
    show_default=True,
    help="Whose output pixel --field means.",
)
@click.option(
    "--image",
    metavar="FILE",
    help="Draw the window: into this file, on plain grey; or, with -o, on this image.",
)
@click.option("-o", "--output", metavar="FILE", help="Where the drawing on --image goes.")
@max_pixels_option
@force_option
@as_json_option
def info(
    model: str,
    shape: tuple[int, int, int] | None,
    field: tuple[int, int] | None,
    layer: "LayerChoice",
    image: str | None,
    output: str | None,
    max_pixels: int,
    force: bool,
    as_json: bool,
) -> int:
    """Print what each layer of a MODEL gives, costs and sees.

    The receptive field is how much of the input one output pixel sees, the jump how far apart the
    fields of two neighbours lie, and start where the first begins: negative in the padding. dense
    is what a layer would need that joins every input to every output.
    """
    from conv_cli.images import read_image
    from conv_cli.networks.network import Network
    from conv_cli.pipeline.network_task import chosen_layers, input_planes

    _check(shape is not None, field is not None, image is not None, output is not None)
    network = Network(model)
    ground = None
    if image is not None and output is not None:
        ground = read_image(image, max_pixels=max_pixels)
    boundary.require_stdout(True)
    with boundary.named(model):
        if shape is None:
            assert ground is not None
            channels, rows, columns = input_planes(ground, network).shape
            shape = channels, rows, columns
        layers = network.info(shape)
        if field is None:
            _print_layers(layers, as_json)
            return boundary.DONE
        (number,) = chosen_layers(network, layer)
        seen = network.field_of(shape, number, *field)
    if image is not None:
        _draw(ground, seen, image, output, force)
    click.echo(json.dumps(seen.as_dict()) if as_json else str(seen))
    return boundary.DONE


def _check(sized: bool, field: bool, drawn: bool, output: bool) -> None:
    """Refuse options that do not go together, by which of them are given."""
    if not sized and not (drawn and output):
        raise click.BadParameter("missing; give it as 3x480x640", param_hint="--input")
    if drawn and not field:
        raise click.BadParameter(
            "draws the window of a pixel; give --field ROW,COL", param_hint="--image"
        )
    if output and not drawn:
        raise click.BadParameter("takes a drawing; give --image FILE", param_hint="--output")


def _draw(
    ground: "Image | None", field: "PixelField", image: str, output: str | None, force: bool
) -> None:
    """Draw a window on an image, or on plain grey."""
    from conv_cli.images import write_image
    from conv_cli.report.field_drawing import drawn_field

    path = output or image
    if output is not None and same_file(path, image):
        raise ImageError(f"{path}: is an input and never overwritten; choose another output")
    if output is None and Path(path).exists() and not force:
        raise ImageError(f"{path}: exists; add -o to draw on it, or --force to overwrite it")
    write_image(path, drawn_field(field, ground), force=force)


def _print_layers(layers: "list[LayerInfo]", as_json: bool) -> None:
    """Print a table, or an object a layer."""
    if as_json:
        for layer in layers:
            click.echo(json.dumps(layer._asdict()))
        return
    titles = ("layer", "kind", "output", "parameters", "multiply-adds",
              "field", "jump", "start", "dense")  # fmt: skip
    rows = [titles, *(_cells(layer) for layer in layers)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells))


def _cells(layer: "LayerInfo") -> tuple[str, ...]:
    return (
        str(layer.layer),
        layer.kind,
        "x".join(map(str, layer.output)),
        f"{layer.parameters:,}",
        f"{layer.multiply_adds:,}",
        "x".join(map(str, layer.receptive_field)),
        "x".join(map(str, layer.jump)),
        ",".join(map(str, layer.start)),
        f"{layer.dense_parameters:,}",
    )
