"""Write a scan's report as JSON, and as SARIF 2.1.0 for code hosts and editors."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from adapter._util import safe_names

from .arguments import Unknown
from .assessment import VERDICTS
from .run import Finding, Report

VERDICT_TEXT: Mapping[str, str] = {
    "moves": "moves as is",
    "unless": "moves unless …",
    "setting": "moves with a setting",
    "unclear": "is unclear",
    "stays": "stays on Chat Completions",
    "refused": "is refused under these settings",
}
"""The verdicts in words; they follow a call's name (docs/guides/change-code.md#the-verdicts)."""

_LEVELS = {
    "moves": "none",
    "unless": "note",
    "setting": "note",
    "unclear": "note",
    "stays": "warning",
    "refused": "error",
}

# Parameters whose strings are one of a few choices; any other string may be private text.
_CHOICE_PARAMETERS = frozenset(
    {
        "model",
        "reasoning_effort",
        "verbosity",
        "service_tier",
        "tool_choice",
        "function_call",
        "prompt_cache_retention",
    }
)


def shown_value(name: str, value: Any) -> Any:
    """Return a literal value in a form that is safe to show.

    Numbers, booleans, null and the names of choices are shown, and only the kind of all others.
    """
    if isinstance(value, Unknown):
        return "not a literal"
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str) and name in _CHOICE_PARAMETERS:
        return safe_names.name(value)
    kind = "text" if isinstance(value, str) else "list" if isinstance(value, list) else "object"
    return f"a literal {kind}"


def finding_json(one: Finding) -> dict[str, Any]:
    """Return one call site as JSON."""
    site, assessed = one.site, one.assessment
    values = site.arguments.values
    return {
        "file": one.file,
        "line": site.line,
        "column": site.column,
        "cell": one.cell,
        "kind": site.kind,
        "call": site.call,
        "call_site": one.call_site,
        "in_test": one.in_test,
        "verdict": assessed.verdict,
        "why": assessed.why,
        "unless": list(assessed.unless),
        "settings": list(assessed.settings),
        "client": site.unknown_client_note or None,
        "wire": site.wire or None,
        "one_way": assessed.responses_only_reason,
        "parameters": [
            {**asdict(item.redacted()), "value": shown_value(item.name, values.get(item.name))}
            for item in assessed.parameters
        ],
        "more": list(dict.fromkeys(one.text for one in site.arguments.sources)),
    }


def report_json(report: Report) -> dict[str, Any]:
    """Return the whole report as JSON."""
    verdicts = report.by_verdict()
    return {
        "summary": {
            "files": report.files,
            "parsed": report.parsed,
            "calls": len(report.findings),
            "verdicts": {verdict: verdicts[verdict] for verdict in VERDICTS},
            "parameters": {name: dict(counts) for name, counts in report.by_parameter().items()},
        },
        "calls": [finding_json(one) for one in report.findings],
        "recordings": [
            {"file": file, "lines": lines} for file, lines in sorted(report.recordings.items())
        ],
        "batches": [
            {"file": file, "lines": lines} for file, lines in sorted(report.batches.items())
        ],
        "unread": [{"file": file, "why": why} for file, why in sorted(report.unread.items())],
    }


def report_sarif(report: Report, root: Path) -> dict[str, Any]:
    """Return the report as one SARIF run; calls that move as is aren't results.

    URIs are relative to `root`.
    """
    files = {
        "recording": "a recording of Chat Completions",
        "batch": "the input of a batch of Chat Completions",
    }
    ids = [*(one for one in VERDICTS if one != "moves"), *files]
    texts = {**VERDICT_TEXT, **files}
    levels = {**_LEVELS, **dict.fromkeys(files, "note")}
    rules = [
        {
            "id": one,
            "name": one.capitalize(),
            "shortDescription": {
                "text": f"A call that {texts[one]}" if one not in files else texts[one]
            },
            "defaultConfiguration": {"level": levels[one]},
        }
        for one in ids
    ]
    results = [
        _result(
            one.assessment.verdict,
            ids,
            levels,
            _message(one),
            _uri(one.file, root),
            one.site.line if one.cell is None else None,
            one.site.column,
        )
        for one in report.findings
        if one.assessment.verdict != "moves"
    ]
    for file, lines in sorted(report.recordings.items()):
        text = (
            f"names /chat/completions in {len(lines)} line{'s' * (len(lines) > 1)}: "
            "record the Responses API as well"
        )
        results.append(_result("recording", ids, levels, text, _uri(file, root), lines[0], None))
    for file, lines in sorted(report.batches.items()):
        text = f"the input of a batch, {len(lines)} × /chat/completions: the Batch API isn't moved"
        results.append(_result("batch", ids, levels, text, _uri(file, root), lines[0], None))
    notifications = [
        {
            "level": "warning",
            "message": {"text": f"not scanned: {why}"},
            "locations": [_location(_uri(file, root), None, None)],
        }
        for file, why in sorted(report.unread.items())
    ]
    driver = {"name": "adapter scan", "version": _version(), "rules": rules}
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "invocations": [
                    {"executionSuccessful": True, "toolExecutionNotifications": notifications}
                ],
                "results": results,
            }
        ],
    }


def _message(one: Finding) -> str:
    text = f"{one.site.call} {VERDICT_TEXT[one.assessment.verdict]}"
    if one.cell is not None:
        text += f" (cell {one.cell}, line {one.site.line})"
    if one.assessment.why:
        text += f": {one.assessment.why}"
    return text + (f". Set {', '.join(one.assessment.settings)}" if one.assessment.settings else "")


def _result(  # noqa: PLR0917
    rule: str,
    ids: list[str],
    levels: Mapping[str, str],
    text: str,
    uri: str,
    line: int | None,
    column: int | None,
) -> dict[str, Any]:
    return {
        "ruleId": rule,
        "ruleIndex": ids.index(rule),
        "level": levels[rule],
        "message": {"text": text},
        "locations": [_location(uri, line, column)],
    }


def _location(uri: str, line: int | None, column: int | None) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {"uri": uri, "uriBaseId": "%SRCROOT%"}}
    if line is not None:
        physical["region"] = {"startLine": line} | (
            {} if column is None else {"startColumn": column}
        )
    return {"physicalLocation": physical}


def _uri(file: str, root: Path) -> str:
    relative = os.path.relpath(os.path.realpath(file), os.path.realpath(root))
    return quote(os.fsencode(Path(relative).as_posix()))  # a file's name needn't be valid text


def _version() -> str:
    try:
        return version("chat-responses-adapter")
    except PackageNotFoundError:
        return "0"
