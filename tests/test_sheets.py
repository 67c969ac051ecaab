"""Sheets, colours, and what notebooks show."""

import base64
import html
import json
import re
import subprocess
import sys
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image as PilImage

from browser import CHROMIUM, Browser
from command import ENVIRONMENT, call, error_line
from conv_cli import Image, Kernel, filter_image, fit_kernel, read_image, write_image
from conv_cli.colormaps import along
from conv_cli.pipeline.looks import Reduced
from conv_cli.report.sheet import Group, Sheet, look_side
from conv_cli.report.sheet_picture import sheet_picture

RDBU = {
    -1: (33, 102, 172),
    -0.5: (146, 197, 222),
    0: (247,) * 3,
    0.5: (244, 165, 130),
    1: (178, 24, 43),
}
"""ColorBrewer's colours, from blue to red."""


def red_to_blue(values, limit):
    """Return colours on a diverging scale, by a way of its own."""
    share = np.clip(np.asarray(values, float) / limit, -1, 1)
    return np.stack(
        [np.interp(share, list(RDBU), [colour[c] for colour in RDBU.values()]) for c in range(3)],
        -1,
    )


def near(pixels, expected):
    return np.abs(np.asarray(pixels, float) - expected).max() <= 1


@pytest.fixture
def grey(tmp_path):
    """A grey picture with all kinds of slopes, and its path."""
    rows, columns = np.mgrid[:40, :60]
    pixels = ((rows * 37 + columns**2 * 11) % 256).astype(np.uint8)
    write_image(tmp_path / "grey.png", pixels)
    return tmp_path / "grey.png", pixels


def written(*arguments, output):
    """Run apply; return the pixels of its output."""
    done = call("apply", *arguments, "-o", output)
    assert done.returncode == 0, done.stderr
    return read_image(output).pixels


# Colours


@pytest.mark.parametrize(
    ("options", "limit"),
    [((), 255), (("--range", "signed"), None), (("--range", "stretch"), None),
     (("--range", "shift"), 128)],
)  # fmt: skip
def test_diverging_colours_are_those_of_the_values(tmp_path, grey, options, limit):
    path, pixels = grey
    made = written(
        path, "-k", "sobel-x", "--colormap", "diverging", *options, output=tmp_path / "o.png"
    )
    values = filter_image(pixels, "sobel-x")
    assert made.dtype == np.uint8
    assert near(made, red_to_blue(values, limit or np.abs(values).max()))
    assert (made[values == 0] == 247).all()


@pytest.mark.parametrize(
    ("options", "ends"),
    [((), (0, 255)), (("--range", "shift"), (-128, 127)), (("--range", "stretch"), None),
     (("--range", "abs"), (0, 255))],
)  # fmt: skip
def test_viridis_takes_its_scale_from_the_range(tmp_path, grey, options, ends):
    path, pixels = grey
    made = written(
        path, "-k", "scharr-y", "--colormap", "viridis", *options, output=tmp_path / "o.png"
    )
    values = filter_image(pixels, "scharr-y")
    values = np.abs(values) if "abs" in options else values
    low, high = ends or (values.min(), values.max())
    assert near(made, along("viridis", (values - low) / (high - low)))


def test_viridis_is_that_of_opencv():
    cv2 = pytest.importorskip("cv2")
    expected = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_VIRIDIS)
    ours = along("viridis", np.arange(256) / 255)
    assert np.abs(ours.astype(int) - expected[:, 0, ::-1]).max() <= 8


def test_percentile_of_the_range_is_that_of_the_colours(tmp_path, grey):
    path, pixels = grey
    made = written(
        path,
        "-k",
        "sobel-x",
        "--colormap",
        "diverging",
        "--range",
        "signed:90",
        output=tmp_path / "o.png",
    )
    magnitudes = np.abs(filter_image(pixels, "sobel-x"))
    share = (made == RDBU[1]).all(-1) | (made == RDBU[-1]).all(-1)
    assert magnitudes[share].min() >= magnitudes[~share].max() * 0.99
    assert 0.08 < share.mean() < 0.13


