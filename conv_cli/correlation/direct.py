"""Shift-and-add: whole-image sums of shifted copies of the tile, in integers where these are exact.

The cheapest way for a few weights, the only one for 64-bit integers, and the one that keeps a pixel
that is not a finite number away from results whose windows do not hold it.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.borders import PaddedImage
from conv_cli.correlation import costs
from conv_cli.correlation.params import Pair
from conv_cli.correlation.plan import CALLS, Plan, accumulator, make_plan, tile_shape
from conv_cli.correlation.problem import Problem, Tile
from conv_cli.correlation.program import Group, Tap, groups, passes
from conv_cli.parallel.scratch import Scratch

Array = npt.NDArray[Any]


class Pass(NamedTuple):
    """One kernel of several that are applied one after the other.

    groups : list of Group
    span, stride : (rows, columns)
    """

    groups: list[Group]
    span: Pair
    stride: Pair


class Step(NamedTuple):
    """One operation on arrays, ``target = operation(left, right)``.

    None stands for the values of the output at hand, wherever they are to be written.
    """

    operation: np.ufunc
    left: Array | None
    right: Any
    target: Array | None


class Direct:
    """Shift-and-add of a problem."""

    def __init__(self, weights: Array, problem: Problem, plan: Plan) -> None:
        self._problem, self._dtype = problem, plan.dtype
        self._programs = [self._program(kernel) for kernel in weights]

    def _program(self, kernel: Array) -> list[Pass]:
        """Return the passes of one output's kernel (C, kh, kw)."""
        stride, dilation = self._problem.params.stride, self._problem.params.dilation
        if len(kernel) > 1 or stride != (1, 1):
            return [Pass(groups(kernel, dilation), self._problem.span, stride)]
        return [
            Pass(
                groups(part[None], dilation),
                ((part.shape[0] - 1) * dilation[0] + 1, (part.shape[1] - 1) * dilation[1] + 1),
                stride,
            )
            for part in passes(kernel[0], whole=self._problem.whole)
        ]

    @staticmethod
    def plan(problem: Problem) -> Plan:
        """Return the smallest arithmetic that is exact; there always is one, or an error."""
        dtype = accumulator(problem, ("int16", "float32", "int32", "float64", "int64"))
        # Per output pixel of a tile: the window it reads, the sums, and two values on the way.
        values = problem.channels * math.prod(problem.params.stride) + problem.outputs + 2
        per_pixel = problem.batch * values * dtype.itemsize
        cost = costs.direct_ns(problem, dtype.itemsize)
        # Its steps take so little time that more of it must be in the cache.
        tile = tile_shape(problem, 3 * per_pixel, cost)
        return make_plan(
            "direct", problem, dtype, tile, cost, per_pixel * math.prod(tile),
            calls=CALLS * problem.params.groups,
        )  # fmt: skip

    def run(self, image: PaddedImage, tile: Tile, scratch: Scratch, out: Array | None) -> Array:
        """Return the values (N, O, rows, columns) of a tile, in ``out`` if it is given."""
        problem = self._problem
        window, steps = scratch.cached(("steps", tile.shape), lambda: self._steps(tile, scratch))
        image.read(*tile.input, window)
        if out is None:
            shape = (problem.batch, problem.outputs, *tile.shape)
            out = scratch.array("values", shape, self._dtype)
        for o, own in enumerate(steps):
            values = out[:, o]
            if not own:
                values[...] = 0
            for operation, left, right, target in own:
                operation(
                    values if left is None else left,
                    right,
                    out=values if target is None else target,
                )
        return out

    def _steps(self, tile: Tile, scratch: Scratch) -> tuple[Array, list[list[Step]]]:
        """Return the window (N, C, h, w) of tiles of this shape, and the steps of every output."""
        batch, (outputs, channels) = self._problem.batch, self._problem.group_shape
        shape = (batch, self._problem.channels, *tile.window)
        window = scratch.array("window", shape, self._dtype)
        steps = []
        for o, program in enumerate(self._programs):
            first = o // outputs * channels
            current, own = window[:, first : first + channels], list[Step]()
            for number, step in enumerate(program):
                places = (batch, *_places(current, step))
                product = scratch.array("product", places, self._dtype)
                target = None
                if step is not program[-1]:
                    name = ("even pass", "odd pass")[number % 2]
                    target = scratch.array(name, places, self._dtype)
                own += self._added_up(step, current, product, target)
                current = current if target is None else target[:, None]
            steps.append(own)
        return window, steps

    def _added_up(
        self, kernel: Pass, window: Array, product: Array, target: Array | None
    ) -> list[Step]:
        """Return the steps that write the sum of a kernel's groups over a window to the target."""
        (down, across), (rows, columns) = kernel.stride, _places(window, kernel)

        def at(tap: Tap) -> Array:
            bottom, right = tap.row + (rows - 1) * down + 1, tap.column + (columns - 1) * across + 1
            return window[:, tap.channel, tap.row : bottom : down, tap.column : right : across]

        steps = []
        for number, group in enumerate(kernel.groups):
            into = product if number else target
            weight = group.weight.astype(self._dtype)
            terms: list[tuple[np.ufunc, Array]] = [(np.add, at(tap)) for tap in group.plus[1:]]
            terms += [(np.subtract, at(tap)) for tap in group.minus]
            if terms:
                steps.append(Step(terms[0][0], at(group.plus[0]), terms[0][1], into))
                steps += [Step(operation, into, term, into) for operation, term in terms[1:]]
                steps += [Step(np.multiply, into, weight, into)] if weight != 1 else []
            else:
                steps.append(Step(np.multiply, at(group.plus[0]), weight, into))
            steps += [Step(np.add, target, product, target)] if number else []
        return steps


def _places(window: Array, kernel: Pass) -> Pair:
    """Return how many rows and columns a kernel has to stand on in a window (N, C, h, w)."""
    rows, columns = (
        (n - span) // stride + 1
        for n, span, stride in zip(window.shape[2:], kernel.span, kernel.stride, strict=True)
    )
    return rows, columns
