"""Pages, frames and stacks: each read as Pillow composes it, filtered, and joined again."""

import io
import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image as PilImage

from command import COMMAND, ENVIRONMENT, run
from command import call as called
from conv_cli import filter_image
from conv_cli.images import open_frames, read_frames
from conv_cli.images.image import Image
from conv_cli.images.joining import open_joined

tifffile = pytest.importorskip("tifffile")
SHAPE = (20, 30)


class Done(NamedTuple):
    code: int
    stdout: str
    stderr: str


def call(*arguments):
    """Run the command in this process; what it prints is text."""
    done = called(*arguments)
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


DURATIONS = [50, 100, 150, 200, 50, 100, 150, 200, 50, 100, 150, 200]
BLUR = "1 2 1; 2 4 2; 1 2 3 / 18"


def pictures(count, mode, seed=0):
    """Frames with noise that differs, and clear and half clear parts where there is opacity."""
    rng = np.random.default_rng(seed)
    bands = len(PilImage.new(mode, (1, 1)).getbands())
    frames = rng.integers(0, 256, (count, *SHAPE, bands), dtype=np.uint8)
    if mode in ("RGBA", "LA"):
        frames[..., -1] = rng.choice([0, 128, 255], (count, *SHAPE))
    return [PilImage.fromarray(frame.squeeze()) for frame in frames]


def saved(path, mode="RGB", count=5, **options):
    first, *rest = pictures(count, mode)
    durations = {} if path.suffix == ".tif" else {"duration": DURATIONS[:count]}
    first.save(path, save_all=True, append_images=rest, **durations, **options)
    return path


def gif(path, disposals, *, clear=None, partial=False):
    """A GIF of 8 colours whose later frames may fill a part of it only."""
    rng = np.random.default_rng(3)
    body = b"GIF89a" + struct.pack("<HHBBB", SHAPE[1], SHAPE[0], 0xF2, 1, 0)
    body += rng.integers(0, 256, 24, dtype=np.uint8).tobytes()
    body += b"!\xff\x0bNETSCAPE2.0\x03\x01\x02\x00\x00"
    for number, disposal in enumerate(disposals):
        height, width = (9, 11) if partial and number else SHAPE
        left, top = (4 + number, 3) if partial and number else (0, 0)
        picture = PilImage.fromarray(rng.integers(0, 8, (height, width), dtype=np.uint8), "P")
        picture.putpalette(bytes(24))
        file = io.BytesIO()
        picture.save(file, "GIF", optimize=False)
        data = file.getvalue()
        start = data.index(b"," + struct.pack("<4H", 0, 0, width, height))
        control = disposal << 2 | (clear is not None)
        body += b"!\xf9\x04" + struct.pack("<BHBB", control, 5 + number, clear or 0, 0)
        body += b"," + struct.pack("<4HB", left, top, width, height, 0) + data[start + 10 : -1]
    path.write_bytes(body + b";")
    return path


def tiff(path, dtype, shape, **options):
    rng = np.random.default_rng(5)
    pages = (rng.random((5, *shape)) * (200 if np.dtype(dtype).kind == "u" else 1)).astype(dtype)
    pages *= np.array(257 if dtype == np.uint16 else 1, dtype)
    kind = "rgb" if len(shape) == 3 else "minisblack"
    with tifffile.TiffWriter(path, bigtiff=options.pop("bigtiff", False)) as file:
        for page in pages:
            file.write(page, photometric=kind, metadata=None, **options)
    return pages


