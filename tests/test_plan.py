"""The planner: what it promises, from shapes alone, and how well it chose where it was measured."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conv_cli.correlation.correlate import choose_plan, plans
from conv_cli.correlation.params import ConvParams
from conv_cli.correlation.problem import Problem

sys.path.append(str(Path(__file__).parent / "benchmarks"))
import grid

MEASURED = json.loads(grid.RECORD.read_text(encoding="utf-8"))["milliseconds"]

SOBEL = Problem(
    batch=1, channels=1, height=3000, width=4000, outputs=1, kernel=(3, 3),
    params=ConvParams(padding=((1, 1), (1, 1))), dtype=np.dtype(np.uint8), whole=True, balance=0, low=-1020, high=1020, steps=6,
)  # fmt: skip
DENSE = replace(SOBEL, dtype=np.dtype(np.float32), whole=False, balance=1, low=0, high=0)


@pytest.mark.parametrize(
    ("problem", "strategy", "dtype"),
    [
        (SOBEL, "direct", "int16"),
        (replace(DENSE, kernel=(3, 3), steps=9), "gemm", "float32"),
        (replace(DENSE, kernel=(9, 9), steps=81), "columns", "float32"),
        (replace(DENSE, kernel=(1, 1), steps=1), "direct", "float32"),
        (replace(DENSE, kernel=(31, 31), steps=961), "fft", "float32"),
        (replace(DENSE, kernel=(9, 9), steps=81, rank=1), "separable", "float32"),
        (replace(DENSE, kernel=(9, 9), steps=81, rank=1, balance=0.02), "separable", "float64"),
        (replace(DENSE, channels=64, outputs=64, height=224, width=224, steps=36864), "gemm", "float32"),
        (replace(DENSE, kernel=(9, 9), steps=81, dtype=np.dtype(np.float64)), "columns", "float64"),
        (replace(DENSE, kernel=(9, 9), steps=81, balance=0), "columns", "float64"),
        (replace(SOBEL, low=-(2**60), high=2**60, dtype=np.dtype(np.int64)), "direct", "int64"),
    ],
)  # fmt: skip
def test_case_gets_its_strategy(problem, strategy, dtype):
    plan = choose_plan(problem)
    assert (plan.strategy, plan.dtype) == (strategy, np.dtype(dtype))


@pytest.mark.parametrize(
    ("high", "least"),
    [(32767, "int16"), (32768, "float32"), (2**24, "float32"), (2**24 + 1, "int32"),
     (2**31 - 1, "int32"), (2**31, "float64"), (2**53, "float64"), (2**53 + 1, "int64")],
)  # fmt: skip
def test_direct_takes_the_smallest_arithmetic_that_is_exact(high, least):
    problem = replace(SOBEL, low=0, high=high)
    direct = next(plan for plan in plans(problem) if plan.strategy == "direct")
    assert direct.dtype == np.dtype(least)


def test_gemm_is_not_offered_where_floats_would_round():
    assert {plan.strategy for plan in plans(replace(SOBEL, high=2**53 + 1))} == {"direct"}


@pytest.mark.parametrize("width", [1, 100, 4000, 1_000_000])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (31, 31), (1, 501)])
def test_scratch_stays_small_whatever_the_image(width, kernel):
    problem = replace(
        DENSE, height=5000, width=width + 501, kernel=kernel, steps=kernel[0] * kernel[1]
    )
    for plan in plans(problem):
        assert plan.scratch < 64 * 2**20


def test_plan_says_why_with_the_cost_of_every_strategy():
    plan = choose_plan(DENSE)
    assert {name for name, _ in plan.costs} == {"direct", "gemm", "columns", "fft"}
    for name, cost in plan.costs:
        assert f"{name} {cost:.1f} ms" in plan.reason


def test_chosen_plan_is_the_cheapest():
    for terms in (1, 9, 25, 121):
        plan = choose_plan(replace(DENSE, kernel=(11, 11), steps=terms))
        assert plan.cost == min(cost for _, cost in plan.costs)


@pytest.mark.parametrize("case", grid.CASES, ids=lambda case: case.name)
def test_choice_is_within_a_third_of_the_best_where_all_were_measured(case):
    times = MEASURED[case.name]
    chosen = choose_plan(grid.stated(case)[3]).strategy
    assert times[chosen] <= 1.3 * min(times.values()), times


def test_grid_holds_choices_of_every_strategy():
    best = {min(times, key=times.get) for times in MEASURED.values()}
    assert best == {"direct", "gemm", "columns", "separable", "fft"}
