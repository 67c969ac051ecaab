"""conv-cli kernels: look at kernels, make new ones, and carry them to other tools."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from conv_cli.cli import boundary
from conv_cli.cli.command import Command, Group
from conv_cli.cli.kinds import Choice, KernelType, NumberType, SizeType, kernel_files
from conv_cli.cli.options import (
    as_one,
    border_option,
    dilation_option,
    padding_option,
    sliding_params,
    stride_option,
)
from conv_cli.cli.sheets import sheet_option, write_sheet
from conv_cli.cli.terminal import hanging, print_lines, terminal_colours, terminal_size

if TYPE_CHECKING:
    from conv_cli.borders import Border
    from conv_cli.correlation.params import ConvParams
    from conv_cli.kernels.kernel import Kernel, Normalization

TARGETS = (
    "json", "csv", "txt", "npy", "vips", "imagemagick", "gmic", "ffmpeg", "gegl", "opencv", "scipy",
    "pytorch",
)  # fmt: skip
"""The names in the library's table, spelled out so that ``--help`` need not load it."""

_INDENT = 11
"""Where the words of a fact begin."""

EPILOG = """\b
Examples
  conv-cli kernels list
  conv-cli kernels show gaussian:2
  conv-cli kernels convert sobel-x --to imagemagick
  conv-cli kernels convert "ffmpeg:0 -1 0 -1 5 -1 0 -1 0" --to opencv
  conv-cli kernels diff sobel-x imagemagick:Sobel
  conv-cli kernels compose gaussian:1 laplacian -o log.json
  conv-cli kernels rotate kirsch-n 45
"""


def _examples(*lines: str) -> str:
    """Return the end of a command's help."""
    return "\n".join(("\b", "Examples", *(f"  conv-cli kernels {line}" for line in lines)))


class Signed(Command):
    """A command whose arguments may begin with a minus, as `-1 0 1` and `-45` do."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read arguments; a space hides the minus of numbers, which the readers of both strip."""
        hidden = [f" {each}" if _NUMBERS.fullmatch(each) else each for each in args]
        return super().parse_args(ctx, hidden)


_NUMBERS = re.compile(r"-[0-9.][0-9.,;/eE+\s-]*")

one_kernel = click.argument("kernel", type=KernelType(), metavar="KERNEL")
kernel_by_channel = click.argument("kernel", type=KernelType(by_channel=True), metavar="KERNEL")
json_flag = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
output_option = click.option(
    "-o", "--output", metavar="FILE", help="Write there instead of to stdout."
)
force_flag = click.option("-f", "--force", is_flag=True, help="Overwrite an existing file.")


class Changes(NamedTuple):
    """What is done to kernels before anything else."""

    convolve: bool
    normalize: "Normalization"
    bias: float | None

    def made(self, kernels: "list[Kernel]") -> "list[Kernel]":
        """Return the kernels after it."""
        kernels = [kernel.normalized(self.normalize) for kernel in kernels]
        if self.convolve:
            kernels = [kernel.flipped() for kernel in kernels]
        return [kernel if self.bias is None else kernel.with_bias(self.bias)
                for kernel in kernels]  # fmt: skip


change_options = as_one(
    "changes",
    Changes,
    [
        click.option("--convolve", is_flag=True, help="Turn them by 180° first."),
        click.option(
            "--normalize",
            type=Choice(["none", "sum", "abs"]),
            default="none",
            show_default=True,
            help="Divide them by the sum of their weights, or of their magnitudes.",
        ),
        click.option("--bias", type=NumberType(), metavar="B", help="In place of their own bias."),
    ],
)
"""The command gets ``changes: Changes``."""


@click.group(cls=Group, epilog=EPILOG)
def kernels() -> None:
    """List kernels, look at them, and carry them to other tools."""


@kernels.command("list", epilog=_examples("list", "list --json"))
@json_flag
def list_kernels(as_json: bool) -> None:
    """List the built-in kernels, with their parameters."""
    from conv_cli.report.kernel_list import list_entries, list_lines

    boundary.require_stdout(True)
    if as_json:
        _print_json(*list_entries())
    else:
        print_lines(*list_lines(terminal_colours()))


