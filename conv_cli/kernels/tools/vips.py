"""libvips' text matrices, ``.mat``: a scale, an offset, and the origin at (height//2, width//2).

Line 1 is ``WIDTH HEIGHT [SCALE [OFFSET]]``, the rows follow.
"""

import numpy as np

from conv_cli.errors import ConvError
from conv_cli.io.tables import format_number, lines, parse_number, parse_table
from conv_cli.io.text import shown
from conv_cli.kernels.kernel import MAX_WEIGHTS, Kernel
from conv_cli.kernels.rational import as_rational

_MOST_SCALE = 1_000_000


def read_mat(text: str, label: str) -> Kernel:
    """Return the kernel of a matrix: weights divided by the scale, the offset as bias.

    Raises ConvError if line 1 is malformed, the rows are not what it announces, or a number is
    none.
    """
    # What may stand between two numbers in libvips: white space, commas and quotation marks.
    rest = lines(text.replace(",", " ").replace('"', " "))
    width, height, scale, offset = _header(next(rest, ""))
    weights = parse_table(line.split(None, MAX_WEIGHTS) for line in rest)
    if weights.shape != (height, width):
        rows, columns = weights.shape
        raise ConvError(
            f"line 1 announces {height} rows of {width} numbers, but {rows} rows of {columns} "
            "follow"
        )
    with np.errstate(over="ignore"):  # Kernel refuses what is not finite, and says where it is
        weights /= scale
    return Kernel(weights, bias=offset, origin=(height // 2, width // 2), name=label)


def write_mat(kernel: Kernel) -> str:
    """Return the matrix; zeros put another origin into its middle, a scale keeps numbers whole."""
    kernel = kernel.centred("lower")
    weights, scale = kernel.weights, 1
    whole = as_rational(weights, _MOST_SCALE)
    if whole is not None and np.array_equal(whole.numerators / whole.divisor, weights):
        weights, scale = whole
    rows, columns = kernel.shape
    head = f"{columns} {rows} {scale} {format_number(kernel.bias)}"
    body = (" ".join(map(format_number, row)) for row in weights.tolist())
    return "\n".join([head, *body, ""])


def _header(line: str) -> tuple[int, int, float, float]:
    """Return width, height, scale and offset from the first line."""
    words = line.split(None, 4)
    try:
        numbers = [parse_number(word) for word in words + ["1", "0"][len(words) - 2 :]]
        width, height, scale, offset = numbers
        whole = width.is_integer() and height.is_integer() and min(width, height) >= 1
    except ValueError:
        whole, scale = False, 0.0
    if not whole or scale == 0:
        raise ConvError(
            f"line 1 is {shown(line)}, expected WIDTH HEIGHT [SCALE [OFFSET]] with whole sizes "
            "from 1 and a scale that is not 0"
        )
    return int(width), int(height), scale, offset
