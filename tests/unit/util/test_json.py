"""JSON by pydantic-core equals that of the codec; HTTP headers without the HTTP libraries' API."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter._http import header_fields
from adapter._util import fast_json, json_codec
from tests.support import corpus
from tests.support.http import http

# JSON


TEXTS = {
    "a lone surrogate": b'{"a":"\\ud83d"}',
    "a pair": b'{"a":"\\ud83d\\ude00"}',
    "an integer of 100 digits": b'{"a":' + b"7" * 100 + b"}",
    "floats": b"[0.1,1e16,1E-7,-0.0,123456789.123456789,5e-324]",
    "zeros": b"[0,-0,0.0]",
    "the same key twice": b'{"a":1,"a":2}',
    "nested": b"[" * 150 + b"]" * 150,
    "nested deeper than Pydantic goes": b"[" * 300 + b"]" * 300,
    "control characters": b'{"a":"\\u0000\\u001f\\u007f\\u2028"}',
    "infinity": b"[Infinity,-Infinity,1e400]",
    "a byte order mark": b'\xef\xbb\xbf{"a":1}',
    "blank space": b' \r\n\t{"a" : [ 1 , 2 ] }\n',
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_reads_the_same_as_the_codec(name: str) -> None:
    found = fast_json.loads(TEXTS[name])
    assert found == json_codec.loads(TEXTS[name])
    assert repr(found) == repr(json_codec.loads(TEXTS[name]))


def test_reads_not_a_number() -> None:
    assert math.isnan(fast_json.loads(b'{"a":NaN}')["a"])


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"nul", b'{"a":1}x', b"\xff\xfe", b'{"a":"\x01"}', b"01", b"[" * 100_000, b"'a'"],
    ids=[
        "nothing",
        "half",
        "half a word",
        "trailing text",
        "no text",
        "a raw control character",
        "a zero in front",
        "no end",
        "quotes",
    ],
)
def test_invalid_json_raises(text: bytes) -> None:
    for loads in (fast_json.loads, json_codec.loads):
        with pytest.raises(ValueError):  # noqa: PT011  # each has its own class
            loads(text)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(), max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(VALUES)
def test_written_values_are_read_back(value: Any) -> None:
    written = fast_json.dumps(value)
    assert json_codec.loads(written) == value
    assert fast_json.loads(written) == value
    assert fast_json.loads(json_codec.dumps(value)) == value


@corpus.needs_corpus
def test_every_recorded_reply() -> None:
    count = 0
    for recording in corpus.recordings():
        if isinstance(recording.response, (dict, list)):
            text = json.dumps(recording.response).encode()
            assert fast_json.loads(text) == json.loads(text)
            assert json.loads(fast_json.dumps(recording.response)) == recording.response
            count += 1
    assert count > 1000


# Headers


class Plain:
    """Headers of a library that keeps no list: only the public API."""

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        self.raw = raw


RAW = [
    (b"Content-Type", b"text/html"),
    (b"X-Other", b"1"),
    (b"x-other", b"2"),
    (b"CONTENT-LENGTH", b"5"),
]


@pytest.mark.parametrize("kind", [http.Headers, Plain], ids=["the library's", "public parts alone"])
def test_header_fields(kind: Any) -> None:
    headers = kind(RAW)
    assert header_fields.values(headers, b"x-other") == ["1", "2"]
    assert header_fields.value(headers, b"content-type") == "text/html"
    assert (header_fields.value(headers, b"absent"), header_fields.has(headers, b"absent")) == (
        "",
        False,
    )
    assert header_fields.has(headers, b"content-length")
    made = header_fields.replaced(
        headers, frozenset({b"content-length", b"x-other"}), [(b"X-New", b"3")]
    )
    assert type(made) is kind
    assert made.raw == [(b"Content-Type", b"text/html"), (b"X-New", b"3")]
    assert headers.raw == RAW


def test_edited_headers_are_complete() -> None:
    made = header_fields.replaced(http.Headers(RAW), frozenset({b"x-other"}), [(b"X-New", b"3")])
    assert made == http.Headers([RAW[0], RAW[3], (b"X-New", b"3")])
    assert (made["x-new"], made.get("x-other"), "content-length" in made) == ("3", None, True)
    made["x-new"] = "4"
    assert http.Headers(made)["X-NEW"] == "4"


def test_contents_are_not_cached() -> None:
    """pydantic-core caches strings for later replies: only keys, no contents."""
    data = b'{"the name of a field": "the contents"}'
    (name, text), (name_again, text_again) = [
        *fast_json.loads(data).items(),
        *fast_json.loads(data).items(),
    ]
    assert name is name_again
    assert text is not text_again
