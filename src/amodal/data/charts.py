"""Small charts as SVG text, for pages that need no script and no file beside them. Colours come from the page."""

from collections.abc import Sequence
from html import escape

import numpy as np

ROW, LABEL, PLOT = 18, 190, 360
"""Pixels: height of a bar's row, width for its label, length of the longest bar."""


def bars(labels: Sequence[str], values: Sequence[float]) -> str:
    """Horizontal bars, each with its label and its value."""
    longest = max(values, default=0) or 1
    rows = []
    for index, (label, value) in enumerate(zip(labels, values, strict=True)):
        y, width = index * ROW, PLOT * value / longest
        rows.append(
            f'<text x="{LABEL - 6}" y="{y + 13}" text-anchor="end">{escape(_short(label, 26))}</text>'
            f'<rect class="bar" x="{LABEL}" y="{y + 3}" width="{width:.1f}" height="{ROW - 5}" rx="2"/>'
            f'<text x="{LABEL + width + 5:.1f}" y="{y + 13}">{value:,}</text>'
        )
    return _svg(LABEL + PLOT + 60, max(len(rows), 1) * ROW, "".join(rows))


def histogram(counts: Sequence[int], edges: Sequence[float], axis: str) -> str:
    """Upright bars between the edges (one more than counts), with the axis' name below."""
    height, step = 150, 460 / max(len(counts), 1)
    tallest = max(counts, default=0) or 1
    parts = []
    for index, count in enumerate(counts):
        length = height * count / tallest
        x = 10 + index * step
        top = 18 + height - length
        parts.append(
            f'<rect class="bar" x="{x:.1f}" y="{top:.1f}" width="{step - 2:.1f}" height="{length:.1f}">'
            f"<title>{edges[index]:g} to {edges[index + 1]:g}: {count:,}</title></rect>"
        )
        if count:
            middle = x + step / 2
            parts.append(f'<text class="small" x="{middle:.1f}" y="{top - 4:.1f}" {_MIDDLE}>{count:,}</text>')
    for index, edge in enumerate(edges):
        parts.append(f'<text class="small" x="{10 + index * step:.1f}" y="{height + 32}" {_MIDDLE}>{edge:g}</text>')
    parts.append(f'<text x="240" y="{height + 52}" {_MIDDLE}>{escape(axis)}</text>')
    return _svg(490, height + 60, "".join(parts))


_MIDDLE = 'text-anchor="middle"'


def matrix(labels: Sequence[str], values: np.ndarray, rows: str, columns: str) -> str:
    """A square table of counts (K, K) as shades, the count in each cell."""
    cell, left, top = 26, 170, 130
    largest = int(values.max(initial=0)) or 1
    parts = [f'<text x="0" y="12">rows: {escape(rows)}; columns: {escape(columns)}</text>']
    for row, label in enumerate(labels):
        middle = row * cell + cell / 2
        name = escape(_short(label, 20))
        parts.append(f'<text x="{left - 6}" y="{top + middle + 4}" text-anchor="end">{name}</text>')
        x = left + middle + 4
        parts.append(f'<text transform="translate({x},{top - 6}) rotate(-60)">{escape(_short(label, 16))}</text>')
        for column, count in enumerate(values[row].tolist()):
            x, y = left + column * cell, top + row * cell
            shade = (count / largest) ** 0.5
            parts.append(f'<rect class="cell" x="{x}" y="{y}" width="{cell - 1}" height="{cell - 1}"/>')
            parts.append(
                f'<rect class="bar" x="{x}" y="{y}" width="{cell - 1}" height="{cell - 1}" opacity="{shade:.2f}">'
                f"<title>{escape(label)}, {escape(labels[column])}: {count:,}</title></rect>"
            )
            if count:
                text = f"{count:,}" if count < 1000 else f"{count // 1000}k"
                x, y = x + cell / 2, y + 17
                parts.append(f'<text class="small" x="{x}" y="{y}" {_MIDDLE}>{text}</text>')
    side = len(labels) * cell
    return _svg(left + side + 60, top + side + 4, "".join(parts))


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _svg(width: float, height: float, content: str) -> str:
    return f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" role="img">{content}</svg>'
