"""Writing images: without loss where the format can, or refused with a way out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from conv_cli.errors import ImageError
from conv_cli.images import metadata, pam, pnm
from conv_cli.images.codecs import jpeg_options
from conv_cli.images.formats import (
    ARRAY_FORMATS,
    LOSSY_FORMATS,
    TABLE_FORMATS,
    can_hold,
    format_of,
    uses_extra,
)
from conv_cli.images.image import Image
from conv_cli.images.pillow import DECODER_ERRORS, quiet
from conv_cli.images.png import PngSink
from conv_cli.io import npy
from conv_cli.io.files import write_atomically, write_folder
from conv_cli.io.tables import table_text
from conv_cli.parallel.threads import InOrder


def write_image(
    path: str | os.PathLike[str],
    image: Image | NDArray[Any],
    *,
    format: str | None = None,
    force: bool = False,
    compress: bool = False,
    quality: int | None = None,
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
    compress : bool
        Take the time that the smallest file takes: PNG, TIFF, WebP and JPEG have a use for it.
    quality : int, optional
        1 to 100, of JPEG, WebP and AVIF. Without it a JPEG of an image from a JPEG keeps its tables
        and sampling, others have 95; WebP is written without loss, AVIF with 95.

    Returns
    -------
    tuple of str
        What a user must be told: what could not be carried over.

    Raises ImageError: ``NAME: reason, and what to do``: the format cannot hold the pixels, or the
    file cannot be written.
    """
    name = os.fsdecode(path)
    chosen = format_of(name) if format is None else format

    def write(stream: BinaryIO | Path) -> tuple[str, ...]:
        try:
            return encode_image(stream, image, chosen, compress=compress, quality=quality)
        except ImageError as error:
            raise ImageError(f"{name}: {error}") from error

    if chosen == "zarr":
        return write_folder(name, write, force=force)
    return write_atomically(name, write, force=force)


def encode_image(
    stream: BinaryIO | Path,
    image: Image | NDArray[Any],
    format: str,
    *,
    compress: bool = False,
    quality: int | None = None,
) -> tuple[str, ...]:
    """Write an image to a stream, which need not be seekable; a Zarr to a new folder, by its path.

    PNG, TIFF, WebP and JPEG 2000 are written without loss. JPEG and AVIF have quality 95 and
    colours in full resolution (4:4:4), but a JPEG from a JPEG is made as that was. EXIF, colour
    profile and resolution go with the pixels where the format has a place for them.

    Parameters, result and errors are those of `write_image`, whose errors name the file too.
    """
    whole = _as_image(image)
    sink, notes = open_sink(stream, whole, format, compress=compress, quality=quality)
    sink.put(0, whole.pixels)
    return notes + sink.finish()


class Sink(Protocol):
    """Where the rows of a picture go."""

    strip_rows: int
    """So many rows at a time are best."""

    def put(self, top: int, rows: NDArray[Any]) -> None:
        """Take the rows from ``top`` on, (h, W) or (h, W, C).

        May be called from several threads; strips come in any order, about that of the picture.
        """

    def finish(self) -> tuple[str, ...]:
        """End the file when all rows have come; return what a user must be told."""


