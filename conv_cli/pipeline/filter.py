"""One image, every kernel: what ``apply`` does between reading a file and writing one."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.borders import PaddedImage, Span
from conv_cli.colors import Unweighed, from_linear, to_gray, to_linear, unweigh, white
from conv_cli.correlation.correlate import correlate, prepare
from conv_cli.correlation.params import NO_PADDING, ConvParams
from conv_cli.correlation.plan import Plan
from conv_cli.correlation.problem import Source, Tile
from conv_cli.errors import ImageError
from conv_cli.images import Image, ImageInfo, PictureRows, Sink
from conv_cli.kernels.kernel import Kernel, common_frame
from conv_cli.pipeline.feature_map import (
    ArraySink,
    CombineName,
    FeatureMap,
    Range,
    Statistics,
    combine,
    rescaled,
)
from conv_cli.pipeline.weights import Mask, WeightedPixels, Weighting

Array = npt.NDArray[Any]

_STORED_BYTES = 16 << 20
"""Real values that may be stored beside the pixels until their range is known."""


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
    filter_alpha : bool. Treat opacity as one more channel; without it, it is copied and weighs the
        colours.
    linear : bool. Correlate in linear light.
    combine : str or None. Make one map of all kernels: "magnitude", "max", "sum" or "mean".
    white : float or None. What white is in pixels of floats; None: 1.
    mask : Mask or None. How much every pixel counts, beside its opacity.
    nodata : float or None. What stands for no value, NaN or a number; None: what a GeoTIFF says.
    """

    kernels: tuple[Kernel, ...]
    params: ConvParams = ConvParams(padding="same")  # frozen, so shared without harm
    bias: Bias | None = None
    gray: bool = False
    filter_alpha: bool = False
    linear: bool = False
    combine: CombineName | None = None
    white: float | None = None
    mask: Mask | None = None
    nodata: float | None = None

    def maps(self) -> list[tuple[str, tuple[Kernel, ...]]]:
        """Return the name of each map and the kernels, all of one shape, that make it."""
        if self.combine:
            return [(self.combine, common_frame(self.kernels))]
        return [(kernel.name, (kernel,)) for kernel in self.kernels]


class Filtered(NamedTuple):
    """What the values of a map were, and how it was computed."""

    statistics: Statistics
    plan: Plan


def output_shape(image: Image | ImageInfo, rule: Filter, kernel: Kernel) -> tuple[int, int, int]:
    """Return (rows, columns, channels) of the map that a kernel makes of such an image.

    Raises ConvError if the kernel is larger than the image with its padding, the mask of another
    size, or grey is asked of bands that are no colours.
    """
    if rule.mask is not None:
        rule.mask.require_fit(image)
    params = rule.params.resolved(kernel.shape, kernel.origin)
    rows, columns = params.output((image.shape[0], image.shape[1]), kernel.shape)
    colours = image.channels - image.alpha
    if rule.gray and colours not in (1, 3):
        raise ImageError(
            f"has {colours} bands, and grey is made of red, green and blue; leave out "
            "--channels grey, and every band is filtered"
        )
    colours = 1 if rule.gray else colours
    return rows, columns, colours + image.alpha


