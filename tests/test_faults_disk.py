"""Disks that are full, broken, limited or read-only: the old bytes or nothing, and one line.

Every test proves that its fault came to pass: by the words of the error, or by strace's log.
"""

import os
import resource
import shutil
import subprocess

import numpy as np
import pytest

from command import error_line, run, tree
from conv_cli import read_image, write_image

OLD = b"the old bytes"
ERRORS = {"EIO": "disk reports an error", "ENOSPC": "disk is full", "EDQUOT": "quota is used up"}


def _strace_works():
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-o", os.devnull, "true"], check=False).returncode == 0


needs_strace = pytest.mark.skipif(not _strace_works(), reason="strace is missing or not allowed")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts file systems")


@pytest.fixture
def photo(tmp_path):
    """A folder with an image whose maps take some 50 kB, and one below it for results."""
    pixels = np.random.default_rng(1).integers(0, 256, (300, 270), dtype=np.uint8)
    write_image(tmp_path / "photo.png", pixels)
    (tmp_path / "out").mkdir()
    return tmp_path


@pytest.fixture(params=["new", "over an existing file"])
def old(request, photo):
    """What is there before: nothing, or a file; and the option that this asks for."""
    if request.param == "new":
        return []
    (photo / "out" / "map.png").write_bytes(OLD)
    return ["--force"]


def apply(photo, *options, output="out/map.png", **how):
    return run("apply", "photo.png", "-k", "sobel-x", "-q", "-o", output, *options,
               cwd=photo, **how)  # fmt: skip


class TestInjectedErrors:
    """Calls that fail by strace's doing."""

    def applied(self, photo, call, error, *options, path=None, output="out/map.png", inputs=1):
        """Run with the first such call failing, and check that it did."""
        log = photo / "strace.log"
        where = [] if path is None else ["-P", path, "-P", str(photo / path)]
        calls = call.split(":")[0]
        strace = ["strace", "-f", "--quiet=attach,path-resolution", "-o", str(log), "-e", f"trace={calls}", *where,
                  "-e", f"inject={calls}:error={error}:when={call.partition(':')[2] or 1}"]  # fmt: skip
        done = apply(photo, *options, output=output, before=strace)
        assert log.read_text().count("(INJECTED)") >= inputs
        log.unlink()
        return done

    @needs_strace
    @pytest.mark.parametrize("error", ERRORS)
    @pytest.mark.parametrize("call", ["write", "fsync"])
    @pytest.mark.one_in(5)
    def test_failing_write_and_fsync(self, photo, old, call, error):
        before = tree(photo)
        line = error_line(self.applied(photo, call, error, *old))
        assert line.startswith("Error: out/map.png: ")
        assert ERRORS[error] in line
        assert tree(photo) == before

    @needs_strace
    @pytest.mark.parametrize("error", ERRORS)
    def test_failing_name_of_a_new_file(self, photo, error):
        before = tree(photo)
        assert ERRORS[error] in error_line(self.applied(photo, "link,linkat", error))
        assert tree(photo) == before

    @needs_strace
    @pytest.mark.parametrize("error", ERRORS)
    def test_failing_rename_over_an_existing_file(self, photo, error):
        (photo / "out" / "map.png").write_bytes(OLD)
        before = tree(photo)
        done = self.applied(photo, "rename,renameat,renameat2", error, "--force")
        assert ERRORS[error] in error_line(done)
        assert tree(photo) == before

    @needs_strace
    @pytest.mark.parametrize(
        ("error", "words"),
        [("EACCES", "permission denied"), ("EROFS", "read-only"), ("EMFILE", "too many files"),
         ("ENOSPC", "disk is full"), ("EIO", "disk reports an error")],
    )  # fmt: skip
    def test_failing_open_of_a_new_file(self, photo, error, words):
        done = self.applied(photo, "openat", error, path="out")
        assert words in error_line(done)
        assert tree(photo / "out") == {}

    @needs_strace
    def test_file_system_that_has_no_files_without_a_name(self, photo):
        done = self.applied(photo, "openat", "EOPNOTSUPP", path="out")
        assert done.returncode == 0, done.stderr
        assert read_image(photo / "out" / "map.png").shape == (300, 270)
        assert len(tree(photo / "out")) == 1

    @needs_strace
    def test_mode_that_cannot_be_kept(self, photo):
        (photo / "out" / "map.png").write_bytes(OLD)
        done = self.applied(photo, "fchmod", "EPERM", "--force")
        assert "not permitted" in error_line(done)
        assert tree(photo / "out") == {"map.png": OLD}

    @needs_strace
    def test_input_that_the_disk_does_not_give(self, photo):
        line = error_line(self.applied(photo, "read:1+", "EIO", path="photo.png"))
        assert line.startswith("Error: photo.png: the disk reports an error")
        assert tree(photo / "out") == {}

    @needs_strace
    def test_folder_that_cannot_be_made(self, photo):
        done = self.applied(photo, "mkdir,mkdirat", "ENOSPC", output="new/")
        line = error_line(done)
        assert line.startswith("Error: new: ")
        assert not (photo / "new").exists()

    @needs_strace
    def test_every_worker_meets_the_fault_and_every_file_is_named(self, photo):
        shutil.copy(photo / "photo.png", photo / "second.png")
        done = self.applied(photo, "fsync", "EIO", "second.png", output="out/", inputs=2)
        assert done.returncode == 1
        lines = done.stderr.decode().splitlines()
        assert [line.split(": ")[1] for line in lines] == [
            "out/photo.sobel-x.png",
            "out/second.sobel-x.png",
        ]
        assert tree(photo / "out") == {}

    @needs_strace
    @pytest.mark.parametrize("second", [[], ["second.png"]], ids=["threads", "processes"])
    def test_no_more_threads_or_processes(self, photo, second):
        large = np.random.default_rng(1).integers(0, 256, (1500, 1500), dtype=np.uint8)
        write_image(photo / "second.png", large)
        (photo / "photo.png").write_bytes((photo / "second.png").read_bytes())
        done = self.applied(photo, "clone,clone3,fork,vfork:1+", "EAGAIN", *second, output="out/")
        assert done.returncode == 0, done.stderr
        assert len(tree(photo / "out")) == 1 + len(second)


