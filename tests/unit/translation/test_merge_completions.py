"""Merging several completions into one (docs/mapping.md#several-choices)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest

from adapter.translation import chat_to_responses, response_to_completion
from adapter.translation.replies.merge import merge_completions, merge_moderation, sum_usage
from tests.contract.test_edge_streams import CHAT_USAGE, asked, message
from tests.unit.translation.test_merge import TIERS, verdict

Json = dict[str, Any]


def body(k: int, **more: Any) -> Json:
    made = chat_to_responses(asked())
    reply: Json = {
        "id": f"resp_{k}",
        "object": "response",
        "created_at": 1780000000 + k,
        "model": f"m-{k}",
    }
    reply |= {"status": "completed", "output": [message(f"Answer {k}")]}
    return response_to_completion(reply, made.reply_context, made.paths).body | more


def test_whole_answers() -> None:
    bodies = [
        body(k, usage=CHAT_USAGE, metadata={"k": str(k)}, service_tier=TIERS[k]) for k in range(3)
    ]
    before = copy.deepcopy(bodies)
    whole = merge_completions(bodies)
    assert [(choice["index"], choice["message"]["content"]) for choice in whole["choices"]] == [
        (0, "Answer 0"),
        (1, "Answer 1"),
        (2, "Answer 2"),
    ]
    assert [choice["finish_reason"] for choice in whole["choices"]] == ["stop"] * 3
    rest = {key: value for key, value in whole.items() if key not in ("choices", "usage")}
    assert rest == {
        key: value for key, value in bodies[0].items() if key not in ("choices", "usage")
    }
    assert whole["usage"] == {
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
    "not a number": (
        [{"a": "x", "b": True, "c": 0.5}, {"a": "y", "b": True, "c": 0.5}],
        {"a": None, "b": None, "c": None},
    ),
}


@pytest.mark.parametrize("case", SUMS)
def test_sums(case: str) -> None:
    usages, expected = SUMS[case]
    assert sum_usage(usages) == expected


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
    "one without moderation": ([None, verdict("output", "b")], verdict("output", "b")),
}


@pytest.mark.parametrize("case", MODERATIONS)
def test_moderations(case: str) -> None:
    given_, expected = MODERATIONS[case]
    before = copy.deepcopy(given_)
    assert merge_moderation(given_) == expected
    assert given_ == before
