"""Both backends at once: the replies recorded on each are equal."""

from __future__ import annotations

from pathlib import Path

import pytest
from triage.clients import MODEL, client
from triage.loop import DEFINITIONS
from triage.middleware import prepared

from adapter import use
from adapter.testing import assert_same_turn
from adapter.testing.cassettes import use_cassette

HERE = Path(__file__).parent / "cassettes" / "test_same_turn"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    "asked", ["Where is my order 1042?", "Draft a reply."], ids=["call", "text"]
)
def test_both_sides_say_the_same(asked: str, stream: bool, request: pytest.FixtureRequest) -> None:
    turns = []
    for side in ("chat", "responses"):
        path = HERE / f"{request.node.callspec.id}.{side}.yaml"
        with (
            use_cassette(path, record=request.config.getoption("adapter_record")),
            use(backend=side),
        ):
            result = client().chat.completions.create(
                model=MODEL,
                messages=prepared([{"role": "user", "content": asked}]),
                tools=DEFINITIONS,
                stream=stream,
            )
            turns.append(list(result) if stream else result)
    assert_same_turn(*turns)
