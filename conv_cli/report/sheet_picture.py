"""A sheet as one picture, with its captions drawn."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from conv_cli.colormaps import along
from conv_cli.images.drawing import lay, text_coverage
from conv_cli.pipeline.looks import Look
from conv_cli.report.sheet import Group, Sheet, box_side, columns_of, lines_of, number, range_words

Pixels = npt.NDArray[np.uint8]

_PAPER, _INK, _FAINT, _EDGE = (255, 255, 255), (20, 20, 20), (85, 85, 85), (200, 200, 200)
_LEAST_FONT, _LARGEST_FONT = 13.0, 20.0
_GAP = 16


class _Measures:
    """The sizes of everything on a sheet, in pixels, from the side of a picture's box."""

    def __init__(self, box: int) -> None:
        self.box = box
        self.font = min(max(box / 22, _LEAST_FONT), _LARGEST_FONT)
        self.line = round(self.font * 1.35)
        self.bar = max(6, round(self.font / 2))
        self.caption = 2 * self.line + self.bar + self.line + 8
        self.cell = box + _GAP, box + self.caption + _GAP


def sheet_picture(sheet: Sheet) -> Pixels:
    """Return a sheet as a picture, (H, W, 3): groups below each other, captions below pictures."""
    sizes = _Measures(box_side(sheet))
    columns = columns_of(sheet)
    width = columns * sizes.cell[0] + _GAP
    titled = len(sheet.groups) > 1 or sheet.title
    strips = [_title(sheet.title, width, sizes.font * 1.3)] if sheet.title else []
    for group in sheet.groups:
        strips += _group(group, columns, width, sizes, titled=bool(titled))
    foot = np.full((_GAP // 2, width, 3), _PAPER, np.uint8)
    return np.concatenate([*strips, foot])


def _group(
    group: Group, columns: int, width: int, sizes: _Measures, *, titled: bool
) -> list[Pixels]:
    strips = [_title(group.title, width, sizes.font * 1.15)] if group.title and titled else []
    for looks in lines_of(group.looks, columns):
        # Low pictures need no room for high ones.
        drawn = [_enlarged(look.pixels, sizes.box) for look in looks]
        height = max(len(pixels) for pixels in drawn)
        strip = np.full((height + sizes.caption + _GAP, width, 3), _PAPER, np.uint8)
        for place, (look, pixels) in enumerate(zip(looks, drawn, strict=True)):
            left = _GAP + place * sizes.cell[0]
            across = slice(left, left + sizes.box)
            _draw(strip, (height - len(pixels) + _GAP, left), pixels, sizes.box)
            _caption(strip[_GAP + height + 6 :, across], look, sizes)
        strips.append(strip)
    return strips


def _draw(strip: Pixels, place: tuple[int, int], pixels: Pixels, box: int) -> None:
    """Draw a picture into its box, which begins at a row and a column, with a line around it."""
    rows, columns = pixels.shape[:2]
    top, left = place[0], place[1] + (box - columns) // 2
    strip[top - 1 : top + rows + 1, left - 1 : left + columns + 1] = _EDGE
    strip[top : top + rows, left : left + columns] = pixels


def _caption(cell: Pixels, look: Look, sizes: _Measures) -> None:
    """Write the name and the range of a picture, and draw its colours."""
    rows, columns = look.size
    _write(cell, look.name, 0, sizes.font, _INK)
    words = range_words(look)
    sized = f"{rows}x{columns}, {words}"
    if _ink(sized, sizes.font).shape[1] <= sizes.box:
        words = sized
    _write(cell, words, sizes.line, sizes.font, _FAINT)
    if look.has_scale:
        _draw_bar(cell, look, 2 * sizes.line + 2, sizes)


def _draw_bar(cell: Pixels, look: Look, row: int, sizes: _Measures) -> None:
    """Draw the colours of a scale, what its ends mean below them, and where 0 is."""
    scale, width = look.scale, sizes.box
    cell[row - 1 : row + sizes.bar + 1, :] = _EDGE
    cell[row : row + sizes.bar, 1:-1] = along(scale.colormap, np.linspace(0, 1, width - 2))
    below, size = row + sizes.bar + 4, max(_LEAST_FONT - 1, sizes.font * 0.85)
    low, high = (_ink(number(end), size) for end in (scale.low, scale.high))
    lay(cell, low, below, 0, _FAINT)
    lay(cell, high, below, width - high.shape[1], _FAINT)
    zero = _ink("0", size)
    if scale.low < 0 < scale.high:
        at = round(-scale.low / (scale.high - scale.low) * (width - 1))
        left = at - zero.shape[1] // 2
        if low.shape[1] + 8 < left < width - high.shape[1] - zero.shape[1] - 8:
            cell[row + sizes.bar : row + sizes.bar + 3, at] = _INK
            lay(cell, zero, below, left, _FAINT)


def _enlarged(pixels: Pixels, box: int) -> Pixels:
    """Return a picture as large as its box allows; small ones by whole numbers of pixels."""
    factor = max(1, box // max(pixels.shape[:2]))
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def _title(text: str, width: int, size: float) -> Pixels:
    strip = np.full((round(size * 1.5) + _GAP // 2, width, 3), _PAPER, np.uint8)
    lay(strip, _fitting(text, size, width - 2 * _GAP), _GAP // 2 + round(size * 0.3), _GAP, _INK)
    return strip


def _write(cell: Pixels, text: str, row: int, size: float, colour: tuple[int, int, int]) -> None:
    lay(cell, _fitting(text, size, cell.shape[1]), row, 0, colour)


def _fitting(text: str, size: float, width: int) -> npt.NDArray[np.float32]:
    """Return the ink of a text: as it is, or with what is too long left out in its middle."""
    ink = _ink(text, size)
    kept = len(text)
    while ink.shape[1] > width and kept > 4:
        kept = min(kept - 1, int(kept * width / ink.shape[1]) + 1)
        ends = kept - 2
        ink = _ink(f"{text[: ends - ends // 2]}..{text[len(text) - ends // 2 :]}", size)
    return ink


@lru_cache(4096)
def _ink(text: str, size: float) -> npt.NDArray[np.float32]:
    """Return the ink of a line of text; what the font lacks is a question mark."""
    return text_coverage(text.encode("ascii", "replace").decode(), size, aligned=True)
