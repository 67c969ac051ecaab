"""One image, every kernel: what ``apply`` does between reading a file and writing one."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.borders import Span
from conv_cli.colormaps import Scale
from conv_cli.colors import from_linear, missing, to_gray, to_linear, unweigh, white
from conv_cli.correlation.correlate import correlate, prepare, tiles
from conv_cli.correlation.params import NO_PADDING, ConvParams
from conv_cli.correlation.plan import Plan
from conv_cli.correlation.problem import Region, Source, Tile
from conv_cli.errors import ImageError
from conv_cli.images import Image, ImageInfo, PixelRows, ZarrPlace
from conv_cli.kernels.kernel import Kernel, common_frame
from conv_cli.kernels.learned import ChannelKernel, Manner, Tone, require_one
from conv_cli.pipeline.channels import ChannelWeights, joined
from conv_cli.pipeline.chosen import beside, chosen, chosen_channels, order_of, under_origin
from conv_cli.pipeline.feature_map import (
    ArraySink,
    ColourSink,
    CombineName,
    Copied,
    FeatureMap,
    Missing,
    Range,
    RowSink,
    Statistics,
    combine,
    rescaled,
    rescaling,
)
from conv_cli.pipeline.weights import Mask, WeightedPixels, Weighting, nodata_in

Array = npt.NDArray[Any]

_STORED_BYTES = 16 << 20
"""Real values that may be stored beside the pixels until their range is known."""


_INTERLEAVED = 4
"""Channels that stay side by side at most: a kernel whose columns lie further apart is slow."""


_OTHER_AXES = ((0, 1, 3), (0, 1, 2))
"""Of values (C, K, rows, columns), all but the rows, and all but the columns."""


class Bias(NamedTuple):
    """What is added to a result: in the image's own units, or a share of white."""

    value: float
    of_white: bool = False

    def in_units(self, top: float) -> float:
        """Return it in the units of an image whose white is ``top``."""
        return self.value * top if self.of_white else self.value


class Filter(NamedTuple):
    """What is to be done to an image; the options of ``apply`` that concern its pixels.

    kernels : tuple of Kernel. Cross-correlated as they are: turning and normalizing come before.
    params : ConvParams. How they slide.
    bias : Bias or None. Added last; None: each kernel's own.
    gray : bool. One channel of grey in place of colours.
    luma : bool. Grey is filtered, and what the colours differ from it by is added to the result.
    only : tuple of int. The channels that are filtered, from 1, the others being copied; none: all.
    filter_alpha : bool. Treat opacity as one more channel; without it, it is copied and weighs the
        colours.
    linear : bool. Correlate in linear light.
    combine : str or None. Make one map of all kernels: "magnitude", "max", "sum", "mean",
        or "angle" of two.
    white : float or None. What white is in pixels of floats; None: 1.
    tone : Tone or None. A curve that was learned with the kernel, before or after it.
    mask : Mask or None. How much every pixel counts, beside its opacity.
    nodata : float or None. What stands for no value, NaN or a number; None: what a GeoTIFF says.
    region : Region or None. The rows and columns of the map that are made; None: all. What lies
        around them is the image, so they are the same to the bit.
    """

    kernels: tuple[Kernel, ...]
    params: ConvParams = ConvParams(padding="same")  # frozen, so shared without harm
    bias: Bias | None = None
    gray: bool = False
    luma: bool = False
    only: tuple[int, ...] = ()
    filter_alpha: bool = False
    linear: bool = False
    combine: CombineName | None = None
    white: float | None = None
    tone: Tone | None = None
    mask: Mask | None = None
    nodata: float | None = None
    region: Region | None = None

    def following(self, manner: Manner) -> "Filter":
        """Return it in the manner that its kernel was learned in; a stride that was given stays."""
        given = self.params.stride
        stride = manner.stride if given == (1, 1) else given
        return self._replace(
            params=replace(self.params, stride=stride),
            linear=self.linear or manner.linear,
            tone=manner.tone,
        )

    def maps(self) -> list[tuple[str, tuple[Kernel, ...]]]:
        """Return the name of each map and the kernels, all of one shape, that make it."""
        if self.combine:
            require_one(self.kernels)
            return [(self.combine, common_frame(self.kernels))]
        return [(kernel.name, (kernel,)) for kernel in self.kernels]


