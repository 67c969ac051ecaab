"""Pairs that are files: read side by side, and what their formats do to pixels."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from conv_cli.errors import FitError
from conv_cli.fitting.quantised import Coded
from conv_cli.fitting.stored import stored
from conv_cli.images import (
    MAX_PIXELS,
    FrameChoice,
    Image,
    jpeg_luma,
    lossy_codec,
    read_frames,
    read_image,
)

Pixels = npt.NDArray[Any]


def is_file(image: Any) -> bool:
    """Tell whether an image is named by its file."""
    return isinstance(image, str | os.PathLike)


def opened(images: Sequence[Any], *, max_pixels: int = MAX_PIXELS) -> list[Any]:
    """Return the images, those that are named by their files as an Image.

    So many files that they would take much memory stay where they are, as a StoredImage each.

    Raises ImageError for a file that cannot be read in full.
    """

    def read(image: Any) -> Image | Any:
        return read_image(image, max_pixels=max_pixels) if is_file(image) else image

    if all(map(is_file, images)):
        in_files = stored([os.fspath(image) for image in images], max_pixels)
        if in_files is not None:
            return in_files
    with ThreadPoolExecutor() as pool:
        return list(pool.map(read, images))


def framed(
    before: str, after: str, frames: FrameChoice, *, max_pixels: int = MAX_PIXELS
) -> list[tuple[Image, Image]]:
    """Return the pairs that frames of two files make, in their order.

    Raises ImageError for a file that cannot be read in full, FitError for another number of them.
    """
    images, targets = (
        list(read_frames(path, frames, max_pixels=max_pixels)) for path in (before, after)
    )
    if len(images) != len(targets):
        raise FitError(
            f"{before}, {after}: {len(images)} frames and {len(targets)}; give --frames that both "
            "have, as 1,2"
        )
    return list(zip(images, targets, strict=True))


def recoding(targets: Sequence[Any]) -> Callable[[int, Pixels], Pixels] | None:
    """Return what sends pixels through the codec of a target by its number; None if none loses."""
    codecs = [lossy_codec(target) if is_file(target) else None for target in targets]

    def recode(number: int, pixels: Pixels) -> Pixels:
        codec = codecs[number]
        return pixels if codec is None else np.asarray(codec(pixels))

    return recode if any(codecs) else None


def coded(targets: Sequence[Any]) -> list[Coded | None]:
    """Return what targets that are JPEG files say of their brightness."""
    found = (jpeg_luma(target) if is_file(target) else None for target in targets)
    return [None if each is None else Coded(*each) for each in found]
