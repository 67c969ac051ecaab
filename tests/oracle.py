"""Cross-correlation by plain loops, of weighted pixels too: what every engine is held against."""

import numpy as np
import numpy.typing as npt


def correlate(
    x: npt.NDArray[np.generic],
    weight: npt.NDArray[np.generic],
    *,
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0)),
    border: str | float = "zero",
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> npt.NDArray[np.generic]:
    """(C, H, W) by (O, C/groups, kh, kw) in Python integers, or in float64."""
    whole = x.dtype.kind in "bui" and weight.dtype.kind in "bui"
    dtype = object if whole else np.float64
    image = _padded(x.astype(dtype), padding, border)
    weight = weight.astype(dtype)
    outputs, group_channels, kernel_rows, kernel_columns = weight.shape
    rows = (image.shape[1] - (kernel_rows - 1) * dilation[0] - 1) // stride[0] + 1
    columns = (image.shape[2] - (kernel_columns - 1) * dilation[1] - 1) // stride[1] + 1
    result = np.zeros((outputs, rows, columns), dtype)
    for o in range(outputs):
        first = o // (outputs // groups) * group_channels
        for row in range(rows):
            for column in range(columns):
                top, left = row * stride[0], column * stride[1]
                window = image[
                    first : first + group_channels,
                    top : top + kernel_rows * dilation[0] : dilation[0],
                    left : left + kernel_columns * dilation[1] : dilation[1],
                ][:, :kernel_rows, :kernel_columns]
                result[o, row, column] = (window * weight[o]).sum()
    return result


def weighted(
    x: npt.NDArray[np.generic],
    share: npt.NDArray[np.float64],
    kernel: npt.NDArray[np.float64],
    *,
    padding: tuple[tuple[int, int], tuple[int, int]],
    border: str | float,
    beyond: float = 1.0,
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return what a kernel makes of pixels (C, H, W) that count by weights (C, H, W), in float64.

    Each pixel of a window counts as a·c + (1 - a)·m, m the mean of all by their weights; a constant
    of the border weighs ``beyond``. Returned is also the share of the kernel that is left, and the
    result is NaN where that is less than 10⁻⁴.
    """
    colours = _padded(np.where(share > 0, x, 0).astype(np.float64), padding, border)
    constant = border in ("zero",) or not isinstance(border, str)
    weights = _padded(share, padding, beyond if constant else border)
    rows, columns = (
        (n - (k - 1) * d - 1) // s + 1
        for n, k, d, s in zip(colours.shape[1:], kernel.shape, dilation, stride, strict=True)
    )
    result, left = np.zeros((2, len(x), rows, columns))
    for row in range(rows):
        for column in range(columns):
            window = (
                slice(None),
                slice(row * stride[0], None, dilation[0]),
                slice(column * stride[1], None, dilation[1]),
            )
            c, a = (
                plane[window][:, : kernel.shape[0], : kernel.shape[1]]
                for plane in (colours, weights)
            )
            size = np.abs(kernel).sum()
            counted = (np.abs(kernel) * a).sum((1, 2))
            left[:, row, column] = counted / size
            with np.errstate(all="ignore"):
                mean = ((np.abs(kernel) * a * c).sum((1, 2)) / counted)[:, None, None]
            counts = (kernel * (a * c + (1 - a) * mean)).sum((1, 2))
            result[:, row, column] = np.where(counted < 1e-4 * size, np.nan, counts)
    return result, left


def _padded(
    image: npt.NDArray[np.generic],
    padding: tuple[tuple[int, int], tuple[int, int]],
    border: str | float,
) -> npt.NDArray[np.generic]:
    (top, bottom), (left, right) = padding
    channels, height, width = image.shape
    out = np.zeros((channels, height + top + bottom, width + left + right), image.dtype)
    for row in range(out.shape[1]):
        for column in range(out.shape[2]):
            i = _source(row - top, height, border)
            j = _source(column - left, width, border)
            constant = 0 if isinstance(border, str) else border
            out[:, row, column] = constant if i is None or j is None else image[:, i, j]
    return out


def _source(place: int, size: int, border: str | float) -> int | None:
    """Walk back into the image one step at a time; None is outside it."""
    if 0 <= place < size:
        return place
    if not isinstance(border, str) or border == "zero":
        return None
    if border == "edge" or size == 1:
        return min(max(place, 0), size - 1)
    while not 0 <= place < size:
        if border == "wrap":
            place += size if place < 0 else -size
        else:
            gap = 0 if border == "reflect" else 1
            place = -place - gap if place < 0 else 2 * (size - 1) + gap - place
    return place
