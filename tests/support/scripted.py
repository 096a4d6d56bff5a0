"""A scripted performer: drives a call's generator without a network, and records each effect.

run = perform(exchange(state, PATH, no_choice), body=CALL, replies=[Scripted(200, response())])
run.steps      # ["read request", "send /v1/responses", "read reply"]
run.outcome    # WholeReply(…)
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from adapter._exchange.effects import (
    Effect,
    Exchange,
    FanOut,
    Forget,
    LearnMissingEndpoint,
    LearnRefusedReasoning,
    Outcome,
    ReadChunk,
    ReadFlag,
    ReadReply,
    ReadRequest,
    Recall,
    RecallResult,
    Remember,
    ReplyHead,
    Send,
    SetCancelPath,
    Wait,
)
from adapter._exchange.reasoning import NOTHING_RECALLED
from adapter._exchange.record import Route
from adapter._exchange.request_body import RequestBody
from adapter._runtime.fan_out_results import ends_call
from adapter._runtime.run import drive
from adapter._settings.fields import CallSettings
from adapter.translation import Policy

TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": {}}}]


def route(**changes: Any) -> Route:
    """Make a route to the Responses API; settings of a call are among the changes."""
    settings = {
        name: changes.pop(name)
        for name in list(changes)
        if name in CallSettings.model_fields and name != "backend"
    }
    given: dict[str, Any] = {
        "backend": "responses",
        "reason": "settings",
        "settings": CallSettings(**settings),
        "policy": Policy(),
        "settings_hash": "h",
    }
    return Route(**given | changes)


def no_choice(body: RequestBody) -> Generator[Effect, Any, Route]:
    """Fail: the route of the call is known."""
    raise AssertionError("no route is scripted")
    yield


@dataclass(frozen=True, slots=True)
class Scripted:
    """One reply of the server: JSON, bytes, or the pieces of a stream.

    An exception among the pieces is raised.
    """

    status: int = 200
    body: Any = None
    content_type: str = "application/json"
    pieces: tuple[Any, ...] = ()

    @classmethod
    def stream(cls, *pieces: Any, content_type: str = "text/event-stream") -> Scripted:
        """Make a stream of these pieces."""
        return cls(200, None, content_type, tuple(pieces))

    def raw(self) -> bytes:
        """Return the whole body."""
        if isinstance(self.body, bytes):
            return self.body
        return b"".join(self.pieces) if self.pieces else json.dumps(self.body).encode()


@dataclass(slots=True)
class Run:
    """What a driven generator requested, and what it returned."""

    steps: list[str] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    sent: list[Any] = field(default_factory=list)
    """The JSON of each request that was changed; None for one that was sent unchanged."""
    outcome: Outcome | None = None
    error: BaseException | None = None


class Performer:
    """Perform effects by a script; an effect that the script lacks fails the test."""

    def __init__(
        self,
        *,
        body: Any = None,
        replies: Iterable[Scripted | Exception] = (),
        flag: Any = None,
        recall: RecallResult | Exception = NOTHING_RECALLED,
        failing: Mapping[type, Exception] | None = None,
        time_left: Iterable[bool] = (),
    ) -> None:
        self.run = Run()
        self._body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._replies = iter(replies)
        self._flag, self._recall = flag, recall
        self._failing = failing or {}
        self._time_left = iter(time_left)
        self._reply: Scripted | None = None
        self._pieces: Iterator[Any] = iter(())

    def perform(self, effect: Effect) -> Any:
        """Record an effect and return its scripted result."""
        self.run.effects.append(effect)
        self.run.steps.append(step_of(effect))
        for kind, error in self._failing.items():
            if isinstance(effect, kind):
                raise error
        match effect:
            case ReadFlag():
                return self._flag
            case ReadRequest():
                return self._body
            case Send():
                return self._send(effect)
            case ReadReply():
                assert self._reply is not None
                return self._reply.raw()
            case ReadChunk():
                piece = next(self._pieces, None)
                if isinstance(piece, Exception):
                    raise piece
                return piece
            case Recall():
                if isinstance(self._recall, Exception):
                    raise self._recall
                return self._recall
            case Wait():
                return next(self._time_left, True)
            case FanOut(branches):
                return self._fan_out(branches)
        return None

    def _fan_out(self, branches: tuple[Exchange, ...]) -> tuple[Outcome, ...]:
        """Run the branches in order; the first one that ends the call is the result."""
        outcomes: list[Outcome] = []
        for branch in branches:
            outcomes.append(drive(branch, self.perform))
            if ends_call(outcomes[-1]):
                return (outcomes[-1],)
        return tuple(outcomes)

    def _send(self, effect: Send) -> ReplyHead:
        self.run.sent.append(None if effect.body is None else json.loads(effect.body))
        reply = next(self._replies, None)
        assert reply is not None, f"no reply is scripted for {step_of(effect)}"
        if isinstance(reply, Exception):
            raise reply
        self._reply, self._pieces = reply, iter(reply.pieces)
        return ReplyHead(reply.status, reply.content_type)


def perform(generator: Exchange, **script: Any) -> Run:
    """Drive a generator by a script; an exception that it raises is in `error`."""
    performer = Performer(**script)
    try:
        performer.run.outcome = drive(generator, performer.perform)
    except Exception as error:  # noqa: BLE001  # what the tests look at
        performer.run.error = error
    return performer.run


def step_of(effect: Effect) -> str:
    """Name an effect in a word or two."""
    match effect:
        case Send(path=path, method=method):
            where = "as it came" if path is None else path.decode()
            return f"send {where}" if method is None else f"{method} {where}"
        case LearnMissingEndpoint(model=model):
            return "learn missing" if model is None else f"learn missing {model}"
        case LearnRefusedReasoning(refused=refused):
            return f"learn refused {refused}"
        case SetCancelPath(path=path):
            return f"cancel at {None if path is None else path.decode()}"
        case FanOut(branches=branches):
            return f"fan out {len(branches)}"
        case Recall(names=names):
            return f"recall {len(names)}"
        case Wait(seconds=seconds):
            return f"wait {seconds:g}"
    return _PLAIN[type(effect)]


_PLAIN: dict[type, str] = {
    Forget: "forget",
    ReadChunk: "read chunk",
    ReadFlag: "read flag",
    ReadReply: "read reply",
    ReadRequest: "read request",
    Remember: "remember",
}
