"""Hypothesis strategies for chat requests, derived from the SDK's TypedDicts at run time.

Values come from the types themselves, so that a new key of a nested type is drawn as soon as the
SDK has it. A new top-level parameter raises instead until `PARAMETERS` has an entry for it: what it
means for the translation needs a decision.

`chat_requests()` draws bodies that Chat Completions would accept; `wild=True` leaves contradictions
in. `conversations()` draws messages in which each tool call is answered; `extend(messages)` adds a
turn to one.
"""

from __future__ import annotations

import base64
import functools
import json
from typing import Any

from hypothesis import strategies as st
from openai.types.chat import ChatCompletionMessageParam
from openai.types.chat import completion_create_params as sdk

from tests.support.shapes import (
    AnyOf,
    Anything,
    Choice,
    ListOf,
    MapOf,
    Record,
    Scalar,
    Shape,
    resolved,
)
from tests.support.typeddicts import shape_of

Json = Any
Message = dict[str, Json]
Body = dict[str, Json]

NAMES = ("get_weather", "lookup", "run-code_2", "x" * 64)

texts = st.one_of(
    st.sampled_from(
        [
            "",
            " ",
            "Hello.",
            "Grüße, 世界 👋🏽",
            "line\r\nline\n\n",
            'quote " and \\',
            "\u2028\u0000\ufeff",
        ]
    ),
    st.text(st.characters(codec="utf-8"), max_size=20),
)
json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**53), 2**53),
        st.floats(allow_nan=False, width=32),
        texts,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(texts, inner, max_size=2)),
    max_leaves=4,
)
json_schemas = st.sampled_from(
    [
        {},
        {"type": "object", "properties": {}},
        {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "Où ?"}},
            "required": ["city"],
        },
        {
            "type": "object",
            "properties": {
                "next": {"$ref": "#"},
                "unit": {"type": ["string", "null"], "enum": ["°C", "°F", None]},
            },
            "required": ["next", "unit"],
            "additionalProperties": False,
        },
    ]
)
# Models don't always write JSON, and their text must come back byte for byte.
arguments = st.one_of(
    st.sampled_from(["", "{}", '{ "city":"P" }', '{"city":', "null", "not json"]),
    st.dictionaries(texts, json_values, max_size=2).map(
        lambda value: json.dumps(value, ensure_ascii=False)
    ),
)
_names = st.sampled_from(NAMES)
_identifiers = st.from_regex(r"[a-z]{2,4}_[0-9a-f]{4,12}", fullmatch=True)
_base64 = st.binary(max_size=12).map(lambda data: base64.b64encode(data).decode())

# Limits of a field's values that its type doesn't express. By record and field; "*" is any record.
_REALISTIC: dict[tuple[str, str], st.SearchStrategy[Json]] = {
    ("*", "name"): _names,
    ("*", "parameters"): json_schemas,
    ("*", "schema"): json_schemas,
    ("*", "arguments"): arguments,
    ("*", "id"): _identifiers,
    ("ImageURL", "url"): st.sampled_from(
        ["https://example.com/ü.png?a=1&b", "data:image/png;base64,iVBORw0KGgo="]
    ),
    ("InputAudio", "data"): _base64,
    ("FileFile", "file_data"): _base64.map(lambda data: f"data:application/pdf;base64,{data}"),
    ("FileFile", "file_id"): _identifiers,
    ("WebSearchOptionsUserLocationApproximate", "country"): st.sampled_from(["FR", "US"]),
}

_models = st.sampled_from(
    ["gpt-4o", "gpt-4.1-mini", "gpt-5-mini", "gpt-5.4", "o4-mini", "some-vendor/model"]
)
_penalties = st.one_of(st.sampled_from([0, 0.0, -2, 2]), st.floats(-2, 2))
_token_limits = st.sampled_from([1, 15, 16, 17, 4096])
_stops = st.sampled_from(["\n", "END", " ", "。", "👋"])

# How to draw each parameter; None: by its type. Neutral values are included throughout.
PARAMETERS: dict[str, st.SearchStrategy[Json] | None] = {
    "messages": None,
    "model": _models,
    "audio": None,
    "frequency_penalty": _penalties,
    "function_call": None,
    "functions": None,
    "logit_bias": st.dictionaries(
        st.integers(0, 200_000).map(str), st.integers(-100, 100), max_size=2
    ),
    "logprobs": None,
    "max_completion_tokens": _token_limits,
    "max_tokens": _token_limits,
    "metadata": st.dictionaries(texts.map(lambda text: text[:64]), texts, max_size=2),
    "modalities": st.sampled_from([["text"], ["text", "audio"]]),
    "moderation": None,
    "n": st.sampled_from([1, 2, 3]),
    "parallel_tool_calls": None,
    "prediction": None,
    "presence_penalty": _penalties,
    "prompt_cache_key": None,
    "prompt_cache_options": None,
    "prompt_cache_retention": None,
    "reasoning_effort": None,
    "response_format": None,
    "safety_identifier": None,
    "seed": st.integers(0, 2**31),
    "service_tier": None,
    "stop": st.one_of(_stops, st.lists(_stops, max_size=4, unique=True)),
    "store": None,
    "stream": None,
    "stream_options": None,
    "temperature": st.one_of(st.sampled_from([0, 1, 1.0, 2]), st.floats(0, 2)),
    "tool_choice": None,
    "tools": None,
    "top_logprobs": st.integers(0, 20),
    "top_p": st.one_of(st.sampled_from([0, 1]), st.floats(0, 1)),
    "user": st.one_of(texts, st.just("u" * 80)),
    "verbosity": None,
    "web_search_options": None,
}


