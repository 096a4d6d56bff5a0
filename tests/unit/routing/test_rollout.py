"""Rollouts: exact shares, callers that keep their backend (docs/decisions.md#rollout)."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import unicodedata
from array import array
from typing import Any

import pytest

import adapter
from adapter import Settings
from adapter._exchange.effects import ReadFlag, ReadRequest
from adapter._exchange.request_body import RequestBody
from adapter._routing import rollout
from adapter._routing.call import Call
from adapter._routing.overrides import NO_OVERRIDES, Overrides
from adapter._routing.reload import reloader_of
from adapter._routing.router import Router
from adapter._runtime.call_context import start_call
from tests.support.answers import Sdk, both, error, impatient, sdk
from tests.support.choosing import choose, first_effect, rollout_key
from tests.support.http import http
from tests.support.loopback import Loopback, Reply, Request

__all__ = ["impatient", "sdk"]

MILLION = 1_000_000
SHARES = [1, 10, 12.5, 25, 50, 99.9]


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def body(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": list(messages or [user("Hello")]), **more}


def call(
    request: Any,
    overrides: Overrides = NO_OVERRIDES,
    headers: Any = (),
    path: bytes = b"/v1/chat/completions",
) -> Call:
    return Call(None, http.Headers(headers), overrides, path, body=RequestBody.of(request))


def key_of(
    request: Any,
    sticky_by: str = "conversation",
    overrides: Overrides = NO_OVERRIDES,
    headers: Any = (),
) -> Any:
    """Return the key of a caller."""
    return rollout_key(sticky_by, call(request, overrides, headers))


def backend_of(router: Router, request: Any, **more: Any) -> str:
    choice = choose(router, call(request, **more))
    assert choice.reason == "rollout"
    return choice.backend


# Shares


@pytest.fixture(scope="module")
def buckets() -> array[float]:
    """Return the buckets of a million conversations; a thousand are checked against whole calls."""
    key = rollout.ServiceHash("adapter")
    callers = (f"opening\0gpt-4o\0Question {k} of a user" for k in range(MILLION))
    found = array("d", (key.bucket(caller) for caller in callers))
    for k in range(0, MILLION, 1000):
        assert found[k] == key.bucket(key_of(body(user(f"Question {k} of  a user"))))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("share", SHARES)
def test_the_share_of_a_million_conversations(share: float, buckets: array[float]) -> None:
    moved = sum(place < share for place in buckets) * 100 / MILLION
    print(f"asked for {share} %, got {moved:.4f} %")
    assert moved == pytest.approx(share, abs=0.1)


@pytest.mark.slow
def test_buckets_are_spread_evenly(buckets: array[float]) -> None:
    counts = [0] * 100
    for place in buckets:
        counts[int(place)] += 1
    # Chi-squared with 99 degrees of freedom: 1 in 10,000 is above 160.
    assert sum((count - MILLION / 100) ** 2 / (MILLION / 100) for count in counts) < 160


def test_0_and_100_percent_are_exact() -> None:
    for sticky_by in ("conversation", "user", "request"):
        none, all_ = (Router(Settings(rollout=share, sticky_by=sticky_by)) for share in (0, 100))
        for k in range(100):
            assert (backend_of(none, body(user(f"{k}"))), backend_of(all_, body(user(f"{k}")))) == (
                "chat",
                "responses",
            )


def test_a_higher_share_only_adds() -> None:
    conversations = [body(user(f"Question {k}")) for k in range(3000)]
    before: set[int] = set()
    for share in (1, 10, 25, 99.9, 100):
        router = Router(Settings(rollout=share))
        now = {
            k
            for k, request in enumerate(conversations)
            if backend_of(router, request) == "responses"
        }
        assert before < now
        before = now


def test_other_settings_move_no_caller() -> None:
    conversations = [body(user(f"Question {k}")) for k in range(500)]
    one = Router(Settings(rollout=30))
    other = Router(
        Settings(
            rollout=30, drop=["seed"], rules=[{"match": {"tag": "x"}, "rollout": 5}], fallback=()
        )
    )
    assert [backend_of(one, request) for request in conversations] == [
        backend_of(other, request) for request in conversations
    ]


def test_services_move_different_callers() -> None:
    conversations = [body(user(f"Question {k}")) for k in range(2000)]
    moved = [
        {k for k, request in enumerate(conversations) if backend_of(router, request) == "responses"}
        for router in (Router(Settings(rollout=50, service=name)) for name in ("billing", "search"))
    ]
    # Independent halves: a quarter is in both.
    assert 400 < len(moved[0] & moved[1]) < 600


def test_every_process_moves_the_same_callers() -> None:
    code = (
        "import json; from adapter._routing import rollout; key = rollout.ServiceHash('billing');"
        "print(json.dumps([key.bucket(f'user\\0é{k}') for k in range(50)]))"
    )
    seen = set()
    for seed in ("0", "1", "77"):
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin"}
        run = subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            env=environment,
            capture_output=True,
            text=True,
        )
        seen.add(run.stdout)
    key = rollout.ServiceHash("billing")
    assert [json.loads(one) for one in seen] == [[key.bucket(f"user\0é{k}") for k in range(50)]]


# One conversation

FIRST = "Où est  la\tgare?\n"
OPENED = body({"role": "system", "content": "It is 12:00."}, user(FIRST))


def _turns(count: int) -> list[dict[str, Any]]:
    return [
        message
        for k in range(count)
        for message in ({"role": "assistant", "content": f"a{k}"}, user(f"q{k}"))
    ]


SAME: dict[str, dict[str, Any]] = {
    "later": body(user(FIRST), *_turns(20)),
    "a later clock": body({"role": "system", "content": "It is 13:07."}, user(FIRST)),
    "developer instead of system": body(
        {"role": "developer", "content": "New rules."}, user(FIRST)
    ),
    "no system message": body(user(FIRST)),
    "a trimmed tail": body(user(FIRST), *_turns(20)[-4:]),
    "an assistant that greets": body(
        {"role": "assistant", "content": "Hi, it's noon."}, user(FIRST)
    ),
    "text parts": body(user([{"type": "text", "text": FIRST}])),
    "text in pieces": body(
        user([{"type": "text", "text": "Où est"}, {"type": "text", "text": "la gare?"}])
    ),
    "other spaces": body(user("Où est la gare?")),
    "no-break spaces": body(user("Où\u00a0est la\u202fgare?")),
    "NFD": body(user(unicodedata.normalize("NFD", FIRST))),
    "a name": body({**user(FIRST), "name": "ann"}),
    "a field of the database's": body({"id": 7, "created": "12:00", **user(FIRST)}),
    "a field of a part": body(user([{"type": "text", "text": FIRST, "cache": True}])),
    "other parameters": body(user(FIRST), temperature=1, tools=[], stream=True, seed=7, user="ann"),
    "something that isn't a message": body(5, None, user(FIRST)),  # type: ignore[arg-type]
}
OTHER: dict[str, dict[str, Any]] = {
    "another question": body(user("Où est la mairie?")),
    "letters": body(user("OÙ EST LA GARE?")),
    "another model": {**OPENED, "model": "gpt-4.1"},
    "a cache key": {**OPENED, "prompt_cache_key": "x"},
    "a picture": body(
        user([{"type": "image_url", "image_url": {"url": "https://pictures.test/1.png"}}])
    ),
    "no messages": body() | {"messages": []},
}


@pytest.mark.parametrize("case", SAME)
def test_a_conversation_is_known_again(case: str) -> None:
    assert key_of(SAME[case]) == key_of(OPENED)


def test_other_conversations_are_others() -> None:
    assert len({key_of(request) for request in [OPENED, *OTHER.values()]}) == len(OTHER) + 1


PICTURES: dict[str, tuple[Any, Any]] = {
    "a signed URL": tuple(
        [{"type": "image_url", "image_url": {"url": f"https://x.test/1.png?signature={k}",
            "detail": detail}}]
        for k, detail in enumerate(("low", "high"))
    ),
    "a file": ([{"type": "file", "file": {"file_id": "f1"}}],
        [{"file": {"file_id": "f1", "filename": "x"}, "type": "file"}]),
    "data": tuple([{"type": "image_url",
        "image_url": {"url": "data:image/png;base64,AA"}}] for _ in range(2)),
}  # fmt: skip


@pytest.mark.parametrize("case", PICTURES)
def test_a_conversation_that_opens_with_a_picture(case: str) -> None:
    one, other = PICTURES[case]
    assert key_of(body(user(one))) == key_of(body(user(other))) != key_of(body(user("")))


ODD: list[Any] = [
    None, 5, "text", [], {}, {"messages": None}, {"messages": {}}, {"messages": [5]},
        {"messages": [{"role": "user"}]},
    {"messages": [{"role": "user", "content": 5}]},
        {"messages": [{"role": "user", "content": [5, {"text": 5}, {"x": {"url": 5}}]}]},
    {"messages": [{"content": "\ud800"}]}, {"model": ["x"]}, {"model": 5, "prompt_cache_key": 5},
]  # fmt: skip


@pytest.mark.parametrize("sticky_by", ["conversation", "user", "header:x-tenant"])
def test_odd_bodies_have_a_backend(sticky_by: str) -> None:
    router = Router(Settings(rollout=50, sticky_by=sticky_by))
    assert all(backend_of(router, request) == backend_of(router, request) for request in ODD)


# The keys of callers

TENANT = {"X-Tenant": "acme"}
INSIDE = Overrides(conversation="c1")
CALLERS: dict[str, tuple[str, dict[str, Any], Any, Any]] = {
    "use": ("conversation", body(prompt_cache_key="k"), {"overrides": INSIDE}, "conversation\0c1"),
    "cache key": ("conversation", body(prompt_cache_key="k"), {}, "prompt_cache_key\0k"),
    "fingerprint": ("conversation", body(), {}, "opening\0gpt-4o\0Hello"),
    "empty use": ("conversation", body(), {"overrides": Overrides(conversation="")},
        "opening\0gpt-4o\0Hello"),
    "empty cache key": ("conversation", body(prompt_cache_key=""), {}, "opening\0gpt-4o\0Hello"),
    "user": ("user", body(user="ann"), {"overrides": INSIDE}, "user\0ann"),
    "no user": ("user", body(), {"overrides": INSIDE}, "conversation\0c1"),
    "empty user": ("user", body(user=""), {}, "opening\0gpt-4o\0Hello"),
    "odd user": ("user", body(user=5), {}, "opening\0gpt-4o\0Hello"),
    "safety_identifier": ("safety_identifier", body(safety_identifier="s", user="ann"), {},
        "safety_identifier\0s"),
    "no safety_identifier": ("safety_identifier", body(user="ann", prompt_cache_key="k"), {},
        "prompt_cache_key\0k"),
    "header": ("header:x-tenant", body(user="ann"), {"headers": TENANT, "overrides": INSIDE},
        "header:x-tenant\0acme"),
    "header, other case": ("header:X-TENANT", body(), {"headers": TENANT}, "header:x-tenant\0acme"),
    "no header": ("header:x-other", body(), {"headers": TENANT}, "opening\0gpt-4o\0Hello"),
    "deployment": ("conversation", body(model="ignored"),
        {"path": b"/openai/deployments/mine/chat/completions?api-version=1"},
                   "opening\0mine\0Hello"),
}  # fmt: skip


@pytest.mark.parametrize("case", CALLERS)
def test_the_key_of_a_caller(case: str) -> None:
    sticky_by, request, more, expected = CALLERS[case]
    assert rollout_key(sticky_by, call(request, **more)) == expected


UNREAD_CALLS: dict[str, tuple[str, Call, bool]] = {
    "conversation": ("conversation", Call(None, {}, NO_OVERRIDES), True),
    "use": ("conversation", Call(None, {}, INSIDE), False),
    "user": ("user", Call(None, {}, INSIDE), True),
    "header": ("header:x-tenant", Call(None, http.Headers(TENANT), NO_OVERRIDES), False),
    "no header": ("header:x-other", Call(None, http.Headers(TENANT), NO_OVERRIDES), True),
    "request": ("request", Call(None, {}, NO_OVERRIDES), False),
}


@pytest.mark.parametrize("case", UNREAD_CALLS)
def test_the_body_is_read_only_where_it_must_be(case: str) -> None:
    sticky_by, some, needed = UNREAD_CALLS[case]
    router = Router(Settings(rollout=50, sticky_by=sticky_by))
    assert isinstance(first_effect(router, some), ReadRequest) is needed


def test_a_rule_has_its_own_share_and_stickiness() -> None:
    rule = {"match": {"tag": "batch"}, "rollout": 100}
    router = Router(Settings(rollout=0, rules=[rule]))
    assert backend_of(router, body()) == "chat"
    assert backend_of(router, body(), overrides=Overrides(tag="batch")) == "responses"
    by_user = Router(Settings(rollout=50, rules=[{"match": {"tag": "batch"}, "sticky_by": "user"}]))
    tagged = Overrides(tag="batch")
    backends = [
        {backend_of(by_user, body(user(f"{k}"), user=f"u{n}"), overrides=tagged) for k in range(10)}
        for n in range(20)
    ]
    assert all(len(one) == 1 for one in backends)
    assert set().union(*backends) == {"chat", "responses"}


# `sticky_by = "request"`


def test_by_request_is_random() -> None:
    router = Router(Settings(rollout=25, sticky_by="request"))
    count = sum(backend_of(router, body()) == "responses" for _ in range(20_000))
    assert 4400 < count < 5600  # ten standard deviations


def test_a_programs_own_random_numbers_stay_the_same() -> None:
    router = Router(Settings(rollout=50, sticky_by="request"))
    sequences = []
    for times in (0, 50):
        random.seed(42)
        backends = [backend_of(router, body()) for _ in range(times)]
        sequences.append(random.random())
    assert sequences[0] == sequences[1]
    random.seed(42)
    assert [backend_of(router, body()) for _ in range(50)] != backends


@pytest.mark.usefixtures("impatient")
def test_a_retry_keeps_its_backend(sdk: Sdk, loopback: Loopback) -> None:
    seen: list[list[str]] = []

    def answer(request: Request) -> Reply:
        seen[-1].append(request.path)
        return both(request) if len(seen[-1]) == 6 else error(500)

    loopback.answer = answer
    client = sdk.client(loopback, Settings(rollout=50, sticky_by="request"), max_retries=5)
    for _ in range(20):
        seen.append([])
        sdk.create(client)
    assert all(len(paths) == 6 and len(set(paths)) == 1 for paths in seen)
    assert len({paths[0] for paths in seen}) == 2


def test_a_conversation_of_many_turns_through_a_client(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = both
    client = sdk.client(loopback, Settings(rollout=50))
    backends = []
    for k in range(12):
        loopback.requests.clear()
        history = [user(f"Question {k}")]
        for turn in range(6):
            clock = {"role": "system", "content": f"It is 12:0{turn}."}
            answer = sdk.create(client, messages=[clock, *history]).choices[0].message.content
            history += [{"role": "assistant", "content": answer}, user(f"And then? {turn}")]
        backends.append({request.path for request in loopback.requests})
    assert all(len(one) == 1 for one in backends)
    assert len(set().union(*backends)) == 2


# Nothing of a prompt


def test_nothing_of_a_prompt_is_kept() -> None:
    pytest.importorskip("openfeature")
    request = body(
        {"role": "system", "content": "SECRET1"},
        user("SECRET2"),
        user="SECRET3",
        safety_identifier="SECRET4",
    )
    provider = type("Provider", (), {"get_string_details": lambda *_: None})()
    reader = reloader_of(Settings(rollout=50, flags=provider))
    with adapter.use(conversation="SECRET5"):
        context = start_call(reader)
        flag = first_effect(reader.current(), call(request, context.overrides))
    assert isinstance(flag, ReadFlag)
    choice = choose(reader.current(), call(request))
    assert "SECRET" not in f"{flag} {choice} {vars(reader)} {vars(reader.current())}"
