"""The chunks of our own clients' streams, built without the SDK's reader, which spends most of its time on building them field by field.

Plain ones are validated by Pydantic, which gives equal objects: their values have the types of the fields, so that there is nothing
to coerce. Deltas that differ in nothing but their text are cast: given the four attributes that Pydantic's models consist of (those that
its own `model_construct` sets), in two thirds of the time. Where that doesn't give what Pydantic gives, which is tried with the first
one of each stream, all are validated.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel

from adapter.translation.streams.chunks import ChunkTemplate, TextChunk

_PADDING_IS_KNOWN = (
    "obfuscation" in ChatCompletionChunk.model_fields
)  # since 3.x some time; before, it is an extra field


@cache
def _builder() -> Callable[[Any], ChatCompletionChunk]:
    """Return what builds a chunk of a plain delta."""
    ChatCompletionChunk.model_rebuild()  # the SDK's models are made complete when they are first used
    build: Callable[[Any], ChatCompletionChunk] = (
        ChatCompletionChunk.__pydantic_validator__.validate_python
    )
    return build


_CHOICE = frozenset({"index", "delta", "logprobs", "finish_reason"})
_OPENING = frozenset({"role", "content", "refusal"})
_CALL = frozenset({"index", "id", "type", "function"})
_FUNCTION = frozenset({"name", "arguments"})


def _is_plain(chunk: dict[str, Any]) -> bool:
    """Tell whether a chunk is nothing but a piece of text or of a function's arguments, the first one of an answer, or its finish."""
    choices = chunk["choices"]
    if (
        len(choices) != 1
        or not choices[0].keys() <= _CHOICE
        or choices[0].get("logprobs") is not None
    ):
        return False
    delta = choices[0]["delta"]
    calls = delta.get("tool_calls")
    if calls is None:
        plain: bool = delta.keys() <= _OPENING
        return plain
    return (
        len(delta) == 1
        and calls[0].keys() <= _CALL
        and calls[0].get("function", {}).keys() <= _FUNCTION
    )


TextChunkBuilder = Callable[[str, str | None, ChunkTemplate], ChatCompletionChunk]
"""Makes a chunk of a text and its padding."""


def _compile(build: Callable[[Any], ChatCompletionChunk]) -> TextChunkBuilder:
    """Return what makes chunks with a text as `build` would."""
    choice = {"index": 0, "delta": {"content": ""}, "finish_reason": None}
    top = {"id": "", "object": "chat.completion.chunk", "created": 0, "model": ""}
    bare, keyed = (build(top | {"choices": [one]}) for one in (choice, choice | {"logprobs": None}))
    said = bare.choices[0].delta
    top_class, choice_class, delta_class = type(bare), type(bare.choices[0]), type(said)
    fields, choice_values, delta_values = bare.__dict__, bare.choices[0].__dict__, said.__dict__
    delta_set = said.__pydantic_fields_set__
    choice_sets = bare.choices[0].__pydantic_fields_set__, keyed.choices[0].__pydantic_fields_set__
    new, as_field = object.__new__, _PADDING_IS_KNOWN
    # The slots' own descriptors: the models' `__setattr__` would validate.
    values, fields_set, extra, private = (
        BaseModel.__dict__[name].__set__
        for name in (
            "__dict__",
            "__pydantic_fields_set__",
            "__pydantic_extra__",
            "__pydantic_private__",
        )
    )

    def cast(text: str, padding: str | None, like: ChunkTemplate) -> ChatCompletionChunk:
        delta = new(delta_class)
        held = delta_values.copy()
        held["content"] = text
        values(delta, held)
        fields_set(delta, {*delta_set})
        extra(delta, {})
        private(delta, None)
        chosen = new(choice_class)
        held = choice_values.copy()
        held["delta"] = delta
        values(chosen, held)
        fields_set(chosen, {*choice_sets[like.logprobs_key]})
        extra(chosen, {})
        private(chosen, None)
        made = new(top_class)
        held = fields | like.top
        held["choices"] = [chosen]
        values(made, held)
        names = {"choices", *like.top}
        fields_set(made, names)
        more = {}
        if padding is not None:
            if as_field:
                held["obfuscation"] = padding
                names.add("obfuscation")
            else:
                more["obfuscation"] = padding
        extra(made, more)
        private(made, None)
        return made

    return cast


@cache
def _text_chunk_builder() -> TextChunkBuilder | None:
    """Return what makes chunks; None where Pydantic's models don't consist of what they do here."""
    try:
        return _compile(_builder())
    except Exception:  # noqa: BLE001  # another Pydantic: its validator does the same
        return None


def _parts(chunk: ChatCompletionChunk) -> list[Any]:
    models: tuple[BaseModel, ...] = (chunk, chunk.choices[0], chunk.choices[0].delta)
    return [
        (
            type(m),
            [*m.__dict__.items()],
            m.__pydantic_fields_set__,
            m.__pydantic_extra__,
            m.__pydantic_private__,
        )
        for m in models
    ]


_SCALARS = frozenset({str, int, type(None)})


class ChunkFactory:
    """Build the plain chunks of one stream; None where the SDK is to do it."""

    __slots__ = ("_build", "_build_text", "_has_known_keys", "_template")

    def __init__(self) -> None:
        self._build = _builder()
        self._has_known_keys: bool | None = None
        self._template: ChunkTemplate | None = None  # what `_cast` was tried with
        self._build_text: TextChunkBuilder | None = None

    def build(self, frame: Any) -> ChatCompletionChunk | None:
        """Build a chunk."""
        if type(frame) is TextChunk:
            text, padding, like = frame
            if like is not self._template:
                self._template, self._build_text = like, self._verified(like)
            return (
                self._validated(frame.chunk())
                if self._build_text is None
                else self._build_text(text, padding, like)
            )
        return None if type(frame) is bytes else self._validated(frame)

    def _verified(self, template: ChunkTemplate) -> TextChunkBuilder | None:
        """Return what makes chunks like this, if that gives what Pydantic builds; they would share what can be changed, if there were any."""
        cast = _text_chunk_builder()
        built = None if cast is None else self._validated(TextChunk("", None, template).chunk())
        if (
            cast is None
            or built is None
            or not all(type(value) in _SCALARS for value in template.top.values())
        ):
            return None
        return cast if _parts(cast("", None, template)) == _parts(built) else None

    def _validated(self, chunk: dict[str, Any]) -> ChatCompletionChunk | None:
        if not _is_plain(chunk) or self._has_known_keys is False:
            return None
        padding = None if _PADDING_IS_KNOWN else chunk.pop("obfuscation", None)
        known: bool | None = self._has_known_keys
        if known is None or chunk["choices"][0]["finish_reason"] is not None:
            # All plain chunks of a stream have the same keys, but for the padding; the last may have more.
            known = self._has_known_keys = chunk.keys() <= ChatCompletionChunk.model_fields.keys()
        if known:
            try:
                made = self._build(chunk)
            except ValueError:  # Pydantic's own is one: the SDK takes what doesn't validate as well
                pass
            else:
                if padding is not None:
                    made.__pydantic_extra__["obfuscation"] = padding  # type: ignore[index]  # extras are allowed
                return made
        if padding is not None:
            chunk["obfuscation"] = padding
        return None
