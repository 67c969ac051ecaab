"""Running the program: a folder of its own, a time limit, and all that it starts ended with it."""

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.errors import ImageError, ProgramError
from conv_cli.images import Image, lossy_codec, read_image, write_image
from conv_cli.probing.charts import Name

Array = npt.NDArray[Any]

IN, OUT = "{in}", "{out}"
SUFFIXES = {"png": ".png", "tif": ".tif", "pnm": ".pnm", "npy": ".npy"}
"""The ending of charts and results by their format."""
_LONGEST = 200
"""Characters of a program's own words that an error quotes."""


class Answer(NamedTuple):
    """What a program made of a chart.

    image : Image
    recode : callable or None. What sends pixels (H, W) or (H, W, 3), uint8, through the codec of
        its file; None if that lost nothing.
    """

    image: Image
    recode: Callable[[Array], Array] | None = None


Program = Callable[[Name, Image], Answer]
"""Is given the name of a chart and the chart. Raises ProgramError where it fails."""


def in_process(function: Callable[[Array], Array]) -> Program:
    """Return a function from pixels to pixels as a program; two or four channels hold opacity."""

    def program(_: Name, chart: Image) -> Answer:
        pixels = np.asarray(function(np.array(chart.pixels)))
        return Answer(Image(pixels, alpha=pixels.ndim == 3 and pixels.shape[2] in (2, 4)))

    return program


class UnwritableError(ProgramError):
    """A chart that the format of the charts cannot hold: the program has not seen it."""


class Command:
    """A command that is run on files.

    words : sequence of str. Without a shell; "{in}" and "{out}" in them are replaced by names of
        files. A word that names a file of this folder is given by its full path, as the command
        runs in a folder of its own.
    format : str. Of charts and results: a key of ``SUFFIXES``.
    timeout : float. Seconds that a run may take.
    keep : path, optional. Charts and results are kept in this folder.
    """

    def __init__(
        self,
        words: Sequence[str],
        *,
        format: str = "png",
        timeout: float = 60.0,
        keep: str | os.PathLike[str] | None = None,
    ) -> None:
        self._words = [_located(word) for word in words]
        self._suffix, self._timeout = SUFFIXES[format], timeout
        self._keep = None if keep is None else Path(keep)
        self._count = 0

    def __call__(self, name: Name, chart: Image) -> Answer:
        """Run it on a chart. Raises ProgramError if it fails, or leaves no picture."""
        self._count += 1
        with tempfile.TemporaryDirectory(prefix="conv-cli-", ignore_cleanup_errors=True) as folder:
            suffix = self._suffix
            if suffix == ".pnm" and chart.alpha:
                raise UnwritableError(f"{self.name}: PNM files hold no opacity")
            stem = f"{self._count}-{name}"
            source, target = (Path(folder) / f"{stem}-{end}{suffix}" for end in ("in", "out"))
            write_image(source, chart, format={".pnm": "ppm"}.get(suffix))
            self._run(source, target, Path(folder))
            try:
                return self._answer(target)
            finally:
                self._kept(source, target)

    @property
    def name(self) -> str:
        """What errors call the program."""
        return self._words[0]

    def _run(self, source: Path, target: Path, folder: Path) -> None:
        words = [w.replace(IN, str(source)).replace(OUT, str(target)) for w in self._words]
        with (folder / "words").open("w+b") as said:
            try:
                process = subprocess.Popen(
                    words, cwd=folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                    start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                raise ProgramError(
                    f"{self.name}: cannot be run ({error.strerror}); check its name, or give its "
                    "path"
                ) from error
            code = self._ended(process)
            said.seek(0)
            last = _last_line(said.read())
        quoted = f": {last}" if last else ""
        if code is None:
            raise ProgramError(
                f"{self.name}: not done after {self._timeout:g} s{quoted}; it was ended; give more "
                "time with --timeout, or check that it does not wait for something"
            )
        if code:
            how = f"exit code {code}" if code > 0 else f"ended by signal {-code}"
            raise ProgramError(f"{self.name}: {how}{quoted}; run it by hand on a picture first")
        if not target.is_file():
            raise ProgramError(
                f"{self.name}: left no picture at {OUT}{quoted}; check where the command writes"
            )

    def _ended(self, process: "subprocess.Popen[bytes]") -> int | None:
        """Return the exit code once the program and all it started are ended; None: too late."""
        try:
            return process.wait(self._timeout)
        except subprocess.TimeoutExpired:
            return None
        finally:
            _end(process)

    def _answer(self, target: Path) -> Answer:
        try:
            return Answer(read_image(target), lossy_codec(target))
        except ImageError as error:
            reason = str(error).removeprefix(f"{target}: ")
            raise ProgramError(
                f"{self.name}: what it left at {OUT} is no picture: {reason}"
            ) from None

    def _kept(self, *files: Path) -> None:
        """Copy files to the folder where they are to be kept."""
        if self._keep is None:
            return
        self._keep.mkdir(parents=True, exist_ok=True)
        for file in files:
            (self._keep / file.name).write_bytes(file.read_bytes())


def _located(word: str) -> str:
    """Return the full path of a file that a word names in this folder, or the word."""
    is_path = os.sep in word or Path(word).suffix != ""
    return str(Path(word).absolute()) if is_path and Path(word).exists() else word


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a program and all processes of its group, those that it left behind too."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def _last_line(words: bytes) -> str:
    lines = [line.strip() for line in words.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1][:_LONGEST] if lines else ""
