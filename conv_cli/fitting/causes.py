"""What explains a pair that no kernel does, found by trying it on a sample of the pixels."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.fitting import reading
from conv_cli.fitting.curves import Curved, best_curved, likeliest
from conv_cli.fitting.geometry import placed
from conv_cli.fitting.misfit import Misfit, misfit
from conv_cli.fitting.pairs import Pair, Size
from conv_cli.fitting.shift import estimated_shift
from conv_cli.kernels.comparison import TURNS

Array = npt.NDArray[Any]
Name = Literal["tone", "light", "mix", "channels", "position", "geometry", "neighbours"]

_EXPLAINED = 1.3
"""Up to so many floors of error, a sample is explained."""
_MOST, _LEAST = 0.8, 0.01
"""Of what the picture predicts of a kernel's error, and of the error itself: what a model that
explains a pair with noise makes good at least."""
_SIDE = 240
"""Rows and columns of the middle on which ranks are tried."""
_ALIKE = 0.995
"""Share of pixels that a rank must make."""
_RANKS = {"median": 0.5, "minimum": 0.0, "maximum": 1.0}
_RANK_SIDES = 3, 5, 7
_STRAIGHT = 0.2
"""Ranks whose error goes to one side by more than this share of it do not make the target."""
_NOISE_LIKE = 0.5
"""Half of the pixels are off by more than this share of the error where that is noise."""
_ROUGH_SIZE, _NEARER = (5, 5), 0.7
"""How the input lies is tried with this size first, which must leave less of the error."""


_MUCH_NEARER = 0.5
"""A picture that lies otherwise leaves no more of the error than this once it is laid right."""
_LEAST_ANGLE, _LEAST_SCALE = 0.02, 3e-4
"""Degrees, and share, below which a picture is not turned or scaled to speak of."""


class Cause(NamedTuple):
    """What explains a pair in place of one kernel.

    words : str. One sentence, with figures.
    options : tuple of str. With these `fit` explains the pair, or a part of it; none if no options
        do.
    flip : int or None. Number among ``comparison.TURNS`` of how the input is to be turned first.
    """

    name: Name
    words: str
    options: tuple[str, ...] = ()
    flip: int | None = None


class Scale(NamedTuple):
    """What a model is judged by.

    floor : float. The target's own error, root mean square.
    top : float. What white is.
    plain : float. The error of a kernel alone.
    misfit : float. The share of its square that the picture predicts.
    """

    floor: float
    top: float
    plain: float
    misfit: float

    def better(self, error: float) -> bool:
        """Tell whether an error leaves no more than noise would, as far as one number tells."""
        share = 1 - (error / self.plain) ** 2
        return error <= _EXPLAINED * self.floor or share >= max(_MOST * self.misfit, _LEAST)

    def explained(self, pairs: Sequence[Pair], found: Curved | None) -> bool:
        """Tell whether what a model leaves over is the target's own error, or noise."""
        if found is None or not self.better(found.rmse):
            return False
        return self.leaves_noise(pairs, found)

    def leaves_noise(self, pairs: Sequence[Pair], found: Curved) -> bool:
        """Tell whether nothing in the picture predicts what a model leaves over."""
        if found.rmse <= _EXPLAINED * self.floor:
            return True
        return misfit(pairs, found.window, found.made).is_noise(found.r2)


def cause_of(
    pairs: Sequence[Pair], floor: float, top: float, left: Misfit, centre: Size = (0, 0)
) -> Cause | None:
    """Return what explains pairs of one channel each, or None.

    floor : float. The target's own error, root mean square.
    top : float. What white is.
    left : Misfit. What predicts what the best kernel leaves over.
    centre : (row, column). About which a kernel's window lies.
    """
    plain = best_curved(pairs, "plain", top, floor, centre=centre)
    # What no kernel makes may not be among these pixels.
    if plain is None or plain.rmse <= _EXPLAINED * floor:
        return None
    scale = Scale(floor, top, plain.rmse, left.share)
    tried: tuple[Callable[[], Cause | None], ...] = (
        lambda: _curve(pairs, scale, centre),
        lambda: rank_of(pairs[0], scale),
        lambda: _by_place(pairs, scale, centre),
        lambda: _flipped(pairs, scale),
        lambda: _turned(pairs, scale),
    )
    return next((cause for attempt in tried if (cause := attempt()) is not None), None)


