"""The dense layer that equals a correlation: its matrix, its counts and its picture."""

import json

import numpy as np
import pytest

import oracle
from command import call, error_line
from conv_cli import load_kernel, read_image
from conv_cli.borders import Border
from conv_cli.correlation.params import ConvParams
from conv_cli.errors import KernelError
from conv_cli.pipeline.dense import dense_layer
from conv_cli.report.dense_picture import check_drawable

KERNEL = "1 -2 3; 4 0 -6"
BORDERS = ["edge", "zero", "reflect", "symmetric", "wrap", -3.5]


def whole(file):
    """Return the matrix and the bias of an .npz, by loops over its rows."""
    with np.load(file) as saved:
        data, indices, indptr, shape, bias = (
            saved[name] for name in ("data", "indices", "indptr", "shape", "bias")
        )
    matrix = np.zeros(shape)
    for row in range(shape[0]):
        for place in range(indptr[row], indptr[row + 1]):
            matrix[row, indices[place]] += data[place]
    return matrix, bias


def matrix_of(folder, kernel, size, *options):
    file = folder / "dense.npz"
    done = call("kernels", "dense", kernel, "--input", size, *options, "-o", file, "-f")
    assert done.returncode == 0, done.stderr
    return whole(file)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 3)])
@pytest.mark.parametrize("padding", ["same", "full", "valid", ((3, 3), (1, 1))])
def test_matrix_times_the_pixels_is_the_correlation(border, stride, dilation, padding):
    kernel = load_kernel(KERNEL)
    params = ConvParams(
        padding=padding, border=Border.named(border), stride=stride, dilation=dilation
    )
    layer = dense_layer(kernel, (7, 9), params)
    x = np.random.default_rng(1).standard_normal((7, 9))
    expected = oracle.correlate(
        x[None],
        kernel.weights[None, None],
        padding=params.resolved(kernel.shape, kernel.origin).margins,
        border=border, stride=stride, dilation=dilation,
    )  # fmt: skip
    y = layer.scattered(layer.data, 0.0) @ x.ravel() + layer.bias
    np.testing.assert_allclose(y.reshape(layer.output), expected[0], atol=1e-12)
    assert (np.diff(layer.indptr) <= kernel.weights.size).all()


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--border", "wrap", "--stride", "2x1", "--dilation", "1x2"),
        ("--border", "100", "--padding", "full"),
        ("--border", "reflect", "--padding", "3x2", "--convolve", "--bias", "7"),
        ("--padding", "valid", "--normalize", "abs"),
    ],
)
def test_file_equals_apply_with_the_same_options(tmp_path, options):
    matrix, bias = matrix_of(tmp_path, KERNEL, "8x11", *options)
    x = np.random.default_rng(2).integers(0, 255, (8, 11)).astype("f8")
    np.save(tmp_path / "x.npy", x)
    done = call("apply", tmp_path / "x.npy", "-k", KERNEL, *options, "-o", tmp_path / "y.npy")
    assert done.returncode == 0, done.stderr
    y = np.load(tmp_path / "y.npy")
    np.testing.assert_allclose((matrix @ x.ravel() + bias).reshape(y.shape), y, atol=1e-9)


def test_lesson_of_two_by_two(tmp_path):
    matrix, bias = matrix_of(tmp_path, "0 1; 2 3", "3x3", "--padding", "valid")
    assert (bias == 0).all()
    assert matrix.astype(int).tolist() == [
        [0, 1, 0, 2, 3, 0, 0, 0, 0],
        [0, 0, 1, 0, 2, 3, 0, 0, 0],
        [0, 0, 0, 0, 1, 0, 2, 3, 0],
        [0, 0, 0, 0, 0, 1, 0, 2, 3],
    ]


def test_weights_that_meet_at_one_pixel_of_the_border_are_one(tmp_path):
    matrix, _ = matrix_of(tmp_path, "1 2 4", "1x2")
    assert matrix.tolist() == [[3, 4], [1, 6]]


def test_scipy_reads_the_file(tmp_path):
    sparse = pytest.importorskip("scipy.sparse")
    matrix, _ = matrix_of(tmp_path, KERNEL, "5x6", "--border", "symmetric")
    loaded = sparse.load_npz(tmp_path / "dense.npz")
    assert loaded.format == "csr"
    assert loaded.has_canonical_format
    assert (loaded.toarray() == matrix).all()


def test_zeros_are_not_kept(tmp_path):
    matrix_of(tmp_path, "0 0; 0 5", "4x4", "--padding", "valid")
    with np.load(tmp_path / "dense.npz") as saved:
        assert saved["data"].tolist() == [5.0] * 9
    matrix, _ = matrix_of(tmp_path, "0 0; 0 0", "4x4", "--padding", "valid")
    assert not matrix.any()
    assert matrix.shape == (9, 16)


