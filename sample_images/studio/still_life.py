"""A still life by a window, in grey: solids given by their distance, met by walking along rays.

In the scene x runs to the right, y up and z away from the eye; the tall bottle is 1.6 high.
The method: Hart, "Sphere tracing", The Visual Computer 12, 1996.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .painting import Array, develop, grid, halve, noise, pixels, sample, step

# What stands on the table: x, z, roundness, and its outline as heights and radii in turn.
TURNED = {
    "bottle": (
        -0.16,
        0.55,
        27,
        "0 .20 0 .24 .05 .245 .74 .245 .86 .22 1 .10 1.1 .078 1.48 .07 1.5 .1 1.6 .1",
    ),
    "jug": (0.52, 0.40, 41, "0 .2 .04 .25 .2 .33 .42 .38 .66 .32 .84 .2 .98 .18 1.12 .25"),
    "vase": (-0.80, 0.70, 41, "0 .15 .05 .18 .35 .29 .65 .24 .9 .14 1 .14 1.08 .2"),
    "pear": (
        -0.50,
        -0.20,
        61,
        "0 .04 .01 .13 .08 .2 .19 .24 .32 .205 .45 .125 .55 .088 .6 .06 .63 0",
    ),
    "apple": (0.03, -0.40, 71, "0 .07 .01 .12 .08 .18 .18 .21 .27 .195 .33 .15 .36 .09 .362 0"),
}
# The table, the wall, the five turned bodies in their order, and the box.
ALBEDO = np.array([0.50, 0.42, 0.035, 0.80, 0.46, 0.42, 0.20, 0.50])
GLOSS = np.array([0.0, 0.0, 1.3, 0.4, 0.1, 0.15, 0.4, 0.05])
LIGHT = np.array([-0.70, 0.52, -0.49])


def still_life() -> Array:
    """Bottle, jug, vase and fruit by a window."""
    size = 1024
    row, col = grid(size, size)
    ray = np.broadcast_arrays((col - size / 2) / size, (size * 0.51 - row) / size, 2.12)
    ray = np.stack(ray, -1).reshape(-1, 3) @ [[1, 0, 0], [0, 0.992, 0.124], [0, -0.124, 0.992]]
    # In bands, side by side: a ray knows nothing of its neighbours.
    with ThreadPoolExecutor() as pool:
        light = np.concatenate(list(pool.map(shade, np.split(unit(ray), 16))))
    shown = develop(halve(np.minimum(light, 2).reshape(size, size)), 1.25, contrast=0.4)
    return pixels(0.02 + 0.97 * shown + 0.01 * noise((512, 512), 9, 0.2))


def outline(soft: int, points: str) -> tuple[Array, Array]:
    """Heights and radii of a turned body, its corners rounded."""
    heights, radii = np.array(points.split(), float).reshape(-1, 2).T
    fine = np.linspace(0, heights.max(), 240)
    radii = np.pad(np.interp(fine, heights, radii), soft // 2, mode="edge")
    return fine, np.convolve(radii, np.hanning(soft) / np.hanning(soft).sum(), "valid")


OUTLINES = [(x, z, *outline(soft, points)) for x, z, soft, points in TURNED.values()]


def box_sides(p: Array) -> tuple[Array, Array, Array]:
    """A point in the axes of the chequered box."""
    x, y, z = p[:, 0] - 0.98, p[:, 1], p[:, 2] - 0.95
    return 0.88 * x + 0.47 * z, y - 0.42, 0.88 * z - 0.47 * x


def distances(p: Array) -> Array:
    """Distance of points (N, 3) to the table, the wall, the turned bodies and the box."""
    x, y, z = p.T
    bodies = [y, 1.75 - z]
    for at_x, at_z, heights, radii in OUTLINES:
        side = np.hypot(x - at_x, z - at_z) - np.interp(y, heights, radii)
        bodies.append(np.maximum(side * 0.55, y - heights[-1]))
    close = np.abs(bodies[4]) < 0.03  # flutes on the vase, worked out only where they show
    flutes = np.cos(22 * np.arctan2(z[close] - 0.70, x[close] + 0.80))
    bodies[4][close] -= 0.005 * flutes
    handle = np.hypot(np.hypot((x - 0.85) / 0.85, y - 0.66) - 0.24, z - 0.40) - 0.042
    bodies[3] = np.minimum(bodies[3], handle * 0.8)
    for fruit, at_x, at_z, top, lean in (
        (5, -0.50, -0.20, 0.6, 0.25),
        (6, 0.03, -0.40, 0.34, -0.3),
    ):
        t = np.clip(y - top, 0, 0.13)
        stem = np.hypot(np.hypot(x - at_x - lean * t, z - at_z), y - top - t) - 0.013
        bodies[fruit] = np.minimum(bodies[fruit], stem)
    u, v, w = box_sides(p)
    bodies.append(np.maximum(np.maximum(np.abs(u), np.abs(w)) - 0.26, np.abs(v) - 0.42))
    return np.stack(bodies)


def march(origin: Array, ray: Array, reach: float) -> tuple[Array, Array]:
    """Walk along rays until they meet something: how far, and the light let through, 0..1."""
    t, miss = np.full(len(ray), 0.02), np.ones(len(ray))
    alive = np.arange(len(ray))
    for _ in range(120):
        gap = distances(origin[alive] + t[alive, None] * ray[alive]).min(axis=0)
        miss[alive] = np.minimum(miss[alive], 14 * gap / t[alive])
        t[alive] += np.maximum(gap, 0)
        alive = alive[(gap > 5e-4) & (t[alive] < reach)]
    return t, np.where(t < reach, 0, np.clip(miss, 0, 1))


def unit(vectors: Array) -> Array:
    """Vectors (N, 3) made of length 1."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def window(p: Array) -> Array:
    """How much of a point is in the sunlight of the four panes of a window."""
    a = 0.574 * p[:, 0] - 0.82 * p[:, 2]
    b = 0.854 * p[:, 1] + 0.609 * (0.70 * p[:, 0] + 0.49 * p[:, 2])
    panes = step(0.06, 0.10, (a + 0.26) % 1.0) * step(0.06, 0.10, (b + 0.34) % 0.95)
    return panes * step(-1.62, -1.55, a) * step(1.65, 1.5, a) * step(2.05, 1.95, b)


