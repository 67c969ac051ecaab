"""The planner: shapes and dtypes in, a Plan out. It never sees a pixel.

A Problem states what is to be computed; ``choose_plan`` picks the arithmetic that keeps the promise
of exactness, estimates what every strategy would cost, and takes the cheapest that is able.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from conv_cli.borders import Padding
from conv_cli.errors import ConvError

Strategy = Literal["direct", "gemm", "separable", "fft"]
Pair = tuple[int, int]

# Nanoseconds on one core, from tests/benchmarks/calibrate.py: AMD EPYC (Zen 4, AVX-512),
# NumPy 2.4 with OpenBLAS on one thread, 2026-11-24.
_TERM_NS = {"int16": 0.12, "int32": 0.32, "float32": 0.32, "int64": 0.70, "float64": 0.70}
"""Shift-and-add: one multiply and one add of a whole tile, for each output pixel."""
_COPY_NS = {"float32": 0.17, "float64": 0.34}
"""Banded GEMM: one pixel copied into the scratch block."""
_FLOP_NS = {"float32": 0.026, "float64": 0.052}
"""Banded GEMM: one multiply-add inside BLAS."""

_BAND_ROWS = (1, 2, 4, 8, 16, 32)
"""Output rows that one banded product may cover."""
_SEPARABLE_BAND = 16
"""Output rows, or columns, of one banded product of a 1-D pass."""
_FFT_NS = {"float32": 4.5, "float64": 5.5}
"""FFT: one point of a tile's window, one transform; twice as much in windows beyond the cache."""
_FFT_CACHED_POINTS = 512 * 512
_PRODUCT_NS = {"float32": 1.0, "float64": 2.0}
"""FFT: one point of a tile's window, one kernel's spectrum times one channel's."""
_FFT_SIDES = tuple(sorted(2**a * 3**b for a in range(3, 14) for b in (0, 1)))
"""Rows or columns of an FFT: powers of two, and one and a half times these."""
_MOST_BYTES = 256 << 20
"""What a tile and its scratch may take at most, however large the kernel."""
_FULL_PANEL = 8
"""A product of fewer rows than this leaves the units of BLAS idle, and costs as much."""
_TILE_ROWS = 128
_TILE_BYTES = 4 << 20
"""What a tile and its scratch may take: less, and the calls cost more than the cache saves, twice
as much with two threads that wait for each other between them; more, and it leaves the cache."""
_MIN_COLUMNS = 256
"""Narrower tiles lose more to call overhead than they gain from the cache."""


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """How a kernel slides over an image.

    Attributes
    ----------
    height, width : int
        Of the image.
    kernel : (rows, columns)
    stride, dilation, padding
        As in ``conv2d``, spelled out for both axes.
    """

    height: int
    width: int
    kernel: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Padding = ((0, 0), (0, 0))

    @property
    def span(self) -> Pair:
        """Rows and columns of the window that the dilated kernel covers."""
        rows, columns = ((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True))
        return rows, columns

    @property
    def padded(self) -> Pair:
        """Rows and columns of the image with its border."""
        (top, bottom), (left, right) = self.padding
        return self.height + top + bottom, self.width + left + right

    @property
    def output(self) -> Pair:
        """Rows and columns of a feature map: floor((n - window) / stride) + 1.

        Raises
        ------
        ConvError
            If the window is larger than the padded image.
        """
        if any(w > n for w, n in zip(self.span, self.padded, strict=True)):
            raise ConvError(
                f"the kernel's window of {self.span[0]}x{self.span[1]} is larger than the image "
                f"of {self.padded[0]}x{self.padded[1]} with its padding; use a smaller kernel "
                "or more padding"
            )
        rows, columns = (
            (n - w) // s + 1 for n, w, s in zip(self.padded, self.span, self.stride, strict=True)
        )
        return rows, columns

    def window(self, tile: Pair) -> Pair:
        """Rows and columns of padded input that a tile of output needs."""
        rows, columns = (
            (t - 1) * s + w for t, s, w in zip(tile, self.stride, self.span, strict=True)
        )
        return rows, columns


@dataclass(frozen=True, kw_only=True)
class Problem(Geometry):
    """One correlation, by its shapes.

    Attributes
    ----------
    batch, channels : int
        The image is (N, C, H, W).
    outputs, groups : int
        The weights are (O, C/groups, kh, kw).
    dtype : numpy.dtype
        Of the pixels that the engines read.
    whole : bool
        Pixels, border and weights are all whole numbers, so the result can be exact.
    balance : float
        The sum of an output's weights by the sum of their magnitudes, of the output where that is
        least: 1 for a blur, 0 for a derivative, which leaves little of large pixels.
    low, high : int
        No result, nor any part of its sum, lies outside. Only used where ``whole``.
    terms : int
        Weights that are not zero.
    separable : bool
        Each output has one input channel, and its kernel is a column times a row.
    """

    batch: int
    channels: int
    outputs: int
    groups: int
    dtype: np.dtype[Any]
    whole: bool
    balance: float
    low: int
    high: int
    terms: int
    separable: bool = False

    @property
    def magnitude(self) -> int:
        """The largest that a sum of whole numbers can be, sign aside."""
        return max(-self.low, self.high)

    @property
    def group_shape(self) -> Pair:
        """Outputs and input channels of one group."""
        return self.outputs // self.groups, self.channels // self.groups


