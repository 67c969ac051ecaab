"""The table of all built-ins, and how one is asked for: NAME, or NAME:PARAMETERS."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from conv_cli.errors import ConvError

# The files of built-ins: importing one registers what is in it.
from conv_cli.io.text import nearest, shown
from conv_cli.kernels import derivatives, detail, matrices, smoothing  # noqa: F401
from conv_cli.kernels.family import BUILT_INS, Family, FamilySet, Value
from conv_cli.kernels.kernel import Kernel, named

CATALOGUE: Mapping[str, Family | FamilySet] = MappingProxyType(BUILT_INS)
"""Every built-in by its name; each works without parameters."""


def is_built_in(spec: str) -> bool:
    """Return whether the part before any parameters is the name of a built-in, in either case."""
    return _split(spec)[0] in CATALOGUE


def built_in(spec: str) -> list[Kernel]:
    """Return what a built-in's spec stands for: one kernel, or all members of a set.

    spec : ``sobel-x``, ``gaussian:2``, ``gaussian:sigma=2,size=13``, ``kirsch``, ``kirsch:n``; case
        and white space do not matter. The name must be one of the catalogue.

    Raises KernelError if a parameter is unknown, given twice, too many or outside its range.
    """
    name, arguments = _split(spec)
    entry = CATALOGUE[name]
    with named(name):
        if isinstance(entry, FamilySet):
            return [kernel for member in _members(entry, arguments) for kernel in built_in(member)]
        values = {} if arguments is None else _values(entry, arguments)
    return [entry.kernel(values, name if arguments is None else f"{name}:{arguments}")]


def parameter_names(name: str) -> tuple[str, ...]:
    """Return what the parameters of a built-in are called; those of a set are its members'."""
    entry = CATALOGUE[name]
    if isinstance(entry, FamilySet):
        return parameter_names(entry.members[0])
    return tuple(each.name for each in entry.parameters)


_WORDS = {
    "box": ("mean", "average", "avg", "boxblur", "box-blur"),
    "disk": ("bokeh", "lens", "lens-blur", "defocus", "circle"),
    "emboss": ("relief", "bevel"),
    "gaussian": ("blur", "soften", "soft", "smooth", "gauss", "gaussianblur", "denoise"),
    "identity": ("none", "nothing", "copy"),
    "laplacian": ("outline", "contour", "laplace", "highpass", "high-pass"),
    "motion": ("motionblur", "motion-blur", "streak"),
    "ricker": ("mexican-hat", "mexicanhat", "marr"),
    "sharpen": ("sharp", "sharpness"),
    "sobel-x": ("edge", "edges", "edge-detect", "edgedetect", "find-edges", "gradient"),
    "unsharp": ("clarity", "usm", "unsharp-mask", "unsharpmask"),
}
"""Built-ins by other words for them, which are no names: who types one is told the name."""


def suggestion(spec: str) -> str:
    """Return the built-in that was meant by other words or a slip, or "" if none is close."""
    return nearest(_split(spec)[0], CATALOGUE, _WORDS)


_NOT_LINEAR = frozenset(
    ("median", "medianblur", "median-blur", "medfilt", "bilateral", "canny", "threshold", "otsu",
     "dilate", "dilation", "erode", "erosion", "open", "opening", "close", "closing", "morphology",
     "min", "minimum", "max", "maximum", "mode", "rank", "percentile", "kuwahara", "nlmeans",
     "non-local-means", "equalize", "equalise", "clahe", "hough")
)  # fmt: skip
"""Filters that other tools have beside kernels."""


def misread(spec: str) -> str:
    """Return why a text that is no built-in cannot stand for one, or "" if nothing tells.

    It may name a filter that has no kernel, several built-ins, or one with its parameters behind a
    space.
    """
    if _split(spec)[0] in _NOT_LINEAR:
        return "is not a linear filter, so no kernel does it; see 'conv-cli kernels list'"
    words = [word for word in re.split(r"[\s,;+&]+", spec.strip()) if word]
    if len(words) < 2 or not is_built_in(words[0]):
        return ""
    if all(map(is_built_in, words)):
        return f"name one kernel for each -k: {' '.join(f'-k {word}' for word in words)}"
    if all(word[0].isdecimal() for word in words[1:]):
        return f"parameters follow a colon; did you mean {words[0]}:{','.join(words[1:])}?"
    return ""


def _split(spec: str) -> tuple[str, str | None]:
    name, colon, arguments = "".join(spec.split()).lower().partition(":")
    return name, arguments if colon else None


def _members(entry: FamilySet, arguments: str | None) -> tuple[str, ...]:
    """Return the specs of a set's members: all, the one named, or all with these parameters."""
    if arguments is None:
        return entry.members
    member = f"{entry.name}-{arguments}"
    if member in entry.members:
        return (member,)
    if parameter_names(entry.name):
        return tuple(f"{each}:{arguments}" for each in entry.members)
    raise ConvError(
        f"it has no member {shown(arguments)}; it is the set of {', '.join(entry.members)}"
    )


def _values(entry: Family, arguments: str) -> dict[str, Value]:
    """Return the parameters given as ``2,13`` or ``sigma=2,size=13``, by their names."""
    by_name = {parameter.name: parameter for parameter in entry.parameters}
    expected = f"it takes {', '.join(by_name) or 'none'}"
    values: dict[str, Value] = {}
    has_name = False
    for place, argument in enumerate(arguments.split(",")):
        name, equals, text = argument.partition("=")
        if has_name and not equals:
            raise ConvError(
                f"{shown(argument)} has no name but follows a parameter that has one; name it too"
            )
        has_name = bool(equals)
        if not has_name:
            if place >= len(by_name):
                raise ConvError(f"too many parameters; {expected}")
            name, text = list(by_name)[place], argument
        if name not in by_name:
            raise ConvError(f"no parameter is named {shown(name)}; {expected}")
        if name in values:
            raise ConvError(f"{name} is given twice")
        try:
            values[name] = by_name[name].read(text)
        except ValueError:
            raise ConvError(f"{name} is {shown(text)}, expected {by_name[name].expected}") from None
    return values
