"""The way of a call: from the call site to one of the two APIs, and back."""

from __future__ import annotations

from .svg import MARGIN, SCHEMES, WIDTH, Drawing

GAP = 36
TITLE = "The way of a call through the SDK and the adapter to one of the two APIs, and back"


def picture(scheme: str) -> str:
    """Draw it."""
    it = Drawing(TITLE, SCHEMES[scheme])
    it.height += int(it.box("theirs", "Your code", [("client.chat.completions.create(…)", True)]))
    _between(it, "parameters", "a ChatCompletion, or chunks")
    it.height += int(
        it.box(
            "theirs",
            "OpenAI SDK",
            [("Stays the SDK's own: retries, timeouts, helpers, types and errors", False)],
        )
    )
    _between(it, "a Chat request", "a Chat reply")
    it.height += int(
        it.box(
            "ours",
            "adapter: client or transport",
            [("Chooses the API: settings, rules, flags, kill switch", False)],
        )
    )
    half = (WIDTH - 2 * MARGIN - 12) / 2
    right = MARGIN + half + 12
    top, it.height = it.height, it.height + GAP
    for left in (MARGIN, right):
        it.arrow(left + half * 0.35, top + 3, it.height - 3)
        it.arrow(left + half * 0.65, it.height - 3, top + 3)
    same = it.box(
        "theirs",
        "flag off, or held",
        [("request and reply go through unchanged", False)],
        left=MARGIN,
        width=half,
    )
    ours = it.box(
        "ours",
        "flag on: exchange",
        [
            ("request translated", False),
            ("reply or stream read", False),
            ("translated back", False),
        ],
        left=right,
        width=half,
    )
    top = it.height
    it.height += int(max(same, ours)) + GAP
    for left, tall in ((MARGIN, same), (right, ours)):
        it.arrow(left + half * 0.35, top + tall + 3, it.height - 3)
        it.arrow(left + half * 0.65, it.height - 3, top + tall + 3)
    it.height += int(
        it.box(
            "theirs",
            "HTTP library",
            [("Stays as it is: connections, proxies, TLS, hooks", False)],
        )
    )
    top, it.height = it.height, it.height + GAP
    for left in (MARGIN, right):
        it.arrow(left + half * 0.35, top + 3, it.height - 3)
        it.arrow(left + half * 0.65, it.height - 3, top + 3)
    it.box("theirs", "Chat Completions", [("/chat/completions", True)], left=MARGIN, width=half)
    it.height += int(
        it.box("theirs", "Responses API", [("/responses", True)], left=right, width=half)
    )
    return it.svg()


def _between(it: Drawing, down: str, up: str) -> None:
    """Draw what goes down between two boxes, and what comes back."""
    top, it.height = it.height, it.height + GAP
    it.arrow(MARGIN + 30, top + 3, it.height - 3)
    it.text(MARGIN + 42, top + GAP / 2 + 5, down, quiet=True)
    it.arrow(MARGIN + 165, it.height - 3, top + 3)
    it.text(MARGIN + 177, top + GAP / 2 + 5, up, quiet=True)
