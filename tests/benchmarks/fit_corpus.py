"""Pairs for measuring the fit: photographs, linear and nonlinear filters, and noise."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageFilter
from scipy import ndimage

SIDE = 400
ASYMMETRIC = np.array([[1, -2, 0.5], [0, 5, 3], [-1, 0.25, 1.5]]) / 8


def photographs(folder, *, colour=False):
    """Return the middles of the pictures in a folder, by name."""
    found = {}
    for path in sorted(Path(folder).iterdir()):
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB" if colour else "L"))
        top, left = (max(n - SIDE, 0) // 2 for n in pixels.shape[:2])
        found[path.stem] = np.ascontiguousarray(pixels[top : top + SIDE, left : left + SIDE])
    return found


def levels(values):
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _kernel(weights):
    return lambda x: ndimage.correlate(x, np.asarray(weights, float), mode="nearest")


def _gaussian(sigma):
    return lambda x: ndimage.gaussian_filter(x, sigma, mode="nearest", truncate=3)


LINEAR = {
    "identity": lambda x: x,
    "asymmetric": _kernel(ASYMMETRIC),
    "box 3": _kernel(np.ones((3, 3)) / 9),
    "box 5": _kernel(np.ones((5, 5)) / 25),
    "motion 9": _kernel(np.ones((1, 9)) / 9),
    "gaussian 0.8": _gaussian(0.8),
    "gaussian 1.2": _gaussian(1.2),
    "gaussian 2": _gaussian(2),
    "sharpen": _kernel(np.array([[0, -1, 0], [-1, 8, -1], [0, -1, 0]]) / 4),
    "emboss": lambda x: _kernel([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])(x) / 2 + 60,
    "sobel": lambda x: _kernel(np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8)(x) + 128,
    "contrast": lambda x: 0.7 * x + 40,
}


def _unsharp(threshold, amount=1.0, sigma=2):
    def work(x):
        detail = x - ndimage.gaussian_filter(x, sigma)
        return np.where(np.abs(detail) > threshold, x + amount * detail, x)

    return work


def _curved(values, gamma):
    return 255 * (np.clip(values, 0, 255) / 255) ** gamma


def to_light(x):
    x = x / 255
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def from_light(x):
    x = np.clip(x, 0, 1)
    return 255 * np.where(x <= 0.0031308, x * 12.92, 1.055 * x ** (1 / 2.4) - 0.055)


def _rows(x):
    y = x.copy()
    y[::2] = ndimage.uniform_filter(x, 5)[::2]
    return y


def _halves(x):
    y = x.copy()
    half = x.shape[1] // 2
    y[:, half:] = ndimage.uniform_filter(x, 5)[:, half:]
    return y


def _specks(x):
    median = ndimage.median_filter(x, 3)
    return np.where(np.abs(x - median) > 10, median, x)


def _bilateral(sigma):
    return lambda x: cv2.bilateralFilter(x.astype(np.float32), 7, sigma, 2).astype(float)


def _vignette(x):
    rows, columns = np.indices(x.shape)
    r2 = (rows / x.shape[0] - 0.5) ** 2 + (columns / x.shape[1] - 0.5) ** 2
    return x * (1 - 0.8 * r2)


NONLINEAR = {
    "median 3": lambda x: ndimage.median_filter(x, 3),
    "median 5": lambda x: ndimage.median_filter(x, 5),
    "minimum 3": lambda x: ndimage.minimum_filter(x, 3),
    "maximum 3": lambda x: ndimage.maximum_filter(x, 3),
    "median of specks": _specks,
    "unsharp over 4": _unsharp(4),
    "unsharp over 10": _unsharp(10),
    "unsharp over 20": _unsharp(20, 1.5),
    "bilateral 15": _bilateral(15),
    "bilateral 40": _bilateral(40),
    "gamma 0.6": lambda x: _curved(x, 0.6),
    "gamma 1.5": lambda x: _curved(x, 1.5),
    "blurred gamma": lambda x: _curved(ndimage.gaussian_filter(x, 1.2), 0.6),
    "gamma blurred": lambda x: ndimage.gaussian_filter(_curved(x, 1.8), 1.2),
    "blur in light": lambda x: from_light(ndimage.gaussian_filter(to_light(x), 1.5)),
    "weak blur in light": lambda x: from_light(ndimage.gaussian_filter(to_light(x), 0.6)),
    "threshold": lambda x: np.where(x > np.median(x), 255.0, 0.0),
    "posterise": lambda x: x // 40 * 40,
    "solarise": lambda x: np.where(x > 140, 255 - x, x),
    "every second row": _rows,
    "two halves": _halves,
    "vignette": _vignette,
    "sigmoid contrast": lambda x: 255 / (1 + np.exp(-(x - 128) / 40)),
    "mode": lambda x: np.asarray(Image.fromarray(levels(x)).filter(ImageFilter.ModeFilter(5)), float),
    "local deviation": lambda x: 3 * np.sqrt(
        np.maximum(ndimage.uniform_filter(x * x, 5) - ndimage.uniform_filter(x, 5) ** 2, 0)
    ),
    "gradient": lambda x: np.hypot(ndimage.sobel(x, 0), ndimage.sobel(x, 1)) / 4,
    "swirl": lambda x: ndimage.rotate(x, 7, reshape=False, mode="nearest", order=1),
    "local maximum of detail": lambda x: x + np.maximum(x - ndimage.uniform_filter(x, 7), 0),
}  # fmt: skip


def _poisson(gain):
    return lambda y, rng: rng.poisson(np.maximum(y, 0) / gain) * gain


NOISES = {
    "none": lambda y, rng: y,
    "gauss 1": lambda y, rng: y + rng.normal(0, 1, y.shape),
    "gauss 3": lambda y, rng: y + rng.normal(0, 3, y.shape),
    "gauss 10": lambda y, rng: y + rng.normal(0, 10, y.shape),
    "poisson 0.5": _poisson(0.5),
}


def made(photo, work, noise="none", seed=0):
    """Return a target of whole levels and the noise that was put into it, root mean square."""
    exact = work(photo.astype(float))
    noisy = NOISES[noise](exact, np.random.default_rng(seed))
    inside = (exact > 30) & (exact < 225)
    sigma = float(np.sqrt(np.square((noisy - exact)[inside]).mean())) if inside.any() else 0.0
    return levels(noisy), sigma
