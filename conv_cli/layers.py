"""Layers on arrays: corr2d, conv2d and Conv2D, as the lesson and PyTorch define them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from conv_cli.borders import Border, Padding
from conv_cli.correlation.correlate import correlate, prepare
from conv_cli.correlation.params import NO_PADDING, ConvParams, Pair
from conv_cli.correlation.problem import Problem, Source, Tile
from conv_cli.errors import ConvError

Array = npt.NDArray[Any]
PairLike = int | Sequence[int]
PaddingLike = int | Sequence[int] | Sequence[Sequence[int]] | Literal["same", "valid"]


def corr2d(x: npt.ArrayLike, k: npt.ArrayLike) -> Array:
    """Return the 2-D cross-correlation of an image with a kernel.

    The window starts at the top left and slides: ``y[i, j] = sum(x[i:i+kh, j:j+kw] * k)``.

    Parameters
    ----------
    x : array_like, shape (H, W)
        Any real dtype.
    k : array_like, shape (kh, kw)
        Any real dtype.

    Returns
    -------
    ndarray, shape (H-kh+1, W-kw+1)
        Integers by integers: exact, in the smallest of int16, int32 and int64 that holds every
        possible result. Else float64 for an image of float64 or of 32-bit and wider integers, and
        float32 for the rest.

    Raises ConvError if a shape does not fit, or integers could exceed 64 bits.

    Examples
    --------
    >>> corr2d([[0, 1, 2], [3, 4, 5], [6, 7, 8]], [[0, 1], [2, 3]])
    array([[19, 25],
           [37, 43]])
    """
    image, kernel = _real(x, "x"), _real(k, "k")
    if image.ndim != 2 or kernel.ndim != 2:
        raise ConvError(
            f"x and k have shapes {image.shape} and {kernel.shape}; corr2d takes (H, W) and "
            "(kh, kw), conv2d takes channels"
        )
    return conv2d(image[None], kernel[None, None])[0]


def conv2d(
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    *,
    stride: PairLike = 1,
    padding: PaddingLike = 0,
    dilation: PairLike = 1,
    groups: int = 1,
    border: str | float | Border = "zero",
) -> Array:
    """Return a convolutional layer's feature maps: cross-correlation over channels, plus bias.

    Parameters
    ----------
    x : array_like, shape (C, H, W) or (N, C, H, W)
        Any real dtype.
    weight : array_like, shape (O, C/groups, kh, kw)
    bias : array_like, shape (O,), optional
    stride, dilation : int or (rows, columns)
    padding : int, (rows, columns), ((top, bottom), (left, right)), "same" or "valid"
        "same" is PyTorch's: dilation·(k-1) in all, the odd pixel below and to the right; it wants a
        stride of 1.
    groups : int
        Channels and outputs are split into so many groups that do not see each other.
    border : str or number
        What the padding holds: "zero", "edge", "reflect", "symmetric", "wrap" or a number.

    Returns
    -------
    ndarray, shape (O, h, w) or (N, O, h, w)
        h = floor((H + padding - dilation·(kh-1) - 1) / stride) + 1. The dtype as for ``corr2d``.

    Raises ConvError if a shape or a parameter does not fit, or integers could exceed 64 bits.
    """
    shape = np.shape(weight)
    if len(shape) != 4 or 0 in shape:
        raise ConvError(f"weight has shape {shape}; expected (O, C/groups, kh, kw)")
    params = params_of(
        shape[2:],
        stride=stride, padding=padding, dilation=dilation, groups=groups, border=border,
    )  # fmt: skip
    return feature_maps(x, weight, bias, params)


def feature_maps(
    x: npt.ArrayLike, weight: npt.ArrayLike, bias: npt.ArrayLike | None, params: ConvParams
) -> Array:
    """Return what ``conv2d`` does, the way that kernels slide given as one value."""
    image, weights = _real(x, "x"), _real(weight, "weight")
    if image.ndim not in (3, 4):
        raise ConvError(f"x has shape {image.shape}; expected (C, H, W) or (N, C, H, W)")
    offsets = _real(np.zeros(len(weights), np.int64) if bias is None else bias, "bias")
    if offsets.shape != (len(weights),):
        raise ConvError(
            f"bias has shape {offsets.shape}, expected ({len(weights)},): one an output"
        )
    source = Source.of(image if image.ndim == 4 else image[None])
    problem = prepare(source, weights, params).problem
    dtype = _result_dtype(source, weights, offsets, problem)
    result = np.empty((problem.batch, problem.outputs, *problem.output), dtype)
    column = offsets.astype(dtype)[:, None, None]

    def add_bias(values: Array, _: Tile) -> None:
        np.add(values, column, out=values)

    correlate(source, weights, params, None if bias is None else add_bias, out=result)
    return result if image.ndim == 4 else result[0]


class Conv2D:
    """A convolutional layer: weights, a bias, and the way they slide.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size : int or (rows, columns)
    stride, padding, dilation, groups, border
        As for ``conv2d``.
    bias : bool
        Whether the layer has one.
    rng : numpy.random.Generator, int or None
        Where the initial weights come from; a seed makes them repeatable.

    Attributes
    ----------
    weight : ndarray, shape (out_channels, in_channels/groups, rows, columns)
        Drawn from U(-b, b) with b = 1/sqrt(fan_in), fan_in = in_channels/groups · rows · columns
        (LeCun et al. 1998, "Efficient BackProp"; PyTorch's default as well). May be assigned.
    bias : ndarray, shape (out_channels,), or None
        Drawn likewise. May be assigned.

    Raises ConvError if a parameter or an assigned array does not fit.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: PairLike,
        *,
        stride: PairLike = 1,
        padding: PaddingLike = 0,
        dilation: PairLike = 1,
        groups: int = 1,
        border: str | float | Border = "zero",
        bias: bool = True,
        rng: np.random.Generator | int | None = None,
    ) -> None:
        if groups < 1 or in_channels < 1 or in_channels % groups:
            raise ConvError(f"in_channels is {in_channels}, expected a multiple of groups={groups}")
        if out_channels < 1 or out_channels % groups:
            raise ConvError(
                f"out_channels is {out_channels}, expected a multiple of groups={groups}"
            )
        generator = np.random.default_rng(rng)
        shape = (out_channels, in_channels // groups, *as_pair(kernel_size, "kernel_size", 1))
        limit = 1 / np.sqrt(np.prod(shape[1:]))
        self._weight: Array = generator.uniform(-limit, limit, shape)
        self._bias: Array | None = generator.uniform(-limit, limit, out_channels) if bias else None
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.groups, self.border = groups, border

    @property
    def weight(self) -> Array:
        """The weights, shape (out_channels, in_channels/groups, rows, columns)."""
        return self._weight

    @weight.setter
    def weight(self, values: npt.ArrayLike) -> None:
        self._weight = _fitting(values, self._weight.shape, "weight")

    @property
    def bias(self) -> Array | None:
        """The bias, shape (out_channels,), or None."""
        return self._bias

    @bias.setter
    def bias(self, values: npt.ArrayLike | None) -> None:
        shape = self._weight.shape[:1]
        self._bias = None if values is None else _fitting(values, shape, "bias")

    def __repr__(self) -> str:
        """Return the layer as it was made, what is as usual left out."""
        outputs, inputs, rows, columns = self._weight.shape
        usual = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "border": "zero"}
        given = [f"{name}={value!r}" for name, plain in usual.items()
                 if (value := getattr(self, name)) != plain]  # fmt: skip
        parts = [str(inputs * self.groups), str(outputs), str((rows, columns)), *given]
        return f"Conv2D({', '.join(parts)}{'' if self._bias is not None else ', bias=False'})"

    def __call__(self, x: npt.ArrayLike) -> Array:
        """Return the feature maps of an image (C, H, W) or of a batch (N, C, H, W)."""
        return conv2d(
            x,
            self._weight,
            self._bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            border=self.border,
        )


