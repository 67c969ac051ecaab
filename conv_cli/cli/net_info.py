"""conv-cli net info: what each layer gives, costs and sees."""

import json
from typing import TYPE_CHECKING

import click

from conv_cli.cli import boundary
from conv_cli.cli.command import Command
from conv_cli.cli.kinds import LayerType, PlaceType, ShapeType
from conv_cli.cli.models import read_network
from conv_cli.cli.options import as_json_option, force_option, max_pixels_option
from conv_cli.cli.sheets import sheet_option, write_sheet
from conv_cli.cli.terminal import table
from conv_cli.io.files import check_target

if TYPE_CHECKING:
    from conv_cli.images import Image
    from conv_cli.networks.network import LayerInfo, Network, Shape
    from conv_cli.pipeline.network_task import LayerChoice

EPILOG = """\b
Examples
  The layers of a model, for grey images of 480 rows and 640 columns:
    conv-cli net info edges.json --input 1x480x640
  For a photograph, and a model in one line:
    conv-cli net info "sobel-x sobel-y | square | sum" --image photo.jpg
  What the output pixel in row 9, column 20 sees, drawn on a photograph:
    conv-cli net info edges.json --field 9,20 --image photo.jpg -o field.png
  The kernels of the first layer, side by side:
    conv-cli net info edges.json --sheet kernels.png
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
    help="Whose output pixel --field means, or whose kernels are on the --sheet, by default the "
    "first that has some.",
)
@click.option(
    "--image", metavar="FILE", help="An image that enters: gives --input, and -o is drawn on it."
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Draw the window of --field: on --image, or else on plain grey.",
)
@sheet_option("The kernels of a layer")
@max_pixels_option
@force_option
@as_json_option
def info(
    model: str,
    shape: "Shape | None",
    field: tuple[int, int] | None,
    layer: "LayerChoice",
    image: str | None,
    output: str | None,
    sheet: str | None,
    max_pixels: int,
    force: bool,
    as_json: bool,
) -> int:
    """Print what each layer of a MODEL gives, costs and sees.

    MODEL is a file, .json, .npz or .onnx, or one line of layers; net --help says how.

    The receptive field is how much of the input one output pixel sees, the jump how far apart the
    fields of two neighbours lie, and start where the first begins: negative in the padding. dense
    is what a layer would need that joins every input to every output. Large numbers are shortened:
    K is a thousand, then M, G, T, P and E; --json has them in full.
    """
    from conv_cli.images import read_image
    from conv_cli.pipeline.network_task import chosen_layers

    sized = shape is not None or image is not None
    _check(sized or sheet is not None, field is not None, output)
    network = read_network(model)
    for file in filter(None, (output, sheet)):
        read = (model, *network.files, *([image] if image else []))
        check_target(file, force=force, inputs=read)
    if sheet is not None:
        _write_kernels(network, layer, sheet, force=force)
        if not sized:
            return boundary.DONE
    ground = None if image is None else read_image(image, max_pixels=max_pixels)
    boundary.require_stdout(True)
    with boundary.named(model):
        entering = _entering(shape, ground, network, image)
        layers = network.info(entering)
        if field is None:
            _print_layers(layers, as_json)
            return boundary.DONE
        (number,) = chosen_layers(network, layer)
        seen = network.field_of(entering, number, *field)
    if output is not None:
        from conv_cli.images import write_image
        from conv_cli.report.field_drawing import drawn_field

        write_image(output, drawn_field(seen, ground), force=force)
    click.echo(json.dumps(seen.as_dict()) if as_json else str(seen))
    return boundary.DONE


def _write_kernels(network: "Network", layer: "LayerChoice", sheet: str, *, force: bool) -> None:
    """Write the kernels of a layer as a sheet."""
    from conv_cli.errors import ModelError
    from conv_cli.networks.convolution import Convolution
    from conv_cli.pipeline.network_task import chosen_layers
    from conv_cli.report.kernel_sheet import layer_sheet

    chosen = click.get_current_context().get_parameter_source("layer")
    default = chosen is click.core.ParameterSource.DEFAULT
    numbers = chosen_layers(network, "all" if default else layer)
    for number in numbers:
        found = network.layers[number - 1]
        if isinstance(found, Convolution) and found.weight is not None:
            count = len(found.weight)
            title = f"layer {number}: {count} {'kernel' if count == 1 else 'kernels'}"
            write_sheet(sheet, layer_sheet(found.weight, title), force=force)
            return
    which = "no layer" if default else f"layer {numbers[0]}"
    raise ModelError(f"{which} has kernels to show; choose a convolution that has its weights")


def _check(sized: bool, field: bool, output: str | None) -> None:
    """Refuse options that do not go together, by which of them are given."""
    if not sized:
        raise click.BadParameter(
            "missing; give it as 3x480x640, or an --image", param_hint="--input"
        )
    if output is not None and not field:
        raise click.BadParameter(
            "draws the window of a pixel; give --field ROW,COL", param_hint="--output"
        )


def _entering(
    shape: "Shape | None", ground: "Image | None", network: "Network", image: str | None
) -> "Shape":
    """Return the shape of what enters: the one given, or that of an image."""
    from conv_cli.pipeline.network_task import input_planes

    if ground is None:
        assert shape is not None
        return shape
    if shape is None:
        channels, rows, columns = input_planes(ground, network).shape
        return channels, rows, columns
    if shape[1:] != ground.pixels.shape[:2]:
        rows, columns = ground.pixels.shape[:2]
        raise click.BadParameter(
            f"is {shape[1]}x{shape[2]}, and {image} has {rows}x{columns} pixels; leave it out",
            param_hint="--input",
        )
    return shape


def _print_layers(layers: "list[LayerInfo]", as_json: bool) -> None:
    """Print a table, or an object a layer."""
    if as_json:
        for layer in layers:
            click.echo(json.dumps(layer._asdict()))
        return
    titles = ("layer", "kind", "output", "params", "mul-adds", "field", "jump", "start", "dense")
    for line in table([titles, *(_cells(layer) for layer in layers)]):
        click.echo(line)


def _cells(layer: "LayerInfo") -> tuple[str, ...]:
    return (
        str(layer.layer),
        layer.kind,
        "x".join(map(str, layer.output)),
        short(layer.parameters),
        short(layer.multiply_adds),
        "x".join(map(str, layer.receptive_field)),
        "x".join(map(str, layer.jump)),
        ",".join(map(str, layer.start)),
        short(layer.dense_parameters),
    )


def short(count: int) -> str:
    """Return a count in at most six characters, from 10,000 on as 12.3 K, 1.2 M or 850 G."""
    if count < 10_000:
        return f"{count:,}"
    value = float(count)
    for unit in "KMGTPE":
        value /= 1000
        if value < 999.5:
            return f"{value:.0f} {unit}" if value >= 99.95 else f"{value:.1f} {unit}"
    return f"{count:.0e}"
