import math

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy import ndimage, signal

from conv_cli import load_kernel, load_kernels
from conv_cli.errors import KernelError
from conv_cli.kernels.catalogue import CATALOGUE
from conv_cli.kernels.family import Family, FamilySet

Array = NDArray[np.float64]

DIRECTIONS = ("n", "ne", "e", "se", "s", "sw", "w", "nw")
SETS = {
    "sobel": ("x", "y"),
    "prewitt": ("x", "y"),
    "scharr": ("x", "y"),
    "farid": ("x", "y"),
    "roberts": ("x", "y"),
    "edge": ("x", "y"),
    "kirsch": DIRECTIONS,
    "robinson": DIRECTIONS,
    "compass": DIRECTIONS,
    "freichen": tuple("123456789"),
}
SINGLE = {
    *("identity", "box", "gaussian", "binomial", "motion", "disk", "ring"),
    *("sharpen", "unsharp", "emboss", "laplacian", "log", "dog", "gabor", "ricker"),
}
PILLOW = {
    "pillow-blur": ImageFilter.BLUR,
    "pillow-contour": ImageFilter.CONTOUR,
    "pillow-detail": ImageFilter.DETAIL,
    "pillow-edge-enhance": ImageFilter.EDGE_ENHANCE,
    "pillow-edge-enhance-more": ImageFilter.EDGE_ENHANCE_MORE,
    "pillow-emboss": ImageFilter.EMBOSS,
    "pillow-find-edges": ImageFilter.FIND_EDGES,
    "pillow-sharpen": ImageFilter.SHARPEN,
    "pillow-smooth": ImageFilter.SMOOTH,
    "pillow-smooth-more": ImageFilter.SMOOTH_MORE,
}


def weights(spec: str) -> Array:
    return load_kernel(spec).weights


