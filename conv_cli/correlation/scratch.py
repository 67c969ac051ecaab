"""Working memory that a thread keeps from one tile to the next."""

import math
import threading
from typing import Any

import numpy as np
import numpy.typing as npt


class Scratch(threading.local):
    """Named blocks of memory, each as large as the largest array asked of it; one set a thread.

    Fresh memory for every tile would cost a page fault for every 4 KiB of it.
    """

    def __init__(self) -> None:
        self._blocks: dict[str, npt.NDArray[np.uint8]] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return an array of that shape and dtype, its contents undefined.

        It is valid until the same thread asks for the same name again.
        """
        dtype = np.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        block = self._blocks.get(name)
        if block is None or block.size < size:
            block = self._blocks[name] = np.empty(size, np.uint8)
        return block[:size].view(dtype).reshape(shape)
