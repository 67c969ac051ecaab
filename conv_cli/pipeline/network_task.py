"""Networks as a task of a run: what of an image enters, and the maps that come out."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice, pairwise
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from conv_cli.colors import missing, to_gray
from conv_cli.errors import ConvError, ImageError, ModelError
from conv_cli.images import ARRAY_FORMATS, Image, ImageInfo, open_sink
from conv_cli.networks.audit import LayerAudit, audit
from conv_cli.networks.convolution import Convolution
from conv_cli.networks.network import Network
from conv_cli.networks.weighted import require_convolution
from conv_cli.parallel.memory import available_memory
from conv_cli.parallel.processes import Progress
from conv_cli.pipeline.feature_map import Range, Statistics, map_to_pixels
from conv_cli.pipeline.filter_task import pixels_of
from conv_cli.pipeline.jobs import Destination, Job, Output, layer_output
from conv_cli.pipeline.looks import MOST_MAPS, Look, Reduced, image_look, map_look
from conv_cli.pipeline.run import Made, Write
from conv_cli.pipeline.weights import Mask, nodata_in, nodata_note

Array = npt.NDArray[Any]
_AUDITED = 2 * (4 + 8)
"""Bytes that a pixel of a map takes in an audit: of two images, in float32 and float64."""
LayerChoice = Literal["all", "last"] | int


class NetworkTask:
    """The maps of a network's layers, of every image.

    network
    to : Destination. Its output is a folder.
    layer : "all", "last" or int. Which layers' maps are written; counted from 1.
    mask : Mask, optional. How much every pixel counts in the first layer.
    nodata : float, optional. What stands for no value in images, and in maps.

    Raises ModelError if there is no such layer, or pixels cannot be weighed in the first one.
    """

    windows = False

    def __init__(
        self,
        network: Network,
        to: Destination,
        layer: LayerChoice,
        mask: Mask | None = None,
        nodata: float | None = None,
    ) -> None:
        self._network, self._to = network, to
        self._mask, self._nodata = mask, nodata
        if mask is not None or nodata is not None:
            require_convolution(network.layers[0])
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
        opacity = ("opacity is left out: the model takes colours alone",) if dropped else ()
        nodata = None if self._nodata is not None else self._nodata_of(image)
        return opacity if nodata is None else (*opacity, nodata_note(nodata))

    def maps(
        self, image: Image, outputs: Sequence[Output], progress: Progress
    ) -> Iterator[tuple[Output, Write]]:
        """Yield what writes each map; a layer is run when its first map is asked for."""
        last = max(output.layer or 0 for output in outputs)
        planes, nodata = input_planes(image, self._network), self._nodata_of(image)
        share = self._weights(image, planes, nodata)
        layers = self._network.maps(planes, share, missing=nodata is not None)
        pictured = self._pictured(image)
        for layer, maps in enumerate(layers, 1):
            for output in outputs:
                if output.layer == layer:
                    values = maps if output.channel is None else maps[output.channel - 1][None]
                    yield (
                        output,
                        partial(self._made, output, values, image.dtype, nodata, pictured),
                    )
                    progress(1.0)
            if layer == last:
                return

    def _nodata_of(self, image: Image) -> float | None:
        """Return what stands for no value; where the first layer cannot weigh it, nothing does."""
        first = self._network.layers[0]
        return nodata_in(image, self._nodata) if isinstance(first, Convolution) else None

    def _weights(self, image: Image, planes: Array, nodata: float | None) -> Array | None:
        """Return the weight of every value that enters the network; None if all count in full."""
        share = np.ones(planes.shape, np.result_type(planes.dtype, np.float32))
        if self._mask is not None:
            share *= np.asarray(self._mask.pixels, share.dtype) / self._mask.white
        if nodata is not None:
            absent = missing(image.planes, nodata)
            if len(planes) != len(absent):
                absent = absent[: len(image.colours)]
                if len(planes) != len(absent):  # grey of colours, or colours of grey
                    absent = np.logical_or.reduce(absent, axis=0, keepdims=True)
            share *= ~absent
        return share if (share < 1).any() else None

    def _pictured(self, image: Image) -> Look | None:
        """Return the image as a sheet shows it, if there is one."""
        side = self._to.look_side
        return image_look("input", image, side, self._to.white) if side else None

    def _shapes(self, info: ImageInfo) -> list[tuple[int, int, int]]:
        if self._mask is not None:
            self._mask.require_fit(info)
        channels = _taken(self._network, info.channels - info.alpha, info.channels)
        return self._network.shapes((channels, info.height, info.width))

    def _made(
        self,
        output: Output,
        maps: Array,
        units: np.dtype[Any],
        nodata: float | None,
        pictured: Look | None,
        stream: BinaryIO | None,
    ) -> Made:
        """Write maps (O, h, w) to one file, if there is one, and look at them for a sheet."""
        if stream is not None:
            made = self._written(output, maps, units, nodata, stream)
        else:
            extremes = Statistics(float(maps.min()), float(maps.max()), 0.0)
            shape = maps.shape if output.channel is None else maps.shape[1:]
            made = Made(shape, maps.dtype.name, extremes)
        first = output.channel or 1
        if pictured is None or first > MOST_MAPS:
            return made
        looks = (self._look(output, n, each, units) for n, each in enumerate(maps, first))
        return made._replace(looks=(pictured, *islice(looks, MOST_MAPS)))

    def _look(self, output: Output, number: int, values: Array, units: np.dtype[Any]) -> Look:
        """Return a map (h, w) of a layer as a sheet shows it."""
        small = Reduced((*values.shape, 1), self._to.look_side)
        small.put(0, values)
        return map_look(
            f"map {number}",
            small,
            units,
            mode=self._to.range or Range("raw"),
            top=self._to.white,
            signed=bool(values.min() < 0 < values.max()),
            layer=output.layer,
        )

    def _written(
        self,
        output: Output,
        maps: Array,
        units: np.dtype[Any],
        nodata: float | None,
        stream: BinaryIO,
    ) -> Made:
        """Write maps (O, h, w) to one file: a picture of the only one, or all in an array."""
        try:
            dtype, mode = pixels_of(units, 1, False, output.format, self._to, maps)
        except ImageError as error:
            raise ImageError(f"{output.path}: {error}") from None
        made = [
            map_to_pixels(values, units, dtype, mode, self._to.white, nodata) for values in maps
        ]
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

    Raises ModelError if the model takes none of these.
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

    Raises ModelError if the model takes another number of channels.
    """
    colours, count = image.colours, _taken(network, len(image.colours), image.channels)
    if count == len(colours):
        return colours
    if count == image.channels:
        return image.planes
    return to_gray(colours[:, None])[:, 0] if count == 1 else colours.repeat(3, axis=0)


def audited(image: Image, network: Network, shift: tuple[int, int]) -> list[LayerAudit]:
    """Return by layer how far the maps of a shifted image are from the shifted maps.

    Raises ModelError if the image does not fit the model, or is not larger than the shift;
    ImageError if there is no memory for the maps.
    """
    planes = input_planes(image, network)
    shapes = [planes.shape, *network.shapes(planes.shape)]
    free = available_memory()
    needed = _AUDITED * max(math.prod(one) + math.prod(other) for one, other in pairwise(shapes))
    if free is not None and needed > free:
        raise ImageError(
            f"its maps take {needed / 1e9:.1f} GB in float32 and float64, and {free / 1e9:.1f} GB "
            "are free; give a smaller image, or a part of it"
        )
    return list(audit(network, planes, shift))


def chosen_layers(network: Network, layer: LayerChoice) -> range:
    """Return the numbers of the layers that a choice means.

    Raises ModelError if there is no such layer.
    """
    count = len(network.layers)
    if layer == "all":
        return range(1, count + 1)
    number = count if layer == "last" else layer
    if not 1 <= number <= count:
        raise ModelError(f"layer {number}: the model has layers 1 to {count}; choose one of them")
    return range(number, number + 1)
