"""What a file says of itself before any decoder sees it: its format, depth and frames.

Every function takes a seekable stream, reads a little of it, and trusts no length that it finds.
A damaged header ends a search early: the decoder will say what is wrong.
"""

import io
import struct
import zlib
from typing import BinaryIO, NamedTuple

from conv_cli.errors import ImageError

MAX_FRAMES = 100
"""Frames are counted no further: that would take long, and says no more."""

SIGNATURE_BYTES = 32
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "jp2"),
    (b"\xff\x4f\xff\x51", "j2k"),
    (b"\0\0\1\0", "ico"),
    (b"\x93NUMPY", "npy"),
    (b"PK\3\4", "npz"),
    (b"P7\n", "pam"),
    (b"#?RADIANCE\n", "hdr"),
    (b"#?RGBE\n", "hdr"),
    (b"SIMPLE  =", "fits"),
)
_AVIF_BRANDS = (b"avif", b"avis", b"mif1", b"msf1")
_TGA_KINDS = (1, 2, 3, 9, 10, 11)
_TGA_DEPTHS = (1, 8, 16, 24, 32)
_PIECE = 1 << 20  # bytes that are read at once
_PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Of each pass of an interlaced PNG: first column and row, and the steps to the next.
_ADAM7 = (
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)
)  # fmt: skip
_CODESTREAM = b"\xff\x4f\xff\x51"


def identify(start: bytes) -> str | None:
    """Return the format that the first `SIGNATURE_BYTES` bytes of a file show, None if unknown."""
    for signature, name in _SIGNATURES:
        if start.startswith(signature):
            return name
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "webp"
    if start[4:8] == b"ftyp" and start[8:12] in _AVIF_BRANDS:
        return "avif"
    if start[:1] == b"P" and start[1:2] in b"123456fF" and start[2:3] in b" \t\r\n#":
        return "pfm" if start[1:2] in b"fF" else "pnm"
    if len(start) >= 18 and start[1] < 2 and start[2] in _TGA_KINDS and start[16] in _TGA_DEPTHS:
        return "tga"
    return None


def check_png(stream: BinaryIO) -> None:
    """Raise ImageError unless every chunk is there to the last, and has the checksum it names.

    Pillow passes over those of the pixels. Later frames of an animation are not looked into.
    """
    stream.seek(8)
    kind, seen_pixels = b"", False
    while kind != b"IEND":
        head = stream.read(8)
        if len(head) < 8:
            raise _damaged("its end is missing")
        length, kind = struct.unpack(">I4s", head)
        seen_pixels |= kind == b"IDAT"
        if seen_pixels and kind in (b"fcTL", b"fdAT"):
            return
        checksum = zlib.crc32(kind)
        while length and (data := stream.read(min(length, _PIECE))):
            checksum = zlib.crc32(data, checksum)
            length -= len(data)
        if length or stream.read(4) != checksum.to_bytes(4, "big"):
            raise _damaged(f"a wrong checksum in {kind.decode('ascii', 'backslashreplace')}")


def check_png_frames(stream: BinaryIO) -> None:
    """Raise ImageError, naming the frame, unless all of an animated PNG is there and undamaged."""
    stream.seek(8)
    kind, frame = b"", 0
    while kind != b"IEND":
        head = stream.read(8)
        length, kind = struct.unpack(">I4s", head.ljust(8, b"\0"))
        frame += kind == (b"fcTL" if frame else b"IDAT")
        data = stream.read(length)
        checksum = zlib.crc32(kind + data).to_bytes(4, "big")
        if len(head) < 8 or len(data) < length or stream.read(4) != checksum:
            raise ImageError(f"frame {max(frame, 1)}: {_damaged('a wrong checksum')}")


class GifScreen(NamedTuple):
    """What the frames of a GIF file need: told from all of its blocks.

    sizes : list of (int, int). Width and height that are filled up to each frame.
    clear : bool. Some of them name a colour that is transparent.
    """

    sizes: list[tuple[int, int]]
    clear: bool


