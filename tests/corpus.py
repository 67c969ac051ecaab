"""A corpus of damaged images, made by cutting, flipping and splicing whole ones of every format.

As a script, `python tests/corpus.py FOLDER` writes it into a folder.
"""

import io
import random
import sys
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image as PilImage

from conv_cli.images.png import encode_png


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


SUFFIXES = {"jpeg": ".jpg", "tiff": ".tif", "pbm": ".pbm", "plain": ".ppm"}


def suffix(kind):
    """Return the suffix for a file of one of these kinds."""
    word = kind.split()[0]
    return SUFFIXES.get(word, f".{word}")


def cut(data, rng):
    """Lose the end: a tenth at least, nine tenths at most."""
    return data[: rng.randrange(len(data) // 10, len(data) * 9 // 10)]


def flipped(data, rng):
    """Change a few bits, in the header as often as behind it."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 8, 30))):
        limit = len(data) if rng.random() < 0.5 else min(len(data), 200)
        changed[rng.randrange(limit)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def spliced(data, rng):
    """Put a piece of another file, or of another place of this one, where it does not belong."""
    other = rng.choice([*FILES.values(), data])
    length = rng.randrange(8, max(9, min(len(data), len(other)) // 4))
    at, start = rng.randrange(4, len(data) - length), rng.randrange(len(other) - length + 1)
    return data[:at] + other[start : start + length] + data[at + length :]


def doubled(data, rng):
    """Write the middle twice, so that all behind it is moved."""
    at = rng.randrange(len(data) // 4, len(data) // 2)
    return data[: at + len(data) // 8] + data[at:]


DAMAGES = (cut, cut, flipped, flipped, flipped, spliced, spliced, doubled)


def damaged_files():
    """Return the damaged files by name; the name begins with what was done."""
    files = {}
    for kind, data in FILES.items():
        rng = random.Random(f"corpus {kind}")
        for number, damage in enumerate(DAMAGES):
            name = f"{damage.__name__}-{number}-{kind.replace(' ', '-')}{suffix(kind)}"
            made = damage(data, rng)
            if made != data:
                files[name] = made
    return files


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in damaged_files().items():
        (folder / name).write_bytes(data)
