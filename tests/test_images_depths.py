"""Every format at every depth, against libraries that are not used for reading."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image as PilImage
from PIL import ImageCms

from conv_cli.errors import ImageError
from conv_cli.images import probe_image, read_image, write_image
from conv_cli.images.png import encode_png

SIZE = (131, 143)  # more rows than one band, and no round number


def noise(channels, dtype, seed=0):
    shape = SIZE if channels == 1 else (*SIZE, channels)
    info = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(info.min, info.max, shape, dtype, endpoint=True)


def read(data):
    """Read, and hold the probe to what was read."""
    stream = io.BytesIO(data)
    image = read_image(stream)
    info = probe_image(io.BytesIO(data))
    assert (info.shape, info.dtype) == (image.shape, image.dtype)
    assert (info.alpha, info.format) == (image.alpha, image.format)
    assert image.dtype.isnative
    return image


def saved(picture, format, **options):
    stream = io.BytesIO()
    picture.save(stream, format, **options)
    return stream.getvalue()


def tiff(pixels, **options):
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, **options)
    return stream.getvalue()


def cv(suffix, pixels, *flags):
    order = {3: [2, 1, 0], 4: [2, 1, 0, 3]}
    if pixels.ndim == 3:
        pixels = pixels[..., order[pixels.shape[2]]]
    done, data = cv2.imencode(suffix, pixels, list(flags))
    assert done
    return data.tobytes()


def png_chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_file(width, height, depth, colour, rows, *extra, interlace=0):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    parts = [png_chunk(b"IHDR", header), *extra, png_chunk(b"IDAT", zlib.compress(rows))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + png_chunk(b"IEND", b"")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_of_every_depth_and_channel_count(channels, dtype):
    pixels = noise(channels, dtype)
    stream = io.BytesIO()
    encode_png(stream, pixels)
    image = read(stream.getvalue())
    assert image.alpha == (channels in (2, 4))
    assert image.dtype == dtype
    assert np.array_equal(image.pixels, pixels)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_png_of_16_bits_made_by_another_library(channels):
    pixels = noise(channels, np.uint16)
    assert np.array_equal(read(cv(".png", pixels)).pixels, pixels)


def adam7(pixels):
    """The rows of an interlaced PNG, unfiltered."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
    rows = b""
    for top, left, down, across in [*passes, (1, 0, 2, 1)]:
        for row in pixels[top::down, left::across]:
            rows += b"\0" + row.tobytes() if row.size else b""
    return rows


@pytest.mark.parametrize(("channels", "colour"), [(1, 0), (2, 4), (3, 2), (4, 6)])
def test_interlaced_png_of_16_bits(channels, colour):
    pixels = noise(channels, np.uint16)
    rows = adam7(pixels.astype(">u2"))
    image = read(png_file(SIZE[1], SIZE[0], 16, colour, rows, interlace=1))
    assert np.array_equal(image.pixels, pixels)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_png_of_few_bits_is_spread_over_the_full_range(bits):
    values = np.arange(2**bits, dtype=np.uint8)
    row = np.packbits(np.unpackbits(values[:, None], axis=1)[:, 8 - bits :].ravel())
    image = read(png_file(2**bits, 1, bits, 0, b"\0" + row.tobytes()))
    assert image.pixels.tolist() == [[round(v * 255 / (2**bits - 1)) for v in values.tolist()]]


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_transparent_grey_of_a_png_becomes_opacity(bits):
    count = min(2**bits, 16)
    values = np.arange(count, dtype=">u2")
    if bits < 16:
        wide = np.unpackbits(values.astype(np.uint8)[:, None], axis=1)[:, 8 - bits :]
        row = np.packbits(wide.ravel()).tobytes()
    else:
        row = values.tobytes()
    clear = png_chunk(b"tRNS", struct.pack(">H", 1))
    image = read(png_file(count, 1, bits, 0, b"\0" + row, clear))
    top = 65535 if bits == 16 else 255
    assert image.alpha
    assert image.pixels[0, :, 1].tolist() == [0 if value == 1 else top for value in range(count)]


