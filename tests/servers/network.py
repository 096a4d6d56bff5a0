"""Turn the scripts into the weights of a one-layer language model.

Attention and feed-forward outputs are zero and the embedding is one-hot, so that the output matrix is a table of
`logit(next token | last token)`: the network is a Markov chain over tokens. Three rules follow:

1. A token may stand in one place of one script only, or the chain would branch. `_pieces` cuts a script's text so that this
   holds.
2. Only single bytes and the word `Paris` are used under a grammar (json_schema, required and named tools). Their rows prefer
   what closes the JSON soonest.
3. A script's next token is likely, not certain (about nine in ten), so that log probabilities aren't all zero.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.servers.script import CONTROL_TOKENS, END_OF_TURN, SCRIPTS

Table = np.ndarray[Any, np.dtype[np.float32]]

HEAD_SIZE = 64
FEED_FORWARD = 32
EPSILON = 1e-8
CONTEXT = 8192
GRAMMAR_WORD = "Paris"

# A few real merges, because both tokenizers want some.
_MERGES = ("t h", "th e", "i n", "a n", "e r", "o u", "e a", "ea t", "in g")
_LETTERS = "okaceinrstdlmuhpgybfvwjxqz"

_NEVER, _RARELY, _SCRIPTED, _STRAY = -30.0, -12.0, 10.0, 7.0


def _byte_names() -> list[str]:
    """List the printable stand-ins of byte-level BPE for the 256 bytes."""
    plain = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    spare = iter(range(0x100, 0x200))
    return [chr(byte if byte in plain else next(spare)) for byte in range(256)]


_BYTE_NAMES = _byte_names()


def spelled(text: str) -> str:
    """Spell text in the vocabulary's alphabet."""
    return "".join(_BYTE_NAMES[byte] for byte in text.encode())


@dataclass(frozen=True, slots=True)
class Network:
    """Hold the vocabulary, in order of token ids, and the table `bigrams[next, last]`."""

    vocabulary: tuple[str, ...]
    special: frozenset[str]
    merges: tuple[tuple[str, str], ...]
    bigrams: Table

    @property
    def size(self) -> int:
        """Give the number of tokens, which is also the width of the network."""
        return len(self.vocabulary)

    @property
    def ids(self) -> dict[str, int]:
        """Map tokens to their ids."""
        return {token: number for number, token in enumerate(self.vocabulary)}

    def output_matrix(self) -> Table:
        """Give the output weights: the norm before them scales a one-hot vector by the root of its width."""
        return (self.bigrams / math.sqrt(self.size)).astype(np.float32)


def _pieces(text: str, taken: set[str]) -> list[str]:
    """Cut text into tokens that nothing else uses: at the ends of words, or as near to them as is free."""
    cut: list[str] = []
    start = 0
    while start < len(text):
        word = re.compile(r"\s*(?:\w+|[^\w\s]+)|\s+").match(text, start)
        wanted = word.end() if word else len(text)
        # Two characters at least, here and in the rest: single bytes belong to the grammar.
        ends = [end for end in range(start + 2, len(text) + 1) if end != len(text) - 1]
        free = [end for end in ends if text[start:end] not in taken]
        if not free:  # step back; the token tried before stays taken, so another one comes out
            start -= len(cut.pop())
            continue
        end = min(free, key=lambda end: (abs(end - wanted), -end))
        taken.add(text[start:end])
        cut.append(text[start:end])
        start = end
    return cut


def build() -> Network:
    """Build the network; the same on every machine and at every call."""
    merges = tuple((left, right) for left, right in (merge.split() for merge in _MERGES))
    words = [GRAMMAR_WORD, *(left + right for left, right in merges)]
    taken = {*words, "<", "{"}
    # From the last, because the plainest scripts stand there and should get the most natural tokens.
    scripts = {script.name: _pieces(script.says, taken) for script in reversed(SCRIPTS)}

    vocabulary = [*_BYTE_NAMES, *CONTROL_TOKENS, *map(spelled, words)]
    for cut in scripts.values():
        vocabulary += map(spelled, cut)
    padding = [f"<|pad{number}|>" for number in range(-len(vocabulary) % HEAD_SIZE)]
    vocabulary += padding
    ids = {token: number for number, token in enumerate(vocabulary)}
    if len(ids) != len(vocabulary):
        raise AssertionError("a token stands in two places")

    bigrams = _grammar_rows(len(vocabulary), ids)
    _script_rows(bigrams, ids, scripts)
    return Network(tuple(vocabulary), frozenset({*CONTROL_TOKENS, *padding}), merges, bigrams)


def _prefer(
    bigrams: Table, last: int, following: list[int], *, best: float = 6.0, step: float = 0.5
) -> None:
    for rank, token in enumerate(following):
        bigrams[token, last] = best - step * rank


def _grammar_rows(size: int, ids: dict[str, int]) -> Table:
    """Make the rows that lead to short JSON under any schema."""
    word, end = ids[spelled(GRAMMAR_WORD)], ids[END_OF_TURN]

    def token(character: str) -> int:
        return ids[spelled(character)]

    def tokens(characters: str) -> list[int]:
        return [token(character) for character in characters]

    bigrams = np.full((size, size), _NEVER, dtype=np.float32)
    bigrams[tokens("".join(map(chr, range(32, 127)))), :] = _RARELY
    for rank, letter_token in enumerate(tokens(_LETTERS)):
        bigrams[letter_token, :] = -6.0 - 0.05 * rank
    for rank, opener in enumerate(tokens('{["tf4217n}],: ')):
        bigrams[opener, :] = -0.25 * rank
    bigrams[end, :] = 1.0
    bigrams[tokens("\n"), :] = -11.0

    for character, following in {
        "{": '}"',
        ":": ' "',
        ",": ' "',
        " ": '{"[t4',
        "[": '"{4t]',
    }.items():
        _prefer(bigrams, token(character), tokens(following))
    _prefer(bigrams, token("}"), [end, *tokens("]}\n,")])
    _prefer(bigrams, token("]"), [end, *tokens("}],")])
    _prefer(bigrams, token("\n"), tokens('<{"'))
    _prefer(bigrams, token('"'), [word, *tokens("oka:}],")], step=0.4)
    bigrams[word, tokens('"')] = _SCRIPTED
    _prefer(bigrams, word, tokens('"'), best=8.0)
    for letter, successor in zip(_LETTERS, _LETTERS[1:] + _LETTERS[0], strict=True):
        _prefer(bigrams, token(letter), tokens('"' + successor))
    for digit in "0123456789":
        after = "2" if digit == "4" else ","
        _prefer(bigrams, token(digit), [*tokens(after + "}],"), end, *tokens('"')])
    return bigrams


def _script_rows(bigrams: Table, ids: dict[str, int], scripts: dict[str, list[str]]) -> None:
    """Write the scripts over the rows of their tokens."""
    end, stray = ids[END_OF_TURN], ids["!"]
    first = {name: ids[spelled(cut[0])] for name, cut in scripts.items()}
    for script in SCRIPTS:
        tokens = [ids[script.token], *(ids[spelled(piece)] for piece in scripts[script.name])]
        successors = [*tokens[1:], first[script.then] if script.then else end]
        for last, following in zip(tokens, successors, strict=True):
            bigrams[end, last] = 6.0
            bigrams[stray, last] = _STRAY
            bigrams[following, last] = _SCRIPTED
        if script.or_calls and not script.then:
            bigrams[first[script.or_calls], tokens[-1]] = 9.0
