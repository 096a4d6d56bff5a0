"""Make the report of an audit, one JSON document; the terminal and the page only show it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from adapter._settings.settings import Settings
from adapter._util.safe_names import OTHER
from adapter.translation.parameters import CHAT_PARAMETERS

from .features import FEATURES
from .summary import SEPARATOR, Summary
from .verdicts import VERDICT_KINDS

MOVING = ("as it is", "with changes")
REPLY_MAY_DIFFER = "the reply may differ"

_EFFECTS = {
    "lossy": "the value is left out",
    "emulated": "the value is left out",
    "impossible": REPLY_MAY_DIFFER,
    # The only droppable ones are limits below the minimum of the API.
    "exact": "the API's minimum is used",
}
_DROPS = {  # parameters with an effect of their own
    "name": "the model doesn't see the names",
    "audio": "no audio in the reply",
    "modalities": "only text in the reply",
    "input_audio": "the message is sent without its audio",
    "logit_bias": "tokens that were banned or forced aren't",
    "prompt_cache_breakpoint": "the prompt cache may miss",
    "cache_control": "affects cost only",
}
_EMULATION = {
    "name": "written in front of the message's text",
    "n": "as many requests at once, each paid for with its prompt",
    "stop": "the adapter cuts the text; tokens after the cut are paid for",
    "web_search_options": "as a web_search tool",
}

_MISSING_PART_EFFECTS = {
    "messages": "judged by parameters only; names, audio or files in messages may keep more of "
    "them on Chat",
    "model": "judged as an unknown model",
}

Document = dict[str, Any]


def report(summary: Summary, settings: Settings, *, today: dt.date | None = None) -> Document:
    """Make the report of an audit.

    Counts are of requests unless they say otherwise; shares are percentages from 0 to 100. `today`
    is the date that shutdown dates are compared with. With the settings in `steps` requests are
    still answered as asked, apart from a nuance or a cost; `breaking_steps` come after those, and
    each removes something that programs read from replies. `moves.with_settings` counts only the
    first. `not_in_the_log` are requests that were logged without a part, `formats` those in rows of
    a known format. `rows_without_request` are replies alone and other rows, counted nowhere else.
    """
    total = summary.count("rows", "request")
    fates = {fate: summary.count("fate", fate) for fate in VERDICT_KINDS}
    moving = sum(fates[fate] for fate in MOVING)
    day = (today or dt.datetime.now(dt.UTC).date()).isoformat()
    taken: set[str] = set()
    steps = _steps(summary, "settings", taken, moving, total)
    breaking = _steps(summary, "breaking settings", taken, moving + fates["with settings"], total)
    return {
        "audit": 1,
        "settings_hash": settings.hash,
        "date": day,
        "requests": total,
        "other_endpoints": summary.count("rows", "other endpoint"),
        "rows_without_request": {
            "answers": summary.count("rows", "answer"),
            "others": summary.count("rows", "nothing"),
        },
        "formats": [{"name": name, "requests": n} for name, n in summary.table("format")],
        "not_in_the_log": [
            {
                "part": part,
                "requests": n,
                "share": _share(n, total),
                "means": _MISSING_PART_EFFECTS.get(part, ""),
            }
            for part, n in summary.table("not in the log")
        ],
        "adapter_bugs": summary.count("rows", "adapter bug"),
        "moves": {
            "now": moving,
            "share": _share(moving, total),
            "with_settings": moving + fates["with settings"],
            "with_breaking_settings": moving
            + fates["with settings"]
            + fates["with breaking settings"],
        },
        "fates": {
            fate: {"requests": count, "share": _share(count, total)}
            for fate, count in fates.items()
        },
        "steps": steps,
        "breaking_steps": breaking,
        "held": [
            {"name": name, "requests": n, "share": _share(n, total)}
            for name, n in summary.table("held")
        ],
        "kept": [
            {"path": key[0], "why": key[-1], "requests": n} for key, n in summary.pairs("kept")
        ],
        "losses": [
            {"path": key[0], "action": key[-1], "requests": n} for key, n in summary.pairs("loss")
        ],
        "models": _models(summary, day),
        "shutdowns": _shutdowns(summary, day),
        "features": _features(summary),
        "several_answers": _multiple_choices(summary),
        "tokens": _tokens(summary),
        "parameters": [
            {"name": name, "requests": n, "share": _share(n, total)}
            for name, n in summary.table("parameter")
        ],
        "unknown_parameters": [{"name": name, "requests": n} for name, n in summary.table("extra")],
        "rules": _rules(summary, settings),
        "bad_lines": {
            "count": summary.count("bad"),
            "reasons": dict(summary.table("bad")),
            "first": [
                {"file": file, "line": line, "why": why} for file, line, why in summary.bad_lines
            ],
        },
    }


def effect_of(setting: str) -> str:
    """Return what a setting (`emulate n`, `drop seed`) does to a call."""
    action, _, name = setting.partition(" ")
    if action == "emulate":
        return _EMULATION.get(name) or CHAT_PARAMETERS[name].note
    return _DROPS.get(name) or _EFFECTS[CHAT_PARAMETERS[name].support]


def settings_toml(settings: Iterable[str]) -> str:
    """Return settings as lines of adapter.toml."""
    listed: dict[str, list[str]] = {"emulate": [], "drop": []}
    for setting in settings:
        action, _, name = setting.partition(" ")
        listed[action].append(f'"{name}"')
    return "\n".join(
        f"{action} = [{', '.join(sorted(names))}]" for action, names in listed.items() if names
    )


def _share(count: int, total: int) -> float:
    return round(100 * count / total, 4) if total else 0.0


def _steps(
    summary: Summary, table: str, taken: set[str], moving: int, total: int
) -> list[Document]:
    """Order the settings of a table: each step adds those that move the most requests per setting.

    `taken` are the settings of earlier steps; the settings of these steps are added to it.
    """
    open_: dict[frozenset[str], int] = {}
    for key, count in summary.table(table):
        if key != OTHER:
            open_[frozenset(key.split(" + "))] = count
    steps = []
    while open_:
        gains = {
            more: sum(n for needs, n in open_.items() if needs <= taken | more)
            for more in {needs - taken for needs in open_}
        }
        more = min(gains, key=lambda one: (-gains[one] / len(one), len(one), sorted(one)))
        taken |= more
        moving += gains[more]
        names = sorted(more)
        steps.append(
            {
                "settings": names,
                "effects": [effect_of(name) for name in names],
                "more": gains[more],
                "moves": moving,
                "share": _share(moving, total),
            }
        )
        open_ = {needs: n for needs, n in open_.items() if not needs <= taken}
    return steps


def _models(summary: Summary, day: str) -> list[Document]:
    by: dict[str, dict[str, int]] = {}
    all_: dict[str, int] = {}
    for key, count in summary.pairs("model fate"):
        all_[key[0]] = all_.get(key[0], 0) + count
        fates = by.setdefault(key[0], {})
        if key[-1] in VERDICT_KINDS:  # `other` has none
            fates[key[-1]] = fates.get(key[-1], 0) + count
    responses_only: dict[str, str] = {
        key[0]: key[-1] for key, _ in summary.pairs("one way") if len(key) == 2
    }
    responses_only_counts = {
        key[0]: sum(n for other, n in summary.pairs("one way") if other[0] == key[0])
        for key, _ in summary.pairs("one way")
    }
    shutdowns = {key[-1]: key[0] for key, _ in summary.pairs("shutdown") if len(key) == 2}
    rows = [
        {
            "model": model,
            "requests": all_[model],
            "fates": fates,
            "one_way": {"requests": responses_only_counts[model], "why": responses_only[model]}
            if model in responses_only
            else None,
            "chat_only": summary.count("chat only", model) > 0,
            "shutdown": shutdowns.get(model),
            "gone": shutdowns.get(model, "9") < day,
        }
        for model, fates in by.items()
    ]
    return sorted(rows, key=lambda row: (row["model"] == OTHER, -row["requests"], row["model"]))


def _shutdowns(summary: Summary, day: str) -> list[Document]:
    dates: dict[str, dict[str, int]] = {}
    for key, count in summary.pairs("shutdown"):
        if len(key) == 2:
            dates.setdefault(key[0], {})[key[1]] = count
    return [
        {"date": date, "gone": date < day, "requests": sum(models.values()), "models": models}
        for date, models in sorted(dates.items())
    ]


def _features(summary: Summary) -> list[Document]:
    by: dict[str, dict[str, int]] = {}
    for key, count in summary.pairs("feature"):
        by.setdefault(key[0], {})[key[-1]] = count
    return [
        {
            "feature": name,
            "requests": sum(by[name].values()),
            "moves": sum(by[name].get(fate, 0) for fate in MOVING),
            "fates": by[name],
        }
        for name in FEATURES
        if name in by
    ]


def _multiple_choices(summary: Summary) -> Document:
    def figures(when: str) -> Document:
        def count(what: str) -> int:
            return summary.count("several", when + SEPARATOR + what)

        return {
            "requests": count("requests"),
            "more_requests": count("more requests"),
            "more_prompt_tokens": count("prompt tokens"),
            "more_prompt_tokens_estimated": count("prompt tokens, estimated"),
        }

    return {"now": figures("now"), "with_settings": figures("with settings")}


def _tokens(summary: Summary) -> Document:
    by: dict[str, dict[str, int]] = {}
    for key, count in summary.pairs("usage"):
        if key[0] in VERDICT_KINDS:
            by.setdefault(key[0], {})[key[-1]] = count
    return {fate: by[fate] for fate in VERDICT_KINDS if fate in by}


def _rules(summary: Summary, settings: Settings) -> list[Document]:
    rows = [
        {"rule": index, "requests": summary.count("rule", str(index))}
        for index in range(len(settings.rules))
    ]
    return [*rows, {"rule": None, "requests": summary.count("rule", "none")}] if rows else []
