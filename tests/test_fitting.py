"""fit_kernel: what it finds, what it says of it, and when it says that there is nothing to find."""

import numpy as np
import pytest

from conv_cli import conv2d, fit_kernel, read_image
from conv_cli.errors import FitError

ASYMMETRIC = np.array([[1.0, -2.0, 0.5], [0.0, 5.0, 3.0], [-1.0, 0.25, 1.5]]) / 8
ROUNDING = 1 / np.sqrt(12)


@pytest.fixture(scope="module")
def photo():
    colour = read_image("sample_images/landscape.jpg").pixels[:360, :480]
    return np.rint(colour @ [0.299, 0.587, 0.114]).astype(np.uint8)


@pytest.fixture(scope="module")
def colour():
    return read_image("sample_images/landscape.jpg").pixels[:240, :320]


def levels(values):
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def filtered(x, weights, bias=0.0, border="edge", origin=None):
    """Return a grey image correlated as `apply` would, in whole levels."""
    (rows, columns), weights = np.shape(weights), np.asarray(weights, float)
    row, column = origin or ((rows - 1) // 2, (columns - 1) // 2)
    padding = ((row, rows - 1 - row), (column, columns - 1 - column))
    return levels(conv2d(x[None], weights[None, None], [bias], padding=padding, border=border)[0])


@pytest.mark.parametrize(
    "weights",
    [
        pytest.param(ASYMMETRIC, id="3x3"),
        pytest.param([[0.25, 0.5], [0.75, -0.4]], id="2x2"),
        pytest.param(np.ones((1, 9)) / 9, id="1x9"),
        pytest.param(np.arange(1, 16).reshape(5, 3) / 120, id="5x3"),
        pytest.param([[0.4], [0.6]], id="2x1"),
        pytest.param([[1.0]], id="1x1"),
    ],
)
def test_size_and_weights_are_found(photo, weights):
    fit = fit_kernel(photo, filtered(photo, weights, bias=7.0))
    assert fit.size == np.shape(weights)
    assert fit.verdict == "exact"
    np.testing.assert_allclose(fit.weights, weights, atol=0.003)
    assert fit.bias == pytest.approx(7.0, abs=0.3)
    assert fit.rmse < 1.1 * ROUNDING
    assert fit.border == "edge"
    assert fit.shift == (0, 0)


def test_even_kernel_may_lean_either_way(photo):
    for origin in ((0, 0), (1, 1), (0, 1)):
        fit = fit_kernel(photo, filtered(photo, [[0.2, 0.5], [0.4, -0.3]], origin=origin))
        assert (fit.origin, fit.shift) == (origin, (0, 0))


@pytest.mark.parametrize("border", ["edge", "zero", "reflect", "symmetric", "wrap", "200"])
def test_border_that_explains_the_rim_is_named_and_predicts_it(photo, border):
    weights = np.arange(1, 26).reshape(5, 5) / 325
    target = filtered(photo, weights, border=border)
    fit = fit_kernel(photo, target)
    assert fit.border == border
    off = np.abs(levels(fit.predict(photo)).astype(int) - target)
    assert (off <= 1).mean() >= 0.999


def test_no_border_explains_a_rim_that_was_left_unfiltered(photo):
    target = photo.copy()
    target[2:-2, 2:-2] = filtered(photo, np.ones((5, 5)) / 25)[2:-2, 2:-2]
    fit = fit_kernel(photo, target)
    assert (fit.verdict, fit.border, fit.match) == ("exact", None, "box:5")


@pytest.mark.parametrize("shift", [(3, -2), (40, 25)])
def test_pictures_that_are_moved(photo, shift):
    target = np.roll(filtered(photo, np.ones((3, 3)) / 9), shift, (0, 1))
    fit = fit_kernel(photo, target)
    assert (fit.shift, fit.size, fit.verdict, fit.match) == (shift, (3, 3), "exact", "box")
    row, column = fit.applicable.origin
    rows, columns = fit.applicable.shape
    padding = ((row, rows - 1 - row), (column, columns - 1 - column))
    again = conv2d(photo[None], fit.applicable.weights[None, None], padding=padding)[0]
    inside = np.s_[45:-45, 45:-45]
    assert np.abs(levels(again).astype(int) - target)[inside].max() <= 1


def test_target_that_valid_filtering_leaves(photo):
    target = levels(conv2d(photo[None], np.array([[1, 2, -1], [0, 3, 1]])[None, None] / 6)[0])
    fit = fit_kernel(photo, target)
    assert (fit.size, fit.valid, fit.border, fit.shift) == ((2, 3), True, None, (0, 0))
    assert fit.rational is not None
    assert (fit.rational.numerators.tolist(), fit.rational.divisor) == ([[1, 2, -1], [0, 3, 1]], 6)
    assert fit.predict(photo).shape == target.shape


def test_saturated_pixels_do_not_mislead(photo):
    sharp = np.array([[-1, -1, -1], [-1, 9, -1], [-1, -1, -1]]) * 20.0
    target = filtered(photo, sharp, bias=-2700)
    assert np.isin(target, (0, 255)).mean() > 0.9
    fit = fit_kernel(photo, target)
    np.testing.assert_allclose(fit.weights, sharp, atol=0.003)
    assert fit.verdict == "exact"
    assert fit.clipped > 0.9


@pytest.mark.parametrize("kind", ["plate", "noise", "shining through", "white", "dust"])
def test_pixels_that_no_kernel_made_are_told_from_the_others(photo, kind):
    target = filtered(photo, ASYMMETRIC)
    rng = np.random.default_rng(5)
    row, column = np.indices(target.shape)
    hidden = {
        "plate": column < target.shape[1] // 2,
        "noise": rng.random(target.shape) < 0.5,
        "shining through": (row // 8 + column // 8) % 2 == 0,
        "white": rng.random(target.shape) < 0.5,
        "dust": rng.random(target.shape) < 0.002,
    }[kind]
    mark = {
        "plate": np.full_like(target, 180),
        "noise": rng.integers(0, 256, target.shape),
        "shining through": levels(0.4 * target + 130),
        "white": np.full_like(target, 255),
        "dust": rng.integers(0, 256, target.shape),
    }[kind]
    fit = fit_kernel(photo, np.where(hidden, mark, target).astype(np.uint8))
    np.testing.assert_allclose(fit.weights, ASYMMETRIC, atol=0.01)
    assert fit.verdict == "exact"
    assert fit.rejected + fit.clipped == pytest.approx(hidden.mean(), abs=0.05)


def shadows(x):
    return np.where(x < 110, 0, x)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda x: np.where(x > 110, 255, 0), id="threshold"),
        pytest.param(lambda x: x // 40 * 40, id="posterise"),
        pytest.param(lambda x: levels(255 * (x / 255) ** 0.6), id="gamma"),
        pytest.param(lambda x: np.where(x > 110, 255 - x, x), id="solarise"),
        pytest.param(shadows, id="black threshold"),
        pytest.param(lambda x: np.maximum(np.roll(x, 1, 0), np.roll(x, 1, 1)), id="maximum"),
        pytest.param(
            lambda x: np.median([np.roll(x, s, (0, 1)) for s in ((0, 0), (1, 0), (0, 1))], axis=0),
            id="median",
        ),
    ],
)
def test_what_is_not_linear_is_called_poor(photo, change):
    fit = fit_kernel(photo, change(photo).astype(np.uint8))
    assert fit.verdict == "poor"
    assert np.isfinite(fit.weights).all()
    assert fit.match is None


