"""Pictures of numbers: .csv and .txt files, and matrices as they are typed."""

import os
from pathlib import PurePath
from typing import BinaryIO

from conv_cli.errors import ConvError, ImageError
from conv_cli.images.image import Image, ImageInfo, Opened, check_size
from conv_cli.io.matrix import is_typed, parse_matrix
from conv_cli.io.tables import ENDINGS, MAX_BYTES, Table, text_table
from conv_cli.io.text import decode_text

TYPED = "matrix"
"""The format of an image that is typed in place of a name."""


def table_ending(source: object) -> str | None:
    """Return the ending, such as ".csv", of a file that holds a table if it is no other image."""
    if not isinstance(source, str | bytes | os.PathLike):
        return None
    ending = PurePath(os.fsdecode(source)).suffix.lower()
    return ending if ending in ENDINGS else None


def open_table(stream: BinaryIO, ending: str, max_pixels: int) -> Opened:
    """Return the image, float64 and of one channel, in a text file.

    Raises ImageError if it is no table; the fault is told by row and column, from 1.
    """
    contents = stream.read(MAX_BYTES + 1)
    if len(contents) > MAX_BYTES:
        raise ImageError(f"more than {MAX_BYTES:,} bytes of text; write it as .npy")
    try:
        return _opened(text_table(decode_text(contents), ending), ending[1:], max_pixels)
    except ConvError as error:
        raise ImageError(str(error)) from None


def open_typed(text: str, max_pixels: int) -> Opened:
    """Return the image that is typed as a matrix; errors are those of `open_table`."""
    try:
        return _opened(parse_matrix(text)[0], TYPED, max_pixels)
    except ConvError as error:
        raise ImageError(str(error)) from None


def is_typed_image(source: object) -> bool:
    """Tell whether a source is a matrix that is typed, and no file."""
    return isinstance(source, str) and is_typed(source)


def _opened(table: Table, format: str, max_pixels: int) -> Opened:
    height, width = table.shape
    check_size(width, height, max_pixels)
    info = ImageInfo(height, width, 1, False, table.dtype, format)
    return Opened(info, lambda _: Image(table, format=format))
