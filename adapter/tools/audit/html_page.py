"""The report as one HTML page: styles and plots are in it, nothing is loaded, nothing runs."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from adapter._util.safe_names import visible

from .css import CSS
from .number_format import percent
from .report import Document, settings_toml
from .verdicts import VERDICT_KINDS

_CLASSES = {
    "as it is": "f0", "with changes": "f1", "with settings": "f2", "with breaking settings": "f5", "stays": "f3", "refused": "f4",
}  # fmt: skip
_VERDICT_TEXT = {
    "as it is": ("move as they are", "the ledger is empty"),
    "with changes": ("move, with a note", "the ledger says what is different"),
    "with settings": ("would move with a setting", "see below which"),
    "with breaking settings": ("would move with a breaking setting", "without what programs read"),
    "stays": ("stay on Chat Completions", "whatever the settings"),
    "refused": ("would be errors", "neither API can serve them as they are"),
}
_MAX_ROWS = 40  # rows of a plot; tables below it hold the rest


def escape(text: object) -> str:
    """Write a text into the page, where it is nothing but text."""
    return html.escape(visible(str(text)))


def page(document: Document) -> str:
    """Write the page of a report (`report.report`, with `logs`, the number of logs)."""
    total = document["requests"]
    sections = [_head(document)]
    if total:
        sections += [
            _steps(document), _breaking_steps(document), _held(document), _models(document), _shutdowns(document), _features(document), _several(document),
            _tokens(document), _ledger(document), _parameters(document), _rules(document),
        ]  # fmt: skip
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
    return f"{percent(document['moves']['share'])} of {_number(document['requests'])} chat requests would move"


def _head(document: Document) -> str:
    total, moves = document["requests"], document["moves"]
    logs = document.get("logs")
    source = f" in {_number(logs)} {'log' if logs == 1 else 'logs'}" if logs else ""
    if not total:
        return f"<header><p class=over>Audit of chat requests{source}</p><h1>No chat requests found</h1></header>"
    more = document["fates"]["with settings"]["requests"]
    then = (
        f" {percent(100 * moves['with_settings'] / total)} would with the settings below."
        if more
        else ""
    )
    keys = "".join(
        f'<li><span class="key {_CLASSES[fate]}"></span><span><b>{_number(row["requests"])}</b> {_VERDICT_TEXT[fate][0]}'
        f"<small>{percent(row['share'])} · {_VERDICT_TEXT[fate][1]}</small></span></li>"
        for fate, row in document["fates"].items()
        if row["requests"]
    )
    bar = _bar(
        [
            (row["requests"], _CLASSES[fate], _VERDICT_TEXT[fate][0])
            for fate, row in document["fates"].items()
        ],
        total,
        height=10,
    )
    return f"""<header>
