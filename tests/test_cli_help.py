"""Help, and what happens to words that are none: every command in 80 columns, near names told."""

import click
import pytest
from click.shell_completion import ShellComplete

from conv_cli.cli.main import cli
from test_cli_apply import SAMPLES, conv_cli, one_error_line, succeed

PHOTO = SAMPLES / "landscape.jpg"


def commands(group=cli, path=()):
    """Yield every command by its words."""
    yield path
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.parametrize("path", list(commands()), ids=" ".join)
def test_help_fits_80_columns_and_has_examples(path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    printed = succeed(*path, "--help").stdout.decode()
    assert max(map(len, printed.splitlines())) <= 80
    assert printed == succeed(*path, "-h").stdout.decode() == succeed("help", *path).stdout.decode()
    assert printed.count("conv-cli") >= 2


def test_options_of_a_large_command_stand_in_sections():
    printed = succeed("apply", "--help").stdout.decode()
    titles = ["Input and output:", "Window:", "Values:", "Run:"]
    places = [printed.index(title) for title in titles]
    assert places == sorted(places)
    for option, title in [("--output", 0), ("--border", 1), ("--range", 2), ("--jobs", 3)]:
        place = printed.index(f" {option} ")
        assert sum(start < place for start in places) == title + 1


@pytest.mark.parametrize("path", [(), ("kernels",), ("net",)])
def test_group_alone_prints_its_help(path):
    assert succeed(*path).stdout == succeed(*path, "--help").stdout


@pytest.mark.parametrize(
    ("word", "command"),
    [
        ("filter", "apply"), ("convolve", "apply"), ("aply", "apply"), ("learn", "fit"),
        ("kernel", "kernels"), ("convert", "kernels convert"), ("train", "net fit"),
    ],
)  # fmt: skip
def test_other_word_for_a_command_is_understood(word, command):
    line = one_error_line(conv_cli(word, "photo.jpg"), 2)
    assert f"did you mean 'conv-cli {command}" in line


@pytest.mark.parametrize(
    ("word", "kernel"),
    [
        ("blur", "gaussian"), ("edges", "sobel-x"), ("sobel-x", "sobel-x"),
        ("outline", "laplacian"), ("soften", "gaussian"),
    ],
)  # fmt: skip
def test_kernel_in_place_of_a_command_is_understood(word, kernel):
    line = one_error_line(conv_cli(word, "photo.jpg"), 2)
    assert f"write: conv-cli apply photo.jpg -k {kernel} -o OUTPUT" in line


@pytest.mark.parametrize(
    ("word", "kernel"),
    [("blur", "gaussian"), ("outline", "laplacian"), ("edges", "sobel-x"), ("soften", "gaussian")],
)
def test_other_word_for_a_kernel_is_understood(word, kernel):
    line = one_error_line(conv_cli("apply", PHOTO, "-k", word, "-o", "x.png"), 2)
    assert f"did you mean {kernel}?" in line
    assert line.endswith(f"Or use --preset {word}") == (word != "blur")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--bias", "1", "--bias=2"], "--bias: is given 2 times, as 1 and 2"),
        (["--range", "clip", "--range", "abs"], "as clip and abs"),
        (["--progress", "--no-progress"], "as --progress and --no-progress"),
        (["-o", "b.png"], "--output: is given 2 times, as a.png and b.png"),
    ],
)
def test_an_option_given_twice_for_nothing_is_refused(options, told, tmp_path):
    done = conv_cli("apply", PHOTO, "-k", "box", "-o", "a.png", *options, cwd=tmp_path)
    assert told in one_error_line(done, 2)
    assert not any(tmp_path.iterdir())


def test_a_flag_given_twice_means_what_it_means_once(tmp_path):
    succeed("apply", PHOTO, "-k", "box", "-o", "a.png", "-f", "-f", "-q", cwd=tmp_path)


def test_grey_is_gray(tmp_path):
    for word in ("gray", "grey", "Grey"):
        command = ["apply", PHOTO, "-k", "box", "--channels", word]
        succeed(*command, "-o", f"{word}.png", cwd=tmp_path)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_help_of_what_is_no_command_names_a_near_one():
    assert "did you mean 'conv-cli apply'" in one_error_line(conv_cli("help", "appli"), 2)
    assert "apply has no commands" in one_error_line(conv_cli("help", "apply", "box"), 2)


@pytest.mark.parametrize(
    ("words", "typed", "offered"),
    [
        (["apply", "--border"], "s", {"symmetric"}),
        (["apply", "--border"], "re", {"reflect", "replicate"}),
        (["apply", "--padding"], "", {"same", "valid", "full", "3x3"}),
        (["apply", "--range"], "st", {"stretch", "stretch:99.5"}),
        (["apply", "-k"], "gaussian:", {"gaussian:sigma=", "gaussian:size="}),
        (["apply", "-k"], "gaussian:2,si", {"gaussian:2,sigma=", "gaussian:2,size="}),
        (["apply", "--preset"], "e", {"edges"}),
        (["kernels", "diff"], "sobel-", {"sobel-x", "sobel-y"}),
    ],
)
def test_borders_sizes_and_parameters_are_completed(words, typed, offered):
    completion = ShellComplete(cli, {}, "conv-cli", "_CONV_CLI_COMPLETE")
    found = {each.value for each in completion.get_completions(words, typed)}
    assert offered <= found
    assert all(each.startswith(typed) for each in found)
