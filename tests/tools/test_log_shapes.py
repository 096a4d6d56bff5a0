"""Logs of many tools with the same requests: the audit of each counts the same."""

from __future__ import annotations

import base64
import copy
import json
from collections import Counter
from typing import Any

import pytest

from adapter import Settings
from adapter.tools.audit.batches import _summarize  # rows without files
from adapter.tools.audit.verdicts import Classifier
from adapter.tools.logs.rows import LoggedRequest, NonRequest, unwrap, unwrap_all
from tests.support.log_writers import LOGS, Log

USER = {"role": "user", "content": "hi"}
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "w",
        "parameters": {"type": "object", "properties": {}},
    },
}
CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "get_weather", "arguments": '{"city": "X"}'},
}
TURN = [
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": "sun"},
]
IMAGE = [
    {"type": "text", "text": "look"},
    {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}

# A request, what it needs to move, and the features that the report counts; written down by hand.
REQUESTS: list[tuple[dict[str, Any], str, tuple[str, ...]]] = [
    ({"messages": [USER]}, "", ()),
    ({"messages": [{"role": "system", "content": "be brief"}, USER], "temperature": 0.2,
        "max_tokens": 50, "top_p": 0.9}, "", ()),
    ({"messages": [USER], "seed": 7}, "drop seed", ()),
    ({"messages": [USER], "seed": 8, "temperature": 0.5}, "drop seed", ()),
    ({"messages": [USER], "n": 3}, "emulate n", ("several answers",)),
    ({"messages": [USER], "stop": ["\n\n", "END"]}, "emulate stop", ()),
    ({"messages": [USER], "frequency_penalty": 0.5}, "drop frequency_penalty", ()),
    ({"messages": [USER], "tools": [TOOL]}, "", ("tools",)),
    ({"messages": [USER, *TURN], "tools": [TOOL]}, "", ("tools", "tool calls in the history")),
    ({"messages": [{"role": "user", "content": IMAGE}]}, "", ("images",)),
    ({"messages": [USER], "response_format": SCHEMA}, "", ("JSON schema",)),
    ({"messages": [{**USER, "name": "ada"}]}, "emulate name", ()),
    ({"messages": [USER], "stream": True}, "", ("stream",)),
    ({"messages": [USER], "top_k": 5}, "", ()),
]  # fmt: skip
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
OF_MESSAGES = ("emulate name", "images", "tool calls in the history")


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(Settings())


def figures(rows: list[Any], classifier: Classifier) -> Any:
    return _summarize(((row, "log", number) for number, row in enumerate(rows)), classifier)


def lines(log: Log) -> list[bytes]:
    """Return the requests as lines of the log."""
    made = [
        log.write({"model": "gpt-4.1", **copy.deepcopy(body)}, USAGE) for body, _, _ in REQUESTS
    ]
    return [row.encode() if isinstance(row, str) else json.dumps(row).encode() for row in made]


@pytest.mark.parametrize("name", LOGS)
def test_the_figures_are_those_of_the_requests(name: str, classifier: Classifier) -> None:
    log = LOGS[name]
    settings: Counter[str] = Counter()
    features: Counter[str] = Counter()
    for body, needs, used in REQUESTS:
        lost = {
            key for key in log.leaves_out if key in body or (key == "name" and "ada" in str(body))
        }
        needs = "" if any(needs.endswith(f" {key}") for key in lost) else needs  # noqa: PLW2901
        blind = "messages" in log.leaves_out
        settings.update([needs] if needs and not (blind and needs in OF_MESSAGES) else [])
        features.update([one for one in used if one.removeprefix("JSON schema") not in lost
                         and not (blind and one in OF_MESSAGES)
                         and not (one == "JSON schema" and "response_format" in lost)])  # fmt: skip
    found = figures(lines(log), classifier)
    assert found.table("bad") == []
    assert found.count("rows", "request") == len(REQUESTS)
    assert Counter(dict(found.table("settings"))) == settings
    assert Counter({name: count for (name, _), count in found.pairs("feature")}) == features
    assert {model for (model, _), _ in found.pairs("model fate")} == {"gpt-4.1"}
    assert dict(found.table("extra")) == ({} if "top_k" in log.leaves_out else {"top_k": 1})
    tokens = [count for (_, what), count in found.pairs("usage") if what == "prompt"]
    assert sum(tokens) == (11 * len(REQUESTS) if log.usage else 0)
    assert dict(found.table("format")) == ({log.format: len(REQUESTS)} if log.format else {})
    assert dict(found.table("not in the log")) == (
        {"messages": len(REQUESTS)} if "messages" in log.leaves_out else {}
    )


JUNK: tuple[Any, ...] = (
    None,
    5,
    [],
    [1, "x", None],
    {},
    {"a": {"b": []}},
    "x",
    "{",
    '{"messages": 5}',
    [[]],
    [{"role": None}],
)


def places(value: Any, at: tuple[Any, ...] = ()) -> Any:
    """Yield the path of every nested value."""
    yield at
    for key, inner in (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    ):
        yield from places(inner, (*at, key))


def put(value: Any, at: tuple[Any, ...], junk: Any) -> Any:
    """Return a copy with another value at a path."""
    if not at:
        return junk
    out = copy.copy(value)
    out[at[0]] = put(value[at[0]], at[1:], junk)
    return out


@pytest.mark.parametrize("name", LOGS)
def test_any_value_anywhere_gives_a_result(name: str, classifier: Classifier) -> None:
    row = LOGS[name].write(
        {"model": "gpt-4.1", "messages": [USER, *TURN], "tools": [TOOL], "seed": 7}, USAGE
    )
    for number, at in enumerate(places(row)):
        made = put(row, at, JUNK[number % len(JUNK)])
        before = copy.deepcopy(made)
        outcomes = unwrap_all(made)
        assert outcomes
        for one in outcomes:
            if isinstance(one, LoggedRequest):
                classifier.classify(one)
            else:
                assert isinstance(one, NonRequest) or one in ("not JSON", "no chat request")
        assert made == before  # the input is unchanged


DEEP: Any = {}
for _ in range(5_000):  # deeper than Python can go
    DEEP = {"a": DEEP}
CALLS = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c", "name": "f", "arguments": DEEP}],
}
WIDE = {f"k{i}": {f"j{j}": {"x": {}} for j in range(20)} for i in range(2_000)}


