"""Replies that send a call to Chat Completions (docs/decisions.md#fallback).

Which ones, how often, and what the caller sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import openai
import pytest

import adapter
from adapter._exchange.effects import ReplyHead
from adapter._exchange.fallback import (
    chat_path_of,
    classify,
    lacks_model,
    loss_of_retry,
    needs_body,
)
from adapter._runtime import missing_endpoints
from adapter._util import expiring_set
from tests.support.answers import (
    CALL,
    CHAT,
    RESPONSES,
    Sdk,
    chat_events,
    completion,
    error,
    impatient,
    opening,
    paths,
    response,
    sdk,
    text_of,
)
from tests.support.http import CONNECTION_ERRORS, http
from tests.support.loopback import Loopback
from tests.support.loopback import Reply as Answer
from tests.support.loopback import Request as Asked
from tests.support.ways_in import WAYS_IN, Reply, Seen, Sent, Upstream, WayIn, each_way_in

__all__ = ["impatient", "sdk"]

each_way = pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
TOOL = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object", "properties": {}}},
}
RESPONSES_ONLY = {
    "name": {**CALL, "model": "gpt-5-pro"},
    "tools": {**CALL, "model": "gpt-5.6", "tools": [TOOL]},
}


def api(status: int, code: object = None, message: str = "Upstream says no.", **more: Any) -> Reply:
    """Return a reply in the shape of the API's errors."""
    return Reply.of_json(
        {"error": {"message": message, "type": "some_type", "param": None, "code": code, **more}},
        status,
    )


def page(
    status: int,
    text: str = "<!DOCTYPE html><html>log in</html>",
    kind: str = "text/html; charset=utf-8",
) -> Reply:
    """Return a reply with an HTML page."""
    return Reply(status, (text.encode(),) if text else (), kind)


def over(first: Reply, chat: Reply | None = None) -> Upstream:
    """Answer `/responses` with `first`, and Chat with `chat` or an answer, whole or streamed."""

    def answer(sent: Sent) -> Reply:
        if sent.path.endswith("/responses"):
            return first
        if chat is not None:
            return chat
        return (
            Reply.of_sse(chat_events())
            if sent.json().get("stream")
            else Reply.of_json(completion())
        )

    return answer


def run(
    way_in: WayIn, streaming: bool, upstream: Upstream, body: Any = CALL, **settings: Any
) -> Seen:
    """Make one call and read the whole reply."""
    return (way_in.stream if streaming else way_in.create)(body, upstream, **settings)


def answer_text(seen: Seen) -> str:
    """Return the text of the answer; raise the call's error."""
    seen.reraise()
    return text_of(seen.chunks or seen.value)


def decision_of(seen: Seen) -> tuple[str, str, str]:
    """Return the decision: the backend, the backend that the settings chose, the reason."""
    assert seen.decision is not None
    return seen.decision.backend, seen.decision.asked, seen.decision.reason