MOVING = {
    "plain.gif": lambda p: saved(p, loop=3),
    "grey.gif": lambda p: saved(p, "L", loop=0),
    "clear.gif": lambda p: saved(p, "RGBA", disposal=2),
    "kept.gif": lambda p: gif(p, [0, 1, 1, 0]),
    "parts.gif": lambda p: gif(p, [1, 1, 1, 1], partial=True),
    "background.gif": lambda p: gif(p, [2, 2, 2, 2], partial=True),
    "previous.gif": lambda p: gif(p, [1, 3, 3, 1], partial=True),
    "clear-parts.gif": lambda p: gif(p, [1, 1, 2, 3, 1], clear=2, partial=True),
    "clear-background.gif": lambda p: gif(p, [2, 2, 2], clear=0, partial=True),
    "plain.png": lambda p: saved(p, loop=2),
    "grey.png": lambda p: saved(p, "L"),
    "greyalpha.png": lambda p: saved(p, "LA"),
    "over.png": lambda p: saved(p, "RGBA", blend=1),
    "background.png": lambda p: saved(p, "RGBA", blend=1, disposal=1),
    "previous.png": lambda p: saved(p, "RGBA", blend=0, disposal=2),
    "mixed.png": lambda p: saved(p, "RGBA", blend=[0, 1, 0, 1, 1], disposal=[0, 2, 1, 0, 1]),
    "hidden.png": lambda p: saved(p, "RGBA", default_image=True),
    "plain.webp": lambda p: saved(p, lossless=True, loop=4),
    "clear.webp": lambda p: saved(p, "RGBA", lossless=True),
    "lossy.webp": lambda p: saved(p, quality=60),
    "plain.avif": lambda p: saved(p),
    "clear.avif": lambda p: saved(p, "RGBA"),
    "plain.tif": lambda p: saved(p),
    "lzw.tif": lambda p: saved(p, compression="tiff_lzw"),
    "jpeg.tif": lambda p: saved(p, compression="jpeg"),
    "grey.tif": lambda p: saved(p, "L"),
    "rgba.tif": lambda p: saved(p, "RGBA", compression="tiff_adobe_deflate"),
}


@pytest.mark.parametrize("name", MOVING)
def test_every_frame_is_what_pillow_composes(tmp_path, name):
    path = MOVING[name](tmp_path / name)
    require_as_pillow(path)


@pytest.mark.parametrize("name", ["multipage.tif", "no_time_for_that_tiny.gif"])
def test_every_frame_of_public_files_is_what_pillow_composes(name):
    data = pytest.importorskip("skimage.data")
    require_as_pillow(Path(data.__file__).parent / name)


def require_as_pillow(path):
    with PilImage.open(path) as theirs, open_frames(path) as mine:
        assert mine.count == theirs.n_frames > 1
        for number in range(1, mine.count + 1):
            theirs.seek(number - 1)
            frame = mine.read(number)
            info = mine.info(number)
            assert (info.shape, info.dtype, info.alpha) == (frame.shape, frame.dtype, frame.alpha)
            whole = theirs.convert("RGBA")
            mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[frame.channels]
            ours = np.asarray(PilImage.fromarray(frame.pixels, mode).convert("RGBA"))
            np.testing.assert_array_equal(ours, np.asarray(whole), err_msg=f"frame {number}")
            if frame.timing is not None:
                assert frame.timing.duration == theirs.info.get("duration", 0)


@pytest.mark.parametrize("number", [1, 3, 5, 2])
def test_a_frame_is_the_same_alone_and_in_any_order(tmp_path, number):
    path = gif(tmp_path / "a.gif", [1, 1, 2, 3, 1], clear=2, partial=True)
    frames = list(read_frames(path, "all"))
    with open_frames(path) as file:
        file.read(4)
        np.testing.assert_array_equal(file.read(number).pixels, frames[number - 1].pixels)


WRITTEN = {np.float64: np.float32}  # as a single page is
DEEP = {
    "uint8": (np.uint8, SHAPE, {}),
    "uint8 planar": (np.uint8, (3, *SHAPE), {"planarconfig": "separate"}),
    "uint16": (np.uint16, SHAPE, {"compression": "zlib"}),
    "uint16 tiles": (np.uint16, SHAPE, {"tile": (16, 16), "compression": "zlib"}),
    "uint16 colour": (np.uint16, (*SHAPE, 3), {"compression": "zlib", "predictor": True}),
    "float32": (np.float32, SHAPE, {}),
    "float32 colour": (np.float32, (*SHAPE, 3), {"compression": "zlib"}),
    "float64": (np.float64, SHAPE, {}),
    "big-endian": (np.uint16, SHAPE, {"byteorder": ">"}),
    "BigTIFF": (np.uint16, SHAPE, {"bigtiff": True, "compression": "zlib", "rowsperstrip": 3}),
}


