"""The README: its examples work as written, and every option stands in it or in a guide."""

import json
import re

import click
import pytest

from examples import (
    GUIDES,
    README,
    ROOT,
    blocks,
    commands,
    examples,
    shown_outputs,
    text_of,
    workplace_in,
)

TEXT = text_of(README)
EXAMPLES = examples(TEXT)
DOCUMENTS = "\n".join(map(text_of, [README, *GUIDES]))
LONG = ("--report", "--predict", "> fit.json", "--epochs 50", "edges.npz")
COMMANDS = dict(commands())


def options():
    for name, command in COMMANDS.items():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                yield pytest.param(parameter, id=f"{name} {parameter.opts[-1]}")


@pytest.mark.parametrize("option", list(options()))
def test_option_has_help_and_stands_in_the_readme_or_a_guide(option):
    assert option.help
    assert re.search(rf"[`/]{max(option.opts, key=len)}\b", DOCUMENTS)


def test_commands_are_found():
    assert {"apply", "explain", "net apply", "net info", "net fit"} <= set(COMMANDS)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_command_has_help_and_examples(name):
    command = COMMANDS[name]
    assert command.help
    group = COMMANDS[name.split()[0]]
    assert f"conv-cli {name}" in (command.epilog or group.epilog)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    return workplace_in(tmp_path_factory.mktemp("user"))


def example_cases():
    for example in EXAMPLES:
        is_long = any(word in example for word in LONG)
        yield pytest.param(example, marks=[pytest.mark.slow] if is_long else [])


@pytest.mark.parametrize("example", list(example_cases()))
def test_example_works_as_written(workplace, example):
    printed = workplace.type(example)
    assert printed == dict(shown_outputs(TEXT)).get(example, printed)


def test_python_example_works_as_written(workplace):
    (code,) = blocks(TEXT, "python")
    workplace.python(code)


def test_model_of_the_readme_is_the_sample():
    sample = ROOT / "sample_images/models/edge-magnitude.json"
    for text in blocks(TEXT, "json"):
        assert json.loads(text) == json.loads(sample.read_text(encoding="utf-8"))


def test_quick_start_has_the_two_blocks_that_ci_runs():
    section = TEXT.split("## Quick start", 1)[1].split("\n## ", 1)[0]
    first, second = blocks(section, "sh")[:2]
    assert "conv-cli apply sample_images/" in first
    assert "-m pytest" in second
    for block in (first, second):
        assert len(block.strip().splitlines()) == 1


def test_pictures_of_the_readme_are_there():
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", TEXT)
    assert pictures
    for picture in pictures:
        assert (ROOT / picture).is_file()


def test_readme_is_short():
    assert len(TEXT.splitlines()) <= 300


def test_commands_of_other_tools_are_those_of_the_guide_which_is_tested():
    guide = text_of(ROOT / "conv_cli/guides/coming-from.md")
    ours = [row.split(" | ")[1] for row in TEXT.splitlines() if re.match(r"\| \S+ `", row)]
    theirs = [row for row in guide.splitlines() if row.startswith("| `") and "conv-cli" in row]
    assert len(ours) == len(theirs) == 12

    def options(text):
        return set(re.findall(r"--[a-z]+ ?[a-z]*", text.replace("`", " `")))

    for short, whole in zip(ours, theirs, strict=True):
        shown = {each.strip() for each in options(short)}
        assert shown <= {each.strip() for each in options(whole.split(" | ")[1])}, short
