"""Pointwise layers: a function of each pixel alone, and its derivative."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from conv_cli.networks.layer import Array, Layer

_STEEPEST = 1e-6
"""The root's slope is infinite at zero; below this root it is taken as at it."""


class Function(NamedTuple):
    """A function of one number, and its slope.

    of : callable. x -> y.
    slope : callable. (x, y) -> dy/dx; at a kink, that of the left side or, for abs, none.
    """

    of: Callable[[Array], Array]
    slope: Callable[[Array, Array], Array]


def _sigmoid(x: Array) -> Array:
    # 1/(1 + exp(-x)) overflows for large negative x, and this does not.
    return 0.5 * np.tanh(0.5 * x) + 0.5


def _root_slope(x: Array, y: Array) -> Array:
    return np.where(x > 0, 0.5 / np.maximum(y, _STEEPEST), 0).astype(x.dtype)


FUNCTIONS = {
    "relu": Function(lambda x: np.maximum(x, 0), lambda x, y: (x > 0).astype(x.dtype)),
    "abs": Function(np.abs, lambda x, y: np.sign(x)),
    "square": Function(np.square, lambda x, y: 2 * x),
    "sqrt": Function(lambda x: np.sqrt(np.maximum(x, 0)), _root_slope),
    "sigmoid": Function(_sigmoid, lambda x, y: y * (1 - y)),
    "tanh": Function(np.tanh, lambda x, y: 1 - y * y),
}
"""By their names in a model file. The root of a negative number is 0."""


class Pointwise(Layer):
    """A layer that applies one of ``FUNCTIONS`` to every pixel."""

    def __init__(self, kind: str) -> None:
        self.kind = kind  # type: ignore[misc]  # the class stands for several

    def forward(self, x: Array) -> Array:
        """Return the function of every pixel."""
        return FUNCTIONS[self.kind].of(x)

    def backward(self, x: Array, y: Array, gradient: Array) -> Array:
        """Return the gradient by x: that by y times the slope."""
        return gradient * FUNCTIONS[self.kind].slope(x, y)

    def describe(self) -> dict[str, Any]:
        """Return the layer as a model file holds it."""
        return {self.kind: {}}