@pytest.mark.parametrize("name", DEEP)
def test_pages_keep_their_depth_on_the_way_in_and_out(tmp_path, name):
    dtype, shape, options = DEEP[name]
    options = dict(options)
    source, target = tmp_path / "a.tif", tmp_path / "b.tif"
    if (order := options.pop("byteorder", None)) is not None:
        tifffile.imwrite(source, np.zeros((5, *shape), dtype), byteorder=order, metadata=None)
        pages = np.random.default_rng(1).integers(0, 65536, (5, *shape)).astype(dtype)
        with tifffile.TiffWriter(source, byteorder=order) as file:
            for page in pages:
                file.write(page, metadata=None, photometric="minisblack")
    else:
        pages = tiff(source, dtype, shape, **options)
    if options.get("planarconfig"):
        pages = pages.transpose(0, 2, 3, 1)
    with open_frames(source) as file:
        assert file.count == 5
        for number, page in enumerate(pages, 1):
            np.testing.assert_array_equal(file.read(number).pixels, page)
    assert call("apply", source, "-k", "identity", "--frames", "all", "-o", target).code == 0
    with tifffile.TiffFile(target) as file:
        assert {page.dtype for page in file.pages} == {np.dtype(WRITTEN.get(dtype, dtype))}
    for written, page in zip(read_frames(target, "all"), pages, strict=True):
        np.testing.assert_array_equal(written.pixels, page.astype(WRITTEN.get(dtype, dtype)))


def test_pages_of_different_sizes_and_depths_stay_so(tmp_path):
    source, target = tmp_path / "a.tif", tmp_path / "b.tif"
    pages = [
        np.arange(600, dtype=np.uint8).reshape(20, 30),
        np.arange(99, dtype=np.uint16).reshape(9, 11),
        np.arange(231, dtype=np.uint8).reshape(7, 11, 3),
    ]
    with tifffile.TiffWriter(source) as file:
        for page in pages:
            file.write(page, metadata=None, photometric="rgb" if page.ndim == 3 else "minisblack")
    assert call("apply", source, "-k", "identity", "--frames", "all", "-o", target).code == 0
    for written, page in zip(read_frames(target, "all"), pages, strict=True):
        np.testing.assert_array_equal(written.pixels, page)
        assert written.dtype == page.dtype
    done = call("apply", source, "-k", "identity", "--frames", "all", "-o", tmp_path / "b.png")
    assert done.code == 1
    assert "frame 2" in done.stderr
    assert not (tmp_path / "b.png").exists()


@pytest.mark.parametrize("format", ["gif", "png", "webp"])
@pytest.mark.parametrize("name", ["plain.gif", "plain.png", "plain.webp"])
def test_animations_keep_durations_loops_and_pixels(tmp_path, name, format):
    source, target = MOVING[name](tmp_path / name), tmp_path / f"out.{format}"
    assert call("apply", source, "-k", "identity", "--frames", "all", "-o", target).code == 0
    before, after = list(read_frames(source, "all")), list(read_frames(target, "all"))
    assert [each.timing for each in after] == [each.timing for each in before]
    exact = format != "gif" or name == "plain.gif"
    for one, other in zip(before, after, strict=True):
        colours = other.pixels[..., :3].astype(int)
        assert abs(one.pixels[..., :3] - colours).max() <= (0 if exact else 80)
    with PilImage.open(target) as file:
        assert file.n_frames == 5


def test_gif_keeps_what_is_clear_and_up_to_256_colours(tmp_path):
    source = gif(tmp_path / "a.gif", [1, 1, 2, 3, 1], clear=2, partial=True)
    done = call("apply", source, "-k", "identity", "--frames", "all", "-o", tmp_path / "b.gif")
    assert (done.code, done.stderr) == (0, "")
    pairs = zip(read_frames(source, "all"), read_frames(tmp_path / "b.gif", "all"), strict=True)
    for one, other in pairs:
        shown = one.pixels[..., -1:] > 0
        assert one.alpha and shown.any() and not shown.all()
        np.testing.assert_array_equal(one.pixels * shown, other.pixels * shown)
        np.testing.assert_array_equal(one.pixels[..., -1], other.pixels[..., -1])


