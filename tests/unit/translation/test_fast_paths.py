"""The short ways say what the long ones say: whole answers read without the machinery, requests written by an encoder that is kept."""

from __future__ import annotations

import json
import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter._sdk.compat import SUPPORTED
from adapter._util import json_codec
from adapter.errors import AdapterError
from adapter.translation import response_to_completion
from adapter.translation.replies import response_to_chat
from adapter.translation.types import ReplyContext
from tests.contract.test_edge_replies import CASES, response
from tests.support import corpus
from tests.support.answers import Sdk, hanging, sdk
from tests.support.answers import events as answer
from tests.support.deep import deep
from tests.support.http import http, needs
from tests.support.loopback import Loopback

__all__ = ["sdk"]

Json = dict[str, Any]
ASKED = {
    "plain": ReplyContext(), "stop": ReplyContext(stop=("ell",)), "JSON": ReplyContext(json_format=True), "logprobs": ReplyContext(logprobs=True), "legacy": ReplyContext(legacy_functions=True),
}  # fmt: skip


def said(whole: Json, asked: ReplyContext) -> Any:
    """Translate a reply; give the completion and the ledger, or the error."""
    try:
        made = response_to_completion(whole, asked)
    except (
        AdapterError,
        AttributeError,
        TypeError,
    ) as error:  # the last two are for the ways in to handle
        return type(error), str(error)
    return deep(made.body), made.losses


def both_ways(whole: Json, asked: ReplyContext) -> None:
    short = said(whole, asked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(response_to_chat, "_collect_plain", lambda *_: None)
        assert short == said(whole, asked)


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_every_case(case: Any, name: str) -> None:
    both_ways(case.input, ASKED[name])


_texts = st.sampled_from(["", "Hello", "Hi.\n\nHello"])
_parts: st.SearchStrategy[Any] = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("output_text"), "text": _texts | st.none() | st.just(7)},
        optional={"annotations": st.sampled_from([[], None, {}, [{"type": "file_path", "file_id": "f", "index": 0}]]), "logprobs": st.just([])},
    ),
    st.fixed_dictionaries({"type": st.just("refusal"), "refusal": _texts}),
    st.sampled_from([{"type": "odd"}, {}, None, "text"]),
)  # fmt: skip
_phases = st.sampled_from([None, "commentary", "final_answer", ""])
_items = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("message"), "content": st.lists(_parts, max_size=2) | st.none()}, optional={"phase": _phases}
    ),
    st.sampled_from(
        [
            {"type": "reasoning", "summary": []},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "web_search_call"}, {"type": "mcp_approval_request"}, {}, None,
        ]
    ),
)  # fmt: skip


@given(
    st.lists(_items, max_size=3),
    st.sampled_from(sorted(ASKED)),
    st.sampled_from(["completed", "incomplete", None]),
)
def test_whatever_comes(output: list[Any], name: str, status: str | None) -> None:
    both_ways(response(*output, status=status), ASKED[name])


@corpus.needs_corpus
def test_most_recorded_answers_go_the_short_way() -> None:
    short = count = 0
    for recording in corpus.select(api="responses"):
        if isinstance(recording.response, dict) and isinstance(
            recording.response.get("output"), list
        ):
            both_ways(recording.response, ASKED["plain"])
            short += (
                response_to_chat._collect_plain(recording.response["output"], ASKED["plain"])
                is not None
            )
            count += 1
    assert short > count / 4 > 100


# JSON

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=4), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(_json)
def test_requests_are_written_as_the_standard_library_writes_them(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        assert json_codec.dumps(value) == text.encode()
    except UnicodeEncodeError:  # half a pair
        assert json_codec.dumps(value) == json.dumps(value, separators=(",", ":")).encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf")], ids=str)
def test_what_json_has_no_word_for(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_codec.dumps({"a": value})


def test_what_holds_itself() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ValueError, match="nested too deeply"):
        json_codec.dumps(value)


def test_without_an_encoder_in_c(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json.encoder, "c_make_encoder", None)
    assert json_codec._encoder()({"a": ["é", 1.0, None]}) == '{"a":["é",1.0,null]}'


# Streams

supported = needs(SUPPORTED, "stream reader that the client way_in can help")


@supported
def test_a_stream_holds_no_chunk_that_it_gave(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = [hanging(answer()[:5])]

    async def take(stream: Any) -> list[Any]:
        return [weakref.ref(await anext(stream)) for _ in range(2)]

    stream = sdk.create(sdk.client(loopback), stream=True)
    given = (
        [weakref.ref(next(stream)) for _ in range(2)]
        if sdk.mode == "sync"
        else sdk.run(take(stream))
    )
    assert [one() for one in given] == [None, None]
    sdk.run(stream.close())


def test_nobody_else_reads_a_reply_that_is_being_read(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = [hanging(answer()[:5])]

    async def take(stream: Any) -> Any:
        await anext(stream)
        return await anext(stream.response.aiter_bytes())

    def read(stream: Any) -> Any:
        return (
            next(stream) and next(stream.response.iter_bytes())
            if sdk.mode == "sync"
            else sdk.run(take(stream))
        )

    stream = sdk.create(sdk.client(loopback), stream=True)
    with pytest.raises(http.StreamConsumed):
        read(stream)
    sdk.run(stream.close())
