"""How much each pixel counts: by its opacity, by a mask, and not at all where it has no value."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.borders import Border, Places, Windows, window_of
from conv_cli.colors import missing, to_gray, weigh, white
from conv_cli.errors import ConvError, ImageError
from conv_cli.images import Image, ImageInfo, PixelRows, read_image
from conv_cli.pipeline.feature_map import value_in

Array = npt.NDArray[Any]
Pointwise = Callable[[Array], Array]
_BAND_ROWS = 256


class Mask(NamedTuple):
    """The weight of every pixel of an image.

    name : str. For messages.
    pixels : ndarray or PixelRows, shape (H, W). Grey.
    white : float. What weighs 1.
    """

    name: str
    pixels: Array | PixelRows
    white: float

    @property
    def planes(self) -> Array | Windows:
        """The same as an image, (1, 1, H, W)."""
        pixels = self.pixels
        return pixels.plane if isinstance(pixels, PixelRows) else pixels[None, None]

    @property
    def is_whole(self) -> bool:
        """Whether every pixel counts in full."""
        return not any(bool((band < self.white).any()) for band in _bands(self.pixels))

    def require_fit(self, image: Image | ImageInfo) -> None:
        """Raise ImageError for an image of another size."""
        (height, width), (rows, columns) = self.pixels.shape, image.shape[:2]
        if (height, width) != (rows, columns):
            raise ImageError(
                f"has {rows} rows of {columns} pixels, and the mask {self.name} {height} of "
                f"{width}; make a mask of that size for it"
            )


def read_mask(name: str, max_pixels: int, *, windows: bool = False) -> Mask:
    """Read a mask: the grey of an image; a large one is left in its file for ``windows``.

    Raises ConvError if it cannot be read, or holds weights that are not from 0 to white.
    """
    try:
        image = read_image(name, max_pixels=max_pixels, windows=windows)
    except ImageError as error:
        raise ConvError(str(error)) from None
    bands = image.channels - image.alpha
    if bands not in (1, 3):
        raise ConvError(f"{name}: has {bands} bands; a mask is grey, or red, green and blue")
    top = white(image.dtype)
    if isinstance(image.pixels, PixelRows):
        pixels: Array | PixelRows = _GreyRows(name, max_pixels, image)
    else:
        pixels = to_gray(image.colours[:, None])[0, 0]
    ends = [(float(band.min()), float(band.max())) for band in _bands(pixels)]
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    if not all(low >= 0 and high <= top * (1 + 1e-6) for low, high in ends):
        raise ConvError(
            f"{name}: holds values from {low:g} to {high:g}; a mask's are from 0, which does not "
            f"count, to {top:g}, which counts in full"
        )
    return Mask(name, pixels, top)


class _GreyRows(PixelRows):
    """The grey of an image that is read window by window; it can be pickled."""

    def __init__(self, name: str, max_pixels: int, image: Image) -> None:
        self._named = name, max_pixels
        self._image = image
        self.shape = image.shape[:2]
        self.dtype = self.rows(0, 1, 0, 1).dtype

    def __reduce__(self) -> tuple[Callable[..., "Array | PixelRows"], tuple[str, int]]:
        """Return what opens it again, in another process."""
        return _mask_pixels, self._named

    def rows(self, first: int, stop: int, left: int, right: int) -> Array:
        """Return some rows from column ``left`` to before ``right``."""
        part = self._image.window(first, left, stop - first, right - left)
        return to_gray(part.colours[:, None])[0, 0]


def _mask_pixels(name: str, max_pixels: int) -> "Array | PixelRows":
    return read_mask(name, max_pixels, windows=True).pixels


def nodata_in(image: Image, given: float | None) -> float | None:
    """Return what stands for no value in an image: what is given, or what it says itself.

    None, too, where its pixels cannot be that.
    """
    value = image.nodata if given is None else given
    if value is None or image.dtype.kind == "f" or value_in(image.dtype, value) == value:
        return value
    return None


def nodata_note(value: float) -> str:
    """Say that a file names the value that stands for none."""
    return f"pixels of {value:g} have no value, as its GDAL_NODATA says (--nodata {value:g})"


class Weighting(NamedTuple):
    """What the weight of a pixel is made of, for one image.

    colours : int. How many channels are filtered.
    white : float. What full opacity is.
    opacity : bool. There is one more channel, by which the others count.
    mask : Mask or None
    nodata : float or None. What stands for no value; it counts colour by colour.
    apart : bool. The weight is told for every colour, as each has a kernel of its own.
    """

    colours: int
    white: float
    opacity: bool = False
    mask: Mask | None = None
    nodata: float | None = None
    apart: bool = False

    def is_none(self, border: Border) -> bool:
        """Tell whether the constant of a border is a number that stands for no value."""
        return border.mode == "constant" and border.opaque and border.value == self.nodata

    def is_clear(self, border: Border) -> bool:
        """Tell whether what lies beyond has no opacity."""
        return border.mode == "constant" and not border.opaque and self.opacity

    def is_needed(self, image: Image, beyond: Border | None) -> bool:
        """Tell whether some pixel counts less than another; ``beyond``: those of a border count."""
        if beyond is not None and (self.is_none(beyond) or self.is_clear(beyond)):
            return True
        if self.mask is not None and not self.mask.is_whole:
            return True
        if not self.opacity and self.nodata is None:
            return False
        return any(self._some_less(band) for band in _bands(image.pixels))

    def _some_less(self, pixels: Array) -> bool:
        """Tell whether a pixel of some rows (h, W) or (h, W, C) counts less than in full."""
        planes = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0)
        if self.opacity and bool((planes[-1] < self.white).any()):
            return True
        return self.nodata is not None and bool(missing(planes[: self.colours], self.nodata).any())


def _bands(pixels: Array | PixelRows) -> Iterator[Array]:
    """Yield the rows of an image, some at a time."""
    if isinstance(pixels, PixelRows):
        yield from pixels.bands()
        return
    for top in range(0, len(pixels), _BAND_ROWS):
        yield pixels[top : top + _BAND_ROWS]


class WeightedPixels:
    """What the engines read of an image whose pixels do not all count alike, as ``weigh`` makes it.

    planes : ndarray, shape (C, 1, H, W). Of the image, opacity among them.
    weighting : Weighting
    load : callable. From a tile of the planes to the colours that are correlated.
    """

    def __init__(self, planes: Array, weighting: Weighting, load: Pointwise) -> None:
        self._planes, self._weighting, self._load = planes, weighting, load
        sample = self.window(slice(0, 1), slice(0, 1))
        self.shape = (*sample.shape[:2], *planes.shape[2:])
        self.dtype = sample.dtype

    def window(self, rows: Places, columns: Places) -> Array:
        """Return what is correlated of those places."""
        weighting = self._weighting
        tile = window_of(self._planes, rows, columns)
        share = self._opacity(tile)
        if weighting.mask is not None:
            grey = window_of(weighting.mask.planes, rows, columns)
            share = share * (grey.astype(share.dtype) / share.dtype.type(weighting.mask.white))
        colours = self._load(tile)
        if weighting.nodata is not None:
            none = missing(tile[: weighting.colours], weighting.nodata)
            if len(colours) != len(none):  # grey of several
                none = np.logical_or.reduce(none, axis=0, keepdims=True)
            share = share * ~none
        return weigh(colours, self._told(colours, share))

    def border(self, border: Border) -> Array:
        """Return the constant of a border, (N, 1, 1, 1): of full weight, its opacity as it says.

        One that stands for no value weighs nothing: weights in the image are scaled up to all.
        """
        pixel = np.full((*self._planes.shape[:2], 1, 1), border.value)
        if self._weighting.opacity:
            pixel[-1] = self._weighting.white * border.opaque
        colours = self._load(pixel)
        share = self._opacity(pixel)
        if self._weighting.nodata is not None:
            share = np.broadcast_to(share * (not self._weighting.is_none(border)), colours.shape)
        return weigh(colours, self._told(colours, share))

    def _told(self, colours: Array, share: Array) -> Array:
        """Return the weight as it is told: once, or for every colour."""
        return np.broadcast_to(share, colours.shape) if self._weighting.apart else share

    def _opacity(self, tile: Array) -> Array:
        """Return the opacity 0..1 of a tile, (1, 1, h, w), or a 1 that stands for it."""
        dtype = np.result_type(tile.dtype, np.float32)
        if not self._weighting.opacity:
            return np.ones((1, 1, *tile.shape[2:]), dtype)
        return tile[-1:].astype(dtype) / dtype.type(self._weighting.white)
