"""Overlap-save FFT: a tile's window and the kernel meet as spectra, whatever the kernel's size.

The circular correlation of a window with a kernel is right wherever the kernel does not reach over
the window's end, and those places are just the tile. Stockham (1966), "High-speed convolution and
correlation"; numpy.fft keeps float32 in float32.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from conv_cli.correlation.plan import Plan, Problem, fft_size
from conv_cli.correlation.scratch import Scratch

Array = npt.NDArray[Any]

Prepared = Array
"""The conjugate spectra of the kernels, shape (O, C/groups, rows, columns)."""


def prepare(weights: Array, problem: Problem, plan: Plan) -> Prepared:
    """Return the spectra of the kernels, dilated."""
    rows, columns = problem.dilation
    dilated = np.zeros((*weights.shape[:2], *problem.span), plan.dtype)
    dilated[..., ::rows, ::columns] = weights
    return np.conj(np.fft.rfft2(dilated, fft_size(problem, plan.tile)))


def run(window: Array, spectra: Prepared, problem: Problem, plan: Plan, scratch: Scratch) -> Array:
    """Return the tile of output, shape (N, O, rows, columns), that a window (N, C, h, w) gives."""
    size = fft_size(problem, plan.tile)
    outputs, channels = problem.group_shape
    spectrum = np.fft.rfft2(window, size)
    grouped = spectrum.reshape(len(window), problem.groups, 1, channels, *spectrum.shape[2:])
    kernels = spectra.reshape(problem.groups, outputs, channels, *spectra.shape[2:])
    product = np.multiply(grouped, kernels).sum(axis=3)
    values = np.fft.irfft2(product.reshape(len(window), problem.outputs, *spectra.shape[2:]), size)
    if problem.whole:
        np.rint(values, out=values)
    (row_step, column_step), (height, width) = problem.stride, window.shape[2:]
    rows, columns = (n - s + 1 for n, s in zip((height, width), problem.span, strict=True))
    return values[:, :, :rows:row_step, :columns:column_step]
