"""Model files: what is read and written, and where what is wrong with them stands."""

import json
import pickle
import zipfile

import numpy as np
import pytest

from conv_cli import Kernel, Network, conv2d, load_kernel, load_kernels
from conv_cli.errors import ImageError, ModelError

RELU = {"relu": {}}
WEIGHT = [[[[1, 2]]]]


def model(*layers, **others):
    return {"layers": list(layers), **others}


def conv(given, **sliding):
    return model({"conv": given, **sliding})


def saved(folder, value, name="net.json"):
    path = folder / name
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


class TestKernels:
    def test_bank_is_applied_over_each_input_channel_the_first_channel_first(self):
        x = np.random.default_rng(0).standard_normal((2, 9, 8))
        y = Network(conv({"kernel": ["sobel-x", "farid-y"]}))(x)
        assert y.shape == (4, 5, 4)
        for channel in range(2):
            sobel = np.pad(load_kernel("sobel-x").weights, 1)
            farid = load_kernel("farid-y").weights
            expected = conv2d(x[channel][None], np.stack([sobel, farid])[:, None])
            np.testing.assert_allclose(y[2 * channel : 2 * channel + 2], expected, atol=1e-12)

    def test_set_stands_for_all_its_members(self):
        y = Network(conv({"kernel": "kirsch"}))(np.eye(5)[None])
        for map_, kernel in zip(y, load_kernels("kirsch"), strict=True):
            np.testing.assert_allclose(map_, conv2d(np.eye(5)[None], kernel.weights[None, None])[0])

    def test_rows_of_numbers_are_a_kernel_and_a_list_of_them_a_bank(self):
        assert Network(conv({"kernel": [[1, -1]]}))(np.eye(3)[None]).shape == (1, 3, 2)
        assert Network(conv({"kernel": [[[1, -1]], "1; 2"]}))(np.eye(3)[None]).shape == (2, 2, 2)

    def test_own_bias_of_a_kernel_is_added(self, tmp_path):
        file = tmp_path / "k.json"
        file.write_text('{"weights": [[1, 0]], "bias": 5}')
        y = Network(conv({"kernel": [str(file), "1 0"]}))(np.ones((1, 1, 2)))
        assert y.ravel().tolist() == [6, 1]

    def test_bias_of_the_layer_stands_for_that_of_the_kernels(self, tmp_path):
        file = tmp_path / "k.json"
        file.write_text('{"weights": [[1, 0]], "bias": 5}')
        given = conv({"kernel": [str(file), "2 0"], "bias": [7, -1]})
        network = Network(given)
        x = np.array([[[1.0, 0]], [[10.0, 0]]])
        assert network(x).ravel().tolist() == [1 + 7, 2 - 1, 10 + 7, 20 - 1]
        network.save(tmp_path / "net.json")
        assert Network(tmp_path / "net.json")(x).ravel().tolist() == network(x).ravel().tolist()
        assert network.layers[0].parameter_count() == 2 * 2 + 2

    def test_same_padding_puts_the_origin_on_the_output_pixel(self, tmp_path):
        file = tmp_path / "k.json"
        file.write_text('{"weights": [[1, 2, 3, 4]], "origin": [0, 3]}')
        x = np.zeros((1, 3, 9))
        x[0, 1, 4] = 1
        y = Network(conv({"kernel": str(file)}, padding="same"))(x)
        assert y[0, 1].tolist() == [0, 0, 0, 0, 4, 3, 2, 1, 0]


