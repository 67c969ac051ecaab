"""The tests share cores as the command does: threads of the project, none of BLAS."""

import os
import signal
from collections import Counter

for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# What is ignored where this run was started (in the background SIGINT, below nohup SIGHUP) would be so
# in all the processes that are to be ended by it here.
for number, handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)


def pytest_addoption(parser):
    parser.addoption("--all", action="store_true", help="also run what mostly repeats other tests")
    parser.addoption("--rest", action="store_true", help="run what mostly repeats, and no more")


def pytest_collection_modifyitems(config, items):
    """Leave out what takes long and repeats much; `--all` runs everything, `--rest` that alone."""
    if config.getoption("all"):
        return
    cases = Counter()
    chosen, left = [], []
    for item in items:
        share = item.get_closest_marker("one_in")
        of = item.nodeid.split("[")[0]
        repeats = share is not None and cases[of] % share.args[0] != 0
        cases[of] += 1
        (left if repeats or item.get_closest_marker("slow") else chosen).append(item)
    if config.getoption("rest"):
        chosen, left = left, chosen
    items[:] = chosen
    if left:
        config.hook.pytest_deselected(items=left)
