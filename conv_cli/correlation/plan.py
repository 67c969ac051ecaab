"""Plans, and what the engines share in making them from shapes and dtypes; no pixel is seen."""

import math
from typing import Any, NamedTuple

import numpy as np

from conv_cli.correlation import costs
from conv_cli.correlation.factors import LEAST_BALANCE
from conv_cli.correlation.params import Pair
from conv_cli.correlation.problem import Problem
from conv_cli.errors import ConvError

BANDS = (1, 2, 4, 8, 16, 32)
"""Output rows that one banded product may cover."""
_TILE_BYTES = 12 << 20
"""What a tile and its scratch may take: less, and the calls of two threads that wait for Python's
lock cost more than the cache saves; more, and it leaves the cache. Half of it where what is read is
copied first: such images shall take little memory."""
MOST_BYTES = 256 << 20
"""The same where a large kernel leaves no choice."""
CALLS = 4
"""Calls into NumPy for a tile, mostly."""
LEAST_ROWS, LEAST_COLUMNS = 64, 256
"""Smaller tiles lose more to calls, and to rows that two of them read, than the cache gives."""
SMALL_PRODUCT = 1_000_000
"""Multiply-adds up to which OpenBLAS multiplies without copying its operands first."""
_TILE_NS, _MOST_PARTS = 400_000, 4
"""Work is cut into parts of about this time at least, so that no thread waits for Python's lock
longer than it works, and into a power of two of them, 2⁴ at most, that all cores have the same."""


class Plan(NamedTuple):
    """How a problem will be computed.

    strategy : str. The engine's name.
    dtype : numpy.dtype. In which the engine works.
    tile : (rows, columns). Of output that one call of the engine makes.
    band : int. Output rows of one banded product; 1 where there is none.
    block : int. Output columns of one product, or of one window of an FFT; 1 where there is
        neither.
    scratch : int. Bytes that one thread takes for a tile.
    costs : tuple of (strategy, float). Milliseconds on one core, estimated for every strategy that
        is able, cheapest first.
    reason : str. Why this strategy, in words.
    """

    strategy: str
    dtype: np.dtype[Any]
    tile: Pair
    band: int
    block: int
    scratch: int
    costs: tuple[tuple[str, float], ...]
    reason: str = ""

    @property
    def cost(self) -> float:
        """Its own estimated milliseconds."""
        return dict(self.costs)[self.strategy]


def make_plan(
    strategy: str,
    problem: Problem,
    dtype: np.dtype[Any],
    tile: Pair,
    cost: float,
    scratch: float,
    *,
    band: int = 1,
    block: int = 1,
    calls: int = CALLS,
) -> Plan:
    """Return a plan, its cost an output pixel made one of the whole output.

    calls : int. Into NumPy, for a tile of an image.
    """
    tiles = math.prod(-(-n // t) for n, t in zip(problem.output, tile, strict=True))
    python = tiles * calls * problem.batch * costs.CALL_NS
    total = (math.prod(problem.output) * cost + python) / 1e6
    return Plan(strategy, dtype, tile, band, block, int(scratch), ((strategy, total),))


def tile_bytes(problem: Problem) -> int:
    """Return what a tile and its scratch may take."""
    return _TILE_BYTES if problem.in_place else _TILE_BYTES // 2


def tile_shape(
    problem: Problem,
    bytes_per_pixel: float,
    cost: float,
    *,
    unit: Pair = (1, 1),
    most: int | None = None,
) -> Pair:
    """Return a tile whose scratch is of about the right size.

    Whole rows of output are best; those too long for the cache are cut.

    bytes_per_pixel, cost : float. Scratch, and nanoseconds, for each pixel of output.
    unit : (rows, columns). Of which the tile is a multiple, where it does not end at the image.
    most : int, optional. Columns at most.
    """
    height, width = problem.output
    pixels = tile_bytes(problem) / bytes_per_pixel
    columns = width
    least_rows = min(max(LEAST_ROWS, 2 * problem.span[0]), height)
    if pixels < least_rows * width or (most is not None and most < width):
        columns = max(LEAST_COLUMNS, int(pixels / least_rows))
        columns = min(columns, most or columns)
        columns = -(-width // -(-width // columns))
    parts = height * width * cost / _TILE_NS
    parts = 1 << min(max(int(math.log2(max(parts, 1))), 0), _MOST_PARTS)
    rows = max(1, min(int(pixels / columns), -(-height * -(-width // columns) // parts)))
    rows, columns = (-(-n // u) * u for n, u in zip((rows, columns), unit, strict=True))
    return min(rows, height), min(columns, width)


def accumulator(
    problem: Problem, candidates: tuple[str, ...], least_balance: float = LEAST_BALANCE
) -> np.dtype[Any]:
    """Return the first of the candidate dtypes in which no sum can wrap or lose a bit.

    Fractions are summed in float32, or in float64 if the image is, or if the balance of the
    weights is not above the least with which float32 leaves enough of them.

    Raises ConvError if whole numbers could exceed 64 bits.
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
