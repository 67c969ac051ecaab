"""fit_kernel: from pairs of images to a kernel, and what may be said of it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.colors import white
from conv_cli.errors import FitError
from conv_cli.fitting import reading
from conv_cli.fitting.descent import descended
from conv_cli.fitting.normal import Normal, sampled
from conv_cli.fitting.pairs import Pair, Size, Window, prepared
from conv_cli.fitting.refine import error, predicted, refined
from conv_cli.fitting.rejection import without_wild
from conv_cli.fitting.shift import estimated_shift
from conv_cli.fitting.sizes import Scores, chosen_window, grown, placed
from conv_cli.fitting.solve import Certainty, Solution, certainty, solved
from conv_cli.fitting.verdict import EXACT, Verdict, graded, lacking, unexplained
from conv_cli.kernels.kernel import Kernel

Array = npt.NDArray[Any]
Method = Literal["exact", "gd"]
Channels = Literal["shared", "each", "mix"]
Recode = Callable[[int, Array], Array]
Watch = Callable[[int, float, Array], None]

_ROUNDING = 1 / math.sqrt(12)
"""Standard deviation of what rounding to whole numbers adds."""
_FLOAT_FLOOR = 1e-6
_EPOCHS = 100
_ORDER: tuple[Verdict, ...] = ("exact", "good", "poor", "underdetermined")
_NEAR = 4
"""Windows about a pixel's own place hold kernels that are moved by no more than this."""


@dataclass(frozen=True, eq=False)
class Fit:
    """A kernel that was learned, and how far it is to be trusted.

    Attributes
    ----------
    weights : ndarray, float64
        Shape (kh, kw); (C, kh, kw) for one kernel a channel; (C', C, kh, kw) for a mix, the
        target's channels first.
    bias : float or tuple of float
        In the target's units; one for each channel of the target, unless a kernel is shared.
    origin : (row, column)
        The weight that lies on the target pixel, once the shift is undone.
    rmse, r2, psnr : float
        Over pixels that nothing was learned from, in the target's units; the share of the target's
        variance that is explained; decibels.
    noise_floor : float
        The target's own error: 1/√12 of a level for whole numbers, that of its codec for lossy
        files, 10⁻⁶ of the range for floats.
    verdict : str
        "exact" up to 1.1 floors, "good" up to 3, "poor" above, or "underdetermined".
    reason : str
        The verdict in words.
    condition : float
        The largest by the least eigenvalue of the normal equations.
    stderr : ndarray
        Standard error of each weight.
    clipped, rejected : float
        Shares of target pixels that are left out: at an end of their range; as no kernel made them.
    border : str or None
        The border mode, or constant, that explains the rim.
    rational : Rational or None
        The weights as whole numbers with one divisor.
    match, turned_match : str or None
        The built-in with these weights; the one that has them turned by 180°.
    shift : (row, column)
        What the target is moved by against the input.
    pairs, pixels : int
        Pairs of images, and pixels learned from or tested with.
    method : str
    losses : tuple of float
        Mean squared error after each epoch of gradient descent, in the target's units.
    exact_weights : ndarray or None
        Least squares' answer beside that of gradient descent.
    valid : bool
        The target is what ``valid`` filtering leaves of the input.
    sizes : tuple of ((rows, columns), error)
        Held-out root-mean-square error of the windows that were tried.
    """

    weights: Array
    bias: float | tuple[float, ...]
    origin: Size
    rmse: float
    r2: float
    psnr: float
    noise_floor: float
    verdict: Verdict
    reason: str
    condition: float
    stderr: Array
    clipped: float
    rejected: float
    border: str | None
    rational: "reading.Rational | None"
    match: str | None
    turned_match: str | None
    shift: Size
    pairs: int
    pixels: int
    method: Method
    losses: tuple[float, ...] = ()
    exact_weights: Array | None = None
    valid: bool = False
    sizes: tuple[tuple[Size, float], ...] = ()
    window: Window = field(default=Window(0, 0, 1, 1), repr=False)

    @property
    def size(self) -> Size:
        """Rows and columns of the kernel."""
        rows, columns = self.weights.shape[-2:]
        return rows, columns

    @property
    def kernel(self) -> Kernel:
        """The kernel, shift left out.

        Raises
        ------
        FitError
            If there are several: one a channel, or a mix.
        """
        if self.weights.ndim != 2:
            raise FitError("fit: there is more than one kernel; use weights and bias")
        return Kernel(self.weights, float(np.ravel(self.bias)[0]), self.origin, "fit")

    @property
    def applicable(self) -> Kernel:
        """The kernel that makes the target of the input, shift included, by zeros around it."""
        if self.shift == (0, 0):
            return self.kernel
        reach = reading.with_own_place(self.window)
        weights = np.zeros(reach.size)
        weights[self.window.within(reach)] = self.weights
        return Kernel(weights, self.kernel.bias, (-reach.top, -reach.left), "fit")

    def as_dict(self) -> dict[str, Any]:
        """Return what ``--json`` prints: plain values, null for what is infinite or unknown."""
        fractions = self.rational
        return {
            "kernel": self.weights.tolist(),
            "bias": self.bias if isinstance(self.bias, float) else list(self.bias),
            "origin": list(self.origin),
            "size": list(self.size),
            "rmse": _finite(self.rmse),
            "r2": _finite(self.r2),
            "psnr": _finite(self.psnr),
            "noise_floor": self.noise_floor,
            "verdict": self.verdict,
            "reason": self.reason,
            "condition": _finite(self.condition),
            "stderr": _finite_list(self.stderr),
            "clipped": self.clipped,
            "rejected": self.rejected,
            "border": self.border,
            "rational": fractions and {**fractions._asdict()},
            "match": self.match,
            "turned_match": self.turned_match,
            "shift": list(self.shift),
            "pairs": self.pairs,
            "pixels": self.pixels,
            "method": self.method,
            "losses": list(self.losses),
        }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _finite_list(values: Any) -> Any:
    if isinstance(values, np.ndarray):
        values = values.tolist()
    return [_finite_list(v) for v in values] if isinstance(values, list) else _finite(values)


