"""A kernel as an HTML table: the heat map with its numbers, its origin framed."""

import html

from conv_cli.errors import KernelError
from conv_cli.kernels.kernel import Kernel
from conv_cli.report.colour_scale import diverging, ink
from conv_cli.report.kernel_text import number_texts

_MOST_CELLS = 10_000
_STYLE = (
    "table.kernel{border-collapse:collapse;font:14px sans-serif;font-variant-numeric:tabular-nums}"
    "table.kernel td{padding:.5em .7em;text-align:center;border:1px solid #fff}"
    "table.kernel td.origin{outline:2px solid #000;outline-offset:-2px}"
    "table.kernel caption{caption-side:bottom;padding:.5em}"
)


def kernel_table(kernel: Kernel, caption: str = "", digits: int = 4) -> str:
    """Return a kernel as a ``<table class="kernel">``, coloured cell by cell.

    Raises
    ------
    KernelError
        If it has more than 10,000 weights.
    """
    if kernel.weights.size > _MOST_CELLS:
        raise KernelError(
            f"kernel {kernel.name}: it has more than {_MOST_CELLS:,} weights, too many for a "
            "table; draw it as .png"
        )
    colours, texts = diverging(kernel.weights), number_texts(kernel.weights, digits)
    rows = []
    for row, line in enumerate(texts):
        cells = []
        for column, text in enumerate(line):
            below = colours[row, column]
            origin = ' class="origin"' if (row, column) == kernel.origin else ""
            style = f"background:{_hex(below)};color:{_hex(ink(below))}"
            cells.append(f'<td{origin} style="{style}">{text.strip()}</td>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    words = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f'<table class="kernel">{words}{"".join(rows)}</table>'


def kernel_page(kernel: Kernel, caption: str) -> str:
    """Return a whole HTML document with the table of a kernel."""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>{html.escape(caption)}</title><style>{_STYLE}</style>"
        f"{kernel_table(kernel, caption)}</html>\n"
    )


def _hex(colour: tuple[int, ...]) -> str:
    return "#" + "".join(f"{int(channel):02x}" for channel in colour)
