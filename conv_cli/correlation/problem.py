"""What is to be computed: the pixels' source, and the problem by its shapes and bounds."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.borders import Border, PaddedImage, Span, Windows, window_of
from conv_cli.correlation.bank import bank_of
from conv_cli.correlation.params import ConvParams, Pair
from conv_cli.errors import ConvError

Pixels = npt.NDArray[Any]


class Region(NamedTuple):
    """A piece of the output, or of the padded input."""

    rows: Span
    columns: Span

    @property
    def shape(self) -> Pair:
        """How many rows and columns there are."""
        return self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]


class Tile(NamedTuple):
    """One piece of work, its numbers at hand.

    output, input : Region. What is made, and the padded input that it needs.
    shape, window : (rows, columns). Of the two.
    """

    output: Region
    input: Region
    shape: Pair
    window: Pair


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One correlation, by its shapes.

    batch, channels, height, width : int. The image is (N, C, H, W).
    outputs : int
    kernel : (rows, columns). The weights are (O, C/groups, kh, kw).
    params : ConvParams. Its padding in numbers.
    dtype : numpy.dtype. Of the pixels that the engines read.
    whole : bool. Pixels, border and weights are all whole numbers, so the result can be exact.
    balance : float. The sum of an output's weights by the sum of their magnitudes, of the output
        where that is least: 1 for a blur, 0 for a derivative, which leaves little of large pixels.
    low, high : int. No result, nor any part of its sum, lies outside. Only used where ``whole``.
    steps : int. Operations on whole arrays of pixels that shift-and-add takes for all outputs.
    rank : int. How many terms, each a column times a row, the kernel of any output is the sum of; 0
        where there are too many, or several input channels, or whole numbers whose factors are not.
    in_place : bool. Engines may read the pixels where they are, or as if they did.
    """

    batch: int
    channels: int
    height: int
    width: int
    outputs: int
    kernel: Pair
    params: ConvParams
    dtype: np.dtype[Any]
    whole: bool
    balance: float
    low: int
    high: int
    steps: int
    rank: int = 0
    in_place: bool = True

    @cached_property
    def span(self) -> Pair:
        """Rows and columns of the window that the dilated kernel covers."""
        return self.params.span(self.kernel)

    @cached_property
    def output(self) -> Pair:
        """Rows and columns of a feature map."""
        return self.params.output((self.height, self.width), self.kernel)

    def window(self, tile: Pair) -> Pair:
        """Return rows and columns of padded input that a tile of output needs."""
        return self.params.window(tile, self.kernel)

    def tile(self, rows: Span, columns: Span) -> Tile:
        """Return the tile that makes some rows and columns of output."""
        output, (down, across) = Region(rows, columns), self.params.stride
        height, width = self.window(output.shape)
        top, left = rows[0] * down, columns[0] * across
        reads = Region((top, top + height), (left, left + width))
        return Tile(output, reads, output.shape, reads.shape)

    @property
    def magnitude(self) -> int:
        """The largest that a sum of whole numbers can be, sign aside."""
        return max(-self.low, self.high)

    @property
    def group_shape(self) -> Pair:
        """Outputs and input channels of one group."""
        return self.outputs // self.params.groups, self.channels // self.params.groups