class Filtered(NamedTuple):
    """What the values of a map were, and how it was computed."""

    statistics: Statistics
    plan: Plan


def output_shape(image: Image | ImageInfo, rule: Filter, kernel: Kernel) -> tuple[int, int, int]:
    """Return (rows, columns, channels) of the map that a kernel makes of such an image.

    Raises ConvError if the kernel is larger than the image with its padding, the mask of another
    size, the region outside, grey is asked of bands that are no colours, or it lacks a channel.
    """
    if rule.mask is not None:
        rule.mask.require_fit(image)
    params = rule.params.resolved(kernel.shape, kernel.origin)
    rows, columns = params.output((image.shape[0], image.shape[1]), kernel.shape)
    if rule.region is not None:
        rows, columns = _within(rule.region, (rows, columns))
    colours = image.channels - image.alpha
    if (rule.gray or rule.luma) and colours not in (1, 3):
        raise ImageError(
            f"has {colours} bands, and grey is made of red, green and blue; leave out "
            f"--channels {'grey' if rule.gray else 'luma'}, and every band is filtered"
        )
    chosen_channels(image, rule.only, opaque=rule.filter_alpha)
    opacity = _filters_opacity(image, rule)
    made = _results(kernel, _lit(image, rule) + opacity, opacity=opacity)
    if not (rule.luma or rule.only):
        return rows, columns, made + (image.alpha and not rule.filter_alpha)
    if made != _lit(image, rule) + opacity:
        raise ImageError(
            f"the kernel {kernel.name} makes other channels than it takes; leave out --channels"
        )
    return rows, columns, image.channels


def _filters_opacity(image: Image | ImageInfo, rule: Filter) -> bool:
    """Tell whether opacity is one of the channels that are filtered."""
    return image.alpha and rule.filter_alpha and (not rule.only or image.channels in rule.only)


def _lit(image: Image | ImageInfo, rule: Filter) -> int:
    """Return how many channels of colour are filtered."""
    if rule.only:
        return len(set(rule.only)) - _filters_opacity(image, rule)
    return 1 if rule.gray or rule.luma else image.channels - image.alpha


def _results(kernel: Kernel, filtered: int, *, opacity: bool) -> int:
    """Return how many channels a kernel makes of so many, opacity the last of them or not.

    Raises ImageError if it is a kernel for another number of channels.
    """
    if not isinstance(kernel, ChannelKernel):
        return filtered
    if kernel.inputs != filtered or (opacity and kernel.results != filtered):
        has = f"{filtered} channel{'s' if filtered > 1 else ''} to filter"
        advice = "leave out --alpha filter" if opacity else "give a picture like those of its fit"
        raise ImageError(
            f"has {has}{', opacity among them' if opacity else ''}, and the kernel "
            f"{kernel.name} is {kernel.kind}; {advice}"
        )
    return kernel.results


def place_of(rule: Filter, kernel: Kernel) -> ZarrPlace:
    """Return where the pixels of the map of a kernel lie in the image: those under its origin."""
    params = rule.params.resolved(kernel.shape, kernel.origin)
    region = rule.region or Region((0, 0), (0, 0))
    (top, _), (left, _) = params.margins
    row, column = (
        origin * gap - before + first * step
        for origin, gap, before, (first, _), step in zip(
            kernel.origin, params.dilation, (top, left), region, params.stride, strict=True
        )
    )
    return ZarrPlace((row, column), params.stride)


def _within(region: Region, size: tuple[int, int]) -> tuple[int, int]:
    """Return rows and columns of a region, or raise ImageError if a map of that size lacks some."""
    if any(stop > n for (_, stop), n in zip(region, size, strict=True)):
        (top, bottom), (left, right) = region
        raise ImageError(
            f"has {size[0]} rows of {size[1]} pixels, and --region {top},{left},{bottom - top}x"
            f"{right - left} goes to row {bottom - 1} and column {right - 1}; give a window in it"
        )
    return region.shape


