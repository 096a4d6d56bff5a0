"""Made-up traffic of a service with known totals: each kind of request has an expected result.

The expectations are written by hand, kind by kind, and not computed by the adapter.
"""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]

WORDS = (
    "order",
    "parcel",
    "late",
    "where",
    "refund",
    "invoice",
    "is",
    "my",
    "was",
    "please",
    "not",
    "delivered",
    "number",
    "yesterday",
    "status",
)
SECRET = "hunter2-Straße-1234567890"
"""Present in every request; must be in no report."""

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


@dataclass
class Totals:
    """The expected results of an audit of the traffic, under neutral settings."""

    requests: int = 0
    bad: int = 0
    elsewhere: int = 0
    fates: Counter[str] = field(default_factory=Counter)
    settings: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    losses: Counter[str] = field(default_factory=Counter)
    features: Counter[str] = field(default_factory=Counter)
    shutdowns: Counter[str] = field(default_factory=Counter)
    responses_only: int = 0
    more_requests: int = 0
    usage: int = 0
    prompt_tokens: int = 0


@dataclass(frozen=True)
class Kind:
    """A kind of request: its frequency, its parameters, and its expected result."""

    weight: int
    model: str
    more: Json
    fate: str = "as it is"
    settings: str = ""
    kept: str = ""
    losses: str = ""
    features: tuple[str, ...] = ()
    shutdown: str = ""
    responses_only: bool = False
    n: int = 1
    turns: int = 0
    name: bool = False
    image: bool = False
    tool_turn: bool = False


_STREAM: Json = {"stream": True, "stream_options": {"include_usage": True}}
_SCHEMA: Json = {
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": {"type": "object"}},
    }
}

KINDS = (
    Kind(300, "gpt-4o-mini", {"temperature": 0.2}, shutdown="2027-01-14", turns=2),
    Kind(180, "gpt-5.4-mini", _STREAM, features=("stream",), turns=1),
    Kind(90, "gpt-5.4-mini", {**_STREAM, "user": "u"}, features=("stream",), turns=6),
    Kind(90, "gpt-5.1", {"tools": [WEATHER]}, features=("tools", "tools with reasoning"), shutdown="2027-04-01"),
    Kind(60, "gpt-5.2", {"tools": [WEATHER], "tool_choice": "auto"}, features=("tools", "tools with reasoning", "tool calls in the history"),
         tool_turn=True),
    Kind(50, "gpt-5.2", {**_SCHEMA, "n": 1, "seed": None, "stop": None}, features=("JSON schema",)),
    Kind(40, "gpt-4o", {}, features=("images",), shutdown="2027-01-14", image=True),
    Kind(40, "gpt-4o-mini", {"store": True}, "with changes", losses="store changed", features=("stored",), shutdown="2027-01-14"),
    Kind(30, "gpt-4o-mini", {"seed": 7}, "with settings", "drop seed", shutdown="2027-01-14"),
    Kind(20, "gpt-4o-mini", {"stop": ["\n\n"]}, "with settings", "emulate stop", shutdown="2027-01-14"),
    Kind(15, "gpt-4.1", {"n": 3}, "with settings", "emulate n", features=("several answers",), shutdown="2027-01-14", n=3),
    Kind(10, "gpt-4.1", {"n": 2, "seed": 1}, "with settings", "emulate n + drop seed", features=("several answers",),
         shutdown="2027-01-14", n=2),
    Kind(10, "gpt-4o-mini", {"frequency_penalty": 0.5, "presence_penalty": 0}, "with settings", "drop frequency_penalty",
         shutdown="2027-01-14"),
    Kind(10, "gpt-4o-mini", {}, "with settings", "emulate name", shutdown="2027-01-14", name=True),
    Kind(10, "gpt-5.6-sol", {"tools": [WEATHER], "reasoning_effort": "low"}, features=("tools", "tools with reasoning"), responses_only=True),
    Kind(5, "gpt-5.6-sol", {"tools": [WEATHER], "reasoning_effort": "low", "seed": 3}, "with settings", "drop seed",
         features=("tools", "tools with reasoning"), responses_only=True),
    Kind(8, "gpt-audio", {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}, "stays", kept="model",
         features=("audio out",)),
    Kind(4, "gpt-4o", {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}, "with breaking settings",
         "drop audio + drop modalities", features=("audio out",), shutdown="2027-01-14"),
    Kind(4, "gpt-4o", {"logit_bias": {"1": 9}, "n": 2, "seed": 1}, "with breaking settings", "emulate n + drop logit_bias + drop seed",
         features=("several answers",), shutdown="2027-01-14", n=2),
    Kind(4, "o1-pro", {}, shutdown="2026-10-23", responses_only=True),
    Kind(4, "gpt-4o-mini", {"response_format": {"type": "xml"}}, "stays", kept="response_format.type", shutdown="2027-01-14"),
    Kind(4, "ft:gpt-4o-mini:acme:support:Ab12Cd34", {"acme_trace": "x"}, shutdown="2027-01-14"),
)  # fmt: skip
SHOWN = {"ft:gpt-4o-mini:acme:support:Ab12Cd34": "ft:gpt-4o-mini"}


def text(chance: random.Random, words: int) -> str:
    """Return some words, with a secret among them."""
    return " ".join([*chance.choices(WORDS, k=words), SECRET])