def open_sink(
    stream: BinaryIO | Path,
    image: Image,
    format: str,
    *,
    compress: bool = False,
    quality: int | None = None,
    large: bool = False,
) -> tuple[Sink, tuple[str, ...]]:
    """Begin a file whose rows are to come, and return what takes them.

    PNG, PNM, .npy and Zarr are written as rows come; those of a TIFF that the extra writes are
    packed as they come; other formats take them when all are there.

    Parameters
    ----------
    stream : BinaryIO or Path
        Of a Zarr the path of a folder that is to be filled.
    image : Image
        What the file describes; its pixels tell shape and dtype alone.
    large : bool
        No TIFF is collected before it is written: its rows are, as they come, uncompressed without
        ``compress``.

    Returns
    -------
    sink : Sink
    notes : tuple of str
        What a user must be told: what cannot be carried over.

    Raises ImageError if the format cannot hold such pixels.
    """
    can_hold(format, image.dtype, image.channels, image.alpha)
    image, notes = _with_fitting_profile(image, format)
    notes += _dropped(image, format)
    dtype = image.dtype
    if format == "zarr" and not isinstance(stream, Path):
        raise ImageError("a Zarr is a folder, and no stream; give the name of one")
    if isinstance(stream, Path):
        from conv_cli.images.zarr_files import ZarrSink

        return ZarrSink(stream, image), notes
    if format == "png":
        sink: Sink = PngSink(
            stream, image.shape, dtype,
            exif=image.exif, xmp=image.xmp, icc=image.icc, dpi=image.dpi, compress=compress,
        )  # fmt: skip
    elif format == "npy":
        sink = _RawSink(stream, image, npy.head_of(image.pixels), dtype)
    elif format in ("pgm", "ppm", "pnm"):
        sink = _RawSink(stream, image, pnm.head_of(image.pixels), dtype.newbyteorder(">"))
    elif format == "pam":
        head = pam.head_of(image.pixels, image.alpha)
        sink = _RawSink(stream, image, head, dtype.newbyteorder(">"))
    elif format == "tiff" and large:
        from conv_cli.images import tiff, tiff_rows

        tags = tiff.describing_tags(image)
        sink = tiff_rows.TiffRowsSink(stream, image, tags, compress=compress)
    elif format == "tiff" and uses_extra(format, dtype, image.channels, image.alpha):
        sink = _DeepTiffSink(stream, image, 9 if compress else 1)
    else:
        sink = _WholeSink(stream, image, format, _Effort(compress, quality))
    return sink, notes