def filter_strips(
    image: Image,
    rule: Filter,
    kernels: tuple[Kernel, ...],
    dtype: np.dtype[Any],
    mode: Range,
    sink: RowSink,
    *,
    progress: Callable[[float], None] | None = None,
    scale: Scale | None = None,
) -> Filtered:
    """Make the map that the kernels give of an image, strip by strip.

    kernels : tuple of Kernel. One, or all of one shape and origin for a combined map: an entry of
        ``rule.maps()``.
    dtype : numpy.dtype. Of the map's pixels: uint8, uint16, int32, float32 or float64.
    sink : RowSink. Takes the rows as they are finished, while the next are computed.
    progress : callable, optional. Is told the share of the work that each tile was; it may raise to
        stop the work.
    scale : Scale, optional. Of a map of one channel that becomes colours, as `colour_scale` gives
        it with the range; its dtype is uint8, its rows have three channels, and opacity.

    Raises ConvError if the kernel is larger than the image, or the pixels cannot hold the values.
    """
    shape = output_shape(image, rule, kernels[0])
    work = _Correlation(image, rule, kernels)
    plan = work.plan
    if scale is not None:
        dtype, sink = np.dtype(np.uint16), ColourSink(scale.colormap, sink)
    feature_map = FeatureMap(
        shape, image.dtype, dtype, mode, sink,
        tile_rows=plan.tile[0], samples=work.pixels.samples, white=rule.white,
        copied=work.copied(dtype), nodata=nodata_of(image, rule), scale=scale,
    )  # fmt: skip
    if not feature_map.needs_extremes:
        work.run(feature_map.add, progress)
    elif _worth_storing(plan, feature_map.size, dtype.itemsize, image.windowed):
        work.run(feature_map.store, progress)
        feature_map.quantize_stored()
    else:
        half = None if progress is None else lambda share: progress(share / 2)
        work.run(lambda values, _, __, missing: feature_map.measure(values, missing), half)
        work.run(feature_map.quantize, half)
    return Filtered(feature_map.statistics, plan)


