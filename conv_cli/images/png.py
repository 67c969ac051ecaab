"""A PNG encoder in strips: 8 and 16 bits, one to four channels, compressed by several threads.

Pillow writes no 16-bit colour and compresses on one thread. Here rows come in strips, which are cut
into pieces of up to two megabytes. Each is filtered and deflated on its own and becomes one IDAT
chunk; as every piece but the last ends on a byte boundary, the chunks join to one valid zlib
stream. The bytes do not depend on the number of threads, and only a few pieces are in memory at a
time.

Reference: Portable Network Graphics (PNG) Specification, third edition, W3C, 2025.
"""

import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from conv_cli.errors import ImageError
from conv_cli.parallel.scratch import Scratch, borrowed
from conv_cli.parallel.threads import InOrder, limited_threads, share

Bytes = NDArray[np.uint8]
_BYTE = np.dtype(np.uint8)

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
_STRIP_BYTES = (1 << 17, 1 << 19)  # of a piece, at least, and at most
_LARGE_STRIP_BYTES = (1 << 20, 8 << 20)  # with compress: fewer of them repeat less
_LEAST_STRIPS = 4
_MOST_EARLY = 12  # pieces that are packed before their turn: few, so that memory stays small
_MOST_WAITING = 1  # piece that waits to be made: some, so that threads find work at the end
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
    alone: bool = False
    """What is above the first row belongs to another strip and is not at hand."""
    filtered: Bytes | None = None
    """Where they go when they are filtered: as many rows, a byte longer."""

    def part(self, rows: slice) -> "_Rows":
        """Some of the rows, not the first if that is alone."""
        return _Rows(self.current[rows], self.left[rows], self.above[rows], self.corner[rows])

    def sampled(self, step: int) -> "_Rows":
        """Every `step`-th row; not the first, which may have nothing above it."""
        return self.part(slice(step // 2, None, step))


class _Packed(NamedTuple):
    """A part of the zlib stream, with the checksum and the length of what it unpacks to."""

    deflated: bytes
    adler: int
    length: int


class _Piece(NamedTuple):
    """Some rows of a strip (rows, columns, channels), and where in the image the strip begins."""

    top: int
    rows: NDArray[Any]
    start: int
    stop: int


class PngSink:
    """Writes the rows of a PNG file as they come; the stream need not be seekable.

    stream : BinaryIO
    shape : (H, W) or (H, W, C). C is 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha (straight,
        not premultiplied).
    dtype : numpy.dtype. uint8 or uint16.
    exif, xmp : bytes, optional. A TIFF-structured block, with or without ``Exif\\0\\0`` before it;
        UTF-8.
    icc : bytes, optional. An ICC profile that fits the channels.
    dpi : (float, float), optional. Dots per inch, across and down; kept to the next dot per metre.
    compress : bool. Take some thirty times as long for a smaller file.

    Raises ImageError for pixels that no PNG can hold.
    """

    def __init__(
        self,
        stream: BinaryIO,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        *,
        exif: bytes | None = None,
        xmp: bytes | None = None,
        icc: bytes | None = None,
        dpi: tuple[float, float] | None = None,
        compress: bool = False,
    ) -> None:
        _check(shape, dtype)
        self._height, width, channels = (*shape, 1)[:3]
        header = (width, self._height, 8 * dtype.itemsize, _COLOUR_TYPES[channels], 0, 0, 0)
        stream.write(_SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", *header)))
        if icc:
            stream.write(chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc)))
        if dpi is not None:
            across, down = (round(value * _INCHES_PER_METRE) for value in dpi)
            stream.write(chunk(b"pHYs", struct.pack(">IIB", across, down, 1)))
        if exif:
            stream.write(chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")))
        if xmp:
            stream.write(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp))
        stream.write(chunk(b"IDAT", b"\x78\x01"))
        self._stream, self._adler = stream, 1
        self._pack = _compressed_well if compress else _compressed
        line = width * channels * dtype.itemsize
        least, most = _LARGE_STRIP_BYTES if compress else _STRIP_BYTES
        size = min(max(self._height * line // _LEAST_STRIPS, least), most)
        self.strip_rows = max(1, size // line)
        self._waiting: deque[_Piece] = deque()
        self._order = InOrder(self._write)

    def put(self, top: int, rows: NDArray[Any]) -> None:
        """Take the rows from `top` on; the strips of a picture may come in any order.

        They are not copied. Of a strip all but a little is packed here and now; a whole picture
        waits for ``finish``, which has several threads.
        """
        whole = rows[:, :, None] if rows.ndim == 2 else rows
        for start in range(0, len(whole), self.strip_rows):
            self._waiting.append(
                _Piece(top, whole, start, min(start + self.strip_rows, len(whole)))
            )
        while len(rows) < self._height and len(self._waiting) > _MOST_WAITING:
            self._pack_next()

    def finish(self) -> tuple[str, ...]:
        """Pack what waits and end the file; there is nothing that a user must be told."""
        failed: list[BaseException] = []

        def worker(waiting: Iterator[None]) -> None:
            try:
                for _ in waiting:
                    self._order.wait(_MOST_EARLY, lambda: bool(failed))
                    self._pack_next()
            except BaseException as error:
                failed.append(error)
                raise

        share(worker, [None] * len(self._waiting))
        self._stream.write(chunk(b"IDAT", struct.pack(">I", self._adler)) + chunk(b"IEND", b""))
        return ()

    def _pack_next(self) -> None:
        try:
            piece = self._waiting.popleft()
        except IndexError:  # another thread was faster
            return
        first, end = piece.top + piece.start, piece.top + piece.stop
        with borrowed() as scratch:
            packed = self._pack(_cut(piece, scratch), last=end == self._height)
        self._order.give(first, end, packed)

    def _write(self, packed: _Packed) -> None:
        self._stream.write(chunk(b"IDAT", packed.deflated))
        self._adler = _combined_adler(self._adler, packed)


def encode_png(
    stream: BinaryIO, pixels: NDArray[Any], *, threads: int | None = None, **options: Any
) -> None:
    """Write pixels, (H, W) or (H, W, C), as a PNG file.

    ``threads`` says how many to compress with; the bytes are the same for all. The other options,
    and errors, are those of ``PngSink``.
    """
    sink = PngSink(stream, pixels.shape, pixels.dtype, **options)
    sink.put(0, pixels)
    with limited_threads(threads):
        sink.finish()


def _check(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if dtype.name not in ("uint8", "uint16"):
        raise ImageError(f"PNG holds 8 or 16 bits, not {dtype}; use --depth 8 or 16")
    if len(shape) not in (2, 3) or (*shape, 1)[2] not in _COLOUR_TYPES or 0 in shape:
        raise ImageError(f"PNG holds (H, W) or (H, W, 1 to 4), not an array of {shape}")


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG file: its length, its kind, its data, and their checksum."""
    checksum = zlib.crc32(data, zlib.crc32(kind))
    return b"".join((struct.pack(">I", len(data)), kind, data, struct.pack(">I", checksum)))


def _cut(piece: _Piece, scratch: Scratch) -> _Rows:
    """The rows of a piece; what lies outside the image is 0, as the filters ask for."""
    rows, start, stop = piece.rows, piece.start, piece.stop
    first = max(start - 1, 0)
    part = np.ascontiguousarray(rows[first:stop], rows.dtype.newbyteorder(">")).view(np.uint8)
    pixel = part.shape[2]
    shape = (stop - start + 1, pixel + part[0].size)
    padded = scratch.array("padded", shape, _BYTE)
    padded[0], padded[:, :pixel] = 0, 0
    padded[first - start + 1 :, pixel:] = part.reshape(stop - first, -1)
    current, above = padded[1:, pixel:], padded[:-1, pixel:]
    alone = start == 0 < piece.top
    filtered = scratch.array("filtered", (stop - start, shape[1] - pixel + 1), _BYTE)
    return _Rows(current, padded[1:, :-pixel], above, padded[:-1, :-pixel], alone, filtered)


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


def _compressed(rows: _Rows, *, last: bool) -> _Packed:
    """Filter and deflate one piece, in the way that makes a sample of its rows smallest.

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
    return _Packed(_deflate(data, strategy, last=last), zlib.adler32(data.data), data.nbytes)


def _compressed_well(rows: _Rows, *, last: bool) -> _Packed:
    """Filter and deflate one piece in several ways, and keep the smallest.

    Beside each filter for the whole piece there is the one for each row that leaves the least sum
    of magnitudes, as the specification advises (12.7). The two that do best on a part are tried.
    """
    height = len(rows.current)
    part = rows.part(slice(height // 2, height // 2 + height // 8 + 1))
    sizes = [len(_deflate(data, zlib.Z_DEFAULT_STRATEGY, level=9)) for data in _all_filtered(part)]
    best = sorted(range(len(sizes)), key=sizes.__getitem__)[:2]
    whole = _all_filtered(rows._replace(filtered=None))
    tried = [
        (_deflate(whole[kind], strategy, last=last, level=9), kind)
        for kind in best
        for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_RLE, zlib.Z_HUFFMAN_ONLY)
    ]
    deflated, kind = min(tried, key=lambda trial: len(trial[0]))
    return _Packed(deflated, zlib.adler32(whole[kind].data), whole[kind].nbytes)


def _all_filtered(rows: _Rows) -> list[Bytes]:
    """Rows by every filter, and each row by the filter that leaves it the least magnitudes."""
    several = [_filtered(rows, kind) for kind in range(len(_PREDICTIONS))]
    sums = [np.minimum(data, np.negative(data))[:, 1:].sum(axis=1) for data in several]
    return [*several, np.choose(np.argmin(sums, axis=0)[:, None], several)]


def _filtered(rows: _Rows, kind: int) -> Bytes:
    """Each row less its prediction, after the byte that names the filter."""
    height, width = rows.current.shape
    data = np.empty((height, width + 1), np.uint8) if rows.filtered is None else rows.filtered
    data[:, 0] = kind
    step = max(1, _CACHED_BYTES // width)
    for top in range(0, height, step):
        some = rows.part(slice(top, top + step))
        np.subtract(some.current, _PREDICTIONS[kind](some), out=data[top : top + step, 1:])
    if rows.alone and kind > 1:  # of these filters, the one beside needs nothing above
        data[0, 0] = 1
        np.subtract(rows.current[0], rows.left[0], out=data[0, 1:])
    return data


def _huffman_bytes(data: Bytes) -> float:
    """About what a Huffman code for single bytes needs, which spends at least a bit on each."""
    counts = np.bincount(data.ravel(), minlength=256)
    counts = counts[counts > 0]
    return float(np.sum(counts * np.maximum(-np.log2(counts / data.size), 1)) / 8)


def _deflate(data: Bytes, strategy: int, *, last: bool = True, level: int = 1) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, strategy)
    return packer.compress(data.data) + packer.flush(zlib.Z_FINISH if last else zlib.Z_FULL_FLUSH)


def _combined_adler(before: int, packed: _Packed) -> int:
    """The Adler-32 checksum of what came before and `packed`, from the two checksums (RFC 1950)."""
    low = (before & 0xFFFF) + (packed.adler & 0xFFFF) - 1
    high = (before >> 16) + (packed.adler >> 16) + packed.length * ((before & 0xFFFF) - 1)
    return (high % _ADLER_BASE) << 16 | low % _ADLER_BASE
