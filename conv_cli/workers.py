"""Jobs over processes: who is free takes the next one, and one that dies costs its job alone.

Threads would share Python's lock, which small images need most of the time.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Job = TypeVar("Job")
Answer = TypeVar("Answer")
Progress = Callable[[float], None]

CAN_FORK = sys.platform == "linux"
"""Elsewhere the libraries beneath NumPy are not made for processes that are copies of another."""
_PATIENCE = 10.0
"""Seconds that a worker has for what it is doing when it is told to end."""


def answers(
    work: Callable[[Job, Progress | None], Answer],
    jobs: Sequence[Job],
    workers: int,
    progress: Progress | None,
    died: Callable[[Job, str], Answer],
) -> Iterator[Answer]:
    """Yield what the work makes of every job, in the order of the jobs.

    Parameters
    ----------
    work : callable
        Runs in another process, which is a copy of this one; its answers are pickled.
    workers : int
        Processes at once, each with one job at a time.
    progress : callable, optional
        Is told here what the work tells there.
    died : callable
        Makes the answer to a job whose worker died, from how it did.

    Closing the iterator, or an exception in it, ends the workers and waits for them.
    """
    pool = _Pool(work, jobs, progress, died)
    ready: dict[int, Answer] = {}
    try:
        pool.start(min(workers, len(jobs)))
        for wanted in range(len(jobs)):
            while wanted not in ready:
                ready.update(pool.wait())
            yield ready.pop(wanted)
    finally:
        pool.end()


class _Worker:
    """A process, this end of the line to it, and the number of its job."""

    def __init__(self, serve: Callable[["Connection"], None]) -> None:
        from multiprocessing import get_context

        context = get_context("fork")
        self.line, far_end = context.Pipe()
        self.process = context.Process(target=self._main, args=(far_end, serve), daemon=True)
        self.process.start()
        far_end.close()
        self.job: int | None = None

    def _main(self, far_end: "Connection", serve: Callable[["Connection"], None]) -> None:
        self.line.close()  # or the far end would not see the other process hang up
        serve(far_end)


class _Pool(Generic[Job, Answer]):
    """The workers of one run."""

    def __init__(
        self,
        work: Callable[[Job, Progress | None], Answer],
        jobs: Sequence[Job],
        progress: Progress | None,
        died: Callable[[Job, str], Answer],
    ) -> None:
        self._work, self._jobs, self._progress, self._died = work, jobs, progress, died
        self._waiting = iter(range(len(jobs)))
        self._workers: dict[Any, _Worker] = {}

    def start(self, count: int) -> None:
        """Start so many workers, each with a job if one is left."""
        for _ in range(count):
            worker = _Worker(self._serve)
            self._workers[worker.line] = worker
            self._give(worker)

    def wait(self) -> dict[int, Answer]:
        """Wait for something to happen, and return the answers that came, by their job's number."""
        from multiprocessing.connection import wait

        came: dict[int, Answer] = {}
        for line in wait(self._workers):
            worker = self._workers[line]
            try:
                message = worker.line.recv()
            except (EOFError, ConnectionError):
                came |= self._buried(worker)
                continue
            if isinstance(message, float):
                assert self._progress is not None
                self._progress(message)
            elif worker.job is not None:
                if isinstance(message, BaseException):
                    raise message
                came[worker.job] = message
                self._give(worker)
        return came

    def end(self) -> None:
        """Let idle workers go, stop the others, and wait for all of them."""
        for worker in self._workers.values():
            if worker.job is not None:
                worker.process.terminate()
            worker.line.close()
        for worker in self._workers.values():
            worker.process.join(_PATIENCE)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    def _give(self, worker: _Worker) -> None:
        """Give a worker the next job, if there is one."""
        worker.job = next(self._waiting, None)
        if worker.job is not None:
            worker.line.send(worker.job)

    def _buried(self, worker: _Worker) -> dict[int, Answer]:
        """Put another worker in the place of one that died, and answer for its job."""
        worker.process.join()
        del self._workers[worker.line]
        worker.line.close()
        if worker.job is None:
            return {}
        self.start(1)
        code = worker.process.exitcode or 0
        how = f"by signal {-code}" if code < 0 else f"with code {code}"
        return {worker.job: self._died(self._jobs[worker.job], how)}

    def _serve(self, line: "Connection") -> None:
        """Work for the process at the other end of the line, until it hangs up."""
        for worker in self._workers.values():
            worker.line.close()
        tell = None if self._progress is None else line.send
        try:
            while True:
                job = self._jobs[line.recv()]
                try:
                    answer: Any = self._work(job, tell)
                except Exception as error:  # raised again at the other end
                    answer = error
                line.send(answer)
        except (EOFError, ConnectionError):
            return
        except BaseException:  # a signal: all that was open has been put away on the way here
            return
