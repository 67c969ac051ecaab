"""Damaged files give an error in one line or, where every pixel is intact, the picture."""

import io
import random
import struct
import sys
import zlib

import numpy as np
import pytest

from conv_cli.errors import ImageError
from conv_cli.images import probe_image, read_image
from corpus import FILES


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


def test_what_libtiff_says_is_the_reason_and_not_on_the_terminal(capfd):
    data = bytearray(FILES["tiff group4"])
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(ImageError, match=r"Fax4Decode: .*line \d+"):
        read_image(io.BytesIO(bytes(data)))
    print("heard again", file=sys.stderr, flush=True)
    assert capfd.readouterr().err == "heard again\n"


@pytest.mark.parametrize("back", [1, 5, 12, 20])
def test_png_whose_last_bytes_are_missing_or_changed_is_refused(back):
    data = FILES["png 16 rgb"]
    with pytest.raises(ImageError, match=r"truncated(,| or) damaged"):
        read_image(io.BytesIO(data[:-back]))
    changed = bytearray(data)
    changed[-back] ^= 1
    with pytest.raises(ImageError, match=r"truncated(,| or) damaged"):
        read_image(io.BytesIO(bytes(changed)))


def test_what_follows_the_end_of_a_png_is_not_looked_at():
    assert outcome(FILES["png"] + b"anything") is not None


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("interlaced", [0, 1])
@pytest.mark.parametrize("left_out", [0, 1, 30])
def test_png_whose_rows_end_early_without_a_fault_is_refused(mode, interlaced, left_out):
    """The stream ends as it should and every checksum is right, but rows are missing."""
    width, height = 9, 33
    bits = {"1": 1, "L": 8, "P": 8, "RGB": 24, "RGBA": 32}[mode]
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
              (0, 1, 1, 2)] if interlaced else [(0, 0, 1, 1)]  # fmt: skip
    rows = []
    for left, top, across, down in passes:
        columns = len(range(left, width, across))
        rows += [bytes([0] * (1 + -(-columns * bits // 8)))] * len(range(top, height, down))
    depth, colour = {"1": (1, 0), "L": (8, 0), "P": (8, 3), "RGB": (8, 2), "RGBA": (8, 6)}[mode]

    def chunk(kind, data):
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    pixels = zlib.compress(b"".join(rows[: len(rows) - left_out]))
    palette = chunk(b"PLTE", bytes(range(30))) if mode == "P" else b""
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + palette
    data += chunk(b"IDAT", pixels[:15]) + chunk(b"IDAT", pixels[15:]) + chunk(b"IEND", b"")
    if left_out:
        with pytest.raises(ImageError, match="damaged"):
            read_image(io.BytesIO(data))
    else:
        assert read_image(io.BytesIO(data)).shape[:2] == (height, width)
