"""Many images: read, filtered and written, on all cores, and a report of what became of each."""

import math
import os
import stat
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

import numpy as np

from conv_cli.errors import ConvError, ImageError
from conv_cli.images import (
    ARRAY_FORMATS,
    FLOAT_FORMATS,
    Image,
    ImageInfo,
    can_hold,
    file_format,
    not_srgb,
    open_sink,
    probe_image,
    read_image,
)
from conv_cli.io.files import discard_drafts, write_atomically
from conv_cli.io.json import finite_or_none
from conv_cli.parallel.memory import available_memory, is_limited
from conv_cli.parallel.processes import CAN_FORK, Progress, answers
from conv_cli.parallel.threads import available_threads
from conv_cli.pipeline.feature_map import RangeName, require_white
from conv_cli.pipeline.filter import Filter, Filtered, filter_image, output_shape
from conv_cli.pipeline.jobs import STDIO, Destination, Input, Job, Output

_SMALL = 16 << 20  # bytes that are not worth asking for
_PLAIN_INPUTS = ("png", "jpeg")
_PLAIN_OUTPUTS = ("png", "jpeg", "npy")
_DEPTHS = {"8": np.uint8, "16": np.uint16, "float32": np.float32, "float64": np.float64}


class Result(NamedTuple):
    """What became of one map, or of an image that gave none.

    ``error`` says why there is none; ``skipped`` that its file was there already; ``planned`` that
    this was a dry run. The other fields are those of ``--json``; ``notes`` and ``reason`` are for
    people.
    """

    image: str
    kernel: str | None = None
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
    notes: tuple[str, ...] = ()
    reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return what ``--json`` prints: always the image, and the fields that apply."""
        names = (
            "kernel",
            "output",
            "shape",
            "dtype",
            "min",
            "max",
            "clipped",
            "strategy",
            "seconds",
        )
        record: dict[str, Any] = {"image": self.image}
        if self.error is not None:
            return record | {"error": self.error}
        record |= {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        if self.skipped:
            record["skipped"] = True
        return record


class Outcome(Protocol):
    """What a report counts: a result of any command."""

    @property
    def error(self) -> str | None:
        """Why there is no map."""

    @property
    def skipped(self) -> bool:
        """Its file was there already."""


@dataclass
class Report:
    """Counts of a run, by image and map, and the exit code that they amount to."""

    done: int = 0
    failed: int = 0
    skipped: int = 0
    started: float = field(default_factory=time.monotonic)

    def add(self, result: Outcome) -> None:
        """Count one result."""
        if result.error is not None:
            self.failed += 1
        elif result.skipped:
            self.skipped += 1
        else:
            self.done += 1

    @property
    def exit_code(self) -> int:
        """Return 0 if everything is done, 1 if something failed."""
        return 1 if self.failed else 0

    def __str__(self) -> str:
        seconds = math.ceil(time.monotonic() - self.started)
        return f"{self.done} done, {self.failed} failed, {self.skipped} skipped in {seconds} s"


def output_pixels(
    dtype: np.dtype[Any], kind: str, channels: int, alpha: bool, destination: Destination
) -> tuple[np.dtype[Any], RangeName]:
    """Return the dtype of a map's pixels and the range that makes them.

    Parameters
    ----------
    dtype : numpy.dtype
        Of the input.
    kind : str
        The output's format.
    channels, alpha : int, bool
        Of the map.
    """
    chosen = destination.range
    stays_float = kind in FLOAT_FORMATS or (chosen is None and destination.white is None)
    if destination.depth:
        made = np.dtype(_DEPTHS[destination.depth])
    elif kind in ARRAY_FORMATS or chosen == "raw" or (dtype.kind == "f" and stays_float):
        loses = dtype.itemsize > 4 or (dtype.itemsize == 4 and dtype.kind != "f")
        made = np.dtype(np.float64 if loses and kind in ARRAY_FORMATS else np.float32)
    elif dtype.itemsize > 2 and (chosen is not None or destination.white is not None):
        deep = _holds(kind, np.dtype(np.uint16), channels, alpha)
        made = np.dtype(np.uint16 if deep else np.uint8)
    else:
        made = dtype
    return made, chosen or ("raw" if made.kind == "f" else "clip")


def _holds(kind: str, dtype: np.dtype[Any], channels: int, alpha: bool) -> bool:
    try:
        can_hold(kind, dtype, channels, alpha)
    except ImageError:
        return False
    return True


class Run:
    """One run over jobs.

    Parameters
    ----------
    rule, destination
        What is done and where it goes.
    threads : int, optional
        In all, all cores by default: over images, a process each, where there are several; over
        the tiles of one.
    max_pixels : int
        Larger images are refused.
    stdin, stdout : BinaryIO
        For images named "-".
    progress : callable, optional
        Is told shares of a map as they are done.
    """

    def __init__(
        self,
        rule: Filter,
        destination: Destination,
        *,
        threads: int | None = None,
        max_pixels: int,
        stdin: BinaryIO,
        stdout: BinaryIO,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        self._rule, self._to = rule, destination
        self._threads = threads or available_threads()
        self._max_pixels = max_pixels
        self._stdin, self._stdout = stdin, stdout
        self._progress = progress
        self._processes = 1
        self._protected: set[tuple[int, int]] = set()

    def plan(self, jobs: Sequence[Job]) -> Generator[Result, None, None]:
        """Yield what would be written, from the headers of the images alone."""
        self._protect(jobs)
        for job in jobs:
            yield from self._planned(job)

    def results(self, jobs: Sequence[Job]) -> Generator[Result, None, None]:
        """Yield what became of every map, image after image in the order of the jobs.

        Closing the iterator, or an exception in it, stops the work.
        """
        self._protect(jobs)
        if not CAN_FORK or (len(jobs) == 1 and _is_plain(jobs[0])):
            for job in jobs:
                yield from self._run(job, self._progress or _ignore)
            return
        for results in answers(self._run, jobs, self._processes, self._progress, self._lost):
            yield from results

    def _protect(self, jobs: Sequence[Job]) -> None:
        """Remember which files are inputs, under any name, and how many are worked on at once."""
        identities = (identity(job.source.path, self._stdin) for job in jobs)
        self._protected = {each for each in identities if each}
        self._processes = min(self._threads, len(jobs)) if CAN_FORK else 1

    def _planned(self, job: Job) -> list[Result]:
        try:
            self._check_source(job)
            info = probe_image(
                self._opened(job.source), max_pixels=self._max_pixels, admit=self._admit(job)
            )
        except Exception as error:  # whatever it is, it costs this image alone
            return [_failure(job, None, error)]
        return [
            self._known(job, output) or self._shape(job, output, info) for output in job.outputs
        ]

    def _shape(self, job: Job, output: Output, info: ImageInfo) -> Result:
        try:
            shape = output_shape(info, self._rule, output.kernels[0])
            dtype, _ = self._pixels(info.dtype, shape[2], info.alpha, output)
        except Exception as error:  # whatever it is, it costs this image alone
            return _failure(job, output, error)
        shown = shape[:2] if shape[2] == 1 else shape
        return _result(job, output, shape=shown, dtype=dtype.name, planned=True)

    def _run(self, job: Job, progress: Progress) -> list[Result]:
        """Make the maps of one image that may be written; the others are not worth reading it."""
        results = {output: self._known(job, output) for output in job.outputs}
        progress(float(sum(result is not None for result in results.values())))
        if all(results.values()):
            return [result for result in results.values() if result]
        try:
            self._check_source(job)
            image = read_image(
                self._opened(job.source),
                max_pixels=self._max_pixels,
                admit=self._admit(job),
                in_rows=sum(result is None for result in results.values()) == 1,
            )
        except Exception as error:  # whatever it is, it costs this image alone
            progress(float(sum(result is None for result in results.values())))
            return [_failure(job, None, error)]
        notes = tuple(image.notes)
        if self._rule.linear and (reason := not_srgb(image)) is not None:
            notes += (f"--linear takes its values for sRGB, but {reason}",)
        said: set[str] = set()
        for output, known in results.items():
            if known is None:
                made = self._made(job, output, image, notes, progress)
                told = tuple(note for note in made.notes if note not in said)
                said |= set(told)
                results[output] = made._replace(notes=told)
                notes = ()
        return [result for result in results.values() if result]

    def _check_source(self, job: Job) -> None:
        """Raise what was found wrong with an input when it was looked for."""
        if job.source.error is not None:
            raise ImageError(job.source.error)

    def _admit(self, job: Job) -> Callable[[ImageInfo], None]:
        """Return what refuses an image, from its header, that memory is not enough for."""

        def admit(info: ImageInfo) -> None:
            needed = max(info.decoding_bytes, info.nbytes + self._map_bytes(job, info))
            free = available_memory(self._processes) if needed > _SMALL else None
            if free is not None and needed > free:
                raise ImageError(
                    f"{info.width}x{info.height} with {info.channels} channels takes about "
                    f"{needed / 1e9:.2f} GB of memory, and {free / 1e9:.2f} GB are free for it; "
                    "use fewer --jobs, or a smaller image"
                )

        return admit

    def _map_bytes(self, job: Job, info: ImageInfo) -> int:
        """Return what the largest map of an image takes, encoded in memory where it has to be."""
        most = 0
        for output in job.outputs:
            with suppress(ConvError):  # which is the error of that map, when its turn comes
                shape = output_shape(info, self._rule, output.kernels[0])
                dtype, _ = self._pixels(info.dtype, shape[2], info.alpha, output)
                copies = 1 if output.format == "png" else 2
                most = max(most, math.prod(shape) * dtype.itemsize * copies)
        return most

    def _known(self, job: Job, output: Output) -> Result | None:
        """Return the result of a map that is not to be made, before any work is done for it."""
        if output.path != STDIO and not os.path.lexists(output.path):
            return None
        if self._to.skip_existing and output.path != STDIO:
            result = _result(job, output, skipped=True)
        elif identity(output.path, self._stdout) in self._protected:
            result = _result(
                job,
                output,
                error=f"{output.path}: is an input and never overwritten; choose another output",
            )
        elif not self._to.force and output.path != STDIO:
            result = _result(
                job,
                output,
                error=f"{output.path}: exists; use --force to overwrite it "
                "or --skip-existing to keep it",
            )
        else:
            return None
        return result

    def _made(
        self,
        job: Job,
        output: Output,
        image: Image,
        notes: tuple[str, ...],
        progress: Progress,
    ) -> Result:
        started = time.perf_counter()
        try:
            channels = output_shape(image, self._rule, output.kernels[0])[2]
            dtype, mode = self._pixels(image.dtype, channels, image.alpha, output, image.pixels)
            shape = output_shape(image, self._rule, output.kernels[0])
            made, said = self._filtered(image, output, shape, dtype, mode, progress)
            notes += said
        except Exception as error:  # whatever it is, it costs this image alone
            return _failure(job, output, error)
        statistics = made.statistics
        return _result(
            job,
            output,
            shape=shape[:2] if shape[2] == 1 else shape,
            dtype=dtype.name,
            min=finite_or_none(statistics.low),
            max=finite_or_none(statistics.high),
            clipped=statistics.clipped,
            strategy=made.plan.strategy,
            seconds=round(time.perf_counter() - started, 6),
            notes=notes,
            reason=made.plan.reason,
        )

    def _pixels(
        self,
        units: np.dtype[Any],
        channels: int,
        alpha: bool,
        output: Output,
        pixels: np.ndarray | None = None,
    ) -> tuple[np.dtype[Any], RangeName]:
        """Return the dtype of a map and its range, once the format is known to hold them."""
        dtype, mode = output_pixels(units, output.format, channels, alpha, self._to)
        whole = dtype if output.format in FLOAT_FORMATS or self._to.depth else np.dtype(np.uint8)
        require_white(units, whole, mode, self._rule.white, pixels)
        can_hold(output.format, dtype, channels, alpha)
        return dtype, mode

    def _filtered(
        self,
        image: Image,
        output: Output,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        mode: RangeName,
        progress: Progress,
    ) -> tuple[Filtered, tuple[str, ...]]:
        """Filter an image into its file; return what the map held and what must be said of it."""
        threads = max(1, self._threads // self._processes)
        size = shape[:2] if shape[2] == 1 else shape
        described = replace(image, pixels=np.broadcast_to(np.zeros((), dtype), size))

        def write(stream: BinaryIO) -> tuple[Filtered, tuple[str, ...]]:
            sink, notes = open_sink(stream, described, output.format, compress=self._to.compress)
            made = filter_image(
                image, self._rule, output.kernels, dtype, mode, sink,
                threads=threads, progress=progress,
            )  # fmt: skip
            return made, notes + sink.finish(threads)

        if output.path == STDIO:
            result = write(self._stdout)
            self._stdout.flush()
            return result
        if self._to.makes_folders:
            Path(output.path).parent.mkdir(parents=True, exist_ok=True)
        return write_atomically(output.path, write, force=self._to.force)

    def _opened(self, source: Input) -> str | BinaryIO:
        return self._stdin if source.path == STDIO else source.path

    def _lost(self, job: Job, process: int, how: str) -> list[Result]:
        """Return the result of an image whose process died, and remove what that was writing."""
        for folder in {Path(output.path).parent for output in job.outputs}:
            discard_drafts(folder, process)
        return [
            Result(
                job.source.path,
                error=f"{job.source.path}: the process that filtered it died {how}; the file may "
                "be damaged, or memory short: try it alone",
            )
        ]


def _is_plain(job: Job) -> bool:
    """Tell whether an image is read and written piece by piece, by codecs that have never crashed.

    A single one of these needs no process of its own, which takes a tenth of a small image's time:
    a signal is heard between two pieces. But where addresses are limited, OpenBLAS exits.
    """
    if is_limited() or any(output.format not in _PLAIN_OUTPUTS for output in job.outputs):
        return False
    return job.source.path != STDIO and file_format(job.source.path) in _PLAIN_INPUTS


def _result(job: Job, output: Output, **fields: Any) -> Result:
    return Result(job.source.path, output.name, output.path, **fields)


def _failure(job: Job, output: Output | None, error: Exception) -> Result:
    """Return the result of a failure, its message led by the name of a file.

    Whatever goes wrong with one image, a defect of this program too, the others are done.
    """
    name = job.source.path
    if output is None:
        return Result(name, error=failure_message(error, name))
    return _result(job, output, error=failure_message(error, name, output.path))


def failure_message(error: Exception, image: str, output: str | None = None) -> str:
    """Return `NAME: reason, and what to do` of what went wrong with an image or its output."""
    name = image
    if isinstance(error, MemoryError):
        message = "not enough memory; use fewer --jobs, or a smaller image"
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


def identity(path: str, stream: BinaryIO | None = None) -> tuple[int, int] | None:
    """Return what tells a file from all others under any name, None if it is no file.

    "-" is the file that the stream may come from or go to.
    """
    try:
        status = os.fstat(stream.fileno()) if stream and path == STDIO else Path(path).stat()
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def _ignore(share: float) -> None:
    """Progress that nobody asks for."""
