"""Network: layers one after the other, from the pixels of an image to feature maps."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.errors import ConvError, ModelError
from conv_cli.networks.convolution import Convolution
from conv_cli.networks.layer import Array, Layer, wide
from conv_cli.networks.line import is_line, layers_of_line
from conv_cli.networks.model import as_model
from conv_cli.networks.model_files import read_model, write_model
from conv_cli.networks.normalization import Normalization
from conv_cli.networks.receptive import Field, PixelField, fields

Shape = tuple[int, int, int]
"""(channels, rows, columns)."""


class LayerInfo(NamedTuple):
    """What a layer is and costs for an input of one shape; the fields of ``net info --json``.

    Attributes
    ----------
    layer : int
        Counted from 1.
    kind : str
    output : (channels, rows, columns)
    parameters, multiply_adds : int
    receptive_field, jump, start : (rows, columns)
        In pixels of the input: how much one output pixel sees, how far apart two neighbours see,
        and where the first begins, negative in the padding.
    dense_parameters : int
        Weights that a layer would need that joins every input to every output.
    """

    layer: int
    kind: str
    output: Shape
    parameters: int
    multiply_adds: int
    receptive_field: tuple[int, int]
    jump: tuple[int, int]
    start: tuple[int, int]
    dense_parameters: int


class Network:
    """Layers one after the other.

    Parameters
    ----------
    model : path, str, mapping, or sequence of Layer
        A model file, .json, .npz or .onnx; a model in one line, such as ``"sobel-x | abs"``, whose
        kernels have padding "same" and border "edge"; what a file holds, as Python has it; or the
        layers.
    normalization : Normalization, optional
        Of layers; a file brings its own.

    Raises ModelError if the model is malformed, with the place of the error.

    Examples
    --------
    >>> net = Network({"layers": [{"conv": {"kernel": "1 -1"}}, {"abs": {}}]})
    >>> net([[[0, 0, 9, 9]]])
    array([[[0., 9., 0.]]])
    >>> Network("[1 -1] | abs")([[[0, 0, 9, 9]]])
    array([[[0., 9., 0., 0.]]])
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Mapping[str, Any] | Sequence[Layer],
        normalization: Normalization | None = None,
    ) -> None:
        self.normalization = normalization
        """As the model gives it; None if it leaves it out, and pixels enter as they are."""
        self.files: tuple[str, ...] = ()
        """The files that weights were read from, beside the one of the model."""
        self.notes: tuple[str, ...] = ()
        """What a user should know of it: where it ends, if its file goes on."""
        if isinstance(model, str) and is_line(model):
            self.layers = layers_of_line(model)
        elif isinstance(model, str | os.PathLike):
            self.layers, self.normalization, self.files, self.notes = read_model(model)
        elif isinstance(model, Mapping):
            read = as_model(model, "model")
            self.layers, self.normalization, self.files, self.notes = read
        else:
            self.layers = tuple(model)

    def __repr__(self) -> str:
        """Return the kinds of its layers, one after the other."""
        return f"<Network {' | '.join(layer.kind for layer in self.layers)}>"

    def __call__(self, x: npt.ArrayLike) -> Array:
        """Return the maps of the last layer for an image (C, H, W) or a batch (N, C, H, W)."""
        return deque(self.maps(x), maxlen=1)[0]

    def maps(
        self, x: npt.ArrayLike, share: Array | None = None, *, missing: bool = False
    ) -> Iterator[Array]:
        """Yield the maps of each layer in turn: (O, h, w), or (N, O, h, w) for a batch.

        Values are float64 for images of float64 and of integers of 32 bits and more, else float32.

        share : ndarray, shape (C, H, W), optional. The weight of every pixel of an image, 0..1, in
            the first layer, a convolution.
        missing : bool. Where too little counts, the first layer is NaN; else pixels are taken there
            as they are.

        Raises ModelError if the image does not fit the model.
        """
        image = np.asarray(x)
        if image.dtype.kind not in "buif" or image.ndim not in (3, 4):
            raise ModelError(
                f"an image has dtype {image.dtype} and shape {image.shape}; give real numbers as "
                "(C, H, W) or (N, C, H, W)"
            )
        batch = image if image.ndim == 4 else image[None]
        self.shapes(batch.shape[1:])
        values = self.normalize(batch)
        for number, layer in enumerate(self.layers, 1):
            with _told(number):
                if share is not None and number == 1:
                    values = self._weighted(values, share, missing)
                else:
                    values = layer.forward(values)
            yield values if image.ndim == 4 else values[0]

    def _weighted(self, values: Array, share: Array, missing: bool) -> Array:
        """Return what the first layer makes of an image (1, C, H, W)."""
        from conv_cli.networks.weighted import require_convolution, weighted_maps

        first = self.layers[0]
        require_convolution(first)
        assert isinstance(first, Convolution)
        made, untold = weighted_maps(first, values[0], share)
        if missing:
            made[untold] = np.nan
        elif untold.any():
            np.copyto(made, first.forward(values)[0], where=untold)
        return made[None]

    def normalize(self, x: Array) -> Array:
        """Return pixels (N, C, H, W) as the first layer takes them, float32 or float64."""
        return (self.normalization or Normalization())(wide(x))

    def takes(self, channels: int) -> bool:
        """Tell whether the model takes images of so many channels."""
        try:
            self._channels(channels)
        except ModelError:
            return False
        return True

    def shapes(self, shape: Shape) -> list[Shape]:
        """Return the shape of every layer's output for an input (C, H, W).

        Raises ModelError if a layer does not take so many channels, or so small an input.
        """
        found = []
        size = shape[1:]
        for number, (layer, channels) in enumerate(
            zip(self.layers, self._channels(shape[0]), strict=True), 1
        ):
            with _told(number):
                size = layer.window.output(size)
            found.append((channels, *size))
        return found

    def _channels(self, channels: int) -> list[int]:
        """Return how many channels every layer gives for so many."""
        with _told(None):
            (self.normalization or Normalization()).check(channels)
        found = []
        for number, layer in enumerate(self.layers, 1):
            with _told(number):
                channels = layer.outputs(channels)
            found.append(channels)
        return found

    def info(self, shape: Shape) -> list[LayerInfo]:
        """Return what each layer is and costs for an input (C, H, W)."""
        found: list[LayerInfo] = []
        before = shape
        stack = zip(self.layers, self.shapes(shape), self.fields(), strict=True)
        for number, (layer, output, field) in enumerate(stack, 1):
            found.append(
                LayerInfo(
                    layer=number,
                    kind=layer.kind,
                    output=output,
                    parameters=layer.parameter_count(),
                    multiply_adds=layer.multiply_adds(output),
                    receptive_field=field.size,
                    jump=field.jump,
                    start=field.start,
                    dense_parameters=_product(before) * _product(output),
                )
            )
            before = output
        return found

    def fields(self) -> list[Field]:
        """Return the receptive field of one output pixel, after each layer."""
        return fields([layer.window for layer in self.layers])

    def field_of(self, shape: Shape, layer: int, row: int, column: int) -> PixelField:
        """Return what one output pixel of a layer, counted from 1, sees of an input (C, H, W).

        Raises ModelError if the layer has no such pixel.
        """
        output = self.shapes(shape)[layer - 1]
        if row >= output[1] or column >= output[2]:
            raise ModelError(
                f"layer {layer}: gives {output[1]}x{output[2]} pixels, so there is none at "
                f"{row},{column}; rows and columns count from 0"
            )
        rows, columns = self.fields()[layer - 1].of(row, column)
        return PixelField(layer, row, column, rows, columns, shape[1:])

    @property
    def untrained(self) -> list[int]:
        """The numbers of the layers without weights, counted from 1."""
        return [
            number
            for number, layer in enumerate(self.layers, 1)
            if isinstance(layer, Convolution) and layer.weight is None
        ]

    def require_weights(self) -> None:
        """Raise ModelError if a layer is yet to be trained."""
        for number in self.untrained[:1]:
            raise ModelError(f"layer {number}: has no weights yet; train it by conv-cli net fit")

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> None:
        """Write the model to a .json or .npz file, whole or not at all.

        Raises ModelError if the ending is another one. Raises ImageError if the file cannot be
        written, or is there already and ``force`` is not given.
        """
        write_model(path, self.layers, self.normalization, force=force)


@contextmanager
def _told(number: int | None) -> Iterator[None]:
    """Put the number of a layer, or the word input, before whatever does not fit there."""
    try:
        yield
    except ConvError as error:
        place = "input" if number is None else f"layer {number}"
        raise ModelError(f"{place}: {error}") from None


def _product(shape: Shape) -> int:
    channels, rows, columns = shape
    return channels * rows * columns
