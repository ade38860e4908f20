"""Small charts as SVG text: no script, no file beside the page, readable on light and dark ground."""

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 380, 260
LEFT, TOP, RIGHT, BOTTOM = 46, 24, 12, 44
COLOURS = ("#2f6fde", "#d9480f", "#2b8a3e", "#9c36b5", "#868e96")

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
    return _svg([*parts, _legend(list(curves))], WIDTH, HEIGHT)


def _legend(names: Sequence[str]) -> str:
    """Names above the plot, side by side."""
    step = (WIDTH - LEFT - RIGHT) / max(len(names), 1)
    colours = [COLOURS[place % len(COLOURS)] for place in range(len(names))]
    return "".join(
        f'<text x="{LEFT + step * place:.0f}" y="14" style="font-size:10px;fill:{colour}">{escape(name)}</text>'
        for place, (name, colour) in enumerate(zip(names, colours, strict=True))
    )


def bars(values: Mapping[str, float | None], *, x_label: str) -> str:
    """Horizontal bars of fractions, one a name, as percent; a dash where there is none."""
    longest = max((len(name) for name in values), default=0)
    name_width, row = min(8 * longest + 8, 240), 20
    parts: list[str] = []
    for place, (name, value) in enumerate(values.items()):
        y, length = place * row + 4, (value or 0.0) * (WIDTH - 60)
        number = "-" if value is None else f"{100 * value:.1f}"
        parts.append(
            f'<text x="{name_width - 6}" y="{y + 12}" text-anchor="end">{escape(name[:30])}</text>'
            f'<rect x="{name_width}" y="{y}" width="{length:.1f}" height="{row - 6}" fill="{COLOURS[0]}"/>'
            f'<text x="{name_width + length + 5:.1f}" y="{y + 12}">{number}</text>'
        )
    parts.append(f'<text x="{name_width}" y="{len(values) * row + 16}">{escape(x_label)}</text>')
    return _svg(parts, name_width + WIDTH, len(values) * row + 24)


def _axes(x_label: str, y_label: str, x_max: float, y_max: float) -> str:
    """Frame, grid and labels; ticks are fifths of the range, as percent."""
    parts: list[str] = []
    for step in range(6):
        x, y = _x(x_max * step / 5, x_max), _y(y_max * step / 5, y_max)
        parts.append(
            f'<path d="M{x:.1f},{TOP}V{HEIGHT - BOTTOM}M{LEFT},{y:.1f}H{WIDTH - RIGHT}" class="grid"/>'
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{100 * x_max * step / 5:.0f}</text>'
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{100 * y_max * step / 5:.0f}</text>'
        )
    middle = (TOP + HEIGHT - BOTTOM) / 2
    return "".join(parts) + (
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_label)}</text>'
        f'<text x="12" y="{middle}" text-anchor="middle" transform="rotate(-90 12 {middle})">{escape(y_label)}</text>'
    )


def _x(value: float, largest: float) -> float:
    return LEFT + value / largest * (WIDTH - LEFT - RIGHT)


def _y(value: float, largest: float) -> float:
    return HEIGHT - BOTTOM - value / largest * (HEIGHT - TOP - BOTTOM)


def _svg(parts: Sequence[str], width: float, height: float) -> str:
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" role="img">'
        f"{''.join(parts)}</svg>"
    )
