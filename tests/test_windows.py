"""Pictures read by windows: the same pixels as those of an array, to the bit."""

import threading

import numpy as np
import pytest
import tifffile
from PIL import Image as PilImage

from command import call, error_line
from conv_cli import load_kernel
from conv_cli.borders import Border
from conv_cli.correlation.params import ConvParams
from conv_cli.images import Image, read_image
from conv_cli.images.windows import SegmentRows
from conv_cli.pipeline.feature_map import Range
from conv_cli.pipeline.filter import Filter, filtered_pixels

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


@pytest.mark.parametrize("seed", range(8))
def test_windows_give_the_pixels_of_the_whole_to_the_bit(seed):
    rng = np.random.default_rng(seed)
    for _ in range(15):
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
    x = np.random.default_rng(0).integers(0, 256, (640, 640), np.uint8)
    rows, fetched = segmented(x, (64, 64))
    from conv_cli.correlation.problem import Region

    rule = Filter((load_kernel("box:3"),), region=Region((320, 330), (0, 640)))
    part = filtered_pixels(Image(rows), rule, rule.kernels, np.dtype(np.uint8), Range("clip"))
    assert part.shape == (10, 640)
    # What is computed are whole tiles, and their first column is looked at for the dtype.
    assert {row for row, _ in fetched} < set(range(10))


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
    ("float32", 1, {"tile": (32, 32), "compression": "zlib", "predictor": True}),
    ("float32", 3, {"tile": (32, 32)}),
    ("float64", 1, {"compression": "lzma"}),
    ("uint8", 1, {"compression": "packbits", "photometric": "miniswhite"}),
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
    done = call(
        "apply", tmp_path / "x.npy", "-k", "box", "-o", tmp_path / "y.npy", "--max-pixels", 9
    )
    assert done.returncode == 0, done.stderr
    line = error_line(
        call("find", tmp_path / "x.npy", tmp_path / "x.npy", "--max-pixels", "9"), code=None
    )
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


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
@pytest.mark.parametrize("name", ["tif", "npy", "zarr", "png", "ppm"])
def test_apply_by_windows_writes_what_it_writes_of_the_whole(tmp_path, monkeypatch, words, name):
    if "float32" in words and name in ("png", "ppm"):
        return
    x = grey(np.uint8, (150, 130, 3))
    tifffile.imwrite(tmp_path / "x.tif", x, tile=(32, 48), photometric="rgb")
    if "grey" in words and name == "ppm":
        name = "pgm"
    outputs = []
    for size in ("1000000000", "1"):
        monkeypatch.setenv("CONV_CLI_WINDOW_PIXELS", size)
        out = tmp_path / f"{size}.{name}"
        done = call("apply", tmp_path / "x.tif", *words, "-o", out)
        assert done.returncode == 0, done.stderr
        monkeypatch.setenv("CONV_CLI_WINDOW_PIXELS", "1000000000")
        outputs.append(np.asarray(read_image(out)))
    np.testing.assert_array_equal(outputs[1], outputs[0], strict=True)
