"""conv-cli apply: real files in, real files out; real processes where streams and codes matter."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import oracle
from command import ENVIRONMENT, call
from conv_cli import Kernel, load_kernel, read_image, write_image

SOBEL_X = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "sample_images"


def conv_cli(*arguments, stdin=None, cwd=None, **options):
    """Run the command; in a process of its own if there are conditions for that."""
    if not options:
        return call(*arguments, stdin=stdin, cwd=cwd)
    return subprocess.run(
        [sys.executable, "-m", "conv_cli", *map(str, arguments)],
        input=stdin, capture_output=True, cwd=cwd, timeout=60, check=False,
        env=ENVIRONMENT, **options,
    )  # fmt: skip


def succeed(*arguments, **options):
    done = conv_cli(*arguments, **options)
    assert done.returncode == 0, done.stderr.decode()
    return done


def one_error_line(done, code):
    """Check an exit code and that stderr is one line of error; return it."""
    lines = done.stderr.decode().splitlines()
    assert done.returncode == code, lines
    assert len(lines) == 1, lines
    assert lines[0].startswith("Error: "), lines
    return lines[0]


@pytest.fixture
def folder(tmp_path):
    """A folder with a grey and a colour image, to work in."""
    rng = np.random.default_rng(0)
    gray = np.cumsum(rng.integers(-9, 10, (20, 31)), axis=1) + 128
    colour = rng.integers(0, 256, (14, 17, 3))
    write_image(tmp_path / "gray.png", np.clip(gray, 0, 255).astype(np.uint8))
    write_image(tmp_path / "colour.png", colour.astype(np.uint8))
    return tmp_path


def pixels(path):
    return np.asarray(read_image(path)).astype(int)


def filtered(x, k, padding=None, border="edge", **options):
    """The oracle's map of one channel, "same" for a kernel with its origin in the middle."""
    k = np.asarray(k)
    rows, columns = ((n - 1) // 2 for n in k.shape)
    same = ((rows, k.shape[0] - 1 - rows), (columns, k.shape[1] - 1 - columns))
    if padding is None:
        padding = same
    out = oracle.correlate(x[None], k[None, None], padding=padding, border=border, **options)
    return np.asarray(out[0])


def clip(values, top=255):
    return np.clip(np.rint(values.astype(float)), 0, top)


class TestPixels:
    def test_each_channel_is_correlated_on_its_own(self, folder):
        succeed("apply", "colour.png", "-k", "sobel-x", "-o", "out.png", cwd=folder)
        x, y = pixels(folder / "colour.png"), pixels(folder / "out.png")
        for channel in range(3):
            np.testing.assert_array_equal(y[..., channel], clip(filtered(x[..., channel], SOBEL_X)))

    def test_jobs_do_not_change_a_pixel(self, folder):
        for jobs in (1, 2, 7):
            succeed("apply", "gray.png", "-k", "gaussian:3", "-o", f"{jobs}.png", "--jobs", jobs,
                    cwd=folder)  # fmt: skip
        assert len({(folder / f"{jobs}.png").read_bytes() for jobs in (1, 2, 7)}) == 1

    @pytest.mark.parametrize("border", ["edge", "zero", "reflect", "symmetric", "wrap", 99])
    def test_border(self, folder, border):
        k = "1 2 3 4; 5 6 7 8 / 36"
        succeed("apply", "gray.png", "-k", k, "--border", border, "-o", "out.png", cwd=folder)
        weights = np.array([[1, 2, 3, 4], [5, 6, 7, 8]]) / 36
        expected = clip(filtered(pixels(folder / "gray.png"), weights, border=border))
        assert np.abs(pixels(folder / "out.png") - expected).max() <= 1
        assert (pixels(folder / "out.png") == expected).mean() > 0.99

    @pytest.mark.parametrize(
        ("padding", "shape"),
        [("same", (20, 31)), ("valid", (18, 27)), ("full", (22, 35)), ("1", (20, 29)),
         ("0x2", (18, 31))],
    )  # fmt: skip
    def test_padding_gives_its_size(self, folder, padding, shape):
        k = "1 0 0 0 -1; 2 0 0 0 -2; 1 0 0 0 -1"
        succeed("apply", "gray.png", "-k", k, "--padding", padding, "-o", "out.npy", cwd=folder)
        assert np.load(folder / "out.npy").shape == shape

    def test_stride_and_dilation_start_at_the_top_left(self, folder):
        succeed("apply", "gray.png", "-k", "1 2 4", "--stride", "2x3", "--dilation", "1x2",
                "-o", "out.npy", cwd=folder)  # fmt: skip
        expected = filtered(pixels(folder / "gray.png"), [[1, 2, 4]], ((0, 0), (2, 2)),
                            stride=(2, 3), dilation=(1, 2))  # fmt: skip
        np.testing.assert_array_equal(np.load(folder / "out.npy"), expected.astype(float))

    def test_same_puts_the_origin_of_an_even_kernel_at_its_upper_left_middle(self, folder):
        succeed("apply", "gray.png", "-k", "0 1 0 0", "-o", "out.png", cwd=folder)
        assert (pixels(folder / "out.png") == pixels(folder / "gray.png")).all()

    def test_convolution_turns_kernel_and_origin(self, folder):
        succeed("apply", "gray.png", "-k", "0 1 0 0", "--convolve", "-o", "same.png", cwd=folder)
        assert (pixels(folder / "same.png") == pixels(folder / "gray.png")).all()
        succeed(
            "apply", "gray.png", "-k", "1 2 4; 8 16 32", "--convolve", "-o", "c.npy", cwd=folder
        )
        turned = np.array([[32, 16, 8], [4, 2, 1]])
        expected = filtered(pixels(folder / "gray.png"), turned, ((1, 0), (1, 1)))
        np.testing.assert_array_equal(np.load(folder / "c.npy"), expected.astype(float))

    def test_normalize_divides_by_the_sum_or_the_magnitudes(self, folder):
        x = pixels(folder / "gray.png")
        for how, divisor in (("sum", 2), ("abs", 4)):
            succeed("apply", "gray.png", "-k", "1 -1 2", "--normalize", how, "-o", f"{how}.npy",
                    cwd=folder)  # fmt: skip
            expected = filtered(x, [[1, -1, 2]]).astype(float) / divisor
            np.testing.assert_allclose(np.load(folder / f"{how}.npy"), expected, atol=1e-4)

    def test_bias_replaces_the_kernels_own(self, folder):
        Path(folder / "k.json").write_text('{"weights": [[1]], "bias": 7}', encoding="utf-8")
        x = pixels(folder / "gray.png")
        for arguments, bias in (((), 7), (("--bias", "-3.5"), -3.5), (("--bias", "0"), 0)):
            succeed(
                "apply", "gray.png", "-k", "k.json", *arguments, "-o", "out.npy", "-f", cwd=folder
            )
            np.testing.assert_array_equal(np.load(folder / "out.npy"), x + bias)

    def test_gray_is_the_weighted_sum_of_colours(self, folder):
        succeed("apply", "colour.png", "-k", "identity", "--channels", "gray", "-o", "out.npy",
                cwd=folder)  # fmt: skip
        expected = pixels(folder / "colour.png") @ [0.299, 0.587, 0.114]
        np.testing.assert_allclose(np.load(folder / "out.npy"), expected, atol=1e-3)

    @pytest.mark.parametrize(
        ("how", "function"),
        [("magnitude", lambda a: np.sqrt((a**2).sum(0))), ("max", lambda a: a.max(0)),
         ("sum", lambda a: a.sum(0)), ("mean", lambda a: a.mean(0))],
    )  # fmt: skip
    def test_combine_makes_one_map_of_kernels_of_any_size(self, folder, how, function):
        succeed("apply", "gray.png", "-k", "sobel-x", "-k", "1 -1", "--combine", how, "-o", "o.npy",
                cwd=folder)  # fmt: skip
        x = pixels(folder / "gray.png")
        maps = np.stack([filtered(x, SOBEL_X), filtered(x, [[1, -1]])]).astype(float)
        np.testing.assert_allclose(np.load(folder / "o.npy"), function(maps), rtol=1e-6)

    def test_linear_light_blurs_black_and_white_to_a_lighter_gray(self, tmp_path):
        stripes = np.tile(np.array([0, 255], np.uint8), (8, 8))
        write_image(tmp_path / "stripes.png", stripes)
        for name, extra in (("coded", ()), ("linear", ("--linear",))):
            succeed("apply", "stripes.png", "-k", "1 1 / 2", "--border", "wrap", *extra,
                    "-o", f"{name}.png", cwd=tmp_path)  # fmt: skip
        assert (pixels(tmp_path / "coded.png") == 128).all()
        # 50 % of the light is 73.5 % of the sRGB code: IEC 61966-2-1.
        assert (pixels(tmp_path / "linear.png") == 188).all()

    def test_box_filter_keeps_white_white(self, tmp_path):
        for side in (3, 5, 7, 11):
            write_image(tmp_path / "white.png", np.full((20, 20, 3), 255, np.uint8), force=True)
            succeed("apply", "white.png", "-k", f"box:{side}", "-o", f"{side}.png", cwd=tmp_path)
            assert (pixels(tmp_path / f"{side}.png") == 255).all()


class TestRange:
    @pytest.fixture
    def steps(self, tmp_path):
        write_image(tmp_path / "x.png", np.array([[0, 0, 100, 100, 40]], np.uint8))
        return tmp_path

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("clip", [0, 200, 0, 0, 0]),
            ("abs", [0, 200, 0, 120, 0]),
            ("shift", [128, 255, 128, 8, 128]),
            ("signed", [128, 255, 128, 51, 128]),
            ("stretch", [96, 255, 96, 0, 96]),
        ],
    )
    def test_range_makes_pixels_as_stated(self, steps, name, expected):
        k = "-2 2"  # 0 200 0 -120 0
        succeed("apply", "x.png", "-k", k, "--range", name, "-o", "o.png", cwd=steps)
        assert pixels(steps / "o.png").tolist() == [expected]

    def test_raw_keeps_the_values(self, steps):
        succeed("apply", "x.png", "-k", "-2 2", "--range", "raw", "-o", "o.tif", cwd=steps)
        image = read_image(steps / "o.tif")
        assert image.dtype == np.float32
        assert np.asarray(image).tolist() == [[0, 200, 0, -120, 0]]

    @pytest.mark.parametrize("name", ["signed", "stretch"])
    def test_map_of_one_value_has_a_range_too(self, steps, name):
        succeed("apply", "x.png", "-k", "0", "--range", name, "-o", "o.png", cwd=steps)
        assert pixels(steps / "o.png").tolist() == [[128 if name == "signed" else 0] * 5]

    def test_clipping_is_told_with_its_share_and_the_true_range(self, steps):
        done = succeed("apply", "x.png", "-k", "-2 2", "-o", "o.png", cwd=steps)
        message = done.stderr.decode()
        assert re.search(r"-2 2: 20 % of its values clipped in o\.png, .* -120 to 200", message)
        assert "--range signed, or --preset edges" in message

    def test_nothing_is_said_where_nothing_is_clipped(self, steps):
        done = succeed("apply", "x.png", "-k", "identity", "-o", "o.png", cwd=steps)
        assert done.stderr == done.stdout == b""


