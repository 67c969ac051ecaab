"""What an image is once it is read: pixels, and what is carried over with them."""

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self, cast

import numpy as np
from numpy.typing import DTypeLike, NDArray

from conv_cli.errors import ImageError
from conv_cli.images.sources import PixelRows
from conv_cli.images.zarr_layout import ZarrLayout
from conv_cli.notebooks import Shown

MAX_PIXELS = 178_956_970
"""Larger images are refused from their header by default: Pillow's own limit."""

_SAMPLES_A_PIXEL = 4
"""More than so many, for each of the pixels that are allowed at most, are refused too."""

NODATA = 42113
"""The tag in which GDAL keeps the value that stands for none, as text."""

_CODEC_BYTES = {"jp2": 4, "j2k": 4, "webp": 3, "avif": 1}
"""Memory a sample that some decoders take for themselves, as measured on 100 megapixels."""


class Tag(NamedTuple):
    """A tag of a TIFF file: its number, its type, its value as little-endian bytes."""

    tag: int
    kind: int
    data: bytes


class Georeference(NamedTuple):
    """The GeoTIFF tags of a picture, and the height and width of the pixels that they are for."""

    size: tuple[int, ...]
    tags: tuple[Tag, ...]


class JpegSettings(NamedTuple):
    """With what a JPEG was made.

    tables : tuple of tuple of int. The quantization table of every channel, or of brightness and of
        both colours: 64 steps each, row by row.
    sampling : int. As Pillow counts it: 0 for 4:4:4, 1 for 4:2:2, 2 for 4:2:0.
    """

    tables: tuple[tuple[int, ...], ...]
    sampling: int


class Timing(NamedTuple):
    """When a frame of an animation is shown.

    duration : float. Milliseconds; 0 leaves it to the viewer.
    plays : int. How often all frames are shown; 0: for ever.
    hidden : bool. It is what programs show that know no animations, and no frame of this one.
    """

    duration: float = 0.0
    plays: int = 0
    hidden: bool = False


