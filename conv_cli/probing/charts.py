"""The charts: noise on which least squares is as sure of every weight as it can be.

A chart is 240×360 pixels of red, green and blue, four tiles of 120×180. Means and reaches of the
noise vary, as tails that are cut off look like a bias where there is one mean alone. Both sides
divide by 2 to 6, 8, 10 and 12, for programs that sample.
"""

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.images import Image

Array = npt.NDArray[Any]
Name = Literal["noise", "copies", "opacity", "deep"]

HEIGHT, WIDTH = 240, 360
TILE = HEIGHT // 2, WIDTH // 2
_PATCH = 60, 45
PATCHES = (((72, 16), (176, 56), (128, 32), (184, 8)), ((80, 56), (104, 8), (152, 16), (96, 32)))
"""Means, and how far the noise reaches to both sides of them, of the patches of a tile."""
TILES = {
    "first": (slice(0, TILE[0]), slice(0, TILE[1])),
    "shuffled": (slice(0, TILE[0]), slice(TILE[1], WIDTH)),
    "wild": (slice(TILE[0], HEIGHT), slice(0, TILE[1])),
    "moved": (slice(TILE[0], HEIGHT), slice(TILE[1], WIDTH)),
}
"""Where the tiles of "copies" lie."""
DEPTH_STEP = 257
"""From 8 bits to 16."""
_SEED = 22
_FINE = 100
"""Steps of 16 bits that are added to those of 8, either way."""


class Charts(NamedTuple):
    """All charts of one depth, 8 or 16 bits."""

    depth: int = 8

    def image(self, name: Name) -> Image:
        """Return a chart by its name.

        "noise": the first and most important one. "copies": its first tile twice, once with its
        pixels shuffled, and a wild one. "opacity": the noise with opacity. "deep": 16 bits.
        """
        if name == "deep":
            return Image(_deep(noise()))
        if name == "opacity":
            return Image(self._in_depth(np.dstack([noise(), opacity()])), alpha=True)
        if self.depth == 8:
            return Image(noise() if name == "noise" else _copies(noise()))
        return Image(_deep(noise()) if name == "noise" else _copies(_deep(noise())))

    def _in_depth(self, pixels: Array) -> Array:
        return pixels if self.depth == 8 else pixels.astype(np.uint16) * DEPTH_STEP


def noise() -> Array:
    """Return uniform noise (240, 360, 3), uint8, patch by patch; its channels are independent."""
    draw = np.random.default_rng(_SEED)
    mean, reach = patches()
    return (mean + draw.integers(-reach, reach + 1, (HEIGHT, WIDTH, 3))).astype(np.uint8)


def patches() -> tuple[Array, Array]:
    """Return the mean and the reach of the noise at every pixel, (240, 360, 1) each."""
    tile = np.repeat(np.repeat(np.array(PATCHES), _PATCH[0], axis=0), _PATCH[1], axis=1)
    whole = np.tile(tile, (2, 2, 1))
    return whole[..., :1], whole[..., 1:]


def shuffle() -> Array:
    """Return the pixel of the first tile, by its number, that each pixel of "shuffled" is."""
    return np.random.default_rng(_SEED + 1).permutation(TILE[0] * TILE[1])


def opacity() -> Array:
    """Return opacity (240, 360), uint8: noise, then 64 and 255 at random, then full."""
    draw = np.random.default_rng(_SEED + 2)
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    third = WIDTH // 3
    alpha[:, :third] = draw.integers(0, 256, (HEIGHT, third))
    alpha[:, third : 2 * third] = draw.choice(np.array([64, 255], np.uint8), (HEIGHT, third))
    return alpha


def _deep(pixels: Array) -> Array:
    """Return 16 bits that no 8 can hold."""
    draw = np.random.default_rng(_SEED + 3)
    fine = draw.integers(-_FINE, _FINE + 1, pixels.shape)
    return (pixels.astype(np.int64) * DEPTH_STEP + fine).astype(np.uint16)


def _copies(pixels: Array) -> Array:
    """Return the first tile twice, shuffled once, and a wild tile."""
    first = pixels[TILES["first"]]
    copies = np.empty_like(pixels)
    copies[TILES["first"]] = copies[TILES["moved"]] = first
    copies[TILES["shuffled"]] = first.reshape(-1, 3)[shuffle()].reshape(first.shape)
    copies[TILES["wild"]] = _wild(int(np.iinfo(pixels.dtype).max))
    return copies


def _wild(top: int) -> Array:
    """Return what programs clip: black and white noise, the full range, flats, a ramp."""
    draw = np.random.default_rng(_SEED + 4)
    tile = np.empty((*TILE, 3), np.int64)
    rows, columns = _PATCH
    tile[:rows, : 2 * columns] = draw.integers(0, 2, (rows, 2 * columns, 3)) * top
    tile[:rows, 2 * columns :] = draw.integers(0, top + 1, (rows, 2 * columns, 3))
    for number, level in enumerate((0.0, 0.5, 1.0)):
        tile[rows:, number * columns : (number + 1) * columns] = round(level * top)
    tile[rows:, 3 * columns :] = np.linspace(0, top, columns).astype(np.int64)[:, None]
    return tile
