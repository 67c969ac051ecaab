"""A kernel drawn as a picture: a diverging heat map with its numbers, and its origin framed."""

import numpy as np
import numpy.typing as npt

from conv_cli.colormaps import diverging, ink
from conv_cli.errors import KernelError
from conv_cli.images.drawing import lay, text_coverage
from conv_cli.kernels.kernel import Kernel, Weights
from conv_cli.report.kernel_text import number_texts

Pixels = npt.NDArray[np.uint8]

_SIDE = 1024
"""Pixels that the longer side of the matrix takes at most while its cells are larger than one."""
_LARGEST_CELL, _LEAST_NUMBERED, _LEAST_RULED = 96, 28, 8
"""Pixels of a cell: the most, from where on numbers are drawn, and from where on lines are."""
_MOST_PIXELS = 8192
_FONT, _LEAST_FONT = 20.0, 7.0
_CAPTION, _MARGIN = 18.0, 16
_DIGITS = 3
_PAPER = 255


def kernel_picture(kernel: Kernel, caption: str = "") -> Pixels:
    """Return a kernel as a heat map, blue below zero and red above, with a line of text below it.

    Shape (H, W, 3). Raises KernelError if it has more than 8,192 rows or columns.
    """
    if max(kernel.shape) > _MOST_PIXELS:
        raise KernelError(
            f"kernel {kernel.name}: it has more than {_MOST_PIXELS:,} rows or columns, too many "
            "for a picture; convert it to .npy, and look at a part"
        )
    cell = cell_side(kernel.shape)
    cells = diverging(kernel.weights)
    matrix = cells.repeat(cell, axis=0).repeat(cell, axis=1)
    write_numbers(matrix, kernel.weights, cell, cells)
    rule(matrix, cell)
    if cell >= _LEAST_RULED:
        _frame_origin(matrix, kernel.origin, cell)
    return _on_paper(matrix, caption)


def cell_side(shape: tuple[int, int]) -> int:
    """Return how many pixels wide and high the cells of a matrix of that shape are drawn."""
    return max(1, min(_LARGEST_CELL, _SIDE // max(shape)))


def write_numbers(
    matrix: Pixels, weights: Weights, cell: int, cells: Pixels, *, blank_zeros: bool = False
) -> None:
    """Write every weight into its cell, all in one size of letters; none if they would be tiny.

    matrix : the picture, of cells of so many pixels; cells : the colour of each, (h, w, 3).
    """
    if cell < _LEAST_NUMBERED:
        return
    texts = [[text.strip() for text in row] for row in number_texts(weights, _DIGITS)]
    longest = max((text for row in texts for text in row), key=len)
    size = min(_FONT, _FONT * 0.85 * cell / text_coverage(longest, _FONT).shape[1])
    if size < _LEAST_FONT:
        return
    for row, column in np.ndindex(weights.shape):
        if blank_zeros and weights[row, column] == 0:
            continue
        coverage = text_coverage(texts[row][column], size)
        top, left = (
            place * cell + (cell - length) // 2
            for place, length in zip((row, column), coverage.shape, strict=True)
        )
        lay(matrix, coverage, top, left, ink(cells[row, column]))


def rule(matrix: Pixels, cell: int, grey: int = _PAPER) -> None:
    """Draw thin lines between cells of so many pixels, if they are large enough."""
    if cell >= _LEAST_RULED:
        matrix[cell::cell] = matrix[:, cell::cell] = grey


def _frame_origin(matrix: Pixels, origin: tuple[int, int], cell: int) -> None:
    top, left = (place * cell for place in origin)
    around = matrix[top : top + cell, left : left + cell]
    width = max(2, cell // 24)
    around[:width] = around[-width:] = 0
    around[:, :width] = around[:, -width:] = 0


def _on_paper(matrix: Pixels, caption: str) -> Pixels:
    """Return the matrix with a margin around it and the caption below it."""
    words = text_coverage(caption.encode("ascii", "replace").decode(), _CAPTION)
    height, width = len(matrix), max(matrix.shape[1], words.shape[1])
    below = len(words) + _MARGIN if caption else 0
    paper = np.full((height + below + 2 * _MARGIN, width + 2 * _MARGIN, 3), _PAPER, np.uint8)
    left = _MARGIN + (width - matrix.shape[1]) // 2
    paper[_MARGIN : _MARGIN + height, left : left + matrix.shape[1]] = matrix
    if caption:
        at = _MARGIN + (width - words.shape[1]) // 2
        lay(paper, words, height + 2 * _MARGIN, at, (0, 0, 0))
    return paper
