"""Programs whose truth is known because they were written so: what ``probe`` is measured by.

Each is a function from pixels (H, W, C), uint8 or uint16, to pixels; of four channels the last is
opacity. SciPy does the filtering, so that nothing of what is tested makes what it is tested with.
"""

import io
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image as PilImage
from scipy import ndimage

MODES = {
    "edge": "nearest",
    "zero": "constant",
    "reflect": "mirror",
    "symmetric": "reflect",
    "wrap": "wrap",
}
ROUND = {
    "nearest": lambda v: np.floor(v + 0.5 + 1e-9),
    "down": lambda v: np.floor(v + 1e-9),
    "even": lambda v: np.rint(v),
}
COPIED = {"opacity": "copied", "weighted": False}


class Program(NamedTuple):
    """A program and its truth: keys that are to be just so, those left out may be anything."""

    run: Any
    truth: dict


PROGRAMS: dict[str, Program] = {}


def program(name, **truth):
    def add(run):
        assert name not in PROGRAMS
        PROGRAMS[name] = Program(run, truth)
        return run

    return add


def whole(values, like, way="nearest"):
    top = np.iinfo(like.dtype).max
    return np.clip(ROUND[way](values), 0, top).astype(like.dtype)


def colour_only(run):
    """Return a program that copies opacity and does not look at it."""

    def both(pixels):
        made = run(pixels[..., :3])
        alpha = pixels[..., 3:]
        return np.dstack([made, alpha]) if alpha.size else made

    return both


def filtered(kernel, border="edge", way="nearest", bias=0.0, origin=None, value=0.0):
    """Return a program that correlates each colour with a kernel."""
    kernel = np.array(kernel, float)
    place = [(k - 1) // 2 for k in kernel.shape] if origin is None else origin
    # SciPy's origin is counted from size // 2.
    shift = [p - k // 2 for p, k in zip(place, kernel.shape, strict=True)]

    def run(pixels):
        values = [
            ndimage.correlate(
                plane.astype(float), kernel, mode=MODES[border], cval=value, origin=shift
            )
            for plane in pixels.transpose(2, 0, 1)
        ]
        return whole(np.dstack(values) + bias, pixels, way)

    return colour_only(run)


def linear(kernel, **truth):
    """Return the truth of a kernel."""
    kernel = np.array(kernel, float)
    return {
        "linear": "yes", "kernel": kernel, "size": list(kernel.shape), "shift": [0, 0],
        "stride": [1, 1], "origin": [(k - 1) // 2 for k in kernel.shape], "channels": "alike",
        "light": "encoded", "depth": 16, "bias": 0, **COPIED, **truth,
    }  # fmt: skip


def gaussian(sigma, radius):
    x = np.arange(-radius, radius + 1)
    row = np.exp(-(x**2) / 2 / sigma**2)
    row /= row.sum()
    return np.outer(row, row)


BOX3 = np.ones((3, 3)) / 9
BINOMIAL = np.outer([1, 2, 1], [1, 2, 1]) / 16
SKEW = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 28]]) / 64
SHARPEN = np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]])
SOBEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])

for border in MODES:
    five = np.array([[1, 2, 3, 4, 5], [2, 3, 4, 5, 6], [3, 4, 5, 6, 7], [4, 5, 6, 7, 8],
                     [5, 6, 7, 8, 25]]) / 145  # fmt: skip
    truth = linear(five, border=border, rounding="nearest", clips=None)
    program(f"border {border}", **truth)(filtered(five, border))
    program(f"border {border}, 1 row", **linear(np.array([[3, 1, 4, 1, 7]]) / 16, border=border))(
        filtered(np.array([[3, 1, 4, 1, 7]]) / 16, border)
    )
program("border 100", **linear(SKEW, border="100"))(filtered(SKEW, "zero", value=100))
for way in ROUND:
    program(
        f"rounding {way}", **linear(BINOMIAL, rounding=way, border="reflect", match="binomial")
    )(filtered(BINOMIAL, "reflect", way))
    program(f"rounding {way}, skew", **linear(SKEW, rounding=way))(filtered(SKEW, "edge", way))
    weights = gaussian(1.3, 4)
    seen = "down" if way == "down" else "nearest"  # no sum of theirs is a half
    program(f"rounding {way}, gaussian", **linear(weights, rounding=seen))(
        filtered(weights, "symmetric", way)
    )
