"""Pictures read by windows: the same pixels as those of an array, to the bit."""

import errno
import importlib.util
import io
import json
import threading
import tracemalloc

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image as PilImage

from command import call, error_line, tree
from conv_cli import filter_image, fit_kernel, load_kernel, write_image
from conv_cli.borders import Border
from conv_cli.correlation.params import ConvParams
from conv_cli.correlation.problem import Region
from conv_cli.errors import ImageError
from conv_cli.fitting import stored
from conv_cli.images import Image, read_image, tiff_rows
from conv_cli.images.windows import SegmentRows
from conv_cli.io.files import write_folder
from conv_cli.pipeline.feature_map import Range
from conv_cli.pipeline.filter import Filter, filtered_pixels
from conv_cli.pipeline.jobs import Destination, ListedInputs, filter_jobs

BORDERS = ("edge", "zero", "reflect", "symmetric", "wrap", "0.5", "7")
KERNELS = ("sobel-x", "gaussian:2", "disk:8", "log", "box:2x5", "gabor", "1 2; 3 5", "roberts-x")
SEGMENTS = ((16, 16), (7, 300), (64, 48), (1, 500), (33, 21))


@pytest.fixture(autouse=True)
def _every_picture_is_large(monkeypatch):
    monkeypatch.setenv("CONV_CLI_WINDOW_PIXELS", "1")


def segmented(pixels, segment):
    """Return an array as pixels that are read segment by segment, and a list of those read."""
    fetched = []

    def fetch(row, column):
        fetched.append((row, column))
        (rows, columns), (i, j) = segment, (row, column)
        return pixels[i * rows : (i + 1) * rows, j * columns : (j + 1) * columns].copy()

    return SegmentRows(pixels.shape, pixels.dtype, segment, fetch), fetched


def chosen(rng):
    """Return an image as an array and by windows, and what is to be done to it."""
    kind = str(rng.choice(["uint8", "uint16", "int32", "float32", "float64"]))
    height, width = map(int, rng.integers(30, 400, 2))
    alpha = bool(rng.random() < 0.3) and kind != "int32"
    channels = int(rng.choice([1, 3])) + alpha
    top = {"uint8": 255, "uint16": 65535, "int32": 1000}.get(kind, 1)
    x = (rng.random((height, width, channels)) * top).astype(kind)
    if alpha and rng.random() < 0.3:
        x[..., -1] = top
    x = x[..., 0] if channels == 1 else x
    rows, _ = segmented(x, SEGMENTS[rng.integers(len(SEGMENTS))])
    names = rng.choice(KERNELS, int(rng.integers(1, 3)))
    rule = Filter(
        tuple(map(load_kernel, map(str, names))),
        ConvParams(
            padding=[("same"), ("full"), ((3, 1), (0, 2)), "valid"][rng.integers(4)],
            border=Border.named(str(rng.choice(BORDERS))),
            stride=tuple(map(int, rng.integers(1, 3, 2))),
            dilation=tuple(map(int, rng.integers(1, 3, 2))),
        ),
        gray=bool(rng.random() < 0.2),
        filter_alpha=bool(rng.random() < 0.3),
        linear=bool(rng.random() < 0.2) and kind != "int32",
        combine="sum",
        nodata=float(x.flat[0]) if rng.random() < 0.2 else None,
    )
    return Image(x, alpha=alpha), Image(rows, alpha=alpha), rule


@pytest.mark.parametrize("seed", range(6))
def test_windows_give_the_pixels_of_the_whole_to_the_bit(seed):
    rng = np.random.default_rng(seed)
    for _ in range(12):
        whole, windows, rule = chosen(rng)
        (_, kernels) = rule.maps()[0]
        mode = Range(str(rng.choice(["raw", "stretch", "signed"])), 100.0)
        made = [
            filtered_pixels(image, rule, kernels, np.dtype(np.float64), mode)
            for image in (whole, windows)
        ]
        np.testing.assert_array_equal(made[1], made[0], err_msg=str(rule))


