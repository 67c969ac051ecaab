"""Many images: what a task makes of each, written, on all cores, and a report of it."""

import math
import os
import stat
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy.typing as npt

from conv_cli.errors import ConvError, ImageError, PatternError
from conv_cli.images import (
    FIRST,
    Frames,
    Image,
    ImageInfo,
    file_format,
    open_frames,
    probe_image,
    read_image,
    stream_bytes,
)
from conv_cli.io.files import INPUT, discard_drafts, write_atomically, write_folder
from conv_cli.io.json import finite_or_none, plain
from conv_cli.parallel.memory import available_memory, is_limited
from conv_cli.parallel.processes import Progress, answers
from conv_cli.parallel.threads import available_threads, limited_threads
from conv_cli.pipeline.elsewhere import Errand, Errander, Errands, Known, as_typed
from conv_cli.pipeline.feature_map import Statistics
from conv_cli.pipeline.jobs import STDIO, Destination, Input, Job, Jobs, Output
from conv_cli.pipeline.looks import Look

if TYPE_CHECKING:
    from conv_cli.parallel.cluster import Cluster

T = TypeVar("T")
Pixels = npt.NDArray[Any]
BROKEN_PIPE = "broken pipe: what reads it has ended before the end; let it take everything"
_EXISTS = "exists; use --force to overwrite it or --skip-existing to keep it"
_NOTED = 0.01
"""The share of clipped values from which on a person is told."""
_SMALL = 16 << 20  # bytes that are not worth asking for
_PLAIN_INPUTS = ("png", "jpeg", "csv", "txt", "matrix")
_PLAIN_OUTPUTS = ("png", "jpeg", "npy", "csv", "txt")


class Result(NamedTuple):
    """What became of one map, or of an image that gave none.

    ``error`` says why there is none; ``skipped`` that its file was there already; ``planned`` that
    this was a dry run. ``values`` are the pixels of a map that goes to no file, ``pictures`` what
    is looked at of the image and of its map: small, uint8, or floats around zero; ``looks`` are
    those of a sheet, the image first. ``records`` are what a search found, and ``misfit`` says that
    it was the pattern that does not fit the image. ``notes`` and ``reason`` are for people; the
    other fields are those of ``--json``.
    ``refused`` says that the error is of the output, which is not written, ``joined`` that the
    output holds other frames too.
    """

    image: str
    kernel: str | None = None
    layer: int | None = None
    channel: int | None = None
    frame: int | None = None
    output: str | None = None
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    min: float | None = None
    max: float | None = None
    clipped: float | None = None
    strategy: str | None = None
    seconds: float | None = None
    error: str | None = None
    skipped: bool = False
    planned: bool = False
    values: Pixels | None = None
    notes: tuple[str, ...] = ()
    reason: str | None = None
    pictures: tuple[Pixels, ...] = ()
    looks: tuple[Look, ...] = ()
    records: tuple[dict[str, Any], ...] | None = None
    misfit: bool = False
    refused: bool = False
    joined: bool = False

    @property
    def pixels(self) -> int:
        """How many there are, of one channel."""
        shape = self.shape or (0,)
        return math.prod(shape[:2] if self.layer is None else shape[-2:])

    def as_dict(self) -> dict[str, Any]:
        """Return what ``--json`` prints: always the image, and the fields that apply."""
        if self.error is not None:
            return {"image": self.image, "error": self.error}
        last = self._fields.index("seconds") + 1
        known = zip(self._fields[:last], self[:last], strict=True)
        record = {name: value for name, value in known if value is not None}
        if self.values is not None:
            record["values"] = plain(self.values.tolist())
        return record | {"skipped": True} if self.skipped else record


@dataclass
class Clipping:
    """What had to be limited in the maps of one kernel: from so much on, how often, where most."""

    maps: int = 0
    worst: float = 0.0
    output: str = ""
    low: float = math.inf
    high: float = -math.inf

    def add(self, result: Result, share: float) -> None:
        """Count a map of which that share was limited."""
        self.maps += 1
        if share > self.worst:
            self.worst, self.output = share, result.output or result.image
        low, high = result.min, result.max
        self.low = self.low if low is None else min(self.low, low)
        self.high = self.high if high is None else max(self.high, high)


