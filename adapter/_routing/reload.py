"""Reloading settings: a file is read again when it changes (docs/decisions.md#settings).

A bad file leaves the last good settings in force.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from adapter._util.fork import in_forked_child
from adapter._util.log_once import HELD, ONCE
from adapter._util.safe_names import printable
from adapter.errors import AdapterError, ConfigurationError

from .router import Router

if TYPE_CHECKING:  # imported where they are needed, as pydantic-settings takes long
    from adapter._settings.settings import Settings
    from adapter._settings.settings_file import SettingsFile

logger = logging.getLogger("adapter")

_LONGEST_LINE = 4000

_RACY_NS = 1_000_000_000
"""A file that changed this recently may change again with the same size and time, since file
systems count in steps of milliseconds. It is read again to be sure."""

Signature = tuple[int, ...]


class SettingsReloader:
    """Hold the router of the settings in force; costs one `stat` per call if there is a file.

    A file that is bad, missing, or empty (while an editor or a copy writes it) leaves the last good
    settings in force, and is logged once. A `force` in a bad file is obeyed: it overrides the last
    good settings until the file is good again, so that no call is moved by accident. Thread-safe:
    the router is replaced as a whole.
    """

    def __init__(self, settings: Settings) -> None:
        self._given = settings._arguments
        self.router = Router(settings)
        # None if the process started with a mistake that only a force made up for.
        self._last_good = None if settings._problem else self.router
        settings_file = settings._settings_file
        self._path: Path | None = None if settings_file is None else settings_file.path
        self._raw = b"" if settings_file is None or settings._problem else settings_file.raw
        # Re-entrant: a signal handler, or a handler of our log line, may make a call meanwhile.
        self._lock = threading.RLock()
        self._bad_bytes = (
            settings_file.raw if settings_file is not None and settings._problem else None
        )
        self._reported = (
            f"the last good settings stay in force: {settings._problem}"
            if settings._problem
            else ""
        )  # logged by Settings
        # The signature of the file when it was last read; None if that doesn't identify its
        # contents. None at first, so that the first call notices any change since then.
        self._seen_signature: Signature | None = None
        if not self.is_off and not self.router.forced_to_chat:
            self.router.memory.prepare()

    def current(self) -> Router:
        """Return the router of the settings in force."""
        if self._path is not None and _signature(self._path) != self._seen_signature:
            self._reload(self._path)
        return self.router

    @property
    def is_off(self) -> bool:
        """Whether every call goes to Chat, now and later: no file can change the settings."""
        return self._path is None and self.router.is_off

    def same_source_as(self, settings: Settings) -> bool:
        """Return whether these settings have the same file, arguments and values as ours."""
        settings_file = settings._settings_file
        return (
            settings_file is not None
            and settings_file.path == self._path
            and settings._arguments == self._given
            and _same(self.current().settings, settings)
        )

    def _reload(self, path: Path) -> None:
        with self._lock:
            signature = _signature(path)
            if signature == self._seen_signature:
                return  # another thread has read it
            now = time.time_ns()
            try:
                self._load(path)
            except ConfigurationError as error:
                self._report_problem(str(error))
            except OSError as error:
                self._report_problem(
                    f"config_file: {path}: {error.strerror or type(error).__name__}"
                )
            except Exception as error:  # noqa: BLE001  # a file must not fail a call
                self._report_problem(
                    f"config_file: {path}: the adapter failed on it ({type(error).__name__})"
                )
            # Set last: a thread that sees the new signature must also see the new router. A
            # timestamp in the future can't be trusted.
            settled = all(abs(now - moment) > _RACY_NS for moment in signature[:2])
            self._seen_signature = signature if settled else None

    def _load(self, path: Path) -> None:
        """Put a file's settings in force. Raises OSError, and ConfigurationError for bad ones."""
        from adapter._settings import settings_file
        from adapter._settings.settings import Settings

        raw = settings_file.contents(path)
        if raw == self._bad_bytes or (raw == self._raw and not self._reported):
            return
        self._bad_bytes = raw  # until they prove to be good
        if not raw.strip():
            raise ConfigurationError(f"config_file: {path}: empty")
        router = self._last_good
        if router is None or raw != self._raw:
            document = settings_file.parse(path, raw, running=True)
            try:
                router = Router(Settings.from_file(document, self._given))
            except Exception as error:  # noqa: BLE001  # raised again if there is no force
                self._apply_force(document, error)
                return
        changed = self._reported or router.settings.hash != self.router.settings.hash
        self._replace_router(router)
        self._raw, self._last_good, self._bad_bytes, self._reported = raw, router, None, ""
        if router.settings._remarks:
            logger.error("%s", router.settings.force_message())
        if changed:
            _reset_warnings()
            logger.info("settings=%s read from the changed file", router.settings.hash)

    def _apply_force(self, settings_file: SettingsFile, error: Exception) -> None:
        """Put the force of a bad file in force. Raises `error` if there is none."""
        from adapter._settings.kill_switch import strongest
        from adapter._settings.settings import Settings, find_forces

        if not any(entry.value for entry in settings_file.forces):
            raise error
        settings = (
            self._last_good.settings
            if self._last_good is not None
            else Settings.from_file(settings_file, self._given, lenient=True)
        )
        force = strongest(entry.value for entry, _ in find_forces(settings_file, self._given))
        if force is not None and force != settings.force:
            settings = settings.with_force(force)
        if settings.hash != self.router.settings.hash:
            self._replace_router(Router(settings))
            _reset_warnings()
        why = str(error) if isinstance(error, AdapterError) else type(error).__name__
        self._log_once(
            logging.ERROR, f"the kill switch in the file holds, and something is wrong: {why}"
        )

    def _replace_router(self, router: Router) -> None:
        """Put a router in force, and start to open its store.

        With a kill switch no call needs the store, and opening it must not delay the switch.
        """
        self.router = router
        if not router.forced_to_chat:
            with suppress(Exception):  # a call that needs the store reports it
                router.memory.prepare(0)  # a call is waiting

    def _report_problem(self, why: str) -> None:
        held = self.router.settings.force is not None
        self._log_once(
            logging.ERROR if held else logging.WARNING,
            f"the last good settings stay in force: {why}",
        )

    def _log_once(self, level: int, what: str) -> None:
        if what != self._reported:
            self._reported = what
            settings = self.router.settings
            logger.log(
                level,
                "settings=%s force=%s %s",
                settings.hash,
                settings.force,
                printable(what, _LONGEST_LINE),
            )


