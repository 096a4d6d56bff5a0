"""Prompt caches: requests begin as earlier ones did, with any worker and after lost turns."""

from __future__ import annotations

import random
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.stores import DictStore, sqlite_url
from tests.support.tenants import ENDS, WIRE, Service, Tenant, recalled
from tests.support.tool_loop import Item, answered, item_kinds, message_item, random_id

# Two workers with separate memories, and one prompt cache


@dataclass
class Turn:
    """The request of one turn, and its worker."""

    worker: int
    input: list[Item]


def _two_workers(
    seed: int, turns: int = 12, *, quiet: float = 0.3, on_chat: float = 0.0, in_turns: bool = False
) -> list[Turn]:
    chance = random.Random(seed)
    services = [
        Service(f"memory://?count={1000 + k}", memory_scope=f"two workers {seed}") for k in range(2)
    ]
    tenant = Tenant(seed, "a", "random", ENDS[seed % len(ENDS)], None)
    taken: list[Turn] = []
    for turn in range(turns):
        worker = turn % 2 if in_turns else chance.randrange(2)
        service = services[worker]
        if chance.random() < quiet:
            # A reply without reasoning.
            tenant.reply = lambda own=Tenant.reply: own(tenant)[1:]  # type: ignore[method-assign]
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


CONVERSATIONS = 50


@pytest.mark.slow
@pytest.mark.parametrize("on_chat", [0.0, 0.2], ids=["on Responses alone", "with turns on Chat"])
def test_two_workers_send_the_same_beginning(on_chat: float) -> None:
    """Each request begins with all of an earlier one.

    While one worker continues, it is the last request. A worker that takes over can't know the
    reasoning that the other has inserted: then it is the request with which the other had begun.
    """
    reasons = 0
    for seed in range(CONVERSATIONS):
        taken = _two_workers(seed, on_chat=on_chat)
        begun = 0  # the turn with which the last worker took over
        for k in range(1, len(taken)):
            last, now = taken[k - 1], taken[k]
            longest = (
                last.input if now.worker == last.worker and not on_chat else taken[begun].input
            )
            assert now.input[: len(longest)] == longest, (seed, k)
            if now.worker != last.worker:
                assert recalled(now.input) == [], "of the turn before nothing is known here"
                begun = k
            reasons += len(recalled(now.input))
    assert reasons > CONVERSATIONS, "and what is put back is worth it"


@pytest.mark.slow
def test_two_workers_in_turns_extend_each_request() -> None:
    """If a balancer alternates between workers, neither knows the turn before."""
    for seed in range(CONVERSATIONS):
        taken = _two_workers(seed, in_turns=True)
        assert len(taken) == 12
        for last, now in pairwise(taken):
            assert now.input[: len(last.input)] == last.input
            assert len(now.input) > len(last.input)


def test_one_worker_extends_each_request() -> None:
    for seed in range(10):
        with closing(Service("memory://", memory_scope=f"one worker {seed}")) as service:
            tenant = Tenant(seed, "a", "random", ENDS[seed % len(ENDS)], None)
            before: list[Item] = []
            for turn in range(12):
                sent = service.take(
                    tenant, way=turn % 4 if seed == 0 else WIRE, stream=bool(turn % 2)
                )
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


def test_a_turn_without_reasoning_is_no_gap() -> None:
    """It is remembered as a turn without reasoning."""
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
        reply = lambda: [message_item("Looking."), *Tenant.reply(tenant)[1:]]  # noqa: E731
        tenant.reply = reply  # type: ignore[method-assign]
        service.take(tenant)
        tenant.history[-2]["content"] = "Looking."
        assert "phase" in str(service.ask(tenant))
        asked = [
            {
                "id": random_id("elsewhere"),
                "type": "function",
                "function": {"name": "next", "arguments": "{}"},
            }
        ]
        history = [
            *tenant.history,
            *answered({"role": "assistant", "content": None, "tool_calls": asked}),
        ]
        sent = service.ask(tenant, history=history)
        assert "phase" not in str(sent)
        assert item_kinds(sent).count("function_call") == 2


# Lost turns


class Losing(DictStore):
    """A store that can be down, and whose values the test deletes."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False

    def get(self, names: Any) -> Any:
        """Return the values found, or fail."""
        if self.down:
            raise OSError
        return super().get(names)


def _conversation(store: Losing, at: int, what: str) -> list[list[Item]]:
    """Take eight turns, with a failure at one of them; return the requests."""
    service = Service(store, memory_scope="losing")
    tenant = Tenant(0, "a", "random", ENDS[0], None)
    sent = []
    for turn in range(8):
        if turn == at and what in ("expired", "the oldest"):
            del store.values[list(store.values)[0 if what == "the oldest" else turn // 2]]
        store.down = turn == at and what == "down"
        sent.append(service.take(tenant))
    service.close()
    return sent


@pytest.mark.parametrize("at", [2, 5])
def test_a_memory_that_is_down_for_one_call(at: int) -> None:
    """That call has no reasoning; the next one begins like the one before it, and has all."""
    sent = _conversation(Losing(), at, "down")
    assert recalled(sent[at]) == []
    for k in range(1, 8):
        before = sent[k - 1 if k not in (at, at + 1) else max(0, at - 1) if k == at + 1 else 0]
        assert sent[k][: len(before)] == before
    assert len(recalled(sent[-1])) == 7


@pytest.mark.parametrize("at", [2, 5])
@pytest.mark.parametrize("what", ["expired", "the oldest"])
def test_a_turn_that_is_lost(what: str, at: int) -> None:
    """From then on no reasoning up to it is inserted: the input changes once."""
    sent = _conversation(Losing(), at, what)
    lost = 0 if what == "the oldest" else at // 2
    assert [len(recalled(one)) for one in sent] == [k if k < at else k - lost - 1 for k in range(8)]
    for k in range(1, 8):
        if k != at:
            assert sent[k][: len(sent[k - 1])] == sent[k - 1]


def test_reasoning_that_was_refused() -> None:
    """The next requests begin with the one that was sent again without it."""
    service = Service("memory://", memory_scope="refusing")
    tenant = Tenant(0, "a", "random", ENDS[0], None)
    sent = []
    with closing(service):
        for turn in range(8):
            service.refuses = turn == 4
            sent.append(service.take(tenant))
    assert [len(recalled(one)) for one in sent] == [0, 1, 2, 3, 0, 1, 2, 3]
    for k in (*range(1, 4), *range(5, 8)):
        assert sent[k][: len(sent[k - 1])] == sent[k - 1]
