"""Where the maps of a shifted image differ from the shifted maps: a panel for each layer."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from conv_cli.colormaps import diverging
from conv_cli.images.drawing import text_coverage
from conv_cli.networks.audit import LayerAudit

Pixels = npt.NDArray[np.uint8]

_SIDE, _GAP, _FONT = 320, 16, 16.0
"""Pixels: the longer side of a panel, what lies between two, and the letters above them."""
_PAPER, _NOTHING = 255, 160
"""Grey of what is around the panels, and of places that have nothing to be compared with."""


def audit_picture(audits: Sequence[LayerAudit]) -> Pixels:
    """Return a panel for each layer, white where maps agree and red where they are far apart.

    The strongest red is the layer's own largest distance, which stands above its panel. Of maps
    larger than their panel, each pixel shows the largest distance that it stands for.

    Returns shape (H, W, 3), uint8.
    """
    panels = [_panel(each) for each in audits]
    height, width = (max(panel.shape[axis] for panel in panels) + _GAP for axis in (0, 1))
    across = math.ceil(math.sqrt(len(panels) * height / width))
    down = math.ceil(len(panels) / across)
    paper = np.full((down * height + _GAP, across * width + _GAP, 3), _PAPER, np.uint8)
    for place, panel in enumerate(panels):
        top, left = (_GAP + n * side for n, side in zip(divmod(place, across), (height, width),
                                                        strict=True))  # fmt: skip
        paper[top : top + panel.shape[0], left : left + panel.shape[1]] = panel
    return paper


def _panel(audit: LayerAudit) -> Pixels:
    """Return where a layer is off, with a line of text above."""
    where = _sized(audit.where)
    absent = np.isnan(where)
    colours = diverging(np.where(absent, 0, where))
    colours[absent] = _NOTHING
    words = f"{audit.layer} {audit.kind}: {audit.largest.distance:.3g}"
    ink = text_coverage(words, _FONT)
    width = max(colours.shape[1], ink.shape[1])
    panel = np.full((round(1.5 * _FONT) + len(colours), width, 3), _PAPER, np.uint8)
    panel[: len(ink), : ink.shape[1]] = np.rint(255 * (1 - ink[..., None]))
    colours[[0, -1]] = colours[:, [0, -1]] = _NOTHING
    panel[-len(colours) :, : colours.shape[1]] = colours
    return panel


def _sized(where: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return a map as large as a panel: pixels repeated, or the largest of several in place."""
    longest = max(where.shape)
    for axis, length in enumerate(where.shape):
        side = max(1, _SIDE * length // longest)
        starts = np.arange(side) * length // side
        where = (
            np.fmax.reduceat(where, starts, axis=axis)
            if side < length
            else where.take(starts, axis=axis)
        )
    return where
