"""conv-cli kernels: real processes, as a shell starts them."""

import io
import json
import os
import pty
import re
import resource
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from command import ENVIRONMENT
from conv_cli import Kernel, load_kernel, read_image
from conv_cli.cli.kernels import TARGETS
from conv_cli.kernels.catalogue import CATALOGUE
from conv_cli.kernels.formats import dump_kernel
from conv_cli.kernels.tools import strings
from test_cli_apply import ROOT, conv_cli, one_error_line, succeed


def lines(done):
    return done.stdout.decode().splitlines()


def objects(done):
    return [json.loads(line) for line in lines(done)]


def test_list_has_a_line_for_every_built_in_and_its_parameters():
    printed = lines(succeed("kernels", "list"))
    assert max(map(len, printed)) <= 80
    named = [line[13:].split()[0] for line in printed if line.startswith(("→", "↓"))]
    assert named == list(CATALOGUE)
    assert any(line.strip() == ":sigma=1,size" for line in printed)
    assert any(line.startswith("→ ≡·█ ") and "sobel-x" in line for line in printed)
    assert any(line.startswith("↓ ≡·█ ") and "sobel-y" in line for line in printed)
    assert "·" in " ".join(printed[-3:])  # the legend


def test_every_listed_name_is_a_kernel_without_parameters():
    entries = objects(succeed("kernels", "list", "--json"))
    assert [entry["name"] for entry in entries] == list(CATALOGUE)
    by_name = {entry["name"]: entry for entry in entries}
    assert by_name["kirsch"]["members"][0] == "kirsch-n"
    sigma, size = by_name["gaussian"]["parameters"]
    assert (sigma["name"], sigma["default"], size["default"]) == ("sigma", 1.0, None)
    flags = [word for name in by_name for word in ("-k", name)]
    photo = ROOT / "sample_images" / "square.png"
    succeed("apply", photo, *flags, "-o", "nowhere/", "--dry-run", "--name", "{index}{ext}",
            "--padding", "full")  # fmt: skip


def test_show_draws_the_matrix_and_tells_the_facts():
    printed = lines(succeed("kernels", "show", "sobel-x"))
    assert [line.split() for line in printed[:3]] == [["-1", "0", "1"], ["-2", "0", "2"], ["-1", "0", "1"]]  # fmt: skip
    text = "\n".join(printed)
    assert "\x1b" not in text
    for fact in ("3x3, origin at row 1, column 1", "0 = 4 - 4", "-1020 to 1020", "1 of 3: column (1 2 1) times row (-1 0 1)",
                 "antisymmetric left to right", "band-pass", "4 pixels from left to right", "direct "):  # fmt: skip
        assert fact in text


def test_show_gives_the_same_facts_to_scripts():
    (facts,) = objects(succeed("kernels", "show", "pillow-emboss", "--json"))
    assert facts["name"] == "pillow-emboss"
    assert facts["size"] == [3, 3]
    assert facts["origin"] == [1, 1]
    assert (facts["sum"], facts["positive_sum"], facts["negative_sum"]) == (0, 1, -1)
    assert facts["bias"] == 128
    assert facts["range"] == [128 - 255, 128 + 255]
    assert facts["rank"] == 2
    assert facts["factors"] is None
    assert facts["response"]["kind"] == "high-pass"
    assert {"direct", "gemm", "fft"} <= set(facts["costs"])
    assert min(facts["costs"], key=facts["costs"].get) == next(iter(facts["costs"]))
    assert facts["weights"] == [[0, 0, 0], [0, 1, 0], [-1, 0, 0]]


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ("identity", "all-pass"),
        ("gaussian:2", "low-pass"),
        ("box:5", "low-pass"),
        ("laplacian", "high-pass"),
        ("1 -1", "high-pass"),
        ("sobel-y", "band-pass"),
        ("log:2", "band-pass"),
        ("sharpen", "boost"),
        ("0 0", "none"),
        ("5", "all-pass"),
    ],
)
def test_the_response_is_told_in_words(spec, kind):
    (facts,) = objects(succeed("kernels", "show", spec, "--json"))
    assert facts["response"]["kind"] == kind
    assert facts["response"]["words"]


