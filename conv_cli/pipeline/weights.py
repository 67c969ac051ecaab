"""How much each pixel counts: by its opacity, by a mask, and not at all where it has no value."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.borders import Border, Places, window_of
from conv_cli.colors import missing, to_gray, weigh, white
from conv_cli.errors import ConvError, ImageError
from conv_cli.images import Image, ImageInfo, read_image

Array = npt.NDArray[Any]
Pointwise = Callable[[Array], Array]
_BAND_ROWS = 256


class Mask(NamedTuple):
    """The weight of every pixel of an image.

    name : str. For messages.
    pixels : ndarray, shape (H, W). Grey.
    white : float. What weighs 1.
    """

    name: str
    pixels: Array
    white: float

    def require_fit(self, image: Image | ImageInfo) -> None:
        """Raise ImageError for an image of another size."""
        (height, width), (rows, columns) = self.pixels.shape, image.shape[:2]
        if (height, width) != (rows, columns):
            raise ImageError(
                f"has {rows} rows of {columns} pixels, and the mask {self.name} {height} of "
                f"{width}; make a mask of that size for it"
            )


def read_mask(name: str, max_pixels: int) -> Mask:
    """Read a mask: the grey of an image.

    Raises ConvError if it cannot be read, or holds weights that are not from 0 to white.
    """
    try:
        image = read_image(name, max_pixels=max_pixels)
    except ImageError as error:
        raise ConvError(str(error)) from None
    bands = len(image.colours)
    if bands not in (1, 3):
        raise ConvError(f"{name}: has {bands} bands; a mask is grey, or red, green and blue")
    pixels = to_gray(image.colours[:, None])[0, 0]
    top = white(image.dtype)
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0 and high <= top * (1 + 1e-6)):
        raise ConvError(
            f"{name}: holds values from {low:g} to {high:g}; a mask's are from 0, which does not "
            f"count, to {top:g}, which counts in full"
        )
    return Mask(name, pixels, top)


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
        if self.mask is not None and bool((self.mask.pixels < self.mask.white).any()):
            return True
        if self.opacity and bool((image.planes[-1] < self.white).any()):
            return True
        if self.nodata is None:
            return False
        planes = image.planes[: self.colours]
        return any(
            missing(planes[:, top : top + _BAND_ROWS], self.nodata).any()
            for top in range(0, planes.shape[1], _BAND_ROWS)
        )


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
            grey = window_of(weighting.mask.pixels[None, None], rows, columns)
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
