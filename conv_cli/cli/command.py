"""How every command reads its arguments and prints its help."""

from typing import Any

import click

from conv_cli.cli.suggestions import meant_commands, too_many

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 80}

_SECTIONS = {
    "Input and output": (
        "kernels", "preset", "output", "name", "file_format", "quality", "compress", "recursive",
        "files_from", "show", "sheet", "predict", "residual", "report", "script", "layer", "input",
        "field", "image", "heatmap", "crop", "mask", "frames",
        "chart", "result", "keep",
    ),
    "Window": (
        "padding", "border", "stride", "dilation", "convolve", "origin", "region", "at", "size",
        "shift",
    ),
    "Values": (
        "normalize", "bias", "channels", "alpha", "nodata", "linear", "tone", "combine", "range",
        "depth", "colormap", "white", "ridge", "method", "epochs", "lr", "seed", "batch",
        "threshold", "false_alarms", "limit", "overlap", "scale", "rotate",
    ),
}  # fmt: skip
"""Parameters by the section of the help that they stand in; all others are of the run."""
_REST = "Run"
_FEW = 8
"""A command of no more options needs no sections."""


class Command(click.Command):
    """A command whose help has sections, and that refuses an option given twice for nothing."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read arguments."""
        if ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        self._refuse_one_dash(ctx, args)
        given = list(args)
        try:
            self._check_given(ctx, list(args))
            ctx.allow_extra_args = True  # for them to be named here
            rest = super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            # Of "-size" Click names the "-s" alone.
            name = error.option_name
            if len(name) == 2:
                name = next((word for word in given if word.startswith(name)), name)
            raise click.NoSuchOption(name.partition("=")[0], ctx=ctx) from None
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise
        if rest:
            raise click.BadParameter(too_many(rest, ctx), param_hint=ctx.command_path)
        return rest

    def _refuse_one_dash(self, ctx: click.Context, args: list[str]) -> None:
        """Raise NoSuchOption for an option of two dashes with one, which may read as `-o utput`."""
        known = {option for p in self.get_params(ctx) for option in (*p.opts, *p.secondary_opts)}
        for word in args:
            if word == "--":
                break
            name = word.partition("=")[0]
            if len(name) > 2 and name not in known and f"-{name}" in known:
                raise click.NoSuchOption(name, ctx=ctx)

    def _check_given(self, ctx: click.Context, args: list[str]) -> None:
        """Raise BadParameter for an option that counts once and is given more often, or empty."""
        parser = self.make_parser(ctx)
        once = [p for p in self.get_params(ctx) if isinstance(p, click.Option) and not p.multiple]
        for option in once:
            for spelled in (option.opts, option.secondary_opts):
                if not spelled:
                    continue
                of: dict[str, Any] = {"obj": option, "opts": spelled, "dest": option.name}
                if option.is_flag:
                    parser.add_option(**of, action="append_const", const=max(spelled, key=len))
                else:
                    parser.add_option(**of, action="append", nargs=option.nargs)
        values, _, _ = parser.parse_args(args)
        for option in once:
            given = values.get(str(option.name), ())
            if not option.is_flag and "" in given:
                raise click.BadParameter(
                    "is empty; check the variable that it comes from",
                    ctx=ctx,
                    param_hint=max(option.opts, key=len),
                )
            several = set(given) if option.is_flag else given
            if isinstance(given, list) and len(several) > 1:
                raise click.BadParameter(
                    f"is given {len(given)} times, as {' and '.join(given)}, and counts once; "
                    "leave out all but one",
                    ctx=ctx,
                    param_hint=max(option.opts, key=len),
                )

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, by what they are about where there are many."""
        records = [
            (parameter.name, record)
            for parameter in self.get_params(ctx)
            if isinstance(parameter, click.Option)
            and (record := parameter.get_help_record(ctx)) is not None
        ]
        titles = {name: title for title, names in _SECTIONS.items() for name in names}
        sections: dict[str, list[tuple[str, str]]] = {title: [] for title in (*_SECTIONS, _REST)}
        for name, record in records:
            title = "Options" if len(records) <= _FEW else titles.get(str(name), _REST)
            sections.setdefault(title, []).append(record)
        for title, rows in sections.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


class Group(click.Group):
    """A group that prints its help where no command is given, and knows what names may mean."""

    command_class = Command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read arguments; none ask for help."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help())
            ctx.exit()
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command of a name, or say which one may be meant."""
        name = args[0]
        if self.get_command(ctx, name) is None and name[:1] != "-" and not ctx.resilient_parsing:
            raise click.BadParameter(
                f"no such command; {meant_commands(args, self.list_commands(ctx), ctx)}",
                ctx=ctx,
                param_hint=repr(name),
            )
        return super().resolve_command(ctx, args)
