"""Pictures that Pillow decodes: opened by their header, then read band by band, upright."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageFile

from conv_cli.images import headers, metadata
from conv_cli.images.codecs import jpeg_settings
from conv_cli.images.image import Image, ImageInfo, JpegSettings, check_size
from conv_cli.images.layout import Layout, layout_of
from conv_cli.images.pillow import DECODER_ERRORS, load, open_with
from conv_cli.images.png_metadata import Described, png_metadata
from conv_cli.images.sources import PictureRows

# Rows of 4,000 pixels that fit the L2 cache: the whole picture at once takes three times as long.
_BAND_ROWS = 128
_TILE_SIZE = (322, 323)  # the tags TileWidth and TileLength (TIFF 6.0, section 15)
_IPTC = 0x0404  # the number of Photoshop's resource


_SMALL_BYTES = 16 << 20  # of pixels, which are copied faster all at once
_PLAIN_LAYOUTS = (Layout(), Layout(channels=3))


class Picture(NamedTuple):
    """An opened file whose header is read and whose pixels are not.

    stream : BinaryIO. The file, open for as long as this is in use.
    decoder, format : str. What reads it, and what it is: they differ for a PNG in an icon.
    pillow : ImageFile. The picture as Pillow opened it.
    layout : Layout. How its samples become pixels.
    orientation : int. The EXIF orientation that is still to be undone, 1 to 8.
    sideways : bool. The file's rows are columns of the upright picture.
    exif, xmp : bytes or None. To be carried over.
    not_srgb, uncarried. As in `Image`.
    extra_notes : tuple of str. What a user must be told, besides what the layout says.
    """

    stream: BinaryIO
    decoder: str
    format: str
    pillow: ImageFile.ImageFile
    layout: Layout
    orientation: int
    sideways: bool
    exif: bytes | None
    xmp: bytes | None = None
    not_srgb: str | None = None
    uncarried: tuple[str, ...] = ()
    extra_notes: tuple[str, ...] = ()

    @property
    def info(self) -> ImageInfo:
        """What reading will give."""
        width, height = self.pillow.size
        if self.orientation >= 5:
            width, height = height, width
        kind = self.layout
        return ImageInfo(height, width, kind.channels, kind.alpha, kind.dtype, self.format)

    def read(self, in_rows: bool) -> Image:
        """Decode the pixels; to be called once. They are `PictureRows` if they can and shall be.

        Raises one of `DECODER_ERRORS` for a damaged file; the picture is of no use then.
        """
        described = self.described()
        pixels = self._rows() if in_rows and self._is_plain else self._pixels()
        if self.decoder == "png":
            headers.check_png(self.stream)
            if self.orientation != 1 or _ends_evenly(pixels):
                headers.check_png_rows(self.stream)  # they look as if they had never come
        return replace(described, pixels=pixels, notes=(*self._frames(), *described.notes))

    def described(self) -> Image:
        """Return what is carried over with the pixels, in place of which one stands for all."""
        icc, dropped = self._profile()
        exif = _tiff_exif(self.pillow) if self.decoder == "tiff" else self.exif
        return Image(
            np.broadcast_to(np.zeros((), self.layout.dtype), self.info.shape),
            alpha=self.layout.alpha,
            exif=exif,
            icc=icc,
            dpi=self._dpi(),
            format=self.format,
            xmp=self.xmp,
            not_srgb=self.not_srgb,
            uncarried=self.uncarried,
            notes=(*self.layout.notes, *dropped, *self.extra_notes),
            jpeg=self._jpeg(),
        )

    def _jpeg(self) -> JpegSettings | None:
        """Return how a JPEG of grey or of brightness and colours was made."""
        if self.decoder != "jpeg" or self.pillow.info.get("adobe_transform") == 0:
            return None
        return jpeg_settings(self.pillow) if self.pillow.mode in ("L", "RGB") else None

    def _profile(self) -> tuple[bytes | None, tuple[str, ...]]:
        """Return the colour profile if it fits the pixels, and what must be said if not."""
        icc = self.pillow.info.get("icc_profile")
        if not isinstance(icc, bytes) or not icc:
            return None, ()
        if metadata.profile_fits(icc, self.layout.channels):
            return icc, ()
        return None, metadata.UNFIT_PROFILE

    def _dpi(self) -> tuple[float, float] | None:
        dpi = metadata.usable_dpi(self.pillow.info.get("dpi"))
        if dpi == (1, 1) and self.decoder == "tiff":
            return None  # what Pillow says of a file that says nothing
        return dpi[::-1] if dpi and self.sideways else dpi

    def _frames(self) -> tuple[str, ...]:
        """Name the frames that are not read."""
        if self.decoder == "tiff":
            return ()  # whoever has chosen the page has counted them
        if self.decoder == "gif":
            return headers.others_named(headers.skip_gif_frames(self.stream), "frames")
        return headers.others_named(getattr(self.pillow, "n_frames", 1), "frames")

    @property
    def _is_plain(self) -> bool:
        """Pillow holds the pixels as they shall be, and a copy would cost memory."""
        large = self.info.nbytes > _SMALL_BYTES
        return large and self.orientation == 1 and self.layout in _PLAIN_LAYOUTS

    def _rows(self) -> NDArray[Any]:
        load(self.pillow)
        return cast("NDArray[Any]", PictureRows(self.pillow))  # which is as one where it is used

    def _pixels(self) -> NDArray[Any]:
        kind = self.layout
        upright = np.empty(self.info.shape, kind.dtype)
        stored = metadata.as_stored(upright, self.orientation)
        if kind.key is None:
            self._fill(stored)
        else:
            colours = stored[..., :-1] if kind.channels > 2 else stored[..., 0]
            self._fill(colours)
            _mark_transparent(stored, kind.key)
        return upright

    def _fill(self, target: NDArray[Any]) -> None:
        kind = self.layout
        if kind.low_rawmode is not None:
            for rows, high in _bands(self._reopened(None), kind.convert):
                np.left_shift(high, 8, out=target[rows], dtype=kind.dtype)
            for rows, low in _bands(self._reopened(kind.low_rawmode), kind.convert):
                target[rows] |= low
            return
        picture = _with_rawmode(self.pillow, kind.rawmode)
        for rows, values in _bands(picture, kind.convert):
            target[rows] = values if kind.finish is None else kind.finish(values)

    def _reopened(self, rawmode: str | None) -> ImageFile.ImageFile:
        return _with_rawmode(_opened(self.decoder, self.stream), rawmode)


def _ends_evenly(pixels: NDArray[Any]) -> bool:
    """Tell whether one of the last two rows is of one colour."""
    height, width = pixels.shape[:2]
    if isinstance(pixels, PictureRows):
        rows = pixels.rows(max(height - 2, 0), height, 0, width)
    else:
        rows = pixels[-2:]
    return any((row == row[:1]).all() for row in rows)


def open_picture(stream: BinaryIO, format: str, max_pixels: int) -> Picture:
    """Read the header of a file of a format that `headers.identify` names.

    Raises ImageError for pictures that are too large or cannot be read in full, and one of
    `DECODER_ERRORS` for damaged files.
    """
    if format == "ico":
        return _open_icon(stream, max_pixels)
    return _open(stream, format, max_pixels)


def _open_icon(stream: BinaryIO, max_pixels: int) -> Picture:
    """Open the largest picture of an icon; Pillow decodes it at once, so the size comes first."""
    icon, count = headers.largest_icon(stream)
    check_size(icon.width, icon.height, max_pixels)
    picture = _open(icon.alone(), "png" if icon.is_png else "ico", max_pixels)
    notes = (f"holds {count} pictures; only the largest is read",) if count > 1 else ()
    return picture._replace(format="ico", extra_notes=notes)


def _open(stream: BinaryIO, decoder: str, max_pixels: int) -> Picture:
    pillow = _opened(decoder, stream)
    check_size(*pillow.size, max_pixels)
    layout = layout_of(decoder, pillow, stream)
    if decoder == "tiff":  # brought upright by Pillow itself
        from conv_cli.images.tiff_layout import tiff_layout

        layout = tiff_layout(pillow, layout)
        tags: Any = pillow.tag_v2  # type: ignore[attr-defined]
        width, height = (tags.get(tag, 1) for tag in _TILE_SIZE)
        check_size(width, height, max_pixels)  # memory is taken for a tile, whatever the picture
        sideways = tags.get(metadata.ORIENTATION, 1) in (5, 6, 7, 8)
        return Picture(stream, decoder, decoder, pillow, layout, 1, sideways, None)
    found = _described(pillow, stream)
    exif, xmp = found.exif, found.xmp
    orientation = by_xmp = 0
    if exif is not None:
        orientation, exif = metadata.reset_orientation(exif)
    if xmp is not None:
        by_xmp, xmp = metadata.reset_xmp_orientation(xmp)
    orientation = orientation or by_xmp or 1
    picture = Picture(stream, decoder, decoder, pillow, layout, orientation, orientation >= 5, exif)
    return picture._replace(xmp=xmp, not_srgb=found.not_srgb, uncarried=found.dropped)


def _opened(decoder: str, stream: BinaryIO) -> ImageFile.ImageFile:
    pillow = open_with(decoder, stream)
    if decoder == "tiff":  # Pillow would turn it by what its XMP says, after telling the size
        pillow.info.pop("xmp", None)
    return pillow


def _described(pillow: ImageFile.ImageFile, stream: BinaryIO) -> Described:
    if pillow.format == "PNG":
        return png_metadata(stream)
    exif, xmp = (
        value if isinstance(value := pillow.info.get(key), bytes) and value else None
        for key in ("exif", "xmp")
    )
    iptc = _IPTC in (pillow.info.get("photoshop") or ())
    uncarried = ("comment",) * bool(pillow.info.get("comment")) + ("IPTC",) * iptc
    return Described(exif, xmp, None, uncarried)


def _tiff_exif(pillow: ImageFile.ImageFile) -> bytes | None:
    try:
        return metadata.describing_exif(pillow.getexif())
    except DECODER_ERRORS:
        return None  # no pixel depends on it


def _with_rawmode(picture: ImageFile.ImageFile, rawmode: str | None) -> ImageFile.ImageFile:
    if rawmode is not None:
        for index, tile in enumerate(picture.tile):
            args = (rawmode, *tile.args[1:]) if isinstance(tile.args, tuple) else rawmode
            picture.tile[index] = tile._replace(args=args)
    return picture


def _bands(
    picture: ImageFile.ImageFile, convert: str | None
) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Decode, and give the values of some rows at a time, so that no second copy is needed."""
    load(picture)
    width, height = picture.size
    for top in range(0, height, _BAND_ROWS):
        bottom = min(top + _BAND_ROWS, height)
        band = picture.crop((0, top, width, bottom))
        if convert is not None:
            band = _converted(band, convert)
        yield slice(top, bottom), np.asarray(band)


def _converted(band: PilImage.Image, mode: str) -> PilImage.Image:
    if band.mode != "LAB":
        return band.convert(mode)
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    result = ImageCms.profileToProfile(band, lab, srgb, outputMode=mode)
    assert result is not None
    return result


def _mark_transparent(pixels: NDArray[Any], key: tuple[int, ...]) -> None:
    """Set the last channel to 0 where the others are the colour `key`, and else to opaque."""
    opaque = np.iinfo(pixels.dtype).max
    for top in range(0, len(pixels), _BAND_ROWS):
        band = pixels[top : top + _BAND_ROWS]
        colour = np.array(key).astype(pixels.dtype)  # too many bits: the low ones count
        clear = (band[..., :-1] == colour).all(axis=-1)
        band[..., -1] = np.where(clear, 0, opaque)
