"""Decide whether a call id is unguessable: then only a recipient of the reply can send it.

The ids of known servers are in docs/wire-facts.md#call-ids. Tests and frameworks also write ids by
hand (`call_weather_seattle`, `1`, an empty string), which are guessable.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise

MIN_RANDOM = 16
"""The number of random characters in an unguessable id: 64 bits, if they are hex digits."""

_MIN_TOOL_NAME = 4  # characters; shorter names occur in random ids by chance

_UUID = re.compile(
    r"([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f])([0-9a-f]{3})-([0-9a-f])([0-9a-f]{3})-([0-9a-f]{12})",
    re.IGNORECASE,
)
_PLAIN = re.compile(r"(?:[a-z]{2,9}[_-])*([0-9A-Za-z]{16,64})")
_RUNS = re.compile(r"[0-9A-Za-z]+")
_COUNTER = re.compile(r"[0-9]*|(?:[A-Z]?[a-z]+|[A-Z]+)[0-9]*")  # `call`, `turn12`, `0001`
# `User7Turn12Call0`
_COUNTERS = re.compile(r"(?:(?:[A-Z]?[a-z]{2,}|[A-Z]{2,})[0-9]{1,6})+(?:[A-Z]?[a-z]+|[A-Z]+)?")
_TIMESTAMP = re.compile(
    r"(?<![0-9a-fA-F])(?:1[5-9][0-9]{8}(?:[0-9]{3}){0,3}|20[1-4][0-9][01][0-9][0-3][0-9]+)(?![0-9])"
)
# These often contain the digits of a timestamp by chance.
_HEX_ID = re.compile(r"(?!1[5-9][0-9]{11})(?:[0-9a-f]{24}|[0-9a-f]{32})")
_HEX = re.compile(r"[0-9a-f]+|[0-9A-F]+")
# Version 1, of the years 2010 to 2038.
_TIME_BASED_UUID = re.compile(r"[0-9a-f]{12}11[d-f][0-9a-f][89ab][0-9a-f]{15}", re.IGNORECASE)

# These pairs of letters are some 85 % of English text and of identifiers, and 20 % of random text.
_PAIRS = """
    th he in er an re nd at on nt ha es st en ed to it ou ea hi is or ti as te et ng of al de se
    le sa si ar ve ra ld ur ro ri io ll li ne me co om ic el la ch us ma ec ce di ta ca ct ss no
    lo id tr em ge wh ee pe ad ho ac ul mo ut ot wa po ie il so ni pr am un da fo ol ow lu ck im
    sh ai ke ay ap ag op ev ab sp av vi ex ns oc ly be ig uc pl su do ir ry fi rs pa up od os if
    ph um ty ef ub bu bo fr gr cr cl rt rd nc ia iv ey ob ft ep
"""
_COMMON_PAIRS = frozenset(_PAIRS.split())


def is_unguessable(call_id: str, tool: str = "") -> bool:
    """Return whether a call's id contains at least 16 random characters.

    Words, counters, timestamps, sequences, repetitions, UUIDs made of clocks or names, and the name
    of the called `tool` don't count as random. Of 100,000 random ids of 24 letters and digits some
    15 are refused, of 16 characters about 500. A digest of something guessable passes
    (docs/decisions.md#capability-ids).
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
        return _is_random(plain[1])  # fast path: the same result as below
    if named:
        call_id = call_id.replace(tool, "-")
    runs = _RUNS.findall(_TIMESTAMP.sub("-", _UUID.sub(_random_digits, call_id)))
    longest = max(runs, key=len, default="")
    if len(longest) >= MIN_RANDOM:
        return any(_is_random(run) for run in runs if len(run) >= MIN_RANDOM)
    # URL-safe base 64 contains `-` and `_`, which otherwise separate names and numbers.
    joined = "".join([run for run in runs if not _COUNTER.fullmatch(run)])
    return len(joined) >= MIN_RANDOM and _is_random(joined)


def _random_digits(match: re.Match[str]) -> str:
    """Return the random digits of a UUID of version 4 or 7, `-` for any other version."""
    first, second, version, third, variant, fourth, last = match.groups()
    if variant.lower() not in "89ab" or version not in "47":
        return "-"
    clock = "" if version == "7" else first + second
    return f"-{clock}{third}{variant}{fourth}{last}-"


def _is_random(text: str) -> bool:
    weights, following = _pair_tables()
    second_next = zip(text, text[2:], strict=False)
    if 2 * sum(map(following.__contains__, second_next)) > len(text):  # `a1b2c3d4`
        return False
    pairs = set(pairwise(text))
    if _HEX.fullmatch(text):
        if len(text) == 32 and _TIME_BASED_UUID.fullmatch(text):
            return False
        # Few words consist of these letters alone, so the pairs aren't weighed.
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
    """Return how random each pair of characters looks, from 0 to 2, and the pairs in sequence."""
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
