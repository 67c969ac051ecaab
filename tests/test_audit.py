"""Whether maps shift as their image does: held against loops, and against what must be so."""

import json
import math

import numpy as np
import pytest

import oracle
from command import call, error_line
from conv_cli import Network, read_image
from conv_cli.networks.audit import audit

RNG = np.random.default_rng(3)
STACK = {
    "layers": [
        {"conv": {"weight": RNG.standard_normal((4, 2, 3, 2)).tolist()}, "padding": 1},
        {"relu": {}},
        {
            "conv": {"weight": RNG.standard_normal((3, 4, 2, 3)).tolist()},
            "padding": "same",
            "border": "reflect",
        },
        {"maxpool": {"size": 3, "stride": 1}},
    ]
}
SHIFTS = [(1, 1), (0, 3), (-2, 1), (4, -5), (0, 0)]


def image(rows=24, columns=27, channels=2):
    return RNG.integers(0, 256, (channels, rows, columns)).astype("u1")


def audited(model, x, shift):
    return list(audit(Network(model), x, shift))


class TestStrideOfOne:
    @pytest.mark.parametrize("shift", SHIFTS)
    def test_stack_shifts_to_within_rounding_inside_its_field(self, shift):
        for layer in audited(STACK, image(), shift):
            assert layer.aligned
            assert layer.moved == shift
            assert layer.largest.stride == 0
            assert layer.largest.rounding < 1e-5 * layer.magnitude

    def test_border_is_the_whole_distance(self):
        for layer in audited(STACK, image(), (1, 1)):
            assert layer.largest.border > 0.01 * layer.magnitude
            assert layer.largest.distance == pytest.approx(layer.largest.border, rel=1e-5)
            assert 0.5 < layer.inside < 1

    def test_valid_windows_have_no_border(self):
        for layer in audited(
            {"layers": [{"conv": {"weight": [[[[1, 2], [3, -4]]]]}}]}, image(channels=1), (2, -3)
        ):
            assert layer.largest == (0, 0, 0, 0)
            assert layer.inside == 1

    def test_wrapping_border_shifts_everywhere(self):
        (layer,) = audited(
            {
                "layers": [
                    {
                        "conv": {"kernel": "1 2 -4; 5 7 9; 3 0 1"},
                        "padding": "same",
                        "border": "wrap",
                    }
                ]
            },
            image(),
            (3, 2),
        )
        assert layer.inside < 1
        assert layer.largest.distance == 0

    def test_differences_are_where_the_field_reaches_the_border(self):
        (layer,) = audited("[1 1 1 1 1; 1 1 1 1 1; 1 1 1 1 1]", image(channels=1), (1, 0))
        where = layer.where
        assert np.isnan(where[0]).all()  # what was shifted in has nothing to be compared with
        assert (where[2:-1, 2:-2] == 0).all()
        assert (where[[1, -1]] > 0).any()

    def test_rounding_is_what_float64_does_not_have(self):
        model = {"layers": [{"conv": {"weight": RNG.standard_normal((3, 2, 5, 5)).tolist()}}]}
        single, double = (
            audited(model, x, (2, 1))[0] for x in [image().astype("f4"), image().astype("f8")]
        )
        assert double.largest.rounding < 1e-12 * double.magnitude
        assert single.largest.rounding < 1e-5 * single.magnitude


