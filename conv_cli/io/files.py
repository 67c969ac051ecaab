"""Files read within a bound, and written whole or not at all: the one place where any is made."""

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Self, TypeVar

from conv_cli.errors import ConvError, ImageError

T = TypeVar("T")
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
_HIDDEN = ".conv-cli-{}-{}.tmp"  # the number of the process that writes it, and a random one
_ALL_MAY = 0o666  # less the umask
_CAN_BE_NAMELESS = hasattr(os, "O_TMPFILE") and Path("/proc/self/fd").is_dir()
_NO_NAMELESS = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)  # from such a file system or kernel


@contextlib.contextmanager
def opened(file: Path, what: str) -> Iterator[tuple[BinaryIO, int]]:
    """Open a regular file for reading, and give its bytes as a stream and how many there are.

    No pipe or device is read, as it could stall the reader. Raises ConvError, the reason alone, if
    the file is missing, unreadable or not regular; ``what`` it should be is named ("kernel").
    """
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ConvError(f"not a regular file; give the path of a {what} file")
        with file.open("rb") as stream:
            yield stream, status.st_size
    except ConvError:
        raise
    except FileNotFoundError:
        raise ConvError("no such file; check the path") from None
    except OSError as error:
        raise ConvError(f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise ConvError("no file can have this name; check the path") from None


def read_bounded(file: Path, limit: int, what: str) -> bytes:
    """Return the bytes of a regular file of at most `limit` of them.

    Raises ConvError, the reason alone, as ``opened`` does, or if the file is larger than any of the
    kind `what` ("kernel") needs to be.
    """
    with opened(file, what) as (stream, size):
        # As many bytes as are asked for are allocated, however few there are.
        contents = b"" if size > limit else stream.read(size + 1)
        if len(contents) > size:  # it grew, or did not tell its size
            contents += stream.read(limit)
    if max(size, len(contents)) > limit:
        raise ConvError(f"larger than {limit:,} bytes, which no {what} needs")
    return contents


def write_atomically(
    path: str | os.PathLike[str], write: Callable[[BinaryIO], T], *, force: bool = False
) -> T:
    """Make the file `path` from what `write` puts into the stream that it is given.

    The bytes go to a new file in the folder of the target, are synced to the disk, and only then
    get the target's name. On Linux the new file has no name before, so that even a process that is
    killed leaves nothing behind; elsewhere it has a hidden one. Whatever fails, the target keeps
    its old bytes or stays absent.

    path : the target. A new file gets the mode that the umask leaves; an overwritten one keeps
        its mode. A symbolic link is written through with `force` (the link stays, the file that
        it names is replaced) and refused like any other existing name without.
    write : called once with a buffered binary stream, opened for writing; what it returns is
        returned.
    force : replace an existing file. Without it an existing target is refused, also when it
        appears while `write` runs.

    Raises ImageError, `NAME: reason, and what to do`, for every OSError, those of `write` too.
    Other exceptions of `write` pass unchanged.
    """
    name = os.fsdecode(path)
    try:
        target = _checked_target(name, force)
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else None
        with _Draft(target.parent) as draft:
            result = write(draft.stream)
            draft.finish(mode)
            if force:
                draft.replace(target)
            else:
                draft.appear_as(target)
            return result
    except OSError as error:
        raise ImageError(f"{name}: {_reason(error)}") from error


def write_folder(
    path: str | os.PathLike[str], write: Callable[[Path], T], *, force: bool = False
) -> T:
    """Make the folder `path` of what `write` puts into the new one whose path it is given.

    That is hidden, beside the target, and gets its name when all in it is synced to the disk. With
    `force` it takes the place of a folder or file of that name; whatever fails, that is kept.

    Raises as `write_atomically` does.
    """
    name = os.fsdecode(path)
    target = Path(name.rstrip(os.sep))
    try:
        if os.path.lexists(target) and not force:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        if force and target.is_symlink():
            target = Path(os.path.realpath(target))
        draft, old = (target.parent / _hidden_name() for _ in range(2))
        try:
            draft.mkdir()
            result = write(draft)
            _sync_tree(draft)
            if os.path.lexists(target):
                target.rename(old)
            draft.rename(target)
        except BaseException:
            if old.exists() and not os.path.lexists(target):
                old.rename(target)
            raise
        finally:
            for folder in (draft, old):
                _remove(folder)
        return result
    except OSError as error:
        raise ImageError(f"{name}: {_reason(error)}") from error


def _hidden_name() -> str:
    return _HIDDEN.format(os.getpid(), os.urandom(8).hex())


def _remove(path: Path) -> None:
    """Remove a file, or a folder and all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync_tree(root: Path) -> None:
    """Bring all files in a folder, and their names, to the disk."""
    for folder, _, files in os.walk(root):
        for path in (*(Path(folder, file) for file in files), Path(folder)):
            if path.is_dir() and os.name == "nt":
                continue  # where no folder can be opened
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


INPUT = "is an input and never overwritten; choose another output"
"""What is wrong with an output that something is read from."""


def check_target(
    path: str | os.PathLike[str], *, force: bool = False, inputs: Iterable[str] = ()
) -> None:
    """Raise what `write_atomically` would for this target, before any work is done for it.

    inputs : iterable of str. Files that are read: none may be the target, under whatever name.
    """
    name = os.fsdecode(path)
    if any(same_file(name, other) for other in inputs):
        raise ImageError(f"{name}: {INPUT}")
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
    write_atomically(path, lambda stream: stream.write(data), force=force)


def discard_drafts(folder: str | os.PathLike[str], process: int) -> None:
    """Remove the hidden files that a process which was killed has left in a folder."""
    with contextlib.suppress(OSError):
        for draft in Path(folder).glob(_HIDDEN.format(process, "*")):
            _remove(draft)


class _Draft:
    """A new file in a folder that has no name yet or, where every file needs one, a hidden one."""

    def __init__(self, folder: Path) -> None:
        self._hidden = folder / _hidden_name()
        descriptor = _open_nameless(folder)
        self._nameless = descriptor is not None
        if descriptor is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            descriptor = os.open(self._hidden, flags, _ALL_MAY)
        self.stream = os.fdopen(descriptor, "wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # what could not be written has been told before
            self.stream.close()
        self._hidden.unlink(missing_ok=True)

    def finish(self, mode: int | None) -> None:
        """Bring everything that was written to the disk; `mode` is that of the file if given."""
        self.stream.flush()
        if mode is not None:
            os.chmod(self.stream.fileno() if self._nameless else self._hidden, mode)  # noqa: PTH101
        os.fsync(self.stream.fileno())

    def appear_as(self, target: Path) -> None:
        """Give it a name that nothing has; FileExistsError if something has; no moment between."""
        if self._nameless:
            self._link(target)
            return
        self.stream.close()
        try:
            os.link(self._hidden, target)
        except FileExistsError:
            raise
        except OSError:  # a file system without links: reserve the name, then replace what is ours
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            try:
                self._hidden.replace(target)
            except BaseException:
                target.unlink(missing_ok=True)
                raise

    def replace(self, target: Path) -> None:
        """Give it a name, whatever has that."""
        if self._nameless:
            self._link(self._hidden)
        self.stream.close()
        self._hidden.replace(target)

    def _link(self, name: Path) -> None:
        # With a descriptor beside it os.link calls linkat, and that follows this link to the file.
        own = self.stream.fileno()
        os.link(f"/proc/self/fd/{own}", name, src_dir_fd=own, follow_symlinks=True)


def _open_nameless(folder: Path) -> int | None:
    """Open a new file without a name in a folder; None if this system or its disk has none."""
    if not _CAN_BE_NAMELESS:
        return None
    try:
        return os.open(folder, os.O_TMPFILE | os.O_WRONLY, _ALL_MAY)
    except OSError as error:
        if error.errno in _NO_NAMELESS:
            return None
        raise


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


def _reason(error: OSError) -> str:
    if error.errno in _REASONS:
        return _REASONS[error.errno]
    return f"cannot be written ({error.strerror or error}); write elsewhere"
