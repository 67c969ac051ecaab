"""NumPy's kernel files, .npy and .npz, judged by their headers before any array is made.

Only headers and plain numbers are read, never pickles. Sizes are bounded twice over: by what a
header announces, and by what is taken from a stream.
"""

import io
from typing import TYPE_CHECKING

import numpy as np

from conv_cli.errors import ConvError, KernelError
from conv_cli.io.npy import parse_npy
from conv_cli.io.text import shown
from conv_cli.kernels.kernel import MAX_WEIGHTS, Kernel

if TYPE_CHECKING:
    import zipfile

_MAX_BANK_KERNELS = 65_536
_MAX_BANK_BYTES = 32 * MAX_WEIGHTS


def read_npy(contents: bytes, label: str) -> Kernel:
    """Return the kernel in the bytes of a .npy file: a real matrix of any dtype and byte order.

    Raises
    ------
    KernelError
        If they are no such file, or hold objects, complex numbers, another number of dimensions
        than two, or more than 4,194,304 weights.
    """
    try:
        weights = parse_npy(contents, _check_header)
    except ConvError as error:
        raise KernelError(f"kernel {label}: {error}") from None
    return Kernel(weights, name=label)


def read_npz(contents: bytes, label: str) -> list[Kernel]:
    """Return the kernels in the bytes of a .npz file, in the archive's order.

    Raises
    ------
    KernelError
        If they are no such file, a member is not what `read_npy` reads, or the members are too many
        or would unpack to more than 128 MiB.
    """
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(contents)) as archive:
            members = archive.infolist()
            _check_bank(members, label)
            return [_read_member(archive, member, label) for member in members]
    except KernelError:
        raise
    except Exception as error:  # damage, encryption, unknown methods: each unpacker raises its own
        raise KernelError(
            f"kernel {label}: its archive is damaged ({shown(str(error))}); save it again by "
            "numpy.savez"
        ) from None


def _check_header(shape: tuple[int, ...], dtype: np.dtype) -> None:
    if dtype.kind not in "buif":
        raise ConvError(f"its weights are {dtype}, expected real numbers")
    if len(shape) != 2 or min(shape) < 1:
        raise ConvError(f"its shape is {shape}, expected (rows, columns)")
    if shape[0] * shape[1] > MAX_WEIGHTS:
        raise ConvError(f"{shape[0]}x{shape[1]} are more than {MAX_WEIGHTS:,} weights")


def _check_bank(members: "list[zipfile.ZipInfo]", label: str) -> None:
    if not members:
        raise KernelError(f"kernel {label}: the bank is empty")
    if len(members) > _MAX_BANK_KERNELS:
        raise KernelError(f"kernel {label}: more than {_MAX_BANK_KERNELS:,} kernels in one bank")
    if sum(member.file_size for member in members) > _MAX_BANK_BYTES:
        raise KernelError(f"kernel {label}: it unpacks to more than {_MAX_BANK_BYTES:,} bytes")


def _read_member(archive: "zipfile.ZipFile", member: "zipfile.ZipInfo", label: str) -> Kernel:
    """Return the kernel of one member; its name is never used as a path."""
    with archive.open(member) as stream:
        contents = stream.read(member.file_size)  # and not more, whatever the data would unpack to
    return read_npy(contents, f"{label}, array {member.filename.removesuffix('.npy')}")
