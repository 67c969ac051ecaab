"""conv-cli probe: programs whose truth is known are found out, and those that fail are named."""

import contextlib
import json
import os
import re
import shlex
import signal
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from command import call, error_line, run
from conv_cli.errors import ProgramError
from conv_cli.images import Image, read_image
from conv_cli.kernels.spec import load_kernel
from conv_cli.probing.charts import TILES, Charts, shuffle
from conv_cli.probing.layout import layout_of, seen_by
from conv_cli.probing.probe import probe
from conv_cli.probing.running import Command, in_process
from probe_programs import PROGRAMS

KEYS = {
    "linear", "detail", "kernel", "origin", "bias", "size", "stride", "shift", "match", "rational",
    "channels", "border", "rounding", "light", "opacity", "weighted", "depth", "clips", "apply",
    "runs",
}  # fmt: skip
LIBRARIES = "import sys, numpy as np\nfrom PIL import Image\n"


def wrong_keys(truth, found):
    """Return the keys of which something else is said than the truth."""
    return [key for key, value in truth.items() if not is_right(key, value, found)]


def is_right(key, value, found):
    if value is None and key in ("size", "depth"):
        return True
    if key == "bias":
        return found[key] is not None and np.abs(np.array(found[key]) - value).max() < 0.06
    if key != "kernel":
        return found[key] == value
    if found[key] is None:
        return False
    weights, kernel = np.array(found[key]), np.array(value)
    if weights.shape != kernel.shape:  # tails that no pixel shows, where a name says what it is
        return found["match"] is not None
    return np.abs(weights - kernel).max() < 3e-3 * max(1, np.abs(kernel).max())


def refusing(function):
    def program(pixels):
        try:
            return function(pixels)
        except ValueError as error:
            raise ProgramError(f"program: {error}") from error

    return program


def probed(function, **options):
    return probe(in_process(refusing(function)), **options)


@pytest.mark.one_in(23)
@pytest.mark.parametrize("name", PROGRAMS)
def test_program_is_found_out(name):
    function, truth = PROGRAMS[name]
    found = probed(function).as_dict()
    assert wrong_keys(truth, found) == []
    assert found["runs"] <= 8


def test_there_are_enough_programs():
    assert len(PROGRAMS) >= 60
    kinds = {truth["linear"] for _, truth in PROGRAMS.values()}
    assert kinds == {"yes", "tone", "neighbours", "position", "geometry", "picture", "random"}


def test_every_key_of_the_contract_is_there():
    found = probed(lambda pixels: pixels).as_dict()
    assert found.keys() >= KEYS
    assert json.loads(json.dumps(found)) == found
    assert probed(lambda pixels: pixels[:, ::-1]).as_dict().keys() == found.keys()


def test_wrong_truths_are_seen():
    function, truth = PROGRAMS["even size, origin 0,0"]
    found = probed(function).as_dict()
    assert wrong_keys({**truth, "origin": [1, 0], "border": "wrap"}, found) == ["origin", "border"]


def test_charts_are_as_they_are_meant():
    noise, copies = (np.asarray(Charts().image(name).pixels) for name in ("noise", "copies"))
    assert noise.shape == copies.shape == (240, 360, 3)
    assert (noise.min() > 8, noise.max() < 247) == (True, True)
    first = noise[TILES["first"]]
    assert np.array_equal(copies[TILES["first"]], first)
    assert np.array_equal(copies[TILES["moved"]], first)
    assert np.array_equal(first.reshape(-1, 3)[shuffle()], copies[TILES["shuffled"]].reshape(-1, 3))
    assert copies[TILES["wild"]].min() == 0
    assert copies[TILES["wild"]].max() == 255
    deep = np.asarray(Charts().image("deep").pixels)
    assert deep.dtype == np.uint16
    assert np.abs(deep.astype(int) - 257 * noise.astype(int)).max() == 100
    correlation = np.corrcoef(first[:60, :45].reshape(-1, 3).T)
    assert np.abs(correlation - np.eye(3)).max() < 0.1
    opacity = Charts().image("opacity")
    assert opacity.alpha
    assert set(np.unique(opacity.pixels[:, 120:240, 3])) == {64, 255}


@pytest.mark.parametrize(
    ("shape", "kind"),
    [((240, 360), "same"), ((120, 180), "sampled"), ((80, 360), "sampled"), ((236, 356), "cropped"),
     ((244, 364), "grown"), ((360, 540), None), ((360, 240), None)],
)  # fmt: skip
def test_sizes_are_understood(shape, kind):
    chart = np.asarray(Charts().image("noise").pixels)
    layout = layout_of(chart, np.zeros((*shape, 3), np.uint8))
    assert (layout and layout.kind) == kind


def test_sixteen_bits_are_probed_in_full():
    found = probed(PROGRAMS["rounding down, skew"].run, depth=16).as_dict()
    assert wrong_keys(PROGRAMS["rounding down, skew"].truth, found) == []


