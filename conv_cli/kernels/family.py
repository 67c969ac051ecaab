"""What a built-in is: its name, its parameters, what they may be, and how its weights are made."""

import math
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from conv_cli.errors import ConvError
from conv_cli.io.tables import parse_number
from conv_cli.kernels.kernel import MAX_WEIGHTS, Kernel, Size, Weights, named

Value = float | Size | None
Builder = Callable[..., Weights]


class Parameter(NamedTuple):
    """One parameter of a family.

    default : None where the family derives it from the other parameters.
    meaning : what it is, with its unit.
    expected : the allowed range, for errors: "a number above 0".
    read : from the typed text to the value; raises ValueError for what is not `expected`.
    """

    name: str
    default: Value
    meaning: str
    expected: str
    read: Callable[[str], Value]


class Family(NamedTuple):
    """A built-in that is one kernel for every choice of its parameters.

    weights : from one keyword argument per parameter to the weights.
    parameters : in the order in which they may be given without names.
    bias : of the kernel, in units of 8-bit images.
    """

    name: str
    summary: str
    weights: Builder
    parameters: tuple[Parameter, ...] = ()
    bias: float = 0.0

    def kernel(self, values: Mapping[str, Value], name: str) -> Kernel:
        """Return the kernel called `name` for the values given, defaults for the rest.

        Raises KernelError if the values do not go together, or ask for more than 4,194,304 weights.
        """
        defaults = {parameter.name: parameter.default for parameter in self.parameters}
        # What is not finite Kernel refuses.
        with named(self.name), np.errstate(over="ignore"):
            weights = self.weights(**{**defaults, **values})
        return Kernel(weights, bias=self.bias, name=name)


class FamilySet(NamedTuple):
    """A built-in that stands for several others, its members, in a fixed order."""

    name: str
    summary: str
    members: tuple[str, ...]


BUILT_INS: dict[str, Family | FamilySet] = {}


def family(name: str, *parameters: Parameter) -> Callable[[Builder], Builder]:
    """Register the decorated function as the built-in `name`; its docstring opens with the summary.

    The function takes one keyword per parameter. Values that do not go together it refuses by a
    ConvError with the bare reason, which gets the name of the family in front.
    """

    def register(weights: Builder) -> Builder:
        summary = (weights.__doc__ or "").partition("\n")[0]
        BUILT_INS[name] = Family(name, summary, weights, parameters)
        return weights

    return register


def fixed(name: str, summary: str, weights: Weights, bias: float = 0.0) -> None:
    """Register a matrix as the built-in `name`, which takes no parameters."""
    BUILT_INS[name] = Family(name, summary, lambda: weights, bias=bias)


def family_set(name: str, summary: str, endings: tuple[str, ...]) -> None:
    """Register `name` as the set of the built-ins `name-ending`."""
    BUILT_INS[name] = FamilySet(name, summary, tuple(f"{name}-{ending}" for ending in endings))


def number(
    name: str,
    default: float | None,
    meaning: str,
    *,
    above: float = -math.inf,
    at_least: float = -math.inf,
) -> Parameter:
    """Return a parameter that is a finite number, above or not below a limit if one is given."""
    expected = "a number"
    if math.isfinite(above):
        expected = f"a number above {above:g}"
    if math.isfinite(at_least):
        expected = f"a number of at least {at_least:g}"

    def read(text: str) -> float:
        value = parse_number(text)
        if value <= above or value < at_least:
            raise ValueError
        return value

    return Parameter(name, default, meaning, expected, read)


def size(
    name: str, default: Size | None, meaning: str, *, at_least: int = 1, at_most: int = MAX_WEIGHTS
) -> Parameter:
    """Return a parameter that is a kernel's size: N for N×N, or HxW for H rows of W columns."""
    expected = f"N or HxW in whole numbers from {at_least} to {at_most}"

    def read(text: str) -> Size:
        match = re.fullmatch(r"([0-9]{1,9})(?:x([0-9]{1,9}))?", text)
        if match is None:
            raise ValueError
        rows, columns = int(match[1]), int(match[2] or match[1])
        if not (at_least <= min(rows, columns) and max(rows, columns) <= at_most):
            raise ValueError
        return rows, columns

    return Parameter(name, default, meaning, expected, read)


def choice(name: str, default: int, meaning: str, options: tuple[int, ...]) -> Parameter:
    """Return a parameter that is one of a few whole numbers."""
    allowed = {str(option): option for option in options}

    def read(text: str) -> float:
        if text not in allowed:
            raise ValueError
        return allowed[text]

    return Parameter(name, default, meaning, " or ".join(allowed), read)


def limited(rows: int, columns: int) -> Size:
    """Return the size if a kernel may have it: every family asks before it makes an array.

    Raises ConvError, the bare reason, if it has more than 4,194,304 weights.
    """
    if rows * columns > MAX_WEIGHTS:
        raise ConvError(
            f"it would have more than {MAX_WEIGHTS:,} weights; choose smaller parameters"
        )
    return rows, columns


def odd_side(extent: float) -> int:
    """Return the side of the smallest odd kernel with so many pixels on each side of its centre."""
    # Beyond the limit one side is as good as another: it will be refused, and ceil(inf) is none.
    return 2 * math.ceil(min(extent, MAX_WEIGHTS)) + 1


def offsets(count: int) -> Weights:
    """Return the positions of `count` pixels against the middle of them, rising: -1 0 1."""
    return np.arange(count, dtype=np.float64) - (count - 1) / 2


def mesh(rows: int, columns: int) -> tuple[Weights, Weights]:
    """Return x, shape (1, columns), to the right and y, shape (rows, 1), upwards from the centre.

    Upwards, so that angles run counter-clockwise as seen.
    """
    limited(rows, columns)
    return offsets(columns)[np.newaxis, :], -offsets(rows)[:, np.newaxis]


def impulse(rows: int, columns: int) -> Weights:
    """Return zeros with a 1 at the default origin."""
    weights = np.zeros((rows, columns))
    weights[(rows - 1) // 2, (columns - 1) // 2] = 1
    return weights


def direction(angle: float) -> tuple[float, float]:
    """Return (cos, sin) of an angle in degrees, exact for quarter turns."""
    radians = math.radians(math.fmod(angle, 360))
    return round(math.cos(radians), 15), round(math.sin(radians), 15)
