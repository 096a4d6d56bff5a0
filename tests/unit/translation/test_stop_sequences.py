"""The cut at a stop sequence: its position, what is held back, and the cost."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapter.translation.objects.message_text import TextPiece
from adapter.translation.replies.stop_sequences import StopCutter
from tests.support.depth import examples

# Few letters, so that sequences overlap and nest; one has two bytes, one has four.
LETTERS = "abü👋"
words = st.text(LETTERS, min_size=1, max_size=6)
stops = st.lists(words, min_size=1, max_size=4).map(tuple)
texts = st.one_of(st.text(LETTERS, max_size=30), st.lists(words, max_size=8).map("".join))


def reference(text: str, sequences: Sequence[str]) -> int | None:
    """Return where a text must be cut."""
    return min((text.find(one) for one in sequences if one in text), default=None)


def tokens(text: str) -> list[dict[str, Any]]:
    return [
        {"token": one, "logprob": -0.5, "bytes": list(one.encode()), "top_logprobs": []}
        for one in text
    ]


def run(sequences: Sequence[str], pieces: Sequence[TextPiece]) -> tuple[str, list[str], StopCutter]:
    """Feed pieces one by one, and then the end."""
    cut = StopCutter(tuple(sequences))
    out: list[TextPiece] = []
    for piece in pieces:
        out += cut.feed([piece])
    out += cut.feed([], last=True)
    assert all(piece.text for piece in out), "a piece without text"
    return "".join(p.text for p in out), [entry["token"] for p in out for entry in p.logprobs], cut


def split(data: st.DataObject, text: str) -> list[str]:
    """Split a text anywhere."""
    places = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=12)) | {0, len(text)})
    return [text[a:b] for a, b in pairwise(places)]


@settings(max_examples=examples(150))
@given(stops, texts, st.data())
def test_any_split_gives_the_reference_cut(
    sequences: tuple[str, ...], text: str, data: st.DataObject
) -> None:
    expected = reference(text, sequences)
    shown, _, cut = run(sequences, [TextPiece(piece) for piece in split(data, text)])
    assert cut.position == expected
    assert shown == text[:expected]


@settings(max_examples=examples(150))
@given(stops, texts)
def test_no_more_is_held_back_than_needed(sequences: tuple[str, ...], text: str) -> None:
    cut, shown = StopCutter(sequences), ""
    for end in range(1, len(text) + 1):
        shown += "".join(piece.text for piece in cut.feed([TextPiece(text[end - 1])]))
        seen = text[:end]
        if reference(seen, sequences) is not None:
            assert len(shown) <= reference(seen, sequences)
            return
        beginnings = (one[:size] for one in sequences for size in range(len(one)))
        held = max((one for one in beginnings if seen.endswith(one)), key=len)
        assert shown + held == seen


@settings(max_examples=examples(50))
@given(stops, texts)
def test_a_match_is_final_as_soon_as_no_earlier_one_is_possible(
    sequences: tuple[str, ...], text: str
) -> None:
    cut = StopCutter(sequences)
    for end in range(1, len(text) + 1):
        cut.feed([TextPiece(text[end - 1])])
        seen = text[:end]
        found = reference(seen, sequences)
        open_still = found is not None and any(
            seen[start:] == one[: end - start]
            for start in range(found)
            for one in sequences
            if end - start < len(one)
        )
        assert cut.is_cut == (found is not None and not open_still)
        if cut.is_cut:
            assert cut.position == found == reference(text, sequences)
            return


@settings(max_examples=examples(100))
@given(stops, st.lists(st.text(LETTERS, min_size=1, max_size=3), max_size=12), st.data())
@example(("l",), ["He", "l", "lo"], None)
def test_logprobs_go_with_their_text(
    sequences: tuple[str, ...], encoded: list[str], data: st.DataObject | None
) -> None:
    """Whole tokens up to the cut, however they are grouped into deltas."""
    text = "".join(encoded)
    at = reference(text, sequences)
    expected, length = [], 0
    for token in encoded:
        length += len(token)
        if at is None or length <= at:
            expected.append(token)
    groups = split(data, encoded) if data else [encoded]  # type: ignore[arg-type]
    entries = [[{"token": one, "bytes": list(one.encode())} for one in group] for group in groups]
    pieces = [TextPiece("".join(group), made) for group, made in zip(groups, entries, strict=True)]
    shown, kept, _ = run(sequences, [piece for piece in pieces if piece.text])
    assert shown == text[:at]
    assert kept == expected


@pytest.mark.parametrize(
    ("encoded", "kept"),
    [
        pytest.param([b"\xf0\x9f", b"\x91\x8b", b"!"], 3, id="a-character-over-two-tokens"),
        pytest.param([b"\xf0\x9f\x91\x8b", b"!", b"more", b"much"], 4, id="longer-than-the-text"),
        pytest.param([b"\xf0"], 1, id="shorter-than-the-text"),
        pytest.param([None, None], 2, id="without-bytes"),
        pytest.param([b"", b"\xf0\x9f\x91\x8b!"], 2, id="an-empty-token"),
    ],
)
def test_tokens_that_fit_badly(encoded: list[bytes | None], kept: int) -> None:
    entries = [{"token": "x", "bytes": None if one is None else list(one)} for one in encoded]
    shown, tokens_, _ = run(
        ("?",), [TextPiece("👋!", entries), TextPiece("?", [{"token": "?", "bytes": [63]}])]
    )
    assert shown == "👋!"
    assert len(tokens_) == kept


TABLE: dict[str, tuple[tuple[str, ...], str, int | None]] = {
    "none": (("x",), "abc", None),
    "first of several": (("c", "b"), "abc", 1),
    "a longer one over one inside it": (("abcd", "bc"), "xabcdx", 1),
    "longer that fails": (("abcd", "bc"), "xabcx", 2),
    "longer at the very end": (("abcd", "bc"), "xabc", 2),
    "same start": (("ab", "abc"), "xabc", 1),
    "overlapping itself": (("aab",), "aaab", 1),
    "periodic": (("ababc",), "abababc", 2),
    "whole text": (("abc",), "abc", 0),
    "twice": (("a", "a"), "ba", 1),
    "newline": (("\n",), "a\nb", 1),
    "beyond the plane": (("👋",), "a👋", 1),
}


@pytest.mark.parametrize("case", TABLE)
def test_the_table(case: str) -> None:
    sequences, text, at = TABLE[case]
    for pieces in ([text], list(text)):
        shown, _, cut = run(sequences, [TextPiece(piece) for piece in pieces])
        assert (cut.position, shown) == (at, text[:at])


def test_a_sequence_does_not_reach_over_an_interruption() -> None:
    cut = StopCutter(("STOP",))
    assert cut.feed([TextPiece("a ST")]) == [TextPiece("a ")]
    assert cut.feed([], last=True) == [TextPiece("ST")]
    assert cut.feed([TextPiece("OP b")]) == [TextPiece("OP b")]
    assert not cut.is_cut
    assert cut.feed([TextPiece("STOP c")]) == []
    assert cut.position == 8


def test_an_interruption_decides_a_pending_match() -> None:
    cut = StopCutter(("abcd", "bc"))
    assert cut.feed([TextPiece("xabc")]) == [TextPiece("x")]
    assert cut.feed([], last=True) == [TextPiece("a")]
    assert cut.position == 2
    assert cut.feed([TextPiece("d")]) == []


def test_without_sequences_pieces_pass_as_they_are() -> None:
    pieces = [TextPiece("a", [{"token": "a"}]), TextPiece("")]
    assert StopCutter(()).feed(pieces) is pieces


# Costs: inputs for which a naive search is quadratic; with 200,000 characters it takes minutes.

LONG = 200_000
SLOW: dict[str, tuple[tuple[str, ...], list[str]]] = {
    "one letter again and again": (("a" * LONG + "b",), ["a"] * LONG),
    "the same in one piece": (("a" * LONG + "b",), ["a" * LONG, *["a"] * 1000]),
    "four of them": (tuple("a" * LONG + end for end in "bcde"), ["a" * 50] * (LONG // 50)),
    "periodic": ((("ab" * LONG) + "c",), ["ab" * 10] * (LONG // 20)),
    "nothing to find": (("<|end|>", "\n\n", "###", "User:"), ["words "] * (LONG // 6)),
    "waits for the longer one to the end": (("a" * LONG + "b", "ac"), ["a"] * (LONG // 2) + ["c"]),
}


class Counted(str):
    """A text that counts accesses to its characters and slices."""

    __slots__ = ()
    looks = 0

    def __getitem__(self, key: Any) -> str:
        Counted.looks += 1
        return super().__getitem__(key)


@pytest.mark.slow
@pytest.mark.parametrize("case", SLOW)
def test_every_character_is_looked_at_a_few_times_at_most(case: str) -> None:
    sequences, pieces = SLOW[case]
    Counted.looks = 0
    shown, _, cut = run(sequences, [TextPiece(Counted(piece)) for piece in pieces])
    assert Counted.looks <= (2 * len(sequences) + 1) * len("".join(pieces))
    assert shown == "".join(pieces)[: cut.position]


@pytest.mark.slow
def test_many_tokens() -> None:
    encoded = tokens("ab👋" * 30_000)
    shown, kept, _ = run(("x" * 1000,), [TextPiece("ab👋" * 30_000, encoded)])
    assert (len(shown), len(kept)) == (90_000, 90_000)
