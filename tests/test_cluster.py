"""A cluster: the same files as here, and what goes wrong on other machines is told in one line."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from command import ENVIRONMENT, call, error_line, run, start
from conv_cli import read_image

pytest.importorskip("distributed")
psutil = pytest.importorskip("psutil")  # which it needs itself
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)


def until(happened, seconds=30):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)


@contextmanager
def process(*words, cwd, before=()):
    """Run a program of dask for a while."""
    with (cwd / f"{words[0]}.log").open("w") as log:
        running = subprocess.Popen(
            [*before, sys.executable, "-m", "distributed.cli.dask_" + words[0], *map(str, words[1:])],
            cwd=cwd, env={**ENVIRONMENT, "OPENBLAS_NUM_THREADS": "1"}, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
        try:
            yield running
        finally:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()


@contextmanager
def scheduler(folder):
    """Start a scheduler, and yield the file that says where it is."""
    file = folder / "scheduler.json"
    words = ("scheduler", "--port", 0, "--host", "127.0.0.1", "--no-dashboard")
    with process(*words, "--scheduler-file", file, cwd=folder):
        until(file.exists)
        yield file


@contextmanager
def workers(file, count=2, preload="", before=()):
    """Start workers in a folder of their own, and wait until they are there."""
    folder = file.parent / f"workers{len(list(file.parent.iterdir()))}"
    folder.mkdir()
    (folder / "preload.py").write_text(preload)
    words = ("worker", "--scheduler-file", file, "--nworkers", count, "--nthreads", 1)
    with process(*words, "--no-dashboard", "--preload", folder / "preload.py", cwd=folder,
                 before=before) as running:  # fmt: skip
        until(lambda: len(nannies(running)) >= count)
        until(lambda: there(file) >= count)
        yield running


def there(file):
    from distributed import Client

    with Client(scheduler_file=str(file), set_as_default=False) as client:
        return len(client.nthreads())


def nannies(running):
    """Return the processes that a nanny has started, by their numbers."""
    children = psutil.Process(running.pid).children()
    return [child.pid for child in children if "spawn_main" in " ".join(child.cmdline())]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The file of a scheduler with two workers."""
    with scheduler(tmp_path_factory.mktemp("cluster")) as file, workers(file):
        yield file


@pytest.fixture
def folder(tmp_path):
    """Photographs in a tree, one broken."""
    (tmp_path / "in" / "deep er").mkdir(parents=True)
    for number in range(6):
        Image.fromarray(np.roll(PIXELS, number)).save(tmp_path / f"in/{number}.png")
        Image.fromarray(np.roll(PIXELS, -number)).save(tmp_path / f"in/deep er/{number} b.png")
    (tmp_path / "in" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    return tmp_path


def tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def told(done):
    """Return what was printed, without the seconds."""
    lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("seconds", "output")} for line in lines]


