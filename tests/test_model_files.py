"""Models of frameworks: weights from safetensors and ONNX files, and ONNX files as models."""

import json
import os
import pickle
import shutil
import struct
import tracemalloc

import numpy as np
import onnx
import onnx.reference
import pytest
import safetensors.numpy
from onnx import TensorProto, helper, numpy_helper

from command import call, error_line
from conv_cli import Network, conv2d
from conv_cli.errors import ModelError

RNG = np.random.default_rng(5)


def random(*shape):
    return RNG.standard_normal(shape).astype("f4")


def raw(header, data=b""):
    """Return the bytes of a safetensors file of any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype="F32", shape=(1, 1, 1, 2), offsets=(0, 8), **others):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **others}


def by_file(folder, file, weight="w", **others):
    """Return a model of one convolution whose weights lie in a file."""
    bias = {"bias": others.pop("bias")} if "bias" in others else {}
    model = {"layers": [{"conv": {"file": file, "weight": weight, **bias}, **others}]}
    path = folder / "net.json"
    path.write_text(json.dumps(model))
    return path


def node(kind, inputs, output, **attributes):
    return helper.make_node(kind, inputs.split(), output.split(), name=f"/{output}", **attributes)


def graph_of(nodes, shape, tensors=(), outputs=None):
    """Return an ONNX model with an input x; its outputs are those of all nodes."""
    names = outputs or [n.output[0] for n in nodes]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names],
        [numpy_helper.from_array(array, name) for name, array in dict(tensors).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def truths(model, x):
    """Return what the reference of ONNX makes of every node."""
    found = onnx.reference.ReferenceEvaluator(model).run(None, {"x": x[None].astype("f4")})
    return [maps[0] for maps in found]


def networks():
    """Yield the beginnings of three networks, their public shapes with weights at random."""
    w = {"w": random(64, 3, 11, 11) / 10, "b": random(64)}
    nodes = [
        node("Conv", "x w b", "c", kernel_shape=[11, 11], strides=[4, 4], pads=[2, 2, 2, 2]),
        node("Relu", "c", "r"),
        node("MaxPool", "r", "p", kernel_shape=[3, 3], strides=[2, 2]),
    ]
    yield "alexnet", nodes, w, {"stride": 4, "padding": 2}
    nodes = [
        node("Conv", "x w b", "c", pads=[1, 1, 1, 1]),
        node("Relu", "c", "r"),
        node("Conv", "r w2 b2", "c2", pads=[1, 1, 1, 1]),
        node("Relu", "c2", "r2"),
        node("MaxPool", "r2", "p", kernel_shape=[2, 2], strides=[2, 2]),
    ]
    w = {
        "w": random(64, 3, 3, 3),
        "b": random(64),
        "w2": random(64, 64, 3, 3) / 20,
        "b2": random(64),
    }
    yield "vgg", nodes, w, {"padding": 1}
    w = {
        "w": random(64, 3, 7, 7) / 8,
        "g": random(64),
        "s": random(64),
        "m": random(64),
        "v": random(64) ** 2,
    }
    nodes = [
        node("Conv", "x w", "c", strides=[2, 2], pads=[3, 3, 3, 3]),
        node("BatchNormalization", "c g s m v", "n", epsilon=1e-3),
        node("Relu", "n", "r"),
        node("MaxPool", "r", "p", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    ]
    yield "resnet", nodes, w, {"stride": 2, "padding": 3}


NETWORKS = {name: rest for name, *rest in networks()}


class TestFirstLayersOfKnownNetworks:
    @pytest.mark.parametrize("name", NETWORKS)
    def test_onnx_gives_the_maps_of_the_reference(self, tmp_path, name):
        nodes, weights, _ = NETWORKS[name]
        model = graph_of(nodes, [1, 3, 39, 35], weights)
        onnx.save(model, tmp_path / "net.onnx")
        x = random(3, 39, 35)
        expected = truths(model, x)
        if name == "resnet":  # whose convolution and normalization are one layer
            expected = expected[1:]
        network = Network(tmp_path / "net.onnx")
        assert network.notes == ()
        for found, truth in zip(network.maps(x), expected, strict=True):
            np.testing.assert_allclose(found, truth, atol=1e-4, rtol=0)

    @pytest.mark.parametrize("name", NETWORKS)
    def test_weights_alone_give_the_first_map(self, tmp_path, name):
        nodes, weights, sliding = NETWORKS[name]
        safetensors.numpy.save_file(weights, tmp_path / "net.safetensors")
        bias = {"bias": "b"} if "b" in weights else {}
        path = by_file(tmp_path, "net.safetensors", **bias, **sliding)
        x = random(3, 39, 35)
        (expected,) = truths(graph_of(nodes[:1], [1, 3, 39, 35], weights), x)
        np.testing.assert_allclose(Network(path)(x), expected, atol=1e-4, rtol=0)


class TestSafetensors:
    @pytest.mark.parametrize(
        "dtype", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]
    )
    def test_every_kind_of_numbers_is_read(self, tmp_path, dtype):
        weight = np.array([[[[3, 5, 120], [1, 0, 7]]]], dtype)
        safetensors.numpy.save_file(
            {"other": np.ones(3, "f4"), "w": weight, "z": random(2)},
            tmp_path / "a.safetensors",
            {"format": "pt"},
        )
        (layer,) = Network(by_file(tmp_path, "a.safetensors")).layers
        assert (layer.weight == weight).all()
        assert layer.bias is None

    def test_brain_floats_are_the_upper_halves_of_floats(self, tmp_path):
        values = np.array([1.5, -0.0078125], "f4")
        halves = (values.view("u4") >> 16).astype("<u2").tobytes()
        (tmp_path / "a.safetensors").write_bytes(raw({"w": entry("BF16", offsets=(0, 4))}, halves))
        (layer,) = Network(by_file(tmp_path, "a.safetensors")).layers
        assert layer.weight.ravel().tolist() == [1.5, -0.0078125]

    def test_only_what_is_asked_for_is_read(self, tmp_path):
        path = tmp_path / "a.safetensors"
        size = 1 << 30
        header = {
            "big": entry(shape=(size // 4,), offsets=(0, size)),
            "w": entry(offsets=(size, size + 8)),
        }
        path.write_bytes(raw(header))
        with path.open("r+b") as stream:  # a file with a hole
            stream.seek(0, os.SEEK_END)
            stream.seek(size, os.SEEK_CUR)
            stream.write(np.array([3, 4], "<f4").tobytes())
        tracemalloc.start()
        (layer,) = Network(by_file(tmp_path, "a.safetensors")).layers
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert layer.weight.ravel().tolist() == [3, 4]
        assert peak < 8 << 20

    def test_names_begin_at_the_folder_of_the_model(self, tmp_path, monkeypatch):
        (tmp_path / "sub").mkdir()
        safetensors.numpy.save_file({"w": random(2, 1, 3, 3)}, tmp_path / "a.safetensors")
        path = by_file(tmp_path / "sub", "../a.safetensors")
        monkeypatch.chdir("/")
        assert Network(path).files == (str(tmp_path / "sub" / "../a.safetensors"),)

    def test_trained_model_holds_the_weights_itself(self, tmp_path):
        weight = random(1, 1, 3, 3)
        safetensors.numpy.save_file({"w": weight}, tmp_path / "a.safetensors")
        network = Network(by_file(tmp_path, "a.safetensors"))
        (tmp_path / "else").mkdir()
        for name in ("m.json", "m.npz"):
            network.save(tmp_path / "else" / name)
            (layer,) = Network(tmp_path / "else" / name).layers
            assert (layer.weight == weight).all()
            assert Network(tmp_path / "else" / name).untrained == []


W = np.array([1, 2], "<f4").tobytes()
OTHER = entry(shape=(2,), offsets=(8, 16))
BROKEN_SAFETENSORS = {
    "empty": (b"", "cut short"),
    "no length": (b"\1\0\0", "cut short"),
    "header beyond the file": (struct.pack("<Q", 999) + b"{}", "should have 999 bytes"),
    "header of exabytes": (b"\xff" * 16, "should have 18,446,744,073,709,551,615 bytes"),
    "no header": (raw(b""), "empty"),
    "spaces": (raw(b"   "), "empty"),
    "no JSON": (raw(b"{w: 1}"), "not JSON"),
    "no text": (raw(b"\xff\xfe\xff"), "UTF-8"),
    "nested": (raw(b"[" * 100_000), "nested"),
    "a list": (raw([]), "header is a list"),
    "names twice": (
        raw(b'{"w": %b, "w": %b}' % ((json.dumps(entry()).encode(),) * 2), W),
        "given twice",
    ),
    "entry is a list": (raw({"w": [1]}), "expected an object of"),
    "no offsets": (raw({"w": {"dtype": "F32", "shape": [1, 1, 1, 2]}}, W), "expected an object of"),
    "a key too many": (raw({"w": entry(more=1)}, W), "expected an object of"),
    "dtype unknown": (raw({"w": entry("F31")}, W), '"dtype" is "F31"'),
    "dtype a number": (raw({"w": entry(4)}, W), '"dtype" is 4'),
    "truth values": (
        raw({"w": entry("BOOL", offsets=(0, 2))}, b"\0\1"),
        "holds BOOL, expected one of F64",
    ),
    "complex": (raw({"w": entry("C64", offsets=(0, 16))}, W + W), "holds C64"),
    "shape negative": (raw({"w": entry(shape=(1, 1, -1, 2))}, W), "whole numbers from 0"),
    "shape of fractions": (raw({"w": entry(shape=(1, 1, 1, 2.5))}, W), "whole numbers from 0"),
    "shape of truth values": (raw({"w": entry(shape=(1, 1, True, 2))}, W), "whole numbers from 0"),
    "shape a number": (raw({"w": entry() | {"shape": 2}}, W), "whole numbers from 0"),
    "shape infinite": (
        raw(b'{"w":{"dtype":"F32","shape":[1e999],"data_offsets":[0,8]}}', W),
        "whole numbers from 0",
    ),
    "shape of terabytes": (
        raw({"w": entry(shape=(1 << 20, 1 << 20, 1, 2))}, W),
        "take 8,796,093,022,208 bytes",
    ),
    "shape and offsets": (
        raw({"w": entry(shape=(1, 1, 1, 3))}, W),
        "take 12 bytes, and its offsets enclose 8",
    ),
    "offsets backwards": (raw({"w": entry(offsets=(8, 0))}, W), "the second the larger"),
    "three offsets": (raw({"w": entry(offsets=(0, 4, 8))}, W), "are not two whole numbers"),
    "offset negative": (raw({"w": entry(offsets=(-8, 0))}, W), "are not two whole numbers"),
    "beyond the file": (raw({"w": entry(), "v": OTHER}, W), "ends at byte"),
    "overlap": (
        raw({"w": entry(), "v": entry(shape=(2,), offsets=(4, 12))}, W + W[:4]),
        "overlaps",
    ),
    "the same place twice": (raw({"w": entry(), "v": entry()}, W), "overlaps"),
    "gap": (raw({"w": entry(offsets=(4, 12))}, W + W[:4]), "leaves a gap"),
    "bytes behind": (raw({"w": entry()}, W + b"\0"), "1 bytes behind its last tensor"),
    "not finite": (raw({"w": entry()}, np.array([1, np.inf], "<f4").tobytes()), "not finite"),
    "no such tensor": (raw({"v": entry()}, W), 'has no tensor "w"'),
    "five axes": (raw({"w": entry(shape=(1, 1, 1, 1, 2))}, W), "is 1x1x1x1x2, expected 4 axes"),
    "a side of 0": (raw({"w": entry(shape=(1, 0, 1, 2), offsets=(0, 0))}), "none of them 0"),
    "an archive of PyTorch": (b"PK\3\4" + bytes(99), "a file of PyTorch"),
    "a pickle": (pickle.dumps({"w": [1.0]}), "a file of PyTorch"),
}


@pytest.mark.parametrize("name", BROKEN_SAFETENSORS)
def test_broken_safetensors_are_refused_in_a_line_and_take_no_memory(tmp_path, name):
    contents, reason = BROKEN_SAFETENSORS[name]
    (tmp_path / "a.safetensors").write_bytes(contents)
    path = by_file(tmp_path, "a.safetensors")
    tracemalloc.start()
    with pytest.raises(ModelError) as caught:
        Network(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    message = str(caught.value)
    assert message.startswith(f"{path}: layer 1: conv: ")
    assert reason in message
    assert "\n" not in message
    assert peak < 8 << 20


def test_header_of_gigabytes_that_is_there_is_not_read(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", 4 << 30) + b"{")
    os.truncate(path, (4 << 30) + 8)
    tracemalloc.start()
    with pytest.raises(
        ModelError, match="its header has 4,294,967,296 bytes, which no model needs"
    ):
        Network(by_file(tmp_path, "a.safetensors"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def chained(*nodes, **tensors):
    return graph_of(list(nodes), [1, 2, 9, 11], tensors)


def made(tmp_path, model):
    onnx.save(model, tmp_path / "net.onnx")
    return Network(tmp_path / "net.onnx")


class TestOnnxLayers:
    @pytest.mark.parametrize(
        ("kind", "layers"),
        [
            ({"auto_pad": "SAME_UPPER"}, 1),
            ({"auto_pad": "SAME_LOWER", "dilations": [2, 1]}, 1),
            ({"auto_pad": "VALID"}, 1),
            ({"pads": [0, 1, 2, 3], "strides": [2, 1], "dilations": [1, 2]}, 1),
        ],
    )
    def test_convolution_slides_as_its_attributes_say(self, tmp_path, kind, layers):
        model = chained(node("Conv", "x w", "c", **kind), w=random(3, 2, 2, 3))
        x = random(2, 9, 11)
        network = made(tmp_path, model)
        assert len(network.layers) == layers
        np.testing.assert_allclose(network(x), truths(model, x)[0], atol=1e-5)

    def test_groups_are_kept(self, tmp_path):
        model = chained(node("Conv", "x w b", "c", group=2), w=random(4, 1, 2, 3), b=random(4))
        x = random(2, 9, 11)
        np.testing.assert_allclose(made(tmp_path, model)(x), truths(model, x)[0], atol=1e-5)

    @pytest.mark.parametrize(
        "pool",
        [
            {"kind": "MaxPool", "kernel_shape": [3, 2]},
            {"kind": "MaxPool", "kernel_shape": [3, 2], "strides": [2, 3], "pads": [0, 1, 1, 0]},
            {"kind": "MaxPool", "kernel_shape": [2, 2], "dilations": [2, 3]},
            {"kind": "AveragePool", "kernel_shape": [3, 2], "pads": [1, 0, 0, 1]},
            {
                "kind": "AveragePool",
                "kernel_shape": [2, 2],
                "pads": [1, 1, 1, 1],
                "count_include_pad": 1,
            },
        ],
    )
    def test_pooling_slides_as_its_attributes_say(self, tmp_path, pool):
        kind = pool["kind"]
        attributes = {name: value for name, value in pool.items() if name != "kind"}
        model = chained(node(kind, "x", "p", **attributes))
        x = random(2, 9, 11)
        found = made(tmp_path, model)
        np.testing.assert_allclose(found(x), truths(model, x)[0], atol=1e-5)
        found.save(tmp_path / "saved.json")
        assert (Network(tmp_path / "saved.json")(x) == found(x)).all()

    def test_functions_of_every_pixel_follow_each_other(self, tmp_path):
        nodes = [
            node("Abs", "x", "a"), node("Sqrt", "a", "b"), node("Tanh", "b", "c"),
            node("Identity", "c", "same"), node("Sigmoid", "same", "d"), node("Mul", "d d", "e"), node("Relu", "e", "f"),
        ]  # fmt: skip
        model = chained(*nodes)
        x = random(2, 9, 11)
        network = made(tmp_path, model)
        assert [layer.kind for layer in network.layers] == [
            "abs",
            "sqrt",
            "tanh",
            "sigmoid",
            "square",
            "relu",
        ]
        expected = [
            m for n, m in zip(nodes, truths(model, x), strict=True) if n.op_type != "Identity"
        ]
        for found, truth in zip(network.maps(x), expected, strict=True):
            np.testing.assert_allclose(found, truth, atol=1e-6)

    def test_normalization_without_a_convolution_is_one_of_its_own(self, tmp_path):
        tensors = {"g": random(2), "s": random(2), "m": random(2), "v": random(2) ** 2}
        model = chained(
            node("Abs", "x", "a"), node("BatchNormalization", "a g s m v", "n"), **tensors
        )
        x = random(2, 9, 11)
        np.testing.assert_allclose(made(tmp_path, model)(x), truths(model, x)[1], atol=1e-4)

    def test_normalizations_after_a_bias_are_folded_into_it(self, tmp_path):
        tensors = {name: random(2) for name in ("b", "g", "s", "m")} | {"v": random(2) ** 2}
        model = chained(
            node("Conv", "x w b", "c"),
            node("BatchNormalization", "c g s m v", "n"),
            node("BatchNormalization", "n s m b v", "n2", epsilon=0.5),
            w=random(2, 2, 3, 3), **tensors,
        )  # fmt: skip
        x = random(2, 9, 11)
        network = made(tmp_path, model)
        assert len(network.layers) == 1
        np.testing.assert_allclose(network(x), truths(model, x)[2], atol=1e-3, rtol=1e-5)

    def test_weights_may_be_constants_in_the_graph(self, tmp_path):
        weight = random(1, 2, 2, 2)
        constant = helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(weight))
        model = graph_of([constant, node("Conv", "x w", "c")], [1, 2, 9, 11], outputs=["c"])
        x = random(2, 9, 11)
        np.testing.assert_allclose(made(tmp_path, model)(x), conv2d(x, weight), atol=1e-5)

    @pytest.mark.parametrize("kind", ["f2", "f4", "f8", "i1", "i4", "i8", "u1"])
    def test_tensors_of_every_kind_are_weights(self, tmp_path, kind):
        weight = np.array([[[[1, 2], [100, 0]]]], kind)
        lists = helper.make_tensor(
            "listed", numpy_helper.from_array(weight).data_type, weight.shape, weight.ravel()
        )
        model = graph_of([node("Relu", "x", "r")], [1, 1, 9, 9], {"w": weight})
        model.graph.initializer.append(lists)
        onnx.save(model, tmp_path / "a.onnx")
        for name in ("w", "listed"):
            (layer,) = Network(by_file(tmp_path, "a.onnx", name)).layers
            assert (layer.weight == weight).all()


CONV = node("Conv", "x w", "c")
CUT = {
    "Clip": [node("Clip", "c", "y")],
    "Flatten": [node("Flatten", "c", "y")],
    "Gemm": [node("Gemm", "c w2", "y")],
    "Add": [node("Add", "c b", "y")],
    "GlobalAveragePool": [node("GlobalAveragePool", "c", "y")],
    "Conv .y and Add": [node("Conv", "c w2", "y"), node("Add", "y c", "z")],
    "Mul": [node("Mul", "c b", "y")],
    "MaxPool": [node("MaxPool", "c", "y", kernel_shape=[2, 2], ceil_mode=1)],
    "AveragePool": [node("AveragePool", "c", "y", kernel_shape=[2, 2], ceil_mode=1)],
    "Conv": [node("Conv", "c w2", "y", auto_pad="SAME_UPPER", strides=[2, 2])],
    "Relu": [helper.make_node("Relu", ["c"], ["y"], name="/y", domain="com.example")],
    "LeakyRelu": [node("LeakyRelu", "c", "y")],
    "Conv (transposed)": [node("ConvTranspose", "c w2", "y")],
}


@pytest.mark.parametrize("name", CUT)
def test_first_layer_that_is_not_known_ends_the_model_and_is_named(tmp_path, name):
    tensors = {"w": random(2, 2, 3, 3), "w2": random(2, 2, 2, 2), "b": random(1)}
    model = chained(CONV, *CUT[name], **tensors)
    network = made(tmp_path, model)
    (note,) = network.notes
    assert note.startswith("ends after layer 1: ")
    assert f"{CUT[name][0].op_type} /y" in note
    x = random(2, 9, 11)
    np.testing.assert_allclose(network(x), conv2d(x, tensors["w"]), atol=1e-5)


class TestExternalData:
    def external(self, folder, **places):
        weight = random(2, 2, 3, 3)
        model = chained(CONV, w=weight)
        (folder / "m").mkdir(exist_ok=True)
        onnx.save(
            model,
            folder / "m/net.onnx",
            save_as_external_data=True,
            location="net.data",
            size_threshold=0,
        )
        model = onnx.load(folder / "m/net.onnx", load_external_data=False)
        for pair in model.graph.initializer[0].external_data:
            pair.value = places.get(pair.key, pair.value)
        onnx.save(model, folder / "m/net.onnx")
        return weight

    def test_tensors_beside_the_model_are_read(self, tmp_path):
        weight = self.external(tmp_path)
        network = Network(tmp_path / "m/net.onnx")
        assert (network.layers[0].weight == weight).all()
        assert set(network.files) == {str(tmp_path / "m/net.onnx"), str(tmp_path / "m/net.data")}

    @pytest.mark.parametrize(
        "location", ["../net.data", "{}/net.data", "", ".", "sub/../../net.data", "link"]
    )
    def test_tensors_elsewhere_are_not(self, tmp_path, location):
        self.external(tmp_path, location=location.format(tmp_path))
        shutil.copy(tmp_path / "m/net.data", tmp_path / "net.data")
        (tmp_path / "m/link").symlink_to(tmp_path / "net.data")
        with pytest.raises(ModelError, match="outside the folder of its model"):
            Network(tmp_path / "m/net.onnx")

    @pytest.mark.parametrize(
        ("places", "reason"),
        [
            ({"offset": "4"}, "does not have there"),
            ({"offset": "-4"}, "does not have there"),
            ({"offset": "9" * 30}, "does not have there"),
            ({"length": "99999999999"}, "does not have there"),
            ({"length": "x"}, "does not have there"),
            ({"location": "gone.data"}, "no such file"),
            ({"location": "a\0b"}, "cannot be a file"),
        ],
    )
    def test_places_are_checked(self, tmp_path, places, reason):
        self.external(tmp_path, **places)
        with pytest.raises(ModelError, match=reason):
            Network(tmp_path / "m/net.onnx")


def edited(change, *nodes, **tensors):
    """Return the bytes of a model of a convolution, or of other nodes, after a change."""
    model = chained(*(nodes or [CONV]), **(tensors or {"w": random(2, 2, 3, 3)}))
    change(model.graph)
    return model.SerializeToString()


def initializer(**fields):
    def change(graph):
        for name, value in fields.items():
            field = getattr(graph.initializer[0], name)
            if isinstance(value, list):
                del field[:]
                field.extend(value)
            else:
                setattr(graph.initializer[0], name, value)

    return change


def twice(graph):
    graph.initializer.append(graph.initializer[0])


def same(graph):
    pass


BN = {"g": random(3), "s": random(3), "m": random(3), "v": random(3) ** 2, "w": random(2, 2, 3, 3)}
NORM = node("BatchNormalization", "c g s m v", "n")
BROKEN_ONNX = {
    "empty": (b"", "neither nodes nor tensors"),
    "text": (b"hello, world", "no ONNX model"),
    "a length beyond the file": (b"\x3a\xff\xff\xff\xff\x07", "no ONNX model"),
    "a name in no UTF-8": (edited(same).replace(b"Conv", b"Co\xffv"), "names are no text"),
    "cut short": (edited(same)[:-20], "no ONNX model"),
    "names twice": (edited(twice), "two tensors called .w."),
    "raw too short": (edited(initializer(raw_data=b"1234")), "cut short"),
    "dims of terabytes": (
        edited(initializer(dims=[1 << 40, 2, 3, 3])),
        "which no convolution needs",
    ),
    "dims beyond 64 bits together": (
        edited(initializer(dims=[1 << 62] * 4)),
        "which no convolution needs",
    ),
    "dims negative": (edited(initializer(dims=[2, -2, -3, 3])), "negative side"),
    "dims 0": (edited(initializer(dims=[2, 0, 3, 3], raw_data=b"")), "none of them 0"),
    "strings": (edited(initializer(data_type=TensorProto.STRING)), "holds STRING"),
    "complex": (edited(initializer(data_type=TensorProto.COMPLEX64)), "holds COMPLEX64"),
    "no dtype": (edited(initializer(data_type=0)), "holds UNDEFINED"),
    "dtype unknown": (edited(initializer(data_type=99)), "holds 99"),
    "not finite": (edited(initializer(raw_data=np.full(36, np.nan, "f4").tobytes())), "not finite"),
    "weights missing": (edited(lambda g: g.initializer.pop()), "tensor .w. is missing"),
    "kernel shape": (
        edited(same, node("Conv", "x w", "c", kernel_shape=[5, 5])),
        "its weights have",
    ),
    "stride 0": (edited(same, node("Conv", "x w", "c", strides=[0, 1])), "strides"),
    "one stride": (edited(same, node("Conv", "x w", "c", strides=[1])), "expected 2 whole numbers"),
    "strides no list": (
        edited(same, node("Conv", "x w", "c", strides=1)),
        "expected 2 whole numbers",
    ),
    "pads negative": (edited(same, node("Conv", "x w", "c", pads=[0, -1, 0, 0])), "pads"),
    "groups": (edited(same, node("Conv", "x w", "c", group=3)), "multiple of .groups., 3"),
    "groups 0": (edited(same, node("Conv", "x w", "c", group=0)), "groups"),
    "auto pad": (edited(same, node("Conv", "x w", "c", auto_pad="SOME")), "none of NOTSET"),
    "bias": (
        edited(same, node("Conv", "x w b", "c"), w=random(2, 2, 3, 3), b=random(3)),
        "its bias has the shape",
    ),
    "normalization of others": (
        edited(same, CONV, NORM, **BN),
        "normalizes 3 channels and is given 2",
    ),
    "normalization short": (
        edited(same, CONV, node("BatchNormalization", "c g s", "n"), **BN),
        "expected four tensors",
    ),
    "variance negative": (
        edited(same, CONV, NORM, **BN | {"v": -np.ones(3, "f4")}),
        "not positive",
    ),
    "round in a circle": (
        edited(same, node("Relu", "x", "a"), node("Tanh", "a", "x")),
        "go round in a circle",
    ),
    "padding of a pool": (
        edited(same, node("MaxPool", "x", "p", kernel_shape=[2, 2], pads=[2, 0, 0, 0])),
        "at most half",
    ),
    "two inputs": (
        edited(
            lambda g: g.input.append(helper.make_tensor_value_info("y", 1, [1])),
            node("Add", "x y", "c"),
        ),
        "2 inputs",
    ),
    "no layer known": (
        edited(same, node("Softmax", "x", "c")),
        "no layer is known here: Softmax /c",
    ),
}


@pytest.mark.parametrize("name", BROKEN_ONNX)
def test_broken_onnx_is_refused_in_a_line_and_takes_no_memory(tmp_path, name):
    contents, reason = BROKEN_ONNX[name]
    path = tmp_path / "net.onnx"
    path.write_bytes(contents)
    tracemalloc.start()
    with pytest.raises(ModelError, match=reason) as caught:
        Network(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert peak < 32 << 20


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("unpickled",)


class TestCommands:
    def test_files_of_pytorch_are_refused_with_the_line_that_saves_them(
        self, tmp_path, monkeypatch
    ):
        monkeypatch.chdir(tmp_path)
        for name in ("a.pt", "b.pth", "c.ckpt", "d.bin"):
            (tmp_path / name).write_bytes(pickle.dumps(Bomb()))
            for model in (name, by_file(tmp_path, name).name):
                done = call("net", "info", model, "--input", "3x9x9")
                line = error_line(done, 2)
                assert "safetensors.torch.save_file(torch.load(" in line
                assert f"'{name}', weights_only=True), '{name[0]}.safetensors')" in line
        assert not (tmp_path / "unpickled").exists()

    def test_weights_alone_are_no_model(self, tmp_path):
        safetensors.numpy.save_file(
            {"conv1.weight": random(2, 1, 3, 3)}, tmp_path / "a.safetensors"
        )
        done = call("net", "info", tmp_path / "a.safetensors", "--input", "3x9x9")
        line = error_line(done, 2)
        assert "holds weights alone" in line
        assert "conv1.weight" in line

    def test_end_of_a_model_is_said_beside_what_was_asked_for(self, tmp_path):
        onnx.save(chained(CONV, node("Clip", "c", "y"), w=random(2, 2, 3, 3)), tmp_path / "a.onnx")
        done = call("net", "info", tmp_path / "a.onnx", "--input", "2x9x9", "--json")
        assert done.returncode == 0
        (layer,) = map(json.loads, done.stdout.decode().splitlines())
        assert layer["output"] == [2, 7, 7]
        assert b"ends after layer 1: Clip /y is no layer that conv-cli has" in done.stderr

    def test_slip_in_a_name_is_told(self, tmp_path):
        safetensors.numpy.save_file(
            {"conv1.weight": random(2, 1, 3, 3), "conv1.bias": random(2)},
            tmp_path / "a.safetensors",
        )
        path = by_file(tmp_path, "a.safetensors", "conv1.wieght")
        with pytest.raises(
            ModelError, match=r'has no tensor "conv1.wieght"; did you mean conv1.weight\?'
        ):
            Network(path)

    def test_weights_are_never_overwritten(self, tmp_path):
        file = tmp_path / "a.safetensors"
        safetensors.numpy.save_file({"w": random(2, 1, 3, 3)}, file)
        before = file.read_bytes()
        path = by_file(tmp_path, "a.safetensors")
        done = call("net", "info", path, "--input", "1x9x9", "--field", "1,1", "-o", file, "-f")
        assert done.returncode == 1
        assert "is an input and never overwritten" in error_line(done)
        assert file.read_bytes() == before

    def test_fixed_weights_stay_while_others_learn(self, tmp_path):
        weight = random(1, 1, 1, 1)
        safetensors.numpy.save_file({"w": weight}, tmp_path / "a.safetensors")
        path = by_file(tmp_path, "a.safetensors")
        model = json.loads(path.read_text())
        model["layers"].append({"conv": {"in_channels": 1, "out_channels": 1, "kernel_size": 1}})
        path.write_text(json.dumps(model))
        x = random(48, 48)
        np.save(tmp_path / "x.npy", x)
        np.save(tmp_path / "y.npy", 3 * x)
        done = call(
            "net",
            "fit",
            path,
            tmp_path / "x.npy",
            tmp_path / "y.npy",
            "-o",
            tmp_path / "t.npz",
            "--epochs",
            2,
        )
        assert done.returncode == 0
        fixed, learned = Network(tmp_path / "t.npz").layers
        assert (fixed.weight == weight).all()
        assert (learned.weight * weight).item() == pytest.approx(3, rel=0.05)

    def test_missing_library_is_named(self, tmp_path, monkeypatch):
        import sys

        monkeypatch.setitem(sys.modules, "onnx", None)
        (tmp_path / "a.onnx").write_bytes(b"\0")
        with pytest.raises(ModelError, match=r"pip install 'conv-cli\[onnx\]'"):
            Network(tmp_path / "a.onnx")


def test_arrays_are_weights_in_python():
    weight = random(2, 1, 3, 3)
    network = Network({"layers": [{"conv": {"weight": weight, "bias": np.zeros(2)}}]})
    assert (network.layers[0].weight == weight).all()
    with pytest.raises(ModelError, match="holds complex64, expected real numbers"):
        Network({"layers": [{"conv": {"weight": weight * 1j}}]})
