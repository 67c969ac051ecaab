"""What a fit says: the kernel, its errors, its verdict, and what it makes of an image."""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from conv_cli.colors import from_linear, to_linear
from conv_cli.fitting.pairs import Size, Window, as_learned
from conv_cli.fitting.reading import Named, with_own_place
from conv_cli.fitting.verdict import GOOD, SURE, Verdict
from conv_cli.io.json import plain
from conv_cli.kernels.kernel import Kernel
from conv_cli.kernels.learned import ChannelKernel, Manner, Tone, with_manner
from conv_cli.kernels.rational import Rational
from conv_cli.layers import conv2d
from conv_cli.notebooks import Shown

Array = npt.NDArray[Any]
Method = Literal["exact", "gd"]

_OWN_PLACE = Window(0, 0, 1, 1)


@dataclass(frozen=True, eq=False, repr=False)
class Fit(Shown):
    """A kernel that was learned, and how far it is to be trusted.

    Attributes
    ----------
    weights : ndarray, float64
        Shape (kh, kw); (C, kh, kw) for one kernel a channel; (C', C, kh, kw) for a mix, the
        target's channels first.
    bias : float or tuple of float
        In the target's units; one for each channel of the target, unless a kernel is shared.
    origin : (row, column)
        The weight that lies on the target pixel, once the shift is undone.
    rmse, r2, psnr : float
        Over pixels that nothing was learned from, in the target's units; the share of the target's
        variance that is explained; decibels.
    noise_floor : float
        The target's own error: 1/√12 of a level for whole numbers, that of its codec for lossy
        files, 10⁻⁶ of the range for floats.
    verdict : str
        "exact" up to 1.1 floors, "good" up to 3; above "noisy" if what is left is noise, that
        nothing in the picture predicts, "poor" if not; or "underdetermined".
    reason : str
        The verdict in words.
    noise : float or None
        Standard deviation of the noise in the target, beyond its floor, in its units; None if it is
        not told from misfit.
    cause : str or None
        What explains a poor pair instead: "tone", "light", "mix", "channels", "position",
        "geometry" or "neighbours"; the reason says more.
    remedy : tuple of str
        With these options `fit` explains the pair, or a part of it.
    flip : int or None
        Number among ``kernels.comparison.TURNS`` of how the input is to be turned first.
    condition : float
        The largest by the least eigenvalue of the normal equations.
    stderr : ndarray
        Standard error of each weight.
    clipped, rejected : float
        Shares of target pixels that are left out: at an end of their range; as no kernel made them.
    border : str or None
        The border mode, or constant, that explains the rim.
    rational : Rational or None
        The weights as whole numbers with one divisor.
    match, turned_match : str or None
        The built-in with these weights; the one that has them flipped in both directions.
    names : tuple of Named
        All built-ins that the kernel may be by a test at 99.9 %, the likeliest first; or the
        nearest alone, which did not pass.
    shift : (row, column)
        What the target is moved by against the input.
    pairs, pixels : int
        Pairs of images, and pixels learned from or tested with.
    method : str
    losses : tuple of float
        Squared error after each epoch of gradient descent, summed over what it learned from, pixels
        counted in white. It ends early where that is 0.
    white : (float, float)
        What gradient descent counts as white, in the input and in the target.
    exact_weights : ndarray or None
        Least squares' answer beside that of gradient descent.
    valid : bool
        The target is what ``valid`` filtering leaves of the input.
    linear : bool
        The kernel works in linear light, 0..white; its bias too.
    tone : Tone or None
        A curve before or after the kernel.
    top : float
        What white is in the target's units; 1 for floats.
    grey : bool
        The input was made grey first, as the target is.
    stride : (rows, columns)
        Of the input, between pixels of the target.
    sizes : tuple of ((rows, columns), error)
        Held-out root-mean-square error of the windows that were tried.
    """

    weights: Array
    bias: float | tuple[float, ...]
    origin: Size
    rmse: float
    r2: float
    noise_floor: float
    verdict: Verdict
    reason: str
    condition: float
    stderr: Array
    clipped: float
    pairs: int
    pixels: int
    psnr: float = math.inf
    noise: float | None = None
    cause: str | None = None
    remedy: tuple[str, ...] = ()
    flip: int | None = None
    rejected: float = 0.0
    border: str | None = None
    rational: Rational | None = None
    match: str | None = None
    turned_match: str | None = None
    names: tuple[Named, ...] = ()
    shift: Size = (0, 0)
    method: Method = "exact"
    losses: tuple[float, ...] = ()
    white: tuple[float, float] = (1.0, 1.0)
    exact_weights: Array | None = None
    valid: bool = False
    stride: Size = (1, 1)
    linear: bool = False
    tone: Tone | None = None
    top: float = 1.0
    grey: bool = False
    sizes: tuple[tuple[Size, float], ...] = ()
    window: Window = _OWN_PLACE

    @property
    def size(self) -> Size:
        """Rows and columns of the kernel."""
        rows, columns = self.weights.shape[-2:]
        return rows, columns

    @property
    def explains(self) -> bool:
        """The kernel makes the target: one can, and gradient descent has come to it."""
        if self.verdict == "noisy":
            return self.rmse <= GOOD * math.hypot(self.noise_floor, self.noise or 0.0)
        return self.verdict in SURE and self.rmse <= GOOD * self.noise_floor

    @property
    def kernel(self) -> Kernel:
        """The kernel, shift left out; a ChannelKernel for one a channel, or a mix."""
        kernel = (
            Kernel(self.weights, float(np.ravel(self.bias)[0]), self.origin, "fit")
            if self.weights.ndim == 2
            else ChannelKernel(self.weights, 0.0, self.origin, "fit", biases=self._biases)
        )
        return with_manner(kernel, Manner(self.stride, self.linear, self.tone))

    @property
    def _biases(self) -> tuple[float, ...]:
        """The bias of each channel of the target."""
        given = np.ravel(self.bias).tolist()
        return tuple(given * (len(self.weights) // len(given)))

    def __repr__(self) -> str:
        """Return the verdict, the size, what it reads as, and the error."""
        size = "x".join(map(str, self.size))
        match = f", {self.match}" if self.match else ""
        return (
            f"<Fit {self.verdict}: {size}{match}, rmse {self.rmse:.4g} of {self.noise_floor:.4g}>"
        )

    @property
    def applicable(self) -> Kernel:
        """The kernel that makes the target of the input, shift included, by zeros around it."""
        if self.shift == (0, 0):
            return self.kernel
        extent = with_own_place(self.window)
        return replace(
            self.kernel, weights=self._within(extent), origin=(-extent.top, -extent.left)
        )

    def _within(self, extent: Window) -> Array:
        """Return the weights with zeros around them, up to a larger window."""
        weights = np.zeros((*self.weights.shape[:-2], *extent.size))
        weights[..., *self.window.within(extent)] = self.weights
        return weights

    def like_input(self, x: Array, y: Array) -> Array:
        """Return an input as it was learned from: in the target's units, grey if the target is."""
        return as_learned(x, y.dtype, grey=y.ndim == 2 and self.weights.ndim < 4)

    def predict(self, x: npt.ArrayLike, border: str | None = None) -> Array:
        """Return what the kernel makes of an image, as real numbers.

        Parameters
        ----------
        x : array_like, shape (H, W) or (H, W, C)
            Without opacity, with the channels of the inputs that were learned from.
        border : str, optional
            That of the fit by default, or "edge" if it has none.

        Returns
        -------
        ndarray, shape (H, W) or (H, W, C), or what valid filtering leaves of it
        """
        planes = np.atleast_3d(np.asarray(x)).transpose(2, 0, 1)
        if self.linear:
            planes = to_linear(planes.astype(np.float64), self.top)
        if self.tone is not None and self.tone.where == "before":
            planes = self.tone(planes)
        window = self.window if self.valid else with_own_place(self.window)
        (top, left), (rows, columns) = window[:2], window.size
        padding = ((-top, top + rows - 1), (-left, left + columns - 1))
        weights = self._within(window)
        batch, groups = planes, 1
        if weights.ndim == 2:
            batch, weights = planes[:, None], weights[None, None]
        elif weights.ndim == 3:
            weights, groups = weights[:, None], len(planes)
        maps = conv2d(
            batch,
            weights,
            np.atleast_1d(self.bias),
            padding="valid" if self.valid else padding,
            groups=groups,
            stride=self.stride,
            border=border or self.border or "edge",
        )
        maps = maps.reshape(-1, *maps.shape[-2:])
        if self.linear:
            maps = from_linear(maps, self.top)
        if self.tone is not None and self.tone.where == "after":
            maps = self.tone(maps)
        return maps[0] if len(maps) == 1 else maps.transpose(1, 2, 0)

    def as_dict(self) -> dict[str, Any]:
        """Return what ``--json`` prints: plain values, null for what is infinite or unknown."""
        fractions = self.rational
        values: dict[str, Any] = {
            "kernel": self.weights.tolist(),
            "bias": self.bias if isinstance(self.bias, float) else list(self.bias),
            "origin": list(self.origin),
            "size": list(self.size),
            "rmse": self.rmse,
            "r2": self.r2,
            "psnr": self.psnr,
            "noise_floor": self.noise_floor,
            "verdict": self.verdict,
            "noise": self.noise,
            "cause": self.cause,
            "reason": self.reason,
            "condition": self.condition,
            "stderr": self.stderr.tolist(),
            "clipped": self.clipped,
            "rejected": self.rejected,
            "border": self.border,
            "rational": fractions and _as_dict(fractions),
            "match": self.match,
            "turned_match": self.turned_match,
            "names": [name._asdict() for name in self.names],
            "shift": list(self.shift),
            "stride": list(self.stride),
            "linear": self.linear,
            "tone": self.tone and self.tone.as_dict(),
            "pairs": self.pairs,
            "pixels": self.pixels,
            "method": self.method,
            "losses": list(self.losses),
        }
        return {name: plain(value) for name, value in values.items()}

    def as_file(self) -> dict[str, Any]:
        """Return what a .json file holds: the same, but a kernel that makes up for the shift.

        `conv-cli apply -k` reads it.
        """
        kernel = self.applicable
        return {
            **self.as_dict(),
            "kernel": kernel.weights.tolist(),
            "origin": list(kernel.origin),
            "size": list(kernel.shape),
            "shift": [0, 0],
        }


def _as_dict(fractions: Rational) -> dict[str, Any]:
    whole = [[int(number) for number in row] for row in fractions.numerators.tolist()]
    return {"numerators": whole, "divisor": fractions.divisor}
