"""The directories of a TIFF file, looked through before any decoder sees it."""

import io
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from conv_cli.errors import ImageError
from conv_cli.images.headers import MAX_FRAMES
from conv_cli.images.image import Tag

_EXTRA = 338
_GREYS_AND_RGB = {0: 1, 1: 1, 2: 3}
_OPACITY = ((1,), (2,))
_SUBFILE, _PHOTOMETRIC, _ORIENTATION, _BANDS, _SUB_IFDS = 254, 262, 274, 277, 330
_NO_PICTURE = 1 | 4  # bits of NewSubfileType: a reduced version, a mask of transparency
_RAW = {32803: "CFA", 34892: "LinearRaw"}
_FORMS = {1: "B", 2: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 11: "f", 12: "d"}
_FORMS |= {13: "I", 16: "Q", 17: "q", 18: "Q"}
_MOST_PAGES = 1 << 20
_MOST_BYTES = 1 << 26  # of the value of one tag


def item_bytes(kind: int) -> int:
    """Return how many bytes one number of a type takes."""
    return struct.calcsize(f"<{_FORMS[kind]}")


def swapped(data: bytes, kind: int, order: str) -> bytes:
    """Turn little-endian numbers of a type to a byte order, "<" or ">", or back."""
    size = item_bytes(kind)
    if order == "<" or size == 1:
        return data
    return np.frombuffer(data, f"u{size}").byteswap().tobytes()


class _Place(NamedTuple):
    kind: int
    numbers: int
    at: int


class Directory:
    """One page of a TIFF file, or a directory below one: where its tags lie."""

    def __init__(self, file: "_File", at: int) -> None:
        self.at = at
        self._file = file
        self._places, self.next = file.entries(at)

    def entry(self, tag: int) -> Tag | None:
        """Return a tag's value, None if it is not there in full."""
        place = self._places.get(tag)
        if place is None or place.kind not in _FORMS:
            return None
        length = item_bytes(place.kind) * place.numbers
        if not 0 < length <= _MOST_BYTES:
            return None
        data = self._file.read(place.at, length)
        if len(data) < length:
            return None
        return Tag(tag, place.kind, swapped(data, place.kind, self._file.order))

    def numbers(self, tag: int) -> tuple[int, ...]:
        """Return all numbers of a tag; none if it is not there in full."""
        entry = self.entry(tag)
        if entry is None:
            return ()
        form = f"<{len(entry.data) // item_bytes(entry.kind)}{_FORMS[entry.kind]}"
        return struct.unpack(form, entry.data)

    def number(self, tag: int, default: int = 0) -> int:
        """Return the first number of a tag."""
        return (*self.numbers(tag), default)[0]

    @property
    def is_picture(self) -> bool:
        """It is no preview, no reduced version and no mask of another."""
        return not self.number(_SUBFILE) & _NO_PICTURE

    @property
    def bands(self) -> int:
        """Samples a pixel."""
        return self.number(_BANDS, 1)

    @property
    def has_bands(self) -> bool:
        """There are samples that are neither grey, red, green, blue nor opacity.

        One behind RGB that has no meaning is none: programs leave such a channel.
        """
        photometric = self.number(_PHOTOMETRIC)
        beside = self.bands - _GREYS_AND_RGB.get(photometric, self.bands)
        if beside < 2 and photometric == 2:
            return False
        return beside > 1 or (beside == 1 and self.numbers(_EXTRA) not in _OPACITY)

    def below(self) -> Iterator["Directory"]:
        """Yield the directories that this one names as its own."""
        for at in self.numbers(_SUB_IFDS)[:MAX_FRAMES]:
            yield Directory(self._file, at)


