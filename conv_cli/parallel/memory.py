"""How much memory may still be taken, as far as the system says."""

import os
from pathlib import Path

import numpy as np

try:
    import resource
except ImportError:  # not a Unix
    resource = None  # type: ignore[assignment]

# Of a control group, of version 2 and 1: its limit, what it uses, and its statistics.
_GROUPS = (
    ("/sys/fs/cgroup/memory.max", "memory.current", "memory.stat"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat"),
)


def available_memory(processes: int = 1) -> int | None:
    """Return the bytes that this process may still take, None if nothing is known.

    It shares the machine, and the control group that it may be in, with so many processes of
    its kind; limits on its own address space it has for itself.
    """
    shared = [n // processes for n in (_machine(), _control_group()) if n is not None]
    return min([*shared, *_own_limits()], default=None)


def reuse_freed_memory() -> None:
    """Have memory that is freed stay with this process, for the next image to use.

    The GNU C library gives back blocks larger than the largest that was ever freed; pages that come
    and go with every image cost a tenth of the time of a batch.
    """
    np.empty(24 << 20, np.uint8)  # freed at once, and never touched


def is_limited() -> bool:
    """Tell whether this process has a limit of its own, at which libraries may give up at once."""
    return bool(_own_limits())


def _machine() -> int | None:
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _control_group() -> int | None:
    """What is left of a container's memory; files that are only cached there count as free."""
    for limit, usage, statistics in _GROUPS:
        value = "".join(_lines(limit)).strip()
        if value.isdigit():
            used = int("".join(_lines(Path(limit).with_name(usage))) or 0)
            cached = dict(line.split() for line in _lines(Path(limit).with_name(statistics)))
            return max(0, int(value) - used + int(cached.get("inactive_file", 0)))
    return None


def _own_limits() -> list[int]:
    """What `ulimit -v` leaves."""
    if resource is None:
        return []
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    if most == resource.RLIM_INFINITY:
        return []
    size = "".join(_lines("/proc/self/statm")).split()
    return [max(0, most - int(size[0]) * os.sysconf("SC_PAGE_SIZE"))] if size else [most]


def _lines(path: str | Path) -> list[str]:
    try:
        return Path(path).read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return []
