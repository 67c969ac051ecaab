"""How a target is turned, scaled and moved against its input, by any angle.

The spectrum's magnitude turns and scales with a picture, wherever it lies: on a grid of angles and
logarithms of radii both are a shift (Reddy and Chatterji, 1996). From there on, least squares over
all pixels moves the input until it lies on the target (Lucas and Kanade, 1981).
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.fitting.pairs import Pair

Array = npt.NDArray[Any]

_ANGLES, _RADII = 360, 256
_INNER = 16
"""Of the half side: the smallest radius, and what lies within is brightness, not detail."""
_SIDE, _LEAST = 512, 64
_STEPS, _STILL = 15, 1e-3
_PIXELS, _INSIDE = 12_000, 0.2
"""An even sample of about so many pixels tells, of which this share must lie in both pictures."""
_BLURS = 8, 3, 0
"""Rows and columns over which pictures are blurred, one after the other, while they are moved."""


class Placed(NamedTuple):
    """A pair whose input lies as the target does.

    angle : float. Degrees, counter-clockwise, by which the input was turned.
    scale : float. By which it grew.
    """

    pair: Pair
    angle: float
    scale: float


def placed(pair: Pair) -> Placed | None:
    """Return a pair with its input turned, scaled and moved onto the target, or None."""
    if not pair.same_size or min(pair.y.shape[1:]) < _LEAST:
        return None
    before, after = pair.x.mean(axis=0, dtype=float), pair.y.mean(axis=0, dtype=float)
    angle, scale = _turn_and_scale(*(_middle(image) for image in (before, after)))
    starts = [_similarity(turn, scale) for turn in (angle, angle + math.pi)]
    moved = [_with_shift(before, after, start) for start in starts]
    tried = [_moved(before, after, start, _BLURS[:1]) for start in moved]
    best = min(tried, key=lambda found: found[1])[0]
    best, _ = _moved(before, after, best, _BLURS[1:])
    x = np.stack([_warped(plane.astype(float), best)[0] for plane in pair.x])
    inside = _warped(before, best)[1]
    scale = math.sqrt(abs(float(np.linalg.det(best[:, :2]))))
    # The matrix leads from the target's places to the input's, rows going down.
    turn = math.degrees(math.atan2(best[0, 1] - best[1, 0], best[0, 0] + best[1, 1]))
    turned = pair._replace(x=x.astype(pair.x.dtype), usable=pair.usable & inside)
    return Placed(turned, turn, 1 / scale) if scale > 0 else None


def _middle(image: Array) -> Array:
    side = min(*image.shape, _SIDE)
    top, left = ((n - side) // 2 for n in image.shape)
    return image[top : top + side, left : left + side]


def _similarity(angle: float, scale: float) -> Array:
    """Return the matrix (2, 3) from the target's places about its middle to the input's."""
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    return np.column_stack([turn / scale, np.zeros(2)])


def _turn_and_scale(before: Array, after: Array) -> tuple[float, float]:
    """Return the angle, give or take half a turn, and the scale."""
    one, other = (_polar(image) for image in (before, after))
    peak = np.unravel_index(int(np.argmax(_correlation(one, other))), one.shape)
    row, column = (p if p <= n // 2 else p - n for p, n in zip(peak, one.shape, strict=True))
    step = math.log(_INNER) / _RADII
    return float(row) * math.pi / _ANGLES, math.exp(-float(column) * step)


def _correlation(one: Array, other: Array) -> Array:
    """Return the phase correlation, whose peak is what the other is moved by."""
    product = np.fft.fft2(other - other.mean()) * np.conj(np.fft.fft2(one - one.mean()))
    size = np.abs(product)
    return np.real(np.fft.ifft2(product / (size + 1e-3 * size.mean() + 1e-300)))


def _polar(image: Array) -> Array:
    """Return the logarithm of the spectrum's magnitude by angle and logarithm of radius."""
    side = len(image)
    window = np.hanning(side + 2)[1:-1]
    size = np.fft.fftshift(np.abs(np.fft.fft2((image - image.mean()) * np.outer(window, window))))
    size = np.log1p(size)
    angles = np.arange(_ANGLES)[:, None] * math.pi / _ANGLES
    radii = side / 2 * 0.98 * _INNER ** (np.arange(_RADII) / _RADII - 1)
    rows, columns = side // 2 - radii * np.sin(angles), side // 2 + radii * np.cos(angles)
    found = _between(size, rows, columns)
    return found * np.hanning(_RADII)  # no edge where the grid ends


