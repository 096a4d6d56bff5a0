"""Odd requests get an answer of one of the APIs, never a crash or an adapter bug."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import adapter
from adapter import Settings
from adapter.errors import MalformedRequest, Unsupported
from adapter.translation import Policy, Translation, chat_to_responses
from tests.contract.test_edge_requests import ANSWER, streamed
from tests.support import odd
from tests.support.http import http
from tests.support.odd import TOOL, USER, Json
from tests.support.ways_in import Reply, Sent, WayIn, both, each_way_in, plain_body

POLICIES = (
    Policy(carry_reasoning="always"),
    Policy("error"),
    Policy("drop", carry_reasoning="auto"),
    Policy("drop", emulate=frozenset({"n", "stop", "web_search_options"})),
    Policy(emulate=frozenset({"n", "stop"}), carry_reasoning="always"),
)


def check_pure(body: Json) -> None:
    before = copy.deepcopy(body)
    for policy in POLICIES:
        with contextlib.suppress(MalformedRequest, Unsupported):
            check_made(chat_to_responses(body, policy))
        assert body == before, "the caller's body was changed"


def check_made(made: Translation) -> None:
    assert (made.body is None) == bool(made.held)
    assert all(loss.path and loss.why for loss in (*made.losses, *made.held))
    if made.body is not None:
        json.dumps(made.body)


@pytest.mark.parametrize("name", odd.NAMES)
def test_any_value_of_any_parameter_moves_or_is_refused_by_its_path(name: str) -> None:
    for base in odd.BASES:
        for body in odd.bodies(base, name):
            check_pure(body)


@pytest.mark.parametrize("case", odd.MESSAGES)
def test_nulls_in_messages(case: str) -> None:
    check_pure({"model": "gpt-4.1", "messages": [USER, odd.MESSAGES[case]]})


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-2, 2) | st.sampled_from(["", "x", "auto", "function", "text"]),
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(st.sampled_from(["type", "name", "function", "format", "effort", "text", "x"]), inner, max_size=2),
    max_leaves=5,
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(sorted(odd.BASES)),
    st.dictionaries(st.sampled_from(odd.NAMES), _values, max_size=4),
)
def test_any_values_together(base: str, more: Json) -> None:
    check_pure(odd.BASES[base] | more)


# Nulls, and fields that are given twice

FORMAT = {"type": "json_object"}
TWICE: dict[str, tuple[Json, Json, list[tuple[str, str]]]] = {
    "include null": ({"include": None}, {"include": None}, []),
    "include null beside logprobs": (
        {"include": None, "logprobs": True}, {"include": ["message.output_text.logprobs"]}, [],
    ),
    "include of another type": ({"include": "x"}, {"include": "x"}, []),
    "include of another type beside logprobs": (
        {"include": "x", "logprobs": True}, {"include": "x"}, [("logprobs", "changed")],
    ),
    "reasoning null beside an effort": (
        {"reasoning": None, "reasoning_effort": "low"}, {"reasoning": {"effort": "low"}}, [],
    ),
    "an effort null beside an effort": (
        {"reasoning": {"effort": None, "summary": "auto"}, "reasoning_effort": "low"},
        {"reasoning": {"effort": "low", "summary": "auto"}}, [],
    ),
    "two efforts": (
        {"reasoning": {"effort": "high"}, "reasoning_effort": "low"}, {"reasoning": {"effort": "high"}},
        [("reasoning_effort", "changed")],
    ),
    "the same effort": ({"reasoning": {"effort": "low"}, "reasoning_effort": "low"}, {"reasoning": {"effort": "low"}}, []),
    "text null beside a format": ({"text": None, "response_format": FORMAT}, {"text": {"format": FORMAT}}, []),
    "text beside a format": (
        {"text": {"verbosity": "low"}, "response_format": FORMAT}, {"text": {"format": FORMAT, "verbosity": "low"}}, [],
    ),
    "two formats": (
        {"text": {"format": {"type": "text"}}, "response_format": FORMAT}, {"text": {"format": {"type": "text"}}},
        [("response_format", "changed")],
    ),
    "two verbosities": (
        {"text": {"verbosity": "low"}, "verbosity": "high"}, {"text": {"verbosity": "low"}}, [("verbosity", "changed")],
    ),
    "nulls all over": (dict.fromkeys(set(odd.NAMES) - {"model", "messages", *odd.RESPONSES_ONLY, "no_parameter"}), {}, []),
}  # fmt: skip


@pytest.mark.parametrize(("more", "made", "ledger"), TWICE.values(), ids=TWICE)
def test_nulls_are_neutral_and_repeated_fields_are_losses(
    more: Json, made: Json, ledger: Any
) -> None:
    given_ = odd.BASES["plain"] | more
    for body in (given_, dict(reversed(given_.items()))):
        translation = chat_to_responses(body)
        assert translation.body == {"model": "gpt-4.1", "store": False, "input": [USER], **made}
        assert [(loss.path, loss.action) for loss in translation.losses] == ledger


def test_a_format_in_the_other_apis_terms_is_a_json_format() -> None:
    for shape, expected in (
        ({"type": "json_schema", "name": "n", "schema": {}}, True),
        ({"type": "text"}, False),
        (5, False),
    ):
        assert (
            chat_to_responses(
                odd.BASES["plain"] | {"text": {"format": shape}}
            ).reply_context.json_format
            is expected
        )
    assert chat_to_responses(odd.BASES["plain"] | {"text": "x"}).reply_context.json_format is False


# Through every way in


def answering(sent: Sent) -> Reply:
    if not sent.path.endswith("/responses"):
        return both(Reply())(sent)
    return streamed(ANSWER) if sent.json().get("stream") else Reply.of_json(ANSWER)


@each_way_in
def test_every_parameter_null(way_in: WayIn) -> None:
    for name in odd.NAMES:
        if name in ("model", "messages"):
            continue
        seen = way_in.create(
            odd.BASES["plain"] | {"extra_body": {name: None}}, answering, carry_reasoning="always"
        )
        seen.reraise()
        assert seen.decision is not None
        if name in ("input", "max_output_tokens"):
            assert seen.ledger == [(name, "held")]
        else:
            assert (seen.paths, seen.ledger) == (["/v1/responses"], [])
            assert seen.sent[0].json()["include"] == ["reasoning.encrypted_content"]


@pytest.mark.parametrize("unsupported", ["chat", "drop"])
@each_way_in
def test_every_parameter_of_another_type(way_in: WayIn, unsupported: Any) -> None:
    def refusing(sent: Sent) -> Reply:
        return Reply.of_json(
            {
                "error": {
                    "message": "no",
                    "type": "invalid_request_error",
                    "param": None,
                    "code": "theirs",
                }
            },
            400,
        )

    for name in odd.NAMES:
        body = {
            "model": "gpt-4.1",
            "messages": [USER],
            "tools": [TOOL],
            "extra_body": {name: [{"x": None}]},
        }
        seen = way_in.create(body, refusing, unsupported=unsupported)
        assert seen.decision is not None, name
        assert seen.decision.reason in ("settings", "unsupported", "refused"), name
        if seen.paths == ["/v1/chat/completions"]:
            assert seen.sent[0].body == plain_body(body)
        code = getattr(seen.error, "code", None)
        assert code == ("theirs" if seen.sent else "unsupported_by_responses"), name


def _deep(depth: int) -> Any:
    value: Any = {}
    for _ in range(depth):
        value = {"a": value}
    return value


_LOOP: Json = {}
_LOOP["itself"] = _LOOP

UNWRITABLE: dict[str, Any] = {
    "NaN": float("nan"), "infinity": float("inf"), "many digits": 10**5000, "half a surrogate": "\ud83d", "deep": _deep(3000),
    "a loop": _LOOP, "bytes": b"x", "a set": {1}, "an object": object(), "a number for a key": {1: 2},
}  # fmt: skip
UNWRITABLE_IN: dict[str, Callable[[Any], Json]] = {
    "a message": lambda value: {"messages": [USER, {"role": "user", "content": value}]},
    "a message's key": lambda value: {"messages": [{**USER, "more": value}]},
    "a tool": lambda value: {
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"x": value}}}]
    },
    "a parameter": lambda value: {"temperature": value},
    "a body": lambda value: {"extra_body": {"more": value}},
}


@pytest.mark.parametrize("value", UNWRITABLE.values(), ids=UNWRITABLE)
@each_way_in
def test_what_the_sdk_cant_write_is_its_own_error(way_in: WayIn, value: Any) -> None:
    for make in UNWRITABLE_IN.values():
        body = {"model": "gpt-4.1", "messages": [USER], **make(value)}
        native: type[Exception] | None = None
        try:
            plain_body(body)
        except Exception as error:  # noqa: BLE001  # whatever the SDK has to say
            native = type(error)
        seen = way_in.create(body, answering)
        assert type(seen.error) is (type(None) if native is None else native)
        assert bool(seen.sent) == (native is None)


STRICT: dict[str, bytes] = {
    "NaN": b'{"model":"gpt-4.1","messages":[{"role":"user","content":"x"}],"temperature":NaN}',
    "infinity": b'{"model":"gpt-4.1","messages":[{"role":"user","content":"x"}],"temperature":-Infinity}',
    "NaN beside a surrogate": b'{"model":"gpt-4.1","messages":[{"role":"user","content":"\\ud83d"}],"temperature":NaN}',
    "too large a number": b'{"model":"gpt-4.1","messages":[{"role":"user","content":"x"}],"temperature":1e999}',
    "too large a number in a tool": b'{"model":"gpt-4.1","messages":[{"role":"user","content":"x"}],"tools":[{"type":"x","y":-1e400}]}',
    "too many digits": b'{"model":"gpt-4.1","messages":[{"role":"user","content":"x"}],"max_tokens":' + b"9" * 5000 + b"}",
    "a byte order mark": b'\xef\xbb\xbf{"model":"gpt-4.1","messages":[{"role":"user","content":"x"}]}',
    "UTF-16": '{"model":"gpt-4.1","messages":[{"role":"user","content":"x"}]}'.encode("utf-16"),
    "Latin-1": '{"model":"gpt-4.1","messages":[{"role":"user","content":"ü"}]}'.encode("latin-1"),
    "gzip": gzip.compress(b'{"model":"gpt-4.1","messages":[{"role":"user","content":"x"}]}'),
    "two documents": b'{"model":"gpt-4.1","messages":[]}{}',
    "a single quote": b"{'model': 'gpt-4.1'}",
    "nothing": b"",
}  # fmt: skip
"""Invalid JSON for the APIs: the untouched bytes go to Chat, which answers with its own error."""


def post(
    raw: bytes, *, asynchronous: bool = False, headers: Any = (), **given_: Any
) -> tuple[list[Any], Any, Any]:
    """Send bytes through a transport; return the request, the reply's status, and the decision."""
    arrived: list[Any] = []

    def answer(request: Any) -> Any:
        arrived.append(request)
        return http.Response(
            400, json={"error": {"message": "no", "type": "x", "param": None, "code": None}}
        )

    in_force = Settings(backend="responses", on_bug="raise", **given_)
    given = {
        "method": "POST",
        "url": "https://api.test/v1/chat/completions",
        "content": raw,
        "headers": dict(headers),
    }
    if not asynchronous:
        with http.Client(
            transport=adapter.Transport(http.MockTransport(answer), settings=in_force)
        ) as client:
            reply = client.request(**given)
        return arrived, reply, adapter.decision(reply)

    async def send() -> Any:
        transport = adapter.AsyncTransport(http.MockTransport(answer), settings=in_force)
        async with http.AsyncClient(transport=transport) as client:
            return await client.request(**given)

    reply = asyncio.run(send())
    return arrived, reply, adapter.decision(reply)


