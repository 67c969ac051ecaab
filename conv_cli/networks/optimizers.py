"""Ways down a gradient: Adam, and plain gradient descent."""

import numpy as np

from conv_cli.networks.layer import Array


class Adam:
    """Adam (Kingma & Ba 2015): each number has its own pace, by the size of its gradients."""

    _MEAN, _SQUARE, _SMALL = 0.9, 0.999, 1e-8

    def __init__(self) -> None:
        self._count = 0
        self._means: list[Array] = []
        self._squares: list[Array] = []

    def step(self, gradients: list[Array], rate: float) -> list[Array]:
        """Return what to add to each array."""
        if not self._count:
            self._means = [np.zeros_like(g) for g in gradients]
            self._squares = [np.zeros_like(g) for g in gradients]
        self._count += 1
        for g, mean, square in zip(gradients, self._means, self._squares, strict=True):
            mean += (1 - self._MEAN) * (g - mean)
            square += (1 - self._SQUARE) * (g * g - square)
        # Both start at zero, and are too small at first by these factors.
        by_mean, by_square = 1 - self._MEAN**self._count, 1 - self._SQUARE**self._count
        return [
            -rate * (mean / by_mean) / (np.sqrt(square / by_square) + self._SMALL)
            for mean, square in zip(self._means, self._squares, strict=True)
        ]


class GradientDescent:
    """Straight down the gradient."""

    def step(self, gradients: list[Array], rate: float) -> list[Array]:
        """Return what to add to each array."""
        return [-rate * gradient for gradient in gradients]
