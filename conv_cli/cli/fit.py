"""conv-cli fit: the kernel that lies between two pictures."""

import gc
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import click

from conv_cli.cli import boundary
from conv_cli.cli.command import Command
from conv_cli.cli.kernels import TARGETS
from conv_cli.cli.kinds import Choice, IntRange, NodataType, NumberType, PairType, RegionType
from conv_cli.cli.options import (
    Telling,
    as_json_option,
    force_option,
    frames_option,
    max_pixels_option,
    telling_options,
)
from conv_cli.cli.terminal import hanging, print_lines
from conv_cli.errors import FitError, ImageError
from conv_cli.io.json import plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conv_cli.fitting.codec import Recode
    from conv_cli.fitting.fit import Channels
    from conv_cli.fitting.left_out import Marked
    from conv_cli.fitting.quantised import Coded
    from conv_cli.fitting.result import Fit, Method
    from conv_cli.images import FrameChoice, Image
    from conv_cli.report.fit_script import Script

    Pixels = NDArray[Any]

_INDENT = 13
"""Where the words of a fact begin."""

EPILOG = """\b
Examples
  Which filter is this?
    conv-cli fit before.png after.png
  Keep it, and use it elsewhere:
    conv-cli fit before.png after.png -o kernel.json
    conv-cli apply other.png -k kernel.json -o filtered.png
  A page with pictures, the kernel as a heat map, and curves:
    conv-cli fit before.png after.png --report fit.html
  Watch gradient descent find it:
    conv-cli fit before.png after.png --size 3 --method gd --epochs 20
  One fit over two folders, paired by stem:
    conv-cli fit before/ after/ -o kernel.json
"""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("paths", nargs=-1, required=True, metavar="INPUT TARGET [INPUT TARGET]...")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Write the kernel: .json with all that is known of it, .csv, .txt, .npy or .mat; - for "
    "JSON on stdout.",
)
@click.option(
    "--size",
    type=PairType(1, "auto"),
    default="auto",
    show_default=True,
    help="Of the kernel; auto: the smallest whose error on held-out pixels no larger one improves.",
)
@click.option(
    "--bias/--no-bias", default=True, show_default=True, help="Learn a constant that is added."
)
@click.option(
    "--method",
    type=Choice(["exact", "gd"]),
    default="exact",
    show_default=True,
    help="Least squares, or gradient descent on the squared error.",
)
@click.option(
    "--epochs",
    type=IntRange(1),
    help="Of gradient descent; it ends where the loss is 0.  [default: 100]",
)
@click.option(
    "--lr",
    type=NumberType(above=0, example="0.1"),
    metavar="RATE",
    help="Of gradient descent, times the gradient of the summed squared error, pixels counted in "
    "white.  [default: one that suits the pixels]",
)
@click.option(
    "--seed",
    type=IntRange(0),
    default=0,
    show_default=True,
    help="Of the weights before the first epoch.",
)
@click.option(
    "--channels",
    type=Choice(["shared", "each", "mix"]),
    default="shared",
    show_default=True,
    help="One kernel; one for each channel; or every channel of the target from all of the input.",
)
@click.option(
    "--ridge",
    type=NumberType(at_least=0, example="0.001"),
    default=0.0,
    metavar="L",
    help="Add L times the sum of squared weights to the mean squared error.  [default: 0]",
)
@click.option(
    "--stride",
    type=PairType(1, "auto"),
    default="auto",
    show_default=True,
    help="TARGET is INPUT filtered and sampled at every Nth place; auto: as the sizes say.",
)
@click.option("--linear", is_flag=True, help="Fit in linear light, as apply --linear works.")
@click.option(
    "--tone",
    is_flag=True,
    help="Learn a curve too, before the kernel or after it, whichever explains the pair.",
)
@click.option(
    "--region",
    type=RegionType(),
    metavar="ROW,COL,HxW",
    help="Fit that window of both pictures alone.",
)
@click.option(
    "--mask",
    metavar="FILE",
    help="An image as large as every INPUT: where it is black, pixels are left out, and so are "
    "those of TARGET that a kernel makes of them.",
)
@click.option(
    "--nodata",
    type=NodataType(example="-9999, or nan"),
    metavar="V|nan",
    help="Pixels of that value have none, and are left out in the same way.  [default: what a "
    "GeoTIFF says itself]",
)
@frames_option
@click.option(
    "--script",
    type=Choice(TARGETS),
    metavar="TOOL",
    help="Print the filter as a command or code of that tool too, one of those of kernels convert, "
    "and where it is installed how far its picture is from TARGET; with -q it alone.",
)
@click.option("--predict", metavar="FILE", help="Write what the kernel makes of the first input.")
@click.option(
    "--residual",
    metavar="FILE",
    help="Write the first target less that: grey is 0. Float formats hold it as it is.",
)
@click.option(
    "--report", metavar="FILE.html", help="Write one page: pictures, the kernel in colours, curves."
)
@max_pixels_option
@force_option
@as_json_option
@telling_options
def fit(
    paths: tuple[str, ...],
    output: str | None,
    size: "Literal['auto'] | tuple[int, int]",
    bias: bool,
    method: "Method",
    epochs: int | None,
    lr: float | None,
    seed: int,
    channels: "Channels",
    ridge: float,
    stride: "Literal['auto'] | tuple[int, int]",
    linear: bool,
    tone: bool,
    region: "tuple[int, int, int, int] | None",
    frames: "FrameChoice | None",
    mask: str | None,
    nodata: float | None,
    script: str | None,
    predict: str | None,
    residual: str | None,
    report: str | None,
    max_pixels: int,
    force: bool,
    as_json: bool,
    telling: Telling,
) -> int:
    """Find the kernel and bias that turn INPUT into TARGET, and say how sure they are.

    More pairs: one kernel for all. Two folders: their images are paired by stem.

    Exits with 3 if no linear kernel explains the pair, or if the pictures do not tell.
    """
    from conv_cli.fitting.fit import EPOCHS, fit_kernel

    files = _Files(output, predict, residual, report, force)
    _check(files, method, epochs, lr, channels != "shared" or tone, as_json)
    _check_script(script, output, channels, linear=linear, tone=tone)
    pairs = _pairs(paths, telling.quiet)
    if not pairs:
        return boundary.NOTHING
    names = [name for pair in pairs for name in pair]
    with boundary.inputs_first(names):
        files.check([*names, mask] if mask else names)
    marked = _marked(mask, region, max_pixels) if mask else None
    boundary.require_stdout(output == "-" or not telling.quiet or as_json or script is not None)
    gc.freeze()
    gc.enable()
    try:
        opened = _opened(pairs, frames, region, max_pixels)
        befores, afters = opened.befores, opened.afters
        with _Watched(telling, method, epochs or EPOCHS) as watched:
            found = fit_kernel(
                befores, afters, size,
                bias=bias, method=method, channels=channels, ridge=ridge,
                stride=stride, linear=linear, tone=tone, mask=marked, nodata=nodata,
                epochs=epochs or EPOCHS, lr=lr, seed=seed,
                names=opened.names, recode=opened.recode, coded=opened.coded,
                watch=watched,
            )  # fmt: skip
        written = _scripted(found, script, befores[0], afters[0])
        _write(found, (befores[0], afters[0]), pairs[0], files, telling.quiet)
    except (FitError, ImageError) as error:
        if as_json:
            click.echo(json.dumps({"image": pairs[0][1], "error": str(error)}))
        raise
    _print(found, pairs[0], output, as_json, telling.quiet, len(pairs), written)
    return boundary.DONE if _is_sure(found) else boundary.NOTHING


