"""What a person looks at in place of all pixels: small, and of 8 bits or signed."""

from typing import Any

import numpy as np
import numpy.typing as npt

from conv_cli.colors import white
from conv_cli.images import Image, reduced

Pixels = npt.NDArray[np.uint8]

_SIDE = 512
"""Rows and columns that are kept at most; terminals show fewer."""


def seen(image: Image, top: float | None = None) -> Pixels:
    """Return an image as it is looked at, (h, w) or (h, w, 3), on black where it is transparent.

    top : float, optional. White in floats; by default they are stretched from least to greatest.
    """
    small = reduced(np.moveaxis(image.planes, 0, -1).astype(np.float32), _SIDE)
    if image.dtype.kind == "f":
        finite = small[np.isfinite(small)]
        small = np.where(np.isfinite(small), small, finite.min(initial=0))
        low, high = (0.0, top) if top else (float(small.min()), float(small.max()))
    else:
        low, high = 0.0, white(image.dtype)
    share = (small - low) / ((high - low) or 1.0)
    if image.alpha:
        share = share[..., :-1] * share[..., -1:]
    shown = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
    return shown[..., 0] if shown.shape[2] != 3 else shown


def signed(values: npt.NDArray[Any], alpha: bool) -> npt.NDArray[np.float32]:
    """Return the mean of the colours of real values (H, W) or (H, W, C), small, (h, w)."""
    channels = values if values.ndim == 3 else values[..., None]
    colours = channels[..., :-1] if alpha else channels
    return np.nan_to_num(reduced(colours.astype(np.float32), _SIDE).mean(axis=2))