@pytest.mark.parametrize("bits", [8, 16])
def test_transparent_colour_of_a_png_becomes_opacity(bits):
    pixels = np.array([[[1, 2, 3], [1, 2, 4], [2, 2, 3], [1, 2, 3]]], f">u{bits // 8}")
    clear = png_chunk(b"tRNS", struct.pack(">HHH", 1, 2, 3))
    image = read(png_file(4, 1, bits, 2, b"\0" + pixels.tobytes(), clear))
    assert image.dtype.itemsize * 8 == bits
    assert np.array_equal(image.pixels[..., :3], pixels)
    top = 2**bits - 1
    assert image.pixels[0, :, 3].tolist() == [0, top, top, 0]


def test_transparent_colour_of_a_large_picture():
    pixels = noise(3, np.uint16) >> 15
    rows = b"".join(b"\0" + row.tobytes() for row in pixels.astype(">u2"))
    clear = png_chunk(b"tRNS", struct.pack(">HHH", 1, 0, 1))
    image = read(png_file(SIZE[1], SIZE[0], 16, 2, rows, clear))
    expected = (pixels == [1, 0, 1]).all(axis=2)
    assert np.array_equal(image.pixels[..., 3] == 0, expected)
    assert np.array_equal(image.pixels[..., :3], pixels)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("predictor", [False, True])
@pytest.mark.parametrize("tile", [None, (32, 48)])
@pytest.mark.parametrize(
    ("dtype", "channels"),
    [
        (np.uint8, 1),
        (np.uint8, 2),
        (np.uint8, 3),
        (np.uint8, 4),
        (np.uint16, 1),
        (np.uint16, 3),
        (np.uint16, 4),
        (np.int8, 1),
        (np.int16, 1),
        (np.int32, 1),
        (np.uint32, 1),
    ],
)
def test_tiff_of_every_depth_and_layout(dtype, channels, tile, predictor, compression, order):
    if predictor and not compression:
        pytest.skip("a predictor goes with compression")
    pixels = noise(channels, dtype)
    data = tiff(
        pixels,
        byteorder=order,
        compression=compression,
        predictor=predictor,
        tile=tile,
        rowsperstrip=None if tile else 20,
        photometric="rgb" if channels > 2 else "minisblack",
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
    )
    image = read(data)
    assert image.dtype == (np.int32 if np.issubdtype(dtype, np.signedinteger) else dtype)
    assert image.alpha == (channels in (2, 4))
    assert np.array_equal(image.pixels, pixels)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("tile", [None, (32, 48)])
def test_float_tiff(tile, compression, order):
    pixels = np.random.default_rng(0).normal(size=SIZE).astype(np.float32)
    pixels[0, :3] = np.nan, np.inf, -0.0
    image = read(tiff(pixels, byteorder=order, compression=compression, tile=tile))
    assert image.dtype == np.float32
    assert np.array_equal(image.pixels, pixels, equal_nan=True)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_packed_by_another_library(dtype, channels):
    lzw = 5
    pixels = noise(channels, dtype)
    data = cv(".tiff", pixels, cv2.IMWRITE_TIFF_COMPRESSION, lzw)
    assert np.array_equal(read(data).pixels, pixels)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_whose_white_is_zero_is_turned_round(dtype):
    pixels = noise(1, dtype)
    image = read(tiff(pixels, photometric="miniswhite"))
    assert np.array_equal(image.pixels, np.iinfo(dtype).max - pixels)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_8_bit_tiff_in_planes(compression, channels):
    pixels = noise(channels, np.uint8)
    data = tiff(
        np.moveaxis(pixels, 2, 0),
        photometric="rgb",
        planarconfig="separate",
        compression=compression,
        extrasamples=["unassalpha"] if channels == 4 else None,
    )
    assert np.array_equal(read(data).pixels, pixels)