class TestDepth:
    def test_8_bits_become_16_by_257_and_back(self, folder):
        succeed(
            "apply", "gray.png", "-k", "identity", "--depth", "16", "-o", "deep.png", cwd=folder
        )
        succeed("apply", "deep.png", "-k", "identity", "--depth", "8", "-o", "back.png", cwd=folder)
        x = pixels(folder / "gray.png")
        np.testing.assert_array_equal(pixels(folder / "deep.png"), x * 257)
        np.testing.assert_array_equal(pixels(folder / "back.png"), x)

    def test_16_bit_colour_stays_16_bit_colour(self, tmp_path):
        x = np.random.default_rng(0).integers(0, 65536, (9, 8, 3)).astype(np.uint16)
        write_image(tmp_path / "x.png", x)
        succeed("apply", "x.png", "-k", "identity", "-o", "y.png", cwd=tmp_path)
        result = read_image(tmp_path / "y.png")
        assert result.dtype == np.uint16
        np.testing.assert_array_equal(np.asarray(result), x)

    def test_16_bits_into_jpeg_are_refused_with_a_way_out(self, tmp_path):
        write_image(tmp_path / "x.png", np.zeros((9, 8, 3), np.uint16))
        done = conv_cli("apply", "x.png", "-k", "identity", "-o", "y.jpg", cwd=tmp_path)
        assert "--depth 8" in one_error_line(done, 1)
        assert not (tmp_path / "y.jpg").exists()

    def test_floats_into_png_need_a_depth_or_a_range(self, tmp_path):
        x = np.array([[0.0, 0.5], [1.0, 2.0]], np.float32)
        np.save(tmp_path / "x.npy", x)
        done = conv_cli("apply", "x.npy", "-k", "identity", "-o", "y.png", cwd=tmp_path)
        assert re.search("--(depth|range)", one_error_line(done, 1))
        succeed(
            "apply", "x.npy", "-k", "identity", "--range", "stretch", "-o", "y.png", cwd=tmp_path
        )
        y = read_image(tmp_path / "y.png")
        assert np.asarray(y).tolist() == np.rint(x / 2 * np.iinfo(y.dtype).max).tolist()

    @pytest.mark.parametrize(("name", "top"), [("y.png", 65535), ("y.bmp", 255), ("y.npy", 1)])
    def test_stretched_floats_take_the_deepest_pixels_that_the_format_holds(
        self, tmp_path, name, top
    ):
        np.save(tmp_path / "x.npy", np.array([[-3.0, 1.5]], np.float32))
        succeed("apply", "x.npy", "-k", "identity", "--range", "stretch", "-o", name, cwd=tmp_path)
        assert np.asarray(read_image(tmp_path / name)).tolist() == [[0, top]]

    def test_nan_in_whole_number_pixels_is_refused(self, tmp_path):
        np.save(tmp_path / "x.npy", np.array([[0, np.nan, 1]], np.float32))
        done = conv_cli(
            "apply", "x.npy", "-k", "identity", "--depth", "8", "--white", "1", "-o", "y.png",
            cwd=tmp_path,
        )  # fmt: skip
        assert "NaN" in one_error_line(done, 1)


