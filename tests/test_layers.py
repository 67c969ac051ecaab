"""corr2d, conv2d and Conv2D: the lesson, and the laws that every correlation keeps."""

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracle
from conv_cli import Conv2D, Kernel, conv2d, corr2d
from conv_cli.borders import NAMES
from conv_cli.errors import ConvError


@pytest.fixture
def square():
    """The textbook's image: white, with four black columns."""
    x = np.ones((6, 8))
    x[:, 2:6] = 0
    return x


class TestTextbook:
    def test_edge_detector_is_1_at_white_to_black_and_minus_1_at_black_to_white(self, square):
        y = corr2d(square, [[1, -1]])
        assert y.shape == (6, 7)
        assert (y[:, 1] == 1).all()
        assert (y[:, 5] == -1).all()
        assert (np.delete(y, [1, 5], axis=1) == 0).all()

    def test_edge_detector_finds_nothing_in_the_transpose(self, square):
        assert not corr2d(square.T, [[1, -1]]).any()

    def test_window_starts_at_the_top_left(self):
        y = corr2d(np.arange(9).reshape(3, 3), np.arange(4).reshape(2, 2))
        assert y.tolist() == [[19, 25], [37, 43]]

    @pytest.mark.parametrize(("n", "k"), [(8, 1), (8, 3), (9, 4), (5, 5)])
    def test_output_has_n_minus_k_plus_1_pixels(self, n, k):
        assert corr2d(np.zeros((n, 7)), np.zeros((k, 2))).shape == (n - k + 1, 6)

    def test_layer_is_corr2d_plus_bias(self, square):
        layer = Conv2D(1, 1, (1, 2), rng=3)
        expected = corr2d(square, layer.weight[0, 0]) + layer.bias[0]
        np.testing.assert_allclose(layer(square[None])[0], expected, rtol=1e-12)

    def test_kernel_is_learned_by_gradient_descent(self, square):
        layer = Conv2D(1, 1, (1, 2), bias=False, rng=0)
        target = corr2d(square, [[1, -1]])
        losses = []
        for _ in range(10):
            error = layer(square[None])[0] - target
            losses.append((error**2).sum())
            gradient = 2 * corr2d(square, error)[None, None]
            layer.weight = layer.weight - 0.03 * gradient
        assert losses == sorted(losses, reverse=True)
        np.testing.assert_allclose(layer.weight.ravel(), [1, -1], atol=0.15)


class TestDtypes:
    @pytest.mark.parametrize(
        ("image", "kernel", "result"),
        [
            ("uint8", [[1, -1]], "int16"),
            ("uint8", [[100, -100]], "int16"),
            ("uint8", [[128]], "int16"),
            ("uint8", [[129]], "int32"),
            ("int8", [[256]], "int16"),
            ("int8", [[257]], "int32"),
            ("uint16", [[1]], "int32"),
            ("uint16", [[32769]], "int64"),
            ("int64", [[1]], "int64"),
            ("bool", [[1, 1]], "int16"),
            ("uint8", [[0.5]], "float32"),
            ("uint16", [[0.5]], "float32"),
            ("float32", [[0.5]], "float32"),
            ("int32", [[0.5]], "float64"),
            ("float64", [[1]], "float64"),
            ("float16", [[1]], "float32"),
        ],
    )
    def test_result_has_the_smallest_dtype_that_keeps_the_promise(self, image, kernel, result):
        assert corr2d(np.ones((3, 3), image), kernel).dtype == np.dtype(result)

    def test_result_dtype_does_not_depend_on_the_pixels(self):
        kernel = [[200, 100]]
        dark, bright = np.zeros((2, 2), np.uint8), np.full((2, 2), 255, np.uint8)
        assert corr2d(dark, kernel).dtype == corr2d(bright, kernel).dtype == np.int32

    def test_bias_counts_towards_the_range_of_integers(self):
        x, weight = np.full((1, 1, 1), 255, np.uint8), np.full((1, 1, 1, 1), 128)
        y = conv2d(x, weight, np.array([1000]))
        assert y.item() == 255 * 128 + 1000

    def test_fraction_in_the_bias_is_kept(self):
        assert (
            conv2d(np.ones((1, 1, 1), np.uint8), np.ones((1, 1, 1, 1), int), [0.25]).item() == 1.25
        )

    def test_float64_keeps_its_precision(self):
        x = np.random.default_rng(0).standard_normal((1, 20, 20))
        w = np.random.default_rng(1).standard_normal((1, 1, 5, 5))
        np.testing.assert_allclose(conv2d(x, w), oracle.correlate(x, w), rtol=1e-12, atol=1e-12)