class _RawSink:
    """Writes rows as they are in memory, after a head, in the order of the picture."""

    def __init__(self, stream: BinaryIO, image: Image, head: bytes, dtype: np.dtype[Any]) -> None:
        stream.write(head)
        self._dtype = dtype
        self._order = InOrder[NDArray[Any]](lambda rows: stream.write(rows.data))
        self.strip_rows = max(1, _STRIP_BYTES * len(image.pixels) // image.pixels.nbytes)

    def put(self, top: int, rows: NDArray[Any]) -> None:
        self._order.give(top, top + len(rows), np.ascontiguousarray(rows, self._dtype))

    def finish(self) -> tuple[str, ...]:
        return ()


class _Effort(NamedTuple):
    """How small a file shall be, and how good."""

    compress: bool
    quality: int | None


class _WholeSink:
    """Collects all rows for an encoder that wants them together."""

    def __init__(self, stream: BinaryIO, image: Image, format: str, effort: _Effort) -> None:
        self._stream, self._image, self._format = stream, image, format
        self._effort = effort
        self._pixels: NDArray[Any] | None = None
        self.strip_rows = len(image.pixels)

    def put(self, top: int, rows: NDArray[Any]) -> None:
        """Take the whole picture, which is not copied."""
        assert top == 0 and len(rows) == self.strip_rows
        self._pixels = rows

    def finish(self) -> tuple[str, ...]:
        assert self._pixels is not None
        buffer = BytesIO()  # encoders seek, and write to descriptors without saying what failed
        with quiet:
            image = replace(self._image, pixels=self._pixels)
            notes = _encode(buffer, image, self._format, self._effort)
        self._stream.write(buffer.getbuffer())
        return notes


def _as_image(image: Image | NDArray[Any]) -> Image:
    """Take an array as an image, and bring pixels into the one form that encoders know."""
    if not isinstance(image, Image):
        array = np.asarray(image)
        image = Image(array, alpha=array.ndim == 3 and array.shape[2] in (2, 4))
    pixels = image.pixels
    if pixels.ndim not in (2, 3) or 0 in pixels.shape:
        raise ImageError(f"an image has the shape (H, W) or (H, W, C), not {pixels.shape}")
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.dtype == np.bool_:
        pixels = np.where(pixels, np.uint8(255), np.uint8(0))
    return replace(image, pixels=pixels.astype(pixels.dtype.newbyteorder("="), copy=False))


def _dropped(image: Image, format: str) -> tuple[str, ...]:
    """Name what the file will not hold of what describes the picture; arrays hold pixels alone."""
    if format in ARRAY_FORMATS:
        return ()
    carried = _CARRIED_BESIDE.get(format) or (_CODECS[format].carries if format in _CODECS else ())
    place = image.georeference
    left = {
        "EXIF": image.exif is not None and "exif" not in carried,
        "the colour profile": image.icc is not None and "icc_profile" not in carried,
        "XMP": image.xmp is not None and not _holds_xmp(image.xmp, format, carried),
        "GeoTIFF tags": place is not None and (format != "tiff" or place.size != image.shape[:2]),
    }
    names = [name for name, is_left in left.items() if is_left] + list(image.uncarried)
    return (f"dropped: {', '.join(names)}",) if names else ()


def _holds_xmp(xmp: bytes, format: str, carried: tuple[str, ...]) -> bool:
    return "xmp" in carried and not (format == "jpeg" and len(xmp) > _JPEG_XMP_BYTES)


def _with_fitting_profile(image: Image, format: str) -> tuple[Image, tuple[str, ...]]:
    if image.icc is None:
        return image, ()
    if not metadata.profile_fits(image.icc, image.channels):
        reason = f"it does not fit pixels that are {'grey' if image.channels < 3 else 'in colour'}"
    elif format == "png" and len(image.icc) > _MOST_READ_OF_PNG:
        reason = f"{len(image.icc):,} bytes are more than readers of PNG take"
    else:
        return image, ()
    return replace(image, icc=None), (f"the colour profile is dropped: {reason}",)


def _encode(stream: BinaryIO, image: Image, format: str, effort: _Effort) -> tuple[str, ...]:
    if format in TABLE_FORMATS:
        stream.write(table_text(image.pixels, f".{format}").encode())
    elif format == "npz":
        npy.write_npz(stream, image.pixels)
    elif format == "pfm":
        pnm.write_pfm(stream, image.pixels)
    elif format == "tiff":
        buffer = BytesIO()
        _encode_with_pillow(buffer, image, "tiff", effort)
        data, notes = _described(buffer.getvalue(), image)
        stream.write(data)
        return notes
    else:
        return _encode_with_pillow(stream, image, format, effort)
    return ()


class _DeepTiffSink:
    """Packs strips as they come, for a TIFF that the extra writes of them."""

    def __init__(self, stream: BinaryIO, image: Image, level: int) -> None:
        self._stream, self._image, self._level = stream, image, level
        self.strip_rows = max(1, _STRIP_BYTES * len(image.pixels) // image.pixels.nbytes)
        self._strips: dict[int, bytes] = {}

    def put(self, top: int, rows: NDArray[Any]) -> None:
        from conv_cli.images import tiff  # which few need, and which takes time to load

        step = self.strip_rows if len(rows) == len(self._image.pixels) else len(rows)
        for start in range(0, len(rows), step):
            packed = tiff.packed_strip(rows[start : start + step], self._level)
            self._strips[top + start] = packed

    def finish(self) -> tuple[str, ...]:
        from conv_cli.images import tiff

        tops = sorted(self._strips)
        buffer, rows = BytesIO(), [*tops, len(self._image.pixels)][1]
        tiff.write_deep(buffer, self._image, map(self._strips.__getitem__, tops), rows)
        data, notes = _described(buffer.getvalue(), self._image)
        self._stream.write(data)
        return notes


def _described(data: bytes, image: Image) -> tuple[bytes, tuple[str, ...]]:
    """Return a TIFF file with the tags that describe the picture, and what must be said."""
    from conv_cli.images import tiff

    notes: tuple[str, ...] = ()
    tags = tiff.describing_tags(image)
    if image.exif is not None:
        try:
            data = tiff.with_tags(data, image.exif, tags)
        except DECODER_ERRORS:
            notes = _EXIF_DROPPED
    if tags and (image.exif is None or notes):
        data = tiff.with_tags(data, None, tags)
    return data, notes


_STRIP_BYTES = 2 << 20
"""Rows that are written as they are come in strips of about so much."""


_QUALITY = 95


class _Codec(NamedTuple):
    """What Pillow calls a format, its options, those for the smallest file, what it can carry."""

    name: str
    options: Mapping[str, Any] = MappingProxyType({})
    compressed: Mapping[str, Any] = MappingProxyType({})
    carries: tuple[str, ...] = ()


_CODECS = {
    "jpeg": _Codec(
        "JPEG",
        {"quality": _QUALITY, "subsampling": 0},
        {"optimize": True, "progressive": True},
        ("exif", "xmp", "icc_profile", "dpi"),
    ),
    "tiff": _Codec(
        "TIFF",
        {"compression": "tiff_lzw"},
        {"compression": "tiff_adobe_deflate"},
        ("icc_profile", "dpi"),
    ),
    "webp": _Codec(
        "WEBP",
        {"lossless": True, "exact": True, "quality": 25, "method": 2},  # of effort
        {"quality": 100, "method": 6},
        ("exif", "xmp", "icc_profile"),
    ),
    "avif": _Codec("AVIF", {"quality": _QUALITY}, carries=("exif", "xmp", "icc_profile")),
    "bmp": _Codec("BMP", carries=("dpi",)),
    "gif": _Codec("GIF", {"optimize": False}),  # which would leave out greys, and make it a palette
    "tga": _Codec("TGA"),
    "jp2": _Codec("JPEG2000"),
    "j2k": _Codec("JPEG2000", {"no_jp2": True}),
}
_MOST_READ_OF_PNG = 1 << 20  # bytes of a profile; Pillow refuses a file that has more
_EXIF_DROPPED = ("EXIF is dropped: damaged, or too long for the format",)
_PREDICTOR = 317  # the tag (TIFF 6.0, section 14)
_CARRIED_BESIDE = dict.fromkeys(("png", "tiff"), ("exif", "xmp", "icc_profile"))
_JPEG_XMP_BYTES = 65_533 - len("http://ns.adobe.com/xap/1.0/\0")
_JPEG_MARKER_BYTES = 65_533 - len(metadata.EXIF_HEAD)


def _encode_with_pillow(
    stream: BinaryIO, image: Image, format: str, effort: _Effort
) -> tuple[str, ...]:
    codec = _CODECS[format]
    carried, notes = _carried(image, codec, format)
    options = {**codec.options, **(codec.compressed if effort.compress else {}), **carried}
    options |= _quality(image, format, effort.quality)
    picture = PilImage.fromarray(image.pixels)
    if format == "webp" and image.channels < 3:
        picture = picture.convert("RGBA" if image.alpha else "RGB")
    if format == "avif" and image.channels > 2:
        options["subsampling"] = "4:4:4"
    if format == "tiff" and image.dtype.kind == "u":
        options["tiffinfo"] = {_PREDICTOR: 2}  # differences pack to half the size
    try:
        picture.save(stream, codec.name, **options)
    except DECODER_ERRORS as error:
        words = " ".join(str(error).split())[:100] or type(error).__name__
        raise ImageError(f"cannot be written as {codec.name} ({words}); write PNG") from error
    return notes


def _quality(image: Image, format: str, quality: int | None) -> dict[str, Any]:
    """Return the options of a lossy format that say how good the file shall be."""
    if format == "jpeg" and image.jpeg is not None:
        if quality is not None:
            return {"quality": quality, "subsampling": image.jpeg.sampling}
        return {"quality": -1, **jpeg_options(image.jpeg)}
    if format not in LOSSY_FORMATS or quality is None:
        return {}
    return {"quality": quality, **({"lossless": False, "method": 4} if format == "webp" else {})}


def _carried(image: Image, codec: _Codec, format: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the options that hand over what the format has a place for."""
    xmp = image.xmp if _holds_xmp(image.xmp or b"", format, codec.carries) else None
    found = {"exif": image.exif, "xmp": xmp, "icc_profile": image.icc, "dpi": image.dpi}
    options = {key: found[key] for key in codec.carries if found[key] is not None}
    notes: tuple[str, ...] = ()
    exif = options.pop("exif", None)
    if isinstance(exif, bytes):
        fitting = _fitting_exif(exif, format)
        notes = () if fitting else _EXIF_DROPPED
        options |= {"exif": fitting} if fitting else {}
    return options, notes


def _fitting_exif(exif: bytes, format: str) -> bytes | None:
    """Return an EXIF block as a format takes it, None if it takes none such."""
    if format == "jpeg":
        return metadata.EXIF_HEAD + exif if len(exif) <= _JPEG_MARKER_BYTES else None
    if format == "webp":
        return exif
    try:  # Pillow builds it anew for AVIF
        tags = PilImage.Exif()
        tags.load(exif)
        return tags.tobytes()
    except DECODER_ERRORS:
        return None
