"""Many tenants behind one key: histories that end alike recall nobody else's thoughts, and everybody's own.

`TENANTS=1000` makes a thousand pairs for each store, and `CONVERSATIONS=50` fifty conversations of two workers; the defaults are smaller.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
import pytest

import adapter
from adapter import Settings
from tests.support.answers import response
from tests.support.http import http
from tests.support.stores import RedisServer, needs_redis, shared_redis, sqlite_url
from tests.support.tool_loop import Item, answered, call, events, random_id, reasoning, said, spoken

__all__ = ["shared_redis"]

PAIRS = int(os.environ.get("TENANTS", "100"))
WIRE = 3  # straight through a transport, without the SDK: most of what a call costs
WAYS = (0, 1, 2, *[WIRE] * 17)

# Call ids, by what a server makes them of: the pair's number, the tenant, the turn, and the call in it.
GUESSABLE: dict[str, Callable[[int, str, int, int], str]] = {
    "always the same": lambda pair, who, turn, k: f"call_{k}",
    "a counter": lambda pair, who, turn, k: f"call_{turn}{k}",
    "of the tool's name": lambda pair, who, turn, k: f"functions.confirm_the_whole_order:{turn}{k}",
    "a clock": lambda pair, who, turn, k: f"call_17644709{turn}8123456{k}",
    "a digit": lambda pair, who, turn, k: str(k),
    "nine characters": lambda pair, who, turn, k: f"D681Pe{turn}K{k}",
    "padded": lambda pair, who, turn, k: f"call_{turn:024}{k}",
    "long": lambda pair, who, turn, k: "confirm_the_order_" * 5 + f"{turn}{k}",
    "none": lambda pair, who, turn, k: "",
}
RANDOM: dict[str, Callable[[int, str, int, int], str]] = {
    "random": lambda pair, who, turn, k: random_id(f"{pair} {who} {turn} {k}"),
    "random and long": lambda pair, who, turn, k: random_id(f"{pair} {who} {turn} {k}") * 4,
}

ENDS: list[tuple[str, list[tuple[str, str]]]] = [
    ("yes", [("confirm", "{}")]),
    ("yes", [("confirm", "{}"), ("confirm", "{}")]),
    ("Yes, please.", [("confirm", '{"sure": true}')]),
    ("", [("next", "{}")]),
    ("ok", [("list_orders", '{"page": 1}'), ("confirm", "{}")]),
]
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("confirm", "next", "list_orders")
]
FUNCTIONS = [tool["function"] for tool in TOOLS]


@dataclass
class Tenant:
    """One tenant's conversation: its own beginning, and an end like the other's."""

    pair: int
    who: str
    kind: str
    end: tuple[str, list[tuple[str, str]]]
    conversation: str | None
    legacy: bool = False
    history: list[Item] = field(default_factory=list)
    turn: int = 0

    def __post_init__(self) -> None:
        """Begin with something of its own."""
        self.history = [
            {"role": "system", "content": f"You serve {self.who}."},
            {"role": "user", "content": f"I am {self.canary}, and this is my secret order."},
            {"role": "assistant", "content": f"Hello, {self.canary}."},
            {"role": "user", "content": self.end[0]},
        ]

    @property
    def canary(self) -> str:
        """What nobody else may ever see."""
        return f"canary-{self.pair}-{self.who}"

    def reply(self) -> list[Item]:
        """Write what the model answers in this turn."""
        make = {**GUESSABLE, **RANDOM}[self.kind]
        summary = [{"type": "summary_text", "text": f"{self.canary} thinks in turn {self.turn}"}]
        items = [reasoning(f"{self.turn}", summary=summary, encrypted_content=f"gAAAA-{self.canary}-{self.turn}")]
        for k, (name, arguments) in enumerate(self.end[1][:1] if self.legacy else self.end[1]):
            made = make(self.pair, self.who, self.turn, k)
            one = call(k, arguments, call_id="x", name=name) | {"call_id": made, "id": f"fc_{k}"}
            items.append({key: value for key, value in one.items() if key != "call_id" or made})
        return items

    def expected(self) -> list[str]:
        """List whose thoughts belong into the next request."""
        if self.conversation is None and (self.legacy or self.kind in GUESSABLE):
            return []
        return [f"gAAAA-{self.canary}-{turn}" for turn in range(self.turn)]


class Service:
    """A service with one key for all of its tenants, and the API behind it; it keeps the bytes that go there."""

    def __init__(self, memory: Any, **more: Any) -> None:
        self.tenant: Tenant | None = None
        self.sent: list[bytes] = []
        self.settings = Settings(backend="responses", on_bug="raise", memory=memory, memory_timeout=10, **more)
        key: dict[str, Any] = {"api_key": "one-for-all", "base_url": "https://api.test/v1", "max_retries": 0}
        self._clients = [
            adapter.OpenAI(**key, http_client=self._http(), settings=self.settings),
            adapter.install(openai.OpenAI(**key, http_client=self._http()), self.settings),
            openai.OpenAI(**key, http_client=http.Client(transport=adapter.Transport(self._api(), settings=self.settings))),
        ]  # fmt: skip

        door = adapter.Transport(self._api(), settings=self.settings)
        self._wire = http.Client(transport=door, headers={"Authorization": "Bearer one-for-all"})

    def close(self) -> None:
        """Close the clients."""
        for client in (*self._clients, self._wire):
            client.close()

    def _api(self) -> Any:
        return http.MockTransport(self._answer)

    def _http(self) -> Any:
        return http.Client(transport=self._api())

    def _answer(self, request: Any) -> Any:
        self.sent.append(request.content)
        assert self.tenant is not None
        output = self.tenant.reply()
        if json.loads(request.content).get("stream"):
            body = b"".join(events(output, model="gpt-5"))
            return http.Response(200, content=body, headers={"content-type": "text/event-stream"})
        return http.Response(200, json=response(*output, model="gpt-5"))

    def ask(self, tenant: Tenant, *, way: int = WIRE, stream: bool = False, history: list[Item] | None = None) -> Any:
        """Ask for a tenant's next turn; return the items that were sent for it."""
        self.tenant = tenant
        tools: Any = {"functions": FUNCTIONS} if tenant.legacy else {"tools": TOOLS}
        body = {
            "model": "gpt-5", "messages": tenant.history if history is None else history, "stream": stream, **tools
        }  # fmt: skip
        with adapter.use(conversation=tenant.conversation):
            if way == WIRE:
                self._wire.post("https://api.test/v1/chat/completions", json=body).raise_for_status()
            else:
                made = self._clients[way].chat.completions.create(**body)
                if stream:
                    for _ in made:
                        pass
        return json.loads(self.sent[-1])["input"]

    def take(self, tenant: Tenant, *, way: int = WIRE, stream: bool = False) -> Any:
        """Take a tenant's next turn: ask, and answer the calls as an application does; return the items that were sent."""
        sent = self.ask(tenant, way=way, stream=stream)
        calls = [item for item in tenant.reply() if item["type"] == "function_call"]
        if tenant.legacy:
            function = {"name": calls[0]["name"], "arguments": calls[0]["arguments"]}
            tenant.history += [
                {"role": "assistant", "content": None, "function_call": function},
                {"role": "function", "name": function["name"], "content": "ok"},
            ]
        else:
            asked = [
                {"id": one.get("call_id") or one["id"], "type": "function",
                 "function": {"name": one["name"], "arguments": one["arguments"]}}
                for one in calls
            ]  # fmt: skip
            tenant.history += answered({"role": "assistant", "content": None, "tool_calls": asked})
        tenant.turn += 1
        return sent


