"""What would become of a call: carried through the real client to the point where it leaves, and no further."""

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
"""The call that is decided where no other is given."""

_STATES: dict[str, State] = {
    "adapter-bug": "failed",
    "refused": "warning",
    "unsupported": "note",
    "not-json": "note",
    "hosts": "note",
}
_REPLY_BODY = {"error": {"message": "not sent", "type": "doctor", "param": None, "code": None}}


def decision(environment: Environment) -> Iterator[Finding]:
    """Decide a call, and say where it would go and what would be lost."""
    settings = environment.settings
    assert settings is not None
    if environment.flags is not None:
        with suppress(AdapterError):  # of which the check of the flag tells
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
        return http.Response(
            418, json=_REPLY_BODY
        )  # no fallback, no retry: whatever was decided stands

    base_url = environment.variables.get("OPENAI_BASE_URL") or OFFICIAL_URL
    wrong = _url_problem(base_url, http)
    if wrong:
        yield Finding(
            "decision", "failed", f"OPENAI_BASE_URL {wrong}.", "Mend it: no call can be made."
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
        says = "A call to OPENAI_BASE_URL isn't one of Chat Completions, by its path: the adapter leaves it alone."
        yield Finding(
            "decision",
            "failed",
            says,
            "Let it be what /chat/completions is put behind, such as …/v1.",
        )
        return
    losses = [{"path": loss.path, "action": loss.action, "why": loss.why} for loss in found.losses]
    goes = f"goes to {found.backend}" if sent else "goes nowhere, with a BadRequestError"
    says = f"{what} ({given.get('model')}) {goes}: asked {found.asked}, by {found.reason}"
    says += (
        "; " + ", ".join(f"{loss['path']} {loss['action']}" for loss in losses) if losses else ""
    )
    do = "Please report it." if found.reason == "adapter-bug" else ""
    if any(loss.path == "query" and loss.action == "held" for loss in found.losses):
        do = "A relay that is told its target in the query gets no call of the Responses API; one with the target in the path does."
    elif found.reason in ("unsupported", "refused"):
        do = "`unsupported`, `drop` and `emulate` say what happens to what can't be carried."
    elif found.reason == "hosts":
        do = "No call of a client for OPENAI_BASE_URL is adapted: its host isn't among `hosts`. Fine where others are meant."
    details = {
        "asked": found.asked, "backend": found.backend, "reason": found.reason, "sent_to": sent, "losses": losses,
        "settings_hash": found.settings_hash,
    }  # fmt: skip
    yield Finding("decision", _STATES.get(found.reason, "ok"), says + ".", do, details)


def _url_problem(base_url: str, http: Any) -> str:
    """Say what keeps the SDK from calling a base URL; nothing of it is quoted, since it may hold a password."""
    try:
        url = http.URL(base_url)
    except (http.InvalidURL, ValueError):
        return "is no URL"
    if url.scheme not in ("http", "https") or not url.host:
        return "is no URL with http:// or https:// and a host"
    relayed = b"://" in unquote_to_bytes(url.query)  # a relay that is told its target there
    if (url.query and not relayed) or url.fragment:
        return "has a query or a fragment, behind which the SDK puts /chat/completions"
    return ""
