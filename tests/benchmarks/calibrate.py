"""Measure the planner's cost constants anew: `python tests/benchmarks/calibrate.py`.

Each is one operation of the engines, on one thread and on arrays of a tile's size, and is printed
as it stands in conv_cli/correlation/costs.py. grid.py then tells whether the planner that uses them
chooses well.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import statistics
import time

import numpy as np
from machine import machine
from numpy.lib.stride_tricks import as_strided

ROWS, COLUMNS = 128, 4000
PIXELS = ROWS * COLUMNS


def nanoseconds(work, runs=15):
    """Return the median time of a run, in nanoseconds."""
    work()
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1e9


def step(dtype):
    """One addition of two shifted arrays."""
    x, y = np.ones((ROWS + 1, COLUMNS), dtype), np.ones((ROWS, COLUMNS), dtype)
    return nanoseconds(lambda: np.add(x[1:], x[:-1], out=y)) / PIXELS


def read():
    """One sample copied out of the image and converted, three shifts at a time."""
    x = np.ones((ROWS, COLUMNS + 2), np.uint8)
    out = np.empty((ROWS, 3, COLUMNS), np.float32)
    shifts = as_strided(x, out.shape, (x.strides[0], 1, 1))
    return nanoseconds(lambda: np.copyto(out, shifts)) / out.size


def product(rows, depth):
    """One output of a product of so many rows, in batches, BLAS not copying its operands."""
    columns = max(256, min(COLUMNS, 1_000_000 // (rows * depth)))
    blocks = max(1, PIXELS // (rows * columns))
    band = np.ones((rows, depth), np.float32)
    layout = np.ones((blocks * rows + depth, columns), np.float32)
    line = layout.strides[0]
    operands = as_strided(layout, (blocks, depth, columns), (rows * line, line, 4))
    out = np.empty((blocks, rows, columns), np.float32)
    return nanoseconds(lambda: np.matmul(band, operands, out=out)) / out.size


def mac(rows):
    """One multiply-add, and what an output costs besides."""
    shallow, deep = 16, 96
    slope = (product(rows, deep) - product(rows, shallow)) / (deep - shallow)
    return slope, product(rows, shallow) - shallow * slope


def transforms():
    """One point of a window through one pass of an FFT, and one point of a product."""
    x = np.random.default_rng(0).random((8, 256, 256), np.float32)
    spectra = np.fft.rfft(x, norm="ortho")
    kernel, back = spectra[0].copy(), np.empty_like(x)

    def forward():
        np.fft.rfft(x, norm="ortho", out=spectra)
        np.fft.fft(spectra, axis=1, norm="ortho", out=spectra)

    def backward():
        np.fft.ifft(spectra, axis=1, norm="ortho", out=spectra)
        np.fft.irfft(spectra, 256, norm="ortho", out=back)

    passes = (nanoseconds(forward) + nanoseconds(backward)) / 4
    return passes / x.size, nanoseconds(lambda: np.multiply(spectra, kernel, out=spectra)) / x.size


def main():
    print("#", machine())
    steps = {np.dtype(d).itemsize: round(step(d), 3) for d in ("int16", "float32", "float64")}
    print("STEP_NS =", steps)
    print(f"READ_NS = {read():.3f}")
    macs = {rows: mac(rows) for rows in (1, 2, 4, 8, 16, 32, 64, 128)}
    print("MAC_NS =", {rows: round(slope, 4) for rows, (slope, _) in macs.items()})
    print(f"WRITE_NS = {statistics.median(rest for _, rest in macs.values()):.3f}")
    transform, spectrum = transforms()
    print(f"TRANSFORM_NS = {transform:.2f}")
    print(f"PRODUCT_NS = {spectrum:.2f}")


if __name__ == "__main__":
    main()
