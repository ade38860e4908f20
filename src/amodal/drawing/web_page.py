"""The shell of the pages that are written: one HTML file with everything inside it, to be mailed or kept."""

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

from PIL import Image

from amodal.files import replacing

STYLE = """
:root { color-scheme: light dark; --ink: #1d2433; --paper: #fbfbf9; --line: #d8d9d4; --bar: #3c7dd9; --cell: #ededea }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e6eb; --paper: #16181d; --line: #343842; --bar: #5b9bf3; --cell: #22252c } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 1400px; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem; overflow-wrap: anywhere }
h2 { font-size: 1.15rem; margin-top: 2.2rem; border-top: 1px solid var(--line); padding-top: 1rem }
.note { opacity: .75; font-size: .9rem }
table { border-collapse: collapse; margin: .7rem 0 }
td, th { padding: .2rem .7rem; border-bottom: 1px solid var(--line); text-align: right; font-weight: normal }
th { font-weight: 600 } td:first-child, th:first-child { text-align: left }
table.text td { border: 0; text-align: left; vertical-align: top; padding: 0 1.2rem 0 0 }
svg { max-width: 100%; height: auto } svg text { font-size: 12px; fill: var(--ink) } svg .small { font-size: 9.5px }
.bar { fill: var(--bar) } .cell { fill: var(--cell) } .grid { stroke: var(--line); fill: none }
.row { display: flex; flex-wrap: wrap; gap: 1.5rem } .scroll { overflow-x: auto } .scroll svg { max-width: none }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 14px }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 290px), 1fr)); gap: 14px }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 380px), 1fr)); gap: 14px }
.halves { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 560px), 1fr)); gap: 0 2.5rem }
.halves > * { min-width: 0 } .halves td, .halves th { padding: .15rem .45rem; font-size: 14px }
.halves table:not(.text) :is(td, th) { white-space: nowrap } h3 { font-size: 1rem; margin-bottom: .5rem }
summary { cursor: pointer; margin: .7rem 0 }
.shapes { display: grid; grid-template-columns: repeat(auto-fill, minmax(96px, 1fr)); gap: 10px }
figure { margin: 0 } figcaption { font-size: 12px; overflow-wrap: anywhere }
figure img { width: 100%; border-radius: 4px; display: block } .shapes img { width: 84px }
"""


def write(path: str | Path, title: str, parts: Sequence[str]) -> None:
    """Writes the page, whole or not at all; `parts` are HTML, the title is text."""
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1>{''.join(parts)}</body></html>\n"
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of numbers, its first column names; of texts, where it has no head."""
    titles = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{titles}</tr>{body}</table>" if head else f'<table class="text">{body}</table>'


def figure(picture: Image.Image, caption: str, kind: str = "JPEG") -> str:
    """A picture with a line below it; JPEG for photographs, PNG for shapes."""
    stored = io.BytesIO()
    picture.save(stored, kind, **({"quality": 82} if kind == "JPEG" else {"optimize": True}))
    address = f"data:image/{kind.lower()};base64,{base64.b64encode(stored.getvalue()).decode('ascii')}"
    text = escape(caption)
    return f'<figure><img src="{address}" alt="{text}"><figcaption>{text}</figcaption></figure>'
