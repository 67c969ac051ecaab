"""What a run can do to images: filter them, or pass them through a network."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.colors import to_gray
from conv_cli.errors import ConvError, ImageError, ModelError
from conv_cli.images import (
    ARRAY_FORMATS,
    FLOAT_FORMATS,
    Image,
    ImageInfo,
    can_hold,
    not_srgb,
    open_sink,
)
from conv_cli.networks.network import Network
from conv_cli.parallel.processes import Progress
from conv_cli.pipeline.feature_map import RangeName, Statistics, map_to_pixels, require_white
from conv_cli.pipeline.filter import Filter, filter_image, output_shape
from conv_cli.pipeline.jobs import Destination, Job, Output, layer_output
from conv_cli.pipeline.run import Made, Write

Array = npt.NDArray[Any]
LayerChoice = Literal["all", "last"] | int
_DEPTHS = {"8": np.uint8, "16": np.uint16, "float32": np.float32, "float64": np.float64}


def pixels_of(
    units: np.dtype[Any],
    channels: int,
    alpha: bool,
    format: str,
    to: Destination,
    values: Array | None = None,
) -> tuple[np.dtype[Any], RangeName]:
    """Return the dtype of a map's pixels and the range that makes them.

    Parameters
    ----------
    units : numpy.dtype
        Of the input.
    channels, alpha : int, bool
        Of the map.
    format : str
        Of the output.
    values : ndarray, optional
        Tell, in an error, what white may be.

    Raises
    ------
    ImageError
        If the format does not hold them, or floats need to be told what white is.
    """
    chosen = to.range
    stays_float = format in FLOAT_FORMATS or (chosen is None and to.white is None)
    if to.depth:
        made = np.dtype(_DEPTHS[to.depth])
    elif format in ARRAY_FORMATS or chosen == "raw" or (units.kind == "f" and stays_float):
        loses = units.itemsize > 4 or (units.itemsize == 4 and units.kind != "f")
        made = np.dtype(np.float64 if loses and format in ARRAY_FORMATS else np.float32)
    elif units.itemsize > 2 and (chosen is not None or to.white is not None):
        deep = _holds(format, np.dtype(np.uint16), channels, alpha)
        made = np.dtype(np.uint16 if deep else np.uint8)
    else:
        made = units
    mode: RangeName = chosen or ("raw" if made.kind == "f" else "clip")
    whole = made if format in FLOAT_FORMATS or to.depth else np.dtype(np.uint8)
    require_white(units, whole, mode, to.white, values)
    can_hold(format, made, channels, alpha)
    return made, mode


def _holds(format: str, dtype: np.dtype[Any], channels: int, alpha: bool) -> bool:
    try:
        can_hold(format, dtype, channels, alpha)
    except ImageError:
        return False
    return True


class FilterTask(NamedTuple):
    """Every kernel on every image."""

    rule: Filter
    to: Destination

    def outputs(self, job: Job, probe: Callable[[], ImageInfo]) -> Sequence[Output]:
        """Return the maps that the job names."""
        return job.outputs

    def planned(self, info: ImageInfo, output: Output) -> tuple[tuple[int, ...], str]:
        """Return shape and dtype of a map."""
        shape, dtype, _ = self._form(info, output)
        return shape, dtype.name

    def memory(self, info: ImageInfo, outputs: Sequence[Output]) -> int:
        """Return the bytes of the largest map, twice where it is encoded in memory."""
        most = 0
        for output in outputs:
            with suppress(ConvError):  # which is the error of that map, when its turn comes
                shape, dtype, _ = self._form(info, output)
                copies = 1 if output.format == "png" else 2
                most = max(most, math.prod(shape) * dtype.itemsize * copies)
        return most

    def notes(self, image: Image) -> tuple[str, ...]:
        """Say what ``--linear`` takes for granted."""
        reason = not_srgb(image) if self.rule.linear else None
        return (f"--linear takes its values for sRGB, but {reason}",) if reason else ()

    def maps(
        self, image: Image, outputs: Sequence[Output], progress: Progress
    ) -> Iterator[tuple[Output, Write]]:
        """Yield what filters an image into each of its maps."""
        for output in outputs:
            yield output, partial(self._filtered, image, output, progress)

    def _form(
        self, image: Image | ImageInfo, output: Output
    ) -> tuple[tuple[int, ...], np.dtype[Any], RangeName]:
        """Return the shape of a map, its dtype, and the range."""
        shape = output_shape(image, self.rule, output.kernels[0])
        values = image.pixels if isinstance(image, Image) else None
        dtype, mode = pixels_of(image.dtype, shape[2], image.alpha, output.format, self.to, values)
        return (shape[:2] if shape[2] == 1 else shape), dtype, mode

    def _filtered(self, image: Image, output: Output, progress: Progress, stream: BinaryIO) -> Made:
        """Filter an image into a stream, whose rows are written while the next are computed."""
        shape, dtype, mode = self._form(image, output)
        described = replace(image, pixels=np.broadcast_to(np.zeros((), dtype), shape))
        sink, notes = open_sink(stream, described, output.format, compress=self.to.compress)
        made = filter_image(image, self.rule, output.kernels, dtype, mode, sink, progress=progress)
        notes += sink.finish()
        plan = made.plan
        return Made(shape, dtype.name, made.statistics, notes, plan.strategy, plan.reason)


class NetworkTask:
    """The maps of a network's layers, of every image.

    Parameters
    ----------
    network
    to : Destination
        Its output is a folder.
    layer : "all", "last" or int
        Which layers' maps are written; counted from 1.

    Raises
    ------
    ModelError
        If there is no such layer.
    """

    def __init__(self, network: Network, to: Destination, layer: LayerChoice) -> None:
        self._network, self._to = network, to
        self._chosen = chosen_layers(network, layer)

    def outputs(self, job: Job, probe: Callable[[], ImageInfo]) -> Sequence[Output]:
        """Return a map for each channel of a layer, or one for all in a format of arrays."""
        format, shapes = self._to.format_name, self._shapes(probe())
        return [
            layer_output(job, layer, channel, format)
            for layer in self._chosen
            for channel in (
                [None] if format in ARRAY_FORMATS else range(1, shapes[layer - 1][0] + 1)
            )
        ]

    def planned(self, info: ImageInfo, output: Output) -> tuple[tuple[int, ...], str]:
        """Return shape and dtype of a map."""
        shape = self._shapes(info)[(output.layer or 0) - 1]
        dtype, _ = pixels_of(info.dtype, 1, False, output.format, self._to)
        return shape if output.channel is None else shape[1:], dtype.name

    def memory(self, info: ImageInfo, outputs: Sequence[Output]) -> int:
        """Return the bytes of the input and of the maps of the largest layer, both in float32."""
        with suppress(ConvError):  # which is the error of the image, when its turn comes
            return 4 * (math.prod(info.shape) + max(map(math.prod, self._shapes(info))))
        return 0

    def notes(self, image: Image) -> tuple[str, ...]:
        """Say whether opacity is left out."""
        count = image.channels
        taken = _taken(self._network, count - image.alpha, count)
        dropped = image.alpha and taken == count - 1
        return ("opacity is left out: the model takes colours alone",) if dropped else ()

    def maps(
        self, image: Image, outputs: Sequence[Output], progress: Progress
    ) -> Iterator[tuple[Output, Write]]:
        """Yield what writes each map; a layer is run when its first map is asked for."""
        last = max(output.layer or 0 for output in outputs)
        layers = self._network.maps(input_planes(image, self._network))
        for layer, maps in enumerate(layers, 1):
            for output in outputs:
                if output.layer == layer:
                    values = maps if output.channel is None else maps[output.channel - 1][None]
                    yield output, partial(self._written, output, values, image.dtype)
                    progress(1.0)
            if layer == last:
                return

    def _shapes(self, info: ImageInfo) -> list[tuple[int, int, int]]:
        channels = _taken(self._network, info.channels - info.alpha, info.channels)
        return self._network.shapes((channels, info.height, info.width))

    def _written(self, output: Output, maps: Array, units: np.dtype[Any], stream: BinaryIO) -> Made:
        """Write maps (O, h, w) to one file: a picture of the only one, or all in an array."""
        try:
            dtype, mode = pixels_of(units, 1, False, output.format, self._to, maps)
        except ImageError as error:
            raise ImageError(f"{output.path}: {error}") from None
        made = [map_to_pixels(values, units, dtype, mode, self._to.white) for values in maps]
        pixels = np.stack([each for each, _ in made])
        low, high, clipped = zip(*(statistics for _, statistics in made), strict=True)
        if output.channel is not None:
            pixels = pixels[0]
        if output.format == "npz":
            np.savez_compressed(stream, maps=pixels)
        else:
            sink, _ = open_sink(stream, Image(pixels), output.format)
            sink.put(0, pixels)
            sink.finish()
        statistics = Statistics(min(low), max(high), sum(clipped) / len(clipped))
        return Made(pixels.shape, dtype.name, statistics)


def _taken(network: Network, colours: int, channels: int) -> int:
    """Return how many channels of an image a network takes.

    Its colours, if the model takes so many; its opacity with them, if it takes one more. A model of
    one channel sees grey, and one of three sees grey three times.

    Raises
    ------
    ModelError
        If the model takes none of these.
    """
    for count in (colours, channels):
        if network.takes(count):
            return count
    other = {3: 1, 1: 3}.get(colours)
    if other and network.takes(other):
        return other
    network.shapes((colours, 1, 1))
    raise ModelError("takes another number of channels")


def input_planes(image: Image, network: Network) -> Array:
    """Return what of an image a network takes, shape (C, H, W), in the image's own units.

    Grey is 0.299 R + 0.587 G + 0.114 B.

    Raises
    ------
    ModelError
        If the model takes another number of channels.
    """
    colours, count = image.colours, _taken(network, len(image.colours), image.channels)
    if count == len(colours):
        return colours
    if count == image.channels:
        return image.planes
    return to_gray(colours[:, None])[:, 0] if count == 1 else colours.repeat(3, axis=0)


def chosen_layers(network: Network, layer: LayerChoice) -> range:
    """Return the numbers of the layers that a choice means.

    Raises
    ------
    ModelError
        If there is no such layer.
    """
    count = len(network.layers)
    if layer == "all":
        return range(1, count + 1)
    number = count if layer == "last" else layer
    if not 1 <= number <= count:
        raise ModelError(f"layer {number}: the model has layers 1 to {count}; choose one of them")
    return range(number, number + 1)
