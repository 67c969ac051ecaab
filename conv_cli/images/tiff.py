"""TIFF beyond Pillow: deep colours by the tiff extra, and EXIF beside compressed pixels."""

import logging
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
from PIL import Image as PilImage
from PIL.TiffImagePlugin import ICCPROFILE, ImageFileDirectory_v2

from conv_cli.errors import ImageError
from conv_cli.images import metadata
from conv_cli.images.formats import has_tiff_extra
from conv_cli.images.image import Image, ImageInfo, Opened, check_size

_ASCII, _LONG = 2, 4
_WHITE_IS_ZERO, _INTERLEAVED, _STRAIGHT = 0, 1, 2
_COLOURS = {_WHITE_IS_ZERO: 1, 1: 1, 2: 3}
_READ_AS: dict[str, type[np.generic]] = {
    "uint8": np.uint8,
    "uint16": np.uint16,
    "uint32": np.uint32,
    "int8": np.int32,
    "int16": np.int32,
    "int32": np.int32,
    "float16": np.float32,
    "float32": np.float32,
    "float64": np.float64,
}

# It logs what it then raises; without a handler Python prints that to stderr.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def open_deep(stream: BinaryIO, max_pixels: int) -> Opened:
    """Read the header of a TIFF file whose samples Pillow does not know, with the tiff extra.

    Grey and RGB, with and without straight opacity, interleaved. Signed samples become int32 and
    half floats float32.

    Raises ImageError for other files, and if the extra is missing.
    """
    if not has_tiff_extra():
        raise ImageError(
            "has samples of a kind that needs the tiff extra: pip install 'conv-cli[tiff]', or "
            "convert it to 16 bits"
        )
    from tifffile import TiffFile

    stream.seek(0)
    with _damage_told():
        page: Any = TiffFile(stream).pages.first
    check_size(page.imagewidth, page.imagelength, max_pixels)
    channels = page.samplesperpixel
    alpha = [int(extra) for extra in page.extrasamples] == [_STRAIGHT]
    known = channels - alpha == _COLOURS.get(page.photometric) and page.dtype.name in _READ_AS
    if not known or (channels > 1 and page.planarconfig != _INTERLEAVED) or page.imagedepth > 1:
        raise ImageError(
            f"cannot be read: {page.dtype} samples in this form are not supported; convert it to "
            "16 bits, interleaved"
        )
    orientation = page.tags.valueof(metadata.ORIENTATION, default=1)
    height, width = page.imagelength, page.imagewidth
    if orientation in (5, 6, 7, 8):
        height, width = width, height
    dtype = np.dtype(_READ_AS[page.dtype.name])
    info = ImageInfo(height, width, channels, alpha, dtype, "tiff")
    return Opened(info, lambda: _read(page, info, orientation))


@contextmanager
def _damage_told() -> Iterator[None]:
    """Raise the extra's own error, which older versions derive from Exception, as a ValueError."""
    from tifffile import TiffFileError

    try:
        yield
    except TiffFileError as error:
        raise ValueError(str(error)) from error


def _read(page: Any, info: ImageInfo, orientation: int) -> Image:
    pixels = np.empty(info.shape, info.dtype)
    stored = metadata.as_stored(pixels, orientation)
    with _damage_told():
        stored[...] = page.asarray(maxworkers=1).reshape(stored.shape)
    if page.photometric == _WHITE_IS_ZERO and info.dtype.kind == "u":
        np.invert(pixels, out=pixels)
    icc = page.tags.valueof(ICCPROFILE)
    fits = isinstance(icc, bytes) and metadata.profile_fits(icc, info.channels)
    return Image(pixels, alpha=info.alpha, icc=icc if fits else None, format="tiff")


def write_deep(stream: BinaryIO, image: Image, *, level: int) -> None:
    """Write what Pillow cannot, with the tiff extra: colour of 16 bits and in floats."""
    from tifffile import imwrite

    imwrite(
        stream,
        image.pixels,
        photometric="rgb" if image.channels > 2 else "minisblack",
        planarconfig="contig",
        extrasamples=["unassalpha"] if image.alpha else None,
        compression="zlib",
        compressionargs={"level": level},
        predictor=image.dtype.kind == "u",
        resolution=image.dpi,
        resolutionunit="INCH" if image.dpi else None,
        iccprofile=image.icc,
        metadata=None,
        software=False,
    )


def with_exif(data: bytes, exif: bytes) -> bytes:
    """Return a TIFF file of one page with the describing tags of an EXIF block added.

    Pillow writes these beside uncompressed pixels only. They are put behind the pixels, and a new
    directory behind them that lists them and all that the old one did.

    Raises one of `DECODER_ERRORS` for a damaged block.
    """
    tags = PilImage.Exif()
    tags.load(exif)
    order = "<" if data[:2] == b"II" else ">"
    start = struct.unpack_from(f"{order}I", data, 4)[0]
    count = struct.unpack_from(f"{order}H", data, start)[0]
    entries = {}
    for at in range(start + 2, start + 2 + 12 * count, 12):
        entries[struct.unpack_from(f"{order}H", data, at)[0]] = data[at : at + 12]
    file = bytearray(data)
    for tag, text in metadata.descriptions(tags).items():
        value = text.encode() + b"\0"
        at = _append(file, value)
        where = struct.pack(f"{order}I", at) if len(value) > 4 else value.ljust(4, b"\0")
        entries[tag] = struct.pack(f"{order}HHI", tag, _ASCII, len(value)) + where
    for tag, values in metadata.groups(tags).items():
        directory = ImageFileDirectory_v2(prefix=data[:2])
        directory.update(values)
        at = _append(file, directory.tobytes(len(file) + len(file) % 2))
        entries[tag] = struct.pack(f"{order}HHII", tag, _LONG, 1, at)
    listed = b"".join(entries[tag] for tag in sorted(entries))
    at = _append(file, struct.pack(f"{order}H", len(entries)) + listed + bytes(4))
    struct.pack_into(f"{order}I", file, 4, at)
    return bytes(file)


def _append(file: bytearray, data: bytes) -> int:
    """Add data at the next even place, and return it."""
    file.extend(bytes(len(file) % 2))
    at = len(file)
    file.extend(data)
    return at
