"""Several answers as one with several choices: whole, as chunks in every order, and as bytes cut anywhere.

The streams are those of the stream tables, each with an id, a date, a model and a tier of its own.
"""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from adapter._exchange.merged_stream import StreamMerger
from adapter._util import sse
from adapter.errors import StreamTruncated
from adapter.translation import ChunksFromEvents, chat_to_responses, response_to_completion
from adapter.translation.replies.merge import merge_completions, merge_moderation, sum_usage
from adapter.translation.streams.merge import ChoicesFromStreams
from tests.contract.test_edge_streams import (
    CASES,
    CHAT_USAGE,
    FOR_THE_HELPER,
    HELLO,
    Case,
    accumulated,
    asked,
    ending,
    message,
    on_refusal,
    on_text,
    opening,
    spoken,
)
from tests.support.chunking import CUTS, per_event
from tests.support.http import helpers_of, http

Json = dict[str, Any]
Order = Sequence[int]

TIERS = ("scale", "default", "default", "default")  # those that the oldest SDK knows
BY_ID: Mapping[str, Case] = {case.id: case for case in CASES}


_TOKEN: Json = {"token": "Hé", "logprob": -0.1, "bytes": [72, 195, 169], "top_logprobs": []}
_REFUSAL: Json = {"type": "refusal", "refusal": "I can't."}
_FILTERS: Json = {
    "blocked": False,
    "source_type": "completion",
    "content_filter_results": {"hate": {"filtered": False}},
}

# What the stream tables don't have in this form.
MORE = (
    Case(
        "logprobs",
        [*opening(), on_text("delta", 0, "Hé", logprobs=[_TOKEN]), on_text("delta", 0, "!", logprobs=[_TOKEN]), ending(message("Hé!"))],
        (),
        request={"logprobs": True},
    ),
    Case("refusal", [*opening(), on_refusal("delta", "I "), on_refusal("delta", "can't."), ending(message(_REFUSAL))], ()),
    Case("filters", [*opening(), *spoken(0, "Hello"), ending(message("Hello"), content_filters=[_FILTERS])], ()),
)  # fmt: skip
ANSWERS = (*CASES, *MORE)


def stream(k: int, case: Case, *, usage: bool = True) -> list[Json]:
    """Make the chunks of one answer, told apart by its number."""
    options: Json = {
        "stream": True,
        **({"stream_options": {"include_usage": True}} if usage else {}),
        **case.request,
    }
    made = chat_to_responses(asked(**options))
    machine = ChunksFromEvents(made.reply_context, made.paths)
    own = {
        "id": f"chatcmpl-{k}",
        "created": 1780000000 + k,
        "model": f"m-{k}",
        "service_tier": TIERS[k],
    }
    return [chunk | own for event in case.input for chunk in machine.feed(event)] + machine.close()


def sung(streams: Sequence[Sequence[Json]], order: Order) -> list[Json]:
    """Merge streams whose chunks come in this order (numbers of streams; the end of each follows its last chunk)."""
    machine = ChoicesFromStreams(len(streams))
    rest = [list(one) for one in streams]
    out: list[Json] = []
    for k in order:
        out += machine.feed(k, rest[k].pop(0))
        if not rest[k]:
            assert not machine.done
            out += machine.end(k)
    assert machine.done
    return out


def orders(lengths: Sequence[int]) -> Iterator[Order]:
    """Give all ways to interleave streams of these lengths."""
    if not any(lengths):
        yield ()
    for k, length in enumerate(lengths):
        if length:
            for rest in orders([*lengths[:k], length - 1, *lengths[k + 1 :]]):
                yield (k, *rest)


def of_choice(chunks: Sequence[Json], k: int) -> list[Json]:
    return [
        chunk | {"choices": [choice]}
        for chunk in chunks
        for choice in chunk["choices"]
        if choice["index"] == k
    ]


def roles(chunks: Sequence[Json], k: int) -> list[str]:
    deltas = [chunk["choices"][0]["delta"] for chunk in of_choice(chunks, k)]
    return [delta["role"] for delta in deltas if "role" in delta]


