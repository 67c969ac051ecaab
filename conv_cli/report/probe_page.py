"""The report of a probe: charts, what came back, the kernel, and how far `apply` is from it."""

import html
from typing import Any

import numpy as np
import numpy.typing as npt

from conv_cli.images import Image
from conv_cli.pipeline.feature_map import Range, map_to_pixels
from conv_cli.pipeline.looks import seen
from conv_cli.probing.charts import Charts
from conv_cli.probing.probe import Probe
from conv_cli.report.fit_page import document, figure, weights_table
from conv_cli.report.probe_text import probe_rows

Pixels = npt.NDArray[Any]

_TITLES = {
    "noise": "noise of several means and reaches",
    "copies": "copies of it, shuffled, moved and wild",
    "opacity": "noise with opacity",
    "deep": "noise of 16 bits",
}


def probe_page(found: Probe, command: str, charts: Charts) -> str:
    """Return the page, as HTML that refers to nothing outside of it.

    command : str. What was asked about.
    charts : Charts. What it was run on.
    """
    title = html.escape(command)
    verdict = "good" if found.linear == "yes" else "poor"
    sections = [
        f"<h1>{title}</h1>",
        f'<p class="verdict {verdict}">linear: {found.linear}: {html.escape(found.detail)}</p>',
        _facts(found),
        *_kernels(found),
        *_command(found),
        "<h2>Charts, and what came back</h2>",
    ]
    for name, result in found.results.items():
        what = _TITLES.get(name, name)
        sections.append(figure(f"chart: {what}", seen(charts.image(name))))
        sections.append(figure(f"result: {what}", seen(result)))
    return document(title, sections)


def _facts(found: Probe) -> str:
    rows = [(name, text) for name, text in probe_rows(found) if name not in ("linear", "detail")]
    cells = (f"<tr><th>{name}</th><td>{html.escape(text)}</td></tr>" for name, text in rows)
    return f'<table class="facts">{"".join(cells)}</table>'


def _kernels(found: Probe) -> list[str]:
    if found.fit is None:
        return []
    weights = found.exact.reshape(-1, *found.fit.size)
    return ["<h2>Kernel</h2>", *map(weights_table, weights)]


def _command(found: Probe) -> list[str]:
    """Return the command of ours, and where its result differs."""
    if found.apply is None:
        return []
    largest = found.apply.largest
    apart, _ = map_to_pixels(
        found.apply.apart, np.dtype(np.uint8), np.dtype(np.uint8), Range("signed")
    )
    shown = seen(Image(apart[..., :3] if apart.shape[2] > 2 else apart[..., 0]))
    return [
        f"<h2>The same by conv-cli</h2><code>{html.escape(found.apply.command)}</code>",
        figure(f"its result less the program's: grey is 0, black and white are ±{largest:.4g}",
               shown),
    ]  # fmt: skip
