"""What a Response becomes: the cases that bridges between the two APIs get wrong.

Through every way in. Numbers in the ids are those of docs/edge-cases.md; the expected choices are
written out.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import openai
import pydantic
import pytest
from openai.types.chat import ChatCompletion, ParsedChatCompletion

from adapter.translation import chat_to_responses, response_to_completion
from tests.support.ways_in import WAYS_IN, Reply, WayIn, both, each_way_in

Json = dict[str, Any]

FUNCTION: Json = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object", "properties": {}}},
}
SCHEMA: Json = {
    "response_format": {
        "type": "json_schema",
        "json_schema": {
            "name": "s",
            "schema": {"type": "object", "properties": {"a": {"type": "integer"}}},
        },
    }
}
USAGE: Json = {
    "input_tokens": 50,
    "input_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 3},
    "output_tokens": 40,
    "output_tokens_details": {"reasoning_tokens": 20},
    "total_tokens": 91,  # the server's own total, whatever the sum of its parts
}


def asked(**more: Any) -> Json:
    return {"model": "gpt-4.1", "messages": [{"role": "user", "content": "Hi"}], **more}


def response(*output: Json, **more: Any) -> Json:
    return {
        "id": "resp_abc",
        "object": "response",
        "created_at": 1780000000.5,
        "status": "completed",
        "model": "gpt-4.1-2025-04-14",
        "error": None,
        "incomplete_details": None,
        "output": list(output),
        **more,
    }


def incomplete(reason: str | None, *output: Json, **more: Any) -> Json:
    return response(
        *output, **{"status": "incomplete", "incomplete_details": {"reason": reason}, **more}
    )


def text(value: str, **more: Any) -> Json:
    return {"type": "output_text", "text": value, "annotations": [], **more}


def message(*parts: str | Json, **more: Any) -> Json:
    content = [text(part) if isinstance(part, str) else part for part in parts]
    return {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": content,
        **more,
    }


def refusal(value: str) -> Json:
    return message({"type": "refusal", "refusal": value})


def call(call_id: str = "call_A", arguments: str = '{"c":"Oslo"}', **more: Any) -> Json:
    base = {
        "type": "function_call",
        "id": "fc_1",
        "call_id": call_id,
        "name": "f",
        "arguments": arguments,
    }
    return base | {"status": "completed"} | more


REASONING: Json = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
COMMENTARY = message("Let me work that out.", phase="commentary")


def choice(finish: str, content: str | None, *, logprobs: Any = None, **more: Any) -> Json:
    return {
        "index": 0,
        "message": {
            "role": "assistant",
            "content": content,
            "refusal": None,
            "annotations": [],
            **more,
        },
        "logprobs": logprobs,
        "finish_reason": finish,
    }


def tool_call(call_id: str = "call_A", arguments: str = '{"c":"Oslo"}') -> Json:
    return {"id": call_id, "type": "function", "function": {"name": "f", "arguments": arguments}}


@dataclass(frozen=True, slots=True)
class Case:
    """A Response, the one choice of the completion, and the ledger's paths and actions."""

    id: str
    input: Json
    expected: Json
    ledger: tuple[tuple[str, str], ...] = ()
    request: Mapping[str, Any] = field(default_factory=dict)


_CITATION: Json = {
    "type": "url_citation",
    "start_index": 0,
    "end_index": 3,
    "title": "T",
    "url": "https://x.test",
}
_CITED: Json = {
    "type": "url_citation",
    "url_citation": {"start_index": 0, "end_index": 3, "title": "T", "url": "https://x.test"},
}
_SHIFTED: Json = {
    "type": "url_citation",
    "url_citation": {"start_index": 5, "end_index": 8, "title": "T", "url": "https://x.test"},
}
_LOGPROBS: list[Json] = [
    {
        "token": "Hé",
        "bytes": [72, 195, 169],
        "logprob": -0.1,
        "top_logprobs": [{"token": "Hé", "bytes": [72, 195, 169], "logprob": -0.1}],
    }
]
_NAMED = {"tools": [FUNCTION], "tool_choice": {"type": "function", "function": {"name": "f"}}}
_FILE_CITATION: Json = {
    "type": "file_citation",
    "file_id": "file-1",
    "filename": "a.pdf",
    "index": 0,
}

