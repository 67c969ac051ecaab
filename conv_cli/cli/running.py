"""A run over images, told as it goes: data on stdout, words on stderr."""

import gc
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import click

from conv_cli.cli import boundary
from conv_cli.cli.options import BatchOptions, Telling
from conv_cli.cli.progress import Progress

if TYPE_CHECKING:
    from conv_cli.pipeline.jobs import Destination, Input, Job
    from conv_cli.pipeline.run import Result, Task


def found_inputs(names: Sequence[str], recursive: bool, output: str) -> "list[Input]":
    """Return the images that names stand for, and name those that stand for none."""
    from conv_cli.pipeline.jobs import collect_inputs

    found = {name: collect_inputs(name, recursive=recursive, output=output) for name in names}
    inputs = [each for name in names for each in found[name]]
    if nothing := ", ".join(name for name in names if not found[name]):
        lead = "" if inputs else "Error: "
        boundary.say(f"{lead}{nothing}: no images found; check the name, or add --recursive")
    return inputs


def run_batch(
    task: "Task",
    to: "Destination",
    jobs: "Sequence[Job]",
    names: Sequence[str],
    batch: BatchOptions,
    telling: Telling,
    *,
    explain: bool = False,
    tell: "Callable[[Result], None] | None" = None,
) -> int:
    """Run a task over jobs, print what became of each, and return the exit code.

    names : sequence of str. The images as they were given.
    tell : callable, optional. Prints a result, where maps are not what it is about.
    """
    from conv_cli.pipeline.jobs import STDIO
    from conv_cli.pipeline.run import Report, Run

    piped = to.output == STDIO
    boundary.require_stdout(piped or batch.as_json or batch.dry_run)
    run = Run(
        task,
        to,
        threads=batch.jobs,
        max_pixels=batch.max_pixels,
        stdin=boundary.binary(sys.stdin),
        stdout=boundary.binary(sys.stdout),
    )
    report = Report()
    shown = telling.shows_bar and not batch.dry_run
    gc.freeze()
    gc.enable()
    with Progress(len(jobs), shown=shown) as progress:
        advance = progress.advance if shown else None
        with closing(run.plan(jobs) if batch.dry_run else run.results(jobs, advance)) as results:
            for result in results:
                report.add(result)
                progress.count(result.image, result.pixels)
                progress.clear()
                if tell is None:
                    _print(result, batch, telling, explain, piped)
                else:
                    tell(result)
    several = len(jobs) > 1 or jobs[0].source.path not in names
    if several and not (telling.quiet or batch.dry_run):
        boundary.say(str(report))
    return report.exit_code


def _print(
    result: "Result", batch: BatchOptions, telling: Telling, explain: bool, piped: bool
) -> None:
    if batch.as_json:
        import json

        click.echo(json.dumps(result.as_dict()))
    elif result.planned:
        size = "x".join(map(str, result.shape or ()))
        click.echo(boundary.escaped(f"{result.output}  {size} {result.dtype}"))
    if result.error is not None:
        boundary.say(f"Error: {result.error}")
        return
    if explain and result.reason:
        line = f"{result.output}: {result.strategy}: {result.reason}"
        if batch.as_json or piped:
            boundary.say(line)
        else:
            click.echo(boundary.escaped(line))
    if not telling.quiet:
        for line in _words(result):
            boundary.say(line)


def _words(result: "Result") -> Iterator[str]:
    """Yield what a person must know of a map that was made, line by line."""
    for note in result.notes:
        yield f"{result.image}: {note}"
    if result.clipped:
        share, low, high = result.clipped, result.min, result.max
        count = round(share * math.prod(result.shape or ()))
        yield (
            f"{result.output}: {count:,} values clipped ({share * 100:.3g} %), the true range is "
            f"{low:g} to {high:g}; to keep them use --range signed, abs, shift or stretch"
        )
