"""A PNG encoder in strips: 8 and 16 bits, one to four channels, compressed by several threads.

Pillow writes no 16-bit colour and compresses on one thread. Here an image is cut into strips of
up to two megabytes. Each is filtered and deflated on its own and becomes one IDAT chunk; as every
strip but the last ends on a byte boundary, the chunks join to one valid zlib stream. The bytes do
not depend on the number of threads, and only a few strips are in memory at a time.

Reference: Portable Network Graphics (PNG) Specification, third edition, W3C, 2025.
"""

import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from conv_cli.errors import ImageError
from conv_cli.parallel.threads import share

Bytes = NDArray[np.uint8]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
_STRIP_BYTES = (1 << 17, 2 << 20)  # at least, and at most
_LARGE_STRIP_BYTES = (1 << 20, 8 << 20)  # with compress: fewer of them repeat less
_LEAST_STRIPS = 4
_MOST_AHEAD = 16  # strips that are made before their turn: few, so that memory stays small
_SAMPLED = 32  # of so many rows of a strip one is tried with every filter
_CACHED_BYTES = 1 << 17  # so that what a prediction makes on its way stays in the cache
_ADLER_BASE = 65521
_INCHES_PER_METRE = 1 / 0.0254


class _Rows(NamedTuple):
    """Rows of file bytes, and for each byte the same byte of three pixels beside it."""

    current: Bytes
    left: Bytes
    above: Bytes
    corner: Bytes

    def sampled(self, step: int) -> "_Rows":
        """Every `step`-th row; not the first, which may have nothing above it."""
        return _Rows(*(part[step // 2 :: step] for part in self))


class _Strip(NamedTuple):
    """A piece of the zlib stream, with the checksum and the length of what it unpacks to."""

    deflated: bytes
    adler: int
    length: int


def encode_png(
    stream: BinaryIO,
    pixels: NDArray[Any],
    *,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    icc: bytes | None = None,
    dpi: tuple[float, float] | None = None,
    threads: int | None = None,
    compress: bool = False,
) -> None:
    """Write `pixels` to `stream` as a PNG file; the stream need not be seekable.

    pixels : shape (H, W) or (H, W, C), uint8 or uint16. C is 1 grey, 2 grey and alpha, 3 RGB,
        4 RGB and alpha (straight, not premultiplied).
    exif : a TIFF-structured block, with or without ``Exif\\0\\0`` before it.
    xmp : UTF-8.
    icc : an ICC profile that fits the channels.
    dpi : horizontal and vertical dots per inch; kept to the next dot per metre.
    threads : how many to compress with, all cores by default. The bytes are the same for all.
    compress : take some thirty times as long for a smaller file.

    Raises ImageError for pixels that no PNG can hold.
    """
    rows = pixels[:, :, None] if pixels.ndim == 2 else pixels
    _check(rows)
    height, width, channels = rows.shape
    depth = 8 * rows.dtype.itemsize
    header = struct.pack(">IIBBBBB", width, height, depth, _COLOUR_TYPES[channels], 0, 0, 0)
    stream.write(_SIGNATURE + _chunk(b"IHDR", header))
    if icc:
        stream.write(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc)))
    if dpi is not None:
        across, down = (round(value * _INCHES_PER_METRE) for value in dpi)
        stream.write(_chunk(b"pHYs", struct.pack(">IIB", across, down, 1)))
    if exif:
        stream.write(_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")))
    if xmp:
        stream.write(_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp))
    _write_data(stream, rows, threads, compress)
    stream.write(_chunk(b"IEND", b""))


def _check(rows: NDArray[Any]) -> None:
    if rows.dtype.name not in ("uint8", "uint16"):
        raise ImageError(f"PNG holds 8 or 16 bits, not {rows.dtype}; use --depth 8 or 16")
    if rows.ndim != 3 or rows.shape[2] not in _COLOUR_TYPES or 0 in rows.shape:
        raise ImageError(f"PNG holds (H, W) or (H, W, 1 to 4), not an array of {rows.shape}")


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(data, zlib.crc32(kind))
    return b"".join((struct.pack(">I", len(data)), kind, data, struct.pack(">I", checksum)))


def _write_data(stream: BinaryIO, rows: NDArray[Any], threads: int | None, compress: bool) -> None:
    """The IDAT chunks: one for the zlib header, one a strip, and one for the checksum."""
    height = rows.shape[0]
    least, most = _LARGE_STRIP_BYTES if compress else _STRIP_BYTES
    size = min(max(rows.nbytes // _LEAST_STRIPS, least), most)
    pack = _compressed_well if compress else _compressed
    step = max(1, size // rows[0].nbytes)
    queue = _Queue(stream)

    def worker(waiting: Iterator[tuple[int, int]]) -> None:
        try:
            for number, top in waiting:
                if not queue.may_go_on(number):
                    return
                bottom = min(top + step, height)
                strip = pack(_cut(rows, top, bottom), last=bottom == height)
                queue.hand_in(number, strip)
        except BaseException:
            queue.close()
            raise

    stream.write(_chunk(b"IDAT", b"\x78\x01"))
    share(worker, list(enumerate(range(0, height, step))), threads)
    stream.write(_chunk(b"IDAT", struct.pack(">I", queue.adler)))


class _Queue:
    """Strips come from several threads in any order, and go to the stream in theirs.

    `adler` is the checksum of what has been written.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.adler = 1
        self._stream = stream
        self._early: dict[int, _Strip] = {}
        self._next, self._closed = 0, False
        self._moved = threading.Condition()

    def may_go_on(self, number: int) -> bool:
        """Wait until a strip is not too far ahead; False when the queue is closed."""
        with self._moved:
            self._moved.wait_for(lambda: self._closed or number < self._next + _MOST_AHEAD)
            return not self._closed

    def hand_in(self, number: int, strip: _Strip) -> None:
        """Write a strip when it is its turn, and those that waited for it."""
        with self._moved:
            self._early[number] = strip
            while ready := self._early.pop(self._next, None):
                self._stream.write(_chunk(b"IDAT", ready.deflated))
                self.adler = _combined_adler(self.adler, ready)
                self._next += 1
            self._moved.notify_all()

    def close(self) -> None:
        """Take no more: a thread has failed."""
        with self._moved:
            self._closed = True
            self._moved.notify_all()


def _cut(rows: NDArray[Any], top: int, bottom: int) -> _Rows:
    """Rows top…bottom-1; what lies outside the image is 0, as the filters ask for."""
    first = max(top - 1, 0)
    part = np.ascontiguousarray(rows[first:bottom], rows.dtype.newbyteorder(">")).view(np.uint8)
    pixel = part.shape[2]
    padded = np.zeros((bottom - top + 1, pixel + part[0].size), np.uint8)
    padded[first - top + 1 :, pixel:] = part.reshape(bottom - first, -1)
    return _Rows(padded[1:, pixel:], padded[1:, :-pixel], padded[:-1, pixel:], padded[:-1, :-pixel])


def _average(rows: _Rows) -> Bytes:
    """Half of left and above, rounded down, without a wider type."""
    return (rows.left & rows.above) + ((rows.left ^ rows.above) >> 1)


def _paeth(rows: _Rows) -> Bytes:
    """Whichever of left, above and corner is nearest to left + above - corner, in that order.

    The corner is nearest only when it lies between the two, and then its distance is the
    difference of the other distances: so eight bits suffice.
    """
    left, above, corner = rows.left, rows.above, rows.corner
    by_left = np.maximum(above, corner) - np.minimum(above, corner)
    by_above = np.maximum(left, corner) - np.minimum(left, corner)
    nearer = np.minimum(by_left, by_above)
    between = (left < corner) != (above < corner)
    between &= np.maximum(by_left, by_above) - nearer < nearer
    prediction = _chosen(by_left <= by_above, left, above)
    return _chosen(between, corner, prediction)


def _chosen(mask: NDArray[np.bool_], yes: Bytes, no: Bytes) -> Bytes:
    """What np.where gives, by bits: several times as fast for single bytes."""
    bits = np.negative(mask.view(np.uint8))
    return ((yes ^ no) & bits) ^ no


# What each filter subtracts, in the order of the filter types of the specification.
_PREDICTIONS: tuple[Callable[[_Rows], Bytes | int], ...] = (
    lambda rows: 0,
    lambda rows: rows.left,
    lambda rows: rows.above,
    _average,
    _paeth,
)


def _compressed(rows: _Rows, *, last: bool) -> _Strip:
    """Filter and deflate one strip, in the way that makes a sample of its rows smallest.

    The filter is the one that leaves the least entropy: it is the best for Huffman codes, and among
    the best for runs. Of repeats only runs of one byte are looked for, and none where that saves
    less than a hundredth: on photographs and edge maps zlib's search for longer ones takes more
    time and makes the file larger.
    """
    sample = rows.sampled(min(_SAMPLED, len(rows.current)))
    trials = [_filtered(sample, kind) for kind in range(len(_PREDICTIONS))]
    sizes = [_huffman_bytes(trial) for trial in trials]
    kind = sizes.index(min(sizes))
    in_runs = len(_deflate(trials[kind], zlib.Z_RLE))
    strategy = zlib.Z_RLE if 1.01 * in_runs < sizes[kind] else zlib.Z_HUFFMAN_ONLY
    data = _filtered(rows, kind)
    return _Strip(_deflate(data, strategy, last=last), zlib.adler32(data.data), data.nbytes)


def _compressed_well(rows: _Rows, *, last: bool) -> _Strip:
    """Filter and deflate one strip in several ways, and keep the smallest.

    Beside each filter for the whole strip there is the one for each row that leaves the least sum
    of magnitudes, as the specification advises (12.7). The two that do best on a part are tried.
    """
    height = len(rows.current)
    part = _Rows(*(each[height // 2 : height // 2 + height // 8 + 1] for each in rows))
    sizes = [len(_deflate(data, zlib.Z_DEFAULT_STRATEGY, level=9)) for data in _all_filtered(part)]
    best = sorted(range(len(sizes)), key=sizes.__getitem__)[:2]
    whole = _all_filtered(rows)
    tried = [
        (_deflate(whole[kind], strategy, last=last, level=9), kind)
        for kind in best
        for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_RLE, zlib.Z_HUFFMAN_ONLY)
    ]
    deflated, kind = min(tried, key=lambda trial: len(trial[0]))
    return _Strip(deflated, zlib.adler32(whole[kind].data), whole[kind].nbytes)


def _all_filtered(rows: _Rows) -> list[Bytes]:
    """Rows by every filter, and each row by the filter that leaves it the least magnitudes."""
    several = [_filtered(rows, kind) for kind in range(len(_PREDICTIONS))]
    sums = [np.minimum(data, np.negative(data))[:, 1:].sum(axis=1) for data in several]
    return [*several, np.choose(np.argmin(sums, axis=0)[:, None], several)]


def _filtered(rows: _Rows, kind: int) -> Bytes:
    """Each row less its prediction, after the byte that names the filter."""
    height, width = rows.current.shape
    data = np.empty((height, width + 1), np.uint8)
    data[:, 0] = kind
    step = max(1, _CACHED_BYTES // width)
    for top in range(0, height, step):
        some = _Rows(*(part[top : top + step] for part in rows))
        np.subtract(some.current, _PREDICTIONS[kind](some), out=data[top : top + step, 1:])
    return data


def _huffman_bytes(data: Bytes) -> float:
    """About what a Huffman code for single bytes needs, which spends at least a bit on each."""
    counts = np.bincount(data.ravel(), minlength=256)
    counts = counts[counts > 0]
    return float(np.sum(counts * np.maximum(-np.log2(counts / data.size), 1)) / 8)


def _deflate(data: Bytes, strategy: int, *, last: bool = True, level: int = 1) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, strategy)
    return packer.compress(data.data) + packer.flush(zlib.Z_FINISH if last else zlib.Z_FULL_FLUSH)


def _combined_adler(before: int, strip: _Strip) -> int:
    """The Adler-32 checksum of what came before and `strip`, from the two checksums (RFC 1950)."""
    low = (before & 0xFFFF) + (strip.adler & 0xFFFF) - 1
    high = (before >> 16) + (strip.adler >> 16) + strip.length * ((before & 0xFFFF) - 1)
    return (high % _ADLER_BASE) << 16 | low % _ADLER_BASE
