"""A diverging colour scale: blue below zero, nearly white at zero, red above."""

import numpy as np
import numpy.typing as npt

Colour = npt.NDArray[np.uint8] | tuple[int, int, int]
"""Red, green and blue."""

# Five of the eleven colours of ColorBrewer's RdBu, which the colour-blind can tell apart
# (M. Harrower & C. A. Brewer, "ColorBrewer.org", The Cartographic Journal 40, 2003).
_STOPS = (-1.0, -0.5, 0.0, 0.5, 1.0)
_COLOURS = np.array(
    [(33, 102, 172), (146, 197, 222), (247, 247, 247), (244, 165, 130), (178, 24, 43)], np.float64
)


def diverging(values: npt.ArrayLike, limit: float | None = None) -> npt.NDArray[np.uint8]:
    """Return the colour of each value.

    values : array_like of any shape, real and finite.
    limit : the magnitude that gets the strongest colours, as do all beyond; by default the largest
        magnitude among the values.

    Returns red, green and blue, shape (*values.shape, 3), uint8; where the limit is 0 all have the
    colour of zero.
    """
    array = np.asarray(values, np.float64)
    if limit is None:
        limit = float(np.abs(array).max(initial=0))
    place = array / limit if limit > 0 else np.zeros_like(array)
    channels = [np.interp(place, _STOPS, _COLOURS[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def ink(colour: Colour) -> tuple[int, int, int]:
    """Return black or white, whichever is read more easily on a colour (red, green, blue; 0..255).

    By its luma (0.299 R + 0.587 G + 0.114 B), against the middle between the two.
    """
    luma = float(np.dot(np.asarray(colour, np.float64), (0.299, 0.587, 0.114)))
    return (0, 0, 0) if luma > 127.5 else (255, 255, 255)
