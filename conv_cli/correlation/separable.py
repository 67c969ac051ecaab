"""Two 1-D passes for each term of a kernel that is a sum of columns times rows.

Both passes are products with a band that holds the factor once per output row or column, so that
BLAS does all the work: the columns' band from the left, the rows' band from the right::

    out = band_of_column · window · band_of_rowᵀ

The window is cut into overlapping blocks of rows, then of columns, which costs no copy.
"""

from itertools import product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.borders import PaddedImage
from conv_cli.correlation import costs
from conv_cli.correlation.bank import bank_of
from conv_cli.correlation.engine import overlapping
from conv_cli.correlation.plan import BANDS, MOST_BYTES, Plan, accumulator, make_plan, tile_shape
from conv_cli.correlation.problem import Problem, Tile
from conv_cli.parallel.scratch import Scratch

Array = npt.NDArray[Any]

_ROWS = 32
"""Rows of one product along rows: more of them lie too far apart for the cache."""

_BLOCKS = (16, 32, 48, 64)
"""Output columns that one banded product of a pass along rows may cover."""


class Bands(NamedTuple):
    """One term, its factors spread out.

    column : ndarray, shape (R, window rows of R)
    row : ndarray, shape (window columns of B, B)
    """

    column: Array
    row: Array


class Workspace(NamedTuple):
    """Scratch for tiles of one shape.

    window : ndarray, shape (rows, columns). What the tile reads, whole blocks both ways: what lies
        behind the image is zero.
    across : ndarray, shape (blocks, depth, columns). The window in overlapping blocks of rows, as
        the first pass reads it.
    between : ndarray, shape (blocks, R, columns). What that pass writes.
    down : list of ndarray, shape (row blocks, blocks, rows, depth). The same in overlapping blocks
        of columns, as the second pass reads it: whole row blocks, and the rest of the rows.
    result : ndarray, shape (rows, columns). What that pass writes, where it cannot write to the
        output.
    """

    window: Array
    across: Array
    between: Array
    down: list[Array]
    result: Array