def test_wide_rows_are_cut_and_seams_do_not_show():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (70, 60_000), np.uint8)
    rows, _ = segmented(x, (32, 4096))
    rule = Filter((load_kernel("gaussian:2"),))
    made = [
        filtered_pixels(Image(pixels), rule, rule.kernels, np.dtype(np.uint8), Range("clip"))
        for pixels in (x, rows)
    ]
    np.testing.assert_array_equal(made[1], made[0])


def test_a_region_reads_the_segments_around_it_alone():
    x = np.random.default_rng(0).integers(0, 256, (4096, 640), np.uint8)
    rows, fetched = segmented(x, (64, 64))
    rule = Filter((load_kernel("box:3"),), region=Region((2000, 2010), (0, 640)))
    part = filtered_pixels(Image(rows), rule, rule.kernels, np.dtype(np.uint8), Range("clip"))
    assert part.shape == (10, 640)
    # Whole tiles are computed, and the first pixel is looked at for its dtype.
    assert 30 in {row for row, _ in fetched}
    assert len({row for row, _ in fetched}) < 20


def test_each_segment_is_read_once_by_all_threads_together():
    x = np.arange(64 * 64, dtype=np.int32).reshape(64, 64)
    rows, fetched = segmented(x, (16, 16))
    seen = []
    threads = [
        threading.Thread(target=lambda: seen.append(rows.rows(3, 60, 5, 64))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert all((each == x[3:60, 5:64]).all() for each in seen)
    assert sorted(fetched) == [(i, j) for i in range(4) for j in range(4)]


def test_a_segment_that_cannot_be_read_fails_every_time():
    def fetch(row, column):
        raise ValueError("damaged")

    rows = SegmentRows((8, 8), np.dtype(np.uint8), (4, 4), fetch)
    for _ in range(2):
        with pytest.raises(ValueError, match="damaged"):
            rows.rows(0, 8, 0, 8)


def grey(dtype, shape=(150, 130)):
    rng = np.random.default_rng(1)
    if np.dtype(dtype).kind == "f":
        return rng.random(shape).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min // 2, info.max // 2, shape).astype(dtype)


FORMS = [
    ("uint8", 1, {}),
    ("uint8", 3, {"tile": (32, 48)}),
    ("uint8", 4, {"rowsperstrip": 7}),
    ("uint8", 3, {"tile": (64, 64), "compression": "zlib", "predictor": True}),
    ("uint8", 3, {"planarconfig": "separate", "rowsperstrip": 20}),
    ("uint16", 1, {"tile": (16, 16), "bigtiff": True}),
    ("uint16", 1, {"byteorder": ">", "rowsperstrip": 11}),
    ("uint16", 3, {"compression": "zlib", "rowsperstrip": 9}),
    ("int16", 1, {"tile": (32, 32)}),
    ("int32", 1, {"rowsperstrip": 50}),
    ("float32", 1, {"tile": (32, 32), "compression": "zlib"}),
    ("float32", 3, {"tile": (32, 32)}),
    ("float64", 1, {"compression": "lzma"}),
    ("uint8", 1, {"compression": "zlib", "photometric": "miniswhite"}),
    ("uint16", 1, {"photometric": "miniswhite"}),
]


@pytest.mark.parametrize(("dtype", "channels", "options"), FORMS, ids=str)
def test_a_tiff_is_read_by_windows_as_it_is_in_one_piece(tmp_path, dtype, channels, options):
    x = grey(dtype, (150, 130) if channels == 1 else (150, 130, channels))
    planar = options.get("planarconfig") == "separate"
    extra = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    kind = {"photometric": "rgb"} if channels > 1 else {}
    stored = np.moveaxis(x, 2, 0) if planar else x
    tifffile.imwrite(tmp_path / "x.tif", stored, **{**kind, **extra, **options})
    whole, windows = (read_image(tmp_path / "x.tif", windows=w) for w in (False, True))
    assert not whole.windowed
    assert windows.windowed
    assert (windows.dtype, windows.alpha) == (whole.dtype, whole.alpha)
    np.testing.assert_array_equal(np.asarray(windows), np.asarray(whole))
    part = windows.pixels.rows(40, 97, 13, 101)
    np.testing.assert_array_equal(part, np.asarray(whole)[40:97, 13:101])


@pytest.mark.parametrize("compression", ["tiff_lzw", "jpeg", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_what_pillow_has_packed_is_read_by_windows(tmp_path, compression, mode):
    x = np.kron(grey(np.uint8, (30, 26, 3)), np.ones((5, 5, 1), np.uint8))
    picture = PilImage.fromarray(x).convert(mode)
    options = {"tiffinfo": {317: 2}} if compression == "tiff_lzw" else {}
    picture.save(tmp_path / "x.tif", compression=compression, **options)
    windows = read_image(tmp_path / "x.tif", windows=True)
    assert windows.windowed
    np.testing.assert_array_equal(np.asarray(windows), np.asarray(read_image(tmp_path / "x.tif")))


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", ">u2", "int32", "float16", "float32", "float64"]
)
@pytest.mark.parametrize("shape", [(50, 40), (50, 40, 3), (50, 40, 1)])
def test_an_npy_is_read_by_windows(tmp_path, dtype, shape):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 2, shape).astype(dtype))
    windows = read_image(tmp_path / "x.npy", windows=True)
    whole = np.asarray(read_image(tmp_path / "x.npy"))
    assert windows.windowed
    np.testing.assert_array_equal(np.asarray(windows), whole, strict=True)
    np.testing.assert_array_equal(windows.pixels.rows(7, 33, 11, 17), whole[7:33, 11:17])


@pytest.mark.parametrize("head", [b"P5 40 30 255\n", b"P5 40 30 1000\n", b"P6 40 30 100\n"])
def test_a_pnm_is_read_by_windows(tmp_path, head):
    count = 40 * 30 * (3 if b"P6" in head else 1) * (2 if b"1000" in head else 1)
    data = np.random.default_rng(0).integers(0, 3, count, np.uint8).tobytes()
    (tmp_path / "x.pnm").write_bytes(head + data)
    windows = read_image(tmp_path / "x.pnm", windows=True)
    assert windows.windowed
    np.testing.assert_array_equal(np.asarray(windows), np.asarray(read_image(tmp_path / "x.pnm")))


def test_a_pfm_is_read_by_windows_from_the_bottom_up(tmp_path):
    x = np.arange(12, dtype="<f4").reshape(4, 3)
    (tmp_path / "x.pfm").write_bytes(b"Pf\n3 4\n-1.0\n" + x[::-1].tobytes())
    windows = read_image(tmp_path / "x.pfm", windows=True)
    np.testing.assert_array_equal(windows.pixels.rows(1, 3, 0, 3), x[1:3])


def test_the_limit_of_pixels_does_not_hold_for_windows(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((100, 100), np.uint8))
    words = (tmp_path / "x.npy", "-k", "box", "--max-pixels", "9")
    succeed("apply", *words, "-o", tmp_path / "y.npy")
    line = error_line(call("find", tmp_path / "x.npy", tmp_path / "x.npy", "--max-pixels", "9"), 2)
    assert "--max-pixels" in line


WORDS = [
    ["-k", "gaussian:3"],
    ["-k", "sobel-x", "--range", "signed"],
    ["-k", "log", "--range", "stretch", "--border", "wrap"],
    ["-k", "laplacian", "--range", "stretch:95", "--padding", "full"],
    ["-k", "sobel", "--combine", "magnitude", "--stride", "2x3", "--dilation", "2"],
    ["-k", "box:5", "--channels", "grey", "--linear"],
    ["-k", "unsharp", "--region", "40,30,60x70", "--bias", "10"],
    ["-k", "box:3", "--nodata", "7", "--depth", "16"],
    ["-k", "gaussian:2", "--depth", "float32"],
    ["-k", "1 2; 3 4", "--convolve", "--normalize", "sum", "--compress"],
]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (words, [("tif", "npy", "zarr", "png", "ppm")[(number + more) % 5] for more in (0, 3)])
        for number, words in enumerate(WORDS)
    ],
    ids=str,
)
def test_apply_by_windows_writes_what_it_writes_of_the_whole(tmp_path, monkeypatch, words, names):
    x = grey(np.uint8, (150, 130, 3))
    tifffile.imwrite(tmp_path / "x.tif", x, tile=(32, 48), photometric="rgb")
    for name in names:
        if "grey" in words and name == "ppm":
            name = "pgm"
        if "float32" in words and name in ("png", "ppm"):
            name = "zarr"
        outputs = []
        for size in ("1000000000", "1"):
            out = tmp_path / f"{size}.{name}"
            monkeypatch.setenv("CONV_CLI_WINDOW_PIXELS", size)
            succeed("apply", tmp_path / "x.tif", *words, "-o", out)
            outputs.append(np.asarray(read_image(out)))
        np.testing.assert_array_equal(outputs[1], outputs[0], strict=True)