def test_the_band_and_the_rank_are_where_theory_has_them():
    (log,) = objects(succeed("kernels", "show", "log:3", "--json"))
    response = log["response"]
    frequency = np.hypot(response["row_frequency"], response["column_frequency"])
    assert frequency == pytest.approx(np.sqrt(2) / (2 * np.pi * 3), abs=0.01)
    assert log["rank"] == 2
    (gaussian,) = objects(succeed("kernels", "show", "gaussian:3", "--json"))
    assert gaussian["rank"] == 1
    factors = gaussian["factors"]
    np.testing.assert_allclose(np.outer(factors["column"], factors["row"]), gaussian["weights"], atol=1e-17)  # fmt: skip
    # exp(-2π²σ²f²) is a half at f = sqrt(ln 2 / 2) / πσ.
    assert gaussian["response"]["cutoff"] == pytest.approx(np.sqrt(np.log(2) / 2) / (3 * np.pi), abs=0.01)  # fmt: skip


def test_a_set_is_shown_kernel_by_kernel():
    assert [facts["name"] for facts in objects(succeed("kernels", "show", "roberts", "--json"))] == ["roberts-x", "roberts-y"]  # fmt: skip
    assert lines(succeed("kernels", "show", "roberts")).count("") == 3


def test_the_picture_has_the_colours_the_origin_and_the_numbers(tmp_path):
    path = tmp_path / "k.png"
    succeed("kernels", "show", "-2 0 1; 0 0 0", "-o", path)
    picture = np.asarray(read_image(path)).astype(int)
    assert picture.shape[2] == 3
    left, middle, right = (picture[24, x] for x in (24, 120, 216))
    assert left[2] > left[0] + 50
    assert np.ptp(middle) < 10
    assert right[0] > right[2] + 50
    dark = np.argwhere((picture < 10).all(axis=2))[:, 1]
    assert np.isin([113, 207], dark).all()  # the frame of the origin, in the middle column
    assert (picture[16:112, 16:112] == 255).all(axis=2).sum() > 20  # the number, in white on blue
    blank = tmp_path / "zero.png"
    succeed("kernels", "show", "0 0; 0 0", "-o", blank)
    assert (np.asarray(read_image(blank))[60:64, 60:64] < 100).any()  # its number, in black


def test_the_table_has_every_number_and_no_markup_of_the_name(tmp_path):
    source = tmp_path / "<b>&.csv"
    source.write_text("1,-2\n3,1/3\n")
    succeed("kernels", "show", source, "-o", tmp_path / "k.html")
    page = (tmp_path / "k.html").read_text(encoding="utf-8")
    assert re.findall(r">(-?[\d.]+)</td>", page) == ["1", "-2", "3", "0.333"]
    assert "<b>" not in page
    assert page.count('class="origin"') == 1


def test_a_picture_is_not_overwritten_without_force(tmp_path):
    path = tmp_path / "k.png"
    path.write_bytes(b"precious")
    line = one_error_line(conv_cli("kernels", "show", "box", "-o", path), 1)
    assert "exists; use --force" in line
    assert path.read_bytes() == b"precious"
    succeed("kernels", "show", "box", "-o", path, "--force")
    assert read_image(path).shape[2] == 3
    assert "give a .png or .html" in one_error_line(conv_cli("kernels", "show", "box", "-o", tmp_path / "k.gif"), 2)  # fmt: skip