def _check_script(
    tool: str | None, output: str | None, channels: "Channels", *, linear: bool, tone: bool
) -> None:
    """Raise BadParameter for a tool that cannot do what is fitted."""
    if tool is None:
        return
    code = ("opencv", "scipy", "pytorch")
    reason = ""
    if tool in ("json", "csv", "txt", "npy"):
        reason = f"{tool} is no tool that runs; write the kernel by -o kernel.{tool}"
    elif linear or tone:
        reason = "no tool is told of linear light or a curve; leave that out, or use apply -k"
    elif channels != "shared" and tool not in code:
        reason = f"{tool} takes one kernel for all channels; use {', '.join(code)}"
    elif output == "-":
        reason = "stdout cannot carry both -o - and this; give an output file"
    if reason:
        raise click.BadParameter(reason, param_hint="--script")


def _scripted(found: "Fit", tool: str | None, before: "Image", after: "Image") -> "Script | None":
    """Return what is found for another tool, if it is asked for and anything was found."""
    if tool is None or not found.explains:
        return None
    from conv_cli.report.fit_script import script_of

    return script_of(found, tool, before, after)


def _marked(name: str, region: tuple[int, int, int, int] | None, max_pixels: int) -> "Marked":
    """Return what a mask leaves out, of a region of the pictures if there is one."""
    import numpy as np

    from conv_cli.fitting.left_out import Marked
    from conv_cli.pipeline.weights import read_mask

    mask = read_mask(name, max_pixels)
    pixels = np.asarray(mask.pixels)
    if region is not None:
        row, column, height, width = region
        pixels = pixels[row : row + height, column : column + width]
    return Marked(name, pixels < mask.white / 2)


class _Opened(NamedTuple):
    """Pairs that are read: what errors call them, and what their codecs do to the targets."""

    befores: "Sequence[Image]"
    afters: "Sequence[Image]"
    names: list[str]
    recode: "Recode | None"
    coded: "Sequence[Coded | None] | None"