for row in (0, 1):
    for column in (0, 1):
        two = np.array([[1, 2], [3, 10]]) / 16
        program(f"even size, origin {row},{column}", **linear(two, origin=[row, column]))(
            filtered(two, "edge", origin=(row, column))
        )
four = np.arange(1, 17).reshape(4, 4) / 136
program("four by four", **linear(four, origin=[2, 2]))(filtered(four, origin=(2, 2)))
program("identity", **linear([[1]], match="identity", weighted=None, clips=None, rounding=None))(
    lambda p: p
)
program("sharpen", **linear(SHARPEN, match="sharpen", clips="yes", border="edge"))(
    filtered(SHARPEN)
)
program("sobel", **linear(SOBEL, match="sobel-x", clips="yes", border="zero"))(
    filtered(SOBEL, "zero")
)
program("emboss with a bias", **linear(SOBEL / 4, bias=128, clips="yes", rounding="down"))(
    filtered(SOBEL / 4, bias=128, way="down")
)
program("a bias of 12", **linear(BOX3, bias=12, rounding="nearest"))(filtered(BOX3, bias=12))
program("gaussian 2", **linear(gaussian(2, 6), match="gaussian:sigma=2", size=None))(
    filtered(gaussian(2, 6))
)
program("motion", **linear(np.ones((1, 15)) / 15, border="reflect", rounding="nearest"))(
    filtered(np.ones((1, 15)) / 15, "reflect")
)
program("a large box", **linear(np.ones((13, 13)) / 169, border="edge"))(
    filtered(np.ones((13, 13)) / 169)
)
program("negative", **linear([[-1]], clips=None, weighted=None, bias=255))(
    colour_only(lambda p: np.iinfo(p.dtype).max - p)
)
program("twice as dark", **linear([[0.5]], weighted=None, rounding="down", clips=None))(
    colour_only(lambda p: p // 2)
)


@program("shifted", **linear([[1]], shift=[3, -5], border="wrap", weighted=None))
@colour_only
def shifted(pixels):
    return np.roll(pixels, (3, -5), (0, 1))


@program("normalized border", **linear(BOX3, border="normalized", rounding="nearest"))
@colour_only
def normalized(pixels):
    def mean(plane):
        ones = np.ones(plane.shape)
        sums = (ndimage.correlate(p, BOX3, mode="constant") for p in (plane.astype(float), ones))
        return np.divide(*sums)

    return whole(np.dstack([mean(p) for p in pixels.transpose(2, 0, 1)]), pixels)


@program("copied rim", **linear(SKEW, border="copied"))
@colour_only
def copied_rim(pixels):
    made = filtered(SKEW)(pixels)
    made[[0, -1]], made[:, [0, -1]] = pixels[[0, -1]], pixels[:, [0, -1]]
    return made


@program("copied rim, wider than the kernel", **linear(SKEW, border="copied"))
@colour_only
def wide_rim(pixels):
    made = pixels.copy()
    made[4:-4, 4:-4] = filtered(SKEW)(pixels)[4:-4, 4:-4]
    return made


@program("cropped", **linear(SKEW, border="cropped"))
def cropped(pixels):
    return filtered(SKEW)(pixels)[1:-1, 1:-1]


@program("cropped by more on one side", **linear(SHARPEN, border="cropped"))
def cropped_aside(pixels):
    return filtered(SHARPEN)(pixels)[9:-2, 4:-7]


TWO_PASS = np.array([1, 4, 6, 4, 1]) / 16


@program("two passes", **linear(np.outer(TWO_PASS, TWO_PASS), rounding="repeated", border="edge"))
@colour_only
def two_passes(pixels):
    return filtered(TWO_PASS[None])(filtered(TWO_PASS[:, None])(pixels))


@program("two passes, rows first, down", **linear(BOX3, rounding="repeated"))
@colour_only
def two_down(pixels):
    return filtered(np.ones((3, 1)) / 3, way="down")(
        filtered(np.ones((1, 3)) / 3, way="down")(pixels)
    )


def to_light(values, top):
    coded = values / top
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)


def from_light(light):
    light = np.maximum(light, 0)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def in_light(kernel):
    @colour_only
    def run(pixels):
        top = np.iinfo(pixels.dtype).max
        light = to_light(pixels.astype(float), top)
        made = [ndimage.correlate(p, kernel, mode="nearest") for p in light.transpose(2, 0, 1)]
        return whole(from_light(np.dstack(made)) * top, pixels)

    return run


