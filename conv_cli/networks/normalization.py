"""What happens to pixels before the first layer of a network."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from conv_cli.errors import ModelError
from conv_cli.networks.layer import Array


@dataclass(frozen=True)
class Normalization:
    """What happens to pixels before the first layer: (x · scale - mean) / std.

    scale : float
    mean, std : tuple of float. One number for all channels, or one for each.
    """

    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __call__(self, x: Array) -> Array:
        """Return pixels (N, C, H, W) as the first layer takes them."""
        if self == Normalization():
            return x
        mean, std = (np.asarray(values, x.dtype)[:, None, None] for values in (self.mean, self.std))
        return (x * x.dtype.type(self.scale) - mean) / std

    def check(self, channels: int) -> None:
        """Raise ModelError if there are numbers for another number of channels."""
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, channels):
                raise ModelError(f'"{name}" has {len(values)} numbers for {channels} channels')

    def describe(self) -> dict[str, Any]:
        """Return it as a model file holds it."""
        mean, std = (v[0] if len(v) == 1 else list(v) for v in (self.mean, self.std))
        return {"scale": self.scale, "mean": mean, "std": std}
