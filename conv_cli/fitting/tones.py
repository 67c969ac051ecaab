"""Filters that change each pixel by its own value alone: levels, gamma, a threshold."""

from collections.abc import Sequence

import numpy as np

from conv_cli.fitting.pairs import Pair

_PIXELS = 300_000
"""An even sample of about so many tells."""
_PIXELS_PER_VALUE = 50
"""With fewer, values that come once foretell any target."""
_NOTHING = 0.17
"""By the target's own error: what may be left of it once the input's value is known."""


def depends_on_value_alone(pairs: Sequence[Pair], floor: float) -> bool:
    """Tell whether every target pixel is a function of the one input pixel in its place.

    ``floor`` is the target's own error, root mean square.
    """
    return all(_is_curve(pair, floor) for pair in pairs)


def _is_curve(pair: Pair, floor: float) -> bool:
    if not pair.same_size or len(pair.x) != len(pair.y):
        return False
    step = max(pair.y.size // _PIXELS, 1)
    before, after = (planes.ravel()[::step] for planes in (pair.x, pair.y))
    _, values, counts = np.unique(before, return_inverse=True, return_counts=True)
    if len(before) < _PIXELS_PER_VALUE * len(counts):
        return False
    means = np.bincount(values, after) / counts
    # About the mean, so that large squares do not cancel.
    return float(np.square(after - means[values]).mean()) <= (_NOTHING * floor) ** 2
