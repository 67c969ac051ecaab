"""A lake under mountains in the evening: a height map, seen across the water.

In the scene x runs to the right, z away from the camera and height up; 1 is about a kilometre.
"""

import numpy as np

from .painting import (
    Array,
    blur,
    develop,
    grid,
    noise,
    pixels,
    polygon,
    sample,
    step,
    tint,
    uniform,
)

SPAN, TEXELS = 16.0, 1280
WIDE, HIGH = 1200, 800
HORIZON, FOCAL, EYE = 470, 1000.0, 0.13

PEAKS = [(3.1, 1.5, 11, 2.6), (2.3, -4.6, 11, 2.3), (1.9, 5.8, 9.6, 2.1), (1.6, -1.6, 14, 2)]

WHITE, LAMP = (0.80, 0.70, 0.58), (2.4, 1.2, 0.33)
CABIN = [  # one face a line: its colour, then corners in units of half its width
    ((0.50, 0.075, 0.035), [(-1, 0), (-1, -0.62), (0.35, -0.62), (0.35, 0)]),
    ((0.13, 0.022, 0.018), [(0.35, 0), (0.35, -0.62), (0.68, -1.12), (1, -0.62), (1, 0)]),
    ((0.17, 0.15, 0.15), [(-1.1, -0.57), (-0.72, -1.2), (0.69, -1.2), (0.36, -0.57)]),
    ((0.30, 0.28, 0.28), [(0.36, -0.57), (0.69, -1.2), (1.1, -0.55), (1.04, -0.55), (0.69, -1.08)]),
    ((0.30, 0.20, 0.16), [(-0.55, -1.05), (-0.55, -1.5), (-0.35, -1.5), (-0.35, -1.05)]),
    (WHITE, [(0.31, 0), (0.31, -0.58), (0.39, -0.58), (0.39, 0)]),
    (WHITE, [(-1, 0), (-1, -0.57), (-0.93, -0.57), (-0.93, 0)]),
    (WHITE, [(-0.78, -0.16), (-0.78, -0.46), (-0.45, -0.46), (-0.45, -0.16)]),
    (LAMP, [(-0.73, -0.2), (-0.73, -0.42), (-0.5, -0.42), (-0.5, -0.2)]),
    (WHITE, [(-0.2, 0), (-0.2, -0.47), (0.1, -0.47), (0.1, 0)]),
    ((0.10, 0.045, 0.03), [(-0.15, 0), (-0.15, -0.42), (0.05, -0.42), (0.05, 0)]),
    (LAMP, [(0.55, -0.16), (0.55, -0.46), (0.82, -0.46), (0.82, -0.16)]),
]


def landscape() -> Array:
    """The whole picture, RGB."""
    seen, z = look(terrain())
    height = seen[..., 0]
    fog = evening_haze()
    mist = np.exp(-np.maximum(height, 0) / 0.2) * np.clip(1 + 0.6 * texture(63, 1.5), 0, 3)
    far = 1 - np.exp(-np.minimum(z, SPAN) * (0.013 + 0.05 * mist))
    image = np.where(np.isinf(z)[..., None], clouds(fog), tint(lit_ground(seen), fog, far))
    wet = (height <= 0) & np.isfinite(z)
    shoreline = HIGH - np.argmin(wet[::-1], axis=0).astype(float)
    forest(image, shoreline, fog / 2, near=False)
    backdrop = image.copy()
    forest(image, shoreline, fog / 2, near=True)
    image = cabin(image, 310, shoreline[310] - 4, 30)
    near = np.maximum(z < 3.3, np.any(image != backdrop, axis=-1)).astype(float)
    image = jetty(lake(image, backdrop, near, shoreline))
    shown = develop(blur(image, 0.55), 1.35, contrast=0.55)
    return pixels(0.004 + 0.986 * shown + 0.010 * texture(99, 0.2)[..., None])


def texture(seed: int, slope: float) -> Array:
    """Noise of the size of the picture."""
    return noise((2048, 2048), seed, slope)[:HIGH, :WIDE]


