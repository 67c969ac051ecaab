"""The table of other tools: which strings are read, and what kernels are written for."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from conv_cli.errors import ConvError, KernelError
from conv_cli.io.files import read_bounded
from conv_cli.io.tables import MAX_BYTES
from conv_cli.io.text import decode_text, shown
from conv_cli.kernels.formats import dump_kernel
from conv_cli.kernels.kernel import Kernel, brief_name, common_frame, named
from conv_cli.kernels.learned import ChannelKernel
from conv_cli.kernels.tools.ffmpeg import approximate_ffmpeg, read_ffmpeg, write_ffmpeg
from conv_cli.kernels.tools.gegl import approximate_gegl, write_gegl
from conv_cli.kernels.tools.gmic import read_gmic, write_gmic
from conv_cli.kernels.tools.imagemagick import read_imagemagick, write_imagemagick
from conv_cli.kernels.tools.python_code import write_opencv, write_pytorch, write_scipy
from conv_cli.kernels.tools.typed import Typed

READERS: dict[str, Callable[[Typed], list[Kernel]]] = {
    "imagemagick": read_imagemagick,
    "gmic": read_gmic,
    "ffmpeg": read_ffmpeg,
}
"""The reader of the strings behind each tag."""


class Target(NamedTuple):
    """What a kernel can be written for: as text or bytes, or first as the closest that it holds.

    channels : bool. A kernel for each channel can.
    """

    write: Callable[[Kernel], str | bytes]
    approximate: Callable[[Kernel], Kernel] | None = None
    channels: bool = False


def _file(ending: str, *, channels: bool = False) -> Target:
    return Target(lambda kernel: dump_kernel(kernel, ending), channels=channels)


TARGETS: dict[str, Target] = {
    "json": _file(".json", channels=True),
    "csv": _file(".csv"),
    "txt": _file(".txt"),
    "npy": _file(".npy"),
    "vips": _file(".mat"),
    "imagemagick": Target(write_imagemagick),
    "gmic": Target(write_gmic),
    "ffmpeg": Target(write_ffmpeg, approximate_ffmpeg),
    "gegl": Target(write_gegl, approximate_gegl),
    "opencv": Target(write_opencv, channels=True),
    "scipy": Target(write_scipy, channels=True),
    "pytorch": Target(write_pytorch, channels=True),
}


class Converted(NamedTuple):
    """A kernel for another tool.

    data : where it is text, it ends with a line feed.
    error : the most by which the tool's result can differ, in levels of an 8-bit image (0..255);
        None if it is the same picture.
    """

    data: bytes
    error: float | None = None


def convert(kernel: Kernel, name: str, *, approximate: bool = False) -> Converted:
    """Return the kernel in the form of the target of that name.

    name : a key of `TARGETS`.
    approximate : where the target cannot hold the kernel, write the closest that it can.

    Raises KernelError if it cannot hold it.
    """
    target = TARGETS[name]
    if isinstance(kernel, ChannelKernel) and not target.channels:
        able = ", ".join(other for other, each in TARGETS.items() if each.channels)
        raise KernelError(
            f"kernel {kernel.name}: it is {kernel.kind}, and {name} takes one for all; "
            f"write it for {able}"
        )
    with named(kernel.name), np.errstate(over="ignore"):  # sums of weights near the largest float64
        try:
            return Converted(_bytes(target.write(kernel)))
        except ConvError:
            if not approximate or target.approximate is None:
                raise
        closest = target.approximate(kernel)
        return Converted(_bytes(target.write(closest)), _largest_difference(kernel, closest))


def is_tagged(spec: str) -> bool:
    """Tell whether a text begins with the tag of a tool."""
    return ":" in spec and spec.partition(":")[0].strip().lower() in READERS


def read_tagged(spec: str) -> list[Kernel]:
    """Return the kernels of ``TOOL:STRING``, or ``TOOL:@FILE`` where the string is in a file.

    Each is called by its text, or by its size if long, or by its file; those of a set are counted.

    Raises KernelError if the string is malformed, with the place counted from 1 in `spec` or in the
    file, or the file cannot be read.
    """
    tag, _, text = spec.partition(":")
    tool = tag.strip().lower()
    label = shown(spec)
    file = text.strip().removeprefix("@") if text.strip().startswith("@") else ""
    with named(label):
        if file:
            held = decode_text(read_bounded(Path(file), MAX_BYTES, "kernel")).rstrip()
            typed = Typed(held, 0, len(held), label)
        else:
            typed = Typed(spec, len(tag) + 1, len(spec), label)
        kernels = READERS[tool](typed)
    name = Path(file).stem or brief_name(" ".join(spec.split()), kernels[0].weights, tool)
    if len(kernels) == 1:
        return [replace(kernels[0], name=name)]
    return [replace(kernel, name=f"{name}-{i}") for i, kernel in enumerate(kernels, 1)]


def _bytes(written: str | bytes) -> bytes:
    if isinstance(written, bytes):
        return written
    return f"{written.rstrip()}\n".encode(errors="backslashreplace")  # names of files may be odd


def _largest_difference(one: Kernel, other: Kernel) -> float:
    """Return by how much the results of two kernels can differ on an 8-bit image."""
    a, b = common_frame((one, other))
    difference = a.weights - b.weights
    up, down = np.maximum(difference, 0).sum(), np.maximum(-difference, 0).sum()
    return 255 * float(max(up, down))
