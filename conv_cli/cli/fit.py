"""conv-cli fit: the kernel that lies between two pictures."""

import gc
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from conv_cli.cli import boundary
from conv_cli.cli.options import (
    NumberType,
    PairType,
    as_json_option,
    force_option,
    max_pixels_option,
    progress_option,
    quiet_option,
)
from conv_cli.errors import FitError, ImageError

if TYPE_CHECKING:
    from conv_cli.fitting.result import Fit
    from conv_cli.images import Image

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


@click.command(epilog=EPILOG)
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
    type=click.Choice(["exact", "gd"]),
    default="exact",
    show_default=True,
    help="Least squares, or gradient descent on the squared error.",
)
@click.option("--epochs", type=click.IntRange(1), help="Of gradient descent.  [default: 100]")
@click.option(
    "--lr",
    type=NumberType(),
    metavar="RATE",
    help="Of gradient descent, times the gradient of the summed squared error, pixels counted in "
    "white.  [default: one that suits the pixels]",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Of the weights before the first epoch.",
)
@click.option(
    "--channels",
    type=click.Choice(["shared", "each", "mix"]),
    default="shared",
    show_default=True,
    help="One kernel; one for each channel; or every channel of the target from all of the input.",
)
@click.option(
    "--ridge",
    type=NumberType(),
    default=0.0,
    metavar="L",
    help="Add L times the sum of squared weights to the mean squared error.  [default: 0]",
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
@progress_option
@quiet_option
def fit(**options: Any) -> int:
    """Find the kernel and bias that turn INPUT into TARGET, and say how sure they are.

    More pairs: one kernel for all. Two folders: their images are paired by stem.

    Exits with 3 if no linear kernel explains the pair, or if the pictures do not tell.
    """
    _check(options)
    pairs = _pairs(options["paths"], options)
    if not pairs:
        return boundary.NOTHING
    _check_outputs(options, [name for pair in pairs for name in pair])
    boundary.require_stdout(options["output"] == "-" or not options["quiet"] or options["as_json"])
    gc.freeze()
    gc.enable()
    try:
        found, images = _fitted(pairs, options)
        _write(found, images, pairs[0], options)
    except (FitError, ImageError) as error:
        if options["as_json"]:
            click.echo(json.dumps({"image": pairs[0][1], "error": str(error)}))
        raise
    _print(found, pairs[0], options)
    return boundary.DONE if _is_sure(found) else boundary.NOTHING


def _check(options: dict[str, Any]) -> None:
    """Raise for options that contradict each other, or that nothing is done with."""
    if options["ridge"] < 0:
        raise click.BadParameter("must not be negative", param_hint="--ridge")
    if options["lr"] is not None and options["lr"] <= 0:
        raise click.BadParameter("must be above 0", param_hint="--lr")
    for name in ("lr", "epochs"):
        if options["method"] == "exact" and options[name] is not None:
            raise click.BadParameter("means nothing without --method gd", param_hint=f"--{name}")
    if options["output"] == "-" and options["as_json"]:
        raise click.BadParameter(
            "stdout cannot carry both -o - and this; give an output file", param_hint="--json"
        )
    if options["report"] and Path(options["report"]).suffix.lower() not in (".html", ".htm"):
        raise click.BadParameter(
            f"{options['report']!r} does not end in .html; name it so", param_hint="--report"
        )
    output, several = options["output"], options["channels"] != "shared"
    endings = (".json",) if several else (".json", ".csv", ".txt", ".npy", ".mat")
    if output not in (None, "-") and Path(output).suffix.lower() not in endings:
        raise click.BadParameter(
            f"{output!r} cannot be written; use {', '.join(endings)}", param_hint="--output"
        )


def _is_sure(found: "Fit") -> bool:
    from conv_cli.fitting.verdict import SURE

    return found.verdict in SURE


def _pairs(paths: Sequence[str], options: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the pairs of files."""
    folders = [Path(path).is_dir() for path in paths]
    if len(paths) == 2 and all(folders):
        return _matched(paths[0], paths[1], options)
    if any(folders):
        path = paths[folders.index(True)]
        raise click.UsageError(f"{path} is a folder; give two folders, or pairs of files")
    if len(paths) % 2:
        raise click.UsageError("names come in pairs; give INPUT TARGET, as often as you like")
    return list(zip(paths[::2], paths[1::2], strict=True))


def _matched(before: str, after: str, options: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the images of two folders that have the same stem; the others are named."""
    first, second = (_by_stem(folder) for folder in (before, after))
    alone = [*(first[s] for s in sorted(first.keys() - second)),
             *(second[s] for s in sorted(second.keys() - first))]  # fmt: skip
    if alone and not options["quiet"]:
        boundary.say(f"{', '.join(alone)}: left out, nothing has the same stem in the other folder")
    pairs = [(first[stem], second[stem]) for stem in sorted(first.keys() & second)]
    if not pairs:
        boundary.say(
            f"Error: {before}: no image has the stem of one in {after}; check the names, and make "
            "maps with apply --name '{stem}{ext}'"
        )
    return pairs


def _by_stem(folder: str) -> dict[str, str]:
    from conv_cli.pipeline.jobs import collect_inputs

    stems: dict[str, str] = {}
    for image in collect_inputs(folder, recursive=False, output=None):
        other = stems.setdefault(Path(image.path).stem, image.path)
        if other != image.path:
            raise ImageError(f"{image.path}: has the stem of {other}; move one of them")
    return stems


def _check_outputs(options: dict[str, Any], inputs: Sequence[str]) -> None:
    """Refuse outputs that cannot be written before any work is done."""
    from conv_cli.io.files import check_target, same_file

    names = [options[name] for name in ("output", "predict", "residual", "report")]
    outputs = [name for name in names if name not in (None, "-")]
    for name in outputs:
        if outputs.count(name) > 1:
            raise click.UsageError(f"{name} is named as more than one output; choose other names")
        if any(same_file(name, other) for other in inputs):
            raise ImageError(f"{name}: is an input; choose another output")
        check_target(name, force=options["force"])


def _fitted(
    pairs: Sequence[tuple[str, str]], options: dict[str, Any]
) -> "tuple[Fit, tuple[Image, Image]]":
    """Return the fit, and the first pair of images."""
    from concurrent.futures import ThreadPoolExecutor

    from conv_cli.fitting.fit import EPOCHS, fit_kernel
    from conv_cli.images import lossy_codec, read_image

    def read(name: str) -> "Image":
        return read_image(name, max_pixels=options["max_pixels"])

    with ThreadPoolExecutor() as pool:
        images = list(pool.map(read, [name for pair in pairs for name in pair]))
    befores, afters = images[::2], images[1::2]
    codecs = [lossy_codec(target) for _, target in pairs]
    epochs = options["epochs"] or EPOCHS
    with _Watched(options, epochs) as watched:
        found = fit_kernel(
            befores,
            afters,
            options["size"],
            bias=options["bias"],
            method=options["method"],
            channels=options["channels"],
            ridge=options["ridge"],
            epochs=epochs,
            lr=options["lr"],
            seed=options["seed"],
            names=[f"{before}, {after}" for before, after in pairs],
            recode=_recoding(codecs) if any(codecs) else None,
            watch=watched,
        )
    return found, (befores[0], afters[0])


def _recoding(codecs: Sequence[Any]) -> Callable[[int, Any], Any]:
    def recode(number: int, pixels: Any) -> Any:
        codec = codecs[number]
        return pixels if codec is None else codec(pixels)

    return recode


class _Watched:
    """Tells of each epoch on stderr, and moves a bar where there is a terminal."""

    def __init__(self, options: dict[str, Any], epochs: int) -> None:
        shown = options["progress"]
        if shown is None:
            shown = not options["quiet"] and sys.stderr is not None and sys.stderr.isatty()
        self._said = not options["quiet"]
        self._bar: Any = click.progressbar(
            length=epochs, label="conv-cli", file=sys.stderr, hidden=not shown
        )
        self._shown = bool(shown) and options["method"] == "gd"

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
    found: "Fit", images: "tuple[Image, Image]", pair: tuple[str, str], options: dict[str, Any]
) -> None:
    """Write all files that were asked for."""
    from conv_cli.io.files import write_bytes

    if options["output"] not in (None, "-"):
        write_bytes(options["output"], _kernel_bytes(found, options), force=options["force"])
    if options["predict"] or options["residual"] or options["report"]:
        _write_pictures(found, images, pair, options)


def _kernel_bytes(found: "Fit", options: dict[str, Any]) -> bytes:
    """Return the kernel as a file of the format that its name says."""
    from conv_cli.kernels.formats import dump_kernel

    ending = Path(options["output"]).suffix.lower()
    if ending == ".json":
        return f"{json.dumps(found.as_file())}\n".encode()
    kernel = found.applicable.centred()
    if ending != ".mat" and kernel.bias:
        if not options["quiet"]:
            boundary.say(
                f"{options['output']}: {ending} holds weights alone; add --bias {kernel.bias:.6g} "
                "when it is applied, or write .json"
            )
        kernel = replace(kernel, bias=0.0)
    return dump_kernel(kernel, ending)


def _write_pictures(
    found: "Fit", images: "tuple[Image, Image]", pair: tuple[str, str], options: dict[str, Any]
) -> None:
    from conv_cli.images import write_image
    from conv_cli.report.fit_pictures import FitPictures

    pictures = FitPictures(found, *images)
    if options["predict"]:
        write_image(options["predict"], pictures.predicted, force=options["force"])
    if options["residual"]:
        name = options["residual"]
        write_image(name, pictures.residual_for(name), force=options["force"])
        if not options["quiet"]:
            boundary.say(f"{name}: grey is 0, black and white are {pictures.scale}")
    if options["report"]:
        from conv_cli.io.files import write_bytes
        from conv_cli.report.fit_page import fit_page

        page = fit_page(found, *pair, pictures.captioned(*pair), options["output"])
        write_bytes(options["report"], page.encode(), force=options["force"])


def _print(found: "Fit", pair: tuple[str, str], options: dict[str, Any]) -> None:
    """Print the result: data on stdout, and why it is none on stderr."""
    from conv_cli.report.fit_text import fit_lines

    if options["output"] == "-":
        click.echo(json.dumps(found.as_file()))
    elif options["as_json"]:
        click.echo(json.dumps(found.as_dict()))
    elif not options["quiet"]:
        saved = options["output"]
        for line in fit_lines(found, *pair, saved=saved):
            click.echo(boundary.escaped(line))
    if not _is_sure(found):
        boundary.say(f"{pair[1]}: {found.verdict}: {found.reason}")
