"""TIFF files whose rows are written as they come: BigTIFF where 4 GB do not suffice.

Uncompressed, the directory comes first, as it is known where every strip will lie; what is packed
is listed behind the strips.

Reference: TIFF 6.0, Adobe, 1992, and the BigTIFF file format of libtiff.
"""

import struct
import zlib
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from conv_cli.images import metadata
from conv_cli.images.image import Image, Tag
from conv_cli.images.pillow import DECODER_ERRORS
from conv_cli.images.tiff_pages import item_bytes
from conv_cli.parallel.threads import InOrder

Entry = tuple[int, bytes]
"""The type of a tag, and its value."""

_ASCII, _SHORT, _LONG, _RATIONAL, _UNDEFINED, _LONG8 = 2, 3, 4, 5, 7, 16
_LARGEST = (1 << 32) - (1 << 20)
"""Bytes of a classic TIFF, with room for its tags."""
_STRIP_BYTES = 1 << 18
_MOST_STRIPS = 1 << 16
_PUT_BYTES = 2 << 20
_DEFLATE, _HORIZONTAL = 8, 2
_EXIF_DROPPED = ("EXIF is dropped: damaged, or too long for the format",)
_GROUPS_DROPPED = ("EXIF of how and where it was taken is dropped: large TIFF files carry texts",)


def directory(
    entries: Mapping[int, Entry], at: int, *, order: str = "<", big: bool = False
) -> bytes:
    """Return a directory that lies at a place, and its values behind it; no other follows.

    order : str. "<" or ">", of the numbers in the values too.
    """
    count, link, width = ("Q", "Q", 8) if big else ("H", "I", 4)
    form = struct.Struct(f"{order}HH{link}{width}s")
    start = at + struct.calcsize(count) + len(entries) * form.size + width
    listed, behind = b"", b""
    for tag, (kind, value) in sorted(entries.items()):
        number = len(value) // _item_bytes(kind)
        if len(value) > width:
            behind += bytes(-(start + len(behind)) % 8)
            place = struct.pack(f"{order}{link}", start + len(behind))
            behind += value
            value = place
        listed += form.pack(tag, kind, number, value.ljust(width, b"\0"))
    return struct.pack(f"{order}{count}", len(entries)) + listed + bytes(width) + behind


def _item_bytes(kind: int) -> int:
    return 8 if kind in (_RATIONAL, 10) else item_bytes(kind)


