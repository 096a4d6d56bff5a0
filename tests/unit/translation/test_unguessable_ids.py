"""Unguessable call ids: tables of ids of servers, people and programs, and random ids."""

from __future__ import annotations

import base64
import random
import string
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from adapter.translation.reasoning.unguessable_ids import is_unguessable
from tests.support import corpus
from tests.support.corpus import needs_corpus

UNGUESSABLE = {
    "OpenAI": "call_6Rm2WqXz90LbTfVh3KpYc8Nd",
    "OpenAI, no digit in it": "call_RmzWqXzfLbTfVhgKpYcBNdQe",
    "OpenAI, an item's": "fc_0a1363204f5a6fae016a1f595d612c81978ef18dfb79594b77",
    "xAI": "call-7b2ad7c2-75ce-47f2-9606-a7b7003d683e-0",
    "Bedrock": "resp_3irkem3mb4qjb6cw3bfrozqwtev62iuhg5ygpmhx2j775j2hft5q:call_1",
    "Anthropic": "toolu_01FupCqh9WiFLKTeXddq4ZXH",
    "vLLM": "chatcmpl-tool-504f8147f83f44f3a5f14d87bfd01bda",
    "llama.cpp": "ffi85j4c0lqwsfwaK7uYtR3mNbVx2zPd",
    "OpenRouter for Gemini": "tool_0_get_weather_a8Fk29xQ0zLmP3vRt7Wn",
    "16 characters": "a8Fk29xQ0zLmP3vR",
    "16 hexadecimal digits": "call_9f3a60c7d21be854",
    "base 64 for URLs": "call_x-9F_k2Lq-Vb8Zt_R4mWs7",
    "a UUID of version 7": "0192f0c3-7a1b-7c3e-9d41-6b8fe2a05c97",
    "a name and a random end": "call_confirm_a8Fk29xQ0zLmP3vR",
}

GUESSABLE = {
    "empty": "",
    "a counter": "call_0",
    "a digit": "1",
    "a padded counter": "call_000000000000000000000001",
    "a hexadecimal counter": "call_00000000000000000000000a",
    "Mistral's nine": "D681PevKs",
    "Ollama's eight": "call_hq1dul8c",
    "15 characters": "call_a8Fk29xQ0zLmP3v",
    "digits": "call_3466696471230001",
    "Gemini's digits": "function-call-7083729164028571936",
    "seconds": "call_1764470918",
    "microseconds and a counter": "call_1764470918123456_ab",
    "seconds and eight digits": "call_1764470918ab12cd3f",
    "milliseconds and digits": "call_1764470918123ab12cd3f0a1",
    "a date": "call_20261130T024838Z0001",
    "a date, written out": "call_2026-11-30T02:48:38.123456",
    "Kimi's": "functions.get_weather_forecast:0",
    "words": "call_weather_lookup_for_seattle_and_paris_0001",
    "words, joined": "call_getCurrentWeatherInParis1",
    "words, in small letters": "call_loremipsumdolorsitamet",
    "a conversation's numbers": "call_conversation17turn12call0",
    "one character": "call_aaaaaaaaaaaaaaaaaaaaaaaa",
    "one capital": "call_XXXXXXXXXXXXXXXXXXXXXXXX",
    "the alphabet": "call_abcdefghijklmnopqrstuvwx",
    "the alphabet in both sizes": "call_AbCdEfGhIjKlMnOpQrStUvWx",
    "two sequences": "call_a1b2c3d4e5f6g7h8i9j0k1l2",
    "all hexadecimal digits": "call_0123456789abcdef",
    "a word of hexadecimal digits": "call_deadbeefdeadbeefdeadbeef",
    "a repetition": "call_abc123abc123abc123abc123",
    "a random repetition": "call_x7Kq9Lx7Kq9Lx7Kq9Lx7Kq9L",
    "a keyboard": "call_qwertyuiopasdfgh1",
    "no UUID": "00000000-0000-0000-0000-000000000001",
    "a UUID of a clock": "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
    "a UUID of a name": str(uuid.uuid5(uuid.NAMESPACE_DNS, "confirm")),
    "a UUID of a clock, without hyphens": "call_f81d4fae7dec11f0a76500a0c91e6bf6",
    "names and numbers": "call_user1_session2_turn3_call4",
    "names and numbers, joined": "call_tenant1user42step0007seq1",
    "names and numbers, capitals": "call_Agent1Turn2Tool3Call4",
    "eight characters and words": "call_x7Kq9Lp2_look_up_the_forecast",
    "long, and nothing in it": "call_" + "x" * 200,
}


