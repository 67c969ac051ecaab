"""Kernels that are pictures or in files of other tools, derivatives of Gaussians, and origins."""

import numpy as np
import pytest

from command import call, error_line, tree
from conv_cli import Kernel, filter_image, load_kernel, write_image
from conv_cli.images import Image
from conv_cli.kernels.spec import load_kernels


def printed(*words):
    done = call("apply", *words)
    assert done.returncode == 0, done.stderr
    return np.array([line.split() for line in done.stdout.decode().splitlines()], float)


PSF = np.array([[0, 10, 40], [5, 90, 20], [0, 30, 5]])


@pytest.fixture
def psf(tmp_path):
    write_image(tmp_path / "psf.png", Image(PSF.astype(np.uint8)))
    return tmp_path / "psf.png"


def test_a_picture_as_a_kernel_is_its_grey_by_its_sum(psf):
    impulse = "0 0 0 0 0; 0 0 0 0 0; 0 0 1 0 0; 0 0 0 0 0; 0 0 0 0 0"
    for name in (psf, f"@{psf}"):
        got = printed(impulse, "-k", name, "--convolve", "--border", "zero")
        np.testing.assert_allclose(got[1:4, 1:4], PSF / 200, atol=1e-6)


def test_colours_and_opacity_of_such_a_picture_count(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 65536, (4, 5, 4), np.uint16)
    write_image(tmp_path / "k.png", Image(x, alpha=True))
    grey = (x[..., :3] @ [0.299, 0.587, 0.114]) * (x[..., 3] / 65535)
    got = filter_image(np.pad([[1.0]], 8), str(tmp_path / "k.png"), convolve=True)
    np.testing.assert_allclose(got[7:11, 6:11], grey / grey.sum(), atol=1e-6)


def test_a_float_picture_with_negative_values_is_a_kernel(tmp_path):
    values = np.array([[-1.0, 3.0, -1.0]], np.float32)
    write_image(tmp_path / "k.tif", Image(values))
    np.testing.assert_allclose(printed("1 2 4", "-k", tmp_path / "k.tif"), [[0, 1, 6]], atol=1e-12)


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.zeros((3, 3), np.uint8), "its grey values sum to zero"),
        (np.ones((2048, 2049), np.uint8), "2048x2049 are more than 4,194,304 weights"),
    ],
)
def test_a_picture_that_is_no_kernel_is_refused(tmp_path, pixels, words):
    write_image(tmp_path / "k.png", Image(pixels))
    line = error_line(call("apply", "1 2", "-k", tmp_path / "k.png"), 2)
    assert line.startswith(f"Error: kernel {tmp_path / 'k.png'}: ")
    assert words in line


def test_a_picture_that_is_not_there_is_named(tmp_path):
    line = error_line(call("apply", "1 2", "-k", tmp_path / "none.png"), 2)
    assert line.startswith(f"Error: kernel {tmp_path / 'none.png'}: no such file")


def test_a_picture_that_is_a_kernel_is_never_overwritten(tmp_path, psf):
    write_image(tmp_path / "x.png", Image(np.ones((5, 5), np.uint8)))
    before = tree(tmp_path)
    done = call("apply", tmp_path / "x.png", "-k", psf, "-o", psf, "-f")
    assert "is an input" in error_line(done)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "text",
    [
        "imagemagick:3x3: -1,0,1 -2,0,2 -1,0,3",
        "imagemagick:2x2+1+0: 1,2 3,4",
        "gmic:(0,1,0;1,-4,1;0,1,2)",
        "ffmpeg:0 -1 0 -1 5 -1 0 -1 1",
    ],
)
def test_a_tools_string_may_be_in_a_file(tmp_path, text):
    tool, _, string = text.partition(":")
    (tmp_path / "edge.txt").write_text(f"{string}\n", encoding="utf-8")
    (found,) = load_kernels(f"{tool}:@{tmp_path / 'edge.txt'}")
    (typed,) = load_kernels(text)
    assert found.name == "edge"
    np.testing.assert_array_equal(found.weights, typed.weights)
    assert found.origin == typed.origin


def test_a_fault_in_such_a_file_is_counted_in_it(tmp_path):
    (tmp_path / "k.txt").write_text("3x3: 1,2,x 4,5,6 7,8,9", encoding="utf-8")
    line = error_line(call("apply", "1 2", "-k", "imagemagick:@k.txt", cwd=tmp_path), 2)
    assert line.startswith("Error: kernel imagemagick:@k.txt: character 10 is x")
    line = error_line(call("apply", "1 2", "-k", "gmic:@none.txt", cwd=tmp_path), 2)
    assert line.startswith("Error: kernel gmic:@none.txt: ")


SIGMAS = (0.05, 0.3, 0.5, 1, 2.7, 10)


def moment(kernel, rows, columns):
    """Return the sum of weights by y^rows·x^columns, y downwards and x to the right of the origin."""
    height, width = kernel.shape
    y = np.arange(height)[:, None] - kernel.origin[0]
    x = np.arange(width)[None] - kernel.origin[1]
    return float((kernel.weights * y**rows * x**columns).sum())


