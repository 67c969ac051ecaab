"""Overlap-save FFT: windows and the kernel meet as spectra, whatever the kernel's size.

The circular correlation of a window with a kernel is right wherever the kernel does not reach over
the window's end, and those places are just the output. A tile is a row of such windows. Stockham
(1966), "High-speed convolution and correlation".

Transforms are orthonormal both ways because numpy.fft computes in float32 only if its factor of
normalization is a float32 as well; the default of 1 sends it through float64, three times slower.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from conv_cli.borders import PaddedImage
from conv_cli.correlation.plan import Plan, fft_size
from conv_cli.correlation.problem import Problem, Tile
from conv_cli.correlation.scratch import Scratch, overlapping

Array = npt.NDArray[Any]
_TRUE = 1e-4
"""A result is right to this share of the largest pixel under its window, times Σ|w|."""
_SPREAD = 1.0
"""An error of a transform in units of the last place times the norms of window and kernel: the
largest of 600,000 places was 0.6, with a Gaussian of 63 taps; others stay below 0.3."""


class FarPixelsError(ArithmeticError):
    """Pixels of a tile are so large that the rounding of their transforms would spoil far places.

    Attributes
    ----------
    in_double : bool
        Transforms in float64 would be fine enough.
    """

    def __init__(self, in_double: bool) -> None:
        super().__init__(in_double)
        self.in_double = in_double


class Fft:
    """Overlap-save of a problem.

    In a transform each pixel matters to every place, by its rounding. ``run`` raises FarPixelsError
    where that is more than the promise allows.
    """

    def __init__(self, weights: Array, problem: Problem, plan: Plan) -> None:
        self._problem, self._plan = problem, plan
        self._size = fft_size(problem, (plan.tile[0], plan.block))
        rows, columns = problem.dilation
        dilated = np.zeros((*weights.shape[:2], *problem.span))
        dilated[..., ::rows, ::columns] = weights
        spectra = np.conj(np.fft.rfft2(dilated, self._size))
        self._complex = np.result_type(plan.dtype, np.complex64)
        self._spectra = spectra.astype(self._complex)
        flat = np.abs(weights.astype(np.float64)).reshape(len(weights), -1)
        sums, norms = flat.sum(axis=1), np.sqrt(np.square(flat).sum(axis=1))
        self._peak = float(np.divide(norms, sums, out=np.zeros(len(flat)), where=sums > 0).max())

    def run(self, image: PaddedImage, tile: Tile, scratch: Scratch, out: Array | None) -> Array:
        """Return the values (N, O, rows, columns) of a tile, in ``out`` if it is given."""
        problem, plan = self._problem, self._plan
        outputs, channels = problem.group_shape
        if out is None:
            shape = (problem.batch, problem.outputs, *tile.shape)
            out = scratch.array("joined", shape, plan.dtype)
        for n in range(problem.batch):
            for o, kernel in enumerate(self._spectra):
                if o % outputs == 0:
                    first = o // outputs * channels
                    part = image.part(n, slice(first, first + channels))
                    strip, windows = self._windows(part, tile, scratch)
                    if not problem.whole and problem.dtype.itemsize > 1:
                        contrast = self._contrast(strip, tile)
                        if contrast > self._bearable(plan.dtype):
                            raise FarPixelsError(contrast <= self._bearable(np.dtype(np.float64)))
                    spectra = self._transformed(windows, scratch)
                self._write(self._back(self._product(spectra, kernel, scratch), scratch), out[n, o])
        return out

    def _contrast(self, strip: Array, tile: Tile) -> float:
        """Return the norm of a strip by the least that a window of the kernel holds of it.

        A window holds a block of half its size whole, and so the largest pixel under it is no less
        than that block's root mean square. Blocks of zeros say nothing; narrower ones than of 32
        columns would cost more than they tell. Infinity where squares exceed the dtype.
        """
        rows, columns = max(1, self._problem.span[0] // 2), max(32, self._problem.span[1] // 2)
        count = strip.shape[2] // columns
        blocks = strip[:, : tile.window[0], : count * columns]
        blocks = blocks.reshape(*blocks.shape[:2], count, columns)
        energy = np.einsum("crnk,crnk->crn", blocks, blocks).astype(np.float64)
        total = float(energy.sum())
        full = len(energy[0]) // rows * rows
        energy = energy[:, :full].reshape(len(energy), -1, rows, count).sum(axis=(0, 2))
        held = energy[energy > 0]
        if not held.size or not np.isfinite(total):
            return 0.0 if total == 0 else np.inf
        return float(np.sqrt(total / (held.min() / (rows * columns))))

    def _bearable(self, dtype: np.dtype[Any]) -> float:
        """Return the contrast up to which transforms in a dtype give results that are right."""
        return _TRUE / (_SPREAD * float(np.finfo(dtype).epsneg) * max(self._peak, 1e-30))

    def _windows(self, image: PaddedImage, tile: Tile, scratch: Scratch) -> tuple[Array, Array]:
        """Return a strip (channels, rows, columns), and the windows (channels, T, rows, columns)
        of it that overlap.
        """
        (height, width) = self._size
        count = -(-tile.shape[1] // self._plan.block)
        step = self._plan.block * self._problem.stride[1]
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
        (down, across), block = self._problem.stride, self._plan.block
        bottom = (out.shape[0] - 1) * down + 1
        for number, window in enumerate(values[:, :bottom:down]):
            target = out[:, number * block : (number + 1) * block]
            target[...] = window[:, : (target.shape[1] - 1) * across + 1 : across]
