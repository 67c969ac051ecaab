"""A layer that learns, stepped in coordinates in which its inputs are white.

Neighbouring pixels are nearly the same, and all are positive: a filter of their differences would
be found only very slowly by steps in the weights themselves (LeCun et al. 1998, "Efficient
BackProp", 4.3). With z the pixels under the window, followed by a 1 for the bias, and M the mean of
z·zᵀ, weights and bias are w = v·M^(-1/2), and v is what is stepped. Pixels may then have any units.
"""

from collections.abc import Mapping

import numpy as np

from conv_cli.networks.convolution import Convolution
from conv_cli.networks.layer import Array

_LARGEST = 1024
"""Inputs of more numbers are only scaled: their moments would take too long to take apart."""
_LEAST_VARIANCE = 1e-4
"""Directions of less than this share of the median variance are stepped as if they had it."""
_SMALLEST = 1e-12


class Learner:
    """A convolution without weights, and those that it learns.

    layer : Convolution
    x : ndarray, shape (N, C, H, W). Some of what it will be given; the first weights give values of
        about 1 for it.
    rng : numpy.random.Generator
    """

    def __init__(self, layer: Convolution, x: Array, rng: np.random.Generator) -> None:
        self._layer = layer
        self._whiten = _inverse_root(_second_moments(layer, x))
        start = rng.standard_normal((layer.out_channels, len(self._whiten)))
        self._arrays = {
            name: np.zeros(shape)
            for name, shape in (
                ("weight", layer.weight_shape),
                ("bias", (layer.out_channels,) if layer.has_bias else None),
            )
            if shape is not None
        }
        self.step(start / np.sqrt(len(self._whiten)))

    @property
    def layer(self) -> Convolution:
        """The layer with what it has learned; it shares the arrays, which are changed in place."""
        return self._layer.with_parameters(self._arrays)

    @property
    def is_finite(self) -> bool:
        """All weights are finite numbers."""
        return all(np.isfinite(array).all() for array in self._arrays.values())

    def rescale(self, factor: float) -> None:
        """Multiply the weights, and the steps to come."""
        for array in self._arrays.values():
            array *= factor
        self._whiten = self._whiten * factor

    def make_positive(self) -> None:
        """Drop the signs of the weights, so that positive inputs give positive outputs."""
        np.abs(self._arrays["weight"], out=self._arrays["weight"])
        if self._layer.has_bias:
            self._arrays["bias"][:] = 0

    def gradient(self, found: Mapping[str, Array]) -> Array:
        """Return the gradient by v, shape (outputs, inputs), of that by weights and bias."""
        columns = [found["weight"].reshape(self._layer.out_channels, -1)]
        if self._layer.has_bias:
            columns.append(found["bias"][:, None])
        return np.concatenate(columns, axis=1).astype(np.float64) @ self._whiten

    def step(self, step: Array) -> None:
        """Add a step in v."""
        change = step @ self._whiten
        weight = self._arrays["weight"]
        count = weight[0].size
        weight += change[:, :count].reshape(weight.shape)
        if self._layer.has_bias:
            self._arrays["bias"] += change[:, count]


def _second_moments(layer: Convolution, x: Array) -> Array:
    """Return the mean of z·zᵀ over all windows and groups, shape (D, D)."""
    assert layer.groups is not None
    output = layer.window.output(x.shape[2:])
    total: Array = np.zeros(())
    for image in x:
        by_group = image.reshape(layer.groups, layer.group_channels, *image.shape[1:])
        taps = [
            values.swapaxes(0, 1).reshape(layer.group_channels, -1)
            for _, values in layer.window.taps(by_group, output)
        ]
        z = np.stack(taps, axis=1).reshape(layer.group_channels * len(taps), -1)
        if layer.has_bias:
            z = np.concatenate([z, np.ones((1, z.shape[1]), z.dtype)])
        wide = z.astype(np.float64)
        total = total + wide @ wide.T / z.shape[1]
    return total / len(x)


def _inverse_root(moments: Array) -> Array:
    """Return M^(-1/2), symmetric, of moments M."""
    if len(moments) > _LARGEST:
        return np.diag(1 / np.sqrt(np.maximum(np.diag(moments), _SMALLEST)))
    values, vectors = np.linalg.eigh(moments)
    least = max(_LEAST_VARIANCE * float(np.median(values)), _SMALLEST * float(values[-1]))
    return (vectors / np.sqrt(np.maximum(values, max(least, _SMALLEST)))) @ vectors.T