def surface(p: Array, what: Array) -> Array:
    """Albedo: plaster, striped linen, glaze, and the squares of the box."""
    x, y, z = p.T
    plaster = sample(noise((1024, 1024), 7, 1.1), (y + 3) * 200, x * 200 + 500)
    skin = sample(noise((1024, 1024), 8, 0.7), (y + z + 3) * 330, x * 330 + 500)
    albedo = ALBEDO[what] * (1 + np.where(what == 1, 0.10 * plaster, 0.05 * skin))
    stripe = step(0.16, 0.17, np.abs((0.96 * x + 0.28 * z) % 0.42 - 0.21))
    linen = 1 + 0.12 * np.sin(x * 260) * np.sin(z * 260) - 0.55 * stripe
    albedo *= np.where(what == 0, linen, 1)
    u, v, w = (np.floor(side / 0.104) for side in box_sides(p))
    albedo *= np.where(what == 7, 0.25 + (u + v + w) % 2, 1)
    return albedo * np.where((what == 3) & (np.abs(y - 0.66) < 0.018), 0.25, 1)


def shade(ray: Array) -> Array:
    """Light that comes back along rays from the eye."""
    eye = np.array([[0.06, 1.25, -4.75]])
    p = eye + march(np.repeat(eye, len(ray), 0), ray, 9)[0][:, None] * ray
    # The normal is the slope of the distance, taken at the corners of a tetrahedron.
    tips = 8e-4 * np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]])
    normal = unit(sum(tip * distances(p + tip).min(axis=0)[:, None] for tip in tips))
    lit = march(p + 0.004 * normal, np.repeat(LIGHT[None], len(p), 0), 3)[1]
    what = distances(p).argmin(axis=0)
    openness = (
        sum(np.clip(distances(p + d * normal).min(axis=0) / d, 0, 1) for d in (0.08, 0.3)) / 2
    )
    key = np.clip(normal @ LIGHT, 0, None) * lit * (0.10 + 0.90 * window(p))
    shine = np.clip((normal * unit(LIGHT - ray)).sum(1), 0, 1) ** 90 * lit
    rim = (1 - np.clip(-(normal * ray).sum(1), 0, 1)) ** 3
    ambient = openness * (0.24 + 0.08 * normal[:, 1] - 0.06 * normal[:, 0])
    return surface(p, what) * (2.3 * key + ambient) + GLOSS[what] * (shine + 0.1 * rim * openness)