def _reset_warnings() -> None:
    ONCE.reset()
    HELD.reset()


def _signature(path: Path) -> Signature:
    """Return the times, size and identity of a file, or of the target of a symbolic link."""
    try:
        found = os.stat(path)  # noqa: PTH116  # costs half of Path.stat, on every call
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev)


def _same(one: Settings, other: Settings) -> bool:
    """Return whether settings are equal, including the secrets, which the hash leaves out."""
    return all(getattr(one, name) == getattr(other, name) for name in type(one).model_fields)


_LOCK = threading.RLock()
_RELOADERS: weakref.WeakSet[SettingsReloader] = weakref.WeakSet()


def reloader_of(settings: Settings) -> SettingsReloader:
    """Return the reloader of these settings.

    Clients with equal settings share one, so that a file is read and logged once.
    """
    found: SettingsReloader | None = settings._reloader
    if found is None:
        with _LOCK:
            same = next((one for one in _RELOADERS if one.same_source_as(settings)), None)
            found = settings._reloader = settings._reloader or same or SettingsReloader(settings)
            if settings._settings_file is not None:
                _RELOADERS.add(found)
    return found


@in_forked_child
def _reset_locks() -> None:
    """Replace the locks in a forked process: a thread that it doesn't have may hold them."""
    global _LOCK  # noqa: PLW0603
    _LOCK = threading.RLock()
    for one in _RELOADERS:
        one._lock = threading.RLock()
