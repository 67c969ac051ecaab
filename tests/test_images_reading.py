"""What reading means beyond the pixels: orientation, profiles, frames, sources and refusals."""

import io
import logging
import os
import struct
import sys
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as PilImage
from PIL import ImageCms, ImageOps

from conv_cli.errors import ImageError
from conv_cli.images import (
    READABLE_SUFFIXES,
    Image,
    ImageInfo,
    encode_image,
    probe_image,
    read_image,
)

ORIENTATION = 0x0112


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def saved(picture, format, **options):
    stream = io.BytesIO()
    picture.save(stream, format, **options)
    return stream.getvalue()


def read(data, **options):
    return read_image(io.BytesIO(data), **options)


def exif_of(orientation, **extra):
    exif = PilImage.Exif()
    exif[ORIENTATION] = orientation
    exif[0x010F] = "Maker"
    for tag, value in extra.items():
        exif[int(tag[1:])] = value
    return exif


def png_chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("PNG", {}),
        ("JPEG", {"quality": 95}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True}),
        ("AVIF", {}),
    ],
)
def test_orientation_is_applied_and_reset(format, options, orientation):
    picture = PilImage.fromarray(noise((150, 200, 3)))
    data = saved(picture, format, exif=exif_of(orientation), **options)
    expected = ImageOps.exif_transpose(PilImage.open(io.BytesIO(data)))
    image = read(data)
    assert np.array_equal(image.pixels, np.asarray(expected))
    assert probe_image(io.BytesIO(data)).shape == image.shape
    kept = PilImage.Exif()
    kept.load(image.exif)
    assert kept.get(ORIENTATION, 1) == 1
    assert kept[0x010F] == "Maker"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_orientation_of_16_bit_tiff_is_applied_once(compression, orientation):
    pixels = np.random.default_rng(0).integers(0, 65536, (40, 60, 3), np.uint16)
    stream = io.BytesIO()
    tifffile.imwrite(
        stream,
        pixels,
        photometric="rgb",
        compression=compression,
        extratags=[(ORIENTATION, 3, 1, orientation, True)],
    )
    turned = [
        ImageOps.exif_transpose(_oriented(pixels[..., index] >> 8, orientation))
        for index in range(3)
    ]
    image = read(stream.getvalue())
    assert np.array_equal(image.pixels >> 8, np.stack([np.asarray(t) for t in turned], axis=2))
    assert np.array_equal(np.sort(image.pixels, axis=None), np.sort(pixels, axis=None))
    assert probe_image(io.BytesIO(stream.getvalue())).shape == image.shape


def _oriented(values, orientation):
    picture = PilImage.fromarray(values.astype(np.uint8))
    picture.getexif()[ORIENTATION] = orientation
    return picture


@pytest.mark.parametrize("orientation", [3, 6])
@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "I;16"])
def test_orientation_of_every_mode(mode, orientation):
    if mode == "I;16":
        picture = PilImage.fromarray(noise((150, 200)).astype(np.uint16) * 3)
    else:
        picture = PilImage.fromarray(noise((150, 200, 3))).convert(mode)
    data = saved(picture, "PNG", exif=exif_of(orientation))
    whole = PilImage.open(io.BytesIO(data))
    wanted = {"P": "RGB", "1": "L"}.get(mode)
    expected = ImageOps.exif_transpose(whole.convert(wanted) if wanted else whole)
    assert np.array_equal(read(data).pixels, np.asarray(expected))


def test_orientation_behind_the_pixels_of_a_png_counts():
    picture = PilImage.fromarray(noise((20, 30, 3)))
    data = saved(picture, "PNG")
    exif = exif_of(6).tobytes().removeprefix(b"Exif\0\0")
    late = data[:-12] + png_chunk(b"eXIf", exif) + data[-12:]
    assert read(late).shape == (30, 20, 3)
    assert probe_image(io.BytesIO(late)).shape == (30, 20, 3)


