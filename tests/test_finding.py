"""Searches: scores against plain loops, hits, scales, turns, and how many false ones to expect."""

import itertools

import numpy as np
import pytest

from conv_cli import find_pattern, score_map
from conv_cli.errors import ImageError, PatternError
from conv_cli.finding.find import search
from conv_cli.finding.pattern import pattern_weights, planes_of, prepared
from conv_cli.finding.scales import resized, turned, variants
from conv_cli.finding.sums import box_sums
from conv_cli.finding.tail import fitted_tail
from conv_cli.parallel.scratch import Scratch
from conv_cli.parallel.threads import limited_threads

DTYPES = [
    "bool",
    "uint8",
    "int8",
    "uint16",
    "int16",
    "int32",
    "uint32",
    "int64",
    "float16",
    "float32",
    "float64",
]


def oracle(image, pattern, mask=None):
    """Score every window by itself, in float64, less its first pixel so that no offset costs digits."""
    image, pattern = (planes_of(x).astype(np.float64) for x in (image, pattern))
    weights = np.ones(pattern.shape[1:]) if mask is None else np.asarray(mask, np.float64)
    template = centred(pattern, weights)
    rows, columns = pattern.shape[1:]
    result = np.zeros((image.shape[1] - rows + 1, image.shape[2] - columns + 1))
    for row in range(result.shape[0]):
        for column in range(result.shape[1]):
            window = image[:, row : row + rows, column : column + columns]
            if not np.isfinite(window[:, weights > 0]).all():
                result[row, column] = np.nan
            elif np.ptp(window[:, weights > 0], axis=1).any():
                window = centred(window, weights)
                energy = (weights * template**2).sum() * (weights * window**2).sum()
                result[row, column] = (weights * template * window).sum() / np.sqrt(energy)
    return result


def centred(window, weights):
    seen = weights > 0
    first = window[:, seen][:, :1, None]
    shifted = np.where(seen, window - first, 0)
    return np.where(
        seen, shifted - (weights * shifted).sum((1, 2), keepdims=True) / weights.sum(), 0
    )


def picture(seed, shape, dtype="uint8", low=0, high=256):
    """Noise with an even part, which some windows lie in whole."""
    values = np.random.default_rng(seed).integers(low, high, shape)
    values[8:30, 5:35] = values[0, 0]
    return (values / 255).astype(dtype) if np.dtype(dtype).kind == "f" else values.astype(dtype)


def bumps(seed, shape):
    """A smooth picture of 0..255."""
    from scipy import ndimage

    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2.5)
    return np.rint(255 * (noise - noise.min()) / np.ptp(noise)).astype(np.uint8)


def masks(shape):
    rng = np.random.default_rng(3)
    return {
        "none": None,
        "binary": (rng.random(shape) > 0.4).astype(float),
        "levels": rng.integers(0, 256, shape) / 255,
        "floats": rng.random(shape),
    }


