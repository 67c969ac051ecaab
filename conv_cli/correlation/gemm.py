"""Banded GEMM: the kernel written once per output row into a band, so that BLAS does all the work.

The window's rows are laid out with their kw horizontal shifts side by side, row after row. Any R
output rows then need one contiguous block of that layout, times the same matrix::

    band (2 rows of output, kernel of 2 rows a, b):     layout:
        [ a b 0 ]                                           [ row 0, shifted 0 … kw-1 ]
        [ 0 a b ]                                           [ row 1, shifted 0 … kw-1 ]
                                                            [ row 2, shifted 0 … kw-1 ]

More outputs are more rows of the band, more channels more columns; stride and dilation only change
which rows and shifts are taken. Blocks overlap, so one batched product covers a whole tile.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from conv_cli.correlation.plan import Plan, Problem
from conv_cli.correlation.scratch import Scratch

Prepared = npt.NDArray[Any]
"""The bands, shape (groups, R·O/groups, depth): a row for each output row and output, a column for
each input row, channel and shift."""


def prepare(weights: npt.NDArray[Any], problem: Problem, plan: Plan) -> Prepared:
    """Return the band of every group."""
    outputs, channels = problem.group_shape
    kernel_rows, kernel_columns = problem.kernel
    window_rows = problem.window((plan.band_rows, 1))[0]
    band = np.zeros(
        (problem.groups, plan.band_rows, outputs, window_rows, channels, kernel_columns), plan.dtype
    )
    grouped = weights.reshape(problem.groups, outputs, channels, kernel_rows, kernel_columns)
    for row in range(plan.band_rows):
        for i in range(kernel_rows):
            source = row * problem.stride[0] + i * problem.dilation[0]
            band[:, row, :, source] = grouped[:, :, :, i]
    return band.reshape(problem.groups, plan.band_rows * outputs, -1)


def run(
    window: npt.NDArray[Any], bands: Prepared, problem: Problem, plan: Plan, scratch: Scratch
) -> npt.NDArray[Any]:
    """Return the tile of output, shape (N, O, rows, columns), that a window (N, C, h, w) gives."""
    batch, (outputs, channels) = window.shape[0], problem.group_shape
    rows = (window.shape[2] - problem.span[0]) // problem.stride[0] + 1
    columns = (window.shape[3] - problem.span[1]) // problem.stride[1] + 1
    blocks = -(-rows // plan.band_rows)
    # The last block may reach below the window; what it computes there is cut off again.
    laid_rows = (blocks - 1) * plan.band_rows * problem.stride[0] + problem.window(
        (plan.band_rows, 1)
    )[0]
    layout = scratch.array("layout", (laid_rows, channels, problem.kernel[1], columns), plan.dtype)
    layout[window.shape[2] :] = 0
    result = scratch.array(
        "result",
        (batch, problem.groups, blocks, plan.band_rows * outputs, columns),
        plan.dtype,
    )
    for n in range(batch):
        for group in range(problem.groups):
            own = window[n, group * channels : (group + 1) * channels].swapaxes(0, 1)
            _lay_out(own, problem, layout)
            operands = _overlapping_blocks(layout, blocks, bands.shape[2], problem, plan)
            np.matmul(bands[group], operands, out=result[n, group])
    by_row = result.reshape(batch, problem.groups, blocks * plan.band_rows, outputs, columns)
    values = by_row[:, :, :rows].transpose(0, 1, 3, 2, 4)
    if problem.groups == 1:
        return values[:, 0]
    return values.reshape(batch, problem.outputs, rows, columns)


def _lay_out(window: npt.NDArray[Any], problem: Problem, layout: npt.NDArray[Any]) -> None:
    """Write the shifted copies of a window (rows, channels, columns) into the layout."""
    step, dilation = problem.stride[1], problem.dilation[1]
    rows, reach = window.shape[0], (layout.shape[3] - 1) * step + 1
    for j in range(problem.kernel[1]):
        layout[:rows, :, j] = window[:, :, j * dilation : j * dilation + reach : step]


def _overlapping_blocks(
    layout: npt.NDArray[Any], blocks: int, depth: int, problem: Problem, plan: Plan
) -> npt.NDArray[Any]:
    """Return the layout as (blocks, depth, columns), each block one band further down; no copy."""
    line = layout.strides[2]
    advance = plan.band_rows * problem.stride[0] * layout.strides[0]
    return np.lib.stride_tricks.as_strided(
        layout, (blocks, depth, layout.shape[3]), (advance, line, layout.itemsize), writeable=False
    )
