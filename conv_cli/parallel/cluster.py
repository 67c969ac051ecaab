"""Jobs over the workers of a Dask cluster: on this machine, or wherever an address leads.

Batches of about two seconds travel, as a scheduler takes far longer for ten thousand tasks than for
a hundred; and only names, options and kernels do: workers open and write the files themselves.
"""

import json
import logging
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from conv_cli.errors import ConvError
from conv_cli.io.files import read_bounded
from conv_cli.parallel.processes import Progress, Work
from conv_cli.parallel.threads import available_threads

Job = TypeVar("Job")
Answer = TypeVar("Answer")

LOCAL = "local"
"""The address that means a cluster of this run's own, on this machine."""
_PACKAGES = ("conv-cli", "numpy", "pillow")
"""What workers must have in the same version: else their pixels may differ."""
_MOST_BYTES = 1 << 20
_CONNECT_SECONDS = 5
_WORKERS_SECONDS = 2
_BATCH_SECONDS = 2.0
_LONGEST_BATCH = 1000
_UNDER_WAY = 4
"""Batches a thread that have been sent and not come back."""
_AHEAD = 16
"""Batches a thread that may be done while an earlier one is not."""
_FOLDERS = 1000
"""Folders of inputs of which a worker is asked whether it sees them."""


class ClusterError(ConvError):
    """A cluster that cannot be reached, or that cannot do the work."""


