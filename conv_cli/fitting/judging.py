"""What verdict a search amounts to, and why."""

import numpy as np

from conv_cli.fitting.diagnosis import explained_shares, follows_a_rule
from conv_cli.fitting.grain import noise_of_even_parts, without_noise
from conv_cli.fitting.misfit import Misfit, linear, misfit
from conv_cli.fitting.search import Found, Settings, certainty_of
from conv_cli.fitting.telling import lost_share, noise_of
from conv_cli.fitting.verdict import LEFT, Verdict, graded, lacking, unexplained

_CURVED = (
    "each pixel of the target depends on its own value alone, along a curve, as gamma, levels or a "
    "threshold make it"
)
_MISFITS = {
    "tone": "; what is left depends on the brightness",
    "neighbours": "; what is left depends on ranks or limits among neighbours",
    "wider": "; what is left depends on pixels beyond the kernel",
    "position": "; what is left depends on the place in the picture",
}
"""What predicts that which a kernel leaves, in words."""
_LEAST_EXPLAINED = 0.5
"""No kernel explains a channel of which it makes less than this share of the pixels."""
_LEAST_SIDE = 3
"""A size is not told by pictures that could not tell one of three rows and columns."""
_GRAIN, _WIDER = 0.5, 0.02
"""Noise in the input, by that in the target, and what it does to the largest weight, from which on
it is spoken of."""
_NOTED = 0.001
"""A verdict says so if more pixels than this share are left out."""


def verdict_of(found: Found, settings: Settings) -> tuple[Verdict, str, Misfit | None]:
    """Return the verdict, its reason, and what predicts the rest, where that was asked."""
    best = found.best
    least = 1 if settings.size or found.valid else _LEAST_SIDE
    sure = certainty_of(found, best.around, settings)
    lack = lacking(best.around, sure, found.floor, bias=settings.bias, least=least)
    if lack:
        return "underdetermined", lack, None
    if found.curved:
        return "poor", f"{_CURVED}; {_words('poor', best.r2)}", None
    verdict = graded(best.rmse, found.floor)
    if verdict == "poor":
        return _noise_or_misfit(found, settings)
    against = unexplained(found.given, found.pairs, best.window, best.solution, found.floor)
    if against := against or _no_stray_pixels(found):
        return "poor", against, None
    lost = lost_share(found, best.window)
    left_out = f"; {lost * 100:.3g} % of the pixels are left out, which no kernel made"
    return verdict, _words(verdict, best.r2) + (left_out if lost > _NOTED else ""), None


def _noise_or_misfit(found: Found, settings: Settings) -> tuple[Verdict, str, Misfit]:
    """Return "noisy" where nothing in the picture predicts what is left, or "poor"."""
    best = found.best
    left = misfit(found.pairs, best.window, linear(found.pairs[0], best.window, best.solution))
    if not left.is_noise(best.r2):
        why = _MISFITS.get(left.group or "", "")
        return "poor", _words("poor", best.r2) + why, left
    return "noisy", noisy_words(noise_of(found)) + _noise_before(found, settings), left


def _noise_before(found: Found, settings: Settings) -> str:
    """Return what noise in the input may have done to a blur; "" if it is nothing to speak of."""
    best = found.best
    weights = best.solution.weights
    noise = noise_of_even_parts(found.given)
    # Noise that came in later is in the residual too, as the kernel weighs it.
    if noise < _GRAIN * noise_of(found) or float(weights.sum()) <= 0 or len(weights) == 1:
        return ""
    shown = f"; the input's even parts show noise of {noise:.2g}, and if that came in after the "
    shown += "target was made, a blur looks wider than it was"
    other = without_noise(best.normal, noise, bias=settings.bias)
    if other is None:
        return f"{shown}, by more than can be told"
    largest = np.unravel_index(int(np.argmax(weights)), weights.shape)
    here, there = float(weights[largest]), float(other[largest])
    if there - here < _WIDER * here:
        return ""
    return f"{shown}: its largest weight was up to {there:.3g}, not {here:.3g}"


def noisy_words(noise: float) -> str:
    """Return why a fit is called noisy."""
    return (
        f"nothing in the picture predicts what is left: noise with a standard deviation of "
        f"{noise:.3g} in the target"
    )


def _no_stray_pixels(found: Found) -> str:
    """Return why what a kernel does not make are no stray pixels; "" if they may be."""
    best = found.best
    error = max(best.rmse, found.floor)
    shares = explained_shares(found.given, best.window, best.solution, error)
    worst = int(np.argmin(shares))
    if shares[worst] < _LEAST_EXPLAINED:
        pair = found.given[worst]
        number = sum(other.name == pair.name for other in found.given[:worst])
        names = {1: ("the picture",), 3: ("red", "green", "blue")}
        each = names.get(pair.planes, [f"channel {n}" for n in range(1, pair.planes + 1)])
        rest = "" if pair.planes == 1 else ", so it was made in another way than the others"
        return (
            f"{pair.name}: the kernel makes {shares[worst] * 100:.3g} % of the pixels of "
            f"{each[number % len(each)]}{rest}"
        )
    rule = follows_a_rule(found.given, found.pairs, best.window, best.solution, error)
    return f"pixels differ, and just {rule}" if rule else ""


def _words(verdict: Verdict, r2: float) -> str:
    if verdict in LEFT:
        return LEFT[verdict]
    share = max(r2, 0.0) * 100
    return f"the best linear kernel explains {share:.3g} % of the target's variance, and no more"
