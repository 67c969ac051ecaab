"""The real programs: the same picture comes out of each of them, both ways."""

import re
import shlex
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image, ImageFilter

from conv_cli import Kernel, load_kernel, load_kernels, read_image, write_image
from conv_cli.errors import KernelError
from conv_cli.kernels.tools.strings import convert
from test_cli_apply import succeed

RIM = 25  # pixels from the border, where tools differ in what lies beyond it
SPECS = [
    "sobel-x",
    "roberts-x",
    "edge-x",
    "edge-y",
    "laplacian:8",
    "box",
    "pillow-contour",
    "pillow-emboss",
    "pillow-smooth-more",
    "gaussian:1",
    "freichen-2",
    "kirsch-ne",
    "1 2 3; 4 5 -6; 0 -7 -1",
    "1 2 3 4 5; -6 7 8 9 10; 0 -3 -2 -1 4 / 46",
    "1 -2 4; -3 5 1; 7 0 -2; 2 -6 3; 1 0 -9",
    "1 -2; 3 4 / 6",
    "2 -1 3 -5; 0 1 -2 4; 3 -1 2 -5",
    "1 2 4 8 -16 2",
    "1; 2; 4; -8; 2",
    "0.25 0.5; 0.125 0.125",
    "1 0 0 0 0 0 -2; 0 3 0 0 0 0 0; 0 0 0 0 0 0 0; 0 0 0 5 0 0 0; 0 0 0 0 0 0 0; 0 0 0 0 0 0 0; 4 0 0 0 0 0 -10",
]
ELSEWHERE = Kernel(np.array([[1.0, 2, -4], [3, -2, 1]]), bias=20, origin=(1, 0), name="elsewhere")
KERNELS = [*map(load_kernel, SPECS), ELSEWHERE]
NAMES = [kernel.name[:30] for kernel in KERNELS]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a colour photograph of 120×130 pixels, in contrast from 60 to 200."""
    folder = tmp_path_factory.mktemp("tools")
    noise = np.random.default_rng(5).normal(130, 25, (120, 130, 3))
    write_image(folder / "in.png", np.clip(noise, 60, 200).astype(np.uint8))
    return folder


@pytest.fixture(scope="module")
def applied(place):
    """What ``conv-cli apply`` makes of the photograph with each kernel, as real values."""
    for index, kernel in enumerate(KERNELS):
        (place / f"{index}.json").write_bytes(convert(kernel, "json").data)
    flags = [word for index in range(len(KERNELS)) for word in ("-k", place / f"{index}.json")]
    succeed("apply", place / "in.png", *flags, "-o", f"{place}/maps/", "--format", "npy",
            "--name", "{index}{ext}")  # fmt: skip
    return [np.load(place / "maps" / f"{index + 1}.npy") for index in range(len(KERNELS))]


def run(*command, cwd):
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


def pixels(path):
    """Return the colours of a picture in levels of 0…255, opacity left out."""
    colours = np.asarray(read_image(path))[..., :3]
    return colours / 257 if colours.dtype == np.uint16 else colours.astype(float)


def run_imagemagick(place, text):
    run(magick(), "in.png", "-morphology", "Convolve", text.strip(), "PNG48:im.png", cwd=place)
    return pixels(place / "im.png")


def run_gmic(place, text):
    run("gmic", "in.png", text.strip(), "correlate[0]", "[1]", "keep[0]", "cut", "0,255", "round",
        "output", "gmic.png", cwd=place)  # fmt: skip
    return pixels(place / "gmic.png")


def run_ffmpeg(place, text):
    run("ffmpeg", "-y", "-v", "error", "-i", "in.png", "-vf", text.strip(), "-pix_fmt", "rgb24",
        "ff.png", cwd=place)  # fmt: skip
    return pixels(place / "ff.png")


def run_gegl(place, text):
    run("gegl", "in.png", "-o", "gegl.png", "--", *shlex.split(text), cwd=place)
    return pixels(place / "gegl.png")


def run_vips(place, text):
    (place / "k.mat").write_text(text)
    run("vips", "conv", "in.png", "vips.v", "k.mat", cwd=place)
    run("vips", "rawsave", "vips.v", "vips.raw", cwd=place)
    return np.fromfile(place / "vips.raw", np.float32).reshape(120, 130, 3).astype(float)


def run_code(place, text):
    names = {"image": np.asarray(read_image(place / "in.png"))}
    exec(compile(text, "converted", "exec"), names)
    return np.asarray(names["result"], dtype=float)


def magick():
    """ImageMagick 6 itself, or 7."""
    return next((p for p in ("/usr/bin/convert", "magick", "convert") if shutil.which(p)), None)


# Target -> how it is run, how far it rounds, and whether its pixels end at 0 and 255.
TOOLS = {
    "imagemagick": (run_imagemagick, 1 / 257, True),
    "gmic": (run_gmic, 0.51, True),
    "ffmpeg": (run_ffmpeg, 0.51, True),
    "gegl": (run_gegl, 0.02, True),
    "vips": (run_vips, 2e-3, False),
    "opencv": (run_code, 2e-3, False),
    "scipy": (run_code, 2e-3, False),
    "pytorch": (run_code, 2e-3, False),
}
PROGRAMS = {"imagemagick": magick() or "magick", "opencv": "cv2", "pytorch": "torch"}


def require(tool):
    name = PROGRAMS.get(tool, tool)
    if TOOLS[tool][0] is run_code:
        pytest.importorskip(name, reason=f"{name} is not installed")
    elif shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")


def refusal(tool, kernel):
    """Return why a tool cannot do what a kernel does, or None: known here from its own manual."""
    rows, columns = kernel.shape
    reach = max(*kernel.origin, rows - 1 - kernel.origin[0], columns - 1 - kernel.origin[1])
    total = round(float(kernel.weights.sum()), 9)
    if tool in ("imagemagick", "gmic") and kernel.bias:
        return "no bias"
    if tool == "gegl" and reach > 2:
        return "is 5x5"
    if tool == "ffmpeg" and total not in (0, 1):
        return "divides by the sum"
    if tool == "ffmpeg" and kernel.name in ("gaussian:1", "freichen-2"):
        return "whole numbers only"
    return None


def assert_same_picture(tool, actual, expected):
    _, tolerance, limited = TOOLS[tool]
    inside = (slice(RIM, -RIM), slice(RIM, -RIM))
    wanted = np.clip(expected, 0, 255) if limited else expected
    assert actual.shape == wanted.shape
    assert np.ptp(wanted[inside]) > 10  # there is something to see
    np.testing.assert_allclose(actual[inside], wanted[inside], rtol=0, atol=tolerance)


@pytest.mark.parametrize("index", range(len(KERNELS)), ids=NAMES)
@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.one_in(5)
def test_a_converted_kernel_makes_the_picture_that_apply_makes(place, applied, tool, index):
    require(tool)
    kernel = KERNELS[index]
    if reason := refusal(tool, kernel):
        with pytest.raises(KernelError, match=reason):
            convert(kernel, tool)
        return
    text = convert(kernel, tool).data.decode()
    assert_same_picture(tool, TOOLS[tool][0](place, text), applied[index])


@pytest.mark.parametrize("tool", TOOLS)
def test_most_kernels_are_held_by_every_tool(tool):
    held = sum(refusal(tool, kernel) is None for kernel in KERNELS)
    assert held >= 15


@pytest.mark.parametrize(
    ("tool", "spec"),
    [("ffmpeg", "gaussian:1"), ("ffmpeg", "gaussian:2"), ("ffmpeg", "gaussian:12,1x60"),
     ("ffmpeg", "-2.6 1.3; 1.3 0"), ("gegl", "gaussian:0.8"), ("gegl", "gaussian:2")],
)  # fmt: skip
def test_an_approximation_is_no_further_off_than_it_says(place, tool, spec):
    require(tool)
    kernel = load_kernel(spec)
    with pytest.raises(KernelError, match="--approximate"):
        convert(kernel, tool)
    converted = convert(kernel, tool, approximate=True)
    actual = TOOLS[tool][0](place, converted.data.decode())
    succeed("apply", place / "in.png", "-k", spec, "-o", place / "exact.npy", "-f")
    off = np.abs(actual - np.clip(np.load(place / "exact.npy"), 0, 255))[RIM:-RIM, RIM:-RIM].max()
    assert 0 < off <= converted.error + TOOLS[tool][1]


IMAGEMAGICK = [
    "3x3: -1,0,1 -2,0,2 -1,0,1",
    "3x3: 1,2,3 4,5,-6 0,-7,-1",
    "2x2: 1 2 -3 1",
    "4x1: .5,.25,.125,.125",
    "1x4+0+1: 1 2 -3 1",
    "3x2+0+1:1,nan,-2 -,3,-1",
    "3x3+2+0: 1,2,3 4,5,-6 0,-7,-1",
    "5: 0,0,0,0,1 0,0,0,0,0 0,0,-1,0,0 0,0,0,0,0 1,0,0,0,0",
    "0,-1,0,-1,5,-1,0,-1,0",
    "0.1 0.2 -0.3 1",
    "Unity:0.5",
    "Gaussian:0x1.5",
    "Gaussian:2x1",
    "DoG:0,1,2",
    "LoG:0x1.2",
    "Blur:0x2",
    "Blur:0x2+90",
    "Comet:0x3",
    "Comet:0x3+90",
    "Comet:6x3+180",
    "Laplacian:2",
    "Laplacian:15",
    "Sobel",
    "Sobel:45",
    "Sobel:90",
    "Sobel:-135",
    "roberts:45",
    "Prewitt:180",
    "Compass:270",
    "Kirsch:135",
    "FreiChen:2",
    "FreiChen:13",
    "FreiChen:135",
    "Rectangle:2x1+0+0",
    "Disk:2,0.1",
    "3x3: 0,0,.2 0,.3,0 .5,0,nan",
]


GMIC = [
    "(0,1,0;1,-4,1;0,1,0)",
    "(1,2,3;4,5,-6;0,-7,-1)",
    "(1,-2;3,-1)",
    "(0.5,0.25,0.125,0.125)",
    "(1;2;-3;1)",
    "(.1,2e-1,-3E-1,1.0;0,0,0,+.5;0.1,0,0,0)",
]


FFMPEG = [
    "0 -1 0 -1 5 -1 0 -1 0",
    "1 2 3 4 5 -6 0 -7 -1",
    "1 2 3 4 5 6 7 8 10",
    "-1 -2 -1 0 0 0 1 2 2",
    "1 1 1 1 1 1 1 1 1 1 1 1 -9 1 1 1 1 1 1 1 1 1 1 1 3",
    "1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 2 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 5",
]
FFMPEG_FILTERS = [
    "convolution=-2 -1 0 -1 1 1 0 1 2:-2 -1 0 -1 1 1 0 1 2:-2 -1 0 -1 1 1 0 1 2",
    "convolution=0m='-1 0 1 -2 0 2 -1 0 1':1m='-1 0 1 -2 0 2 -1 0 1':2m='-1 0 1 -2 0 2 -1 0 1':0bias=128:1bias=128:2bias=128",
    "convolution=0m=1 2 3 4 -5:0mode=row:1m=1 2 3 4 -5:1mode=1:2m=1 2 3 4 -5:2mode=row",
    "convolution=0m=1 2 3 4 -5:0mode=column:1m=1 2 3 4 -5:1mode=2:2m=1 2 3 4 -5:2mode=column",
]


VIPS = [
    "3 3 1\n-1 0 1\n-2 0 2\n-1 0 1\n",
    "3 3 8 128\n1 2 3\n4 5 -6\n0 -7 -1\n",
    "2 2 1 0\n1 2\n-3 1\n",
    "4 1 10\n1 2 3 4\n",
    "1 4 3 -20.5\n1\n2\n-3\n2\n",
    "5 2 0.5 0\n0.1 0.2 0.3 0.4 0.5\n-0.1 -0.2 -0.3 -0.4 -0.1\n",
]


STRINGS = [
    *(("imagemagick", text) for text in IMAGEMAGICK),
    *(("gmic", text) for text in GMIC),
    *(("ffmpeg", text) for text in [*FFMPEG, *FFMPEG_FILTERS]),
    *(("vips", text) for text in VIPS),
]


@pytest.fixture(scope="module")
def applied_strings(place):
    """What ``conv-cli apply`` makes of the photograph with each string, as real values."""
    flags = []
    for index, (tool, text) in enumerate(STRINGS):
        spec = f"{tool}:{text}"
        if tool == "vips":
            spec = place / f"{index}.mat"
            spec.write_text(text)
        flags += ["-k", spec]
    succeed("apply", place / "in.png", *flags, "-o", f"{place}/strings/", "--format", "npy",
            "--name", "{index}{ext}")  # fmt: skip
    return [np.load(place / "strings" / f"{index + 1}.npy") for index in range(len(STRINGS))]


@pytest.mark.parametrize("index", range(len(STRINGS)), ids=lambda index: " ".join(STRINGS[index]))
def test_a_string_is_read_as_its_tool_reads_it(place, applied_strings, index):
    tool, text = STRINGS[index]
    require(tool)
    if tool == "ffmpeg" and not text.startswith("convolution"):
        text = f"convolution={text}:{text}:{text}"
    assert_same_picture(tool, TOOLS[tool][0](place, text), applied_strings[index])


SETS = [
    "3x3@+0+1: 1,2,3 4,5,6 7,8,9",
    "3>: 1,2,3 4,5,6 7,8,9",
    "3x3<: 1,2,3 4,5,6 7,8,9",
    "3@: 1,2,1 2,4,2 1,2,1",
    "4x1>+0+0: 1,2,3,4",
    "1x3<: 1,2,3",
    "4x4>+0+1: 1,2,3,4 5,6,7,8 9,10,11,12 13,14,15,16",
    "Kirsch:@",
    "Sobel:@",
    "Roberts:45>",
    "FreiChen:10",
    "Comet:0x1>",
    "3: 1,2,3 4,5,6 7,8,9 ; Sobel ;; 2x1: 1,2",
]
NAMED = [
    "Binomial:3", "Blur:0x0.5", "Blur:0x0", "Chebyshev:2x10%", "Chebyshev:1x9!", "Comet:4x0",
    "Cross", "Diamond:2,3", "Disk", "Disk:4.0", "DoG:3,2,0", "Euclidean:3x1", "FreiChen:17x90",
    "Gaussian:0x0.2", "Gaussian:0x4", "Laplacian:19", "Laplacian:7", "LoG:2x0", "Manhattan:3x1",
    "Octagon", "Octagon:4", "Octagonal:3x1", "Peaks", "Plus:3", "Rectangle", "Rectangle:4x2",
    "Ring", "Ring:2,4,3", "Sobel:22.5", "Sobel:22.6", "Square:2x0.5", "Unity",
]  # fmt: skip


@pytest.mark.parametrize("text", [*SETS, *NAMED])
def test_imagemagick_shows_the_kernels_that_are_read(text):
    require("imagemagick")
    shown = shown_kernels(text)
    kernels = load_kernels(f"imagemagick:{text}")
    assert len(shown) == len(kernels)
    for (weights, origin), kernel in zip(shown, kernels, strict=True):
        kernel = kernel.flipped()  # as it is written, and not as Convolve uses it
        assert kernel.origin == origin
        np.testing.assert_allclose(
            kernel.weights, weights, rtol=0, atol=2e-6 * np.abs(weights).max()
        )


def shown_kernels(text):
    """Return the weights and the origin of each kernel as ImageMagick prints them; nan is 0."""
    done = subprocess.run(
        [magick(), "-size", "1x1", "xc:gray", "-define", "morphology:showKernel=1", "-morphology",
         "Convolve", text, "null:"], capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = []
    for block in re.split(r'(?=Kernel (?:#\d+ )?")', done.stderr)[1:]:
        x, y = map(int, re.search(r"of size \d+x\d+([+-]\d+)([+-]\d+)", block).groups())
        rows = re.findall(r"^ *\d+: (.*)$", block, re.MULTILINE)
        found.append((np.nan_to_num(np.array([row.split() for row in rows], float)), (y, x)))
    return found


@pytest.mark.parametrize("name", [
    "blur", "contour", "detail", "edge-enhance", "edge-enhance-more", "emboss", "find-edges",
    "sharpen", "smooth", "smooth-more",
])  # fmt: skip
def test_pillows_filters_equal_pillow_pixel_for_pixel(place, name):
    picture = Image.open(place / "in.png")
    expected = np.asarray(picture.filter(getattr(ImageFilter, name.upper().replace("-", "_"))))
    kernel = load_kernel(f"pillow-{name}")
    succeed("apply", place / "in.png", "-k", kernel.name, "-o", place / "p.png", "-f", "-q")
    succeed("apply", place / "in.png", "-k", kernel.name, "-o", place / "p.npy", "-f")
    ours, real = np.asarray(read_image(place / "p.png")), np.load(place / "p.npy")
    # Half a level between two, Pillow's 32 bits fall to either side, and ours to the even one.
    decided = np.abs(real - np.floor(real) - 0.5) > 1e-4
    rim = kernel.shape[0] // 2
    inside = (slice(rim, -rim), slice(rim, -rim))
    assert decided[inside].mean() > 0.45
    difference = np.abs(ours.astype(int) - expected)[inside]
    assert difference[decided[inside]].max() == 0
    assert difference.max() <= 1


def test_pytorch_code_takes_tensors_of_every_rank():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    code = convert(ELSEWHERE, "pytorch").data.decode()
    array = np.random.default_rng(2).integers(0, 256, (9, 11, 3)).astype(np.uint8)
    planes = torch.from_numpy(array).movedim(-1, 0)
    results = []
    for image in (array, planes, planes[None].double(), planes[1]):
        names = {"image": image}
        exec(compile(code, "converted", "exec"), names)
        assert names["result"].shape == image.shape
        results.append(np.asarray(names["result"]))
    np.testing.assert_array_equal(results[0], results[1].transpose(1, 2, 0))
    np.testing.assert_array_equal(results[1], results[2][0])
    np.testing.assert_array_equal(results[1][1], results[3])


def test_code_is_ready_to_paste_and_says_what_it_reads():
    for target in ("opencv", "scipy", "pytorch"):
        text = convert(KERNELS[0], target).data.decode()
        assert text.startswith("# sobel-x\n# image: ")
        assert "\nresult" in text
