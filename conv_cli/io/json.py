"""Values as JSON can hold them: null for what is infinite or NaN."""

import math
from typing import Any


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
