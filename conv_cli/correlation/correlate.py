"""The only door to a correlation: plan, tiles, engine.

The output is cut into tiles. Of each, an engine reads the input with its border, converts it,
correlates it and hands it on while it is in cache, on as many threads as asked for. Tiles depend on
the shapes alone, so every number of threads gives the same bits.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from conv_cli.borders import Border, PaddedImage
from conv_cli.correlation.bank import Bank, bank_of
from conv_cli.correlation.direct import Direct
from conv_cli.correlation.fft import Fft
from conv_cli.correlation.gemm import Gemm
from conv_cli.correlation.plan import Plan, choose_plan
from conv_cli.correlation.problem import Problem, Region, Source, Tile
from conv_cli.correlation.scratch import Scratch
from conv_cli.correlation.separable import Separable
from conv_cli.correlation.tiles import cut, for_each

Pixels = npt.NDArray[Any]
_TAME = 1e30
"""Values whose bound is below this are far from overflow, whatever the order of their sums."""

Finish = Callable[[Pixels, Tile], None]
"""Takes a tile's values (N, O, rows, columns), which are valid until it returns. Called from
several threads."""

ENGINES: dict[str, Any] = {"direct": Direct, "gemm": Gemm, "separable": Separable, "fft": Fft}


def correlate(
    source: Source,
    weights: Pixels,
    problem: Problem,
    border: Border,
    finish: Finish | None = None,
    *,
    out: Pixels | None = None,
    plan: Plan | None = None,
    threads: int | None = None,
) -> Plan:
    """Correlate a source with weights (O, C/groups, kh, kw), tile by tile.

    A weight of zero reads nothing: a NaN under it stays out of the sum.

    Parameters
    ----------
    problem
        From ``state_problem``.
    finish : callable, optional
        Is handed every tile.
    out : ndarray, shape (N, O, rows, columns), optional
        Where the values go, of a dtype that holds them; ``finish`` is given views of it then.
    plan
        From ``choose_plan``, the default; another one for tests and measurements.
    threads
        All cores by default.

    Returns
    -------
    Plan
        The one that was followed.

    Raises
    ------
    ConvError
        If whole numbers could exceed 64 bits.
    """
    chosen = plan or choose_plan(problem)
    bank = bank_of(weights)
    suspect = source.dtype.kind == "f" or abs(border.value) > _TAME
    engine = _engine(bank, problem, chosen)
    image = source.padded(problem.padding, border)

    def work(tile: Tile, scratch: Scratch) -> None:
        place = None if out is None else out[:, :, slice(*tile.output[0]), slice(*tile.output[1])]
        straight = place if place is not None and place.dtype == chosen.dtype else None
        own, inner = (image, tile) if source.load is None else _loaded(source, image, tile, scratch)
        values = engine.run(own, inner, scratch, straight)
        if suspect and not (_is_tame(source, image, tile, bank, problem) or _all_finite(values)):
            exact = _engine(bank, problem, chosen._replace(strategy="direct"))
            values = exact.run(own, inner, scratch, straight)
        if place is not None and values is not place:
            place[...] = values
            values = place
        if finish is not None:
            finish(values, tile)

    for_each(work, cut(problem, chosen.tile), threads)
    return chosen


@lru_cache(maxsize=8)
def _engine(bank: Bank, problem: Problem, plan: Plan) -> Any:
    """Return an engine ready to run, the same one for the next image of this size."""
    return ENGINES[plan.strategy](bank.weights, problem, plan)


def _is_tame(source: Source, image: PaddedImage, tile: Tile, bank: Bank, problem: Problem) -> bool:
    """Tell whether the pixels alone show that no value of a tile can be infinite or NaN.

    They are looked at only where they are much fewer than the values: few channels in, many out.
    """
    read = problem.channels * math.prod(tile.window)
    if source.load is not None or 2 * read > problem.outputs * math.prod(tile.shape):
        return False
    energy = image.energy(tile.input.rows)
    return math.isfinite(energy) and math.sqrt(energy) * bank.reach < _TAME


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

    What a pointwise map makes of a tile's input is kept as an image of its own, so that engines
    may read it as often as they like.
    """
    window = scratch.array("loaded", (*source.shape[:2], *tile.window), source.dtype)
    image.read(*tile.input, window)
    (rows, columns), (height, width) = tile.shape, tile.window
    output, reads = Region((0, rows), (0, columns)), Region((0, height), (0, width))
    return PaddedImage(window), tile._replace(output=output, input=reads)
