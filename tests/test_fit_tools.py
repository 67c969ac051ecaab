"""What other programs did to a photograph is found again: the kernel, its size, its verdict."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from conv_cli import fit_kernel, read_image, write_image

cv2 = pytest.importorskip("cv2")
ndimage = pytest.importorskip("scipy.ndimage")

ROUNDING = 1 / np.sqrt(12)
KERNEL = np.array([[1, -2, 3], [0, 5, -1], [2, 1, -4]]) / 8
LARGE = (np.arange(25).reshape(5, 5) % 7 - 1) / 65
EVEN = np.array([[0.25, 0.5], [0.65, -0.3]])
ROW = np.ones((1, 9)) / 9
SUMMED = np.array([[1, 2, 1], [2, 5, 2], [0, 3, 1]]) / 17
SHARP = np.array([[0, -1, 0], [-1, 8, -1], [0, -1, 0]]) / 4


def rows(weights, row=" "):
    return row.join(",".join(f"{w:.12g}" for w in line) for line in weights)


def magick(*arguments):
    return lambda i, o: ["convert", i, *arguments, "-depth", "8", o]


def graphics(*arguments):
    return lambda i, o: ["gm", "convert", i, *arguments, "-depth", "8", o]


def gmic(*arguments):
    return lambda i, o: ["gmic", "-v", "-1", i, *arguments, "c", "0,255", "round", "-o", o]


def ffmpeg(chain):
    return lambda i, o: ["ffmpeg", "-v", "error", "-y", "-i", i, "-vf", chain, o]


def vips(operation, *arguments):
    return lambda i, o: ["vips", operation, i, o, *arguments]


def vips_conv(weights, scale, *arguments):
    def command(i, o):
        height, width = weights.shape
        matrix = Path(o).with_suffix(".mat")
        lines = "\n".join(" ".join(map(repr, line)) for line in (weights * scale).tolist())
        matrix.write_text(f"{width} {height} {scale} 0\n{lines}\n")
        return ["vips", "conv", i, o, str(matrix), *arguments]

    return command


def planar(chain):
    return f"format=gbrp,{chain},format=rgb24"


def library(work):
    return lambda pixels: np.clip(np.rint(work(pixels)), 0, 255).astype(np.uint8)


def each(work):
    def all_channels(pixels):
        planes = np.atleast_3d(pixels).astype(float)
        done = [work(planes[..., c]) for c in range(planes.shape[2])]
        return np.stack(done, axis=-1) if pixels.ndim == 3 else done[0]

    return library(all_channels)


def pillow(what):
    return lambda pixels: np.asarray(Image.fromarray(pixels).filter(what))


FFMPEG_KERNEL = " ".join(str(int(w * 4)) for w in SHARP.ravel())
LINEAR = {
    "imagemagick convolve": (magick("-morphology", "Convolve", f"3x3: {rows(KERNEL)}"),
                             KERNEL[::-1, ::-1]),
    "imagemagick correlate": (magick("-morphology", "Correlate", f"5x5: {rows(LARGE)}"), LARGE),
    "imagemagick even": (magick("-morphology", "Convolve", f"2x2: {rows(EVEN)}"),
                         EVEN[::-1, ::-1]),
    "imagemagick row": (magick("-morphology", "Convolve", f"9x1: {rows(ROW)}"), ROW),
    "imagemagick gaussian": (magick("-gaussian-blur", "0x1.5"), None),
    "imagemagick blur": (magick("-blur", "0x1"), None),
    "imagemagick unsharp": (magick("-unsharp", "0x1+1+0"), None),
    "imagemagick sobel": (magick("-bias", "50%", "-morphology", "Convolve", "Sobel"), None),
    "graphicsmagick convolve": (graphics("-convolve", rows(SUMMED * 17, ",")), SUMMED),
    "graphicsmagick gaussian": (graphics("-gaussian", "0x1"), None),
    "graphicsmagick sharpen": (graphics("-sharpen", "0x1"), None),
    "vips conv": (vips_conv(KERNEL, 8, "--precision", "float"), KERNEL),
    "vips gauss": (vips("gaussblur", "1.5", "--precision", "float"), None),
    "gmic correlate": (gmic(f"({rows(KERNEL, ';')})", "correlate[0]", "[1]", "rm[1]"), KERNEL),
    "gmic convolve": (gmic(f"({rows(LARGE, ';')})", "convolve[0]", "[1]", "rm[1]"),
                      LARGE[::-1, ::-1]),
    "gmic box": (gmic("boxfilter", "5"), np.ones((5, 5)) / 25),
    "ffmpeg convolution": (ffmpeg(planar("convolution='" + ":".join([FFMPEG_KERNEL] * 4) + "'")),
                           SHARP),
    "ffmpeg average": (ffmpeg(planar("avgblur=1")), np.ones((3, 3)) / 9),
    "opencv filter2D": (lambda x: cv2.filter2D(x, -1, LARGE), LARGE),
    "opencv even": (lambda x: cv2.filter2D(x, -1, EVEN), EVEN),
    "opencv blur": (lambda x: cv2.blur(x, (5, 3)), np.ones((3, 5)) / 15),
    "scipy constant border": (each(lambda x: ndimage.correlate(x, KERNEL, mode="constant")), KERNEL),
    "scipy wrapped": (each(lambda x: ndimage.correlate(x, KERNEL, mode="wrap")), KERNEL),
    "scipy gaussian": (each(lambda x: ndimage.gaussian_filter(x, 1.5)), None),
    "pillow kernel": (pillow(ImageFilter.Kernel((3, 3), range(1, 10), scale=45)),
                      np.arange(1, 10).reshape(3, 3)[::-1] / 45),
    **{f"pillow {name}": (pillow(getattr(ImageFilter, name)), None)
       for name in ("BLUR", "CONTOUR", "DETAIL", "EMBOSS", "FIND_EDGES", "SHARPEN", "SMOOTH",
                    "SMOOTH_MORE")},
}  # fmt: skip
NAMED = {
    "gmic box": "box:5",
    "imagemagick gaussian": "gaussian:sigma=1.5",
    "scipy gaussian": "gaussian:sigma=1.5",
    **{f"pillow {n}": f"pillow-{n.lower().replace('_', '-')}"
       for n in ("BLUR", "CONTOUR", "DETAIL", "EMBOSS", "FIND_EDGES", "SHARPEN", "SMOOTH_MORE")},
}  # fmt: skip
NOT_LINEAR = {
    "imagemagick median": magick("-median", "2"),
    "imagemagick threshold": magick("-threshold", "50%"),
    "imagemagick black threshold": magick("-black-threshold", "40%"),
    "imagemagick posterize": magick("-posterize", "6"),
    "imagemagick gamma": magick("-gamma", "1.6"),
    "imagemagick equalize": magick("-equalize"),
    "imagemagick swirl": magick("-swirl", "40"),
    "imagemagick paint": magick("-paint", "2"),
    "imagemagick dilate": magick("-morphology", "Dilate", "Square"),
    "graphicsmagick median": graphics("-median", "1"),
    "gmic bilateral": gmic("bilateral", "5,20"),
    "ffmpeg median": ffmpeg(planar("median=radius=1")),
}


@pytest.fixture(scope="module", params=["grey", "colour"])
def photo(request, tmp_path_factory):
    """A photograph as a file, and its pixels."""
    pixels = read_image("sample_images/landscape.jpg").pixels[150:450, 200:600]
    if request.param == "grey":
        pixels = np.rint(pixels @ [0.299, 0.587, 0.114]).astype(np.uint8)
    path = tmp_path_factory.mktemp("photo") / "before.png"
    write_image(path, np.ascontiguousarray(pixels))
    return path, np.ascontiguousarray(pixels)


def made_by(program, photo, folder):
    """Return what a program makes of the photograph, or skip where it is not installed."""
    path, pixels = photo
    command = program(str(path), str(folder / "after.png"))
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    subprocess.run(command, check=True, capture_output=True)
    with Image.open(folder / "after.png") as picture:
        return np.asarray(picture.convert("L" if pixels.ndim == 2 else "RGB"))


def after(work, photo, folder):
    """Return what a program or a library makes of the photograph."""
    return work(photo[1]) if work.__code__.co_argcount == 1 else made_by(work, photo, folder)


@pytest.mark.parametrize("name", list(LINEAR))
@pytest.mark.one_in(12)
def test_linear_filter_is_found(name, photo, tmp_path):
    work, truth = LINEAR[name]
    target = after(work, photo, tmp_path)
    fit = fit_kernel(photo[1], target)
    assert fit.verdict == "exact"
    assert fit.rmse <= 1.05 * ROUNDING
    if truth is not None:
        assert fit.size == truth.shape
        np.testing.assert_allclose(fit.weights, truth, atol=0.003)
    if name in NAMED:
        assert fit.match == NAMED[name]
    if fit.border is not None:
        predicted = np.clip(np.rint(fit.predict(photo[1])), 0, 255)
        assert (np.abs(predicted - target) <= 1).mean() >= 0.999


@pytest.mark.parametrize("name", list(NOT_LINEAR))
@pytest.mark.one_in(12)
def test_filter_that_is_not_linear_is_called_poor(name, photo, tmp_path):
    before, target = photo[1], after(NOT_LINEAR[name], photo, tmp_path)
    middle = tuple(slice(n // 4, 3 * n // 4) for n in target.shape[:2])  # time goes with pixels
    assert fit_kernel(before[middle], target[middle]).verdict == "poor"
