"""Several pictures into one file: pages of TIFF, and frames of PNG, GIF and WebP.

Of PNG, GIF and TIFF one is in memory at a time; of WebP all are, compressed, as its head says how
long the file is.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from typing import Any, BinaryIO, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL.GifImagePlugin import getdata

from conv_cli.errors import ImageError
from conv_cli.images.image import Image, Timing
from conv_cli.images.png import chunk
from conv_cli.images.tiff_pages import item_bytes
from conv_cli.images.writing import encode_image

_DEFAULT_MS = 100
"""How long pages are shown that never moved."""
_COLOURS = 256  # of a palette
_OPAQUE_FROM = 128  # opacity that a GIF shows; it has none in between
_MOST_GIF_CS, _MOST_PNG_MS, _MOST_WEBP_MS = 0xFFFF, 0xFFFF, 0xFFFFFF


class Joined(Protocol):
    """A file that takes one picture after the other."""

    def add(self, image: Image) -> tuple[str, ...]:
        """Take the next; return what a user must be told."""

    def finish(self) -> None:
        """End the file."""


_TIFF_HEAD = 8
_SHORT = 3
_RATIONALS, _RATIONAL_BYTES = (5, 10), 8
_BELOW = (34665, 34853, 40965)  # directories of EXIF, GPS and interoperability
_PLACES = (273, 324, *_BELOW)  # StripOffsets and TileOffsets


class _Effort(NamedTuple):
    compress: bool
    quality: int | None


def open_joined(
    stream: BinaryIO, format: str, count: int, *, compress: bool = False, quality: int | None = None
) -> Joined:
    """Begin a file of several pictures; the stream need not be seekable.

    format : str. One of `JOINED_FORMATS`.
    count : int. How many will come.
    compress, quality. As for `write_image`.
    """
    makers: dict[str, Callable[[BinaryIO, int, _Effort], Joined]] = {
        "tiff": _Tiff, "png": _Png, "gif": _Gif, "webp": _WebP,
    }  # fmt: skip
    return makers[format](stream, count, _Effort(compress, quality))


def _alone(image: Image, format: str, effort: _Effort) -> tuple[bytes, tuple[str, ...]]:
    """Return a file of one picture, and what must be said."""
    buffer = BytesIO()
    notes = encode_image(buffer, image, format, compress=effort.compress, quality=effort.quality)
    return buffer.getvalue(), notes


def _milliseconds(image: Image, most: int) -> int:
    timing = image.timing or Timing(_DEFAULT_MS)
    return min(round(timing.duration), most)


def _plays(image: Image) -> int:
    return image.timing.plays if image.timing else 0


class _Alike:
    """Raises ImageError for a frame that is not as the first one is."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._first: tuple[Any, ...] | None = None

    def require(self, image: Image) -> bool:
        """Return whether it is the first."""
        form = image.shape, image.dtype, image.alpha
        if self._first is None:
            self._first = form
            return True
        if form != self._first:
            (shape, dtype, _), (other, its, _) = self._first, form
            raise ImageError(
                f"is {_size(other)} {its}, and the first {_size(shape)} {dtype}; frames of a "
                f"{self._title} are alike: write TIFF, or a file for each with {{frame}} in --name"
            )
        return False


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


class _Png:
    """An animated PNG: frames that fill it, each as it is (PNG 3, chunks acTL, fcTL and fdAT)."""

    def __init__(self, stream: BinaryIO, count: int, effort: _Effort) -> None:
        self._stream, self._count, self._effort = stream, count, effort
        self._alike = _Alike("PNG")
        self._number = 0

    def add(self, image: Image) -> tuple[str, ...]:
        first = self._alike.require(image)
        hidden = first and image.timing is not None and image.timing.hidden and self._count > 1
        data, notes = _alone(image, "png", self._effort)
        self._stream.write(data[:8] if first else b"")
        control = b"" if hidden else self._control(image)
        begun = False
        for kind, value in _chunks(data):
            if kind == b"IDAT":
                self._stream.write(control if not begun else b"")
                begun = True
                self._stream.write(chunk(b"IDAT", value) if first else self._data(value))
            elif first and kind != b"IEND":
                self._stream.write(chunk(kind, value))
                if kind == b"IHDR":
                    self._stream.write(self._animation(image, hidden))
        return notes

    def finish(self) -> None:
        self._stream.write(chunk(b"IEND", b""))

    def _animation(self, image: Image, hidden: bool) -> bytes:
        return chunk(b"acTL", struct.pack(">II", self._count - hidden, _plays(image)))

    def _control(self, image: Image) -> bytes:
        height, width = image.shape[:2]
        time = _milliseconds(image, _MOST_PNG_MS)
        size = (width, height, 0, 0)
        return chunk(b"fcTL", struct.pack(">5I2H2B", self._next(), *size, time, 1000, 0, 0))

    def _data(self, value: bytes) -> bytes:
        return chunk(b"fdAT", struct.pack(">I", self._next()) + value)

    def _next(self) -> int:
        self._number += 1
        return self._number - 1


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + 8 + length]
        at += length + 12


