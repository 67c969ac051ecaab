"""The tables of the benchmark, each as Markdown."""

import math
import os
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from timing import command, in_turn, peak_megabytes

from conv_cli import conv2d

THREADS = len(os.sched_getaffinity(0))
RNG = np.random.default_rng(0)
HEIGHT, WIDTH = 3000, 4000
LANDSCAPE = Path(__file__).parents[2] / "sample_images" / "landscape.jpg"
SOBEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
PEERS = ("ImageMagick", "GraphicsMagick", "libvips", "ffmpeg", "GMIC", "OpenCV")
"""The other programs, and OpenCV in a loop in Python."""
CONV_CLI = (sys.executable, "-m", "conv_cli", "apply", "-q", "-f")


def markdown(title, heads, rows):
    """Return a table under a title."""
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    lines += [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join([f"**{title}**", "", *lines])


def geometric_mean(ratios):
    """Return the geometric mean."""
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def gaussian(side):
    """Return a normalized 1-D Gaussian of a side, float64."""
    offsets = np.arange(side) - side // 2
    weights = np.exp(-((offsets / (0.15 * side + 0.35)) ** 2) / 2)
    return weights / weights.sum()


def core():
    """One grey image of 12 megapixels, "same" padding, against OpenCV and SciPy."""
    rows = []
    bytes_ = RNG.integers(0, 256, (HEIGHT, WIDTH), np.uint8)
    floats = bytes_.astype(np.float32)
    for name, image, kernels in (
        ("dense, uint8 to float32", bytes_, _dense()),
        ("dense, float32", floats, _dense()),
        ("Gaussian as a matrix, uint8 to float32", bytes_, _gaussians()),
        ("Gaussian as a matrix, float32", floats, _gaussians()),
        ("Gaussian rounded to float32, float32", floats, _rounded()),
    ):
        for kernel in kernels:
            rows.append([f"{name}, {len(kernel)}×{len(kernel)}", *_against_peers(image, kernel)])
    rows.append(["Sobel, uint8 to int16", *_against_peers(bytes_, SOBEL)])
    return markdown(
        "One grey image of 4000×3000: milliseconds, and ours by theirs",
        ["kernel", "conv-cli", "OpenCV", "ratio", "SciPy", "ratio"],
        rows,
    )


def _dense():
    return [RNG.standard_normal((side, side)) for side in (3, 5, 7, 11, 15, 21, 31, 63)]


def _gaussians():
    return [np.outer(gaussian(side), gaussian(side)) for side in (3, 5, 7, 9, 15, 31, 61)]


def _rounded():
    return [kernel.astype(np.float32) for kernel in _gaussians() if len(kernel) in (5, 9, 15, 31)]


def _against_peers(image, kernel):
    """Return our milliseconds, and those and the ratio of OpenCV and of SciPy."""
    ours = _ours(image, kernel)
    rows, shown = [], None
    for peer in (_opencv(image, kernel), _scipy(image, kernel)):
        if peer is None:
            rows += ["–", "–"]
            continue
        mine, theirs, ratio = in_turn(ours, peer, 5 if len(kernel) < 15 else 3)
        shown = shown or mine
        rows += [f"{theirs * 1e3:.1f}", f"{ratio:.2f}"]
    return [f"{(shown or 0) * 1e3:.1f}", *rows]


def _ours(image, kernel):
    weights = kernel[None, None]
    return lambda: conv2d(image[None], weights, padding="same")


def _opencv(image, kernel):
    try:
        import cv2
    except ImportError:
        return None
    cv2.setNumThreads(THREADS)
    depth = cv2.CV_16S if kernel is SOBEL else cv2.CV_32F
    if _is_separable(kernel):
        factor = gaussian(len(kernel)).astype(np.float32)
        return lambda: cv2.sepFilter2D(image, depth, factor, factor)
    weights = kernel.astype(np.float32)
    return lambda: cv2.filter2D(image, depth, weights)


def _is_separable(kernel):
    return kernel is not SOBEL and np.linalg.matrix_rank(kernel, rtol=1e-6) == 1


def _scipy(image, kernel):
    try:
        from scipy import ndimage, signal
    except ImportError:
        return None
    weights = kernel.astype(np.float32)
    if len(kernel) >= 15:
        turned = weights[::-1, ::-1]
        floats = image.astype(np.float32)
        return lambda: signal.oaconvolve(floats, turned, "same")
    output = np.int16 if kernel is SOBEL else np.float32
    return lambda: ndimage.correlate(image, weights, output=output, mode="constant")


def layers():
    """Convolutional layers against PyTorch."""
    try:
        import torch
    except ImportError:
        return "PyTorch is not installed."
    torch.set_num_threads(THREADS)
    rows, ratios = [], []
    for inputs, outputs, side, height, width, stride, groups in (
        (1, 8, 3, 3000, 4000, 1, 1), (1, 16, 5, 1500, 2000, 1, 1), (3, 64, 3, 512, 512, 1, 1),
        (64, 64, 3, 224, 224, 1, 1), (3, 64, 7, 224, 224, 1, 1), (3, 64, 7, 224, 224, 2, 1),
        (64, 64, 3, 56, 56, 1, 1), (3, 32, 3, 640, 640, 2, 1), (64, 64, 1, 224, 224, 1, 1),
        (64, 64, 3, 224, 224, 1, 64), (64, 64, 3, 56, 56, 1, 64),
    ):  # fmt: skip
        x = RNG.standard_normal((inputs, height, width)).astype(np.float32)
        shape = (outputs, inputs // groups, side, side)
        weight = RNG.standard_normal(shape).astype(np.float32)
        there = torch.from_numpy(x)[None], torch.from_numpy(weight)

        options = {"stride": stride, "padding": side // 2, "groups": groups}

        def ours(x=x, weight=weight, options=options):
            conv2d(x, weight, **options)

        def theirs(there=there, options=options):
            with torch.no_grad():
                torch.nn.functional.conv2d(*there, **options)

        mine, other, ratio = in_turn(ours, theirs)
        ratios.append(ratio)
        name = f"{inputs}→{outputs}, {side}×{side}, stride {stride}, {width}×{height}"
        name += ", depthwise" if groups > 1 else ""
        rows.append([name, f"{mine * 1e3:.1f}", f"{other * 1e3:.1f}", f"{ratio:.2f}"])
    rows.append(["geometric mean", "", "", f"{geometric_mean(ratios):.2f}"])
    return markdown(
        "Layers in float32: milliseconds", ["layer", "conv-cli", "PyTorch", "ratio"], rows
    )


def photograph(height, width):
    """Return a picture with the grain of a photograph, uint8 RGB."""
    picture = Image.open(LANDSCAPE).resize((width, height), Image.Resampling.LANCZOS)
    grainy = np.asarray(picture) + RNG.normal(0, 2.5, (height, width, 3))
    return Image.fromarray(np.clip(np.rint(grainy), 0, 255).astype(np.uint8))


def commands():
    """Whole commands on files, against the programs that are installed."""
    picture = photograph(HEIGHT, WIDTH)
    picture.save("big.jpg", quality=90)
    picture.save("big.png")
    picture.resize((512, 512)).save("small.png")
    Path("many").mkdir()
    picture.resize((1000, 750)).save("many/000.jpg", quality=90)
    for number in range(1, 200):
        shutil.copy("many/000.jpg", f"many/{number:03}.jpg")
    Path("sobel.mat").write_text("3 3 1 0\n-1 0 1\n-2 0 2\n-1 0 1\n")
    rows = []
    for file in ("big.jpg", "big.png"):
        rows.append(_row(f"{file}, Sobel", file, "sobel-x", _sobel_peers(file), 3))
        rows.append(_row(f"{file}, Gaussian σ 5", file, "gaussian:5", _gaussian_peers(file), 3))
    rows.append(
        _row("small.png (512×512), Sobel", "small.png", "sobel-x", _sobel_peers("small.png"), 15)
    )
    rows.append(_row("200 JPEGs of 1000×750, Sobel", "many", "sobel-x", _batch_peers(), 2))
    return markdown(
        "Whole commands, to PNG: seconds, and ours by the fastest other",
        ["work", "conv-cli", *PEERS, "ratio"],
        rows,
    )


def _row(name, source, kernel, peers, turns):
    """Return a row of the commands: our seconds, those of every peer, and the worst ratio."""
    ours = command(*CONV_CLI, source, "-k", kernel, "-o", "ours/")
    seconds, shown, worst = None, dict.fromkeys(PEERS, "–"), 0
    for peer, theirs in peers.items():
        mine, other, ratio = in_turn(ours, theirs, turns)
        seconds = seconds or mine
        shown[peer] = f"{other:.2f}"
        worst = max(worst, ratio)
    return [name, f"{seconds or 0:.2f}", *shown.values(), f"{worst:.2f}"]


def _installed(**several):
    """Return the commands whose program is there."""
    return {
        name: command(*arguments)
        for name, arguments in several.items()
        if shutil.which(arguments[0])
    }


def _sobel_peers(file):
    rows = "-1 0 1 -2 0 2 -1 0 1"
    return _installed(
        ImageMagick=("convert", file, "-morphology", "Convolve", "3x3: 1,0,-1 2,0,-2 1,0,-1", "o.png"),
        GraphicsMagick=("gm", "convert", file, "-convolve", rows.replace(" ", ","), "o.png"),
        libvips=("vips", "conv", file, "o.png", "sobel.mat"),
        ffmpeg=("ffmpeg", "-y", "-i", file, "-vf", f"convolution={':'.join([rows] * 4)}", "o.png"),
        GMIC=("gmic", file, "(-1,0,1;-2,0,2;-1,0,1)", "correlate[0]", "[1]", "remove[1]",
              "cut", "0,255", "-o", "o.png"),
    )  # fmt: skip


def _gaussian_peers(file):
    return _installed(
        ImageMagick=("convert", file, "-blur", "0x5", "o.png"),
        GraphicsMagick=("gm", "convert", file, "-blur", "0x5", "o.png"),
        libvips=("vips", "gaussblur", file, "o.png", "5"),
        ffmpeg=("ffmpeg", "-y", "-i", file, "-vf", "gblur=sigma=5", "o.png"),
        GMIC=("gmic", file, "blur", "5", "-o", "o.png"),
    )


def _batch_peers():
    Path("theirs").mkdir(exist_ok=True)
    one = "vips conv {} theirs/$(basename {} .jpg).png sobel.mat"
    peers = _installed(ImageMagick=(
        "mogrify", "-path", "theirs", "-format", "png", "-morphology", "Convolve",
        "3x3: 1,0,-1 2,0,-2 1,0,-1", *map(str, sorted(Path("many").iterdir())),
    ))  # fmt: skip
    if shutil.which("vips"):
        line = f"ls many/*.jpg | xargs -P{THREADS} -I{{}} sh -c '{one}'"
        peers["libvips"] = command(line, shell=True)
    if _opencv(np.zeros((9, 9), np.uint8), SOBEL):
        peers["OpenCV"] = command(sys.executable, "-c", _OPENCV_LOOP)
    return peers


_OPENCV_LOOP = """
import cv2, glob, numpy, os
kernel = numpy.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], numpy.float32)
for name in sorted(glob.glob("many/*.jpg")):
    made = cv2.filter2D(cv2.imread(name), -1, kernel, borderType=cv2.BORDER_REPLICATE)
    cv2.imwrite("theirs/" + os.path.basename(name)[:-4] + ".png", made)
"""


def scale():
    """Time and memory of conv-cli itself by the size of the image."""
    rows = []
    for megapixels in (1, 4, 12, 25, 50, 100):
        width = round(math.sqrt(megapixels * 1e6 * 4 / 3))
        height = round(megapixels * 1e6 / width)
        small = photograph(min(height, 3000), min(width, 4000))
        small.resize((width, height)).save("scale.jpg", quality=90)
        arguments = (*CONV_CLI, "scale.jpg", "-k", "gaussian:2", "-o", "scale.png")
        mine, _, _ = in_turn(
            command(*arguments), command(sys.executable, "-c", "import conv_cli.pipeline.run"), 3
        )
        peak, decoded = peak_megabytes(*arguments), width * height * 3 / 1e6
        x = RNG.integers(0, 256, (height, width), np.uint8)
        weights = np.outer(gaussian(13), gaussian(13))[None, None]
        core_time, _, _ = in_turn(
            lambda x=x, w=weights: conv2d(x[None], w, padding=6), lambda: None, 5
        )
        rows.append([
            megapixels, f"{core_time * 1e3:.1f}", f"{core_time / megapixels * 1e3:.2f}",
            f"{mine:.2f}", f"{peak:.0f}", f"{80 + 2.5 * decoded:.0f}",
        ])  # fmt: skip
    return markdown(
        "By size: a Gaussian of 13×13 in memory, and `apply -k gaussian:2` from JPEG to PNG",
        [
            "megapixels",
            "in memory, ms",
            "ms a megapixel",
            "command, s",
            "peak, MB",
            "80 MB + 2.5 × decoded",
        ],
        rows,
    )
