"""Built-ins that average, and sum to 1: identity, box, binomial, gaussian, motion, disk, ring."""

import numpy as np
import numpy.typing as npt

from conv_cli.kernels.family import (
    direction,
    family,
    impulse,
    limited,
    mesh,
    number,
    odd_side,
    offsets,
    size,
)
from conv_cli.kernels.kernel import Size, Weights

SIGMA = number("sigma", 1.0, "standard deviation in pixels", above=0)


@family("identity", size("size", (3, 3), "rows and columns in pixels"))
def identity(size: Size) -> Weights:
    """The image itself: a single 1 at the origin.

    0 0 0
    0 1 0
    0 0 0
    """
    return impulse(*limited(*size))


@family("box", size("size", (3, 3), "rows and columns in pixels"))
def box(size: Size) -> Weights:
    """The mean of a rectangle.

    1 1 1
    1 1 1  / 9
    1 1 1
    """
    return np.full(limited(*size), 1 / (size[0] * size[1]))


@family("binomial", size("size", (3, 3), "rows and columns in pixels", at_most=1024))
def binomial(size: Size) -> Weights:
    """A Gaussian in whole numbers: rows of Pascal's triangle, of variance (size-1)/4 pixels².

    1 2 1
    2 4 2  / 16
    1 2 1
    """
    rows, columns = limited(*size)
    return np.outer(_pascal(rows), _pascal(columns))


@family("gaussian", SIGMA, size("size", None, "rows and columns; 2·ceil(3·sigma)+1 if not given"))
def gaussian(sigma: float, size: Size | None) -> Weights:
    """Gaussian blur, sampled at the pixels' centres and summing to 1.

    exp(-(x² + y²) / 2σ²) as far as 3σ, beyond which 0.3 % of it lies. An even size is centred
    between pixels.
    """
    rows, columns = limited(*(size or (odd_side(3 * sigma),) * 2))
    return np.outer(bell(sigma, rows), bell(sigma, columns))


@family(
    "motion",
    number("length", 9.0, "length of the track in pixels", at_least=1),
    number("angle", 0.0, "degrees, counter-clockwise; 0 is to the right"),
)
def motion(length: float, angle: float) -> Weights:
    """The blur of a straight movement, along a line with soft edges.

    A pixel counts by 1 minus its distance in pixels from the segment of length-1 pixels between
    the first and the last centre: `fspecial('motion', len, theta)` of MATLAB. motion:3 is

    1 1 1  / 3
    """
    cosine, sine = direction(angle)
    half = (length - 1) / 2
    x, y = mesh(odd_side(half * abs(sine)), odd_side(half * abs(cosine)))
    along = np.clip(x * cosine + y * sine, -half, half)
    distance = np.hypot(x - along * cosine, y - along * sine)
    return _to_sum_1(np.maximum(0, 1 - distance))


@family("disk", number("radius", 2.0, "in pixels", above=0))
def disk(radius: float) -> Weights:
    """A lens out of focus: the mean of all pixels whose centres lie within the radius.

    disk:1 is

    0 1 0
    1 1 1  / 5
    0 1 0
    """
    x, y = _disk_mesh(radius)
    return _to_sum_1(x**2 + y**2 <= radius**2)


@family(
    "ring",
    number("radius", 3.0, "outer radius in pixels", at_least=1),
    number("width", 1.0, "of the ring in pixels, from the outside inwards", at_least=1),
)
def ring(radius: float, width: float) -> Weights:
    """The mean of a disk without the disk that is smaller by the width.

    ring:1 is

    0 1 0
    1 0 1  / 4
    0 1 0
    """
    x, y = _disk_mesh(radius)
    distance = np.hypot(x, y)
    return _to_sum_1((distance <= radius) & (distance > radius - width))


def bell(sigma: float, count: int) -> Weights:
    """Return a 1-D Gaussian, shape (count,), sampled around its middle, that sums to 1.

    sigma : the standard deviation in pixels, above 0.
    """
    # Below a hundredth of a pixel the samples are those at a hundredth, and nothing overflows.
    squares = (offsets(count) / max(sigma, 0.01)) ** 2
    # From the nearest sample, so that a narrow one between two pixels does not vanish.
    return _to_sum_1(np.exp((squares.min() - squares) / 2))


def _to_sum_1(weights: npt.NDArray[np.float64 | np.bool_]) -> Weights:
    return weights.astype(np.float64) / float(weights.sum())


def _disk_mesh(radius: float) -> tuple[Weights, Weights]:
    side = odd_side(np.floor(radius))
    return mesh(side, side)


def _pascal(count: int) -> Weights:
    row = [1]
    for k in range(1, count):
        row.append(row[-1] * (count - k) // k)
    return np.array([entry / 2 ** (count - 1) for entry in row])
