"""Which windows of a kernel hold a marked pixel: exact, in a few passes over single bytes."""

from typing import Any

import numpy as np
import numpy.typing as npt

from conv_cli.correlation.params import Pair

Marks = npt.NDArray[np.bool_]


def holding(marks: Marks, support: Marks, dilation: Pair = (1, 1)) -> Marks:
    """Tell of every window whether it has a mark under the support.

    marks : ndarray, shape (H, W)
    support : ndarray, shape (kh, kw). Where the kernel has a weight.

    Returns
    -------
    ndarray, shape (H - dilation·(kh-1), W - dilation·(kw-1))
        A window is named by its top left.
    """
    rows, columns = (
        n - gap * (k - 1) for n, k, gap in zip(marks.shape, support.shape, dilation, strict=True)
    )
    found = np.zeros((rows, columns), bool)
    # Rows of the support that are alike, as all of a box, are looked for once.
    for row in {row.tobytes(): row for row in support if row.any()}.values():
        across = _holding_along(marks.T, row, dilation[1]).T
        found |= _holding_along(across, (support == row).all(axis=1), dilation[0])
        if found.all():
            break
    return found


def solid_core(support: Marks) -> Pair:
    """Return rows and columns of a large rectangle without a gap that a support has, or (0, 0)."""
    rows, columns = support.shape
    while holding(~support, np.ones((rows, columns), bool)).all():
        if rows == columns == 1:
            return 0, 0
        rows, columns = max(1, rows * 3 // 4), max(1, columns * 3 // 4)
    return rows, columns


def _holding_along(marks: Marks, taps: npt.NDArray[Any], gap: int) -> Marks:
    """Do the same along the first axis; a run of taps is two runs of a power of 2 that overlap."""
    found = np.zeros_like(marks[: len(marks) - gap * (len(taps) - 1)])
    ends = np.flatnonzero(np.diff(taps, prepend=False, append=False)).reshape(-1, 2)
    together, width = marks, 1
    for first, stop in sorted(ends.tolist(), key=lambda run: run[1] - run[0]):
        while 2 * width <= stop - first:
            together = together[: -width * gap] | together[width * gap :]
            width *= 2
        for start in {first, stop - width}:
            found |= together[start * gap : start * gap + len(found)]
    return found
