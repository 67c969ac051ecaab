import pickle
from collections.abc import Sequence

import numpy as np
import pytest

from conv_cli.errors import ConvError, KernelError
from conv_cli.kernels.kernel import MAX_WEIGHTS, Kernel

ASYMMETRIC = [[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]]


def test_weights_are_a_read_only_float64_copy_of_what_was_given() -> None:
    given = np.array([[1, 2], [3, 4]], dtype=np.int16)
    kernel = Kernel(given)
    given[0, 0] = 99
    assert kernel.weights.dtype == np.float64
    np.testing.assert_array_equal(kernel.weights, [[1, 2], [3, 4]])
    with pytest.raises(ValueError, match="read-only"):
        kernel.weights[0, 0] = 5


@pytest.mark.parametrize(
    ("shape", "origin"),
    [((1, 1), (0, 0)), ((3, 3), (1, 1)), ((2, 2), (0, 0)), ((4, 5), (1, 2)), ((1, 6), (0, 2))],
)
def test_origin_is_the_upper_left_of_the_middle_by_default(
    shape: tuple[int, int], origin: tuple[int, int]
) -> None:
    assert Kernel(np.ones(shape)).origin == origin


def test_turning_moves_weights_and_origin_and_twice_is_none() -> None:
    kernel = Kernel(np.array(ASYMMETRIC), bias=3, origin=(0, 2), name="turn me")
    turned = kernel.flipped()
    np.testing.assert_array_equal(turned.weights, [[32, 16, 8], [4, 2, 1]])
    assert turned.origin == (1, 0)
    assert (turned.bias, turned.name) == (3, "turn me")
    again = turned.flipped()
    np.testing.assert_array_equal(again.weights, ASYMMETRIC)
    assert again.origin == (0, 2)


def test_normalizing_divides_by_the_sum_or_by_the_sum_of_magnitudes() -> None:
    kernel = Kernel(np.array([[1.0, -2.0, 5.0]]))
    np.testing.assert_array_equal(kernel.normalized("sum").weights, [[0.25, -0.5, 1.25]])
    np.testing.assert_array_equal(kernel.normalized("abs").weights, [[0.125, -0.25, 0.625]])
    assert kernel.normalized("none") is kernel


@pytest.mark.parametrize("weights", [[[1.0, -1.0]], [[0.1, 0.2, -0.3]], [[0.0]]])
def test_a_sum_of_zero_cannot_be_normalized(weights: list[list[float]]) -> None:
    with pytest.raises(KernelError, match="kernel flat: its weights sum to zero"):
        Kernel(np.array(weights), name="flat").normalized("sum")


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ([[1, 2], [3]], "rows of equal length"),
        ([1, 2, 3], r"shape \(3,\), expected \(rows, columns\)"),
        ([[[1]]], r"shape \(1, 1, 1\)"),
        ([], r"shape \(0,\)"),
        ([[], []], r"shape \(2, 0\)"),
        ([[1, 2], [3, float("nan")]], "row 2, column 2 is nan"),
        ([[1, float("inf")], [3, 4]], "row 1, column 2 is inf"),
        ([[1j, 2]], "real numbers, not complex128"),
        ([["1", "2"]], "real numbers"),
        ([[None, 2]], "real numbers, not object"),
        (np.broadcast_to(0.0, (1, MAX_WEIGHTS + 1)), "4,194,305 weights, at most 4,194,304"),
    ],
)
def test_what_is_no_finite_real_matrix_within_the_limit_is_refused(
    weights: Sequence[object], reason: str
) -> None:
    with pytest.raises(KernelError, match=f"^kernel bad: .*{reason}"):
        Kernel(weights, name="bad")


@pytest.mark.parametrize("origin", [(2, 0), (0, 3), (-1, 0), (0, -1)])
def test_an_origin_outside_the_weights_is_refused(origin: tuple[int, int]) -> None:
    with pytest.raises(KernelError, match="lies outside its 2x3 weights"):
        Kernel(np.array(ASYMMETRIC), origin=origin)


@pytest.mark.parametrize("bias", [float("nan"), float("-inf")])
def test_a_bias_that_is_not_finite_is_refused(bias: float) -> None:
    with pytest.raises(KernelError, match=r"bias .* is not a finite number"):
        Kernel(np.array(ASYMMETRIC), bias=bias)


def test_a_kernel_and_its_errors_cross_processes_whole() -> None:
    kernel = Kernel(np.array(ASYMMETRIC), bias=2, origin=(1, 0), name="x")
    copy = pickle.loads(pickle.dumps(kernel))
    np.testing.assert_array_equal(copy.weights, ASYMMETRIC)
    assert (copy.bias, copy.origin, copy.name) == (2, (1, 0), "x")
    error = pickle.loads(pickle.dumps(KernelError("kernel x: no")))
    assert isinstance(error, ConvError)
    assert str(error) == "kernel x: no"