class TestLine:
    """Models in one line, against the same as a file has it."""

    X = np.random.default_rng(3).standard_normal((1, 12, 13))

    @pytest.mark.parametrize(
        ("line", "layers"),
        [
            ("sobel-x", [{"conv": {"kernel": "sobel-x"}}]),
            ("sobel-x sobel-y|abs", [{"conv": {"kernel": ["sobel-x", "sobel-y"]}}, {"abs": {}}]),
            ("[1 -1] | relu", [{"conv": {"kernel": [[1, -1]]}}, {"relu": {}}]),
            ("[1 2; 3 4]", [{"conv": {"kernel": [[1, 2], [3, 4]]}}]),
            ("[[1, 2], [3, 4]]/10 '1; 3'", [{"conv": {"kernel": ["1 2; 3 4 / 10", "1; 3"]}}]),
            ("[1 2] / 4 laplacian", [{"conv": {"kernel": ["1 2 / 4", "laplacian"]}}]),
            ('"1 -1" gaussian:1.5', [{"conv": {"kernel": ["1 -1", "gaussian:1.5"]}}]),
            ("abs|sqrt|tanh|sigmoid", [{n: {}} for n in ("abs", "sqrt", "tanh", "sigmoid")]),
            ("maxpool:2", [{"maxpool": {"size": 2}}]),
            ("avgpool:3,2", [{"avgpool": {"size": 3, "stride": 2}}]),
            ("maxpool:2x3,1x2", [{"maxpool": {"size": [2, 3], "stride": [1, 2]}}]),
            (
                "kirsch | relu | sum | [1 0 0] identity | sum",
                [
                    {"conv": {"kernel": "kirsch"}},
                    {"relu": {}},
                    {"conv": {"weight": [[[[1]]] * 8]}},
                    {"conv": {"kernel": ["1 0 0", "identity"]}},
                    {"conv": {"weight": [[[[1]]] * 2]}},
                ],
            ),
        ],
    )
    def test_line_is_the_model_of_the_same_layers(self, line, layers):
        sliding = {"padding": "same", "border": "edge"}
        given = [layer | (sliding if "conv" in layer else {}) for layer in layers]
        ours, expected = Network(line).maps(self.X), Network(model(*given)).maps(self.X)
        for one, other in zip(ours, expected, strict=True):
            np.testing.assert_array_equal(one, other)

    def test_sum_takes_one_channel_and_says_so(self):
        network = Network("sobel-x sobel-y | sum")
        assert network.takes(1) and not network.takes(3)
        with pytest.raises(ModelError, match="layer 2: takes 2 channels and is given 6"):
            network(np.zeros((3, 9, 9)))

    def test_each_step_before_a_sum_may_see_colours(self):
        assert Network("sobel-x sobel-y | abs | maxpool:2")(np.zeros((3, 8, 9))).shape == (6, 4, 4)

    def test_file_of_the_same_name_comes_first(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        saved(tmp_path, model(RELU), "sobel-x | abs.json")
        assert [layer.kind for layer in Network("sobel-x | abs.json").layers] == ["relu"]
        saved(tmp_path, model(RELU), "sobel-x")
        with pytest.raises(ModelError, match="no known model format"):
            Network("sobel-x")

    def test_saved_line_gives_the_same_maps(self, tmp_path):
        network = Network("[1 2; 3 4] 'sobel-y' | square | sum")
        network.save(tmp_path / "net.json")
        np.testing.assert_array_equal(Network(tmp_path / "net.json")(self.X), network(self.X))

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ("", "model: none is named"),
            (" \n", "model: none is named"),
            ("sobel-x |", "step 2: is empty; give kernels"),
            ("| sobel-x", "step 1: is empty"),
            ("sobel-x || abs", "step 2: is empty"),
            ("sobel-x | sobel-q", "step 2: kernel sobel-q: no built-in.*sobel-"),
            ("sobel-x | sqr", "step 2: .*or did you mean the layer sq"),
            ("sobel-x abs", r"step 1: abs is a step of its own; put a \| on each side"),
            ("sobel-x | sum maxpool:2", "step 2: sum is a step of its own"),
            ("sobel-x | maxpool", "step 2: maxpool is not understood; .*maxpool:3,2"),
            ("maxpool:2,", "step 1: maxpool:2, is not understood"),
            ("maxpool:0", 'step 1: maxpool: "size" is 0'),
            ("avgpool:2,0", 'step 1: avgpool: "stride" is 0'),
            ("abs | [1 2", r"step 2: a bracket or quote .* at \[1 2; write"),
            ("1 2] | abs", "step 1: a bracket or quote"),
            ("'1 2 | abs", "step 1: a bracket or quote"),
            ("[1 x] | abs", "step 1: .*x"),
            ("none.csv | abs", "step 1: .*none.csv: no such file"),
            ("none.json", "none.json: no such file"),
        ],
    )
    def test_step_of_a_mistake_is_named(self, line, words):
        with pytest.raises(ModelError, match=words) as raised:
            Network(line)
        assert str(raised.value).startswith(line.strip() and f"{line}: ")