@contextmanager
def connected(address: str, workers: int | None = None) -> Iterator["Cluster"]:
    """Connect to the cluster at an address, and leave it as it was found.

    address : str. Of a scheduler, as ``tcp://host:8786``; the file that it wrote; or "local", which
        starts a scheduler and workers here, and ends them.
    workers : int, optional. Processes of a local one; by default a core each.

    Raises ClusterError if the extra is missing, no scheduler answers within 5 seconds, or none of
    its workers is there.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError:
        raise ClusterError("--cluster: needs dask; run pip install 'conv-cli[dask]'") from None
    logging.disable(logging.CRITICAL)  # what matters of it is said in our own words
    own: Any = None
    client: Any = None
    dask.config.set({"distributed.comm.timeouts.connect": f"{_CONNECT_SECONDS}s"})
    try:
        if address == LOCAL:
            own = LocalCluster(
                n_workers=workers or available_threads(),
                threads_per_worker=1,
                dashboard_address=None,
                silence_logs=logging.CRITICAL,
            )
            client = Client(own, set_as_default=False)
        else:
            try:
                where = _address_in(address)
                client = Client(where, timeout=_CONNECT_SECONDS, set_as_default=False)
            except (OSError, ValueError, TimeoutError):
                raise ClusterError(
                    f"--cluster {address}: no scheduler answers there; check the address, start "
                    "one with dask-scheduler, or use --cluster local"
                ) from None
        yield Cluster(client, address)
    finally:
        with suppress(Exception):  # the work is done or given up: what is said of it is said
            if client is not None:
                client.close(timeout=1)
            if own is not None:
                own.close(timeout=1)
        logging.disable(logging.NOTSET)


def _address_in(name: str) -> str:
    """Return the address that a scheduler's file holds; a name of no file is one itself.

    Raises ValueError for a file of anything else.
    """
    if not Path(name).is_file():
        return name
    found = json.loads(read_bounded(Path(name), _MOST_BYTES, "scheduler file"))
    if not isinstance(found, dict) or not isinstance(found.get("address"), str):
        raise ValueError(name)
    return str(found["address"])


class _Batch(NamedTuple):
    """Jobs that travel together: the number of the first, and they themselves."""

    numbers: tuple[int, ...]
    jobs: tuple[Any, ...]

    def halves(self) -> "list[_Batch]":
        middle = len(self.numbers) // 2
        return [
            _Batch(self.numbers[part], self.jobs[part])
            for part in (slice(middle), slice(middle, None))
        ]


class Cluster:
    """The workers behind a connection.

    client : distributed.Client
    address : str. What errors call it.
    """

    def __init__(self, client: Any, address: str) -> None:
        self._client, self._address = client, address
        with suppress(TimeoutError):
            client.wait_for_workers(1, timeout=_WORKERS_SECONDS)
        if not self.threads:
            raise ClusterError(
                f"--cluster {address}: has no worker; start some with dask-worker, and look at "
                "their log"
            )

    @property
    def threads(self) -> int:
        """How many jobs it can do at once."""
        return sum(self._client.nthreads().values())

    @property
    def workers(self) -> int:
        """How many workers there are now."""
        return len(self._client.nthreads())

    def check(self, read: Sequence[str], written: Sequence[str]) -> None:
        """Make sure that every worker can do the work, before any of it is begun.

        read : sequence of str. Files, absolute.
        written : sequence of str. Files or folders that are made, absolute.

        Raises ClusterError for a worker with another version of conv-cli, NumPy or Pillow, or that
        does not see the files, or the folder of the outputs.
        """
        own = _versions()
        for worker, found in self._ask(_versions).items():
            for package, number in own.items():
                if found[package] != number:
                    raise ClusterError(
                        f"--cluster {self._address}: worker {worker} has {package} "
                        f"{found[package] or 'not at all'}, and here is {number}; install the same"
                    )
        self._require_seen(read, "does not see the input")
        for folder in dict.fromkeys(map(_nearest_folder, written)):
            with _token_in(folder) as token:
                self._require_seen([token], "does not see the output folder", folder)

    def _require_seen(self, files: Sequence[str], what: str, name: str | None = None) -> None:
        firsts = {os.path.dirname(file): file for file in reversed(files)}  # noqa: PTH120
        asked = list(firsts.values())[:_FOLDERS]
        here = {file: _size(file) for file in asked}
        for worker, sizes in self._ask(_sizes, asked).items():
            for file, size in zip(asked, sizes, strict=True):
                if size != here[file]:
                    raise ClusterError(
                        f"--cluster {self._address}: worker {worker} {what} {name or file}; give "
                        "paths of a file system that all machines share"
                    )

    def _ask(self, question: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        """Return every worker's answer to a question."""
        answers = self._client.run(question, *arguments, on_error="return")
        for worker, answer in answers.items():
            if isinstance(answer, Exception):
                words = " ".join(f"{type(answer).__name__}: {answer}".split())
                raise ClusterError(
                    f"--cluster {self._address}: worker {worker} cannot run conv-cli ({words}); "
                    "install the same version there"
                )
        return dict(answers)

    def answers(
        self,
        work: Work[Job, Answer],
        jobs: Sequence[Job],
        progress: Progress | None,
        died: Callable[[Job, int, str], Answer],
    ) -> Iterator[Answer]:
        """Yield what the work makes of every job, in the order of the jobs.

        Arguments are those of ``processes.answers``. A batch whose worker died is halved and tried
        again, and what is left of it alone in the end: only a job that kills a worker then is said
        to have died.
        """
        return _Feed(self, self._client, work, jobs, progress or _ignore, died).answers()


