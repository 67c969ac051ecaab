"""The README: every command and option stands in it, and its examples work as written."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from command import ENVIRONMENT
from conv_cli.cli.main import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
LONG = ("--report", "--predict", "> fit.json", "--epochs 50", "edges.npz")
EXAMPLES = [
    line
    for language, block in BLOCKS[2:]
    if language == "sh"
    for line in block.splitlines()
    if line.startswith("conv-cli")
]


def commands(group, prefix=""):
    """Yield the name of every command, as it is typed, and the command."""
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        yield f"{prefix}{name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix}{name} ")


COMMANDS = dict(commands(cli))


def options():
    for name, command in COMMANDS.items():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                yield pytest.param(parameter, id=f"{name} {parameter.opts[-1]}")


@pytest.mark.parametrize("option", list(options()))
def test_option_has_help_and_stands_in_the_readme(option):
    assert option.help
    assert f"`{max(option.opts, key=len)}" in README.replace("/--", "`--")


def test_commands_are_found():
    assert {"apply", "explain", "net apply", "net info", "net fit"} <= set(COMMANDS)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_command_has_help_examples_and_an_example_in_the_readme(name):
    command = COMMANDS[name]
    assert command.help
    group = COMMANDS[name.split()[0]]
    assert f"conv-cli {name}" in (command.epilog or group.epilog)
    assert any(example.startswith(f"conv-cli {name}") for example in EXAMPLES)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder as a user has it: the sample images, and conv-cli on the path."""
    folder = tmp_path_factory.mktemp("user")
    shutil.copytree(ROOT / "sample_images", folder / "sample_images")
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    script = bin_folder / "conv-cli"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m conv_cli "$@"\n')
    script.chmod(0o755)
    environment = {**ENVIRONMENT, "PATH": f"{bin_folder}{os.pathsep}{ENVIRONMENT['PATH']}"}
    return folder, environment


def example_cases():
    for example in EXAMPLES:
        is_long = any(word in example for word in LONG)
        yield pytest.param(example, marks=[pytest.mark.slow] if is_long else [])


@pytest.mark.parametrize("example", list(example_cases()))
def test_example_works_as_written(workplace, example):
    folder, environment = workplace
    before = set(folder.rglob("*"))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", example], cwd=folder, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert set(folder.rglob("*")) - before or "--dry-run" in example or done.stdout


def test_python_example_works_as_written(workplace):
    folder, environment = workplace
    (code,) = [block for language, block in BLOCKS if language == "python"]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_model_of_the_readme_is_the_sample():
    (text,) = re.findall(r"^```json\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    sample = ROOT / "sample_images/models/edge-magnitude.json"
    assert json.loads(text) == json.loads(sample.read_text(encoding="utf-8"))


def test_output_of_explain_in_the_readme_is_what_it_prints(workplace):
    folder, environment = workplace
    command, shown = re.search(
        r"^(conv-cli explain [^\n]+)\n```\n\n```\n(.*?)^```$", README, re.MULTILINE | re.DOTALL
    ).groups()
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout == shown


def test_quick_start_has_the_two_blocks_that_ci_runs():
    section = README.split("## Quick start", 1)[1].split("\n## ", 1)[0]
    first, second = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert "conv-cli apply sample_images/" in first
    assert "-m pytest" in second
    for block in (first, second):
        assert len(block.strip().splitlines()) == 1


def test_pictures_of_the_readme_are_there():
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", README)
    assert pictures
    for picture in pictures:
        assert (ROOT / picture).is_file()
