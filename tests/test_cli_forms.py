"""What `apply` makes besides a plain file: presets, own formats, qualities, tables, pictures."""

import io
import json
import os
import pty
import shlex

import numpy as np
import pytest
from PIL import Image

from command import ENVIRONMENT, start
from conv_cli import corr2d, filter_image, read_image, write_image
from conv_cli.cli.presets import PRESETS
from test_cli_apply import SAMPLES, conv_cli, folder, one_error_line, pixels, succeed

__all__ = ["folder"]
PHOTO = SAMPLES / "landscape.jpg"


class TestPresets:
    @pytest.mark.parametrize("name", sorted(PRESETS))
    def test_preset_is_the_options_that_explain_prints(self, name, tmp_path):
        done = succeed("apply", PHOTO, "--preset", name, "--explain", "-o", "a.png", cwd=tmp_path)
        title, _, options = done.stdout.decode().splitlines()[0].partition(": ")
        assert title == f"preset {name}"
        succeed("apply", PHOTO, *shlex.split(options), "-o", "b.png", cwd=tmp_path)
        assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()

    def test_option_beside_a_preset_goes_before(self, tmp_path):
        preset = ["apply", PHOTO, "--preset", "edges"]
        succeed(*preset, "-k", "farid", "--range", "clip", "-o", "a.png", cwd=tmp_path)
        succeed(
            "apply", PHOTO, "-k", "farid", "--channels", "grey", "--combine", "magnitude",
            "-o", "b.png", cwd=tmp_path,
        )  # fmt: skip
        assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()

    @pytest.mark.parametrize("top", [255, 65535])
    def test_edges_are_white_on_black_and_outlines_dark_on_white(self, top, tmp_path):
        x = np.zeros((64, 64), np.uint8 if top == 255 else np.uint16)
        x[16:48, 16:48] = top // 2
        write_image(tmp_path / "x.png", x)
        for name in ("edges", "outline"):
            succeed("apply", "x.png", "--preset", name, "-o", f"{name}.png", cwd=tmp_path)
        edges, outline = (pixels(tmp_path / f"{name}.png") for name in ("edges", "outline"))
        assert edges[0, 0] == edges[32, 32] == 0 and edges[32, 16] > 0.9 * top
        assert outline[0, 0] == outline[32, 32] == top and outline.min() < 0.6 * top

    def test_a_flat_picture_has_no_edges(self, tmp_path):
        write_image(tmp_path / "x.png", np.full((9, 9), 77, np.uint8))
        succeed("apply", "x.png", "--preset", "edges", "-o", "y.png", cwd=tmp_path)
        assert not pixels(tmp_path / "y.png").any()

    def test_without_kernel_and_preset_there_is_nothing_to_do(self):
        assert "--kernel: missing" in one_error_line(conv_cli("apply", PHOTO, "-o", "x.png"), 2)


class TestPercentiles:
    @pytest.mark.parametrize(("name", "percentile"), [("stretch", 98), ("signed", 90.5)])
    @pytest.mark.parametrize("sample", ["still-life.png", "sunset-16bit.png"])
    def test_scale_comes_from_the_percentile(self, name, percentile, sample, tmp_path):
        image = ["apply", SAMPLES / sample, "-k", "sobel-x"]
        succeed(*image, "--range", f"{name}:{percentile}", "-o", "y.png", "-q", cwd=tmp_path)
        values = filter_image(read_image(SAMPLES / sample), "sobel-x").astype(float)
        y = pixels(tmp_path / "y.png")
        top = 65535 if "16bit" in sample else 255
        if name == "stretch":
            half = (100 - percentile) / 2
            low, high = np.percentile(values, [half, 100 - half])
            expected = (values - low) / (high - low) * top
        else:
            expected = values / np.percentile(np.abs(values), percentile) * top / 2 + top / 2
        close = np.abs(y - np.clip(expected, 0, top)) <= 1 + top / 2000
        assert close.all()

    def test_rare_lines_alone_still_have_a_scale(self, tmp_path):
        x = np.zeros((100, 100), np.uint8)
        x[50, 50] = 200
        write_image(tmp_path / "x.png", x)
        command = ["apply", "x.png", "-k", "identity", "--range", "stretch:99"]
        succeed(*command, "-o", "y.png", cwd=tmp_path)
        assert pixels(tmp_path / "y.png").max() == 255

    @pytest.mark.parametrize("text", ["clip:99", "signed:", "stretch:0", "signed:101", "stretch:x"])
    def test_other_percentiles_are_refused(self, text):
        assert "--range: " in one_error_line(
            conv_cli("apply", PHOTO, "-k", "box", "--range", text, "-o", "x.png"), 2
        )