def test_xmp_does_not_turn_what_exif_does_not():
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'
    stream = io.BytesIO()
    tifffile.imwrite(stream, noise((20, 30)), extratags=[(700, 1, len(xmp), xmp, True)])
    assert read(stream.getvalue()).shape == (20, 30)


def test_the_rest_of_exif_is_kept_byte_for_byte():
    maker_note = bytes(range(200))
    body = struct.pack("<HHHII", 2, 0x0112, 3, 1, 8) + struct.pack("<HHII", 0x927C, 7, 200, 38)
    block = b"II*\0\x08\0\0\0" + body + struct.pack("<I", 0) + maker_note
    data = saved(PilImage.fromarray(noise((4, 6, 3))), "JPEG", exif=b"Exif\0\0" + block)
    image = read(data)
    assert image.shape == (6, 4, 3)
    assert image.exif == block.replace(struct.pack("<HHII", 0x0112, 3, 1, 8), _upright("<"))


def _upright(order):
    return struct.pack(f"{order}HHII", 0x0112, 3, 1, 1)


@pytest.mark.parametrize("exif", [b"", b"II", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"junk" * 9])
def test_damaged_exif_does_not_stop_reading(exif):
    pixels = noise((4, 6, 3))
    assert np.array_equal(read(saved(PilImage.fromarray(pixels), "PNG", exif=exif)).pixels, pixels)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "WEBP", "AVIF"])
def test_profile_is_kept_if_it_fits(format):
    image = read(saved(PilImage.fromarray(noise((8, 8, 3))), format, icc_profile=SRGB))
    assert image.icc == SRGB
    assert image.notes == ()


@pytest.mark.parametrize("icc", [SRGB, b"no profile", bytes(300)])
def test_profile_that_does_not_fit_is_dropped_and_that_is_said(icc):
    image = read(saved(PilImage.fromarray(noise((8, 8))), "PNG", icc_profile=icc))
    assert image.icc is None
    assert any("profile is dropped" in note for note in image.notes)


def test_profile_of_cmyk_is_dropped_and_that_is_said():
    profile = bytearray(SRGB)
    profile[16:20] = b"CMYK"
    picture = PilImage.new("CMYK", (8, 8))
    image = read(saved(picture, "TIFF", icc_profile=bytes(profile)))
    assert image.icc is None
    assert len(image.notes) == 2


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "BMP"])
def test_resolution_is_kept_and_turned_with_the_picture(format):
    picture = PilImage.fromarray(noise((8, 8, 3)))
    options = {} if format == "BMP" else {"exif": exif_of(6)}
    image = read(saved(picture, format, dpi=(300, 100), **options))
    expected = (300, 100) if format == "BMP" else (100, 300)
    assert image.dpi == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "GIF", "WEBP"])
def test_no_resolution_is_none(format):
    assert read(saved(PilImage.fromarray(noise((8, 8, 3))), format)).dpi is None


@pytest.mark.parametrize("format", ["PNG", "GIF", "WEBP", "TIFF", "AVIF", "MPO"])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_first_of_several_frames_is_read_and_the_rest_named(format, count):
    frames = [PilImage.new("RGB", (40, 30), (60 * index, 200, 50)) for index in range(count)]
    data = saved(frames[0], format, save_all=True, append_images=frames[1:])
    image = read(data)
    assert np.abs(image.pixels[..., :3].astype(int) - (0, 200, 50)).max() <= 6
    assert image.format == {"MPO": "jpeg"}.get(format, format.lower())
    if count == 1:
        assert image.notes == ()
    else:
        assert len(image.notes) == 1
        assert image.notes[0].startswith(f"holds {count} ")


def test_pages_are_not_counted_for_long():
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        for _ in range(130):
            writer.write(np.zeros((2, 2), np.uint8), contiguous=False)
    assert read(stream.getvalue()).notes == ("holds more than 100 pages; only the first is read",)


