"""The table of all built-ins, and how one is asked for: NAME, or NAME:PARAMETERS."""

from collections.abc import Mapping
from types import MappingProxyType

from conv_cli.errors import KernelError

# Imported for the built-ins that they register.
from conv_cli.io.text import shown
from conv_cli.kernels import (  # noqa: F401
    derivatives,
    detail,
    directional,
    pillow_filters,
    smoothing,
)
from conv_cli.kernels.family import BUILT_INS, Family, FamilySet, Parameter, Value
from conv_cli.kernels.kernel import Kernel

CATALOGUE: Mapping[str, Family | FamilySet] = MappingProxyType(BUILT_INS)
"""Every built-in by its name; each works without parameters."""


def is_built_in(spec: str) -> bool:
    """Return whether the part before any parameters is the name of a built-in, in either case."""
    return _split(spec)[0] in CATALOGUE


def built_in(spec: str) -> list[Kernel]:
    """Return what a built-in's spec stands for: one kernel, or all members of a set.

    Parameters
    ----------
    spec : str
        ``sobel-x``, ``gaussian:2``, ``gaussian:sigma=2,size=13``, ``kirsch``, ``kirsch:n``; case
        and white space do not matter. The name must be one of the catalogue.

    Raises
    ------
    KernelError
        If a parameter is unknown, given twice, too many or outside its range.
    """
    name, arguments = _split(spec)
    entry = CATALOGUE[name]
    if isinstance(entry, FamilySet):
        names = entry.members if arguments is None else (_member(entry, arguments),)
        return [kernel for member in names for kernel in built_in(member)]
    values = {} if arguments is None else _values(entry, arguments)
    return [entry.kernel(values, name if arguments is None else f"{name}:{arguments}")]


def suggestion(spec: str) -> str:
    """Return the built-in whose name is closest to what was typed, or "" if none is close."""
    import difflib

    name = _split(spec)[0][:40]
    return next(iter(difflib.get_close_matches(name, CATALOGUE, n=1)), "")


def _split(spec: str) -> tuple[str, str | None]:
    name, colon, arguments = "".join(spec.split()).lower().partition(":")
    return name, arguments if colon else None


def _member(entry: FamilySet, ending: str) -> str:
    member = f"{entry.name}-{ending}"
    if member not in entry.members:
        raise KernelError(
            f"kernel {entry.name}: it has no member {shown(ending)}; "
            f"it is the set of {', '.join(entry.members)}"
        )
    return member


def _values(entry: Family, arguments: str) -> dict[str, Value]:
    """Return the parameters given as ``2,13`` or ``sigma=2,size=13``, by their names."""
    values: dict[str, Value] = {}
    named = False
    for place, argument in enumerate(arguments.split(",")):
        first, equals, second = argument.partition("=")
        if named and not equals:
            raise KernelError(
                f"kernel {entry.name}: {shown(argument)} has no name but follows a parameter that "
                "has one; name it too"
            )
        named = bool(equals)
        parameter = _named(entry, first) if named else _placed(entry, place)
        if parameter.name in values:
            raise KernelError(f"kernel {entry.name}: {parameter.name} is given twice")
        values[parameter.name] = _read(entry, parameter, second if named else first)
    return values


def _named(entry: Family, name: str) -> Parameter:
    for parameter in entry.parameters:
        if parameter.name == name:
            return parameter
    raise KernelError(f"kernel {entry.name}: no parameter is named {shown(name)}; {_takes(entry)}")


def _placed(entry: Family, place: int) -> Parameter:
    if place >= len(entry.parameters):
        raise KernelError(f"kernel {entry.name}: too many parameters; {_takes(entry)}")
    return entry.parameters[place]


def _takes(entry: Family) -> str:
    names = ", ".join(parameter.name for parameter in entry.parameters)
    return f"it takes {names or 'none'}"


def _read(entry: Family, parameter: Parameter, text: str) -> Value:
    try:
        return parameter.read(text)
    except ValueError:
        raise KernelError(
            f"kernel {entry.name}: {parameter.name} is {shown(text)}, expected {parameter.expected}"
        ) from None