def succeed(*words, **options):
    done = call(*words, **options)
    assert done.returncode == 0, done.stderr
    return done


def test_a_mask_and_opacity_are_read_by_windows_too(tmp_path, monkeypatch):
    x = grey(np.uint8, (120, 100, 4))
    tifffile.imwrite(
        tmp_path / "x.tif", x, tile=(32, 48), photometric="rgb", extrasamples=["unassalpha"]
    )
    np.save(tmp_path / "mask.npy", grey(np.uint8, (120, 100)))
    for size in ("1000000000", "1"):
        monkeypatch.setenv("CONV_CLI_WINDOW_PIXELS", size)
        words = ("-k", "gaussian:2", "--mask", tmp_path / "mask.npy")
        succeed("apply", tmp_path / "x.tif", *words, "-o", tmp_path / f"{size}.tif")
    whole, windows = (
        read_image(tmp_path / f"{size}.tif", windows=False) for size in ("1000000000", "1")
    )
    assert whole.alpha and windows.alpha
    np.testing.assert_array_equal(np.asarray(windows), np.asarray(whole))


def test_explain_reads_the_same_by_windows(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", grey(np.uint8, (120, 100, 3)))
    said = []
    for size in ("1000000000", "1"):
        monkeypatch.setenv("CONV_CLI_WINDOW_PIXELS", size)
        for mode in ("clip", "stretch"):
            words = ("-k", "sobel-x", "--at", "119,3", "--range", mode, "--json", "--depth", "8")
            said.append(succeed("explain", tmp_path / "x.npy", *words).stdout)
    assert said[:2] == said[2:]


def test_a_large_tiff_keeps_what_describes_it(tmp_path):
    exif = PilImage.Exif()
    exif[270] = "a slide"
    x = grey(np.uint8, (64, 64))
    PilImage.fromarray(x).save(tmp_path / "x.tif", exif=exif, dpi=(300, 150))
    for words in ([], ["--compress"]):
        succeed(
            "apply", tmp_path / "x.tif", "-k", "identity", "-o", tmp_path / "y.tif", "-f", *words
        )
        with tifffile.TiffFile(tmp_path / "y.tif") as file:
            page = file.pages.first
            assert page.compression == (8 if words else 1)
            np.testing.assert_array_equal(page.asarray(), x)
        with PilImage.open(tmp_path / "y.tif") as picture:
            assert picture.info["dpi"] == (300, 150)
            assert picture.tag_v2[270] == "a slide"
            np.testing.assert_array_equal(np.asarray(picture), x)


@pytest.mark.parametrize("compress", [False, True])
def test_more_than_four_gigabytes_are_a_bigtiff(monkeypatch, compress):
    monkeypatch.setattr(tiff_rows, "_LARGEST", 1000)
    x = grey(np.uint16, (70, 33, 3))
    stream = io.BytesIO()
    sink = tiff_rows.TiffRowsSink(stream, Image(x), (), compress=compress)
    for top in (0, 40):
        sink.put(top, x[top : top + 40])
    sink.finish()
    assert stream.getvalue()[:4] == b"II+\0"
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(stream.getvalue())), x)