def ridges(seed: int) -> Array:
    """Ridged noise: each octave is folded at 0, and follows the crests of the one before.

    After Musgrave, Kolb and Mace, "The synthesis and rendering of eroded fractal terrains", 1989.
    """
    total, weight = np.zeros((TEXELS, TEXELS)), np.ones((TEXELS, TEXELS))
    for octave in range(8):
        cycles = 3 * 2**octave
        fold = noise(total.shape, seed + octave, 0.6, cycles * 0.6, cycles * 1.6)
        crest = 1.1 - np.sqrt(fold**2 + 0.02)
        total += 0.54**octave * crest * weight
        weight = np.clip(0.35 + 0.65 * crest * weight, 0.15, 1)
    return (total - total.mean()) / total.std()


def heights(z: Array, x: Array) -> Array:
    """Height above the water: peaks far away, a shore before them, a point of land on the left."""
    size = (TEXELS, TEXELS)
    rise = sum(
        top * np.exp(-np.sqrt(((x - px) ** 2 + (z - pz) ** 2) / wide**2 + 0.03))
        for top, px, pz, wide in PEAKS
    )
    inland = z - 4.6 - 0.35 * np.sin(x * 1.1 + 1) - 0.25 * noise(size, 5, 1.3, 2, 80)
    point = (
        0.5 - 0.5 * np.hypot((x + 1.2) / 0.75, (z - 2.6) / 0.35) + 0.03 * noise(size, 4, 1.0, 16)
    )
    hills = (rise - 0.25) * (1 + 0.3 * ridges(10)) + 0.012 * noise(size, 6)
    banks = 0.05 * np.tanh(3 * np.maximum(inland, point)) + 0.22 * np.maximum(point, 0)
    return hills * step(-0.3, 3.2, inland) + banks


def slopes(height: Array) -> tuple[Array, Array, Array]:
    """Slopes along z and x, and the upward part of the unit normal."""
    dz, dx = np.gradient(height, SPAN / TEXELS)
    return dz, dx, 1 / np.sqrt(1 + dx**2 + dz**2)


def terrain() -> Array:
    """Layers of the map, shape (TEXELS, TEXELS, 5): height, sunlight, upwardness, snow, woods."""
    size = (TEXELS, TEXELS)
    z, x = (axis * SPAN / TEXELS for axis in grid(*size))
    x = x - SPAN / 2
    height = heights(z, x)
    # The sun stands low in the west: what is under the running maximum of its ray is in shade.
    ray = height + 0.52 * x
    shade = step(0, 0.05, np.maximum.accumulate(ray, axis=1) - ray)
    dz, dx, up = slopes(height)
    sun = np.clip((0.76 * dx + 0.42 + 0.5 * dz) * up, 0, None) * (1 - shade)
    gentle = slopes(blur(height, 1.5))[2] + 0.04 * noise(size, 50, 0.8)
    snow = step(0.50, 0.60, gentle) * step(0.75, 1.1, height + 0.12 * noise(size, 51))
    woods = step(0.95, 0.6, height + 0.1 * noise(size, 61)) * step(0.45, 0.65, gentle)
    return np.stack([height, sun, up, snow, woods], -1)


def look(layers: Array) -> tuple[Array, Array]:
    """See the map from the camera: its layers at each pixel, and z, infinite in the sky."""
    z = np.geomspace(1.2, SPAN * 0.99, 1600)
    x = z[:, None] * (np.arange(WIDE) + 0.5 - WIDE / 2) / FOCAL
    row = np.clip(z * TEXELS / SPAN - 0.5, 0, TEXELS - 2)
    col = (x / SPAN + 0.5) * TEXELS - 0.5
    height = np.maximum(sample(layers[..., 0], row[:, None], col), 0)
    # Down a column of the picture, the first ground whose skyline is above a row is seen there.
    skyline = np.minimum.accumulate(HORIZON - (height - EYE) * FOCAL / z[:, None], axis=0)
    rows = np.arange(HIGH) + 0.5
    hit = np.stack([np.searchsorted(-line, -rows) for line in skyline.T], 1)
    sky, hit = hit == len(z), np.minimum(hit, len(z) - 1)
    seen = sample(layers, row[hit], col[hit, np.arange(WIDE)])
    return seen, np.where(sky, np.inf, z[hit])


def evening_haze() -> Array:
    """The colour of far air, warm towards the sun."""
    west = step(1.0, -0.2, grid(HIGH, WIDE)[1] / WIDE)
    return tint(np.full((HIGH, WIDE, 3), [0.40, 0.50, 0.68]), [1.05, 0.76, 0.50], 0.75 * west)


