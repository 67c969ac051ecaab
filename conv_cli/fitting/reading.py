"""Reading a kernel that was found: simple fractions, a built-in's name, the border."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.borders import NAMES, Border, PaddedImage
from conv_cli.errors import KernelError
from conv_cli.fitting.pairs import Pair, Window
from conv_cli.fitting.solve import Solution
from conv_cli.kernels.catalogue import CATALOGUE, built_in
from conv_cli.kernels.family import FamilySet
from conv_cli.kernels.kernel import Kernel
from conv_cli.kernels.rational import Rational
from conv_cli.layers import conv2d

Array = npt.NDArray[Any]

_ERRORS = 4.0
"""Standard errors within which a weight may be something else."""
_ALIKE = 3e-4
"""What other tools' own rounding may do to a weight."""
_BY_CHANCE = 0.25
"""Fractions are looked for as long as no more than so many weights would be one by chance."""
_TOOLS, _OUTSIDE = 3e-4, 0.05
"""What other tools' own rounding may do to a weight of 0..1; and the share of the largest weight
that may lie outside of the kernel."""
_NARROWINGS = 5
_MOST = 4096
_RIM = 0.97


def rational(weights: Array, errors: Array) -> Rational | None:
    """Return weights (kh, kw) as fractions with the smallest divisor within their errors, or None.

    None also where the errors are so large that any weights would fit.
    """
    if not np.isfinite(errors).all():
        return None
    largest = max(1.0, float(np.abs(weights).max()))
    allowed = _ERRORS * errors + max(min(_ALIKE, 10 * float(errors.max())), 1e-6) * largest
    for divisor in range(1, _MOST):
        numerators = np.rint(weights * divisor)
        off = np.abs(weights - numerators / divisor) / allowed
        # No weight may be far off, nor all of them by half as much.
        if off.max() <= 1 and np.square(off).mean() <= 0.25:
            return Rational(numerators + 0.0, divisor)  # -0 is 0
        if 2 * allowed.min() * divisor > _BY_CHANCE:
            break
    return None


def match(
    weights: Array, errors: Array, window: Window, bias: float, tolerance: float
) -> tuple[str | None, str | None]:
    """Return the built-in with these weights, and the one that has them flipped, or None.

    window : Window. Where the weights lie, the shift undone.
    tolerance : float. By how much the bias may differ.
    """
    if not np.isfinite(errors).all():
        return None, None
    found = Kernel(weights, bias, _inside(window), "found")
    allowed = _ERRORS * np.pad(errors, 0) + _ALIKE * max(1.0, float(np.abs(weights).max()))
    flipped = None
    for name, kernel in _candidates(found):
        if abs(kernel.bias - bias) > tolerance:
            continue
        if _same(found, allowed, kernel, window):
            return name, None
        if flipped is None and _same(found, allowed, kernel.flipped(), window):
            flipped = name
    return None, flipped


class Named(NamedTuple):
    """A built-in that a kernel may be.

    spec : str. The KERNEL string.
    chi2 : float. (w - b)ᵀ C⁻¹ (w - b), C the covariance of the weights w, over the point that 999
        of 1000 such sums lie below: up to 1 the kernel may be it.
    largest : float. Of the differences between weights.
    """

    spec: str
    chi2: float
    largest: float

    @property
    def passes(self) -> bool:
        """The kernel may be it."""
        return self.chi2 <= 1


def names(
    weights: Array, precision: Array, window: Window, bias: float, tolerance: float
) -> list[Named]:
    """Return all built-ins that a kernel may be, or the nearest alone; the likeliest first.

    precision : ndarray, shape (p, p). The inverse of the covariance of the weights.
    window : Window. Where the weights lie, the shift undone.
    tolerance : float. By how much the bias may differ.
    """
    found = Kernel(weights, bias, _inside(window), "found")
    limit = _limit(weights.size)
    judged: dict[str, Named] = {}
    for spec, kernel in (*_candidates(found), *_gaussians(found, precision, window)):
        differences = _differences(found, kernel, window)
        if differences is not None and abs(kernel.bias - bias) <= tolerance:
            off, left = differences
            chi2 = min(float(each @ precision @ each) for each in (off, left))
            judged[spec] = Named(spec, chi2 / limit, float(np.abs(off).max()))
    ordered = sorted(judged.values(), key=lambda name: name.chi2)
    passing = [name for name in ordered if name.passes]
    return passing or ordered[:1]


def apart(weights: Array, window: Window, spec: str) -> float:
    """Return the largest difference between weights and a built-in, by its largest weight."""
    other = built_in(spec)[0]
    differences = _differences(Kernel(weights, 0.0, _inside(window), "found"), other, window)
    if differences is None:
        return math.inf
    return float(np.abs(differences[0]).max()) / float(np.abs(other.weights).max())


def _limit(count: int) -> float:
    """Return what 999 of 1000 sums of squares of so many normal variables lie below.

    By Wilson and Hilferty (1931).
    """
    part = 2 / (9 * count)
    return count * (1 - part + 3.09 * math.sqrt(part)) ** 3