class TestSameFormat:
    def test_folder_keeps_formats_suffixes_and_metadata(self, tmp_path):
        (tmp_path / "in").mkdir()
        exif = Image.Exif()
        exif[0x010E] = "a title"
        with Image.open(PHOTO) as photo:
            small = photo.resize((60, 40))
        small.save(tmp_path / "in/A.JPG", "JPEG", exif=exif, quality=71)
        small.save(tmp_path / "in/b.webp", lossless=True)
        small.save(tmp_path / "in/c.tif")
        small.convert("L").save(tmp_path / "in/d.pgm")
        small.save(tmp_path / "in/e.png")
        command = ["apply", "in", "-k", "gaussian:1", "--name", "{stem}{ext}", "--format", "same"]
        succeed(*command, "-o", "out", cwd=tmp_path)
        formats = {}
        for path in sorted((tmp_path / "out").iterdir()):
            with Image.open(path) as made:
                formats[path.name] = made.format
        assert formats == {
            "A.JPG": "JPEG", "b.webp": "WEBP", "c.tif": "TIFF", "d.pgm": "PPM", "e.png": "PNG",
        }  # fmt: skip
        with Image.open(tmp_path / "out/A.JPG") as made, Image.open(tmp_path / "in/A.JPG") as given:
            assert made.getexif()[0x010E] == "a title"
            assert made.quantization == given.quantization

    def test_content_tells_where_the_name_is_wrong(self, tmp_path):
        (tmp_path / "x.jpg").write_bytes((SAMPLES / "sunset-16bit.png").read_bytes())
        command = ["apply", "x.jpg", "-k", "box", "--format", "same"]
        succeed(*command, "-o", "out/", cwd=tmp_path)
        assert read_image(tmp_path / "out/x.box.jpg").dtype == np.uint16

    def test_stdin_has_its_own_format_too(self, tmp_path):
        command = ["apply", "-", "-k", "box", "--format", "same"]
        done = conv_cli(*command, "-o", "-", stdin=PHOTO.read_bytes())
        assert Image.open(io.BytesIO(done.stdout)).format == "JPEG"
        succeed(*command, "-o", "out/", cwd=tmp_path, stdin=PHOTO.read_bytes())
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["stdin.box.jpg"]

    def test_format_that_is_only_read_costs_its_image(self, tmp_path):
        Image.new("RGB", (32, 32)).save(tmp_path / "x.ico")
        write_image(tmp_path / "y.png", np.zeros((9, 9), np.uint8))
        done = conv_cli(
            "apply", "x.ico", "y.png", "-k", "box", "--format", "same", "-o", "out", cwd=tmp_path
        )
        assert done.returncode == 1
        assert "x.ico: ICO is not written" in done.stderr.decode()
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["y.box.png"]


