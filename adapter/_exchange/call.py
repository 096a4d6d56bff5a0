"""One call's whole journey, as a generator of effects: it decides, translates and reads replies, and does no I/O itself.

A door drives it: it performs each effect and sends the result back in (doors/drive.py, in one sync and one async loop).
What the generator returns says what the caller gets (effects.py).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from typing import Any

from adapter._util import json_codec
from adapter.errors import TranslationError, UpstreamFailure
from adapter.translation.ledger import Loss
from adapter.translation.replies import stored as stored_replies
from adapter.translation.replies.merge import merge_completions, sum_usage
from adapter.translation.types import IndexMap, Translation

from . import fallback
from .effects import (
    NOTE,
    READ_REPLY,
    READ_REQUEST,
    UNREAD,
    Decide,
    Effect,
    FanOut,
    FellBack,
    Flag,
    Head,
    Journey,
    Merged,
    Missing,
    Need,
    Outcome,
    ReadFlag,
    Rewritten,
    Send,
    Streamed,
    Untouched,
)
from .endpoints import Stored
from .error_replies import bug_in_reply, error_reply, failure_reply, no_way_back
from .merged_stream import Chorus
from .plan import Plan, make_plan, parsed, plan_for_bug
from .reasoning import Lighter, Load, error_in, lighten, loaded, taken
from .record import Choice, Journal, Veto
from .reply import json_of, read_reply, upstream_error

_Step = Generator[Effect, Any, Any]


def exchange(
    journal: Journal,
    raw_path: bytes,
    capacity: int | None = None,
    *,
    named: bool = False,
    host: Callable[[], str] = str,
) -> Journey:
    """Carry one chat request from the door to its outcome, keeping `journal`.

    `raw_path` is the path that it came for, with the query; `capacity` how many requests may run at once (None: unlimited);
    `named` says that the caller has named the conversation; `host` tells, where it matters, where the request goes.
    """
    body = UNREAD
    if journal.choice is None:
        journal.choice, body = yield from _decide()
    choice = journal.choice
    journal.backend, journal.reason = "chat", choice.reason
    journal.request_losses, journal.reply = (), None
    if choice.backend == "chat":
        yield Send()
        return Untouched()

    if body is UNREAD:
        body = parsed((yield READ_REQUEST))
    plan = make_plan(body, choice, raw_path, capacity, host)
    load: Load | None = None
    if plan.translation is not None:
        try:
            load = yield from loaded(plan.translation, choice, named=named)
        except Exception as bug:  # noqa: BLE001  # our own bugs are ours
            plan = plan_for_bug(body, choice, bug)
    journal.reason, journal.request_losses = plan.reason, plan.losses + (() if load is None else load.losses)
    journal.droppable = plan.droppable
    if plan.refusal is not None:
        journal.backend = "responses"
        yield NOTE
        return plan.refusal
    if load is None:
        return (yield from _on_chat(journal))

    way_back = fallback.way_back(raw_path)
    if way_back is None:
        choice = replace(choice, fallback=frozenset())
    elif way_back == raw_path:
        way_back = None  # as it came
    asked = load.plain.asked
    journal.backend, journal.model = "responses", asked.model
    if asked.n > 1:
        outcome = yield from _several(journal, choice, plan, load)
    else:
        outcome = yield from _branch(journal, choice, plan, load)
    if isinstance(outcome, FellBack):
        return (yield from _fall_back(journal, choice, plan, outcome, way_back))
    return outcome


def _on_chat(journal: Journal, path: bytes | None = None) -> Journey:
    """Send the untouched call to Chat Completions, for the reason that stands in the journal."""
    rejected = journal.reason == "rejected"
    if not rejected:
        yield NOTE
    head: Head = yield Send(path=path)
    if rejected:
        journal.request_losses = (fallback.second_opinion(head),)
        yield NOTE
    return Untouched()


def _decide() -> _Step:
    """Ask for the choice until nothing is missing for it; give it and, where it was read, the request's JSON."""
    body: Any = UNREAD
    flag: Any = UNREAD
    while True:
        answer: Choice | Need | Flag = yield Decide(body, flag)
        if isinstance(answer, Choice):
            return answer, body
        if isinstance(answer, Flag):
            try:
                flag = yield ReadFlag(answer)
            except Exception:  # noqa: BLE001  # promise 9: a flag that we fail to read has no opinion
                flag = None
        else:
            body = parsed((yield READ_REQUEST))


