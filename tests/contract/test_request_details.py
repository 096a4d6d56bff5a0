"""Optional parts of a request.

Names and cache marks in messages, keys beside `function`, repeated ids, Azure's data sources.
"""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

import adapter
from adapter import Settings
from adapter.telemetry.record import Record
from adapter.tools.audit.verdicts import Classifier
from adapter.tools.explain.explain import explain
from adapter.tools.logs.rows import LoggedRequest
from adapter.translation import Policy, chat_to_responses
from adapter.translation.parameters import CHAT_PARAMETERS, policy_name_of
from tests.support.answers import CALL, CHAT, RESPONSES, completion, response
from tests.support.typeddicts import needs_current_types, problems_of_responses_body
from tests.support.ways_in import Reply, Sent, WayIn, each_way_in, plain_body

Json = dict[str, Any]

HI: Json = {"role": "user", "content": "Hi"}
MARK: Json = {"type": "ephemeral"}
IMAGE: Json = {"type": "image_url", "image_url": {"url": "https://a.test/a.png"}}
SENT_IMAGE = {"type": "input_image", "image_url": "https://a.test/a.png", "detail": "auto"}


_CHAT = Policy()


def answer(sent: Sent) -> Reply:
    """Answer on either API."""
    return Reply.of_json(completion() if sent.path == CHAT else response())


def text(value: str, **more: Any) -> Json:
    return {"type": "text", "text": value, **more}


def read(value: str) -> Json:
    return {"type": "input_text", "text": value}


def assistant(*parts: Json) -> Json:
    return {"type": "message", "role": "assistant", "content": list(parts)}


def output(value: str) -> Json:
    return {"type": "output_text", "text": value, "annotations": []}


def called(own: str, kind: str = "function", **more: Any) -> Json:
    inner = {"name": "f", "arguments": "{}"} if kind == "function" else {"name": "f", "input": "x"}
    return {"id": own, "type": kind, kind: inner, **more}


def calling(*calls: Json) -> Json:
    return {"role": "assistant", "content": None, "tool_calls": list(calls)}


def tool_result(own: str, content: Any = "done") -> Json:
    return {"role": "tool", "tool_call_id": own, "content": content}


def translated(body: Json, policy: Policy = _CHAT) -> tuple[Json, list[tuple[str, str]]]:
    before = copy.deepcopy(body)
    made = chat_to_responses(body, policy)
    assert body == before
    assert made == chat_to_responses(copy.deepcopy(body), policy)
    assert made.body is not None, made.held
    return made.body, [(loss.path, loss.action) for loss in made.losses]


# Names

