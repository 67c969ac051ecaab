"""Banks of kernels as sheets: each a heat map around zero, or in colours if it is over three."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from conv_cli.colormaps import Scale
from conv_cli.errors import KernelError
from conv_cli.kernels.kernel import Kernel
from conv_cli.pipeline.looks import Look
from conv_cli.report.sheet import MOST_CELLS, Group, Sheet

Array = npt.NDArray[np.floating]

_GREY_ZERO = ", 0 is grey"


def kernel_sheet(kernels: Sequence[Kernel], title: str) -> Sheet:
    """Return kernels side by side.

    Raises KernelError if there are more than 1,200.
    """
    return _sheet([(kernel.name, kernel.weights) for kernel in kernels], title)


def layer_sheet(weight: Array, title: str) -> Sheet:
    """Return the kernels of a layer (O, C, kh, kw) side by side.

    Those over three channels are in colours, red, green and blue; of others each is a picture.

    Raises KernelError if there are more than 1,200.
    """
    channels = weight.shape[1]
    if channels == 3:
        colours = [(f"map {n}", each.transpose(1, 2, 0)) for n, each in enumerate(weight, 1)]
        return _sheet(colours, title)
    several = channels > 1
    named = [
        (f"map {n}, channel {c}" if several else f"map {n}", kernel)
        for n, each in enumerate(weight, 1)
        for c, kernel in enumerate(each, 1)
    ]
    return _sheet(named, title)


def _sheet(named: Sequence[tuple[str, Array]], title: str) -> Sheet:
    if len(named) > MOST_CELLS:
        raise KernelError(
            f"{title}: has {len(named):,} kernels, and a sheet holds {MOST_CELLS:,}; choose some"
        )
    looks = tuple(weights_look(name, weights) for name, weights in named)
    return Sheet(title, (Group("", looks),))


def weights_look(name: str, weights: Array) -> Look:
    """Return weights (kh, kw) or (kh, kw, 3) as a sheet shows them, 0 in the middle."""
    most = float(np.abs(weights).max())
    scale = Scale("diverging" if weights.ndim == 2 else "grey", -most, most)
    return Look(
        name,
        weights.astype(np.float32),
        float(weights.min()),
        float(weights.max()),
        (weights.shape[0], weights.shape[1]),
        scale,
        note="" if weights.ndim == 2 else _GREY_ZERO,
    )
