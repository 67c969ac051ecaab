"""How the samples of a TIFF file become pixels, decided from its tags alone."""

import numpy as np
from PIL import ImageFile, TiffImagePlugin

from conv_cli.errors import ImageError
from conv_cli.images.layout import (
    F32,
    I32,
    LITTLE,
    U16,
    Layout,
    in_halves,
    rawmode_of,
    spread,
    too_deep,
)

# Single channels deeper than 8 bits that Pillow reads exactly.
_TIFF_GREYS = {
    "I;12": Layout(U16, finish=lambda values: spread(values, 12)),
    "I;16": Layout(U16),
    "I;16B": Layout(U16),
    "I;16N": Layout(U16),
    "I;16R": Layout(U16),
    "I;16S": Layout(I32),
    "I;16BS": Layout(I32),
    "I;32S": Layout(I32),
    "I;32BS": Layout(I32),
    "I;32N": Layout(np.dtype(np.uint32), finish=lambda values: values.view(np.uint32)),
    "F;32F": Layout(F32),
    "F;32BF": Layout(F32),
}
# libtiff swaps samples to the order of this machine, and Pillow swaps these once more.
_TWINS = {"I;16BS": "I;16S", "I;32BS": "I;32S", "F;32BF": "F;32F"}
_NATIVE = _TWINS if LITTLE else {little: big for big, little in _TWINS.items()}
_TIFF_COLOURS = ("RGB;16", "RGBA;16", "RGBX;16")
_YCBCR, _SIGNED = 6, 2


class BeyondPillowError(ImageError):
    """Samples that Pillow cannot give in full, and the tiff extra can.

    kind, way : str. What they are, and what to convert them to without the extra.
    """

    def __init__(self, kind: str, way: str) -> None:
        super().__init__(f"{kind} cannot be read in full; convert it to {way}")
        self.kind, self.way = kind, way


_LEFT_OUT = ("an extra channel without a meaning is left out",)


def tiff_layout(picture: ImageFile.ImageFile, layout: Layout) -> Layout:
    """Return how an opened TIFF is read in full, or raise ImageError, from what its mode says."""
    assert isinstance(picture, TiffImagePlugin.TiffImageFile)
    tags, rawmode = picture.tag_v2, rawmode_of(picture)
    bits = max(tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,)))
    if tags.get(TiffImagePlugin.PLANAR_CONFIGURATION) == 2 and not _planes_are_exact(picture, bits):
        raise BeyondPillowError(f"{bits}-bit TIFF in separate planes", "interleaved TIFF")
    if bits <= 8:
        return _tiff_bytes(picture, layout)
    if rawmode in _TIFF_GREYS:
        return _tiff_grey(picture, rawmode)
    if rawmode[:-1] in _TIFF_COLOURS:
        return in_halves(rawmode, layout)._replace(notes=_LEFT_OUT if "X" in rawmode else ())
    if rawmode.startswith("RGBa"):
        raise BeyondPillowError(f"{bits}-bit TIFF with colours multiplied by their opacity", "PNG")
    raise too_deep(f"{bits}-bit {picture.mode} TIFF", "RGB TIFF")


def _planes_are_exact(picture: TiffImagePlugin.TiffImageFile, bits: int) -> bool:
    """Of a raw mode for separate planes Pillow takes one letter each, and loses what follows."""
    if picture.tag_v2.get(TiffImagePlugin.SAMPLESPERPIXEL, 1) == 1:
        return picture.tile[0].codec_name == "libtiff" or (bits == 8 and picture.mode == "P")
    multiplied = 1 in picture.tag_v2.get(TiffImagePlugin.EXTRASAMPLES, ())
    return bits == 8 and picture.mode in ("RGB", "RGBA", "CMYK") and not multiplied


def _tiff_grey(picture: TiffImagePlugin.TiffImageFile, rawmode: str) -> Layout:
    layout = _TIFF_GREYS[rawmode]
    if picture.tile[0].codec_name == "libtiff":
        layout = layout._replace(rawmode=_NATIVE.get(rawmode))
    white_is_zero = picture.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, 0) == 0
    if white_is_zero and layout.dtype == U16:  # Pillow turns these round in 8 bits only
        return layout._replace(finish=np.invert)
    return layout


def _ycbcr_is_exact(picture: TiffImagePlugin.TiffImageFile) -> bool:
    """Compressed, libtiff gives RGB; otherwise Pillow reads three samples a pixel, if at all."""
    if picture.tile[0].codec_name == "libtiff":
        return True
    sampling = picture.tag_v2.get(TiffImagePlugin.YCBCRSUBSAMPLING)
    return picture.mode == "YCbCr" and sampling == (1, 1)


def _tiff_bytes(picture: TiffImagePlugin.TiffImageFile, layout: Layout) -> Layout:
    tags, rawmode = picture.tag_v2, rawmode_of(picture)
    if tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == _YCBCR and not _ycbcr_is_exact(
        picture
    ):
        raise ImageError("uncompressed YCbCr TIFF of this kind cannot be read; store it as RGB")
    if picture.mode == "L" and _SIGNED in tags.get(TiffImagePlugin.SAMPLEFORMAT, ()):
        return Layout(I32, finish=lambda values: values.view(np.int8).astype(I32))
    extra = tags.get(TiffImagePlugin.SAMPLESPERPIXEL, 1) > layout.channels and "X" in rawmode
    return layout._replace(notes=layout.notes + (_LEFT_OUT if extra else ()))
