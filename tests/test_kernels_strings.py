"""Other tools' strings without the tools: what is read, refused, and comes back unchanged."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conv_cli import Kernel, load_kernel, load_kernels
from conv_cli.errors import KernelError
from conv_cli.kernels.operations import composed, rotated
from conv_cli.kernels.rational import as_rational
from conv_cli.kernels.tools.strings import READERS, TARGETS, convert

ASYMMETRIC = np.array([[1.0, -2.5, 4.0], [8.0, 16.0, 1 / 3]])


@pytest.mark.parametrize(
    ("spec", "weights", "origin"),
    [
        ("imagemagick:3x2: 1,2,3 4,5,6", [[6, 5, 4], [3, 2, 1]], (1, 1)),
        ("imagemagick:3x2+0+1: 1,2,3 4,5,6", [[6, 5, 4], [3, 2, 1]], (0, 2)),
        ("imagemagick:2x2: 1 2 3 4", [[4, 3], [2, 1]], (1, 1)),
        ("imagemagick:3x1: nan,-,-2", [[-2, 0, 0]], (0, 1)),
        ("IMAGEMAGICK: 1,2,3,4", [[4, 3], [2, 1]], (1, 1)),
        ("imagemagick:Sobel", [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], (1, 1)),
        ("gmic:(1,2,3;4,5,6)", [[1, 2, 3], [4, 5, 6]], (0, 1)),
        ("gmic: ( 1 , 2e1 ; -.5 , +4. ) ", [[1, 20], [-0.5, 4]], (0, 0)),
        ("ffmpeg:1 2 3 4 5 6 7 8 9", np.arange(1, 10).reshape(3, 3) / 45, (1, 1)),
        ("ffmpeg:-1 0 1|-2 0 2|-1 0 1", [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], (1, 1)),
        ("ffmpeg:convolution=1 2 3:0mode=row", [[1 / 6, 2 / 6, 3 / 6]], (0, 1)),
        ("ffmpeg:0m=1 2 3:0mode=2:0rdiv=0.5", [[0.5], [1], [1.5]], (1, 0)),
        ('ffmpeg:convolution="1 0 0 0 0 0 0 0 1:1 0 0 0 0 0 0 0 1"', np.diag([0.5, 0, 0.5]), (1, 1)),
        ("ffmpeg:convolution='1 2 3 4 5 6 7 8 9':0rdiv=0", np.arange(1, 10).reshape(3, 3) / 45, (1, 1)),
    ],
)  # fmt: skip
def test_a_string_means_what_its_tool_means(spec, weights, origin):
    kernel = load_kernel(spec)
    np.testing.assert_array_equal(kernel.weights, weights)
    assert (kernel.origin, kernel.bias) == (origin, 0)


def test_ffmpegs_bias_is_the_kernels():
    text = "1 0 0 0 0 0 0 0 -1"
    assert load_kernel(f"ffmpeg:convolution=0m={text}:1m={text}:0bias=12.5:1bias=12.5").bias == 12.5


def test_kernels_are_called_by_their_text_or_a_digest_of_them():
    assert load_kernel("gmic:(1,-1)").name == "gmic:(1,-1)"
    long = f"gmic:({','.join('1' * 30)})"
    assert load_kernel(long).name.startswith("gmic-1x30-")
    names = [kernel.name for kernel in load_kernels("imagemagick:Kirsch:@")]
    assert names == [f"imagemagick:Kirsch:@-{i}" for i in range(1, 9)]


MALFORMED = [
    ("imagemagick:", "ends at character 13, expected WxH:"),
    ("imagemagick: ;; ", "expected WxH:"),
    ("imagemagick:3x3:", "expected 9 numbers for 3x3, and not 0"),
    ("imagemagick:3x3: 1,2,3 4,5,6 7,8", "ends at character 33, expected 9 numbers for 3x3, and not 8"),
    ("imagemagick:3x3: 1,2,3 4,5,6 7,8,9,10", "character 36 is 10, expected the end after 9"),
    ("imagemagick:3x3: 1,2,3 4,x,6 7,8,9", "character 26 is x, expected a number such as -1 or 0.5"),
    ("imagemagick:3x3: 1,2,3 4,,6 7,8,9", "character 26 is ,, expected a number beside it"),
    ("imagemagick:3x3: ,1,2,3,4,5,6,7,8,9", "character 18 is ,, expected a number beside it"),
    ("imagemagick:2x1: 1,2,", "expected a number beside it"),
    ("imagemagick:2x1: 1/9,2", "character 18 is 1/9, expected a number"),
    ("imagemagick:2x1: 0x10,2", "character 18 is 0x10, expected a number"),
    ("imagemagick:2x1: inf,2", "character 18 is inf"),
    ("imagemagick:2x1: 1e999,2", "character 18 is 1e999"),
    ("imagemagick:2x1: --1,2", "character 18 is --1"),
    ("imagemagick:2x1: nan,-", "expected at least one number"),
    ("imagemagick:0x3: 1,2,3", "character 13 is 0x3, expected WxH or WxH+X+Y in whole numbers"),
    ("imagemagick:3+1+1: 1", "character 13 is 3+1+1, expected WxH"),
    ("imagemagick:3x3+3+1: 1,2,3 4,5,6 7,8,9", "expected an origin +X+Y inside of 3x3"),
    ("imagemagick:3x3-1+1: 1,2,3 4,5,6 7,8,9", "expected an origin +X+Y inside of 3x3"),
    ("imagemagick:3x3+1+1+1+1: 1,2,3 4,5,6 7,8,9", "character 20 is +1+1, expected WxH"),
    ("imagemagick:3y3: 1,2,3 4,5,6 7,8,9", "character 13 is 3y3, expected WxH"),
    ("imagemagick:: 1,2,3", "character 13 is :, expected WxH"),
    ("imagemagick:1,2,3", "expected 1 or 4 numbers for a square and not 3; give other sizes as WxH:"),
    ("imagemagick:1 2 3 4 5 6 7 8 9 10", "expected 9 or 16 numbers for a square and not 10"),
    ("imagemagick:999999999x999999999: 1", "expected a size of at most 4,194,304 weights"),
    ("imagemagick:99999999999999999999x3: 1", "expected numbers up to 1,000,000,000"),
    ("imagemagick:3x2>: 1,2,3 4,5,6", "cannot be turned: ImageMagick turns 3x3 by 45°"),
    ("imagemagick:2x2@: 1,2,3,4", "cannot be turned"),
    ("imagemagick:Xyzzy", "character 13 is Xyzzy, expected one of ImageMagick's names: unity"),
    ("imagemagick:Sobel:north", "character 19 is north, expected arguments such as 0x2"),
    ("imagemagick:Sobel:45y", "character 19 is 45y, expected arguments"),
    ("imagemagick:Gaussian:0x2x3", "character 25 is x3, expected arguments"),
    ("imagemagick:Gaussian:99999", "more than 4,194,304 weights"),
    ("imagemagick:Blur:9999999x1", "more than 4,194,304 weights"),
    ("imagemagick:Disk:999999999", "more than 4,194,304 weights"),
    ("imagemagick:Rectangle:3x3+5+5", "origin (5, 5) lies outside"),
    ("imagemagick:Euclidean:3,-1!", "Euclidean: its scale is -1!, which divides by zero"),
    ("imagemagick:Binomial:11", "its radius is 11, expected at most 10"),
    ("imagemagick:Edges", "Edges is a pattern of ImageMagick's for hit-and-miss"),
    ("imagemagick:Skeleton:3", "is a pattern of ImageMagick's"),
    ("imagemagick:3x3: 1,2,3 4,5,6 7,8,9 ; 2x2: 1 2 3", "expected 4 numbers for 2x2, and not 3"),
    ("imagemagick:3x3: 1 2 3 4 5 6 7 8 9; Foo", "character 37 is Foo, expected one of"),
    ("imagemagick:$(touch hacked)", "character"),
    ("gmic:", "ends at character 6, expected a matrix such as (0,1,0"),
    ("gmic:0,1,0;1,-4,1;0,1,0", "character 6 is 0, expected a matrix such as"),
    ("gmic:(", "ends at character 7, expected ) at the end"),
    ("gmic:()", "character 7 is ), expected a number"),
    ("gmic:(1,2", "ends at character 10, expected ) at the end"),
    ("gmic:(1,2;3)", "row 2 has 1 number, row 1 has 2"),
    ("gmic:(1,2;3,4;)", "expected a number"),
    ("gmic:(1,x;3,4)", "character 9 is x, expected a number such as -1 or 0.5"),
    ("gmic:(1,,3)", "expected a number"),
    ("gmic:(1 2;3 4)", "character 7 is 1, expected a number"),
    ("gmic:(1,2)(3,4)", "character"),
    ("gmic:((1,2))", "character 7 is (, expected a number"),
    ("gmic:(1,2/3,4)", "character 10 is /3, expected a matrix of one slice and one channel"),
    ("gmic:(1,2^3,4)", "character 10 is ^, expected a matrix of one slice"),
    ("gmic:(1/9,1/9)", "expected a matrix of one slice"),
    ("gmic:(nan,1)", "character 7 is nan"),
    ("gmic:(1,1e999)", "character 9 is 1e999"),
    ("gmic:[1,2;3,4]", "character 6 is [1, expected a matrix"),
    ("gmic:(1,2) sharpen", "expected ) at the end"),
    ("ffmpeg:", "expected 9, 25 or 49 numbers, and not 0"),
    ("ffmpeg:1 2 3", "ends at character 13, expected 9, 25 or 49 numbers, and not 3, or a mode row"),
    ("ffmpeg:0 -1 0 -1 5 -1 0 -1", "expected 9, 25 or 49 numbers, and not 8"),
    ("ffmpeg:0 -1 0 -1 5.5 -1 0 -1 0", "character 18 is 5.5, expected a whole number"),
    ("ffmpeg:0 -1 0 -1 x -1 0 -1 0", "character 18 is x, expected a whole number"),
    ("ffmpeg:0,-1,0,-1,5,-1,0,-1,0", "character 9 is ,, expected numbers with spaces between"),
    ("ffmpeg:convolution", "ends at character 19, expected = and its options"),
    ("ffmpeg:convolution=", "expected 9, 25 or 49 numbers"),
    ("ffmpeg:convolution=0rdiv=1", "expected a matrix of 9, 25 or 49 whole numbers"),
    ("ffmpeg:convolution=1 2 3 4:0mode=row", "expected an odd number of numbers, and not 4"),
    (f"ffmpeg:convolution={'1 ' * 51}:0mode=row", "expected at most 49 numbers"),
    ("ffmpeg:convolution=1 2 3:0mode=diagonal", "character 32 is diagonal, expected one of square"),
    ("ffmpeg:convolution=1 2 3:9mode=row", "character 26 is 9mode, expected one of 0m"),
    ("ffmpeg:convolution=0m=1 2 3:0m=1 2 3", "expected 0m once, and not twice"),
    ("ffmpeg:1 1 1 1 1 1 1 1 1:0rdiv=-1", "expected"),
    ("ffmpeg:convolution=1 1 1 1 1 1 1 1 1:0rdiv=x", "character 44 is x, expected a number from 0"),
    ("ffmpeg:convolution=1 1 1 1 1 1 1 1 1:0bias=-3", "character 44 is -3, expected a number from 0"),
    ("ffmpeg:convolution=0 0 0 0 1 0 0 0 0:0 0 0 0 2 0 0 0 1", "planes have different kernels"),
    ("ffmpeg:convolution=1 1 1 1 1 1 1 1 1:0rdiv=1e999", "expected a number from 0"),
    ("ffmpeg:sobel=scale=2", "character 8 is sobel, expected one of 0m"),
]  # fmt: skip


def test_there_are_eighty_of_them():
    assert len(MALFORMED) >= 80


@pytest.mark.parametrize(("spec", "reason"), MALFORMED)
def test_a_malformed_string_is_refused_in_a_line_that_names_the_place(spec, reason, tmp_path, monkeypatch):  # fmt: skip
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KernelError) as caught:
        load_kernels(spec)
    message = str(caught.value)
    assert message.startswith(f"kernel {spec[:10]}")
    assert reason in message
    assert "\n" not in message
    assert len(message) < 420
    assert not list(tmp_path.iterdir())


@settings(max_examples=400, deadline=None)
@given(
    tag=st.sampled_from(sorted(READERS)),
    text=st.one_of(
        st.text(alphabet="0123456789.,;:-+xe@<>!%()/^= nadm'|", max_size=30),
        st.from_regex(r"\A[A-Z][a-z]{2,8}:[0-9x+,.@>-]{0,9}\Z"),
    ),
)
def test_no_string_is_anything_but_a_kernel_or_a_kernel_error(tag, text):
    try:
        assert all(np.isfinite(kernel.weights).all() for kernel in load_kernels(f"{tag}:{text}"))
    except KernelError as error:
        assert "\n" not in str(error)


weights = st.builds(
    lambda rows, columns, seed, kind: _drawn(rows, columns, seed, kind),
    st.integers(1, 7), st.integers(1, 7), st.integers(0, 999), st.integers(0, 3),
)  # fmt: skip


def _drawn(rows, columns, seed, kind):
    """Return asymmetric weights: any floats, whole ones, of a divisor, or of very unequal size."""
    rng = np.random.default_rng(seed)
    floats = rng.standard_normal((rows, columns))
    whole = rng.integers(-99, 100, (rows, columns)).astype(float)
    return [floats, whole, whole / 48, floats * 10.0 ** rng.integers(-30, 30, (rows, columns))][
        kind
    ]


def read_back(target, data, folder):
    """Return the kernel that a target's output is read as."""
    if target in READERS:
        return load_kernel(f"{target}:{data.decode().strip()}")
    ending = "mat" if target == "vips" else target
    path = folder / f"k.{ending}"
    path.write_bytes(data)
    return load_kernel(path)


