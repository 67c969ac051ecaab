"""An evening sea, in 16 bits."""

import numpy as np

from .painting import Array, blur, develop, grid, noise, polygon, sample, step, tint

HIGH, WIDE, LEVEL, SUN = 320, 480, 214, 318

# From the horizon to the top: height 0..1, and linear light.
SKY = [
    (0.00, 1.25, 0.42, 0.12),
    (0.10, 1.00, 0.36, 0.16),
    (0.28, 0.52, 0.22, 0.24),
    (0.55, 0.16, 0.12, 0.26),
    (1.00, 0.035, 0.05, 0.16),
]
BOAT = [
    [(128, 226), (132, 233), (166, 233), (175, 225)],
    [(150, 224), (150, 168), (127, 222)],
    [(153, 223), (152, 172), (171, 223)],
    [(150, 228), (150, 165), (152, 165), (152, 228)],
]


def sunset() -> Array:
    """The whole picture, RGB in 16 bits: its gradients are finer than 8 bits can hold."""
    row, col = np.broadcast_arrays(*grid(HIGH, WIDE))
    above = sky(row, col)
    image = np.where((row < LEVEL)[..., None], above, sea(above, row, col))
    for shape in BOAT:
        image = tint(image, [0.012, 0.008, 0.016], polygon(image.shape, shape))
        mirrored = [(x + 1, 466 - y) for x, y in shape]
        image = tint(image, [0.012, 0.008, 0.016], 0.45 * polygon(image.shape, mirrored))
    return np.rint(np.clip(develop(image, 1.15), 0, 1) * 65535).astype(np.uint16)


def sky(row: Array, col: Array) -> Array:
    """Glow, banks of cloud, the sun, and a far headland."""
    up = np.clip((LEVEL - row) / LEVEL, 0, 1)
    away = np.hypot(col - SUN, (row - LEVEL + 16) * 1.15)
    stops, *channels = np.transpose(SKY)
    light = blur(np.stack([np.interp(up, stops, channel) for channel in channels], -1), 12)
    light = light * (0.75 + 0.75 * np.exp(-away / 130))[..., None]
    rise = np.maximum(LEVEL - row, 1) / HIGH + 0.10
    bank = sample(noise((256, 256), 20, 1.7), 22 / rise, (col - 240) / rise * 0.09 + 40)
    glow = light * 0.35 + [0.42, 0.10, 0.07] * np.exp(-away / 170)[..., None]
    light = tint(light, glow, 0.9 * step(-0.1, 1.7, bank) * step(0.02, 0.2, up))
    light = light + np.exp(-((away / 34) ** 1.2))[..., None] * [1.6, 0.9, 0.35]
    light = tint(light, [3.6, 2.4, 1.1], step(17.5, 16, away))
    along = col[0]
    crest = 5 * noise((1, WIDE), 21, 1.4)[0] * step(340, 200, along)
    ridge = LEVEL - 12 - 20 * step(330, -40, along) - crest
    far = light * 0.25 + [0.05, 0.02, 0.05]
    return tint(light, far, step(-0.7, 0.7, row - ridge) * step(330, 230, col))


def sea(above: Array, row: Array, col: Array) -> Array:
    """The sky turned over at the horizon, and stirred."""
    near = np.maximum(row - LEVEL, 0.5)
    swell = sample(noise((256, 256), 20, 1.7), 900 / near, (col - 240) / near * 6)
    wave = swell * (0.8 + 0.09 * near)
    from_row = np.clip(2 * LEVEL - row - 1 + 2 * wave - 0.35 * near, 0, LEVEL - 1)
    mirror = sample(above, from_row, np.clip(col + wave, 0, WIDE - 2))
    return tint(0.75 * mirror, [0.02, 0.02, 0.05], 0.25 + 0.4 * step(0, 110, near))
