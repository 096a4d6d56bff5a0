"""Names from outside, wherever they are shown: nothing forged, no contents, bounded length."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import adapter
from adapter import Counters
from adapter._routing.reload import reloader_of
from adapter._util import safe_names
from adapter.errors import ConfigurationError
from adapter.tools.cli.app import app
from adapter.translation.ledger import Loss
from tests.support.answers import completion, message_item, response
from tests.support.ways_in import WAYS_IN, Reply, WayIn, both

Json = dict[str, Any]

HOSTILE: dict[str, str] = {
    "another line": "x\nERROR adapter forged",
    "a carriage return": "x\rforged",
    "an escape sequence": "x\x1b[2Jforged",
    "C1 controls": "x\x9b31mforged",
    "right to left": "x\u202eforged\u202c",
    "other line separators": "x\u2028forged\x85forged",
    "markup": "[red]forged[/red][link=x]y[/link]",
    "HTML": "<script>forged</script>",
    "a workflow command": "::error file=a.py,line=1::forged%0Aforged",
    "a card": "4111 1111 1111 1111",
    "a card among letters": "card_4111111111111111",
    "a card with dashes": "card-4111-1111-1111-1111",
    "an address": "ada.forged@example.com",
    "a key of an API": "sk-" + "4f0rg3dA" * 4,
    "a hash": "4f0e" * 10 + "forged",
    "a sentence": "Please keep secret that forged",
    "no ASCII": "größe_forged",
    "200 kB": "forged" * 33_334,
    "a path": "a].b[0].forged words",
    "empty": "",
}
MARKS = (
    "forged",
    "4111111",
    "4111 1111",
    "4111-1111",
    "4f0rg3d",
    "4f0e4f0e",
    "Please",
    "\x1b",
    "\x9b",
    "\u202e",
    "\u2028",
    "\x85",
    "\r",
)
LONGEST = 20_000  # characters, of everything that is shown of one call


def assert_safe(text: str) -> None:
    """Assert that a text contains nothing of a hostile name."""
    found = [mark for mark in MARKS if mark in text]
    assert not found, (found, text[:400])
    assert len(text) < LONGEST


# The functions alone


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_name(case: str) -> None:
    value = HOSTILE[case]
    assert safe_names.name(value) == safe_names.model(value) == safe_names.key(value) == "other"
    assert_safe(safe_names.path(f"messages[3].{value}"))
    assert_safe(safe_names.path(value))
    assert safe_names.printable(value).isprintable()
    assert len(safe_names.printable(value)) < 500
    assert all(mark not in safe_names.visible(value) for mark in MARKS[7:])
    assert json.loads(safe_names.in_json(json.dumps(value, ensure_ascii=False))) == value


NAMES = [
    "gpt-4.1-2025-04-14", "ft:gpt-4o-mini-2024-07-18:acme::9aBc", "claude-3-5-sonnet-20241022",
    "@cf/meta/llama-3.1-8b", "o3",
    "response.output_text.delta", "web_search_call", "context_length_exceeded",
    "us.anthropic.claude-sonnet-4-20250514-v1:0",
]  # fmt: skip
KEYS = [
    "temperature",
    "x-mine",
    "$ref",
    "skip_special_tokens",
    "prompt_cache_breakpoint",
    "ghost_writer_name",
    "topK",
]
PATHS = {
    "messages[12].content[3].image_url": None,
    "$": None,
    "output[0]": None,
    "[2].messages[0].name": None,
    "query.api-version": None,
    "headers.x-adapter-backend": None,
    "messages[].name": None,
    "messages[3].Ada Lovelace": "messages[3].other",
    "messages[3].ada.l@example.com": "messages[3].other",
    "tools[0].function.a b": "tools[0].function.other",
    "stream_options.é": "stream_options.other",
    "a b": "other",
    "messages[0].content[1].my.secret words": "messages[0].content[1].other",
    f"messages[0].{'x' * 65}": "messages[0].other",
    "a" * 400: "other",
}


@pytest.mark.parametrize("value", NAMES)
def test_a_name_is_shown(value: str) -> None:
    assert safe_names.name(value) == value


@pytest.mark.parametrize("value", KEYS)
def test_a_key_is_shown(value: str) -> None:
    assert safe_names.key(value) == value


@pytest.mark.parametrize("path", PATHS)
def test_a_path_keeps_its_known_keys(path: str) -> None:
    expected = path if PATHS[path] is None else PATHS[path]
    assert safe_names.path(path) == expected
    assert Loss(path, "dropped", "x").path == expected


def test_an_entry_is_one_line() -> None:
    loss = Loss("a", "held", "x\nERROR " + "y" * 10_000)
    assert "\n" not in str(loss)
    assert len(str(loss)) < 1000


# A call, through the ways in

CALLED = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def requests(name: str) -> dict[str, Json]:
    """Return requests with a name in each place that can have one."""
    user: Json = {"role": "user", "content": "Hi"}
    text: Json = {"type": "text", "text": "Hi"}
    function: Json = {"name": "f", "parameters": {}}
    tool: Json = {"type": "function", "function": function}

    def saying(*messages: Json, **more: Any) -> Json:
        return {"model": "gpt-4.1", "messages": list(messages) or [user], **more}

    return {
        "a parameter": saying(extra_body={name: 1}),
        "the model": saying(model=name or "gpt-4.1"),
        "a message": saying({**user, name: 1}),
        "a role": saying({**user, "role": name}),
        "a part": saying({**user, "content": [{**text, name: 1}]}),
        "a part's type": saying({**user, "content": [text, {"type": name, name: {}}]}),
        "a call": saying(
            user,
            {"role": "assistant", "tool_calls": [{**CALLED, name: 1}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "x"},
        ),
        "a call's type": saying(
            user, {"role": "assistant", "tool_calls": [{**CALLED, "type": name}]}
        ),
        "a tool": saying(tools=[{**tool, name: 1}]),
        "a function": saying(tools=[{"type": "function", "function": {**function, name: 1}}]),
        "a tool's type": saying(tools=[{"type": name, name: {}}]),
        "a choice's type": saying(tools=[tool], tool_choice={"type": name, name: {}}),
        "a format's type": saying(response_format={"type": name}),
        "an option of streams": saying(stream_options={name: 1}),
        "a header": saying(
            extra_headers={"x-adapter-backend": "".join(c for c in name if " " <= c < "\x7f")[:100]}
        ),
    }  # fmt: skip


REQUESTS = tuple(requests("x"))


def replies(name: str) -> dict[str, Reply]:
    """Return replies with a name in each place that can have one."""
    part = {"type": name, "text": "x"}
    odd_message = {**message_item(), "content": [*message_item()["content"], part]}
    odd_note = {**message_item()["content"][0], "annotations": [{"type": name, name: 1}]}
    call = {
        "type": "function_call",
        "id": "fc",
        "call_id": "c",
        "name": "f",
        "arguments": "{}",
        name: 1,
        "namespace": name,
    }
    error = {"message": "no", "type": name, "param": None, "code": name}
    return {
        "an item": Reply.of_json(response(message_item(), {"type": name, name: 1})),
        "a part": Reply.of_json(response(odd_message)),
        "an annotation": Reply.of_json(response({**message_item(), "content": [odd_note]})),
        "a call": Reply.of_json(response(call)),
        "the model": Reply.of_json(response(model=name, service_tier=name)),
        "a field": Reply.of_json(response(**{name: 1})),
        "the status": Reply.of_json(response(status=name)),
        "the reason": Reply.of_json(
            response(status="incomplete", incomplete_details={"reason": name})
        ),
        "the failure": Reply.of_json(
            response(status="failed", error={"code": name, "message": "no"})
        ),
        "an error": Reply.of_json({"error": error}, 400),
        "no Response": Reply.of_json({name: name}),
    }


REPLIES = tuple(replies("x"))


def events(name: str) -> Reply:
    """Return streams with a name in each place that can have one."""
    item = message_item()
    whole = response(item, {"type": name or "x", name: 1}, model=name)
    sent: list[Json] = [
        {
            "type": "response.created",
            "response": {**response(), "output": [], "status": "in_progress", "model": name},
        },
        {"type": name, name: 1},
        {"type": f"response.{name}", name: 1},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
        {
            "type": "response.output_text.delta",
            "output_index": 0,
            "content_index": 0,
            "item_id": "msg_1",
            "delta": "Hello there",
        },
        {
            "type": "response.output_text.annotation.added",
            "output_index": 0,
            "content_index": 0,
            "annotation_index": 0,
            "annotation": {"type": name},
        },
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {
            "type": "response.output_item.added",
            "output_index": 1,
            "item": {"type": name or "x", name: 1},
        },
        {
            "type": "response.output_item.done",
            "output_index": 1,
            "item": {"type": name or "x", name: 1},
        },
        {"type": "response.completed", "response": whole},
    ]  # fmt: skip
    return Reply.of_sse([b"data: " + json.dumps(one).encode() + b"\n\n" for one in sent])


class Sinks:
    """Collect log lines, records and counters of calls."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.log, self.counters, self.records = caplog, Counters(), list[adapter.Record]()
        self.record_count = 0

    def settings(self, **more: Any) -> Json:
        return {"observers": [self.counters, self.records.append], **more}

    def check(self, seen: Any) -> None:
        """Assert that all of it is safe."""
        shown = [record.getMessage() for record in self.log.records if record.name == "adapter"]
        if seen.decision is not None:
            shown += [str(loss) for loss in seen.decision.losses]
        shown += [str(record) for record in self.records]
        shown += [str(self.counters), json.dumps(self.counters.snapshot(), ensure_ascii=False)]
        assert not any("\n" in line for line in shown[:-2])
        assert_safe("\n".join(shown))
        assert self.records
        self.record_count += len(self.records)
        self.records.clear()
        self.counters.reset()
        self.log.clear()


