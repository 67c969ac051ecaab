"""ImageMagick's geometry: ``WxH+X+Y`` with flags, for sizes and for arguments of its kernels."""

import re
from typing import NamedTuple

from conv_cli.kernels.tools.typed import Typed

_MOST = 1_000_000_000
_FLAGS = frozenset("@<>!%^()")
_NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_SHAPE = re.compile(
    rf"(?P<rho>[-+]?{_NUMBER}(?=[xX,/:]|$))?"
    rf"(?:[xX](?P<sigma>{_NUMBER})?|[,/:](?P<listed>[-+]?{_NUMBER})?)?"
    rf"(?:[,/:]?(?P<xi>(?:(?<=[,/:])|(?=[-+]))[-+]*{_NUMBER}))?"
    rf"(?:[,/:]?(?P<psi>(?:(?<=[,/:])|(?=[-+]))[-+]*{_NUMBER}))?"
)


class Geometry(NamedTuple):
    """Up to four numbers, None where one is not given, and the flags.

    ImageMagick calls them rho, sigma, xi and psi; which is which depends on who asks.
    """

    rho: float | None
    sigma: float | None
    xi: float | None
    psi: float | None
    flags: frozenset[str]


def given(value: float | None, default: float) -> float:
    """Return a number of a geometry, or what stands for it where it is not given."""
    return default if value is None else value


def read_geometry(typed: Typed, expected: str) -> Geometry:
    """Return the geometry that a piece spells; flags and white space may stand anywhere in it.

    Raises
    ------
    KernelError
        If something is left over, with its place and what was `expected`.
    """
    kept = [i for i, c in enumerate(typed.text) if not (c in _FLAGS or c.isspace())]
    text = "".join(typed.text[i] for i in kept)
    match = _SHAPE.match(text)
    assert match is not None  # as all of it is optional
    if match.end() < len(text):
        raise typed.fault(kept[match.end()], expected)
    sigma = match["sigma"] or match["listed"]
    rho, sigma, xi, psi = map(_signed, (match["rho"], sigma, match["xi"], match["psi"]))
    if any(number is not None and abs(number) > _MOST for number in (rho, sigma, xi, psi)):
        raise typed.fault(0, f"numbers up to {_MOST:,}")
    return Geometry(rho, sigma, xi, psi, frozenset(typed.text) & _FLAGS)


def _signed(text: str | None) -> float | None:
    """Return the number of a text that may begin with several signs, each minus turning it."""
    if text is None:
        return None
    digits = text.lstrip("+-")
    return float(digits) * (-1) ** text[: len(text) - len(digits)].count("-")
