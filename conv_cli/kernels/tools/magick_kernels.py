"""ImageMagick's own named kernels, with its own meanings (as of 6.9, 16-bit quanta).

Nothing here is conv-cli's built-in of the same name: Sobel, for one, is the other way round. All
are as ImageMagick shows them by ``-define morphology:showKernel=1``, so Convolve still flips them.
What is no weight there (nan) is 0. Reasons in errors are bare.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from conv_cli.errors import ConvError
from conv_cli.kernels.family import impulse, limited, offsets
from conv_cli.kernels.kernel import MAX_WEIGHTS, Kernel, Weights
from conv_cli.kernels.operations import rotated

_QUANTUM = 65535
_EPSILON = 1e-12
_RANK = 3
"""Samples that are averaged to one weight of a 1-D blur."""
_MOST_BINOMIAL = 10
"""Above, the factorials of ImageMagick overflow."""


class Arguments(NamedTuple):
    """What follows a name: up to four numbers, None where one is not given, and flags.

    ImageMagick calls it a geometry, and the numbers rho, sigma, xi and psi; which is which depends
    on who asks. `label` is what errors call the kernel.
    """

    rho: float | None
    sigma: float | None
    xi: float | None
    psi: float | None
    flags: frozenset[str]
    label: str


def given(value: float | None, default: float) -> float:
    """Return an argument, or what stands for it where it is not given."""
    return default if value is None else value


def magick_kernels(name: str, arguments: Arguments) -> list[Kernel]:
    """Return the kernels of a name in `NAMES`: one, but nine for FreiChen:10.

    Raises ConvError if the arguments do not go together or ask for too many weights.
    """
    if name == "freichen" and int(given(arguments.rho, 0)) == _ALL_FREI_CHEN:
        types = range(_ALL_FREI_CHEN + 1, _ALL_FREI_CHEN + 10)
        return [_frei_chen(arguments._replace(rho=float(kind))) for kind in types]
    return [_MAKERS[name](arguments)]


# Blurs, which end where they fall to a 65535th of their middle.


def _gaussian(arguments: Arguments) -> Kernel:
    """Gaussian:RADIUSxSIGMA, of sum 1."""
    sigma = abs(given(arguments.sigma, 0))
    return _balanced(_bell(sigma, _side_2d(arguments.rho, sigma)))


def _dog(arguments: Arguments) -> Kernel:
    """DoG:RADIUS,SIGMA1,SIGMA2: one Gaussian less another, both parts of equal sum."""
    sigmas = abs(given(arguments.sigma, 0)), abs(given(arguments.xi, 0))
    side = _side_2d(arguments.rho, max(sigmas))
    return _balanced(_bell(sigmas[0], side) - _bell(sigmas[1], side))


def _log(arguments: Arguments) -> Kernel:
    """LoG:RADIUSxSIGMA: (1 - r) · exp(-r) with r = (x² + y²) / 2σ²."""
    sigma = abs(given(arguments.sigma, 0))
    side = _side_2d(arguments.rho, sigma)
    if sigma <= _EPSILON:
        return Kernel(impulse(side, side))
    squares = np.add.outer(offsets(side) ** 2, offsets(side) ** 2) / (2 * sigma * sigma)
    return _balanced((1 - squares) * np.exp(-squares))


def _blur(arguments: Arguments) -> Kernel:
    """Blur:RADIUSxSIGMA+ANGLE, a Gaussian line."""
    rho, sigma = given(arguments.rho, 0), abs(given(arguments.sigma, 0))
    width = 2 * int(rho) + 1 if rho >= 1 else _optimal_side(rho, sigma, 1)
    limited(1, width)
    line = impulse(1, width)
    if sigma > _EPSILON:
        line = _fine_bell(offsets(width * _RANK), sigma)
    angle = given(arguments.xi, 0) % 180  # a blur is the same the other way round
    return _rotated(Kernel(line / line.sum()), angle)


def _comet(arguments: Arguments) -> Kernel:
    """Comet:WIDTHxSIGMA+ANGLE, half of a Gaussian line, its origin at the bright end."""
    rho, sigma = given(arguments.rho, 0), abs(given(arguments.sigma, 0))
    width = int(rho) if rho >= 1 else (_optimal_side(rho, sigma, 1) - 1) // 2 + 1
    limited(1, width)
    line = np.eye(1, width)
    if sigma > _EPSILON:
        line = _fine_bell(np.arange(width * _RANK), sigma)
    return _rotated(Kernel(line / line.sum(), origin=(0, 0)), given(arguments.xi, 0))


def _binomial(arguments: Arguments) -> Kernel:
    """Binomial:RADIUS, in whole numbers: not normalized."""
    radius = _whole_radius(arguments, 1)
    if radius > _MOST_BINOMIAL:
        raise ConvError(f"its radius is {radius}, expected at most {_MOST_BINOMIAL}")
    row = [math.comb(2 * radius, k) for k in range(2 * radius + 1)]
    return Kernel(np.outer(row, row).astype(np.float64))


def _fine_bell(places: np.ndarray, sigma: float) -> Weights:
    """Return a Gaussian at three places a weight, summed, shape (1, n)."""
    fine = np.exp(-((places / (_RANK * sigma)) ** 2) / 2)
    return fine.reshape(1, -1, _RANK).sum(axis=2)


def _bell(sigma: float, side: int) -> Weights:
    """Return a sampled 2-D Gaussian density; the middle alone for a sigma of 0."""
    if sigma <= _EPSILON:
        return impulse(side, side)
    line = np.exp(-((offsets(side) / sigma) ** 2) / 2)
    return np.outer(line, line) / (2 * math.pi * sigma * sigma)


def _balanced(weights: Weights) -> Kernel:
    """Return the weights with positive ones summing to 1 and negative ones to -1."""
    up, down = np.maximum(weights, 0), np.maximum(-weights, 0)
    return Kernel(up / (up.sum() or 1) - down / (down.sum() or 1))


def _side_2d(rho: float | None, sigma: float) -> int:
    radius = given(rho, 0)
    side = 2 * int(radius) + 1 if radius >= 1 else _optimal_side(radius, sigma, 2)
    return limited(side, side)[0]


def _optimal_side(radius: float, sigma: float, dimensions: int) -> int:
    """Return the side up to which a Gaussian's edge is a 65535th of its sum, at least 3."""
    if radius > _EPSILON:
        return 2 * math.ceil(radius) + 1
    if sigma <= _EPSILON:
        return 3
    most = math.isqrt(MAX_WEIGHTS) if dimensions == 2 else MAX_WEIGHTS
    line = np.exp(-((np.arange(most // 2 + 2) / sigma) ** 2) / 2)
    shares = line[2:] / (2 * np.cumsum(line)[2:] - 1) ** dimensions
    low = np.flatnonzero(shares < 1 / _QUANTUM)
    return 2 * (int(low[0]) if low.size else most) + 3


# Matrices, which an angle rotates.


def _matrix(rows: str) -> Weights:
    return np.array([row.split() for row in rows.split(";")], np.float64)


_LAPLACIANS = {
    0: "-1 -1 -1; -1 8 -1; -1 -1 -1",
    1: "0 -1 0; -1 4 -1; 0 -1 0",
    2: "-2 1 -2; 1 4 1; -2 1 -2",
    3: "1 -2 1; -2 4 -2; 1 -2 1",
    5: "-4 -1 0 -1 -4; -1 2 3 2 -1; 0 3 4 3 0; -1 2 3 2 -1; -4 -1 0 -1 -4",
    7: "-10 -5 -2 -1 -2 -5 -10; -5 0 3 4 3 0 -5; -2 3 6 7 6 3 -2; -1 4 7 8 7 4 -1; "
    "-2 3 6 7 6 3 -2; -5 0 3 4 3 0 -5; -10 -5 -2 -1 -2 -5 -10",
    15: "0 0 -1 0 0; 0 -1 -2 -1 0; -1 -2 16 -2 -1; 0 -1 -2 -1 0; 0 0 -1 0 0",
    19: "0 -1 -1 -2 -2 -2 -1 -1 0; -1 -2 -4 -5 -5 -5 -4 -2 -1; -1 -4 -5 -3 0 -3 -5 -4 -1; "
    "-2 -5 -3 12 24 12 -3 -5 -2; -2 -5 0 24 40 24 0 -5 -2; -2 -5 -3 12 24 12 -3 -5 -2; "
    "-1 -4 -5 -3 0 -3 -5 -4 -1; -1 -2 -4 -5 -5 -5 -4 -2 -1; 0 -1 -1 -2 -2 -2 -1 -1 0",
}


def _laplacian(arguments: Arguments) -> Kernel:
    return Kernel(_matrix(_LAPLACIANS.get(int(given(arguments.rho, 0)), _LAPLACIANS[0])))


def _edge(rows: str) -> Callable[[Arguments], Kernel]:
    """Return the maker of a 3x3 matrix that its argument rotates, clockwise in degrees."""
    return lambda arguments: _rotated(Kernel(_matrix(rows)), given(arguments.rho, 0))


_R = math.sqrt(2)
# Type -> matrix and scale. The scale of some is √2/2 there, where half of √2/2 was meant.
_FREI_CHEN = {
    0: (np.array([[1, 0, -1], [_R, 0, -_R], [1, 0, -1]]), 1.0),
    2: (np.array([[1, _R, 0], [_R, 0, -_R], [0, -_R, -1]]), _R / 2),
    11: (np.array([[1, 0, -1], [_R, 0, -_R], [1, 0, -1]]), _R / 2),
    12: (np.array([[1, _R, 1], [0, 0, 0], [1, _R, 1]]), _R / 2),
    13: (np.array([[_R, -1, 0], [-1, 0, 1], [0, 1, -_R]]), _R / 2),
    14: (np.array([[0, 1, -_R], [-1, 0, 1], [_R, -1, 0]]), _R / 2),
    15: (np.array([[0, -1, 0], [1, 0, 1], [0, -1, 0]]), 1 / 2),
    16: (np.array([[1, 0, -1], [0, 0, 0], [-1, 0, 1]]), 1 / 2),
    17: (np.array([[1, -2, 1], [-2, 4, -2], [-1, -2, 1]]), 1 / 6),
    18: (np.array([[-2, 1, -2], [1, 4, 1], [-2, 1, -2]]), 1 / 6),
    19: (np.ones((3, 3)), 1 / 3),
}
_FREI_CHEN[1] = _FREI_CHEN[11]
_ALL_FREI_CHEN = 10


def _frei_chen(arguments: Arguments) -> Kernel:
    """FreiChen:TYPE,ANGLE, or FreiChen:ANGLE of type 0 for an angle above 30°."""
    kind, angle = given(arguments.rho, 0), given(arguments.sigma, 0)
    matrix, scale = _FREI_CHEN.get(int(kind), _FREI_CHEN[0])
    if angle == 0 and abs(kind) > 30:
        angle = kind
    return _rotated(Kernel(matrix * scale), angle)


def _rotated(kernel: Kernel, angle: float) -> Kernel:
    """Return the kernel rotated clockwise by the nearest step that it can be rotated by.

    That is 45° for 3x3, and 90° for other squares and lines.
    """
    step = 45 if kernel.shape == (3, 3) else 90
    steps = math.ceil((angle % 360) / step - 0.5)  # half a step is not enough
    return rotated(kernel, steps * step // 45)


# Flat shapes and distances.


def _shape(
    default: int, holds: Callable[[Weights, Weights, int], np.ndarray]
) -> Callable[[Arguments], Kernel]:
    """Return the maker of a flat shape of NAME:RADIUS,SCALE, with a default for the radius.

    `holds` tells from the distances |x| and |y| and the radius which places belong to it.
    """

    def make(arguments: Arguments) -> Kernel:
        radius = _whole_radius(arguments, default)
        return Kernel(holds(*_distances(radius), radius) * given(arguments.sigma, 1))

    return make


def _square(arguments: Arguments) -> Kernel:
    """Square:RADIUS,SCALE."""
    rho = given(arguments.rho, 0)
    side = 3 if rho < 1 else int(2 * rho + 1)
    return Kernel(np.full(limited(side, side), given(arguments.sigma, 1)))


def _rectangle(arguments: Arguments) -> Kernel:
    """Rectangle:WxH+X+Y."""
    width = given(arguments.rho, given(arguments.sigma, 0))
    width = 3 if width < 1 else width
    height = given(arguments.sigma, 0)
    height = width if height < 1 else height
    rows, columns = limited(int(height), int(width))
    column = int(given(arguments.xi, (columns - 1) // 2))
    row = int(given(arguments.psi, (rows - 1) // 2))
    return Kernel(np.ones((rows, columns)), origin=(row, column), name=arguments.label)


def _disk(arguments: Arguments) -> Kernel:
    """Disk:RADIUS,SCALE, the radius with fractions; a disk of 4.3 if it is below 0.4."""
    rho = given(arguments.rho, 0)
    radius, limit = (4, 18) if rho < 0.4 else (int(rho), int(rho * rho))
    x, y = _distances(radius)
    return Kernel((x * x + y * y <= limit) * np.float64(given(arguments.sigma, 1)))


def _ring(arguments: Arguments) -> Kernel:
    """Ring:RADIUS1,RADIUS2,SCALE, the scale cut to a whole number."""
    return Kernel(_between(arguments) * np.float64(int(given(arguments.xi, 1))))


def _peaks(arguments: Arguments) -> Kernel:
    """Peaks:RADIUS1,RADIUS2: the middle alone, in a ring of zeros."""
    return Kernel(impulse(*_between(arguments).shape))


def _between(arguments: Arguments) -> np.ndarray:
    """Return which places lie further out than the smaller radius and within the larger."""
    inner, outer = sorted((given(arguments.rho, 0), given(arguments.sigma, 0)))
    radius, limits = int(outer), (int(inner * inner), int(outer * outer))
    if limits[1] <= 0:
        radius, limits = 3, (7, 11)
    x, y = _distances(radius)
    squares = x * x + y * y
    return (limits[0] < squares) & (squares <= limits[1])


def _distance(
    least: int, measure: Callable[[Weights, Weights], Weights]
) -> Callable[[Arguments], Kernel]:
    """Return the maker of distances from the middle: NAME:RADIUSxSCALE, of at least that radius."""

    def make(arguments: Arguments) -> Kernel:
        radius = max(least, int(given(arguments.rho, 0)))
        weights: Weights = measure(*_distances(radius)) * _distance_scale(arguments)
        return Kernel(weights)

    return make


def _distance_scale(arguments: Arguments) -> float:
    if arguments.sigma is None:
        return 100.0
    if "!" in arguments.flags:
        if arguments.sigma == -1:
            raise ConvError("its scale is -1!, which divides by zero")
        return _QUANTUM / (arguments.sigma + 1)
    return arguments.sigma * (_QUANTUM / 100 if "%" in arguments.flags else 1)


def _whole_radius(arguments: Arguments, default: int) -> int:
    """Return the first argument as a whole radius, the default for one below 1."""
    rho = given(arguments.rho, 0)
    return default if rho < 1 else int(rho)


def _distances(radius: int) -> tuple[Weights, Weights]:
    """Return |x|, shape (1, 2r+1), and |y|, shape (2r+1, 1), from the middle."""
    side, _ = limited(2 * radius + 1, 2 * radius + 1)
    line = np.abs(offsets(side))
    return line[np.newaxis, :], line[:, np.newaxis]


_MAKERS: dict[str, Callable[[Arguments], Kernel]] = {
    "unity": lambda arguments: Kernel(np.array([[given(arguments.rho, 1.0)]])),
    "gaussian": _gaussian,
    "dog": _dog,
    "log": _log,
    "blur": _blur,
    "comet": _comet,
    "binomial": _binomial,
    "laplacian": _laplacian,
    "sobel": _edge("1 0 -1; 2 0 -2; 1 0 -1"),
    "roberts": _edge("0 0 0; 1 -1 0; 0 0 0"),
    "prewitt": _edge("1 0 -1; 1 0 -1; 1 0 -1"),
    "compass": _edge("1 1 -1; 1 -2 -1; 1 1 -1"),
    "kirsch": _edge("5 -3 -3; 5 0 -3; 5 -3 -3"),
    "freichen": _frei_chen,
    "diamond": _shape(1, lambda x, y, radius: x + y <= radius),
    "octagon": _shape(2, lambda x, y, radius: x + y <= radius + radius // 2),
    "plus": _shape(2, lambda x, y, radius: (x == 0) | (y == 0)),
    "cross": _shape(2, lambda x, y, radius: x == y),
    "square": _square,
    "rectangle": _rectangle,
    "disk": _disk,
    "ring": _ring,
    "peaks": _peaks,
    "chebyshev": _distance(1, lambda x, y: np.maximum(x, y)),
    "manhattan": _distance(1, lambda x, y: x + y),
    "octagonal": _distance(2, lambda x, y: np.maximum(np.maximum(x, y), (x + y + 1) // 1.5)),
    "euclidean": _distance(1, np.hypot),
}
NAMES = tuple(_MAKERS)
"""The names that are read, in lower case."""
PATTERNS = (
    "edges", "corners", "diagonals", "lineends", "linejunctions", "ridges", "convexhull", "thinse",
    "skeleton",
)  # fmt: skip
"""Names of ImageMagick's that are patterns for its other morphology, and no convolution."""
