"""The score of every place: zero-mean normalised cross-correlation with a pattern.

Σ w(T - T̄)(I - Ī) / √(Σ w(T - T̄)² · Σ w(I - Ī)²), with weighted means of each channel and sums over
all channels; Lewis (1995), "Fast normalized cross-correlation". The first factor sums to 0, so the
numerator is a correlation, by FFT on tiles that overlap. In the denominator Σ w(I - Ī)² is
Σ wI² - (Σ wI)² / Σw, exact in whole numbers; where floats cancel, windows are taken one by one.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.correlation.costs import Side, fft_points
from conv_cli.correlation.fft_sizes import SIDES
from conv_cli.correlation.support import holding
from conv_cli.finding.pattern import Pattern
from conv_cli.finding.source import Source, Values
from conv_cli.finding.sums import (
    box_sums,
    column_sums,
    row_sums,
    running_sums,
    spread,
    sums_between,
)
from conv_cli.parallel.scratch import Scratch, borrowed
from conv_cli.parallel.threads import share

Array = npt.NDArray[Any]
_F32, _F64 = np.dtype(np.float32), np.dtype(np.float64)
_CLOSE = 2e-5
"""What rounding may change a score by; what it may change by more is worked out anew."""
_ROUNDING = 10
"""Roundings of an FFT's values add up to so many units, at the most, of their root mean square."""
_CANCELLED = 1e-9
"""A sum of squares of which less is left has lost the digits that a score needs."""
_STRIP = 64 << 10
"""Places whose sums and roots are worked out at once, in a core's own cache."""
_FRAME = 1280
"""Longer sides of FFTs only make their arrays fall out of the cache."""
_MANY = 3
"""So many patterns are worth a table of running sums."""
_CHUNK = 4 << 20  # bytes of windows that are taken one by one


class Tile(NamedTuple):
    """Places that are scored at once: `top` and `left` with a margin, `rows` and `columns`.

    Only places within `inner`, (first row, row after the last, first column, column after the
    last) belong to this tile alone; the others are there to tell which of them are peaks.
    """

    top: int
    left: int
    bottom: int
    right: int
    inner: tuple[int, int, int, int]


class Layout(NamedTuple):
    """How places are cut into tiles.

    frame : (rows, columns) of the FFT
    tiles : list of Tile
    """

    frame: tuple[int, int]
    tiles: list[Tile]


def layout(image: tuple[int, int], smallest: tuple[int, int], largest: tuple[int, int]) -> Layout:
    """Return the tiles for patterns from one size to another, (rows, columns) each."""
    axes = [
        list(_sides(length, length - least + 1, most))
        for length, least, most in zip(image, smallest, largest, strict=True)
    ]
    down, across = min(product(*axes), key=lambda pair: fft_points(*pair))
    cuts = [
        [(max(0, n - 1), min(count, n + side.block + 1), n, min(count, n + side.block))
         for n in range(0, count, side.block)]
        for side, count in zip((down, across), _places(image, smallest), strict=True)
    ]  # fmt: skip
    tiles = [
        Tile(top, left, bottom, right, (first, stop, start, end))
        for top, bottom, first, stop in cuts[0]
        for left, right, start, end in cuts[1]
    ]
    return Layout((down.size, across.size), tiles)


def _sides(length: int, places: int, span: int) -> Iterator[Side]:
    """Yield the sides of FFTs that fit, and how many places of their own they give."""
    limit = max(_FRAME, 3.2 * span)
    some = False
    for size in SIDES:
        if size >= length and (size <= limit or not some):
            yield Side(size, places)
        if size >= length:
            return
        if size - span >= 32 and size <= limit:
            some = True
            yield Side(size, size - span - 2)