REFUSED = [
    (np.uint16, 4, {"photometric": "separated"}),
    (np.uint16, 3, {"photometric": "cielab"}),
    (np.uint64, 1, {}),
]
RGBA = {"photometric": "rgb", "extrasamples": ["unassalpha"]}
BANDS = {"photometric": "minisblack"}
BY_EXTRA = [
    (np.float64, 1, {}),
    (np.float16, 1, {}),
    (np.float32, 3, {"photometric": "rgb"}),
    (np.float32, 4, {"photometric": "rgb", "extrasamples": ["unassalpha"]}),
    (np.uint32, 3, {"photometric": "rgb"}),
    (np.int16, 3, {"photometric": "rgb"}),
    (np.uint16, 2, {"photometric": "minisblack", "extrasamples": ["unassalpha"]}),
    (np.uint16, 3, {"photometric": "rgb", "planarconfig": "separate"}),
    (np.uint16, 4, RGBA | {"planarconfig": "separate"}),
    (np.float32, 3, {"photometric": "rgb", "planarconfig": "separate"}),
    *(
        (dtype, bands, BANDS | {"planarconfig": planes, "extrasamples": (0,) * (bands - 1)})
        for dtype in (np.uint8, np.uint16, np.float32)
        for bands in (2, 4, 5, 12)
        for planes in ("contig", "separate")
    ),
    (np.uint8, 6, {"photometric": "rgb", "planarconfig": "separate"}),
]


def deep_tiff(dtype, channels, options):
    pixels = (np.random.default_rng(0).random((*SIZE, channels)) * 30000).astype(dtype)
    pixels = pixels[..., 0] if channels == 1 else pixels
    planes = options.get("planarconfig") == "separate"
    return pixels, tiff(np.moveaxis(pixels, 2, 0) if planes else pixels, **options)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("dtype", "channels", "options"), REFUSED)
def test_tiff_that_cannot_be_read_exactly_is_refused(dtype, channels, options, order, compression):
    layout = {"byteorder": order, "compression": compression}
    data = deep_tiff(dtype, channels, options | layout)[1]
    for look in (read_image, probe_image):
        with pytest.raises(ImageError, match=r"^stdin: .*cannot be read.*; (convert|store) it"):
            look(io.BytesIO(data))


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("dtype", "channels", "options"), BY_EXTRA)
def test_tiff_that_pillow_does_not_know_is_read_by_the_extra(
    dtype, channels, options, order, compression
):
    layout = {"byteorder": order, "compression": compression}
    pixels, data = deep_tiff(dtype, channels, options | layout)
    image = read(data)
    assert image.alpha == (options.get("extrasamples") == ["unassalpha"])
    assert image.dtype == {"int16": "int32", "float16": "float32"}.get(pixels.dtype.name, dtype)
    assert np.array_equal(image.pixels, pixels)


@pytest.mark.parametrize(("dtype", "channels", "options"), BY_EXTRA)
def test_tiff_that_pillow_does_not_know_is_refused_without_the_extra(
    monkeypatch, dtype, channels, options
):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImageError, match=r"needs the tiff extra: pip install 'conv-cli\[tiff\]'"):
        read(deep_tiff(dtype, channels, options)[1])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_tiff_read_by_the_extra_is_upright(orientation):
    tag = [(0x0112, 3, 1, orientation, True)]
    deep = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8).astype(np.float32)
    plain = read(tiff(deep.astype(np.uint8), photometric="rgb", extratags=tag))
    image = read(tiff(deep, photometric="rgb", extratags=tag))
    assert np.array_equal(image.pixels, plain.pixels)


def test_tiff_read_by_the_extra_obeys_the_limit():
    data = deep_tiff(np.float64, 1, {})[1]
    with pytest.raises(ImageError, match="143x131 is 18,733 pixels"):
        read_image(io.BytesIO(data), max_pixels=18_000)


def test_extra_tiff_channel_without_a_meaning_is_left_out_and_named():
    for dtype in (np.uint8, np.uint16):
        pixels = noise(4, dtype)
        image = read(tiff(pixels, photometric="rgb", extrasamples=["unspecified"]))
        assert np.array_equal(image.pixels, pixels[..., :3])
        assert any("extra channel" in note for note in image.notes)


