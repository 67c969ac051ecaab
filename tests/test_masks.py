"""Pixels that count less than others: masks, missing values and opacity are one weight."""

import json

import numpy as np
import pytest

import oracle
from command import call, error_line
from conv_cli import write_image
from conv_cli.images import Image, read_image

BORDERS = ("edge", "zero", "reflect", "symmetric", "wrap", "0.25")
CHECKED = 60


def random_case(rng):
    """Return planes (C, H, W) of 0..1, weights (C, H, W), what makes them, and a kernel."""
    height, width = rng.integers(5, 15, 2)
    colours = int(rng.choice([1, 3]))
    x = rng.random((colours, height, width)).astype(np.float32)
    of = {"mask": None, "opacity": None, "nodata": None}
    share = np.ones(x.shape)
    for kind in rng.permutation(list(of))[: rng.integers(1, 4)]:
        weights = rng.choice([0, 0, 1, rng.random()], (height, width))
        if kind == "mask":
            of["mask"] = weights = np.rint(weights * 65535).astype(np.uint16)
            share = share * (weights / 65535)
        elif kind == "opacity":
            of["opacity"] = weights = weights.astype(np.float32)
            share = share * weights
        else:
            of["nodata"] = value = float(rng.choice([np.nan, -3.0]))
            absent = rng.random(x.shape) < 0.4
            x[absent] = value
            share = share * ~absent
    kernel = rng.normal(size=rng.integers(1, 6, 2))
    return x, share, of, np.abs(kernel) if rng.random() < 0.3 else kernel


def written(folder, x, of):
    """Write the planes and what makes their weights; return what is typed for these."""
    pixels = np.moveaxis(x, 0, -1)
    if of["opacity"] is not None:
        pixels = np.concatenate([pixels, of["opacity"][..., None]], axis=2)
    image = Image(
        pixels[..., 0] if pixels.shape[2] == 1 else pixels, alpha=of["opacity"] is not None
    )
    write_image(folder / "x.tif", image, force=True)
    words = []
    if of["mask"] is not None:
        write_image(folder / "mask.png", Image(of["mask"]), force=True)
        words += ["--mask", folder / "mask.png"]
    if of["nodata"] is not None:
        words += ["--nodata", repr(of["nodata"])]
    return [folder / "x.tif", *words]


def filtered(folder, *words):
    """Apply, and return the planes (C, h, w) of the map in float64."""
    out = folder / "out.npy"
    done = call("apply", *words, "-o", out, "-f", "--depth", "float64", "--range", "raw")
    assert done.returncode == 0, done.stderr
    values = np.load(out)
    return values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0)


def typed(kernel):
    return "; ".join(" ".join(map(repr, row)) for row in kernel.tolist())


@pytest.mark.parametrize("seed", range(CHECKED))
def test_weights_of_all_kinds_are_what_the_formula_says(tmp_path, seed):
    rng = np.random.default_rng(seed)
    x, share, of, kernel = random_case(rng)
    border = str(rng.choice(BORDERS))
    stride, dilation = (tuple(map(int, rng.integers(1, 3, 2))) for _ in range(2))
    (rows, columns), (down, across) = kernel.shape, dilation
    up, left = (rows - 1) // 2 * down, (columns - 1) // 2 * across
    padding = (up, (rows - 1) * down - up), (left, (columns - 1) * across - left)
    words = written(tmp_path, x, of)
    got = filtered(
        tmp_path, *words, "-k", typed(kernel), "--border", border,
        "--stride", "{}x{}".format(*stride), "--dilation", "{}x{}".format(*dilation),
    )[: len(x)]  # fmt: skip
    clear = of["opacity"] is not None and border == "zero"
    expected, left_over = oracle.weighted(
        x, share, kernel, padding=padding, border=border if border != "0.25" else 0.25,
        beyond=0.0 if clear else 1.0, stride=stride, dilation=dilation,
    )  # fmt: skip
    known = left_over >= 1e-4
    if of["nodata"] is not None:
        np.testing.assert_array_equal(got[~known], np.full((~known).sum(), of["nodata"]))
    bound = np.where(left_over >= 0.01, 1e-5, 1e-3) * np.abs(kernel).sum()
    assert (np.abs(got - expected) <= bound)[known].all()
    assert known.any()
