"""What every engine is."""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from conv_cli.borders import PaddedImage
from conv_cli.correlation.plan import Plan
from conv_cli.correlation.problem import Problem, Tile
from conv_cli.parallel.scratch import Scratch

Array = npt.NDArray[Any]


class Engine(Protocol):
    """One way to correlate: made for a problem and a plan, then run for every tile."""

    def __init__(self, weights: Array, problem: Problem, plan: Plan) -> None: ...

    @staticmethod
    def plan(problem: Problem) -> Plan | None:
        """Return how it would do a problem; None where it cannot, or not exactly."""

    def run(self, image: PaddedImage, tile: Tile, scratch: Scratch, out: Array | None) -> Array:
        """Return the values (N, O, rows, columns) of a tile, in ``out`` if it is given."""


def overlapping(array: Array, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    """Return a view of an array whose parts overlap, to be read only; strides in bytes."""
    return np.lib.stride_tricks.as_strided(array, shape, strides, writeable=False)