@pytest.mark.parametrize("unsupported", ["chat", "drop"])
@pytest.mark.parametrize("raw", STRICT.values(), ids=STRICT)
def test_what_is_no_json_goes_to_chat_untouched(raw: bytes, unsupported: Any) -> None:
    asynchronous = unsupported == "drop"
    headers = {"content-encoding": "gzip"} if raw[:2] == b"\x1f\x8b" else {}
    (arrived,), _, decision = post(
        raw, headers=headers, asynchronous=asynchronous, unsupported=unsupported
    )
    assert arrived.url.path == "/v1/chat/completions"
    assert arrived.content == raw
    assert arrived.headers.get("content-encoding") == headers.get("content-encoding")
    assert decision is not None
    assert (decision.backend, decision.reason) == ("chat", "not-json")
    assert [(loss.path, loss.action) for loss in decision.losses] == [("$", "held")]


def test_a_responses_only_model_with_a_number_that_cant_be_written() -> None:
    arrived, reply, decision = post(
        b'{"model":"o3-pro","messages":[{"role":"user","content":"x"}],"temperature":1e999}'
    )
    assert arrived == []
    assert reply.status_code == 400
    assert decision is not None
    assert decision.reason == "refused"


@pytest.mark.parametrize("raw", [b"[1]", b'"x"', b"17", b"null", b"true"])
def test_json_that_is_no_object(raw: bytes) -> None:
    (arrived,), _, decision = post(raw)
    assert (arrived.url.path, arrived.content) == ("/v1/chat/completions", raw)
    assert decision is not None
    assert (decision.reason, decision.losses[0].path) == ("unsupported", "$")
    assert post(raw, unsupported="drop")[0] == []


