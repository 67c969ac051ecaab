"""Tiles over threads: who is free takes the next one."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue

import numpy as np

from conv_cli.correlation.problem import Pair, Problem, Region, Tile
from conv_cli.correlation.scratch import Scratch, borrowed

Work = Callable[[Tile, Scratch], None]


def available_threads() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cut(problem: Problem, shape: Pair) -> list[Tile]:
    """Return the tiles of a shape that make a problem's output, row by row."""
    rows, columns = (list(_spans(n, step)) for n, step in zip(problem.output, shape, strict=True))
    return [Tile.of(Region(r, c), problem) for r in rows for c in columns]


def _spans(size: int, step: int) -> Iterator[Pair]:
    for start in range(0, size, step):
        yield start, min(start + step, size)


class _Crew:
    """Threads that wait for something to help with, as many as were ever wanted at once.

    A thread takes 0.3 ms to start, and a small image not much longer to filter.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._size = 0

    def call(self, task: Callable[[], None], helpers: int) -> None:
        """Have a task run by so many threads beside this one, as soon as they are free."""
        for _ in range(self._size, helpers):
            threading.Thread(target=self._serve, daemon=True, name="conv-cli tiles").start()
            self._size += 1
        for _ in range(helpers):
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


def for_each(work: Work, tiles: Sequence[Tile], threads: int | None) -> None:
    """Do the work for every tile, on this thread and on others beside it.

    What is raised in any thread ends all of them at their next tile, and is raised here. While a
    thread is in Python the others cannot leave NumPy, and a thread that has to wait sleeps for
    longer than a small tile takes: so the work should be little Python and long calls.
    """
    helpers = min(threads or available_threads(), len(tiles)) - 1
    waiting = iter(tiles)
    failures: list[BaseException] = []
    invitations = [None] * helpers
    goodbyes: SimpleQueue[None] = SimpleQueue()

    def drain() -> None:
        # Infinity times the zero of a band, or less itself, is NaN by design and no cause to warn.
        with borrowed() as scratch, np.errstate(all="ignore"):
            for tile in waiting:
                if failures:
                    return
                work(tile, scratch)

    def help_out() -> None:
        try:
            invitations.pop()
        except IndexError:  # all is done by now
            return
        try:
            drain()
        except BaseException as error:  # raised again by the thread that waits for this one
            failures.append(error)
        finally:
            goodbyes.put(None)

    _CREW.call(help_out, helpers)
    try:
        drain()
    except BaseException as error:
        failures.insert(0, error)
    for _ in range(helpers - _emptied(invitations)):
        goodbyes.get()
    if failures:
        raise failures[0]


def _emptied(invitations: list[None]) -> int:
    """Withdraw the invitations that nobody has taken, and return how many there were."""
    count = 0
    while invitations:
        try:
            invitations.pop()
        except IndexError:
            break
        count += 1
    return count