def test_pages_that_turn_back_end():
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.zeros((2, 2), np.uint8), byteorder="<", metadata=None)
    data = bytearray(stream.getvalue())
    start = struct.unpack_from("<I", data, 4)[0]
    link = start + 2 + 12 * struct.unpack_from("<H", data, start)[0]
    struct.pack_into("<I", data, link, start)
    assert read(bytes(data)).notes == ()


@pytest.mark.parametrize("format", ["GIF", "TIFF", "PNG"])
def test_damaged_later_frames_do_not_matter(format):
    frames = [PilImage.fromarray(noise((64, 64, 3), seed)) for seed in range(4)]
    data = saved(frames[0], format, save_all=True, append_images=frames[1:])
    first = read(data)
    cut = data[: len(data) * 5 // 8]
    assert np.array_equal(read(cut).pixels, first.pixels)


def test_16_bit_png_in_an_icon_is_read_in_full():
    from conv_cli.images.png import encode_png

    pixels = np.random.default_rng(0).integers(0, 65536, (16, 16, 3), np.uint16)
    stream = io.BytesIO()
    encode_png(stream, pixels)
    entry = struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 48, len(stream.getvalue()), 22)
    image = read(entry + stream.getvalue())
    assert np.array_equal(image.pixels, pixels)
    assert image.format == "ico"


def bomb(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    idat = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", idat)


def bombs():
    yield "png", bomb(20000, 20000)
    yield "pnm", b"P6 20000 20000 255\n"
    yield "pfm", b"PF 20000 20000 -1.0\n"
    yield "bmp", b"BM" + struct.pack("<IIIIiiHH", 0, 0, 54, 40, 20000, 20000, 1, 24) + bytes(24)
    yield "tga", struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, 20000, 20000, 24, 0)
    yield (
        "gif",
        b"GIF89a"
        + struct.pack("<HHBBB", 20000, 20000, 0, 0, 0)
        + b","
        + struct.pack("<HHHHBB", 0, 0, 20000, 20000, 0, 8),
    )
    yield (
        "ico",
        struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, 1000, 22) + bomb(20000, 20000),
    )
    vp8x = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (19999).to_bytes(3, "little") * 2
    yield "webp", b"RIFF" + struct.pack("<I", len(vp8x) + 4) + b"WEBP" + vp8x
    npy = "{'descr': '|u1', 'fortran_order': False, 'shape': (20000, 20000), }"
    yield "npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(npy) + 1) + npy.encode() + b"\n"


@pytest.mark.parametrize(("name", "data"), [pytest.param(*bomb, id=bomb[0]) for bomb in bombs()])
def test_too_many_pixels_are_refused_from_the_header(name, data):
    for look in (read_image, probe_image):
        with pytest.raises(ImageError) as caught:
            look(io.BytesIO(data), name=f"bomb.{name}")
        assert str(caught.value) == (
            f"bomb.{name}: 20000x20000 is 400,000,000 pixels, more than --max-pixels 178,956,970; "
            "raise --max-pixels (in Python max_pixels) to read it"
        )


def test_limit_can_be_lowered_and_raised_without_touching_pillow(monkeypatch):
    data = saved(PilImage.fromarray(noise((10, 10))), "PNG")
    with pytest.raises(ImageError, match="10x10 is 100 pixels"):
        read(data, max_pixels=99)
    monkeypatch.setattr(PilImage, "MAX_IMAGE_PIXELS", 20)
    assert read(data, max_pixels=100).shape == (10, 10)
    assert PilImage.MAX_IMAGE_PIXELS == 20


