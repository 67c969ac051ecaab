"""A maple leaf with its shadow, and soap bubbles: every kind of transparency."""

import numpy as np

from .painting import Array, blur, develop, grid, noise, pixels, step, tint

SIZE = 384
LOBES = [(0, 1.22), (0.92, 1.08), (-0.92, 1.08), (1.75, 0.80), (-1.75, 0.80)]
BUBBLES = [(318, 78, 46), (62, 92, 30), (352, 168, 17), (88, 330, 24), (28, 40, 12), (250, 262, 21)]
HIDDEN = (0, 255, 0)


def leaf() -> Array:
    """The whole picture, RGBA, colours not multiplied by alpha.

    Where nothing is to be seen the colour is green: a filter that lets it through leaves fringes.
    """
    colour, solid = blade()
    shadow = 0.55 * blur(np.roll(solid, (14, 11), (0, 1)), 9)
    alpha = solid + shadow * (1 - solid)
    colour = colour * (solid / np.maximum(alpha, 1e-9))[..., None]
    for x, y, radius in BUBBLES:
        tone, glass = bubble(x, y, radius)
        alpha = glass + alpha * (1 - glass)
        colour = tint(colour, tone, glass / np.maximum(alpha, 1e-9))
    shown = pixels(np.dstack([develop(colour, 1.5), alpha]))
    shown[shown[..., 3] == 0, :3] = HIDDEN
    return shown


def blade() -> tuple[Array, Array]:
    """Colour and mask of the leaf and its stalk, leaning to the right."""
    row, col = grid(SIZE, SIZE)
    x, y = (col - 196) / 150, (222 - row) / 150
    x, y = 0.966 * x - 0.259 * y, 0.966 * y + 0.259 * x
    radius = np.hypot(x, y)
    edge, vein = lobes(np.arctan2(x, y), radius)
    body = step(0.012, -0.012, radius - edge * (1 + 0.03 * noise((SIZE, SIZE), 31, 1.8)))
    stalk = step(0.008, -0.004, np.abs(x - 0.12 * y * y) - 0.018 + 0.010 * np.sin(7 * y))
    stalk = stalk * (y < 0.02) * (y > -0.78)
    heat = np.clip(radius / 1.15 + 0.16 * noise((SIZE, SIZE), 30, 1.2), 0, 1)
    colour = np.full((SIZE, SIZE, 3), [0.95, 0.46, 0.04])
    colour = tint(colour, [0.72, 0.10, 0.02], step(0.15, 0.6, heat))
    colour = tint(colour, [0.30, 0.012, 0.02], step(0.55, 1.0, heat))
    shade = 1 + 0.14 * noise((SIZE, SIZE), 32, 0.9) - 0.21 * x + 0.17 * y
    colour = colour * np.clip(shade, 0.4, 1.8)[..., None]
    colour = tint(
        colour, [1.0, 0.62, 0.16], 0.75 * step(0.020, 0.008, vein) * step(1.2, 0.2, radius)
    )
    return tint(colour, [0.42, 0.09, 0.03], stalk * (1 - body)), np.maximum(body, stalk)


def lobes(angle: Array, radius: Array) -> tuple[Array, Array]:
    """How far the leaf reaches in each direction, and how far away the nearest vein is."""
    edge, vein = np.full(angle.shape, 0.30), np.full(angle.shape, np.inf)
    for at, tall in LOBES:
        off = np.abs(angle - at)
        along, side = radius * np.cos(off), radius * np.sin(off)
        tooth = 0.15 * np.abs(off * 7.5 % 1 - 0.5)
        edge = np.maximum(edge, tall * (1 - 1.17 * off**0.85) + tooth)
        main = np.where(off < 1.2, side / np.maximum(1.15 - 0.85 * along / tall, 0.1), np.inf)
        twig = np.abs((along - 0.75 * side + 0.02) % 0.16 - 0.08) * 2.6 + 0.006
        twig = np.where((off < 0.42) & (along > 0.1), twig, np.inf)
        vein = np.minimum(vein, np.minimum(main, twig))
    return edge, vein


def bubble(x: float, y: float, radius: float) -> tuple[Array, Array]:
    """Colour and opacity of a soap bubble: clear in the middle, iridescent at the rim."""
    row, col = grid(SIZE, SIZE)
    right, down = (col - x) / radius, (row - y) / radius
    d = np.hypot(right, down)
    glint = np.exp(-((right + 0.40) ** 2 + (down + 0.42) ** 2) / 0.13**2)
    phase = 9 * d**3 + 2 * np.arctan2(down, right)
    film = 0.72 + 0.28 * np.cos(phase[..., None] + [0, 2.1, 4.2])
    glass = step(1, 1 - 1.6 / radius, d) * np.clip(0.10 + 0.60 * d**5 + 0.9 * glint, 0, 1)
    return tint(film, [3, 3, 3], glint), glass
