"""`explain --no-contents` shows what a request is made of, and nothing of what it says: a word in each string and each key."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from adapter.cli.app import app
from adapter.kit.masking import masked, masked_path, masked_url_path
from tests.support.rich import ALLOWED, HISTORY, LEGACY, RICH

Json = dict[str, Any]
WORD = "zebra"

KEPT = frozenset({"role", "type", "effort", "reasoning_effort", "mode", "syntax", "verbosity", "detail"})
"""Where a request must say what the API lists to be one that is translated."""


def said(value: Any, words: Callable[[], str], key: str = "") -> Any:
    """Copy a request with a word in each string, and under each object a key that nobody knows."""
    if isinstance(value, str):
        return value if key in KEPT else words()
    if isinstance(value, list):
        return [said(one, words, key) for one in value]
    if isinstance(value, dict):
        return {name: said(one, words, name) for name, one in value.items()} | {words(): words()}
    return value


def words() -> Callable[[], str]:
    numbers = itertools.count()
    return lambda: f"{WORD}{next(numbers)}"


SCHEMA: Json = {
    "type": "object",
    "title": "t",
    "required": ["a"],
    "properties": {"a": {"type": "string", "enum": ["b"], "description": "c", "default": "d", "pattern": "e"}, "f": {"$ref": "g"}},
    "$defs": {"h": {"anyOf": [{"const": "i"}, {"type": "array", "items": {"type": "integer", "minimum": 4711}}]}},
}  # fmt: skip
BASE: Json = {"model": "gpt-4o", "messages": HISTORY}
BODIES: dict[str, Json] = {
    "rich": {**RICH, **BASE},
    "legacy": {**LEGACY, "model": "gpt-4o"},
    "a schema": {**BASE, "response_format": {"type": "json_schema", "json_schema": {"name": "n", "description": "d", "schema": SCHEMA}}},
    "tools with schemas": {**BASE, "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}}]},
    "allowed tools": {**BASE, "tool_choice": ALLOWED},
    "who it is": {**BASE, "user": "u", "safety_identifier": "s", "prompt_cache_key": "p", "metadata": {"k": "v"}, "logit_bias": {"50256": 4711}},
    "in the other API's terms": {
        **BASE, "reasoning": {"effort": "low", "x": "y"}, "text": {"verbosity": "low"}, "include": ["a"], "instructions": "i", "truncation": "t",
        "conversation": {"id": "c"}, "prompt": {"id": "p", "version": "1", "variables": {"v": "w"}}, "input": [{"type": "message", "role": "user", "content": "c"}],
    },
    "parameters of somebody's": {**BASE, "vendor": {"deep": [{"er": "x", "account": 4711}], "content": "c"}, "other": 4711, "flag": "f"},
    "what stays": {**BASE, "seed": 4711, "stop": ["a"], "prediction": {"type": "content", "content": "c"}, "audio": {"voice": "v", "format": "f"}},
    "options of streams": {**BASE, "stream": True, "stream_options": {"include_usage": True, "o": "p"}},
    "odd values": {**BASE, "tools": "t", "response_format": ["r"], "user": ["u"], "temperature": "hot", "metadata": "m"},
}  # fmt: skip
SETTINGS: dict[str, str] = {
    "off": "",
    "moves": 'backend = "responses"\nunsupported = "drop"\n',
    "stays": 'backend = "responses"\n',
    "refused": 'backend = "responses"\nunsupported = "error"\n',
}


def shown(body: Json, settings: str, folder: Path, *arguments: str) -> str:
    """Run the command, and give all that it printed."""
    file = folder / "adapter.toml"
    file.write_text(settings)
    done = CliRunner().invoke(
        app, ["explain", "--no-contents", "--settings", str(file), *arguments], input=json.dumps(body)
    )
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        return str(done.exception)
    return done.output


def assert_silent(body: Json, settings: str, folder: Path, *form: str) -> None:
    for whole in (said(body, words()), {**said(body, words()), "model": "gpt-4o"}, {**body, f"{WORD} key": WORD}):
        out = shown(whole, SETTINGS[settings], folder, *form)
        assert WORD not in out
        assert "4711" not in out
        assert "base64" not in out


@pytest.mark.parametrize("settings", SETTINGS)
def test_nothing_that_was_said_is_in_the_document(settings: str, tmp_path: Path) -> None:
    for body in BODIES.values():
        assert_silent(body, settings, tmp_path, "--json")


@pytest.mark.parametrize("settings", SETTINGS)
def test_nothing_that_was_said_is_on_the_terminal(settings: str, tmp_path: Path) -> None:
    everything: Json = {}
    for body in BODIES.values():
        everything = body | everything
    assert_silent(everything, settings, tmp_path)


def test_it_would_be_seen(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["explain"], input=json.dumps(said(BODIES["rich"], words())))
    assert WORD in done.output


@pytest.mark.parametrize("name", BODIES)
def test_the_structure_is_shown(name: str) -> None:
    body = BODIES[name]
    made = masked(body)
    assert _bones(made) == _bones(body)
    assert [one["role"] for one in made["messages"]] == [one["role"] for one in body["messages"]]
    assert made["model"] == "gpt-4o"


def _bones(value: Any) -> Any:
    if isinstance(value, dict):
        return [_bones(one) for one in value.values()]
    if isinstance(value, list):
        return [_bones(one) for one in value]
    return None if value is None or isinstance(value, bool) else "…"


VALUES: dict[str, tuple[Json, Any]] = {
    "a role": ({"messages": [{"role": "user", "content": "Hi"}]}, [{"role": "user", "content": "<2 characters>"}]),
    "a role that nobody knows": ({"messages": [{"role": "Ada", "content": None}]}, [{"role": "<3 characters>", "content": None}]),
    "a model": ({"model": "gpt-4o"}, "gpt-4o"),
    "a model of somebody's": ({"model": "ft:gpt-4o:acme"}, "<14 characters>"),
    "an effort": ({"reasoning_effort": "low"}, "low"),
    "a word where an effort stands": ({"reasoning_effort": "Ada"}, "<3 characters>"),
    "a limit": ({"max_tokens": 5}, 5),
    "a seed": ({"seed": 5}, "<number>"),
    "a switch": ({"store": True}, True),
    "metadata with names of fields": ({"metadata": {"user": "a", "role": "user"}}, {"<key 1>": "<1 character>", "<key 2>": "<4 characters>"}),
    "properties with names of fields": (
        {"functions": [{"name": "f", "parameters": {"type": "object", "properties": {"type": {"type": "string"}}}}]},
        [{"name": "<1 character>", "parameters": {"type": "object", "properties": {"<key 1>": {"type": "string"}}}}],
    ),
    "a parameter of somebody's": ({"vendor": {"a": [1, "b", None]}}, {"<key 1>": ["<number>", "<1 character>", None]}),
}  # fmt: skip


@pytest.mark.parametrize("case", VALUES)
def test_what_is_shown_of_values(case: str) -> None:
    body, expected = VALUES[case]
    assert [*masked(body).values()] == [expected]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("messages[3].content[0].image_url.detail", "messages[3].content[0].image_url.detail"),
        ("messages[3].Ada", "messages[3].other"),
        ("stream_options.a.b", "stream_options.other.other"),
        ("$", "$"),
    ],
)
def test_paths(path: str, expected: str) -> None:
    assert masked_path(path) == expected


def test_paths_of_urls() -> None:
    assert (
        masked_url_path("/openai/deployments/acme/chat/completions?api-version=x")
        == "/openai/deployments/…/chat/completions?…"
    )