def _real(values: npt.ArrayLike, name: str) -> Array:
    array = np.asarray(values)
    if array.dtype.kind not in "buif":
        raise ConvError(f"{name} has dtype {array.dtype}; expected real numbers")
    return array


def _fitting(values: npt.ArrayLike, shape: tuple[int, ...], name: str) -> Array:
    array = _real(values, name)
    if array.shape != shape:
        raise ConvError(f"{name} has shape {array.shape}, expected {shape}")
    return array


def as_pair(value: PairLike, name: str, least: int) -> Pair:
    """Return (rows, columns) of one number for both or of two.

    Raises ConvError if they are no whole numbers of at least ``least``; it calls them ``name``.
    """
    try:
        numbers = np.asarray(value)
    except ValueError:  # rows of unequal length
        numbers = np.empty(0)
    if numbers.shape not in ((), (2,)) or numbers.dtype.kind not in "iu" or (numbers < least).any():
        raise ConvError(f"{name} is {value!r}; expected a whole number of at least {least}, or two")
    rows, columns = (int(n) for n in np.broadcast_to(numbers, 2))
    return rows, columns


def params_of(
    kernel: Pair,
    *,
    stride: PairLike,
    padding: PaddingLike,
    dilation: PairLike,
    groups: int,
    border: str | float | Border,
) -> ConvParams:
    """Return how kernels of a size slide, from any way to write it that ``conv2d`` knows.

    Raises ConvError if one is none, or padding "same" is asked for with a stride.
    """
    if groups < 1:
        raise ConvError(f"groups is {groups}, expected at least 1")
    steps, gaps = as_pair(stride, "stride", 1), as_pair(dilation, "dilation", 1)
    if padding == "same" and steps != (1, 1):
        raise ConvError(f"padding 'same' wants a stride of 1, not {steps}; give it in numbers")
    return ConvParams(
        stride=steps,
        dilation=gaps,
        padding=_as_padding(padding, kernel, gaps),
        groups=groups,
        border=Border.named(border),
    )