class TestInput:
    def test_pixels_are_scaled_then_normalized_by_channel(self):
        given = {"scale": 0.5, "mean": [1, 2], "std": [2, 4]}
        x = np.array([[[10.0]], [[20.0]]])
        y = Network(model({"abs": {}}, input=given))(x)
        assert y.ravel().tolist() == [(5 - 1) / 2, (10 - 2) / 4]

    def test_whole_numbers_become_floats_that_hold_them(self):
        for dtype, result in (("uint8", "float32"), ("uint16", "float32"), ("int32", "float64")):
            assert Network(model(RELU))(np.ones((1, 2, 2), dtype)).dtype == result


class TestErrors:
    @pytest.mark.parametrize(
        ("value", "words"),
        [
            ([], "is a list, expected an object"),
            ({}, '"layers" is missing'),
            (model(), '"layers" is a list, expected a list of at least one'),
            (model(RELU, more=1), '"more" is not known here'),
            (model(RELU, 7), "layer 2: is 7"),
            (model({"rely": {}}), "layer 1: has no kind of layer"),
            (model({"relu": {}, "abs": {}}), "layer 1: has several kinds"),
            (model({"relu": {"x": 1}}), 'layer 1: relu: "x" is not known'),
            (model({"relu": 1}), "layer 1: relu: is 1"),
            (model(RELU, {"maxpool": {}}), 'layer 2: maxpool: "size" is missing'),
            (model({"maxpool": {"size": 0}}), 'layer 1: maxpool: "size" is 0'),
            (model({"maxpool": {"size": 2.5}}), '"size" is 2.5'),
            (model({"maxpool": {"size": [2, 3, 4]}}), "layer 1: size is .*or two"),
            (model({"avgpool": {"size": 2, "padding": 2}}), '"padding" is .*half the size'),
            (model({"avgpool": {"size": 2, "count_include_pad": 1}}), "expected true or false"),
            (conv({"weight": WEIGHT}, stride="x"), 'layer 1: "stride" is "x", expected a whole'),
            (conv({"weight": WEIGHT}, stride=True), '"stride" is true'),
            (conv({"weight": WEIGHT}, stride=None), '"stride" is null'),
            (conv({"weight": WEIGHT}, strides=2), '"strides" is not known'),
            (conv({"weight": WEIGHT}, dilation=0), '"dilation" is 0'),
            (conv({"weight": WEIGHT}, padding=-1), '"padding" is -1'),
            (conv({"weight": WEIGHT}, padding="sam"), '"padding" is "sam"'),
            (conv({"weight": WEIGHT}, padding=[[1, 2], [3]]), "layer 1: padding is"),
            (conv({"weight": WEIGHT}, padding="same", stride=2), "stride of 1"),
            (conv({"weight": WEIGHT}, border="rim"), "layer 1: border 'rim' is unknown"),
            (conv({"weight": WEIGHT}, border=[1]), '"border" is a list'),
            (conv({"weight": WEIGHT}, groups=2), '"weight" has 1 outputs.*"groups", 2'),
            (conv({"weight": [[1]]}), '"weight" is nested 2 deep, expected lists 4 deep'),
            (conv({"weight": [[[[1, None]]]]}), r'"weight\[1\]\[1\]\[1\]\[2\]" is null'),
            (conv({"weight": [[[[1, True]]]]}), "is true, expected a number"),
            (conv({"weight": [[[[1, "2"]]]]}), 'is "2", expected a number'),
            (conv({"weight": [[[[1, 2], [3]]]]}), r'"weight\[1\]\[1\]\[2\]" is 1 long'),
            (conv({"weight": WEIGHT, "bias": [1, 2]}), '"bias" has 2 numbers for 1 outputs'),
            (conv({"weight": WEIGHT, "kernel": "sobel-x"}), "expected one of"),
            (conv({}), "layer 1: conv: expected one of"),
            (conv({"kernel": "sobel-z"}), "layer 1: .*sobel-z"),
            (conv({"kernel": []}), '"kernel" is an empty list'),
            (conv({"kernel": "kirsch", "bias": [1, 2]}), '"bias" has 2 numbers for 8 kernels'),
            (conv({"kernel": "sobel-x", "bias": 1}), '"bias" is nested 0 deep'),
            (conv({"kernel": "sobel-x", "bias": ["1"]}), 'is "1", expected a number'),
            (conv({"kernel": "sobel-x"}, groups=2), 'leave "groups" out'),
            (conv({"in_channels": 3, "out_channels": 2}), '"kernel_size" is missing'),
            (
                conv({"in_channels": 3, "out_channels": 2, "kernel_size": 3}, groups=2),
                '"in_channels" is 3, expected a multiple',
            ),
            (model(RELU, input={"std": 0}), 'input: "std" is 0'),
            (model(RELU, input={"scale": "1"}), 'input: "scale" is "1"'),
        ],
    )  # fmt: skip
    def test_place_of_the_error_is_named(self, tmp_path, value, words):
        path = saved(tmp_path, value)
        with pytest.raises(ModelError, match=words) as raised:
            Network(path)
        assert str(raised.value).startswith(f"{path}: ")
        with pytest.raises(ModelError, match=words):
            Network(value) if isinstance(value, dict) else Network(path)

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "empty"),
            ("{", "line 1, column 2"),
            ('{"layers": [], "layers": []}', '"layers" is given twice'),
            ('{"layers": ' + "[" * 100_000, "too deeply nested"),
            ('{"layers": [{"conv": {"weight": [[[[NaN]]]]}}]}', "expected a finite number"),
            ('{"layers": [{"conv": {"weight": [[[[1e999]]]]}}]}', "expected a finite number"),
            ('{"layers": [{"maxpool": {"size": ' + "9" * 5000 + "}}]}", '"size" is Infinity'),
        ],
    )
    def test_bad_text_is_refused(self, tmp_path, text, words):
        with pytest.raises(ModelError, match=words):
            Network(saved(tmp_path, text))

    def test_byte_order_mark_is_none(self, tmp_path):
        path = tmp_path / "net.json"
        path.write_bytes(b"\xef\xbb\xbf" + json.dumps(model(RELU)).encode())
        assert len(Network(path).layers) == 1

    def test_file_is_named_that_is_not_there_or_of_no_known_kind(self, tmp_path):
        with pytest.raises(ModelError, match=r"none\.json: no such file"):
            Network(tmp_path / "none.json")
        with pytest.raises(ModelError, match="not a regular file"):
            Network(tmp_path)
        with pytest.raises(ModelError, match="no known model format"):
            Network(saved(tmp_path, model(RELU), "net.txt"))

    def test_shapes_that_do_not_fit_name_the_layer(self):
        network = Network(model(RELU, {"conv": {"weight": WEIGHT}}))
        with pytest.raises(ModelError, match="layer 2: takes 1 channels and is given 3"):
            network(np.zeros((3, 4, 4)))
        with pytest.raises(ModelError, match=r"layer 2: .*1x2 is larger"):
            network(np.zeros((1, 4, 1)))
        with pytest.raises(ModelError, match='input: "mean" has 2 numbers for 1'):
            Network(model(RELU, input={"mean": [1, 2]}))(np.zeros((1, 2, 2)))
        with pytest.raises(ModelError, match=r"shape \(4, 4\)"):
            network(np.zeros((4, 4)))

    def test_layer_without_weights_is_told(self):
        network = Network(conv({"in_channels": 1, "out_channels": 1, "kernel_size": 1}))
        with pytest.raises(ModelError, match="layer 1: has no weights yet"):
            network(np.zeros((1, 2, 2)))