def filter_strips(
    image: Image,
    rule: Filter,
    kernels: tuple[Kernel, ...],
    dtype: np.dtype[Any],
    mode: Range,
    sink: Sink | ArraySink,
    *,
    progress: Callable[[float], None] | None = None,
) -> Filtered:
    """Make the map that the kernels give of an image, strip by strip.

    kernels : tuple of Kernel. One, or all of one shape and origin for a combined map: an entry of
        ``rule.maps()``.
    dtype : numpy.dtype. Of the map's pixels: uint8, uint16, int32, float32 or float64.
    sink : Sink. Takes the rows as they are finished, while the next are computed.
    progress : callable, optional. Is told the share of the work that each tile was; it may raise to
        stop the work.

    Raises ConvError if the kernel is larger than the image, or the pixels cannot hold the values.
    """
    top, shape = white_of(image.dtype, rule), output_shape(image, rule, kernels[0])
    params = rule.params.resolved(kernels[0].shape, kernels[0].origin)
    copied = image.alpha and not rule.filter_alpha
    nodata = nodata_of(image, rule)
    seen = _pixels(image, rule, params)
    weights = np.stack([kernel.weights for kernel in kernels])[:, None]
    if seen.weighted and weights.min() < 0:
        weights = np.concatenate([weights, np.abs(weights)])
    sliding = params.interleaved(seen.samples)
    problem, plan = prepare(seen.source, weights, sliding)
    feature_map = FeatureMap(
        shape, image.dtype, dtype, mode, sink,
        tile_rows=plan.tile[0], samples=seen.samples, white=rule.white, nodata=nodata,
        opacity=_opacity_of(image, params, kernels[0], dtype, top) if copied else None,
    )  # fmt: skip
    colours = shape[2] - image.alpha

    def each_tile(handle: Callable[..., object], share: float) -> None:
        """Correlate, and hand the finished values of every tile on with its rows and columns."""
        step = share * math.prod(plan.tile) / math.prod(problem.output)

        def finish(values: Array, tile: Tile) -> None:
            missing = None
            if seen.weighted:
                values, untold = _unweighed(values, kernels, seen.weighted)
                missing = untold if nodata is not None and untold.any() else None
            handle(_finish(values, rule, kernels, top, colours), *tile.output, missing)
            if progress is not None:
                progress(step)

        correlate(seen.source, weights, sliding, finish)

    if not feature_map.needs_extremes:
        each_tile(feature_map.add, 1)
    elif _worth_storing(plan, feature_map.size, dtype.itemsize):
        each_tile(feature_map.store, 1)
        feature_map.quantize_stored()
    else:
        each_tile(lambda values, _, __, missing: feature_map.measure(values, missing), 0.5)
        each_tile(feature_map.quantize, 0.5)
    return Filtered(feature_map.statistics, plan)


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
    weighted : WeightedPixels or None. Where pixels count by weights: what the source reads.
    """

    source: Source
    samples: int
    weighted: WeightedPixels | None = None


def _pixels(image: Image, rule: Filter, params: ConvParams) -> _Pixels:
    """Return what the engines read of an image."""
    weighting, load = _weighting(image, rule), _loader(image, rule)
    unseen = params.border.mode == "constant" and not params.border.opaque
    if weighting.is_needed(image, beyond=unseen and params.margins != NO_PADDING):
        pixels = WeightedPixels(image.planes[:, None], weighting, load or (lambda tile: tile))
        return _Pixels(Source.of(pixels, constant=pixels.border(params.border)), 1, pixels)
    samples = _interleaved(image, rule)
    return _Pixels(Source.of(_planes(image, samples), load, samples=samples), samples)


def _weighting(image: Image, rule: Filter) -> Weighting:
    """Return what the weight of a pixel is made of."""
    copied = image.alpha and not rule.filter_alpha
    return Weighting(
        image.channels - copied,
        white_of(image.dtype, rule),
        opacity=copied,
        mask=rule.mask,
        nodata=nodata_of(image, rule),
    )


def nodata_of(image: Image, rule: Filter) -> float | None:
    """Return what stands for no value in an image: what was given, or the file says itself."""
    return image.nodata if rule.nodata is None else rule.nodata


def _interleaved(image: Image, rule: Filter) -> int:
    """Return how many samples a pixel has if they may stay side by side in a row, else 1.

    A kernel whose columns lie so many samples apart then filters all channels in one plane, and
    nothing has to be taken apart or put together.
    """
    treated_apart = image.alpha and (rule.linear or not rule.filter_alpha)
    mixed = treated_apart or (rule.gray and image.channels > 1)
    in_rows = isinstance(image.pixels, PictureRows) or image.pixels.flags.c_contiguous
    return image.channels if rule.params.stride[1] == 1 and in_rows and not mixed else 1


def _worth_storing(plan: Plan, size: int, itemsize: int) -> bool:
    """Tell whether real values are stored until the range is known, or made a second time.

    A value that is stored costs about a nanosecond, and memory beside that of the pixels.
    """
    return size * 8 <= _STORED_BYTES or (
        plan.cost > size / 1e6 and size * 4 <= _STORED_BYTES + size * itemsize // 2
    )


def _planes(image: Image, samples: int) -> Array:
    """Return the pixels without a copy as images of one channel each, or as one, interleaved.

    That is (C, 1, H, W), or (1, 1, H, W·samples).
    """
    if isinstance(image.pixels, PictureRows) and samples == image.channels:
        return image.pixels.plane
    if samples > 1:
        return image.pixels.reshape(1, 1, len(image.pixels), -1)
    return image.planes[:, None]


def white_of(dtype: np.dtype[Any], rule: Filter) -> float:
    """Return what white is in pixels of a dtype."""
    return rule.white if rule.white and dtype.kind == "f" else white(dtype)


def _loader(image: Image, rule: Filter) -> Callable[[Array], Array] | None:
    """Return what makes the colours that are correlated of a tile (C, 1, h, w); None if they are
    all there is to it.
    """
    top = white_of(image.dtype, rule)
    colours = image.channels - image.alpha
    copied = image.alpha and not rule.filter_alpha
    if not (rule.linear or copied or (rule.gray and colours > 1)):
        return None

    def load(tile: Array) -> Array:
        colour, opacity = tile[:colours], tile[colours:]
        if rule.linear:
            colour = to_linear(colour, top)
        if rule.gray:
            colour = to_gray(colour)
        return colour if copied else np.concatenate([colour, opacity])

    return load


def _unweighed(values: Array, kernels: Sequence[Kernel], pixels: WeightedPixels) -> Unweighed:
    """Return the colours (C, K, h, w), each pixel counted by its weight, and where they are untold.

    Values (N, 2·K, h, w) hold the sums of the kernels and then those of their magnitudes; where no
    weight is negative these are the same, and the values (N, K, h, w). Untold, (C, h, w), is what
    any of the kernels cannot tell.
    """
    made = [
        unweigh(
            values[:, k],
            values[:, k - len(kernels)],
            pixels.colours,
            float(kernel.weights.sum()),
            float(np.abs(kernel.weights).sum()),
            plain=pixels.has_plain,
        )
        for k, kernel in enumerate(kernels)
    ]
    colours = np.stack([each.values for each in made], axis=1)
    untold = np.logical_or.reduce([each.untold for each in made])
    return Unweighed(colours, np.broadcast_to(untold, (pixels.colours, *untold.shape[1:])))


def _finish(
    values: Array, rule: Filter, kernels: Sequence[Kernel], top: float, colours: int
) -> Array:
    """Return (C, h, w) of correlated values (C, K, h, w): bias, combined, out of linear light.

    In linear light are the colours alone, and bias and combination with them.
    """
    wide = np.result_type(values.dtype, np.float32)
    own = np.array([kernel.bias for kernel in kernels], wide)
    if rule.bias is None and own.any():
        values = values + own[:, None, None]
    if rule.combine:
        values = combine(values, rule.combine)
    if rule.bias and rule.bias.value:
        values = values + wide.type(rule.bias.in_units(top))
    if rule.linear:
        values = np.concatenate([from_linear(values[:colours], top), values[colours:]])
    return values[:, 0]


def _opacity_of(
    image: Image, params: ConvParams, kernel: Kernel, dtype: np.dtype[Any], top: float
) -> Callable[[Span, Span], Array]:
    """Return what gives the opacity (h, w) under the kernel's origin for rows and columns."""
    border = replace(params.border, value=top) if params.border.opaque else params.border
    opacity = PaddedImage(image.planes[-1][None, None], params.margins, border)
    origin = tuple(o * d for o, d in zip(kernel.origin, params.dilation, strict=True))

    def read(rows: Span, columns: Span) -> Array:
        axes = zip(origin, (rows, columns), params.stride, strict=True)
        down, across = ((o + a * s, o + (b - 1) * s + 1) for o, (a, b), s in axes)
        window = np.empty((1, 1, down[1] - down[0], across[1] - across[0]), image.dtype)
        opacity.read(down, across, window)
        return rescaled(window[0, 0, :: params.stride[0], :: params.stride[1]], dtype, top)

    return read
