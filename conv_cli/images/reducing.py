"""Pictures in another size, to look at."""

import numpy as np
import numpy.typing as npt
from PIL import Image as PilImage


def resized(pixels: npt.NDArray[np.float32], rows: int, columns: int) -> npt.NDArray[np.float32]:
    """Return pixels (H, W, C) in another size, each the mean of those that lie there."""
    box = PilImage.Resampling.BOX
    planes = (np.ascontiguousarray(plane) for plane in np.moveaxis(pixels, -1, 0))
    made = [PilImage.fromarray(plane).resize((columns, rows), box) for plane in planes]
    return np.stack([np.asarray(plane) for plane in made], axis=-1)


def reduced(pixels: npt.NDArray[np.float32], side: int) -> npt.NDArray[np.float32]:
    """Return pixels (H, W, C) with at most ``side`` rows and columns; smaller ones as they are."""
    factor = max(pixels.shape[:2]) / side
    if factor <= 1:
        return pixels
    rows, columns = (max(1, round(n / factor)) for n in pixels.shape[:2])
    return resized(pixels, rows, columns)
