"""Merging several streams of chunks, in every order (docs/mapping.md#several-choices).

The streams are those of the stream tables, each with its own id, date, model and tier.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from adapter.errors import StreamTruncated
from adapter.translation import ChunksFromEvents, chat_to_responses
from adapter.translation.replies.merge import sum_usage
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
    message_events,
    on_refusal,
    on_text,
    opening,
)

Json = dict[str, Any]
Order = Sequence[int]

TIERS = ("scale", "default", "default", "default")  # known to the oldest SDK
BY_ID: Mapping[str, Case] = {case.id: case for case in CASES}


_TOKEN: Json = {"token": "Hé", "logprob": -0.1, "bytes": [72, 195, 169], "top_logprobs": []}
_REFUSAL: Json = {"type": "refusal", "refusal": "I can't."}
_FILTERS: Json = {
    "blocked": False,
    "source_type": "completion",
    "content_filter_results": {"hate": {"filtered": False}},
}

# Cases that the stream tables don't have in this form.
MORE = (
    Case(
        "logprobs",
        [
            *opening(),
            on_text("delta", 0, "Hé", logprobs=[_TOKEN]),
            on_text("delta", 0, "!", logprobs=[_TOKEN]),
            ending(message("Hé!")),
        ],
        (),
        request={"logprobs": True},
    ),
    Case(
        "refusal",
        [
            *opening(),
            on_refusal("delta", "I "),
            on_refusal("delta", "can't."),
            ending(message(_REFUSAL)),
        ],
        (),
    ),
    Case(
        "filters",
        [
            *opening(),
            *message_events(0, "Hello"),
            ending(message("Hello"), content_filters=[_FILTERS]),
        ],
        (),
    ),
)
ANSWERS = (*CASES, *MORE)


def stream(k: int, case: Case, *, usage: bool = True) -> list[Json]:
    """Return the chunks of one answer, with values that depend on its number."""
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


def merged(streams: Sequence[Sequence[Json]], order: Order) -> list[Json]:
    """Merge streams whose chunks arrive in this order of stream numbers.

    Each stream ends after its last chunk.
    """
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
    """Yield all ways to interleave streams of these lengths."""
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
    """Check the properties of every merged stream."""
    first_seen = list(
        dict.fromkeys(choice["index"] for chunk in chunks for choice in chunk["choices"])
    )
    assert first_seen == list(range(len(streams)))
    for key in ("id", "created", "model", "system_fingerprint", "service_tier", "object"):
        assert {chunk[key] for chunk in chunks} == {streams[0][0][key]}
    for k, own in enumerate(streams):
        assert roles(chunks, k) == ["assistant"]
        # One finish chunk, and nothing after it.
        assert accumulated(of_choice(chunks, k)) == accumulated(own)
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


def verdict(name: str, *results: str) -> Json:
    return {
        name: {
            "type": "moderation_results",
            "model": "mod",
            "results": [{"is": one} for one in results],
        }
    }


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("case", ANSWERS, ids=[case.id for case in ANSWERS])
def test_every_answer_n_times_in_step(case: Case, n: int) -> None:
    streams = [stream(k, case) for k in range(n)]
    before = copy.deepcopy(streams)
    in_step = [k for _ in streams[0] for k in range(n)]
    backwards = [k for k in reversed(range(n)) for _ in streams[k]]
    for order in (in_step, backwards):
        check(merged(streams, order), streams)
    assert streams == before


SHORT = {
    "two texts": [BY_ID["50-only-item-done"], BY_ID["50-nothing-before-completed"]],
    "text, call": [
        Case("", [*opening(), *message_events(0, "Hello"), ending(message("Hello"))], HELLO),
        BY_ID["50-only-completed"],
    ],
    "call, text, nothing": [
        BY_ID["50-empty-arguments"],
        Case("", [*opening(), on_text("delta", 0, "Hi"), ending(message("Hi"))], HELLO),
        BY_ID["51-no-text-at-all"],
    ],
}


@pytest.mark.parametrize("case", SHORT)
def test_every_order_of_the_chunks(case: str) -> None:
    streams = [stream(k, one, usage=k > 0) for k, one in enumerate(SHORT[case])]
    seen = 0
    for order in orders([len(one) for one in streams]):
        check(merged(streams, order), streams)
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
    out = merged(streams, [0, *[1] * len(streams[1]), *[0] * (len(streams[0]) - 1)])
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
    out = merged(streams, [*[0] * len(streams[0]), *[1] * len(streams[1])])
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
        out = merged(streams, order)
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
        out = merged(streams, order)
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
    streams[1].insert(1, streams[1][0] | {"choices": [], "extra": 1})
    out = merged(streams, [*[1] * len(streams[1]), *[0] * len(streams[0])])
    assert [chunk["id"] for chunk in out if "extra" in chunk] == ["chatcmpl-0"]


def test_the_tier_is_the_last_of_stream_0() -> None:
    streams = [stream(k, BY_ID["50-only-item-done"]) for k in range(2)]
    for chunk in streams[0][-2:]:
        chunk["service_tier"] = "default"
    out = merged(streams, [*[0] * len(streams[0]), *[1] * len(streams[1])])
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


# The SDK's helper.


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
    chunks = merged(streams, order)
    check(chunks, streams)
    made = helped(chunks)
    singles = [helped(own) for own in streams]
    assert made.model_dump(exclude={"choices", "usage"}) == singles[0].model_dump(
        exclude={"choices", "usage"}
    )
    assert made.usage.model_dump() == sum_usage(one.usage.model_dump() for one in singles)
    for k, single in enumerate(singles):
        assert made.choices[k].model_dump() == single.choices[0].model_dump() | {"index": k}
