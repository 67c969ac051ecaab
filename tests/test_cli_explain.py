"""conv-cli explain: one output pixel, taken apart as apply puts it together."""

import json
import re

import numpy as np
import pytest

from conv_cli import load_kernel, write_image
from test_cli_apply import SAMPLES, conv_cli, folder, one_error_line, pixels, succeed

__all__ = ["folder"]


def explained(*arguments, **options):
    return json.loads(succeed("explain", *arguments, "--json", **options).stdout)


def test_text_is_aligned_and_says_it_all(folder):
    write_image(folder / "n.png", np.arange(90, 99, dtype=np.uint8).reshape(3, 3))
    done = succeed("explain", "n.png", "-k", "1 -2; 30 4", "--at", "0,1", "--bias", "2", cwd=folder)
    assert done.stdout.decode().splitlines() == [
        "n.png, correlated with 1 -2; 30 4, 2x2: row 0, column 1",
        "rows 0 to 1, columns 1 to 2 of the image",
        "",
        "pixels   weights   products",
        "91  92    1  -2      91  -184",
        "94  95   30   4    2820   380",
        "sum                  3107",
        "bias                    2",
        "value                3109",
        "pixel (clip, uint8)   255",
    ]


def test_pixels_beyond_the_edge_are_in_brackets(folder):
    write_image(folder / "n.png", np.arange(9, dtype=np.uint8).reshape(3, 3))
    text = succeed("explain", "n.png", "-k", "sobel-x", "--at", "0,0", "--border", "7", cwd=folder)
    lines = text.stdout.decode().splitlines()
    assert lines[1].endswith("in brackets, beyond its edge: border 7.0")
    assert [line[:15].split() for line in lines[4:7]] == [
        ["(7)", "(7)", "(7)"], ["(7)", "0", "1"], ["(7)", "3", "4"],
    ]  # fmt: skip


def test_convolution_shows_the_flip(folder):
    done = succeed("explain", "gray.png", "-k", "1 2; 3 4", "--at", "5,5", "--convolve", cwd=folder)
    title, first, second = done.stdout.decode().splitlines()[3:6]
    assert title.split() == ["pixels", "kernel", "turned", "products"]
    assert first.split()[2:6] == ["1", "2", "4", "3"]
    assert second.split()[2:6] == ["3", "4", "2", "1"]
    found = explained("gray.png", "-k", "1 2; 3 4", "--at", "5,5", "--convolve", cwd=folder)
    assert found["weights"] == [[4, 3], [2, 1]]
    assert found["rows"] == [4, 5] and found["columns"] == [4, 5]


WAYS = [
    ["-k", "sobel-x"],
    ["-k", "1 2 3; 4 5 6 / 21", "--convolve"],
    ["-k", "1 2; 3 4 / 10", "--border", "reflect"],
    ["-k", "1 2 3 4; 5 6 7 8 / 36", "--border", "wrap", "--stride", "2x3"],
    ["-k", "gaussian:1", "--border", "symmetric", "--dilation", "2x1"],
    ["-k", "emboss", "--padding", "valid", "--bias", "128"],
    ["-k", "laplacian", "--padding", "full", "--border", "zero", "--range", "shift"],
    ["-k", "1 0 -3; 2 2 1", "--range", "stretch", "--padding", "2x1"],
    ["-k", "farid-x", "--range", "signed"],
    ["-k", "unsharp:1", "--channels", "gray", "--range", "abs"],
    ["-k", "sharpen", "--normalize", "abs", "--depth", "16"],
]


