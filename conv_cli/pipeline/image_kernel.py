"""Kernels that are pictures: a point spread function as a camera or a program shows it."""

from pathlib import Path

import numpy as np

from conv_cli.colors import to_gray, white
from conv_cli.errors import ConvError, ImageError, KernelError
from conv_cli.images import READABLE_SUFFIXES, ImageInfo, read_image
from conv_cli.kernels.catalogue import is_built_in
from conv_cli.kernels.formats import READABLE
from conv_cli.kernels.kernel import MAX_WEIGHTS, Kernel, named


def is_image_kernel(spec: str) -> bool:
    """Tell whether a KERNEL is a picture, by the end of its name."""
    suffix = Path(spec).suffix.lower()
    return suffix in READABLE_SUFFIXES and suffix not in READABLE and not is_built_in(spec)


def image_kernel(spec: str) -> Kernel:
    """Return the kernel of a picture, called by its file: its grey values by their sum.

    spec : str. A path, maybe after an @. What is transparent weighs as little.

    Raises KernelError if it cannot be read, has more than 4,194,304 pixels, or sums to zero.
    """
    path = spec.removeprefix("@")

    def admit(info: ImageInfo) -> None:
        if info.height * info.width > MAX_WEIGHTS:
            raise ImageError(
                f"{info.height}x{info.width} are more than {MAX_WEIGHTS:,} weights; make it smaller"
            )

    try:
        image = read_image(path, admit=admit)
    except ImageError as error:
        raise KernelError(f"kernel {error}") from None
    colours = image.colours
    if len(colours) not in (1, 3):
        raise KernelError(
            f"kernel {path}: has {len(colours)} bands; a kernel is grey, or red, green and blue"
        )
    with np.errstate(all="ignore"), named(path):
        grey = to_gray(colours[:, None].astype(np.float64))[0, 0]
        if image.alpha:
            grey = grey * (image.planes[-1] / white(image.dtype))
        total = float(grey.sum())
        if abs(total) <= 1e-12 * float(np.abs(grey).sum()):
            raise ConvError("its grey values sum to zero, so they cannot sum to 1; choose another")
        return Kernel(grey / total, name=Path(path).stem)
