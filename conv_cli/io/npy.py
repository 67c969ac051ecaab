"""NumPy's files: .npy and .npz in and out. Only headers and plain numbers are read, no pickles."""

import io
import math
import os
import warnings
from collections.abc import Callable
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from conv_cli.errors import ConvError, ImageError

_HEADERS = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}


_MOST_HEADER = 1 << 17


class NpyHeader(NamedTuple):
    """What a .npy file says of its array; `order` is "C" for rows first, "F" for columns."""

    shape: tuple[int, ...]
    order: Literal["C", "F"]
    stored: np.dtype[Any]

    @property
    def channels(self) -> int:
        """How many an image has; a last axis of 1 is none of its own."""
        return 1 if len(self.shape) == 2 else self.shape[2]

    @property
    def nbytes(self) -> int:
        """How many the array takes in the file."""
        return math.prod(self.shape) * self.stored.itemsize

    @property
    def dtype(self) -> np.dtype[Any]:
        """As pixels are read: in this machine's byte order, truth values as 0 and 255."""
        return np.dtype(np.uint8) if self.stored.kind == "b" else self.stored.newbyteorder("=")

    def array(self, contents: bytes, start: int = 0) -> NDArray[Any]:
        """Return the array, read-only, whose numbers lie in the bytes from `start` on."""
        flat = np.frombuffer(contents, self.stored, math.prod(self.shape), start)
        return flat.reshape(self.shape, order=self.order)


def read_header(stream: BinaryIO) -> NpyHeader:
    """Read the header of any array, and leave the stream behind it.

    Raises ImageError for the later format of arrays with named fields; for a damaged header
    whatever Python's parser raises, as that is what it is read by.
    """
    version = npy_format.read_magic(stream)
    if version not in _HEADERS:
        raise ImageError("holds records, not an array of numbers; save one image as (H, W, C)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about headers written by Python 2, which are read well
        shape, by_columns, dtype = _HEADERS[version](stream)
    return NpyHeader(shape, "F" if by_columns else "C", dtype)


def read_image_header(stream: BinaryIO) -> NpyHeader:
    """Read the header of an array of pixels, and leave the stream behind it.

    Raises ImageError for an array that is no image; else as `read_header` does.
    """
    header = read_header(stream)
    _require_pixels(header)
    return header


def read_stack_header(stream: BinaryIO) -> tuple[int, NpyHeader]:
    """Read the header of (frames, H, W) or (frames, H, W, C); return how many, and that of each.

    The stream is left behind it. An array (H, W) is one frame. Raises ImageError as
    `read_image_header` does, and for frames that are not stored one after the other.
    """
    header = read_header(stream)
    if len(header.shape) < 3:
        _require_pixels(header)
        return 1, header
    if header.order == "F":
        raise ImageError("is stored by columns; save its frames by numpy.ascontiguousarray")
    frame = header._replace(shape=header.shape[1:])
    _require_pixels(frame)
    return header.shape[0], frame


def _require_pixels(header: NpyHeader) -> None:
    """Raise ImageError for an array that is no image."""
    shape, _, dtype = header
    if dtype.hasobject or dtype.kind not in "buif" or dtype.itemsize > 8:
        raise ImageError(f"holds {dtype}, not numbers that pixels can be; save it as float32")
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise ImageError(f"has the shape {shape}; save one image as (H, W) or (H, W, channels)")
    if len(shape) == 3 and shape[0] <= 4 < min(shape[1:]):
        raise ImageError(
            f"has the shape {shape}, which looks like planes one after the other; save it as (H, W,"
            " channels), by numpy.moveaxis(x, 0, -1), or take frames by --frames all"
        )


def only_array(stream: BinaryIO, most_bytes: int) -> bytes:
    """Return the .npy file that is all that a .npz archive holds.

    Raises ImageError if it is damaged, holds another number of arrays, or unpacks to more bytes
    than `most_bytes` and a header.
    """
    import zipfile
    import zlib

    try:
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
            if len(members) != 1 or not members[0].filename.endswith(".npy"):
                arrays = sum(member.filename.endswith(".npy") for member in members)
                raise ImageError(
                    f"is an archive of {len(members)} files, {arrays} of them arrays, and an image "
                    "is one; save it alone by numpy.savez"
                )
            size = members[0].file_size
            if size > most_bytes + _MOST_HEADER:
                raise ImageError(f"unpacks to {size:,} bytes; raise --max-pixels for such images")
            with archive.open(members[0]) as member:
                return member.read(size)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise ImageError(
            f"cannot be read: truncated or damaged ({error}); save it again by numpy.savez"
        ) from None


def read_pixels(stream: BinaryIO, header: NpyHeader) -> NDArray[Any]:
    """Read the array behind the header: (H, W) for one channel, else (H, W, C).

    Raises ImageError if the file is too short for it, before memory is allocated.
    """
    start, length = stream.tell(), header.nbytes
    if stream.seek(0, os.SEEK_END) - start < length:
        raise ImageError("cannot be read: truncated or damaged (too few bytes for its shape)")
    stream.seek(start)
    if (
        isinstance(stream, io.BufferedReader)
        and header.stored == header.dtype
        and header.order == "C"
    ):
        # The system reads the pages of a file as they are used, and drops them as it likes.
        array = np.asarray(np.memmap(stream, header.stored, "r", start, header.shape))
    else:
        array = header.array(stream.read(length))
    return _as_pixels(array, header)


def _as_pixels(array: NDArray[Any], header: NpyHeader) -> NDArray[Any]:
    if header.channels == 1:
        array = array.reshape(header.shape[:2])
    if header.stored.kind == "b":
        return np.where(array, np.uint8(255), np.uint8(0))
    return np.ascontiguousarray(array, header.dtype)


def parse_npy(
    contents: bytes, check: Callable[[tuple[int, ...], np.dtype[Any]], None]
) -> NDArray[Any]:
    """Return the array in the bytes of a .npy file, read-only, once its header is approved.

    `check` is given the shape and the dtype, and raises ConvError for what it does not allow:
    objects in any case. Raises ConvError, the reason alone, if the bytes are damaged or too few.
    """
    stream = io.BytesIO(contents)
    try:
        header = read_header(stream)
    except Exception:  # a header is read as Python text, and whatever that may raise comes through
        raise ConvError("its .npy header is damaged; save the array again by numpy.save") from None
    check(header.shape, header.stored)
    start = stream.tell()
    if len(contents) - start < header.nbytes:
        raise ConvError("cut short; save the array again by numpy.save")
    return header.array(contents, start)


def head_of(pixels: NDArray[Any]) -> bytes:
    """Return what comes before the rows of an array in a .npy file."""
    head = io.BytesIO()
    npy_format.write_array_header_1_0(head, npy_format.header_data_from_array_1_0(pixels))
    return head.getvalue()


def write_npz(stream: BinaryIO, pixels: NDArray[Any]) -> None:
    """Write an archive of one array, "image", compressed."""
    np.savez_compressed(stream, image=pixels)
