"""Pictures larger than memory: read from their files window by window.

A picture is read so from `window_pixels` on, or where it is too large to be read as a whole. The
results are the same to the bit.
"""

import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from conv_cli.images.sources import PixelRows
from conv_cli.parallel.kept import Kept

_WINDOW_PIXELS = 1 << 25
_VARIABLE = "CONV_CLI_WINDOW_PIXELS"
_CACHE_BYTES = 24 << 20
_MOST_CACHE_BYTES = 192 << 20


def window_pixels() -> int:
    """Return from how many pixels on a picture is read and written by windows.

    33,554,432, or what the environment variable ``CONV_CLI_WINDOW_PIXELS`` says.
    """
    text = os.environ.get(_VARIABLE, "")
    return int(text) if text.isascii() and text.isdigit() else _WINDOW_PIXELS


def by_windows(height: int, width: int, max_pixels: int) -> bool:
    """Tell whether a picture of that size is read by windows."""
    return height * width >= min(window_pixels(), max_pixels + 1)


_ZARR_FILES = ("zarr.json", ".zarray", ".zgroup")


def is_zarr(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path is a folder that holds a Zarr array or group."""
    try:
        folder = Path(path)
        return folder.is_dir() and any((folder / name).is_file() for name in _ZARR_FILES)
    except (OSError, ValueError):
        return False


class File:
    """A file that is read at any place, by any thread, for as long as this is in use.

    stream : BinaryIO. What it is open as; it may be closed.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._descriptor = os.dup(stream.fileno())
        self._lock = threading.Lock()
        weakref.finalize(self, os.close, self._descriptor)

    def read(self, at: int, length: int) -> bytes:
        """Return so many bytes from a place on. Raises ValueError if the file has fewer."""
        parts = []
        while length > 0:
            part = self._some(at, length)
            if not part:
                raise ValueError("too few bytes for its size")
            parts.append(part)
            at, length = at + len(part), length - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _some(self, at: int, length: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._descriptor, length, at)
        with self._lock:
            os.lseek(self._descriptor, at, os.SEEK_SET)
            return os.read(self._descriptor, length)


class RawRows(PixelRows):
    """Pixels that lie in a file as they lie in an array, row by row.

    start : int. Where the first byte is.
    stored : numpy.dtype. Of the numbers in the file.
    finish : callable, optional. Makes pixels of rows (h, w) or (h, w, C) of these numbers.
    upwards : bool. The last row comes first.
    """

    def __init__(
        self,
        file: File,
        start: int,
        shape: tuple[int, ...],
        stored: np.dtype[Any],
        dtype: np.dtype[Any],
        *,
        finish: Callable[[NDArray[Any]], NDArray[Any]] | None = None,
        upwards: bool = False,
    ) -> None:
        self._file, self._start, self._stored = file, start, stored
        self.shape, self.dtype = shape, dtype
        self._finish, self._upwards = finish, upwards

    def rows(self, first: int, stop: int, left: int, right: int) -> NDArray[Any]:
        """Return a copy of some rows from column ``left`` to before ``right``."""
        height, width = self.shape[:2]
        if self._upwards:
            first, stop = height - stop, height - first
        if 4 * (right - left) >= 3 * width:  # one piece of the file is read faster than many
            values = self._piece(first * width, stop - first, width)[:, left:right]
        else:
            count = right - left
            lines = [self._piece(row * width + left, 1, count) for row in range(first, stop)]
            values = np.concatenate(lines)
        values = values[::-1] if self._upwards else values
        values = values if self._finish is None else self._finish(values)
        return values.astype(self.dtype, copy=False)

    def _piece(self, pixel: int, rows: int, columns: int) -> NDArray[Any]:
        """Return consecutive pixels from one on, by its number, as so many rows."""
        size = self.channels * self._stored.itemsize
        data = self._file.read(self._start + pixel * size, rows * columns * size)
        return np.frombuffer(data, self._stored).reshape(rows, columns, *self.shape[2:])


class SegmentRows(PixelRows):
    """Pixels that lie in a file in segments of one size: strips, tiles, or chunks.

    Those that were read last are kept, so that each is decoded once for the windows that it lies
    in, by whichever thread needs it first.

    segment : (rows, columns). Of a segment; those at the right and at the bottom may be smaller.
    fetch : callable. Returns the pixels (h, w) or (h, w, C) of a segment, by its row and column
        among the segments.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        segment: tuple[int, int],
        fetch: Callable[[int, int], NDArray[Any]],
    ) -> None:
        self.shape, self.dtype = shape, dtype
        self._height, self._width = (min(n, m) for n, m in zip(segment, shape, strict=False))
        row = -(-shape[1] // self._width) * self._height * self._width
        row *= self.channels * dtype.itemsize
        most = min(max(_CACHE_BYTES, 5 * row // 2), max(_MOST_CACHE_BYTES, self.segment_bytes * 4))
        self._cache = Kept[tuple[int, int], NDArray[Any]](
            lambda key: fetch(*key), lambda values: values.nbytes, most
        )

    @property
    def segment_bytes(self) -> int:
        """How many bytes of pixels a segment has."""
        return self._height * self._width * self.channels * self.dtype.itemsize

    def rows(self, first: int, stop: int, left: int, right: int) -> NDArray[Any]:
        """Return a copy of some rows from column ``left`` to before ``right``."""
        out = np.empty((stop - first, right - left, *self.shape[2:]), self.dtype)
        for i in range(first // self._height, (stop - 1) // self._height + 1):
            top = i * self._height
            a, b = max(first, top), min(stop, top + self._height)
            for j in range(left // self._width, (right - 1) // self._width + 1):
                side = j * self._width
                c, d = max(left, side), min(right, side + self._width)
                values = self._cache.get((i, j))[a - top : b - top, c - side : d - side]
                out[a - first : b - first, c - left : d - left] = values
        return out
