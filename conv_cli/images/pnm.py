"""PBM, PGM, PPM and PFM files, read and written here, as Pillow cuts 16-bit colour to 8 bits.

Reference: the netpbm manual pages pbm(5), pgm(5), ppm(5) and pfm(5).
"""

import os
import re
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from conv_cli.errors import ImageError

_COMMENT = rb"#[^\r\n]*[\r\n]"
_GAP = rb"(?:\s|%b)+" % _COMMENT
_HEADER = re.compile(rb"P([1-6fF])%b(\d{1,9})%b(\d{1,9})" % (_GAP, _GAP))
_TOP = re.compile(rb"%b(\d{1,5})(?:\s|%b)" % (_GAP, _COMMENT))
_BITMAP = re.compile(rb"\s|%b" % _COMMENT)
_MORE = re.compile(rb"\s*(?:%b\s*)+" % _COMMENT)
_SCALE = re.compile(rb"\s+([-+.\deE]+)\s")
_MAX_HEADER = 1 << 16


class Header(NamedTuple):
    """What the first lines say.

    `kind` is the character after the P; `top` is the value of white, 1 for bitmaps, or the scale
    of a PFM, negative if its bytes are least significant first; `start` is where the pixels are.
    """

    kind: str
    width: int
    height: int
    top: float
    start: int

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB."""
        return 3 if self.kind in "36F" else 1

    @property
    def nbytes(self) -> int | None:
        """How many the pixels take in the file; None where they are written out."""
        if self.kind in "123":
            return None
        row = -(-self.width // 8) if self.kind == "4" else self.width * self.channels
        return self.height * row * (1 if self.kind == "4" else self.dtype.itemsize)

    @property
    def stored(self) -> np.dtype[Any]:
        """Of whole bytes in the file."""
        if self.kind in "fF":
            return np.dtype("<f4" if self.top < 0 else ">f4")
        return self.dtype.newbyteorder(">")

    def finish(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return pixels of some values that lie in the file as whole bytes."""
        return values.astype(np.float32) if self.kind in "fF" else _scaled(values, self)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the pixels as they are read."""
        if self.kind in "fF":
            return np.dtype(np.float32)
        return np.dtype(np.uint8 if self.top < 256 else np.uint16)


def read_header(stream: BinaryIO, start: int = 0) -> Header:
    """Read the first lines of the picture that begins at `start`.

    Raises ImageError if they are none of a PNM file.
    """
    stream.seek(start)
    text = stream.read(_MAX_HEADER)
    match = _HEADER.match(text)
    if match is None:
        raise damaged("no size in its header")
    kind, width, height = match[1].decode(), int(match[2]), int(match[3])
    last = _last_of_header(kind, text, match.end())
    if last is None or not width or not height:
        raise damaged("a wrong value in its header")
    white, last_digit, end = last
    header = Header(kind, width, height, white, start + end)
    if header.nbytes is None:
        return header
    # Comments may stand behind the last number too, where they could be pixels: the length tells.
    surplus = stream.seek(0, os.SEEK_END) - header.start - header.nbytes
    if surplus > 0 and _MORE.fullmatch(text[last_digit : end + surplus]):
        return header._replace(start=header.start + surplus)
    return header


def _last_of_header(kind: str, text: bytes, end: int) -> tuple[float, int, int] | None:
    """Return the value of white or the scale, where that ends, and where the pixels start."""
    if kind in "14":
        gap = _BITMAP.match(text, end)
        return (1, end, gap.end()) if gap else None
    match = (_SCALE if kind in "fF" else _TOP).match(text, end)
    if match is None:
        return None
    value = float(match[1])
    limit = np.inf if kind in "fF" else 65536
    return (value, match.end(1), match.end()) if 0 < abs(value) < limit else None


def read_pixels(stream: BinaryIO, header: Header) -> NDArray[Any]:
    """Read the pixels, shape (H, W) or (H, W, 3).

    Whole numbers are scaled to the full range of their dtype: a white of 100 becomes 255, one of
    1000 becomes 65535. Floats are as in the file, whose rows go from the bottom up.
    """
    stream.seek(header.start)
    size = (header.height, header.width)
    shape = size if header.channels == 1 else (*size, header.channels)
    if header.kind in "123":
        return _scaled(_plain(stream.read(), header), header).reshape(shape)
    if header.kind == "4":
        rows = raw_samples(stream, np.dtype(np.uint8), (header.height, -(-header.width // 8)))
        bits = np.unpackbits(rows, axis=1, count=header.width)
        return _scaled(1 - bits, header)
    if header.kind in "fF":
        values = raw_samples(stream, header.stored, shape)
        return np.ascontiguousarray(values[::-1], np.float32)
    return _scaled(raw_samples(stream, header.stored, shape), header)


def raw_samples(stream: BinaryIO, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Read samples as they are in the file. Raises ImageError if there are too few."""
    count = int(np.prod(shape))
    data = stream.read(count * dtype.itemsize)
    if len(data) < count * dtype.itemsize:
        raise damaged("too few bytes for its size")
    return np.frombuffer(data, dtype).reshape(shape)


def _plain(text: bytes, header: Header) -> NDArray[Any]:
    """Read values that are written out; those of a bitmap need no space between them."""
    count = header.width * header.height * header.channels
    text = re.sub(rb"#[^\r\n]*", b"", text)
    if header.kind == "1":
        digits = np.frombuffer(b"".join(text.split())[:count], np.uint8)
        values = ord("1") - digits.astype(np.int64)
    else:
        values = np.array(text.split(None, count)[:count]).astype(np.int64)
    if len(values) < count:
        raise damaged("too few values for its size")
    if values.min() < 0 or values.max() > header.top:
        raise damaged("a value out of range")
    return values


def _scaled(values: NDArray[Any], header: Header) -> NDArray[Any]:
    return spread_over(values, header.dtype, int(header.top))


def spread_over(values: NDArray[Any], dtype: np.dtype[Any], white: int) -> NDArray[Any]:
    """Scale values of 0..white to the full range of a dtype of whole numbers."""
    full = np.iinfo(dtype).max
    if white == full:
        return values.astype(dtype)
    table = (np.arange(full + 1) * full + white // 2) // white
    return np.minimum(table, full).astype(dtype)[values]


def damaged(what: str) -> ImageError:
    """Return the error for a file that is not as it says."""
    return ImageError(f"cannot be read: truncated or damaged ({what})")


def head_of(pixels: NDArray[Any]) -> bytes:
    """Return what comes before uint8 or uint16 pixels, (H, W) or (H, W, 3)."""
    height, width = pixels.shape[:2]
    kind, white = "56"[pixels.ndim - 2], str(np.iinfo(pixels.dtype).max)
    return f"P{kind}\n{width} {height}\n{white}\n".encode()


def write_pfm(stream: BinaryIO, pixels: NDArray[Any]) -> None:
    """Write float32 pixels, (H, W) or (H, W, 3), as PFM: from the bottom up."""
    height, width = pixels.shape[:2]
    stream.write(f"P{'fF'[pixels.ndim - 2]}\n{width} {height}\n-1.0\n".encode())
    stream.write(pixels[::-1].astype("<f4").tobytes())