def _curve(pairs: Sequence[Pair], scale: Scale, centre: Size) -> Cause | None:
    kind = likeliest(pairs, scale.top, centre)
    if kind == "plain":
        return None
    found = best_curved(pairs, kind, scale.top, scale.floor, centre=centre)
    if found is None or not scale.explained(pairs, found):
        return None
    kernel, error = _called(found, scale.floor), f"to within {found.rmse:.3g} levels"
    if kind == "light":
        return Cause("light", f"{kernel} in linear light explains the pair {error}", ("--linear",))
    where = "after" if kind == "after" else "before"
    return Cause("tone", f"{kernel} and a curve {where} it explain the pair {error}", ("--tone",))


def _called(found: Curved, floor: float) -> str:
    """Return the built-in that a kernel is, or its size."""
    errors = np.sqrt(found.variances[:-1].reshape(found.weights.shape)) * found.rmse
    weights, bias = found.weights, found.bias
    if found.kind == "before" or found.kind == "after":
        weights, bias = weights / (weights.sum() or 1.0), 0.0
    name, _ = reading.match(weights, errors, found.window, bias, 2 * floor)
    return f"`{name}`" if name else f"a kernel of {found.window.rows}x{found.window.columns}"


def rank_of(pair: Pair, scale: Scale) -> Cause | None:
    """Return the median, minimum or maximum that makes the target."""
    if not pair.same_size or len(pair.x) != 1:
        return None
    height, width = pair.y.shape[1:]
    rows, columns = (slice(max(n - _SIDE, 0) // 2, (n + _SIDE) // 2) for n in (height, width))
    before, after = pair.x[0, rows, columns], pair.y[0, rows, columns]
    for side in _RANK_SIDES:
        if min(before.shape) <= 2 * side:
            break
        windows = np.lib.stride_tricks.sliding_window_view(before, (side, side))
        ranked = np.sort(windows.reshape(*windows.shape[:2], -1), axis=-1)
        margin = side // 2
        target = after[margin : margin + len(ranked), margin : margin + ranked.shape[1]]
        for name, share in _RANKS.items():
            off = target - ranked[..., round(share * (side * side - 1))]
            same, error = float((off == 0).mean()), float(np.sqrt(np.square(off).mean()))
            makes = f"the {name} of {side}x{side} pixels makes"
            if same >= _ALIKE:
                return Cause("neighbours", f"{makes} {same * 100:.4g} % of the pixels")
            even = float(np.median(np.abs(off))) > _NOISE_LIKE * error
            if even and scale.better(error) and abs(float(off.mean())) < _STRAIGHT * error:
                return Cause("neighbours", f"{makes} the target but for {error:.3g} levels")
    return None


def _by_place(pairs: Sequence[Pair], scale: Scale, centre: Size) -> Cause | None:
    """Return the kernels of two halves, or of alternating rows or columns."""
    for names, parts in _splits(pairs):
        found = [
            best_curved(part, "plain", scale.top, scale.floor, centre=centre) for part in parts
        ]
        kernels = [kernel for kernel in found if kernel is not None]
        if len(kernels) < len(parts):
            continue
        error = math.sqrt(sum(kernel.rmse**2 for kernel in kernels) / len(kernels))
        most = max(kernel.rmse for kernel in kernels)
        if most > _EXPLAINED * scale.floor and not (
            scale.better(error) and all(map(scale.leaves_noise, parts, kernels))
        ):
            continue
        first, second = (_called(kernel, scale.floor) for kernel in kernels)
        if first == second:
            first, second = (f"{word} with weights of its own" for word in (first, second))
        region = _region(pairs[0], names[0])
        return Cause(
            "position",
            f"{names[0]} is {first}, {names[1]} {second}",
            ("--region", region) if region else (),
        )
    return None


def _splits(pairs: Sequence[Pair]) -> Iterator[tuple[tuple[str, str], list[list[Pair]]]]:
    """Yield what two parts of a picture are called, and pairs in which only that part counts."""
    yield ("the left half", "the right half"), _parted(pairs, 1, _is_early)
    yield ("the top half", "the bottom half"), _parted(pairs, 0, _is_early)
    yield ("every second row", "the other rows"), _parted(pairs, 0, _is_odd)
    yield ("every second column", "the other columns"), _parted(pairs, 1, _is_odd)


def _is_early(places: Array) -> Array:
    return places < places.size / 2


def _is_odd(places: Array) -> Array:
    return places % 2 == 1


def _parted(pairs: Sequence[Pair], axis: int, first: Callable[[Array], Array]) -> list[list[Pair]]:
    """Return the pairs twice: with the first rows (axis 0) or columns alone, and with the rest."""

    def inside(pair: Pair) -> Array:
        count = pair.y.shape[1 + axis]
        return first(np.arange(count).reshape((-1, 1) if axis == 0 else (1, -1)))

    return [
        [pair._replace(usable=pair.usable & (inside(pair) == wanted)) for pair in pairs]
        for wanted in (True, False)
    ]


def _region(pair: Pair, name: str) -> str:
    """Return the window of a half, as --region takes it; "" of rows and columns."""
    height, width = pair.y.shape[1:]
    if name == "the left half":
        return f"0,0,{height}x{-(-width // 2)}"
    return f"0,0,{-(-height // 2)}x{width}" if name == "the top half" else ""


def _flipped(pairs: Sequence[Pair], scale: Scale) -> Cause | None:
    """Return how the input lies to the target, and the kernel."""
    if not pairs[0].same_size:
        return None
    for number, (words, flip) in enumerate(TURNS.items()):
        turned = [pair._replace(x=np.ascontiguousarray(flip(pair.x))) for pair in pairs]
        if not all(pair.same_size for pair in turned):
            continue
        centre = estimated_shift(turned)
        rough = best_curved(turned, "plain", scale.top, scale.floor, _ROUGH_SIZE, centre)
        if rough is None or not rough.rmse < _NEARER * scale.plain:
            continue
        found = best_curved(turned, "plain", scale.top, scale.floor, centre=centre)
        if found is not None and scale.explained(turned, found):
            return Cause(
                "geometry", f"the target is the input {words}, then {_called(found, scale.floor)}",
                (), number,
            )  # fmt: skip
    return None


def _turned(pairs: Sequence[Pair], scale: Scale) -> Cause | None:
    """Return by what angle and scale the input was laid on the target.

    Between pixels tools interpolate in ways of their own, so that a kernel makes most, not all.
    """
    found = placed(pairs[0])
    if found is None:
        return None
    near = best_curved([found.pair], "plain", scale.top, scale.floor)
    if near is None or not near.rmse < _MUCH_NEARER * scale.plain:
        return None
    how = [f"turned by {abs(found.angle):.3g}° to the {'left' if found.angle > 0 else 'right'}"]
    how = how if abs(found.angle) >= _LEAST_ANGLE else []
    if abs(found.scale - 1) >= _LEAST_SCALE:
        how.append(f"scaled by {found.scale:.4g}")
    laid = " and ".join(how) or "moved by a part of a pixel, or bent"
    return Cause(
        "geometry",
        f"the target is the input {laid}, which leaves {near.rmse:.3g} levels of {scale.plain:.3g}",
    )
