"""The paths of Chat Completions, and their counterparts on the Responses API.

Only the end of a path is replaced, so that a base path, a gateway's prefix and the query keep their
bytes.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, NamedTuple
from urllib.parse import quote, unquote, unquote_to_bytes

from adapter.translation.identifiers import response_id
from adapter.translation.ledger import Loss
from adapter.translation.server_profiles import server_profile

RequestKind = Literal["chat", "stored"]

OLDEST_AZURE_VERSION = "2025-03-01-preview"
"""The first `api-version` with the Responses API (docs/mapping.md#known-errors)."""

_CHAT = re.compile(
    rb"(?P<base>.*?)(?:/deployments/(?P<deployment>[^/]+))?/chat/completions/*", re.DOTALL
)
_END = b"/chat/completions"
# Without a leading slash: the SDK appends it to the path of a base URL, and `chat/completions` to
# the whole URL.
_TARGET = re.compile(rb"chat/completions/*(?=[?&#;]|$)")
_URL = re.compile(rb"https?://[^&]*" + _TARGET.pattern)
_STORED = re.compile(
    rb"(?P<base>.*)/chat/completions/(?P<id>[^/]+)(?P<messages>/messages)?/*", re.DOTALL
)
_VERSION = re.compile(rb"(?<![^&])api-version=([^&]*)")


class Endpoint(NamedTuple):
    """The target of a translated request.

    `path` is the raw path with its query; `model` is the deployment in the chat URL, which takes
    precedence over the body's model; `changes` are the losses of the path.
    """

    path: bytes
    model: str | None = None
    changes: tuple[Loss, ...] = ()


def classify_request(method: str, raw_path: bytes) -> RequestKind | None:
    """Classify a request: a chat call, a request for a stored Response, or neither (None)."""
    if method == "POST" and raw_path.endswith(b"/chat/completions"):
        return "chat"  # nearly all of them
    path, _, query = raw_path.partition(b"?")
    if method == "POST":
        return (
            "chat"
            if path.rstrip(b"/").endswith(b"/chat/completions") or _holds_chat_path(query)
            else None
        )
    if method in ("GET", "DELETE") and b"/chat/completions/" in path:
        # A request that the adapter fails to read passes untouched (docs/decisions.md#promises).
        with suppress(Exception):
            return "stored" if stored_endpoint(method, raw_path) is not None else None
    return None


def is_relayed(raw_path: bytes) -> bool:
    """Return whether a chat call goes to a relay that takes the target from its query.

    The path of such a call (`/fetch?url=https://…/v1/chat/completions`) can't be replaced, since
    only the relay knows how it reads the query. A complete URL in the query is the target,
    whatever the path is.
    """
    path, _, query = raw_path.partition(b"?")
    return _holds_chat_path(query, _URL if path.rstrip(b"/").endswith(_END) else _TARGET)


def _holds_chat_path(query: bytes, target: re.Pattern[bytes] = _TARGET) -> bool:
    """Return whether a value in a query ends like the path of a chat call, quoted or not."""
    return b"completions" in query and any(map(target.search, (query, unquote_to_bytes(query))))


def responses_endpoint(raw_path: bytes) -> Endpoint:
    """Return the counterpart of a chat path.

    Azure's `/deployments/NAME` is removed from the path and becomes the body's model, and an
    `api-version` older than the Responses API is raised to the first one that has it
    (docs/mapping.md#azure).
    """
    if raw_path.endswith(_END) and b"?" not in raw_path and b"/deployments/" not in raw_path:
        return Endpoint(raw_path[: -len(_END)] + b"/responses")  # nearly all of them
    path, mark, query = raw_path.partition(b"?")
    found = _CHAT.fullmatch(path)
    if found is None:
        return Endpoint(raw_path)
    model = found["deployment"]
    # Only Azure has deployments, also behind a gateway. Elsewhere `api-version` stays as it is.
    azure = model is not None or b"/openai" in found["base"]
    query, changes = _with_supported_version(query) if azure else (query, ())
    return Endpoint(
        found["base"] + b"/responses" + mark + query,
        unquote(model.decode()) if model else None,
        changes,
    )


def is_azure(host: str, raw_path: bytes) -> bool:
    """Return whether a chat call goes to Azure, by its host or path."""
    return server_profile(host, raw_path).name == "Azure"


def azure_deployment(raw_path: bytes) -> str | None:
    """Return the deployment in a chat path of Azure, or None."""
    if b"/deployments/" not in raw_path:
        return None
    found = _CHAT.fullmatch(raw_path.partition(b"?")[0])
    return (
        unquote(found["deployment"].decode()) if found is not None and found["deployment"] else None
    )


def _with_supported_version(query: bytes) -> tuple[bytes, tuple[Loss, ...]]:
    found = _VERSION.search(query)
    # Dates sort as text. Words (`preview`, `latest`) belong to the v1 path and stay.
    if (
        found is None
        or not found[1][:4].isdigit()
        or found[1] >= OLDEST_AZURE_VERSION.encode()[:10]
    ):
        return query, ()
    why = f"raised to {OLDEST_AZURE_VERSION}, the first that has the Responses API"
    raised = query[: found.start(1)] + OLDEST_AZURE_VERSION.encode() + query[found.end(1) :]
    return raised, (Loss("query.api-version", "changed", why),)


@dataclass(frozen=True, slots=True)
class StoredCompletion:
    """A request for a stored Response by the id of a completion."""

    path: bytes
    operation: Literal["retrieve", "delete", "messages"]
    completion_id: str
    newest_first: bool = False

    def page_after(self, item_id: str) -> bytes:
        """Return the path of the page that begins after an item."""
        path, _, query = self.path.partition(b"?")
        kept = [part for part in query.split(b"&") if part and not part.startswith(b"after=")]
        return path + b"?" + b"&".join([*kept, b"after=" + quote(item_id, safe="").encode()])


def stored_endpoint(method: str, raw_path: bytes) -> StoredCompletion | None:
    """Return the counterpart of a path with the id of a completion that is a Response, else None.

    Only the adapter makes such ids (`chatcmpl-resp_…`), so Chat Completions can't know them,
    whatever the backend is now (docs/mapping.md#stored-completions).
    """
    path, _, query = raw_path.partition(b"?")
    found = _STORED.fullmatch(path)
    completion = unquote(found["id"].decode()) if found else ""
    response = response_id(completion)
    if found is None or response is None or not re.fullmatch(r"resp_[\w.-]+", response, re.ASCII):
        return None
    base = re.sub(rb"/deployments/[^/]+$", b"", found["base"])
    if b"/openai" in base:
        query, _ = _with_supported_version(query)
    base += b"/responses/" + response.encode()
    if found["messages"]:
        if method != "GET":
            return None
        order = re.search(rb"(?<![^&])order=([^&]*)", query)
        if order is None:
            # Chat's default; the default of the Responses API is desc.
            query = query + (b"&" if query else b"") + b"order=asc"
        newest_first = order is not None and order[1] == b"desc"
        return StoredCompletion(
            base + b"/input_items?" + query, "messages", completion, newest_first
        )
    target = base + (b"?" + query if query else b"")
    return StoredCompletion(target, "delete" if method == "DELETE" else "retrieve", completion)
