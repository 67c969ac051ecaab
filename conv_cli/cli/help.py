"""conv-cli help: the help of a command, by its name."""

import click

from conv_cli.cli.command import Command

EPILOG = """\b
Examples
  conv-cli help apply
  conv-cli help kernels show
"""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("command", nargs=-1)
@click.pass_context
def help(ctx: click.Context, command: tuple[str, ...]) -> None:
    """Print the help of COMMAND; without one, that of conv-cli."""
    assert ctx.parent is not None
    around, found = ctx.parent, ctx.parent.command
    for name in command:
        if not isinstance(found, click.Group):
            raise click.BadParameter(
                f"{around.command_path} has no commands; give the names before {name!r} alone",
                param_hint="COMMAND",
            )
        _, named, _ = found.resolve_command(around, [name])
        assert named is not None
        around, found = click.Context(named, info_name=name, parent=around), named
    click.echo(found.get_help(around))
