"""Reading images: from a source to an `Image`, or to one line that says why not."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from conv_cli.errors import ImageError
from conv_cli.images import headers, pam, pnm
from conv_cli.images.behind import others_behind
from conv_cli.images.decoding import open_picture
from conv_cli.images.formats import SUPPORTED
from conv_cli.images.image import MAX_PIXELS, Image, ImageInfo, Opened, check_size
from conv_cli.images.pillow import DECODER_ERRORS, quiet
from conv_cli.images.tables import TYPED, is_typed_image, open_table, open_typed, table_ending
from conv_cli.images.windows import File, RawRows, by_windows, is_zarr
from conv_cli.io import npy

Source = str | os.PathLike[str] | BinaryIO

_REASONS = {
    errno.ENOENT: "no such file; check the name",
    errno.ENOTDIR: "a part of its path is no folder; check the path",
    errno.EACCES: "permission denied; make it readable first",
    errno.EPERM: "not permitted; make it readable first",
    errno.ELOOP: "its links go round in a circle; give the file itself",
    errno.ENAMETOOLONG: "the name is too long; check it",
    errno.EMFILE: "too many files are open; use fewer jobs",
    errno.ENFILE: "too many files are open; use fewer jobs",
    errno.EIO: "the disk reports an error; copy the file elsewhere first",
}


_STACK = (
    "is read as {} rows of {} pixels with {} channels, (H, W, C); take frames by --frames all, "
    "and bring planes to this shape by numpy.moveaxis(x, 0, -1)"
)
_BYTES_A_PIXEL = 32
"""Of four channels in float64."""
# Their decoders take memory for the whole picture as soon as they are made.
_EARLY_SIZES = {"gif": headers.gif_size, "webp": headers.webp_size}


def read_image(
    source: Source,
    *,
    max_pixels: int = MAX_PIXELS,
    name: str = "stdin",
    admit: Callable[[ImageInfo], None] = lambda _: None,
    in_rows: bool = False,
    windows: bool = False,
) -> Image:
    """Read an image in full depth, upright.

    Orientation in EXIF, or where that tells none in XMP, is applied, and the tag reset. Palettes
    become RGB, a transparent colour or palette entry becomes opacity, bitmaps are 0 and 255, and
    samples of odd depths are spread over the full range of the next dtype. CMYK, LAB and YCbCr
    become RGB, by Pillow's plain formulas. Of several frames or pictures the first is read, of
    icons the largest, of a TIFF no preview. What is left out or changed so is said in the notes.

    The format is found from the content alone, but for .csv and .txt: tables of numbers, float64
    and of one channel. A .npy file, or the one array of a .npz, is taken as it is, (H, W) or
    (H, W, C), without opacity.

    Parameters
    ----------
    source : path or binary stream
        A path of a regular file, or a stream, read to its end. A text such as "0 1 2; 3 4 5" that
        is no file's name is a matrix.
    max_pixels : int
        Images of more are refused from their header, before memory is taken.
    name : str
        What errors call a stream.
    admit : callable, optional
        Is told what the header says before any pixel is read; raises ImageError to refuse.
    in_rows : bool
        The pixels may be `PictureRows`, which are copied window by window: Pillow's own memory is
        all that they take then.
    windows : bool
        The pixels of a large TIFF, .npy, PNM or Zarr may be `PixelRows`, which are read from the
        file window by window; ``max_pixels`` does not hold for them.

    Raises ImageError: ``NAME: reason, and what to do``: not there, no image, damaged, too large, or
    with a depth that cannot be read in full. Never half a picture.
    """
    with _opened(source, max_pixels, name, admit, windows) as image:
        return image.read(in_rows)


def probe_image(
    source: Source,
    *,
    max_pixels: int = MAX_PIXELS,
    name: str = "stdin",
    admit: Callable[[ImageInfo], None] = lambda _: None,
    windows: bool = False,
) -> ImageInfo:
    """Return what `read_image` would give, from the header alone; it raises the same errors.

    Damage behind the header is not noticed. A stream is read to its end.
    """
    with _opened(source, max_pixels, name, admit, windows) as image:
        return image.info


def file_format(path: str | os.PathLike[str]) -> str | None:
    """Return what the content of a file is, such as "png"; None if it is no image, or no file.

    That of a matrix typed in place of a name is "matrix".
    """
    if is_typed_image(path):
        return TYPED
    if is_zarr(path):
        return "zarr"
    try:
        with stream_of(path) as stream:
            start = stream.read(headers.SIGNATURE_BYTES)
    except (ImageError, OSError):
        return None
    return headers.identify(start) or (table_ending(path) or "")[1:] or None


def format_of_start(start: bytes) -> str | None:
    """Return what the content of a file is that begins so; None if it is no image."""
    return headers.identify(start[: headers.SIGNATURE_BYTES])


@contextmanager
def _opened(
    source: Source, max_pixels: int, name: str, admit: Callable[[ImageInfo], None], windows: bool
) -> Iterator[Opened]:
    """Open a source; whatever goes wrong with it is told as an ImageError that names it."""
    with failures_named(shown_name(source, name)):
        if is_typed_image(source):
            yield open_typed(str(source), max_pixels)
            return
        if isinstance(source, str | os.PathLike) and is_zarr(source):
            from conv_cli.images.zarr_files import open_zarr

            yield _admitted(open_zarr(os.fspath(source), max_pixels, windows=windows), admit)
            return
        with stream_of(source) as stream, quiet:
            image = open_image(stream, max_pixels, admit, table_ending(source), windows=windows)
            admit(image.info)
            yield Opened(
                image.info, lambda in_rows: _with_others_named(image.read(in_rows), stream)
            )


def shown_name(source: Source, name: str) -> str:
    """Return what errors call a source."""
    return os.fsdecode(source) if isinstance(source, str | bytes | os.PathLike) else name


@contextmanager
def failures_named(shown: str) -> Iterator[None]:
    """Raise whatever goes wrong in reading as an ImageError that begins with a name."""
    try:
        yield
    except ImageError as error:
        raise ImageError(f"{shown}: {error}") from error
    except MemoryError as error:
        raise ImageError(f"{shown}: not enough memory; use fewer jobs or smaller images") from error
    except DECODER_ERRORS as error:
        raise ImageError(f"{shown}: {_reason(error)}") from error


def _admitted(image: Opened, admit: Callable[[ImageInfo], None]) -> Opened:
    admit(image.info)
    return image


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return _REASONS.get(error.errno) or f"cannot be read ({error.strerror}); check the file"
    words = " ".join(str(error).split())[:100] or type(error).__name__
    return f"cannot be read: truncated, damaged or of a kind not supported ({words})"


@contextmanager
def stream_of(source: Source) -> Iterator[BinaryIO]:
    """Give a seekable stream; nothing but a regular file is opened, as others may never end."""
    if not isinstance(source, str | bytes | os.PathLike):
        yield _buffered(source)
        return
    path = Path(os.fsdecode(source))
    if "\0" in str(path):
        raise ImageError("a name cannot hold a null character; check the name")
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise ImageError("is a folder; give the name of an image")
    if not stat.S_ISREG(mode):
        raise ImageError("not a regular file (a pipe or device); pass it through stdin, as -")
    with path.open("rb") as stream:
        yield stream


def stream_bytes(source: BinaryIO) -> bytes:
    """Return all of a stream, or its start alone if no image begins so: it may never end."""
    start = source.read(headers.SIGNATURE_BYTES)
    return start + source.read() if headers.identify(start) else start


def _buffered(source: BinaryIO) -> BinaryIO:
    """Take all of a stream into memory, once its start looks like an image."""
    data = stream_bytes(source)
    identified(data[: headers.SIGNATURE_BYTES])
    return io.BytesIO(data)


def identified(start: bytes) -> str:
    """Return the format of a file that begins so, or raise ImageError."""
    if not start:
        raise ImageError("is empty; give an image")
    format = headers.identify(start)
    if format is None:
        raise ImageError(f"not an image in a supported format ({SUPPORTED}); convert it")
    return format


def open_image(
    stream: BinaryIO,
    max_pixels: int,
    admit: Callable[[ImageInfo], None],
    ending: str | None,
    *,
    windows: bool = False,
) -> Opened:
    """Read the header of the first picture in a stream."""
    start = stream.read(headers.SIGNATURE_BYTES)
    if ending is not None and headers.identify(start) is None:
        stream.seek(0)
        return open_table(stream, ending, max_pixels)
    format = identified(start)
    if format in _EARLY_SIZES and (size := _EARLY_SIZES[format](stream)) is not None:
        width, height = size
        check_size(width, height, max_pixels)
        admit(ImageInfo(height, width, 3, False, np.dtype(np.uint8), format))
    stream.seek(0)
    if format == "npy":
        return _open_npy(stream, max_pixels, windows)
    if format == "npz":
        contents = npy.only_array(stream, _BYTES_A_PIXEL * max_pixels)
        return _open_npy(io.BytesIO(contents), max_pixels, False, format)
    if format == "pam":
        return pam.open_pam(stream, max_pixels)
    if format == "hdr":
        from conv_cli.images.hdr import open_hdr

        return open_hdr(stream, max_pixels)
    if format == "fits":
        from conv_cli.images.fits import open_fits

        return open_fits(stream, max_pixels)
    if format in ("pnm", "pfm"):
        return _open_pnm(stream, format, max_pixels, windows)
    if format == "tiff":
        from conv_cli.images.tiff import open_tiff

        return open_tiff(stream, max_pixels, windows=windows)
    picture = open_picture(stream, format, max_pixels)
    return Opened(picture.info, picture.read)


def _with_others_named(image: Image, stream: BinaryIO) -> Image:
    if image.format == "jpeg" and any(note.startswith("holds ") for note in image.notes):
        return image  # its own index has told of them
    return replace(image, notes=(*image.notes, *others_behind(stream, image.format)))


def _open_npy(stream: BinaryIO, max_pixels: int, windows: bool, format: str = "npy") -> Opened:
    header = npy.read_image_header(stream)
    height, width = header.shape[:2]
    info = ImageInfo(height, width, header.channels, False, header.dtype, format)
    stack = 4 < header.channels > height < width
    notes = (_STACK.format(*header.shape),) if stack else ()
    # Bounds of 64-bit numbers are looked for among all of them, and columns first are not rows.
    plain = header.order == "C" and (header.stored.kind == "f" or header.stored.itemsize < 8)
    if windows and plain and _is_large_file(stream, height, width, max_pixels):
        start = stream.tell()
        if stream.seek(0, os.SEEK_END) - start < header.nbytes:
            raise ImageError("cannot be read: truncated or damaged (too few bytes for its shape)")
        finish = _as_bitmap if header.stored.kind == "b" else None
        rows = RawRows(File(stream), start, info.shape, header.stored, header.dtype, finish=finish)
        return _in_windows(info, rows, notes)
    check_size(width, height, max_pixels)
    return Opened(
        info, lambda _: Image(npy.read_pixels(stream, header), format=format, notes=notes)
    )


def _open_pnm(stream: BinaryIO, format: str, max_pixels: int, windows: bool) -> Opened:
    header = pnm.read_header(stream)
    info = ImageInfo(header.height, header.width, header.channels, False, header.dtype, format)
    large = windows and _is_large_file(stream, header.height, header.width, max_pixels)
    if large and header.kind in "56fF":
        if stream.seek(0, os.SEEK_END) - header.start < (header.nbytes or 0):
            raise ImageError("cannot be read: truncated or damaged (too few bytes for its size)")
        rows = RawRows(
            File(stream), header.start, info.shape, header.stored, header.dtype,
            finish=header.finish, upwards=header.kind in "fF",
        )  # fmt: skip
        return _in_windows(info, rows)
    check_size(header.width, header.height, max_pixels)
    return Opened(info, lambda _: Image(pnm.read_pixels(stream, header), format=format))


def _is_large_file(stream: BinaryIO, height: int, width: int, max_pixels: int) -> bool:
    """Tell whether pixels are to be left in a file, which other threads can read as well."""
    return isinstance(stream, io.BufferedReader) and by_windows(height, width, max_pixels)


def _in_windows(info: ImageInfo, rows: RawRows, notes: tuple[str, ...] = ()) -> Opened:
    pixels = cast("NDArray[Any]", rows)  # which are as one where they are used
    image = Image(pixels, format=info.format, notes=notes)
    return Opened(info._replace(windowed=True), lambda _: image)


def _as_bitmap(values: NDArray[Any]) -> NDArray[Any]:
    return np.where(values, np.uint8(255), np.uint8(0))
