"""ImageMagick's own named kernels, with its own meanings (as of 6.9, 16-bit quanta).

Nothing here is conv-cli's built-in of the same name: Sobel, for one, is the other way round. All
are as ImageMagick shows them by ``-define morphology:showKernel=1``, so Convolve still turns them
by 180°.
"""

import math

import numpy as np

from conv_cli.kernels.family import Weights
from conv_cli.kernels.kernel import Kernel
from conv_cli.kernels.tools.geometry import Geometry, given
from conv_cli.kernels.tools.magick_blurs import binomial, blur, comet, dog, gaussian, log
from conv_cli.kernels.tools.magick_parts import turned
from conv_cli.kernels.tools.magick_shapes import (
    Maker,
    disk,
    distance,
    peaks,
    rectangle,
    ring,
    shape,
    square,
)


def _unity(arguments: Geometry) -> Weights:
    return np.array([[given(arguments.rho, 1.0)]])


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


def _laplacian(arguments: Geometry) -> Weights:
    return _matrix(_LAPLACIANS.get(int(given(arguments.rho, 0)), _LAPLACIANS[0]))


def _edge(rows: str) -> Maker:
    """Return the maker of a 3x3 matrix that its argument turns, clockwise in degrees."""
    return lambda arguments: turned(Kernel(_matrix(rows)), given(arguments.rho, 0))


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


def _frei_chen(arguments: Geometry) -> Kernel:
    """FreiChen:TYPE,ANGLE, or FreiChen:ANGLE of type 0 for an angle above 30°."""
    kind, angle = given(arguments.rho, 0), given(arguments.sigma, 0)
    matrix, scale = _FREI_CHEN.get(int(kind), _FREI_CHEN[0])
    if angle == 0 and abs(kind) > 30:
        angle = kind
    return turned(Kernel(matrix * scale), angle)


_MAKERS: dict[str, Maker] = {
    "unity": _unity,
    "gaussian": gaussian,
    "dog": dog,
    "log": log,
    "blur": blur,
    "comet": comet,
    "binomial": binomial,
    "laplacian": _laplacian,
    "sobel": _edge("1 0 -1; 2 0 -2; 1 0 -1"),
    "roberts": _edge("0 0 0; 1 -1 0; 0 0 0"),
    "prewitt": _edge("1 0 -1; 1 0 -1; 1 0 -1"),
    "compass": _edge("1 1 -1; 1 -2 -1; 1 1 -1"),
    "kirsch": _edge("5 -3 -3; 5 0 -3; 5 -3 -3"),
    "freichen": _frei_chen,
    "diamond": shape(1, lambda x, y, radius: x + y <= radius),
    "octagon": shape(2, lambda x, y, radius: x + y <= radius + radius // 2),
    "plus": shape(2, lambda x, y, radius: (x == 0) | (y == 0)),
    "cross": shape(2, lambda x, y, radius: x == y),
    "square": square,
    "rectangle": rectangle,
    "disk": disk,
    "ring": ring,
    "peaks": peaks,
    "chebyshev": distance(1, lambda x, y: np.maximum(x, y)),
    "manhattan": distance(1, lambda x, y: x + y),
    "octagonal": distance(2, lambda x, y: np.maximum(np.maximum(x, y), (x + y + 1) // 1.5)),
    "euclidean": distance(1, np.hypot),
}
NAMES = tuple(_MAKERS)
"""The names that are read, in lower case."""
PATTERNS = (
    "edges", "corners", "diagonals", "lineends", "linejunctions", "ridges", "convexhull", "thinse",
    "skeleton",
)  # fmt: skip
"""Names of ImageMagick's that are patterns for its other morphology, and no convolution."""


def magick_kernels(name: str, arguments: Geometry) -> list[Kernel]:
    """Return the kernels of a name in `NAMES`: one, but nine for FreiChen:10.

    Raises
    ------
    KernelError
        With the bare reason, if the arguments do not go together or ask for too many weights.
    """
    if name == "freichen" and int(given(arguments.rho, 0)) == _ALL_FREI_CHEN:
        types = range(_ALL_FREI_CHEN + 1, _ALL_FREI_CHEN + 10)
        return [_frei_chen(arguments._replace(rho=float(kind))) for kind in types]
    made = _MAKERS[name](arguments)
    return [made if isinstance(made, Kernel) else Kernel(made)]


def _matrix(rows: str) -> Weights:
    return np.array([row.split() for row in rows.split(";")], np.float64)