@pytest.mark.parametrize("suffix", ["tif", "npy"])
def test_depth_of_floats_keeps_the_values_beside_colours(tmp_path, grey, suffix):
    path, pixels = grey
    made = written(
        path,
        "-k",
        "sobel-x",
        "--colormap",
        "diverging",
        "--depth",
        "float32",
        output=tmp_path / f"o.{suffix}",
    )
    np.testing.assert_array_equal(made, filter_image(pixels, "sobel-x"))


def test_colour_image_is_coloured_by_its_grey(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (12, 17, 3)).astype(np.uint8)
    write_image(tmp_path / "i.png", pixels)
    options = ("-k", "sobel-y", "--colormap", "diverging")
    made = written(tmp_path / "i.png", *options, output=tmp_path / "a.png")
    of_grey = written(tmp_path / "i.png", *options, "--channels", "gray", output=tmp_path / "b.png")
    np.testing.assert_array_equal(made, of_grey)
    values = filter_image(pixels.astype(np.float32) @ np.float32([0.299, 0.587, 0.114]), "sobel-y")
    assert near(made, red_to_blue(values, 255))


def test_colours_have_the_opacity_of_the_image(tmp_path):
    pixels = np.random.default_rng(2).integers(0, 256, (9, 8, 4)).astype(np.uint8)
    write_image(tmp_path / "i.png", pixels)
    made = written(
        tmp_path / "i.png", "-k", "box", "--colormap", "viridis", output=tmp_path / "o.png"
    )
    assert made.shape == (9, 8, 4)
    np.testing.assert_array_equal(made[..., 3], pixels[..., 3])


def test_sixteen_bits_become_colours_of_eight(tmp_path):
    pixels = np.random.default_rng(3).integers(0, 65536, (9, 8)).astype(np.uint16)
    write_image(tmp_path / "i.png", pixels)
    options = ("-k", "sobel-x", "--colormap", "diverging", "--range", "signed")
    made = written(tmp_path / "i.png", *options, output=tmp_path / "o.png")
    values = filter_image(pixels, "sobel-x")
    assert near(made, red_to_blue(values, np.abs(values).max()))
    assert written(tmp_path / "i.png", *options, output=tmp_path / "o.jpg").dtype == np.uint8


def test_pixels_without_a_value_are_grey(tmp_path):
    pixels = np.full((9, 12), 7, np.uint8)
    pixels[:, 6:] = 99
    write_image(tmp_path / "i.png", pixels)
    made = written(
        tmp_path / "i.png",
        "-k",
        "identity",
        "--nodata",
        "99",
        "--colormap",
        "viridis",
        output=tmp_path / "o.png",
    )
    assert (made[:, 6:] == 128).all()
    assert near(made[:, :6], along("viridis", 7 / 255))


@pytest.mark.parametrize("options", [("--depth", "16"), ("--alpha", "filter")])
def test_colours_with_what_contradicts_them_are_refused(tmp_path, grey, options):
    done = call(
        "apply", grey[0], "-k", "box", "--colormap", "viridis", *options, "-o", tmp_path / "o.png"
    )
    assert "--colormap" in error_line(done, 2)
    assert not (tmp_path / "o.png").exists()


# Reducing


def test_reduced_map_keeps_a_thin_line():
    values = np.random.default_rng(0).normal(0, 0.2, (900, 1100, 1)).astype(np.float32)
    values[:, 500], values[301] = 60, -80
    small = Reduced(values.shape, 100)
    small.put(0, values)
    made = small.values()[..., 0]
    assert made.shape == (82, 100)
    assert (np.abs(made) >= 60).any(axis=1).all()
    assert (made.max(axis=0) == 60).sum() == 1
    assert (made.min(axis=1) == -80).sum() == 1