class Separable:
    """The passes of a problem whose kernels have factors."""

    def __init__(self, weights: Array, problem: Problem, plan: Plan) -> None:
        self._problem, self._plan = problem, plan
        several = bank_of(weights).terms(problem.dtype, whole=problem.whole)
        self._terms = [[self._spread(*term) for term in terms] for terms in several]

    def _spread(self, column: Array, row: Array) -> Bands:
        (down, across), (row_gap, column_gap) = (
            self._problem.params.stride,
            self._problem.params.dilation,
        )
        left = _band(column, self._plan.band, down, row_gap)
        right = _band(row, self._plan.block, across, column_gap).T
        return Bands(left.astype(self._plan.dtype), np.ascontiguousarray(right, self._plan.dtype))

    @staticmethod
    def plan(problem: Problem) -> Plan | None:
        """Return the passes; None where there are no factors, or floats could not hold the sums."""
        if not problem.rank or (problem.whole and problem.magnitude > 2**53):
            return None
        # What one pass rounds, the other may find to be most of the rest.
        dtype = accumulator(problem, ("float32", "float64"), least_balance=0.05)
        estimates = {
            (band, block): costs.separable_ns(problem, dtype.itemsize, band, block)
            for band, block in product(BANDS, _BLOCKS)
        }
        band, block = min(estimates, key=estimates.__getitem__)
        # Per pixel of a tile: the window, what lies between the passes, and the results.
        values = problem.params.stride[0] * problem.params.stride[1] + problem.params.stride[1] + 1
        per_pixel = values * dtype.itemsize + problem.batch * problem.outputs * dtype.itemsize
        cost = estimates[band, block]
        # What is copied first is there a third time while the first pass reads it.
        share = per_pixel if problem.in_place else 2 * per_pixel
        tile = tile_shape(problem, share, cost, unit=(_ROWS, block))
        height, width = problem.window(tile)
        scratch = per_pixel * height * width
        if scratch > MOST_BYTES:
            return None
        return make_plan("separable", problem, dtype, tile, cost, scratch, band=band, block=block)

    def run(self, image: PaddedImage, tile: Tile, scratch: Scratch, out: Array | None) -> Array:
        """Return the values (N, O, rows, columns) of a tile, in ``out`` if it is given."""
        problem, (height, width) = self._problem, tile.window
        workspace = scratch.cached(
            ("workspace", tile.shape), lambda: self._workspace(tile, scratch)
        )
        if out is None:
            shape = (problem.batch, problem.outputs, *tile.shape)
            out = scratch.array("values", shape, self._plan.dtype)
        per_group, _ = problem.group_shape
        for n in range(problem.batch):
            for o, terms in enumerate(self._terms):
                if o % per_group == 0:
                    part = image.part(n, slice(o // per_group, o // per_group + 1))
                    part.read(*tile.input, workspace.window[None, None, :height, :width])
                self._add_up(terms, workspace, out[n, o])
        return out

    def _workspace(self, tile: Tile, scratch: Scratch) -> Workspace:
        """Return the scratch of tiles of this shape."""
        problem, plan, (rows, columns) = self._problem, self._plan, tile.shape
        blocks, places = -(-rows // plan.band), -(-columns // plan.block)
        height, width = problem.window((blocks * plan.band, places * plan.block))
        window = scratch.array("window", (height, width), plan.dtype)
        window[tile.window[0] :] = 0
        window[:, tile.window[1] :] = 0
        between = scratch.array("between", (blocks, plan.band, width), plan.dtype)
        result = scratch.array("result", (rows, places * plan.block), plan.dtype)
        line, item = window.strides
        depth_rows, depth_columns = problem.window((plan.band, plan.block))
        step = plan.band * problem.params.stride[0] * line
        across = overlapping(window, (blocks, depth_rows, width), (step, line, item))
        step = plan.block * problem.params.stride[1] * item
        down = [
            overlapping(
                between.reshape(-1, width)[part],
                (count, places, high, depth_columns),
                (high * line, step, line, item),
            )
            for part, count, high in _row_blocks(rows)
        ]
        return Workspace(window, across, between, down, result)

    def _add_up(self, terms: list[Bands], workspace: Workspace, out: Array) -> None:
        """Write the sum of both passes of each term to the output (rows, columns)."""
        fits = out.shape == workspace.result.shape
        for number, (column, row) in enumerate(terms):
            np.matmul(column, workspace.across, out=workspace.between)
            target = out if fits and not number else workspace.result
            for views, (part, count, high) in zip(
                workspace.down, _row_blocks(len(out)), strict=True
            ):
                by_block = target[part].reshape(count, high, -1, self._plan.block).swapaxes(1, 2)
                np.matmul(views, row, out=by_block)
            if number:
                out += workspace.result[:, : out.shape[1]]
            elif not fits:
                out[...] = workspace.result[:, : out.shape[1]]


def _row_blocks(rows: int) -> list[tuple[slice, int, int]]:
    """Return parts of some rows, how many blocks each part has, and how many rows a block.

    Some rows at a time are taken from left to right, so that memory is read in its order.
    """
    count, rest = divmod(rows, _ROWS)
    whole = (slice(0, rows - rest), count, _ROWS)
    return ([whole] if count else []) + ([(slice(rows - rest, rows), 1, rest)] if rest else [])


def _band(factor: Array, places: int, stride: int, dilation: int) -> Array:
    """Return (places, window): the factor, one stride further in each row."""
    width = (places - 1) * stride + (len(factor) - 1) * dilation + 1
    band = np.zeros((places, width))
    for place in range(places):
        start = place * stride
        band[place, start : start + (len(factor) - 1) * dilation + 1 : dilation] = factor
    return band
