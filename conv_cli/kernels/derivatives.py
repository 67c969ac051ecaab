"""Built-ins that measure slopes: first derivatives in pairs, and the Laplacian.

Pairs are written for cross-correlation: -x answers positively where the image grows brighter to the
right, -y where it grows brighter downwards. Only edge and roberts keep the textbooks' own signs.
"""

import numpy as np

from conv_cli.kernels.family import choice, family, family_set, fixed
from conv_cli.kernels.kernel import Weights

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