class Source(NamedTuple):
    """Where the pixels come from: an image (N, C, H, W), and a pointwise map on the way in.

    pixels : ndarray or Windows, shape (N, C, H, W). Any real dtype, any strides.
    load : callable or None. (N, C, h, w) -> (N', C', h, w), applied to every tile and to the
        border's constant.
    samples : int. How many samples of a row belong to one pixel: 3 for RGB that is left
        interleaved.
    shape : (N', C', H, W). After ``load``.
    dtype : numpy.dtype. After ``load``.
    constant : ndarray, shape (N', C', 1, 1), or None. Of the border, as ``PaddedImage`` takes it.
    """

    pixels: Pixels | Windows
    load: Callable[[Pixels], Pixels] | None
    samples: int
    shape: tuple[int, int, int, int]
    dtype: np.dtype[Any]
    constant: Pixels | None = None

    @classmethod
    def of(
        cls,
        pixels: Pixels | Windows,
        load: Callable[[Pixels], Pixels] | None = None,
        *,
        samples: int = 1,
        constant: Pixels | None = None,
    ) -> "Source":
        """Return the source of an image (N, C, H, W), its shape and dtype found by a trial."""
        first = window_of(pixels, slice(0, 1), slice(0, 1))
        sample = first if load is None else load(first)
        shape = (*sample.shape[:2], *pixels.shape[2:])
        return cls(pixels, load, samples, shape, sample.dtype, constant)

    @property
    def is_read_in_place(self) -> bool:
        """Engines may read the pixels where they are, as often as they like."""
        return self.load is None and isinstance(self.pixels, np.ndarray)

    @property
    def is_like_array(self) -> bool:
        """Plans are those for an array, so that results are the same to the bit."""
        like = getattr(self.pixels, "like_array", isinstance(self.pixels, np.ndarray))
        return self.load is None and bool(like)

    def padded(self, params: ConvParams) -> PaddedImage:
        """Return the image with its border, to be read tile by tile."""
        return PaddedImage(
            self.pixels, params.margins, params.border, self.load,
            samples=self.samples, constant=self.constant,
        )  # fmt: skip


def state_problem(source: Source, weights: Pixels, params: ConvParams) -> Problem:
    """Return the problem of correlating a source with weights (O, C/groups, kh, kw).

    Raises ConvError if the shapes do not fit together.
    """
    batch, channels, height, width = source.shape
    outputs, group_channels, rows, columns = weights.shape
    groups, border = params.groups, params.border
    if channels % groups or outputs % groups or channels // groups != group_channels:
        raise ConvError(
            f"weights of shape {weights.shape} with groups={groups} do not fit an image of "
            f"{channels} channels; expected {channels}/groups channels in each weight and a "
            "multiple of groups outputs"
        )
    if 0 in source.shape:
        raise ConvError(f"the image has shape {source.shape}; it must not be empty")
    kind = source.dtype.kind
    bank = bank_of(weights)
    whole = kind in "bui" and bank.whole and border.value == int(border.value)
    low, high = _bounds(source, weights, border) if whole else (0, 0)
    if weights.dtype.kind == "f" and not -(2**63) <= low <= high < 2**63:
        whole, low, high = False, 0, 0
    dtype = np.dtype(np.uint8) if kind == "b" else source.dtype
    dtype = dtype if whole else np.result_type(dtype, np.float32)
    return Problem(
        batch=batch,
        channels=channels,
        height=height,
        width=width,
        outputs=outputs,
        kernel=(rows, columns),
        params=params,
        dtype=dtype,
        whole=whole,
        balance=bank.balance,
        low=low,
        high=high,
        steps=bank.steps_apart if whole and params.stride == (1, 1) else bank.steps,
        rank=max(map(len, bank.terms(dtype, whole=whole)), default=0),
        in_place=source.is_like_array,
    )


def _bounds(source: Source, weights: Pixels, border: Border) -> tuple[int, int]:
    """Return the least and the greatest sum of whole numbers, by dtype if it suffices.

    Both ends of the range of a pixel lie around 0, so a part of a sum never goes beyond the whole.
    """
    if source.dtype.kind == "b":
        least, greatest = 0, 1
    elif source.dtype.itemsize < 8 or not isinstance(source.pixels, np.ndarray):
        info = np.iinfo(source.dtype)
        least, greatest = int(info.min), int(info.max)
    else:
        least, greatest = min(int(source.pixels.min()), 0), max(int(source.pixels.max()), 0)
    least, greatest = min(least, int(border.value)), max(greatest, int(border.value))
    flat = weights.reshape(len(weights), -1).astype(np.float64)
    if np.abs(flat).sum() * max(-least, greatest) >= 2**53:
        flat = np.vectorize(int, otypes=[object])(weights.reshape(len(weights), -1))
    plus, minus = np.maximum(flat, 0).sum(axis=1), np.minimum(flat, 0).sum(axis=1)
    low, high = plus * least + minus * greatest, plus * greatest + minus * least
    return int(low.min()), int(high.max())
