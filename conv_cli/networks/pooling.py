"""Pooling layers: the largest value of a window, or its mean, channel by channel.

Sizes, strides, padding and dilation mean what they do in PyTorch and ONNX: the stride is the size
unless it is given, incomplete windows at the end are left out, the padding of a maximum never wins,
and that of a mean counts as zeros unless ``count_include_pad`` is false.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from conv_cli.borders import fold, pad
from conv_cli.correlation.params import NO_PADDING
from conv_cli.networks.layer import Array, Layer, Window, padding_as_json, pair_as_json


@dataclass(frozen=True, kw_only=True)
class _Pooling(Layer):
    window: Window

    def without_padding(self) -> Self:
        """Return the layer that sees whole windows of its input alone."""
        return replace(self, window=self.window.without_padding())

    def describe(self) -> dict[str, Any]:
        """Return the layer as a model file holds it."""
        options: dict[str, Any] = {
            "size": pair_as_json(self.window.size),
            "stride": pair_as_json(self.window.params.stride),
        }
        if self.window.params.margins != NO_PADDING:
            options["padding"] = padding_as_json(self.window.params.margins)
        return {self.kind: options}


@dataclass(frozen=True, kw_only=True)
class MaxPool(_Pooling):
    """The largest value of each window."""

    kind: ClassVar[str] = "maxpool"

    def forward(self, x: Array) -> Array:
        """Return the largest values."""
        output = self.window.output(x.shape[2:])
        padded = pad(x, self.window.params.margins, _least(x))
        taps = (values for _, values in self.window.taps(padded, output))
        largest = next(taps).copy()
        for values in taps:
            np.maximum(largest, values, out=largest)
        return largest

    def backward(self, x: Array, y: Array, gradient: Array) -> Array:
        """Return the gradient by x: each window's goes to the first place of its largest value."""
        padded = pad(x, self.window.params.margins, _least(x))
        total = np.zeros_like(padded)
        waiting = np.ones(y.shape, bool)
        pairs = zip(
            self.window.taps(padded, y.shape[2:]), self.window.taps(total, y.shape[2:]), strict=True
        )
        for (_, values), (_, target) in pairs:
            found = waiting & (values == y)
            target += gradient * found
            waiting &= ~found
        return fold(total, self.window.params.margins, "zero")

    def describe(self) -> dict[str, Any]:
        """Return the layer as a model file holds it."""
        options = super().describe()
        if self.window.params.dilation != (1, 1):
            options[self.kind]["dilation"] = pair_as_json(self.window.params.dilation)
        return options


@dataclass(frozen=True, kw_only=True)
class AveragePool(_Pooling):
    """The mean of each window.

    count_include_pad : bool. The padding counts as zeros; without it, it does not count.
    """

    kind: ClassVar[str] = "avgpool"
    count_include_pad: bool = True

    def forward(self, x: Array) -> Array:
        """Return the means."""
        output = self.window.output(x.shape[2:])
        padded = pad(x, self.window.params.margins, "zero")
        total = sum(values for _, values in self.window.taps(padded, output))
        return total / self._counts(x)

    def backward(self, x: Array, y: Array, gradient: Array) -> Array:
        """Return the gradient by x: each window's is shared out evenly."""
        total = np.zeros((*x.shape[:2], *self.window.params.padded(x.shape[2:])), gradient.dtype)
        shared = gradient / self._counts(x)
        for _, target in self.window.taps(total, y.shape[2:]):
            target += shared
        return fold(total, self.window.params.margins, "zero")

    def _counts(self, x: Array) -> Array:
        """Return how many pixels count in each window, shape (h, w) or ()."""
        if self.count_include_pad:
            return np.asarray(np.prod(self.window.size), x.dtype)
        ones = pad(np.ones(x.shape[2:], x.dtype), self.window.params.margins, "zero")
        output = self.window.output(x.shape[2:])
        return np.asarray(sum(values for _, values in self.window.taps(ones, output)))

    def describe(self) -> dict[str, Any]:
        """Return the layer as a model file holds it."""
        options = super().describe()
        if not self.count_include_pad:
            options[self.kind]["count_include_pad"] = False
        return options


def _least(x: Array) -> float:
    """Return a border that is never the largest; a border must be finite."""
    return float(np.finfo(x.dtype).min)
