"""Filters as a task of a run, and the pixels that a map has."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.colormaps import Scale
from conv_cli.colors import white as white_of
from conv_cli.errors import ConvError, ImageError
from conv_cli.images import (
    FLOAT_FORMATS,
    REAL_FORMATS,
    ROW_FORMATS,
    Image,
    ImageInfo,
    Sink,
    can_hold,
    not_srgb,
    open_joined,
    open_sink,
    window_pixels,
)
from conv_cli.kernels.kernel import Kernel
from conv_cli.parallel.processes import Progress
from conv_cli.pipeline.chosen import beside
from conv_cli.pipeline.feature_map import (
    ArraySink,
    Range,
    Statistics,
    colour_scale,
    require_white,
    value_in,
)
from conv_cli.pipeline.filter import (
    Filter,
    filter_strips,
    filtered_pixels,
    nodata_of,
    output_shape,
    place_of,
)
from conv_cli.pipeline.jobs import Destination, Job, Output
from conv_cli.pipeline.looks import Look, Reduced, ThinSink, image_look, map_look, seen, signed
from conv_cli.pipeline.run import Made, Write
from conv_cli.pipeline.weights import nodata_note

Array = npt.NDArray[Any]
LayerChoice = Literal["all", "last"] | int
_VALUES = (
    "its values are written as they are, as floats have no colours; --depth 8 writes those, and "
    "--sheet shows them"
)
_DEPTHS = {"8": np.uint8, "16": np.uint16, "float32": np.float32, "float64": np.float64}


def pixels_of(
    units: np.dtype[Any],
    channels: int,
    alpha: bool,
    format: str,
    to: Destination,
    values: Array | None = None,
    *,
    joined: bool = False,
) -> tuple[np.dtype[Any], Range]:
    """Return the dtype of a map's pixels and the range that makes them.

    units : numpy.dtype. Of the input.
    channels, alpha : int, bool. Of the map.
    format : str. Of the output.
    values : ndarray, optional. Tell, in an error, what white may be.
    joined : bool. The map is one frame of several in a file.

    Raises ImageError if the format does not hold them, or floats need to be told what white is.
    """
    chosen = to.range
    if to.depth:
        made = np.dtype(_DEPTHS[to.depth])
    elif keeps_floats(units, format, to):
        loses = units.itemsize > 4 or (units.itemsize == 4 and units.kind != "f")
        made = np.dtype(np.float64 if loses and format in REAL_FORMATS else np.float32)
    elif units.itemsize > 2 and (chosen is not None or to.white is not None):
        deep = _holds(format, np.dtype(np.uint16), channels, alpha)
        made = np.dtype(np.uint16 if deep else np.uint8)
    else:
        made = units
    mode = chosen or Range("raw" if made.kind == "f" else "clip")
    whole = made if format in FLOAT_FORMATS or to.depth else np.dtype(np.uint8)
    require_white(units, whole, mode, to.white, values)
    can_hold(format, made, channels, alpha, joined=joined)
    return made, mode


def keeps_floats(units: np.dtype[Any], format: str, to: Destination) -> bool:
    """Tell whether a map of an image of that dtype is written as floats: its values, not colours.

    One that has to become whole numbers for its format does not count as one.
    """
    if to.depth:
        return to.depth.startswith("float")
    stays_float = format in FLOAT_FORMATS or (to.range is None and to.white is None)
    real = units.kind == "f" and stays_float
    return format in REAL_FORMATS or to.range == Range("raw") or real


def _holds(format: str, dtype: np.dtype[Any], channels: int, alpha: bool) -> bool:
    try:
        can_hold(format, dtype, channels, alpha)
    except ImageError:
        return False
    return True


class Form(NamedTuple):
    """What a map is made of and becomes.

    rule : Filter
    shape : of its pixels, (h, w) or (h, w, C).
    dtype : of its pixels.
    mode : Range
    scale : Scale or None. Which colours its values become.
    """

    rule: Filter
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    mode: Range
    scale: Scale | None = None


class FilterTask(NamedTuple):
    """Every kernel on every image."""

    rule: Filter
    to: Destination
    windows: bool = True

    def outputs(self, job: Job, probe: Callable[[], ImageInfo]) -> Sequence[Output]:
        """Return the maps that the job names."""
        return job.outputs

    def planned(self, info: ImageInfo, output: Output) -> tuple[tuple[int, ...], str]:
        """Return shape and dtype of a map."""
        form = self._form(info, output)
        return form.shape, form.dtype.name

    def memory(self, info: ImageInfo, outputs: Sequence[Output]) -> int:
        """Return the bytes of the largest map, twice where it is encoded in memory.

        What is read by windows takes none where its rows are written as they come.
        """
        most = 0
        for output in outputs:
            with suppress(ConvError):  # which is the error of that map, when its turn comes
                form = self._form(info, output)
                copies = 1 if output.format == "png" else 2
                if info.windowed and output.format in ROW_FORMATS and output.path:
                    copies = 0
                most = max(most, math.prod(form.shape) * form.dtype.itemsize * copies)
        return most

    def notes(self, image: Image) -> tuple[str, ...]:
        """Say what ``--linear`` takes for granted, and what value a file says is none."""
        reason = not_srgb(image) if self.rule.linear else None
        light = (f"--linear takes its values for sRGB, but {reason}",) if reason else ()
        nodata = nodata_of(image, self.rule)
        if self.rule.nodata is not None or nodata is None:
            return light
        return (*light, nodata_note(nodata))

    def maps(
        self, image: Image, outputs: Sequence[Output], progress: Progress
    ) -> Iterator[tuple[Output, Write]]:
        """Yield what filters an image into each of its maps."""
        side = self.to.look_side
        pictured = None
        if side:
            pictured = image_look("input", self._pictured(image), side, self.to.white)
        for output in outputs:
            yield output, partial(self._made, image, output, progress, pictured)

    def _form(self, image: Image | ImageInfo, output: Output) -> Form:
        """Return the form of a map, in colours where those are asked for and it holds no floats."""
        if output.path is None and self.to.look_side and not self.to.show:
            rows, columns, channels = output_shape(image, self.rule, output.kernels[0])
            shape = (rows, columns, channels)[: 2 + (channels > 1)]
            return Form(self.rule, shape, np.dtype(np.float32), Range("raw"))
        values = image.pixels if isinstance(image, Image) and not image.windowed else None
        if self.to.colormap is not None and not keeps_floats(image.dtype, output.format, self.to):
            return self._coloured(image, output, values)
        shape = output_shape(image, self.rule, output.kernels[0])
        dtype, mode = pixels_of(
            image.dtype, shape[2], image.alpha, output.format, self.to, values,
            joined=output.joined,
        )  # fmt: skip
        if beside(image, self.rule.only, opaque=True):  # which no range makes whole numbers of
            require_white(image.dtype, dtype, Range("clip"), self.to.white, values)
        return Form(self.rule, shape[:2] if shape[2] == 1 else shape, dtype, mode)

    def _coloured(self, image: Image | ImageInfo, output: Output, values: Array | None) -> Form:
        """Return the form of a map in colours: of the image's grey, with its opacity."""
        assert self.to.colormap is not None
        rule = self._grey(image)
        channels = 3 + image.alpha
        wide = image.dtype.kind != "f" and image.dtype.itemsize > 2
        to = self.to if wide else self.to._replace(depth="8")
        _, mode = pixels_of(
            image.dtype, channels, image.alpha, output.format, to, values, joined=output.joined
        )
        scale, mode = colour_scale(self.to.colormap, mode, image.dtype, self.to.white)
        shape = (*output_shape(image, rule, output.kernels[0])[:2], channels)
        return Form(rule, shape, np.dtype(np.uint8), mode, scale)

    def _grey(self, image: Image | ImageInfo) -> Filter:
        """Return the rule for a map in colours, which is of one channel."""
        colours = image.channels - image.alpha
        if colours not in (1, 3):
            raise ImageError(
                f"has {colours} bands, and a colour stands for one value; leave out --colormap"
            )
        return self.rule._replace(gray=True) if colours == 3 else self.rule

    def _made(
        self,
        image: Image,
        output: Output,
        progress: Progress,
        pictured: Look | None,
        stream: BinaryIO | Path | None,
    ) -> Made:
        """Filter an image into a stream, if there is one, and look at its map for a sheet."""
        if pictured is None:
            return self._filtered(image, output, progress, stream)
        if stream is None and not self.to.show:
            made, look = self._looked_at(image, output, progress)
        else:
            made = self._filtered(image, output, lambda share: progress(share / 2), stream)
            _, look = self._looked_at(image, output, lambda share: progress(share / 2))
        return made._replace(looks=(pictured, look))

    def _filtered(
        self, image: Image, output: Output, progress: Progress, stream: BinaryIO | Path | None
    ) -> Made:
        """Filter an image into a stream, whose rows are written while the next are computed."""
        form = self._form(image, output)
        described = self._described(
            image, output, form, np.broadcast_to(np.zeros((), form.dtype), form.shape)
        )
        sink: Sink | ArraySink
        notes: tuple[str, ...]
        if stream is None:
            # Of a large one there is nothing to print, and to look at it is made again.
            sink = ThinSink(form.shape) if image.windowed else ArraySink(form.shape[0])
            notes = ()
        else:
            sink, notes = open_sink(
                stream, described, output.format,
                compress=self.to.compress, quality=self.to.quality,
                large=image.windowed and math.prod(form.shape[:2]) >= window_pixels(),
            )  # fmt: skip
        made = filter_strips(
            image, form.rule, output.kernels, form.dtype, form.mode, sink,
            progress=progress, scale=form.scale,
        )  # fmt: skip
        values = sink.pixels if isinstance(sink, ArraySink) else None
        notes += () if isinstance(sink, ArraySink) else sink.finish()
        if self.to.colormap is not None and form.scale is None and stream is not None:
            notes += (_VALUES,)
        plan, statistics = made.plan, made.statistics
        return Made(
            form.shape, form.dtype.name, statistics, notes, plan.strategy, plan.reason,
            values=None if self.to.show else values,
            pictures=self._pictures(image, output, statistics) if self.to.show else (),
        )  # fmt: skip

    def _looked_at(self, image: Image, output: Output, progress: Progress) -> tuple[Made, Look]:
        """Return a map that is not written, and how a sheet shows it."""
        to = self.to
        rule = self._grey(image) if to.colormap else self.rule
        shape = output_shape(image, rule, output.kernels[0])
        percentile = to.range.percentile if to.range else 100.0
        opaque = white_of(image.dtype) if image.alpha else None
        small = Reduced(shape, to.look_side, percentile, opaque)
        real = np.dtype(np.float32)
        done = filter_strips(
            image, rule, output.kernels, real, Range("raw"), small, progress=progress
        )
        look = map_look(
            str(output.kernel), small, image.dtype, mode=to.range, top=to.white,
            colormap=to.colormap, signed=all(k.is_zero_sum for k in output.kernels),
        )  # fmt: skip
        form = shape[:2] if shape[2] == 1 else shape
        plan = done.plan
        return Made(form, real.name, done.statistics, (), plan.strategy, plan.reason), look

    def _described(self, image: Image, output: Output, form: Form, pixels: Array) -> Image:
        """Return the pixels of a map with what describes the image."""
        described = replace(image, pixels=pixels)
        if form.scale is not None:
            described = replace(described, icc=None)  # it may be one of grey
        if (nodata := nodata_of(image, self.rule)) is not None:
            described = described.with_nodata(float(value_in(form.dtype, nodata)))
        if image.zarr is not None:
            layout = image.zarr.moved(place_of(self.rule, output.kernels[0]))
            described = replace(described, zarr=layout)
        return described

    def joined(
        self, images: Iterable[tuple[int, Image]], count: int, output: Output, stream: BinaryIO
    ) -> list[Made]:
        """Filter frames, each with its number, into one file; one is in memory at a time."""
        to, made = self.to, list[Made]()
        file = open_joined(stream, output.format, count, compress=to.compress, quality=to.quality)
        for number, image in images:
            try:
                one, pixels = self._frame(image, output)
                notes = file.add(pixels)
                if to.look_side and not made:  # a sheet shows the first
                    pictured = image_look("input", self._pictured(image), to.look_side, to.white)
                    _, look = self._looked_at(image, output, lambda _: None)
                    one = one._replace(looks=(pictured, look))
            except ConvError as error:
                raise ImageError(f"frame {number}: {error}") from error
            made.append(one._replace(notes=(*one.notes, *notes), frame=number))
        file.finish()
        return made

    def _frame(self, image: Image, output: Output) -> tuple[Made, Image]:
        """Filter one frame of several; return what is said of its map, and the map."""
        form = self._form(image, output)
        rows = ArraySink(form.shape[0])
        result = filter_strips(
            image, form.rule, output.kernels, form.dtype, form.mode, rows, scale=form.scale
        )
        statistics, plan = result.statistics, result.plan
        values = (_VALUES,) if self.to.colormap is not None and form.scale is None else ()
        made = Made(
            form.shape, form.dtype.name, statistics,
            (*image.notes, *self.notes(image), *values), plan.strategy, plan.reason,
            pictures=self._pictures(image, output, statistics) if self.to.show else (),
        )  # fmt: skip
        return made, self._described(image, output, form, rows.pixels)

    def _pictured(self, image: Image) -> Image:
        """Return what of an image is looked at: that of which its map is."""
        if (region := self.rule.region) is None:
            return image
        return image.window(region.rows[0], region.columns[0], *region.shape)

    def _pictures(self, image: Image, output: Output, statistics: Statistics) -> tuple[Array, ...]:
        """Return an image and its map as they are looked at; a signed one in colours."""
        mode = self.to.range or Range("clip")
        kernels, pictured = output.kernels, self._pictured(image)
        if (
            mode.name in ("clip", "raw")
            and statistics.low < 0
            and all(k.is_zero_sum for k in kernels)
        ):
            real = self._thinned(image, kernels, np.dtype(np.float32), Range("raw"))
            return seen(pictured, self.to.white), signed(real, image.alpha)
        if image.dtype.kind == "f" and self.to.white is None and not mode.needs_extremes:
            mode = Range("stretch")
        elif mode.name == "raw":
            mode = Range("clip")
        made = self._thinned(image, kernels, np.dtype(np.uint8), mode)
        return seen(pictured, self.to.white), seen(replace(image, pixels=made))

    def _thinned(
        self, image: Image, kernels: tuple[Kernel, ...], dtype: np.dtype[Any], mode: Range
    ) -> Array:
        """Return a map, or of a large one so much of it as is looked at."""
        if not image.windowed:
            return filtered_pixels(image, self.rule, kernels, dtype, mode)
        sink = ThinSink(output_shape(image, self.rule, kernels[0]))
        filter_strips(image, self.rule, kernels, dtype, mode, sink)
        return sink.pixels
