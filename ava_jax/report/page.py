"""The frame of all HTML pages: one file, no network, light and dark."""

import base64
import html
import json
from collections.abc import Sequence
from typing import Any

from ava_jax.report import style

NUMBER = ' class="number"'  # of a table's cell

_CSS = """
:root { color-scheme: light dark; --paper: #fff; --card: #f4f5f7; --ink: #1c1e21;
  --soft: #5b616b; --line: #d9dce1; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181c; --card: #212429; --ink: #e8eaed; --soft: #a3a9b3;
    --line: #3c4048; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 75rem; padding: 1.5rem 1rem 3rem;
  background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  overflow-wrap: anywhere; }
h1 { margin: 0 0 1rem; font-size: 1.6rem; line-height: 1.2; }
h2 { margin: 2.5rem 0 .5rem; font-size: 1.2rem; }
p { margin: .5rem 0; max-width: 46rem; }
.soft { color: var(--soft); }
.cards { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1rem 0; }
.card { flex: 1 1 10rem; padding: .75rem 1rem; border-radius: .5rem;
  background: var(--card); }
.card b { display: block; font-size: 2rem; line-height: 1.2;
  font-variant-numeric: tabular-nums; }
.card.main { flex-grow: 2; outline: 2px solid var(--line); }
.chips { display: flex; flex-wrap: wrap; gap: .4rem; margin: .75rem 0; }
.chip { padding: 0 .5rem; border-radius: .25rem; font-size: .85rem; }
.gallery { display: grid; gap: 1rem; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); }
figure { margin: 0; }
figcaption { font-size: .85rem; color: var(--soft); }
img { display: block; width: 100%; height: auto; border-radius: .25rem; }
.chart { max-width: 46rem; }
.beside { display: grid; gap: 1.5rem 2rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
table { width: 100%; border-collapse: collapse; font-size: .9rem; }
th, td { padding: .25rem .5rem; border-bottom: 1px solid var(--line);
  text-align: left; vertical-align: top; }
thead th { color: var(--soft); font-weight: 600; }
tbody th { font-weight: 400; }
.wide { overflow-x: auto; }
tbody th { min-width: 7rem; }
.small { grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); }
.controls { display: flex; flex-wrap: wrap; gap: .5rem 1.25rem; margin: .75rem 0;
  align-items: center; font-size: .9rem; }
select, input, button { max-width: 100%; padding: .25rem .5rem; font: inherit;
  font-size: .9rem; color: var(--ink); background: var(--card);
  border: 1px solid var(--line); border-radius: .25rem; }
button { cursor: pointer; text-align: left; }
[hidden] { display: none !important; }
.number { text-align: right; overflow-wrap: normal;
  font-variant-numeric: tabular-nums; }
@media (max-width: 30rem) {
  body { padding: 1rem .75rem 2rem; }
  table { font-size: .75rem; }
  th, td { padding: .25rem .2rem; }
  tbody th { min-width: 4.75rem; }
  .small { gap: .75rem; grid-template-columns: 1fr 1fr; } }
@media print { body { max-width: none; } figure { break-inside: avoid; } }
"""


def document(title: str, body: str, css: str = "", script: str = "") -> str:
    """A whole HTML page.

    Args:
      title: text.
      body: HTML.
      css: of this page alone.
      script: JavaScript to run when the body is there.
    """
    title = html.escape(title)
    script = f"<script>\n{script}</script>\n" if script else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{_CSS}{css}</style>
</head>
<body>
<h1>{title}</h1>
{body}
{script}</body>
</html>
"""


def data(name: str, value: Any) -> str:
    """Numbers and texts for a script, which finds them as JSON by their name."""
    # "</script>" in a text would end it.
    text = json.dumps(value, separators=(",", ":")).replace("<", r"\u003c")
    return f'<script type="application/json" id="{name}">{text}</script>'


def section(title: str, body: str) -> str:
    """A part of the page; `body` is HTML, `title` is text."""
    return f"<section>\n<h2>{html.escape(title)}</h2>\n{body}\n</section>"


def picture(image: bytes, description: str, dark: bytes | None = None) -> str:
    """An image inside the page.

    Args:
      image: a PNG or JPEG file.
      description: for those who don't see it; text.
      dark: shown instead when the reader prefers dark pages.
    """
    tag = f'<img src="{_data_url(image)}" alt="{html.escape(description)}">'
    if dark is None:
        return tag
    media = "(prefers-color-scheme: dark)"
    source = f'<source media="{media}" srcset="{_data_url(dark)}">'
    return f"<picture>{source}{tag}</picture>"


def chip(text: str, color: style.Color) -> str:
    """A word on a coloured ground, as captions in pictures have it."""
    ink = style.hex_color(style.ink_on(color))
    css = f"background:{style.hex_color(color)};color:{ink}"
    return f'<span class="chip" style="{css}">{html.escape(text)}</span>'


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of text; the first column names the row, the others are numbers."""

    def row(tag: str, scope: str, cells: Sequence[str]) -> str:
        first = f'<th scope="{scope}">{html.escape(cells[0])}</th>'
        scope = ' scope="col"' if tag == "th" else ""
        rest = (
            f"<{tag}{scope}{NUMBER}>{html.escape(cell)}</{tag}>" for cell in cells[1:]
        )
        return f"<tr>{first}{''.join(rest)}</tr>"

    body = "\n".join(row("td", "row", cells) for cells in rows)
    return (
        f'<div class="wide"><table>\n<thead>{row("th", "col", header)}</thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def share(value: float | None) -> str:
    """An AP or another share as text, of three digits."""
    return "n/a" if value is None else f"{value:.3f}"


def _data_url(image: bytes) -> str:
    kind = "png" if image.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