def body(kind: Kind, chance: random.Random) -> Json:
    """Make one request."""
    messages: list[Json] = [{"role": "system", "content": text(chance, 30)}]
    for _ in range(chance.randint(0, kind.turns)):
        messages += [
            {"role": "user", "content": text(chance, 12)},
            {"role": "assistant", "content": text(chance, 30)},
        ]
    content: Any = text(chance, chance.randint(4, 60))
    if kind.image:
        url = "https://example.com/" + SECRET
        content = [
            {"type": "text", "text": content},
            {"type": "image_url", "image_url": {"url": url}},
        ]
    messages.append({"role": "user", "content": content, **({"name": SECRET} if kind.name else {})})
    if kind.tool_turn:
        call = {
            "id": f"call_{chance.randrange(10**9)}",
            "type": "function",
            "function": {"name": "get_weather", "arguments": SECRET},
        }
        messages += [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call["id"], "content": SECRET},
        ]
    return {"model": kind.model, "messages": messages, **kind.more}


def _wrapped(made: Json, chance: random.Random, totals: Totals) -> Any:
    """Wrap a body as one of the usual logs does."""
    match chance.randrange(8):
        case 0:
            return {"custom_id": "r", "method": "POST", "url": "/v1/chat/completions", "body": made}
        case 1:
            tokens = chance.randint(10, 900)
            totals.usage += 1
            totals.prompt_tokens += tokens
            usage = {"prompt_tokens": tokens, "completion_tokens": 5, "total_tokens": tokens + 5}
            return {
                "request": {"body": json.dumps(made)},
                "response": {"id": SECRET, "usage": usage},
            }
        case _:
            return made


def rows(count: int, seed: int, totals: Totals) -> Iterator[bytes]:
    """Yield lines of a log, and count their expected results in `totals`."""
    chance = random.Random(seed)
    weights = [kind.weight for kind in KINDS]
    for kind in chance.choices(KINDS, weights, k=count):
        odd = chance.random()
        if odd < 0.002:
            totals.bad += 1
            yield f'{{"model": "gpt-4o", "messages": "{SECRET}'.encode()
            continue
        if odd < 0.01:
            totals.elsewhere += 1
            yield json.dumps(
                {"url": "/v1/embeddings", "body": {"model": "e", "input": SECRET}}
            ).encode()
            continue
        _expect(kind, totals)
        yield json.dumps(
            _wrapped(body(kind, chance), chance, totals), ensure_ascii=chance.random() < 0.5
        ).encode()


def _expect(kind: Kind, totals: Totals) -> None:
    totals.requests += 1
    totals.fates[kind.fate] += 1
    totals.models[SHOWN.get(kind.model, kind.model)] += 1
    for table, key in (
        (totals.settings, kind.settings),
        (totals.kept, kind.kept),
        (totals.losses, kind.losses),
        (totals.shutdowns, kind.shutdown),
    ):
        if key:
            table[key] += 1
    totals.features.update(kind.features)
    totals.responses_only += kind.responses_only
    totals.more_requests += kind.n - 1 if kind.fate == "with settings" else 0


def write(folder: Path, count: int, *, files: int = 4, seed: int = 1) -> Totals:
    """Write `count` lines into as many files; return the expected totals.

    The last file is compressed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    totals = Totals()
    for number in range(files):
        last = number == files - 1
        lines = count // files + (count % files if last else 0)
        path = folder / f"traffic-{number}.jsonl{'.gz' if last else ''}"
        with gzip.open(path, "wb", compresslevel=1) if last else path.open("wb") as file:
            for line in rows(lines, seed + number, totals):
                file.write(line + b"\n")
    return totals


def differences(document: Json, totals: Totals) -> list[str]:
    """Compare a report with its expected totals; an empty list where they agree."""

    def by(rows: list[Json], key: str, value: str = "requests") -> dict[str, int]:
        found: Counter[str] = Counter()
        for row in rows:
            found[row[key]] += row[value]
        return dict(found)

    several = document["several_answers"]
    pairs = {
        "requests": (document["requests"], totals.requests),
        "bad lines": (document["bad_lines"]["count"], totals.bad),
        "other endpoints": (document["other_endpoints"], totals.elsewhere),
        "fates": (
            {fate: row["requests"] for fate, row in document["fates"].items() if row["requests"]},
            dict(totals.fates),
        ),
        "models": (by(document["models"], "model"), dict(totals.models)),
        "kept": (by(document["kept"], "path"), dict(totals.kept)),
        "losses": (
            {f"{row['path']} {row['action']}": row["requests"] for row in document["losses"]},
            dict(totals.losses),
        ),
        "features": (by(document["features"], "feature"), dict(totals.features)),
        "shutdowns": (by(document["shutdowns"], "date"), dict(totals.shutdowns)),
        "Responses only": (
            sum(row["one_way"]["requests"] for row in document["models"] if row["one_way"]),
            totals.responses_only,
        ),
        "more requests": (
            several["now"]["more_requests"] + several["with_settings"]["more_requests"],
            totals.more_requests,
        ),
        "usage": (sum(row["requests"] for row in document["tokens"].values()), totals.usage),
        "prompt tokens": (
            sum(row["prompt"] for row in document["tokens"].values()),
            totals.prompt_tokens,
        ),
        "reachable": (
            document["moves"]["with_breaking_settings"],
            totals.requests - totals.fates["stays"],
        ),
        "reachable unbroken": (
            document["moves"]["with_settings"],
            totals.requests - totals.fates["stays"] - totals.fates["with breaking settings"],
        ),
        "steps": (sum(step["more"] for step in document["steps"]), totals.fates["with settings"]),
        "breaking steps": (
            sum(step["more"] for step in document["breaking_steps"]),
            totals.fates["with breaking settings"],
        ),
        "bugs": (document["adapter_bugs"], 0),
    }
    return [
        f"{name}: {found} instead of {expected}"
        for name, (found, expected) in pairs.items()
        if found != expected
    ]
