"""What a person may have meant by a name that is none, or by a word too many."""

import os
import re
import shlex
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from conv_cli.io.text import nearest

if TYPE_CHECKING:
    from conv_cli.kernels.kernel import Kernel

_COMMANDS = {
    "apply": ("filter", "convolve", "convolution", "correlate", "correlation", "process", "run"),
    "explain": ("pixel", "why", "inspect"),
    "fit": ("learn", "identify", "deconvolve", "estimate"),
    "guide": ("docs", "manual", "man", "tutorial"),
    "kernels": ("kernel", "filters"),
    "kernels compose": ("compose", "combine"),
    "kernels convert": ("convert", "export", "translate"),
    "kernels diff": ("diff", "compare"),
    "kernels list": ("list", "ls"),
    "kernels rotate": ("rotate", "turn"),
    "kernels show": ("show", "display", "view"),
    "net": ("network", "model", "layers", "cnn"),
    "net fit": ("train",),
    "net info": ("info", "summary"),
}
"""Commands by other words for them."""


_OPTIONS = {
    "--border": ("--boundary", "--mode", "--pad-mode", "--padding-mode", "--edge"),
    "--channels": ("--gray", "--grey", "--grayscale", "--greyscale", "--luma"),
    "--depth": ("--dtype", "--bits", "--type"),
    "--force": ("--overwrite", "--yes", "--clobber"),
    "--format": ("--ext", "--extension"),
    "--jobs": ("--threads", "--workers", "--processes", "--parallel"),
    "--kernel": ("--filter",),
    "--lr": ("--rate", "--learning-rate"),
    "--normalize": ("--norm",),
    "--output": ("--out", "--outfile", "--dest", "--destination", "--to", "--save"),
    "--quiet": ("--silent",),
}
"""Options by other words for them."""

_OF_KERNELS = {
    "size": "box:3", "ksize": "box:3", "kernel-size": "box:3", "width": "box:3",
    "sigma": "gaussian:2", "blur": "gaussian:2", "radius": "disk:5", "angle": "motion:15,45",
    "amount": "unsharp:2,0.5",
}  # fmt: skip
"""What is no option but a parameter of a kernel, with an example."""

_VALUES = {
    "16": ("uint16", "u16", "16bit", "16-bit"),
    "8": ("uint8", "u8", "byte", "8bit", "8-bit"),
    "abs": ("absolute",),
    "clarity": ("sharpen", "sharp"),
    "clip": ("clamp", "saturate", "limit", "cut"),
    "each": ("rgb", "all", "separate", "colour", "color"),
    "edges": ("edge", "sobel", "canny"),
    "exact": ("lstsq", "least-squares", "ls"),
    "float32": ("32", "float", "single", "f32", "32bit", "32-bit"),
    "float64": ("64", "double", "f64", "64bit", "64-bit"),
    "gd": ("sgd", "gradient", "gradient-descent"),
    "gray": ("luminance", "grayscale", "mono"),
    "imagemagick": ("magick", "im"),
    "magnitude": ("norm", "l2", "length", "hypot", "abs"),
    "max": ("maximum", "largest"),
    "mean": ("average", "avg"),
    "none": ("off", "no", "false"),
    "npy": ("numpy",),
    "outline": ("sketch", "pencil", "contour"),
    "pytorch": ("torch",),
    "relief": ("emboss", "bevel"),
    "shift": ("offset", "128"),
    "signed": ("symmetric", "diverging", "centre", "center"),
    "soften": ("blur", "smooth"),
    "stretch": ("normalize", "normalise", "minmax", "autocontrast", "auto", "rescale", "full"),
    "sum": ("add", "plus", "total", "unit", "yes", "true"),
    "vips": ("libvips",),
    "zero": ("constant", "black"),
}
"""Values of options by other words for them; those that an option takes itself go before."""

_NUMBER = re.compile(r"[+-]?[0-9.][0-9./eE+-]*")


def not_known(value: str, words: Iterable[str]) -> str:
    """Return what is wrong with a value that is none of some words, and which is nearest."""
    known = list(words)
    if near := nearest(value, known, _VALUES):
        others = ", ".join(word for word in known if word != near)
        return f"{value!r} is not known; did you mean {near}? Or use {others}"
    return f"{value!r} is not known; use one of {', '.join(known)}"


def meant_commands(words: Sequence[str], known: Sequence[str], ctx: click.Context) -> str:
    """Return what to do instead of asking for a command that does not exist.

    words : sequence of str. What is asked for, and what follows it.
    known : sequence of str. The commands that there are.
    """
    path = ctx.command_path
    see = f"see '{path} --help'"
    name = words[0]
    if ctx.parent is None:
        by_word = {each: command for command, others in _COMMANDS.items() for each in others}
        if near := by_word.get(name.lower()):
            return f"did you mean '{path} {near}'? Or {see}"
        if _is_image(name):
            return f"write: {path} {_as_apply(words, None)}"
    if near := nearest(name, known):
        return f"did you mean '{path} {near}'? Or {see}"
    if ctx.info_name != "kernels" and ctx.parent is not None:
        return see
    from conv_cli.kernels.catalogue import is_built_in, suggestion

    kernel = name if is_built_in(name) else suggestion(name)
    if kernel and ctx.parent is None:
        return f"write: {path} {_as_apply(words[1:], kernel)}"
    return f"did you mean '{path} show {kernel}'? Or {see}" if kernel else see


def _is_image(name: str) -> bool:
    from conv_cli.pipeline.jobs import is_image_name

    return os.path.exists(name) or is_image_name(name)  # noqa: PTH110  # for names of any length


