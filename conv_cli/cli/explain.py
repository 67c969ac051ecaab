"""conv-cli explain: one output pixel taken apart."""

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from conv_cli.cli import boundary
from conv_cli.cli.options import (
    KernelType,
    PlaceType,
    as_json_option,
    bias_option,
    border_option,
    channels_option,
    convolve_option,
    depth_option,
    dilation_option,
    max_pixels_option,
    normalize_option,
    padding_option,
    range_option,
    sliding,
    stride_option,
    white_option,
)
from conv_cli.errors import ImageError
from conv_cli.io.json import plain

if TYPE_CHECKING:
    from conv_cli.kernels.kernel import Kernel
    from conv_cli.pipeline.explain import ChannelSum, Explanation
    from conv_cli.pipeline.filter import Filter

EPILOG = """\b
Examples
  What makes the pixel in row 100, column 200 of an edge map:
    conv-cli explain photo.jpg -k sobel-x --at 100,200
  The same for mathematical convolution, which turns the kernel first:
    conv-cli explain photo.jpg -k sobel-x --at 100,200 --convolve
  The corner, where the window reaches over the edge:
    conv-cli explain photo.jpg -k gaussian:1 --at 0,0 --border reflect --channels gray
"""
_WIDEST, _LONGEST = 120, 16
"""Characters and lines of what is drawn; of larger kernels the largest products are listed."""
_LISTED = 10


@click.command(epilog=EPILOG)
@click.argument("image")
@click.option(
    "-k", "--kernel", "kernels", type=KernelType(), required=True, multiple=True, metavar="KERNEL",
    help="One kernel, named as for apply.",
)  # fmt: skip
@click.option(
    "--at",
    type=PlaceType(),
    required=True,
    metavar="ROW,COL",
    help="The pixel of the feature map; both count from 0.",
)
@padding_option
@border_option
@stride_option
@dilation_option
@convolve_option
@normalize_option
@bias_option
@channels_option
@range_option
@depth_option
@white_option
@max_pixels_option
@as_json_option
def explain(image: str, **options: Any) -> int:
    """Show the window, the weights, the products and the sum behind one output pixel of IMAGE.

    IMAGE is a file, or - for stdin. Pixels in brackets lie beyond the edge of the image: they are
    the border's.
    """
    from conv_cli.images import read_image
    from conv_cli.pipeline.explain import explain_pixel
    from conv_cli.pipeline.feature_map import require_white
    from conv_cli.pipeline.jobs import STDIO, Destination
    from conv_cli.pipeline.run import output_pixels

    given, rule = _rule(options)
    opened = boundary.binary(sys.stdin) if image == STDIO else image
    picture = read_image(opened, max_pixels=options["max_pixels"])
    kind = "png" if picture.dtype.kind == "u" and picture.dtype.itemsize <= 2 else "npy"
    to = Destination(
        "-", depth=options["depth"], white=options["white"], range=options["range_name"]
    )
    dtype, mode = output_pixels(picture.dtype, kind, 1, False, to)
    try:
        require_white(picture.dtype, dtype, mode, options["white"], picture.pixels)
        found = explain_pixel(picture, rule, options["at"], dtype, mode)
    except ImageError as error:
        raise ImageError(f"{image}: {error}") from None
    boundary.require_stdout(True)
    if options["as_json"]:
        click.echo(json.dumps(plain(_as_dict(image, found, options["at"], mode))))
        return boundary.DONE
    for line in _lines(image, found, given, options, f"{mode}, {dtype}"):
        click.echo(boundary.escaped(line))
    return boundary.DONE


def _rule(options: dict[str, Any]) -> "tuple[Kernel, Filter]":
    """Return the kernel as it was given, and what is done with it."""
    from conv_cli.pipeline.filter import Filter

    kernels = [kernel for several in options["kernels"] for kernel in several]
    names = [kernel.name for kernel in kernels]
    if len(options["kernels"]) > 1:
        raise click.BadParameter(
            f"is given {len(names)} times, as {' and '.join(names)}, and one pixel is that of one "
            "kernel; give one of them",
            param_hint="--kernel",
        )
    if len(names) != 1:
        raise click.BadParameter(
            f"is a set of {len(names)} kernels; give one of them, such as {names[0]}",
            param_hint="--kernel",
        )
    (kernel,) = (kernel.normalized(options["normalize"]) for kernel in kernels)
    rule = Filter(
        (kernel.flipped() if options["convolve"] else kernel,),
        **sliding(options),
        white=options["white"],
    )
    return kernel, rule


def _as_dict(image: str, found: "Explanation", at: tuple[int, int], mode: str) -> dict[str, Any]:
    """Return what --json prints."""
    return {
        "image": image,
        "kernel": found.kernel.name,
        "row": at[0],
        "column": at[1],
        "rows": found.rows,
        "columns": found.columns,
        "weights": found.kernel.weights.tolist(),
        "range": mode,
        "channels": [_channel_as_dict(channel) for channel in found.channels],
    }