@dataclass(frozen=True)
class Plan:
    """How a problem will be computed.

    Attributes
    ----------
    strategy : str
        The engine's name.
    dtype : numpy.dtype
        In which the engine works.
    tile : (rows, columns)
        Of output that one call of the engine makes.
    band_rows : int
        Output rows of one banded product; 1 where there is none.
    scratch : int
        Bytes that one thread takes for a tile.
    costs : dict
        Milliseconds on one core, estimated for every strategy that is able.
    reason : str
        Why this strategy, in words.
    """

    strategy: Strategy
    dtype: np.dtype[Any]
    tile: Pair
    band_rows: int
    scratch: int
    costs: dict[str, float]
    reason: str


def choose_plan(problem: Problem) -> Plan:
    """Return the cheapest plan that keeps the promise of exactness.

    Raises
    ------
    ConvError
        If whole numbers could exceed 64 bits, or the kernel's window is larger than the image.
    """
    able = plans(problem)
    best = min(able, key=lambda plan: plan.costs[plan.strategy])
    costs = {name: cost for plan in able for name, cost in plan.costs.items()}
    rows, columns = problem.kernel
    arithmetic = f"exact in {best.dtype}" if problem.whole else f"in {best.dtype}"
    ranking = ", ".join(
        f"{name} {costs[name]:.1f} ms" for name in sorted(costs, key=costs.__getitem__)
    )
    reason = f"{rows}x{columns}, {problem.terms} weights, {arithmetic}; on one core about {ranking}"
    return replace(best, costs=costs, reason=reason)


def plans(problem: Problem) -> list[Plan]:
    """Return the plan of every strategy that is able to keep the promise of exactness."""
    return [
        _direct_plan(problem),
        *_gemm_plans(problem),
        *_separable_plans(problem),
        *_fft_plans(problem),
    ]


def _direct_plan(problem: Problem) -> Plan:
    dtype = _accumulator(problem, ("int16", "float32", "int32", "float64", "int64"))
    # Per output pixel of a tile: the window it reads, the sum, and the product on its way to it.
    per_pixel = problem.channels * problem.stride[0] * problem.stride[1] + problem.outputs + 1
    tile = _tile(problem, problem.batch * per_pixel * dtype.itemsize)
    pixels = problem.batch * problem.output[0] * problem.output[1]
    cost = pixels * problem.terms * _TERM_NS[dtype.name]
    scratch = problem.batch * per_pixel * dtype.itemsize * tile[0] * tile[1]
    return Plan("direct", dtype, tile, 1, scratch, {"direct": cost / 1e6}, "")


