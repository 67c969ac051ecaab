"""Another tool's command or code, run on a picture, and how far off its picture is."""

import importlib.util
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.images import read_image, write_image

Array = npt.NDArray[Any]

CODE = {"opencv": "cv2", "scipy": "scipy", "pytorch": "torch"}
"""Tools that Python runs, and the module that each needs."""
PROGRAMS = {
    "imagemagick": ("magick", "convert"),
    "gmic": ("gmic",),
    "ffmpeg": ("ffmpeg",),
    "gegl": ("gegl",),
    "vips": ("vips",),
}
"""Tools that are programs, by the names that they may have."""
_SECONDS = 60
_INPUT, _OUTPUT = "in.png", "out.png"
_AROUND = """\
import numpy
image = numpy.load("in.npy")
{code}
numpy.save("out.npy", numpy.asarray(result))
"""


class Trial(NamedTuple):
    """What came of running a tool on the input of a pair.

    ran : bool
    why : str or None. Why it was not run, or failed.
    largest, mean : float or None. Of the difference from the target, in its units.
    within : float or None. The share of pixels that are at most one level off.
    """

    ran: bool
    why: str | None = None
    largest: float | None = None
    mean: float | None = None
    within: float | None = None


def tried(tool: str, text: str, image: Array, target: Array, rim: tuple[slice, slice]) -> Trial:
    """Run a tool and return how far its picture is from the target.

    tool : str. A key of CODE or PROGRAMS.
    text : str. The kernel as it is written for the tool.
    image, target : ndarray, shape (H, W) or (H, W, C). Without opacity; the target may be what
        valid filtering leaves of the image.
    rim : (rows, columns). The part of the tool's picture that is the target's.
    """
    module = CODE.get(tool)
    if module is None and not image.dtype == target.dtype == np.uint8:
        return Trial(False, "it is run on pairs of 8 bits")
    if module is not None and importlib.util.find_spec(module) is None:
        return Trial(False, f"{module} is not installed here")
    program = None if module else _program(tool)
    if module is None and program is None:
        return Trial(False, "it is not installed here")
    with tempfile.TemporaryDirectory() as folder:
        try:
            made = (
                _by_code(text, image, Path(folder))
                if program is None
                else _by_program(tool, program, text, image, Path(folder))
            )
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            said = getattr(error, "stderr", None) or str(error).encode()
            words = (said.decode(errors="replace").strip().splitlines() or ["no word"])[-1]
            return Trial(False, f"it failed: {words[:200]}")
    return _compared(made.reshape(*made.shape[:2], -1)[rim], target)


def _compared(made: Array, target: Array) -> Trial:
    wanted = target.reshape(*target.shape[:2], -1).astype(np.float64)
    if made.shape[:2] != wanted.shape[:2] or wanted.shape[2] not in (1, made.shape[2]):
        return Trial(False, f"its picture has another shape, {made.shape}")
    if target.dtype.kind == "u":
        made = np.clip(np.rint(made), 0, np.iinfo(target.dtype).max)
    off = np.abs(made - wanted)
    return Trial(True, None, float(off.max()), float(off.mean()), float((off <= 1).mean()))


def _program(tool: str) -> str | None:
    return next((found for name in PROGRAMS[tool] if (found := shutil.which(name))), None)


def _run(folder: Path, *words: str) -> None:
    subprocess.run(
        words, cwd=folder, check=True, timeout=_SECONDS, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def _by_code(text: str, image: Array, folder: Path) -> Array:
    np.save(folder / "in.npy", image)
    (folder / "run.py").write_text(_AROUND.format(code=text), encoding="utf-8")
    _run(folder, sys.executable, "run.py")
    return np.asarray(np.load(folder / "out.npy"), np.float64)


def _by_program(tool: str, program: str, text: str, image: Array, folder: Path) -> Array:
    write_image(folder / _INPUT, image)
    if tool == "vips":
        (folder / "k.mat").write_text(text, encoding="utf-8")
        _run(folder, program, "conv", _INPUT, "out.v", "k.mat")
        _run(folder, program, "rawsave", "out.v", "out.raw")
        return np.fromfile(folder / "out.raw", np.float32).reshape(image.shape)
    _run(folder, program, *_words(tool, text.strip()))
    pixels = np.asarray(read_image(folder / _OUTPUT).colours.transpose(1, 2, 0))
    return pixels / 257 if pixels.dtype == np.uint16 else pixels.astype(np.float64)


def _words(tool: str, text: str) -> Sequence[str]:
    """Return what follows the program's name."""
    match tool:
        case "imagemagick":
            return _INPUT, "-morphology", "Convolve", text, f"PNG48:{_OUTPUT}"
        case "gmic":
            return ("-v", "-1", _INPUT, text, "correlate[0]", "[1]", "keep[0]", "cut", "0,255",
                    "round", "output", _OUTPUT)  # fmt: skip
        case "ffmpeg":
            return ("-y", "-v", "error", "-i", _INPUT, "-vf", text, "-pix_fmt", "rgb24", _OUTPUT)
    return _INPUT, "-o", _OUTPUT, "--", *shlex.split(text)
