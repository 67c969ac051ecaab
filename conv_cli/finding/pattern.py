"""What is searched for: a pattern with the weights of its pixels."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.errors import ImageError, PatternError

Array = npt.NDArray[Any]


class Pattern(NamedTuple):
    """A pattern in one size and at one angle.

    kernel : ndarray, shape (C, h, w), float64. Weights times what the pixels differ from their
        channel's weighted mean by; the energy of the pattern, Σ w(T - mean)², is 1.
    weights : ndarray, shape (h, w), float64, or None where every pixel counts alike.
    scale, angle : float. What the pattern was resized by, and turned by in degrees.
    """

    kernel: Array
    weights: Array | None
    scale: float = 1.0
    angle: float = 0.0

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.kernel.shape[1], self.kernel.shape[2]

    @property
    def support(self) -> Array:
        """Which pixels count, (h, w)."""
        return np.ones(self.size, bool) if self.weights is None else self.weights > 0


def pattern_weights(values: Array, mask: Array | None) -> Array | None:
    """Return weights (h, w) from 0 to 1, None where all are alike.

    values : ndarray, shape (C, h, w). Pixels that are not finite count for nothing.
    mask : ndarray, shape (h, w), optional. Values from 0; if some are above 1, the largest is 1.

    Raises PatternError if the mask has another shape, or is not finite, negative or all 0.
    """
    weights = np.ones(values.shape[1:])
    if mask is not None:
        if mask.shape != values.shape[1:]:
            raise PatternError(
                f"mask: is {_size(mask)}, and the pattern {_size(values[0])}; give one of its size"
            )
        weights = np.asarray(mask, np.float64)
        if not np.isfinite(weights).all() or weights.min(initial=0) < 0:
            raise PatternError("mask: has negative values or NaN; weights are 0 or more")
    weights = np.where(np.isfinite(values).all(axis=0), weights, 0)
    most = weights.max(initial=0)
    if most == 0:
        raise PatternError("no pixel of the pattern counts; give a mask with white in it")
    return None if weights.min() == most else weights / max(most, 1)


def prepared(
    values: Array, weights: Array | None, scale: float = 1.0, angle: float = 0.0
) -> Pattern:
    """Return a pattern ready to be searched for.

    values : ndarray, shape (C, h, w)
    weights : ndarray, shape (h, w), optional

    Raises PatternError if it has no detail: every channel is even where pixels count.
    """
    w = np.ones(values.shape[1:]) if weights is None else weights
    counted = values[:, w > 0].astype(np.float64)
    counted -= counted[:, :1]  # exact for what lies close together, however far from 0
    size = np.abs(counted).max(initial=0)
    if size == 0:
        raise PatternError(
            "the pattern has no detail, all its pixels being alike; choose a part that has some"
        )
    counted /= size
    share = w[w > 0] / w.sum()
    counted -= (counted @ share)[:, None]
    energy = float((counted**2 @ w[w > 0]).sum())
    kernel = np.zeros(values.shape)
    kernel[:, w > 0] = counted * w[w > 0] / np.sqrt(energy)
    return Pattern(kernel, weights, scale, angle)


def require_fit(size: tuple[int, int], image: tuple[int, int]) -> None:
    """Raise PatternError if a pattern (rows, columns) is larger than an image."""
    if size[0] > image[0] or size[1] > image[1]:
        raise PatternError(
            f"the pattern of {size[1]}x{size[0]} is larger than the image of "
            f"{image[1]}x{image[0]}; crop it, or make it smaller with --scale"
        )


def planes_of(pixels: npt.ArrayLike) -> Array:
    """Return the channels (C, H, W) of an image (H, W) or (H, W, C).

    Raises ImageError for another shape, without pixels, or of no real numbers.
    """
    array = np.asarray(pixels)
    if array.ndim not in (2, 3) or not array.size:
        raise ImageError(f"image: has the shape {array.shape}; give (H, W) or (H, W, C)")
    if array.dtype.kind not in "buif":
        raise ImageError(f"image: has the dtype {array.dtype}; give real numbers")
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _size(plane: Array) -> str:
    return "x".join(map(str, plane.shape[::-1]))