class _File:
    """How a TIFF file is laid out: its byte order, and the sizes of its numbers."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        head = self.read(0, 16)
        self.order = "<" if head[:2] == b"II" else ">"
        self.big = head[2:4] in (b"+\0", b"\0+")
        self._count, self._link = ("Q", "Q") if self.big else ("H", "I")
        self.first = self._number(8 if self.big else 4, self._link)

    def read(self, at: int, length: int) -> bytes:
        self._stream.seek(at)
        return self._stream.read(length)

    def _number(self, at: int, form: str) -> int:
        """Unpack one number; what the file is too short for is 0."""
        data = self.read(at, struct.calcsize(form))
        value: int = struct.unpack(self.order + form, data)[0] if len(data) > 1 else 0
        return value if value < 1 << 62 else 0

    def entries(self, at: int) -> tuple[dict[int, _Place], int]:
        count = min(self._number(at, self._count), 1 << 16)
        start, width = at + struct.calcsize(self._count), struct.calcsize(self._link)
        form = struct.Struct(f"{self.order}HH{self._link}{width}s")
        table = self.read(start, count * form.size)
        found = {}
        for row in range(len(table) // form.size):
            tag, kind, number, _ = form.unpack_from(table, row * form.size)
            here = start + (row + 1) * form.size - width
            inline = number * struct.calcsize(f"<{_FORMS.get(kind, 'Q')}") <= width
            found[tag] = _Place(kind, number, here if inline else self._number(here, self._link))
        return found, self._number(start + count * form.size, self._link)


class Pages(NamedTuple):
    """The page that is read, and how many pictures are to be told of.

    `is_first` if it is the file's first page; `orientation` is the one, 1 to 8, that only the page
    above it tells, as in DNG.
    """

    chosen: Directory
    is_first: bool
    pictures: int
    orientation: int


def find_pages(stream: BinaryIO) -> Pages:
    """Find the first page that is a picture, and count these, up to `MAX_FRAMES` + 1.

    Where the first page is a preview, the picture may lie in a directory below one, as in DNG.

    Raises ImageError for raw camera data, and where there are only previews.
    """
    found = pictures(stream, MAX_FRAMES)
    chosen = next(found)
    return chosen._replace(pictures=1 + sum(1 for _ in found))


def pictures(stream: BinaryIO, limit: int = _MOST_PAGES) -> Iterator[Pages]:
    """Yield every page that is a picture, of the first ``limit`` + 1 pages.

    Raises ImageError as `find_pages` does.
    """
    file = _File(stream)
    if not file.first:
        raise ImageError("cannot be read: truncated or damaged (no page in it)")
    first = Directory(file, file.first)
    found = False
    for page in _chain(file, limit):
        for each in (page, *(() if first.is_picture else page.below())):
            if each.is_picture:
                found = True
                _refuse_raw(file, each)
                told = each is page or each.number(_ORIENTATION)
                turned = 1 if told else first.number(_ORIENTATION, 1)
                yield Pages(each, each.at == file.first, 1, turned if 1 <= turned <= 8 else 1)
    if not found:
        raise ImageError(
            "holds only a reduced preview (NewSubfileType), not the picture; export it anew from "
            "the program that made it"
        )


def page_at(stream: BinaryIO, at: int, orientation: int) -> Pages:
    """Return a page that `pictures` has found, by its place."""
    file = _File(stream)
    return Pages(Directory(file, at), at == file.first, 1, orientation)


def _refuse_raw(file: _File, page: Directory) -> None:
    """Raise ImageError for what a camera has measured, which is no picture yet."""
    raw = _RAW.get(page.number(_PHOTOMETRIC)) or ("CR2" if file.read(8, 2) == b"CR" else None)
    if raw is not None:
        raise ImageError(
            f"is raw camera data ({raw}); develop it first, with dcraw or a raw converter"
        )


def _chain(file: _File, limit: int) -> Iterator[Directory]:
    """Yield the pages, up to one more than ``limit``; a chain that turns back ends."""
    seen: set[int] = set()
    at = file.first
    while at and at not in seen and len(seen) <= limit:
        seen.add(at)
        page = Directory(file, at)
        yield page
        at = page.next


class FromPage(io.RawIOBase):
    """A TIFF file whose first page is another one of its own: the same bytes under another head.

    stream : BinaryIO. The file, whose place is of no account.
    """

    def __init__(self, stream: BinaryIO, page: Directory) -> None:
        file = _File(stream)
        head = bytearray(file.read(0, 16))
        form, at = ("Q", 8) if file.big else ("I", 4)
        struct.pack_into(f"{file.order}{form}", head, at, page.at)
        self._stream, self._head, self._at = stream, bytes(head), 0
        if isinstance(stream, io.BytesIO):  # decoders then take all at once, and find the page
            self.getvalue = stream.getvalue

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """Return the descriptor of the file, whose head names its own first page."""
        return self._stream.fileno()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, and return it."""
        if whence == io.SEEK_CUR:
            offset += self._at
        self._at = self._stream.seek(0, io.SEEK_END) + offset if whence == io.SEEK_END else offset
        return self._at

    def tell(self) -> int:
        """Return the place."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read what comes next."""
        target = memoryview(buffer).cast("B")
        self._stream.seek(self._at)
        data = self._stream.read(len(target))
        data = self._head[self._at : self._at + len(data)] + data[max(16 - self._at, 0) :]
        target[: len(data)] = data
        self._at += len(data)
        return len(data)
