"""Pages, frames and stacks: files of several pictures, of which one is in memory at a time."""

import os
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, BinaryIO, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from conv_cli.errors import ImageError
from conv_cli.images import headers, metadata
from conv_cli.images.decoding import Picture, open_picture
from conv_cli.images.image import MAX_PIXELS, Image, ImageInfo, Opened, Timing, check_size
from conv_cli.images.pillow import DECODER_ERRORS, open_with, quiet
from conv_cli.images.reading import (
    Source,
    failures_named,
    identified,
    open_image,
    shown_name,
    stream_of,
)
from conv_cli.images.tables import is_typed_image, open_typed, table_ending
from conv_cli.io import npy

FrameChoice = Literal["all"] | tuple[int, ...]
"""Which frames of a file are meant: all, or some, counted from 1."""

FIRST = (1,)
_MOVING = frozenset({"gif", "png", "webp", "avif"})
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


class _Reader(Protocol):
    """What opens the frames of one format."""

    count: int

    def open(self, number: int) -> Opened:
        """Return the frame of a number, from 1 to ``count``; best in their order."""


class Frames:
    """An open file whose frames are read one by one, best in their order.

    name : str. What errors call it.
    count : int. How many there are.
    kind : str. What they are called: pages, frames or pictures.
    """

    def __init__(self, name: str, reader: _Reader, kind: str) -> None:
        self.name, self.count, self.kind = name, reader.count, kind
        self._reader = reader

    def chosen(self, choice: FrameChoice) -> Sequence[int]:
        """Return the numbers that a choice means; ImageError, if there is none of such a number."""
        if choice == "all":
            return range(1, self.count + 1)
        if max(choice) > self.count:
            has, way = f"{self.count:,} {self.kind}", f"choose from 1 to {self.count}"
            if self.count == 1:
                has, way = f"one {self.kind.removesuffix('s')}", "choose 1"
            raise ImageError(
                f"{self.name}: has {has}, and no number {max(choice)}; {way}, or --frames all"
            )
        return choice

    def info(self, number: int) -> ImageInfo:
        """Return what reading a frame will give. Raises ImageError as `read` does."""
        with self._named(number):
            return self._reader.open(number).info

    def read(
        self,
        number: int,
        *,
        admit: Callable[[ImageInfo], None] = lambda _: None,
        in_rows: bool = False,
    ) -> Image:
        """Read a frame as `read_image` reads a picture, composed with those before it.

        Raises ImageError: ``NAME: frame 3: reason, and what to do``.
        """
        with self._named(number), quiet:
            opened = self._reader.open(number)
            admit(opened.info)
            image = opened.read(in_rows)
        kept = tuple(note for note in image.notes if not note.startswith("holds "))
        return replace(image, notes=kept)

    @contextmanager
    def _named(self, number: int) -> Iterator[None]:
        one = f"{self.kind.removesuffix('s')} {number}"
        with failures_named(f"{self.name}: {one}" if self.count > 1 else self.name):
            yield


@contextmanager
def open_frames(
    source: Source,
    choice: FrameChoice = "all",
    *,
    max_pixels: int = MAX_PIXELS,
    name: str = "stdin",
) -> Iterator[Frames]:
    """Open a file for its frames: pages of TIFF, frames of GIF, PNG, WebP and AVIF, .npy stacks.

    Frames come as a viewer shows them, all of one size and with the same channels; of TIFF every
    page that is no preview, as it is. Other files have one. An array .npy is (frames, H, W) or
    (frames, H, W, C) here.

    source, max_pixels, name. As for `read_image`.
    choice : "all" or tuple of int. What will be read: the first alone is read as `read_image` does.

    Raises ImageError: ``NAME: reason, and what to do``.
    """
    shown = shown_name(source, name)
    if is_typed_image(source):
        with failures_named(shown):
            typed = open_typed(str(source), max_pixels)
        yield Frames(shown, _Alone(lambda: typed, 1), "pictures")
        return
    # Not all around the use of the frames, whose errors are not those of reading.
    opened = stream_of(source)
    with failures_named(shown):
        stream = opened.__enter__()
    try:
        with failures_named(shown), quiet:
            reader, kind = _reader(stream, choice, max_pixels, table_ending(source))
        yield Frames(shown, reader, kind)
    finally:
        opened.__exit__(None, None, None)


def read_frames(
    path: str | os.PathLike[str], choice: FrameChoice, *, max_pixels: int = MAX_PIXELS
) -> Iterator[Image]:
    """Yield frames of a file, one in memory at a time, in the order of the choice.

    Raises ImageError as `open_frames` and `Frames.read` do, and for numbers that there are not.
    """
    with open_frames(path, choice, max_pixels=max_pixels) as frames:
        for number in frames.chosen(choice):
            yield frames.read(number)


def _reader(
    stream: BinaryIO, choice: FrameChoice, max_pixels: int, ending: str | None
) -> tuple[_Reader, str]:
    """Return what opens the frames of a stream, and what these are called."""
    start = stream.read(headers.SIGNATURE_BYTES)
    stream.seek(0)
    format = headers.identify(start) if ending else identified(start)
    if format == "npy":
        return _Stack(stream, max_pixels), "frames"
    if format == "tiff":
        return _Pages(stream, max_pixels), "pages"
    kind = "frames" if format in _MOVING else "pictures"

    def first() -> Opened:
        stream.seek(0)
        return open_image(stream, max_pixels, lambda _: None, ending)

    if format in _MOVING:
        count = _count(stream, str(format), first)
        if count > 1 and choice != FIRST:
            return _Animation(stream, str(format), max_pixels), kind
        return _Alone(first, count), kind
    return _Alone(first, 1), kind