def make_ome(path, version, axes, shape, scale):
    """Write an OME-Zarr of two levels, and return the pixels of the first."""
    group = zarr.create_group(path, zarr_format=version)
    x = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    chunks = tuple(16 if axis in "yx" else 1 for axis in axes)
    for level in ("0", "1"):
        group.create_array(level, shape=shape, chunks=chunks, dtype="uint8")[:] = x
    names = [{"name": axis, "type": "space" if axis in "zyx" else "channel"} for axis in axes]
    levels = [
        {"path": level, "coordinateTransformations": [{"type": "scale", "scale": scale}]}
        for level in ("0", "1")
    ]
    multiscales = [{"axes": names, "datasets": levels, "name": "slide"}]
    told = {"multiscales": multiscales, "omero": {"channels": [{"label": "a"}, {"label": "b"}]}}
    group.attrs.update(told if version == 2 else {"ome": {"version": "0.5", **told}})
    return x


@pytest.mark.parametrize("version", [2, 3])
def test_level_0_of_an_ome_zarr_keeps_axes_and_scale(tmp_path, version):
    x = make_ome(tmp_path / "x.zarr", version, "tczyx", (1, 2, 1, 70, 50), [1, 1, 1, 0.5, 0.25])
    words = ("-k", "identity", "--stride", "2x5", "-o", tmp_path / "y.zarr")
    done = succeed("apply", tmp_path / "x.zarr", *words)
    assert done.stderr == b""
    group = zarr.open_group(tmp_path / "y.zarr", mode="r")
    told = dict(group.attrs) if version == 2 else group.attrs["ome"]
    (image,) = told["multiscales"]
    assert group.metadata.zarr_format == version
    assert [axis["name"] for axis in image["axes"]] == list("tczyx")
    assert image["name"] == "slide"
    (level,) = image["datasets"]
    assert level["coordinateTransformations"] == [{"type": "scale", "scale": [1, 1, 1, 1.0, 1.25]}]
    assert len(told["omero"]["channels"]) == 2
    made = group[level["path"]]
    np.testing.assert_array_equal(made[:], x[:, :, :, ::2, ::5])
    assert made.chunks == (1, 1, 1, 16, 10)


