"""Rows of logs: which chat request a row holds, whoever wrote it.

A row is read by the first of these that applies, so that the same row is always read the same way:

1. the one path that was given for bodies (`RowFormats.with_body`), and nothing else;
2. a shape that the user describes, in the order of the file;
3. a bare body: Chat's parameters, `messages` among them, and no other key;
4. a known shape (`logs/formats.toml`): of several that fit, the one that asks most of a row;
5. a body beside a log's own keys, of which Chat's parameters alone are taken, also those in an
   object of their own (`{"messages": […], "params": {"seed": 7}}`);
6. a row inside: under `body`, `request`, `message` and the like in the order of the table, then
   under any other key as they stand, each to its end before the next; JSON in a text too, also
   behind a time stamp. Answers are passed over.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from adapter._exchange.endpoints import azure_deployment
from adapter.translation.parameters import CHAT_PARAMETERS

from .addresses import CHAT_PATH
from .embedded_json import BASE64_OBJECT_PREFIX, read_row
from .envelope import (
    ADDRESS_KEYS,
    REPLY_KEYS,
    REQUEST_LINE,
    Envelope,
    first_value,
    is_http_head,
    with_format,
    with_row,
)
from .formats import BadFormat, LogFormat, RowFormats, is_one_of
from .json_path import ALL, Path, read_text
from .messages import PLACEHOLDER_MESSAGES, messages_of
from .otel_attributes import attributes_of
from .parameters import body_from_arguments, body_from_row, is_known, parameters_of, value_of

__all__ = [
    "OTHER_ENDPOINT",
    "BadFormat",
    "LoggedRequest",
    "NonRequest",
    "RowFormats",
    "RowResult",
    "read_row",
    "unwrap",
    "unwrap_all",
]

_PARAMETERS = frozenset(CHAT_PARAMETERS)
_BODY_KEYS = (
    "body",
    "request",
    "json",
    "input",
    "request_body",
    "payload",
    "data",
    "params",
    "kwargs",
)
_ROW_KEYS = (
    "message", "log", "event", "msg", "value", "line", "text", "textPayload", "jsonPayload", "@message", "_raw", "_source", "attributes",
    "properties", "record", "extra", "fields", "result",
)  # fmt: skip
_LOG_KEYS = frozenset({
    "event", "level", "levelname", "log_level", "severity", "logger", "logger_name", "timestamp", "@timestamp", "asctime", "ts", "time",
    "datetime", "msg", "message", "lineno", "pathname", "funcName", "id", "created_at", "request_id", "trace_id", "span_id", "usage",
    "custom_id", "hostname", "service", "status", "status_code", "duration", "duration_ms", "latency", "latency_ms", "cost",
})  # fmt: skip
"""Keys that logs put beside a body, and no body has."""
_MESSAGE_KEYS = (
    "prompt",
    "prompt_messages",
    "input_messages",
    "chat_messages",
    "conversation",
    "history",
)
"""What messages are called beside a model where they aren't called so."""
_NON_BODY_KEYS = frozenset({*_LOG_KEYS, *ADDRESS_KEYS, *REPLY_KEYS})
_NESTED_KEYS = (*_BODY_KEYS, *_ROW_KEYS)
_NESTED_KEY_SET = frozenset(_NESTED_KEYS)
_RANK = {name: rank for rank, name in enumerate(_NESTED_KEYS)}.__getitem__
_MAX_DEPTH = 7
_MAX_NODES = 400  # objects of a row that are looked into
_MAX_ROWS = 100_000  # in a row

UnreadableReason = Literal[
    "not JSON", "no chat request in it", "no chat request at the path of bodies", "too long"
]
"""Why a line can't be read."""


class NonRequest(enum.Enum):
    """A row that is no chat request: one to another endpoint, an answer alone, something else."""

    OTHER_ENDPOINT = "other endpoint"
    ANSWER = "answer"
    NOTHING = "nothing"


OTHER_ENDPOINT: Final = NonRequest.OTHER_ENDPOINT
"""A row that is a request to another endpoint."""
_NON_REQUESTS = {one.value: one for one in NonRequest}


@dataclass(slots=True)  # not frozen: a million of them are made, and those take four times as long
class LoggedRequest:
    """One logged chat request: its body, where it went to, and the usage that its answer told of.

    `inside` are the keys under which the row held the body, `url` is the address as the row has it,
    of a base with Chat's path behind. `format` names the shape of the row, where it has one;
    `missing` are parts of the request that the log doesn't hold, "messages" or "model".
    """

    body: Any
    raw_path: bytes = CHAT_PATH
    host: str = ""
    usage: dict[str, Any] | None = None
    inside: tuple[str, ...] = ()
    url: str | None = None
    format: str = ""
    missing: tuple[str, ...] = ()


