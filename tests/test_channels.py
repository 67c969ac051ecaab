"""Which channels are filtered: the grey of a picture, some by their numbers, bands of any number."""

import numpy as np
import pytest
import tifffile

from command import call, error_line
from conv_cli import Kernel, write_image
from conv_cli.correlation.params import ConvParams
from conv_cli.images import Image, read_image
from conv_cli.pipeline.feature_map import Range
from conv_cli.pipeline.filter import Bias, Filter, filtered_pixels

KERNEL = Kernel(np.array([[1.0, -2, 0.5], [0, 3, 1], [-1, 0.25, 0.75]]))
FLOAT = np.dtype(np.float64)
SLIDING = [
    ConvParams(padding="same"),
    ConvParams(padding="valid", stride=(2, 3)),
    ConvParams(padding="full", dilation=(2, 1)),
    ConvParams(padding=((3, 3), (1, 1)), stride=(1, 2)),
]


def picture(channels, *, alpha=False, seed=0):
    pixels = np.random.default_rng(seed).random((21, 24, channels))
    return Image(pixels, alpha=alpha)


def real(image, **rule):
    """Return the map in float64, before any range."""
    made = Filter((KERNEL,), **rule)
    return filtered_pixels(image, made, made.kernels, FLOAT, Range("raw"))


def grey_of(pixels):
    return pixels @ np.array([0.299, 0.587, 0.114])


def under_origin(pixels, params):
    """Return the pixels below the origin of each window, (h, w, C)."""
    pick = np.zeros((3, 3))
    pick[KERNEL.origin] = 1
    rule = Filter((Kernel(pick),), params)
    return filtered_pixels(Image(pixels), rule, rule.kernels, FLOAT, Range("raw"))


@pytest.mark.parametrize("params", SLIDING)
def test_luma_adds_what_colours_differ_by_to_the_filtered_grey(params):
    image = picture(3)
    made = real(image, params=params, luma=True, bias=Bias(0.5))
    grey = real(Image(grey_of(image.pixels)), params=params, bias=Bias(0.5))
    colours = under_origin(image.pixels, params)
    expected = grey[..., None] + colours - grey_of(colours)[..., None]
    np.testing.assert_allclose(made, expected, atol=1e-12)


def test_luma_in_linear_light_keeps_the_differences_there():
    from conv_cli.colors import from_linear, to_linear

    image = picture(3)
    light = to_linear(image.pixels, 1.0)
    made = real(image, luma=True, linear=True)
    grey = real(Image(grey_of(light)))
    expected = from_linear(grey[..., None] + light - grey_of(light)[..., None], 1.0)
    np.testing.assert_allclose(made, expected, atol=1e-9)


def test_luma_copies_opacity_and_counts_by_it():
    image = picture(4, alpha=True)
    made = real(image, luma=True)
    np.testing.assert_array_equal(made[..., 3], image.pixels[..., 3])
    grey = real(
        Image(np.dstack([grey_of(image.pixels[..., :3]), image.pixels[..., 3]]), alpha=True)
    )
    differences = image.pixels[..., :3] - grey_of(image.pixels[..., :3])[..., None]
    np.testing.assert_allclose(made[..., :3], grey[..., :1] + differences, atol=1e-12)


def test_luma_of_missing_pixels_is_what_the_others_tell():
    image = picture(3)
    image.pixels[5:7, 5:7] = np.nan
    image.pixels[12:20, 10:20] = np.nan
    made = real(image, luma=True, nodata=float("nan"))
    grey = real(Image(grey_of(image.pixels)), nodata=float("nan"))
    assert np.isnan(made[16, 15]).all()
    np.testing.assert_array_equal(np.isnan(made).any(axis=2), np.isnan(grey))
    np.testing.assert_allclose(made[5, 5], grey[5, 5], atol=1e-12)


@pytest.mark.parametrize("params", SLIDING)
@pytest.mark.parametrize("only", [(1,), (2, 3), (1, 3), (1, 2, 4), (2, 5), (1, 2, 3, 4, 5)])
def test_chosen_channels_are_filtered_and_the_others_copied(params, only):
    image = picture(5)
    made = real(image, params=params, only=only, bias=Bias(2.0))
    every = real(image, params=params, bias=Bias(2.0))
    copied = under_origin(image.pixels, params)
    for number in range(1, 6):
        expected = every if number in only else copied
        np.testing.assert_allclose(made[..., number - 1], expected[..., number - 1], atol=1e-12)


@pytest.mark.parametrize("only", [(1,), (3,), (1, 3), (1, 2)])
def test_opacity_is_copied_beside_chosen_channels_and_weighs_them(only):
    image = picture(4, alpha=True)
    made, every = real(image, only=only), real(image)
    for channel in range(4):
        expected = every if channel + 1 in only else image.pixels
        np.testing.assert_allclose(made[..., channel], expected[..., channel], atol=1e-12)


