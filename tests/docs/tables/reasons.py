"""The table of the reasons of a decision."""

from __future__ import annotations

import re

from adapter._exchange.record import Decision

from . import code, table

MEANINGS = {
    "force": ("as asked", "The kill switch is set ([`force`](settings.md#force))."),
    "header": ("as asked", "The call has the header `x-adapter-backend`."),
    "use": ("as asked", "The call started inside `use(backend=…)`."),
    "flag": ("as asked", "The feature flag has a value ([`flags`](settings.md#flags))."),
    "rule": ("as asked", "The first rule that matches names a backend ([`rules`](settings.md#rules))."),
    "rollout": ("as asked", "The caller is, or isn't, in the percentage ([`rollout`](settings.md#rollout))."),
    "settings": ("as asked", "Nothing above says anything: [`backend`](settings.md#backend)."),
    "hosts": ("Chat Completions", "The host isn't among those whose calls are adapted ([`hosts`](settings.md#hosts))."),
    "unsupported": ("Chat Completions", "The Responses API can't carry a value of the request; the losses name it."),
    "not-json": ("Chat Completions", "The request's body isn't JSON, or has a value that JSON can't represent."),
    "missing": ("Chat Completions", "The server has no Responses API, or doesn't serve this model there."),
    "blocked": ("Chat Completions", "A gateway in front of the server blocked the request."),
    "rejected": ("Chat Completions", "The Responses API answered 400, and [`fallback`](settings.md#fallback) has `rejected`."),
    "adapter-bug": ("Chat Completions", "The adapter itself failed before it sent anything; the log has the details."),
    "refused": ("nothing was sent", "The call can be answered by neither API as it is; the caller got an error."),
}  # fmt: skip


def names() -> list[str]:
    """Return the reasons that the docstring of Decision lists."""
    text = (Decision.__doc__ or "").partition("`reason`")[2].partition("`losses`")[0]
    return re.findall(r"`([a-z-]+)`", text)


def reasons() -> str:
    """Return one row for each reason."""
    assert names() == list(MEANINGS), "tests/docs/tables/reasons.py lacks a reason, or has another"
    rows = [(code(name), *MEANINGS[name]) for name in names()]
    return table(("reason", "the call went to", "because"), rows)