def test_12_bit_tiff_is_spread_to_16():
    values = np.arange(0, 4096, 16, dtype=np.uint16).reshape(16, 16)
    pairs = values.reshape(16, 8, 2).astype(np.uint32)
    packed = pairs[..., 0] << 12 | pairs[..., 1]
    data = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=2).astype(np.uint8)
    entries = [(256, 3, 16), (257, 3, 16), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 122)]
    entries += [(277, 3, 1), (278, 3, 16), (279, 4, data.size)]
    body = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    head = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    image = read(head + body + struct.pack("<I", 0) + data.tobytes())
    assert image.dtype == np.uint16
    assert np.array_equal(image.pixels, np.rint(values * (65535 / 4095)).astype(np.uint16))


def test_bitmap_is_0_and_255():
    bits = np.random.default_rng(0).random(SIZE) > 0.5
    picture = PilImage.fromarray(bits)
    for format in ("PNG", "TIFF", "PPM", "BMP"):
        image = read(saved(picture, format))
        assert image.dtype == np.uint8
        assert np.array_equal(image.pixels, bits * np.uint8(255)), format


@pytest.mark.parametrize("format", ["PNG", "GIF", "TIFF", "BMP", "TGA"])
def test_palette_becomes_rgb(format):
    indices = np.random.default_rng(0).integers(0, 200, SIZE, np.uint8)
    palette = np.random.default_rng(1).integers(0, 256, (256, 3), np.uint8)
    picture = PilImage.fromarray(indices)
    picture.putpalette(palette.tobytes())
    image = read(saved(picture, format))
    assert np.array_equal(image.pixels, palette[indices])


@pytest.mark.parametrize("opacity", [bytes([0] + [255] * 9), bytes(range(0, 250, 25))])
def test_palette_with_opacity_becomes_rgba(opacity):
    indices = np.random.default_rng(0).integers(0, 10, SIZE, np.uint8)
    palette = np.random.default_rng(1).integers(0, 256, (10, 3), np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in indices)
    parts = png_chunk(b"PLTE", palette.tobytes()), png_chunk(b"tRNS", opacity)
    image = read(png_file(SIZE[1], SIZE[0], 8, 3, rows, *parts))
    assert image.alpha
    assert np.array_equal(image.pixels[..., :3], palette[indices])
    assert np.array_equal(image.pixels[..., 3], np.frombuffer(opacity, np.uint8)[indices])


def test_transparent_index_of_a_gif_becomes_opacity():
    indices = np.random.default_rng(0).integers(0, 4, SIZE, np.uint8)
    picture = PilImage.fromarray(indices)
    picture.putpalette([9, 8, 7, 60, 50, 40, 0, 0, 255, 1, 2, 3])
    image = read(saved(picture, "GIF", transparency=2))
    assert image.alpha
    assert np.array_equal(image.pixels[..., 3] == 0, indices == 2)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_tga(channels):
    pixels = noise(channels, np.uint8)
    for packed in (None, "tga_rle"):
        data = saved(PilImage.fromarray(pixels), "TGA", compression=packed)
        assert np.array_equal(read(data).pixels, pixels)


@pytest.mark.parametrize("channels", [3, 4])
def test_webp(channels):
    pixels = noise(channels, np.uint8)
    data = saved(PilImage.fromarray(pixels), "WEBP", lossless=True, exact=True)
    assert np.array_equal(read(data).pixels, pixels)


@pytest.mark.parametrize("suffix", [".bmp", ".ppm"])
def test_bmp_and_ppm(suffix):
    pixels = noise(3, np.uint8)
    assert np.array_equal(read(cv(suffix, pixels)).pixels, pixels)


