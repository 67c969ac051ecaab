"""TIFF files read by windows: their strips and tiles one by one, with the tiff extra.

What the extra cannot unpack by itself, such as LZW and JPEG, Pillow does: of a strip or tile a TIFF
file of its own is made in memory.
"""

import io
import struct
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from conv_cli.errors import ImageError
from conv_cli.images.decoding import open_picture
from conv_cli.images.sources import PixelRows
from conv_cli.images.tiff_rows import directory
from conv_cli.images.windows import File, RawRows, SegmentRows

_NONE, _JPEG = 1, 7
_BY_EXTRA = (8, 32946, 32773, 34925)  # Deflate twice, PackBits, LZMA
_WHITE_IS_ZERO, _GREY, _RGB, _YCBCR = 0, 1, 2, 6
_SEPARATE = 2
_STRAIGHT = 2
_COLOURS = {_WHITE_IS_ZERO: 1, _GREY: 1, _RGB: 3, _YCBCR: 3}
# Predictor, JPEGTables, YCbCrSubSampling, YCbCrPositioning, ReferenceBlackWhite
_KEPT = (317, 347, 530, 531, 532)
_BLACK_WHITE = 532
_SHORT, _LONG, _RATIONAL, _UNDEFINED = 3, 4, 5, 7
_MOST_SEGMENT = 1 << 30


def is_windowed(page: Any, dtypes: dict[str, type[np.generic]]) -> bool:
    """Tell whether the samples of a page are of a kind that is read by windows.

    page : tifffile.TiffPage
    dtypes : dict. By the name of the dtype of samples, that of pixels.
    """
    if page.dtype is None or page.dtype.name not in dtypes or page.imagedepth > 1:
        return False
    if page.bitspersample != 8 * page.dtype.itemsize or page.tags.valueof(274, default=1) != 1:
        return False
    colours = _COLOURS.get(page.photometric)
    extra = [int(kind) for kind in page.extrasamples]
    if colours is None or extra not in ([], [_STRAIGHT]):
        return False
    if page.samplesperpixel != colours + len(extra):
        return False
    if page.photometric == _YCBCR:
        return bool(page.compression == _JPEG and page.dtype == np.uint8 and not extra)
    return bool(page.photometric != _WHITE_IS_ZERO or (page.dtype.kind == "u" and not extra))


def tiff_rows(stream: BinaryIO, page: Any, dtype: np.dtype[Any]) -> PixelRows:
    """Return the pixels of a page, (H, W) or (H, W, C), to be read by windows.

    Raises ImageError for a page that is one piece too large to be unpacked.
    """
    shape: tuple[int, ...] = (page.imagelength, page.imagewidth)
    if page.samplesperpixel > 1:
        shape = (*shape, page.samplesperpixel)
    segments = _Segments(File(stream), page)
    size = page.samplesperpixel * dtype.itemsize
    if page.compression == _NONE and not page.is_tiled and _lie_in_a_row(page):
        stored = page.dtype.newbyteorder(page.parent.byteorder)
        finish = np.invert if page.photometric == _WHITE_IS_ZERO else None
        start = int(page.dataoffsets[0])
        return RawRows(segments.file, start, shape, stored, dtype, finish=finish)
    if segments.size[0] * segments.size[1] * size > _MOST_SEGMENT:
        raise ImageError(
            f"its strips or tiles have {segments.size[0]} rows of {segments.size[1]} pixels, more "
            "than fit into memory; save it in tiles, as with vips tiffsave --tile"
        )

    def fetch(row: int, column: int) -> NDArray[Any]:
        return segments.pixels(row, column).astype(dtype, copy=False)

    return SegmentRows(shape, dtype, segments.size, fetch)


def _lie_in_a_row(page: Any) -> bool:
    """Tell whether each strip begins where the one before ends, and rows are whole in them."""
    if page.planarconfig == _SEPARATE and page.samplesperpixel > 1:
        return False
    offsets = np.asarray(page.dataoffsets, np.int64)
    counts = np.asarray(page.databytecounts, np.int64)
    whole = page.imagelength * page.imagewidth * page.samplesperpixel * page.dtype.itemsize
    return bool((offsets[1:] == offsets[:-1] + counts[:-1]).all() and counts.sum() == whole)


