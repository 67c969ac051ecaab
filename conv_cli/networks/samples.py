"""What a network learns from: pairs of an image and its target, cut into random patches.

Only output pixels whose receptive field lies inside the image are learned from and judged by, so
that it does not matter how the target was made at its border. A fifth of them, in square cells
drawn at random, is held out.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from conv_cli.borders import Span
from conv_cli.errors import FitError
from conv_cli.networks.layer import Array, wide
from conv_cli.networks.network import Network
from conv_cli.networks.receptive import Field

_CELL = 32
"""Rows and columns of a cell, in output pixels."""
_HELD_OUT = 0.2
"""The share of the cells."""


@dataclass(frozen=True)
class Sample:
    """One image and its target.

    x : ndarray, shape (C, H, W). In the image's own units.
    target : ndarray, shape (O, h, w). As the last layer is to give it; NaN where the target has no
        pixel.
    limits : ndarray, shape (2,). The ends of the target's range: those of its dtype, infinite for
        floats.
    inside : ((top, bottom), (left, right)). The output pixels whose field lies inside the image.
    held_out : ndarray of bool, shape (h, w). True for the pixels that are judged by.
    """

    x: Array
    target: Array
    limits: Array
    inside: tuple[Span, Span]
    held_out: Array

    @property
    def pixels(self) -> int:
        """How many output pixels are learned from or judged by."""
        (top, bottom), (left, right) = self.inside
        return (bottom - top) * (right - left)


def make_sample(network: Network, x: Array, target: Array, rng: np.random.Generator) -> Sample:
    """Return the sample of an image (C, H, W) and a target (O, h, w).

    The target has the size of the model's output, or, where that has one pixel for each of the
    input, the size of the input: its pixels then lie in the middle of what they are made of.

    Raises FitError if the target has another shape, no pixel's field lies inside the image, or
    there is a pixel that is not a finite number.
    """
    check_target(network, x, target)
    if not (np.isfinite(x).all() and np.isfinite(target).all()):
        raise FitError("there are pixels that are NaN or infinite; give finite ones")
    output, field = network.shapes(x.shape)[-1], network.fields()[-1]
    placed = _placed(wide(target), x.shape[1:], output[1:], field)
    rows, columns = (
        _inside(n, size, r, j, s)
        for n, size, r, j, s in zip(
            output[1:], x.shape[1:], field.size, field.jump, field.start, strict=True
        )
    )
    if rows[0] >= rows[1] or columns[0] >= columns[1]:
        raise FitError(
            f"an output pixel sees {field.size[0]}x{field.size[1]} pixels, which never lie inside "
            f"an image of {x.shape[1]}x{x.shape[2]}; give larger images"
        )
    held_out = np.zeros(output[1:], bool)
    cells = _cells(rows[1] - rows[0], columns[1] - columns[0], rng)
    held_out[slice(*rows), slice(*columns)] = cells
    return Sample(x, placed, _limits(target.dtype), (rows, columns), held_out)


def check_target(network: Network, x: Array, target: Array) -> None:
    """Raise FitError unless a target (O, h, w) has a shape that a model can learn from."""
    output, jump = network.shapes(x.shape)[-1], network.fields()[-1].jump
    if len(target) != output[0]:
        raise FitError(f"the model gives {output[0]} channels, and the target has {len(target)}")
    size = target.shape[1:]
    if size != output[1:] and (size != x.shape[1:] or jump != (1, 1)):
        raise FitError(
            f"the target is {size[0]}x{size[1]}, but the model makes {output[1]}x{output[2]} of an "
            f"image of {x.shape[1]}x{x.shape[2]}; give a target of {output[1]}x{output[2]}, or "
            "change stride or padding"
        )


def _limits(dtype: np.dtype[Any]) -> Array:
    if dtype.kind == "u":
        return np.array([0, np.iinfo(dtype).max], float)
    return np.array([-np.inf, np.inf])


def residuals(y: Array, target: Array, limits: Array) -> Array:
    """Return y - target, 0 where the target is at a limit and y beyond it.

    ``limits`` has shape (2,), or (2, N, 1, 1, 1) for a batch.
    """
    low, high = limits
    beyond = ((target <= low) & (y < low)) | ((target >= high) & (y > high))
    return np.where(beyond, 0, y - target)


def _placed(target: Array, size: tuple[int, ...], output: tuple[int, ...], field: Field) -> Array:
    """Return the target at the output's pixels."""
    if target.shape[1:] == output:
        return target
    placed = np.full((len(target), *output), np.nan, target.dtype)
    rows, columns = (
        _overlap(n, m, start + (r - 1) // 2)
        for n, m, start, r in zip(output, size, field.start, field.size, strict=True)
    )
    placed[:, rows[0], columns[0]] = target[:, rows[1], columns[1]]
    return placed


def _overlap(output: int, size: int, shift: int) -> tuple[slice, slice]:
    """Return which output pixels have their middle in the image, and which of its pixels it is."""
    first, stop = max(0, -shift), min(output, size - shift)
    return slice(first, stop), slice(first + shift, stop + shift)


def _inside(output: int, size: int, field: int, jump: int, start: int) -> Span:
    """Return the output pixels [first, stop) whose field lies inside an axis of so many pixels."""
    first = -(start // jump) if start < 0 else 0
    return first, min(output, (size - field - start) // jump + 1)


def _cells(rows: int, columns: int, rng: np.random.Generator) -> Array:
    """Return which pixels are held out: those of a fifth of the cells, and of one at least."""
    cell = max(1, min(_CELL, max(rows, columns) // 4))
    shape = -(-rows // cell), -(-columns // cell)
    count = shape[0] * shape[1]
    chosen = np.zeros(count, bool)
    chosen[rng.permutation(count)[: max(1, round(_HELD_OUT * count))]] = True
    spread = np.kron(chosen.reshape(shape), np.ones((cell, cell), bool))
    return spread[:rows, :columns].astype(bool)


class Patches:
    """Patches of samples, drawn at random.

    samples : list of Sample
    field : Field. Of the network.
    size : int. Rows and columns of a patch, in output pixels, where the images are as large.
    rng : numpy.random.Generator

    variance : float. Of the targets, where they are learned from.

    Raises FitError if that is 0.
    """

    def __init__(
        self, samples: list[Sample], field: Field, size: int, rng: np.random.Generator
    ) -> None:
        self._samples, self._field, self._rng = samples, field, rng
        sides = [[stop - first for first, stop in sample.inside] for sample in samples]
        self._size = np.minimum(np.min(sides, axis=0), size)
        pixels = np.array([sample.pixels for sample in samples], float)
        self._shares = pixels / pixels.sum()
        inside = [s.target[:, slice(*s.inside[0]), slice(*s.inside[1])] for s in samples]
        values = np.concatenate([t.reshape(len(t), -1) for t in inside], axis=1)
        self.variance = float(values.var(axis=1, dtype=np.float64).mean())
        if not self.variance:
            raise FitError("the target has one value everywhere; there is nothing to learn from it")

    def draw(self, count: int) -> tuple[Array, Array, Array, Array]:
        """Return so many windows and what belongs to them.

        Windows (N, C, H, W), targets (N, O, h, w), their limits (2, N, 1, 1, 1), and which pixels
        to learn from (N, 1, h, w).
        """
        drawn = [self._one() for _ in range(count)]
        x, target, limits, learned = (np.stack(parts) for parts in zip(*drawn, strict=True))
        return x, target, limits.T[..., None, None, None], learned[:, None]

    def _one(self) -> tuple[Array, Array, Array, Array]:
        sample = self._samples[self._rng.choice(len(self._samples), p=self._shares)]
        axes = zip(
            sample.inside, self._size.tolist(),
            self._field.size, self._field.jump, self._field.start, strict=True,
        )  # fmt: skip
        spans = []
        for (first, stop), size, r, j, s in axes:
            at = int(self._rng.integers(first, stop - size + 1))
            spans.append((slice(at, at + size), slice(s + at * j, s + (at + size - 1) * j + r)))
        (rows, sees_rows), (columns, sees_columns) = spans
        return (
            sample.x[:, sees_rows, sees_columns],
            sample.target[:, rows, columns],
            sample.limits,
            ~sample.held_out[rows, columns],
        )
