"""The lesson: a page on one's own photograph, whose commands give what it says."""

import base64
import html
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from command import call, error_line
from conv_cli import corr2d, read_image
from examples import ROOT, workplace_in

LANDSCAPE = ROOT / "sample_images" / "landscape.jpg"


def photographs():
    """Return makers of photographs of every kind, by the name of their file."""
    landscape = Image.open(LANDSCAPE)
    small = landscape.resize((300, 200))
    grey = np.asarray(small.convert("L"))
    with_opacity = np.dstack([np.asarray(small), np.full(grey.shape, 255, np.uint8)])
    with_opacity[:60, :60, 3], with_opacity[60:90, :, 3] = 0, 128
    one_edge = np.where(np.arange(140) < 70, 50, 200) * np.ones((100, 1), int)
    return {
        "landscape.jpg": landscape,
        "tiny.png": Image.fromarray(grey[60:124, 100:164]),
        "a portrait.png": small.rotate(90, expand=True),
        "panorama.png": Image.fromarray(np.tile(np.asarray(landscape)[300:420], (1, 2, 1))),
        "opacity.png": Image.fromarray(with_opacity),
        "dark.png": Image.fromarray(grey // 20),
        "edge.png": Image.fromarray(one_edge.astype(np.uint8)),
        "deep.png": Image.fromarray(grey.astype(np.uint16) * 200),
        "floats.tif": Image.fromarray(grey.astype(np.float32) / 255),
        "noise.png": Image.fromarray(
            np.random.default_rng(0).integers(0, 256, (90, 150), np.uint8)
        ),
    }


class Page(HTMLParser):
    """What a page holds: pictures by caption, commands, texts, and tags with their attributes."""

    def __init__(self, text):
        super().__init__()
        self.text, self.tags, self.open = text, [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def commands(self):
        """Return the commands, one a line."""
        blocks = re.findall(r"<code>(conv-cli [^<]+)</code></pre>", self.text)
        return [line for block in blocks for line in html.unescape(block).splitlines()]

    def picture(self, start):
        """Return the pixels of the picture whose caption begins so."""
        found = re.search(rf'base64,([^"]+)"[^>]*><figcaption>{re.escape(start)}', self.text)
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))))

    def says(self, pattern):
        """Return the numbers of a sentence, without the commas between thousands."""
        words = html.unescape(re.sub(r"<[^>]+>", "", self.text)).replace("−", "-")
        found = re.search(pattern.replace(" ", r"\s+"), words, re.DOTALL)
        assert found, pattern
        return [float(number.replace(",", "")) for number in found.groups()]

    def matrix(self, caption):
        """Return the numbers of a table."""
        body = re.search(rf"<caption>{caption}</caption><tbody>(.*?)</tbody>", self.text)[1]
        rows = re.findall(r"<tr>(.*?)</tr>", body)
        cells = [re.findall(r"<td>(.*?)</td>", row) for row in rows]
        return [[float(cell.replace("−", "-").replace(",", "")) for cell in row] for row in cells]


@pytest.fixture(scope="module", params=[
    pytest.param(name, marks=[] if name == "tiny.png" else [pytest.mark.slow])
    for name in photographs()
])  # fmt: skip
def typed(request, tmp_path_factory):
    """A page, the folder in which all of its commands have been typed, and what these printed."""
    place = workplace_in(tmp_path_factory.mktemp("student"))
    picture = photographs()[request.param]
    picture.save(place.folder / request.param)
    done = call("lesson", request.param, "-o", "lesson.html", cwd=place.folder)
    assert (done.returncode, done.stderr) == (0, b"lesson.html: open it in a browser\n")
    page = Page((place.folder / "lesson.html").read_text("utf-8"))
    model = re.search(r'<code>(\{"layers".*?)</code>', page.text)[1]
    (place.folder / "two-layers.json").write_text(html.unescape(model))
    printed = {}
    for command in page.commands():
        run = place.run("bash", "-c", f"{command} --json" if " fit " in command else command)
        assert run.returncode in ((0, 3) if " fit " in command else (0,)), (command, run.stderr)
        printed[command] = run.stdout
    return page, place.folder, printed


