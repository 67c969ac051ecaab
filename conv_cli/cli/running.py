"""A run over images, told as it goes: data on stdout, words on stderr."""

import gc
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import click

from conv_cli.cli import boundary
from conv_cli.cli.options import BatchOptions, Telling
from conv_cli.cli.progress import Progress
from conv_cli.cli.terminal import print_lines, terminal_colours, terminal_size

if TYPE_CHECKING:
    from conv_cli.cli.sheets import SheetFile
    from conv_cli.images import FrameChoice
    from conv_cli.parallel.cluster import Cluster
    from conv_cli.pipeline.jobs import Destination, Input, Jobs
    from conv_cli.pipeline.run import Report, Result, Run, Task

_LONGEST_COMMAND = 300
_HEIGHT = 24
"""Lines of a picture where there is no terminal."""


def require_images(names: Sequence[str], files_from: str | None) -> None:
    """Raise MissingParameter if nothing names an image."""
    if not names and files_from is None:
        context = click.get_current_context()
        images = next(each for each in context.command.params if each.name == "images")
        raise click.MissingParameter(ctx=context, param=images)


def found_inputs(
    names: Sequence[str], recursive: bool, output: str | None, files_from: str | None = None
) -> "Sequence[Input]":
    """Return the images that names stand for, and name those that stand for none.

    files_from : str, optional. A file of more names, "-" for stdin.
    """
    from conv_cli.pipeline.jobs import ListedInputs, collect_inputs

    found = {name: collect_inputs(name, recursive=recursive, output=output) for name in names}
    inputs = [each for name in names for each in found[name]]
    if nothing := ", ".join(name for name in names if not found[name]):
        lead = "" if inputs else "Error: "
        boundary.say(
            f"{lead}{nothing}: no images found (their names end in .png .jpg .tif .webp …); check "
            "the name, or add --recursive"
        )
    if files_from is None:
        return inputs
    listed = ListedInputs(inputs, _listed(files_from, names))
    if not listed:
        boundary.say(f"Error: {files_from}: names no image; write one name a line")
    return listed


def _listed(name: str, images: Sequence[str]) -> bytes:
    """Return the bytes of a list of names."""
    if name != "-":
        try:
            return Path(name).read_bytes()
        except OSError as error:
            reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
            raise click.BadParameter(
                f"{name}: {reason}; check the path", param_hint="--files-from"
            ) from None
    if "-" in images:
        raise click.BadParameter(
            "stdin cannot be both an image and the list of them; give the list as a file",
            param_hint="--files-from",
        )
    return boundary.binary(sys.stdin).read()


def inputs_with_frames(
    inputs: "Sequence[Input]", choice: "FrameChoice", max_pixels: int
) -> "tuple[list[Input], bytes | None]":
    """Return the images with the frames that are meant, and what stdin has given, if it is one."""
    from conv_cli.images import stream_bytes
    from conv_cli.pipeline.jobs import STDIO, with_frames

    piped = None
    if any(source.path == STDIO for source in inputs):
        piped = stream_bytes(boundary.binary(sys.stdin))
    return list(with_frames(inputs, choice, piped or b"", max_pixels)), piped


