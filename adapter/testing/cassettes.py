"""Record and replay HTTP with vcrpy, in readable cassettes without credentials.

vcrpy replaces `HTTPTransport.handle_request` of httpx and httpx2, where bytes leave for the
network. A transport that wraps it, such as the adapter's, stays above: a cassette holds what was
really sent, `/responses` if the adapter translated, and a replay gives the adapter what was really
received.

    with use_cassette("cassettes/vllm/text.responses.yaml"):
        client.chat.completions.create(...)

Only the headers in `KEPT` are recorded, which are known to be harmless and stable. The host is
removed as well: requests match by method, path and body (JSON bodies as values), so that a cassette
replays under any base URL with the same path (docs/guides/test-both-sides.md#recording).
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adapter.errors import MissingExtra

from . import credentials, placeholder_keys, vcr_check
from .cassette_bodies import as_base64, as_text, from_form, to_form
from .placeholder_keys import HOST, STAND_IN

try:
    import vcr
    import yaml
    from vcr.cassette import Cassette
    from vcr.errors import CannotOverwriteExistingCassetteException
    from vcr.patch import PATCHER_NAMES
    from vcr.persisters.filesystem import CassetteNotFoundError
    from vcr.serialize import deserialize, serialize

    from .cassette_guard import guarded
except ImportError as missing:  # pragma: no cover - depends on what is installed
    if (missing.name or "").startswith("vcr."):  # installed, but too old
        raise MissingExtra(
            vcr_check.problem() or "this vcrpy is too old: pip install 'vcrpy>=9.4'"
        ) from missing
    _package = {"vcr": "vcrpy", "yaml": "pyyaml"}.get(missing.name or "", missing.name)
    raise MissingExtra(f"cassettes need {_package} (extra `testing`)") from missing

KEPT = frozenset(
    {
        "accept",
        "content-type",
        "location",
        "retry-after",
        "retry-after-ms",
        "x-request-id",
        "x-should-retry",
    }
)
"""The recorded headers.

The adapter's own (`x-adapter-…`) are recorded as well, so that one that leaks shows up.
"""


class ReplayError(AssertionError):
    """A replay made a request that isn't in the cassette, or left a recorded request out."""


class RecordingError(AssertionError):
    """A recording is unusable: nothing was called, or calls bypassed the cassette."""


class _Dumper(yaml.SafeDumper):
    """Write text of several lines as literal blocks, and no anchors."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # The emitter falls back to quotes if a block can't hold the text exactly.
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    )


_Dumper.add_representer(str, _write_text)
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Serializer:
    """Convert vcrpy's cassette data to readable YAML and back."""

    @staticmethod
    def serialize(data: Mapping[str, Any]) -> str:
        """Write a cassette; each body in the most readable form that restores its bytes."""
        interactions = [
            {
                "request": {
                    "method": request["method"],
                    "uri": request["uri"],
                    "headers": _flat(request["headers"]),
                    "body": _form(request["body"]),
                },
                "response": {
                    "status": response["status"],
                    "headers": _flat(response["headers"]),
                    "body": _form(response["body"].get("string")),
                },
            }
            for request, response in (
                (each["request"], each["response"]) for each in data["interactions"]
            )
        ]
        return _dump({"version": data["version"], "interactions": interactions})

    @staticmethod
    def deserialize(text: str) -> dict[str, Any]:
        """Read a cassette in this format or in vcrpy's own."""
        data = yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader, in C if available
        for each in data["interactions"]:
            request, response = each["request"], each["response"]
            request["body"] = _raw(request["body"])
            response["body"] = {"string": _raw(response["body"]) or b""}
            for message in (request, response):
                message["headers"] = {
                    name: value if isinstance(value, list) else [value]
                    for name, value in message["headers"].items()
                }
        return data  # type: ignore[no-any-return]


def _raw(body: Any) -> bytes | None:
    """Return a body's bytes, from our forms or from vcrpy's own, so that older cassettes replay."""
    if isinstance(body, dict) and body.keys() & {"string", "base64_string"}:
        encoded = body.get("base64_string")
        body = base64.b64decode(encoded) if encoded is not None else body["string"]
    if isinstance(body, str | bytes):
        return body.encode() if isinstance(body, str) else body
    return from_form(body)


