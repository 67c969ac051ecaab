"""How often the fit says what explains a poor pair: fit_causes.py FOLDER [KIND]."""

import sys
import time

import numpy as np
from fit_corpus import NONLINEAR, levels, photographs
from scipy import ndimage

from conv_cli import fit_kernel


def _each(work):
    return lambda x: np.stack([work(x[..., c], c) for c in range(3)], axis=-1)


def _blurred(x):
    return ndimage.gaussian_filter(x, 1.2)


MATRIX = np.array([[0.4, 0.5, 0.1], [0.2, 0.6, 0.2], [0.1, 0.2, 0.7]])
CAUSES = {
    "tone": [NONLINEAR[n] for n in ("gamma 0.6", "sigmoid contrast", "solarise", "blurred gamma", "gamma blurred")],
    "light": [NONLINEAR[n] for n in ("blur in light", "weak blur in light")],
    "mix": [lambda x: x @ MATRIX.T, lambda x: x[..., ::-1]],
    "channels": [_each(lambda plane, c: ndimage.uniform_filter(plane, 3 + 2 * c))],
    "position": [NONLINEAR["two halves"], NONLINEAR["every second row"]],
    "geometry": [lambda x: _blurred(x)[:, ::-1], lambda x: _blurred(x)[::-1, ::-1], lambda x: np.rot90(_blurred(x))],
    "neighbours": [NONLINEAR[n] for n in ("median 3", "median 5", "minimum 3", "unsharp over 10", "bilateral 15", "median of specks")],
}  # fmt: skip

if __name__ == "__main__":
    grey, colour = photographs(sys.argv[1]), photographs(sys.argv[1], colour=True)
    for cause in sys.argv[2:] or CAUSES:
        right = count = 0
        started = time.perf_counter()
        for number, work in enumerate(CAUSES[cause]):
            for name, photo in (colour if cause in ("mix", "channels") else grey).items():
                side = min(photo.shape[:2])
                photo = np.ascontiguousarray(photo[:side, :side])
                if photo.ndim == 3 and np.ptp(photo, axis=2).max() == 0:
                    continue
                fit = fit_kernel(photo, levels(work(photo.astype(float))))
                if fit.verdict in ("exact", "good"):
                    continue
                count += 1
                right += fit.cause == cause
                if fit.cause != cause:
                    print(
                        f"    {name} {number}: {fit.verdict} {fit.cause} {fit.reason[-90:]}",
                        flush=True,
                    )
        print(f"{cause:12} {right}/{count}, {time.perf_counter() - started:.0f} s", flush=True)
