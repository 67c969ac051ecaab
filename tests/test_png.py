import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image as PilImage

from conv_cli.errors import ImageError
from conv_cli.images import png
from conv_cli.images.png import encode_png

SHAPES = [(1, 1), (1, 7), (9, 1), (3, 5), (64, 33), (257, 301)]


def noise(shape, dtype, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape, dtype)


def smooth(shape, dtype):
    rows, columns = np.indices(shape[:2])
    values = np.sin(rows / 40) * np.cos(columns / 25) * 0.5 + 0.5
    layers = np.stack([np.roll(values, 9 * index, 1) for index in range(4)], axis=2)
    return (layers[..., : shape[2]] * np.iinfo(dtype).max).astype(dtype)


def encoded(pixels, **options):
    stream = io.BytesIO()
    encode_png(stream, pixels, **options)
    return stream.getvalue()


def decoded_by_opencv(data):
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels.ndim == 3:
        order = [2, 1, 0, 3][: pixels.shape[2]]
        pixels = pixels[..., order]
    return pixels


def chunks(data):
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, found = 8, []
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(kind + body)
        found.append((kind, body))
        at += 12 + length
    return found


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", SHAPES)
@pytest.mark.parametrize("make", [noise, smooth])
def test_opencv_reads_back_every_depth_and_channel_count(make, size, channels, dtype):
    pixels = make((*size, channels), dtype)
    back = decoded_by_opencv(encoded(pixels))
    if channels == 2:  # which OpenCV gives as BGRA
        assert np.array_equal(back[..., 0], pixels[..., 0])
        assert np.array_equal(back[..., 3], pixels[..., 1])
    else:
        assert np.array_equal(back.reshape(pixels.shape), pixels)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", SHAPES)
def test_pillow_reads_back_eight_bits(size, channels):
    pixels = noise((*size, channels), np.uint8)
    back = np.asarray(PilImage.open(io.BytesIO(encoded(pixels))))
    assert np.array_equal(back.reshape(pixels.shape), pixels)


def test_two_dimensions_are_grey():
    pixels = noise((20, 30), np.uint16)
    assert np.array_equal(decoded_by_opencv(encoded(pixels)), pixels)


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[::-1, ::2],
        lambda a: np.asfortranarray(a),
        lambda a: a.swapaxes(0, 1),
        lambda a: a.astype(a.dtype.newbyteorder(">")),
    ],
)
def test_memory_layout_does_not_matter(view):
    pixels = view(noise((40, 50, 3), np.uint16))
    assert np.array_equal(decoded_by_opencv(encoded(pixels)), pixels)


@pytest.mark.parametrize("last", [0, 1, 2, 3])
def test_bytes_are_the_same_for_every_number_of_threads(monkeypatch, last):
    monkeypatch.setattr(png, "_STRIP_BYTES", (4000, 4000))
    pixels = smooth((96 + last, 333, 3), np.uint8)
    one = encoded(pixels, threads=1)
    assert np.array_equal(decoded_by_opencv(one), pixels)
    assert sum(kind == b"IDAT" for kind, _ in chunks(one)) > 20
    assert all(encoded(pixels, threads=count) == one for count in (2, 3, 8, None))


def test_data_are_one_zlib_stream_with_a_correct_checksum():
    pixels = noise((700, 900, 3), np.uint8)
    found = chunks(encoded(pixels))
    stream = b"".join(body for kind, body in found if kind == b"IDAT")
    assert len(zlib.decompress(stream)) == 700 * (1 + 900 * 3)


def test_few_strips_are_held_at_a_time(monkeypatch):
    monkeypatch.setattr(png, "_STRIP_BYTES", (1000, 1000))
    made, written = [], []
    compress = png._compressed

    def counted(rows, *, last):
        made.append(1)
        return compress(rows, last=last)

    class Slow(io.BytesIO):
        def write(self, data):
            written.append(1)
            assert len(made) - len(written) <= 16
            return super().write(data)

    monkeypatch.setattr(png, "_compressed", counted)
    encode_png(Slow(), noise((500, 1000), np.uint8), threads=4)
    assert len(made) == 500