<p class=over>Chat Completions → Responses API · {_number(total)} logged requests{source}</p>
<h1>{percent(moves["share"])} would move today</h1>
<p class=lead>{_number(moves["now"])} of {_number(total)} requests can go to the Responses API with the settings as they are.{then}</p>
{bar}
<ul class=keys>{keys}</ul>
</header>"""


def _steps(document: Document) -> str:
    steps, total, now = document["steps"], document["requests"], document["moves"]["now"]
    if not steps:
        return ""
    first = _row(
        "<code>today</code>",
        _bar([(now, "f0", "move today")], total),
        percent(100 * now / total),
        "",
    )
    safe = [
        name
        for step in steps
        for name, what in zip(step["settings"], step["effects"], strict=True)
        if "another" not in what
    ]
    lines = ""
    if safe:
        left_out = len({name for step in steps for name in step["settings"]} - set(safe))
        note = "Put them beside those that you have."
        if left_out:
            note += f" Settings after which the answer may be another are left out: {_plural(left_out, 'setting')}."
        lines = (
            f"<details><summary>These settings, as lines of adapter.toml</summary><pre>{escape(settings_toml(dict.fromkeys(safe)))}</pre>"
            f"<p class=note>{note}</p></details>"
        )
    return _section(
        "What would move more",
        "Each step adds the setting that moves most, given those before it. Dropping and emulating is opt-in: read what each one does.",
        f"<div class=plot>{first}{_step_rows(steps, now, total, 'f2')}</div>{lines}",
    )


def _breaking_steps(document: Document) -> str:
    steps = document["breaking_steps"]
    if not steps:
        return ""
    before, total = document["moves"]["with_settings"], document["requests"]
    return _section(
        "What only breaking settings would move",
        "With these the request is taken, but the answer lacks what it was asked for and programs read: not among the figures above. "
        "Each step comes after all of those.",
        f"<div class=plot>{_step_rows(steps, before, total, 'f5')}</div>",
    )


def _step_rows(steps: Sequence[Mapping[str, Any]], before: int, total: int, kind: str) -> str:
    rows = []
    for step in steps[:_MAX_ROWS]:
        bar = _bar([(before, "f0 dim", "before"), (step["more"], kind, "more")], total)
        names = " + ".join(f"<code>{escape(name)}</code>" for name in step["settings"])
        effects = "; ".join(dict.fromkeys(step["effects"]))
        rows.append(
            _row(
                names, bar, percent(step["share"]), f"+{_number(step['more'])} · {escape(effects)}"
            )
        )
        before = step["moves"]
    return "".join(rows)


def _held(document: Document) -> str:
    if not document["held"]:
        return ""
    most = max(row["requests"] for row in document["held"])
    rows = "".join(
        _row(f"<code>{escape(row['name'])}</code>", _bar([(row["requests"], "f3", "requests")], most),
             f"{_number(row['requests'])} <i>{percent(row['share'])}</i>", "")
        for row in document["held"][:_MAX_ROWS]
    )  # fmt: skip
    kept = ""
    if document["kept"]:
        kept = "<h3>No setting moves these</h3>" + _table(
            ("where", "why", "requests"),
            [
                (
                    f"<code>{escape(row['path'])}</code>",
                    escape(row["why"]),
                    _number(row["requests"]),
                )
                for row in document["kept"]
            ],
        )
    return _section(
        "What holds requests on Chat Completions",
        "By parameter, or by place in the request. A request may be held by several.",
        f"<div class=plot>{rows}</div>{kept}",
    )


def _models(document: Document) -> str:
    if not document["models"]:
        return ""
    rows = []
    for row in document["models"]:
        count = row["requests"]
        bar = _bar(
            [
                (row["fates"].get(fate, 0), _CLASSES[fate], _VERDICT_TEXT[fate][0])
                for fate in VERDICT_KINDS
            ],
            max(1, count),
        )
        moving = row["fates"].get("as it is", 0) + row["fates"].get("with changes", 0)
        badges = []
        if row["chat_only"]:
            badges.append("<span class=badge>Chat only</span>")
        if row["one_way"]:
            said = f"one way: {_number(row['one_way']['requests'])}"
            badges.append(
                f'<span class="badge warm" title="{escape(row["one_way"]["why"])}">{said}</span>'
            )
        if row["shutdown"]:
            kind = "hot" if row["gone"] else "warm"
            said = "was shut down" if row["gone"] else "shuts down"
            badges.append(f'<span class="badge {kind}">{said} {row["shutdown"]}</span>')
        note = f"{_number(count)} {'request' if count == 1 else 'requests'} {' '.join(badges)}"
        rows.append(
            _row(
                f"<code>{escape(row['model'])}</code>",
                bar,
                percent(100 * moving / max(1, count)),
                note,
            )
        )
    shown, rest = rows[:12], rows[12:]
    more = (
        f"<details><summary>{_plural(len(rest), 'more model')}</summary><div class=plot>{''.join(rest)}</div></details>"
        if rest
        else ""
    )
    ways = sorted({row["one_way"]["why"] for row in document["models"] if row["one_way"]})
    note = (
        f"<p class=note>One way: {escape('; '.join(ways))}. The adapter never sends such calls back to Chat.</p>"
        if ways
        else ""
    )
    return _section(
        "Models",
        "Each bar is all requests of one model; the figure is the share that would move today.",
        f"<div class=plot>{''.join(shown)}</div>{more}{note}",
    )


def _shutdowns(document: Document) -> str:
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
            _row(
                when,
                _bar([(row["requests"], kind, "requests")], most),
                _number(row["requests"]),
                models,
            )
        )
    return _section(
        "Models with a shutdown date",
        f"The day after which a model isn't served, as far as it is known here. Seen from {document['date']}.",
        f"<div class=plot>{''.join(rows)}</div>",
    )


def _features(document: Document) -> str:
    if not document["features"]:
        return ""
    most = max(row["requests"] for row in document["features"])
    rows = "".join(
        _row(escape(row["feature"]), _bar([(row["moves"], "f0", "move today"), (row["requests"] - row["moves"], "f3", "don't")], most),
             _number(row["requests"]), f"{percent(100 * row['moves'] / row['requests'])} move today")
        for row in document["features"]
    )  # fmt: skip
    return _section(
        "What requests use", "The coloured part moves today.", f"<div class=plot>{rows}</div>"
    )


def _several(document: Document) -> str:
    rows = []
    for when, words in (("now", "as the settings are"), ("with_settings", "with emulate n")):
        row = document["several_answers"][when]
        if row["requests"]:
            about = "≈ " if row["more_prompt_tokens_estimated"] else ""
            tokens = row["more_prompt_tokens"] + row["more_prompt_tokens_estimated"]
            rows.append(
                (
                    words,
                    _number(row["requests"]),
                    f"+{_number(row['more_requests'])}",
                    f"{about}+{_number(tokens)}",
                )
            )
    if not rows:
        return ""
    return _section(
        "What several answers cost",
        "The Responses API gives one answer to a request. Emulated, a request with n answers is sent n times, and its prompt is paid for n times. "
        "Where the log doesn't tell the tokens of a prompt, they are estimated at four characters each.",
        _table(("", "requests", "more requests", "more prompt tokens"), rows),
    )


def _tokens(document: Document) -> str:
    rows = [
        (
            escape(_VERDICT_TEXT[fate][0]),
            *(
                _number(row.get(name, 0))
                for name in ("requests", "prompt", "completion", "reasoning")
            ),
        )
        for fate, row in document["tokens"].items()
    ]
    if not rows:
        return ""
    return _section(
        "Tokens",
        "Where the answer was logged with its usage.",
        _table(("", "requests", "prompt", "completion", "of it reasoning"), rows),
    )


def _ledger(document: Document) -> str:
    if not document["losses"]:
        return ""
    rows = [
        (f"<code>{escape(row['path'])}</code>", escape(row["action"]), _number(row["requests"]))
        for row in document["losses"]
    ]
    return _section(
        "What the ledger would say",
        "Of requests that move today: what would be different.",
        _table(("where", "what", "requests"), rows),
    )


def _parameters(document: Document) -> str:
    def table(rows: Sequence[Mapping[str, Any]]) -> str:
        return _table(
            ("", "requests"),
            [(f"<code>{escape(row['name'])}</code>", _number(row["requests"])) for row in rows],
        )

    known = f"<details><summary>{_plural(len(document['parameters']), 'parameter')} in use</summary>{table(document['parameters'])}</details>"
    unknown = ""
    if document["unknown_parameters"]:
        unknown = (
            f"<details><summary>{_plural(len(document['unknown_parameters']), 'key')} that Chat Completions doesn't know, passed on as they are"
            f"</summary>{table(document['unknown_parameters'])}</details>"
        )
    return _section("Parameters", "Values that change nothing aren't counted.", known + unknown)


def _rules(document: Document) -> str:
    if not document["rules"]:
        return ""
    rows = [
        ("no rule" if row["rule"] is None else f"rule {row['rule'] + 1}", _number(row["requests"]))
        for row in document["rules"]
    ]
    return _section(
        "Rules",
        "Which rule of the settings holds for how many requests.",
        _table(("", "requests"), rows),
    )


def _bad(document: Document) -> str:
    bad = document["bad_lines"]
    parts = []
    for row in document["not_in_the_log"]:
        said = f"{_plural(row['requests'], 'request')} ({percent(row['share'])}) were logged without their {row['part']}"
        parts.append(f"<p>{said}: {escape(row['means'])}.</p>")
    rows = document["rows_without_request"]
    for count, what in (
        (document["other_endpoints"], "went to other endpoints, and are left out"),
        (rows["answers"], "hold an answer without its request"),
        (rows["others"], "are of another kind, and are left out"),
    ):
        if count:
            parts.append(f"<p>{_plural(count, 'row')} {what}.</p>")
    if document["adapter_bugs"]:
        parts.append(
            f"<p>The adapter itself failed on {_plural(document['adapter_bugs'], 'request')}: please report it.</p>"
        )
    if bad["count"]:
        reasons = ", ".join(
            f"{_number(count)} {escape(why)}" for why, count in bad["reasons"].items()
        )
        listed = [
            (f"<code>{escape(row['file'])}:{row['line']}</code>", escape(row["why"]))
            for row in bad["first"]
        ]
        parts.append(f"<p>{_plural(bad['count'], 'line')} can't be read: {reasons}.</p>")
        if listed:
            parts.append(
                f"<details><summary>The first {len(listed)}</summary>{_table(('where', 'why'), listed)}</details>"
            )
    return _section("What the logs don't hold", "", "".join(parts)) if parts else ""


def _foot(document: Document) -> str:
    source = (
        f" from <code>{escape(document['settings_file'])}</code>"
        if document.get("settings_file")
        else ""
    )
    return (
        f"<footer><p>Settings <code>{escape(document['settings_hash'])}</code>{source}, {escape(document['date'])}. The verdicts are those of the code that "
        "decides in production. This page holds names and counts, never contents.</p></footer>"
    )


def _section(title: str, lead: str, body: str) -> str:
    said = f"<p class=lead>{lead}</p>" if lead else ""
    return f"<section><h2>{title}</h2>{said}{body}</section>"


def _row(label: str, bar: str, figure: str, note: str) -> str:
    """Write a row of a plot; all of it is HTML already."""
    return f"<div class=row><span class=label>{label}</span><span class=figure>{figure}</span>{bar}<small>{note}</small></div>"


def _bar(parts: Iterable[tuple[int, str, str]], total: int, *, height: int = 6) -> str:
    """Draw a bar of `parts` (count, class, word), as wide as all of `total` would be; it stretches with its place."""
    drawn, at, said = [], 0.0, []
    for count, kind, word in parts:
        if count:
            width = 1000 * count / max(1, total)
            drawn.append(
                f'<rect class="{kind}" x="{at:.2f}" width="{max(width, 1):.2f}" height="{height}"/>'
            )
            said.append(f"{_number(count)} {word}")
            at += width
    label = escape(", ".join(said) or "none")
    return (
        f'<svg class=bar viewBox="0 0 1000 {height}" preserveAspectRatio="none" style="height:{height * 1.6:.0f}px" role="img" aria-label="{label}">'
        f'<rect class=rail width="1000" height="{height}"/>{"".join(drawn)}</svg>'
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    # Figures stand on the right; what begins with a letter or a tag doesn't.
    right = [all(row[i].lstrip("+≈ ")[:1].isdigit() for row in rows) for i in range(len(columns))]
    kinds = [" class=num" if one else "" for one in right]
    head = "".join(
        f"<th scope=col{kind}>{escape(name)}</th>"
        for name, kind in zip(columns, kinds, strict=True)
    )
    # On a phone the columns stand below each other, and each figure says what it counts.
    of = [f' data-of="{escape(name)}"' if name else "" for name in columns]
    body = "".join(
        f"<tr>{''.join(f'<td{kind}{name}>{cell}</td>' for cell, kind, name in zip(row, kinds, of, strict=True))}</tr>"
        for row in rows
    )
    return f"<div class=scroll tabindex=0><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _number(value: int) -> str:
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _plural(count: int, what: str) -> str:
    return f"{_number(count)} {what}{'' if count == 1 else 's'}"