def test_threads_leave_warnings_and_limits_as_they_were(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(saved(PilImage.fromarray(noise((60, 60, 3))), "JPEG"))
    filters, limit = list(warnings.filters), PilImage.MAX_IMAGE_PIXELS
    threads = [
        threading.Thread(target=lambda: [read_image(path) for _ in range(30)]) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == filters
    assert limit == PilImage.MAX_IMAGE_PIXELS


def test_pillow_neither_warns_nor_logs(capfd):
    stream = io.BytesIO()
    tifffile.imwrite(stream, noise((8, 8)), byteorder="<", metadata=None)
    data = bytearray(stream.getvalue())
    start = struct.unpack_from("<I", data, 4)[0]
    for at in range(start + 2, len(data) - 12, 12):
        if struct.unpack_from("<H", data, at)[0] == 277:  # an absurd number of samples
            struct.pack_into("<HHII", data, at, 277, 4, 1, 1 << 30)
            break
    level = logging.getLogger().level
    with pytest.raises(ImageError):
        read(bytes(data))
    assert logging.getLogger().level == level
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "data",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n",
        b"<!DOCTYPE html><html><body>404 not found</body></html>",
        b"%PDF-1.7\n",
        bytes(5000),
        b"\x89PNG",
        b"P8\nWIDTH 1\n",
        b"8BPS\0\1" + bytes(100),
        b"x",
    ],
)
def test_other_content_is_no_image_whatever_its_name(tmp_path, monkeypatch, data):
    monkeypatch.setattr(os, "system", lambda *_: pytest.fail("started a program"))
    path = tmp_path / "photo.png"
    path.write_bytes(data)
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"{path}: not an image in a supported format (PNG, JPEG, ")


def test_format_is_told_by_content_and_not_by_name(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(saved(PilImage.fromarray(noise((9, 9, 3))), "JPEG"))
    assert read_image(path).format == "jpeg"


def test_sources_that_are_no_files_are_refused_in_words(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "gone").symlink_to("nothing")
    (tmp_path / "empty").write_bytes(b"")
    cases = {
        "missing.png": "no such file",
        "gone": "no such file",
        "": "is a folder",
        "pipe": "not a regular file",
        "loop": "circle",
        "empty": "is empty",
        "empty/below": "no folder",
        "n" * 300: "too long",
        "a\0b": "null character",
    }
    for name, words in cases.items():
        for look in (read_image, probe_image):
            with pytest.raises(ImageError, match=words) as caught:
                look(f"{tmp_path}/{name}")
            assert str(caught.value).startswith(f"{tmp_path}/{name}: ")
    with pytest.raises(ImageError, match="not a regular file"):
        read_image("/dev/zero")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_file_is_refused_in_words(tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "a").chmod(0)
    with pytest.raises(ImageError, match="permission denied"):
        read_image(tmp_path / "a")


def test_names_of_all_kinds_are_read(tmp_path):
    data = saved(PilImage.fromarray(noise((5, 6))), "PNG")
    for name in (b"\xff\n.png", b"-x.png", b"[a]*.png", b"n" * 251 + b".png"):
        path = tmp_path / os.fsdecode(name)
        path.write_bytes(data)
        assert read_image(path).shape == (5, 6)


def test_pipe_is_read_as_a_stream():
    end, start = os.pipe()
    pixels = noise((300, 200, 3))
    data = saved(PilImage.fromarray(pixels), "PNG")

    def feed():
        with os.fdopen(start, "wb") as stream:
            stream.write(data)

    threading.Thread(target=feed).start()
    with os.fdopen(end, "rb") as stream:
        assert np.array_equal(read_image(stream).pixels, pixels)


def test_stream_that_is_no_image_is_refused_from_its_start():
    class Endless(io.RawIOBase):
        def readinto(self, buffer):
            buffer[:] = bytes(len(buffer))
            return len(buffer)

        def readable(self):
            return True

    with pytest.raises(ImageError, match=r"^stdin: not an image"):
        read_image(io.BufferedReader(Endless()))


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_file_stays_open_for_no_longer_than_needed(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(saved(PilImage.fromarray(noise((30, 30, 3))), "TIFF", compression="tiff_lzw"))
    count = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        read_image(path)
        probe_image(path)
    assert len(list(Path("/proc/self/fd").iterdir())) == count


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array([None, 1], object), "records|numbers"),
        (np.zeros((4, 4), complex), "complex128, not numbers"),
        (np.zeros((4, 4), "U3"), "not numbers"),
        (np.zeros((4, 4), [("r", "u1")]), "not numbers"),
        (np.zeros(4), "has the shape"),
        (np.zeros((2, 3, 4, 5)), "has the shape"),
        (np.zeros((3, 40, 50)), "has the shape"),
        (np.zeros((0, 4)), "has the shape"),
    ],
)
def test_npy_that_is_no_image_is_refused(array, words):
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    with pytest.raises(ImageError, match=words):
        read(stream.getvalue())