class TestCounts:
    def counts(self, *arguments):
        done = call("kernels", "dense", *arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def test_dense_local_and_shared(self):
        found = self.counts("sobel-x", "--input", "10x20", "--padding", "valid")
        assert found == {
            "kernel": "sobel-x", "input": [10, 20], "output": [8, 18],
            "dense": 200 * 144, "local": 9 * 144, "shared": 9,
        }  # fmt: skip

    def test_stride_makes_fewer(self):
        found = self.counts("1 2", "--input", "9x9", "--stride", "2")
        assert (found["dense"], found["local"], found["shared"]) == (81 * 25, 2 * 25, 2)

    def test_image_of_any_size_is_counted(self):
        assert self.counts("sobel-x", "--input", "6000x4000")["dense"] == (6000 * 4000) ** 2

    def test_table_has_the_three(self):
        lines = call("kernels", "dense", "sobel-x", "--input", "10x20").stdout.decode().splitlines()
        assert [line.split()[:2] for line in lines] == [
            ["dense", "40,000"], ["local", "1,800"], ["shared", "9"],
        ]  # fmt: skip


class TestPicture:
    def picture(self, folder, *arguments):
        done = call("kernels", "dense", *arguments, "-o", folder / "d.png", "-f")
        assert done.returncode == 0, done.stderr
        return read_image(folder / "d.png").pixels

    def test_every_weight_has_the_colour_of_its_place_and_zeros_are_blank(self, tmp_path):
        pixels = self.picture(tmp_path, "1 0; 2 3", "--input", "3x3", "--padding", "valid")
        cell, top, margin = 48, 16 + 2 * 48 + 2 + 16 + 1, 17
        kernel = {
            (r, c): tuple(pixels[margin + r * cell + 6, margin + c * cell + 6])
            for r in (0, 1)
            for c in (0, 1)
        }
        assert kernel[0, 1] == (255, 255, 255)
        assert len(set(kernel.values())) == 4
        for row in range(4):
            for column in range(9):
                colour = tuple(pixels[top + row * cell + 6, margin + column * cell + 6])
                place = (column // 3 - row // 2, column % 3 - row % 2)
                assert colour == kernel.get(place, (255, 255, 255))

    def test_large_matrix_has_a_pixel_a_weight(self, tmp_path):
        pixels = self.picture(tmp_path, "1 2 3", "--input", "40x40", "--border", "zero")
        assert pixels.shape[1] == 1600 + 2 * 17
        matrix = pixels[-17 - 1600 : -17, 17:-17]
        coloured = (matrix != 255).any(axis=2)
        assert coloured.sum() == 3 * 1600 - 2 * 40

    def test_too_large_a_matrix_is_refused_with_what_fits(self, tmp_path):
        arguments = ("kernels", "dense", "box:3", "-o", tmp_path / "d.png")
        done = call(*arguments, "--input", "100x100", "--padding", "full")
        line = error_line(done, 2)
        assert "10,404 rows and 10,000 columns" in line
        size = line.split("give --input ")[1].split(",")[0]
        assert size == "62x62"
        kernel, params = load_kernel("box:3"), ConvParams(padding="full")
        check_drawable(kernel, (62, 62), params)
        with pytest.raises(KernelError):
            check_drawable(kernel, (63, 63), params)


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("box:3",), 2, "--input: missing"),
        (("box:3", "--input", "9"), 2, "use rows and columns"),
        (("box:3", "--input", "0x9"), 2, "use rows and columns"),
        (("sobel", "--input", "9x9"), 2, "this is a set of 2"),
        (("box:9", "--input", "5x5", "--padding", "valid"), 2, "kernel box:9: the kernel's window"),
        (("box:3", "--input", "9x9", "-o", "d.jpg"), 2, "name it .png or .npz"),
        (("box:99", "--input", "900x900", "-o", "d.npz"), 2, "give a smaller --input"),
        (("box:3", "--input", "9x9", "-o", "gone/d.npz"), 1, "its folder does not exist"),
        (("box:3", "--input", "9x9", "-o", "there.npz"), 1, "exists; use --force"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_writes_nothing(tmp_path, arguments, code, reason):
    (tmp_path / "there.npz").write_bytes(b"old")
    done = call("kernels", "dense", *arguments, cwd=tmp_path)
    assert reason in error_line(done, code)
    assert done.stdout == b""
    assert [path.name for path in tmp_path.iterdir()] == ["there.npz"]
    assert (tmp_path / "there.npz").read_bytes() == b"old"
