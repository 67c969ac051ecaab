"""What the figures were measured on."""

import datetime
import os
import platform
from pathlib import Path

import numpy as np


def machine():
    """Return processor, cores, Python, NumPy and today's date, on one line."""
    return (
        f"{_processor()}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}, "
        f"NumPy {np.__version__}, {datetime.date.today()}"
    )


def _processor():
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    found = {key.strip(): value.strip() for key, value in lines.items()}
    name = found.get("model name", platform.machine())
    extra = " with AVX-512" if "avx512f" in found.get("flags", "") else ""
    return f"{name}{extra}"
