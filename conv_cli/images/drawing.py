"""Text as pixels, for pictures that have words in them."""

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