class Settings(NamedTuple):
    """How to learn."""

    size: Size | None = None
    bias: bool = True
    ridge: float = 0.0
    method: Method = "exact"
    epochs: int = _EPOCHS
    rate: float | None = None
    seed: int = 0
    watch: Watch | None = None


def fit_kernel(
    x: Any,
    y: Any,
    size: int | Sequence[int] | Literal["auto"] = "auto",
    *,
    bias: bool = True,
    method: Method = "exact",
    channels: Channels = "shared",
    ridge: float = 0.0,
    epochs: int = _EPOCHS,
    lr: float | None = None,
    seed: int = 0,
    names: Sequence[str] | None = None,
    recode: Recode | None = None,
    watch: Watch | None = None,
) -> Fit:
    """Return the kernel and bias that turn x into y, with a verdict.

    Least squares over the pixels whose whole window lies in the input, but for saturated ones and
    for those that nothing linear can have made (dust, a watermark).

    Parameters
    ----------
    x, y : array_like of shape (H, W) or (H, W, C), or lists of such arrays
        Before and after, in their own units. Two or four channels end in opacity. One size, or y
        as small as valid filtering leaves x. A target of 8 or 16 bits is taken to be clipped.
    size : int, (rows, columns) or "auto"
        "auto": the smallest whose error over held-out pixels is no worse than any larger one's.
    bias : bool
        Learn a constant too.
    method : str
        "exact", or "gd": gradient descent on the squared error from a random start.
    channels : str
        "shared": one kernel. "each": one a channel. "mix": every channel of y from all of x.
    ridge : float, 0 or more
        What a unit of squared weight adds to the mean squared error.
    epochs, lr, seed
        Of gradient descent. Each epoch takes `lr` times the gradient of the summed squared error,
        pixels counted in white. None: a rate that suits the pixels, which are decorrelated.
    names : sequence of str, optional
        What errors call the pairs.
    recode : callable, optional
        For targets from lossy files: is given the number of a pair and a prediction (H, W) or
        (H, W, C), and returns it as it comes back from the codec.
    watch : callable, optional
        Is told of each epoch: its number, the loss, and the weights.

    Raises
    ------
    FitError
        If the images do not go together, or cannot be fitted at all.
    """
    befores, afters = (list(i) if _several(i) else [i] for i in (x, y))
    if len(befores) != len(afters) or not befores:
        raise FitError(f"{len(befores)} inputs and {len(afters)} targets; give as many of each")
    names = names or [f"pair {number}" for number in range(1, len(befores) + 1)]
    if len(befores) == 1 and names == ["pair 1"]:
        names = ["pair"]
    chosen = None if size == "auto" else (size, size) if isinstance(size, int) else tuple(size)
    if chosen is not None and (len(chosen) != 2 or min(chosen) < 1):
        raise FitError(f"size {size} is no number of rows and columns")
    settings = Settings(chosen, bias, ridge, method, epochs, lr, seed, watch)  # type: ignore[arg-type]
    mixed = channels == "mix"
    planes = [
        prepared(before, after, mixed=mixed, name=name)
        for before, after, name in zip(befores, afters, names, strict=True)
    ]
    if len({len(some) if not mixed else some[0].y.shape[0] for some in planes}) > 1:
        raise FitError(f"{names[-1]}: the pairs have different numbers of channels; fit them alone")
    target = np.asarray(afters[0])
    if channels == "each":
        return _each(planes, settings, target, recode)
    pairs = [pair for some in planes for pair in some]
    coder = recode and _Coder(recode, planes)
    return _Fitting(pairs, settings, target, coder, len(planes)).result()


