"""How often the fit says what explains a poor pair: fit_causes.py FOLDER [NOISE] [EVERY] [SEED]."""

import sys
import time
from collections import Counter

import numpy as np
from fit_corpus import NONLINEAR, made, photographs
from scipy import ndimage

from conv_cli import fit_kernel
from conv_cli.fitting.verdict import SURE
from conv_cli.kernels.comparison import TURNS


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

OPTIONS = {
    "--tone": lambda: {"tone": True},
    "--linear": lambda: {"linear": True},
    "--channels": lambda way: {"channels": way},
}


def remedied(fit, photo, target):
    """Return the verdict of the command that the fit says to go on with; "-" if it says none."""
    if fit.flip is not None:
        flip = list(TURNS.values())[fit.flip]
        return fit_kernel(np.ascontiguousarray(flip(photo[None])[0]), target).verdict
    if not fit.remedy:
        return "-"
    if fit.remedy[0] == "--region":
        place, size = fit.remedy[1].rsplit(",", 1)
        (top, left), (rows, columns) = map(int, place.split(",")), map(int, size.split("x"))
        part = np.s_[top : top + rows, left : left + columns]
        return fit_kernel(*(np.ascontiguousarray(each[part]) for each in (photo, target))).verdict
    return fit_kernel(photo, target, **OPTIONS[fit.remedy[0]](*fit.remedy[1:])).verdict


def cases(folder, every, seed):
    """Yield every n-th case, in an order drawn at random."""
    grey, colour = photographs(folder), photographs(folder, colour=True)
    found = [
        (cause, number, name, photo, work)
        for cause, works in CAUSES.items()
        for number, work in enumerate(works)
        for name, photo in (colour if cause in ("mix", "channels") else grey).items()
        if photo.ndim == 2 or np.ptp(photo, axis=2).max() > 0
    ]
    yield from (found[k] for k in np.random.default_rng(seed).permutation(len(found))[::every])


if __name__ == "__main__":
    noise = sys.argv[2] if len(sys.argv) > 2 else "none"
    every, seed = (int(word) for word in (*sys.argv[3:], *"10"[len(sys.argv[3:]) :]))
    right, led, count = Counter(), Counter(), Counter()
    for cause, number, name, photo, work in cases(sys.argv[1], every, seed):
        side = min(photo.shape[:2])
        photo = np.ascontiguousarray(photo[:side, :side])
        started = time.process_time()
        target, _ = made(photo, work, noise, seed)
        fit = fit_kernel(photo, target)
        taken = time.process_time() - started
        if fit.verdict in SURE:
            print(f"{cause} {number} {name}: {fit.verdict}", flush=True)
            continue
        went = remedied(fit, photo, target) if fit.cause == cause else "-"
        count[cause] += 1
        right[cause] += fit.cause == cause
        led[cause] += went in SURE or (went == "-" and cause == "neighbours")
        print(
            f"{cause} {number} {name}: {fit.verdict} {fit.cause} {went} {taken:.1f} s "
            f"{fit.reason[-90:]}", flush=True,
        )  # fmt: skip
    for cause in count:
        print(f"{cause:12} {right[cause]}/{count[cause]} right, {led[cause]} led to a kernel")
