"""From a model as JSON has it to layers, with the place of every error."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from conv_cli.borders import Border
from conv_cli.correlation.params import Pair
from conv_cli.errors import ConvError, ModelError
from conv_cli.io.json import json_shown
from conv_cli.kernels.kernel import Kernel, common_frame
from conv_cli.kernels.learned import require_one, require_plain
from conv_cli.kernels.spec import load_kernels
from conv_cli.layers import params_of
from conv_cli.networks.convolution import Convolution
from conv_cli.networks.layer import Array, Layer, Window
from conv_cli.networks.normalization import Normalization
from conv_cli.networks.place import Place
from conv_cli.networks.pointwise import FUNCTIONS, Pointwise
from conv_cli.networks.pooling import AveragePool, MaxPool
from conv_cli.networks.weight_files import WeightFiles

Arrays = Mapping[str, Array]


class Model(NamedTuple):
    """What a model holds.

    layers : tuple of Layer
    normalization : Normalization or None. None if pixels enter as they are.
    files : tuple of str. That weights were read from.
    notes : tuple of str. What a user should know of it, such as where it ends before its file does.
    """

    layers: tuple[Layer, ...]
    normalization: Normalization | None = None
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Beside(NamedTuple):
    """What of a layer is not in the text of its model: arrays of an archive, files of weights."""

    arrays: Arrays
    files: WeightFiles


def as_model(
    value: object, label: str, arrays: Arrays | None = None, folder: Path | None = None
) -> Model:
    """Return a model as JSON has it.

    value : object. Of dicts, lists, strings, numbers and arrays.
    label : str. What errors call the model.
    arrays : mapping of str to ndarray, optional. The weights of trained layers, as in an archive.
    folder : Path, optional. Where names of files begin; by default the current folder.
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
    files = WeightFiles(folder or Path())
    layers = [
        as_layer(layer, place.at(f"layer {number}"), Beside(_of_layer(number, arrays or {}), files))
        for number, layer in enumerate(model["layers"], 1)
    ]
    return Model(tuple(layers), normalization, files.read)


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


def as_layer(value: object, place: Place, beside: Beside | None = None) -> Layer:
    """Return a layer as JSON has it, with the weights that lie beside it.

    Raises ModelError, with the place, if it is malformed.
    """
    if not isinstance(value, Mapping):
        place.refuse(f"is {json_shown(value)}, expected an object such as " + '{"relu": {}}')
    kinds = [name for name in value if name in _READERS]
    if len(kinds) != 1:
        found = "several kinds" if kinds else "no kind"
        place.refuse(f"has {found} of layer; give one of {', '.join(sorted(_READERS))}")
    try:
        return _READERS[kinds[0]](value, place, beside or Beside({}, WeightFiles(Path())))
    except ModelError:
        raise
    except ConvError as error:
        raise ModelError(f"{place.where}: {error}") from None


def _pointwise(value: Mapping[str, object], place: Place, beside: Beside) -> Layer:
    (kind,) = place.mapping(value, optional=set(FUNCTIONS))
    place.at(kind).mapping(value[kind])
    return Pointwise(kind)


def _pool(value: Mapping[str, object], place: Place, beside: Beside) -> Layer:
    ((kind, options),) = place.mapping(value, optional={"maxpool", "avgpool"}).items()
    inner = place.at(kind)
    own = "dilation" if kind == "maxpool" else "count_include_pad"
    given = inner.mapping(options, required={"size"}, optional={"stride", "padding", own})
    size = inner.pair(given["size"], "size")
    padding = inner.sizes(given.get("padding", 0), "padding", _PADDINGS, 0)
    params = params_of(
        size,
        stride=inner.pair(given.get("stride", list(size)), "stride"),
        dilation=inner.pair(given.get("dilation", 1), "dilation"),
        padding=padding,
        groups=1,
        border=Border("edge"),
    )
    if any(2 * max(p) > k for p, k in zip(params.margins, size, strict=True)):
        inner.refuse(f'"padding" is {padding}, expected at most half the size, {size}')
    window = Window(size, params)
    if kind == "maxpool":
        return MaxPool(window=window)
    counted = inner.flag(given.get(own, True), own)
    return AveragePool(window=window, count_include_pad=counted)