@pytest.mark.parametrize(
    ("target", "ending"),
    [("json", "json"), ("csv", "csv"), ("txt", "txt"), ("npy", "npy"), ("vips", "mat")],
)
def test_convert_writes_files_that_are_read_again(tmp_path, target, ending):
    path = tmp_path / f"k.{ending}"
    succeed("kernels", "convert", "1 2 3; 4 5 1/3; 7 8 9", "--to", target, "-o", path)
    kernel = load_kernel(path)
    np.testing.assert_array_equal(kernel.weights, [[1, 2, 3], [4, 5, 1 / 3], [7, 8, 9]])
    assert kernel.origin == (1, 1)
    to_stdout = succeed("kernels", "convert", "1 2 3; 4 5 1/3; 7 8 9", "--to", target).stdout
    assert to_stdout == path.read_bytes()
    line = one_error_line(conv_cli("kernels", "convert", "box", "--to", target, "-o", path), 1)
    assert "exists; use --force" in line


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("imagemagick", "3x2+1+1: 6,5,4 3,2,1\n"),
        ("gmic", "(1,2,3;4,5,6)\n"),
        ("vips", "3 3 1 0\n0 0 0\n1 2 3\n4 5 6\n"),
    ],
)
def test_convert_prints_the_string_alone(target, expected):
    assert succeed("kernels", "convert", "1 2 3; 4 5 6", "--to", target).stdout.decode() == expected


def test_the_command_knows_every_target_of_the_library():
    assert list(TARGETS) == list(strings.TARGETS)


def test_convert_refuses_or_approximates_with_the_error_on_stderr():
    line = one_error_line(conv_cli("kernels", "convert", "gaussian:1", "--to", "ffmpeg"), 2)
    assert "--approximate" in line
    done = succeed("kernels", "convert", "gaussian:1", "--to", "ffmpeg", "--approximate")
    assert done.stdout.startswith(b"convolution=0m=0 8 35 ")
    assert re.search(r"differs by at most 0\.\d+ of 255 levels", done.stderr.decode())
    assert b"--approximate" not in conv_cli("kernels", "convert", "1 1", "--to", "ffmpeg").stderr


def test_kernels_are_changed_before_they_are_written():
    def converted(*options):
        return succeed("kernels", "convert", "1 2 1", "--to", "gmic", *options).stdout.decode()

    assert converted("--normalize", "sum") == "(0.25,0.5,0.25)\n"
    assert succeed("kernels", "convert", "1 2 4", "--to", "gmic", "--convolve").stdout == b"(4,2,1)\n"  # fmt: skip
    (shown,) = objects(succeed("kernels", "show", "1 -3", "--normalize", "abs", "--bias", "7", "--json"))  # fmt: skip
    assert (shown["weights"], shown["bias"]) == ([[0.25, -0.75]], 7)
    assert "no bias" in one_error_line(conv_cli("kernels", "convert", "pillow-emboss", "--to", "gmic"), 2)  # fmt: skip
    succeed("kernels", "convert", "pillow-emboss", "--to", "gmic", "--bias", "0")


def test_compose_makes_the_kernel_of_the_chain(tmp_path):
    succeed("kernels", "compose", "1 2", "1; -1", "identity", "-o", tmp_path / "c.json")
    kernel = load_kernel(tmp_path / "c.json")
    np.testing.assert_array_equal(kernel.weights[1:3, 1:3], [[1, 2], [-1, -2]])
    assert kernel.origin == (1, 1)
    chain = objects(succeed("kernels", "compose", "roberts"))[0]
    assert chain["kernel"] == [[0, 1, 0], [-1, 0, -1], [0, 1, 0]]