def test_the_place_of_a_region_is_told_in_an_ome_zarr(tmp_path):
    make_ome(tmp_path / "x.zarr", 2, "yx", (70, 50), [0.5, 2.0])
    words = ("-k", "box", "--region", "10,20,30x25", "-o", tmp_path / "y.zarr")
    succeed("apply", tmp_path / "x.zarr", *words)
    (image,) = zarr.open_group(tmp_path / "y.zarr", mode="r").attrs["multiscales"]
    assert image["datasets"][0]["coordinateTransformations"] == [
        {"type": "scale", "scale": [0.5, 2.0]},
        {"type": "translation", "translation": [5.0, 40.0]},
    ]


def test_planes_of_a_zarr_that_are_left_out_are_named(tmp_path):
    make_ome(tmp_path / "x.zarr", 3, "zyx", (4, 30, 20), [1, 1, 1])
    done = succeed("apply", tmp_path / "x.zarr", "-k", "box", "-o", tmp_path / "y.png")
    assert "holds 4 planes; only the first is read" in done.stderr.decode()


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("shape", [(90, 70), (90, 70, 3), (90, 70, 4)])
def test_a_zarr_is_an_array_as_an_npy_is(tmp_path, version, shape):
    x = grey(np.uint16, shape)
    array = zarr.create_array(
        tmp_path / "x.zarr", shape=shape, chunks=(32, 16, 2)[: len(shape)], dtype="uint16",
        zarr_format=version, attributes={"who": "me"},
    )  # fmt: skip
    array[:] = x
    image = read_image(tmp_path / "x.zarr", windows=True)
    assert image.windowed and not image.alpha
    np.testing.assert_array_equal(image.pixels.rows(13, 71, 5, 66), x[13:71, 5:66])
    succeed("apply", tmp_path / "x.zarr", "-k", "identity", "-o", tmp_path / "y.zarr")
    copied = zarr.open_array(tmp_path / "y.zarr", mode="r")
    np.testing.assert_array_equal(copied[:], x)
    assert (copied.metadata.zarr_format, copied.chunks) == (version, array.chunks)
    assert copied.attrs["who"] == "me"


def test_a_sharded_zarr_stays_one(tmp_path):
    x = grey(np.uint8, (100, 90))
    options = {"chunks": (8, 8), "shards": (32, 32), "dtype": "uint8"}
    zarr.create_array(tmp_path / "x.zarr", shape=x.shape, **options)[:] = x
    succeed("apply", tmp_path / "x.zarr", "-k", "identity", "-o", tmp_path / "y.zarr")
    made = zarr.open_array(tmp_path / "y.zarr", mode="r")
    assert (made.chunks, made.shards) == ((8, 8), (32, 32))
    np.testing.assert_array_equal(made[:], x)