class TestWhite:
    @pytest.fixture
    def floats(self, tmp_path):
        np.save(tmp_path / "x.npy", np.array([[0, 0.25, 0.5, 1]], np.float32))
        return tmp_path

    @pytest.mark.parametrize("options", [("-o", "y.png"), ("--depth", "8", "-o", "y.png")])
    def test_floats_do_not_become_whole_numbers_by_a_guess(self, floats, options):
        line = one_error_line(conv_cli("apply", "x.npy", "-k", "identity", *options, cwd=floats), 1)
        assert "from 0 to 1" in line
        assert "--white 1" in line

    @pytest.mark.parametrize(("depth", "top"), [("8", 255), ("16", 65535)])
    def test_white_is_the_greatest_whole_number(self, floats, depth, top):
        succeed("apply", "x.npy", "-k", "identity", "--white", "0.5", "--depth", depth, "-o", "y.png",
                "-q", cwd=floats)  # fmt: skip
        np.testing.assert_array_equal(pixels(floats / "y.png"), [[0, np.rint(top / 2), top, top]])

    @pytest.mark.parametrize("values_range", ["stretch", "signed"])
    def test_ranges_that_scale_need_no_white(self, floats, values_range):
        succeed("apply", "x.npy", "-k", "identity", "--range", values_range, "--depth", "8", "-o",
                "y.png", cwd=floats)  # fmt: skip
        assert pixels(floats / "y.png").max() == 255

    def test_network_maps_of_floats_follow_the_same_rule(self, floats):
        (floats / "m.json").write_text('{"layers": [{"relu": {}}]}')
        command = ["net", "apply", "m.json", "x.npy", "--depth", "8", "-o", "maps/"]
        assert "--white 1" in one_error_line(conv_cli(*command, cwd=floats), 1)
        succeed(*command, "--white", "1", cwd=floats)
        assert pixels(floats / "maps/x.1.1.png").max() == 255


