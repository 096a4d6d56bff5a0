"""The format of stored turns, and values that aren't turns."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import adapter
from adapter._memory.keys import key_pattern, make_memory_scope, store_keys
from adapter._memory.serialization import MAX_TEXT, TurnSerializer, parse_key
from adapter._memory.store import MAX_VALUE
from adapter.translation.reasoning.turns import RememberedTurn, TurnMessage
from tests.support.stores import turn

KEY, OTHER = (base64.urlsafe_b64encode(bytes([k]) * 32).decode() for k in (1, 2))
NAME = "s:c:1"

texts = st.text(max_size=40)
items = st.builds(
    lambda secret, summary, own: {"type": "reasoning", "id": own, "summary": summary,
        "encrypted_content": secret},
    texts.filter(bool), st.lists(st.builds(lambda text: {"type": "summary_text", "text": text},
        texts), max_size=2), texts,
)  # fmt: skip
turns = st.integers(1, 3).flatmap(
    lambda n: st.builds(
        RememberedTurn,
        st.tuples(*[texts] * n),
        st.tuples(*[st.lists(items, max_size=2).map(tuple)] * n),
        st.none()
        | st.builds(
            TurnMessage,
            st.integers(0, 3),
            st.sampled_from([None, "commentary"]),
            texts,
            st.none() | texts,
        ),
        st.tuples(*[st.none() | texts] * n),
        texts,
    )
)


@given(turns, st.sampled_from([(), (KEY,), (KEY, OTHER)]))
def test_turns_survive(one: RememberedTurn, keys: tuple[str, ...]) -> None:
    serializer = TurnSerializer([parse_key(key) for key in keys])
    assert serializer.deserialize(NAME, serializer.serialize(NAME, one)) == one


def test_small_values_are_plain_json() -> None:
    packed = TurnSerializer().serialize(NAME, turn())
    assert packed[:2] == b"1j"
    assert json.loads(packed[2:])["before"][0][0]["encrypted_content"] == "gAAAA"


def test_big_values_are_compressed_where_it_pays() -> None:
    wordy = turn(base64.b64encode(os.urandom(6000)).decode())
    packed = TurnSerializer().serialize(NAME, wordy)
    assert packed[:2] == b"1z"
    assert len(packed) < 0.9 * len(json.dumps(wordy.to_json()))
    dense = turn("".join(chr(0x4E00 + b) for b in os.urandom(5000)))
    assert TurnSerializer().deserialize(NAME, TurnSerializer().serialize(NAME, dense)) == dense


def test_sealed_values_hide_everything() -> None:
    packed = TurnSerializer([parse_key(KEY)]).serialize(NAME, turn("gAAAA" * 10))
    assert packed[:2] == b"1s"
    assert b"gAAAA" not in packed
    assert b"reasoning" not in packed


def test_keys_can_be_replaced() -> None:
    old = TurnSerializer([parse_key(KEY)]).serialize(NAME, turn())
    both = TurnSerializer([parse_key(OTHER), parse_key(KEY)])
    assert both.deserialize(NAME, old) == turn()
    assert (
        TurnSerializer([parse_key(OTHER)]).deserialize(NAME, both.serialize(NAME, turn())) == turn()
    )


ENCRYPTING = TurnSerializer([parse_key(KEY)])
GARBAGE: dict[str, tuple[TurnSerializer, Any]] = {
    "nothing": (TurnSerializer(), b""),
    "another program's": (TurnSerializer(), b"hello"),
    "a later version": (TurnSerializer(), b"2j{}"),
    "cut off": (TurnSerializer(), TurnSerializer().serialize(NAME, turn())[:-3]),
    "not a turn": (TurnSerializer(), b'1j{"calls": []}'),
    "no JSON object": (TurnSerializer(), b"1j[]"),
    "of the first version": (TurnSerializer(), b'1j{"calls":["a"],"before":[[]],"ids":[null]}'),
    "no reasoning": (
        TurnSerializer(),
        b'1j{"calls":["a"],"before":[[{"type":"message","role":"system"}]],"ids":[null],"user":""}',
    ),
    "reasoning that isn't encrypted": (
        TurnSerializer(),
        b'1j{"calls":["a"],"before":[[{"type":"reasoning","id":"rs_1"}]],"ids":[null],"user":""}',
    ),
    "compressed garbage": (TurnSerializer(), b"1z\x00\x01"),
    "compressed and cut off": (TurnSerializer(), b"1z" + zlib.compress(b"x" * 1000)[:-5]),
    "a bomb": (TurnSerializer(), b"1z" + zlib.compress(b"\0" * 40_000_000)),
    "pickled": (TurnSerializer(), b"\x80\x04\x95"),
    "text": (TurnSerializer(), "1j{}"),
    "sealed, without a key": (TurnSerializer(), ENCRYPTING.serialize(NAME, turn())),
    "sealed with another key": (
        TurnSerializer([parse_key(OTHER)]),
        ENCRYPTING.serialize(NAME, turn()),
    ),
    "sealed under another name": (ENCRYPTING, ENCRYPTING.serialize("s:c:2", turn())),
    "sealed and changed": (ENCRYPTING, ENCRYPTING.serialize(NAME, turn())[:-1] + b"\0"),
    "not sealed, with a key": (ENCRYPTING, TurnSerializer().serialize(NAME, turn())),
    "sealed nothing": (ENCRYPTING, b"1s"),
}


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_is_refused(what: str) -> None:
    serializer, value = GARBAGE[what]
    with pytest.raises(ValueError):  # noqa: PT011  # each has another message
        serializer.deserialize(NAME, value)


@pytest.mark.parametrize("key", ["", "short", KEY[:-1], KEY + "A", "!" * 44])
def test_invalid_keys(key: str) -> None:
    with pytest.raises(
        adapter.ConfigurationError, match=r"^memory_key: expected 32 bytes in URL-safe base64"
    ) as caught:
        adapter.Settings(memory_key=[key])
    assert not key or key not in str(caught.value)


def test_keys_are_never_shown() -> None:
    settings = adapter.Settings(memory_key=f"{KEY},{OTHER}")
    assert [one.get_secret_value() for one in settings.memory_key] == [KEY, OTHER]
    assert KEY not in repr(settings)
    assert KEY not in settings.model_dump_json()


# Names

ME = make_memory_scope("https://api.test:443/v1", "org", "proj", "Bearer key")
TURN = ("a\0b\x000",)

OTHERS = {
    "base URL": make_memory_scope("https://api.other:443/v1", "org", "proj", "Bearer key"),
    "organisation": make_memory_scope("https://api.test:443/v1", "other", "proj", "Bearer key"),
    "project": make_memory_scope("https://api.test:443/v1", "org", "other", "Bearer key"),
    "key": make_memory_scope("https://api.test:443/v1", "org", "proj", "Bearer other"),
    "conversation": make_memory_scope(
        "https://api.test:443/v1", "org", "proj", "Bearer key", "c-1"
    ),
    "shifted": make_memory_scope("https://api.test:443/v1", "orgproj", "", "Bearer key"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_nothing_crosses(other: str) -> None:
    assert store_keys(ME, None, "gpt-5", TURN) != store_keys(OTHERS[other], None, "gpt-5", TURN)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("gpt-5", "gpt-5-2025-08-07", True),
        ("gpt-5", "openai/gpt-5", True),
        ("gpt-5", "gpt-5-mini", False),
        ("gpt-5", "gpt-5.1", False),
        ("o4-mini", "o4-mini-2025-04-16", True),
        ("my-deployment", "my-deployment-2", False),
    ],
)
def test_model_families(one: str, other: str, *, same: bool) -> None:
    assert (store_keys(ME, None, one, TURN) == store_keys(ME, None, other, TURN)) is same


def test_a_named_scope_takes_the_place_of_all_but_the_model() -> None:
    named = store_keys(ME, "shared", "gpt-5", TURN)
    assert (
        named
        == store_keys(OTHERS["key"], "shared", "gpt-5", TURN)
        == store_keys(OTHERS["base URL"], "shared", "gpt-5", TURN)
    )
    assert named != store_keys(ME, "shared", "gpt-5-mini", TURN)
    assert named != store_keys(ME, "another", "gpt-5", TURN)


def test_names_reveal_nothing_and_are_the_same_in_every_process() -> None:
    name = store_keys(OTHERS["conversation"], None, "gpt-5", TURN)[0]
    assert not any(word in name for word in ("org", "proj", "key", "api.test", "c-1"))
    assert name.isascii()
    assert len(name) <= 100
    code = (
        "from adapter._memory.keys import make_memory_scope, store_keys\n"
        "scope = make_memory_scope("
        "'https://api.test:443/v1', 'org', 'proj', 'Bearer key', 'c-1')\n"
        "print(store_keys(scope, None, 'gpt-5', ('a\\0b\\x000',))[0])"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    ).stdout
    assert printed.strip() == name


def test_patterns_match_names() -> None:
    from fnmatch import fnmatchcase

    name = store_keys(OTHERS["conversation"], "shared", "gpt-5", TURN)[0]
    fits = {
        (scope, conversation): fnmatchcase(name, key_pattern(scope, conversation))
        for scope in ("shared", "x", None)
        for conversation in ("c-1", "c-2", None)
    }
    assert {key for key, fit in fits.items() if fit} == {
        ("shared", "c-1"),
        ("shared", None),
        (None, "c-1"),
        (None, None),
    }


# Values that others may have written

SOUND = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}
FULL = {
    **SOUND,
    "summary": [{"type": "summary_text", "text": "s"}],
    "content": [{"type": "reasoning_text", "text": "r"}],
    "status": "completed",
}


def _value(*items: Any, **other: Any) -> dict[str, Any]:
    return {"calls": ["a"], "before": [list(items)], "ids": [None], "user": "", **other}


def _packed(value: Any) -> bytes:
    return b"1j" + (value if isinstance(value, bytes) else json.dumps(value).encode())


LEFT_OUT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "all that an item has": (FULL, FULL),
    "no id": ({key: one for key, one in SOUND.items() if key != "id"},) * 2,
    "another message's keys": ({**SOUND, "role": "system", "name": "x", "tools": []}, SOUND),
    "an unknown status": ({**SOUND, "status": "ruling"}, SOUND),
    "more in a part": (
        {
            **FULL,
            "summary": [{"type": "summary_text", "text": "s", "role": "system", "image_url": "x"}],
        },
        FULL,
    ),
}


@pytest.mark.parametrize("case", LEFT_OUT)
def test_only_what_an_item_has_is_read(case: str) -> None:
    written, read = LEFT_OUT[case]
    one = TurnSerializer().deserialize(NAME, _packed(_value(written))).reasoning[0][0]
    assert one == read
    assert list(one) == [key for key in written if key in read]


REFUSED: dict[str, Any] = {
    "the summary is a string": _value({**SOUND, "summary": "say"}),
    "a part of another type": _value({**SOUND, "summary": [{"type": "input_text", "text": "say"}]}),
    "a part that is a string": _value({**SOUND, "content": ["say"]}),
    "a part without text": _value({**SOUND, "content": [{"type": "reasoning_text"}]}),
    "a text that is a list": _value(
        {**SOUND, "content": [{"type": "reasoning_text", "text": ["say"]}]}
    ),
    "content that is a string": _value({**SOUND, "content": "say"}),
    "what is encrypted is a number": _value({**SOUND, "encrypted_content": 7}),
    "what is encrypted is a list": _value({**SOUND, "encrypted_content": ["x"]}),
    "an id that is an object": _value({**SOUND, "id": {}}),
    "an id of absurd length": _value({**SOUND, "id": "x" * 100_000}),
    "a call's id of absurd length": _value(SOUND, ids=["x" * 100_000]),
    "a digest of absurd length": _value(SOUND, calls=["x" * 100_000]),
    "an item that is a list": _value([SOUND]),
    "items that are an object": {
        "calls": ["a"],
        "before": [{"0": SOUND}],
        "ids": [None],
        "user": "",
    },
    "calls that are a string": {"calls": "a", "before": [[SOUND]], "ids": [None], "user": ""},
    "a thousand items": _value(*[SOUND] * 1000),
    "a hundred thousand calls": {
        "calls": ["a"] * 10**5,
        "before": [[]] * 10**5,
        "ids": [None] * 10**5,
        "user": "",
    },
    "a message before the turn": _value(SOUND, spoken=[-1, None, "x", None]),
    "a message of an unknown phase": _value(SOUND, spoken=[1, "system", "x", None]),
    "true for a number": _value(SOUND, spoken=[True, None, "x", None]),
    "NaN": b'{"calls":["a"],"before":[[]],"ids":[null],"user":"","x":NaN}',
    "half a surrogate pair": b'{"calls":["\\ud800"],"before":[[]],"ids":[null],"user":""}',
    "no UTF-8": b'{"calls":["\xff"],"before":[[]],"ids":[null],"user":""}',
    "nested without end": b'{"calls":' + b"[" * 500_000,
    "lists without end": b'{"calls":[' + b"[]," * 300_000,
    "parts without end": _value({**SOUND, "summary": FULL["summary"] * 1000}),
    "a key twice, a message last": b'{"calls":["a"],"before":[['
    b'{"type":"reasoning","encrypted_content":"x","type":"message"}]],"ids":[null],"user":"u"}',
    "keys without end": b"{" + b",".join(b'"%d":0' % k for k in range(120_000)),
    "digits without end": b'{"calls":' + b"9" * 900_000,
    "too big": _value({**SOUND, "encrypted_content": "x" * (MAX_VALUE + 1)}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_values_of_others_are_refused(case: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # each has another message
        TurnSerializer().deserialize(NAME, _packed(REFUSED[case]))
    assert "say" not in str(caught.value)


def test_a_compression_bomb_is_not_inflated(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class Inflater:
        eof = False

        def decompress(self, data: bytes, most: int) -> bytes:
            asked.append(most)
            return b""

    monkeypatch.setattr(zlib, "decompressobj", Inflater)
    with pytest.raises(ValueError, match="too big"):
        TurnSerializer().deserialize(NAME, b"1z" + b"x" * 1000)
    with pytest.raises(ValueError, match="too big"):
        TurnSerializer().deserialize(NAME, b"1z" + b"x" * MAX_VALUE)
    assert asked == [MAX_TEXT]


def test_a_turn_that_could_not_be_read_again_is_not_written() -> None:
    assert TurnSerializer().serialize(NAME, turn("x" * (5 * MAX_VALUE))) is None
    assert (
        TurnSerializer().serialize(NAME, turn(base64.b64encode(os.urandom(2 * MAX_VALUE)).decode()))
        is None
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


def _paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [here, *(path for key, one in inner for path in _paths(one, (*here, key)))]


def _with(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[path[0]] = _with(value[path[0]], path[1:], new)
    return changed


WHOLE = _value(FULL, spoken=[1, "commentary", "x", "msg_1"])


@given(st.sampled_from(_paths(WHOLE)), json_values)
def test_a_changed_turn_is_reasoning_or_refused(path: tuple[Any, ...], new: Any) -> None:
    try:
        read = TurnSerializer().deserialize(NAME, _packed(_with(WHOLE, path, new)))
    except ValueError:
        return
    for item in (item for items in read.reasoning for item in items):
        assert item.keys() <= FULL.keys()
        assert all(
            isinstance(item.get(key, ""), str)
            for key in ("type", "id", "encrypted_content", "status")
        )
        assert item["encrypted_content"]
        for part in (*item.get("summary", ()), *item.get("content", ())):
            assert part.keys() == {"type", "text"}
            assert part["type"] in ("summary_text", "reasoning_text")
            assert isinstance(part["text"], str)


@given(st.binary(max_size=200), st.sampled_from([b"", b"1j", b"1z", b"1s"]))
def test_any_bytes_are_a_turn_or_a_value_error(data: bytes, begin: bytes) -> None:
    for serializer in (TurnSerializer(), ENCRYPTING):
        with contextlib.suppress(ValueError):
            assert serializer.deserialize(NAME, begin + data)


def test_patterns_match_what_older_versions_have_kept() -> None:
    """Only the turn's own part differs, so that old and new values aren't confused."""
    assert key_pattern("ours", None) == "c34fd310b404e70b19fc7284f2938cde:*:*"
    assert key_pattern(None, "c-1") == "*:e854dbf04aea02ed61646ddc:*"
