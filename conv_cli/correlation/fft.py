"""Overlap-save FFT: windows and the kernel meet as spectra, whatever the kernel's size.

The circular correlation of a window with a kernel is right wherever the kernel does not lie over
the window's end, and those places are just the output. A tile is a row of such windows. Stockham
(1966), "High-speed convolution and correlation".

Transforms are orthonormal both ways because numpy.fft computes in float32 only if its factor of
normalization is a float32 as well; the default of 1 sends it through float64, three times slower.
"""

import math
from collections.abc import Iterator
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from conv_cli.borders import PaddedImage
from conv_cli.correlation import costs
from conv_cli.correlation.engine import overlapping
from conv_cli.correlation.fft_sizes import SIDES, fft_side
from conv_cli.correlation.plan import MOST_BYTES, Plan, accumulator, make_plan, tile_bytes
from conv_cli.correlation.problem import Problem, Tile
from conv_cli.correlation.support import holding, solid_core
from conv_cli.parallel.scratch import Scratch

Array = npt.NDArray[Any]
_TRUE = 1e-4
"""A result is right to this share of the largest pixel under its window, times Σ|w|."""
_ROUNDING = 26
"""What rounding may add up to anywhere, in units of the last place of the largest pixel times Σ|w|:
the worst of 10⁸ places, from a sine to single points, from Gaussians to noise, was 14."""

_CALLS = 9
"""Calls into NumPy for a tile: transforms there and back, and what lies between."""


