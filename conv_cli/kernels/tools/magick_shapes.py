"""ImageMagick's flat shapes and its distances, where what is no weight there (nan) is 0."""

from collections.abc import Callable

import numpy as np

from conv_cli.kernels.family import Weights, limited
from conv_cli.kernels.kernel import Kernel
from conv_cli.kernels.tools.geometry import Geometry, given
from conv_cli.kernels.tools.magick_parts import distances, impulse, whole_radius

_QUANTUM = 65535

Maker = Callable[[Geometry], Weights | Kernel]


def shape(radius: int, holds: Callable[[Weights, Weights, int], np.ndarray]) -> Maker:
    """Return the maker of a flat shape of NAME:RADIUS,SCALE, radius being the default.

    `holds` tells from the distances |x| and |y| and the radius which places belong to it.
    """

    def make(arguments: Geometry) -> Weights:
        reach = whole_radius(arguments, radius)
        return holds(*distances(reach), reach) * given(arguments.sigma, 1)

    return make


def square(arguments: Geometry) -> Weights:
    """Square:RADIUS,SCALE."""
    rho = given(arguments.rho, 0)
    side = 3 if rho < 1 else int(2 * rho + 1)
    return np.full(limited(side, side), given(arguments.sigma, 1))


def rectangle(arguments: Geometry) -> Kernel:
    """Rectangle:WxH+X+Y."""
    width = given(arguments.rho, given(arguments.sigma, 0))
    width = 3 if width < 1 else width
    height = given(arguments.sigma, 0)
    height = width if height < 1 else height
    rows, columns = limited(int(height), int(width))
    column = int(given(arguments.xi, (columns - 1) // 2))
    row = int(given(arguments.psi, (rows - 1) // 2))
    return Kernel(np.ones((rows, columns)), origin=(row, column))


def disk(arguments: Geometry) -> Weights:
    """Disk:RADIUS,SCALE, the radius with fractions; a disk of 4.3 if it is below 0.4."""
    rho = given(arguments.rho, 0)
    radius, limit = (4, 18) if rho < 0.4 else (int(rho), int(rho * rho))
    x, y = distances(radius)
    return (x * x + y * y <= limit).astype(np.float64) * given(arguments.sigma, 1)


def ring(arguments: Geometry) -> Weights:
    """Ring:RADIUS1,RADIUS2,SCALE, the scale cut to a whole number."""
    return _between(arguments) * np.float64(int(given(arguments.xi, 1)))


def peaks(arguments: Geometry) -> Weights:
    """Peaks:RADIUS1,RADIUS2: the middle alone, in a ring of zeros."""
    return impulse(*_between(arguments).shape)


def _between(arguments: Geometry) -> np.ndarray:
    """Return which places lie further out than the smaller radius and within the larger."""
    inner, outer = sorted((given(arguments.rho, 0), given(arguments.sigma, 0)))
    radius, limits = int(outer), (int(inner * inner), int(outer * outer))
    if limits[1] <= 0:
        radius, limits = 3, (7, 11)
    x, y = distances(radius)
    squares = x * x + y * y
    return (limits[0] < squares) & (squares <= limits[1])


def distance(radius: int, measure: Callable[[Weights, Weights], Weights]) -> Maker:
    """Return the maker of distances from the middle: NAME:RADIUSxSCALE, of at least that radius."""

    def make(arguments: Geometry) -> Weights:
        reach = max(radius, int(given(arguments.rho, 0)))
        return measure(*distances(reach)) * _distance_scale(arguments)

    return make


def _distance_scale(arguments: Geometry) -> float:
    if arguments.sigma is None:
        return 100.0
    if "!" in arguments.flags:
        return _QUANTUM / (arguments.sigma + 1)
    return arguments.sigma * (_QUANTUM / 100 if "%" in arguments.flags else 1)
