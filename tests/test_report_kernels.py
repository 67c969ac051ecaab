"""Kernels as text and colours."""

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from conv_cli import Kernel
from conv_cli.colormaps import diverging, ink
from conv_cli.errors import KernelError
from conv_cli.report.kernel_facts import kernel_facts
from conv_cli.report.kernel_picture import kernel_picture
from conv_cli.report.kernel_show import facts_of, told_lines
from conv_cli.report.kernel_text import kernel_lines, number_texts, sketch

ASYMMETRIC = np.array([[1.0, -20.0, 0.25], [1 / 3, 0.0, 1e-9]])


def test_decimal_points_stand_below_each_other_and_only_zero_is_0():
    points = [[m.start() for m in re.finditer(r"\.", line)] for line in kernel_lines(ASYMMETRIC)]
    assert points[1][-1] == points[0][-1]
    assert [line.split() for line in kernel_lines(ASYMMETRIC)] == [
        ["1", "-20", "0.25"],
        ["0.33", "0", "0.00"],
    ]
    (line,) = kernel_lines(np.array([[12345.0, 2.5, 1e-9, 0]]))
    assert line.split() == ["12345", "2.5", "0.0", "0"]


def test_no_number_is_drawn_as_minus_zero():
    assert [line.split() for line in kernel_lines(np.array([[-0.0, 1.5], [-1e-9, -1]]))] == [
        ["0", "1.5"],
        ["0.000", "-1"],
    ]
    assert not np.signbit(Kernel([[-0.0, 1]]).weights).any()


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1.0, 255.0, 1e9])
def test_numbers_read_back_to_the_digits_that_are_drawn(scale):
    weights = np.random.default_rng(0).normal(size=(4, 7)) * scale
    drawn = np.array([line.split() for line in kernel_lines(weights, digits=5)], dtype=float)
    np.testing.assert_allclose(drawn, weights, atol=1e-4 * np.abs(weights).max())


def test_a_large_kernel_is_drawn_within_width_and_height():
    weights = np.arange(2500.0).reshape(50, 50)
    lines = kernel_lines(weights, width=40, height=11)
    assert len(lines) == 11
    assert max(map(len, lines)) <= 40
    assert lines[0].split()[0] == "0"
    assert lines[-1].split()[-1] == "2499"
    assert "…" in lines[5]
    assert "…" in lines[0]


@pytest.mark.parametrize("colours", [256, 16_777_216])
def test_colours_change_nothing_but_colours(colours):
    plain = kernel_lines(ASYMMETRIC)
    shaded = kernel_lines(ASYMMETRIC, colours=colours)
    stripped = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in shaded]
    assert stripped == plain
    assert all(line.endswith("\x1b[0m") for line in shaded)


def test_the_scale_is_blue_below_white_at_and_red_above_zero():
    below, zero, above = diverging([-2.0, 0.0, 2.0]).astype(int)
    assert below[2] > below[0] + 50
    assert above[0] > above[2] + 50
    assert np.ptp(zero) == 0
    assert zero[0] > 240


def test_the_scale_is_symmetric_in_strength_and_limited():
    halves = diverging([-1.0, 1.0], limit=2.0)
    np.testing.assert_array_equal(diverging([-9.0, 9.0], limit=2.0), diverging([-2.0, 2.0]))
    assert (halves != diverging([-1.0, 1.0])).any()
    assert diverging(np.zeros((2, 3))).tolist() == [[[247, 247, 247]] * 3] * 2


def test_ink_is_readable_on_both_ends_and_the_middle():
    assert ink((0, 0, 80)) == (255, 255, 255)
    assert ink((250, 250, 250)) == (0, 0, 0)


@settings(max_examples=150, deadline=None)
@given(
    weights=arrays(
        np.float64,
        array_shapes(min_dims=2, max_dims=2, max_side=6),
        elements=st.one_of(
            st.floats(-1e300, 1e300),
            st.floats(-1, 1, allow_subnormal=False),
            st.integers(-2000, 2000).map(float),
        ),
    ),
    width=st.integers(1, 60),
)
def test_any_kernel_is_drawn_and_told_of(weights, width):
    lines = kernel_lines(weights, width=width, height=4, colours=256)
    assert len(lines) == min(4, len(weights))
    texts = number_texts(weights)
    assert len({len(text) for row in texts for text in row}) == 1
    largest = np.abs(weights).max()
    np.testing.assert_allclose(np.array(texts, dtype=float), weights, rtol=0, atol=1e-3 * largest)
    sketched = sketch(weights, 11)
    assert len(sketched) == 11
    if largest > 1e150:
        with pytest.raises(KernelError, match="cannot be summed"):
            kernel_facts(Kernel(weights))
    else:
        facts = kernel_facts(Kernel(weights))
        assert 0 <= facts.rank <= min(weights.shape)
        assert facts.response.words
        if facts.factors is not None:
            product = np.outer(*facts.factors)
            np.testing.assert_allclose(product, weights, rtol=0, atol=1e-9 * largest)
        json.dumps(facts_of(Kernel(weights)), allow_nan=False)
        assert len(list(told_lines(Kernel(weights)))) >= 7
        kernel_picture(Kernel(weights), "caption")


def test_a_sketch_shows_the_line_that_varies_most():
    assert sketch(np.array([[1.0, 0, -1]]), 6) == "→ █·≡ "
    assert sketch(np.array([[1.0], [0], [-0.5]]), 6) == "↓ █·= "
    assert len(sketch(np.ones((1, 100)), 11)) == 11