def impulse(side: int) -> Array:
    image = np.zeros((side, side))
    image[side // 2, side // 2] = 1
    return image


def test_every_promised_name_is_listed() -> None:
    members = {f"{name}-{ending}" for name, endings in SETS.items() for ending in endings}
    assert {*SETS, *members, *SINGLE, *PILLOW} <= set(CATALOGUE)


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_listed_name_works_without_parameters_and_has_a_summary(name: str) -> None:
    entry = CATALOGUE[name]
    assert entry.name == name
    assert entry.summary
    assert "\n" not in entry.summary
    kernels = load_kernels(name)
    assert [kernel.name for kernel in kernels] == list(getattr(entry, "members", [name]))
    assert all(np.abs(kernel.weights).sum() > 0 for kernel in kernels)


@pytest.mark.parametrize(("name", "endings"), SETS.items())
def test_a_set_stands_for_its_members_in_order(name: str, endings: tuple[str, ...]) -> None:
    assert isinstance(CATALOGUE[name], FamilySet)
    assert [k.name for k in load_kernels(name)] == [f"{name}-{ending}" for ending in endings]
    for ending in endings:
        by_parameter = load_kernel(f"{name}:{ending}")
        assert by_parameter.name == f"{name}-{ending}"
        np.testing.assert_array_equal(by_parameter.weights, weights(f"{name}-{ending}"))


def test_every_parameter_says_its_meaning_and_accepts_its_own_default() -> None:
    for entry in CATALOGUE.values():
        for parameter in entry.parameters if isinstance(entry, Family) else ():
            assert parameter.meaning
            assert parameter.expected
            default = parameter.default
            if default is not None:
                text = f"{default[0]}x{default[1]}" if isinstance(default, tuple) else str(default)
                assert parameter.read(text) == default


# The matrices as the papers and textbooks print them, written for cross-correlation.
@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("identity", [[0, 0, 0], [0, 1, 0], [0, 0, 0]]),
        ("identity:2x4", [[0, 1, 0, 0], [0, 0, 0, 0]]),
        ("sobel-x", [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]),
        ("sobel-y", [[-1, -2, -1], [0, 0, 0], [1, 2, 1]]),
        ("prewitt-x", [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]]),
        ("prewitt-y", [[-1, -1, -1], [0, 0, 0], [1, 1, 1]]),
        ("scharr-x", [[-3, 0, 3], [-10, 0, 10], [-3, 0, 3]]),
        ("scharr-y", [[-3, -10, -3], [0, 0, 0], [3, 10, 3]]),
        ("roberts-x", [[1, 0], [0, -1]]),
        ("roberts-y", [[0, 1], [-1, 0]]),
        ("edge-x", [[1, -1]]),
        ("edge-y", [[1], [-1]]),
        ("laplacian", [[0, 1, 0], [1, -4, 1], [0, 1, 0]]),
        ("laplacian:4", [[0, 1, 0], [1, -4, 1], [0, 1, 0]]),
        ("laplacian:8", [[1, 1, 1], [1, -8, 1], [1, 1, 1]]),
        ("laplacian-8", [[1, 1, 1], [1, -8, 1], [1, 1, 1]]),
        ("sharpen", [[0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
        ("sharpen:0.5", [[0, -0.5, 0], [-0.5, 3, -0.5], [0, -0.5, 0]]),
        ("emboss", [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]),
        ("kirsch-n", [[5, 5, 5], [-3, 0, -3], [-3, -3, -3]]),
        ("kirsch-e", [[-3, -3, 5], [-3, 0, 5], [-3, -3, 5]]),
        ("kirsch-nw", [[5, 5, -3], [5, 0, -3], [-3, -3, -3]]),
        ("robinson-ne", [[0, 1, 2], [-1, 0, 1], [-2, -1, 0]]),
        ("robinson-s", [[-1, -2, -1], [0, 0, 0], [1, 2, 1]]),
        ("compass-w", [[1, 1, -1], [1, -2, -1], [1, 1, -1]]),
        ("box:2", [[0.25, 0.25], [0.25, 0.25]]),
        ("motion:4", [[1 / 8, 1 / 4, 1 / 4, 1 / 4, 1 / 8]]),
        ("motion:3,90", [[1 / 3], [1 / 3], [1 / 3]]),
    ],
)
def test_a_built_in_is_the_matrix_that_is_published(spec: str, expected: list[list[float]]) -> None:
    np.testing.assert_allclose(weights(spec), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("axis", ["x", "y"])
@pytest.mark.parametrize("name", ["sobel", "prewitt"])
def test_gradients_answer_as_those_of_scipy_do(name: str, axis: str) -> None:
    image = np.random.default_rng(1).normal(size=(12, 17))
    reference = getattr(ndimage, name)(image, axis=1 if axis == "x" else 0)
    ours = ndimage.correlate(image, weights(f"{name}-{axis}"))
    np.testing.assert_allclose(ours, reference, atol=1e-12)


@pytest.mark.parametrize(("axis", "order"), [("x", (1, 0)), ("y", (0, 1))])
def test_scharr_answers_as_that_of_opencv_does(axis: str, order: tuple[int, int]) -> None:
    image = np.random.default_rng(2).normal(size=(12, 17))
    reference = cv2.Scharr(image, cv2.CV_64F, *order)[1:-1, 1:-1]
    ours = signal.correlate2d(image, weights(f"scharr-{axis}"), "valid")
    np.testing.assert_allclose(ours, reference, atol=1e-12)


@pytest.mark.parametrize("name", ["sobel", "prewitt", "scharr", "farid"])
def test_gradients_are_positive_towards_the_bright_side(name: str) -> None:
    to_the_right = np.tile(np.arange(5.0), (5, 1))
    for kernel, image in zip(load_kernels(name), (to_the_right, to_the_right.T), strict=True):
        assert signal.correlate2d(image, kernel.weights, "valid")[0, 0] > 0
        assert signal.correlate2d(image.T, kernel.weights, "valid")[0, 0] == pytest.approx(0)


def test_farid_measures_the_slope_of_a_slow_wave_within_two_per_cent() -> None:
    positions = np.arange(64.0)
    wave = np.tile(np.sin(0.1 * positions), (5, 1))
    slope = signal.correlate2d(wave, weights("farid-x"), "valid")[0]
    np.testing.assert_allclose(slope, 0.1 * np.cos(0.1 * positions[2:-2]), atol=0.002)


@pytest.mark.parametrize("name", ["kirsch", "robinson", "compass"])
def test_compass_members_are_one_mask_in_turns_of_45_degrees(name: str) -> None:
    masks = [kernel.weights for kernel in load_kernels(name)]
    for step in range(8):
        quarter = np.rot90(masks[step], -1)  # clockwise, as n, e, s, w run
        np.testing.assert_array_equal(masks[(step + 2) % 8], quarter)
    north_east = masks[1]
    np.testing.assert_array_equal(north_east, north_east[::-1, ::-1].T)  # its axis: the diagonal
    assert sorted(north_east.ravel()) == sorted(masks[0].ravel())


@pytest.mark.parametrize("name", ["kirsch", "robinson", "compass"])
def test_a_compass_member_answers_most_to_brightness_in_its_direction(name: str) -> None:
    bright = {"n": (-1, 0), "ne": (-1, 1), "e": (0, 1), "se": (1, 1), "s": (1, 0)}
    rows, columns = np.mgrid[-1:2, -1:2]
    for direction, (down, right) in bright.items():
        image = np.sign(rows * down + columns * right)
        answers = {k.name: float((k.weights * image).sum()) for k in load_kernels(name)}
        assert max(answers, key=answers.__getitem__) == f"{name}-{direction}"


def test_frei_chen_is_an_orthonormal_basis() -> None:
    basis = np.array([kernel.weights.ravel() for kernel in load_kernels("freichen")])
    np.testing.assert_allclose(basis @ basis.T, np.eye(9), atol=1e-15)
    # 1-4 span the edges, to which both Sobel masks belong; 9 is the mean.
    for spec in ("sobel-x", "sobel-y"):
        edges = basis[:4].T @ (basis[:4] @ weights("prewitt-" + spec[-1]).ravel())
        np.testing.assert_allclose(edges, weights("prewitt-" + spec[-1]).ravel(), atol=1e-14)
    np.testing.assert_allclose(basis[8], 1 / 3)


SUM_TO_ONE = (
    "identity",
    "box",
    "box:3x5",
    "box:2",
    "binomial",
    "binomial:1x8",
    "gaussian",
    "gaussian:0.001",
    "gaussian:7.3",
    "gaussian:sigma=0.001,size=2",
    "gaussian:sigma=2,size=4x7",
    "motion",
    "motion:12.5,33",
    "disk",
    "disk:7.5",
    "ring",
    "ring:9,2.5",
    "sharpen:3.5",
    "unsharp",
    "unsharp:2.5,0.3",
    "emboss",
)


@pytest.mark.parametrize("spec", SUM_TO_ONE)
def test_smoothers_and_sharpeners_keep_brightness(spec: str) -> None:
    assert math.fsum(weights(spec).ravel()) == pytest.approx(1, abs=1e-14)


@pytest.mark.parametrize(
    "spec",
    ["log", "log:2.5", "log:0.3", "log:sigma=3,size=9", "dog", "dog:2,5", "ricker", "ricker:4"]
    + [name for name in CATALOGUE if name.startswith(("sobel", "farid", "laplacian", "kirsch"))]
    + [f"freichen-{number}" for number in range(1, 9)],
)
def test_derivatives_and_band_passes_answer_nothing_to_a_flat_image(spec: str) -> None:
    for kernel in load_kernels(spec):
        assert abs(math.fsum(kernel.weights.ravel())) < 1e-14 * np.abs(kernel.weights).sum()


@pytest.mark.parametrize("sigma", [0.6, 1.0, 2.7])
def test_gaussian_is_that_of_scipy_cut_at_three_sigma(sigma: float) -> None:
    ours = weights(f"gaussian:{sigma}")
    radius = math.ceil(3 * sigma)
    assert ours.shape == (2 * radius + 1, 2 * radius + 1)
    reference = ndimage.gaussian_filter(impulse(len(ours)), sigma, radius=radius)
    np.testing.assert_allclose(ours, reference, atol=1e-15)


def test_gaussian_of_a_given_size_is_sampled_around_its_middle() -> None:
    ours = weights("gaussian:sigma=1.4,size=5x8")
    reference = np.outer(signal.windows.gaussian(5, 1.4), signal.windows.gaussian(8, 1.4))
    np.testing.assert_allclose(ours, reference / reference.sum(), atol=1e-15)


@pytest.mark.parametrize(("size", "shape"), [("5", (5, 5)), ("2x6", (2, 6)), ("1x60", (1, 60))])
def test_binomial_is_repeated_averaging_of_neighbours(size: str, shape: tuple[int, int]) -> None:
    rows, columns = (np.ones(1), np.ones(1))
    for _ in range(shape[0] - 1):
        rows = np.convolve(rows, [0.5, 0.5])
    for _ in range(shape[1] - 1):
        columns = np.convolve(columns, [0.5, 0.5])
    np.testing.assert_allclose(weights(f"binomial:{size}"), np.outer(rows, columns), rtol=1e-13)


def test_log_is_that_of_scipy_up_to_what_its_samples_miss() -> None:
    ours = weights("log:2")
    assert ours.shape == (17, 17)
    reference = ndimage.gaussian_laplace(impulse(17), 2, radius=8)
    np.testing.assert_allclose(ours, reference, atol=2e-5)
    assert ours[8, 8] < 0


def test_log_measures_the_curvature_of_a_paraboloid() -> None:
    rows, columns = np.mgrid[-20:21, -20:21].astype(float)
    image = 3 * rows**2 + 2 * columns**2  # of Laplacian 10 everywhere
    answer = signal.correlate2d(image, weights("log:sigma=2,size=31"), "valid")
    np.testing.assert_allclose(answer, 10, rtol=1e-6)


def test_ricker_is_the_published_wavelet() -> None:
    sigma = 2.0
    rows, columns = np.mgrid[-8:9, -8:9]
    half = (rows**2 + columns**2) / (2 * sigma**2)
    expected = (1 - half) * np.exp(-half) / (np.pi * sigma**4)
    np.testing.assert_allclose(weights("ricker:2"), expected, atol=2e-5)


def test_dog_is_the_difference_of_two_gaussian_blurs() -> None:
    ours = weights("dog:1,2")
    assert ours.shape == (13, 13)
    narrow, wide = (ndimage.gaussian_filter(impulse(13), s, radius=6) for s in (1, 2))
    np.testing.assert_allclose(ours, narrow - wide, atol=1e-15)
    np.testing.assert_array_equal(weights("dog:1.5"), weights("dog:1.5,2.4000000000000004"))


def test_unsharp_adds_the_detail_that_a_blur_takes_away() -> None:
    image = np.random.default_rng(3).normal(size=(40, 30))
    detail = image - ndimage.gaussian_filter(image, 1.5, radius=5)
    ours = ndimage.correlate(image, weights("unsharp:sigma=1.5,amount=0.7"))
    np.testing.assert_allclose(ours, image + 0.7 * detail, atol=1e-12)


@pytest.mark.parametrize("theta", [0, 30, 90, 135, 211])
def test_gabor_is_that_of_opencv_with_angles_counter_clockwise(theta: int) -> None:
    sigma, wavelength, gamma = 2.0, 5.0, 0.6
    ours = weights(f"gabor:{sigma},{theta},{wavelength},{gamma}")
    shape = (ours.shape[1], ours.shape[0])
    reference = cv2.getGaborKernel(shape, sigma, -math.radians(theta), wavelength, gamma, 0)
    np.testing.assert_allclose(ours, reference * gamma / (2 * np.pi * sigma**2), atol=1e-12)


def test_gabor_with_a_phase_of_minus_90_rises_along_theta() -> None:
    to_the_right = np.tile(np.arange(200.0), (200, 1))
    for theta, image in ((0, to_the_right), (90, np.rot90(to_the_right))):
        answer = signal.correlate2d(image, weights(f"gabor:theta={theta},psi=-90"), "valid")
        assert answer.min() > 0.01


@pytest.mark.parametrize("angle", [0, 27, 45, 90, 160, 200])
def test_motion_lies_along_its_angle_counter_clockwise(angle: int) -> None:
    track = weights(f"motion:31,{angle}")
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in track.shape)
    up, right = np.meshgrid(-rows, columns, indexing="ij")
    spread = np.cov([right.ravel(), up.ravel()], aweights=track.ravel())
    _, axes = np.linalg.eigh(spread)
    found = math.degrees(math.atan2(axes[1, 1], axes[0, 1]))
    assert (found - angle + 90) % 180 - 90 == pytest.approx(0, abs=0.2)


def test_motion_of_one_pixel_is_the_image_itself() -> None:
    np.testing.assert_array_equal(weights("motion:1,30"), [[1]])


def test_a_quarter_turn_of_motion_leaves_no_dust_beside_its_line() -> None:
    assert [weights(f"motion:9,{angle}").shape for angle in (0, 90, 180, -90, 360)] == [
        (1, 9),
        (9, 1),
        (1, 9),
        (9, 1),
        (1, 9),
    ]


# How many whole-number points lie within a circle: Gauss's circle problem, OEIS A000328.
@pytest.mark.parametrize(("radius", "points"), [(1, 5), (2, 13), (3, 29), (4, 49), (10, 317)])
def test_disk_takes_as_many_pixels_as_lie_within_its_radius(radius: int, points: int) -> None:
    disk = weights(f"disk:{radius}")
    assert disk.shape == (2 * radius + 1, 2 * radius + 1)
    assert np.count_nonzero(disk) == points
    np.testing.assert_allclose(disk[disk > 0], 1 / points, rtol=1e-15)


def test_ring_is_a_disk_without_a_smaller_one() -> None:
    outer = weights("disk:5") > 0
    outer[2:-2, 2:-2] &= ~(weights("disk:3") > 0)
    np.testing.assert_array_equal(weights("ring:5,2") > 0, outer)


@pytest.mark.parametrize(("name", "pillow_filter"), PILLOW.items())
def test_pillow_filters_give_the_pictures_of_pillow(
    name: str, pillow_filter: type[ImageFilter.BuiltinFilter]
) -> None:
    pixels = np.random.default_rng(4).integers(0, 256, (60, 47), dtype=np.uint8)
    pixels[:30] //= 4  # some of it dark enough not to be clipped
    kernel = load_kernel(name)
    rim = kernel.shape[0] // 2
    reference = np.asarray(Image.fromarray(pixels).filter(pillow_filter()))[rim:-rim, rim:-rim]
    exact = signal.correlate2d(pixels.astype(float), kernel.weights, "valid") + kernel.bias
    ours = np.clip(np.floor(exact + 0.5), 0, 255)
    # A result halfway between two levels falls to either side by the rounding of Pillow's 32 bits.
    decided = np.abs(exact - np.floor(exact) - 0.5) > 1e-4
    assert len(np.unique(reference)) > 20
    assert decided.mean() > 0.4
    np.testing.assert_array_equal(ours[decided], reference[decided])
    np.testing.assert_allclose(ours, reference, atol=1)


@pytest.mark.parametrize(
    "spec",
    [
        "box:2049",
        "box:1x4194305",
        "identity:99999x99999",
        "gaussian:400",
        "gaussian:1e300",
        "gaussian:sigma=1,size=3000",
        "unsharp:1e9",
        "log:1e9",
        "log:1,4194304",
        "ricker:1e9",
        "dog:1,1e9",
        "dog:1e308",
        "gabor:1e9",
        "gabor:1e308",
        "gabor:gamma=0.01,sigma=99",
        "motion:1e9,45",
        "disk:1e9",
        "disk:1e308",
        "ring:1e308",
    ],
)
def test_sizes_beyond_the_limit_are_refused_before_any_memory_is_taken(spec: str) -> None:
    with pytest.raises(KernelError, match=f"^kernel {spec.partition(':')[0]}: .*4,?194,?304"):
        load_kernel(spec)


def test_the_largest_kernel_is_made() -> None:
    assert weights("box:2048").size == 4_194_304
