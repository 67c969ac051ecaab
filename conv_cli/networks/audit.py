"""How far a network is from shifting its maps when its image is shifted, and what keeps it from it.

Equivariance (Goodfellow et al. 2016, "Deep Learning", 9.2) holds for layers of stride 1 wherever no
window reaches beyond the image. Strides and pooling give it up for shifts that are no multiples of
their jump (Azulay & Weiss 2019, "Why do deep convolutional networks generalize so poorly to small
image transformations?"; Zhang 2019, "Making convolutional networks shift-invariant again").
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from conv_cli.correlation.params import Pair
from conv_cli.errors import ModelError
from conv_cli.io.json import plain
from conv_cli.networks.layer import Array, wide
from conv_cli.networks.network import Network, Shape
from conv_cli.networks.receptive import Field


class Distances(NamedTuple):
    """How far maps are apart, and by what; NaN where no two pixels could be compared.

    Attributes
    ----------
    distance : float
        In all.
    border : float
        Where windows reach into the padding, or to what was shifted in.
    stride : float
        Elsewhere, where the shift is no multiple of the jump from pixel to pixel of the map.
    rounding : float
        What is left: the difference that float64 does not have.
    """

    distance: float
    border: float
    stride: float
    rounding: float


class LayerAudit(NamedTuple):
    """What becomes of a shift at one layer.

    Attributes
    ----------
    layer : int
        Counted from 1.
    kind : str
    output : (channels, rows, columns)
    jump : (rows, columns)
        Pixels of the image from one pixel of a map to the next.
    moved : (rows, columns)
        What the maps are shifted by: the shift by the jump, to the nearest whole pixel, halves
        towards zero.
    aligned : bool
        Whether that is all of the shift.
    inside : float
        The share of compared pixels whose windows see nothing but what both images have.
    magnitude : float
        The largest of the maps.
    largest, rms : Distances
        The largest difference, and the root of the mean square.
    where : ndarray, shape (rows, columns)
        The largest difference over the channels, NaN where a pixel has none to be compared with.
    """

    layer: int
    kind: str
    output: Shape
    jump: Pair
    moved: Pair
    aligned: bool
    inside: float
    magnitude: float
    largest: Distances
    rms: Distances
    where: Array

    def as_dict(self) -> dict[str, Any]:
        """Return what ``--json`` prints: the largest differences by their names, and the others."""
        found = {name: value for name, value in self._asdict().items() if name != "where"}
        largest, rms = found.pop("largest"), found.pop("rms")
        told: dict[str, Any] = plain(found | largest._asdict() | {"rms": rms._asdict()})
        return told


def audit(network: Network, x: Array, shift: Pair) -> Iterator[LayerAudit]:
    """Yield by layer how far the maps of a shifted image are from the shifted maps.

    x : ndarray, shape (C, H, W). The image; what is shifted out comes in on the other side.
    shift : (rows, columns). Down and to the right, negative for up and left.

    Raises ModelError if the image does not fit the model, or is not larger than the shift.
    """
    size: Pair = (x.shape[1], x.shape[2])
    if any(abs(s) >= n for s, n in zip(shift, size, strict=True)):
        raise ModelError(
            f"a shift of {shift[0]},{shift[1]} leaves nothing of {size[0]}x{size[1]} pixels; give "
            "a smaller one"
        )
    pair = wide(np.stack([x, np.roll(x, shift, axis=(1, 2))]))
    runs = [network.maps(pair)]
    if pair.dtype != np.float64:
        runs.append(network.maps(pair.astype(np.float64)))
    stack = zip(network.layers, network.fields(), *runs, strict=True)
    for number, (layer, field, maps, *exact) in enumerate(stack, 1):
        yield _layer_audit(number, layer.kind, field, size, shift, maps, (exact or [maps])[0])


def _layer_audit(
    number: int, kind: str, field: Field, size: Pair, shift: Pair, maps: Array, exact: Array
) -> LayerAudit:
    """Return how far the maps (2, O, h, w) of an image and of the shifted one are apart."""
    moved = _moved(shift, field.jump)
    aligned = all(m * j == s for m, j, s in zip(moved, field.jump, shift, strict=True))
    found, true = (_difference(values, moved) for values in (maps, exact))
    inside = np.logical_and.outer(
        *(
            _inside(*axis)
            for axis in zip(
                maps.shape[2:], moved, size, shift, field.size, field.jump, field.start, strict=True
            )
        )
    )
    explained = np.where(inside & aligned, 0, true)
    parts = found, explained[:, ~inside], explained[:, inside], found - explained
    where = np.full(maps.shape[2:], np.nan)
    if found.size:
        where[tuple(_shifted(m) for m in moved)] = np.abs(found).max(axis=0)
    return LayerAudit(
        layer=number,
        kind=kind,
        output=(maps.shape[1], maps.shape[2], maps.shape[3]),
        jump=field.jump,
        moved=moved,
        aligned=aligned,
        inside=float(inside.mean()) if inside.size else math.nan,
        magnitude=float(np.abs(maps).max()),
        largest=Distances(*(_largest(part, found.size) for part in parts)),
        rms=Distances(*(_root_mean_square(part, found.size) for part in parts)),
        where=where,
    )


def _moved(shift: Pair, jump: Pair) -> Pair:
    """Return a shift in pixels of a map: to the nearest, halves towards zero."""
    rows, columns = (
        (1 if s > 0 else -1) * ((2 * abs(s) + j - 1) // (2 * j))
        for s, j in zip(shift, jump, strict=True)
    )
    return rows, columns


def _shifted(moved: int) -> slice:
    """Return which pixels of a shifted line were in it before."""
    return slice(moved, None) if moved >= 0 else slice(None, moved)


def _difference(maps: Array, moved: Pair) -> Array:
    """Return the maps of the shifted image minus the shifted maps, where both have pixels."""
    before, after = maps
    return (
        after[:, _shifted(moved[0]), _shifted(moved[1])]
        - before[:, _shifted(-moved[0]), _shifted(-moved[1])]
    )


def _inside(
    length: int, moved: int, size: int, shift: int, field: int, jump: int, start: int
) -> Array:
    """Tell of each compared pixel along an axis whether it sees only what both images have.

    length : of the map; size : of the image. The last three are of the receptive field.
    """
    first = start + np.arange(length)[_shifted(moved)] * jump
    same = (first >= max(0, shift)) & (first + field <= min(size, size + shift))
    before = first - moved * jump
    return same & (before >= 0) & (before + field <= size)


def _largest(part: Array, compared: int) -> float:
    return float(np.abs(part).max(initial=0)) if compared else math.nan


def _root_mean_square(part: Array, compared: int) -> float:
    """Return it over all pixels that are compared, so that the squares of the parts add up."""
    return math.sqrt(np.square(part, dtype=np.float64).sum() / compared) if compared else math.nan