class TestErrors:
    @pytest.mark.parametrize(
        ("call", "words"),
        [
            (lambda: corr2d(np.zeros((2, 2, 2)), [[1]]), r"\(2, 2, 2\)"),
            (lambda: corr2d(np.zeros((2, 2)), np.zeros((3, 3))), "3x3 .* 2x2"),
            (lambda: corr2d(np.zeros((2, 2), complex), [[1]]), "complex128"),
            (lambda: corr2d(np.zeros((0, 4)), [[1]]), "empty"),
            (lambda: conv2d(np.zeros((2, 4, 4)), np.zeros((1, 3, 2, 2))), "2 channels"),
            (lambda: conv2d(np.zeros((1, 4, 4)), np.zeros((1, 1, 2, 2)), [1, 2]), r"bias .* \(2,\)"),
            (lambda: conv2d(np.zeros((1, 4, 4)), np.zeros((1, 1, 2, 2)), stride=0), "stride is 0"),
            (lambda: conv2d(np.zeros((1, 4, 4)), np.zeros((1, 1, 2, 2)), padding=-1), "padding is -1"),
            (lambda: conv2d(np.zeros((1, 4, 4)), np.zeros((1, 1, 2, 2)), padding="sam"), "'sam'"),
            (lambda: conv2d(np.zeros((1, 4, 4)), np.zeros((1, 1, 2, 2)), border="rim"), "'rim'"),
            (lambda: conv2d(np.zeros((2, 4, 4)), np.zeros((1, 1, 2, 2)), groups=0), "groups is 0"),
            (lambda: Conv2D(3, 4, 3, groups=2), "in_channels is 3"),
            (lambda: setattr(Conv2D(1, 1, 2), "weight", np.zeros((1, 1, 2, 3))), "weight has shape"),
            (lambda: setattr(Conv2D(1, 1, 2), "bias", [1, 2]), "bias has shape"),
        ],
    )  # fmt: skip
    def test_wrong_value_is_named(self, call, words):
        with pytest.raises(ConvError, match=words):
            call()

    def test_same_padding_wants_a_stride_of_1(self):
        with pytest.raises(ConvError, match="stride of 1"):
            conv2d(np.zeros((1, 4, 4)), np.zeros((1, 1, 2, 2)), padding="same", stride=2)


