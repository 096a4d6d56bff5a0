"""`explain --no-contents` shows a request's structure without contents: a marker in all strings."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from adapter import Settings
from adapter.errors import TranslationError
from adapter.tools.cli.app import app
from adapter.tools.cli.explain import BodyShortener, document
from adapter.tools.explain.explain import explain
from adapter.tools.explain.masking import masked, masked_path, masked_url_path, without_contents
from tests.support import odd
from tests.support.command import command
from tests.support.rich import ALLOWED, HISTORY, LEGACY, RICH

Json = dict[str, Any]
WORD = "zebra"

KEPT = frozenset(
    {"role", "type", "effort", "reasoning_effort", "mode", "syntax", "verbosity", "detail"}
)
"""Keys whose value must be one of the API's for the request to be translated."""


def with_words(value: Any, words: Callable[[], str], key: str = "") -> Any:
    """Copy a request with a word in each string, and an unknown key in each object."""
    if isinstance(value, str):
        return value if key in KEPT else words()
    if isinstance(value, list):
        return [with_words(one, words, key) for one in value]
    if isinstance(value, dict):
        return {name: with_words(one, words, name) for name, one in value.items()} | {
            words(): words()
        }
    return value


def words() -> Callable[[], str]:
    numbers = itertools.count()
    return lambda: f"{WORD}{next(numbers)}"


SCHEMA: Json = {
    "type": "object",
    "title": "t",
    "required": ["a"],
    "properties": {
        "a": {"type": "string", "enum": ["b"], "description": "c", "default": "d", "pattern": "e"},
        "f": {"$ref": "g"},
    },
    "$defs": {
        "h": {
            "anyOf": [
                {"const": "i"},
                {"type": "array", "items": {"type": "integer", "minimum": 4711}},
            ]
        }
    },
}
BASE: Json = {"model": "gpt-4o", "messages": HISTORY}
BODIES: dict[str, Json] = {
    "rich": {**RICH, **BASE},
    "legacy": {**LEGACY, "model": "gpt-4o"},
    "a schema": {
        **BASE,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "description": "d", "schema": SCHEMA},
        },
    },
    "tools with schemas": {
        **BASE,
        "tools": [
            {
                "type": "function",
                "function": {"name": "f", "description": "d", "parameters": SCHEMA},
            }
        ],
    },
    "allowed tools": {**BASE, "tool_choice": ALLOWED},
    "who it is": {
        **BASE,
        "user": "u",
        "safety_identifier": "s",
        "prompt_cache_key": "p",
        "metadata": {"k": "v"},
        "logit_bias": {"50256": 4711},
    },
    "in the other API's terms": {
        **BASE,
        "reasoning": {"effort": "low", "x": "y"},
        "text": {"verbosity": "low"},
        "include": ["a"],
        "instructions": "i",
        "truncation": "t",
        "conversation": {"id": "c"},
        "prompt": {"id": "p", "version": "1", "variables": {"v": "w"}},
        "input": [{"type": "message", "role": "user", "content": "c"}],
    },
    "unknown parameters": {
        **BASE,
        "vendor": {"deep": [{"er": "x", "account": 4711}], "content": "c"},
        "other": 4711,
        "flag": "f",
    },
    "what stays": {
        **BASE,
        "seed": 4711,
        "stop": ["a"],
        "prediction": {"type": "content", "content": "c"},
        "audio": {"voice": "v", "format": "f"},
    },
    "options of streams": {
        **BASE,
        "stream": True,
        "stream_options": {"include_usage": True, "o": "p"},
    },
    "odd values": {
        **BASE,
        "tools": "t",
        "response_format": ["r"],
        "user": ["u"],
        "temperature": "hot",
        "metadata": "m",
    },
}
SETTINGS: dict[str, str] = {
    "off": "",
    "moves": 'backend = "responses"\nunsupported = "drop"\n',
    "stays": 'backend = "responses"\n',
    "refused": 'backend = "responses"\nunsupported = "error"\n',
}


def shown(body: Json, settings: str, folder: Path, *arguments: str) -> str:
    """Run the command, and return its whole output."""
    file = folder / "adapter.toml"
    file.write_text(settings)
    done = CliRunner().invoke(
        app,
        ["explain", "--no-contents", "--settings", str(file), *arguments],
        input=json.dumps(body),
    )
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        return str(done.exception)
    return done.output


def assert_silent(body: Json, settings: str, folder: Path, *form: str) -> None:
    for whole in (
        with_words(body, words()),
        {**with_words(body, words()), "model": "gpt-4o"},
        {**body, f"{WORD} key": WORD},
    ):
        out = shown(whole, SETTINGS[settings], folder, *form)
        assert WORD not in out
        assert "4711" not in out
        assert "base64" not in out