CASES = (
    Case("38-plain", response(message("Hello")), choice("stop", "Hello")),
    Case(
        "38-commentary-then-final",
        response(COMMENTARY, message('{"a":1}', phase="final_answer")),
        choice("stop", '{"a":1}'),
        (("output[0]", "dropped"),),
    ),
    Case(
        "38-commentary-then-final-with-a-schema",
        response(COMMENTARY, message('{"a":1}', phase="final_answer")),
        choice("stop", '{"a":1}'),
        (("output[0]", "dropped"),),
        SCHEMA,
    ),
    Case(
        "38-commentary-and-a-call",
        response(COMMENTARY, call()),
        choice("tool_calls", "Let me work that out.", tool_calls=[tool_call()]),
    ),
    Case(
        "38-commentary-and-a-call-with-a-schema",
        response(COMMENTARY, call()),
        choice("tool_calls", "Let me work that out.", tool_calls=[tool_call()]),
        (),
        SCHEMA,
    ),
    Case("38-commentary-alone", response(COMMENTARY), choice("stop", "Let me work that out.")),
    Case(
        "38-commentary-alone-with-a-schema",
        response(COMMENTARY),
        choice("stop", "Let me work that out."),
        (),
        SCHEMA,
    ),
    Case(
        "38-two-finals", response(message("One."), message("Two.")), choice("stop", "One.\n\nTwo.")
    ),
    Case(
        "38-two-finals-with-a-schema",
        response(message('{"a":1}'), message('{"a":2}')),
        choice("stop", '{"a":1}'),
        (("output[1]", "dropped"),),
        SCHEMA,
    ),
    Case("38-empty-message-beside", response(message("One."), message("")), choice("stop", "One.")),
    Case(
        "39-twins-with-a-schema",
        response(message('{"a":1}'), message('{"a":1}')),
        choice("stop", '{"a":1}'),
        (("output[1]", "dropped"),),
        SCHEMA,
    ),
    Case(
        "39-twins",
        response(message("Same."), message("Same.")),
        choice("stop", "Same."),
        (("output[1]", "dropped"),),
    ),
    Case("40-refusal", response(refusal("I can't.")), choice("stop", None, refusal="I can't.")),
    Case("41-empty-output", response(), choice("stop", "")),
    Case("41-only-reasoning", response(REASONING), choice("stop", "")),
    Case(
        "41-only-reasoning-incomplete",
        incomplete("max_output_tokens", REASONING),
        choice("length", ""),
    ),
    Case("42-cut-text", incomplete("max_output_tokens", message("Hel")), choice("length", "Hel")),
    Case(
        "42-filtered", incomplete("content_filter", message("Hel")), choice("content_filter", "Hel")
    ),
    Case(
        "42-cut-call",
        incomplete("max_output_tokens", call(arguments='{"c":"Os', status="incomplete")),
        choice("length", None, tool_calls=[tool_call(arguments='{"c":"Os')]),
    ),
    *(
        Case(
            f"42-reason-{reason}",
            incomplete(reason, message("Hel")),
            choice("length", "Hel"),
            (("incomplete_details.reason", "changed"),),
        )
        for reason in ("steered", "max_messages", None)
    ),
    Case("43-call", response(call()), choice("tool_calls", None, tool_calls=[tool_call()])),
    Case(
        "43-call-with-fields-that-chat-has-not",
        response(call(namespace="n", caller={"type": "direct"})),
        choice("tool_calls", None, tool_calls=[tool_call()]),
        (("output[0].namespace", "dropped"), ("output[0].caller", "dropped")),
    ),
    Case(
        "43-text-and-two-calls",
        response(
            REASONING, message("Looking it up."), call(), call("call_B", '{"c":"Rome"}', id="fc_2")
        ),
        choice(
            "tool_calls",
            "Looking it up.",
            tool_calls=[tool_call(), tool_call("call_B", '{"c":"Rome"}')],
        ),
    ),
    Case(
        "43-named-choice-on-an-old-model",
        response(call(), model="gpt-4o-2024-08-06"),
        choice("stop", None, tool_calls=[tool_call()]),
        (),
        _NAMED | {"model": "gpt-4o"},
    ),
    Case(
        "43-required-on-an-old-model",
        response(call(), model="gpt-4o-2024-08-06"),
        choice("tool_calls", None, tool_calls=[tool_call()]),
        (),
        _NAMED | {"model": "gpt-4o", "tool_choice": "required"},
    ),
    Case(
        "43-named-choice-cut",
        incomplete(
            "max_output_tokens", call(arguments="{", status="incomplete"), model="gpt-4o-2024-08-06"
        ),
        choice("length", None, tool_calls=[tool_call(arguments="{")]),
        (),
        _NAMED | {"model": "gpt-4o"},
    ),
    Case(
        "24-custom-call",
        response(
            {
                "type": "custom_tool_call",
                "id": "ctc_1",
                "call_id": "call_A",
                "name": "sql",
                "input": "SELECT\n 1",
            },
        ),
        choice(
            "tool_calls",
            None,
            tool_calls=[
                {"id": "call_A", "type": "custom", "custom": {"name": "sql", "input": "SELECT\n 1"}}
            ],
        ),
        (),
        {"tools": [{"type": "custom", "custom": {"name": "sql"}}]},
    ),
    Case(
        "31-logprobs",
        response(message(text("Hé", logprobs=_LOGPROBS))),
        choice("stop", "Hé", logprobs={"content": _LOGPROBS, "refusal": None}),
        (),
        {"logprobs": True, "top_logprobs": 1},
    ),
    Case(
        "31-logprobs-of-two-parts",
        response(message(text("Hé", logprobs=_LOGPROBS), text("Hé", logprobs=_LOGPROBS))),
        choice("stop", "HéHé", logprobs={"content": [*_LOGPROBS, *_LOGPROBS], "refusal": None}),
        (),
        {"logprobs": True},
    ),
    Case(
        "31-logprobs-not-asked-for",
        response(message(text("Hé", logprobs=_LOGPROBS))),
        choice("stop", "Hé"),
    ),
    Case(
        "48-two-parts",
        response(message("Héllo", text("you", annotations=[_CITATION]))),
        choice("stop", "Hélloyou", annotations=[_SHIFTED]),
    ),
    Case(
        "48-two-messages",
        response(message("One"), message(text("you", annotations=[_CITATION]))),
        choice("stop", "One\n\nyou", annotations=[_SHIFTED]),
    ),
    Case(
        "48-annotation-of-a-dropped-message",
        response(message("Hm.", phase="commentary"), message(text("you", annotations=[_CITATION]))),
        choice("stop", "you", annotations=[_CITED]),
        (("output[0]", "dropped"),),
    ),
    Case(
        "49-annotation",
        response(message(text("you", annotations=[_CITATION]))),
        choice("stop", "you", annotations=[_CITED]),
    ),
    Case(
        "49-annotation-that-chat-has-not",
        response(message(text("you", annotations=[_FILE_CITATION, _CITATION]))),
        choice("stop", "you", annotations=[_CITED]),
        (("output[0].content[0].annotations[0]", "dropped"),),
    ),
    Case(
        "49-items-that-chat-has-not",
        response(
            {"type": "web_search_call", "id": "ws_1", "status": "completed"},
            {"type": "new"},
            message("Hello"),
        ),
        choice("stop", "Hello"),
        (("output[0]", "dropped"), ("output[1]", "dropped")),
    ),
)

