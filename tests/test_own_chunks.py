"""Chunks that are cast after one that was validated: Pydantic's own in every attribute, and each its own."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.doors import own_chunks
from adapter.doors.own_chunks import Building
from adapter.doors.own_streams import SUPPORTED
from adapter.translation.chunks import Delta
from tests.support.http import needs

Json = dict[str, Any]
supported = needs(SUPPORTED, "stream reader that the client door can help")

LIKE = {
    "plain": {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4.1", "system_fingerprint": None},
    "with a tier and usage": {"id": "c", "object": "chat.completion.chunk", "created": 2, "model": "m", "service_tier": "auto", "usage": None},
    "without a key for logprobs": {"id": "c", "object": "chat.completion.chunk", "created": 2, "model": "m"},
    "with a field of its own": {"id": "c", "object": "chat.completion.chunk", "created": 2, "model": "m", "own": [1]},
    "not valid": {"id": "c", "object": "chat.completion.chunk", "created": "yesterday", "model": "m"},
}  # fmt: skip


def parts(chunk: Any) -> list[Any]:
    """List all that Pydantic's models consist of."""
    choice = chunk.choices[0]
    return [
        (type(m), list(m.__dict__), m.__pydantic_fields_set__, m.__pydantic_extra__, m.__pydantic_private__)
        for m in (chunk, choice, choice.delta)
    ]


@supported
@pytest.mark.parametrize("padding", [None, "", "abc"], ids=["bare", "empty padding", "padded"])
@pytest.mark.parametrize("kind", LIKE)
def test_a_chunk_that_is_cast_is_what_pydantic_builds(kind: str, padding: str | None) -> None:
    logprobs: Json = {} if "without" in kind else {"logprobs": None}
    like: Json = LIKE[kind] | {"choices": [{"index": 0, "delta": {"content": ""}, **logprobs, "finish_reason": None}]}
    before = copy.deepcopy(like)
    cast, built = Building(), Building()
    texts = ["Hi", "é 你好", "\ud83d", ""]
    made = [cast.chunk(Delta(text, padding, like)) for text in texts]
    same = [built.chunk(Delta(text, padding, like).chunk()) for text in texts]
    assert (made[0] is None) == (kind in ("with a field of its own", "not valid"))
    assert made == same
    assert like == before
    for one, other in zip(made, same, strict=True):
        if one is not None:
            assert parts(one) == parts(other)
            one.choices[0].delta.role = "user"  # each is its own
    assert made[0] is None or made[1].choices[0].delta.role == "user"
    assert cast.chunk(Delta("Hi", padding, like)) == same[0]


def test_what_pydantic_builds_otherwise_is_not_cast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_chunks, "mould", lambda sample: lambda text, padding: sample)
    assert not own_chunks._casts.__wrapped__()
    monkeypatch.setattr(own_chunks, "_casts", lambda: False)
    like: Json = LIKE["plain"] | {"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": None}]}
    chunk = Building().chunk(Delta("Hi", None, like))
    assert chunk is not None
    assert chunk.choices[0].delta.content == "Hi"


@supported
@given(st.text(), st.none() | st.text())
def test_any_text(text: str, padding: str | None) -> None:
    like: Json = LIKE["plain"] | {"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": None}]}
    delta = Delta(text, padding, like)
    cast, built = Building().chunk(delta), Building().chunk(delta.chunk())
    assert cast is not None
    assert built is not None
    assert cast == built
    assert parts(cast) == parts(built)
