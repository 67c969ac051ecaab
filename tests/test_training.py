"""Training: what one kernel cannot learn, layers can; judged on pixels that were held out."""

import numpy as np
import pytest

from conv_cli import Network, conv2d, load_kernel, read_image
from conv_cli.errors import FitError, ModelError
from conv_cli.networks.optimizers import Adam, GradientDescent
from conv_cli.networks.samples import make_sample, residuals
from conv_cli.networks.training import train
from test_models import conv, model


def unknown(channels, outputs, size, **others):
    return {
        "conv": {"in_channels": channels, "out_channels": outputs, "kernel_size": size},
        **others,
    }


ENERGY = [unknown(1, 2, 3), {"square": {}}, unknown(2, 1, 1), {"sqrt": {}}]
ABSOLUTE = [unknown(1, 4, 3), {"abs": {}}, unknown(4, 1, 1)]


@pytest.fixture(scope="module")
def photograph():
    return np.asarray(read_image("sample_images/still-life.png"))[None, 100:356, 40:340]


def magnitude(x):
    """Sobel's, of the size of the image."""
    kernels = np.stack([load_kernel(name).weights for name in ("sobel-x", "sobel-y")])
    return np.hypot(*conv2d(x, kernels[:, None], padding=1, border="edge"))[None]


class TestLearning:
    @pytest.mark.parametrize(("layers", "least"), [(ENERGY, 0.999), (ABSOLUTE, 0.97)])
    @pytest.mark.one_in(2)
    def test_layers_learn_the_magnitude_of_a_gradient(self, photograph, layers, least):
        x = photograph
        learned = train(Network(model(*layers)), [(x, magnitude(x))], epochs=10, seed=3)
        assert learned.r2 > least
        # Held out means of another place: so it must do as well on pixels that it never saw.
        other = np.asarray(read_image("sample_images/page.png"))[None, :200, :200]
        expected = magnitude(other)[:, 1:-1, 1:-1]
        error = np.square(learned.network(other) - expected).mean()
        assert 1 - error / expected.var() > 0.95

    def test_one_kernel_cannot(self, photograph):
        x = photograph
        learned = train(Network(model(unknown(1, 1, 5))), [(x, magnitude(x))], epochs=8)
        assert learned.r2 < 0.5

    @pytest.mark.parametrize("method", ["adam", "gd"])
    @pytest.mark.one_in(2)
    def test_kernel_and_bias_are_found_in_the_units_of_the_image(self, photograph, method):
        true = np.array([[1, -2, 0], [0.5, 3, -1], [2, 0, 1]])
        target = conv2d(photograph, true[None, None], [7.0])
        learned = train(
            Network(model(unknown(1, 1, 3))), [(photograph, target)], epochs=20, method=method
        )
        (layer,) = learned.network.layers
        np.testing.assert_allclose(layer.weight[0, 0], true, atol=0.02)
        assert layer.bias == pytest.approx([7], abs=1)
        assert learned.r2 > 0.9999

    def test_layers_with_weights_keep_them(self, photograph):
        given = model({"conv": {"kernel": ["sobel-x", "sobel-y"]}}, {"square": {}},
                      unknown(2, 1, 1), {"sqrt": {}})  # fmt: skip
        learned = train(Network(given), [(photograph, magnitude(photograph))], epochs=6)
        assert learned.r2 > 0.999
        np.testing.assert_array_equal(
            learned.network.layers[0].weight[0, 0], load_kernel("sobel-x").weights
        )
        np.testing.assert_allclose(learned.network.layers[2].weight.ravel(), [1, 1], rtol=0.05)

    @pytest.mark.slow
    def test_stride_pooling_and_channels_are_learned_through(self):
        rng = np.random.default_rng(0)
        x = rng.standard_normal((3, 60, 70))
        true = rng.standard_normal((2, 3, 3, 3))
        pooled = {"maxpool": {"size": 2}}
        target = Network(model({"conv": {"weight": true.tolist()}, "stride": 2}, pooled))(x)
        learned = train(
            Network(model(unknown(3, 2, 3, stride=2), pooled)), [(x, target)], epochs=30
        )
        assert learned.r2 > 0.99

    def test_cut_off_targets_do_not_mislead(self, photograph):
        bright = np.clip(3.0 * photograph, 0, 255).astype(np.uint8)
        assert (bright == 255).mean() > 0.1
        learned = train(Network(model(unknown(1, 1, 1))), [(photograph, bright)], epochs=15)
        assert learned.network.layers[0].weight.item() == pytest.approx(3, rel=0.01)

    def test_training_ends_where_nothing_is_left_to_learn(self, photograph):
        target = conv2d(photograph, [[[[2.0, -1]]]], [5.0])
        learned = train(Network(model(unknown(1, 1, [1, 2]))), [(photograph, target)], epochs=300)
        assert len(learned.losses) < 40
        assert learned.losses[-1] <= 1e-12 < learned.losses[-2]
        np.testing.assert_allclose(learned.network.layers[0].weight[0, 0], [[2, -1]], atol=1e-4)

    def test_seed_repeats_a_training(self, photograph):
        one, two, other = (
            train(Network(model(*ENERGY)), [(photograph, magnitude(photograph))], epochs=2, seed=s)
            for s in (1, 1, 2)
        )
        assert one.losses == two.losses != other.losses
        x = photograph
        np.testing.assert_array_equal(one.network(x), two.network(x))