@pytest.mark.parametrize("target", ["json", "csv", "txt", "npy", "vips", "imagemagick", "gmic"])
@settings(max_examples=40, deadline=None)
@given(drawn=weights)
def test_weights_come_back_bit_for_bit(target, drawn, tmp_path_factory):
    kernel = Kernel(drawn, name="drawn")
    back = read_back(target, convert(kernel, target).data, tmp_path_factory.getbasetemp())
    lead = tuple(np.subtract(back.origin, kernel.origin))  # vips has its origin elsewhere
    np.testing.assert_array_equal(back.weights, kernel.framed(back.shape, back.origin).weights)
    assert target == "vips" or lead == (0, 0)


@pytest.mark.parametrize("target", ["json", "vips", "imagemagick", "gmic"])
def test_every_origin_comes_back(target, tmp_path):
    for row, column in np.ndindex(ASYMMETRIC.shape):
        kernel = Kernel(ASYMMETRIC, origin=(row, column))
        back = read_back(target, convert(kernel, target).data, tmp_path)
        np.testing.assert_array_equal(back.weights, kernel.framed(back.shape, back.origin).weights)


@pytest.mark.parametrize("numbers", ["1 2 1 2 4 2 1 2 1", "1 2 3 4 5 6 7 8 9", "-1 0 1 -2 0 2 -1 0 1"])  # fmt: skip
def test_what_ffmpeg_holds_comes_back_bit_for_bit(numbers):
    kernel = load_kernel(f"ffmpeg:{numbers}")
    text = convert(kernel, "ffmpeg").data.decode()
    assert numbers in text
    np.testing.assert_array_equal(load_kernel(f"ffmpeg:{text}").weights, kernel.weights)