class TiffRowsSink:
    """Writes the rows of a TIFF file as they come.

    image : Image. What describes the picture; its pixels tell shape and dtype alone.
    tags : tuple of Tag. Further ones, such as those of a GeoTIFF.
    compress : bool. Pack the strips (Deflate), where the stream can be written at any place.
    """

    def __init__(
        self, stream: BinaryIO, image: Image, tags: tuple[Tag, ...], *, compress: bool = False
    ) -> None:
        self._stream = stream
        self._height, self._bytes = image.shape[0], _size(image)
        self._big = self._bytes > _LARGEST
        self._dtype = image.dtype.newbyteorder("<")
        self._packs = compress and stream.seekable()
        row = self._bytes // self._height
        least = -(-self._height // _MOST_STRIPS)
        rows = min(max(1, _STRIP_BYTES // row, least), self._height)
        self.strip_rows = max(rows if self._packs else 1, _PUT_BYTES // row)
        self._entries, self._notes = _described(image, tags, self._big)
        self._lengths: list[int] = []
        if self._packs:
            self._entries |= {259: _shorts(_DEFLATE)}
            if image.dtype.kind in "ui":
                self._entries |= {317: _shorts(_HORIZONTAL)}
            stream.write(self._head(0))
            self._order = InOrder[Any](self._append)
        else:
            counts = [min(rows, self._height - top) * row for top in range(0, self._height, rows)]
            self._list(rows, counts, 0)
            start = -(-(self._first + len(self._directory())) // 16) * 16
            self._list(rows, counts, start)
            head = self._head(self._first) + self._directory()
            stream.write(head + bytes(start - len(head)))
            self._order = InOrder[Any](lambda values: stream.write(values.data))

    def put(self, top: int, rows: NDArray[Any]) -> None:
        """Take the rows from ``top`` on; strips come in any order."""
        values: Any = np.ascontiguousarray(rows, self._dtype)
        if self._packs:
            values = len(rows), _packed(values)
        self._order.give(top, top + len(rows), values)

    def finish(self) -> tuple[str, ...]:
        """End the file, and return what a user must be told."""
        if self._packs:
            at = self._stream.tell()
            self._stream.write(bytes(-at % 16))
            self._list(self._rows, self._lengths, self._first)
            at += -at % 16
            self._stream.write(directory(self._entries, at, big=self._big))
            self._stream.seek(0)
            self._stream.write(self._head(at))
            self._stream.seek(0, 2)
        return self._notes

    def _append(self, packed: tuple[int, bytes]) -> None:
        rows, data = packed
        if not self._lengths:
            self._rows = rows
        self._lengths.append(len(data))
        self._stream.write(data)

    @property
    def _first(self) -> int:
        """Where the first byte behind the head is."""
        return 16 if self._big else 8

    def _head(self, at: int) -> bytes:
        if self._big:
            return struct.pack("<2sHHHQ", b"II", 43, 8, 0, at)
        return struct.pack("<2sHI", b"II", 42, at)

    def _directory(self) -> bytes:
        return directory(self._entries, self._first, big=self._big)

    def _list(self, rows: int, counts: list[int], start: int) -> None:
        """Say where strips lie that follow each other."""
        offsets = start + np.cumsum([0, *counts[:-1]])
        kind, form = (_LONG8, "<u8") if self._big else (_LONG, "<u4")
        self._entries |= {
            273: (kind, offsets.astype(form).tobytes()),
            278: (_LONG, struct.pack("<I", rows)),
            279: (kind, np.array(counts, form).tobytes()),
        }


def _size(image: Image) -> int:
    return int(np.prod(image.shape, dtype=np.int64)) * image.dtype.itemsize


def _packed(rows: NDArray[Any]) -> bytes:
    if rows.dtype.kind in "ui":  # differences pack to half the size
        differences = rows.copy()
        differences[:, 1:] -= rows[:, :-1]
        rows = differences
    return zlib.compress(rows.data, 6)


def _shorts(*numbers: int) -> Entry:
    return _SHORT, struct.pack(f"<{len(numbers)}H", *numbers)


def _described(
    image: Image, tags: tuple[Tag, ...], big: bool
) -> tuple[dict[int, Entry], tuple[str, ...]]:
    """Return the tags of a picture but for those of its strips, and what must be said."""
    height, width = image.shape[:2]
    count, colours = image.channels, image.channels - image.alpha
    kind = {"u": 1, "i": 2, "f": 3}[image.dtype.kind]
    extra = [0] * (0 if colours == 3 else colours - 1) + [2] * image.alpha
    entries: dict[int, Entry] = {tag.tag: (tag.kind, tag.data) for tag in tags}
    entries |= {
        256: (_LONG, struct.pack("<I", width)),
        257: (_LONG, struct.pack("<I", height)),
        258: _shorts(*[8 * image.dtype.itemsize] * count),
        259: _shorts(1),
        262: _shorts(2 if colours == 3 else 1),
        277: _shorts(count),
        284: _shorts(1),
        339: _shorts(*[kind] * count),
    }
    if extra:
        entries[338] = _shorts(*extra)
    if image.dpi:
        for tag, dots in zip((282, 283), image.dpi, strict=True):
            entries[tag] = _RATIONAL, struct.pack("<II", round(dots * 10_000), 10_000)
        entries[296] = _shorts(2)
    if image.icc:
        entries[34675] = _UNDEFINED, image.icc
    if image.exif is None:
        return entries, ()
    exif = PilImage.Exif()
    try:
        exif.load(image.exif)
        texts = metadata.descriptions(exif)
        notes = _GROUPS_DROPPED if metadata.groups(exif) else ()
    except DECODER_ERRORS:
        return entries, _EXIF_DROPPED
    told = {tag: (_ASCII, text.encode() + b"\0") for tag, text in texts.items()}
    return {**told, **entries}, notes