@pytest.mark.parametrize(
    "row",
    [DEEP, {"body": DEEP}, {"attributes": DEEP}, {"attributes": {"gen_ai." + "x." * 5_000: 1}},
        {"inputs": {"messages": DEEP}, "run_type": "llm"},
     {"run_type": "llm", "inputs": {"messages": [CALLS]}, "trace_id": "t"}, WIDE,
     {"x" * 1_000_000: {"y" * 1_000_000: 1}}, {"log": {"entries": [{"request": DEEP}]}},
     [[[[[[]]]]]], {"a" * 50: "{" * 100_000},
     {"message": "x" * 1_000_000 + "{"}, {"body": "[" * 100_000}],
    ids=["deep", "a deep body", "deep attributes", "a name of many parts", "deep messages",
        "deep arguments", "wide", "long keys", "a deep request", "lists", "braces", "a long line",
        "brackets"],
)  # fmt: skip
def test_hostile_rows_take_bounded_work(row: Any) -> None:
    for one in unwrap_all(row):
        assert not isinstance(one, LoggedRequest) or one.missing


ASIDES: dict[str, tuple[Any, NonRequest]] = {
    "LiteLLM's embeddings": (
        {"call_type": "aembedding", "model_parameters": {}, "model": "e", "messages": "x"},
        NonRequest.OTHER_ENDPOINT),
    "LiteLLM's call of another vendor": (
        {"call_type": "completion", "custom_llm_provider": "anthropic", "model_parameters": {},
            "model": "m", "messages": [USER]}, NonRequest.OTHER_ENDPOINT),
    "LiteLLM's spend log without prompts": (
        {"call_type": "acompletion", "spend": 0.1, "model": "gpt-4o", "messages": {},
            "proxy_server_request": "{}"}, NonRequest.NOTHING),
    "an embedding span": (
        {"name": "embeddings",
            "attributes": {"gen_ai.operation.name": "embeddings", "gen_ai.request.model": "e"}},
            NonRequest.OTHER_ENDPOINT),
    "an agent's span": ({
        "attributes": {"gen_ai.operation.name": "invoke_agent", "gen_ai.request.model": "gpt-4o"}},
        NonRequest.NOTHING),
    "another vendor's span": (
        {"attributes": {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "aws.bedrock",
            "gen_ai.request.model": "m"}}, NonRequest.OTHER_ENDPOINT),
    "a record of one message": (
        {"event_name": "gen_ai.user.message", "body": {"content": "hi"},
            "attributes": {"gen_ai.system": "openai"}}, NonRequest.NOTHING),
    "a chain's run": ({"run_type": "chain", "inputs": {"messages": [USER]}, "trace_id": "t"},
        NonRequest.NOTHING),
    "a run of the Responses API": (
        {"run_type": "llm", "inputs": {"model": "m", "input": "x"}, "trace_id": "t"},
        NonRequest.OTHER_ENDPOINT),
    "Langfuse's span": ({"type": "SPAN", "traceId": "t", "input": {"messages": [USER]}},
        NonRequest.NOTHING),
    "Langfuse's update": (
        {"type": "generation-update", "body": {"input": [USER], "model": "gpt-4o"}},
        NonRequest.NOTHING),
    "a batch's output": (
        {"id": "b", "custom_id": "1", "response": {"status_code": 200, "body": {"usage": USAGE}},
            "error": None}, NonRequest.ANSWER),
    "a reply": ({"object": "chat.completion", "choices": [{"index": 0}], "model": "gpt-4o",
        "usage": USAGE}, NonRequest.ANSWER),
    "a line of another kind": ({"event": "order paid", "level": "info", "order": {"id": 7}},
        NonRequest.NOTHING),
    "a string of another kind": (
        {"timestamp": 1, "message": "REPORT RequestId: 1 Duration: 5 ms", "ingestionTime": 2},
        NonRequest.NOTHING),
    "a chat request that is read back": (
        {"method": "GET", "url": "https://api.openai.com/v1/chat/completions"},
        NonRequest.OTHER_ENDPOINT),
    "embeddings, the URL next to the body": (
        {"request": {"method": "POST", "url": "/v1/embeddings"},
            "payload": {"model": "e", "input": "x"}}, NonRequest.OTHER_ENDPOINT),
    "another vendor's, the URL next to the body": (
        {"http": {"method": "POST", "url": "https://api.anthropic.com/v1/messages"},
            "payload": {"model": "m", "messages": [USER]}},
        NonRequest.OTHER_ENDPOINT),
    "a thread": ({"url": "https://api.openai.com/v1/threads", "body": {"messages": [USER]}},
        NonRequest.OTHER_ENDPOINT),
    "Gemini's": (
        {
            "url": "https://generativelanguage.googleapis.com"
            "/v1beta/models/m:streamGenerateContent?alt=sse",
            "body": {"contents": []},
        },
        NonRequest.OTHER_ENDPOINT),
    "Bedrock's": ({"path": "/model/m.v1:0/converse-stream", "request": {"messages": [USER]}},
        NonRequest.OTHER_ENDPOINT),
    "a completion's prompt": ({"event": "call", "model": "m", "prompt": ["Once"], "n": 2},
        NonRequest.NOTHING),
    "Datadog's workflow": ({"attributes": {"span_kind": "workflow", "input": {"value": "x"}}},
        NonRequest.NOTHING),
    "embeddings twice": (
        {"call": {"model": "e", "input": "x"}, "sent": {"model": "e", "input": "x"}},
        NonRequest.OTHER_ENDPOINT),
    "a line about a request": ({"request": "POST /v1/chat/completions HTTP/1.1", "bytes_sent": 7},
        NonRequest.NOTHING),
    "the URL of a request alone": (
        {"event": "sent", "request": {"method": "POST", "url": "/v1/chat/completions"}},
        NonRequest.NOTHING),
    "an action of a bulk request": ({"index": {"_index": "logs"}}, NonRequest.NOTHING),
    "PostHog's embedding": (
        {"event": "$ai_embedding", "properties": {"$ai_model": "e", "$ai_input": "x"}},
        NonRequest.OTHER_ENDPOINT),
}  # fmt: skip


