"""What describes a picture: carried to the next file, or named as dropped."""

import io
import struct

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from PIL import Image as PilImage
from PIL import ImageCms
from PIL.PngImagePlugin import PngInfo

from conv_cli.cli.apply import apply
from conv_cli.images import encode_image, not_srgb, read_image
from test_images_reading import png_chunk

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a dc:rights="me"/></x:xmpmeta>'
GEO = {
    33550: (12, (0.5, 0.25, 0.0)),
    33922: (12, (0.0, 0.0, 0.0, 1234.5, 5678.25, 0.0)),
    34735: (3, (1, 1, 0, 1, 1024, 0, 1, 1)),
    34736: (12, (6378137.0, 298.25)),
    34737: (2, "WGS 84|"),
    42112: (2, "<GDALMetadata/>"),
    42113: (2, "-9999"),
}


def noise(shape, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


def geotiff(pixels, order="<", **options):
    tags = [
        (tag, kind, 0 if kind == 2 else len(value), value, True)
        for tag, (kind, value) in GEO.items()
    ]
    tags.append((700, 1, len(XMP), XMP, True))
    stream = io.BytesIO()
    kind = "rgb" if pixels.ndim == 3 else "minisblack"
    tifffile.imwrite(
        stream, pixels, photometric=kind, byteorder=order, metadata=None, extratags=tags, **options
    )
    return stream.getvalue()


def encoded(image, format):
    stream = io.BytesIO()
    notes = encode_image(stream, image, format)
    return stream.getvalue(), notes


def tags_of(data):
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        found = file.pages.first.tags
        return {tag: found.valueof(tag) for tag in (*GEO, 700)}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True), (">", True)])
def test_tiff_of_the_same_size_keeps_geotiff_tags_and_xmp(dtype, channels, order, big):
    pixels = noise((6, 9) if channels == 1 else (6, 9, 3), dtype)
    data = geotiff(pixels, order, bigtiff=big)
    written, notes = encoded(read_image(io.BytesIO(data)), "tiff")
    assert notes == ()
    assert tags_of(written) == tags_of(data)
    assert np.array_equal(read_image(io.BytesIO(written)).pixels, pixels)


def run(*arguments):
    done = CliRunner().invoke(apply, [*map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.stderr


def test_georeference_that_no_longer_fits_is_dropped_and_named(tmp_path):
    source, target = tmp_path / "map.tif", tmp_path / "out.tif"
    source.write_bytes(geotiff(noise((16, 19))))
    for change in (["--padding", "valid"], ["--stride", "2"]):
        words = run("-f", source, "-k", "1 2; 3 4 / 10", *change, "-o", target)
        assert words.count("dropped: GeoTIFF tags") == 1
        found = tags_of(target.read_bytes())
        assert found.pop(700) == XMP
        assert set(found.values()) == {None}
    assert "dropped" not in run("-f", source, "-k", "1 2; 3 4 / 10", "-o", target)
    assert tags_of(target.read_bytes()) == tags_of(source.read_bytes())


def test_turned_picture_loses_its_georeference():
    extra = [(274, 3, 1, 6, True), (33550, 12, 3, (1.0, 1.0, 0.0), True)]
    stream = io.BytesIO()
    tifffile.imwrite(stream, noise((9, 9)), metadata=None, extratags=extra)
    written, notes = encoded(read_image(io.BytesIO(stream.getvalue())), "tiff")
    assert notes == ("dropped: GeoTIFF tags",)
    assert tags_of(written)[33550] is None


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "avif", "tiff"])
def test_xmp_goes_with_the_pixels(format):
    stream = io.BytesIO()
    PilImage.fromarray(noise((8, 8, 3))).save(stream, "JPEG", xmp=XMP)
    stream.seek(0)
    written, notes = encoded(read_image(stream), format)
    assert notes == ()
    assert read_image(io.BytesIO(written)).xmp == XMP