def test_picture_that_no_animation_shows_stays_so_in_png(tmp_path):
    source = MOVING["hidden.png"](tmp_path / "a.png")
    call("apply", source, "-k", "identity", "--frames", "all", "-o", tmp_path / "b.png")
    call("apply", source, "-k", "identity", "--frames", "all", "-o", tmp_path / "b.webp")
    with PilImage.open(source) as one, PilImage.open(tmp_path / "b.png") as other:
        assert one.default_image and other.default_image
        assert one.n_frames == other.n_frames
        count = one.n_frames
    with PilImage.open(tmp_path / "b.webp") as file:
        assert file.n_frames == count - 1


def test_each_frame_has_its_file_with_numbers_of_one_width(tmp_path):
    source = saved(tmp_path / "a.tif", "L", 12)
    done = call(
        "apply", source, "-k", BLUR, "--frames", "all", "--name", "{stem}.{frame}{ext}",
        "--depth", "8", "-o", tmp_path / "out",
    )  # fmt: skip
    assert done.code == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"a.{number:02}.png" for number in range(1, 13)]
    for name, page in zip(names, read_frames(source, "all"), strict=True):
        expected = np.rint(filter_image(page.pixels, BLUR)).clip(0, 255)
        with PilImage.open(tmp_path / "out" / name) as made:
            assert abs(np.asarray(made) - expected).max() == 0


def test_frames_of_one_name_are_refused_before_anything_is_made(tmp_path):
    source = saved(tmp_path / "a.gif")
    for options in (
        ("--format", "jpeg", "-o", tmp_path / "out/"),
        ("-o", tmp_path / "out.npy"),
        ("--name", "{frame}.png", "-o", tmp_path / "out/", saved(tmp_path / "b.gif")),
    ):
        done = call("apply", source, "-k", BLUR, "--channels", "grey", "--frames", "all", *options)
        assert done.code == 2
        assert done.stderr.count("\n") == 1
        assert sorted(path.name for path in tmp_path.iterdir()) in (["a.gif"], ["a.gif", "b.gif"])


@pytest.mark.parametrize("target", ["a.png", "a.tif"])
def test_numbers_choose_frames(tmp_path, target):
    source = saved(tmp_path / "in.tif", count=12)
    frames = list(read_frames(source, "all"))
    done = call("apply", source, "-k", "identity", "--frames", "2, 11", "-o", tmp_path / target)
    assert done.code == 0
    written = list(read_frames(tmp_path / target, "all"))
    assert len(written) == 2
    for made, number in zip(written, (2, 11), strict=True):
        np.testing.assert_array_equal(made.pixels, frames[number - 1].pixels)


@pytest.mark.parametrize("form", ["a.gif", "a.tif", "a.npy", "a.jpg"])
def test_number_that_is_not_there_costs_that_image(tmp_path, form):
    source, good = tmp_path / form, saved(tmp_path / "good.tif", count=9)
    if form == "a.npy":
        np.save(source, np.zeros((5, 4, 4), np.float32))
    elif form == "a.jpg":
        pictures(1, "RGB")[0].save(source)
    else:
        saved(source)
    done = call(
        "apply", source, good, "-k", BLUR, "--frames", "7", "-o", tmp_path / "out", "--json"
    )
    failed, made = map(json.loads, done.stdout.splitlines())
    assert done.code == 1
    assert ("one picture" if form == "a.jpg" else "5 ") in failed["error"]
    assert (made["image"], made["frame"]) == (str(good), 7)


@pytest.mark.parametrize("word", ["0", "-1", "1-3", "1.5", "some", "1,,2", ""])
def test_other_words_are_refused(tmp_path, word):
    source = saved(tmp_path / "a.gif")
    done = call("apply", source, "-k", BLUR, "--frames", word, "-o", tmp_path / "b.gif")
    assert done.code == 2
    assert "--frames" in done.stderr
    assert not (tmp_path / "b.gif").exists()