@pytest.mark.parametrize(
    ("name", "ways"), [("gray.png", WAYS[0]), *(("colour.png", ways) for ways in WAYS)]
)
def test_explanation_is_what_apply_writes(folder, name, ways):
    """The sum of the products is worked out apart from what apply does, and gives its pixel."""
    succeed("apply", name, *ways, "-o", "out.png", "-q", cwd=folder)
    sliding = list(ways)
    for option in ("--range", "--depth"):
        if option in sliding:
            place = sliding.index(option)
            del sliding[place : place + 2]
    succeed("apply", name, *sliding, "--depth", "float32", "-o", "raw.npy", cwd=folder)
    out, raw = pixels(folder / "out.png"), np.load(folder / "raw.npy")
    rows, columns = out.shape[:2]
    for at in [(0, 0), (rows - 1, columns // 3)]:
        found = explained(name, *ways, "--at", f"{at[0]},{at[1]}", cwd=folder)
        assert [c["pixel"] for c in found["channels"]] == np.atleast_1d(out[at]).tolist()
        np.testing.assert_allclose(
            [c["value"] for c in found["channels"]],
            np.atleast_1d(raw[at]).astype(float), rtol=1e-5, atol=1e-3,
        )  # fmt: skip
        for channel in found["channels"]:
            products = np.multiply(channel["window"], found["weights"])
            np.testing.assert_allclose(channel["products"], products)
            assert channel["sum"] == pytest.approx(products.sum())


def test_opacity_counts_as_it_does_in_apply(tmp_path):
    leaf, raw = SAMPLES / "leaf.png", tmp_path / "raw.npy"
    for kernel in ("gaussian:2", "sobel-x", "sharpen"):
        succeed("apply", leaf, "-k", kernel, "-o", raw, "-f", "-q")
        y = np.load(raw)
        for at in ((60, 60), (5, 5)):
            found = explained(leaf, "-k", kernel, "--at", f"{at[0]},{at[1]}")
            values = [channel["value"] for channel in found["channels"]]
            np.testing.assert_allclose(values, y[at][:3], rtol=1e-3, atol=0.01)


def test_large_kernel_is_told_by_its_largest_products():
    arguments = [SAMPLES / "still-life.png", "-k", "gaussian:8", "--at", "100,100"]
    lines = succeed("explain", *arguments).stdout.decode().splitlines()
    assert lines[3].startswith("the 10 largest of ") and len(lines) == 16
    assert len(explained(*arguments)["channels"][0]["window"]) == load_kernel("gaussian:8").shape[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-k", "sobel-x", "--at", "20,0"], "--at 20,0: the map has 20x31 pixels"),
        (["-k", "sobel-x", "--at", "1"], "--at: '1' is not understood"),
        (["-k", "sobel-x"], "--at: missing"),
        (["-k", "kirsch", "--at", "1,1"], "--kernel: is a set of 8 kernels"),
        (["-k", "nope", "--at", "1,1"], "nope"),
        (["-k", "gaussian:9", "--padding", "valid", "--at", "1,1"], "larger than the image"),
    ],
)
def test_mistakes_are_one_line(folder, arguments, words):
    line = one_error_line(conv_cli("explain", "gray.png", *arguments, cwd=folder), 2)
    assert words in line


def test_image_may_come_from_stdin(folder):
    data = (folder / "gray.png").read_bytes()
    arguments = ["-k", "sobel-x", "--at", "3,4"]
    piped = explained("-", *arguments, stdin=data)
    assert piped["channels"] == explained("gray.png", *arguments, cwd=folder)["channels"]


def test_unreadable_image_is_1(folder):
    one_error_line(conv_cli("explain", "none.png", "-k", "sobel-x", "--at", "1,1", cwd=folder), 1)


def test_weight_of_zero_reads_nothing(folder):
    x = np.arange(25, dtype=np.float32).reshape(5, 5)
    x[2, 2] = np.nan
    write_image(folder / "nan.npy", x)
    (told,) = explained("nan.npy", "-k", "sobel-x", "--at", "2,2", cwd=folder)["channels"]
    assert (told["window"][1][1], told["products"][1][1]) == (None, 0.0)
    assert told["pixel"] == told["sum"] == 8.0


def test_second_kernel_is_not_dropped(folder):
    done = conv_cli("explain", "gray.png", "--at", "1,1", "-k", "box", "-k", "emboss", cwd=folder)
    assert "box and emboss" in one_error_line(done, 2)


def test_every_window_of_a_matrix_and_the_result():
    done = succeed("explain", "0 1 2; 3 4 5; 6 7 8", "-k", "0 1; 2 3")
    printed = done.stdout.decode()
    assert printed.splitlines()[0].endswith("4 windows, padding valid")
    sums = [line for line in printed.splitlines() if "=" in line]
    assert sums == [
        "0·0 + 1·1 + 3·2 + 4·3 = 19",
        "1·0 + 2·1 + 4·2 + 5·3 = 25",
        "3·0 + 4·1 + 6·2 + 7·3 = 37",
        "4·0 + 5·1 + 7·2 + 8·3 = 43",
    ]
    assert printed.endswith("result\n19 25\n37 43\n")


def test_windows_beyond_the_edge_are_shown_where_a_padding_is_given():
    matrix = ("explain", "1 2; 3 4", "-k", "1 0 -1")
    printed = succeed(*matrix, "--padding", "same").stdout.decode()
    assert "(1)" in printed
    assert printed.endswith("result\n-1 -1\n-1 -1\n")
    assert "is larger than" in one_error_line(conv_cli(*matrix), 2)


def test_windows_of_a_flipped_kernel_and_a_small_picture(tmp_path):
    write_image(tmp_path / "x.png", np.array([[9, 4, 1]], np.uint8))
    done = succeed("explain", "x.png", "-k", "1 2", "--convolve", "--json", cwd=tmp_path)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(each["row"], each["column"]) for each in found] == [(0, 0), (0, 1)]
    assert [each["channels"][0]["sum"] for each in found] == [9 * 2 + 4, 4 * 2 + 1]


def test_a_picture_too_large_for_all_windows_needs_a_place():
    line = one_error_line(conv_cli("explain", SAMPLES / "page.png", "-k", "box"), 2)
    assert line.startswith("Error: --at: missing; give the pixel of the map, as 10,20")


@pytest.mark.parametrize("way", [[], ["--convolve"], ["--border", "zero"], ["--range", "signed"]])
def test_nothing_is_minus_zero(folder, way):
    write_image(folder / "n.tif", np.array([[0.0, -0.0, 5], [-0.0, 0, -3]], np.float32))
    square = SAMPLES / "square.png"
    for image, kernel in ((square, "sobel-x"), (square, "-0 -1; -2 -0"), ("n.tif", "-0 -1; 2 -3")):
        form = ["-k", kernel, "--at", "0,0", *way]
        if image == square:
            form[3] = "3,3"
            assert all(c["sum"] == 0 for c in explained(image, *form, cwd=folder)["channels"])
        text = succeed("explain", image, *form, cwd=folder).stdout.decode()
        numbers = re.findall(r"-?[\d.]+(?:e\S+)?", text.partition("\n\n")[2])
        assert len(numbers) > 8
        assert [n for n in numbers if n.startswith("-") and float(n) == 0] == []
        assert "-0.0" not in succeed("explain", image, *form, "--json", cwd=folder).stdout.decode()
