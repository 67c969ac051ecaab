"""FITS files, read: the first array that is an image, upright as astronomers' viewers show it.

Reference: the FITS standard 4.0 (2018), sections 3, 4 and 7.1.
"""

import math
import re
from typing import Any, BinaryIO

import numpy as np

from conv_cli.errors import ImageError
from conv_cli.images.image import Image, ImageInfo, Opened, check_samples

_BLOCK, _MOST_BLOCKS, _MOST_UNITS = 2880, 400, 100
_STORED = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_SIGNED, _UNSIGNED = {8: "u1", 16: "i4", 32: "i4"}, {16: "u2", 32: "u4"}
_CARD = re.compile(r"([A-Z0-9_-]+) *= *(?:'([^']*)'|([^ /]+))")


def _cards(stream: BinaryIO) -> dict[str, str]:
    """Read the header at the stream's place."""
    found: dict[str, str] = {}
    for _ in range(_MOST_BLOCKS):
        block = stream.read(_BLOCK).decode("latin-1")
        for at in range(0, len(block), 80):
            if block[at : at + 8] == "END     ":
                return found
            if match := _CARD.match(block[at : at + 80]):
                found.setdefault(match[1], match[2] or match[3] or "")
    raise ImageError("cannot be read: truncated or damaged (no end of its header)")


def open_fits(stream: BinaryIO, max_pixels: int) -> Opened:
    """Read the headers up to the first image: rows and columns, or planes of them.

    Raises ImageError if there is none, it is too large, or a header damaged.
    """
    stream.seek(0)
    for _ in range(_MOST_UNITS):
        cards = _cards(stream)
        axes = [int(cards[f"NAXIS{n}"]) for n in range(1, int(cards["NAXIS"]) + 1)]
        if cards.get("ZIMAGE") == "T":
            raise ImageError("holds a compressed image; unpack it first, with funpack")
        size = math.prod(axes) * bool(axes)
        if size and cards.get("XTENSION", "IMAGE").strip() == "IMAGE":
            return _opened(stream, cards, axes, max_pixels)
        items = int(cards.get("PCOUNT", "0")) + size
        stream.seek(-(-abs(int(cards["BITPIX"])) * items // 8 // _BLOCK) * _BLOCK, 1)
        if not stream.read(1):
            break
        stream.seek(-1, 1)
    raise ImageError("holds no image; export it alone, without tables")


def _opened(stream: BinaryIO, cards: dict[str, str], axes: list[int], max_pixels: int) -> Opened:
    width, height, planes, *more = (*axes, 1, 1)
    if min(axes) < 1 or set(more) > {1}:
        raise ImageError(f"has axes of {axes}; save one image of rows and columns, or planes")
    check_samples(width, height, planes, max_pixels)
    bits, start = int(cards["BITPIX"]), stream.tell()
    stored = np.dtype(_STORED[bits])
    scale = float(cards.get("BSCALE", "1").replace("D", "E"))
    zero = float(cards.get("BZERO", "0").replace("D", "E"))
    blank = int(cards["BLANK"]) if bits > 0 and "BLANK" in cards else None
    kinds = _SIGNED if zero == 0 else _UNSIGNED if zero == 2.0 ** (bits - 1) else {}
    plain = kinds.get(bits) if scale == 1 and blank is None else None
    dtype = np.dtype(plain or ("f8" if bits in (-64, 32, 64) else "f4"))
    info = ImageInfo(height, width, planes, False, dtype, "fits")

    def read(_: bool) -> Image:
        stream.seek(start)
        count = planes * height * width
        if len(data := stream.read(count * stored.itemsize)) < count * stored.itemsize:
            raise ImageError("cannot be read: truncated or damaged (too few bytes for its size)")
        values: Any = np.frombuffer(data, stored).reshape(planes, height, width)[:, ::-1]
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = values if (scale, zero) == (1, 0) else values * np.float64(scale) + zero
            scaled = scaled if blank is None else np.where(values == blank, np.nan, scaled)
            pixels = np.ascontiguousarray(np.moveaxis(scaled, 0, -1), info.dtype)
        return Image(pixels.reshape(info.shape), format="fits")

    return Opened(info, read)
