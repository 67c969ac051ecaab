"""How often the fit tells noise from misfit: fit_verdicts.py FOLDER [linear|nonlinear] [EVERY] [SEED].

FOLDER holds photographs on which no gate was chosen.
"""

import sys
import time

import numpy as np
from fit_corpus import LINEAR, NOISES, NONLINEAR, levels, made, photographs

from conv_cli import fit_kernel


def linear(photos, every, seed):
    """Print, by noise, how many linear filters are told, and how far off the noise is."""
    for noise in NOISES:
        told, count, off = 0, 0, []
        for name, filter_name, photo, work in chosen(photos, LINEAR, every, seed):
            target, sigma = made(photo, work, noise, seed)
            fit = fit_kernel(photo, target)
            count += 1
            if fit.verdict in ("exact", "good", "noisy"):
                told += 1
            else:
                print(f"    {name}/{filter_name} {fit.verdict} {fit.reason[-60:]}", flush=True)
            if fit.verdict == "noisy" and noise.startswith("gauss"):
                off.append(fit.noise / sigma - 1)
        worst = max(map(abs, off), default=0)
        print(f"{noise:12} {told}/{count} linear told, noise off by {worst:.3f}", flush=True)


def nonlinear(photos, every, seed):
    """Print, by noise, how many nonlinear filters with a misfit over a level are called poor."""
    for noise in ("none", "gauss 3"):
        refused, count = 0, 0
        for name, filter_name, photo, work in chosen(photos, NONLINEAR, every, seed):
            target, _ = made(photo, work)
            clean = fit_kernel(photo, target)
            left = levels(clean.predict(photo)).astype(float) - target
            misfit = float(np.sqrt(np.square(left[12:-12, 12:-12]).mean()))
            if misfit < 1:
                continue
            fit = clean if noise == "none" else fit_kernel(photo, made(photo, work, noise, seed)[0])
            count += 1
            if fit.verdict in ("poor", "underdetermined"):
                refused += 1
            else:
                print(f"    {name}/{filter_name} {fit.verdict} misfit {misfit:.2f}", flush=True)
        print(f"{noise:12} {refused}/{count} nonlinear refused", flush=True)


def chosen(photos, filters, every, seed):
    """Yield every n-th pair of a photograph and a filter, in an order drawn at random."""
    pairs = [
        (name, other, photo, work)
        for name, photo in photos.items()
        for other, work in filters.items()
    ]
    yield from (pairs[k] for k in np.random.default_rng(seed).permutation(len(pairs))[::every])


if __name__ == "__main__":
    started = time.perf_counter()
    kind = sys.argv[2] if len(sys.argv) > 2 else "both"
    every, seed = (int(word) for word in (*sys.argv[3:], *"10"[len(sys.argv[3:]) :]))
    pictures = photographs(sys.argv[1])
    if kind != "nonlinear":
        linear(pictures, every, seed)
    if kind != "linear":
        nonlinear(pictures, every, seed)
    print(f"{time.perf_counter() - started:.0f} s")
