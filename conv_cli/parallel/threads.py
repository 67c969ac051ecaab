"""Work shared between threads: who is free takes the next piece."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

Piece = TypeVar("Piece")


_limit: int | None = None


def available_threads() -> int:
    """Return how many cores this process may use, within ``limited_threads``."""
    if _limit is not None:
        return _limit
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def limited_threads(count: int | None) -> Iterator[None]:
    """Let this process use so many threads where nothing else is said; None: all cores."""
    global _limit
    before, _limit = _limit, count
    try:
        yield
    finally:
        _limit = before


def share(
    worker: Callable[[Iterator[Piece]], None], pieces: Sequence[Piece], threads: int | None = None
) -> None:
    """Run a worker on this thread and on others beside it, all on the same pieces.

    worker : callable. Is given an iterator, which ends when all pieces are taken, by whomever.
    pieces : sequence. Taken in this order.
    threads : int or None. In all; every core by default, and no more than there are pieces.

    Raises BaseException: what is raised in any thread: the others get no more pieces then.
    """
    helpers = min(threads or available_threads(), len(pieces)) - 1
    rest = _Pieces(pieces)
    tasks, ended = [None] * helpers, SimpleQueue[None]()

    def help_out() -> None:
        if not _popped(tasks):  # all is done by now
            return
        try:
            worker(rest)
        except BaseException as error:  # raised again by the thread that waits for this one
            rest.failures.append(error)
        finally:
            ended.put(None)

    _POOL.submit(help_out, helpers)
    try:
        worker(rest)
    except BaseException as error:
        rest.failures.insert(0, error)
    while _popped(tasks):
        helpers -= 1
    for _ in range(helpers):
        ended.get()
    if rest.failures:
        raise rest.failures[0]


def summed(
    work: Callable[[Piece], Sequence[npt.NDArray[Any]]], pieces: Sequence[Piece]
) -> list[npt.NDArray[Any]]:
    """Return the sums of what the work makes of all pieces, on several threads.

    They are added in the order of the pieces, so that every number of threads gives the same bits.
    """
    totals: list[npt.NDArray[Any]] = []

    def add(parts: Sequence[npt.NDArray[Any]]) -> None:
        if not totals:
            totals.extend(np.array(part) for part in parts)
            return
        for total, part in zip(totals, parts, strict=True):
            total += part

    order = InOrder[Sequence[npt.NDArray[Any]]](add)

    def worker(waiting: Iterator[tuple[int, Piece]]) -> None:
        for number, piece in waiting:
            order.give(number, number + 1, work(piece))

    share(worker, list(enumerate(pieces)))
    return totals


class _Pieces(Generic[Piece]):
    """Pieces for any number of threads, until one of them fails."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._rest = iter(pieces)
        self.failures: list[BaseException] = []

    def __iter__(self) -> Iterator[Piece]:
        return self

    def __next__(self) -> Piece:
        if self.failures:
            raise StopIteration
        return next(self._rest)


def _popped(tasks: list[None]) -> bool:
    """Pop a task, if there is one; lists do that at once for any number of threads."""
    try:
        tasks.pop()
    except IndexError:
        return False
    return True


class InOrder(Generic[Piece]):
    """Pieces that threads finish in any order go on in the order of their places."""

    def __init__(self, deliver: Callable[[Piece], object]) -> None:
        self._deliver = deliver
        self._early: dict[int, tuple[int, Piece]] = {}
        self._next = 0
        self._moved = threading.Condition()

    def give(self, start: int, stop: int, piece: Piece) -> None:
        """Deliver the piece of some places when those before have been, and what waited for it."""
        with self._moved:
            self._early[start] = stop, piece
            while (ready := self._early.pop(self._next, None)) is not None:
                self._next, following = ready
                self._deliver(following)
            self._moved.notify_all()

    def wait(self, most: int, failed: Callable[[], bool]) -> None:
        """Wait while more than so many pieces are early, so that they take little memory.

        Every piece before them must be under way; if one has failed, there is nothing to wait for.
        """
        with self._moved:
            while len(self._early) > most and not failed():
                self._moved.wait(0.05)


class _Pool:
    """Threads that wait for something to help with, as many as were ever needed at once.

    A thread takes 0.3 ms to start, and a small image not much longer to filter.
    """

    def __init__(self) -> None:
        self._tasks: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._size = 0

    def submit(self, task: Callable[[], None], helpers: int) -> None:
        """Have a task run by so many threads beside this one, as soon as they are free.

        Where the system grants no more threads, those that there are must do.
        """
        with suppress(RuntimeError):
            while self._size < helpers:
                threading.Thread(target=self._serve, daemon=True, name="conv-cli").start()
                self._size += 1
        for _ in range(min(helpers, self._size)):
            self._tasks.put(task)

    def _serve(self) -> None:
        while True:
            self._tasks.get()()


_POOL = _Pool()


def _new_pool() -> None:
    """Forget threads that a fork has left behind in the parent."""
    global _POOL
    _POOL = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_pool)