def _between(image: Array, rows: Array, columns: Array) -> Array:
    """Return bilinear values at places within an image."""
    top = np.clip(np.floor(rows), 0, image.shape[0] - 2).astype(int)
    left = np.clip(np.floor(columns), 0, image.shape[1] - 2).astype(int)
    down, across = np.clip(rows - top, 0, 1), np.clip(columns - left, 0, 1)
    upper = image[top, left] * (1 - across) + image[top, left + 1] * across
    lower = image[top + 1, left] * (1 - across) + image[top + 1, left + 1] * across
    return upper * (1 - down) + lower * down


def _places(shape: tuple[int, ...]) -> Array:
    """Return rows and columns about the middle, and ones (3, h, w)."""
    rows, columns = np.indices(shape, float)
    return np.stack([rows - (shape[0] - 1) / 2, columns - (shape[1] - 1) / 2, np.ones(shape)])


def _warped(image: Array, matrix: Array, places: Array | None = None) -> tuple[Array, Array]:
    """Return what a matrix brings to places, by default all, and where it is inside."""
    middle = (np.array(image.shape) - 1) / 2
    places = _places(image.shape) if places is None else places
    rows, columns = np.tensordot(matrix, places, 1) + middle.reshape(2, *[1] * (places.ndim - 1))
    inside = (rows >= 0) & (rows <= image.shape[0] - 1)
    inside &= (columns >= 0) & (columns <= image.shape[1] - 1)
    return _between(image, rows, columns), inside


def _with_shift(before: Array, after: Array, matrix: Array) -> Array:
    """Return a matrix that moves the input, too."""
    made, inside = _warped(before, matrix)
    made = np.where(inside, made, made[inside].mean() if inside.any() else 0.0)
    peak = np.unravel_index(int(np.argmax(_correlation(made, after))), made.shape)
    moved = [p if p <= n // 2 else p - n for p, n in zip(peak, made.shape, strict=True)]
    return np.column_stack([matrix[:, :2], -matrix[:, :2] @ np.array(moved, float)])


def _moved(
    before: Array, after: Array, matrix: Array, blurs: tuple[int, ...]
) -> tuple[Array, float]:
    """Return the affine matrix of least squares near one, and the share of variance it leaves."""
    left = 1.0
    all_places = _places(after.shape).reshape(3, -1)
    some = np.random.default_rng(0).permutation(after.size)[:_PIXELS]
    for blur in blurs:
        one, other = _blurred(before, blur), _blurred(after, blur).ravel()[some]
        slopes = np.gradient(one)
        for _ in range(_STEPS):
            made, inside = _warped(one, matrix, all_places[:, some])
            if inside.mean() < _INSIDE:
                return matrix, 1.0
            places, target = all_places[:, some[inside]], other[inside]
            steep = [_warped(slope, matrix, places)[0] for slope in slopes]
            slants = (slope * place for slope in steep for place in places)
            features = np.stack([*slants, made[inside], places[2]])
            step = np.linalg.lstsq(features.T, target, rcond=None)[0]
            off = target - step @ features
            left = float(off.var() / max(target.var(), 1e-12))
            change = step[:6].reshape(2, 3) / (step[6] if abs(step[6]) > _STILL else 1.0)
            matrix = matrix + change
            if np.abs(change[:, 2]).max() < _STILL:
                break
    return matrix, left


def _blurred(image: Array, reach: int) -> Array:
    """Return means over squares, twice, so that pictures that lie apart still pull."""
    for axis in (0, 1, 0, 1):
        padded = np.pad(image, [(reach, reach) if a == axis else (0, 0) for a in (0, 1)], "edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis)
        image = windows.mean(axis=-1)
    return image
