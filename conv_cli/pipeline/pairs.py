"""What a network learns from: pairs of image files."""

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from conv_cli.colors import to_gray
from conv_cli.errors import FitError, ModelError
from conv_cli.images import Image, read_image
from conv_cli.networks.network import Network
from conv_cli.networks.samples import check_target
from conv_cli.pipeline.network_task import input_planes

Array = npt.NDArray[Any]


def read_pairs(
    network: Network, names: Sequence[str], *, max_pixels: int
) -> list[tuple[Array, Array]]:
    """Return what a network learns from: images (C, H, W) and targets (O, h, w).

    ``names`` are those of an image and its target, and so on. An image and a target in colour are
    three pairs for a model from one channel to one.

    Raises ImageError if a file cannot be read. Raises ModelError if the model does not take an
    image. Raises FitError if a target has another shape than the model gives.
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
