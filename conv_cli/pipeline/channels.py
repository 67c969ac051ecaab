"""Kernels that differ from channel to channel, as the engines take them: in groups, or summed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from conv_cli.borders import Places, Windows, window_of
from conv_cli.correlation.problem import Source
from conv_cli.kernels.kernel import Kernel
from conv_cli.kernels.learned import ChannelKernel

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class ChannelWeights:
    """The weights of the kernels of one map, for every channel that they are applied to.

    weights : ndarray, shape (K, C, kh, kw). C is 1 where all channels have the same kernels; in a
        mix K counts the channels of the result.
    inputs : int or None. How many channels have kernels of their own, if any.
    mixes : bool. What the C channels give is summed.
    """

    weights: Array
    inputs: int | None = None
    mixes: bool = False

    @classmethod
    def of(cls, kernels: Sequence[Kernel]) -> Self:
        """Return the weights of several kernels of one map, or of one for each channel."""
        first = kernels[0]
        if not isinstance(first, ChannelKernel):
            return cls(np.stack([kernel.weights for kernel in kernels])[:, None])
        return cls(first.weights if first.mixes else first.weights[None], first.inputs, first.mixes)

    @property
    def apart(self) -> bool:
        """Whether channels have kernels of their own."""
        return self.inputs is not None

    @property
    def count(self) -> int:
        """How many kernels are applied to a channel."""
        return len(self.weights)

    def plain(self) -> Array:
        """Return the weights for pixels that all count in full, (O, C/groups, kh, kw)."""
        return self.weights if self.mixes or not self.apart else self._by_channel(self.weights)

    def weighed(self) -> Array:
        """Return those for ``weigh``'s colours and weights: of magnitudes too, if they differ."""
        weights = self.weights
        if weights.min() < 0:
            weights = np.concatenate([weights, np.abs(weights)])
        if not self.apart:
            return weights
        return np.concatenate([self._by_channel(weights)] * 2)

    def groups(self, *, weighed: bool) -> int:
        """Return how many groups of channels the engines filter each for itself."""
        if self.inputs is None:
            return 1
        return 2 * self.inputs if weighed else 1 if self.mixes else self.inputs

    def taken_apart(self, values: Array, *, weighed: bool) -> Array:
        """Return what an engine made as (channels, kernels, h, w)."""
        if self.inputs is None:
            return values
        channels = 2 * self.inputs if weighed else values.shape[1]
        return values.reshape(channels, -1, *values.shape[2:])

    def sums(self, kernel: int, dtype: np.dtype[Any]) -> tuple[Any, Any]:
        """Return the sums of a kernel's weights and of their magnitudes, if need be by channel."""
        weights = self.weights[kernel]
        if not self.apart:
            return float(weights.sum()), float(np.abs(weights).sum())
        axes = {"axis": (1, 2), "keepdims": True, "dtype": dtype}
        return weights.sum(**axes), np.abs(weights).sum(**axes)

    def mixed(self, colours: Array, untold: Array) -> tuple[Array, Array]:
        """Return colours (C, K, h, w) summed where a mix asks for that, and which are untold.

        A channel that has weights, and cannot be told, makes the sum untold.
        """
        if not self.mixes:
            return colours, untold
        asked = (self.weights != 0).max(axis=(2, 3)).T[..., None, None]
        return colours.sum(axis=0)[:, None], (untold & asked).any(axis=0)[:, None]

    def _by_channel(self, weights: Array) -> Array:
        """Return (K, C, kh, kw) as (C·K, 1, kh, kw), a group of K for each channel."""
        return weights.swapaxes(0, 1).reshape(-1, 1, *weights.shape[2:])


class _Joined:
    """Channels that lie beside each other as images of one channel, as one image of them all."""

    def __init__(self, pixels: Array | Windows) -> None:
        self._pixels = pixels
        count, _, height, width = pixels.shape
        self.shape = (1, count, height, width)
        self.dtype = pixels.dtype

    def window(self, rows: Places, columns: Places) -> Array:
        """Return the pixels (1, C, rows, columns) of those places."""
        return window_of(self._pixels, rows, columns).swapaxes(0, 1)


def joined(source: Source) -> Source:
    """Return a source (C, 1, H, W) as one image of C channels."""
    load = source.load
    pixels = source.pixels
    pixels = pixels.swapaxes(0, 1) if isinstance(pixels, np.ndarray) else _Joined(pixels)
    constant = None if source.constant is None else source.constant.swapaxes(0, 1)
    if load is None:
        return Source.of(pixels, constant=constant)
    inner = load
    return Source.of(
        pixels, lambda tile: inner(tile.swapaxes(0, 1)).swapaxes(0, 1), constant=constant
    )
