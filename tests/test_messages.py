"""Newcomers' mistakes: what is typed, and the one line that says how to go on."""

import json
import re
import shlex

import numpy as np
import pytest
from PIL import Image

from command import call, error_line, tree

LAYER = {"conv": {"in_channels": 1, "out_channels": 1, "kernel_size": 3}}


@pytest.fixture
def folder(tmp_path):
    """Return a folder with images, an output that is there, models, and folders without images."""
    rng = np.random.default_rng(0)
    for name, shape in (("in", (16, 12)), ("after", (16, 12)), ("small", (9, 9)), ("old", (4, 4))):
        pixels = rng.integers(0, 256, shape, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    (tmp_path / "old.json").write_text("{}", encoding="utf-8")
    (tmp_path / "text.png").write_text("I am no picture", encoding="utf-8")
    (tmp_path / "list.json").write_text("[[1, 2], [3, 4]]", encoding="utf-8")
    (tmp_path / "fitted.json").write_text('{"kernel": [[1]]}', encoding="utf-8")
    (tmp_path / "model.json").write_text(json.dumps({"layers": [LAYER]}), encoding="utf-8")
    trained = {"conv": {"kernel": "box"}}
    (tmp_path / "trained.json").write_text(json.dumps({"layers": [trained]}), encoding="utf-8")
    (tmp_path / "k.json").write_text("[[1, 2], [3, 4]]", encoding="utf-8")
    for name in ("none", "nothing"):
        (tmp_path / name).mkdir()
    return tmp_path


MISTAKES = {
    "empty": {
        'apply in.png -k box -o ""': "--output: is empty; check the variable that it comes from$",
        'apply in.png -k box -o x/ --name ""': "--name: is empty; ",
        'fit in.png after.png --predict ""': "--predict: is empty; ",
    },
    "a kernel in several words": {
        "apply in.png -k gaussian 2 -o x.png": "2: no such image; .* -k gaussian:2$",
        "apply in.png -k gaussian:2 13 -o x.png": "13: no such image; .* -k gaussian:2,13$",
        "apply in.png -k -1 0 1 -o x.png": '0: no such image; .* in quotes: -k "-1 0 1"$',
        "apply in.png -k 1 0 -1 -o x.png": '-1: no such option; .* in quotes, as -k "1 0 -1"$',
        "apply in.png -k 1 0 -.5 -o x.png": r"-\.5: no such option; a matrix goes in quotes",
        "apply in.png -k sobel-x sobel-y -o x.png":
            "sobel-y: no such image; repeat -k for more kernels: -k sobel-x -k sobel-y$",
        "apply in.png -k box -k gaussian 2 -o x/":
            '2: no such image; .* -k gaussian:2, or a matrix in quotes: -k "-1 0 1"$',
        "apply in.png -k k.json 2 -o x.png": '2: no such image; .* -k gaussian:2, or a matrix',
        "apply in.png -k sobel 2 -o x.png": '2: no such image; .* -k gaussian:2, or a matrix',
        "apply in.png -k sobel box -o x.png": "box: no such image; repeat -k for more kernels: -k box$",
        "explain in.png -k gaussian 2 --at 1,1": "takes one IMAGE, and 2 is more; .* -k gaussian:2$",
        "kernels show gaussian 2": "takes one KERNEL, and 2 is more; .* word: gaussian:2$",
        "kernels show -1 0 -1": 'takes one KERNEL, and 0 -1 is more; .* in quotes: "-1 0 -1"$',
        "kernels rotate 1 0 -1 45": 'takes one KERNEL and one ANGLE, .* in quotes: "-1 0 1"$',
        'apply in.png -k "gaussian 2" -o x.png': "did you mean gaussian:2[?]$",
        "apply in.png -k sobel-x,sobel-y -o x.png": "one kernel for each -k: -k sobel-x -k sobel-y$",
    },
    "no kernel": {
        **{
            f"apply in.png -k {name} -o x.png":
                f"kernel {name}: is not a linear filter, .*; see 'conv-cli kernels list'$"
            for name in ("median", "Canny", "bilateral", "threshold", "dilate", "erode", "median:3")
        },
        'apply in.png -k "1 2; 3" -o x.png': "row 2 has 1 number, row 1 has 2; give every row as many",
        "apply in.png -k imagemagick:Sobl -o x.png": "ImageMagick's names; did you mean sobel[?]$",
        "apply in.png -k imagemagick:Zzz -o x.png": "ImageMagick's names: unity, gaussian, ",
    },
    "a word for another": {
        "apply in.png -k box -o x.png --depth 32":
            "--depth: '32' is not known; did you mean float32[?] Or use 8, 16, float64$",
        "apply in.png -k box -o x.png --range normalize": "'normalize' is not known; .* mean stretch[?]",
        "apply in.png -k box -o x.png --range strech": "did you mean stretch[?]",
        "apply in.png -k box -o x.png --combine add": "did you mean sum[?]",
        "apply in.png -k box -o x.png --combine abs": "did you mean magnitude[?]",
        "apply in.png -k box -o x.png --preset blur": "did you mean soften[?]",
        "apply in.png -k box -o x.png --border egde": "--border: .* did you mean edge[?] .*a number$",
        "apply in.png -k box -o x.png --channels qqq": "'qqq' is not known; use one of each, gray",
        "fit in.png after.png --method sgd": "--method: 'sgd' is not known; did you mean gd[?]",
        "kernels convert box --to torch": "--to: .* did you mean pytorch[?]",
    },
    "a number": {
        "apply in.png -k box -o x.png --bias half": "--bias: 'half' .*; give one, as 128, or 50%",
        "apply in.png -k box -o x.png --white 0": "--white: '0' is not above 0; give one that is",
        "apply in.png -k box -o x.png --jobs 0": "--jobs: '0' .*; give a whole number from 1$",
        "apply in.png -k box -o x.jpg --quality 101": "--quality: .* whole number from 1 to 100$",
        "apply in.png -k box -o x.jpg --quality best": "--quality: 'best' .* whole number from 1 to",
        "fit in.png after.png --method gd --lr 0": r"--lr: '0' is not above 0; .* as 0\.1$",
        "fit in.png after.png --ridge -1": r"--ridge: '-1' is below 0; .* as 0\.001$",
        "fit in.png after.png --epochs 3": "--epochs: .* without --method gd; add that, or leave",
        "net fit model.json in.png after.png -o x.npz --lr 0": "--lr: '0' is not above 0; ",
    },
    "an option": {
        "apply in.png -k box -o x.png --normalise": "no such option; did you mean --normalize[?] Or see",
        "apply in.png -k box --out x.png": "--out: no such option; did you mean --output[?]",
        "apply in.png -k box -output x.png": "-output: no such option; did you mean --output[?]",
        "apply in.png -kernel box -o x.png": "-kernel: no such option; did you mean --kernel[?]",
        "apply in.png -k box -o x.png -size 3": "-size: no such option; .* kernel: -k box:3$",
        "apply in.png -k box -o x.png --sigma=3": "--sigma: no such option; .* kernel: -k gaussian:2$",
        "kernels show box --size 3": "--size: no such option; .* kernel: box:3$",
        "-k box in.png": "-k: no such option; options follow their command",
        "apply in.png -k box --output":
            "--output: needs a value; give a file or folder, as -o edges.png$",
        "apply in.png -k box --stride": "--stride: needs a value; give one, as --stride 2$",
        "apply in.png -k box --preset": "--preset: needs a value; give one, as -p edges$",
        "fit in.png after.png -o": "-o: needs a value; give a file$",
    },
    "a command": {
        "blur in.png": "no such command; write: conv-cli apply in.png -k gaussian -o OUTPUT$",
        "blur in.png x.png": "write: conv-cli apply in.png -k gaussian -o x.png$",
        "gausian": "write: conv-cli apply IMAGE -k gaussian -o OUTPUT$",
        "in.png -k box -o x.png": "write: conv-cli apply in.png -k box -o x.png$",
        "in.png x.png": "write: conv-cli apply in.png -k KERNEL -o x.png$",
        "aply in.png": "did you mean 'conv-cli apply'[?]",
        "filter in.png": "did you mean 'conv-cli apply'[?]",
        "kernels sobel-x": "no such command; did you mean 'conv-cli kernels show sobel-x'[?]",
        "kernels shwo": "did you mean 'conv-cli kernels show'[?]",
        "kernels list sobel": "takes no name; did you mean 'conv-cli kernels show sobel'[?]$",
        "kernels show sobel-x sobel-y": "takes one KERNEL, and sobel-y is more; give one at a time$",
        "explain in.png after.png -k box --at 1,1": "and after.png is more; leave after.png out$",
    },
    "nothing": {
        "apply": "IMAGES: missing; give a file or folder, as photo.jpg$",
        "apply in.png -o x.png": "--kernel: missing; give one, as -k sobel-x, ",
        "apply in.png -k box": "--output: missing; give a file or folder, as -o edges.png, ",
        "explain in.png --at 1,1": "--kernel: missing; give one, as -k sobel-x$",
        "explain in.png -k box": "--at: missing; give the pixel of the map, as 10,20; ",
        "kernels convert box": "--to: missing; give one, as --to json$",
        "kernels rotate box": "ANGLE: missing; give one, as 45$",
        "net apply trained.json in.png": "--output: missing; give a folder, as -o maps/, or .* --sheet",
        "fit": "INPUT TARGET.*: missing; give one, as before.png after.png$",
    },
    "a model": {
        "net apply list.json in.png -o x/": "list.json: this looks like a kernel; give a model, ",
        "net apply fitted.json in.png -o x/": "fitted.json: this looks like a kernel; give a model, ",
        "net apply trained.json in.png -o x.png": "x.png: is a file's name; give a folder, as x/$",
    },
}  # fmt: skip
"""What is typed -> what the line says: mistakes in a command, found before anything is done."""

FAILURES = {
    "apply gone.png -k box -o old.png": (1, "gone.png: no such file"),
    "apply text.png -k box -o old.png": (1, "text.png: not an image"),
    "apply in.png -k box -o old.png": (1, "old.png: exists; "),
    "fit gone.png after.png -o old.json": (1, "gone.png: no such file"),
    "fit in.png after.png -o old.json": (1, "old.json: .*exists"),
    "net fit model.json gone.png after.png -o old.json": (1, "gone.png: no such file"),
    "net fit gone.json in.png after.png -o old.json": (2, "gone.json: no such file"),
    "net fit model.json in.png small.png -o x.npz":
        (1, "small.png: .* give a target of 14x10, or change stride or padding$"),
    "apply none -k box -o x/": (3, r"none: no images found \(.*\.png \.jpg .*\); check the name"),
    "apply none -k box -o x.png": (3, "none: no images found"),
    "fit none nothing": (3, "none: no image has the stem of one in nothing"),
    "fit . nothing": (3, r"\.: no image has the stem of one in nothing"),
}  # fmt: skip
"""What is typed -> the exit code and what the line says: what is found in the files."""


@pytest.mark.parametrize(
    ("typed", "pattern"), [each for kind in MISTAKES.values() for each in kind.items()]
)
def test_mistake_is_one_line_that_says_how_to_go_on(folder, typed, pattern):
    before = tree(folder)
    line = error_line(call(*shlex.split(typed), cwd=folder), 2)
    assert re.search(f": .*{pattern}|Error: {pattern}", line), line
    assert tree(folder) == before


@pytest.mark.parametrize("typed", FAILURES)
def test_what_fails_for_its_files_names_the_input_first(folder, typed):
    code, pattern = FAILURES[typed]
    before = tree(folder)
    line = error_line(call(*shlex.split(typed), cwd=folder), code)
    assert re.search(f"Error: {pattern}", line), line
    assert tree(folder) == before


@pytest.mark.parametrize(
    ("kernel", "note"),
    [
        ("1 2 3 4 5 6 7 8 9", ': is 1x9; for 3x3 write "1 2 3; 4 5 6; 7 8 9"$'),
        ("1 1 1 1 1 1 1 1 1 / 9", ': is 1x9; for 3x3 write "1 1 1; 1 1 1; 1 1 1 / 9"$'),
        ("0.125 " * 8 + "0.125", "^matrix-1x9-.*: is 1x9; for 3x3 split the rows by semicolons$"),
        ("0 " * 24 + "1", ": is 1x25; for 5x5 "),
    ],
)
def test_a_square_that_is_typed_in_one_row_is_noted(folder, kernel, note):
    command = ["apply", "in.png", "-k", kernel, "--range", "stretch", "-o", "x.png"]
    done = call(*command, cwd=folder)
    assert done.returncode == 0
    (line,) = done.stderr.decode().splitlines()
    assert re.search(note, line), line
    done = call(*command, "-q", "-f", cwd=folder)
    assert (done.returncode, done.stderr) == (0, b"")


def test_other_rows_are_not_noted(folder):
    (folder / "row.txt").write_text("1 1 1 1 1 1 1 1 1", encoding="utf-8")
    for kernel in (
        "1 0 -1",
        "1 1 1 1 1 1 1 1 / 8",
        "1; 2; 3; 4; 5; 6; 7; 8; 9",
        "row.txt",
        "box:1x9",
    ):
        done = call(
            "apply", "in.png", "-k", kernel, "--range", "stretch", "-f", "-o", "x.png", cwd=folder
        )
        assert (done.returncode, done.stderr) == (0, b""), kernel


def test_a_file_without_a_suffix_is_noted(folder):
    command = ["apply", "in.png", "-k", "box", "-o", "x"]
    done = call(*command, cwd=folder)
    assert done.returncode == 0
    assert done.stderr == b"x: becomes a PNG file, as its name has no suffix; a folder is x/\n"
    for words in (["-q"], ["--format", "png"], ["-o", "x.png"], ["-o", "x/"]):
        (folder / "x").unlink(missing_ok=True)
        words = command[:-2] + words if "-o" in words else command + words
        done = call(*words, cwd=folder)
        assert (done.returncode, done.stderr) == (0, b""), words


def test_what_a_command_is_told_to_write_works(folder):
    line = error_line(call("blur", "in.png", "x.png", cwd=folder), 2)
    words = shlex.split(line.partition("write: ")[2])[1:]
    assert call(*words, cwd=folder).returncode == 0
    assert (folder / "x.png").exists()


def test_kernel_files_of_any_name_are_read(folder):
    for name in ("median", "gaussian 2"):
        (folder / name).write_text("[[1]]", encoding="utf-8")
        line = error_line(call("apply", "in.png", "-k", name, "-o", "x.png", cwd=folder), 2)
        assert "linear" not in line
        assert "did you mean" not in line
