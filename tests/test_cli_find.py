"""conv-cli find: hits as lines and JSON, pictures of them, and every way to ask."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from command import call, error_line, run, tree
from conv_cli import find_pattern, score_map


def bumps(seed, shape, sigma=2.5):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma)
    return np.rint(255 * (noise - noise.min()) / np.ptp(noise)).astype(np.uint8)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    """A scene with a figure at row 30 and column 50, the figure, and a scene without it."""
    scene, other = bumps(1, (90, 120)), bumps(2, (80, 100))
    save(tmp_path / "scene.png", scene)
    save(tmp_path / "other.png", other)
    save(tmp_path / "figure.png", scene[30:54, 50:70])
    return tmp_path


def lines(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_line_a_hit(folder):
    done = run("find", "figure.png", "scene.png", cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        b"1.0000 30 50 24x20 scene.png\n",
        b"",
    )


def test_json_has_the_keys_of_the_contract(folder):
    done = call("find", "figure.png", "scene.png", "--json", cwd=folder)
    (hit,) = lines(done)
    assert list(hit) == [
        "image", "row", "col", "height", "width", "score", "scale", "angle", "center",
    ]  # fmt: skip
    assert (hit["row"], hit["col"], hit["height"], hit["width"]) == (30, 50, 24, 20)
    assert hit["center"] == pytest.approx([41.5, 59.5], abs=0.1)
    assert (hit["scale"], hit["angle"]) == (1, 0)


def test_an_image_without_a_hit_tells_its_best_place(folder):
    done = call("find", "figure.png", "other.png", "scene.png", "--json", cwd=folder)
    assert done.returncode == 0
    none, hit = lines(done)
    other = np.asarray(Image.open(folder / "other.png"))
    scores = score_map(other, np.asarray(Image.open(folder / "figure.png")))
    row, col = np.unravel_index(scores.argmax(), scores.shape)
    assert none["best"] == pytest.approx(scores.max(), abs=1e-6)
    assert none == {"image": "other.png", "hits": 0, "best": none["best"], "row": row, "col": col}
    assert hit["image"] == "scene.png"


def test_no_hit_at_all_exits_3(folder):
    done = call("find", "figure.png", "other.png", cwd=folder)
    assert (done.returncode, done.stdout) == (3, b"")
    assert b"other.png: no hit; the best place" in done.stderr
    quiet = call("find", "figure.png", "other.png", "-q", cwd=folder)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (3, b"", b"")


def test_threshold_and_limit(folder):
    done = call("find", "figure.png", "scene.png", "--threshold", "0.3", "--limit", "4", cwd=folder)
    scores = [float(line.split()[0]) for line in done.stdout.splitlines()]
    assert len(scores) == 4
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] >= 0.3


def test_false_alarms_say_how_many_are_expected(folder):
    done = call("find", "figure.png", "scene.png", "--false-alarms", "2", "--json", cwd=folder)
    hits = lines(done)
    assert (hits[0]["row"], hits[0]["col"]) == (30, 50)
    expected = [hit["expected_false"] for hit in hits]
    assert expected == sorted(expected)
    assert expected[-1] <= 2


def test_the_pattern_may_be_a_window_of_a_picture(folder):
    done = call("find", "scene.png", "scene.png", "--crop", "30,50,24x20", cwd=folder)
    assert done.stdout == b"1.0000 30 50 24x20 scene.png\n"


def test_mask_and_opacity_leave_out_what_differs(folder):
    figure = np.asarray(Image.open(folder / "figure.png")).copy()
    mask = np.full(figure.shape, 255, np.uint8)
    mask[:12, :10] = 0
    figure[mask == 0] = 255 - figure[mask == 0]
    save(folder / "spoilt.png", figure)
    save(folder / "mask.png", mask)
    save(folder / "clear.png", np.dstack([figure, mask]))
    assert call("find", "spoilt.png", "scene.png", "-q", cwd=folder).returncode == 3
    for words in (("spoilt.png", "--mask", "mask.png"), ("clear.png",)):
        done = call("find", words[0], "scene.png", *words[1:], "--threshold", "0.99", cwd=folder)
        assert done.stdout == b"1.0000 30 50 24x20 scene.png\n", done.stderr


def test_scale_and_rotate_are_told(folder):
    scene = np.asarray(Image.open(folder / "scene.png"))
    save(folder / "large.png", np.asarray(Image.fromarray(scene).resize((180, 135), 3)))
    done = call("find", "figure.png", "large.png", "--scale", "1:2", "--json", cwd=folder)
    (hit, *_) = lines(done)
    assert hit["scale"] == pytest.approx(1.5, rel=0.05)
    assert hit["center"] == pytest.approx([62.5, 89.5], abs=1.5)
    save(folder / "turned.png", np.rot90(scene).copy())
    done = call("find", "figure.png", "turned.png", "--rotate", "80:90", cwd=folder)
    assert done.stdout.startswith(b"1.0000 50 30 20x24 turned.png\n")


def test_colours_count_unless_grey_is_asked_for(folder):
    red, green = bumps(3, (60, 60)), bumps(4, (60, 60))
    scene = np.dstack([red, green, red])
    save(folder / "colour.png", scene)
    # The same grey, of other colours.
    grey = np.rint(scene @ [0.299, 0.587, 0.114]).astype(np.uint8)[20:40, 30:50]
    save(folder / "grey.png", np.dstack([grey] * 3))
    assert call("find", "grey.png", "colour.png", "-q", cwd=folder).returncode == 3
    done = call("find", "grey.png", "colour.png", "--channels", "gray", cwd=folder)
    assert b" 20 30 20x20 colour.png" in done.stdout
    save(folder / "plain.png", grey)
    done = call("find", "plain.png", "colour.png", cwd=folder)
    assert b" 20 30 20x20 colour.png" in done.stdout
    assert b"searched in grey" in done.stderr


def test_the_picture_frames_the_hits_and_changes_nothing_else(folder):
    done = call("find", "figure.png", "scene.png", "-o", "out.png", cwd=folder)
    assert done.returncode == 0
    scene = np.asarray(Image.open(folder / "scene.png"))
    drawn = np.asarray(Image.open(folder / "out.png"))
    assert drawn.shape == (90, 120, 3)
    changed = (drawn != scene[..., None]).any(axis=2)
    assert not changed[30:54, 50:70].any()
    assert changed[28, 50:70].all()
    assert changed[30:54, 48].all()
    assert not changed[60:].any()
    assert (drawn[28, 60] == (240, 228, 66)).all()


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_deep_pictures_are_framed_in_8_bits(folder, dtype):
    scene = np.asarray(Image.open(folder / "scene.png")).astype(dtype) * 257
    np.save(folder / "deep.npy", scene)
    done = call("find", "figure.png", "deep.npy", "-o", "out.png", cwd=folder)
    assert done.stdout == b"1.0000 30 50 24x20 deep.npy\n"
    drawn = np.asarray(Image.open(folder / "out.png"))
    kept = np.asarray(Image.open(folder / "scene.png"))[60:]
    assert np.abs(drawn[60:, :, 0].astype(int) - kept).max() <= 1


def test_the_heat_map_is_the_scores(folder):
    done = call("find", "figure.png", "scene.png", "--heatmap", "heat.npy", "-q", cwd=folder)
    assert done.returncode == 0
    scene, figure = (np.asarray(Image.open(folder / f"{n}.png")) for n in ("scene", "figure"))
    heat = np.load(folder / "heat.npy")
    np.testing.assert_array_equal(heat, score_map(scene, figure))
    call("find", "figure.png", "scene.png", "--heatmap", "heat.png", cwd=folder)
    drawn = np.asarray(Image.open(folder / "heat.png"))
    np.testing.assert_array_equal(drawn, np.rint(np.clip(heat, 0, 1) * 255))


def test_folders_are_mirrored(folder):
    scene = np.asarray(Image.open(folder / "scene.png"))
    for name in ("in/a.png", "in/deep/b.png"):
        save(folder / name, scene)
    words = ("find", "figure.png", "in", "-r", "-o", "out", "--heatmap", "out", "-q")
    done = call(*words, cwd=folder)
    assert done.stdout.splitlines() == [
        b"1.0000 30 50 24x20 in/a.png", b"1.0000 30 50 24x20 in/deep/b.png",
    ]  # fmt: skip
    assert [name for name, data in tree(folder / "out").items() if data] == [
        "a.framed.png", "a.heat.png", "deep/b.framed.png", "deep/b.heat.png",
    ]  # fmt: skip


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_the_same_for_every_number_of_jobs(folder, jobs):
    words = ("figure.png", "other.png", "scene.png", "--threshold", "0.3", "--scale", "0.8:1.2")
    done = call("find", *words, "--json", "--jobs", jobs, cwd=folder)
    scenes = {n: np.asarray(Image.open(folder / n)) for n in ("other.png", "scene.png")}
    figure = np.asarray(Image.open(folder / "figure.png"))
    expected = [
        (name, hit.row, hit.col, round(hit.score, 6))
        for name, scene in scenes.items()
        for hit in find_pattern(scene, figure, threshold=0.3, scale=(0.8, 1.2))
    ]
    assert [(h["image"], h["row"], h["col"], h["score"]) for h in lines(done)] == expected


def test_an_existing_picture_is_refused_and_the_hits_are_told(folder):
    (folder / "out.png").write_bytes(b"mine")
    done = call("find", "figure.png", "scene.png", "-o", "out.png", cwd=folder)
    assert done.stdout == b"1.0000 30 50 24x20 scene.png\n"
    assert error_line(done) == (
        "Error: out.png: exists; use --force to overwrite it or --skip-existing to keep it"
    )
    assert (folder / "out.png").read_bytes() == b"mine"
    assert (
        call("find", "figure.png", "scene.png", "-o", "out.png", "-f", cwd=folder).returncode == 0
    )
    assert (folder / "out.png").read_bytes() != b"mine"


def test_the_input_is_never_overwritten(folder):
    before = (folder / "scene.png").read_bytes()
    done = call("find", "figure.png", "scene.png", "-o", "scene.png", "-f", cwd=folder)
    assert "is an input" in error_line(done)
    assert (folder / "scene.png").read_bytes() == before


def test_images_whose_pictures_are_there_are_skipped(folder):
    (folder / "out").mkdir()
    (folder / "out/scene.framed.png").write_bytes(b"mine")
    words = ("figure.png", "scene.png", "other.png", "-o", "out/", "--skip-existing", "-q")
    done = call("find", *words, cwd=folder)
    assert (done.returncode, done.stdout) == (3, b"")  # the one that was searched has no hit
    assert (folder / "out/scene.framed.png").read_bytes() == b"mine"
    assert (folder / "out/other.framed.png").exists()
    again = call("find", *words, cwd=folder)
    assert (again.returncode, again.stdout) == (0, b"")


def test_a_dry_run_writes_nothing(folder):
    before = tree(folder)
    words = ("figure.png", "scene.png", "-o", "out.png", "--heatmap", "heat.npy", "--dry-run")
    done = call("find", *words, cwd=folder)
    assert done.stdout.decode().splitlines() == [
        "scene.png  67x101 float32", "out.png  90x120x3 uint8", "heat.npy  67x101 float32",
    ]  # fmt: skip
    assert tree(folder) == before


def test_stdin_and_stdout(folder):
    data = (folder / "scene.png").read_bytes()
    done = run("find", "figure.png", "-", "-o", "-", input=data, cwd=folder)
    assert done.returncode == 0
    assert Image.open(io.BytesIO(done.stdout)).size == (120, 90)
    assert done.stderr == b"1.0000 30 50 24x20 -\n"


def test_a_damaged_image_costs_itself_alone(folder):
    (folder / "broken.png").write_bytes((folder / "scene.png").read_bytes()[:300])
    done = call("find", "figure.png", "broken.png", "scene.png", "-q", cwd=folder)
    assert "broken.png" in error_line(done)
    assert done.stdout == b"1.0000 30 50 24x20 scene.png\n"


def test_a_pattern_larger_than_one_image_costs_that_image(folder):
    save(folder / "small.png", bumps(5, (20, 20)))
    done = call("find", "figure.png", "small.png", "scene.png", "-q", cwd=folder)
    assert error_line(done).startswith("Error: small.png: the pattern of 20x24 is larger than")
    assert done.stdout == b"1.0000 30 50 24x20 scene.png\n"


def test_a_pattern_larger_than_every_image_exits_2(folder):
    done = call("find", "scene.png", "figure.png", "-o", "out.png", cwd=folder)
    assert "larger than the image of 20x24" in error_line(done, 2)
    assert not (folder / "out.png").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("even.png", "scene.png"), "even.png: the pattern has no detail"),
        (("missing.png", "scene.png"), "missing.png: no such file"),
        (("figure.png", "scene.png", "--crop", "20,0,10x10"), "--crop 20,0,10x10 reaches beyond"),
        (("figure.png", "scene.png", "--crop", "20"), "--crop: '20' is not understood"),
        (
            ("figure.png", "scene.png", "--mask", "scene.png"),
            "scene.png: is 120x90, and the pattern 20x24",
        ),
        (("figure.png", "scene.png", "--scale", "2:1"), "--scale: '2:1' is not understood"),
        (("figure.png", "scene.png", "--scale", "0:1"), "both from 0.05 to 20"),
        (("figure.png", "scene.png", "--rotate", "a:b"), "--rotate: 'a:b' is not understood"),
        (("figure.png", "scene.png", "--threshold", "2"), "--threshold: '2' is above 1"),
        (("figure.png", "scene.png", "--false-alarms", "0"), "--false-alarms: '0' is not above 0"),
        (("figure.png", "scene.png", "-o", "-", "--json"), "--json: stdout cannot carry both"),
        (("figure.png", "scene.png", "other.png", "-o", "-"), "-o -: takes one image, not 2"),
        (("figure.png", "scene.png", "other.png", "-o", "o.png"), "is the name of one image"),
        (("figure.png", "scene.png", "-o", "o.xyz"), "o.xyz: .xyz cannot be written"),
    ],
)
def test_what_is_refused_before_anything_is_written(folder, words, said):
    save(folder / "even.png", np.full((9, 9), 80, np.uint8))
    before = tree(folder)
    done = call("find", *words, cwd=folder)
    assert said in error_line(done, 2)
    assert tree(folder) == before


def test_windows_that_hold_nan_are_no_hit(folder):
    scene = np.asarray(Image.open(folder / "scene.png")).astype(np.float32)
    scene[40, 60] = np.nan
    np.save(folder / "holed.npy", scene)
    done = call("find", "figure.png", "holed.npy", "-q", cwd=folder)
    assert (done.returncode, done.stdout) == (3, b"")
    np.save(folder / "void.npy", np.full((50, 50), np.nan, np.float32))
    done = call("find", "figure.png", "void.npy", "--json", cwd=folder)
    assert lines(done) == [{"image": "void.npy", "hits": 0, "best": None, "row": None, "col": None}]