MISSING = {
    "OpenAI": api(404, None, "Invalid URL (POST /v1/responses)", type="invalid_request_error"),
    "OpenAI, with a code": api(
        404, "unknown_url", "Unknown request URL: POST /v1/responses. Please check the URL."
    ),
    "Azure": Reply.of_json({"error": {"code": "404", "message": "Resource not found"}}, 404),
    "FastAPI": Reply.of_json({"detail": "Not Found"}, 404),
    "FastAPI 405": Reply.of_json({"detail": "Method Not Allowed"}, 405),
    "vLLM": Reply.of_json(
        {"error": {"message": "Not Found", "type": "NotFoundError", "param": None, "code": 404}},
        404,
    ),
    "vLLM, older": Reply.of_json(
        {
            "object": "error",
            "message": "Not Found",
            "type": "NotFoundError",
            "param": None,
            "code": 404,
        },
        404,
    ),
    "llama.cpp": Reply.of_json(
        {"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}}, 404
    ),
    "Express": page(
        404, "<!DOCTYPE html><html><body><pre>Cannot POST /v1/responses</pre></body></html>"
    ),
    "nginx": page(
        404,
        "<html><head><title>404 Not Found</title></head><body>models by nginx</body></html>",
        "text/html",
    ),
    "nginx 405": page(405, "<html><head><title>405 Not Allowed</title></head></html>"),
    "Go": page(404, "404 page not found\n", "text/plain"),
    "Rails": Reply.of_json({"status": 404, "error": "Not Found"}, 404),
    "Spring": Reply.of_json(
        {"timestamp": 1, "status": 404, "error": "Not Found", "path": "/v1/responses"}, 404
    ),
    "Rust, nothing": Reply(404, (), ""),
    "a 405 of the API's shape": api(
        405, "method_not_allowed", "Not allowed to POST on /v1/responses"
    ),
    "no message": api(404, None, ""),
    "a list": Reply.of_json(
        [{"error": {"code": 404, "message": "Not found.", "status": "NOT_FOUND"}}], 404
    ),
    "an empty list": Reply.of_json([], 404),
    "wrong content type": page(404, "gone", "application/json"),
}

PASSED_ON = {
    "OpenAI's model": api(
        404, "model_not_found", "The model `x` does not exist or you do not have access to it."
    ),
    "a model by param": api(404, None, "No such thing", param="model"),
    "a model by code": api(404, "model_not_found", "Nothing."),
    "vLLM's model": api(404, 404, "The model `x` does not exist.", type="NotFoundError"),
    "vLLM's model, older": Reply.of_json(
        {
            "object": "error",
            "message": "The model `x` does not exist.",
            "type": "NotFoundError",
            "param": None,
            "code": 404,
        },
        404,
    ),
    "Ollama's model": api(404, None, 'model "x" not found, try pulling it first', type="api_error"),
    "Ollama's model, older": Reply.of_json({"error": "model 'x' not found"}, 404),
    "FastAPI's model": Reply.of_json({"detail": "Model x not found"}, 404),
    "FastAPI's model, in an object": Reply.of_json(
        {"detail": {"message": "no", "code": "model_not_found"}}, 404
    ),
    "Gemini's model": Reply.of_json(
        [
            {
                "error": {
                    "code": 404,
                    "message": "models/x is not found for API version v1main",
                    "status": "NOT_FOUND",
                }
            }
        ],
        404,
    ),
    "Fireworks' model": api(404, "NOT_FOUND", "Model not found, inaccessible, and/or not deployed"),
    "OpenRouter's model": Reply.of_json(
        {"error": {"message": "No endpoints found for x.", "code": 404}}, 404
    ),
    "Azure's deployment": Reply.of_json(
        {
            "error": {
                "code": "DeploymentNotFound",
                "message": "The API deployment for this resource does not exist.",
            }
        },
        404,
    ),
    "an old engine": api(404, None, "That engine does not exist"),
    "plain text": page(
        404, "The deployment could not be found.\n\nDEPLOYMENT_NOT_FOUND", "text/plain"
    ),
    "a param": api(404, None, "Not Found", param="previous_response_id"),
    "a param, 405": api(405, None, "Not allowed", param="background"),
    "an item": api(404, None, "Item with id 'rs_1' not found."),
    "a file": api(404, None, "No such File object: file-1"),
    "401": api(401, "invalid_api_key"),
    "401, Azure": Reply.of_json({"error": {"code": "401", "message": "Access denied."}}, 401),
    "403": api(403, "unsupported_country_region_territory"),
    "400": api(400, "unsupported_value", param="temperature"),
    "422": api(422),
    "400, no API's": Reply.of_json({"detail": "bad"}, 400),
    "429": api(429, "rate_limit_exceeded"),
    "408": api(408),
    "409": api(409),
    "500": api(500),
    "501": api(501),
    "429, a page": page(429),
    "408, a page": page(408),
    "500, a page": page(500),
    "502, a page": page(502),
    "503, a page": page(503),
    "504, nothing": Reply(504, (), ""),
}

BLOCKED = {
    "302": Reply(302, (), "", (("location", "https://login.test/sso"),)),
    "302, no location": Reply(302, (), ""),
    "401, a page": page(401),
    "401, nothing": Reply(401, (), ""),
    "401, a gateway's JSON": Reply.of_json(
        {"statusCode": 401, "message": "missing subscription key"}, 401
    ),
    "403, a page": page(403),
    "403, text": page(403, "Forbidden", "text/plain"),
    "403, FastAPI": Reply.of_json({"detail": "Not authenticated"}, 403),
    "403, a list": Reply.of_json(["no"], 403),
    "403, no message": Reply.of_json({"error": {"code": "AccessDenied"}}, 403),
    "400, a page": page(400),
    "413, a page": page(413),
    "200, a page": page(200),
    "200, XHTML": page(200, "<html/>", "application/xhtml+xml"),
    "200, in capitals": page(200, "<HTML>", "TEXT/HTML"),
}


# Error texts of servers for a model that they serve on Chat Completions only.
UNSERVED = {
    "OpenAI": api(
        400,
        "model_not_found",
        "The requested model 'm' is not supported with the Responses API.",
        param="model",
    ),
    "OpenAI, 404": api(
        404,
        None,
        "This model is only supported in v1/chat/completions and not in v1/responses.",
        param="model",
    ),
    "Copilot": api(
        400, "unsupported_api_for_model", 'model "m" is not accessible via the /responses endpoint'
    ),
    "Copilot, by its message": api(400, None, "model m does not support Responses API."),
    "Azure": Reply.of_json(
        {
            "error": {
                "code": "OperationNotSupported",
                "message": "The responses operation does not work with the "
                "specified model, m. Please choose different model and try again.",
            }
        },
        400,
    ),
    "Azure, by its message": Reply.of_json(
        {
            "error": {
                "code": "BadRequest",
                "message": "The responses operation does not work with the specified model, m.",
            }
        },
        400,
    ),
    "Azure Foundry": api(400, None, "The requested operation is unsupported.", type=""),
    "Azure Foundry's models": api(400, None, "This model is not supported by Responses API"),
    "Bedrock": api(
        400, "validation_error", "The model 'm' does not support the '/openai/v1/responses' API"
    ),
    "Bedrock, 404": api(404, "not_found", "The model doesn't exist or doesn't support this API"),
    "Bedrock, a route": api(400, None, "model `m` isn't supported on this route"),
    "vLLM": Reply.of_json(
        {
            "error": {
                "message": "The model does not support Responses API",
                "type": "BadRequestError",
                "param": None,
                "code": 400,
            }
        },
        400,
    ),
    "vLLM, newer": api(
        501, 501, "The model does not support Responses API", type="NotImplementedError"
    ),
    "any-llm": Reply.of_json({"detail": "Provider 'p' does not support the Responses API"}, 400),
    "a gateway": api(
        404, None, "Responses API is not supported for model m. Use /v1/chat/completions instead."
    ),
    "a gateway, text": page(400, "unsupported endpoint: /v1/responses", "text/plain"),
    "on Responses": api(400, None, "This model isn't served on Responses."),
    "not with such models": api(400, None, "The Responses API does not support this model."),
    "not with this one": api(400, None, "The Responses API can't be used with model m"),
    "unsupported": api(400, None, "Responses API unsupported for model m"),
    "unavailable": api(404, None, "The Responses API is unavailable for model m", param="model"),
    "none": api(400, None, "No Responses API support for model m"),
    "no support": api(400, None, "Model 'm' has no Responses API support."),
    "incompatible": api(400, None, "The model m is incompatible with the Responses API."),
    "not there": api(
        404, "model_not_found", "The model `m` does not exist in the Responses API", param="model"
    ),
    "OpenRouter": api(404, 404, "No endpoints found that support the Responses API for model m"),
    "a provider": api(422, None, "Provider p does not support responses"),
    "elsewhere": api(400, None, "Model m must be called through the chat completions API"),
    "an API": api(400, None, "Unsupported API: responses is not enabled for model m"),
    "a code": api(400, "responses_api_unsupported", "No."),
    "a code in humps": api(400, "ResponsesNotSupported", "No."),
    "a code of a model": api(400, "model_not_supported_for_responses", "No."),
    "a code of an endpoint": api(404, "endpoint_not_supported_for_model", "No."),
    "a list": Reply.of_json(
        [{"error": {"code": 400, "message": "Model m only supports chat completions."}}], 400
    ),
}  # fmt: skip

# Texts that resemble them.
SERVED = {
    "a param": api(400, None, "The model does not support this API", param="tools[0].type"),
    "messages": api(
        400,
        "unsupported_parameter",
        "Unsupported parameter: 'messages'. In the Responses API, this "
        "parameter has moved to 'input'.",
    ),
    "audio": api(
        400, None, "Audio input is not supported in the Responses API", param="input[0].content[1]"
    ),
    "a model that isn't": api(
        400, "model_not_found", "The requested model 'm' does not exist.", param="model"
    ),
    "images": api(400, "invalid_value", "This model does not support image_url content."),
    "effort": api(
        400,
        "unsupported_value",
        "'minimal' is not supported with the 'm' model.",
        param="reasoning.effort",
    ),
    "structured": api(400, None, "The model does not support structured responses."),
    "streams": api(400, None, "Streaming responses are not available for this model."),
    "background": api(400, None, "background mode is not supported for the Responses API"),
    "a parameter": api(
        400, "unsupported_parameter", "The Responses API does not support the parameter 'seed'."
    ),
    "n": api(400, None, "n is not supported by the Responses API"),
    "an earlier response": api(
        400, "previous_response_not_found", "Previous response with id 'resp_1' not found."
    ),
    "a response's format": api(400, "response_format_not_supported", "This model has no JSON."),
    "nothing": api(400, None, "The model gave no responses"),
    "500": api(500, None, "The model does not support Responses API"),
    "401": api(401, "unsupported_api_for_model", "The model does not support Responses API"),
    "501": api(501),
    "501, a page": page(501),
    "a long text": api(400, None, "x" * 600 + " The model does not support Responses API"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNSERVED)
def test_a_model_that_is_not_served(case: str) -> None:
    reply = UNSERVED[case]
    head, raw = ReplyHead(reply.status, reply.content_type), b"".join(reply.parts)
    assert needs_body(head)
    assert classify(head, raw) == "missing"
    assert lacks_model(head, raw)


@pytest.mark.parametrize("case", SERVED)
def test_texts_that_only_resemble_it(case: str) -> None:
    reply = SERVED[case]
    head, raw = ReplyHead(reply.status, reply.content_type), b"".join(reply.parts)
    assert not lacks_model(head, raw)
    assert classify(head, raw) in (None, "rejected")


@pytest.mark.parametrize("case", MISSING)
def test_a_missing_endpoint_is_missing_for_all_models(case: str) -> None:
    reply = MISSING[case]
    assert not lacks_model(ReplyHead(reply.status, reply.content_type), b"".join(reply.parts))


@pytest.mark.parametrize(
    "case", ["OpenAI", "Copilot", "Azure", "Bedrock, 404", "vLLM, newer", "any-llm"]
)
@each_way
@each_way_in
def test_a_model_that_is_not_served_goes_to_chat(way_in: WayIn, streaming: bool, case: str) -> None:
    seen = run(way_in, streaming, over(UNSERVED[case]))
    assert answer_text(seen) == "Native hello"
    assert decision_of(seen) == ("chat", "responses", "missing")
    assert seen.paths == [RESPONSES, CHAT]
    assert seen.decision is not None
    assert "this model" in seen.decision.losses[0].why
    again = run(way_in, streaming, over(UNSERVED[case]))
    assert answer_text(again) == "Native hello"
    assert decision_of(again) == ("chat", "responses", "missing")
    assert again.ledger == seen.ledger == [("$", "held")]
    assert again.paths == [CHAT]
    another = run(way_in, False, over(Reply.of_json(response())), {**CALL, "model": "another"})
    assert another.paths == [RESPONSES]
    assert decision_of(another) == ("responses", "responses", "settings")


@each_way_in
def test_an_unserved_model_is_tried_again_after_a_while(
    way_in: WayIn, clock: SimpleNamespace
) -> None:
    upstream = over(UNSERVED["Copilot"])
    assert run(way_in, False, upstream, fallback_expiry=5).paths == [RESPONSES, CHAT]
    clock.now += 4.9
    assert run(way_in, False, upstream, fallback_expiry=5).paths == [CHAT]
    clock.now += 0.2
    assert run(way_in, False, over(Reply.of_json(response())), fallback_expiry=5).paths == [
        RESPONSES
    ]


@each_way_in
def test_a_rule_names_the_model_that_is_not_served(way_in: WayIn) -> None:
    rules = [{"match": {"model": "alias"}, "model": "m"}]
    body = {**CALL, "model": "alias"}
    assert run(way_in, False, over(UNSERVED["Copilot"]), body, rules=rules).paths == [
        RESPONSES,
        CHAT,
    ]
    assert run(way_in, False, over(UNSERVED["Copilot"]), body, rules=rules).paths == [CHAT]
    assert run(way_in, False, over(UNSERVED["Copilot"]), body).paths == [RESPONSES, CHAT]


@each_way_in
def test_a_model_that_is_not_served_without_missing(way_in: WayIn) -> None:
    for _ in range(2):
        seen = run(way_in, False, over(UNSERVED["OpenAI"]), fallback=("blocked",))
        assert type(seen.error) is openai.BadRequestError
        assert seen.paths == [RESPONSES]
        rejected = run(way_in, False, over(UNSERVED["OpenAI"]), fallback=("rejected",))
        assert decision_of(rejected) == ("chat", "responses", "rejected")
        assert rejected.paths == [RESPONSES, CHAT]


@each_way_in
def test_a_responses_only_model_that_is_not_served_is_an_error(way_in: WayIn) -> None:
    for _ in range(2):
        seen = run(way_in, False, over(UNSERVED["OpenAI"]), RESPONSES_ONLY["name"])
        assert type(seen.error) is openai.BadRequestError
        assert seen.paths == [RESPONSES]
        assert "can't go to Chat Completions instead" in str(seen.error)


@pytest.mark.parametrize(
    ("case", "expected"),
    [(case, "missing") for case in MISSING]
    + [(case, None) for case in PASSED_ON]
    + [(case, "blocked") for case in BLOCKED],
)
def test_how_a_reply_is_classified(case: str, expected: str | None) -> None:
    reply = {**MISSING, **PASSED_ON, **BLOCKED}[case]
    head = ReplyHead(reply.status, reply.content_type)
    reason = (
        classify(head, b"".join(reply.parts)) if reply.status == 302 or needs_body(head) else None
    )
    assert reason == (
        "rejected"
        if reply.status == 400 and reason == "rejected" and expected is None
        else expected
    )


@pytest.mark.parametrize("case", ["OpenAI", "Azure", "FastAPI 405", "Express", "Rust, nothing"])
@each_way
@each_way_in
def test_a_missing_endpoint_sends_the_call_to_chat(
    way_in: WayIn, streaming: bool, case: str
) -> None:
    seen = run(way_in, streaming, over(MISSING[case]))
    assert answer_text(seen) == "Native hello"
    assert decision_of(seen) == ("chat", "responses", "missing")
    assert seen.paths == [RESPONSES, CHAT]
    assert seen.ledger == [("$", "held")]
    assert (seen.open, seen.open_on_return) == (0, 0)
    again = run(way_in, streaming, over(MISSING[case]))
    assert answer_text(again) == "Native hello"
    assert decision_of(again) == ("chat", "responses", "missing")
    assert again.paths == [CHAT]
    assert again.sent[0].body == seen.sent[1].body


@pytest.mark.parametrize("case", ["302", "401, a page", "403, FastAPI", "200, a page"])
@each_way
@each_way_in
def test_a_gateway_in_the_way_sends_the_call_to_chat(
    way_in: WayIn, streaming: bool, case: str
) -> None:
    for _ in range(2):  # not remembered: a gateway may let other requests through
        seen = run(way_in, streaming, over(BLOCKED[case]))
        assert answer_text(seen) == "Native hello"
        assert decision_of(seen) == ("chat", "responses", "blocked")
        assert seen.paths == [RESPONSES, CHAT]
        assert (seen.open, seen.open_on_return) == (0, 0)


@pytest.mark.parametrize(
    "case",
    ["OpenAI's model", "Ollama's model, older", "a param, 405", "401", "400", "502, a page", "429"],
)
@each_way
@each_way_in
def test_an_answer_of_the_api_is_passed_on(way_in: WayIn, streaming: bool, case: str) -> None:
    reply = PASSED_ON[case]
    seen = run(way_in, streaming, over(reply))
    assert isinstance(seen.error, openai.APIStatusError)
    assert seen.error.status_code == reply.status
    assert decision_of(seen) == ("responses", "responses", "settings")
    assert seen.paths == [RESPONSES]
    assert seen.open == 0
    native = _plain(reply)
    assert type(seen.error) is type(native)
    assert seen.error.body == native.body
    assert (seen.error.code, seen.error.param) == (native.code, native.param)


def _plain(reply: Reply) -> openai.APIStatusError:
    """Return the exception that the SDK itself raises for a reply."""
    transport = http.MockTransport(
        lambda _: http.Response(
            reply.status,
            headers={"content-type": reply.content_type},
            content=b"".join(reply.parts),
        )
    )
    client = openai.OpenAI(
        api_key="key", max_retries=0, http_client=http.Client(transport=transport)
    )
    with client, pytest.raises(openai.APIStatusError) as raised:
        client.chat.completions.create(**CALL)
    return raised.value


ALL = {**MISSING, **BLOCKED, "rejected": api(400)}


@pytest.mark.parametrize(
    "case",
    ["OpenAI", "Azure", "Go", "nginx 405", "401, a page", "403, text", "400, a page", "rejected"],
)
@each_way
@each_way_in
def test_nothing_falls_back_with_fallback_off(way_in: WayIn, streaming: bool, case: str) -> None:
    seen = run(way_in, streaming, over(ALL[case]), fallback=())
    assert isinstance(seen.error, openai.APIStatusError)
    assert seen.error.status_code == ALL[case].status
    assert seen.error.body == _plain(ALL[case]).body
    assert decision_of(seen) == ("responses", "responses", "settings")
    assert seen.paths == [RESPONSES]
    assert run(way_in, streaming, over(ALL[case]), fallback=()).paths == [RESPONSES]
    assert seen.open == 0


@pytest.mark.parametrize("reason", ["missing", "blocked", "rejected"])
@each_way_in
def test_each_reason_is_enabled_by_itself(way_in: WayIn, reason: str) -> None:
    cases = {"missing": MISSING["OpenAI"], "blocked": BLOCKED["401, a page"], "rejected": api(400)}
    for other, reply in cases.items():
        missing_endpoints.clear()
        seen = run(way_in, False, over(reply), fallback=(reason,))
        assert (seen.error is None) is (other == reason)
        assert decision_of(seen)[0] == ("chat" if other == reason else "responses")


# `missing`, remembered


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """A clock that the test sets."""
    made = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(expiring_set, "time", SimpleNamespace(monotonic=lambda: made.now))
    yield made
    missing_endpoints.clear()


@pytest.mark.parametrize(
    ("settings", "seconds"), [({}, 600.0), ({"fallback_expiry": 5}, 5.0)], ids=["default", "given"]
)
@each_way_in
def test_a_missing_endpoint_is_tried_again_after_a_while(
    way_in: WayIn, clock: SimpleNamespace, settings: Any, seconds: float
) -> None:
    upstream = over(MISSING["Azure"])
    assert run(way_in, False, upstream, **settings).paths == [RESPONSES, CHAT]
    clock.now += seconds - 0.01
    assert run(way_in, False, upstream, **settings).paths == [CHAT]
    clock.now += 0.02
    assert run(way_in, False, upstream, **settings).paths == [RESPONSES, CHAT]
    clock.now += seconds + 1
    there = run(way_in, False, over(Reply.of_json(response())), **settings)
    assert there.paths == [RESPONSES]
    assert answer_text(there) == "Hello there"
    assert decision_of(there) == ("responses", "responses", "settings")


def test_each_base_url_is_tried(sdk: Sdk, loopback: Loopback) -> None:
    def answer(request: Asked) -> Answer:
        if request.path == "/old/responses":
            return Answer.of_json({"detail": "Not Found"}, 404)
        return Answer.of_json(response() if request.path.endswith("/responses") else completion())

    loopback.answer = answer
    old, new = sdk.client(f"{loopback.url}/old"), sdk.client(f"{loopback.url}/new")
    assert [text_of(sdk.create(client)) for client in (old, new, old, new)] == [
        "Native hello",
        "Hello there",
    ] * 2
    assert paths(loopback) == [
        "/old/responses",
        "/old/chat/completions",
        "/new/responses",
        "/old/chat/completions",
        "/new/responses",
    ]


def test_another_client_of_the_same_base_url_knows_it(loopback: Loopback) -> None:
    loopback.answer = lambda request: (
        Answer.of_json({}, 404)
        if request.path.endswith("/responses")
        else Answer.of_json(completion())
    )
    for mode in ("sync", "async"):
        one = Sdk(mode)  # type: ignore[arg-type]
        assert text_of(one.create(one.client(loopback))) == "Native hello"
        one.close()
    assert paths(loopback) == [RESPONSES, CHAT, CHAT]


def test_a_call_routed_to_chat_is_not_a_fallback() -> None:
    way_in = WAYS_IN[0]
    run(way_in, False, over(MISSING["Go"]))
    assert decision_of(run(way_in, False, over(MISSING["Go"]), backend="chat")) == (
        "chat",
        "chat",
        "settings",
    )


def test_without_missing_remembered_endpoints_are_ignored() -> None:
    way_in = WAYS_IN[0]
    run(way_in, False, over(MISSING["Go"]))
    assert run(way_in, False, over(MISSING["Go"]), fallback=("blocked",)).paths == [RESPONSES]


def test_only_so_many_base_urls_are_remembered() -> None:
    for number in range(3000):
        missing_endpoints.remember(("https", "host", None, str(number).encode()), 60)
    assert len(missing_endpoints._MISSING._expiry) <= 1000
    assert missing_endpoints._MISSING.contains(("https", "host", None, b"2999"))


# `rejected`


@each_way
@each_way_in
def test_a_refused_request_that_chat_accepts_is_a_suspect(way_in: WayIn, streaming: bool) -> None:
    refused = api(400, "unknown_parameter", param="input[0].wrong")
    seen = run(way_in, streaming, over(refused), fallback=("rejected",))
    assert answer_text(seen) == "Native hello"
    assert decision_of(seen) == ("chat", "responses", "rejected")
    assert seen.paths == [RESPONSES, CHAT]
    assert seen.decision is not None
    assert [loss.why.partition(":")[0] for loss in seen.decision.losses] == ["translation-suspect"]
    assert (seen.open, seen.open_on_return) == (0, 0)
    assert run(way_in, streaming, over(refused), fallback=("rejected",)).paths == [RESPONSES, CHAT]


@each_way
@each_way_in
def test_where_chat_refuses_as_well_its_own_error_is_raised(way_in: WayIn, streaming: bool) -> None:
    native = api(400, "chat_says_so", "Chat says no.", param="messages[0].content")
    seen = run(
        way_in, streaming, over(api(400, "responses_says_so"), native), fallback=("rejected",)
    )
    assert isinstance(seen.error, openai.BadRequestError)
    assert (seen.error.code, seen.error.param) == ("chat_says_so", "messages[0].content")
    assert decision_of(seen) == ("chat", "responses", "rejected")
    assert seen.decision is not None
    assert [loss.why for loss in seen.decision.losses] == [
        "the Responses API refused the request, and so did Chat Completions"
    ]
    assert seen.paths == [RESPONSES, CHAT]
    assert seen.open == 0


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (
            200,
            (
                "translation-suspect: the Responses API refused the request, "
                "Chat Completions accepted it"
            ),
        ),
        (400, "the Responses API refused the request, and so did Chat Completions"),
        (401, "the Responses API refused the request, and so did Chat Completions"),
        (429, "the Responses API refused the request"),
        (500, "the Responses API refused the request"),
    ],
)
def test_the_ledger_has_the_outcome_of_the_retry_on_chat(status: int, why: str) -> None:
    assert loss_of_retry(ReplyHead(status, "")).why == why


