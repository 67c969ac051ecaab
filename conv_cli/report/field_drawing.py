"""A drawing of what one output pixel of a network sees."""

from typing import Any

import numpy as np
import numpy.typing as npt

from conv_cli.images import Image
from conv_cli.networks.receptive import PixelField
from conv_cli.pipeline.feature_map import Range, map_to_pixels

Array = npt.NDArray[Any]

_FRAME, _OUTSIDE = (255, 96, 0), 0.4
"""Colour around a window that is drawn, and what is left of the light beyond it."""


def drawn_field(field: PixelField, image: Image | None = None) -> Array:
    """Return a drawing (H, W, 3), uint8: the window bright and framed, and enlarged in a corner.

    field : PixelField
    image : Image, optional. What it is drawn on, of the size that the field was worked out for;
        plain grey by default.
    """
    (top, bottom), (left, right) = field.inside
    ground = np.full((*field.size, 3), 160, np.uint8) if image is None else _as_rgb8(image)
    picture = (ground * _OUTSIDE).astype(np.uint8)
    window = ground[top:bottom, left:right]
    width = max(1, min(field.size) // 200)
    picture[max(top - width, 0) : bottom + width, max(left - width, 0) : right + width] = _FRAME
    picture[top:bottom, left:right] = window
    if window.size:
        _enlarge(picture, window, right_half=left + right < field.size[1], width=width)
    return picture


def _enlarge(picture: Array, window: Array, *, right_half: bool, width: int) -> None:
    """Show a window several times as large in the lower corner that it does not lie in."""
    factor = min(n // 3 // side for n, side in zip(picture.shape, window.shape[:2], strict=False))
    if factor < 2:
        return
    large = window.repeat(factor, axis=0).repeat(factor, axis=1)
    framed = np.pad(large, ((width, 0), (width, width), (0, 0)))
    framed[:width], framed[:, :width], framed[:, -width:] = _FRAME, _FRAME, _FRAME
    rows, columns = framed.shape[:2]
    place = slice(-columns, None) if right_half else slice(columns)
    picture[-rows:, place] = framed


def _as_rgb8(image: Image) -> Array:
    """Return an image as it is seen, without its opacity: (H, W, 3), uint8."""
    mode = Range("clip" if image.dtype.kind == "u" else "stretch")
    shown = [
        map_to_pixels(plane, image.dtype, np.dtype(np.uint8), mode)[0] for plane in image.colours
    ]
    return np.stack(shown if len(shown) == 3 else shown[:1] * 3, axis=-1)
