"""The fast paths give the same results as the general ones (docs/performance.md#fast-paths)."""

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
CONTEXTS = {
    "plain": ReplyContext(),
    "stop": ReplyContext(stop=("ell",)),
    "JSON": ReplyContext(json_format=True),
    "logprobs": ReplyContext(logprobs=True),
    "legacy": ReplyContext(legacy_functions=True),
}


def translated(whole: Json, context: ReplyContext) -> Any:
    """Translate a reply; return the completion and the ledger, or the error."""
    try:
        made = response_to_completion(whole, context)
    except (AdapterError, AttributeError, TypeError) as error:  # callers handle the last two
        return type(error), str(error)
    return deep(made.body), made.losses


def check_both_paths(whole: Json, context: ReplyContext) -> None:
    fast = translated(whole, context)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(response_to_chat, "_collect_plain", lambda *_: None)
        assert fast == translated(whole, context)


@pytest.mark.parametrize("name", CONTEXTS)
@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_every_case(case: Any, name: str) -> None:
    check_both_paths(case.input, CONTEXTS[name])


_texts = st.sampled_from(["", "Hello", "Hi.\n\nHello"])
_parts: st.SearchStrategy[Any] = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("output_text"), "text": _texts | st.none() | st.just(7)},
        optional={
            "annotations": st.sampled_from(
                [[], None, {}, [{"type": "file_path", "file_id": "f", "index": 0}]]
            ),
            "logprobs": st.just([]),
        },
    ),
    st.fixed_dictionaries({"type": st.just("refusal"), "refusal": _texts}),
    st.sampled_from([{"type": "odd"}, {}, None, "text"]),
)
_phases = st.sampled_from([None, "commentary", "final_answer", ""])
_items = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("message"), "content": st.lists(_parts, max_size=2) | st.none()},
        optional={"phase": _phases},
    ),
    st.sampled_from(
        [
            {"type": "reasoning", "summary": []},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "web_search_call"},
            {"type": "mcp_approval_request"},
            {},
            None,
        ]
    ),
)


@given(
    st.lists(_items, max_size=3),
    st.sampled_from(sorted(CONTEXTS)),
    st.sampled_from(["completed", "incomplete", None]),
)
def test_any_output(output: list[Any], name: str, status: str | None) -> None:
    check_both_paths(response(*output, status=status), CONTEXTS[name])


@corpus.needs_corpus
def test_most_recorded_answers_take_the_fast_path() -> None:
    fast = count = 0
    for recording in corpus.select(api="responses"):
        if isinstance(recording.response, dict) and isinstance(
            recording.response.get("output"), list
        ):
            check_both_paths(recording.response, CONTEXTS["plain"])
            fast += (
                response_to_chat._collect_plain(recording.response["output"], CONTEXTS["plain"])
                is not None
            )
            count += 1
    assert fast > count / 4 > 100


# JSON

_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(), max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(_json)
def test_requests_are_written_as_the_standard_library_writes_them(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        assert json_codec.dumps(value) == text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        assert json_codec.dumps(value) == json.dumps(value, separators=(",", ":")).encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf")], ids=str)
def test_values_that_json_cannot_represent(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_codec.dumps({"a": value})


def test_a_value_that_contains_itself() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ValueError, match="nested too deeply"):
        json_codec.dumps(value)


# Streams

supported = needs(SUPPORTED, "stream reader that the client way_in can help")


@supported
def test_a_stream_keeps_no_reference_to_its_chunks(sdk: Sdk, loopback: Loopback) -> None:
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


def test_a_reply_that_is_being_read_cannot_be_read_again(sdk: Sdk, loopback: Loopback) -> None:
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
