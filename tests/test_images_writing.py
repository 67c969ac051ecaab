"""Writing: what each format holds comes back unchanged, and the rest is refused with a way out."""

import io
import itertools
import struct
import threading

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image as PilImage
from PIL import ImageCms

from conv_cli.errors import ImageError
from conv_cli.images import (
    FLOAT_FORMATS,
    READABLE_SUFFIXES,
    WRITABLE,
    Image,
    can_hold,
    encode_image,
    format_of,
    read_image,
    write_image,
)
from conv_cli.parallel.threads import limited_threads

LOSSY = {"jpeg", "avif"}
FORMATS = sorted(set(WRITABLE.values()) - {"csv", "txt", "zarr"})
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def noise(channels, dtype, size=(37, 45)):
    shape = size if channels == 1 else (*size, channels)
    rng = np.random.default_rng(channels)
    if np.dtype(dtype).kind == "f":
        return rng.normal(size=shape).astype(dtype)
    top = np.iinfo(dtype)
    return rng.integers(top.min, top.max, shape, dtype, endpoint=True)


def calm(channels, dtype):
    pixels = noise(channels, dtype)
    rows = np.arange(37, dtype=np.uint8).reshape(-1, *[1] * (pixels.ndim - 1))
    return np.broadcast_to(rows * 4 + 40, pixels.shape).astype(dtype)


def encoded(image, format, **options):
    stream = io.BytesIO()
    notes = encode_image(stream, image, format, **options)
    return stream.getvalue(), notes


def holds(format, dtype, channels):
    try:
        can_hold(format, dtype, channels, channels in (2, 4))
    except ImageError:
        return False
    return True


CASES = [
    case
    for case in itertools.product(FORMATS, ["uint8", "uint16", "int32", "float32"], [1, 2, 3, 4])
    if holds(*case) and case[0] != "npz"
]


@pytest.mark.parametrize(("format", "dtype", "channels"), CASES)
def test_what_a_format_holds_comes_back(format, dtype, channels):
    pixels = calm(channels, dtype) if format in LOSSY else noise(channels, dtype)
    data, notes = encoded(pixels, format)
    image = read_image(io.BytesIO(data))
    back = image.pixels
    assert image.alpha == (channels in (2, 4) and format != "npy")
    assert notes == ()
    if format == "webp" and channels < 3:  # which has colours only
        assert (back[..., 0] == back[..., 1]).all()
        back = back[..., 0] if channels == 1 else back[..., 2:]
    if format == "avif" and channels == 2:
        back = back[..., 2:]
    assert back.dtype == dtype
    error = np.abs(back.astype(float) - pixels).max()
    assert error <= (4 if format in LOSSY else 0)


def test_cases_cover_every_format():
    assert {case[0] for case in CASES} | {"npz"} == set(FORMATS)
    assert len(CASES) > 40


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bit_png_is_read_by_another_library(tmp_path, channels):
    pixels = noise(channels, np.uint16)
    write_image(tmp_path / "a.png", pixels)
    back = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)
    if channels > 1:
        back = back[..., [2, 1, 0, 3][:channels]]
    assert np.array_equal(back, pixels)


@pytest.mark.parametrize(("dtype", "channels"), [("uint8", 3), ("uint16", 1), ("float32", 1)])
def test_tiff_is_packed_without_loss_and_read_by_another_library(tmp_path, dtype, channels):
    pixels = noise(channels, dtype)
    write_image(tmp_path / "a.tif", pixels)
    assert np.array_equal(
        cv2.imread(str(tmp_path / "a.tif"), -1)[..., ::-1], pixels[..., ::-1]
    ) or (np.array_equal(cv2.imread(str(tmp_path / "a.tif"), -1)[..., ::-1], pixels))


def test_npz_holds_one_array():
    pixels = noise(3, np.float32)
    data, _ = encoded(pixels, "npz")
    with np.load(io.BytesIO(data)) as archive:
        assert list(archive) == ["image"]
        assert np.array_equal(archive["image"], pixels)


def test_jpeg_keeps_colours_in_full_resolution():
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:, ::2] = 255, 0, 0
    pixels[:, 1::2] = 0, 0, 255
    back = read_image(io.BytesIO(encoded(pixels, "jpeg")[0])).pixels
    assert np.abs(back.astype(int) - pixels).max() < 60


