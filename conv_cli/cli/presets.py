"""Bundles of options by one name: what most people want of a kind of filter."""

import shlex
from typing import NamedTuple

import click


class Preset(NamedTuple):
    """A bundle of options of ``apply``.

    name : str
    summary : str. What it makes.
    kernels : tuple of str. As they are typed.
    options : dict. Values by the name of the option, as they are typed; None for a flag.
    """

    name: str
    summary: str
    kernels: tuple[str, ...]
    options: dict[str, str]

    def __str__(self) -> str:
        """Return it as one would type it."""
        words = [word for kernel in self.kernels for word in ("-k", kernel)]
        words += [word for name, value in self.options.items() for word in (f"--{name}", value)]
        return shlex.join(words)


_ALL = (
    Preset(
        "edges",
        "the strength of edges, white on black",
        ("sobel-x", "sobel-y"),
        {"channels": "grey", "combine": "magnitude", "range": "stretch:99.5"},
    ),
    Preset(
        "outline",
        "dark lines on white, as a pencil draws them",
        ("dog:1,1.6,12",),
        {"channels": "grey", "bias": "100%"},
    ),
    Preset("soften", "a gentle blur", ("gaussian:2",), {}),
    Preset("clarity", "more local contrast", ("unsharp:12,0.5",), {}),
    Preset(
        "relief",
        "grey, lit from the top left",
        ("-1 -1 0; -1 0 1; 0 1 1",),
        {"channels": "grey", "range": "shift"},
    ),
)
PRESETS = {preset.name: preset for preset in _ALL}


def use(ctx: click.Context, param: click.Parameter, name: str | None) -> Preset | None:
    """Make a preset's options the defaults of a command; those that are given go before them."""
    if name is None:
        return None
    preset = PRESETS[name]
    ctx.default_map = {"kernels": preset.kernels, **preset.options}
    return preset
