"""TIFF beyond Pillow: deep colours by the tiff extra, and EXIF beside compressed pixels."""

import io
import logging
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL.TiffImagePlugin import ICCPROFILE, ImageFileDirectory_v2

from conv_cli.errors import ImageError
from conv_cli.images import headers, metadata
from conv_cli.images.decoding import open_picture
from conv_cli.images.formats import has_tiff_extra
from conv_cli.images.image import (
    Georeference,
    Image,
    ImageInfo,
    Opened,
    Tag,
    check_samples,
    check_size,
)
from conv_cli.images.sources import PixelRows
from conv_cli.images.tiff_layout import BeyondPillowError
from conv_cli.images.tiff_pages import FromPage, Pages, find_pages, item_bytes, swapped
from conv_cli.images.windows import by_windows

_BYTE, _ASCII, _LONG = 1, 2, 4
_WIDTH, _HEIGHT = 256, 257
_XMP = 700
_GEOTIFF = (33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113)  # and GDAL's two
_UNCARRIED = {33723: "IPTC", 34377: "Photoshop's data"}
_BIG_ENDIAN_BIGTIFF = b"MM\0+"
_WHITE_IS_ZERO, _SEPARATE = 0, 2
_MULTIPLIED, _STRAIGHT = 1, 2  # kinds of opacity
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

_DIVIDED = ("colours were multiplied by their opacity, and are divided by it",)

# It logs what it then raises; without a handler Python prints that to stderr.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def open_tiff(stream: BinaryIO, max_pixels: int, *, windows: bool = False) -> Opened:
    """Read the header of the first page that is a picture, with Pillow or with the tiff extra.

    windows : bool. Leave the pixels of a large one in the file, to be read by windows.

    Raises ImageError for files that cannot be read in full, raw camera data and mere previews.
    """
    pages = find_pages(stream)
    if windows and (windowed := _windowed(stream, pages, max_pixels)) is not None:
        return windowed
    return open_page(stream, pages, max_pixels)


def open_page(stream: BinaryIO, pages: Pages, max_pixels: int) -> Opened:
    """Read the header of one page, as `open_tiff` does of the first."""
    page = pages.chosen
    if not pages.is_first:
        stream = cast("BinaryIO", FromPage(stream, page))
    if page.has_bands:
        opened = _open_deep(stream, max_pixels, f"has {page.bands} bands, which", ".npy")
    else:
        opened = _open_page(stream, max_pixels)
    if pages.orientation != 1:
        opened = _flipped(opened, pages.orientation)
    return Opened(opened.info, lambda in_rows: _with_tags(opened.read(in_rows), pages))


def _windowed(stream: BinaryIO, pages: Pages, max_pixels: int) -> Opened | None:
    """Open a large picture to be read by windows; None where it is not, or cannot be.

    Raises ImageError where it could if the tiff extra were there, and is too large otherwise.
    """
    chosen = pages.chosen
    width, height = chosen.number(_WIDTH), chosen.number(_HEIGHT)
    if not isinstance(stream, io.BufferedReader) or not by_windows(height, width, max_pixels):
        return None
    if not has_tiff_extra():
        if height * width > max_pixels:
            raise ImageError(
                f"{width}x{height} is more than --max-pixels {max_pixels:,}; it is read by windows "
                "with the tiff extra: pip install 'conv-cli[tiff]', in a clone '.[tiff]'"
            )
        return None
    from tifffile import TiffFile

    from conv_cli.images.tiff_windows import is_windowed, tiff_rows

    stream.seek(0)
    with _damage_told():
        page: Any = next((p for p in TiffFile(stream).pages if p.offset == chosen.at), None)
        page = page.aspage() if page is not None else None
    if page is None or pages.orientation != 1 or not is_windowed(page, _READ_AS):
        return None
    dtype = np.dtype(_READ_AS[page.dtype.name])
    channels = page.samplesperpixel
    info = ImageInfo(height, width, channels, bool(page.extrasamples), dtype, "tiff", windowed=True)

    def read(_: bool) -> Image:
        return _with_tags(_described(page, tiff_rows(stream, page, dtype), info), pages)

    return Opened(info, read)


