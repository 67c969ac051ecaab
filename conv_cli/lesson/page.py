"""The lesson's page: every step on one photograph, in one file that refers to nothing outside."""

import html
from collections.abc import Callable

from conv_cli.images import Image
from conv_cli.lesson import learning, seeing
from conv_cli.lesson.seeing import Step
from conv_cli.lesson.subject import Subject, subject_of
from conv_cli.report.kernel_table import STYLE

STEPS: tuple[Callable[[Subject], Step], ...] = (
    seeing.photograph,
    seeing.dense,
    seeing.same_everywhere,
    seeing.near_only,
    seeing.hidden,
    seeing.flipped,
    seeing.layer,
    learning.edge,
    learning.learned,
    learning.two_layers,
    learning.depth,
)
"""The steps in their order; the first is not counted."""

_STYLE = """
body { font: 1.05rem/1.6 system-ui, sans-serif; color: #222; background: #fff; max-width: 52rem;
       margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.8rem; line-height: 1.25; } h2 { font-size: 1.3rem; margin-top: 2.5rem; }
nav ol { columns: 16rem; padding-left: 1.5rem; } a { color: #1b5690; }
pre { background: #f2f4f6; padding: .7rem 1rem; overflow-x: auto; border-radius: .3rem; }
code { font-family: ui-monospace, monospace; font-size: .92em; }
.formula { overflow-x: auto; margin: 1rem 0; font-size: 1.15rem; }
.figures { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-end; margin: 1rem 0; }
figure { margin: 0; max-width: 100%; } figcaption { font-size: .9rem; color: #444; }
figure img { max-width: 100%; height: auto; border: 1px solid #bbb; }
figure.small img { width: 12rem; image-rendering: pixelated; }
.wide { overflow-x: auto; }
table { overflow-wrap: normal; border-collapse: collapse; margin: .5rem 0; }
caption { text-align: left; font-size: .9rem; color: #444; padding: .2rem 0; }
th, td { padding: .3rem .8rem; text-align: right; border: 1px solid #ccc;
         font-variant-numeric: tabular-nums; }
th[scope=row], th:first-child { text-align: left; }
table.matrix td { min-width: 1.6rem; padding: .3rem .5rem; }
svg.curve { width: 100%; max-width: 38rem; }
svg text { font: 12px system-ui, sans-serif; fill: #444; }
@media print { section { break-inside: avoid-page; } nav { display: none; }
               pre { white-space: pre-wrap; } }
"""


def lesson_page(name: str, image: Image, *, advance: Callable[[], None] = lambda: None) -> str:
    """Return the page as HTML.

    name : str. The file of the photograph.
    image : Image. Of at least 64 rows and columns, grey or in colour.
    advance : callable. Is called after each of ``STEPS``.

    Raises ImageError for a picture that cannot be looked at, or has nothing to see.
    """
    subject = subject_of(name, image)
    steps = []
    for make in STEPS:
        steps.append(make(subject))
        advance()
    title = f"Convolution, step by step, on {html.escape(name)}"
    numbered = list(enumerate(steps))
    contents = "".join(
        f'<li><a href="#step-{number}">{step.title}</a></li>' for number, step in numbered[1:]
    )
    sections = "\n".join(_section(number, step) for number, step in numbered)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title>\n<style>{_STYLE}{STYLE}</style></head><body>\n"
        f"<header><h1>{title}</h1></header>\n"
        f'<nav aria-label="Steps"><ol>{contents}</ol></nav>\n<main>\n{sections}\n</main>\n'
        "<footer><p>Every number and picture on this page was computed from your photograph, by "
        "what the commands beside it do.</p></footer>\n</body></html>\n"
    )


def _section(number: int, step: Step) -> str:
    title = f"{number}. {step.title}" if number else step.title
    return (
        f'<section id="step-{number}" aria-labelledby="title-{number}">'
        f'<h2 id="title-{number}">{title}</h2>\n{step.body}</section>'
    )
