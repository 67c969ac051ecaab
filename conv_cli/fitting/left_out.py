"""Pixels that a fit leaves out: by a mask, or as they hold no value.

A target pixel is left out with every pixel of the input that its kernel reads.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from conv_cli.colors import missing, white
from conv_cli.errors import FitError

Array = npt.NDArray[Any]
Size = tuple[int, int]
_REACHES = (15, 11, 7, 5, 3, 2, 1)
_ENOUGH = 20_000
"""Target pixels that are enough to keep far from all that is left out."""


class Marked(NamedTuple):
    """Which pixels of every input a mask leaves out.

    name : str. For errors.
    out : ndarray of bool, shape (H, W)
    """

    name: str
    out: Array

    @classmethod
    def of(cls, mask: npt.ArrayLike, name: str = "given") -> Self:
        """Return what is less than half white: of 1, or of the greatest of whole numbers."""
        pixels = np.asarray(mask)
        if pixels.ndim != 2:
            raise FitError(f"mask: has shape {pixels.shape}; expected (rows, columns)")
        top = 1.0 if pixels.dtype.kind == "b" else white(pixels.dtype)
        return cls(name, pixels < top / 2)


class LeftOut(NamedTuple):
    """Which pixels of a pair do not count, channel by channel.

    before, after : ndarray of bool, shapes (C, H, W) and (D, H', W')
    """

    before: Array
    after: Array

    def near(self, channel: slice, shape: Size, stride: Size, reach: int) -> Array:
        """Return the target pixels (H', W') whose windows read what is left out of the input.

        channel : slice. Of the input.
        shape : (rows, columns). Of the target.
        reach : int. How far windows go beyond a target pixel's own places.
        """
        bad: Array = np.asarray(self.before[channel].any(axis=0))
        for axis, (count, step) in enumerate(zip(shape, stride, strict=True)):
            own = step if step > 1 else bad.shape[axis] - count + 1
            first = np.arange(count) * step
            sums = np.cumsum(np.insert(bad, 0, False, axis=axis), axis=axis)
            start = np.clip(first - reach, 0, bad.shape[axis])
            stop = np.clip(first + own + reach, 0, bad.shape[axis])
            bad = np.take(sums, stop, axis=axis) > np.take(sums, start, axis=axis)
        return bad


def left_out(
    before: Array,
    after: Array,
    nodata: tuple[float | None, float | None],
    mask: Marked | None,
    name: str,
) -> LeftOut | None:
    """Return what does not count of a pair of planes (C, H, W) and (D, H', W'); None if all does.

    nodata : What stands for no value in the one and in the other.

    Raises FitError for a mask of another size than the input.
    """
    absent = [
        np.zeros(planes.shape, bool) if value is None else missing(planes, value)
        for planes, value in zip((before, after), nodata, strict=True)
    ]
    if mask is not None:
        (rows, columns), (height, width) = mask.out.shape, before.shape[1:]
        if (rows, columns) != (height, width):
            raise FitError(
                f"{name}: the input has {height} rows of {width} pixels, and the mask {mask.name} "
                f"{rows} of {columns}; make a mask of that size for it"
            )
        absent[0] = absent[0] | mask.out
    return LeftOut(*absent) if any(each.any() for each in absent) else None


def first_reach(several: Sequence[LeftOut | None], size: Size | None) -> int:
    """Return how far from what is left out target pixels are to be at first.

    As far as a window of the size needs; where that is to be found, as far as keeps enough pixels.
    """
    if size is not None:
        return max(size) // 2
    pairs = [each for each in several if each is not None]
    good = sum(np.count_nonzero(~pair.before.any(axis=0)) for pair in pairs)
    for reach in _REACHES:
        kept = 0
        for pair in pairs:
            shape = pair.before.shape[1], pair.before.shape[2]
            kept += int(np.count_nonzero(~pair.near(slice(None), shape, (1, 1), reach)))
        if kept >= min(_ENOUGH, good / 2):
            return reach
    return 1
