"""Pillow, used for what it does exactly: opened by format, quiet, and without its own limit."""

import importlib
import logging
import os
import struct
import threading
import tokenize
import warnings
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO

from PIL import Image as PilImage
from PIL import ImageFile

# What decoders raise on files that are damaged, or that someone made to break them.
DECODER_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    PilImage.DecompressionBombError,
    struct.error,
    tokenize.TokenError,
    zlib.error,
)

_PLUGINS = {
    "png": ("PngImagePlugin", "PNG"),
    "jpeg": ("JpegImagePlugin", "JPEG"),
    "tiff": ("TiffImagePlugin", "TIFF"),
    "webp": ("WebPImagePlugin", "WEBP"),
    "bmp": ("BmpImagePlugin", "BMP"),
    "gif": ("GifImagePlugin", "GIF"),
    "tga": ("TgaImagePlugin", "TGA"),
    "jp2": ("Jpeg2KImagePlugin", "JPEG2000"),
    "j2k": ("Jpeg2KImagePlugin", "JPEG2000"),
    "avif": ("AvifImagePlugin", "AVIF"),
    "ico": ("IcoImagePlugin", "ICO"),
}

_STDERR = 2
_MOST_HEARD = 10_000  # bytes
_HARMLESS = "TIFFFetchNormalTag"  # of a tag that is passed over
_turn = threading.Lock()

# Pillow logs some of what it then raises; without a handler Python prints that to stderr.
logging.getLogger("PIL").addHandler(logging.NullHandler())


class _Quiet:
    """Pillow without warnings and pixel limit while anyone here uses it, as before afterwards.

    Both are global to the process: the first thread to come changes them, the last restores them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._restore = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                self._restore.enter_context(warnings.catch_warnings())
                warnings.filterwarnings("ignore", module=r"PIL\.")
                self._restore.callback(_set_pixel_limit, PilImage.MAX_IMAGE_PIXELS)
                _set_pixel_limit(None)
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._restore.close()


def _set_pixel_limit(value: int | None) -> None:
    PilImage.MAX_IMAGE_PIXELS = value


quiet = _Quiet()


def open_with(format: str, stream: BinaryIO) -> ImageFile.ImageFile:
    """Read the header with the decoder of one format; no other is tried, no program is started.

    Raises one of `DECODER_ERRORS` if it is none of that format.
    """
    module, name = _PLUGINS[format]
    importlib.import_module(f"PIL.{module}")
    stream.seek(0)
    return PilImage.OPEN[name][0](stream, "")


def load(picture: ImageFile.ImageFile) -> None:
    """Decode the pixels.

    Raises one of `DECODER_ERRORS` if they are damaged, also where libtiff says so on stderr and
    Pillow does not: what it says is taken as the reason, and does not come to the user's terminal.
    """
    if not picture.tile or picture.tile[0].codec_name != "libtiff":
        picture.load()
        return
    failure: Exception | None = None
    with _stderr_heard() as words:
        try:
            picture.load()
        except DECODER_ERRORS as error:
            failure = error
    complaints = [line for line in words if not line.startswith(_HARMLESS)]
    if complaints:
        raise OSError(complaints[0])
    if failure is not None:
        raise failure


@contextmanager
def _stderr_heard() -> Iterator[list[str]]:
    """Give a list that holds, afterwards, the lines written to stderr meanwhile, instead of it.

    C libraries write to its descriptor, of which the process has one: threads take turns.
    """
    words: list[str] = []
    with _turn, ExitStack() as stack:
        try:
            before = os.dup(_STDERR)
            stack.callback(os.close, before)
            heard = _memory_file()
            stack.callback(os.close, heard)
            os.dup2(heard, _STDERR)
        except OSError:  # closed, or no descriptor is left: nothing is heard
            yield words
            return
        try:
            yield words
        finally:
            os.dup2(before, _STDERR)
            os.lseek(heard, 0, os.SEEK_SET)
            words += os.read(heard, _MOST_HEARD).decode(errors="replace").splitlines()


def _memory_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("stderr")
    return os.open(os.devnull, os.O_RDWR)
