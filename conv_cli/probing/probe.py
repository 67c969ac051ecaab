"""probe: what a program does to pictures, by what it makes of charts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from conv_cli.colors import LUMA, white
from conv_cli.errors import ProgramError
from conv_cli.fitting.result import Fit
from conv_cli.images import Image
from conv_cli.io.json import plain
from conv_cli.probing.beyond import (
    Behind,
    Clips,
    Opacity,
    clips_of,
    depth_of,
    margin_of,
    opacity_of,
    tile_of,
)
from conv_cli.probing.charts import Charts, Name
from conv_cli.probing.layout import Layout, layout_of, seen_by
from conv_cli.probing.learning import (
    LIGHT,
    LINEAR,
    RIM,
    Channels,
    Linear,
    Sample,
    in_linear_light,
    learned,
    made,
    sample_of,
)
from conv_cli.probing.otherwise import Evidence, Kind, Otherwise, otherwise
from conv_cli.probing.proposal import UNSAVED, Proposal, proposed
from conv_cli.probing.proposal import Linear as Known
from conv_cli.probing.rims import border_of
from conv_cli.probing.rounding import Rounding, Way, rounding_of, with_fractions
from conv_cli.probing.running import Answer, Program, UnwritableError

Array = npt.NDArray[Any]

_CALM = ("first", "shuffled", "moved")
_NOISY = 1.1
_SHARES = 2.0
"""Floats up to this size are shares of white."""


@dataclass(frozen=True, eq=False)
class Probe:
    """What a program does to pictures.

    Attributes
    ----------
    linear : str
        "yes", or what it is instead.
    detail : str
        That in words.
    fit : Fit or None
        The kernel of a linear program, with its window, origin, shift, stride and errors.
    rounding : Rounding or None
    channels, border, light, opacity, weighted, depth, clips
        As the keys of ``as_dict``.
    apply : Proposal or None
        The conv-cli command of the same result.
    runs : int
        How often the program was run.
    results : dict
        What came back, by the name of the chart.
    """

    linear: Literal["yes"] | Kind
    detail: str
    fit: Fit | None
    rounding: Rounding | None
    channels: Channels | None
    border: str | None
    opacity: Opacity | None
    weighted: bool | None
    depth: int
    clips: Clips | None
    apply: Proposal | None
    runs: int
    results: dict[Name, Image]

    @property
    def way(self) -> Way | None:
        """How results are rounded."""
        return None if self.rounding is None else self.rounding.way

    @property
    def bias(self) -> float | tuple[float, ...] | None:
        """What is added, besides what rounding does."""
        if self.fit is None or self.rounding is None:
            return None
        if self.fit.linear or isinstance(self.fit.bias, float):
            return float(np.mean(self.rounding.bias)) + 0.0
        return tuple(value + 0.0 for value in self.rounding.bias)

    @property
    def exact(self) -> Array:
        """The weights, as fractions where they are such. Raises ValueError if there are none."""
        if self.fit is None:
            raise ValueError("a program that is not linear has no kernel")
        return with_fractions(self.fit)[0].weights

    def as_file(self) -> dict[str, Any]:
        """Return what a kernel's .json file holds, as ``fit`` writes it; apply reads it."""
        if self.fit is None:
            raise ValueError("a program that is not linear has no kernel")
        return replace(with_fractions(self.fit)[0], border=self.border).as_file()

    def as_dict(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        fit = self.fit
        values: dict[str, Any] = {"linear": self.linear, "detail": self.detail}
        keys = ("kernel", "origin", "bias", "size", "stride", "shift", "match", "rational")
        if fit is None:
            values |= dict.fromkeys(keys)
        else:
            exact, _ = with_fractions(fit)
            known = exact.as_dict()
            values |= {key: known[key] for key in keys}
            values["bias"] = self.bias
        values |= {
            "channels": self.channels,
            "border": self.border,
            "rounding": self.way,
            "light": None if fit is None else "linear" if fit.linear else "encoded",
            "opacity": self.opacity,
            "weighted": self.weighted,
            "depth": self.depth,
            "clips": self.clips,
            "apply": self.apply and self.apply.command,
            "largest": self.apply and self.apply.largest,
            "mean": self.apply and self.apply.mean,
            "runs": self.runs,
        }
        return {name: plain(value) for name, value in values.items()}


class _Runs:
    """Runs of a program, each chart once, counted."""

    def __init__(self, program: Program, charts: Charts) -> None:
        self._program, self._charts = program, charts
        self._answers: dict[Name, Answer] = {}
        self.count = 0

    def __call__(self, name: Name, *, again: bool = False) -> Answer:
        """Return what the program makes of a chart. Raises ProgramError if it fails."""
        if again or name not in self._answers:
            self.count += 1
            answer = self._program(name, self._charts.image(name))
            if again:
                return answer
            self._answers[name] = answer
        return self._answers[name]

    def unless_refused(self, name: Name) -> Image | None:
        """Return the result, None if the program fails on this chart alone."""
        try:
            return self(name).image
        except UnwritableError:
            self.count -= 1
            raise
        except ProgramError:
            return None

    @property
    def images(self) -> dict[Name, Image]:
        """All results."""
        return {name: answer.image for name, answer in self._answers.items()}


def probe(program: Program, *, depth: int = 8, saved: str | None = None) -> Probe:
    """Return what a program does to pictures.

    program : callable. As ``running.Command`` or ``running.in_process`` makes it.
    depth : int. Bits of the charts, 8 or 16.
    saved : str, optional. The file that the kernel is going to be in, for the command.

    Raises ProgramError if it fails on the plain charts.
    """
    charts = Charts(depth)
    runs = _Runs(program, charts)
    chart = np.asarray(charts.image("noise").pixels)
    answer = runs("noise")
    result = colours(answer.image, chart)
    layout = layout_of(chart, result)
    copies = colours(runs("copies").image, chart)
    sample, linear = _learned(chart, result, layout, answer)
    if linear is not None and layout is not None and copies.shape == result.shape:
        if not _predicts(linear, charts, copies, layout, lossy=answer.recode is not None):
            linear = None
    else:
        linear = None
    rounding = None
    again = None
    if linear is not None and sample is not None:
        rounding = rounding_of(sample, linear.fit, linear.error)
    if linear is None or (linear.error > _NOISY and rounding is not None and rounding.share < 0.5):
        again = colours(runs("noise", again=True).image, chart)
        if not np.array_equal(again, result) and (linear is None or answer.recode is None):
            linear = None
    if linear is None or sample is None or layout is None or rounding is None:
        evidence = Evidence(chart, result, again, copies, layout, sample)
        return _of_otherwise(runs, charts, otherwise(evidence), layout)
    return _of_linear(runs, charts, linear, sample, layout, rounding, saved)


def probe_result(answer: Answer, *, depth: int = 8, saved: str | None = None) -> Probe:
    """Return what one result of the first chart tells of a program: all but what others show."""
    charts = Charts(depth)
    chart, result = np.asarray(charts.image("noise").pixels), answer.image
    pixels = colours(result, chart)
    layout = layout_of(chart, pixels)
    sample, linear = _learned(chart, pixels, layout, answer)
    images: dict[Name, Image] = {"noise": result}
    if linear is None or sample is None or layout is None:
        evidence = Evidence(chart, pixels, None, None, layout, sample)
        kind = otherwise(evidence)
        bits = depth_of(result, None, chart, layout)
        return Probe(kind.kind, kind.words, None, None, None, None, None, None, bits, None, None,
                     0, images)  # fmt: skip
    rounding = rounding_of(sample, linear.fit, linear.error)
    border = border_of(sample, linear.fit, rounding)
    known = Known(linear.fit, layout, rounding, border)
    proposal = proposed(known, [(charts.image("noise"), pixels)], saved)
    bits = depth_of(result, None, chart, layout)
    return Probe("yes", _words(linear, layout, rounding, border, proposal), linear.fit, rounding,
                 linear.channels, border, None, None, bits, None, proposal, 0, images)  # fmt: skip


def colours(image: Image, chart: Array) -> Array:
    """Return the colours of a result (h, w, D), in whole numbers where they are such.

    Floats that are shares of white are taken in the units of the chart.
    """
    pixels = np.asarray(image.colours).transpose(1, 2, 0)
    if pixels.dtype.kind != "f":
        return pixels
    top = white(chart.dtype)
    finite = pixels[np.isfinite(pixels)]
    if finite.size and np.abs(finite).max() <= _SHARES:
        pixels = pixels.astype(np.float64) * top
        finite = pixels[np.isfinite(pixels)]
    whole = np.rint(finite)
    inside = finite.size == pixels.size and finite.min(initial=0) >= 0 and finite.max() <= top
    if inside and np.abs(finite - whole).max(initial=0) < 1e-3 and np.ptp(whole) > 1:
        return np.rint(pixels).astype(chart.dtype)
    return pixels


def _learned(
    chart: Array, result: Array, layout: Layout | None, answer: Answer
) -> tuple[Sample | None, Linear | None]:
    """Return the sample, and its kernel if that makes it."""
    if layout is None:
        return None, None
    sample = sample_of(chart, result, layout)
    if answer.recode is not None and result.dtype == np.uint8:
        return _learned_from_lossy(sample, answer)
    seen, strength = seen_by(sample.before, sample.after, layout)
    if seen is None:
        return sample, None
    best = learned(sample, seen, strength)
    if best.error > LIGHT and best.channels != "mixed":
        light = in_linear_light(sample, best.fit.window)
        if light is not None and light.rmse < best.fit.rmse and light.rmse <= LINEAR * sample.floor:
            best = Linear(light, "alike", light.rmse / sample.floor)
    return sample, best if best.error <= LINEAR else None


def _learned_from_lossy(sample: Sample, answer: Answer) -> tuple[Sample, Linear | None]:
    """Return the kernel of a lossy result, by its brightness, judged by what its codec loses."""
    grey = sample._replace(lossy=True)
    if sample.after.shape[2] == 3:
        luma = np.array(LUMA)
        before, after = ((p.astype(np.float64) @ luma)[..., None] for p in sample[:2])
        grey = grey._replace(before=before, after=after, floor=1.0)
    seen, strength = seen_by(grey.before, grey.after, sample.layout)
    if seen is None:
        return sample, None

    def floor(fit: Fit) -> float:
        values = made(fit, sample.before, sample.after.dtype)
        height, width = sample.after.shape[:2]
        levels = np.clip(np.rint(values[:height, :width]), 0, 255).astype(np.uint8)
        assert answer.recode is not None
        back = answer.recode(levels[..., 0] if levels.shape[2] == 1 else levels)
        off = (np.atleast_3d(back).astype(np.float64) - values[:height, :width])[16:-16, 16:-16]
        if off.shape[2] == 3:
            off = off @ np.array(LUMA)
        return float(np.sqrt((off**2).mean()))

    best = learned(grey, seen, strength, floor)
    fit = best.fit
    if fit.weights.ndim > 2:
        fit = replace(fit, weights=fit.weights.reshape(fit.size), bias=float(np.ravel(fit.bias)[0]),
                      stderr=fit.stderr.reshape(fit.size))  # fmt: skip
    best = best._replace(fit=replace(fit, top=255.0), channels="alike")
    return sample._replace(lossy=True), best if best.error <= LINEAR else None


def _predicts(
    linear: Linear, charts: Charts, copies: Array, layout: Layout, *, lossy: bool
) -> bool:
    """Tell whether a kernel makes the calm tiles of the copies too."""
    chart = np.asarray(charts.image("copies").pixels)
    fit, result = linear.fit, copies.astype(np.float64)
    values = made(fit, layout.of_chart(chart), copies.dtype)
    height, width = copies.shape[:2] if layout.kind != "grown" else values.shape[:2]
    result = layout.of_result(result)
    values, result = values[:height, :width], result[:height, :width]
    ends = max(fit.noise_floor, 1e-9)
    low, high = _limits(copies)
    # Values past the ends are looked at by themselves: they may go round there.
    inside = (values > low + ends) & (values < high - ends)
    off = np.where(inside, values - result, 0)
    if lossy and off.shape[2] == 3:
        off = off @ np.array(LUMA)[:, None]
    down, across = (n + RIM for n in margin_of(fit))
    if layout.kind == "same":
        parts = [tile_of(off, name, (down, across)) for name in _CALM]
    else:
        rows, columns = (n // 2 for n in off.shape[:2])
        parts = [off[down : rows - down, across : columns - across],
                 off[rows + down : -down, columns + across : -across]]  # fmt: skip
    limit = LINEAR * ends
    return all(part.size == 0 or float((part**2).mean()) <= limit**2 for part in parts)


def _limits(pixels: Array) -> tuple[float, float]:
    if pixels.dtype.kind != "u":
        return -math.inf, math.inf
    return 0.0, float(np.iinfo(pixels.dtype).max)


def _of_otherwise(runs: _Runs, charts: Charts, kind: Otherwise, layout: Layout | None) -> Probe:
    """Return what may be said of a program that is not linear."""
    behind, depth = _behind(runs, charts, None, layout)
    return Probe(
        kind.kind, kind.words, None, None, None, None, behind.opacity, behind.weighted, depth,
        None, None, runs.count, runs.images,
    )  # fmt: skip


def _behind(
    runs: _Runs, charts: Charts, fit: Fit | None, layout: Layout | None
) -> tuple[Behind, int]:
    """Return what becomes of opacity, and how many bits come back."""
    try:
        image = runs.unless_refused("opacity")
    except UnwritableError:
        return Behind(None, None), _bits(runs, charts, fit, layout)
    chart = np.asarray(charts.image("opacity").pixels)
    if image is not None and not image.alpha and image.channels == 4:
        image = replace(image, alpha=True)  # an array does not say so
    own = layout
    if (
        image is not None
        and layout is not None
        and image.shape[:2] != runs("noise").image.shape[:2]
    ):
        own = None
    return opacity_of(image, chart, fit, own), _bits(runs, charts, fit, layout)


def _bits(runs: _Runs, charts: Charts, fit: Fit | None, layout: Layout | None) -> int:
    """Return how many bits come back."""
    deep = runs.unless_refused("deep")
    chart = np.asarray(charts.image("deep").pixels)
    if deep is None or deep.dtype.itemsize == 1:
        plain_chart = np.asarray(charts.image("noise").pixels)
        return depth_of(runs("noise").image, fit, plain_chart, layout)
    return depth_of(deep, fit, chart, layout)


def _of_linear(
    runs: _Runs,
    charts: Charts,
    linear: Linear,
    sample: Sample,
    layout: Layout,
    rounding: Rounding,
    saved: str | None,
) -> Probe:
    """Return all that is to be said of a linear program."""
    fit = linear.fit
    border = border_of(sample, fit, rounding)
    copies = colours(runs("copies").image, sample.before)
    clips = None
    if layout.kind == "same":
        clips = clips_of(fit, np.asarray(charts.image("copies").pixels), copies)
    behind, depth = _behind(runs, charts, fit, layout)
    known = Known(fit, layout, rounding, border)
    names: Sequence[Name] = ("noise", "copies")
    pairs = [(charts.image(name), colours(runs(name).image, sample.before)) for name in names]
    proposal = proposed(known, pairs, saved)
    return Probe(
        "yes", _words(linear, layout, rounding, border, proposal), fit, rounding,
        linear.channels, border, behind.opacity, behind.weighted, depth, clips, proposal,
        runs.count, runs.images,
    )  # fmt: skip


def _words(
    linear: Linear,
    layout: Layout,
    rounding: Rounding,
    border: str | None,
    proposal: Proposal | None,
) -> str:
    """Return what the keys do not say."""
    fit, words = linear.fit, []
    left = f"{linear.error:.3g} times what one rounding leaves"
    if fit.noise_floor > 0 and linear.error > _NOISY:
        words.append(f"a kernel makes the result but for {left}")
    else:
        words.append("a kernel makes the result to its last rounding")
    if layout.kind == "cropped":
        words.append("the rim of the picture is left out")
    if layout.kind == "grown":
        words.append("the picture grows by its border")
    if border is None:
        words.append("no border explains the rim")
    if rounding.way is None:
        words.append("how it rounds does not show")
    if proposal is None:
        words.append("apply has no such filter")
    elif fit.weights.ndim > 2 and UNSAVED in proposal.command.split():
        words.append(f"its kernels cannot be typed: keep them with -o {UNSAVED}")
    return "; ".join(words)
