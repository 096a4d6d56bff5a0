"""Merging several streams of bytes into one, split anywhere (docs/mapping.md#several-choices)."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter._exchange.merged_stream import StreamMerger
from adapter._util import sse
from adapter.errors import StreamTruncated
from tests.contract.test_edge_streams import asked
from tests.support.chunking import CUTS, per_event
from tests.support.http import helpers_of, http
from tests.unit.translation.test_merge import ANSWERS, BY_ID, MORE, check, helped, stream

Json = dict[str, Any]


def frames(chunks: Sequence[Json]) -> bytes:
    return b"".join(map(sse.frame, chunks)) + sse.DONE


def read(data: bytes) -> list[Json]:
    *events, last = [event.data for event in sse.Decoder().feed(data)]
    assert last == b"[DONE]"
    return [json.loads(event) for event in events]


@given(st.data())
def test_bytes_however_they_arrive(data: st.DataObject) -> None:
    cases = data.draw(st.lists(st.sampled_from(ANSWERS), min_size=1, max_size=3))
    streams = [stream(k, case) for k, case in enumerate(cases)]
    pieces = [data.draw(st.sampled_from(list(CUTS.values())[:3]))(frames(own)) for own in streams]
    merger, out = StreamMerger(len(streams)), b""
    for k in data.draw(st.permutations([k for k, own in enumerate(pieces) for _ in own])):
        assert not merger.done
        out += merger.feed(k, pieces[k].pop(0))
        if not pieces[k]:
            merger.close(k)
    assert merger.done
    assert not merger.failed
    check(read(out), streams)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("cut", CUTS)
def test_the_client_reads_the_bytes(n: int, cut: str) -> None:
    cases = [
        BY_ID["50-deltas-and-all-dones"],
        BY_ID["52-text-and-two-calls"],
        BY_ID["60-interleaved"],
        MORE[0],
    ]
    streams = [stream(k, cases[k]) for k in range(n)]
    pieces = [CUTS[cut](frames(own)) for own in streams]
    merger = StreamMerger(n)
    frames_out = [
        merger.feed(k, piece)
        for row in itertools.zip_longest(*pieces)
        for k, piece in enumerate(row)
        if piece
    ]
    assert b"".join(frames_out).count(b"[DONE]") == 1
    answer = http.Response(
        200, headers={"content-type": "text/event-stream"}, content=b"".join(frames_out)
    )
    mock = http.Client(transport=http.MockTransport(lambda _: answer))
    client = openai.OpenAI(
        api_key="k", base_url="http://x.test/v1", http_client=mock, max_retries=0
    )
    with client, helpers_of(client).stream(**asked(n=n)) as events:
        made = events.get_final_completion()
    for k, own in enumerate(streams):
        assert made.choices[k].model_dump() == helped(own).choices[0].model_dump() | {"index": k}
    assert made.usage is not None
    assert made.usage.total_tokens == 9 * n


ERROR: Json = {
    "error": {
        "message": "Upstream says no.",
        "type": "server_error",
        "param": None,
        "code": "server_error",
    }
}


@pytest.mark.parametrize("k", [0, 1])
@pytest.mark.parametrize("after", [0, 1, 2])
def test_an_error_in_one_ends_all(k: int, after: int) -> None:
    streams = [stream(i, BY_ID["50-deltas-and-all-dones"]) for i in range(2)]
    merger = StreamMerger(2)
    before = b""
    for position in range(after):
        for i in range(2):
            before += merger.feed(i, sse.frame(streams[i][position]))
    assert not merger.done
    assert merger.feed(k, sse.frame(ERROR) + sse.frame(ERROR)) == sse.frame(ERROR)
    assert (merger.done, merger.failed) == (True, True)
    assert merger.feed(1 - k, frames(streams[1 - k])) == b""
    merger.close(0)
    merger.close(1)
    assert b'finish_reason":"' not in before
    assert b"[DONE]" not in before


BROKEN: Mapping[str, tuple[bytes, str]] = {
    "not JSON": (b"data: {\n\n", "invalid_event"),
    "not an object": (b"data: []\n\n", "invalid_event"),
    "empty": (b"data:\n\n", "invalid_event"),
    "done before the finish": (sse.DONE, "stream_inconsistent"),
    "an unknown shape": (
        b'data: {"object":"chat.completion.chunk","choices":[7]}\n\n',
        "adapter_bug",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_chat_stream(case: str) -> None:
    data, code = BROKEN[case]
    merger = StreamMerger(2)
    (frame,) = per_event(merger.feed(1, data))
    assert json.loads(frame.removeprefix(b"data: "))["error"]["code"] == code
    assert (merger.done, merger.failed) == (True, True)


def test_a_bug_is_raised_where_that_was_asked_for() -> None:
    with pytest.raises(AttributeError):
        StreamMerger(1, on_bug_raise=True).feed(0, BROKEN["an unknown shape"][0])


@pytest.mark.parametrize("k", [0, 1])
def test_a_stream_that_closes_early(k: int) -> None:
    streams = [stream(i, BY_ID["50-only-item-done"]) for i in range(2)]
    whole = [per_event(frames(own)) for own in streams]
    for length in range(len(whole[k])):
        merger = StreamMerger(2)
        out = merger.feed(1 - k, b"".join(whole[1 - k]))
        out += b"".join(merger.feed(k, piece) for piece in whole[k][:length])
        merger.close(1 - k)
        with pytest.raises(StreamTruncated, match=rf"choices\[{k}\]"):
            merger.close(k)
        assert b"[DONE]" not in out
        assert (merger.done, merger.failed) == (True, True)
        merger.close(k)  # once is enough


def test_comments_and_what_follows_the_end_are_skipped() -> None:
    own = stream(0, BY_ID["50-only-item-done"])
    merger = StreamMerger(1)
    out = merger.feed(0, b": keepalive\n\n" + frames(own) + sse.frame(own[0]))
    check(read(out), [own])
    assert merger.feed(0, frames(own)) == b""