RowResult = LoggedRequest | UnreadableReason | NonRequest
_NO_REQUEST: Final = "no chat request in it"


def unwrap(row: Any, formats: RowFormats | None = None) -> RowResult:
    """Find the chat request in a row, the first of several; or say why there is none."""
    found = unwrap_all(row, formats)
    return next((one for one in found if isinstance(one, LoggedRequest)), found[0])


def unwrap_all(row: Any, formats: RowFormats | None = None) -> Sequence[RowResult]:
    """Find the chat requests in a row, or say why there is none; there is at least one outcome."""
    try:
        row = read_row(row)
    except ValueError:
        return ("not JSON",)
    if (
        type(row) is dict
        and "model" in row
        and _has_chat_messages(row.get("messages"))
        and _PARAMETERS.issuperset(row)
        and (formats is None or formats.is_plain)
    ):
        return (LoggedRequest(row),)
    formats = RowFormats.builtin() if formats is None else formats
    if formats.body is not None:
        return _read_at_path(row, formats, formats.body)
    return _best(_Reader(formats).read(row, Envelope(), 0))


def _best(found: list[RowResult], otherwise: RowResult = _NO_REQUEST) -> Sequence[RowResult]:
    """Keep of what was found in a row what counts: requests, else what else it is."""
    if len(found) == 1:
        return found
    telling = [one for one in found if one not in (NonRequest.NOTHING, _NO_REQUEST)]
    if telling:
        return telling
    return found[:1] or (otherwise,)


def _logged_request(
    envelope: Envelope, body: Any, name: str = "", missing: tuple[str, ...] = ()
) -> LoggedRequest:
    if (
        isinstance(body, dict)
        and not body.get("model")
        and azure_deployment(envelope.raw_path) is None
    ):
        missing = (*missing, "model")
    if isinstance(body, dict) and not _has_chat_messages(body.get("messages")):
        body = _read_messages(body)
    return LoggedRequest(
        body,
        envelope.raw_path,
        envelope.host,
        envelope.usage,
        envelope.inside,
        envelope.url,
        name,
        missing,
    )