@pytest.mark.parametrize(
    ("kernel", "target", "reason"),
    [
        (Kernel(ASYMMETRIC, bias=3), "imagemagick", "no bias.*-define convolve:bias=1.17647%"),
        (Kernel(ASYMMETRIC, bias=3), "gmic", "no bias.*add 3"),
        (Kernel(ASYMMETRIC, bias=3), "csv", "write .json"),
        (Kernel(ASYMMETRIC), "ffmpeg", "divides by the sum of the weights.*use --normalize sum"),
        (Kernel([[0.5, -0.5]]), "ffmpeg", "whole numbers only.*use --approximate"),
        (Kernel([[1.0, 0.0]], bias=-1), "ffmpeg", "takes none below 0"),
        (Kernel(np.eye(9) / 9), "ffmpeg", "reaches 4 pixels from its origin, and ffmpeg 3"),
        (Kernel([[40_000.0, -40_000.0]]), "ffmpeg", "larger than ffmpeg's 32 bits"),
        (Kernel(np.eye(6)), "gegl", "GEGL's matrix is 5x5"),
        (Kernel(np.eye(2), bias=300), "gegl", "takes none beyond 255"),
    ],
)  # fmt: skip
def test_what_a_tool_cannot_hold_is_refused_and_says_why(kernel, target, reason):
    with pytest.raises(KernelError, match=reason):
        convert(kernel, target)


