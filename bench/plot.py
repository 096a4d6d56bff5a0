"""The ratios as a picture: one bar for each row that has one, the SDK's native chat call being the line at 1."""

from __future__ import annotations

from html import escape

from .rows import Row

WIDTH, LEFT, HEIGHT, MOST = 1000, 560, 20, 2.0


def plot(rows: list[Row]) -> str:
    """Draw the rows as SVG; bars longer than twice native are cut, their figure stands beside them."""
    shown = [row for row in rows if row.ratio is not None and row.who != "native chat"]
    scale = (WIDTH - LEFT - 80) / MOST
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT * len(shown) + 30}" font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for k, row in enumerate(shown):
        assert row.ratio is not None
        y = 10 + k * HEIGHT
        long = min(row.ratio, MOST) * scale
        colour = {"client way_in": "#2563eb", "wire way_in": "#0d9488", "off": "#9ca3af"}.get(
            row.who, "#d97706"
        )
        label = escape(f"{row.what}: {row.who}")
        lines += [
            f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{label}</text>',
            f'<rect x="{LEFT}" y="{y + 3}" width="{long:.1f}" height="{HEIGHT - 6}" fill="{colour}"/>',
            f'<text x="{LEFT + long + 6:.1f}" y="{y + 14}">{row.ratio:.2f}×</text>',
        ]
    x = LEFT + scale
    lines.append(
        f'<line x1="{x}" y1="4" x2="{x}" y2="{14 + HEIGHT * len(shown)}" stroke="#111" stroke-dasharray="4 3"/>'
    )
    return "\n".join([*lines, "</svg>", ""])
