"""Pixels that count less than others: masks, missing values and opacity are one weight."""

import json

import numpy as np
import pytest

import oracle
from command import call, error_line
from conv_cli import Kernel, load_kernel, write_image
from conv_cli.correlation.params import ConvParams
from conv_cli.images import Image, read_image
from conv_cli.images.image import Georeference, Tag
from conv_cli.pipeline.feature_map import Range
from conv_cli.pipeline.filter import Filter, filtered_pixels
from conv_cli.pipeline.weights import Mask

BORDERS = ("edge", "zero", "reflect", "symmetric", "wrap", "0.25")
CHECKED = 60


def random_case(rng):
    """Return planes (C, H, W) of 0..1, weights (C, H, W), what makes them, and a kernel."""
    height, width = rng.integers(5, 15, 2)
    colours = int(rng.choice([1, 3]))
    x = rng.random((colours, height, width)).astype(np.float32)
    of = {"mask": None, "opacity": None, "nodata": None}
    share = np.ones(x.shape)
    for kind in rng.permutation(list(of))[: rng.integers(1, 4)]:
        weights = rng.choice([0, 0, 1, rng.random()], (height, width))
        if kind == "mask":
            of["mask"] = weights = np.rint(weights * 65535).astype(np.uint16)
            share = share * (weights / 65535)
        elif kind == "opacity":
            of["opacity"] = weights = weights.astype(np.float32)
            share = share * weights
        else:
            of["nodata"] = value = float(rng.choice([np.nan, -3.0]))
            absent = rng.random(x.shape) < 0.4
            x[absent] = value
            share = share * ~absent
    kernel = rng.normal(size=rng.integers(1, 6, 2))
    return x, share, of, np.abs(kernel) if rng.random() < 0.3 else kernel


def written(folder, x, of):
    """Write the planes and what makes their weights; return what is typed for these."""
    pixels = np.moveaxis(x, 0, -1)
    if of["opacity"] is not None:
        pixels = np.concatenate([pixels, of["opacity"][..., None]], axis=2)
    image = Image(
        pixels[..., 0] if pixels.shape[2] == 1 else pixels, alpha=of["opacity"] is not None
    )
    write_image(folder / "x.tif", image, force=True)
    words = []
    if of["mask"] is not None:
        write_image(folder / "mask.png", Image(of["mask"]), force=True)
        words += ["--mask", folder / "mask.png"]
    if of["nodata"] is not None:
        words += ["--nodata", repr(of["nodata"])]
    return [folder / "x.tif", *words]


def filtered(folder, *words):
    """Apply, and return the planes (C, h, w) of the map in float64."""
    out = folder / "out.npy"
    done = call("apply", *words, "-o", out, "-f", "--depth", "float64", "--range", "raw")
    assert done.returncode == 0, done.stderr
    values = np.load(out)
    return values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0)


def typed(kernel):
    return "; ".join(" ".join(map(repr, row)) for row in kernel.tolist())


@pytest.mark.parametrize("seed", range(CHECKED))
def test_weights_of_all_kinds_are_what_the_formula_says(tmp_path, seed):
    rng = np.random.default_rng(seed)
    x, share, of, kernel = random_case(rng)
    border = str(rng.choice(BORDERS))
    stride, dilation = (tuple(map(int, rng.integers(1, 3, 2))) for _ in range(2))
    (rows, columns), (down, across) = kernel.shape, dilation
    up, left = (rows - 1) // 2 * down, (columns - 1) // 2 * across
    padding = (up, (rows - 1) * down - up), (left, (columns - 1) * across - left)
    words = written(tmp_path, x, of)
    got = filtered(
        tmp_path, *words, "-k", typed(kernel), "--border", border,
        "--stride", "{}x{}".format(*stride), "--dilation", "{}x{}".format(*dilation),
    )[: len(x)]  # fmt: skip
    clear = of["opacity"] is not None and border == "zero"
    expected, left_over = oracle.weighted(
        x, share, kernel, padding=padding, border=border if border != "0.25" else 0.25,
        beyond=0.0 if clear else 1.0, stride=stride, dilation=dilation,
    )  # fmt: skip
    known = left_over >= 1e-4
    if of["nodata"] is not None:
        np.testing.assert_array_equal(got[~known], np.full((~known).sum(), of["nodata"]))
    bound = np.where(left_over >= 0.01, 1e-5, 1e-3) * np.abs(kernel).sum()
    assert (np.abs(got - expected) <= bound)[known].all()
    assert known.any()


