"""The safetensors format: eight bytes of length, a header in JSON, and arrays one after the other.

Read without its library, as the format is small: https://huggingface.co/docs/safetensors. What the
header says is checked against the size of the file before anything is read or allocated for it.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from conv_cli.errors import ConvError
from conv_cli.io.files import opened
from conv_cli.io.json import json_shown, parse_json
from conv_cli.io.text import decode_text

NUMBERS = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1",
}  # fmt: skip
"""What the numbers of a tensor are called, and what NumPy calls what holds them."""
_OTHERS = {
    "BOOL": 8, "C64": 64, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
}  # fmt: skip
"""Bits of numbers that may lie in a file, but are no weights here."""

MAX_HEADER = 16 << 20
MAX_TENSOR = 512 << 20
"""Bytes; no header that has a use is longer, and no weights of a convolution."""
_LENGTH = 8
_MAX_AXES, _MAX_SIZE = 64, 1 << 62
_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x04", b"\x80\x05")
"""How files of PyTorch begin: archives and streams of pickles."""


class Tensor(NamedTuple):
    """What the header says of an array.

    dtype : str. As in ``NUMBERS``, or of others that are not read.
    shape : tuple of int
    start, stop : int. Bytes of the file.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Return what arrays a file has, by name.

    Raises ConvError, the reason alone, if it cannot be read, or if its header is malformed or at
    odds with the file: arrays that overlap, leave gaps, or go beyond the end.
    """
    with opened(file, "safetensors") as (stream, size):
        head = stream.read(_LENGTH)
        length = int.from_bytes(head, "little")
        lies = len(head) < _LENGTH or length > min(size - _LENGTH, MAX_HEADER)
        if lies and head.startswith(_PICKLES):  # which a right length may look like
            raise ConvError(f"a file of PyTorch, not of safetensors; {save_line(file)}")
        if len(head) < _LENGTH or length > size - _LENGTH:
            raise ConvError(
                f"no safetensors, or cut short: its header should have {length:,} bytes, and the "
                f"file has {size:,}"
            )
        if length > MAX_HEADER:
            raise ConvError(f"its header has {length:,} bytes, which no model needs")
        text = stream.read(length)
    header = parse_json(decode_text(text), "give one object")
    if not isinstance(header, dict):
        raise ConvError(f"its header is {json_shown(header)}, expected an object")
    header.pop("__metadata__", None)
    data = _LENGTH + length
    found = {name: _tensor(name, value, data) for name, value in header.items()}
    _check_places(found, data, size)
    return found


def _tensor(name: str, value: object, data: int) -> Tensor:
    """Return an entry of the header; the arrays begin at byte ``data``."""

    def refuse(reason: str) -> NoReturn:
        raise ConvError(f"tensor {json_shown(name)}: {reason}")

    if not isinstance(value, Mapping) or set(value) != {"dtype", "shape", "data_offsets"}:
        refuse('expected an object of "dtype", "shape" and "data_offsets"')
    dtype = value["dtype"]
    if not isinstance(dtype, str) or not (dtype in NUMBERS or dtype in _OTHERS):
        refuse(f'"dtype" is {json_shown(dtype)}, expected one of {", ".join(NUMBERS)}')
    shape, offsets = (_whole(value[key]) for key in ("shape", "data_offsets"))
    if shape is None or len(shape) > _MAX_AXES:
        refuse('"shape" is no list of whole numbers from 0')
    if offsets is None or len(offsets) != 2 or offsets[0] > offsets[1]:
        refuse('"data_offsets" are not two whole numbers from 0, the second the larger one')
    bits = _OTHERS.get(dtype) or 8 * np.dtype(NUMBERS[dtype]).itemsize
    needed = math.prod(shape) * bits
    if needed != 8 * (offsets[1] - offsets[0]):
        sides = "x".join(map(str, shape)) or "one number"
        refuse(
            f"{sides} of {dtype} take {needed // 8:,} bytes, and its offsets enclose "
            f"{offsets[1] - offsets[0]:,}"
        )
    return Tensor(dtype, shape, data + offsets[0], data + offsets[1])


def _whole(values: object) -> tuple[int, ...] | None:
    """Return whole numbers from 0 as JSON has them; None for anything else."""
    if not isinstance(values, list):
        return None
    if not all(type(n) is float and n.is_integer() and 0 <= n < _MAX_SIZE for n in values):
        return None
    return tuple(map(int, values))


def _check_places(tensors: Mapping[str, Tensor], data: int, size: int) -> None:
    """Raise ConvError unless the arrays lie one after the other, to the end of the file."""
    end, before = data, "the header"
    for name, tensor in sorted(tensors.items(), key=lambda item: item[1][2:]):
        if tensor.start != end:
            how = "overlaps" if tensor.start < end else "leaves a gap behind"
            raise ConvError(f"tensor {json_shown(name)}: {how} {before}; save the file again")
        if tensor.stop > size:
            raise ConvError(
                f"tensor {json_shown(name)}: ends at byte {tensor.stop:,}, and the file has "
                f"{size:,}; it is cut short, so copy it again"
            )
        end, before = tensor.stop, f"tensor {json_shown(name)}"
    if end != size:
        raise ConvError(f"{size - end:,} bytes behind its last tensor belong to none")


def read_tensor(file: Path, tensor: Tensor) -> NDArray[Any]:
    """Return one array; no other is read. Raises ConvError as ``decoded`` does."""
    check_numbers(tensor.dtype, tensor.shape)
    with opened(file, "safetensors") as (stream, _):
        stream.seek(tensor.start)
        return decoded(stream.read(tensor.stop - tensor.start), tensor.dtype, tensor.shape)


def check_numbers(dtype: str, shape: tuple[int, ...]) -> None:
    """Raise ConvError, the reason alone, for numbers that are no weights, or too many of them."""
    if dtype not in NUMBERS:
        raise ConvError(f"holds {dtype}, expected one of {', '.join(NUMBERS)}")
    if size_of(dtype, shape) > MAX_TENSOR:
        raise ConvError(f"has more than {MAX_TENSOR:,} bytes, which no convolution needs")


def size_of(dtype: str, shape: tuple[int, ...]) -> int:
    """Return the bytes that an array of a dtype among ``NUMBERS`` takes."""
    return math.prod(shape) * np.dtype(NUMBERS[dtype]).itemsize


def decoded(raw: bytes, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return an array of its bytes: float32 for floats of up to 32 bits, else float64.

    Raises ConvError, the reason alone, if there are too few or too many.
    """
    if len(raw) != size_of(dtype, shape):
        raise ConvError("cut short, or of another shape than it says; save the file again")
    flat = np.frombuffer(raw, NUMBERS[dtype])
    if dtype == "BF16":  # the upper half of a float32
        flat = (flat.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(invalid="ignore"):  # of NaN, which is for others to refuse
        return flat.astype(read_as(dtype), copy=False).reshape(shape)


def read_as(dtype: str) -> np.dtype[Any]:
    """Return what numbers of a dtype are once they are read: float32 if that holds all, else 64."""
    return np.dtype(np.float32 if dtype in ("F32", "F16", "BF16") else np.float64)


def save_line(file: Path) -> str:
    """Return the line of Python that saves a file of PyTorch as safetensors."""
    name, safe = str(file), str(file.with_suffix(".safetensors"))
    return (
        f"save it so, in Python: import torch, safetensors.torch; "
        f"safetensors.torch.save_file(torch.load({name!r}, weights_only=True), "
        f"{safe!r})"
    )