def pooled(x, size, stride, kind):
    """Return the pools of (C, H, W) by loops."""
    rows, columns = ((n - size) // stride + 1 for n in x.shape[1:])
    found = np.empty((len(x), rows, columns))
    for channel, row, column in np.ndindex(found.shape):
        window = x[
            channel, row * stride : row * stride + size, column * stride : column * stride + size
        ]
        found[channel, row, column] = kind(window)
    return found


class TestPooling:
    @pytest.mark.parametrize(("kind", "of"), [("maxpool", np.max), ("avgpool", np.mean)])
    @pytest.mark.parametrize("shift", [(1, 1), (2, 2), (3, 0), (0, -1), (-4, 2), (2, 1)])
    def test_pooling_by_two_fails_at_odd_shifts_alone(self, kind, of, shift):
        x = image(16, 18)
        (layer,) = audited({"layers": [{kind: {"size": 2, "stride": 2}}]}, x, shift)
        odd = any(s % 2 for s in shift)
        assert layer.aligned is not odd
        assert (layer.largest.stride > 0) is odd
        assert layer.largest.border == 0 or odd
        assert layer.largest.rounding < 1e-4

    @pytest.mark.parametrize("shift", [(1, 1), (0, 1), (1, 0)])
    def test_number_is_that_of_maps_by_loops(self, shift):
        x = image(17, 20)
        (layer,) = audited({"layers": [{"maxpool": {"size": 3, "stride": 2}}]}, x, shift)
        maps = pooled(x.astype("f8"), 3, 2, np.max)
        after = pooled(np.roll(x, shift, (1, 2)).astype("f8"), 3, 2, np.max)
        far = np.abs(after - maps)
        assert layer.moved == (0, 0)
        assert layer.largest.distance == far.max()
        np.testing.assert_array_equal(layer.where, far.max(axis=0))
        # The first row and column see what was shifted in; all others see the picture alone.
        assert layer.largest.stride == far[:, shift[0] :, shift[1] :].max()
        assert layer.rms.distance == pytest.approx(math.sqrt((far**2).mean()))

    def test_stride_of_a_convolution_is_the_same(self):
        x = image(21, 22, 1)
        kernel = np.array([[1, -3], [2, 5]])
        model = {"layers": [{"conv": {"kernel": "1 -3; 2 5"}, "stride": 3}]}
        (layer,) = audited(model, x, (4, 0))
        assert layer.moved == (1, 0)
        before, after = (
            oracle.correlate(each, kernel[None, None], stride=(3, 3)).astype("f8")
            for each in (x.astype("i8"), np.roll(x, 4, 1).astype("i8"))
        )
        far = np.abs(after[:, 1:] - before[:, :-1])
        assert layer.largest.distance == far.max()
        assert layer.largest.stride == far[:, 1:].max()

    def test_squares_of_the_parts_add_up(self):
        model = {"layers": [STACK["layers"][0], {"maxpool": {"size": 2}}]}
        for layer in audited(model, image(), (1, 1)):
            parts = layer.rms.border**2 + layer.rms.stride**2 + layer.rms.rounding**2
            assert parts == pytest.approx(layer.rms.distance**2, rel=1e-4)

    def test_halves_go_towards_zero(self):
        model = {"layers": [{"avgpool": {"size": 4, "stride": 4}}]}
        moved = [audited(model, image(), (s, -s))[0].moved for s in (1, 2, 3, 4, 5, 6, 7)]
        assert moved == [(0, 0), (0, 0), (1, -1), (1, -1), (1, -1), (1, -1), (2, -2)]

    def test_map_smaller_than_its_shift_is_not_compared(self):
        model = {"layers": [{"conv": {"kernel": "box:19"}}]}
        (layer,) = audited(model, image(24, 24, 1), (12, 0))
        assert math.isnan(layer.largest.distance)
        assert layer.as_dict()["distance"] is None


class TestCommand:
    MODEL = "sobel-x | abs | maxpool:2 | box:3"

    @pytest.fixture
    def photo(self, tmp_path):
        np.save(tmp_path / "photo.npy", image()[0])
        return tmp_path / "photo.npy"

    def test_json_has_an_object_a_layer(self, photo):
        done = call("net", "audit", self.MODEL, photo, "--json")
        assert done.returncode == 0
        found = [json.loads(line) for line in done.stdout.decode().splitlines()]
        assert [each["layer"] for each in found] == [1, 2, 3, 4]
        assert [each["kind"] for each in found] == ["conv", "abs", "maxpool", "conv"]
        assert [each["stride"] > 0 for each in found] == [False, False, True, True]
        assert found[2]["output"] == [1, 12, 13]
        assert found[2]["moved"] == [0, 0]
        assert set(found[0]) == {
            "image", "layer", "kind", "output", "jump", "moved", "aligned", "inside", "magnitude",
            "distance", "border", "stride", "rounding", "rms",
        }  # fmt: skip
        assert set(found[0]["rms"]) == {"distance", "border", "stride", "rounding"}

    def test_table_marks_where_the_shift_is_no_multiple(self, photo):
        lines = (
            call("net", "audit", self.MODEL, photo, "--shift", "2,-3").stdout.decode().splitlines()
        )
        assert lines[0].split() == [
            "layer",
            "kind",
            "output",
            "moved",
            "largest",
            "distance",
            "border",
            "stride",
            "rounding",
        ]
        assert [line.split()[3] for line in lines[1:]] == ["2,-3", "2,-3", "~1,-1", "~1,-1"]

    def test_picture_has_a_panel_a_layer_red_where_maps_differ(self, photo, tmp_path):
        done = call("net", "audit", self.MODEL, photo, "-o", tmp_path / "where.png")
        assert done.returncode == 0
        pixels = read_image(tmp_path / "where.png").pixels.astype(int)
        red = (pixels[..., 0] - pixels[..., 2]) > 60
        middle = pixels.shape[0] // 2, pixels.shape[1] // 2
        assert not red[80 : middle[0] - 40, 60 : middle[1] - 40].any()  # inside of layer 1
        assert red[middle[0] + 60 : -60, 60 : middle[1] - 40].any()  # and of layer 3

    @pytest.mark.parametrize(
        ("options", "code", "reason"),
        [
            (("--shift", "1"), 2, "use ROW,COL, as 1,1 or 0,-2"),
            (("--shift", "24,0"), 2, "a shift of 24,0 leaves nothing of 24x27 pixels"),
            (("-o", "photo.npy", "-f"), 1, "is an input and never overwritten"),
            (("-o", "gone/a.png"), 1, "its folder does not exist"),
            (("-o", "where.xyz"), 1, "where.xyz: "),
        ],
    )
    def test_what_cannot_be_done_is_one_line(self, photo, options, code, reason):
        done = call("net", "audit", self.MODEL, "photo.npy", *options, cwd=photo.parent)
        assert reason in error_line(done, code)
        assert [path.name for path in photo.parent.iterdir()] == ["photo.npy"]

    def test_model_without_weights_is_refused(self, photo, tmp_path):
        (tmp_path / "net.json").write_text(
            '{"layers": [{"conv": {"in_channels": 1, "out_channels": 1, "kernel_size": 3}}]}'
        )
        done = call("net", "audit", tmp_path / "net.json", photo)
        assert "has no weights yet" in error_line(done, 2)

    def test_maps_beyond_memory_are_refused(self, photo, monkeypatch):
        from conv_cli.pipeline import network_task

        monkeypatch.setattr(network_task, "available_memory", lambda: 1000)
        done = call("net", "audit", self.MODEL, photo)
        assert "give a smaller image" in error_line(done, 1)
