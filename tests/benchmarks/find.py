"""How well and how fast `find` finds: `python tests/benchmarks/find.py [PART]`.

Needs OpenCV and scikit-image, whose photographs are searched. Parts: photographs, scales, turns,
stereo, alarms, speed, batch, memory.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import io
import sys
import tempfile
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import skimage
from PIL import Image
from timing import command, in_turn, peak_megabytes

from conv_cli import find_pattern, score_map
from conv_cli.finding.find import search
from conv_cli.finding.pattern import planes_of, prepared
from conv_cli.finding.scales import resized

DATA = Path(skimage.__file__).parent / "data"
PHOTOGRAPHS = (
    "astronaut.png", "camera.png", "chelsea.png", "coffee.png", "ihc.png", "hubble_deep_field.jpg",
    "retina.jpg", "rocket.jpg", "coins.png", "page.png",
)  # fmt: skip


@cache
def photograph(name, mode="L"):
    return np.asarray(Image.open(DATA / name).convert(mode))


def textured(rng, image, count=6, sides=(28, 73), least=18):
    """Yield row, column and side of patches with detail in more than one direction.

    A straight edge is alike all along itself, so that a patch of one has no place of its own.
    """
    found = 0
    for _ in range(2000):
        side = int(rng.integers(*sides))
        row, column = (int(rng.integers(0, n - side)) for n in image.shape)
        patch = image[row : row + side, column : column + side].astype(float)
        down, across = (each - each.mean() for each in np.gradient(patch))
        tensor = np.cov(np.stack([down.ravel(), across.ravel()]))
        if patch.std() >= least and np.linalg.eigvalsh(tensor)[0] >= (least / 4) ** 2:
            yield row, column, side
            found += 1
        if found == count:
            return


def changed(rng, image, kind):
    """Return a photograph as another camera, or another hand, gives it."""
    values = image.astype(float)
    if kind == "gain":
        gain = rng.uniform(0.4, 1.1)
        values = values * gain + rng.uniform(0, 255 * (1 - min(gain, 1)))
    elif kind == "noise":
        values = values + rng.normal(0, 10, image.shape)
    elif kind == "blur":
        values = cv2.GaussianBlur(values, (0, 0), 1.2)
    elif kind == "jpeg":
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "jpeg", quality=35)
        values = np.asarray(Image.open(stream)).astype(float)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def found_at(hits, center, within):
    """Tell whether the best hit is where it should be."""
    return (
        bool(hits)
        and max(abs(a - b) for a, b in zip(hits[0].center, center, strict=True)) <= within
    )


def photographs():
    for kind in ("gain", "noise", "jpeg", "blur", "hidden"):
        rng, tally, lost = np.random.default_rng(1), [], []
        for name in PHOTOGRAPHS:
            image = photograph(name)
            other = changed(rng, image, kind)
            for row, column, side in textured(rng, image):
                pattern, mask = image[row : row + side, column : column + side].copy(), None
                if kind == "hidden":
                    mask = np.ones(pattern.shape)
                    mask[: side // 2, : side // 2] = 0
                    pattern[: side // 2, : side // 2] = rng.integers(0, 256, (side // 2, side // 2))
                hits = find_pattern(other, pattern, threshold=0, limit=1, mask=mask)
                tally.append(found_at(hits, (row + (side - 1) / 2, column + (side - 1) / 2), 1.5))
                if not tally[-1]:
                    lost.append((name, row, column, side))
        print(f"{kind}: {sum(tally)} of {len(tally)} {lost}", flush=True)


def scales():
    rng, tally, lost = np.random.default_rng(2), [], []
    for name in PHOTOGRAPHS:
        image = photograph(name)
        for row, column, side in textured(rng, image, 4):
            factor = float(rng.uniform(0.55, 1.8))
            size = tuple(round(n * factor) for n in image.shape[::-1])
            way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
            other = changed(rng, cv2.resize(image, size, interpolation=way), "noise")
            pattern = image[row : row + side, column : column + side]
            hits = find_pattern(other, pattern, threshold=0, limit=1, scale=(0.5, 2))
            center = [(n + side / 2) * factor - 0.5 for n in (row, column)]
            tally.append(found_at(hits, center, max(2, 0.08 * side * factor)))
            if not tally[-1]:
                lost.append((name, row, column, side, round(factor, 2)))
    print(f"scales: {sum(tally)} of {len(tally)} {lost}", flush=True)


def turns():
    rng, tally, lost = np.random.default_rng(3), [], []
    for name in PHOTOGRAPHS:
        image = photograph(name)
        height, width = image.shape
        for _ in range(4):
            angle = float(rng.uniform(-25, 25))
            matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1)
            other = changed(rng, cv2.warpAffine(image, matrix, (width, height)), "noise")
            for row, column, side in textured(rng, image, 40):
                middle = np.array([column, row]) + (side - 1) / 2
                x, y = matrix @ [*middle, 1]
                if min(x, y, width - x, height - y) > side * 0.75:
                    break
            else:
                continue
            pattern = image[row : row + side, column : column + side]
            hits = find_pattern(other, pattern, threshold=0, limit=1, rotate=(-25, 25))
            tally.append(found_at(hits, (y, x), 2))
            if not tally[-1]:
                lost.append((name, row, column, side, round(angle, 1)))
    print(f"turns: {sum(tally)} of {len(tally)} {lost}", flush=True)


def stereo():
    left, right = (photograph(f"motorcycle_{side}.png", "RGB") for side in ("left", "right"))
    disparity = np.load(DATA / "motorcycle_disp.npz")["arr_0"]
    rng, tally = np.random.default_rng(4), []
    grey = photograph("motorcycle_left.png")
    for row, column, side in textured(rng, grey, 150, (20, 33)):
        part = disparity[row : row + side, column : column + side]
        known = part[np.isfinite(part)]
        middle = float(disparity[row + side // 2, column + side // 2])
        # One depth: over an edge of one a patch has no single place.
        if known.size < 0.9 * part.size or np.ptp(known) > 4 or column - middle < 0:
            continue
        strip = right[max(0, row - 1) : row + side + 1]
        hits = find_pattern(
            strip, left[row : row + side, column : column + side], threshold=0, limit=1
        )
        off = hits[0].center[1] - (side - 1) / 2 - (column - float(np.median(known)))
        tally.append(abs(off) <= 2)
    print(f"stereo: {sum(tally)} of {len(tally)}", flush=True)


def alarms():
    rng = np.random.default_rng(5)
    counts = {1: [], 4: []}
    for name in PHOTOGRAPHS:
        for other in rng.choice([each for each in PHOTOGRAPHS if each != name], 4, replace=False):
            side = int(rng.integers(16, 65))
            (row, column, _), *_ = textured(rng, photograph(other), 1, (side, side + 1), 5)
            pattern = photograph(other)[row : row + side, column : column + side]
            only = [prepared(planes_of(pattern), None)]
            for expected, found in counts.items():
                found.append(
                    len(search(planes_of(photograph(name)), only, false_alarms=expected).hits)
                )
    for expected, found in counts.items():
        print(
            f"--false-alarms {expected}: {np.mean(found):.2f} on average of {len(found)}",
            flush=True,
        )


@cache
def twelve_megapixels():
    """A photograph of 4000×3000, enlarged, with the grain of a sensor."""
    large = cv2.resize(photograph("retina.jpg"), (4000, 3000), interpolation=cv2.INTER_CUBIC)
    grain = np.random.default_rng(6).normal(0, 3, large.shape)
    return np.clip(np.rint(large + grain), 0, 255).astype(np.uint8)


def speed(turns=7):
    image = twelve_megapixels()
    cv2.setNumThreads(2)
    ratios = []
    for side in (16, 32, 50, 100, 200, 400):
        pattern = np.ascontiguousarray(image[1200 : 1200 + side, 1700 : 1700 + side])
        ours, theirs, ratio = in_turn(
            lambda p=pattern: score_map(image, p),
            lambda p=pattern: cv2.matchTemplate(image, p, cv2.TM_CCOEFF_NORMED),
            turns,
        )
        ratios.append(ratio)
        print(
            f"{side}: {ours * 1e3:.0f} / {theirs * 1e3:.0f} ms, {ratio:.2f} of OpenCV", flush=True
        )
    mean = np.exp(np.mean(np.log(ratios)))
    print(f"geometric mean {mean:.2f}, worst {max(ratios):.2f}", flush=True)
    for side in (50, 200):
        pattern = np.ascontiguousarray(image[1200 : 1200 + side, 1700 : 1700 + side])
        mask = cv2.circle(
            np.zeros((side, side), np.uint8), (side // 2, side // 2), side // 2, 1, -1
        )
        ours, theirs, ratio = in_turn(
            lambda p=pattern, m=mask: score_map(image, p, m),
            lambda p=pattern, m=mask: cv2.matchTemplate(image, p, cv2.TM_CCOEFF_NORMED, mask=m),
            3,
        )
        print(f"round {side}: {ours * 1e3:.0f} / {theirs * 1e3:.0f} ms, {ratio:.2f}", flush=True)
    scales_in_turn(image)


def scales_in_turn(image):
    pattern = np.ascontiguousarray(image[1200:1264, 1700:1764])
    values = planes_of(pattern).astype(float)
    sizes = [round(64 * 1.06**step) for step in range(-6, 7)]
    found = [prepared(resized(values, None, (side, side))[0], None) for side in sizes]

    def theirs():
        for side in sizes:
            other = cv2.resize(pattern, (side, side), interpolation=cv2.INTER_AREA)
            np.argwhere(cv2.matchTemplate(image, other, cv2.TM_CCOEFF_NORMED) >= 0.8)

    ours, other, ratio = in_turn(lambda: search(planes_of(image), found), theirs, 3)
    print(f"{len(sizes)} scales: {ours * 1e3:.0f} / {other * 1e3:.0f} ms, {ratio:.2f}", flush=True)


def skimage_speed():
    from skimage.feature import match_template

    image = twelve_megapixels()
    pattern = image[1200:1250, 1700:1750]
    ours, theirs, ratio = in_turn(
        lambda: score_map(image, pattern), lambda: match_template(image, pattern), 2
    )
    print(f"scikit-image: {ours * 1e3:.0f} / {theirs * 1e3:.0f} ms, {ratio:.2f}", flush=True)


def batch():
    rng = np.random.default_rng(7)
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder, "photos")
        photos.mkdir()
        for number in range(200):
            name = PHOTOGRAPHS[number % 4]
            image = cv2.resize(photograph(name, "RGB"), (1000, 750), interpolation=cv2.INTER_CUBIC)
            image = np.roll(image, tuple(rng.integers(0, 700, 2)), (0, 1))
            Image.fromarray(image).save(photos / f"{number:03}.jpg", quality=90)
        pattern = Path(folder, "pattern.png")
        Image.fromarray(
            cv2.resize(photograph("astronaut.png", "RGB"), (1000, 750))[150:214, 450:514]
        ).save(pattern)
        script = (
            "import cv2, glob\n"
            f"p = cv2.imread({str(pattern)!r})\n"
            f"for name in sorted(glob.glob({str(photos / '*.jpg')!r})):\n"
            "    scores = cv2.matchTemplate(cv2.imread(name), p, cv2.TM_CCOEFF_NORMED)\n"
            "    _, best, _, place = cv2.minMaxLoc(scores)\n"
            "    print(name, best, place)\n"
        )
        ours, theirs, ratio = in_turn(
            command(sys.executable, "-m", "conv_cli", "find", str(pattern), str(photos), "-q"),
            command(sys.executable, "-c", script),
            3,
        )
        print(f"200 photographs: {ours:.2f} / {theirs:.2f} s, {ratio:.2f}", flush=True)


def memory():
    with tempfile.TemporaryDirectory() as folder:
        for side in (50, 400):
            path, pattern = Path(folder, "image.png"), Path(folder, "pattern.png")
            Image.fromarray(twelve_megapixels()).save(path, compress_level=1)
            Image.fromarray(twelve_megapixels()[1200 : 1200 + side, 1700 : 1700 + side]).save(
                pattern
            )
            words = ("find", str(pattern), str(path), "-o", str(Path(folder, f"{side}.png")))
            quiet = (
                "import runpy, sys; sys.stdout = open('/dev/null', 'w'); "
                "runpy.run_module('conv_cli', run_name='__main__')"
            )
            peak = peak_megabytes(sys.executable, "-c", quiet, *words)
            print(f"peak, {side}: {peak:.0f} MB", flush=True)


PARTS = {
    part.__name__: part
    for part in (photographs, scales, turns, stereo, alarms, speed, skimage_speed, batch, memory)
}

if __name__ == "__main__":
    for chosen in sys.argv[1:] or PARTS:
        PARTS[chosen]()