each_case = pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])


@each_case
def test_the_pure_function(case: Case) -> None:
    made = chat_to_responses(asked(**case.request))
    before = copy.deepcopy(case.input)
    reply = response_to_completion(case.input, made.reply_context, made.paths)
    assert reply.body["choices"] == [case.expected]
    assert [(loss.path, loss.action) for loss in reply.losses] == list(case.ledger)
    assert case.input == before


@each_case
@each_way_in
def test_a_way_in(way_in: WayIn, case: Case) -> None:
    seen = way_in.create(asked(**case.request), both(Reply.of_json(case.input)))
    assert seen.json()["choices"] == [case.expected]
    assert type(seen.value) is ChatCompletion
    assert seen.ledger == list(case.ledger)
    assert seen.open_on_return == 0


@each_case
def test_all_ways_in_give_equal_completions(case: Case) -> None:
    reply = both(Reply.of_json(case.input | {"usage": USAGE}))
    seen = [way_in.create(asked(**case.request), reply).value for way_in in WAYS_IN]
    assert isinstance(seen[0], ChatCompletion)
    assert all(completion == seen[0] for completion in seen)


@each_case
@each_way_in
def test_the_same_reply_read_with_parse(way_in: WayIn, case: Case) -> None:
    untyped = {key: value for key, value in case.request.items() if key != "response_format"}
    strict = [
        tool | {"function": tool["function"] | {"strict": True}}
        for tool in untyped.pop("tools", [])
        if "function" in tool
    ]
    seen = way_in.parse(
        asked(**untyped, **({"tools": strict} if strict else {})), both(Reply.of_json(case.input))
    )
    expected = {
        "length": openai.LengthFinishReasonError,
        "content_filter": openai.ContentFilterFinishReasonError,
    }
    raised = expected.get(case.expected["finish_reason"])
    if raised is not None:
        assert isinstance(seen.error, raised)
        return
    seen.reraise()
    assert isinstance(seen.value, ParsedChatCompletion)
    assert seen.value.choices[0].finish_reason == case.expected["finish_reason"]