@pytest.mark.parametrize("depth", [8, 16])
def test_what_shows_beyond_doubt_is_the_kernel_alone(depth):
    chart = np.asarray(Charts(depth).image("noise").pixels)
    result = PROGRAMS["opacity dropped"].run(chart)
    window, strength = seen_by(chart, result, layout_of(chart, result))
    assert max(window.size) <= 3
    assert np.array_equal(strength, np.eye(3, dtype=bool))


def python(folder, body):
    """Return the words of a program in Python, whose body has the pixels and the file's name."""
    script = folder / "program.py"
    script.write_text(LIBRARIES + textwrap.dedent(body))
    return [sys.executable, str(script), "{in}", "{out}"]


BLUR = """
pixels = np.asarray(Image.open(sys.argv[1])).astype(int)
padded = np.pad(pixels, ((1, 1), (1, 1), (0, 0)), mode="reflect")
sums = sum(padded[i:i + len(pixels), j:j + pixels.shape[1]] * (1 + i + 3 * j)
           for i in range(3) for j in range(3))
Image.fromarray((sums // 45).astype(np.uint8)).save(sys.argv[2])
"""


def test_command_is_found_out_and_its_kernel_does_the_same(tmp_path):
    words = python(tmp_path, BLUR)
    kernel = tmp_path / "kernel.json"
    done = call("probe", "--json", "-o", kernel, "--keep", tmp_path / "kept", "--", *words)
    assert (done.returncode, done.stderr) == (0, b"")
    found = json.loads(done.stdout)
    weights = [[1, 4, 7], [2, 5, 8], [3, 6, 9]]
    assert found["rational"] == {"numerators": weights, "divisor": 45}
    assert (found["border"], found["rounding"], found["bias"]) == ("reflect", "down", 0)
    assert (found["opacity"], found["depth"], found["runs"]) == ("filtered", 8, 4)
    assert np.allclose(load_kernel(str(kernel)).weights, np.array(weights) / 45)
    kept = sorted(path.name for path in (tmp_path / "kept").iterdir())
    assert kept[:2] == ["1-noise-in.png", "1-noise-out.png"]
    chart, theirs = (tmp_path / "kept" / name for name in kept[:2])
    ours = tmp_path / "ours.png"
    command = shlex.split(found["apply"])
    assert command[:2] == ["conv-cli", "apply"]
    files = {"{in}": chart, "{out}": ours}
    assert call(*(files.get(word, word) for word in command[1:])).returncode == 0
    off = np.abs(np.asarray(read_image(ours)).astype(int) - np.asarray(read_image(theirs)))
    assert off.max() == found["largest"] == 0


def test_words_are_a_line_a_key(tmp_path):
    done = call("probe", "--", *python(tmp_path, BLUR))
    lines = done.stdout.decode().splitlines()
    assert done.returncode == 0
    assert lines[0] == "linear      yes"
    assert "border      reflect" in lines
    assert "rounding    down" in lines


def test_program_that_is_not_linear_exits_with_3(tmp_path):
    words = python(tmp_path, "Image.open(sys.argv[1]).transpose(1).save(sys.argv[2])")
    done = call("probe", "--json", "--", *words)
    line = error_line(done, 3) if done.stderr.startswith(b"Error") else done.stderr.decode()
    assert done.returncode == 3
    assert "geometry" in line
    assert json.loads(done.stdout)["linear"] == "geometry"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("sys.exit('no such filter')", "exit code 1: no such filter"),
        ("sys.exit(3)", "exit code 3"),
        ("pass", "left no picture at {out}"),
        ("open(sys.argv[2], 'w').write('<html>')", "is no picture"),
        ("import os; os.kill(os.getpid(), 9)", "ended by signal 9"),
    ],
)
def test_program_that_fails_is_one_line(tmp_path, body, said):
    done = call("probe", "--", *python(tmp_path, body))
    assert said in error_line(done)
    assert done.stdout == b""


def test_broken_picture_is_one_line(tmp_path):
    body = """
    Image.open(sys.argv[1]).save(sys.argv[2])
    whole = open(sys.argv[2], "rb").read()
    open(sys.argv[2], "wb").write(whole[:len(whole) // 2])
    """
    assert "is no picture" in error_line(call("probe", "--", *python(tmp_path, body)))


def test_program_without_end_is_ended_with_all_that_it_started(tmp_path):
    note = tmp_path / "child"
    body = f"""
    import subprocess, time
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    open({str(note)!r}, "w").write(str(child.pid))
    time.sleep(60)
    """
    done = call("probe", "--timeout", "2", "--", *python(tmp_path, body))
    assert "not done after 2 s" in error_line(done)
    assert is_gone(int(note.read_text()))


def is_gone(number):
    """Tell whether a process ends within a while."""
    for _ in range(100):
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            return True
        status = Path(f"/proc/{number}/stat")
        with contextlib.suppress(OSError):
            if status.read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        time.sleep(0.05)
    os.kill(number, signal.SIGKILL)
    return False