def _several(images: Any) -> bool:
    """Tell a list of images from one image as nested lists."""
    return isinstance(images, list | tuple) and all(np.ndim(image) >= 2 for image in images)


class _Coder:
    """Codec of the targets, on planes."""

    def __init__(self, recode: Recode, planes: Sequence[Sequence[Pair]]) -> None:
        self._recode, self._planes = recode, planes

    def floor(self, window: Window, solution: Solution) -> float:
        """Return the error, root mean square, that the codec leaves in what is foretold."""
        squares = count = 0.0
        for number, pairs in enumerate(self._planes):
            foretold, regions = zip(*(predicted(p, window, solution) for p in pairs), strict=True)
            maps = np.concatenate(foretold)
            # Beyond the region the target itself stands in, which the codec has been through.
            whole = np.concatenate([pair.y for pair in pairs]).astype(np.float64)
            whole[:, *regions[0]] = maps
            levels = np.clip(np.rint(whole), 0, 255).astype(np.uint8)
            image = levels[0] if len(levels) == 1 else levels.transpose(1, 2, 0)
            decoded = np.atleast_3d(self._recode(number, image)).transpose(2, 0, 1)
            usable = np.stack([p.usable[regions[0]] for p in pairs for _ in p.y])
            off = (decoded.astype(np.float64)[:, *regions[0]] - maps)[usable]
            squares, count = squares + float(off @ off), count + off.size
        return math.sqrt(squares / count) if count else 0.0


class _Learned(NamedTuple):
    """A window with its best kernel, and the mean squared error over held-out pixels."""

    window: Window
    solution: Solution
    normal: Normal
    around: Normal
    rmse: float
    r2: float
    sizes: tuple[tuple[Size, float], ...]


