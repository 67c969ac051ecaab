"""From a model as JSON has it to layers, with the place of every error."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from conv_cli.borders import Border
from conv_cli.correlation.params import ConvParams, Pair
from conv_cli.errors import ConvError, ModelError
from conv_cli.io.json import json_shown
from conv_cli.kernels.kernel import Kernel, common_frame
from conv_cli.kernels.learned import require_one, require_plain
from conv_cli.kernels.spec import load_kernels
from conv_cli.layers import as_pair, params_of
from conv_cli.networks.convolution import Convolution
from conv_cli.networks.layer import Array, Layer, Window
from conv_cli.networks.normalization import Normalization
from conv_cli.networks.place import Place
from conv_cli.networks.pointwise import FUNCTIONS, Pointwise
from conv_cli.networks.pooling import AveragePool, MaxPool

Model = tuple[tuple[Layer, ...], Normalization | None]
Arrays = Mapping[str, Array]


def as_model(value: object, label: str, arrays: Arrays | None = None) -> Model:
    """Return the layers and the normalization of a model as JSON has it.

    value : object. Of dicts, lists, strings and numbers.
    label : str. What errors call the model.
    arrays : mapping of str to ndarray, optional. The weights of trained layers, as in an archive.
    """
    place = Place(label)
    if _looks_like_a_kernel(value):
        place.refuse('this looks like a kernel; give a model, {"layers": [...]}')
    model = place.mapping(value, required={"layers"}, optional={"input"})
    if not isinstance(model["layers"], list | tuple) or not model["layers"]:
        place.refuse(
            f'"layers" is {json_shown(model["layers"])}, expected a list of at least one layer'
        )
    normalization = None
    if "input" in model:
        normalization = _normalization(model["input"], place.at("input"))
    layers = [
        as_layer(layer, place.at(f"layer {number}"), _of_layer(number, arrays or {}))
        for number, layer in enumerate(model["layers"], 1)
    ]
    return tuple(layers), normalization


def _looks_like_a_kernel(value: object) -> bool:
    if isinstance(value, Mapping):
        return "kernel" in value and "layers" not in value
    if not isinstance(value, list | tuple) or not value:
        return False
    return not any(isinstance(each, Mapping) for each in value)


def _normalization(value: object, place: Place) -> Normalization:
    given = place.mapping(value, optional={"scale", "mean", "std"})

    def several(name: str, default: float) -> tuple[float, ...]:
        numbers = given.get(name, default)
        listed = numbers if isinstance(numbers, list | tuple) and numbers else [numbers]
        return tuple(place.number(number, name) for number in listed)

    std = several("std", 1.0)
    if 0 in std:
        place.refuse('"std" is 0, expected any other number')
    return Normalization(place.number(given.get("scale", 1.0), "scale"), several("mean", 0.0), std)


def _of_layer(number: int, arrays: Arrays) -> Arrays:
    """Return the arrays of one layer."""
    prefix = f"layer{number}."
    return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}


def as_layer(value: object, place: Place, arrays: Arrays | None = None) -> Layer:
    """Return a layer as JSON has it, with the weights that an archive holds of it.

    Raises ModelError, with the place, if it is malformed.
    """
    if not isinstance(value, Mapping):
        place.refuse(f"is {json_shown(value)}, expected an object such as " + '{"relu": {}}')
    kinds = [name for name in value if name in _READERS]
    if len(kinds) != 1:
        found = "several kinds" if kinds else "no kind"
        place.refuse(f"has {found} of layer; give one of {', '.join(sorted(_READERS))}")
    try:
        return _READERS[kinds[0]](value, place, arrays or {})
    except ModelError:
        raise
    except ConvError as error:
        raise ModelError(f"{place.where}: {error}") from None


def _pointwise(value: Mapping[str, object], place: Place, arrays: Arrays) -> Layer:
    (kind,) = place.mapping(value, optional=set(FUNCTIONS))
    place.at(kind).mapping(value[kind])
    return Pointwise(kind)


def _pool(value: Mapping[str, object], place: Place, arrays: Arrays) -> Layer:
    ((kind, options),) = place.mapping(value, optional={"maxpool", "avgpool"}).items()
    inner = place.at(kind)
    own = "dilation" if kind == "maxpool" else "count_include_pad"
    given = inner.mapping(options, required={"size"}, optional={"stride", "padding", own})
    size = inner.pair(given["size"], "size")
    padding = as_pair(
        inner.sizes(given.get("padding", 0), "padding", "a whole number from 0, or two", 0),
        "padding",
        0,
    )
    if any(2 * p > k for p, k in zip(padding, size, strict=True)):
        inner.refuse(f'"padding" is {padding}, expected at most half the size, {size}')
    params = ConvParams(
        stride=inner.pair(given.get("stride", list(size)), "stride"),
        dilation=inner.pair(given.get("dilation", 1), "dilation"),
        padding=((padding[0], padding[0]), (padding[1], padding[1])),
    )
    window = Window(size, params)
    if kind == "maxpool":
        return MaxPool(window=window)
    counted = inner.flag(given.get(own, True), own)
    return AveragePool(window=window, count_include_pad=counted)


_SLIDING = {"stride", "padding", "dilation", "groups", "border"}
_WAYS = (
    ("kernel", {"bias"}, {"kernel"}),
    ("weight", {"bias"}, {"weight"}),
    ("in_channels", {"bias"}, {"in_channels", "out_channels", "kernel_size"}),
)
"""How a convolution is given: the key that tells, what it may have beside it, what it must."""


def _convolution(value: Mapping[str, object], place: Place, arrays: Arrays) -> Layer:
    given = place.mapping(value, required={"conv"}, optional=_SLIDING)
    conv = given["conv"]
    inner = place.at("conv")
    if not isinstance(conv, Mapping):
        inner.refuse(f"is {json_shown(conv)}, expected an object")
    ways = [way for way in _WAYS if way[0] in conv]
    if len(ways) != 1:
        inner.refuse('expected one of "kernel", "weight" and "in_channels"')
    ((way, optional, required),) = ways
    inner.mapping(conv, required=required, optional=optional)
    groups = place.count(given.get("groups", 1), "groups")
    make = {"kernel": _by_kernels, "weight": _by_weights, "in_channels": _by_sizes}[way]
    return make(conv, inner, groups, _sliding(given, place), arrays)


WindowOf = Callable[[Pair], Window]
"""From the size of a kernel to the window of its layer."""


def _sliding(given: Mapping[str, Any], place: Place) -> WindowOf:
    stride, dilation = (place.pair(given.get(name, 1), name) for name in ("stride", "dilation"))
    padding = given.get("padding", 0)
    if padding not in ("same", "valid"):
        expected = "same, valid, a whole number from 0, two, or [[top, bottom], [left, right]]"
        padding = place.sizes(padding, "padding", expected, 0)
    border = Border.named(_spelled(given.get("border", "zero"), place))

    def window_of(size: Pair) -> Window:
        return Window(
            size,
            params_of(
                size, stride=stride, padding=padding, dilation=dilation, groups=1, border=border
            ),
        )

    return window_of


def _spelled(border: object, place: Place) -> str | float:
    if isinstance(border, str):
        return border
    return place.number(border, "border")


def _by_kernels(
    conv: Mapping[str, Any], place: Place, groups: int, window_of: WindowOf, arrays: Arrays
) -> Convolution:
    """Return a layer of kernels by name, each over every input channel.

    A "bias", one number a kernel, stands for those that kernels bring along.
    """
    if groups != 1:
        place.refuse('kernels see each input channel alone; leave "groups" out, or give "weight"')
    specs = conv["kernel"]
    single = not isinstance(specs, list | tuple) or _is_matrix(specs)
    kernels = [
        kernel for spec in ([specs] if single else specs) for kernel in _kernels(spec, place)
    ]
    if not kernels:
        place.refuse('"kernel" is an empty list, expected at least one kernel')
    # A layer's window has no origin: "same" padding puts its middle on the output pixel.
    framed = common_frame([kernel if kernel.is_centred else kernel.centred() for kernel in kernels])
    biases = np.array([kernel.bias for kernel in framed])
    if conv.get("bias") is not None:
        biases = _bias(conv["bias"], len(framed), "kernels", place)
    return Convolution(
        window=window_of(framed[0].shape),
        out_channels=len(framed),
        group_channels=1,
        groups=None,
        weight=np.stack([kernel.weights for kernel in framed])[:, None],
        bias=biases if biases.any() else None,
        has_bias=bool(biases.any()),
        source=conv,
    )


def _is_matrix(spec: Any) -> bool:
    """Tell whether a list is the rows of one kernel."""
    return bool(spec) and all(
        isinstance(row, list | tuple) and not any(isinstance(n, list | tuple | str) for n in row)
        for row in spec
    )


def _kernels(spec: object, place: Place) -> list[Kernel]:
    if isinstance(spec, str):
        kernels = load_kernels(spec)
        require_one(kernels)
        require_plain(kernels)
        return kernels
    return [Kernel(place.tensor(spec, "kernel", 2))]


def _by_weights(
    conv: Mapping[str, Any], place: Place, groups: int, window_of: WindowOf, arrays: Arrays
) -> Convolution:
    """Return a layer whose weights stand in the file."""
    weight = place.tensor(conv["weight"], "weight", 4)
    bias = None
    if conv.get("bias") is not None:
        bias = _bias(conv["bias"], len(weight), "outputs", place)
    outputs, channels, rows, columns = weight.shape
    _check_groups(outputs, groups, '"weight" has', "outputs", place)
    return Convolution(
        window=window_of((rows, columns)),
        out_channels=outputs,
        group_channels=channels,
        groups=groups,
        weight=weight,
        bias=bias,
        has_bias=bias is not None,
        source=conv,
    )


def _bias(value: object, count: int, of: str, place: Place) -> Array:
    """Return one bias for each of so many outputs."""
    bias = place.tensor(value, "bias", 1)
    if len(bias) != count:
        place.refuse(f'"bias" has {len(bias)} numbers for {count} {of}')
    return bias


def _by_sizes(
    conv: Mapping[str, Any], place: Place, groups: int, window_of: WindowOf, arrays: Arrays
) -> Convolution:
    """Return a layer that is to be trained, or that was, with weights from an archive."""
    channels, outputs = (place.count(conv[n], n) for n in ("in_channels", "out_channels"))
    _check_groups(channels, groups, '"in_channels" is', "", place)
    _check_groups(outputs, groups, '"out_channels" is', "", place)
    has_bias = place.flag(conv.get("bias", True), "bias")
    layer = Convolution(
        window=window_of(place.pair(conv["kernel_size"], "kernel_size")),
        out_channels=outputs,
        group_channels=channels // groups,
        groups=groups,
        has_bias=has_bias,
    )
    if not arrays:
        return layer
    shapes = {"weight": layer.weight_shape} | ({"bias": (outputs,)} if has_bias else {})
    return layer.with_parameters(
        {name: _fitting(arrays.get(name), name, shape, place) for name, shape in shapes.items()}
    )


def _check_groups(count: int, groups: int, what: str, of: str, place: Place) -> None:
    if count % groups:
        place.refuse(f'{what} {count}{of and " "}{of}, expected a multiple of "groups", {groups}')


def _fitting(array: Array | None, name: str, shape: tuple[int, ...], place: Place) -> Array:
    if array is None:
        place.refuse(f"array {name} is missing from the archive")
    if array.shape != shape:
        place.refuse(f"array {name} has shape {array.shape}, expected {shape}")
    if not np.isfinite(array).all():
        place.refuse(f"array {name} holds numbers that are not finite")
    return array.astype(np.float64)


_READERS: dict[str, Callable[[Mapping[str, object], Place, Arrays], Layer]] = {
    "conv": _convolution,
    "maxpool": _pool,
    "avgpool": _pool,
    **dict.fromkeys(FUNCTIONS, _pointwise),
}
