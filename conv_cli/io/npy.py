"""Arrays as images: .npy files in and out, .npz out. They carry pixels and no meaning."""

import math
import os
from io import BufferedReader, BytesIO
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from conv_cli.errors import ImageError

_MAX_HEADER = 10_000
_HEADERS = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}


class Header(NamedTuple):
    """What a .npy file says of its array; `order` is "C" for rows first, "F" for columns."""

    shape: tuple[int, ...]
    order: str
    stored: np.dtype[Any]

    @property
    def channels(self) -> int:
        """How many there are; a last axis of 1 is none of its own."""
        return 1 if len(self.shape) == 2 else self.shape[2]

    @property
    def nbytes(self) -> int:
        """How many the array takes in the file."""
        return math.prod(self.shape) * self.stored.itemsize

    @property
    def dtype(self) -> np.dtype[Any]:
        """As it is read: in this machine's byte order, truth values as 0 and 255."""
        return np.dtype(np.uint8) if self.stored.kind == "b" else self.stored.newbyteorder("=")


def read_header(stream: BinaryIO) -> Header:
    """Read the header and leave the stream behind it.

    Raises ImageError for an array that is no image.
    """
    version = npy_format.read_magic(stream)
    if version not in _HEADERS:
        raise ImageError("holds records, not an array of numbers; save one image as (H, W, C)")
    shape, by_columns, dtype = _HEADERS[version](stream, max_header_size=_MAX_HEADER)
    if dtype.hasobject or dtype.kind not in "buif" or dtype.itemsize > 8:
        raise ImageError(f"holds {dtype}, not numbers that pixels can be; save it as float32")
    if len(shape) not in (2, 3) or min(shape) < 1 or shape[2:] > (4,):
        raise ImageError(f"has the shape {shape}; save one image as (H, W) or (H, W, 1 to 4)")
    return Header(shape, "F" if by_columns else "C", dtype)


def read_pixels(stream: BinaryIO, header: Header) -> NDArray[Any]:
    """Read the array behind the header: (H, W) for one channel, else (H, W, C).

    Raises ImageError if the file is too short for it, before memory is taken.
    """
    start, length = stream.tell(), header.nbytes
    if stream.seek(0, os.SEEK_END) - start < length:
        raise ImageError("cannot be read: truncated or damaged (too few bytes for its shape)")
    stream.seek(start)
    order: Literal["C", "F"] = "F" if header.order == "F" else "C"
    if isinstance(stream, BufferedReader) and header.stored == header.dtype and order == "C":
        # The system reads the pages of a file as they are used, and drops them as it likes.
        array = np.asarray(np.memmap(stream, header.stored, "r", start, header.shape))
    else:
        array = np.frombuffer(stream.read(length), header.stored)
        array = array.reshape(header.shape, order=order)
    if header.channels == 1:
        array = array.reshape(header.shape[:2])
    if header.stored.kind == "b":
        return np.where(array, np.uint8(255), np.uint8(0))
    return np.ascontiguousarray(array, header.dtype)


def head_of(pixels: NDArray[Any]) -> bytes:
    """Return what comes before the rows of an array in a .npy file."""
    head = BytesIO()
    npy_format.write_array_header_1_0(head, npy_format.header_data_from_array_1_0(pixels))
    return head.getvalue()


def write_npz(stream: BinaryIO, pixels: NDArray[Any]) -> None:
    """Write an archive of one array, "image", compressed."""
    np.savez_compressed(stream, image=pixels)
