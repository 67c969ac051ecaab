"""GEGL's ``gegl:convolution-matrix``: five by five, not flipped, centred, times 1/divisor + offset.

GEGL works in linear light there, so two casts around it make it work on the picture's own values.
The letter of a weight is its column, the digit its row (checked with GEGL 0.4.42).
"""

from dataclasses import replace

import numpy as np

from conv_cli.errors import ConvError
from conv_cli.io.tables import format_number
from conv_cli.kernels.kernel import Kernel
from conv_cli.kernels.rational import as_rational

_SIDE = 5
_WHITE = 255
_MOST_DIVISOR = 1000
_ENCODED, _LINEAR = "\"R'G'B'A float\"", '"RGBA float"'


def write_gegl(kernel: Kernel) -> str:
    """Return the operations for ``gegl in.png -o out.png --``."""
    below, right = np.subtract(kernel.shape, kernel.origin) - 1
    if max(*kernel.origin, below, right) > _SIDE // 2:
        raise ConvError(
            "GEGL's matrix is 5x5, and this one reaches further than 2 pixels from its origin; use "
            "--approximate to cut it down"
        )
    if abs(kernel.bias) > _WHITE:
        raise ConvError(f"its bias is {kernel.bias:g}, and GEGL takes none beyond 255")
    weights, divisor = kernel.framed((_SIDE, _SIDE)).weights, 1
    if whole := as_rational(weights, _MOST_DIVISOR):
        weights, divisor = whole
    places = [
        f"{letter}{row + 1}={format_number(weights[row, column])}"
        for row in range(_SIDE)
        for column, letter in enumerate("abcde")
        if weights[row, column] or row == column == _SIDE // 2  # whose own default is 1
    ]
    return (
        f"gegl:cast-format input-format={_ENCODED} output-format={_LINEAR} "
        f"gegl:convolution-matrix {' '.join(places)} divisor={divisor} "
        f"offset={format_number(kernel.bias / _WHITE)} normalize=false alpha-weight=false "
        "alpha=false border=clamp "
        f"gegl:cast-format input-format={_LINEAR} output-format={_ENCODED}"
    )


def approximate_gegl(kernel: Kernel) -> Kernel:
    """Return what of the kernel lies in the five by five around its origin, of the same sum."""
    total = float(kernel.weights.sum())
    part = kernel.framed((_SIDE, _SIDE), crop=True)
    left = float(part.weights.sum())
    if left * total <= 0:
        return part
    return replace(part, weights=part.weights * (total / left))