def _flipped(opened: Opened, orientation: int) -> Opened:
    """Bring upright what a directory holds, as only the page above it tells."""
    info = opened.info
    if orientation >= 5:
        info = info._replace(height=info.width, width=info.height)

    def read(in_rows: bool) -> Image:
        image, pixels = opened.read(False), np.empty(info.shape, info.dtype)
        metadata.as_stored(pixels, orientation)[...] = image.pixels
        dpi = image.dpi[::-1] if image.dpi and orientation >= 5 else image.dpi
        return replace(image, pixels=pixels, dpi=dpi)

    return Opened(info, read)


def _open_page(stream: BinaryIO, max_pixels: int) -> Opened:
    stream.seek(0)
    if stream.read(4) == _BIG_ENDIAN_BIGTIFF:  # which Pillow misreads
        return _open_deep(stream, max_pixels, "is a big-endian BigTIFF, which", "classic TIFF")
    try:
        picture = open_picture(stream, "tiff", max_pixels)
    except BeyondPillowError as error:
        return _open_deep(stream, max_pixels, f"is {error.kind}, which", error.way)
    except SyntaxError as error:
        if "unknown pixel mode" not in str(error):
            raise
        return _open_deep(stream, max_pixels, "has samples of a kind that", "16 bits")
    return Opened(picture.info, picture.read)


def _with_tags(image: Image, pages: Pages) -> Image:
    """Add what describes the picture in tags, and name the pages that are not read."""
    page = pages.chosen
    xmp = page.entry(_XMP)
    uncarried = tuple(name for tag, name in _UNCARRIED.items() if page.entry(tag))
    tags = tuple(entry for tag in _GEOTIFF if (entry := page.entry(tag)) is not None)
    upright = page.number(metadata.ORIENTATION, 1) == pages.orientation == 1
    size = image.shape[:2] if upright else ()  # what was not upright lies elsewhere
    return replace(
        image,
        xmp=metadata.reset_xmp_orientation(xmp.data)[1] if xmp is not None else None,
        georeference=Georeference(size, tags) if tags else None,
        uncarried=uncarried,
        notes=(*headers.others_named(pages.pictures, "pages"), *image.notes),
    )


def _open_deep(stream: BinaryIO, max_pixels: int, what: str, way: str) -> Opened:
    """Read the header of a TIFF file that Pillow does not know, with the tiff extra.

    Grey and RGB, with and without opacity, and bands of any number, interleaved or in planes.
    Signed samples become int32, half floats float32, and colours multiplied by opacity straight.

    Raises ImageError for other files, and if the extra is missing.
    """
    if not has_tiff_extra():
        raise ImageError(
            f"{what} needs the tiff extra: pip install 'conv-cli[tiff]', in a clone '.[tiff]'; or "
            f"convert it to {way}"
        )
    from tifffile import TiffFile

    stream.seek(0)
    with _damage_told():
        page: Any = TiffFile(stream).pages.first
    channels = page.samplesperpixel
    check_samples(page.imagewidth, page.imagelength, channels, max_pixels)
    check_size(page.tilewidth, page.tilelength, max_pixels)
    reason = _unknown(page)
    if reason is not None:
        raise ImageError(f"cannot be read: {reason}")
    orientation = page.tags.valueof(metadata.ORIENTATION, default=1)
    height, width = page.imagelength, page.imagewidth
    if orientation in (5, 6, 7, 8):
        height, width = width, height
    dtype = np.dtype(_READ_AS[page.dtype.name])
    info = ImageInfo(height, width, channels, _opacity(page) != 0, dtype, "tiff")
    return Opened(info, lambda _: _read(page, info, orientation))