class Answer(pydantic.BaseModel):
    """The model passed to `parse`."""

    a: int


@dataclass(frozen=True, slots=True)
class Parsed:
    """A Response, and the result of `parse`: the model, None, or an exception."""

    id: str
    input: Json
    expected: Any


PARSED = (
    Parsed(
        "38-final-beside-commentary",
        response(COMMENTARY, message('{"a":1}', phase="final_answer")),
        Answer(a=1),
    ),
    Parsed("39-twins", response(message('{"a":1}'), message('{"a":1}')), Answer(a=1)),
    Parsed("39-two-documents", response(message('{"a":1}'), message('{"a":2}')), Answer(a=1)),
    Parsed("40-refusal", response(refusal("I can't.")), None),
    Parsed(
        "42-length",
        incomplete("max_output_tokens", message('{"a":'), usage=USAGE),
        openai.LengthFinishReasonError,
    ),
    Parsed(
        "42-filter",
        incomplete("content_filter", message('{"a":')),
        openai.ContentFilterFinishReasonError,
    ),
    Parsed("42-steered", incomplete("steered", message('{"a":')), openai.LengthFinishReasonError),
    Parsed(
        "42-call",
        incomplete("max_output_tokens", call(arguments="{", status="incomplete")),
        openai.LengthFinishReasonError,
    ),
)
each_parsed = pytest.mark.parametrize("case", PARSED, ids=[case.id for case in PARSED])


@each_parsed
@each_way_in
def test_parse(way_in: WayIn, case: Parsed) -> None:
    seen = way_in.parse(asked(response_format=Answer), both(Reply.of_json(case.input)))
    _check_parsed(case, seen.value, seen.error)


@each_parsed
@each_way_in
def test_parse_with_the_streaming_helper(way_in: WayIn, case: Parsed) -> None:
    frame = {"type": f"response.{case.input['status']}", "response": case.input}
    reply = Reply.of_sse([f"data: {json.dumps(frame)}\n\n".encode()])
    seen = way_in.helper(asked(response_format=Answer), both(reply))
    _check_parsed(case, seen.value, seen.error)


def _check_parsed(case: Parsed, value: Any, error: Exception | None) -> None:
    if isinstance(case.expected, type):
        assert type(error) is case.expected
        return
    if error is not None:
        raise error
    read = value.choices[0].message
    assert read.parsed == case.expected
    if case.expected is None:
        assert (read.content, read.refusal) == (None, "I can't.")


@each_way_in
def test_42_the_usage_is_in_the_length_error(way_in: WayIn) -> None:
    seen = way_in.parse(asked(response_format=Answer), both(Reply.of_json(PARSED[4].input)))
    assert isinstance(seen.error, openai.LengthFinishReasonError)
    assert seen.error.completion.usage is not None
    assert seen.error.completion.usage.total_tokens == 91


