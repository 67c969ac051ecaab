"""What a lesson is about: a photograph, made small, and the places in it that are looked at."""

import math
import shlex
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.correlation.params import ConvParams
from conv_cli.errors import ImageError
from conv_cli.finding.find import score_map
from conv_cli.images import Image
from conv_cli.kernels.spec import load_kernel
from conv_cli.pipeline.feature_map import Range
from conv_cli.pipeline.filter import Filter, filtered_pixels

Pixels = npt.NDArray[np.uint8]

_SMALL = "small.png"
_WITH_OPACITY, _OPAQUE = "with-opacity.png", "opaque"
LEAST = 64
"""Rows and columns that a photograph needs."""
_MOST_SIDE = 384
"""Rows or columns of the small picture: its maps are shown pixel by pixel, in a page for mail."""
_WIDEST = 4
"""How many times as wide as high a picture may be, or as high as wide, before its middle is cut
out."""
_REACH = 4
"""Columns on each side of the edge that is looked at."""
_CANDIDATES = 12
_BYTES = np.dtype(np.uint8)


class Patch(NamedTuple):
    """A window of the small picture: its first row and column, its rows and columns."""

    row: int
    col: int
    height: int
    width: int

    @property
    def words(self) -> str:
        """As ``--crop`` takes it."""
        return f"{self.row},{self.col},{self.height}x{self.width}"

    def of(self, pixels: Pixels) -> Pixels:
        """Return the pixels in it."""
        return pixels[self.row : self.row + self.height, self.col : self.col + self.width]


class Subject(NamedTuple):
    """A photograph and what the lesson chose of it.

    name : str. Of the file, as it is typed into a shell.
    shape : (rows, columns, channels). Of the photograph, opacity left out.
    made_by : tuple of str. The commands that make the small picture.
    small : Image. Grey, uint8, without opacity, of at most 384 rows and columns.
    file : str. What the commands call it.
    factor : int. How many rows and columns of the photograph became one.
    edge : (row, column). Where two neighbours in a row differ most.
    patch : Patch. What nothing else in the small picture looks like.
    move : (rows, columns). How far it is moved.
    """

    name: str
    shape: tuple[int, int, int]
    made_by: tuple[str, ...]
    small: Image
    file: str
    factor: int
    edge: tuple[int, int]
    patch: Patch
    move: tuple[int, int]

    @property
    def moved(self) -> Image:
        """The small picture without its first rows and columns."""
        rows, columns = self.move
        height, width = self.small.shape[:2]
        return self.small.window(rows, columns, height - rows, width - columns)