class _Gif:
    """A GIF whose frames fill it, each with colours of its own (GIF89a)."""

    def __init__(self, stream: BinaryIO, count: int, effort: _Effort) -> None:
        self._stream, self._alike = stream, _Alike("GIF")

    def add(self, image: Image) -> tuple[str, ...]:
        if self._alike.require(image):
            self._begin(image)
        if image.timing is not None and image.timing.hidden:
            return ("its first picture, which no animation shows, is left out",)
        indices, colours, exact, clear = _with_palette(image)
        picture = PilImage.fromarray(indices, "P")
        picture.putpalette(colours.tobytes())
        options: dict[str, Any] = {
            "duration": 10 * round(_milliseconds(image, 10 * _MOST_GIF_CS) / 10),
            "disposal": 2 if image.alpha else 1,  # what is clear must not show the frame before
            "include_color_table": True,
        }
        if clear is not None:
            options["transparency"] = clear
        for block in getdata(picture, **options):
            self._stream.write(block)
        dropped = image.icc is not None or image.exif is not None or image.xmp is not None
        notes = ["dropped: what describes it, which GIF does not hold"] if dropped else []
        if not exact:
            notes.append(f"its colours became {_COLOURS} a frame, as GIF holds no more")
        return tuple(notes)

    def finish(self) -> None:
        self._stream.write(b";")

    def _begin(self, image: Image) -> None:
        height, width = image.shape[:2]
        if max(height, width) > 0xFFFF:
            raise ImageError("is larger than GIF can be (65,535); write PNG")
        self._stream.write(b"GIF89a" + struct.pack("<HHBBB", width, height, 0x70, 0, 0))
        plays = _plays(image)
        if plays != 1:
            again = max(plays - 1, 0)
            self._stream.write(b"!\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<HB", again, 0))


def _with_palette(image: Image) -> tuple[NDArray[Any], NDArray[Any], bool, int | None]:
    """Return indices (H, W), colours (N, 3), whether these are exact, and the index of no colour.

    Up to 256 colours are kept as they are.
    """
    planes = image.colours
    colours = np.stack(np.broadcast_arrays(*(planes if len(planes) == 3 else [planes[0]] * 3)), -1)
    clear = None
    if image.alpha:
        clear = image.planes[-1] < _OPAQUE_FROM
        colours[clear] = 0
        soft = bool(((image.planes[-1] > 0) & (image.planes[-1] < 255)).any())
        clear = clear if clear.any() else None
    else:
        soft = False
    packed = colours.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    if clear is not None:
        packed[clear] = 1 << 24
    found, indices = np.unique(packed, return_inverse=True)
    if len(found) <= _COLOURS:
        table = np.stack([found >> 16 & 255, found >> 8 & 255, found & 255], -1)
        where = len(found) - 1 if clear is not None else None
        return (
            indices.reshape(packed.shape).astype(np.uint8),
            table.astype(np.uint8),
            not soft,
            where,
        )
    room = _COLOURS - (clear is not None)
    reduced = PilImage.fromarray(colours).quantize(room, PilImage.Quantize.MEDIANCUT, kmeans=1)
    indices = np.array(reduced)
    table = np.array((reduced.getpalette() or [])[: 3 * room], np.uint8).reshape(-1, 3)
    if clear is None:
        return indices, table, False, None
    indices[clear] = len(table)
    return indices, np.concatenate([table, np.zeros((1, 3), np.uint8)]), False, len(table)