class TestDigits:
    @pytest.mark.parametrize(
        "values", [np.array([[2**31 - 1, -(2**31), 16777217]], np.int32),
                   np.array([[2**32 - 1, 5, 16777217]], np.uint32), np.array([[1e9 + 0.1, np.pi]])],
    )  # fmt: skip
    def test_arrays_lose_no_digits(self, tmp_path, values):
        np.save(tmp_path / "x.npy", values)
        succeed("apply", "x.npy", "-k", "identity", "-o", "y.npy", cwd=tmp_path)
        written = np.load(tmp_path / "y.npy")
        assert written.dtype == np.float64
        np.testing.assert_array_equal(written, values)

    def test_depth_says_what_an_array_holds(self, folder):
        for depth in ("float32", "float64"):
            for name in ("y.npy", "y.tif"):
                succeed("apply", "colour.png", "-k", "1 2 / 3", "--depth", depth, "-o", name, "-f",
                        cwd=folder)  # fmt: skip
                assert read_image(folder / name).dtype == depth
        done = conv_cli("apply", "gray.png", "-k", "box", "--depth", "float64", "-o", "y.png",
                        cwd=folder)  # fmt: skip
        assert "float64" in one_error_line(done, 1)


class TestLight:
    def test_maps_are_combined_and_biased_in_linear_light(self, folder):
        succeed("apply", "gray.png", "-k", "1 -1", "-k", "0 1", "--linear", "--combine", "sum",
                "--bias", "5", "--padding", "valid", "--depth", "float32", "-o", "y.npy",
                cwd=folder)  # fmt: skip
        coded = pixels(folder / "gray.png") / 255
        light = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
        light = light[:, :-1] + 5 / 255
        expected = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
        np.testing.assert_allclose(np.load(folder / "y.npy"), expected * 255, atol=0.01)


class TestBands:
    @pytest.mark.parametrize("count", [2, 4])
    def test_bands_of_an_array_are_no_opacity(self, tmp_path, count):
        x = np.random.default_rng(0).random((5, 6, count))
        np.save(tmp_path / "x.npy", x)
        succeed(
            "apply", "x.npy", "-k", "1 2 / 3", "--padding", "valid", "-o", "y.npy", cwd=tmp_path
        )
        np.testing.assert_allclose(np.load(tmp_path / "y.npy"), (x[:, :-1] + 2 * x[:, 1:]) / 3)
        for command in (["apply", "x.npy", "-o", "z.npy"], ["explain", "x.npy", "--at", "1,1"]):
            done = conv_cli(*command, "-k", "box", "--channels", "gray", cwd=tmp_path)
            assert f"x.npy: has {count} bands" in one_error_line(done, 1)


class TestAlpha:
    @pytest.fixture
    def fringe(self, tmp_path):
        """Red, half of it opaque; green hides under the rest."""
        x = np.zeros((8, 8, 4), np.uint8)
        x[:, :4] = (200, 0, 0, 255)
        x[:, 4:] = (0, 255, 0, 0)
        write_image(tmp_path / "x.png", Image.fromarray(x) and from_alpha(x))
        return tmp_path

    def test_hidden_colour_leaves_no_fringe(self, fringe):
        succeed("apply", "x.png", "-k", "gaussian:1", "-o", "y.png", cwd=fringe)
        y = pixels(fringe / "y.png")
        visible = y[..., 3] > 0
        assert (y[visible][:, :3] == (200, 0, 0)).all()
        np.testing.assert_array_equal(y[..., 3], pixels(fringe / "x.png")[..., 3])

    def test_filtered_alpha_is_one_more_channel(self, fringe):
        succeed("apply", "x.png", "-k", "1 1 / 2", "--alpha", "filter", "-o", "y.png", cwd=fringe)
        x, y = pixels(fringe / "x.png"), pixels(fringe / "y.png")
        for channel in range(4):
            expected = clip(filtered(x[..., channel], np.array([[0.5, 0.5]])))
            np.testing.assert_array_equal(y[..., channel], expected)

    def test_kernel_of_zero_sum_sees_no_edge_at_hidden_colours(self, fringe):
        succeed("apply", "x.png", "-k", "-1 1", "--range", "abs", "-o", "y.png", cwd=fringe)
        assert (pixels(fringe / "y.png")[:, :4, :3] == 0).all()

    def test_signs_do_not_blow_up_where_colours_are_half_transparent(self, tmp_path):
        x = np.array([[[100, 100, 100, 255], [110, 110, 110, 128], [110, 110, 110, 128]]], np.uint8)
        write_image(tmp_path / "x.png", from_alpha(x))
        succeed("apply", "x.png", "-k", "-1 2 0", "-o", "y.npy", cwd=tmp_path)
        # In the middle, m = (1·100 + 2·a·110) / (1 + 2a) and -100 + 2·(a·110 + (1 - a)·m), a = 128/255.
        a = 128 / 255
        mean = (100 + 2 * a * 110) / (1 + 2 * a)
        value = -100 + 2 * (a * 110 + (1 - a) * mean)
        np.testing.assert_allclose(np.load(tmp_path / "y.npy")[0, 1, :3], value, rtol=1e-6)

    def test_soft_edges_stay_within_the_reach_of_the_kernel(self, tmp_path):
        succeed("apply", SAMPLES / "leaf.png", "-k", "unsharp:2", "-o", tmp_path / "y.npy")
        reach = np.abs(load_kernel("unsharp:2").weights).sum() * 255
        assert np.abs(np.load(tmp_path / "y.npy")[..., :3]).max() <= reach

    @pytest.mark.parametrize("name", ["x.png", "x.tif", "x.webp"])
    @pytest.mark.parametrize("mode", ["RGBA", "LA"])
    def test_no_curve_of_light_touches_opacity(self, tmp_path, name, mode):
        Image.new(mode, (5, 5), (128,) * len(mode)).save(tmp_path / name, lossless=True)
        succeed("apply", name, "-k", "box", "--alpha", "filter", "--linear", "-o", f"y-{name}",
                cwd=tmp_path)  # fmt: skip
        assert (pixels(tmp_path / f"y-{name}") == 128).all()

    def test_a_number_as_border_is_an_opaque_colour_and_zero_is_nothing(self, tmp_path):
        write_image(tmp_path / "x.png", from_alpha(np.full((1, 1, 4), 100, np.uint8)))
        for border, colour in (("zero", 100), ("7", (100 * 100 / 255 + 7) / (100 / 255 + 1))):
            succeed("apply", "x.png", "-k", "1 1 0 / 2", "--border", border, "-o", "y.npy", "-f",
                    cwd=tmp_path)  # fmt: skip
            np.testing.assert_allclose(np.load(tmp_path / "y.npy")[0, 0, :3], colour, rtol=1e-5)

    def test_opaque_pictures_are_filtered_as_if_they_had_no_alpha(self, folder):
        x = pixels(folder / "colour.png").astype(np.uint8)
        opaque = np.dstack([x, np.full(x.shape[:2], 255, np.uint8)])
        write_image(folder / "opaque.png", from_alpha(opaque))
        for name in ("colour", "opaque"):
            succeed("apply", f"{name}.png", "-k", "unsharp", "-o", f"{name}-o.png", cwd=folder)
        y, z = pixels(folder / "colour-o.png"), pixels(folder / "opaque-o.png")
        assert np.abs(y - z[..., :3]).max() <= 1
        assert (z[..., 3] == 255).all()

    def test_opacity_follows_the_geometry(self, fringe):
        succeed("apply", "x.png", "-k", "box:3", "--padding", "valid", "--stride", "2",
                "-o", "y.png", cwd=fringe)  # fmt: skip
        x, y = pixels(fringe / "x.png"), pixels(fringe / "y.png")
        np.testing.assert_array_equal(y[..., 3], x[1:-1:2, 1:-1:2, 3])


