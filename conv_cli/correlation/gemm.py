"""Banded GEMM: the kernel written once per output row into a band, so that BLAS does all the work.

The window's rows are laid out with their kw horizontal shifts side by side, row after row, straight
from the image. Any R output rows then need one contiguous block of that layout, times the same
matrix::

    band (2 rows of output, kernel of 2 rows a, b):     layout:
        [ a b 0 ]                                           [ row 0, shifted 0 … kw-1 ]
        [ 0 a b ]                                           [ row 1, shifted 0 … kw-1 ]
                                                            [ row 2, shifted 0 … kw-1 ]

More outputs are more rows of the band, more channels more columns; stride and dilation only change
which rows and shifts are taken. Blocks overlap, so one batched product covers a whole tile.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.borders import PaddedImage
from conv_cli.correlation import costs
from conv_cli.correlation.engine import overlapping
from conv_cli.correlation.plan import (
    BANDS,
    CALLS,
    LEAST_COLUMNS,
    LEAST_ROWS,
    MOST_BYTES,
    SMALL_PRODUCT,
    Plan,
    accumulator,
    make_plan,
    tile_shape,
)
from conv_cli.correlation.problem import Problem, Tile
from conv_cli.parallel.scratch import Scratch

Array = npt.NDArray[Any]


class Gemm:
    """Banded products of a problem."""

    def __init__(self, weights: Array, problem: Problem, plan: Plan) -> None:
        self._problem, self._dtype, self._rows = problem, plan.dtype, plan.band
        self._depth_rows = problem.window((plan.band, 1))[0]
        self._bands = self._spread(weights)

    def _spread(self, weights: Array) -> Array:
        """Return the bands, shape (groups, R·O/groups, depth).

        There is a row for each output row and output, a column for each input row, channel and
        shift.
        """
        problem, (outputs, channels) = self._problem, self._problem.group_shape
        kernel_rows, shifts = problem.kernel
        shape = (problem.params.groups, self._rows, outputs, self._depth_rows, channels, shifts)
        band = np.zeros(shape, self._dtype)
        grouped = weights.reshape(problem.params.groups, outputs, channels, kernel_rows, shifts)
        for row in range(self._rows):
            for i in range(kernel_rows):
                source = row * problem.params.stride[0] + i * problem.params.dilation[0]
                band[:, row, :, source] = grouped[:, :, :, i]
        return band.reshape(problem.params.groups, self._rows * outputs, -1)

    @staticmethod
    def plan(problem: Problem) -> Plan | None:
        """Return the banded GEMM with its best band, or None where it is too large or not exact."""
        if problem.whole and problem.magnitude > 2**53:
            return None
        dtype = accumulator(problem, ("float32", "float64"))
        outputs, channels = problem.group_shape
        rows = 2 * max(LEAST_ROWS, problem.span[0])
        bands = [band for band in BANDS if band == 1 or band <= problem.output[0]]
        estimates = {band: costs.gemm_ns(problem, dtype.itemsize, band, rows) for band in bands}
        band = min(estimates, key=estimates.__getitem__)
        # Per pixel of a tile: the window, the shifted copies of one group, and the result.
        window = problem.window((rows, 1))[0] / rows
        copies = channels * problem.kernel[1] * window
        values = copies + problem.channels * window * problem.params.stride[1] + problem.outputs
        per_pixel = problem.batch * values * dtype.itemsize
        depth = channels * problem.kernel[1] * problem.window((band, 1))[0]
        small = SMALL_PRODUCT // (band * outputs * depth)
        tile = tile_shape(
            problem, per_pixel, estimates[band], unit=(band, 1),
            most=small if small >= LEAST_COLUMNS else None,
        )  # fmt: skip
        scratch = per_pixel * math.prod(tile)
        if scratch > MOST_BYTES:
            return None
        return make_plan(
            "gemm", problem, dtype, tile, estimates[band], scratch,
            band=band, calls=CALLS * problem.params.groups,
        )  # fmt: skip

    def run(self, image: PaddedImage, tile: Tile, scratch: Scratch, out: Array | None) -> Array:
        """Return the values (N, O, rows, columns) of a tile, in ``out`` if it is given."""
        problem, (outputs, channels) = self._problem, self._problem.group_shape
        if out is None:
            out = scratch.array(
                "values", (problem.batch, problem.outputs, *tile.shape), self._dtype
            )
        for n in range(problem.batch):
            for group in range(problem.params.groups):
                first = slice(group * channels, (group + 1) * channels)
                target = out[n, group * outputs : (group + 1) * outputs]
                part = image.part(n, first)
                if not self._multiplied_in_place(part, tile, self._bands[group], target):
                    workspace = scratch.cached(
                        ("workspace", tile.shape), lambda: self._workspace(tile, scratch)
                    )
                    self._lay_out(part, tile, workspace.layout, scratch)
                    self._multiply(self._bands[group], workspace, target)
        return out

    def _multiplied_in_place(self, image: PaddedImage, tile: Tile, band: Array, out: Array) -> bool:
        """Write the product of a kernel of one pixel to out, if BLAS can read the image itself."""
        problem = self._problem
        if problem.span != (1, 1) or self._rows > 1 or image.dtype != self._dtype:
            return False
        found = image.shifted(tile.input.rows, tile.output.columns, 1, 1, 1)
        if problem.params.stride != (1, 1) or not problem.in_place or found is None:
            return False
        pixels = found[2][:, :, 0].swapaxes(0, 1)
        plane, line, item = pixels.strides
        if pixels.shape[1:] != tile.shape or item != pixels.itemsize or plane % item:
            return False
        together = (tile.shape[1] * item, item)
        if (line, item) != together or out.strides[1:] != together or plane < line * len(pixels[0]):
            return False
        flat = overlapping(pixels, (len(pixels), math.prod(tile.shape)), (plane, item))
        np.matmul(band, flat, out=out.reshape(len(out), -1))
        return True

    def _workspace(self, tile: Tile, scratch: Scratch) -> "Workspace":
        """Return the scratch of tiles of this shape."""
        rows, columns = tile.shape
        blocks, advance = -(-rows // self._rows), self._rows * self._problem.params.stride[0]
        outputs, channels = self._problem.group_shape
        # The last block may go beyond the window; what it computes there is cut off again.
        laid_rows = (blocks - 1) * advance + self._depth_rows
        shape = (laid_rows, channels, self._problem.kernel[1], columns)
        layout = scratch.array("layout", shape, self._dtype)
        layout[tile.window[0] :] = 0
        line, _, step, item = layout.strides
        _, products, depth = self._bands.shape
        operands = overlapping(layout, (blocks, depth, columns), (advance * line, step, item))
        # In a product the outputs of one row follow each other, in the result they lie apart.
        straight = rows // self._rows if 1 in (outputs, self._rows) else 0
        rest = scratch.array("products", (blocks - straight, products, columns), self._dtype)
        return Workspace(layout[: tile.window[0]], operands[:straight], operands[straight:], rest)

    def _lay_out(self, image: PaddedImage, tile: Tile, layout: Array, scratch: Scratch) -> None:
        """Write the shifted copies of a window into the layout (rows, channels, shifts, columns).

        Where all shifts of a column lie in the image they are copied straight from there.
        """
        step, gap = self._problem.params.stride[1], self._problem.params.dilation[1]
        shifts, (first, last) = layout.shape[2], tile.output.columns
        ends = [(first, last)]
        straight = image.shifted(tile.input.rows, (first, last), shifts, gap, step)
        if straight is not None:
            start, stop, views = straight
            layout[..., start - first : stop - first] = views
            ends = [(first, start), (stop, last)]
        for left, right in ends:
            if left < right:
                columns = left * step, (right - 1) * step + self._problem.span[1]
                shape = (1, layout.shape[1], tile.window[0], columns[1] - columns[0])
                window = scratch.array("window", shape, image.dtype)
                image.read(tile.input.rows, columns, window)
                _, channel, line, item = window.strides
                shape = (*layout.shape[:3], right - left)
                views = overlapping(window, shape, (line, channel, gap * item, step * item))
                layout[..., left - first : right - first] = views

    def _multiply(self, band: Array, workspace: "Workspace", out: Array) -> None:
        """Write the products to out (outputs, rows, columns)."""
        outputs, rows, columns = out.shape
        straight = len(workspace.straight)
        top = straight * self._rows
        if straight:
            by_row = out[0, :top] if outputs == 1 else out.swapaxes(0, 1)
            np.matmul(band, workspace.straight, out=by_row.reshape(straight, len(band), columns))
        if top < rows:
            np.matmul(band, workspace.rest, out=workspace.products)
            by_row = workspace.products.reshape(-1, outputs, columns).swapaxes(0, 1)
            out[:, top:] = by_row[:, : rows - top]


class Workspace(NamedTuple):
    """Scratch for tiles of one shape.

    layout : ndarray, shape (rows, channels, shifts, columns). The shifted copies of the window.
    straight, rest : ndarray, shape (blocks, depth, columns). The layout in overlapping blocks:
        those whose product is written where it belongs, and those from which it has to be copied.
    products : ndarray, shape (blocks of the rest, rows of a band, columns)
    """

    layout: Array
    straight: Array
    rest: Array
    products: Array
