"""fit_kernel says no more than a pair shows: units, levels, and pixels of another kind."""

import shlex

import numpy as np
import pytest

from conv_cli import fit_kernel, read_image
from conv_cli.images import Image
from test_cli_apply import succeed
from test_fitting import ASYMMETRIC, colour, filtered, levels, photo

__all__ = ["colour", "photo"]
LINEAR = ("exact", "good")


def gray_windows(x, side):
    """Return the windows about every pixel, (H, W, side²), the edge repeated."""
    padded = np.pad(x, side // 2, "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side))
    return windows.reshape(*x.shape, -1)


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("scale", "offset"),
    [(1 / 255, 0), (2 / 255, -1), (4095 / 255, 0), (1e6, 0), (1e-5, 0), (1, 10)],
)
def test_verdict_does_not_depend_on_the_unit_of_the_target(photo, scale, offset):
    exact = filtered_exactly(photo) * scale + offset
    fit = fit_kernel(photo, exact.astype(np.float32))
    assert fit.verdict == "exact"
    np.testing.assert_allclose(fit.weights, ASYMMETRIC * scale, rtol=0.01, atol=1e-3 * scale)
    curve = np.sqrt(photo / 255) * 255 * scale + offset
    assert fit_kernel(photo, curve.astype(np.float32)).verdict == "poor"


def filtered_exactly(x):
    return gray_windows(x.astype(float), 3) @ ASYMMETRIC.ravel()


@pytest.mark.one_in(3)
@pytest.mark.parametrize(("bits", "step"), [(8, 256), (10, 64), (12, 16), (14, 4), (8, 257)])
def test_level_is_the_step_of_values_kept_at_the_top_of_16_bits(photo, bits, step):
    top = 2**bits - 1
    values = np.clip(np.rint(filtered_exactly(photo) * top / 255), 0, top)
    fit = fit_kernel(photo.astype(np.uint16) * 257, (values * step).astype(np.uint16))
    assert fit.verdict == "exact"
    assert fit.noise_floor == pytest.approx(step / np.sqrt(12))


def test_level_is_told_from_few_values_and_beside_stray_pixels(photo):
    values = levels(filtered_exactly(photo) * 0.15 + 60).astype(np.uint16) * 256
    assert len(np.unique(values)) < 50
    values[50:60, 50:90], values[5, 5] = 65535, 12345
    fit = fit_kernel(photo, values)
    assert fit.verdict == "exact"
    assert fit.noise_floor == pytest.approx(256 / np.sqrt(12))


