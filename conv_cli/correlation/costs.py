"""What every strategy costs on one core, in nanoseconds, from shapes alone.

The constants were measured by tests/benchmarks/calibrate.py: Intel Xeon (Sapphire Rapids,
AVX-512), NumPy 2.4 with OpenBLAS on one thread, 2026-11-25. Only their ratios matter.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from conv_cli.correlation.problem import Problem

_WIDE = {4: 1.0, 8: 2.0}
"""By the bytes of a number: twice as many, half as many numbers in a register."""

STEP_NS = {2: 0.065, 4: 0.16, 8: 0.48}
"""Shift-and-add: one operation on two arrays, by the bytes of a number."""
READ_NS = {2: 0.3, 4: 0.35, 8: 0.8}
"""Shift-and-add: one sample copied out of the image and converted, and its result written."""
SHIFT_NS = 0.37
"""Banded GEMM: one shifted copy of a sample, written once and read by the product."""
MAC_NS: Mapping[int, float] = {
    1: 0.045, 2: 0.029, 4: 0.0145, 8: 0.0125, 16: 0.0115, 32: 0.0115, 64: 0.0140, 128: 0.0135,
}  # fmt: skip
"""One multiply-add in BLAS, by the rows of the matrix on the left; few rows leave it idle."""
WRITE_NS = 0.23
"""Banded GEMM: one value written, whatever the depth of the product."""
ADD_NS = 0.14
"""Column GEMM: one value written and added to those of the other columns."""
COLUMNS_NS = 2.4
"""Column GEMM: what an output costs besides, reading and writing."""
THIN = 1.35
"""How much longer a multiply-add takes in the narrow products of the 1-D passes."""
PASSES_NS = 0.9
"""1-D passes: what an output costs besides, reading and writing."""
TERM_NS = 0.35
"""1-D passes: one term added to those before."""
TRANSFORM_NS = 1.5
"""One point of a window through one pass of an FFT, down or across."""
PRODUCT_NS = 0.5
"""One point of a spectrum times one of a kernel's."""
CALL_NS = 10_000
"""What Python takes for one call of an engine into NumPy."""
CACHED_POINTS = 384 * 384
"""An FFT of more points leaves the cache, and takes more for each doubling."""


def direct_ns(problem: Problem, itemsize: int) -> float:
    """Return the cost of an output pixel by shift-and-add."""
    reads = problem.channels * math.prod(problem.params.stride) * READ_NS[itemsize]
    steps = problem.steps * STEP_NS[itemsize] * _skipping(problem)
    return problem.batch * (reads + steps)


def gemm_ns(problem: Problem, itemsize: int, band: int, tile_rows: int) -> float:
    """Return the cost of an output pixel by banded products."""
    outputs, channels = problem.group_shape
    depth = channels * problem.kernel[1] * problem.window((band, 1))[0]
    shifts = channels * problem.kernel[1] * problem.window((tile_rows, 1))[0] / tile_rows
    copies = shifts * SHIFT_NS * _skipping(problem)
    if (
        problem.span == problem.params.stride == (1, 1)
        and band == 1 < channels
        and problem.in_place
    ):
        copies = 0
    product = outputs * (depth * mac_ns(band * outputs) + WRITE_NS)
    # The outputs of several rows are put into the order of the planes.
    ordered = outputs * WRITE_NS if outputs > 1 and band > 1 else 0
    return problem.batch * problem.params.groups * (copies + product + ordered) * _WIDE[itemsize]


def columns_ns(problem: Problem, itemsize: int, band: int) -> float:
    """Return the cost of an output pixel by products with a band for every column."""
    outputs, columns = problem.group_shape[0], problem.kernel[1]
    depth = problem.window((band, 1))[0]
    # Products are made for every column that is read, and added for those that are wanted.
    reads = problem.window(problem.output)[1] / problem.output[1]
    product = columns * reads * (depth * mac_ns(band * outputs * columns) + ADD_NS)
    work = outputs * (product + COLUMNS_NS)
    return problem.batch * problem.params.groups * work * _WIDE[itemsize]


def _skipping(problem: Problem) -> int:
    """Return how much longer a sample takes to read: every other one, as long as all of them."""
    return min(problem.params.stride[1], 2)


def mac_ns(rows: int) -> float:
    """Return the cost of a multiply-add with so many rows on the left."""
    return MAC_NS[min(1 << int(math.log2(rows)), max(MAC_NS))]


def separable_ns(problem: Problem, itemsize: int, band: int, block: int) -> float:
    """Return the cost of an output pixel by two passes a term."""
    rows, columns = problem.window((band, block))
    # The rows' band is on the right, and its width counts in place of the rows on the left.
    passes = THIN * (rows * mac_ns(band) + columns * mac_ns(block))
    work = problem.rank * passes + (problem.rank - 1) * TERM_NS + PASSES_NS
    return problem.batch * problem.outputs * work * _WIDE[itemsize]


class Side(NamedTuple):
    """Rows, or columns, of an FFT's window, and how many of output they give."""

    size: int
    block: int


def fft_points(down: Side, across: Side) -> float:
    """Return how many points of a window an output pixel takes, those beyond the cache for more."""
    points = down.size * across.size
    slower = max(1.0, 1 + 0.25 * math.log2(points / CACHED_POINTS))
    return slower * points / (down.block * across.block)


def fft_ns(problem: Problem, itemsize: int) -> float:
    """Return the cost of a point of a window by FFT."""
    transforms = 2 * (problem.channels + problem.outputs) * TRANSFORM_NS
    products = problem.outputs * (2 * problem.group_shape[1] - 1) * PRODUCT_NS
    return problem.batch * (transforms + products) * _WIDE[itemsize]
