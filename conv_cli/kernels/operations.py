"""Kernels made from kernels: one for a chain of them, one rotated."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from conv_cli.errors import KernelError
from conv_cli.kernels.family import limited
from conv_cli.kernels.kernel import Kernel, Weights, named

_DIRECT_STEPS = 1 << 28
"""Multiplications up to which a product is summed directly, exact for whole numbers."""


def composed(kernels: Sequence[Kernel]) -> Kernel:
    """Return the one kernel that does what a chain of them does, the first one first.

    Exact wherever no kernel of the chain reaches over the border, and for real values: what is
    rounded or limited between two steps is not in it. The weights are the full convolution of all,
    the origins add up, and a bias is weighed by the sums of the kernels that come after it.

    Raises KernelError if the kernel would have more than 4,194,304 weights.
    """
    first, *rest = kernels
    for after in rest:
        name = f"{first.name}, {after.name}"
        with named(name):
            weights = _convolved(first.weights, after.weights)
        row, column = (a + b for a, b in zip(first.origin, after.origin, strict=True))
        bias = first.bias * float(after.weights.sum()) + after.bias
        first = Kernel(weights, bias, (row, column), name)
    return first


def rotated(kernel: Kernel, steps: int) -> Kernel:
    """Return the kernel rotated clockwise by so many times 45°, origin and all.

    Any kernel can be rotated by 90°. By 45° every ring of an odd square is shifted along itself by
    an eighth of its length, which leaves its weights as they are.

    Raises KernelError for an odd number of steps and a kernel that is no odd square.
    """
    rows, columns = kernel.shape
    if steps % 2 and (rows != columns or rows % 2 == 0):
        raise KernelError(
            f"kernel {kernel.name}: it is {rows}x{columns}, and only odd squares can be turned by "
            "45°; turn it by 90°"
        )
    # Its places are rotated as its weights are, so the origin is where its own number has gone.
    places = np.arange(rows * columns).reshape(rows, columns)
    places = np.rot90(places, -(steps // 2))
    if steps % 2:
        places = _rotated_rings(places)
    row, column = np.argwhere(places == kernel.origin[0] * columns + kernel.origin[1])[0].tolist()
    return replace(kernel, weights=kernel.weights.ravel()[places], origin=(row, column))


def _convolved(a: Weights, b: Weights) -> Weights:
    """Return the full convolution of two matrices."""
    rows, columns = limited(len(a) + len(b) - 1, a.shape[1] + b.shape[1] - 1)
    small, large = sorted((a, b), key=np.size)
    with np.errstate(over="ignore", invalid="ignore"):  # Kernel refuses what is not finite
        if small.size * large.size > _DIRECT_STEPS:
            spectra = [np.fft.rfft2(each, (rows, columns)) for each in (a, b)]
            return np.fft.irfft2(math.prod(spectra), (rows, columns))
        result = np.zeros((rows, columns))
        for (i, j), weight in np.ndenumerate(small):
            result[i : i + len(large), j : j + large.shape[1]] += weight * large
        return result


def _rotated_rings(places: np.ndarray) -> np.ndarray:
    """Return an odd square with every ring shifted clockwise by an eighth of its length."""
    middle, result = len(places) // 2, places.copy()
    for radius in range(1, middle + 1):
        ring = _ring(middle, radius)
        result[ring] = np.roll(places[ring], radius)
    return result


def _ring(middle: int, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of the 8·radius places around the middle, clockwise from top left."""
    up, out = np.arange(-radius, radius), np.full(2 * radius, radius)
    rows = np.concatenate([-out, up, out, -up])
    columns = np.concatenate([up, out, -up, -out])
    return middle + rows, middle + columns
