"""Measure another library in its own environment, in turns with the native SDK.

This file imports nothing of the project.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import Any

ROUNDS, DELTAS = 15, 200


def _langchain(base_url: str, bench_header: str) -> tuple[Any, Any]:
    from langchain_openai import ChatOpenAI  # type: ignore[import-not-found,unused-ignore]

    model = ChatOpenAI(
        model="gpt-4.1",
        api_key="key",
        base_url=base_url,
        use_responses_api=True,
        default_headers={"x-bench": bench_header},
    )
    return lambda: [None for _ in model.stream("Hello")], lambda: model.invoke("Hello")


def _litellm(base_url: str, bench_header: str) -> tuple[Any, Any]:
    import litellm  # type: ignore[import-not-found,unused-ignore]

    def call(**more: Any) -> Any:
        return litellm.completion(
            model="openai/responses/gpt-4.1", messages=[{"role": "user", "content": "Hello"}],
            api_key="key", api_base=base_url, extra_headers={"x-bench": bench_header}, **more,
        )  # fmt: skip

    return lambda: [None for _ in call(stream=True)], call


def _native(base_url: str, bench_header: str) -> tuple[Any, Any]:
    import openai

    client = openai.OpenAI(
        api_key="key", base_url=base_url, default_headers={"x-bench": bench_header}
    )

    def call(**more: Any) -> Any:
        messages: Any = [{"role": "user", "content": "Hello"}]
        return client.chat.completions.create(model="gpt-4.1", messages=messages, **more)

    return lambda: [None for _ in call(stream=True)], call


def _measure(name: str, base_url: str) -> None:
    bench_header = f"n{DELTAS}-g0"
    library, native = (
        {"langchain": _langchain, "litellm": _litellm}[name](base_url, bench_header),
        _native(base_url, bench_header),
    )
    found = {}
    for k, what in enumerate(
        (f"sync stream of {DELTAS} deltas, CPU per delta", "whole answer, 1 message, CPU per call")
    ):
        taken: list[tuple[float, float]] = []
        for _ in range(ROUNDS + 2):
            times = []
            for work in (library[k], native[k]):
                began = time.process_time()
                work()
                times.append(time.process_time() - began)
            taken.append((times[0], times[0] / times[1]))
        warm = taken[2:]
        found[what] = tuple(statistics.median(values) for values in zip(*warm, strict=True))
    print(json.dumps(found))


if __name__ == "__main__":
    _measure(*sys.argv[1:])