@pytest.mark.parametrize("mask", ["none", "binary", "levels", "floats"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", DTYPES)
def test_scores_are_those_of_plain_loops(dtype, channels, mask):
    low, high = (
        (0, 2) if dtype == "bool" else (-128, 128) if np.dtype(dtype).kind == "i" else (0, 256)
    )
    shape = (34, 42) if channels == 1 else (34, 42, channels)
    image = picture(1, shape, dtype, low, high)
    pattern = image[22:31, 29:41]
    weights = masks(pattern.shape[:2])[mask]
    scores = score_map(image, pattern, weights)
    assert scores.dtype == np.float32
    assert np.abs(scores - oracle(image, pattern, weights)).max() < 1e-5
    assert scores[22, 29] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("rows", "columns"), [(1, 2), (2, 1), (1, 17), (31, 2), (40, 44)])
def test_patterns_of_every_shape(rows, columns):
    image = picture(2, (40, 44))
    pattern = picture(5, (40, 44))[:rows, 44 - columns :]
    assert np.abs(score_map(image, pattern) - oracle(image, pattern)).max() < 1e-5


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32", "float64"])
@pytest.mark.parametrize("mask", ["none", "binary", "floats"])
def test_an_offset_costs_no_digits(dtype, mask):
    image = picture(4, (60, 64), low=60_000, high=60_100, dtype="int64")
    image[:4] = 0  # in one tile with what spans all values
    image[:2, ::3] = 65_535
    pattern = image[33:44, 40:53]
    weights = masks(pattern.shape)[mask]
    scores = score_map(image.astype(dtype), pattern.astype(dtype), weights)
    assert np.abs(scores - oracle(image, pattern, weights)).max() < 1e-4
    assert np.unravel_index(scores.argmax(), scores.shape) == (33, 40)


@pytest.mark.parametrize("mask", ["none", "binary", "levels", "floats"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
def test_even_windows_score_exactly_0(dtype, mask):
    image = np.full((60, 60), 0.1 if dtype.startswith("f") else 201).astype(dtype)
    image[:20] = picture(1, (20, 60), dtype)
    pattern = image[2:11, 3:16]
    scores = score_map(image, pattern, masks(pattern.shape)[mask])
    assert (scores[20:] == 0).all()
    assert scores[2, 3] == pytest.approx(1, abs=1e-6)


def test_a_faint_window_beside_a_glaring_one_is_scored():
    rng = np.random.default_rng(8)
    image = rng.normal(size=(60, 60)) * 1e-7
    image[:20] += rng.normal(size=(20, 60)) * 1e7
    pattern = image[40:49, 30:41]
    assert np.abs(score_map(image, pattern) - oracle(image, pattern)).max() < 1e-4


@pytest.mark.parametrize("size", [1e-300, 1e200])
def test_the_size_of_floats_does_not_matter(size):
    image = picture(9, (40, 40), "float64")
    pattern = image[20:27, 30:39]
    scores = score_map(image * size, pattern * size)
    assert np.abs(scores - oracle(image, pattern)).max() < 1e-5


def test_gain_and_offset_do_not_matter():
    image = picture(10, (40, 40), "float64")
    pattern = image[20:27, 30:39]
    scores = score_map(image, pattern)
    assert np.abs(score_map(image, 40 - pattern / 7) + scores).max() < 1e-5


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_windows_that_hold_nan_have_no_score_and_the_others_are_right(bad):
    image = picture(11, (50, 50, 3), "float32")
    image[40, 41, 1] = bad
    pattern = picture(12, (50, 50, 3), "float32")[31:38, 36:45]
    scores = score_map(image, pattern)
    np.testing.assert_allclose(scores, oracle(image, pattern), atol=1e-5)
    assert np.isnan(scores).sum() == 7 * 9


def test_nan_under_the_zeros_of_a_mask_does_not_matter():
    image = picture(13, (40, 40), "float64")
    image[35, 20] = np.nan
    pattern, mask = image[31:40, 15:26], np.ones((9, 11))
    mask[4, 5] = 0
    scores = score_map(image, pattern, mask)
    assert scores[31, 15] == pytest.approx(1, abs=1e-6)
    assert np.isnan(scores[30, 15])


def test_large_windows_of_deep_pixels_are_exact():
    rng = np.random.default_rng(14)
    image = rng.integers(0, 65_536, (330, 340)).astype(np.uint16)
    pattern = image[5:325, 7:330]
    assert np.abs(score_map(image, pattern) - oracle(image, pattern)).max() < 1e-5


def test_scores_across_tiles_are_those_of_plain_loops():
    image = bumps(15, (700, 900))
    pattern = image[300:309, 600:612]
    scores = score_map(image, pattern)
    for row, column in ((0, 0), (380, 380), (691, 888), (371, 372), (300, 600)):
        part = image[row : row + 9, column : column + 12]
        assert scores[row, column] == pytest.approx(oracle(part, pattern)[0, 0], abs=1e-5)
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("rows", [1, 3, 8, 21, 64])
@pytest.mark.parametrize("columns", [1, 2, 6, 16, 27])
def test_box_sums(rows, columns):
    values = np.random.default_rng(16).integers(0, 2**32, (70, 800)).astype(np.uint32)
    sums = box_sums(values, (rows, columns), 70 - rows + 1, Scratch(), "sums")
    windows = np.lib.stride_tricks.sliding_window_view(values, (rows, columns))
    expected = windows.sum((2, 3), dtype=np.uint32)
    np.testing.assert_array_equal(sums[:, : 800 - columns + 1], expected)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_patterns_searched_for_together_score_as_each_alone(dtype):
    image = np.random.default_rng(17).integers(0, np.iinfo(dtype).max, (450, 500, 2)).astype(dtype)
    image[100:160, 100:170] = 7
    sizes = [(9, 12), (10, 11), (12, 9), (13, 14), (30, 31)]
    patterns = [prepared(planes_of(image[200 : 200 + h, 300 : 300 + w]), None) for h, w in sizes]
    together = search(planes_of(image), patterns, threshold=2, heat=True).heat
    alone = np.full(together.shape, np.nan, np.float32)
    for (rows, columns), pattern in zip(sizes, patterns, strict=True):
        scores = search(planes_of(image), [pattern], threshold=2, heat=True).heat
        part = alone[: 450 - rows + 1, : 500 - columns + 1]
        np.fmax(part, scores, out=part)
    np.testing.assert_allclose(together, alone, atol=2e-6)
    assert (together[100:130, 100:139] == 0).all()


def scene(copies, seed=20):
    """Noise with copies of a figure: row, column and contrast of each."""
    rng = np.random.default_rng(seed)
    figure = rng.normal(0, 40, (18, 22))
    image = rng.normal(128, 6, (160, 200))
    for row, column, contrast in copies:
        image[row : row + 18, column : column + 22] += contrast * figure
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), 128 + figure


def test_copies_of_falling_contrast_are_found_once_each_best_first():
    copies = [(10, 20, 1), (60, 100, 0.8), (120, 30, 0.6), (20, 150, 0.4), (130, 160, 0.3)]
    image, figure = scene(copies)
    hits = find_pattern(image, figure, threshold=0.7)
    assert [(hit.row, hit.col) for hit in hits] == [(row, col) for row, col, _ in copies]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert {(hit.height, hit.width, hit.scale, hit.angle) for hit in hits} == {(18, 22, 1.0, 0.0)}


def test_limit_takes_the_best():
    image, figure = scene([(10, 20, 0.4), (60, 100, 1)])
    assert [(hit.row, hit.col) for hit in find_pattern(image, figure, limit=1)] == [(60, 100)]


def test_overlap_says_how_much_two_hits_may_share():
    stripes = np.tile([0, 0, 255, 255], (12, 25)).astype(np.uint8)  # the same again every 4 columns
    pattern = stripes[:, :16]
    starts = {
        overlap: [
            hit.col for hit in find_pattern(stripes, pattern, threshold=0.99, overlap=overlap)
        ]
        for overlap in (0, 0.3, 0.6, 1)
    }
    assert starts[0] == [0, 16, 32, 48, 64, 80]
    assert starts[0.3] == [0, 12, 24, 36, 48, 60, 72, 84]  # a quarter each: 4 of 28 columns
    assert starts[0.6] == list(range(0, 85, 4))  # 12 of 20
    assert starts[1] == list(range(0, 85, 4))


def test_ties_go_by_row_and_then_column():
    image = np.zeros((60, 60), np.uint8)
    figure = np.arange(36).reshape(6, 6).astype(np.uint8)
    places = [(40, 3), (5, 30), (5, 10), (20, 50)]
    for row, column in places:
        image[row : row + 6, column : column + 6] = figure
    hits = find_pattern(image, figure, threshold=0.999)
    assert [(hit.row, hit.col) for hit in hits] == sorted(places)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.3, -0.4), (-0.25, 0.15), (0.45, 0.45)])
