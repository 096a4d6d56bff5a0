"""Many tenants behind one key: histories that end alike recall their own tenant's reasoning.

`TENANTS=1000` makes a thousand pairs for each store; the default is smaller.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import adapter
from tests.support.stores import RedisServer, needs_redis, shared_redis, sqlite_url
from tests.support.tenants import ENDS, GUESSABLE, RANDOM, TOOLS, WIRE, Service, Tenant, recalled
from tests.support.tool_loop import Item, call, random_id, reasoning

__all__ = ["shared_redis"]

PAIRS = int(os.environ.get("TENANTS", "100"))
WAYS = (0, 1, 2, *[WIRE] * 17)


@pytest.fixture(params=["memory", "sqlite", pytest.param("redis", marks=needs_redis)])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    memory: Any = "memory://"
    if request.param == "sqlite":
        memory = sqlite_url(tmp_path)
    elif request.param == "redis":
        server: RedisServer = request.getfixturevalue("shared_redis")
        memory = server.url
    # Named, so that turns of other tests aren't found.
    with closing(Service(memory, memory_scope=f"tenants of {tmp_path}")) as made:
        yield made


def _pairs() -> Iterator[tuple[Tenant, Tenant]]:
    chance = random.Random(20)
    kinds = [*GUESSABLE, *RANDOM]
    for pair in range(PAIRS):
        kind, end = kinds[pair % len(kinds)], ENDS[chance.randrange(len(ENDS))]
        named = chance.random() < 0.5
        legacy = chance.random() < 0.15
        shared = chance.random() < 0.3  # both use the same name
        a, b = (
            Tenant(
                pair,
                who,
                kind,
                end,
                (f"c-{pair}" + ("" if shared else f"-{who}")) if named else None,
                legacy,
            )
            for who in ("a", "b")
        )
        yield a, b


def test_histories_that_end_alike(service: Service) -> None:
    """Turn by turn, one after the other: no turn crosses over or replaces another."""
    chance = random.Random(21)
    for a, b in _pairs():
        for _ in range(2):
            for tenant in (a, b):
                sent = service.take(tenant, way=chance.choice(WAYS), stream=chance.random() < 0.5)
                assert (
                    recalled(sent)
                    == tenant.expected()[: tenant.turn - 1 or None][: tenant.turn - 1]
                )
        for tenant, other in ((a, b), (b, a)):
            sent = service.ask(tenant, way=chance.choice(WAYS))
            assert recalled(sent) == tenant.expected(), tenant
            assert other.canary.encode() not in service.sent[-1]


def test_histories_that_are_made_up(service: Service) -> None:
    """Knowing all of another's conversation but its random ids recalls nothing of it."""
    for victim, _ in _pairs():
        service.take(victim)
        service.take(victim)
        before = victim.expected()
        thief = Tenant(victim.pair, "thief", victim.kind, victim.end, None, victim.legacy)
        if victim.conversation is not None:
            thief.conversation = f"{victim.conversation}-thief"
        seen = json.loads(json.dumps(victim.history))
        if victim.kind in RANDOM:
            for message in seen:
                for k, one in enumerate(message.get("tool_calls", [])):
                    one["id"] = random_id(f"guess {k}")
                if message["role"] == "tool":
                    message["tool_call_id"] = random_id(f"guess {0}")
        for history in (seen, seen[3:], seen[1:], [seen[1], *seen[3:]]):
            sent = service.ask(thief, history=history)
            assert recalled(sent) == []
            assert f"gAAAA-{victim.canary}".encode() not in service.sent[-1]
        assert recalled(service.ask(victim)) == before, "and it is still there"


def test_an_id_that_was_given_counts_with_its_words_alone(service: Service) -> None:
    """With the ids, the user's message and the arguments must be known as well."""
    victim = Tenant(1, "a", "random", ENDS[0], None)
    service.take(victim)
    thief = Tenant(1, "thief", "random", ENDS[0], None)
    changed = json.loads(json.dumps(victim.history))
    changed[3]["content"] = "Yes!"
    assert recalled(service.ask(thief, history=changed)) == []
    assert recalled(service.ask(thief, history=victim.history)) == victim.expected()


# Honest applications


def _trimmed(history: list[Item]) -> list[Item]:
    return [one for k, one in enumerate(history) if k >= 3]


def _masked(history: list[Item]) -> list[Item]:
    masks = {
        "tool": "[tool output]",
        "assistant": "[text]",
        "system": "[instructions]",
        "function": "[tool output]",
    }
    return [{**one, "content": masks.get(one["role"], one["content"])} for one in history]


def _rendered(history: list[Item]) -> list[Item]:
    parts = [
        {**one, "content": [{"type": "text", "text": one["content"]}]}
        if one["role"] == "user"
        else one
        for one in history
    ]
    return [
        {"role": "developer", "content": "It is 12:34."},
        *(one for one in parts if one["role"] != "system"),
    ]


