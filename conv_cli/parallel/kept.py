"""Values that are made when they are needed, and kept as long as there is room for them."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class _Waited(Generic[Value]):
    """A value that some thread is making."""

    def __init__(self) -> None:
        self.is_there = threading.Event()
        self.value: Value | None = None
        self.size = 0


class Kept(Generic[Key, Value]):
    """The values that were used last, each made once by whichever thread needs it first.

    make : callable. Makes the value of a key; never None.
    size : callable. Tells how many bytes a value takes.
    most : int. Bytes that are kept; the value that was used last is kept in any case.
    """

    def __init__(
        self, make: Callable[[Key], Value], size: Callable[[Value], int], most: int
    ) -> None:
        self._make, self._size, self._most, self._held = make, size, most, 0
        self._kept: OrderedDict[Key, _Waited[Value]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key) -> Value:
        """Return a value; what making it raises comes through in every thread that wants it."""
        with self._lock:
            found = self._kept.get(key)
            mine = found is None
            if found is None:
                found = self._kept[key] = _Waited()
            self._kept.move_to_end(key)
        if not mine:
            found.is_there.wait()
            # Where the other thread has failed this one tries, and fails, itself.
            return self._make(key) if found.value is None else found.value
        try:
            found.value = self._make(key)
            found.size = self._size(found.value)
        finally:
            with self._lock:
                if found.value is None:
                    del self._kept[key]
                else:
                    self._held += found.size
                    self._drop()
            found.is_there.set()
        return found.value

    def _drop(self) -> None:
        """Forget the values that were not used for longest, but none that is being made."""
        while self._held > self._most and len(self._kept) > 1:
            key, oldest = next(iter(self._kept.items()))
            if oldest.value is None:
                return
            self._held -= oldest.size
            del self._kept[key]
