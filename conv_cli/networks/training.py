"""Training: the layers without weights learn them from pairs of images.

What makes it work without tuning, beside the white inputs of ``Learner``:

- Weights start so that each layer gives values of about 1 (Mishkin & Matas 2016, "All you need is
  a good init"), and the last of the size of the target.
- There are eight such starts, of which the better half goes on after each epoch until one is left;
  in every other one all layers but the first begin with positive weights, as sums of energies have.
- Adam, its learning rate falling along half a cosine (Loshchilov & Hutter 2017, "SGDR").

The loss is the mean squared error by the variance of the target: 1 for a network that always gives
the mean. Where a target of whole numbers is at an end of its range, what lies beyond counts as no
error, for that is where it was cut off.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from conv_cli.errors import FitError, ModelError
from conv_cli.networks.layer import Array, Layer
from conv_cli.networks.learner import Learner
from conv_cli.networks.network import Network
from conv_cli.networks.optimizers import Adam, GradientDescent
from conv_cli.networks.samples import Patches, Sample, make_sample, residuals

Method = Literal["adam", "gd"]
_METHODS: dict[str, tuple[type[Adam] | type[GradientDescent], float]] = {
    "adam": (Adam, 0.03),
    "gd": (GradientDescent, 0.1),
}
"""The optimizer, and the learning rate that suits it."""
_BATCHES = 50
"""Of an epoch, whatever the size of the images."""
_PATCH = 32
"""Rows and columns of a patch, in output pixels."""
_LAST_RATE = 0.01
"""What is left of the learning rate at the end."""
_STARTS = 8
"""Networks at the start; after each of the first epochs, the better half of them goes on."""
_STARTING_PATCHES = 64
_MOST_SCALINGS, _CLOSE = 40, 0.02
"""Rounds of scaling the last weights, and the share that the output may then be off."""
_SMALL = 1e-12
_NO_LOSS = 1e-12
"""Errors of a millionth of what the target varies by are those of float32: nothing is left."""


class Training(NamedTuple):
    """What came of a training.

    network : Network. With all its weights.
    r2 : float or None. 1 - squared error / variance of the target, over the pixels held out; None
        where these are all the same.
    rmse : float. Over the same, in the target's units.
    losses : tuple of float. Of each epoch, over what was learned from; training ends where it is 0,
        but for rounding.
    pixels : int. How many were learned from or held out, in all pairs.
    """

    network: Network
    r2: float | None
    rmse: float
    losses: tuple[float, ...]
    pixels: int


def train(
    network: Network,
    pairs: Sequence[tuple[Array, Array]],
    *,
    epochs: int = 40,
    rate: float | None = None,
    seed: int = 0,
    batch: int = 16,
    method: Method = "adam",
    tell: Callable[[int, float], None] | None = None,
) -> Training:
    """Return a network whose layers without weights have learned them.

    network : Network. Its layers with weights keep them.
    pairs : sequence of (image, target). Arrays (C, H, W) and (O, h, w). The target has the size of
        the output, or of the image where the model has no stride.
    epochs : int. Of 50 batches each; fewer, if the loss comes down to 0.
    rate : float, optional. The learning rate at the start: 0.03 for "adam", 0.1 for "gd".
    seed : int. Of the weights, the patches, and what is held out.
    batch : int. Patches of up to 32x32 output pixels a step.
    method : "adam" or "gd"
    tell : callable, optional. Is told the number of each epoch and its loss.

    Raises ModelError if all layers have weights, or the model does not take the images. Raises
    FitError if a target does not fit, all targets are constant, or the loss grows without bound.
    """
    if not network.untrained:
        raise ModelError(
            "all layers have weights, so there is nothing to train; give one as "
            '{"in_channels": …, "out_channels": …, "kernel_size": …}'
        )
    rng = np.random.default_rng(seed)
    samples = [make_sample(network, x, target, rng) for x, target in pairs]
    patches = Patches(samples, network.fields()[-1], _PATCH, rng)
    optimizer, usual = _METHODS[method]
    course = _Course(usual if rate is None else rate, epochs * _BATCHES, batch, patches)
    trainees = [
        Trainee(network, patches, optimizer(), rng, positive=number % 2 == 0)
        for number in range(min(_STARTS, 2 ** (epochs - 1)))
    ]
    losses: list[float] = []
    for epoch in range(epochs):
        found = [course.epoch(each, epoch) for each in trainees]
        if not np.isfinite(min(found)):
            raise FitError(
                f"the loss is no longer finite in epoch {epoch + 1}; use a smaller learning rate"
            )
        order = np.argsort(found)
        trainees = [trainees[i] for i in order[: -(-len(trainees) // 2)]]
        losses.append(min(found))
        if tell is not None:
            tell(epoch + 1, losses[-1])
        if losses[-1] <= _NO_LOSS:
            break
    learned = trainees[0].learned(network)
    return Training(
        learned, *_judged(learned, samples), tuple(losses), sum(s.pixels for s in samples)
    )


class _Course(NamedTuple):
    """How the steps of a training follow each other."""

    rate: float
    steps: int
    batch: int
    patches: Patches

    def epoch(self, trainee: "Trainee", number: int) -> float:
        """Do the steps of one epoch, and return their mean loss: infinite if it grows so large."""
        total = 0.0
        for step in range(number * _BATCHES, (number + 1) * _BATCHES):
            with np.errstate(over="ignore", invalid="ignore"):
                total += trainee.step(*self.patches.draw(self.batch), self._rate_at(step))
            if not (np.isfinite(total) and trainee.is_finite):
                return float(np.inf)
        return total / _BATCHES

    def _rate_at(self, step: int) -> float:
        falling = (1 + np.cos(np.pi * step / self.steps)) / 2
        return float(self.rate * (_LAST_RATE + (1 - _LAST_RATE) * falling))


class Trainee:
    """A network in training, without its padding, so that it sees whole patches alone."""

    def __init__(
        self,
        network: Network,
        patches: Patches,
        optimizer: Adam | GradientDescent,
        rng: np.random.Generator,
        *,
        positive: bool,
    ) -> None:
        self._optimizer, self._variance = optimizer, patches.variance
        self._layers: list[Layer] = [layer.without_padding() for layer in network.layers]
        self._learners: dict[int, Learner] = {}
        self._normalize = network.normalize
        x, target, *_ = patches.draw(_STARTING_PATCHES)
        self._start([n - 1 for n in network.untrained], self._normalize(x), rng, positive)
        self._meet(self._normalize(x), float(np.sqrt(np.mean(np.square(target)))))

    def _start(
        self, places: list[int], values: Array, rng: np.random.Generator, positive: bool
    ) -> None:
        """Give each layer weights that make values of size 1 of those before it."""
        for place, layer in enumerate(self._layers):
            if place in places:
                learner = Learner(layer, values, rng)  # type: ignore[arg-type]  # a Convolution
                if (positive and place != places[0]) or self._before_root(place):
                    learner.make_positive()
                learner.rescale(1 / _size(learner.layer.forward(values)))
                self._learners[place], self._layers[place] = learner, learner.layer
            values = self._layers[place].forward(values)

    def _before_root(self, place: int) -> bool:
        """Tell whether negative values would have no root, and so no gradient."""
        return [layer.kind for layer in self._layers[place + 1 : place + 2]] == ["sqrt"]

    def _meet(self, x: Array, size: float) -> None:
        """Scale the last weights until the output has the size of the target."""
        last = max(self._learners)
        for _ in range(_MOST_SCALINGS):
            factor = max(size, _SMALL) / _size(self._values(x)[-1])
            if abs(np.log(factor)) < _CLOSE:
                break
            # What lies behind may be a root, or a square: half the way is right, or near, for both.
            self._learners[last].rescale(float(np.clip(factor, 1e-3, 1e3) ** 0.5))

    def _values(self, x: Array) -> list[Array]:
        """Return the input and the maps of every layer."""
        values = [x]
        for layer in self._layers:
            values.append(layer.forward(values[-1]))
        return values

    def step(self, x: Array, target: Array, limits: Array, learned: Array, rate: float) -> float:
        """Do one step down the gradient, and return the loss before it."""
        values = self._values(self._normalize(x))
        rest = residuals(values[-1], target, limits) * learned
        share = 1 / (max(np.count_nonzero(learned), 1) * target.shape[1] * self._variance)
        gradient = (2 * share * rest).astype(values[-1].dtype)
        gradients: dict[int, Array] = {}
        first = min(self._learners)
        for place in range(len(self._layers) - 1, first - 1, -1):
            layer, before = self._layers[place], values[place]
            if place in self._learners:
                found = layer.parameter_gradients(before, gradient)
                gradients[place] = self._learners[place].gradient(found)
            if place > first:
                gradient = layer.backward(before, values[place + 1], gradient)
        order = sorted(self._learners)
        steps = self._optimizer.step([gradients[place] for place in order], rate)
        for place, step in zip(order, steps, strict=True):
            self._learners[place].step(step)
        return float(np.square(rest, dtype=np.float64).sum() * share)

    @property
    def is_finite(self) -> bool:
        """All weights are finite numbers."""
        return all(learner.is_finite for learner in self._learners.values())

    def learned(self, network: Network) -> Network:
        """Return the network with what was learned, its padding as it was."""
        layers = list(network.layers)
        for place, learner in self._learners.items():
            layers[place] = layers[place].with_parameters(learner.layer.parameters())  # type: ignore[attr-defined]
        return Network(layers, network.normalization)


def _size(values: Array) -> float:
    """Return the root of the mean square."""
    return max(float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))), _SMALL)


def _judged(network: Network, samples: list[Sample]) -> tuple[float | None, float]:
    """Return R² and RMSE over the pixels held out."""
    errors = total = 0.0
    targets = []
    for sample in samples:
        rest = residuals(network(sample.x), sample.target, sample.limits)[:, sample.held_out]
        errors += float(np.square(rest, dtype=np.float64).sum())
        targets.append(sample.target[:, sample.held_out].astype(np.float64))
    held_out = np.concatenate(targets, axis=1)
    total = float(np.square(held_out - held_out.mean(axis=1, keepdims=True)).sum())
    return (1 - errors / total if total else None), float(np.sqrt(errors / held_out.size))
