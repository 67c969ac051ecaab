"""The command on a corpus of damaged files: one line for each that is refused, and nothing else."""

import io
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from command import ENVIRONMENT, ROOT, error_line, run, tree
from conv_cli import read_image
from corpus import FILES, damaged_files, suffix


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    subprocess.run([sys.executable, str(ROOT / "tests" / "corpus.py"), str(folder / "in")],
                   env=ENVIRONMENT, check=True)  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def night(corpus):
    """One run over all of them, and what it left."""
    before = tree(corpus)
    done = run("apply", "in", "-k", "sobel-x", "-o", "out", "--depth", "8", "--range", "stretch",
               "--alpha", "filter", "--json", cwd=corpus, timeout=300)  # fmt: skip
    return done, before, [json.loads(line) for line in done.stdout.splitlines()]


def test_it_has_more_than_two_hundred_files_of_every_format(corpus):
    names = list(tree(corpus / "in"))
    assert len(names) > 200
    assert names == sorted(damaged_files())


def test_every_file_has_one_result_and_the_run_goes_on_to_the_end(night):
    done, before, results = night
    assert done.returncode == 1
    assert [result["image"] for result in results] == sorted(
        name for name in before if name.startswith("in/")
    )
    last = done.stderr.decode().splitlines()[-1]
    failed = sum("error" in result for result in results)
    assert last.startswith(f"{len(results) - failed} done, {failed} failed, 0 skipped in ")


def test_every_line_on_stderr_is_the_commands_own_and_names_a_file(night):
    done, _, results = night
    errors = [f"Error: {result['error']}" for result in results if "error" in result]
    lines = done.stderr.decode().splitlines()
    assert [line for line in lines if line.startswith("Error: ")] == errors
    assert all(re.match(r"Error: in/[\w.-]+: .*; |Error: in/[\w.-]+: .*\)$|Error: in/[\w.-]+: not an", line)
               for line in errors)  # fmt: skip
    others = [line for line in lines[:-1] if not line.startswith("Error: ")]
    assert all(line.startswith(("in/", "out/")) for line in others)
    assert not any(word in done.stderr for word in (b"Traceback", b"not foreseen", b"died"))


def test_no_input_is_changed_and_no_file_is_left_but_whole_results(corpus, night):
    _, before, results = night
    after = tree(corpus)
    made = {result["output"]: result["shape"] for result in results if "error" not in result}
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"out", *made}
    for name, shape in made.items():
        with Image.open(io.BytesIO(after[name])) as picture:
            picture.load()
            assert [*picture.size[::-1]] == shape[:2]


def test_nothing_that_was_cut_is_accepted_unless_all_pixels_are_there(corpus, night):
    for result in night[2]:
        name = result["image"].removeprefix("in/")
        if name.startswith("cut-") and "error" not in result:
            kind = re.sub(r"cut-\d-|\.\w+$", "", name).replace("-", " ")
            whole = read_image(io.BytesIO(FILES[kind])).pixels
            assert np.array_equal(read_image(corpus / "in" / name).pixels, whole), name


def test_no_damage_of_a_png_is_accepted(night):
    pngs = [result for result in night[2] if result["image"].endswith(".png")]
    assert len(pngs) > 30
    assert all("error" in result for result in pngs)


def test_whole_files_are_all_accepted(tmp_path):
    (tmp_path / "in").mkdir()
    for kind, data in FILES.items():
        (tmp_path / "in" / f"{kind}{suffix(kind)}").write_bytes(data)
    done = run("apply", "in", "-k", "identity", "-o", "out", "--format", "npy", "-q", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(tree(tmp_path / "out")) == len(FILES)


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.one_in(6)
def test_one_process_for_a_file_that_was_cut(tmp_path, kind):
    path = tmp_path / f"cut{suffix(kind)}"
    path.write_bytes(FILES[kind][: len(FILES[kind]) * 2 // 3])
    done = run("apply", path, "-k", "box", "-o", tmp_path / "o.npy", timeout=20)
    if done.returncode:
        assert path.name in error_line(done)
    assert (tmp_path / "o.npy").exists() == (done.returncode == 0)