def test_webp_keeps_colours_that_are_transparent():
    pixels = noise(4, np.uint8)
    pixels[..., 3] = 0
    assert np.array_equal(read_image(io.BytesIO(encoded(pixels, "webp")[0])).pixels, pixels)


@pytest.mark.parametrize("format", ["pgm", "pnm"])
def test_grey_pnm_is_a_pgm(format):
    assert encoded(noise(1, np.uint16), format)[0].startswith(b"P5\n45 37\n65535\n")


@pytest.mark.parametrize(
    ("format", "dtype", "channels", "alpha", "words"),
    [
        ("jpeg", "uint16", 3, False, "JPEG holds 8-bit, not 16-bit; use --depth 8, or write .npy"),
        ("jpeg", "uint8", 4, True, "JPEG holds no opacity; write PNG, or TIFF"),
        ("jpeg", "float32", 1, False, "use --depth 8"),
        ("png", "float32", 3, False, "PNG holds 8-bit or 16-bit, not float32; use --depth 8 or"),
        ("png", "int32", 1, False, "use --depth 8 or --depth 16"),
        ("png", "uint8", 4, False, "PNG cannot hold 4 channels"),
        ("png", "uint8", 7, False, "PNG cannot hold 7 channels"),
        ("bmp", "uint8", 4, True, "BMP holds no opacity"),
        ("ppm", "uint8", 1, False, "PPM holds colour, not 8-bit grey; write PNG, PGM or TIFF"),
        ("pgm", "uint8", 3, False, "PGM holds one channel; use --channels grey, or write PNG"),
        ("pgm", "uint8", 4, True, "PGM holds one channel; use --channels grey, or write PNG"),
        ("gif", "uint8", 3, False, "GIF holds one channel"),
        ("jp2", "uint16", 3, False, "JPEG 2000"),
        ("png", "float64", 1, False, "PNG holds"),
        ("tiff", "uint32", 1, False, "TIFF holds"),
        ("pfm", "uint8", 1, False, "PFM holds float32, not 8-bit; use --depth float32"),
        ("heic", "uint8", 3, False, "'heic' is no format that can be written; use one of png"),
        ("pbm", "uint8", 1, False, "'pbm' is no format that can be written"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_with_a_way_out(format, dtype, channels, alpha, words):
    with pytest.raises(ImageError) as caught:
        can_hold(format, np.dtype(dtype), channels, alpha)
    assert words in str(caught.value)
    assert ";" in str(caught.value)


def test_table_and_encoders_agree():
    """What `can_hold` allows is written, and what it refuses is not."""
    dtypes = ["uint8", "uint16", "int32", "uint32", "float32", "float64"]
    for format, dtype, channels in itertools.product(FORMATS, dtypes, [1, 2, 3, 4]):
        pixels = np.zeros((4, 4, channels)).astype(dtype)
        if holds(format, dtype, channels):
            assert encoded(pixels, format)[0]
        else:
            with pytest.raises(ImageError):
                encoded(pixels, format)


@pytest.mark.parametrize(("dtype", "channels"), [("uint16", 3), ("float32", 3), ("uint16", 2)])
def test_deep_colour_tiff_without_the_extra_is_refused_in_one_line(monkeypatch, dtype, channels):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImageError) as caught:
        encoded(noise(channels, dtype), "tiff")
    assert "needs the tiff extra: pip install 'conv-cli[tiff]', in a clone '.[tiff]'; or" in str(
        caught.value
    )


@pytest.mark.parametrize(("dtype", "channels"), [("uint16", 3), ("uint16", 4), ("float32", 3)])
def test_deep_colour_tiff_is_written_with_the_extra(dtype, channels):
    pixels = noise(channels, dtype)
    image = Image(pixels, alpha=channels == 4, icc=SRGB, dpi=(200.0, 100.0))
    with tifffile.TiffFile(io.BytesIO(encoded(image, "tiff")[0])) as file:
        page = file.pages[0]
        assert np.array_equal(page.asarray(), pixels)
        assert bytes(page.tags[34675].value) == SRGB
        assert page.get_resolution("INCH") == pytest.approx((200, 100))
        assert [int(extra) for extra in page.extrasamples] == [2] * (channels == 4)


def test_no_array_format_refuses_anything():
    for dtype in ("uint8", "int64", "float64", "bool"):
        can_hold("npy", dtype, 7, False)
    assert {"npy", "npz", "zarr", "csv", "txt", "tiff", "pfm"} == FLOAT_FORMATS


@pytest.mark.parametrize(
    ("name", "format"),
    [("a.png", "png"), ("A.PNG", "png"), ("x/b.jpeg", "jpeg"), ("b.TIF", "tiff"), ("c.npz", "npz")],
)
def test_format_is_told_by_the_suffix(name, format):
    assert format_of(name) == format


@pytest.mark.parametrize("name", ["a.heic", "a", ".png", "a.pbm", "a.ico"])
def test_suffix_that_cannot_be_written_is_refused_with_those_that_can(name):
    with pytest.raises(ImageError) as caught:
        format_of(name)
    assert str(caught.value).startswith(f"{name}: ")
    assert ".png" in str(caught.value)
    assert ".tif" in str(caught.value)


def test_what_is_written_can_be_read_in_folders_but_for_text():
    assert {".csv", ".txt"} == WRITABLE.keys() - READABLE_SUFFIXES


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 4, 2, 2), np.uint8),
        np.zeros(5, np.uint8),
        np.zeros((0, 3), np.uint8),
        np.zeros((3, 0, 3), np.uint8),
    ],
)
def test_array_that_is_no_image_is_refused(tmp_path, array):
    with pytest.raises(ImageError, match=r"a\.png: an image has the shape"):
        write_image(tmp_path / "a.png", array)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", ["float64", "int64", "complex64", "float16"])
