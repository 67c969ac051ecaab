"""Noise in the input: how much its even parts show, and what it does to weights.

Least squares takes noise that came into the input after the target was made for detail that the
filter removed: a blur looks wider (attenuation; Fuller, 1987). The weights are not corrected: the
noise may have been there before.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from conv_cli.fitting.normal import Normal
from conv_cli.fitting.pairs import Pair
from conv_cli.fitting.solve import centred

Array = npt.NDArray[Any]

_BLOCK, _MOST_BLOCKS = 16, 1_000
_EVENEST = 10
"""Percentile of blocks, by their detail."""
_FEWEST = 20
_PART = 0.5
"""What noise may take at most of the detail in any direction for its effect to be told."""


def noise_of_even_parts(pairs: Sequence[Pair]) -> float:
    """Return the standard deviation of the noise in the evenest parts of inputs; 0 where none is.

    By second differences both ways, which a slope leaves at 0 (Immerkær, 1996).
    """
    found = [blocks for pair in pairs for plane in pair.x for blocks in [_detail(plane)]]
    sizes = np.concatenate(found) if found else np.empty(0)
    return float(np.percentile(sizes, _EVENEST)) if len(sizes) >= _FEWEST else 0.0


def _detail(plane: Array) -> Array:
    """Return the root mean square of second differences of blocks that are not flat."""
    rows, columns = ((n - 2) // _BLOCK for n in plane.shape)
    if rows < 1 or columns < 1:
        return np.empty(0)
    step = max(rows * columns // _MOST_BLOCKS, 1)
    sizes = []
    for number in range(0, rows * columns, step):
        top, left = (k * _BLOCK for k in divmod(number, columns))
        block = plane[top : top + _BLOCK + 2, left : left + _BLOCK + 2].astype(np.float64)
        detail = np.diff(np.diff(block, 2, axis=0), 2, axis=1) / 6
        if np.ptp(block) > 0:
            sizes.append(math.sqrt(float(np.square(detail).mean())))
    return np.array(sizes)


def without_noise(normal: Normal, noise: float, *, bias: bool) -> Array | None:
    """Return the weights (p, D) if the input's noise came in after the target was made.

    None where the noise leaves too little of the detail to tell.
    """
    gram, moments = centred(normal, bias=bias)
    least = float(np.linalg.eigvalsh(gram)[0])
    energy = normal.pixels * noise**2
    if energy > _PART * least:
        return None
    return np.linalg.solve(gram - energy * np.eye(len(gram)), moments)