@pytest.fixture
def sinks(caplog: pytest.LogCaptureFixture) -> Iterator[Sinks]:
    caplog.set_level(logging.DEBUG, "adapter")
    made = Sinks(caplog)
    yield made
    assert made.record_count


TWO = [way_in for way_in in WAYS_IN if way_in.name in {"sync-client", "async-transport"}]
in_two = pytest.mark.parametrize("way_in", TWO, ids=[way_in.name for way_in in TWO])
FINE = Reply.of_json(response())


@pytest.mark.slow
@in_two
@pytest.mark.parametrize("place", REQUESTS)
def test_names_in_requests(sinks: Sinks, way_in: WayIn, place: str) -> None:
    for number, name in enumerate(HOSTILE.values()):
        body = requests(name)[place]
        for policy in ("chat", "drop", "error")[number % 3 :][:2]:
            before = copy.deepcopy(body)
            seen = way_in.create(
                body, both(FINE), **sinks.settings(unsupported=policy, on_bug="chat")
            )
            assert body == before
            sinks.check(seen)


@in_two
@pytest.mark.parametrize("place", REPLIES)
def test_names_in_replies(sinks: Sinks, way_in: WayIn, place: str) -> None:
    for name in HOSTILE.values():
        body = requests("x")["a parameter"]
        sinks.check(
            way_in.create(body, both(replies(name)[place]), **sinks.settings(on_bug="chat"))
        )