@pytest.mark.parametrize("name", ASIDES)
def test_a_row_without_a_chat_request_is_no_bad_line(name: str, classifier: Classifier) -> None:
    row, expected = ASIDES[name]
    assert list(unwrap_all(row)) == [expected]
    found = figures([json.dumps(row).encode()], classifier)
    assert dict(found.table("rows")) == {expected.value: 1}
    assert found.bad_lines == ()


def test_a_row_may_hold_several_requests(classifier: Classifier) -> None:
    embeddings = {
        "request": {
            "url": "https://api.openai.com/v1/embeddings",
            "postData": {"text": '{"model": "e", "input": "x"}'},
        }
    }
    entries = [
        LOGS["HAR"].write({"model": "gpt-4.1", **body}, USAGE)["log"]["entries"][1]
        for body, _, _ in REQUESTS
    ]
    cut_off = {"timestamp": 1, "message": '{"request": {"model": "gpt-4o", "messages": [{"ro'}
    found = figures(
        [{"log": {"entries": [*entries, embeddings]}}, {"logEvents": [cut_off]}], classifier
    )
    assert dict(found.table("rows")) == {"request": len(REQUESTS), "other endpoint": 1}
    assert dict(found.table("bad")) == {"not JSON": 1}


def test_a_file_for_fine_tuning_has_no_model() -> None:
    found = unwrap({"messages": [USER, {"role": "assistant", "content": "hello", "weight": 1}]})
    assert isinstance(found, LoggedRequest)
    assert found.missing == ("model",)


