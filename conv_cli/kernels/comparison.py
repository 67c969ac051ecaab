"""How two kernels differ: not at all, turned, mirrored, moved, scaled, or in their weights."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.kernels.kernel import Kernel, Size, Weights, common_frame

_TOLERANCE = 1e-9
"""Of the sum of magnitudes: what rounding in another order leaves."""
_WHITE = 255
Matrices = npt.NDArray[Any]

TURNS: dict[str, Callable[[Matrices], Matrices]] = {
    "mirrored left to right": lambda x: x[..., ::-1],
    "mirrored top to bottom": lambda x: x[..., ::-1, :],
    "turned by 180°": lambda x: x[..., ::-1, ::-1],
    "turned by 90° to the left": lambda x: np.rot90(x, 1, (-2, -1)),
    "turned by 90° to the right": lambda x: np.rot90(x, -1, (-2, -1)),
    "mirrored along its diagonal": lambda x: x.swapaxes(-2, -1),
    "mirrored along its other diagonal": lambda x: x[..., ::-1, ::-1].swapaxes(-2, -1),
}
"""Every way in which a square, the last two axes of an array, can lie otherwise and stay one."""
_WAYS = {"": lambda x: x, "turned by 180°": TURNS["turned by 180°"], **TURNS}
"""In the order in which they are tried: half a turn is what tells a convolution."""


class Difference(NamedTuple):
    """What makes a second kernel of a first one, and how far their pictures differ.

    same : bool. They give the same picture.
    turned : str. How the second is turned or mirrored; "" if it is not.
    moved : (rows, columns). By which the second one's picture lies below and to the right.
    scaled : float. What the weights are multiplied by.
    other_weights : bool. Nothing of this makes the one of the other.
    bias : float. What the second one's bias has more.
    largest : float. The largest difference of two results on an 8-bit image, before any range.
    """

    same: bool
    turned: str
    moved: Size
    scaled: float
    other_weights: bool
    bias: float
    largest: float

    @property
    def words(self) -> str:
        """What the second is, seen from the first."""
        if self.same:
            return "the same picture"
        parts = ["other weights"] if self.other_weights else [self.turned] if self.turned else []
        if self.scaled != 1:
            parts.append(f"scaled by {self.scaled:.7g}")
        if self.moved != (0, 0):
            parts.append("moved by {} rows and {} columns".format(*self.moved))
        if self.bias:
            parts.append(f"bias {self.bias:+.7g}")
        return ", ".join(parts)


def difference(first: Kernel, second: Kernel) -> Difference:
    """Return how the second kernel differs from the first."""
    one, other = common_frame([first, second])
    less = other.weights - one.weights
    bias = second.bias - first.bias
    size = max(float(np.abs(each.weights).sum()) for each in (first, second))
    near = _TOLERANCE * size
    if abs(bias) <= _TOLERANCE * max(abs(first.bias), abs(second.bias), 1.0):
        bias = 0.0
    ends = (_WHITE * float(less[less > 0].sum()), _WHITE * float(less[less < 0].sum()))
    largest = max(abs(end + bias) for end in ends)
    if np.abs(less).max() <= near:
        return Difference(bias == 0, "", (0, 0), 1.0, False, bias, abs(bias))
    for plain in (True, False):
        for words, way in _WAYS.items():
            found = _made(first, second, way, near)
            if found is not None and (found[0] == 1) == plain:
                return Difference(False, words, found[1], found[0], False, bias, largest)
    return Difference(False, "", (0, 0), 1.0, True, bias, largest)


def _made(
    first: Kernel, second: Kernel, way: Callable[[Matrices], Matrices], near: float
) -> tuple[float, Size] | None:
    """Return the factor and the move that make the second of the first, turned some way."""
    turned, aim = _cropped(_turned(first, way), near), _cropped(second, near)
    if turned.shape != aim.shape or not turned.weights.any():
        return None
    factor = float((turned.weights * aim.weights).sum() / np.square(turned.weights).sum())
    factor = 1.0 if abs(factor - 1) <= _TOLERANCE else factor
    if factor == 0 or np.abs(factor * turned.weights - aim.weights).max() > near:
        return None
    # A weight that lies further right moves what it sees to the left.
    row, column = np.subtract(aim.origin, turned.origin).tolist()
    return factor, (row, column)


def _turned(kernel: Kernel, way: Callable[[Matrices], Matrices]) -> Kernel:
    """Return the kernel turned about its origin."""
    marks = np.zeros(kernel.shape)
    marks[kernel.origin] = 1
    row, column = np.argwhere(way(marks))[0].tolist()
    return replace(kernel, weights=way(kernel.weights), origin=(row, column))


class _Cropped(NamedTuple):
    """The weights that count, and where the origin lies from the first of them."""

    weights: Weights
    origin: Size

    @property
    def shape(self) -> tuple[int, ...]:
        return self.weights.shape


def _cropped(kernel: Kernel, near: float) -> _Cropped:
    rows, columns = np.nonzero(np.abs(kernel.weights) > near)
    if not rows.size:
        return _Cropped(kernel.weights, kernel.origin)
    top, left = int(rows.min()), int(columns.min())
    weights = kernel.weights[top : int(rows.max()) + 1, left : int(columns.max()) + 1]
    return _Cropped(weights, (kernel.origin[0] - top, kernel.origin[1] - left))