def _channel_as_dict(channel: "ChannelSum") -> dict[str, Any]:
    values = channel._asdict()
    arrays = {name: values[name].tolist() for name in ("window", "products")}
    opacity = {} if channel.opacity is None else {"opacity": channel.opacity.tolist()}
    return values | arrays | {"opacity": None, **opacity}


def _lines(
    image: str, found: "Explanation", given: "Kernel", options: dict[str, Any], mode: str
) -> Iterator[str]:
    """Yield what a person reads."""
    (row, column), (height, width) = options["at"], found.kernel.shape
    how = "convolved" if options["convolve"] else "correlated"
    yield f"{image}, {how} with {found.kernel.name}, {height}x{width}: row {row}, column {column}"
    yield (
        f"rows {found.rows[0]} to {found.rows[-1]}, columns {found.columns[0]} to "
        f"{found.columns[-1]} of the image{_beyond(found, options)}"
    )
    for channel in found.channels:
        yield ""
        if len(found.channels) > 1:
            yield f"{channel.channel}:"
        yield from _products(found, channel, given if options["convolve"] else None)
        yield from _summed(channel, mode)


def _beyond(found: "Explanation", options: dict[str, Any]) -> str:
    if not found.outside().any():
        return ""
    border = options["border"].spelled
    return f"; in brackets, beyond its edge: border {border}"


def _products(found: "Explanation", channel: "ChannelSum", given: "Kernel | None") -> Iterator[str]:
    """Yield all products as matrices, or the largest of them."""
    if found.kernel.shape[0] < _LONGEST and found.kernel.shape[1] < _WIDEST:
        drawn = list(_drawn(found, channel, given))
        if len(drawn[0]) <= _WIDEST and len(drawn[1]) <= _WIDEST:
            yield from drawn
            return
    yield from _listed(found, channel)


def _drawn(found: "Explanation", channel: "ChannelSum", given: "Kernel | None") -> Iterator[str]:
    """Yield matrices side by side."""
    window = [[f"{value:g}" for value in row] for row in channel.window.tolist()]
    if found.outside().any():
        window = [
            [f"({cell})" if beyond else f"{cell} " for cell, beyond in zip(*rows, strict=True)]
            for rows in zip(window, found.outside().tolist(), strict=True)
        ]
    tables = [("pixels", window)]
    if given is not None:
        tables.append(("kernel", _cells(given.weights)))
    tables.append(("weights" if given is None else "turned", _cells(found.kernel.weights)))
    if channel.opacity is not None:
        tables.append(("opacity", _cells(channel.opacity)))
    tables.append(("products", _cells(channel.products)))
    blocks = [_block(title, cells) for title, cells in tables]
    for parts in zip(*blocks, strict=True):
        yield "   ".join(parts).rstrip()


def _cells(matrix: Any) -> list[list[str]]:
    return [[f"{value:.4g}" for value in row] for row in matrix.tolist()]


def _block(title: str, cells: list[list[str]]) -> list[str]:
    """Return a titled matrix as lines of one length, its columns aligned at the right."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in cells]
    width = max(len(title), len(lines[0]))
    return [title.ljust(width), *(line.ljust(width) for line in lines)]


def _listed(found: "Explanation", channel: "ChannelSum") -> Iterator[str]:
    """Yield the largest products, one a line."""
    flat = channel.products.ravel()
    order = sorted(range(flat.size), key=lambda i: -abs(flat[i]))[:_LISTED]
    yield f"the {len(order)} largest of {flat.size:,} products"
    for i in order:
        row, column = divmod(i, found.kernel.shape[1])
        factors = [channel.window[row, column], found.kernel.weights[row, column]]
        factors += [] if channel.opacity is None else [channel.opacity[row, column]]
        product = " · ".join(f"{factor:.4g}" for factor in factors)
        yield f"row {found.rows[row]}, column {found.columns[column]}: {product} = {flat[i]:.4g}"


def _summed(channel: "ChannelSum", mode: str) -> Iterator[str]:
    """Yield the way from the sum to the pixel."""
    steps = [("sum", channel.sum)]
    if channel.mean is not None:
        steps.insert(0, ("visible mean", channel.mean))
    if channel.bias:
        steps += [("bias", channel.bias), ("value", channel.value)]
    steps.append((f"pixel ({mode})", channel.pixel))
    width = max(len(name) for name, _ in steps)
    numbers = [f"{value:.7g}" for _, value in steps]
    across = max(map(len, numbers))
    for (name, _), number in zip(steps, numbers, strict=True):
        yield f"{name.ljust(width)}  {number.rjust(across)}"
