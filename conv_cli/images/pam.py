"""PAM files (P7): any number of samples a pixel, of 1 to 16 bits, with opacity or without.

Reference: the netpbm manual page pam(5).
"""

import re
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from conv_cli.images import pnm
from conv_cli.images.image import Image, ImageInfo, Opened, check_samples

_MAX_HEADER = 1 << 16
_NUMBERS = (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL")
_OPACITY = {b"BLACKANDWHITE_ALPHA": 2, b"GRAYSCALE_ALPHA": 2, b"RGB_ALPHA": 4}


class _Header(NamedTuple):
    size: tuple[int, int, int]
    top: int
    kind: bytes
    start: int


def _read_header(stream: BinaryIO, start: int) -> _Header:
    stream.seek(start)
    text = stream.read(_MAX_HEADER)
    end = re.search(rb"^ENDHDR[ \t\r]*\n", text, re.MULTILINE)
    if end is None:
        raise pnm.damaged("no end of its header")
    found: dict[bytes, bytes] = {}
    for line in text[3 : end.start()].splitlines():
        key, _, value = line.strip().partition(b" ")
        if key and not key.startswith(b"#"):
            found[key] = value.strip()
    numbers = [found.get(key, b"") for key in _NUMBERS]
    if not all(re.fullmatch(rb"0*[1-9]\d{0,8}", number) for number in numbers):
        raise pnm.damaged("no size in its header")
    width, height, depth, top = map(int, numbers)
    if top > 65535:
        raise pnm.damaged("a wrong value in its header")
    return _Header((height, width, depth), top, found.get(b"TUPLTYPE", b""), start + end.end())


def open_pam(stream: BinaryIO, max_pixels: int) -> Opened:
    """Read the header of a PAM file.

    Raises ImageError if it is damaged, or the picture too large.
    """
    header = _read_header(stream, 0)
    height, width, depth = header.size
    check_samples(width, height, depth, max_pixels)
    dtype = np.dtype(np.uint8 if header.top < 256 else np.uint16)
    info = ImageInfo(height, width, depth, _OPACITY.get(header.kind) == depth, dtype, "pam")

    def read(_: bool) -> Image:
        stream.seek(header.start)
        values = pnm.raw_samples(stream, dtype.newbyteorder(">"), info.shape)
        return Image(pnm.spread_over(values, dtype, header.top), alpha=info.alpha, format="pam")

    return Opened(info, read)


def end_of(stream: BinaryIO, start: int) -> int:
    """Return where the picture that begins at ``start`` ends."""
    header = _read_header(stream, start)
    return header.start + int(np.prod(header.size)) * (1 if header.top < 256 else 2)


def head_of(pixels: NDArray[Any], alpha: bool) -> bytes:
    """Return what comes before uint8 or uint16 pixels, (H, W) or (H, W, C)."""
    height, width, depth = (*pixels.shape, 1)[:3]
    kind = {1: "GRAYSCALE", 3: "RGB"}[depth - alpha] + "_ALPHA" * alpha
    return (
        f"P7\nWIDTH {width}\nHEIGHT {height}\nDEPTH {depth}\nMAXVAL "
        f"{np.iinfo(pixels.dtype).max}\nTUPLTYPE {kind}\nENDHDR\n"
    ).encode()
