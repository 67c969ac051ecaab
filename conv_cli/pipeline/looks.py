"""What a person looks at in place of all pixels: small, and of 8 bits or signed."""

from dataclasses import replace
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from conv_cli.colors import white
from conv_cli.images import Image, PixelRows, reduced

Pixels = npt.NDArray[np.uint8]

_SIDE = 512
"""Rows and columns that are kept at most; terminals show fewer."""


def seen(image: Image, top: float | None = None) -> Pixels:
    """Return an image as it is looked at, (h, w) or (h, w, 3), on black where it is transparent.

    top : float, optional. White in floats; by default they are stretched from least to greatest.
    """
    if isinstance(image.pixels, PixelRows):
        image = replace(image, pixels=thinned(image.pixels))
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


def thinned(pixels: PixelRows) -> npt.NDArray[Any]:
    """Return some rows and columns of pixels that are too many to be in memory."""
    sink = ThinSink(pixels.shape)
    top = 0
    for band in pixels.bands():
        sink.put(top, band)
        top += len(band)
    return sink.pixels


class ThinSink:
    """Keeps some rows and columns of a picture, ``pixels``: about as many as are looked at."""

    strip_rows = 64

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._step = max(1, max(shape[:2]) // (2 * _SIDE))
        self._size = tuple(-(-n // self._step) for n in shape[:2])
        self.pixels: npt.NDArray[Any] = np.empty(0)
        self._lock = Lock()

    def put(self, top: int, rows: npt.NDArray[Any]) -> None:
        """Take the rows from ``top`` on."""
        kept = rows[-top % self._step :: self._step, :: self._step]
        with self._lock:
            if not self.pixels.size:
                self.pixels = np.zeros((*self._size, *rows.shape[2:]), rows.dtype)
        first = -(-top // self._step)
        self.pixels[first : first + len(kept)] = kept

    def finish(self) -> tuple[str, ...]:
        """Return what a user must be told: nothing."""
        return ()


def signed(values: npt.NDArray[Any], alpha: bool) -> npt.NDArray[np.float32]:
    """Return the mean of the colours of real values (H, W) or (H, W, C), small, (h, w)."""
    channels = values if values.ndim == 3 else values[..., None]
    colours = channels[..., :-1] if alpha else channels
    return np.nan_to_num(reduced(colours.astype(np.float32), _SIDE).mean(axis=2))
