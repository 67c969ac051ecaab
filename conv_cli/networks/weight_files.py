"""Weights from the files of other programs: tensors by name, from safetensors and ONNX files."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from conv_cli.errors import ConvError
from conv_cli.io.files import opened
from conv_cli.io.json import json_shown
from conv_cli.io.safetensors import read_tensor, read_tensors, save_line
from conv_cli.io.text import nearest, shown
from conv_cli.networks.layer import Array
from conv_cli.networks.place import Place

PICKLED = (".pt", ".pth", ".ckpt", ".bin", ".pkl")
"""Endings of files of PyTorch, which run what is in them when they are read."""
_SHAPES = {4: "outputs x channels x rows x columns", 1: "one number an output"}
_LISTED = 6


class Shelf(NamedTuple):
    """The tensors of one file.

    files : tuple of str. That it lies in.
    shapes : mapping of str to tuple of int
    read : callable. From the name of a tensor to its array; raises ConvError, the reason alone.
    """

    files: tuple[str, ...]
    shapes: Mapping[str, tuple[int, ...]]
    read: Callable[[str], Array]


class WeightFiles:
    """Files that a model names, each looked through once.

    folder : Path. Where their names begin.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shelves: dict[str, Shelf] = {}

    @property
    def read(self) -> tuple[str, ...]:
        """The files that were read, as they can be opened from here."""
        return tuple(file for shelf in self._shelves.values() for file in shelf.files)

    def tensor(self, file: object, name: object, place: Place, axes: int) -> Array:
        """Return one tensor of a file. Raises ModelError, with the place, for what is none."""
        if not isinstance(file, str) or not file:
            place.refuse(f'"file" is {json_shown(file)}, expected the name of a file')
        if not isinstance(name, str):
            place.refuse(f"is {json_shown(name)}, expected the name of a tensor in {shown(file)}")
        try:
            return self._read(file, name, axes)
        except ConvError as error:
            place.at(file).refuse(str(error))

    def _read(self, file: str, name: str, axes: int) -> Array:
        shelf = self._shelf(self._folder / file)
        if name not in shelf.shapes:
            raise ConvError(f"has no tensor {json_shown(name)}; {_others(name, shelf, axes)}")
        shape = shelf.shapes[name]
        if len(shape) != axes:
            sides = "x".join(map(str, shape)) or "one number"
            raise ConvError(
                f"tensor {json_shown(name)}: is {sides}, expected {axes} axes: {_SHAPES[axes]}"
            )
        return shelf.read(name)

    def _shelf(self, path: Path) -> Shelf:
        name = os.fspath(path)
        if name not in self._shelves:
            self._shelves[name] = open_shelf(path)
        return self._shelves[name]


def open_shelf(path: Path) -> Shelf:
    """Return the tensors of a file. Raises ConvError, the reason alone, if it cannot be read."""
    ending = path.suffix.lower()
    if ending in PICKLED:
        with opened(path, "model"):  # if there is none, that comes first
            pass
        raise ConvError(
            "a file of PyTorch is a pickle, which runs what is in it, and is not read; "
            f"{save_line(path)}"
        )
    if ending == ".safetensors":
        tensors = read_tensors(path)

        def read(name: str) -> Array:
            return _told(name, lambda: read_tensor(path, tensors[name]))

        shapes = {name: tensor.shape for name, tensor in tensors.items()}
        return Shelf((str(path),), shapes, read)
    if ending == ".onnx":
        from conv_cli.networks.onnx_files import OnnxFile

        file = OnnxFile(path)
        return Shelf(file.files, file.shapes, file.tensor)
    raise ConvError("weights are read from .safetensors and .onnx; convert it")


def _told(name: str, read: Callable[[], Array]) -> Array:
    try:
        return read()
    except ConvError as error:
        raise ConvError(f"tensor {json_shown(name)}: {error}") from None


def _others(name: str, shelf: Shelf, axes: int) -> str:
    """Return which tensors could be meant in place of one that is not there."""
    fitting = [each for each, shape in shelf.shapes.items() if len(shape) == axes]
    near = nearest(name, fitting)
    return f"did you mean {shown(near)}?" if near else listed(fitting, axes)


def listed(names: Iterable[str], axes: int) -> str:
    """Return the first of the names of tensors with so many axes, in words."""
    several = [shown(name) for name in names]
    if not several:
        return f"it has none with {axes} axes"
    more = f" and {len(several) - _LISTED} more" if len(several) > _LISTED else ""
    return f"with {axes} axes it has {', '.join(several[:_LISTED])}{more}"
