"""A sheet as one HTML page that holds everything: pictures to enlarge, and their values."""

import base64
import html
import zlib

import numpy as np

from conv_cli.colormaps import along, hexadecimal
from conv_cli.pipeline.looks import Look
from conv_cli.report.embedding import data_uri
from conv_cli.report.sheet import Group, Sheet, box_side, colour_words, number, range_words

_MISSING = 65535
"""The level of a value that is not finite; the others are 0 to one less."""
_BAR_STOPS = 17
_BAR = "display:block;height:10px;border:1px solid #999;margin-top:4px"
_ENDS = "display:flex;justify-content:space-between;font-size:.8rem"
_SMALLER = 1.25
"""How much larger than its place a picture has to be for a small one to stand there."""

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.45 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 0;
       padding: 1rem clamp(.75rem, 3vw, 2rem) 3rem; }
h1 { font-size: 1.4rem; margin: .2rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 1.6rem 0 .6rem; overflow-wrap: anywhere; }
p { margin: .3rem 0; color: #444; }
kbd { border: 1px solid #888; border-radius: .2rem; padding: 0 .25em; font: inherit; }
.grid { display: flex; flex-wrap: wrap; gap: 1rem; margin-top: 1rem; }
figure { margin: 0; width: min(var(--cell), calc(50% - .5rem)); }
.open { display: block; width: 100%; padding: 0; border: 1px solid #bbb;
        background: #f6f6f6; cursor: zoom-in; }
.open img { display: block; width: 100%; image-rendering: pixelated; }
.open:focus-visible, .view:focus-visible, nav button:focus-visible
     { outline: 3px solid #0b57d0; outline-offset: 2px; }
figcaption { font-size: .9rem; }
figcaption b { display: block; overflow-wrap: anywhere; }
.range { display: block; color: #444; }
output { display: block; min-height: 1.4em; font-variant-numeric: tabular-nums; color: #1a1a1a; }
figcaption output { font-size: .8rem; }
dialog { border: 1px solid #666; padding: .8rem; max-width: 96vw; max-height: 96vh; color: #1a1a1a;
         box-sizing: border-box; }
dialog::backdrop { background: rgba(0, 0, 0, .75); }
dialog h2 { margin: 0; }
.view { position: relative; width: min(92vw - 2rem, 70vh * var(--ratio)); margin: .5rem auto;
        cursor: crosshair; touch-action: none; }
.view img { display: block; width: 100%; image-rendering: pixelated; }
.mark { position: absolute; box-sizing: border-box; border: 1px solid #fff; outline: 2px solid #000;
        pointer-events: none; }
nav { display: flex; gap: .5rem; flex-wrap: wrap; }
nav button { font: inherit; padding: .35rem .8rem; }
@media print { .help, figcaption output { display: none; } figure { break-inside: avoid; } }
"""

_SCRIPT = """
"use strict";
const figures = [...document.querySelectorAll("figure")];
const buttons = figures.map(figure => figure.querySelector(".open"));
const dialog = document.querySelector("dialog");
const view = dialog.querySelector(".view"), mark = dialog.querySelector(".mark");
const large = view.querySelector("img"), told = dialog.querySelector("output");
let current = 0, place = [0, 0];

// The levels of a picture, read when they are first asked for.
function levels(figure) {
  figure.levels ??= (async () => {
    const packed = Uint8Array.from(atob(figure.querySelector("script").textContent.trim()),
                                   letter => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new DataView(await new Response(stream).arrayBuffer());
  })();
  return figure.levels;
}
async function words(figure, row, column) {
  const of = figure.dataset, [h, w, n] = of.shape.split(",").map(Number);
  const [rows, columns] = of.size.split(",").map(Number), data = await levels(figure);
  const values = [];
  for (let channel = 0; channel < n; channel++) {
    const level = data.getUint16(2 * ((row * w + column) * n + channel), true);
    values.push(level === 65535 ? "no value"
      : String(Number((Number(of.low) + level * Number(of.step)).toPrecision(Number(of.digits)))));
  }
  const at = (i, small, all) => {
    const first = Math.floor(i * all / small), last = Math.floor((i + 1) * all / small) - 1;
    return last > first ? `${first}\\u2013${last}` : `${first}`;
  };
  return `row ${at(row, h, rows)}, column ${at(column, w, columns)}: ${values.join(", ")}`;
}
function pointed(event, element, figure) {
  const box = element.getBoundingClientRect();
  const [h, w] = figure.dataset.shape.split(",").map(Number);
  const within = (share, n) => Math.min(n - 1, Math.max(0, Math.floor(share * n)));
  return [within((event.clientY - box.top) / box.height, h),
          within((event.clientX - box.left) / box.width, w)];
}
function moveTo(row, column) {
  const figure = figures[current], [h, w] = figure.dataset.shape.split(",").map(Number);
  place = [Math.min(h - 1, Math.max(0, row)), Math.min(w - 1, Math.max(0, column))];
  mark.style.cssText = `top:${100 * place[0] / h}%;left:${100 * place[1] / w}%;` +
    `width:max(5px,${100 / w}%);height:max(5px,${100 / h}%)`;
  const shown = current;
  words(figure, ...place).then(text => { if (shown === current) told.value = text; });
}
function show(index) {
  current = (index + figures.length) % figures.length;
  const figure = figures[current], picture = figure.querySelector("img");
  const [h, w] = figure.dataset.shape.split(",").map(Number);
  dialog.querySelector("h2").textContent = figure.querySelector("b").textContent;
  dialog.querySelector("p").textContent = figure.querySelector(".range").textContent;
  large.src = figure.dataset.large || picture.src;
  large.alt = picture.alt;
  view.style.setProperty("--ratio", w / h);
  if (!dialog.open) dialog.showModal();
  moveTo(Math.floor(h / 2), Math.floor(w / 2));
  view.focus();
}
figures.forEach((figure, index) => {
  const button = buttons[index], line = figure.querySelector("output");
  button.addEventListener("click", () => show(index));
  button.addEventListener("pointermove", event =>
    words(figure, ...pointed(event, button.firstElementChild, figure))
      .then(text => { line.value = text; }));
  button.addEventListener("pointerleave", () => setTimeout(() => { line.value = ""; }, 60));
  button.addEventListener("keydown", event => {
    const below = buttons.filter(other => other.offsetLeft === button.offsetLeft);
    const own = below.indexOf(button);
    const to = {ArrowLeft: buttons[index - 1], ArrowRight: buttons[index + 1],
                ArrowUp: below[own - 1], ArrowDown: below[own + 1],
                Home: buttons[0], End: buttons.at(-1)}[event.key];
    if (to) { to.focus(); event.preventDefault(); }
  });
});
view.addEventListener("pointermove", event => moveTo(...pointed(event, large, figures[current])));
view.addEventListener("pointerdown", event => moveTo(...pointed(event, large, figures[current])));
view.addEventListener("keydown", event => {
  const far = event.shiftKey ? 10 : 1, by = {ArrowLeft: [0, -far], ArrowRight: [0, far],
    ArrowUp: [-far, 0], ArrowDown: [far, 0]}[event.key];
  if (by) { moveTo(place[0] + by[0], place[1] + by[1]); event.preventDefault(); }
});
dialog.addEventListener("keydown", event => {
  const by = {PageUp: -1, PageDown: 1}[event.key];
  if (by) { show(current + by); event.preventDefault(); }
});
dialog.querySelector("#previous").addEventListener("click", () => show(current - 1));
dialog.querySelector("#next").addEventListener("click", () => show(current + 1));
dialog.querySelector("#close").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => buttons[current].focus());
"""

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"

_HELP = (
    '<p class="help">A click or <kbd>Enter</kbd> enlarges a picture; values show under the '
    "pointer, and by the arrow keys. <kbd>Page Up</kbd> and <kbd>Page Down</kbd> turn to the next "
    "picture, <kbd>Escape</kbd> goes back.</p>"
)

_DIALOG = """<dialog aria-labelledby="name"><h2 id="name">Picture</h2><p></p>
<div class="view" tabindex="0" role="group" aria-label="The picture; arrow keys move over its \
values"><img src="data:," alt=""><span class="mark"></span></div>
<output aria-live="polite"></output>
<nav aria-label="Pictures"><button id="previous" type="button">Previous</button>
<button id="next" type="button">Next</button>
<button id="close" type="button">Close</button></nav></dialog>"""


def sheet_page(sheet: Sheet) -> str:
    """Return a sheet as HTML that refers to nothing outside of it."""
    title = html.escape(sheet.title)
    cell = box_side(sheet)
    sections = (_section(group, cell) for group in sheet.groups)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{title}</title><link rel="icon" href="data:,">\n'
        f'<style>{_STYLE}</style></head><body style="--cell:{cell}px">\n'
        f"<main><h1>{title}</h1>{_HELP}\n"
        + "\n".join(sections)
        + f"\n{_DIALOG}</main>\n<script>{_SCRIPT}</script></body></html>\n"
    )


def _section(group: Group, cell: int) -> str:
    title = f"<h2>{html.escape(group.title)}</h2>" if group.title else ""
    figures = "\n".join(_figure(look, cell) for look in group.looks)
    return f'<section>{title}<div class="grid">\n{figures}\n</div></section>'


def _figure(look: Look, cell: int) -> str:
    """Return a picture with its caption, its values behind it."""
    rows, columns = look.size
    words = f"{rows}×{columns}, {range_words(look)}"
    alt = html.escape(f"{look.name}: {words}, {colour_words(look)}")
    own = data_uri(look.pixels)
    reduced = max(look.values.shape[:2]) > _SMALLER * cell
    shown = data_uri(look.within(cell).pixels) if reduced else own
    large = f' data-large="{own}"' if reduced else ""
    attributes, values = _values(look)
    return (
        f'<figure {attributes} data-size="{rows},{columns}"{large}>'
        f'<button class="open" type="button" aria-haspopup="dialog">'
        f'<img src="{shown}" alt="{alt}"></button>'
        f'<figcaption><b>{html.escape(look.name)}</b><span class="range">{words}</span>'
        f"{colour_bar(look)}<output></output></figcaption>"
        f'<script type="application/octet-stream">{values}</script></figure>'
    )


def _values(look: Look) -> tuple[str, str]:
    """Return how the values of a picture are to be read, and the values themselves.

    They are levels of 16 bits, red, green and blue side by side, packed by zlib, in base 64.
    """
    finite = np.isfinite(look.values)
    seen = look.values[finite].astype(np.float64)
    low, high = (float(seen.min()), float(seen.max())) if seen.size else (0.0, 0.0)
    whole = bool((seen == np.rint(seen)).all()) and high - low < _MISSING
    step = 1.0 if whole else (high - low) / (_MISSING - 1) or 1.0
    places = np.where(finite, look.values, low).astype(np.float64)
    levels = np.where(finite, np.rint((places - low) / step), _MISSING).astype("<u2")
    shape = ",".join(str(n) for n in (*look.values.shape, 1)[:3])
    packed = base64.b64encode(zlib.compress(levels.tobytes())).decode()
    digits = 15 if whole else 5
    return (
        f'data-shape="{shape}" data-low="{low!r}" data-step="{step!r}" data-digits="{digits}"',
        packed,
    )


def colour_bar(look: Look) -> str:
    """Return the colours of a scale, and what its ends mean, as HTML; if it has one."""
    if not look.has_scale:
        return ""
    scale = look.scale
    shares = np.linspace(0, 1, _BAR_STOPS)
    stops = ", ".join(hexadecimal(colour) for colour in along(scale.colormap, shares))
    middle = "<span>0</span>" if scale.colormap == "diverging" else ""
    low, high = number(scale.low), number(scale.high)
    return (
        f'<span style="{_BAR};background:linear-gradient(to right, {stops})"></span>'
        f'<span style="{_ENDS}"><span>{low}</span>{middle}<span>{high}</span></span>'
    )