@pytest.mark.parametrize("kernel", ["gaussian:5", "disk:9", "gabor"])
def test_large_kernels_of_every_engine_count_by_weights(kernel):
    rng = np.random.default_rng(0)
    x = (rng.random((90, 110)) * 255).astype(np.float32)
    grey = (rng.random(x.shape) < 0.1) * rng.integers(0, 65536, x.shape)
    grey[30:70, 20:80] = 0
    grey[50, 50] = 65535
    weights = load_kernel(kernel).weights
    rule = Filter(
        (Kernel(weights),),
        ConvParams(padding="valid"),
        mask=Mask("m", grey.astype(np.uint16), 65535),
    )
    got = filtered_pixels(Image(x), rule, rule.kernels, np.dtype(np.float64), Range("raw"))
    expected, left = oracle.weighted(
        x[None], grey[None] / 65535, weights, padding=((0, 0), (0, 0)), border="zero"
    )
    known = left[0] >= 1.1e-4
    bound = np.where(left[0] >= 0.01, 1e-5, 1e-3) * np.abs(weights).sum() * 255
    assert (np.abs(got - expected[0]) <= bound)[known].all()
    assert known.any()
    assert not known.all()


@pytest.fixture
def photo(tmp_path):
    """Return the name of an 8-bit picture with a bright bar in it, and its mask."""
    rng = np.random.default_rng(1)
    pixels = rng.integers(20, 60, (24, 30, 3), np.uint8)
    pixels[:, 12:15] = 255
    write_image(tmp_path / "photo.png", Image(pixels))
    mask = np.full((24, 30), 255, np.uint8)
    mask[:, 12:15] = 0
    write_image(tmp_path / "mask.png", Image(mask))
    return tmp_path / "photo.png", tmp_path / "mask.png"


def test_what_is_masked_leaves_no_trace_in_others(tmp_path, photo):
    image, mask = photo
    assert filtered(tmp_path, image, "-k", "box:5").max() > 100
    assert filtered(tmp_path, image, "--mask", mask, "-k", "box:5").max() < 60


def test_a_mask_in_colour_counts_by_its_grey(tmp_path, photo):
    image, mask = photo
    grey = np.arange(24 * 30, dtype=np.uint8).reshape(24, 30)
    write_image(mask, Image(np.stack([grey] * 3, axis=2)), force=True)
    coloured = filtered(tmp_path, image, "--mask", mask, "-k", "box")
    write_image(mask, Image(grey), force=True)
    np.testing.assert_allclose(
        coloured, filtered(tmp_path, image, "--mask", mask, "-k", "box"), 1e-5
    )


def test_a_white_mask_changes_no_bit(tmp_path, photo):
    image, mask = photo
    write_image(mask, Image(np.full((24, 30), 255, np.uint8)), force=True)
    plain = filtered(tmp_path, image, "-k", "gaussian:2")
    np.testing.assert_array_equal(
        filtered(tmp_path, image, "--mask", mask, "-k", "gaussian:2"), plain
    )


def test_colours_are_taken_as_they_are_where_nothing_counts(tmp_path, photo):
    image, mask = photo
    write_image(mask, Image(np.zeros((24, 30), np.uint8)), force=True)
    plain = filtered(tmp_path, image, "-k", "sobel-x")
    got = filtered(tmp_path, image, "--mask", mask, "-k", "sobel-x")
    np.testing.assert_allclose(got, plain, atol=1e-3)


def test_opacity_is_copied_beside_a_mask(tmp_path, photo):
    image, mask = photo
    pixels = np.asarray(read_image(image))
    opacity = np.full((24, 30, 1), 200, np.uint8)
    write_image(image, Image(np.concatenate([pixels, opacity], axis=2), alpha=True), force=True)
    assert (filtered(tmp_path, image, "--mask", mask, "-k", "box")[3] == 200).all()


def test_nan_under_a_mask_does_not_spread(tmp_path):
    x = np.ones((9, 9), np.float32)
    x[4, 4] = np.nan
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "mask.npy", np.isfinite(x))
    got = filtered(tmp_path, tmp_path / "x.npy", "--mask", tmp_path / "mask.npy", "-k", "box")
    np.testing.assert_allclose(got, np.ones((1, 9, 9)), rtol=1e-6)


