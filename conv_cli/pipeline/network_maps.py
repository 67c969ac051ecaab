"""Networks over image files: what of an image enters, and the maps that come out, written."""

import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.colors import to_gray
from conv_cli.errors import ConvError, FitError, ImageError, ModelError
from conv_cli.images import ARRAY_FORMATS, Image, can_hold, read_image, write_image
from conv_cli.io.files import write_atomically
from conv_cli.io.json import finite_or_none
from conv_cli.networks.network import Network
from conv_cli.networks.samples import check_target
from conv_cli.pipeline.feature_map import RangeName, map_to_pixels, require_white
from conv_cli.pipeline.jobs import STDIO, Destination, Input, is_image_name, place_key
from conv_cli.pipeline.run import failure_message, identity, output_pixels

Array = npt.NDArray[Any]
LayerChoice = Literal["all", "last"] | int


class MapResult(NamedTuple):
    """What became of one map, or of an image that gave none; the fields of ``--json``.

    Attributes
    ----------
    layer, channel : int
        Counted from 1. There is no channel where all of a layer are in one array.
    min, max : float
        Before the range.
    clipped : float
        The share that the range had to limit.
    error : str
        Why there is no map.
    notes : tuple of str
        For people.
    skipped : bool
        Never: networks overwrite, or fail.
    """

    image: str
    layer: int | None = None
    channel: int | None = None
    output: str | None = None
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    min: float | None = None
    max: float | None = None
    clipped: float | None = None
    seconds: float | None = None
    error: str | None = None
    notes: tuple[str, ...] = ()

    skipped: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        if self.error is not None:
            return {"image": self.image, "error": self.error}
        known = self._asdict().items()
        people = ("notes", "skipped")
        return {n: value for n, value in known if value is not None and n not in people}


def input_planes(image: Image, network: Network) -> Array:
    """Return what of an image a network takes, shape (C, H, W), in the image's own units.

    Its colours, if the model takes so many channels; its opacity with them, if it takes one more.
    A model of one channel sees grey, 0.299 R + 0.587 G + 0.114 B, and one of three sees grey three
    times.

    Raises
    ------
    ModelError
        If the model takes none of these.
    """
    colours, planes = image.colours, image.planes
    if network.takes(len(colours)):
        return colours
    if network.takes(len(planes)):
        return planes
    if network.takes(1) and len(colours) == 3:
        return to_gray(colours[:, None])[:, 0]
    if network.takes(3) and len(colours) == 1:
        return colours.repeat(3, axis=0)
    network.shapes(colours.shape)
    raise ModelError("takes another number of channels")


def read_pairs(
    network: Network, names: Sequence[str], *, max_pixels: int
) -> list[tuple[Array, Array]]:
    """Return what a network learns from: images (C, H, W) and targets (O, h, w).

    ``names`` are those of an image and its target, and so on. An image and a target in colour are
    three pairs for a model from one channel to one.

    Raises
    ------
    ImageError
        If a file cannot be read.
    ModelError
        If the model does not take an image.
    FitError
        If a target has another shape than the model gives.
    """
    pairs = []
    for one, other in zip(names[::2], names[1::2], strict=True):
        image, target = (read_image(name, max_pixels=max_pixels) for name in (one, other))
        try:
            several = _pairs(network, image, target)
            for planes, wanted in several:
                check_target(network, planes, wanted)
        except ModelError as error:
            raise ModelError(f"{one}: {error}") from None
        except FitError as error:
            raise FitError(f"{other}: {error}") from None
        pairs += several
    return pairs


def _pairs(network: Network, image: Image, target: Image) -> list[tuple[Array, Array]]:
    colours, wanted = image.colours, target.colours
    if len(colours) == len(wanted) == 3 and network.takes(1) and not network.takes(3):
        return [(x[None], t[None]) for x, t in zip(colours, wanted, strict=True)]
    planes = input_planes(image, network)
    outputs = network.shapes(planes.shape)[-1][0]
    if len(wanted) != outputs:
        wanted = to_gray(wanted[:, None])[:, 0] if outputs == 1 and len(wanted) == 3 else wanted
    return [(planes, wanted)]