@pytest.mark.parametrize("settings", SETTINGS)
def test_no_contents_in_the_document(settings: str, tmp_path: Path) -> None:
    for body in BODIES.values():
        assert_silent(body, settings, tmp_path, "--json")


@pytest.mark.parametrize("settings", SETTINGS)
def test_no_contents_on_the_terminal(settings: str, tmp_path: Path) -> None:
    everything: Json = {}
    for body in BODIES.values():
        everything = body | everything
    assert_silent(everything, settings, tmp_path)


def test_without_the_option_contents_are_shown(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["explain"], input=json.dumps(with_words(BODIES["rich"], words()))
    )
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
    "a role": (
        {"messages": [{"role": "user", "content": "Hi"}]},
        [{"role": "user", "content": "<2 characters>"}],
    ),
    "an unknown role": (
        {"messages": [{"role": "Ada", "content": None}]},
        [{"role": "<3 characters>", "content": None}],
    ),
    "a model": ({"model": "gpt-4o"}, "gpt-4o"),
    "a private model": ({"model": "ft:gpt-4o:acme"}, "<14 characters>"),
    "an effort": ({"reasoning_effort": "low"}, "low"),
    "a word where an effort stands": ({"reasoning_effort": "Ada"}, "<3 characters>"),
    "a limit": ({"max_tokens": 5}, 5),
    "a seed": ({"seed": 5}, "<number>"),
    "a switch": ({"store": True}, True),
    "metadata with names of fields": (
        {"metadata": {"user": "a", "role": "user"}},
        {"<key 1>": "<1 character>", "<key 2>": "<4 characters>"},
    ),
    "properties with names of fields": (
        {
            "functions": [
                {
                    "name": "f",
                    "parameters": {"type": "object", "properties": {"type": {"type": "string"}}},
                }
            ]
        },
        [
            {
                "name": "<1 character>",
                "parameters": {"type": "object", "properties": {"<key 1>": {"type": "string"}}},
            }
        ],
    ),
    "an unknown parameter": (
        {"vendor": {"a": [1, "b", None]}},
        {"<key 1>": ["<number>", "<1 character>", None]},
    ),
}


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


# Malformed requests, and the rest of a log row

KEY = f"{WORD} key"  # doesn't look like a name
PLACES: dict[str, Any] = {
    "text": WORD,
    "a list": [WORD],
    "an object": {KEY: WORD},
    "a type": {"type": WORD},
    "parts": [{"type": WORD, KEY: WORD}],
    "a function": [
        {"type": "function", "function": {"name": WORD, "description": WORD, KEY: [WORD]}}
    ],
    "a choice": {"type": "function", "function": {"name": WORD}},
    "no function": [{"type": "function", "function": WORD}],
    "a schema": {
        "type": "json_schema",
        "json_schema": {"name": WORD, "schema": {"properties": {KEY: {"enum": [WORD, True]}}}},
    },
    "a role": [{"role": WORD, "content": WORD}],
    "content": [{"role": "user", "content": {KEY: WORD}, KEY: 4711}],
    "a part": [{"role": "user", "content": [{"type": WORD, "text": WORD}]}],
    "a call": [
        {
            "role": "assistant",
            "tool_calls": [{"id": WORD, "type": WORD, KEY: {"name": WORD, "arguments": WORD}}],
        }
    ],
    "a name": [
        {"role": "user", "name": WORD, "content": WORD},
        {"role": "tool", "tool_call_id": WORD, "content": WORD},
    ],
    "an image": [
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": f"https://{WORD}/x.png", "detail": WORD}}
            ],
        }
    ],
    "a number": 4711,
    "numbers": {"50256": 4711},
    "a flag": {KEY: True},
}


def explained_output(body: Json, settings: Settings) -> str:
    """Return the output of `explain --no-contents --json` without running the command."""
    try:
        explained = without_contents(explain(body, settings))
    except TranslationError as error:
        return f"{masked_path(error.path)}: {error.why}"
    return json.dumps(
        document(explained, masked(body), settings_file=None, shorten=BodyShortener(whole=True))
    )


def test_no_contents_of_malformed_requests() -> None:
    policies = itertools.cycle(
        Settings(backend="responses", unsupported=one, emulate=["n", "stop", "name"])
        for one in ("chat", "drop", "error")
    )
    for name, value in itertools.product(odd.NAMES, PLACES.values()):
        if name in NUMBERED and value == 4711:  # a limit, which is shown
            continue
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": WORD}], name: value}
        text = explained_output(body, next(policies))
        assert WORD not in text, (name, value)
        assert "4711" not in text, (name, value)


