"""The sections of an audit's page that list models: their verdicts and their shutdown dates."""

from __future__ import annotations

from .html_parts import CSS_CLASSES, VERDICT_TEXT, details, escape, plot_row, section, svg_bar
from .number_format import percent, plural, spaced
from .report import Document
from .verdicts import VERDICT_KINDS


def models_section(document: Document) -> str:
    """Return the section with a bar per model; empty without models."""
    if not document["models"]:
        return ""
    rows = []
    for row in document["models"]:
        count = row["requests"]
        bar = svg_bar(
            [
                (row["fates"].get(fate, 0), CSS_CLASSES[fate], VERDICT_TEXT[fate][0])
                for fate in VERDICT_KINDS
            ],
            max(1, count),
        )
        moving = row["fates"].get("as it is", 0) + row["fates"].get("with changes", 0)
        badges = []
        if row["chat_only"]:
            badges.append("<span class=badge>Chat only</span>")
        if row["one_way"]:
            label = f"Responses-only: {spaced(row['one_way']['requests'])}"
            badges.append(
                f'<span class="badge warm" title="{escape(row["one_way"]["why"])}">{label}</span>'
            )
        if row["shutdown"]:
            kind = "hot" if row["gone"] else "warm"
            when = "was shut down" if row["gone"] else "shuts down"
            badges.append(f'<span class="badge {kind}">{when} {row["shutdown"]}</span>')
        note = f"{spaced(count)} {'request' if count == 1 else 'requests'} {' '.join(badges)}"
        rows.append(
            plot_row(
                f"<code>{escape(row['model'])}</code>",
                bar,
                percent(100 * moving / max(1, count)),
                note,
            )
        )
    shown, rest = rows[:12], rows[12:]
    more = (
        details(plural(len(rest), "more model"), f"<div class=plot>{''.join(rest)}</div>")
        if rest
        else ""
    )
    reasons = sorted({row["one_way"]["why"] for row in document["models"] if row["one_way"]})
    note = (
        f"<p class=note>Responses-only: {escape('; '.join(reasons))}. "
        "These calls never fall back to Chat.</p>"
        if reasons
        else ""
    )
    return section(
        "Models",
        "Each bar is all requests of one model; the figure is the share that would move today.",
        f"<div class=plot>{''.join(shown)}</div>{more}{note}",
    )


def shutdowns_section(document: Document) -> str:
    """Return the section with a bar per shutdown date; empty without dates."""
    if not document["shutdowns"]:
        return ""
    most = max(row["requests"] for row in document["shutdowns"])
    rows = []
    for row in document["shutdowns"]:
        models = ", ".join(
            f"<code>{escape(name)}</code>"
            for name, _ in sorted(row["models"].items(), key=lambda one: (-one[1], one[0]))
        )
        kind = "f4" if row["gone"] else "f2"
        when = f"{row['date']}{' · past' if row['gone'] else ''}"
        rows.append(
            plot_row(
                when,
                svg_bar([(row["requests"], kind, "requests")], most),
                spaced(row["requests"]),
                models,
            )
        )
    return section(
        "Models with a shutdown date",
        f"Known shutdown dates, as of {document['date']}.",
        f"<div class=plot>{''.join(rows)}</div>",
    )
