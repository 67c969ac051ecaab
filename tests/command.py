"""The command in a process of its own, as a shell would run it, under whatever conditions."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
COMMAND = (sys.executable, "-m", "conv_cli")

ENVIRONMENT = {
    **{name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ},
    "HOME": tempfile.gettempdir(),
    "LANG": "C.UTF-8",
    "PYTHONPATH": str(ROOT),  # where the package is; no other variable of Python's, as for users
    "COLUMNS": "100",
}
"""What a user's shell sets, so that what Python does by default is what is tested."""


def run(*arguments, before=(), **options):
    """Run the command; `before` is what stands in front of it, such as `strace`."""
    options = {"capture_output": True, "timeout": 60, "env": ENVIRONMENT, **options}
    return subprocess.run([*before, *COMMAND, *map(str, arguments)], check=False, **options)


def start(*arguments, **options):
    """Start the command and return the process, its stdout and stderr being pipes."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": ENVIRONMENT, **options}
    return subprocess.Popen([*COMMAND, *map(str, arguments)], **options)


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
