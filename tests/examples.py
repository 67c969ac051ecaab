"""The commands of the README and the guides, run as a reader types them."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import click

from command import ENVIRONMENT
from conv_cli.cli.main import cli

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
GUIDES = sorted((ROOT / "conv_cli" / "guides").glob("*.md"))


def text_of(document):
    return document.read_text(encoding="utf-8")


def blocks(text, language):
    """Return the bodies of a text's blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def examples(text):
    """Return the commands of a text's sh blocks, one a line, but those that install it."""
    lines = [line for block in blocks(text, "sh") for line in block.splitlines()]
    return [line for line in lines if line.startswith("conv-cli")]


def shown_outputs(text):
    """Return pairs of a command and what a block without a language, right below, shows of it."""
    pattern = r"^(conv-cli [^\n]+)\n```\n\n```\n(.*?)^```$"
    return re.findall(pattern, text, re.MULTILINE | re.DOTALL)


def commands(group=cli, prefix=""):
    """Yield the name of every command, as it is typed, and the command."""
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        yield f"{prefix}{name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix}{name} ")


class Workplace(NamedTuple):
    """A folder as a user has it: the sample images, and conv-cli on the path."""

    folder: Path
    environment: dict[str, str]

    def run(self, *words):
        """Run a program here."""
        return subprocess.run(
            words, cwd=self.folder, env=self.environment, capture_output=True, text=True,
            check=False, timeout=120,
        )  # fmt: skip

    def type(self, example):
        """Type a command into a shell; check that it does something, and return what it prints."""
        before = set(self.folder.rglob("*"))
        done = self.run("bash", "-euo", "pipefail", "-c", example)
        assert done.returncode == 0, f"{example}\n{done.stderr}"
        assert set(self.folder.rglob("*")) - before or "--dry-run" in example or done.stdout
        return done.stdout

    def python(self, code):
        """Run a Python program."""
        done = self.run(sys.executable, "-c", code)
        assert done.returncode == 0, done.stderr


def workplace_in(folder):
    """Make a workplace of a folder."""
    shutil.copytree(ROOT / "sample_images", folder / "sample_images")
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    script = bin_folder / "conv-cli"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m conv_cli "$@"\n')
    script.chmod(0o755)
    path = f"{bin_folder}{os.pathsep}{ENVIRONMENT['PATH']}"
    return Workplace(folder, {**ENVIRONMENT, "PATH": path})
