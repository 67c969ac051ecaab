"""ImageMagick's blurs and what is made of them, which reach as far as a 65535th of their middle."""

import math

import numpy as np

from conv_cli.errors import KernelError
from conv_cli.kernels.family import Weights, limited, offsets
from conv_cli.kernels.kernel import MAX_WEIGHTS, Kernel
from conv_cli.kernels.tools.geometry import Geometry, given
from conv_cli.kernels.tools.magick_parts import impulse, turned, whole_radius

_QUANTUM = 65535
_EPSILON = 1e-12
_RANK = 3
"""Samples that are averaged to one weight of a 1-D blur."""
_MOST_BINOMIAL = 10
"""Above, the factorials of ImageMagick overflow."""


def gaussian(arguments: Geometry) -> Weights:
    """Gaussian:RADIUSxSIGMA, of sum 1."""
    sigma = abs(given(arguments.sigma, 0))
    return _balanced(_bell(sigma, _side_2d(arguments.rho, sigma)))


def dog(arguments: Geometry) -> Weights:
    """DoG:RADIUS,SIGMA1,SIGMA2: one Gaussian less another, both parts of equal sum."""
    sigmas = abs(given(arguments.sigma, 0)), abs(given(arguments.xi, 0))
    side = _side_2d(arguments.rho, max(sigmas))
    return _balanced(_bell(sigmas[0], side) - _bell(sigmas[1], side))


def log(arguments: Geometry) -> Weights:
    """LoG:RADIUSxSIGMA: (1 - r) · exp(-r) with r = (x² + y²) / 2σ²."""
    sigma = abs(given(arguments.sigma, 0))
    side = _side_2d(arguments.rho, sigma)
    if sigma <= _EPSILON:
        return impulse(side, side)
    squares = np.add.outer(offsets(side) ** 2, offsets(side) ** 2) / (2 * sigma * sigma)
    return _balanced((1 - squares) * np.exp(-squares))


def blur(arguments: Geometry) -> Kernel:
    """Blur:RADIUSxSIGMA+ANGLE, a Gaussian line."""
    rho, sigma = given(arguments.rho, 0), abs(given(arguments.sigma, 0))
    width = 2 * int(rho) + 1 if rho >= 1 else _optimal_side(rho, sigma, 1)
    _, width = limited(1, width)
    line = impulse(1, width)
    if sigma > _EPSILON:
        fine = np.exp(-((offsets(width * _RANK) / (_RANK * sigma)) ** 2) / 2)
        line = fine.reshape(1, width, _RANK).sum(axis=2)
    angle = given(arguments.xi, 0) % 180  # a blur is the same the other way round
    return turned(Kernel(line / line.sum()), angle)


def comet(arguments: Geometry) -> Kernel:
    """Comet:WIDTHxSIGMA+ANGLE, half of a Gaussian line, its origin at the bright end."""
    rho, sigma = given(arguments.rho, 0), abs(given(arguments.sigma, 0))
    width = int(rho) if rho >= 1 else (_optimal_side(rho, sigma, 1) - 1) // 2 + 1
    _, width = limited(1, width)
    line = np.eye(1, width)
    if sigma > _EPSILON:
        fine = np.exp(-((np.arange(width * _RANK) / (_RANK * sigma)) ** 2) / 2)
        line = fine.reshape(1, width, _RANK).sum(axis=2)
    return turned(Kernel(line / line.sum(), origin=(0, 0)), given(arguments.xi, 0))


def binomial(arguments: Geometry) -> Weights:
    """Binomial:RADIUS, in whole numbers: not normalized."""
    radius = whole_radius(arguments, 1)
    if radius > _MOST_BINOMIAL:
        raise KernelError(f"its radius is {radius}, expected at most {_MOST_BINOMIAL}")
    row = [math.comb(2 * radius, k) for k in range(2 * radius + 1)]
    return np.outer(row, row).astype(np.float64)


def _bell(sigma: float, side: int) -> Weights:
    """Return a sampled 2-D Gaussian density; the middle alone for a sigma of 0."""
    if sigma <= _EPSILON:
        return impulse(side, side)
    line = np.exp(-((offsets(side) / sigma) ** 2) / 2)
    return np.outer(line, line) / (2 * math.pi * sigma * sigma)


def _balanced(weights: Weights) -> Weights:
    """Return the weights with positive ones summing to 1 and negative ones to -1."""
    up, down = np.maximum(weights, 0), np.maximum(-weights, 0)
    return up / (up.sum() or 1) - down / (down.sum() or 1)


def _side_2d(rho: float | None, sigma: float) -> int:
    radius = given(rho, 0)
    side = 2 * int(radius) + 1 if radius >= 1 else _optimal_side(radius, sigma, 2)
    return limited(side, side)[0]


def _optimal_side(radius: float, sigma: float, dimensions: int) -> int:
    """Return the side up to which a Gaussian's edge is a 65535th of its sum, at least 3."""
    if radius > _EPSILON:
        return 2 * math.ceil(radius) + 1
    if sigma <= _EPSILON:
        return 3
    reach = math.isqrt(MAX_WEIGHTS) if dimensions == 2 else MAX_WEIGHTS
    line = np.exp(-((np.arange(reach // 2 + 2) / sigma) ** 2) / 2)
    shares = line[2:] / (2 * np.cumsum(line)[2:] - 1) ** dimensions
    low = np.flatnonzero(shares < 1 / _QUANTUM)
    return 2 * (int(low[0]) if low.size else reach) + 3