@pytest.mark.parametrize("shape", [(5, 6, 7), (5, 6, 7, 3), (6, 7)])
def test_stack_of_numpy_is_frames_where_these_are_asked_for(tmp_path, shape):
    stack = np.random.default_rng(2).random(shape)
    np.save(tmp_path / "a.npy", stack)
    done = call(
        "apply", tmp_path / "a.npy", "-k", BLUR, "--frames", "all",
        "--name", "{stem}.{frame}.npy", "-o", tmp_path / "out",
    )  # fmt: skip
    assert done.code == 0
    frames = stack[None] if stack.ndim == 2 else stack
    for number, frame in enumerate(frames, 1):
        made = np.load(tmp_path / "out" / f"a.{number}.npy")
        assert made.dtype == np.float64
        np.testing.assert_allclose(made, filter_image(frame, BLUR), rtol=1e-5)


def test_first_of_a_stack_whose_frames_have_three_rows_is_no_band(tmp_path):
    stack = np.arange(60, dtype=np.float32).reshape(5, 4, 3)
    np.save(tmp_path / "a.npy", stack)
    for options, expected in (((), stack), (("--frames", "first"), stack[0])):
        target = tmp_path / f"{len(options)}.npy"
        call("apply", tmp_path / "a.npy", "-k", "identity", *options, "-o", target)
        np.testing.assert_array_equal(np.load(target), expected)


def test_json_has_a_line_for_each_frame_and_a_dry_run_the_same(tmp_path):
    source = saved(tmp_path / "a.gif")
    command = ("apply", source, "-k", BLUR, "--frames", "all", "-o", tmp_path / "b.tif", "--json")
    planned = [json.loads(line) for line in call(*command, "--dry-run").stdout.splitlines()]
    assert not (tmp_path / "b.tif").exists()
    made = [json.loads(line) for line in call(*command).stdout.splitlines()]
    assert (
        [line["frame"] for line in made] == [line["frame"] for line in planned] == [1, 2, 3, 4, 5]
    )
    for one, other in zip(planned, made, strict=True):
        assert {key: other[key] for key in one} == one
        assert other["min"] < other["max"]


def test_files_that_are_there_are_kept_or_refused(tmp_path):
    source, out = saved(tmp_path / "a.tif"), tmp_path / "out"
    command = ("apply", source, "-k", BLUR, "--frames", "all", "-o", out)
    apart = ("--name", "{frame}{ext}")
    assert call(*command, *apart).code == 0
    (out / "2.png").unlink()
    (out / "3.png").write_bytes(b"mine")
    refused = call(*command, *apart)
    assert refused.code == 1
    assert refused.stderr.count("exists") == 4
    (out / "2.png").unlink()
    assert call(*command, *apart, "--skip-existing").code == 0
    assert (out / "2.png").exists()
    assert (out / "3.png").read_bytes() == b"mine"
    joined = out / "a.BLUR.tif"
    joined.write_bytes(b"mine")
    done = call(*command[:-1], joined, "--skip-existing")
    assert (done.code, joined.read_bytes()) == (0, b"mine")
    assert call(*command[:-1], joined).code == 1
    assert call(*command[:-1], source, "--force").code == 1


def test_frames_go_through_pipes(tmp_path):
    source, target = saved(tmp_path / "a.gif"), tmp_path / "b.gif"
    command = ("-k", BLUR, "--frames", "all")
    assert call("apply", source, *command, "-o", target).code == 0
    with source.open("rb") as stream:
        done = run("apply", "-", *command, "--format", "gif", "-o", "-", stdin=stream)
    assert done.returncode == 0
    assert done.stdout == target.read_bytes()
    with source.open("rb") as stream:
        done = run(
            "apply", "-", *command, "--name", "{stem}{frame}{ext}", "-o", tmp_path / "out",
            stdin=stream,
        )  # fmt: skip
    assert done.returncode == 0
    assert len(list((tmp_path / "out").iterdir())) == 5


