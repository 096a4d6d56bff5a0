"""What one choice says: text, refusal, annotations and logprobs out of a Response's items."""

from __future__ import annotations

from typing import Any

from adapter.translation.ledger import Ledger
from adapter.translation.objects.logprobs import logprobs_to_chat
from adapter.translation.objects.message_text import Message, Piece, Prose
from adapter.translation.objects.output_items import is_commentary, parts_of
from adapter.translation.types import Asked

from .annotations import Annotation, annotation_to_chat
from .stop_sequences import Cut


class Speech:
    """Collect whole messages; afterwards `text`, `refusal`, `logprobs` and `annotations()` are what the caller reads.

    `over` tells that the text was cut at a stop sequence: nothing that follows belongs to the answer.
    """

    def __init__(self, asked: Asked, ledger: Ledger) -> None:
        self._asked = asked
        self._ledger = ledger
        self._prose = Prose(ledger, first_only=asked.json_format)
        self._refusals = Prose(ledger)
        self._cut = Cut(asked.stop)
        self._annotations: list[Annotation] = []
        self.text = ""
        self.refusal = ""
        self.logprobs: list[dict[str, Any]] = []
        self.spoke = False

    @property
    def over(self) -> bool:
        """Tell whether the text was cut."""
        return self._cut.over

    def message(self, path: str, item: dict[str, Any]) -> None:
        """Take a message item."""
        commentary = is_commentary(item)
        text, refusal = Message(path, commentary, certain=True), Message(path, commentary)
        for p, part in enumerate(parts_of(path, item)):
            if part.kind == "text":
                self.annotate(text, f"{path}.content[{p}]", part.given.get("annotations"))
            if not part.text:
                continue
            if part.kind == "text":
                entries = logprobs_to_chat(part.given.get("logprobs")) if self._asked.logprobs else []
                self._say(self._prose.write(text, part.text, entries))
            else:
                self._refuse(self._refusals.write(refusal, part.text, []))
        self._say(self._prose.end())
        self._refuse(self._refusals.end())

    def annotate(self, message: Message, path: str, annotations: Any) -> None:
        """Take the annotations of the part that begins where the message's text ends now."""
        for a, value in enumerate(annotations if isinstance(annotations, list) else ()):
            self._annotations.append(Annotation(message, message.length, value, f"{path}.annotations[{a}]"))

    def call(self) -> None:
        """Note that a call follows."""
        self._say(self._prose.call(), last=True)
        self._refuse(self._refusals.call())

    def finish(self) -> None:
        """Note that the answer is complete."""
        self._say(self._prose.finish(), last=True)
        self._refuse(self._refusals.finish())

    def annotations(self) -> list[dict[str, Any]]:
        """Return the annotations of what is shown, in Chat's shape, with positions in the text that the caller reads."""
        found = (annotation_to_chat(a, self._ledger, end=self._cut.at) for a in self._annotations)
        return [annotation for annotation in found if annotation is not None]

    def _say(self, pieces: list[Piece], *, last: bool = False) -> None:
        self.spoke = self.spoke or bool(pieces)  # cut down to nothing it is still an answer
        for piece in self._cut.take(pieces, last=last):
            self.text += piece.text
            self.logprobs += piece.logprobs

    def _refuse(self, pieces: list[Piece]) -> None:
        for piece in () if self.over else pieces:
            self.spoke = True
            self.refusal += piece.text
