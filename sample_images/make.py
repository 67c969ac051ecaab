"""Make the sample images: `python sample_images/make.py [FOLDER]`, beside this file by default.

Every picture is worked out from formulas and seeds, so that it is nobody else's and can be made
again at any time. The photographs are textured by noise whose amplitude falls as 1/f, as that of
real ones does: what a filter does to them, it does to yours.
"""

import sys
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import ExifTags, Image

from conv_cli import write_image
from studio.balloon import balloon
from studio.demonstrations import equivariance, flip, learned, locality
from studio.feature_maps import feature_maps
from studio.landscape import landscape
from studio.leaf import leaf
from studio.painting import Array
from studio.printed import chart, page, square
from studio.still_life import still_life
from studio.sunset import sunset


class Sample(NamedTuple):
    """A picture, and what Pillow is told when it saves it."""

    paint: Callable[[], Array]
    options: dict[str, Any]


def lying_balloon() -> Array:
    """The balloon as a camera on its side stores it: a quarter turn anticlockwise."""
    return np.rot90(balloon())


def turned_clockwise() -> Image.Exif:
    """The tag that a viewer answers with a quarter turn clockwise."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    return exif


@cache
def landscape_once() -> Array:
    """The landscape, which two files are made of."""
    return landscape()


@cache
def still_life_once() -> Array:
    """The still life, which the demonstrations are made of too."""
    return still_life()


def landscape_maps() -> Array:
    """The README's picture, of the landscape as it is stored."""
    stream = BytesIO()
    Image.fromarray(landscape_once()).save(stream, "jpeg", **SAMPLES["landscape.jpg"].options)
    return feature_maps(stream.getvalue())


SAMPLES = {
    "landscape.jpg": Sample(landscape_once, {"quality": 90}),
    "feature-maps.jpg": Sample(landscape_maps, {"quality": 88}),
    "still-life.png": Sample(still_life_once, {"optimize": True}),
    "equivariance.jpg": Sample(lambda: equivariance(still_life_once()), {"quality": 85}),
    "locality.jpg": Sample(lambda: locality(still_life_once()), {"quality": 85}),
    "flip.jpg": Sample(lambda: flip(still_life_once()), {"quality": 85}),
    "learned.jpg": Sample(lambda: learned(still_life_once()), {"quality": 90}),
    "sunset-16bit.png": Sample(sunset, {}),
    "leaf.png": Sample(leaf, {"optimize": True}),
    "rotated.jpg": Sample(lying_balloon, {"quality": 90, "exif": turned_clockwise()}),
    "chart.png": Sample(chart, {"optimize": True}),
    "page.png": Sample(page, {"optimize": True}),
    "square.png": Sample(square, {"optimize": True}),
}


def save(path: Path, pixels: Array, options: dict[str, Any]) -> None:
    """Write one file. Pillow has no 16-bit colour, so those pixels go another way."""
    if pixels.dtype == np.uint16:
        write_image(path, pixels, force=True)
    else:
        Image.fromarray(np.ascontiguousarray(pixels)).save(path, **options)


def make_all(folder: Path) -> None:
    """Make every picture, into a folder that need not be there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, sample in SAMPLES.items():
        save(folder / name, sample.paint(), sample.options)


if __name__ == "__main__":
    make_all(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
