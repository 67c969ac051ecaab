"""The tiles of a problem, and their way over the threads."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from conv_cli.correlation.problem import Pair, Problem, Region, Tile
from conv_cli.correlation.scratch import Scratch, borrowed
from conv_cli.parallel.threads import share


def cut(problem: Problem, shape: Pair) -> list[Tile]:
    """Return the tiles of a shape that make a problem's output, row by row."""
    rows, columns = (list(_spans(n, step)) for n, step in zip(problem.output, shape, strict=True))
    return [Tile.of(Region(r, c), problem) for r in rows for c in columns]


def _spans(size: int, step: int) -> Iterator[Pair]:
    for start in range(0, size, step):
        yield start, min(start + step, size)


def for_each(
    work: Callable[[Tile, Scratch], None], tiles: Sequence[Tile], threads: int | None
) -> None:
    """Do the work for every tile, on several threads.

    While a thread is in Python the others cannot leave NumPy, and a thread that has to wait sleeps
    for longer than a small tile takes: so the work should be little Python and long calls.
    """

    def worker(waiting: Iterator[Tile]) -> None:
        # Infinity times the zero of a band, or less itself, is NaN by design and no cause to warn.
        with borrowed() as scratch, np.errstate(all="ignore"):
            for tile in waiting:
                work(tile, scratch)

    share(worker, tiles, threads)
