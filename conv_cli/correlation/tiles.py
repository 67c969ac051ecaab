"""Tiles over threads: who is free takes the next one."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence

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


def for_each(work: Work, tiles: Sequence[Tile], threads: int | None) -> None:
    """Do the work for every tile, on this thread and on others beside it.

    What is raised in any thread ends all of them at their next tile, and is raised here. While a
    thread is in Python the others cannot leave NumPy, and a thread that has to wait sleeps for
    longer than a small tile takes: so the work should be little Python and long calls.
    """
    helpers = min(threads or available_threads(), len(tiles)) - 1
    waiting = iter(tiles)
    failures: list[BaseException] = []

    def drain() -> None:
        # Infinity times the zero of a band, or less itself, is NaN by design and no cause to warn.
        with borrowed() as scratch, np.errstate(all="ignore"):
            for tile in waiting:
                if failures:
                    return
                work(tile, scratch)

    def help_out() -> None:
        try:
            drain()
        except BaseException as error:  # raised again by the thread that waits for this one
            failures.append(error)

    crew = [threading.Thread(target=help_out, daemon=True) for _ in range(helpers)]
    for thread in crew:
        thread.start()
    try:
        drain()
    except BaseException as error:
        failures.insert(0, error)
    for thread in crew:
        thread.join()
    if failures:
        raise failures[0]
