"""Many tenants of one service behind one key, whose conversations end alike.

The API answers each of them with reasoning of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import openai

import adapter
from adapter import Settings
from tests.support.answers import response
from tests.support.http import http
from tests.support.tool_loop import Item, answered, call, events, random_id, reasoning

WIRE = 3
"""A transport without the SDK, most of a call's cost; 0 to 2 are the ways in."""

# Call ids, by their ingredients: the pair's number, the tenant, the turn, and the index of the
# call.
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
    {
        "type": "function",
        "function": {"name": name, "parameters": {"type": "object", "properties": {}}},
    }
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
        """Begin with a message of its own."""
        self.history = [
            {"role": "system", "content": f"You serve {self.who}."},
            {"role": "user", "content": f"I am {self.canary}, and this is my secret order."},
            {"role": "assistant", "content": f"Hello, {self.canary}."},
            {"role": "user", "content": self.end[0]},
        ]

    @property
    def canary(self) -> str:
        """Return a text that no other tenant may ever see."""
        return f"canary-{self.pair}-{self.who}"

    def reply(self) -> list[Item]:
        """Return the model's answer of this turn."""
        make = {**GUESSABLE, **RANDOM}[self.kind]
        summary = [{"type": "summary_text", "text": f"{self.canary} thinks in turn {self.turn}"}]
        items = [
            reasoning(
                f"{self.turn}",
                summary=summary,
                encrypted_content=f"gAAAA-{self.canary}-{self.turn}",
            )
        ]
        for k, (name, arguments) in enumerate(self.end[1][:1] if self.legacy else self.end[1]):
            made = make(self.pair, self.who, self.turn, k)
            one = call(k, arguments, call_id="x", name=name) | {"call_id": made, "id": f"fc_{k}"}
            items.append({key: value for key, value in one.items() if key != "call_id" or made})
        return items

    def expected(self) -> list[str]:
        """List whose reasoning belongs in the next request."""
        if self.conversation is None and (self.legacy or self.kind in GUESSABLE):
            return []
        return [f"gAAAA-{self.canary}-{turn}" for turn in range(self.turn)]


class Service:
    """A service with one key for all of its tenants, and the API behind it.

    It keeps the bytes that it sends.
    """

    def __init__(self, memory: Any, **more: Any) -> None:
        self.tenant: Tenant | None = None
        self.refuses = False  # reasoning in the requests
        self.sent: list[bytes] = []
        self.settings = Settings(
            backend="responses", on_bug="raise", memory=memory, memory_timeout=10, **more
        )
        key: dict[str, Any] = {
            "api_key": "one-for-all",
            "base_url": "https://api.test/v1",
            "max_retries": 0,
        }
        self._clients = [
            adapter.OpenAI(**key, http_client=self._http(), settings=self.settings),
            adapter.install(openai.OpenAI(**key, http_client=self._http()), self.settings),
            openai.OpenAI(**key, http_client=http.Client(transport=adapter.Transport(self._api(), settings=self.settings))),
        ]  # fmt: skip

        way_in = adapter.Transport(self._api(), settings=self.settings)
        self._wire = http.Client(transport=way_in, headers={"Authorization": "Bearer one-for-all"})

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
        if self.refuses and b'"encrypted_content"' in request.content:
            error = {
                "message": "No.",
                "type": "invalid_request_error",
                "param": None,
                "code": "invalid_encrypted_content",
            }
            return http.Response(400, json={"error": error})
        if json.loads(request.content).get("stream"):
            body = b"".join(events(output, model="gpt-5"))
            return http.Response(200, content=body, headers={"content-type": "text/event-stream"})
        return http.Response(200, json=response(*output, model="gpt-5"))

    def ask(
        self,
        tenant: Tenant,
        *,
        way: int = WIRE,
        stream: bool = False,
        history: list[Item] | None = None,
    ) -> Any:
        """Request a tenant's next turn; return the items that were sent for it."""
        self.tenant = tenant
        tools: Any = {"functions": FUNCTIONS} if tenant.legacy else {"tools": TOOLS}
        body = {
            "model": "gpt-5", "messages": tenant.history if history is None else history, "stream": stream, **tools
        }  # fmt: skip
        with adapter.use(conversation=tenant.conversation):
            if way == WIRE:
                self._wire.post(
                    "https://api.test/v1/chat/completions", json=body
                ).raise_for_status()
            else:
                made = self._clients[way].chat.completions.create(**body)
                if stream:
                    for _ in made:
                        pass
        return json.loads(self.sent[-1])["input"]

    def take(self, tenant: Tenant, *, way: int = WIRE, stream: bool = False) -> Any:
        """Take a tenant's next turn: call the service, and answer the tool calls.

        Returns the items that were sent.
        """
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
    """List whose reasoning is in a request."""
    return [item["encrypted_content"] for item in items if item.get("type") == "reasoning"]
