"""The command, in a process of its own under whatever conditions, or in this one."""

import contextlib
import gc
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from unittest import mock

from conv_cli.cli import main

ROOT = Path(__file__).parent.parent
COMMAND = (sys.executable, "-m", "conv_cli")


def _is_installed():
    """Tell whether it is this folder that is installed here, as by `pip install -e .`."""
    with contextlib.suppress(PackageNotFoundError):
        origin = distribution("conv-cli").read_text("direct_url.json")
        return origin is not None and json.loads(origin)["url"] == ROOT.as_uri()
    return False


PACKAGE = {} if _is_installed() else {"PYTHONPATH": str(ROOT)}
ENVIRONMENT = {
    **{
        name: os.environ[name]
        for name in ("PATH", "TMPDIR", "CONV_CLI_START_METHOD")
        if name in os.environ
    },
    "HOME": tempfile.gettempdir(),
    "LANG": "C.UTF-8",
    **PACKAGE,
    "COLUMNS": "100",
}
"""What a user's shell sets, so that what Python does by default is what is tested: no variable of
Python's, but where only that leads to this package."""


def run(*arguments, before=(), **options):
    """Run the command; `before` is what stands in front of it, such as `strace`."""
    options = {"capture_output": True, "timeout": 60, "env": ENVIRONMENT, **options}
    return subprocess.run([*before, *COMMAND, *map(str, arguments)], check=False, **options)


def start(*arguments, **options):
    """Start the command and return the process, its stdout and stderr being pipes."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": ENVIRONMENT, **options}
    return subprocess.Popen([*COMMAND, *map(str, arguments)], **options)


def call(*arguments, stdin=None, cwd=None):
    """Run the command in this process, where one of its own would add nothing but time."""
    words = ["conv-cli", *map(str, arguments)]
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with (
        _stream(stdin or b"") as source,
        _stream() as stdout,
        _stream() as stderr,
        contextlib.chdir(cwd or "."),
        mock.patch.multiple(sys, argv=words, stdin=source, stdout=stdout, stderr=stderr),
        mock.patch.dict(os.environ, COLUMNS=ENVIRONMENT["COLUMNS"]),
        warnings.catch_warnings(),
    ):
        try:
            main.main()
        except SystemExit as end:
            code = end.code
        finally:
            gc.unfreeze()
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return subprocess.CompletedProcess(words, code, _written(stdout), _written(stderr))


def _stream(data=b""):
    """Return a stream on a file, which workers share."""
    file = tempfile.TemporaryFile()  # noqa: SIM115
    file.write(data)
    file.seek(0)
    return io.TextIOWrapper(file, "utf-8", "backslashreplace", write_through=True)


def _written(stream):
    stream.buffer.seek(0)
    return stream.buffer.read()


def error_line(done, code=1):
    """Check the exit code, and that stderr is one line of error; return it."""
    lines = done.stderr.decode().splitlines()
    assert done.returncode == code, (done.returncode, lines)
    assert len(lines) == 1, lines
    assert lines[0].startswith("Error: "), lines
    return lines[0]


def tree(folder):
    """Return every name below a folder, hidden ones too, with the bytes of files."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(Path(folder).rglob("*"))
    }
