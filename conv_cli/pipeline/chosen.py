"""Which channels of an image are filtered, and what becomes of the others."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from conv_cli.borders import Border, PaddedImage, Span
from conv_cli.correlation.params import ConvParams
from conv_cli.errors import ImageError
from conv_cli.images import Image, ImageInfo, PixelRows
from conv_cli.kernels.kernel import Kernel

Array = npt.NDArray[Any]


def chosen_channels(image: Image | ImageInfo, only: tuple[int, ...], *, opaque: bool) -> list[int]:
    """Return the places, from 0, of channels that are counted from 1.

    opaque : bool. Opacity is a channel like the others.

    Raises ImageError if the image has no such channel, or it is opacity.
    """
    last = max(only, default=0)
    if last > image.channels:
        count = f"{image.channels} channel{'s' * (image.channels > 1)}"
        raise ImageError(f"has {count}, and --channels asks for number {last}; leave it out")
    if image.alpha and not opaque and image.channels in only:
        raise ImageError(
            f"channel {image.channels} is its opacity, which is copied; add --alpha filter to "
            "filter it"
        )
    return [number - 1 for number in sorted(set(only))]


def chosen(image: Image, only: tuple[int, ...], *, opaque: bool) -> Image:
    """Return an image of some channels, and of its opacity if it counts for the others.

    It shares the pixels where the channels lie in even steps. Without numbers it is the image.
    """
    if not only:
        return image
    places = chosen_channels(image, only, opaque=opaque)
    last = image.channels - 1
    if image.alpha and not opaque:
        places.append(last)
    alpha = image.alpha and last in places
    if isinstance(image.pixels, PixelRows):
        return replace(image, pixels=image.pixels.only(places), alpha=alpha)
    pixels = image.pixels.reshape(*image.shape[:2], -1)
    steps = set(np.diff(places).tolist()) or {1}
    if len(steps) == 1:
        pixels = pixels[..., places[0] : places[-1] + 1 : steps.pop()]
    else:
        pixels = pixels[..., places]
    return replace(image, pixels=pixels[..., 0] if len(places) == 1 else pixels, alpha=alpha)


def beside(image: Image | ImageInfo, only: tuple[int, ...], *, opaque: bool) -> list[int]:
    """Return the places of the channels that are copied beside those filtered.

    opaque : bool. Opacity is a channel like the others; else it is none of them.
    """
    count = image.channels - (image.alpha and not opaque)
    return [place for place in range(count) if only and place + 1 not in only]


def order_of(image: Image, bands: list[int], *, opaque: bool) -> tuple[int, ...]:
    """Return where each channel is found, if copied bands, and opacity, come after the others.

    opaque : bool. Opacity is a channel like the others.
    """
    count = image.channels if opaque else len(image.colours)
    filtered = [place for place in range(count) if place not in bands]
    behind = range(count, image.channels)
    return tuple(np.argsort([*filtered, *bands, *behind]).tolist()) if bands else ()


def under_origin(
    planes: Array, params: ConvParams, kernel: Kernel, border: Border | None = None
) -> Callable[[Span, Span], Array]:
    """Return what gives, for rows and columns of a map, the pixels under the kernel's origin.

    planes : ndarray, shape (n, H, W)
    params : ConvParams. Resolved for the kernel.
    border : Border, optional. In place of that of ``params``.

    The pixels are of shape (n, h, w).
    """
    padded = PaddedImage(planes[None], params.margins, border or params.border)
    origin = tuple(o * d for o, d in zip(kernel.origin, params.dilation, strict=True))

    def read(rows: Span, columns: Span) -> Array:
        axes = zip(origin, (rows, columns), params.stride, strict=True)
        down, across = ((o + a * s, o + (b - 1) * s + 1) for o, (a, b), s in axes)
        window = np.empty((1, len(planes), down[1] - down[0], across[1] - across[0]), padded.dtype)
        padded.read(down, across, window)
        return window[0, :, :: params.stride[0], :: params.stride[1]]

    return read