@pytest.mark.parametrize("shape", ["(-4, 4)", "(1000000, 1000000)", "(4, 4.5)", "(4, '4')"])
def test_npy_with_a_lying_header_is_refused(shape):
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    with pytest.raises(ImageError):
        read(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(100))


def test_image_is_an_array_for_numpy():
    image = Image(noise((4, 5, 3)))
    assert np.asarray(image) is image.pixels
    assert np.asarray(image, np.float32).dtype == np.float32
    assert not np.shares_memory(np.array(image), image.pixels)
    assert (image.shape, image.dtype, image.channels) == ((4, 5, 3), np.uint8, 3)


def test_info_has_the_shape_of_the_pixels():
    info = ImageInfo(4, 5, 1, False, np.dtype(np.uint8), "png")
    assert info.shape == (4, 5)
    assert ImageInfo(4, 5, 3, False, np.dtype(np.uint8), "png").shape == (4, 5, 3)


def test_readable_suffixes_are_lower_case_and_hold_the_common_ones():
    assert {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".npy", ".pgm"} <= READABLE_SUFFIXES
    assert all(suffix == suffix.lower() and suffix[0] == "." for suffix in READABLE_SUFFIXES)


def _npy(pixels):
    stream = io.BytesIO()
    np.save(stream, pixels)
    return stream.getvalue()


def _singles():
    pixels = noise((6, 9, 3))
    picture = PilImage.fromarray(pixels)
    for format in ("PNG", "JPEG", "GIF", "WEBP", "PPM"):
        yield saved(picture, format)
    yield b"P5 9 6 255\n" + pixels[..., 0].tobytes()
    yield b"P5 9 6 65535 " + pixels[..., 0].astype(">u2").tobytes()
    yield b"P4 9 6\n" + bytes(range(12))
    yield b"Pf 9 6 -1\n" + pixels[..., 0].astype("<f4").tobytes()
    yield _npy(pixels)
    yield saved(picture, "JPEG", progressive=True, exif=exif_of(1))


@pytest.mark.parametrize("gap", [b"", b"\n", b"\0\0\0"])
def test_pictures_one_behind_the_other_are_named(gap):
    for data in _singles():
        alone = read(data)
        assert alone.notes == ()
        three = read(gap.join([data] * 3))
        assert np.array_equal(three.pixels, alone.pixels)
        assert three.notes == ("holds 3 pictures; only the first is read",), data[:8]


def test_many_pictures_of_many_kinds_behind_each_other_are_counted_no_further():
    pictures = list(_singles())
    assert read(b"".join(pictures)).notes == (
        f"holds {len(pictures)} pictures; only the first is read",
    )
    assert read(pictures[-2] * 130).notes == (
        "holds more than 100 pictures; only the first is read",
    )


def test_bytes_behind_a_picture_are_no_picture():
    for data in _singles():
        for tail in (b"\n", b"\0" * 5, b"BM or MM or P5 or so", bytes(range(256))):
            assert read(data + tail).notes == (), (data[:8], tail)


def test_video_behind_a_photograph_is_named():
    photo = saved(PilImage.fromarray(noise((6, 9, 3))), "JPEG")
    video = b"\0\0\0\x18ftypmp42\0\0\0\0isommp42" + bytes(50)
    for gap in (b"", b"MotionPhoto_Data", b"\0\0\0\0"):
        assert read(photo + gap + video).notes == ("a video behind the picture is left out",)
    two = read(photo + photo + video)
    assert two.notes == ("holds 2 pictures and a video; only the first is read",)