class TestQuality:
    @pytest.mark.parametrize("sampling", [0, 1, 2])
    def test_jpeg_from_a_jpeg_keeps_tables_and_sampling(self, sampling, tmp_path):
        with Image.open(PHOTO) as photo:
            photo.save(tmp_path / "x.jpg", quality=62, subsampling=sampling)
        succeed("apply", "x.jpg", "-k", "identity", "-o", "y.jpg", cwd=tmp_path)
        with Image.open(tmp_path / "x.jpg") as x, Image.open(tmp_path / "y.jpg") as y:
            assert x.quantization == y.quantization
            assert x.layer == y.layer  # the sampling of each channel

    def test_grey_of_a_jpeg_has_the_table_of_brightness(self, tmp_path):
        with Image.open(PHOTO) as photo:
            photo.save(tmp_path / "x.jpg", quality=62)
        succeed("apply", "x.jpg", "-k", "box", "--channels", "grey", "-o", "y.jpg", cwd=tmp_path)
        with Image.open(tmp_path / "x.jpg") as x, Image.open(tmp_path / "y.jpg") as y:
            assert y.mode == "L" and y.quantization == {0: x.quantization[0]}

    @pytest.mark.parametrize("suffix", ["jpg", "webp", "avif"])
    def test_quality_is_worth_bytes(self, suffix, tmp_path):
        sizes = []
        for quality in (20, 60, 98):
            name = f"{quality}.{suffix}"
            command = ["apply", PHOTO, "-k", "gaussian:1", "--quality", quality]
            succeed(*command, "-o", name, cwd=tmp_path)
            sizes.append((tmp_path / name).stat().st_size)
        assert sizes == sorted(sizes) and sizes[0] * 2 < sizes[2]

    def test_jpeg_of_another_format_has_quality_95(self, tmp_path):
        write_image(tmp_path / "x.png", np.asarray(read_image(PHOTO))[:64, :64])
        succeed("apply", "x.png", "-k", "identity", "-o", "y.jpg", cwd=tmp_path)
        Image.open(tmp_path / "x.png").save(tmp_path / "z.jpg", quality=95, subsampling=0)
        with Image.open(tmp_path / "y.jpg") as y, Image.open(tmp_path / "z.jpg") as z:
            assert (y.quantization, y.layer) == (z.quantization, z.layer)

    def test_quality_of_nothing_lossy_is_a_mistake(self):
        command = ["apply", PHOTO, "-k", "box", "--quality", "50", "-o", "x.png"]
        assert "--quality: PNG has none" in one_error_line(conv_cli(*command), 2)


class TestTables:
    def test_matrix_without_output_is_printed(self):
        done = succeed("apply", "0 1 2; 3 4 5; 6 7 8", "-k", "0 1; 2 3", "--padding", "valid")
        assert done.stdout.decode() == "19 25\n37 43\n"
        assert done.stderr == b""

    def test_files_of_numbers_are_read_and_written(self, tmp_path):
        (tmp_path / "x.csv").write_text("# a comment\n1, 2, 1/2\n-3, 4e0, 5\n")
        x = [[1, 2, 0.5], [-3, 4, 5]]
        expected = np.array(corr2d(x, [[1, -3]]))
        for name in ("y.csv", "y.txt", "y.npy"):
            command = ["apply", "x.csv", "-k", "1 -3", "--padding", "valid"]
            succeed(*command, "-o", name, cwd=tmp_path)
            np.testing.assert_array_equal(np.asarray(read_image(tmp_path / name)), expected)
        assert (tmp_path / "y.csv").read_text() == "-5,0.5\n-15,-11\n"

    def test_tables_in_a_folder_are_no_pictures(self, tmp_path):
        (tmp_path / "in").mkdir()
        (tmp_path / "in/notes.txt").write_text("to do")
        write_image(tmp_path / "in/x.png", np.zeros((9, 9), np.uint8))
        succeed("apply", "in", "-k", "box", "-o", "out", cwd=tmp_path)
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["x.box.png"]

    def test_matrix_in_a_folder_of_results(self, tmp_path):
        succeed("apply", "1 2; 3 4", "-k", "box", "--format", "npy", "-o", "o/", cwd=tmp_path)
        assert [path.name for path in (tmp_path / "o").iterdir()] == ["1_2_3_4.box.npy"]

    def test_json_holds_the_values(self):
        done = succeed("apply", "1 2; 3 4", "-k", "1 1; 1 1", "--padding", "valid", "--json")
        found = json.loads(done.stdout)
        assert found["image"] == "1 2; 3 4" and found["values"] == [[10]]

    def test_several_results_are_told_apart(self):
        done = succeed("apply", "1 2 3", "-k", "1 -1", "-k", "1 1", "--padding", "valid")
        assert done.stdout.decode() == "1 2 3, 1 -1:\n-1 -1\n1 2 3, 1 1:\n3 5\n"

    def test_depth_and_range_hold_for_numbers_as_well(self):
        command = ["apply", "0 100 300", "-k", "identity", "--white", "255", "--depth", "8"]
        assert succeed(*command).stdout.decode() == "  0 100 255\n"

    @pytest.mark.parametrize(
        ("text", "reason"),
        [("1 2; 3", "row 2 has 1 number, row 1 has 2"), ("1 2; 3 x", "row 2, column 2 is x")],
    )
    def test_a_typing_mistake_is_told_with_its_place(self, text, reason):
        assert reason in one_error_line(conv_cli("apply", text, "-k", "box"), 2)

    def test_file_of_words_costs_that_image(self, tmp_path):
        (tmp_path / "x.csv").write_text("1,2\n3,four\n")
        line = one_error_line(conv_cli("apply", "x.csv", "-k", "box", cwd=tmp_path), 1)
        assert line.startswith("Error: x.csv: row 2, column 2 is four")

    def test_colours_do_not_fit_a_table(self, tmp_path):
        command = ["apply", PHOTO, "-k", "box", "-o", "x.csv"]
        assert "--channels grey" in one_error_line(conv_cli(*command, cwd=tmp_path), 1)
        assert not any(tmp_path.iterdir())

    def test_picture_needs_an_output(self):
        line = one_error_line(conv_cli("apply", PHOTO, "-k", "box"), 2)
        assert line.startswith("Error: --output: missing; ") and "--show" in line


