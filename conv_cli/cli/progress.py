"""The progress bar of long work, on stderr."""

import sys
from threading import Lock
from types import TracebackType
from typing import Any, Self

import click

_STEPS = 1000
"""Of the bar, for one file."""


class Progress:
    """A bar over a number of files, with megapixels and time left; nothing if not shown."""

    def __init__(self, files: int, *, shown: bool) -> None:
        self._files = files
        self._image: str | None = None
        self._done, self._pixels = 0, 0
        self._bar: Any = (
            click.progressbar(
                length=files * _STEPS,
                label="conv-cli",
                file=sys.stderr,
                show_percent=True,
                item_show_func=lambda _: self._counts(),
            )
            if shown
            else None
        )
        self._lock = Lock()
        self._pending = 0.0

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.render_progress()
            self._bar.__exit__(kind, error, trace)

    def advance(self, share: float) -> None:
        """Move on by a share of one file; from any thread."""
        if self._bar is None:
            return
        with self._lock:
            self._pending += share * _STEPS
            steps = int(self._pending)
            if steps:
                self._pending -= steps
                self._bar.update(steps)

    def count(self, image: str, pixels: int) -> None:
        """Count a result, of so many pixels; those of one image come one after another."""
        if image != self._image:
            self._image = image
            self._done += 1
        self._pixels += pixels

    def _counts(self) -> str:
        return f"{self._done}/{self._files} files, {self._pixels / 1e6:.1f} Mpx"

    def clear(self) -> None:
        """Make way for a line of words; the bar is drawn again as the work moves on."""
        if self._bar is not None and sys.stderr.isatty():
            click.echo("\r\033[K", nl=False, err=True)