def test_the_keys_of_a_log_are_no_parameters() -> None:
    row = {
        "event": "call",
        "level": "info",
        "model": "gpt-4o",
        "messages": [USER],
        "seed": 7,
        "order": 1,
        "duration_ms": 5,
    }
    found = unwrap(row)
    assert isinstance(found, LoggedRequest)
    assert found.body == {"model": "gpt-4o", "messages": [USER], "seed": 7}


MASKED = {
    "a text": "redacted-by-litellm",
    "nothing": None,
    "an empty list": [],
    "an object": {},
}


@pytest.mark.parametrize("name", MASKED)
def test_masked_messages_get_a_placeholder(name: str) -> None:
    row = LOGS["LiteLLM"].write({"model": "gpt-4.1", "messages": [USER], "seed": 7}, USAGE)
    found = unwrap({**row, "messages": MASKED[name]})
    assert isinstance(found, LoggedRequest)
    assert (found.body["model"], found.body["seed"]) == ("gpt-4.1", 7)
    assert len(found.body["messages"]) == 1
    assert found.missing == (() if name == "a text" else ("messages",))


BODY: dict[str, Any] = {"model": "gpt-4o", "messages": [USER], "seed": 7}
TEXT = json.dumps(BODY)
ODD: dict[str, Any] = {
    "after a container's name": f"app-1  | {TEXT}",
    "syslog": f"Jan  1 00:00:00 host app[12]: {TEXT}",
    "a level in brackets": f"[2026-01-01 00:00:00,000] INFO - {TEXT}",
    "a queue's messages": {"messages": [{"MessageId": "1", "Body": TEXT}]},
    "base64": {"topic": "t", "offset": 1, "value": base64.b64encode(TEXT.encode()).decode()},
    "a recording's base64": {
        "request": {
            "method": "POST",
            "url": "/v1/chat/completions",
            "postData": {"text": base64.b64encode(TEXT.encode()).decode()},
        }
    },
    "a cell with the messages": {**BODY, "messages": json.dumps([USER])},
    "LangChain's messages": {
        **BODY,
        "messages": [{"type": "human", "data": {"content": "hi", "type": "human", "name": None}}],
    },
    "LangChain's messages, dumped": {
        **BODY,
        "messages": [{"type": "human", "content": "hi", "additional_kwargs": {}, "id": None}],
    },
    "GELF": {"version": "1.1", "short_message": "call", "level": 6, "_request": TEXT},
    "a list under a key": {"event": "calls", "requests": [BODY]},
    "the SDK's options": {**BODY, "timeout": 3, "extra_headers": {}, "extra_body": {}},
    "deep under unusual names": {"event": "call", "ctx": {"call": {"arguments": BODY}}},
    "parameters beside messages": {
        "event": "call",
        "model": "gpt-4o",
        "messages": [USER],
        "params": {"seed": 7},
    },
    "parameters as text": {
        "event": "call",
        "model": "gpt-4o",
        "messages": [USER],
        "kwargs": '{"seed": 7}',
    },
    "parameters under an unusual name": {
        "level": "info",
        "model": "gpt-4o",
        "messages": [USER],
        "knobs": {"seed": 7},
    },
    "parameters and keys of the log": {
        "model": "gpt-4o",
        "messages": [USER],
        "config": {"seed": 7, "retries": 2},
    },
    "messages next to the body": {"event": "call", "messages": [USER], "request": BODY},
    "messages a level below": {
        "event": "call",
        "model": "gpt-4o",
        "seed": 7,
        "input": {"messages": [USER]},
    },
    "a URL before the body": {
        "request": {"method": "POST", "url": "/v1/chat/completions"},
        "payload": BODY,
    },
    "a URL next to a string": {
        "req": {"method": "POST", "url": "/v1/chat/completions", "headers": {}},
        "request_body": TEXT,
    },
    "a proxy's": {
        "request": {"uri": "/v1/chat/completions", "method": "POST"},
        "ai": {"proxy": {"payload": {"request": TEXT}}},
    },
    "an outer level without log keys": {
        "model": "gpt-4o",
        "seed": 7,
        "trace": {"a": 1},
        "call": {"messages": [USER]},
    },
    "messages called the prompt": {"event": "call", "model": "gpt-4o", "prompt": [USER], "seed": 7},
    "a sample of an evaluation": {
        "type": "sampling",
        "data": {"model": "gpt-4o", "prompt": [USER], "params": {"seed": 7}},
    },
    "Datadog's API": {
        "type": "span",
        "attributes": {
            "span_kind": "llm",
            "model_name": "gpt-4o",
            "input": {"messages": [USER]},
            "metadata": {"seed": 7},
        },
    },
    "Jaeger's": {
        "data": [
            {
                "spans": [
                    {
                        "operationName": "chat",
                        "tags": [
                            {"key": "gen_ai.request.model", "type": "string", "value": "gpt-4o"},
                            {"key": "gen_ai.request.seed", "type": "int64", "value": 7},
                            {
                                "key": "gen_ai.input.messages",
                                "type": "string",
                                "value": json.dumps([USER]),
                            },
                        ],
                    }
                ]
            }
        ]
    },
    "lists in lists": {"a": {"b": [{"c": [{"request": BODY}]}]}},
    "a list under an unusual name": {
        "log": json.dumps({"event": "call", "attempts": [{"request": BODY}]})
    },
    "Loki's": {"streams": [{"stream": {"app": "a"}, "values": [["1", TEXT]]}]},
    "Loki's answer": {
        "status": "success",
        "data": {"resultType": "streams", "result": [{"stream": {}, "values": [["1", TEXT]]}]},
    },
    "after another object": f'2026-01-01 {{"trace": 1}} INFO {TEXT}',
    "after braces": f"2026-01-01 {{trace=1}} INFO {TEXT}",
    "before a duration": f"INFO call {TEXT} 12 ms",
    "escaped by nginx": '{"request": "POST /v1/chat/completions HTTP/1.1", "request_body": "'
    + TEXT.replace('"', r"\x22")
    + '"}',
    "a reply that looks like a request": {
        "response": {"model": "no", "messages": [USER]},
        "llm": BODY,
    },
}


