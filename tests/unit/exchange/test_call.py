"""The generator of one call, alone: which steps it asks for, in which order, and what it returns.

No client, no HTTP library and no event loop: a scripted performer answers each effect
(`tests/support/scripted.py`). What a body or an event becomes is tested in `unit/translation`; that
every way in performs the effects alike in `contract`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

import pytest

from adapter._exchange.call import exchange, follow_redirect, stored_completion
from adapter._exchange.effects import (
    Effect,
    FlagQuery,
    Forget,
    LearnMissingEndpoint,
    LearnRefusedReasoning,
    Outcome,
    PassThrough,
    ReadFlag,
    ReadReply,
    ReadRequest,
    Recall,
    RecallResult,
    Remember,
    Send,
    StreamReply,
    WholeReply,
)
from adapter._exchange.endpoints import stored_endpoint
from adapter._exchange.record import CallState, Hold, Route
from adapter._exchange.request_body import RequestBody
from adapter.translation import Loss, Policy, Translation, chat_to_responses
from tests.support.answers import (
    CALL,
    MESSAGES,
    call_item,
    completion,
    delta,
    ending,
    opening,
    response,
    short_events,
)
from tests.support.scripted import TOOLS, Run, Scripted, no_choice, perform, route

PATH = b"/v1/chat/completions"
NAMED_CALL = "call_Ab3dEf6hIj9kLm2nOp5qRs8t"
"""An id that can't be guessed, so that reasoning is kept under it."""

REASONING = {"type": "reasoning", "id": "rs_1", "encrypted_content": "E1", "summary": []}
TOOL_TURN = response(REASONING, call_item() | {"call_id": NAMED_CALL})
HISTORY = CALL | {
    "messages": [
        *MESSAGES,
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": NAMED_CALL,
                    "type": "function",
                    "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": NAMED_CALL, "content": "12"},
    ]
}
ALWAYS = Policy(carry_reasoning="always")
TWO = Policy(emulate=frozenset({"n"}))


Choice = Generator[Effect, Any, Route]


def choosing(chosen: Route) -> Callable[[RequestBody], Choice]:
    """Return what chooses this route, without reading anything."""

    def choose_gen(body: RequestBody) -> Choice:
        return chosen
        yield

    return choose_gen


def run(
    body: Any = CALL, *replies: Any, chosen: Route | None = None, path: bytes = PATH, **script: Any
) -> tuple[Run, CallState]:
    """Drive a chat call whose route is known."""
    state = CallState(chosen or route())
    return perform(exchange(state, path, no_choice), body=body, replies=replies, **script), state


def error(message: str = "no", **fields: Any) -> dict[str, Any]:
    """Make an error body of the API."""
    return {"error": {"message": message, "type": "invalid_request_error", **fields}}


OK = Scripted(200, response())
CHAT_OK = Scripted(200, completion())
NOT_FOUND = Scripted(404, error("Unknown request URL: POST /v1/responses", code="unknown_url"))
REFUSES_INCLUDE = Scripted(
    400, error("Encrypted content is not supported with this model.", param="include")
)
BAD = Scripted(400, error("bad", param="input[0]", code="invalid_value"))
SENT, AS_IT_CAME = "send /v1/responses", "send as it came"


class Case(NamedTuple):
    """A call, what the server answers, and what the generator is expected to do about it."""

    id: str
    steps: list[str]
    outcome: type[Outcome]
    backend: str
    reason: str
    body: Any = CALL
    replies: tuple[Any, ...] = (OK,)
    chosen: Route = route()
    status: int | None = 200
    losses: tuple[str, ...] = ()


