"""Kernels that differ from channel to channel: applied, explained, shown and carried on."""

import json

import numpy as np
import pytest

import oracle
from command import call, error_line
from conv_cli import Kernel, filter_image, load_kernel, read_image, write_image
from conv_cli.errors import ImageError, KernelError
from conv_cli.images import Image
from conv_cli.kernels.learned import ChannelKernel
from test_masks import BORDERS, filtered, random_case, written

EACH = np.array([[[0, 1, 2], [3, 0, 0]], [[1, 0, 0], [0, 0, -1]], [[0.5, 0.25, 0], [0, 0, 0.25]]])
MIX = np.random.default_rng(5).integers(-4, 5, (2, 3, 2, 3)) / 8


def saved(path, weights, **members):
    """Write kernels as fit writes them."""
    path.write_text(json.dumps({"kernel": np.asarray(weights).tolist(), **members}))
    return path


def expected(x, share, weights, **how):
    """Return what kernels make of planes, and the least share of a kernel that is left."""
    made, left = [], []
    for result in weights if weights.ndim == 4 else np.eye(len(x))[..., None, None] * weights:
        parts = [
            oracle.weighted(x[c : c + 1], share[c : c + 1], kernel, **how)
            for c, kernel in enumerate(result)
            if kernel.any()
        ]
        made.append(sum(part[0][0] for part in parts))
        left.append(np.min([part[1][0] for part in parts], axis=0))
    return np.array(made), np.array(left)


@pytest.mark.parametrize("kind", ["each", "mix"])
@pytest.mark.parametrize("seed", range(12))
def test_each_channel_is_weighed_by_its_own_kernel(tmp_path, kind, seed):
    rng = np.random.default_rng(seed)
    x, share, of, _ = random_case(rng)
    size = tuple(rng.integers(1, 5, 2))
    weights = rng.normal(size=(len(x), *size) if kind == "each" else (3, len(x), *size))
    if rng.random() < 0.3:
        weights = np.abs(weights)
    biases = rng.normal(size=len(weights))
    origin = [int(rng.integers(side)) for side in size]
    kernel = saved(tmp_path / "k.json", weights, origin=origin, bias=biases.tolist())
    border = str(rng.choice(BORDERS))
    stride, dilation = (tuple(map(int, rng.integers(1, 3, 2))) for _ in range(2))
    padding = tuple(
        (o * d, (k - 1 - o) * d) for o, k, d in zip(origin, size, dilation, strict=True)
    )
    got = filtered(
        tmp_path, *written(tmp_path, x, of), "-k", kernel, "--border", border,
        "--stride", "{}x{}".format(*stride), "--dilation", "{}x{}".format(*dilation),
    )[: len(weights)]  # fmt: skip
    clear = of["opacity"] is not None and border == "zero"
    wanted, left = expected(
        x, share, weights, padding=padding, border=border if border != "0.25" else 0.25,
        beyond=0.0 if clear else 1.0, stride=stride, dilation=dilation,
    )  # fmt: skip
    known = left >= 1.1e-4
    lost = left < 0.9e-4
    if of["nodata"] is not None:
        np.testing.assert_array_equal(got[lost], np.full(lost.sum(), of["nodata"]))
    bound = np.where(left >= 0.01, 1e-5, 1e-3) * np.abs(weights).sum((-1, -2)).max() * len(x)
    assert (np.abs(got - wanted - biases[:, None, None]) <= bound)[known].all()
    assert known.any()


@pytest.mark.parametrize("weights", [EACH, MIX], ids=["each", "mix"])
def test_picture_in_bytes_is_filtered_channel_by_channel(weights):
    x = np.random.default_rng(1).integers(0, 256, (70, 90, 3), np.uint8)
    made = filter_image(x, ChannelKernel(weights, biases=(1, 2, 3)[: len(weights)]), border="wrap")
    planes = weights[None] if weights.ndim == 3 else weights
    whole = oracle.correlate(
        x.transpose(2, 0, 1).astype(float), planes if weights.ndim == 4 else weights[:, None],
        padding=((0, 1), (1, 1)), border="wrap", groups=1 if weights.ndim == 4 else 3,
    )  # fmt: skip
    biases = np.arange(1, len(weights) + 1)[:, None, None]
    np.testing.assert_allclose(made.transpose(2, 0, 1), whole + biases, atol=1e-3)


