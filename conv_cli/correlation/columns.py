"""Column GEMM: one band for every column of a kernel, and no copy of the image.

A block of rows, as it lies in the image, is multiplied by the bands of all columns at once; what
they give is added, each one place further::

    kernel of 2 columns a, b:     out[x] = (band of a · rows)[x] + (band of b · rows)[x + 1]

For a few columns that costs less than to copy the rows for each. Kernels of one channel only: the
rows of several do not lie together.
"""

import math
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

_BANDS = (1, 2, 3, 4)
"""Output rows of a band: BLAS takes more of them for longer than what they save."""
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
        """Return the products with their best band; None where channels have to be added up."""
        outputs, channels = problem.group_shape
        if channels > 1 or (problem.whole and problem.magnitude > 2**53):
            return None
        dtype = accumulator(problem, ("float32", "float64"))
        bands = [band for band in _BANDS if band <= problem.output[0]]
        estimates = {band: costs.columns_ns(problem, dtype.itemsize, band) for band in bands}
        band = min(estimates, key=estimates.__getitem__)
        # Per pixel of a tile: the window, and the results.
        down, across = problem.params.stride
        values = problem.channels * down * across + problem.outputs
        per_pixel = problem.batch * values * dtype.itemsize
        products = band * outputs * problem.kernel[1]
        small = SMALL_PRODUCT // (products * problem.window((band, 1))[0])
        tile = tile_shape(
            problem, per_pixel, estimates[band], unit=(band, 1),
            most=max(LEAST_COLUMNS, (small - problem.span[1]) // across + 1),
        )  # fmt: skip
        width = problem.window(tile)[1]
        one = products * width * dtype.itemsize
        scratch = per_pixel * math.prod(tile) + max(_PRODUCT_BYTES, one)
        if scratch > MOST_BYTES:
            return None
        return make_plan("columns", problem, dtype, tile, estimates[band], scratch, band=band)

    def run(self, image: PaddedImage, tile: Tile, scratch: Scratch, out: Array | None) -> Array:
        """Return the values (N, O, rows, columns) of a tile, in ``out`` if it is given."""
        problem = self._problem
        if out is None:
            shape = (problem.batch, problem.outputs, *tile.shape)
            out = scratch.array("values", shape, self._dtype)
        first, last = tile.output.columns
        for n in range(problem.batch):
            part = image.part(n, slice(0, problem.channels))
            start, stop = first, first
            straight = self._straight(part, tile)
            if straight is not None:
                start, stop, window = straight
                self._correlate(window, out[n, ..., start - first : stop - first], scratch)
            for left, right in ((first, start), (stop, last)):
                if left < right:
                    window = self._read(part, tile, left, right, scratch)
                    self._correlate(window, out[n, ..., left - first : right - first], scratch)
        return out

    def _straight(self, image: PaddedImage, tile: Tile) -> tuple[int, int, Array] | None:
        """Return what BLAS can read of the image where it is.

        Columns of output from one to before another, and their window (C, rows, columns).
        """
        (_, step), (_, gap) = self._problem.params.stride, self._problem.params.dilation
        if image.dtype != self._dtype or not self._problem.in_place:
            return None
        found = image.shifted(
            tile.input.rows, tile.output.columns, self._problem.kernel[1], gap, step
        )
        if found is None:
            return None
        start, stop, views = found
        line, channel, _, item = views.strides
        item //= step
        width = (stop - start - 1) * step + self._problem.span[1]
        shape = (views.shape[1], len(views), width)
        if item != views.itemsize or line % item or line < shape[2] * item:
            return None
        return start, stop, overlapping(views, shape, (channel, line, item))

    def _read(
        self, image: PaddedImage, tile: Tile, left: int, right: int, scratch: Scratch
    ) -> Array:
        """Return the window (C, rows, columns) of some columns of output, with its border."""
        step = self._problem.params.stride[1]
        width = (right - left - 1) * step + self._problem.span[1]
        window = scratch.array(
            "window", (1, self._problem.channels, tile.window[0], width), self._dtype
        )
        image.read(tile.input.rows, (left * step, left * step + width), window)
        return window[0]

    def _correlate(self, window: Array, out: Array, scratch: Scratch) -> None:
        """Write the values of a window (C, rows, columns) to out (O, rows, columns)."""
        groups, rows, outputs, shifts, _ = self._bands.shape
        by_group = out.reshape(groups, outputs, *out.shape[1:])
        blocks, rest = divmod(out.shape[1], rows)
        size = rows * outputs * shifts * window.shape[2] * self._dtype.itemsize
        several = max(1, _PRODUCT_BYTES // size)
        together = max(1, several // max(blocks, 1))
        for group in range(0, groups, together):
            part = slice(group, group + together)
            for block in range(0, blocks, several):
                count = min(several, blocks - block)
                self._multiply(part, block * rows, count, rows, window, by_group, scratch)
            if rest:
                self._multiply(part, blocks * rows, 1, rest, window, by_group, scratch)

    def _multiply(
        self, part: slice, top: int, blocks: int, rows: int, window: Array, out: Array,
        scratch: Scratch,
    ) -> None:  # fmt: skip
        """Write so many blocks of so many rows to out (groups, O/groups, rows, columns)."""
        (down, across), (_, gap) = self._problem.params.stride, self._problem.params.dilation
        window, out = window[part, top * down :], out[part, :, top : top + blocks * rows]
        depth = self._problem.window((rows, 1))[0]
        bands = self._bands[part, :rows, ..., :depth]
        groups, _, outputs, shifts, _ = bands.shape
        channel, line, item = window.strides
        width = window.shape[2]
        operands = overlapping(
            window, (groups, blocks, depth, width), (channel, rows * down * line, line, item)
        )
        products = scratch.array(
            "products", (groups, blocks, rows, outputs, shifts, width), self._dtype
        )
        np.matmul(
            bands.reshape(groups, 1, -1, depth),
            operands,
            out=products.reshape(groups, blocks, -1, width),
        )
        # One place further for every column of the kernel.
        *others, shift, item = products.strides
        shape = (*products.shape[:-1], out.shape[-1])
        further = overlapping(products, shape, (*others, shift + gap * item, across * item))
        by_block = out.reshape(groups, outputs, blocks, rows, -1).transpose(0, 2, 3, 1, 4)
        np.add.reduce(further, axis=4, out=by_block)
