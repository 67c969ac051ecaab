"""What lies behind the first picture of a file or stream: more pictures, or a video."""

import io
import re
import struct
from typing import BinaryIO

from conv_cli.images import pam, pnm
from conv_cli.images.headers import (
    MAX_FRAMES,
    SIGNATURE_BYTES,
    identify,
    others_named,
    skip_gif_frames,
)
from conv_cli.images.pillow import DECODER_ERRORS
from conv_cli.io import npy

_PADDING = b"\0 \t\r\n"
_PIECE = 1 << 16  # bytes of padding that are looked through
# Two or three bytes that any data may begin with show no picture.
_SURE = frozenset({"png", "jpeg", "tiff", "gif", "webp", "jp2", "avif", "pnm", "pfm", "pam", "npy"})
_VIDEO = re.compile(rb"\0\0\0[\x08-\xff]ftyp(?:isom|iso\d|mp4\d|avc1|qt  |3gp|M4V )", re.DOTALL)
_JPEG_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])", re.DOTALL)  # that ends coded pixels
_ALONE = (0x01, *range(0xD0, 0xD9))  # markers without a length


def others_behind(stream: BinaryIO, format: str) -> tuple[str, ...]:
    """Say what follows the picture that a file of a format begins with; nothing of mere bytes.

    stream : BinaryIO. Seekable.
    format : str. As `headers.identify` names it.
    """
    count, video = 1, False
    try:
        end = _end(stream, format, 0)
        while end is not None and count <= MAX_FRAMES:
            start = _next_start(stream, end)
            stream.seek(start)
            following = identify(stream.read(SIGNATURE_BYTES))
            if following not in _SURE:
                stream.seek(start)
                video = format == "jpeg" and _VIDEO.search(stream.read()) is not None
                break
            count += 1
            end = _end(stream, following, start)
    except DECODER_ERRORS:
        pass  # a damaged later picture is one that is not read either
    if count == 1:
        return ("a video behind the picture is left out",) if video else ()
    return others_named(count, "pictures and a video" if video else "pictures")


def _next_start(stream: BinaryIO, end: int) -> int:
    stream.seek(end)
    padded = stream.read(_PIECE)
    gap = len(padded) - len(padded.lstrip(_PADDING))
    box = padded[max(gap - 3, 0) :]  # zeros that begin the length of a box are no padding
    return end + gap - (3 if gap >= 3 and box[4:8] == b"ftyp" else 0)


def _end(stream: BinaryIO, format: str, start: int) -> int | None:
    """Return where the picture that begins at `start` ends, None if that is not told."""
    stream.seek(start)
    if format == "png":
        return _png_end(stream)
    if format == "jpeg":
        length = _jpeg_end(stream.read())
        return None if length is None else start + length
    if format == "gif":
        skip_gif_frames(stream, start)
        return stream.tell()
    if format == "webp":
        size: int = struct.unpack("<4xI", stream.read(8))[0]
        return start + 8 + size + size % 2
    if format == "npy":
        array = npy.read_image_header(stream)
        return stream.tell() + array.nbytes
    if format == "pam":
        return pam.end_of(stream, start)
    if format in ("pnm", "pfm"):
        header = pnm.read_header(stream, start)
        return None if header.nbytes is None else header.start + header.nbytes
    return None


def _png_end(stream: BinaryIO) -> int | None:
    stream.seek(8, io.SEEK_CUR)
    while len(head := stream.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        at = stream.seek(length + 4, io.SEEK_CUR)
        if kind == b"IEND":
            return at
    return None


def _jpeg_end(data: bytes) -> int | None:
    at = 2
    while (found := _JPEG_MARKER.search(data, at)) is not None:
        marker, at = found[1][0], found.end()
        if marker == 0xD9:
            return at
        if marker not in _ALONE and at + 2 <= len(data):
            at += int.from_bytes(data[at : at + 2], "big")
    return None
