"""A run on machines that share its files: what travels to them, and what comes back.

Names are made absolute there, as a worker stands in a folder of its own, and what it says of them
is told as they were typed. What is known of a result before it is made is found out here, where it
is known which files are inputs.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, overload

from conv_cli.parallel.processes import Progress
from conv_cli.pipeline.jobs import Job, Output

Result = Any
"""A ``run.Result``, of which ``image``, ``output`` and ``error`` hold names."""
Known = dict[Output, Result | None]


class Errand(NamedTuple):
    """A job as it travels.

    job : Job. Its paths are absolute.
    known : dict or None. By output, its result where that is known already; None: to be found out.
    typed : dict. What was typed, by what became of it.
    """

    job: Job
    known: Known | None
    typed: dict[str, str]


class Errands(Sequence[Errand]):
    """The errands of a run, each made when it is sent.

    jobs : sequence of Job
    known : callable. Returns what is known of an output of a job, or None.
    """

    def __init__(self, jobs: Sequence[Job], known: Callable[[Job, Output], Result | None]) -> None:
        self._jobs, self._known = jobs, known

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._jobs)

    @overload
    def __getitem__(self, index: int) -> Errand: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Errand]: ...
    def __getitem__(self, index: int | slice) -> Errand | Sequence[Errand]:
        """Return the errand of a job."""
        assert isinstance(index, int)
        job = self._jobs[index]
        typed: dict[str, str] = {}
        outputs = {output: _placed_output(output, typed) for output in job.outputs}
        source = job.source
        if source.error is None and not source.is_typed:
            source = source._replace(path=_placed(source.path, typed))
        placed = Job(source, tuple(outputs.values()), _placed(job.stem, typed) if job.stem else "")
        found = {outputs[output]: self._known(job, output) for output in job.outputs}
        return Errand(placed, found or None, typed)


class Errander:
    """Does errands on a worker.

    work : callable. Makes results of a job, and of what is known of its outputs.
    """

    def __init__(self, work: Callable[[Job, Progress, Known | None], list[Result]]) -> None:
        self._work = work

    def __call__(self, errand: Errand, progress: Progress) -> list[Result]:
        """Return the results of an errand, told in the names that were typed."""
        results = self._work(errand.job, progress, errand.known)
        return [as_typed(result, errand.typed) for result in results]


def as_typed(result: Result, typed: dict[str, str]) -> Result:
    """Return a result told in the names that were typed."""
    told = {}
    for field in ("image", "output", "error"):
        text = getattr(result, field)
        for placed in sorted(typed, key=len, reverse=True) if text else ():
            text = text.replace(placed, typed[placed])
        told[field] = text
    return result._replace(**told)


def _placed_output(output: Output, typed: dict[str, str]) -> Output:
    return output if output.path is None else output._replace(path=_placed(output.path, typed))


def _placed(path: str, typed: dict[str, str]) -> str:
    """Return an absolute path, and remember how it was typed."""
    absolute = os.path.abspath(path)  # noqa: PTH100  # a trailing slash and links stay as they are
    if absolute != path:
        typed[absolute] = path
    return absolute