def from_shape(shape: Shape) -> st.SearchStrategy[Json]:
    """Draw values of a shape.

    Optional keys are sometimes absent, and members of a union alternate.
    """
    shape = resolved(shape)
    match shape:
        case Record():
            fields = {key: _field(shape.name, key, one) for key, one in shape.fields.items()}
            required = {key: one for key, one in fields.items() if key in shape.required}
            optional = {key: one for key, one in fields.items() if key not in shape.required}
            return st.fixed_dictionaries(required, optional=optional)
        case AnyOf():
            return st.one_of([from_shape(member) for member in shape.members])
        case Choice():
            return st.sampled_from(shape.values)
        case ListOf():
            return st.lists(from_shape(shape.item), max_size=3)
        case MapOf():
            return st.dictionaries(texts, from_shape(shape.item), max_size=2)
        case Anything():
            return json_values
        case Scalar(kind="string"):
            return texts
        case Scalar(kind="integer"):
            return st.integers(0, 1000)
        case Scalar(kind="number"):
            return st.floats(-1000, 1000)
        case Scalar(kind="boolean"):
            return st.booleans()
        case Scalar(kind="null"):
            return st.none()
    msg = f"no strategy for {shape.describe()}"
    raise TypeError(msg)


def _field(record: str, key: str, shape: Shape) -> st.SearchStrategy[Json]:
    realistic = _REALISTIC.get((record, key), _REALISTIC.get(("*", key)))
    return from_shape(shape) if realistic is None else st.one_of(realistic, *_nulls(shape))


@functools.cache
def parameters() -> dict[str, st.SearchStrategy[Json]]:
    """Return a strategy for each parameter of the SDK, besides `messages`, `model` and `stream`.

    Raises LookupError for one that PARAMETERS doesn't list.
    """
    shape = resolved(shape_of(sdk.CompletionCreateParamsBase))
    assert isinstance(shape, Record)
    if unknown := sorted(shape.fields.keys() - PARAMETERS.keys()):
        msg = f"the SDK has new chat parameters: {unknown}. Decide what becomes of them, then add them to PARAMETERS."
        raise LookupError(msg)
    drawn: dict[str, st.SearchStrategy[Json]] = {}
    for key, one in shape.fields.items():
        if key not in {"messages", "model"}:
            chosen = PARAMETERS[key]
            drawn[key] = from_shape(one) if chosen is None else st.one_of(chosen, *_nulls(one))
    return drawn


def _nulls(shape: Shape) -> list[st.SearchStrategy[None]]:
    return [st.none()] if shape.admits(None) else []


# --- conversations --------------------------------------------------------------------------------


@functools.cache
def _shape_of_message(role: str) -> Record:
    shape = resolved(shape_of(ChatCompletionMessageParam))
    assert isinstance(shape, AnyOf)
    for member in shape.members:
        if isinstance(member, Record) and resolved(member.fields["role"]).admits(role):
            return member
    msg = f"the SDK has no messages of role {role!r}"
    raise LookupError(msg)


@functools.cache
def _messages_of(role: str) -> st.SearchStrategy[Message]:
    """Draw single messages of a role, with all that the SDK's type lets them contain."""
    # Values that keep a request on Chat Completions must be rare, or little else would be tested.
    rare = st.integers(0, 9).map(lambda number: frozenset({"name", "audio"} if number < 9 else ()))
    return st.builds(
        lambda message, left_out: {
            key: value
            for key, value in message.items()
            if key not in left_out or key in _shape_of_message(role).required
        },
        from_shape(_shape_of_message(role)),
        rare,
    )


@functools.cache
def _calls() -> st.SearchStrategy[list[Json]]:
    shape = resolved(_shape_of_message("assistant").fields["tool_calls"])
    assert isinstance(shape, ListOf)
    return st.lists(from_shape(shape.item), min_size=1, max_size=3)


