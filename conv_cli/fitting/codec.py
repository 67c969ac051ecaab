"""Targets from lossy files: the error that their codec leaves."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from conv_cli.fitting.pairs import Pair, Window
from conv_cli.fitting.quantised import Coded, Regressed, regressed, trimmed_regression
from conv_cli.fitting.refine import predicted
from conv_cli.fitting.solve import Solution

Array = npt.NDArray[Any]
Recode = Callable[[int, Array], Array]
"""Is given the number of a pair and an image (H, W) or (H, W, C), and returns it as it comes back
from the codec."""


class Coder:
    """Codec of the targets, on planes."""

    def __init__(
        self,
        recode: Recode,
        planes: Sequence[Sequence[Pair]],
        coded: Sequence[Coded | None] | None = None,
    ) -> None:
        self._recode, self._planes = recode, planes
        alone = coded if coded and len(planes) == 1 else [None]
        self._coded = alone[0]

    def regressed(
        self, window: Window, solution: Solution, *, grow: bool
    ) -> tuple[Window, Regressed] | None:
        """Return the window and weights that a JPEG's own coefficients tell; None if they do not.

        They do of one pair, whose channels share a kernel.
        """
        planes = [pair.x for pair in self._planes[0]]
        single = all(len(x) == 1 for x in planes) and len(planes) in (1, 3)
        if self._coded is None or not single or self._planes[0][0].stride != (1, 1):
            return None
        if self._planes[0][0].y.shape[1:] != self._coded.luma.shape:
            return None
        together = np.concatenate(planes)
        if grow:
            return trimmed_regression(together, self._coded, window, solution)
        found = regressed(together, self._coded, window, solution)
        return None if found is None else (window, found)

    def floor(self, window: Window, solution: Solution) -> float:
        """Return the error, root mean square, that the codec leaves in what is predicted."""
        squares = count = 0.0
        for number, pairs in enumerate(self._planes):
            made, regions = zip(*(predicted(p, window, solution) for p in pairs), strict=True)
            maps = np.concatenate(made)
            # Beyond the region the target itself stands in, which the codec has been through.
            whole = np.concatenate([pair.y for pair in pairs]).astype(np.float64)
            whole[:, *regions[0]] = maps
            levels = np.clip(np.rint(whole), 0, 255).astype(np.uint8)
            image = levels[0] if len(levels) == 1 else levels.transpose(1, 2, 0)
            decoded = np.atleast_3d(self._recode(number, image)).transpose(2, 0, 1)
            usable = np.stack([p.usable[regions[0]] for p in pairs for _ in p.y])
            off = (decoded.astype(np.float64)[:, *regions[0]] - maps)[usable]
            squares, count = squares + float(off @ off), count + off.size
        return math.sqrt(squares / count) if count else 0.0
