"""What there is to know of a kernel: sums, ranges, symmetry, rank, frequency response, cost."""

import math
from typing import Any, NamedTuple

import numpy as np

from conv_cli.borders import Border
from conv_cli.correlation.factors import whole_factors
from conv_cli.correlation.plan import choose_plan
from conv_cli.correlation.problem import Source, state_problem
from conv_cli.errors import ConvError, KernelError
from conv_cli.kernels.kernel import Kernel, Weights

_WHITE = 255
_IMAGE = (3000, 4000)
"""Rows and columns of the grey 8-bit image that costs are told for."""
_SAME = 1e-12
_LARGEST = 1e150
_LEAST_GRID, _MOST_GRID = 128, 1 << 23
_HIGH, _MIDDLE = 0.35, 0.1
"""Cycles a pixel from which a frequency counts as high, and as middle; 0.5 is the highest."""
_PASSED, _STOPPED = 0.99, 0.05
"""Shares of the strongest response that count as all of it, and as nothing."""


class Response(NamedTuple):
    """How strongly waves come through, by their frequency.

    kind : "all-pass", "low-pass", "high-pass", "band-pass", "boost" for what keeps an even surface
        and lifts finer waves, "band-stop" or "none".
    mean : the gain of an even surface: the sum of the weights.
    peak : the largest gain of any wave.
    row_frequency, column_frequency : of that wave, in cycles a pixel down and to the right, 0…0.5.
    cutoff : for a low-pass, the frequency along the axis where the gain falls below half the peak.
    turns : whether the gains are the same with rows and columns exchanged.
    """

    kind: str
    mean: float
    peak: float
    row_frequency: float
    column_frequency: float
    cutoff: float | None
    turns: bool

    @property
    def words(self) -> str:
        """The response as a sentence."""
        even = f"an even surface times {self.mean:.4g}"
        wave = f"waves {_direction(self)} times {self.peak:.4g}"
        match self.kind:
            case "none":
                return "none: nothing comes through"
            case "all-pass":
                return f"all-pass: every wave times {self.peak:.4g}"
            case "low-pass":
                if self.cutoff is None:
                    return f"low-pass: {even}"
                return f"low-pass: {even}, half of it at waves of {1 / self.cutoff:.3g} pixels"
            case "boost":
                return f"boosts detail: {even}, {wave}"
            case "band-stop":
                return f"mixed: {even}, {wave}"
        return f"{self.kind}: strongest for {wave}"


class Facts(NamedTuple):
    """All that ``kernels show`` tells.

    sum, positive, negative : of the weights, of those above and of those below 0.
    low, high : the least and the greatest result for pixels of 0…255, bias included.
    symmetry : what leaves the weights as they are, or changes their sign only, in words.
    rank : the least number of columns times rows that the kernel is a sum of.
    factors : for rank 1, the column and the row that do the same one after the other.
    costs : the planner's estimates for a grey 8-bit image of 4000×3000 on one core, by strategy in
        milliseconds, cheapest first; none for whole numbers so large that 64 bits do not hold the
        result.
    """

    sum: float
    positive: float
    negative: float
    low: float
    high: float
    symmetry: tuple[str, ...]
    rank: int
    factors: tuple[list[float], list[float]] | None
    response: Response
    costs: tuple[tuple[str, float], ...]


def kernel_facts(kernel: Kernel) -> Facts:
    """Return what there is to know of a kernel.

    Raises KernelError if its weights are so large that sums of them exceed float64.
    """
    weights = kernel.weights
    if np.abs(weights).max() > _LARGEST:
        raise KernelError(
            f"kernel {kernel.name}: weights beyond {_LARGEST:g} cannot be summed; scale it down"
        )
    positive = float(np.maximum(weights, 0).sum())
    negative = float(np.minimum(weights, 0).sum())
    rank = int(np.linalg.matrix_rank(weights, tol=_SAME * np.linalg.norm(weights)))
    return Facts(
        sum=float(weights.sum()),
        positive=positive,
        negative=negative,
        low=kernel.bias + _WHITE * negative,
        high=kernel.bias + _WHITE * positive,
        symmetry=symmetries(weights),
        rank=rank,
        factors=_factors(weights) if rank == 1 else None,
        response=frequency_response(weights),
        costs=_costs(weights),
    )


_MOVES: dict[str, Any] = {
    "left to right": np.fliplr,
    "top to bottom": np.flipud,
    "by half a turn": lambda weights: weights[::-1, ::-1],
    "across the diagonal": np.transpose,
}