class Fft:
    """Overlap-save of a problem.

    In a transform each pixel matters to every place, by its rounding. Where the largest pixels of a
    tile are too large for what some windows hold, float64 is taken; where that does not suffice
    either, those windows are taken from a transform without these pixels.
    """

    def __init__(self, weights: Array, problem: Problem, plan: Plan) -> None:
        self._problem, self._plan, self._weights = problem, plan, weights
        rows, columns = problem.window((plan.tile[0], plan.block))
        self._size = fft_side(rows), fft_side(columns)
        rows, columns = problem.params.dilation
        dilated = np.zeros((*weights.shape[:2], *problem.span))
        dilated[..., ::rows, ::columns] = weights
        spectra = np.conj(np.fft.rfft2(dilated, self._size))
        self._complex = np.result_type(plan.dtype, np.complex64)
        self._spectra = spectra.astype(self._complex)
        self._share = _ROUNDING * float(np.finfo(plan.dtype).epsneg) / _TRUE
        # A window holds one whole block of half its solid part, wherever blocks begin.
        core = solid_core((weights != 0).all(axis=(0, 1)))
        self._block = (core[0] + (rows == 1)) // 2, (core[1] + (columns == 1)) // 2

    @cached_property
    def _finer(self) -> "Fft":
        """The same in float64."""
        plan = self._plan._replace(dtype=np.dtype(np.float64))
        return Fft(self._weights, self._problem, plan)

    @staticmethod
    def plan(problem: Problem) -> Plan | None:
        """Return the FFT with its best window, or None where it is too large or not exact.

        Whole numbers are found again by rounding, in float64.
        """
        dtype = np.dtype(np.float64) if problem.whole else accumulator(problem, ())
        largest = MOST_BYTES // _fft_bytes(problem, dtype, 1)
        able = [
            (costs.fft_points(down, across), down, across)
            for down, across in product(*_fft_windows(problem))
            if (size := down.size * across.size) <= largest and _rounds_right(problem, size)
        ]
        if not able:
            return None
        points, down, across = min(able)
        cost = points * costs.fft_ns(problem, dtype.itemsize)
        window = _fft_bytes(problem, dtype, down.size * across.size)
        count = max(1, min(tile_bytes(problem) // window, -(-problem.output[1] // across.block)))
        tile = (down.block, min(across.block * count, problem.output[1]))
        return make_plan(
            "fft", problem, dtype, tile, cost, count * window, block=across.block, calls=_CALLS
        )

    def run(self, image: PaddedImage, tile: Tile, scratch: Scratch, out: Array | None) -> Array:
        """Return the values (N, O, rows, columns) of a tile, in ``out`` if it is given."""
        problem = self._problem
        outputs, channels = problem.group_shape
        if out is None:
            shape = (problem.batch, problem.outputs, *tile.shape)
            out = scratch.array("values", shape, self._plan.dtype)
        for n in range(problem.batch):
            for group in range(problem.params.groups):
                part = image.part(n, slice(group * channels, (group + 1) * channels))
                kernels = slice(group * outputs, (group + 1) * outputs)
                self._fill(out[n, kernels], part, tile, kernels, scratch)
        return out

    def _fill(
        self, out: Array, image: PaddedImage, tile: Tile, kernels: slice, scratch: Scratch
    ) -> None:
        """Write the values (outputs, rows, columns) of one group's kernels."""
        strip, windows = self._windows(image, tile, scratch)
        pixels = strip[:, : tile.window[0], : tile.window[1]]
        if self._problem.whole or self._is_even(pixels) or not np.isfinite(pixels).all():
            self._correlate(windows, kernels, out, scratch)
            return
        # The largest pixels are left out step by step. What a window gets from a step is right if
        # it holds a pixel that is large in it, or nothing.
        rest, missing = pixels.copy(), np.ones(out.shape, bool)
        while missing.any():
            peak = float(np.abs(rest).max())
            scale = 2.0 ** (math.frexp(peak)[1] - 1)
            np.divide(rest, scale, out=pixels)
            large = np.abs(rest) > self._share * peak
            rest[large] = 0
            within = more = self._holding(large, kernels)
            if not within.all():
                more = self._holding(rest != 0, kernels)
            if self._plan.dtype != np.float64 and (more & ~within).any():
                self._finer._fill(out, image, tile, kernels, scratch)
                return
            values = scratch.array("step", out.shape, self._plan.dtype)
            self._correlate(windows, kernels, values, scratch)
            values[~(within | more)] = 0
            np.multiply(values, scale, out=out, where=missing)
            missing &= more & ~within

    def _is_even(self, pixels: Array) -> bool:
        """Tell, from blocks that every window holds one of, whether no window is spoilt by others.

        Without a block, or with NaN, it cannot tell.
        """
        (rows, columns), (down, across) = self._block, self._problem.params.dilation
        channels, height, width = pixels.shape
        if not rows or not columns:
            return False
        count, places = height // (rows * down), width // (columns * across)
        lines = pixels[:, : count * rows * down].reshape(channels, count, rows, down, width)
        sizes = np.maximum(lines.max(axis=(0, 2)), -lines.min(axis=(0, 2)))
        below = pixels[:, count * rows * down :]
        blocks = sizes[..., : places * columns * across]
        blocks = blocks.reshape(count, down, places, columns, across).max(axis=3)
        peak = max(sizes.max(), below.max(initial=0), -below.min(initial=0))
        return bool(peak * self._share <= blocks.min(initial=np.inf))

    def _holding(self, marks: Array, kernels: slice) -> Array:
        """Tell which windows (outputs, rows, columns) have a mark (channels, ...) in them."""
        (down, across), found = self._problem.params.stride, dict[bytes, Array]()
        supports = self._weights[kernels] != 0
        for support in supports:
            if support.tobytes() not in found:
                several = zip(marks, support, strict=True)
                within = [holding(*pair, self._problem.params.dilation) for pair in several]
                found[support.tobytes()] = np.any(within, axis=0)[::down, ::across]
        return np.stack([found[support.tobytes()] for support in supports])

    def _correlate(self, windows: Array, kernels: slice, out: Array, scratch: Scratch) -> None:
        """Write what every kernel of a group makes of the windows of a tile."""
        spectra = self._transformed(windows, scratch)
        for kernel, target in zip(self._spectra[kernels], out, strict=True):
            self._write(self._back(self._product(spectra, kernel, scratch), scratch), target)

    def _windows(self, image: PaddedImage, tile: Tile, scratch: Scratch) -> tuple[Array, Array]:
        """Return a strip (channels, rows, columns), and the windows (channels, T, rows, columns)
        of it that overlap.
        """
        (height, width) = self._size
        count = -(-tile.shape[1] // self._plan.block)
        step = self._plan.block * self._problem.params.stride[1]
        strip = scratch.array(
            "strip", (len(self._spectra[0]), height, (count - 1) * step + width), self._plan.dtype
        )
        strip[:, tile.window[0] :] = 0
        strip[:, :, tile.window[1] :] = 0
        image.read(*tile.input, strip[None, :, : tile.window[0], : tile.window[1]])
        channel, line, item = strip.strides
        shape = (len(strip), count, height, width)
        return strip, overlapping(strip, shape, (channel, step * item, line, item))

    def _transformed(self, windows: Array, scratch: Scratch) -> Array:
        shape = (*windows.shape[:3], windows.shape[3] // 2 + 1)
        spectra = scratch.array("spectra", shape, self._complex)
        np.fft.rfft(windows, norm="ortho", out=spectra)
        return np.fft.fft(spectra, axis=2, norm="ortho", out=spectra)

    def _product(self, spectra: Array, kernel: Array, scratch: Scratch) -> Array:
        """Return the spectra (T, rows, columns) of one output: products, summed over channels."""
        total = scratch.array("total", spectra.shape[1:], self._complex)
        np.multiply(spectra[0], kernel[0], out=total)
        for channel, own in zip(spectra[1:], kernel[1:], strict=True):
            product = scratch.array("product", total.shape, self._complex)
            total += np.multiply(channel, own, out=product)
        return total

    def _back(self, spectra: Array, scratch: Scratch) -> Array:
        """Return the windows (T, rows, columns) of a spectrum, as far down as they are right."""
        rows = self._size[0] - self._problem.span[0] + 1
        spectra = np.fft.ifft(spectra, axis=1, norm="ortho", out=spectra)[:, :rows]
        values = scratch.array("windows", (*spectra.shape[:2], self._size[1]), self._plan.dtype)
        np.fft.irfft(spectra, self._size[1], norm="ortho", out=values)
        return np.rint(values, out=values) if self._problem.whole else values

    def _write(self, values: Array, out: Array) -> None:
        """Write the parts of the windows that are right, side by side."""
        (down, across), block = self._problem.params.stride, self._plan.block
        bottom = (out.shape[0] - 1) * down + 1
        for number, window in enumerate(values[:, :bottom:down]):
            target = out[:, number * block : (number + 1) * block]
            target[...] = window[:, : (target.shape[1] - 1) * across + 1 : across]


def _fft_bytes(problem: Problem, dtype: np.dtype[Any], points: int) -> int:
    """Return what a window takes: itself, its spectra, and those of the kernels and the result."""
    outputs, channels = problem.outputs, problem.group_shape[1]
    return points * dtype.itemsize * (2 * channels + 3 + outputs * channels)


def _fft_windows(problem: Problem) -> Iterator[list[costs.Side]]:
    """Yield, down and across, the sides of windows that an FFT likes and what they give.

    A longer side must give a larger share of itself, by 3 %, to be worth its cache.
    """
    axes = zip(problem.span, problem.params.stride, problem.output, strict=True)
    for span, stride, length in axes:
        sides: list[costs.Side] = []
        for size in SIDES:
            block = min((size - span) // stride + 1, length)
            if size >= span and (
                not sides or block / size > 1.03 * sides[-1].block / sides[-1].size
            ):
                sides.append(costs.Side(size, block))
        yield sides


def _rounds_right(problem: Problem, points: int) -> bool:
    """Tell whether an FFT of so many points is off by less than a quarter in whole numbers.

    The error of each place grows with the norms of window and kernel and the number of stages
    (Higham, "Accuracy and Stability of Numerical Algorithms", 24.1); the norms are bounded by the
    largest sum and the points of the window, and the factor of 16 is for the constant.
    """
    error = 2.0**-53 * 16 * math.log2(points) * math.sqrt(points) * 2 * problem.magnitude
    return not problem.whole or error < 0.25
