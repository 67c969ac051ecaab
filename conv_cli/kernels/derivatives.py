"""Built-ins that measure slopes: first derivatives in pairs, the Laplacian, and derivatives of a
Gaussian.

Pairs are written for cross-correlation: -x answers positively where the image grows brighter to the
right, -y where it grows brighter downwards. Only edge and roberts keep the textbooks' own signs.
"""

import numpy as np

from conv_cli.kernels.family import (
    choice,
    family,
    family_set,
    fixed,
    limited,
    odd_side,
    offsets,
    size,
)
from conv_cli.kernels.kernel import Size, Weights
from conv_cli.kernels.smoothing import SIGMA, bell

_DIFFERENCE = np.array([-1.0, 0.0, 1.0])

# Farid & Simoncelli, "Differentiation of discrete multidimensional signals", IEEE Transactions on
# Image Processing 13(4), 2004: the 5-tap pair of smoother and first derivative.
_FARID_SIDE, _FARID_NEXT, _FARID_MIDDLE = 0.0376593171958126, 0.249153396177344, 0.426374573253687
_FARID_SMOOTH = np.array([_FARID_SIDE, _FARID_NEXT, _FARID_MIDDLE, _FARID_NEXT, _FARID_SIDE])
_FARID_DIFFERENCE = np.array(
    [-0.109603762960254, -0.276690988455557, 0, 0.276690988455557, 0.109603762960254]
)


def _pair(name: str, summary: str, smooth: Weights, difference: Weights) -> None:
    """Register the set `name` and its members -x and -y, both from the same 1-D factors."""
    family_set(name, f"{summary}: x and y", ("x", "y"))
    fixed(f"{name}-x", f"{summary}: brighter to the right", np.outer(smooth, difference))
    fixed(f"{name}-y", f"{summary}: brighter downwards", np.outer(difference, smooth))


# sobel-x: -1 0 1
#          -2 0 2
#          -1 0 1
_pair("sobel", "Sobel & Feldman (1968)", np.array([1.0, 2.0, 1.0]), _DIFFERENCE)

# prewitt-x: -1 0 1
#            -1 0 1
#            -1 0 1
_pair("prewitt", "Prewitt (1970)", np.array([1.0, 1.0, 1.0]), _DIFFERENCE)

# scharr-x:  -3 0  3
#           -10 0 10
#            -3 0  3
_pair(
    "scharr", "Scharr (2000), truest to the angle of 3x3", np.array([3.0, 10.0, 3.0]), _DIFFERENCE
)

_pair("farid", "Farid & Simoncelli (2004), 5x5", _FARID_SMOOTH, _FARID_DIFFERENCE)

family_set("roberts", "Roberts (1963), the two diagonals of 2x2", ("x", "y"))
fixed("roberts-x", "Roberts (1963): [1 0; 0 -1]", np.array([[1.0, 0.0], [0.0, -1.0]]))
fixed("roberts-y", "Roberts (1963): [0 1; -1 0]", np.array([[0.0, 1.0], [-1.0, 0.0]]))

family_set("edge", "Difference of neighbours: x and y", ("x", "y"))
fixed("edge-x", "Difference of neighbours: [1 -1]", np.array([[1.0, -1.0]]))
fixed("edge-y", "Difference of neighbours: [1; -1]", np.array([[1.0], [-1.0]]))


@family("laplacian", choice("neighbours", 4, "of a pixel that count", (4, 8)))
def laplacian(neighbours: int) -> Weights:
    """The sum of the second derivatives, from 4 or 8 neighbours.

    0  1  0      1  1  1
    1 -4  1      1 -8  1
    0  1  0      1  1  1
    """
    side = 0.0 if neighbours == 4 else 1.0
    return np.array([[side, 1, side], [1, -neighbours, 1], [side, 1, side]])


fixed("laplacian-4", "The Laplacian of 4 neighbours", laplacian(4))
fixed("laplacian-8", "The Laplacian of 8 neighbours", laplacian(8))


_SIZE = size("size", None, "rows and columns; 2·ceil(4·sigma)+1 if not given", at_least=3)
_LEAST_SIGMA = 0.1
"""Below, derivatives are differences of neighbours, to the last bit."""


def _gaussian_slope(sigma: float, count: int) -> Weights:
    """Return the first derivative of a Gaussian, shape (count,): 1 on a slope of 1 a pixel."""
    x = offsets(count)
    weights = x * bell(max(sigma, _LEAST_SIGMA), count)
    return np.asarray(weights / (weights @ x))


def _gaussian_bend(sigma: float, count: int) -> Weights:
    """Return its second derivative, shape (count,): 1 on x²/2, and 0 on every slope."""
    squares = offsets(count) ** 2
    weight = bell(max(sigma, _LEAST_SIGMA), count)
    weights = (squares - weight @ squares) * weight
    return np.asarray(weights / (weights @ squares) * 2)


def _sides(sigma: float, size: Size | None) -> Size:
    return limited(*(size or (odd_side(4 * sigma),) * 2))


@family("gaussian-x", SIGMA, _SIZE)
def gaussian_x(sigma: float, size: Size | None) -> Weights:
    """Slope of the picture blurred by a Gaussian: brighter to the right.

    1 where it grows by 1 a pixel. Sampled as far as 4σ, its moments made exact.
    """
    rows, columns = _sides(sigma, size)
    return np.outer(bell(sigma, rows), _gaussian_slope(sigma, columns))


@family("gaussian-y", SIGMA, _SIZE)
def gaussian_y(sigma: float, size: Size | None) -> Weights:
    """Slope of the picture blurred by a Gaussian: brighter downwards.

    1 where it grows by 1 a pixel. Sampled as far as 4σ, its moments made exact.
    """
    rows, columns = _sides(sigma, size)
    return np.outer(_gaussian_slope(sigma, rows), bell(sigma, columns))


family_set("hessian", "Second derivatives of a Gaussian: xx, xy and yy", ("xx", "xy", "yy"))


@family("hessian-xx", SIGMA, _SIZE)
def hessian_xx(sigma: float, size: Size | None) -> Weights:
    """Second derivative of the picture blurred by a Gaussian, along the rows.

    1 on x²/2: positive in the dark between what is bright.
    """
    rows, columns = _sides(sigma, size)
    return np.outer(bell(sigma, rows), _gaussian_bend(sigma, columns))


@family("hessian-xy", SIGMA, _SIZE)
def hessian_xy(sigma: float, size: Size | None) -> Weights:
    """Mixed derivative of the picture blurred by a Gaussian, x to the right and y downwards.

    1 on x·y.
    """
    rows, columns = _sides(sigma, size)
    return np.outer(_gaussian_slope(sigma, rows), _gaussian_slope(sigma, columns))


@family("hessian-yy", SIGMA, _SIZE)
def hessian_yy(sigma: float, size: Size | None) -> Weights:
    """Second derivative of the picture blurred by a Gaussian, along the columns.

    1 on y²/2.
    """
    rows, columns = _sides(sigma, size)
    return np.outer(_gaussian_bend(sigma, rows), bell(sigma, columns))
