"""conv-cli guide: the guides, to read in the terminal."""

import signal
import sys
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import click

from conv_cli.cli import boundary
from conv_cli.cli.command import Command
from conv_cli.io.text import nearest

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from click.shell_completion import CompletionItem

EPILOG = """\b
Examples
  conv-cli guide
  conv-cli guide kernels
  conv-cli guide glossary | grep stride
"""


def guides() -> "dict[str, Traversable]":
    """Return the file of each guide by its topic, in the order of the alphabet."""
    folder = files("conv_cli").joinpath("guides")
    found = {each.name: each for each in folder.iterdir() if each.name.endswith(".md")}
    return {name.removesuffix(".md"): found[name] for name in sorted(found)}


def first_sentence(text: str) -> str:
    """Return the sentence that follows the title of a guide."""
    paragraph = " ".join(text.split("\n\n")[1].split())
    return paragraph.split(". ")[0].rstrip(".")


class TopicType(click.ParamType):
    """The topic of a guide."""

    name = "topic"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "Traversable":
        """Return the guide's file."""
        topics = guides()
        if value.lower() not in topics:
            near = nearest(value, topics)
            advice = f"did you mean {near}?" if near else f"there are {', '.join(topics)}"
            raise click.BadParameter(f"there is no guide to {value!r}; {advice}")
        return topics[value.lower()]

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem]":
        """Return the topics that begin like what is typed."""
        from click.shell_completion import CompletionItem

        return [
            CompletionItem(topic, help=first_sentence(file.read_text("utf-8")))
            for topic, file in guides().items()
            if topic.startswith(incomplete.lower())
        ]


@click.command(cls=Command, epilog=EPILOG)
@click.argument("topic", type=TopicType(), required=False)
def guide(topic: "Traversable | None") -> None:
    """Print the guide to a TOPIC; without one, list the topics."""
    boundary.require_stdout(True)
    if topic is None:
        _list()
    elif sys.stdout.isatty():
        _page(topic.read_text("utf-8"))
    else:
        click.echo(topic.read_text("utf-8"), nl=False)


def _list() -> None:
    texts = {topic: file.read_text("utf-8") for topic, file in guides().items()}
    width = max(map(len, texts))
    for topic, text in texts.items():
        click.echo(f"{topic.ljust(width)}  {first_sentence(text)}")


def _page(text: str) -> None:
    """Show text in the pager, to which Ctrl-C belongs as long as it runs."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:
        # Click waits on when it sees a KeyboardInterrupt, and on no other exception.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        click.echo_via_pager(text)
    finally:
        signal.signal(signal.SIGINT, before)