def test_curve_that_is_nearly_straight_is_no_kernel(photo):
    """On a picture of few tones a gamma is almost a line, which wide windows bend to."""
    flat = (60 + photo // 4).astype(np.uint8)
    fit = fit_kernel(flat, levels(255 * (flat / 255) ** 0.6))
    assert (fit.verdict, fit.size) == ("poor", (1, 1))
    assert "curve" in fit.reason


def test_straight_tone_curve_is_a_kernel_of_one_weight(photo):
    fit = fit_kernel(photo, levels(0.7 * photo + 40))
    assert (fit.verdict, fit.size) == ("exact", (1, 1))
    assert fit.weights[0, 0] == pytest.approx(0.7, abs=0.003)


def stripes(height=60, width=80):
    return np.tile(np.random.default_rng(0).integers(0, 256, width, np.uint8), (height, 1))


@pytest.mark.parametrize(
    ("x", "words"),
    [
        pytest.param(np.full((60, 80), 90, np.uint8), "flat", id="flat"),
        pytest.param(stripes(), "row to row", id="rows alike"),
        pytest.param(stripes().T.copy(), "column to column", id="columns alike"),
        pytest.param(
            np.tile([[10, 200], [90, 40]], (40, 40)).astype(np.uint8), "repeats", id="tiles"
        ),
        pytest.param(stripes(5, 6) + np.arange(5, dtype=np.uint8)[:, None], "pixels", id="tiny"),
    ],
)
def test_input_that_does_not_tell_is_named(x, words):
    fit = fit_kernel(x, filtered(x, ASYMMETRIC, bias=20))
    assert fit.verdict == "underdetermined"
    assert words in fit.reason
    assert np.isfinite(fit.weights).all()
    assert fit.as_dict()["condition"] is None or fit.as_dict()["condition"] > 0


def test_unrelated_pictures_are_poor_whatever_their_scales():
    x = np.random.default_rng(0).normal(size=(90, 100))
    fit = fit_kernel(x, np.add.outer(np.arange(90.0), np.arange(100.0)) * 1e4)
    assert fit.verdict == "poor"


def test_flat_target_tells_nothing(photo):
    for value in (0, 70, 255):
        fit = fit_kernel(photo, np.full_like(photo, value))
        assert fit.verdict == "underdetermined"
        assert np.isfinite(fit.weights).all()


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (np.zeros((9, 9)), np.zeros((10, 9)), "one size"),
        (np.zeros((9, 9)), np.zeros((2, 9)), "one size"),
        (np.full((9, 9), np.nan), np.zeros((9, 9)), "NaN"),
        (np.zeros((9, 9, 3)), np.zeros((9, 9)), None),
        (np.zeros((9, 9)), np.arange(243.0).reshape(9, 9, 3), "channels"),
        (np.zeros(9), np.zeros(9), "shape"),
        (np.full((9, 9), 1e200), np.zeros((9, 9)), "overflow"),
        (np.zeros((9, 9), complex), np.zeros((9, 9)), "real"),
    ],
)
def test_images_that_do_not_go_together(x, y, words):
    if words is None:
        assert fit_kernel(x, y).verdict == "underdetermined"
        return
    with pytest.raises(FitError, match=words):
        fit_kernel(x, y)


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (1, 40), (3, 3), (12, 12)])
@pytest.mark.parametrize("size", ["auto", 1, (1, 2), 3])
@pytest.mark.parametrize("method", ["exact", "gd"])
def test_small_pictures_give_a_verdict_or_a_named_error(shape, size, method):
    import json

    x = np.random.default_rng(3).integers(0, 256, shape, np.uint8)
    for y in (x, np.roll(x, 1, 1), np.zeros_like(x), 255 - x // 2):
        try:
            fit = fit_kernel(x, y, size, method=method, epochs=3)
        except FitError as error:
            assert "--size" in str(error)
            continue
        assert np.isfinite(fit.weights).all()
        json.dumps(fit.as_dict(), allow_nan=False)


def test_nan_in_a_target_is_left_out():
    x = np.random.default_rng(1).normal(size=(80, 90))
    y = conv2d(x[None], ASYMMETRIC[None, None], padding="same", border="wrap")[0]
    y[20:30, 10:50] = np.nan
    fit = fit_kernel(x, y)
    assert (fit.verdict, fit.border) == ("exact", "wrap")
    np.testing.assert_allclose(fit.weights, ASYMMETRIC, atol=1e-9)
    assert fit.noise_floor < 1e-4


def test_size_that_is_asked_for_is_kept(photo):
    target = filtered(photo, np.ones((3, 3)) / 9)
    assert fit_kernel(photo, target, 5).size == (5, 5)
    assert fit_kernel(photo, target, (3, 7)).size == (3, 7)
    assert fit_kernel(photo, target, 1).verdict == "poor"
    with pytest.raises(FitError, match="smaller --size"):
        fit_kernel(photo[:4, :4], target[:4, :4], 9)


def test_large_window_on_a_smooth_picture_stays_close(photo):
    """Its many weights are hardly told apart, and a sample of the pixels tells less."""
    smooth = filtered(photo, np.ones((5, 5)) / 25)
    wide = np.tile(smooth, (3, 3))
    fit = fit_kernel(wide, filtered(wide, np.ones((3, 3)) / 9), 41)
    assert fit.rmse < 1.1 * ROUNDING


def test_no_bias_is_none(photo):
    fit = fit_kernel(photo, filtered(photo, ASYMMETRIC, bias=30), 5, bias=False)
    assert fit.bias == 0.0
    assert fit.verdict == "poor"


def test_ridge_pulls_weights_to_zero(photo):
    target = filtered(photo, ASYMMETRIC)
    plain, pulled = (fit_kernel(photo, target, 3, ridge=r).weights for r in (0, 1e4))
    assert np.abs(pulled).sum() < 0.9 * np.abs(plain).sum()


def test_pairs_add_up(photo):
    halves = [photo[:, :200], photo[:, 200:]]
    fit = fit_kernel(halves, [filtered(half, ASYMMETRIC) for half in halves])
    assert (fit.pairs, fit.verdict) == (2, "exact")
    np.testing.assert_allclose(fit.weights, ASYMMETRIC, atol=0.003)


def test_one_kernel_a_channel(colour):
    kernels = [ASYMMETRIC, np.ones((1, 5)) / 5, ASYMMETRIC[::-1] / 2]
    planes = [filtered(colour[..., c], kernel) for c, kernel in enumerate(kernels)]
    each = fit_kernel(colour, np.stack(planes, axis=-1), channels="each")
    assert (each.weights.shape, each.verdict) == ((3, 3, 5), "exact")
    np.testing.assert_allclose(each.weights[0][:, 1:4], ASYMMETRIC, atol=0.004)
    np.testing.assert_allclose(each.weights[1][1], 0.2, atol=0.004)
    np.testing.assert_allclose(each.weights[2][:, 1:4], ASYMMETRIC[::-1] / 2, atol=0.004)
    off = np.abs(levels(each.predict(colour)).astype(int) - np.stack(planes, axis=-1))
    assert (off <= 1).mean() > 0.999


def test_channel_that_is_flat_leaves_the_fit_underdetermined(colour):
    planes = [filtered(colour[..., c], ASYMMETRIC) for c in range(2)]
    planes.append(np.full_like(planes[0], 255))
    fit = fit_kernel(colour, np.stack(planes, axis=-1), channels="each")
    assert (fit.verdict, fit.weights.shape) == ("underdetermined", (3, 3, 3))


def test_mix_of_channels(colour):
    matrix = np.array([[0.4, 0.5, 0.1], [0.2, 0.6, 0.2], [0.1, 0.2, 0.7]])
    mix = fit_kernel(colour, levels(colour @ matrix.T), channels="mix")
    assert (mix.weights.shape, mix.verdict) == ((3, 3, 1, 1), "exact")
    np.testing.assert_allclose(mix.weights[..., 0, 0], matrix, atol=0.006)
    assert np.abs(mix.predict(colour) - colour @ matrix.T).max() < 1
    assert fit_kernel(colour, levels(colour @ matrix.T)).verdict == "poor"


def test_grey_in_three_channels_is_grey(photo):
    target = filtered(photo, ASYMMETRIC)
    fit = fit_kernel(photo, np.stack([target] * 3, axis=-1))
    assert (fit.verdict, fit.size) == ("exact", (3, 3))


def test_opacity_is_no_colour_and_hides_pixels(colour):
    target = np.stack([filtered(colour[..., c], ASYMMETRIC) for c in range(3)], axis=-1)
    alpha = np.full((*target.shape[:2], 1), 255, np.uint8)
    alpha[50:90, 60:200], target[50:90, 60:200] = 0, 77
    fit = fit_kernel(colour, np.concatenate([target, alpha], axis=2))
    assert (fit.verdict, fit.rejected) == ("exact", 0.0)
    np.testing.assert_allclose(fit.weights, ASYMMETRIC, atol=0.003)


def test_sixteen_bits_are_fitted_to_their_own_rounding(photo):
    deep = photo.astype(np.uint16) * 201 + np.random.default_rng(0).integers(
        0, 201, photo.shape, np.uint16
    )
    target = np.rint(conv2d(deep[None], ASYMMETRIC[None, None], padding="same", border="edge")[0])
    fit = fit_kernel(deep, np.clip(target, 0, 65535).astype(np.uint16))
    assert fit.verdict == "exact"
    np.testing.assert_allclose(fit.weights, ASYMMETRIC, atol=1e-4)


def test_standard_errors_are_as_large_as_errors_are(photo):
    """Over many weights, errors in units of their standard error have a mean square of about 1."""
    weights = np.random.default_rng(2).normal(size=(7, 7)) / 20
    fit = fit_kernel(photo, filtered(photo, weights, bias=100), 7)
    assert 0.5 < np.mean(((fit.weights - weights) / fit.stderr) ** 2) < 2


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ("pillow-detail", "pillow-detail"),
        ("gaussian:sigma=1.5", "gaussian:sigma=1.5"),
        ("box:5", "box:5"),
        ("sharpen", "sharpen"),
        ("emboss", "emboss"),
        ("identity", "identity"),
    ],
)
def test_built_in_is_known_again(photo, spec, named):
    from conv_cli import load_kernel

    kernel = load_kernel(spec)
    fit = fit_kernel(photo, filtered(photo, kernel.weights, kernel.bias))
    assert fit.match == named


