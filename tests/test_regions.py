"""A region is a window of the whole map, to the bit."""

import json

import numpy as np
import pytest

from command import call, error_line
from conv_cli import Kernel, load_kernel, write_image
from conv_cli.borders import Border
from conv_cli.correlation.correlate import correlate
from conv_cli.correlation.params import ConvParams
from conv_cli.correlation.problem import Region, Source
from conv_cli.images import Image, read_image
from conv_cli.pipeline.feature_map import Range
from conv_cli.pipeline.filter import Filter, filtered_pixels
from conv_cli.pipeline.weights import Mask

GROUPS, CASES = 10, 20
KERNELS = ("sobel-x", "gaussian:2", "disk:8", "log", "box:2x5", "gabor", "1 2; 3 5")


def chosen(rng):
    """Return an image, and what is to be done to it but for the region."""
    kind = rng.choice(["uint8", "uint16", "float32", "float64"])
    height, width = map(int, rng.integers(20, 500, 2))
    alpha = bool(rng.random() < 0.3)
    colours = int(rng.choice([1, 3]))
    top = {"uint8": 255, "uint16": 65535}.get(str(kind), 1)
    x = (rng.random((height, width, colours + alpha)) * top).astype(kind)
    image = Image(x[..., 0] if x.shape[2] == 1 else x, alpha=alpha)
    masked = rng.random() < 0.3
    mask = Mask("m", rng.integers(0, 256, (height, width), np.uint8) // 2 * 2, 255.0)
    names = rng.choice(KERNELS, int(rng.integers(1, 3)))
    rule = Filter(
        tuple(map(load_kernel, map(str, names))),
        ConvParams(
            padding="same",
            border=Border.named(str(rng.choice(["edge", "zero", "reflect", "wrap", "0.5"]))),
            dilation=(int(rng.integers(1, 3)), int(rng.integers(1, 3))),
        ),
        gray=bool(rng.random() < 0.2),
        filter_alpha=bool(rng.random() < 0.3),
        linear=bool(rng.random() < 0.2),
        combine="sum",
        mask=mask if masked else None,
        nodata=float(x.flat[0]) if rng.random() < 0.2 else None,
    )
    return image, rule


@pytest.mark.parametrize("seed", range(GROUPS))
def test_a_region_is_the_window_of_the_whole_to_the_bit(seed):
    rng = np.random.default_rng(seed)
    for _ in range(CASES):
        image, rule = chosen(rng)
        (_, kernels) = rule.maps()[0]
        whole = filtered_pixels(image, rule, kernels, np.dtype(np.float64), Range("raw"))
        spans = [sorted(map(int, rng.choice(n + 1, 2, replace=False))) for n in image.shape[:2]]
        region = Region(*map(tuple, spans))
        part = filtered_pixels(
            image, rule._replace(region=region), kernels, np.dtype(np.float64), Range("raw")
        )
        window = whole[slice(*region.rows), slice(*region.columns)]
        np.testing.assert_array_equal(part, window)


@pytest.fixture
def photo(tmp_path):
    rng = np.random.default_rng(0)
    write_image(tmp_path / "x.png", Image(rng.integers(0, 256, (300, 400, 3), np.uint8)))
    return tmp_path / "x.png"


def applied(folder, name, *words):
    out = folder / name
    done = call("apply", folder / "x.png", *words, "-o", out, "-f")
    assert done.returncode == 0, done.stderr
    return np.asarray(read_image(out))


def test_a_region_of_a_file_is_the_window_of_its_map(tmp_path, photo):
    words = ["-k", "gaussian:3"]
    whole = applied(tmp_path, "whole.png", *words)
    part = applied(tmp_path, "part.png", *words, "--region", "200,31,77x310")
    np.testing.assert_array_equal(part, whole[200:277, 31:341])


@pytest.mark.parametrize("mode", ["stretch", "signed", "stretch:95"])
def test_the_range_is_taken_from_the_region_alone(tmp_path, photo, mode):
    raw = applied(tmp_path, "raw.npy", "-k", "sobel-x")[100:140, 50:90]
    part = applied(tmp_path, "p.png", "-k", "sobel-x", "--region", "100,50,40x40", "--range", mode)
    np.save(tmp_path / "own.npy", raw)
    done = call(
        "apply", tmp_path / "own.npy", "-k", "1", "--range", mode, "--depth", "8", "-f",
        "-o", tmp_path / "own.png",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(part, np.asarray(read_image(tmp_path / "own.png")))


def test_opacity_of_a_region_is_that_of_its_pixels(tmp_path):
    rng = np.random.default_rng(1)
    x = rng.integers(0, 256, (60, 70, 4), np.uint8)
    write_image(tmp_path / "x.png", Image(x, alpha=True))
    part = applied(tmp_path, "part.png", "-k", "box", "--region", "10,20,30x40")
    np.testing.assert_array_equal(part[..., 3], x[10:40, 20:60, 3])


def test_a_region_reads_its_neighbourhood_alone():
    class Told:
        """Pixels that tell which rows were read of them."""

        shape, dtype, rows = (1, 1, 4000, 900), np.dtype(np.float32), set()

        def window(self, rows, columns):
            places = np.arange(4000)[rows]
            self.rows.update(places.tolist())
            return np.ones((1, 1, len(places), len(np.arange(900)[columns])), np.float32)

    pixels = Told()
    source = Source.of(pixels)
    Told.rows.clear()
    weights = load_kernel("gaussian:2").weights[None, None]
    params = ConvParams(padding=((6, 6), (6, 6)))
    correlate(source, weights, params, lambda *_: None, only=Region((2000, 2010), (0, 900)))
    assert {1994, 2015} <= pixels.rows
    assert len(pixels.rows) < 1000


def test_a_region_outside_costs_that_image_alone(tmp_path, photo):
    write_image(tmp_path / "small.png", Image(np.ones((50, 60), np.uint8)))
    out = tmp_path / "out"
    words = ["apply", tmp_path / "small.png", photo, "-k", "box", "--region", "10,20,41x40"]
    line = error_line(call(*words, "-o", f"{out}/", "-q"))
    assert "small.png: has 50 rows of 60 pixels, and --region 10,20,41x40 goes to row 50" in line
    assert [each.name for each in out.iterdir()] == ["x.box.png"]


@pytest.mark.parametrize(
    "words", [["--padding", "valid"], ["--padding", "1"], ["--stride", "2"], ["--stride", "1x2"]]
)
def test_a_region_of_another_map_is_refused(tmp_path, photo, words):
    done = call(
        "apply", photo, "-k", "box", "--region", "0,0,9x9", *words, "-o", tmp_path / "out.png"
    )
    assert f"leave out {words[0]}" in error_line(done, 2)
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("value", ["1,2", "1,2,3", "1,2,0x3", "-1,2,3x3", "a,b,cxd", "1 2 3x3"])
def test_a_region_that_is_none_is_refused(tmp_path, photo, value):
    done = call("apply", photo, "-k", "box", f"--region={value}", "-o", tmp_path / "out.png")
    assert "--region: " in error_line(done, 2)


def test_a_dry_run_tells_the_size_of_the_region(tmp_path, photo):
    words = ["-k", "box", "--region", "10,20,30x40", "--dry-run", "--json"]
    done = call("apply", photo, *words, "-o", tmp_path / "out.png")
    assert json.loads(done.stdout)["shape"] == [30, 40, 3]


def test_a_kernel_larger_than_the_region_reads_the_image_around_it(tmp_path, photo):
    kernel = Kernel(np.ones((41, 41)) / 41**2, name="k")
    kernel.save(tmp_path / "k.json")
    whole = applied(tmp_path, "whole.npy", "-k", tmp_path / "k.json")
    part = applied(tmp_path, "part.npy", "-k", tmp_path / "k.json", "--region", "299,0,1x1")
    np.testing.assert_array_equal(part.squeeze(), whole[299, 0])
