"""Jobs over processes: who is free gets the next one, and one that dies costs its job alone.

Threads would share Python's lock, which small images need most of the time. And a decoder that
crashes, runs out of memory, or takes no notice of a signal takes a worker with it, never the run.

Workers are copies of this process on Linux, where that is safe, and start anew elsewhere, where the
libraries beneath NumPy are not made for copies; ``CONV_CLI_START_METHOD``, "fork" or "spawn", says
otherwise.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from conv_cli.parallel.memory import reuse_freed_memory

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

Job = TypeVar("Job")
Answer = TypeVar("Answer")
Progress = Callable[[float], None]
Work = Callable[[Job, Progress], Answer]

_STOPPING = (signal.SIGINT, signal.SIGTERM)
_STDERR = 2
_ORPHAN_SECONDS = 1.0
"""How often a worker that waits looks whether there is still someone to wait for."""


def answers(
    work: Work[Job, Answer],
    jobs: Sequence[Job],
    workers: int,
    progress: Progress | None,
    died: Callable[[Job, int, str], Answer],
) -> Iterator[Answer]:
    """Yield what the work makes of every job, in the order of the jobs.

    work : callable. Runs in another process; its answers are pickled, and where processes are not
        copies it is too, with the jobs. It tells its progress now and then: there it ends if this
        process is gone.
    workers : int. Processes at once, each with one job at a time; fewer where the system grants no
        more. If it grants none, the work is done here.
    progress : callable, optional. Is told here what the work tells there.
    died : callable. Makes the answer to a job whose worker died, from the number of that process
        and how it died; tidies up after it. Its answer is dropped for a worker that is stopped.

    Closing the iterator, or an exception in it, kills the workers and waits for them.
    """
    pool = _Pool(work, jobs, progress, died)
    ready: dict[int, Answer] = {}
    try:
        pool.start(min(workers, len(jobs)))
        for number in range(len(jobs)):
            while number not in ready:
                ready.update(pool.wait())
            yield ready.pop(number)
    finally:
        with _signals_deferred():
            pool.end()


class _Worker:
    """A process, this end of the pipe to it, and the number of its job."""

    def __init__(self, pool: "_Pool[Any, Any]") -> None:
        import multiprocessing

        default = "fork" if sys.platform == "linux" else "spawn"
        method = os.environ.get("CONV_CLI_START_METHOD", default)
        context = multiprocessing.get_context(method)
        self.job: int | None = None
        self.pipe, far = context.Pipe()
        # A copy has what belongs to this process, and would hold pipes to the others open.
        others = [each.pipe for each in (self, *pool.workers)] if method == "fork" else []
        arguments = (pool.work, pool.jobs, pool.progress is not None, far, others, os.getpid())
        if method == "spawn" and hasattr(signal, "pthread_sigmask"):
            from multiprocessing import resource_tracker

            resource_tracker.ensure_running()  # which would let signals through when it starts
        make: Any = context.Process  # type: ignore[attr-defined]
        self.process: BaseProcess = make(target=_serve, args=arguments, daemon=True)
        try:
            with _signals_deferred():
                self.process.start()
        except OSError:
            self.pipe.close()
            raise
        finally:
            far.close()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self.process.pid or 0

    def end(self) -> str:
        """Wait for the end of the process, and say how it ended."""
        self.pipe.close()
        self.process.join()
        code = self.process.exitcode or 0
        self.process.close()
        return f"by signal {-code}" if code < 0 else f"with code {code}"


class _Pool(Generic[Job, Answer]):
    """The workers of one run."""

    def __init__(
        self,
        work: Work[Job, Answer],
        jobs: Sequence[Job],
        progress: Progress | None,
        died: Callable[[Job, int, str], Answer],
    ) -> None:
        self.work, self.jobs, self.progress = work, jobs, progress
        self.workers: list[_Worker] = []
        self._died = died
        self._waiting = iter(range(len(jobs)))

    def start(self, count: int) -> None:
        """Start so many workers or as many as can be, each with a job if one is left."""
        for _ in range(count):
            try:
                worker = _Worker(self)
            except OSError:  # no more processes, descriptors or memory
                return
            self.workers.append(worker)
            self._give(worker)

    def wait(self) -> dict[int, Answer]:
        """Wait for something to happen, and return the answers that came, by their job's number."""
        if not self.workers:
            number = next(self._waiting)
            return {number: self.work(self.jobs[number], self.progress or _ignore)}
        from multiprocessing.connection import wait

        came: dict[int, Answer] = {}
        by_pipe: dict[Any, _Worker] = {worker.pipe: worker for worker in self.workers}
        for pipe in wait(list(by_pipe)):
            worker = by_pipe[pipe]
            try:
                message = worker.pipe.recv()
            except (EOFError, ConnectionError):
                came |= self._replaced(worker)
                continue
            if isinstance(message, float):
                (self.progress or _ignore)(message)
            elif worker.job is not None:
                if isinstance(message, BaseException):
                    raise message
                came[worker.job] = message
                self._give(worker)
        return came

    def end(self) -> None:
        """Kill the workers, idle ones too, and tidy up after those that had something to do."""
        for worker in self.workers:
            worker.process.kill()
        for worker in self.workers:
            process, how = worker.pid, worker.end()
            if worker.job is not None:
                self._died(self.jobs[worker.job], process, how)

    def _give(self, worker: _Worker) -> None:
        """Give a worker the next job, if there is one."""
        worker.job = next(self._waiting, None)
        if worker.job is not None:
            with suppress(ConnectionError):  # it just died: its pipe will tell
                worker.pipe.send(worker.job)

    def _replaced(self, worker: _Worker) -> dict[int, Answer]:
        """Put another worker in the place of one that died, and answer for its job."""
        self.workers.remove(worker)
        process, how = worker.pid, worker.end()
        if worker.job is None:
            return {}
        answer = self._died(self.jobs[worker.job], process, how)
        self.start(1)
        return {worker.job: answer}


def _serve(
    work: Work[Any, Any],
    jobs: Sequence[Any],
    tells: bool,
    pipe: "Connection",
    others: "list[Connection]",
    parent: int,
) -> None:
    """Be a worker, until the other end of the pipe hangs up or this process is killed.

    Ctrl-C reaches every process of a terminal: it is the parent's to answer. And what C libraries
    print when something fails is not for the user: the parent says it.
    """
    if not sys.flags.dev_mode:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, _STDERR)
        os.close(nothing)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
    for other in others:
        other.close()
    reuse_freed_memory()
    one_at_a_time = Lock()

    def tell(share: float) -> None:
        if os.getppid() != parent:
            raise SystemExit
        if tells:
            with one_at_a_time:
                pipe.send(float(share))

    with suppress(EOFError, OSError):  # the other end is gone
        while True:
            while not pipe.poll(_ORPHAN_SECONDS):
                if os.getppid() != parent:
                    return
            job = jobs[pipe.recv()]
            try:
                answer: Any = work(job, tell)
            except Exception as error:  # raised again at the other end
                answer = error
            pipe.send(answer)


@contextmanager
def _signals_deferred() -> Iterator[None]:
    """Let signals that ask for the end wait, so that no process is lost sight of."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ignore(share: float) -> None:
    """Progress that nobody asks for."""
