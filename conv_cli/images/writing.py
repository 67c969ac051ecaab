"""Writing images: without loss where the format can, or refused with a way out."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from conv_cli.errors import ImageError
from conv_cli.files import write_atomically
from conv_cli.images import metadata, npy, pnm
from conv_cli.images.formats import can_hold, format_of, uses_extra
from conv_cli.images.image import Image
from conv_cli.images.pillow import DECODER_ERRORS, quiet
from conv_cli.png import encode_png

Encoder = Callable[[BinaryIO, Image], None]


def write_image(
    path: str | os.PathLike[str],
    image: Image | NDArray[Any],
    *,
    format: str | None = None,
    force: bool = False,
    threads: int | None = None,
) -> tuple[str, ...]:
    """Write an image to a file, whole or not at all.

    Parameters
    ----------
    path : path
        Its suffix tells the format, unless `format` does. An existing file is refused.
    image : Image, or ndarray of shape (H, W) or (H, W, 1 to 4)
        Two or four channels of an array end in opacity. Truth values are written as 0 and 255.
    format : str, optional
        As `format_of` returns it.
    force : bool
        Replace an existing file.
    threads : int, optional
        For compressing PNG, all cores by default. The bytes are the same for all.

    Returns
    -------
    tuple of str
        What a user must be told: what could not be carried over.

    Raises
    ------
    ImageError
        ``NAME: reason, and what to do``: the format cannot hold the pixels, or the file cannot be
        written.
    """
    name = os.fsdecode(path)
    chosen = format_of(name) if format is None else format
    notes: tuple[str, ...] = ()

    def write(stream: BinaryIO) -> None:
        nonlocal notes
        try:
            notes = encode_image(stream, image, chosen, threads=threads)
        except ImageError as error:
            raise ImageError(f"{name}: {error}") from error

    write_atomically(name, write, force=force)
    return notes


def encode_image(
    stream: BinaryIO, image: Image | NDArray[Any], format: str, *, threads: int | None = None
) -> tuple[str, ...]:
    """Write an image to a stream, which need not be seekable.

    PNG, TIFF, WebP and JPEG 2000 are written without loss. JPEG has quality 95 and colours in full
    resolution (4:4:4), AVIF quality 90 and the same. EXIF, colour profile and resolution go with
    the pixels where the format has a place for them.

    Parameters, result and errors are those of `write_image`, whose errors name the file too.
    """
    whole = _as_image(image)
    can_hold(format, whole.dtype, whole.channels, whole.alpha)
    whole, notes = _with_fitting_profile(whole)
    if format == "png":
        encode_png(
            stream, whole.pixels, exif=whole.exif, icc=whole.icc, dpi=whole.dpi, threads=threads
        )
        return notes
    buffer = BytesIO()  # encoders seek, and write to file descriptors without saying what failed
    with quiet:
        notes += _encode(buffer, whole, format)
    stream.write(buffer.getbuffer())
    return notes
