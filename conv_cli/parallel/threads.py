"""Work shared between threads: who is free takes the next piece."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Generic, TypeVar

Piece = TypeVar("Piece")


def available_threads() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share(
    worker: Callable[[Iterator[Piece]], None], pieces: Sequence[Piece], threads: int | None
) -> None:
    """Run a worker on this thread and on others beside it, all on the same pieces.

    Parameters
    ----------
    worker : callable
        Is given an iterator, which ends when all pieces are taken, by whomever.
    pieces : sequence
        Taken in this order.
    threads : int or None
        In all; every core by default, and no more than there are pieces.

    Raises
    ------
    BaseException
        What is raised in any thread: the others get no more pieces then.
    """
    helpers = min(threads or available_threads(), len(pieces)) - 1
    heap = _Heap(pieces)
    invitations = [None] * helpers
    goodbyes: SimpleQueue[None] = SimpleQueue()

    def help_out() -> None:
        if not _taken(invitations):  # all is done by now
            return
        try:
            worker(heap)
        except BaseException as error:  # raised again by the thread that waits for this one
            heap.failures.append(error)
        finally:
            goodbyes.put(None)

    _CREW.call(help_out, helpers)
    try:
        worker(heap)
    except BaseException as error:
        heap.failures.insert(0, error)
    while _taken(invitations):
        helpers -= 1
    for _ in range(helpers):
        goodbyes.get()
    if heap.failures:
        raise heap.failures[0]


class _Heap(Generic[Piece]):
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


def _taken(invitations: list[None]) -> bool:
    """Take an invitation, if there is one."""
    try:
        invitations.pop()
    except IndexError:
        return False
    return True


class _Crew:
    """Threads that wait for something to help with, as many as were ever wanted at once.

    A thread takes 0.3 ms to start, and a small image not much longer to filter.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._size = 0

    def call(self, task: Callable[[], None], helpers: int) -> None:
        """Have a task run by so many threads beside this one, as soon as they are free.

        Where the system grants no more threads, those that there are must do.
        """
        with suppress(RuntimeError):
            while self._size < helpers:
                threading.Thread(target=self._serve, daemon=True, name="conv-cli").start()
                self._size += 1
        for _ in range(min(helpers, self._size)):
            self._calls.put(task)

    def _serve(self) -> None:
        while True:
            self._calls.get()()


_CREW = _Crew()


def _new_crew() -> None:
    """Forget threads that a fork has left behind in the parent."""
    global _CREW
    _CREW = _Crew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_crew)
