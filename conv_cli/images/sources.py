"""Pixels that are not in an array: read window by window, so that they are in memory once."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image as PilImage

Places = slice | NDArray[np.intp]
"""Consecutive rows or columns, or any."""


class PictureRows:
    """The pixels of a picture that Pillow has decoded, of mode L or RGB.

    shape : (H, W) or (H, W, 3)
    dtype : numpy.dtype. uint8.
    """

    def __init__(self, picture: PilImage.Image) -> None:
        self._picture = picture
        self._samples = len(picture.getbands())
        size = (picture.height, picture.width)
        self.shape = size if self._samples == 1 else (*size, self._samples)
        self.dtype = np.dtype(np.uint8)

    @property
    def ndim(self) -> int:
        """2, or 3 for colours."""
        return len(self.shape)

    @property
    def plane(self) -> "SamplePlane":
        """The same as one image of one channel, its samples side by side."""
        return SamplePlane(self, self._samples)

    def rows(self, first: int, stop: int, left: int, right: int) -> NDArray[Any]:
        """Return a copy of some rows from column ``left`` to before ``right``."""
        return np.asarray(self._picture.crop((left, first, right, stop)))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Return all of them."""
        return self.rows(0, self.shape[0], 0, self.shape[1]).astype(dtype or self.dtype)


class SamplePlane:
    """Interleaved samples of a picture as an image of one channel, shape (1, 1, H, W·samples)."""

    def __init__(self, pixels: PictureRows, samples: int) -> None:
        self._pixels, self._samples = pixels, samples
        height, width = pixels.shape[:2]
        self.shape = (1, 1, height, width * samples)
        self.dtype = pixels.dtype

    def window(self, rows: Places, columns: Places) -> NDArray[Any]:
        """Return the samples (1, 1, rows, columns) of those places."""
        first, last = _ends(columns)
        left, right = first // self._samples, last // self._samples + 1
        if isinstance(rows, slice) or rows.max() - rows.min() < 2 * len(rows):
            top, bottom = _ends(rows)
            values = self._pixels.rows(top, bottom + 1, left, right)
            values = values if isinstance(rows, slice) else values[rows - top]
        else:  # the border repeats rows from all over the picture
            values = np.concatenate([self._pixels.rows(r, r + 1, left, right) for r in rows])
        lines = values.reshape(len(values), -1)
        start = left * self._samples
        if isinstance(columns, slice):
            return lines[None, None, :, first - start : last + 1 - start]
        return lines[None, None, :, columns - start]


def _ends(places: Places) -> tuple[int, int]:
    """Return the least and the greatest of some places."""
    if isinstance(places, slice):
        return places.start, places.stop - 1
    return int(places.min()), int(places.max())