@kernels.command(
    cls=Signed,
    epilog=_examples(
        "show gaussian:2",
        'show "1 0 -1; 2 0 -2; 1 0 -1" -o kernel.png',
        "show freichen --sheet bank.png",
    ),
)
@kernel_by_channel
@change_options
@json_flag
@click.option(
    "-o", "--output", metavar="FILE", help="Draw a heat map of the one kernel there: .png or .html."
)
@sheet_option("All of them")
@force_flag
def show(
    kernel: "list[Kernel]",
    changes: Changes,
    as_json: bool,
    output: str | None,
    sheet: str | None,
    force: bool,
) -> None:
    """Show a kernel: its matrix, sums, symmetry, rank, frequency response and cost."""
    from conv_cli.report.kernel_show import draw, facts_of, matrices, told_lines
    from conv_cli.report.kernel_text import kernel_lines

    shown = changes.made(kernel)
    _check_output(output, force)
    if sheet is not None:
        _check_output(sheet, force)
    if output is not None:
        draw(_single(shown, "-o"), output, force=force)
    drawings = [drawn for each in shown for drawn in matrices(each)]
    if sheet is not None:
        from conv_cli.report.kernel_sheet import kernel_sheet

        members = [drawn.kernel for drawn in drawings]
        title = members[0].name if len(members) == 1 else f"{len(members):,} kernels"
        write_sheet(sheet, kernel_sheet(members, title), force=force)
    boundary.require_stdout(True)
    if as_json:
        _print_json(*(facts_of(drawn.kernel) | drawn.members for drawn in drawings))
        return
    width, height = terminal_size()
    for number, (title, each, _) in enumerate(drawings):
        drawing = kernel_lines(each.weights, width=width, height=height, colours=terminal_colours())
        told = [line for each_line in told_lines(each) for line in hanging(each_line, _INDENT)]
        lead = [boundary.escaped(title), ""] if title else []
        print_lines(*[""][:number], *lead, *drawing, "", *map(boundary.escaped, told))


@kernels.command(
    cls=Signed,
    epilog=_examples(
        "convert sobel-x --to imagemagick", "convert gaussian:1 --to ffmpeg --approximate"
    ),
)
@kernel_by_channel
@click.option("--to", "target", type=Choice(TARGETS), required=True, help="Which tool.")
@change_options
@click.option(
    "--approximate",
    is_flag=True,
    help="Where the tool cannot hold the kernel, the closest that it can; how far that is off is "
    "said.",
)
@output_option
@force_flag
def convert(
    kernel: "list[Kernel]",
    target: str,
    approximate: bool,
    output: str | None,
    force: bool,
    changes: Changes,
) -> None:
    """Write a kernel for another tool, so that the same picture comes out of it."""
    from conv_cli.kernels.learned import require_plain
    from conv_cli.kernels.tools.strings import convert as convert_kernel

    single = _single(changes.made(kernel), "--to")
    if target != "json":
        require_plain([single])
    converted = convert_kernel(single, target, approximate=approximate)
    _deliver(converted.data, output, force)
    if converted.error is not None:
        boundary.say(
            f"{single.name}: approximated; the result differs by at most {converted.error:.3g} of "
            "255 levels"
        )


@kernels.command(
    cls=Signed,
    epilog=_examples("diff sobel-x imagemagick:Sobel", 'diff emboss "2 1 0; 1 1 -1; 0 -1 -2"'),
)
@click.argument("first", type=KernelType(), metavar="KERNEL")
@click.argument("second", type=KernelType(), metavar="KERNEL")
@json_flag
def diff(first: "list[Kernel]", second: "list[Kernel]", as_json: bool) -> int:
    """Tell whether two kernels give the same picture, or how they differ.

    Exits with 0 if they do, with 1 if not.
    """
    from conv_cli.kernels.comparison import difference

    one, other = _single(first, "diff"), _single(second, "diff")
    found = difference(one, other)
    boundary.require_stdout(True)
    if as_json:
        names = {"first": one.name, "second": other.name}
        _print_json(names | found._asdict() | {"moved": list(found.moved)})
    elif found.same:
        click.echo(boundary.escaped(f"{one.name} and {other.name} give the same picture"))
    else:
        lead = f"{other.name} has" if found.other_weights else f"{other.name} is {one.name}"
        click.echo(boundary.escaped(f"{lead} {found.words}"))
        click.echo(f"largest difference on an 8-bit image: {found.largest:.7g} levels")
    return boundary.DONE if found.same else boundary.FAILED


@kernels.command(
    cls=Signed,
    epilog=_examples(
        'dense "0 1; 2 3" --input 3x3 --padding valid -o dense.png',
        "dense sobel-x --input 28x28 -o dense.npz",
    ),
)
@one_kernel
@click.option(
    "--input",
    "size",
    type=SizeType(),
    required=True,
    metavar="HxW",
    help="Rows and columns of the image.",
)
@padding_option
@border_option
@stride_option
@dilation_option
@change_options
@json_flag
@click.option(
    "-o", "--output", metavar="FILE", help="The matrix: drawn, .png, or as sparse rows, .npz."
)
@force_flag
def dense(
    kernel: "list[Kernel]",
    size: tuple[int, int],
    padding: "str | tuple[int, int]",
    border: "Border",
    stride: tuple[int, int],
    dilation: tuple[int, int],
    changes: Changes,
    as_json: bool,
    output: str | None,
    force: bool,
) -> None:
    """Show the dense layer that does what a kernel does, and how many weights it would need.

    A dense layer joins every output pixel to every input pixel by a weight of its own. Local ones
    alone are those of the windows, and if these share them, the kernel's are left.

    In the picture, a row is an output pixel and a column an input pixel; every weight has the
    colour of its place in the kernel, and zeros are blank. An .npz holds data, indices, indptr,
    shape and bias, one an output pixel: y = W x + bias.
    """
    from conv_cli.kernels.learned import require_plain
    from conv_cli.pipeline.dense import counts_of

    single = _single(changes.made(kernel), "dense")
    require_plain([single])
    params = sliding_params(padding, border, stride, dilation)
    _check_output(output, force)
    found, counts = counts_of(single, size, params)
    boundary.require_stdout(True)
    if output is not None:
        _write_dense(single, size, params, output, force)
    if as_json:
        _print_json({"kernel": single.name, "input": list(size), "output": list(found),
                     **counts._asdict()})  # fmt: skip
        return
    joined = [f"{h}x{w}" for h, w in (size, found, single.shape)]
    rows = [
        ("dense", f"{counts.dense:,}", f"every pixel of {joined[0]} to every pixel of {joined[1]}"),
        ("local", f"{counts.local:,}", f"{joined[2]} for each pixel of {joined[1]}"),
        ("shared", f"{counts.shared:,}", f"{joined[2]} for all of them"),
    ]
    wide = max(len(number) for _, number, _ in rows)
    print_lines(*(f"{name:<6}  {number:>{wide}}  {words}" for name, number, words in rows))