def test_missing_is_told_channel_by_channel(tmp_path):
    x = np.full((1, 5, 3), 0.5, np.float32)
    x[:, :, 1] = np.nan
    np.save(tmp_path / "x.npy", x)
    got = filtered(tmp_path, tmp_path / "x.npy", "--nodata", "nan", "-k", "1 2 1 / 4")
    np.testing.assert_array_equal(got[0], np.full((1, 5), 0.5))
    assert np.isnan(got[1]).all()
    grey = filtered(
        tmp_path, tmp_path / "x.npy", "--nodata", "nan", "-k", "box", "--channels", "grey"
    )
    assert np.isnan(grey).all()


@pytest.mark.parametrize("mode", ["clip", "abs", "shift", "signed", "stretch", "stretch:90", "raw"])
def test_missing_results_are_the_value_itself_in_every_range(tmp_path, mode):
    x = np.random.default_rng(2).integers(1, 200, (20, 30)).astype(np.float32)
    x[5:15, 8:20] = -7
    write_image(tmp_path / "x.tif", Image(x))
    out = tmp_path / "out.tif"
    words = ["apply", tmp_path / "x.tif", "-k", "box", "--bias", "3", "--nodata", "-7"]
    done = call(*words, "--range", mode, "-o", out, "--json")
    record = json.loads(done.stdout)
    made = np.asarray(read_image(out))
    assert (made[6:14, 9:19] == -7).all()
    assert (made[6:14, 9:19].size + (made != -7).sum()) == made.size
    assert record["min"] >= 4
    assert record["max"] <= 203


def test_missing_results_in_whole_numbers_are_the_nearest_and_nan_is_0(tmp_path):
    x = np.full((9, 9), np.nan, np.float32)
    x[:, :2] = 0.5
    np.save(tmp_path / "x.npy", x)
    out = tmp_path / "out.png"
    call(
        "apply",
        tmp_path / "x.npy",
        "-k",
        "box",
        "--nodata",
        "nan",
        "--depth",
        "8",
        "--white",
        "1",
        "-o",
        out,
    )
    np.testing.assert_array_equal(np.asarray(read_image(out))[0], [128] * 3 + [0] * 6)
    np.save(tmp_path / "x.npy", np.nan_to_num(x, nan=-9999))
    words = [
        "apply",
        tmp_path / "x.npy",
        "-k",
        "box",
        "--nodata",
        "-9999",
        "--depth",
        "8",
        "--white",
        "1",
    ]
    call(*words, "--range", "shift", "-o", out, "-f")
    np.testing.assert_array_equal(np.asarray(read_image(out))[0], [255] * 3 + [0] * 6)


def test_an_image_without_any_value_stays_so(tmp_path):
    np.save(tmp_path / "x.npy", np.full((9, 9), np.nan))
    for mode in ("raw", "signed", "stretch:99"):
        got = filtered(tmp_path, tmp_path / "x.npy", "--nodata", "nan", "-k", "box")
        assert np.isnan(got).all(), mode
    out = tmp_path / "out.png"
    words = ["apply", tmp_path / "x.npy", "-k", "box", "--nodata", "nan", "-o", out, "--json"]
    done = call(*words, "--range", "stretch")
    assert "min" not in json.loads(done.stdout)
    assert not np.asarray(read_image(out)).any()


def test_other_values_are_never_missing(tmp_path):
    x = np.arange(60, dtype=np.uint8).reshape(6, 10)
    write_image(tmp_path / "x.png", Image(x))
    plain = filtered(tmp_path, tmp_path / "x.png", "-k", "gaussian:1")
    for value in ("nan", "-1", "0.5", "300", "1e300"):
        got = filtered(tmp_path, tmp_path / "x.png", "-k", "gaussian:1", "--nodata", value)
        np.testing.assert_array_equal(got, plain)


def test_a_map_of_several_kernels_is_missing_where_one_is(tmp_path):
    x = np.ones((1, 7), np.float32)
    x[0, :4] = np.nan
    np.save(tmp_path / "x.npy", x)
    words = ["-k", "box:1x3", "-k", "1 0 0", "--combine", "sum", "--nodata", "nan"]
    got = filtered(tmp_path, tmp_path / "x.npy", *words)
    np.testing.assert_array_equal(got[0, 0], [np.nan] * 5 + [2, 2])