NUMBERED = {
    "n",
    "temperature",
    "top_p",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "top_logprobs",
    "frequency_penalty",
    "presence_penalty",
}
PLAIN = json.dumps(
    {
        "model": f"{WORD}-1",
        "messages": [{"role": "user", "content": WORD}],
        "metadata": {WORD: True},
    }
)
TEXTS: dict[str, str] = {
    "no JSON": f'{{"{WORD}": {WORD}}}',
    "cut short": f'{{"messages": [{{"role": "user", "content": "{WORD}',
    "a text": json.dumps(WORD),
    "a list": json.dumps([WORD]),
    "no messages": json.dumps({"model": WORD, WORD: WORD}),
    "messages that are none": json.dumps({"messages": WORD}),
    "an infinity": f'{{"messages": ["{WORD}"], "temperature": 1e999}}',
    "within": json.dumps({"body": {"messages": {WORD: WORD}}}),
    "another endpoint": json.dumps({"url": f"/v1/embeddings?{WORD}", "body": {"input": WORD}}),
    "an address that is none": json.dumps(
        {"url": f"https://[{WORD}/v1/chat/completions", "body": json.loads(PLAIN)}
    ),
    "a log's row": json.dumps(
        {
            "custom_id": WORD,
            "user": WORD,
            "headers": {WORD: WORD, "authorization": WORD},
            "response": {"body": {"id": WORD}},
            "url": f"https://{WORD}.openai.azure.com/openai/deployments/{WORD}"
            f"/chat/completions?api-version={WORD}",
            "body": PLAIN,
        }
    ),
    "lines": f"{PLAIN}\n{PLAIN}\n{WORD}",
    "a first line that is none": f"{WORD}\n{PLAIN}",
}


@pytest.mark.parametrize("case", TEXTS)
def test_no_contents_of_the_rest_of_a_log_row(case: str) -> None:
    for form in ([], ["--json"]):
        done = command(
            "explain",
            "--no-contents",
            *form,
            stdin=TEXTS[case],
            env={"ADAPTER_BACKEND": "responses"},
        )
        assert WORD not in done.out + done.err
        assert done.code in (0, 2)


def test_a_place_in_a_rollout_is_no_fingerprint() -> None:
    shown = json.loads(
        command(
            "explain", "--no-contents", "--json", stdin=PLAIN, env={"ADAPTER_ROLLOUT": "50"}
        ).out
    )
    place = shown["decision"]["rollout"]["place"]
    assert place == round(place, 2)


# Scan and audit show no contents in any case


def test_an_audit_shows_no_contents(tmp_path: Path) -> None:
    bodies = [
        *(json.dumps({**with_words(body, words()), "model": "gpt-4o"}) for body in BODIES.values()),
        *(
            json.dumps(
                {"model": "gpt-4o", "messages": [{"role": "user", "content": WORD}], name: value}
            )
            for name, value in itertools.product(odd.NAMES, PLACES.values())
            if name != "model"
        ),
        *(text for text in TEXTS.values() if "\n" not in text),
    ]
    log = tmp_path / "log.jsonl"
    # An audit shows the names of models and of parameters.
    text = "\n".join(bodies).replace(f"deployments/{WORD}", "deployments/mine")
    log.write_text(text.replace(f'"{WORD}', f'"{WORD} '), encoding="utf-8")
    page = tmp_path / "page.html"
    for form in (["--json"], ["--html", str(page)]):
        done = command("audit", log, "--jobs", "1", *form)
        assert done.code == 1  # lines that can't be read
        assert WORD not in done.out + done.err
    assert WORD not in page.read_text(encoding="utf-8")


def test_a_scan_shows_no_contents(tmp_path: Path) -> None:
    lines = ["from openai import OpenAI", "client = OpenAI()"]
    for place in [*PLACES.values()][::3]:
        value = f"{WORD} {WORD}" if place == WORD else place  # the name of no choice
        lines += [
            "client.chat.completions.create(model='gpt-4o', "
            f"messages=[{{'role': 'user', 'content': '{WORD}'}}], {name}={value!r})"
            for name in odd.NAMES
            if name not in {"model", "messages", *NUMBERED, "seed"}
        ]
    file = tmp_path / "calls.py"
    file.write_text("\n".join(lines), encoding="utf-8")
    for form in (["--json"], ["--details"]):
        done = command("scan", file, "--jobs", "1", *form)
        assert done.code == 0
        assert WORD not in done.out + done.err
