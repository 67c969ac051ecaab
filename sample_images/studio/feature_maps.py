"""The landscape and five of its feature maps on one sheet, each above the command that makes it."""

import contextlib
import shlex
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from conv_cli.cli.main import cli
from studio.painting import Array

PANEL = (440, 293)
GAP = 8
LINE = 24
"""Rows below a panel, for its command."""
PHOTO = "sample_images/landscape.jpg"
COMMANDS = (
    f"conv-cli apply {PHOTO} -k gaussian:6 -o blur.png",
    f"conv-cli apply {PHOTO} --preset edges -o edges.png",
    f"conv-cli apply {PHOTO} --preset outline -o lines.png",
    f"conv-cli apply {PHOTO} -k motion:61,30 -o motion.png",
    f"conv-cli apply {PHOTO} --preset relief -o relief.png",
)


def feature_maps(landscape: bytes) -> Array:
    """Return the sheet, two rows of three panels, of the landscape's JPEG file."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path(PHOTO).parent.mkdir()
        Path(PHOTO).write_bytes(landscape)
        panels = [(PHOTO, PHOTO)]
        for command in COMMANDS:
            words = shlex.split(command)[1:]
            cli.main([*words, "--quiet"], standalone_mode=False)
            panels.append((command, words[-1]))
        return np.asarray(_sheet([(text, Image.open(name)) for text, name in panels]))


def _sheet(panels: list[tuple[str, Image.Image]]) -> Image.Image:
    width, height = PANEL
    sheet = Image.new("RGB", (3 * width + 2 * GAP, 2 * (height + LINE) + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12.5)
    for place, (text, picture) in enumerate(panels):
        row, column = divmod(place, 3)
        left, top = column * (width + GAP), row * (height + LINE + GAP)
        small = picture.convert("RGB").resize(PANEL, Image.Resampling.LANCZOS)
        sheet.paste(small, (left, top))
        draw.text((left + 2, top + height + 4), text, "black", font)
    return sheet


def captioned(caption: str, pixels: Array, size: tuple[int, int] = (400, 267)) -> Image.Image:
    """Return a picture in a size, with its caption in the lower left corner."""
    panel = Image.fromarray(pixels).convert("RGB").resize(size, Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(panel, "RGBA")
    font = ImageFont.load_default(14)
    right, bottom = (int(n) for n in draw.textbbox((0, 0), caption, font)[2:])
    top = size[1] - bottom - 10
    draw.rectangle((0, top, right + 16, size[1]), fill=(0, 0, 0, 150))
    draw.text((8, top + 4), caption, "white", font)
    return panel
