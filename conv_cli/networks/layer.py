"""What every layer of a network can do, and the window that it slides over its input."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from conv_cli.borders import Padding
from conv_cli.correlation.params import NO_PADDING, ConvParams, Pair

Array = npt.NDArray[Any]
_ONE_BY_ONE = ConvParams()


@dataclass(frozen=True)
class Window:
    """The window that one output pixel of a layer sees; by default that pixel alone.

    size : (rows, columns)
    params : ConvParams. How it slides; its padding in numbers.
    """

    size: Pair = (1, 1)
    params: ConvParams = _ONE_BY_ONE

    @property
    def span(self) -> Pair:
        """Rows and columns that it covers."""
        return self.params.span(self.size)

    def output(self, size: Pair) -> Pair:
        """Return rows and columns of what it makes of an input of so many."""
        return self.params.output(size, self.size)

    def without_padding(self) -> Self:
        """Return the window over whole inputs alone."""
        return replace(self, params=replace(self.params, padding=NO_PADDING))

    def taps(self, padded: Array, output: Pair) -> Iterator[tuple[Pair, Array]]:
        """Yield each place in the window, and what all windows hold there.

        That is a view of the padded input (..., H, W), as large as the output.
        """
        (down, across), (gap, side_gap) = self.params.stride, self.params.dilation
        for row in range(self.size[0]):
            for column in range(self.size[1]):
                top, left = row * gap, column * side_gap
                bottom, right = top + output[0] * down, left + output[1] * across
                yield (row, column), padded[..., top:bottom:down, left:right:across]


class Layer(ABC):
    """One layer: arrays (N, C, H, W) forward, gradients of the same shapes backward.

    kind : str. Its name in a model file.
    window : Window
    """

    kind: ClassVar[str]
    window: Window = Window()

    @abstractmethod
    def forward(self, x: Array) -> Array:
        """Return the feature maps (N, O, h, w) of an input (N, C, H, W)."""

    @abstractmethod
    def backward(self, x: Array, y: Array, gradient: Array) -> Array:
        """Return the gradient of the loss by x, of that by y = forward(x)."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return the layer as a model file holds it."""

    def outputs(self, channels: int) -> int:
        """Return how many feature maps so many input channels give.

        Raises ModelError if the layer does not take so many.
        """
        return channels

    def parameters(self) -> Mapping[str, Array]:
        """Return the arrays that training may change in place, by name."""
        return {}

    def parameter_gradients(self, x: Array, gradient: Array) -> Mapping[str, Array]:
        """Return the gradients of the loss by ``parameters``, of that by y = forward(x)."""
        return {}

    def parameter_count(self) -> int:
        """Return how many numbers define the layer, those that are given among them."""
        return 0

    def multiply_adds(self, shape: tuple[int, int, int]) -> int:
        """Return how many it takes for an output of shape (O, h, w)."""
        return 0

    def without_padding(self) -> Self:
        """Return the layer that sees whole windows of its input alone; it shares the arrays."""
        return self


def pair_as_json(pair: Pair) -> int | list[int]:
    """Return (rows, columns) as a model file holds it: one number if they are the same."""
    return pair[0] if pair[0] == pair[1] else list(pair)


def padding_as_json(padding: Padding) -> int | list[Any]:
    """Return a padding as a model file holds it, in the shortest way."""
    (top, bottom), (left, right) = padding
    if top == bottom and left == right:
        return pair_as_json((top, left))
    return [[top, bottom], [left, right]]


def wide(x: Array) -> Array:
    """Return numbers as a network computes with them: float64 as it is, small ones in float32."""
    return x.astype(np.result_type(x.dtype, np.float32), copy=False)
