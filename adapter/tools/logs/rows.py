"""Find the chat requests in a row of a log.

A row is read by the first of these that applies, so the same row is always read the same way:

1. the one path that was given for bodies (`RowFormats.with_body`), and nothing else;
2. a format that the user describes, in the order of the file;
3. a bare body: Chat's parameters, including `messages`, and no other key;
4. a known format (`logs/formats.toml`): of several that fit, the most specific one;
5. a body among a log's own keys, of which only Chat's parameters are taken, including those in an
   object of their own (`{"messages": […], "params": {"seed": 7}}`);
6. a nested row: under `body`, `request`, `message` and the like in the order of the table, then
   under any other key in the order of the row, depth first; also JSON in a string, after a
   timestamp too. Replies are skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from adapter.translation.parameters import CHAT_PARAMETERS

from .embedded_json import read_row
from .envelope import REPLY_KEYS, Envelope, first_value, is_http_head, with_format, with_row
from .formats import BadFormat, LogFormat, RowFormats, is_one_of
from .json_path import ALL, Path, read_text
from .logged_request import (
    NO_REQUEST,
    NON_REQUESTS,
    OTHER_ENDPOINT,
    LoggedRequest,
    NonRequest,
    RowResult,
    has_chat_messages,
    logged_request,
    with_outer_parameters,
)
from .messages import PLACEHOLDER_MESSAGES, messages_of
from .otel_attributes import attributes_of
from .parameters import body_from_arguments, body_from_row, parameters_of, value_of
from .row_keys import (
    BODY_KEYS,
    LOG_KEYS,
    MESSAGE_KEYS,
    NESTED_KEYS,
    NON_BODY_KEYS,
    are_rows,
    children,
    has_cut_off_json,
    is_request_line,
    may_hold_messages,
)

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
_MAX_DEPTH = 7
_MAX_NODES = 400  # objects of a row that are searched
_MAX_ROWS = 100_000  # in one row


def unwrap(row: Any, formats: RowFormats | None = None) -> RowResult:
    """Return the first chat request in a row, or why there is none."""
    found = unwrap_all(row, formats)
    return next((one for one in found if isinstance(one, LoggedRequest)), found[0])


def unwrap_all(row: Any, formats: RowFormats | None = None) -> Sequence[RowResult]:
    """Return the chat requests in a row, or why there is none; at least one result."""
    try:
        row = read_row(row)
    except ValueError:
        return ("not JSON",)
    if (
        type(row) is dict
        and "model" in row
        and has_chat_messages(row.get("messages"))
        and _PARAMETERS.issuperset(row)
        and (formats is None or formats.is_plain)
    ):
        return (LoggedRequest(row),)
    formats = RowFormats.builtin() if formats is None else formats
    if formats.body is not None:
        return _read_at_path(row, formats, formats.body)
    return _best(_Reader(formats).read(row, Envelope(), 0))


def _best(found: list[RowResult], otherwise: RowResult = NO_REQUEST) -> Sequence[RowResult]:
    """Return the results that matter: requests, or else what kind of row it is."""
    if len(found) == 1:
        return found
    relevant = [one for one in found if one not in (NonRequest.NOTHING, NO_REQUEST)]
    if relevant:
        return relevant
    return found[:1] or (otherwise,)


class _Reader:
    """Read one row, with bounded work."""

    def __init__(self, formats: RowFormats) -> None:
        self.formats = formats
        self.remaining = _MAX_NODES

    def read(
        self, row: Any, envelope: Envelope, depth: int, *, named: bool = True
    ) -> list[RowResult]:
        """Return what a row contains. `named`: it was found under a key for bodies."""
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
        if isinstance(row.get("messages"), list) and are_rows(row):
            return self._read_each(row["messages"], envelope, depth)
        if not self.formats.own and "messages" in row and _PARAMETERS.issuperset(row):
            return [logged_request(envelope, row)]
        fitting = self.formats.format_of(row)
        if fitting is not None:
            found = self._read_by_format(fitting, row, envelope, depth)
            if found:
                return found
        if "messages" in row and (named or isinstance(row["messages"], list)):
            return [logged_request(envelope, body_from_row(row, NON_BODY_KEYS, REPLY_KEYS))]
        messages_key = next(
            (name for name in MESSAGE_KEYS if row.get(name) and has_chat_messages(row[name])),
            None,
        )
        if messages_key is not None and isinstance(row.get("model"), str):
            body = {key: value for key, value in row.items() if key != messages_key}
            return [
                logged_request(
                    envelope,
                    body_from_row(
                        {**body, "messages": row[messages_key]}, NON_BODY_KEYS, REPLY_KEYS
                    ),
                )
            ]
        if isinstance(row.get("model"), str) and isinstance(row.get("input", {}), (str, list)):
            # A request to the Responses API, or for embeddings.
            return [OTHER_ENDPOINT]
        return self._read_nested(row, envelope, depth, named=named and depth > 0)

    def _read_nested(
        self, row: dict[str, Any], envelope: Envelope, depth: int, *, named: bool
    ) -> list[RowResult]:
        other_results: list[RowResult] = []
        bodiless: list[RowResult] = []
        searched = broken = False
        for name, value in children(row):
            known = name in NESTED_KEYS
            try:
                inner = read_row(value) if known or may_hold_messages(value) else value
            except ValueError:
                broken = broken or (
                    (name in BODY_KEYS or value[:1] in ("{", b"{")) and not is_request_line(value)
                )
                continue
            if not isinstance(inner, (dict, list)):
                continue
            searched = searched or known
            found = self.read(inner, envelope.nested(name), depth + 1, named=name in BODY_KEYS)
            requests = [one for one in found if type(one) is LoggedRequest]
            if any(type(one.body) is not dict or "messages" in one.body for one in requests):
                return [with_outer_parameters(one, row) for one in found]
            if requests:
                bodiless = bodiless or found
            other_results += (
                () if any(isinstance(one, NonRequest) for one in other_results) else found
            )
        if bodiless:
            return bodiless
        if (
            not other_results
            and not broken
            and envelope.chat
            and named
            and not searched
            and not is_http_head(row)
        ):
            # A body without messages is a chat request only if its URL says so.
            return [logged_request(envelope, row)]
        if any(isinstance(one, NonRequest) for one in other_results):
            return other_results
        if broken and (LOG_KEYS.isdisjoint(row) or has_cut_off_json(row)):
            return [*other_results, "not JSON"]
        return (
            other_results
            if LOG_KEYS.isdisjoint(row) and not is_request_line(row.get("request"))
            else [NonRequest.NOTHING]
        )

    def _read_list(self, rows: list[Any], envelope: Envelope, depth: int) -> list[RowResult]:
        """Read a list: of fields with values, as in Logs Insights, or of rows."""
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
        """Read a row of a known format; nothing if its parts are missing."""
        if log_format.holds:
            return [NON_REQUESTS[log_format.holds]]
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
        """Read a value that a format declares to be a row or a body."""
        try:
            inner = read_row(inner)
        except ValueError:
            return []
        if log_format.body and isinstance(inner, list):
            messages = messages_of(inner)
            return (
                [logged_request(envelope, {"messages": messages}, log_format.name)]
                if messages
                else []
            )
        if log_format.body and isinstance(inner, dict) and "messages" in inner:
            return [logged_request(envelope, body_from_arguments(inner), log_format.name)]
        found = self.read(inner, envelope, depth + 1)
        return [
            replace(one, format=one.format or log_format.name)
            if isinstance(one, LoggedRequest)
            else one
            for one in found
        ]


def _read_at_path(row: Any, formats: RowFormats, path: Path) -> Sequence[RowResult]:
    """Read the bodies at the given path."""
    around: Envelope | None = Envelope()
    for at in range(len(path.steps)):  # URLs and replies along the path
        level = Path("", path.steps[:at]).find(row)
        level = read_text(level)
        if isinstance(level, dict) and around is not None:
            around = with_row(level, around)
    if around is None:
        return (OTHER_ENDPOINT,)
    around = replace(around, inside=(*path.names,))
    reader = _Reader(replace(formats, body=None))
    log_format = LogFormat("", body=(path,))
    out: list[RowResult] = []
    for one in path.find_all(row):
        reader.remaining = _MAX_NODES
        out += reader._read_inner(log_format, one, around, 0)  # same module
    return _best(out, "no chat request at --body")


def _body_from_parts(
    log_format: LogFormat, row: dict[str, Any], envelope: Envelope
) -> list[RowResult]:
    """Assemble a body from its parts."""
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
    return [logged_request(envelope, made, log_format.name, missing)]


def _is_other_endpoint(
    log_format: LogFormat, row: dict[str, Any], providers: frozenset[str]
) -> bool:
    """Return whether a call goes to another endpoint, or to a vendor with another API."""
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
