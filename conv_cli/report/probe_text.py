"""What a person reads of a probe: one line a key."""

from typing import Any

import numpy as np

from conv_cli.probing.probe import Probe
from conv_cli.report.kernel_text import kernel_lines

_NAME = 10
_WIDTH = 67
_ROWS = 9
_LONG = 240
"""Characters of a command above which its kernel is better kept in a file."""


def probe_lines(found: Probe) -> list[str]:
    """Return the lines of a summary, of what is known."""
    rows = probe_rows(found)
    if found.fit is not None:
        rows[2:2] = _kernel_lines(found)
    return [f"{name:<{_NAME}}  {text}".rstrip() for name, text in rows]


def probe_rows(found: Probe) -> list[tuple[str, str]]:
    """Return keys and their values in words, of what is known; the weights aside."""
    known = found.as_dict()
    rows: list[tuple[str, str]] = [("linear", found.linear), ("detail", found.detail)]
    rows += _place_rows(found, known)
    for name in ("channels", "border", "rounding", "light", "opacity"):
        rows.append((name, _words(known[name])))
    rows.append(("weighted", _words(found.weighted, "colours count by their opacity",
                                    "colours do not count by their opacity")))  # fmt: skip
    rows += [("depth", f"{found.depth} bits"), ("clips", _words(found.clips))]
    if found.apply is not None:
        rows.append(("apply", _command(found.apply.command)))
        rows.append(("", f"differs by {found.apply.largest:.4g} at most, by "
                         f"{found.apply.mean:.3g} on the mean, in levels"))  # fmt: skip
    rows.append(("runs", f"{found.runs}"))
    return [(name, text) for name, text in rows if text]


def _words(value: Any, true: str = "yes", false: str = "no") -> str:
    """Return a value in a word; nothing for what is not known."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return true if value else false
    return str(value)


def _command(command: str) -> str:
    if len(command) <= _LONG:
        return command
    return "add -o kernel.json, then: conv-cli apply {in} -k kernel.json -o {out}"


def _kernel_lines(found: Probe) -> list[tuple[str, str]]:
    """Return the lines of a kernel that is drawn."""
    fit, exact = found.fit, found.exact
    assert fit is not None
    if fit.rational is not None:
        lines = kernel_lines(fit.rational.numerators, width=_WIDTH, height=_ROWS)
        if fit.rational.divisor > 1:
            lines[-1] += f"   / {fit.rational.divisor}"
    else:
        lines = kernel_lines(exact.reshape(-1, *fit.size)[0], width=_WIDTH, height=_ROWS)
    several = "" if exact.ndim == 2 else f", the first of {' by '.join(map(str, exact.shape[:-2]))}"
    return [("kernel", lines[0] + several), *(("", line) for line in lines[1:])]


def _place_rows(found: Probe, known: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what is known of a kernel beside its weights."""
    fit = found.fit
    if fit is None:
        return []
    rows = [
        ("size", "x".join(map(str, fit.size))),
        ("origin", f"{fit.origin[0]},{fit.origin[1]}"),
        ("bias", ", ".join(f"{value:.4g}" for value in np.atleast_1d(known["bias"]))),
    ]
    if fit.stride != (1, 1):
        rows.append(("stride", "x".join(map(str, fit.stride))))
    if fit.shift != (0, 0):
        rows.append(("shift", f"{fit.shift[0]},{fit.shift[1]}"))
    rows.append(("match", fit.match or ""))
    return rows
