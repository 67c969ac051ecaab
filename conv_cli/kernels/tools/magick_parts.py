"""What ImageMagick's named kernels are made with: distances, impulses, turns."""

import math

import numpy as np

from conv_cli.kernels.family import Weights, limited, offsets
from conv_cli.kernels.kernel import Kernel
from conv_cli.kernels.operations import rotated
from conv_cli.kernels.tools.geometry import Geometry, given


def whole_radius(arguments: Geometry, default: int) -> int:
    """Return the first argument as a whole radius, the default for one below 1."""
    rho = given(arguments.rho, 0)
    return default if rho < 1 else int(rho)


def distances(radius: int) -> tuple[Weights, Weights]:
    """Return |x|, shape (1, 2r+1), and |y|, shape (2r+1, 1), from the middle."""
    side, _ = limited(2 * radius + 1, 2 * radius + 1)
    reach = np.abs(offsets(side))
    return reach[np.newaxis, :], reach[:, np.newaxis]


def impulse(rows: int, columns: int) -> Weights:
    """Return zeros with a 1 in the middle."""
    weights = np.zeros((rows, columns))
    weights[(rows - 1) // 2, (columns - 1) // 2] = 1
    return weights


def turned(kernel: Kernel, angle: float) -> Kernel:
    """Return the kernel turned clockwise by the nearest step that it can be turned by.

    That is 45° for 3x3, and 90° for other squares and lines.
    """
    step = 45 if kernel.shape == (3, 3) else 90
    # Half a step is not enough to be turned.
    steps = math.ceil((angle % 360) / step - 0.5)
    return rotated(kernel, steps * step // 45)