def from_alpha(array):
    """Read an RGBA array back as an image with opacity."""
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "png")
    stream.seek(0)
    return read_image(stream)


class TestFiles:
    def test_several_maps_go_to_a_folder_with_their_kernels_names(self, folder):
        succeed("apply", "gray.png", "-k", "sobel-x", "-k", "gaussian:2", "-k", "1 -1", "-o", "maps",
                "-q", cwd=folder)  # fmt: skip
        names = {path.name for path in (folder / "maps").iterdir()}
        assert names == {"gray.sobel-x.png", "gray.gaussian-2.png", "gray.1_-1.png"}

    def test_set_stands_for_all_its_members(self, folder):
        succeed("apply", "gray.png", "-k", "kirsch", "-o", "maps", "-q", cwd=folder)
        assert len(list((folder / "maps").iterdir())) == 8

    def test_output_mirrors_the_tree(self, folder):
        deep = folder / "in" / "a" / "b"
        deep.mkdir(parents=True)
        (folder / "gray.png").rename(deep / "x.png")
        (folder / "colour.png").rename(folder / "in" / "y.png")
        (folder / "in" / "notes.txt").write_text("no image", encoding="utf-8")
        succeed("apply", "in", "-r", "-k", "identity", "-o", "out", cwd=folder)
        found = {str(p.relative_to(folder / "out")) for p in (folder / "out").rglob("*.png")}
        assert found == {"a/b/x.identity.png", "y.identity.png"}

    def test_output_folder_inside_the_input_is_not_read(self, folder):
        for _ in range(2):
            succeed("apply", ".", "-r", "-k", "identity", "-o", "out", "-f", cwd=folder)
        assert len(list((folder / "out").rglob("*.png"))) == 2

    def test_template_names_the_results(self, folder):
        succeed("apply", "gray.png", "colour.png", "-k", "identity", "-o", "out",
                "--name", "{kernel}/{index}-{stem}.tif", cwd=folder)  # fmt: skip
        found = {str(p.relative_to(folder / "out")) for p in (folder / "out").rglob("*.tif")}
        assert found == {"identity/1-gray.tif", "identity/1-colour.tif"}

    def test_existing_file_is_kept_without_force_and_the_rest_is_done(self, folder):
        (folder / "out").mkdir()
        (folder / "out" / "gray.identity.png").write_bytes(b"precious")
        done = conv_cli(
            "apply", "gray.png", "colour.png", "-k", "identity", "-o", "out", cwd=folder
        )
        assert done.returncode == 1
        assert "--force" in done.stderr.decode()
        assert (folder / "out" / "gray.identity.png").read_bytes() == b"precious"
        assert (folder / "out" / "colour.identity.png").exists()
        succeed("apply", "gray.png", "-k", "identity", "-o", "out", "-f", cwd=folder)
        assert (folder / "out" / "gray.identity.png").read_bytes() != b"precious"

    def test_skip_existing_resumes(self, folder):
        succeed("apply", "gray.png", "-k", "identity", "-o", "out/", cwd=folder)
        before = (folder / "out" / "gray.identity.png").stat().st_mtime_ns
        done = succeed("apply", "gray.png", "colour.png", "-k", "identity", "-o", "out/",
                       "--skip-existing", cwd=folder)  # fmt: skip
        assert (folder / "out" / "gray.identity.png").stat().st_mtime_ns == before
        assert "1 done, 0 failed, 1 skipped" in done.stderr.decode()

    @pytest.mark.parametrize("link", [None, "symlink", "hardlink"])
    def test_input_is_never_overwritten_even_by_a_link(self, folder, link):
        target = folder / "gray.png"
        before = target.read_bytes()
        if link == "symlink":
            target = folder / "link.png"
            target.symlink_to(folder / "gray.png")
        elif link == "hardlink":
            target = folder / "link.png"
            target.hardlink_to(folder / "gray.png")
        done = conv_cli("apply", "gray.png", "-k", "box", "-o", target.name, "-f", cwd=folder)
        assert "input" in one_error_line(done, 1)
        assert (folder / "gray.png").read_bytes() == before

    def test_two_results_of_one_name_are_refused_before_anything_is_made(self, folder):
        (folder / "x").mkdir()
        (folder / "x" / "gray.jpg").write_bytes((folder / "gray.png").read_bytes())
        done = conv_cli(
            "apply", "gray.png", "x/gray.jpg", "-k", "identity", "-o", "out", cwd=folder
        )
        line = one_error_line(done, 2)
        assert "gray.png" in line
        assert "x/gray.jpg" in line
        assert not (folder / "out").exists()

    def test_single_file_in_a_folder_that_is_not_there_is_refused(self, folder):
        done = conv_cli("apply", "gray.png", "-k", "identity", "-o", "no/out.png", cwd=folder)
        assert "no/out.png" in one_error_line(done, 1)
        assert not (folder / "no").exists()

    def test_failure_leaves_no_stray_files(self, folder):
        (folder / "gray.png").write_bytes((folder / "gray.png").read_bytes()[:-40])
        done = conv_cli("apply", "gray.png", "-k", "identity", "-o", "out.png", cwd=folder)
        one_error_line(done, 1)
        assert {p.name for p in folder.iterdir()} == {"gray.png", "colour.png"}

    def test_orientation_is_applied_and_reset(self, tmp_path):
        succeed("apply", SAMPLES / "rotated.jpg", "-k", "identity", "-o", "up.jpg", cwd=tmp_path)
        with (
            Image.open(SAMPLES / "rotated.jpg") as stored,
            Image.open(tmp_path / "up.jpg") as upright,
        ):
            assert upright.size == stored.size[::-1]
            assert upright.getexif().get(274, 1) == 1


