"""Measure the cost constants of the planner anew: `python tests/benchmarks/calibrate.py`.

Every strategy filters one 3000x4000 image on one thread with kernels of several sizes; the least
squares fit of their times, in nanoseconds a pixel, gives the constants of `correlation/plan.py`.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import time

import numpy as np

from conv_cli.borders import Border
from conv_cli.correlation.correlate import Source, correlate, state_problem
from conv_cli.correlation.plan import plans

SIDES = (3, 5, 7, 9, 11)
PIXELS = 3000 * 4000
BORDER = Border("edge")


def nanoseconds(pixel_type, side, strategy, whole):
    """Return (terms, multiply-adds, copies) a pixel, the engine's dtype, and the best of 3 times."""
    rng = np.random.default_rng(side)
    x = rng.integers(0, 100, (1, 1, 3000, 4000)).astype(pixel_type)
    # A chessboard of 2 and -2: sums of uint8 stay within int16 at every side.
    weights = 2.0 - 4 * (np.add.outer(np.arange(side), np.arange(side)) % 2)[None, None]
    weights += 0 if whole else 0.5
    source = Source.of(x)
    problem = state_problem(source, weights, border=BORDER)
    plan = next(plan for plan in plans(problem) if plan.strategy == strategy)
    best = min(
        timed(lambda: correlate(source, weights, problem, BORDER, ignore, plan=plan, threads=1))
        for _ in range(3)
    )
    depth = side * problem.window((plan.band_rows, 1))[0]
    return (problem.terms, max(8, plan.band_rows) * depth / plan.band_rows, side), plan.dtype, best


def ignore(values, rows, columns):
    """Take a tile and do nothing with it."""


def timed(work):
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) / PIXELS * 1e9


def fit(rows, times):
    """Return the least-squares constants, the last of them the cost of just reading a pixel."""
    matrix = np.column_stack([rows, np.ones(len(times))])
    return np.linalg.lstsq(matrix, np.array(times), rcond=None)[0]


def main():
    for pixel_type, whole in (
        ("uint8", True),
        ("uint16", True),
        ("float32", False),
        ("float64", False),
    ):
        for strategy in ("direct", "gemm"):
            runs = [nanoseconds(pixel_type, side, strategy, whole) for side in SIDES]
            counts = np.array([run[0] for run in runs], float)
            columns = [0] if strategy == "direct" else [1, 2]
            constants = fit(counts[:, columns], [run[2] for run in runs])
            names = ("term",) if strategy == "direct" else ("flop", "copy")
            shown = ", ".join(
                f"{n} {c:.3f} ns" for n, c in zip((*names, "base"), constants, strict=True)
            )
            print(f"{strategy:7} {pixel_type:8} in {runs[0][1].name:8} {shown}")


if __name__ == "__main__":
    main()
