"""conv-cli fit: real pairs of files, in processes of their own."""

import base64
import json
import re
import shutil
import subprocess
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from conv_cli import load_kernel, read_image, write_image
from test_cli_apply import SAMPLES, conv_cli, one_error_line, succeed

KERNEL = "1 -2 0.5; 0 5 3; -1 0.25 1.5 / 8"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a photograph before and after some filters."""
    folder = tmp_path_factory.mktemp("fit")
    pixels = read_image("sample_images/landscape.jpg").pixels[100:340, 200:520]
    write_image(folder / "before.png", np.ascontiguousarray(pixels))
    for name, options in {
        "after.png": ["-k", KERNEL, "--border", "reflect"],
        "blurred.png": ["-k", "gaussian:1"],
        "valid.png": ["-k", "1 1; 1 2 / 5", "--padding", "valid"],
        "deep.png": ["-k", KERNEL, "--depth", "16"],
        "float.npy": ["-k", KERNEL, "--range", "raw"],
        "target.jpg": ["-k", "gaussian:1"],
        "target.webp": ["-k", "gaussian:1"],
    }.items():
        succeed("apply", "before.png", "-o", name, *options, cwd=folder)
    with Image.open(folder / "blurred.png") as picture:
        picture.save(folder / "target.jpg", quality=70)
        picture.save(folder / "target.webp", quality=80)
    dark = np.where(pixels < 120, 0, 255).astype(np.uint8)
    write_image(folder / "threshold.png", dark)
    return folder


@pytest.fixture
def folder(made, tmp_path):
    """The same, to write in."""
    for file in made.iterdir():
        shutil.copy(file, tmp_path)
    return tmp_path


def fitted(*arguments, cwd, code=0):
    """Return the JSON of a fit."""
    done = conv_cli("fit", *arguments, "--json", cwd=cwd)
    assert done.returncode == code, done.stderr.decode()
    (line,) = done.stdout.decode().splitlines()
    return json.loads(line)


def test_summary_is_a_dozen_lines_with_the_kernel_and_the_next_command(folder):
    done = succeed("fit", "before.png", "after.png", "-o", "kernel.json", cwd=folder)
    lines = done.stdout.decode().splitlines()
    assert done.stderr == b""
    assert 9 <= len(lines) <= 14
    assert "verdict    exact" in lines[1]
    assert any(re.search(r"4\s+-8\s+2$", line) for line in lines)  # over 32
    assert any(line.endswith("/ 32") for line in lines)
    command = lines[-1].split("next", 1)[1].split()
    assert command[0] == "conv-cli"
    succeed(*command[1:], cwd=folder)
    again, target = read_image(folder / "out.png").pixels, read_image(folder / "after.png").pixels
    assert (np.abs(again.astype(int) - target) <= 1).mean() >= 0.999


@pytest.mark.parametrize("target", ["after.png", "blurred.png", "valid.png", "float.npy"])
def test_kernel_that_is_applied_makes_the_target(folder, target):
    succeed("fit", "before.png", target, "-o", "k.json", "--predict", "p.png", cwd=folder) if (
        target != "float.npy"
    ) else succeed("fit", "before.png", target, "-o", "k.json", "--predict", "p.npy", cwd=folder)
    found = json.loads((folder / "k.json").read_text())
    padding = ["--padding", "valid"] if target == "valid.png" else ["--border", found["border"]]
    ending = "npy" if target == "float.npy" else "png"
    mode = ["--range", "raw"] if ending == "npy" else []
    succeed("apply", "before.png", "-k", "k.json", "-o", f"a.{ending}", *padding, *mode, cwd=folder)
    wanted = read_image(folder / target).pixels.astype(float)
    for name in (f"a.{ending}", f"p.{ending}"):
        off = np.abs(read_image(folder / name).pixels - wanted)
        assert (off <= (1 if ending == "png" else 1e-3)).mean() >= 0.999


def test_deep_target_is_fitted_in_its_own_units(folder):
    found = fitted("before.png", "deep.png", cwd=folder)
    assert found["verdict"] == "exact"
    np.testing.assert_allclose(found["kernel"], load_kernel(KERNEL).weights, atol=1e-4)


@pytest.mark.parametrize("target", ["target.jpg", "target.webp"])
def test_floor_of_a_lossy_target_is_what_its_codec_leaves(folder, target):
    found = fitted("before.png", target, "--size", 7, cwd=folder)
    assert found["noise_floor"] > 0.5
    assert found["verdict"] in ("exact", "good")
    truth = load_kernel("gaussian:1").weights
    assert np.abs(np.array(found["kernel"]) - truth).max() < 0.06


def test_poor_pair_exits_with_3_and_says_how_much_is_explained(folder):
    done = conv_cli("fit", "before.png", "threshold.png", cwd=folder)
    assert done.returncode == 3
    (line,) = done.stderr.decode().splitlines()
    assert re.fullmatch(r"threshold\.png: poor: .*explains \d.* %.*", line)
    assert b"poor" in done.stdout
    assert b"conv-cli apply" not in done.stdout
    assert fitted("before.png", "threshold.png", cwd=folder, code=3)["verdict"] == "poor"


def test_flat_input_exits_with_3_and_says_what_would_help(folder):
    write_image(folder / "flat.png", np.full((240, 320, 3), 90, np.uint8))
    done = conv_cli("fit", "flat.png", "after.png", "-q", cwd=folder)
    assert done.returncode == 3
    assert done.stdout == b""
    assert re.search(rb"underdetermined: the input is flat.*use a picture", done.stderr)


@pytest.mark.parametrize("ending", [".csv", ".txt", ".npy", ".mat", ".json"])
def test_kernel_in_every_format_is_read_again(folder, ending):
    name = f"kernel{ending}"
    succeed("fit", "before.png", "after.png", "--no-bias", "-o", name, cwd=folder)
    np.testing.assert_allclose(
        load_kernel(folder / name).weights, load_kernel(KERNEL).weights, atol=0.003
    )


def test_bias_that_a_format_cannot_hold_is_said(folder):
    done = succeed("fit", "before.png", "after.png", "-o", "kernel.csv", cwd=folder)
    assert re.search(rb"kernel\.csv: .*--bias", done.stderr)


def test_stdout_carries_the_kernel_alone(folder):
    done = succeed("fit", "before.png", "after.png", "-o", "-", cwd=folder)
    (folder / "piped.json").write_bytes(done.stdout)
    assert load_kernel(folder / "piped.json").shape == (3, 3)
    clash = conv_cli("fit", "before.png", "after.png", "-o", "-", "--json", cwd=folder)
    assert "--json" in one_error_line(clash, 2)


def test_moved_target_is_made_by_the_saved_kernel(folder):
    before = read_image(folder / "before.png").pixels
    write_image(folder / "moved.png", np.roll(before, (4, -3), (0, 1)))
    succeed("fit", "before.png", "moved.png", "-o", "k.json", "-q", cwd=folder)
    assert fitted("before.png", "moved.png", cwd=folder)["shift"] == [4, -3]
    succeed("apply", "before.png", "-k", "k.json", "--border", "wrap", "-o", "a.png", cwd=folder)
    again, target = (read_image(folder / name).pixels for name in ("a.png", "moved.png"))
    assert (again == target).mean() > 0.999


def test_residual_is_centred_on_grey(folder):
    target = read_image(folder / "after.png").pixels.copy()
    target[100:120, 100:120] = 255 - target[100:120, 100:120]
    write_image(folder / "patched.png", target)
    done = succeed("fit", "before.png", "patched.png", "--residual", "r.png", cwd=folder)
    assert re.search(rb"r\.png: grey is 0, black and white are \S+\d", done.stderr)
    residual = read_image(folder / "r.png").pixels
    rest = np.ones(residual.shape[:2], bool)
    rest[100:120, 100:120] = False
    assert set(np.unique(residual[rest])) <= {127, 128, 129}
    assert np.abs(residual[~rest].astype(int) - 128).max() > 100


def test_grey_target_in_three_channels_has_pictures_too(folder):
    grey = read_image(folder / "before.png").pixels[..., 1].copy()
    write_image(folder / "grey.png", grey)
    write_image(folder / "alike.png", np.stack([255 - grey] * 3, axis=-1))
    succeed("fit", "grey.png", "alike.png", "--predict", "p.png", "--report", "r.html", cwd=folder)
    np.testing.assert_array_equal(read_image(folder / "p.png").pixels, 255 - grey)


def test_folders_are_paired_by_stem_and_the_others_named(folder):
    for name in ("before", "after"):
        (folder / name).mkdir()
    before, after = (read_image(folder / f"{n}.png").pixels for n in ("before", "after"))
    for number, part in enumerate((np.s_[:, :160], np.s_[:, 160:])):
        write_image(folder / "before" / f"{number}.png", before[part])
        write_image(folder / "after" / f"{number}.bmp", after[part])
    write_image(folder / "before" / "alone.png", before)
    done = conv_cli("fit", "before", "after", "--json", cwd=folder)
    found = json.loads(done.stdout)
    assert (done.returncode, found["pairs"], found["verdict"]) == (0, 2, "exact")
    assert b"alone.png" in done.stderr
    (folder / "before" / "0.jpg").write_bytes((folder / "before" / "0.png").read_bytes())
    clash = conv_cli("fit", "before", "after", cwd=folder)
    assert re.search(r"0\.png: has the stem of .*0\.jpg", one_error_line(clash, 1))


def test_folders_without_a_pair_exit_with_3(folder):
    for name, stem in (("one", "a"), ("other", "b")):
        (folder / name).mkdir()
        shutil.copy(folder / "before.png", folder / name / f"{stem}.png")
    done = conv_cli("fit", "one", "other", "-q", cwd=folder)
    assert "no image" in one_error_line(done, 3)


def test_one_bad_pair_of_several_is_named(folder):
    small = read_image(folder / "before.png").pixels[:50, :60]
    write_image(folder / "small.png", small)
    done = conv_cli("fit", "before.png", "after.png", "small.png", "after.png", cwd=folder)
    assert one_error_line(done, 1).startswith("Error: small.png, after.png: ")
    (folder / "broken.png").write_bytes((folder / "after.png").read_bytes()[:5000])
    done = conv_cli("fit", "before.png", "after.png", "before.png", "broken.png", cwd=folder)
    assert one_error_line(done, 1).startswith("Error: broken.png: ")
    done = conv_cli("fit", "before.png", "broken.png", "--json", cwd=folder)
    assert "broken.png" in json.loads(done.stdout)["error"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["before.png"], "in pairs"),
        (["before.png", "after.png", "after.png"], "in pairs"),
        (["before.png", "."], "folder"),
        (["before.png", "after.png", "--ridge", "-1"], "--ridge"),
        (["before.png", "after.png", "--lr", "0"], "--lr"),
        (["before.png", "after.png", "--size", "0"], "--size"),
        (["before.png", "after.png", "--size", "3x"], "--size"),
        (["before.png", "after.png", "-o", "k.png"], "--output"),
        (["before.png", "after.png", "--report", "page.pdf"], "--report"),
        (["before.png", "after.png", "--channels", "mix", "-o", "k.csv"], "--output"),
        (["before.png", "after.png", "--predict", "a.png", "--residual", "a.png"], "a.png"),
        (["before.png", "after.png", "--epochs", "0"], "--epochs"),
        (["before.png", "after.png", "--epochs", "9"], "--method gd"),
        (["before.png", "after.png", "--method", "gd", "--seed", "-1"], "--seed"),
        (["before.png", "after.png", "--lr", "0.1"], "--method gd"),
    ],
)
def test_wrong_use_is_one_line_before_any_work(folder, arguments, words):
    there = sorted(folder.iterdir())
    assert words in one_error_line(conv_cli("fit", *arguments, cwd=folder), 2)
    assert sorted(folder.iterdir()) == there


@pytest.mark.parametrize("option", ["-o", "--predict", "--residual", "--report"])
def test_existing_file_is_kept_without_force_and_an_input_always(folder, option):
    ending = {"-o": "json", "--report": "html"}.get(option, "png")
    there = folder / f"there.{ending}"
    there.write_bytes(b"precious")
    done = conv_cli("fit", "before.png", "after.png", option, there.name, cwd=folder)
    assert "--force" in one_error_line(done, 1)
    assert there.read_bytes() == b"precious"
    succeed("fit", "before.png", "after.png", option, there.name, "-f", "-q", cwd=folder)
    assert there.read_bytes() != b"precious"
    if ending == "png":
        (folder / "link.png").symlink_to("after.png")
        old = (folder / "after.png").read_bytes()
        done = conv_cli("fit", "before.png", "after.png", option, "link.png", "-f", cwd=folder)
        assert "input" in one_error_line(done, 1)
        assert (folder / "after.png").read_bytes() == old


def test_gradient_descent_tells_each_epoch_and_ends_beside_the_exact_answer(folder):
    done = succeed(
        "fit", "before.png", "after.png", "--method", "gd", "--epochs", 60, cwd=folder
    )  # fmt: skip
    losses = [float(loss) for loss in re.findall(rb"epoch \d+  loss (\S+)", done.stderr)]
    assert len(losses) == 60
    assert all(later < earlier for earlier, later in pairwise(losses))
    # What descent found comes first; below it the exact answer, and whose verdict that is.
    assert re.search(
        rb"^  kernel .*\n(.*\n){3}  loss .* after 60 epochs", done.stdout, re.MULTILINE
    )
    assert re.search(rb"\n  exact fit +exact: by least squares, .*\n( .*\n){3}  certainty .*\n$",
                     done.stdout)  # fmt: skip
    assert b"verdict" not in done.stdout
    assert f"loss       {losses[-1]:.4g} ".encode() in done.stdout
    found = fitted("before.png", "after.png", "--method", "gd", "--epochs", 60, cwd=folder)
    assert found["method"] == "gd"
    assert len(found["losses"]) == 60
    quiet = succeed("fit", "before.png", "after.png", "--method", "gd", "-q", cwd=folder)
    assert (quiet.stdout, quiet.stderr) == (b"", b"")


TEXTBOOK = ("--method", "gd", "--epochs", 10, "--lr", 0.03, "--no-bias")


@pytest.mark.parametrize("seed", [(), ("--seed", 1)])
def test_textbook_run_prints_the_numbers_of_the_lesson(tmp_path, seed):
    square = SAMPLES / "square.png"
    succeed("apply", square, "-k", "1 -1 / 255", "--padding", "valid", "-o", "d.npy", cwd=tmp_path)
    done = succeed("fit", square, "d.npy", *TEXTBOOK, *seed, cwd=tmp_path)
    assert re.search(r"  in white +0\.9578 +-0\.9554\n", done.stdout.decode())
    losses = [float(loss) for loss in re.findall(rb"epoch \d+  loss (\S+)", done.stderr)]
    assert len(losses) == 10
    assert f"loss       {losses[-1]:.4g} after 10 epochs" in done.stdout.decode()


def test_gradient_descent_ends_where_the_loss_is_0(tmp_path):
    square = SAMPLES / "square.png"
    succeed("apply", square, "-k", "1 -1 / 255", "--padding", "valid", "-o", "d.npy", cwd=tmp_path)
    found = fitted(square, "d.npy", *TEXTBOOK[:2], "--epochs", 5000, *TEXTBOOK[4:], cwd=tmp_path)
    assert found["losses"][-1] == 0 < found["losses"][-2]
    assert len(found["losses"]) < 100
    np.testing.assert_allclose(found["kernel"], [[1 / 255, -1 / 255]], rtol=1e-6)


def test_gradient_descent_that_has_not_come_far_names_no_kernel(folder):
    found = fitted("before.png", "after.png", "--method", "gd", "--epochs", 1, cwd=folder)
    assert (found["match"], found["rational"]) == (None, None)
    done = succeed("fit", "before.png", "after.png", "--method", "gd", "--epochs", 1, cwd=folder)
    assert b"conv-cli apply" not in done.stdout


def test_target_of_half_the_size_was_sampled(folder):
    succeed("apply", "before.png", "-k", "box", "--stride", 2, "-o", "half.png", cwd=folder)
    found = fitted("before.png", "half.png", cwd=folder)
    assert (found["stride"], found["match"], found["verdict"]) == ([2, 2], "box", "exact")
    done = conv_cli("fit", "before.png", "half.png", "--stride", 1, cwd=folder)
    assert one_error_line(done, 1).startswith("Error: before.png, half.png: a kernel of 121x161")


def test_folder_may_be_the_one_we_are_in(folder):
    for name in ("one", "other"):
        (folder / name).mkdir()
        shutil.copy(folder / "before.png", folder / name)
    done = conv_cli("fit", ".", "../other", "--json", cwd=folder / "one")
    assert json.loads(done.stdout)["match"] == "identity"


def test_command_for_a_file_without_bias_adds_it(folder):
    succeed("apply", "before.png", "-k", "emboss", "--bias", 100, "-o", "e.png", cwd=folder)
    done = succeed("fit", "before.png", "e.png", "-o", "k.csv", cwd=folder)
    assert re.search(rb"next .* -k k\.csv --bias 100", done.stdout)


def test_rate_that_is_too_large_is_one_line(folder):
    done = conv_cli(
        "fit", "before.png", "after.png", "--method", "gd", "--lr", 3, "-q", cwd=folder
    )  # fmt: skip
    assert "--lr" in one_error_line(done, 1)


def test_report_holds_everything_and_opens_in_a_browser(folder):
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    succeed("fit", "before.png", "after.png", "--report", "fit.html", cwd=folder)
    page = (folder / "fit.html").read_text()
    assert not re.search(r'(src|href)="(?!data:)', page)
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert [Image.open(io_of(data)).size for data in pictures] == [(320, 240)] * 4
    for words in ("exact", "Kernel", "Error by size", "conv-cli apply"):
        assert words in page
    if browser is None:
        pytest.skip("chromium is not installed")
    subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile",
         "--window-size=1000,1600", f"--screenshot={folder}/page.png", (folder / "fit.html").as_uri()],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    shown = np.asarray(Image.open(folder / "page.png").convert("RGB")).astype(int)
    assert shown.shape[1] == 1000
    # The photograph is there in its colours, and so are the two ends of the scale.
    for colour in ((178, 24, 43), read_image(folder / "before.png").pixels[120, 160]):
        assert (np.abs(shown - colour).max(axis=2) < 12).any()


def io_of(data):
    import io

    return io.BytesIO(base64.b64decode(data))


def test_report_of_gradient_descent_has_the_curve_of_its_losses(folder):
    succeed(
        "fit", "before.png", "after.png", "--method", "gd", "--epochs", 9, "--report", "gd.html",
        "-q", cwd=folder,
    )  # fmt: skip
    page = (folder / "gd.html").read_text()
    assert "Loss by epoch" in page
    assert len(re.findall(r"<title>\d+: [\d.e+-]+</title>", page)) >= 9
