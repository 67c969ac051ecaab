"""JSON: parsed strictly, shown in errors, and null for numbers that it cannot hold."""

import json
import math
from collections import Counter
from typing import Any

from conv_cli.errors import ConvError
from conv_cli.io.text import shown


def parse_json(text: str, advice: str) -> object:
    """Return what a JSON text holds, every number as a float.

    Whole numbers too: one of 5,000 digits is then infinite. NaN and Infinity come through as
    floats, so that whoever asks for finite numbers can say where the fault is.

    Raises ConvError, the reason alone, if it is no JSON, holds a key twice or is nested too
    deeply, which `advice` helps against.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique_keys, parse_int=float)
    except json.JSONDecodeError as error:
        raise ConvError(
            f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise ConvError(f"too deeply nested; {advice}") from None


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    counts = Counter(key for key, _ in pairs)
    if len(counts) < len(pairs):
        twice = json_shown(counts.most_common(1)[0][0])
        raise ConvError(f"the key {twice} is given twice; keep one")
    return dict(pairs)


def json_shown(value: object) -> str:
    """Return a JSON value as errors show it: short, and on one line."""
    match value:
        case list() | tuple():
            return "a list"
        case dict():
            return "an object"
    try:
        return shown(json.dumps(value))
    except TypeError:  # from Python, not from a file
        return shown(repr(value))


def finite_or_none(value: float) -> float | None:
    """Return a number, or None if JSON cannot hold it."""
    return value if math.isfinite(value) else None


def plain(value: Any) -> Any:
    """Return a value of dicts, lists and numbers with None for what is not finite, at any depth."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return finite_or_none(value) if isinstance(value, float) else value