def test_kernel_that_a_tool_turned_is_told(photo):
    sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4
    fit = fit_kernel(photo, filtered(photo, sobel * 4, bias=128)[::1])
    assert fit.bias == pytest.approx(128, abs=0.5)
    emboss = np.array([[-2.0, -1, 0], [-1, 1, 1], [0, 1, 2]])
    turned = fit_kernel(photo, filtered(photo, emboss[::-1, ::-1]))
    assert (turned.match, turned.turned_match) == (None, "emboss")


def test_textbook_run_of_gradient_descent():
    x = np.ones((6, 8))
    x[:, 2:6] = 0
    y = x[:, :-1] - x[:, 1:]
    fit = fit_kernel(x, y, (1, 2), bias=False, method="gd", epochs=10, lr=0.03)
    assert len(fit.losses) == 10
    assert all(later < earlier for earlier, later in zip(fit.losses, fit.losses[1:], strict=False))
    np.testing.assert_allclose(fit.weights, [[1, -1]], atol=0.1)
    np.testing.assert_allclose(fit.exact_weights, [[1, -1]], atol=1e-9)
    assert fit.verdict == "exact"


def test_loss_of_gradient_descent_is_the_summed_squared_error_with_white_as_1():
    x = np.ones((6, 8))
    x[:, 2:6] = 0
    y = x[:, :-1] - x[:, 1:]

    def losses(x, y, lr):
        found = fit_kernel(x, y, (1, 2), bias=False, method="gd", epochs=3, lr=lr)
        return np.array(found.losses)

    # Next to no weights that hardly move: what is left is all of y², 1 for each pixel of an edge.
    still = losses(x, y, 1e-9)[0]
    assert still == pytest.approx(round(still), abs=0.01)
    assert 6 < still <= np.square(y).sum() == 12
    # The same step, taken off by hand as the slope of that loss says: rate times its square.
    slope = (losses(x, y, 1e-6)[0] - still) / 1e-6
    gradient = losses(x, y, 1e-3)[0] - still
    assert gradient == pytest.approx(slope * 1e-3, rel=0.05)
    np.testing.assert_allclose(losses((x * 255).astype(np.uint8), y, 0.03), losses(x, y, 0.03))


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_gradient_descent_converges_on_photographs_without_tuning(photo, seed):
    fit = fit_kernel(photo, filtered(photo, ASYMMETRIC, 10), method="gd", seed=seed)
    np.testing.assert_allclose(fit.weights, fit.exact_weights, atol=1e-3)
    assert fit.losses[0] > 100 * fit.losses[-1]
    other = fit_kernel(photo, filtered(photo, ASYMMETRIC, 10), method="gd", seed=seed + 1)
    assert other.losses[0] != fit.losses[0]