_PADDINGS = "a whole number from 0, two, or [[top, bottom], [left, right]]"
_SLIDING = {"stride", "padding", "dilation", "groups", "border"}
_WAYS = (
    ("kernel", {"bias"}, {"kernel"}),
    ("weight", {"bias"}, {"weight"}),
    ("file", {"bias"}, {"file", "weight"}),
    ("in_channels", {"bias"}, {"in_channels", "out_channels", "kernel_size"}),
)
"""How a convolution is given: the key that tells, what it may have beside it, what it must."""


def _convolution(value: Mapping[str, object], place: Place, beside: Beside) -> Layer:
    given = place.mapping(value, required={"conv"}, optional=_SLIDING)
    conv = given["conv"]
    inner = place.at("conv")
    if not isinstance(conv, Mapping):
        inner.refuse(f"is {json_shown(conv)}, expected an object")
    ways = [way for way in _WAYS if way[0] in conv and (way[0] != "weight" or "file" not in conv)]
    if len(ways) != 1:
        inner.refuse('expected one of "kernel", "weight", "file" and "in_channels"')
    ((way, optional, required),) = ways
    inner.mapping(conv, required=required, optional=optional)
    groups = place.count(given.get("groups", 1), "groups")
    make = {
        "kernel": _by_kernels, "weight": _by_weights, "file": _by_file, "in_channels": _by_sizes,
    }[way]  # fmt: skip
    return make(conv, inner, groups, _sliding(given, place), beside)


WindowOf = Callable[[Pair], Window]
"""From the size of a kernel to the window of its layer."""


def _sliding(given: Mapping[str, Any], place: Place) -> WindowOf:
    stride, dilation = (place.pair(given.get(name, 1), name) for name in ("stride", "dilation"))
    padding = given.get("padding", 0)
    if padding not in ("same", "valid"):
        padding = place.sizes(padding, "padding", f"same, valid, {_PADDINGS}", 0)
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
    conv: Mapping[str, Any], place: Place, groups: int, window_of: WindowOf, beside: Beside
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
    conv: Mapping[str, Any], place: Place, groups: int, window_of: WindowOf, beside: Beside
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
        source=None if isinstance(conv["weight"], np.ndarray) else conv,
    )


def _by_file(
    conv: Mapping[str, Any], place: Place, groups: int, window_of: WindowOf, beside: Beside
) -> Convolution:
    """Return a layer whose weights lie in the file of another program."""
    arrays = {
        name: beside.files.tensor(conv["file"], conv[name], place.at(name), axes)
        for name, axes in (("weight", 4), ("bias", 1))
        if conv.get(name) is not None
    }
    if "weight" not in arrays:
        place.refuse('"weight" is null, expected the name of a tensor')
    # The arrays are kept, and saved with a model: a path would be wrong in another folder.
    return _by_weights(arrays, place, groups, window_of, beside)


def _bias(value: object, count: int, of: str, place: Place) -> Array:
    """Return one bias for each of so many outputs."""
    bias = place.tensor(value, "bias", 1)
    if len(bias) != count:
        place.refuse(f'"bias" has {len(bias)} numbers for {count} {of}')
    return bias


def _by_sizes(
    conv: Mapping[str, Any], place: Place, groups: int, window_of: WindowOf, beside: Beside
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
    arrays = beside.arrays
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


_READERS: dict[str, Callable[[Mapping[str, object], Place, Beside], Layer]] = {
    "conv": _convolution,
    "maxpool": _pool,
    "avgpool": _pool,
    **dict.fromkeys(FUNCTIONS, _pointwise),
}
