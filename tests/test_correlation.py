"""Every engine against four plain loops."""

import itertools

import numpy as np
import pytest

import oracle
from conv_cli.borders import NAMES, Border, pad
from conv_cli.correlation import columns
from conv_cli.correlation.correlate import ENGINES, correlate, plans, prepare
from conv_cli.correlation.factors import factors
from conv_cli.correlation.params import ConvParams
from conv_cli.correlation.problem import Source, state_problem
from conv_cli.errors import ConvError

GENERAL = ["direct", "gemm"]
"""Engines for every kernel; those for fractions alone have tests of their own at the end."""
KERNELS = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 3), (2, 5), (4, 3)]
PADDINGS = [((0, 0), (0, 0)), ((1, 1), (1, 1)), ((0, 3), (2, 1))]
STEPS = [(1, 1), (2, 1), (1, 3)]
DTYPES = ["uint8", "int8", "uint16", "int32", "int64", "bool", "float32", "float64"]


def image_of(dtype, shape, seed=0):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return (rng.standard_normal(shape) * 100).astype(dtype)
    return rng.integers(0, 2 if dtype == "bool" else 120, shape).astype(dtype)


def weights_of(shape, whole=True, seed=1):
    rng = np.random.default_rng(seed)
    return rng.integers(-9, 10, shape) if whole else rng.standard_normal(shape)


def params_of(border="zero", **options):
    return ConvParams(border=Border.named(border), **options)


def run(x, weights, strategy=None, tile=None, threads=1, **options):
    """Correlate (C, H, W) through the door, with an engine and a tile size of the test's choice."""
    source = Source.of(x[None], samples=options.pop("samples", 1))
    params = params_of(**options)
    problem, plan = prepare(source, weights, params)
    if strategy:
        plan = next(plan for plan in plans(problem) if plan.strategy == strategy)
    if tile:
        plan = plan._replace(tile=tile)
    out = np.full((problem.outputs, *problem.output), np.nan)
    out = out.astype(object) if problem.whole else out

    def store(values, tile):
        rows, columns = tile.output
        out[:, slice(*rows), slice(*columns)] = values[0]

    correlate(source, weights, params, store, plan=plan, threads=threads)
    return out


def assert_equal(actual, expected):
    if expected.dtype == object:
        assert (actual == expected).all()
    else:
        largest = np.abs(expected).max()
        assert np.abs(actual - expected).max() <= 1e-5 * largest


@pytest.mark.parametrize("strategy", GENERAL)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.one_in(5)
def test_engine_equals_the_loops_for_every_padding_border_stride_and_dilation(
    dtype, kernel, strategy
):
    x = image_of(dtype, (1, 10, 14))
    for padding, stride, dilation, whole in itertools.product(
        PADDINGS, STEPS, STEPS, (True, False)
    ):
        weights = weights_of((1, 1, *kernel), whole)
        for border in (*NAMES, 3) if padding != PADDINGS[0] else ("zero",):
            options = {
                "padding": padding, "border": border, "stride": stride, "dilation": dilation
            }  # fmt: skip
            expected = oracle.correlate(x, weights, **options)
            assert_equal(run(x, weights, strategy, **options), expected)


@pytest.mark.parametrize("strategy", GENERAL)
@pytest.mark.parametrize(("groups", "channels", "outputs"), [(1, 3, 4), (2, 2, 3), (3, 1, 1)])
def test_engine_equals_the_loops_for_channels_outputs_and_groups(
    groups, channels, outputs, strategy
):
    x = image_of("uint8", (groups * channels, 12, 9))
    weights = weights_of((groups * outputs, channels, 3, 2))
    options = {"padding": ((1, 0), (2, 1)), "stride": (2, 1), "groups": groups}
    expected = oracle.correlate(x, weights, **options)
    assert_equal(run(x, weights, strategy, **options), expected)


