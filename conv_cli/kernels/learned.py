"""What a fit learns beside one matrix of weights: a stride, linear light, a curve; more kernels."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, NamedTuple, Self

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

    @property
    def words(self) -> str:
        """What it is, in words; "" if there is nothing to say."""
        stride = (
            f"with a stride of {self.stride[0]}x{self.stride[1]}" if self.stride != (1, 1) else ""
        )
        light = "in linear light" if self.linear else ""
        tone = f"with a curve of {len(self.tone.x)} points {self.tone.where}" if self.tone else ""
        return ", ".join(filter(None, (stride, light, tone)))

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


@dataclass(frozen=True, eq=False, repr=False)
class ChannelKernel(LearnedKernel):
    """A kernel for each channel, or for each channel of the result one for each of the input.

    weights : ndarray, shape (C, kh, kw), or (C', C, kh, kw) with the result's channels first
        Those of colours, without opacity. A channel of the result is the sum over the input's.
    biases : tuple of float
        Added to each channel of the result; ``bias`` is 0.

    Raises KernelError as Kernel does, and for another number of biases.
    """

    biases: tuple[float, ...] = ()
    _dimensions: ClassVar[tuple[int, ...]] = (3, 4)

    def __post_init__(self) -> None:
        super().__post_init__()
        biases = tuple(map(float, self.biases or (0.0,) * self.results))
        if len(biases) != self.results or not np.isfinite(biases).all():
            raise KernelError(
                f"kernel {self.name}: it makes {self.results} channels, and its biases are "
                f"{list(biases)}; give a finite number for each"
            )
        object.__setattr__(self, "biases", biases)

    def __eq__(self, other: object) -> bool:
        """Return whether all kernels and biases are the same, and the manner."""
        if not isinstance(other, ChannelKernel):
            return False
        return self.biases == other.biases and super().__eq__(other)

    __hash__ = Kernel.__hash__

    def __repr__(self) -> str:
        """Return the name, the numbers of channels, and the size."""
        rows, columns = self.shape
        return f"<ChannelKernel {self.name!r}, {rows}x{columns}, {self.kind}>"

    @property
    def mixes(self) -> bool:
        """Whether a channel of the result is made of all of the input's."""
        return self.weights.ndim == 4

    @property
    def results(self) -> int:
        """How many channels a result has."""
        return len(self.weights)

    @property
    def inputs(self) -> int:
        """How many channels a picture must have, without opacity."""
        return self.weights.shape[-3]

    @property
    def kind(self) -> str:
        """What it is, in words."""
        if self.mixes:
            return f"one from each of {self.inputs} channels to each of {self.results}"
        return f"one for each of {self.inputs} channels"

    def with_bias(self, bias: float) -> Self:
        """Return the kernel with the same bias for all channels."""
        return replace(self, biases=(bias,) * self.results)

    def parts(self) -> "list[tuple[int, int, Kernel]]":
        """Return each matrix as a kernel, with its channels in the result and the input, from 0.

        In a mix the bias is that of the first of those that are summed.
        """
        found = []
        for result, planes in enumerate(self.weights):
            matrices = planes if self.mixes else planes[None]
            for number, weights in enumerate(matrices):
                source = number if self.mixes else result
                bias = 0.0 if number else self.biases[result]
                label = channel_name(result, self.results)
                if self.mixes:
                    label += f" from {channel_name(source, self.inputs)}"
                part = Kernel(weights, bias, self.origin, f"{self.name} {label}")
                found.append((result, source, part))
        return found


def channel_name(number: int, count: int) -> str:
    """Return what a channel is called, by its number from 0 and how many there are."""
    return {1: "grey", 3: "RGB"[number % 3]}.get(count, str(number + 1))


def require_one(kernels: Iterable[Kernel]) -> None:
    """Raise KernelError for a kernel that is several, one for each channel."""
    for kernel in kernels:
        if isinstance(kernel, ChannelKernel):
            raise KernelError(
                f"kernel {kernel.name}: it is {kernel.kind}, and one for all is needed; "
                "use it in apply alone, or fit one with --channels shared"
            )


def manner_of(kernels: Iterable[Kernel]) -> Manner:
    """Return how kernels are to be applied. Raises KernelError if that is not the same for all."""
    kernels = list(kernels)
    learned = [
        kernel
        for kernel in kernels
        if isinstance(kernel, LearnedKernel) and kernel.manner != _PLAIN
    ]
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
    if isinstance(kernel, LearnedKernel):
        return replace(kernel, manner=manner)
    return LearnedKernel(kernel.weights, kernel.bias, kernel.origin, kernel.name, manner)
