"""Borders against NumPy's own padding, whole and tile by tile."""

import numpy as np
import pytest

from conv_cli.borders import ALIASES, NAMES, Border, PaddedImage, pad
from conv_cli.errors import ConvError

IMAGE = np.array([[1, 2, 4, 8], [16, 32, 64, 128], [3, 5, 7, 9]], np.uint8)
PADDINGS = [((1, 2), (3, 0)), ((0, 7), (9, 2)), ((4, 0), (0, 13)), ((0, 0), (0, 0))]


def numpy_mode(name):
    return {"zero": "constant"}.get(name, name)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("name", NAMES)
def test_border_is_numpys_padding_of_that_name(name, padding):
    np.testing.assert_array_equal(
        pad(IMAGE, padding, name), np.pad(IMAGE, padding, mode=numpy_mode(name))
    )


@pytest.mark.parametrize("name", NAMES)
def test_one_pixel_has_every_border(name):
    pixel = np.array([[7]], np.uint8)
    expected = np.pad(pixel, 3, mode=numpy_mode(name))
    np.testing.assert_array_equal(pad(pixel, ((3, 3), (3, 3)), name), expected)


def test_number_is_a_constant_border():
    expected = np.pad(IMAGE, ((1, 0), (0, 2)), constant_values=77)
    np.testing.assert_array_equal(pad(IMAGE, ((1, 0), (0, 2)), "77"), expected)


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_alias_means_its_border(alias, name):
    assert Border.named(alias.upper()) == Border.named(name)


@pytest.mark.parametrize("name", ["blur", "", "nan", "inf", "reflect_101"])
def test_unknown_border_is_refused_with_the_names_that_exist(name):
    with pytest.raises(ConvError, match=r"edge, zero, reflect, symmetric, wrap or a number"):
        Border.named(name)


@pytest.mark.parametrize("name", [*NAMES, "5"])
def test_tiles_join_to_the_whole(name):
    padding = ((4, 5), (6, 3))
    whole = pad(IMAGE, padding, name)
    image = PaddedImage(IMAGE[None, None], padding, Border.named(name))
    for top in range(0, whole.shape[0], 5):
        for left in range(0, whole.shape[1], 4):
            expected = whole[top : top + 5, left : left + 4]
            tile = np.empty((1, 1, *expected.shape), np.int32)
            rows, columns = (top, top + expected.shape[0]), (left, left + expected.shape[1])
            image.read(rows, columns, tile)
            np.testing.assert_array_equal(tile[0, 0], expected)


def test_constant_goes_through_the_map_of_pixels():
    image = PaddedImage(
        IMAGE[None, None], ((1, 1), (1, 1)), Border.named(10), lambda tile: tile * 2.0
    )
    tile = np.empty((1, 1, 5, 6))
    image.read((0, 5), (0, 6), tile)
    np.testing.assert_array_equal(tile[0, 0], np.pad(IMAGE * 2.0, 1, constant_values=20))


def test_help_names_every_border():
    from conv_cli.cli.apply import apply

    (option,) = (each for each in apply.params if each.name == "border")
    assert option.metavar.split("|") == [*NAMES, "NUMBER"]
