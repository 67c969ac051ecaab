"""Kernel files: which formats there are, and how each is read and written.

The private readers and writers raise ConvError with the reason alone; `named` puts the file or the
kernel before it.
"""

import io
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from conv_cli.errors import ConvError
from conv_cli.io.files import read_bounded
from conv_cli.io.json import json_shown, parse_json
from conv_cli.io.npy import parse_npy
from conv_cli.io.tables import MAX_BYTES, rectangle, table_text, text_table
from conv_cli.io.text import decode_text, shown
from conv_cli.kernels.kernel import MAX_WEIGHTS, Kernel, Size, Weights, named
from conv_cli.kernels.learned import ChannelKernel, LearnedKernel, Manner, Tone, with_manner
from conv_cli.kernels.tools.vips import read_mat, write_mat

_MAX_BANK_KERNELS = 65_536
# JSON has one comma a weight, and these for whatever else the object may hold.
_SPARE_COMMAS = 100_000
_KEYS = ("kernel", "weights", "bias", "origin", "name")
FIT_KEYS = frozenset(
    {"size", "rmse", "r2", "psnr", "noise_floor", "verdict", "reason", "noise", "condition"}
    | {
        "stderr",
        "clipped",
        "rejected",
        "border",
        "rational",
        "match",
        "turned_match",
        "names",
        "cause",
    }
    | {"next", "stride", "tone", "linear", "channels", "shift", "pairs", "pixels", "method"}
    | {"losses"}
)
"""What the object that ``fit`` writes says of its kernel, beside what a kernel is."""


def read_kernels(path: str | os.PathLike[str]) -> list[Kernel]:
    """Return the kernels in a file: several for a .npz bank, else one.

    Formats, by the ending of the name:

    - .json: a nested list of rows, or an object with the rows under "kernel" or "weights" and
      optionally "bias" and "origin" ([row, column] from 0), or what ``fit`` writes: there may be a
      list of such rows, one for each channel, or for each of the result a list over the input's.
    - .csv: rows of numbers split by commas. .txt: by white space. Both take fractions, and lines
      that begin with # are comments.
    - .npy: a real matrix of any dtype and byte order. .npz: any number of them, in the archive's
      order.
    - .mat: the text matrix of libvips. Line 1 is "WIDTH HEIGHT [SCALE [OFFSET]]", the rows follow;
      weights are divided by the scale, the offset is the bias, the origin (height//2, width//2).

    The kernel of edge.json is called edge, those of bank.npz bank-1, bank-2 and so on.

    Raises KernelError, which names the file as it was given, if that is missing, unreadable, not
    regular, of no known format, too large or malformed.
    """
    label, file = os.fspath(path), Path(path)
    ending = file.suffix.lower()
    # Kernels are named by their file while they are checked, so that errors name that.
    with named(label):
        contents = read_bounded(file, MAX_BYTES, "kernel")
        if ending not in READABLE:
            raise ConvError(f"no known kernel format; use {', '.join(sorted(READABLE))}")
        if ending == ".npz":
            bank = _read_npz(contents, label)
            return [replace(kernel, name=f"{file.stem}-{i}") for i, kernel in enumerate(bank, 1)]
        if ending == ".npy":
            kernel = _read_npy(contents, label)
        else:
            kernel = _TEXT_READERS[ending](decode_text(contents), label)
    return [replace(kernel, name=file.stem)]


def dump_kernel(kernel: Kernel, ending: str) -> bytes:
    """Return the bytes of a kernel file of the format that `ending` (".json") names.

    Raises KernelError if the format is not written, or cannot hold this kernel's bias or origin.
    """
    with named(kernel.name):
        if ending.lower() not in _WRITERS:
            raise ConvError(
                f"kernels are not written as {ending or 'files without ending'}; "
                f"use {', '.join(_WRITERS)}"
            )
        if isinstance(kernel, ChannelKernel) and ending.lower() != ".json":
            raise ConvError(
                f"it is {kernel.kind}, and {ending} files hold one for all; write .json"
            )
        return _WRITERS[ending.lower()](kernel)


