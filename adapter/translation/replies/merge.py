"""N completions → one with N choices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def merge_completions(bodies: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Merge N ChatCompletions of one choice each, as JSON, into one: a choice's index is the number of its answer.

    The top level is that of answer 0; `usage` is the sum over all that have one, `moderation` the input's of answer 0
    beside all outputs'. Raises ValueError where there is no answer at all.
    """
    if not bodies:
        raise ValueError("no answers to merge")
    merged = {
        **bodies[0],
        "choices": [
            {**choice, "index": k} for k, body in enumerate(bodies) for choice in body["choices"]
        ],
    }
    for key, joined in (("usage", sum_usage), ("moderation", merge_moderation)):
        if any(key in body for body in bodies):
            merged[key] = joined(body.get(key) for body in bodies)
    return merged


def sum_usage(usages: Iterable[Any]) -> dict[str, Any] | None:
    """Add up the integers of usage objects and of the objects inside them; None where none of them is an object.

    A count that some answers leave out is the sum of the others. A key without a single integer is null: nothing is
    invented, and nothing is called a sum that is none.
    """
    known = [usage for usage in usages if isinstance(usage, dict)]
    if not known:
        return None
    total: dict[str, Any] = {}
    for key in dict.fromkeys(key for usage in known for key in usage):
        values = [usage.get(key) for usage in known]
        counts = [
            value for value in values if isinstance(value, int) and not isinstance(value, bool)
        ]
        total[key] = sum(counts) if counts else sum_usage(values)
    return total


def merge_moderation(moderations: Iterable[Any]) -> dict[str, Any] | None:
    """Merge moderation objects: the input's results from the first, the outputs' results listed in the answers' order.

    An output that could not be moderated hides the others: its error stands for all, since a list that lacks one looks
    like a clean bill.
    """
    known = [moderation for moderation in moderations if isinstance(moderation, dict)]
    if not known:
        return None
    merged = dict(known[0])
    outputs = [
        moderation["output"] for moderation in known if isinstance(moderation.get("output"), dict)
    ]
    failed = [output for output in outputs if not isinstance(output.get("results"), list)]
    if failed:
        merged["output"] = failed[0]
    elif outputs:
        merged["output"] = {
            **outputs[0],
            "results": [result for output in outputs for result in output["results"]],
        }
    return merged