class TestSamples:
    def sample(self, layers, x, target):
        return make_sample(Network(model(*layers)), x, target, np.random.default_rng(0))

    def test_target_of_the_images_size_lies_in_the_middle_of_the_windows(self):
        x = np.arange(90.0).reshape(1, 9, 10)
        for padding in (0, 1):
            sample = self.sample([unknown(1, 1, [3, 4], padding=[padding, padding])], x, x)
            shape = sample.target.shape
            middle = sample.target[0, shape[1] // 2, shape[2] // 2]
            row, column = shape[1] // 2 + 1 - padding, shape[2] // 2 + 1 - padding
            assert middle == x[0, row, column]

    def test_only_pixels_whose_field_lies_inside_are_used(self):
        x = np.zeros((1, 20, 22))
        sample = self.sample([unknown(1, 1, 5, padding=2), unknown(1, 1, 3, padding=1)], x, x)
        assert sample.inside == ((3, 17), (3, 19))
        assert not sample.held_out[:3].any() and not sample.held_out[:, 19:].any()
        assert 0.1 < sample.held_out[3:17, 3:19].mean() < 0.3

    @pytest.mark.parametrize(
        ("x", "target", "words"),
        [
            ((1, 9, 9), (2, 9, 9), "the model gives 1 channels, and the target has 2"),
            ((1, 9, 9), (1, 8, 9), "the target is 8x9, but the model makes 7x7"),
            ((1, 2, 9), (1, 2, 9), "larger than the image"),
        ],
    )
    def test_what_does_not_fit_is_named(self, x, target, words):
        with pytest.raises((FitError, ModelError), match=words):
            self.sample([unknown(1, 1, 3)], np.zeros(x), np.zeros(target))

    def test_field_larger_than_the_image_is_named(self):
        with pytest.raises(FitError, match="sees 7x7 pixels"):
            self.sample([unknown(1, 1, 7, padding=3)], np.zeros((1, 5, 5)), np.zeros((1, 5, 5)))

    def test_nothing_to_learn_is_said(self):
        x = np.random.default_rng(0).standard_normal((1, 20, 20))
        with pytest.raises(FitError, match="one value everywhere"):
            train(Network(model(unknown(1, 1, 3))), [(x, np.ones((1, 20, 20)))])
        with pytest.raises(ModelError, match="all layers have weights"):
            train(Network(conv({"kernel": "sobel-x"})), [(x, x)])
        with pytest.raises(FitError, match="NaN"):
            train(Network(model(unknown(1, 1, 3))), [(x, np.full((1, 20, 20), np.nan))])

    @pytest.mark.filterwarnings("ignore::RuntimeWarning")
    def test_steps_that_are_too_large_are_told(self):
        x = np.random.default_rng(0).standard_normal((1, 40, 40))
        with pytest.raises(FitError, match=r"no longer finite .* smaller learning rate"):
            train(Network(model(unknown(1, 1, 3))), [(x, x)], rate=1e9, method="gd")


def test_residual_beyond_the_end_of_a_range_is_none():
    y, target = np.array([-5.0, 5, 300, 200, 300]), np.array([0.0, 0, 255, 255, 100])
    assert residuals(y, target, np.array([0.0, 255])).tolist() == [0, 5, 0, -55, 200]


def test_adam_equals_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rng = np.random.default_rng(0)
    values = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    theirs, ours, at = torch.optim.Adam([values], lr=0.1), Adam(), np.zeros(5)
    for _ in range(5):
        gradient = rng.standard_normal(5)
        values.grad = torch.from_numpy(gradient)
        theirs.step()
        at += ours.step([gradient], 0.1)[0]
    np.testing.assert_allclose(at, values.detach().numpy(), atol=1e-7)


def test_plain_descent_goes_against_the_gradient():
    assert GradientDescent().step([np.array([2.0, -4.0])], 0.5)[0].tolist() == [-1, 2]
