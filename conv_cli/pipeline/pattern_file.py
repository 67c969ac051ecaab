"""A pattern from files: a picture or a window of one, and the weights of its pixels."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from conv_cli.colors import to_gray, white
from conv_cli.errors import ImageError, PatternError
from conv_cli.finding.pattern import pattern_weights, prepared
from conv_cli.images import MAX_PIXELS, read_image
from conv_cli.pipeline.jobs import STDIO

Array = npt.NDArray[Any]
Window = tuple[int, int, int, int]
"""Row, column, height and width."""


def read_pattern(
    path: str,
    *,
    crop: Window | None = None,
    mask: str | None = None,
    gray: bool = False,
    max_pixels: int = MAX_PIXELS,
    stdin: BinaryIO | None = None,
) -> tuple[Array, Array | None]:
    """Return the colours (C, h, w) of a pattern, and its weights (h, w), None if all are alike.

    crop : Window, optional. The pattern is that part of the picture.
    mask : str, optional. A picture as large as the pattern, or as what it is a window of, whose
        grey weighs the pixels; opacity does too.
    gray : bool. Whether grey alone is wanted.
    stdin : BinaryIO, optional. For a path "-".

    Raises PatternError, which names the file, if one cannot be read, they do not fit each other,
    or the pattern has no detail.
    """
    with _named(path):
        image = read_image(stdin if path == STDIO and stdin else path, max_pixels=max_pixels)
        whole = image.shape[0], image.shape[1]
        values = np.array(_cropped(image.colours, crop, whole), np.float64)
        weights = np.ones(values.shape[1:])
        if image.alpha:
            weights = _cropped(image.planes[-1], crop, whole) / white(image.dtype)
    if mask is not None:
        with _named(mask):
            weights = weights * _mask_weights(mask, crop, whole, weights.shape, max_pixels)
    with _named(path):
        counted = pattern_weights(values, weights)
        if gray and len(values) == 3:
            values = to_gray(values[:, None])[:, 0]
        prepared(values, counted)
    return values, counted


def _mask_weights(
    path: str, crop: Window | None, whole: tuple[int, int], size: tuple[int, ...], max_pixels: int
) -> Array:
    """Return the grey of a mask from 0 to 1, of the pattern's size."""
    drawn = read_image(path, max_pixels=max_pixels)
    grey = np.asarray(to_gray(drawn.colours[:, None])[0, 0], np.float64) / white(drawn.dtype)
    if grey.shape == whole:
        return np.asarray(_cropped(grey, crop, whole))
    if grey.shape != size:
        own, wanted = ("x".join(map(str, shape[::-1])) for shape in (grey.shape, size))
        raise PatternError(f"is {own}, and the pattern {wanted}; give a mask of its size")
    return grey


def _cropped(array: Array, crop: Window | None, size: tuple[int, int]) -> Array:
    """Return a window of the last two axes of an array of that size."""
    if crop is None:
        return array
    row, col, height, width = crop
    if row + height > size[0] or col + width > size[1]:
        raise PatternError(
            f"--crop {row},{col},{height}x{width} reaches beyond its {size[0]} rows and {size[1]} "
            "columns; choose a window inside"
        )
    return array[..., row : row + height, col : col + width]


@contextmanager
def _named(path: str) -> Iterator[None]:
    """Name the file in what is wrong with it, which is an error of usage."""
    try:
        yield
    except (ImageError, PatternError) as error:
        lead = "stdin" if path == STDIO else path
        raise PatternError(f"{lead}: {str(error).removeprefix(f'{lead}: ')}") from None