@dataclass
class Report:
    """Counts of a run, by image and map, and the exit code that they amount to.

    ``clippings`` are by the name of the kernel, or of the layer.
    """

    done: int = 0
    failed: int = 0
    skipped: int = 0
    started: float = field(default_factory=time.monotonic)
    clippings: dict[str, Clipping] = field(default_factory=dict)

    def add(self, result: Result) -> None:
        """Count one result."""
        if result.error is not None:
            self.failed += 1
        elif result.skipped:
            self.skipped += 1
        else:
            self.done += 1
        if result.output is not None and (result.clipped or 0.0) >= _NOTED:
            name = result.kernel or f"layer {result.layer}"
            self.clippings.setdefault(name, Clipping()).add(result, result.clipped or 0.0)

    @property
    def exit_code(self) -> int:
        """Return 0 if everything is done, 1 if something failed."""
        return 1 if self.failed else 0

    def __str__(self) -> str:
        seconds = math.ceil(time.monotonic() - self.started)
        return f"{self.done} done, {self.failed} failed, {self.skipped} skipped in {seconds} s"


class Made(NamedTuple):
    """A map that has been written, or, of a search, the records of what was found."""

    shape: tuple[int, ...]
    dtype: str
    statistics: Statistics
    notes: tuple[str, ...] = ()
    strategy: str | None = None
    reason: str | None = None
    values: Pixels | None = None
    pictures: tuple[Pixels, ...] = ()
    looks: tuple[Look, ...] = ()
    records: tuple[dict[str, Any], ...] | None = None
    frame: int | None = None


Write = Callable[[BinaryIO | Path | None], Made]
"""Makes a map and writes it to a stream, or a Zarr to a folder, if there is one."""


class Task(Protocol):
    """What a run makes of every image; it can be pickled, as it may work in other processes."""

    @property
    def windows(self) -> bool:
        """Whether it can do with pixels that are read window by window."""

    def outputs(self, job: Job, probe: Callable[[], ImageInfo]) -> Sequence[Output]:
        """Return the maps that an image gives; ``probe`` reads its header, if that is needed."""

    def planned(self, info: ImageInfo, output: Output) -> tuple[tuple[int, ...], str]:
        """Return shape and dtype of a map; ConvError if it cannot be made or written."""

    def memory(self, info: ImageInfo, outputs: Sequence[Output]) -> int:
        """Return the bytes that the largest map takes beside the image."""

    def notes(self, image: Image) -> tuple[str, ...]:
        """Return what a user must be told of an image."""

    def maps(
        self, image: Image, outputs: Sequence[Output], progress: Progress
    ) -> Iterator[tuple[Output, Write]]:
        """Yield what makes and writes each of some maps, in their order."""


@runtime_checkable
class JoiningTask(Task, Protocol):
    """A task that makes one file of the maps of several frames."""

    def joined(
        self, images: Iterable[tuple[int, Image]], count: int, output: Output, stream: BinaryIO
    ) -> list[Made]:
        """Make a map of so many frames, each with its number, and write all to one file.

        Raises ImageError that names the frame.
        """