class TestStreams:
    def test_stdin_to_stdout_is_a_filter(self, folder):
        data = (folder / "gray.png").read_bytes()
        done = succeed("apply", "-", "-k", "identity", "-o", "-", stdin=data)
        with Image.open(io.BytesIO(done.stdout)) as image:
            assert image.format == "PNG"
            np.testing.assert_array_equal(np.asarray(image), pixels(folder / "gray.png"))

    def test_format_of_stdout_is_chosen(self, folder):
        done = succeed("apply", folder / "gray.png", "-k", "identity", "-o", "-", "--format", "tif")
        with Image.open(io.BytesIO(done.stdout)) as image:
            assert image.format == "TIFF"

    def test_json_has_one_object_a_result_and_one_a_failure(self, folder):
        done = conv_cli("apply", "gray.png", "missing.png", "-k", "sobel-x", "-o", "out", "--json",
                        cwd=folder)  # fmt: skip
        assert done.returncode == 1
        result, failure = map(json.loads, done.stdout.decode().splitlines())
        assert set(failure) == {"image", "error"}
        assert failure["image"] == "missing.png"
        values = filtered(pixels(folder / "gray.png"), SOBEL_X).astype(float)
        assert result.pop("seconds") > 0
        assert result.pop("strategy") in ("direct", "gemm", "columns", "separable", "fft")
        assert result.pop("clipped") == pytest.approx(((values < 0) | (values > 255)).mean())
        assert result == {
            "image": "gray.png", "kernel": "sobel-x", "output": "out/gray.sobel-x.png",
            "shape": [20, 31], "dtype": "uint8", "min": values.min(), "max": values.max(),
        }  # fmt: skip

    def test_dry_run_tells_names_and_shapes_and_writes_nothing(self, folder):
        arguments = ("gray.png", "colour.png", "-k", "sobel-x", "--padding", "valid", "-o", "out")
        told = succeed("apply", *arguments, "--dry-run", "--json", cwd=folder).stdout.decode()
        assert not (folder / "out").exists()
        succeed("apply", *arguments, "-q", cwd=folder)
        for line in told.splitlines():
            plan = json.loads(line)
            made = read_image(folder / plan["output"])
            assert (list(made.shape), made.dtype.name) == (plan["shape"], plan["dtype"])

    def test_explain_names_the_strategy_and_its_costs(self, folder):
        done = succeed("apply", "gray.png", "-k", "sobel-x", "-o", "o.png", "--explain", cwd=folder)
        assert re.search(r"o\.png: \w+: .*direct [\d.]+ ms", done.stdout.decode())

    def test_quiet_prints_nothing(self, folder):
        done = succeed("apply", "gray.png", "-k", "sobel-x", "-o", "o.png", "-q", cwd=folder)
        assert done.stdout == done.stderr == b""

    def test_broken_pipe_is_no_success_and_no_traceback(self, folder):
        command = f"{sys.executable} -m conv_cli apply gray.png -k kirsch -o maps --json"
        script = f'{command} | true; exit "${{PIPESTATUS[0]}}"'
        done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, check=False,
                              env=ENVIRONMENT)  # fmt: skip
        assert done.returncode == 1
        assert b"Traceback" not in done.stderr

    def test_closed_stdout_is_no_success(self, folder):
        command = f"{sys.executable} -m conv_cli apply gray.png -k identity -o - >&-"
        done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, check=False,
                              env=ENVIRONMENT)  # fmt: skip
        assert "stdout" in one_error_line(done, 1)

    def test_full_stdout_is_no_success(self, folder):
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                [sys.executable, "-m", "conv_cli", "apply", "gray.png", "-k", "identity", "-o", "-"],
                cwd=folder, stdout=full, stderr=subprocess.PIPE, check=False,
                env=ENVIRONMENT,
            )  # fmt: skip
        assert done.returncode == 1
        assert b"Traceback" not in done.stderr
        assert done.stderr.count(b"\n") == 1

    @pytest.mark.parametrize(("signal", "code"), [("INT", 130), ("TERM", 143)])
    def test_signal_ends_it_at_once_with_its_code(self, tmp_path, signal, code):
        write_image(tmp_path / "big.png", np.zeros((3000, 3000), np.uint8))
        process = subprocess.Popen(
            [sys.executable, "-m", "conv_cli", "apply", "big.png", *["-k", "freichen"], *["-k", "kirsch"],
             *["-k", "compass"], *["-k", "robinson"], "--depth", "16", "-o", "out"],
            cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
            env=ENVIRONMENT,
        )  # fmt: skip
        while not list((tmp_path / "out").glob("*")):
            time.sleep(0.01)
        process.send_signal(getattr(__import__("signal"), f"SIG{signal}"))
        _, stderr = process.communicate(timeout=20)
        assert process.returncode == code
        assert b"Traceback" not in stderr
        results = list((tmp_path / "out").iterdir())
        assert len(results) < 33
        for result in results:
            assert read_image(result).shape == (3000, 3000)