def test_a_shift_by_a_fraction_is_found_to_a_tenth_of_a_pixel(shift):
    from scipy import ndimage

    image = bumps(21, (120, 140)).astype(np.float64)
    pattern = image[50:80, 60:96]
    moved = ndimage.shift(image, shift, order=5, mode="nearest")
    (hit, *_) = find_pattern(moved, pattern)
    assert hit.center == pytest.approx((64.5 + shift[0], 77.5 + shift[1]), abs=0.1)


def test_hits_at_the_rim_are_found():
    image = bumps(22, (80, 90))
    for row, column in ((0, 0), (0, 70), (64, 0), (64, 70)):
        (hit, *_) = find_pattern(image, image[row : row + 16, column : column + 20])
        assert (hit.row, hit.col) == (row, column)


def test_the_number_of_threads_changes_nothing():
    image = bumps(23, (700, 800))
    pattern = image[300:330, 400:430]
    found = []
    for threads in (1, 2, 3):
        with limited_threads(threads):
            found.append(find_pattern(image, pattern, threshold=0.3, scale=(0.8, 1.3)))
    assert len(found[0]) > 5
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("factor", [0.55, 0.7, 0.9, 1.25, 1.8])
def test_a_copy_in_another_size_is_found(factor):
    image = bumps(24, (200, 240)).astype(np.float64)
    pattern = image[80:128, 90:150]
    size = round(200 * factor), round(240 * factor)
    other, _ = resized(image[None], None, size)
    (hit, *_) = find_pattern(other[0], pattern, scale=(0.5, 2))
    assert hit.center == pytest.approx(((80 + 24) * factor, (90 + 30) * factor), abs=1.5)
    assert hit.scale == pytest.approx(factor, rel=0.05)
    assert (hit.height, hit.width) == (round(48 * hit.scale), round(60 * hit.scale))