@pytest.mark.parametrize("no_jp2", [False, True])
@pytest.mark.parametrize(
    ("dtype", "channels"),
    [(np.uint8, 1), (np.uint8, 2), (np.uint8, 3), (np.uint8, 4), (np.uint16, 1)],
)
def test_jpeg_2000(dtype, channels, no_jp2):
    pixels = noise(channels, dtype)
    image = read(saved(PilImage.fromarray(pixels), "JPEG2000", no_jp2=no_jp2))
    assert np.array_equal(image.pixels, pixels)


def test_jpeg_2000_colour_of_16_bits_is_refused():
    data = cv(".jp2", noise(3, np.uint16), cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000)
    with pytest.raises(ImageError, match="16 bits cannot be read in full"):
        read(data)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_avif(channels):
    pixels = np.full((*SIZE, channels), 100, np.uint8)
    pixels[:60] = 180
    pixels = pixels[..., 0] if channels == 1 else pixels
    image = read(saved(PilImage.fromarray(pixels), "AVIF", quality=100))
    assert image.alpha == (channels == 4)
    assert np.abs(image.pixels.astype(int) - pixels.reshape(*SIZE, -1).squeeze()).max() <= 3


@pytest.mark.skipif(not cv2.haveImageWriter("a.avif"), reason="this OpenCV writes no AVIF")
@pytest.mark.parametrize("depth", [10, 12])
def test_deep_avif_is_refused(depth):
    data = cv(".avif", noise(3, np.uint16) >> (16 - depth), cv2.IMWRITE_AVIF_DEPTH, depth)
    with pytest.raises(ImageError, match="more than 8 bits"):
        read(data)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("binary", [0, 1])
def test_pnm_of_every_depth(binary, dtype, channels):
    pixels = noise(channels, dtype)
    data = cv(".pgm" if channels == 1 else ".ppm", pixels, cv2.IMWRITE_PXM_BINARY, binary)
    image = read(data)
    assert image.dtype == dtype
    assert np.array_equal(image.pixels, pixels)


@pytest.mark.parametrize("white", [1, 7, 100, 256, 1000, 4095])
@pytest.mark.parametrize("plain", [False, True])
def test_pnm_is_spread_over_the_full_range(plain, white):
    values = np.arange(white + 1)
    kind, stored = ("2", " ".join(map(str, values)).encode()) if plain else ("5", None)
    if stored is None:
        stored = values.astype(">u2" if white > 255 else "u1").tobytes()
    image = read(f"P{kind}\n# comment\n{len(values)} 1 # more\n{white}\n".encode() + stored)
    top = 255 if white < 256 else 65535
    assert image.shape == (1, white + 1)
    assert np.abs(image.pixels[0].astype(int) * white - values * top).max() * 2 <= white


def test_plain_bitmap_needs_no_spaces():
    assert read(b"P1 #c\n3 2\n10 1\n#x\n010").pixels.tolist() == [[0, 255, 0], [255, 0, 255]]


@pytest.mark.parametrize("scale", ["-1.0", "1.0"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pfm_starts_at_the_bottom(channels, scale):
    pixels = np.random.default_rng(0).normal(size=(5, 4, channels)).astype(np.float32)
    stored = pixels[::-1].astype("<f4" if scale[0] == "-" else ">f4").tobytes()
    image = read(f"P{'f' if channels == 1 else 'F'}\n4 5\n{scale}\n".encode() + stored)
    assert np.array_equal(image.pixels.reshape(pixels.shape), pixels)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=np.uint8).reshape(3, 4),
        np.arange(24, dtype=">u2").reshape(3, 4, 2),
        np.asfortranarray(np.arange(36, dtype=np.float64).reshape(3, 4, 3)),
        np.arange(48, dtype=np.int64).reshape(3, 4, 4),
        np.arange(12, dtype=np.float16).reshape(3, 4, 1),
    ],
)
def test_npy_is_taken_as_it_is(array):
    stream = io.BytesIO()
    np.save(stream, array)
    image = read(stream.getvalue())
    assert not image.alpha
    assert image.dtype == array.dtype.newbyteorder("=")
    assert np.array_equal(image.pixels.reshape(array.shape), array)
    assert image.pixels.ndim == (2 if array.shape[2:] in ((), (1,)) else 3)