@dataclass(frozen=True, eq=False)
class Image(Shown):
    """Pixels, upright, with what describes them.

    Attributes
    ----------
    pixels : ndarray or PixelRows, shape (H, W) for one channel, else (H, W, C)
        In the file's own units: uint8 0–255, uint16 0–65535, int32, uint32, float32 or float64;
        .npy files have other dtypes too. Colours are RGB.
    alpha : bool
        The last channel is opacity, and the colours are straight, not premultiplied by it.
    exif : bytes or None
        A TIFF-structured block, its orientation reset to upright.
    icc : bytes or None
        A colour profile that fits the channels.
    dpi : (float, float) or None
        Dots per inch, across and down.
    format : str
        Where the pixels come from: "png", "jpeg", "tiff", …
    xmp : bytes or None
        XMP, its orientation reset to upright.
    georeference : Georeference or None
        GeoTIFF tags.
    not_srgb : str or None
        What a file without a profile says of its values, if these are not sRGB.
    uncarried : tuple of str
        What the file holds besides, and no file that is written: "comment".
    notes : tuple of str
        What a user must be told: frames left out, profiles dropped.
    jpeg : JpegSettings or None
        With what a JPEG was made, so that another can be made alike.
    zarr : ZarrLayout or None
        How a Zarr was laid out, so that another can be laid out alike, with its axes and scale.
    timing : Timing or None
        Of a frame of an animation.
    """

    pixels: NDArray[Any]
    alpha: bool = False
    exif: bytes | None = None
    icc: bytes | None = None
    dpi: tuple[float, float] | None = None
    format: str = ""
    xmp: bytes | None = None
    georeference: Georeference | None = None
    not_srgb: str | None = None
    uncarried: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    jpeg: JpegSettings | None = None
    zarr: ZarrLayout | None = None
    timing: Timing | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W) or (H, W, C)."""
        return self.pixels.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the pixels."""
        return self.pixels.dtype

    @property
    def windowed(self) -> bool:
        """Whether the pixels are left in the file, and read window by window."""
        return isinstance(self.pixels, PixelRows) and self.pixels.like_array

    @property
    def channels(self) -> int:
        """How many there are, opacity among them."""
        return 1 if self.pixels.ndim == 2 else self.pixels.shape[2]

    @property
    def planes(self) -> NDArray[Any]:
        """The channels one after the other, (C, H, W): a view of the pixels."""
        if isinstance(self.pixels, PixelRows) and self.pixels.like_array:
            return cast("NDArray[Any]", self.pixels.planes)  # which are indexed as an array is
        pixels = np.asarray(self.pixels)
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)

    @property
    def colours(self) -> NDArray[Any]:
        """The planes without opacity."""
        return self.planes[: self.channels - self.alpha]

    @property
    def nodata(self) -> float | None:
        """The value that a GeoTIFF says stands for none; it may be NaN."""
        tags = self.georeference.tags if self.georeference is not None else ()
        for tag in tags:
            if tag.tag == NODATA:
                with suppress(ValueError):
                    return float(tag.data.decode("latin-1").strip(" \0"))
        return None

    def with_nodata(self, value: float) -> Self:
        """Return a GeoTIFF that says so of another value; other images are left as they are."""
        place = self.georeference
        if place is None:
            return self
        text = f"{value:.17g}".encode() + b"\0"
        kept = tuple(tag for tag in place.tags if tag.tag != NODATA)
        return replace(self, georeference=place._replace(tags=(*kept, Tag(NODATA, 2, text))))

    def window(
        self, row: int, column: int, height: int, width: int, *, name: str = "the window"
    ) -> Self:
        """Return a part of the image. Raises ImageError, with its name, if it reaches beyond."""
        rows, columns = self.shape[:2]
        if row + height > rows or column + width > columns:
            raise ImageError(
                f"{name} {row},{column},{height}x{width} reaches beyond its {rows} rows and "
                f"{columns} columns; choose a window inside"
            )
        if isinstance(self.pixels, PixelRows):
            part = self.pixels.rows(row, row + height, column, column + width)
        else:
            part = self.pixels[row : row + height, column : column + width]
        return replace(self, pixels=np.ascontiguousarray(part))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the pixels, so that ``np.asarray(image)`` does."""
        if copy is None:
            return np.asarray(self.pixels, dtype)
        return np.array(self.pixels, dtype, copy=copy)


class ImageInfo(NamedTuple):
    """What reading an image would give, told from its header: `Image` without the pixels.

    ``windowed`` says that they are left in the file, and read window by window.
    """

    height: int
    width: int
    channels: int
    alpha: bool
    dtype: np.dtype[Any]
    format: str
    windowed: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W) for one channel, else (H, W, C)."""
        size = (self.height, self.width)
        return size if self.channels == 1 else (*size, self.channels)

    @property
    def nbytes(self) -> int:
        """Memory that the pixels take."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def decoding_bytes(self) -> int:
        """Memory that reading takes: the pixels, Pillow's own of four bytes each, the codec's.

        Windows take none to speak of.
        """
        if self.windowed:
            return 0
        own = 4 if self.channels > 1 else self.dtype.itemsize
        codec = _CODEC_BYTES.get(self.format, 0) * self.channels
        return self.nbytes + self.height * self.width * (own + codec)


class Opened(NamedTuple):
    """An image whose header is read: what it says, and what reads the pixels, once.

    ``read`` is told whether they may be `PictureRows`.
    """

    info: ImageInfo
    read: Callable[[bool], Image]


def check_samples(width: int, height: int, bands: int, max_pixels: int) -> None:
    """Raise ImageError for an image of more pixels than allowed, or of far too many bands."""
    check_size(width, height, max_pixels)
    if width * height * bands > _SAMPLES_A_PIXEL * max_pixels:
        raise ImageError(
            f"{bands} bands of {width}x{height} are more samples than {_SAMPLES_A_PIXEL} for each "
            f"of --max-pixels {max_pixels:,}; raise --max-pixels (in Python max_pixels) to read "
            "them"
        )


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Raise ImageError for an image of more pixels than allowed."""
    if width * height > max_pixels:
        raise ImageError(
            f"{width}x{height} is {width * height:,} pixels, more than --max-pixels "
            f"{max_pixels:,}; raise --max-pixels (in Python max_pixels) to read it"
        )
