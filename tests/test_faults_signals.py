"""Signals, killed workers and streams that are closed, full or broken, at many moments."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from command import COMMAND, ENVIRONMENT, ROOT, error_line, run, start, tree
from conv_cli import read_image, write_image

COUNT = 13
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and processes by fork")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A folder with images, the last of which takes longest, and their maps as they should be."""
    folder = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(1)
    (folder / "in").mkdir()
    for number in range(COUNT):
        side = 2500 if number == COUNT - 1 else 500
        pixels = rng.integers(0, 256, (side, side), dtype=np.uint8)
        write_image(folder / "in" / f"{number:02}.png", pixels)
    done = run("apply", "in", "-k", "box", "-o", "whole", "-q", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def night(photographs, tmp_path):
    """A folder of its own for every test, with the same images."""
    (tmp_path / "in").symlink_to(photographs / "in")
    return tmp_path


def begun(night, *options, **how):
    return start("apply", "in/", "-k", "box", "-o", "out", "-q", *options, cwd=night, **how)


def wait_for(condition):
    while not condition():
        time.sleep(0.002)


def made(night):
    return (
        sorted(path.name for path in (night / "out").glob("*")) if (night / "out").exists() else []
    )


def only_whole_files(night, photographs):
    whole = tree(photographs / "whole")
    left = tree(night / "out")
    assert left.items() <= whole.items(), set(left) - set(whole)
    return left


def resumed(night, photographs):
    """Run again for the rest, and check that all is as if nothing had happened."""
    done = run("apply", "in/", "-k", "box", "-o", "out", "--skip-existing", cwd=night)
    assert done.returncode == 0, done.stderr
    assert tree(night / "out") == tree(photographs / "whole")
    return done.stderr.decode()


def workers_of(process):
    """Return the numbers of its workers; Python's own tracker of resources is none."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    commands = {child: Path(f"/proc/{child}/cmdline") for child in children}
    return [
        child for child, command in commands.items()
        if command.exists() and b"resource_tracker" not in command.read_bytes()
    ]  # fmt: skip


class TestSignals:
    @pytest.mark.parametrize("jobs", ["1", "3"])
    @pytest.mark.parametrize("files", [0, 1, 4])
    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    @pytest.mark.one_in(5)
    def test_end_the_run_cleanly(self, night, photographs, number, code, files, jobs):
        process = begun(night, "--jobs", jobs)
        wait_for(lambda: len(made(night)) >= files and (files or self.works(process)))
        process.send_signal(number)
        _, stderr = process.communicate(timeout=10)
        assert process.returncode == code
        assert stderr.count(b"\n") == 1
        assert b"interrupted" in stderr
        left = only_whole_files(night, photographs)
        assert files <= len(left) < COUNT
        assert f"{len(left)} skipped" in resumed(night, photographs)

    def workers(self, process):
        return workers_of(process)

    def works(self, process):
        """Tell whether it has workers by now."""
        return process.poll() is not None or self.workers(process)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    @pytest.mark.parametrize("moment", [0.03, 0.06, 0.09, 0.12, 0.16])
    @pytest.mark.one_in(4)
    def test_at_any_moment_of_the_start(self, night, photographs, number, moment):
        process = begun(night)
        time.sleep(moment)
        ended = process.poll() == 0  # as it may where the machine let this test wait for long
        process.send_signal(number)
        _, stderr = process.communicate(timeout=10)
        # Before Python has begun to run the command, the answer is the system's own, or Python's.
        own = stderr.startswith((b"Fatal Python error: init_", b"Could not import runpy module"))
        assert process.returncode in (128 + number, -number) or own or ended
        only_whole_files(night, photographs) if (night / "out").exists() else None

    def test_reach_a_codec_that_takes_no_notice(self, tmp_path):
        pixels = np.random.default_rng(0).integers(0, 256, (4000, 4000, 3), dtype=np.uint8)
        np.save(tmp_path / "large.npy", pixels)
        process = start("apply", "large.npy", "-k", "identity", "-o", "o.webp", "--depth", "8",
                        "--compress", cwd=tmp_path)  # fmt: skip
        wait_for(lambda: self.seconds_worked(process) > 1)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=3)
        assert process.returncode == 130
        assert list(tree(tmp_path)) == ["large.npy"]

    def seconds_worked(self, process):
        """Return the processor time of a worker."""
        ticks = 0
        for child in self.workers(process):
            with suppress(OSError):
                ticks += int(Path(f"/proc/{child}/stat").read_text().split()[13])
        return ticks / os.sysconf("SC_CLK_TCK")

    def test_twice_are_as_good_as_once(self, night, photographs):
        process = begun(night)
        wait_for(lambda: made(night))
        for _ in range(3):
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
        assert process.returncode == 130
        only_whole_files(night, photographs)

    def test_from_a_terminal_reach_all_processes_and_are_told_once(self, night, photographs):
        process = begun(night, start_new_session=True)
        wait_for(lambda: made(night))
        os.killpg(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=10)
        assert process.returncode == 130
        assert stderr.count(b"\n") == 1
        only_whole_files(night, photographs)

    def test_that_are_ignored_stay_so(self, night, photographs):
        process = begun(night, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
        wait_for(lambda: made(night))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode == 0
        assert tree(night / "out") == tree(photographs / "whole")

    @pytest.mark.parametrize("files", [0, 1, 5])
    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
    @pytest.mark.one_in(4)
    def test_that_kill_leave_whole_files_only_and_the_next_run_does_the_rest(
        self, night, photographs, number, files
    ):
        process = begun(night)
        wait_for(lambda: len(made(night)) >= files and (files or self.works(process)))
        workers = self.workers(process)
        process.send_signal(number)
        process.communicate(timeout=10)
        assert process.returncode == -number
        wait_for(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
        only_whole_files(night, photographs)
        resumed(night, photographs)

    @LINUX
    def test_that_kills_the_run_ends_the_work_on_an_image_too(self, tmp_path):
        Image.new("L", (2500, 2500)).save(tmp_path / "a.tif", compression="tiff_lzw")
        process = start("apply", "a.tif", "-k", "kirsch", "-k", "compass",
                        "--linear", "-o", "out", cwd=tmp_path)  # fmt: skip
        wait_for(lambda: made(tmp_path))
        process.kill()
        process.communicate(timeout=20)  # until the worker has closed its end of stderr
        assert len(made(tmp_path)) < 5


@LINUX
class TestWorkers:
    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
    def test_one_that_is_killed_costs_its_file_alone(self, night, photographs, number):
        process = begun(night, "--jobs", "2")
        wait_for(lambda: len(made(night)) >= 2)
        os.kill(int(workers_of(process)[0]), number)
        _, stderr = process.communicate(timeout=30)
        lines = stderr.decode().splitlines()
        assert process.returncode == 1
        assert len(lines) == 1
        assert f"died by signal {int(number)}" in lines[0]
        left = only_whole_files(night, photographs)
        for missing in set(tree(photographs / "whole")) - set(left):  # but what it had just made
            assert lines[0].startswith(f"Error: in/{missing[:2]}.png: ")
        assert len(left) >= COUNT - 1

    def test_single_image_whose_decoder_crashes_is_an_error_in_one_line(self, night):
        Image.new("L", (3000, 3000)).save(night / "a.tif", compression="tiff_lzw")
        process = start("apply", "a.tif", "-k", "box", "-o", "o.webp", "--compress", cwd=night)
        wait_for(lambda: workers_of(process))
        os.kill(int(workers_of(process)[0]), signal.SIGSEGV)
        _, stderr = process.communicate(timeout=30)
        assert process.returncode == 1
        assert stderr.startswith(b"Error: a.tif: the process that filtered it died by signal 11")
        assert not (night / "o.webp").exists()

    @pytest.mark.skipif(
        os.environ.get("CONV_CLI_START_METHOD") == "spawn", reason="workers have the real fsync"
    )
    def test_hidden_file_of_one_that_was_killed_is_removed(self, night, photographs):
        code = (
            "import os, signal, sys\n"
            "from conv_cli.io import files\n"
            "from conv_cli.cli import main\n"
            "files._CAN_BE_NAMELESS = False\n"
            "def fsync(descriptor):\n"
            "    if os.fstat(descriptor).st_size % 2:\n"  # some of them, always the same
            "        os.kill(os.getpid(), signal.SIGKILL)\n"
            "os.fsync = fsync\n"
            "sys.argv = ['conv-cli', 'apply', 'in/', '-k', 'box', '-o', 'out', '-q']\n"
            "main.main()\n"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=night, env=ENVIRONMENT,
                              capture_output=True)  # fmt: skip
        odd = sum(len(data) % 2 for data in tree(photographs / "whole").values())
        assert odd > 0
        assert done.stderr.count(b"died by signal 9") == odd
        assert len(only_whole_files(night, photographs)) == COUNT - odd


@pytest.fixture
def photo(tmp_path):
    write_image(tmp_path / "photo.png", np.arange(400, dtype=np.uint16).reshape(20, 20) // 2)
    return tmp_path


class TestStreams:
    def shell(self, folder, arguments, redirection):
        command = f"{' '.join(COMMAND)} apply {arguments} {redirection}"
        return subprocess.run(["bash", "-c", command], cwd=folder, env=ENVIRONMENT,
                              capture_output=True, timeout=30)  # fmt: skip

    @pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
    @pytest.mark.parametrize("suffix", ["png", "tif"])
    @pytest.mark.one_in(3)
    def test_closed_ones_harm_no_output(self, photo, closed, suffix):
        Image.open(photo / "photo.png").save(photo / "photo.tif", compression="tiff_lzw")
        self.shell(photo, f"photo.{suffix} -k box -o whole.{suffix}", "")
        done = self.shell(photo, f"photo.{suffix} -k box -o o.{suffix}", closed)
        assert done.returncode == 0, done.stderr
        assert (photo / f"o.{suffix}").read_bytes() == (photo / f"whole.{suffix}").read_bytes()

    def test_words_do_not_land_in_a_file_that_got_the_number_of_stderr(self, photo):
        Image.new("1", (60, 50)).save(photo / "fax.tif", compression="group4")
        data = bytearray((photo / "fax.tif").read_bytes())
        data[8:12] = b"\xf0\x0f\xaa\x01"
        (photo / "fax.tif").write_bytes(data)
        done = self.shell(photo, "fax.tif photo.png -k identity -o out/", "2>&-")
        assert done.returncode == 1
        assert list(tree(photo / "out")) == ["photo.identity.png"]
        np.testing.assert_array_equal(read_image(photo / "out" / "photo.identity.png").pixels,
                                      read_image(photo / "photo.png").pixels)  # fmt: skip

    def test_closed_stdin_as_input(self, photo):
        assert "stdin: is empty" in error_line(self.shell(photo, "- -k box -o o.png", "<&-"))

    @pytest.mark.parametrize("arguments", ["photo.png -k box -o -", "photo.png -k box -o o.png --json",
                                           "photo.png -k box -o o.png --dry-run"])  # fmt: skip
    @pytest.mark.parametrize("stdout", [">&-", "> /dev/full"])
    def test_stdout_that_takes_nothing_is_no_success(self, photo, arguments, stdout):
        assert error_line(self.shell(photo, arguments, stdout)).startswith("Error: stdout: ")

    @pytest.mark.parametrize("stderr", ["2>&-", "2> /dev/full"])
    def test_stderr_that_takes_nothing_changes_no_exit_code(self, photo, stderr):
        assert self.shell(photo, "photo.png -k '9' -o o.png", stderr).returncode == 0
        assert self.shell(photo, "none.png photo.png -k '9' -o out/", stderr).returncode == 1
        assert list(tree(photo / "out")) == ["photo.9.png"]

    @pytest.mark.parametrize(
        ("options", "reader"),
        [("-k box -o - --depth 16", "true"), ("-k box -o - --depth 16", "head -c 10 > /dev/null"),
         ("-k kirsch -k compass -o out --json -q", "true")],
    )  # fmt: skip
    def test_broken_pipe_is_no_success_and_no_traceback(self, photo, options, reader):
        noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8)
        write_image(photo / "noise.png", noise)
        done = self.shell(photo, f"noise.png {options}", f'| {reader}; exit "${{PIPESTATUS[0]}}"')
        assert done.returncode == 1
        assert b"Traceback" not in done.stderr
        assert done.stderr.count(b"\n") <= 1

    def test_pipe_into_pipe(self, photo):
        command = " ".join(COMMAND)
        done = self.shell(photo, "- -k identity -o - < photo.png",
                          f"| {command} apply - -k identity -o - --format tif")  # fmt: skip
        with Image.open(io.BytesIO(done.stdout)) as image:
            np.testing.assert_array_equal(np.asarray(image), read_image(photo / "photo.png").pixels)

    def test_failure_of_stdin_is_a_line_of_json(self, photo):
        done = run("apply", "-", "-k", "box", "-o", "o.png", "--json", input=b"no image", cwd=photo)
        assert done.returncode == 1
        failure = json.loads(done.stdout)
        assert failure["image"] == "-"
        assert "not an image" in failure["error"]


def test_bytes_are_the_same_for_every_number_of_jobs_and_the_counts_are_told(tmp_path):
    rng = np.random.default_rng(2)
    (tmp_path / "in").mkdir()
    for number in range(300):
        shape = (int(rng.integers(1, 60)), int(rng.integers(1, 60)), 3)
        write_image(
            tmp_path / "in" / f"{number:03}.png", rng.integers(0, 256, shape, dtype=np.uint8)
        )
    (tmp_path / "in" / "bad.png").write_bytes(b"no image")
    shutil.copytree(ROOT / "sample_images", tmp_path / "in" / "samples")
    trees = []
    for jobs in (1, 2, 5):
        done = run(
            "apply", "in", "-k", "gaussian:2", "-o", f"out{jobs}", "--jobs", jobs, cwd=tmp_path
        )
        assert done.returncode == 1
        assert done.stderr.decode().splitlines()[-1].startswith("300 done, 1 failed, 0 skipped in ")
        trees.append(tree(tmp_path / f"out{jobs}"))
    assert trees[0] == trees[1] == trees[2]
    assert len(trees[0]) == 300
