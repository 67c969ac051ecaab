"""conv-cli explain: one output pixel taken apart."""

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from conv_cli.cli import boundary
from conv_cli.cli.command import Command
from conv_cli.cli.options import (
    KernelType,
    PixelForm,
    PlaceType,
    Sliding,
    as_json_option,
    max_pixels_option,
    pixel_options,
    sliding_options,
)
from conv_cli.errors import ImageError
from conv_cli.io.json import plain

if TYPE_CHECKING:
    from conv_cli.kernels.kernel import Kernel
    from conv_cli.pipeline.explain import ChannelSum, Explanation

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


@click.command(cls=Command, epilog=EPILOG)
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
@sliding_options
@pixel_options
@max_pixels_option
@as_json_option
def explain(
    image: str,
    kernels: "tuple[list[Kernel], ...]",
    at: tuple[int, int],
    sliding: Sliding,
    form: PixelForm,
    max_pixels: int,
    as_json: bool,
) -> int:
    """Show the window, the weights, the products and the sum behind one output pixel of IMAGE.

    IMAGE is a file, or - for stdin. Pixels in brackets lie beyond the edge of the image: they are
    the border's.
    """
    from conv_cli.images import read_image
    from conv_cli.pipeline.explain import explain_pixel
    from conv_cli.pipeline.filter import Filter
    from conv_cli.pipeline.filter_task import pixels_of
    from conv_cli.pipeline.jobs import STDIO, Destination

    given = _one(kernels).normalized(sliding.normalize)
    rule = Filter(
        sliding.prepared([_one(kernels)]),
        sliding.params,
        bias=sliding.bias,
        gray=sliding.channels == "gray",
        white=form.white,
    )
    opened = boundary.binary(sys.stdin) if image == STDIO else image
    picture = read_image(opened, max_pixels=max_pixels)
    format = "png" if picture.dtype.kind == "u" and picture.dtype.itemsize <= 2 else "npy"
    to = Destination("-", depth=form.depth, white=form.white, range=form.range)
    try:
        dtype, mode = pixels_of(picture.dtype, 1, False, format, to, picture.pixels)
        found = explain_pixel(picture, rule, at, dtype, mode)
    except ImageError as error:
        raise ImageError(f"{image}: {error}") from None
    boundary.require_stdout(True)
    if as_json:
        click.echo(json.dumps(plain(_as_dict(image, found, at, str(mode)))))
        return boundary.DONE
    for line in _lines(image, found, given, at, sliding, f"{mode}, {dtype}"):
        click.echo(boundary.escaped(line))
    return boundary.DONE


def _one(kernels: "tuple[list[Kernel], ...]") -> "Kernel":
    names = [kernel.name for several in kernels for kernel in several]
    if len(kernels) > 1:
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
    return kernels[0][0]


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
    image: str,
    found: "Explanation",
    given: "Kernel",
    at: tuple[int, int],
    sliding: Sliding,
    mode: str,
) -> Iterator[str]:
    """Yield what a person reads."""
    (row, column), (height, width) = at, found.kernel.shape
    how = "convolved" if sliding.convolve else "correlated"
    beyond = f"; in brackets, beyond its edge: border {sliding.border.spelled}"
    yield f"{image}, {how} with {found.kernel.name}, {height}x{width}: row {row}, column {column}"
    yield (
        f"rows {found.rows[0]} to {found.rows[-1]}, columns {found.columns[0]} to "
        f"{found.columns[-1]} of the image{beyond if found.outside().any() else ''}"
    )
    for channel in found.channels:
        yield ""
        if len(found.channels) > 1:
            yield f"{channel.channel}:"
        yield from _products(found, channel, given if sliding.convolve else None)
        yield from _summed(channel, mode)


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