@pytest.fixture
def trained():
    """A model of every kind of layer, its first convolution trained."""
    rng = np.random.default_rng(0)
    given = model(
        {"conv": {"in_channels": 2, "out_channels": 4, "kernel_size": [3, 2]}, "groups": 2,
         "padding": [[1, 2], [0, 1]], "stride": [1, 2], "dilation": 2, "border": 3.5},
        RELU,
        {"maxpool": {"size": 2, "stride": 1, "padding": 1, "dilation": 2}},
        {"avgpool": {"size": [2, 1], "padding": [1, 0], "count_include_pad": False}},
        {"conv": {"kernel": ["sobel-x", [[1, 2], [3, 4]]]}, "padding": 3, "border": "reflect"},
        {"conv": {"weight": rng.standard_normal((3, 8, 1, 1)).tolist(), "bias": [1, 2, 3]}},
        {"tanh": {}},
        input={"scale": 2, "mean": [1, 2], "std": 3},
    )  # fmt: skip
    network = Network(given)
    weights = {"weight": rng.standard_normal((4, 1, 3, 2)), "bias": rng.standard_normal(4)}
    layers = (network.layers[0].with_parameters(weights), *network.layers[1:])
    return Network(layers, network.normalization)


class TestSaving:
    @pytest.mark.parametrize("name", ["net.json", "net.npz", "NET.NPZ"])
    def test_saved_model_gives_the_same_maps(self, tmp_path, trained, name):
        trained.save(tmp_path / name)
        x = np.random.default_rng(1).standard_normal((2, 20, 21))
        for before, after in zip(trained.maps(x), Network(tmp_path / name).maps(x), strict=True):
            np.testing.assert_array_equal(before, after)

    def test_archive_is_read_by_numpy_without_pickles(self, tmp_path, trained):
        trained.save(tmp_path / "net.npz")
        with np.load(tmp_path / "net.npz", allow_pickle=False) as archive:
            assert sorted(archive) == ["layer1.bias", "layer1.weight", "model"]
            assert json.loads(bytes(archive["model"]))["layers"][1] == RELU

    def test_existing_file_is_kept_unless_forced(self, tmp_path, trained):
        path = saved(tmp_path, model(RELU))
        with pytest.raises(ImageError, match="exists"):
            trained.save(path)
        assert len(Network(path).layers) == 1
        trained.save(path, force=True)
        assert len(Network(path).layers) == 7

    def test_other_ending_is_refused(self, tmp_path, trained):
        with pytest.raises(ModelError, match="written as"):
            trained.save(tmp_path / "net.pt")
        assert not list(tmp_path.iterdir())


