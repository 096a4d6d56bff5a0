"""Decide a sample call: the real client runs it up to the request, which isn't sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import unquote_to_bytes

from adapter.errors import AdapterError
from adapter.testing.vcr_check import sdk_http_library

from .connectivity import OFFICIAL_URL, load_flag_client
from .findings import Environment, Finding, State

BUILT_IN: Mapping[str, Any] = {
    "model": "gpt-5.4",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Where is my order?"},
    ],
    "max_completion_tokens": 200,
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "find_order",
                "parameters": {
                    "type": "object",
                    "properties": {"order": {"type": "integer"}},
                    "required": ["order"],
                },
            },
        }
    ],
}
"""The call to decide if no other is given."""

_STATES: dict[str, State] = {
    "adapter-bug": "failed",
    "refused": "warning",
    "unsupported": "note",
    "not-json": "note",
    "hosts": "note",
}
_REPLY_BODY = {"error": {"message": "not sent", "type": "doctor", "param": None, "code": None}}


def decision(environment: Environment) -> Iterator[Finding]:
    """Decide a call, and report its backend and losses."""
    settings = environment.settings
    assert settings is not None
    if environment.flags is not None:
        with suppress(AdapterError):  # reported by the check of the flag
            settings = settings.model_copy(
                update={"flags": load_flag_client(environment.flags, str(environment.folder))}
            )
    import openai

    import adapter

    given = dict(BUILT_IN if environment.sample is None else environment.sample)
    what = "The built-in sample" if environment.sample is None else "The sample"
    http = sdk_http_library()
    sent: list[str] = []

    def stopped(request: Any) -> Any:
        sent.append(request.url.path)
        # No fallback and no retry follow this status: the decision stands.
        return http.Response(418, json=_REPLY_BODY)

    base_url = environment.variables.get("OPENAI_BASE_URL") or OFFICIAL_URL
    problem = _url_problem(base_url, http)
    if problem:
        yield Finding(
            "decision", "failed", f"OPENAI_BASE_URL {problem}.", "Fix it: no call can be made."
        )
        return
    with adapter.OpenAI(
        settings=settings, max_retries=0, api_key="unused", base_url=base_url,
        http_client=http.Client(transport=http.MockTransport(stopped)),
    ) as client:  # fmt: skip
        try:
            client.post("/chat/completions", body=given, cast_to=object)
            raise AssertionError("the sample was answered")
        except openai.APIStatusError as error:
            found = adapter.decision(error)
    if found is None:
        yield Finding(
            "decision",
            "failed",
            "By its path, a call to OPENAI_BASE_URL isn't a Chat Completions call: "
            "the adapter leaves it alone.",
            "Set it to the base URL, such as …/v1.",
        )
        return
    losses = [{"path": loss.path, "action": loss.action, "why": loss.why} for loss in found.losses]
    goes = f"goes to {found.backend}" if sent else "isn't sent (BadRequestError)"
    message = (
        f"{what} ({given.get('model')}) {goes}: requested {found.asked}, because of {found.reason}"
    )
    if losses:
        message += "; " + ", ".join(f"{loss['path']} {loss['action']}" for loss in losses)
    advice = "Please report it." if found.reason == "adapter-bug" else ""
    if any(loss.path == "query" and loss.action == "held" for loss in found.losses):
        advice = (
            "A proxy with its target in the query string can't be used with the Responses API; "
            "put the target in the path."
        )
    elif found.reason in ("unsupported", "refused"):
        advice = "`unsupported`, `drop` and `emulate` decide about values that can't be carried."
    elif found.reason == "hosts":
        advice = (
            "Calls to OPENAI_BASE_URL aren't adapted: its host isn't among `hosts`. "
            "Fine if other hosts are meant."
        )
    details = {
        "asked": found.asked,
        "backend": found.backend,
        "reason": found.reason,
        "sent_to": sent,
        "losses": losses,
        "settings_hash": found.settings_hash,
    }
    state = _STATES.get(found.reason, "ok")
    yield Finding("decision", state, message + ".", advice, details)


def _url_problem(base_url: str, http: Any) -> str:
    """Return why the SDK can't call a base URL, or ""; the URL isn't quoted, for its password."""
    try:
        url = http.URL(base_url)
    except (http.InvalidURL, ValueError):
        return "isn't a URL"
    if url.scheme not in ("http", "https") or not url.host:
        return "isn't a URL with http:// or https:// and a host"
    relayed = b"://" in unquote_to_bytes(url.query)  # a proxy with its target in the query
    if (url.query and not relayed) or url.fragment:
        return "has a query or a fragment, to which the SDK would append /chat/completions"
    return ""
