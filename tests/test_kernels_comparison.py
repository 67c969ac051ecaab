"""How two kernels differ, and `kernels diff`."""

import itertools
import json

import numpy as np
import pytest

from conv_cli import Kernel, filter_image, load_kernel
from conv_cli.kernels.comparison import difference
from test_cli_apply import conv_cli, one_error_line, succeed

ASYMMETRIC = np.array([[1.0, 2, 0], [0, -3, 4]])
WAYS = {
    "": lambda w: w,
    "turned by 180°": lambda w: w[::-1, ::-1],
    "turned by 90° to the left": np.rot90,
    "turned by 90° to the right": lambda w: np.rot90(w, 3),
    "mirrored left to right": np.fliplr,
    "mirrored top to bottom": np.flipud,
    "mirrored along its diagonal": np.transpose,
    "mirrored along its other diagonal": lambda w: np.rot90(w, 2).T,
}


@pytest.mark.parametrize("factor", [1, 2.5, -1])
@pytest.mark.parametrize("way", list(WAYS))
def test_every_turn_and_factor_is_found(way, factor):
    if way == "" and factor == 1:
        assert difference(Kernel(ASYMMETRIC), Kernel(ASYMMETRIC)).same
        return
    found = difference(Kernel(ASYMMETRIC), Kernel(factor * WAYS[way](ASYMMETRIC)))
    assert (found.turned, found.scaled, found.other_weights) == (way, factor, False)


@pytest.mark.parametrize(("rows", "columns"), list(itertools.product((-1, 0, 2), (0, 1))))
def test_a_move_is_told_as_it_moves_the_picture(rows, columns):
    one = load_kernel("gaussian:0.5")
    other = Kernel(one.weights, origin=(one.origin[0] + rows, one.origin[1] + columns))
    found = difference(one, other)
    assert found.moved == (rows, columns) and found.same == (rows == columns == 0)
    dot = np.zeros((9, 9), np.uint8)
    dot[4, 4] = 100
    places = [np.unravel_index(filter_image(dot, k).argmax(), dot.shape) for k in (one, other)]
    assert tuple(np.subtract(places[1], places[0]).tolist()) == found.moved


@pytest.mark.parametrize("pair", [("sobel-x", "prewitt-x"), ("box:3", "box:5"), ("box", "emboss")])
def test_other_weights_and_the_largest_difference(pair):
    one, other = map(load_kernel, pair)
    found = difference(one, other)
    assert found.other_weights and not found.same
    side = max(one.shape[0], other.shape[0])
    weights = [k.framed((side, side)).weights for k in (one, other)]
    worst = 0.0
    for sign in (1, -1):  # the picture that differs most: white where one weight is the larger
        x = np.where(sign * (weights[1] - weights[0]) > 0, 255, 0).astype(np.uint8)
        made = [filter_image(x, k, padding="same", border="zero") for k in (one, other)]
        middle = side // 2
        worst = max(worst, abs(float(made[1][middle, middle] - made[0][middle, middle])))
    assert found.largest == pytest.approx(worst, rel=1e-6)


def test_bias_alone_differs_by_itself():
    one, other = Kernel([[1.0]]), Kernel([[1.0]], bias=-3)
    found = difference(one, other)
    assert (found.same, found.bias, found.largest) == (False, -3, 3)


def test_zeros_around_and_rounding_are_no_difference():
    one = load_kernel("gaussian:2")
    assert difference(one, one.framed((19, 21))).same
    assert difference(one, Kernel(one.weights * (1 + 1e-13))).same


def test_command_says_it_and_exits_by_it():
    done = succeed("kernels", "diff", "sobel-x", "imagemagick:Sobel")
    assert done.stdout.decode() == "sobel-x and imagemagick:Sobel give the same picture\n"
    done = conv_cli("kernels", "diff", "sobel-x", "1 0 -1; 2 0 -2; 1 0 -1")
    assert done.returncode == 1 and done.stderr == b""
    assert done.stdout.decode().splitlines() == [
        "1 0 -1; 2 0 -2; 1 0 -1 is sobel-x turned by 180°",
        "largest difference on an 8-bit image: 2040 levels",
    ]
    found = json.loads(conv_cli("kernels", "diff", "-1 1", "-2 2", "--json").stdout)
    assert (found["same"], found["scaled"], found["largest"]) == (False, 2, 255)


def test_sets_and_strangers_are_refused():
    one_error_line(conv_cli("kernels", "diff", "kirsch", "box"), 2)
    one_error_line(conv_cli("kernels", "diff", "box", "bxo"), 2)
