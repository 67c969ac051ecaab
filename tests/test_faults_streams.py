"""The exit code says what became of the work, whatever stdin, stdout and stderr do."""

import os
import shlex
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest

from command import COMMAND, ENVIRONMENT, ROOT, run, start
from conv_cli import write_image

SAMPLES = ROOT / "sample_images"
MODEL = SAMPLES / "models" / "edge-magnitude.json"
LEARNER = SAMPLES / "models" / "learn-one-kernel.json"
STREAMS = {
    "stdout full": ">/dev/full 2>words",
    "stderr full": ">data 2>/dev/full",
    "both full": ">/dev/full 2>/dev/full",
    "stdout closed": ">&- 2>words",
    "stderr closed": ">data 2>&-",
    "all closed": "<&- >&- 2>&-",
    "stdout a pipe without a reader": "2>/dev/null | true",
    "stderr a pipe without a reader": "2>&1 >data | true",
}
# What is typed, the exit code with streams that work, and whether data goes to stdout.
COMMANDS = {
    "--version": (0, True),
    "apply --help": (0, True),
    "apply --nonsense": (2, False),
    "apply missing.png -k box -o o.png": (1, False),
    "apply *.nothing -k box -o o.png": (3, False),
    "apply a.png -k sobel-x -o o.png -f": (0, False),
    "apply a.png -k sobel-x -o o.png -f --progress": (0, False),
    "apply a.png -k sobel-x -o -": (0, True),
    "apply a.png b.png -k sobel-x -o maps/ -f --json": (0, True),
    "apply a.png -k sobel-x -o new.png --dry-run": (0, True),
    "explain a.png -k box --at 2,2": (0, True),
    "fit a.png b.png --size 1 -o k.json -f": (3, True),
    "kernels show box": (0, True),
    "kernels list": (0, True),
    "kernels compose box edge-x": (0, True),
    "kernels rotate sobel-x 45": (0, True),
    "kernels convert box --to scipy": (0, True),
    f"net info {MODEL} --input 1x9x9": (0, True),
    f"net apply {MODEL} a.png -o maps/ -f --layer last": (0, False),
    f"net fit {LEARNER} a.png b.png -o m.json -f --epochs 1": (0, False),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streams")
    script = "apply sample.png -k box:5 --channels gray -o b.png"
    shutil.copy(SAMPLES / "still-life.png", folder / "sample.png")
    subprocess.run([*COMMAND, *script.split()], cwd=folder, env=ENVIRONMENT, check=True)
    shutil.move(folder / "sample.png", folder / "a.png")
    return folder


@pytest.mark.parametrize("streams", list(STREAMS))
@pytest.mark.parametrize("typed", list(COMMANDS))
@pytest.mark.one_in(8)
def test_exit_code_holds_whatever_the_streams_do(folder, typed, streams):
    code, says_something = COMMANDS[typed]
    lost = says_something and ("stdout" in streams or streams in ("both full", "all closed"))
    command = f"{' '.join(COMMAND)} {typed} {STREAMS[streams]}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=ENVIRONMENT, check=False)
    assert done.returncode == (1 if lost else code)
    if "2>words" in STREAMS[streams]:
        words = (folder / "words").read_text()
        assert "Traceback" not in words
        assert ("stdout" in words) == lost


def test_completion_that_cannot_be_delivered_is_a_failure(folder):
    environment = {**ENVIRONMENT, "_CONV_CLI_COMPLETE": "bash_source"}
    for stdout in (">/dev/full", ">&-"):
        done = subprocess.run(["bash", "-c", f"{' '.join(COMMAND)} {stdout}"], cwd=folder,
                              env=environment, check=False, capture_output=True)  # fmt: skip
        assert done.returncode == 1
        assert b"Error: stdout: " in done.stderr


def test_bar_is_never_part_of_the_data(folder):
    command = f"{' '.join(COMMAND)} apply a.png -k box -o - --progress"
    whole, lost = (
        subprocess.run(["bash", "-c", f"{command} {stderr}"], cwd=folder, env=ENVIRONMENT,
                       check=True, stdout=subprocess.PIPE).stdout
        for stderr in ("2>words", "2>&-")
    )  # fmt: skip
    assert lost == whole


def test_file_size_limit_on_stdout_is_a_failure(folder):
    command = f"ulimit -f 1; {' '.join(COMMAND)} apply a.png -k box -o - >data"
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=ENVIRONMENT, check=False,
                          capture_output=True)  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("output", [["-o", "-"], ["-o", "out/", "--json"]])
def test_a_broken_pipe_is_called_that(output, tmp_path):
    read, write = os.pipe()
    os.close(read)
    photo = SAMPLES / "landscape.jpg"
    process = start("apply", photo, "-k", "box", *output, stdout=write, cwd=tmp_path)
    os.close(write)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert told.decode().splitlines()[0].startswith("Error: stdout: broken pipe: ")
    assert b"Traceback" not in told


def test_after_an_interruption_the_command_that_goes_on_is_told(tmp_path):
    for number in range(40):
        write_image(tmp_path / f"{number}.png", np.zeros((900, 900), np.uint8))
    words = ["apply", ".", "-k", "gaussian:9", "-o", "out put"]
    process = start(*words, cwd=tmp_path)
    while not list(tmp_path.glob("out put/*.png")):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    line = told.decode().splitlines()[-1]
    command = line.partition("go on with: ")[2]
    assert process.returncode == 130
    assert shlex.split(command) == ["conv-cli", *words, "--skip-existing"]
    done = run(*shlex.split(command)[1:], cwd=tmp_path)
    assert done.returncode == 0 and len(list(tmp_path.glob("out put/*.png"))) == 40
