"""Images, kernels and fits as notebooks show them."""

import html
from functools import singledispatch

import numpy as np

from conv_cli.fitting.result import Fit
from conv_cli.images import Image
from conv_cli.kernels.kernel import Kernel
from conv_cli.pipeline.feature_map import Range
from conv_cli.pipeline.looks import Look, Reduced, image_look, map_look
from conv_cli.report.embedding import data_uri, png_bytes
from conv_cli.report.fit_page import fit_summary
from conv_cli.report.kernel_picture import kernel_picture
from conv_cli.report.kernel_sheet import layer_sheet
from conv_cli.report.kernel_show import caption
from conv_cli.report.kernel_table import MOST_CELLS, STYLE, kernel_table
from conv_cli.report.sheet import colour_words, range_words
from conv_cli.report.sheet_page import colour_bar
from conv_cli.report.sheet_picture import sheet_picture

_SIDE = 640
_SMALL = 256
"""Pixels of a screen that a small picture is enlarged to."""


@singledispatch
def html_of(value: object) -> str:
    """Return a value as HTML that refers to nothing outside of it."""
    raise TypeError(f"{type(value).__name__} has no picture")


@singledispatch
def png_of(value: object) -> bytes:
    """Return a value as a picture, a PNG file."""
    raise TypeError(f"{type(value).__name__} has no picture")


@html_of.register
def _(image: Image) -> str:
    look = _look(image)
    rows, columns = look.values.shape[:2]
    factor = max(1, _SMALL // max(rows, columns))
    shape = "×".join(map(str, image.shape))
    words = html.escape(f"{shape} {image.dtype}, {range_words(look)}")
    alt = html.escape(f"{shape} image, {range_words(look)}, {colour_words(look)}")
    width = columns * factor
    return (
        f'<figure style="margin:0;max-width:{max(width, _SMALL)}px"><img src="'
        f'{data_uri(look.pixels)}" alt="{alt}" style="width:{width}px;max-width:100%;'
        f'image-rendering:pixelated"><figcaption>{words}{colour_bar(look)}</figcaption></figure>'
    )


@html_of.register
def _(kernel: Kernel) -> str:
    if kernel.weights.size > MOST_CELLS:
        words = html.escape(caption(kernel))
        return f'<img src="{data_uri(kernel_picture(kernel))}" alt="{words}"><p>{words}</p>'
    table = kernel_table(kernel.weights, origin=kernel.origin, caption=caption(kernel))
    return f'<style>{STYLE}</style><div style="overflow-x:auto">{table}</div>'


@html_of.register
def _(fit: Fit) -> str:
    return f"<style>{STYLE}</style>{fit_summary(fit)}"


@png_of.register
def _(image: Image) -> bytes:
    pixels = _look(image).pixels
    factor = max(1, _SMALL // max(pixels.shape[:2]))
    return png_bytes(pixels.repeat(factor, axis=0).repeat(factor, axis=1))


@png_of.register
def _(kernel: Kernel) -> bytes:
    return png_bytes(kernel_picture(kernel, caption(kernel)))


@png_of.register
def _(fit: Fit) -> bytes:
    if fit.weights.ndim == 2:
        return png_of(fit.kernel)
    weights = fit.weights if fit.weights.ndim == 4 else fit.weights[:, None]
    return png_bytes(sheet_picture(layer_sheet(weights, f"fit: {fit.verdict}")))


def _look(image: Image) -> Look:
    """Return an image as it is looked at: floats around 0 in the colours of their sign."""
    if image.dtype.kind == "f" and image.channels - image.alpha == 1:
        small = Reduced((image.shape[0], image.shape[1], 1), _SIDE)
        small.put(0, np.moveaxis(image.colours, 0, -1))
        low, high = small.extremes
        if low < 0 < high:
            return map_look("map", small, image.dtype, mode=Range("raw"), signed=True)
    return image_look("image", image, _SIDE)