def test_curve_of_floats_that_is_nearly_straight_is_no_kernel(photo):
    flat = (60 + photo // 4) / 255
    assert fit_kernel(flat, levels(255 * flat**0.6)).verdict == "poor"


def emptied(x):
    y = x.copy()
    y[..., 1:] = 0
    return y


def replaced(channel, by):
    def change(x):
        y = x.copy()
        y[..., channel] = by(x)
        return y

    return change


CHANNELS = {
    "red and blue swapped": (lambda x: x[..., ::-1].copy(), "mix"),
    "two emptied": (emptied, "mix"),
    "one emptied": (replaced(2, lambda x: 0), "mix"),
    "one white": (replaced(0, lambda x: 255), "mix"),
    "one blurred": (
        replaced(1, lambda x: levels(gray_windows(x[..., 1], 5).mean(axis=-1))),
        "each",
    ),
    "one of another picture": (replaced(2, lambda x: x[::-1, :, 2]), None),
}


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", list(CHANNELS))
def test_channel_with_another_fate_is_no_set_of_stray_pixels(colour, name):
    change, way = CHANNELS[name]
    colour = colour[:160, :200]
    fit = fit_kernel(colour, change(colour))
    assert fit.verdict == "poor"
    assert "--channels" in fit.reason
    if way == "each":
        assert "--channels each explains" in fit.reason


NONLINEAR = {
    "unsharp above a threshold": lambda x, d, m: np.where(np.abs(d) > 8, x + d, x),
    "median of specks": lambda x, d, m: np.where(np.abs(x - m) > 10, m, x),
    "every second row": lambda x, d, m: np.where(np.arange(len(x))[:, None] % 2, x - d, x),
    "every third column": lambda x, d, m: np.where(np.arange(x.shape[1]) % 3 == 0, x - d, x),
    "every third row, darker": lambda x, d, m: np.where(np.arange(len(x))[:, None] % 3, x, x * 0.6),
    "every fourth row, black": lambda x, d, m: np.where(np.arange(len(x))[:, None] % 4, x, 0),
    "a grid": lambda x, d, m: np.where(np.prod(np.indices(x.shape) % 8, axis=0), x, x - d + 9),
    "every third diagonal": lambda x, d, m: np.where(np.indices(x.shape).sum(axis=0) % 3, x, d),
    "tones between others, white": lambda x, d, m: np.where(
        (x > np.percentile(x, 45)) & (x < np.percentile(x, 60)), 255, x
    ),
    "the bright ones": lambda x, d, m: np.where(x > np.percentile(x, 70), x - d, x),
    "the dark ones": lambda x, d, m: np.where(x < np.percentile(x, 30), x - d, x),
}


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", list(NONLINEAR))
def test_pixels_that_a_rule_picks_are_not_set_aside(photo, name):
    x = photo[:240, :320].astype(float)
    detail = x - gray_windows(x, 5).mean(axis=-1)
    median = np.median(gray_windows(x, 3), axis=-1)
    fit = fit_kernel(photo[:240, :320], levels(NONLINEAR[name](x, detail, median)))
    assert fit.verdict not in LINEAR, fit.reason


@pytest.mark.one_in(3)
@pytest.mark.parametrize(("count", "side"), [(30, 6), (200, 2), (6, 12)])
def test_dust_is_set_aside(photo, count, side):
    rng = np.random.default_rng(2)
    target = filtered(photo, ASYMMETRIC)
    for row, column in zip(rng.integers(0, 340, count), rng.integers(0, 460, count), strict=True):
        target[row : row + side, column : column + side] = rng.integers(0, 256)
    fit = fit_kernel(photo, target)
    assert fit.verdict == "exact"
    assert fit.rejected > 0
    np.testing.assert_allclose(fit.weights, ASYMMETRIC, atol=0.003)


def test_dead_rows_are_set_aside(photo):
    target = filtered(photo, ASYMMETRIC)
    target[100:104], target[201] = 0, 17
    fit = fit_kernel(photo, target)
    assert fit.verdict == "exact"
    np.testing.assert_allclose(fit.weights, ASYMMETRIC, atol=0.003)


def test_other_way_to_treat_channels_is_found_for_a_wide_kernel(colour):
    target = colour.copy()
    target[..., 2] = levels(gray_windows(colour[..., 2], 9).mean(axis=-1))
    fit = fit_kernel(colour[:160, :200], target[:160, :200])
    assert fit.verdict == "poor"
    assert "--channels each explains" in fit.reason


def test_one_bad_pair_of_several_is_named(photo):
    targets = [filtered(photo, ASYMMETRIC), filtered(photo[::-1], ASYMMETRIC)]
    fit = fit_kernel([photo, photo], targets)
    assert fit.verdict not in LINEAR


def test_fourth_channel_of_an_array_is_a_band_for_fit_as_for_apply(tmp_path):
    x = np.random.default_rng(0).integers(0, 200, (40, 50, 4)).astype(np.uint8)
    np.save(tmp_path / "x.npy", x)
    succeed("apply", "x.npy", "-k", "1 2 1 / 4", "-o", "y.npy", cwd=tmp_path)
    fit = fit_kernel(*(read_image(tmp_path / f"{name}.npy") for name in "xy"))
    assert fit.verdict == "exact"
    assert fit.pixels == 4 * 40 * 48


@pytest.mark.one_in(5)
@pytest.mark.parametrize("name", ["x y.npy", "x.tif", "x.png"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_next_command_works_as_it_is_written(tmp_path, name, channels):
    from conv_cli import write_image

    x = np.random.default_rng(0).random((40, 50, channels))
    x = (x * 200).astype(np.uint8) if name.endswith("png") else x.astype(np.float32)
    if channels in (2, 4):
        x[..., -1] = 255 if name.endswith("png") else 1
    write_image(tmp_path / name, Image(x[..., 0] if channels == 1 else x, alpha=channels in (2, 4)))
    target = "y" + name[-4:]
    succeed("apply", name, "-k", "1 2 1 / 4", "-o", target, cwd=tmp_path)
    done = succeed("fit", name, target, "-o", "k.json", cwd=tmp_path)
    (line,) = [line for line in done.stdout.decode().splitlines() if "conv-cli apply" in line]
    command = shlex.split(line[line.index("conv-cli") :])
    succeed(*command[1:], cwd=tmp_path)