def test_other_options_work_on_every_frame(tmp_path):
    source = saved(tmp_path / "a.tif", "L")
    mask = np.zeros(SHAPE, np.uint8)
    mask[:, 10:] = 255
    PilImage.fromarray(mask).save(tmp_path / "mask.png")
    target = tmp_path / "b.tif"
    options = ("--region", "2,3,10x12", "--mask", tmp_path / "mask.png", "--depth", "float32")
    done = call(
        "apply", source, "-k", "sobel", "--combine", "magnitude", *options, "--frames", "all",
        "-o", target,
    )  # fmt: skip
    assert done.code == 0
    for number, page in enumerate(read_frames(target, "all"), 1):
        alone = tmp_path / f"{number}.tif"
        PilImage.fromarray(next(read_frames(source, (number,))).pixels).save(tmp_path / "one.tif")
        call(
            "apply", tmp_path / "one.tif", "-k", "sobel", "--combine", "magnitude", *options,
            "-o", alone,
        )  # fmt: skip
        np.testing.assert_array_equal(page.pixels, next(read_frames(alone, (1,))).pixels)
    done = call("apply", source, "--preset", "edges", "--frames", "4", "-o", tmp_path / "4.png")
    assert done.code == 0
    small = tmp_path / "small.png"
    PilImage.fromarray(mask[:4]).save(small)
    done = call("apply", source, "-k", BLUR, "--mask", small, "--frames", "all", "-o", target, "-f")
    assert done.code == 1
    assert done.stderr.startswith(f"Error: {source}: frame 1: ")
    assert done.stderr.count("\n") == 1


def damaged(path, at):
    """Overwrite some bytes of a frame."""
    data = bytearray(path.read_bytes())
    start = int(len(data) * at)
    data[start : start + 40] = bytes(40)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", ["plain.png", "lzw.tif", "plain.gif"])
@pytest.mark.parametrize("cut", [False, True])
def test_damage_in_a_later_frame_costs_the_image_and_leaves_nothing_half_written(
    tmp_path, name, cut
):
    source = MOVING[name](tmp_path / name)
    if cut:
        data = source.read_bytes()
        source.write_bytes(data[: int(len(data) * 0.7)])
    else:
        damaged(source, 0.7)
    target = tmp_path / "out.tif"
    done = call("apply", source, "-k", BLUR, "--frames", "all", "-o", target)
    assert done.code == 1
    assert done.stderr.startswith(f"Error: {source}: ")
    assert "frame " in done.stderr or "page " in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == [source]
    done = call(
        "apply", source, "-k", BLUR, "--frames", "all", "--name", "{frame}{ext}", "-o",
        tmp_path / "out",
    )  # fmt: skip
    assert done.code == 1
    assert done.stderr.count("\n") == 1
    for path in (tmp_path / "out").iterdir() if (tmp_path / "out").exists() else ():
        with PilImage.open(path) as whole:
            whole.load()


def test_network_names_its_maps_with_the_frame(tmp_path):
    source = saved(tmp_path / "a.gif", "L", 12)
    model = "sobel-x sobel-y | square | sum | sqrt"
    done = call(
        "net", "apply", model, source, "--frames", "3,12", "--layer", "last", "--format", "npy",
        "-o", tmp_path / "out",
    )  # fmt: skip
    assert done.code == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["a.03.4.npy", "a.12.4.npy"]
    one, other = (np.load(tmp_path / "out" / name) for name in names)
    assert abs(one - other).max() > 1
    frame = next(read_frames(source, (3,)))
    PilImage.fromarray(frame.pixels).save(tmp_path / "b.png")
    call(
        "net", "apply", model, tmp_path / "b.png", "--layer", "last", "--format", "npy", "-o",
        tmp_path / "out",
    )  # fmt: skip
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "b.4.npy"), one)


