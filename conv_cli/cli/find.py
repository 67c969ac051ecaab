"""conv-cli find: where a pattern lies in images."""

import sys
from typing import TYPE_CHECKING, Any

import click

from conv_cli.cli import boundary
from conv_cli.cli.command import Command
from conv_cli.cli.kinds import GreyChoice, IntRange, NumberType, RegionType
from conv_cli.cli.options import (
    BatchOptions,
    Telling,
    batch_options,
    files_from_option,
    recursive_option,
    telling_options,
)
from conv_cli.cli.running import found_inputs, require_images, run_batch
from conv_cli.cli.sheets import SheetFile, sheet_option

if TYPE_CHECKING:
    from conv_cli.pipeline.jobs import Destination
    from conv_cli.pipeline.run import Result

Window = tuple[int, int, int, int]
_SCALES = 0.05, 20.0

EPILOG = """\b
Examples
  Where in a photograph something is:
    conv-cli find face.png crowd.jpg -o found.png
  Something that is a part of another picture:
    conv-cli find photo.jpg other.jpg --crop 120,300,64x64
  In other sizes, or turned:
    conv-cli find face.png crowd.jpg --scale 0.5:2
    conv-cli find face.png crowd.jpg --rotate -20:20
  In a tree of photographs, as many as chance allows one false hit each:
    conv-cli find logo.png photos/ -r --false-alarms 1 --json
"""


class SpanType(click.ParamType):
    """Numbers from one to another, `A:B`, or a single one."""

    name = "span"

    def __init__(self, least: float, most: float) -> None:
        self._least, self._most = least, most

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float]:
        """Return both ends."""
        words = value.split(":")
        try:
            low, high = (float(words[0]), float(words[-1])) if len(words) <= 2 else (1.0, 0.0)
        except ValueError:
            low, high = 1.0, 0.0
        if self._least <= low <= high <= self._most:
            return low, high
        raise click.BadParameter(
            f"{value!r} is not understood; use A:B, from the smaller to the larger, both from "
            f"{self._least:g} to {self._most:g}"
        )


@click.command(cls=Command, epilog=EPILOG)
@click.argument("pattern")
@click.argument("images", nargs=-1, metavar="IMAGES...")
@click.option(
    "--threshold",
    type=NumberType(at_least=-1, at_most=1, example="0.8"),
    default=0.8,
    show_default=True,
    metavar="T",
    help="The least score of a hit.",
)
@click.option(
    "--false-alarms",
    type=NumberType(above=0, example="1"),
    metavar="F",
    help="In place of a threshold: so many false hits an image are to be expected, by the tail of "
    "its own scores.",
)
@click.option(
    "--limit",
    type=IntRange(1),
    default=100,
    show_default=True,
    metavar="N",
    help="Hits an image, best first.",
)
@click.option(
    "--overlap",
    type=NumberType(at_least=0, at_most=1, example="0.3"),
    default=0.3,
    show_default=True,
    metavar="S",
    help="Of hits whose windows share more than that (intersection over union) the best one stays.",
)
@click.option(
    "--scale",
    type=SpanType(*_SCALES),
    default="1",
    show_default=True,
    metavar="A:B",
    help="The pattern in sizes from A to B times its own.",
)
@click.option(
    "--rotate",
    type=SpanType(-360, 360),
    default="0",
    show_default=True,
    metavar="A:B",
    help="The pattern turned by A to B degrees, counter-clockwise.",
)
@click.option(
    "--crop",
    type=RegionType(),
    metavar="ROW,COL,HxW",
    help="The pattern is that window of PATTERN.",
)
@click.option(
    "--mask",
    metavar="FILE",
    help="Weights of the pattern's pixels: white counts, black does not. So does its opacity.",
)
@click.option(
    "--channels",
    type=GreyChoice(["each", "gray"]),
    default="each",
    show_default=True,
    metavar="each|grey",
    help="Compare colours, or grey alone (0.299 R + 0.587 G + 0.114 B).",
)
@click.option(
    "-o",
    "--output",
    metavar="PATH",
    help="The image with its hits framed; a folder for several, - for stdout.",
)
@click.option(
    "--heatmap",
    metavar="PATH",
    help="The scores: .npy as they are, a picture from 0 to 1; a folder for several images.",
)
@sheet_option("Every image with its hits framed, and its scores")
@recursive_option
@files_from_option
@batch_options
@telling_options
def find(
    pattern: str,
    images: tuple[str, ...],
    threshold: float,
    false_alarms: float | None,
    limit: int,
    overlap: float,
    scale: tuple[float, float],
    rotate: tuple[float, float],
    crop: Window | None,
    mask: str | None,
    channels: str,
    output: str | None,
    heatmap: str | None,
    sheet: str | None,
    recursive: bool,
    files_from: str | None,
    batch: BatchOptions,
    telling: Telling,
) -> int:
    """Find where PATTERN, an image, lies in IMAGES.

    Every place is scored by zero-mean normalised cross-correlation, -1 to 1, which takes no notice
    of brightness and contrast. A line a hit, best first: SCORE ROW COL HxW IMAGE. IMAGES are files,
    folders, or - for stdin.
    """
    from conv_cli.pipeline.find_task import FindTask, SearchRule
    from conv_cli.pipeline.jobs import Destination, find_jobs
    from conv_cli.pipeline.pattern_file import read_pattern

    require_images(images, files_from)
    _check(output, heatmap, batch)
    values, weights = read_pattern(
        pattern,
        crop=crop,
        mask=mask,
        gray=channels == "gray",
        max_pixels=batch.max_pixels,
        stdin=boundary.binary(sys.stdin),
    )
    rule = SearchRule(
        values, weights, channels == "gray", threshold, false_alarms, limit, overlap, scale, rotate
    )
    inputs = found_inputs(images, recursive, output or heatmap, files_from)
    if not inputs:
        return boundary.NOTHING
    framed, heat = (
        _destination(path, images, batch, listed=files_from is not None)
        for path in (output, heatmap)
    )
    jobs = find_jobs(inputs, framed, heat)
    given = [to for to in (framed, heat) if to]
    to = given[0] if given else Destination(None, force=batch.force)
    to = to._replace(single=all(each.single for each in given))
    page = SheetFile(sheet, batch, len(inputs), 1) if sheet is not None else None
    if page is not None and page.is_looked_at:
        to = to._replace(look_side=page.look_side)
    told = _Told(batch, telling, output == "-")
    read = [name for name in (pattern, mask) if name is not None]
    task = FindTask(rule, to.look_side)
    code = run_batch(task, to, jobs, images, batch, telling, read=read, tell=told.tell, sheet=page)
    return told.exit_code(code)