class TestShow:
    def test_input_and_map_stand_side_by_side_without_colours_in_a_pipe(self, tmp_path):
        x = np.zeros((40, 40), np.uint8)
        x[:, 20:] = 255
        write_image(tmp_path / "x.png", x)
        done = succeed("apply", "x.png", "-k", "sobel-x", "--show", cwd=tmp_path)
        title, *drawn = done.stdout.decode().splitlines()
        assert title == "x.png, sobel-x"
        assert "\x1b" not in done.stdout.decode() and max(map(len, drawn)) <= 80
        left, right = drawn[5][:39], drawn[5].rstrip()[41:]
        assert set(left[22:38]) == {"@"} and not left[:18].strip()
        assert "@" in right and set(right.strip()) <= {"@", "+", "*"} and len(right.strip()) < 6
        assert [path.name for path in tmp_path.iterdir()] == ["x.png"]

    def test_terminal_gets_colours_and_blocks(self, tmp_path):
        shown = in_terminal("apply", SAMPLES / "page.png", "-k", "laplacian", "--show")
        assert "▀" in shown and "\x1b[38;2;" in shown

    def test_it_is_written_too(self, tmp_path):
        command = ["apply", PHOTO, "-k", "box", "--show"]
        assert succeed(*command, "-o", "y.png", cwd=tmp_path).stdout
        succeed("apply", PHOTO, "-k", "box", "-o", "z.png", cwd=tmp_path)
        assert (tmp_path / "y.png").read_bytes() == (tmp_path / "z.png").read_bytes()

    @pytest.mark.parametrize("other", [["-o", "-"], ["--json"]])
    def test_stdout_carries_one_thing(self, other):
        one_error_line(conv_cli("apply", PHOTO, "-k", "box", "--show", *other), 2)


