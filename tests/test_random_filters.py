"""A thousand random filters against four plain loops that share nothing with the package."""

import io
import json

import numpy as np
import pytest
from click.testing import CliRunner

from conv_cli import write_image
from conv_cli.cli.main import cli
from conv_cli.images import Image

GROUPS, CASES = 25, 40
INDEX = {  # the pixel that place i stands for in a row of n, or None
    "edge": lambda i, n: min(max(i, 0), n - 1),
    "reflect": lambda i, n: (n - 1) - abs((n - 1) - i % (2 * n - 2)) if n > 1 else 0,
    "symmetric": lambda i, n: min(i % (2 * n), 2 * n - 1 - i % (2 * n)),
    "wrap": lambda i, n: i % n,
}


def chosen(rng):
    """Return an image (H, W, C), whether it has opacity, its white, and the options of a filter."""
    kind = rng.choice(["uint8", "uint16", "float32"])
    colours, alpha = (int(rng.choice([1, 3])), bool(rng.random() < 0.5))
    top = {"uint8": 255, "uint16": 65535, "float32": 1}[kind]
    shape = (*rng.integers(4, 9, 2), colours + alpha)
    x = rng.random(shape) * top
    if alpha:
        x[..., -1] = rng.choice([0, 1, rng.random(), rng.random()], shape[:2]) * top
    x = x.astype(np.float32) if kind == "float32" else np.rint(x).astype(kind)
    count = int(rng.integers(1, 4))
    sides = rng.integers(1, 4, 2)
    whole = rng.random() < 0.5
    kernels = [
        rng.integers(-3, 6, sides).astype(float) if whole else np.round(rng.normal(size=sides), 3)
        for _ in range(count)
    ]
    options = {
        "padding": rng.choice(["same", "valid", "full", "2x1"]),
        "border": rng.choice([*INDEX, "zero", "0.3" if top == 1 else "70"]),
        "stride": tuple(map(int, rng.integers(1, 3, 2))),
        "dilation": tuple(map(int, rng.integers(1, 3, 2))),
        "convolve": rng.random() < 0.3,
        "gray": rng.random() < 0.3,
        "alpha": "filter" if alpha and rng.random() < 0.4 else "keep",
        "linear": rng.random() < 0.3,
        "combine": rng.choice(["", "magnitude", "max", "sum", "mean"]) if count > 1 else "",
        "bias": float(np.round(rng.normal() * top / 9, 3)) if rng.random() < 0.3 else None,
        "range": rng.choice(["clip", "abs", "shift", "signed", "stretch", "raw", "raw"]),
    }
    return x, alpha, top, kernels, options


def light(v, top):
    v = v / top
    size = np.abs(v)
    coded = np.where(size <= 0.04045, size / 12.92, ((size + 0.055) / 1.055) ** 2.4)
    return np.sign(v) * coded * top


def coded(v, top):
    v = v / top
    size = np.abs(v)
    out = np.where(size <= 0.0031308, size * 12.92, 1.055 * size ** (1 / 2.4) - 0.055)
    return np.sign(v) * out * top


