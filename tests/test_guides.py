"""The guides: their commands work as written, and `conv-cli guide` and the man page show them."""

import json
import os
import pty
import re
import subprocess
import tomllib

import click
import pytest
from click.shell_completion import ShellComplete

from command import COMMAND, ENVIRONMENT, call, error_line
from conv_cli.cli.main import cli
from conv_cli.cli.man import man_page
from examples import GUIDES, ROOT, blocks, commands, examples, shown_outputs, text_of, workplace_in

TOPICS = [guide.stem for guide in GUIDES]
TEXTS = dict(zip(TOPICS, map(text_of, GUIDES), strict=True))
PAGE = ROOT / "man" / "conv-cli.1"


def test_guides_are_found():
    assert {
        "kernels", "borders-and-ranges", "images", "batch", "fit", "convert", "networks", "python",
        "speed", "glossary",
    } <= set(TOPICS)  # fmt: skip


@pytest.mark.parametrize("topic", TOPICS)
def test_commands_of_the_guide_work_as_written(tmp_path, topic):
    workplace = workplace_in(tmp_path)
    shown = dict(shown_outputs(TEXTS[topic]))
    for example in examples(TEXTS[topic]):
        printed = workplace.type(example)
        assert printed == shown.get(example, printed)
    for code in blocks(TEXTS[topic], "python"):
        workplace.python(code)


TABLED = "coming-from"
"""The guide of a table of whole commands, which `test_coming_from.py` runs."""


@pytest.mark.parametrize("topic", TOPICS)
def test_guide_has_nothing_in_its_shell_blocks_that_is_not_run(topic):
    for block in blocks(TEXTS[topic], "sh"):
        for line in block.splitlines():
            prepares = topic == TABLED and re.match("cp |printf ", line)  # its own test runs it
            assert prepares or re.match("conv-cli |# |$", line), line
            assert not line.endswith("\\"), line


_LONGEST = {"fit": 210, "images": 175}
"""Lines of a guide that explains every key of a large result."""


@pytest.mark.parametrize("topic", TOPICS)
def test_guide_fits_the_screen(topic):
    lines = TEXTS[topic].splitlines()
    wide = [line for line in lines if len(line) > 100]
    assert wide == [] or (topic == TABLED and all(line.startswith("|") for line in wide))
    prose = [line for line in lines if not line.startswith(("|", "-->"))]
    assert len(prose) <= _LONGEST.get(topic, 160)


@pytest.mark.parametrize("topic", TOPICS)
def test_json_of_the_guide_is_json(topic):
    for text in blocks(TEXTS[topic], "json"):
        assert json.loads(text)


@pytest.mark.parametrize("topic", TOPICS)
def test_guides_that_a_guide_names_are_there(topic):
    named = re.findall(r"conv-cli guide ([a-z-]+)", TEXTS[topic])
    assert set(named) <= set(TOPICS)


@pytest.mark.parametrize("name", dict(commands()))
def test_command_is_used_in_a_guide(name):
    used = [example for text in TEXTS.values() for example in examples(text)]
    assert any(f"{example} ".startswith(f"conv-cli {name} ") for example in used)


def test_guide_lists_the_topics_with_what_they_say_first():
    lines = call("guide").stdout.decode().splitlines()
    assert [line.split()[0] for line in lines] == TOPICS
    for line in lines:
        topic, sentence = line.split(maxsplit=1)
        assert f"\n\n{sentence}." in re.sub(r"(?<!\n)\n(?!\n)", " ", TEXTS[topic])
        assert len(line) <= 80


def test_guide_prints_a_guide_as_it_is():
    assert call("guide", "Glossary").stdout.decode() == TEXTS["glossary"]


def test_guide_that_is_not_there_is_refused_with_the_nearest():
    assert error_line(call("guide", "kernel"), 2).endswith("did you mean kernels?")
    assert error_line(call("guide", "xyzzy"), 2).endswith(", ".join(TOPICS))


def test_guide_into_a_pipe_that_closes_leaves_no_word():
    line = f"{' '.join(COMMAND)} guide images | head -1"
    done = subprocess.run(["bash", "-c", line], capture_output=True, env=ENVIRONMENT, check=True)
    assert done.stdout.decode() == TEXTS["images"].splitlines()[0] + "\n"
    assert done.stderr == b""


def paged(tmp_path, script):
    """Run the guide to fitting on a terminal with a pager; return its end and what it shows."""
    pager = tmp_path / "pager"
    pager.write_text(f"#!/bin/sh\n{script}\n")
    pager.chmod(0o755)
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [*COMMAND, "guide", "fit"], stdin=theirs, stdout=theirs, stderr=subprocess.PIPE,
        env={**ENVIRONMENT, "PAGER": str(pager), "TERM": "xterm"}, check=False, timeout=60,
    )  # fmt: skip
    shown = os.read(ours, 1000).decode()
    os.close(ours)
    os.close(theirs)
    return done, shown


def test_guide_on_a_terminal_goes_through_the_pager(tmp_path):
    done, shown = paged(tmp_path, "read line; echo paged $line; cat > /dev/null")
    assert shown == f"paged {TEXTS['fit'].splitlines()[0]}\r\n"
    assert (done.returncode, done.stderr) == (0, b"")


def test_ctrl_c_in_the_pager_is_the_pagers_own(tmp_path):
    done, shown = paged(tmp_path, "cat > /dev/null; sleep 0.5; kill -INT $PPID; sleep 0.5; echo on")
    assert shown == "on\r\n"
    assert (done.returncode, done.stderr) == (0, b"")


def test_topics_are_completed():
    completed = ShellComplete(cli, {}, "conv-cli", "_CONV_CLI_COMPLETE")
    found = completed.get_completions(["guide"], "b")
    assert [item.value for item in found] == [topic for topic in TOPICS if topic[0] == "b"]
    assert all(item.help for item in found)


def test_man_page_is_made_from_the_help():
    message = "the help has changed: run `python -m conv_cli.cli.man > man/conv-cli.1`"
    assert text_of(PAGE) == man_page(), message


def test_man_page_is_installed_where_man_looks():
    targets = tomllib.loads(text_of(ROOT / "pyproject.toml"))["tool"]["hatch"]["build"]["targets"]
    name = str(PAGE.relative_to(ROOT))
    assert targets["wheel"]["shared-data"] == {name: "share/man/man1/conv-cli.1"}
    assert PAGE.parent.name in targets["sdist"]["include"]


def test_man_page_holds_every_command_and_option():
    page = text_of(PAGE).replace(r"\-", "-")
    for name, command in commands():
        section = page.split(f"\n.SS conv-cli {name}\n")[1].split("\n.S")[0]
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                (line,) = re.findall(rf"^\.B .*{parameter.opts[-1]}\b.*$", section, re.MULTILINE)
                assert all(option in line for option in parameter.opts)
