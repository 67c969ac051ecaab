"""Working memory that stays from one piece of work to the next, and from one image to the next."""

import math
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
T = TypeVar("T")
_LARGEST_BLOCK = 32 << 20
"""Blocks larger than this are given back with the last piece."""


class Scratch:
    """Named blocks of memory, each as large as the largest array asked of it; one set a thread.

    Fresh memory for every tile would cost a page fault for every 4 KiB of it.
    """

    def __init__(self) -> None:
        self._blocks: dict[str, npt.NDArray[np.uint8]] = {}
        self._views: dict[Hashable, Any] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Return an array of that shape and dtype, its contents undefined.

        It is valid until the same name is asked for again.
        """
        found = self._views.get((name, shape, dtype))
        if found is None:
            size = math.prod(shape) * dtype.itemsize
            block = self._blocks.get(name)
            if block is None or block.size < size:
                block = self._blocks[name] = np.empty(size, np.uint8)
                self._views = {}
            found = self._views[name, shape, dtype] = block[:size].view(dtype).reshape(shape)
        return found

    def cached(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what ``make`` returned for that key: views of this memory, made once."""
        if key not in self._views:
            made = make()
            self._views[key] = made
        return self._views[key]

    def trim(self) -> None:
        """Give back what is too large to stay, and forget the views of the last image."""
        self._views = {}
        self._blocks = {
            n: block for n, block in self._blocks.items() if block.size <= _LARGEST_BLOCK
        }


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
