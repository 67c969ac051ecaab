"""Printed matter: a test chart, a page of a book, and the image that its figure shows."""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .painting import Array, blur, grid, mix, noise, pixels, step

FINE = 4  # a sheet is drawn this many times larger
INK, PAPER = 30, 229


@lru_cache
def letters(size: float) -> ImageFont.FreeTypeFont:
    """Pillow's own font, set by its basic layout engine, which every build of Pillow has."""
    return ImageFont.load_default(size).font_variant(layout_engine=ImageFont.Layout.BASIC)


class Sheet:
    """Paper to draw on in pixels, kept FINE times larger so that edges come out smooth."""

    def __init__(self, width: int, height: int, level: int = PAPER) -> None:
        self.image = Image.new("L", (width * FINE, height * FINE), level)
        self.draw = ImageDraw.Draw(self.image)

    @property
    def pixels(self) -> Array:
        """The sheet at its final size."""
        return np.asarray(self.image.reduce(FINE))

    def box(self, x: float, y: float, width: float, height: float, level: int) -> None:
        """Fill a rectangle."""
        ends = (x + width) * FINE - 1, (y + height) * FINE - 1
        self.draw.rectangle((x * FINE, y * FINE, *ends), fill=level)

    def line(self, *points: float, width: float = 1) -> None:
        """Draw through points x, y, x, y, ..."""
        scaled = [value * FINE for value in points]
        self.draw.line(scaled, fill=INK, width=round(width * FINE))

    def text(
        self, x: float, y: float, text: str, size: float, anchor: str = "ls", bold: float = 0
    ) -> None:
        """Write a line; Pillow's anchors say which point of it is at x, y."""
        font, stroke = letters(size * FINE), round(bold * FINE)
        self.draw.text((x * FINE, y * FINE), text, INK, font, anchor, stroke_width=stroke)

    def width(self, text: str, size: float) -> float:
        """How long a line of text is."""
        return letters(size * FINE).getlength(text) / FINE

    def put(self, x: int, y: int, values: Array) -> None:
        """Lay down values 0..1 given at FINE times the size."""
        self.image.paste(Image.fromarray(pixels(values)), (x * FINE, y * FINE))


def centred(width: int, height: int) -> tuple[Array, Array]:
    """Rows and columns, in pixels from the middle, of a patch of a sheet."""
    row, col = grid(height * FINE, width * FINE)
    return np.broadcast_arrays(row / FINE - height / 2, col / FINE - width / 2)


def chart() -> Array:
    """A test chart: the frequencies, directions, edges and levels a filter is asked about."""
    sheet = Sheet(768, 512)
    for x, y in ((10, 10), (758, 10), (10, 502), (758, 502)):
        sheet.line(x - 8, y, x + 8, y)
        sheet.line(x, y - 8, x, y + 8)
    sheet.text(28, 36, "Test chart", 19, bold=0.3)
    sheet.text(740, 36, "768 x 512 pixels, 8-bit grey", 10.5, "rs")
    sheet.line(28, 44, 740, 44)
    rings_and_spokes(sheet)
    edges_and_bars(sheet)
    levels(sheet)
    return sheet.pixels


def rings_and_spokes(sheet: Sheet) -> None:
    """A zone plate, whose frequency grows with the radius, and a Siemens star."""
    y, x = centred(270, 270)
    radius = np.hypot(x, y)
    rings = 0.5 + 0.46 * np.cos(np.pi * radius**2 / 270)
    sheet.put(28, 56, mix(rings, 0.5, step(133, 134, radius)))
    sheet.text(163, 340, "Zone plate: r / 270 cycles per pixel", 10.5, "ms")
    y, x = centred(180, 180)
    star = np.where(np.sin(36 * np.arctan2(y, x)) > 0, 0.06, PAPER / 255)
    sheet.put(320, 56, np.where(np.hypot(x, y) < 88, star, PAPER / 255))
    sheet.text(410, 251, "Siemens star: 36 pairs", 10.5, "ms")


def edges_and_bars(sheet: Sheet) -> None:
    """Edges 5 degrees off the axes, and bars of 1 to 6 pixels in both directions."""
    y, x = centred(218, 180)
    tilt = np.tan(np.radians(5))
    u, v = x - y * tilt, y + x * tilt
    block = np.maximum(np.abs(u) / 82, np.abs(v) / 62)
    card = np.where(block < 1, 0.10, 0.80)
    sheet.put(522, 56, np.where(np.maximum(np.abs(u), np.abs(v)) < 30, 0.45, card))
    sheet.text(631, 251, "Slanted edges: 5°", 10.5, "ms")
    x = 320
    for width in (1, 2, 3, 4, 6):
        for bar in range(4):
            sheet.box(x + 2 * bar * width, 268, width, 54, INK)
            sheet.box(x + 8 * width + 6, 268 + 2 * bar * width, 36, width, INK)
        sheet.text(x + 4 * width + 21, 340, f"{width} px", 10.5, "ms")
        x += 8 * width + 62


