"""A pattern from files: a picture or a window of one, and the weights of its pixels."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from conv_cli.colors import to_gray, white
from conv_cli.errors import ConvError, PatternError
from conv_cli.finding.pattern import pattern_weights, prepared
from conv_cli.images import MAX_PIXELS, read_image
from conv_cli.pipeline.jobs import STDIO
from conv_cli.pipeline.weights import read_mask

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
        whole = image.shape[:2]
        if crop is not None:
            image = image.window(*crop, name="--crop")
        values = np.array(image.colours, np.float64)
        weights = np.ones(values.shape[1:])
        if image.alpha:
            weights = image.planes[-1] / white(image.dtype)
    if mask is not None:
        with _named(mask):
            drawn = read_mask(mask, max_pixels)
            grey = np.asarray(drawn.pixels)
            if crop is not None and grey.shape == whole:
                row, column, height, width = crop
                grey = grey[row : row + height, column : column + width]
            if grey.shape != weights.shape:
                own, wanted = ("x".join(map(str, n[::-1])) for n in (grey.shape, weights.shape))
                raise PatternError(f"is {own}, and the pattern {wanted}; give a mask of its size")
            weights = weights * (grey / drawn.white)
    with _named(path):
        counted = pattern_weights(values, weights)
        if gray and len(values) == 3:
            values = to_gray(values[:, None])[:, 0]
        prepared(values, counted)
    return values, counted


@contextmanager
def _named(path: str) -> Iterator[None]:
    """Name the file in what is wrong with it, which is an error of usage."""
    try:
        yield
    except ConvError as error:
        lead = "stdin" if path == STDIO else path
        raise PatternError(f"{lead}: {str(error).removeprefix(f'{lead}: ')}") from None
