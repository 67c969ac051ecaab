"""From the graph of an ONNX file to layers: as far as it is a chain of layers that are known here.

Operators mean what https://onnx.ai/onnx/operators says. A BatchNormalization is folded into the
convolution before it (Jacob et al. 2018, "Quantization and training of neural networks for
efficient integer-arithmetic-only inference", 3.2), or where there is none becomes one of 1x1.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from conv_cli.errors import ConvError
from conv_cli.io.json import json_shown
from conv_cli.io.text import shown
from conv_cli.networks.layer import Array
from conv_cli.networks.model import Model, as_layer
from conv_cli.networks.onnx_files import OnnxFile
from conv_cli.networks.place import Place

_OPSETS = ("", "ai.onnx")
_POINTWISE = {"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Abs": "abs", "Sqrt": "sqrt"}
_SAME = ("Identity", "Dropout")
"""Operators that pass on what they are given, as Dropout does once a model is trained."""
_KEEPING = (b"SAME_UPPER", b"SAME_LOWER")
_KNOWN = "Conv, BatchNormalization, MaxPool, AveragePool, Mul by itself, " + ", ".join(_POINTWISE)


class _UnknownError(ConvError):
    """An operator that is no layer here, or is one only in another way; the message says which."""


class _Made(NamedTuple):
    """A layer as JSON has it, and the node that it stands for."""

    layer: dict[str, Any]
    of: str


def read_onnx(path: Path, label: str) -> Model:
    """Return the layers at the beginning of an ONNX model, and in a note what comes behind them.

    Raises ModelError: ``LABEL: PLACE: reason``, if the file is no model, its first operator is
    none that is known, or something in it is malformed.
    """
    place = Place(label)
    try:
        file = OnnxFile(path)
    except ConvError as error:
        place.refuse(str(error))
    made, end = _chain(file, place)
    if not made:
        place.refuse(f"no layer is known here: {end}; known are {_KNOWN}")
    layers = tuple(
        as_layer(each.layer, place.at(f"layer {number} ({each.of})"))
        for number, each in enumerate(made, 1)
    )
    note = f"ends after layer {len(layers)}: {end}; what comes before it can be looked at"
    return Model(layers, files=file.files, notes=(note,) if end else ())


def _chain(file: OnnxFile, place: Place) -> tuple[list[_Made], str]:
    """Return the layers that follow each other from the input on, and why there are no more."""
    graph = file.graph
    inputs = [value.name for value in graph.input if value.name not in file.shapes]
    if len(inputs) != 1:
        return [], f"the model has {len(inputs)} inputs"
    found: list[_Made] = []
    value, visited = inputs[0], 0
    while nodes := file.takers.get(value, []):
        visited += 1
        if len(nodes) > 1:
            return found, f"{' and '.join(map(_name, nodes[:3]))} all take its maps"
        if visited > len(graph.node):
            place.refuse("its nodes go round in a circle")
        (node,) = nodes
        try:
            _append(found, node, value, file, place.at(_name(node)))
        except _UnknownError as error:
            return found, f"{_name(node)} {error}"
        if not node.output or not node.output[0]:
            place.at(_name(node)).refuse("has no output")
        value = node.output[0]
    return found, ""


def _name(node: Any) -> str:
    return f"{shown(node.op_type)} {shown(node.name)}" if node.name else shown(node.op_type)


def _append(found: list[_Made], node: Any, value: str, file: OnnxFile, place: Place) -> None:
    """Add the layer of a node, or fold it into the last one. Raises _UnknownError if it is none."""
    kind, attributes = node.op_type, _attributes(node, place)
    if node.domain not in _OPSETS:
        raise _UnknownError(f"is of the domain {shown(node.domain)}, which conv-cli does not have")
    if kind == "Mul" and list(node.input) == [value, value]:
        found.append(_Made({"square": {}}, _name(node)))
    elif kind == "BatchNormalization":
        arrays = list(_constants(node, value, file, place))
        with np.errstate(all="ignore"):  # what is not finite is refused
            _fold(found, arrays, attributes, _name(node), place)
    elif kind in _POINTWISE:
        found.append(_Made({_POINTWISE[kind]: {}}, _name(node)))
    elif kind in _READERS:
        found.append(_Made(_READERS[kind](node, value, attributes, file, place), _name(node)))
    elif kind not in _SAME or len(node.input) > 2:  # the third of Dropout: whether it trains
        raise _UnknownError("is no layer that conv-cli has")


def _attributes(node: Any, place: Place) -> dict[str, Any]:
    from onnx import helper

    try:
        return {each.name: helper.get_attribute_value(each) for each in node.attribute}
    except ValueError:
        place.refuse("has an attribute of no known type")


def _conv(
    node: Any, value: str, attributes: Mapping[str, Any], file: OnnxFile, place: Place
) -> dict[str, Any]:
    """Return a convolution."""
    arrays = list(_constants(node, value, file, place))
    weight, bias = arrays[0], arrays[1] if len(arrays) > 1 else None
    if weight.ndim != 4:
        raise _UnknownError(f"has {weight.ndim - 2} axes, and conv-cli filters two")
    if bias is not None and bias.shape != weight.shape[:1]:
        place.refuse(f"its bias has the shape {list(bias.shape)}, expected [{len(weight)}]")
    size = weight.shape[2:]
    told = _numbers(attributes, "kernel_shape", list(size), 1, place)
    if tuple(told) != size:
        place.refuse(f'"kernel_shape" is {told}, and its weights have {list(size)}')
    sliding = _sliding(attributes, size, place)
    return {
        "conv": {"weight": weight, "bias": bias},
        "groups": attributes.get("group", 1),
        **sliding,
    }


def _pool(
    node: Any, value: str, attributes: Mapping[str, Any], file: OnnxFile, place: Place
) -> dict[str, Any]:
    """Return a pooling layer."""
    if attributes.get("ceil_mode"):
        raise _UnknownError("has windows beyond the end (ceil_mode), which conv-cli does not have")
    size = _numbers(attributes, "kernel_shape", [], 1, place)
    if len(size) != 2:
        raise _UnknownError(f"has {len(size)} axes, and conv-cli filters two")
    options = {"size": size, **_sliding(attributes, tuple(size), place)}
    if node.op_type == "MaxPool":
        return {"maxpool": options}
    if options.pop("dilation") != [1, 1]:
        raise _UnknownError("has dilations, which conv-cli does not have for a mean")
    return {"avgpool": options | {"count_include_pad": bool(attributes.get("count_include_pad"))}}


_READERS: dict[str, Callable[..., dict[str, Any]]] = {
    "Conv": _conv, "MaxPool": _pool, "AveragePool": _pool,
}  # fmt: skip


def _sliding(attributes: Mapping[str, Any], size: tuple[int, ...], place: Place) -> dict[str, Any]:
    """Return stride, dilation and padding as a model file has them."""
    stride, dilation = (
        _numbers(attributes, name, [1, 1], 1, place) for name in ("strides", "dilations")
    )
    pads = _numbers(attributes, "pads", [0, 0, 0, 0], 0, place)
    mode = attributes.get("auto_pad", b"NOTSET")
    if mode in _KEEPING:
        if stride != [1, 1]:
            raise _UnknownError(
                "pads by the size of the image (auto_pad with a stride), which conv-cli does not"
            )
        total = [(k - 1) * d for k, d in zip(size, dilation, strict=True)]
        less, more = [n // 2 for n in total], [n - n // 2 for n in total]
        pads = [*less, *more] if mode == b"SAME_UPPER" else [*more, *less]
    elif mode == b"VALID":
        pads = [0, 0, 0, 0]
    elif mode != b"NOTSET":
        place.refuse('"auto_pad" is none of NOTSET, VALID, SAME_UPPER and SAME_LOWER')
    top, left, bottom, right = pads
    return {"stride": stride, "dilation": dilation, "padding": [[top, bottom], [left, right]]}


def _numbers(
    attributes: Mapping[str, Any], name: str, usual: list[int], least: int, place: Place
) -> list[int]:
    """Return an attribute of whole numbers, as many as it usually has."""
    values = attributes.get(name, usual)
    if not isinstance(values, list) or (usual and len(values) != len(usual)):
        place.refuse(f'"{name}" is {json_shown(values)}, expected {len(usual)} whole numbers')
    return [place.sizes(each, name, f"whole numbers from {least}", least) for each in values]


def _constants(node: Any, value: str, file: OnnxFile, place: Place) -> Iterator[Array]:
    """Yield the inputs of a node behind its first, which are constants of the file."""
    if node.input[0] != value or len(node.input) < 2:
        raise _UnknownError("has no weights, or takes maps as such, which conv-cli does not")
    for name in node.input[1:]:
        if not name:  # an input that may be left out, and is
            continue
        if name not in file.shapes:
            if name in file.computed:
                raise _UnknownError("has weights that are computed, which conv-cli does not have")
            place.refuse(f"tensor {json_shown(name)} is missing from the file")
        try:
            yield file.tensor(name)
        except ConvError as error:
            place.refuse(str(error))


def _fold(
    found: list[_Made], arrays: list[Array], attributes: Mapping[str, Any], name: str, place: Place
) -> None:
    """Fold a normalization by what a model has learned into the convolution before it."""
    if attributes.get("training_mode"):
        raise _UnknownError("is in training, and so depends on the whole image")
    if len(arrays) != 4 or len({each.shape for each in arrays}) != 1 or arrays[0].ndim != 1:
        place.refuse("expected four tensors of one length: scale, bias, mean and variance")
    gain, shift, mean, variance = (each.astype(np.float64) for each in arrays)
    below = variance + place.number(attributes.get("epsilon", 1e-5), "epsilon")
    if not all((below > 0) & np.isfinite(below * gain * mean * shift)):
        place.refuse("holds numbers that are not finite, or a variance that is not positive")
    factor = gain / np.sqrt(below)
    if found and "conv" in found[-1].layer:
        conv = found[-1].layer["conv"]
        outputs = len(conv["weight"])
        if outputs != len(factor):
            place.refuse(f"normalizes {len(factor)} channels and is given {outputs}")
        before = np.zeros(outputs) if conv["bias"] is None else conv["bias"]
        conv["weight"] = conv["weight"] * factor[:, None, None, None]
        conv["bias"] = (before - mean) * factor + shift
    else:
        weights = {"weight": factor[:, None, None, None], "bias": shift - mean * factor}
        found.append(_Made({"conv": weights, "groups": len(factor)}, name))