def _opened(
    pairs: Sequence[tuple[str, str]],
    frames: "FrameChoice | None",
    region: tuple[int, int, int, int] | None,
    max_pixels: int,
) -> _Opened:
    """Read pairs of files, or of the frames that are chosen of each, or a window of all."""
    from conv_cli.fitting.files import coded, framed, opened, recoding

    targets = [after for _, after in pairs]
    recode, codes = recoding(targets), None if region else coded(targets)
    befores: Sequence[Image]
    afters: Sequence[Image]
    if frames is None:
        befores, afters = (
            opened(names, max_pixels=max_pixels) for names in zip(*pairs, strict=True)
        )
    else:
        several = [framed(*pair, frames, max_pixels=max_pixels) for pair in pairs]
        befores, afters = zip(*chain.from_iterable(several), strict=True)
        pairs = [pair for pair, some in zip(pairs, several, strict=True) for _ in some]
        recode = codes = None  # how frames were coded is not known
    if region is not None:
        _require_alike(befores, afters, pairs)
        befores, afters = (
            _cropped(images, named, region)
            for images, named in zip((befores, afters), zip(*pairs, strict=True), strict=True)
        )
    return _Opened(befores, afters, [", ".join(pair) for pair in pairs], recode, codes)


def _require_alike(
    befores: "Sequence[Image]", afters: "Sequence[Image]", pairs: Sequence[tuple[str, str]]
) -> None:
    """Raise FitError unless a window of the input is one of the target too."""
    for (before, after), one, other in zip(pairs, befores, afters, strict=True):
        if one.shape[:2] != other.shape[:2]:
            raise FitError(f"{before}, {after}: --region needs pictures of one size; leave it out")


def _cropped(
    images: "Sequence[Image]", names: Sequence[str], region: tuple[int, int, int, int]
) -> "list[Image]":
    """Return one window of all pictures."""
    cropped = []
    for image, name in zip(images, names, strict=True):
        with boundary.named(name):
            cropped.append(image.window(*region, name="--region"))
    return cropped


class _Files(NamedTuple):
    """What is to be written; ``output`` may be "-" for stdout."""

    output: str | None
    predict: str | None
    residual: str | None
    report: str | None
    force: bool

    def check(self, inputs: Sequence[str]) -> None:
        """Refuse those that cannot be written, before any work is done."""
        from conv_cli.io.files import check_target

        names = (self.output, self.predict, self.residual, self.report)
        outputs = [name for name in names if name is not None and name != "-"]
        for name in outputs:
            if outputs.count(name) > 1:
                raise click.UsageError(
                    f"{name} is named as more than one output; choose other names"
                )
            check_target(name, force=self.force, inputs=inputs)


def _check(
    files: _Files, method: str, epochs: int | None, lr: float | None, several: bool, as_json: bool
) -> None:
    """Raise for options that contradict each other, or that nothing is done with."""
    for name, value in (("lr", lr), ("epochs", epochs)):
        if method == "exact" and value is not None:
            raise click.BadParameter(
                "means nothing without --method gd; add that, or leave it out",
                param_hint=f"--{name}",
            )
    if files.output == "-" and as_json:
        raise click.BadParameter(
            "stdout cannot carry both -o - and this; give an output file", param_hint="--json"
        )
    if files.report and Path(files.report).suffix.lower() not in (".html", ".htm"):
        raise click.BadParameter(
            f"{files.report!r} does not end in .html; name it so", param_hint="--report"
        )
    endings = (".json",) if several else (".json", ".csv", ".txt", ".npy", ".mat")
    if files.output not in (None, "-") and Path(str(files.output)).suffix.lower() not in endings:
        raise click.BadParameter(
            f"{files.output!r} cannot be written; use {', '.join(endings)}", param_hint="--output"
        )


def _is_sure(found: "Fit") -> bool:
    from conv_cli.fitting.verdict import SURE

    return found.verdict in SURE


def _pairs(paths: Sequence[str], quiet: bool) -> list[tuple[str, str]]:
    """Return the pairs of files."""
    folders = [Path(path).is_dir() for path in paths]
    if len(paths) == 2 and all(folders):
        return _matched(paths[0], paths[1], quiet)
    if any(folders):
        path = paths[folders.index(True)]
        raise click.UsageError(f"{path} is a folder; give two folders, or pairs of files")
    if len(paths) % 2:
        raise click.UsageError("names come in pairs; give INPUT TARGET, as often as you like")
    return list(zip(paths[::2], paths[1::2], strict=True))


