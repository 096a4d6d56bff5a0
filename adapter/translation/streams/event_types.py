"""The event types of a Responses stream that have no counterpart on Chat."""

from __future__ import annotations

import re


def _types(prefix: str, *endings: str) -> tuple[str, ...]:
    return tuple(f"response.{prefix}.{ending}" for ending in endings)


IGNORED = frozenset(
    {
        "keepalive",  # in no SDK type; see also is_keepalive
        *_types("apply_patch_call_operation_diff", "delta", "done"),  # in no SDK type either
        *_types("reasoning_summary_part", "added", "done"),
        *_types("reasoning_summary_text", "delta", "done"),
        *_types("reasoning_text", "delta", "done"),
        *_types("audio", "delta", "done"),
        *_types("audio.transcript", "delta", "done"),
        *_types("web_search_call", "in_progress", "searching", "completed"),
        *_types("file_search_call", "in_progress", "searching", "completed"),
        *_types("code_interpreter_call", "in_progress", "interpreting", "completed"),
        *_types("code_interpreter_call_code", "delta", "done"),
        *_types("image_generation_call", "in_progress", "generating", "partial_image", "completed"),
        *_types("mcp_call", "in_progress", "completed", "failed"),
        *_types("mcp_call_arguments", "delta", "done"),
        *_types("mcp_list_tools", "in_progress", "completed", "failed"),
        *_types("shell_call_command", "added", "delta", "done"),
        *_types("shell_call_output_content", "delta", "done"),
        "response.compaction.compacting",
        *_types("steer", "accepted", "failed", "pending"),  # WebSocket only
    }
)
"""Known event types without anything that Chat shows; the ledger has their items."""

_IDLE = re.compile(r"(?:.*[._-])?(?:keep[._-]?alive|ping|pong|heart[._-]?beat)", re.IGNORECASE)


def is_keepalive(kind: str) -> bool:
    """Return whether an event of this type or name only keeps the connection alive."""
    # dialect: several (`ping`, `heartbeat`, `keep-alive`)
    return len(kind) <= 100 and _IDLE.fullmatch(kind) is not None
