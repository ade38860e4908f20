"""Small charts as SVG text: no script, no file beside the page. Their colours stand in `web_page.STYLE`."""

from collections.abc import Callable, Mapping, Sequence
from html import escape

import numpy as np

WIDTH, HEIGHT = 380, 260
LEFT, TOP, RIGHT, BOTTOM = 46, 24, 12, 44
"""Of `lines`: the whole, and what is left for numbers and names around the plot."""
ROW, LABEL, PLOT = 18, 190, 360
"""Pixels: height of a bar's row, width for its label, length of the longest bar."""
COLOURS = ("#2f6fde", "#d9480f", "#2b8a3e", "#9c36b5", "#868e96")
_MIDDLE, _END = 'text-anchor="middle"', 'text-anchor="end"'

Points = Sequence[tuple[float, float]]


def lines(curves: Mapping[str, Points], *, x_label: str, y_label: str, x_max: float = 1.0, y_max: float = 1.0) -> str:
    """Curves over [0, x_max] x [0, y_max] with a legend above; up to five."""
    parts = [_axes(x_label, y_label, x_max, y_max)]
    for place, points in enumerate(curves.values()):
        colour = COLOURS[place % len(COLOURS)]
        path = " ".join(f"{_x(x, x_max):.1f},{_y(y, y_max):.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if len(points) <= len(COLOURS):
            parts += [
                f'<circle cx="{_x(x, x_max):.1f}" cy="{_y(y, y_max):.1f}" r="3" fill="{colour}"/>' for x, y in points
            ]
    return _svg(WIDTH, HEIGHT, [*parts, _legend(list(curves))])


def _legend(names: Sequence[str]) -> str:
    """Names above the plot, side by side."""
    step = (WIDTH - LEFT - RIGHT) / max(len(names), 1)
    colours = [COLOURS[place % len(COLOURS)] for place in range(len(names))]
    return "".join(
        f'<text class="small" x="{LEFT + step * place:.0f}" y="14" style="fill:{colour}">{escape(name)}</text>'
        for place, (name, colour) in enumerate(zip(names, colours, strict=True))
    )


def _axes(x_label: str, y_label: str, x_max: float, y_max: float) -> str:
    """Frame, grid and labels; ticks are fifths of the range, as percent."""
    parts: list[str] = []
    for step in range(6):
        x, y = _x(x_max * step / 5, x_max), _y(y_max * step / 5, y_max)
        parts.append(
            f'<path d="M{x:.1f},{TOP}V{HEIGHT - BOTTOM}M{LEFT},{y:.1f}H{WIDTH - RIGHT}" class="grid"/>'
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" {_MIDDLE}>{100 * x_max * step / 5:.0f}</text>'
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" {_END}>{100 * y_max * step / 5:.0f}</text>'
        )
    middle = (TOP + HEIGHT - BOTTOM) / 2
    return "".join(parts) + (
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" {_MIDDLE}>{escape(x_label)}</text>'
        f'<text x="12" y="{middle}" {_MIDDLE} transform="rotate(-90 12 {middle})">{escape(y_label)}</text>'
    )


def _x(value: float, largest: float) -> float:
    return LEFT + value / largest * (WIDTH - LEFT - RIGHT)


def _y(value: float, largest: float) -> float:
    return HEIGHT - BOTTOM - value / largest * (HEIGHT - TOP - BOTTOM)


def bars(
    labels: Sequence[str],
    values: Sequence[float | None],
    *,
    longest: float | None = None,
    number: Callable[[float], str] = "{:,}".format,
    x_label: str = "",
) -> str:
    """Horizontal bars, each with its label and its value; a dash where there is none, no bar below 0.

    Args:
        labels: What each bar is about.
        values: Their lengths.
        longest: The value of a bar of full length; None for the largest.
        number: How a value is written.
        x_label: What the values are, below the bars.
    """
    longest = longest or max((value for value in values if value is not None), default=0) or 1
    rows = []
    for index, (label, value) in enumerate(zip(labels, values, strict=True)):
        y, width = index * ROW, PLOT * max(value or 0, 0) / longest
        rows.append(
            f'<text x="{LABEL - 6}" y="{y + 13}" {_END}>{escape(_short(label, 26))}</text>'
            f'<rect class="bar" x="{LABEL}" y="{y + 3}" width="{width:.1f}" height="{ROW - 5}" rx="2"/>'
            f'<text x="{LABEL + width + 5:.1f}" y="{y + 13}">{"-" if value is None else number(value)}</text>'
        )
    below = max(len(labels), 1) * ROW
    if x_label:
        rows.append(f'<text x="{LABEL}" y="{below + 16}">{escape(x_label)}</text>')
    return _svg(LABEL + PLOT + 60, below + (24 if x_label else 0), rows)


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
    return _svg(490, height + 60, parts)


def matrix(rows: Sequence[str], columns: Sequence[str], values: np.ndarray, title: str) -> str:
    """A table of counts, int (rows, columns), as shades, the count in each cell; `title` says what both are."""
    cell, left, top = 26, 170, 130
    largest = int(values.max(initial=0)) or 1
    parts = [f'<text x="0" y="12">{escape(title)}</text>']
    for place, label in enumerate(columns):
        x = left + place * cell + cell / 2 + 4
        parts.append(f'<text transform="translate({x},{top - 6}) rotate(-60)">{escape(_short(label, 16))}</text>')
    for row, label in enumerate(rows):
        y = top + row * cell
        parts.append(f'<text x="{left - 6}" y="{y + cell / 2 + 4}" {_END}>{escape(_short(label, 20))}</text>')
        for column, count in enumerate(values[row].tolist()):
            x = left + column * cell
            shade = (count / largest) ** 0.5
            parts.append(
                f'<rect class="cell" x="{x}" y="{y}" width="{cell - 1}" height="{cell - 1}"/>'
                f'<rect class="bar" x="{x}" y="{y}" width="{cell - 1}" height="{cell - 1}" opacity="{shade:.2f}">'
                f"<title>{escape(label)}, {escape(columns[column])}: {count:,}</title></rect>"
            )
            if count:
                text = f"{count:,}" if count < 1000 else f"{count // 1000}k"
                parts.append(f'<text class="small" x="{x + cell / 2}" y="{y + 17}" {_MIDDLE}>{text}</text>')
    return _svg(left + len(columns) * cell + 60, top + len(rows) * cell + 4, parts)


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _svg(width: float, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" role="img">'
        f"{''.join(parts)}</svg>"
    )
