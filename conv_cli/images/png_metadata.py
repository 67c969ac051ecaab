"""What the chunks of a PNG say beside its pixels, before and behind them.

Reference: PNG (Third Edition), W3C, 2025, section 11.3; ImageMagick's raw profiles in texts.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from conv_cli.images.metadata import EXIF_HEAD

_MOST_BYTES = 1 << 24  # of a chunk, and of what it unpacks to
_XMP = "XML:com.adobe.xmp"
_XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"
_RAW = "Raw profile type "
_EVERYWHERE = ("Software", "date:", "Raw profile type ", "exif:", "tiff:", "png:")
_PRIMARIES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)  # of sRGB, in cHRM's units
_SRGB_GAMMA = (45455, 45454)
_SRGB_CODES = (1, 13)  # primaries and transfer (ITU-T H.273)


class Described(NamedTuple):
    """EXIF and XMP as blocks, why values are not sRGB, the names of what is not carried over."""

    exif: bytes | None
    xmp: bytes | None
    not_srgb: str | None
    dropped: tuple[str, ...]


def png_metadata(stream: BinaryIO) -> Described:
    """Read all chunks but those of the pixels; damaged ones are passed over."""
    chunks: dict[bytes, bytes] = {}
    texts: dict[str, bytes] = {}
    for kind, data in _chunks(stream):
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            key, text = _text(kind, data)
            texts.setdefault(key, text)
        else:
            chunks.setdefault(kind, data)
    profiles = {
        key.removeprefix(_RAW).lower(): _profile(text)
        for key, text in texts.items()
        if key.startswith(_RAW)
    }
    app1 = profiles.get("app1", b"")
    exif = chunks.get(b"eXIf") or profiles.get("exif")
    xmp = texts.pop(_XMP, b"") or profiles.get("xmp")
    if app1.startswith(EXIF_HEAD):
        exif = exif or app1
    elif app1.startswith(_XMP_HEAD):
        xmp = xmp or app1.removeprefix(_XMP_HEAD)
    named = {"comment" if key.lower() == "comment" else key: None for key in texts if _is_told(key)}
    spaces = _spaces(chunks)
    dropped = (*named, *(name for name, _ in spaces))
    return Described(exif or None, xmp or None, spaces[0][1] if spaces else None, dropped)


def _is_told(key: str) -> bool:
    """Tell whether a user wrote a text; programs put some into every file."""
    return key.isprintable() and not key.startswith(_EVERYWHERE)


def _spaces(chunks: dict[bytes, bytes]) -> list[tuple[str, str]]:
    """Return the chunks that say that values are not sRGB, and what they say; the first counts."""
    found = []
    codes = chunks.get(b"cICP", b"")
    if len(codes) == 4 and tuple(codes[:2]) != _SRGB_CODES:
        found.append(("cICP", f"its cICP names primaries {codes[0]} and transfer {codes[1]}"))
    if b"iCCP" in chunks or b"sRGB" in chunks:
        return found
    gamma = chunks.get(b"gAMA", b"")
    if len(gamma) == 4 and (value := int.from_bytes(gamma, "big")) not in _SRGB_GAMMA and value:
        found.append(("gAMA", f"its gAMA is {value / 1e5:g}, not 0.45455"))
    primaries = chunks.get(b"cHRM", b"")
    if len(primaries) == 32 and any(
        abs(value - usual) > 100
        for value, usual in zip(struct.unpack(">8I", primaries), _PRIMARIES, strict=True)
    ):
        found.append(("cHRM", "its cHRM names other primaries"))
    return found


def _chunks(stream: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    stream.seek(8)
    while len(head := stream.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"IEND":
            return
        if kind in (b"IDAT", b"fdAT") or length > _MOST_BYTES:
            stream.seek(length + 4, io.SEEK_CUR)
            continue
        data = stream.read(length)
        if len(data) == length:
            yield kind, data
        stream.seek(4, io.SEEK_CUR)


def _text(kind: bytes, data: bytes) -> tuple[str, bytes]:
    """Return the keyword of a text chunk, and its text; an empty one if that is damaged."""
    key, _, text = data.partition(b"\0")
    packed = kind == b"zTXt"
    if packed:
        text = text[1:]
    elif kind == b"iTXt":
        packed = text[:1] == b"\1"
        text = b"".join(text[2:].split(b"\0", 2)[2:])
    if packed:
        try:
            text = zlib.decompressobj().decompress(text, _MOST_BYTES)
        except zlib.error:
            text = b""
    return key.decode("latin-1"), text


def _profile(text: bytes) -> bytes:
    """Return the bytes of a raw profile: a line with its name, one with its length, hex digits."""
    try:
        return bytes.fromhex("".join(text.decode("ascii").split()[2:]))
    except ValueError:
        return b""