@pytest.mark.parametrize("strategy", GENERAL)
@pytest.mark.parametrize("tile", [(1, 1), (3, 4), (8, 5), (100, 100)])
def test_tiles_of_any_size_join_without_a_seam(tile, strategy):
    x = image_of("uint8", (2, 21, 17))
    weights = weights_of((2, 2, 4, 3))
    options = {"padding": ((2, 1), (1, 1)), "border": "reflect", "dilation": (1, 2)}
    expected = oracle.correlate(x, weights, **options)
    assert_equal(run(x, weights, strategy, tile, **options), expected)


@pytest.mark.parametrize("strategy", GENERAL)
def test_every_number_of_threads_gives_the_same_bits(strategy):
    x = image_of("float32", (1, 150, 700))
    weights = weights_of((3, 1, 5, 5), whole=False)
    once = run(x, weights, strategy, (16, 100), threads=1)
    for threads in (2, 5):
        assert (run(x, weights, strategy, (16, 100), threads=threads) == once).all()


@pytest.mark.parametrize("strategy", GENERAL)
def test_bank_gives_what_its_kernels_give_alone(strategy):
    x = image_of("uint8", (1, 10, 10))
    bank = weights_of((4, 1, 3, 3))
    together = run(x, bank, strategy)
    for o in range(4):
        assert (together[o] == run(x, bank[o : o + 1], strategy)[0]).all()


@pytest.mark.parametrize("strategy", GENERAL)
def test_extremes_of_16_bits_never_wrap(strategy):
    x = np.full((1, 6, 6), 65535, np.uint16)
    weights = np.full((1, 1, 5, 5), 400)
    weights[0, 0, 0, 0] = -1
    assert (run(x, weights, strategy) == oracle.correlate(x, weights)).all()


def test_64_bits_are_exact_to_the_last_one():
    x = np.array([[[2**61 - 1, 3], [-(2**60), 1]]], np.int64)
    weights = np.array([[[[3, -1]]]])
    assert (run(x, weights) == oracle.correlate(x, weights)).all()


def test_fft_is_not_offered_where_rounding_might_not_find_the_whole_number():
    weights = np.full((1, 1, 64, 64), 2**20)
    weights[0, 0, 5, 7] = 1
    source = Source.of(np.zeros((1, 1, 600, 600), np.uint16))
    problem = state_problem(source, weights, params_of("edge"))
    assert "fft" not in {plan.strategy for plan in plans(problem)}


@pytest.mark.parametrize("shape", [(1, 1_000_003), (1_000_003, 1), (1001, 1001)])
@pytest.mark.parametrize("whole", [True, False])
def test_scratch_stays_bounded_for_kernels_of_a_million_weights(shape, whole):
    weights = np.full((1, 1, *shape), 1 if whole else 0.5)
    weights[0, 0, 0, 0] = 3
    source = Source.of(np.zeros((1, 1, 50, 40), np.uint8))
    padding = tuple((n - 1, 0) for n in shape)
    plan = prepare(source, weights, params_of("edge", padding=padding)).plan
    assert plan.scratch <= 256 * 2**20


def test_more_than_64_bits_is_refused():
    x = np.full((1, 2, 2), 2**62, np.int64)
    with pytest.raises(ConvError, match="64-bit"):
        run(x, np.array([[[[1, 1]]]]))


@pytest.mark.parametrize("strategy", GENERAL)
@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
def test_pixel_that_is_not_finite_stays_within_the_windows_that_hold_it(hole, strategy):
    x = image_of("float32", (1, 40, 40))
    x[0, 17, 21] = hole
    weights = np.abs(weights_of((1, 1, 3, 3), whole=False))
    result = run(x, weights, strategy)[0]
    reached = np.zeros((38, 38), bool)
    reached[15:18, 19:22] = True
    assert (np.isfinite(result) == ~reached).all()


@pytest.mark.parametrize("strategy", GENERAL)
def test_weight_of_zero_reads_nothing(strategy):
    x = image_of("float32", (1, 5, 5))
    x[0, 2, 2] = np.nan
    result = run(x, np.array([[[[1.0, 0.0, -1.0]]]]), strategy)[0]
    assert np.isfinite(result[2, 1])


