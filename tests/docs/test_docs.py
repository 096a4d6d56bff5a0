"""The settings' schema agrees with the code (`UPDATE_DOCS=1` writes it), and the README's examples run."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import adapter
from adapter import ToolCallDone, Turn
from adapter._settings.fields import SettingsFields
from adapter._settings.json_schema import settings_schema
from tests.support import answer_forms
from tests.support.answer_forms import AnswerParts, Called

ROOT = Path(__file__).resolve().parents[2]


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def test_the_schema_of_the_settings_file() -> None:
    path = ROOT / "adapter.schema.json"
    made = json.dumps(settings_schema(), indent=2) + "\n"
    if os.environ.get("UPDATE_DOCS"):
        path.write_text(made, encoding="utf-8")
    current = path.read_text(encoding="utf-8") == made
    assert current, "run: make docs-tables"
    assert set(settings_schema()["properties"]) == set(adapter.Settings.model_fields) - {
        "flags",
        "observers",
    }


def test_the_schema_is_one_and_takes_the_documents_example() -> None:
    jsonschema.Draft202012Validator.check_schema(settings_schema())
    check = jsonschema.Draft202012Validator(settings_schema())
    example = page("reference/settings.md").partition("```toml\n")[2].partition("```")[0]
    data = tomllib.loads(example)
    check.validate(data)
    SettingsFields.model_validate(data)
    wrong: tuple[dict[str, Any], ...] = (
        {"bakend": "chat"}, {"backend": "both"}, {"drop": ["sead"]}, {"sticky_by": "mood"}, {"rules": [{"match": {"modl": "x"}}]},
        {"unsupported_parameters": {"seed": "maybe"}}, {"rollout": 101},
    )  # fmt: skip
    assert [one for one in wrong if check.is_valid(one)] == []


@pytest.mark.parametrize("name", sorted({*SettingsFields.model_fields} - {"match", "model"}))
def test_every_setting_is_described(name: str) -> None:
    assert settings_schema()["properties"][name]["description"]


def test_the_readme_is_short_and_begins_with_the_two_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(readme.split()) <= 600
    assert re.search(r"^# adapter\n\n[^\n]+\n\n```sh\nmake demo .*\nmake test .*\n```", readme)


def test_the_guides_store_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    text = page("guides/keep-reasoning.md")
    (code,) = re.findall(r"```python\n([^`]*class MyStore.*?)```", text, re.DOTALL)
    monkeypatch.setenv("OPENAI_API_KEY", "made-up")
    names: dict[str, Any] = {}
    exec(compile(code, "keep-reasoning.md", "exec"), names)
    store = names["MyStore"]()
    adapter.Settings(memory=store)
    store.put("s:c:1", b"1")
    assert asyncio.run(store.aget(["s:c:1", "s:c:2"])) == {"s:c:1": b"1"}
    assert store.forget("s:*") == 1
    assert asyncio.run(store.aget(["s:c:1"])) == {}


# The model's answers to the guide's programs: a tool call, one with bad arguments, and then a
# text.
_ANSWERS = (
    AnswerParts(calls=(Called("get_weather", ('{"city":', '"Oslo"}')),)),
    AnswerParts(calls=(Called("get_weather", ("{}",), "call_2"),)),
    AnswerParts(("21 degrees", " in Oslo.")),
)


def readers_programs() -> dict[str, Any]:
    text = page("guides/read-both.md")
    programs = re.findall(r"<!-- file: loop.py.*?```python\n(.*?)```", text, re.DOTALL)
    assert len(programs) == 2
    names: dict[str, Any] = {}
    for program in programs:
        exec(program, names)  # the guide's own
    return names


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_the_guides_tool_loop(api: str) -> None:
    write = answer_forms.completion if api == "chat" else answer_forms.response
    upstream = answer_forms.Upstream(*(json.dumps(write(answer)).encode() for answer in _ANSWERS))
    asked = "How warm is it in Oslo?"
    assert (
        readers_programs()["answer"](answer_forms.client(upstream), api, asked)
        == "21 degrees in Oslo."
    )
    last = upstream.sent[-1]["messages" if api == "chat" else "input"]
    content_key = "content" if api == "chat" else "output"
    assert [entry.get(content_key) for entry in last][2::2] == [
        '{"city":"Oslo","celsius":21}',
        last[4][content_key],
    ]
    assert "Missing required argument" in last[4][content_key]


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_the_guides_stream(api: str, capsys: pytest.CaptureFixture[str]) -> None:
    write = answer_forms.chunks if api == "chat" else answer_forms.events
    show = readers_programs()["show"]
    assert show(write(_ANSWERS[2])).text == capsys.readouterr().out == "21 degrees in Oslo."
    show(write(_ANSWERS[0]))
    assert capsys.readouterr().out == 'get_weather {"city":"Oslo"}\n'


def test_the_guide_names_every_field() -> None:
    (row,) = re.findall(r"^\| `Turn` \| (.*) \|$", page("guides/read-both.md"), re.MULTILINE)
    assert re.findall(r"`([a-z_]+)`", row) == [field.name for field in dataclasses.fields(Turn)]
    assert [field.name for field in dataclasses.fields(ToolCallDone)][:3] == [
        "name",
        "arguments",
        "parsed",
    ]


_COMPARED = {
    "native Responses (openai SDK)": "native responses",
    "adapter, our clients or `install`": "SDK client",
    "adapter, `Transport`": "HTTP transport",
    "LangChain, `use_responses_api`": "LangChain, use_responses_api",
}
"""Rows of the comparison, and who they are in the results of the benchmark."""


@pytest.mark.parametrize("row", _COMPARED)
def test_the_comparison_has_the_figures_of_the_benchmark(row: str) -> None:
    results = (ROOT / "bench" / "RESULTS.md").read_text(encoding="utf-8")
    (cells,) = re.findall(
        rf"^\| {re.escape(row)} \| (.+)$", page("explanation/comparison.md"), re.MULTILINE
    )
    measured = (
        "sync stream of 200 deltas, CPU per delta",
        "whole answer, 1 message, CPU per call",
        "whole answer, 100 messages, CPU per call",
    )
    for what, shown in zip(measured, cells.split(" | "), strict=False):
        found = re.findall(
            rf"^\| {what} \| {_COMPARED[row]} \| [^|]+ \| ([^|]+) \|", results, re.MULTILINE
        )
        assert found == ([] if shown == "not measured" else [shown])
