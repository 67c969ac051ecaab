"""What the pictures have in common: noise, masks, layers, and the way from light to pixels.

Colours are linear light in float64 arrays of shape (H, W, 3), where 1 is a white wall in the sun;
masks are of shape (H, W), 0..1. `develop` and `pixels` make them into a picture once, at the end.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

Array = np.ndarray
Points = Sequence[tuple[float, float]]


def uniform(shape: tuple[int, ...], seed: int) -> Array:
    """Random numbers in 0..1: the plain bits of the generator, alike in every NumPy."""
    return np.random.Generator(np.random.PCG64(seed)).random(shape)


@lru_cache(maxsize=8)
def noise(
    shape: tuple[int, int], seed: int, slope: float = 1.0, low: float = 0, high: float = np.inf
) -> Array:
    """Tileable noise, mean 0, deviation 1: amplitude 1/f^slope over low..high cycles a tile.

    A slope of 1 is the texture of photographs (Field, J. Opt. Soc. Am. A 4, 1987).
    """
    rows = np.fft.fftfreq(shape[0])[:, None] * shape[0]
    frequency = np.hypot(rows, np.fft.rfftfreq(shape[1]) * shape[1])
    frequency[0, 0] = np.inf
    amplitude = frequency**-slope * (frequency >= low) * (frequency < high)
    phase = np.exp(2j * np.pi * uniform(frequency.shape, seed))
    field = np.fft.irfft2(amplitude * phase, s=shape)
    field /= field.std()
    field.flags.writeable = False
    return field


def blur(field: Array, sigma: float) -> Array:
    """Gaussian blur of the first two axes; the borders are repeated outwards."""
    rim, more = int(3 * sigma) + 1, field.ndim - 2
    padded = np.pad(field, [(rim, rim)] * 2 + [(0, 0)] * more, mode="edge")
    rows, cols = (np.fft.fftfreq(n) for n in padded.shape[:2])
    gain = np.exp(-2 * (np.pi * sigma) ** 2 * np.add.outer(rows**2, cols**2))
    spectrum = np.fft.fft2(padded, axes=(0, 1)) * gain.reshape(gain.shape + (1,) * more)
    return np.fft.ifft2(spectrum, axes=(0, 1)).real[rim:-rim, rim:-rim]


def grid(height: int, width: int) -> tuple[Array, Array]:
    """Row and column of the pixel centres, shapes (H, 1) and (1, W)."""
    return np.arange(height)[:, None] + 0.5, np.arange(width)[None] + 0.5


def step(start: float, stop: float, x: Array) -> Array:
    """0 up to start, 1 from stop on, smooth between; start may be the larger."""
    t = np.clip((x - start) / (stop - start), 0, 1)
    return t * t * (3 - 2 * t)


def mix(start: Any, stop: Any, t: Any) -> Any:
    """From start at t = 0 to stop at t = 1."""
    return start + (stop - start) * t


def tint(image: Array, colour: Any, mask: Any) -> Array:
    """Lay a colour, or a second image, over an image where the mask is 1."""
    return mix(image, np.asarray(colour), np.asarray(mask)[..., None])


def sample(field: Array, row: Any, col: Any) -> Array:
    """Bilinear reading at fractional positions of a field, (H, W) or (H, W, C), that tiles."""
    top, left = np.floor(row).astype(int), np.floor(col).astype(int)
    down, along = row - top, col - left
    if field.ndim == 3:
        down, along = down[..., None], along[..., None]
    height, width = field.shape[:2]
    top, under, left, right = top % height, (top + 1) % height, left % width, (left + 1) % width
    upper = mix(field[top, left], field[top, right], along)
    return mix(upper, mix(field[under, left], field[under, right], along), down)


def polygon(shape: tuple[int, ...], points: Points, fine: int = 4) -> Array:
    """How much of each pixel a polygon of (x, y) corners covers, fine x fine samples a pixel."""
    mask = Image.new("L", (shape[1] * fine, shape[0] * fine))
    ImageDraw.Draw(mask).polygon([(x * fine, y * fine) for x, y in points], fill=255)
    return np.asarray(mask.reduce(fine)) / 255


def halve(image: Array) -> Array:
    """Half the size: each pixel the mean of 2 x 2."""
    height, width = image.shape[0] // 2, image.shape[1] // 2
    return image.reshape(height, 2, width, 2, *image.shape[2:]).mean((1, 3))


def develop(light: Array, exposure: float, contrast: float = 0) -> Array:
    """Linear light to display values 0..1: a soft shoulder, gamma 2.2, and an S-curve."""
    shown = (1 - np.exp(-np.clip(light, 0, None) * exposure)) ** (1 / 2.2)
    return mix(shown, step(-0.05, 1.05, shown), contrast)


def pixels(values: Array) -> Array:
    """Display values 0..1 to 8-bit pixels."""
    return np.clip(np.rint(values * 255), 0, 255).astype(np.uint8)
