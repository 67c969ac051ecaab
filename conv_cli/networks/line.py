"""A model in one line: ``"sobel-x sobel-y | square | sum | sqrt"``.

Steps are split by bars and are the layers, in their order. A step is kernels side by side, each as
``load_kernels`` takes it, in brackets or quotes where it holds spaces; a function of every pixel;
``maxpool:2`` or ``avgpool:3,2``, size and stride; or ``sum``, which adds the maps.
"""

import os
import re
from pathlib import Path
from typing import Any

from conv_cli.errors import ModelError
from conv_cli.io.text import nearest, shown
from conv_cli.networks.layer import Layer
from conv_cli.networks.model import as_layer
from conv_cli.networks.model_files import READ_ENDINGS
from conv_cli.networks.place import Place
from conv_cli.networks.pointwise import FUNCTIONS

_POOLINGS = ("maxpool", "avgpool")
_LAYERS = (*FUNCTIONS, "sum", *(f"{kind}:2" for kind in _POOLINGS))
_SLIDING = {"padding": "same", "border": "edge"}
"""Of the kernels: every step of a line keeps the size."""
_TOKEN = re.compile(
    r"""\s*(?: (?P<bar> \|)
        | "(?P<double> [^"]*)" | '(?P<single> [^']*)'
        | (?P<matrix> \[ (?: [^][] | \[[^][]*\] )* \] (?: \s*/\s* [^\s|]+ )? )
        | (?P<word> [^\s|"'\[\]]+ )
    )""",
    re.VERBOSE,
)
_POOL = re.compile(r"(\d+(?:x\d+)?)(?:,(\d+(?:x\d+)?))?")


def is_line(text: str) -> bool:
    """Tell whether a text is a model in one line, and not the name of a file.

    It is a line if it has a bar, or an ending that no model file has; what is there is a file.
    """
    if os.path.exists(text):  # noqa: PTH110  # Path.exists() raises for a name that is too long
        return False
    return "|" in text or Path(text).suffix.lower() not in READ_ENDINGS


def layers_of_line(line: str) -> tuple[Layer, ...]:
    """Return the layers of a model in one line, which takes one channel where it has a ``sum``.

    Raises ModelError: ``LINE: step N: reason``, for what is no step.
    """
    if not line.strip():
        raise ModelError('model: none is named; give a file, or a line such as "sobel-x | abs"')
    name = Place(line)
    layers: list[Layer] = []
    maps = 1
    for number, words in enumerate(_steps(line, name), 1):
        place = name.at(f"step {number}")
        layers.append(_layer(words, maps, place))
        maps = layers[-1].outputs(maps)
    return tuple(layers)


def _steps(line: str, place: Place) -> list[list[str]]:
    """Return the words of each step."""
    steps: list[list[str]] = [[]]
    at, text = 0, line.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            rest = shown(text[at:].lstrip())
            place.at(f"step {len(steps)}").refuse(
                f"a bracket or quote is left open or closed alone at {rest}; write a matrix as "
                "[1 2; 3 4]"
            )
        if found["bar"]:
            steps.append([])
        else:
            steps[-1].append(next(word for word in found.groups() if word is not None))
        at = found.end()
    return steps


def _layer(words: list[str], maps: int, place: Place) -> Layer:
    try:
        return as_layer(_described(words, maps, place), place)
    except ModelError as error:
        near = nearest(words[0].partition(":")[0], _LAYERS) if words else ""
        if len(words) == 1 and near and not _kind(words[0]):
            raise ModelError(f"{error}; or did you mean the layer {near}?") from None
        raise


def _described(words: list[str], maps: int, place: Place) -> dict[str, Any]:
    """Return the layer of a step as a model file holds it, for so many maps of one channel."""
    if not words:
        place.refuse(f"is empty; give kernels, or one of {', '.join(_LAYERS)}")
    kinds = [_kind(word) for word in words]
    if len(words) > 1 and any(kinds):
        word = next(word for word, kind in zip(words, kinds, strict=True) if kind)
        place.refuse(f"{word} is a step of its own; put a | on each side of it")
    match kinds[0]:
        case "":
            return {"conv": {"kernel": words}, **_SLIDING}
        case "sum":
            return {"conv": {"weight": [[[[1]]] * maps]}}
        case kind if kind in _POOLINGS:
            return {kind: _pooling(words[0], place)}
        case kind:
            return {kind: {}}


def _kind(word: str) -> str:
    """Return which layer a word is; "" for a kernel."""
    if word == "sum" or word in FUNCTIONS:
        return word
    name = word.partition(":")[0]
    return name if name in _POOLINGS else ""


def _pooling(word: str, place: Place) -> dict[str, Any]:
    kind, _, numbers = word.partition(":")
    found = _POOL.fullmatch(numbers)
    if found is None:
        place.refuse(f"{shown(word)} is not understood; give size and stride as {kind}:3,2")
    names = zip(("size", "stride"), found.groups(), strict=True)
    return {name: _sides(text) for name, text in names if text}


def _sides(text: str) -> int | list[int]:
    sides = [int(side) for side in text.split("x")]
    return sides if len(sides) > 1 else sides[0]
