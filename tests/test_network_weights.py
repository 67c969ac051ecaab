"""Networks whose pixels do not all count alike: the first layer means what `apply` means."""

import json

import numpy as np
import pytest

from command import call, error_line
from conv_cli import write_image
from conv_cli.images import Image


@pytest.fixture
def folder(tmp_path):
    """Return a folder with a picture of floats, its mask, and one with missing values."""
    rng = np.random.default_rng(3)
    pixels = rng.random((20, 26, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", pixels)
    mask = rng.integers(0, 256, (20, 26)).astype(np.uint8)
    mask[4:14, 5:18] = 0
    write_image(tmp_path / "mask.png", Image(mask))
    pixels[rng.random(pixels.shape) < 0.3] = -9
    pixels[3:12, 3:12, 1] = -9
    np.save(tmp_path / "gaps.npy", pixels)
    return tmp_path


def layer(folder, model, image, *words):
    """Return the maps (O, h, w) of the last layer."""
    words = ("--layer", "last", "--format", "npy", "--depth", "float64", *words)
    done = call("net", "apply", model, image, "-o", "maps", "-f", *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    return np.load(next((folder / "maps").iterdir()))


def planes(folder, image, *words):
    """Return the channels (C, h, w) of what `apply` makes."""
    done = call("apply", image, *words, "-o", "y.npy", "-f", "--depth", "float64", cwd=folder)
    assert done.returncode == 0, done.stderr
    return np.moveaxis(np.load(folder / "y.npy"), -1, 0)


@pytest.mark.parametrize("border", ["edge", "zero", "reflect", "0.5"])
@pytest.mark.parametrize("words", [("x.npy", "--mask", "mask.png"), ("gaps.npy", "--nodata", "-9")])
def test_one_convolution_is_what_apply_makes(folder, border, words):
    kernel = "1 -2 0.5; 0 3 1; -1 0 0.25"
    conv = {"kernel": kernel}
    padding = {"padding": [[1, 1], [1, 1]], "border": border if border[0] != "0" else 0.5}
    (folder / "m.json").write_text(json.dumps({"layers": [{"conv": conv, **padding}]}))
    made = layer(folder, "m.json", *words)
    expected = planes(folder, *words, "-k", kernel, "--border", border)
    np.testing.assert_allclose(made, expected, atol=2e-6)
    assert ((made == -9) == (expected == -9)).all()
    if "gaps.npy" in words:
        assert (made == -9).any()


def test_maps_of_several_channels_are_sums_over_them(folder):
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(2, 3, 3, 3))
    (folder / "m.json").write_text(
        json.dumps({"layers": [{"conv": {"weight": weight.tolist(), "bias": [0.5, -1.0]}}]})
    )
    made = layer(folder, "m.json", "x.npy", "--mask", "mask.png")
    for number, bias in enumerate((0.5, -1.0)):
        total = bias
        for channel in range(3):
            kernel = "; ".join(" ".join(map(repr, row)) for row in weight[number, channel].tolist())
            words = ("--mask", "mask.png", "-k", kernel, "--padding", "valid")
            total = total + planes(folder, "x.npy", *words)[channel]
        np.testing.assert_allclose(made[number], total, atol=1e-5)


def test_what_is_missing_stays_so_through_all_layers(folder):
    made = layer(folder, "box:3 | square | maxpool:2", "gaps.npy", "--nodata", "-9")
    assert (made == -9).any()
    assert (made[made != -9] >= 0).all()
    assert (made[made != -9] <= 1.001).all()


def test_weights_without_a_convolution_are_refused(folder):
    for words in (("--mask", "mask.png"), ("--nodata", "-9")):
        done = call("net", "apply", "abs | box:3", "gaps.npy", "-o", "maps", *words, cwd=folder)
        assert "layer 1: is abs, and only a convolution" in error_line(done, 2)
    assert not (folder / "maps").exists()


def test_a_mask_of_another_size_costs_that_image(folder):
    write_image(folder / "mask.png", Image(np.zeros((4, 4), np.uint8)), force=True)
    done = call("net", "apply", "box:3", "x.npy", "-o", "m", "--mask", "mask.png", cwd=folder)
    assert "x.npy: has 20 rows of 26 pixels, and the mask mask.png 4 of 4" in error_line(done, 1)