@st.composite
def _assistant(draw: st.DrawFn, position: int) -> list[Message]:
    """Draw an assistant's message and the answers to all its calls."""
    message = draw(_messages_of("assistant"))
    message.pop("tool_calls", None)
    called = message.pop("function_call", None)
    kind = draw(st.sampled_from(["text", "tools", "tools", "function"]))
    if kind == "tools":
        tail = draw(st.sampled_from(["", "", "", "ü: /", "_" + "x" * 80]))
        calls = [
            {**call, "id": f"call_{position}_{i}{tail}"} for i, call in enumerate(draw(_calls()))
        ]
        message["tool_calls"] = calls
        order = draw(st.permutations(calls))
        return [
            message,
            *({**draw(_messages_of("tool")), "tool_call_id": call["id"]} for call in order),
        ]
    if kind == "function" and called:
        return [
            message | {"function_call": called},
            {**draw(_messages_of("function")), "name": called["name"]},
        ]
    if not message.get("content") and not message.get("refusal") and not message.get("audio"):
        message["content"] = draw(texts)
    return [message]


@st.composite
def extend(draw: st.DrawFn, messages: list[Message]) -> list[Message]:
    """Draw the same conversation one turn later.

    It gains an assistant's answer, the results of its calls and the next question.
    """
    longer = [*messages, *draw(_assistant(len(messages)))]
    # After a tool's result the next request may follow immediately.
    if longer[-1]["role"] == "assistant" or draw(st.booleans()):
        longer.extend(draw(st.lists(_messages_of("system"), max_size=1)))
        longer.append(draw(_messages_of("user")))
    return longer


@st.composite
def conversations(draw: st.DrawFn, max_turns: int = 3) -> list[Message]:
    """Draw a conversation that ends with a user's message or a result."""
    instructions = st.one_of(_messages_of("system"), _messages_of("developer"))
    messages = [*draw(st.lists(instructions, max_size=2)), draw(_messages_of("user"))]
    for _ in range(draw(st.sampled_from([*range(max_turns)]))):
        messages = draw(extend(messages))
    return messages


# --- requests -------------------------------------------------------------------------------------


# Without these the parameter would nearly always have to be removed again.
_NEEDS = {"tool_choice": "tools", "parallel_tool_calls": "tools", "function_call": "functions"}


@st.composite
def chat_requests(
    draw: st.DrawFn, *, stream: bool | None = None, wild: bool = False, most: int = 8
) -> Body:
    """Draw the body of a `POST /chat/completions` with up to `most` optional parameters.

    `stream` fixes the flag, None draws it (absent, null, false or true). Only `wild` bodies
    contradict themselves: a tool_choice without tools, both token limits, stream_options without
    stream, and the like.
    """
    body: Body = {"messages": draw(conversations()), "model": draw(_models)}
    table = parameters()
    keys = draw(st.lists(st.sampled_from(sorted(table)), max_size=most, unique=True))
    # Half of the interesting cases concern tools.
    extra = draw(st.sampled_from([(), (), ("tools",), ("tools", "tool_choice")]))
    keys.extend(key for key in extra if key not in keys)
    for key in keys:
        body[key] = draw(table[key])
    flag = draw(st.sampled_from(["absent", None, False, True])) if stream is None else stream
    if not wild:
        for key, needed in _NEEDS.items():
            if key in body and needed not in body:
                body[needed] = draw(table[needed])
        flag = True if stream is None and body.get("stream_options") is not None else flag
    if flag != "absent":
        body["stream"] = flag
    if not wild:
        _reconcile(body)
    return body


def _reconcile(body: Body) -> None:
    """Remove what Chat Completions would refuse because it contradicts something else."""
    if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        del body["max_tokens"]
    if body.get("top_logprobs") is not None:
        body["logprobs"] = True
    if body.get("stream") is not True:
        body.pop("stream_options", None)
    if "functions" in body and not body["functions"]:
        del body["functions"]
    if "tools" in body:
        body["tools"] = _distinct(body["tools"])
        if not body["tools"]:
            del body["tools"]
    if "tools" in body:
        body.pop("functions", None)
    else:
        body.pop("tool_choice", None)
        body.pop("parallel_tool_calls", None)
    if "functions" in body:
        body["functions"] = list(
            {function["name"]: function for function in body["functions"]}.values()
        )
        if isinstance(body.get("function_call"), dict):
            body["function_call"] = {"name": body["functions"][0]["name"]}
    else:
        body.pop("function_call", None)
    if isinstance(body.get("tool_choice"), dict):
        body["tool_choice"] = _choice_among(body["tool_choice"], body["tools"])


def _tool_name(tool: Json) -> str:
    return str(tool[tool["type"]]["name"])


def _distinct(tools: list[Json]) -> list[Json]:
    return list({_tool_name(tool): tool for tool in tools}.values())


def _choice_among(choice: Json, tools: list[Json]) -> Json:
    """Keep the form of a tool_choice, but let it name tools of the request."""
    named = [{"type": tool["type"], tool["type"]: {"name": _tool_name(tool)}} for tool in tools]
    if choice["type"] == "allowed_tools":
        return {**choice, "allowed_tools": {**choice["allowed_tools"], "tools": named}}
    return next((one for one in named if one["type"] == choice["type"]), "auto")
