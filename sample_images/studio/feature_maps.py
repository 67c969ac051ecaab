"""The landscape and five of its feature maps on one sheet, for the README."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from conv_cli.images import Image as Picture
from conv_cli.kernels.spec import load_kernels
from conv_cli.pipeline.feature_map import RangeName
from conv_cli.pipeline.filter import Filter, filtered_pixels
from studio.painting import Array

PANEL = (400, 267)
GAP = 6
MAPS: tuple[tuple[str, tuple[str, ...], str | None, RangeName], ...] = (
    ("gaussian:6", ("gaussian:6",), None, "clip"),
    ("sobel-x --channels gray --range shift", ("sobel-x",), None, "shift"),
    ("sobel-x sobel-y --combine magnitude", ("sobel-x", "sobel-y"), "magnitude", "clip"),
    ("motion:61,30", ("motion:61,30",), None, "clip"),
    ("emboss --channels gray", ("emboss",), None, "clip"),
)
"""Caption, kernels, combination and range of each panel after the first."""


def feature_maps(landscape: Array) -> Array:
    """Return the sheet: two rows of three panels, each with its caption."""
    panels = [("landscape.jpg", landscape)]
    panels += [(caption, _map(landscape, *how)) for caption, *how in MAPS]
    width, height = PANEL
    sheet = Image.new("RGB", (3 * width + 2 * GAP, 2 * height + GAP), "white")
    for place, (caption, pixels) in enumerate(panels):
        row, column = divmod(place, 3)
        sheet.paste(captioned(caption, pixels), (column * (width + GAP), row * (height + GAP)))
    return np.asarray(sheet)


def _map(landscape: Array, kernels: tuple[str, ...], combine: str | None, mode: RangeName) -> Array:
    rule = Filter(
        tuple(kernel for name in kernels for kernel in load_kernels(name)),
        combine=combine,  # type: ignore[arg-type]
        gray=mode == "shift" or "emboss" in kernels,
    )
    ((_, framed),) = rule.maps()
    return filtered_pixels(Picture(landscape), rule, framed, np.dtype(np.uint8), mode)


def captioned(caption: str, pixels: Array, size: tuple[int, int] = PANEL) -> Image.Image:
    """Return a picture in a size, with its caption in the lower left corner."""
    panel = Image.fromarray(pixels).convert("RGB").resize(size, Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(panel, "RGBA")
    font = ImageFont.load_default(14)
    right, bottom = (int(n) for n in draw.textbbox((0, 0), caption, font)[2:])
    top = size[1] - bottom - 10
    draw.rectangle((0, top, right + 16, size[1]), fill=(0, 0, 0, 150))
    draw.text((8, top + 4), caption, "white", font)
    return panel
