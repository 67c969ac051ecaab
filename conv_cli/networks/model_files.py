"""Model files: JSON, or .npz for trained weights, read with the place of every error, and written.

ONNX files are read as far as they are chains of layers.

An archive holds the model as JSON text, ``model``, in bytes, and the arrays of each trained layer,
``layer1.weight`` and ``layer1.bias``. Neither ever holds a pickle.
"""

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from conv_cli.errors import ConvError, ModelError
from conv_cli.io.files import read_bounded, write_atomically, write_bytes
from conv_cli.io.json import json_shown, parse_json
from conv_cli.io.npy import parse_npy
from conv_cli.io.text import decode_text
from conv_cli.networks.convolution import Convolution
from conv_cli.networks.layer import Array, Layer
from conv_cli.networks.model import Arrays, Model, as_model
from conv_cli.networks.normalization import Normalization
from conv_cli.networks.weight_files import PICKLED, listed, open_shelf

MAX_BYTES = 512 << 20
"""No model file may be larger, nor unpack to more."""
_MAX_MEMBERS = 10_000
ENDINGS = (".json", ".npz")
"""Of the names of model files that are written."""
_WEIGHTS = (".safetensors", *PICKLED)
"""Of the names of files that hold tensors, and not how they follow each other."""
READ_ENDINGS = (*ENDINGS, ".onnx", *_WEIGHTS)
"""Of the names that are no model in one line."""


def read_model(path: str | os.PathLike[str]) -> Model:
    """Return the model in a file.

    Raises ModelError: ``NAME: PLACE: reason``, if the file cannot be read or is malformed.
    """
    label, file = os.fspath(path), Path(path)
    arrays: Arrays = {}
    ending = file.suffix.lower()
    if ending == ".onnx":
        from conv_cli.networks.onnx_models import read_onnx

        return read_onnx(file, label)
    try:
        if ending in _WEIGHTS:
            raise ConvError(_weights_alone(file))
        contents = read_bounded(file, MAX_BYTES, "model")
        if ending == ".npz":
            arrays = _unpacked(contents)
            if "model" not in arrays:
                raise ConvError("holds no model; save it by conv-cli net fit, or as .json")
            contents = arrays["model"].tobytes()
        elif ending != ".json":
            raise ConvError("no known model format; use .json, .npz or .onnx")
        value = parse_json(decode_text(contents), "give layers in one list")
    except ConvError as error:
        raise ModelError(f"{label}: {error}") from None
    return as_model(value, label, arrays, file.parent)


def _weights_alone(file: Path) -> str:
    """Return why a file of tensors is no model. Raises ConvError if it is not even that."""
    shelf = open_shelf(file)
    found = listed([name for name, shape in shelf.shapes.items() if len(shape) == 4], 4)
    conv = f'{{"conv": {{"file": "{file.name}", "weight": NAME, "bias": NAME}}}}'
    return f"holds weights alone; write a model in .json, of layers such as {conv}; {found}"


def write_model(
    path: str | os.PathLike[str],
    layers: tuple[Layer, ...],
    normalization: Normalization | None,
    *,
    force: bool = False,
) -> None:
    """Write a model, whole or not at all; errors are those of ``Network.save``."""
    ending = Path(path).suffix.lower()
    check_ending(path)
    trained = {
        number: layer
        for number, layer in enumerate(layers, 1)
        if isinstance(layer, Convolution) and layer.source is None
    }
    described = [layer.describe() for layer in layers]
    if ending == ".npz":
        for number, layer in trained.items():
            described[number - 1]["conv"] = layer.untrained()
    model: dict[str, Any] = {} if normalization is None else {"input": normalization.describe()}
    text = json.dumps(model | {"layers": described}).encode()
    arrays: dict[str, Any] = {
        f"layer{number}.{name}": array
        for number, layer in trained.items()
        for name, array in layer.parameters().items()
    }
    if ending == ".json":
        write_bytes(path, text + b"\n", force=force)
    else:
        arrays["model"] = np.frombuffer(text, np.uint8)
        write_atomically(path, lambda stream: np.savez(stream, **arrays), force=force)


def check_ending(path: str | os.PathLike[str]) -> None:
    """Raise ModelError unless a model can be written to a file of this name."""
    if Path(path).suffix.lower() not in ENDINGS:
        raise ModelError(f"{os.fspath(path)}: models are written as .json or .npz; name it so")


def _unpacked(contents: bytes) -> dict[str, Array]:
    """Return the arrays of an archive by name, nothing larger than a model needs."""
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(contents)) as archive:
            members = archive.infolist()
            if len(members) > _MAX_MEMBERS or sum(m.file_size for m in members) > MAX_BYTES:
                raise ConvError("unpacks to more than any model needs")
            return {
                member.filename.removesuffix(".npy"): _member(archive.read(member), member.filename)
                for member in members
            }
    except ConvError:
        raise
    except Exception as error:  # damage, encryption, unknown methods: each unpacker raises its own
        raise ConvError(f"its archive is damaged ({json_shown(str(error))})") from None


def _member(contents: bytes, name: str) -> Array:
    def check(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        if dtype.kind not in "uif" or min(shape, default=1) < 0:
            raise ConvError(f"holds {dtype}, expected real numbers")

    try:
        return parse_npy(contents, check)
    except ConvError as error:
        raise ConvError(f"array {json_shown(name.removesuffix('.npy'))}: {error}") from None
