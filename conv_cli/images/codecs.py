"""What a lossy file's codec does to pixels: the same settings, found from the file, used again."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from conv_cli.images import headers
from conv_cli.images.image import JpegSettings
from conv_cli.images.pillow import open_with, quiet

_ORIENTATION = 0x0112
Pixels = NDArray[Any]
Recode = Callable[[Pixels], Pixels]


def lossy_codec(path: str | os.PathLike[str]) -> Recode | None:
    """Return what sends pixels through the codec of a file; None if that loses nothing.

    path : path. An image that `read_image` has read. JPEG tables and chroma sampling are those of
        the file. WebP and AVIF files do not say with what quality they were made: the one is taken
        that makes a file of the same size.

    Returns
    -------
    callable
        uint8 pixels, (H, W) or (H, W, 3), to the same after encoding and decoding.
    """
    format, contents = _read(path)
    if format == "jpeg":
        return _jpeg(contents)
    if format == "webp" and b"VP8 " in contents[12:4096]:
        return _of_a_size("WEBP", len(contents), {"lossless": False})
    if format == "avif":
        return _of_a_size("AVIF", len(contents), {})
    return None


def _read(path: str | os.PathLike[str]) -> tuple[str | None, bytes]:
    """Return the format of a file, and its bytes."""
    contents = Path(os.fsdecode(path)).read_bytes()
    return headers.identify(contents[: headers.SIGNATURE_BYTES]), contents


def _jpeg(contents: bytes) -> Recode:
    with quiet:
        settings = jpeg_settings(open_with("jpeg", io.BytesIO(contents)))

    def recode(pixels: Pixels) -> Pixels:
        return _through(pixels, "JPEG", jpeg_options(settings))

    return recode


def jpeg_luma(path: str | os.PathLike[str]) -> tuple[Pixels, Pixels] | None:
    """Return the brightness of a JPEG as it is stored, and the steps of its coefficients.

    Returns
    -------
    luma : ndarray, shape (H, W), uint8
    steps : ndarray, shape (8, 8). Rows by vertical frequency.

    None for other files, those that hold no brightness, and those that are to be turned.
    """
    format, contents = _read(path)
    if format != "jpeg":
        return None
    with quiet:
        picture = open_with("jpeg", io.BytesIO(contents))
        steps = jpeg_settings(picture).tables[:1]
        if picture.mode == "RGB":
            picture.draft("L", picture.size)
        if picture.mode != "L" or not steps or picture.getexif().get(_ORIENTATION, 1) != 1:
            return None
        return np.asarray(picture), np.array(steps[0]).reshape(8, 8)


def jpeg_settings(picture: PilImage.Image) -> JpegSettings:
    """Return with what an opened JPEG was made; what Pillow cannot write is sampled in full."""
    from PIL.JpegImagePlugin import get_sampling

    by_number = picture.quantization  # type: ignore[attr-defined]
    layers = picture.layer  # type: ignore[attr-defined]
    numbers = dict.fromkeys(number for _, _, _, number in layers)
    tables = tuple(tuple(by_number[number]) for number in numbers if number in by_number)
    return JpegSettings(tables, max(get_sampling(picture), 0))


def jpeg_options(settings: JpegSettings) -> dict[str, Any]:
    """Return what makes Pillow write a JPEG with the same tables and sampling."""
    return {"qtables": list(settings.tables), "subsampling": settings.sampling}


def _of_a_size(name: str, size: int, options: dict[str, Any]) -> Recode:
    def recode(pixels: Pixels) -> Pixels:
        low, high = 1, 100
        while low < high:  # the least quality whose file is as large as the one that is there
            middle = (low + high) // 2
            if len(_encoded(pixels, name, {**options, "quality": middle})) < size:
                low = middle + 1
            else:
                high = middle
        return _through(pixels, name, {**options, "quality": low})

    return recode


def _encoded(pixels: Pixels, name: str, options: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    with quiet:
        PilImage.fromarray(pixels).save(buffer, name, **options)
    return buffer.getvalue()


def _through(pixels: Pixels, name: str, options: dict[str, Any]) -> Pixels:
    with quiet, PilImage.open(io.BytesIO(_encoded(pixels, name, options)), formats=[name]) as back:
        return np.asarray(back.convert("L" if pixels.ndim == 2 else "RGB"))