def gif_screen(stream: BinaryIO) -> GifScreen:
    """Look through a GIF file."""
    stream.seek(6)
    width, height, flags = struct.unpack("<HHc2x", stream.read(7).ljust(7, b"\0"))
    stream.seek(_gif_palette_bytes(flags), io.SEEK_CUR)
    found = GifScreen([], False)
    while (kind := stream.read(1)) not in (b"", b";"):
        if kind == b"!":
            control = stream.read(3)
            clear = control[:2] == b"\xf9\x04" and bool(control[-1] & 1)
            found = found._replace(clear=found.clear or clear)
            stream.seek(-len(control), io.SEEK_CUR)
        elif kind != b",":
            continue  # as Pillow passes over it
        else:
            left, top, across, down = struct.unpack("<4H", stream.read(8).ljust(8, b"\0"))
            width, height = max(width, left + across), max(height, top + down)
            found.sizes.append((width, height))
            stream.seek(_gif_palette_bytes(stream.read(1)), io.SEEK_CUR)
        _skip_gif_blocks(stream)
    return found


def check_png_rows(stream: BinaryIO) -> None:
    """Raise ImageError if a PNG holds fewer rows than it says; Pillow leaves the others empty."""
    stream.seek(16)
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", stream.read(13))
    bits = depth * _PNG_SAMPLES.get(colour, 1)
    missing = 0
    for left, top, across, down in _ADAM7 if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            missing += rows * (1 + -(-columns * bits // 8))
    inflater = zlib.decompressobj()
    stream.seek(8)
    kind = b""
    while missing > 0 and kind != b"IEND":
        length, kind = struct.unpack(">I4s", stream.read(8))
        data = stream.read(length) if kind == b"IDAT" else b""
        while missing > 0 and data:
            missing -= len(inflater.decompress(data, _PIECE))
            data = inflater.unconsumed_tail
        stream.seek(4 if kind == b"IDAT" else length + 4, io.SEEK_CUR)
    if missing > 0:
        raise _damaged("too few rows for its size")


def gif_size(stream: BinaryIO) -> tuple[int, int] | None:
    """Return width and height of what the first frame fills; the decoder takes memory at once."""
    stream.seek(6)
    width, height, flags = struct.unpack("<HHc2x", stream.read(7).ljust(7, b"\0"))
    stream.seek(_gif_palette_bytes(flags), io.SEEK_CUR)
    if not _next_gif_frame(stream):
        return None
    left, top, across, down = struct.unpack("<4H", stream.read(8).ljust(8, b"\0"))
    return max(width, left + across), max(height, top + down)


def webp_size(stream: BinaryIO) -> tuple[int, int] | None:
    """Return width and height; the decoder takes memory for them as soon as it is made."""
    stream.seek(12)
    data = stream.read(18)
    kind = data[:4]
    if kind == b"VP8X" and len(data) == 18:
        return _little(data[12:15]) + 1, _little(data[15:18]) + 1
    if kind == b"VP8L" and len(data) == 18:
        bits = _little(data[9:13])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and len(data) == 18:
        return _little(data[14:16]) & 0x3FFF, _little(data[16:18]) & 0x3FFF
    return None


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


def jpeg2000_depths(stream: BinaryIO) -> list[int]:
    """Return the bits of each component of a JPEG 2000 file.

    Raises ImageError where the header names none, or a signed one.
    """
    stream.seek(0)
    if stream.read(4) != _CODESTREAM:
        _enter_box(stream, 0, b"jp2c")
        stream.read(4)
    siz = stream.read(38)
    components = stream.read(3 * int.from_bytes(siz[-2:], "big"))[::3]
    if not components:
        raise _damaged("no JPEG 2000 codestream")
    if max(components) > 127:
        raise ImageError("has signed samples, which are not supported; convert it to unsigned")
    return [bits + 1 for bits in components]


def avif_is_deep(stream: BinaryIO) -> bool:
    """Tell whether any picture in an AVIF file has more than 8 bits."""
    end = _enter_box(stream, 0, b"meta") or _enter_box(stream, 0, b"moov")
    data = stream.read(max(end - stream.tell(), 0))
    at = data.find(b"av1C")
    while at >= 0:
        if data[at + 6 : at + 7] > b"\x3f" and data[at + 6] & 0x40:
            return True
        at = data.find(b"av1C", at + 4)
    return False


def _enter_box(stream: BinaryIO, start: int, wanted: bytes) -> int:
    """Put the stream behind the head of a top-level box; return its end, 0 if there is none."""
    total = stream.seek(0, io.SEEK_END)
    while start < total:
        stream.seek(start)
        length, kind = struct.unpack(">I4s", stream.read(8).ljust(8))
        if length == 1:  # a longer one follows
            length = int.from_bytes(stream.read(8), "big")
        end = start + length if length else total
        if kind == wanted:
            return end
        start = max(end, start + 8)
    return 0


def others_named(count: int, kind: str) -> tuple[str, ...]:
    """Say that all but the first of some pages, frames or pictures are left out."""
    if count < 2:
        return ()
    many = count if count <= MAX_FRAMES else f"more than {MAX_FRAMES}"
    return (f"holds {many} {kind}; only the first is read",)


class Icon(NamedTuple):
    """One picture of an .ico file."""

    width: int
    height: int
    bits: int
    data: bytes
    entry: bytes

    @property
    def is_png(self) -> bool:
        """Pictures are PNG files, or bitmaps without a file header."""
        return self.data.startswith(b"\x89PNG")

    def alone(self) -> BinaryIO:
        """Return a file that holds this picture only."""
        if self.is_png:
            return io.BytesIO(self.data)
        head = struct.pack("<HHH", 0, 1, 1) + self.entry[:12] + struct.pack("<I", 22)
        return io.BytesIO(head + self.data)


def largest_icon(stream: BinaryIO) -> tuple[Icon, int]:
    """Return the largest picture of an .ico file, of the most bits, and how many there are.

    Raises ImageError if the file ends before it.
    """
    stream.seek(4)
    count = int.from_bytes(stream.read(2), "little")
    entries = [entry for _ in range(count) if len(entry := stream.read(16)) == 16]
    if not entries:
        raise _damaged("no picture in it")
    entry = max(entries, key=lambda e: ((e[0] or 256) * (e[1] or 256), e[6] + 256 * e[7]))
    length, start = struct.unpack("<II", entry[8:])
    stream.seek(start)
    icon = _icon(entry, stream.read(length))
    return icon, len(entries)


def _icon(entry: bytes, data: bytes) -> Icon:
    """Take the size from the picture itself: that of the entry has one byte, and may be wrong."""
    if data.startswith(b"\x89PNG"):
        width, height = struct.unpack_from(">II", data, 16)
    else:
        width, height = struct.unpack_from("<II", data, 4)
        height //= 2  # the mask of opacity is counted in
    return Icon(width, height, int.from_bytes(entry[6:8], "little"), data, entry)


def skip_gif_frames(stream: BinaryIO, start: int = 0) -> int:
    """Go behind the frames of the GIF at `start`, and its end; count up to `MAX_FRAMES` + 1."""
    stream.seek(start + 10)
    stream.seek(start + 13 + _gif_palette_bytes(stream.read(1)))
    frames = 0
    while frames <= MAX_FRAMES and _next_gif_frame(stream):
        frames += 1
        stream.seek(8, io.SEEK_CUR)
        stream.seek(_gif_palette_bytes(stream.read(1)), io.SEEK_CUR)
        _skip_gif_blocks(stream)
    return frames


def _next_gif_frame(stream: BinaryIO) -> bool:
    """Put the stream behind the mark of the next frame, if there is one; extensions lie between."""
    while (kind := stream.read(1)) == b"!":
        _skip_gif_blocks(stream)
    return kind == b","


def _skip_gif_blocks(stream: BinaryIO) -> None:
    """Go on behind a byte that tells what follows, and the blocks that do."""
    stream.seek(1, io.SEEK_CUR)
    while size := stream.read(1).strip(b"\0"):
        stream.seek(size[0], io.SEEK_CUR)


def _gif_palette_bytes(flags: bytes) -> int:
    return 6 << (flags[0] & 7) if flags and flags[0] & 0x80 else 0


def _damaged(what: str) -> ImageError:
    return ImageError(f"cannot be read: truncated or damaged ({what})")
