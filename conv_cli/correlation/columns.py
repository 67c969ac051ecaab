"""Column GEMM: one band for every column of a kernel, and no copy of the image.

A block of rows, as it lies in the image, is multiplied by the bands of all columns at once; what
they give is added, each one place further::

    kernel of 2 columns a, b:     out[x] = (band of a · rows)[x] + (band of b · rows)[x + 1]

For a few columns that costs less than to copy the rows for each. Kernels of one channel only: the
rows of several do not lie together.
"""

import math
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
_PRODUCT_BYTES = 768 << 10
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
            pieces = self._pieces(image.part(n, slice(0, problem.channels)), tile, scratch)
            values = out[n].reshape(groups, outputs, *tile.shape)
            if whole:
                self._multiply(rows, pieces, values[:, :, :whole], scratch)
            if whole < tile.shape[0]:
                rest = [(place, window[:, whole // rows :]) for place, window in pieces]
                self._multiply(tile.shape[0] - whole, rest, values[:, :, whole:], scratch)
        return out

    def _pieces(
        self, image: PaddedImage, tile: Tile, scratch: Scratch
    ) -> list[tuple[slice, Array]]:
        """Return a tile's window in pieces side by side, each (C, blocks, depth, columns).

        What lies in the image is read where it is, if BLAS can; the border is read around it. The
        blocks overlap, and the last of them may go beyond the window.
        """
        pieces, (first, last) = [], tile.input.columns
        ends = [(first, last)]
        found = None
        if self._problem.in_place and image.dtype == self._dtype:
            found = image.shifted(tile.input.rows, (first, last), 1, 0, 1)
        if found is not None:
            start, stop, views = found
            window = views[:, :, 0].swapaxes(0, 1)
            _, line, item = window.strides
            if item == window.itemsize and line % item == 0 and line >= window.shape[2] * item:
                pieces.append((slice(start - first, stop - first), self._blocks(window)))
                ends = [(first, start), (stop, last)]
        for number, (left, right) in enumerate(ends):
            if left < right:
                shape = (1, self._problem.channels, tile.window[0], right - left)
                window = scratch.array(("left", "right")[number], shape, self._dtype)
                image.read(tile.input.rows, (left, right), window)
                pieces.append((slice(left - first, right - first), self._blocks(window[0])))
        return pieces

    def _blocks(self, window: Array) -> Array:
        """Return the rows of a window (C, rows, columns) that every block of output reads."""
        (channels, rows, columns), (plane, line, item) = window.shape, window.strides
        advance, depth = self._rows * self._problem.params.stride[0], self._bands.shape[-1]
        blocks = -(-(rows - self._problem.span[0] + 1) // advance)
        shape, strides = (channels, blocks, depth, columns), (plane, advance * line, line, item)
        return overlapping(window, shape, strides)

    def _multiply(
        self, rows: int, pieces: list[tuple[slice, Array]], out: Array, scratch: Scratch
    ) -> None:
        """Write blocks of so many rows to out (groups, O/groups, rows, columns)."""
        depth = self._problem.window((rows, 1))[0]
        bands = self._bands[:, :rows, ..., :depth]
        groups, _, outputs, shifts, _ = bands.shape
        columns, width = out.shape[3], max(place.stop for place, _ in pieces)
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
            for place, window in pieces:
                np.matmul(bands[part[0]], window[part][:, :, :depth], out=products[..., place])
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
