"""The only door to a correlation: state the problem, plan, and run an engine tile by tile.

The output is cut into tiles. Of each, an engine reads the input with its border, converts it,
correlates it and hands it on while it is in cache, on as many threads as asked for. Tiles depend on
the shapes alone, so every number of threads gives the same bits.
"""

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.borders import PaddedImage
from conv_cli.correlation.bank import Bank, bank_of
from conv_cli.correlation.columns import Columns
from conv_cli.correlation.direct import Direct
from conv_cli.correlation.engine import Engine
from conv_cli.correlation.fft import Fft
from conv_cli.correlation.gemm import Gemm
from conv_cli.correlation.params import ConvParams, Pair
from conv_cli.correlation.plan import Plan
from conv_cli.correlation.problem import Problem, Region, Source, Tile, state_problem
from conv_cli.correlation.separable import Separable
from conv_cli.parallel.scratch import Scratch, borrowed
from conv_cli.parallel.threads import share

Pixels = npt.NDArray[Any]
_SAFE = 1e30
"""Values whose bound is below this are far from overflow, whatever the order of their sums."""

Finish = Callable[[Pixels, Tile], None]
"""Takes a tile's values (N, O, rows, columns), which are valid until it returns. Called from
several threads, the tiles about in order."""

ENGINES: dict[str, type[Engine]] = {
    "direct": Direct,
    "gemm": Gemm,
    "columns": Columns,
    "separable": Separable,
    "fft": Fft,
}
"""A new engine is a file with such a class, its cost in ``costs``, and a line here; the tests hold
all of this table against plain loops."""


class Prepared(NamedTuple):
    """A correlation that is stated and planned."""

    problem: Problem
    plan: Plan


def prepare(source: Source, weights: Pixels, params: ConvParams) -> Prepared:
    """Return the problem and the plan that ``correlate`` would follow.

    Raises ConvError if shapes do not fit, the window is larger than the image, or whole numbers
    could exceed 64 bits.
    """
    problem = state_problem(source, weights, params)
    return Prepared(problem, choose_plan(problem))


def correlate(
    source: Source,
    weights: Pixels,
    params: ConvParams,
    finish: Finish | None = None,
    *,
    out: Pixels | None = None,
    plan: Plan | None = None,
    threads: int | None = None,
    only: Region | None = None,
) -> Plan:
    """Correlate a source with weights (O, C/groups, kh, kw), tile by tile.

    A weight of zero reads nothing: a NaN under it stays out of the sum. Returns the plan that was
    followed.

    params : ConvParams. Its padding in numbers.
    finish : callable, optional. Is handed every tile.
    out : ndarray, shape (N, O, rows, columns), optional. Where the values go, of a dtype that holds
        them; ``finish`` is given views of it then.
    plan : Plan, optional. Another one than that of ``prepare``, for tests and measurements.
    threads. All cores by default.
    only : Region, optional. Of the output: the tiles that it lies in are made, and no others; they
        are the same to the bit.

    Raises ConvError as ``prepare``.
    """
    problem = state_problem(source, weights, params)
    chosen = plan or choose_plan(problem)
    bank = bank_of(weights)
    suspect = source.dtype.kind == "f" or abs(params.border.value) > _SAFE
    engine = _engine(bank, problem, chosen)
    image = source.padded(params)

    def run(tile: Tile, scratch: Scratch) -> None:
        place = None if out is None else out[:, :, slice(*tile.output[0]), slice(*tile.output[1])]
        straight = place if place is not None and place.dtype == chosen.dtype else None
        own, inner = image, tile
        if not source.is_read_in_place:
            own, inner = _loaded(source, image, tile, scratch)
        values = engine.run(own, inner, scratch, straight)
        if suspect and not (_is_bounded(source, image, tile, bank, problem) or _all_finite(values)):
            exact = _engine(bank, problem, chosen._replace(strategy="direct"))
            values = exact.run(own, inner, scratch, straight)
        if place is not None and values is not place:
            place[...] = values
            values = place
        if finish is not None:
            finish(values, tile)

    def worker(waiting: Iterator[Tile]) -> None:
        # While a thread is in Python the others cannot leave NumPy, and one that has to wait sleeps
        # for longer than a small tile lasts: so `run` should be little Python and long calls.
        # Infinity times the zero of a band, or less itself, is NaN by design and no cause to warn.
        with borrowed() as scratch, np.errstate(all="ignore"):
            for tile in waiting:
                run(tile, scratch)

    share(worker, tiles(problem, chosen.tile, only), threads)
    return chosen


def tiles(problem: Problem, shape: Pair, only: Region | None = None) -> list[Tile]:
    """Return the tiles of a shape that make a problem's output, or a region of it, row by row."""
    wanted = only or Region((0, problem.output[0]), (0, problem.output[1]))
    rows, columns = (
        [(start, min(start + step, n)) for start in range(first // step * step, last, step)]
        for n, step, (first, last) in zip(problem.output, shape, wanted, strict=True)
    )
    return [problem.tile(r, c) for r in rows for c in columns]


@lru_cache(maxsize=64)
def choose_plan(problem: Problem) -> Plan:
    """Return the cheapest plan that keeps the promise of exactness.

    Raises ConvError if whole numbers could exceed 64 bits, or the kernel's window is larger than
    the image.
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
    return [plan for engine in ENGINES.values() if (plan := engine.plan(problem)) is not None]


@lru_cache(maxsize=8)
def _engine(bank: Bank, problem: Problem, plan: Plan) -> Engine:
    """Return an engine ready to run, the same one for the next image of this size."""
    return ENGINES[plan.strategy](bank.weights, problem, plan)


def _is_bounded(
    source: Source, image: PaddedImage, tile: Tile, bank: Bank, problem: Problem
) -> bool:
    """Tell whether the pixels alone show that no value of a tile can be infinite or NaN.

    They are looked at only where they are much fewer than the values: few channels in, many out.
    """
    read = problem.channels * math.prod(tile.window)
    if not source.is_read_in_place or 2 * read > problem.outputs * math.prod(tile.shape):
        return False
    energy = image.energy(tile.input.rows)
    return math.isfinite(energy) and math.sqrt(energy) * bank.gain < _SAFE


def _all_finite(values: Pixels) -> bool:
    """Tell whether all values are finite; BLAS reads them faster than anything else.

    Their sums may be infinite where they are not.
    """
    sums = values @ np.ones(values.shape[-1], values.dtype)
    return bool(np.isfinite(sums).all() or np.isfinite(values).all())


def _loaded(
    source: Source, image: PaddedImage, tile: Tile, scratch: Scratch
) -> tuple[PaddedImage, Tile]:
    """Return the image that an engine reads, and the tile's place in it.

    What is read, and made by a pointwise map, is an image of its own.
    """
    dtype = image.dtype if source.load is None else source.dtype
    window = scratch.array("loaded", (*source.shape[:2], *tile.window), dtype)
    image.read(*tile.input, window)
    (rows, columns), (height, width) = tile.shape, tile.window
    output, reads = Region((0, rows), (0, columns)), Region((0, height), (0, width))
    return PaddedImage(window), tile._replace(output=output, input=reads)
