"""One page of a TIFF file as a file of its own, in memory.

libtiff goes through all pages of a file again for each one that it reads: 20,000 pages would take
ten minutes, and the memory of every page that it touched.
"""

import io
import struct
from typing import BinaryIO, NamedTuple

_DATA = {273: 279, 324: 325}  # the places of strips and of tiles, and their lengths
_BELOW = (34665, 34853, 40965)  # directories of EXIF, GPS and interoperability
_SUB_IFDS = 330
_ELSEWHERE = (513, 519, 520, 521)  # places of old JPEG, whose lengths are not all told
_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_BYTES |= {13: 4, 16: 8, 17: 8, 18: 8}
_WHOLE = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_MOST_BYTES = 1 << 26
_DEEPEST = 3  # EXIF lies in the page, interoperability in EXIF


class _Form(NamedTuple):
    """How a file is laid out: its byte order, and the forms of counts and places."""

    order: str
    number: str
    link: str

    @property
    def big(self) -> bool:
        """It is a BigTIFF."""
        return self.link == "Q"

    def pack(self, form: str, *values: int) -> bytes:
        """Return numbers as they are in the file."""
        return struct.pack(self.order + form, *values)


def page_alone(stream: BinaryIO, at: int) -> BinaryIO | None:
    """Return a file that holds the page whose directory lies there, and nothing else.

    None where that is not to be made: of pages of more than 64 MB, and of those that do not name
    all of their bytes, or more than there are.
    """
    stream.seek(0)
    head = stream.read(16)
    big = head[2:4] in (b"+\0", b"\0+")
    form = _Form("<" if head[:2] == b"II" else ">", *(("Q", "Q") if big else ("H", "I")))
    out = bytearray(head[: 16 if big else 8])
    try:
        place = _copied(stream, form, at, out, 0)
    except (LookupError, struct.error):
        return None
    out[8 if big else 4 : 16 if big else 8] = form.pack(form.link, place)
    return io.BytesIO(out)


def _copied(stream: BinaryIO, form: _Form, at: int, out: bytearray, depth: int) -> int:
    """Append a directory and what it names; return its place. LookupError: that cannot be."""
    if depth > _DEEPEST:
        raise LookupError
    entries = _entries(stream, form, at)
    width, table = struct.calcsize(form.link), b""
    for tag, (kind, value) in sorted(entries.items()):
        if tag in _ELSEWHERE:
            raise LookupError
        if tag in _DATA:
            lengths = _numbers(form, *entries[_DATA[tag]])
            places = _with_data(stream, _numbers(form, kind, value), lengths, out)
            kind, value = 16 if form.big else 4, form.pack(f"{len(places)}{form.link}", *places)
        elif tag in _BELOW:
            below = _copied(stream, form, _numbers(form, kind, value)[0], out, depth + 1)
            kind, value = 16 if form.big else 4, form.pack(form.link, below)
        count = len(value) // _BYTES[kind]
        if len(value) > width:
            value = form.pack(form.link, _append(out, value))
        table += form.pack(f"HH{form.link}", tag, kind, count) + value.ljust(width, b"\0")
    return _append(out, form.pack(form.number, len(entries)) + table + bytes(width))


def _entries(stream: BinaryIO, form: _Form, at: int) -> dict[int, tuple[int, bytes]]:
    """Return type and value of the tags in a directory, but for other directories of pixels."""
    stream.seek(at)
    count = struct.unpack(form.order + form.number, stream.read(struct.calcsize(form.number)))[0]
    row = struct.Struct(f"{form.order}HH{form.link}{struct.calcsize(form.link)}s")
    table = stream.read(count * row.size)
    found = {}
    for tag, kind, numbers, inline in row.iter_unpack(table[: len(table) // row.size * row.size]):
        length = _BYTES[kind] * numbers
        if length > _MOST_BYTES:
            raise LookupError
        if length > len(inline):
            stream.seek(struct.unpack(form.order + form.link, inline)[0])
            inline = stream.read(length)
            if len(inline) < length:
                raise LookupError
        if tag != _SUB_IFDS:
            found[tag] = kind, inline[:length]
    if len(table) < count * row.size or not found:
        raise LookupError
    return found


def _numbers(form: _Form, kind: int, value: bytes) -> tuple[int, ...]:
    return struct.unpack(f"{form.order}{len(value) // _BYTES[kind]}{_WHOLE[kind]}", value)


def _with_data(
    stream: BinaryIO, places: tuple[int, ...], lengths: tuple[int, ...], out: bytearray
) -> list[int]:
    """Append strips or tiles; return where they lie then."""
    if len(places) != len(lengths) or sum(lengths) > _MOST_BYTES:
        raise LookupError
    moved = []
    for place, length in zip(places, lengths, strict=True):
        stream.seek(place)
        data = stream.read(length)
        if len(data) < length:
            raise LookupError
        moved.append(_append(out, data))
    return moved


def _append(out: bytearray, data: bytes) -> int:
    """Add data at the next even place, and return it."""
    out.extend(bytes(len(out) % 2))
    out.extend(data)
    return len(out) - len(data)