@pytest.mark.parametrize("strategy", GENERAL)
def test_kernel_of_zeros_gives_zeros(strategy):
    assert (run(image_of("uint8", (1, 5, 6)), np.zeros((1, 1, 3, 3)), strategy) == 0).all()


def test_window_larger_than_the_image_is_refused_with_both_sizes():
    with pytest.raises(ConvError, match=r"9x3 .* image of 5x6"):
        run(image_of("uint8", (1, 5, 6)), weights_of((1, 1, 5, 3)), dilation=(2, 1))


@pytest.mark.parametrize("border", ["edge", "reflect", "symmetric", "wrap"])
def test_fractions_that_sum_to_zero_find_nothing_in_a_constant_image(border):
    weights = weights_of((1, 1, 7, 5), whole=False)
    weights -= weights.mean()
    for strategy in GENERAL:
        flat = np.full((1, 30, 30), 60000, np.uint16)
        result = run(flat, weights, strategy, padding=((3, 3), (2, 2)), border=border)
        assert np.abs(result).max() < 1e-7


def test_float32_keeps_its_error_bound_for_a_kernel_of_a_thousand_weights():
    x = image_of("uint8", (1, 64, 64))
    weights = weights_of((1, 1, 33, 33), whole=False)
    for strategy in GENERAL:
        assert_equal(run(x, weights, strategy), oracle.correlate(x, weights))


def separable_weights(outputs, rows, columns, seed=2):
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((outputs, rows, 1)), rng.standard_normal((outputs, 1, columns))
    return (factors[0] * factors[1])[:, None]


def dense_weights(outputs, rows, columns, seed=2):
    return np.random.default_rng(seed).standard_normal((outputs, 1, rows, columns))


def low_rank_weights(outputs, rows, columns, seed=2):
    """Two terms where two 1-D passes each can pay, else one."""
    terms = 2 if rows * columns >= 2 * (rows + columns) else 1
    return sum(separable_weights(outputs, rows, columns, seed + term) for term in range(terms))


FRACTIONS = [
    pytest.param("separable", separable_weights, id="separable"),
    pytest.param("separable", low_rank_weights, id="low rank"),
    pytest.param("columns", dense_weights, id="columns"),
    pytest.param("fft", dense_weights, id="fft"),
]


def test_every_engine_is_tested():
    assert {*GENERAL, *(case.values[0] for case in FRACTIONS)} == set(ENGINES)