def _as_padding(padding: PaddingLike, kernel: Pair, dilation: Pair) -> Padding:
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise ConvError(f"padding is {padding!r}; expected same, valid or numbers")
        if padding == "valid":
            return NO_PADDING
        total = (d * (k - 1) for k, d in zip(kernel, dilation, strict=True))
        around, beside = ((t // 2, t - t // 2) for t in total)
        return around, beside
    if isinstance(padding, np.ndarray):
        padding = padding.tolist()
    if isinstance(padding, Sequence) and len(padding) == 2 and isinstance(padding[0], Sequence):
        top_bottom, left_right = cast("Sequence[Sequence[int]]", padding)
        return as_pair(top_bottom, "padding", 0), as_pair(left_right, "padding", 0)
    rows, columns = as_pair(cast("PairLike", padding), "padding", 0)
    return (rows, rows), (columns, columns)


def _result_dtype(
    source: Source, weights: Array, offsets: Array, problem: Problem
) -> np.dtype[Any]:
    """Return float32 or float64, or the smallest of int16, int32, int64 that holds every result."""
    kinds = {source.dtype.kind, weights.dtype.kind, offsets.dtype.kind}
    if "f" in kinds or not problem.whole:
        wide = np.result_type(source.dtype, np.float32) == np.float64
        return np.dtype(np.float64 if wide or source.dtype.itemsize > 8 else np.float32)
    low, high = problem.low + min(int(offsets.min()), 0), problem.high + max(int(offsets.max()), 0)
    # What 64-bit pixels hold is known by looking at them, and a dtype does not depend on that.
    for dtype in ("int64",) if source.dtype.itemsize == 8 else ("int16", "int32", "int64"):
        limit = np.iinfo(dtype)
        if limit.min <= low and high <= limit.max:
            return np.dtype(dtype)
    raise ConvError(
        f"results from {low:.3g} to {high:.3g} exceed 64-bit integers; give the image as float64"
    )