for name, kernel in {"box": BOX3, "gaussian": gaussian(1.5, 4), "skew": SKEW}.items():
    truth = linear(kernel, light="linear", border="edge", weighted=None)
    program(f"linear light, {name}", **truth)(in_light(kernel))


@program("channels each", **{**linear(np.stack([SKEW, BOX3, BOX3.T * 0 + SKEW.T]), channels="each"),
                             "size": [3, 3], "origin": [1, 1]})  # fmt: skip
@colour_only
def each_channel(pixels):
    parts = (filtered(k)(pixels[..., c : c + 1]) for c, k in enumerate((SKEW, BOX3, SKEW.T)))
    return np.dstack(list(parts))


MIX = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.2, 0.7]])


@program("channels mixed", **linear(MIX[:, :, None, None], channels="mixed", weighted=None,
                                    size=[1, 1], origin=[0, 0]))  # fmt: skip
@colour_only
def mixed(pixels):
    return whole(pixels @ MIX.T, pixels)


@program("red and blue change places", linear="yes", channels="mixed", size=[1, 1])
@colour_only
def swapped(pixels):
    return pixels[..., ::-1]


@program("grey", linear="yes", channels="mixed", opacity="dropped", size=[1, 1], depth=16)
def grey(pixels):
    return whole(pixels[..., :3] @ np.array([0.299, 0.587, 0.114]), pixels)


@program("blurred grey", linear="yes", channels="mixed", opacity="dropped", size=[3, 3])
def blurred_grey(pixels):
    values = pixels[..., :3] @ np.array([0.299, 0.587, 0.114])
    return whole(ndimage.correlate(values, SKEW, mode="nearest"), pixels)