@in_two
def test_names_in_streams(sinks: Sinks, way_in: WayIn) -> None:
    for name in HOSTILE.values():
        body = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "Hi"}]}
        sinks.check(way_in.stream(body, both(events(name)), **sinks.settings(on_bug="chat")))


@pytest.mark.parametrize("case", HOSTILE)
def test_the_callers_own_name_is_shown_on_one_line(case: str) -> None:
    way_in, name = WAYS_IN[0], HOSTILE[case]
    body = requests(name)["an option of streams"]
    seen = way_in.create(body, both(FINE), unsupported="error")
    assert seen.error is not None
    assert str(seen.error).isprintable()
    assert len(str(seen.error)) < 1000


# Settings


@pytest.mark.parametrize("case", [case for case in HOSTILE if case != "empty"])
def test_names_in_settings(case: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "adapter")
    file = tmp_path / "adapter.toml"
    file.write_text(f"{json.dumps(HOSTILE[case])} = 1\n", encoding="utf-8")
    with pytest.raises(ConfigurationError) as failure:
        adapter.Settings(config_file=file)
    assert str(failure.value).isprintable()
    assert_safe(str(failure.value).replace(str(file), ""))


def test_names_in_a_broken_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "adapter")
    file = tmp_path / "adapter.toml"
    file.write_text('backend = "chat"\n')
    held = reloader_of(adapter.Settings(config_file=file))
    held.current()
    for force in ("", 'force = "chat"\n'):
        for number, name in enumerate(HOSTILE.values()):
            file.write_text(f"{force}{json.dumps(name)} = {number}\n", encoding="utf-8")
            held.current()
    lines = [record.getMessage() for record in caplog.records if record.name == "adapter"]
    assert len(lines) > 2
    for line in lines:
        assert line.isprintable()
        assert_safe(line.replace(str(file), ""))