def test_an_approximation_says_how_far_it_is_off():
    kernel = load_kernel("gaussian:1")
    text, error = convert(kernel, "ffmpeg", approximate=True)
    difference = kernel.weights - load_kernel(f"ffmpeg:{text.decode()}").weights
    worst = 255 * max(np.maximum(difference, 0).sum(), np.maximum(-difference, 0).sum())
    assert error == pytest.approx(worst, rel=1e-9)
    assert 0 < error < 0.2
    assert convert(load_kernel("sharpen"), "ffmpeg", approximate=True).error is None


@pytest.mark.parametrize("kernel", [
    Kernel([[0.3, -0.3]]), Kernel([[1e6, -1e6 + 1]]), Kernel([[2.0, 1.0]]),
    Kernel(np.pad(np.array([[0.0]]), 5) + np.pad(np.ones((1, 1)), ((0, 10), (0, 10)))),
])  # fmt: skip
def test_what_cannot_be_approximated_is_refused_too(kernel):
    with pytest.raises(KernelError):
        convert(kernel, "ffmpeg", approximate=True)


def test_every_target_of_the_contract_is_there():
    wanted = "json csv txt npy vips imagemagick gmic ffmpeg gegl opencv scipy pytorch"
    assert list(TARGETS) == wanted.split()