def _without_the_systems_words(history: list[Item]) -> list[Item]:
    return [
        one
        for one in history
        if one["role"] != "system" and not (one["role"] == "assistant" and one["content"])
    ]


HONEST = {
    "as it was": list,
    "trimmed": _trimmed,
    "masked": _masked,
    "rendered again": _rendered,
    "without the system's and the assistant's words": _without_the_systems_words,
}


@pytest.mark.parametrize("way", range(3), ids=["client", "installed", "transport"])
@pytest.mark.parametrize("edit", HONEST)
@pytest.mark.parametrize(
    ("kind", "named", "legacy"),
    [("random", False, False), ("random", True, False), ("always the same", True, False),
        ("none", True, False),
     ("always the same", True, True)],
    ids=["random", "random, named", "guessable, named", "no ids, named", "functions, named"],
)  # fmt: skip
def test_honest_conversations_lose_nothing(
    kind: str, named: bool, legacy: bool, edit: str, way: int
) -> None:
    with closing(
        Service("memory://", memory_scope=f"{kind} {named} {legacy} {edit} {way}")
    ) as service:
        tenant = Tenant(0, "a", kind, ENDS[1], "c" if named else None, legacy)
        for turn in range(4):
            sent = service.ask(tenant, way=way, history=HONEST[edit](tenant.history))
            # Without random ids, the first user messages are part of a named conversation.
            lost = edit == "trimmed" and kind != "random"
            assert recalled(sent) == ([] if lost and turn == 0 else tenant.expected())
            service.take(tenant, way=way)
            if lost:
                break
            if turn == 1:
                tenant.history.append({"role": "user", "content": "And then?"})


def test_a_history_that_is_cut_in_front_carries_nothing_under_guessable_ids() -> None:
    """It can't be distinguished from another one that ends alike."""
    with closing(Service("memory://", memory_scope="cut")) as service:
        tenant = Tenant(0, "a", "always the same", ENDS[0], "c")
        service.take(tenant)
        assert recalled(service.ask(tenant, history=tenant.history[3:])) == []
        assert recalled(service.ask(tenant)) == tenant.expected()


def test_several_calls_of_which_the_first_names_the_turn() -> None:
    for first, expected in ((random_id(1), 1), ("call_0", 0)):
        with closing(Service("memory://", memory_scope=f"several {first}")) as service:
            tenant = Tenant(0, "a", "random", ENDS[0], None)
            ids = [first, "call_0" if first != "call_0" else random_id(1)]
            tenant.reply = lambda ids=ids: [
                reasoning(1),
                *(call(k, call_id=one) for k, one in enumerate(ids)),
            ]  # type: ignore[method-assign]
            service.take(tenant)
            assert len(recalled(service.ask(tenant))) == expected


# The ledger


def _losses(service: Service, tenant: Tenant, history: list[Item]) -> list[tuple[str, str]]:
    service.tenant = tenant
    with adapter.use(conversation=tenant.conversation):
        made = service._clients[0].chat.completions.create(
            model="gpt-5", messages=history, tools=TOOLS
        )
    found = adapter.decision(made)
    assert found is not None
    # Without the loss of the summary, which is in each reply.
    losses = [loss for loss in found.losses if loss.path != "output[0].summary"]
    return [(loss.path, loss.why.partition(":")[0]) for loss in losses]


CHANGED, CUT = "sent without its reasoning", "earlier turns are sent without their reasoning"


def test_the_losses_in_the_ledger() -> None:
    with closing(Service("memory://", memory_scope="ledger")) as service:
        tenant = Tenant(0, "a", "random", ENDS[0], None)
        for _ in range(3):
            service.take(tenant)
        assert _losses(service, tenant, tenant.history) == []

        def edited(place: int, **more: Any) -> list[Item]:
            history = json.loads(json.dumps(tenant.history))
            asked = history[place].get("tool_calls", [{}])[0]
            if "id" in more:
                asked["id"] = history[place + 1]["tool_call_id"] = more["id"]
            elif "arguments" in more:
                asked["function"]["arguments"] = more["arguments"]
            else:
                history[place] |= more
            return history

        assert _losses(service, tenant, edited(4, arguments="[]")) == [("messages[4]", CHANGED)]
        assert _losses(service, tenant, edited(6, arguments="[]")) == [
            ("messages[6]", CHANGED),
            ("messages[6]", CUT),
        ]
        assert _losses(service, tenant, edited(3, content="No.")) == [
            (f"messages[{k}]", CHANGED) for k in (4, 6, 8)
        ]
        unknown = edited(6, id=random_id("unknown"))
        assert _losses(service, tenant, unknown) == [("messages[6]", CUT)], (
            "a turn that isn't known is no loss itself"
        )
        assert _losses(service, tenant, edited(4, id=random_id("unknown"))) == []
        assert _losses(service, tenant, edited(6, id="call_0")) == [], (
            "it never carried anything, for anybody"
        )
