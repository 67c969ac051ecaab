"""Problems of every kind that the planner meets, for measuring what each strategy takes for them.

`python tests/benchmarks/grid.py` measures them all, on one thread, and writes grid.json beside
this file: a test holds the planner's choices against it.
"""

import os

if __name__ == "__main__":
    os.environ["OPENBLAS_NUM_THREADS"] = "1"

import json
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from machine import machine

from conv_cli.borders import Border
from conv_cli.correlation.correlate import choose_plan, correlate, plans, prepare
from conv_cli.correlation.params import ConvParams
from conv_cli.correlation.problem import Source

RECORD = Path(__file__).with_name("grid.json")
LARGE, MIDDLE, SMALL = (1500, 2000), (256, 256), (64, 64)
ZERO = Border.named("zero")
TOO_LONG = 8
"""A strategy estimated to take so many times as long as the best is not measured."""


class Case(NamedTuple):
    """One problem: an image of zeros to 99, weights by the name of what makes them, options."""

    kind: str
    size: tuple[int, int]
    image: tuple[int, int] = LARGE
    dtype: str = "uint8"
    channels: int = 1
    outputs: int = 1
    groups: int = 1
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)

    @property
    def name(self):
        """What the record calls it."""
        return " ".join(
            f"{key}={'x'.join(map(str, value)) if isinstance(value, tuple) else value}"
            for key, value in self._asdict().items()
            if value != self._field_defaults.get(key)
        )


def square(*sides):
    return [(side, side) for side in sides]


CASES = [
    *(Case("dense", size) for size in square(1, 2, 3, 5, 7, 9, 11, 13, 15, 21, 31, 63, 127)),
    *(
        Case("dense", size, dtype="float32")
        for size in square(1, 3, 5, 7, 9, 11, 13, 15, 21, 31, 63)
    ),
    *(Case("dense", size, dtype="float64") for size in square(3, 7, 13, 21, 31)),
    *(Case("dense", size) for size in [(1, 2), (1, 9), (9, 1), (1, 31), (31, 1), (3, 15), (15, 3)]),
    *(Case("separable", size) for size in square(3, 5, 9, 15, 31, 61, 121)),
    *(Case("separable", size, dtype="float32") for size in square(3, 5, 9, 15, 31, 61, 121)),
    *(Case("separable", size, dilation=(1, 3)) for size in square(3, 9, 15, 31, 61)),
    *(Case("two terms", size) for size in square(5, 9, 15, 31, 61)),
    *(Case("four terms", size) for size in square(11, 15, 31, 61)),
    *(Case("derivative", size) for size in square(3, 5, 9, 31)),
    *(Case("whole", size) for size in square(2, 3, 5, 7, 11, 15, 21, 31)),
    *(Case("whole", size, dtype="uint16") for size in square(3, 5, 11, 21)),
    *(Case("box", size) for size in square(2, 3, 5, 9, 15, 31, 61)),
    *(Case("binomial", size) for size in square(3, 5, 7)),
    *(Case("sobel", (3, 3), **more) for more in ({}, {"dtype": "uint16"}, {"dilation": (1, 3)})),
    *(Case("dense", size, stride=(2, 2)) for size in square(3, 5, 11, 31)),
    *(Case("dense", size, dilation=(2, 2)) for size in square(3, 7, 15)),
    *(Case("dense", size, image=SMALL) for size in square(3, 7, 15, 31)),
    *(Case("dense", size, image=MIDDLE) for size in square(3, 7, 15, 31)),
    *(Case("separable", size, image=MIDDLE) for size in square(3, 15, 31)),
    *(Case("whole", size, image=MIDDLE) for size in square(3, 7)),
    *(Case("dense", size, outputs=8) for size in square(3, 5, 11, 31)),
    *(Case("dense", size, MIDDLE, "float32", 3, 64) for size in square(1, 3, 7)),
    *(Case("dense", size, MIDDLE, "float32", 16, 16) for size in square(1, 3, 5)),
    Case("dense", (3, 3), (56, 56), "float32", 64, 64),
    Case("dense", (7, 7), MIDDLE, "float32", 3, 64, stride=(2, 2)),
    Case("dense", (3, 3), MIDDLE, "float32", 8, 8, groups=8),
    Case("dense", (3, 3), (56, 56), "float32", 64, 64, groups=64),
]


def weights_of(case):
    """Return weights (O, C/groups, kh, kw) of a kind."""
    rng = np.random.default_rng(sum(case.size))
    rows, columns = case.size
    shape = (case.outputs, case.channels // case.groups, rows, columns)
    terms = {"separable": 1, "two terms": 2, "four terms": 4}
    if case.kind in terms:
        pairs = ((rng.random((rows, 1)), rng.random((1, columns))) for _ in range(terms[case.kind]))
        return sum(column @ row for column, row in pairs).reshape(shape)
    if case.kind == "derivative":
        dense = rng.random(shape)
        return dense - dense.mean()
    if case.kind == "whole":
        return rng.integers(-9, 10, shape)
    if case.kind == "box":
        return np.ones(shape, int)
    if case.kind == "binomial":
        row = np.array([1])
        for _ in range(columns - 1):
            row = np.convolve(row, [1, 1])
        return np.outer(row, row).reshape(shape)
    if case.kind == "sobel":
        return np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]).reshape(shape)
    return rng.random(shape)


def stated(case):
    """Return the source, the weights, the way they slide, and the problem of a case."""
    pixels = np.arange(case.channels * case.image[0] * case.image[1]) % 100
    source = Source.of(pixels.astype(case.dtype).reshape(1, case.channels, *case.image))
    weights = weights_of(case)
    rows, columns = ((k - 1) * d for k, d in zip(case.size, case.dilation, strict=True))
    params = ConvParams(
        padding=((rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)),
        border=ZERO,
        stride=case.stride,
        dilation=case.dilation,
        groups=case.groups,
    )
    return source, weights, params, prepare(source, weights, params).problem


def measured(case):
    """Return the milliseconds of every strategy, on one thread, the least of several runs."""
    *given, problem = stated(case)
    best = choose_plan(problem).cost
    able = [plan for plan in plans(problem) if plan.cost < TOO_LONG * best]
    return {plan.strategy: round(_least(*given, problem, plan), 3) for plan in able}


def _least(source, weights, params, problem, plan):
    """Return the least milliseconds of several runs in a row: a core that has idled starts slow."""
    out = np.zeros((1, problem.outputs, *problem.output), plan.dtype)
    times = []
    for _ in range(6):
        started = time.thread_time()  # whatever else the machine has to do
        correlate(source, weights, params, out=out, plan=plan, threads=1)
        times.append(time.thread_time() - started)
    return min(times) * 1e3


def main():
    record = {"machine": machine(), "milliseconds": {}}
    print(record["machine"])
    for case in CASES:
        times = record["milliseconds"][case.name] = measured(case)
        plan = choose_plan(stated(case)[3])
        ratio = times[plan.strategy] / min(times.values())
        estimates = {name: round(ms, 2) for name, ms in plan.costs if name in times}
        mark = "!!" if ratio > 1.3 else "  "
        print(
            f"{mark} {ratio:4.2f} {case.name:60} {plan.strategy:9} {times} planned {estimates}",
            flush=True,
        )
    RECORD.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
