"""Kernels as JSON: a nested list of rows, or an object with rows, bias and origin."""

import json
from dataclasses import replace
from typing import NoReturn

from conv_cli.errors import KernelError
from conv_cli.io.json import json_shown, parse_json
from conv_cli.kernels.kernel import MAX_WEIGHTS, Kernel, named
from conv_cli.kernels.text import rectangle

# JSON has one comma a weight, and these for whatever else the object may hold.
_SPARE_COMMAS = 100_000
_KEYS = ("kernel", "weights", "bias", "origin", "name")
FIT_KEYS = frozenset(
    {"size", "rmse", "r2", "psnr", "noise_floor", "verdict", "reason", "noise", "condition"}
    | {"stderr", "clipped", "rejected", "border", "rational", "match", "turned_match", "cause"}
    | {"next", "stride", "tone", "linear", "channels", "shift", "pairs", "pixels", "method"}
    | {"losses"}
)
"""What the object that ``fit`` writes says of its kernel, beside what a kernel is."""


def read_json(text: str, label: str) -> Kernel:
    """Return the kernel of a nested list of rows, or of an object that holds one.

    Raises
    ------
    KernelError
        If it is no JSON, a key is there twice, or something is not what it must be.
    """
    if text.count(",") > MAX_WEIGHTS + _SPARE_COMMAS:
        raise KernelError(f"kernel {label}: more than {MAX_WEIGHTS:,} weights")
    with named(label):
        value = parse_json(text, "give a list of rows")
    return _json_kernel(value if isinstance(value, dict) else {"kernel": value}, label)


def _json_kernel(members: dict[str, object], label: str) -> Kernel:
    if unknown := [key for key in members if key not in _KEYS and key not in FIT_KEYS]:
        meant = unknown[0].lower()
        advice = 'it may hold "bias" and "origin" beside its rows under "kernel"'
        advice = f'did you mean "{meant}"?' if meant in _KEYS else advice
        key = json_shown(unknown[0])
        raise KernelError(f"kernel {label}: its key {key} is not known; {advice}")
    present = [key for key in ("kernel", "weights") if key in members]
    if len(present) != 1:
        found = "both" if present else "neither"
        raise KernelError(
            f'kernel {label}: the object has {found} of "kernel" and "weights"; give its '
            "rows under one of them"
        )
    bias = members.get("bias", 0.0)
    if not isinstance(bias, float):
        raise KernelError(f"kernel {label}: its bias is {json_shown(bias)}, expected a number")
    weights = rectangle(_json_rows(members[present[0]], label), label)
    kernel = Kernel(weights, bias=bias, name=label)
    if "origin" in members:
        return replace(kernel, origin=_json_origin(members["origin"], label))
    return kernel


def _json_rows(value: object, label: str) -> list[list[float]]:
    if not isinstance(value, list):
        _refuse_rows(f"it is {json_shown(value)}", label)
    for number, row in enumerate(value, 1):
        if not isinstance(row, list):
            _refuse_rows(f"row {number} is {json_shown(row)}", label)
        for column, weight in enumerate(row, 1):
            if not isinstance(weight, float):
                raise KernelError(
                    f"kernel {label}: row {number}, column {column} is {json_shown(weight)}, "
                    "expected a number"
                )
    return value


def _refuse_rows(what: str, label: str) -> NoReturn:
    raise KernelError(f"kernel {label}: {what}, expected rows of numbers as in [[1, 0], [0, -1]]")


def _json_origin(value: object, label: str) -> tuple[int, int]:
    match value:
        case [float(row), float(column)] if row.is_integer() and column.is_integer():
            return int(row), int(column)
    raise KernelError(
        f"kernel {label}: its origin is {json_shown(value)}, expected [row, column] in whole "
        "numbers from 0"
    )


def write_json(kernel: Kernel) -> str:
    """Return the object that `read_json` makes the same kernel of."""
    members = {
        "kernel": kernel.weights.tolist(),
        "bias": kernel.bias,
        "origin": list(kernel.origin),
    }
    return f"{json.dumps(members)}\n"