def of(printed, pattern):
    """Return what the only command printed that a pattern matches."""
    (found,) = [text for command, text in printed.items() if re.search(pattern, command)]
    return found


def test_pictures_are_what_the_commands_write(typed):
    page, folder, _ = typed
    small = page.picture("small.png" if (folder / "small.png").exists() else "opaque/")
    file = "small.png" if (folder / "small.png").exists() else "opaque/with-opacity.1.1.png"
    assert (small == np.asarray(Image.open(folder / file))).all()
    for name in ("dense", "correlated", "convolved", "rising", "strong", "found", "field"):
        assert (page.picture(f"{name}.png") == read_image(folder / f"{name}.png").pixels).all(), (
            name
        )


def test_map_of_the_moved_picture_is_the_moved_map(typed):
    page, folder, _ = typed
    moved, whole = np.load(folder / "map-moved.npy"), np.load(folder / "map.npy")
    rows, columns = (a - b for a, b in zip(whole.shape, moved.shape, strict=True))
    apart = np.abs(whole[rows + 1 :, columns + 1 :] - moved[1:, 1:])
    assert page.says("Compare all ([\\d,]+) pixels .* the largest difference is ([\\d.]+)") == [
        apart.size, apart.max(),
    ]  # fmt: skip
    assert apart.max() == 0


def test_one_pixel_comes_from_nine(typed):
    page, _, printed = typed
    sums = page.says(
        "Their weighted sum is (-?[\\d,]+)\\..*From nine pixels alone it is (-?[\\d,]+)"
    )
    for text, value in zip((of(printed, "explain (small|opaque).*sobel-x"), of(printed, "nine.png.*--at")),
                           sums, strict=True):  # fmt: skip
        assert float(re.search(r"pixel.*? (-?[\d.]+)$|sum +(-?[\d.]+)", text)[2]) == value
    window = page.matrix("The pixels of the window")
    weights = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    assert float((np.array(window) * weights).sum()) == sums[0] == sums[1]


def test_patch_is_found_where_the_page_says(typed):
    page, _, printed = typed
    best = [float(word) for word in of(printed, "find .*hidden.png").split()[:3]]
    row = re.search(r"hidden.png</th><td>row (\d+), column (\d+)</td><td>([\d.]+)<", page.text)
    assert (int(row[1]), int(row[2])) == tuple(best[1:])
    assert float(row[3]) == pytest.approx(best[0], abs=1e-3)


def test_typed_matrices_give_what_is_shown(typed):
    page, _, printed = typed
    for option, caption in (("valid", "correlated"), ("convolve", "convolved")):
        text = of(printed, rf'apply "0 1 2.*{option}$')
        shown = [[float(word) for word in line.split()] for line in text.splitlines()]
        assert page.matrix(caption) == shown
    line = re.search(r'apply "([\d ]+)" -k "1 -1"', "\n".join(printed))[1]
    pixels = np.array([[float(word) for word in line.split()]])
    steps = [float(word) for word in of(printed, 'apply "[\\d ]+" -k "1 -1"').split()]
    assert page.matrix("each less its right neighbour") == [steps]
    assert corr2d(pixels, np.array([[1.0, -1.0]])).tolist() == [steps]


def test_learned_kernels_are_those_of_the_commands(typed):
    page, _, printed = typed
    down = json.loads(of(printed, "--method gd"))
    first, last = down["losses"][0], down["losses"][-1]
    said = page.says("The loss falls from ([\\d,]+) to ([\\d.e+,-]+[\\de])")
    assert said[0] == round(first)
    assert said[1] == pytest.approx(last, rel=0.01)
    best = json.loads(of(printed, "fit .* edges.npy$"))
    assert f"<strong>{best['verdict']}</strong>, {best['size'][0]}×{best['size'][1]}" in page.text
    strength = json.loads(of(printed, "fit (small|opaque)[^ ]* strength.npy$"))
    assert f"the verdict is <strong>{strength['verdict']}</strong>" in page.text
    two = json.loads(of(printed, "net fit"))
    share = page.says("explain ([\\d.]+)% of pixels")[0]
    assert share == pytest.approx(100 * two["r2"], abs=0.01)