def _places(image: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    return image[0] - size[0] + 1, image[1] - size[1] + 1


Taker = Callable[[int, Tile, int, Array], None]
"""Is told the number of a tile, the tile, the number of a pattern, and the scores."""


def scan(
    source: Source, patterns: Sequence[Pattern], take: Taker, done: Callable[[float], None]
) -> None:
    """Score every place of an image by every pattern, on several threads.

    take : callable. Is given scores (rows, columns), float32, of the places of a tile that a
        pattern has, from several threads in any order; NaN where a window has such pixels. They
        are valid until it returns, and may be overwritten.
    done : callable. Is told shares of the work.
    """
    image = source.height, source.width
    groups = list(_size_classes(patterns))
    for group in groups:
        sizes = [patterns[number].size for number in group]
        smallest, largest = (
            (f(rows for rows, _ in sizes), f(columns for _, columns in sizes)) for f in (min, max)
        )
        frame, tiles = layout(image, smallest, largest)
        spectra = {number: Spectra(patterns[number], frame) for number in group}

        def worker(
            waiting: Iterator[tuple[int, Tile]],
            spectra: dict[int, Spectra] = spectra,
            frame: tuple[int, int] = frame,
            part: float = len(group) / len(patterns) / len(tiles),
            largest: tuple[int, int] = largest,
        ) -> None:
            with borrowed() as scratch, np.errstate(all="ignore"):
                for index, tile in waiting:
                    window = Window(source, tile, frame, largest, len(spectra), scratch)
                    for number, each in spectra.items():
                        rows, columns = _places(image, each.pattern.size)
                        shape = (
                            min(tile.bottom, rows) - tile.top,
                            min(tile.right, columns) - tile.left,
                        )
                        if min(shape) > 0:
                            take(index, tile, number, window.scores(each, shape))
                    done(part)

        share(worker, list(enumerate(tiles)))


def _size_classes(patterns: Sequence[Pattern]) -> Iterator[list[int]]:
    """Yield numbers of patterns that are near enough in size to share tiles."""
    order = sorted(range(len(patterns)), key=lambda n: max(patterns[n].size))
    group: list[int] = []
    for number in order:
        if group and max(patterns[number].size) > 1.6 * max(patterns[group[0]].size):
            yield group
            group = []
        group.append(number)
    yield group


class Spectra:
    """What a pattern is in an FFT of some size."""

    def __init__(self, pattern: Pattern, frame: tuple[int, int]) -> None:
        self.pattern, self._frame = pattern, frame
        self._single: Array | None = None
        self._double: Array | None = None
        weights = np.ones(pattern.size) if pattern.weights is None else pattern.weights
        levels = next((n for n in (1, 255) if _is_whole(weights * n)), None)
        self.whole = levels is not None
        self._scaled = np.rint(weights * levels) if levels else weights
        self.counts = float(self._scaled.sum())
        self._factor = float(np.sqrt(self.counts * (levels or 1)))
        self.norm = float(np.sqrt((pattern.kernel**2).sum())) * self._factor

    def kernel(self, dtype: np.dtype[Any]) -> Array:
        """Return the conjugate spectra (C, rows, columns) of the kernel."""
        if dtype == _F32:
            if self._single is None:
                self._single = self.kernel(_F64).astype(np.complex64)
                self._double = None
            return self._single
        if self._double is None:
            kernel = self.pattern.kernel * self._factor
            self._double = np.conj(np.fft.rfft2(kernel, self._frame))
        return self._double

    @cached_property
    def weights(self) -> Array:
        """The conjugate spectrum (rows, columns) of the weights, in whole numbers if possible."""
        return np.conj(np.fft.rfft2(self._scaled, self._frame))

    @cached_property
    def weights_norm(self) -> float:
        """The root of the sum of their squares."""
        return float(np.sqrt((self._scaled**2).sum()))


def _root_mean_square(values: Array) -> float:
    """Return that of a plane, or of what the planes (C, rows, columns) are together."""
    flat = values.reshape(-1)
    return float(np.sqrt(np.dot(flat, flat) / (values.shape[-1] * values.shape[-2])))


def _is_whole(values: Array) -> bool:
    return bool(np.abs(values - np.rint(values)).max() < 1e-9)


class Energy(NamedTuple):
    """Σ w(I - Ī)² of windows.

    values : ndarray, shape (rows, frame columns), float64. Times ``counts``; 0 where windows are
        even.
    doubtful : ndarray of bool of the same shape, or None. Where digits were lost.
    """

    values: Array
    doubtful: Array | None


class Window:
    """The pixels under a tile, their spectra, and the scores that they give."""

    def __init__(
        self,
        source: Source,
        tile: Tile,
        frame: tuple[int, int],
        largest: tuple[int, int],
        patterns: int,
        scratch: Scratch,
    ) -> None:
        self._source, self._frame, self._scratch = source, frame, scratch
        # Running sums leave out the last column of the frame.
        fits = tile.right - tile.left + largest[1] <= frame[1]
        self._shared = patterns >= _MANY and fits
        shape = (
            min(source.height, tile.bottom + largest[0] - 1) - tile.top,
            min(source.width, tile.right + largest[1] - 1) - tile.left,
        )
        self._read: Values = source.window(tile.top, tile.left, shape, frame, scratch)
        self._ready: set[str] = set()
        self._sizes: dict[str, float] = {}

    def scores(self, spectra: Spectra, shape: tuple[int, int]) -> Array:
        """Return the scores (rows, columns), float32, of so many places."""
        rows, columns = shape
        root, doubtful = self._roots(spectra, rows)
        least = float(root[:, :columns].min())
        if least == 0:
            root[root == 0] = np.inf
            least = float(root[:, :columns].min())
        values, error = self._numerator(spectra, rows, _F32)
        if error > _CLOSE * least:
            values, error = self._numerator(spectra, rows, _F64)
            if not self._source.whole:
                worse = error > _CLOSE * root
                doubtful = worse if doubtful is None else doubtful | worse
        result = self._scratch.array("scores", root.shape, _F32)
        np.divide(values, root, out=result, casting="unsafe")
        np.clip(result, -1, 1, out=result)
        scores = result[:, :columns]
        if doubtful is not None and doubtful.any():
            self._settle(scores, doubtful[:, :columns], spectra.pattern)
        if self._read.missing is not None:
            missing = holding(self._read.missing, spectra.pattern.support)[:rows, :columns]
            scores[missing] = np.nan
        return scores

    def _numerator(self, spectra: Spectra, rows: int, dtype: np.dtype[Any]) -> tuple[Array, float]:
        """Return the correlation (rows, frame columns) with the kernel, and what it may be off."""
        pixels, size = self._pixels(dtype)
        values = self._back(self._transformed(f"pixels {dtype.char}", pixels, dtype),
                            spectra.kernel(dtype), rows, dtype)  # fmt: skip
        result = _root_mean_square(values)
        return values, _ROUNDING * float(np.finfo(dtype).epsneg) * (result + size * spectra.norm)

    def _pixels(self, dtype: np.dtype[Any]) -> tuple[Array, float]:
        """Return the pixels less their mean, zeros around them, and their root mean square."""
        name = f"centred {dtype.char}"
        values, shape, centre, _ = self._read
        out = self._scratch.array(name, values.shape, dtype)
        if name not in self._ready:
            self._ready.add(name)
            np.copyto(out, values, casting="unsafe")
            for plane, middle in zip(out, centre, strict=True):
                plane[: shape[0], : shape[1]] -= dtype.type(middle)
            self._sizes[name] = _root_mean_square(out)
        return out, self._sizes[name]

    def _transformed(self, name: str, values: Array, dtype: np.dtype[Any]) -> Array:
        """Return the spectra (C, rows, columns) of arrays, made once for all patterns.

        Orthonormal both ways, without which numpy.fft goes through float64.
        """
        complex_type = np.result_type(dtype, np.complex64)
        shape = (*values.shape[:2], values.shape[2] // 2 + 1)
        out = self._scratch.array(f"spectra of {name}", shape, complex_type)
        if name not in self._ready:
            self._ready.add(name)
            np.fft.rfft(values, norm="ortho", out=out)
            np.fft.fft(out, axis=1, norm="ortho", out=out)
        return out

    def _back(self, spectra: Array, kernel: Array, rows: int, dtype: np.dtype[Any]) -> Array:
        """Return the correlations, summed over channels, as many rows of them as are asked for."""
        total = self._scratch.array("product", spectra.shape[1:], spectra.dtype)
        np.multiply(spectra[0], kernel[0], out=total)
        for channel, own in zip(spectra[1:], kernel[1:], strict=True):
            term = self._scratch.array("term", total.shape, spectra.dtype)
            total += np.multiply(channel, own, out=term)
        np.fft.ifft(total, axis=0, norm="ortho", out=total)
        values = self._scratch.array("correlation", (rows, self._frame[1]), dtype)
        return np.fft.irfft(total[:rows], self._frame[1], norm="ortho", out=values)

    def _roots(self, spectra: Spectra, rows: int) -> tuple[Array, Array | None]:
        """Return √(Σw·Σ w(I - Ī)²) of windows, and which of them have lost the digits for it.

        The roots (rows, frame columns) are float32, 0 where windows are even or in doubt.
        """
        root = self._scratch.array("root", (rows, self._frame[1]), _F32)
        if spectra.pattern.weights is None and self._source.whole:
            self._whole_roots(spectra, root)
            return root, None
        energy = self._weighted_energy if spectra.pattern.weights is not None else self._box_energy
        values, doubtful = energy(spectra, rows)
        np.sqrt(values, out=root, casting="unsafe")
        return root, doubtful

    def _box_energy(self, spectra: Spectra, rows: int) -> Energy:
        """Return n·Σ(I - Ī)² of boxes of floats."""
        scratch, size = self._scratch, spectra.pattern.size
        total = scratch.array("energy", (rows, self._frame[1]), _F64)
        whole = scratch.array("energy of squares", total.shape, _F64)
        total[...] = whole[...] = 0
        for values, squared in zip(self._read.values, self._squares(_F64), strict=True):
            squares = box_sums(squared, size, rows, scratch, "squares")
            sums = box_sums(values, size, rows, scratch, "sums")
            whole += squares
            total += squares
            total -= sums * sums / spectra.counts
        doubtful = total <= _CANCELLED * whole
        total[doubtful] = 0
        return Energy(np.multiply(total, spectra.counts, out=total), doubtful)

    def _whole_roots(self, spectra: Spectra, root: Array) -> None:
        """Write √(n·Σ(I - Ī)²) of boxes of whole numbers, exact but for the last rounding."""
        count, top, scratch = spectra.counts, self._source.top, self._scratch
        bits = 31 if count * top * top < 2.0**31 else 32 if count * top * top < 2.0**32 else 64
        dtype = np.dtype({31: np.int32, 32: np.uint32, 64: np.int64}[bits])
        values = self._read.values if count * top < 2.0**31 else self._read.values.astype(np.int64)
        boxes = [
            (self._boxes(f"sums {n}", plane, spectra.pattern.size, len(root)),
             self._boxes(f"squares {n}", squared, spectra.pattern.size, len(root)))
            for n, (plane, squared) in enumerate(zip(values, self._squares(dtype), strict=True))
        ]  # fmt: skip
        step = max(1, _STRIP // root.shape[1])
        for start in range(0, len(root), step):
            strip = slice(start, min(start + step, len(root)))
            for n, (sums, squares) in enumerate(boxes):
                part = spread(count, sums(strip), squares(strip), (count * top) ** 2, scratch)
                if n:
                    root[strip] += part
                else:
                    np.copyto(root[strip], part, casting="unsafe")
            np.sqrt(root[strip], out=root[strip])

    def _boxes(
        self, name: str, values: Array, size: tuple[int, int], rows: int
    ) -> Callable[[slice], Array]:
        """Return what gives the sums of boxes that begin in some of so many rows.

        Many patterns share a table of running sums; one is faster without.
        """
        scratch, part = self._scratch, f"strip of {name}"
        if not self._shared:
            down = column_sums(values, size[0], rows, scratch, name)
            return lambda strip: row_sums(down[strip], size[1], scratch, part)
        key = f"{name} table {values.dtype.char}"
        table = scratch.array(key, (len(values) + 1, values.shape[1]), values.dtype)
        if key not in self._ready:
            self._ready.add(key)
            running_sums(values, table)
        return lambda strip: sums_between(table, size, strip, scratch, part)

    def _squares(self, dtype: np.dtype[Any]) -> Array:
        name = f"squared {dtype.char}"
        out = self._scratch.array(name, self._read.values.shape, dtype)
        if name not in self._ready:
            self._ready.add(name)
            values = self._read.values
            if dtype.itemsize == values.dtype.itemsize:
                np.multiply(values, values, out=out.view(values.dtype))
            else:
                np.copyto(out, values)
                np.multiply(out, out, out=out)
        return out

    def _weighted_energy(self, spectra: Spectra, rows: int) -> Energy:
        """Return Σw·Σ w(I - Ī)²: by FFT, in float64, rounded where all numbers are whole."""
        scratch = self._scratch
        pixels, size = self._pixels(_F64)
        squared = scratch.array("centred squares", (1, *self._frame), _F64)
        if "centred squares" not in self._ready:
            self._ready.add("centred squares")
            np.einsum("chw,chw->hw", pixels, pixels, out=squared[0])
            self._sizes["squares"] = _root_mean_square(squared)
        kernel, rounding = spectra.weights[None], _ROUNDING * 2.0**-53
        first = self._transformed("pixels d", pixels, _F64)
        second = self._transformed("squares d", squared, _F64)
        total = scratch.array("energy", (rows, self._frame[1]), _F64)
        np.copyto(total, self._back(second, kernel, rows, _F64))
        off = rounding * (_root_mean_square(total) + self._sizes["squares"] * spectra.weights_norm)
        exact = self._source.whole and spectra.whole and off < 0.1
        if exact:
            np.rint(total, out=total)
        total *= spectra.counts
        doubt = spectra.counts * off
        for plane in first:
            sums = self._back(plane[None], kernel, rows, _F64)
            if exact:
                np.rint(sums, out=sums)
            else:
                largest = float(max(sums.max(), -sums.min()))
                doubt += 2 * largest * rounding * (largest + size * spectra.weights_norm)
            np.multiply(sums, sums, out=sums)
            total -= sums
        if exact:
            return Energy(total, None)
        doubtful = total * (_CANCELLED * 1e4) <= doubt
        total[doubtful] = 0
        return Energy(total, doubtful)

    def _settle(self, scores: Array, doubtful: Array, pattern: Pattern) -> None:
        """Work out windows one by one where the sums of all have lost the digits for them."""
        values = self._read.values
        rows, columns = pattern.size
        places = np.argwhere(doubtful & ~self._is_even(pattern.size, scores.shape))
        scores[doubtful] = 0
        windows = np.lib.stride_tricks.sliding_window_view(values, (rows, columns), (1, 2))
        weights = np.ones(pattern.size) if pattern.weights is None else pattern.weights
        share_of = weights / weights.sum()
        step = max(1, _CHUNK // (8 * values.shape[0] * rows * columns))
        for start in range(0, len(places), step):
            row, column = places[start : start + step].T
            part = windows[:, row, column].astype(np.float64)
            part *= weights > 0
            some = part[..., pattern.support]
            low = some.min(axis=-1)
            part -= low[..., None, None]
            part -= np.einsum("cnhw,hw->cn", part, share_of)[..., None, None]
            energy = np.einsum("cnhw,cnhw,hw->n", part, part, weights)
            products = np.einsum("cnhw,chw->n", part, pattern.kernel)
            energy[(some.max(axis=-1) == low).all(axis=0)] = 0
            found = np.divide(
                products, np.sqrt(energy), out=np.zeros(len(part[0])), where=energy > 0
            )
            scores[row, column] = np.clip(found, -1, 1)

    def _is_even(self, size: tuple[int, int], shape: tuple[int, int]) -> Array:
        """Tell which boxes have no pixel that differs from its neighbour, in any channel."""
        values = self._read.values[:, : shape[0] + size[0] - 1, : shape[1] + size[1] - 1]
        uneven = np.zeros(shape, bool)
        for axis in (1, 2):
            support = np.ones((size[0] - (axis == 1), size[1] - (axis == 2)), bool)
            if support.size:
                differs = (np.diff(values, axis=axis) != 0).any(axis=0)
                uneven |= holding(differs, support)
        return ~uneven
