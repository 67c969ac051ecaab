"""conv-cli probe: what another program does to pictures."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from conv_cli.cli import boundary
from conv_cli.cli.command import Command
from conv_cli.cli.kinds import Choice, NumberType
from conv_cli.cli.options import as_json_option, force_option, quiet_option
from conv_cli.cli.terminal import hanging, print_lines
from conv_cli.errors import ImageError, ProgramError

if TYPE_CHECKING:
    from conv_cli.probing.probe import Probe

_INDENT = 12
"""Where the words of a key begin."""
_FORMATS = ("png", "tif", "pnm", "npy")

EPILOG = """\b
Examples
  What does this blur do?
    conv-cli probe -- convert {in} -blur 0x2 {out}
  Keep its kernel, and do the same without the program:
    conv-cli probe -o kernel.json -- gm convert {in} -sharpen 0x1 {out}
    conv-cli apply photo.jpg -k kernel.json -o sharp.png
  A program with windows: filter the chart by hand, and read the result:
    conv-cli probe --chart chart.png
    conv-cli probe --result filtered.png
"""


@click.command(cls=Command, epilog=EPILOG, context_settings={"allow_interspersed_args": False})
@click.argument("words", nargs=-1, metavar="[--] COMMAND...", type=click.UNPROCESSED)
@click.option("-o", "--output", metavar="FILE", help="Write the kernel as fit does: .json.")
@click.option(
    "--chart", metavar="FILE", help="Write the chart, for a program with windows, and end."
)
@click.option(
    "--result", metavar="FILE", help="Read what became of that chart, in place of COMMAND."
)
@click.option(
    "--format",
    "file_format",
    type=Choice(_FORMATS),
    default="png",
    show_default=True,
    help="Of charts and results.",
)
@click.option(
    "--depth", type=Choice(["8", "16"]), default="8", show_default=True, help="Bits of the charts."
)
@click.option(
    "--timeout",
    type=NumberType(above=0, example="60"),
    default=60.0,
    metavar="S",
    help="Seconds that a run may take; then all that it started is ended.  [default: 60]",
)
@click.option("--keep", metavar="DIR", help="Keep charts and results in this folder.")
@click.option(
    "--report", metavar="FILE.html", help="Write one page: charts, results, the kernel in colours."
)
@force_option
@as_json_option
@quiet_option
def probe(
    words: tuple[str, ...],
    output: str | None,
    chart: str | None,
    result: str | None,
    file_format: str,
    depth: str,
    timeout: float,
    keep: str | None,
    report: str | None,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Find out what a program does to pictures.

    Charts are drawn, COMMAND is run on them, and what comes back is read: a kernel with its border
    and rounding, or what the program is instead. {in} and {out} in COMMAND stand for files. It is
    run without a shell, in a folder of its own.

    Exits with 3 if the program is not linear, with 1 if it fails.
    """
    _check(words, output, chart, result, report)
    bits = int(depth)
    if chart is not None:
        return _write_chart(chart, bits, force)
    for file in filter(None, (output, report)):
        from conv_cli.io.files import check_target

        check_target(file, force=force, inputs=[result] if result else [])
    boundary.require_stdout(as_json or not quiet)
    try:
        found = (
            _of_result(result, bits, output)
            if result is not None
            else _of_command(words, file_format, timeout, keep, bits, output)
        )
    except (ProgramError, ImageError) as error:
        if as_json:
            name = result if result is not None else words[0]
            click.echo(json.dumps({"image": name, "error": str(error)}))
        raise
    if output is not None:
        _write_kernel(found, output, force)
    if report is not None:
        _write_report(found, shlex.join(words or (str(result),)), bits, report, force)
    _print(found, words or (str(result),), as_json, quiet)
    return boundary.DONE if found.linear == "yes" else boundary.NOTHING


def _check(
    words: tuple[str, ...],
    output: str | None,
    chart: str | None,
    result: str | None,
    report: str | None,
) -> None:
    """Raise for a command that cannot be run, and for options that contradict each other."""
    given = [name for name, value in (("--chart", chart), ("--result", result)) if value]
    if len(given) + bool(words) > 1:
        what = [*given, *(["COMMAND"] if words else [])]
        raise click.UsageError(f"{' and '.join(what)} do not go together; give one of them")
    if not given and not words:
        raise click.UsageError("no COMMAND; give one, as -- convert {in} -blur 0x2 {out}")
    if words:
        missing = [part for part in ("{in}", "{out}") if not any(part in word for word in words)]
        if missing:
            raise click.UsageError(
                f"COMMAND has no {' and no '.join(missing)}; write that where the names of its "
                "files go, as -- convert {in} -blur 0x2 {out}"
            )
    for name, file, ending in (("output", output, ".json"), ("report", report, ".html")):
        if file is not None and Path(file).suffix.lower() != ending:
            raise click.BadParameter(
                f"{file!r} does not end in {ending}; name it so", param_hint=f"--{name}"
            )


def _write_chart(path: str, depth: int, force: bool) -> int:
    from conv_cli.images import write_image
    from conv_cli.probing.charts import Charts

    write_image(path, Charts(depth).image("noise"), force=force)
    return boundary.DONE


def _of_result(path: str, depth: int, output: str | None) -> "Probe":
    from conv_cli.images import lossy_codec, read_image
    from conv_cli.probing.probe import probe_result
    from conv_cli.probing.running import Answer

    return probe_result(Answer(read_image(path), lossy_codec(path)), depth=depth, saved=output)


def _of_command(
    words: tuple[str, ...],
    file_format: str,
    timeout: float,
    keep: str | None,
    depth: int,
    output: str | None,
) -> "Probe":
    from conv_cli.probing.probe import probe as probe_program
    from conv_cli.probing.running import Command as Program

    program = Program(words, format=file_format, timeout=timeout, keep=keep)
    return probe_program(program, depth=depth, saved=output)


def _write_kernel(found: "Probe", output: str, force: bool) -> None:
    from conv_cli.io.files import write_bytes

    if found.fit is None:
        boundary.say(f"{output}: not written, as no kernel was found")
        return
    write_bytes(output, f"{json.dumps(found.as_file())}\n".encode(), force=force)


def _write_report(found: "Probe", command: str, depth: int, report: str, force: bool) -> None:
    from conv_cli.io.files import write_bytes
    from conv_cli.probing.charts import Charts
    from conv_cli.report.probe_page import probe_page

    write_bytes(report, probe_page(found, command, Charts(depth)).encode(), force=force)


def _print(found: "Probe", words: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Print a line a key, or one object."""
    from conv_cli.report.probe_text import probe_lines

    if as_json:
        click.echo(json.dumps(found.as_dict()))
    elif not quiet:
        for line in probe_lines(found):
            text = boundary.escaped(line)
            print_lines(*([text] if "conv-cli " in text else hanging(text, _INDENT)))
    if found.linear != "yes":
        boundary.say(f"{words[0]}: not linear: {found.linear}: {found.detail}")