def geotiff(path, x, nodata):
    """Write a GeoTIFF that says what stands for no value."""
    tags = Georeference(x.shape, (Tag(42113, 2, nodata.encode() + b"\0"),))
    write_image(path, Image(x, georeference=tags))


def test_a_geotiff_says_itself_what_is_missing(tmp_path):
    x = np.ones((8, 8), np.float32)
    x[:, :4] = np.float32(-3.4028235e38)
    geotiff(tmp_path / "x.tif", x, "-3.4028234663852886e+38")
    out = tmp_path / "out.tif"
    done = call("apply", tmp_path / "x.tif", "-k", "box", "-o", out)
    assert b"--nodata -3.40282e+38" in done.stderr
    made = read_image(out)
    assert made.nodata == float(np.float32(-3.4028235e38))
    np.testing.assert_array_equal(np.asarray(made)[0], [x[0, 0]] * 3 + [1] * 5)


def test_what_is_given_goes_before_what_a_geotiff_says(tmp_path):
    x = np.full((8, 8), 2, np.float32)
    x[:, :4] = 1
    geotiff(tmp_path / "x.tif", x, "1")
    out = tmp_path / "out.tif"
    done = call("apply", tmp_path / "x.tif", "-k", "box", "-o", out, "--nodata", "2")
    assert done.stderr == b""
    made = read_image(out)
    assert made.nodata == 2
    np.testing.assert_array_equal(np.asarray(made)[0], [1] * 5 + [2] * 3)


def test_a_mask_of_another_size_costs_that_image_alone(tmp_path, photo):
    image, mask = photo
    write_image(tmp_path / "other.png", Image(np.ones((9, 9), np.uint8)))
    out = tmp_path / "out"
    words = [
        "apply",
        tmp_path / "other.png",
        image,
        "-k",
        "box",
        "--mask",
        mask,
        "-o",
        f"{out}/",
        "-q",
    ]
    line = error_line(call(*words), 1)
    assert line.startswith(f"Error: {tmp_path / 'other.png'}: has 9 rows of 9 pixels, and the mask")
    assert [each.name for each in out.iterdir()] == ["photo.box.png"]
    done = call(*words[:-1], "--dry-run", "-f")
    assert done.returncode == 1
    assert b"the mask" in done.stderr


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.full((24, 30), -0.5), "values from -0.5 to -0.5"),
        (np.full((24, 30), np.nan), "values from nan"),
        (np.ones((24, 30, 2)), "has 2 bands"),
    ],
)
def test_a_mask_that_is_none_is_refused(tmp_path, photo, pixels, words):
    np.save(tmp_path / "m.npy", pixels)
    done = call(
        "apply", photo[0], "-k", "box", "--mask", tmp_path / "m.npy", "-o", tmp_path / "o.png"
    )
    assert words in error_line(done, 2)
    assert not (tmp_path / "o.png").exists()


def test_a_mask_is_never_overwritten(photo):
    image, mask = photo
    before = mask.read_bytes()
    done = call("apply", image, "-k", "box", "--mask", mask, "-o", mask, "-f")
    assert "is an input" in error_line(done)
    assert mask.read_bytes() == before


def test_every_number_of_threads_gives_the_same_weighted_pixels(tmp_path):
    rng = np.random.default_rng(3)
    write_image(tmp_path / "x.png", Image(rng.integers(0, 256, (300, 400, 3), np.uint8)))
    write_image(tmp_path / "m.png", Image(rng.integers(0, 256, (300, 400), np.uint8)))
    words = [tmp_path / "x.png", "--mask", tmp_path / "m.png", "-k", "log"]
    one, several = (filtered(tmp_path, *words, "--jobs", n) for n in (1, 3))
    np.testing.assert_array_equal(one, several)


def test_normalised_convolution_is_astropys():
    convolution = pytest.importorskip("astropy.convolution")
    rng = np.random.default_rng(4)
    x = rng.random((40, 50))
    x[rng.random(x.shape) < 0.4] = np.nan
    kernel = Kernel(rng.random((5, 7)))
    rule = Filter((kernel.normalized("sum").flipped(),), ConvParams(padding="same"), nodata=np.nan)
    got = filtered_pixels(Image(x), rule, rule.kernels, np.dtype(np.float64), Range("raw"))
    theirs = convolution.convolve(
        x, kernel.weights, boundary="extend", nan_treatment="interpolate", preserve_nan=False
    )
    np.testing.assert_allclose(got, theirs, rtol=1e-5)