def test_a_folder_of_zarrs_holds_images_and_no_folders(tmp_path):
    (tmp_path / "in").mkdir()
    for name in "ab":
        zarr.create_array(tmp_path / "in" / f"{name}.zarr", shape=(20, 20), dtype="uint8")[:] = 9
    succeed("apply", tmp_path / "in", "-r", "-k", "box", "--format", "same", "-o", tmp_path / "out")
    made = sorted(each.name for each in (tmp_path / "out").iterdir())
    assert made == ["a.box.zarr", "b.box.zarr"]


class TestWhole:
    """A Zarr appears whole, or not at all."""

    @pytest.fixture
    def folder(self, tmp_path):
        np.save(tmp_path / "x.npy", grey(np.uint8, (64, 64)))
        zarr.create_array(tmp_path / "y.zarr", shape=(8, 8), dtype="uint8")[:] = 1
        return tmp_path

    def test_one_that_is_there_is_refused_without_force(self, folder):
        before = tree(folder)
        words = ("apply", "x.npy", "-k", "box", "-o", "y.zarr")
        assert "exists" in error_line(call(*words, cwd=folder))
        assert tree(folder) == before
        succeed(*words, "-f", cwd=folder)
        assert read_image(folder / "y.zarr").shape == (64, 64)
        assert sorted(each.name for each in folder.iterdir()) == ["x.npy", "y.zarr"]

    def test_it_is_never_written_over_when_it_is_the_input(self, folder):
        before = tree(folder)
        done = call("apply", "y.zarr", "-k", "box", "-o", "./y.zarr", "-f", cwd=folder)
        assert "is an input" in error_line(done)
        assert tree(folder) == before

    def test_a_failure_leaves_the_old_one(self, folder):
        def write(path):
            (path / "half").write_bytes(b"x")
            raise OSError(errno.ENOSPC, "no space")

        before = tree(folder)
        with pytest.raises(ImageError, match=r"y\.zarr: the disk is full"):
            write_folder(folder / "y.zarr", write, force=True)
        assert tree(folder) == before

    def test_stdout_takes_none(self, folder):
        words = ("apply", "x.npy", "-k", "box", "-o", "-", "--format", "zarr")
        assert "folder" in error_line(call(*words, cwd=folder), 2)

    def test_a_group_without_an_image_is_named(self, folder):
        zarr.create_group(folder / "g.zarr")
        done = call("apply", "g.zarr", "-k", "box", "-o", "z.png", cwd=folder)
        assert "g.zarr: is a Zarr group, and no OME-Zarr" in error_line(done)

    def test_without_the_extra_it_is_named(self, folder, monkeypatch):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        for words in (("y.zarr", "-o", "z.png"), ("x.npy", "-o", "z.zarr")):
            line = error_line(call("apply", words[0], "-k", "box", *words[1:], cwd=folder))
            assert "pip install 'conv-cli[zarr]'" in line

    def test_damage_is_one_line(self, folder):
        for file in (folder / "y.zarr").rglob("*"):
            if file.is_file():
                file.write_bytes(b"damaged")
        assert "y.zarr" in error_line(
            call("apply", "y.zarr", "-k", "box", "-o", "z.png", cwd=folder)
        )


