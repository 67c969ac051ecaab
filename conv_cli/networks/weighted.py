"""The first layer of a network over pixels that do not all count alike: as `apply` does, summed.

Every kernel of a convolution counts the pixels of its channel by their weights, by the formula of
``colors.unweigh``; a map is the sum of these results over the channels, plus the bias.
"""

import numpy as np
import numpy.typing as npt

from conv_cli.colors import unweigh, weigh
from conv_cli.correlation.correlate import correlate
from conv_cli.correlation.problem import Source
from conv_cli.errors import ModelError
from conv_cli.networks.convolution import Convolution
from conv_cli.networks.layer import Array, Layer


def require_convolution(layer: Layer) -> None:
    """Raise ModelError for a layer whose input has no weights."""
    if not isinstance(layer, Convolution):
        raise ModelError(
            f"layer 1: is {layer.kind}, and only a convolution counts pixels by weights; leave "
            "out --mask and --nodata"
        )


def weighted_maps(
    layer: Convolution, x: Array, share: Array
) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Return the maps of a layer, and where too little counts for them to be told.

    x : ndarray, shape (C, H, W), float. What weighs nothing may be NaN.
    share : ndarray, shape (C, H, W). The weight of every value, 0..1.

    Both results have the shape (O, h, w); what is not told is 0 before the bias.
    """
    weight, bias, groups = layer.spread(len(x))
    outputs, inputs = len(weight) // groups, weight.shape[1]
    params = layer.window.params
    made = np.zeros((len(weight), *layer.window.output(x.shape[1:])), x.dtype)
    untold = np.zeros(made.shape, np.bool_)
    values = np.empty((2, 2 * outputs, *made.shape[1:]), x.dtype)
    beyond = np.array([params.border.value, 1.0]).reshape(2, 1, 1, 1)
    for channel in range(len(x)):
        first = channel // inputs * outputs
        kernels = weight[first : first + outputs, channel % inputs]
        both = np.concatenate([kernels, np.abs(kernels)])[:, None]
        pixels = weigh(x[channel, None, None], share[channel, None, None])
        correlate(Source.of(pixels, constant=beyond), both, params, out=values)
        for number, kernel in enumerate(kernels):
            if kernel.any():
                total, size = float(kernel.sum()), float(np.abs(kernel).sum())
                found = unweigh(values[:, number], values[:, outputs + number], 1, total, size)
                made[first + number] += found.values[0]
                untold[first + number] |= found.untold[0]
    if bias is not None:
        made += bias[:, None, None].astype(x.dtype)
    return made, untold
