"""Pixels that are not in an array: read window by window, so that they are in memory once."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image as PilImage

Places = slice | NDArray[np.intp]
"""Consecutive rows or columns, or any."""

_BAND_BYTES = 4 << 20
"""What is read at a time where all pixels are looked at."""


class PixelRows(ABC):
    """The pixels of a picture, read window by window.

    shape : (H, W) or (H, W, C)
    dtype : numpy.dtype
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    like_array = True
    """Kernels slide as they do over an array of the same pixels, so that results are the same to
    the bit; else in tiles that take less memory."""

    @abstractmethod
    def rows(self, first: int, stop: int, left: int, right: int) -> NDArray[Any]:
        """Return a copy of some rows from column ``left`` to before ``right``."""

    @property
    def ndim(self) -> int:
        """2, or 3 for several channels."""
        return len(self.shape)

    @property
    def channels(self) -> int:
        """How many there are."""
        return 1 if self.ndim == 2 else self.shape[2]

    @property
    def plane(self) -> "SamplePlane":
        """The same as one image of one channel, its samples side by side."""
        return SamplePlane(self)

    @property
    def planes(self) -> "Planes":
        """The channels one after the other, (C, H, W)."""
        return Planes(self, tuple(range(self.channels)))

    def only(self, channels: Sequence[int]) -> Any:
        """Return some channels of them, counted from 0."""
        return ChannelRows(self, channels)

    def bands(self) -> Iterator[NDArray[Any]]:
        """Yield all rows from the top down, some at a time."""
        height, width = self.shape[:2]
        step = max(1, _BAND_BYTES // (width * self.channels * self.dtype.itemsize))
        for top in range(0, height, step):
            yield self.rows(top, min(top + step, height), 0, width)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Return all of them."""
        return self.rows(0, self.shape[0], 0, self.shape[1]).astype(dtype or self.dtype, copy=False)


class ChannelRows(PixelRows):
    """Some channels of the pixels of a picture."""

    def __init__(self, pixels: PixelRows, channels: Sequence[int]) -> None:
        self._pixels, self._chosen = pixels, list(channels)
        size, count = pixels.shape[:2], len(self._chosen)
        self.shape = size if count == 1 else (*size, count)
        self.dtype, self.like_array = pixels.dtype, pixels.like_array

    def rows(self, first: int, stop: int, left: int, right: int) -> NDArray[Any]:
        """Return a copy of some rows from column ``left`` to before ``right``."""
        values = self._pixels.rows(first, stop, left, right)
        values = values[..., None] if values.ndim == 2 else values
        return values[..., self._chosen[0]] if len(self._chosen) == 1 else values[..., self._chosen]


class PictureRows(PixelRows):
    """The pixels of a picture that Pillow has decoded, of mode L or RGB, uint8."""

    like_array = False

    def __init__(self, picture: PilImage.Image) -> None:
        self._picture = picture
        samples = len(picture.getbands())
        size = (picture.height, picture.width)
        self.shape = size if samples == 1 else (*size, samples)
        self.dtype = np.dtype(np.uint8)

    def rows(self, first: int, stop: int, left: int, right: int) -> NDArray[Any]:
        """Return a copy of some rows from column ``left`` to before ``right``."""
        return np.asarray(self._picture.crop((left, first, right, stop)))


class SamplePlane:
    """Interleaved samples of a picture as an image of one channel, shape (1, 1, H, W·samples)."""

    def __init__(self, pixels: PixelRows) -> None:
        self._pixels, self._samples = pixels, pixels.channels
        self.like_array = pixels.like_array
        height, width = pixels.shape[:2]
        self.shape = (1, 1, height, width * self._samples)
        self.dtype = pixels.dtype

    def window(self, rows: Places, columns: Places) -> NDArray[Any]:
        """Return the samples (1, 1, rows, columns) of those places."""
        first, last = _ends(columns)
        left, right = first // self._samples, last // self._samples + 1
        values = _at(self._pixels, rows, left, right)
        lines = values.reshape(len(values), -1)
        start = left * self._samples
        if isinstance(columns, slice):
            return lines[None, None, :, first - start : last + 1 - start]
        return lines[None, None, :, columns - start]


class Planes:
    """Channels of a picture, shape (C, H, W), as an array of them is indexed.

    ``planes[channels]`` are some of them, ``planes[:, None]`` those as images of one channel each,
    (C, 1, H, W), and ``planes[None]`` as one image, (1, C, H, W): these are read by ``window``.
    ``planes[channels, rows]`` are pixels, (C, h, W).
    """

    def __init__(
        self, pixels: PixelRows, chosen: tuple[int, ...], lead: tuple[int, ...] | None = None
    ) -> None:
        self._pixels, self._chosen, self._lead = pixels, chosen, lead
        self.like_array = pixels.like_array
        self.shape = (*(lead or (len(chosen),)), *pixels.shape[:2])
        self.dtype = pixels.dtype

    def __len__(self) -> int:
        """Return how many images there are, or channels."""
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        """Return some channels, all as images, or the pixels of some rows."""
        count = len(self._chosen)
        if index is None:
            return Planes(self._pixels, self._chosen, (1, count))
        if isinstance(index, tuple) and isinstance(index[1], slice):
            height, width = self.shape[-2:]
            rows = slice(*index[1].indices(height)[:2])
            return self[index[0]][None].window(rows, slice(0, width))[0]
        if isinstance(index, tuple):
            assert index == (slice(None), None)
            return Planes(self._pixels, self._chosen, (count, 1))
        chosen = np.array(self._chosen)[index]
        return Planes(self._pixels, tuple(map(int, np.atleast_1d(chosen))))

    def window(self, rows: Places, columns: Places) -> NDArray[Any]:
        """Return the pixels (N, C, rows, columns) of those places."""
        assert self._lead is not None
        first, last = _ends(columns)
        values = _at(self._pixels, rows, first, last + 1)
        if not isinstance(columns, slice):
            values = values[:, columns - first]
        planes = values[None] if values.ndim == 2 else np.moveaxis(values, 2, 0)
        if self._chosen != tuple(range(len(planes))):
            planes = planes[list(self._chosen)]
        return planes.reshape(*self._lead, *planes.shape[1:])


def _at(pixels: PixelRows, rows: Places, left: int, right: int) -> NDArray[Any]:
    """Return some rows of consecutive columns."""
    if isinstance(rows, slice) or rows.max() - rows.min() < 2 * len(rows):
        top, bottom = _ends(rows)
        values = pixels.rows(top, bottom + 1, left, right)
        return values if isinstance(rows, slice) else values[rows - top]
    # The border repeats rows from all over the picture.
    return np.concatenate([pixels.rows(row, row + 1, left, right) for row in rows])


def _ends(places: Places) -> tuple[int, int]:
    """Return the least and the greatest of some places."""
    if isinstance(places, slice):
        return places.start, places.stop - 1
    return int(places.min()), int(places.max())
