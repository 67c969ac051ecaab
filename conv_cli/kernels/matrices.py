"""Built-ins that are plain matrices: eight compass directions, the Frei-Chen basis, Pillow's own.

A compass member answers most where the bright side of an edge lies in its direction; n is up.
"""

import numpy as np

from conv_cli.kernels.family import family_set, fixed
from conv_cli.kernels.kernel import Kernel
from conv_cli.kernels.operations import rotated

_DIRECTIONS = ("n", "ne", "e", "se", "s", "sw", "w", "nw")


def _compass_set(name: str, summary: str, north: list[list[float]]) -> None:
    family_set(name, f"{summary}: eight directions", _DIRECTIONS)
    for steps, ending in enumerate(_DIRECTIONS):
        weights = rotated(Kernel(np.array(north)), steps).weights
        fixed(f"{name}-{ending}", f"{summary}: {ending.upper()}", weights)


# R. Kirsch, "Computer determination of the constituent structure of biological images", 1971.
_compass_set("kirsch", "Kirsch (1971)", [[5, 5, 5], [-3, 0, -3], [-3, -3, -3]])

# G. S. Robinson, "Edge detection by compass gradient masks", 1977: the five-level masks, of which
# robinson-e is sobel-x.
_compass_set("robinson", "Robinson (1977), five levels", [[1, 2, 1], [0, 0, 0], [-1, -2, -1]])

# J. M. S. Prewitt, "Object enhancement and extraction", 1970.
_compass_set("compass", "Prewitt's compass (1970)", [[1, 1, 1], [1, -2, 1], [-1, -1, -1]])

_ROOT = np.sqrt(2.0)

# W. Frei & C.-C. Chen, "Fast boundary detection: a generalization and a new algorithm", IEEE
# Transactions on Computers C-26(10), 1977: an orthonormal basis of the 3x3 matrices. 1-4 span
# edges, 5-8 lines, and 9 is the mean.
_FREI_CHEN = (
    np.array([[1, _ROOT, 1], [0, 0, 0], [-1, -_ROOT, -1]]) / (2 * _ROOT),
    np.array([[1, 0, -1], [_ROOT, 0, -_ROOT], [1, 0, -1]]) / (2 * _ROOT),
    np.array([[0, -1, _ROOT], [1, 0, -1], [-_ROOT, 1, 0]]) / (2 * _ROOT),
    np.array([[_ROOT, -1, 0], [-1, 0, 1], [0, 1, -_ROOT]]) / (2 * _ROOT),
    np.array([[0, 1, 0], [-1, 0, -1], [0, 1, 0]]) / 2,
    np.array([[-1, 0, 1], [0, 0, 0], [1, 0, -1]]) / 2,
    np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]]) / 6,
    np.array([[-2, 1, -2], [1, 4, 1], [-2, 1, -2]]) / 6,
    np.array([[1, 1, 1], [1, 1, 1], [1, 1, 1]]) / 3,
)

family_set("freichen", "Frei & Chen (1977): an orthonormal basis of 3x3", tuple("123456789"))
for _number, _weights in enumerate(_FREI_CHEN, 1):
    _kind = "edges" if _number <= 4 else "lines" if _number <= 8 else "the mean"
    fixed(f"freichen-{_number}", f"Frei & Chen (1977): {_kind}", _weights)


def _around(centre: float, n: float) -> list[list[float]]:
    return [[n, n, n], [n, centre, n], [n, n, n]]


# PIL.ImageFilter's weights, scale and offset. Pillow reads its rows from the bottom up, which only
# EMBOSS shows: it stands here the way it acts.
_PILLOW: dict[str, tuple[list[list[float]], float, float]] = {
    "blur": (
        [[1, 1, 1, 1, 1], [1, 0, 0, 0, 1], [1, 0, 0, 0, 1], [1, 0, 0, 0, 1], [1, 1, 1, 1, 1]],
        16,
        0,
    ),
    "contour": (_around(8, -1), 1, 255),
    "detail": ([[0, -1, 0], [-1, 10, -1], [0, -1, 0]], 6, 0),
    "edge-enhance": (_around(10, -1), 2, 0),
    "edge-enhance-more": (_around(9, -1), 1, 0),
    "emboss": ([[0, 0, 0], [0, 1, 0], [-1, 0, 0]], 1, 128),
    "find-edges": (_around(8, -1), 1, 0),
    "sharpen": (_around(32, -2), 16, 0),
    "smooth": (_around(5, 1), 13, 0),
    "smooth-more": (
        [[1, 1, 1, 1, 1], [1, 5, 5, 5, 1], [1, 5, 44, 5, 1], [1, 5, 5, 5, 1], [1, 1, 1, 1, 1]],
        100,
        0,
    ),
}

for _name, (_matrix, _scale, _offset) in _PILLOW.items():
    _summary = f"Pillow's {_name.replace('-', '_').upper()}"
    fixed(f"pillow-{_name}", _summary, np.array(_matrix) / _scale, bias=_offset)
