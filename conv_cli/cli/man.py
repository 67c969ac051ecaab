"""The man page, made of the help: `python -m conv_cli.cli.man` prints it."""

import inspect
import re
import sys
from collections.abc import Iterator

import click

from conv_cli.cli.main import cli


def man_page() -> str:
    """Return the page of `conv-cli` and all its commands, in the language of man(7)."""
    top = click.Context(cli, info_name="conv-cli", **cli.context_settings)
    summary = (cli.help or "").split("\n", 1)[0].rstrip(".")
    lines = [
        '.TH CONV-CLI 1 "" conv-cli "User Commands"',
        ".SH NAME",
        f"conv-cli \\- {_text(summary)}",
        ".SH SYNOPSIS",
        ".B conv-cli",
        r"[\fIOPTIONS\fR] \fICOMMAND\fR [\fIARGUMENTS\fR]",
        ".SH DESCRIPTION",
        *_paragraphs(cli.help or ""),
        *_options(cli, top),
        ".SH COMMANDS",
    ]
    for context in _commands(cli, top):
        lines += [f".SS {_text(context.command_path)}", *_section(context)]
    lines += [".SH EXIT STATUS"]
    for code, meaning in _EXITS:
        lines += [".TP", f".B {code}", _text(meaning)]
    lines += [".SH SEE ALSO", ".B conv-cli guide", "prints guides, and the list of them."]
    return "\n".join(lines) + "\n"


_EXITS = (
    ("0", "Everything is done."),
    ("1", "Some or all inputs failed; the rest is done."),
    ("2", "A mistake in the command, a kernel or a model; nothing was written."),
    ("3", "Nothing was found: no image, or no linear kernel that explains a pair."),
    ("130, 143", "Interrupted; nothing is half-written."),
)


def _commands(group: click.Group, parent: click.Context) -> Iterator[click.Context]:
    """Yield a context for every command, each before those below it."""
    for name in group.list_commands(parent):
        command = group.get_command(parent, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=parent)
        yield context
        if isinstance(command, click.Group):
            yield from _commands(command, context)


def _section(context: click.Context) -> Iterator[str]:
    command = context.command
    usage = " ".join(command.collect_usage_pieces(context))
    yield ".PP"
    yield rf"\fB{_text(context.command_path)}\fR {_text(usage)}"
    yield from _paragraphs(command.help or "")
    yield from _options(command, context)
    yield from _paragraphs(command.epilog or "")


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if isinstance(parameter, click.Option) and record is not None:
            yield ".TP"
            yield f".B {_text(record[0])}"
            yield _text(record[1])


def _paragraphs(text: str) -> Iterator[str]:
    r"""Yield a help text; what stands below a `\b` keeps its lines, as in the terminal."""
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        lines = paragraph.split("\n")
        if lines[0].strip() == "\b":
            yield from (".PP", ".nf", *map(_text, lines[1:]), ".fi")
        else:
            yield from (".PP", _text(" ".join(paragraph.split())))


def _text(words: str) -> str:
    """Return words that man(7) takes for nothing but words."""
    escaped = words.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{escaped}" if escaped[:1] in (".", "'") else escaped


if __name__ == "__main__":
    sys.stdout.buffer.write(man_page().encode())
