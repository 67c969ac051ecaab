"""Names, links, devices and collisions: what a night's folder may hold, and what must not be lost."""

import io
import os
import resource
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from command import COMMAND, ENVIRONMENT, PACKAGE, error_line, run, tree
from conv_cli import read_image, write_image


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (30, 27), dtype=np.uint8)
    write_image(tmp_path / "photo.png", pixels)
    return tmp_path


def apply(folder, *arguments, **options):
    return run("apply", *arguments, "-k", "identity", cwd=folder, **options)


class TestInputIsNeverOverwritten:
    @pytest.mark.parametrize("way", ["name", "other name", "symlink", "hard link", "folder link"])
    def test_under_any_name(self, photo, way):
        target = {"name": "photo.png", "other name": "./sub/../photo.png"}.get(way, "link.png")
        (photo / "sub").mkdir()
        if way == "symlink":
            (photo / target).symlink_to("photo.png")
        elif way == "hard link":
            (photo / target).hardlink_to(photo / "photo.png")
        elif way == "folder link":
            (photo / "here").symlink_to(".")
            target = "here/photo.png"
        before = tree(photo)
        line = error_line(apply(photo, "photo.png", "-o", target, "--force"))
        assert "is an input" in line
        assert tree(photo) == before

    def test_as_stdin(self, photo):
        before = tree(photo)
        with (photo / "photo.png").open("rb") as stdin:
            done = apply(photo, "-", "-o", "photo.png", "-f", stdin=stdin)
        assert "is an input" in error_line(done)
        assert tree(photo) == before

    def test_as_stdout(self, photo):
        before = tree(photo)
        with (photo / "photo.png").open("ab") as stdout:
            done = apply(
                photo, "photo.png", "-o", "-", stdout=stdout, stderr=-1, capture_output=False
            )
        assert "is an input" in error_line(done)
        assert tree(photo) == before

    def test_as_another_input_of_the_same_run(self, photo):
        shutil.copy(photo / "photo.png", photo / "photo.identity.png")
        before = tree(photo)
        done = apply(photo, "photo.png", "photo.identity.png", "-o", ".", "-f", "-q")
        assert "photo.identity.png: is an input" in error_line(done)
        assert before.items() <= tree(photo).items()


class TestOutputThatIsNoFile:
    @pytest.mark.parametrize("kind", ["fifo", "socket-like device", "dangling link", "loop"])
    @pytest.mark.parametrize("force", [[], ["--force"]], ids=["new", "force"])
    def test_is_refused_or_a_link_filled(self, photo, kind, force):
        target = photo / "target.png"
        if kind == "fifo":
            os.mkfifo(target)
        elif kind == "loop":
            target.symlink_to("target.png")
        else:
            target.symlink_to("/dev/full" if kind == "socket-like device" else "real.png")
        done = apply(photo, "photo.png", "-o", "target.png", *force)
        if kind == "dangling link" and force:
            assert done.returncode == 0
            assert target.is_symlink()
            assert read_image(photo / "real.png").shape == (30, 27)
        else:
            assert error_line(done).startswith("Error: target.png: ")
            assert not (photo / "real.png").exists()

    def test_folder_of_that_name(self, photo):
        (photo / "out" / "photo.identity.png").mkdir(parents=True)
        line = error_line(apply(photo, "photo.png", "-o", "out", "--force"))
        assert "out/photo.identity.png: is a folder" in line

    def test_file_in_the_place_of_its_folder(self, photo):
        (photo / "in" / "sub").mkdir(parents=True)
        shutil.copy(photo / "photo.png", photo / "in" / "sub" / "a.png")
        (photo / "out").mkdir()
        (photo / "out" / "sub").write_bytes(b"a file")
        line = error_line(apply(photo, "in", "-r", "-o", "out", "-q"))
        assert line.startswith("Error: out/sub: ")
        assert (photo / "out" / "sub").read_bytes() == b"a file"