class NetworkRun:
    """One network over images.

    Parameters
    ----------
    network
    destination : Destination
        Its output is a folder.
    layer : "all", "last" or int
        Which layers' maps are written; counted from 1.
    max_pixels : int
        Larger images are refused.
    stdin : BinaryIO
        For the image named "-".

    Raises
    ------
    ModelError
        If there is no such layer.
    """

    def __init__(
        self,
        network: Network,
        destination: Destination,
        layer: LayerChoice,
        *,
        max_pixels: int,
        stdin: BinaryIO,
    ) -> None:
        self._network, self._to = network, destination
        self._max_pixels, self._stdin = max_pixels, stdin
        self._chosen = chosen_layers(network, layer)
        self._protected: set[tuple[int, int]] = set()

    def check(self, inputs: Sequence[Input]) -> None:
        """Raise ConvError if two images would give maps of the same names, or -o is a file."""
        output = Path(self._to.output)
        if self._to.output == STDIO:
            raise ConvError("-o -: maps are several files; give the name of a folder")
        if os.path.lexists(output) and not output.is_dir():
            raise ConvError(f"{output}: is a file, and maps need a folder; choose another name")
        if is_image_name(self._to.output):
            raise ConvError(f"{output}: is the name of one image; give a folder, as {output.stem}/")
        seen: dict[str, str] = {}
        for source in inputs:
            place = str(self._stem(source))
            key = place_key(place)
            if key in seen:
                raise ConvError(
                    f"{place}: maps of this name would be made twice, of {seen[key]} and of "
                    f"{source.path}; use separate output folders"
                )
            seen[key] = source.path

    def results(
        self, inputs: Sequence[Input], progress: Callable[[float], None]
    ) -> Generator[MapResult, None, None]:
        """Yield what became of every map, image after image; ``progress`` is told each image."""
        self._protected = {each for source in inputs if (each := identity(source.path))}
        for source in inputs:
            try:
                yield from self._maps(source)
            except Exception as error:  # whatever it is, it costs this image alone
                yield MapResult(source.path, error=failure_message(error, source.path))
            progress(1.0)

    def _maps(self, source: Input) -> Iterator[MapResult]:
        """Yield the results of one image; each map is written before the next layer is run."""
        opened = self._stdin if source.path == STDIO else source.path
        image = read_image(opened, max_pixels=self._max_pixels)
        notes = image.notes
        planes = input_planes(image, self._network)
        dropped = image.channels - image.alpha < image.channels == len(planes) + 1
        notes += ("opacity is left out: the model takes colours alone",) if dropped else ()
        started = time.perf_counter()
        for number, maps in enumerate(self._network.maps(planes), 1):
            if number not in self._chosen:
                continue
            for result in self._written(source, number, maps, image.dtype):
                now = time.perf_counter()
                yield result._replace(notes=notes, seconds=round(now - started, 6))
                notes, started = (), time.perf_counter()

    def _written(
        self, source: Input, layer: int, maps: Array, units: np.dtype[Any]
    ) -> Iterator[MapResult]:
        """Write the maps (O, h, w) of a layer: a picture each, or all in one array."""
        kind = self._to.format or "png"
        stem = f"{self._stem(source)}.{layer}"
        dtype, mode = output_pixels(units, kind, 1, False, self._to)
        if kind in ARRAY_FORMATS:
            result = MapResult(source.path, layer, None, f"{stem}.{kind}")
            yield self._attempt(result, maps, units, dtype, mode)
            return
        for channel, values in enumerate(maps, 1):
            result = MapResult(source.path, layer, channel, f"{stem}.{channel}.{kind}")
            yield self._attempt(result, values[None], units, dtype, mode)

    def _attempt(
        self,
        result: MapResult,
        maps: Array,
        units: np.dtype[Any],
        dtype: np.dtype[Any],
        mode: RangeName,
    ) -> MapResult:
        """Write maps (O, h, w) to one file, and return what became of them."""
        path = str(result.output)
        try:
            if identity(path) in self._protected:
                raise ImageError(f"{path}: is an input and never overwritten; choose another -o")
            white = self._to.white
            require_white(units, dtype, mode, white, maps)
            _require_room(path, self._to.format or "png", dtype)
            developed = [map_to_pixels(values, units, dtype, mode, white) for values in maps]
            pixels = np.stack([made for made, _ in developed])
            self._write(path, pixels)
        except Exception as error:  # whatever it is, it costs this image alone
            return result._replace(error=failure_message(error, result.image, path))
        statistics = [each for _, each in developed]
        return result._replace(
            shape=pixels.shape if result.channel is None else pixels.shape[1:],
            dtype=dtype.name,
            min=finite_or_none(min(each.low for each in statistics)),
            max=finite_or_none(max(each.high for each in statistics)),
            clipped=sum(each.clipped for each in statistics) / len(statistics),
        )

    def _write(self, path: str, pixels: Array) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        kind, force = self._to.format or "png", self._to.force
        if kind == "npy":
            write_atomically(path, lambda stream: np.save(stream, pixels), force=force)
        elif kind == "npz":
            write_atomically(
                path, lambda stream: np.savez_compressed(stream, maps=pixels), force=force
            )
        else:
            write_image(path, pixels[0], format=kind, force=force)

    def _stem(self, source: Input) -> Path:
        return Path(self._to.output, source.folder, source.stem)


def _require_room(path: str, kind: str, dtype: np.dtype[Any]) -> None:
    """Raise ImageError, with the name of the file, if its format cannot hold the pixels."""
    try:
        can_hold(kind, dtype, 1, False)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None


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