TABLE = [
    # Where the call goes
    Case("off", [AS_IT_CAME], PassThrough, "chat", "settings", replies=(CHAT_OK,),
         chosen=route(backend="chat"), status=None),
    Case("a whole reply", ["read request", SENT, "read reply"], WholeReply, "responses",
         "settings"),
    Case("a stream", ["read request", SENT, "read chunk"], StreamReply, "responses", "settings",
         body=CALL | {"stream": True}, replies=(Scripted.stream(*short_events()),), status=None),
    Case("a stream that wasn't asked for", ["read request", SENT, "read reply"], WholeReply,
         "responses", "settings", replies=(Scripted.stream(*short_events()),)),
    Case("a whole reply where a stream was asked for",
         ["read request", SENT, "read reply"], WholeReply, "responses", "settings",
         body=CALL | {"stream": True}),
    # What holds it on Chat
    Case("held by a parameter", ["read request", AS_IT_CAME], PassThrough, "chat",
         "unsupported", body=CALL | {"seed": 1}, replies=(CHAT_OK,), status=None,
         losses=("seed: held",)),
    Case("held by the route", ["read request", AS_IT_CAME], PassThrough, "chat", "signed",
         replies=(CHAT_OK,), chosen=route(hold=Hold("signed", Loss("$", "held", "why"))),
         status=None, losses=("$: held",)),
    Case("not JSON", ["read request", AS_IT_CAME], PassThrough, "chat", "not-json",
         body=b"{", replies=(CHAT_OK,), status=None, losses=("$: held",)),
    Case("refused by the policy", ["read request"], WholeReply, "responses", "refused",
         body=CALL | {"seed": 1}, replies=(), chosen=route(policy=Policy(unsupported="error")),
         status=400, losses=("seed: held",)),
    Case("a Responses-only model has nowhere to stay", ["read request"], WholeReply,
         "responses", "refused",
         body=CALL | {"model": "gpt-5.4", "reasoning_effort": "high", "tools": TOOLS, "seed": 1},
         replies=(), status=400, losses=("seed: held",)),
    Case("dropped by the policy", ["read request", SENT, "read reply"], WholeReply,
         "responses", "settings", body=CALL | {"seed": 1},
         chosen=route(policy=Policy(unsupported="drop")), losses=("seed: dropped",)),
    # Fallback
    Case("the endpoint is missing",
         ["read request", SENT, "read reply", "learn missing", AS_IT_CAME], PassThrough,
         "chat", "missing", replies=(NOT_FOUND, CHAT_OK), status=None, losses=("$: held",)),
    Case("the endpoint is missing, and no fallback", ["read request", SENT, "read reply"],
         WholeReply, "responses", "settings", replies=(NOT_FOUND,),
         chosen=route(fallback=()), status=404),
    Case("the endpoint is missing for a Responses-only model",
         ["read request", SENT, "read reply"], WholeReply, "responses", "settings",
         body=CALL | {"model": "gpt-5.4", "reasoning_effort": "high", "tools": TOOLS},
         replies=(NOT_FOUND,), status=404),
    Case("a gateway's page", ["read request", SENT, "read reply", AS_IT_CAME], PassThrough,
         "chat", "blocked", replies=(Scripted(403, b"<html>no</html>", "text/html"), CHAT_OK),
         status=None, losses=("$: held",)),
    Case("a redirect to a login", ["read request", SENT, AS_IT_CAME], PassThrough, "chat",
         "blocked", replies=(Scripted(302, b"", "text/html"), CHAT_OK), status=None,
         losses=("$: held",)),
    Case("a redirect that the client follows", ["read request", SENT], PassThrough, "responses",
         "settings", replies=(Scripted(307, b""),), status=None),
    Case("rejected, and Chat takes it",
         ["read request", SENT, "read reply", AS_IT_CAME], PassThrough, "chat", "rejected",
         replies=(BAD, CHAT_OK), chosen=route(fallback=("rejected",)), status=None,
         losses=("$: held",)),
    Case("rejected, without that fallback", ["read request", SENT, "read reply"],
         WholeReply, "responses", "settings", replies=(BAD,), status=400),
    Case("an error of the server is the caller's", ["read request", SENT, "read reply"],
         WholeReply, "responses", "settings", replies=(Scripted(500, error("down")),), status=500),
    # Replies that aren't what they seem
    Case("failed inside a 200", ["read request", SENT, "read reply"], WholeReply,
         "responses", "settings",
         replies=(Scripted(200, response(
             status="failed", error={"code": "server_error", "message": "m"})),), status=500),
    Case("not JSON inside a 200", ["read request", SENT, "read reply"], WholeReply,
         "responses", "settings", replies=(Scripted(200, b"<html>"),), status=502),
    Case("a stream that fails at once", ["read request", SENT, "read chunk"],
         WholeReply, "responses", "settings", body=CALL | {"stream": True},
         replies=(Scripted.stream(opening()[0] + ending(
             "", kind="response.failed", status="failed", output=[],
             error={"code": "rate_limit_exceeded", "message": "slow down"})),), status=429),
    # Reasoning
    Case("reasoning is remembered",
         ["read request", "recall 0", SENT, "read reply", "remember"], WholeReply,
         "responses", "settings", replies=(Scripted(200, TOOL_TURN),), chosen=route(policy=ALWAYS)),
    Case("a history is recalled", ["read request", "recall 1", SENT, "read reply"],
         WholeReply, "responses", "settings", body=HISTORY, chosen=route(policy=ALWAYS)),
    Case("nothing is recalled where nothing is carried",
         ["read request", SENT, "read reply"], WholeReply, "responses", "settings",
         body=HISTORY, chosen=route(policy=Policy(carry_reasoning="never"))),
    Case("encrypted reasoning is refused",
         ["read request", "recall 0", SENT, "read reply", SENT, "read reply",
          "learn refused encrypted"], WholeReply, "responses", "settings",
         replies=(REFUSES_INCLUDE, OK), chosen=route(policy=ALWAYS), losses=("$: dropped",)),
    # Several answers
    Case("two answers",
         ["read request", "fan out 2", *[SENT, "read reply"] * 2], WholeReply,
         "responses", "settings", body=CALL | {"n": 2}, replies=(OK, OK), chosen=route(policy=TWO),
         losses=("n: changed",)),
    # Runs in the background
    Case("a run in the background",
         ["read request", SENT, "read reply", "cancel at /v1/responses/resp_1/cancel", "wait 1",
          "GET /v1/responses/resp_1", "read reply", "wait 1.5", "GET /v1/responses/resp_1",
          "read reply", "cancel at None"], WholeReply, "responses", "settings",
         body=CALL | {"background": True, "store": True},
         replies=(Scripted(200, response(status="queued")),
                  Scripted(200, response(status="in_progress")), OK),
         losses=("store: changed",)),
]  # fmt: skip


