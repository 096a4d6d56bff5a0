"""The plan for a request routed to the Responses API: translate it, hold it on Chat, or refuse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from adapter._util import json_codec
from adapter.errors import TranslationError
from adapter.translation.ledger import Loss
from adapter.translation.model_profiles import has_function_tools
from adapter.translation.requests.chat_to_responses import chat_to_responses
from adapter.translation.server_profiles import ServerProfile, server_profile
from adapter.translation.types import EMPTY_MAPPING, Translation

from . import fallback
from .effects import WholeReply
from .endpoints import responses_endpoint
from .error_replies import error_reply
from .guards import guarded
from .record import Route
from .request_body import NOT_JSON


class Plan(NamedTuple):
    """What to do with a request: send its translation, or refuse it, or (neither) keep it on Chat.

    `responses_only_reason` says why Chat can't serve the call, or is None; `droppable` is the
    translation's; `fallback` are the reasons for which a reply sends the call to Chat.
    """

    reason: str
    losses: tuple[Loss, ...] = ()
    translation: Translation | None = None
    path: bytes | None = None
    refusal: WholeReply | None = None
    responses_only_reason: str | None = None
    droppable: Mapping[str, str] = EMPTY_MAPPING
    fallback: tuple[str, ...] = ()


def make_plan(
    body: Any, route: Route, raw_path: bytes, capacity: int | None, host: Callable[[], str] = str
) -> Plan:
    """Make the plan for the JSON `body` of a request. Raises only if `route.strict` is true."""
    if body is NOT_JSON:
        return Plan("not-json", (Loss("$", "held", "not JSON"),))
    responses_only_reason = None
    try:
        endpoint = responses_endpoint(raw_path)
        if endpoint.model is not None and isinstance(body, dict):
            body = body | {"model": endpoint.model}
        responses_only_reason = _responses_only_reason(
            body, route, lambda: server_profile(host(), raw_path)
        )
        if route.hold is not None and (route.hold.unconditional or responses_only_reason is None):
            return _held(route.hold.reason, (route.hold.loss,), responses_only_reason)
        changes = endpoint.changes
        if route.model is not None and isinstance(body, dict) and body.get("model") != route.model:
            body = body | {"model": route.model}
            changes += (Loss("model", "changed", "to the model that a rule names"),)
        if (
            route.unserved is not None
            and responses_only_reason is None
            and isinstance(body, dict)
            and route.unserved(body.get("model"))
        ):
            return Plan("missing", (Loss("$", "held", fallback.UNSERVED_TEXT),))
        translation = chat_to_responses(body, route.policy)
        if translation.body is None:
            held = _held(
                "unsupported", translation.held + translation.losses, responses_only_reason
            )
            return held._replace(droppable=translation.droppable)
        if capacity is not None and translation.reply_context.n > capacity:
            return _held(
                "unsupported",
                (Loss("n", "held", "more requests than the connection pool allows at once"),),
                responses_only_reason,
            )
        losses = changes + translation.losses
        return Plan(
            route.reason,
            losses,
            translation,
            endpoint.path,
            responses_only_reason=responses_only_reason,
            fallback=() if fallback.chat_path_of(raw_path) is None else route.settings.fallback,
        )
    except TranslationError as error:
        return _refused(error.path, error.why, (), responses_only_reason)
    except Exception as bug:  # noqa: BLE001  # an adapter bug (docs/decisions.md#internal-errors)
        return plan_for_bug(body, route, bug)


def _held(reason: str, losses: tuple[Loss, ...], responses_only_reason: str | None) -> Plan:
    if responses_only_reason is None:
        return Plan(reason, losses)
    first = losses[0]
    return _refused(
        first.path,
        f"{first.why}, and the call can't be kept on Chat: {responses_only_reason}",
        losses,
        responses_only_reason,
    )


def _refused(
    path: str, why: str, losses: tuple[Loss, ...], responses_only_reason: str | None
) -> Plan:
    # A reply instead of an exception: every SDK version makes the same BadRequestError of it
    # (docs/mapping.md#refused-calls).
    losses = losses or (Loss(path, "held", why),)
    return Plan(
        "refused",
        losses,
        refusal=error_reply(
            400, f"{path}: {why}", "invalid_request_error", path, "unsupported_by_responses"
        ),
        responses_only_reason=responses_only_reason,
    )


def plan_for_bug(body: Any, route: Route, bug: Exception) -> Plan:
    """Make the plan for a request on which the adapter itself failed; raise `bug` if set to.

    A number that can be read but not written again (`1e999` is an infinity) is not an adapter bug.
    """
    if isinstance(bug, json_codec.Unwritable):
        loss = Loss("$", "held", "contains a value that JSON can't represent")
        return _held("not-json", (loss,), _responses_only_reason(body, route))
    if route.strict:
        raise bug
    why = f"the adapter failed on this call ({type(bug).__name__})"
    losses = (Loss("$", "held", why),)
    # The bug may be here; then the call is kept on Chat.
    responses_only_reason = guarded(route, None, _responses_only_reason, body, route)
    if responses_only_reason is None:
        return Plan("adapter-bug", losses)
    message = f"$: {why}, and the call can't be kept on Chat: {responses_only_reason}"
    return Plan(
        "adapter-bug",
        losses,
        refusal=error_reply(500, message, "server_error", None, "adapter_bug"),
    )


def _responses_only_reason(
    body: Any, route: Route, server: Callable[[], ServerProfile] | None = None
) -> str | None:
    """Return why Chat can't serve the unchanged call, or None."""
    if not isinstance(body, dict):
        return None
    tools, effort = has_function_tools(body), body.get("reasoning_effort")
    return route.policy.models.responses_only_reason(
        body.get("model"), tools=tools, effort=effort, server=server
    )
