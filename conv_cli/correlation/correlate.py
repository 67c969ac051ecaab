"""The only door to a correlation: pad, plan, tiles, engine.

The image is cut into tiles of output. Each is read with its border, converted, correlated and
handed on while it is in cache, on as many threads as asked for. Tiles depend on the shapes alone,
so every number of threads gives the same bits.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from conv_cli.borders import Border, PaddedImage, Padding, Span
from conv_cli.correlation import direct, fft, gemm, separable
from conv_cli.correlation.plan import Pair, Plan, Problem, choose_plan, whole_numbers
from conv_cli.correlation.scratch import Scratch
from conv_cli.errors import ConvError

ENGINES: dict[str, Any] = {"direct": direct, "gemm": gemm, "separable": separable, "fft": fft}
_SCRATCH = Scratch()

Pixels = npt.NDArray[Any]
Store = Callable[[Pixels, Span, Span], None]
"""Takes a tile's values (N, O, rows, columns) and the rows and columns of output they belong to.
Called from several threads; the values are valid until it returns."""


@dataclass(frozen=True)
class Source:
    """Where the pixels come from: an image (N, C, H, W), and a pointwise map on the way in.

    Attributes
    ----------
    pixels : ndarray, shape (N, C, H, W)
        Any real dtype, any strides.
    load : callable or None
        (N, C, h, w) -> (N', C', h, w), applied to every tile and to the border's constant.
    shape : (N', C', H, W)
        After ``load``.
    dtype : numpy.dtype
        After ``load``.
    """

    pixels: Pixels
    load: Callable[[Pixels], Pixels] | None
    shape: tuple[int, int, int, int]
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, pixels: Pixels, load: Callable[[Pixels], Pixels] | None = None) -> "Source":
        """Return the source of an image (N, C, H, W), its shape and dtype found by a trial."""
        sample = pixels[..., :1, :1] if load is None else load(pixels[..., :1, :1])
        return cls(pixels, load, (*sample.shape[:2], *pixels.shape[2:]), sample.dtype)


def state_problem(
    source: Source,
    weights: Pixels,
    *,
    padding: Padding = ((0, 0), (0, 0)),
    border: Border,
    stride: Pair = (1, 1),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Problem:
    """Return the problem of correlating a source with weights (O, C/groups, kh, kw).

    Raises
    ------
    ConvError
        If the shapes do not fit together.
    """
    batch, channels, height, width = source.shape
    outputs, group_channels, rows, columns = weights.shape
    if channels % groups or outputs % groups or channels // groups != group_channels:
        raise ConvError(
            f"weights of shape {weights.shape} with groups={groups} do not fit an image of "
            f"{channels} channels; expected {channels}/groups channels in each weight and a "
            "multiple of groups outputs"
        )
    if 0 in source.shape:
        raise ConvError(f"the image has shape {source.shape}; it must not be empty")
    kind = source.dtype.kind
    whole = kind in "bui" and whole_numbers(weights) and border.value == int(border.value)
    low, high = _reach(source, weights, border) if whole else (0, 0)
    dtype = np.dtype(np.uint8) if kind == "b" else source.dtype
    return Problem(
        batch=batch,
        channels=channels,
        height=height,
        width=width,
        outputs=outputs,
        kernel=(rows, columns),
        groups=groups,
        stride=stride,
        dilation=dilation,
        padding=padding,
        dtype=dtype if whole else np.result_type(dtype, np.float32),
        whole=whole,
        balance=_balance(weights),
        low=low,
        high=high,
        terms=int(np.count_nonzero(weights)),
        separable=group_channels == 1 and all(separable.factors(k) for k in weights[:, 0]),
    )


def _balance(weights: Pixels) -> float:
    """Return the least |sum| / sum of magnitudes among the outputs; 1 where all weights are 0."""
    flat = weights.reshape(len(weights), -1).astype(np.float64)
    magnitudes = np.abs(flat).sum(axis=1)
    shares = np.divide(
        np.abs(flat.sum(axis=1)), magnitudes, out=np.ones(len(flat)), where=magnitudes > 0
    )
    return float(shares.min())


def _reach(source: Source, weights: Pixels, border: Border) -> tuple[int, int]:
    """Return the least and the greatest sum that whole numbers can reach, by dtype if it suffices.

    Both ends of the range of a pixel lie around 0, so a part of a sum never goes beyond the whole.
    """
    if source.dtype.kind == "b":
        least, greatest = 0, 1
    elif source.dtype.itemsize < 8:
        info = np.iinfo(source.dtype)
        least, greatest = int(info.min), int(info.max)
    else:
        least, greatest = min(int(source.pixels.min()), 0), max(int(source.pixels.max()), 0)
    least, greatest = min(least, int(border.value)), max(greatest, int(border.value))
    flat = weights.reshape(len(weights), -1).astype(np.float64)
    if np.abs(flat).sum() * max(-least, greatest) >= 2**53:
        flat = weights.reshape(len(weights), -1).astype(np.int64).astype(object)
    plus, minus = np.maximum(flat, 0).sum(axis=1), np.minimum(flat, 0).sum(axis=1)
    low, high = plus * least + minus * greatest, plus * greatest + minus * least
    return int(low.min()), int(high.max())


def correlate(
    source: Source,
    weights: Pixels,
    problem: Problem,
    border: Border,
    store: Store,
    *,
    plan: Plan | None = None,
    threads: int | None = None,
) -> Plan:
    """Correlate a source with weights (O, C/groups, kh, kw) and hand every tile to ``store``.

    A weight of zero reads nothing: a NaN under it stays out of the sum.

    Parameters
    ----------
    problem
        From ``state_problem``.
    plan
        From ``choose_plan``, the default; another one for tests and measurements.
    threads
        All cores by default.

    Returns
    -------
    Plan
        The one that was followed.

    Raises
    ------
    ConvError
        If whole numbers could exceed 64 bits.
    """
    plan = plan or choose_plan(problem)
    engine = ENGINES[plan.strategy]
    prepared = engine.prepare(weights, problem, plan)
    image = PaddedImage(source.pixels, problem.padding, border, source.load)

    def work(tile: tuple[Span, Span]) -> None:
        rows, columns = tile
        # Infinity times the zero of a band, or less itself, is NaN by design and no cause to warn.
        with np.errstate(all="ignore"):
            window = _read_window(image, rows, columns, problem, plan)
            values = engine.run(window, prepared, problem, plan, _SCRATCH)
            if source.dtype.kind == "f" and not np.isfinite(values).all():
                values = _without_spreading(window, weights, problem, plan)
            store(values, rows, columns)

    _for_each(work, list(_tiles(problem, plan)), threads)
    return plan


def _read_window(
    image: PaddedImage, rows: Span, columns: Span, problem: Problem, plan: Plan
) -> Pixels:
    """Return the padded input of a tile, in the dtype of the plan."""
    size = problem.window((rows[1] - rows[0], columns[1] - columns[0]))
    top, left = rows[0] * problem.stride[0], columns[0] * problem.stride[1]
    window = _SCRATCH.array("window", (problem.batch, problem.channels, *size), plan.dtype)
    image.read((top, top + size[0]), (left, left + size[1]), window)
    return window


def _without_spreading(window: Pixels, weights: Pixels, problem: Problem, plan: Plan) -> Pixels:
    """Return a tile by shift-and-add: the zeros of a band spread NaN and infinity over it."""
    plan = replace(plan, strategy="direct")
    return direct.run(window, direct.prepare(weights, problem, plan), problem, plan, _SCRATCH)


def _tiles(problem: Problem, plan: Plan) -> Iterator[tuple[Span, Span]]:
    spans = (
        [(start, min(start + step, size)) for start in range(0, size, step)]
        for size, step in zip(problem.output, plan.tile, strict=True)
    )
    return product(*spans)  # type: ignore[return-value]


def available_threads() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _for_each(
    work: Callable[[tuple[Span, Span]], None], tiles: list[tuple[Span, Span]], threads: int | None
) -> None:
    threads = min(threads or available_threads(), len(tiles))
    if threads == 1:
        for tile in tiles:
            work(tile)
        return
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(work, tile) for tile in tiles]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
