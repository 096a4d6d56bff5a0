"""Reasoning that a server refuses: retried once with its items' ids, then left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.tool_loop import Api, Item, Talk, call, message_item, reasoning
from tests.support.ways_in import Reply, Sent, WayIn, each_way_in

each_form = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])

# Errors by which servers refuse reasoning.
BOUND = (
    "The encrypted content for item rs_1 could not be verified. "
    "Reason: Encrypted content item_id did not match the target item id."
)
WORDS: dict[str, Item] = {
    "OpenAI": {"code": "invalid_encrypted_content", "message": BOUND},
    "Azure": {"code": "invalid_request_body", "message": BOUND},
    "a param": {"code": "missing_required_parameter", "message": "Missing required parameter.",
        "param": "input[1].id"},
    "a path in the message": {"code": None,
        "message": "Missing required parameter: 'input[1].id'."},
    "validation": {"code": 400,
        "message": "1 validation error: input.1.reasoning.id Field required"},
    "not found": {"code": None, "message": "Item with id 'rs_1' not found.", "param": "input"},
    "unpaired": {"code": None,
        "message": "Item 'rs_1' of type 'reasoning' was provided without "
        "its required following item.",
                 "param": "input"},
}  # fmt: skip


def http(error: Item) -> Reply:
    return Reply.of_json({"error": {"type": "invalid_request_error", "param": None, **error}}, 400)


def failed(error: Item) -> Reply:
    return Reply.of_json(
        {"object": "response", "id": "resp_x", "status": "failed", "output": [], "error": error}
    )


def frame(event: Item) -> bytes:
    return b"data: " + json.dumps(event).encode() + b"\n\n"


_CREATED = frame(
    {"type": "response.created", "response": {"object": "response", "id": "resp_x", "output": []}}
)


def flat(error: Item) -> Reply:
    return Reply.of_sse([_CREATED + frame({"type": "error", **error})])


def nested(error: Item) -> Reply:
    return Reply.of_sse([frame({"type": "error", "error": error})])


def detail_later(error: Item) -> Reply:
    """Return a failure whose detail comes in the next event."""
    vague = frame(
        {
            "type": "response.failed",
            "response": {"object": "response", "status": "failed", "error": None},
        }
    )
    return Reply.of_sse([_CREATED + vague, frame({"type": "error", "error": error})])


WAYS: dict[str, tuple[Callable[[Item], Reply], bool]] = {
    "400": (http, False),
    "400 to a stream": (http, True),
    "a failed response": (failed, False),
    "a failed response to a stream": (failed, True),
    "a flat event": (flat, True),
    "a nested event": (nested, True),
    "detail later": (detail_later, True),
}


def reasoning_items(body: Item) -> list[Item]:
    return [item for item in body["input"] if item.get("type") == "reasoning"]


class Picky:
    """An API that refuses some reasoning, and answers with reasoning and a call otherwise."""

    def __init__(self, refuses: Callable[[list[Item]], bool], refused: Callable[[], Reply]) -> None:
        self._refuses, self._refused = refuses, refused
        self._answers = Api(
            *[[reasoning(k), call(k)] for k in range(1, 9)], [message_item("Done.", None)]
        )
        self.sent: list[Item] = []

    def __call__(self, sent: Sent) -> Reply:
        body = sent.json()
        self.sent.append(body)
        found = reasoning_items(body)
        return self._refused() if found and self._refuses(found) else self._answers(sent)

    def seen(self) -> list[list[Any]]:
        """List the ids of the reasoning items in each request; None for one without."""
        return [[item.get("id") for item in reasoning_items(body)] for body in self.sent]


def lack_ids(found: list[Item]) -> bool:
    return any("id" not in item for item in found)


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("way", ["400", "a flat event"])
@each_way_in
def test_reasoning_that_is_bound_to_its_id(way_in: WayIn, way: str, words: str) -> None:
    refused, stream = WAYS[way]
    api = Picky(lack_ids, lambda: refused(WORDS[words]))
    talk = Talk(way_in, api, stream=stream)
    talk.turns(3)
    assert api.seen() == [[], [None], ["rs_1"], ["rs_1", "rs_2"]]
    assert talk.seen is not None
    assert talk.seen.ledger == []


@pytest.mark.parametrize("way", WAYS)
@each_way_in
def test_every_way_to_refuse(way_in: WayIn, way: str) -> None:
    refused, stream = WAYS[way]
    api = Picky(lack_ids, lambda: refused(WORDS["OpenAI"]))
    Talk(way_in, api, stream=stream).turns(3)
    assert api.seen() == [[], [None], ["rs_1"], ["rs_1", "rs_2"]]


@pytest.mark.parametrize("way", WAYS)
@each_way_in
def test_carrying_stops_after_more_refusals(way_in: WayIn, way: str) -> None:
    refused, stream = WAYS[way]
    api = Picky(lambda _: True, lambda: refused(WORDS["OpenAI"]))
    talk = Talk(way_in, api, stream=stream)
    losses = [talk.turn().ledger for _ in range(5)]
    assert api.seen() == [[], [None], ["rs_1"], [], ["rs_2"], [], [], []]
    assert ["include" in body for body in api.sent] == [True] * 6 + [False] * 2
    assert losses == [
        [],
        [("messages[1]", "dropped")],
        [("messages[3]", "dropped")],
        *[[("$", "dropped")]] * 2,
    ]
    another = Picky(lambda _: True, lambda: refused(WORDS["OpenAI"]))
    Talk(way_in, another, stream=stream, model="gpt-5.1").turns(2)
    assert another.seen()[:2] == [[], [None]], "another model is asked for itself"


@each_way_in
def test_a_refusal_between_successes_stops_nothing(way_in: WayIn) -> None:
    refuse = {"gAAAA-1", "gAAAA-4"}
    api = Picky(
        lambda found: bool(refuse & {item["encrypted_content"] for item in found}),
        lambda: http(WORDS["OpenAI"]),
    )
    talk = Talk(way_in, api)
    talk.turns(7)
    assert "include" in api.sent[-1]
    assert [ids for ids in api.seen() if "rs_6" in ids], "what came after it is put back"


@pytest.mark.parametrize("way", ["400", "a failed response", "a flat event"])
@each_way_in
def test_what_is_not_about_our_items_is_the_callers(way_in: WayIn, way: str) -> None:
    refused, stream = WAYS[way]
    for error in (
        {"code": "invalid_value", "message": "Invalid value.", "param": "input[2].arguments"},
        {"code": "content_policy_violation", "message": "No."},
        {
            "code": "invalid_value",
            "message": "Tool 'encrypted_content' is unknown.",
            "param": "tools[0].name",
        },
    ):
        api = Picky(lambda _: True, lambda error=error: refused(error))  # type: ignore[misc]
        talk = Talk(way_in, api, stream=stream)
        talk.turn()
        ask = way_in.stream if stream else way_in.create
        seen = ask({**talk.body, "messages": talk.history}, api)
        assert getattr(seen.error, "code", None) == error["code"]
        assert len(api.sent) == 2


@each_way_in
def test_nothing_is_sent_again_after_text(way_in: WayIn) -> None:
    text = frame(
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Hm"}
    )
    event = frame({"type": "error", **WORDS["OpenAI"]})
    api = Picky(lambda _: True, lambda: Reply.of_sse([_CREATED + text + event]))
    talk = Talk(way_in, api, stream=True)
    talk.turn()
    seen = way_in.stream({**talk.body, "messages": talk.history}, api)
    assert getattr(seen.error, "code", None) == "invalid_encrypted_content"
    assert len(api.sent) == 2


@each_way_in
def test_a_model_without_encrypted_reasoning_that_says_so_in_a_200(way_in: WayIn) -> None:
    error = {
        "code": None,
        "message": "Encrypted content is not supported with this model.",
        "param": "include",
    }
    for refused, stream in WAYS.values():
        api = Api(*[[message_item("Hi.", None)]] * 2)
        sent: list[bool] = []

        def answer(
            request: Sent, refused: Any = refused, api: Api = api, sent: list[bool] = sent
        ) -> Reply:
            asks = "include" in request.json()
            sent.append(asks)
            reply: Reply = refused(error) if asks else api(request)
            return reply

        model = f"o9-{refused.__name__}-{stream}"
        body = {"model": model, "messages": [{"role": "user", "content": "Hi."}]}
        for _ in range(2):
            (way_in.stream if stream else way_in.create)(
                body, answer, carry_reasoning="always"
            ).reraise()
        assert sent == [True, False, False]