@pytest.mark.parametrize("case", UNGUESSABLE)
def test_unguessable(case: str) -> None:
    assert is_unguessable(UNGUESSABLE[case], "get_weather")


@pytest.mark.parametrize("case", GUESSABLE)
def test_guessable(case: str) -> None:
    assert not is_unguessable(GUESSABLE[case], "get_weather")


@pytest.mark.parametrize("call_id", ["{}", "call_{}", "call_{}_0", "{}-{}"])
@pytest.mark.parametrize("tool", ["mcp__srv_a8Fk29xQ0zLmP3vR__look", "q7Xv29xQ0zLmP3vRkT5w"])
def test_a_tools_name_does_not_count_as_random(tool: str, call_id: str) -> None:
    made = call_id.format(tool, tool)
    assert is_unguessable(made)
    assert not is_unguessable(made, tool)


@pytest.mark.parametrize("tool", ["a", "f", "1"])
def test_a_short_tool_name_may_occur_in_a_random_id(tool: str) -> None:
    random.seed(7)
    made = [f"call-{uuid.UUID(int=random.getrandbits(128), version=4)}-0" for _ in range(300)]
    assert sum(not is_unguessable(one, tool) for one in made) <= 3
    assert not is_unguessable(f"call_{tool}_x7Kq9Lp2Rt5V", tool)


@pytest.mark.parametrize(
    "odd", ["\0" * 40, "🜂" * 40, "\ud800" * 40, "é" * 40, "-" * 40, "call_" + "\n" * 30]
)
def test_odd_characters_are_guessable(odd: str) -> None:
    assert not is_unguessable(odd)


LETTERS = string.ascii_letters + string.digits
RANDOM: dict[str, tuple[Callable[[], str], int]] = {
    "24 letters and digits": (lambda: "call_" + "".join(random.choices(LETTERS, k=24)), 4),
    "32 letters and digits": (lambda: "".join(random.choices(LETTERS, k=32)), 3),
    "16 letters and digits": (lambda: "".join(random.choices(LETTERS, k=16)), 60),
    "24 hexadecimal digits": (lambda: "call_" + random.randbytes(12).hex(), 4),
    "32 hexadecimal digits": (lambda: "chatcmpl-tool-" + random.randbytes(16).hex(), 4),
    "UUIDs": (lambda: f"call-{uuid.UUID(bytes=random.randbytes(16), version=4)}-0", 4),
    "base 64 for URLs": (
        lambda: "call_" + base64.urlsafe_b64encode(random.randbytes(18)).decode(),
        40,
    ),
}
"""Functions that make ids, and how many of 3,000 may be refused: above the most of 50 seeds."""


@pytest.mark.parametrize("kind", RANDOM)
def test_random_ids_are_rarely_refused(kind: str) -> None:
    random.seed(7)
    make, most = RANDOM[kind]
    assert sum(not is_unguessable(make()) for _ in range(3000)) <= most


def _call_ids(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, one in value.items():
            if key == "call_id" and isinstance(one, str):
                yield one
            yield from _call_ids(one)
    elif isinstance(value, list):
        for one in value:
            yield from _call_ids(one)


@needs_corpus
def test_recorded_ids() -> None:
    """All recorded ids of `call_` and 24 letters and digits pass, and no shorter ones."""
    found = {
        one
        for row in corpus.select(api="responses")
        for one in _call_ids([row.response, row.request])
    }
    long = {
        one
        for one in found
        if len(one) == 29 and one.startswith("call_") and one.isascii() and one[5:].isalnum()
    }
    assert len(long) > 100
    assert [one for one in long if not is_unguessable(one)] == []
    assert [one for one in found if len(one) < 16 and is_unguessable(one)] == []
