"""Draw the ratios to the SDK's native chat call: bars by measurement, in light and dark colours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

from .rows import Row

WIDTH, MARGIN, HEIGHT, MOST = 420, 10, 20, 1.6
NAMES, SCALE = 104, 200
SHOWN = {"SDK client": "ours", "HTTP transport": "under", "off": "off"}
"""The clients that are shown, each with its colour."""


@dataclass(frozen=True)
class Colours:
    """The colours of a scheme: of texts and of bars."""

    text: str
    quiet: str
    line: str
    ours: str
    under: str
    off: str


SCHEMES = {
    "light": Colours("#1b2733", "#44525f", "#566573", "#1d6b5f", "#3f6fb5", "#8793a0"),
    "dark": Colours("#eef2f6", "#c3ccd6", "#a3afbb", "#6fd0bf", "#8ab4f8", "#8a97a5"),
}

_ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| ([\d,.]+)(?: ([^|\s]+))? \| (?:([\d.]+)×)? *\|")


def rows_of(page: str) -> list[Row]:
    """Read the rows of bench/RESULTS.md again."""
    found = (_ROW.match(line) for line in page.splitlines())
    return [
        Row(what, who, float(figure.replace(",", "")), unit or "", float(ratio) if ratio else None)
        for what, who, figure, unit, ratio in (one.groups() for one in found if one)
    ]


def plot(rows: list[Row], scheme: str) -> str:
    """Return the rows as SVG; a line marks 1, the native call, and longer bars are cut."""
    colours = SCHEMES[scheme]
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row.ratio is not None and row.who in SHOWN:
            groups.setdefault(row.what, []).append(row)
    parts, y = [], MARGIN
    for what, shown in groups.items():
        y += HEIGHT
        parts.append(
            f'<text x="{MARGIN}" y="{y - 5}" font-weight="600" fill="{colours.text}">'
            f"{escape(what)}</text>"
        )
        top = y
        for row in shown:
            parts += _bar(row, y, colours)
            y += HEIGHT
        line = MARGIN + NAMES + SCALE / MOST * 1.0
        parts.append(
            f'<path d="M{line:g} {top}V{y}" stroke="{colours.line}" stroke-dasharray="4 3"/>'
        )
        y += 8
    parts.append(
        f'<text x="{MARGIN}" y="{y + 12}" fill="{colours.quiet}">'
        "Dashed: the SDK's native chat call. Less is better.</text>"
    )
    tall = y + 24
    return "\n".join(
        [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {tall}" '
                f'width="{WIDTH}" height="{tall}" role="img"'
            ),
            '     font-family="system-ui, sans-serif" font-size="13">',
            "  <title>What calls cost, as ratios to the SDK's native chat call</title>",
            *(f"  {part}" for part in parts),
            "</svg>",
            "",
        ]
    )


def _bar(row: Row, y: int, colours: Colours) -> list[str]:
    assert row.ratio is not None
    ratio = round(row.ratio, 2)
    left, long = MARGIN + NAMES, min(ratio, MOST) * SCALE / MOST
    fill = getattr(colours, SHOWN[row.who])
    after = left + max(long, SCALE / MOST) + 8  # beyond the line at 1
    return [
        (
            f'<text x="{left - 8}" y="{y + 14}" text-anchor="end" fill="{colours.quiet}">'
            f"{escape(row.who)}</text>"
        ),
        (
            f'<rect x="{left}" y="{y + 3}" width="{long:.1f}" height="{HEIGHT - 6}" rx="2" '
            f'fill="{fill}"/>'
        ),
        (f'<text x="{after:.1f}" y="{y + 14}" fill="{colours.text}">{ratio:.2f}×</text>'),
    ]
