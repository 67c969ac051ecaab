"""A search as a task of a run: the hits in an image, and the pictures that show them."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.colors import to_gray
from conv_cli.colors import white as white_of
from conv_cli.finding.find import Found, search
from conv_cli.finding.pattern import Pattern
from conv_cli.finding.peaks import Hit
from conv_cli.finding.scales import variants
from conv_cli.images import ARRAY_FORMATS, Image, ImageInfo, can_hold, encode_image
from conv_cli.images.drawing import Frame, draw_frames
from conv_cli.io.json import finite_or_none
from conv_cli.parallel.processes import Progress
from conv_cli.pipeline.feature_map import Range, Statistics, map_to_pixels
from conv_cli.pipeline.jobs import Job, Output
from conv_cli.pipeline.looks import Look, Reduced, image_look, map_look
from conv_cli.pipeline.run import Made, Write

Array = npt.NDArray[Any]
_SEARCH_BYTES = 120 << 20
"""What a search takes for its tiles on two threads, about."""


class SearchRule(NamedTuple):
    """What is searched for, and what counts as a hit.

    values : ndarray, shape (C, h, w). The pattern's colours.
    weights : ndarray, shape (h, w), optional
    gray : bool. Whether grey alone is looked at.
    The others are those of `finding.find.search` and `finding.scales.variants`.
    """

    values: Array
    weights: Array | None
    gray: bool
    threshold: float
    false_alarms: float | None
    limit: int
    overlap: float
    scale: tuple[float, float]
    rotate: tuple[float, float]

    def patterns(self, channels: int, image: tuple[int, int]) -> list[Pattern]:
        """Return the pattern in every size that an image has room for, and at every angle.

        Raises PatternError if there is none.
        """
        values = self.values if channels == len(self.values) else _gray(self.values)
        return variants(values, self.weights, self.scale, self.rotate, image)


class FindTask:
    """The places of a pattern in every image.

    rule : SearchRule
    look_side : int. Rows and columns of a picture on a sheet; 0 without one.
    """

    windows = False

    def __init__(self, rule: SearchRule, look_side: int = 0) -> None:
        self._rule, self._look_side = rule, look_side
        self._patterns: dict[tuple[int, tuple[int, int]], list[Pattern]] = {}

    def outputs(self, job: Job, probe: Callable[[], ImageInfo]) -> Sequence[Output]:
        """Return the hits and the pictures that the job names."""
        return job.outputs

    def planned(self, info: ImageInfo, output: Output) -> tuple[tuple[int, ...], str]:
        """Return shape and dtype of a picture; of hits, of the scores."""
        if output.kind == "framed":
            can_hold(output.format, np.uint8, 3, False)
            return (info.height, info.width, 3), "uint8"
        patterns = self._prepared(self._channels(info), (info.height, info.width))
        rows, columns = (
            n - min(pattern.size[axis] for pattern in patterns) + 1
            for axis, n in enumerate((info.height, info.width))
        )
        whole = output.kind == "heat" and output.format not in ARRAY_FORMATS
        return (rows, columns), "uint8" if whole else "float32"

    def memory(self, info: ImageInfo, outputs: Sequence[Output]) -> int:
        """Return the bytes of the tiles of a search, and of its pictures."""
        drawn = 4 * info.height * info.width * sum(bool(output.path) for output in outputs)
        return _SEARCH_BYTES + drawn + (0 if self._channels(info) == info.channels else drawn)

    def notes(self, image: Image) -> tuple[str, ...]:
        """Say what of the image, or of the pattern, is left out."""
        colours = len(image.colours)
        if self._rule.gray or colours == len(self._rule.values):
            return ()
        return ("searched in grey, as the pattern and the image do not have the same channels",)

    def maps(
        self, image: Image, outputs: Sequence[Output], progress: Progress
    ) -> Iterator[tuple[Output, Write]]:
        """Yield what makes each output; the search is done once for all of them."""
        planes = image.colours
        if self._channels(image) != len(planes):
            planes = _gray(planes)
        side = self._look_side
        heat = side > 0 or any(output.kind == "heat" for output in outputs)
        rule = self._rule
        found = search(
            planes,
            self._prepared(len(planes), (planes.shape[1], planes.shape[2])),
            threshold=rule.threshold,
            false_alarms=rule.false_alarms,
            limit=rule.limit,
            overlap=rule.overlap,
            heat=heat,
            progress=lambda share: progress(share * len(outputs)),
        )
        makers = {"hits": _records, "framed": _framed, "heat": _heat}
        looks = _looks(image, found, side) if side else ()
        for output in outputs:
            make = partial(makers[output.kind], image, found, output)
            yield output, make if not looks else partial(_looked_at, make, looks)
            looks = ()

    def _channels(self, image: Image | ImageInfo) -> int:
        """Return how many channels are searched: the colours, or grey alone."""
        colours = image.channels - image.alpha
        alike = colours == len(self._rule.values) and not self._rule.gray
        return colours if alike else 1

    def _prepared(self, channels: int, size: tuple[int, int]) -> list[Pattern]:
        key = channels, size
        if key not in self._patterns:
            self._patterns = {key: self._rule.patterns(channels, size)}
        return self._patterns[key]


def _looked_at(
    make: Callable[[BinaryIO | None], Made], looks: tuple[Look, ...], stream: BinaryIO | None
) -> Made:
    return make(stream)._replace(looks=looks)


def _looks(image: Image, found: Found, side: int) -> tuple[Look, ...]:
    """Return an image with its hits framed, and the scores, as a sheet shows them."""
    assert found.heat is not None
    small = Reduced((*found.heat.shape, 1), side)
    small.put(0, found.heat)
    scores = map_look("scores", small, np.dtype(np.float32), colormap="viridis", top=1.0)
    count = len(found.hits)
    words = "no hit" if not count else f"{count} {'hit' if count == 1 else 'hits'}"
    look = image_look(words, Image(_shown(image)), side)
    # What is drawn is not reduced, so that it can be read.
    pixels = look.values.astype(np.uint8)
    draw_frames(pixels, _frames(found.hits, pixels.shape[0] / image.shape[0]))
    return look._replace(values=pixels.astype(np.float32)), scores


def _gray(colours: Array) -> Array:
    """Return (1, h, w): 0.299 R + 0.587 G + 0.114 B, the first of other channels than three."""
    return to_gray(colours[:, None])[:, 0] if len(colours) == 3 else colours[:1]


def _records(image: Image, found: Found, output: Output, stream: BinaryIO | None) -> Made:
    """Return the hits as records, or the one of an image that has none."""
    records: list[dict[str, Any]] = [_record(hit) for hit in found.hits]
    if not records:
        score, row, col = found.best or (None, None, None)
        records = [{"hits": 0, "best": score, "row": row, "col": col}]
    shape = image.shape[:2]
    return Made(shape, "float32", Statistics(0.0, 0.0, 0.0), records=tuple(records))


def _record(hit: Hit) -> dict[str, Any]:
    known = {
        "row": hit.row, "col": hit.col, "height": hit.height, "width": hit.width,
        "score": round(hit.score, 6), "scale": round(hit.scale, 6), "angle": round(hit.angle, 6),
        "center": [round(each, 3) for each in hit.center],
    }  # fmt: skip
    if hit.expected_false is not None:
        known["expected_false"] = finite_or_none(float(f"{hit.expected_false:.4g}"))
    return known


def _framed(image: Image, found: Found, output: Output, stream: BinaryIO | None) -> Made:
    return _written(framed(image, found.hits), output, stream)


def framed(image: Image, hits: Sequence[Hit]) -> Array:
    """Return an image (H, W, 3) in 8 bits with every hit framed, numbered from 1."""
    pixels = _shown(image)
    draw_frames(pixels, _frames(hits))
    return pixels


def _frames(hits: Sequence[Hit], scale: float = 1.0) -> list[Frame]:
    """Return a frame for each hit, in a picture of a scale."""
    return [
        Frame(
            ((hit.center[0] + 0.5) * scale - 0.5, (hit.center[1] + 0.5) * scale - 0.5),
            (round(hit.height * scale), round(hit.width * scale)),
            f"{number} {hit.score:.2f}",
        )
        for number, hit in enumerate(hits, 1)
    ]


def _heat(image: Image, found: Found, output: Output, stream: BinaryIO | None) -> Made:
    """Write the scores: as they are into an array, 0 black and 1 white into a picture."""
    assert found.heat is not None
    if output.format in ARRAY_FORMATS:
        return _written(found.heat, output, stream)
    share = np.nan_to_num(found.heat, nan=0.0)
    pixels, _ = map_to_pixels(
        share * np.float32(255), np.dtype(np.uint8), np.dtype(np.uint8), Range("clip")
    )
    return _written(pixels, output, stream)


def _written(pixels: Array, output: Output, stream: BinaryIO | None) -> Made:
    assert stream is not None
    notes = encode_image(stream, pixels, output.format)
    low, high = float(np.nanmin(pixels)), float(np.nanmax(pixels))
    return Made(pixels.shape, pixels.dtype.name, Statistics(low, high, 0.0), notes)


def _shown(image: Image) -> Array:
    """Return an image as a screen shows it, (H, W, 3), uint8; floats are stretched, opacity is on
    white.
    """
    colours = image.colours
    colours = colours if len(colours) == 3 else colours[:1]
    if image.dtype != np.uint8:
        small = image.dtype.kind == "u" and image.dtype.itemsize <= 2
        values = np.nan_to_num(colours.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
        mode = Range("clip" if small else "stretch")
        pixels, _ = map_to_pixels(values.transpose(1, 2, 0), image.dtype, np.dtype(np.uint8), mode)
    else:
        pixels = colours.transpose(1, 2, 0)
    if image.alpha:
        share = image.planes[-1][..., None] / white_of(image.dtype)
        pixels = np.rint(255 + share * (pixels.astype(np.float64) - 255)).astype(np.uint8)
    return np.array(np.broadcast_to(pixels, (*pixels.shape[:2], 3)), order="C")
