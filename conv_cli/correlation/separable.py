"""Two 1-D passes for a kernel that is a column times a row: k + k weights a pixel in place of k·k.

Both passes are products with a band that holds the factor once per output row or column, so that
BLAS does all the work: the columns' band from the left, the rows' band from the right::

    out = band_of_column · window · band_of_rowᵀ

The window is cut into overlapping blocks of rows, then of columns, which costs no copy.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from conv_cli.correlation.plan import Plan, Problem
from conv_cli.correlation.scratch import Scratch

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Bands:
    """The factors of one output, spread out.

    Attributes
    ----------
    column : ndarray, shape (R, window rows of R)
    row : ndarray, shape (window columns of R, R)
    """

    column: Array
    row: Array


Prepared = list[Bands]


def factors(weights: Array) -> tuple[Array, Array] | None:
    """Return the column and the row whose product the weights (kh, kw) are, or None.

    A matrix of rank 1 is any of its columns times any of its rows, over the weight where they
    cross; the largest weight is taken, and the product must be right to the last bits of float64.
    """
    weights = weights.astype(np.float64)
    i, j = np.unravel_index(np.abs(weights).argmax(), weights.shape)
    largest = weights[i, j]
    if largest == 0:
        return None
    column, row = weights[:, j], weights[i] / largest
    exact = np.abs(np.outer(column, row) - weights).max() <= 1e-14 * abs(largest)
    return (column, row) if exact else None


def prepare(weights: Array, problem: Problem, plan: Plan) -> Prepared:
    """Return the bands of every output; each must have factors."""
    prepared = []
    for kernel in weights[:, 0]:
        found = factors(kernel)
        assert found is not None
        column, row = (
            _band(factor, plan.band_rows, problem.stride[axis], problem.dilation[axis])
            for axis, factor in enumerate(found)
        )
        prepared.append(Bands(column.astype(plan.dtype), row.T.astype(plan.dtype)))
    return prepared


def _band(factor: Array, places: int, stride: int, dilation: int) -> Array:
    """Return (places, window): the factor, one stride further in each row."""
    width = (places - 1) * stride + (len(factor) - 1) * dilation + 1
    band = np.zeros((places, width))
    for place in range(places):
        start = place * stride
        band[place, start : start + (len(factor) - 1) * dilation + 1 : dilation] = factor
    return band


def run(window: Array, bands: Prepared, problem: Problem, plan: Plan, scratch: Scratch) -> Array:
    """Return the tile of output, shape (N, O, rows, columns), that a window (N, C, h, w) gives.

    The window is read in whole blocks: what lies behind it is taken for zero and cut off again.
    """
    (row_step, column_step), block = problem.stride, plan.band_rows
    rows = (window.shape[2] - problem.span[0]) // row_step + 1
    columns = (window.shape[3] - problem.span[1]) // column_step + 1
    down, across = -(-rows // block), -(-columns // block)
    height, width = problem.window((down * block, across * block))
    padded = scratch.array("padded", (height, width), plan.dtype)
    between = scratch.array("between", (down * block, width), plan.dtype)
    shape = (window.shape[0], problem.outputs, down * block, across * block)
    result = scratch.array("result", shape, plan.dtype)
    padded[window.shape[2] :] = 0
    padded[:, window.shape[3] :] = 0
    per_group, _ = problem.group_shape
    for n in range(len(window)):
        for o, band in enumerate(bands):
            if o % per_group == 0:
                padded[: window.shape[2], : window.shape[3]] = window[n, o // per_group]
            _columns(padded, band.column, between, row_step, down)
            _rows(between, band.row, result[n, o], column_step, across)
    return result[:, :, :rows, :columns]


def _columns(source: Array, band: Array, out: Array, stride: int, blocks: int) -> None:
    """Correlate every column of ``source`` with a factor."""
    places, depth = band.shape
    line, item = source.strides
    views = np.lib.stride_tricks.as_strided(
        source,
        (blocks, depth, source.shape[1]),
        (places * stride * line, line, item),
        writeable=False,
    )
    np.matmul(band, views, out=out.reshape(blocks, places, -1))


def _rows(source: Array, band: Array, out: Array, stride: int, blocks: int) -> None:
    """Correlate every row of ``source`` with a factor."""
    depth, places = band.shape
    line, item = source.strides
    views = np.lib.stride_tricks.as_strided(
        source,
        (blocks, source.shape[0], depth),
        (places * stride * item, line, item),
        writeable=False,
    )
    np.matmul(views, band, out=out.reshape(-1, blocks, places).swapaxes(0, 1))