class _Correlation:
    """The correlation of an image with the kernels of one map, and what is made of its values."""

    def __init__(self, image: Image, rule: Filter, kernels: tuple[Kernel, ...]) -> None:
        self._rule, self._kernels = rule, kernels
        self._top = white_of(image.dtype, rule)
        if (rule.luma or rule.only) and not image.windowed:
            image = replace(image, pixels=np.asarray(image.pixels))
        self._whole = image
        self._image = image = chosen(image, rule.only, opaque=rule.filter_alpha)
        self._copied = image.alpha and not rule.filter_alpha
        opacity = _filters_opacity(self._whole, rule)
        filtered = _lit(self._whole, rule) + opacity
        self._colours = _results(kernels[0], filtered, opacity=opacity)
        self._lit = self._colours - opacity
        self._params = rule.params.resolved(kernels[0].shape, kernels[0].origin)
        self._nodata = nodata_of(image, rule)
        self._channels = ChannelWeights.of(kernels)
        self.pixels = _pixels(image, rule, self._params, apart=self._channels.apart)
        weighed = self.pixels.plain is not None
        self._weights = self._channels.weighed() if weighed else self._channels.plain()
        sliding = self._params.interleaved(self.pixels.samples)
        self._sliding = replace(sliding, groups=self._channels.groups(weighed=weighed))
        self.problem, self.plan = prepare(self.pixels.source, self._weights, self._sliding)
        plain = self.pixels.plain
        self._beneath = None if plain is None else plain.padded(self._sliding)

    def run(
        self, handle: Callable[..., object], progress: Callable[[float], None] | None = None
    ) -> None:
        """Hand the finished values of every tile on, its rows and columns, and what is missing."""
        region = self._region
        step = 1 / len(tiles(self.problem, self.plan.tile, region))
        differences = self._differences() if self._rule.luma else None

        def finish(values: Array, tile: Tile) -> None:
            missing = None
            values = self._channels.taken_apart(values, weighed=self._beneath is not None)
            if self._beneath is not None:
                values, missing = self._unweighed(values, tile)
            rows, columns = tile.output
            added = None if differences is None else differences(rows, columns)
            values = _finish(values, self._rule, self._kernels, self._top, self._lit, added)
            if missing is not None:
                missing = np.broadcast_to(missing, values.shape)
            inner: tuple[slice, ...] = (slice(None),)
            if region is not None:
                (rows, down), (columns, across) = map(_cut, tile.output, region)
                inner = (slice(None), down, across)
            handle(values[inner], rows, columns, None if missing is None else missing[inner])
            if progress is not None:
                progress(step)

        correlate(self.pixels.source, self._weights, self._sliding, finish, only=region)

    @property
    def _region(self) -> Region | None:
        """The region in samples."""
        region, samples = self._rule.region, self.pixels.samples
        if region is None:
            return None
        left, right = region.columns
        return Region(region.rows, (left * samples, right * samples))

    def _differences(self) -> Callable[[Span, Span], Array]:
        """Return what gives the colours (C, 1, h, w) less their grey, of rows and columns.

        It is 0 where there is no value.
        """
        colour = under_origin(self._image.colours, self._params, self._kernels[0])
        light = _light(self._rule, self._top)

        def read(rows: Span, columns: Span) -> Array:
            pixels = colour(rows, columns)[:, None]
            lit = light(pixels)
            differences = lit - to_gray(lit)
            if self._nodata is not None:
                none = np.logical_or.reduce(missing(pixels, self._nodata), axis=0)
                differences[:, none] = 0
            return differences

        return read

    def copied(self, dtype: np.dtype[Any]) -> Copied | None:
        """Return the channels that are copied, their pixels those under the kernels' origin."""
        image, rule, params = self._whole, self._rule, self._params
        bands = beside(image, rule.only, opaque=rule.filter_alpha)
        parts = []
        if bands:
            scale = rescaling(image.dtype, dtype, self._top)
            parts.append((under_origin(image.planes[bands], params, self._kernels[0]), scale))
        if self._copied:
            border = params.border
            border = replace(border, value=self._top) if border.opaque else border
            read = under_origin(image.planes[-1:], params, self._kernels[0], border)
            parts.append((read, 1.0 if dtype.kind == "f" else white(dtype) / self._top))
        if not parts:
            return None
        region = rule.region or Region((0, 0), (0, 0))
        top, left = (first for first, _ in region)

        def pixels(rows: Span, columns: Span) -> Array:
            place = (rows[0] + top, rows[1] + top), (columns[0] + left, columns[1] + left)
            return np.concatenate([rescaled(part(*place), dtype, scale) for part, scale in parts])

        order = order_of(image, bands, opaque=rule.filter_alpha)
        return Copied(pixels, len(bands) + self._copied, order)

    def _unweighed(self, values: Array, tile: Tile) -> tuple[Array, Missing | None]:
        """Return the colours (C, K, h, w), each pixel counted by its weight, and which are missing.

        Values (N, 2·K, h, w) hold the sums of the kernels and then those of their magnitudes; where
        no weight is negative these are the same, and the values (N, K, h, w). Missing, (C, h, w),
        is what any of the kernels cannot tell.
        """
        channels = self._channels
        count, several = channels.count, channels.inputs or self._colours
        made = [
            unweigh(values[:, k], values[:, k - count], several, *channels.sums(k, values.dtype))
            for k in range(count)
        ]
        colours = np.stack([each.values for each in made], axis=1)
        untold = np.stack(np.broadcast_arrays(*[each.untold for each in made]), axis=1)
        colours, untold = channels.mixed(colours, untold)
        if not untold.any():
            return colours, None
        if self._nodata is None:
            box = tuple(
                slice(int(places[0]), int(places[-1]) + 1)
                for places in (np.flatnonzero(untold.any(axis=axes)) for axes in _OTHER_AXES)
            )
            part = colours[:, :, *box]
            np.copyto(part, self._as_they_are(tile, box, part), where=untold[:, :, *box])
            return colours, None
        return colours, np.broadcast_to(untold.any(axis=1), colours[:, 0].shape)

    def _as_they_are(self, tile: Tile, box: tuple[slice, ...], like: Array) -> Array:
        """Return the correlated colours of some rows and columns, every pixel counted in full."""
        source, image = self.pixels.plain, self._beneath
        assert source is not None
        assert image is not None
        channels = self._channels
        params = replace(self._sliding, padding=NO_PADDING, groups=channels.groups(weighed=False))
        reach = params.span(self._kernels[0].shape)
        rows, columns = (
            (start + part.start * step, start + (part.stop - 1) * step + span)
            for (start, _), part, step, span in zip(
                tile.input, box, params.stride, reach, strict=True
            )
        )
        dtype = image.dtype if source.load is None else source.dtype
        window = np.empty((*source.shape[:2], rows[1] - rows[0], columns[1] - columns[0]), dtype)
        image.read(rows, columns, window)
        out = np.empty(like.shape, like.dtype)
        place = out.reshape(1, -1, *out.shape[2:]) if channels.apart else out
        correlate(Source.of(window), channels.plain(), params, out=place, threads=1)
        return out


