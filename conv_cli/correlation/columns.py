"""Column GEMM: one band for every column of a kernel, and no copy of the image.

A block of rows, as it lies in the image, is multiplied by the bands of all columns at once; what
they give is added, each one place further::

    kernel of 2 columns a, b:     out[x] = (band of a · rows)[x] + (band of b · rows)[x + 1]

For a few columns that costs less than to copy the rows for each. Kernels of one channel only: the
rows of several do not lie together.
"""

import math
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from conv_cli.borders import PaddedImage
from conv_cli.correlation import costs
from conv_cli.correlation.engine import overlapping
from conv_cli.correlation.plan import (
    LEAST_COLUMNS,
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

_ROWS = 2
"""Output rows of a band: more of them make products that BLAS is slower at."""
_PRODUCT_BYTES = 1 << 20
"""What one call writes before it is added up: about half a core's cache."""


class Columns:
    """Products of a problem with a band for every column of its kernels."""

    def __init__(self, weights: Array, problem: Problem, plan: Plan) -> None:
        self._problem, self._dtype, self._rows = problem, plan.dtype, plan.band
        self._bands = self._spread(weights[:, 0])

    def _spread(self, weights: Array) -> Array:
        """Return the bands, shape (groups, R, O/groups, kw, window rows of R)."""
        problem, (rows, columns) = self._problem, self._problem.kernel
        depth = problem.window((self._rows, 1))[0]
        bands = np.zeros((self._rows, problem.outputs, columns, depth), self._dtype)
        for row in range(self._rows):
            for i in range(rows):
                source = row * problem.params.stride[0] + i * problem.params.dilation[0]
                bands[row, :, :, source] = weights[:, i]
        shape = (self._rows, problem.params.groups, -1, columns, depth)
        return np.ascontiguousarray(bands.reshape(shape).swapaxes(0, 1))

    @staticmethod
    def plan(problem: Problem) -> Plan | None:
        """Return the products with a band of some rows; None where channels have to be added up."""
        outputs, channels = problem.group_shape
        if channels > 1 or (problem.whole and problem.magnitude > 2**53):
            return None
        dtype = accumulator(problem, ("float32", "float64"))
        band = min(_ROWS, problem.output[0])
        cost = costs.columns_ns(problem, dtype.itemsize, band)
        # Per pixel of a tile: the window, and the results.
        down, across = problem.params.stride
        values = problem.channels * down * across + problem.outputs
        per_pixel = problem.batch * values * dtype.itemsize
        products = band * outputs * problem.kernel[1]
        small = SMALL_PRODUCT // (products * problem.window((band, 1))[0])
        tile = tile_shape(
            problem, per_pixel, cost, unit=(band, 1),
            most=max(LEAST_COLUMNS, (small - problem.span[1]) // across + 1),
        )  # fmt: skip
        width = problem.window(tile)[1]
        one = products * width * dtype.itemsize
        scratch = per_pixel * math.prod(tile) + max(_PRODUCT_BYTES, one)
        if scratch > MOST_BYTES:
            return None
        return make_plan("columns", problem, dtype, tile, cost, scratch, band=band)

    def run(self, image: PaddedImage, tile: Tile, scratch: Scratch, out: Array | None) -> Array:
        """Return the values (N, O, rows, columns) of a tile, in ``out`` if it is given."""
        problem = self._problem
        groups, rows, outputs, _, _ = self._bands.shape
        if out is None:
            shape = (problem.batch, problem.outputs, *tile.shape)
            out = scratch.array("values", shape, self._dtype)
        whole = tile.shape[0] // rows * rows
        for n in range(problem.batch):
            part = image.part(n, slice(0, problem.channels))
            for columns, window in self._pieces(part, tile, scratch):
                values = out[n, ..., columns].reshape(groups, outputs, tile.shape[0], -1)
                if whole:
                    first = window[:, : whole // rows]
                    self._multiply(rows, first, values[:, :, :whole], scratch)
                if whole < tile.shape[0]:
                    last = window[:, whole // rows :]
                    self._multiply(tile.shape[0] - whole, last, values[:, :, whole:], scratch)
        return out

    def _pieces(
        self, image: PaddedImage, tile: Tile, scratch: Scratch
    ) -> Iterator[tuple[slice, Array]]:
        """Yield pieces of a tile side by side: columns of output, and the blocks of their window.

        What lies in the image is read where it is, if BLAS can; the border is read around it.
        """
        problem, (first, last) = self._problem, tile.output.columns
        (_, step), (_, gap) = problem.params.stride, problem.params.dilation
        ends, found = [(first, last)], None
        if problem.in_place and image.dtype == self._dtype:
            found = image.shifted(tile.input.rows, (first, last), problem.kernel[1], gap, step)
        if found is not None:
            start, stop, views = found
            line, plane, _, item = views.strides
            width, size = (stop - start - 1) * step + problem.span[1], views.itemsize
            if item == step * size and line % size == 0 and line >= width * size:
                shape, strides = (problem.channels, tile.window[0], width), (plane, line, size)
                window = overlapping(views, shape, strides)
                yield slice(start - first, stop - first), self._blocks(window)
                ends = [(first, start), (stop, last)]
        for left, right in ends:
            if left < right:
                width = (right - left - 1) * step + problem.span[1]
                shape = (problem.channels, tile.window[0], width)
                window = scratch.array("window", (1, *shape), self._dtype)
                image.read(tile.input.rows, (left * step, left * step + width), window)
                yield slice(left - first, right - first), self._blocks(window[0])

    def _blocks(self, window: Array) -> Array:
        """Return the rows of a window (C, rows, columns) that every block of output reads.

        Shape (C, blocks, rows of one, columns); the last may go beyond the window.
        """
        (channels, rows, columns), (plane, line, item) = window.shape, window.strides
        advance, depth = self._rows * self._problem.params.stride[0], self._bands.shape[-1]
        blocks = -(-(rows - self._problem.span[0] + 1) // advance)
        shape, strides = (channels, blocks, depth, columns), (plane, advance * line, line, item)
        return overlapping(window, shape, strides)

    def _multiply(self, rows: int, window: Array, out: Array, scratch: Scratch) -> None:
        """Write blocks, each of so many rows, to out (groups, O/groups, rows, columns)."""
        depth = self._problem.window((rows, 1))[0]
        bands = self._bands[:, :rows, ..., :depth]
        groups, _, outputs, shifts, _ = bands.shape
        columns, width = out.shape[3], window.shape[3]
        blocks = out.shape[2] // rows
        by_block = out.reshape(groups, outputs, blocks, rows, columns).transpose(0, 2, 3, 1, 4)
        bands = bands.reshape(groups, 1, -1, depth)
        count = max(1, _PRODUCT_BYTES // (bands.shape[2] * width * self._dtype.itemsize))
        together, count = max(1, count // blocks), min(count, blocks)
        for group, block in product(range(0, groups, together), range(0, blocks, count)):
            part = slice(group, group + together), slice(block, block + count)
            target = by_block[part]
            shape = (*target.shape[:4], shifts, width)
            products, further = self._products(shape, columns, scratch)
            np.matmul(bands[part[0]], window[part][:, :, :depth], out=products)
            np.add.reduce(further, axis=4, out=target)

    def _products(
        self, shape: tuple[int, ...], columns: int, scratch: Scratch
    ) -> tuple[Array, Array]:
        """Return where products go, and the same with every column of a kernel one place further.

        shape : (groups, blocks, R, O/groups, kw, columns of the window)
        """

        def views() -> tuple[Array, Array]:
            (_, across), (_, gap) = self._problem.params.stride, self._problem.params.dilation
            products = scratch.array("products", shape, self._dtype)
            *others, shift, item = products.strides
            strides = (*others, shift + gap * item, across * item)
            further = overlapping(products, (*shape[:-1], columns), strides)
            return products.reshape(*shape[:2], -1, shape[-1]), further

        return scratch.cached(("products", shape), views)
