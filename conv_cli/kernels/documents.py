"""Files that people write, read whole: bounded before they are read, as text and as JSON.

A file must be a regular one, so that no pipe or device can stall the reader. Every fault is a
ConvError that holds the reason alone; who reads the file puts its name before it.
"""

import json
import os
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from conv_cli.errors import ConvError, KernelError
from conv_cli.kernels.text import shown


@contextmanager
def named(label: str) -> Iterator[None]:
    """Put the name of a kernel before whatever is wrong with its file."""
    try:
        yield
    except KernelError:
        raise
    except ConvError as error:
        raise KernelError(f"kernel {label}: {error}") from None


def read_bounded(file: Path, limit: int, what: str) -> bytes:
    """Return the bytes of a regular file of at most ``limit`` of them.

    Raises
    ------
    ConvError
        If it is missing, unreadable, not regular or larger than any file of the kind ``what``
        ("kernel") needs to be.
    """
    try:
        _check(file.stat(), limit, what)
        with file.open("rb") as stream:
            contents = stream.read(limit + 1)
    except ConvError:
        raise
    except FileNotFoundError:
        raise ConvError("no such file; check the path") from None
    except OSError as error:
        raise ConvError(f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise ConvError("no file can have this name; check the path") from None
    if len(contents) > limit:  # it grew, or did not tell its size
        _refuse_size(limit, what)
    return contents


def _check(status: os.stat_result, limit: int, what: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ConvError(f"not a regular file; give the path of a {what} file")
    if status.st_size > limit:
        _refuse_size(limit, what)


def _refuse_size(limit: int, what: str) -> NoReturn:
    raise ConvError(f"larger than {limit:,} bytes, which no {what} needs")


def decode_text(contents: bytes) -> str:
    """Return bytes of UTF-8, with or without a byte-order mark, as text that is not empty.

    Raises
    ------
    ConvError
        If they are no such text.
    """
    try:
        text = contents.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConvError(
            "not text in UTF-8; save it as plain text, or name it by its format"
        ) from None
    if not text.strip():
        raise ConvError("the file is empty")
    return text


def parse_json(text: str, advice: str) -> object:
    """Return what a JSON text holds, every number as a float.

    Whole numbers too: one of 5,000 digits is then infinite, and whoever asks for finite ones
    refuses it.

    Raises
    ------
    ConvError
        If it is no JSON, holds a key twice or is nested too deeply, which ``advice`` helps against.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique_keys, parse_int=float)
    except json.JSONDecodeError as error:
        raise ConvError(
            f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise ConvError(f"too deeply nested; {advice}") from None


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    counts = Counter(key for key, _ in pairs)
    if len(counts) < len(pairs):
        twice = json_shown(counts.most_common(1)[0][0])
        raise ConvError(f"the key {twice} is given twice; keep one")
    return dict(pairs)


def json_shown(value: object) -> str:
    """Return a JSON value as errors show it: short, and on one line."""
    match value:
        case list() | tuple():
            return "a list"
        case dict():
            return "an object"
    try:
        return shown(json.dumps(value))
    except TypeError:  # from Python, not from a file
        return shown(repr(value))