def _cut(span: Span, region: Span) -> tuple[Span, slice]:
    """Return the part of a span that lies in a region, counted from its start, and as a slice."""
    first, stop = max(span[0], region[0]), min(span[1], region[1])
    return (first - region[0], stop - region[0]), slice(first - span[0], stop - span[0])


def filtered_pixels(
    image: Image, rule: Filter, kernels: tuple[Kernel, ...], dtype: np.dtype[Any], mode: Range
) -> Array:
    """Return the map of ``filter_strips`` as an array, (h, w) or (h, w, C)."""
    whole = ArraySink(output_shape(image, rule, kernels[0])[0])
    filter_strips(image, rule, kernels, dtype, mode, whole)
    return whole.pixels


class _Pixels(NamedTuple):
    """What the engines read of an image.

    source : Source
    samples : int. How many of them lie side by side in a pixel.
    plain : Source or None. Where the source reads pixels by their weights: those as they are.
    """

    source: Source
    samples: int = 1
    plain: Source | None = None


def _pixels(image: Image, rule: Filter, params: ConvParams, *, apart: bool) -> _Pixels:
    """Return what the engines read of an image; ``apart``: channels have their own kernels."""
    weighting, load = _weighting(image, rule, apart=apart), _loader(image, rule)
    beyond = params.border if params.margins != NO_PADDING else None
    if weighting.is_needed(image, beyond):
        planes = image.planes[:, None]
        pixels = WeightedPixels(planes, weighting, load or (lambda tile: tile))
        source = Source.of(pixels, constant=pixels.border(params.border))
        plain = Source.of(planes, load)
        if apart:
            source, plain = joined(source), joined(plain)
        return _Pixels(source, plain=plain)
    if apart:
        return _Pixels(joined(Source.of(image.planes[:, None], load)))
    samples = _interleaved(image, rule)
    return _Pixels(Source.of(_planes(image, samples), load, samples=samples), samples)


def _weighting(image: Image, rule: Filter, *, apart: bool) -> Weighting:
    """Return what the weight of a pixel is made of."""
    copied = image.alpha and not rule.filter_alpha
    return Weighting(
        image.channels - copied,
        white_of(image.dtype, rule),
        opacity=copied,
        mask=rule.mask,
        nodata=nodata_of(image, rule),
        apart=apart,
    )


def nodata_of(image: Image, rule: Filter) -> float | None:
    """Return what stands for no value in an image: what was given, or the file says itself.

    None, too, where its pixels cannot be that, nor are those of the border.
    """
    border = rule.params.border
    if border.mode == "constant" and border.opaque and border.value == rule.nodata:
        return rule.nodata
    return nodata_in(image, rule.nodata)