def test_rate_that_is_too_large_is_named(photo):
    with pytest.raises(FitError, match=r"runs away.*below"):
        fit_kernel(photo, photo, 3, method="gd", lr=1.0, epochs=200)


def test_result_is_plain_json(photo):
    import json

    fields = json.loads(json.dumps(fit_kernel(photo, filtered(photo, ASYMMETRIC)).as_dict()))
    expected = {
        "kernel", "bias", "origin", "size", "rmse", "r2", "psnr", "noise_floor", "verdict",
        "condition", "stderr", "clipped", "border", "rational", "match", "shift", "pairs",
        "pixels", "method", "losses",
    }  # fmt: skip
    assert expected <= set(fields)
    assert fields["size"] == [3, 3]
    assert fields["noise_floor"] == pytest.approx(ROUNDING)


@pytest.mark.parametrize(
    ("spec", "divisor"),
    [("pillow-detail", 6), ("sobel-x", 1), ("box:5", 25), ("gaussian:2", None), ("farid-x", None)],
)
@pytest.mark.one_in(2)
def test_fractions_are_told_only_where_there_are_any(photo, spec, divisor):
    from conv_cli import load_kernel

    kernel = load_kernel(spec)
    for target in (
        filtered(photo, kernel.weights, 128),
        conv2d(photo[None], kernel.weights[None, None], padding="same", border="edge")[0],
    ):
        fractions = fit_kernel(photo, target).rational
        assert (fractions and fractions.divisor) == divisor
