"""Where every error becomes one line and an exit code."""

import contextlib
import errno
import gc
import io
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import IO, Any, BinaryIO, NoReturn, TextIO

import click

from conv_cli.cli.suggestions import meant_option
from conv_cli.errors import ConvError, FitError, ImageError, ModelError, ProgramError

DONE, FAILED, USAGE, NOTHING = 0, 1, 2, 3
_STDERR = 2
_WAY_OUT = "check it, or send the output elsewhere"


def escaped(text: str) -> str:
    """Return text as one line that a terminal shows as it is: control characters escaped.

    Bytes of a name that are no UTF-8 are escaped as well.
    """
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return "".join(shown).encode("utf-8", "backslashreplace").decode()


def say(text: str) -> None:
    """Print one line of words on stderr."""
    click.echo(escaped(text), err=True)


class Stopped(BaseException):
    """A signal asked for the end; its first argument is the exit code.

    The second, if there is one, is the command that goes on.
    """


def run(command: Callable[[], int | None]) -> NoReturn:
    """Run a command and leave with its exit code; every failure is one line on stderr."""
    _hold_standard_descriptors()
    if sys.stdout is None:
        sys.stdout = _ClosedOutput()
    if sys.stderr is sys.__stderr__:  # not what a test puts there
        sys.stderr = _forgiving(sys.stderr)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # a library's words to programmers; users get our own
    _on_stop(_stop)
    code = DONE
    try:
        code = _exit_code(command)
        sys.stdout.flush()
    except BrokenPipeError:
        code = FAILED
    except OSError as error:
        if code != FAILED:  # else the image that was to go there has said it
            say(f"Error: {error.filename or 'stdout'}: {error.strerror or error}; {_WAY_OUT}")
        code = FAILED
    _forget_what_was_not_taken(sys.stdout)
    _on_stop(signal.SIG_IGN)  # all is done: what comes now comes too late
    gc.freeze()  # nothing of what is left will be used again, so there is nothing to search
    sys.exit(code)


def _exit_code(command: Callable[[], int | None]) -> int:
    try:
        return command() or DONE
    except Stopped as stop:
        code, *rest = stop.args
        go_on = rest[0] if rest else "run it again for the rest"
        say(
            "Error: conv-cli: interrupted, what is finished is kept and nothing is half-written; "
            f"{go_on}"
        )
        return int(code)
    except click.ClickException as error:
        say(f"Error: {usage_message(error)}")
        return USAGE
    except (ImageError, FitError, ProgramError) as error:
        say(f"Error: {error}")
        return FAILED
    except ConvError as error:
        say(f"Error: {error}")
        return USAGE
    except MemoryError:
        say("Error: memory: not enough for this; use fewer --jobs, or smaller images")
        return FAILED
    except OSError:
        raise
    except Exception as error:  # a defect; `python -X dev` shows where
        if sys.flags.dev_mode:
            raise
        words = " ".join(f"{type(error).__name__}: {error}".split())
        say(f"Error: conv-cli: failed in a way that was not foreseen ({words}); please report it")
        return FAILED


def _on_stop(handler: signal.Handlers | Callable[[int, FrameType | None], NoReturn]) -> None:
    """Say what becomes of signals that ask for the end; where they are ignored, they stay so."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise Stopped(128 + number)  # as shells count


def _hold_standard_descriptors() -> None:
    """Open those of stdin, stdout and stderr that are closed on nothing.

    The next file to be opened would get their number, and with it what others print there.
    """
    with contextlib.suppress(OSError):
        while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(descriptor)


@contextlib.contextmanager
def inputs_first(images: Iterable[str]) -> Iterator[None]:
    """Put what is wrong with images before what is wrong with the outputs made of them."""
    try:
        yield
    except ImageError:
        from conv_cli.images import probe_image

        for image in images:
            probe_image(image)
        raise


@contextlib.contextmanager
def named(name: str) -> Iterator[None]:
    """Put the name of a file before errors that say what in it is wrong, but not where it is."""
    try:
        yield
    except (ModelError, FitError, ImageError) as error:
        raise type(error)(f"{name}: {error}") from None


def binary(stream: TextIO | None) -> BinaryIO:
    """Return the bytes behind stdin or stdout; one that is closed reads as empty."""
    return getattr(stream, "buffer", None) or io.BytesIO()


def require_stdout(needed: bool) -> None:
    """Raise ImageError if something is to go to stdout and it is closed."""
    if needed and isinstance(sys.stdout, _ClosedOutput):
        raise ImageError("stdout: is closed, so nothing can be delivered; open it, or give a file")


def require_no_terminal(piped: bool, force: bool) -> None:
    """Raise BadParameter if the bytes of an image would go to a terminal."""
    if piped and not force and sys.stdout is not None and sys.stdout.isatty():
        raise click.BadParameter(
            "stdout is a terminal, which cannot show an image; send it on with > or |, look at it "
            "with --show, or add --force",
            param_hint="--output",
        )


def usage_message(error: click.ClickException) -> str:
    """Return Click's complaint as `NAME: reason, and what to do`."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "conv-cli"
    see = f"see '{path} --help'"
    match error:
        case click.NoSuchOption():
            advice = meant_option(error.option_name, context) if context else see
            return f"{error.option_name}: no such option; {advice}"
        case click.MissingParameter():
            return f"{_parameter_name(error)}: missing; {_example(error.param, context) or see}"
        case click.BadParameter():
            return f"{_parameter_name(error)}: {_sentence(error.message)}"
        case click.BadOptionUsage():
            options = context.command.params if context else []
            option = next((each for each in options if error.option_name in each.opts), None)
            if isinstance(option, click.Option) and not option.is_flag:
                return f"{error.option_name}: needs a value; {_example(option, context)}"
            return f"{error.option_name}: {_sentence(error.message)}; {see}"
        case _:
            return f"{path}: {_sentence(error.format_message())}; {see}"