@pytest.mark.parametrize("words", [["--range", "stretch"], ["--range", "signed:99"], []])
@pytest.mark.parametrize("alpha", [False, True])
def test_region_of_a_mix_is_the_same_window_of_the_whole_map(tmp_path, alpha, words):
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 256, (40, 50, 4 if alpha else 3), np.uint8)
    write_image(tmp_path / "x.png", Image(pixels, alpha=alpha))
    saved(tmp_path / "k.json", np.random.default_rng(3).normal(size=(3, 3, 3, 3)))
    form = ["--depth", "float32", "--range", "raw"]
    for name, more in (("whole.npy", []), ("part.npy", ["--region", "7,9,20x30"])):
        done = call(
            "apply", tmp_path / "x.png", "-k", tmp_path / "k.json", *form, *more,
            "-o", tmp_path / name,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    whole, part = (np.load(tmp_path / name) for name in ("whole.npy", "part.npy"))
    np.testing.assert_array_equal(part, whole[7:27, 9:39])
    done = call("apply", tmp_path / "x.png", "-k", tmp_path / "k.json", *words, "-o",
                tmp_path / "y.png")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert read_image(tmp_path / "y.png").shape == pixels.shape


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 4)])
def test_picture_with_other_channels_costs_itself_alone(tmp_path, shape):
    write_image(tmp_path / "a.npy", np.zeros(shape, np.float32))
    write_image(tmp_path / "b.npy", np.zeros((20, 30, 3), np.float32))
    kernel = saved(tmp_path / "k.json", EACH)
    out = tmp_path / "out"
    done = call("apply", tmp_path / "a.npy", tmp_path / "b.npy", "-k", kernel, "-o", f"{out}/",
                "--format", "npy", "-q")  # fmt: skip
    line = error_line(done, 1)
    assert "a.npy: has" in line
    assert "k is one for each of 3 channels" in line
    assert [file.name for file in out.iterdir()] == ["b.k.npy"]


def test_rgba_is_filtered_by_a_kernel_for_its_colours_and_opacity_kept(tmp_path):
    rng = np.random.default_rng(4)
    pixels = rng.integers(0, 256, (20, 30, 4), np.uint8)
    pixels[..., 3] = 255
    write_image(tmp_path / "x.png", Image(pixels, alpha=True))
    kernel = saved(tmp_path / "k.json", EACH)
    done = call("apply", tmp_path / "x.png", "-k", kernel, "-o", tmp_path / "y.npy")
    assert done.returncode == 0, done.stderr
    plain = filter_image(pixels[..., :3], load_kernel(kernel))
    np.testing.assert_allclose(np.load(tmp_path / "y.npy")[..., :3], plain, atol=1e-3)
    line = error_line(
        call("apply", tmp_path / "x.png", "-k", kernel, "--alpha", "filter", "-o",
             tmp_path / "z.png"), 1,
    )  # fmt: skip
    assert "leave out --alpha filter" in line


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["apply", "x.png", "-k", "K", "-k", "box", "--combine", "max", "-o", "y.png"], "one for"),
        (["kernels", "diff", "K", "box"], "one for all is needed"),
        (["kernels", "compose", "K", "box"], "one for all is needed"),
        (["kernels", "rotate", "K", "90"], "one for all is needed"),
        (["kernels", "convert", "K", "--to", "gmic"], "json, opencv, scipy, pytorch"),
        (["kernels", "convert", "K", "--to", "csv"], "json, opencv, scipy, pytorch"),
        (["net", "info", "K | abs", "--input", "3x8x8"], "one for all is needed"),
    ],
)
def test_what_takes_one_kernel_refuses_several(tmp_path, words, reason):
    write_image(tmp_path / "x.png", np.zeros((9, 9, 3), np.uint8))
    kernel = saved(tmp_path / "k.json", EACH)
    words = [word.replace("K", str(kernel)).replace("x.png", str(tmp_path / "x.png"))
             if word != "-k" else word for word in words]  # fmt: skip
    assert reason in error_line(call(*words), 2)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"kernel": [[[1, 2]], [[1]]]}, "channel 2 is 1x1, channel 1 1x2"),
        ({"kernel": [[[1]], [[2, "x"]]]}, 'channel 2, row 1, column 2 is "x"'),
        ({"kernel": [[[[1]], [[2]]], [[[1]]]]}, "channel 2 is 1x1x1, channel 1 2x1x1"),
        ({"kernel": [[[[[1]]]]]}, "a list of such for each channel"),
        ({"kernel": [[[1]], [[2]]], "bias": [1]}, "a number for each of 2"),
        ({"kernel": [[[1]], [[2]]], "origin": [1, 0]}, "lies outside"),
        ({"kernel": [[1]], "bias": [1]}, "expected a number"),
        ([[[1]], [[2]]], "row 1, column 1 is a list"),
    ],
)
def test_bad_kernels_for_channels_are_named_by_their_place(tmp_path, members, reason):
    (tmp_path / "k.json").write_text(json.dumps(members))
    with pytest.raises(KernelError, match=r"k\.json: ") as error:
        load_kernel(tmp_path / "k.json")
    assert reason in str(error.value)