def _write_dense(
    kernel: "Kernel", size: tuple[int, int], params: "ConvParams", output: str, force: bool
) -> None:
    """Write the matrix of the dense layer to a file of the format that its name says."""
    from conv_cli.io.files import write_atomically
    from conv_cli.pipeline.dense import dense_layer

    ending = Path(output).suffix.lower()
    if ending == ".npz":
        write_atomically(output, dense_layer(kernel, size, params).write, force=force)
    elif ending == ".png":
        from conv_cli.images import write_image
        from conv_cli.report.dense_picture import check_drawable, dense_picture

        check_drawable(kernel, size, params)
        write_image(output, dense_picture(dense_layer(kernel, size, params), kernel), force=force)
    else:
        raise click.BadParameter(
            f"{output!r} is neither a picture nor a matrix; name it .png or .npz",
            param_hint="--output",
        )


@kernels.command(cls=Signed, epilog=_examples("compose gaussian:1 laplacian -o log.json"))
@click.argument("several", type=KernelType(), nargs=-1, required=True, metavar="KERNEL...")
@change_options
@output_option
@force_flag
def compose(
    several: "tuple[list[Kernel], ...]", changes: Changes, output: str | None, force: bool
) -> None:
    """Make one kernel that does what a chain of them does, the first one first."""
    from conv_cli.kernels.learned import require_plain
    from conv_cli.kernels.operations import composed

    chain = [each for kernel in several for each in changes.made(kernel)]
    require_plain(chain)
    _write(composed(chain), output, force)


@kernels.command(
    cls=Signed, epilog=_examples("rotate kirsch-n 45", "rotate edge.json -90 -o edge-down.json")
)
@one_kernel
@click.argument("angle", type=NumberType(), metavar="ANGLE")
@change_options
@output_option
@force_flag
def rotate(
    kernel: "list[Kernel]", angle: float, changes: Changes, output: str | None, force: bool
) -> None:
    """Turn a kernel by ANGLE degrees counter-clockwise: multiples of 90, of 45 for odd squares."""
    from conv_cli.kernels.operations import rotated

    single = _single(changes.made(kernel), "ANGLE")
    _write(rotated(single, -_eighths(angle)), output, force)


def _eighths(angle: float) -> int:
    if angle % 45:
        raise click.BadParameter(
            f"{angle:g} is no multiple of 45 degrees; give one", param_hint="ANGLE"
        )
    return int(angle) // 45


def _single(kernels: "list[Kernel]", asker: str) -> "Kernel":
    if len(kernels) != 1:
        names = ", ".join(kernel.name for kernel in kernels[:8])
        raise click.BadParameter(
            f"{asker} takes one kernel, and this is a set of {len(kernels)} ({names}); name one",
            param_hint="KERNEL",
        )
    return kernels[0]


def _write(kernel: "Kernel", output: str | None, force: bool) -> None:
    """Write a kernel in the format of its file's name, as JSON to stdout."""
    from conv_cli.kernels.formats import dump_kernel

    ending = ".json" if output in (None, "-") else Path(str(output)).suffix
    _deliver(dump_kernel(kernel, ending), output, force)


def _check_output(output: str | None, force: bool) -> None:
    """Refuse an output that could not be written, or that a kernel is read from."""
    from conv_cli.io.files import check_target

    if output is not None and output != "-":
        check_target(output, force=force, inputs=kernel_files(click.get_current_context()))


def _deliver(data: bytes, output: str | None, force: bool) -> None:
    if output is not None and output != "-":
        from conv_cli.io.files import write_bytes

        _check_output(output, force)
        write_bytes(output, data, force=force)
        return
    boundary.require_stdout(True)
    boundary.binary(sys.stdout).write(data)


def _print_json(*objects: dict[str, Any]) -> None:
    import json

    for each in objects:
        click.echo(json.dumps(each))