def test_rotate_turns_counter_clockwise(tmp_path):
    def rotated(spec, angle):
        return objects(succeed("kernels", "rotate", spec, angle))[0]["kernel"]

    assert rotated("1 2 3", "90") == [[3], [2], [1]]
    assert rotated("1 2 3", "-90") == [[1], [2], [3]]
    assert rotated("-1 2 3", "-90") == [[-1], [2], [3]]
    assert rotated("1 2; 3 4", "180") == rotated("1 2; 3 4", "-180") == [[4, 3], [2, 1]]
    for steps, name in enumerate(("kirsch-n", "kirsch-nw", "kirsch-w", "kirsch-sw", "kirsch-s")):
        assert rotated("kirsch-n", str(45 * steps)) == load_kernel(name).weights.tolist()
    assert "multiple of 45" in one_error_line(conv_cli("kernels", "rotate", "box", "30"), 2)
    assert "only odd squares" in one_error_line(conv_cli("kernels", "rotate", "1 2", "45"), 2)
    one_error_line(conv_cli("kernels", "rotate", "box", "north"), 2)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("frob",), "no such command"),
        (("show",), "KERNEL: missing"),
        (("show", "sobbel-x"), "did you mean sobel-x"),
        (("show", "gmic:(1,2"), "ends at character 10, expected ) at the end"),
        (("show", "kirsch", "-o", "k.png"), "takes one kernel, and this is a set of 8"),
        (("convert", "box"), "--to: missing"),
        (
            ("convert", "box", "--to", "photoshop"),
            "--to: 'photoshop' is not known; use one of json",
        ),
        (("convert", "kirsch", "--to", "json"), "this is a set of 8"),
        (("convert", "sobel-x", "--to", "json", "--normalize", "sum"), "sum to zero"),
        (("convert", "box", "--to", "json", "--bias", "nan"), "not a finite number"),
        (("compose",), "KERNEL: missing"),
        (("compose", "box:2000", "box:2000"), "more than 4,194,304 weights"),
        (("compose", "box", "box", "-o", "k.gif"), "not written as .gif"),
        (("rotate", "box"), "ANGLE: missing"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(arguments, reason, tmp_path):
    assert reason in one_error_line(conv_cli("kernels", *arguments, cwd=tmp_path), 2)
    assert not list(tmp_path.iterdir())


def npy_announcing(shape):
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}".encode().ljust(117) + b"\n"  # fmt: skip
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


def bomb():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", npy_announcing("(2000, 2000)") + bytes(2 * 10**8))
    return stream.getvalue()


def pickled():
    stream = io.BytesIO()
    np.save(stream, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return stream.getvalue()


HOSTILE = {
    "huge.npy": lambda: npy_announcing("(1000000, 1000000)"),
    "bomb.npz": bomb,
    "pickle.npy": pickled,
    "deep.json": lambda: b"[" * 10**6,
    "long.csv": lambda: b"1," * 5 * 10**6,
    "wide.mat": lambda: b"1000000 1000000 1 0\n1 2\n",
    "digits.txt": lambda: b"9" * 10**6,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_little_memory(tmp_path, name):
    (tmp_path / name).write_bytes(HOSTILE[name]())
    limit = 700 << 20  # of addresses, most of which are libraries

    def limited():
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    done = conv_cli("kernels", "show", name, cwd=tmp_path, preexec_fn=limited)
    assert f"kernel {name}" in one_error_line(done, 2)


def test_names_of_files_cannot_command_the_terminal(tmp_path):
    source = tmp_path / "a\x1b[31m\nb.csv"
    source.write_text("1,2\n")
    done = succeed("kernels", "show", source)
    assert b"\x1b" not in done.stdout
    assert "a\\x1b[31m\\nb" in done.stdout.decode()
    code = succeed("kernels", "convert", source, "--to", "scipy").stdout.decode()
    compile(code, "converted", "exec")
    succeed("kernels", "show", source, "-o", tmp_path / "k.png")


def test_output_that_cannot_be_delivered_is_a_failure(tmp_path):
    command = f"{sys.executable} -m conv_cli kernels"
    environment = ENVIRONMENT

    def shell(script):
        return subprocess.run(["bash", "-c", script], capture_output=True, env=environment, check=False)  # fmt: skip

    closed = shell(f"{command} list >&-")
    assert closed.returncode == 1
    assert closed.stderr.startswith(b"Error: stdout: is closed")
    full = shell(f"{command} convert box --to json > /dev/full")
    assert full.returncode == 1
    assert full.stderr.startswith(b"Error: stdout: ")
    assert b"Traceback" not in shell(f"{command} list | head -1").stderr
    narrow = shell(f"PYTHONIOENCODING=ascii {command} list")
    assert narrow.returncode == 0


def in_terminal(*arguments, **environment):
    """Run the command on a terminal of its own; return what it prints there."""
    main, other = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "conv_cli", *arguments], stdout=other, stdin=other,
        env={**ENVIRONMENT, "TERM": "xterm", "NO_COLOR": "", **environment},
    )  # fmt: skip
    os.close(other)
    printed = b""
    with io.FileIO(main) as stream:
        while True:
            try:
                chunk = stream.read(4096)
            except OSError:  # Linux says so when the other side is closed
                break
            if not chunk:
                break
            printed += chunk
    assert process.wait() == 0
    return printed.decode()