@pytest.mark.usefixtures("impatient")
def test_a_retry_of_a_rejected_call_is_logged_as_it_ends(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = [error(400), error(500), Answer.of_json(completion())]
    client = sdk.client(
        loopback, adapter.Settings(backend="responses", fallback=["rejected"]), max_retries=2
    )
    made = adapter.decision(sdk.create(client))
    assert made is not None
    assert made.losses[0].why.startswith("translation-suspect")
    assert paths(loopback) == [RESPONSES, CHAT, CHAT]


# Never after the first byte

BROKEN = {
    "an error": Reply.of_sse([*opening(), b'data: {"type":"error","code":"x","message":"y"}\n\n']),
    "no answer": Reply.of_sse(opening()),
    "a reset": Reply.of_sse(opening(), reset=True),
    "failed": Reply.of_sse(
        [
            *opening(),
            (
                b'data: {"type":"response.failed","response":{"status":"failed",'
                b'"error":{"code":"server_error","message":"y"}}}\n\n'
            ),
        ],
    ),
    "failed at once": Reply.of_sse(
        [
            (
                b'data: {"type":"response.failed","response":{"status":"failed",'
                b'"error":{"code":"invalid_prompt","message":"y"}}}\n\n'
            )
        ]
    ),
}
FAILED = {
    "failed": Reply.of_json(
        response(status="failed", error={"code": "server_error", "message": "y"})
    ),
    "failed, the caller's fault": Reply.of_json(
        response(status="failed", error={"code": "invalid_prompt", "message": "y"})
    ),
    "not JSON": page(200, "what", "application/json"),
    "no Response": Reply.of_json({"hello": 1}),
    "empty": Reply(200, ()),
}
EVERYTHING = ("missing", "blocked", "rejected")


@pytest.mark.parametrize("case", BROKEN)
@each_way_in
def test_a_stream_that_has_begun_never_falls_back(way_in: WayIn, case: str) -> None:
    seen = run(way_in, True, over(BROKEN[case]), fallback=EVERYTHING)
    assert isinstance(seen.error, (openai.APIError, *CONNECTION_ERRORS))
    assert decision_of(seen)[0] == "responses"
    assert seen.paths == [RESPONSES]


@pytest.mark.parametrize("case", FAILED)
@each_way_in
def test_a_reply_that_says_200_never_falls_back(way_in: WayIn, case: str) -> None:
    seen = run(way_in, False, over(FAILED[case]), fallback=EVERYTHING)
    assert isinstance(seen.error, openai.APIError)
    assert decision_of(seen)[0] == "responses"
    assert seen.paths == [RESPONSES]
    assert seen.open == 0


# Responses-only models


@pytest.mark.parametrize(
    "case", ["OpenAI", "Azure", "Go", "nginx 405", "302", "401, a page", "200, a page", "rejected"]
)
@pytest.mark.parametrize("body", RESPONSES_ONLY)
@each_way
@each_way_in
def test_responses_only_models_never_go_to_chat(
    way_in: WayIn, streaming: bool, body: str, case: str
) -> None:
    reply = ALL[case]
    for _ in range(2):
        seen = run(way_in, streaming, over(reply), RESPONSES_ONLY[body], fallback=EVERYTHING)
        assert isinstance(seen.error, openai.APIStatusError)
        assert seen.error.status_code == (reply.status if reply.status >= 400 else 502)
        assert "the call can't go to Chat Completions instead" in str(seen.error)
        assert "Responses API only" in str(seen.error)
        assert seen.error.response.headers["x-should-retry"] == "false"
        if case in ("OpenAI", "rejected"):
            native = _plain(reply)
            assert (seen.error.code, seen.error.param, seen.error.type) == (
                native.code,
                native.param,
                native.type,
            )
        assert decision_of(seen)[:2] == ("responses", "responses")
        assert seen.paths == [RESPONSES]
        assert seen.open == 0


def test_a_responses_only_model_ignores_remembered_endpoints() -> None:
    for way_in in WAYS_IN:
        missing_endpoints.clear()
        run(way_in, False, over(MISSING["Go"]))
        seen = run(way_in, False, over(Reply.of_json(response())), RESPONSES_ONLY["name"])
        assert answer_text(seen) == "Hello there"
        assert seen.paths == [RESPONSES]


# Retries, redirects, connections


@pytest.mark.parametrize(
    ("reason", "first"),
    [("missing", error(404, "404")), ("blocked", Answer(403)), ("rejected", error(400))],
)
@pytest.mark.usefixtures("impatient")
def test_a_retry_after_a_fallback_goes_straight_to_chat(
    sdk: Sdk, loopback: Loopback, reason: str, first: Answer
) -> None:
    loopback.answer = [first, error(503), Answer.drop(), Answer.of_json(completion())]
    client = sdk.client(
        loopback, adapter.Settings(backend="responses", fallback=EVERYTHING), max_retries=3
    )
    result = sdk.create(client)
    assert text_of(result) == "Native hello"
    assert paths(loopback) == [RESPONSES, CHAT, CHAT, CHAT]
    made = adapter.decision(result)
    assert made is not None
    assert (made.backend, made.asked, made.reason) == ("chat", "responses", reason)


@pytest.mark.usefixtures("impatient")
def test_a_fallback_after_a_retry(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = [
        error(503),
        Answer.of_json({"detail": "Not Found"}, 404),
        Answer.of_json(completion()),
    ]
    assert text_of(sdk.create(sdk.client(loopback, max_retries=2))) == "Native hello"
    assert paths(loopback) == [RESPONSES, RESPONSES, CHAT]


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("streamed", [False, True], ids=["create", "stream"])
def test_a_fallback_after_a_redirect_goes_to_the_new_host(
    sdk: Sdk, loopback: Loopback, status: int, streamed: bool
) -> None:
    def answer(request: Asked) -> Answer:
        if request.path == RESPONSES:
            return Answer.redirect("/v2/responses?a=1", status)
        if request.path == "/v2/responses":
            return Answer.of_json({"detail": "Not Found"}, 404)
        assert request.query == "a=1"
        assert "messages" in request.json()
        return Answer.of_sse(chat_events()) if streamed else Answer.of_json(completion())

    loopback.answer = answer
    client = sdk.client(loopback)
    assert text_of(sdk.stream(client) if streamed else sdk.create(client)) == "Native hello"
    assert paths(loopback) == [RESPONSES, "/v2/responses", "/v2/chat/completions"]


def test_a_redirect_to_another_path_has_no_fallback(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = [Answer.redirect("/elsewhere"), Answer.of_json({"detail": "Not Found"}, 404)]
    with pytest.raises(openai.NotFoundError):
        sdk.create(sdk.client(loopback))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/v1/chat/completions", b"/v1/chat/completions"),
        (b"/v1/chat/completions/?a=1", b"/v1/chat/completions/?a=1"),
        (b"/v1/responses", b"/v1/chat/completions"),
        (b"/v1/responses/?a=/responses", b"/v1/chat/completions?a=/responses"),
        (b"/v1/answers", None),
        (b"/v1?a=/chat/completions", None),
    ],
)
def test_the_path_of_chat(path: bytes, expected: bytes | None) -> None:
    assert chat_path_of(path) == expected


@pytest.mark.parametrize("case", ["FastAPI", "page", "302"])
@pytest.mark.parametrize("streamed", [False, True], ids=["create", "stream"])
def test_the_first_reply_leaves_its_connection_free(
    sdk: Sdk, loopback: Loopback, case: str, streamed: bool
) -> None:
    first = {
        "FastAPI": Answer.of_json({"detail": "Not Found"}, 404),
        "page": Answer(
            403, (("content-type", "text/html"),), [b"<html>" * 9999], framing="chunked"
        ),
        "302": Answer(302, (("location", "/login"),)),
    }[case]
    second = Answer.of_sse(chat_events()) if streamed else Answer.of_json(completion())
    loopback.answer = [first, second]
    kind = sdk.pick(http.Client, http.AsyncClient)
    client = sdk.client(
        loopback, http_client=kind(limits=http.Limits(max_connections=1), timeout=5)
    )
    assert text_of(sdk.stream(client) if streamed else sdk.create(client)) == "Native hello"
    assert all(connection.is_idle() for connection in client._client._transport._pool.connections)


@pytest.mark.parametrize("case", ["missing", "blocked", "rejected"])
def test_the_reply_is_chats_own(sdk: Sdk, loopback: Loopback, case: str) -> None:
    first = {"missing": Answer(404), "blocked": Answer(403), "rejected": error(400)}[case]
    own = Answer(
        200, (("content-type", "application/json"), ("x-request-id", "req_c"), ("x-Odd", " yes")),
        [b'{ "id" : "chatcmpl-1" }\n'],
        gzip=True,
    )  # fmt: skip
    plain = sdk.client(loopback, plain=True)
    adapted = sdk.client(loopback, adapter.Settings(backend="responses", fallback=EVERYTHING))
    replies = []
    for client, answers in ((plain, [own]), (adapted, [first, own])):
        loopback.answer = answers
        raw = sdk.run(client.chat.completions.with_raw_response.create(**CALL))
        replies.append((raw.status_code, raw.headers.raw, raw.content))
    assert replies[0] == replies[1]
    sent = [request for request in loopback.requests if request.path == CHAT]
    assert (sent[0].headers, sent[0].body, sent[0].query) == (
        sent[1].headers,
        sent[1].body,
        sent[1].query,
    )


def test_observers_get_one_record(sdk: Sdk, loopback: Loopback) -> None:
    records: list[Any] = []
    loopback.answer = [Answer(404), Answer.of_json(completion())]
    sdk.create(
        sdk.client(loopback, adapter.Settings(backend="responses", observers=(records.append,)))
    )
    assert [
        (one.backend, one.asked, one.reason, one.status, one.prompt_tokens) for one in records
    ] == [("chat", "responses", "missing", 200, 5)]


# The classification itself


ODD = (
    b"", b"null", b"1", b'"x"', b"[]", b"[[]]", b"{}", b"\xff\xfe", b'{"error":null}',
    b'{"error":{}}', b'{"error":[]}',
    b'{"error":{"message":null}}', b'{"error":{"message":1,"code":[]}}',
    b'{"detail":[{"msg":"x"}]}', b"{" * 100,
)  # fmt: skip


@pytest.mark.parametrize("raw", ODD)
def test_odd_replies_are_classified(raw: bytes) -> None:
    for status in (200, 302, 400, 401, 403, 404, 405):
        for kind in ("", "application/json", "text/html", "text/plain"):
            assert classify(ReplyHead(status, kind), raw) in (
                None,
                "missing",
                "blocked",
                "rejected",
            )


def test_what_the_sdk_retries_is_left_to_it() -> None:
    retried = [408, 409, 429, *(status for status in range(500, 600) if status != 501)]
    assert [
        status for status in range(400, 600) if not needs_body(ReplyHead(status, "text/html"))
    ] == retried


def test_a_successful_reply_is_not_read_early() -> None:
    assert not needs_body(ReplyHead(200, "application/json"))
    assert not needs_body(ReplyHead(200, "text/event-stream"))
    assert not needs_body(ReplyHead(204, ""))