@pytest.mark.parametrize("behind", [b"# why\n", b"\n# why\n", b" # a\n# b\n", b"# spec\n\n"])
def test_comments_behind_the_last_number_of_a_pnm_are_none_of_its_pixels(behind):
    pixels = noise((4, 5))
    pixels[0, 0] = 10  # which could be taken for white space
    image = read(b"P5\n5 4\n255" + behind + pixels.tobytes())
    assert np.array_equal(image.pixels, pixels)
    bits = read(b"P4\n8 2" + behind + b"\x0f\xf0")
    assert np.array_equal(bits.pixels[0], [255] * 4 + [0] * 4)
    plain = read(b"P2\n2 1\n255" + behind + b"7 9\n")
    assert plain.pixels.tolist() == [[7, 9]]


def test_pixels_that_look_like_a_comment_are_pixels():
    pixels = np.frombuffer(b"#ab\n\n#cd\nfgh", np.uint8).reshape(3, 4)
    for tail in (b"", b"\n"):
        assert np.array_equal(read(b"P5 4 3 255\n" + pixels.tobytes() + tail).pixels, pixels)


@pytest.mark.parametrize("channels", [2, 4])
def test_last_channel_of_an_array_is_a_band_and_no_opacity(channels):
    data = _npy(noise((4, 5, channels)))
    assert not read(data).alpha
    assert not probe_image(io.BytesIO(data)).alpha


PREVIEW, PICTURE = noise((6, 8, 3), 1), noise((24, 32, 3), 2)


def _camera_tiff(in_a_directory_below, compression=None, photometric="rgb", order="<", big=False):
    """A preview before the picture: in pages, or as DNG and NEF have it."""
    stream = io.BytesIO()
    picture = PICTURE if photometric in ("rgb", 34892) else PICTURE[..., 0]
    below = {"subifds": 2} if in_a_directory_below else {}
    with tifffile.TiffWriter(stream, byteorder=order, bigtiff=big) as writer:
        options = {"compression": compression, "metadata": None}
        writer.write(PREVIEW, photometric="rgb", subfiletype=1, **below, **options)
        writer.write(PREVIEW[:3], photometric="rgb", subfiletype=1, **options)
        writer.write(picture, photometric=photometric, **options)
    return stream.getvalue()


@pytest.mark.parametrize("below", [False, True])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_preview_never_stands_for_the_picture(below, compression, big, order):
    data = _camera_tiff(below, compression, order=order, big=big)
    image = read(data)
    assert np.array_equal(image.pixels, PICTURE)
    assert image.notes == ()
    assert probe_image(io.BytesIO(data)).shape == PICTURE.shape


@pytest.mark.parametrize(("photometric", "name"), [(32803, "CFA"), (34892, "LinearRaw")])
def test_raw_camera_data_is_refused_in_words(photometric, name):
    data = _camera_tiff(True, photometric=photometric)
    for look in (read_image, probe_image):
        with pytest.raises(ImageError, match=rf"raw camera data \({name}\); develop it first"):
            look(io.BytesIO(data))


def test_preview_without_a_picture_is_refused():
    stream = io.BytesIO()
    tifffile.imwrite(stream, PREVIEW, photometric="rgb", subfiletype=1)
    with pytest.raises(ImageError, match="only a reduced preview"):
        read(stream.getvalue())


def test_reduced_versions_behind_the_picture_are_no_pages_left_out():
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        writer.write(PICTURE, photometric="rgb")
        writer.write(PREVIEW, photometric="rgb", subfiletype=1)
    image = read(stream.getvalue())
    assert np.array_equal(image.pixels, PICTURE)
    assert image.notes == ()


def _xmp(orientation):
    return (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description dc:rights="me" tiff:Orientation="'
        + str(orientation).encode()
        + b'"/></x:xmpmeta>'
    )


