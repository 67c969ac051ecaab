"""Damaged files give an error in one line or, where every pixel is intact, the picture."""

import io
import random

import numpy as np
import pytest
import tifffile
from PIL import Image as PilImage

from conv_cli.errors import ImageError
from conv_cli.images import probe_image, read_image
from conv_cli.png import encode_png


def photograph(channels, dtype=np.uint8):
    rows, columns = np.indices((70, 90))
    waves = np.sin(rows / 9) * np.cos(columns / 7) * 0.4 + 0.5
    grain = np.random.default_rng(5).random((70, 90, channels)) * 0.1
    pixels = ((waves[..., None] + grain) * np.iinfo(dtype).max).clip(0).astype(dtype)
    return pixels[..., 0] if channels == 1 else pixels


def by_pillow(format, channels=3, mode=None, **options):
    picture = PilImage.fromarray(photograph(channels))
    stream = io.BytesIO()
    (picture.convert(mode) if mode else picture).save(stream, format, **options)
    return stream.getvalue()


def by_tifffile(channels, dtype, **options):
    stream = io.BytesIO()
    pixels = photograph(channels, dtype)
    tifffile.imwrite(stream, pixels, photometric="rgb" if channels > 2 else None, **options)
    return stream.getvalue()


def float_tiff(**options):
    stream = io.BytesIO()
    tifffile.imwrite(stream, photograph(3).astype(np.float32), photometric="rgb", **options)
    return stream.getvalue()


def png16(channels):
    stream = io.BytesIO()
    encode_png(stream, photograph(channels, np.uint16))
    return stream.getvalue()


def npy():
    stream = io.BytesIO()
    np.save(stream, photograph(3))
    return stream.getvalue()


def plain_ppm():
    return b"P3 90 70 255\n" + " ".join(map(str, photograph(3).ravel())).encode() + b"\n"


FILES = {
    "png": by_pillow("PNG"),
    "png palette": by_pillow("PNG", mode="P"),
    "png 16 grey": png16(1),
    "png 16 grey alpha": png16(2),
    "png 16 rgb": png16(3),
    "jpeg": by_pillow("JPEG", quality=90),
    "jpeg progressive": by_pillow("JPEG", quality=90, progressive=True),
    "tiff": by_pillow("TIFF"),
    "tiff lzw": by_pillow("TIFF", compression="tiff_lzw"),
    "tiff deflate": by_pillow("TIFF", compression="tiff_adobe_deflate"),
    "tiff jpeg": by_pillow("TIFF", compression="jpeg"),
    "tiff packbits": by_pillow("TIFF", compression="packbits"),
    "tiff group4": by_pillow("TIFF", mode="1", compression="group4"),
    "tiff strips 16": by_tifffile(3, np.uint16, rowsperstrip=16),
    "tiff tiles": by_tifffile(3, np.uint8, tile=(32, 32)),
    "tiff tiles 16": by_tifffile(3, np.uint16, tile=(32, 32), compression="zlib"),
    "tiff 16": by_tifffile(1, np.uint16),
    "tiff float colour": float_tiff(),
    "tiff float colour packed": float_tiff(compression="zlib", rowsperstrip=8),
    "webp": by_pillow("WEBP"),
    "webp lossless": by_pillow("WEBP", lossless=True),
    "bmp": by_pillow("BMP"),
    "bmp palette": by_pillow("BMP", mode="P"),
    "gif": by_pillow("GIF", mode="P"),
    "gif interlaced": by_pillow("GIF", mode="P", interlace=1),
    "ppm": by_pillow("PPM"),
    "ppm plain": plain_ppm(),
    "pbm": by_pillow("PPM", mode="1"),
    "tga": by_pillow("TGA"),
    "tga rle": by_pillow("TGA", compression="tga_rle"),
    "jp2": by_pillow("JPEG2000"),
    "j2k": by_pillow("JPEG2000", no_jp2=True),
    "avif": by_pillow("AVIF"),
    "ico": by_pillow("ICO", sizes=[(64, 64)]),
    "ico bmp": by_pillow("ICO", sizes=[(64, 64)], bitmap_format="bmp"),
    "npy": npy(),
}


def outcome(data):
    """Read; whatever happens, it is a picture or one line."""
    try:
        return read_image(io.BytesIO(data), name="photo")
    except ImageError as error:
        message = str(error)
        assert message.startswith("photo: ")
        assert "\n" not in message
        return None


@pytest.mark.parametrize("kind", FILES)
def test_whole_file_is_read(kind):
    assert outcome(FILES[kind]) is not None


@pytest.mark.parametrize("kind", FILES)
def test_truncated_file_is_an_error_and_never_half_a_picture(kind):
    data = FILES[kind]
    whole = outcome(data).pixels
    cuts = {*range(0, min(len(data), 200), 7), *range(0, len(data), len(data) // 60)}
    cuts |= {len(data) - back for back in (1, 2, 3, 5, 8, 13, 21, 40, 100)}
    if kind == "ppm plain":  # whose last number may lose a digit, and no one can tell
        cuts -= {len(data) - back for back in (2, 3)}
    for length in sorted(cuts):
        image = outcome(data[:length])
        assert image is None or np.array_equal(image.pixels, whole), length


@pytest.mark.parametrize("kind", FILES)
def test_file_truncated_by_half_is_an_error(kind):
    assert outcome(FILES[kind][: len(FILES[kind]) // 2]) is None


@pytest.mark.parametrize("kind", FILES)
def test_damaged_bytes_never_raise_anything_else(kind):
    rng = random.Random(kind)
    for _ in range(60):
        data = bytearray(FILES[kind])
        for _ in range(rng.choice((1, 3, 20))):
            limit = len(data) if rng.random() < 0.4 else min(len(data), 400)
            data[rng.randrange(limit)] = rng.choice((0, 255, 127, rng.randrange(256)))
        image = outcome(bytes(data))
        if image is not None:
            info = probe_image(io.BytesIO(bytes(data)))
            assert (info.shape, info.dtype) == (image.shape, image.dtype)


@pytest.mark.parametrize("kind", FILES)
def test_error_names_the_file_and_says_what_is_wrong(tmp_path, kind):
    path = tmp_path / "photo.png"
    path.write_bytes(FILES[kind][: len(FILES[kind]) // 2])
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "cannot be read: truncated" in str(caught.value)