class Run:
    """One run of a task over jobs; it can be pickled, as its parts work in other processes.

    task, destination. What is done and where it goes.
    threads : int, optional. In all, all cores by default: over images, a process each, where there
        are several; over the tiles of one.
    max_pixels : int. Larger images are refused.
    stdin, stdout : BinaryIO. For images named "-".
    read : sequence of str. Files that are read besides the images, and as little overwritten.
    piped : bytes, optional. What stdin has given, if it has been read.
    cluster : Cluster, optional. Does the work in place of processes here.
    """

    def __init__(
        self,
        task: Task,
        destination: Destination,
        *,
        threads: int | None = None,
        max_pixels: int,
        stdin: BinaryIO,
        stdout: BinaryIO,
        read: Sequence[str] = (),
        piped: bytes | None = None,
        cluster: "Cluster | None" = None,
    ) -> None:
        self._cluster = cluster
        self._read_besides = tuple(read)
        self._task, self._to = task, destination
        self._threads = threads or available_threads()
        self._max_pixels = max_pixels
        self._stdin_identity = _identity_of(stdin)
        self._stdout_identity = _identity_of(stdout)
        self._stdout = _descriptor(stdout)
        self._read_stdin: Callable[[], bytes] | None = lambda: (
            stream_bytes(stdin) if piped is None else piped
        )
        self._piped = b""
        self._is_elsewhere = False
        self._processes = 1
        self._sources: Sequence[Input] = ()
        self._protected: set[tuple[int, int]] | None = None

    def plan(self, jobs: Jobs) -> Generator[Result, None, None]:
        """Yield what would be written, from the headers of the images alone."""
        self._prepare(jobs)
        for job in jobs:
            yield from self._planned(job)

    def results(
        self, jobs: Jobs, progress: Progress | None = None
    ) -> Generator[Result, None, None]:
        """Yield what became of every map, image after image in the order of the jobs.

        ``progress`` is told shares of an image as they are done. Closing the iterator, or an
        exception in it, stops the work.
        """
        self._prepare(jobs)
        if self._cluster is not None:
            errands = Errands(jobs, self._known)
            work = Errander(self._remote())
            for results in self._cluster.answers(work, errands, progress, self._lost_elsewhere):
                yield from results
            return
        if len(jobs) == 1 and self._is_plain(jobs[0]):
            yield from self._run(jobs[0], progress or _ignore)
            return
        self._processes = min(self._threads, len(jobs))
        for results in answers(self._run, jobs, self._processes, progress, self._lost):
            yield from results

    def _prepare(self, jobs: Jobs) -> None:
        """Remember what is read, and read stdin if that is."""
        self._sources, self._protected = jobs.sources, None
        if self._read_stdin is not None and jobs.reads_stdin:
            self._piped = self._read_stdin()
        self._read_stdin = None

    def _is_input(self, path: str) -> bool:
        """Tell whether a file that is there is read as well, under any name.

        All that is read is looked at when the first result is there already: it may be much.
        """
        if self._protected is None:
            read = chain((source.path for source in self._sources), self._read_besides)
            identities = (self._identity(name, self._stdin_identity) for name in read)
            self._protected = {each for each in identities if each}
        return self._identity(path, self._stdout_identity) in self._protected

    def _is_plain(self, job: Job) -> bool:
        """Tell whether an image is read and written piecewise, by codecs that have never crashed.

        A single one of these needs no process of its own, which takes a tenth of a small image's
        time: a signal is heard between two pieces. But where addresses are limited, OpenBLAS exits.
        """
        formats = {output.format for output in job.outputs if output.path} or {self._to.format_name}
        if is_limited() or not formats <= set(_PLAIN_OUTPUTS):
            return False
        if job.source.frames is not None:
            return False
        return job.source.path != STDIO and file_format(job.source.path) in _PLAIN_INPUTS

    def _planned(self, job: Job) -> list[Result]:
        try:
            self._check_source(job)
            if job.source.frames is not None:
                return self._planned_frames(job, job.source.frames)
            info = self._probe(job)
            outputs = self._task.outputs(job, lambda: info)
        except Exception as error:  # whatever it is, it costs this image alone
            return [_failure(job, None, error)]
        return [self._known(job, output) or self._foreseen(job, output, info) for output in outputs]

    def _planned_frames(self, job: Job, numbers: Sequence[int]) -> list[Result]:
        results = []
        joined = [output for output in job.outputs if output.joined]
        with self._frames(job) as frames:
            for output in joined:
                known = self._known(job, output)
                results += (
                    [known]
                    if known
                    else [
                        self._foreseen(job, output._replace(frame=number), frames.info(number))
                        for number in numbers
                    ]
                )
            for number in () if joined else numbers:
                info = frames.info(number)
                outputs = self._task.outputs(job.of_frame(number), partial(frames.info, number))
                results += [
                    self._known(job, output) or self._foreseen(job, output, info)
                    for output in (each._replace(frame=number) for each in outputs)
                ]
        return results

    def _foreseen(self, job: Job, output: Output, info: ImageInfo) -> Result:
        try:
            shape, dtype = self._task.planned(info, output)
        except Exception as error:  # whatever it is, it costs this image alone
            return _failure(job, output, error)
        return _result(job, output, shape=shape, dtype=dtype, planned=True)

    def _remote(self) -> Callable[[Job, Progress, Known | None], list[Result]]:
        """Return what does a job on another machine, with one thread and what it needs alone."""
        remote = copy(self)
        remote._cluster, remote._stdout, remote._protected = None, -1, set()
        remote._is_elsewhere, remote._sources = True, ()
        remote._threads = remote._processes = 1
        return remote._run

    def _run(self, job: Job, progress: Progress, known: Known | None = None) -> list[Result]:
        """Make the maps of one image, or of its frames.

        known : dict, optional. By output, its result where that is known already.
        """
        try:
            self._check_source(job)
        except ImageError as error:
            progress(1.0)
            return [_failure(job, None, error)]
        if job.source.frames is not None:
            return self._run_frames(job, job.source.frames, progress, known)
        return self._run_picture(
            job, progress, set(), lambda: self._probe(job), partial(self._read, job), known=known
        )

    def _run_frames(
        self, job: Job, numbers: Sequence[int], progress: Progress, known: Known | None
    ) -> list[Result]:
        """Make the maps of frames, of which one is in memory; what fails ends the image."""
        results: list[Result] = []
        said: set[str] = set()
        joined = [output for output in job.outputs if output.joined]
        shares = max(1, len(joined)) * len(numbers)

        def share(part: float) -> None:
            progress(part / shares)

        try:
            with self._frames(job) as frames:
                for output in joined:
                    before = known[output] if known else self._known(job, output)
                    results += (
                        [before] if before else self._joined(job, output, frames, numbers, share)
                    )
                for number in () if joined else numbers:
                    results += self._run_picture(
                        job.of_frame(number), share, said,
                        partial(frames.info, number), partial(self._read_frame, frames, number),
                        known, number,
                    )  # fmt: skip
                    if any(result.error and not result.refused for result in results):
                        break
        except Exception as error:  # whatever it is, it costs this image alone
            results.append(_failure(job, None, error))
        return results

    def _joined(
        self, job: Job, output: Output, frames: Frames, numbers: Sequence[int], progress: Progress
    ) -> list[Result]:
        """Write a file of maps of all frames."""

        def images() -> Iterator[tuple[int, Image]]:
            for number in numbers:
                yield number, self._read_frame(frames, number, [output])
                progress(1.0)

        def write(stream: BinaryIO | None) -> list[Made]:
            assert stream is not None
            assert isinstance(self._task, JoiningTask)
            return self._task.joined(images(), len(numbers), output, stream)

        started = time.perf_counter()
        try:
            with limited_threads(max(1, self._threads // self._processes)):
                made = self._deliver(output, write)
        except Exception as error:  # whatever it is, it costs this map alone
            return [_failure(job, output, error)]
        seconds = (time.perf_counter() - started) / len(made)
        said: set[str] = set()
        return [_made(job, output._replace(frame=each.frame), each, seconds, said) for each in made]

    def _run_picture(
        self,
        job: Job,
        progress: Progress,
        said: set[str],
        probe: Callable[[], ImageInfo],
        read: Callable[[Sequence[Output]], Image],
        known: Known | None = None,
        frame: int | None = None,
    ) -> list[Result]:
        """Make the maps of a picture that may be written; the others are not worth reading it."""
        try:
            outputs = [each._replace(frame=frame) for each in self._task.outputs(job, probe)]
            results = {
                output: known[output] if known else self._known(job, output) for output in outputs
            }
            if any(known is not None and known.error for known in results.values()):
                probe()  # what is wrong with the image is to be said before
            missing = [output for output, known in results.items() if known is None]
            image = read(missing) if missing else None
        except Exception as error:  # whatever it is, it costs this image alone
            progress(1.0)
            return [_failure(job, None, error)]
        done = 1 - len(missing) / len(outputs)
        progress(done)
        if image is None:
            return [result for result in results.values() if result]

        def share(part: float) -> None:
            progress(part / len(outputs))

        failed: list[Result] = []
        try:
            with limited_threads(max(1, self._threads // self._processes)):
                for output, made in self._made(job, image, missing, share, said):
                    results[output] = made
        except Exception as error:  # so does what fails before or between its maps
            failed.append(_failure(job, None, error))
        return [result for result in results.values() if result] + failed

    def _made(
        self, job: Job, image: Image, outputs: Sequence[Output], progress: Progress, said: set[str]
    ) -> Iterator[tuple[Output, Result]]:
        """Yield what became of each map; what is to be said, and is not among the said, once."""
        notes = (*image.notes, *self._task.notes(image))
        started = time.perf_counter()
        for output, write in self._task.maps(image, outputs, progress):
            try:
                made = self._deliver(output, write)
            except Exception as error:  # whatever it is, it costs this map alone
                yield output, _failure(job, output, error)
            else:
                made = made._replace(notes=(*notes, *made.notes))
                yield output, _made(job, output, made, time.perf_counter() - started, said)
            started = time.perf_counter()

    def _deliver(self, output: Output, write: Callable[[Any], T]) -> T:
        """Make a file, or what goes to stdout, or what is to be looked at alone."""
        if output.path is None:
            return write(None)
        if output.path == STDIO:
            with os.fdopen(os.dup(self._stdout), "wb") as stream:
                return write(stream)
        if self._to.makes_folders:
            Path(output.path).parent.mkdir(parents=True, exist_ok=True)
        if output.format == "zarr":  # elsewhere one that is there is of a worker that died
            force = self._to.force or self._is_elsewhere
            return write_folder(output.path, write, force=force)
        if self._is_elsewhere and not self._to.force and os.path.lexists(output.path):
            return _made_before(output.path, write)
        return write_atomically(output.path, write, force=self._to.force)

    def _check_source(self, job: Job) -> None:
        """Raise what was found wrong with an input when it was looked for."""
        if job.source.error is not None:
            raise ImageError(job.source.error)

    def _opened(self, job: Job) -> str | BinaryIO:
        return BytesIO(self._piped) if job.source.path == STDIO else job.source.path

    def _probe(self, job: Job) -> ImageInfo:
        return probe_image(
            self._opened(job), max_pixels=self._max_pixels, windows=self._task.windows
        )

    def _frames(self, job: Job) -> AbstractContextManager[Frames]:
        numbers = tuple(job.source.frames or FIRST)
        return open_frames(self._opened(job), numbers, max_pixels=self._max_pixels)

    def _read_frame(self, frames: Frames, number: int, outputs: Sequence[Output]) -> Image:
        """Read a frame, refused as an image is."""
        return frames.read(
            number, admit=self._admitting(outputs), in_rows=self._reads_once(outputs)
        )

    def _read(self, job: Job, outputs: Sequence[Output]) -> Image:
        """Read an image, refused from its header if memory is not enough for it and its maps."""
        return read_image(
            self._opened(job),
            max_pixels=self._max_pixels,
            admit=self._admitting(outputs),
            in_rows=self._reads_once(outputs),
            windows=self._task.windows,
        )

    def _reads_once(self, outputs: Sequence[Output]) -> bool:
        """Tell whether pixels are read once; what is read more often is better copied whole."""
        again = self._to.look_side or (self._to.range and self._to.range.needs_extremes)
        return len(outputs) == 1 and not again

    def _admitting(self, outputs: Sequence[Output]) -> Callable[[ImageInfo], None]:
        """Return what refuses an image if memory is not enough for it and its maps."""

        def admit(info: ImageInfo) -> None:
            maps = self._task.memory(info, outputs)
            held = 0 if info.windowed else info.nbytes
            needed = max(info.decoding_bytes, held + maps)
            free = available_memory(self._processes) if needed > _SMALL else None
            if free is not None and needed > free:
                raise ImageError(
                    f"{info.width}x{info.height} with {info.channels} channels takes about "
                    f"{needed / 1e9:.2f} GB of memory, and {free / 1e9:.2f} GB are free for it; "
                    "use fewer --jobs, or a smaller image"
                )

        return admit

    def _known(self, job: Job, output: Output) -> Result | None:
        """Return the result of a map that is not to be made, before any work is done for it."""
        path = output.path
        if path is None or (path != STDIO and not os.path.lexists(path)):
            return None
        if self._to.skip_existing and path != STDIO:
            return _result(job, output, skipped=True)
        if self._is_input(path):
            reason = INPUT
        elif not (self._to.force or self._is_elsewhere or path == STDIO):
            reason = _EXISTS
        else:
            return None
        return _result(job, output, error=f"{path}: {reason}", refused=True)

    def _identity(self, path: str, piped: tuple[int, int] | None) -> tuple[int, int] | None:
        """Return what tells a file from all others under any name, None if it is no file."""
        try:
            return piped if path == STDIO else _if_regular(Path(path).stat())
        except (OSError, ValueError):
            return None

    def _lost_elsewhere(self, errand: Errand, process: int, how: str) -> list[Result]:
        return [as_typed(each, errand.typed) for each in self._lost(errand.job, process, how)]

    def _lost(self, job: Job, process: int, how: str) -> list[Result]:
        """Return the result of an image whose process died, and remove what that was writing."""
        paths = [Path(output.path) for output in job.outputs if output.path is not None]
        for folder in {path.parent for path in paths} or {job.folder}:
            discard_drafts(folder, process)
        name = job.source.path
        error = (
            f"{name}: the process that filtered it died {how}; the file may be damaged, or memory "
            "short: try it alone"
        )
        return [Result(name, error=error)]


def _made_before(path: str, write: Callable[[BinaryIO | None], T]) -> T:
    """Return a map whose file is there, made by a worker that died before it could say so.

    Raises ImageError if the file holds anything else.
    """
    stream = BytesIO()
    made = write(stream)
    if Path(path).read_bytes() != stream.getvalue():
        raise ImageError(f"{path}: {_EXISTS}")
    return made


def _result(job: Job, output: Output, **fields: Any) -> Result:
    return Result(
        job.source.path, output.kernel, output.layer, output.channel, output.frame, output.path,
        joined=output.joined, **fields,
    )  # fmt: skip


def _made(job: Job, output: Output, made: Made, seconds: float, said: set[str]) -> Result:
    """Return the result of a map that is made; what has been said is not said again."""
    told = dict.fromkeys(note for note in made.notes if note not in said)
    said.update(told)
    low, high, clipped = made.statistics
    return _result(
        job, output,
        shape=made.shape, dtype=made.dtype,
        min=finite_or_none(low), max=finite_or_none(high), clipped=clipped,
        strategy=made.strategy, seconds=round(seconds, 6),
        notes=tuple(told), reason=made.reason,
        values=made.values, pictures=made.pictures, looks=made.looks,
        records=made.records,
    )  # fmt: skip


def _failure(job: Job, output: Output | None, error: Exception) -> Result:
    """Return the result of a failure, its message led by the name of a file.

    Whatever goes wrong with one image, a defect of this program too, the others are done.
    """
    name, misfit = job.source.path, isinstance(error, PatternError)
    if output is None:
        return Result(name, error=_message(error, name), misfit=misfit)
    return _result(job, output, error=_message(error, name, output.path or None), misfit=misfit)


def _message(error: Exception, image: str, output: str | None = None) -> str:
    """Return `NAME: reason, and what to do` of what went wrong with an image or its output."""
    name = image
    if isinstance(error, MemoryError):
        message = "not enough memory; use fewer --jobs, or a smaller image"
    elif isinstance(error, BrokenPipeError):
        name, message = "stdout", BROKEN_PIPE
    elif isinstance(error, OSError):
        name = "stdout" if output == STDIO else str(error.filename or name)
        message = f"{error.strerror or error}; check the folder and the disk, or write elsewhere"
    elif isinstance(error, ConvError):
        message = str(error)
    else:
        words = " ".join(f"{type(error).__name__}: {error}".split())
        message = f"failed in a way that was not foreseen ({words}); please report it"
    leads = (name, output or name, "stdin", "stdout")
    named = message.startswith(tuple(f"{lead}:" for lead in leads))
    return message if named else f"{name}: {message}"


def _descriptor(stream: BinaryIO) -> int:
    try:
        return stream.fileno()
    except OSError:  # a stand-in for what is closed
        return -1


def _identity_of(stream: BinaryIO) -> tuple[int, int] | None:
    """Return what tells the file that a stream comes from or goes to, None if it is none."""
    try:
        return _if_regular(os.fstat(_descriptor(stream)))
    except OSError:
        return None


def _if_regular(status: os.stat_result) -> tuple[int, int] | None:
    known = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)  # a Zarr
    return (status.st_dev, status.st_ino) if known else None


def _ignore(share: float) -> None:
    """Progress that nobody asks for."""
