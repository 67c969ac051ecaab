"""conv-cli net: real models and images in, maps, tables and trained models out."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from command import ENVIRONMENT, tree
from conv_cli import Network, conv2d, load_kernel, read_image, write_image
from test_cli_apply import SAMPLES, clip, conv_cli, folder, one_error_line, pixels, succeed

__all__ = ["folder"]
MODELS = SAMPLES / "models"
EDGES = MODELS / "edge-magnitude.json"


def objects(done):
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


@pytest.fixture
def model(folder):
    """Write a model into the folder, and return its name."""

    def write(*layers, **others):
        (folder / "net.json").write_text(json.dumps({"layers": layers, **others}))
        return "net.json"

    return write


BANK = {"conv": {"kernel": ["sobel-x", "sobel-y"]}, "padding": 1}
LEARN = {"conv": {"in_channels": 1, "out_channels": 1, "kernel_size": 3}}


class TestApply:
    def test_each_channel_of_each_layer_is_a_picture(self, folder, model):
        succeed("net", "apply", model(BANK, {"abs": {}}), "gray.png", "-o", "out", cwd=folder)
        assert sorted(p.name for p in (folder / "out").iterdir()) == [
            "gray.1.1.png", "gray.1.2.png", "gray.2.1.png", "gray.2.2.png",
        ]  # fmt: skip
        x = pixels(folder / "gray.png")
        for channel, name in enumerate(("sobel-x", "sobel-y"), 1):
            y = conv2d(x[None], load_kernel(name).weights[None, None], padding=1)[0]
            assert (pixels(folder / f"out/gray.1.{channel}.png") == clip(y)).all()
            assert (pixels(folder / f"out/gray.2.{channel}.png") == clip(np.abs(y))).all()

    def test_arrays_are_whole_layers(self, folder, model):
        name = model(BANK, {"abs": {}})
        for kind in ("npy", "npz"):
            succeed("net", "apply", name, "gray.png", "-o", "o/", "--format", kind, cwd=folder)
        maps = list(Network(folder / name).maps(pixels(folder / "gray.png")[None].astype("u1")))
        for layer, expected in enumerate(maps, 1):
            found = np.load(folder / f"o/gray.{layer}.npy")
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, expected)
            with np.load(folder / f"o/gray.{layer}.npz") as archive:
                np.testing.assert_array_equal(archive["maps"], expected)

    @pytest.mark.parametrize(("layer", "names"), [("last", ["gray.2.1.png", "gray.2.2.png"]),
                                                  ("1", ["gray.1.1.png", "gray.1.2.png"])])  # fmt: skip
    def test_layer_chooses(self, folder, model, layer, names):
        name = model(BANK, {"abs": {}})
        succeed("net", "apply", name, "gray.png", "-o", "o", "--layer", layer, cwd=folder)
        assert sorted(p.name for p in (folder / "o").iterdir()) == names

    def test_ranges_are_those_of_apply(self, folder, model):
        name = model({"conv": {"kernel": "laplacian"}, "padding": "same", "border": "edge"})
        for mode in ("abs", "shift", "signed", "stretch"):
            succeed("net", "apply", name, "gray.png", "-o", mode, "--range", mode, cwd=folder)
            succeed(
                "apply",
                "gray.png",
                "-k",
                "laplacian",
                "--range",
                mode,
                "-o",
                "its.png",
                "-f",
                cwd=folder,
            )
            assert (pixels(folder / mode / "gray.1.1.png") == pixels(folder / "its.png")).all()

    def test_json_tells_each_map(self, folder, model):
        done = succeed("net", "apply", model(BANK), "gray.png", "-o", "o", "--json", cwd=folder)
        first, second = objects(done)
        assert (first["layer"], first["channel"], second["channel"]) == (1, 1, 2)
        assert first["output"] == "o/gray.1.1.png"
        assert first["shape"] == [20, 31] and first["dtype"] == "uint8"
        assert first["min"] < 0 < first["clipped"] < 1 and first["max"] > 0

    def test_colours_enter_each_or_as_grey_by_what_the_model_takes(self, folder, model):
        one = {"conv": {"weight": [[[[1]]]]}}
        succeed("net", "apply", model(one), "colour.png", "-o", "o", "--format", "npy", cwd=folder)
        colour = pixels(folder / "colour.png")
        gray = colour @ [0.299, 0.587, 0.114]
        np.testing.assert_allclose(np.load(folder / "o/colour.1.npy")[0], gray, atol=1e-3)
        three = {"conv": {"weight": [[[[1]], [[10]], [[100]]]]}}
        succeed(
            "net",
            "apply",
            model(three),
            "colour.png",
            "gray.png",
            "-o",
            "o",
            "-f",
            "--format",
            "npy",
            cwd=folder,
        )
        np.testing.assert_allclose(np.load(folder / "o/colour.1.npy")[0], colour @ [1, 10, 100])
        np.testing.assert_allclose(
            np.load(folder / "o/gray.1.npy")[0], 111.0 * pixels(folder / "gray.png")
        )

    def test_opacity_is_left_out_and_said(self, folder, model):
        rgba = np.random.default_rng(0).integers(0, 256, (6, 7, 4)).astype(np.uint8)
        write_image(folder / "a.png", rgba)
        done = succeed("net", "apply", model({"relu": {}}), "a.png", "-o", "o", cwd=folder)
        assert "opacity is left out" in done.stderr.decode()
        assert (pixels(folder / "o/a.1.3.png") == rgba[..., 2]).all()

    def test_one_bad_image_does_not_stop_the_rest(self, folder, model):
        (folder / "bad.png").write_bytes(b"no image")
        done = conv_cli(
            "net",
            "apply",
            model({"relu": {}}),
            "bad.png",
            "gray.png",
            "-o",
            "o",
            "--json",
            cwd=folder,
        )
        assert done.returncode == 1
        bad, good = objects(done)
        assert bad.keys() == {"image", "error"} and good["output"] == "o/gray.1.1.png"

    def test_existing_maps_are_kept_unless_forced(self, folder, model):
        name = model(BANK)
        (folder / "o").mkdir()
        (folder / "o/gray.1.1.png").write_bytes(b"mine")
        line = one_error_line(
            conv_cli("net", "apply", name, "gray.png", "-o", "o", "-q", cwd=folder), 1
        )
        assert "o/gray.1.1.png: exists" in line
        assert (folder / "o/gray.1.1.png").read_bytes() == b"mine"
        assert (folder / "o/gray.1.2.png").exists()
        succeed("net", "apply", name, "gray.png", "-o", "o", "-f", cwd=folder)
        assert (folder / "o/gray.1.1.png").read_bytes() != b"mine"

    def test_dry_run_tells_what_would_be_written_and_writes_nothing(self, folder, model):
        name = model(BANK, {"maxpool": {"size": 2}})
        done = succeed("net", "apply", name, "gray.png", "colour.png", "-o", "o", "--dry-run",
                       "--json", cwd=folder)  # fmt: skip
        planned = objects(done)
        assert not (folder / "o").exists()
        made = objects(succeed("net", "apply", name, "gray.png", "colour.png", "-o", "o", "--json",
                               cwd=folder))  # fmt: skip
        for one, other in zip(planned, made, strict=True):
            assert one.items() <= other.items()
            assert {"layer", "channel", "output", "shape", "dtype"} <= one.keys()

    def test_skip_existing_goes_on_where_a_run_ended(self, folder, model):
        name, arguments = model(BANK), ("gray.png", "colour.png", "-o", "o")
        succeed("net", "apply", name, *arguments, cwd=folder)
        whole = tree(folder / "o")
        (folder / "o/gray.1.2.png").unlink()
        (folder / "o/colour.1.1.png").write_bytes(b"mine")
        done = succeed("net", "apply", name, *arguments, "--skip-existing", cwd=folder)
        assert f"1 done, 0 failed, {len(whole) - 1} skipped" in done.stderr.decode()
        left = tree(folder / "o")
        assert left["gray.1.2.png"] == whole["gray.1.2.png"]
        assert left["colour.1.1.png"] == b"mine"

    @pytest.mark.parametrize("kind", ["png", "npy"])
    def test_bytes_do_not_depend_on_the_jobs(self, folder, model, kind):
        name = model(BANK, {"abs": {}})
        for jobs in "1", "2", "5":
            succeed("net", "apply", name, "gray.png", "colour.png", "-o", f"o{jobs}",
                    "--format", kind, "--jobs", jobs, cwd=folder)  # fmt: skip
        assert tree(folder / "o1") == tree(folder / "o2") == tree(folder / "o5") != {}

    def test_input_is_never_overwritten(self, folder, model):
        shutil.copy(folder / "gray.png", folder / "x.1.1.png")
        before = (folder / "x.1.1.png").read_bytes()
        shutil.copy(folder / "gray.png", folder / "x.png")
        done = conv_cli(
            "net", "apply", model({"relu": {}}), "x.png", "x.1.1.png", "-o", ".", "-f", cwd=folder
        )
        assert done.returncode == 1 and b"is an input" in done.stderr
        assert (folder / "x.1.1.png").read_bytes() == before

    def test_collision_is_refused_before_anything_is_made(self, folder, model):
        shutil.copy(folder / "gray.png", folder / "GRAY.png")
        one_error_line(
            conv_cli("net", "apply", model(BANK), "gray.png", "GRAY.png", "-o", "o", cwd=folder), 2
        )
        assert not (folder / "o").exists()

    @pytest.mark.parametrize(
        ("layers", "arguments", "code", "words"),
        [
            ([BANK], ["--layer", "3"], 2, "layer 3: the model has layers 1 to 1"),
            ([BANK], ["--layer", "x"], 2, "--layer: 'x' is not understood"),
            ([LEARN], [], 2, "net.json: layer 1: has no weights yet"),
            ([{"conv": {"kernel": "nope"}}], [], 2, "net.json: layer 1: .*nope"),
            ([{"conv": {"weight": [[[[1]], [[1]]]]}}], [], 1, "gray.png: layer 1: takes 2 channels"),
            ([{"maxpool": {"size": 99}}], [], 1, "gray.png: layer 1: .*larger than the image"),
            ([BANK], ["--range", "raw"], 1, "gray.1.1.png: .*float"),
        ],
    )  # fmt: skip
    def test_mistakes_are_one_line(self, folder, model, layers, arguments, code, words):
        done = conv_cli(
            "net", "apply", model(*layers), "gray.png", "-o", "o", *arguments, cwd=folder
        )
        lines = done.stderr.decode().splitlines()
        assert done.returncode == code
        assert all(line.startswith("Error: ") for line in lines)
        assert re.search(words, lines[0])
        assert not (folder / "o").exists() or not list((folder / "o").iterdir())

    def test_stdout_is_no_folder(self, folder, model):
        line = one_error_line(
            conv_cli("net", "apply", model(BANK), "gray.png", "-o", "-", cwd=folder), 2
        )
        assert "folder" in line and not (folder / "-").exists()

    def test_nothing_found_is_3(self, folder, model):
        (folder / "empty").mkdir()
        one_error_line(conv_cli("net", "apply", model(BANK), "empty", "-o", "o", cwd=folder), 3)

    def test_stdin_is_an_image(self, folder, model):
        data = (folder / "gray.png").read_bytes()
        succeed("net", "apply", model({"relu": {}}), "-", "-o", "o", stdin=data, cwd=folder)
        assert (folder / "o/stdin.1.1.png").exists()


LINE = "sobel-x sobel-y | square | sum | sqrt"


class TestLine:
    def test_line_gives_what_the_model_file_of_the_same_layers_gives(self, folder):
        for name, model in (("line", LINE), ("file", EDGES)):
            succeed("net", "apply", model, "gray.png", "colour.png", "-o", name, cwd=folder)
        assert tree(folder / "line") == tree(folder / "file")
        assert len(tree(folder / "line")) == 2 * (2 + 2 + 1 + 1)

    def test_line_is_described(self):
        line, file = (
            succeed("net", "info", model, "--input", "1x40x50").stdout for model in (LINE, EDGES)
        )
        assert line == file

    @pytest.mark.parametrize("command", ["apply", "info"])
    def test_mistake_names_the_line_and_the_step(self, folder, command):
        arguments = {"apply": ["gray.png", "-o", "o"], "info": ["--input", "1x9x9"]}[command]
        done = conv_cli("net", command, "sobel-x |\tsobel-q", *arguments, cwd=folder)
        line = one_error_line(done, 2)
        assert line.startswith("Error: sobel-x |\\tsobel-q: step 2: kernel sobel-q: no built-in")

    def test_mistake_of_an_image_names_the_layer(self, folder):
        done = conv_cli("net", "apply", "sobel-x | maxpool:50", "gray.png", "-o", "o", cwd=folder)
        assert "gray.png: layer 2: " in one_error_line(done, 1)

    def test_line_has_nothing_to_train(self, folder):
        done = conv_cli("net", "fit", LINE, "gray.png", "gray.png", "-o", "m.json", cwd=folder)
        assert f"{LINE}: all layers have weights" in one_error_line(done, 2)


def test_model_is_never_overwritten_by_its_maps(folder):
    Network("sobel-x").save(folder / "m.json")
    network = Network({"layers": [LEARN]})
    weights = {"weight": np.ones((1, 1, 3, 3)), "bias": np.zeros(1)}
    Network([network.layers[0].with_parameters(weights)]).save(folder / "gray.1.npz")
    before = tree(folder)
    done = conv_cli("net", "apply", "gray.1.npz", "gray.png", "-o", ".", "--format", "npz", "-f",
                    cwd=folder)  # fmt: skip
    assert "gray.1.npz: is an input and never overwritten" in one_error_line(done, 1)
    assert tree(folder) == before


class TestInfo:
    def test_numbers_of_each_layer(self):
        done = succeed("net", "info", MODELS / "blur-pyramid.json", "--input", "1x64x48", "--json")
        last = objects(done)[-1]
        assert last == {
            "layer": 3, "kind": "conv", "output": [1, 8, 6], "parameters": 25,
            "multiply_adds": 8 * 6 * 25, "receptive_field": [29, 29], "jump": [8, 8],
            "start": [-14, -14], "dense_parameters": 16 * 12 * 8 * 6,
        }  # fmt: skip

    def test_table_has_a_line_for_each_layer(self):
        lines = succeed("net", "info", EDGES, "--input", "1x1000x1000").stdout.decode().splitlines()
        assert len(lines) == 5 and len({len(line) for line in lines}) == 1
        assert lines[1].split() == [
            "1", "conv", "2x1000x1000", "18", "18.0", "M", "3x3", "1x1", "-1,-1", "2.0", "T",
        ]  # fmt: skip

    @pytest.mark.parametrize("path", sorted(MODELS.glob("*.json")), ids=lambda path: path.stem)
    @pytest.mark.parametrize("shape", ["1x512x512", "1x6000x8000"])
    def test_table_of_a_sample_model_fits_80_columns(self, path, shape):
        lines = succeed("net", "info", path, "--input", shape).stdout.decode().splitlines()
        assert len(lines) == 1 + len(Network(path).layers)
        assert max(map(len, lines)) <= 80

    def test_dense_layer_of_a_megapixel_and_1000_units(self, folder, model):
        name = model({"conv": {"in_channels": 1, "out_channels": 1000, "kernel_size": 1000}})
        (layer,) = objects(
            succeed("net", "info", name, "--input", "1x1000x1000", "--json", cwd=folder)
        )
        assert layer["dense_parameters"] == 10**9

    def test_field_is_named_from_the_layers_asked_for(self):
        arguments = ["net", "info", MODELS / "blur-pyramid.json", "--input", "1x64x48", "--field"]
        assert succeed(*arguments, "2,3").stdout.decode() == (
            "layer 3, row 2, column 3 sees rows 2 to 30 and columns 10 to 38 of the input\n"
        )
        (found,) = objects(succeed(*arguments, "0,3", "--layer", "1", "--json"))
        assert found == {"layer": 1, "row": 0, "column": 3, "rows": [-2, 2], "columns": [4, 8]}
        line = one_error_line(conv_cli(*arguments, "9,0"), 2)
        assert "blur-pyramid.json: layer 3: gives 8x6 pixels" in line

    def test_field_is_drawn_on_an_image(self, tmp_path):
        out = tmp_path / "field.png"
        succeed("net", "info", MODELS / "blur-pyramid.json", "--field", "10,20",
                "--image", SAMPLES / "still-life.png", "-o", out)  # fmt: skip
        drawn, image = pixels(out), pixels(SAMPLES / "still-life.png")
        assert drawn.shape == (512, 512, 3)
        window = slice(66, 95), slice(146, 175)
        assert (drawn[window] == image[window][..., None]).all()
        outside = np.ones((512, 512), bool)
        outside[60:100, 140:180] = outside[300:, 300:] = False
        assert (drawn[outside, 0] <= image[outside]).all()
        assert drawn[outside].mean() < 0.5 * image[outside].mean()

    def test_field_is_drawn_on_plain_ground_without_an_image(self, tmp_path):
        arguments = ["net", "info", EDGES, "--input", "1x30x40", "--field", "5,6", "-o"]
        succeed(*arguments, tmp_path / "field.png")
        drawn = pixels(tmp_path / "field.png")
        assert drawn.shape == (30, 40, 3)
        assert (drawn[4:7, 5:8] == 160).all()
        assert "exists" in one_error_line(conv_cli(*arguments, tmp_path / "field.png"), 1)

    @pytest.mark.parametrize("force", [[], ["-f"]])
    def test_image_is_an_input_and_gives_the_size_alone(self, folder, force):
        before = tree(folder)
        arguments = ["net", "info", EDGES, "--image", "gray.png", *force]
        done = succeed(*arguments, "--json", cwd=folder)
        assert objects(done)[0]["output"] == [2, 20, 31]
        seen = succeed(*arguments, "--field", "5,6", cwd=folder).stdout.decode()
        assert seen.startswith("layer 4, row 5, column 6 sees rows 4 to 6")
        assert tree(folder) == before

    def test_no_input_is_overwritten(self, folder, model):
        name = model(BANK)
        (folder / "link.png").hardlink_to(folder / "gray.png")
        before = tree(folder)
        for output in ("gray.png", "./gray.png", "link.png", name):
            done = conv_cli("net", "info", name, "--image", "gray.png", "--field", "1,1", "-f",
                            "-o", output, cwd=folder)  # fmt: skip
            assert f"{output}: is an input and never overwritten" in one_error_line(done, 1)
        assert tree(folder) == before

    def test_image_of_another_size_than_the_input_is_refused(self, folder):
        done = conv_cli("net", "info", EDGES, "--input", "1x9x9", "--image", "gray.png", cwd=folder)
        assert "--input: is 9x9, and gray.png has 20x31 pixels" in one_error_line(done, 2)

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ([], "--input: missing"),
            (["--input", "3x4"], "--input: '3x4' is not understood"),
            (["--input", "1x2x2"], "layer 1"),
            (["--input", "1x9x9", "--field", "1"], "--field: '1'"),
            (["--input", "1x9x9", "--field", "1,1", "--layer", "all"], "--layer: 'all'"),
            (["--input", "1x9x9", "--field", "1,1", "--layer", "2"], "layers 1 to 1"),
            (["--field", "1,1", "-o", "x.png"], "--input: missing"),
            (["--input", "1x9x9", "-o", "x.png"], "--output: draws the window of a pixel"),
        ],
    )
    def test_mistakes_are_one_line(self, folder, model, arguments, words):
        name = model({"conv": {"kernel": "laplacian"}})
        line = one_error_line(conv_cli("net", "info", name, *arguments, cwd=folder), 2)
        assert words in line


@pytest.mark.slow
class TestFit:
    @pytest.fixture
    def pair(self, folder):
        """A photograph's corner and its edges, as apply makes them."""
        corner = np.asarray(read_image(SAMPLES / "still-life.png"))[120:300, 100:330]
        write_image(folder / "x.png", corner)
        succeed("apply", "x.png", "-k", "sobel-x", "-k", "sobel-y", "--combine", "magnitude",
                "-o", "y.png", cwd=folder)  # fmt: skip
        return "x.png", "y.png"

    @pytest.mark.parametrize("ending", ["npz", "json"])
    @pytest.mark.one_in(2)
    def test_trained_model_does_what_it_learned(self, folder, pair, ending):
        done = succeed("net", "fit", MODELS / "learn-edges.json", *pair, "-o", f"m.{ending}",
                       "--epochs", "8", "--seed", "5", "--json", cwd=folder)  # fmt: skip
        (found,) = objects(done)
        assert found["r2"] > 0.97 and len(found["losses"]) == 8 and found["pairs"] == 1
        lines = done.stderr.decode().splitlines()
        assert lines[0].startswith("epoch 1: loss ") and "R² 0.9" in lines[-1]
        succeed("net", "apply", f"m.{ending}", "x.png", "--layer", "last", "-o", "o", cwd=folder)
        made, wanted = pixels(folder / "o/x.4.1.png"), pixels(folder / "y.png")
        assert np.abs(made - wanted).mean() < 3

    def test_colours_are_three_pairs_for_a_model_of_one_channel(self, folder):
        corner = np.asarray(read_image(SAMPLES / "landscape.jpg"))[400:520, 300:460]
        write_image(folder / "x.png", corner)
        succeed("apply", "x.png", "-k", "sharpen", "-o", "y.npy", cwd=folder)
        succeed("net", "fit", MODELS / "learn-one-kernel.json", "x.png", "y.npy", "-o", "m.json",
                "--epochs", "8", "-q", cwd=folder)  # fmt: skip
        layer = json.loads((folder / "m.json").read_text())["layers"][0]
        np.testing.assert_allclose(
            layer["conv"]["weight"][0][0], load_kernel("sharpen").weights, atol=0.05
        )

    def test_training_ends_where_the_loss_is_0(self, folder, pair, model):
        succeed("apply", "x.png", "-k", "emboss", "-o", "e.npy", cwd=folder)
        done = succeed("net", "fit", model(LEARN), "x.png", "e.npy", "-o", "m.json", "--json",
                       "--epochs", "500", cwd=folder)  # fmt: skip
        (found,) = objects(done)
        assert found["epochs"] == len(found["losses"]) < 50
        assert f"ends after {found['epochs']} of 500 epochs" in done.stderr.decode()
        layer = json.loads((folder / "m.json").read_text())["layers"][0]
        np.testing.assert_allclose(
            layer["conv"]["weight"][0][0], load_kernel("emboss").weights, atol=1e-3
        )

    @pytest.mark.parametrize(
        ("arguments", "code", "words"),
        [
            (["x.png"], 2, "INPUT TARGET: 1 images make no pairs"),
            (["x.png", "gray.png"], 1, "gray.png: the target is 20x31"),
            (["x.png", "none.png"], 1, "none.png: no such file"),
            (["x.png", "y.png", "-o", "m.pt"], 2, "m.pt: models are written as"),
            (["x.png", "y.png", "-o", "no/m.npz"], 1, "no/m.npz: its folder does not exist"),
            (["x.png", "y.png", "-o", "old.npz"], 1, "old.npz: exists"),
            (["x.png", "y.png", "--lr", "0"], 2, "--lr"),
        ],
    )
    def test_mistakes_are_found_before_the_work(self, folder, pair, arguments, code, words):
        (folder / "old.npz").write_bytes(b"mine")
        extra = [] if "-o" in arguments else ["-o", "m.npz"]
        done = conv_cli("net", "fit", MODELS / "learn-edges.json", *arguments, *extra, cwd=folder)
        assert words in one_error_line(done, code)
        assert (folder / "old.npz").read_bytes() == b"mine"
        assert not (folder / "m.npz").exists()

    def test_model_itself_is_never_overwritten(self, folder, pair, model):
        name = model(LEARN)
        before = (folder / name).read_bytes()
        done = conv_cli("net", "fit", name, *pair, "-o", name, "-f", cwd=folder)
        assert "is an input" in one_error_line(done, 1)
        assert (folder / name).read_bytes() == before

    def test_interrupt_ends_it_with_130_and_leaves_nothing(self, folder, pair):
        process = subprocess.Popen(
            [sys.executable, "-m", "conv_cli", "net", "fit", str(MODELS / "learn-edges.json"),
             *pair, "-o", "m.npz", "--epochs", "1000"],
            cwd=folder, stderr=subprocess.PIPE, env=ENVIRONMENT,
        )  # fmt: skip
        assert process.stderr.readline().startswith(b"epoch 1")
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=20)[1].decode()
        assert process.returncode == 130
        assert "interrupted" in rest.splitlines()[-1]
        assert not list(folder.glob("*.npz")) and not list(folder.glob(".*.tmp"))