def test_missing_program_is_one_line_and_one_object():
    done = call("probe", "--json", "--", "no-such-program", "{in}", "{out}")
    assert "no-such-program: cannot be run" in error_line(done)
    assert "error" in json.loads(done.stdout)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no COMMAND"),
        (("--", "convert", "{in}", "out.png"), "no {out}"),
        (("--", "convert", "in.png", "{out}"), "no {in}"),
        (("--chart", "c.png", "--", "convert", "{in}", "{out}"), "do not go together"),
        (("--timeout", "0", "--", "convert", "{in}", "{out}"), "--timeout"),
        (("--format", "jpg", "--", "convert", "{in}", "{out}"), "--format"),
        (("-o", "kernel.png", "--", "convert", "{in}", "{out}"), ".json"),
    ],
)
def test_wrong_usage_is_one_line(arguments, said):
    assert said in error_line(call("probe", *arguments), 2)


def test_chart_and_result_do_without_a_command(tmp_path):
    chart, result = tmp_path / "chart.png", tmp_path / "out.png"
    assert call("probe", "--chart", chart).returncode == 0
    assert "exists" in error_line(call("probe", "--chart", chart))
    assert call("apply", chart, "-k", "sharpen", "--border", "wrap", "-o", result).returncode == 0
    done = call("probe", "--result", result, "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["linear"], found["match"]) == (0, "yes", "sharpen")
    assert (found["border"], found["runs"], found["opacity"]) == ("wrap", 0, None)
    PilImage.open(chart).transpose(0).save(tmp_path / "flipped.png")
    assert call("probe", "--result", tmp_path / "flipped.png").returncode == 3
    assert "none.png" in error_line(call("probe", "--result", tmp_path / "none.png"))


@pytest.mark.one_in(6)
@pytest.mark.parametrize(
    ("form", "depth"), [("npy", 8), ("tif", 8), ("pnm", 16), ("npy", 16), ("png", 16), ("tif", 16)]
)
def test_formats_and_depths(tmp_path, form, depth):
    if form == "tif":
        pytest.importorskip("tifffile")
    words = [
        sys.executable,
        "-m",
        "conv_cli",
        "apply",
        "{in}",
        "-k",
        "1 2; 3 10 / 16",
        "-o",
        "{out}",
    ]
    if form == "npy":
        words += ["--depth", f"{depth}"]
    found = probe(Command(words, format=form), depth=depth).as_dict()
    assert (found["linear"], found["rational"]["divisor"], found["border"]) == ("yes", 16, "edge")


def test_lossy_result_is_known_by_its_first_bytes(tmp_path):
    body = """
    image = Image.open(sys.argv[1]).convert("RGB")
    image.filter(ImageFilter.Kernel((3, 3), [1, 2, 1, 2, 4, 2, 1, 2, 1])).save(
        sys.argv[2], "JPEG", quality=90)
    """
    words = python(tmp_path, "from PIL import ImageFilter" + textwrap.dedent(body))
    found = probe(Command(words)).as_dict()
    assert (found["linear"], found["size"]) == ("yes", [3, 3])
    assert np.abs(np.array(found["kernel"]) * 16 - [[1, 2, 1], [2, 4, 2], [1, 2, 1]]).max() < 0.6


def test_files_named_in_the_command_are_found(tmp_path):
    python(tmp_path, "Image.open(sys.argv[1]).save(sys.argv[2])")
    done = run("probe", "-q", "--", sys.executable, "program.py", "{in}", "{out}", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")


def test_pixels_of_an_answer_are_not_the_chart():
    """A program that works in place does not change the chart that it is compared with."""

    def in_place(pixels):
        pixels //= 2
        return pixels

    assert probed(in_place).as_dict()["kernel"] == [[0.5]]
    assert Image(np.zeros((2, 2), np.uint8)).alpha is False


def test_report_holds_charts_results_and_the_kernel(tmp_path):
    code = LIBRARIES + "Image.open(sys.argv[1]).transpose(0).save(sys.argv[2])"
    for script, words in (("apply", ["-k", "1 2 3 / 6"]), ("turned", [])):
        command = [sys.executable, "-c", code, "{in}", "{out}"]
        if script == "apply":
            command = [sys.executable, "-m", "conv_cli", "apply", "{in}", *words, "-o", "{out}"]
        done = run("probe", "--report", f"{script}.html", "-q", "--", *command, cwd=tmp_path)
        assert done.returncode == (0 if script == "apply" else 3), done.stderr
        page = (tmp_path / f"{script}.html").read_text("utf-8")
        assert not re.search(r'(src|href)="(?!data:)', page)
        assert ("The same by conv-cli" in page) == (script == "apply")
        assert page.count("chart: ") == 2 * page.count("<figcaption>chart: ")  # and its alt
        assert page.count("<figcaption>chart: ") == page.count("<figcaption>result: ") >= 3
    assert "does not end in .html" in error_line(
        call("probe", "--report", "x.pdf", "--", "true", "{in}", "{out}"), 2
    )