def _differences(found: Kernel, other: Kernel, window: Window) -> tuple[Array, Array] | None:
    """Return weights less those of another, as a vector, and what of it is not to be expected.

    Other tools round, and weights that were cut off at the rim show in those inside. None if a
    large one was cut off.
    """
    frame = Window(-other.origin[0], -other.origin[1], *other.shape)
    common = frame.clipped(window)
    if min(common.size) <= 0:
        return None
    outside = np.abs(other.weights)
    outside[common.within(frame)] = 0
    if outside.max() > _OUTSIDE * float(np.abs(other.weights).max()):
        return None
    difference = found.weights.copy()
    difference[common.within(window)] -= other.weights[common.within(frame)]
    off = difference.ravel()
    expected = max(_TOOLS, float(outside.max()))
    return off, np.sign(off) * np.maximum(np.abs(off) - expected, 0)


def _gaussians(found: Kernel, precision: Array, window: Window) -> Iterator[tuple[str, Kernel]]:
    """Yield the Gaussian of the standard deviation that suits, with as few digits as do."""
    if float(found.weights.sum()) < 0.5 or found.weights.size < 9:
        return

    def error(sigma: float) -> float:
        differences = _differences(found, built_in(f"gaussian:sigma={sigma:.6g}")[0], window)
        if differences is None:
            return math.inf
        return min(float(each @ precision @ each) for each in differences)

    low, high = 0.3, max(found.shape) / 2
    for _ in range(_NARROWINGS):
        tried = np.geomspace(low, high, 9)
        best = int(np.argmin([error(sigma) for sigma in tried]))
        low, high = float(tried[max(best - 1, 0)]), float(tried[min(best + 1, 8)])
    sigma = math.sqrt(low * high)
    for digits in (1, 2, 3, 4):
        spec = f"gaussian:sigma={sigma:.{digits}g}"
        yield spec, built_in(spec)[0]


def _inside(window: Window) -> tuple[int, int]:
    row, column = -window.top, -window.left
    return min(max(row, 0), window.rows - 1), min(max(column, 0), window.columns - 1)


def _same(found: Kernel, allowed: Array, other: Kernel, window: Window) -> bool:
    """Tell whether two kernels have the same weights at the same places, zeros left out."""
    top, left = -other.origin[0], -other.origin[1]
    first = min(top, window.top), min(left, window.left)
    last = (
        max(top + other.shape[0], window.top + window.rows),
        max(left + other.shape[1], window.left + window.columns),
    )
    if max(last[0] - first[0], last[1] - first[1]) > 4 * max(*other.shape, *window.size):
        return False
    difference = np.zeros((last[0] - first[0], last[1] - first[1]))
    limits = np.full(difference.shape, float(allowed.max()))
    mine = window.within(Window(*first, *difference.shape))
    theirs = Window(top, left, *other.shape).within(Window(*first, *difference.shape))
    difference[mine] += found.weights
    limits[mine] = allowed
    difference[theirs] -= other.weights
    return bool((np.abs(difference) <= limits).all())


def _candidates(found: Kernel) -> Iterator[tuple[str, Kernel]]:
    """Yield built-ins: all as they are, and those with parameters that the weights suggest."""
    for name, entry in CATALOGUE.items():
        if not isinstance(entry, FamilySet):
            yield name, built_in(name)[0]
    for spec in _suggested(found):
        try:
            yield spec, built_in(spec)[0]
        except KernelError:  # a parameter outside its range
            continue


def _suggested(found: Kernel) -> Iterator[str]:
    weights, (rows, columns) = found.weights, found.shape
    yield f"box:{rows}" if rows == columns else f"box:{rows}x{columns}"
    yield f"binomial:{rows}" if rows == columns else f"binomial:{rows}x{columns}"
    if rows == 1:
        yield f"motion:{columns}"
    if columns == 1:
        yield f"motion:{rows},90"
    if (rows, columns) == (3, 3):
        yield f"sharpen:{_short(-float(weights[0, 1]))}"
        yield "laplacian:8"
    yield from (f"disk:{radius / 2:g}" for radius in range(rows - 2, rows + 2) if radius > 0)
    spread = _spread(weights)
    if spread is not None:
        for digits in (1, 2, 3):
            sigma = f"{spread:.{digits}g}"
            yield f"gaussian:sigma={sigma}"
            for side in range(max(rows, columns) | 1, max(rows, columns) + 12, 2):
                yield f"gaussian:sigma={sigma},size={side}"


def _short(value: float) -> str:
    return f"{value:.3g}"


def _spread(weights: Array) -> float | None:
    """Return the standard deviation of positive weights about their middle, cut tails allowed for.

    Neighbours in the middle of a Gaussian tell it: w₀/w₁ = exp(1/2σ²).
    """
    profile = weights.sum(axis=0 if weights.shape[1] >= weights.shape[0] else 1)
    middle = len(profile) // 2
    if len(profile) < 3 or len(profile) % 2 == 0 or not 0 < profile[middle + 1] < profile[middle]:
        return None
    return float(np.sqrt(0.5 / np.log(profile[middle] / profile[middle + 1])))


