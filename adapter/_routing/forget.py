"""Take what was remembered of a conversation, or of everybody in a scope, out of the memory."""

from __future__ import annotations

from adapter._memory.service import MemoryService
from adapter._settings.coercion import SettingsLike, settings_of
from adapter.errors import AdapterError

from .reload import reloader_of


def forget(
    *, conversation: str | None = None, scope: str | None = None, settings: SettingsLike = None
) -> int:
    """Forget what was remembered of a conversation, a scope, or the one in the other; return how many turns there were.

    `conversation` is what `use(conversation=…)` said when the calls were made, `scope` the `memory_scope` of then. `settings` say
    which store is meant (default: read from the environment). Raises AdapterError where neither is given, and where the store
    can't do it: then it may have forgotten some of it, or nothing.
    """
    service = _memory_service(conversation, scope, settings)
    try:
        return service.forget(scope=scope, conversation=conversation)
    except Exception as error:
        raise _store_error(error) from error


async def aforget(
    *, conversation: str | None = None, scope: str | None = None, settings: SettingsLike = None
) -> int:
    """Forget without blocking the event loop. See forget."""
    service = _memory_service(conversation, scope, settings)
    try:
        return await service.aforget(scope=scope, conversation=conversation)
    except Exception as error:
        raise _store_error(error) from error


def _memory_service(
    conversation: str | None, scope: str | None, settings: SettingsLike
) -> MemoryService:
    if conversation is None and scope is None:
        raise AdapterError("forget: say which conversation, or which scope")
    return reloader_of(settings_of(settings)).current().memory


def _store_error(error: Exception) -> AdapterError:
    return AdapterError(f"forget: the store failed ({type(error).__name__})")
