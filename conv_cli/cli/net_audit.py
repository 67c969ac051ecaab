"""conv-cli net audit: whether the maps shift as the image does, and what keeps them from it."""

import json
from typing import TYPE_CHECKING

import click

from conv_cli.cli import boundary
from conv_cli.cli.command import Command
from conv_cli.cli.kinds import ShiftType
from conv_cli.cli.models import read_network
from conv_cli.cli.options import as_json_option, force_option, max_pixels_option
from conv_cli.cli.terminal import table

if TYPE_CHECKING:
    from conv_cli.networks.audit import LayerAudit

EPILOG = """\b
Examples
  Is the strength of edges the same wherever they are?
    conv-cli net audit "sobel-x sobel-y | square | sum | sqrt" photo.jpg
  What pooling by 2 does to a shift of one pixel, and where:
    conv-cli net audit "sobel-x | abs | maxpool:2" photo.jpg -o where.png
  By two pixels, as JSON:
    conv-cli net audit alexnet.onnx photo.jpg --shift 2,2 --json
"""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("model")
@click.argument("image")
@click.option(
    "--shift",
    type=ShiftType(),
    default="1,1",
    show_default=True,
    metavar="ROW,COL",
    help="Pixels that the image is shifted down and to the right; negative for up and left.",
)
@click.option(
    "-o", "--output", metavar="FILE", help="A picture of where the maps differ, layer by layer."
)
@max_pixels_option
@force_option
@as_json_option
def audit(
    model: str,
    image: str,
    shift: tuple[int, int],
    output: str | None,
    max_pixels: int,
    force: bool,
    as_json: bool,
) -> int:
    """Tell how far the maps of a shifted IMAGE are from the shifted maps, by layer of a MODEL.

    MODEL is a file, .json, .npz or .onnx, or one line of layers; net --help says how. What is
    shifted out of IMAGE comes in on the other side.

    distance is the largest difference of two pixels. It comes from the border, where windows reach
    into the padding or to what was shifted in; elsewhere from strides and pooling, where the shift
    is no multiple of the jump from pixel to pixel of the map; and from rounding. moved is what the
    maps are shifted by: the shift by the jump, to the nearest pixel, halves towards zero. largest
    is the largest magnitude in the maps.
    """
    from conv_cli.images import read_image
    from conv_cli.io.files import check_target
    from conv_cli.pipeline.network_task import audited

    network = read_network(model)
    if output is not None:
        check_target(output, force=force, inputs=(model, *network.files, image))
    with boundary.named(model):
        network.require_weights()
    boundary.require_stdout(True)
    picture = read_image(image, max_pixels=max_pixels)
    with boundary.named(f"{model}: {image}"):
        layers = audited(picture, network, shift)
    if output is not None:
        from conv_cli.images import write_image
        from conv_cli.report.audit_picture import audit_picture

        write_image(output, audit_picture(layers), force=force)
    _print(layers, image, as_json)
    return boundary.DONE


def _print(layers: "list[LayerAudit]", image: str, as_json: bool) -> None:
    """Print an object a layer, or a table."""
    if as_json:
        for layer in layers:
            click.echo(json.dumps({"image": image} | layer.as_dict()))
        return
    titles = ("layer", "kind", "output", "moved", "largest", "distance", "border", "stride",
              "rounding")  # fmt: skip
    for line in table([titles, *(_cells(layer) for layer in layers)]):
        click.echo(line)


def _cells(layer: "LayerAudit") -> tuple[str, ...]:
    moved = ",".join(map(str, layer.moved))
    return (
        str(layer.layer),
        layer.kind,
        "x".join(map(str, layer.output)),
        moved if layer.aligned else f"~{moved}",
        *(_number(value) for value in (layer.magnitude, *layer.largest)),
    )


def _number(value: float) -> str:
    return "-" if value != value else f"{value:.3g}"
