"""The table of fits: a kernel found in 12 megapixels, against NumPy's plain Gram matrix."""

import os
import statistics
import subprocess
import sys

import numpy as np
from tables import HEIGHT, RNG, WIDTH, markdown, photograph
from timing import command, peak_megabytes, ratio, seconds

from conv_cli import conv2d, fit_kernel, read_image, write_image

_STRIP = 16


def fits():
    """One grey pair of 12 megapixels, sizes given, against the Gram matrix of 7×7 by GEMM."""
    before = np.asarray(photograph(HEIGHT, WIDTH).convert("L"))
    write_image("before.png", before)
    rows = []
    for side in (7, 15, 31):
        weights = RNG.standard_normal((side, side))
        weights *= 1.5 / np.abs(weights).sum()
        after = _filtered(before, weights)
        write_image("after.png", after, force=True)
        arguments = (sys.executable, "-m", "conv_cli", "fit", "before.png", "after.png", "-q")
        arguments += ("--size", str(side))
        pairs = [(seconds(command(*arguments)), _gram_seconds()) for _ in range(3)]
        mine = statistics.median(ours for ours, _ in pairs)
        fit = fit_kernel(before, after, side)
        off = float(np.abs(fit.weights - weights).max())
        peak = peak_megabytes(*arguments)
        rows.append(
            [f"{side}×{side}", f"{mine:.2f}", f"{ratio(pairs):.2f}", f"{off:.1e}", f"{fit.rmse:.4f}",
             f"{peak:.0f}"]
        )  # fmt: skip
    return markdown(
        "`fit` on a pair of 4000×3000 grey PNGs, by the float32 Gram matrix of 7×7 alone",
        ["size", "command, s", "ratio", "weights off by", "held-out error", "peak, MB"],
        rows,
    )


def _filtered(image, weights):
    pad = len(weights) // 2
    values = conv2d(image[None], weights[None, None], [90.0], padding=pad, border="edge")[0]
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _gram_seconds():
    """Return what the matrix takes in a process of its own, BLAS on all cores."""
    environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, __file__, "before.png"],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    return float(done.stdout)


def _gram(image, side=7):
    """Return Σ φ φᵀ over all pixels, strip by strip: what a page of NumPy does."""
    centred = image.astype(np.float32) - 128
    total = np.zeros((side * side + 1, side * side + 1))
    for top in range(0, len(image) - side + 1, _STRIP):
        rows = centred[top : top + _STRIP + side - 1]
        windows = np.lib.stride_tricks.sliding_window_view(rows, (side, side))
        features = np.ones((side * side + 1, windows.shape[0] * windows.shape[1]), np.float32)
        features[:-1] = windows.transpose(2, 3, 0, 1).reshape(side * side, -1)
        total += features @ features.T
    return total


if __name__ == "__main__":
    pixels = read_image(sys.argv[1]).pixels
    print(seconds(lambda: _gram(pixels)))
