"""Pillow's ten named filters, as kernels that give the same pictures.

The weights are those of PIL.ImageFilter divided by its scale, the bias is its offset. Pillow reads
its rows from the bottom up, which only EMBOSS shows: it stands here the way it acts.
"""

import numpy as np

from conv_cli.kernels.family import fixed


def _around(centre: float, neighbour: float) -> list[list[float]]:
    n = neighbour
    return [[n, n, n], [n, centre, n], [n, n, n]]


_FILTERS: dict[str, tuple[list[list[float]], float, float]] = {
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

for _name, (_matrix, _scale, _offset) in _FILTERS.items():
    _pillow_name = _name.replace("-", "_").upper()
    fixed(f"pillow-{_name}", f"Pillow's {_pillow_name}", np.array(_matrix) / _scale, bias=_offset)
