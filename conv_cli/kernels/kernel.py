"""Kernel: the weights that slide over an image, with their bias, origin and name."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import PurePath
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from numpy.typing import DTypeLike

from conv_cli.errors import ConvError, KernelError
from conv_cli.io.files import write_bytes
from conv_cli.io.tables import MAX_NUMBERS
from conv_cli.notebooks import Shown

MAX_WEIGHTS = MAX_NUMBERS
_LONGEST_NAME = 40
_FEW = 25
"""Weights that are shown where a kernel is."""

Weights = npt.NDArray[np.float64]
Size = tuple[int, int]
Normalization = Literal["none", "sum", "abs"]


@dataclass(frozen=True, eq=False, repr=False)
class Kernel(Shown):
    """A 2-D kernel for cross-correlation.

    weights : ndarray, shape (kh, kw), float64, read-only
        Finite; at most 4,194,304 of them.
    bias : float
        Added to every result, in the image's own units (0..255 for 8 bits).
    origin : (row, column)
        The weight that lies on the output pixel, counted from 0; default ((kh-1)//2, (kw-1)//2).
    name : str
        What messages and file names call the kernel.

    Raises KernelError if the weights are not a finite, real, rectangular matrix within the limit,
    the bias is not finite, or the origin lies outside.
    """

    weights: Weights
    bias: float = 0.0
    origin: Size = field(default=None)  # type: ignore[assignment]  # set below
    name: str = "kernel"
    _dimensions: ClassVar[tuple[int, ...]] = (2,)

    def __post_init__(self) -> None:
        with named(self.name):
            weights = _checked_weights(self.weights, self._dimensions)
            rows, columns = weights.shape[-2:]
            row, column = map(int, _middle((rows, columns)) if self.origin is None else self.origin)
            if not (0 <= row < rows and 0 <= column < columns):
                raise ConvError(
                    f"origin ({row}, {column}) lies outside its {rows}x{columns} weights; count "
                    "rows and columns from 0"
                )
            if not np.isfinite(self.bias):
                raise ConvError(f"bias {self.bias} is not a finite number")
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "origin", (row, column))
        object.__setattr__(self, "bias", float(self.bias))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Weights:
        """Return the weights, so that ``np.asarray(kernel)`` does."""
        return np.array(self.weights, dtype, copy=copy)

    def __eq__(self, other: object) -> bool:
        """Return whether weights, bias, origin and name are the same."""
        if not isinstance(other, Kernel):
            return NotImplemented
        mine, others = ((k.bias, k.origin, k.name, k.shape) for k in (self, other))
        return mine == others and np.array_equal(self.weights, other.weights)

    def __hash__(self) -> int:
        """Return the same for equal kernels."""
        return hash((self.bias, self.origin, self.name, self.shape))

    def __repr__(self) -> str:
        """Return the name, the size, the weights of a small one, and what is not as usual."""
        rows, columns = self.shape
        small = f": {self.weights.tolist()}" if self.weights.size <= _FEW else ""
        bias = f", bias={self.bias:g}" if self.bias else ""
        origin = "" if self.is_centred else f", origin={self.origin}"
        return f"<Kernel {self.name!r}, {rows}x{columns}{small}{bias}{origin}>"

    def to(self, tool: str, *, approximate: bool = False) -> str:
        """Return what another tool gets the same result by, as ``conv-cli kernels convert`` does.

        tool : str. "imagemagick", "vips", "gmic", "ffmpeg", "gegl", "opencv", "scipy", "pytorch",
            "json", "csv" or "txt".
        approximate : bool. Where the tool cannot hold the kernel, the closest that it can.

        Raises KernelError if the tool cannot hold it, or is none of these.
        """
        convert = _built_on_kernels("tools.strings", "convert")
        text: str = convert(self, tool, approximate=approximate).data.decode()
        return text.rstrip("\n")

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> None:
        """Write the kernel to a .json, .csv, .txt, .npy or .mat file, whole or not at all.

        Raises KernelError if the format cannot hold it, ImageError if the file is there, unless
        with `force`, or cannot be written.
        """
        data = _built_on_kernels("formats", "dump_kernel")(self, PurePath(path).suffix)
        write_bytes(os.fspath(path), data, force=force)

    @property
    def shape(self) -> Size:
        """Rows and columns of the weights."""
        rows, columns = self.weights.shape[-2:]
        return rows, columns

    @property
    def biases(self) -> tuple[float, ...]:
        """What is added to each channel of a result; one number where it is the same for all."""
        return (self.bias,)

    def with_bias(self, bias: float) -> Self:
        """Return the kernel with another bias."""
        return replace(self, bias=bias)

    @property
    def is_centred(self) -> bool:
        """Whether the origin is the default: the middle, or the upper left of it."""
        return self.origin == _middle(self.shape)

    @property
    def is_zero_sum(self) -> bool:
        """Whether the weights cancel, so that results lie around zero."""
        sums, sizes = (self._sum(weights) for weights in (self.weights, np.abs(self.weights)))
        return bool((np.abs(sums) <= 1e-6 * sizes).all())

    def _sum(self, weights: Weights) -> Weights:
        """Return the sum of all weights that make one channel of a result, to divide them by."""
        axes = range(min(weights.ndim - 2, 1), weights.ndim)
        return np.asarray(weights.sum(axis=tuple(axes), keepdims=True))

    def flipped(self) -> Self:
        """Return the kernel rotated by 180°, origin and all: o becomes k-1-o.

        Correlating with the flipped kernel is mathematical convolution with this one.
        """
        (rows, columns), (row, column) = self.shape, self.origin
        return replace(
            self,
            weights=self.weights[..., ::-1, ::-1],
            origin=(rows - 1 - row, columns - 1 - column),
        )

    def framed(self, shape: Size, origin: Size | None = None, *, crop: bool = False) -> Self:
        """Return the kernel with zeros around it, so that it has that shape and origin.

        The origin is by default the shape's own. What does not fit into the frame is cut off with
        `crop`, and a KernelError without.
        """
        origin = origin or _middle(shape)
        lead = np.subtract(origin, self.origin)
        trail = np.subtract(shape, self.shape) - lead
        if min(*lead, *trail) < 0 and not crop:
            raise KernelError(
                f"kernel {self.name}: it does not fit into {shape[0]}x{shape[1]} around its origin"
            )
        (top, left), (bottom, right) = np.maximum(-lead, 0), self.shape + np.minimum(trail, 0)
        around = np.maximum(np.stack([lead, trail], axis=1), 0).tolist()
        whole = [(0, 0)] * (self.weights.ndim - 2)
        weights = np.pad(self.weights[..., top:bottom, left:right], [*whole, *around])
        return replace(self, weights=weights, origin=origin)

    def centred(self, even: Literal["never", "upper", "lower"] = "never") -> Self:
        """Return the kernel with the fewest zeros around it that put its origin into the middle.

        even : whether sides may be even, and which of their two middles counts: the "upper",
            (k-1)//2, which is the origin by default, or the "lower", k//2.
        """
        before = np.array(self.origin)
        after = np.subtract(self.shape, 1) - before
        shape = np.maximum(2 * before + (even != "lower"), 2 * after + (even != "upper"))
        rows, columns = shape.tolist()
        row, column = ((shape - (even != "lower")) // 2).tolist()
        return self.framed((rows, columns), (row, column))

    def normalized(self, how: Normalization) -> Self:
        """Return the kernel divided by the sum of its weights ("sum") or of their sizes ("abs").

        Raises KernelError if that sum is zero, to the rounding of the weights themselves.
        """
        if how == "none":
            return self
        magnitude = self._sum(np.abs(self.weights))
        divisor = magnitude if how == "abs" else self._sum(self.weights)
        if (np.abs(divisor) <= 1e-12 * magnitude).any():
            raise KernelError(
                f"kernel {self.name}: its weights sum to zero, so they cannot be normalized by "
                f"{how}; use {'none' if how == 'abs' else 'abs or none'}"
            )
        return replace(self, weights=self.weights / divisor)


def common_frame(kernels: Sequence[Kernel]) -> tuple[Kernel, ...]:
    """Return the kernels with zeros around them, so that all have one shape and one origin."""
    row, column = np.max([k.origin for k in kernels], axis=0).tolist()
    below, right = np.max([np.subtract(k.shape, k.origin) for k in kernels], axis=0).tolist()
    return tuple(k.framed((row + below, column + right), (row, column)) for k in kernels)


@contextmanager
def named(label: str) -> Iterator[None]:
    """Put the name of a kernel before a reason that a ConvError holds alone: a KernelError then."""
    try:
        yield
    except KernelError:
        raise
    except ConvError as error:
        raise KernelError(f"kernel {label}: {error}") from None


def _built_on_kernels(module: str, name: str) -> Callable[..., Any]:
    """Return a function of a module that is built on this one, and so is not imported by it."""
    found: Callable[..., Any] = getattr(import_module(f"conv_cli.kernels.{module}"), name)
    return found


def brief_name(name: str, weights: Weights, kind: str) -> str:
    """Return the name, or for a long one the kind, the size and a digest of the weights."""
    if len(name) <= _LONGEST_NAME:
        return name
    import hashlib

    rows, columns = weights.shape
    digest = hashlib.blake2b(weights.tobytes(), digest_size=4).hexdigest()
    return f"{kind}-{rows}x{columns}-{digest}"


def _middle(shape: Size) -> Size:
    return (shape[0] - 1) // 2, (shape[1] - 1) // 2


def _checked_weights(values: npt.ArrayLike, dimensions: tuple[int, ...]) -> Weights:
    """Return a read-only float64 copy of weights of so many dimensions, or raise ConvError."""
    try:
        raw = np.asarray(values)
    except ValueError:
        raise ConvError("not a matrix of numbers with rows of equal length") from None
    if raw.dtype.kind not in "buif":
        raise ConvError(f"weights must be real numbers, not {raw.dtype}")
    if raw.ndim not in dimensions or raw.size == 0:
        raise ConvError(f"weights have shape {raw.shape}, expected (rows, columns)")
    if raw.size > MAX_WEIGHTS:
        raise ConvError(f"{raw.size:,} weights, at most {MAX_WEIGHTS:,} are allowed")
    with np.errstate(over="ignore"):  # a wider float than float64 may overflow; refused below
        weights = raw.astype(np.float64) + 0.0  # so that none is -0
    if not np.isfinite(weights).all():
        *_, row, column = place = tuple(np.argwhere(~np.isfinite(weights))[0].tolist())
        raise ConvError(
            f"row {row + 1}, column {column + 1} is {weights[place]}, expected a finite number"
        )
    weights.flags.writeable = False
    return weights