def _opacity(page: Any) -> int:
    """Return what the last sample of a page is: opacity of one kind or the other, or 0."""
    extra = [int(kind) for kind in page.extrasamples]
    kinds = [kind for kind in extra if kind in (_MULTIPLIED, _STRAIGHT)]
    return kinds[0] if len(kinds) == 1 and extra[-1] == kinds[0] else 0


def _unknown(page: Any) -> str | None:
    """Say why `_read` does not know the samples of a page, and what to do; None if it does."""
    known = page.dtype is not None and page.dtype.name in _READ_AS
    if known and page.bitspersample != 8 * page.dtype.itemsize:
        return f"its samples are of {page.bitspersample} bits; convert it to 16 bits"
    if not known:
        return f"its samples are {page.dtype}; convert it to 16 bits or float32"
    if page.imagedepth > 1:
        return "it is a volume; save its slices as pages"
    colours = _COLOURS.get(page.photometric, page.samplesperpixel + 1)
    turned = page.photometric == _WHITE_IS_ZERO and page.samplesperpixel - bool(_opacity(page)) > 1
    if colours > page.samplesperpixel or turned:
        kind = getattr(page.photometric, "name", page.photometric)
        return (
            f"{page.samplesperpixel} channels of {page.dtype}, {kind}, are not supported here; "
            "store it as grey, RGB or bands"
        )
    return None


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
        values = page.asarray(maxworkers=1)
    if info.channels > 1 and page.planarconfig == _SEPARATE:
        values = np.moveaxis(values.reshape(info.channels, *stored.shape[:2]), 0, -1)
    stored[...] = values.reshape(stored.shape)
    if page.photometric == _WHITE_IS_ZERO and info.dtype.kind == "u":
        grey = pixels[..., 0] if info.alpha else pixels
        np.invert(grey, out=grey)
    multiplied = _opacity(page) == _MULTIPLIED
    if multiplied:
        _divide(pixels)
    return _described(page, pixels, info, sideways=orientation >= 5)


def _described(
    page: Any, pixels: NDArray[Any] | PixelRows, info: ImageInfo, *, sideways: bool = False
) -> Image:
    """Return pixels with what a page says of them."""
    multiplied = _opacity(page) == _MULTIPLIED
    icc = page.tags.valueof(ICCPROFILE)
    fits = isinstance(icc, bytes) and metadata.profile_fits(icc, info.channels)
    dropped = icc is not None and not fits
    return Image(
        cast("NDArray[Any]", pixels),  # which are as one where they are used
        alpha=info.alpha,
        exif=metadata.describing_exif(_texts(page)),
        icc=icc if fits else None,
        dpi=_dpi(page, sideways=sideways),
        format="tiff",
        notes=metadata.UNFIT_PROFILE * dropped + _DIVIDED * multiplied,
    )


def _divide(pixels: NDArray[Any]) -> None:
    """Make colours straight that are multiplied by the opacity behind them; hidden ones are 0."""
    top = 1.0 if pixels.dtype.kind == "f" else float(np.iinfo(pixels.dtype).max)
    for row in pixels:
        opacity = row[..., -1:].astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            colours = np.where(opacity > 0, row[..., :-1] * (top / opacity), 0)
        if pixels.dtype.kind != "f":
            colours = np.clip(np.rint(colours), 0, top)
        row[..., :-1] = colours


def _texts(page: Any) -> PilImage.Exif:
    tags = PilImage.Exif()
    tags.update({tag.code: tag.value for tag in page.tags if isinstance(tag.value, str)})
    return tags


def _dpi(page: Any, *, sideways: bool) -> tuple[float, float] | None:
    scale = {2: 1.0, 3: 2.54}.get(page.tags.valueof(296, default=2))  # inches, centimetres
    across, down = (page.tags.valueof(tag, default=(0, 1)) for tag in (282, 283))
    if scale is None or 0 in (across[1], down[1]):
        return None
    dpi = metadata.usable_dpi((across[0] / across[1] * scale, down[0] / down[1] * scale))
    return dpi[::-1] if dpi and sideways else dpi