for side in (2, 3, 4):

    @program(f"means of {side}x{side}, sampled", **{
        **linear(np.ones((side, side)) / side**2, stride=[side, side], border="edge",
                 opacity="filtered", weighted=False), "origin": [0, 0]})  # fmt: skip
    def means(pixels, side=side):
        height, width, count = pixels.shape
        parts = pixels.reshape(height // side, side, width // side, side, count).astype(float)
        return whole(parts.mean(axis=(1, 3)), pixels)


@program("every second pixel", **{**linear([[1]], stride=[2, 2], weighted=None)})
def every_second(pixels):
    return pixels[::2, ::2]


@program("every third of a blur", **linear(SKEW, stride=[3, 3], border="edge"))
def third(pixels):
    return filtered(SKEW)(pixels)[::3, ::3]


@program("opacity filtered", **{**linear(SKEW), "opacity": "filtered"})
def opacity_filtered(pixels):
    made = [
        ndimage.correlate(p.astype(float), SKEW, mode="nearest") for p in pixels.transpose(2, 0, 1)
    ]
    return whole(np.dstack(made), pixels)


@program("opacity dropped", **{**linear(SKEW), "opacity": "dropped"})
def opacity_dropped(pixels):
    return filtered(SKEW)(pixels[..., :3])


@program("opacity refused", **{**linear(SKEW), "opacity": "refused", "weighted": None})
def opacity_refused(pixels):
    if pixels.shape[2] == 4:
        raise ValueError("no opacity, please")
    return filtered(SKEW)(pixels)


@program("opacity halved", **{**linear(SKEW), "opacity": "changed"})
def opacity_halved(pixels):
    made = filtered(SKEW)(pixels)
    made[..., 3:] //= 2
    return made


def weighted_by(kernel, keep):
    def run(pixels):
        if pixels.shape[2] == 3:
            return filtered(kernel)(pixels)
        top = np.iinfo(pixels.dtype).max
        alpha = pixels[..., 3] / top
        share = ndimage.correlate(alpha, kernel, mode="nearest")
        parts = [ndimage.correlate(p * alpha, kernel, mode="nearest")
                 for p in pixels[..., :3].transpose(2, 0, 1)]  # fmt: skip
        colours = [p / np.maximum(share, 1e-9) for p in parts]
        return whole(np.dstack([*colours, (alpha if keep else share) * top]), pixels)

    return run


program("weighted, opacity kept", **{**linear(SKEW), "weighted": True})(weighted_by(SKEW, True))
program("weighted, opacity filtered", **{**linear(SKEW), "opacity": "filtered", "weighted": True})(
    weighted_by(SKEW, False)
)


@program("8 bits alone", **{**linear(SKEW), "depth": 8})
def eight_bits(pixels):
    if pixels.dtype == np.uint16:
        pixels = (pixels // 257).astype(np.uint8)
    return filtered(SKEW)(pixels)


@program("8 bits within 16", **{**linear(SKEW), "depth": 8})
def eight_within(pixels):
    if pixels.dtype != np.uint16:
        return filtered(SKEW)(pixels)
    return filtered(SKEW)(np.rint(pixels / 257).astype(np.uint8)).astype(np.uint16) * 257


@program("16 bits refused", **{**linear(SKEW), "depth": 8})
def sixteen_refused(pixels):
    if pixels.dtype == np.uint16:
        raise ValueError("8 bits, please")
    return filtered(SKEW)(pixels)


@program("floats", **{**linear(SKEW), "rounding": "none", "depth": None, "clips": None})
@colour_only
def floats(pixels):
    return np.dstack([ndimage.correlate(p.astype(float), SKEW, mode="nearest")
                      for p in pixels.transpose(2, 0, 1)])  # fmt: skip


@program("wraps", **{**linear(SHARPEN), "clips": "wraps"})
@colour_only
def wraps(pixels):
    made = [ndimage.correlate(p.astype(np.int64), SHARPEN, mode="nearest")
            for p in pixels.transpose(2, 0, 1)]  # fmt: skip
    return np.dstack(made).astype(pixels.dtype)


@program("folded back", **{**linear(SHARPEN), "clips": "otherwise"})
@colour_only
def folded(pixels):
    top = int(np.iinfo(pixels.dtype).max)
    made = [ndimage.correlate(p.astype(np.int64), SHARPEN, mode="nearest")
            for p in pixels.transpose(2, 0, 1)]  # fmt: skip
    made = np.abs(np.dstack(made))
    return np.where(made > top, np.clip(2 * top - made, 0, top), made).astype(pixels.dtype)


def odd(name, kind, **truth):
    return program(name, linear=kind, **truth)


@odd("gamma", "tone", opacity="copied", depth=16)
@colour_only
def gamma(pixels):
    top = np.iinfo(pixels.dtype).max
    return whole((pixels / top) ** 0.7 * top, pixels)


@odd("a curve with a bend", "tone")
@colour_only
def bend(pixels):
    top = np.iinfo(pixels.dtype).max
    return whole(np.sin(pixels / top * np.pi) * top, pixels)


@odd("threshold", "tone", depth=1)
@colour_only
def threshold(pixels):
    top = np.iinfo(pixels.dtype).max
    return np.where(pixels > top // 2, top, 0).astype(pixels.dtype)


@odd("posterize", "tone", depth=3)
@colour_only
def posterize(pixels):
    step = (int(np.iinfo(pixels.dtype).max) + 1) // 8
    return pixels // step * step


@odd("saturation", "tone")
@colour_only
def saturation(pixels):
    most = pixels.max(axis=-1, keepdims=True).astype(float)
    return whole(most - (most - pixels) ** 2 / np.maximum(most, 1), pixels)


for size in (3, 5):

    @odd(f"median {size}", "neighbours", opacity="copied")
    @colour_only
    def median(pixels, size=size):
        return ndimage.median_filter(pixels, (size, size, 1))


@odd("maximum", "neighbours")
@colour_only
def maximum(pixels):
    return ndimage.maximum_filter(pixels, (3, 3, 1))


@odd("magnitude of slopes", "neighbours")
@colour_only
def magnitude(pixels):
    x, y = (ndimage.sobel(pixels.astype(float), axis) for axis in (0, 1))
    return whole(np.hypot(x, y) / 4, pixels)


@odd("unsharp with a threshold", "neighbours")
@colour_only
def thresholded(pixels):
    blurred = ndimage.gaussian_filter(pixels.astype(float), (2, 2, 0))
    detail = pixels - blurred
    top = np.iinfo(pixels.dtype).max
    return whole(pixels + np.where(np.abs(detail) > top * 0.05, detail, 0), pixels)


@odd("bilateral", "neighbours", opacity="dropped")
def bilateral(pixels):
    eight = pixels if pixels.dtype == np.uint8 else (pixels // 257).astype(np.uint8)
    return cv2.bilateralFilter(np.ascontiguousarray(eight[..., :3]), 7, 40, 3)


@odd("blur, then a curve", "neighbours")
@colour_only
def blur_and_curve(pixels):
    top = np.iinfo(pixels.dtype).max
    return whole((filtered(SKEW)(pixels) / top) ** 1.6 * top, pixels)


@odd("adaptive threshold", "neighbours")
@colour_only
def adaptive(pixels):
    top = np.iinfo(pixels.dtype).max
    mean = ndimage.uniform_filter(pixels.astype(float), (11, 11, 1))
    return np.where(pixels > mean, top, 0).astype(pixels.dtype)


def vignette(pixels, strength):
    row, column = (np.linspace(-1, 1, n) for n in pixels.shape[:2])
    fall = 1 - strength * (row[:, None] ** 2 + column**2) / 2
    return whole(pixels * fall[..., None], pixels)


for strength in (0.1, 0.3, 0.8):
    odd(f"vignette {strength}", "position")(
        colour_only(lambda pixels, strength=strength: vignette(pixels, strength))
    )


@odd("blurred to the right", "position")
@colour_only
def half_blurred(pixels):
    made = pixels.copy()
    made[:, 200:] = filtered(SKEW)(pixels)[:, 200:]
    return made


TURNED = {
    "flipped": lambda p: p[:, ::-1],
    "upside down": lambda p: p[::-1],
    "turned by 180": lambda p: p[::-1, ::-1],
    "turned by 90": lambda p: np.rot90(p),
    "along the diagonal": lambda p: p.transpose(1, 0, 2),
}
for name, turn in TURNED.items():
    odd(name, "geometry")(lambda p, turn=turn: np.ascontiguousarray(turn(p)))


def warped(matrix):
    def run(pixels):
        height, width = pixels.shape[:2]
        return cv2.warpAffine(pixels, np.array(matrix, float), (width, height))

    return run


odd("turned by 5 degrees", "geometry")(warped(cv2.getRotationMatrix2D((180, 120), 5, 1)))
odd("scaled by 1.1 about its middle", "geometry")(warped([[1.1, 0, -18], [0, 1.1, -12]]))
odd("enlarged", "geometry")(lambda p: cv2.resize(p, (540, 360), interpolation=cv2.INTER_CUBIC))
odd("made smaller by a third", "geometry")(
    lambda p: cv2.resize(p, (241, 161), interpolation=cv2.INTER_AREA)
)


@odd("bent", "geometry")
def bent(pixels):
    row, column = np.indices(pixels.shape[:2])
    there = (row + 6 * np.sin(column / 60), column + 5 * np.sin(row / 50))
    planes = (ndimage.map_coordinates(p, there, order=1, mode="nearest")
              for p in pixels.transpose(2, 0, 1))  # fmt: skip
    return np.dstack(list(planes))


@odd("equalized", "picture")
@colour_only
def equalized(pixels):
    top = np.iinfo(pixels.dtype).max

    def level(plane):
        counts = np.bincount(plane.ravel(), minlength=top + 1).cumsum()
        return whole(counts[plane] / plane.size * top, pixels)

    return np.dstack([level(p) for p in pixels.transpose(2, 0, 1)])


@odd("stretched", "picture")
@colour_only
def stretched(pixels):
    top = np.iinfo(pixels.dtype).max
    low, high = float(pixels.min()), float(pixels.max())
    return whole((pixels - low) / (high - low) * top, pixels)


@odd("less its mean", "picture")
@colour_only
def less_mean(pixels):
    return whole(pixels - pixels.mean() + np.iinfo(pixels.dtype).max / 2, pixels)


@odd("noise of 10", "random")
@colour_only
def noise_of_ten(pixels):
    scale = np.iinfo(pixels.dtype).max / 255
    return whole(pixels + np.random.default_rng().normal(0, 10 * scale, pixels.shape), pixels)


@odd("salt and pepper", "random")
@colour_only
def salt(pixels):
    made = pixels.copy()
    made[np.random.default_rng().random(pixels.shape[:2]) < 0.05] = 0
    return made


@odd("a jpeg within", "neighbours", opacity="dropped")
def jpeg_within(pixels):
    eight = pixels if pixels.dtype == np.uint8 else (pixels // 257).astype(np.uint8)
    file = io.BytesIO()
    PilImage.fromarray(eight[..., :3]).save(file, "JPEG", quality=75, subsampling=0)
    return np.asarray(PilImage.open(file))
