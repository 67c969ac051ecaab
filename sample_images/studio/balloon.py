"""A hot-air balloon over misty hills: nobody doubts which way is up."""

import numpy as np

from .painting import Array, develop, grid, halve, noise, pixels, polygon, step, tint

HIGH, WIDE = 800, 600  # twice the picture's size, so that the seams come out smooth
SILK = np.array([(0.72, 0.045, 0.03), (0.95, 0.42, 0.03), (0.88, 0.76, 0.5), (0.04, 0.15, 0.32)])
HILLS = [(630, (0.42, 0.42, 0.52)), (675, (0.22, 0.27, 0.30)), (730, (0.07, 0.11, 0.06))]


def balloon() -> Array:
    """The whole picture, RGB, upright."""
    row, col = np.broadcast_arrays(*grid(HIGH, WIDE))
    image = basket(envelope(morning(row), row, col), row, col)
    shown = develop(halve(image), 1.3, contrast=0.4)
    return pixels(shown + 0.008 * noise((512, 512), 49, 0.2)[: HIGH // 2, : WIDE // 2, None])


def texture(seed: int, slope: float) -> Array:
    """Noise of the size of the picture."""
    return noise((1024, 1024), seed, slope)[:HIGH, :WIDE]


def morning(row: Array) -> Array:
    """Sky, clouds and three rows of hills with mist at their feet."""
    fine = texture(44, 0.9)
    image = np.full((HIGH, WIDE, 3), [1.0, 0.74, 0.52])
    image = tint(image, [0.12, 0.32, 0.64], step(680, 0, row))
    puffs = step(0, 2, texture(40, 1.9) + 0.12 * fine)
    image = tint(image, [1.35, 1.15, 1.0], 0.8 * puffs)
    for k, (base, colour) in enumerate(HILLS):
        below = row - base - (26 - 4 * k) * noise((1, 2 * WIDE), 45 + k, 1.5)[0, :WIDE]
        hill = np.array(colour) * (1 + 0.08 * (k + 1) * fine.clip(-2, 2))[..., None]
        hill = tint(hill, [0.75, 0.62, 0.52], 0.5 * step(0, 90, below))
        image = tint(image, hill, step(-1, 1, below))
    return image


def envelope(image: Array, row: Array, col: Array) -> Array:
    """Twelve gores to the front, bulging between their seams, and a chequered belt."""
    x, y = (col - 312) / 184, (row - 256) / 184
    cone = np.cos(np.pi / 2 * np.clip(y / 1.3, 0, 1)) ** 0.9
    half = np.where(y < 0, np.sqrt(np.clip(1 - y**2, 0, 1)), cone)
    across = np.clip(x / np.maximum(half, 1e-6), -1, 1)
    gore = np.arcsin(across) / np.pi * 12 + 6.5
    belt = np.abs(y - 0.12 + 0.05 * across**2) < 0.13
    light = np.clip(0.65 - 0.62 * across * half - 0.3 * y, 0.08, 1.5)
    light = light * (0.75 + 0.25 * np.sin(np.pi * (gore % 1))) * (1.5 + 0.04 * texture(44, 0.9))
    silk = SILK[(np.floor(gore).astype(int) + 2 * belt) % len(SILK)] * light[..., None]
    return tint(image, silk, step(0.008, -0.008, np.abs(x) - half) * (np.abs(y - 0.12) < 1.12))


def basket(image: Array, row: Array, col: Array) -> Array:
    """Four ropes, and a basket of wickerwork with its rim."""
    for top, low in ((298, 300), (326, 324), (308, 308), (316, 316)):
        rope = [(top, 484), (top + 1.6, 484), (low + 1.6, 534), (low, 534)]
        image = tint(image, [0.05, 0.04, 0.03], polygon(image.shape, rope))
    wicker = 0.8 + 0.25 * ((row // 4 + col // 6) % 2) - 0.012 * (col - 312)
    for left, right, top, base, tone in ((296, 328, 534, 566, 0.55), (293, 331, 530, 537, 1.0)):
        side = [(left, top), (right, top), (right - 4, base), (left + 4, base)]
        colour = (tone * wicker)[..., None] * [0.5, 0.28, 0.12]
        image = tint(image, colour, polygon(image.shape, side))
    return image
