"""Every recorded chat request, and the pairs that were recorded on both APIs."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from adapter.translation import Policy, chat_to_responses
from tests.support import corpus
from tests.support.openapi import available as document_available
from tests.support.openapi import problems_of_openapi_body
from tests.support.typeddicts import needs_current_types, problems_of_responses_body


def requests(part: corpus.Part) -> list[corpus.Recording]:
    return [
        r
        for ok in (True, False)
        for r in corpus.select(api="chat", host="api.openai.com", ok=ok, part=part)
        if isinstance(r.request, dict)
    ]


# Unknown keys of functions and messages, which Chat ignores.
IGNORED_BY_CHAT = (
    "requires_confirmation",
    "external_execution",
    "reasoning",
    "reasoning_signature",
)

LEAST_TRANSLATED: dict[corpus.Part, int] = {1: 1_200, 2: 120}
LEAST_HELD: dict[corpus.Part, int] = {1: 100, 2: 20}


@corpus.needs_corpus
@corpus.each_part
@needs_current_types
def test_each_request_is_held_with_a_reason_or_translated_whole(
    capsys: pytest.CaptureFixture[str], part: corpus.Part
) -> None:
    translated, held, wrong = 0, 0, []
    for recording in requests(part):
        before = copy.deepcopy(recording.request)
        translation = chat_to_responses(recording.request)
        assert recording.request == before
        if translation.body is None:
            held += 1
            assert translation.held, recording.id
            assert all(
                entry.path and entry.why and entry.action == "held" for entry in translation.held
            )
            continue
        translated += 1
        problems = problems_of_responses_body(translation.body)
        if document_available():
            problems += problems_of_openapi_body(translation.body)
        if problems:
            wrong.append((recording.id, problems[:2]))
        lost = [entry for entry in translation.losses if entry.action != "changed"]
        assert all(entry.path.endswith(IGNORED_BY_CHAT) for entry in lost), recording.id
    right, total = translated + held - len(wrong), translated + held
    with capsys.disabled():
        print(
            f"\nrecorded requests: {right} right of {total}; {translated} translated, {held} held",
            end=" ",
        )
    assert wrong == []
    assert translated > LEAST_TRANSLATED[part]
    assert held > LEAST_HELD[part]


@corpus.needs_corpus
@corpus.each_part
def test_the_same_request_gives_the_same_bytes(part: corpus.Part) -> None:
    for recording in requests(part)[::7]:
        first, second = (chat_to_responses(copy.deepcopy(recording.request)) for _ in range(2))
        assert json.dumps(first.body) == json.dumps(second.body)
        assert first.losses == second.losses


# Recordings in pairs whose two requests differ in what was attached.
DIFFERENT: set[int | str] = {409, 417, 442, 461, 1464, 2060, 2425, 2432, "N245", "N246"}


def transcript(body: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Reduce a Responses request to the contents of its conversation.

    `instructions` and developer messages count as system messages. The model's text differs from
    run to run, so only types of parts, names of tools and keys of arguments are kept.
    """
    items = body["input"]
    if isinstance(items, str):
        items = [{"role": "user", "content": items}]
    if body.get("instructions"):
        items = [{"role": "system", "content": body["instructions"]}, *items]
    out: list[tuple[Any, ...]] = []
    for item in items:
        match item.get("type", "message"):
            case "message" if item["role"] == "assistant":
                parts = tuple(kind for kind, _ in content(item["content"]))
                out += [("assistant", parts)] if parts else []
            case "message":
                role = "system" if item["role"] == "developer" else item["role"]
                out.append((role, content(item["content"])))
            case "function_call":
                arguments = read(item["arguments"])
                out.append(
                    (
                        "call",
                        item["name"],
                        sorted(arguments) if isinstance(arguments, dict) else arguments,
                    )
                )
            case "function_call_output":
                output = item["output"]
                out.append(("output", read(output) if isinstance(output, str) else content(output)))
            case "reasoning" | "item_reference":
                pass
            case other:
                raise AssertionError(other)
    return out


def read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def content(value: Any) -> tuple[tuple[str, Any], ...]:
    if isinstance(value, str):
        return (("text", value),) if value else ()
    kinds = {
        "input_text": "text",
        "output_text": "text",
        "refusal": "refusal",
        "input_image": "image",
        "input_file": "file",
    }
    keys = {
        "text": ("text",),
        "refusal": ("refusal",),
        "image": ("image_url",),
        "file": ("file_data", "file_url", "file_id"),
    }
    found = []
    for part in value:
        kind = kinds[part["type"]]
        found.append((kind, next((part[key] for key in keys[kind] if part.get(key)), None)))
    return tuple(found)


def tools(body: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (tool["type"], tool.get("name"), tool.get("description") or None,
         sorted((tool.get("parameters") or {}).get("properties") or {}))
        for tool in body.get("tools") or []
    ]  # fmt: skip


def shape(body: dict[str, Any]) -> tuple[str, list[str]]:
    wanted = (body.get("text") or {}).get("format") or {"type": "text"}
    return wanted["type"], sorted((wanted.get("schema") or {}).get("properties") or {})


@corpus.needs_corpus
@corpus.each_part
def test_pairs_are_equal(capsys: pytest.CaptureFixture[str], part: corpus.Part) -> None:
    different = set()
    for pair in corpus.pairs(part):
        made = chat_to_responses(pair.chat.request, Policy("drop")).body
        recorded = pair.responses.request
        assert made is not None
        assert recorded is not None
        if any(reduced(made) != reduced(recorded) for reduced in (transcript, tools, shape)):
            different.add((pair.chat.id, pair.responses.id))
    known = {pair for pair in different if DIFFERENT & set(pair)}
    with capsys.disabled():
        total = len(corpus.pairs(part))
        print(
            f"\npairs: {total - len(different)} the same, {len(known)} recorded differently",
            end=" ",
        )
    assert different == known
    assert total > {1: 200, 2: 30}[part]
