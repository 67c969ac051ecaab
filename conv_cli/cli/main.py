"""The command group, and the entry point."""

import os
from importlib import import_module

import click

from conv_cli.cli import boundary
from conv_cli.cli.command import CONTEXT, Group

COMMANDS = {
    "apply": "Filter images with kernels.",
    "explain": "Take one output pixel apart.",
    "find": "Find where a pattern lies in images.",
    "fit": "Find the kernel that lies between two pictures.",
    "guide": "Read about kernels, borders, batches, networks and more.",
    "help": "Print the help of a command.",
    "kernels": "List kernels, look at them, and carry them to other tools.",
    "lesson": "Explain convolution on your own photograph.",
    "net": "Apply, describe and train networks of layers.",
    "probe": "Find out what another program does to pictures.",
}
"""The name of each command, which is that of its module too, and what it does."""


class Commands(Group):
    """A group that loads the module of a command when it is asked for, and none for its help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"conv_cli.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands for the help."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings=CONTEXT)
@click.version_option(package_name="conv-cli", prog_name="conv-cli")
def cli() -> None:
    """Filter images with any kernel: cross-correlation, exact and fast.

    Start with:

    \b
      conv-cli apply photo.jpg --preset edges -o edges.png
      conv-cli guide
    """


def main() -> None:
    """Run the command line and leave with its exit code."""
    # Strips run on threads of their own; BLAS starting more of them for each would only get in
    # the way. It has to be said before NumPy is imported.
    for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    boundary.run(lambda: cli.main(prog_name="conv-cli", standalone_mode=False))
