"""The pictures of a fit: what the kernel makes of the input, and what is left."""

from typing import Any

import numpy as np
import numpy.typing as npt

from conv_cli.fitting.result import Fit
from conv_cli.images import FLOAT_FORMATS, Image, format_of
from conv_cli.pipeline.feature_map import Range, map_to_pixels

Pixels = npt.NDArray[Any]

_BYTES = np.dtype(np.uint8)


class FitPictures:
    """Before, after, what was predicted, and the residual.

    fit : Fit
    before, after : Image. The pair, opacity and all.

    predicted : ndarray. What the kernel makes of the input: pixels of the target's kind.
    residual : ndarray, float64. The target less the prediction, in the target's units.
    """

    def __init__(self, fit: Fit, before: Image, after: Image) -> None:
        self._before, self._after = (_colours(image) for image in (before, after))
        if self._before.ndim == 2 and fit.weights.ndim == 2 and self._after.ndim == 3:
            self._after = self._after[..., 0]  # grey in three channels that are alike
        values = fit.predict(fit.like_input(self._before, self._after))
        mode = Range("raw" if after.dtype.kind == "f" else "clip")
        self.predicted = map_to_pixels(values, after.dtype, after.dtype, mode)[0]
        self.residual = self._after.astype(np.float64) - self.predicted

    @property
    def scale(self) -> str:
        """What black and white of the residual mean."""
        return f"±{float(np.abs(self.residual).max()):.4g}"

    def residual_for(self, name: str) -> Pixels:
        """Return the residual for a file: about grey, or as it is if the format holds floats."""
        if format_of(name) in FLOAT_FORMATS:
            return self.residual.astype(np.float32)
        return map_to_pixels(self.residual, _BYTES, _BYTES, Range("signed"))[0]

    def captioned(self, before: str, after: str) -> list[tuple[str, Pixels]]:
        """Return what a page shows, as (caption, pixels)."""
        return [
            (f"before: {before}", _shown(self._before)),
            (f"after: {after}", _shown(self._after)),
            ("predicted", _shown(self.predicted)),
            (
                f"after less predicted: grey is 0, black and white are {self.scale}",
                map_to_pixels(self.residual, _BYTES, _BYTES, Range("signed"))[0],
            ),
        ]


def _colours(image: Image) -> Pixels:
    """Return an image without opacity, (H, W) if it is grey."""
    pixels = image.pixels
    if not image.alpha:
        return pixels
    return pixels[..., 0] if pixels.shape[2] == 2 else pixels[..., :-1]


def _shown(pixels: Pixels) -> Pixels:
    """Return pixels that a page can show."""
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels
    return map_to_pixels(pixels.astype(np.float64), _BYTES, _BYTES, Range("stretch"))[0]
