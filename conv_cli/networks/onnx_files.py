"""ONNX files: opened by the ``onnx`` extra, their tensors checked before they are read.

Tensors that lie in a file beside the model are read from its own folder alone, and never by a link
that leads out of it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from conv_cli.errors import ConvError
from conv_cli.io.files import opened, read_bounded
from conv_cli.io.json import json_shown
from conv_cli.io.safetensors import check_numbers, decoded, read_as, size_of
from conv_cli.networks.layer import Array

MAX_BYTES = (2 << 30) - 1
"""No larger file can be an ONNX model: it is one message of Protocol Buffers."""
_DTYPES = {
    "FLOAT": "F32", "DOUBLE": "F64", "FLOAT16": "F16", "BFLOAT16": "BF16",
    "INT8": "I8", "INT16": "I16", "INT32": "I32", "INT64": "I64",
    "UINT8": "U8", "UINT16": "U16", "UINT32": "U32", "UINT64": "U64",
}  # fmt: skip
"""From ONNX's names of numbers to those of safetensors."""
_MISSING = "needs the onnx extra: pip install 'conv-cli[onnx]', in a clone '.[onnx]'"


class OnnxFile:
    """The graph of an ONNX file, and its constant tensors.

    graph : onnx.GraphProto
    shapes : dict of str to tuple of int. Of the constant tensors.
    takers : dict of str to list of onnx.NodeProto. The nodes that take a value, by its name.
    files : tuple of str. That it is made of: itself, and those beside it with tensors.
    computed : set of str. The values that are no constants.

    Raises ConvError, the reason alone, if the file cannot be read, or holds two tensors of a name.
    """

    def __init__(self, file: Path) -> None:
        onnx = _library()
        self._folder = file.parent
        contents = read_bounded(file, MAX_BYTES, "model")
        try:
            self.graph: Any = onnx.load_model_from_string(contents).graph
        except Exception as error:  # of the parser, whatever its kind
            words = json_shown(" ".join(str(error).split()))
            raise ConvError(f"no ONNX model, or damaged ({words}); save it again") from None
        if not all(isinstance(name, str) for name in _names(self.graph)):
            raise ConvError("its names are no text, so it is damaged; save it again")
        if not self.graph.node and not self.graph.initializer:
            raise ConvError("no ONNX model: it has neither nodes nor tensors")
        self._tensors: dict[str, Any] = {}
        for tensor in self.graph.initializer:
            self._add(tensor.name, tensor)
        for node in self.graph.node:
            for attribute in node.attribute if node.op_type == "Constant" else ():
                if attribute.name == "value":
                    self._add(next(iter(node.output), ""), attribute.t)
        self.shapes = {name: tuple(tensor.dims) for name, tensor in self._tensors.items()}
        places = {
            entry.value
            for tensor in self._tensors.values()
            for entry in tensor.external_data
            if entry.key == "location"
        }
        self.files = (str(file), *(str(self._folder / name) for name in sorted(places)))
        self.computed = {value.name for value in self.graph.input} - set(self.shapes)
        self.takers: dict[str, list[Any]] = {}
        for node in self.graph.node:
            self.computed |= set(node.output) - set(self.shapes)
            for name in dict.fromkeys(node.input):
                self.takers.setdefault(name, []).append(node)

    def _add(self, name: str, tensor: Any) -> None:
        if name in self._tensors:
            raise ConvError(f"has two tensors called {json_shown(name)}; give each its own name")
        self._tensors[name] = tensor

    def tensor(self, name: str) -> Array:
        """Return a tensor: float32 for floats of up to 32 bits, else float64.

        Raises ConvError, the reason alone, if it is malformed or none of real numbers.
        """
        try:
            return self._read(self._tensors[name])
        except ConvError as error:
            raise ConvError(f"tensor {json_shown(name)}: {error}") from None

    def _read(self, tensor: Any) -> Array:
        from onnx import TensorProto, numpy_helper

        shape = tuple(tensor.dims)
        if min(shape, default=0) < 0:
            raise ConvError(f"has the shape {'x'.join(map(str, shape))}, with a negative side")
        known = tensor.data_type in TensorProto.DataType.values()
        stated = TensorProto.DataType.Name(tensor.data_type) if known else str(tensor.data_type)
        dtype = _DTYPES.get(stated, stated)
        check_numbers(dtype, shape)
        if tensor.data_location == TensorProto.EXTERNAL:
            return decoded(self._beside(tensor, dtype, shape), dtype, shape)
        if tensor.HasField("raw_data"):
            return decoded(tensor.raw_data, dtype, shape)
        try:  # numbers one by one, in fields that go by their kind
            array = np.asarray(numpy_helper.to_array(tensor))
        except Exception:
            raise ConvError("has other numbers than its shape says; save the file again") from None
        return array.astype(read_as(dtype))

    def _beside(self, tensor: Any, dtype: str, shape: tuple[int, ...]) -> bytes:
        """Return the bytes of a tensor that lies in a file beside the model."""
        told = {entry.key: entry.value for entry in tensor.external_data}
        name = told.get("location", "")
        path = self._folder / name
        inside = self._folder.resolve()
        try:
            real = path.resolve()
        except (OSError, ValueError, RuntimeError):
            raise ConvError(f"lies in {json_shown(name)}, which cannot be a file") from None
        if not name or inside not in real.parents:
            raise ConvError(
                f"lies in {json_shown(name)}, outside the folder of its model, and is not read"
            )
        numbers = [told.get("offset", "0"), told.get("length", "")]
        needed = size_of(dtype, shape)
        offset, length = (int(n) if n.isdecimal() and len(n) < 19 else -1 for n in numbers)
        if not numbers[1]:
            length = needed
        with opened(path, "tensor") as (stream, size):
            if offset < 0 or length != needed or offset + length > size:
                raise ConvError(
                    f"takes {needed:,} bytes, which {json_shown(name)} does not have there"
                )
            stream.seek(offset)
            return stream.read(length)


def _names(graph: Any) -> Iterator[Any]:
    """Yield every name in a graph; those that are no UTF-8 come as bytes."""
    for value in (*graph.input, *graph.initializer):
        yield value.name
    for node in graph.node:
        yield from (node.op_type, node.name, node.domain, *node.input, *node.output)
        for attribute in node.attribute:
            yield attribute.name
            yield from _pairs(attribute.t)
    for tensor in graph.initializer:
        yield from _pairs(tensor)


def _pairs(tensor: Any) -> Iterator[Any]:
    for entry in tensor.external_data:
        yield from (entry.key, entry.value)


def _library() -> Any:
    """Return the library. Raises ConvError, the reason alone, if it is not installed."""
    try:
        import onnx
    except ImportError:
        raise ConvError(_MISSING) from None
    return onnx