def run_batch(
    task: "Task",
    to: "Destination",
    jobs: "Jobs",
    names: Sequence[str],
    batch: BatchOptions,
    telling: Telling,
    *,
    read: Sequence[str] = (),
    explain: bool = False,
    stdin: bytes | None = None,
    advice: Mapping[str, str] = MappingProxyType({}),
    tell: "Callable[[Result], None] | None" = None,
    sheet: "SheetFile | None" = None,
) -> int:
    """Run a task over jobs, print what became of each, and return the exit code.

    names : sequence of str. The images as they were given.
    read : sequence of str. Other files that are read, and are not overwritten.
    stdin : bytes, optional. What it has given, if it has been read.
    advice : mapping. By the name of a kernel, what to do about values that are clipped.
    tell : callable, optional. Prints a result, where maps are not what it is about.
    sheet : SheetFile, optional. Takes the results too, and is written when all are there.
    """
    from conv_cli.pipeline.jobs import STDIO
    from conv_cli.pipeline.run import BROKEN_PIPE, Report, Run

    piped = to.output == STDIO
    unwritten = to.output is None
    printed = unwritten and (sheet is None or to.show or tell is not None)
    boundary.require_stdout(piped or printed or batch.as_json or batch.dry_run)
    report = Report()
    gc.freeze()
    gc.enable()
    several = len(jobs) > 1 or jobs[0].source.path not in names
    if tell is None:
        titled = several or sum(len(job.outputs) for job in jobs) > 1
        tell = partial(
            _print, batch=batch, telling=telling, explain=explain, piped=piped, titled=titled
        )
    if sheet is not None:
        sheet.check(
            [*(source.path for source in jobs.sources), *read],
            [output.path for job in jobs for output in job.outputs if output.path],
        )
        if sheet.failed and unwritten and tell is None:
            return boundary.FAILED
    try:
        with _cluster(batch, jobs, to, read) as cluster:
            run = Run(
                task,
                to,
                threads=batch.jobs,
                max_pixels=batch.max_pixels,
                stdin=boundary.binary(sys.stdin),
                stdout=boundary.binary(sys.stdout),
                read=read,
                piped=stdin,
                cluster=cluster,
            )
            told = partial(_told_twice, tell, sheet)
            _run(run, jobs, batch, telling, report, told, cluster)
        if sheet is not None and sheet.is_wanted:
            sheet.write()
    except boundary.Stopped as stop:
        raise boundary.Stopped(stop.args[0], *_way_to_go_on(piped or unwritten)) from None
    except BrokenPipeError:
        boundary.say(f"Error: stdout: {BROKEN_PIPE}")
        raise
    code = boundary.FAILED if sheet is not None and sheet.failed else report.exit_code
    if telling.quiet:
        return code
    for line in (*_clippings(report, advice), *(sheet.notes if sheet is not None else ())):
        boundary.say(line)
    if batch.dry_run and report.skipped and not (report.done or report.failed):
        boundary.say(f"nothing is to do: {_all(report.skipped)} there already")
    elif several and not batch.dry_run and not (printed and not to.show):
        boundary.say(str(report))
    return code


def _told_twice(
    tell: "Callable[[Result], None]", sheet: "SheetFile | None", result: "Result"
) -> None:
    """Print a result, and lay what is looked at of it on the sheet."""
    tell(result)
    if sheet is not None:
        sheet.add(result)


def _run(
    run: "Run",
    jobs: "Jobs",
    batch: BatchOptions,
    telling: Telling,
    report: "Report",
    tell: "Callable[[Result], None]",
    cluster: "Cluster | None",
) -> None:
    """Do the jobs, or plan them, and tell of each result as it comes."""
    shown = telling.shows_bar and not batch.dry_run
    workers = cluster.workers if cluster else None
    with Progress(len(jobs), shown=shown, workers=workers) as progress:
        advance = progress.advance if shown else None
        with closing(run.plan(jobs) if batch.dry_run else run.results(jobs, advance)) as results:
            for result in results:
                report.add(result)
                progress.count(result.image, result.pixels)
                progress.clear()
                tell(result)


@contextmanager
def _cluster(
    batch: BatchOptions, jobs: "Jobs", to: "Destination", read: Sequence[str]
) -> "Iterator[Cluster | None]":
    """Connect to the cluster that does the work, if one is to; it is looked at before it begins."""
    if batch.cluster is None or batch.dry_run:
        yield None
        return
    from conv_cli.parallel.cluster import LOCAL, connected
    from conv_cli.pipeline.jobs import STDIO

    sources = jobs.sources
    if to.output == STDIO or jobs.reads_stdin:
        raise click.BadParameter(
            "its machines read and write files, not - ; name them", param_hint="--cluster"
        )
    if batch.jobs is not None and batch.cluster != LOCAL:
        raise click.BadParameter(
            "is what the workers of a cluster were started with; leave it out", param_hint="--jobs"
        )
    inputs = [source.path for source in sources if not source.is_typed and source.error is None]
    files = [str(Path(name).absolute()) for name in (*inputs, *read)]
    written = [str(Path(to.output).absolute())] if to.output is not None else []
    with connected(batch.cluster, batch.jobs) as cluster:
        cluster.check([file for file in files if Path(file).is_file()], written)
        yield cluster


