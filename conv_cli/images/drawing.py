"""Text and frames as pixels, for pictures that have words in them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont


def text_coverage(text: str, size: float) -> npt.NDArray[np.float32]:
    """Return how much of each pixel the ink of a line of text covers.

    text : str. One line, of letters that Pillow's own font has: ASCII.
    size : float. Of the font in pixels: about the height of a capital letter and a quarter.

    Returns
    -------
    ndarray, shape (h, w), float32, 0..1
        Cut to the ink; (1, 1) of 0 for a text without any.
    """
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(text)
    width, height = (max(1, round(end - start)) for start, end in ((left, right), (top, bottom)))
    canvas = PilImage.new("L", (width, height))
    ImageDraw.Draw(canvas).text((-left, -top), text, fill=255, font=font)
    return np.asarray(canvas, np.float32) / np.float32(255)


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


def drawn_frames(pixels: npt.NDArray[np.uint8], frames: Sequence[Frame]) -> npt.NDArray[np.uint8]:
    """Return a picture with frames around what lies in them, the first one on top.

    A label is above its frame, or below or inside where there is no room. Lines and letters grow
    with the picture.

    pixels : ndarray, shape (H, W, 3), uint8
    """
    picture = PilImage.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    line = max(1, round(min(picture.size) / 700))
    font = ImageFont.load_default(max(10, round(min(picture.size) / 45)))
    for frame in reversed(frames):
        _draw_rectangle(draw, frame, line)
    for frame in reversed(frames):
        _draw_label(draw, frame, line, font, picture.size)
    return np.asarray(picture)


def _corners(frame: Frame) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom, the last pixels inside."""
    (row, col), (height, width) = frame.center, frame.size
    top, left = round(row - (height - 1) / 2), round(col - (width - 1) / 2)
    return left, top, left + width - 1, top + height - 1


def _draw_rectangle(draw: ImageDraw.ImageDraw, frame: Frame, line: int) -> None:
    """Draw a yellow line between two black ones, just outside of what it frames."""
    left, top, right, bottom = _corners(frame)
    for gap, colour in ((3, _BLACK), (2, _YELLOW), (1, _BLACK)):
        for step in range(line):
            reach = gap * line - step
            draw.rectangle(
                (left - reach, top - reach, right + reach, bottom + reach), outline=colour
            )


def _draw_label(
    draw: ImageDraw.ImageDraw,
    frame: Frame,
    line: int,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    size: tuple[int, int],
) -> None:
    """Write black on a yellow plate, where it lies within the picture."""
    left, top, _, bottom = _corners(frame)
    text = font.getbbox(frame.label)
    margin = 2 * line
    width, height = text[2] - text[0] + 2 * margin, text[3] - text[1] + 2 * margin
    above, below = top - 3 * line - height, bottom + 3 * line + 1
    y = above if above >= 0 else below if below + height <= size[1] else top
    x = min(max(left - 3 * line, 0), max(size[0] - width, 0))
    draw.rectangle((x, y, x + width - 1, y + height - 1), fill=_YELLOW, outline=_BLACK)
    draw.text((x + margin - text[0], y + margin - text[1]), frame.label, fill=_BLACK, font=font)