NAMED: dict[str, tuple[Json, list[Json], str]] = {
    **{
        f"of {role}": ({"role": role, "content": "Hello"}, [{"role": role, "content": "[Ann]: Hello"}], "changed")
        for role in ("system", "developer", "user")
    },
    "of assistant": ({"role": "assistant", "content": "Hello"}, [assistant(output("[Ann]: Hello"))], "changed"),
    "a part": ({"role": "user", "content": [text("Hello")]}, [{"role": "user", "content": [read("[Ann]: Hello")]}], "changed"),
    "the first of two parts": (
        {"role": "user", "content": [text("a"), text("b")]}, [{"role": "user", "content": [read("[Ann]: a"), read("b")]}], "changed",
    ),
    "behind an image": (
        {"role": "user", "content": [IMAGE, text("a")]}, [{"role": "user", "content": [SENT_IMAGE, read("[Ann]: a")]}], "changed",
    ),
    "nothing but an image": (
        {"role": "user", "content": [IMAGE]}, [{"role": "user", "content": [read("[Ann]: "), SENT_IMAGE]}], "changed",
    ),
    "no words": ({"role": "user", "content": ""}, [{"role": "user", "content": "[Ann]: "}], "changed"),
    "an empty answer": ({"role": "assistant", "content": None}, [assistant(output("[Ann]: "))], "changed"),
    "an answer in parts": (
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No"}, text("a")]},
        [assistant({"type": "refusal", "refusal": "No"}, output("[Ann]: a"))], "changed",
    ),
    "an answer and a call": (
        {"role": "assistant", "content": "a", "tool_calls": [called("1")]},
        [assistant(output("[Ann]: a")), {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"}], "changed",
    ),
    "nothing but a call": (calling(called("1")), [{"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"}], "dropped"),
    "nothing but a refusal": (
        {"role": "assistant", "refusal": "No"}, [assistant({"type": "refusal", "refusal": "No"})], "dropped",
    ),
}  # fmt: skip
NAMES = Policy(emulate=frozenset({"name"}))


@pytest.mark.parametrize("case", NAMED)
def test_a_name_is_written_in_front_of_the_first_text(case: str) -> None:
    message, items, action = NAMED[case]
    body, ledger = translated(
        {"model": "gpt-4o", "messages": [HI, {**message, "name": "Ann"}]}, NAMES
    )
    assert body["input"] == [HI, *items]
    assert ledger == [("messages[1].name", action)]


def test_an_empty_name_and_an_invalid_one() -> None:
    body, ledger = translated({"model": "gpt-4o", "messages": [{**HI, "name": ""}]}, NAMES)
    assert (body["input"], ledger) == ([HI], [("messages[0].name", "dropped")])
    made = chat_to_responses({"model": "gpt-4o", "messages": [{**HI, "name": 1}]}, NAMES)
    assert [(loss.path, loss.why) for loss in made.held] == [
        ("messages[0].name", "expected a string, got a number")
    ]


def test_the_name_of_a_tool_is_the_calls_own() -> None:
    history = [HI, calling(called("1")), {**tool_result("1"), "name": "f"}]
    assert translated({"model": "gpt-4o", "messages": history}, NAMES)[1] == []


def test_names_keep_what_came_before() -> None:
    history: list[Json] = [{**message, "name": "Ann"} for message, _, _ in NAMED.values()]
    history = [one for one in history if "tool_calls" not in one]
    longest = translated({"model": "gpt-4o", "messages": history}, NAMES)[0]["input"]
    for n in range(1, len(history)):
        shorter = translated({"model": "gpt-4o", "messages": history[:n]}, NAMES)[0]["input"]
        assert json.dumps(longest)[: len(json.dumps(shorter)) - 1] == json.dumps(shorter)[:-1]


@each_way_in
def test_names_through_each_way_in(way_in: WayIn) -> None:
    body = {**CALL, "messages": [{**HI, "name": "Ann"}]}
    moved = way_in.create(body, answer, emulate=("name",))
    assert moved.sent[0].json()["input"] == [{"role": "user", "content": "[Ann]: Hi"}]
    assert moved.ledger == [("messages[0].name", "changed")]
    kept = way_in.create(body, answer)
    assert (kept.paths, kept.ledger) == ([CHAT], [("messages[0].name", "held")])
    assert kept.decision is not None
    record = Record.of(kept.decision, latency=0)
    assert (record.held, record.losses) == (("messages[].name",), (("messages[].name", "held"),))


def test_names_by_use_and_in_explain() -> None:
    body = {**CALL, "messages": [{**HI, "name": "Ann"}]}
    assert explain(body, Settings(backend="responses", emulate=("name",))).emulated == ("name",)
    assert explain(body, Settings(backend="responses")).decision.backend == "chat"
    with adapter.use(emulate=["name"]):
        pass


PATHS = {
    "messages[3].name": "name", "messages[].content[].cache_control": "cache_control", "tools[0].function.cache_control": "cache_control",
    "messages[0].content[1]": "messages", "messages[1].audio": "audio", "stream_options.x": "stream_options", "seed": "seed", "name": "name",
}  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_the_name_in_a_policy(path: str) -> None:
    assert policy_name_of(path) == PATHS[path]


# Cache marks of other vendors

FUNCTION: Json = {"name": "f", "parameters": {"type": "object", "properties": {}}}
MARKED: dict[str, tuple[Json, tuple[str, ...]]] = {
    "a user's part": ({"messages": [{"role": "user", "content": [text("a", cache_control=MARK)]}]}, ("messages[0].content[0].cache_control",)),
    "a system part": (
        {"messages": [{"role": "system", "content": [text("a"), text("b", cache_control=MARK)]}, HI]}, ("messages[0].content[1].cache_control",),
    ),
    "a developer's part": (
        {"messages": [{"role": "developer", "content": [text("a", cache_control=MARK)]}, HI]}, ("messages[0].content[0].cache_control",),
    ),
    "an answer's part": (
        {"messages": [HI, {"role": "assistant", "content": [text("a", cache_control=MARK)]}]}, ("messages[1].content[0].cache_control",),
    ),
    "a tool's result": (
        {"messages": [HI, calling(called("1")), tool_result("1", [text("a", cache_control=MARK)])]}, ("messages[2].content[0].cache_control",),
    ),
    "an image": ({"messages": [{"role": "user", "content": [{**IMAGE, "cache_control": MARK}]}]}, ("messages[0].content[0].cache_control",)),
    "inside an image": (
        {"messages": [{"role": "user", "content": [{**IMAGE, "image_url": {**IMAGE["image_url"], "cache_control": MARK}}]}]},
        ("messages[0].content[0].image_url.cache_control",),
    ),
    "inside a file": (
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1", "cache_control": MARK}}]}]},
        ("messages[0].content[0].file.cache_control",),
    ),
    "a message": ({"messages": [{**HI, "cache_control": MARK}]}, ("messages[0].cache_control",)),
    "a tool's message": ({"messages": [HI, calling(called("1")), {**tool_result("1"), "cache_control": MARK}]}, ("messages[2].cache_control",)),
    "a call": ({"messages": [HI, calling(called("1", cache_control=MARK)), tool_result("1")]}, ("messages[1].tool_calls[0].cache_control",)),
    "a tool": ({"tools": [{"type": "function", "function": FUNCTION, "cache_control": MARK}]}, ("tools[0].cache_control",)),
    "a function": ({"tools": [{"type": "function", "function": {**FUNCTION, "cache_control": MARK}}]}, ("tools[0].function.cache_control",)),
    "a custom tool": ({"tools": [{"type": "custom", "custom": {"name": "c"}, "cache_control": MARK}]}, ("tools[0].cache_control",)),
    "inside a custom tool": ({"tools": [{"type": "custom", "custom": {"name": "c", "cache_control": MARK}}]}, ("tools[0].custom.cache_control",)),
    "a deprecated function": ({"functions": [{**FUNCTION, "cache_control": MARK}]}, ("functions[0].cache_control",)),
    "a choice": (
        {"tools": [{"type": "function", "function": FUNCTION}], "tool_choice": {"type": "function", "function": {"name": "f"}, "cache_control": MARK}},
        ("tool_choice.cache_control",),
    ),
    "the request": ({"cache_control": MARK}, ("cache_control",)),
}  # fmt: skip


def without_marks(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_marks(inner) for key, inner in value.items() if key != "cache_control"}
    return [without_marks(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("case", MARKED)
def test_a_cache_mark_is_dropped_with_a_ledger_entry(case: str) -> None:
    more, paths = MARKED[case]
    body = {"model": "gpt-4o", "messages": [HI], **more}
    plain, _ = translated(without_marks(body))
    for unsupported in ("chat", "error", "drop"):
        assert translated(body, Policy(unsupported)) == (
            plain,
            [(path, "dropped") for path in paths],
        )
    held = chat_to_responses(body, Policy("drop", parameters={"cache_control": "chat"}))
    assert [loss.path for loss in held.held] == list(paths)
    with pytest.raises(adapter.Unsupported) as refused:
        chat_to_responses(body, Policy(parameters={"cache_control": "error"}))
    assert refused.value.path == paths[0]


@each_way_in
def test_marks_through_each_way_in(way_in: WayIn) -> None:
    body = {**CALL, **MARKED["a user's part"][0]}
    moved = way_in.create(body, answer)
    assert (moved.paths, moved.ledger) == (
        [RESPONSES],
        [("messages[0].content[0].cache_control", "dropped")],
    )
    kept = way_in.create(body, answer, unsupported_parameters={"cache_control": "chat"})
    assert (kept.paths, kept.ledger) == ([CHAT], [("messages[0].content[0].cache_control", "held")])
    again = way_in.create(body, answer, unsupported="error", drop=("cache_control",))
    assert again.paths == [RESPONSES]


# Keys beside `function`

FLAT: Json = {"type": "function", **FUNCTION, "strict": False}
BESIDE: dict[str, tuple[Json, Json, list[str]]] = {
    "strict": ({"strict": True}, {"strict": True}, []),
    "not strict": ({"strict": False}, {}, []),
    "deferred": ({"defer_loading": True}, {"defer_loading": True}, []),
    "a description": ({"description": "d"}, {"description": "d"}, []),
    "callers": ({"allowed_callers": ["direct"]}, {"allowed_callers": ["direct"]}, []),
    "its own name again": ({"name": "f"}, {}, []),
    "another name": ({"name": "g"}, {}, ["tools[0].name"]),
    "another schema": ({"parameters": {"type": "object"}}, {}, ["tools[0].parameters"]),
    "unknown": ({"eager_input_streaming": True}, {}, ["tools[0].eager_input_streaming"]),
    "null": ({"strict": None, "unknown": None}, {}, []),
    "inside": ({"function": {**FUNCTION, "strict": True, "defer_loading": True, "odd": 1}}, {"strict": True, "defer_loading": True}, ["tools[0].function.odd"]),
    "both": ({"strict": False, "function": {**FUNCTION, "strict": True}}, {"strict": True}, ["tools[0].strict"]),
    "both alike": ({"strict": True, "function": {**FUNCTION, "strict": True}}, {"strict": True}, []),
}  # fmt: skip


@needs_current_types
@pytest.mark.parametrize("case", BESIDE)
def test_keys_beside_a_function(case: str) -> None:
    more, expected, lost = BESIDE[case]
    tool = {"type": "function", "function": FUNCTION, **more}
    body, ledger = translated({"model": "gpt-4o", "messages": [HI], "tools": [tool]})
    assert body["tools"] == [{**FLAT, **expected}]
    assert ledger == [(path, "dropped") for path in lost]
    assert problems_of_responses_body(body) == []


OTHERS: dict[str, tuple[Json, Json, list[str]]] = {
    "a custom tool": (
        {"tools": [{"type": "custom", "custom": {"name": "c", "strict": True}, "defer_loading": True, "strict": True}]},
        {"tools": [{"type": "custom", "name": "c", "defer_loading": True}]}, ["tools[0].strict", "tools[0].custom.strict"],
    ),
    "a deprecated function": (
        {"functions": [{**FUNCTION, "strict": True, "defer_loading": True, "odd": 1}]},
        {"tools": [{**FLAT, "strict": True, "defer_loading": True}]}, ["functions[0].odd"],
    ),
    "a choice": (
        {"tool_choice": {"type": "function", "function": {"name": "f", "strict": True}, "disable_parallel_tool_use": True}},
        {"tool_choice": {"type": "function", "name": "f"}}, ["tool_choice.disable_parallel_tool_use", "tool_choice.function.strict"],
    ),
    "a choice of a custom tool": (
        {"tool_choice": {"type": "custom", "custom": {"name": "c"}, "strict": True}},
        {"tool_choice": {"type": "custom", "name": "c"}}, ["tool_choice.strict"],
    ),
    "a choice of some": (
        {"tool_choice": {"type": "allowed_tools", "odd": 1, "allowed_tools": {"mode": "auto", "more": 1, "tools": [{"type": "function", "function": {"name": "f"}, "strict": True}]}}},
        {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]}},
        ["tool_choice.allowed_tools.tools[0].strict", "tool_choice.odd", "tool_choice.allowed_tools.more"],
    ),
    "a format": (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}, "strict": True}},
        {"text": {"format": {"type": "json_schema", "name": "s", "schema": {}, "strict": False}}}, ["response_format.strict"],
    ),
    "a plain format": (
        {"response_format": {"type": "json_object", "schema": {}}}, {"text": {"format": {"type": "json_object"}}}, ["response_format.schema"],
    ),
    "the deprecated choice": (
        {"function_call": {"name": "f", "strict": True}}, {"tool_choice": {"type": "function", "name": "f"}}, ["function_call.strict"],
    ),
    "a call in the history": (
        {"messages": [HI, calling(called("1", extra_content={"a": 1}, index=0))]},
        {"input": [HI, {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"}]}, ["messages[1].tool_calls[0].extra_content"],
    ),
    "a file": (
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1", "format": "application/pdf"}}]}]},
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]}, ["messages[0].content[0].file.format"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHERS)
def test_keys_beside_what_else_is_flattened(case: str) -> None:
    more, expected, lost = OTHERS[case]
    body, ledger = translated({"model": "gpt-4o", "messages": [HI], **more})
    assert {key: body[key] for key in expected} == expected
    assert ledger == [(path, "dropped") for path in lost]


# Repeated ids


def kinds(body: Json) -> list[tuple[str, str]]:
    """Reduce the calls and outputs of an input to their types and the index of their id.

    The index counts distinct ids.
    """
    numbers: dict[str, str] = {}
    found = []
    for item in body["input"]:
        if "call_id" in item:
            numbers.setdefault(item["call_id"], "abcdef"[len(numbers)])
            found.append(
                (
                    item["type"].replace("function_call", "f").replace("custom_tool_call", "c"),
                    numbers[item["call_id"]],
                )
            )
    return found


REPEATED: dict[str, tuple[list[Json], list[tuple[str, str]]]] = {
    "in two turns": (
        [HI, calling(called("call_0")), tool_result("call_0"), HI, calling(called("call_0")), tool_result("call_0")],
        [("f", "a"), ("f_output", "a"), ("f", "b"), ("f_output", "b")],
    ),
    "a custom call, then a function's": (
        [HI, calling(called("x", "custom")), tool_result("x"), calling(called("x")), tool_result("x")],
        [("c", "a"), ("c_output", "a"), ("f", "b"), ("f_output", "b")],
    ),
    "a function's call, then a custom one": (
        [HI, calling(called("x")), tool_result("x"), calling(called("x", "custom")), tool_result("x"), tool_result("x")],
        [("f", "a"), ("f_output", "a"), ("c", "b"), ("c_output", "b"), ("c_output", "b")],
    ),
    "one without an answer": (
        [HI, calling(called("x", "custom")), calling(called("x")), tool_result("x")], [("c", "a"), ("f", "b"), ("f_output", "b")],
    ),
    "in one message": (
        [HI, calling(called("x"), called("x", "custom"), called("y")), tool_result("x", "1"), tool_result("y"), tool_result("x", "2")],
        [("f", "a"), ("c", "b"), ("f", "c"), ("f_output", "a"), ("f_output", "c"), ("c_output", "b")],
    ),
    "three times": (
        [HI, *[one for _ in range(3) for one in (calling(called("x")), tool_result("x"))]],
        [("f", "a"), ("f_output", "a"), ("f", "b"), ("f_output", "b"), ("f", "c"), ("f_output", "c")],
    ),
    "too long to be sent": (
        [HI, *[one for _ in range(2) for one in (calling(called("x" * 70)), tool_result("x" * 70))]],
        [("f", "a"), ("f_output", "a"), ("f", "b"), ("f_output", "b")],
    ),
    "one that is made up here": (
        [HI, {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": ""}},
         {"role": "function", "name": "f", "content": "1"}, calling(called("call_fn_0")), tool_result("call_fn_0")],
        [("f", "a"), ("f_output", "a"), ("f", "b"), ("f_output", "b")],
    ),
    "an output without a call": ([HI, tool_result("x"), calling(called("x")), tool_result("x")], [("f_output", "a"), ("f", "a"), ("f_output", "a")]),
}  # fmt: skip


@pytest.mark.parametrize("case", REPEATED)
def test_ids_that_repeat(case: str) -> None:
    messages, expected = REPEATED[case]
    made = chat_to_responses({"model": "gpt-4o", "messages": messages})
    assert made.body is not None
    assert kinds(made.body) == expected
    own = {
        id_
        for message in messages
        for call in message.get("tool_calls", ())
        for id_ in (call["id"],)
    }
    ids = [item["call_id"] for item in made.body["input"] if "call_id" in item]
    assert ids[0] == made.body["input"][1]["call_id"]
    assert all(len(one) <= 64 for one in ids)
    # The first one is unchanged, and each later one keeps the caller's id.
    assert all(made.reply_context.call_ids.get(one, one) in own | {"call_fn_0", "x"} for one in ids)
    for n in range(1, len(messages)):
        shorter = chat_to_responses({"model": "gpt-4o", "messages": messages[:n]}).body
        assert shorter is not None
        assert made.body["input"][: len(shorter["input"])] == shorter["input"]


@each_way_in
def test_repeated_ids_through_each_way_in(way_in: WayIn) -> None:
    messages, expected = REPEATED["in two turns"]
    seen = way_in.create({**CALL, "messages": messages}, answer)
    assert kinds(seen.sent[0].json()) == expected
    assert seen.ledger == [("messages[4].tool_calls[0].id", "changed")]


# Azure's data sources


@pytest.mark.parametrize("name", ["data_sources", "dataSources"])
@pytest.mark.parametrize("unsupported", ["chat", "drop"])
@each_way_in
def test_data_sources_stay_on_chat(way_in: WayIn, name: str, unsupported: str) -> None:
    data = [{"type": "azure_search", "parameters": {"index_name": "i"}}]
    body = {**CALL, "extra_body": {name: data}}
    seen = way_in.create(body, answer, unsupported=unsupported)
    assert [(sent.path, sent.body) for sent in seen.sent] == [(CHAT, plain_body(body))]
    assert seen.ledger == [(name, "held")]
    assert seen.decision is not None
    assert (seen.decision.reason, seen.decision.backend) == ("unsupported", "chat")
    explained = explain(
        {**CALL, name: data}, Settings(backend="responses", unsupported=unsupported)
    )
    assert explained.decision.backend == "chat"
    assert [
        (fate.name, fate.outcome) for fate in explained.parameters if fate.outcome == "holds"
    ] == [(name, "holds")]
    assert name not in CHAT_PARAMETERS
    verdict = Classifier(Settings(unsupported=unsupported)).classify(
        LoggedRequest({**CALL, name: data})
    )
    assert (verdict.kind, [path for path, _ in verdict.kept]) == ("stays", [name])


def test_no_data_sources_hold_nothing() -> None:
    assert translated({"model": "gpt-4o", "messages": [HI], "data_sources": None}) == translated(
        {"model": "gpt-4o", "messages": [HI]}
    )
