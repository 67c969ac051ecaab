"""The progress bar of long work, on stderr."""

import sys
import time
from collections.abc import Iterator
from threading import Lock
from types import TracebackType
from typing import Any, Self

import click

_STEPS = 1000
"""Of the bar, for one file."""
_LEAST_BAR, _MOST_BAR = 8, 36
_WIDE = 60
"""Columns from which on there is room for a label."""


class Progress:
    """A bar over a number of files in one line: counts, megapixels, their rate, time left."""

    def __init__(self, files: int, *, shown: bool, workers: int | None = None) -> None:
        self._files, self._workers = files, workers
        self._image: str | None = None
        self._done, self._pixels = 0, 0
        self._started = time.monotonic()
        self._bar: Any = (
            click.progressbar(
                length=files * _STEPS,
                label="conv-cli",
                file=sys.stderr,
                show_percent=False,
                show_eta=False,
                item_show_func=lambda _: self._told(),
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

    def _told(self) -> str:
        """Return what stands behind the bar, and leave that the room that is left in the line."""
        import shutil

        columns = shutil.get_terminal_size().columns - 1  # the last one makes some terminals wrap
        self._bar.label = "conv-cli" if columns >= _WIDE else ""
        room = columns - len(self._bar.label) - len("  []  ")
        text = f"{self._done}/{self._files}"
        for part in self._parts():
            if len(text) + 2 + len(part) <= room - _LEAST_BAR:
                text += f"  {part}"
        self._bar.width = min(_MOST_BAR, room - len(text))
        return text

    def _parts(self) -> Iterator[str]:
        """Yield what there is to tell beside the count, the most useful first."""
        bar, megapixels = self._bar, self._pixels / 1e6
        yield f"{min(bar.pos / bar.length, 1):.0%}"  # tiles at the rim count as whole ones
        if bar.eta_known and not bar.finished:
            minutes, seconds = divmod(int(bar.eta), 60)
            yield f"{minutes}:{seconds:02} left"
        if self._workers is not None:
            yield "1 worker" if self._workers == 1 else f"{self._workers} workers"
        yield f"{megapixels:,.1f} Mpx"
        elapsed = time.monotonic() - self._started
        if self._pixels and elapsed >= 1:
            yield f"{megapixels / elapsed:,.1f} Mpx/s"

    def clear(self) -> None:
        """Make way for a line of words; the bar is drawn again as the work moves on."""
        if self._bar is not None and sys.stderr.isatty():
            click.echo("\r\033[K", nl=False, err=True)