def test_counts_are_those_of_the_picture(typed):
    page, folder, printed = typed
    rows, columns, channels = page.says("has ([\\d,]+) × ([\\d,]+) × (\\d)")
    name = next(command.split(" -")[0] for command in page.commands())
    with Image.open(folder / name.removeprefix("conv-cli apply ").strip("'")) as picture:
        assert (columns, rows) == picture.size
    (weights,) = page.says("outputs needs ([\\d,]+) weights")
    assert weights == rows * columns * channels * 1000
    lines = of(printed, "net info sobel-x").splitlines()
    assert lines[1].split()[3] == "9"


def test_page_refers_to_nothing_outside_and_can_be_read_by_everybody(typed):
    page, _, _ = typed
    assert len(page.text) < 6_000_000
    assert not re.search(r'(src|href)="(?!data:|#)|url\(|@import|<script', page.text)
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(pictures) >= 12
    assert all(attributes["alt"] for attributes in pictures)
    assert all(attributes["aria-label"] for tag, attributes in page.tags if tag == "math")
    levels = [tag for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels == ["h1"] + ["h2"] * 11
    names = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    links = [attributes["href"][1:] for tag, attributes in page.tags if tag == "a"]
    assert len(set(names)) == len(names)
    assert set(links) <= set(names)


def test_page_fits_a_phone_and_a_wide_screen(tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("chromium is not installed")
    photographs()["tiny.png"].save(tmp_path / "p.png")
    assert call("lesson", "p.png", "-o", "p.html", cwd=tmp_path).returncode == 0
    # The page tells its own width, and what went wrong, in place of its title.
    page = (tmp_path / "p.html").read_text("utf-8")
    (tmp_path / "told.html").write_text(page.replace("</body>", _TELLING + "</body>"), "utf-8")
    for width in (500, 1440):  # headless windows are no narrower
        done = subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
             f"--user-data-dir={tmp_path}/profile", f"--window-size={width},900",
             (tmp_path / "told.html").as_uri()],
            check=True, capture_output=True, timeout=120, text=True,
        )  # fmt: skip
        told = json.loads(re.search(r"<title>(.*?)</title>", done.stdout)[1])
        assert told == {"wider": False, "requests": 0, "broken": 0}


_TELLING = """<script>addEventListener("load", () => { document.title = JSON.stringify({
wider: document.documentElement.scrollWidth > innerWidth,
requests: performance.getEntriesByType("resource").filter(e => !e.name.startsWith("data:")).length,
broken: [...document.images].filter(i => !i.naturalWidth).length }) })</script>"""


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (np.arange(63 * 90, dtype=np.uint16).reshape(63, 90), "has 63 rows and 90 columns, and the lesson needs 64 of each"),
        (np.full((80, 80), 7, np.uint8), "is even everywhere"),
        (np.zeros((80, 80, 2), np.uint8), "has 2 bands"),
        (np.full((80, 80), np.nan, np.float32), "holds NaN"),
    ],
)  # fmt: skip
def test_picture_that_has_nothing_to_teach_is_refused(tmp_path, picture, reason):
    np.save(tmp_path / "p.npy", picture)
    done = call("lesson", "p.npy", "-o", "p.html", cwd=tmp_path)
    assert error_line(done, 1).startswith(f"Error: p.npy: {reason}")
    assert not (tmp_path / "p.html").exists()


def test_page_is_never_put_over_the_photograph_or_another_file(tmp_path):
    photographs()["tiny.png"].save(tmp_path / "p.png")
    (tmp_path / "there.html").write_text("mine")
    assert "does not end in .html" in error_line(
        call("lesson", "p.png", "-o", "p.pdf", cwd=tmp_path), 2
    )
    assert "there.html" in error_line(call("lesson", "p.png", "-o", "there.html", cwd=tmp_path), 1)
    assert (tmp_path / "there.html").read_text() == "mine"
    assert "nowhere.png: no such file" in error_line(
        call("lesson", "nowhere.png", "-o", "x.html", cwd=tmp_path), 1
    )
