"""Which replies of the Responses API send a call to Chat, by their heads and bodies alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapter._exchange.effects import ReplyHead
from adapter._exchange.fallback import classify, lacks_model, loss_of_retry, needs_body

JSON, HTML = "application/json", "text/html; charset=utf-8"


def body(message: str, **fields: Any) -> bytes:
    """Make an error body of the API."""
    return json.dumps({"error": {"message": message, **fields}}).encode()


TABLE: dict[str, tuple[int, str, bytes, str | None]] = {
    "no such URL": (404, JSON, body("Unknown request URL", code="unknown_url"), "missing"),
    "nothing at all": (404, "", b"", "missing"),
    "FastAPI's own": (404, JSON, b'{"detail":"Not Found"}', "missing"),
    "a gateway's page": (404, HTML, b"<html>404</html>", "missing"),
    "the method isn't allowed": (405, JSON, body("Method Not Allowed"), "missing"),
    "no such model": (404, JSON, body("The model `x` does not exist", code="model_not_found"),
                      None),
    "no such model, without a code": (404, JSON, body("model 'x' not found"), None),
    "no such response": (404, JSON, body("Response with id 'resp_1' not found"), None),
    "a redirect": (302, HTML, b"", "blocked"),
    "forbidden by a gateway": (403, HTML, b"<html>", "blocked"),
    "unauthorised by a gateway": (401, "text/plain", b"no", "blocked"),
    "unauthorised by the API": (401, JSON, body("Incorrect API key", code="invalid_api_key"), None),
    "forbidden by the API": (403, JSON, body("no access", type="forbidden"), None),
    "a page with status 200": (200, HTML, b"<html>login</html>", "blocked"),
    "rejected by the API": (400, JSON, body("bad", param="input[0]"), "rejected"),
    "rate limited": (429, JSON, body("slow down"), None),
    "down": (500, JSON, body("down"), None),
    "a gateway is down": (502, HTML, b"<html>", None),
    "this model isn't served there": (400, JSON, body("no", code="unsupported_api_for_model"),
                                      "missing"),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLE.values(), ids=TABLE.keys())
def test_a_reply_is_classified(case: tuple[int, str, bytes, str | None]) -> None:
    status, kind, raw, reason = case
    head = ReplyHead(status, kind)
    found = classify(head, raw) if status == 302 or needs_body(head) else None
    assert found == reason


@pytest.mark.parametrize(
    ("status", "kind", "needed"),
    [(200, JSON, False), (200, "text/event-stream", False), (204, "", False), (200, HTML, True),
     (400, JSON, True), (404, JSON, True), (408, JSON, False), (409, JSON, False),
     (429, JSON, False), (500, JSON, False), (501, JSON, True), (503, HTML, False)],
)  # fmt: skip
def test_only_replies_that_may_cause_a_fallback_are_read(
    status: int, kind: str, needed: bool
) -> None:
    assert needs_body(ReplyHead(status, kind)) is needed


def test_a_missing_model_is_told_from_a_missing_endpoint() -> None:
    model = body("no", code="unsupported_api_for_model")
    assert lacks_model(ReplyHead(400, JSON), model)
    assert not lacks_model(ReplyHead(404, JSON), body("Unknown request URL", code="unknown_url"))


@pytest.mark.parametrize(
    ("status", "begins", "ends"),
    [
        (200, "translation-suspect: ", "Chat Completions accepted it"),
        (400, "the Responses API", "and so did Chat Completions"),
        (429, "the Responses API", "refused the request"),
        (500, "the Responses API", "refused the request"),
    ],
)
def test_the_loss_of_a_retry_says_what_chat_did(status: int, begins: str, ends: str) -> None:
    loss = loss_of_retry(ReplyHead(status, JSON))
    assert (loss.path, loss.action) == ("$", "held")
    assert loss.why.startswith(begins)
    assert loss.why.endswith(ends)