# Commands


def ran(*arguments: str, **more: Any) -> str:
    """Run a command; return its output."""
    done = CliRunner().invoke(app, list(arguments), **more)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        return safe_names.printable(done.exception, 4000)  # as the command's `main` prints it
    return done.output


def logged(name: str) -> list[Json]:
    """Make the lines of a log with a name in each place of a request."""
    return [
        {k: v for k, v in body.items() if k not in {"extra_body", "extra_headers"}}
        | body.get("extra_body", {})
        for body in requests(name).values()
    ]


def test_audits(tmp_path: Path) -> None:
    log, page = tmp_path / "log.jsonl", tmp_path / "page.html"
    log.write_text(
        "\n".join(json.dumps(body) for name in HOSTILE.values() for body in logged(name))
    )
    written = ran("audit", str(log), "--jobs", "1", "--html", str(page))
    document = ran("audit", str(log), "--jobs", "1", "--json")
    assert_safe(written)
    json.loads(document[document.index("{") : document.rindex("}") + 1])
    for text in (document, page.read_text(encoding="utf-8")):
        assert not [mark for mark in MARKS if mark in text.replace(str(tmp_path), "")]


UNSEEN = ("\x1b", "\x9b", "\u202e", "\u2028", "\x85")


@pytest.mark.parametrize("case", [case for case in HOSTILE if case != "200 kB"])
def test_explanations(case: str) -> None:
    bodies = requests(HOSTILE[case])
    for place, form in (
        ("a parameter", ["--json"]),
        ("a message", []),
        ("a tool's type", ["--json"]),
    ):
        body = {
            **{k: v for k, v in bodies[place].items() if k != "extra_body"},
            **bodies[place].get("extra_body", {}),
        }
        out = ran("explain", *form, input=json.dumps(body))
        assert not any(mark in out for mark in UNSEEN)
        if form and out.startswith("{"):
            assert json.loads(out)["chat"]["body"] == body


def file_name(name: str) -> str:
    """Make a valid file name of it."""
    return name.replace("/", "|").encode()[:80].decode(errors="ignore") or "x"


def test_scans(tmp_path: Path) -> None:
    for name in HOSTILE.values():
        folder = tmp_path / file_name(name)
        folder.mkdir(exist_ok=True)
        arguments = f"model='gpt-4o', messages=[], **{{{name!r}: 1}}, seed=1"
        (folder / "a.py").write_text(
            "from openai import OpenAI\nclient = OpenAI()\n"
            f"client.chat.completions.create({arguments})\n",
            encoding="utf-8",
        )
        (folder / "b.py").write_text("def (", encoding="utf-8")
    text = ran("scan", "--details", "--jobs", "1", str(tmp_path))
    assert not any(mark in text for mark in (*UNSEEN, "\r"))
    assert "\nERROR adapter" not in text
    assert "[red]forged[|red]" in text
    for form in ("--json", "--sarif"):
        out = ran("scan", form, "--jobs", "1", str(tmp_path))
        assert not any(mark in out for mark in UNSEEN)
        assert len(out) < 300_000


def test_usage_errors_are_one_line(tmp_path: Path) -> None:
    for name in HOSTILE.values():
        assert ran("explain", str(tmp_path / file_name(name) / "x")).strip().isprintable()


def test_chats_own_reply_is_untouched() -> None:
    # Names are made safe where they are shown, not where they are sent.
    odd = {**completion(), "x\ny": {"[red]": "\x1b"}}
    seen = WAYS_IN[0].create(
        requests("x")["a message"], both(FINE, Reply.of_json(odd)), backend="chat"
    )
    assert seen.value.model_extra == {"x\ny": {"[red]": "\x1b"}}