def _dump(data: Any) -> str:
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=160))


def _form(body: bytes | str | None) -> dict[str, Any] | None:
    """Return the first form of a body that YAML restores exactly."""
    raw = body.encode() if isinstance(body, str) else body
    if raw is None:
        return None
    # YAML can't hold everything that JSON can, for example half a surrogate pair.
    for form in (to_form(raw), as_text(raw)):
        try:
            written = form and yaml.load(_dump(form), Loader=_Loader)  # noqa: S506 - as above
            if form and from_form(written) == raw:
                return form
        except (yaml.YAMLError, ValueError):
            continue
    return as_base64(raw)


def _flat(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Return headers with lower-case names; a single value stands alone, several are a list."""
    flat: dict[str, Any] = {}
    for name, values in headers.items():
        listed = [
            value.decode() if isinstance(value, bytes) else value for value in _listed(values)
        ]
        flat[str(name).lower()] = listed[0] if len(listed) == 1 else listed
    return flat


def _listed(values: Any) -> list[Any]:
    return list(values) if isinstance(values, list | tuple) else [values]


class Persister:
    """Store cassettes as UTF-8 with unchanged newlines, on every platform."""

    @staticmethod
    def load_cassette(path: str | Path, serializer: Any) -> Any:
        """Read a cassette. Raise vcrpy's CassetteNotFoundError if there is none."""
        try:
            text = Path(path).read_bytes().decode()
        except FileNotFoundError:
            raise CassetteNotFoundError from None
        return deserialize(text, serializer)

    @staticmethod
    def save_cassette(path: str | Path, data: dict[str, Any], serializer: Any) -> None:
        """Write a cassette, and create its folder."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(serialize(data, serializer).encode())


def without_secrets(text: str) -> str:
    """Remove keys and the ids of organisations and projects from a text."""
    return credentials.clean_text(text)


def may_stay(name: str) -> bool:
    """Return whether a header may be recorded."""
    return name.lower() in KEPT or name.lower().startswith("x-adapter-")


def _clean_headers(headers: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in headers.items():
        if may_stay(name):
            clean = [clean_value(name, one) for one in _listed(value)]
            kept[name] = clean if isinstance(value, list | tuple) else clean[0]
    return kept


def clean_value(name: str, value: Any, found: credentials.OnFound = lambda _: None) -> str:
    """Clean the value of a recorded header; a `location` loses its host, which may be private."""
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    return (
        credentials.clean_url(text, HOST, found)
        if name.lower() == "location"
        else credentials.clean_text(text, found)
    )


def _clean_request(request: Any) -> Any:
    request.headers = _clean_headers(request.headers)
    request.uri = credentials.clean_url(request.uri, HOST)
    request.body = (
        credentials.decompressed(made)
        if isinstance(made := credentials.clean_body(request.body), bytes)
        else made
    )
    return request


def _clean_response(response: dict[str, Any]) -> dict[str, Any]:
    body = {**response["body"], "string": credentials.clean_body(response["body"].get("string"))}
    return {**response, "headers": _clean_headers(response["headers"]), "body": body}


def same_body(requested: Any, recorded: Any) -> None:
    """Compare bodies, as JSON values if both are JSON. Raise AssertionError if they differ."""
    pair = [bytes(each.body or b"") for each in (requested, recorded)]
    if pair[0] == pair[1]:
        return
    try:
        # Compared as text: in Python `True == 1 == 1.0`, which are three values to an API.
        left, right = (json.dumps(json.loads(body), sort_keys=True, indent=1) for body in pair)
    except ValueError:
        left, right = (body.decode(errors="replace") for body in pair)
    assert left == right, f"the bodies differ:\n--- requested\n{left}\n--- recorded\n{right}"


def same_query(requested: Any, recorded: Any) -> None:
    """Compare queries, except for an `api-version` that is the stand-in.

    Raise AssertionError if they differ.
    """
    left, right = requested.query, recorded.query
    if ("api-version", STAND_IN) in left:
        left, right = (
            [pair for pair in pairs if pair[0] != "api-version"] for pairs in (left, right)
        )
    assert left == right, f"the queries differ: {left} requested, {right} recorded"


MATCHERS: Mapping[str, Any] = {"query": same_query, "same_body": same_body}
"""The matchers to register with vcrpy for `options`; the first replaces vcrpy's own."""


def options() -> dict[str, Any]:
    """Return the arguments for vcrpy's `VCR` and `use_cassette`, without the serializer.

    `MATCHERS` must be registered.
    """
    return {
        "match_on": ("method", "path", "query", "same_body"),
        "before_record_request": _clean_request,
        "before_record_response": _clean_response,
        "decode_compressed_response": True,
        # Only the SDK's libraries: a test may call a server of its own with another one.
        "skip_patchers": tuple(name for name in PATCHER_NAMES if name not in {"httpx", "httpx2"}),
    }


def recorder(record_mode: str = "none") -> vcr.VCR:
    """Return a vcrpy VCR with these settings; the modes are vcrpy's, and `none` only replays."""
    machine = vcr.VCR(record_mode=record_mode, serializer="readable", **options())
    machine.register_serializer("readable", Serializer)
    for name, matcher in MATCHERS.items():
        machine.register_matcher(name, matcher)
    machine.register_persister(Persister)
    return machine


@contextmanager
def use_cassette(
    path: str | Path, *, record: bool = False, whole: bool = True
) -> Iterator[Cassette]:
    """Replay a cassette, or with `record` write it again.

    A replay never reaches the network and needs no key: if none is set, the environment has a
    stand-in for clients made in the block. It raises `ReplayError` if a request isn't in the
    cassette, also if the SDK made that a connection error, and, with `whole`, if the block ends
    before every recorded request was made.

    A recording raises `RecordingError` if calls of the SDK bypassed the cassette, or nothing was
    recorded. Then, and if the block raises, the cassette is left unchanged.
    """
    if record:
        with _recording(Path(path)) as cassette:
            yield cassette
        return
    if not Path(path).is_file():
        raise ReplayError(f"{path}: no such cassette")
    unknown: list[str] = []
    with (
        placeholder_keys.set_stand_ins(),
        recorder("none").use_cassette(path, record_on_exception=False) as cassette,
        guarded(cassette, replay=True) as guard,
    ):
        _note_refusals(cassette, unknown)
        try:
            yield cassette
        except Exception as error:
            if why := [*unknown, *guard.problems()]:
                raise ReplayError(f"{path}: {why[0]}") from error
            raise
        if why := [*unknown, *guard.problems()]:
            raise ReplayError(f"{path}: {why[0]}")
        if whole and not cassette.all_played:
            missing = [
                f"{request.method} {request.path}"
                for index, request in enumerate(cassette.requests)
                if not cassette.play_counts[index]
            ]
            raise ReplayError(f"{path}: recorded but not requested: {', '.join(missing)}")


@contextmanager
def _recording(path: Path) -> Iterator[Cassette]:
    """Record to a temporary file, and replace the cassette with it at the end."""
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with (
            recorder("all").use_cassette(new, record_on_exception=False) as cassette,
            guarded(cassette, replay=False) as guard,
        ):
            yield cassette
            if why := guard.problems():
                raise RecordingError(f"{path} isn't written: {'; '.join(why)}")
            if not len(cassette):
                raise RecordingError(f"{path} isn't written: {guard.why_empty()}")
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def _note_refusals(cassette: Cassette, unknown: list[str]) -> None:
    """Collect the requests that vcrpy refuses: the SDK only reports them as connection errors."""
    similar = cassette.find_requests_with_most_matches

    def noting(request: Any) -> Any:
        found = similar(request)
        why = (
            "; ".join(message for _, _, failed in found[:1] for _, message in failed)
            or "no similar request is left"
        )
        unknown.append(f"{request.method} {request.path} is not in the cassette: {why}")
        return found

    cassette.find_requests_with_most_matches = noting


__all__ = [
    "HOST",
    "KEPT",
    "CannotOverwriteExistingCassetteException",
    "Persister",
    "RecordingError",
    "ReplayError",
    "Serializer",
    "options",
    "recorder",
    "same_body",
    "use_cassette",
    "without_secrets",
]