def test_a_terminal_gets_as_many_colours_as_it_says():
    many = in_terminal("kernels", "show", "sobel-x", COLORTERM="truecolor")
    some = in_terminal("kernels", "show", "sobel-x", COLORTERM="")
    assert "\x1b[48;2;178;24;43;38;2;255;255;255m  2 \x1b[0m" in many
    assert "\x1b[48;5;" in some
    assert "\x1b[48;2" not in some
    assert "\x1b" not in in_terminal("kernels", "show", "sobel-x", NO_COLOR="1")
    assert "\x1b" not in in_terminal("kernels", "list", TERM="dumb")
    assert "\x1b[48;5;" in in_terminal("kernels", "list", COLORTERM="")


def test_a_large_kernel_fits_the_terminal():
    printed = in_terminal("kernels", "show", "gaussian:20", COLUMNS="70", LINES="30", NO_COLOR="1")
    drawing = printed.split("\r\n\r\n")[0].splitlines()
    assert "…" in drawing[0]
    assert max(map(len, drawing)) <= 70
    assert len(drawing) <= 20


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("conv-cli apply -k scha", {"scharr", "scharr-x", "scharr-y"}),
        ("conv-cli kernels show pillow-smo", {"pillow-smooth", "pillow-smooth-more"}),
        ("conv-cli kernels compose box gaus", {"gaussian", "gaussian-x", "gaussian-y"}),
        ("conv-cli kernels convert box --to op", {"opencv"}),
        ("conv-cli kernels ro", {"rotate"}),
        ("conv-cli ker", {"kernels"}),
    ],
)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_offers_kernel_names(tmp_path, shell, words, expected):
    last = words.split()[-1]
    place = last if shell == "fish" else str(len(words.split()) - 1)
    script = tmp_path / "conv-cli"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m conv_cli "$@"\n')
    done = subprocess.run(
        [sys.executable, "-m", "conv_cli"], capture_output=True, text=True, check=False,
        env={**ENVIRONMENT, "_CONV_CLI_COMPLETE": f"{shell}_complete",
             "COMP_WORDS": words, "COMP_CWORD": place},
    )  # fmt: skip
    answers = done.stdout.splitlines()
    if shell == "zsh":
        offered = set(answers[1::3])
    else:
        offered = {answer.split(",", 1)[1].split("\t")[0] for answer in answers}
    assert offered == expected


def test_completion_works_in_a_real_bash(tmp_path):
    script = tmp_path / "conv-cli"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m conv_cli "$@"\n')
    script.chmod(0o755)
    code = (
        'eval "$(_CONV_CLI_COMPLETE=bash_source conv-cli)"\n'
        "COMP_WORDS=(conv-cli kernels show robinson-s) COMP_CWORD=3\n"
        '_conv_cli_completion conv-cli; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        [shutil.which("bash"), "-c", code], capture_output=True, text=True, check=True,
        env={**ENVIRONMENT, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.stdout.split() == ["robinson-se", "robinson-s", "robinson-sw"]


def test_a_kernel_of_the_largest_size_is_shown(tmp_path):
    row = Kernel(np.random.default_rng(0).standard_normal((1, 4_194_304)))
    (tmp_path / "row.npy").write_bytes(dump_kernel(row, ".npy"))
    done = in_terminal("kernels", "show", str(tmp_path / "row.npy"), COLUMNS="80", LINES="40")
    assert "1x4194304" in done