@pytest.mark.parametrize("case", TABLE, ids=[case.id for case in TABLE])
def test_the_steps_of_a_call(case: Case) -> None:
    made, state = run(case.body, *case.replies, chosen=case.chosen)
    assert made.error is None, made.error
    assert made.steps == case.steps
    assert type(made.outcome) is case.outcome
    assert (state.backend, state.reason) == (case.backend, case.reason)
    assert tuple(f"{one.path}: {one.action}" for one in state.request_losses) == case.losses
    assert getattr(made.outcome, "status", None) == case.status
    decided = state.decision()
    assert decided is not None
    assert (decided.backend, decided.asked) == (case.backend, case.chosen.backend)


@pytest.mark.parametrize("case", TABLE, ids=[case.id for case in TABLE])
def test_what_goes_to_chat_is_untouched(case: Case) -> None:
    made, _ = run(case.body, *case.replies, chosen=case.chosen)
    for step, sent in zip([one for one in made.steps if one.startswith("send")],
                          [one for one, effect in zip(made.sent, sends(made), strict=True)
                           if effect.method is None], strict=True):  # fmt: skip
        assert (sent is None) == (step == AS_IT_CAME)
        if sent is not None:
            assert "messages" not in sent
            assert sent["store"] is bool(isinstance(case.body, dict) and case.body.get("store"))


def sends(made: Run) -> list[Send]:
    """Return the requests that were sent."""
    return [one for one in made.effects if isinstance(one, Send)]


# The route


def test_the_route_is_asked_for_first() -> None:
    state = CallState()
    chosen = route(backend="chat", reason="rule")
    made = perform(exchange(state, PATH, choosing(chosen)), replies=[CHAT_OK])
    assert made.steps == [AS_IT_CAME]
    assert state.route is chosen
    assert (state.backend, state.reason) == ("chat", "rule")


def test_a_rule_that_needs_the_body_gets_it_once() -> None:
    read: list[Any] = []

    def choose_gen(body: RequestBody) -> Choice:
        read.append((yield from body.read_gen()))
        return route()

    made = perform(exchange(CallState(), PATH, choose_gen), body=CALL, replies=[OK])
    assert made.steps == ["read request", SENT, "read reply"]
    assert read == [CALL]


