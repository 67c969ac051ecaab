"""Arrays as images: .npy files in and out, .npz out. They carry pixels and no meaning."""

import io
import os
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from conv_cli.errors import ImageError

_MAX_HEADER = 10_000


def read_header(stream: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return the shape, whether columns come first, and the dtype; the stream is left behind them.

    Raises ImageError for an array that is no image, or longer than the file.
    """
    version = npy_format.read_magic(stream)
    read = npy_format.read_array_header_1_0 if version == (1, 0) else _read_later_header
    shape, by_columns, dtype = read(stream, max_header_size=_MAX_HEADER)
    if dtype.hasobject or dtype.kind not in "buif" or dtype.itemsize > 8:
        raise ImageError(f"holds {dtype}, not numbers that pixels can be; save it as float32")
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise ImageError(f"has shape {shape}, not (H, W) or (H, W, C); save one image as such")
    start = stream.tell()
    length = stream.seek(0, os.SEEK_END) - start
    stream.seek(start)
    if length < int(np.prod(shape, dtype=object)) * dtype.itemsize:
        raise ImageError("cannot be read: truncated or damaged (too few bytes for its shape)")
    return shape, by_columns, dtype