def test_npy_of_truth_values_is_0_and_255():
    stream = io.BytesIO()
    np.save(stream, np.array([[True, False]]))
    assert read(stream.getvalue()).pixels.tolist() == [[255, 0]]


def test_cmyk_becomes_rgb_and_that_is_said():
    pixels = noise(4, np.uint8)
    picture = PilImage.fromarray(pixels, "CMYK")
    image = read(saved(picture, "TIFF"))
    assert np.array_equal(image.pixels, np.asarray(picture.convert("RGB")))
    assert "CMYK became RGB" in image.notes


def test_cmyk_jpeg_of_adobe_is_not_negative():
    picture = PilImage.new("CMYK", (32, 32), (0, 0, 0, 0))
    image = read(saved(picture, "JPEG", quality=100))
    assert image.pixels.min() > 250


def test_lab_becomes_rgb():
    rgb = PilImage.fromarray(np.full((16, 16, 3), (200, 60, 30), np.uint8))
    lab = ImageCms.profileToProfile(
        rgb, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    image = read(saved(lab, "TIFF"))
    assert np.abs(image.pixels.astype(int) - (200, 60, 30)).max() <= 3
    assert "LAB became RGB" in image.notes


def test_ycbcr_tiff_becomes_rgb_or_is_refused():
    picture = PilImage.fromarray(noise(3, np.uint8)).convert("YCbCr")
    data = saved(picture, "TIFF")
    try:
        image = read(data)
    except ImageError as error:  # Pillow before 13
        assert "store it as RGB" in str(error)
    else:
        assert np.array_equal(image.pixels, np.asarray(picture.convert("RGB")))


def test_ycbcr_tiff_with_fewer_colours_is_refused():
    data = bytearray(saved(PilImage.new("YCbCr", (8, 8)), "TIFF"))
    whole = struct.pack("<HHIHH", 530, 3, 2, 1, 1)
    assert whole in data
    data[data.index(whole) + 8] = 2
    with pytest.raises(ImageError, match="store it as RGB"):
        read(bytes(data))


def test_jpeg_in_tiff():
    pixels = np.full((*SIZE, 3), (200, 100, 50), np.uint8)
    image = read(saved(PilImage.fromarray(pixels), "TIFF", compression="jpeg"))
    assert np.abs(image.pixels.astype(int) - pixels).max() <= 3


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg(progressive, mode):
    picture = PilImage.fromarray(noise(3, np.uint8)).convert(mode)
    data = saved(picture, "JPEG", progressive=progressive)
    expected = PilImage.open(io.BytesIO(data))
    expected = expected.convert("RGB") if mode == "CMYK" else expected
    assert np.array_equal(read(data).pixels, np.asarray(expected))


def test_premultiplied_tiff_of_8_bits_becomes_straight():
    pixels = np.array([[[100, 50, 0, 200], [0, 0, 0, 0], [255, 255, 255, 255]]], np.uint8)
    image = read(tiff(pixels, photometric="rgb", extrasamples=["assocalpha"]))
    assert image.pixels[0, 0].tolist() == [127, 63, 0, 200]
    assert image.alpha


def test_premultiplied_grey_tiff_of_8_bits_becomes_straight_or_is_refused():
    pixels = np.array([[[100, 200], [0, 0], [255, 255]]], np.uint8)
    data = tiff(pixels, photometric="minisblack", extrasamples=["assocalpha"])
    try:
        image = read(data)
    except ImageError as error:  # Pillow before 13
        assert "cannot be read" in str(error)
    else:
        assert image.pixels[0, 0].tolist() == [127, 200]


@pytest.mark.parametrize("bitmap_format", ["png", "bmp"])
def test_largest_picture_of_an_icon(bitmap_format):
    pixels = noise(4, np.uint8)[:48, :48]
    sizes = [(16, 16), (48, 48), (32, 32)]
    picture = PilImage.fromarray(pixels)
    image = read(saved(picture, "ICO", sizes=sizes, bitmap_format=bitmap_format))
    assert image.shape == (48, 48, 4)
    assert np.array_equal(image.pixels, pixels)
    assert image.notes == ("holds 3 pictures; only the largest is read",)


def test_more_samples_than_are_allowed_are_refused_from_the_header():
    pixels = np.zeros((5, 7, 6), np.uint8)
    data = tiff(pixels, photometric="minisblack", planarconfig="contig")
    with pytest.raises(
        ImageError, match="6 bands of 7x5 are more samples than 4 for each of --max"
    ):
        read_image(io.BytesIO(data), max_pixels=40)


@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_colours_multiplied_by_their_opacity_are_divided_by_it(dtype, planes):
    top = 1 if dtype == np.float32 else np.iinfo(dtype).max
    rng = np.random.default_rng(0)
    straight = rng.random((*SIZE, 4)) * top
    straight[:4, :4, 3] = 0
    opacity = straight[..., 3:] if dtype == np.float32 else np.rint(straight[..., 3:])
    stored = np.concatenate([straight[..., :3] * opacity / top, opacity], axis=2)
    stored = (stored if dtype == np.float32 else np.rint(stored)).astype(dtype)
    data = tiff(
        np.moveaxis(stored, 2, 0) if planes == "separate" else stored,
        photometric="rgb", planarconfig=planes, extrasamples=["assocalpha"],
    )  # fmt: skip
    image = read(data)
    assert image.alpha
    np.testing.assert_array_equal(image.pixels[..., 3], stored[..., 3])
    seen = opacity[..., 0] > 0
    with np.errstate(divide="ignore"):  # half a step, as far as the stored opacity spreads it
        bound = 1e-6 if dtype == np.float32 else 0.5 * top / opacity + 1.01
    error = np.abs(image.pixels[..., :3].astype(float) - straight[..., :3])
    assert (error <= bound)[seen].all()
    assert (image.pixels[:4, :4, :3] == 0).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("bands", [2, 4, 5, 12])
def test_bands_come_back_from_tiff_as_they_were(tmp_path, dtype, bands):
    pixels = (np.random.default_rng(0).random((9, 7, bands)) * 200).astype(dtype)
    np.save(tmp_path / "x.npy", pixels)
    write_image(tmp_path / "x.tif", read_image(tmp_path / "x.npy"))
    image = read_image(tmp_path / "x.tif")
    assert not image.alpha
    assert image.dtype == dtype
    np.testing.assert_array_equal(image.pixels, pixels)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "x.tif"), pixels)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_big_endian_bigtiff_is_read(dtype, channels):
    pixels = noise(channels, np.uint8).astype(dtype)
    kind = "minisblack" if channels == 1 else "rgb"
    data = tiff(pixels, bigtiff=True, byteorder=">", photometric=kind)
    assert np.array_equal(read(data).pixels, pixels)


def test_big_endian_bigtiff_without_the_extra_is_refused_with_a_way_out(monkeypatch):
    monkeypatch.setattr("conv_cli.images.tiff.has_tiff_extra", lambda: False)
    with pytest.raises(ImageError, match=r"big-endian BigTIFF, which needs the tiff extra: pip"):
        read(tiff(noise(1, np.uint8), bigtiff=True, byteorder=">"))


def test_ycbcr_tiff_leaves_no_channel_out():
    picture = PilImage.fromarray(noise(3, np.uint8))
    image = read(saved(picture.convert("YCbCr"), "TIFF", compression="jpeg"))
    assert not any("extra channel" in note for note in image.notes)


def test_second_band_without_a_meaning_is_never_lost_without_a_word():
    for dtype in (np.uint8, np.uint16):
        pixels = noise(2, dtype)
        image = read(tiff(pixels, photometric="minisblack", extrasamples=["unspecified"]))
        assert np.array_equal(image.pixels, pixels)
        assert not image.alpha
