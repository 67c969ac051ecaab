"""Jobs over processes: who is free takes the next one, and one that dies costs its job alone.

Threads would share Python's lock, which small images need most of the time. And a decoder that
crashes, runs out of memory, or takes no notice of a signal takes a worker with it, never the run.
"""

import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

if TYPE_CHECKING:
    from socket import socket

Job = TypeVar("Job")
Answer = TypeVar("Answer")
Progress = Callable[[float], None]

CAN_FORK = sys.platform == "linux"
"""Elsewhere the libraries beneath NumPy are not made for processes that are copies of another."""
_STOPPING = (signal.SIGINT, signal.SIGTERM)
_LENGTH_BYTES = 8
_STDERR = 2


def answers(
    work: Callable[[Job, Progress], Answer],
    jobs: Sequence[Job],
    workers: int,
    progress: Progress | None,
    died: Callable[[Job, int, str], Answer],
) -> Iterator[Answer]:
    """Yield what the work makes of every job, in the order of the jobs.

    Parameters
    ----------
    work : callable
        Runs in another process, which is a copy of this one; its answers are pickled. It tells its
        progress now and then: there it ends if this process is gone.
    workers : int
        Processes at once, each with one job at a time; fewer where the system grants no more. If
        it grants none, the work is done here.
    progress : callable, optional
        Is told here what the work tells there.
    died : callable
        Makes the answer to a job whose worker died, from the number of that process and how it
        died; tidies up after it. Its answer is dropped for a worker that is stopped.

    Closing the iterator, or an exception in it, kills the workers and waits for them.
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
        with _signals_held():
            pool.end()


class _Line:
    """One end of a line between two processes: what is sent at one comes out of the other."""

    def __init__(self, end: "socket") -> None:
        self._end = end
        self.fileno, self.close = end.fileno, end.close

    def send(self, message: Any) -> None:
        """Send any object that can be pickled."""
        data = pickle.dumps(message)
        self._end.sendall(len(data).to_bytes(_LENGTH_BYTES, "little") + data)

    def receive(self) -> Any:
        """Return the next message; EOFError or ConnectionError says that none will come."""
        length = int.from_bytes(self._exactly(_LENGTH_BYTES), "little")
        return pickle.loads(self._exactly(length))

    def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            part = self._end.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return bytes(data)


class _Worker:
    """A process, this end of the line to it, and the number of its job."""

    def __init__(self, serve: Callable[[_Line, int], None]) -> None:
        from socket import socketpair

        near, far = socketpair()
        self.line = _Line(near)
        self.job: int | None = None
        parent = os.getpid()
        try:
            with _signals_held():
                self.pid = os.fork()
                if self.pid == 0:
                    near.close()  # or the far end would not see the other process hang up
                    _live(lambda: serve(_Line(far), parent))
        except OSError:
            near.close()
            raise
        finally:
            far.close()

    def end(self) -> str:
        """Wait for the end of the process, and say how it ended."""
        self.line.close()
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return f"by signal {-code}" if code < 0 else f"with code {code}"


class _Pool(Generic[Job, Answer]):
    """The workers of one run."""

    def __init__(
        self,
        work: Callable[[Job, Progress], Answer],
        jobs: Sequence[Job],
        progress: Progress | None,
        died: Callable[[Job, int, str], Answer],
    ) -> None:
        self._work, self._jobs, self._progress, self._died = work, jobs, progress, died
        self._waiting = iter(range(len(jobs)))
        self._workers: dict[int, _Worker] = {}

    def start(self, count: int) -> None:
        """Start so many workers or as many as can be, each with a job if one is left."""
        for _ in range(count):
            try:
                worker = _Worker(self._serve)
            except OSError:  # no more processes, descriptors or memory
                return
            self._workers[worker.line.fileno()] = worker
            self._give(worker)

    def wait(self) -> dict[int, Answer]:
        """Wait for something to happen, and return the answers that came, by their job's number."""
        from select import POLLIN, poll

        if not self._workers:
            number = next(self._waiting)
            return {number: self._work(self._jobs[number], self._progress or _ignore)}
        came: dict[int, Answer] = {}
        lines = poll()
        for line in self._workers:
            lines.register(line, POLLIN)
        for line, _ in lines.poll():
            worker = self._workers[line]
            try:
                message = worker.line.receive()
            except (EOFError, ConnectionError):
                came |= self._buried(worker)
                continue
            if isinstance(message, float):
                (self._progress or _ignore)(message)
            elif worker.job is not None:
                if isinstance(message, BaseException):
                    raise message
                came[worker.job] = message
                self._give(worker)
        return came

    def end(self) -> None:
        """Kill the workers, idle ones too, and tidy up after those that had something to do."""
        for worker in self._workers.values():
            os.kill(worker.pid, signal.SIGKILL)
        for worker in self._workers.values():
            how = worker.end()
            if worker.job is not None:
                self._died(self._jobs[worker.job], worker.pid, how)

    def _give(self, worker: _Worker) -> None:
        """Give a worker the next job, if there is one."""
        worker.job = next(self._waiting, None)
        if worker.job is not None:
            with suppress(ConnectionError):  # it just died: its line will tell
                worker.line.send(worker.job)

    def _buried(self, worker: _Worker) -> dict[int, Answer]:
        """Put another worker in the place of one that died, and answer for its job."""
        del self._workers[worker.line.fileno()]
        how = worker.end()
        if worker.job is None:
            return {}
        answer = self._died(self._jobs[worker.job], worker.pid, how)
        self.start(1)
        return {worker.job: answer}

    def _serve(self, line: _Line, parent: int) -> None:
        """Work for the process at the other end of the line, until it hangs up."""
        for worker in self._workers.values():
            worker.line.close()
        turn = Lock()

        def tell(share: float) -> None:
            if os.getppid() != parent:
                raise SystemExit
            if self._progress is not None:
                with turn:
                    line.send(float(share))

        while True:
            job = self._jobs[line.receive()]
            try:
                answer: Any = self._work(job, tell)
            except Exception as error:  # raised again at the other end
                answer = error
            line.send(answer)


def _live(life: Callable[[], None]) -> NoReturn:
    """Be a worker until the other end hangs up, or this one is killed.

    Ctrl-C reaches every process of a terminal: it is the parent's to answer. And what C libraries
    print when something fails is not for the user: the parent says it.
    """
    try:
        if not sys.flags.dev_mode:
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, _STDERR)
            os.close(nothing)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
        life()
    finally:
        os._exit(1)  # without putting away what belongs to the parent


@contextmanager
def _signals_held() -> Iterator[None]:
    """Let signals that ask for the end wait, so that no process is lost sight of."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ignore(share: float) -> None:
    """Progress that nobody asks for."""