class TestFileSizeLimit:
    def limit(self):
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    @pytest.mark.parametrize("suffix", ["png", "npy", "tif", "webp"])
    def test_of_one_file(self, photo, suffix):
        done = apply(photo, output=f"out/map.{suffix}", preexec_fn=self.limit)
        assert "limit on file sizes" in error_line(done)
        assert tree(photo / "out") == {}

    def test_of_an_existing_file(self, photo):
        (photo / "out" / "map.png").write_bytes(OLD)
        done = apply(photo, "-f", preexec_fn=self.limit)
        assert "limit on file sizes" in error_line(done)
        assert tree(photo / "out") == {"map.png": OLD}

    def test_of_one_among_many(self, photo):
        write_image(photo / "small.png", np.zeros((9, 9), np.uint8))
        done = apply(photo, "small.png", output="out/", preexec_fn=self.limit)
        assert "out/photo.sobel-x.png: larger than the limit" in error_line(done)
        assert list(tree(photo / "out")) == ["small.sobel-x.png"]


@pytest.fixture
def mounted(photo):
    """Return what mounts a file system on the folder for results."""
    points = []

    def mount(*arguments):
        done = subprocess.run(["mount", *arguments, str(photo / "out")], capture_output=True)
        if done.returncode:
            pytest.skip(f"no mounting here: {done.stderr.decode().strip()}")
        points.append(photo / "out")

    yield mount
    for point in points:
        subprocess.run(["umount", str(point)], check=True)


