"""Smaller pictures, to look at."""

import numpy as np
import numpy.typing as npt
from PIL import Image as PilImage


def reduced(pixels: npt.NDArray[np.float32], side: int) -> npt.NDArray[np.float32]:
    """Return pixels (H, W, C) with at most ``side`` rows and columns: means of those that they are.

    Pictures that are smaller stay as they are.
    """
    rows, columns = pixels.shape[:2]
    factor = max(rows, columns) / side
    if factor <= 1:
        return pixels
    size = max(1, round(columns / factor)), max(1, round(rows / factor))
    planes = [
        PilImage.fromarray(np.ascontiguousarray(pixels[..., c])).resize(
            size, PilImage.Resampling.BOX
        )
        for c in range(pixels.shape[2])
    ]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)
