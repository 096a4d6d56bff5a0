"""Boxes, texts and arrows of a diagram, as SVG, in one of two colour schemes."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from html import escape

WIDTH, MARGIN, PAD, LINE = 420, 10, 12, 18
FONT, MONO = "system-ui, sans-serif", "ui-monospace, Menlo, Consolas, monospace"
WIDE, WIDE_MONO = 7.5, 8.1
"""The width of a letter, in pixels, with room to spare: fonts differ."""


@dataclass(frozen=True)
class Scheme:
    """The colours of a scheme: of text, of lines, and of boxes by kind (fill, edge)."""

    text: str
    quiet: str
    line: str
    boxes: dict[str, tuple[str, str]]


SCHEMES = {
    "light": Scheme(
        text="#1b2733",
        quiet="#44525f",
        line="#566573",
        boxes={
            "theirs": ("#f1f4f8", "#9aa8bb"),
            "ours": ("#e3f3ef", "#1d6b5f"),
            "choice": ("#fdf3dc", "#a8741a"),
            "stays": ("#f8e6e4", "#b3544a"),
        },
    ),
    "dark": Scheme(
        text="#eef2f6",
        quiet="#c3ccd6",
        line="#a3afbb",
        boxes={
            "theirs": ("#2b3340", "#7c8a9c"),
            "ours": ("#163f39", "#6fd0bf"),
            "choice": ("#453617", "#d9a648"),
            "stays": ("#4a2824", "#e08a80"),
        },
    ),
}


@dataclass
class Drawing:
    """A diagram that grows downwards."""

    title: str
    scheme: Scheme
    height: int = MARGIN
    parts: list[str] = field(default_factory=list)

    def text(
        self, x: float, y: float, words: str, *, bold: bool = False, mono: bool = False,
        quiet: bool = False, middle: bool = False,
    ) -> None:  # fmt: skip
        """Write one line."""
        looks = [f'fill="{self.scheme.quiet if quiet else self.scheme.text}"']
        looks += ['font-weight="600"'] if bold else []
        looks += [f'font-family="{MONO}"', 'font-size="13"'] if mono else []
        looks += ['text-anchor="middle"'] if middle else []
        self.parts.append(f'<text x="{x:g}" y="{y:g}" {" ".join(looks)}>{escape(words)}</text>')

    def box(
        self, kind: str, head: str, lines: list[tuple[str, bool]], *,
        left: float = MARGIN, width: float = WIDTH - 2 * MARGIN,
    ) -> float:  # fmt: skip
        """Draw a box at the present height; return its height. Lines are (text, monospaced)."""
        wrapped = [
            (piece, mono)
            for words, mono in lines
            for piece in textwrap.wrap(
                words,
                int((width - 2 * PAD) / (WIDE_MONO if mono else WIDE)),
                break_long_words=False,
                break_on_hyphens=False,
            )
        ]
        tall = PAD * 2 + LINE * (len(wrapped) + 1) - 4
        fill, edge = self.scheme.boxes[kind]
        self.parts.append(
            f'<rect x="{left:g}" y="{self.height}" width="{width:g}" height="{tall}" rx="7" '
            f'fill="{fill}" stroke="{edge}" stroke-width="1.5"/>'
        )
        self.text(left + PAD, self.height + PAD + 11, head, bold=True)
        for row, (words, mono) in enumerate(wrapped, 1):
            self.text(
                left + PAD, self.height + PAD + 11 + LINE * row, words, mono=mono, quiet=not mono
            )
        return tall

    def arrow(self, x: float, top: float, bottom: float) -> None:
        """Draw an arrow, downwards or upwards."""
        away = 6 if bottom > top else -6
        self.parts.append(
            f'<path d="M{x:g} {top:g}V{bottom - away:g}M{x - 5:g} {bottom - away * 1.5:g}'
            f'L{x:g} {bottom:g}L{x + 5:g} {bottom - away * 1.5:g}" fill="none" '
            f'stroke="{self.scheme.line}" stroke-width="1.8"/>'
        )

    def svg(self) -> str:
        """Return the picture."""
        tall = self.height + MARGIN
        return "\n".join(
            [
                (
                    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {tall}" '
                    f'width="{WIDTH}" height="{tall}" role="img"'
                ),
                f'     font-family="{FONT}" font-size="14">',
                f"  <title>{escape(self.title)}</title>",
                *(f"  {part}" for part in self.parts),
                "</svg>",
                "",
            ]
        )