def _branch(journal: Journal, choice: Choice, plan: Plan, load: Load) -> Journey:
    """Send the translated request, and read what comes back; again, with less, where the API refuses what we put into it."""
    notes: list[Effect] = []
    while True:
        head: Head = yield Send(load.body, plan.path)
        journal.translation = Translation(None, *load.translation[1:])
        raw, outcome, refusal = None, None, None
        if head.status == 400 and load.refusable:
            refusal = raw = yield READ_REPLY
        elif head.status < 300 and not (choice.fallback and _may_fall_back(head, choice)):
            outcome = yield from read_reply(journal, choice, journal.translation, head, memo=load.memo, path=plan.path)
            refusal = _told_inside(outcome)
        lighter = _lighter(load, refusal, choice) if refusal is not None and load.refusable else None
        if lighter is None:
            break
        journal.request_losses += lighter.losses
        notes.append(lighter.note)
        load = lighter.load
    if head.status < 400 and refusal is None:  # else it was refused for something else, perhaps
        yield from _noted(notes or taken(load), choice)
    if outcome is None:
        if head.status == 302 and "blocked" in choice.fallback:
            return FellBack("blocked", head, b"")
        if 300 <= head.status < 400:
            # The HTTP client follows, and comes back through the door with the same journal (MAPPING §9.4).
            return Untouched()
        if choice.fallback and _may_fall_back(head, choice):
            raw = (yield READ_REPLY) if raw is None else raw
            reason = _judged(head, raw, choice)
            if reason in choice.fallback:
                return FellBack(reason, head, raw)
        outcome = yield from read_reply(journal, choice, journal.translation, head, raw, memo=load.memo, path=plan.path)
    if isinstance(outcome, Rewritten):
        yield NOTE
    elif isinstance(outcome, Streamed):
        _let_go(load, choice)
    return outcome


def _noted(notes: list[Effect], choice: Choice) -> _Step:
    try:
        for note in notes:  # noqa: UP028  # a list takes no results
            yield note
    except Exception:  # a memory that fails costs continuity, never the call
        if choice.on_bug == "raise":
            raise


def _told_inside(outcome: Outcome) -> dict[str, Any] | None:
    """Return the error of a reply that began well and said nothing else."""
    failure = outcome.failure if isinstance(outcome, Rewritten) else None
    return None if failure is None or failure.spoke else failure.given


def _lighter(load: Load, refusal: bytes | dict[str, Any], choice: Choice) -> Lighter | None:
    try:
        return lighten(load, refusal if isinstance(refusal, dict) else error_in(refusal))
    except Exception:  # promise 9: upstream's own words are still the best answer
        if choice.on_bug == "raise":
            raise
        return None


def _let_go(load: Load, choice: Choice) -> None:
    """Let a stream hold what its reply is read with, and not what was sent."""
    try:
        if load.history is not None:
            load.history.let_go()
    except Exception:  # it costs memory, never the call
        if choice.on_bug == "raise":
            raise


def _may_fall_back(head: Head, choice: Choice) -> bool:
    try:
        return fallback.needs_body(head)
    except Exception:  # promise 9: upstream's own words are still the best answer
        if choice.on_bug == "raise":
            raise
        return False


def _lacks_model(why: FellBack, choice: Choice) -> bool:
    try:
        return fallback.lacks_model(why.head, why.raw)
    except Exception:  # a bug of ours: then it is asked again
        if choice.on_bug == "raise":
            raise
        return True


def _judged(head: Head, raw: bytes, choice: Choice) -> str | None:
    try:
        reason = fallback.judge(head, raw)
        if reason == "missing" and head.status == 400 and reason not in choice.fallback:
            return "rejected"
        return reason
    except Exception:  # promise 9, as above
        if choice.on_bug == "raise":
            raise
        return None


@dataclass(frozen=True, slots=True)
class _Together:
    """What is known of several replies that are read as one."""

    journals: list[Journal]

    @property
    def losses(self) -> Iterator[Loss]:
        """All their ledgers, by the reply's number."""
        for k, one in enumerate(self.journals):
            for loss in one.reply_losses():
                yield replace(loss, path=f"[{k}].{loss.path}")

    @property
    def usage(self) -> dict[str, Any] | None:
        """What they used together."""
        return sum_usage([one.usage() for one in self.journals])