class _Fitting:
    """One fit, step by step.

    Parameters
    ----------
    pairs : sequence of Pair
        Each with the same channels.
    settings : Settings
    target : ndarray
        The first target as it was given: its dtype tells the units.
    coder : _Coder or None
    images : int
        Pairs of images; these may have several planes.
    """

    def __init__(
        self,
        pairs: list[Pair],
        settings: Settings,
        target: Array,
        coder: _Coder | None,
        images: int,
    ) -> None:
        self._given = [_with_two_values(pair) for pair in pairs]
        self._pairs = self._given
        self._settings, self._coder, self._images = settings, coder, images
        self._valid = self._missing()
        whole = target.dtype.kind in "bui"
        values = np.concatenate([pair.y[:, pair.usable].ravel() for pair in self._given])
        self._range = float(np.ptp(values)) if len(values) else 0.0
        self._peak = white(target.dtype) if whole and target.dtype.kind != "b" else self._range or 1
        self._unit = white(target.dtype) if whole and target.dtype.itemsize <= 2 else 1.0
        self._floor = _ROUNDING if whole else _FLOAT_FLOOR * (self._range or 1.0)

    def _missing(self) -> Size | None:
        """Return what valid filtering has taken off, the same of all pairs, or None."""
        first = self._given[0]
        for pair in self._given:
            if pair.missing != first.missing:
                raise FitError(
                    f"{pair.name}: the target is {_by(pair.missing)} smaller than the input, that "
                    f"of {first.name} {_by(first.missing)}; fit them alone"
                )
        if first.same_size:
            return None
        size = first.missing[0] + 1, first.missing[1] + 1
        if self._settings.size not in (None, size):
            raise FitError(
                f"{first.name}: the target is {_by(first.missing)} smaller than the input, as a "
                f"kernel of {_by(size)} leaves it; use --size {_by(size)} or auto"
            )
        return size

    def result(self) -> Fit:
        """Return the fit."""
        if self._range == 0:
            return self._flat()
        best = self._explained()
        sure = self._certainty(best.normal)
        reason = lacking(
            best.around, self._certainty(best.around), self._floor, bias=self._settings.bias
        )
        verdict: Verdict = graded(best.rmse, self._floor)
        if reason:
            verdict = "underdetermined"
        elif verdict != "poor":
            reason = unexplained(self._given, self._pairs, best.window, best.solution, self._floor)
            verdict = "poor" if reason else verdict
        exact, losses = best.solution, ()
        if self._settings.method == "gd":
            best, losses = self._descended(best)
        return self._told(best, sure, verdict, reason, exact, losses)

    def _explained(self) -> _Learned:
        """Return the best kernel: of all pixels, about a shifted place, or of those it explains."""
        centre = estimated_shift(self._given) if self._valid is None else (0, 0)
        centres = [centre, (0, 0)] if max(map(abs, centre)) > _NEAR else [(0, 0)]
        best = self._learned(centres[0])
        if self._coder is not None:
            self._floor = max(self._coder.floor(best.window, best.solution), self._floor)
        if self._off(best) and len(centres) > 1:
            best = min(best, self._learned(centres[1]), key=lambda learned: learned.rmse)
        if self._off(best) and self._has_wild(best):
            for centre in _centres(best.window):
                cleaned = without_wild(self._given, self._floor, centre)
                if cleaned is None:
                    continue
                self._pairs = cleaned
                learned = self._learned(centre)
                if not self._off(learned):
                    return learned
                self._pairs = self._given
        return best

    def _has_wild(self, learned: _Learned) -> bool:
        """Tell whether any pixel is further off than a target's own error can be."""
        limit = 8 * self._floor
        for pair in self._pairs:
            foretold, region = predicted(pair, learned.window, learned.solution)
            off = np.abs(pair.y[:, *region] - foretold).max(axis=0)
            if (off[pair.usable[region]] > limit).any():
                return True
        return False

    def _off(self, learned: _Learned) -> bool:
        return not learned.rmse <= EXACT * self._floor

    def _learned(self, centre: Size) -> _Learned:
        """Return the best window about a place, and its kernel."""
        options = {"bias": self._settings.bias, "ridge": self._settings.ridge}
        size, sizes = self._valid or self._settings.size, ()
        if size is None:
            window, scores, found = chosen_window(self._pairs, self._floor, centre, **options)
            around = scores.train.cut(grown(window).clipped(scores.window))
            return self._solved(window, around, tuple(found))
        window = Window(0, 0, *size) if self._valid else Window.around(size, centre)
        self._check_size(window)
        best = self._solved(window, None, sizes)
        if self._valid is None and self._off(best):
            outer = Window.around((size[0] + 4, size[1] + 4), centre)
            if _there(self._pairs, outer):
                scores = Scores(self._pairs, outer, self._floor, **options)
                better = placed(scores, size, centre)
                best = best if better == window else self._solved(better, None, sizes)
        return best

    def _check_size(self, window: Window) -> None:
        if not _there(self._given, window):
            smallest = min((pair.x.shape[1:] for pair in self._given), key=min)
            raise FitError(
                f"{self._given[0].name}: no pixel of {_by(smallest)} has a whole window of "
                f"{_by(window.size)} around it; use a smaller --size or larger pictures"
            )

    def _solved(self, window: Window, around: Normal | None, sizes: Any) -> _Learned:
        settings = self._settings
        normal = sampled(self._pairs, window, held=False)
        start = solved(normal, bias=settings.bias, ridge=settings.ridge)
        solution = refined(self._pairs, start, normal, bias=settings.bias, ridge=settings.ridge)
        return self._scored(
            _Learned(window, solution, normal, normal if around is None else around, 0, 0, sizes)
        )

    def _scored(self, learned: _Learned) -> _Learned:
        off = error(self._pairs, learned.window, learned.solution, held=True)
        if not off.count:
            off = error(self._pairs, learned.window, learned.solution, held=False)
        r2 = 1 - off.squares / off.deviations if off.deviations else float("nan")
        return learned._replace(rmse=math.sqrt(off.mean) if off.count else float("nan"), r2=r2)

    def _certainty(self, normal: Normal) -> Certainty:
        used = sum(int((p.usable & ~p.held)[p.region(normal.window)].sum()) for p in self._pairs)
        share = min(normal.pixels / max(used, 1), 1.0)
        return certainty(normal, bias=self._settings.bias, ridge=self._settings.ridge, share=share)

    def _descended(self, best: _Learned) -> tuple[_Learned, tuple[float, ...]]:
        settings = self._settings
        end = descended(
            best.normal,
            bias=settings.bias,
            epochs=settings.epochs,
            rate=settings.rate,
            seed=settings.seed,
            unit=self._unit,
            watch=settings.watch,
        )
        return self._scored(best._replace(solution=end.solution)), tuple(end.losses)

    def _told(
        self,
        best: _Learned,
        sure: Certainty,
        verdict: Verdict,
        reason: str,
        exact: Solution,
        losses: tuple[float, ...],
    ) -> Fit:
        window, shape = best.window, self._shape(best.window)
        weights = best.solution.weights.T.reshape(shape)
        spread = np.sqrt(sure.variances) * best.rmse
        errors = np.broadcast_to(spread, best.solution.weights.T.shape).reshape(shape)
        origin, shift = _origin(window, self._valid is not None)
        known = verdict in ("exact", "good") and len(shape) == 2
        unmoved = window._replace(top=-origin[0], left=-origin[1])
        # Halves rounded up move the mean by a quarter, truncation by a half.
        named = (
            reading.match(weights, errors, unmoved, float(best.solution.bias[0]), 2 * self._floor)
            if known
            else (None, None)
        )
        given = sum(pair.ends.size for pair in self._given)
        usable = sum(int(pair.usable[pair.region(window)].sum()) for pair in self._given)
        pixels = sum(int(pair.usable[pair.region(window)].sum()) for pair in self._pairs)
        return Fit(
            weights=weights,
            bias=float(best.solution.bias[0]) if len(shape) == 2 else tuple(best.solution.bias),
            origin=origin,
            rmse=best.rmse,
            r2=best.r2,
            psnr=20 * math.log10(self._peak / best.rmse) if best.rmse > 0 else float("inf"),
            noise_floor=self._floor,
            verdict=verdict,
            reason=reason or _words(verdict, best.r2),
            condition=sure.condition,
            stderr=errors,
            clipped=sum(int(pair.ends.sum()) for pair in self._given) / given,
            rejected=1 - pixels / max(usable, 1) if self._pairs is not self._given else 0.0,
            border=self._border(best) if verdict in ("exact", "good") else None,
            rational=reading.rational(weights, errors) if known else None,
            match=named[0],
            turned_match=named[1],
            shift=shift,
            pairs=self._images,
            pixels=pixels,
            method=self._settings.method,
            losses=losses,
            exact_weights=exact.weights.T.reshape(shape) if losses else None,
            valid=self._valid is not None,
            sizes=best.sizes,
            window=window,
        )

    def _shape(self, window: Window) -> tuple[int, ...]:
        outputs, inputs = len(self._given[0].y), len(self._given[0].x)
        return window.size if outputs == inputs == 1 else (outputs, inputs, *window.size)

    def _border(self, best: _Learned) -> str | None:
        if self._valid is not None:
            return None
        tolerance = max(4 * self._floor, 4 * best.rmse)
        return reading.border(self._given, best.window, best.solution, tolerance)

    def _flat(self) -> Fit:
        """Return what a target tells in which all usable pixels are alike: nothing."""
        values = [float(pair.y[:, pair.usable].mean()) for pair in self._given if pair.usable.any()]
        ends = sum(int(pair.ends.sum()) for pair in self._given)
        why = (
            "no pixel of the target is usable: all are saturated, transparent or no numbers"
            if not values
            else "the target is flat, but for saturated pixels"
            if ends
            else "the target is flat"
        )
        return Fit(
            weights=np.zeros(self._shape(Window(0, 0, 1, 1))),
            bias=values[0] if values else 0.0,
            origin=(0, 0),
            rmse=0.0,
            r2=float("nan"),
            psnr=float("inf"),
            noise_floor=self._floor,
            verdict="underdetermined",
            reason=f"{why}, so any kernel may have made it; use a pair with detail in both",
            condition=float("inf"),
            stderr=np.full(self._shape(Window(0, 0, 1, 1)), np.inf),
            clipped=ends / sum(pair.ends.size for pair in self._given),
            rejected=0.0,
            border=None,
            rational=None,
            match=None,
            turned_match=None,
            shift=(0, 0),
            pairs=self._images,
            pixels=sum(int(pair.usable.sum()) for pair in self._given),
            method=self._settings.method,
        )


