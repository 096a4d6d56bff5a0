"""The test helpers: bodies byte for byte, cassettes without secrets, split streams, the check."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import hypothesis
import openai
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import MissingExtra
from adapter.testing import cassette_bodies, cassette_check, cassettes, stream_pieces
from adapter.testing.cassettes import ReplayError, use_cassette
from tests.support.answers import Sdk, chat_events, completion, sdk, text_of
from tests.support.loopback import Loopback
from tests.support.loopback import Reply as Answer
from tests.support.ways_in import HTTP

__all__ = ["sdk"]

SECRET = "sk-" + "a1B2" * 6
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


def written(tree: Any, style: str) -> bytes:
    return cassette_bodies.dumps(tree, style).encode("utf-8", "surrogatepass")


# Bodies


@given(st.binary() | st.text().map(str.encode))
def test_any_body_comes_back(body: bytes) -> None:
    assert cassette_bodies.from_form(cassette_bodies.to_form(body)) == body


@given(JSON, st.sampled_from(sorted(cassette_bodies.STYLES)))
def test_json_comes_back_in_every_style(tree: Any, style: str) -> None:
    body = written(tree, style)
    form = cassette_bodies.to_form(body)
    assert cassette_bodies.from_form(form) == body
    if isinstance(tree, dict | list):
        assert form is not None
        assert "base64" not in form or b"\xed" in body  # half a surrogate pair isn't UTF-8


@given(JSON, st.sampled_from(sorted(cassette_bodies.STYLES)))
@hypothesis.settings(max_examples=30)
def test_bodies_survive_the_cassette(tree: Any, style: str) -> None:
    body = written({"tree": tree, "sse": "data: {}\r\n\r\ndata: é\n\n \x85\u2028"}, style)
    for raw in (
        body,
        b"event: a\ndata: \xe2\x80\xa8 \n\n\n",
        b"",
        b"\xff\x00",
        b"trailing  \n\n",
        b"\r\n",
    ):
        request = {
            "method": "POST",
            "uri": "https://recorded.invalid/v1",
            "headers": {"Accept": ["a"]},
            "body": raw,
        }
        response = {
            "status": {"code": 200, "message": "OK"},
            "headers": {"a": ["1", "2"]},
            "body": {"string": raw},
        }
        data = {"version": 1, "interactions": [{"request": request, "response": response}]}
        (each,) = cassettes.Serializer.deserialize(cassettes.Serializer.serialize(data))[
            "interactions"
        ]
        assert (each["request"]["body"], each["response"]["body"]["string"]) == (raw, raw)
        assert each["response"]["headers"] == {"a": ["1", "2"]}


@pytest.mark.parametrize(
    ("body", "form"),
    [
        (None, None),
        (b"", {"text": ""}),
        (b'{"a":1}', {"json": {"a": 1}}),
        ('{"a":"é"}'.encode(), {"json": {"a": "é"}}),
        (b'{"a": 1}', {"style": "spaced", "json": {"a": 1}}),
        (b'{"a":"\\u00e9"}', {"style": "compact-ascii", "json": {"a": "é"}}),
        (b'{\n  "a": 1\n}', {"style": "indented", "json": {"a": 1}}),
        (b'{\n  "a": 1\n}\n', {"style": "indented-newline", "json": {"a": 1}}),
        (b'{"a":1,"a":2}', {"text": '{"a":1,"a":2}'}),
        (b'{"a":1.0e3}', {"text": '{"a":1.0e3}'}),
        (b"{not json", {"text": "{not json"}),
        (b"data: {}\n\n", {"text": "data: {}\n\n"}),
        (b"\xff", {"base64": "/w=="}),
    ],
)
def test_the_most_readable_form_is_taken(body: Any, form: Any) -> None:
    assert cassette_bodies.to_form(body) == form
    assert cassette_bodies.from_form(form) == body


@pytest.mark.parametrize(
    "form", [{}, {"jsno": 1}, {"text": 1}, {"base64": "no!"}, {"json": 1, "style": "curly"}]
)
def test_an_unknown_form_is_refused(form: Any) -> None:
    with pytest.raises(ValueError, match=r"^body|base64|padding|[Nn]on-base64|Only base64"):
        cassette_bodies.from_form(form)


# Cassettes


def record(sdk: Sdk, server: Loopback, path: Path, **call: Any) -> Any:
    with use_cassette(path, record=True):
        return sdk.create(client(sdk, server), **call)


def client(sdk: Sdk, server: Loopback | str, **more: Any) -> Any:
    return sdk.client(server, plain=True, http_client=http_client(sdk), **more)


def http_client(sdk: Sdk, cut: stream_pieces.Cut | None = None) -> Any:
    transport = sdk.pick(HTTP.HTTPTransport, HTTP.AsyncHTTPTransport)(verify=False)
    return sdk.pick(HTTP.Client, HTTP.AsyncClient)(
        transport=stream_pieces.Rechunk(transport, cut) if cut else transport
    )


def test_a_recording_replays_under_any_host(sdk: Sdk, loopback: Loopback, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "text.chat.yaml"
    loopback.answer = lambda _: Answer.of_json(completion("Grüße\n\nund mehr"))
    first = record(sdk, loopback, path)
    with use_cassette(path):
        second = sdk.create(client(sdk, "http://elsewhere.invalid/v1"))
    assert second.model_dump() == first.model_dump()
    assert text_of(second) == "Grüße\n\nund mehr"
    assert len(loopback.requests) == 1


def test_recording_again_replaces_the_cassette(
    sdk: Sdk, loopback: Loopback, tmp_path: Path
) -> None:
    path = tmp_path / "text.chat.yaml"
    loopback.answer = lambda _: Answer.of_json(completion())
    record(sdk, loopback, path)
    record(sdk, loopback, path, temperature=0)
    (each,) = yaml.safe_load(path.read_text())["interactions"]
    assert each["request"]["body"]["json"]["temperature"] == 0


def test_secrets_are_not_written(sdk: Sdk, loopback: Loopback, tmp_path: Path) -> None:
    path = tmp_path / "text.chat.yaml"
    headers = (
        ("set-cookie", "crumb=1"),
        ("openai-organization", "org-" + "a" * 12),
        ("x-request-id", "req_1"),
    )
    loopback.answer = lambda _: Answer.of_json(
        completion(f"Your key is {SECRET}, of proj_{'b' * 12}."), headers=headers
    )
    with use_cassette(path, record=True):
        made = client(sdk, loopback, default_headers={"cookie": "crumb=1", "x-trace": "t-1"})
        made.api_key, made.organization = SECRET, "org-" + "a" * 12
        reply = sdk.create(
            made, messages=[{"role": "user", "content": f"I am {SECRET} of org-{'c' * 12}"}]
        )
    assert SECRET in text_of(reply), "the caller's own reply is not changed"
    text = path.read_text()
    for word in (
        SECRET,
        "a" * 12,
        "b" * 12,
        "c" * 12,
        "crumb",
        "authorization",
        "t-1",
        "127.0.0.1",
        "localhost",
    ):
        assert word.lower() not in text.lower(), word
    assert "sk-removed" in text
    (each,) = yaml.safe_load(text)["interactions"]
    assert each["request"]["uri"] == "https://recorded.invalid/v1/chat/completions"
    assert each["response"]["headers"] == {
        "content-type": "application/json",
        "x-request-id": "req_1",
    }
    assert [str(finding) for finding in cassette_check.check(tmp_path, [])] == []


def test_compressed_replies_are_readable(sdk: Sdk, loopback: Loopback, tmp_path: Path) -> None:
    import gzip

    path, raw = tmp_path / "text.chat.yaml", json.dumps(completion("Grüße")).encode()
    loopback.answer = lambda _: Answer(
        200,
        (("content-type", "application/json"), ("content-encoding", "gzip")),
        (gzip.compress(raw),),
    )
    assert text_of(record(sdk, loopback, path)) == "Grüße"
    assert "json" in yaml.safe_load(path.read_text())["interactions"][0]["response"]["body"]
    with use_cassette(path):
        assert text_of(sdk.create(client(sdk, "http://elsewhere.invalid/v1"))) == "Grüße"


@pytest.fixture
def taped(sdk: Sdk, loopback: Loopback, tmp_path: Path) -> Path:
    """Return a cassette of one call."""
    path = tmp_path / "text.chat.yaml"
    loopback.answer = lambda _: Answer.of_json(completion())
    record(sdk, loopback, path, temperature=1)
    return path


@pytest.mark.parametrize(
    "call",
    [
        {"temperature": 0},
        {"temperature": True},
        {"temperature": 1.0},
        {},
        {"temperature": 1, "top_p": 1},
    ],
)
def test_an_unknown_request_is_refused(
    sdk: Sdk, loopback: Loopback, taped: Path, call: dict[str, Any]
) -> None:
    asked = len(loopback.requests)
    with (
        pytest.raises(
            ReplayError,
            match=r"POST /v1/chat/completions is not in the cassette: the bodies differ",
        ),
        use_cassette(taped, whole=False),
    ):
        sdk.create(client(sdk, loopback), **call)
    assert len(loopback.requests) == asked, "a replay never reaches the network"


def test_an_unknown_request_is_refused_although_its_error_was_caught(sdk: Sdk, taped: Path) -> None:
    made, leaving = client(sdk, "http://elsewhere.invalid/v1"), ExitStack()
    leaving.enter_context(use_cassette(taped, whole=False))
    with suppress(openai.APIConnectionError, cassettes.CannotOverwriteExistingCassetteException):
        sdk.create(made, temperature=0)
    with pytest.raises(ReplayError, match="is not in the cassette"):
        leaving.close()


def test_each_recorded_request_is_answered_once(sdk: Sdk, taped: Path) -> None:
    made = client(sdk, "http://elsewhere.invalid/v1")
    with pytest.raises(ReplayError, match="no similar request is left"), use_cassette(taped):
        assert [sdk.create(made, temperature=1) for _ in range(2)]


def test_a_recorded_request_that_is_not_made_is_reported(taped: Path) -> None:
    with (
        pytest.raises(ReplayError, match=r"recorded but not requested: POST /v1/chat/completions"),
        use_cassette(taped),
    ):
        pass
    with use_cassette(taped, whole=False):
        pass


def test_a_missing_cassette_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    with pytest.raises(ReplayError, match=r"none\.yaml: no such cassette"), use_cassette(path):
        pass


def test_an_exception_inside_is_passed_on(taped: Path) -> None:
    with pytest.raises(ZeroDivisionError), use_cassette(taped):
        raise ZeroDivisionError


def test_the_order_of_json_keys_is_no_difference() -> None:
    class Asked:
        def __init__(self, body: bytes | None) -> None:
            self.body = body

    cassettes.same_body(Asked(b'{"a":1,"b":[2]}'), Asked(b'{"b": [2], "a": 1}'))
    cassettes.same_body(Asked(None), Asked(b""))
    for one, other in [
        (b'{"a":1}', b'{"a":true}'),
        (b'{"a":1}', b'{"a":1.0}'),
        (b"x", b"y"),
        (b"", b"{}"),
    ]:
        with pytest.raises(AssertionError, match="the bodies differ"):
            cassettes.same_body(Asked(one), Asked(other))


# Split streams

SSE = b"data: 1\n\ndata: 2\r\n\r\ndata: \xc3\xa9\n\nrest"


@pytest.mark.parametrize(
    ("cut", "pieces"),
    [
        (stream_pieces.whole, [SSE]),
        (
            stream_pieces.per_event,
            [b"data: 1\n\n", b"data: 2\r\n\r\n", b"data: \xc3\xa9\n\n", b"rest"],
        ),
        (stream_pieces.per_byte, [bytes([byte]) for byte in SSE]),
        (stream_pieces.per_size(16), [SSE[:16], SSE[16:32], SSE[32:]]),
        (stream_pieces.short_by(4), [b"data: 1\n\n", b"data: 2\r\n\r\n", b"data: \xc3\xa9\n\n"]),
        (stream_pieces.short_by(1000), []),
        (stream_pieces.short_at(10), [b"data: 1\n\n", b"d"]),
        (stream_pieces.short_at(2, pieces=stream_pieces.per_byte), [b"d", b"a"]),
    ],
)
def test_cuts(cut: stream_pieces.Cut, pieces: list[bytes]) -> None:
    assert [piece for piece in cut(SSE) if piece] == pieces


@given(st.binary(), st.integers(1, 9))
def test_no_cut_loses_a_byte(body: bytes, size: int) -> None:
    for cut in (
        stream_pieces.whole,
        stream_pieces.per_event,
        stream_pieces.per_byte,
        stream_pieces.per_size(size),
    ):
        assert b"".join(cut(body)) == body


@pytest.mark.parametrize(
    "cut", [stream_pieces.short_by(4, then=KeyError()), stream_pieces.short_at(9, then=KeyError())]
)
def test_a_cut_may_end_in_an_error(cut: stream_pieces.Cut) -> None:
    pieces = iter(cut(SSE))
    assert next(pieces) == b"data: 1\n\n"
    with pytest.raises(KeyError):
        list(pieces)


def test_streams_are_cut_and_other_replies_left(sdk: Sdk, loopback: Loopback) -> None:
    seen: list[bytes] = []

    def noting(body: bytes) -> Any:
        seen.append(body)
        return stream_pieces.per_byte(body)

    made = sdk.client(loopback, plain=True, http_client=http_client(sdk, noting))
    loopback.answer = lambda request: (
        Answer.of_sse(chat_events())
        if request.json().get("stream")
        else Answer.of_json(completion())
    )
    assert text_of(sdk.create(made)) == "Native hello"
    assert seen == []
    assert text_of(sdk.stream(made)) == "Native hello"
    assert seen == [b"".join(chat_events())]


def test_a_stream_that_breaks_off_is_an_error(sdk: Sdk, loopback: Loopback) -> None:
    cut = stream_pieces.short_at(40, then=HTTP.ReadError("the connection broke"))
    made = sdk.client(loopback, plain=True, http_client=http_client(sdk, cut))
    loopback.answer = lambda _: Answer.of_sse(chat_events())
    with pytest.raises((openai.APIConnectionError, HTTP.ReadError)):
        sdk.stream(made)


# The check of cassettes

GOOD = {
    "request": {
        "method": "POST",
        "uri": "https://recorded.invalid/v1/responses",
        "headers": {},
        "body": {"json": {}},
    },
    "response": {
        "status": {"code": 200, "message": "OK"},
        "headers": {},
        "body": {"text": "data: {}\n\n"},
    },
}
PLANTED = {
    "an API key": SECRET,
    "a bearer token": "Bearer abcdefghijk",
    "a JSON web token": "eyJ" + "a1" * 6 + "." + "b2" * 6,
    "a cloud access key": "AKIA" + "Q" * 16,
    "an organisation's id": "org-" + "a" * 10,
    "a project's id": "proj_" + "a" * 10,
    "a private key": "-----BEGIN " + "RSA PRIVATE KEY-----",
    "a path of a machine": "/" + "home/someone/notes",
    "a network address": "127.0.0.1:8080",
    "a host": "https://internal.net/a",
}


def plant(
    folder: Path, body: dict[str, Any], name: str = "vllm/text.chat.yaml", **headers: str
) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    each = {**GOOD, "response": {**GOOD["response"], "body": body, "headers": headers}}
    path.write_text(yaml.safe_dump({"version": 1, "interactions": [each]}), encoding="utf-8")
    return path


@pytest.mark.parametrize(("what", "secret"), PLANTED.items(), ids=PLANTED)
@pytest.mark.parametrize("form", ["text", "json", "base64"])
def test_a_planted_secret_is_found(tmp_path: Path, what: str, secret: str, form: str) -> None:
    text = f"so: {secret} it is"
    body = cassette_bodies.as_base64(text.encode()) if form == "base64" else {form: text}
    path = plant(tmp_path, body)
    findings = cassette_check.check(tmp_path, [])
    assert what in {finding.what.rpartition("holds ")[2] for finding in findings}
    assert {finding.path for finding in findings} == {path}
    assert not any(secret in str(finding) for finding in findings), "the finding repeats it"
    assert cassette_check.main([str(tmp_path)]) == 1


@pytest.mark.parametrize("name", ["authorization", "Set-Cookie", "api-key", "OpenAI-Organization"])
def test_a_header_with_credentials_is_found(tmp_path: Path, name: str) -> None:
    plant(tmp_path, {"text": ""}, **{name: "short"})
    assert [finding.what for finding in cassette_check.check(tmp_path, [])] == [
        "holds a header that carries credentials or identities"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "sk-removed",
        "https://api.openai.com/v1",
        "ask-anything-at-all",
        "https://example.com/a",
        "https://errors.pydantic.dev/2/v/missing",
        "10:30",
    ],
)
def test_harmless_text_is_left_alone(tmp_path: Path, text: str) -> None:
    plant(tmp_path, {"text": text})
    assert cassette_check.check(tmp_path, []) == []


def test_a_host_that_only_begins_like_a_harmless_one_is_found(tmp_path: Path) -> None:
    plant(tmp_path, {"text": "https://api.openai.com.evil.net/v1"})
    assert [finding.what for finding in cassette_check.check(tmp_path, [])] == ["holds a host"]


@pytest.mark.parametrize(
    ("source", "orphan"),
    [
        ('use_cassette("vllm/text.chat.yaml")', False),
        ('for side in ["chat"]: f"vllm/text.{side}.yaml"', False),
        ('scenario, side, server = "text", "chat", "vllm"', False),
        ('scenario, side, server = "text", "responses", "vllm"', True),
        ('scenario, side, server = "context", "chat", "vllm"', True),
        ("", True),
    ],
)
def test_orphans_are_found(tmp_path: Path, source: str, orphan: bool) -> None:
    tapes, code = tmp_path / "tapes", tmp_path / "code"
    plant(tapes, {"text": ""})
    code.mkdir()
    (code / "test_it.py").write_text(source)
    (code / "notes.md").write_text("vllm/text.chat.yaml")
    found = [finding.what for finding in cassette_check.check(tapes, [code])]
    assert found == (["is unused: nothing names it"] if orphan else [])


def test_other_faults_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cassette_check.main([str(tmp_path / "none")]) == 2
    assert [finding.what for finding in cassette_check.check(tmp_path, [])] == ["holds no cassette"]
    plant(tmp_path, {"text": ""})
    assert cassette_check.main([str(tmp_path)]) == 0
    (tmp_path / "README.md").write_text("about")
    (tmp_path / "notes.txt").write_text("left over")
    (tmp_path / "torn.yaml").write_text("version: 1\n")
    plant(tmp_path, {"shape": "unknown"}, "odd.yaml")
    assert cassette_check.main([str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "3 findings in 3 cassettes"
    assert next(line for line in lines if "notes.txt" in line).endswith(
        "is neither a cassette nor a README"
    )
    assert len([line for line in lines if "is not a cassette of this format" in line]) == 2


# Without the extra


@pytest.mark.parametrize(("missing", "package"), [("vcr", "vcrpy"), ("yaml", "pyyaml")])
def test_without_its_libraries_the_extra_is_named(missing: str, package: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; import adapter.testing.cassettes"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    last = run.stderr.strip().splitlines()[-1]
    assert last == f"adapter.errors.MissingExtra: cassettes need {package} (extra `testing`)"
    assert issubclass(MissingExtra, ImportError)


def test_the_package_itself_needs_nothing() -> None:
    code = (
        "import sys; sys.modules.update(vcr=None, yaml=None); "
        "import adapter.testing, adapter.testing.stream_pieces"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