_EXAMPLES = {
    "A:B": "0.5:2",
    "F": "1",
    "PATTERN": "face.png",
    "S": "0.3",
    "T": "0.8",
    "B": "128",
    "CxHxW": "3x480x640",
    "ADDRESS": "tcp://host:8786",
    "ANGLE": "45",
    "[--] COMMAND...": "-- convert {in} -blur 0x2 {out}",
    "DIR": "maps/",
    "FILE.html": "fit.html",
    "FORMAT": "png",
    "HxW": "8x10",
    "IMAGE": "photo.jpg",
    "IMAGES...": "photo.jpg",
    "INPUT TARGET...": "before.png after.png",
    "INPUT TARGET [INPUT TARGET]...": "before.png after.png",
    "INTEGER RANGE": "10",
    "KERNEL": "sobel-x",
    "KERNEL...": "gaussian:1 laplacian",
    "L": "0.001",
    "MODEL": "model.json",
    "N": "2",
    "PATH": "edges.png",
    "RATE": "0.1",
    "ROW,COL": "100,200",
    "ROW,COL,HxW": "100,200,480x640",
    "TEMPLATE": "{stem}{ext}",
    "TOOL": "opencv",
    "V": "255",
    "V|nan": "-9999",
    "first|all|N,...": "1,3",
    "mask": "mask.png",
    "max_pixels": "100000000",
    "predict": "predicted.png",
    "quality": "90",
    "residual": "residual.png",
    "sheet": "sheet.png",
}
"""Of what a parameter takes, by its name or by what help shows for it."""
_KINDS = {
    "DIR": "a folder",
    "FILE": "a file",
    "IMAGES...": "a file or folder",
    "PATH": "a file or folder",
}
"""What a parameter takes in a word, by what help shows for it."""


def _example(parameter: click.Parameter | None, context: click.Context | None) -> str:
    """Return what to give for a parameter, "" if that is not known."""
    if parameter is None or context is None:
        return ""
    metavar = parameter.make_metavar(context)
    first = metavar.strip("[]").split("|")[0]
    keys = (str(parameter.name), metavar, first)
    value = next((_EXAMPLES[key] for key in keys if key in _EXAMPLES), "")
    value = value or (first if first == first.lower() else "")
    spelled = f"{min(parameter.opts, key=len)} " if isinstance(parameter, click.Option) else ""
    kind = _KINDS.get(metavar, "one")
    return f"give {kind}, as {spelled}{value}" if value else f"give {kind}"


def _parameter_name(error: click.BadParameter) -> str:
    if error.param is None:
        return str(error.param_hint or "argument")
    if isinstance(error.param, click.Argument):
        return error.param.human_readable_name.rstrip(".")
    return max(error.param.opts, key=len)


def _sentence(message: str) -> str:
    """Return a message of Click's as the middle of a sentence: lower case, no full stop."""
    message = message.strip().rstrip(".")
    if message[1:2].isupper():  # a name in capitals, as of an argument
        return message
    return message[:1].lower() + message[1:]


class _ClosedOutput(io.TextIOBase):
    """Stands for a stdout that is closed, which Click would take for one that wants nothing."""

    encoding, errors = "utf-8", "strict"

    def write(self, text: str) -> int:
        """Raise OSError for any text."""
        if text:
            raise OSError(errno.EBADF, "is closed, so nothing can be delivered")
        return 0


class _ForgivingOutput(io.FileIO):
    """What it cannot take is lost without a word: bars and errors are no reason to fail."""

    def write(self, data: Any) -> int:
        """Write bytes, or lose them."""
        with contextlib.suppress(OSError):
            super().write(data)
        return len(data)


def _forgiving(stderr: TextIO | None) -> TextIO:
    """Return a stderr that takes everything; one that is closed takes it too."""
    encoding = None if stderr is None else stderr.encoding
    raw: Any = _ForgivingOutput(_STDERR, "w", closefd=False)
    return io.TextIOWrapper(raw, encoding, errors="backslashreplace", write_through=True)


def _forget_what_was_not_taken(stdout: IO[str] | io.TextIOBase) -> None:
    """Point a stdout that does not take what is left in its buffer at nothing.

    Python flushes it once more when it ends, and would leave with 120 if that failed.
    """
    try:
        stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())