class _Feed(Generic[Job, Answer]):
    """The batches of one run: on their way, come back, and to be sent again."""

    def __init__(
        self,
        cluster: Cluster,
        client: Any,
        work: Work[Job, Answer],
        jobs: Sequence[Job],
        progress: Progress,
        died: Callable[[Job, int, str], Answer],
    ) -> None:
        from distributed import as_completed

        self._cluster, self._client, self._work = cluster, client, work
        self._jobs, self._progress, self._died = jobs, progress, died
        self._next = 0
        self._again: deque[_Batch] = deque()
        self._suspects: deque[_Batch] = deque()
        self._sent: dict[Any, _Batch] = {}
        self._ready: dict[int, Answer] = {}
        self._completed: Any = as_completed([], loop=client.loop)
        self._threads = cluster.threads
        self._looked = time.monotonic()
        self._size = 1

    def answers(self) -> Iterator[Answer]:
        """Yield answers in the order of the jobs."""
        try:
            for number in range(len(self._jobs)):
                while number not in self._ready:
                    self._send(number)
                    self._take(next(self._completed))
                yield self._ready.pop(number)
        finally:
            with suppress(Exception):
                self._client.cancel(list(self._sent), force=True)

    def _send(self, wanted: int) -> None:
        """Send as many batches as may be under way; a suspect alone, when nothing else is."""
        if time.monotonic() - self._looked > _BATCH_SECONDS:
            self._threads = self._cluster.threads or self._threads
            self._looked = time.monotonic()
        while len(self._sent) < _UNDER_WAY * self._threads:
            batch = self._again.popleft() if self._again else self._fresh(wanted)
            if batch is None:
                break
            self._submit(batch)
        if not self._sent and self._suspects:
            self._submit(self._suspects.popleft())

    def _fresh(self, wanted: int) -> _Batch | None:
        """Return the next jobs, of which a thread has enough for two seconds."""
        left = len(self._jobs) - self._next
        far = self._next - wanted > _AHEAD * self._threads * self._size
        if not left or (far and self._sent):
            return None
        count = min(self._size, max(1, left // (2 * self._threads)))
        numbers = range(self._next, self._next + count)
        self._next += count
        return _Batch(tuple(numbers), tuple(self._jobs[number] for number in numbers))

    def _submit(self, batch: _Batch) -> None:
        future = self._client.submit(_done, self._work, batch.jobs, pure=False)
        self._sent[future] = batch
        self._completed.add(future)

    def _take(self, future: Any) -> None:
        """Take what has come back: answers, or the news that a worker has died."""
        from distributed import KilledWorker

        batch = self._sent.pop(future)
        if future.status == "finished":
            answers, seconds = future.result()
            self._ready.update(zip(batch.numbers, answers, strict=True))
            for _ in batch.jobs:
                self._progress(1.0)
            fitting = int(_BATCH_SECONDS * len(batch.jobs) / max(seconds, 1e-6))
            self._size = max(1, min(fitting, 2 * self._size, _LONGEST_BATCH))
            return
        error = future.exception() if future.status == "error" else None
        if error is not None and not isinstance(error, KilledWorker):
            raise error
        alone = len(batch.jobs) == 1
        if not alone:
            self._again.extend(batch.halves())
        elif self._sent or error is None:  # it may be another one's fault
            self._suspects.append(batch)
        else:
            (number,), (job,) = batch
            self._ready[number] = self._died(job, 0, "with the worker that did it, again and again")
            self._progress(1.0)


def _done(work: Work[Any, Answer], jobs: Sequence[Any]) -> tuple[list[Answer], float]:
    """Do jobs on a worker; return their answers, and how long they took."""
    started = time.perf_counter()
    return [work(job, _ignore) for job in jobs], time.perf_counter() - started


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {"python": ".".join(map(str, sys.version_info[:2]))}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def _sizes(files: Sequence[str]) -> list[int | None]:
    return [_size(file) for file in files]


def _size(file: str) -> int | None:
    """Return the size of a file, None if there is none."""
    try:
        return Path(file).stat().st_size
    except (OSError, ValueError):
        return None


def _nearest_folder(path: str) -> str:
    """Return the folder that is there already in which a path is, or will be."""
    folder = Path(path)
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return str(folder)


@contextmanager
def _token_in(folder: str) -> Iterator[str]:
    """Put a small file into a folder for a while, and return its name."""
    import tempfile

    try:
        with tempfile.NamedTemporaryFile(prefix=".conv-cli-", dir=folder) as token:
            token.write(os.urandom(64))
            token.flush()
            yield token.name
    except OSError as error:
        raise ClusterError(
            f"{folder}: cannot be written to ({error.strerror}); choose another output folder"
        ) from None


def _ignore(share: float) -> None:
    """Progress that nobody asks for."""
