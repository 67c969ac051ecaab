"""The list of built-in kernels: for people with a small drawing each, and as objects."""

from collections.abc import Iterator
from typing import Any

from conv_cli.kernels.catalogue import CATALOGUE, built_in
from conv_cli.kernels.family import Family, FamilySet, Parameter
from conv_cli.report.kernel_text import Colours, sketch

_SKETCH = 11
"""Characters that a drawing takes."""


def list_entries() -> Iterator[dict[str, Any]]:
    """Yield one object a built-in: name, summary, size, and its parameters or its members."""
    for entry in CATALOGUE.values():
        yield {"name": entry.name, "summary": entry.summary.rstrip("."), **_details(entry)}


def list_lines(colours: Colours = 0) -> Iterator[str]:
    """Yield one line a built-in: a drawing, the name with its parameters, and the summary."""
    usages = {name: _usage(entry) for name, entry in CATALOGUE.items()}
    width = max(map(len, usages.values()))
    for name, entry in CATALOGUE.items():
        drawing = sketch(built_in(name)[0].weights, _SKETCH, colours)
        yield f"{drawing}  {usages[name].ljust(width)}  {entry.summary.rstrip('.')}"


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


def _usage(entry: Family | FamilySet) -> str:
    """Return the name with its parameters and their defaults, as it may be typed."""
    if isinstance(entry, FamilySet):
        return f"{entry.name} ({len(entry.members)})"
    parts = ",".join(map(_with_default, entry.parameters))
    return f"{entry.name}:{parts}" if parts else entry.name


def _with_default(parameter: Parameter) -> str:
    match parameter.default:
        case None:
            return parameter.name
        case (rows, columns):
            return f"{parameter.name}={rows}x{columns}"
        case number:
            return f"{parameter.name}={number:g}"
