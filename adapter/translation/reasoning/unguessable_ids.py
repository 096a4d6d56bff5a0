"""Call ids that nobody can guess: who sends one has been given it.

What servers give, in recordings of both APIs and by their sources: OpenAI and Azure `call_` and 24 letters and digits (699 of 699), xAI
`call-`, a UUID of version 4, `-0`; Bedrock `resp_`, 52 characters of base 32, `:call_0`; Anthropic's `toolu_` and 24; vLLM
`chatcmpl-tool-` and 32 hexadecimal digits, llama.cpp 32 letters and digits: all of them unguessable. Not so: Mistral's 9 characters, Ollama's 8,
Groq's older 4, DeepSeek's and others' `call_0`, LM Studio's and Gemini's digits, `call_73112187` of models on Azure, Kimi's
`functions.NAME:0`, and whatever tests and frameworks write by hand (`call_weather_seattle`, `1`, nothing at all).
"""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise

MIN_RANDOM = 16
"""How many random characters make an id unguessable: at least 64 bits, where they are hexadecimal digits."""

_MIN_TOOL_NAME = 4  # characters of a tool's name; shorter ones stand in what is random by chance

_UUID = re.compile(
    r"([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f])([0-9a-f]{3})-([0-9a-f])([0-9a-f]{3})-([0-9a-f]{12})",
    re.IGNORECASE,
)
_PLAIN = re.compile(r"(?:[a-z]{2,9}[_-])*([0-9A-Za-z]{16,64})")
_RUNS = re.compile(r"[0-9A-Za-z]+")
_COUNTER = re.compile(r"[0-9]*|(?:[A-Z]?[a-z]+|[A-Z]+)[0-9]*")  # `call`, `turn12`, `0001`
_COUNTERS = re.compile(
    r"(?:(?:[A-Z]?[a-z]{2,}|[A-Z]{2,})[0-9]{1,6})+(?:[A-Z]?[a-z]+|[A-Z]+)?"
)  # `User7Turn12Call0`
_TIMESTAMP = re.compile(
    r"(?<![0-9a-fA-F])(?:1[5-9][0-9]{8}(?:[0-9]{3}){0,3}|20[1-4][0-9][01][0-9][0-3][0-9]+)(?![0-9])"
)
_HEX_ID = re.compile(
    r"(?!1[5-9][0-9]{11})(?:[0-9a-f]{24}|[0-9a-f]{32})"
)  # where seconds stand by chance
_HEX = re.compile(r"[0-9a-f]+|[0-9A-F]+")
_TIME_BASED_UUID = re.compile(
    r"[0-9a-f]{12}11[d-f][0-9a-f][89ab][0-9a-f]{15}", re.IGNORECASE
)  # version 1, of 2010 to 2038

# Pairs of letters that make up some 85 % of English text and of programs' names, and a fifth of what is random.
_PAIRS = """
    th he in er an re nd at on nt ha es st en ed to it ou ea hi is or ti as te et ng of al de se
    le sa si ar ve ra ld ur ro ri io ll li ne me co om ic el la ch us ma ec ce di ta ca ct ss no
    lo id tr em ge wh ee pe ad ho ac ul mo ut ot wa po ie il so ni pr am un da fo ol ow lu ck im
    sh ai ke ay ap ag op ev ab sp av vi ex ns oc ly be ig uc pl su do ir ry fi rs pa up od os if
    ph um ty ef ub bu bo fr gr cr cl rt rd nc ia iv ey ob ft ep
"""
_COMMON_PAIRS = frozenset(_PAIRS.split())


def is_unguessable(call_id: str, tool: str = "") -> bool:
    """Tell whether a call's id holds at least 16 random characters; `tool` is the called tool's name, which counts for nothing.

    Chance can't be told from a rule that one doesn't know, so this looks for the signs of chance and says no where they are missing: words,
    counters, timestamps, sequences and repetitions fail, and so do UUIDs that are made of clocks or names. Of 100,000 ids of
    24 random letters and digits it refuses some 15; of 16, which is the least, about 500. A digest of something
    guessable, or a counter in disguise, passes: what a server gives out as random is taken for random.
    """
    if len(call_id) < MIN_RANDOM:
        return False
    named = len(tool) >= _MIN_TOOL_NAME and tool in call_id
    plain = _PLAIN.fullmatch(call_id)
    if (
        plain is not None
        and not named
        and (_HEX_ID.fullmatch(plain[1]) or _TIMESTAMP.search(call_id) is None)
    ):
        return _is_random(plain[1])  # the same as below, for most
    if named:
        call_id = call_id.replace(tool, "-")
    runs = _RUNS.findall(_TIMESTAMP.sub("-", _UUID.sub(_random_digits, call_id)))
    longest = max(runs, key=len, default="")
    if len(longest) >= MIN_RANDOM:
        return any(_is_random(run) for run in runs if len(run) >= MIN_RANDOM)
    # Base 64 for URLs has `-` and `_` among its characters; otherwise they stand between names and numbers.
    joined = "".join([run for run in runs if not _COUNTER.fullmatch(run)])
    return len(joined) >= MIN_RANDOM and _is_random(joined)


def _random_digits(match: re.Match[str]) -> str:
    """Return the digits of a UUID that is random (version 4, or 7, which has a clock in front); nothing of any other."""
    first, second, version, third, variant, fourth, last = match.groups()
    if variant.lower() not in "89ab" or version not in "47":
        return "-"
    clock = "" if version == "7" else first + second
    return f"-{clock}{third}{variant}{fourth}{last}-"


def _is_random(text: str) -> bool:
    weights, following = _pair_tables()
    if 2 * sum(map(following.__contains__, zip(text, text[2:], strict=False))) > len(
        text
    ):  # `a1b2c3d4`
        return False
    pairs = set(pairwise(text))
    if _HEX.fullmatch(text):
        if len(text) == 32 and _TIME_BASED_UUID.fullmatch(text):
            return False
        # Words can't be written in these letters, but for a few.
        digits = sum(map(str.isdigit, text))
        even = min(digits, len(text) - digits) >= len(text) // 16
        return even and len(set(text)) >= 7 and len(pairs - following) >= min(len(text) / 8 + 6, 30)
    if _COUNTERS.fullmatch(text):
        letters = [
            (one + other).lower() for one, other in pairwise(text) if (one + other).isalpha()
        ]
        if 5 * sum(map(_COMMON_PAIRS.__contains__, letters)) >= 3 * len(letters):
            return False
    enough = max(11.0, min(0.6 * len(text), 60.0))
    return len(set(text.lower())) >= 9 and sum(map(weights.__getitem__, pairs)) >= enough


@cache
def _pair_tables() -> tuple[dict[tuple[str, str], int], frozenset[tuple[str, str]]]:
    """Say for each pair of characters how little it looks like a part of a word, a number or a sequence: 0 to 2; and which are sequences."""
    characters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    pairs = [(one, other) for one in characters for other in characters]
    return {pair: _weight(*pair) for pair in pairs}, frozenset(
        pair for pair in pairs if _is_adjacent(*pair)
    )


def _weight(one: str, other: str) -> int:
    kinds = _kind(one), _kind(other)
    low = (one + other).lower()
    surprising = kinds != (0, 0) and not _is_adjacent(*low) and low not in _COMMON_PAIRS
    return surprising + (kinds[0] != kinds[1] and kinds != (2, 1))  # a capital may begin a word


def _kind(character: str) -> int:
    return 0 if character.isdigit() else 1 if character.islower() else 2


def _is_adjacent(one: str, other: str) -> bool:
    return abs(ord(one) - ord(other)) <= 1