def subject_of(name: str, image: Image) -> Subject:
    """Return what a lesson on a photograph is about.

    Raises ImageError if it has under 64 rows or columns, other bands than grey or colours, values
    that are no numbers, or no two pixels that differ.
    """
    rows, columns = image.shape[:2]
    if min(rows, columns) < LEAST:
        raise ImageError(
            f"has {rows} rows and {columns} columns, and the lesson needs {LEAST} of each; "
            "choose a larger picture"
        )
    if len(image.colours) not in (1, 3):
        raise ImageError(f"has {len(image.colours)} bands; choose a photograph, grey or in colour")
    if image.dtype.kind == "f" and not np.isfinite(np.asarray(image.pixels)).all():
        raise ImageError("holds NaN or infinity; choose a picture without gaps")
    made = _opaque(_reduced(_middle(_Made(image, shlex.quote(name), ()))))
    grey = made.image.pixels
    if grey.min() == grey.max():
        raise ImageError("is even everywhere, and has nothing to look for; choose another picture")
    return Subject(
        name,
        (rows, columns, len(image.colours)),
        made.commands,
        made.image,
        made.file,
        made.factor,
        _strongest_edge(grey),
        _rarest_patch(grey),
        (max(4, grey.shape[0] // 16), max(6, grey.shape[1] // 12)),
    )


class _Made(NamedTuple):
    """A picture on its way to the small one: what it is called, and the commands that made it."""

    image: Image
    file: str
    commands: tuple[str, ...]
    factor: int = 1

    def by(self, image: Image, options: str, file: str, *, factor: int = 1) -> "_Made":
        """Return what a command makes of it."""
        command = f"conv-cli apply {self.file} {options} -o {file}"
        return _Made(image, file, (*self.commands, command), factor)


def _middle(made: _Made) -> _Made:
    """Return the middle of a panorama; other pictures as they are."""
    height, width = made.image.shape[:2]
    most = _WIDEST * min(height, width)
    if max(height, width) <= most:
        return made
    rows, columns = min(height, most), min(width, most)
    top, left = (height - rows) // 2, (width - columns) // 2
    window = made.image.window(top, left, rows, columns)
    return made.by(window, f"-k identity --region {top},{left},{rows}x{columns}", "middle.tif")


def _reduced(made: _Made) -> _Made:
    """Return a picture as grey bytes of few pixels, each the mean of a square."""
    image = made.image
    height, width = image.shape[:2]
    factor = max(1, min(math.ceil(max(height, width) / _MOST_SIDE), min(height, width) // LEAST))
    mode = Range("stretch" if image.dtype.kind == "f" else "clip")
    kernel = load_kernel(f"box:{factor}")
    inside = ConvParams(stride=(factor, factor), padding=((0, 0), (0, 0)))
    rule = Filter((kernel,), inside, gray=True)
    pixels = filtered_pixels(image, rule, (kernel,), _BYTES, mode)
    stretched = " --range stretch" if mode.name == "stretch" else ""
    options = (
        f"-k box:{factor} --padding valid --stride {factor} --channels gray --depth 8{stretched}"
    )
    file = _WITH_OPACITY if image.alpha else _SMALL
    return made.by(Image(pixels, alpha=image.alpha), options, file, factor=factor)


def _opaque(made: _Made) -> _Made:
    """Return a picture without its opacity, as networks take it."""
    if not made.image.alpha:
        return made
    pixels = np.ascontiguousarray(made.image.colours[0])
    command = f"conv-cli net apply identity {made.file} -o {_OPAQUE}"
    file = f"{_OPAQUE}/{made.file.removesuffix('.png')}.1.1.png"
    return _Made(Image(pixels), file, (*made.commands, command), made.factor)


def _strongest_edge(grey: Pixels) -> tuple[int, int]:
    """Return where a pixel differs most from its right neighbour, with room for a row around it."""
    steps = np.abs(np.diff(grey.astype(np.int16), axis=1))
    inner = steps[1:-1, _REACH:-_REACH]
    row, column = np.unravel_index(int(inner.argmax()), inner.shape)
    return int(row) + 1, int(column) + _REACH


def _rarest_patch(grey: Pixels) -> Patch:
    """Return the window, of those with most detail, that its likest other place resembles least."""
    side = max(12, min(grey.shape) // 8)
    places = [
        (row, column)
        for row in range(side // 2, grey.shape[0] - side * 3 // 2, side // 2)
        for column in range(side // 2, grey.shape[1] - side * 3 // 2, side // 2)
    ]
    windows = [Patch(row, column, side, side) for row, column in places]
    windows.sort(key=lambda patch: -float(patch.of(grey).std()))
    detailed = [patch for patch in windows[:_CANDIDATES] if patch.of(grey).std() > 0]
    if not detailed:  # whatever detail there is lies at the rim
        row, column = _strongest_edge(grey)
        top, left = (
            min(max(place - side // 2, 0), n - side)
            for place, n in zip((row, column), grey.shape, strict=True)
        )
        return Patch(top, left, side, side)
    return min(detailed, key=lambda patch: second_score(grey, patch))


def second_score(grey: Pixels, patch: Patch) -> float:
    """Return the best score of a patch away from its own place."""
    scores = score_map(grey, patch.of(grey))
    rows, columns = (
        slice(max(0, place - side // 2), place + side // 2 + 1)
        for place, side in ((patch.row, patch.height), (patch.col, patch.width))
    )
    scores[rows, columns] = -1
    return float(scores.max())
