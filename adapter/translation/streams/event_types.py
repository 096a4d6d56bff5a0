"""The event types of a Responses stream that Chat shows nothing of."""

from __future__ import annotations

import re

IGNORED = frozenset(
    {
        "keepalive",  # on the wire, in no SDK type; and see is_idle
        *(f"response.apply_patch_call_operation_diff.{part}" for part in ("delta", "done")),  # as well
        *(f"response.reasoning_{part}" for part in (
            "summary_part.added", "summary_part.done", "summary_text.delta", "summary_text.done", "text.delta", "text.done")),
        *(f"response.audio.{part}" for part in ("delta", "done", "transcript.delta", "transcript.done")),
        *(f"response.web_search_call.{part}" for part in ("in_progress", "searching", "completed")),
        *(f"response.file_search_call.{part}" for part in ("in_progress", "searching", "completed")),
        *(f"response.code_interpreter_call.{part}" for part in ("in_progress", "interpreting", "completed")),
        *(f"response.code_interpreter_call_code.{part}" for part in ("delta", "done")),
        *(f"response.image_generation_call.{part}" for part in ("in_progress", "generating", "partial_image", "completed")),
        *(f"response.mcp_call.{part}" for part in ("in_progress", "completed", "failed")),
        *(f"response.mcp_call_arguments.{part}" for part in ("delta", "done")),
        *(f"response.mcp_list_tools.{part}" for part in ("in_progress", "completed", "failed")),
        *(f"response.shell_call_command.{part}" for part in ("added", "delta", "done")),
        *(f"response.shell_call_output_content.{part}" for part in ("delta", "done")),
        "response.compaction.compacting",
        *(f"response.steer.{part}" for part in ("accepted", "failed", "pending")),  # WebSocket only
    }
)  # fmt: skip
"""Event types that are known and have nothing in them that Chat shows; the items they belong to are in the ledger."""

_IDLE = re.compile(r"(?:.*[._-])?(?:keep[._-]?alive|ping|pong|heart[._-]?beat)", re.IGNORECASE)


def is_keepalive(kind: str) -> bool:
    """Tell whether events of a type, or of a name, say only that the connection is alive: servers call them differently."""
    return len(kind) <= 100 and _IDLE.fullmatch(kind) is not None
