"""Values of a model file, each checked where it is read, so that errors say where it stands."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import numpy as np

from conv_cli.correlation.params import Pair
from conv_cli.errors import ModelError
from conv_cli.io.json import json_shown
from conv_cli.layers import as_pair
from conv_cli.networks.layer import Array

_MAX_SIZE = 1 << 20
"""Of any size, stride, padding or number of channels."""


class Place:
    """Where in a model something stands, for errors to say."""

    def __init__(self, where: str) -> None:
        self.where = where

    def at(self, part: str) -> "Place":
        """Return a place within this one."""
        return Place(f"{self.where}: {part}")

    def refuse(self, reason: str) -> NoReturn:
        """Raise ModelError for what stands here."""
        raise ModelError(f"{self.where}: {reason}")

    def mapping(
        self, value: object, *, required: set[str] | None = None, optional: set[str] | None = None
    ) -> dict[str, Any]:
        """Return an object that has the keys required, and no others than are known."""
        needed, known = required or set(), (required or set()) | (optional or set())
        if not isinstance(value, Mapping):
            self.refuse(f"is {json_shown(value)}, expected an object")
        names = ", ".join(f'"{name}"' for name in sorted(known)) or "no keys"
        for name in value:
            if name not in known:
                self.refuse(f"{json_shown(name)} is not known here; expected {names}")
        for name in sorted(needed - set(value)):
            self.refuse(f'"{name}" is missing')
        return dict(value)

    def number(self, value: object, name: str) -> float:
        """Return a finite number."""
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            self.refuse(f'"{name}" is {json_shown(value)}, expected a number')
        if not math.isfinite(value):
            self.refuse(f'"{name}" is {json_shown(value)}, expected a finite number')
        return float(value)

    def flag(self, value: object, name: str) -> bool:
        """Return true or false."""
        if not isinstance(value, bool):
            self.refuse(f'"{name}" is {json_shown(value)}, expected true or false')
        return value

    def count(self, value: object, name: str) -> int:
        """Return a whole number from 1."""
        number = self.number(value, name)
        if not number.is_integer() or not 1 <= number <= _MAX_SIZE:
            self.refuse(
                f'"{name}" is {json_shown(value)}, expected a whole number from 1 to {_MAX_SIZE}'
            )
        return int(number)

    def pair(self, value: object, name: str) -> Pair:
        """Return (rows, columns), both from 1."""
        return as_pair(self.sizes(value, name, "a whole number from 1, or two"), name, 1)

    def sizes(self, value: object, name: str, expected: str, least: int = 1) -> Any:
        """Return a whole number, or lists of them, as they are nested."""
        if isinstance(value, list | tuple) and value:
            return [self.sizes(each, name, expected, least) for each in value]
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float | np.number)
            or not float(value).is_integer()
            or not least <= value <= _MAX_SIZE
        ):
            self.refuse(f'"{name}" is {json_shown(value)}, expected {expected}')
        return int(value)

    def tensor(self, value: object, name: str, axes: int) -> Array:
        """Return nested lists of finite numbers, or an array of them, with so many axes."""
        if isinstance(value, np.ndarray):
            return self._array(value, name, axes)
        shape: list[int] = []
        inner: Any = value
        while isinstance(inner, list | tuple) and inner and len(shape) < axes:
            shape.append(len(inner))
            inner = inner[0]
        if len(shape) != axes:
            self.refuse(f'"{name}" is nested {len(shape)} deep, expected lists {axes} deep')
        leaves = list(self._leaves(value, name, shape, ()))
        return np.array(leaves, np.float64).reshape(shape)

    def _array(self, array: Array, name: str, axes: int) -> Array:
        if array.dtype.kind not in "uif":
            self.refuse(f'"{name}" holds {array.dtype}, expected real numbers')
        if array.ndim != axes or not array.size:
            shape = "x".join(map(str, array.shape)) or "that of one number"
            self.refuse(f'"{name}" has the shape {shape}, expected {axes} axes, none of them 0')
        if not np.isfinite(array).all():
            self.refuse(f'"{name}" holds numbers that are not finite')
        return array

    def _leaves(
        self, value: Any, name: str, shape: list[int], index: tuple[int, ...]
    ) -> Iterator[float]:
        where = name + "".join(f"[{i}]" for i in index)
        if len(index) == len(shape):
            yield self.number(value, where)
        elif not isinstance(value, list | tuple) or len(value) != shape[len(index)]:
            found = f"{len(value)} long" if isinstance(value, list | tuple) else json_shown(value)
            self.refuse(f'"{where}" is {found}, expected a list of {shape[len(index)]}')
        else:
            for i, part in enumerate(value, 1):
                yield from self._leaves(part, name, shape, (*index, i))
