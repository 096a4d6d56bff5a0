"""Chunks assembled from a template: equal to Pydantic's in every attribute, with nothing shared."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter._sdk import chunks
from adapter._sdk.chunks import ChunkFactory
from adapter._sdk.compat import SUPPORTED
from adapter.translation.streams.chunks import ChunkTemplate, TextChunk
from tests.support.http import needs

Json = dict[str, Any]
supported = needs(SUPPORTED, "stream reader that can be replaced")

LIKE = {
    "plain": {
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4.1",
        "system_fingerprint": None,
    },
    "with a tier and usage": {
        "id": "c", "object": "chat.completion.chunk", "created": 2, "model": "m",
        "service_tier": "auto", "usage": None,
    },
    "without a key for logprobs": {
        "id": "c", "object": "chat.completion.chunk", "created": 2, "model": "m",
    },
    "with an unknown field": {
        "id": "c", "object": "chat.completion.chunk", "created": 2, "model": "m", "own": [1],
    },
    "not valid": {
        "id": "c", "object": "chat.completion.chunk", "created": "yesterday", "model": "m",
    },
}  # fmt: skip


def parts(chunk: Any) -> list[Any]:
    """List the attributes that Pydantic's models consist of."""
    choice = chunk.choices[0]
    return [
        (
            type(m),
            list(m.__dict__),
            m.__pydantic_fields_set__,
            m.__pydantic_extra__,
            m.__pydantic_private__,
        )
        for m in (chunk, choice, choice.delta)
    ]


def template_of(kind: str) -> ChunkTemplate:
    return ChunkTemplate(LIKE[kind], logprobs_key="without" not in kind)


@supported
@pytest.mark.parametrize("padding", [None, "", "abc"], ids=["bare", "empty padding", "padded"])
@pytest.mark.parametrize("kind", LIKE)
def test_an_assembled_chunk_is_what_pydantic_builds(kind: str, padding: str | None) -> None:
    shared, before = template_of(kind), copy.deepcopy(LIKE[kind])
    cast, built = ChunkFactory(), ChunkFactory()
    texts = ["Hi", "é 你好", "\\ud83d", ""]
    made = [cast.build(TextChunk(text, padding, shared)) for text in texts]
    same = [built.build(TextChunk(text, padding, shared).chunk()) for text in texts]
    assert (made[0] is None) == (kind in ("with an unknown field", "not valid"))
    assert (cast._build_text is None) == (made[0] is None)
    assert made == same
    for one, other in zip(made, same, strict=True):
        if one is not None and other is not None:
            assert parts(one) == parts(other)
            one.choices[0].delta.role = "user"  # the chunks share nothing
            one.model = "another"
    assert LIKE[kind] == before
    assert cast.build(TextChunk("Hi", padding, shared)) == same[0]


@supported
def test_what_pydantic_builds_otherwise_is_not_assembled(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = ChunkFactory().build(TextChunk("no", None, template_of("plain")))
    for wrong in (lambda: None, lambda: lambda *_: sample):
        monkeypatch.setattr(chunks, "_text_chunk_builder", wrong)
        chunk = ChunkFactory().build(TextChunk("Hi", None, template_of("plain")))
        assert chunk is not None
        assert chunk.choices[0].delta.content == "Hi"


@supported
def test_another_pydantic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "BaseModel", object)
    assert chunks._text_chunk_builder.__wrapped__() is None


@supported
@given(st.text(), st.none() | st.text())
def test_any_text(text: str, padding: str | None) -> None:
    delta = TextChunk(text, padding, template_of("plain"))
    cast, built = ChunkFactory().build(delta), ChunkFactory().build(delta.chunk())
    assert cast is not None
    assert built is not None
    assert cast == built
    assert parts(cast) == parts(built)