def test_explain_counts_as_apply_does(tmp_path):
    x = np.full((6, 8), 2, np.float32)
    x[:, :4] = -9999
    geotiff(tmp_path / "x.tif", x, "-9999")
    for at, value in (("3,3", 2), ("3,5", 2), ("3,1", -9999)):
        done = call("explain", tmp_path / "x.tif", "-k", "box", "--at", at, "--json")
        (channel,) = json.loads(done.stdout)["channels"]
        assert channel["value"] == pytest.approx(value)
        assert channel["pixel"] == pytest.approx(value)


def test_border_without_a_value_weighs_nothing(tmp_path):
    """Weights that lie in the picture are scaled up to the whole, as some programs do."""
    pixels = np.random.default_rng(3).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    write_image(tmp_path / "a.png", pixels)
    words = ("-k", "1 2 3; 4 5 6; 7 8 9 / 45", "--border", "-1", "--nodata", "-1")
    done = call("apply", tmp_path / "a.png", *words, "-o", tmp_path / "b.npy")
    assert done.returncode == 0, done.stderr
    kernel = np.arange(1, 10).reshape(3, 3, 1)
    padded = np.pad(pixels.astype(float), ((1, 1), (1, 1), (0, 0)))
    inside = np.pad(np.ones((9, 11, 1)), ((1, 1), (1, 1), (0, 0)))
    expected = [
        [
            (padded[i : i + 3, j : j + 3] * kernel).sum(axis=(0, 1))
            / (inside[i : i + 3, j : j + 3] * kernel).sum()
            for j in range(11)
        ]
        for i in range(9)
    ]
    assert np.abs(np.load(tmp_path / "b.npy") - expected).max() < 1e-3


def interpolated(x, kernel):
    """Return what astropy's documentation says of ``nan_treatment="interpolate"``: four loops.

    Its kernel is turned, sums to 1, and is divided by what of it lies on values that are there;
    beyond the edge the nearest pixels go on.
    """
    (height, width), (rows, columns) = x.shape, kernel.shape
    made = np.full(x.shape, np.nan)
    for row in range(height):
        for column in range(width):
            total = weight = 0.0
            for i in range(rows):
                for j in range(columns):
                    r = min(max(row + rows // 2 - i, 0), height - 1)
                    c = min(max(column + columns // 2 - j, 0), width - 1)
                    if not np.isnan(x[r, c]):
                        total += kernel[i, j] * x[r, c]
                        weight += kernel[i, j]
            if weight:
                made[row, column] = total / weight
    return made


@pytest.mark.parametrize("shape", [(1, 5), (3, 3), (5, 3)])
def test_missing_values_under_a_blur_are_interpolated_as_astropy_does(tmp_path, shape):
    rng = np.random.default_rng(sum(shape))
    x = rng.random((12, 15)) * 100
    x[rng.random(x.shape) < 0.4] = np.nan
    x[2:9, 3:11] = np.nan
    kernel = rng.random(shape)
    np.save(tmp_path / "x.npy", x)
    got = filtered(
        tmp_path, tmp_path / "x.npy", "-k", typed(kernel), "--convolve", "--normalize", "sum",
        "--nodata", "nan",
    )[0]  # fmt: skip
    expected = interpolated(x, kernel)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    assert np.isnan(got).any()
    np.testing.assert_allclose(got, expected, rtol=1e-10)


def test_pixels_as_they_are_are_those_of_no_mask(tmp_path, photo):
    image, mask = photo
    black = np.full((24, 30), 255, np.uint8)
    black[3:20, 4:22] = 0
    write_image(mask, Image(black), force=True)
    for stride, dilation in (("1", "1"), ("2x3", "1"), ("1", "2x1")):
        words = ("-k", "1 -2 3; 0 1 4; 2 5 -1", "--stride", stride, "--dilation", dilation)
        masked, plain = (
            filtered(tmp_path, image, *words, *more) for more in (("--mask", mask), ())
        )
        down, across = (
            int(n) for n in (stride if "x" in stride else f"{stride}x{stride}").split("x")
        )
        inside = (
            slice(None),
            slice(-(-6 // down), 17 // down),
            slice(-(-7 // across), 19 // across),
        )
        np.testing.assert_allclose(masked[inside], plain[inside], atol=1e-3)
        assert abs(masked - plain).max() > 1