def recalled(items: list[Item]) -> list[str]:
    """List whose thoughts stand in a request."""
    return [item["encrypted_content"] for item in items if item.get("type") == "reasoning"]


@pytest.fixture(params=["memory", "sqlite", pytest.param("redis", marks=needs_redis)])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    memory: Any = "memory://"
    if request.param == "sqlite":
        memory = sqlite_url(tmp_path)
    elif request.param == "redis":
        server: RedisServer = request.getfixturevalue("shared_redis")
        memory = server.url
    # By name, so that what another test has left in a store isn't found.
    with closing(Service(memory, memory_scope=f"tenants of {tmp_path}")) as made:
        yield made


def _pairs() -> Iterator[tuple[Tenant, Tenant]]:
    chance = random.Random(20)
    kinds = [*GUESSABLE, *RANDOM]
    for pair in range(PAIRS):
        kind, end = kinds[pair % len(kinds)], ENDS[chance.randrange(len(ENDS))]
        named = chance.random() < 0.5
        legacy = chance.random() < 0.15
        shared = chance.random() < 0.3  # both call it the same
        a, b = (
            Tenant(pair, who, kind, end, (f"c-{pair}" + ("" if shared else f"-{who}")) if named else None, legacy)
            for who in ("a", "b")
        )
        yield a, b


def test_histories_that_end_alike(service: Service) -> None:
    """Turn by turn, one after the other: nothing crosses, and nobody's turn takes the place of the other's."""
    chance = random.Random(21)
    for a, b in _pairs():
        for _ in range(2):
            for tenant in (a, b):
                sent = service.take(tenant, way=chance.choice(WAYS), stream=chance.random() < 0.5)
                assert recalled(sent) == tenant.expected()[: tenant.turn - 1 or None][: tenant.turn - 1]
        for tenant, other in ((a, b), (b, a)):
            sent = service.ask(tenant, way=chance.choice(WAYS))
            assert recalled(sent) == tenant.expected(), tenant
            assert other.canary.encode() not in service.sent[-1]