def lit_ground(seen: Array) -> Array:
    """Rock, woods and snow in the light of the low sun and of the blue sky."""
    _, sun, up, snow, woods = np.moveaxis(seen, -1, 0)
    grain = texture(62, 0.6)[..., None]
    ground = np.array([0.19, 0.165, 0.15]) * (1 + 0.22 * grain)
    ground = tint(ground, np.array([0.030, 0.046, 0.018]) * (1 + 0.35 * grain.clip(-2, 2)), woods)
    ground = tint(ground, [0.86, 0.88, 0.92], snow)
    sky = (0.35 + 0.65 * up)[..., None] * [0.17, 0.26, 0.46]
    return ground * (sun[..., None] * [3.9, 2.65, 1.5] + sky)


def clouds(fog: Array) -> Array:
    """A sky that deepens upwards, with a sheet of cloud seen in perspective."""
    row, col = np.broadcast_arrays(*grid(HIGH, WIDE))
    rise = np.maximum(HORIZON - row, 1) / FOCAL + 0.06
    v, u = 60 / rise, (col - WIDE / 2) / FOCAL / rise * 60 + 200
    sheet, wisps = noise((1024, 1024), 70, 1.25), noise((1024, 1024), 71)
    here, west = (
        0.8 * sample(sheet, v, u - shift) + 0.35 * sample(wisps, v * 3, u * 3 - shift)
        for shift in (0, 9)
    )
    up = (HORIZON - row) / HIGH
    sky = tint(fog, [0.07, 0.20, 0.50], step(-0.02, 0.6, up))
    thick = step(0.1, 2.1, here)
    lit = step(-0.9, 1.0, here - west) * (1 - 0.4 * thick)
    cloud = tint(np.full_like(sky, 0.46), [1.5, 1.08, 0.75], lit)
    return tint(sky, cloud, 0.9 * thick * step(0, 0.14, up))


def conifer(image: Array, x: float, base: float, tall: float, haze: Array, seed: int) -> None:
    """Paint one tree in place: tiers of branches, lit from the left."""
    top, left = max(int(base - tall), 0), max(int(x - tall * 0.3), 0)
    patch = image[top : int(base) + 1, left : int(x + tall * 0.3) + 2]
    row, col = grid(*patch.shape[:2])
    t, side = (row + top - base) / tall + 1, (col + left - x) / tall
    rough = uniform(patch.shape[:2], seed)
    tier = (t * (7 + seed % 3) + 0.15 * np.sign(side) + seed * 0.37) % 1
    half = 0.21 * np.clip(t, 0, 1) ** 0.85 * (0.5 + 0.5 * tier) * (0.75 + 0.4 * rough)
    mask = step(0.9 / tall, -0.6 / tall, np.abs(side) - half) * (t > 0) * (t < 1)
    shade = np.array([0.016, 0.022, 0.012]) * (0.6 + 0.8 * rough[..., None])
    lit = 0.8 * rough * step(0.04, -0.12, side + 0.06 * tier)
    patch[:] = tint(patch, tint(shade, [0.22, 0.17, 0.05], lit) + haze, mask)


def forest(image: Array, shoreline: Array, haze: Array, near: bool) -> None:
    """Paint the trees of the near point, or of the far shore; the farthest first."""
    density = 0.5 + 0.5 * noise((1, WIDE), 91, 0.7, 2, 60)[0]
    trees = []
    for seed, (x, depth, tall, chance) in enumerate(uniform((700, 4), 90)):
        col = int(x * WIDE)
        z = EYE * FOCAL / (shoreline[col] - HORIZON) + depth / 4
        clearing = 270 < col < 352
        if near == (z < 3.3) and chance < (0.5 if near else density[col]) and not clearing:
            base = shoreline[col] - (26 if near else 3) * depth**1.5
            trees.append((z, col, base, (0.06 + 0.11 * tall**2) * FOCAL / z, seed))
    for z, col, base, tall, seed in sorted(trees, reverse=True):
        conifer(image, col, base, tall, haze[int(base), col] * step(1.5, 9, z), seed)


def cabin(image: Array, x: float, base: float, size: float) -> Array:
    """A red cabin with white corners and a lamp in the window."""
    for colour, corners in CABIN:
        points = [(x + size * px, base + size * py) for px, py in corners]
        image = tint(image, colour, polygon(image.shape, points))
    return image


