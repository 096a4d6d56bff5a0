"""Draw the ratios: one bar per row, and a line at 1, the SDK's native chat call."""

from __future__ import annotations

from html import escape

from .rows import Row

WIDTH, LEFT, HEIGHT, MOST = 1000, 560, 20, 2.0


def plot(rows: list[Row]) -> str:
    """Return the rows as SVG; bars are cut at twice native, with the figure next to them."""
    shown = [row for row in rows if row.ratio is not None and row.who != "native chat"]
    scale = (WIDTH - LEFT - 80) / MOST
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" '
            f'height="{HEIGHT * len(shown) + 30}" font-family="sans-serif" font-size="12">'
        ),
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for k, row in enumerate(shown):
        assert row.ratio is not None
        y = 10 + k * HEIGHT
        long = min(row.ratio, MOST) * scale
        colour = {"SDK client": "#2563eb", "HTTP transport": "#0d9488", "off": "#9ca3af"}.get(
            row.who, "#d97706"
        )
        label = escape(f"{row.what}: {row.who}")
        lines += [
            f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{label}</text>',
            (
                f'<rect x="{LEFT}" y="{y + 3}" width="{long:.1f}" height="{HEIGHT - 6}" '
                f'fill="{colour}"/>'
            ),
            f'<text x="{LEFT + long + 6:.1f}" y="{y + 14}">{row.ratio:.2f}×</text>',
        ]
    x = LEFT + scale
    lines.append(
        f'<line x1="{x}" y1="4" x2="{x}" y2="{14 + HEIGHT * len(shown)}" '
        'stroke="#111" stroke-dasharray="4 3"/>'
    )
    return "\n".join([*lines, "</svg>", ""])