class _Reader:
    """Read one row, in bounded work."""

    def __init__(self, formats: RowFormats) -> None:
        self.formats = formats
        self.remaining = _MAX_NODES

    def read(
        self, row: Any, envelope: Envelope, depth: int, *, named: bool = True
    ) -> list[RowResult]:
        """Return what a row holds, if anything. `named`: it stood where bodies stand."""
        self.remaining -= 1
        if self.remaining < 0 or depth > _MAX_DEPTH:
            return []
        if isinstance(row, list):
            return self._read_list(row, envelope, depth)
        if not isinstance(row, dict):
            return []
        here = with_row(row, envelope)
        if here is None:
            return [OTHER_ENDPOINT]
        envelope = here
        if isinstance(row.get("messages"), list) and _are_rows(row):
            return self._read_each(row["messages"], envelope, depth)
        if not self.formats.own and "messages" in row and _PARAMETERS.issuperset(row):
            return [_logged_request(envelope, row)]
        fitting = self.formats.format_of(row)
        if fitting is not None:
            found = self._read_by_format(fitting, row, envelope, depth)
            if found:
                return found
        if "messages" in row and (named or isinstance(row["messages"], list)):
            return [_logged_request(envelope, body_from_row(row, _NON_BODY_KEYS, REPLY_KEYS))]
        called = next(
            (name for name in _MESSAGE_KEYS if row.get(name) and _has_chat_messages(row[name])),
            None,
        )
        if called is not None and isinstance(row.get("model"), str):
            body = {key: value for key, value in row.items() if key != called}
            return [
                _logged_request(
                    envelope,
                    body_from_row({**body, "messages": row[called]}, _NON_BODY_KEYS, REPLY_KEYS),
                )
            ]
        if isinstance(row.get("model"), str) and isinstance(row.get("input", {}), (str, list)):
            # For Responses, or embeddings.
            return [OTHER_ENDPOINT]
        return self._read_nested(row, envelope, depth, named=named and depth > 0)

    def _read_nested(
        self, row: dict[str, Any], envelope: Envelope, depth: int, *, named: bool
    ) -> list[RowResult]:
        asides: list[RowResult] = []
        bodiless: list[RowResult] = []
        looked = broken = False
        for name, value in _children(row):
            known = name in _NESTED_KEY_SET
            try:
                inner = read_row(value) if known or _may_hold_messages(value) else value
            except ValueError:
                broken = broken or (
                    (name in _BODY_KEYS or value[:1] in ("{", b"{")) and not _is_request_line(value)
                )
                continue
            if not isinstance(inner, (dict, list)):
                continue
            looked = looked or known
            found = self.read(inner, envelope.nested(name), depth + 1, named=name in _BODY_KEYS)
            requests = [one for one in found if type(one) is LoggedRequest]
            if any(type(one.body) is not dict or "messages" in one.body for one in requests):
                return [_with_outer_parameters(one, row) for one in found]
            if requests:
                bodiless = bodiless or found
            asides += () if any(isinstance(one, NonRequest) for one in asides) else found
        if bodiless:
            return bodiless
        if (
            not asides
            and not broken
            and envelope.chat
            and named
            and not looked
            and not is_http_head(row)
        ):
            # A body without messages is a chat request only where its address says so.
            return [_logged_request(envelope, row)]
        if any(isinstance(one, NonRequest) for one in asides):
            return asides
        if broken and (_LOG_KEYS.isdisjoint(row) or _has_cut_off_json(row)):
            return [*asides, "not JSON"]
        return (
            asides
            if _LOG_KEYS.isdisjoint(row) and not _is_request_line(row.get("request"))
            else [NonRequest.NOTHING]
        )

    def _read_list(self, rows: list[Any], envelope: Envelope, depth: int) -> list[RowResult]:
        """Read a list: of fields with values, as Logs Insights has rows; or of rows."""
        if rows and all(
            isinstance(one, dict) and "field" in one and "value" in one for one in rows
        ):
            return self.read({str(one["field"]): one["value"] for one in rows}, envelope, depth + 1)
        return self._read_each(rows, envelope, depth)

    def _read_each(self, rows: list[Any], envelope: Envelope, depth: int) -> list[RowResult]:
        out: list[RowResult] = []
        for row in rows[:_MAX_ROWS]:
            self.remaining = _MAX_NODES
            try:
                out += _best(self.read(read_row(row), envelope, depth + 1))
            except ValueError:
                out.append("not JSON" if row[:1] in ("{", b"{") else NonRequest.NOTHING)
        return list(_best(out)) if out else []

    def _read_by_format(
        self, log_format: LogFormat, row: dict[str, Any], envelope: Envelope, depth: int
    ) -> list[RowResult]:
        """Read a row of a known shape; nothing where it isn't filled in as it should be."""
        if log_format.holds:
            return [_NON_REQUESTS[log_format.holds]]
        if log_format.rows:
            rows = [one for path in log_format.rows for one in path.find_all(row)]
            return self._read_each(rows, envelope, depth) or [NonRequest.NOTHING]
        here = with_format(log_format, row, envelope)
        if here is None or _is_other_endpoint(log_format, row, self.formats.providers):
            return [OTHER_ENDPOINT]
        envelope = here
        if log_format.attributes:
            attributes = attributes_of(row, first_value(log_format.attributes, row))
            return self.read(attributes, envelope, depth + 1, named=False) if attributes else []
        if log_format.row or log_format.body:
            path, inner = _first_found(log_format.row or log_format.body, row)
            return self._read_inner(
                log_format, inner, replace(envelope, inside=(*envelope.inside, *path)), depth
            )
        return _body_from_parts(log_format, row, envelope)

    def _read_inner(
        self, log_format: LogFormat, inner: Any, envelope: Envelope, depth: int
    ) -> list[RowResult]:
        """Read what a shape says is a row or a body."""
        try:
            inner = read_row(inner)
        except ValueError:
            return []
        if log_format.body and isinstance(inner, list):
            messages = messages_of(inner)
            return (
                [_logged_request(envelope, {"messages": messages}, log_format.name)]
                if messages
                else []
            )
        if log_format.body and isinstance(inner, dict) and "messages" in inner:
            return [_logged_request(envelope, body_from_arguments(inner), log_format.name)]
        found = self.read(inner, envelope, depth + 1)
        return [
            replace(one, format=one.format or log_format.name)
            if isinstance(one, LoggedRequest)
            else one
            for one in found
        ]


def _read_at_path(row: Any, formats: RowFormats, path: Path) -> Sequence[RowResult]:
    """Read the bodies that the given path leads to."""
    around: Envelope | None = Envelope()
    for at in range(len(path.steps)):  # addresses and answers beside the way
        level = Path("", path.steps[:at]).find(row)
        level = read_text(level)
        if isinstance(level, dict) and around is not None:
            around = with_row(level, around)
    if around is None:
        return (OTHER_ENDPOINT,)
    around = replace(around, inside=(*path.names,))
    reader = _Reader(replace(formats, body=None))
    shape = LogFormat("", body=(path,))
    out: list[RowResult] = []
    for one in path.find_all(row):
        reader.remaining = _MAX_NODES
        out += reader._read_inner(shape, one, around, 0)  # of this module
    return _best(out, "no chat request at the path of bodies")