class TestErrors:
    @pytest.mark.parametrize(
        ("arguments", "code", "words"),
        [
            (("gray.png", "-k", "sobell-x", "-o", "o.png"), 2, "sobel-x"),
            (("gray.png", "-k", "1 2; 3", "-o", "o.png"), 2, "row 2"),
            (("missing.png", "-k", "box", "-o", "o.png"), 1, "missing.png: no such file"),
            (("text.png", "-k", "box", "-o", "o.png"), 1, "text.png: not an image"),
            (("empty.png", "-k", "box", "-o", "o.png"), 1, "empty.png: .*empty"),
            (("gray.png", "-k", "box", "-o", "o.png", "--colour"), 2, "--colour: no such option"),
            (("gray.png", "-k", "box", "-o", "o.png", "--bordr", "edge"), 2, "--border"),
            (("gray.png", "-k", "box", "-o", "o.png", "--border", "egde"), 2, "--border: .*symmetric"),
            (("gray.png", "-k", "box", "-o", "o.png", "--stride", "0"), 2, "--stride: '0'"),
            (("gray.png", "-k", "box", "-o", "o.png", "--padding", "-1"), 2, "--padding: '-1'"),
            (("gray.png", "-k", "box", "-o", "o.png", "--range", "abc"), 2, "--range: .*stretch"),
            (("gray.png", "-k", "box", "-o", "o.png", "--bias", "nan"), 2, "--bias: 'nan'"),
            (("gray.png", "-k", "box", "-o", "o.png", "--jobs", "0"), 2, "--jobs"),
            (("gray.png", "-k", "box", "-o", "o.png", "--format", "doc"), 2, "--format: 'doc'"),
            (("gray.png", "-k", "box", "-o", "o.xyz"), 2, "o.xyz"),
            (("gray.png", "-k", "box"), 2, "--output: missing"),
            (("gray.png", "-o", "o.png"), 2, "--kernel: missing"),
            (("-k", "box", "-o", "o.png"), 2, "IMAGES"),
            (("gray.png", "-k", "sobel-x", "--normalize", "sum", "-o", "o.png"), 2, "sum to zero"),
            (("gray.png", "-k", "box", "--range", "raw", "--depth", "8", "-o", "o.png"), 2, "--range"),
            (("gray.png", "-k", "box:41", "--padding", "valid", "-o", "o.png"), 1, "gray.png: .*41x41"),
            (("gray.png", "-k", "box", "--max-pixels", "600", "-o", "o.png"), 1, "gray.png: .*620"),
            (("gray.png", "-k", "box", "-o", "out/", "--name", "{nme}.png"), 2, "--name"),
            (("gray.png", "-k", "box", "-o", "out/", "--name", "../x.png"), 2, "--name"),
            (("gray.png", "-k", "sobel-x", "-k", "box", "-o", "-"), 2, "-o -"),
            (("gray.png", "-k", "box", "-o", "-", "--json"), 2, "--json"),
            (("gray.png", "-k", "sobel", "-o", "text.png", "-f"), 2, "text.png: is a file"),
            (("gray.png", "-k", "box", "-k", "box", "-o", "out"), 2, "gray.box.png: .*twice"),
            (("none", "-k", "box", "-o", "out"), 3, "none: no images"),
            (("*.gif", "-k", "box", "-o", "out"), 3, r"\*\.gif"),
        ],
    )  # fmt: skip
    def test_mistake_is_one_line_that_says_what_to_do(self, folder, arguments, code, words):
        (folder / "text.png").write_text("I am no picture", encoding="utf-8")
        (folder / "empty.png").touch()
        (folder / "none").mkdir()
        before = {path.name for path in folder.iterdir()}
        line = one_error_line(conv_cli("apply", *arguments, cwd=folder), code)
        assert re.search(words, line), line
        assert {path.name for path in folder.iterdir()} == before

    def test_control_characters_of_a_name_are_escaped(self, folder):
        name = "red\x1b[31m\nalert.png"
        line = one_error_line(conv_cli("apply", name, "-k", "box", "-o", "o.png", cwd=folder), 1)
        assert r"red\x1b[31m\nalert.png" in line

    def test_name_that_is_no_utf_8_is_an_ordinary_name(self, folder):
        name = os.fsdecode(b"\xff\xfe.png")
        (folder / "gray.png").rename(folder / name)
        succeed("apply", name, "-k", "identity", "-o", "out/", cwd=folder)
        line = one_error_line(
            conv_cli("apply", name, "-k", "identity", "-o", "out/", cwd=folder), 1
        )
        assert "exists" in line

    def test_one_bad_file_does_not_stop_the_rest(self, folder):
        (folder / "bad.png").write_bytes((folder / "gray.png").read_bytes()[:100])
        done = conv_cli("apply", ".", "-k", "identity", "-o", "out", cwd=folder)
        assert done.returncode == 1
        assert "bad.png" in done.stderr.decode()
        assert "2 done, 1 failed, 0 skipped" in done.stderr.decode()