def test_kernels_for_channels_are_values(tmp_path):
    kernel = ChannelKernel(EACH, origin=(0, 2), name="k", biases=(1, 2, 3))
    kernel.save(tmp_path / "k.json")
    assert load_kernel(tmp_path / "k.json") == kernel
    assert kernel == ChannelKernel(EACH, origin=(0, 2), name="k", biases=(1, 2, 3))
    others = [
        ChannelKernel(EACH, origin=(0, 2), name="k"),
        ChannelKernel(EACH[:2], origin=(0, 2), name="k", biases=(1, 2)),
        Kernel(EACH[0], origin=(0, 2), name="k"),
    ]
    assert all(kernel != other and other != kernel for other in others)
    assert kernel.flipped().flipped() == kernel
    np.testing.assert_allclose(kernel.normalized("abs").weights[0], EACH[0] / 6)
    with pytest.raises(KernelError, match="sum to zero"):
        kernel.normalized("sum")  # that of green does
    with pytest.raises(KernelError, match="2 channels"):
        ChannelKernel(EACH[:2], biases=(1, 2, 3))
    with pytest.raises(ImageError, match="2 channels to filter"):
        filter_image(np.zeros((5, 5, 2)), kernel)


def run_code(code, image):
    names = {"image": image}
    exec(code, names)  # it is the code under test
    return np.asarray(names["result"])


@pytest.mark.parametrize("tool", ["opencv", "scipy", "pytorch"])
@pytest.mark.parametrize("weights", [EACH, MIX, MIX[:, :1], EACH[:1]])
def test_code_for_python_does_what_apply_does(tool, weights):
    if tool == "pytorch":
        pytest.importorskip("torch", reason="torch is not installed")
    kernel = ChannelKernel(weights, origin=(1, 0), biases=(1, -2, 3)[: len(weights)])
    channels = weights.shape[-3]
    x = np.random.default_rng(6).integers(0, 256, (25, 31, channels), np.uint8)
    wanted = filter_image(x, kernel)
    got = run_code(kernel.to(tool), x)
    np.testing.assert_allclose(got.reshape(25, 31, -1), wanted.reshape(25, 31, -1), atol=1e-2)


