"""The progress bar: seen on a terminal and nowhere else."""

import os
import re
import select
import sys

import numpy as np
import pytest

from command import COMMAND, ENVIRONMENT, run
from conv_cli import write_image

pty = pytest.importorskip("pty")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(6):
        pixels = np.full((1400, 1400), number, np.uint8)
        write_image(tmp_path / "in" / f"{number}.png", pixels)
    (tmp_path / "in" / "bad.png").write_bytes(b"no image")
    return tmp_path


def on_a_terminal(folder, *arguments, columns=100):
    """Run the command with a terminal of its own; return the exit code and what that showed."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        environment = {**ENVIRONMENT, "TERM": "xterm", "COLUMNS": str(columns)}
        os.execve(sys.executable, [*COMMAND, "apply", *arguments], environment)
    shown = b""
    while select.select([terminal], [], [], 30)[0]:
        try:
            data = os.read(terminal, 4096)
        except OSError:  # the other end is closed
            break
        shown += data
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), shown.decode()


def test_terminal_shows_files_megapixels_share_and_time_left(folder):
    # The time left is told from the second on.
    kernels = ["-k", "kirsch", "-k", "gabor:6"]
    code, shown = on_a_terminal(folder, "in", *kernels, "--linear", "-o", "out")
    assert code == 1
    assert re.search(
        r"conv-cli +\[#+-+\] +\d/7  \d+%  \d+:\d\d left  [\d.]+ Mpx  [\d.]+ Mpx/s", shown
    )
    assert re.search(r"7/7  100%  105\.8 Mpx", shown)
    assert re.search(r"Error: in/bad\.png: not an image[^\n]*\r\n", shown)
    assert re.search(r"54 done, 1 failed, 0 skipped in \d+ s\r\n$", shown)


@pytest.mark.parametrize("option", ["--quiet", "--no-progress"])
def test_terminal_can_be_spared(folder, option):
    _, shown = on_a_terminal(folder, "in", "-k", "identity", "-o", "out", option)
    assert "%" not in shown
    assert "bad.png" in shown


def test_pipe_gets_words_only(folder):
    done = run("apply", "in", "-k", "identity", "-o", "out", cwd=folder)
    error, last = done.stderr.decode().splitlines()
    assert error.startswith("Error: in/bad.png: ")
    assert re.fullmatch(r"6 done, 1 failed, 0 skipped in \d+ s", last)


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_bar_stays_in_one_line(folder, columns):
    kernels = ["-k", "gaussian:8", "-k", "disk:9", "-k", "gabor:6"]
    _, shown = on_a_terminal(folder, "in", *kernels, "-o", "out", columns=columns)
    bars = [part for part in re.split(r"[\r\n]", shown) if "[" in part and "] " in part]
    assert len(bars) > 5
    assert max(len(re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", bar)) for bar in bars) < columns
    assert re.search(r"\] +\d/7", bars[-1])