class TestFilesFrom:
    """Names in a list."""

    @pytest.fixture
    def folder(self, tmp_path):
        for name in ("a.png", "b c.png", "d.png"):
            write_image(tmp_path / name, grey(np.uint8, (9, 9)))
        return tmp_path

    @pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\0"])
    def test_names_end_with_a_line_or_nul(self, folder, end):
        (folder / "list").write_bytes(b"a.png" + end + b"b c.png" + end + end)
        succeed("apply", "--files-from", "list", "-k", "box", "-o", "out", cwd=folder)
        made = sorted(each.name for each in (folder / "out").iterdir())
        assert made == ["a.box.png", "b c.box.png"]

    def test_they_stand_behind_those_that_are_given(self, folder):
        words = ("apply", "d.png", "--files-from", "-", "-k", "box", "-o", "out", "--json")
        done = succeed(*words, stdin=b"b c.png\na.png", cwd=folder)
        images = [json.loads(line)["image"] for line in done.stdout.splitlines()]
        assert images == ["d.png", "b c.png", "a.png"]

    def test_two_results_of_one_name_are_found_before_anything_is_made(self, folder):
        (folder / "list").write_text("a.png\nd.png\nelsewhere/A.png\n")
        done = call("apply", "--files-from", "list", "-k", "box", "-o", "out", cwd=folder)
        line = error_line(done, 2)
        assert "would be made twice, of a.png with box and of elsewhere/A.png" in line
        assert not (folder / "out").exists()

    def test_an_image_that_is_not_there_costs_itself_alone(self, folder):
        (folder / "list").write_text("a.png\nnone.png\n")
        done = call("apply", "--files-from", "list", "-k", "box", "-o", "out", "-q", cwd=folder)
        assert "none.png: no such file" in error_line(done)
        assert [each.name for each in (folder / "out").iterdir()] == ["a.box.png"]

    @pytest.mark.parametrize(
        ("words", "said", "code"),
        [
            (("--files-from", "none"), "none: no such file", 2),
            (("--files-from", "empty"), "empty: names no image", 3),
            (("--files-from", "dash"), "stdin is named among IMAGES", 2),
            ((), "IMAGES", 2),
            (("--files-from", "-", "-"), "stdin cannot be both", 2),
        ],
    )
    def test_what_is_no_list_is_one_line(self, folder, words, said, code):
        (folder / "empty").write_text("\n\n")
        (folder / "dash").write_text("a.png\n-\n")
        line = error_line(call("apply", *words, "-k", "box", "-o", "out", cwd=folder), code)
        assert said in line

    def test_an_input_is_never_written_over(self, folder):
        (folder / "list").write_text("a.png\nd.png\n")
        before = tree(folder)
        words = ("apply", "--files-from", "list", "-k", "box", "-o", ".", "--name", "{stem}{ext}")
        done = call(*words, "-f", "-q", cwd=folder)
        assert done.returncode == 1
        assert done.stderr.count(b"is an input and never overwritten") == 2
        assert tree(folder) == before

    def test_jobs_are_made_when_they_are_asked_for(self):
        names = b"".join(b"photo-%d.png\n" % n for n in range(20_000))
        tracemalloc.start()
        inputs = ListedInputs((), names)
        jobs = filter_jobs(inputs, [("box", (load_kernel("box"),))], Destination("out/"))
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert jobs[19_999].outputs[0].path == "out/photo-19999.box.png"
        assert held < 30 * len(inputs)


def test_a_dry_run_tells_how_large_files_may_become(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((100, 50), np.uint16))
    done = succeed("apply", "x.npy", "-k", "box", "-o", "y.npy", "--dry-run", cwd=tmp_path)
    assert done.stdout.decode() == "y.npy  100x50 float32  up to 20 kB\n"


def test_a_fit_of_pairs_read_one_by_one_is_that_of_all_at_once(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    names = [(tmp_path / f"{n}.png", tmp_path / f"{n}.out.png") for n in range(5)]
    for before, after in names:
        x = rng.integers(60, 200, (40, 50, 3), np.uint8)
        write_image(before, x)
        write_image(
            after, np.asarray(filter_image(x, "1 2 1; 0 0 3; 1 1 1 / 10")).round().astype("u1")
        )
    made, fits = [], []
    monkeypatch.setattr(stored, "StoredPair", _noted(stored.StoredPair, made))
    for most in (1 << 30, 1):
        monkeypatch.setattr(stored, "MOST_BYTES", most)
        befores, afters = ([str(pair[i]) for pair in names] for i in (0, 1))
        fits.append(fit_kernel(befores, afters, 3))
    whole, one_by_one = fits
    assert len(made) == 15
    np.testing.assert_array_equal(one_by_one.kernel.weights, whole.kernel.weights)
    assert (one_by_one.rmse, one_by_one.verdict) == (whole.rmse, whole.verdict)


def _noted(make, made):
    def noted(**fields):
        made.append(make(**fields))
        return made[-1]

    return noted
