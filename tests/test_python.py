"""The public Python side: filter_image, and kernels that compare, convert and save themselves."""

import inspect
import json

import numpy as np
import pytest

import conv_cli
from conv_cli import (
    Conv2D,
    Kernel,
    Network,
    corr2d,
    filter_image,
    fit_kernel,
    load_kernel,
    read_image,
)
from conv_cli.errors import ConvError, ImageError
from conv_cli.kernels.learned import Manner, Tone, with_manner
from test_cli_apply import SAMPLES, succeed

OPTIONS = [
    {},
    {"padding": "valid", "stride": (2, 3)},
    {"padding": (2, 1), "border": "reflect", "dilation": 2},
    {"padding": "full", "border": -7.5, "convolve": True},
    {"normalize": "abs", "bias": 12.5, "border": "wrap"},
    {"linear": True, "border": "zero"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(
    "sample", ["still-life.png", "landscape.jpg", "sunset-16bit.png", "leaf.png"]
)
def test_filter_image_is_what_apply_writes(sample, options, tmp_path):
    flags = []
    for name, value in options.items():
        if value is True:
            flags.append(f"--{name}")
        else:
            pair = "x".join(map(str, value)) if isinstance(value, tuple) else value
            flags += [f"--{name}", pair]
    out = tmp_path / "y.npy"
    kernel = "1 2 3; -4 5 6; 7 -8 9; 0 1 2"
    succeed("apply", SAMPLES / sample, "-k", kernel, *flags, "--depth", "float32", "-o", out)
    made = filter_image(read_image(SAMPLES / sample), kernel, **options)
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made, np.load(out))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.float32, np.float64, bool])
@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 1), (9, 7, 2), (9, 7, 3), (9, 7, 4), (9, 7, 6)])
def test_arrays_keep_their_rank_and_every_channel_is_alike(shape, dtype):
    x = np.random.default_rng(0).integers(0, 2 if dtype is bool else 90, shape).astype(dtype)
    kernel = np.array([[1, -2], [0.5, 3]])
    made = filter_image(x, kernel, padding="valid")
    planes = x.reshape(9, 7, -1)
    expected = np.stack(
        [corr2d(planes[..., c].astype(float), kernel) for c in range(planes.shape[2])], -1
    )
    np.testing.assert_allclose(made, expected.reshape(8, 6, *shape[2:]), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"padding": "sam"}, "padding"), ({"padding": -1}, "padding"), ({"border": "x"}, "border"),
        ({"stride": 0}, "stride"), ({"dilation": (1, 2, 3)}, "dilation"),
        ({"normalize": "max"}, "normalize"),
    ],
)  # fmt: skip
def test_errors_speak_of_arguments(options, word):
    with pytest.raises(ConvError, match=word) as caught:
        filter_image(np.zeros((9, 9)), "box", **options)
    assert "--" not in str(caught.value)


@pytest.mark.parametrize("image", [np.zeros(5), np.zeros((0, 3)), np.zeros((2, 2), complex), "x"])
def test_what_is_no_image_is_refused(image):
    with pytest.raises(ConvError, match="image has shape"):
        filter_image(image, "box")


class TestKernel:
    def test_it_is_its_weights(self):
        kernel = load_kernel("sobel-x")
        assert np.asarray(kernel).tolist() == kernel.weights.tolist()
        assert np.asarray(kernel, np.float32).dtype == np.float32
        assert np.array(kernel).flags.writeable

    def test_equality_compares_all(self):
        kernel = Kernel([[1, 2], [3, 4]], 5, (0, 1), "k")
        assert kernel == Kernel([[1, 2], [3, 4]], 5, (0, 1), "k")
        assert hash(kernel) == hash(Kernel([[1, 2], [3, 4]], 5, (0, 1), "k"))
        for other in (
            Kernel([[1, 2], [3, 5]], 5, (0, 1), "k"), Kernel([[1, 2], [3, 4]], 6, (0, 1), "k"),
            Kernel([[1, 2], [3, 4]], 5, (0, 0), "k"), Kernel([[1, 2], [3, 4]], 5, (0, 1), "l"),
            Kernel([[1, 2]], 5, (0, 1), "k"), [[1, 2], [3, 4]],
        ):  # fmt: skip
            assert kernel != other

    def test_a_learned_kernel_is_another_if_it_is_applied_otherwise(self):
        plain = load_kernel("gaussian:1")
        light = with_manner(plain, Manner(linear=True))
        curve = with_manner(plain, Manner(tone=Tone("after", np.array([0, 1]), np.array([0, 2]))))
        assert len({plain, light, curve, with_manner(plain, Manner(linear=True))}) == 3
        assert plain != light and light != plain and light != curve
        assert repr(light) == repr(plain)

    @pytest.mark.parametrize("tool", ["opencv", "scipy", "pytorch", "imagemagick", "gmic", "vips"])
    def test_it_speaks_every_tools_language(self, tool):
        printed = succeed("kernels", "convert", "sobel-x", "--to", tool).stdout.decode()
        assert load_kernel("sobel-x").to(tool) == printed.rstrip("\n")

    @pytest.mark.parametrize("suffix", ["json", "csv", "txt", "npy", "mat"])
    def test_it_saves_itself_and_overwrites_nothing(self, suffix, tmp_path):
        path = tmp_path / f"k.{suffix}"
        kernel = load_kernel("1 2 3; 4 5 6; 7 8 9")
        kernel.save(path)
        assert load_kernel(path).weights.tolist() == kernel.weights.tolist()
        with pytest.raises(ImageError, match="exists"):
            kernel.save(path)
        kernel.save(path, force=True)

    def test_it_shows_what_it_is(self):
        assert repr(load_kernel("edge-x")) == "<Kernel 'edge-x', 1x2: [[1.0, -1.0]]>"
        assert repr(Kernel(np.ones((9, 9)), 3, (0, 0))) == (
            "<Kernel 'kernel', 9x9, bias=3, origin=(0, 0)>"
        )


def test_layers_networks_and_fits_show_what_they_are():
    assert repr(Conv2D(2, 4, 3, padding="same", groups=2, bias=False)) == (
        "Conv2D(2, 4, (3, 3), padding='same', groups=2, bias=False)"
    )
    network = Network(SAMPLES / "models" / "edge-magnitude.json")
    assert repr(network) == "<Network conv | square | conv | sqrt>"
    x = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    fit = fit_kernel(x, filter_image(x, "sobel-x"))
    assert repr(fit).startswith("<Fit exact: 3x3, sobel-x, rmse ")


def test_fit_of_files_agrees_with_the_command(tmp_path):
    before, after = SAMPLES / "still-life.png", tmp_path / "after.jpg"
    succeed("apply", before, "-k", "gaussian:1", "-o", after)
    printed = json.loads(succeed("fit", before, after, "--json").stdout)
    fit = fit_kernel(before, after)
    assert (fit.verdict, list(fit.size)) == (printed["verdict"], printed["size"])
    assert fit.noise_floor == pytest.approx(printed["noise_floor"])
    assert fit.weights.tolist() == printed["kernel"]
    several = fit_kernel([str(before), str(before)], [str(after), str(after)])
    assert several.pairs == 2


@pytest.mark.parametrize(
    "name", [n for n in conv_cli.__all__ if n not in ("Fit", "Image", "Kernel")]
)
def test_signatures_are_short_and_explained(name):
    function = getattr(conv_cli, name)
    assert len(str(inspect.signature(function))) < 600
    assert "numpy.ndarray[" not in str(inspect.signature(function))
    assert len(inspect.getdoc(function).splitlines()) >= 3
