"""Batches as on macOS and Windows, where workers are no copies of the run but start anew."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BATCHES = [
    "test_cli_apply.py", "test_cli_net.py", "test_cli_progress.py",
    "test_faults_disk.py", "test_faults_signals.py", "test_faults_streams.py",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", BATCHES)
def test_of_batches_passes_with_workers_that_start_anew(name, request):
    done = subprocess.run(
        # A stdout that a test puts in its place within one process is not that of another.
        [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-o", "addopts=",
         "-p", "no:cacheprovider", "--deselect", "tests/test_cli_apply.py::TestStreams",
         str(HERE / name)],
        env={**os.environ, "CONV_CLI_START_METHOD": "spawn"},
        cwd=request.config.rootpath, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