def _body_from_parts(
    log_format: LogFormat, row: dict[str, Any], envelope: Envelope
) -> list[RowResult]:
    """Make a body of its parts."""
    body: dict[str, Any] = {}
    for path in log_format.parameters:
        for found in path.find_all(row):
            body = parameters_of(found) | body
    for name, paths in log_format.fields:
        value = value_of(name, first_value(paths, row))
        if value is not None:
            body[name] = value
    system = first_value(log_format.system, row)
    messages = None
    for path in log_format.messages:
        value = list(path.find_all(row)) if ALL in path.steps else path.find(row)
        messages = messages_of(value, system) if value else None
        if messages is not None:
            break
    missing = () if messages is not None else ("messages",)
    vendor = first_value(log_format.provider, row)
    if isinstance(body.get("model"), str) and isinstance(vendor, str):
        body["model"] = body["model"].removeprefix(f"{vendor}/")
    model = {"model": body.pop("model")} if "model" in body else {}
    made = {**model, "messages": PLACEHOLDER_MESSAGES if messages is None else messages, **body}
    return [_logged_request(envelope, made, log_format.name, missing)]


def _is_other_endpoint(
    log_format: LogFormat, row: dict[str, Any], providers: frozenset[str]
) -> bool:
    """Tell whether a call goes to another endpoint, or to a vendor with a protocol of its own."""
    for path, values in log_format.only:
        found = path.find(row)
        if found is not None and not is_one_of(found, values):
            return True
    vendor = first_value(log_format.provider, row)
    return isinstance(vendor, str) and vendor != "" and vendor.lower() not in providers


def _first_found(paths: Sequence[Path], row: Any) -> tuple[tuple[str, ...], Any]:
    return next(
        ((path.names, found) for path in paths if (found := path.find(row)) is not None), ((), None)
    )


def _children(row: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Give what may hold a request: the usual names first, then others as they stand."""
    named = _NESTED_KEY_SET.intersection(row)
    for name in sorted(named, key=_RANK) if len(named) > 1 else named:
        if isinstance(row[name], (dict, str, bytes, list)):
            yield name, row[name]
    for name, value in row.items():
        if name in _NESTED_KEY_SET or name in REPLY_KEYS or not isinstance(name, str):
            continue
        if isinstance(value, (dict, str)) or (isinstance(value, list) and _are_objects(value)):
            yield name, value


def _is_request_line(value: Any) -> bool:
    return isinstance(value, str) and REQUEST_LINE.match(value) is not None


def _with_outer_parameters(one: RowResult, row: dict[str, Any]) -> RowResult:
    """Return a request with the parameters that stand a level above it, where they do, with the model."""
    if (
        type(one) is not LoggedRequest
        or "model" not in one.missing
        or not isinstance(row.get("model"), str)
    ):
        return one
    missing = tuple(part for part in one.missing if part != "model")
    return replace(one, body={**body_from_row(row, row, REPLY_KEYS), **one.body}, missing=missing)


def _may_hold_messages(value: Any) -> bool:
    return isinstance(value, str) and (
        "messages" in value or value.startswith(BASE64_OBJECT_PREFIX)
    )


def _are_objects(values: list[Any]) -> bool:
    """Tell a list that may hold rows from one of messages, or of plain values."""
    return bool(values) and isinstance(values[0], dict) and "role" not in values[0]


def _are_rows(row: dict[str, Any]) -> bool:
    """Tell the messages of a queue, which hold rows, from those of a chat."""
    messages = row["messages"]
    return (
        bool(messages)
        and "model" not in row
        and all(isinstance(one, dict) and "role" not in one for one in messages)
    )


def _has_chat_messages(messages: Any) -> bool:
    """Tell whether messages are Chat's, by the first of them."""
    return type(messages) is list and (
        not messages or (type(messages[0]) is dict and "role" in messages[0])
    )


def _read_messages(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body with Chat's messages, where they stand in a text or are another library's."""
    messages = body.get("messages")
    if isinstance(messages, str):
        read = read_text(messages)
        cells = {
            key: value_of(key, value) if isinstance(value, str) and is_known(key) else value
            for key, value in body.items()
        }
        return {**cells, "messages": read} if isinstance(read, list) else body
    if isinstance(messages, list) and all(isinstance(one, dict) for one in messages):
        found = messages_of(messages)
        return (
            {**body, "messages": found}
            if found is not None and len(found) == len(messages)
            else body
        )
    return body


def _has_cut_off_json(row: dict[str, Any]) -> bool:
    return any(isinstance(value, str) and value[:1] == "{" for _, value in _children(row))