class TestParameters:
    def test_batch_gives_what_its_images_give_alone(self):
        rng = np.random.default_rng(0)
        x, w = rng.integers(0, 99, (3, 2, 7, 6)), rng.integers(-5, 6, (4, 2, 3, 2))
        batch = conv2d(x, w, padding=1)
        for n in range(3):
            np.testing.assert_array_equal(batch[n], conv2d(x[n], w, padding=1))

    @pytest.mark.parametrize("kernel", [(3, 3), (2, 2), (4, 1), (1, 4)])
    @pytest.mark.parametrize("dilation", [1, 2, 3])
    def test_same_padding_keeps_the_size(self, kernel, dilation):
        x = np.zeros((1, 9, 8))
        assert conv2d(x, np.zeros((1, 1, *kernel)), padding="same", dilation=dilation).shape == (
            1,
            9,
            8,
        )

    def test_asymmetric_padding_goes_where_it_is_said(self):
        y = conv2d(np.ones((1, 1, 1)), np.ones((1, 1, 1, 1)), padding=((1, 2), (0, 3)))
        expected = np.zeros((4, 4))
        expected[1, 0] = 1
        np.testing.assert_array_equal(y[0], expected)

    def test_layer_passes_all_its_parameters_on(self):
        rng = np.random.default_rng(5)
        x = rng.standard_normal((4, 13, 12))
        options = {"stride": (2, 1), "padding": ((1, 0), (2, 2)), "dilation": (1, 2), "groups": 2}
        layer = Conv2D(4, 6, (3, 2), border="reflect", rng=1, **options)
        expected = conv2d(x, layer.weight, layer.bias, border="reflect", **options)
        np.testing.assert_array_equal(layer(x), expected)

    def test_seed_repeats_the_initial_weights_within_their_bounds(self):
        one, two = Conv2D(3, 8, 5, rng=7), Conv2D(3, 8, 5, rng=7)
        np.testing.assert_array_equal(one.weight, two.weight)
        limit = 1 / np.sqrt(3 * 25)
        assert 0.9 * limit < np.abs(one.weight).max() <= limit
        assert not np.array_equal(one.weight, Conv2D(3, 8, 5, rng=8).weight)


pixels = arrays.arrays(np.int32, st.tuples(st.integers(4, 9), st.integers(4, 9)),
                       elements=st.integers(-1000, 1000))  # fmt: skip
small = arrays.arrays(np.int32, st.tuples(st.integers(1, 4), st.integers(1, 4)),
                      elements=st.integers(-50, 50))  # fmt: skip


class TestLaws:
    @settings(max_examples=60, deadline=None)
    @given(pixels, small, st.integers(-9, 9), st.data())
    def test_correlation_is_linear_in_the_image(self, x, k, factor, data):
        other = data.draw(arrays.arrays(np.int32, x.shape, elements=st.integers(-1000, 1000)))
        np.testing.assert_array_equal(
            corr2d(factor * x + other, k), factor * corr2d(x, k) + corr2d(other, k)
        )

    @settings(max_examples=60, deadline=None)
    @given(pixels)
    def test_identity_returns_the_image(self, x):
        np.testing.assert_array_equal(corr2d(x, [[1]]), x)

    @settings(max_examples=60, deadline=None)
    @given(pixels, small, st.integers(-5, 5), st.integers(-5, 5))
    def test_shifted_image_gives_the_shifted_map(self, x, k, down, right):
        def wrapped(image):
            total = [n - 1 for n in k.shape]
            return conv2d(image[None], k[None, None], border="wrap",
                          padding=((0, total[0]), (0, total[1])))[0]  # fmt: skip

        np.testing.assert_array_equal(
            wrapped(np.roll(x, (down, right), (0, 1))), np.roll(wrapped(x), (down, right), (0, 1))
        )

    @settings(max_examples=60, deadline=None)
    @given(pixels, small)
    def test_convolution_is_correlation_with_the_turned_kernel(self, x, k):
        scipy_signal = pytest.importorskip("scipy.signal")
        turned = Kernel(k).flipped().weights.astype(int)
        np.testing.assert_array_equal(
            corr2d(x, turned),
            scipy_signal.convolve2d(x.astype(np.int64), k.astype(np.int64), "valid"),
        )

    @settings(max_examples=40, deadline=None)
    @given(pixels, st.sampled_from(NAMES))
    def test_constant_image_keeps_its_value_under_any_border_but_zero(self, x, border):
        flat = np.full_like(x, 17)
        y = conv2d(flat[None], np.array([[[[1, 2], [3, 4]]]]), padding=2, border=border)
        inner = y[:, 2:-2, 2:-2]
        assert (inner == 170).all()
        assert (y == 170).all() == (border != "zero")