def _read_json(text: str, label: str) -> Kernel:
    """Return the kernel of a nested list of rows, or of an object that holds one."""
    if text.count(",") > MAX_WEIGHTS + _SPARE_COMMAS:
        raise ConvError(f"more than {MAX_WEIGHTS:,} weights")
    value = parse_json(text, "give a list of rows")
    members = value if isinstance(value, dict) else {"kernel": value}
    if unknown := [key for key in members if key not in _KEYS and key not in FIT_KEYS]:
        meant = unknown[0].lower()
        advice = 'it may hold "bias" and "origin" beside its rows under "kernel"'
        advice = f'did you mean "{meant}"?' if meant in _KEYS else advice
        raise ConvError(f"its key {json_shown(unknown[0])} is not known; {advice}")
    present = [key for key in ("kernel", "weights") if key in members]
    if len(present) != 1:
        found = "both" if present else "neither"
        raise ConvError(
            f'the object has {found} of "kernel" and "weights"; give its rows under one of them'
        )
    rows, bias = members[present[0]], members.get("bias", 0.0)
    kernel: Kernel
    if isinstance(value, dict) and _depth(rows) > 2:
        weights = _json_planes(rows, _depth(rows))
        kernel = ChannelKernel(weights, name=label, biases=_json_biases(bias, len(weights)))
    else:
        if not isinstance(bias, float):
            raise ConvError(f"its bias is {json_shown(bias)}, expected a number")
        kernel = Kernel(rectangle(_json_rows(rows)), bias=bias, name=label)
    if "origin" in members:
        kernel = replace(kernel, origin=_json_origin(members["origin"]))
    return with_manner(kernel, _json_manner(members))


def _json_manner(members: dict[str, Any]) -> Manner:
    """Return how a kernel that was learned is to be applied."""
    stride, linear = members.get("stride", [1.0, 1.0]), members.get("linear", False)
    match stride:
        case [float(down), float(across)] if down in range(1, 1 << 20) and across in range(
            1, 1 << 20
        ):
            pass
        case _:
            raise ConvError(
                f"its stride is {json_shown(stride)}, expected [rows, columns] in whole numbers "
                "from 1"
            )
    if not isinstance(linear, bool):
        raise ConvError(f"its linear is {json_shown(linear)}, expected true or false")
    tone = members.get("tone")
    return Manner((int(down), int(across)), linear, None if tone is None else Tone.of(tone))


def _depth(value: object) -> int:
    """Return how deep the first number of nested lists lies."""
    depth = 0
    while isinstance(value, list) and value:
        depth, value = depth + 1, value[0]
    return depth


def _json_planes(value: object, depth: int) -> Weights:
    """Return weights (C, kh, kw) or (C', C, kh, kw) of nested lists."""
    if depth == 2:
        return rectangle(_json_rows(value))
    if not isinstance(value, list) or depth > 4:
        raise ConvError(
            f"it is {json_shown(value)}, expected rows of numbers, or a list of such for each "
            "channel"
        )
    planes = []
    for number, each in enumerate(value, 1):
        try:
            planes.append(_json_planes(each, depth - 1))
        except ConvError as error:
            raise ConvError(f"channel {number}, {error}") from None
        if planes[-1].shape != planes[0].shape:
            one, other = ("x".join(map(str, plane.shape)) for plane in (planes[0], planes[-1]))
            raise ConvError(
                f"channel {number} is {other}, channel 1 {one}; fill up the smaller with zeros"
            )
    return np.stack(planes)


def _json_biases(value: object, count: int) -> tuple[float, ...]:
    """Return a bias for each channel of a result."""
    biases = [value] * count if isinstance(value, float) else value
    match biases:
        case [*numbers] if len(numbers) == count:
            told = tuple(number for number in numbers if isinstance(number, float))
            if len(told) == count:
                return told
    raise ConvError(
        f"its bias is {json_shown(value)}, expected a number for each of {count} kernels"
    )


def _json_rows(value: object) -> list[list[float]]:
    if not isinstance(value, list):
        _refuse_rows(f"it is {json_shown(value)}")
    for number, row in enumerate(value, 1):
        if not isinstance(row, list):
            _refuse_rows(f"row {number} is {json_shown(row)}")
        for column, weight in enumerate(row, 1):
            if not isinstance(weight, float):
                shown_weight = json_shown(weight)
                raise ConvError(
                    f"row {number}, column {column} is {shown_weight}, expected a number"
                )
    return value


