"""Working memory that is kept from one tile to the next, and from one image to the next."""

import math
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")
_KEPT_BYTES = 32 << 20
"""Blocks larger than this are given back with the last tile."""


class Scratch:
    """Named blocks of memory, each as large as the largest array asked of it; one set a thread.

    Fresh memory for every tile would cost a page fault for every 4 KiB of it.
    """

    def __init__(self) -> None:
        self._blocks: dict[str, npt.NDArray[np.uint8]] = {}
        self._kept: dict[Hashable, Any] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        """Return an array of that shape and dtype, its contents undefined.

        It is valid until the same name is asked for again.
        """
        found = self._kept.get((name, shape, dtype))
        if found is None:
            size = math.prod(shape) * dtype.itemsize
            block = self._blocks.get(name)
            if block is None or block.size < size:
                block = self._blocks[name] = np.empty(size, np.uint8)
                self._kept = {}
            found = self._kept[name, shape, dtype] = block[:size].view(dtype).reshape(shape)
        return found

    def keep(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what ``make`` returned for that key: views of this memory, made once."""
        if key not in self._kept:
            made = make()
            self._kept[key] = made
        return self._kept[key]

    def trim(self) -> None:
        """Give back what is too large to be kept, and forget the views of the last image."""
        self._kept = {}
        self._blocks = {n: block for n, block in self._blocks.items() if block.size <= _KEPT_BYTES}


_IDLE: list[Scratch] = []


@contextmanager
def borrowed() -> Iterator[Scratch]:
    """Lend a scratch to one thread, an old one if there is one."""
    try:
        scratch = _IDLE.pop()
    except IndexError:
        scratch = Scratch()
    try:
        yield scratch
    finally:
        scratch.trim()
        _IDLE.append(scratch)


def overlapping(
    array: npt.NDArray[Any], shape: tuple[int, ...], strides: tuple[int, ...]
) -> npt.NDArray[Any]:
    """Return a view of an array whose parts overlap, to be read only; strides in bytes."""
    return np.lib.stride_tricks.as_strided(array, shape, strides, writeable=False)