def test_kernel_file_gives_what_its_matrix_gives(folder):
    np.savetxt(folder / "k.csv", SOBEL_X, delimiter=",", fmt="%d")
    succeed("apply", "gray.png", "-k", "k.csv", "-o", "a.png", "-q", cwd=folder)
    succeed("apply", "gray.png", "-k", "sobel-x", "-o", "b.png", "-q", cwd=folder)
    assert (folder / "a.png").read_bytes() == (folder / "b.png").read_bytes()


def test_python_and_command_line_agree(folder):
    succeed("apply", "gray.png", "-k", "emboss", "-o", "a.npy", cwd=folder)
    kernel = load_kernel("emboss")
    assert isinstance(kernel, Kernel)
    expected = filtered(pixels(folder / "gray.png"), kernel.weights) + kernel.bias
    np.testing.assert_allclose(np.load(folder / "a.npy"), expected.astype(float), atol=1e-3)


class TestOneName:
    """What is given twice, or would be called the same."""

    @pytest.fixture
    def twins(self, folder):
        Image.open(folder / "colour.png").save(folder / "colour.jpg")
        return folder

    def test_the_advice_for_one_stem_under_two_suffixes_helps(self, twins):
        command = ["apply", "colour.png", "colour.jpg", "-k", "box", "-o", "maps/"]
        line = one_error_line(conv_cli(*command, cwd=twins), 2)
        template = re.search("--name '(.*)'", line)[1]
        assert not (twins / "maps").exists()
        succeed(*command, "--name", template, cwd=twins)
        names = {path.name for path in (twins / "maps").iterdir()}
        assert names == {"colour.png.box.png", "colour.jpg.box.png"}

    def test_the_advice_for_one_name_in_two_folders_helps(self, folder):
        for name in ("a", "b"):
            (folder / name).mkdir()
            shutil.copy(folder / "gray.png", folder / name / "x.png")
        command = ["apply", "a/x.png", "b/x.png", "-k", "box", "-o", "maps/"]
        template = re.search("--name '(.*)'", one_error_line(conv_cli(*command, cwd=folder), 2))[1]
        succeed(*command, "--name", template, cwd=folder)
        assert {path.name for path in (folder / "maps").iterdir()} == {"a-x.box.png", "b-x.box.png"}

    @pytest.mark.parametrize("more", [("gray.png",), ("-k", "identity")])
    def test_name_of_an_image_is_no_folder(self, folder, more):
        done = conv_cli("apply", "colour.png", "-k", "box", *more, "-o", "out.png", cwd=folder)
        assert "out.png: is the name of one image" in one_error_line(done, 2)
        assert not (folder / "out.png").exists()

    def test_a_template_that_is_none_is_told_what_there_is(self, folder):
        command = ["apply", "colour.png", "-k", "box", "-o", "maps/", "--name", "{frme}"]
        line = one_error_line(conv_cli(*command, cwd=folder), 2)
        assert "use {stem}, {suffix}, {dir}, {kernel}, {ext}, {index} and {frame}" in line

    @pytest.mark.skipif(sys.platform == "darwin", reason="there the two are one name")
    def test_names_that_differ_by_unicode_form_are_two(self, folder):
        (folder / "in").mkdir()
        for form in ("NFC", "NFD"):
            name = unicodedata.normalize(form, "é.png")
            shutil.copy(folder / "gray.png", folder / "in" / name)
        succeed("apply", "in", "-k", "box", "-o", "maps", "-q", cwd=folder)
        assert len(list((folder / "maps").iterdir())) == 2


@pytest.mark.parametrize("kernel", ["disk:12", "gaussian:8"])
def test_fill_value_of_1e20_stays_in_the_windows_that_hold_it(tmp_path, kernel):
    image = np.random.default_rng(0).uniform(100, 300, (300, 280)).astype(np.float32)
    np.save(tmp_path / "clean.npy", image)
    image[:9, :7] = 1e20
    np.save(tmp_path / "filled.npy", image)
    names = [tmp_path / "clean.npy", tmp_path / "filled.npy"]
    succeed("apply", *names, "-k", kernel, "-o", tmp_path / "out/", "--name", "{stem}.npy")
    clean, filled = (np.load(tmp_path / "out" / name.name) for name in names)
    reach = load_kernel(kernel).shape[0] // 2
    away = np.ones(image.shape, bool)
    away[: 9 + reach, : 7 + reach] = False
    np.testing.assert_allclose(filled[away], clean[away], rtol=1e-4)
    assert filled[0, 0] > 1e18
