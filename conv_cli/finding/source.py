"""An image as a search reads it: window by window, as whole numbers or as floats."""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.parallel.scratch import Scratch

Array = npt.NDArray[Any]
_MOST = 65_535
"""Whole numbers of a wider range are taken as floats."""
_LINES = 32
"""Rows of a window that are enough to tell about what its mean is."""


class Source:
    """Channels of an image, read window by window.

    planes : ndarray, shape (C, H, W), real
    whole : bool. Its values are whole numbers that span no more than 65,535, and windows count
        from their middle.
    top : float. The largest magnitude that windows have then.
    """

    def __init__(self, planes: Array) -> None:
        self.planes = planes
        self.channels, self.height, self.width = planes.shape
        kind, least, most = planes.dtype.kind, 0, 255
        self.whole = kind in "bu" and planes.dtype.itemsize == 1
        if kind in "ui" and not self.whole:
            least, most = int(planes.min()), int(planes.max())
            self.whole = most - least <= _MOST
        self._middle = (least + most + 1) // 2
        self.top = float(self._middle - least)

    def window(
        self, top: int, left: int, shape: tuple[int, int], frame: tuple[int, int], scratch: Scratch
    ) -> "Values":
        """Return the pixels of a window, zeros behind them up to the frame.

        shape : (rows, columns) of the window
        frame : (rows, columns) of the arrays
        """
        (rows, columns), size = shape, (self.channels, *frame)
        part = self.planes[:, top : top + rows, left : left + columns]
        values = scratch.array("values", size, np.dtype(np.int32 if self.whole else np.float64))
        values[:, rows:] = 0
        values[:, :rows, columns:] = 0
        inside = values[:, :rows, :columns]
        if not self.whole:
            inside[...] = part
            return Values(values, shape, [0.0] * len(values), _centred(inside))
        wide = np.int64 if part.dtype.itemsize > 2 else np.int32
        np.subtract(part, self._middle, out=inside, dtype=wide, casting="unsafe")
        some = inside[:, :: max(1, rows // _LINES)]
        centre = [float(round(np.mean(plane, dtype=np.float64))) for plane in some]
        return Values(values, shape, centre, None)


class Values(NamedTuple):
    """The pixels of a window.

    values : ndarray, shape (C, rows, columns), int32 or float64, zeros around the window.
    shape : (rows, columns) of the window
    centre : list of float. What is to be taken off each channel for an FFT.
    missing : ndarray of bool, shape of the window, or None. Which pixels are not finite; they are
        0 in the values.
    """

    values: Array
    shape: tuple[int, int]
    centre: list[float]
    missing: Array | None


def _centred(values: Array) -> Array | None:
    """Take its mean off every channel, scale all to magnitudes near 1, and mark what is missing.

    Scores depend on neither, and squares of the largest floats would overflow.
    """
    good = np.isfinite(values)
    missing: Array | None = None if good.all() else np.logical_not(good.all(axis=0))
    if missing is not None:
        values[:, missing] = 0
    peak = float(np.abs(values).max(initial=0))
    if peak:
        # In two steps, as the scale itself may be beyond floats.
        np.ldexp(values, -math.frexp(peak)[1], out=values)
    for plane in values:
        seen = plane if missing is None else plane[~missing]
        plane -= seen.mean() if seen.size else 0.0
    if missing is not None:
        values[:, missing] = 0
    peak = float(np.abs(values).max(initial=0))
    if peak:
        np.ldexp(values, -math.frexp(peak)[1], out=values)
    return missing
