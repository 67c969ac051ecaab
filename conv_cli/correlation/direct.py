"""Shift-and-add: one scaled and shifted copy of the tile for each weight that is not zero.

The cheapest way for a few weights, the only one for 64-bit integers, and the one that keeps a pixel
that is not a finite number away from results whose windows do not hold it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from conv_cli.correlation.plan import Plan, Problem
from conv_cli.correlation.scratch import Scratch


@dataclass(frozen=True)
class Term:
    """One weight that is not zero, and where in the tile its pixels lie."""

    channel: int
    row: int
    column: int
    weight: np.generic


Prepared = list[list[Term]]
"""The terms of each output."""


def prepare(weights: npt.NDArray[Any], problem: Problem, plan: Plan) -> Prepared:
    """Return the terms of every output, in the order of the kernel."""
    outputs, channels = problem.group_shape
    return [
        [
            Term(
                int(c) + o // outputs * channels,
                int(i) * problem.dilation[0],
                int(j) * problem.dilation[1],
                weights[o, c, i, j].astype(plan.dtype),
            )
            for c, i, j in np.argwhere(weights[o])
        ]
        for o in range(problem.outputs)
    ]


def run(
    window: npt.NDArray[Any], terms: Prepared, problem: Problem, plan: Plan, scratch: Scratch
) -> npt.NDArray[Any]:
    """Return the tile of output, shape (N, O, rows, columns), that a window (N, C, h, w) gives."""
    (row_step, column_step), span = problem.stride, problem.span
    rows = (window.shape[2] - span[0]) // row_step + 1
    columns = (window.shape[3] - span[1]) // column_step + 1
    total = scratch.array("total", (problem.outputs, window.shape[0], rows, columns), plan.dtype)
    product = scratch.array("product", (window.shape[0], rows, columns), plan.dtype)

    def shifted(term: Term) -> npt.NDArray[Any]:
        row_stop = term.row + (rows - 1) * row_step + 1
        column_stop = term.column + (columns - 1) * column_step + 1
        return window[
            :, term.channel, term.row : row_stop : row_step, term.column : column_stop : column_step
        ]

    for target, own in zip(total, terms, strict=True):
        if not own:
            target[...] = 0
            continue
        np.multiply(shifted(own[0]), own[0].weight, out=target)
        for term in own[1:]:
            if term.weight == 1:
                np.add(target, shifted(term), out=target)
            elif term.weight == -1:
                np.subtract(target, shifted(term), out=target)
            else:
                np.multiply(shifted(term), term.weight, out=product)
                np.add(target, product, out=target)
    return total.swapaxes(0, 1)