class TestHostileArchives:
    def bad(self, tmp_path, words, **arrays):
        path = tmp_path / "net.npz"
        np.savez(path, **arrays)
        with pytest.raises(ModelError, match=words):
            Network(path)

    def text(self, value):
        return np.frombuffer(json.dumps(value).encode(), np.uint8)

    def test_archive_without_a_model(self, tmp_path):
        self.bad(tmp_path, "holds no model", other=np.zeros(3))

    def test_arrays_that_do_not_fit(self, tmp_path):
        given = self.text(conv({"in_channels": 1, "out_channels": 1, "kernel_size": 2}))
        wrong = {"layer1.weight": np.zeros((1, 1, 3, 3)), "layer1.bias": np.zeros(1)}
        self.bad(tmp_path, r"layer 1: conv: array weight has shape", model=given, **wrong)
        self.bad(tmp_path, "array bias is missing", model=given,
                 **{"layer1.weight": np.zeros((1, 1, 2, 2))})  # fmt: skip
        nan = {"layer1.weight": np.full((1, 1, 2, 2), np.nan), "layer1.bias": np.zeros(1)}
        self.bad(tmp_path, "not finite", model=given, **nan)

    def test_pickle_is_never_loaded(self, tmp_path):
        class Trap:
            def __reduce__(self):
                return (pytest.fail, ("the pickle was loaded",))

        path = tmp_path / "net.npz"
        np.savez(path, model=np.array([Trap()], object), allow_pickle=True)
        with pytest.raises(ModelError, match="object"):
            Network(path)
        assert pickle  # what numpy would have used

    @pytest.mark.parametrize("contents", [b"", b"PK\x03\x04 no archive", b"\x00" * 99])
    def test_damage_is_told(self, tmp_path, contents):
        (tmp_path / "net.npz").write_bytes(contents)
        with pytest.raises(ModelError, match="damaged"):
            Network(tmp_path / "net.npz")

    def test_bomb_is_refused_before_it_is_unpacked(self, tmp_path):
        path = tmp_path / "net.npz"
        with (
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open("model.npy", "w", force_zip64=True) as member,
        ):
            for _ in range(600):
                member.write(bytes(1 << 20))
        with pytest.raises(ModelError, match="unpacks to more"):
            Network(path)

    def test_header_that_announces_more_than_there_is(self, tmp_path):
        path = tmp_path / "net.npz"
        header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999,), }"
        contents = b"\x93NUMPY\x01\x00" + (len(header) + 1).to_bytes(2, "little") + header + b"\n"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("model.npy", contents)
        with pytest.raises(ModelError, match="cut short"):
            Network(path)


def test_kernel_object_is_not_needed_to_be_named():
    kernel = Kernel([[1, 2]])
    network = Network(conv({"kernel": kernel.weights.tolist()}))
    assert network(np.ones((1, 1, 2))).item() == 3