def test_code_for_pytorch_takes_batches():
    torch = pytest.importorskip("torch", reason="torch is not installed")

    x = np.random.default_rng(7).integers(0, 256, (2, 25, 31, 3), np.uint8)
    got = run_code(ChannelKernel(MIX).to("pytorch"), torch.as_tensor(x).permute(0, 3, 1, 2))
    wanted = [filter_image(each, ChannelKernel(MIX)) for each in x]
    np.testing.assert_allclose(got.transpose(0, 2, 3, 1), wanted, atol=1e-2)


@pytest.mark.parametrize("weights", [EACH, MIX], ids=["each", "mix"])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("words", [[], ["--convolve"], ["--bias", "7"]])
def test_explained_products_make_the_pixel_that_apply_writes(tmp_path, weights, alpha, words):
    rng = np.random.default_rng(8)
    pixels = rng.integers(0, 256, (12, 14, 4 if alpha else 3), np.uint8)
    write_image(tmp_path / "x.png", Image(pixels, alpha=alpha))
    biases = list(range(3, 3 + len(weights)))
    kernel = saved(tmp_path / "k.json", weights, bias=biases, origin=[0, 1])
    done = call("apply", tmp_path / "x.png", "-k", kernel, *words, "-o", tmp_path / "y.npy")
    assert done.returncode == 0, done.stderr
    told = call("explain", tmp_path / "x.png", "-k", kernel, *words, "--at", "0,3", "--json")
    channels = json.loads(told.stdout)["channels"]
    assert [each["channel"] for each in channels] == ["R", "G", "B"] if len(weights) == 3 else "12"
    for number, each in enumerate(channels):
        products, window = np.array(each["products"]), np.array(each["window"])
        assert products.shape == weights.shape[1:]
        assert each["bias"] == (7 if words[:1] == ["--bias"] else biases[number])
        assert products.sum() + each["bias"] == pytest.approx(each["value"])
        assert each["value"] == pytest.approx(np.load(tmp_path / "y.npy")[0, 3, number], abs=1e-3)
        if not alpha:
            turned = weights[number][..., ::-1, ::-1] if words[:1] == ["--convolve"] else None
            np.testing.assert_allclose(
                products, window * (weights[number] if turned is None else turned)
            )


def test_explanation_of_a_mix_is_drawn_channel_by_channel(tmp_path):
    write_image(tmp_path / "x.npy", np.arange(18, dtype=np.float32).reshape(3, 3, 2))
    kernel = saved(tmp_path / "k.json", [[[[1, 2]], [[3, 4]]]], bias=[1])
    text = call("explain", tmp_path / "x.npy", "-k", kernel, "--at", "0,1").stdout.decode()
    assert [line.rstrip() for line in text.splitlines()[3:]] == [
        "from 1:",
        "pixels   weights   products",
        "2  4     1  2      2  8",
        "sum 10",
        "from 2:",
        "pixels   weights   products",
        "3  5     3  4      9  20",
        "sum 29",
        "sum                   39",
        "bias                   1",
        "value                 40",
        "pixel (raw, float32)  40",
    ]


def test_show_draws_every_kernel_with_its_channels(tmp_path):
    path = saved(tmp_path / "k.json", MIX, bias=[5, 6], stride=[2, 2])
    shown = [
        json.loads(line) for line in call("kernels", "show", path, "--json").stdout.splitlines()
    ]
    assert [(each["channel"], each["input"]) for each in shown] == [
        (result, source) for result in (1, 2) for source in (1, 2, 3)
    ]
    np.testing.assert_array_equal([each["weights"] for each in shown], MIX.reshape(6, 2, 3))
    assert [each["bias"] for each in shown] == [5, 0, 0, 6, 0, 0]
    assert {tuple(each["stride"]) for each in shown} == {(2, 2)}
    text = call("kernels", "show", path).stdout.decode()
    assert text.startswith(
        "k: one from each of 3 channels to each of 2, applied with a stride of 2x2"
    )
    assert all(f"k {o} from {i}\n" in text for o in (1, 2) for i in "RGB")
    assert "one for all is needed" in error_line(
        call("kernels", "show", path, "-o", tmp_path / "k.png"), 2
    )
