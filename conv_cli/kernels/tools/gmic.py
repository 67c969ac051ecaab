"""G'MIC's matrices, as ``correlate`` means them: not flipped, origin ((h-1)//2, (w-1)//2)."""

import re

from conv_cli.errors import ConvError
from conv_cli.io.tables import format_number, rectangle
from conv_cli.kernels.kernel import Kernel
from conv_cli.kernels.tools.typed import Typed


def read_gmic(typed: Typed) -> list[Kernel]:
    """Return the kernel of a matrix in round brackets: commas in rows, semicolons between them."""
    start, end = typed.indent, len(typed.text.rstrip())
    if not typed.text.startswith("(", start):
        raise typed.fault(start, "a matrix such as (0,1,0;1,-4,1;0,1,0)")
    if typed.text[end - 1] != ")":
        raise typed.fault(end, ") at the end")
    inside = typed.part(start + 1, end - 1)
    rows = ([_number(cell) for cell in row.split(",")] for row in inside.split(";"))
    return [Kernel(rectangle(rows), name=typed.label)]


def _number(cell: Typed) -> float:
    if slices := re.search(r"[/^]", cell.text):
        raise cell.fault(
            slices.start(), "a matrix of one slice and one channel, with decimal numbers"
        )
    return cell.number("a number such as -1 or 0.5")


def write_gmic(kernel: Kernel) -> str:
    """Return the matrix for G'MIC's ``correlate``; zeros put another origin into the middle."""
    if kernel.bias != 0:
        raise ConvError(
            f"a matrix of G'MIC's holds no bias, and this one has {kernel.bias:g}; use --bias 0, "
            f"and say add {kernel.bias:g} there"
        )
    weights = kernel.centred("upper").weights
    return f"({';'.join(','.join(map(format_number, row)) for row in weights.tolist())})"
