"""Pictures drawn in a terminal, side by side: two pixels a character, or shades of text."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from conv_cli.colormaps import diverging
from conv_cli.images import resized
from conv_cli.report.kernel_text import Colours, colour_code

Picture = npt.NDArray[Any]
"""uint8 (h, w) or (h, w, 3), or floats (h, w) around zero."""

_SHADES = " .:-=+*#%@"
"""From black to white, as most terminals are dark."""
_GAP = 2
_LEAST = 8


def picture_lines(
    pictures: Sequence[Picture], *, width: int, height: int, colours: Colours = 0
) -> list[str]:
    """Return pictures beside each other as lines of text.

    width, height : the most characters a line and the most lines.
    colours : how many the terminal has; without, there are shades of text, which show floats by
        their magnitude.
    """
    across = max(_LEAST, (width - _GAP * (len(pictures) - 1)) // len(pictures))
    drawn = [_lines(picture, across, height, colours) for picture in pictures]
    rows = max(map(len, drawn))
    blank = [" " * _visible(picture, across, height) for picture in pictures]
    for lines, empty in zip(drawn, blank, strict=True):
        lines += [empty] * (rows - len(lines))
    return [(" " * _GAP).join(parts).rstrip(" ") for parts in zip(*drawn, strict=True)]


def _visible(picture: Picture, across: int, height: int) -> int:
    return _size(picture, across, height)[1]


def _size(picture: Picture, across: int, height: int) -> tuple[int, int]:
    """Return how many rows and columns of pixels fit, a character being two pixels high."""
    rows, columns = picture.shape[:2]
    factor = min(across / columns, 2 * height / rows, max(1.0, 16 / max(rows, columns)))
    return max(2, round(rows * factor / 2) * 2), max(1, round(columns * factor))


def _lines(picture: Picture, across: int, height: int, colours: Colours) -> list[str]:
    planes = picture.astype(np.float32).reshape(*picture.shape[:2], -1)
    pixels = resized(planes, *_size(picture, across, height))
    pixels = pixels if picture.ndim == 3 else pixels[..., 0]
    if not colours:
        shown = np.abs(pixels) if picture.dtype.kind == "f" else pixels
        return list(_shaded(shown, float(shown.max()) if picture.dtype.kind == "f" else 255.0))
    if picture.dtype.kind == "f":
        return list(_blocks(diverging(pixels), colours))
    colour = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    return list(_blocks(np.rint(colour).astype(np.uint8), colours))


def _blocks(pixels: npt.NDArray[np.uint8], colours: Colours) -> Iterator[str]:
    """Yield lines of half blocks: the upper pixel in the ink, the lower one in the ground."""
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        codes = [
            f"\x1b[38;{colour_code(above, colours)};48;{colour_code(below, colours)}m▀"
            for above, below in zip(upper, lower, strict=True)
        ]
        yield "".join(codes) + "\x1b[0m"


def _shaded(pixels: npt.NDArray[np.float32], white: float) -> Iterator[str]:
    grey = pixels.mean(axis=2) if pixels.ndim == 3 else pixels
    pairs = (grey[::2] + grey[1::2]) / 2 / (white or 1.0)
    for row in np.clip(pairs * len(_SHADES), 0, len(_SHADES) - 1).astype(int):
        yield "".join(_SHADES[level] for level in row)