@pytest.mark.parametrize("name", ODD)
def test_odd_rows(name: str) -> None:
    found = unwrap(ODD[name])
    assert isinstance(found, LoggedRequest)
    assert found.body == BODY


CUT_OFF: dict[str, Any] = {
    "in a body": '{"request": ' + TEXT + ', "response": {"choi',
    "after a timestamp": '2026-01-01 {"request": ' + TEXT + ', "response": {"choi',
    "two of them": {"request": TEXT[:-5], "payload": TEXT[:-5]},
}


@pytest.mark.parametrize("name", CUT_OFF)
def test_a_truncated_row_is_one_bad_line(name: str) -> None:
    assert list(unwrap_all(CUT_OFF[name])) == ["not JSON"]


STREAMED = (
    'data: {"choices": [], "usage": null}\n\n'
    'data: {"usage": {"prompt_tokens": 11, "completion_tokens": 7}}\n\n'
    "data: [DONE]\n\n"
)


@pytest.mark.parametrize(
    "reply",
    [STREAMED, {"body": STREAMED}, json.dumps({"usage": USAGE}),
        {"content": {"text": json.dumps({"usage": USAGE})}},
        {"usage": {"input": "11", "output": 7}},
     {"llm_output": {"token_usage": USAGE}},
     {"usage_metadata": {"input_tokens": 11.0, "output_tokens": 7}}],
    ids=["events", "events inside", "text", "text inside", "Langfuse's names", "LangChain's",
        "the names of messages"],
)  # fmt: skip
def test_the_usage_of_a_reply(reply: Any) -> None:
    found = unwrap({"request": BODY, "response": reply})
    assert isinstance(found, LoggedRequest)
    assert found.usage is not None
    assert (found.usage["prompt_tokens"], found.usage["completion_tokens"]) == (11, 7)


def test_a_stored_completion_has_parameters_without_the_servers_seed() -> None:
    stored = {
        "object": "chat.completion",
        "request_id": "r",
        "choices": [{"index": 0}],
        "seed": 4,
        "temperature": 0.5,
        "model": "gpt-4.1",
        "usage": USAGE,
    }
    found = unwrap({"object": "list", "data": [stored]})
    assert isinstance(found, LoggedRequest)
    assert {key: value for key, value in found.body.items() if key != "messages"} == {
        "model": "gpt-4.1",
        "temperature": 0.5,
    }
    assert (found.missing, found.usage) == (("messages",), USAGE)
