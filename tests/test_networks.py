"""Networks: the same maps as PyTorch, gradients as measured, receptive fields as seen."""

import numpy as np
import pytest

from conv_cli import Network
from conv_cli.borders import NAMES, fold, pad
from conv_cli.errors import ModelError

RNG = np.random.default_rng(0)


def conv(shape, seed=0, **sliding):
    """A convolution with random weights of that shape, and a bias."""
    rng = np.random.default_rng(seed)
    weight, bias = rng.standard_normal(shape), rng.standard_normal(shape[0])
    return {"conv": {"weight": weight.tolist(), "bias": bias.tolist()}, **sliding}


STACKS = {
    "padding, relu": [conv((4, 3, 3, 3), padding=1), {"relu": {}}],
    "stride, even kernel": [conv((4, 3, 4, 2), stride=[2, 3], padding=[1, 0]), {"abs": {}}],
    "dilation": [conv((2, 3, 3, 3), dilation=[2, 3], padding=[2, 3]), {"square": {}}],
    "groups": [conv((6, 1, 3, 3), groups=3), {"tanh": {}}, conv((4, 3, 2, 2), 1, groups=2)],
    "sides padded apart": [conv((2, 3, 3, 3), padding=[[2, 0], [1, 3]]), {"sigmoid": {}}],
    "same": [conv((2, 3, 4, 5), padding="same"), {"relu": {}}],
    "same, dilated": [conv((2, 3, 2, 4), padding="same", dilation=3), {"relu": {}}],
    "root": [conv((2, 3, 3, 3)), {"square": {}}, {"sqrt": {}}],
    "maxpool": [conv((2, 3, 3, 3)), {"maxpool": {"size": 2}}],
    "maxpool, overlapping and padded": [{"maxpool": {"size": [3, 4], "stride": 2, "padding": 1}}],
    "maxpool, dilated": [{"maxpool": {"size": 3, "stride": [1, 2], "dilation": 2}}],
    "avgpool": [{"avgpool": {"size": [2, 3]}}, conv((2, 3, 2, 2))],
    "avgpool, padded": [{"avgpool": {"size": 3, "stride": 2, "padding": 1}}],
    "avgpool, padding left out": [
        {"avgpool": {"size": 3, "stride": 2, "padding": [1, 0], "count_include_pad": False}}
    ],
    "a network's first layers": [
        conv((8, 3, 7, 7), stride=2, padding=3), {"relu": {}},
        {"maxpool": {"size": 3, "stride": 2, "padding": 1}},
        conv((8, 4, 3, 3), 1, groups=2, padding=1), {"relu": {}}, conv((4, 8, 1, 1), 2),
    ],
    "reflected": [conv((2, 3, 3, 5), padding=[1, 2], border="reflect"), {"relu": {}}],
    "circular": [conv((2, 3, 3, 5), padding=[1, 2], border="wrap"), {"relu": {}}],
    "replicated": [conv((2, 3, 3, 5), padding=[1, 2], stride=2, border="edge"), {"relu": {}}],
}  # fmt: skip


