"""conv-cli explain: one output pixel taken apart."""

import json
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from conv_cli.cli import boundary
from conv_cli.cli.command import Command
from conv_cli.cli.kinds import KernelType, PlaceType
from conv_cli.cli.options import (
    PixelForm,
    Sliding,
    as_json_option,
    max_pixels_option,
    pixel_options,
    sliding_options,
)
from conv_cli.cli.terminal import print_lines
from conv_cli.errors import ImageError
from conv_cli.io.json import plain
from conv_cli.report.matrix_text import matrix_lines, number_text

if TYPE_CHECKING:
    from conv_cli.images import Image
    from conv_cli.kernels.kernel import Kernel
    from conv_cli.pipeline.explain import ChannelSum, Explanation

EPILOG = """\b
Examples
  Every window of a matrix, and the result:
    conv-cli explain "0 1 2; 3 4 5; 6 7 8" -k "0 1; 2 3"
  What makes the pixel in row 100, column 200 of an edge map:
    conv-cli explain photo.jpg -k sobel-x --at 100,200
  The corner, where the window reaches over the edge:
    conv-cli explain photo.jpg -k gaussian:1 --at 0,0 --border reflect
"""
_WIDEST, _LONGEST = 120, 16
"""Characters and lines of what is drawn; of larger kernels the largest products are listed."""
_LISTED = 10
_MOST_SIDE = 12
"""Rows and columns of an image whose windows are all shown."""
_WIDEST_SUM = 100


@click.command(cls=Command, epilog=EPILOG)
@click.argument("image")
@click.option(
    "-k", "--kernel", "kernels", type=KernelType(by_channel=True), required=True, multiple=True,
    metavar="KERNEL", help="One kernel, named as for apply.",
)  # fmt: skip
@click.option(
    "--at",
    type=PlaceType(),
    metavar="ROW,COL",
    help="The pixel of the feature map; both count from 0. Of at most 12x12 pixels it may be left "
    "out: every window is shown in turn, those inside unless there is a --padding.",
)
@sliding_options
@pixel_options
@max_pixels_option
@as_json_option
def explain(
    image: str,
    kernels: "tuple[list[Kernel], ...]",
    at: tuple[int, int] | None,
    sliding: Sliding,
    form: PixelForm,
    max_pixels: int,
    as_json: bool,
) -> int:
    """Show the window, the weights, the products and the sum behind one output pixel of IMAGE.

    IMAGE is a file, - for stdin, or a matrix such as "0 1 2; 3 4 5; 6 7 8". Pixels in brackets lie
    beyond the edge of the image: they are the border's.
    """
    from conv_cli.images import read_image
    from conv_cli.kernels.learned import require_plain
    from conv_cli.pipeline.explain import explain_pixel
    from conv_cli.pipeline.filter import Filter, output_shape
    from conv_cli.pipeline.filter_task import pixels_of
    from conv_cli.pipeline.jobs import STDIO, Destination

    require_plain([_one(kernels)])
    if sliding.channels not in ("each", "gray"):
        raise click.BadParameter(
            "explain takes each, every channel with its sum, or grey", param_hint="--channels"
        )
    opened = boundary.binary(sys.stdin) if image == STDIO else image
    picture = read_image(opened, max_pixels=max_pixels, windows=True)
    if at is None:
        sliding = _every_window(image, picture, sliding)
    rule = Filter(
        sliding.prepared([_one(kernels)]),
        sliding.params,
        bias=sliding.bias,
        gray=sliding.channels == "gray",
        white=form.white,
    )
    format = "png" if picture.dtype.kind == "u" and picture.dtype.itemsize <= 2 else "npy"
    to = Destination("-", depth=form.depth, white=form.white, range=form.range)
    try:
        values = None if picture.windowed else picture.pixels
        dtype, mode = pixels_of(picture.dtype, 1, False, format, to, values)
        rows, columns, _ = output_shape(picture, rule, rule.kernels[0])
        places = [at] if at else [(row, column) for row in range(rows) for column in range(columns)]
        found = [explain_pixel(picture, rule, place, dtype, mode) for place in places]
    except ImageError as error:
        raise ImageError(f"{image}: {error}") from None
    boundary.require_stdout(True)
    if as_json:
        for place, each in zip(places, found, strict=True):
            click.echo(json.dumps(plain(_as_dict(image, each, place, str(mode)))))
        return boundary.DONE
    if at is None:
        print_lines(*map(boundary.escaped, _every_line(image, found, (rows, columns), sliding)))
        return boundary.DONE
    for line in _lines(image, found[0], at, sliding, f"{mode}, {dtype}"):
        click.echo(boundary.escaped(line))
    return boundary.DONE