def test_histories_that_are_made_up(service: Service) -> None:
    """Whoever knows everything of another's conversation but random ids gets nothing of it, in a conversation of one's own."""
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
    """Also who knows the ids must know the user's message and the arguments."""
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
    masks = {"tool": "[tool output]", "assistant": "[text]", "system": "[instructions]", "function": "[tool output]"}
    return [{**one, "content": masks.get(one["role"], one["content"])} for one in history]


def _rendered(history: list[Item]) -> list[Item]:
    parts = [
        {**one, "content": [{"type": "text", "text": one["content"]}]} if one["role"] == "user" else one
        for one in history
    ]
    return [{"role": "developer", "content": "It is 12:34."}, *(one for one in parts if one["role"] != "system")]


def _without_the_systems_words(history: list[Item]) -> list[Item]:
    return [one for one in history if one["role"] != "system" and not (one["role"] == "assistant" and one["content"])]


HONEST = {
    "as it was": list,
    "trimmed": _trimmed,
    "masked": _masked,
    "rendered anew": _rendered,
    "without the system's and the assistant's words": _without_the_systems_words,
}


@pytest.mark.parametrize("way", range(3), ids=["client", "installed", "transport"])
@pytest.mark.parametrize("edit", HONEST)
@pytest.mark.parametrize(
    ("kind", "named", "legacy"),
    [("random", False, False), ("random", True, False), ("always the same", True, False), ("none", True, False),
     ("always the same", True, True)],
    ids=["random", "random, named", "guessable, named", "no ids, named", "functions, named"],
)  # fmt: skip
def test_honest_conversations_lose_nothing(kind: str, named: bool, legacy: bool, edit: str, way: int) -> None:
    with closing(Service("memory://", memory_scope=f"{kind} {named} {legacy} {edit} {way}")) as service:
        tenant = Tenant(0, "a", kind, ENDS[1], "c" if named else None, legacy)
        for turn in range(4):
            sent = service.ask(tenant, way=way, history=HONEST[edit](tenant.history))
            # What the user said in the beginning is a part of a named conversation, where ids say nothing.
            lost = edit == "trimmed" and kind != "random"
            assert recalled(sent) == ([] if lost and turn == 0 else tenant.expected())
            service.take(tenant, way=way)
            if lost:
                break
            if turn == 1:
                tenant.history.append({"role": "user", "content": "And then?"})


def test_a_history_that_is_cut_in_front_carries_nothing_under_guessable_ids() -> None:
    """It can't be told from another one that ends alike."""
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
            tenant.reply = lambda ids=ids: [reasoning(1), *(call(k, call_id=one) for k, one in enumerate(ids))]  # type: ignore[method-assign]
            service.take(tenant)
            assert len(recalled(service.ask(tenant))) == expected


# The ledger


def _losses(service: Service, tenant: Tenant, history: list[Item]) -> list[tuple[str, str]]:
    service.tenant = tenant
    with adapter.use(conversation=tenant.conversation):
        made = service._clients[0].chat.completions.create(model="gpt-5", messages=history, tools=TOOLS)
    found = adapter.decision(made)
    assert found is not None
    return [(loss.path, loss.why.partition(":")[0]) for loss in found.losses]


CHANGED, CUT = "sent without its reasoning", "the turns before it are sent without their reasoning"


def test_what_the_ledger_says() -> None:
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
        assert _losses(service, tenant, edited(6, arguments="[]")) == [("messages[6]", CHANGED), ("messages[6]", CUT)]
        assert _losses(service, tenant, edited(3, content="No.")) == [(f"messages[{k}]", CHANGED) for k in (4, 6, 8)]
        unknown = edited(6, id=random_id("unknown"))
        assert _losses(service, tenant, unknown) == [("messages[6]", CUT)], "a turn that isn't known is no loss itself"
        assert _losses(service, tenant, edited(4, id=random_id("unknown"))) == []
        assert _losses(service, tenant, edited(6, id="call_0")) == [], "it never carried anything, for anybody"


# Two workers with memories of their own, and one prompt cache


@dataclass
class Turn:
    """What was sent for one turn, and by whom."""

    worker: int
    input: list[Item]


