"""The tables of exceptions and of error codes."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator

from adapter import errors

from . import ROOT, code, linked, table

CODES = {
    "adapter_bug": ("500, 502", "The adapter itself failed, and the call couldn't be left to Chat Completions."),
    "blocked": ("that of the reply", "A gateway blocked the request, and the model is served on the Responses API only."),
    "invalid_event": ("in the stream", "An event of the stream isn't a JSON object."),
    "invalid_response": ("502, or in the stream", "The reply, or an event of the stream, isn't one of the Responses API."),
    "missing": ("that of the reply", "The server has no Responses API, and the model is served on that only."),
    "rejected": ("that of the reply", "The Responses API refused the request, and the model is served on that only."),
    "response_not_finished": ("400, 504", "The response isn't finished, and the adapter doesn't wait for it, or no longer."),
    "stream_inconsistent": ("in the stream", "The stream contradicted itself, so that what was sent on can't be right."),
    "unsupported_by_chat": ("400", "The answer is of a kind that Chat Completions can't represent."),
    "unsupported_by_responses": ("400", "The request has a value that the Responses API can't carry, and must not go to Chat Completions."),
}  # fmt: skip
"""The codes of the adapter's own errors: the HTTP status, and what happened."""

_FALLBACK = {"missing", "blocked", "rejected"}  # code=cause.reason


def exceptions() -> str:
    """Return one row for each exception, with its base and its meaning."""
    rows = []
    for name in ("AdapterError", *(one for one in errors.__all__ if one != "AdapterError")):
        cls = getattr(errors, name)
        bases = ", ".join(
            f"`{base.__name__}`"
            if base.__module__ == "builtins"
            else f"[`{base.__name__}`][{base.__module__}.{base.__name__}]"
            for base in cls.__bases__
        )
        text = inspect.cleandoc(cls.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
        rows.append((f"[`{name}`][adapter.errors.{name}]", bases, linked(text)))
    return table(("exception", "is a", "raised for"), rows)


def codes() -> str:
    """Return one row for each code."""
    return table(
        ("`code`", "HTTP status", "what happened"),
        ((code(name), *CODES[name]) for name in sorted(CODES)),
    )


def codes_in_the_code() -> set[str]:
    """Return the codes that the library writes into errors of its own."""
    return set(_codes()) | _FALLBACK


def _codes() -> Iterator[str]:
    """Yield constants that become the `code` of an error: in dicts, calls and ready-made events."""
    for path in sorted((ROOT / "adapter").rglob("*.py")):
        if path.relative_to(ROOT).parts[1] in {"tools", "testing", "kit"}:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Dict():
                    pairs = {
                        key.value: value
                        for key, value in zip(node.keys, node.values, strict=True)
                        if isinstance(key, ast.Constant)
                    }
                    if "message" in pairs and isinstance(found := pairs.get("code"), ast.Constant):
                        yield str(found.value)
                case ast.Call(
                    func=ast.Name(id="error_reply"), args=[*_, ast.Constant(value=str(last))]
                ):
                    yield last
                case ast.Call(
                    func=ast.Attribute(attr="_end_with_error"),
                    args=[_, ast.Constant(value=str(last))],
                ):
                    yield last
