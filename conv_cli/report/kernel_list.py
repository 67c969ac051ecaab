"""The list of built-in kernels: for people with a small drawing each, and as objects."""

import textwrap
from collections.abc import Iterator
from typing import Any

from conv_cli.kernels.catalogue import CATALOGUE, built_in
from conv_cli.kernels.family import Family, FamilySet, Parameter
from conv_cli.report.kernel_text import Colours, sketch

_SKETCH = 11
"""Characters that a drawing takes."""
_WIDTH = 80
_LEGEND = (
    "Each drawing is a line through the kernel: → a row, ↓ a column. Blocks rise with the weight, "
    "- = ≡ are weights below zero, · is none. Parameters are given as name:1,2 or name:sigma=1. A "
    "name with members, such as kirsch, stands for all of them."
)


def list_entries() -> Iterator[dict[str, Any]]:
    """Yield one object a built-in: name, summary, size, and its parameters or its members."""
    for entry in CATALOGUE.values():
        yield {"name": entry.name, "summary": entry.summary.rstrip("."), **_details(entry)}


def list_lines(colours: Colours = 0) -> Iterator[str]:
    """Yield the built-ins: a drawing, the name and the summary, the parameters below, a legend."""
    width = max(map(len, CATALOGUE))
    lead = " " * (_SKETCH + 2)
    for name, entry in CATALOGUE.items():
        drawing = sketch(built_in(name)[0].weights, _SKETCH, colours)
        summary = textwrap.wrap(entry.summary.rstrip("."), _WIDTH - len(lead) - width - 2)
        yield f"{drawing}  {name.ljust(width)}  {summary[0]}"
        for line in summary[1:]:
            yield f"{lead}{' ' * width}  {line}"
        if parameters := _parameters(entry):
            yield f"{lead}  {parameters}"
    yield ""
    yield from textwrap.wrap(_LEGEND, _WIDTH)


def _details(entry: Family | FamilySet) -> dict[str, Any]:
    if isinstance(entry, FamilySet):
        return {"members": list(entry.members)}
    (kernel,) = built_in(entry.name)
    parameters = [
        {
            "name": parameter.name,
            "default": parameter.default,
            "meaning": parameter.meaning,
            "expected": parameter.expected,
        }
        for parameter in entry.parameters
    ]
    return {"size": list(kernel.shape), "parameters": parameters}


def _parameters(entry: Family | FamilySet) -> str:
    """Return the parameters with their defaults as they may be typed, or the members of a set."""
    if isinstance(entry, FamilySet):
        endings = [member.removeprefix(f"{entry.name}-") for member in entry.members]
        return f"{len(endings)} members: -{' -'.join(endings)}"
    parts = ",".join(map(_with_default, entry.parameters))
    return f":{parts}" if parts else ""


def _with_default(parameter: Parameter) -> str:
    match parameter.default:
        case None:
            return parameter.name
        case (rows, columns):
            return f"{parameter.name}={rows}x{columns}"
        case number:
            return f"{parameter.name}={number:g}"