def _two_workers(seed: int, turns: int = 12, *, quiet: float = 0.3, on_chat: float = 0.0) -> list[Turn]:
    chance = random.Random(seed)
    services = [Service(f"memory://?count={1000 + k}", memory_scope=f"two workers {seed}") for k in range(2)]
    tenant = Tenant(seed, "a", "random", ENDS[seed % len(ENDS)], None)
    taken: list[Turn] = []
    for turn in range(turns):
        worker = chance.randrange(2)
        service = services[worker]
        if chance.random() < quiet:
            tenant.reply = lambda own=Tenant.reply: own(tenant)[1:]  # type: ignore[method-assign]  # a reply without reasoning
        way = turn % 4 if seed == 0 else WIRE
        taken.append(Turn(worker, service.take(tenant, way=way, stream=chance.random() < 0.5)))
        tenant.__dict__.pop("reply", None)
        if chance.random() < on_chat:
            asked = [
                {
                    "id": random_id(f"chat {seed} {turn}"),
                    "type": "function",
                    "function": {"name": "next", "arguments": "{}"},
                }
            ]
            tenant.history += answered({"role": "assistant", "content": None, "tool_calls": asked})
            tenant.turn += 1
        if chance.random() < 0.3:
            tenant.history.append({"role": "user", "content": "And now?"})
    for service in services:
        service.close()
    return taken


CONVERSATIONS = int(os.environ.get("CONVERSATIONS", "50"))


@pytest.mark.parametrize("on_chat", [0.0, 0.2], ids=["on Responses alone", "with turns on Chat"])
def test_two_workers_send_the_same_beginning(on_chat: float) -> None:
    """Each request begins with all of an earlier one.

    With the last one where the same worker goes on. Where another takes over, which can't know what the first has put back, it is
    the one with which that one had begun: nothing before that is lost.
    """
    reasons = 0
    for seed in range(CONVERSATIONS):
        taken = _two_workers(seed, on_chat=on_chat)
        begun = 0  # the turn with which the last worker took over
        for k in range(1, len(taken)):
            last, now = taken[k - 1], taken[k]
            longest = last.input if now.worker == last.worker and not on_chat else taken[begun].input
            assert now.input[: len(longest)] == longest, (seed, k)
            if now.worker != last.worker:
                assert recalled(now.input) == [], "of the turn before nothing is known here"
                begun = k
            reasons += len(recalled(now.input))
    assert reasons > CONVERSATIONS, "and what is put back is worth it"


def test_one_worker_extends_each_request() -> None:
    for seed in range(10):
        with closing(Service("memory://", memory_scope=f"one worker {seed}")) as service:
            tenant = Tenant(seed, "a", "random", ENDS[seed % len(ENDS)], None)
            before: list[Item] = []
            for turn in range(12):
                sent = service.take(tenant, way=turn % 4 if seed == 0 else WIRE, stream=bool(turn % 2))
                assert sent[: len(before)] == before
                assert recalled(sent) == tenant.expected()[:turn]
                before = sent


def test_workers_with_a_shared_memory_extend_each_request(tmp_path: Path) -> None:
    services = [Service(sqlite_url(tmp_path), memory_scope="shared") for _ in range(2)]
    chance = random.Random(3)
    tenant = Tenant(0, "a", "random", ENDS[1], None)
    before: list[Item] = []
    for turn in range(12):
        sent = services[chance.randrange(2)].take(tenant, way=turn % 4)
        assert sent[: len(before)] == before
        assert recalled(sent) == tenant.expected()[:turn]
        before = sent
    for service in services:
        service.close()


def test_a_turn_without_thoughts_is_no_gap() -> None:
    """It is remembered as one of which there is nothing to put back."""
    with closing(Service("memory://", memory_scope="empty")) as service:
        tenant = Tenant(0, "a", "random", ENDS[0], None)
        service.take(tenant)
        tenant.reply = lambda: Tenant.reply(tenant)[1:]  # type: ignore[method-assign]
        service.take(tenant)
        del tenant.reply
        service.take(tenant)
        assert recalled(service.ask(tenant)) == [f"gAAAA-{tenant.canary}-{turn}" for turn in (0, 2)]


def test_a_phase_alone_is_cut_off_with_the_rest() -> None:
    with closing(Service("memory://", memory_scope="phase")) as service:
        tenant = Tenant(0, "a", "random", ENDS[0], None)
        tenant.reply = lambda: [said("Looking."), *Tenant.reply(tenant)[1:]]  # type: ignore[method-assign]
        service.take(tenant)
        tenant.history[-2]["content"] = "Looking."
        assert "phase" in str(service.ask(tenant))
        asked = [{"id": random_id("elsewhere"), "type": "function", "function": {"name": "next", "arguments": "{}"}}]
        history = [*tenant.history, *answered({"role": "assistant", "content": None, "tool_calls": asked})]
        sent = service.ask(tenant, history=history)
        assert "phase" not in str(sent)
        assert spoken(sent).count("function_call") == 2
