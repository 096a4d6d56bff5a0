"""The parts that the HTML page of an audit is made of: sections, plots and tables."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from adapter._util.safe_names import visible

from .number_format import spaced

CSS_CLASSES = {
    "as it is": "f0",
    "with changes": "f1",
    "with settings": "f2",
    "with breaking settings": "f5",
    "stays": "f3",
    "refused": "f4",
}
"""The CSS class of each kind of verdict."""

VERDICT_TEXT = {
    "as it is": ("move as they are", "nothing is lost"),
    "with changes": ("move, with changes", "see the conversion report"),
    "with settings": ("would move with a setting", "see below which"),
    "with breaking settings": ("would move with a breaking setting", "without what programs read"),
    "stays": ("kept on Chat Completions", "whatever the settings"),
    "refused": ("would be errors", "neither API can serve them as they are"),
}
"""What happens to requests with each kind of verdict, and a remark."""


def escape(text: object) -> str:
    """Escape a text for HTML, with control characters made visible."""
    return html.escape(visible(str(text)))


def section(title: str, lead: str, body: str) -> str:
    """Return a section of the page; `lead` and `body` are HTML."""
    intro = f"<p class=lead>{lead}</p>" if lead else ""
    return f"<section><h2>{title}</h2>{intro}{body}</section>"


def plot_row(label: str, bar: str, figure: str, note: str) -> str:
    """Return a row of a plot; the arguments are HTML."""
    return (
        f"<div class=row><span class=label>{label}</span><span class=figure>{figure}</span>"
        f"{bar}<small>{note}</small></div>"
    )


def svg_bar(parts: Iterable[tuple[int, str, str]], total: int, *, height: int = 6) -> str:
    """Return an SVG bar of `parts` (count, CSS class, label), each as wide as its share of `total`.

    The drawing stretches to the width of its container.
    """
    drawn, at, labels = [], 0.0, []
    for count, kind, word in parts:
        if count:
            width = 1000 * count / max(1, total)
            drawn.append(
                f'<rect class="{kind}" x="{at:.2f}" width="{max(width, 1):.2f}" height="{height}"/>'
            )
            labels.append(f"{spaced(count)} {word}")
            at += width
    label = escape(", ".join(labels) or "none")
    return (
        f'<svg class=bar viewBox="0 0 1000 {height}" preserveAspectRatio="none" '
        f'style="height:{height * 1.6:.0f}px" role="img" aria-label="{label}">'
        f'<rect class=rail width="1000" height="{height}"/>{"".join(drawn)}</svg>'
    )


def html_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; cells are HTML. Columns of figures are aligned to the right."""
    right = [all(row[i].lstrip("+≈ ")[:1].isdigit() for row in rows) for i in range(len(columns))]
    kinds = [" class=num" if one else "" for one in right]
    head = "".join(
        f"<th scope=col{kind}>{escape(name)}</th>"
        for name, kind in zip(columns, kinds, strict=True)
    )
    # On narrow screens the columns stack, and each figure shows its column's name.
    of = [f' data-of="{escape(name)}"' if name else "" for name in columns]
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{kind}{name}>{cell}</td>" for cell, kind, name in zip(row, kinds, of, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f"<div class=scroll tabindex=0><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def details(summary: str, body: str) -> str:
    """Return a part that is closed until the reader opens it; `body` is HTML."""
    return f"<details><summary>{escape(summary)}</summary>{body}</details>"