def check(chunks: Sequence[Json], streams: Sequence[Sequence[Json]]) -> None:
    """Hold what every merged stream promises."""
    first_seen = list(
        dict.fromkeys(choice["index"] for chunk in chunks for choice in chunk["choices"])
    )
    assert first_seen == list(range(len(streams)))
    for key in ("id", "created", "model", "system_fingerprint", "service_tier", "object"):
        assert {chunk[key] for chunk in chunks} == {streams[0][0][key]}
    for k, own in enumerate(streams):
        assert roles(chunks, k) == ["assistant"]
        assert accumulated(of_choice(chunks, k)) == accumulated(
            own
        )  # one finish chunk, and nothing behind it
        assert logprobs(of_choice(chunks, k)) == logprobs(own)
        finish = next(chunk for chunk in reversed(own) if chunk["choices"])["choices"][0]
        assert of_choice(chunks, k)[-1]["choices"] == [finish | {"index": k}]
    usages = [chunk["usage"] for own in streams for chunk in own if chunk.get("usage")]
    assert [chunk["usage"] for chunk in chunks if chunk.get("usage")] == (
        [sum_usage(usages)] if usages else []
    )
    assert not usages or (chunks[-1]["usage"] and not chunks[-1]["choices"])


def logprobs(chunks: Sequence[Json]) -> list[Any]:
    found = [choice.get("logprobs") for chunk in chunks for choice in chunk["choices"]]
    return [entry for one in found if one for entry in one["content"] or ()]


# Whole answers.


def body(k: int, **more: Any) -> Json:
    made = chat_to_responses(asked())
    reply = {
        "id": f"resp_{k}",
        "object": "response",
        "created_at": 1780000000 + k,
        "model": f"m-{k}",
    }
    said = reply | {"status": "completed", "output": [message(f"Answer {k}")]}
    return response_to_completion(said, made.reply_context, made.paths).body | more


