"""Kernel files: which formats there are, and how each is read and written.

A file is bounded before it is read, and must be a regular one, so that no pipe or device can stall
the reader. Every fault is a KernelError that names the file as it was given.
"""

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from conv_cli.errors import KernelError
from conv_cli.io.files import read_bounded
from conv_cli.io.text import decode_text
from conv_cli.kernels.array_files import read_npy, read_npz
from conv_cli.kernels.json_files import read_json, write_json
from conv_cli.kernels.kernel import MAX_WEIGHTS, Kernel, named
from conv_cli.kernels.text import lines, parse_table
from conv_cli.kernels.tools.vips import read_mat, write_mat

MAX_BYTES = 32 * MAX_WEIGHTS
"""No kernel file may be larger: the most weights, at up to 25 characters and what parts them."""


def read_kernels(path: str | os.PathLike[str]) -> list[Kernel]:
    """Return the kernels in a file: several for a .npz bank, else one.

    Formats, by the ending of the name:

    - .json: a nested list of rows, or an object with the rows under "kernel" or "weights" and
      optionally "bias" and "origin" ([row, column] from 0), or what ``fit`` writes.
    - .csv: rows of numbers split by commas. .txt: by white space. Both take fractions, and lines
      that begin with # are comments.
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
    with named(label):
        contents = read_bounded(file, MAX_BYTES, "kernel")
    if file.suffix.lower() not in READABLE:
        raise KernelError(
            f"kernel {label}: no known kernel format; use {', '.join(sorted(READABLE))}"
        )
    return contents


def _text(contents: bytes, label: str) -> str:
    with named(label):
        return decode_text(contents)


def _rows(contents: bytes, label: str) -> Iterator[str]:
    """Yield the lines of a text file that are no comments."""
    return (line for line in lines(_text(contents, label)) if not line.startswith("#"))


def _read_csv(contents: bytes, label: str) -> Kernel:
    # No further than the limit, so that one endless line cannot fill the memory.
    rows = (
        [cell.strip() for cell in line.split(",", MAX_WEIGHTS)] if line else []
        for line in _rows(contents, label)
    )
    return Kernel(parse_table(rows, label), name=label)


def _read_txt(contents: bytes, label: str) -> Kernel:
    rows = (line.split(None, MAX_WEIGHTS) for line in _rows(contents, label))
    return Kernel(parse_table(rows, label), name=label)


def _read_json(contents: bytes, label: str) -> Kernel:
    return read_json(_text(contents, label), label)


def _read_mat(contents: bytes, label: str) -> Kernel:
    return read_mat(_text(contents, label), label)


def _write_csv(kernel: Kernel) -> bytes:
    return _table(_plain(kernel, "csv"), ",")


def _write_txt(kernel: Kernel) -> bytes:
    return _table(_plain(kernel, "txt"), " ")


def _write_npy(kernel: Kernel) -> bytes:
    stream = io.BytesIO()
    np.save(stream, _plain(kernel, "npy"), allow_pickle=False)
    return stream.getvalue()


def _plain(kernel: Kernel, ending: str) -> npt.NDArray[np.float64]:
    """Return the weights alone, if they are all there is to the kernel."""
    if kernel.bias != 0 or not kernel.is_centred:
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
    ".json": lambda kernel: write_json(kernel).encode(),
    ".csv": _write_csv,
    ".txt": _write_txt,
    ".mat": lambda kernel: write_mat(kernel).encode(),
    ".npy": _write_npy,
}
READABLE = frozenset({*_READERS, ".npz"})
"""The endings of all kernel files that are read, in lower case."""