def _refuse_rows(what: str) -> NoReturn:
    raise ConvError(f"{what}, expected rows of numbers as in [[1, 0], [0, -1]]")


def _json_origin(value: object) -> Size:
    match value:
        case [float(row), float(column)] if row.is_integer() and column.is_integer():
            return int(row), int(column)
    raise ConvError(
        f"its origin is {json_shown(value)}, expected [row, column] in whole numbers from 0"
    )


def _read_npy(contents: bytes, label: str) -> Kernel:
    return Kernel(parse_npy(contents, _check_header), name=label)


def _check_header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if dtype.kind not in "buif":
        raise ConvError(f"its weights are {dtype}, expected real numbers")
    if len(shape) != 2 or min(shape) < 1:
        raise ConvError(f"its shape is {shape}, expected (rows, columns)")
    if shape[0] * shape[1] > MAX_WEIGHTS:
        raise ConvError(f"{shape[0]}x{shape[1]} are more than {MAX_WEIGHTS:,} weights")


def _read_npz(contents: bytes, label: str) -> list[Kernel]:
    """Return the kernels of a bank; sizes are bounded by what it announces and by what is read."""
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(contents)) as archive:
            members = archive.infolist()
            if not members:
                raise ConvError("the bank is empty")
            if len(members) > _MAX_BANK_KERNELS:
                raise ConvError(f"more than {_MAX_BANK_KERNELS:,} kernels in one bank")
            if sum(member.file_size for member in members) > MAX_BYTES:
                raise ConvError(f"it unpacks to more than {MAX_BYTES:,} bytes")
            bank = []
            for member in members:
                own_label = f"{label}, array {member.filename.removesuffix('.npy')}"
                with archive.open(member) as stream, named(own_label):
                    # Not more than announced, whatever the data would unpack to. The name of a
                    # member is never used as a path.
                    bank.append(_read_npy(stream.read(member.file_size), own_label))
            return bank
    except ConvError:
        raise
    except Exception as error:  # damage, encryption, unknown methods: each unpacker raises its own
        raise ConvError(
            f"its archive is damaged ({shown(str(error))}); save it again by numpy.savez"
        ) from None


def _write_json(kernel: Kernel) -> bytes:
    bias = list(kernel.biases) if isinstance(kernel, ChannelKernel) else kernel.bias
    members = {
        "kernel": kernel.weights.tolist(), "bias": bias, "origin": list(kernel.origin),
    }  # fmt: skip
    if isinstance(kernel, LearnedKernel):
        members |= kernel.manner.as_dict()
    return f"{json.dumps(members)}\n".encode()


def _write_npy(kernel: Kernel) -> bytes:
    stream = io.BytesIO()
    np.save(stream, _plain(kernel, "npy"), allow_pickle=False)
    return stream.getvalue()


def _plain(kernel: Kernel, ending: str) -> Weights:
    """Return the weights alone, if they are all there is to the kernel."""
    if kernel.bias != 0 or not kernel.is_centred:
        raise ConvError(
            f"a .{ending} file does not hold its bias {kernel.bias!r} and origin {kernel.origin}; "
            "write .json"
        )
    return kernel.weights


_TEXT_READERS: dict[str, Callable[[str, str], Kernel]] = {
    ".json": _read_json,
    ".csv": lambda text, label: Kernel(text_table(text, ".csv"), name=label),
    ".txt": lambda text, label: Kernel(text_table(text, ".txt"), name=label),
    ".mat": read_mat,
}
_WRITERS: dict[str, Callable[[Kernel], bytes]] = {
    ".json": _write_json,
    ".csv": lambda kernel: table_text(_plain(kernel, "csv"), ".csv").encode(),
    ".txt": lambda kernel: table_text(_plain(kernel, "txt"), ".txt").encode(),
    ".mat": lambda kernel: write_mat(kernel).encode(),
    ".npy": _write_npy,
}
READABLE = frozenset({*_TEXT_READERS, ".npy", ".npz"})
"""The endings of all kernel files that are read, in lower case."""