class TestInputThatIsNoImage:
    @pytest.mark.parametrize("kind", ["fifo", "/dev/zero", "/dev/full", "/dev/tty", "dangling link", "loop", "folder.png"])  # fmt: skip
    def test_does_not_hang_and_the_rest_is_done(self, photo, kind):
        target = photo / "bad.png"
        if kind == "fifo":
            os.mkfifo(target)
        elif kind == "folder.png":
            (photo / "empty.png").mkdir()
            target.symlink_to("empty.png")
        else:
            target.symlink_to({"dangling link": "nothing", "loop": "bad.png"}.get(kind, kind))
        done = apply(photo, "bad.png", "photo.png", "-o", "out/", "-q", timeout=20)
        if kind == "folder.png":  # a folder without images
            assert "no images" in done.stderr.decode()
        else:
            assert error_line(done).startswith("Error: bad.png: ")
        assert list(tree(photo / "out")) == ["photo.identity.png"]

    @pytest.mark.parametrize(
        ("content", "words"),
        [(b"", "is empty"), (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
         (b"<!DOCTYPE html><html>", "not an image"), (b"%PDF-1.4\n", "not an image"),
         (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"), (b"\x89PNG\r\n\x1a\n", "truncated")],
        ids=["empty", "eps", "html", "pdf", "svg", "signature"],
    )  # fmt: skip
    def test_is_refused_by_content_and_starts_no_program(self, photo, content, words):
        (photo / "bad.png").write_bytes(content)
        bait = photo / "bin"
        bait.mkdir()
        for name in ("gs", "gswin32c", "djpeg", "convert", "xdg-open"):
            (bait / name).write_text(f"#!/bin/sh\ntouch {photo}/started\n")
            (bait / name).chmod(0o755)
        path = f"{bait}{os.pathsep}{os.environ['PATH']}"
        done = apply(photo, "bad.png", "-o", "o.png", env={**ENVIRONMENT, "PATH": path})
        assert words in error_line(done)
        assert not (photo / "started").exists()


def png_of(width, height):
    """A PNG that says it is this large, and is a few bytes."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    pixels = zlib.compress(bytes(100_000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def gif_of(width, height):
    data = bytearray(io.BytesIO().getvalue())
    stream = io.BytesIO()
    Image.new("L", (4, 4)).save(stream, "GIF")
    data = bytearray(stream.getvalue())
    frame = data.index(b",")
    data[6:10] = data[frame + 5 : frame + 9] = struct.pack("<HH", width, height)
    return bytes(data)


def tiff_of_frames(count):
    """A TIFF of one pixel, whose directory comes so many times."""
    entries = [(256, 3, 1, 1), (257, 3, 1, 1), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
               (273, 4, 1, 8), (277, 3, 1, 1), (278, 3, 1, 1), (279, 4, 1, 1)]  # fmt: skip
    body = struct.pack("<H", 9) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    size = len(body) + 4
    frames = (body + struct.pack("<I", 12 + size * (n + 1)) for n in range(count - 1))
    return b"II*\0" + struct.pack("<I4x", 12) + b"".join(frames) + body + bytes(4)


def webp_of(width, height):
    stream = io.BytesIO()
    Image.new("RGB", (width, height)).save(stream, "WEBP", lossless=True, method=0)
    return stream.getvalue()


WEBP = webp_of(9000, 9000)


class TestBombs:
    def few_resources(self):
        resource.setrlimit(resource.RLIMIT_AS, (700_000_000, 700_000_000))
        resource.setrlimit(resource.RLIMIT_CPU, (20, 20))

    @pytest.mark.parametrize(
        ("data", "words"),
        [(png_of(100_000, 100_000), "100000x100000 is 10,000,000,000 pixels"),
         (gif_of(65535, 65535), "65535x65535 is 4,294,836,225 pixels"),
         (png_of(13_000, 13_000), "13000x13000 with 4 channels takes about"),
         (gif_of(13_000, 13_000), "13000x13000 with 3 channels takes about"),
         (WEBP, "9000x9000 with 3 channels takes about")],
        ids=["png", "gif", "png within the limit", "gif within the limit", "webp"],
    )  # fmt: skip
    def test_is_refused_from_its_header(self, photo, data, words):
        (photo / "bomb.png").write_bytes(data)
        done = apply(photo, "bomb.png", "-o", "o.png", preexec_fn=self.few_resources)
        line = error_line(done)
        assert line.startswith("Error: bomb.png: ")
        assert words in line

    def test_frames_beyond_the_first_are_not_touched(self, photo):
        (photo / "film.tif").write_bytes(tiff_of_frames(50_000))
        done = apply(photo, "film.tif", "-o", "o.png", preexec_fn=self.few_resources)
        assert done.returncode == 0
        assert "more than 100 pages" in done.stderr.decode()

    def test_small_images_live_in_260_megabytes_of_addresses(self, photo):
        shutil.copy(photo / "photo.png", photo / "b.png")
        large = np.zeros((6000, 6000, 3), np.uint8)
        write_image(photo / "large.png", large)
        done = apply(photo, "large.png", "photo.png", "b.png", "-o", "out/", "-q",
                     preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (260 << 20,) * 2))  # fmt: skip
        assert "large.png: 6000x6000 with 3 channels takes about" in error_line(done)
        assert len(tree(photo / "out")) == 2

    @pytest.mark.parametrize("megabytes", [190, 230, 270])
    @pytest.mark.parametrize("kernel", ["disk:9", "gaussian:9", "1 2 3; 4 5 6; 9 8 1"])
    @pytest.mark.one_in(4)
    def test_library_that_gives_up_for_want_of_memory_is_one_line(self, photo, kernel, megabytes):
        write_image(photo / "large.png", np.zeros((3000, 3000, 3), np.uint8))
        limit = (megabytes << 20,) * 2
        done = run("apply", "large.png", "-k", kernel, "-o", "o.png", cwd=photo,
                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limit))  # fmt: skip
        if done.returncode:
            line = error_line(done)
            assert line.startswith("Error: large.png: ")
            assert "memory" in line
        assert (photo / "o.png").exists() == (done.returncode == 0)

    @pytest.mark.parametrize("descriptors", [8, 12])
    def test_few_descriptors(self, photo, descriptors):
        for name in ("b.png", "c.png"):
            shutil.copy(photo / "photo.png", photo / name)
        Image.open(photo / "photo.png").save(photo / "d.tif", compression="tiff_lzw")
        done = apply(photo, "photo.png", "b.png", "c.png", "d.tif", "-o", "out/", "-q",
                     preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors,) * 2))  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert len(tree(photo / "out")) == 4


class TestCollisions:
    @pytest.mark.parametrize(
        "names",
        [("a.png", "a.jpg"), ("A.png", "a.png"), ("straße.png", "STRASSE.png"),
         ("x/a.png", "y/a.png"), ("a.png", "./a.png")],
        ids=["suffix", "case", "folding", "folders", "twice"],
    )  # fmt: skip
    def test_are_found_before_anything_is_made(self, photo, names):
        for name in dict.fromkeys(names):
            (photo / name).parent.mkdir(exist_ok=True)
            if not (photo / name).exists():
                shutil.copy(photo / "photo.png", photo / name)
        before = tree(photo)
        line = error_line(apply(photo, *names, "-o", "out"), 2)
        assert "would be made twice" in line
        assert names[0] in line
        assert names[1] in line
        assert tree(photo) == before


class TestNames:
    @pytest.mark.parametrize(
        "name",
        [b"new\nline.png", b"\x1b[31mred\x07.png", b"a[1]?*.png", b"\xff\xfe.png", b".hidden.png",
         b" .png", "\u202egnp.png".encode(), b"x" * 240 + b".png", b"~.png", b"$(touch started).png"],
    )  # fmt: skip
    @pytest.mark.one_in(3)
    def test_of_any_kind_are_read_and_named_in_one_line(self, photo, name):
        (photo / os.fsdecode(name)).write_bytes(b"no image")
        shutil.copy(photo / "photo.png", photo / os.fsdecode(b"good" + name[-200:]))
        done = apply(photo, ".", "-o", "out", "-q")
        line = error_line(done)
        assert "not an image" in line
        assert line.isprintable()
        assert len(tree(photo / "out")) == 2

    def test_with_a_leading_dash(self, photo):
        shutil.copy(photo / "photo.png", photo / "-x.png")
        done = apply(photo, "-o", "out.png", "--", "-x.png")
        assert done.returncode == 2  # the -k that follows is a name by then
        done = run("apply", "-k", "box", "-o", "o.png", "-q", "--", "-x.png", cwd=photo)
        assert done.returncode == 0
        done = run("apply", "./-x.png", "-k", "box", "-o", "p.png", "-q", cwd=photo)
        assert done.returncode == 0

    def test_of_255_bytes_is_written_and_a_longer_one_refused(self, photo):
        assert apply(photo, "photo.png", "-o", "n" * 251 + ".png").returncode == 0
        assert "too long" in error_line(apply(photo, "photo.png", "-o", "n" * 252 + ".png"))
        assert "n" * 251 + ".png" in tree(photo)


class TestTrees:
    @pytest.fixture
    def forest(self, photo):
        """A tree with links that go round and out, and a folder outside it."""
        (photo / "in" / "sub").mkdir(parents=True)
        (photo / "elsewhere").mkdir()
        for name in ("in/a.png", "in/sub/b.png", "elsewhere/secret.png"):
            shutil.copy(photo / "photo.png", photo / name)
        (photo / "in" / "sub" / "up").symlink_to("..")
        (photo / "in" / "out-of-it").symlink_to("../elsewhere")
        return photo

    def test_loops_are_not_followed_and_the_root_not_left(self, forest):
        done = apply(forest, "in", "-r", "-o", "out", "-q")
        assert done.returncode == 0, done.stderr
        files = [name for name in tree(forest / "out") if name.endswith(".png")]
        assert files == ["a.identity.png", "sub/b.identity.png"]

    def test_output_within_the_input_is_not_read_by_the_next_run(self, forest):
        for _ in range(2):
            done = apply(forest, "in", "-r", "-o", "in/out", "-f", "-q")
            assert done.returncode == 0, done.stderr
        files = [name for name in tree(forest / "in" / "out") if name.endswith(".png")]
        assert files == ["a.identity.png", "sub/b.identity.png"]

    @pytest.mark.parametrize("output", ["in", "./in/", "in/sub/..", "link"])
    def test_folder_that_is_input_and_output_is_a_mistake(self, forest, output):
        (forest / "link").symlink_to("in")
        before = tree(forest)
        assert "is the folder of the images too" in error_line(apply(forest, "in", "-o", output), 2)
        assert tree(forest) == before

    def test_order_is_that_of_the_names(self, photo):
        (photo / "in").mkdir()
        for name in ("10", "9", "b", "a", "C"):
            shutil.copy(photo / "photo.png", photo / "in" / f"{name}.png")
        done = apply(photo, "in", "-o", "out", "--json", "--jobs", "3")
        names = [line.split(b'"')[3] for line in done.stdout.splitlines()]
        assert names == [f"in/{name}.png".encode() for name in ("10", "9", "C", "a", "b")]


class TestSurroundings:
    def test_nothing_in_the_environment(self, photo):
        shutil.copy(photo / "photo.png", photo / "grün.png")
        done = apply(photo, "photo.png", "grün.png", "-o", "out", "-q",
                     env={**PACKAGE, "LC_ALL": "C"})  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert len(tree(photo / "out")) == 2

    def test_temporary_folder_that_is_not_there(self, photo):
        env = {**ENVIRONMENT, "TMPDIR": "/nowhere", "HOME": "/nowhere"}
        assert apply(photo, "photo.png", "-o", "o.tif", env=env).returncode == 0

    def test_working_folder_that_was_deleted(self, photo):
        code = (
            f"mkdir gone && cd gone && rmdir ../gone && "
            f"{COMMAND[0]} -m conv_cli apply {photo}/photo.png -k box -o {photo}/o.png -q; echo $?; "
            f"{COMMAND[0]} -m conv_cli apply {photo}/photo.png -k box -o o.png -q; echo $?"
        )
        done = subprocess.run(["bash", "-c", code], cwd=photo, env=ENVIRONMENT, capture_output=True)
        assert done.stdout.split() == [b"0", b"1"]
        lines = [line for line in done.stderr.decode().splitlines() if "shell-init" not in line]
        assert len(lines) == 1
        assert lines[0].startswith("Error: o.png: ")
        assert Path(photo / "o.png").exists()


class TestDryRun:
    def test_tells_what_the_run_would_do_and_makes_nothing(self, photo):
        (photo / "out").mkdir()
        shutil.copy(photo / "photo.png", photo / "there.png")
        (photo / "out" / "there.identity.png").write_bytes(b"old")
        (photo / "bad.png").write_bytes(b"no image")
        before = tree(photo)
        arguments = ("photo.png", "there.png", "bad.png", "-o", "out", "--dry-run")
        done = apply(photo, *arguments)
        assert done.returncode == 1
        assert done.stdout == b"out/photo.identity.png  30x27 uint8  up to 810 bytes\n"
        errors = done.stderr.decode().splitlines()
        assert [line.split(": ")[1] for line in errors] == ["out/there.identity.png", "bad.png"]
        assert "there" not in apply(photo, *arguments, "--skip-existing").stderr.decode()
        assert tree(photo) == before

    def test_reads_headers_only(self, photo):
        data = (photo / "photo.png").read_bytes()
        (photo / "photo.png").write_bytes(data[:60])
        done = apply(photo, "photo.png", "-o", "o.png", "--dry-run")
        assert (done.returncode, done.stdout) == (0, b"o.png  30x27 uint8  up to 810 bytes\n")