def _all(count: int) -> str:
    return "the one result is" if count == 1 else f"all {count:,} results are"


def _way_to_go_on(lost: bool) -> tuple[str, ...]:
    """Return the command that does the rest, if anything of it was kept."""
    if lost:
        return ()
    import shlex

    words = sys.argv[1:] if "--skip-existing" in sys.argv else [*sys.argv[1:], "--skip-existing"]
    command = shlex.join(["conv-cli", *words])
    if len(command) > _LONGEST_COMMAND:
        return ("go on with the same command and --skip-existing",)
    return (f"go on with: {command}",)


def _print(
    result: "Result",
    *,
    batch: BatchOptions,
    telling: Telling,
    explain: bool,
    piped: bool,
    titled: bool,
) -> None:
    label = result.output or f"{result.image}, {result.kernel}"
    if result.frame is not None and (result.joined or result.output is None):
        label = f"{label}, frame {result.frame}"
    if batch.as_json:
        import json

        click.echo(json.dumps(result.as_dict()))
    elif result.planned:
        size = "x".join(map(str, result.shape or ()))
        held = _size_text(result)
        click.echo(boundary.escaped(f"{label}  {size} {result.dtype}  {held}"))
    if result.error is not None:
        boundary.say(f"Error: {result.error}")
        return
    if explain and result.reason:
        line = f"{label}: {result.strategy}: {result.reason}"
        if batch.as_json or piped or result.values is not None:
            boundary.say(line)
        else:
            click.echo(boundary.escaped(line))
    if not batch.as_json:
        _look(result, label, titled)
    if not telling.quiet:
        for note in result.notes:
            boundary.say(f"{result.image}: {note}")


def _size_text(result: "Result") -> str:
    """Return how large a file may become: its pixels, which formats that pack make less of."""
    import math

    import numpy as np

    count = float(math.prod(result.shape or ()) * np.dtype(result.dtype).itemsize)
    units = ["bytes", "kB", "MB", "GB", "TB"]
    while count >= 1000 and len(units) > 1:
        count /= 1000
        units.pop(0)
    return f"up to {count:.3g} {units[0]}"


def _look(result: "Result", label: str, titled: bool) -> None:
    """Print the values of a map that goes to no file, or the picture of one."""
    if result.values is not None:
        from conv_cli.report.matrix_text import matrix_lines

        values = result.values
        if titled:
            print_lines(f"{boundary.escaped(label)}:")
        for number in range(1 if values.ndim == 2 else values.shape[2]):
            plane = values if values.ndim == 2 else values[..., number]
            print_lines(*([""] if number else []), *matrix_lines(plane.tolist()))
    if result.pictures:
        from conv_cli.report.terminal_picture import picture_lines

        columns, rows = terminal_size()
        print_lines(
            boundary.escaped(f"{result.image}, {result.kernel}"),
            *picture_lines(
                result.pictures,
                width=columns, height=rows or _HEIGHT, colours=terminal_colours(),
            ),
        )  # fmt: skip


def _clippings(report: "Report", advice: Mapping[str, str]) -> Iterator[str]:
    """Yield what a person must know of values that had to be limited: a line a kernel."""
    for name, clipping in report.clippings.items():
        share = f"{clipping.worst * 100:.3g} %"
        where = (
            f"{share} of its values clipped in {clipping.output}"
            if clipping.maps == 1
            else f"values clipped in {clipping.maps:,} maps, most in {clipping.output} ({share})"
        )
        low, high = clipping.low, clipping.high
        way = f"; {advice[name]}" if advice.get(name) else ""
        yield f"{name}: {where}, the true range is {low:g} to {high:g}{way}"
