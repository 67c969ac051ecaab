"""The convolutional layer: forward by the engines, its gradients by the engines and one product.

With y = correlate(pad(x), w) + b (Goodfellow et al. 2016, "Deep Learning", 9.5; Dumoulin & Visin
2016, "A guide to convolution arithmetic for deep learning")::

    dL/dx = fold(correlate(dL/dy with stride-1 zeros between, w flipped in both directions))
    dL/dw = products of dL/dy with what each place of the window holds
    dL/db = sums of dL/dy
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from conv_cli.borders import fold, pad
from conv_cli.errors import ModelError
from conv_cli.layers import conv2d, feature_maps
from conv_cli.networks.layer import Array, Layer, Window, padding_as_json, pair_as_json


@dataclass(frozen=True, eq=False, kw_only=True)
class Convolution(Layer):
    """Cross-correlation over channels, plus a bias.

    window : Window
    out_channels, group_channels : int. The weights have shape (out_channels, group_channels, rows,
        columns).
    groups : int or None. None: one group a channel, each filtered by the same weights
        (out_channels, 1, kh, kw), so that C channels give C·out_channels maps, those of the first
        channel first.
    weight, bias : ndarray or None. None: yet to be trained; or a layer without a bias.
    has_bias : bool
    source : dict or None. The CONV of the model file that the weights were given by; None if they
        are trained.
    """

    kind: ClassVar[str] = "conv"
    window: Window
    out_channels: int
    group_channels: int
    groups: int | None = 1
    weight: Array | None = None
    bias: Array | None = None
    has_bias: bool = True
    source: Mapping[str, Any] | None = None

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """(out_channels, group_channels, rows, columns)."""
        return self.out_channels, self.group_channels, *self.window.size

    def outputs(self, channels: int) -> int:
        """Return how many feature maps so many input channels give."""
        if self.groups is None:
            return channels * self.out_channels
        expected = self.group_channels * self.groups
        if channels != expected:
            raise ModelError(f"takes {expected} channels and is given {channels}")
        return self.out_channels

    def parameters(self) -> Mapping[str, Array]:
        """Return the weights and, if there is one, the bias."""
        found = {"weight": self.weight, "bias": self.bias}
        return {name: array for name, array in found.items() if array is not None}

    def with_parameters(self, arrays: Mapping[str, Array]) -> Self:
        """Return the layer with other weights and, if it has one, bias."""
        return replace(self, weight=arrays["weight"], bias=arrays.get("bias"), source=None)

    def parameter_count(self) -> int:
        """Return how many weights and biases there are."""
        biases = self.out_channels if self.has_bias else 0
        return int(np.prod(self.weight_shape)) + biases

    def multiply_adds(self, shape: tuple[int, int, int]) -> int:
        """Return how many it takes for an output of shape (O, h, w)."""
        return int(np.prod(shape)) * int(np.prod(self.weight_shape[1:]))

    def without_padding(self) -> Self:
        """Return the layer that sees whole windows of its input alone; it shares the arrays."""
        return replace(self, window=self.window.without_padding())

    def forward(self, x: Array) -> Array:
        """Return the feature maps."""
        weight, bias, groups = self.spread(x.shape[1])
        return feature_maps(x, weight, bias, replace(self.window.params, groups=groups))

    def backward(self, x: Array, y: Array, gradient: Array) -> Array:
        """Return the gradient by x."""
        weight, _, groups = self.spread(x.shape[1])
        outputs, channels, rows, columns = weight.shape
        params = self.window.params
        flipped = weight.reshape(groups, -1, channels, rows, columns).swapaxes(1, 2)
        flipped = flipped.reshape(-1, outputs // groups, rows, columns)[..., ::-1, ::-1]
        height, width = ((n - 1) * s + 1 for n, s in zip(y.shape[2:], params.stride, strict=True))
        spread = np.zeros((*y.shape[:2], height, width), gradient.dtype)
        spread[..., :: params.stride[0], :: params.stride[1]] = gradient
        # As far out as a window reaches, and to the end of rows that no window starts in.
        before, ends = self.window.span, params.padded(x.shape[2:])
        (top, left), (bottom, right) = (
            (before[0] - 1, before[1] - 1),
            (ends[0] - height, ends[1] - width),
        )
        through = conv2d(
            spread,
            flipped,
            padding=((top, bottom), (left, right)),
            dilation=params.dilation,
            groups=groups,
        )
        return fold(through, params.margins, params.border)

    def parameter_gradients(self, x: Array, gradient: Array) -> Mapping[str, Array]:
        """Return the gradients by the weights and the bias."""
        assert self.groups is not None
        padded = pad(x, self.window.params.margins, self.window.params.border)
        by_group = _by_group(gradient, self.groups)
        weight = np.empty(self.weight_shape, gradient.dtype)
        for (row, column), values in self.window.taps(padded, gradient.shape[2:]):
            product = by_group @ _by_group(values, self.groups).swapaxes(1, 2)
            weight[:, :, row, column] = product.reshape(weight.shape[:2])
        found = {"weight": weight}
        return found | {"bias": gradient.sum((0, 2, 3))} if self.has_bias else found

    def describe(self) -> dict[str, Any]:
        """Return the layer as a model file holds it, with the weights that it has."""
        described: dict[str, Any] = {"conv": self._described_weights()}
        params = self.window.params
        described |= {
            "stride": pair_as_json(params.stride),
            "padding": padding_as_json(params.margins),
            "dilation": pair_as_json(params.dilation),
        }
        if self.groups is not None:
            described["groups"] = self.groups
        return described | {"border": params.border.spelled}

    def untrained(self) -> dict[str, Any]:
        """Return the CONV of a layer that is yet to be trained."""
        assert self.groups is not None
        return {
            "in_channels": self.group_channels * self.groups,
            "out_channels": self.out_channels,
            "kernel_size": pair_as_json(self.window.size),
            "bias": self.has_bias,
        }

    def _described_weights(self) -> dict[str, Any]:
        if self.source is not None:
            return dict(self.source)
        if self.weight is None:
            return self.untrained()
        found = {"weight": self.weight.tolist()}
        return found if self.bias is None else found | {"bias": self.bias.tolist()}

    def spread(self, channels: int) -> tuple[Array, Array | None, int]:
        """Return weights, bias and groups for so many input channels."""
        if self.weight is None:
            raise ModelError("has no weights yet; train the model by conv-cli net fit")
        if self.groups is not None:
            return self.weight, self.bias, self.groups
        bias = None if self.bias is None else np.tile(self.bias, channels)
        return np.tile(self.weight, (channels, 1, 1, 1)), bias, channels


def _by_group(maps: Array, groups: int) -> Array:
    """Return maps (N, C, h, w) as matrices (groups, C/groups, N·h·w)."""
    channels = maps.shape[1]
    return np.ascontiguousarray(maps.swapaxes(0, 1)).reshape(groups, channels // groups, -1)
