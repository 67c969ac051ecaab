import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from conv_cli.errors import ImageError
from conv_cli.io import files
from conv_cli.io.files import discard_drafts, write_atomically


def put(data):
    return lambda stream: stream.write(data)


@pytest.fixture(params=["nameless", "hidden"])
def draft(request, monkeypatch):
    """New files without a name until they are whole, and as elsewhere with a hidden one."""
    if request.param == "hidden":
        monkeypatch.setattr(files, "_CAN_BE_NAMELESS", False)
    elif not files._CAN_BE_NAMELESS:
        pytest.skip("this system gives every file a name")


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def test_new_file_holds_what_was_written_and_nothing_else_is_left(tmp_path, draft):
    write_atomically(tmp_path / "a.png", put(b"pixels"))
    assert (tmp_path / "a.png").read_bytes() == b"pixels"
    assert names(tmp_path) == ["a.png"]


def test_existing_file_is_refused_before_anything_is_written(tmp_path):
    target = tmp_path / "a.png"
    target.write_bytes(b"old")
    with pytest.raises(ImageError, match=r"a\.png: exists; use --force"):
        write_atomically(target, lambda stream: pytest.fail("written"))
    assert target.read_bytes() == b"old"


def test_force_replaces_an_existing_file(tmp_path):
    target = tmp_path / "a.png"
    target.write_bytes(b"old and longer")
    write_atomically(target, put(b"new"), force=True)
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "no hard links"])
def test_file_that_appears_while_writing_is_kept(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(files, "_CAN_BE_NAMELESS", False)
        monkeypatch.setattr(os, "link", _no_links)
    target = tmp_path / "a.png"

    def write(stream):
        stream.write(b"mine")
        target.write_bytes(b"theirs")

    with pytest.raises(ImageError, match="exists"):
        write_atomically(target, write)
    assert target.read_bytes() == b"theirs"
    assert names(tmp_path) == ["a.png"]


def _no_links(*_):
    raise OSError(errno.EOPNOTSUPP, "no links here")


def test_file_system_without_links_takes_new_files(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_CAN_BE_NAMELESS", False)
    monkeypatch.setattr(os, "link", _no_links)
    write_atomically(tmp_path / "a.png", put(b"pixels"))
    assert (tmp_path / "a.png").read_bytes() == b"pixels"
    assert names(tmp_path) == ["a.png"]


def test_of_many_writers_of_one_new_file_one_succeeds(tmp_path):
    outcomes = []

    def run(number):
        try:
            write_atomically(tmp_path / "a", put(b"%d" % number * 1000))
            outcomes.append(number)
        except ImageError:
            pass

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 1
    assert (tmp_path / "a").read_bytes() == b"%d" % outcomes[0] * 1000
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("failure", [ValueError("bad"), KeyboardInterrupt(), SystemExit(3)])
@pytest.mark.parametrize("old", [None, b"old"], ids=["new", "existing"])
def test_failing_writer_leaves_the_old_bytes_or_nothing(tmp_path, draft, failure, old):
    target = tmp_path / "a.png"
    if old is not None:
        target.write_bytes(old)

    def write(stream):
        stream.write(b"half")
        stream.flush()
        raise failure

    with pytest.raises(type(failure)):
        write_atomically(target, write, force=True)
    assert names(tmp_path) == ([] if old is None else ["a.png"])
    assert old is None or target.read_bytes() == old


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EIO, "disk reports an error"),
        (errno.EROFS, "read-only"),
        (errno.ENOTTY, "cannot be written"),
    ],
)
@pytest.mark.parametrize("call", ["fsync", "write", "link"])
def test_system_errors_become_one_line_that_names_the_file(
    tmp_path, monkeypatch, draft, code, words, call
):
    def fail(*_, **__):
        raise OSError(code, os.strerror(code))

    if call == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    if call == "link":
        monkeypatch.setattr(os, "link", fail)
        monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(ImageError, match=words) as caught:
        write_atomically(tmp_path / "a.png", fail if call == "write" else put(b"x"))
    assert str(caught.value).startswith(f"{tmp_path / 'a.png'}: ")
    assert ";" in str(caught.value)
    assert names(tmp_path) == []