COMMANDS = [
    ("apply", "in", "-r", "-k", "kirsch-n", "-k", "gaussian:2"),
    pytest.param(
        ("net", "apply", "sobel-x sobel-y | abs", "in", "-r"), marks=pytest.mark.slow, id="net"
    ),
    pytest.param(
        ("find", "in/0.png", "in", "--crop", "3,4,9x9"), marks=pytest.mark.slow, id="find"
    ),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_files_and_words_are_those_of_processes_here(folder, cluster, command):
    here = run(*command, "--json", "--jobs", 2, "-o", "here", cwd=folder)
    there = run(*command, "--json", "--cluster", cluster, "-o", "there", cwd=folder)
    assert (there.returncode, told(there)) == (1, told(here))
    words = [re.sub(rb" in \d+ s\n", b"", done.stderr) for done in (here, there)]
    assert words[1].replace(b"there", b"here") == words[0]
    assert tree(folder / "there") == tree(folder / "here")
    assert len(tree(folder / "here")) >= 6


def test_input_is_never_overwritten_and_what_is_there_is_kept(folder, cluster):
    before = tree(folder / "in")
    options = ("-k", "box", "--name", "{stem}{ext}", "-o", "in", "--cluster", cluster)
    done = run("apply", "in/0.png", "in/1.png", *options, "-f", cwd=folder)
    assert done.returncode == 1
    lines = done.stderr.decode().splitlines()
    assert sum("is an input and never overwritten" in line for line in lines) == 2
    assert lines[0].startswith("Error: in/0.png: ")
    again = run("apply", "in/deep er/0 b.png", *options[:3], "1{ext}", *options[4:], cwd=folder)
    assert "in/1.png: exists" in error_line(again, 1)
    assert tree(folder / "in") == before


def test_worker_that_is_killed_costs_nothing(folder, tmp_path):
    for number in range(200):
        shutil.copy(folder / "in/1.png", folder / f"in/many{number:03}.png")
    (folder / "in/broken.png").unlink()
    run("apply", "in", "-k", "gaussian:2", "-o", "here", "-q", cwd=folder)
    slow = (
        "import time; from conv_cli.pipeline import run\n"
        "def slowly(source, read=run.read_image, **options):\n"
        "    time.sleep(0.01)\n"
        "    return read(source, **options)\n"
        "run.read_image = slowly\n"
    )
    base = tmp_path / "cluster"
    base.mkdir()
    with scheduler(base) as file, workers(file, preload=slow) as running:
        working = start("apply", "in", "-k", "gaussian:2", "-o", "there", "-q",
                        "--cluster", file, cwd=folder)  # fmt: skip
        until(lambda: (folder / "there").exists() and len(tree(folder / "there")) > 5)
        os.kill(nannies(running)[0], signal.SIGKILL)
        assert working.communicate(timeout=60) == (b"", b"")
    assert working.returncode == 0
    assert tree(folder / "there") == tree(folder / "here")


KILLS = """
import os
from conv_cli.pipeline import run
def killing(source, read=run.read_image, **options):
    if str(source).endswith("2.png"):
        os._exit(9)
    return read(source, **options)
if run.read_image.__name__ != "killing":  # a preload is run twice
    run.read_image = killing
"""


@pytest.mark.slow
def test_image_that_kills_its_worker_is_named_and_the_others_are_done(folder, tmp_path):
    (folder / "in/broken.png").unlink()
    base = tmp_path / "cluster"
    base.mkdir()
    with scheduler(base) as file, workers(file, preload=KILLS):
        done = run("apply", "in", "-r", "-k", "box", "-o", "there", "-q", "--cluster", file,
                   cwd=folder, timeout=120)  # fmt: skip
    line = error_line(done, 1)
    assert line.startswith("Error: in/2.png: the process that filtered it died with the worker")
    assert len(tree(folder / "there")) == 11


class TestBefore:
    """What is found out before anything is written."""

    @pytest.fixture(autouse=True)
    def _nothing_is_written(self, folder):
        yield
        assert not (folder / "there").exists()

    def refused(self, folder, address, *options):
        return error_line(
            run("apply", "in", "-k", "box", "-o", "there", "--cluster", address, *options, cwd=folder), 2
        )  # fmt: skip

    def test_no_scheduler_answers(self, folder):
        started = time.monotonic()
        line = self.refused(folder, "tcp://127.0.0.1:9")
        assert line.startswith("Error: --cluster tcp://127.0.0.1:9: no scheduler answers there; ")
        assert time.monotonic() - started < 20

    @pytest.mark.parametrize(
        "address", ["nonsense", "tcp://", "tcp://nowhere.invalid:80", "in/0.png"]
    )
    @pytest.mark.slow
    def test_address_that_is_none(self, folder, address):
        assert f"--cluster {address}: " in self.refused(folder, address)

    @pytest.mark.slow
    def test_scheduler_has_no_worker(self, folder, tmp_path):
        base = tmp_path / "cluster"
        base.mkdir()
        with scheduler(base) as file:
            assert "has no worker" in self.refused(folder, file)

    @pytest.mark.slow
    def test_worker_of_another_version(self, folder, tmp_path):
        base = tmp_path / "cluster"
        base.mkdir()
        other = (
            "from conv_cli.parallel import cluster\n"
            "def version(name, old=cluster.version):\n"
            "    return '1.9.9' if name == 'numpy' else old(name)\n"
            "cluster.version = version\n"
        )
        with scheduler(base) as file, workers(file, 1, preload=other):
            line = self.refused(folder, file)
        assert "has numpy 1.9.9, and here is " in line

    @pytest.mark.slow
    @pytest.mark.parametrize("hidden", ["in", "."])
    def test_worker_that_does_not_see_a_folder(self, folder, tmp_path_factory, hidden):
        base = tmp_path_factory.mktemp("cluster")
        place = folder / hidden
        hide = ["unshare", "-m", "sh", "-c", f'mount -t tmpfs none "{place}" && exec "$@"', "sh"]
        if subprocess.run([*hide, "true"], capture_output=True, check=False).returncode:
            pytest.skip("no mount namespaces here")
        with scheduler(base) as file, workers(file, 1, before=hide):
            line = self.refused(folder, file)
        assert "worker tcp://" in line
        assert f"does not see the input {folder}/in" in line

    @pytest.mark.slow
    def test_output_folder_that_a_worker_does_not_see(self, folder, tmp_path_factory):
        base, out = tmp_path_factory.mktemp("cluster"), tmp_path_factory.mktemp("out")
        hide = ["unshare", "-m", "sh", "-c", f'mount -t tmpfs none "{out}" && exec "$@"', "sh"]
        if subprocess.run([*hide, "true"], capture_output=True, check=False).returncode:
            pytest.skip("no mount namespaces here")
        with scheduler(base) as file, workers(file, 1, before=hide):
            done = run("apply", "in", "-k", "box", "-o", out / "new", "--cluster", file, cwd=folder)
        assert f"does not see the output folder {out}" in error_line(done, 2)
        assert list(out.iterdir()) == []

    def test_the_extra_is_missing(self, folder):
        code = "import sys; sys.modules['distributed'] = None; from conv_cli import __main__ as m; m.main()"
        done = subprocess.run(
            [sys.executable, "-c", code, "apply", "in", "-k", "box", "-o", "there", "--cluster", "local"],
            cwd=folder, env=ENVIRONMENT, capture_output=True, check=False,
        )  # fmt: skip
        assert "pip install 'conv-cli[dask]'" in error_line(done, 2)

    @pytest.mark.parametrize(
        ("options", "name"), [(("--jobs", 3), "--jobs"), (("-k", "box", "--combine", "sum"), "")]
    )
    def test_what_means_nothing_there_is_refused(self, folder, options, name):
        if name:
            assert name in self.refused(folder, "tcp://127.0.0.1:9", *options)
        done = call("apply", "in/0.png", "-k", "box", "-o", "-", "--cluster", "local", cwd=folder)
        assert error_line(done, 2).startswith("Error: --cluster: its machines read and write files")


def test_ctrl_c_ends_the_work_and_leaves_the_cluster(folder, cluster):
    for number in range(300):
        shutil.copy(folder / "in/1.png", folder / f"in/many{number:03}.png")
    working = start("apply", "in", "-k", "disk:20", "-k", "kirsch", "-o", "there", "-q",
                    "--cluster", cluster, cwd=folder)  # fmt: skip
    until(lambda: (folder / "there").exists() and len(tree(folder / "there")) > 5)
    working.send_signal(signal.SIGINT)
    _, stderr = working.communicate(timeout=20)
    assert working.returncode == 130
    assert stderr.startswith(b"Error: conv-cli: interrupted")
    assert stderr.count(b"\n") == 1
    assert there(cluster) == 2
    for name, data in tree(folder / "there").items():
        assert read_image(folder / "there" / name).shape[:2] == (40, 50), (name, len(data))


@pytest.mark.slow
def test_local_cluster_is_started_and_ended(folder):
    done = run("apply", "in", "-r", "-k", "box", "-o", "there", "--cluster", "local", "--jobs", 2,
               "-q", cwd=folder)  # fmt: skip
    assert "broken.png" in error_line(done, 1)
    run("apply", "in", "-r", "-k", "box", "-o", "here", "-q", cwd=folder)
    assert tree(folder / "there") == tree(folder / "here")
