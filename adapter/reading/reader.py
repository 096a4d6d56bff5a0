"""`read()`: one reader for results and streams of both APIs.

Why: docs/decisions.md#one-reader-for-both-apis.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from adapter.errors import MalformedReply
from adapter.translation.json_types import json_type

from . import errors
from .accumulator import AnswerAccumulator
from .chat import ChatReader
from .events import Finished
from .iterators import AsyncEvents, Events, StreamDetector
from .responses import ResponsesReader
from .sdk_objects import fields
from .tools import ToolSet
from .turn import Turn

if TYPE_CHECKING:
    from openai.lib.streaming.chat import AsyncChatCompletionStream, ChatCompletionStream
    from openai.lib.streaming.responses import AsyncResponseStream, ResponseStream
    from openai.types.chat import ChatCompletion, ParsedChatCompletion
    from openai.types.responses import ParsedResponse, Response
    from pydantic import BaseModel

    # An item of a sync stream. Not str: a dict is a result, not a stream of its keys.
    _Piece = BaseModel | Mapping[str, Any]

T = TypeVar("T")
_RESULT_KEYS = {"choices", "output"}
Tools = Iterable[Any] | None


@overload
def read(
    x: ChatCompletion | Response | Mapping[str, Any], /, *, tools: Tools = ..., output: type[T]
) -> Turn[T]: ...
@overload
def read(
    x: ParsedChatCompletion[T] | ParsedResponse[T], /, *, tools: Tools = ..., output: None = ...
) -> Turn[T]: ...
@overload
def read(
    x: ChatCompletion | Response | Mapping[str, Any], /, *, tools: Tools = ..., output: None = ...
) -> Turn[Any]: ...
@overload
def read(
    x: AsyncChatCompletionStream[T] | AsyncResponseStream[T],
    /,
    *,
    tools: Tools = ...,
    output: None = ...,
) -> AsyncEvents[T]: ...
@overload
def read(
    x: ChatCompletionStream[T] | ResponseStream[T], /, *, tools: Tools = ..., output: None = ...
) -> Events[T]: ...
@overload
def read(x: AsyncIterable[Any], /, *, tools: Tools = ..., output: type[T]) -> AsyncEvents[T]: ...
@overload
def read(
    x: AsyncIterable[Any], /, *, tools: Tools = ..., output: None = ...
) -> AsyncEvents[Any]: ...
@overload
def read(x: Iterable[_Piece], /, *, tools: Tools = ..., output: type[T]) -> Events[T]: ...
@overload
def read(x: Iterable[_Piece], /, *, tools: Tools = ..., output: None = ...) -> Events[Any]: ...
def read(x: Any, /, *, tools: Tools = None, output: Any = None) -> Any:
    """Read a result or a stream of either API into one neutral shape.

    A `ChatCompletion`, `ParsedChatCompletion`, `Response`, `ParsedResponse`, or the dict of one,
    gives a `Turn`. A sync stream of chunks or events (from the SDK, its `.stream()` helpers or this
    library, or an iterable of dicts, with or without `[DONE]`) gives an iterator of events, an
    async stream an async iterator; both close their source. The input is never changed.

    `tools` are the tools of the request, in any form that `tools_for` takes: calls are parsed, and
    one that doesn't fit has a `problem`. `output` is the type of the text: a Pydantic model, or any
    type that Pydantic supports. Without them, values that the SDK has parsed are used.

    Raises what the SDK raises: `openai.APIError` for an `error` event and a failed response (for a
    result, the subclass for its code), and `openai.APIConnectionError` for a stream of the SDK that
    ends before its terminal event or contradicts itself (StreamTruncated for other streams).
    Raises MalformedReply for objects of neither API, and TypeError for anything else.
    """
    output_type, tools = _from_helper(x, tools, output)
    answer = AnswerAccumulator(ToolSet(tools), output_type)
    json_format = output_type is not None
    kind = _kind(x)
    if kind == "stream":
        reader = StreamDetector(answer, json_format=json_format)
        return AsyncEvents(x, reader) if hasattr(x, "__aiter__") else Events(x, reader)
    whole: ChatReader | ResponsesReader
    if kind == "response":
        shape = fields(fields(fields(x).get("text")).get("format")).get("type")
        whole = ResponsesReader(
            answer, json_format=json_format or shape in ("json_schema", "json_object")
        )
    else:
        whole = ChatReader(answer)
    with errors.raised_as(errors.result_error):
        last = whole.whole(x)[-1]
    assert isinstance(last, Finished)
    return last.turn


def _kind(x: Any) -> str:
    """Return "stream", "response" or "chat" (a completion)."""
    if inspect.isawaitable(x):
        raise TypeError("expected a result or a stream, got an awaitable; await it first")
    iterable = hasattr(x, "__iter__") or hasattr(x, "__aiter__")
    # The SDK's results are iterable as well; test doubles may have only their fields.
    if (
        isinstance(x, Mapping)
        or hasattr(x, "model_fields_set")
        or (not iterable and _RESULT_KEYS & fields(x).keys())
    ):
        top = fields(x)
        kind = top.get("object")
        if kind == "response" or (kind is None and "output" in top):
            return "response"
        if kind in ("chat.completion", None, "") and ("choices" in top or top.get("error")):
            return "chat"
        raise MalformedReply(
            "object", "expected a chat completion or a Response, got an object of another kind"
        )
    if isinstance(x, (str, bytes)) or not iterable:
        hint = (
            ", a context manager; enter it first"
            if hasattr(x, "__enter__") or hasattr(x, "__aenter__")
            else ""
        )
        raise TypeError(f"expected a result or a stream, got {json_type(x)}{hint}")
    return "stream"


def _from_helper(x: Any, tools: Tools, output: Any) -> tuple[Any, Tools]:
    """Return the output type and the tools; by default those of the SDK's `.stream()` helper.

    The helpers keep them in private attributes; if an SDK keeps them elsewhere, calls and text
    aren't parsed.
    """
    state = getattr(x, "_state", None)
    if state is not None and tools is None:
        known = getattr(state, "_input_tools", None)
        tools = known if isinstance(known, (list, tuple)) and known else None
    if state is not None and output is None:
        found = getattr(state, "_response_format", None) or getattr(state, "_text_format", None)
        output = found if isinstance(found, type) else None
    return output, tools
