"""How far off weights from JPEG targets are, in their own standard errors: fit_jpeg.py FOLDER [EVERY]."""

import sys
import tempfile
import time

import numpy as np
from fit_corpus import ASYMMETRIC, levels, photographs
from PIL import Image
from scipy import ndimage

from conv_cli import fit_kernel, load_kernel, read_image
from conv_cli.fitting.quantised import Coded
from conv_cli.images import jpeg_luma, lossy_codec

KERNELS = {
    "asymmetric": ASYMMETRIC / 1.2,
    "gaussian 1.2": load_kernel("gaussian:sigma=1.2,size=7").weights,
    "gaussian 0.8": load_kernel("gaussian:sigma=0.8,size=5").weights,
    "box 5": np.ones((5, 5)) / 25,
    "motion": np.ones((1, 7)) / 7,
    "sharpen": np.array([[0, -1, 0], [-1, 8, -1], [0, -1, 0]]) / 4,
}


def filtered(x, kernel):
    planes = np.atleast_3d(x).astype(float)
    done = [
        ndimage.correlate(planes[..., c], kernel, mode="nearest") for c in range(planes.shape[2])
    ]
    return levels(np.stack(done, axis=-1) if x.ndim == 3 else done[0])


def fitted(x, path):
    codec = lossy_codec(path)
    found = jpeg_luma(path)
    return fit_kernel(
        x,
        read_image(path),
        recode=lambda number, pixels: codec(pixels),
        coded=[found and Coded(*found)],
    )


def framed(weights, origin, size=25):
    whole = np.zeros((size, size))
    row, column = size // 2 - origin[0], size // 2 - origin[1]
    whole[row : row + weights.shape[0], column : column + weights.shape[1]] = weights
    return whole


if __name__ == "__main__":
    grey, colour = photographs(sys.argv[1]), photographs(sys.argv[1], colour=True)
    every = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    cases = [
        (name, kernel, quality, sampling)
        for name in grey
        for kernel in KERNELS
        for quality in (60, 75, 85, 95)
        for sampling in (None, 0, 2)
    ]
    within = count = cut = 0
    for name, kernel, quality, sampling in (
        cases[k] for k in np.random.default_rng(0).permutation(len(cases))[::every]
    ):
        x = grey[name] if sampling is None else colour[name]
        weights = KERNELS[kernel]
        started = time.perf_counter()
        with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
            options = {} if sampling is None else {"subsampling": sampling}
            Image.fromarray(filtered(x, weights)).save(file, "JPEG", quality=quality, **options)
            file.flush()
            fit = fitted(x, file.name)
        origin = tuple(np.subtract(fit.origin, fit.shift))
        if max(np.abs(fit.shift)) > 5 or max(fit.size) > 20:
            print(
                f"{name} {kernel} {quality} {sampling}: {fit.verdict} {fit.size} {fit.shift}",
                flush=True,
            )
            continue
        truth = framed(weights, tuple((n - 1) // 2 for n in weights.shape))
        inside = framed(np.ones(fit.size), fit.origin) > 0
        z = (framed(fit.weights, fit.origin) - truth)[inside] / fit.stderr.ravel()
        lost = float(np.abs(truth[~inside]).max(initial=0)) > float(np.median(fit.stderr))
        within, count, cut = within + int((np.abs(z) <= 2).sum()), count + z.size, cut + lost
        print(
            f"{name} {kernel} {quality} {sampling}: {fit.verdict} {fit.size} {fit.rmse / fit.noise_floor:.2f} floors, "
            f"{float((np.abs(z) <= 2).mean()):.2f} within two of {float(fit.stderr.max()):.4f}, "
            f"{'rim cut, ' if lost else ''}{fit.match} {time.perf_counter() - started:.1f} s", flush=True,
        )  # fmt: skip
    print(f"{within}/{count} weights within two standard errors; {cut} rims cut")