def test_reduced_photograph_is_made_of_means():
    values = np.random.default_rng(0).uniform(0, 255, (64, 96, 1))
    small = Reduced(values.shape, 24)
    small.put(0, values)
    means = values.reshape(16, 4, 24, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(small.values()[..., 0], means, rtol=1e-6)
    assert small.extremes == (values.min(), values.max())


@pytest.mark.parametrize("spread", [1.0, 0.01])
def test_reduced_picture_does_not_depend_on_how_rows_come(spread):
    rng = np.random.default_rng(5)
    values = np.where(rng.random((97, 53, 3)) < spread, rng.normal(size=(97, 53, 3)), 0)
    values[4, 4, 1] = np.nan
    whole = Reduced(values.shape, 20)
    whole.put(0, values)
    pieces = Reduced(values.shape, 20)
    cuts = np.sort(rng.choice(np.arange(1, 97), 9, replace=False))
    parts = list(zip([0, *cuts], np.split(values, cuts), strict=True))
    for place in rng.permutation(len(parts)):
        pieces.put(*parts[place])
    np.testing.assert_allclose(pieces.values(), whole.values(), rtol=1e-6)
    assert pieces.extremes == whole.extremes


# Sheets


def figures(page):
    """Return what a page shows: names, captions, and the values as they are read there."""
    found = []
    for text in re.findall(r"<figure .*?</figure>", page, re.DOTALL):
        of = dict(re.findall(r'data-(\w+)="([^"]*)"', text.split(">")[0]))
        packed = base64.b64decode(re.search(r"<script[^>]*>([^<]*)</script>", text)[1])
        levels = np.frombuffer(zlib.decompress(packed), "<u2").astype(float)
        values = np.where(levels == 65535, np.nan, float(of["low"]) + levels * float(of["step"]))
        name, words = (
            html.unescape(re.search(rf"<{t}>([^<]*)<", text)[1])
            for t in ("b", "span class=.range.")
        )
        shape = [int(n) for n in of["shape"].split(",")]
        found.append((name, words, values.reshape(shape)))
    return found


def test_page_holds_input_and_maps_with_their_names_ranges_and_values(tmp_path, grey):
    path, pixels = grey
    done = call("apply", path, "-k", "sobel-x", "-k", "gaussian:1", "--sheet", tmp_path / "s.html")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    shown = figures((tmp_path / "s.html").read_text())
    assert [name for name, _, _ in shown] == ["input", "sobel-x", "gaussian:1"]
    sobel, soft = (filter_image(pixels, kernel) for kernel in ("sobel-x", "gaussian:1"))
    assert shown[1][1] == f"40×60, {sobel.min():.0f} to {sobel.max():.0f}"
    np.testing.assert_array_equal(shown[0][2][..., 0], pixels)
    np.testing.assert_array_equal(shown[1][2][..., 0], sobel)
    np.testing.assert_allclose(shown[2][2][..., 0], soft, atol=np.ptp(soft) / 65000)


def test_sheet_beside_outputs_changes_none_of_them(tmp_path, grey):
    path, _ = grey
    alone = written(path, "-k", "sobel-x", "--range", "signed", output=tmp_path / "a.png")
    beside = written(
        path,
        "-k",
        "sobel-x",
        "--range",
        "signed",
        "--sheet",
        tmp_path / "s.png",
        output=tmp_path / "b.png",
    )
    np.testing.assert_array_equal(alone, beside)
    assert read_image(tmp_path / "s.png").shape[2] == 3


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_picture_holds_each_map_enlarged_as_it_is(tmp_path, suffix):
    path = tmp_path / f"s.{suffix}"
    done = call("apply", "0 0 9; 0 9 0; 9 0 0", "-k", "edge-x", "--sheet", path)
    assert (done.returncode, done.stdout) == (0, b"")
    sheet = read_image(path).pixels.astype(int)
    for colour in (RDBU[1], RDBU[-1], (0, 0, 0), (255, 255, 255)):
        near_it = (np.abs(sheet - colour).max(axis=2) <= 8).sum()
        assert near_it > 2000, colour


def test_map_of_a_large_picture_keeps_its_thin_line_on_the_sheet(tmp_path):
    pixels = np.zeros((1500, 1500), np.uint8)
    pixels[:, 700] = 255
    write_image(tmp_path / "i.png", pixels)
    assert (
        call("apply", tmp_path / "i.png", "-k", "-1 2 -1", "--sheet", tmp_path / "s.png").returncode
        == 0
    )
    sheet = read_image(tmp_path / "s.png").pixels
    columns = (sheet == RDBU[1]).all(axis=2).sum(axis=0)
    assert columns.max() >= 400  # from top to bottom of the map


def test_transparent_pixels_show_paper(tmp_path):
    pixels = np.zeros((30, 30, 4), np.uint8)
    pixels[..., 1] = 255  # green that nobody is to see
    pixels[10:20, 10:20] = 255, 0, 0, 255
    write_image(tmp_path / "i.png", pixels)
    assert (
        call("apply", tmp_path / "i.png", "-k", "box", "--sheet", tmp_path / "s.png").returncode
        == 0
    )
    sheet = read_image(tmp_path / "s.png").pixels.astype(int)
    assert not ((sheet[..., 1] > 200) & (sheet[..., 0] < 100)).any()


def test_several_images_have_a_group_each(tmp_path, grey):
    path, pixels = grey
    write_image(tmp_path / "other.png", pixels[:20, ::-1])
    page = tmp_path / "s.html"
    assert call("apply", path, tmp_path / "other.png", "-k", "box", "--sheet", page).returncode == 0
    text = page.read_text()
    assert re.findall("<h2>(.*?)</h2>", text) == ["grey.png", "other.png"]
    assert [name for name, _, _ in figures(text)] == ["input", "box"] * 2


def test_existing_sheet_is_refused_and_the_rest_is_done(tmp_path, grey):
    path, _ = grey
    (tmp_path / "s.png").write_bytes(b"old")
    both = ("apply", path, "-k", "box", "--sheet", tmp_path / "s.png")
    assert "--force" in error_line(call(*both, "-o", tmp_path / "o.png"), 1)
    assert (tmp_path / "o.png").exists()
    assert "--force" in error_line(call(*both), 1)
    assert (tmp_path / "s.png").read_bytes() == b"old"
    assert call(*both, "--skip-existing").returncode == 0
    assert (tmp_path / "s.png").read_bytes() == b"old"
    assert call(*both, "-f").returncode == 0
    assert read_image(tmp_path / "s.png").shape[2] == 3


def test_sheet_never_overwrites_what_is_read(tmp_path, grey):
    path, pixels = grey
    (tmp_path / "link.png").symlink_to(path)
    done = call("apply", path, "-k", "box", "--sheet", tmp_path / "link.png", "-f")
    assert "input" in error_line(done, 1)
    np.testing.assert_array_equal(read_image(path).pixels, pixels)
    (tmp_path / "k.png").write_bytes(path.read_bytes())
    assert "input" in error_line(
        call("apply", path, "-k", tmp_path / "k.png", "--sheet", tmp_path / "k.png", "-f"), 1
    )


@pytest.mark.parametrize(
    ("name", "code", "word"),
    [("s.gif", 2, "sheet.png"), ("o.png", 2, "map"), ("none/s.png", 1, "folder")],
)
def test_sheet_that_cannot_be_is_refused(tmp_path, grey, name, code, word):
    done = call("apply", grey[0], "-k", "box", "--sheet", tmp_path / name, "-o", tmp_path / "o.png")
    assert word in error_line(done, code)
    assert (tmp_path / "o.png").exists() == (code == 1)


def test_too_many_images_for_a_sheet_are_refused_before_any_work(tmp_path):
    for number in range(101):
        write_image(tmp_path / f"{number}.png", np.zeros((2, 2), np.uint8))
    done = call(
        "apply", tmp_path, "-k", "box", "--sheet", tmp_path / "s.html", "-o", tmp_path / "out"
    )
    assert "100" in error_line(done, 2)
    assert not (tmp_path / "out").exists()


def test_dry_run_makes_no_sheet_and_json_is_of_the_maps_alone(tmp_path, grey):
    path, _ = grey
    both = ("apply", path, "-k", "sobel-x", "--sheet", tmp_path / "s.png")
    assert b"40x60" in call(*both, "--dry-run").stdout
    assert not (tmp_path / "s.png").exists()
    (line,) = call(*both, "--json").stdout.splitlines()
    record = json.loads(line)
    assert record["shape"] == [40, 60]
    assert "output" not in record
    assert (tmp_path / "s.png").exists()


def test_apply_without_any_output_names_the_sheet(grey):
    assert "--sheet" in error_line(call("apply", grey[0], "-k", "box"), 2)


def test_maps_of_a_network_are_grouped_by_layer(tmp_path, grey):
    path, pixels = grey
    model, page = "sobel-x sobel-y | abs", tmp_path / "s.html"
    done = call("net", "apply", model, path, "--sheet", page)
    assert (done.returncode, done.stdout) == (0, b"")
    text = page.read_text()
    assert re.findall("<h2>(.*?)</h2>", text) == ["layer 1: 2 maps", "layer 2: 2 maps"]
    shown = figures(text)
    assert [name for name, _, _ in shown] == ["input", *["map 1", "map 2"] * 2]
    sobel = filter_image(pixels, "sobel-y")
    np.testing.assert_array_equal(shown[2][2][..., 0], sobel)
    np.testing.assert_array_equal(shown[4][2][..., 0], np.abs(sobel))
    arrays = ("--format", "npy", "-o", tmp_path / "maps", "--sheet", tmp_path / "t.html")
    assert call("net", "apply", model, path, *arrays).returncode == 0
    assert np.load(tmp_path / "maps" / "grey.1.npy").shape == (2, 40, 60)
    assert (tmp_path / "t.html").read_text() == text
    assert "--sheet" in error_line(call("net", "apply", model, path), 2)


def test_sheet_of_a_search_shows_hits_and_scores(tmp_path):
    pixels = np.random.default_rng(4).integers(0, 256, (50, 70, 3)).astype(np.uint8)
    write_image(tmp_path / "i.png", pixels)
    page = tmp_path / "s.html"
    done = call(
        "find", tmp_path / "i.png", tmp_path / "i.png", "--crop", "12,20,9x9", "--sheet", page
    )
    assert done.returncode == 0
    assert done.stdout.startswith(b"1.0000 12 20 9x9")
    (name, _, framed), (_, _, scores) = figures(page.read_text())
    assert name == "1 hit"
    assert (framed[24, 30] != pixels[24, 30]).any()
    assert np.unravel_index(scores[..., 0].argmax(), (42, 62)) == (12, 20)


def test_bank_of_kernels_is_a_sheet(tmp_path):
    page = tmp_path / "s.html"
    np.savez(tmp_path / "bank.npz", np.array([[1, -2.0, 0.5]]), np.eye(3))
    assert call("kernels", "show", tmp_path / "bank.npz", "--sheet", page).returncode == 0
    (_, words, first), (_, _, second) = figures(page.read_text())
    assert words == "1×3, -2 to 1"
    np.testing.assert_allclose(first[..., 0], [[1, -2, 0.5]], atol=1e-4)
    np.testing.assert_array_equal(second[..., 0], np.eye(3))
    assert "--force" in error_line(call("kernels", "show", "kirsch", "--sheet", page), 1)


def test_kernels_over_three_channels_are_in_colours(tmp_path):
    weight = np.random.default_rng(6).normal(size=(5, 3, 4, 4))
    layers = [{"conv": {"weight": weight.tolist()}}, {"relu": {}}]
    (tmp_path / "m.json").write_text(json.dumps({"layers": layers}))
    page = tmp_path / "s.html"
    assert call("net", "info", tmp_path / "m.json", "--sheet", page).returncode == 0
    shown = figures(page.read_text())
    assert [name for name, _, _ in shown] == [f"map {n}" for n in range(1, 6)]
    np.testing.assert_allclose(shown[3][2], weight[3].transpose(1, 2, 0), atol=2e-4)
    none = call("net", "info", tmp_path / "m.json", "--layer", "2", "--sheet", tmp_path / "t.png")
    assert "layer 2" in error_line(none, 2)


@pytest.mark.parametrize("count", [1, 5, 40, 400])
def test_captions_of_a_picture_keep_their_size_and_place(count):
    from conv_cli.report.kernel_sheet import weights_look

    name = "a name that is much longer than any place there can be for it on a sheet of pictures"
    look = weights_look(name, np.array([[1.0, -1.0]]))
    pixels = sheet_picture(Sheet("", (Group("", (look,) * count),)))
    assert pixels.shape[0] * pixels.shape[1] < 30e6
    edge = 16
    assert (pixels[:, : edge - 1] == 255).all()
    assert (pixels[:, 1 - edge :] == 255).all()
    below = pixels[edge + 160 // 2 + 6 :, edge : edge + 160].min(axis=2) < 128  # a box of 160
    lines = np.flatnonzero(np.diff(below[:60].any(axis=1).astype(int)) == 1)
    assert len(lines) >= 2


def test_room_of_a_page_is_shared():
    assert look_side(1, "a.html") == 512
    sides = [look_side(count, "a.html") for count in (10, 100, 1000)]
    assert sides == sorted(sides, reverse=True)
    assert all(
        side * side * count <= 1 << 22 for side, count in zip(sides, (10, 100, 1000), strict=True)
    )


# The page, opened


CONTRAST = """(() => {
  const light = text => { const [r, g, b] = text.match(/[0-9.]+/g).slice(0, 3).map(v => {
    v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  return Math.min(...[...document.querySelectorAll("h1,h2,p,kbd,b,span,output,button")]
    .filter(e => e.textContent.trim() && !e.querySelector("img")).map(e => {
      let ground = e;
      while (ground && getComputedStyle(ground).backgroundColor === "rgba(0, 0, 0, 0)") ground = ground.parentElement;
      const [a, b] = [light(getComputedStyle(e).color),
                      ground ? light(getComputedStyle(ground).backgroundColor) : 1];
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); }));
})()"""


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with Browser() as opened:
        yield opened


@pytest.mark.parametrize("width", [360, 1440])
def test_page_works_by_keyboard_and_pointer_and_asks_for_nothing(tmp_path, grey, browser, width):
    path, pixels = grey
    assert (
        call("apply", path, "-k", "sobel-x", "-k", "box", "--sheet", tmp_path / "s.html").returncode
        == 0
    )
    sobel, soft = filter_image(pixels, "sobel-x"), filter_image(pixels, "box")
    browser.resize(width, 800)
    browser.open(tmp_path / "s.html")
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    alts = browser.run("[...document.querySelectorAll('figure img')].map(image => image.alt)")
    assert [alt.split(":")[0] for alt in alts] == ["input", "sobel-x", "box"]
    assert str(int(sobel.min())) in alts[1]
    assert browser.run(CONTRAST) >= 4.5

    browser.press("Tab")
    browser.press("ArrowRight")
    browser.press("Enter")
    value = "document.querySelector('dialog output').value"
    browser.wait(f"{value}.startsWith('row 20, column 30:')")
    assert browser.run(value) == f"row 20, column 30: {sobel[20, 30]:.0f}"
    browser.press("ArrowDown")
    browser.press("ArrowLeft")
    browser.wait(f"{value} === 'row 21, column 29: {sobel[21, 29]:.0f}'")
    browser.press("PageDown")
    browser.wait("document.querySelector('dialog h2').textContent === 'box'")
    browser.wait(f"{value}.startsWith('row 20, column 30:')")
    assert float(browser.run(value).split(": ")[1]) == pytest.approx(soft[20, 30], abs=0.01)
    browser.press("Escape")
    assert not browser.run("document.querySelector('dialog').open")
    browser.wait("document.activeElement === document.querySelectorAll('.open')[2]")

    x, y, w, h = browser.run(
        "(() => { const b = document.querySelectorAll('.open img')[1].getBoundingClientRect();"
        "return [b.x, b.y, b.width, b.height]; })()"
    )
    browser.point(x + w * 10.5 / 60, y + h * 5.5 / 40)
    browser.wait(
        "document.querySelectorAll('figure output')[1].value === "
        f"'row 5, column 10: {sobel[5, 10]:.0f}'"
    )
    browser.point(x + w * 10.5 / 60, y + h * 5.5 / 40, click=True)
    browser.wait("document.querySelector('dialog').open")
    assert browser.complaints == []
    assert browser.requests == []


def test_page_is_not_broken_by_names(tmp_path, grey):
    name = tmp_path / "<b>&\"'.png"
    name.write_bytes(grey[0].read_bytes())
    assert call("apply", name, "-k", "box", "--sheet", tmp_path / "s.html").returncode == 0
    text = (tmp_path / "s.html").read_text()
    assert "<b>&" not in text
    assert not re.search(r"(src|href)=\"(?!data:)", text)
    assert "http" not in text.replace("http-equiv", "")


# Notebooks


def opened(data):
    return np.asarray(PilImage.open(BytesIO(data)).convert("RGB"))


def test_image_of_a_map_shows_the_sign_of_its_values():
    values = np.float32([[-2, 0], [1, 2]])
    shown = Image(values)
    pixels = opened(shown._repr_png_())
    assert near(pixels[::128, ::128][:2, :2], red_to_blue(values, 2))
    page = shown._repr_html_()
    assert "-2 to 2" in page
    assert "data:image/png" in page


def test_image_shows_its_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3)).astype(np.uint8)
    np.testing.assert_array_equal(opened(Image(pixels)._repr_png_()), pixels)
    assert "300×400×3 uint8" in Image(pixels)._repr_html_()
    assert opened(Image(np.full((4, 4), np.nan))._repr_png_()).shape == (256, 256, 3)


