"""What moves to the Responses API and what stays: the parameters, by the support they have."""

from __future__ import annotations

from adapter.translation import CHAT_PARAMETERS

from .svg import SCHEMES, Drawing

TITLE = "What moves to the Responses API, and what stays on Chat Completions"
GROUPS = (
    ("exact", "ours", "Moves, with the same meaning", ""),
    ("emulated", "ours", "Moves, reproduced by the adapter", "those that cost more requests, or differ: only where emulate names them"),
    ("lossy", "choice", "Moves with a nuance lost", "where it is left out, only by a setting"),
    ("impossible", "stays", "Stays on Chat Completions", "the call is held there, unless a setting drops the parameter"),
)  # fmt: skip
"""The supports of the table of parameters: box, heading and remark."""
GAP = 12


def picture(scheme: str) -> str:
    """Draw it."""
    it = Drawing(TITLE, SCHEMES[scheme])
    for support, kind, head, remark in GROUPS:
        names = [rule.name for rule in CHAT_PARAMETERS.values() if rule.support == support]
        lines = [(remark, False)] if remark else []
        it.height += int(it.box(kind, head, [*lines, (", ".join(sorted(names)), True)])) + GAP
    it.height += int(
        it.box(
            "theirs",
            "Not a chat call: never touched",
            [("embeddings, files, batches, responses.* and every other resource", False)],
        )
    )
    return it.svg()
