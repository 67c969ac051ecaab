"""The matrix of a dense layer drawn: each weight in the colour of its place in the kernel."""

import colorsys

import numpy as np
import numpy.typing as npt

from conv_cli.correlation.params import ConvParams, Pair
from conv_cli.errors import KernelError
from conv_cli.kernels.kernel import Kernel
from conv_cli.pipeline.dense import DenseLayer, counts_of
from conv_cli.report.kernel_picture import cell_side, rule, write_numbers

Pixels = npt.NDArray[np.uint8]

MAX_SIDE = 4096
"""Rows and columns of a matrix that is drawn, one pixel a weight."""
_PAPER, _MARGIN = 255, 16
_LINE = 200
"""Grey of the frame around the matrix."""


def check_drawable(kernel: Kernel, input: Pair, params: ConvParams) -> None:
    """Raise KernelError for a matrix that is too large for a picture, with an input that fits."""
    output, _ = counts_of(kernel, input, params)
    rows, columns = output[0] * output[1], input[0] * input[1]
    if max(rows, columns) > MAX_SIDE:
        raise KernelError(
            f"kernel {kernel.name}: the matrix has {rows:,} rows and {columns:,} columns, and a "
            f"picture at most {MAX_SIDE:,} of each; give --input {_fitting(kernel, params)}, or "
            "-o FILE.npz"
        )


def _fitting(kernel: Kernel, params: ConvParams) -> str:
    """Return the largest square input whose matrix can be drawn."""
    side = 64
    while side > 1:
        output, _ = counts_of(kernel, (side, side), params)
        if output[0] * output[1] <= MAX_SIDE:
            break
        side -= 1
    return f"{side}x{side}"


def dense_picture(layer: DenseLayer, kernel: Kernel) -> Pixels:
    """Return the kernel, each weight in a colour of its own, and below it the matrix in these.

    Zeros are blank. Weights are written where there is room. Shape (H, W, 3), uint8.
    """
    palette = _palette(kernel.shape)
    legend = _drawn(
        kernel.weights,
        np.where(kernel.weights[..., None] == 0, _PAPER, palette.reshape(*kernel.shape, 3)),
        min(cell_side(kernel.shape), 48),
    )
    cell = max(1, min(cell_side(layer.shape), 48))
    places = layer.scattered(layer.places, -1)
    coloured = np.concatenate([palette, np.full((1, 3), _PAPER, np.uint8)])[places]
    matrix = _drawn(layer.scattered(layer.data, 0.0), coloured, cell)
    height = len(legend) + len(matrix) + 3 * _MARGIN
    width = max(legend.shape[1], matrix.shape[1]) + 2 * _MARGIN
    paper = np.full((height, width, 3), _PAPER, np.uint8)
    for top, part in ((_MARGIN, legend), (len(legend) + 2 * _MARGIN, matrix)):
        paper[top : top + len(part), _MARGIN : _MARGIN + part.shape[1]] = part
    return paper


def _drawn(weights: npt.NDArray[np.float64], cells: npt.NDArray[np.uint8], cell: int) -> Pixels:
    """Return cells enlarged, with numbers and lines where there is room, in a frame."""
    cells = cells.astype(np.uint8)
    drawn = cells.repeat(cell, axis=0).repeat(cell, axis=1)
    write_numbers(drawn, weights, cell, cells, blank_zeros=True)
    rule(drawn, cell, _LINE)
    return np.pad(drawn, ((1, 1), (1, 1), (0, 0)), constant_values=_LINE)


def _palette(shape: Pair) -> npt.NDArray[np.uint8]:
    """Return a colour for each place of a kernel: hues around the circle, lighter row by row."""
    rows, columns = shape
    count = rows * columns
    colours = [
        colorsys.hls_to_rgb(place / count, 0.45 + 0.3 * (place // columns % 2), 0.85)
        for place in range(count)
    ]
    return np.rint(np.array(colours) * 255).astype(np.uint8)
