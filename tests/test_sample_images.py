"""The sample images: made anew they are the files in the folder, and each is what it says it is."""

import importlib.util
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageOps

from conv_cli import find_pattern

FOLDER = Path(__file__).parents[1] / "sample_images"
LOSSLESS = [
    "chart.png",
    "figure.png",
    "leaf.png",
    "page.png",
    "square.png",
    "still-life.png",
    "sunset-16bit.png",
]
LOSSY = [
    "crowd-later.jpg", "crowd.jpg", "equivariance.jpg", "feature-maps.jpg", "flip.jpg", "found.jpg",
    "landscape.jpg", "learned.jpg", "locality.jpg", "rotated.jpg",
]  # fmt: skip

Pixels = npt.NDArray[Any]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every picture made anew."""
    folder = tmp_path_factory.mktemp("samples")
    spec = importlib.util.spec_from_file_location("make_sample_images", FOLDER / "make.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)  # as when it is run: what it imports lies beside it
        spec.loader.exec_module(module)
        module.make_all(folder)
    return folder


def difference(fresh: Path, name: str) -> Pixels:
    """How many levels the pixels of a picture made anew are off."""
    new, kept = stored(name, fresh), stored(name)
    assert (new.shape, new.dtype) == (kept.shape, kept.dtype)
    off: Pixels = np.abs(new.astype(int) - kept.astype(int))
    return off


def stored(name: str, folder: Path = FOLDER) -> Pixels:
    """The pixels of a file as they lie there: whole depth, colours RGB, not turned upright."""
    flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imread(str(folder / name), flags)
    assert pixels is not None, name
    if pixels.ndim == 3:
        pixels = pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    return np.asarray(pixels)


def upright(name: str) -> Pixels:
    with Image.open(FOLDER / name) as image:
        return np.asarray(ImageOps.exif_transpose(image))


def png_header(name: str) -> tuple[int, int, int, int]:
    """Width, height, bits a channel and colour type, from the IHDR chunk."""
    data = (FOLDER / name).read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and data[12:16] == b"IHDR"
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    return width, height, depth, colour


def amplitude_slope(grey: npt.NDArray[np.float64]) -> float:
    """Exponent of the amplitude spectrum of a square picture, averaged over all directions."""
    size = len(grey)
    window = np.outer(np.hanning(size), np.hanning(size))
    amplitude = np.abs(np.fft.fft2((grey - grey.mean()) * window))
    cycles = np.fft.fftfreq(size) * size
    ring = np.rint(np.hypot(cycles[:, None], cycles)).astype(int).ravel()
    mean = np.bincount(ring, amplitude.ravel()) / np.bincount(ring)
    radius = np.arange(4, size * 2 // 5)
    # Each octave counts the same, however many rings it has.
    slope, _ = np.polyfit(np.log(radius), np.log(mean[radius]), 1, w=radius**-0.5)
    return float(slope)


@pytest.mark.slow
def test_the_folder_holds_what_the_script_makes(fresh: Path) -> None:
    pictures = {path.name for path in FOLDER.iterdir() if path.suffix in {".png", ".jpg"}}
    assert pictures == {path.name for path in fresh.iterdir()} == {*LOSSLESS, *LOSSY}


def test_all_pictures_together_are_under_three_megabytes() -> None:
    assert sum((FOLDER / name).stat().st_size for name in LOSSLESS + LOSSY) < 3_000_000


@pytest.mark.slow
@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_picture_made_anew_has_the_pixels_of_the_file(fresh: Path, name: str) -> None:
    # FFT, sine and exponential may differ in the last bit from one CPU or NumPy to the next, which
    # moves a value over a rounding border; and a ray that grazes an edge may just miss it.
    off = difference(fresh, name)
    assert np.mean(off > 0) < 0.01
    assert np.mean(off > 1) < 0.001


@pytest.mark.slow
@pytest.mark.parametrize("name", LOSSY)
def test_lossy_picture_made_anew_is_nearly_the_file(fresh: Path, name: str) -> None:
    # One level more or less before JPEG can turn a coefficient, which shows in 8 x 8 pixels, or in
    # 16 x 16 of colour; and how the encoder rounds is its own affair.
    off = difference(fresh, name)
    assert off.mean() < 0.5
    assert np.mean(off > 16) < 0.001


def test_landscape_has_the_spectrum_of_a_photograph() -> None:
    red, green, blue = np.moveaxis(stored("landscape.jpg")[:, 200:1000].astype(float), -1, 0)
    assert -1.6 < amplitude_slope(0.299 * red + 0.587 * green + 0.114 * blue) < -0.8


@pytest.mark.parametrize("name", ["landscape.jpg", "still-life.png"])
def test_photographs_use_the_whole_range_and_are_not_saturated(name: str) -> None:
    pixels = stored(name)
    assert np.mean((pixels == 0) | (pixels == 255)) < 0.01
    low, high = np.percentile(pixels, [1, 99])
    assert low < 48 and high > 224


def test_still_life_is_a_grey_square_of_512() -> None:
    assert png_header("still-life.png") == (512, 512, 8, 0)


def test_sunset_really_has_16_bits() -> None:
    assert png_header("sunset-16bit.png") == (480, 320, 16, 2)
    pixels = stored("sunset-16bit.png")
    assert pixels.dtype == np.uint16
    assert np.mean(pixels % 257 == 0) < 0.02  # 8 bits widened would be multiples throughout
    assert len(np.unique(pixels)) > 20_000


def test_leaf_has_soft_alpha_and_another_colour_where_nothing_is_seen() -> None:
    assert png_header("leaf.png")[2:] == (8, 6)
    pixels = stored("leaf.png")
    alpha, colour = pixels[..., 3], pixels[..., :3]
    assert len(np.unique(alpha)) > 200
    assert all(np.mean(part) > 0.1 for part in (alpha == 0, alpha == 255, alpha % 255 > 0))
    assert np.all(colour[alpha == 0] == (0, 255, 0))
    assert not np.any(np.all(colour[alpha > 0] == (0, 255, 0), axis=-1))


def test_rotated_lies_on_its_side_and_its_tag_puts_the_sky_up() -> None:
    with Image.open(FOLDER / "rotated.jpg") as image:
        assert image.getexif()[0x0112] == 6
        assert image.size == (400, 300)
    shown = upright("rotated.jpg").astype(int)
    assert shown.shape == (400, 300, 3)
    blueness = shown[..., 2] - shown[..., 0]
    assert blueness[:40, :60].mean() > 15 + blueness[-40:, :60].mean()
    basket = shown[268:280, 150:162].mean(axis=(0, 1))
    assert basket[0] > 1.5 * basket[2]


def test_chart_has_its_steps_where_they_are_labelled() -> None:
    assert png_header("chart.png") == (768, 512, 8, 0)
    pixels = stored("chart.png")
    middles = [int(28 + 44.5 * (index + 0.5)) for index in range(16)]
    assert pixels[370, middles].tolist() == [17 * index for index in range(16)]


def test_page_is_dark_ink_on_light_paper() -> None:
    assert png_header("page.png")[2:] == (8, 0)
    pixels = stored("page.png")
    assert np.median(pixels) > 200
    assert 0.02 < np.mean(pixels < 128) < 0.2


def test_square_is_the_matrix_of_the_lesson() -> None:
    lesson = np.ones((6, 8))
    lesson[:, 2:6] = 0
    assert png_header("square.png") == (8, 6, 8, 0)
    assert np.array_equal(stored("square.png"), 255 * lesson)


def test_the_figure_hides_in_the_crowd_and_is_found_by_its_opacity_as_mask() -> None:
    figure = stored("figure.png")
    assert figure.shape == (44, 30, 4)
    (hit,) = find_pattern(stored("crowd.jpg"), figure[..., :3], mask=figure[..., 3])
    assert (hit.row, hit.col) == (371, 604)


def test_the_figure_is_found_elsewhere_darker_and_larger() -> None:
    figure, crowd = stored("figure.png"), stored("crowd-later.jpg")
    assert not find_pattern(crowd, figure[..., :3], mask=figure[..., 3])
    (hit,) = find_pattern(crowd, figure[..., :3], mask=figure[..., 3], scale=(0.7, 1.5))
    assert hit.scale == pytest.approx(1.3, rel=0.04)
    assert hit.center == pytest.approx((176, 252), abs=1)