def levels(sheet: Sheet) -> None:
    """A wedge of 16 steps, a ramp without steps, and a sweep that fades as it quickens."""
    for index in range(16):
        sheet.box(28 + 44.5 * index, 354, 44.5, 34, 17 * index)
        sheet.text(50.25 + 44.5 * index, 401, str(17 * index), 10.5, "ms")
    ramp = np.broadcast_to((np.arange(712 * FINE) + 0.5) / (712 * FINE), (22 * FINE, 712 * FINE))
    sheet.put(28, 410, ramp)
    y, x = centred(712, 42)
    t = x / 712 + 0.5
    cycles = 4 * (45**t - 1) / np.log(45)
    sheet.put(28, 438, 0.5 + 0.48 * np.cos(2 * np.pi * cycles) * (0.03 ** (0.5 - y / 42)))
    sheet.text(
        28,
        494,
        "Ramp 0 to 255, and a sweep: frequency grows to the right, contrast downwards",
        10.5,
    )


PROSE = [
    """Lay a small grid of weights, the kernel, over one corner of an image. Multiply every pixel by
    the weight that covers it, add the products up, and write the sum down as one pixel of a new
    image. Slide the kernel one step to the right and do it again. When every place has been
    visited the new image is complete: it is called the feature map.""",
    """An image of 6 rows and 8 columns shows a dark band on a bright ground. The kernel has only
    two weights, 1 and -1. Where neighbours are alike the products cancel; where bright turns to
    dark the sum is 1, and where dark turns to bright it is -1. Two numbers have found every
    edge.""",
    """Strictly speaking this is cross-correlation. Convolution turns the kernel by 180 degrees
    before it slides. A network that learns its weights does not mind: it learns the kernel the
    other way round, and nobody can tell the difference from the outside.""",
]


def broken(sheet: Sheet, text: str, width: float, size: float) -> list[list[str]]:
    """The words of a text, by lines."""
    lines: list[list[str]] = [[]]
    for word in text.split():
        if sheet.width(" ".join([*lines[-1], word]), size) > width:
            lines.append([])
        lines[-1].append(word)
    return lines


def paragraph(sheet: Sheet, x: float, y: float, width: float, text: str, size: float) -> float:
    """Set justified text from the base line y; the base line after it."""
    lines = broken(sheet, text, width, size)
    for index, words in enumerate(lines):
        space = sheet.width(" ", size)
        if index < len(lines) - 1:
            space = (width - sum(sheet.width(word, size) for word in words)) / (len(words) - 1)
        at = x
        for word in words:
            sheet.text(at, y, word, size)
            at += sheet.width(word, size) + space
        y += 1.45 * size
    return y


def matrix(sheet: Sheet, x: float, y: float, values: Array, name: str) -> None:
    """A table of small squares, shaded by their values, with the numbers in them."""
    cell, shades = 22, {1: 250, 0: 200, -1: 150}
    for i, line in enumerate(values):
        for j, value in enumerate(line):
            left, top = x + j * cell, y + i * cell
            sheet.box(left, top, cell, cell, 90)
            sheet.box(left + 0.5, top + 0.5, cell - 1, cell - 1, shades[int(value)])
            sheet.text(left + cell / 2, top + cell / 2, f"{value:.0f}", 11, "mm")
    sheet.text(x + cell * values.shape[1] / 2, y + cell * len(values) + 17, name, 12, "ms", 0.2)


def formula(sheet: Sheet, x: float, y: float) -> None:
    """The sum behind one pixel of the map; the sigmas are drawn, the font has none."""
    sheet.text(x, y, "Y [ i , j ]   =", 17)
    for left, index in ((x + 98, "a"), (x + 130, "b")):
        upper, lower = (left + 20, y - 16, left, y - 16), (left, y + 6, left + 20, y + 6)
        sheet.line(*upper, left + 10, y - 5, *lower, width=1.6)
        sheet.text(left + 10, y + 19, index, 11, "ms")
    sheet.text(x + 162, y, "X [ i + a , j + b ]  ·  K [ a , b ]", 17)


def page() -> Array:
    """A page about cross-correlation, as it comes out of a scanner: a little tilted and uneven."""
    sheet = Sheet(620, 820, 255)
    left, width = 74, 472
    sheet.text(left, 62, "CONVOLUTIONAL  NETWORKS", 9.5)
    sheet.text(left + width, 62, "23", 11, "rs")
    sheet.line(left, 70, left + width, 70, width=0.6)
    sheet.text(left, 120, "What a kernel sees", 29, bold=0.35)
    below = paragraph(sheet, left, 156, width, PROSE[0], 14.5)
    formula(sheet, left + 58, below + 24)
    below = paragraph(sheet, left, below + 72, width, PROSE[1], 14.5)
    image = square() / 255
    matrix(sheet, left + 6, below + 6, image, "X: the image")
    matrix(sheet, left + 211, below + 61, np.array([[1, -1]]), "K")
    matrix(sheet, left + 289, below + 6, image[:, :-1] - image[:, 1:], "Y: the feature map")
    paragraph(sheet, left, below + 192, width, PROSE[2], 14.5)
    turned = sheet.image.rotate(0.7, Image.Resampling.BICUBIC, fillcolor=255)
    ink = blur(np.asarray(turned.reduce(FINE)) / 255, 0.45)
    row, col = grid(*ink.shape)
    spine = 1 - 0.28 * np.exp(-col / 26) - 0.05 * (row / 820) * (col / 620)
    paper = 0.925 * spine + 0.007 * noise((1024, 1024), 60, 1.0)[:820, :620]
    return pixels(paper * (0.10 + 0.90 * ink) + 0.004 * noise((1024, 1024), 61, 0.1)[:820, :620])


def square() -> Array:
    """The image of the lesson: 6 x 8 ones, with X[:, 2:6] = 0."""
    image = np.full((6, 8), 255, np.uint8)
    image[:, 2:6] = 0
    return image
