"""`forget(...)`: delete the remembered turns of a conversation or a scope."""

from __future__ import annotations

from adapter._memory.service import MemoryService
from adapter._settings.coercion import SettingsLike, settings_of
from adapter.errors import AdapterError

from .reload import reloader_of


def forget(
    *, conversation: str | None = None, scope: str | None = None, settings: SettingsLike = None
) -> int:
    """Delete the remembered turns of a conversation, a scope, or both; return their number.

    `conversation` is the name that `use(conversation=…)` gave to the calls, `scope` their
    `memory_scope`. `settings` name the store (default: read from the environment). Raises
    AdapterError if neither is given, and if the store fails, which may have deleted some turns.
    """
    service = _memory_service(conversation, scope, settings)
    try:
        return service.forget(scope=scope, conversation=conversation)
    except Exception as error:
        raise _store_error(error) from error


async def aforget(
    *, conversation: str | None = None, scope: str | None = None, settings: SettingsLike = None
) -> int:
    """Delete remembered turns without blocking the event loop. See forget."""
    service = _memory_service(conversation, scope, settings)
    try:
        return await service.aforget(scope=scope, conversation=conversation)
    except Exception as error:
        raise _store_error(error) from error


def _memory_service(
    conversation: str | None, scope: str | None, settings: SettingsLike
) -> MemoryService:
    if conversation is None and scope is None:
        raise AdapterError("forget: expected a conversation, a scope, or both")
    return reloader_of(settings_of(settings)).current().memory


def _store_error(error: Exception) -> AdapterError:
    return AdapterError(f"forget: the store failed ({type(error).__name__})")
