"""Kernel files: which formats there are, and the text ones among them, read and written.

A file is bounded before it is read, and must be a regular one, so that no pipe or device can stall
the reader. Every fault is a KernelError that names the file as it was given.
"""

import io
import json
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from conv_cli.errors import KernelError
from conv_cli.kernels.array_files import read_npy, read_npz
from conv_cli.kernels.kernel import MAX_WEIGHTS, Kernel
from conv_cli.kernels.text import parse_number, parse_table, rectangle, shown

MAX_BYTES = 32 * MAX_WEIGHTS
"""No kernel file may be larger: the most weights, at up to 25 characters and what parts them."""

# JSON has one comma a weight, and these for whatever else the object may hold.
_SPARE_COMMAS = 100_000


def read_kernels(path: str | os.PathLike[str]) -> list[Kernel]:
    """Return the kernels in a file: several for a .npz bank, else one.

    Formats, by the ending of the name:

    - .json: a nested list of rows, or an object with the rows under "kernel" or "weights" and
      optionally "bias" and "origin" ([row, column] from 0); other keys are for other readers.
    - .csv: rows of numbers split by commas. .txt: by white space. Both take fractions.
    - .npy: a real matrix. .npz: any number of them, in the archive's order.
    - .mat: the text matrix of libvips. Line 1 is "WIDTH HEIGHT [SCALE [OFFSET]]", the rows follow;
      weights are divided by the scale, the offset is the bias, the origin (height//2, width//2).

    The kernel of edge.json is called edge, those of bank.npz bank-1, bank-2 and so on.

    Raises
    ------
    KernelError
        If the file is missing, unreadable, not regular, of no known format, too large or malformed.
    """
    label = os.fspath(path)
    file = Path(path)
    contents = _contents(file, label)
    ending = file.suffix.lower()
    if ending == ".npz":
        bank = read_npz(contents, label)
        return [replace(kernel, name=f"{file.stem}-{i}") for i, kernel in enumerate(bank, 1)]
    # Named by its file while it is checked, so that errors name that.
    return [replace(_READERS[ending](contents, label), name=file.stem)]


def dump_kernel(kernel: Kernel, ending: str) -> bytes:
    """Return the bytes of a kernel file of the format that `ending` (".json") names.

    Raises
    ------
    KernelError
        If the format is not written, or cannot hold this kernel's bias or origin.
    """
    write = _WRITERS.get(ending.lower())
    if write is None:
        raise KernelError(
            f"kernel {kernel.name}: kernels are not written as {ending or 'files without ending'}; "
            f"use {', '.join(_WRITERS)}"
        )
    return write(kernel)