def loops(x, alpha, top, kernel, o, border):
    """Four plain loops: return the filtered colours, or all channels, and the opacity."""
    kh, kw = kernel.shape
    row_origin, column_origin = ((k - 1) // 2 for k in (kh, kw))
    if o["convolve"]:
        kernel = kernel[::-1, ::-1]
        row_origin, column_origin = kh - 1 - row_origin, kw - 1 - column_origin
    down, across = o["dilation"]
    top_left = {
        "same": (row_origin * down, column_origin * across), "valid": (0, 0),
        "full": ((kh - 1) * down, (kw - 1) * across), "2x1": (2, 1),
    }[o["padding"]]  # fmt: skip
    added = {
        "same": ((kh - 1) * down, (kw - 1) * across), "valid": (0, 0),
        "full": (2 * (kh - 1) * down, 2 * (kw - 1) * across), "2x1": (4, 2),
    }[o["padding"]]  # fmt: skip
    height, width = x.shape[:2]
    opacity = x[..., -1] / top if alpha else np.ones((height, width))
    keep = alpha and o["alpha"] == "keep"
    planes = x[..., :-1] if alpha else x
    if o["linear"]:
        planes = light(planes, top)
        border = light(np.float64(border), top) if border is not None else None
    if o["gray"] and planes.shape[-1] == 3:
        planes = (planes @ [0.299, 0.587, 0.114])[..., None]
    outside = border
    if alpha and not keep:
        raw = float(o["border"]) if border is not None and o["border"] != "zero" else 0.0
        outside = np.array([border if border is not None else 0] * planes.shape[-1] + [raw])
        planes = np.concatenate([planes, x[..., -1:]], axis=-1)
    rows = (height + added[0] - (kh - 1) * down - 1) // o["stride"][0] + 1
    columns = (width + added[1] - (kw - 1) * across - 1) // o["stride"][1] + 1
    if rows < 1 or columns < 1:
        return None
    out = np.zeros((rows, columns, planes.shape[-1]))
    under = np.zeros((rows, columns))
    clear = 0.0 if o["border"] == "zero" else 1.0
    for r in range(rows):
        for c in range(columns):
            window = np.zeros((kh, kw, planes.shape[-1]))
            seen = np.zeros((kh, kw))
            for i in range(kh):
                for j in range(kw):
                    y = r * o["stride"][0] + i * down - top_left[0]
                    z = c * o["stride"][1] + j * across - top_left[1]
                    if border is None:
                        y, z = INDEX[o["border"]](y, height), INDEX[o["border"]](z, width)
                    if 0 <= y < height and 0 <= z < width:
                        window[i, j], seen[i, j] = planes[y, z], opacity[y, z]
                    else:
                        window[i, j], seen[i, j] = outside, clear
            weights = kernel[..., None]
            under[r, c] = seen[row_origin, column_origin]
            share = seen[..., None]
            size = (np.abs(weights) * share).sum()
            if keep and size > 1e-4 * np.abs(weights).sum():
                mean = (np.abs(weights) * share * window).sum((0, 1)) / size
                window = share * window + (1 - share) * mean
            out[r, c] = (weights * window).sum((0, 1))
    return out, under if keep else None


def expected(x, alpha, top, kernels, o):
    border = None if o["border"] in INDEX else 0.0 if o["border"] == "zero" else float(o["border"])
    maps = [loops(x.astype(float), alpha, top, kernel, o, border) for kernel in kernels]
    if maps[0] is None:
        return None
    values = np.stack([each[0] for each in maps])
    if o["combine"]:
        how = {
            "magnitude": lambda v: np.sqrt((v**2).sum(0)), "max": lambda v: v.max(0),
            "sum": lambda v: v.sum(0), "mean": lambda v: v.mean(0),
        }[o["combine"]]  # fmt: skip
        values = how(values)[None]
    values = values + (o["bias"] or 0)
    if o["linear"]:
        colours = slice(None, -1 if alpha and o["alpha"] == "filter" else None)
        values[..., colours] = coded(values[..., colours], top)
    return values[0], maps[0][1]


def ranged(values, mode, top):
    """Return values in the range of a 16-bit map."""
    full = 65535
    scaled = values * (full / top)
    low, high = values.min(), values.max()
    largest = max(abs(low), abs(high))
    return {
        "clip": lambda: scaled, "abs": lambda: np.abs(scaled), "shift": lambda: scaled + 32768,
        "signed": lambda: values / largest * full / 2 + full / 2 if largest > 1e-9 * top else None,
        "stretch": lambda: (values - low) / (high - low) * full if high - low > 1e-9 * top else None,
    }[mode]()  # fmt: skip


def typed(o, kernels):
    """Return the options as they are typed."""
    words = ["--padding", o["padding"], "--border", o["border"], "--alpha", o["alpha"]]
    for name in ("stride", "dilation"):
        words += [f"--{name}", "{}x{}".format(*o[name])]
    words += ["--convolve"] * o["convolve"] + ["--linear"] * o["linear"]
    words += ["--channels", "gray"] * o["gray"]
    words += ["--combine", o["combine"]] * bool(o["combine"])
    words += [] if o["bias"] is None else ["--bias", repr(o["bias"])]
    for kernel in kernels:
        words += ["-k", "; ".join(" ".join(map(repr, row)) for row in kernel.tolist())]
    return list(map(str, words))


def saved(folder, x, alpha):
    """Write an image with opacity as what can hold it, and return its name."""
    name = str(folder / ("x.tif" if x.dtype.kind == "f" else "x.png"))
    write_image(name, Image(x[..., 0] if x.shape[2] == 1 else x, alpha=alpha), force=True)
    return name


@pytest.mark.one_in(6)
@pytest.mark.parametrize("seed", range(GROUPS))
def test_random_filters_are_what_the_loops_say(tmp_path, seed):
    rng = np.random.default_rng(seed)
    runner = CliRunner()
    compared = 0
    for _ in range(CASES):
        x, alpha, top, kernels, o = chosen(rng)
        kernels = kernels if o["combine"] else kernels[:1]
        if alpha and o["padding"] == "valid" and min(x.shape[:2]) < 6:
            o["padding"] = "same"
        found = expected(x, alpha, top, kernels, o)
        if found is None or not any(np.abs(kernel).sum() for kernel in kernels):
            continue
        values, opacity = found
        name, out = saved(tmp_path, x, alpha), str(tmp_path / "out.npy")
        words = ["apply", name, *typed(o, kernels), "-o", out, "-f", "--json"]
        words += ["--range", o["range"]]
        words += ["--depth", "float64" if o["range"] == "raw" else "16"]
        words += ["--white", "1"] if top == 1 else []
        done = runner.invoke(cli, words, standalone_mode=False)
        record = json.loads(done.stdout.splitlines()[0])
        assert "error" not in record, (words, record)
        got = np.load(io.BytesIO((tmp_path / "out.npy").read_bytes()))
        got = got[..., None] if got.ndim == 2 else got
        reach = max(np.abs(kernel).sum() for kernel in kernels) * max(top, 70) * len(kernels)
        colours = values.shape[-1]
        if o["range"] == "raw":
            steep = 13 if o["linear"] else 1  # the curve of light is so steep at 0
            assert np.abs(got[..., :colours] - values).max() <= 2e-5 * steep * reach, (words, x)
        else:
            pixels = ranged(values, o["range"], top)
            if pixels is None:
                continue
            limited = np.clip(pixels, 0, 65535)
            near = 0.51 + 3e-5 * 65535 * max(1, reach / top) * (
                0.2 if o["range"] != "stretch" else 1
            )
            assert np.abs(got[..., :colours] - limited).max() <= near, (words, x)
        assert record["min"] == pytest.approx(values.min(), abs=3e-4 * reach)
        if opacity is not None:
            scale = top if o["range"] == "raw" else 65535
            np.testing.assert_allclose(
                got[..., -1], opacity * scale, atol=0.51 * (scale > 1) + 1e-6
            )
        compared += 1
    assert compared > CASES // 2
