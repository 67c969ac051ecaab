"""What shows itself in a notebook; what draws it is loaded when a notebook asks."""

from importlib import import_module
from typing import Any


class Shown:
    """A value that notebooks show as a page and as a picture, in place of its name."""

    def _repr_html_(self) -> str:
        return str(_drawing().html_of(self))

    def _repr_png_(self) -> bytes:
        return bytes(_drawing().png_of(self))


def _drawing() -> Any:
    """Return the module that draws: by name, as it knows the values, and they do not know it."""
    return import_module("conv_cli.report.notebook")
