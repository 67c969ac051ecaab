"""Whether resizers are found: fit_sampling.py FOLDER."""

import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from fit_corpus import photographs
from PIL import Image
from scipy import ndimage

from conv_cli import fit_kernel, write_image


def _pillow(name):
    way = getattr(Image.Resampling, name)

    def work(x, n):
        size = x.shape[1] // n, x.shape[0] // n
        return np.asarray(Image.fromarray(x).resize(size, way))

    return work


def _opencv(name):
    way = getattr(cv2, f"INTER_{name}")
    return lambda x, n: cv2.resize(x, (x.shape[1] // n, x.shape[0] // n), interpolation=way)


def _filtered(x, n):
    return np.rint(ndimage.gaussian_filter(x.astype(float), 0.5 * n)).astype(np.uint8)[::n, ::n]


RESIZERS = {
    "reduce": lambda x, n: np.asarray(Image.fromarray(x).reduce(n)),
    **{f"pillow {name.lower()}": _pillow(name) for name in ("BOX", "BILINEAR", "HAMMING", "BICUBIC", "LANCZOS", "NEAREST")},
    **{f"opencv {name.lower()}": _opencv(name) for name in ("AREA", "LINEAR", "CUBIC", "LANCZOS4", "NEAREST")},
    "pyrDown": lambda x, n: cv2.pyrDown(x) if n == 2 else None,
    "filtered": _filtered,
}  # fmt: skip


def applied(photo, fit, border):
    """Return what the command makes of the picture with what the fit wrote."""
    import json

    with tempfile.TemporaryDirectory() as folder:
        write_image(f"{folder}/x.png", photo)
        Path(folder, "k.json").write_text(json.dumps(fit.as_file()))
        options = ["--border", border] if border else []
        subprocess.run(
            [sys.executable, "-m", "conv_cli", "apply", f"{folder}/x.png", "-k", f"{folder}/k.json",
             "-o", f"{folder}/y.png", *options], check=True,
        )  # fmt: skip
        return np.asarray(Image.open(f"{folder}/y.png"))


if __name__ == "__main__":
    every = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    good = near = count = 0
    cases = [
        (p, r, n) for p in photographs(sys.argv[1]).items() for r in RESIZERS for n in (2, 3, 4)
    ]
    for (name, photo), resizer, n in cases[::every]:
        photo = np.ascontiguousarray(photo[: len(photo) // 12 * 12, : photo.shape[1] // 12 * 12])
        target = RESIZERS[resizer](photo, n)
        if target is None:
            continue
        fit = fit_kernel(photo, target)
        again = applied(photo, fit, fit.border).astype(int)
        inner = np.s_[10:-10, 10:-10]
        off = int(np.abs(again - target)[inner].max()) if again.shape == target.shape else -1
        count, good = count + 1, good + (fit.verdict in ("exact", "good"))
        near += 0 <= off <= 1
        print(
            f"{name} {resizer} {n}: {fit.verdict} {fit.size} {fit.origin} {fit.rmse / fit.noise_floor:.2f} floors, border {fit.border}, apply within {off}",
            flush=True,
        )
    print(f"{good}/{count} exact or good, {near}/{count} applied within one level")
