"""What explains a pair that no kernel does, found by trying it on a sample of the pixels."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.fitting import reading
from conv_cli.fitting.curves import Curved, best_curved, likeliest
from conv_cli.fitting.pairs import Pair, Size
from conv_cli.kernels.comparison import TURNS

Array = npt.NDArray[Any]
Name = Literal["tone", "light", "mix", "channels", "position", "geometry", "neighbours"]

_EXPLAINED = 1.3
"""Up to so many floors of error, a sample is explained."""
_SIDE = 240
"""Rows and columns of the middle on which ranks are tried."""
_ALIKE = 0.995
"""Share of pixels that a rank must make."""
_RANKS = {"median": 0.5, "minimum": 0.0, "maximum": 1.0}
_RANK_SIDES = 3, 5, 7


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


def cause_of(
    pairs: Sequence[Pair], floor: float, top: float, centre: Size = (0, 0)
) -> Cause | None:
    """Return what explains pairs of one channel each, or None.

    floor : float. The target's own error, root mean square.
    top : float. What white is.
    centre : (row, column). About which a kernel's window lies.
    """
    limit = _EXPLAINED * floor
    plain = best_curved(pairs, "plain", top, floor, centre=centre)
    if plain is None or plain.rmse <= limit:  # what no kernel makes is not among these pixels
        return None
    tried: tuple[Callable[[], Cause | None], ...] = (
        lambda: _curve(pairs, floor, top, limit, centre),
        lambda: rank_of(pairs[0]),
        lambda: _by_place(pairs, floor, top, limit, centre),
        lambda: _flipped(pairs, floor, top, limit),
    )
    return next((cause for attempt in tried if (cause := attempt()) is not None), None)


def _curve(
    pairs: Sequence[Pair], floor: float, top: float, limit: float, centre: Size
) -> Cause | None:
    kind = likeliest(pairs, top, centre)
    if kind == "plain":
        return None
    found = best_curved(pairs, kind, top, floor, centre=centre)
    if found is None or found.rmse > limit:
        return None
    kernel, error = _called(found, floor), f"to within {found.rmse:.3g} levels"
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


def rank_of(pair: Pair) -> Cause | None:
    """Return the median, minimum or maximum that makes the target."""
    if not pair.same_size or len(pair.x) != 1 or pair.stride != (1, 1):
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
            same = float((ranked[..., round(share * (side * side - 1))] == target).mean())
            if same >= _ALIKE:
                return Cause(
                    "neighbours",
                    f"the {name} of {side}x{side} pixels makes {same * 100:.4g} % of the pixels",
                )
    return None


def _by_place(
    pairs: Sequence[Pair], floor: float, top: float, limit: float, centre: Size
) -> Cause | None:
    """Return the kernels of two halves, or of alternating rows or columns."""
    for names, parts in _splits(pairs):
        found = []
        for part in parts:
            kernel = best_curved(part, "plain", top, floor, centre=centre)
            if kernel is None or kernel.rmse > limit:
                break
            found.append(kernel)
        else:
            first, second = (_called(kernel, floor) for kernel in found)
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


def _flipped(pairs: Sequence[Pair], floor: float, top: float, limit: float) -> Cause | None:
    """Return how the input lies to the target, and the kernel."""
    if not pairs[0].same_size:
        return None
    for number, (words, flip) in enumerate(TURNS.items()):
        turned = [pair._replace(x=np.ascontiguousarray(flip(pair.x))) for pair in pairs]
        if not all(pair.same_size for pair in turned):
            continue
        found = best_curved(turned, "plain", top, floor)
        if found is not None and found.rmse <= limit:
            return Cause(
                "geometry", f"the target is the input {words}, then {_called(found, floor)}", (),
                number,
            )  # fmt: skip
    return None
