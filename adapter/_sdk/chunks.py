"""Chunks of adapted clients' streams, built faster than field by field as the SDK does it.

Plain chunks are validated by Pydantic, which gives equal objects: their values have the types of
the fields, so nothing is coerced. Chunks that differ only in their text are assembled from the
four attributes of a Pydantic model (those that its `model_construct` sets). This is verified with
the first such chunk of each stream; if it isn't equal to the validated one, all are validated
(docs/performance.md#chunks-and-results).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel

from adapter.translation.streams.chunks import ChunkTemplate, TextChunk

from .compat import CHUNKS_HAVE_PADDING


@cache
def _builder() -> Callable[[Any], ChatCompletionChunk]:
    """Return Pydantic's validator of chunks."""
    ChatCompletionChunk.model_rebuild()  # the SDK's models are completed on first use
    build: Callable[[Any], ChatCompletionChunk] = (
        ChatCompletionChunk.__pydantic_validator__.validate_python
    )
    return build


_CHOICE = frozenset({"index", "delta", "logprobs", "finish_reason"})
_OPENING = frozenset({"role", "content", "refusal"})
_CALL = frozenset({"index", "id", "type", "function"})
_FUNCTION = frozenset({"name", "arguments"})


def _is_plain(chunk: dict[str, Any]) -> bool:
    """Return whether a chunk holds only text, function arguments, a role or a finish reason."""
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
"""Builds a chunk from a text, its padding and its template."""


def _text_chunk_builder_from(build: Callable[[Any], ChatCompletionChunk]) -> TextChunkBuilder:
    """Return a function that builds text chunks equal to those of `build`."""
    choice = {"index": 0, "delta": {"content": ""}, "finish_reason": None}
    top = {"id": "", "object": "chat.completion.chunk", "created": 0, "model": ""}
    bare, keyed = (build(top | {"choices": [one]}) for one in (choice, choice | {"logprobs": None}))
    bare_delta = bare.choices[0].delta
    top_class, choice_class, delta_class = type(bare), type(bare.choices[0]), type(bare_delta)
    fields, choice_values, delta_values = (
        bare.__dict__,
        bare.choices[0].__dict__,
        bare_delta.__dict__,
    )
    delta_set = bare_delta.__pydantic_fields_set__
    choice_sets = bare.choices[0].__pydantic_fields_set__, keyed.choices[0].__pydantic_fields_set__
    new, as_field = object.__new__, CHUNKS_HAVE_PADDING
    # The slots' descriptors, since the models' `__setattr__` would validate.
    values, fields_set, extra, private = (
        BaseModel.__dict__[name].__set__
        for name in (
            "__dict__",
            "__pydantic_fields_set__",
            "__pydantic_extra__",
            "__pydantic_private__",
        )
    )

    def build_text(text: str, padding: str | None, template: ChunkTemplate) -> ChatCompletionChunk:
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
        fields_set(chosen, {*choice_sets[template.logprobs_key]})
        extra(chosen, {})
        private(chosen, None)
        made = new(top_class)
        held = fields | template.top
        held["choices"] = [chosen]
        values(made, held)
        names = {"choices", *template.top}
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

    return build_text


@cache
def _text_chunk_builder() -> TextChunkBuilder | None:
    """Return a builder of text chunks; None if Pydantic's models consist of other attributes."""
    try:
        return _text_chunk_builder_from(_builder())
    except Exception:  # noqa: BLE001  # Pydantic's validator does the same
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
    """Builds the plain chunks of one stream; None for those that the SDK is to build."""

    __slots__ = ("_build", "_build_text", "_has_known_keys", "_template")

    def __init__(self) -> None:
        self._build = _builder()
        self._has_known_keys: bool | None = None
        self._template: ChunkTemplate | None = None  # with which `_build_text` was verified
        self._build_text: TextChunkBuilder | None = None

    def build(self, frame: Any) -> ChatCompletionChunk | None:
        """Build a chunk from a frame; None if the SDK is to build it."""
        if type(frame) is TextChunk:
            text, padding, template = frame
            if template is not self._template:
                self._template, self._build_text = template, self._verified(template)
            return (
                self._validated(frame.chunk())
                if self._build_text is None
                else self._build_text(text, padding, template)
            )
        return None if type(frame) is bytes else self._validated(frame)

    def _verified(self, template: ChunkTemplate) -> TextChunkBuilder | None:
        """Return a builder of chunks of a template, if it gives what Pydantic builds.

        The chunks share the template's values, so these must be immutable.
        """
        build_text = _text_chunk_builder()
        built = (
            None if build_text is None else self._validated(TextChunk("", None, template).chunk())
        )
        if (
            build_text is None
            or built is None
            or not all(type(value) in _SCALARS for value in template.top.values())
        ):
            return None
        return build_text if _parts(build_text("", None, template)) == _parts(built) else None

    def _validated(self, chunk: dict[str, Any]) -> ChatCompletionChunk | None:
        if not _is_plain(chunk) or self._has_known_keys is False:
            return None
        padding = None if CHUNKS_HAVE_PADDING else chunk.pop("obfuscation", None)
        known: bool | None = self._has_known_keys
        if known is None or chunk["choices"][0]["finish_reason"] is not None:
            # Plain chunks of a stream have the same keys, but for padding; its last may have more.
            known = self._has_known_keys = chunk.keys() <= ChatCompletionChunk.model_fields.keys()
        if known:
            try:
                made = self._build(chunk)
            except ValueError:  # Pydantic's; the SDK constructs what doesn't validate
                pass
            else:
                if padding is not None:
                    made.__pydantic_extra__["obfuscation"] = padding  # type: ignore[index]
                return made
        if padding is not None:
            chunk["obfuscation"] = padding
        return None