@pytest.mark.parametrize(("strategy", "weights_like"), FRACTIONS)
class TestFractions:
    @pytest.mark.parametrize("kernel", [*KERNELS, (1, 9), (17, 4)])
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.one_in(7)
    def test_equals_the_loops_for_every_padding_border_stride_and_dilation(
        self, dtype, kernel, strategy, weights_like
    ):
        x = image_of(dtype, (1, 51, 28))
        weights = weights_like(1, *kernel)
        for padding, stride, dilation in itertools.product(PADDINGS[::2], STEPS, STEPS):
            for border in ("reflect", 3) if padding != PADDINGS[0] else ("zero",):
                options = {
                    "padding": padding, "border": border, "stride": stride, "dilation": dilation
                }  # fmt: skip
                expected = oracle.correlate(x, weights, **options)
                assert_equal(run(x, weights, strategy, **options), expected)

    def test_groups_of_one_channel_keep_their_kernels_apart(self, strategy, weights_like):
        x, weights = image_of("uint8", (3, 20, 22)), weights_like(6, 4, 5)
        expected = oracle.correlate(x, weights, groups=3)
        assert_equal(run(x, weights, strategy, groups=3), expected)

    @pytest.mark.parametrize("tile", [(1, 1), (3, 4), (17, 33), (100, 100)])
    def test_tiles_of_any_size_join_without_a_seam(self, tile, strategy, weights_like):
        x, weights = image_of("uint8", (1, 60, 70)), weights_like(2, 6, 3)
        options = {"padding": ((2, 1), (1, 1)), "border": "reflect", "stride": (2, 1)}
        expected = oracle.correlate(x, weights, **options)
        assert_equal(run(x, weights, strategy, tile, **options), expected)

    @pytest.mark.parametrize("hole", [np.nan, np.inf])
    def test_pixel_that_is_not_finite_stays_within_its_windows(self, hole, strategy, weights_like):
        x = image_of("float32", (1, 40, 40))
        x[0, 17, 21] = hole
        result = run(x, np.abs(weights_like(1, 3, 3)), strategy)[0]
        reached = np.zeros((38, 38), bool)
        reached[15:18, 19:22] = True
        assert (np.isfinite(result) == ~reached).all()

    def test_every_number_of_threads_gives_the_same_bits(self, strategy, weights_like):
        x, weights = image_of("float32", (1, 150, 300)), weights_like(2, 9, 7)
        once = run(x, weights, strategy, (48, 100), threads=1)
        for threads in (2, 5):
            assert (run(x, weights, strategy, (48, 100), threads=threads) == once).all()


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(
    "options", [{}, {"padding": ((1, 0), (0, 2))}, {"stride": (2, 2)}], ids=str
)
@pytest.mark.parametrize("tile", [None, (5, 100), (4, 6)])
def test_kernels_of_one_pixel_equal_the_loops(dtype, groups, options, tile):
    x = image_of(dtype, (groups * 4, 17, 12))
    weights = weights_of((groups * 40, 4, 1, 1), whole=False)
    for image in (x, x[:, :, ::-1], x[:, ::2], x.transpose(0, 2, 1)):
        expected = oracle.correlate(image, weights, groups=groups, **options)
        assert_equal(run(image, weights, "gemm", tile, groups=groups, **options), expected)


