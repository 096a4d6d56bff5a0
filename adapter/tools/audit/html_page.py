"""Write the report of an audit as one self-contained HTML page, without scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .css import CSS
from .html_models import models_section, shutdowns_section
from .html_parts import (
    CSS_CLASSES,
    VERDICT_TEXT,
    details,
    escape,
    html_table,
    plot_row,
    section,
    svg_bar,
)
from .number_format import percent, plural, spaced
from .report import REPLY_MAY_DIFFER, Document, settings_toml

_MAX_ROWS = 40  # of a plot; the tables below have the others


def page(document: Document) -> str:
    """Return the page for a report (`report.report`, with `logs`, the number of logs)."""
    total = document["requests"]
    sections = [_head(document)]
    if total:
        sections += [
            _steps(document),
            _breaking_steps(document),
            _held(document),
            models_section(document),
            shutdowns_section(document),
            _features(document),
            _multiple_choices(document),
            _tokens(document),
            _ledger(document),
            _parameters(document),
            _rules(document),
        ]
    sections += [_bad(document), _foot(document)]
    return _DOCUMENT.format(
        style=CSS, title=_title(document), body="\n".join(filter(None, sections))
    )


_DOCUMENT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="robots" content="noindex">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def _title(document: Document) -> str:
    share, requests = document["moves"]["share"], document["requests"]
    return f"{percent(share)} of {spaced(requests)} chat requests would move"


def _head(document: Document) -> str:
    total, moves = document["requests"], document["moves"]
    logs = document.get("logs")
    source = f" in {spaced(logs)} {'log' if logs == 1 else 'logs'}" if logs else ""
    if not total:
        return (
            f"<header><p class=over>Audit of chat requests{source}</p>"
            "<h1>No chat requests found</h1></header>"
        )
    more = document["fates"]["with settings"]["requests"]
    then = (
        f" {percent(100 * moves['with_settings'] / total)} would with the settings below."
        if more
        else ""
    )
    keys = "".join(
        f'<li><span class="key {CSS_CLASSES[fate]}"></span>'
        f"<span><b>{spaced(row['requests'])}</b> {VERDICT_TEXT[fate][0]}"
        f"<small>{percent(row['share'])} · {VERDICT_TEXT[fate][1]}</small></span></li>"
        for fate, row in document["fates"].items()
        if row["requests"]
    )
    bar = svg_bar(
        [
            (row["requests"], CSS_CLASSES[fate], VERDICT_TEXT[fate][0])
            for fate, row in document["fates"].items()
        ],
        total,
        height=10,
    )
    return f"""<header>
