"""Radiance HDR files, read: linear light, three mantissas and one exponent a pixel, as float32.

Reference: G. Ward, "Real Pixels", Graphics Gems II (1991), and the manual of Radiance.
"""

import re
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from conv_cli.errors import ImageError
from conv_cli.images.image import Image, ImageInfo, Opened, check_size

_SIZE = re.compile(rb"\n\n([-+])Y +(\d{1,9}) +([-+])X +(\d{1,9})\n")
_RUNS = range(8, 1 << 15)  # widths of scanlines that may be coded component by component


def open_hdr(stream: BinaryIO, max_pixels: int) -> Opened:
    """Read the header of a picture of rows of RGBE pixels.

    Raises ImageError for other kinds, damage, and a picture too large.
    """
    stream.seek(0)
    text = stream.read(1 << 16)
    found = _SIZE.search(text)
    if b"32-bit_rle_xyze" in text[: found.start() if found else None]:
        raise ImageError("holds XYZ colours, which are not supported; convert it to RGBE")
    if found is None:
        raise ImageError("cannot be read: damaged, or its rows are columns; convert it")
    down, height, across, width = found[1], int(found[2]), found[3], int(found[4])
    if not height or not width:
        raise ImageError("cannot be read: damaged (a size of 0)")
    check_size(width, height, max_pixels)
    info = ImageInfo(height, width, 3, False, np.dtype(np.float32), "hdr")

    def read(_: bool) -> Image:
        stream.seek(found.end())
        pixels = np.empty(info.shape, np.float32)
        stored = pixels[:: 1 if down == b"-" else -1, :: 1 if across == b"+" else -1]
        data, at = stream.read(), 0
        for row in stored:
            coded, at = _scanline(data, at, width)
            scale = np.ldexp(np.float32(1), coded[:, 3].astype(np.int32) - 136)
            row[...] = coded[:, :3] * scale[:, None]
        return Image(pixels, format="hdr", not_srgb="a Radiance file holds linear light")

    return Opened(info, read)


def _scanline(data: bytes, at: int, width: int) -> tuple[NDArray[Any], int]:
    """Return the bytes of a row, (width, 4), and where the next begins."""
    mark = bytes((2, 2, width >> 8, width & 255)) if width in _RUNS else b"-"
    if data[at : at + len(mark)] != mark:
        return _plain(data, at, width)
    line, place, at = bytearray(), 0, at + 4
    while place < 4 * width:
        count = data[at] if at < len(data) else 0
        length, again = (1, count - 128) if count > 128 else (count, 1)
        line += data[at + 1 : at + 1 + length] * again
        place, at = place + length * again, at + 1 + length
        if not count or len(line) != place or place > 4 * width:
            raise ImageError("cannot be read: truncated or damaged (a wrong length of a run)")
    return np.frombuffer(line, np.uint8).reshape(4, width).T, at


def _plain(data: bytes, at: int, width: int) -> tuple[NDArray[Any], int]:
    """Return a row of pixels one by one, of which (1, 1, 1, n) repeats the last, as of old."""
    line, shift = bytearray(), 0
    while len(line) < 4 * width:
        pixel = data[at : at + 4]
        if len(pixel) < 4:
            raise ImageError("cannot be read: truncated or damaged (too few pixels)")
        again = pixel[:3] == b"\1\1\1" and bool(line)
        line += line[-4:] * min(pixel[3] << shift, width - len(line) // 4) if again else pixel
        shift = min(shift + 8, 24) if again else 0
        at += 4
    return np.frombuffer(line, np.uint8).reshape(width, 4), at