@pytest.mark.parametrize("answer", ["chat", None], ids=["an answer", "no answer"])
def test_a_flag_is_asked_before_the_choice(answer: str | None) -> None:
    def choose_gen(body: RequestBody) -> Choice:
        flag = yield ReadFlag(FlagQuery("who", {"stream": False}))
        return route(backend=flag or "responses")

    made = perform(exchange(CallState(), PATH, choose_gen), body=CALL, replies=[OK], flag=answer)
    assert made.steps[:2] == ["read flag", AS_IT_CAME if answer else "read request"]


# Retries without what was put in


def recalled_for(history: Any) -> RecallResult:
    """Return what the memory has of a history: the turn that an earlier call remembered."""
    first, _ = run(CALL, Scripted(200, TOOL_TURN), chosen=route(policy=ALWAYS))
    (remembered,) = [one for one in first.effects if isinstance(one, Remember)]
    second, _ = run(history, OK, chosen=route(policy=ALWAYS))
    (recall,) = [one for one in second.effects if isinstance(one, Recall)]
    assert recall.names == (remembered.entry.name,)
    return RecallResult({remembered.entry.name: remembered.entry.turn})


def kinds(body: dict[str, Any]) -> list[str]:
    """Return the types of a body's input items; a message's role."""
    return [item.get("type") or item["role"] for item in body["input"]]


def test_a_remembered_turn_is_put_before_its_call() -> None:
    made, _ = run(HISTORY, OK, chosen=route(policy=ALWAYS), recall=recalled_for(HISTORY))
    (sent,) = made.sent
    items = ["user", "reasoning", "function_call", "function_call_output"]
    assert kinds(sent) == items
    assert sent["input"][1] == {"type": "reasoning", "encrypted_content": "E1", "summary": []}


def test_refused_reasoning_is_sent_with_ids_and_then_left_out() -> None:
    refuses = Scripted(400, error("no", code="invalid_encrypted_content", param="input[1]"))
    made, state = run(
        HISTORY,
        refuses,
        refuses,
        OK,
        chosen=route(policy=ALWAYS),
        recall=recalled_for(HISTORY),
    )
    assert [kinds(sent).count("reasoning") for sent in made.sent] == [1, 1, 0]
    assert made.sent[1]["input"][1]["id"] == "rs_1"
    learned = [one for one in made.effects if isinstance(one, (LearnRefusedReasoning, Forget))]
    assert [type(one) for one in learned] == [LearnRefusedReasoning, Forget]
    assert [loss.path for loss in state.request_losses] == ["messages[1]"]
    assert isinstance(made.outcome, WholeReply)
    assert made.outcome.status == 200


def test_an_error_about_the_callers_own_words_is_not_retried() -> None:
    made, _ = run(HISTORY, BAD, chosen=route(policy=ALWAYS), recall=recalled_for(HISTORY))
    assert len(made.sent) == 1
    assert isinstance(made.outcome, WholeReply)
    assert made.outcome.status == 400


@pytest.mark.parametrize("on_bug", ["chat", "raise"])
@pytest.mark.parametrize("kind", [Recall, Remember], ids=["recall", "remember"])
def test_a_memory_that_fails_costs_continuity_alone(kind: type, on_bug: str) -> None:
    made, _ = run(
        HISTORY if kind is Recall else CALL,
        Scripted(200, TOOL_TURN),
        chosen=route(policy=ALWAYS, on_internal_error=on_bug),
        failing={kind: OSError("store")},
    )
    if on_bug == "raise":
        assert isinstance(made.error, OSError)
    else:
        assert isinstance(made.outcome, WholeReply)
        assert made.outcome.status == 200


# Errors of effects


@pytest.mark.parametrize("kind", [Send, ReadReply, ReadRequest], ids=["send", "reply", "request"])
def test_what_the_network_raises_is_the_callers(kind: type) -> None:
    broken = ConnectionError("reset")
    made, state = run(CALL, OK, failing={kind: broken})
    assert made.error is broken
    assert state.route is not None


def test_a_read_error_of_a_stream_belongs_to_its_reader() -> None:
    broken = ConnectionError("reset")
    made, _ = run(CALL | {"stream": True}, Scripted.stream(broken))
    assert isinstance(made.outcome, StreamReply)
    assert made.outcome.error is broken
    assert made.outcome.first_frames == []