def symmetries(weights: Weights) -> tuple[str, ...]:
    """Return in words which mirrorings leave the weights, or only change their sign."""
    if not weights.any():
        return ("zero",)
    tolerance = _SAME * float(np.abs(weights).max())
    found = []
    for words, move in _MOVES.items():
        moved = move(weights)
        if moved.shape != weights.shape:
            continue
        if np.abs(moved - weights).max() <= tolerance:
            found.append(f"symmetric {words}")
        elif np.abs(moved + weights).max() <= tolerance:
            found.append(f"antisymmetric {words}")
    return tuple(found)


def frequency_response(weights: Weights) -> Response:
    """Return what the kernel lets through, judged on the gains of its Fourier transform."""
    shape = tuple(max(_LEAST_GRID, size) if size > 1 else 1 for size in weights.shape)
    if math.prod(shape) > _MOST_GRID:  # as many frequencies as weights are enough
        shape = weights.shape
    gains = np.abs(np.fft.rfft2(weights, shape))
    rows = np.abs(np.fft.fftfreq(shape[0]))
    columns = np.asarray(np.fft.rfftfreq(shape[1]), np.float64)
    mean, peak = float(weights.sum()), float(gains.max())
    # Rounded, so that of equal gains the lowest frequency is found first.
    first = int(np.round(gains / (peak or 1.0), 9).argmax())
    row, column = np.unravel_index(first, gains.shape)
    frequencies = float(rows[row]), float(columns[column])
    kind = _kind(gains, max(frequencies))
    cutoff = _cutoff(gains, rows, columns) if kind == "low-pass" else None
    turns = any("across the diagonal" in words for words in symmetries(weights))
    return Response(kind, mean, peak, *frequencies, cutoff, turns)


def _kind(gains: Weights, strongest: float) -> str:
    """Return the kind of a response, whose strongest wave has that frequency along an axis."""
    most = float(gains.max())
    if most == 0:
        return "none"
    if float(gains.min()) / most >= _PASSED:
        return "all-pass"
    even = float(gains[0, 0]) / most
    if even >= _PASSED:
        return "low-pass"
    if even <= _STOPPED:
        return "high-pass" if strongest >= _HIGH else "band-pass"
    return "boost" if strongest >= _MIDDLE else "band-stop"


def _cutoff(gains: Weights, rows: Weights, columns: Weights) -> float | None:
    """Return the lowest frequency along an axis at which the gain is less than half, None if none.

    Every frequency down is there twice, mirrored, and that is as good.
    """
    half = gains[0, 0] / 2
    low = [*rows[gains[:, 0] < half].tolist(), *columns[gains[0] < half].tolist()]
    return min(low, default=None)


def _direction(response: Response) -> str:
    """Return the period of the strongest wave, and its direction, in words."""
    row, column = response.row_frequency, response.column_frequency
    frequency = float(np.hypot(row, column))
    if frequency == 0:
        return "of no end"
    if 0 in (row, column):
        both = ["from left to right", "from top to bottom"]
        direction = " or ".join(both) if response.turns else both[row > 0]
    else:
        direction = "across the diagonal" if row == column else "at a slant"
    return f"of {1 / frequency:.3g} pixels {direction}"


def _factors(weights: Weights) -> tuple[list[float], list[float]]:
    """Return the column and the row of a kernel of rank 1, in whole numbers if it has those."""
    whole = whole_factors(weights) if np.array_equal(weights, np.rint(weights)) else None
    if whole is not None:
        column, row = whole[0]
        return column.tolist(), row.tolist()
    i, j = np.unravel_index(int(np.abs(weights).argmax()), weights.shape)
    row, column = weights[i], weights[:, j] / weights[i, j]
    return column.tolist(), row.tolist()


def _costs(weights: Weights) -> tuple[tuple[str, float], ...]:
    pixels = np.broadcast_to(np.uint8(0), (1, 1, *_IMAGE))
    rows, columns = weights.shape
    padding = ((rows - 1, 0), (columns - 1, 0))
    try:
        with np.errstate(invalid="ignore"):  # of whole numbers that no integer holds
            problem = state_problem(
                Source.of(pixels), weights[None, None], padding=padding, border=Border("edge")
            )
        return choose_plan(problem).costs
    except ConvError:  # whole numbers beyond 64 bits
        return ()
