"""Merge N completions into one with N choices (docs/mapping.md#several-choices)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def merge_completions(bodies: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Merge the JSON of N ChatCompletions with one choice each; a choice's index is its number.

    The top level is that of completion 0, `usage` the sum of all, `moderation` that of the input of
    completion 0 and of all outputs. Raises ValueError without completions.
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
    """Add up the integers of usage objects and of the objects in them; None without any object.

    A count that some of them lack is the sum of the others; a key without any integer is null.
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
    """Merge moderation objects: the input's results of the first, the outputs' results of all.

    If an output could not be moderated, its error replaces all results: a list without it would
    look as if every output had passed.
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