def lake(image: Array, backdrop: Array, near: Array, shoreline: Array) -> Array:
    """Water, shaken by ripples: the near point and the view behind it, each turned over.

    What stands at z is mirrored at the row of the water there, so the two have different axes.
    """
    row, col = grid(HIGH, WIDE)
    z = EYE * FOCAL / np.maximum(row - HORIZON, 1)
    x = z * (col - WIDE / 2) / FOCAL
    ripple = noise((1024, 1024), 80, 0.9, 6)
    wave = sample(ripple, z * 400, x * 130) + 0.6 * sample(ripple, z * 1100, x * 420)
    breeze = step(0.2, 1.2, sample(ripple, z * 30 + 300, x * 8))
    shake = 1.5 + step(3.9, 1, z) * (6 + 26 * breeze)
    lift = shake * (wave - 0.3) * 0.5 - row - 1
    side = np.clip(col + 0.12 * shake * sample(ripple, z * 300 + 77, x * 200), 0, WIDE - 2)
    here, behind = (
        np.clip(np.minimum(lift + 2 * axis, axis - 1), 0, HIGH)
        for axis in (shoreline, np.median(shoreline))
    )
    front = sample(near, here, side)
    mirror = tint(sample(backdrop, behind, side), sample(image, here, side), front)
    depth = np.broadcast_to(0.15 + 0.5 * step(HORIZON, HIGH + 100, row), (HIGH, WIDE))
    return tint(image, tint(0.92 * mirror, [0.012, 0.030, 0.040], depth), row > shoreline)


DECK, LEFT, RIGHT, END, PLANK = 0.035, 0.105, 0.225, 1.15, 0.024


def jetty(image: Array) -> Array:
    """A jetty on posts, found where the line of sight meets its planks or its side."""
    row, col = grid(HIGH, WIDE)
    aslant, down = (col - WIDE / 2) / FOCAL, np.maximum(row - HORIZON, 1) / FOCAL
    z = LEFT / np.maximum(aslant, 0.01)
    side = EYE - down * z
    under = step(-DECK, -DECK + 0.003, side) * (side < DECK) * (z < END)
    image = posts(image, RIGHT + 0.007)
    image = tint(image, [0.012, 0.016, 0.018], 0.8 * under)
    image = tint(image, [0.26, 0.19, 0.13], (side > DECK - 0.012) * (side < DECK) * (z < END))
    z = (EYE - DECK) / down
    x, pixel = z * aslant, z / FOCAL
    on = step(LEFT - pixel, LEFT + pixel, x) * step(RIGHT + pixel, RIGHT - pixel, x) * (z < END)
    return posts(tint(image, planks(z, x), on), LEFT - 0.005)


def planks(z: Array, x: Array) -> Array:
    """Weathered boards across the jetty, each of its own tone, with dark gaps between."""
    board = np.floor(z / PLANK).astype(int)
    grain = sample(noise((1024, 1024), 95, 0.9, 2), board * 37 + z * 60, x * 900)
    gap = step(0.001, 0.001 + z * z / FOCAL / EYE, np.abs(z % PLANK - 0.001))
    tone = (0.6 + 0.5 * uniform((64,), 96)[board % 64]) * (0.15 + 0.85 * gap)
    return (np.clip(0.8 + 0.15 * grain, 0.3, 2) * tone)[..., None] * [0.40, 0.32, 0.25]


def posts(image: Array, x: float) -> Array:
    """A row of round posts standing in the water, and their reflections; the farthest first."""
    row, col = grid(HIGH, WIDE)
    for z in (1.14, 0.86, 0.62, 0.44):
        across = ((col - WIDE / 2) / FOCAL * z - x) / 0.006
        height = EYE - (row - HORIZON) / FOCAL * z
        mask = step(1.1, 0.95, np.abs(across)) * step(0.050 + z / FOCAL, 0.050, np.abs(height))
        grain = sample(noise((1024, 1024), 95, 0.9, 2), across * 40, height * 700 + z * 999)
        shine = np.clip(0.66 - 0.6 * across, 0.08, 1.3) * np.clip(0.9 + 0.16 * grain, 0.3, 2)
        above = height > 0
        wood = (shine * np.where(above, 1, 0.3))[..., None] * [0.33, 0.25, 0.18]
        image = tint(image, wood, mask * np.where(above, 1, 0.7))
    return image