def _several(journal: Journal, choice: Choice, plan: Plan, load: Load) -> Journey:
    """Send the translated request as often as the caller wants answers, and make one reply of what comes back (MAPPING §1.3)."""
    asked = load.plain.asked
    journals = [Journal(choice, "responses", choice.reason, journal.model, written=True) for _ in range(asked.n)]
    # First, since the others may all be cancelled: a redirect of one of them comes back through the door.
    journal.translation = load.translation
    journal.reply = _Together(journals)
    outcomes: tuple[Outcome, ...] = yield FanOut(tuple(_branch(one, choice, plan, load) for one in journals))
    journal.request_losses += tuple(dict.fromkeys(loss for one in journals for loss in one.request_losses))
    if len(outcomes) < asked.n:
        if isinstance(outcomes[0], Rewritten):  # a redirect and a fallback go on, a stream ends later
            yield NOTE
        return outcomes[0]
    parts = tuple(one for one in outcomes if isinstance(one, (Streamed, Rewritten)))
    try:
        if asked.stream:
            return Merged(parts, Chorus(asked.n, on_bug_raise=choice.on_bug == "raise"))
        merged = merge_completions([json_codec.loads(one.body) for one in parts if isinstance(one, Rewritten)])
        outcome = Rewritten(200, json_codec.dumps_reply(merged))
    except Exception as bug:
        if choice.on_bug == "raise":
            raise
        outcome = bug_in_reply(bug)
    yield NOTE
    return outcome


def _fall_back(journal: Journal, choice: Choice, plan: Plan, why: FellBack, way_back: bytes | None) -> Journey:
    """Send the untouched call to Chat Completions; or say why that can't be."""
    if plan.one_way is not None:
        yield NOTE
        assert plan.translation is not None
        return no_way_back(why, plan.translation.index, plan.one_way)
    told = fallback.WHY[why.reason]
    if why.reason == "missing":
        only = journal.model if _lacks_model(why, choice) else None
        told = told if only is None else fallback.UNSERVED
        yield Missing(choice.fallback_expiry, only)
    loss = Loss("$", "held", told)
    # A retry goes straight to Chat.
    journal.choice = replace(choice, veto=Veto(why.reason, loss))
    journal.backend, journal.reason, journal.translation = "chat", why.reason, None
    journal.request_losses, journal.reply = (loss,), None
    return (yield from _on_chat(journal, way_back))


def follow(journal: Journal) -> Journey:
    """Carry a request into which the HTTP client has turned a translated one: after a 301, 302 or 303 it asks with GET.

    What comes back may be the Response that the redirect stands for, or a page that has nothing to do with it (a
    login): that is passed on as it would be for Chat.
    """
    head: Head = yield Send()
    answer = head.content_type.lower().startswith(("application/json", "text/event-stream"))
    if journal.choice is None or journal.translation is None or 300 <= head.status < 400 or not answer:
        return Untouched()
    outcome = yield from read_reply(journal, journal.choice, journal.translation, head)
    if isinstance(outcome, Rewritten):
        yield NOTE
    return outcome


def stored(question: Stored) -> Journey:
    """Carry a question about a stored completion that is a Response."""
    path, last = question.path, None
    while True:
        head: Head = yield Send(path=path)
        if 300 <= head.status < 400:
            return Untouched()
        raw = yield READ_REPLY
        if head.status >= 400:
            return upstream_error(head, raw, _STORED_NAMES)
        try:
            body = json_of(raw)
            if question.what == "delete":
                answer = stored_replies.deleted(body, question.completion_id)
            elif question.what == "retrieve":
                answer = stored_replies.retrieved(body)
            else:
                answer = stored_replies.messages(body, newest_first=question.newest_first)
                if not answer["data"] and answer["has_more"] and body.get("last_id") not in (None, last):
                    # A page of nothing but reasoning; the SDK would take an empty page for the end.
                    last = body["last_id"]
                    path = question.page_after(last)
                    continue
        except UpstreamFailure as failure:
            return failure_reply(failure)
        except TranslationError as error:
            return error_reply(502, str(error), "server_error", None, "invalid_response")
        except Exception as bug:  # noqa: BLE001  # promise 9
            return bug_in_reply(bug)
        return Rewritten(200, json_codec.dumps_reply(answer))


_STORED_NAMES = IndexMap(names={"response_id": "completion_id"})