def _check(output: str | None, heatmap: str | None, batch: BatchOptions) -> None:
    """Raise for options that contradict each other."""
    if heatmap == "-":
        raise click.BadParameter(
            "goes into a file, not to stdout; name one", param_hint="--heatmap"
        )
    boundary.require_no_terminal(output == "-", batch.force)
    if output == "-" and batch.as_json:
        raise click.BadParameter(
            "stdout cannot carry both the image of -o - and these lines; give an output file",
            param_hint="--json",
        )


def _destination(
    path: str | None, images: tuple[str, ...], batch: BatchOptions, *, listed: bool
) -> "Destination | None":
    from conv_cli.pipeline.jobs import Destination, is_single

    if path is None:
        return None
    return Destination(
        path,
        force=batch.force,
        skip_existing=batch.skip_existing,
        single=not listed and is_single(path, images, 1),
    )


class _Told:
    """Prints what became of images, and counts what the exit code depends on."""

    def __init__(self, batch: BatchOptions, telling: Telling, piped: bool) -> None:
        self._batch, self._telling, self._piped = batch, telling, piped
        self._hits = self._searched = self._misfits = self._others = 0

    def tell(self, result: "Result") -> None:
        """Print the hits of an image, or what is to be said of it."""
        import json

        if result.misfit:
            self._misfits += 1
        else:
            self._others += 1
        if result.error is not None:
            if self._batch.as_json:
                click.echo(json.dumps(result.as_dict()))
            boundary.say(f"Error: {result.error}")
            return
        if result.planned:
            size = "x".join(map(str, result.shape or ()))
            click.echo(boundary.escaped(f"{result.output or result.image}  {size} {result.dtype}"))
        for record in result.records or ():
            self._tell_record(result.image, record)
        for note in () if self._telling.quiet else result.notes:
            boundary.say(f"{result.image}: {note}")

    def _tell_record(self, image: str, record: dict[str, Any]) -> None:
        import json

        self._searched += 1
        if self._batch.as_json:
            click.echo(json.dumps({"image": image, **record}))
        found = "hits" not in record
        self._hits += found
        if found and not self._batch.as_json:
            line = "{score:.4f} {row} {col} {height}x{width} ".format(**record) + image
            if not self._piped:
                click.echo(boundary.escaped(line))
            elif not self._telling.quiet:
                boundary.say(line)
        elif not found and not self._telling.quiet:
            boundary.say(f"{image}: no hit; {_best(record)}")

    def exit_code(self, code: int) -> int:
        """Return the code of the run, unless the pattern is at fault, or nothing was found."""
        if self._misfits and not self._others:
            return boundary.USAGE
        if code == boundary.DONE and self._searched and not self._hits:
            return boundary.NOTHING
        return code


def _best(record: dict[str, Any]) -> str:
    if record["best"] is None:
        return "no window has a score, as all hold NaN"
    return (
        f"the best place, row {record['row']} and column {record['col']}, scores "
        f"{record['best']:.4f}; to take it use a lower --threshold, or more --false-alarms"
    )
