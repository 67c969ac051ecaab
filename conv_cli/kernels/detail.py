"""Built-ins that bring out detail: sharpeners, which sum to 1, and band-passes, which sum to 0."""

import math

import numpy as np

from conv_cli.errors import ConvError
from conv_cli.kernels.derivatives import laplacian
from conv_cli.kernels.family import (
    direction,
    family,
    fixed,
    impulse,
    limited,
    mesh,
    number,
    odd_side,
    offsets,
    size,
)
from conv_cli.kernels.kernel import MAX_WEIGHTS, Size, Weights
from conv_cli.kernels.smoothing import SIGMA, bell, gaussian

_AMOUNT = number("amount", 1.0, "strength; 0 changes nothing")
# The samples of a narrower one no longer resemble the function.
_RESOLVED_SIGMA = number("sigma", 1.0, "standard deviation in pixels", at_least=0.3)

fixed(
    "emboss",
    "A relief lit from the top left, of the picture's own brightness",
    np.array([[-2.0, -1.0, 0.0], [-1.0, 1.0, 1.0], [0.0, 1.0, 2.0]]),
)


@family("sharpen", _AMOUNT)
def sharpen(amount: float) -> Weights:
    """The image minus its Laplacian.

    0 -1  0
    -1  5 -1
    0 -1  0
    """
    return impulse(3, 3) - amount * laplacian(4)


@family("unsharp", SIGMA, _AMOUNT)
def unsharp(sigma: float, amount: float) -> Weights:
    """Unsharp masking: the image plus `amount` times what a Gaussian blur takes away."""
    blur = gaussian(sigma, None)
    return (1 + amount) * impulse(*blur.shape) - amount * blur


@family(
    "log",
    _RESOLVED_SIGMA,
    size("size", None, "rows and columns; 2·ceil(4·sigma)+1 if not given", at_least=3),
)
def log(sigma: float, size: Size | None) -> Weights:
    """Laplacian of Gaussian: (x² + y² - 2σ²)/σ⁴ times the Gaussian, summing to 0.

    Marr & Hildreth, "Theory of edge detection", 1980. Negative in the middle, as the Laplacian is.
    """
    rows, columns = limited(*(size or (odd_side(4 * sigma),) * 2))
    vertical = np.outer(_second_derivative(sigma, rows), bell(sigma, columns))
    return vertical + np.outer(bell(sigma, rows), _second_derivative(sigma, columns))


@family("ricker", _RESOLVED_SIGMA)
def ricker(sigma: float) -> Weights:
    """Ricker's or Marr's wavelet, the Mexican hat: the negative of the Laplacian of Gaussian.

    (1 - (x² + y²)/2σ²)/πσ⁴ · exp(-(x² + y²)/2σ²), positive in the middle and summing to 0.
    """
    return -log(sigma, None)


@family(
    "dog",
    number("sigma1", 1.0, "of the Gaussian that is added, in pixels", above=0),
    number("sigma2", None, "of the one that is taken away; 1.6·sigma1 if not given", above=0),
    _AMOUNT._replace(meaning="what the difference is multiplied by"),
)
def dog(sigma1: float, sigma2: float | None, amount: float) -> Weights:
    """Difference of Gaussians, each as far as three times the wider sigma; sums to 0.

    At the default ratio of 1.6 it is closest to the Laplacian of Gaussian (Marr & Hildreth, 1980).
    """
    if sigma2 is None:
        sigma2 = 1.6 * sigma1
    if sigma1 == sigma2:
        raise ConvError(f"sigma1 and sigma2 are both {sigma1:g}, which leaves nothing")
    side = odd_side(3 * max(sigma1, sigma2))
    return amount * (gaussian(sigma1, (side, side)) - gaussian(sigma2, (side, side)))


@family(
    "gabor",
    number("sigma", 2.0, "standard deviation along the wave in pixels", at_least=0.3),
    number("theta", 0.0, "way the wave runs: degrees, counter-clockwise; 0 is to the right"),
    number("wavelength", 4.0, "in pixels", at_least=2),
    number("gamma", 0.5, "standard deviation along the wave by that across it", at_least=0.01),
    number("psi", 0.0, "phase in the middle, in degrees"),
)
def gabor(sigma: float, theta: float, wavelength: float, gamma: float, psi: float) -> Weights:
    """A wave under a Gaussian, which answers to lines across its way and of its width.

    cos(2πu/λ + ψ) · exp(-(u² + γ²v²)/2σ²) · γ/2πσ², u along theta and v across, as far as three
    standard deviations (Daugman, 1985). It is not forced to sum to 0.
    """
    cosine, sine = direction(theta)
    along, across = (min(extent, MAX_WEIGHTS) for extent in (3 * sigma, 3 * sigma / gamma))
    x, y = mesh(
        odd_side(max(along * abs(sine), across * abs(cosine))),
        odd_side(max(along * abs(cosine), across * abs(sine))),
    )
    u, v = x * cosine + y * sine, y * cosine - x * sine
    envelope = np.exp(-(u**2 + (gamma * v) ** 2) / (2 * sigma**2)) * gamma / (2 * np.pi * sigma**2)
    return envelope * np.cos(2 * np.pi * u / wavelength + math.radians(psi))


def _second_derivative(sigma: float, count: int) -> Weights:
    """Return the second derivative of a sampled 1-D Gaussian, shape (count,), summing to 0."""
    smooth = bell(sigma, count)
    squares = (offsets(count) / sigma) ** 2
    # The samples' own variance in place of 1, from which it differs by what the size cuts off.
    return (squares - squares @ smooth) * smooth / sigma / sigma
