"""Replies to `POST /responses` that may send a call to Chat Completions, and helpers for them."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import openai
import pytest

from adapter._runtime import missing_endpoints
from adapter._util import expiring_set
from tests.support.answers import CALL, chat_events, completion, text_of
from tests.support.http import http
from tests.support.ways_in import Reply, Seen, Sent, Upstream, WayIn

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


def native_error(reply: Reply) -> openai.APIStatusError:
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


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """A clock that the test sets."""
    made = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(expiring_set, "time", SimpleNamespace(monotonic=lambda: made.now))
    yield made
    missing_endpoints.clear()


EVERYTHING = ("missing", "blocked", "rejected")