def _as_apply(words: Sequence[str], kernel: str | None) -> str:
    """Return the apply command of some words: images, maybe options, maybe the output at last."""
    images = list(words) or ["IMAGE"]
    ending: list[str] = []
    if not any(word.startswith(("-o", "--o")) for word in words):
        made = len(images) > 1 and _is_image(images[-1]) and not os.path.lexists(images[-1])
        ending = ["-o", images.pop() if made else "OUTPUT"]
    given = any(word.startswith(("-k", "--k", "-p", "--preset")) for word in words)
    slid = [] if given else ["-k", kernel or "KERNEL"]
    return shlex.join(["apply", *images, *slid, *ending])


def meant_option(name: str, ctx: click.Context) -> str:
    """Return what to do instead of giving an option that a command does not have."""
    see = f"see '{ctx.command_path} --help'"
    word = name.lstrip("-")
    if isinstance(ctx.command, click.Group):
        return f"options follow their command, as {ctx.command_path} COMMAND {name}; {see}"
    kernel = next((p for p in ctx.command.params if p.type.name == "kernel"), None)
    if kernel is not None:
        spelled = "-k " if isinstance(kernel, click.Option) else ""
        if _NUMBER.fullmatch(word):
            return f'a matrix goes in quotes, as {spelled}"1 0 -1"'
        if word in _OF_KERNELS:
            return f"the {word} belongs to the kernel: {spelled}{_OF_KERNELS[word]}"
    known = [spelled for p in ctx.command.params for spelled in (*p.opts, *p.secondary_opts)]
    near = nearest(f"--{word}", [each for each in known if each.startswith("--")], _OPTIONS)
    return f"did you mean {near}? Or {see}" if near else see


def too_many(words: Sequence[str], ctx: click.Context) -> str:
    """Return what is wrong with words that are more than a command takes, and what to do."""
    arguments = [p for p in ctx.command.params if isinstance(p, click.Argument)]
    words = [word.strip() for word in words]
    extra = " ".join(words)
    if arguments:
        takes = " and ".join(f"one {argument.make_metavar(ctx)}" for argument in arguments)
        way = _one_kernel(words, ctx) or f"leave {words[0]} out"
        return f"takes {takes}, and {extra} is more; {way}"
    parent = ctx.parent.command_path if ctx.parent else ""
    if parent.endswith(" kernels"):
        return f"takes no name; did you mean '{parent} show {extra}'?"
    return f"takes no name; leave {extra} out"


def _one_kernel(words: Sequence[str], ctx: click.Context) -> str:
    """Return how to write a kernel whose parts have become words of their own, or ""."""
    *others, _ = (p for p in ctx.command.params if isinstance(p, click.Argument))
    kernel = next((p for p in ctx.command.params if p.type.name == "kernel"), None)
    if kernel is None:
        return ""
    value = ctx.params.get(str(kernel.name)) or ()
    kernels = [each if isinstance(each, list) else [each] for each in value]
    if kernel in others:  # then some words are the other's
        kernels = []
    return _in_one_word(words, kernels, "-k " if isinstance(kernel, click.Option) else "")


def _in_one_word(words: Sequence[str], kernels: "Sequence[list[Kernel]]", spelled: str) -> str:
    """Return how a kernel, or several, are given, if words look like parts of one, else ""."""
    from conv_cli.kernels.catalogue import is_built_in

    names = [each.name for several in kernels for each in several]
    name = names[0] if len(names) == 1 else ""
    if is_built_in(words[0]):
        if not spelled:
            return "give one at a time"
        more = " ".join(f"-k {each}" for each in (name, *words) if is_built_in(each))
        return f"repeat -k for more kernels: {more}"
    if not all(map(_NUMBER.fullmatch, words)):
        return ""
    if is_built_in(name):
        joined = ",".join(words)
        return f"a kernel is one word: {spelled}{name}{',' if ':' in name else ':'}{joined}"
    if _NUMBER.match(name):
        return f'a matrix is one word, in quotes: {spelled}"{" ".join((name, *words))}"'
    return f'a kernel is one word: {spelled}gaussian:2, or a matrix in quotes: {spelled}"-1 0 1"'


def refuse_strays(images: Sequence[str], kernels: "Sequence[list[Kernel]]") -> None:
    """Raise BadParameter for names of images that are parts of a kernel typed in several words."""
    from conv_cli.kernels.catalogue import is_built_in

    strays = [
        name
        for name in images
        if (_NUMBER.fullmatch(name) or is_built_in(name)) and not os.path.lexists(name)
    ]
    if strays and (advice := _in_one_word(strays, kernels, "-k ")):
        raise click.BadParameter(f"no such image; {advice}", param_hint=strays[0])


def row_notes(kernels: "Iterable[list[Kernel]]") -> list[str]:
    """Return what to say of typed matrices of one row that has as many numbers as a square."""
    from conv_cli.io.matrix import is_matrix

    notes = []
    for kernel in (each for several in kernels for each in several):
        rows, columns = kernel.shape
        side = {9: 3, 25: 5, 49: 7, 81: 9}.get(columns)
        typed = is_matrix(kernel.name)
        if rows != 1 or side is None or not (typed or kernel.name.startswith("matrix-1x")):
            continue
        way = "split the rows by semicolons"  # of a long matrix the name is a digest
        if typed:
            numbers, *divisor = kernel.name.partition(" / ")
            words = numbers.split()
            square = "; ".join(" ".join(words[i : i + side]) for i in range(0, columns, side))
            way = f'write "{square}{"".join(divisor)}"'
        notes.append(f"{kernel.name}: is 1x{columns}; for {side}x{side} {way}")
    return notes
