"""What the README shows of correlation: each picture as the command above it makes it."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from conv_cli import Network, load_kernel
from conv_cli.borders import pad
from conv_cli.images import Image as Picture
from conv_cli.kernels.kernel import Kernel
from conv_cli.networks.training import train
from conv_cli.pipeline.feature_map import Range
from conv_cli.pipeline.filter import Filter, filtered_pixels
from conv_cli.report.field_drawing import drawn_field
from studio.feature_maps import captioned
from studio.painting import Array

SIDE, GAP = 272, 6
MODELS = Path(__file__).parents[1] / "models"


def equivariance(photo: Array) -> Array:
    """Return an image and its map, and the image shifted and its map."""
    shifted = pad(photo, ((120, 0), (120, 0)), "wrap")[:-120, :-120]
    edges = Network(MODELS / "edge-magnitude.json")
    maps = [np.clip(np.rint(edges(x[None])[0]), 0, 255) for x in (photo, shifted)]
    return _row(
        ("still-life.png", photo),
        ("its map", maps[0].astype(np.uint8)),
        ("shifted", shifted),
        ("its map: shifted", maps[1].astype(np.uint8)),
    )


def locality(photo: Array) -> Array:
    """Return the window that one pixel of a pyramid sees."""
    shape = (1, *photo.shape)
    drawn = drawn_field(
        Network(MODELS / "blur-pyramid.json").field_of(shape, 3, 20, 20), Picture(photo)
    )
    return np.asarray(Image.fromarray(drawn).resize((400, 400), Image.Resampling.LANCZOS))


def flip(photo: Array) -> Array:
    """Return an emboss by correlation and by convolution."""
    kernel = load_kernel("emboss")
    maps = (_map(photo, kernel), _map(photo, kernel.flipped()))
    return _row(("emboss", maps[0]), ("emboss --convolve", maps[1]))


def learned(photo: Array) -> Array:
    """Return a kernel and what is learned of its effect, as numbers on colours."""
    true = load_kernel("emboss")
    target = filtered_pixels(
        Picture(photo), Filter((true,)), (true,), np.dtype(np.float32), Range("raw")
    )
    network = train(
        Network(MODELS / "learn-one-kernel.json"), [(photo[None], target[None])], epochs=10
    ).network
    found = network.layers[0].parameters()["weight"][0, 0]
    return _row(("emboss", _drawn(true.weights)), ("learned", _drawn(found)))


def _map(photo: Array, kernel: Kernel) -> Array:
    return filtered_pixels(
        Picture(photo), Filter((kernel,)), (kernel,), np.dtype(np.uint8), Range("clip")
    )


def _row(*panels: tuple[str, Array]) -> Array:
    """Return pictures side by side, each with its caption."""
    sheet = Image.new("RGB", (len(panels) * (SIDE + GAP) - GAP, SIDE), "white")
    for place, (caption, pixels) in enumerate(panels):
        sheet.paste(captioned(caption, pixels, (SIDE, SIDE)), (place * (SIDE + GAP), 0))
    return np.asarray(sheet)


def _drawn(weights: Array) -> Array:
    """Return weights as numbers on orange and blue cells, white for zero."""
    cell = 2 * SIDE // len(weights)
    picture = Image.new("RGB", (len(weights) * cell, len(weights) * cell))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(48)
    for (row, column), weight in np.ndenumerate(weights):
        share = min(abs(weight) / np.abs(weights).max(), 1)
        full = np.array([235, 120, 30]) if weight > 0 else np.array([50, 110, 200])
        colour = tuple(np.rint(255 + share * (full - 255)).astype(int).tolist())
        left, top = column * cell, row * cell
        draw.rectangle((left, top, left + cell - 2, top + cell - 2), fill=colour)
        middle = left + cell // 2, top + cell // 2
        draw.text(middle, f"{round(float(weight), 2) + 0:.2f}", "black", font, anchor="mm")
    return np.asarray(picture)