@pytest.mark.parametrize("strategy", ["gemm", "columns"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_result_goes_to_any_place(strategy, dtype):
    x, weights = image_of(dtype, (3, 20, 14)), weights_of((3, 1, 1, 1), whole=False)
    source, params = Source.of(x[None]), params_of(groups=3)
    plan = next(p for p in plans(state_problem(source, weights, params)) if p.strategy == strategy)
    out = np.zeros((1, 3, 14, 20), dtype).swapaxes(2, 3)
    correlate(source, weights, params, out=out, plan=plan)
    assert_equal(out[0], oracle.correlate(x, weights, groups=3))


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("rows", [20, 21])
@pytest.mark.parametrize("most", [1, 3000, 9000, 40_000])
def test_columns_join_products_of_any_size(monkeypatch, most, rows, groups):
    monkeypatch.setattr(columns, "_PRODUCT_BYTES", most)
    x, weights = image_of("uint8", (groups, rows * 2 + 3, 40)), dense_weights(groups * 2, 5, 4)
    options = {"padding": ((1, 1), (2, 1)), "stride": (2, 1), "groups": groups}
    expected = oracle.correlate(x, weights, **options)
    assert_equal(run(x, weights, "columns", **options), expected)


@pytest.mark.parametrize("turned", [lambda x: x[:, :, ::-1], lambda x: x[:, ::-1, ::2]])
@pytest.mark.parametrize("border", NAMES)
def test_columns_read_pixels_however_they_lie(turned, border):
    x, weights = turned(image_of("float32", (3, 40, 60))), dense_weights(6, 3, 5)
    options = {"padding": ((1, 1), (2, 2)), "border": border, "groups": 3}
    expected = oracle.correlate(x, weights, **options)
    for tile in (None, (7, 11)):
        assert_equal(run(x, weights, "columns", tile, **options), expected)


@pytest.mark.parametrize(("groups", "channels", "outputs"), [(1, 3, 4), (2, 2, 3)])
def test_fft_of_whole_numbers_is_exact(groups, channels, outputs):
    x = image_of("uint16", (groups * channels, 30, 41))
    weights = weights_of((groups * outputs, channels, 9, 12))
    expected = oracle.correlate(x, weights, groups=groups)
    assert_equal(run(x, weights, "fft", groups=groups), expected)


@pytest.mark.parametrize(("groups", "channels", "outputs"), [(1, 3, 4), (2, 2, 3)])
def test_fft_sums_over_the_channels_of_a_group(groups, channels, outputs):
    x = image_of("uint8", (groups * channels, 22, 19))
    weights = weights_of((groups * outputs, channels, 5, 4), whole=False)
    options = {"padding": ((1, 0), (2, 1)), "stride": (2, 1), "groups": groups}
    assert_equal(run(x, weights, "fft", **options), oracle.correlate(x, weights, **options))


@pytest.mark.parametrize(
    ("weights", "whole", "offered"),
    [
        (np.outer([1.5, 2, 1], [1, 0, -1]), False, True),
        (np.outer([4, 2, 6], [1, 0, -1]), True, True),
        (np.outer([1.5, 2, 1], [1, 0, -1]) + np.eye(3) * 1e-9, False, False),
        (np.eye(3) / 2, False, False),
        (np.eye(3), True, False),
        (np.diag([1.5, 2, 0, 0, 0]), False, True),
        (np.diag([1, 2, 0, 0, 0]), True, False),
        (np.zeros((3, 3)), True, False),
    ],
)
def test_separable_is_offered_for_kernels_of_low_rank(weights, whole, offered):
    source = Source.of(image_of("uint8", (1, 1, 9, 9)))
    problem = state_problem(source, weights[None, None], params_of("edge"))
    assert problem.whole == whole
    assert ("separable" in {plan.strategy for plan in plans(problem)}) == offered


@pytest.mark.parametrize(
    ("weights", "dtype"),
    [
        (np.outer([3, -2, 5], [7, 0, 1, -4]), "uint8"),
        (np.outer([-(10**4), 9], [10**4, 3, 1]), "uint16"),
    ],
)
def test_separable_whole_numbers_are_exact(weights, dtype):
    x = image_of(dtype, (1, 60, 70))
    expected = oracle.correlate(x, weights[None, None])
    assert (run(x, weights[None, None], "separable") == expected).all()


def gaussian(size, sigma):
    weights = np.exp(-(((np.arange(size) - size // 2) / sigma) ** 2) / 2)
    return np.outer(weights, weights) / weights.sum() ** 2


def gabor(size):
    y, x = np.mgrid[:size, :size] - size // 2
    return np.cos(0.9 * x + 0.5 * y) * np.exp(-(x**2 + y**2) / size)


def unsharp(size):
    weights = -gaussian(size, size / 6)
    weights[size // 2, size // 2] += 2
    return weights


OF_LOW_RANK = [
    pytest.param(lambda size: gaussian(size, size / 6), 1, id="Gaussian"),
    pytest.param(lambda size: gaussian(size, size / 6) - gaussian(size, size / 4), 2, id="DoG"),
    pytest.param(gabor, 2, id="Gabor"),
    pytest.param(unsharp, 2, id="unsharp"),
]


@pytest.mark.parametrize("size", [7, 15, 31])
@pytest.mark.parametrize(("kernel_of", "rank"), OF_LOW_RANK)
def test_kernel_rounded_to_float32_has_the_rank_that_was_meant(kernel_of, rank, size):
    weights = kernel_of(size).astype(np.float32)[None, None]
    x = image_of("float32", (1, 50, 60))
    problem = state_problem(Source.of(x[None]), weights, params_of())
    assert problem.rank == rank
    result, expected = run(x, weights, "separable"), oracle.correlate(x, weights)
    allowed = 3e-7 * np.abs(weights).sum() * np.abs(x).max()
    assert np.abs(result - expected).max() <= allowed


def test_pixels_of_float64_get_every_bit_of_a_kernel():
    weights = gaussian(9, 1.5).astype(np.float32)[None, None]
    problem = state_problem(Source.of(image_of("float64", (1, 1, 20, 20))), weights, params_of())
    assert problem.rank == 0


def test_kernel_typed_with_few_decimals_is_not_taken_for_another():
    weights = np.round(gaussian(9, 1.5), 5)[None, None]
    problem = state_problem(Source.of(image_of("uint8", (1, 1, 20, 20))), weights, params_of())
    assert problem.rank == 0


def test_terms_of_a_rounded_derivative_sum_to_what_it_sums_to():
    weights = (gaussian(15, 2) - gaussian(15, 3)).astype(np.float32)
    terms = factors(weights, 1e-7)
    assert len(terms) == 2
    total = sum(column.sum() * row.sum() for column, row in terms)
    assert abs(total - weights.sum(dtype=np.float64)) < 1e-15
    rest = weights - sum(np.outer(*term) for term in terms)
    assert np.abs(rest).sum() <= 1e-7 * np.abs(weights).sum()


@pytest.mark.parametrize("value", [300, -2.5, 0.1])
def test_border_of_a_value_that_pixels_cannot_hold_is_kept(value):
    x, weights = image_of("uint8", (1, 9, 12)), weights_of((1, 1, 3, 4), whole=False)
    options = {"padding": ((1, 1), (2, 1)), "border": value}
    expected = oracle.correlate(x.astype(np.float64), weights, **options)
    for strategy in ("direct", "gemm", "fft"):
        assert_equal(run(x, weights, strategy, **options), expected)


@pytest.mark.filterwarnings("ignore:invalid value")  # infinity less infinity, in the oracle
@pytest.mark.parametrize("hole", [np.nan, np.inf])
@pytest.mark.parametrize("border", NAMES)
def test_hole_stays_in_its_windows_where_many_outputs_see_few_pixels(border, hole):
    x = np.random.default_rng(0).standard_normal((1, 40, 30)).astype(np.float32)
    x[0, 1, 2] = hole
    weights = weights_of((40, 1, 3, 3), whole=False)
    options = {"padding": ((2, 2), (2, 2)), "border": border}
    expected = oracle.correlate(x, weights, **options)
    reached = ~np.isfinite(expected)
    for strategy in ("gemm", "fft"):
        result = run(x, weights, strategy, **options)
        assert (~np.isfinite(result) == reached).all()
        assert_equal(result[~reached], expected[~reached])


@pytest.mark.parametrize("samples", [2, 3])
@pytest.mark.parametrize("border", [*NAMES, 7])
@pytest.mark.parametrize("strategy", [*GENERAL, "separable", "fft"])
def test_interleaved_samples_give_what_their_planes_give(strategy, border, samples):
    x = image_of("uint8", (samples, 40, 33))
    weights = separable_weights(1, 4, 3)
    options = {"padding": ((3, 1), (2, 4)), "border": border, "dilation": (1, 2)}
    expected = run(x, weights.repeat(samples, axis=0), groups=samples, **options)
    interleaved = np.ascontiguousarray(x.transpose(1, 2, 0)).reshape(1, 40, -1)
    options |= {"padding": ((3, 1), (2 * samples, 4 * samples)), "dilation": (1, 2 * samples)}
    result = run(interleaved, weights, strategy, samples=samples, **options)[0]
    assert_equal(result.reshape(len(result), -1, samples).transpose(2, 0, 1), expected)


WHOLE = ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


def extremes(dtype, shape, seed):
    """An array of whole numbers, most of them the least or the greatest of their dtype."""
    rng = np.random.default_rng(seed)
    least, greatest = (0, 1) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    values = np.array([least, greatest, 0, 1], dtype)
    return rng.choice(values, shape, p=[0.5, 0.3, 0.1, 0.1])


@pytest.mark.parametrize("pixel", WHOLE)
@pytest.mark.parametrize("weight", WHOLE)
def test_extremes_of_every_dtype_are_exact_in_every_engine_or_refused(pixel, weight):
    for seed, kernel in enumerate([(1, 1), (1, 2), (1, 4), (2, 2), (3, 3), (3, 5)]):
        x, weights = extremes(pixel, (1, 7, 8), seed), extremes(weight, (1, 1, *kernel), seed + 50)
        options = {"padding": ((1, 0), (0, 2)), "border": (-7, "reflect")[seed % 2]}
        expected = oracle.correlate(x, weights, **options)
        problem = state_problem(Source.of(x[None]), weights, params_of(**options))
        if not -(2**63) <= problem.low <= problem.high < 2**63:
            with pytest.raises(ConvError, match="64-bit"):
                plans(problem)
            continue
        assert problem.low <= expected.min()
        assert expected.max() <= problem.high
        for plan in plans(problem):
            assert_equal(run(x, weights, plan.strategy, **options), expected)


@pytest.mark.parametrize(
    "kernel", [[1e20], [1e20, 1, 3], [-1e20, 1e20], [2.0**60, 2.0**60 + 256, 1]]
)
@pytest.mark.parametrize("pixel", ["uint8", "float32", "float64"])
def test_large_floats_are_weights_like_others(kernel, pixel):
    x, weights = image_of(pixel, (1, 1, 9)), np.array([[[kernel]]])
    expected = oracle.correlate(x, weights).astype(np.float64)
    problem = state_problem(Source.of(x[None]), weights, params_of())
    for plan in plans(problem):
        assert_equal(run(x, weights, plan.strategy).astype(np.float64), expected)


def bright_spots(x, rng):
    x[:, rng.integers(0, 120, 5), rng.integers(0, 130, 5)] *= 1e20 if x.dtype.kind == "f" else 60


SCENES = {
    "a fill value": lambda x, rng: np.put(x, [0, x.size // 2], 1e20),
    "the least float": lambda x, rng: x[:, :40].fill(np.finfo(x.dtype).min),
    "bright spots": bright_spots,
    "half in the dark": lambda x, rng: np.multiply(x[..., :60], 1e-9, out=x[..., :60]),
    "a star by a speck": lambda x, rng: (x.fill(0), np.put(x, [9000, 9010], [1e-3, 1e6])),
    "tiny": lambda x, rng: np.multiply(x, 1e-30, out=x),
    "every size": lambda x, rng: np.exp(rng.uniform(-60, 60, x.shape), out=x),
}


@pytest.fixture(params=[(15, 15), (21, 31), (1, 63)], ids=str)
def kernel(request):
    return np.random.default_rng(5).standard_normal((1, 1, *request.param))


def assert_right_for_its_window(x, weights, strategies=None, **options):
    """Hold engines to 10⁻⁴ of Σ|w| times the largest pixel under a weight of each window."""
    border, padding = options.get("border", "zero"), options.get("padding", ((0, 0), (0, 0)))
    stride, dilation = options.get("stride", (1, 1)), options.get("dilation", (1, 1))
    groups = options.get("groups", 1)
    padded = pad(x.astype(np.float64), padding, border)
    span = [(k - 1) * d + 1 for k, d in zip(weights.shape[2:], dilation, strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(padded, span, axis=(1, 2))
    windows = windows[:, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    windows = np.array(np.split(windows, groups)).repeat(len(weights) // groups, axis=0)
    held = np.where((weights != 0)[:, :, None, None], np.abs(windows), 0).max(axis=(1, 4, 5))
    # Shares of the largest, as sums of the greatest floats are none.
    scale = max(1.0, held.max() / 1e200)
    expected = np.einsum("ocijkl,ockl->oij", windows / scale, weights) * scale
    allowed = 1e-4 * np.abs(weights).sum(axis=(1, 2, 3))[:, None, None] * held
    problem = state_problem(Source.of(x[None]), weights, params_of(**options))
    for plan in plans(problem):
        if strategies is None or plan.strategy in strategies:
            result = run(x, weights, plan.strategy, **options)
            assert (np.abs(result - expected) <= allowed).all(), plan.strategy


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_far_pixels_do_not_matter_to_any_engine(dtype, scene, kernel):
    rng = np.random.default_rng(3)
    x = rng.uniform(1, 2, (1, 120, 130)).astype(dtype)
    SCENES[scene](x, rng)
    assert_right_for_its_window(x, kernel / np.abs(kernel).sum())


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16"])
def test_dark_parts_beside_the_brightest_pixels_are_right(dtype, kernel):
    rng = np.random.default_rng(4)
    x = rng.integers(0, 4, (1, 120, 130)).astype(dtype)
    x[:, :40] = np.iinfo(dtype).max
    x[:, 80:] = 0
    assert_right_for_its_window(x, kernel)


def test_pixels_under_weights_of_zero_do_not_matter():
    rng = np.random.default_rng(6)
    x = rng.uniform(1, 2, (1, 90, 80)).astype(np.float32)
    distance = np.hypot(*np.mgrid[-9:10, -9:10])
    ring = np.where((distance > 6) & (distance < 9), rng.uniform(1, 2, distance.shape), 0)
    plus = np.zeros((15, 15))
    plus[7], plus[:, 7], plus[7, 7] = rng.uniform(1, 2, 15), rng.uniform(1, 2, 15), 9
    x[:, 40, 50] = x[:, 70, 3] = 1e20
    for weights in (ring, plus / 3):
        assert_right_for_its_window(x, weights[None, None])
    x[:, ::2, ::2] = 1e9
    assert_right_for_its_window(x, rng.standard_normal((1, 1, 9, 9)), dilation=(2, 2))


@pytest.mark.parametrize("seed", range(40))
def test_window_is_right_whatever_the_problem(seed):
    rng = np.random.default_rng(seed)
    groups, channels, outputs = rng.integers(1, 3, 3)
    kernel, dilation = rng.integers(3, 20, 2), rng.integers(1, 4, 2)
    weights = rng.standard_normal((groups * outputs, channels, *kernel))
    weights *= rng.random(weights.shape) < rng.choice([0.5, 1])
    x = rng.uniform(1, 100, (groups * channels, *rng.integers(60, 100, 2)))
    x *= rng.random(x.shape) < rng.choice([0.02, 1])
    x = x.astype(rng.choice(["float32", "float64", "uint16"]))
    rows, columns = rng.integers(0, x.shape[1], 6), rng.integers(0, x.shape[2], 6)
    x[0, rows, columns] = 60_000 if x.dtype == np.uint16 else 10.0 ** rng.integers(-20, 20, 6)
    assert_right_for_its_window(
        x, weights, {"fft", "gemm"}, groups=int(groups),
        stride=tuple(rng.integers(1, 4, 2).tolist()), dilation=tuple(dilation.tolist()),
        padding=tuple(map(tuple, rng.integers(0, 20, (2, 2)).tolist())),
        border=rng.choice([*NAMES, 1e20, -3]).item() if seed % 2 else [1e20, -0.5][seed // 2 % 2],
    )  # fmt: skip


def test_uneven_pixels_give_the_same_bits_for_every_number_of_threads():
    rng = np.random.default_rng(1)
    x = np.exp(rng.uniform(-20, 20, (1, 200, 300))).astype(np.float32)
    weights = dense_weights(2, 15, 17)
    once = run(x, weights, "fft", (48, 100), threads=1)
    for threads in (2, 5):
        assert (run(x, weights, "fft", (48, 100), threads=threads) == once).all()


@pytest.mark.parametrize("border", [1e20, 1e39, -1e300])
@pytest.mark.parametrize("strategy", ["direct", "gemm", "fft"])
def test_border_of_any_number_stays_in_its_windows(strategy, border):
    x, weights = image_of("uint8", (1, 60, 70)), np.abs(dense_weights(1, 9, 7))
    inside = run(x, weights, strategy)
    result = run(x, weights, strategy, padding=((2, 2), (3, 3)), border=border)
    np.testing.assert_allclose(result[:, 2:-2, 3:-3], inside, rtol=1e-4)
    assert (np.abs(result[:, :2]) > 1e17).all()