@needs_root
class TestMounts:
    def test_full_disk(self, photo, mounted, old):
        mounted("-t", "tmpfs", "-o", "size=32k", "tmpfs")
        if old:
            (photo / "out" / "map.png").write_bytes(OLD)
        assert "out/map.png: the disk is full" in error_line(apply(photo, *old))
        assert tree(photo / "out") == ({"map.png": OLD} if old else {})

    def test_disk_that_is_full_for_one_of_two(self, photo, mounted):
        mounted("-t", "tmpfs", "-o", "size=32k", "tmpfs")
        write_image(photo / "small.png", np.zeros((9, 9), np.uint8))
        assert "disk is full" in error_line(apply(photo, "small.png", output="out/"))
        assert list(tree(photo / "out")) == ["small.sobel-x.png"]

    def test_disk_without_room_for_another_file(self, photo, mounted):
        mounted("-t", "tmpfs", "-o", "nr_inodes=1", "tmpfs")
        assert "disk is full" in error_line(apply(photo))
        assert tree(photo / "out") == {}

    def test_read_only_disk(self, photo, mounted, old):
        mounted("--bind", str(photo / "out"))
        subprocess.run(["mount", "-o", "remount,bind,ro", str(photo / "out")], check=True)
        assert "out/map.png: the file system is read-only" in error_line(apply(photo, *old))
        assert tree(photo / "out") == ({"map.png": OLD} if old else {})

    def test_folder_on_a_read_only_disk(self, photo, mounted):
        mounted("--bind", str(photo / "out"))
        subprocess.run(["mount", "-o", "remount,bind,ro", str(photo / "out")], check=True)
        line = error_line(apply(photo, output="out/deeper/"))
        assert line.startswith("Error: out/deeper: ")
        assert "ead-only" in line


class TestPermissions:
    @pytest.fixture
    def powerless(self):
        """What takes from root the right to do what a mode forbids; others have none."""
        if os.geteuid() != 0:
            return []
        if shutil.which("setpriv") is None:
            pytest.skip("root needs setpriv to give up its rights")
        rights = "-dac_override,-dac_read_search"
        return ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"]

    def test_folder_that_may_not_be_written(self, photo, powerless, old):
        (photo / "out").chmod(0o555)
        assert "out/map.png: permission denied" in error_line(apply(photo, *old, before=powerless))
        assert tree(photo / "out") == ({"map.png": OLD} if old else {})

    def test_input_that_may_not_be_read(self, photo, powerless):
        (photo / "photo.png").chmod(0)
        assert "photo.png: permission denied" in error_line(apply(photo, before=powerless))

    def test_folder_that_may_not_be_searched_is_a_failure_and_the_rest_is_done(
        self, photo, powerless
    ):
        (photo / "in" / "closed").mkdir(parents=True)
        shutil.copy(photo / "photo.png", photo / "in" / "a.png")
        shutil.copy(photo / "photo.png", photo / "in" / "closed" / "b.png")
        (photo / "in" / "closed").chmod(0)
        done = run("apply", "in", "-r", "-k", "box", "-o", "out", "-q", cwd=photo, before=powerless)
        (photo / "in" / "closed").chmod(0o755)
        line = error_line(done)
        assert line.startswith("Error: in/closed: ")
        assert "ermission" in line
        assert list(tree(photo / "out")) == ["a.box.png"]

    def test_mode_of_an_overwritten_file_is_kept_and_that_of_a_new_one_is_the_umasks(self, photo):
        (photo / "out" / "map.png").write_bytes(OLD)
        (photo / "out" / "map.png").chmod(0o640)
        apply(photo, "--force", preexec_fn=lambda: os.umask(0o077))
        apply(photo, output="out/new.png", preexec_fn=lambda: os.umask(0o027))
        modes = {p.name: p.stat().st_mode & 0o777 for p in (photo / "out").iterdir()}
        assert modes == {"map.png": 0o640, "new.png": 0o640}
        assert (photo / "out" / "map.png").read_bytes() != OLD