@pytest.mark.parametrize("size", [(300, 500), (1200, 900)])
def test_photographs_are_no_larger_than_pillow_makes_them(size):
    grain = np.random.default_rng(3).normal(0, 3, (*size, 3))
    pixels = np.clip(smooth((*size, 3), np.uint8) + grain, 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    PilImage.fromarray(pixels).save(stream, "PNG")
    assert len(encoded(pixels)) <= stream.tell()


def test_flat_pictures_stay_small():
    assert len(encoded(np.full((2000, 3000, 3), 200, np.uint8))) < 50_000


def test_metadata_come_before_the_pixels_and_can_be_read():
    exif, icc = b"II*\0\x08\0\0\0\0\0\0\0\0\0", b"profile" * 30
    data = encoded(noise((4, 4), np.uint8), exif=exif, icc=icc, dpi=(300.0, 72.5))
    assert [kind for kind, _ in chunks(data)][:4] == [b"IHDR", b"iCCP", b"pHYs", b"eXIf"]
    picture = PilImage.open(io.BytesIO(data))
    picture.load()
    assert picture.info["icc_profile"] == icc
    assert picture.info["exif"].removeprefix(b"Exif\0\0") == exif
    assert picture.info["dpi"] == pytest.approx((300, 72.5), abs=0.02)


def test_exif_head_of_other_formats_is_taken_off():
    data = encoded(noise((4, 4), np.uint8), exif=b"Exif\0\0II*\0")
    assert (b"eXIf", b"II*\0") in chunks(data)


def test_stream_need_not_seek():
    class Pipe(io.RawIOBase):
        def __init__(self):
            self.data = b""

        def writable(self):
            return True

        def write(self, data):
            self.data += bytes(data)
            return len(data)

    pipe = Pipe()
    pixels = noise((5, 6, 3), np.uint8)
    encode_png(pipe, pixels)
    assert np.array_equal(decoded_by_opencv(pipe.data), pixels)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((2, 2), np.float32),
        np.zeros((2, 2), np.int16),
        np.zeros((2, 2, 5), np.uint8),
        np.zeros((0, 2), np.uint8),
        np.zeros((2, 0, 3), np.uint8),
        np.zeros(4, np.uint8),
    ],
)
def test_pixels_that_no_png_holds_are_refused(pixels):
    with pytest.raises(ImageError, match="PNG holds"):
        encoded(pixels)


def test_errors_of_the_stream_pass():
    class Full(io.RawIOBase):
        def write(self, data):
            raise OSError(28, "full")

    with pytest.raises(OSError, match="full"):
        encode_png(Full(), noise((2000, 2000), np.uint8), threads=2)


@pytest.mark.parametrize("size", [(300, 500, 3), (1200, 900), (64, 33, 4), (2, 3)])
@pytest.mark.parametrize("make", [noise, smooth])
def test_compressed_png_holds_the_same_and_is_the_smaller(make, size):
    pixels = make((*size, 1)[:3] if len(size) == 2 else size, np.uint8)
    small = encoded(pixels, compress=True)
    np.testing.assert_array_equal(decoded_by_opencv(small), pixels.squeeze())
    stream = io.BytesIO()
    PilImage.fromarray(pixels.squeeze()).save(stream, "PNG", optimize=True)
    assert len(small) <= min(len(encoded(pixels)), 1.001 * stream.tell() + 64)


@pytest.mark.slow
def test_compressed_png_of_several_strips_has_the_same_bytes_for_every_number_of_threads():
    pixels = smooth((2000, 900, 3), np.uint8)
    assert len({encoded(pixels, compress=True, threads=count) for count in (1, 3)}) == 1
