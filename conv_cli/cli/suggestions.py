"""What a person may have meant by a name that is none."""

import difflib
from collections.abc import Sequence

import click

_COMMANDS = {
    "apply": ("filter", "convolve", "convolution", "correlate", "correlation", "process", "run"),
    "explain": ("pixel", "why", "inspect"),
    "fit": ("learn", "identify", "deconvolve", "estimate"),
    "guide": ("docs", "manual", "man", "tutorial"),
    "kernels": ("kernel", "filters"),
    "kernels compose": ("compose", "combine"),
    "kernels convert": ("convert", "export", "translate"),
    "kernels diff": ("diff", "compare"),
    "kernels list": ("list", "ls"),
    "kernels rotate": ("rotate", "turn"),
    "kernels show": ("show", "display", "view"),
    "net": ("network", "model", "layers", "cnn"),
    "net fit": ("train",),
    "net info": ("info", "summary"),
}
"""Commands by other words for them."""


def meant_commands(name: str, known: Sequence[str], ctx: click.Context) -> str:
    """Return what to do instead of asking for a command that does not exist.

    known : sequence of str. The commands that there are.
    """
    path = ctx.command_path
    see = f"see '{path} --help'"
    word = name.lower()
    by_word = {each: command for command, words in _COMMANDS.items() for each in words}
    if ctx.parent is None and word in by_word:
        return f"did you mean '{path} {by_word[word]}'? Or {see}"
    if near := difflib.get_close_matches(word, known, n=1):
        return f"did you mean '{path} {near[0]}'? Or {see}"
    if ctx.parent is not None:
        return see
    from conv_cli.kernels.catalogue import is_built_in, suggestion

    kernel = name if is_built_in(name) else suggestion(name)
    if kernel:
        return f"did you mean '{path} apply IMAGE -k {kernel} -o OUTPUT'? Or {see}"
    return see
