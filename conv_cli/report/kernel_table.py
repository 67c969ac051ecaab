"""A kernel as an HTML table: the heat map with its numbers, its origin framed."""

import html

from conv_cli.colormaps import Colour, diverging, hexadecimal, ink
from conv_cli.errors import KernelError
from conv_cli.kernels.kernel import Weights
from conv_cli.report.kernel_text import number_texts

MOST_CELLS = 10_000
_MOST_NUMBERED = 31
"""Columns of a table up to which its numbers are written and not only shown on pointing there."""
STYLE = (
    "table.kernel{border-collapse:collapse;font:14px sans-serif;font-variant-numeric:tabular-nums}"
    "table.kernel td{padding:.5em .7em;text-align:center;border:1px solid #fff}"
    "table.kernel.small td{padding:0;width:8px;height:8px;border:0}"
    "table.kernel td.origin{outline:2px solid #000;outline-offset:-2px}"
    "table.kernel caption{caption-side:bottom;padding:.5em}"
)


def kernel_table(
    weights: Weights, *, origin: tuple[int, int] | None = None, caption: str = ""
) -> str:
    """Return a kernel as a ``<table class="kernel">``, coloured cell by cell.

    weights : ndarray, shape (kh, kw)
    origin : of the cell to frame.
    caption : plain text below the table.

    Raises KernelError if there are more than 10,000 weights.
    """
    if weights.size > MOST_CELLS:
        raise KernelError(
            f"kernel of {weights.size:,} weights: a table holds {MOST_CELLS:,}; draw it as .png"
        )
    numbered = weights.shape[1] <= _MOST_NUMBERED
    colours, texts = diverging(weights), number_texts(weights)
    rows = []
    for row, line in enumerate(texts):
        cells = (
            _cell(
                text.strip() if numbered else "",
                title=f"{weights[row, column]:.6g}",
                colour=colours[row, column],
                framed=(row, column) == origin,
            )
            for column, text in enumerate(line)
        )
        rows.append(f"<tr>{''.join(cells)}</tr>")
    words = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    kind = "kernel" if numbered else "kernel small"
    return f'<table class="{kind}">{words}{"".join(rows)}</table>'


def kernel_page(weights: Weights, *, origin: tuple[int, int], caption: str) -> str:
    """Return a whole HTML document with the table of a kernel; arguments as of `kernel_table`."""
    table = kernel_table(weights, origin=origin, caption=caption)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>{html.escape(caption)}</title><style>{STYLE}</style>{table}</html>\n"
    )


def _cell(text: str, *, title: str, colour: Colour, framed: bool) -> str:
    style = f"background:{hexadecimal(colour)};color:{hexadecimal(ink(colour))}"
    kind = ' class="origin"' if framed else ""
    return f'<td{kind} style="{style}" title="{title}">{text}</td>'