def in_terminal(*arguments):
    """Run the command in a terminal of 80 columns with all colours; return what that got."""
    master, slave = pty.openpty()
    environment = {**ENVIRONMENT, "TERM": "xterm", "COLORTERM": "truecolor", "COLUMNS": "80"}
    process = start(*arguments, stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    data = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        data += piece
    process.wait(60)
    os.close(master)
    return data.decode()


def test_terminal_gets_no_bytes_of_an_image_unless_forced():
    shown = in_terminal("apply", PHOTO, "-k", "box", "-o", "-")
    assert shown.startswith("Error: --output: stdout is a terminal")


class TestBias:
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_percentage_is_a_share_of_white(self, dtype, tmp_path):
        write_image(tmp_path / "x.png", np.zeros((4, 4), dtype))
        command = ["apply", "x.png", "-k", "identity", "--bias"]
        succeed(*command, "20%", "-o", "y.png", cwd=tmp_path)
        assert (pixels(tmp_path / "y.png") == np.iinfo(dtype).max // 5).all()

    def test_explain_adds_the_same(self, tmp_path):
        write_image(tmp_path / "x.png", np.zeros((2, 2), np.uint8))
        command = ["explain", "x.png", "-k", "identity", "--bias", "100%", "--at", "0,0", "--json"]
        found = json.loads(succeed(*command, cwd=tmp_path).stdout)
        assert found["channels"][0]["bias"] == found["channels"][0]["pixel"] == 255


class TestNotes:
    def photos(self, folder, count):
        (folder / "in").mkdir()
        for number in range(count):
            x = np.zeros((20, 20), np.uint8)
            x[:, number + 3 :] = 250
            write_image(folder / f"in/{number}.png", x)

    def test_clipping_is_one_line_a_kernel_at_the_end(self, tmp_path):
        self.photos(tmp_path, 5)
        command = ["apply", "in", "-k", "sobel-x", "-k", "2", "-k", "unsharp:1", "-o", "out"]
        *lines, last = succeed(*command, cwd=tmp_path).stderr.decode().splitlines()
        assert last.startswith("15 done")
        assert [line.partition(":")[0] for line in lines] == ["sobel-x", "2", "unsharp"]
        assert "values clipped in 5 maps" in lines[0]
        assert lines[0].endswith("use --range signed, or --preset edges")
        assert lines[1].endswith("use --normalize sum, or --range stretch")
        assert "use --" not in lines[2]  # it sums to 1

    def test_less_than_a_hundredth_is_not_worth_a_word(self, tmp_path):
        x = np.full((20, 20), 100, np.uint8)
        x[0, 0] = 200
        write_image(tmp_path / "x.png", x)
        done = succeed("apply", "x.png", "-k", "2", "-o", "y.png", cwd=tmp_path)
        assert done.stderr == b""

    def test_a_dry_run_says_that_nothing_is_left(self, tmp_path):
        self.photos(tmp_path, 3)
        command = ["apply", "in", "-k", "box", "-o", "out", "--skip-existing"]
        succeed(*command, cwd=tmp_path)
        done = succeed(*command, "--dry-run", cwd=tmp_path)
        assert done.stderr.decode() == "nothing is to do: all 3 results are there already\n"


class TestInputs:
    def test_kernel_file_is_an_input(self, tmp_path):
        (tmp_path / "k.txt").write_text("1 2\n")
        (tmp_path / "x.csv").write_text("1,2\n")
        for command in (
            ["apply", "x.csv", "-k", "k.txt", "-o", "k.txt"],
            ["kernels", "convert", "@k.txt", "--to", "txt", "-o", "k.txt"],
            ["kernels", "compose", "k.txt", "box", "-o", "./k.txt"],
            ["kernels", "show", "k.txt", "-o", "k.txt"],
        ):
            done = conv_cli(*command, "--force", cwd=tmp_path)
            assert "is an input" in one_error_line(done, 1)
            assert (tmp_path / "k.txt").read_text() == "1 2\n"

    def test_model_is_an_input(self, tmp_path):
        model = tmp_path / "x.1.1.png"
        model.write_text('{"layers": [{"conv": {"kernel": "box"}}]}')
        write_image(tmp_path / "x.png", np.zeros((9, 9), np.uint8))
        (tmp_path / "model.json").symlink_to(model)
        done = conv_cli("net", "apply", "model.json", "x.png", "-o", ".", "--force", cwd=tmp_path)
        assert "is an input" in one_error_line(done, 1)


class TestLike:
    def test_kernel_between_two_pictures_is_used_on_a_third(self, tmp_path):
        photo = SAMPLES / "still-life.png"
        succeed("apply", photo, "-k", "emboss", "-o", "after.png", "-q", cwd=tmp_path)
        command = ["-k", f"like:{photo},after.png", "-o", "y.npy"]
        succeed("apply", SAMPLES / "chart.png", *command, cwd=tmp_path)
        expected = filter_image(read_image(SAMPLES / "chart.png"), "emboss")
        np.testing.assert_allclose(np.load(tmp_path / "y.npy"), expected, atol=0.6)

    def test_what_no_kernel_explains_is_refused_with_its_verdict(self, tmp_path):
        x = np.asarray(read_image(SAMPLES / "still-life.png"))
        write_image(tmp_path / "y.png", (x > 100).astype(np.uint8) * 255)
        command = ["apply", PHOTO, "-k", f"like:{SAMPLES / 'still-life.png'},y.png", "-o", "z.png"]
        assert "poor" in one_error_line(conv_cli(*command, cwd=tmp_path), 2)

    @pytest.mark.parametrize(
        "text", ["like:", "like:one.png", "like:a,b,c", "like:none.png,no.png"]
    )
    def test_other_than_two_files_are_refused(self, text):
        one_error_line(conv_cli("kernels", "show", text), 2)