class _Segments:
    """The strips or tiles of a page.

    size : (rows, columns). Of one.
    """

    def __init__(self, file: File, page: Any) -> None:
        self.file, self._page = file, page
        if page.is_tiled:
            self.size = (page.tilelength, page.tilewidth)
        else:
            self.size = (min(page.rowsperstrip, page.imagelength), page.imagewidth)
        self._across = -(-page.imagewidth // self.size[1])
        self._count = self._across * -(-page.imagelength // self.size[0])
        self._samples = page.samplesperpixel
        self._planes = self._samples if page.planarconfig == _SEPARATE else 1
        self._kept = _kept(page)  # read here, as the extra's file may be closed later

    def pixels(self, row: int, column: int) -> NDArray[Any]:
        """Return the pixels of a segment, without what lies beyond the picture."""
        number = row * self._across + column
        height = min(self.size[0], self._page.imagelength - row * self.size[0])
        width = min(self.size[1], self._page.imagewidth - column * self.size[1])
        planes = [
            self._plane(number + plane * self._count, height, width)
            for plane in range(self._planes)
        ]
        values = planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)
        if self._page.photometric == _WHITE_IS_ZERO:
            values = np.invert(values)
        return values[..., 0] if self._samples == 1 else values

    def _plane(self, index: int, height: int, width: int) -> NDArray[Any]:
        """Return the samples (height, width, samples) of one stored piece."""
        page = self._page
        samples = self._samples // self._planes
        length = int(page.databytecounts[index])
        if not length:  # which stands for a piece of nothing but the background
            return np.full((height, width, samples), page.nodata, page.dtype)
        data = self.file.read(int(page.dataoffsets[index]), length)
        lines = self.size[0] if page.is_tiled else height
        if page.compression == _NONE:
            stored = page.dtype.newbyteorder(page.parent.byteorder)
            values = np.frombuffer(data, stored, lines * self.size[1] * samples)
        elif page.compression in _BY_EXTRA:
            values = page.decode(data, index)[0]
        else:
            values = self._by_pillow(data, lines, samples)
        return values.reshape(-1, self.size[1], samples)[:height, :width]

    def _by_pillow(self, data: bytes, height: int, samples: int) -> NDArray[Any]:
        """Unpack a piece as a picture of its own."""
        page, width = self._page, self.size[1]
        photometric = int(page.photometric) or _GREY
        if samples == 1:
            photometric = _GREY
        kind = {"u": 1, "i": 2, "f": 3}[page.dtype.kind]
        entries = {
            256: (_LONG, [width]), 257: (_LONG, [height]),
            258: (_SHORT, [page.bitspersample] * samples), 259: (_SHORT, [int(page.compression)]),
            262: (_SHORT, [photometric]), 273: (_LONG, [8]), 277: (_SHORT, [samples]),
            278: (_LONG, [height]), 279: (_LONG, [len(data)]), 284: (_SHORT, [1]),
            339: (_SHORT, [kind] * samples),
        }  # fmt: skip
        if samples in (2, 4):
            entries[338] = (_SHORT, [_STRAIGHT])
        values = {tag: _packed(kind, numbers, page) for tag, (kind, numbers) in entries.items()}
        values |= self._kept
        order = _order(page)
        at = 8 + len(data) + len(data) % 2
        head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", at)
        listed = directory(values, at, order=order)
        file = head + data + bytes(len(data) % 2) + listed
        return open_picture(io.BytesIO(file), "tiff", 1 << 62).read(False).pixels


def _kept(page: Any) -> dict[int, tuple[int, bytes]]:
    """Return the tags by which pieces are unpacked, as they are stored."""
    kept = {}
    for tag in _KEPT:
        found = page.tags.get(tag)
        if found is None:
            continue
        if isinstance(found.value, bytes):
            kept[tag] = (_UNDEFINED, found.value)
        else:
            numbers = np.ravel(found.value).tolist()
            form = "I" if tag == _BLACK_WHITE else "H"
            kind = _RATIONAL if tag == _BLACK_WHITE else _SHORT
            kept[tag] = (kind, struct.pack(f"{_order(page)}{len(numbers)}{form}", *numbers))
    return kept


def _order(page: Any) -> str:
    return str(page.parent.byteorder)


def _packed(kind: int, numbers: list[int], page: Any) -> tuple[int, bytes]:
    form = {_SHORT: "H", _LONG: "I"}[kind]
    return kind, struct.pack(f"{_order(page)}{len(numbers)}{form}", *numbers)