@pytest.mark.parametrize("cut", range(len(short_events()) + 1))
def test_the_beginning_of_a_stream_never_waits_for_more_than_its_first_event(cut: int) -> None:
    pieces = short_events()[:cut]
    made, _ = run(CALL | {"stream": True}, Scripted.stream(*pieces))
    assert made.steps.count("read chunk") == 1
    assert isinstance(made.outcome, StreamReply)


def test_what_a_late_failure_leaves_is_the_streams() -> None:
    events = [*opening(), delta("Hello"), ending("Hello", kind="response.failed", status="failed",
              error={"code": "server_error", "message": "m"})]  # fmt: skip
    made, _ = run(CALL | {"stream": True}, Scripted.stream(*events))
    assert isinstance(made.outcome, StreamReply)


# Several answers


def test_the_first_answer_that_fails_is_the_calls() -> None:
    made, _ = run(CALL | {"n": 2}, Scripted(500, error("down")), OK, chosen=route(policy=TWO))
    assert isinstance(made.outcome, WholeReply)
    assert made.outcome.status == 500
    assert len(made.sent) == 1


def test_two_answers_are_two_choices() -> None:
    made, state = run(CALL | {"n": 2}, OK, OK, chosen=route(policy=TWO))
    assert isinstance(made.outcome, WholeReply)
    choices = json.loads(made.outcome.body)["choices"]
    assert [one["index"] for one in choices] == [0, 1]
    assert state.usage()["completion_tokens"] == 6


# What is learned of a server


@pytest.mark.parametrize(
    ("reply", "model"),
    [
        (NOT_FOUND, None),
        (Scripted(404, error("The model `gpt-4o` does not exist", code="model_not_found")), "none"),
        (Scripted(400, error("unsupported_api_for_model", code="unsupported_api_for_model")),
         "gpt-4o"),
    ],
    ids=["no such URL", "no such model", "this model isn't served there"],
)  # fmt: skip
def test_a_missing_endpoint_is_learned_for_all_or_for_one_model(
    reply: Scripted, model: str | None
) -> None:
    made, _ = run(CALL, reply, CHAT_OK)
    learned = [one for one in made.effects if isinstance(one, LearnMissingEndpoint)]
    assert learned == ([] if model == "none" else [LearnMissingEndpoint(model)])


# Redirects and stored completions


def translated() -> Translation:
    """Return the translation of the plain call, as the state keeps it."""
    return chat_to_responses(CALL)


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (OK, WholeReply),
        (Scripted(200, b"<html>login</html>", "text/html"), PassThrough),
        (Scripted(302, b""), PassThrough),
    ],
    ids=["a Response", "a page", "another redirect"],
)
def test_a_followed_redirect(reply: Scripted, outcome: type) -> None:
    state = CallState(route(), "responses", "settings", translation=translated())
    made = perform(follow_redirect(state), replies=[reply])
    assert type(made.outcome) is outcome
    assert sends(made) == [Send()]


@pytest.mark.parametrize(
    ("method", "suffix", "reply", "status", "steps"),
    [
        ("GET", b"", response(), 200, 1),
        ("DELETE", b"", {"id": "resp_1", "object": "response", "deleted": True}, 200, 1),
        ("GET", b"", b"<html>", 502, 1),
    ],
    ids=["retrieve", "delete", "not JSON"],
)
def test_a_stored_completion(
    method: str, suffix: bytes, reply: Any, status: int, steps: int
) -> None:
    request = stored_endpoint(method, PATH + b"/chatcmpl-resp_1" + suffix)
    assert request is not None
    made = perform(stored_completion(request), replies=[Scripted(200, reply)])
    assert isinstance(made.outcome, WholeReply)
    assert made.outcome.status == status
    assert len(made.sent) == steps
    assert made.steps[0] == "send /v1/responses/resp_1"


def test_a_call_is_the_same_twice() -> None:
    first, second = (
        run(HISTORY, OK, chosen=route(policy=ALWAYS)),
        run(HISTORY, OK, chosen=route(policy=ALWAYS)),
    )
    assert first[0].steps == second[0].steps
    assert first[0].sent == second[0].sent


def test_the_model_of_a_rule_takes_the_callers_place() -> None:
    made, state = run(CALL, OK, chosen=route(model="gpt-4.1"))
    assert made.sent[0]["model"] == "gpt-4.1"
    assert [loss.path for loss in state.request_losses] == ["model"]