def _matched(before: str, after: str, quiet: bool) -> list[tuple[str, str]]:
    """Return the images of two folders that have the same stem; the others are named."""
    first, second = (_by_stem(folder) for folder in (before, after))
    alone = [*(first[s] for s in sorted(first.keys() - second)),
             *(second[s] for s in sorted(second.keys() - first))]  # fmt: skip
    pairs = [(first[stem], second[stem]) for stem in sorted(first.keys() & second)]
    if not pairs:
        boundary.say(
            f"Error: {before}: no image has the stem of one in {after}; check the names, and make "
            "maps with apply --name '{stem}{ext}'"
        )
    elif alone and not quiet:
        boundary.say(f"{', '.join(alone)}: left out, nothing has the same stem in the other folder")
    return pairs


def _by_stem(folder: str) -> dict[str, str]:
    from conv_cli.pipeline.jobs import collect_inputs

    stems: dict[str, str] = {}
    for image in collect_inputs(folder, recursive=False, output=None):
        other = stems.setdefault(Path(image.path).stem, image.path)
        if other != image.path:
            raise ImageError(f"{image.path}: has the stem of {other}; move one of them")
    return stems


class _Watched:
    """Tells of each epoch on stderr, and moves a bar where there is a terminal."""

    def __init__(self, telling: Telling, method: str, epochs: int) -> None:
        self._said = not telling.quiet
        self._shown = telling.shows_bar and method == "gd"
        self._bar: Any = click.progressbar(
            length=epochs, label="conv-cli", file=sys.stderr, hidden=not telling.shows_bar
        )

    def __enter__(self) -> "Callable[[int, float, Any], None]":
        if self._shown:
            self._bar.__enter__()
        return self._epoch

    def __exit__(self, *error: Any) -> None:
        if self._shown:
            self._bar.__exit__(*error)

    def _epoch(self, number: int, loss: float, weights: Any) -> None:
        if self._said:
            if self._shown and sys.stderr.isatty():
                click.echo("\r\033[K", nl=False, err=True)
            boundary.say(f"epoch {number}  loss {loss:.6g}")
        if self._shown:
            self._bar.update(1)


def _write(
    found: "Fit", images: "tuple[Image, Image]", pair: tuple[str, str], files: _Files, quiet: bool
) -> None:
    """Write all files that were asked for."""
    from conv_cli.images import write_image
    from conv_cli.io.files import write_bytes
    from conv_cli.report.fit_page import fit_page
    from conv_cli.report.fit_pictures import FitPictures

    if files.output is not None and files.output != "-":
        write_bytes(files.output, _kernel_bytes(found, files.output, quiet), force=files.force)
    if not (files.predict or files.residual or files.report):
        return
    pictures = FitPictures(found, *images)
    if files.predict:
        write_image(files.predict, pictures.predicted, force=files.force)
    if files.residual:
        write_image(files.residual, pictures.residual_for(files.residual), force=files.force)
        if not quiet:
            boundary.say(f"{files.residual}: grey is 0, black and white are {pictures.scale}")
    if files.report:
        page = fit_page(found, *pair, pictures.captioned(*pair), files.output)
        write_bytes(files.report, page.encode(), force=files.force)


def _kernel_bytes(found: "Fit", output: str, quiet: bool) -> bytes:
    """Return the kernel as a file of the format that its name says."""
    from conv_cli.kernels.formats import dump_kernel

    ending = Path(output).suffix.lower()
    if ending == ".json":
        return f"{json.dumps(found.as_file())}\n".encode()
    kernel = found.applicable.centred()
    if ending != ".mat" and kernel.bias:
        if not quiet:
            boundary.say(
                f"{output}: {ending} holds weights alone; add --bias {kernel.bias:.6g} "
                "when it is applied, or write .json"
            )
        kernel = replace(kernel, bias=0.0)
    return dump_kernel(kernel, ending)


def _print(
    found: "Fit",
    pair: tuple[str, str],
    output: str | None,
    as_json: bool,
    quiet: bool,
    pairs: int,
    script: "Script | None",
) -> None:
    """Print the result: data on stdout, and why it is none on stderr."""
    from conv_cli.report.fit_text import fit_lines, next_step

    if output == "-":
        click.echo(json.dumps(found.as_file()))
    elif as_json:
        following = next_step(found, *pair, output) if pairs == 1 else None
        told = {"script": plain(script.as_dict())} if script else {}
        click.echo(json.dumps({**found.as_dict(), "next": following, **told}))
    elif not quiet:
        for line in fit_lines(found, *pair, saved=output):
            text = boundary.escaped(line)
            is_command = "conv-cli " in text
            print_lines(*([text] if is_command else hanging(text, _INDENT)))
        if script:
            print_lines(*hanging(f"  script     {script.words}", _INDENT), "")
    if script and not as_json:
        click.echo(script.text.rstrip("\n"))
    if not _is_sure(found):
        boundary.say(f"{pair[1]}: {found.verdict}: {found.reason}")
