"""Emulate `n`: several requests at once, read as one reply (docs/mapping.md#several-choices)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from adapter._util import json_codec
from adapter.translation.ledger import Loss
from adapter.translation.replies.merge import merge_completions, sum_usage

from .effects import Exchange, FanOut, MergedStreamReply, Outcome, StreamReply, WholeReply
from .error_replies import adapter_bug
from .merged_stream import StreamMerger
from .plan import Plan
from .reasoning import PreparedRequest
from .record import CallState, Route
from .send import send_gen


@dataclass(frozen=True, slots=True)
class _CombinedReply:
    """The `ReplyInfo` of several replies that are read as one."""

    states: list[CallState]

    @property
    def losses(self) -> Iterator[Loss]:
        """All their losses; paths begin with the reply's index."""
        for k, one in enumerate(self.states):
            for loss in one.reply_losses():
                yield replace(loss, path=f"[{k}].{loss.path}")

    @property
    def usage(self) -> dict[str, Any] | None:
        """The sum of their usage."""
        return sum_usage([one.usage() for one in self.states])


def fan_out_gen(state: CallState, route: Route, plan: Plan, prepared: PreparedRequest) -> Exchange:
    """Send the translated request `n` times and merge the replies into one with `n` choices."""
    context = prepared.without_memory.reply_context
    states = [
        CallState(route, "responses", route.reason, state.model, logged=True)
        for _ in range(context.n)
    ]
    # Set before sending: a redirect of one branch, which cancels the others, comes back with
    # this state.
    state.translation = prepared.translation
    state.reply = _CombinedReply(states)
    outcomes: tuple[Outcome, ...] = yield FanOut(
        tuple(send_gen(one, route, plan, prepared) for one in states)
    )
    state.request_losses += tuple(
        dict.fromkeys(loss for one in states for loss in one.request_losses)
    )
    if len(outcomes) < context.n:
        return outcomes[0]
    parts = tuple(one for one in outcomes if isinstance(one, (StreamReply, WholeReply)))
    try:
        if context.stream:
            return MergedStreamReply(parts, StreamMerger(context.n, on_bug_raise=route.strict))
        merged = merge_completions(
            [json_codec.loads(one.body) for one in parts if isinstance(one, WholeReply)]
        )
        return WholeReply(200, json_codec.dumps_reply(merged))
    except Exception as bug:
        if route.strict:
            raise
        return adapter_bug(bug)
