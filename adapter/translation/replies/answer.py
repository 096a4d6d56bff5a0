"""Text, refusal, annotations and logprobs of the one choice, from a Response's items."""

from __future__ import annotations

from typing import Any

from adapter.translation.ledger import Ledger
from adapter.translation.objects.logprobs import logprobs_to_chat
from adapter.translation.objects.message_text import MessageText, TextPiece, TextSelector
from adapter.translation.objects.output_items import is_commentary, parts_of
from adapter.translation.types import ReplyContext

from .annotations import Annotation, annotation_to_chat
from .stop_sequences import StopCutter


class AnswerCollector:
    """Collect whole messages and calls, in order.

    After `finish`, `text`, `refusal`, `logprobs` and `annotations()` are what the caller reads.
    Once `is_cut`, nothing that follows belongs to the answer.
    """

    def __init__(self, context: ReplyContext, ledger: Ledger) -> None:
        self._context = context
        self._ledger = ledger
        self._selector = TextSelector(ledger, first_only=context.json_format)
        self._refusals = TextSelector(ledger)
        self._cutter = StopCutter(context.stop)
        self._annotations: list[Annotation] = []
        self.text = ""
        self.refusal = ""
        self.logprobs: list[dict[str, Any]] = []
        self.has_output = False

    @property
    def is_cut(self) -> bool:
        """Return whether the text was cut at a stop sequence."""
        return self._cutter.is_cut

    def message(self, path: str, item: dict[str, Any]) -> None:
        """Take a message item."""
        commentary = is_commentary(item)
        text = MessageText(path, commentary, phase_known=True)
        refusal = MessageText(path, commentary)
        for p, part in enumerate(parts_of(path, item)):
            if part.kind == "text":
                self.annotate(text, f"{path}.content[{p}]", part.given.get("annotations"))
            if not part.text:
                continue
            if part.kind == "text":
                entries = (
                    logprobs_to_chat(part.given.get("logprobs")) if self._context.logprobs else []
                )
                self._add_text(self._selector.write(text, part.text, entries))
            else:
                self._add_refusal(self._refusals.write(refusal, part.text, []))
        self._add_text(self._selector.end())
        self._add_refusal(self._refusals.end())

    def annotate(self, message: MessageText, path: str, annotations: Any) -> None:
        """Take the annotations of the part that begins at the current end of the message's text."""
        for a, value in enumerate(annotations if isinstance(annotations, list) else ()):
            self._annotations.append(
                Annotation(message, message.length, value, f"{path}.annotations[{a}]")
            )

    def call(self) -> None:
        """Take a call, which ends the text before it."""
        self._add_text(self._selector.call(), last=True)
        self._add_refusal(self._refusals.call())

    def finish(self) -> None:
        """End the answer."""
        self._add_text(self._selector.finish(), last=True)
        self._add_refusal(self._refusals.finish())

    def annotations(self) -> list[dict[str, Any]]:
        """Return the annotations of what is shown, in Chat's shape."""
        found = (
            annotation_to_chat(a, self._ledger, end=self._cutter.position)
            for a in self._annotations
        )
        return [annotation for annotation in found if annotation is not None]

    def _add_text(self, pieces: list[TextPiece], *, last: bool = False) -> None:
        # Also if nothing is left of them before the cut: the answer is then an empty text.
        self.has_output = self.has_output or bool(pieces)
        for piece in self._cutter.feed(pieces, last=last):
            self.text += piece.text
            self.logprobs += piece.logprobs

    def _add_refusal(self, pieces: list[TextPiece]) -> None:
        for piece in () if self.is_cut else pieces:
            self.has_output = True
            self.refusal += piece.text
