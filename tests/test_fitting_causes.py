"""Noise told from misfit, what explains a poor pair, and fits with a stride, light or a curve."""

import json
import shlex

import numpy as np
import pytest
from PIL import Image

from conv_cli import fit_kernel, load_kernel, read_image, write_image
from conv_cli.errors import FitError, KernelError
from conv_cli.fitting.geometry import placed
from conv_cli.fitting.pairs import prepared
from conv_cli.fitting.quantised import Coded
from conv_cli.images import jpeg_luma, lossy_codec
from conv_cli.kernels.learned import LearnedKernel, Tone
from test_cli_apply import conv_cli, one_error_line, succeed
from test_fitting import ASYMMETRIC, ROUNDING, filtered, levels

GAUSSIAN = load_kernel("gaussian:sigma=1,size=7").weights


@pytest.fixture(scope="module")
def photo():
    colour = read_image("sample_images/landscape.jpg").pixels[140:380, 180:460]
    return np.rint(colour @ [0.299, 0.587, 0.114]).astype(np.uint8)


@pytest.fixture(scope="module")
def colour():
    return np.ascontiguousarray(read_image("sample_images/landscape.jpg").pixels[100:340, 100:420])


def blurred(x):
    padded = np.pad(np.asarray(x, float), 3, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (7, 7))
    return (windows * GAUSSIAN).sum(axis=(2, 3))


def lit(x):
    x = np.asarray(x) / 255
    return 255 * np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def unlit(x):
    x = np.clip(x / 255, 0, 1)
    return 255 * np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)


def gamma(x, power=0.6):
    return 255 * (np.clip(x, 0, 255) / 255) ** power


@pytest.mark.parametrize("kind", ["gauss", "poisson"])
@pytest.mark.parametrize("weights", [[[1.0]], ASYMMETRIC / 2, GAUSSIAN], ids=["1", "sharp", "blur"])
def test_noise_in_the_target_is_told_from_misfit(photo, kind, weights):
    rng = np.random.default_rng(1)
    exact = filtered(photo, weights, 20).astype(float)
    noisy = exact + rng.normal(0, 3, exact.shape) if kind == "gauss" else rng.poisson(exact)
    fit = fit_kernel(photo, levels(noisy))
    assert fit.verdict == "noisy"
    inside = (exact > 20) & (exact < 235)
    assert fit.noise == pytest.approx((noisy - exact)[inside].std(), rel=0.06)
    assert fit.explains
    assert fit.cause is None
    middle = fit.weights.shape[0] // 2 if fit.weights.size == np.size(weights) else None
    if middle is not None:
        assert np.abs(fit.weights - weights).max() < 6 * fit.stderr.max()


