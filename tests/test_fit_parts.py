"""fit: channels with kernels of their own, pixels that do not count, and scripts for other tools."""

import json
import shutil

import numpy as np
import pytest

from command import call, error_line
from conv_cli import filter_image, fit_kernel, load_kernel, read_image, write_image
from conv_cli.errors import FitError
from conv_cli.kernels.learned import ChannelKernel

SHARP = np.array([[0, -1, 0.5], [-1, 5.5, -1], [0, -2, 0]])
BLUR = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 0]]) / 15
BORDERS = ("edge", "zero", "reflect", "symmetric", "wrap")


def levels(values):
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def photo():
    """A photograph of 120x150 pixels, in colour."""
    pixels = read_image("sample_images/landscape.jpg").pixels[150:270, 220:370]
    return np.ascontiguousarray(pixels // 2 + 50)


@pytest.fixture
def pair(tmp_path, photo):
    """Return what writes a pair of files, and their names."""

    def written(kernel, **how):
        write_image(tmp_path / "before.png", photo)
        write_image(tmp_path / "after.png", levels(filter_image(photo, kernel, **how)), force=True)
        return str(tmp_path / "before.png"), str(tmp_path / "after.png")

    return written


def found(*words, code=0):
    done = call("fit", *words, "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


EACH = ChannelKernel(np.stack([SHARP / 2, BLUR, np.pad([[1.0]], 1)]), biases=(3, -4, 0))
SHIFTED = np.zeros((3, 3, 3))
SHIFTED[0, 2, 1] = SHIFTED[1, 1, 1] = 1
SHIFTED[2, 0, 0] = SHIFTED[2, 1, 0] = 0.5
MIX = np.zeros((3, 3, 1, 3))
MIX[:, :, 0, 1] = [[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8]]
MIX[0, 1, 0] += [0.1, -0.2, 0.1]
CASES = {
    "each": (EACH, "each"),
    "shifted": (ChannelKernel(SHIFTED), "each"),
    "mix": (ChannelKernel(MIX, biases=(1, -2, 3)), "mix"),
    "grey": (ChannelKernel(MIX[:1]), "mix"),
}


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("border", BORDERS)
def test_what_is_written_makes_the_target_to_its_rim(tmp_path, pair, name, border):
    kernel, channels = CASES[name]
    before, after = pair(kernel, border=border)
    said = found(before, after, "--channels", channels, "--size", "3", "-o", tmp_path / "k.json")
    assert said["verdict"] in ("exact", "good")
    explains = filter_image(read_image(before).pixels, load_kernel(tmp_path / "k.json"),
                            border=said["border"])  # fmt: skip
    target = read_image(after).pixels
    assert np.abs(levels(explains).astype(int) - target).max() <= 1
    done = call("apply", before, "-k", tmp_path / "k.json", "--border", said["border"], "-o",
                tmp_path / "made.png", "-q")  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = read_image(tmp_path / "made.png").pixels.astype(int)
    assert np.abs(made - target).max() <= 1


@pytest.mark.parametrize(
    ("how", "words"),
    [({"stride": 2}, []), ({"padding": "valid"}, []), ({"linear": True}, ["--linear"])],
)
def test_kernel_for_each_channel_keeps_its_manner(tmp_path, pair, photo, how, words):
    before, after = pair(ChannelKernel(np.stack([BLUR, BLUR.T, SHARP / 4 + BLUR / 4])), **how)
    said = found(before, after, "--channels", "each", *words, "-o", tmp_path / "k.json")
    assert said["verdict"] in ("exact", "good")
    learned = load_kernel(tmp_path / "k.json")
    padding = how.get("padding", "same")
    made = levels(filter_image(photo, learned, border=said["border"] or "edge", padding=padding))
    assert np.abs(made.astype(int) - read_image(after).pixels).max() <= 1
    assert json.loads((tmp_path / "k.json").read_text())["stride"] == [how.get("stride", 1)] * 2


def test_next_of_a_mix_is_the_command_that_makes_the_target(pair):
    before, after = pair(CASES["mix"][0])
    said = found(before, after, "--channels", "mix", "--size", "1x3")
    assert f"{after} --channels mix -o kernel.json && conv-cli apply" in said["next"]


def test_region_is_refused_for_a_kernel_with_a_stride(tmp_path, pair):
    before, _ = pair("box")
    (tmp_path / "k.json").write_text('{"kernel": [[1]], "stride": [2, 2]}')
    line = error_line(
        call("apply", before, "-k", tmp_path / "k.json", "--region", "0,0,9x9", "-o",
             tmp_path / "y.png"), 2,
    )  # fmt: skip
    assert "stride of 2x2" in line


HOLES = np.zeros((120, 150), bool)
HOLES[30:60, 40:80] = HOLES[:9] = HOLES[100:, 149] = True


@pytest.mark.one_in(3)
@pytest.mark.parametrize("channels", ["shared", "each", "mix"])
@pytest.mark.parametrize("how", [{}, {"stride": 2}, {"padding": "valid"}])
def test_masked_pixels_leave_no_trace_in_the_kernel(photo, channels, how):
    target = levels(filter_image(photo, SHARP / 3, border="reflect", **how))
    broken = photo.copy()
    broken[HOLES] = 0
    fit = fit_kernel(broken, target, channels=channels, mask=~HOLES)
    assert fit.verdict == "exact"
    assert fit.rejected == 0
    clean = fit_kernel(photo, target, channels=channels)
    assert 0.4 < fit.pixels / clean.pixels < 0.85
    wanted = filter_image(photo, fit.kernel, border="reflect", padding=how.get("padding", "same"))
    assert np.abs(levels(wanted).astype(int) - target).max() <= 1


@pytest.mark.parametrize("value", [np.nan, -9999.0])
def test_missing_values_are_left_out_channel_by_channel(photo, value):
    target = filter_image(photo, BLUR, border="reflect")
    broken = photo.astype(np.float32)
    broken[..., 1][HOLES] = value
    target[80:90, :, 2] = value
    fit = fit_kernel(broken, target, channels="each", nodata=value)
    assert fit.verdict == "exact"
    np.testing.assert_allclose(fit.weights, np.stack([BLUR] * 3), atol=1e-4)
    whole = 3 * photo.shape[0] * photo.shape[1]
    assert fit.pixels < whole - HOLES.sum() - 10 * 150
    if np.isnan(value):
        with pytest.raises(FitError, match="--nodata nan"):
            fit_kernel(broken, target)


def test_mask_and_region_are_files_and_windows_of_the_command(tmp_path, pair, photo):
    before, after = pair(SHARP / 3)
    broken = photo.copy()
    broken[HOLES] = 255 - broken[HOLES]
    write_image(before, broken, force=True)
    write_image(tmp_path / "mask.png", np.where(HOLES, 100, 200).astype(np.uint8))
    mask = ("--mask", tmp_path / "mask.png")
    assert found(before, after, "--size", "3", *mask)["verdict"] == "exact"
    part = found(before, after, "--size", "3", *mask, "--region", "20,30,90x100")
    assert part["verdict"] == "exact"
    assert part["pixels"] <= 3 * (90 * 100 - 30 * 40)
    assert found(before, after, before, after, "--size", "3", *mask)["pairs"] == 2
    write_image(tmp_path / "small.png", np.zeros((9, 9), np.uint8))
    line = error_line(call("fit", before, after, "--mask", tmp_path / "small.png"), 1)
    assert "make a mask of that size" in line
    line = error_line(call("fit", before, after, *mask, "-o", tmp_path / "mask.png"), 2)
    assert "mask.png" in line
    assert "no such" in error_line(call("fit", before, after, "--mask", tmp_path / "none.png"), 2)


def test_all_masked_is_underdetermined(photo):
    fit = fit_kernel(photo, photo, mask=np.zeros((120, 150)))
    assert fit.verdict == "underdetermined"


def test_archive_of_one_array_is_an_image(tmp_path, photo):
    np.savez_compressed(tmp_path / "x.npz", photo)
    np.savez(tmp_path / "two.npz", photo, photo)
    (tmp_path / "bad.npz").write_bytes((tmp_path / "x.npz").read_bytes()[:999])
    done = call("apply", tmp_path / "x.npz", "-k", "box", "-o", tmp_path / "y.npz")
    assert done.returncode == 0, done.stderr
    made = np.load(tmp_path / "y.npz")["image"]
    np.testing.assert_allclose(made, filter_image(photo, "box"), atol=1e-4)
    assert found(tmp_path / "x.npz", tmp_path / "y.npz")["match"] == "box"
    for name, words in (("two.npz", "2 of them arrays"), ("bad.npz", "truncated or damaged")):
        line = error_line(call("apply", tmp_path / name, "-k", "box", "-o", tmp_path / "z.png"), 1)
        assert words in line
    line = error_line(
        call("apply", tmp_path / "x.npz", "-k", "box", "--max-pixels", "99", "-o", "z.png"), 1
    )
    assert "--max-pixels" in line


PROGRAMS = {"imagemagick": "convert"}


@pytest.mark.parametrize(
    "tool", ["opencv", "scipy", "imagemagick", "vips", "gmic", "ffmpeg", "gegl"]
)
def test_script_is_run_and_its_difference_said(pair, tool):
    before, after = pair("1 2 1; 0 1 0; -1 -1 0 / 3")
    said = found(before, after, "--size", "3", "--script", tool)["script"]
    converted = call("kernels", "convert", "1 2 1; 0 1 0; -1 -1 0 / 3", "--to", tool)
    if tool not in ("opencv", "scipy"):
        assert said["text"] == converted.stdout.decode()
        if not shutil.which(PROGRAMS.get(tool, tool)):
            assert not said["ran"]
            assert "not installed" in said["why"]
            return
    assert said["ran"], said["why"]
    assert said["largest"] <= 1
    assert said["mean"] < 0.01
    assert said["within"] == 1
    assert said["rim"] == (tool != "ffmpeg")


def test_difference_of_a_script_is_that_of_the_target(pair, photo):
    before, after = pair("1 2 1; 0 1 0; -1 -1 0 / 3")
    target = read_image(after).pixels
    target[50:60, 50:60] //= 2
    write_image(after, target, force=True)
    said = found(before, after, "--size", "3", "--script", "scipy")["script"]
    off = np.abs(levels(filter_image(photo, "1 2 1; 0 1 0; -1 -1 0 / 3")).astype(int) - target)
    assert said["largest"] == off.max() > 10
    assert said["mean"] == pytest.approx(off.mean())
    assert said["within"] == pytest.approx((off <= 1).mean())


def test_quiet_script_is_alone_on_stdout(pair):
    before, after = pair(EACH)
    done = call(
        "fit", before, after, "--size", "3", "--channels", "each", "--script", "scipy", "-q"
    )
    assert done.returncode == 0, done.stderr
    names = {"image": read_image(before).pixels}
    exec(done.stdout.decode(), names)
    off = levels(names["result"]).astype(int) - read_image(after).pixels
    assert np.abs(off).max() <= 1
    text = call("fit", before, after, "--size", "3", "--channels", "each", "--script", "scipy")
    assert "scipy, run on the pair: " in text.stdout.decode()
    assert done.stdout in text.stdout


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--script", "json"], "json is no tool"),
        (["--script", "gmic", "--channels", "mix"], "one kernel for all channels"),
        (["--script", "scipy", "--tone"], "linear light or a curve"),
        (["--script", "scipy", "-o", "-"], "cannot carry both"),
    ],
)
def test_tool_that_cannot_is_refused_before_anything(words, reason):
    assert reason in error_line(call("fit", "not-there.png", "nor-this.png", *words), 2)


def test_poor_pair_has_no_script(pair, photo):
    before, after = pair("box")
    write_image(after, np.where(photo > 120, 255, 0).astype(np.uint8), force=True)
    done = call("fit", before, after, "--size", "1", "--script", "scipy", "-q")
    assert done.returncode == 3
    assert done.stdout == b""
