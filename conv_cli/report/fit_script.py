"""The filter that a fit found, for another tool, and how near that tool comes to the target."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from conv_cli.fitting.result import Fit
from conv_cli.images import Image
from conv_cli.kernels.kernel import Kernel
from conv_cli.kernels.learned import require_plain
from conv_cli.kernels.spec import load_kernel
from conv_cli.kernels.tools.strings import convert
from conv_cli.pipeline.tool_trial import Trial, tried

_MIRRORS = "ffmpeg"
"""The tool whose border is not that of the others, the nearest pixel."""


class Script(NamedTuple):
    """A tool's command or code, and what came of running it.

    approximate : float or None. Where the tool does not hold the kernel, by how much its closest
        can differ, in 255 levels.
    everywhere : bool. It was compared with all of the target; without its rim if not, as the tool
        has another border.
    """

    tool: str
    text: str
    approximate: float | None
    trial: Trial
    everywhere: bool

    def as_dict(self) -> dict[str, Any]:
        """Return what --json prints of it."""
        return {
            "tool": self.tool, "text": self.text, "approximate": self.approximate,
            **self.trial._asdict(), "rim": self.everywhere,
        }  # fmt: skip

    @property
    def words(self) -> str:
        """How near it comes."""
        trial, less = self.trial, "" if self.everywhere else ", its rim left out"
        if not trial.ran or trial.within is None:
            return f"{self.tool}: not run: {trial.why}"
        return (
            f"{self.tool}, run on the pair: {trial.largest:.3g} off the target at most, "
            f"{trial.mean:.3g} in the mean, {100 * trial.within:.4g} % within one level{less}"
        )


def script_of(fit: Fit, tool: str, before: Image, after: Image) -> Script:
    """Return the filter of a fit for a tool, run on a pair where the tool is installed.

    Raises KernelError if the tool cannot hold it, nor anything close.
    """
    kernel = fit.applicable
    require_plain([kernel])
    named = _read_as(fit, kernel)
    made = convert(named, tool, approximate=True)
    text = made.data.decode()
    x, y = (np.squeeze(image.colours.transpose(1, 2, 0)) for image in (before, after))
    x = fit.like_input(x, y)
    rows, columns = (slice(None), slice(None)) if not fit.valid else _inside(named, y.shape)
    everywhere = fit.valid or (fit.border in ("edge", None) and tool != _MIRRORS)
    if not everywhere:
        (top, left), (height, width) = named.origin, named.shape
        rows = slice(top, x.shape[0] - (height - 1 - top))
        columns = slice(left, x.shape[1] - (width - 1 - left))
        y = y[rows, columns]
    return Script(tool, text, made.error, tried(tool, text, x, y, (rows, columns)), everywhere)


def _inside(kernel: Kernel, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return where the windows of a kernel lie inside a picture, of which a shape is left."""
    (top, left), (height, width) = kernel.origin, shape[:2]
    return slice(top, top + height), slice(left, left + width)


def _read_as(fit: Fit, kernel: Kernel) -> Kernel:
    """Return the kernel as it is read: a built-in, whole numbers with a divisor, no tiny bias."""
    near = 2 * fit.noise_floor
    biases = [0.0 if abs(bias) <= near else round(bias, 3) for bias in kernel.biases]
    if kernel.weights.ndim > 2:
        return replace(kernel, biases=tuple(biases))  # type: ignore[call-arg]  # a ChannelKernel
    if fit.shift == (0, 0) and fit.match is not None and not fit.valid:
        kernel = load_kernel(fit.match)
    elif fit.shift == (0, 0) and fit.rational is not None:
        kernel = replace(kernel, weights=fit.rational.numerators / fit.rational.divisor)
    return kernel.with_bias(biases[0])