def _contents(file: Path, label: str) -> bytes:
    """Return the bytes of a regular file of a known format and size."""
    try:
        status = file.stat()
        _check_file(file, status, label)
        with file.open("rb") as stream:
            contents = stream.read(MAX_BYTES + 1)
    except KernelError:
        raise
    except FileNotFoundError:
        raise KernelError(f"kernel {label}: no such file; check the path") from None
    except OSError as error:
        raise KernelError(f"kernel {label}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise KernelError(f"kernel {label}: no file can have this name; check the path") from None
    if len(contents) > MAX_BYTES:  # it grew, or did not tell its size
        _refuse_size(label)
    return contents


def _check_file(file: Path, status: os.stat_result, label: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise KernelError(f"kernel {label}: not a regular file; give the path of a kernel file")
    if file.suffix.lower() not in READABLE:
        raise KernelError(
            f"kernel {label}: no known kernel format; use {', '.join(sorted(READABLE))}"
        )
    if status.st_size > MAX_BYTES:
        _refuse_size(label)


def _refuse_size(label: str) -> NoReturn:
    raise KernelError(f"kernel {label}: larger than {MAX_BYTES:,} bytes, which no kernel needs")


def _text(contents: bytes, label: str) -> str:
    try:
        text = contents.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise KernelError(
            f"kernel {label}: not text in UTF-8; save it as plain text, or name it by its format"
        ) from None
    if not text.strip():
        raise KernelError(f"kernel {label}: the file is empty")
    return text


def _lines(text: str) -> Iterator[str]:
    """Yield the lines of a text one by one, whatever ends them, without blank ones at the end."""
    return (line.strip() for line in io.StringIO(text.rstrip(), newline=None))


def _read_csv(contents: bytes, label: str) -> Kernel:
    lines = _lines(_text(contents, label))
    # No further than the limit, so that one endless line cannot fill the memory.
    rows = (
        [cell.strip() for cell in line.split(",", MAX_WEIGHTS)] if line else [] for line in lines
    )
    return Kernel(parse_table(rows, label), name=label)


def _read_txt(contents: bytes, label: str) -> Kernel:
    lines = _lines(_text(contents, label))
    return Kernel(parse_table((line.split(None, MAX_WEIGHTS) for line in lines), label), name=label)


def _read_mat(contents: bytes, label: str) -> Kernel:
    # What may stand between two numbers in libvips: white space, commas and quotation marks.
    text = _text(contents, label).replace(",", " ").replace('"', " ")
    lines = _lines(text)
    width, height, scale, offset = _mat_header(next(lines, ""), label)
    weights = parse_table((line.split(None, MAX_WEIGHTS) for line in lines), label)
    if weights.shape != (height, width):
        rows, columns = weights.shape
        raise KernelError(
            f"kernel {label}: line 1 announces {height} rows of {width} numbers, but "
            f"{rows} rows of {columns} follow"
        )
    with np.errstate(over="ignore"):  # Kernel refuses what is not finite, and says where it is
        weights /= scale
    return Kernel(weights, bias=offset, origin=(height // 2, width // 2), name=label)


def _mat_header(line: str, label: str) -> tuple[int, int, float, float]:
    """Return width, height, scale and offset from the first line of a libvips matrix."""
    words = line.split(None, 4)
    try:
        numbers = [parse_number(word) for word in words + ["1", "0"][len(words) - 2 :]]
        width, height, scale, offset = numbers
        whole = width.is_integer() and height.is_integer() and min(width, height) >= 1
    except ValueError:
        whole, scale = False, 0.0
    if not whole or scale == 0:
        raise KernelError(
            f"kernel {label}: line 1 is {shown(line)}, expected WIDTH HEIGHT [SCALE [OFFSET]] with "
            "whole sizes from 1 and a scale that is not 0"
        )
    return int(width), int(height), scale, offset


def _read_json(contents: bytes, label: str) -> Kernel:
    text = _text(contents, label)
    if text.count(",") > MAX_WEIGHTS + _SPARE_COMMAS:
        raise KernelError(f"kernel {label}: more than {MAX_WEIGHTS:,} weights")
    try:
        # Whole numbers too are read as floats: one of 5,000 digits is then infinite, and refused.
        value = json.loads(text, object_pairs_hook=_unique_keys, parse_int=float)
    except json.JSONDecodeError as error:
        raise KernelError(
            f"kernel {label}: not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except _DuplicateKeyError as error:
        raise KernelError(f"kernel {label}: the key {error} is given twice; keep one") from None
    except RecursionError:
        raise KernelError(f"kernel {label}: too deeply nested; give a list of rows") from None
    return _json_kernel(value if isinstance(value, dict) else {"kernel": value}, label)


class _DuplicateKeyError(Exception):
    """A key that a JSON object holds twice."""


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    counts = Counter(key for key, _ in pairs)
    if len(counts) < len(pairs):
        raise _DuplicateKeyError(_json_shown(counts.most_common(1)[0][0]))
    return dict(pairs)


def _json_kernel(members: dict[str, object], label: str) -> Kernel:
    present = [key for key in ("kernel", "weights") if key in members]
    if len(present) != 1:
        found = "both" if present else "neither"
        raise KernelError(
            f'kernel {label}: the object has {found} of "kernel" and "weights"; give its '
            "rows under one of them"
        )
    bias = members.get("bias", 0.0)
    if not isinstance(bias, float):
        raise KernelError(f"kernel {label}: its bias is {_json_shown(bias)}, expected a number")
    weights = rectangle(_json_rows(members[present[0]], label), label)
    kernel = Kernel(weights, bias=bias, name=label)
    if "origin" in members:
        return replace(kernel, origin=_json_origin(members["origin"], label))
    return kernel


def _json_rows(value: object, label: str) -> list[list[float]]:
    if not isinstance(value, list):
        _refuse_rows(f"it is {_json_shown(value)}", label)
    for number, row in enumerate(value, 1):
        if not isinstance(row, list):
            _refuse_rows(f"row {number} is {_json_shown(row)}", label)
        for column, weight in enumerate(row, 1):
            if not isinstance(weight, float):
                raise KernelError(
                    f"kernel {label}: row {number}, column {column} is {_json_shown(weight)}, "
                    "expected a number"
                )
    return value


def _refuse_rows(what: str, label: str) -> NoReturn:
    raise KernelError(f"kernel {label}: {what}, expected rows of numbers as in [[1, 0], [0, -1]]")


def _json_origin(value: object, label: str) -> tuple[int, int]:
    match value:
        case [float(row), float(column)] if row.is_integer() and column.is_integer():
            return int(row), int(column)
    raise KernelError(
        f"kernel {label}: its origin is {_json_shown(value)}, expected [row, column] in whole "
        "numbers from 0"
    )


def _json_shown(value: object) -> str:
    match value:
        case list():
            return "a list"
        case dict():
            return "an object"
    return shown(json.dumps(value))


def _write_json(kernel: Kernel) -> bytes:
    members = {
        "kernel": kernel.weights.tolist(),
        "bias": kernel.bias,
        "origin": list(kernel.origin),
    }
    return f"{json.dumps(members)}\n".encode()


def _write_csv(kernel: Kernel) -> bytes:
    return _table(_plain(kernel, "csv"), ",")


def _write_txt(kernel: Kernel) -> bytes:
    return _table(_plain(kernel, "txt"), " ")


def _write_npy(kernel: Kernel) -> bytes:
    stream = io.BytesIO()
    np.save(stream, _plain(kernel, "npy"), allow_pickle=False)
    return stream.getvalue()


def _write_mat(kernel: Kernel) -> bytes:
    rows, columns = kernel.shape
    if kernel.origin != (rows // 2, columns // 2):
        raise KernelError(
            f"kernel {kernel.name}: its origin is {kernel.origin}, but a .mat file means "
            f"{(rows // 2, columns // 2)}; write .json"
        )
    return f"{columns} {rows} 1 {kernel.bias!r}\n".encode() + _table(kernel.weights, " ")


def _plain(kernel: Kernel, ending: str) -> npt.NDArray[np.float64]:
    """Return the weights alone, if they are all there is to the kernel."""
    rows, columns = kernel.shape
    if kernel.bias != 0 or kernel.origin != ((rows - 1) // 2, (columns - 1) // 2):
        raise KernelError(
            f"kernel {kernel.name}: a .{ending} file does not hold its bias {kernel.bias!r} and "
            f"origin {kernel.origin}; write .json"
        )
    return kernel.weights


def _table(weights: npt.NDArray[np.float64], separator: str) -> bytes:
    # repr() of a float is the shortest text that reads back as the same number.
    lines = (separator.join(map(repr, row)) for row in weights.tolist())
    return "".join(f"{line}\n" for line in lines).encode()


_READERS: dict[str, Callable[[bytes, str], Kernel]] = {
    ".json": _read_json,
    ".csv": _read_csv,
    ".txt": _read_txt,
    ".mat": _read_mat,
    ".npy": read_npy,
}
_WRITERS: dict[str, Callable[[Kernel], bytes]] = {
    ".json": _write_json,
    ".csv": _write_csv,
    ".txt": _write_txt,
    ".mat": _write_mat,
    ".npy": _write_npy,
}
READABLE = frozenset({*_READERS, ".npz"})
"""The endings of all kernel files that are read, in lower case."""
