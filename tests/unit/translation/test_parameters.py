"""The table of parameters: complete by the SDK's types, and followed by the translation."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from openai.types.chat import ChatCompletion
from openai.types.chat import completion_create_params as chat
from openai.types.responses import Response

from adapter.translation import CHAT_PARAMETERS, Policy, chat_to_responses, param_to_chat
from adapter.translation.parameters import (
    ECHOED_KEYS,
    UNSUPPORTED_MESSAGE_FIELDS,
    Conversion,
    Emulated,
    ValueShape,
)
from adapter.translation.requests.chat_to_responses import CONVERTERS
from tests.support.typeddicts import keys_of, needs_current_types

MESSAGES: list[Any] = [{"role": "user", "content": "Hi"}]
LEAST: dict[str, Any] = {"model": "gpt-4.1", "store": False, "input": MESSAGES}

# The API's defaults, which have no effect: null for every parameter, and these.
NEUTRAL: tuple[tuple[str, Any], ...] = (
    *((name, None) for name in CHAT_PARAMETERS if name not in {"messages", "model"}),
    ("frequency_penalty", 0),
    ("frequency_penalty", 0.0),
    ("logit_bias", {}),
    ("logprobs", False),
    ("modalities", ["text"]),
    ("n", 1),
    ("presence_penalty", 0),
    ("presence_penalty", 0.0),
    ("store", False),
    ("stream", False),
)

# Values close to neutral ones that have an effect.
SOMETHING: tuple[tuple[str, Any], ...] = (
    ("frequency_penalty", 0.1),
    ("logit_bias", {"1": 1}),
    ("modalities", ["text", "audio"]),
    ("n", 2),
    ("presence_penalty", -0.1),
    ("seed", 0),
    ("stop", ["\n"]),
    ("stop", ""),
    ("prediction", {"type": "content", "content": ""}),
    ("audio", {"voice": "alloy", "format": "wav"}),
    ("max_tokens", 15),
    ("max_completion_tokens", 1),
    ("web_search_options", {}),
)


ROOT = Path(__file__).resolve().parents[3]


def test_the_page_lists_every_parameter_with_its_target_and_fate_in_this_order() -> None:
    page = (ROOT / "docs" / "mapping.md").read_text(encoding="utf-8")
    section = page.partition("\n### Parameters\n")[2].partition("\n### ")[0]
    cells = [line.strip("| ").split(" | ")[:3] for line in section.splitlines() if "| `" in line]
    assert cells == [
        [f"`{name}`", f"`{row.target}`" if row.target else "–", row.support]
        for name, row in CHAT_PARAMETERS.items()
    ], "write the row of docs/mapping.md#parameters"


@needs_current_types
def test_the_keys_are_the_sdks() -> None:
    streaming = keys_of(chat.CompletionCreateParamsStreaming)
    assert streaming == keys_of(chat.CompletionCreateParamsNonStreaming)
    assert CHAT_PARAMETERS.keys() == streaming


def test_early_sdks_have_no_key_that_is_unknown_here() -> None:
    assert keys_of(chat.CompletionCreateParamsStreaming) <= CHAT_PARAMETERS.keys()


def test_every_row_has_its_own_name() -> None:
    assert {name: row.name for name, row in CHAT_PARAMETERS.items()} == {
        name: name for name in CHAT_PARAMETERS
    }


def test_every_converted_parameter_has_a_converter_and_no_other_has() -> None:
    rows = {name for name, row in CHAT_PARAMETERS.items() if row.conversion is Conversion.CONVERT}
    assert sorted(rows - CONVERTERS.keys()) == [], (
        'decorate the function that converts it with `@converter("NAME")` in a module that '
        "`requests/chat_to_responses.py` imports, or give the row another conversion"
    )
    assert sorted(CONVERTERS.keys() - rows) == [], (
        "a converter of a name that no row of translation/parameters.py converts"
    )


def test_every_row_has_an_example_that_is_not_neutral() -> None:
    required = {"model", "messages"}
    missing = [
        name
        for name, row in CHAT_PARAMETERS.items()
        if name not in required and row.is_neutral(row.example)
    ]
    assert missing == [], "give the row an `example`: a value that has an effect"


def test_what_can_be_emulated_is_a_parameter_or_a_field_of_messages() -> None:
    assert set(get_args(Emulated)) <= CHAT_PARAMETERS.keys() | UNSUPPORTED_MESSAGE_FIELDS


def test_every_shape_of_a_value_is_used_and_no_other_is() -> None:
    assert {row.shape for row in CHAT_PARAMETERS.values()} == set(get_args(ValueShape))


def test_rows_with_one_target_say_the_same_of_its_echo() -> None:
    for row in CHAT_PARAMETERS.values():
        for path in row.target_paths:
            assert (path.partition(".")[0] in ECHOED_KEYS) is row.echoed, row.name


@needs_current_types
def test_echoed_is_what_the_sdks_response_has_and_its_completion_lacks() -> None:
    # The API sends these too, though the SDK's type lacks them.
    untyped = {"frequency_penalty", "presence_penalty", "store"}
    own = (Response.model_fields.keys() | untyped) - ChatCompletion.model_fields.keys()
    assert own >= ECHOED_KEYS
    rows = {name for name, row in CHAT_PARAMETERS.items() if own & {name, *row.target_paths}}
    echoed = {name for name, row in CHAT_PARAMETERS.items() if row.echoed}
    assert sorted(rows ^ echoed) == [], "`echoed` says whether a Response repeats the parameter"


@pytest.mark.parametrize("name", [name for name, row in CHAT_PARAMETERS.items() if row.error_names])
def test_the_errors_of_a_converted_parameter_have_its_name(name: str) -> None:
    row = CHAT_PARAMETERS[name]
    body = {"model": "gpt-4.1", "messages": MESSAGES, name: row.example}
    if name == "top_logprobs":
        body["logprobs"] = True
    paths = chat_to_responses(body).paths
    assert {path: param_to_chat(path, paths) for path in row.error_names} == dict.fromkeys(
        row.error_names, name
    )


def test_parameters_without_a_target_are_refused_or_emulated() -> None:
    without = {name: row for name, row in CHAT_PARAMETERS.items() if not row.target}
    refused = {name for name, row in CHAT_PARAMETERS.items() if row.conversion is Conversion.REFUSE}
    assert {name for name, row in without.items() if row.support != "emulated"} == refused
    assert without.keys() - refused == {"n", "stop"}


@pytest.mark.parametrize(("name", "value"), NEUTRAL)
@pytest.mark.parametrize("policy", ["chat", "error", "drop"])
def test_neutral_values_add_no_hold_and_no_loss(policy: Any, name: str, value: Any) -> None:
    made = chat_to_responses(
        {"model": "gpt-4.1", "messages": MESSAGES, name: value}, Policy(policy)
    )
    assert made.body == LEAST
    assert made.held == ()
    assert made.losses == ()


@pytest.mark.parametrize(("name", "value"), SOMETHING)
def test_other_values_of_the_same_parameters_do(name: str, value: Any) -> None:
    made = chat_to_responses({"model": "gpt-4.1", "messages": MESSAGES, name: value})
    assert made.body is None
    assert [loss.path for loss in made.held] == [name]
    dropped = chat_to_responses(
        {"model": "gpt-4.1", "messages": MESSAGES, name: value}, Policy("drop")
    )
    assert [loss.path for loss in dropped.losses] == [name]


@pytest.mark.parametrize(
    "name", [name for name, row in CHAT_PARAMETERS.items() if row.conversion is Conversion.COPY]
)
def test_copied_values_arrive_unchanged_at_their_target(name: str) -> None:
    value: Any = True if name == "stream" else "anything"
    made = chat_to_responses({"model": "gpt-4.1", "messages": MESSAGES, name: value}).body
    found: Any = made
    for key in CHAT_PARAMETERS[name].target.split("."):
        found = found[key]
    assert found == value


def test_every_parameter_has_a_note_for_the_reader() -> None:
    assert not [name for name, row in CHAT_PARAMETERS.items() if not row.note.endswith(".")]
