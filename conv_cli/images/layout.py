"""How the samples of an opened file become pixels, decided from its header alone.

Pillow holds colours in 8 bits, and says nothing when a file has more. So the deeper raw modes that
it can be made to give exactly are listed here, and all others are refused.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile, TiffImagePlugin

from conv_cli.errors import ImageError
from conv_cli.images.headers import avif_is_deep, jpeg2000_depths

_LITTLE = sys.byteorder == "little"
_U8, _U16 = np.dtype(np.uint8), np.dtype(np.uint16)
_I32, _F32 = np.dtype(np.int32), np.dtype(np.float32)


@dataclass(frozen=True)
class Layout:
    """What the pixels will be, and the way to them.

    Attributes
    ----------
    dtype : dtype
        Of the pixels.
    channels, alpha : int, bool
        How many there are, and whether the last is opacity.
    convert : str or None
        The Pillow mode to turn the picture into.
    finish : callable or None
        What makes the pixels of the array that the picture gives.
    rawmode : str or None
        What to decode with in place of the raw mode that Pillow chose.
    low_rawmode : str or None
        If given, decoding gives the high bytes, and again, with this, the low bytes.
    key : tuple of int or None
        The colour that is transparent, in the units of the pixels.
    notes : tuple of str
        What a user must be told.
    """

    dtype: np.dtype[Any] = _U8
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
    "I;16": Layout(_U16),
    "I;16L": Layout(_U16),
    "I;16B": Layout(_U16),
    "I;16N": Layout(_U16),
    "I": Layout(_I32),
    "F": Layout(_F32),
}


def layout_of(format: str, picture: ImageFile.ImageFile, stream: BinaryIO) -> Layout:
    """Return how an opened, not yet decoded picture is read in full.

    Raises ImageError, with what to do, if it cannot be.
    """
    layout = _transparent(picture, _basic(picture))
    if format == "png":
        return _png(picture, layout)
    if format == "tiff":
        assert isinstance(picture, TiffImagePlugin.TiffImageFile)
        return _tiff(picture, layout)
    if format in ("jp2", "j2k"):
        return _jpeg2000(jpeg2000_depths(stream), layout)
    if format == "avif" and avif_is_deep(stream):
        raise _too_deep("AVIF with more than 8 bits", "PNG")
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
    return replace(layout, channels=layout.channels + 1, alpha=True, key=values)


def _grey_step(picture: ImageFile.ImageFile) -> int:
    """Greys of 2 and 4 bits are spread over 0–255, but their transparent one is as in the file."""
    return {"L;2": 85, "L;4": 17}.get(_rawmode(picture), 1)


def _rawmode(picture: ImageFile.ImageFile) -> str:
    args = picture.tile[0].args if picture.tile else ""
    return str(args[0] if isinstance(args, tuple) else args)


def _too_deep(what: str, target: str) -> ImageError:
    return ImageError(f"{what} cannot be read in full; convert it to 16-bit {target}")


def _png(picture: ImageFile.ImageFile, layout: Layout) -> Layout:
    rawmode = _rawmode(picture)
    if rawmode == "LA;16B":  # taken for RGBA of 8 bits, whose four bytes are these two samples
        grey = Layout(_U16, 2, alpha=True, rawmode="RGBA")
        return replace(grey, finish=lambda values: values.view(">u2").astype(_U16))
    return _in_halves(rawmode, layout) if rawmode.startswith("RGB") else layout


def _in_halves(rawmode: str, layout: Layout) -> Layout:
    """Pillow takes the high byte of each 16-bit sample: told the other byte order, the low one."""
    kind, _, order = rawmode.partition(";16")
    if not order:
        return layout
    swapped = {"B": "L", "L": "B", "N": "B" if _LITTLE else "L"}[order]
    return replace(layout, dtype=_U16, low_rawmode=f"{kind};16{swapped}")


def _jpeg2000(depths: list[int], layout: Layout) -> Layout:
    """Samples of odd depths come shifted to the top of 8 or 16 bits: they are spread instead."""
    depth, top = max(depths), 8 * layout.dtype.itemsize
    if depth > top:
        raise _too_deep(f"JPEG 2000 with colour of {depth} bits", "PNG")
    if depth == top or layout.convert:
        return layout
    if min(depths) != depth:
        raise ImageError("has channels of unequal depths, which are not supported; convert it")
    return replace(layout, finish=lambda values: _spread(values >> (top - depth), depth))


def _spread(values: NDArray[Any], depth: int) -> NDArray[Any]:
    """Scale samples of `depth` bits to the full range of their dtype, rounded to nearest."""
    full, white = np.iinfo(values.dtype).max, 2**depth - 1
    return ((values.astype(np.uint32) * full + white // 2) // white).astype(values.dtype)


# Single channels deeper than 8 bits that Pillow reads exactly.
_TIFF_GREYS = {
    "I;12": Layout(_U16, finish=lambda values: _spread(values, 12)),
    "I;16": Layout(_U16),
    "I;16B": Layout(_U16),
    "I;16N": Layout(_U16),
    "I;16R": Layout(_U16),
    "I;16S": Layout(_I32),
    "I;16BS": Layout(_I32),
    "I;32S": Layout(_I32),
    "I;32BS": Layout(_I32),
    "I;32N": Layout(np.dtype(np.uint32), finish=lambda values: values.view(np.uint32)),
    "F;32F": Layout(_F32),
    "F;32BF": Layout(_F32),
}
# libtiff swaps samples to the order of this machine, and Pillow swaps these once more.
_TWINS = {"I;16BS": "I;16S", "I;32BS": "I;32S", "F;32BF": "F;32F"}
_NATIVE = _TWINS if _LITTLE else {little: big for big, little in _TWINS.items()}
_TIFF_COLOURS = ("RGB;16", "RGBA;16", "RGBX;16")
_YCBCR, _SIGNED = 6, 2
_LEFT_OUT = ("an extra channel without a meaning is left out",)


def _tiff(picture: TiffImagePlugin.TiffImageFile, layout: Layout) -> Layout:
    tags, rawmode = picture.tag_v2, _rawmode(picture)
    bits = max(tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,)))
    if tags.get(TiffImagePlugin.PLANAR_CONFIGURATION) == 2 and not _planes_are_exact(picture, bits):
        raise ImageError(f"{bits}-bit TIFF in separate planes cannot be read; store it interleaved")
    if bits <= 8:
        return _tiff_bytes(picture, layout)
    if rawmode in _TIFF_GREYS:
        return _tiff_grey(picture, rawmode)
    if rawmode[:-1] in _TIFF_COLOURS:
        return replace(_in_halves(rawmode, layout), notes=_LEFT_OUT if "X" in rawmode else ())
    if rawmode.startswith("RGBa"):
        raise _too_deep("16-bit TIFF with colours multiplied by their opacity", "PNG")
    raise _too_deep(f"{bits}-bit {picture.mode} TIFF", "RGB TIFF")


def _planes_are_exact(picture: TiffImagePlugin.TiffImageFile, bits: int) -> bool:
    """Of a raw mode for separate planes Pillow takes one letter each, and loses what follows."""
    if picture.tag_v2.get(TiffImagePlugin.SAMPLESPERPIXEL, 1) == 1:
        return picture.tile[0].codec_name == "libtiff"
    multiplied = 1 in picture.tag_v2.get(TiffImagePlugin.EXTRASAMPLES, ())
    return bits == 8 and picture.mode in ("RGB", "RGBA", "CMYK") and not multiplied


def _tiff_grey(picture: TiffImagePlugin.TiffImageFile, rawmode: str) -> Layout:
    layout = _TIFF_GREYS[rawmode]
    if picture.tile[0].codec_name == "libtiff":
        layout = replace(layout, rawmode=_NATIVE.get(rawmode))
    white_is_zero = picture.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, 0) == 0
    if white_is_zero and layout.dtype == _U16:  # Pillow turns these round in 8 bits only
        return replace(layout, finish=np.invert)
    return layout


def _ycbcr_is_exact(picture: TiffImagePlugin.TiffImageFile) -> bool:
    """Compressed, libtiff gives RGB; otherwise Pillow reads three samples a pixel, if at all."""
    if picture.tile[0].codec_name == "libtiff":
        return True
    sampling = picture.tag_v2.get(TiffImagePlugin.YCBCRSUBSAMPLING)
    return picture.mode == "YCbCr" and sampling == (1, 1)


def _tiff_bytes(picture: TiffImagePlugin.TiffImageFile, layout: Layout) -> Layout:
    tags, rawmode = picture.tag_v2, _rawmode(picture)
    if tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == _YCBCR and not _ycbcr_is_exact(
        picture
    ):
        raise ImageError("uncompressed YCbCr TIFF of this kind cannot be read; store it as RGB")
    if picture.mode == "L" and _SIGNED in tags.get(TiffImagePlugin.SAMPLEFORMAT, ()):
        return Layout(_I32, finish=lambda values: values.view(np.int8).astype(_I32))
    return replace(layout, notes=layout.notes + (_LEFT_OUT if "X" in rawmode else ()))