def chain(image, kernels):
    """Correlate an image with one kernel after the other by plain loops; nan where one reaches out."""
    for kernel in kernels:
        (rows, columns), (row, column) = kernel.shape, kernel.origin
        result = np.full(image.shape, np.nan)
        for y in range(row, image.shape[0] - rows + 1 + row):
            for x in range(column, image.shape[1] - columns + 1 + column):
                window = image[y - row : y - row + rows, x - column : x - column + columns]
                result[y, x] = (window * kernel.weights).sum() + kernel.bias
        image = result
    return image


def test_a_composed_kernel_does_what_the_chain_does_exactly():
    kernels = [
        Kernel(np.array([[1.0, 2, -4], [3, -2, 5]]), bias=7, origin=(1, 2)),
        Kernel(np.array([[2.0], [1], [-3], [4]]), bias=-2, origin=(0, 0)),
        Kernel(np.array([[1.0, -1]]), bias=1),
    ]
    one = composed(kernels)
    image = np.random.default_rng(0).integers(0, 256, (14, 15)).astype(float)
    expected, actual = chain(image, kernels), chain(image, [one])
    inside = ~np.isnan(expected)
    assert inside.sum() > 50
    np.testing.assert_array_equal(actual[inside], expected[inside])
    assert one.shape == (5, 4)


