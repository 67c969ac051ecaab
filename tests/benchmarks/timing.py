"""Two ways of doing one thing, timed in turn."""

import statistics
import subprocess
import sys
import time


def in_turn(ours, theirs, turns=9):
    """Return the median seconds of two callables, and the median of the ratios of each turn."""
    ours()
    theirs()
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(turns)]
    return (*(statistics.median(times) for times in zip(*pairs, strict=True)), ratio(pairs))


def ratio(pairs):
    """Return the median of ours by theirs."""
    return statistics.median(ours / theirs for ours, theirs in pairs)


def seconds(work):
    """Return how long a callable takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def command(*arguments, shell=False):
    """Return a callable that runs a command, its output thrown away."""

    def run():
        subprocess.run(
            arguments if not shell else arguments[0], shell=shell, check=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    return run


def peak_megabytes(*arguments):
    """Return what a command takes at the most, in 10⁶ bytes.

    A small process starts it, as Linux counts what the parent held when it was forked.
    """
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, check=True
    )
    return int(done.stdout) * 1024 / 1e6
