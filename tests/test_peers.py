"""The same numbers as SciPy, ONNX and PyTorch, on shapes drawn at random."""

import numpy as np
import pytest
from scipy import ndimage, signal

from conv_cli import conv2d, corr2d

SCIPY_MODES = {
    "edge": "nearest",
    "zero": "constant",
    "reflect": "mirror",
    "symmetric": "reflect",
    "wrap": "wrap",
}


def draw(seed):
    """Draw an image, weights, bias and parameters of a layer that fit together."""
    rng = np.random.default_rng(seed)
    groups = int(rng.integers(1, 4))
    channels, outputs = groups * int(rng.integers(1, 4)), groups * int(rng.integers(1, 4))
    kernel = rng.integers(1, 6, 2)
    dilation, stride = rng.integers(1, 4, 2), rng.integers(1, 4, 2)
    padding = rng.integers(0, 4, (2, 2))
    least = np.maximum((kernel - 1) * dilation + 1 - padding.sum(axis=1), 1)
    size = least + rng.integers(0, 15, 2)
    x = rng.standard_normal((2, channels, *size)).astype(np.float32)
    weight = rng.standard_normal((outputs, channels // groups, *kernel)).astype(np.float32)
    bias = rng.standard_normal(outputs).astype(np.float32)
    options = {
        "stride": tuple(map(int, stride)),
        "padding": tuple(tuple(map(int, pair)) for pair in padding),
        "dilation": tuple(map(int, dilation)),
        "groups": groups,
    }
    return x, weight, bias, options


def assert_close(actual, expected):
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("border", SCIPY_MODES)
def test_every_border_equals_scipy(border, seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, rng.integers(1, 30, 2)).astype(np.int64)
    k = rng.integers(-99, 100, rng.integers(1, 8, 2))
    rows, columns = k.shape
    padding = ((rows // 2, (rows - 1) // 2), (columns // 2, (columns - 1) // 2))
    y = conv2d(x[None], k[None, None], padding=padding, border=border)[0]
    expected = ndimage.correlate(x, k, mode=SCIPY_MODES[border])
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("seed", range(20))
def test_valid_correlation_equals_scipy(seed):
    rng = np.random.default_rng(seed)
    k = rng.standard_normal(rng.integers(1, 9, 2))
    x = rng.standard_normal(np.array(k.shape) + rng.integers(0, 40, 2))
    np.testing.assert_allclose(corr2d(x, k), signal.correlate2d(x, k, "valid"), atol=1e-12)


@pytest.mark.parametrize("seed", range(60))
def test_layer_equals_the_onnx_reference(seed):
    onnx = pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator

    x, weight, bias, options = draw(seed)
    (top, bottom), (left, right) = options["padding"]
    node = onnx.helper.make_node(
        "Conv", ["x", "w", "b"], ["y"], group=options["groups"], strides=options["stride"],
        dilations=options["dilation"], pads=[top, left, bottom, right],
        kernel_shape=weight.shape[2:],
    )  # fmt: skip
    expected = ReferenceEvaluator(node).run(None, {"x": x, "w": weight, "b": bias})[0]
    assert_close(conv2d(x, weight, bias, **options), expected)


@pytest.mark.filterwarnings("ignore")  # those of building ONNX's cases for other operators
def test_onnx_projects_own_cases():
    onnx = pytest.importorskip("onnx")
    from onnx.backend.test.case.node import collect_testcases

    cases = collect_testcases("Conv")
    assert len(cases) >= 5
    for case in cases:
        node = case.model.graph.node[0]
        given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        for inputs, outputs in case.data_sets:
            x, weight = inputs[:2]
            y = conv2d(
                x,
                weight,
                inputs[2] if len(inputs) > 2 else None,
                stride=given.get("strides", 1),
                dilation=given.get("dilations", 1),
                groups=given.get("group", 1),
                padding=onnx_padding(given, x.shape, weight.shape),
            )
            assert_close(y, outputs[0])


def onnx_padding(given, image, weight):
    """((top, bottom), (left, right)) of a Conv node: its pads, or what SAME_LOWER works out to."""
    if given.get("auto_pad", b"NOTSET") == b"SAME_LOWER":
        totals = [
            max((-(-n // s) - 1) * s + k - n, 0)
            for n, k, s in zip(image[2:], weight[2:], given["strides"], strict=True)
        ]
        return tuple((total - total // 2, total // 2) for total in totals)
    top, left, bottom, right = given.get("pads", (0, 0, 0, 0))
    return (top, bottom), (left, right)


@pytest.mark.parametrize("seed", range(60))
def test_layer_equals_pytorch(seed):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x, weight, bias, options = draw(seed)
    (top, bottom), (left, right) = options.pop("padding")
    padded = torch.nn.functional.pad(torch.from_numpy(x), (left, right, top, bottom))
    expected = torch.nn.functional.conv2d(
        padded, torch.from_numpy(weight), torch.from_numpy(bias), **options
    ).numpy()
    assert_close(
        conv2d(x, weight, bias, padding=((top, bottom), (left, right)), **options), expected
    )


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("kernel", [(1, 1), (2, 2), (3, 4), (5, 2)])
@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_same_padding_equals_pytorch(kernel, dilation):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 2, 14, 15)).astype(np.float32)
    weight = rng.standard_normal((3, 2, *kernel)).astype(np.float32)
    expected = torch.nn.functional.conv2d(
        torch.from_numpy(x), torch.from_numpy(weight), padding="same", dilation=dilation
    ).numpy()
    assert_close(conv2d(x, weight, padding="same", dilation=dilation), expected)