@pytest.mark.parametrize("angle", [-23, 7.5, 90, 130, 180])
def test_a_turned_copy_is_found_counter_clockwise(angle):
    from scipy import ndimage

    image = bumps(25, (201, 201)).astype(np.float64)
    pattern = image[90:121, 80:125]
    other = ndimage.rotate(image, angle, reshape=False, order=3, mode="nearest")
    (hit, *_) = find_pattern(other, pattern, rotate=(-30, 200))
    assert hit.angle == pytest.approx(angle, abs=3.2)
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    off = np.array([105 - 100, 102 - 100])  # of the pattern's middle from the picture's
    expected = 100 + off[0] * cos - off[1] * sin, 100 + off[1] * cos + off[0] * sin
    assert hit.center == pytest.approx(expected, abs=1)


def test_a_quarter_turn_is_exact():
    values = np.arange(6.0).reshape(1, 2, 3)
    quarter, mask = turned(values, None, 90)
    np.testing.assert_array_equal(quarter[0], [[2, 5], [1, 4], [0, 3]])
    assert mask is None


def test_a_turned_pattern_counts_what_it_covers():
    _, mask = turned(np.ones((1, 21, 21)), None, 45)
    assert mask.shape == (30, 30)
    assert mask[0, 0] == mask[-1, 0] == 0
    assert mask[15, 15] == 1
    assert mask.sum() == pytest.approx(400, abs=25)


def test_scales_and_angles_hold_both_ends_and_the_pattern_as_it_is():
    values = planes_of(bumps(26, (40, 40))).astype(float)
    scales = [p.scale for p in variants(values, None, (0.5, 2), (0, 0), (400, 400))]
    assert scales[0] == 0.5
    assert scales[-1] == 2
    assert 1.0 in scales
    assert max(b / a for a, b in itertools.pairwise(scales)) <= 1.0601
    angles = [p.angle for p in variants(values, None, (1, 1), (-10, 20), (400, 400))]
    assert (angles[0], angles[-1]) == (-10, 20)
    assert 0.0 in angles
    full = [p.angle for p in variants(values, None, (1, 1), (0, 360), (400, 400))]
    assert full[0] == 0
    assert max(full) < 360