def packed_strip(rows: NDArray[Any], level: int) -> bytes:
    """Return rows (h, W) or (h, W, C) as a strip of the file that ``write_deep`` makes."""
    if rows.dtype.kind == "u":  # differences pack to half the size
        differences = rows.copy()
        differences[:, 1:] -= rows[:, :-1]
        rows = differences
    return zlib.compress(rows.tobytes(), level)


def write_deep(stream: BinaryIO, image: Image, strips: Iterator[bytes], rows: int) -> None:
    """Write what Pillow cannot, with the tiff extra, of strips of so many rows each."""
    from tifffile import TiffWriter

    colours = image.channels - image.alpha
    extra = ["unspecified"] * (0 if colours == 3 else colours - 1) + ["unassalpha"] * image.alpha
    with TiffWriter(stream) as file:
        file.write(
            strips,
            shape=image.shape,
            dtype=image.dtype,
            photometric="rgb" if colours == 3 else "minisblack",
            planarconfig="contig" if image.channels > 1 else None,
            extrasamples=extra or None,
            compression="zlib",
            predictor=image.dtype.kind == "u",
            rowsperstrip=rows,
            resolution=image.dpi,
            resolutionunit="INCH" if image.dpi else None,
            iccprofile=image.icc,
            metadata=None,
            software=False,
        )


def with_tags(data: bytes, exif: bytes | None, further: tuple[Tag, ...]) -> bytes:
    """Return a TIFF file of one page with the describing tags of an EXIF block added, and others.

    Pillow writes these beside uncompressed pixels only. They are put behind the pixels, and a new
    directory behind them that lists them and all that the old one did.

    Raises one of `DECODER_ERRORS` for a damaged block.
    """
    tags = PilImage.Exif()
    if exif is not None:
        tags.load(exif)
    order = "<" if data[:2] == b"II" else ">"
    start = struct.unpack_from(f"{order}I", data, 4)[0]
    count = struct.unpack_from(f"{order}H", data, start)[0]
    entries = {}
    for at in range(start + 2, start + 2 + 12 * count, 12):
        entries[struct.unpack_from(f"{order}H", data, at)[0]] = data[at : at + 12]
    file = bytearray(data)
    texts = metadata.descriptions(tags).items()
    described = [Tag(tag, _ASCII, text.encode() + b"\0") for tag, text in texts]
    for tag, kind, value in (*described, *further):
        value = swapped(value, kind, order)
        where = struct.pack(f"{order}I", _append(file, value)) if len(value) > 4 else value
        count = len(value) // item_bytes(kind)
        entries[tag] = struct.pack(f"{order}HHI", tag, kind, count) + where.ljust(4, b"\0")
    for tag, values in metadata.groups(tags).items():
        directory = ImageFileDirectory_v2(prefix=data[:2])
        directory.update(values)
        at = _append(file, directory.tobytes(len(file) + len(file) % 2))
        entries[tag] = struct.pack(f"{order}HHII", tag, _LONG, 1, at)
    listed = b"".join(entries[tag] for tag in sorted(entries))
    at = _append(file, struct.pack(f"{order}H", len(entries)) + listed + bytes(4))
    struct.pack_into(f"{order}I", file, 4, at)
    return bytes(file)


def describing_tags(image: Image) -> tuple[Tag, ...]:
    """Return the XMP of an image and the GeoTIFF tags that still fit its pixels."""
    xmp = (Tag(_XMP, _BYTE, image.xmp),) if image.xmp else ()
    place = image.georeference
    return xmp + (place.tags if place is not None and place.size == image.shape[:2] else ())


def _append(file: bytearray, data: bytes) -> int:
    """Add data at the next even place, and return it."""
    file.extend(bytes(len(file) % 2))
    at = len(file)
    file.extend(data)
    return at