def test_composing_large_kernels_agrees_with_composing_small_ones():
    rng = np.random.default_rng(1)
    large, line = rng.standard_normal((150, 140)), rng.standard_normal((150, 140))
    by_fft = composed([Kernel(large), Kernel(line)]).weights
    middle = (large[::-1, ::-1] * line).sum()  # the one place where all weights meet
    assert by_fft[149, 139] == pytest.approx(middle, rel=1e-9)
    with pytest.raises(KernelError, match="more than 4,194,304 weights"):
        composed([Kernel(np.ones((2000, 1))), Kernel(np.ones((1, 2200)))] * 2)


def test_rotating_moves_weights_and_origin_together():
    kernel = Kernel(ASYMMETRIC, bias=1, origin=(1, 0), name="k")
    marked = kernel.weights[kernel.origin]
    for steps in range(-8, 9, 2):
        turned = rotated(kernel, steps)
        assert turned.weights[turned.origin] == marked
        np.testing.assert_array_equal(turned.weights, np.rot90(ASYMMETRIC, -steps // 2))
    np.testing.assert_array_equal(rotated(kernel, 4).weights, kernel.flipped().weights)
    assert rotated(kernel, 4).origin == kernel.flipped().origin


def test_two_turns_of_45_degrees_are_one_of_90_for_every_odd_square():
    for side in (1, 3, 5, 9):
        kernel = Kernel(np.arange(side * side).reshape(side, side), origin=(0, side // 2))
        twice = rotated(rotated(kernel, 1), 1)
        np.testing.assert_array_equal(twice.weights, rotated(kernel, 2).weights)
        assert twice.origin == rotated(kernel, 2).origin
        assert rotated(kernel, 9).origin == rotated(kernel, 1).origin
    with pytest.raises(KernelError, match="only odd squares can be turned by 45°"):
        rotated(Kernel(np.eye(4)), 1)


def test_framing_and_cropping_keep_the_weights_under_the_origin():
    kernel = Kernel(ASYMMETRIC, origin=(0, 2))
    wide = kernel.framed((5, 6), (2, 3))
    assert wide.weights[2:4, 1:4].tolist() == ASYMMETRIC.tolist()
    assert np.count_nonzero(wide.weights) == 6
    back = wide.framed((2, 3), (0, 2), crop=True)
    np.testing.assert_array_equal(back.weights, ASYMMETRIC)
    assert kernel.framed((1, 1), (0, 0), crop=True).weights.tolist() == [[4.0]]
    with pytest.raises(KernelError, match="does not fit"):
        kernel.framed((2, 2), (0, 1))
    assert kernel.centred("upper").shape == (2, 5)


@pytest.mark.parametrize(
    ("values", "numerators", "divisor"),
    [
        ([[1 / 9, 4 / 9]], [[1, 4]], 9),
        ([[1 / 6, -1 / 4]], [[2, -3]], 12),
        ([[3.0, -7.0]], [[3, -7]], 1),
        ([[0.0]], [[0]], 1),
    ],
)
def test_fractions_get_their_least_divisor(values, numerators, divisor):
    found = as_rational(np.array(values), 1000)
    assert found.numerators.tolist() == numerators
    assert found.divisor == divisor


def test_what_is_no_fraction_of_few_digits_has_no_divisor():
    assert as_rational(np.array([[math.pi]]), 1000) is None
    assert as_rational(np.array([[1 / 997, 1 / 991]]), 1000) is None
    assert as_rational(np.array([[1 / 9 + 1e-9]]), 1000) is None