def test_finer_detail_is_searched_for_in_finer_steps():
    fine = planes_of(np.random.default_rng(27).integers(0, 256, (60, 60))).astype(float)
    coarse = planes_of(bumps(27, (60, 60))).astype(float)
    counts = [len(variants(v, None, (1, 2), (0, 0), (999, 999))) for v in (fine, coarse)]
    assert counts[0] > counts[1]


def test_sizes_that_an_image_has_no_room_for_are_left_out():
    image = bumps(28, (60, 60))
    (hit, *_) = find_pattern(image, image[10:40, 10:40], scale=(0.5, 4))
    assert (hit.row, hit.col, hit.scale) == (10, 10, 1.0)


def test_a_mask_leaves_out_what_differs():
    image = bumps(29, (90, 90))
    pattern, mask = image[30:60, 40:70].copy(), np.ones((30, 30))
    mask[:15, :15] = 0
    pattern[:15, :15] = 255 - pattern[:15, :15]
    assert find_pattern(image, pattern) == []
    (hit,) = find_pattern(image, pattern, mask=mask, threshold=0.99)
    assert (hit.row, hit.col) == (30, 40)


def test_false_alarms_are_as_many_as_are_expected():
    counts = {1: [], 4: []}
    for seed in range(12):
        image, other = bumps(100 + seed, (300, 300)), bumps(200 + seed, (60, 60))
        only = [prepared(planes_of(other[:20, :20]), None)]
        for expected, found in counts.items():
            hits = search(planes_of(image), only, false_alarms=expected).hits
            assert all(hit.expected_false <= expected * 1.001 for hit in hits)
            found.append(len(hits))
    assert 0.4 < np.mean(counts[1]) < 2.5
    assert 1.6 < np.mean(counts[4]) < 10


def test_copies_do_not_spoil_the_threshold_of_false_alarms():
    image = bumps(31, (400, 400))
    pattern = bumps(32, (60, 60))[:20, :20]
    for row, column in ((50, 50), (100, 300), (300, 120), (350, 350)):
        image[row : row + 20, column : column + 20] = pattern
    hits = search(planes_of(image), [prepared(planes_of(pattern), None)], false_alarms=0.5).hits
    assert {(hit.row, hit.col) for hit in hits[:4]} == {
        (50, 50),
        (100, 300),
        (300, 120),
        (350, 350),
    }
    assert len(hits) < 8
    assert hits[0].expected_false < 0.02


def test_the_tail_of_few_or_equal_scores_is_defined():
    for scores in ([], [0.5], [0.4] * 50, [0.9, 0.2]):
        tail = fitted_tail(np.array(scores))
        assert 0 <= tail.threshold(1) <= 1
        assert tail.expected(0.9) >= 0


@pytest.mark.parametrize(
    ("pattern", "mask", "words"),
    [
        (np.full((5, 5), 7), None, "no detail"),
        (np.eye(30), None, "larger than the image of 20x20"),
        (np.zeros((5, 5, 3)) + np.arange(5)[:, None, None], None, "3 channels"),
        (np.eye(5), np.ones((4, 5)), "is 5x4, and the pattern 5x5"),
        (np.eye(5), np.zeros((5, 5)), "no pixel of the pattern counts"),
        (np.eye(5), -np.eye(5), "negative"),
    ],
)
def test_patterns_that_cannot_be_searched_for(pattern, mask, words):
    with pytest.raises(PatternError, match=words):
        score_map(np.random.default_rng(0).random((20, 20)), pattern, mask)


@pytest.mark.parametrize("image", [np.zeros(4), np.zeros((0, 4)), np.zeros((4, 4), complex)])
def test_what_is_no_image(image):
    with pytest.raises(ImageError):
        score_map(image, np.eye(2))


def test_pixels_of_a_pattern_that_are_nan_do_not_count():
    values = np.arange(9.0).reshape(1, 3, 3)
    values[0, 1, 1] = np.nan
    weights = pattern_weights(values, None)
    np.testing.assert_array_equal(weights, [[1, 1, 1], [1, 0, 1], [1, 1, 1]])
