"""Colours for numbers: a diverging scale around zero, viridis, and grey."""

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Colour = npt.NDArray[np.uint8] | tuple[int, int, int]
"""Red, green and blue."""
ColormapName = Literal["diverging", "viridis", "grey"]

_STOPS: dict[ColormapName, npt.NDArray[np.float64]] = {
    # Blue below the middle, nearly white there, red above: five of the eleven colours of
    # ColorBrewer's RdBu, which the colour-blind can tell apart (M. Harrower & C. A. Brewer,
    # "ColorBrewer.org", The Cartographic Journal 40, 2003).
    "diverging": np.array(
        [(33, 102, 172), (146, 197, 222), (247, 247, 247), (244, 165, 130), (178, 24, 43)],
        np.float64,
    ),
    # Every sixteenth of the scale of S. van der Walt and N. Smith (Matplotlib 1.5, 2015), which
    # grows lighter in even steps for every kind of sight.
    "viridis": np.array(
        [
            (68, 1, 84), (72, 24, 106), (71, 45, 123), (66, 64, 134), (59, 82, 139), (51, 99, 141),
            (44, 114, 142), (38, 130, 142), (33, 145, 140), (31, 159, 136), (39, 173, 129),
            (61, 188, 116), (92, 200, 99), (129, 211, 77), (170, 220, 50), (213, 226, 26),
            (253, 231, 37),
        ],
        np.float64,
    ),
    "grey": np.array([(0, 0, 0), (255, 255, 255)], np.float64),
}  # fmt: skip


class Scale(NamedTuple):
    """Which colour a value has: those of a map, from ``low`` to ``high``; beyond, the last ones.

    magnitudes : bool. Whether values lose their sign before.
    """

    colormap: ColormapName
    low: float
    high: float
    magnitudes: bool = False

    def colours(self, values: npt.ArrayLike) -> npt.NDArray[np.uint8]:
        """Return the colours (..., 3) of values; of a scale without extent, those of its middle."""
        array = np.asarray(values, np.float64)
        if self.magnitudes:
            array = np.abs(array)
        spread = self.high - self.low
        return along(self.colormap, (array - self.low) / spread if spread > 0 else 0 * array + 0.5)


def along(colormap: ColormapName, share: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Return the colours (..., 3) at shares of the way along a map, 0..1; beyond, the ends."""
    stops = _STOPS[colormap]
    places = np.linspace(0, 1, len(stops))
    along_it = np.asarray(share, np.float64)
    channels = [np.interp(along_it, places, stops[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def diverging(values: npt.ArrayLike, limit: float | None = None) -> npt.NDArray[np.uint8]:
    """Return the colour of each value: blue below zero, nearly white at zero, red above.

    values : array_like of any shape, real and finite.
    limit : the magnitude that gets the strongest colours, as do all beyond; by default the largest
        magnitude among the values.

    Returns red, green and blue, shape (*values.shape, 3), uint8; where the limit is 0 all have the
    colour of zero.
    """
    array = np.asarray(values, np.float64)
    if limit is None:
        limit = float(np.abs(array).max(initial=0))
    return Scale("diverging", -limit, limit).colours(array)


def hexadecimal(colour: Colour) -> str:
    """Return a colour as web pages name it: "#ffffff"."""
    return "#" + "".join(f"{int(channel):02x}" for channel in colour)


def ink(colour: Colour) -> tuple[int, int, int]:
    """Return black or white, whichever is read more easily on a colour (red, green, blue; 0..255).

    By its luma (0.299 R + 0.587 G + 0.114 B), against the middle between the two.
    """
    luma = float(np.dot(np.asarray(colour, np.float64), (0.299, 0.587, 0.114)))
    return (0, 0, 0) if luma > 127.5 else (255, 255, 255)
