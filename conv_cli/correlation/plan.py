"""The planner: shapes and dtypes in, a Plan out. It never sees a pixel.

``choose_plan`` picks the arithmetic that keeps the promise of exactness, estimates what every
strategy would cost, and takes the cheapest that is able.
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from typing import Any, Literal, NamedTuple

import numpy as np

from conv_cli.correlation import costs
from conv_cli.correlation.problem import Pair, Problem
from conv_cli.errors import ConvError

Strategy = Literal["direct", "gemm", "separable", "fft"]

_BANDS = (1, 2, 4, 8, 16, 32)
"""Output rows that one banded product may cover."""
_BLOCKS = (16, 32, 48, 64)
"""Output columns that one banded product of a pass along rows may cover."""
_ROW_BLOCK = 32
"""Rows that the pass along rows takes at a time; a multiple of every band."""
_SMALL_PRODUCT = 1_000_000
"""Multiply-adds up to which OpenBLAS multiplies without copying its operands first."""
_FFT_SIDES = tuple(sorted(n << a for a in range(3, 13) for n in (2, 3, 5) if n << a >= 32))
"""Rows or columns of an FFT: products of small primes, three an octave."""
_TILE_BYTES = 12 << 20
"""What a tile and its scratch may take: less, and the calls of two threads that wait for Python's
lock cost more than the cache saves; more, and it leaves the cache."""
_MOST_BYTES = 256 << 20
"""The same where a large kernel leaves no choice."""
_CALLS: dict[Strategy, int] = {"direct": 4, "gemm": 4, "separable": 4, "fft": 9}
"""Calls into NumPy for a tile."""
_LEAST_ROWS, _LEAST_COLUMNS = 64, 256
"""Smaller tiles lose more to calls, and to rows that two of them read, than the cache gives."""
_TILE_NS, _MOST_PARTS = 400_000, 4
"""Work is cut into parts of about this time at least, so that no thread waits for Python's lock
longer than it works, and into a power of two of them, 2⁴ at most, that all cores have the same."""


class Plan(NamedTuple):
    """How a problem will be computed.

    Attributes
    ----------
    strategy : str
        The engine's name.
    dtype : numpy.dtype
        In which the engine works.
    tile : (rows, columns)
        Of output that one call of the engine makes.
    band : int
        Output rows of one banded product; 1 where there is none.
    block : int
        Output columns of one product, or of one window of an FFT; 1 where there is neither.
    scratch : int
        Bytes that one thread takes for a tile.
    costs : tuple of (strategy, float)
        Milliseconds on one core, estimated for every strategy that is able, cheapest first.
    reason : str
        Why this strategy, in words.
    """

    strategy: Strategy
    dtype: np.dtype[Any]
    tile: Pair
    band: int
    block: int
    scratch: int
    costs: tuple[tuple[Strategy, float], ...]
    reason: str = ""

    @property
    def cost(self) -> float:
        """Its own estimated milliseconds."""
        return dict(self.costs)[self.strategy]


@lru_cache(maxsize=64)
def choose_plan(problem: Problem) -> Plan:
    """Return the cheapest plan that keeps the promise of exactness.

    Raises
    ------
    ConvError
        If whole numbers could exceed 64 bits, or the kernel's window is larger than the image.
    """
    able = plans(problem)
    best = min(able, key=lambda plan: plan.cost)
    estimates = sorted((cost for plan in able for cost in plan.costs), key=lambda cost: cost[1])
    rows, columns = problem.kernel
    arithmetic = f"exact in {best.dtype}" if problem.whole else f"in {best.dtype}"
    rank = f", rank {problem.rank}" if problem.rank else ""
    ranking = ", ".join(f"{name} {cost:.1f} ms" for name, cost in estimates)
    reason = (
        f"{rows}x{columns}{rank}, {problem.steps} additions and multiplications, {arithmetic}; "
        f"tiles of {best.tile[0]}x{best.tile[1]} with {best.scratch / 1e6:.1f} MB of scratch; "
        f"on one core about {ranking}"
    )
    return best._replace(costs=tuple(estimates), reason=reason)


def plans(problem: Problem) -> list[Plan]:
    """Return the plan of every strategy that is able to keep the promise of exactness."""
    several = (_direct_plan, _gemm_plan, _separable_plan, _fft_plan)
    return [plan for make in several if (plan := make(problem)) is not None]


def _direct_plan(problem: Problem) -> Plan:
    dtype = _accumulator(problem, ("int16", "float32", "int32", "float64", "int64"))
    # Per output pixel of a tile: the window it reads, the sums, and two values on the way to them.
    values = problem.channels * problem.stride[0] * problem.stride[1] + problem.outputs + 2
    per_pixel = problem.batch * values * dtype.itemsize
    cost = costs.direct_ns(problem, dtype.itemsize)
    # Its steps take so little time that more of it must be in the cache.
    tile = _tile(problem, 3 * per_pixel, cost)
    return _plan("direct", problem, dtype, tile, cost, per_pixel * math.prod(tile))


def _gemm_plan(problem: Problem) -> Plan | None:
    """Return the banded GEMM with its best band, or None where it is too large or not exact."""
    if problem.whole and problem.magnitude > 2**53:
        return None
    dtype = _accumulator(problem, ("float32", "float64"))
    outputs, channels = problem.group_shape
    rows = 2 * max(_LEAST_ROWS, problem.span[0])
    bands = [band for band in _BANDS if band == 1 or band <= problem.output[0]]
    estimates = {band: costs.gemm_ns(problem, dtype.itemsize, band, rows) for band in bands}
    band = min(estimates, key=estimates.__getitem__)
    # Per pixel of a tile: the window, the shifted copies of one group, and the result.
    window = problem.window((rows, 1))[0] / rows
    copies = channels * problem.kernel[1] * window
    values = copies + problem.channels * window * problem.stride[1] + problem.outputs
    per_pixel = problem.batch * values * dtype.itemsize
    depth = channels * problem.kernel[1] * problem.window((band, 1))[0]
    small = _SMALL_PRODUCT // (band * outputs * depth)
    tile = _tile(
        problem, per_pixel, estimates[band], unit=(band, 1),
        most=small if small >= _LEAST_COLUMNS else None,
    )  # fmt: skip
    scratch = per_pixel * math.prod(tile)
    if scratch > _MOST_BYTES:
        return None
    return _plan("gemm", problem, dtype, tile, estimates[band], scratch, band=band)


def _separable_plan(problem: Problem) -> Plan | None:
    """Return the passes, or None where there are no factors or floats could not hold the sums."""
    if not problem.rank or (problem.whole and problem.magnitude > 2**53):
        return None
    # What one pass rounds, the other may find to be most of the rest.
    dtype = _accumulator(problem, ("float32", "float64"), least_balance=0.05)
    estimates = {
        (band, block): costs.separable_ns(problem, dtype.itemsize, band, block)
        for band, block in product(_BANDS, _BLOCKS)
    }
    band, block = min(estimates, key=estimates.__getitem__)
    # Per pixel of a tile: the window, what lies between the passes, and the results.
    values = problem.stride[0] * problem.stride[1] + problem.stride[1] + 1
    per_pixel = values * dtype.itemsize + problem.batch * problem.outputs * dtype.itemsize
    cost = estimates[band, block]
    tile = _tile(problem, per_pixel, cost, unit=(_ROW_BLOCK, block))
    height, width = problem.window(tile)
    scratch = per_pixel * height * width
    if scratch > _MOST_BYTES:
        return None
    return _plan("separable", problem, dtype, tile, cost, scratch, band=band, block=block)


def _fft_plan(problem: Problem) -> Plan | None:
    """Return the FFT with its best window, or None where it is too large or not exact.

    Whole numbers are found again by rounding, in float64.
    """
    dtype = np.dtype(np.float64) if problem.whole else _accumulator(problem, ())
    largest = _MOST_BYTES // _fft_bytes(problem, dtype, 1)
    able = [
        (costs.fft_points(down, across), down, across)
        for down, across in product(*_fft_windows(problem))
        if down.size * across.size <= largest and _rounds_right(problem, down.size * across.size)
    ]
    if not able:
        return None
    points, down, across = min(able)
    cost = points * costs.fft_ns(problem, dtype.itemsize)
    window = _fft_bytes(problem, dtype, down.size * across.size)
    count = max(1, min(_TILE_BYTES // window, -(-problem.output[1] // across.block)))
    tile = (down.block, min(across.block * count, problem.output[1]))
    return _plan("fft", problem, dtype, tile, cost, count * window, block=across.block)


def _fft_bytes(problem: Problem, dtype: np.dtype[Any], points: int) -> int:
    """Return what a window takes: itself, its spectra, and those of the kernels and the result."""
    outputs, channels = problem.outputs, problem.group_shape[1]
    return points * dtype.itemsize * (2 * channels + 3 + outputs * channels)


def _fft_windows(problem: Problem) -> Iterator[list[costs.Side]]:
    """Yield, down and across, the sides of windows that an FFT likes and what they give.

    A longer side must give a larger share of itself, by 3 %, to be worth its cache.
    """
    for span, stride, length in zip(problem.span, problem.stride, problem.output, strict=True):
        sides: list[costs.Side] = []
        for size in _FFT_SIDES:
            block = min((size - span) // stride + 1, length)
            if size >= span and (
                not sides or block / size > 1.03 * sides[-1].block / sides[-1].size
            ):
                sides.append(costs.Side(size, block))
        yield sides


def _plan(
    strategy: Strategy,
    problem: Problem,
    dtype: np.dtype[Any],
    tile: Pair,
    cost: float,
    scratch: float,
    *,
    band: int = 1,
    block: int = 1,
) -> Plan:
    """Return a plan, its cost an output pixel made one of the whole output."""
    tiles = math.prod(-(-n // t) for n, t in zip(problem.output, tile, strict=True))
    calls = tiles * _CALLS[strategy] * problem.batch
    total = _total(problem, cost) + calls * costs.CALL_NS / 1e6
    return Plan(strategy, dtype, tile, band, block, int(scratch), ((strategy, total),))


def _total(problem: Problem, cost: float) -> float:
    return math.prod(problem.output) * cost / 1e6


def _rounds_right(problem: Problem, points: int) -> bool:
    """Tell whether an FFT of so many points is off by less than a quarter in whole numbers.

    The error of each place grows with the norms of window and kernel and the number of stages
    (Higham, "Accuracy and Stability of Numerical Algorithms", 24.1); the norms are bounded by the
    largest sum and the points of the window, and the factor of 16 is for the constant.
    """
    error = 2.0**-53 * 16 * math.log2(points) * math.sqrt(points) * 2 * problem.magnitude
    return not problem.whole or error < 0.25


def fft_size(problem: Problem, block: Pair) -> Pair:
    """Return the least rows and columns of an FFT that holds the window of a block of output."""
    rows, columns = (next(s for s in _FFT_SIDES if s >= n) for n in problem.window(block))
    return rows, columns


def _tile(
    problem: Problem,
    bytes_per_pixel: float,
    cost: float,
    *,
    unit: Pair = (1, 1),
    most: int | None = None,
) -> Pair:
    """Return a tile whose scratch is of about the right size.

    Whole rows of output are best; those too long for the cache are cut.

    Parameters
    ----------
    bytes_per_pixel, cost : float
        Scratch, and nanoseconds, for each pixel of output.
    unit : (rows, columns)
        Of which the tile is a multiple, where it does not end at the image.
    most : int, optional
        Columns at most.
    """
    height, width = problem.output
    pixels = _TILE_BYTES / bytes_per_pixel
    columns = width
    least_rows = min(max(_LEAST_ROWS, 2 * problem.span[0]), height)
    if pixels < least_rows * width or (most is not None and most < width):
        columns = max(_LEAST_COLUMNS, int(pixels / least_rows))
        columns = min(columns, most or columns)
        columns = -(-width // -(-width // columns))
    parts = height * width * cost / _TILE_NS
    parts = 1 << min(max(int(math.log2(max(parts, 1))), 0), _MOST_PARTS)
    rows = max(1, min(int(pixels / columns), -(-height * -(-width // columns) // parts)))
    rows, columns = (-(-n // u) * u for n, u in zip((rows, columns), unit, strict=True))
    return min(rows, height), min(columns, width)


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
    floats = {"float32": 2**24, "float64": 2**53}
    for name in candidates:
        most = floats.get(name) or int(np.iinfo(name).max)
        least = -most if name in floats else -most - 1
        if least <= problem.low and problem.high <= most:
            return np.dtype(name)
    raise ConvError(
        f"sums of up to {problem.magnitude:.3g} exceed 64-bit integers; give the image as float64"
    )
