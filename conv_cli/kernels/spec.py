"""What a user types for a kernel: a built-in, a matrix, a file, or another tool's string.

In this order: the name of a built-in, with parameters after a colon, is that; ``@PATH`` is a file;
``imagemagick:``, ``gmic:`` and ``ffmpeg:`` begin a string of that tool's; anything that ends like a
kernel file is one; what holds numbers is a matrix; and the rest is looked for as a file. Nothing
that is typed is ever executed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

import numpy.typing as npt

from conv_cli.errors import KernelError
from conv_cli.io.matrix import is_matrix, parse_matrix
from conv_cli.io.text import shown
from conv_cli.kernels.catalogue import built_in, is_built_in, misread, suggestion
from conv_cli.kernels.kernel import Kernel, Weights, brief_name, named


def load_kernel(spec: str | os.PathLike[str] | npt.ArrayLike | Kernel) -> Kernel:
    """Return the one kernel that `spec` names.

    spec : str, path, array_like of shape (rows, columns), or Kernel
        A string is a built-in with or without parameters (``sobel-x``, ``gaussian:2``,
        ``gaussian:sigma=2,size=13``), a matrix (``"1 0 -1; 2 0 -2; 1 0 -1"``, ``"1/9 1/9; 0 1"``,
        ``"1 1; 1 1 / 4"``), another tool's string after its tag (``gmic:(0,1,0;1,-4,1;0,1,0)``) or
        the path of a .json, .csv, .txt, .npy, .npz or .mat file, which a leading ``@`` sets apart
        from a built-in of the same name. A Kernel is returned as it is.

    Raises KernelError if there is no such kernel, it is malformed (with the row and column at
    fault, counted from 1), or it is a set of several; `load_kernels` reads those.
    """
    kernels = load_kernels(spec)
    if len(kernels) != 1:
        names = [kernel.name for kernel in kernels]
        listed = ", ".join(names if len(names) <= 9 else [*names[:8], "…"])
        raise KernelError(
            f"kernel {_label(spec)}: it is a set of {len(kernels)} kernels ({listed}); "
            "name one of them, or read all by load_kernels"
        )
    return kernels[0]


def load_kernels(spec: str | os.PathLike[str] | npt.ArrayLike | Kernel) -> list[Kernel]:
    """Return all kernels that `spec` names: several for a set such as ``kirsch`` or a .npz bank.

    Takes what `load_kernel` takes, and raises KernelError as it does but for sets.
    """
    if isinstance(spec, Kernel):
        return [spec]
    if isinstance(spec, str):
        return _load_text(spec)
    if isinstance(spec, os.PathLike):
        from conv_cli.kernels.formats import read_kernels

        return read_kernels(os.fspath(spec))
    return [Kernel(cast("Weights", spec))]  # which checks that it is a matrix


def kernel_file(spec: str) -> str | None:
    """Return the file that a spec names, if there is one that it is read from."""
    if is_built_in(spec):
        return None
    from conv_cli.kernels.tools.strings import is_tagged

    name = spec.partition(":")[2] if is_tagged(spec) else spec
    name = name.removeprefix("@")
    try:
        return name if os.path.isfile(name) else None  # noqa: PTH113  # a name may be too long
    except ValueError:  # a null character
        return None


def _load_text(spec: str) -> list[Kernel]:
    if not spec.removeprefix("@").strip():
        raise KernelError(
            f"kernel {spec!r}: none is named; give a built-in such as sobel-x, a matrix or a file"
        )
    if is_built_in(spec):
        return built_in(spec)
    from conv_cli.kernels.formats import READABLE, read_kernels
    from conv_cli.kernels.tools.strings import is_tagged, read_tagged

    if spec.startswith("@"):
        return read_kernels(spec[1:])
    if is_tagged(spec):
        return read_tagged(spec)
    if Path(spec).suffix.lower() in READABLE:
        return read_kernels(spec)
    exists = os.path.exists(spec)  # noqa: PTH110  # Path.exists() raises for too long a name
    if not exists and (reason := misread(spec)):
        raise KernelError(f"kernel {_label(spec)}: {reason}")
    if is_matrix(spec):
        return [_inline(spec)]
    if exists:
        return read_kernels(spec)
    raise KernelError(f"kernel {_label(spec)}: {_unknown(spec)}")


def _inline(text: str) -> Kernel:
    """Return the kernel of an inline matrix; its name is its text with one space for each gap."""
    with named(_label(text)):
        weights, name = parse_matrix(text)
    return Kernel(weights, name=brief_name(name, weights, "matrix"))


def _unknown(spec: str) -> str:
    """Return why a text that is nothing known cannot be a kernel, and the likeliest way out."""
    if os.sep in spec:
        return "no such file; check the path"
    if similar := suggestion(spec):
        return f"no built-in and no file has this name; did you mean {similar}?"
    return (
        "no built-in and no file has this name; give a built-in such as sobel-x, a matrix such as "
        '"1 -1" or a file'
    )


def _label(spec: object) -> str:
    return shown(spec) if isinstance(spec, str) else str(spec)