@pytest.mark.parametrize("sigma", SIGMAS)
def test_gaussian_derivatives_are_1_on_a_slope_of_1(sigma):
    x, y = (load_kernel(f"gaussian-{axis}:{sigma}") for axis in "xy")
    assert [moment(x, *powers) for powers in ((0, 0), (0, 1), (1, 0))] == pytest.approx(
        [0, 1, 0], abs=1e-9
    )
    assert [moment(y, *powers) for powers in ((0, 0), (0, 1), (1, 0))] == pytest.approx(
        [0, 0, 1], abs=1e-9
    )
    np.testing.assert_array_equal(x.weights.T, y.weights)


def test_gaussian_derivatives_have_the_signs_of_sobel():
    for axis in "xy":
        ours, sobel = load_kernel(f"gaussian-{axis}:0.5,3"), load_kernel(f"sobel-{axis}")
        assert (np.sign(ours.weights) == np.sign(sobel.weights)).all()


@pytest.mark.parametrize("sigma", SIGMAS)
def test_hessians_are_1_on_their_own_surface_and_0_on_slopes(sigma):
    xx, xy, yy = load_kernels(f"hessian:{sigma}")
    for kernel in (xx, xy, yy):
        assert [moment(kernel, *p) for p in ((0, 0), (0, 1), (1, 0))] == pytest.approx(
            [0, 0, 0], abs=1e-9
        )
    second = [(0, 2), (1, 1), (2, 0)]
    assert [moment(xx, *p) for p in second] == pytest.approx([2, 0, 0], abs=1e-7)
    assert [moment(xy, *p) for p in second] == pytest.approx([0, 1, 0], abs=1e-7)
    assert [moment(yy, *p) for p in second] == pytest.approx([0, 0, 2], abs=1e-7)


def test_derivatives_are_those_of_the_gaussian():
    ndimage = pytest.importorskip("scipy.ndimage")
    x = np.random.default_rng(1).random((60, 70))
    orders = {
        "gaussian-x": (0, 1),
        "gaussian-y": (1, 0),
        "hessian-xx": (0, 2),
        "hessian-xy": (1, 1),
    }
    for name, order in orders.items():
        got = filter_image(x, f"{name}:2.5", border="symmetric")
        theirs = ndimage.gaussian_filter(x, 2.5, order, truncate=8)
        np.testing.assert_allclose(got, theirs, atol=0.01 * np.abs(theirs).max())


def test_a_set_hands_its_parameters_to_its_members():
    assert [kernel.name for kernel in load_kernels("hessian:sigma=2,size=5")] == [
        "hessian-xx:sigma=2,size=5", "hessian-xy:sigma=2,size=5", "hessian-yy:sigma=2,size=5",
    ]  # fmt: skip
    assert [kernel.name for kernel in load_kernels("hessian:xy")] == ["hessian-xy"]
    assert [kernel.shape for kernel in load_kernels("hessian")] == [(9, 9)] * 3
    for spec, words in {
        "hessian:0": "sigma is 0, expected a number above 0",
        "gaussian-x:1,2": "size is 2, expected",
        "kirsch:2": "it has no member 2; it is the set of",
    }.items():
        assert words in error_line(call("apply", "1 2", "-k", spec), 2)


def test_an_origin_is_of_the_kernel_as_it_is_given():
    row = "0 0 5 0 0"
    words = ["-k", "1 2 3", "--border", "zero"]
    np.testing.assert_array_equal(printed(row, *words, "--origin", "0,0"), [[15, 10, 5, 0, 0]])
    np.testing.assert_array_equal(printed(row, *words, "--origin", "0,2"), [[0, 0, 15, 10, 5]])
    # Turned by --convolve, the same weight lies on the pixel.
    got = printed(row, *words, "--origin", "0,0", "--convolve")
    np.testing.assert_array_equal(got, [[0, 0, 5, 10, 15]])


def test_an_origin_goes_before_that_of_a_file(tmp_path):
    Kernel([[1, 2, 3]], origin=(0, 2)).save(tmp_path / "k.json")
    words = ["0 0 5 0 0", "-k", tmp_path / "k.json", "--border", "zero"]
    np.testing.assert_array_equal(printed(*words), [[0, 0, 15, 10, 5]])
    np.testing.assert_array_equal(printed(*words, "--origin", "0,1"), [[0, 15, 10, 5, 0]])


@pytest.mark.parametrize("value", ["3,0", "0,3", "9,9"])
def test_an_origin_outside_the_kernel_is_refused(value):
    line = error_line(call("apply", "1 2", "-k", "box", "--origin", value), 2)
    assert "lies outside its 3x3 weights" in line


def test_the_angle_of_two_maps_is_in_degrees(tmp_path):
    x, y = np.meshgrid([-2.0, -1, 0, 1, 2], [-1.0, 0, 1])
    np.save(tmp_path / "xy.npy", np.stack([x, y], axis=2).reshape(3, 10))
    out = tmp_path / "angle.npy"
    words = ["-k", "1 0", "-k", "0 1", "--combine", "angle"]
    done = call(
        "apply", tmp_path / "xy.npy", *words, "--stride", "1x2", "--padding", "valid", "-o", out
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(out), np.degrees(np.arctan2(y, x)), atol=1e-4)
    assert np.load(out).max() == 180


def test_an_angle_is_of_two_kernels(tmp_path):
    for kernels in (["-k", "box"], ["-k", "hessian"]):
        line = error_line(call("apply", "1 2", *kernels, "--combine", "angle"), 2)
        assert line.startswith("Error: --combine: angle is of two maps")
