"""What a fit learns beside the weights of a kernel: a stride, linear light, a curve."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from conv_cli.errors import ConvError, KernelError
from conv_cli.kernels.kernel import Kernel, Size

Array = npt.NDArray[Any]
Where = Literal["before", "after"]


class Tone(NamedTuple):
    """A curve through points, straight between them and beyond.

    where : str. "before": the kernel is applied to what the curve makes of the input. "after": the
        curve to what the kernel makes.
    x, y : ndarray, shape (k,), k at least 2. In the image's own units; x rises.
    """

    where: Where
    x: Array
    y: Array

    def __call__(self, values: Array) -> Array:
        """Return the curve's values."""
        first, last = ((self.y[k + 1] - self.y[k]) / (self.x[k + 1] - self.x[k]) for k in (0, -2))
        inner = np.interp(values, self.x, self.y)
        inner = np.where(values < self.x[0], self.y[0] + (values - self.x[0]) * first, inner)
        return np.where(values > self.x[-1], self.y[-1] + (values - self.x[-1]) * last, inner)

    def as_dict(self) -> dict[str, Any]:
        """Return it as a JSON file holds it."""
        points = [[float(x), float(y)] for x, y in zip(self.x, self.y, strict=True)]
        return {"where": self.where, "points": points}

    @classmethod
    def of(cls, value: Any) -> Self:
        """Return the curve of a JSON object. Raises ConvError if it is none."""
        if isinstance(value, dict) and value.get("where") in ("before", "after"):
            try:
                points = np.array(value.get("points"), float)
            except (TypeError, ValueError):
                points = np.empty(0)
            if points.ndim == 2 and points.shape[1] == 2 and len(points) > 1:
                x, y = points.T
                if np.isfinite(points).all() and (np.diff(x) > 0).all():
                    return cls(value["where"], x, y)
        raise ConvError(
            'its tone is no curve; expected {"where": "before" or "after", "points": [[x, y], …]} '
            "with x that rises"
        )


class Manner(NamedTuple):
    """How kernels are to be applied, by what was learned with them.

    stride : (rows, columns)
    linear : bool. In linear light.
    tone : Tone or None. A curve before or after.
    """

    stride: Size = (1, 1)
    linear: bool = False
    tone: Tone | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as a JSON file holds it."""
        return {**self._asdict(), "tone": self.tone and self.tone.as_dict()}


_PLAIN = Manner()


@dataclass(frozen=True, eq=False, repr=False)
class LearnedKernel(Kernel):
    """A kernel, and how it is to be applied to make what it was learned from."""

    manner: Manner = _PLAIN

    def __eq__(self, other: object) -> bool:
        """Return whether it is the same kernel, applied in the same manner."""
        if not isinstance(other, LearnedKernel):
            return False
        return self.manner.as_dict() == other.manner.as_dict() and super().__eq__(other)

    __hash__ = Kernel.__hash__


def manner_of(kernels: Iterable[Kernel]) -> Manner:
    """Return how kernels are to be applied. Raises KernelError if that is not the same for all."""
    kernels = list(kernels)
    learned = [kernel for kernel in kernels if isinstance(kernel, LearnedKernel)]
    if not learned:
        return _PLAIN
    if len(kernels) > 1:
        raise KernelError(
            f"kernel {learned[0].name}: it was learned with a stride, linear light or a curve of "
            "its own; apply it alone"
        )
    return learned[0].manner


def require_plain(kernels: Iterable[Kernel]) -> None:
    """Raise KernelError for a kernel that is more than what slides."""
    for kernel in kernels:
        if manner_of([kernel]) != _PLAIN:
            raise KernelError(
                f"kernel {kernel.name}: it was learned with a stride, linear light or a curve, "
                "which apply alone follows; fit it without, or use apply"
            )


def with_manner(kernel: Kernel, manner: Manner) -> Kernel:
    """Return a kernel that says how it is to be applied; as it is if there is nothing to say."""
    if manner == _PLAIN:
        return kernel
    return LearnedKernel(kernel.weights, kernel.bias, kernel.origin, kernel.name, manner)