<p class=over>Chat Completions → Responses API · {spaced(total)} logged requests{source}</p>
<h1>{percent(moves["share"])} would move today</h1>
<p class=lead>{spaced(moves["now"])} of {spaced(total)} requests can go to the Responses API \
with the current settings.{then}</p>
{bar}
<ul class=keys>{keys}</ul>
</header>"""


def _steps(document: Document) -> str:
    steps, total, now = document["steps"], document["requests"], document["moves"]["now"]
    if not steps:
        return ""
    first = plot_row(
        "<code>today</code>",
        svg_bar([(now, "f0", "move today")], total),
        percent(100 * now / total),
        "",
    )
    safe = [
        name
        for step in steps
        for name, what in zip(step["settings"], step["effects"], strict=True)
        if what != REPLY_MAY_DIFFER
    ]
    lines = ""
    if safe:
        left_out = len({name for step in steps for name in step["settings"]} - set(safe))
        note = "Add them to your settings."
        if left_out:
            settings = plural(left_out, "setting")
            note += f" Not among them: {settings} with which the reply may differ."
        toml = escape(settings_toml(dict.fromkeys(safe)))
        lines = details(
            "These settings, as lines of adapter.toml",
            f"<pre>{toml}</pre><p class=note>{note}</p>",
        )
    return section(
        "What would move more",
        "Each step adds the setting that moves most, given those before it. "
        "Dropping and emulating is opt-in: read what each one does.",
        f"<div class=plot>{first}{_step_rows(steps, now, total, 'f2')}</div>{lines}",
    )


def _breaking_steps(document: Document) -> str:
    steps = document["breaking_steps"]
    if not steps:
        return ""
    before, total = document["moves"]["with_settings"], document["requests"]
    return section(
        "Requests that only breaking settings would move",
        "The API accepts these requests, but the reply lacks something programs read. "
        "They aren't among the figures above; the steps come after all of those.",
        f"<div class=plot>{_step_rows(steps, before, total, 'f5')}</div>",
    )


def _step_rows(steps: Sequence[Mapping[str, Any]], before: int, total: int, kind: str) -> str:
    rows = []
    for step in steps[:_MAX_ROWS]:
        bar = svg_bar([(before, "f0 dim", "before"), (step["more"], kind, "more")], total)
        names = " + ".join(f"<code>{escape(name)}</code>" for name in step["settings"])
        effects = "; ".join(dict.fromkeys(step["effects"]))
        rows.append(
            plot_row(
                names, bar, percent(step["share"]), f"+{spaced(step['more'])} · {escape(effects)}"
            )
        )
        before = step["moves"]
    return "".join(rows)


def _held(document: Document) -> str:
    if not document["held"]:
        return ""
    most = max(row["requests"] for row in document["held"])
    rows = "".join(
        plot_row(
            f"<code>{escape(row['name'])}</code>",
            svg_bar([(row["requests"], "f3", "requests")], most),
            f"{spaced(row['requests'])} <i>{percent(row['share'])}</i>",
            "",
        )
        for row in document["held"][:_MAX_ROWS]
    )
    kept = ""
    if document["kept"]:
        kept = "<h3>No setting moves these</h3>" + html_table(
            ("where", "why", "requests"),
            [
                (
                    f"<code>{escape(row['path'])}</code>",
                    escape(row["why"]),
                    spaced(row["requests"]),
                )
                for row in document["kept"]
            ],
        )
    return section(
        "What keeps requests on Chat Completions",
        "By parameter, or by path in the request. A request may be kept by several.",
        f"<div class=plot>{rows}</div>{kept}",
    )


def _features(document: Document) -> str:
    if not document["features"]:
        return ""
    most = max(row["requests"] for row in document["features"])
    rows = "".join(
        plot_row(
            escape(row["feature"]),
            svg_bar(
                [
                    (row["moves"], "f0", "move today"),
                    (row["requests"] - row["moves"], "f3", "don't"),
                ],
                most,
            ),
            spaced(row["requests"]),
            f"{percent(100 * row['moves'] / row['requests'])} move today",
        )
        for row in document["features"]
    )
    return section(
        "What requests use", "The coloured part moves today.", f"<div class=plot>{rows}</div>"
    )


def _multiple_choices(document: Document) -> str:
    rows = []
    for when, words in (("now", "as the settings are"), ("with_settings", "with emulate n")):
        row = document["several_answers"][when]
        if row["requests"]:
            about = "≈ " if row["more_prompt_tokens_estimated"] else ""
            tokens = row["more_prompt_tokens"] + row["more_prompt_tokens_estimated"]
            rows.append(
                (
                    words,
                    spaced(row["requests"]),
                    f"+{spaced(row['more_requests'])}",
                    f"{about}+{spaced(tokens)}",
                )
            )
    if not rows:
        return ""
    return section(
        "What multiple choices cost",
        "The Responses API gives one reply to a request. When emulated, a request with n choices "
        "is sent n times, and its prompt is paid for n times. If the log has no token counts, "
        "they are estimated at four characters per token.",
        html_table(("", "requests", "more requests", "more prompt tokens"), rows),
    )


def _tokens(document: Document) -> str:
    rows = [
        (
            escape(VERDICT_TEXT[fate][0]),
            *(
                spaced(row.get(name, 0))
                for name in ("requests", "prompt", "completion", "reasoning")
            ),
        )
        for fate, row in document["tokens"].items()
    ]
    if not rows:
        return ""
    return section(
        "Tokens",
        "Where the reply was logged with its usage.",
        html_table(("", "requests", "prompt", "completion", "of it reasoning"), rows),
    )


def _ledger(document: Document) -> str:
    if not document["losses"]:
        return ""
    rows = [
        (f"<code>{escape(row['path'])}</code>", escape(row["action"]), spaced(row["requests"]))
        for row in document["losses"]
    ]
    return section(
        "What the conversion report would list",
        "Losses of the requests that move today.",
        html_table(("where", "what", "requests"), rows),
    )


def _parameters(document: Document) -> str:
    def table(rows: Sequence[Mapping[str, Any]]) -> str:
        return html_table(
            ("", "requests"),
            [(f"<code>{escape(row['name'])}</code>", spaced(row["requests"])) for row in rows],
        )

    known = details(
        f"{plural(len(document['parameters']), 'parameter')} in use",
        table(document["parameters"]),
    )
    unknown = ""
    if document["unknown_parameters"]:
        unknown = details(
            f"{plural(len(document['unknown_parameters']), 'key')} that Chat Completions doesn't "
            "know, passed on as they are",
            table(document["unknown_parameters"]),
        )
    return section("Parameters", "Values without an effect aren't counted.", known + unknown)


def _rules(document: Document) -> str:
    if not document["rules"]:
        return ""
    rows = [
        ("no rule" if row["rule"] is None else f"rule {row['rule'] + 1}", spaced(row["requests"]))
        for row in document["rules"]
    ]
    return section(
        "Rules",
        "How many requests each rule matches.",
        html_table(("", "requests"), rows),
    )


def _bad(document: Document) -> str:
    bad = document["bad_lines"]
    parts = []
    for row in document["not_in_the_log"]:
        requests = plural(row["requests"], "request")
        parts.append(
            f"<p>{requests} ({percent(row['share'])}) were logged without their {row['part']}: "
            f"{escape(row['means'])}.</p>"
        )
    rows = document["rows_without_request"]
    for count, what in (
        (document["other_endpoints"], "went to other endpoints and are left out"),
        (rows["answers"], "contain a reply without its request"),
        (rows["others"], "are of another kind and are left out"),
    ):
        if count:
            parts.append(f"<p>{plural(count, 'row')} {what}.</p>")
    if document["adapter_bugs"]:
        parts.append(
            f"<p>The adapter itself failed on {plural(document['adapter_bugs'], 'request')}: "
            "please report it.</p>"
        )
    if bad["count"]:
        reasons = ", ".join(
            f"{spaced(count)} {escape(why)}" for why, count in bad["reasons"].items()
        )
        listed = [
            (f"<code>{escape(row['file'])}:{row['line']}</code>", escape(row["why"]))
            for row in bad["first"]
        ]
        parts.append(f"<p>{plural(bad['count'], 'line')} can't be read: {reasons}.</p>")
        if listed:
            parts.append(details(f"The first {len(listed)}", html_table(("where", "why"), listed)))
    return section("Missing from the logs", "", "".join(parts)) if parts else ""


def _foot(document: Document) -> str:
    source = (
        f" from <code>{escape(document['settings_file'])}</code>"
        if document.get("settings_file")
        else ""
    )
    return (
        f"<footer><p>Settings <code>{escape(document['settings_hash'])}</code>{source}, "
        f"{escape(document['date'])}. The verdicts come from the code that decides in production. "
        "This page contains names and counts, never prompts or replies.</p></footer>"
    )