@pytest.mark.parametrize(
    "kind",
    ["mcp_approval_request", "computer_call", "shell_call", "apply_patch_call", "local_shell_call"],
)
@each_way_in
def test_41_items_that_wait_for_the_client_are_no_empty_success(way_in: WayIn, kind: str) -> None:
    waiting = {"type": kind, "id": "x_1"}
    seen = way_in.create(asked(), both(Reply.of_json(response(waiting))))
    assert isinstance(seen.error, openai.APIError)
    beside = way_in.create(asked(), both(Reply.of_json(response(waiting, message("Hello")))))
    assert beside.json()["choices"] == [choice("stop", "Hello")]
    assert beside.ledger == [("output[0]", "dropped")]


@each_way_in
def test_46_the_envelope(way_in: WayIn) -> None:
    served = response(message("Hello"), service_tier="default", metadata={}, usage=USAGE)
    made = way_in.create(asked(model="gpt-4.1"), both(Reply.of_json(served))).json()
    assert {key: value for key, value in made.items() if key not in {"choices", "usage"}} == {
        "id": "chatcmpl-resp_abc",
        "object": "chat.completion",
        "created": 1780000000,
        "model": "gpt-4.1-2025-04-14",
        "service_tier": "default",
        "system_fingerprint": None,
    }


@each_way_in
def test_46_metadata_that_was_sent_comes_back(way_in: WayIn) -> None:
    served = response(message("Hello"), metadata={"k": "v"})
    made = way_in.create(asked(metadata={"k": "v"}), both(Reply.of_json(served))).json()
    assert made["metadata"] == {"k": "v"}


@each_way_in
def test_46_metadata_that_a_server_does_not_echo(way_in: WayIn) -> None:
    made = way_in.create(
        asked(metadata={"k": "v"}), both(Reply.of_json(response(message("Hello"))))
    ).json()
    assert "metadata" not in made


@each_way_in
def test_43_named_choice_on_a_newer_model(way_in: WayIn) -> None:
    served = response(call(), model="gpt-5-2025-08-07")
    seen = way_in.create(asked(**_NAMED | {"model": "gpt-5"}), both(Reply.of_json(served)))
    assert seen.json()["choices"][0]["finish_reason"] == "tool_calls"


@dataclass(frozen=True, slots=True)
class Usage:
    """A Response's usage, and the completion's."""

    id: str
    input: Any
    expected: Json | None


_NOTHING_ELSE = {
    "audio_tokens": 0,
    "accepted_prediction_tokens": 0,
    "rejected_prediction_tokens": 0,
}

USAGES = (
    Usage(
        "47-all",
        USAGE,
        {
            "prompt_tokens": 50,
            "completion_tokens": 40,
            "total_tokens": 91,
            "prompt_tokens_details": {
                "cached_tokens": 10,
                "cache_write_tokens": 3,
                "audio_tokens": 0,
            },
            "completion_tokens_details": {"reasoning_tokens": 20, **_NOTHING_ELSE},
        },
    ),
    Usage(
        "47-no-cache-write",
        USAGE | {"input_tokens_details": {"cached_tokens": 10}},
        {
            "prompt_tokens": 50,
            "completion_tokens": 40,
            "total_tokens": 91,
            "prompt_tokens_details": {"cached_tokens": 10, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 20, **_NOTHING_ELSE},
        },
    ),
    Usage(
        "47-no-details",
        {"input_tokens": 5, "output_tokens": 4, "total_tokens": 9},
        {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9},
    ),
    Usage("47-null", None, None),
)


@pytest.mark.parametrize("case", USAGES, ids=[case.id for case in USAGES])
@each_way_in
def test_47_usage(way_in: WayIn, case: Usage) -> None:
    seen = way_in.create(asked(), both(Reply.of_json(response(message("Hello"), usage=case.input))))
    assert seen.json().get("usage") == case.expected
    assert (seen.value.usage is None) == (case.expected is None)


@each_way_in
def test_47_no_usage_is_invented(way_in: WayIn) -> None:
    seen = way_in.create(asked(), both(Reply.of_json(response(message("Hello")))))
    assert "usage" not in seen.json()
