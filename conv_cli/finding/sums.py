"""Sums over windows: exact for whole numbers, and blind to all that lies outside the window."""

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from conv_cli.parallel.scratch import Scratch

Array = npt.NDArray[Any]
_WIDE = 768
"""From so many columns on a row is worth two calls of its own: what enters and what leaves."""


def box_sums(values: Array, size: tuple[int, int], rows: int, scratch: Scratch, name: str) -> Array:
    """Return the sum of every window of an array, by its top left.

    Sums of runs of 1, 2, 4, … values are added up to the run that is asked for, so no value of
    another window leaves its rounding behind, as it would in a table of running totals.

    values : ndarray, shape (H, W), contiguous. Unsigned integers wrap: the result is right if it
        fits.
    rows : int. How many rows of windows there are at least.
    name : str. Of the scratch that holds the result.

    Returns
    -------
    ndarray, shape (rows, W)
        Of it the last ``size[1] - 1`` columns mean nothing.
    """
    down = column_sums(values, size[0], rows, scratch, f"{name} down")
    return row_sums(down, size[1], scratch, name)


def column_sums(values: Array, count: int, rows: int, scratch: Scratch, name: str) -> Array:
    """Return the sums (rows, W) of so many values down from each place."""
    width = values.shape[1]
    out = scratch.array(name, (rows, width), values.dtype)
    if width >= _WIDE and values.dtype.kind in "ui":
        np.sum(values[:count], axis=0, out=out[0], dtype=out.dtype)
        np.subtract(values[count : count + rows - 1], values[: rows - 1], out=out[1:])
        for above, row in pairwise(out):
            np.add(above, row, out=row)
        return out
    line = values.reshape(-1)[: (rows + count - 1) * width]
    _run_sums(line, count, width, out.reshape(-1), scratch)
    return out


def row_sums(values: Array, count: int, scratch: Scratch, name: str) -> Array:
    """Return the sums, shape of the values, of so many to the right from each place.

    Rows are taken as one line, in which the last sums wrap to the next row and mean nothing.
    """
    out = scratch.array(name, values.shape, values.dtype)
    line = out.reshape(-1)
    _run_sums(values.reshape(-1), count, 1, line[: line.size - (count - 1)], scratch)
    line[line.size - (count - 1) :] = 0
    return out


def running_sums(values: Array, out: Array) -> None:
    """Write the sums of all whole numbers above and to the left of each place, modulo 2ᴺ.

    values : ndarray, shape (H, W)
    out : ndarray, shape (H + 1, W), of the same dtype. The last column of the values is left out.
    """
    out[0] = out[:, 0] = 0
    np.cumsum(values[:, :-1], axis=1, out=out[1:, 1:])
    for above, row in pairwise(out):
        np.add(above, row, out=row)


def sums_between(
    table: Array, size: tuple[int, int], rows: slice, scratch: Scratch, name: str
) -> Array:
    """Return the sums of the boxes that begin in some rows, from their running sums.

    Of the result (rows, W) the last ``size[1]`` columns mean nothing.
    """
    width, line = table.shape[1], table.reshape(-1)
    out = scratch.array(name, (rows.stop - rows.start, width), table.dtype)
    length, first = out.size - size[1], rows.start * width
    top, bottom = line[first:], line[first + size[0] * width :]
    flat = out.reshape(-1)
    flat[length:] = 0
    flat = flat[:length]
    np.subtract(bottom[size[1] :][:length], bottom[:length], out=flat)
    np.subtract(flat, top[size[1] :][:length], out=flat)
    np.add(flat, top[:length], out=flat)
    return out


def _run_sums(line: Array, count: int, step: int, out: Array, scratch: Scratch) -> None:
    """Write the sums of ``count`` values ``step`` apart, from each value on, as many as ``out``."""
    spare = [scratch.array(f"part {n}", line.shape, line.dtype) for n in range(2)]
    part, width, start = line, 1, 0
    while width <= count:
        if count & width:
            piece = part[start * step :][: len(out)]
            if start:
                np.add(out, piece, out=out)
            elif part is not out:
                np.copyto(out, piece)
            start += width
        last = 2 * width == count
        length = len(out) if last else len(line) - (2 * width - 1) * step
        target = out if last else spare[width.bit_length() % 2][:length]
        if 2 * width <= count:
            part = np.add(part[:length], part[width * step :][:length], out=target)
        width *= 2


def spread(count: float, sums: Array, squares: Array, magnitude: float, scratch: Scratch) -> Array:
    """Return n·Σx² - (Σx)² of windows: n² times their variance, exactly 0 where they are even.

    count : float. n, or the sum of weights that are whole numbers.
    sums, squares : ndarray of integers. Σx and Σx².
    magnitude : float. The largest n·Σx² there may be.

    Returns
    -------
    ndarray, float64
    """
    result = scratch.array("spread", sums.shape, np.dtype(np.float64))
    square = scratch.array("square", sums.shape, np.dtype(np.float64))
    np.copyto(square, sums)
    np.multiply(square, square, out=square)
    np.copyto(result, squares)
    np.multiply(result, count, out=result)
    np.subtract(result, square, out=result)
    if magnitude < 2.0**53:
        return result
    # Beyond what a float holds, the difference is exact modulo 2⁶⁴, if it is known to be small.
    wide = sums.astype(np.int64)
    exact = squares.astype(np.int64) * np.int64(count) - wide * wide
    np.copyto(result, exact, where=result < 2.0**62)
    return result