def in_pytorch(layers, x):
    """The maps of every layer, as PyTorch makes them."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    nn = torch.nn.functional
    y, maps = torch.from_numpy(x), []
    for layer in layers:
        kind = next(
            name
            for name in layer
            if name not in {"stride", "padding", "dilation", "groups", "border"}
        )
        options = layer[kind]
        if kind == "conv":
            y = convolved(torch, layer, y)
        elif kind in ("maxpool", "avgpool"):
            pool = nn.max_pool2d if kind == "maxpool" else nn.avg_pool2d
            given = {"kernel_size" if n == "size" else n: v for n, v in options.items()}
            y = pool(y, **given)
        else:
            y = getattr(torch, kind)(y)
        maps.append(y.numpy())
    return maps


def convolved(torch, layer, y):
    weight, bias = (torch.tensor(layer["conv"][name], dtype=y.dtype) for name in ("weight", "bias"))
    padding = layer.get("padding", 0)
    mode = {"zero": "constant", "edge": "replicate", "wrap": "circular"}.get(
        layer.get("border", "zero"), layer.get("border")
    )
    if np.ndim(padding) == 2:
        (top, bottom), (left, right) = padding
        y, padding = torch.nn.functional.pad(y, (left, right, top, bottom)), 0
    elif mode != "constant":
        rows, columns = padding
        y, padding = torch.nn.functional.pad(y, (columns, columns, rows, rows), mode), 0
    return torch.nn.functional.conv2d(
        y, weight, bias, layer.get("stride", 1), padding, layer.get("dilation", 1),
        layer.get("groups", 1),
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("name", STACKS)
def test_every_layer_equals_pytorch(name):
    x = RNG.standard_normal((2, 3, 23, 21)).astype(np.float32)
    expected = in_pytorch(STACKS[name], x)
    for y, other in zip(Network({"layers": STACKS[name]}).maps(x), expected, strict=True):
        assert y.dtype == np.float32
        np.testing.assert_allclose(y, other, rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("seed", range(40))
def test_random_stack_equals_pytorch(seed):
    rng = np.random.default_rng(seed)
    channels, layers = 4, []
    for _ in range(rng.integers(2, 6)):
        outputs = int(rng.choice([2, 4, 6]))
        groups = int(rng.choice([g for g in (1, 2) if channels % g == outputs % g == 0]))
        kernel = rng.integers(1, 4, 2)
        layers.append(
            [
                conv(
                    (outputs, channels // groups, *kernel.tolist()), int(rng.integers(99)),
                    stride=rng.integers(1, 3, 2).tolist(), padding=rng.integers(0, 3, 2).tolist(),
                    dilation=rng.integers(1, 3, 2).tolist(), groups=groups,
                ),
                {rng.choice(["relu", "abs", "square", "sigmoid", "tanh"]): {}},
                {"maxpool": {"size": 2, "stride": int(rng.integers(1, 3)), "padding": int(rng.integers(0, 2))}},
                {"avgpool": {"size": [3, 2], "stride": 1, "padding": [1, 0]}},
            ][rng.integers(4)]
        )  # fmt: skip
        channels = outputs if "conv" in layers[-1] else channels
    x = rng.standard_normal((4, 40, 37)).astype(np.float32)
    try:
        maps = list(Network({"layers": layers}).maps(x))
    except ModelError as error:
        assert "larger than the image" in str(error)
        return
    expected = in_pytorch(layers, x[None])
    for y, (other,) in zip(maps, expected, strict=True):
        np.testing.assert_allclose(y, other, rtol=1e-4, atol=1e-4 * np.abs(other).max())


class TestGradients:
    """Every backward pass against differences of the forward pass."""

    @pytest.mark.parametrize("name", STACKS)
    def test_gradient_by_the_input_is_the_numerical_one(self, name):
        network = Network({"layers": STACKS[name]})
        x = np.random.default_rng(1).standard_normal((2, 3, 14, 13))
        measured_as_computed(network, x)

    @pytest.mark.parametrize("border", [*NAMES, 0.5])
    def test_gradient_finds_its_way_through_every_border(self, border):
        layers = [conv((2, 1, 3, 4), padding=[[2, 1], [3, 2]], stride=[1, 2], border=border)]
        measured_as_computed(Network({"layers": layers}), RNG.standard_normal((1, 1, 5, 6)))

    @pytest.mark.parametrize("border", NAMES)
    def test_fold_is_the_transpose_of_pad(self, border):
        padding = ((3, 2), (1, 4))
        x, g = RNG.standard_normal((2, 4, 5)), RNG.standard_normal((2, 9, 10))
        assert (pad(x, padding, border) * g).sum() == pytest.approx(
            (x * fold(g, padding, border)).sum()
        )

    def test_gradient_of_the_root_is_finite_at_zero(self):
        (layer,) = Network({"layers": [{"sqrt": {}}]}).layers
        x = np.array([[[[0.0, -1.0, 4.0, 1e-30]]]])
        gradient = layer.backward(x, layer.forward(x), np.ones_like(x))
        assert np.isfinite(gradient).all()
        assert gradient[0, 0, 0, :3].tolist() == [0, 0, 0.25]

    def test_gradient_of_a_maximum_goes_to_its_first_place_alone(self):
        (layer,) = Network({"layers": [{"maxpool": {"size": 2}}]}).layers
        x = np.array([[[[7.0, 7.0], [7.0, 1.0]]]])
        assert layer.backward(x, layer.forward(x), np.ones((1, 1, 1, 1))).tolist() == [
            [[[1, 0], [0, 0]]]
        ]


def measured_as_computed(network, x, step=1e-5):
    """Compare gradients of a random sum of the last maps, by pixels, weights and biases."""
    inputs = [x]
    for layer in network.layers:
        inputs.append(layer.forward(inputs[-1]))
    factors = np.random.default_rng(2).standard_normal(inputs[-1].shape)

    def loss():
        return float((network(x) * factors).sum())

    gradient = factors
    pairs = []
    for layer, before, after in zip(
        reversed(network.layers), inputs[-2::-1], inputs[:0:-1], strict=True
    ):
        found = layer.parameter_gradients(before, gradient)
        pairs += [(layer.parameters()[name], by) for name, by in found.items()]
        gradient = layer.backward(before, after, gradient)
    for values, computed in [(x, gradient), *pairs]:
        assert values.shape == computed.shape
        for index in np.random.default_rng(3).choice(values.size, min(values.size, 40), False):
            place = np.unravel_index(index, values.shape)
            measured = difference(loss, values, place, step)
            assert computed[place] == pytest.approx(measured, rel=1e-4, abs=1e-4)


def difference(loss, values, place, step):
    old = values[place]
    values[place] = old + step
    above = loss()
    values[place] = old - step
    below = loss()
    values[place] = old
    return (above - below) / (2 * step)


class TestReceptiveFields:
    @pytest.mark.parametrize("name", [n for n in STACKS if n != "circular"])
    @pytest.mark.one_in(4)
    def test_field_is_what_perturbing_single_pixels_shows(self, name):
        network = Network({"layers": STACKS[name]})
        shape = (3, 22, 21)
        for number, field in enumerate(network.fields(), 1):
            part = Network(network.layers[:number])
            rows, columns = part.shapes(shape)[-1][1:]
            for place in {(0, 0), (rows - 1, columns - 1), (rows // 2, columns // 3)}:
                seen = changed_by(part, shape, place)
                assert seen.any() or place != (rows // 2, columns // 3)
                for axis, (start, stop) in enumerate(field.of(*place)):
                    inside = max(start, 0), min(stop, shape[1 + axis])
                    at = np.flatnonzero(seen.any(1 - axis)).tolist()
                    assert not at or inside[0] <= at[0] <= at[-1] < inside[1]
                    if at and (start, stop) == inside:  # else holes may lie at its ends
                        assert (at[0], at[-1] + 1) == inside

    def test_info_is_worked_out_by_hand(self):
        network = Network(
            {
                "layers": [
                    conv((8, 3, 7, 5), stride=2, padding=[3, 2]),
                    {"relu": {}},
                    {"maxpool": {"size": 3, "stride": 2, "padding": 1}},
                    conv((4, 4, 3, 3), groups=2, dilation=2),
                ]
            }
        )
        first, relu, pool, second = network.info((3, 64, 48))
        assert first._asdict() == {
            "layer": 1, "kind": "conv", "output": (8, 32, 24),
            "parameters": 8 * 3 * 7 * 5 + 8, "multiply_adds": 8 * 32 * 24 * 3 * 7 * 5,
            "receptive_field": (7, 5), "jump": (2, 2), "start": (-3, -2),
            "dense_parameters": 3 * 64 * 48 * 8 * 32 * 24,
        }  # fmt: skip
        assert (relu.parameters, relu.multiply_adds, relu.start) == (0, 0, (-3, -2))
        assert (pool.output, pool.receptive_field, pool.jump) == ((8, 16, 12), (11, 9), (4, 4))
        assert pool.start == (-5, -4)
        assert second.receptive_field == (11 + 4 * 4, 9 + 4 * 4)
        assert second.parameters == 4 * 4 * 9 + 4

    def test_dense_layer_of_a_megapixel_and_1000_units_has_10_to_the_9(self):
        units = {"in_channels": 1, "out_channels": 1000, "kernel_size": 1000}
        (layer,) = Network({"layers": [{"conv": units}]}).info((1, 1000, 1000))
        assert layer.output == (1000, 1, 1)
        assert layer.dense_parameters == 10**9


def changed_by(network, shape, place):
    """Which pixels (rows, columns) of an input an output pixel depends on: each changed alone."""
    count = shape[1] * shape[2]
    x = np.random.default_rng(0).standard_normal(shape)
    seen = np.zeros(count, bool)
    for change in (1e4, -1e4):
        changed = np.repeat(x[None], count, 0).reshape(count, shape[0], -1)
        changed[np.arange(count), :, np.arange(count)] += change
        y = network(changed.reshape(count, *shape))[:, :, place[0], place[1]]
        seen |= (np.abs(y - network(x)[:, place[0], place[1]]) > 1e-6).any(1)
    return seen.reshape(shape[1:])