def _count(stream: BinaryIO, format: str, first: Callable[[], Opened]) -> int:
    if format == "gif":
        return max(1, len(headers.gif_screen(stream).sizes))
    first()  # refuses what is too large, before its decoder takes memory
    count: int = getattr(open_with(format, stream), "n_frames", 1)
    return count


class _Alone:
    """A file of which the first picture alone is read."""

    def __init__(self, first: Callable[[], Opened], count: int) -> None:
        self._first, self.count = first, count

    def open(self, number: int) -> Opened:
        return self._first()


class _Stack:
    """An array of frames, one after the other."""

    def __init__(self, stream: BinaryIO, max_pixels: int) -> None:
        self._stream = stream
        self.count, self._header = npy.read_stack_header(stream)
        self._start = stream.tell()
        height, width = self._header.shape[:2]
        check_size(width, height, max_pixels)
        self._info = ImageInfo(
            height, width, self._header.channels, False, self._header.dtype, "npy"
        )

    def open(self, number: int) -> Opened:
        def read(_: bool) -> Image:
            self._stream.seek(self._start + (number - 1) * self._header.nbytes)
            return Image(npy.read_pixels(self._stream, self._header), format="npy")

        return Opened(self._info, read)


class _Pages:
    """The pages of a TIFF file that are pictures."""

    def __init__(self, stream: BinaryIO, max_pixels: int) -> None:
        from conv_cli.images.tiff_pages import pictures

        self._stream, self._max_pixels = stream, max_pixels
        # Of each where it lies alone: the directories of 50,000 pages would take 100 MB.
        self._places, self._turns = array("Q"), array("B")
        for page in pictures(stream):
            self._places.append(page.chosen.at)
            self._turns.append(page.orientation)
        self.count = len(self._places)

    def open(self, number: int) -> Opened:
        from conv_cli.images.tiff import open_page
        from conv_cli.images.tiff_alone import page_alone
        from conv_cli.images.tiff_pages import page_at

        at = self._places[number - 1]
        page = page_at(self._stream, at, self._turns[number - 1])
        if (alone := page_alone(self._stream, at)) is not None:
            return open_page(alone, page._replace(is_first=True), self._max_pixels)
        return open_page(self._stream, page, self._max_pixels)


class _Animation:
    """The frames of a picture that moves, composed by Pillow."""

    def __init__(self, stream: BinaryIO, format: str, max_pixels: int) -> None:
        self._sizes: list[tuple[int, int]] = []
        clear, self._max_pixels = False, max_pixels
        if format == "gif":
            self._sizes, clear = headers.gif_screen(stream)
            check_size(*self._sizes[0], max_pixels)
        picture = open_picture(stream, format, max_pixels)
        if picture.info.dtype != np.uint8:
            raise ImageError(
                "has frames of 16 bits, of which only the first can be read in full; leave out "
                "--frames, or save the frames as files"
            )
        if format == "png":
            headers.check_png_frames(stream)
        described, channels = picture.described(), picture.layout.channels
        if format == "gif":
            channels = 4 if clear else 3
        self._described = replace(described, alpha=channels in (2, 4))
        self._channels, self._format, self._picture = channels, format, picture
        self._pillow = open_with(format, stream)
        self.count: int = len(self._sizes) or getattr(self._pillow, "n_frames", 1)
        self._plays = self._loops()
        self._seen = 0

    def open(self, number: int) -> Opened:
        width, height = self._sizes[number - 1] if self._sizes else self._pillow.size
        check_size(width, height, self._max_pixels)
        if self._picture.orientation >= 5:
            width, height = height, width
        alpha = self._described.alpha
        dtype = np.dtype(np.uint8)
        info = ImageInfo(height, width, self._channels, alpha, dtype, self._format)
        return Opened(info, lambda _: self._read(number))

    def _read(self, number: int) -> Image:
        if number < self._seen:
            self._seen = 0
        for each in range(self._seen + 1, number + 1):  # each is composed with that before it
            try:
                self._pillow.seek(each - 1)
                self._pillow.load()
            except DECODER_ERRORS as error:
                if each == number:
                    raise
                raise ImageError(f"frame {each}, which it needs, is damaged") from error
            self._seen = each
        pixels = np.asarray(self._pillow.convert(_MODES[self._channels]))
        return replace(
            self._described,
            pixels=_upright(pixels, self._picture),
            timing=Timing(
                float(self._pillow.info.get("duration") or 0),
                self._plays,
                hidden=number == 1 and bool(getattr(self._pillow, "default_image", False)),
            ),
        )

    def _loops(self) -> int:
        """Return how often all frames are shown, 0 for ever: a GIF says how often again."""
        loop = self._pillow.info.get("loop")
        if self._format == "gif":
            return 1 if loop is None else loop + 1 if loop else 0
        return loop or 0


def _upright(pixels: NDArray[Any], picture: Picture) -> NDArray[Any]:
    """Turn the pixels of a frame as its file says."""
    if picture.orientation == 1:
        return pixels
    height, width = pixels.shape[:2]
    size = (width, height) if picture.orientation >= 5 else (height, width)
    upright = np.empty((*size, *pixels.shape[2:]), pixels.dtype)
    metadata.as_stored(upright, picture.orientation)[...] = pixels
    return upright