def test_array_of_other_numbers_is_refused(tmp_path, dtype):
    with pytest.raises(ImageError, match=f"not {dtype}"):
        write_image(tmp_path / "a.png", np.zeros((3, 3), dtype))


def test_arrays_of_many_forms_are_written(tmp_path):
    pixels = noise(1, np.uint8)
    for index, array in enumerate(
        [
            pixels[..., None],
            pixels > 100,
            np.asfortranarray(pixels),
            pixels[::-1, ::2],
            pixels.astype(">u2"),
        ]
    ):
        path = tmp_path / f"{index}.png"
        write_image(path, array)
        expected = np.squeeze(array) * 255 if array.dtype == bool else np.squeeze(array)
        assert np.array_equal(read_image(path).pixels, expected)
        path = tmp_path / f"{index}.tif"
        write_image(path, array)
        assert np.array_equal(read_image(path).pixels, expected)


def test_four_channels_of_an_array_end_in_opacity(tmp_path):
    write_image(tmp_path / "a.png", noise(4, np.uint8))
    assert read_image(tmp_path / "a.png").alpha


def test_file_is_written_whole_or_not_at_all(tmp_path):
    target = tmp_path / "a.jpg"
    write_image(target, calm(3, np.uint8))
    before = target.read_bytes()
    with pytest.raises(ImageError, match=r"a\.jpg: exists; use --force"):
        write_image(target, calm(1, np.uint8))
    with pytest.raises(ImageError, match=r"a\.jpg: JPEG holds"):
        write_image(target, calm(3, np.uint16), force=True)
    assert target.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"]
    write_image(target, calm(1, np.uint8), force=True)
    assert read_image(target).shape == (37, 45)


def test_name_need_not_tell_the_format(tmp_path):
    write_image(tmp_path / "picture", noise(1, np.uint8), format="png")
    assert read_image(tmp_path / "picture").format == "png"
    with pytest.raises(ImageError, match="no suffix"):
        write_image(tmp_path / "other", noise(1, np.uint8))


@pytest.mark.parametrize("format", FORMATS)
def test_stream_need_not_seek(format):
    class Pipe(io.RawIOBase):
        def __init__(self):
            self.data = b""

        def writable(self):
            return True

        def write(self, data):
            self.data += bytes(data)
            return len(bytes(data))

    dtype = "float32" if format == "pfm" else "uint8"
    channels = 3 if format == "ppm" else 1
    pipe = Pipe()
    encode_image(pipe, calm(channels, dtype), format)
    assert pipe.data == encoded(calm(channels, dtype), format)[0] or format == "npz"


def test_bytes_do_not_depend_on_threads():
    pixels = noise(3, np.uint16, (500, 700))
    files = set()
    for count in (1, 2, 5):
        with limited_threads(count):
            files.add(encoded(pixels, "png")[0])
    assert len(files) == 1