def border(
    pairs: Sequence[Pair], window: Window, solution: Solution, tolerance: float
) -> str | None:
    """Return the border mode, or the constant, that explains the rim of the targets; or None.

    tolerance : float. How far off a pixel may be.
    """
    extent = with_own_place(window)
    rims = [rim for pair in pairs for rim in _rims(pair, extent)]
    if not rims:
        return NAMES[0]
    weights = np.zeros((len(pairs[0].y), len(pairs[0].x), *extent.size))
    shape = (len(pairs[0].y), len(pairs[0].x), *window.size)
    weights[:, :, *window.within(extent)] = solution.weights.T.reshape(shape)
    shares = {}
    for mode in (*NAMES, _constant(rims, extent, weights, solution.bias)):
        if mode is not None and mode not in shares:
            shares[mode] = _explained(rims, extent, weights, solution.bias, mode, tolerance)
    best = max(shares, key=lambda mode: shares[mode])
    return best if shares[best] >= _RIM else None


class _Rim(NamedTuple):
    """Output rows and columns whose windows leave the image, or those across from them."""

    pair: Pair
    rows: slice
    columns: slice


def with_own_place(window: Window) -> Window:
    """Return the window, grown so that it holds the target pixel's own place."""
    top, left = min(window.top, 0), min(window.left, 0)
    bottom, right = max(window.top + window.rows, 1), max(window.left + window.columns, 1)
    return Window(top, left, bottom - top, right - left)


def _rims(pair: Pair, extent: Window) -> Iterator[_Rim]:
    height, width = pair.y.shape[1:]
    # As wide on both sides: a tool that leaves a rim as it was does so all around.
    down = -(-max(-extent.top, extent.top + extent.rows - 1) // pair.stride[0])
    across = -(-max(-extent.left, extent.left + extent.columns - 1) // pair.stride[1])
    top, bottom = min(down, height), max(height - down, 0)
    left, right = min(across, width), max(width - across, 0)
    for rows, columns in (
        (slice(0, top), slice(0, width)),
        (slice(bottom, height), slice(0, width)),
        (slice(top, bottom), slice(0, left)),
        (slice(top, bottom), slice(right, width)),
    ):
        if rows.start < rows.stop and columns.start < columns.stop:
            yield _Rim(pair, rows, columns)


def _predicted(rim: _Rim, extent: Window, weights: Array, bias: Array, mode: str) -> Array:
    """Return what the kernel makes of a rim (D, h, w) with a border."""
    padding = (
        (-extent.top, extent.top + extent.rows - 1),
        (-extent.left, extent.left + extent.columns - 1),
    )
    padded = PaddedImage(rim.pair.x[None], padding, Border.named(mode))
    (down, across), stride = extent.size, rim.pair.stride
    rows = rim.rows.start * stride[0], (rim.rows.stop - 1) * stride[0] + down
    columns = rim.columns.start * stride[1], (rim.columns.stop - 1) * stride[1] + across
    read = np.empty((1, len(rim.pair.x), rows[1] - rows[0], columns[1] - columns[0]))
    padded.read(rows, columns, read)
    return conv2d(read[0], weights, bias, stride=stride)


def _explained(
    rims: Sequence[_Rim], extent: Window, weights: Array, bias: Array, mode: str, tolerance: float
) -> float:
    """Return the share of the rims' pixels that a border explains."""
    near = count = 0
    for rim in rims:
        target = rim.pair.y[:, rim.rows, rim.columns]
        ends = rim.pair.ends[rim.rows, rim.columns]
        difference = _predicted(rim, extent, weights, bias, mode) - target
        # Where the target was clipped, what is predicted may lie beyond.
        beyond = ends & (np.sign(difference) == np.where(target > 0, 1, -1))
        counts = (rim.pair.usable[rim.rows, rim.columns] | ends) & np.ones(target.shape, bool)
        near += int((((np.abs(difference) <= tolerance) | beyond) & counts).sum())
        count += int(counts.sum())
    return near / max(count, 1)


def _constant(rims: Sequence[_Rim], extent: Window, weights: Array, bias: Array) -> str | None:
    """Return the constant border that fits best, as the name of a border."""
    slopes, rests = [], []
    for rim in rims:
        usable = rim.pair.usable[rim.rows, rim.columns]
        none = _predicted(rim, extent, weights, bias, "0")
        slopes.append((_predicted(rim, extent, weights, bias, "1") - none)[:, usable].ravel())
        rests.append((rim.pair.y[:, rim.rows, rim.columns] - none)[:, usable].ravel())
    slope, rest = np.concatenate(slopes), np.concatenate(rests)
    energy = float(slope @ slope)
    if energy <= 1e-9 * max(slope.size, 1):
        return None
    value = float(slope @ rest) / energy
    near = round(value)
    return f"{near if abs(value - near) < 0.3 else value:g}"