class _WebP:
    """An animated WebP whose frames fill it (WebP container, chunks VP8X, ANIM and ANMF)."""

    def __init__(self, stream: BinaryIO, count: int, effort: _Effort) -> None:
        self._stream, self._effort = stream, effort
        self._alike = _Alike("WebP")
        self._first: Image | None = None
        self._body = BytesIO()

    def add(self, image: Image) -> tuple[str, ...]:
        if self._alike.require(image):
            self._first = image
        if image.timing is not None and image.timing.hidden:
            return ("its first picture, which no animation shows, is left out",)
        plain = replace(image, exif=None, icc=None, xmp=None)
        data, notes = _alone(plain, "webp", self._effort)
        height, width = image.shape[:2]
        time = _milliseconds(image, _MOST_WEBP_MS)
        head = b"".join(_three(n) for n in (0, 0, width - 1, height - 1, time))
        frame = head + b"\2"  # without blending
        for kind, value in _riff_chunks(data):
            if kind in (b"ALPH", b"VP8 ", b"VP8L"):
                frame += _riff_chunk(kind, value)
        self._body.write(_riff_chunk(b"ANMF", frame))
        return notes

    def finish(self) -> None:
        image = self._first
        assert image is not None
        height, width = image.shape[:2]
        held = [(32, b"ICCP", image.icc), (8, b"EXIF", image.exif), (4, b"XMP ", image.xmp)]
        flags = 2 | (16 if image.alpha else 0) | sum(flag for flag, _, data in held if data)
        (_, _, icc), *behind = held
        contents = b"WEBP" + _riff_chunk(
            b"VP8X", struct.pack("<I", flags) + _three(width - 1) + _three(height - 1)
        )
        contents += _riff_chunk(b"ICCP", icc) if icc else b""
        contents += _riff_chunk(b"ANIM", struct.pack("<IH", 0, min(_plays(image), 0xFFFF)))
        tail = b"".join(_riff_chunk(kind, data) for _, kind, data in behind if data)
        length = len(contents) + self._body.tell() + len(tail)
        if length > 0xFFFFFFFE:
            raise ImageError("is more than 4 GB, which WebP cannot be; write PNG, or fewer frames")
        self._stream.write(b"RIFF" + struct.pack("<I", length) + contents)
        self._stream.write(self._body.getbuffer())
        self._stream.write(tail)


def _three(number: int) -> bytes:
    return number.to_bytes(3, "little")


def _riff_chunk(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        yield kind, data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


_BELOW = (34665, 34853, 40965)  # directories of EXIF, GPS and interoperability


class _Tiff:
    """A TIFF of pages: each is made as a file of its own, and moved behind those before it."""

    def __init__(self, stream: BinaryIO, count: int, effort: _Effort) -> None:
        self._stream, self._effort = stream, effort
        self._at = 0
        self._waiting = b""
        self._link = 0

    def add(self, image: Image) -> tuple[str, ...]:
        """Take the next page; the one before waits for the place of this one's directory."""
        data, notes = _alone(image, "tiff", self._effort)
        page = bytearray(data + bytes(len(data) % 2))
        order = "<" if page[:2] == b"II" else ">"
        shift = max(self._at - _TIFF_HEAD, 0)
        if shift + len(page) > 0xFFFFFFFF:
            raise ImageError(
                "does not fit in the 4 GB of a TIFF; write a file for each with {frame} in --name"
            )
        directory = struct.unpack_from(f"{order}I", page, 4)[0]
        link = _move(page, order, directory, shift)
        if self._at:
            before = bytearray(self._waiting)
            struct.pack_into(f"{order}I", before, self._link, directory + shift)
            self._stream.write(before)
            page, link = page[_TIFF_HEAD:], link - _TIFF_HEAD
        self._waiting, self._link = bytes(page), link
        self._at += len(page)
        return notes

    def finish(self) -> None:
        """Write the last page, behind which there is none."""
        self._stream.write(self._waiting)


def _move(page: bytearray, order: str, directory: int, shift: int) -> int:
    """Let all that a directory names be so many bytes further on; return where its link lies."""
    count: int = struct.unpack_from(f"{order}H", page, directory)[0]
    for at in range(directory + 2, directory + 2 + 12 * count, 12):
        tag, kind, numbers, value = struct.unpack_from(f"{order}HHII", page, at)
        where = at + 8
        size = _RATIONAL_BYTES if kind in _RATIONALS else item_bytes(kind)
        if size * numbers > 4:
            struct.pack_into(f"{order}I", page, where, value + shift)
            where = value
        if tag in _BELOW:
            _move(page, order, value, shift)
        if tag in _PLACES:
            form = f"{order}{numbers}{'H' if kind == _SHORT else 'I'}"
            places = (place + shift for place in struct.unpack_from(form, page, where))
            struct.pack_into(form, page, where, *places)
    return directory + 2 + 12 * count