def _every_window(image: str, picture: "Image", sliding: Sliding) -> Sliding:
    """Return how windows slide that are all shown: inside, unless a padding is given.

    Raises BadParameter if there are too many.
    """
    if max(picture.shape[:2]) > _MOST_SIDE:
        raise click.BadParameter(
            f"missing; give the pixel of the map, as 10,20; without it every window is shown, of "
            f"at most {_MOST_SIDE}x{_MOST_SIDE} pixels, and {image} has "
            f"{picture.shape[0]}x{picture.shape[1]}",
            param_hint="--at",
        )
    source = click.get_current_context().get_parameter_source("padding")
    given = source is not click.core.ParameterSource.DEFAULT
    return sliding if given else sliding._replace(padding="valid")


def _every_line(
    image: str, found: "Sequence[Explanation]", size: tuple[int, int], sliding: Sliding
) -> Iterator[str]:
    """Yield every window in turn, and the map."""
    kernel = found[0].kernel
    how = "convolved" if sliding.convolve else "correlated"
    padding = sliding.padding if isinstance(sliding.padding, str) else "given"
    yield (
        f"{image}, {how} with {kernel.name}, {kernel.shape[0]}x{kernel.shape[1]}: "
        f"{len(found)} windows, padding {padding}"
    )
    for number, each in enumerate(found):
        row, column = divmod(number, size[1])
        for channel in each.channels:
            title = f", {channel.channel}" if len(each.channels) > 1 else ""
            yield from ("", f"row {row}, column {column}{title}")
            yield from _multiplied(each, channel, turned=sliding.convolve)
            yield _sum_line(channel)
    for number, channel in enumerate(found[0].channels):
        title = f", {channel.channel}" if len(found[0].channels) > 1 else ""
        yield from ("", f"result{title}")
        values = [each.channels[number].pixel for each in found]
        yield from matrix_lines([values[i : i + size[1]] for i in range(0, len(values), size[1])])


def _multiplied(found: "Explanation", channel: "ChannelSum", *, turned: bool) -> Iterator[str]:
    """Yield the products of a channel, or of all channels that are summed for it."""
    if not channel.parts:
        yield from _products(found, channel, turned=turned)
    for part in channel.parts:
        yield f"from {part.channel}:"
        yield from _products(found, part, turned=turned)
        yield f"sum {number_text(part.sum)}"


def _sum_line(channel: "ChannelSum") -> str:
    """Return the sum as it is written: 0·0 + 1·1 + 3·2 + 4·3 = 19."""
    total = number_text(channel.value)
    bias = f" + {number_text(channel.bias)}" if channel.bias else ""
    terms = (
        f"{number_text(pixel)}·{_factor(weight)}"
        for pixel, weight in zip(
            channel.window.ravel().tolist(), channel.weights.ravel().tolist(), strict=True
        )
    )
    line = f"{' + '.join(terms)}{bias} = {total}"
    return line if len(line) <= _WIDEST_SUM and channel.opacity is None else f"sum = {total}"


def _factor(weight: float) -> str:
    text = number_text(weight)
    return f"({text})" if text.startswith("-") else text


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
    del values["weights"], values["parts"]
    arrays = {name: values[name].tolist() for name in ("window", "products")}
    opacity = {} if channel.opacity is None else {"opacity": channel.opacity.tolist()}
    return values | arrays | {"opacity": None, **opacity}


def _lines(
    image: str, found: "Explanation", at: tuple[int, int], sliding: Sliding, mode: str
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
        yield from _multiplied(found, channel, turned=sliding.convolve)
        yield from _summed(channel, mode)


def _products(found: "Explanation", channel: "ChannelSum", *, turned: bool) -> Iterator[str]:
    """Yield all products as matrices, or the largest of them."""
    if found.kernel.shape[0] < _LONGEST and found.kernel.shape[1] < _WIDEST:
        drawn = list(_drawn(found, channel, turned=turned))
        if len(drawn[0]) <= _WIDEST and len(drawn[1]) <= _WIDEST:
            yield from drawn
            return
    yield from _listed(found, channel)


def _drawn(found: "Explanation", channel: "ChannelSum", *, turned: bool) -> Iterator[str]:
    """Yield matrices side by side."""
    window = [[f"{value:g}" for value in row] for row in channel.window.tolist()]
    if found.outside().any():
        window = [
            [f"({cell})" if beyond else f"{cell} " for cell, beyond in zip(*rows, strict=True)]
            for rows in zip(window, found.outside().tolist(), strict=True)
        ]
    tables = [("pixels", window)]
    if turned:
        tables.append(("kernel", _cells(channel.weights[::-1, ::-1])))
    tables.append(("turned" if turned else "weights", _cells(channel.weights)))
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
        factors = [channel.window[row, column], channel.weights[row, column]]
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
