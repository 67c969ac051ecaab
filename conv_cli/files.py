"""Writing a file whole or not at all. The one place where output files are made."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from conv_cli.errors import ImageError

_REASONS = {
    errno.ENOENT: "its folder does not exist; make it first",
    errno.ENOTDIR: "a part of its path is no folder; check the path",
    errno.EACCES: "permission denied; write elsewhere, or change the permissions of its folder",
    errno.EPERM: "not permitted; write elsewhere, or change the permissions of its folder",
    errno.EROFS: "the file system is read-only; write elsewhere",
    errno.ENOSPC: "the disk is full; free some space, or write elsewhere",
    errno.EDQUOT: "the disk quota is used up; free some space, or write elsewhere",
    errno.EFBIG: "larger than the limit on file sizes; raise the limit, or write elsewhere",
    errno.EIO: "the disk reports an error; write elsewhere",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.ELOOP: "its links go round in a circle; choose another name",
    errno.EMFILE: "too many files are open; use fewer jobs",
    errno.ENFILE: "too many files are open; use fewer jobs",
    errno.EEXIST: "exists; use --force to overwrite",
    errno.EISDIR: "is a folder; give the name of a file",
}


def write_atomically(
    path: str | os.PathLike[str], write: Callable[[BinaryIO], None], *, force: bool = False
) -> None:
    """Make the file `path` from what `write` puts into the stream that it is given.

    The bytes go to a temporary file beside the target, are synced to the disk, and only then get
    the target's name. Whatever fails, an interrupt too, the temporary file is removed, and the
    target keeps its old bytes or stays absent.

    path : the target. A new file gets the mode that the umask leaves; an overwritten one keeps
        its mode. A symbolic link is written through with `force` (the link stays, the file that
        it names is replaced) and refused like any other existing name without.
    write : called once with a buffered binary stream, opened for writing.
    force : replace an existing file. Without it an existing target is refused, also when it
        appears while `write` runs.

    Raises ImageError, `NAME: reason, and what to do`, for every OSError, those of `write` too.
    Other exceptions of `write` pass unchanged.
    """
    name = os.fsdecode(path)
    try:
        target = _checked_target(name, force)
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else None
        temporary = target.with_name(f".{os.urandom(8).hex()}.tmp")
        try:
            _write_synced(temporary, write, mode)
            if force:
                temporary.replace(target)
            else:
                _place_new(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ImageError(f"{name}: {_reason(error)}") from error


def check_target(path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Raise what `write_atomically` would for this target, before any work is done for it."""
    name = os.fsdecode(path)
    try:
        target = _checked_target(name, force)
        if not target.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    except OSError as error:
        raise ImageError(f"{name}: {_reason(error)}") from error


def same_file(one: str, other: str) -> bool:
    """Tell whether two names mean one file, as far as both are there."""
    try:
        return Path(one).samefile(other)
    except (OSError, ValueError):
        return False


def write_bytes(path: str | os.PathLike[str], data: bytes, *, force: bool = False) -> None:
    """Make the file `path` of bytes that are there already, as `write_atomically` does."""

    def write(stream: BinaryIO) -> None:
        stream.write(data)

    write_atomically(path, write, force=force)


def _checked_target(name: str, force: bool) -> Path:
    """The real file to write, once nothing speaks against it."""
    if "\0" in name:
        raise ImageError(f"{name}: a name cannot hold a null character; choose another name")
    target = Path(name)
    if target.is_dir() or name.endswith(os.sep):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not force:
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        return target
    if target.is_symlink():
        target = Path(os.path.realpath(target))
    try:
        kind = target.stat().st_mode
    except FileNotFoundError:
        return target
    if not stat.S_ISREG(kind):
        raise ImageError(f"{name}: not a regular file (a pipe or device); write to a file")
    return target


def _write_synced(temporary: Path, write: Callable[[BinaryIO], None], mode: int | None) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(temporary, flags, 0o666), "wb") as stream:
        write(stream)
        stream.flush()
        if mode is not None:
            temporary.chmod(mode)
        os.fsync(stream.fileno())


def _place_new(temporary: Path, target: Path) -> None:
    """Give `temporary` the name `target`, unless that exists by now; no moment lies between."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links: reserve the name, then replace what is ours
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        try:
            temporary.replace(target)
        except BaseException:
            target.unlink(missing_ok=True)
            raise


def _reason(error: OSError) -> str:
    if error.errno in _REASONS:
        return _REASONS[error.errno]
    return f"cannot be written ({error.strerror or error}); write elsewhere"