def test_opacity_is_a_channel_where_it_is_filtered():
    image = picture(4, alpha=True)
    made, every = (real(image, only=only, filter_alpha=True) for only in ((2, 4), ()))
    np.testing.assert_allclose(made[..., [1, 3]], every[..., [1, 3]], atol=1e-12)
    np.testing.assert_array_equal(made[..., [0, 2]], image.pixels[..., [0, 2]])
    made = real(image, only=(1,), filter_alpha=True)
    np.testing.assert_array_equal(made[..., 1:], image.pixels[..., 1:])


@pytest.fixture
def folder(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    write_image(tmp_path / "rgb.png", Image(pixels))
    alpha = np.dstack([pixels, pixels[..., 1]])
    write_image(tmp_path / "rgba.png", Image(alpha, alpha=True))
    return tmp_path


def applied(folder, image, *words, out="out.png"):
    done = call("apply", image, "-o", out, "-f", *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    return read_image(folder / out).pixels


def test_no_range_touches_what_is_copied(folder):
    pixels = read_image(folder / "rgb.png").pixels
    words = ("-k", "laplacian", "--channels", "2")
    for name in ("stretch", "signed", "abs", "shift"):
        made = applied(folder, "rgb.png", *words, "--range", name)
        np.testing.assert_array_equal(made[..., [0, 2]], pixels[..., [0, 2]])
        assert (made[..., 1] != pixels[..., 1]).any()
    made = applied(folder, "rgb.png", *words, "--depth", "16")
    np.testing.assert_array_equal(made[..., [0, 2]], pixels[..., [0, 2]].astype(np.uint16) * 257)


def test_identity_leaves_pixels_as_they_are_whatever_the_channels(folder):
    pixels = read_image(folder / "rgb.png").pixels
    for channels in ("luma", "1", "1,3", "3,2", "1, 2,3"):
        made = applied(folder, "rgb.png", "-k", "identity", "--channels", channels)
        np.testing.assert_array_equal(made, pixels)


def test_a_region_of_chosen_channels_is_that_of_the_whole(folder):
    for channels in ("luma", "1,3"):
        words = ("-k", "gaussian:2", "--channels", channels, "--alpha", "keep")
        whole = applied(folder, "rgba.png", *words)
        part = applied(folder, "rgba.png", *words, "--region", "7,9,13x20")
        np.testing.assert_array_equal(part, whole[7:20, 9:29])


@pytest.mark.parametrize("channels", ["0", "1,0", "x", "-1", "1-3", "", "1,,2", "1.5"])
def test_what_is_no_channel_is_a_usage_error(folder, channels):
    done = call(
        "apply", "rgb.png", "-k", "box", "-o", "y.png", f"--channels={channels}", cwd=folder
    )
    assert "--channels" in error_line(done, 2)
    assert not (folder / "y.png").exists()


@pytest.mark.parametrize(
    ("image", "channels", "words"),
    [
        ("rgb.png", "4", "has 3 channels, and --channels asks for number 4"),
        ("rgba.png", "4", "channel 4 is its opacity, which is copied; add --alpha filter"),
        ("five.npy", "luma", "has 5 bands"),
    ],
)
def test_a_picture_without_such_channels_costs_that_picture(folder, image, channels, words):
    np.save(folder / "five.npy", np.ones((6, 7, 5)))
    for extra in ((), ("--dry-run",)):
        done = call(
            "apply", image, "-k", "box", "-o", "y.npy", "--channels", channels, *extra, cwd=folder
        )
        assert words in error_line(done, 1)


def test_copied_floats_need_to_know_white_whatever_the_range(folder):
    np.save(folder / "x.npy", np.random.default_rng(0).random((9, 9, 3)))
    words = ("apply", "x.npy", "-k", "box", "--range", "stretch", "-o", "y.png")
    assert call(*words, cwd=folder).returncode == 0
    done = call(*words, "-f", "--channels", "1", cwd=folder)
    assert "--white" in error_line(done, 1)
    assert call(*words, "-f", "--channels", "1", "--white", "1", cwd=folder).returncode == 0


@pytest.mark.parametrize("bands", [2, 5, 12])
@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_bands_of_a_tiff_are_filtered_alike(tmp_path, bands, planes):
    pixels = np.random.default_rng(0).integers(0, 65536, (19, 23, bands), np.uint16)
    stored = np.moveaxis(pixels, 2, 0) if planes == "separate" else pixels
    tifffile.imwrite(
        tmp_path / "x.tif", stored, photometric="minisblack", planarconfig=planes,
        extrasamples=(0,) * (bands - 1),
    )  # fmt: skip
    for out in ("y.tif", "y.npy"):
        done = call(
            "apply", "x.tif", "-k", "1 2 1 / 4", "-o", out, "--depth", "float32", cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        made = read_image(tmp_path / out)
        padded = np.pad(pixels.astype(float), ((0, 0), (1, 1), (0, 0)), "edge")
        expected = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4
        np.testing.assert_allclose(made.pixels, expected, rtol=1e-6)
        assert not made.alpha
    done = call("apply", "x.tif", "-k", "box", "-o", "y.png", cwd=tmp_path)
    assert "cannot hold" in error_line(done, 1)
