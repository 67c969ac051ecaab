"""The pieces of a lesson's page: formulas, pictures, commands, tables, as HTML."""

import html
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from conv_cli.colormaps import diverging
from conv_cli.report.embedding import data_uri

_LEAST_SHOWN = 200
"""Columns of a picture below which its pixels are drawn larger."""


def paragraph(text: str) -> str:
    """Return a paragraph; its text is HTML."""
    return f"<p>{text}</p>"


def commands(*lines: str) -> str:
    """Return commands to type, one a line."""
    text = html.escape("\n".join(lines), quote=False)
    return f'<pre tabindex="0"><code>{text}</code></pre>'


def formula(content: str, words: str) -> str:
    """Return a formula in MathML, on a line of its own; words say it aloud."""
    return (
        f'<div class="formula"><math display="block" aria-label="{html.escape(words)}">'
        f"{content}</math></div>"
    )


def name(text: str) -> str:
    """Return a variable of a formula."""
    return f"<mi>{text}</mi>"


def number(value: object) -> str:
    """Return a number of a formula."""
    return f"<mn>{value}</mn>"


def sign(text: str) -> str:
    """Return an operator of a formula, or a bracket."""
    return f'<mo stretchy="false">{html.escape(text)}</mo>'


def row(*parts: str) -> str:
    """Return parts of a formula side by side."""
    return f"<mrow>{''.join(parts)}</mrow>"


def below(base: str, index: str) -> str:
    """Return a variable with its index."""
    return f"<msub>{base}{index}</msub>"


def above(base: str, power: str) -> str:
    """Return a variable with its power, or with a mark."""
    return f"<msup>{base}{power}</msup>"


def total(over: str, term: str) -> str:
    """Return a sum over an index."""
    return row(f"<munder>{sign('∑')}{over}</munder>", term)


def indexed(letter: str, *indices: str) -> str:
    """Return a pixel of a picture: a letter with row and column, as ``i`` or ``i+a``."""
    parts = [
        sign(token) if token in "+-," else name(token)
        for token in " , ".join(indices).replace("+", " + ").replace("-", " - ").split()
    ]
    return below(name(letter), row(*parts))


def figure(pixels: npt.NDArray[np.uint8], caption: str, alt: str) -> str:
    """Return a picture (H, W) or (H, W, 3) with its caption; alt is for those who cannot see it."""
    kind = ' class="small"' if pixels.shape[1] < _LEAST_SHOWN else ""
    return (
        f'<figure{kind}><img src="{data_uri(pixels)}" width="{pixels.shape[1]}" '
        f'height="{pixels.shape[0]}" alt="{html.escape(alt)}"><figcaption>{caption}</figcaption>'
        "</figure>"
    )


def figures(*parts: str) -> str:
    """Return figures side by side where there is room."""
    return f'<div class="figures">{"".join(parts)}</div>'


def signed(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return a map of signed values in colours: blue below zero, white at zero, red above."""
    return diverging(np.asarray(values, np.float64))


def table(caption: str, titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table whose first column names its rows; cells are HTML."""
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    return (
        f'<div class="wide" tabindex="0"><table><caption>{caption}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def matrix(caption: str, values: npt.NDArray[Any]) -> str:
    """Return numbers in rows and columns, with a caption."""
    lines = "".join(
        f"<tr>{''.join(f'<td>{plain(value)}</td>' for value in line)}</tr>"
        for line in np.atleast_2d(values).tolist()
    )
    return f'<table class="matrix"><caption>{caption}</caption><tbody>{lines}</tbody></table>'


def plain(value: float) -> str:
    """Return a number in at most four digits behind the point, without noughts at its end."""
    text = f"{value:,.4f}".rstrip("0").rstrip(".")
    return (text if text != "-0" else "0").replace("-", "−")


def count(value: float) -> str:
    """Return a count with its thousands apart."""
    return f"{round(value):,}"