def test_file_size_limit_leaves_the_old_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    code = (
        "import resource, sys\n"
        "from conv_cli.io.files import write_atomically\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_atomically(sys.argv[1], lambda s: s.write(b'x' * 5000), force=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a")], capture_output=True, text=True
    )
    assert "ImageError" in done.stderr
    assert "limit on file sizes" in done.stderr
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("force", [False, True])
def test_targets_that_are_no_files_are_refused(tmp_path, force):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_bytes(b"")
    cases = {
        "pipe": "pipe or device" if force else "exists",
        "folder": "is a folder",
        "folder/": "is a folder",
        "loop": "circle" if force else "exists",
        "file/below": "no folder",
        "missing/a.png": "folder does not exist; make it first",
        "a\0b": "null character",
        "n" * 256: "too long",
    }
    for name, words in cases.items():
        with pytest.raises(ImageError, match=words):
            write_atomically(f"{tmp_path}/{name}", put(b"x"), force=force)
    assert names(tmp_path) == ["file", "folder", "loop", "pipe"]


def test_device_is_refused():
    with pytest.raises(ImageError, match="pipe or device"):
        write_atomically("/dev/full", put(b"x"), force=True)


def test_name_of_255_bytes_is_written(tmp_path):
    name = "n" * 251 + ".png"
    write_atomically(tmp_path / name, put(b"x"))
    assert names(tmp_path) == [name]


def test_name_that_is_no_text_is_written(tmp_path):
    name = os.fsencode(tmp_path) + b"/\xff\n.png"
    write_atomically(os.fsdecode(name), put(b"x"))
    assert Path(os.fsdecode(name)).read_bytes() == b"x"


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o000])
def test_new_file_gets_the_mode_that_the_umask_leaves(tmp_path, draft, mask):
    before = os.umask(mask)
    try:
        write_atomically(tmp_path / "a", put(b"x"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o444])
def test_overwritten_file_keeps_its_mode(tmp_path, draft, mode):
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "a").chmod(mode)
    write_atomically(tmp_path / "a", put(b"new"), force=True)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == mode


def test_force_writes_through_a_link_and_keeps_it(tmp_path, draft):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("folder/real")
    write_atomically(tmp_path / "link", put(b"new"), force=True)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "folder" / "real").read_bytes() == b"new"
    assert names(tmp_path / "folder") == ["real"]


def test_dangling_link_is_refused_and_with_force_filled(tmp_path):
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(ImageError, match="exists"):
        write_atomically(tmp_path / "link", put(b"x"))
    write_atomically(tmp_path / "link", put(b"x"), force=True)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"x"


def test_relative_name_is_written_in_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_atomically("a.png", put(b"x"))
    assert names(tmp_path) == ["a.png"]


@pytest.mark.parametrize("kind", ["nameless", "hidden"])
def test_killed_writer_leaves_nothing_or_what_can_be_found(tmp_path, kind):
    code = (
        "import os, signal, sys\n"
        "from conv_cli.io import files\n"
        f"files._CAN_BE_NAMELESS &= {kind == 'nameless'}\n"
        "def write(stream):\n"
        "    stream.write(b'half'); stream.flush()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "files.write_atomically(sys.argv[1], write)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "a.png")])
    assert process.wait() == -signal.SIGKILL
    if kind == "hidden" or not files._CAN_BE_NAMELESS:
        assert len(names(tmp_path)) == 1
        discard_drafts(tmp_path, process.pid + 1)
        assert len(names(tmp_path)) == 1
        discard_drafts(tmp_path, process.pid)
    assert names(tmp_path) == []