def median(x):
    padded = np.pad(x, 1, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
    return np.median(windows, axis=(2, 3))


CURVES = {
    "tone": lambda x: gamma(blurred(x)),
    "light": lambda x: unlit(blurred(lit(x))),
    "neighbours": median,
    "position": lambda x: np.where(np.arange(x.shape[1]) < 140, x, blurred(x)),
}


@pytest.mark.parametrize("cause", ["tone", "neighbours", "position"])
def test_misfit_under_noise_is_no_noise(photo, cause):
    noisy = CURVES[cause](photo) + np.random.default_rng(2).normal(0, 2, photo.shape)
    assert fit_kernel(photo, levels(noisy)).verdict == "poor"


def test_picture_that_was_turned_is_no_noise(photo):
    assert fit_kernel(photo, photo[::-1, ::-1]).verdict == "poor"


def test_unrelated_noise_is_poor(photo):
    noise = np.random.default_rng(0).integers(0, 256, photo.shape, np.uint8)
    assert fit_kernel(photo, noise).verdict == "poor"


@pytest.mark.parametrize(
    ("cause", "options"), [("tone", ("--tone",)), ("light", ("--linear",)), ("neighbours", ())]
)
def test_cause_of_a_poor_pair_is_found_by_trying_it(photo, cause, options):
    fit = fit_kernel(photo, levels(CURVES[cause](photo)))
    assert (fit.verdict, fit.cause, fit.remedy) == ("poor", cause, options)


def test_kernels_of_two_halves_are_named(photo):
    fit = fit_kernel(photo, levels(CURVES["position"](photo)))
    assert fit.cause == "position"
    assert "the left half is `identity`, the right half `gaussian" in fit.reason
    assert fit.remedy == ("--region", "0,0,240x140")


@pytest.mark.parametrize(
    ("flip", "words"),
    [
        (lambda x: x[:, ::-1], "mirrored left to right"),
        (lambda x: x[::-1, ::-1], "turned by 180"),
        (np.rot90, "to the left"),
    ],
)
def test_picture_that_lies_otherwise_is_told(photo, flip, words):
    square = photo[:240, :240]
    fit = fit_kernel(square, np.ascontiguousarray(flip(filtered(square, GAUSSIAN))))
    assert (fit.verdict, fit.cause) == ("poor", "geometry")
    assert words in fit.reason


def test_angle_and_scale_of_a_picture_are_told(photo):
    square = Image.fromarray(photo[:240, :240])
    turned = np.asarray(square.rotate(-11, Image.Resampling.BICUBIC))
    fit = fit_kernel(np.asarray(square), turned)
    assert (fit.verdict, fit.cause) == ("poor", "geometry")
    assert "turned by 11° to the right, which" in fit.reason
    larger = np.asarray(square.resize((252, 252), Image.Resampling.BICUBIC))[6:-6, 6:-6]
    found = placed(prepared(np.asarray(square), larger, mixed=False, name="pair")[0])
    assert found.scale == pytest.approx(1.05, abs=0.001)
    assert found.angle == pytest.approx(0, abs=0.05)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("cause", [*CURVES, "geometry"])
def test_cause_is_found_beside_noise(photo, cause):
    exact = CURVES[cause](photo) if cause in CURVES else blurred(photo)[:, ::-1]
    noise = np.random.default_rng(3).normal(0, 2, exact.shape)
    fit = fit_kernel(photo, levels(exact + noise))
    assert (fit.verdict, fit.cause) == ("poor", cause)


@pytest.mark.parametrize("options", [{"tone": True}, {"linear": True}])
def test_noise_is_told_beside_a_curve(photo, options):
    exact = CURVES["tone" if "tone" in options else "light"](photo)
    noise = np.random.default_rng(4).normal(0, 3, exact.shape)
    fit = fit_kernel(photo, levels(exact + noise), **options)
    assert fit.verdict == "noisy"
    assert fit.noise == pytest.approx(3, rel=0.05)


def test_channels_that_go_together_otherwise_are_a_cause(colour):
    mixed = fit_kernel(colour, colour[..., ::-1].copy())
    assert (mixed.cause, mixed.remedy) == ("mix", ("--channels", "mix"))


@pytest.mark.parametrize("curve", ["after", "before"])
def test_curve_and_kernel_are_found_together(photo, curve):
    exact = gamma(blurred(photo)) if curve == "after" else blurred(gamma(photo, 1.7))
    fit = fit_kernel(photo, levels(exact), tone=True)
    assert fit.verdict in ("exact", "good")
    assert fit.tone.where == curve
    scaled = fit.weights / fit.weights.sum()
    assert np.abs(scaled - GAUSSIAN[: len(scaled), : len(scaled)]).max() < 0.003
    assert np.abs(fit.predict(photo, "edge") - exact)[5:-5, 5:-5].mean() < 0.5


def test_curve_alone_may_rise_and_fall(photo):
    solarised = np.where(photo > 110, 255 - photo, photo)
    fit = fit_kernel(photo, solarised.astype(np.uint8), tone=True)
    assert (fit.verdict, fit.size) == ("exact", (1, 1))
    np.testing.assert_array_equal(np.rint(fit.predict(photo)), solarised)


def test_kernel_of_linear_light_is_found(photo):
    fit = fit_kernel(photo, levels(unlit(blurred(lit(photo)))), linear=True)
    assert (fit.verdict, fit.border) == ("exact", "edge")
    middle = len(fit.weights) // 2
    np.testing.assert_allclose(
        fit.weights, GAUSSIAN[3 - middle : 4 + middle, 3 - middle : 4 + middle], atol=0.003
    )


def test_curve_does_not_go_with_what_it_cannot(photo):
    for wrong in ({"method": "gd"}, {"bias": False}, {"linear": True}, {"channels": "mix"}):
        with pytest.raises(FitError, match="leave one of them out"):
            fit_kernel(photo, photo, tone=True, **wrong)


@pytest.mark.parametrize("step", [2, 3, (2, 3)])
def test_target_that_is_filtered_and_sampled(photo, step):
    down, across = (step, step) if isinstance(step, int) else step
    weights = np.arange(1, 16).reshape(3, 5) / 120
    target = filtered(photo, weights)[::down, ::across]
    fit = fit_kernel(photo, target)
    assert (fit.verdict, fit.stride, fit.origin) == ("exact", (down, across), (1, 2))
    np.testing.assert_allclose(fit.weights, weights, atol=0.004)
    assert (fit.border, fit.shift) == ("edge", (0, 0))
    assert np.abs(fit.predict(photo) - target).max() <= 1


def test_means_over_blocks_are_a_box(photo):
    target = levels(photo.reshape(120, 2, 140, 2).mean(axis=(1, 3)))
    fit = fit_kernel(photo, target)
    assert (fit.match, fit.stride, fit.origin) == ("box:2", (2, 2), (0, 0))


def test_stride_that_the_sizes_do_not_show_is_refused(photo):
    with pytest.raises(FitError, match="a stride of 3x3 leaves 80x94"):
        fit_kernel(photo, photo[::2, ::2], stride=3)


CASES = {
    "stride": (lambda x: blurred(x)[::2, ::2], ()),
    "light": (CURVES["light"], ("--linear",)),
    "tone": (CURVES["tone"], ("--tone",)),
    "before": (lambda x: blurred(gamma(x, 1.7)), ("--tone",)),
}


@pytest.mark.parametrize("case", list(CASES))
def test_what_is_written_makes_the_target_when_it_is_applied(photo, tmp_path, case):
    work, options = CASES[case]
    write_image(tmp_path / "x.png", photo)
    write_image(tmp_path / "y.png", levels(work(photo)))
    succeed("fit", "x.png", "y.png", *options, "-o", "k.json", cwd=tmp_path)
    assert isinstance(load_kernel(tmp_path / "k.json"), LearnedKernel)
    succeed("apply", "x.png", "-k", "k.json", "-o", "z.png", cwd=tmp_path)
    again, target = (np.asarray(Image.open(tmp_path / f"{n}.png")).astype(int) for n in "zy")
    assert again.shape == target.shape
    assert (np.abs(again - target) <= 1).mean() > 0.998


@pytest.mark.parametrize("case", ["tone", "light", "flip"])
def test_next_command_of_a_poor_pair_explains_it(photo, tmp_path, case):
    square = np.ascontiguousarray(photo[:240, :240])
    target = np.rot90(blurred(square)) if case == "flip" else CURVES[case](square)
    write_image(tmp_path / "x.png", square)
    write_image(tmp_path / "y.png", levels(target))
    done = conv_cli("fit", "x.png", "y.png", "--json", cwd=tmp_path)
    assert done.returncode == 3
    found = json.loads(done.stdout)
    assert found["cause"] == ("geometry" if case == "flip" else case)
    for command in found["next"].split(" && "):
        words = shlex.split(command)
        if words[0] == "conv-cli":
            succeed(*words[1:], cwd=tmp_path)
        else:
            exec(words[-1].replace("'x.png'", f"'{tmp_path}/x.png'").replace(
                "'turned.png'", f"'{tmp_path}/turned.png'"
            ))  # fmt: skip


def test_region_is_fitted_alone(photo, tmp_path):
    write_image(tmp_path / "x.png", photo)
    write_image(tmp_path / "y.png", levels(CURVES["position"](photo)))
    done = succeed("fit", "x.png", "y.png", "--region", "0,140,240x140", "--json", cwd=tmp_path)
    found = json.loads(done.stdout)
    assert found["verdict"] == "exact"
    assert min(found["size"]) >= 5
    for wrong in ("0,0,400x10", "1,2", "0,0,0x9"):
        done = conv_cli("fit", "x.png", "y.png", "--region", wrong, "-q", cwd=tmp_path)
        assert "--region" in one_error_line(done, 1 if wrong == "0,0,400x10" else 2)


def test_noisy_pair_exits_with_0_and_names_the_noise(photo, tmp_path):
    noise = np.random.default_rng(0).normal(0, 4, photo.shape)
    write_image(tmp_path / "x.png", photo)
    write_image(tmp_path / "y.png", levels(filtered(photo, GAUSSIAN) + noise))
    found = json.loads(succeed("fit", "x.png", "y.png", "--json", cwd=tmp_path).stdout)
    assert found["verdict"] == "noisy"
    assert found["noise"] == pytest.approx(4, rel=0.05)
    assert found["noise_floor"] == pytest.approx(ROUNDING)


def coded(pixels, quality, folder):
    """Return a JPEG of pixels, what its codec does, and what the file says of its brightness."""
    path = folder / "target.jpg"
    Image.fromarray(pixels).save(path, quality=quality)
    codec, found = lossy_codec(path), jpeg_luma(path)
    return read_image(path).pixels, lambda number, image: codec(image), [Coded(*found)]


@pytest.mark.parametrize("quality", [60, 90])
@pytest.mark.parametrize("name", ["gaussian:sigma=1.2,size=7", "sharpen:0.2"])
def test_weights_of_a_jpeg_target_lie_within_their_errors(photo, tmp_path, quality, name):
    weights = load_kernel(name).weights
    target, recode, found = coded(filtered(photo, weights), quality, tmp_path)
    fit = fit_kernel(photo, target, recode=recode, coded=found)
    assert fit.verdict == "exact"
    frame = np.zeros((25, 25))
    row, column = (12 - n for n in fit.origin)
    inside = np.s_[row : row + fit.size[0], column : column + fit.size[1]]
    middle = len(weights) // 2
    frame[12 - middle : 13 + middle, 12 - middle : 13 + middle] = weights
    off = np.abs(fit.weights - frame[inside]) / fit.stderr
    assert (off <= 2).mean() >= 0.85
    assert off.max() < 4.5
    frame[inside] = 0
    assert frame.max() <= fit.stderr.max()


def test_files_that_hold_no_brightness_of_their_own_are_none(photo, tmp_path):
    write_image(tmp_path / "x.png", photo)
    assert jpeg_luma(tmp_path / "x.png") is None
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(photo).save(tmp_path / "turned.jpg", exif=turned)
    assert jpeg_luma(tmp_path / "turned.jpg") is None


def test_all_names_that_a_kernel_may_have_are_told(photo):
    weights = load_kernel("binomial:5").weights
    clean = fit_kernel(photo, filtered(photo, weights))
    assert clean.match == "binomial:5"
    noise = np.random.default_rng(0).normal(0, 3, photo.shape)
    noisy = fit_kernel(photo, levels(filtered(photo, weights) + noise), 5)
    assert "binomial:5" in [name.spec for name in noisy.names]
    assert all(name.passes for name in noisy.names)


def test_kernel_without_a_name_tells_the_nearest(photo):
    fit = fit_kernel(photo, filtered(photo, ASYMMETRIC))
    assert fit.match is None
    assert len(fit.names) <= 1
    assert not any(name.passes for name in fit.names)


@pytest.mark.parametrize(
    ("member", "words"),
    [
        ({"stride": [2]}, "stride"),
        ({"stride": [0, 1]}, "stride"),
        ({"linear": 1}, "linear"),
        ({"tone": {"where": "after", "points": [[1, 2], [1, 3]]}}, "tone"),
        ({"tone": {"points": []}}, "tone"),
    ],
)
def test_bad_manner_in_a_file_is_named(tmp_path, member, words):
    path = tmp_path / "k.json"
    path.write_text(json.dumps({"kernel": [[1]], **member}))
    with pytest.raises(KernelError, match=words):
        load_kernel(path)


def test_curve_goes_on_beyond_its_points():
    tone = Tone("after", np.array([0.0, 10.0, 20.0]), np.array([0.0, 10.0, 40.0]))
    assert tone(np.array([-5.0, 5.0, 15.0, 30.0])).tolist() == [-5, 5, 25, 70]


def test_what_follows_no_learned_manner_refuses_it(tmp_path):
    (tmp_path / "k.json").write_text('{"kernel": [[1, 2]], "stride": [2, 2], "linear": true}')
    kept = conv_cli("kernels", "convert", "k.json", "--to", "json", cwd=tmp_path)
    assert json.loads(kept.stdout)["stride"] == [2, 2] and json.loads(kept.stdout)["linear"]
    for command in (
        ["explain", "1 2; 3 4", "-k", "k.json", "--at", "0,0"],
        ["kernels", "convert", "k.json", "--to", "opencv"],
        ["kernels", "compose", "k.json", "box"],
        ["net", "info", "k.json | abs", "--input", "1x8x8"],
    ):
        assert "which apply alone follows" in one_error_line(conv_cli(*command, cwd=tmp_path), 2)
