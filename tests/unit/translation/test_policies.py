"""Each policy for everything that can't be carried: the request, the error, the ledger.

`pytest -s` prints the table. A new parameter in `translation/parameters.py` must be covered here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import openai
import pytest

import adapter
from adapter import Settings
from adapter.translation.parameters import (
    CHAT_PARAMETERS,
    DEFAULT_POLICIES,
    UNSUPPORTED_MESSAGE_FIELDS,
    Conversion,
)
from tests.support import tier
from tests.support.answers import CALL, CHAT, RESPONSES, completion, response
from tests.support.http import arguments, http
from tests.support.ways_in import Reply, Seen, Sent, WayIn, each_way_in, plain_body

Json = dict[str, Any]

FUNCTION = {"name": "f", "parameters": {"type": "object", "properties": {}}}
TOOL = {"type": "function", "function": FUNCTION}
HI = {"role": "user", "content": "Hi"}
POLICIES = ("chat", "error", "drop")


@dataclass(frozen=True, slots=True)
class Case:
    """A call with a value that can't be carried.

    `parameter`: its name in a policy. `path`: in the ledger. `dropped`: a call that gives the same
    request as this one with the policy `drop`; None if leaving the value out would change the
    conversation: then `drop` means `error`, or for the model `chat`.
    """

    id: str
    parameter: str
    input: Json
    path: str
    dropped: Json | None = None


def _simple(parameter: str, value: Any, path: str = "") -> Case:
    return Case(parameter, parameter, {**CALL, parameter: value}, path or parameter, CALL)


def _message(id_: str, parameter: str, path: str, message: Json, without: Json | None) -> Case:
    dropped = None if without is None else {**CALL, "messages": [HI, without, HI]}
    return Case(id_, parameter, {**CALL, "messages": [HI, message, HI]}, path, dropped)


CASES = (
    _simple("audio", {"voice": "alloy", "format": "wav"}),
    _simple("frequency_penalty", 0.5),
    _simple("logit_bias", {"1": 5}),
    _simple("modalities", ["text", "audio"]),
    _simple("n", 2),
    _simple("prediction", {"type": "content", "content": "x"}),
    _simple("presence_penalty", 0.5),
    _simple("seed", 7),
    _simple("stop", ["x"]),
    _simple("stream_options", {"odd": 1}, "stream_options.odd"),
    _simple("top_logprobs", 2),
    _simple("web_search_options", {}),
    Case(
        "max_tokens",
        "max_tokens",
        {**CALL, "max_tokens": 3},
        "max_tokens",
        {**CALL, "max_tokens": 16},
    ),
    Case(
        "max_completion_tokens",
        "max_completion_tokens",
        {**CALL, "max_completion_tokens": 15},
        "max_completion_tokens",
        {**CALL, "max_completion_tokens": 16},
    ),
    Case("model", "model", {**CALL, "model": "gpt-4o-search-preview"}, "model"),
    Case("functions", "functions", {**CALL, "functions": [FUNCTION], "tools": [TOOL]}, "functions"),
    Case(
        "function_call",
        "function_call",
        {**CALL, "tools": [TOOL], "tool_choice": "auto", "function_call": "none"},
        "function_call",
    ),
    Case(
        "response_format",
        "response_format",
        {**CALL, "response_format": {"type": "odd"}},
        "response_format.type",
    ),
    Case(
        "response_format, no schema",
        "response_format",
        {**CALL, "response_format": {"type": "json_schema", "json_schema": {"name": "s"}}},
        "response_format.json_schema.schema",
    ),
    _message("a role", "messages", "messages[1].role", {"role": "odd", "content": "x"}, None),
    _message(
        "a part",
        "messages",
        "messages[1].content[0]",
        {"role": "user", "content": [{"type": "odd"}]},
        None,
    ),
    _message("a name", "name", "messages[1].name", {**HI, "name": "Ann"}, HI),
    _message(
        "an earlier audio",
        "audio",
        "messages[1].audio",
        {"role": "assistant", "content": "x", "audio": {"id": "a"}},
        {"role": "assistant", "content": "x"},
    ),
    _message(
        "audio in a message",
        "input_audio",
        "messages[1].content[1]",
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "x"},
                {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
            ],
        },
        {"role": "user", "content": [{"type": "text", "text": "x"}]},
    ),
    _message(
        "a breakpoint",
        "prompt_cache_breakpoint",
        "messages[1].content[0].prompt_cache_breakpoint",
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit"}}
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "x"}]},
    ),
)

# Parameters that are always carried; for invalid values the API has its own errors.
ALWAYS_CARRIED = {"logprobs", "store", "tool_choice", "tools"}
EMULATED = ("n", "stop", "web_search_options")
each_case = pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
each_policy = pytest.mark.parametrize("policy", POLICIES)


def test_every_parameter_is_covered() -> None:
    copied = {name for name, row in CHAT_PARAMETERS.items() if row.conversion is Conversion.COPY}
    # Names with a default policy are covered by the tests of message fields.
    known = (CHAT_PARAMETERS.keys() | UNSUPPORTED_MESSAGE_FIELDS) - DEFAULT_POLICIES.keys()
    expected = (known - ALWAYS_CARRIED - copied) | {"model"}
    assert {case.parameter for case in CASES} == expected
    assert len({case.id for case in CASES}) == len(CASES)


def answer(sent: Sent) -> Reply:
    """Answer a request to either API."""
    return Reply.of_json(completion() if sent.path == CHAT else response())


def _outcome(case: Case, policy: str) -> str:
    """Return the effect of a policy: `chat`, `error` or `drop`."""
    if policy == "drop" and case.dropped is None:
        return "chat" if case.parameter == "model" else "error"
    return policy


def _check(case: Case, policy: str, seen: Seen) -> None:
    assert seen.decision is not None
    outcome = _outcome(case, policy)
    decision = (seen.decision.backend, seen.decision.asked, seen.decision.reason)
    if outcome == "chat":
        assert [(sent.path, sent.body) for sent in seen.sent] == [(CHAT, plain_body(case.input))]
        assert seen.value.choices[0].message.content == "Native hello"
        assert decision == ("chat", "responses", "unsupported")
        assert seen.ledger == [(case.path, "held")]
    elif outcome == "error":
        assert seen.sent == []
        assert isinstance(seen.error, openai.BadRequestError)
        assert (seen.error.code, seen.error.param, seen.error.type) == (
            "unsupported_by_responses",
            case.path,
            "invalid_request_error",
        )
        assert isinstance(seen.error.body, dict)
        assert seen.error.body["message"].startswith(f"{case.path}: ")
        assert decision == ("responses", "responses", "refused")
        assert seen.ledger == [(case.path, "held")]
    else:
        assert case.dropped is not None
        assert [sent.path for sent in seen.sent] == [RESPONSES]
        assert seen.sent[0].json() == _translated(case.dropped)
        assert seen.value.choices[0].message.content == "Hello there"
        assert decision == ("responses", "responses", "settings")
        action = "clamped" if case.parameter.startswith("max_") else "dropped"
        assert seen.ledger == [(case.path, action)]


def _translated(body: Json) -> Any:
    seen = _call(Settings(backend="responses", unsupported="error"), body)
    seen.reraise()
    return seen.sent[0].json()


def _call(settings: Settings, body: Json, using: AbstractContextManager[Any] | None = None) -> Seen:
    """Call with these settings, inside a context if one is given."""
    seen = Seen()

    def handle(request: Any) -> Any:
        sent = Sent(request.method, request.url.path, dict(request.headers), request.content)
        seen.sent.append(sent)
        return http.Response(200, json=json.loads(answer(sent).parts[0]))

    client = adapter.OpenAI(
        base_url="https://api.test/v1",
        api_key="key",
        max_retries=0,
        settings=settings,
        http_client=http.Client(transport=http.MockTransport(handle)),
    )
    with client, using or nullcontext():
        try:
            seen.value = result = client.chat.completions.create(**arguments(body))
        except openai.APIError as error:
            seen.error = result = error
        seen.decision = adapter.decision(result)
    return seen


@each_policy
@each_case
@each_way_in
def test_the_policy_for_all(way_in: WayIn, case: Case, policy: str) -> None:
    _check(case, policy, way_in.create(case.input, answer, unsupported=policy))


def _other(policy: str) -> str:
    return "chat" if policy == "error" else "error"


RULE = {"match": {"model": "gpt-*"}}
Made = tuple[Settings, AbstractContextManager[Any] | None]
WAYS: dict[str, Callable[[str, str], Made]] = {
    "by parameter": lambda name, policy: (
        Settings(
            backend="responses", unsupported=_other(policy), unsupported_parameters={name: policy}
        ),
        None,
    ),
    "by a rule": lambda _, policy: (
        Settings(
            backend="responses", unsupported=_other(policy), rules=[{**RULE, "unsupported": policy}]
        ),
        None,
    ),
    "by a rule, by parameter": lambda name, policy: (
        Settings(
            backend="responses",
            unsupported_parameters={name: _other(policy)},
            rules=[{**RULE, "unsupported_parameters": {name: policy}}],
        ),
        None,
    ),
    "by use()": lambda _, policy: (
        Settings(backend="responses", unsupported=_other(policy)),
        adapter.use(unsupported=policy),  # type: ignore[arg-type]
    ),
}
DROPPING: dict[str, Callable[[str], Made]] = {
    "by drop": lambda name: (Settings(backend="responses", unsupported="error", drop=[name]), None),
    "by a rule's drop": lambda name: (
        Settings(backend="responses", unsupported="error", rules=[{**RULE, "drop": [name]}]),
        None,
    ),
    "by use(drop)": lambda name: (
        Settings(backend="responses", unsupported_parameters={name: "error"}),
        adapter.use(drop=[name]),
    ),
}


@each_policy
@pytest.mark.parametrize("way", tier.pick(list(WAYS), ["by a rule, by parameter", "by use()"]))
@each_case
def test_other_ways_to_set_it(case: Case, way: str, policy: str) -> None:
    settings, using = WAYS[way](case.parameter, policy)
    _check(case, policy, _call(settings, case.input, using))


@pytest.mark.parametrize("way", DROPPING)
@each_case
def test_drop_is_the_short_form(case: Case, way: str) -> None:
    settings, using = DROPPING[way](case.parameter)
    _check(case, "drop", _call(settings, case.input, using))


@each_policy
@each_case
def test_a_policy_for_something_else_does_not_count(case: Case, policy: str) -> None:
    other = "logit_bias" if case.parameter != "logit_bias" else "seed"
    settings = Settings(
        backend="responses", unsupported=policy, unsupported_parameters={other: _other(policy)}
    )
    _check(case, policy, _call(settings, case.input))


@each_policy
@pytest.mark.parametrize("name", EMULATED)
@each_way_in
def test_emulated_parameters_need_no_policy(way_in: WayIn, name: str, policy: str) -> None:
    case = next(case for case in CASES if case.id == name)
    seen = way_in.create(case.input, answer, unsupported=policy, emulate=(name,))
    seen.reraise()
    assert set(seen.paths) == {RESPONSES}
    assert len(seen.sent) == (2 if name == "n" else 1)
    assert seen.decision is not None
    assert (seen.decision.backend, seen.decision.reason) == ("responses", "settings")
    assert seen.ledger == [(name, "changed")]


@pytest.mark.parametrize("name", EMULATED)
def test_emulating_one_parameter_does_not_affect_others(name: str) -> None:
    for case in CASES:
        if case.id in EMULATED and case.id != name:
            _check(case, "chat", _call(Settings(backend="responses", emulate=[name]), case.input))


@each_policy
@each_case
def test_responses_only_models_are_refused_where_others_stay_on_chat(
    case: Case, policy: str
) -> None:
    if case.parameter == "model":
        pytest.skip("the case is about the model")
    seen = _call(
        Settings(backend="responses", unsupported=policy), {**case.input, "model": "gpt-5-pro"}
    )
    assert seen.decision is not None
    if _outcome(case, policy) == "drop":
        assert [sent.path for sent in seen.sent] == [RESPONSES]
        assert seen.decision.reason == "settings"
        return
    assert seen.sent == []
    assert isinstance(seen.error, openai.BadRequestError)
    assert (seen.error.code, seen.error.param) == ("unsupported_by_responses", case.path)
    assert ("can't be kept on Chat" in str(seen.error.body)) is (_outcome(case, policy) == "chat")
    assert (seen.decision.backend, seen.decision.reason) == ("responses", "refused")
    assert seen.ledger == [(case.path, "held")]


SIMPLE = [case for case in CASES if case.dropped is CALL]


def _together() -> Json:
    body: Json = {}
    for case in SIMPLE:
        body |= case.input
    return body


def test_several_at_once() -> None:
    held = _call(Settings(backend="responses"), _together())
    assert [sent.path for sent in held.sent] == [CHAT]
    assert sorted(held.ledger) == sorted((case.path, "held") for case in SIMPLE)
    dropped = _call(Settings(backend="responses", unsupported="drop"), _together())
    assert dropped.sent[0].json() == _translated(CALL)
    assert sorted(dropped.ledger) == sorted((case.path, "dropped") for case in SIMPLE)


@pytest.mark.parametrize("strict", ["chat", "error"])
def test_one_that_holds_the_call_outweighs_those_that_are_dropped(strict: str) -> None:
    settings = Settings(
        backend="responses", unsupported="drop", unsupported_parameters={"seed": strict}
    )
    seen = _call(settings, _together())
    assert [sent.path for sent in seen.sent] == ([CHAT] if strict == "chat" else [])
    assert ("seed", "held") in seen.ledger
    if strict == "chat":
        assert seen.sent[0].body == plain_body(_together())


def test_an_error_outweighs_what_would_stay_on_chat() -> None:
    for name in ("seed", "logit_bias"):
        seen = _call(
            Settings(backend="responses", unsupported_parameters={name: "error"}), _together()
        )
        assert seen.sent == []
        assert isinstance(seen.error, openai.BadRequestError)
        assert seen.error.param == name


def _rows() -> Iterator[str]:
    yield "| what | path | chat | error | drop | emulated |"
    yield "|---|---|---|---|---|---|"
    for case in CASES:
        cells = []
        for policy in POLICIES:
            seen = _call(Settings(backend="responses", unsupported=policy), case.input)
            paths = ", ".join(sent.path.removeprefix("/v1/") for sent in seen.sent)
            result = paths or f"400, param {seen.error.param}"  # type: ignore[union-attr]
            cells.append(f"{result}; {', '.join(action for _, action in seen.ledger)}")
        emulated = ""
        if case.id in EMULATED:
            seen = _call(Settings(backend="responses", emulate=[case.id]), case.input)
            emulated = (
                f"{len(seen.sent)} × responses; {', '.join(action for _, action in seen.ledger)}"
            )
        yield f"| {case.id} | `{case.path}` | {' | '.join(cells)} | {emulated} |"


def test_the_table() -> None:
    rows = list(_rows())
    print("\n" + "\n".join(rows))
    assert len(rows) == len(CASES) + 2