def peak(*arguments):
    """Return the most memory that the command and its processes had, in MB."""
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *COMMAND, *map(str, arguments)],
        check=True, capture_output=True, env=ENVIRONMENT, timeout=100,
    )  # fmt: skip
    return int(done.stdout) / (1 << 20 if sys.platform == "darwin" else 1 << 10)


@pytest.mark.parametrize(
    "form", ["b.tif", *(pytest.param(name, marks=pytest.mark.slow) for name in ("b.png", "b.npz"))]
)
def test_memory_holds_one_page(tmp_path, form):
    """Many more pages take no more memory: their pixels together would be 36 MB more."""
    rng = np.random.default_rng(1)
    pages = [rng.integers(0, 256, (600, 800), dtype=np.uint8) for _ in range(10)]
    most = []
    for count in (5, 80):
        source = tmp_path / f"{count}.tif"
        with tifffile.TiffWriter(source) as file:
            for number in range(count):
                file.write(pages[number % 10], compression="zlib", compressionargs={"level": 1})
        target = tmp_path / f"{count}{form}"
        apart = ("--name", "{frame}.npz", "-o", f"{target}/") if form == "b.npz" else ("-o", target)
        most.append(peak("apply", source, "-k", "identity", "--frames", "all", "-q", *apart))
    assert most[1] < most[0] + 12


def test_pages_are_found_without_opening_each(tmp_path):
    """A chain of directories that turns back ends, and is not counted for ever."""
    source = saved(tmp_path / "a.tif", "L", 3)
    data = bytearray(source.read_bytes())
    with tifffile.TiffFile(source) as file:
        first, last = file.pages[0].offset, file.pages[-1].offset
    count = struct.unpack_from("<H", data, last)[0]
    struct.pack_into("<I", data, last + 2 + 12 * count, first)
    source.write_bytes(data)
    with open_frames(source) as file:
        assert file.count == 3


def test_previews_are_no_pages(tmp_path):
    source = tmp_path / "a.tif"
    page = np.arange(600, dtype=np.uint8).reshape(SHAPE)
    with tifffile.TiffWriter(source) as file:
        file.write(page, metadata=None)
        file.write(page[::2, ::2], metadata=None, subfiletype=1)
        file.write(page[::-1], metadata=None)
    one, other = read_frames(source, "all")
    np.testing.assert_array_equal(one.pixels, page)
    np.testing.assert_array_equal(other.pixels, page[::-1])


def test_what_describes_a_page_is_moved_with_it(tmp_path):
    exif = PilImage.Exif()
    exif[0x010E] = "described"
    exif.get_ifd(0x8769)[0x9286] = b"a comment that is longer than four bytes"
    buffer = io.BytesIO()
    file = open_joined(buffer, "tiff", 3)
    for value in (1, 2, 3):
        pixels = np.full(SHAPE, value, np.uint8)
        file.add(Image(pixels, exif=exif.tobytes().removeprefix(b"Exif\0\0"), dpi=(72, 96)))
    file.finish()
    with PilImage.open(buffer) as pages:
        for value in (1, 2, 3):
            pages.seek(value - 1)
            assert np.asarray(pages).max() == value
            assert pages.info["dpi"] == (72, 96)
            tags = pages.getexif()
            assert tags[0x010E] == "described"
            assert tags.get_ifd(0x8769)[0x9286] == b"a comment that is longer than four bytes"


def test_fit_takes_pairs_of_frames(tmp_path):
    before, after = saved(tmp_path / "in.tif", "L"), tmp_path / "out.tif"
    assert call("apply", before, "-k", BLUR, "--frames", "all", "-o", after).code == 0
    done = call("fit", before, after, "--frames", "2,4,5", "--json")
    found = json.loads(done.stdout)
    assert (done.code, found["pairs"], found["verdict"]) == (0, 3, "exact")
    weights = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 3]]) / 18
    assert np.abs(np.array(found["kernel"]) - weights).max() < 0.01
    fewer = saved(tmp_path / "fewer.tif", "L", count=3)
    done = call("fit", before, fewer, "--frames", "all")
    assert done.stderr.endswith("5 frames and 3; give --frames that both have, as 1,2\n")
    assert done.code == 1