def test_what_json_can_spell_moves_as_it_is() -> None:
    raw = (
        b'{"model":"a","model":"gpt-4.1","messages":[{"role":"user","content":"\\ud83d \\u0000"}],"max_tokens":100,'
        b'"metadata":{"n":123456789012345678901234567890},"temperature":1.0}'
    )
    (arrived,), _, decision = post(raw)
    assert arrived.url.path == "/v1/responses"
    assert json.loads(arrived.content) == {
        "model": "gpt-4.1", "store": False, "input": [{"role": "user", "content": "\ud83d \u0000"}], "max_output_tokens": 100,
        "metadata": {"n": 123456789012345678901234567890}, "temperature": 1.0,
    }  # fmt: skip
    assert decision is not None
    assert decision.losses == ()


@pytest.mark.parametrize("place", ["content", "tools", "metadata", "text"])
@pytest.mark.parametrize("depth", [150, 250, 450, 900, 5000])
def test_deep_nesting_moves_or_stays(place: str, depth: int) -> None:
    deep = b'{"a":' * depth + b"1" + b"}" * depth
    raw = {
        "content": b'{"model":"gpt-4.1","messages":[{"role":"user","content":%b}]}',
        "tools": b'{"model":"gpt-4.1","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f","parameters":%b}}]}',
        "metadata": b'{"model":"gpt-4.1","messages":[{"role":"user","content":"x"}],"metadata":%b}',
        "text": b'{"model":"gpt-4.1","messages":[{"role":"user","content":"x"}],"text":%b,"verbosity":"low"}',
    }[place] % deep  # fmt: skip
    (arrived,), _, decision = post(raw)
    assert decision is not None
    assert decision.reason in ("settings", "unsupported", "not-json")
    assert (arrived.content == raw) == (decision.backend == "chat")
