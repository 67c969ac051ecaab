"""The report of a fit: one HTML page that holds everything, pictures too."""

import html
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from conv_cli.fitting.result import Fit
from conv_cli.report import fit_text
from conv_cli.report.embedding import data_uri
from conv_cli.report.kernel_table import STYLE, kernel_table

Pixels = npt.NDArray[Any]

_WIDEST = 900
"""Columns of pixels of a picture in the page; larger ones are shown reduced."""
_LEAST = 1e-3
"""Of the target's own error, or of the largest in a curve: less is drawn as this much."""

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff;
       max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.verdict { font-weight: 600; padding: .6rem 1rem; border-left: .4rem solid; background: #f4f4f4; }
.exact, .good { border-color: #2166ac; } .poor, .underdetermined { border-color: #b2182b; }
table.facts th { text-align: left; padding: .1rem 1.5rem .1rem 0; font-weight: 600;
                 vertical-align: top; }
figure { display: inline-block; margin: 0 1% 1rem 0; width: 48%; vertical-align: top; }
figure img { width: 100%; image-rendering: pixelated; border: 1px solid #ccc; }
figcaption { font-size: .9rem; color: #555; }
svg text { font: 12px system-ui, sans-serif; fill: #444; }
.wide { overflow-x: auto; }
code { background: #f4f4f4; padding: .3rem .5rem; display: block; overflow-wrap: anywhere; }
"""


def fit_page(
    fit: Fit, before: str, after: str, pictures: Sequence[tuple[str, Pixels]], saved: str | None
) -> str:
    """Return the page, as HTML that refers to nothing outside of it.

    before, after : str. What the first pair is called.
    pictures : sequence of (caption, pixels). uint8 or uint16, (H, W) or (H, W, 3).
    saved : str or None. The file that holds the kernel.
    """
    title = html.escape(f"{before} to {after}")
    sections = [
        f"<h1>{title}</h1>",
        _verdict(fit),
        _facts(fit),
        "<h2>Kernel</h2>",
        *_kernels(fit),
        _next(fit, before, saved),
        "<h2>Pictures</h2>",
        *(figure(caption, pixels) for caption, pixels in pictures),
        *_curves(fit),
    ]
    return document(title, sections)


def document(title: str, sections: Sequence[str]) -> str:
    """Return a whole page of sections, which are HTML as the title is."""
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        f"<style>{_STYLE}{STYLE}</style></head><body>\n"
        + "\n".join(sections)
        + "\n</body></html>\n"
    )


def fit_summary(fit: Fit) -> str:
    """Return the verdict, what is known of the kernel, and its weights, as a part of a page."""
    return "\n".join((_verdict(fit), _facts(fit), *_kernels(fit)))


def _verdict(fit: Fit) -> str:
    return f'<p class="verdict {fit.verdict}">{fit.verdict}: {html.escape(fit.reason)}</p>'


def _facts(fit: Fit) -> str:
    rows = (
        ("Size", fit_text.kernel_words(fit)),
        ("Reads as", fit_text.reading_words(fit)),
        ("Error", fit_text.error_words(fit)),
        ("Certainty", fit_text.certainty_words(fit)),
        ("Pixels", fit_text.pixel_words(fit)),
        ("Place", fit_text.place_words(fit)),
    )
    cells = (f"<tr><th>{name}</th><td>{html.escape(text)}</td></tr>" for name, text in rows if text)
    return f'<table class="facts">{"".join(cells)}</table>'


def _next(fit: Fit, before: str, saved: str | None) -> str:
    command = fit_text.next_command(fit, before, saved)
    return f"<h2>Next</h2><code>{html.escape(command)}</code>" if command else ""


def _kernels(fit: Fit) -> list[str]:
    tables = [weights_table(weights) for weights in fit.weights.reshape(-1, *fit.size)]
    if fit.rational is not None and fit.rational.divisor > 1:
        fractions = fit.rational
        tables += [
            f"<p>In fractions of {fractions.divisor}:</p>",
            weights_table(fractions.numerators),
        ]
    if fit.exact_weights is not None:
        tables.append("<p>The exact answer, by least squares:</p>")
        tables += [weights_table(weights) for weights in fit.exact_weights.reshape(-1, *fit.size)]
    return tables


def weights_table(weights: npt.NDArray[np.float64]) -> str:
    """Return a kernel as a table; what is nothing beside the largest weight is shown as 0."""
    large = np.abs(weights) > 1e-9 * np.abs(weights).max()
    return f'<div class="wide" tabindex="0">{kernel_table(np.where(large, weights, 0.0))}</div>'


def figure(caption: str, pixels: Pixels) -> str:
    """Return a picture (H, W) or (H, W, 3), uint8 or uint16, with what is said of it."""
    shown, factor = _reduced(pixels)
    note = f", reduced to 1/{factor}" if factor > 1 else ""
    caption = html.escape(caption + note)
    return (
        f'<figure><img src="{data_uri(shown)}" alt="{caption}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _reduced(pixels: Pixels) -> tuple[Pixels, int]:
    """Return means over squares of pixels, as many as bring the width down."""
    factor = -(-pixels.shape[1] // _WIDEST)
    height, width = (max(side // factor, 1) * min(factor, side) for side in pixels.shape[:2])
    if factor == 1:
        return pixels, 1
    down, across = min(factor, pixels.shape[0]), factor
    blocks = pixels[:height, :width].reshape(
        height // down, down, width // across, across, *pixels.shape[2:]
    )
    return np.rint(blocks.mean(axis=(1, 3))).astype(pixels.dtype), factor


def _curves(fit: Fit) -> list[str]:
    curves = []
    if fit.losses:
        points = [(float(epoch), loss) for epoch, loss in enumerate(fit.losses, 1)]
        curves += ["<h2>Loss by epoch</h2>", _curve(points, "epoch", "summed squared error")]
    if len(fit.sizes) > 1:
        points = [(float(max(size)), error) for size, error in fit.sizes]
        curves += [
            "<h2>Error by size</h2>",
            _curve(points, "side of the kernel", "held-out error", floor=fit.noise_floor),
        ]
    return curves


def _curve(
    points: Sequence[tuple[float, float]], across: str, up: str, floor: float | None = None
) -> str:
    """Return a curve as SVG, its second axis logarithmic."""
    values = [value for _, value in points] + ([floor] if floor else [])
    least = max(min(values), (floor or max(values)) * _LEAST, 1e-300)
    low, high = math.floor(math.log10(least)), math.ceil(math.log10(max(max(values), least)))
    high = max(high, low + 1)
    first, last = points[0][0], max(points[-1][0], points[0][0] + 1)

    def place(where: float, value: float) -> tuple[float, float]:
        height = (math.log10(max(value, least)) - low) / (high - low)
        return 70 + 500 * (where - first) / (last - first), 230 - 210 * height

    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#2166ac"><title>{where:g}: {value:.4g}'
        "</title></circle>"
        for where, value in points
        for x, y in (place(where, value),)
    )
    ticks = "".join(
        f'<line x1="70" x2="570" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        f'<text x="62" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g}</text>'
        for power in range(low, high + 1, max(1, (high - low) // 6))
        for _, y in (place(first, 10.0**power),)
    )
    if floor:
        _, y = place(first, floor)
        ticks += (
            f'<line x1="70" x2="570" y1="{y:.1f}" y2="{y:.1f}" stroke="#b2182b" '
            f'stroke-dasharray="4"/><text x="566" y="{y - 4:.1f}" text-anchor="end">'
            "the target's own error</text>"
        )
    return (
        f'<svg viewBox="0 0 600 270" width="600" height="270" role="img" aria-label="{up} by '
        f'{across}">{ticks}<polyline points="{line}" fill="none" stroke="#2166ac"/>{dots}'
        f'<text x="70" y="250">{first:g}</text>'
        f'<text x="570" y="250" text-anchor="end">{last:g}</text>'
        f'<text x="320" y="264" text-anchor="middle">{across}</text>'
        f'<text x="70" y="12">{up}</text></svg>'
    )