def test_kernel_shows_its_weights():
    kernel = Kernel([[1, -20], [0.25, 3]])
    assert set(re.findall(r">\s*(-?[0-9.]+)\s*</td>", kernel._repr_html_())) == {
        "1",
        "-20",
        "0.25",
        "3",
    }
    assert opened(kernel._repr_png_()).shape[2] == 3
    assert "<img" in Kernel(np.ones((101, 101)))._repr_html_()


def test_fit_shows_its_verdict_and_kernels():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (40, 40, 3)).astype(np.uint8)
    fit = fit_kernel(x[..., 0], filter_image(x[..., 0], "sobel-x"), size=3)
    assert fit.verdict in fit._repr_html_()
    assert "<table" in fit._repr_html_()
    assert opened(fit._repr_png_()).shape[2] == 3
    each = fit_kernel(x, filter_image(x, "sobel-x"), size=3, channels="each")
    assert each._repr_html_().count('class="kernel"') >= 3
    assert opened(each._repr_png_()).shape[2] == 3


def test_nothing_that_draws_is_loaded_before_a_notebook_asks():
    code = (
        "import sys, conv_cli\n"
        "conv_cli.Kernel([[1]]), conv_cli.Image, conv_cli.Fit\n"
        "assert not [name for name in sys.modules if name.startswith('conv_cli.report')]"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
