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


class Fft:
    """Overlap-save of a problem."""

    def __init__(self, weights: Array, problem: Problem, plan: Plan) -> None:
        self._problem, self._plan = problem, plan
        self._size = fft_size(problem, (plan.tile[0], plan.block))
        rows, columns = problem.dilation
        dilated = np.zeros((*weights.shape[:2], *problem.span))
        dilated[..., ::rows, ::columns] = weights
        spectra = np.conj(np.fft.rfft2(dilated, self._size))
        self._complex = np.result_type(plan.dtype, np.complex64)
        self._spectra = spectra.astype(self._complex)

    def run(self, image: PaddedImage, tile: Tile, scratch: Scratch, out: Array | None) -> Array:
        """Return the values (N, O, rows, columns) of a tile, in ``out`` if it is given."""
        problem, plan = self._problem, self._plan
        outputs, channels = problem.group_shape
        if out is None:
            out = scratch.array("values", (problem.batch, problem.outputs, *tile.shape), plan.dtype)
        for n in range(problem.batch):
            for o, kernel in enumerate(self._spectra):
                if o % outputs == 0:
                    first = o // outputs * channels
                    part = image.part(n, slice(first, first + channels))
                    windows = self._windows(part, tile, scratch)
                    spectra = self._transformed(windows, scratch)
                self._write(self._back(self._product(spectra, kernel, scratch), scratch), out[n, o])
        return out

    def _windows(self, image: PaddedImage, tile: Tile, scratch: Scratch) -> Array:
        """Return the windows (channels, T, rows, columns) of a tile, overlapping."""
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
        return overlapping(strip, shape, (channel, step * item, line, item))

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
