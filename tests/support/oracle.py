"""What a Chat caller must see of a recorded Response, derived independently of the code under test.

It reads the finished object alone, without streams, states or policies: slow, plain, and short
enough to verify by reading.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

RAISES = {"failed", "cancelled", "queued", "in_progress"}
WAITING = {
    "mcp_approval_request",
    "computer_call",
    "shell_call",
    "apply_patch_call",
    "local_shell_call",
}


@dataclass(frozen=True)
class Seen:
    """The outcome of a call.

    Text, refusal, calls as (id, kind, name, text), finish, usage counts, web citations, logprob
    tokens.
    """

    content: str | None
    refusal: str | None
    calls: tuple[tuple[str, str, str, str], ...]
    finish: str
    usage: tuple[int, ...] | None
    citations: tuple[tuple[Any, ...], ...]
    tokens: tuple[tuple[str, float], ...]


def must_raise(response: dict[str, Any]) -> bool:
    """Return whether it contains no answer that a Chat caller can get."""
    items = response.get("output") or []
    answered = any(item["type"] in ("function_call", "custom_tool_call") for item in items)
    answered = answered or any(
        _texts(item, "output_text") or _texts(item, "refusal") for item in items
    )
    hidden = any(item["type"] in WAITING or _is_the_answer(item) for item in items)
    return response.get("status") in RAISES or (hidden and not answered)


def _is_the_answer(item: dict[str, Any]) -> bool:
    """Return whether an item is an answer, or waits for the client, and Chat has no form for it."""
    if item["type"] == "tool_search_call":
        return bool(item.get("execution") == "client")
    return item["type"] == "image_generation_call"


def _texts(item: dict[str, Any], kind: str) -> str:
    if item["type"] != "message":
        return ""
    key = "text" if kind == "output_text" else "refusal"
    return "".join(part[key] for part in item["content"] if part["type"] == kind)


def _chosen(items: list[dict[str, Any]], kind: str, *, json: bool) -> list[dict[str, Any]]:
    messages = [item for item in items if _texts(item, kind)]
    finals = [item for item in messages if item.get("phase") != "commentary"]
    chosen: list[dict[str, Any]] = []
    for item in finals or messages:
        if _texts(item, kind) not in [_texts(other, kind) for other in chosen]:
            chosen.append(item)
    return chosen[:1] if json else chosen


def is_json(response: dict[str, Any]) -> bool:
    """Return whether the request asked for JSON."""
    return ((response.get("text") or {}).get("format") or {}).get("type") in (
        "json_object",
        "json_schema",
    )


def seen(response: dict[str, Any], *, logprobs: bool = False) -> Seen:
    """Return the outcome of a finished Response."""
    items = response.get("output") or []
    chosen = _chosen(items, "output_text", json=is_json(response))
    text = "\n\n".join(_texts(item, "output_text") for item in chosen)
    refusal = "\n\n".join(_texts(item, "refusal") for item in _chosen(items, "refusal", json=False))
    calls = tuple(
        (item["call_id"], "function", item["name"], item["arguments"])
        if item["type"] == "function_call"
        else (item["call_id"], "custom", item["name"], item["input"])
        for item in items
        if item["type"] in ("function_call", "custom_tool_call")
    )
    citations, tokens, start = [], [], 0
    for item in chosen:
        for part in item["content"]:
            if part["type"] != "output_text":
                continue
            notes = [
                note for note in part.get("annotations") or () if note["type"] == "url_citation"
            ]
            citations += [_citation(note, start) for note in notes]
            tokens += [
                (entry["token"], round(entry["logprob"], 4)) for entry in part.get("logprobs") or ()
            ]
            start += len(part["text"])
        start += len("\n\n")
    if response.get("status") == "incomplete":
        finish = (
            "content_filter"
            if response["incomplete_details"]["reason"] == "content_filter"
            else "length"
        )
    else:
        finish = "tool_calls" if calls else "stop"
    return Seen(
        content=text if text or not (calls or refusal) else None,
        refusal=refusal or None,
        calls=calls,
        finish=finish,
        usage=_usage(response.get("usage")),
        citations=tuple(citations),
        tokens=tuple(tokens) if logprobs else (),
    )


def _usage(usage: dict[str, Any] | None) -> tuple[int, ...] | None:
    if not usage:
        return None
    cached = (usage.get("input_tokens_details") or {}).get("cached_tokens", 0)
    reasoning = (usage.get("output_tokens_details") or {}).get("reasoning_tokens", 0)
    return usage["input_tokens"], usage["output_tokens"], usage["total_tokens"], cached, reasoning


def of_completion(completion: Any) -> Seen:
    """Return the outcome of a ChatCompletion, as a caller reads it."""
    (choice,) = completion.choices
    message = choice.message
    return Seen(
        content=message.content,
        refusal=message.refusal,
        calls=tuple(_call(call) for call in message.tool_calls or ()),
        finish=choice.finish_reason,
        usage=_chat_usage(completion.usage),
        citations=_citations(note.model_dump() for note in message.annotations or ()),
        tokens=_tokens(choice.logprobs),
    )


def _call(call: Any) -> tuple[str, str, str, str]:
    if call.type == "custom":
        return call.id, "custom", call.custom.name, call.custom.input
    return call.id, "function", call.function.name, call.function.arguments


def _chat_usage(usage: Any) -> tuple[int, ...] | None:
    if usage is None:
        return None
    cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else 0
    reasoning = (
        usage.completion_tokens_details.reasoning_tokens if usage.completion_tokens_details else 0
    )
    return usage.prompt_tokens, usage.completion_tokens, usage.total_tokens, cached, reasoning


def _citations(notes: Any) -> tuple[tuple[Any, ...], ...]:
    return tuple(_citation(note["url_citation"], 0) for note in notes)


def _citation(note: dict[str, Any], start: int) -> tuple[Any, ...]:
    where = (
        None if note.get(key) is None else note[key] + start for key in ("start_index", "end_index")
    )  # some leave these out
    return (*where, note["url"], note.get("title"))


def _tokens(logprobs: Any) -> tuple[tuple[str, float], ...]:
    return tuple(
        (entry.token, round(entry.logprob, 4)) for entry in (logprobs and logprobs.content) or ()
    )


class Reader:
    """Accumulate chunks like application code does, and check the rules of every stream."""

    def __init__(self) -> None:
        self.content: str | None = None
        self.refusal: str | None = None
        self.calls: list[list[str]] = []
        self.finish: str | None = None
        self.usage: Any = None
        self.citations: list[Any] = []
        self.tokens: list[tuple[str, float]] = []
        self.ids: set[str] = set()
        self.roles = 0

    def take(self, chunk: Any) -> None:
        """Add the next chunk."""
        assert self.usage is None, "a chunk behind the usage chunk"
        self.ids.add(chunk.id)
        if chunk.usage is not None:
            assert chunk.choices == []
            self.usage = chunk.usage
        for choice in chunk.choices:
            assert self.finish is None, "a choice behind the finish chunk"
            self._delta(choice.delta)
            self.finish = choice.finish_reason
            self.tokens += _tokens(choice.logprobs)

    def _delta(self, delta: Any) -> None:
        self.roles += delta.role is not None
        assert self.roles == 1, "the role comes once, and first"
        assert delta.tool_calls != []
        if delta.content is not None:
            self.content = (self.content or "") + delta.content
        if delta.refusal is not None:
            self.refusal = (self.refusal or "") + delta.refusal
        self.citations += (delta.model_extra or {}).get("annotations") or []
        for call in delta.tool_calls or ():
            if call.id is not None:
                assert call.index == len(self.calls), "calls are numbered in order of appearance"
                self.calls.append([call.id, call.type, "", ""])
            named = (
                call.function if call.function is not None else (call.model_extra or {})["custom"]
            )
            get = (
                named.get
                if isinstance(named, dict)
                else lambda key, named=named: getattr(named, key, None)
            )
            self.calls[call.index][2] += get("name") or ""
            self.calls[call.index][3] += get("arguments") or get("input") or ""

    def seen(self) -> Seen:
        """Return the outcome."""
        assert len(self.ids) == 1
        assert self.finish is not None, "the stream ended without a finish chunk"
        return Seen(
            self.content, self.refusal, tuple(tuple(call) for call in self.calls), self.finish,
            _chat_usage(self.usage), _citations(self.citations), tuple(self.tokens),
        )  # fmt: skip