def _with_two_values(pair: Pair) -> Pair:
    """Return a pair whose target is black and white with both made usable: it was not clipped."""
    if pair.usable.any() or not pair.ends.any() or not np.ptp(pair.y):
        return pair
    return pair._replace(usable=pair.ends)


def _there(pairs: Sequence[Pair], window: Window) -> bool:
    """Tell whether any pixel has its whole window in the input."""
    regions = [pair.region(window) for pair in pairs]
    return any(r.stop > r.start and c.stop > c.start for r, c in regions)


def _centres(window: Window) -> list[Size]:
    """Return where a kernel may lie: about the pixel's own place, or where it was found so far."""
    middle = window.top + (window.rows - 1) // 2, window.left + (window.columns - 1) // 2
    return [(0, 0)] if max(map(abs, middle)) <= 2 else [(0, 0), middle]


def _origin(window: Window, valid: bool) -> tuple[Size, Size]:
    """Return the origin within the window, and the shift.

    The middle of an even side may be either of two places; no shift is made up for that.
    """
    if valid:
        return ((window.rows - 1) // 2, (window.columns - 1) // 2), (0, 0)
    origin, shift = [], []
    for first, length in zip(window[:2], window.size, strict=True):
        natural = (length - 1) // 2
        place = -first if -first in (natural, length // 2) else natural
        origin.append(place)
        shift.append(-first - place)
    return (origin[0], origin[1]), (shift[0], shift[1])


def _by(size: Sequence[int]) -> str:
    return "x".join(map(str, size))


def _words(verdict: Verdict, r2: float) -> str:
    return {
        "exact": "what is left is the target's own rounding",
        "good": "what is left is a little more than the target's own rounding",
        "poor": f"no linear kernel explains this pair: the best explains {max(r2, 0) * 100:.3g} % "
        "of the target's variance",
    }.get(verdict, "")


def _each(
    planes: Sequence[Sequence[Pair]], settings: Settings, target: Array, recode: Recode | None
) -> Fit:
    """Return one kernel a channel, all of one size."""
    channels = list(zip(*planes, strict=True))

    def fits(settings: Settings) -> list[Fit]:
        return [
            _Fitting(
                list(pairs),
                settings,
                target,
                recode and _Coder(recode, [[pair] for pair in pairs]),
                len(planes),
            ).result()
            for pairs in channels
        ]

    found = fits(settings)
    if len({fit.window for fit in found}) > 1:
        rows, columns = (max(fit.size[axis] for fit in found) for axis in (0, 1))
        found = fits(settings._replace(size=(rows, columns)))
    return _together(found)


def _together(fits: Sequence[Fit]) -> Fit:
    """Return one fit for several channels: errors over all, the worst verdict."""
    worst = max(fits, key=lambda fit: _ORDER.index(fit.verdict))
    rmse = math.sqrt(sum(fit.rmse**2 for fit in fits) / len(fits))
    return replace(
        worst,
        weights=np.stack([fit.weights for fit in fits]),
        bias=tuple(float(np.ravel(fit.bias)[0]) for fit in fits),
        stderr=np.stack([fit.stderr for fit in fits]),
        rmse=rmse,
        r2=sum(fit.r2 for fit in fits) / len(fits),
        psnr=worst.psnr + 20 * math.log10(worst.rmse / rmse) if rmse > 0 else worst.psnr,
        condition=max(fit.condition for fit in fits),
        clipped=sum(fit.clipped for fit in fits) / len(fits),
        rejected=sum(fit.rejected for fit in fits) / len(fits),
        border=worst.border if len({fit.border for fit in fits}) == 1 else None,
        rational=None,
        match=worst.match if len({fit.match for fit in fits}) == 1 else None,
        turned_match=worst.turned_match if len({f.turned_match for f in fits}) == 1 else None,
        pixels=sum(fit.pixels for fit in fits),
        losses=tuple(np.mean([fit.losses for fit in fits], axis=0).tolist()),
        exact_weights=None
        if worst.exact_weights is None
        else np.stack([fit.exact_weights for fit in fits if fit.exact_weights is not None]),
    )
