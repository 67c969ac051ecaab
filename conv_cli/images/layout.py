"""How the samples of an opened file become pixels, decided from its header alone.

Pillow holds colours in 8 bits, and says nothing when a file has more. So the deeper raw modes that
it can be made to give exactly are listed here, and all others are refused.
"""

import sys
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile

from conv_cli.errors import ImageError
from conv_cli.images.headers import avif_is_deep, jpeg2000_depths

LITTLE = sys.byteorder == "little"
U8, U16 = np.dtype(np.uint8), np.dtype(np.uint16)
I32, F32 = np.dtype(np.int32), np.dtype(np.float32)


class Layout(NamedTuple):
    """What the pixels will be, and the way to them.

    dtype : dtype. Of the pixels.
    channels, alpha : int, bool. How many there are, and whether the last is opacity.
    convert : str or None. The Pillow mode to turn the picture into.
    finish : callable or None. What makes the pixels of the array that the picture gives.
    rawmode : str or None. What to decode with in place of the raw mode that Pillow chose.
    low_rawmode : str or None. If given, decoding gives the high bytes, and again, with this, the
        low bytes.
    key : tuple of int or None. The colour that is transparent, in the units of the pixels.
    notes : tuple of str. What a user must be told.
    """

    dtype: np.dtype[Any] = U8
    channels: int = 1
    alpha: bool = False
    convert: str | None = None
    finish: Callable[[NDArray[Any]], NDArray[Any]] | None = None
    rawmode: str | None = None
    low_rawmode: str | None = None
    key: tuple[int, ...] | None = None
    notes: tuple[str, ...] = ()


_BY_MODE = {
    "1": Layout(convert="L"),
    "L": Layout(),
    "LA": Layout(channels=2, alpha=True),
    "La": Layout(channels=2, alpha=True, convert="LA"),
    "RGB": Layout(channels=3),
    "RGBX": Layout(channels=3, convert="RGB"),
    "RGBA": Layout(channels=4, alpha=True),
    "RGBa": Layout(channels=4, alpha=True, convert="RGBA"),
    "PA": Layout(channels=4, alpha=True, convert="RGBA"),
    "CMYK": Layout(channels=3, convert="RGB", notes=("CMYK became RGB",)),
    "YCbCr": Layout(channels=3, convert="RGB", notes=("YCbCr became RGB",)),
    "LAB": Layout(channels=3, convert="RGB", notes=("LAB became RGB",)),
    "I;16": Layout(U16),
    "I;16L": Layout(U16),
    "I;16B": Layout(U16),
    "I;16N": Layout(U16),
    "I": Layout(I32),
    "F": Layout(F32),
}


def layout_of(format: str, picture: ImageFile.ImageFile, stream: BinaryIO) -> Layout:
    """Return how an opened, not yet decoded picture is read in full; of a TIFF, what its mode says.

    Raises ImageError, with what to do, if it cannot be.
    """
    layout = _transparent(picture, _basic(picture))
    if format == "png":
        return _png(picture, layout)
    if format in ("jp2", "j2k"):
        return _jpeg2000(jpeg2000_depths(stream), layout)
    if format == "avif" and avif_is_deep(stream):
        raise too_deep("AVIF with more than 8 bits", "PNG")
    return layout


def _basic(picture: ImageFile.ImageFile) -> Layout:
    if picture.mode == "P":
        clear = picture.has_transparency_data
        mode = "RGBA" if clear else "RGB"
        return Layout(channels=len(mode), alpha=clear, convert=mode)
    if picture.mode not in _BY_MODE:
        raise ImageError(f"has pixels of a kind not supported ({picture.mode}); convert it to PNG")
    return _BY_MODE[picture.mode]


def _transparent(picture: ImageFile.ImageFile, layout: Layout) -> Layout:
    """Grey and RGB pictures may name one colour as transparent: it becomes opacity 0."""
    key = picture.info.get("transparency")
    if picture.mode not in ("1", "L", "RGB", "I;16") or not isinstance(key, int | tuple):
        return layout
    values = key if isinstance(key, tuple) else (key * _grey_step(picture),)
    return layout._replace(channels=layout.channels + 1, alpha=True, key=values)


def _grey_step(picture: ImageFile.ImageFile) -> int:
    """Greys of 2 and 4 bits are spread over 0–255, but their transparent one is as in the file."""
    return {"L;2": 85, "L;4": 17}.get(rawmode_of(picture), 1)


def rawmode_of(picture: ImageFile.ImageFile) -> str:
    """Return what Pillow would decode a picture's samples as."""
    args = picture.tile[0].args if picture.tile else ""
    return str(args[0] if isinstance(args, tuple) else args)


def too_deep(what: str, target: str) -> ImageError:
    """Return the error for samples that Pillow gives in 8 bits only."""
    return ImageError(f"{what} cannot be read in full; convert it to 16-bit {target}")


def _png(picture: ImageFile.ImageFile, layout: Layout) -> Layout:
    rawmode = rawmode_of(picture)
    if rawmode == "LA;16B":  # taken for RGBA of 8 bits, whose four bytes are these two samples
        grey = Layout(U16, 2, alpha=True, rawmode="RGBA")
        return grey._replace(finish=lambda values: values.view(">u2").astype(U16))
    return in_halves(rawmode, layout) if rawmode.startswith("RGB") else layout


def in_halves(rawmode: str, layout: Layout) -> Layout:
    """Pillow takes the high byte of each 16-bit sample: told the other byte order, the low one."""
    kind, _, order = rawmode.partition(";16")
    if not order:
        return layout
    swapped = {"B": "L", "L": "B", "N": "B" if LITTLE else "L"}[order]
    return layout._replace(dtype=U16, low_rawmode=f"{kind};16{swapped}")


def _jpeg2000(depths: list[int], layout: Layout) -> Layout:
    """Samples of odd depths come shifted to the top of 8 or 16 bits: they are spread instead."""
    depth, top = max(depths), 8 * layout.dtype.itemsize
    if depth > top:
        raise too_deep(f"JPEG 2000 with colour of {depth} bits", "PNG")
    if depth == top or layout.convert:
        return layout
    if min(depths) != depth:
        raise ImageError("has channels of unequal depths, which are not supported; convert it")
    return layout._replace(finish=lambda values: spread(values >> (top - depth), depth))


def spread(values: NDArray[Any], depth: int) -> NDArray[Any]:
    """Scale samples of `depth` bits to the full range of their dtype, rounded to nearest."""
    full, white = np.iinfo(values.dtype).max, 2**depth - 1
    return ((values.astype(np.uint32) * full + white // 2) // white).astype(values.dtype)