def test_whole_answers() -> None:
    bodies = [
        body(k, usage=CHAT_USAGE, metadata={"k": str(k)}, service_tier=TIERS[k]) for k in range(3)
    ]
    before = copy.deepcopy(bodies)
    merged = merge_completions(bodies)
    assert [(choice["index"], choice["message"]["content"]) for choice in merged["choices"]] == [
        (0, "Answer 0"),
        (1, "Answer 1"),
        (2, "Answer 2"),
    ]
    assert [choice["finish_reason"] for choice in merged["choices"]] == ["stop"] * 3
    rest = {key: value for key, value in merged.items() if key not in ("choices", "usage")}
    assert rest == {
        key: value for key, value in bodies[0].items() if key not in ("choices", "usage")
    }
    assert merged["usage"] == {
        "prompt_tokens": 15,
        "completion_tokens": 12,
        "total_tokens": 27,
        "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 6,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
    assert bodies == before


def test_one_whole_answer_stays_what_it_is() -> None:
    assert merge_completions([body(0, usage=CHAT_USAGE)]) == body(0, usage=CHAT_USAGE)
    assert list(merge_completions([body(0, usage=CHAT_USAGE)])) == list(body(0, usage=CHAT_USAGE))


def test_no_usage_is_invented() -> None:
    assert "usage" not in merge_completions([body(0), body(1)])
    assert merge_completions([body(0), body(1, usage=None)])["usage"] is None
    assert merge_completions([body(0), body(1, usage=CHAT_USAGE)])["usage"] == CHAT_USAGE


def test_no_answers() -> None:
    with pytest.raises(ValueError, match="no answers"):
        merge_completions([])


SUMS: Mapping[str, tuple[list[Any], Any]] = {
    "nothing": ([], None),
    "none known": ([None, None], None),
    "one known": ([None, {"total_tokens": 3}], {"total_tokens": 3}),
    "two": ([{"total_tokens": 3}, {"total_tokens": 4}], {"total_tokens": 7}),
    "zeros": ([{"a": 0}, {"a": 0}], {"a": 0}),
    "a key that one lacks": ([{"a": 1}, {"a": 1, "b": 2}], {"a": 2, "b": 2}),
    "a null beside a number": ([{"a": None}, {"a": 2}], {"a": 2}),
    "nulls": ([{"a": None}, {"a": None}], {"a": None}),
    "details": ([{"d": {"a": 1}}, {"d": {"a": 2, "b": 1}}], {"d": {"a": 3, "b": 1}}),
    "details that one lacks": ([{"a": 1}, {"a": 1, "d": {"b": 1}}], {"a": 2, "d": {"b": 1}}),
    "null details": ([{"d": None}, {"d": {"b": 1}}], {"d": {"b": 1}}),
    "not a number": ([{"a": "x", "b": True, "c": 0.5}, {"a": "y", "b": True, "c": 0.5}], {"a": None, "b": None, "c": None}),
}  # fmt: skip


@pytest.mark.parametrize("case", SUMS)
def test_sums(case: str) -> None:
    usages, expected = SUMS[case]
    assert sum_usage(usages) == expected


def verdict(name: str, *results: str) -> Json:
    return {
        name: {
            "type": "moderation_results",
            "model": "mod",
            "results": [{"is": one} for one in results],
        }
    }


FAILED: Json = {"output": {"type": "error", "code": "c", "message": "m"}}

MODERATIONS: Mapping[str, tuple[list[Any], Any]] = {
    "none": ([None, None], None),
    "one": ([verdict("output", "a")], verdict("output", "a")),
    "outputs in order": (
        [
            verdict("input", "q") | verdict("output", "a"),
            verdict("input", "q") | verdict("output", "b"),
        ],
        verdict("input", "q") | verdict("output", "a", "b"),
    ),
    "the input alone": ([verdict("input", "q"), verdict("input", "q")], verdict("input", "q")),
    "an error stands for all": ([verdict("output", "a"), FAILED], FAILED),
    "one that nobody moderated": ([None, verdict("output", "b")], verdict("output", "b")),
}


@pytest.mark.parametrize("case", MODERATIONS)
def test_moderations(case: str) -> None:
    given_, expected = MODERATIONS[case]
    before = copy.deepcopy(given_)
    assert merge_moderation(given_) == expected
    assert given_ == before


# Streams, chunk by chunk.


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("case", ANSWERS, ids=[case.id for case in ANSWERS])
def test_every_answer_n_times_in_step(case: Case, n: int) -> None:
    streams = [stream(k, case) for k in range(n)]
    before = copy.deepcopy(streams)
    in_step = [k for _ in streams[0] for k in range(n)]
    backwards = [k for k in reversed(range(n)) for _ in streams[k]]
    for order in (in_step, backwards):
        check(sung(streams, order), streams)
    assert streams == before


SHORT = {
    "two texts": [BY_ID["50-only-item-done"], BY_ID["50-nothing-before-completed"]],
    "text, call": [Case("", [*opening(), *spoken(0, "Hello"), ending(message("Hello"))], HELLO), BY_ID["50-only-completed"]],
    "call, text, nothing": [
        BY_ID["50-empty-arguments"],
        Case("", [*opening(), on_text("delta", 0, "Hi"), ending(message("Hi"))], HELLO),
        BY_ID["51-no-text-at-all"],
    ],
}  # fmt: skip


@pytest.mark.parametrize("case", SHORT)
def test_every_order_of_the_chunks(case: str) -> None:
    streams = [stream(k, one, usage=k > 0) for k, one in enumerate(SHORT[case])]
    seen = 0
    for order in orders([len(one) for one in streams]):
        check(sung(streams, order), streams)
        seen += 1
    assert seen > 10


def test_what_opens_a_stream() -> None:
    first, second, third = (
        stream(k, case, usage=False) for k, case in enumerate((BY_ID["50-only-item-done"],) * 3)
    )
    machine = ChoicesFromStreams(3)
    assert machine.feed(2, third[0]) == []
    out = machine.feed(0, first[0])
    assert [chunk["choices"] for chunk in out] == [
        first[0]["choices"],
        [{"index": 1, "delta": {"role": "assistant"}, "logprobs": None, "finish_reason": None}],
        [third[0]["choices"][0] | {"index": 2}],
    ]
    (later,) = machine.feed(1, second[0])
    assert later["choices"][0]["delta"] == {
        key: value for key, value in second[0]["choices"][0]["delta"].items() if key != "role"
    }


def test_the_keys_of_chunks_are_kept() -> None:
    case = BY_ID["50-only-item-done"]
    streams = [
        [chunk | {"obfuscation": f"x{k}", "extra": k} for chunk in stream(k, case)[:-1]]
        for k in range(2)
    ]
    out = sung(streams, [0, *[1] * len(streams[1]), *[0] * (len(streams[0]) - 1)])
    assert out[1]["usage"] is None
    assert "obfuscation" not in out[1]
    for k in range(2):
        own = [chunk for chunk in of_choice(out, k) if "extra" in chunk]
        assert [chunk["obfuscation"] for chunk in own] == [f"x{k}"] * len(streams[k])
        assert [chunk["extra"] for chunk in own] == [k] * len(streams[k])
        assert [chunk["usage"] for chunk in own] == [None] * len(streams[k])


@pytest.mark.parametrize("given_", [(0, 1), (0,), (1,), ()], ids=str)
def test_usage_comes_once_and_last(given_: tuple[int, ...]) -> None:
    case = BY_ID["50-only-item-done"]
    streams = [stream(k, case)[: None if k in given_ else -1] for k in range(2)]
    out = sung(streams, [*[0] * len(streams[0]), *[1] * len(streams[1])])
    usages = [chunk for chunk in out if not chunk["choices"]]
    assert usages == ([] if not given_ else [out[-1]])
    if given_:
        assert out[-1]["usage"] == sum_usage([CHAT_USAGE] * len(given_))


def test_moderation_comes_once_and_before_the_usage() -> None:
    case = BY_ID["50-only-item-done"]
    streams = []
    for k in range(2):
        *chunks, usage = stream(k, case)
        streams.append(
            [*chunks, usage | {"usage": None} | {"moderation": verdict("output", f"o{k}")}, usage]
        )
    for order in (
        [*[1] * len(streams[1]), *[0] * len(streams[0])],
        [k for _ in streams[0] for k in range(2)],
    ):
        out = sung(streams, order)
        assert [chunk for chunk in out if chunk.get("moderation")] == [out[-2]]
        assert out[-2]["moderation"] == verdict("output", "o0", "o1")
        assert (out[-2]["usage"], out[-2]["choices"]) == (None, [])
        assert out[-1]["usage"]["total_tokens"] == 18


def test_chunks_that_only_azure_has_pass_as_they_are() -> None:
    empty = {"id": "", "object": "", "created": 0, "model": ""}
    prompt = empty | {"choices": [], "prompt_filter_results": []}
    late = empty | {
        "choices": [
            {"index": 0, "finish_reason": None, "content_filter_offsets": {"end_offset": 5}}
        ]
    }
    streams = []
    for k in range(2):
        first, *rest = stream(k, BY_ID["50-only-item-done"])
        streams.append([prompt, late, first, late, *rest])
    for order in ([0, 1] * len(streams[0]), [k for k in (1, 0) for _ in streams[0]]):
        out = sung(streams, order)
        filters = [chunk for chunk in out if not chunk["id"]]
        assert [chunk for chunk in filters if not chunk["choices"]] == [prompt, prompt]
        offsets = [chunk for chunk in filters if chunk["choices"]]
        assert sorted(chunk["choices"][0]["index"] for chunk in offsets) == [0, 0, 1, 1]
        assert all(chunk | {"choices": late["choices"]} == late for chunk in offsets)
        rest = [chunk for chunk in out if chunk["id"]]
        check(rest, [[chunk for chunk in own if chunk["id"]] for own in streams])
        assert out[0]["id"] == "chatcmpl-0"


def test_another_chunk_without_choices_passes() -> None:
    streams = [stream(k, BY_ID["50-only-item-done"]) for k in range(2)]
    streams[1].insert(1, streams[1][0] | {"choices": [], "told": 1})
    out = sung(streams, [*[1] * len(streams[1]), *[0] * len(streams[0])])
    assert [chunk["id"] for chunk in out if "told" in chunk] == ["chatcmpl-0"]


def test_the_tier_is_the_last_that_stream_0_told() -> None:
    streams = [stream(k, BY_ID["50-only-item-done"]) for k in range(2)]
    for chunk in streams[0][-2:]:
        chunk["service_tier"] = "default"
    out = sung(streams, [*[0] * len(streams[0]), *[1] * len(streams[1])])
    assert out[0]["service_tier"] == TIERS[0]
    assert out[-1]["service_tier"] == out[-2]["service_tier"] == "default"


def test_a_stream_that_ends_unfinished() -> None:
    machine = ChoicesFromStreams(2)
    machine.feed(0, stream(0, BY_ID["50-only-item-done"])[0])
    for k in range(2):
        with pytest.raises(StreamTruncated, match=rf"choices\[{k}\]"):
            machine.end(k)
    assert not machine.done


def test_what_comes_after_the_end_is_skipped() -> None:
    chunks = stream(0, BY_ID["50-only-item-done"])
    machine = ChoicesFromStreams(1)
    for chunk in chunks:
        machine.feed(0, chunk)
    assert machine.end(0)
    assert machine.feed(0, chunks[0]) == []
    assert machine.end(0) == []


@pytest.mark.parametrize("k", [-1, 2])
def test_there_are_n_streams(k: int) -> None:
    machine = ChoicesFromStreams(2)
    with pytest.raises(IndexError):
        machine.feed(k, {})
    with pytest.raises(IndexError):
        machine.end(k)
    with pytest.raises(ValueError, match="stream"):
        ChoicesFromStreams(0)


# What the SDK makes of it.


def helped(chunks: Sequence[Json]) -> Any:
    """Accumulate as the SDK's `.stream()` does."""
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    for chunk in chunks:
        state.handle_chunk(ChatCompletionChunk.model_validate(copy.deepcopy(chunk)))
    return state.get_final_completion()


@given(st.data())
def test_the_helper_makes_of_each_choice_what_it_makes_of_each_stream(data: st.DataObject) -> None:
    cases = data.draw(st.lists(st.sampled_from((*FOR_THE_HELPER, *MORE)), min_size=1, max_size=4))
    streams = [stream(k, case) for k, case in enumerate(cases)]
    order = data.draw(st.permutations([k for k, own in enumerate(streams) for _ in own]))
    chunks = sung(streams, order)
    check(chunks, streams)
    made = helped(chunks)
    singles = [helped(own) for own in streams]
    assert made.model_dump(exclude={"choices", "usage"}) == singles[0].model_dump(
        exclude={"choices", "usage"}
    )
    assert made.usage.model_dump() == sum_usage(one.usage.model_dump() for one in singles)
    for k, single in enumerate(singles):
        assert made.choices[k].model_dump() == single.choices[0].model_dump() | {"index": k}


# Bytes.


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
    chorus, out = StreamMerger(len(streams)), b""
    for k in data.draw(st.permutations([k for k, own in enumerate(pieces) for _ in own])):
        assert not chorus.done
        out += chorus.feed(k, pieces[k].pop(0))
        if not pieces[k]:
            chorus.close(k)
    assert chorus.done
    assert not chorus.failed
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
    chorus = StreamMerger(n)
    said = [
        chorus.feed(k, piece)
        for row in itertools.zip_longest(*pieces)
        for k, piece in enumerate(row)
        if piece
    ]
    assert b"".join(said).count(b"[DONE]") == 1
    answer = http.Response(
        200, headers={"content-type": "text/event-stream"}, content=b"".join(said)
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
    chorus = StreamMerger(2)
    before = b""
    for position in range(after):
        for i in range(2):
            before += chorus.feed(i, sse.frame(streams[i][position]))
    assert not chorus.done
    assert chorus.feed(k, sse.frame(ERROR) + sse.frame(ERROR)) == sse.frame(ERROR)
    assert (chorus.done, chorus.failed) == (True, True)
    assert chorus.feed(1 - k, frames(streams[1 - k])) == b""
    chorus.close(0)
    chorus.close(1)
    assert b'finish_reason":"' not in before
    assert b"[DONE]" not in before


BROKEN: Mapping[str, tuple[bytes, str]] = {
    "not JSON": (b"data: {\n\n", "invalid_event"),
    "not an object": (b"data: []\n\n", "invalid_event"),
    "empty": (b"data:\n\n", "invalid_event"),
    "done before the finish": (sse.DONE, "stream_inconsistent"),
    "a shape that nobody has": (
        b'data: {"object":"chat.completion.chunk","choices":[7]}\n\n',
        "adapter_bug",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_chat_stream(case: str) -> None:
    data, code = BROKEN[case]
    chorus = StreamMerger(2)
    (frame,) = per_event(chorus.feed(1, data))
    assert json.loads(frame.removeprefix(b"data: "))["error"]["code"] == code
    assert (chorus.done, chorus.failed) == (True, True)


def test_a_bug_is_raised_where_that_was_asked_for() -> None:
    with pytest.raises(AttributeError):
        StreamMerger(1, on_bug_raise=True).feed(0, BROKEN["a shape that nobody has"][0])


@pytest.mark.parametrize("k", [0, 1])
def test_a_stream_that_closes_early(k: int) -> None:
    streams = [stream(i, BY_ID["50-only-item-done"]) for i in range(2)]
    whole = [per_event(frames(own)) for own in streams]
    for length in range(len(whole[k])):
        chorus = StreamMerger(2)
        said = chorus.feed(1 - k, b"".join(whole[1 - k]))
        said += b"".join(chorus.feed(k, piece) for piece in whole[k][:length])
        chorus.close(1 - k)
        with pytest.raises(StreamTruncated, match=rf"choices\[{k}\]"):
            chorus.close(k)
        assert b"[DONE]" not in said
        assert (chorus.done, chorus.failed) == (True, True)
        chorus.close(k)  # once is enough


def test_comments_and_what_follows_the_end_are_skipped() -> None:
    own = stream(0, BY_ID["50-only-item-done"])
    chorus = StreamMerger(1)
    said = chorus.feed(0, b": keepalive\n\n" + frames(own) + sse.frame(own[0]))
    check(read(said), [own])
    assert chorus.feed(0, frames(own)) == b""