def test_what_is_dropped_is_named_in_one_line_an_image(tmp_path):
    info = PngInfo()
    info.add_text("Comment", "by me")
    info.add_text("Title", "leaf")
    info.add_text("Software", "which nobody misses")
    info.add_itxt("XML:com.adobe.xmp", XMP.decode())
    source = tmp_path / "photo.png"
    PilImage.fromarray(noise((8, 8, 3))).save(source, pnginfo=info)
    data = source.read_bytes()
    gamma = png_chunk(b"gAMA", struct.pack(">I", 100_000)) + png_chunk(b"cICP", b"\x09\x10\0\1")
    source.write_bytes(data[:33] + gamma + data[33:])
    words = run(source, "-k", "sobel-x", "-k", "sobel-y", "-o", f"{tmp_path / 'out'}/", "--name",
                "{kernel}.ppm")  # fmt: skip
    assert [line for line in words.splitlines() if ": dropped: " in line] == [
        f"{source}: dropped: XMP, comment, Title, cICP, gAMA"
    ]


def test_comments_of_a_jpeg_are_named():
    stream = io.BytesIO()
    PilImage.fromarray(noise((8, 8, 3))).save(stream, "JPEG", comment=b"by me")
    stream.seek(0)
    assert encoded(read_image(stream), "jpeg")[1] == ("dropped: comment",)
    stream.seek(0)
    assert encoded(read_image(stream), "npy")[1] == ()


def profile(kind="sRGB"):
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(kind)).tobytes()


def swapped_profile():
    """A profile of sRGB whose red and blue are each other's: no sRGB, whatever its name."""
    data = profile()
    return data.replace(b"rXYZ", b"?XYZ").replace(b"bXYZ", b"rXYZ").replace(b"?XYZ", b"bXYZ")


@pytest.mark.parametrize(
    ("options", "chunks", "words"),
    [
        ({}, (), None),
        ({"icc_profile": profile()}, (), None),
        ({"icc_profile": swapped_profile()}, (), "its profile is 'sRGB built-in'"),
        ({}, [(b"gAMA", struct.pack(">I", 45455))], None),
        ({}, [(b"gAMA", struct.pack(">I", 100_000))], "its gAMA is 1, not 0.45455"),
        ({}, [(b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 100_000))], None),
        ({}, [(b"cICP", b"\x01\x0d\0\1")], None),
        ({}, [(b"cICP", b"\x09\x10\0\1")], "its cICP names primaries 9 and transfer 16"),
        (
            {},
            [(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000))],
            "its cHRM names other primaries",
        ),
    ],
)  # fmt: skip
def test_linear_says_when_values_are_not_those_of_srgb(tmp_path, options, chunks, words):
    source = tmp_path / "photo.png"
    PilImage.fromarray(noise((8, 8, 3))).save(source, **options)
    data = source.read_bytes()
    source.write_bytes(data[:33] + b"".join(png_chunk(*chunk) for chunk in chunks) + data[33:])
    assert not_srgb(read_image(source)) == words
    said = run(source, "-k", "box:3", "--linear", "-o", tmp_path / "out.png")
    line = f"{source}: --linear takes its values for sRGB, but {words}"
    assert (line in said.splitlines()) == (words is not None)
    assert "--linear takes" not in run(source, "-k", "box:3", "-o", tmp_path / "plain.png")


@pytest.mark.parametrize("orientation", [1, 6])
def test_texts_and_resolution_of_a_tiff_read_by_the_extra_are_kept(orientation):
    stream = io.BytesIO()
    tifffile.imwrite(
        stream, noise((5, 7, 3), np.float32), photometric="rgb", resolution=(300, 150),
        resolutionunit="INCH", description="leaf", metadata=None,
        extratags=[(274, 3, 1, orientation, True)],
    )  # fmt: skip
    image = read_image(io.BytesIO(stream.getvalue()))
    assert image.dpi == ((300, 150) if orientation == 1 else (150, 300))
    with tifffile.TiffFile(io.BytesIO(encoded(image, "tiff")[0])) as file:
        assert file.pages.first.description == "leaf"