def test_group_alone_prints_its_help():
    assert succeed("net").stdout == succeed("net", "--help").stdout != b""


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.json")), ids=lambda path: path.stem)
def test_sample_model_takes_a_photograph(path, tmp_path):
    network = Network(path)
    if path.stem.startswith("learn"):
        assert network.untrained
        return
    succeed("net", "apply", path, SAMPLES / "rotated.jpg", "-o", tmp_path / "o", "-q")
    assert list((tmp_path / "o").glob(f"rotated.{len(network.layers)}.*.png"))


def test_edge_magnitude_model_is_what_apply_combines(tmp_path):
    succeed(
        "net", "apply", EDGES, SAMPLES / "page.png", "--layer", "last", "-o", tmp_path / "o", "-q"
    )
    succeed("apply", SAMPLES / "page.png", "-k", "sobel-x", "-k", "sobel-y", "--combine", "magnitude",
            "-o", tmp_path / "m.png", "-q")  # fmt: skip
    assert (pixels(tmp_path / "o/page.4.1.png") == pixels(tmp_path / "m.png")).all()


@pytest.mark.parametrize("command", [[], ["apply"], ["info"], ["fit"]])
def test_help_fits_80_columns(command):
    done = subprocess.run([sys.executable, "-m", "conv_cli", "net", *command, "--help"],
                          capture_output=True, text=True, check=True,
                          env={**ENVIRONMENT, "COLUMNS": "80"})  # fmt: skip
    text = done.stdout
    assert "Examples" in text
    assert max(map(len, text.splitlines())) <= 80