def _with_chunk(data, kind, body, behind=False):
    at = len(data) - 12 if behind else 33
    return data[:at] + png_chunk(kind, body) + data[at:]


def _raw_profile(name, block):
    text = f"\n{name}\n{len(block):8}\n".encode() + block.hex().encode() + b"\n"
    return f"Raw profile type {name}".encode() + b"\0\0" + zlib.compress(text)


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("orientation", [1, 3, 5, 6, 8])
def test_orientation_in_the_texts_of_a_png_is_applied_and_reset(orientation, behind):
    pixels = noise((20, 30, 3))
    plain = saved(PilImage.fromarray(pixels), "PNG")
    block = exif_of(orientation).tobytes()
    app1 = b"http://ns.adobe.com/xap/1.0/\0" + _xmp(orientation)
    cases = {
        "xmp": (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + _xmp(orientation)),
        "packed": (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(_xmp(orientation))),
        "exif": (b"zTXt", _raw_profile("exif", block)),
        "APP1": (b"zTXt", _raw_profile("APP1", block)),
        "APP1 with XMP": (b"zTXt", _raw_profile("APP1", app1)),
    }
    expected = np.asarray(ImageOps.exif_transpose(_tagged(pixels, orientation)))
    for name, (kind, body) in cases.items():
        data = _with_chunk(plain, kind, body, behind)
        image = read(data)
        assert np.array_equal(image.pixels, expected), name
        assert probe_image(io.BytesIO(data)).shape == expected.shape, name
        again = io.BytesIO()
        encode_image(again, image, "png")
        assert np.array_equal(read(again.getvalue()).pixels, expected), name
        again.seek(0)
        with PilImage.open(again) as other:  # which looks into EXIF and XMP
            other.load()
            assert np.array_equal(np.asarray(ImageOps.exif_transpose(other)), expected), name


def _tagged(pixels, orientation):
    picture = PilImage.fromarray(pixels)
    picture.getexif()[0x0112] = orientation
    return picture


@pytest.mark.parametrize("format", ["AVIF", "WEBP", "JPEG", "PNG"])
def test_orientation_in_exif_goes_before_that_in_xmp(format):
    picture = PilImage.fromarray(noise((20, 30, 3)))
    data = saved(picture, format, xmp=_xmp(6)) if format != "PNG" else saved(picture, format)
    if format == "PNG":
        data = _with_chunk(data, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + _xmp(6))
    image = read(data)
    assert image.shape == (30, 20, 3)
    assert image.xmp == _xmp(1)
    if format != "AVIF":  # whose EXIF Pillow writes as a turn of the container
        both = saved(picture, format, exif=exif_of(1), xmp=_xmp(6))
        assert read(both).shape == (20, 30, 3)


def test_damaged_texts_of_a_png_do_not_stop_reading():
    pixels = noise((4, 5))
    plain = saved(PilImage.fromarray(pixels), "PNG")
    for body in (b"Raw profile type exif\0\0no zlib", _raw_profile("exif", b"II"), b"x", b""):
        assert np.array_equal(read(_with_chunk(plain, b"zTXt", body)).pixels, pixels)
    text = b"Raw profile type APP1\0\nexif\n 3\nxyz\n"
    assert np.array_equal(read(_with_chunk(plain, b"tEXt", text)).pixels, pixels)


@pytest.mark.parametrize("orientation", [2, 3, 6, 8])
def test_orientation_told_by_the_preview_above_turns_the_picture(orientation):
    stream = io.BytesIO()
    tag = (0x0112, 3, 1, orientation, True)
    with tifffile.TiffWriter(stream) as writer:
        writer.write(PREVIEW, photometric="rgb", subfiletype=1, subifds=1, extratags=[tag])
        writer.write(PICTURE, photometric="rgb")
    expected = np.asarray(ImageOps.exif_transpose(_tagged(PICTURE, orientation)))
    assert np.array_equal(read(stream.getvalue()).pixels, expected)
    assert probe_image(io.BytesIO(stream.getvalue())).shape == expected.shape