def _gemm_plans(problem: Problem) -> list[Plan]:
    """Return the banded GEMM with its best band, or nothing where it is too large or not exact."""
    if problem.whole and problem.magnitude > 2**53:
        return []
    dtype = _accumulator(problem, ("float32", "float64"))
    outputs, channels = problem.group_shape
    height, width = problem.output
    best = None
    for band in _BAND_ROWS[: 1 if height == 1 else None]:
        depth = channels * problem.kernel[1] * problem.window((band, 1))[0]
        rows = max(_FULL_PANEL, outputs * band)
        flops = rows * depth / band * _FLOP_NS[dtype.name]
        copies = channels * problem.kernel[1] * problem.stride[0] * _COPY_NS[dtype.name]
        cost = problem.batch * problem.groups * height * width * (flops + copies) / 1e6
        if best is None or cost < best[0]:
            best = cost, band
    assert best is not None
    cost, band = best
    rows = max(band, min(_TILE_ROWS, height) // band * band)
    # Per column of a tile: the window, the shifted copies of one group, and the result.
    window_rows = problem.window((rows, 1))[0]
    window = problem.batch * problem.channels * window_rows * problem.stride[1]
    copies = channels * problem.kernel[1] * window_rows
    per_column = (window + copies + problem.batch * problem.outputs * rows) * dtype.itemsize
    columns = min(width, max(_MIN_COLUMNS, _TILE_BYTES // per_column))
    columns = -(-width // -(-width // columns))
    if per_column * columns > _MOST_BYTES:
        return []
    return [Plan("gemm", dtype, (rows, columns), band, per_column * columns, {"gemm": cost}, "")]


def _separable_plans(problem: Problem) -> list[Plan]:
    """Return the two passes, or nothing where there are no factors or whole numbers are at stake.

    The factors of whole numbers are fractions, so what they make need not be whole again.
    """
    if not problem.separable or problem.whole:
        return []
    # What one pass rounds, the other may find to be most of the rest.
    dtype = _accumulator(problem, (), least_balance=0.05)
    band = _SEPARABLE_BAND
    depths = problem.window((band, band))
    pixels = problem.batch * problem.outputs * problem.output[0] * problem.output[1]
    cost = pixels * (sum(depths) * _FLOP_NS[dtype.name] + 2 * _COPY_NS[dtype.name]) / 1e6
    per_pixel = (problem.stride[0] * problem.stride[1] + 2) * problem.batch * problem.outputs
    rows, columns = _tile(problem, per_pixel * dtype.itemsize)
    scratch = per_pixel * dtype.itemsize * rows * columns
    return [Plan("separable", dtype, (rows, columns), band, scratch, {"separable": cost}, "")]


def _fft_plans(problem: Problem) -> list[Plan]:
    """Return the FFT with its best tile, or nothing where it is too large or not exact.

    Whole numbers are found again by rounding, in float64.
    """
    dtype = np.dtype(np.float64) if problem.whole else _accumulator(problem, ())
    transforms = problem.channels + problem.outputs
    products = problem.outputs * problem.group_shape[1]
    best = None
    for tile in _fft_tiles(problem):
        points = math.prod(fft_size(problem, tile))
        tiles = math.prod(-(-n // t) for n, t in zip(problem.output, tile, strict=True))
        scratch = points * dtype.itemsize * (problem.batch * (transforms + products) + products)
        slower = 2 if points > _FFT_CACHED_POINTS else 1
        per_point = transforms * slower * _FFT_NS[dtype.name] + products * _PRODUCT_NS[dtype.name]
        cost = problem.batch * tiles * points * per_point / 1e6
        able = scratch <= _MOST_BYTES and (not problem.whole or _rounds_right(problem, points))
        if able and (best is None or cost < best[0]):
            best = cost, tile, scratch
    if best is None:
        return []
    cost, tile, scratch = best
    return [Plan("fft", dtype, tile, 1, scratch, {"fft": cost}, "")]


def _rounds_right(problem: Problem, points: int) -> bool:
    """Tell whether an FFT of so many points is off by less than a quarter in whole numbers.

    The error of each place grows with the norms of window and kernel and the number of stages
    (Higham, "Accuracy and Stability of Numerical Algorithms", 24.1); the norms are bounded by the
    largest sum and the points of the window, and the factor of 16 is for the constant.
    """
    error = 2.0**-53 * 16 * math.log2(points) * math.sqrt(points) * 2 * problem.magnitude
    return error < 0.25


def _fft_tiles(problem: Problem) -> Iterator[Pair]:
    """Yield the tiles whose windows are of a size that FFT likes, in both directions."""
    sides = [
        [
            min((size - span) // stride + 1, length)
            for size in _FFT_SIDES
            if span <= size < 2 * (length * stride + span)
        ]
        for span, stride, length in zip(problem.span, problem.stride, problem.output, strict=True)
    ]
    return product(*sides)


def fft_size(problem: Problem, tile: Pair) -> Pair:
    """Return the least rows and columns of an FFT that holds the window of a tile."""
    rows, columns = (next(s for s in _FFT_SIDES if s >= n) for n in problem.window(tile))
    return rows, columns


def _tile(problem: Problem, bytes_per_pixel: float) -> Pair:
    """Return a tile whose scratch is of about the right size."""
    height, width = problem.output
    rows = min(_TILE_ROWS, height)
    columns = max(_MIN_COLUMNS, int(_TILE_BYTES / (bytes_per_pixel * rows)))
    parts = -(-width // columns)
    return rows, -(-width // parts)


def _accumulator(
    problem: Problem, candidates: tuple[str, ...], least_balance: float = 1e-6
) -> np.dtype[Any]:
    """Return the first of the candidate dtypes in which no sum can wrap or lose a bit.

    Fractions are summed in float32, or in float64 if the image is, or if the balance of the
    weights is not above the least with which float32 leaves enough of them.

    Raises
    ------
    ConvError
        If whole numbers could exceed 64 bits.
    """
    if not problem.whole:
        wide = problem.balance <= least_balance or problem.dtype == np.float64
        return np.dtype(np.float64 if wide else np.float32)
    limits = {"float32": 2**24, "float64": 2**53}
    for name in candidates:
        limit = limits.get(name) or int(np.iinfo(name).max)
        if problem.magnitude <= limit:
            return np.dtype(name)
    raise ConvError(
        f"sums of up to {problem.magnitude:.3g} exceed 64-bit integers; give the image as float64"
    )


def whole_numbers(values: npt.ArrayLike) -> bool:
    """Tell whether all values are finite and have no fraction."""
    array = np.asarray(values)
    return array.dtype.kind in "bui" or bool(
        np.isfinite(array).all() and (array == np.rint(array)).all()
    )
