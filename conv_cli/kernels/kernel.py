"""Kernel: the weights that slide over an image, with their bias, origin and name."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from conv_cli.errors import KernelError

MAX_WEIGHTS = 4_194_304

Normalization = Literal["none", "sum", "abs"]


@dataclass(frozen=True, eq=False)
class Kernel:
    """A 2-D kernel for cross-correlation.

    Attributes
    ----------
    weights : ndarray, shape (kh, kw), float64, read-only
        Finite; at most 4,194,304 of them.
    bias : float
        Added to every result, in the image's own units (0..255 for 8 bits).
    origin : (row, column)
        The weight that lies on the output pixel, counted from 0; default ((kh-1)//2, (kw-1)//2).
    name : str
        What messages and file names call the kernel.

    Raises
    ------
    KernelError
        If the weights are not a finite, real, rectangular matrix within the limit, the bias is not
        finite, or the origin lies outside.
    """

    weights: npt.NDArray[np.float64]
    bias: float = 0.0
    origin: tuple[int, int] = field(default=None)  # type: ignore[assignment]  # set below
    name: str = "kernel"

    def __post_init__(self) -> None:
        weights = _checked_weights(self.weights, self.name)
        rows, columns = weights.shape
        origin = ((rows - 1) // 2, (columns - 1) // 2) if self.origin is None else self.origin
        row, column = (int(i) for i in origin)
        if not (0 <= row < rows and 0 <= column < columns):
            raise KernelError(
                f"kernel {self.name}: origin ({row}, {column}) lies outside its {rows}x{columns} "
                "weights; count rows and columns from 0"
            )
        if not np.isfinite(self.bias):
            raise KernelError(f"kernel {self.name}: bias {self.bias} is not a finite number")
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "origin", (row, column))
        object.__setattr__(self, "bias", float(self.bias))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the weights."""
        rows, columns = self.weights.shape
        return rows, columns

    def flipped(self) -> Self:
        """Return the kernel turned by 180°, origin and all: o becomes k-1-o.

        Correlating with the turned kernel is mathematical convolution with this one.
        """
        (rows, columns), (row, column) = self.shape, self.origin
        return replace(
            self, weights=self.weights[::-1, ::-1], origin=(rows - 1 - row, columns - 1 - column)
        )

    def centred(self) -> Self:
        """Return the kernel with zeros around it, so that its origin is the middle of odd sides."""
        (rows, columns), (row, column) = self.shape, self.origin
        down, across = max(row, rows - 1 - row), max(column, columns - 1 - column)
        weights = np.zeros((2 * down + 1, 2 * across + 1))
        weights[down - row : down - row + rows, across - column : across - column + columns] = (
            self.weights
        )
        return replace(self, weights=weights, origin=(down, across))

    def normalized(self, how: Normalization) -> Self:
        """Return the kernel divided by the sum of its weights ("sum") or of their sizes ("abs").

        Raises
        ------
        KernelError
            If that sum is zero, to the rounding of the weights themselves.
        """
        if how == "none":
            return self
        magnitude = float(np.abs(self.weights).sum())
        divisor = magnitude if how == "abs" else float(self.weights.sum())
        if abs(divisor) <= 1e-12 * magnitude:
            raise KernelError(
                f"kernel {self.name}: its weights sum to zero, so they cannot be normalized by "
                f"{how}; use --normalize {'none' if how == 'abs' else 'abs or none'}"
            )
        return replace(self, weights=self.weights / divisor)


def common_frame(kernels: Sequence[Kernel]) -> tuple[Kernel, ...]:
    """Return the kernels with zeros around them, so that all have one shape and one origin."""
    before = np.max([k.origin for k in kernels], axis=0)
    after = np.max([np.subtract(k.shape, k.origin) for k in kernels], axis=0)
    framed = []
    for kernel in kernels:
        lead = before - kernel.origin
        trail = before + after - lead - kernel.shape
        weights = np.pad(kernel.weights, np.stack([lead, trail], axis=1))
        framed.append(replace(kernel, weights=weights, origin=tuple(before)))
    return tuple(framed)


def _checked_weights(values: npt.ArrayLike, name: str) -> npt.NDArray[np.float64]:
    """Return a read-only float64 copy of the weights if they are a matrix, or raise KernelError."""
    try:
        raw = np.asarray(values)
    except ValueError:
        raise KernelError(
            f"kernel {name}: not a matrix of numbers with rows of equal length"
        ) from None
    if raw.dtype.kind not in "buif":
        raise KernelError(f"kernel {name}: weights must be real numbers, not {raw.dtype}")
    if raw.ndim != 2 or raw.size == 0:
        raise KernelError(
            f"kernel {name}: weights have shape {raw.shape}, expected (rows, columns)"
        )
    if raw.size > MAX_WEIGHTS:
        raise KernelError(
            f"kernel {name}: {raw.size:,} weights, at most {MAX_WEIGHTS:,} are allowed"
        )
    with np.errstate(over="ignore"):  # a wider float than float64 may overflow; told below
        weights = raw.astype(np.float64)
    if not np.isfinite(weights).all():
        row, column = np.argwhere(~np.isfinite(weights))[0] + 1
        raise KernelError(
            f"kernel {name}: row {row}, column {column} is {weights[row - 1, column - 1]}, "
            "expected a finite number"
        )
    weights.flags.writeable = False
    return weights
