"""Text and frames as pixels, for pictures that have words in them."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont


def text_coverage(text: str, size: float, *, aligned: bool = False) -> npt.NDArray[np.float32]:
    """Return how much of each pixel the ink of a line of text covers.

    text : str. One line, of letters that Pillow's own font has: ASCII.
    size : float. Of the font in pixels: about the height of a capital letter and a quarter.

    Returns
    -------
    ndarray, shape (h, w), float32, 0..1
        Cut to the ink; (1, 1) of 0 for a text without any. ``aligned``: as high as any text of
        that size, so that lines stand level.
    """
    font = _font(size)
    left, top, right, bottom = font.getbbox(text)
    if aligned:
        top, bottom = _level(size)
    width, height = (max(1, round(end - start)) for start, end in ((left, right), (top, bottom)))
    canvas = PilImage.new("L", (width, height))
    ImageDraw.Draw(canvas).text((-left, -top), text, fill=255, font=font)
    return np.asarray(canvas, np.float32) / np.float32(255)


@cache
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own font, which takes a while to be unpacked."""
    return ImageFont.load_default(size)


@cache
def _level(size: float) -> tuple[float, float]:
    """Return where the highest letters begin, and the lowest end."""
    _, top, _, bottom = _font(size).getbbox("Ajg|")
    return top, bottom


def lay(
    pixels: npt.NDArray[np.uint8],
    coverage: npt.NDArray[np.float32],
    top: int,
    left: int,
    colour: tuple[int, int, int],
) -> None:
    """Lay ink of a colour over pixels (H, W, 3), as much as covers each; none beyond them."""
    under = pixels[top : top + coverage.shape[0], left : left + coverage.shape[1]]
    share = coverage[: under.shape[0], : under.shape[1], None]
    under[:] = np.rint(under * (1 - share) + np.asarray(colour) * share)


_YELLOW, _BLACK = (240, 228, 66), (0, 0, 0)
"""Of all colours that the colour-blind tell apart (Okabe and Ito 2008), yellow is the lightest, so
that between two black lines it shows on any picture.
"""


class Frame(NamedTuple):
    """A rectangle to be drawn, and what is to be written on it.

    center : (float, float). Row and column of its middle.
    size : (int, int). Rows and columns.
    label : str. One line of ASCII.
    """

    center: tuple[float, float]
    size: tuple[int, int]
    label: str


def draw_frames(pixels: npt.NDArray[np.uint8], frames: Sequence[Frame]) -> None:
    """Draw frames around what lies in them, into a picture, the first one on top.

    A label is above its frame, or below or inside where there is no room. Lines and letters grow
    with the picture.

    pixels : ndarray, shape (H, W, 3), uint8
    """
    line = max(1, round(min(pixels.shape[:2]) / 700))
    size = max(10.0, min(pixels.shape[:2]) / 45)
    for frame in reversed(frames):
        _draw_rectangle(pixels, frame, line)
    for frame in reversed(frames):
        _draw_label(pixels, frame, line, size)


def _corners(frame: Frame) -> tuple[int, int, int, int]:
    """Return top, left, bottom and right; the last two are just beyond."""
    (row, col), (height, width) = frame.center, frame.size
    top, left = round(row - (height - 1) / 2), round(col - (width - 1) / 2)
    return top, left, top + height, left + width


def _draw_rectangle(pixels: npt.NDArray[np.uint8], frame: Frame, line: int) -> None:
    """Draw a yellow line between two black ones, just outside of what it frames."""
    top, left, bottom, right = _corners(frame)
    for reach, colour in ((3 * line, _BLACK), (2 * line, _YELLOW), (line, _BLACK)):
        _fill(pixels, top - reach, left - reach, top - reach + line, right + reach, colour)
        _fill(pixels, bottom + reach - line, left - reach, bottom + reach, right + reach, colour)
        _fill(pixels, top - reach, left - reach, bottom + reach, left - reach + line, colour)
        _fill(pixels, top - reach, right + reach - line, bottom + reach, right + reach, colour)


def _draw_label(pixels: npt.NDArray[np.uint8], frame: Frame, line: int, size: float) -> None:
    """Write black on a yellow plate, where it lies within the picture."""
    top, left, bottom, _ = _corners(frame)
    ink, margin = text_coverage(frame.label, size), 2 * line
    height, width = (n + 2 * margin for n in ink.shape)
    above, below = top - 3 * line - height, bottom + 3 * line
    row = above if above >= 0 else below if below + height <= pixels.shape[0] else max(top, 0)
    col = min(max(left - 3 * line, 0), max(pixels.shape[1] - width, 0))
    _fill(pixels, row, col, row + height, col + width, _BLACK)
    _fill(pixels, row + line, col + line, row + height - line, col + width - line, _YELLOW)
    plate = pixels[row + margin : row + margin + ink.shape[0], col + margin : col + width - margin]
    share = 1 - ink[: plate.shape[0], : plate.shape[1], None]
    plate[...] = np.rint(plate * share).astype(np.uint8)


def _fill(
    pixels: npt.NDArray[np.uint8],
    top: int,
    left: int,
    bottom: int,
    right: int,
    colour: tuple[int, int, int],
) -> None:
    """Fill what of a rectangle lies within the picture."""
    pixels[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = colour