def exif_block():
    exif = PilImage.Exif()
    exif[0x010F] = "Maker"
    exif[0x0131] = "Program"
    exif[0x8769] = {0x829A: (1, 125), 0x9003: "2026:11:24 10:00:00"}
    return exif.tobytes().removeprefix(b"Exif\0\0")


@pytest.mark.parametrize("format", ["png", "jpeg", "tiff", "webp", "avif"])
def test_exif_profile_and_resolution_go_with_the_pixels(format):
    image = Image(calm(3, np.uint8), exif=exif_block(), icc=SRGB, dpi=(300.0, 150.0))
    data, notes = encoded(image, format)
    assert notes == ()
    back = read_image(io.BytesIO(data))
    assert back.icc == SRGB
    if format not in ("webp", "avif"):
        assert back.dpi == pytest.approx((300, 150), abs=0.05)
    exif = PilImage.Exif()
    exif.load(back.exif)
    assert exif[0x010F] == "Maker"
    assert exif.get_ifd(0x8769)[0x9003] == "2026:11:24 10:00:00"
    twice = read_image(io.BytesIO(encoded(back, format)[0]))
    assert (twice.icc, twice.dpi) == (back.icc, back.dpi)
    assert twice.exif == back.exif


def test_exif_of_a_camera_does_not_change_how_a_tiff_is_stored():
    exif = PilImage.Exif()
    exif.update({256: 9999, 257: 9999, 259: 6, 262: 6, 277: 1, 305: "Camera"})
    image = Image(calm(3, np.uint8), exif=exif.tobytes().removeprefix(b"Exif\0\0"))
    back = read_image(io.BytesIO(encoded(image, "tiff")[0]))
    assert np.array_equal(back.pixels, image.pixels)


@pytest.mark.parametrize("format", FORMATS)
def test_metadata_never_stop_a_picture(format):
    dtype = "float32" if format == "pfm" else "uint8"
    pixels = calm(3 if format == "ppm" else 1, dtype)
    image = Image(pixels, exif=b"II*\0junk\xff\xff", icc=SRGB, dpi=(1e-3, 9e5))
    assert encoded(image, format)[0]


def test_profile_for_colour_is_dropped_from_grey_and_that_is_said():
    data, notes = encoded(Image(noise(1, np.uint8), icc=SRGB), "png")
    assert read_image(io.BytesIO(data)).icc is None
    assert notes == ("the colour profile is dropped: it does not fit pixels that are grey",)


def test_exif_too_long_for_jpeg_is_dropped_and_that_is_said():
    block = b"II*\0\x08\0\0\0\0\0" + struct.pack("<I", 0) + bytes(70_000)
    data, notes = encoded(Image(calm(3, np.uint8), exif=block), "jpeg")
    assert read_image(io.BytesIO(data)).exif is None
    assert "EXIF is dropped" in notes[0]


def test_threads_may_write_at_once(tmp_path):
    failures = []

    def run(index):
        try:
            for format in ("png", "jpg", "tif", "webp"):
                path = tmp_path / f"{index}.{format}"
                write_image(path, calm(3, np.uint8))
                read_image(path)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.parametrize("format", ["png", "tiff", "webp", "jpeg"])
def test_compress_makes_a_smaller_file_of_the_same_pixels(format):
    rng = np.random.default_rng(0)
    pixels = np.cumsum(rng.integers(-3, 4, (200, 300, 3)), axis=1).astype(np.uint8)
    plain, small = io.BytesIO(), io.BytesIO()
    encode_image(plain, pixels, format)
    encode_image(small, pixels, format, compress=True)
    assert len(small.getvalue()) < len(plain.getvalue())
    images = [read_image(io.BytesIO(stream.getvalue())).pixels for stream in (plain, small)]
    np.testing.assert_array_equal(*images)


def test_profile_that_readers_of_png_refuse_is_dropped_in_words():
    icc = bytes(16) + b"RGB " + bytes(16) + b"acsp" + bytes(2 << 20)
    image = Image(np.zeros((4, 5, 3), np.uint8), icc=icc)
    stream = io.BytesIO()
    (note,) = encode_image(stream, image, "png")
    assert "the colour profile is dropped: 2,097,192 bytes" in note
    stream.seek(0)
    with PilImage.open(stream) as opened:
        opened.load()
    assert encode_image(io.BytesIO(), image, "jpeg") == ()