def _interleaved(image: Image, rule: Filter) -> int:
    """Return how many samples a pixel has if they may stay side by side in a row, else 1.

    A kernel whose columns lie so many samples apart then filters all channels in one plane, and
    nothing has to be taken apart or put together.
    """
    curved = rule.linear or rule.tone is not None
    treated_apart = image.alpha and (curved or not rule.filter_alpha)
    mixed = treated_apart or bool(rule.only) or ((rule.gray or rule.luma) and image.channels > 1)
    in_rows = isinstance(image.pixels, PixelRows) or image.pixels.flags.c_contiguous
    few = image.channels <= _INTERLEAVED
    return image.channels if rule.params.stride[1] == 1 and in_rows and few and not mixed else 1


def _worth_storing(plan: Plan, size: int, itemsize: int, windowed: bool) -> bool:
    """Tell whether real values are stored until the range is known, or made a second time.

    A value that is stored costs about a nanosecond, and memory beside that of the pixels: those of
    a windowed image are not in memory.
    """
    beside = 0 if windowed else size * itemsize // 2
    return size * 8 <= _STORED_BYTES or (
        plan.cost > size / 1e6 and size * 4 <= _STORED_BYTES + beside
    )


def _planes(image: Image, samples: int) -> Array:
    """Return the pixels without a copy as images of one channel each, or as one, interleaved.

    That is (C, 1, H, W), or (1, 1, H, W·samples).
    """
    if isinstance(image.pixels, PixelRows) and samples == image.channels:
        return image.pixels.plane
    if samples > 1:
        return image.pixels.reshape(1, 1, len(image.pixels), -1)
    return image.planes[:, None]


def white_of(dtype: np.dtype[Any], rule: Filter) -> float:
    """Return what white is in pixels of a dtype."""
    return rule.white if rule.white and dtype.kind == "f" else white(dtype)


def _light(rule: Filter, top: float) -> Callable[[Array], Array]:
    """Return what makes, of colours in a file, those that are correlated."""
    before = rule.tone if rule.tone is not None and rule.tone.where == "before" else None

    def light(colour: Array) -> Array:
        if rule.linear:
            colour = to_linear(colour, top)
        return colour if before is None else before(colour).astype(np.float32)

    return light


def _loader(image: Image, rule: Filter) -> Callable[[Array], Array] | None:
    """Return what makes the colours that are correlated of a tile (C, 1, h, w); None if they are
    all there is to it.
    """
    colours = image.channels - image.alpha
    copied = image.alpha and not rule.filter_alpha
    before = rule.tone is not None and rule.tone.where == "before"
    grey = rule.gray or rule.luma
    if not (rule.linear or before or copied or (grey and colours > 1)):
        return None
    light = _light(rule, white_of(image.dtype, rule))

    def load(tile: Array) -> Array:
        colour, opacity = light(tile[:colours]), tile[colours:]
        if grey:
            colour = to_gray(colour)
        return colour if copied else np.concatenate([colour, opacity])

    return load


def _finish(
    values: Array,
    rule: Filter,
    kernels: Sequence[Kernel],
    top: float,
    colours: int,
    added: Array | None = None,
) -> Array:
    """Return (C, h, w) of correlated values (C, K, h, w): bias, combined, out of linear light.

    In linear light are the colours alone, and bias and combination with them; and what is added to
    a channel of grey, (C', 1, h, w), which makes colours of it.
    """
    wide = np.result_type(values.dtype, np.float32)
    own = np.array([kernel.biases for kernel in kernels], wide).T
    if rule.bias is None and own.any():
        values = values + own[..., None, None]
    if rule.combine:
        values = combine(values, rule.combine)
    if rule.bias and rule.bias.value:
        values = values + wide.type(rule.bias.in_units(top))
    if added is not None:
        values = np.concatenate([values[:colours] + added, values[colours:]])
        colours = len(added)
    if rule.linear:
        values = np.concatenate([from_linear(values[:colours], top), values[colours:]])
    if rule.tone is not None and rule.tone.where == "after":
        values = np.concatenate([rule.tone(values[:colours]), values[colours:]])
    return values[:, 0]
