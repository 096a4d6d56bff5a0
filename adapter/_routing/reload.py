"""The settings as they stand now: a file is read again when it changes, and a bad one leaves the last good settings in force."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from contextlib import suppress
from pathlib import Path

from adapter._settings import settings_file
from adapter._settings.kill_switch import strongest
from adapter._settings.settings import Settings, forces_of
from adapter._util.fork import in_forked_child
from adapter._util.log_once import HELD, ONCE
from adapter._util.safe_names import printable
from adapter.errors import AdapterError, ConfigurationError

from .router import Router

logger = logging.getLogger("adapter")

_LONGEST_LINE = 4000

_RACY_NS = 1_000_000_000
"""A file changed this recently may have changed again with the same size and time, and is read again to be sure. File systems
count time in steps of milliseconds."""

Signature = tuple[int, ...]


class Live:
    """Give the router of the settings in force; one `stat` a call where there is a file, nothing where there is none.

    A file that is bad, empty (an editor or a copy has just begun to write it) or gone leaves the last good settings in force, and
    is logged once. A `force` in a bad file is obeyed: it is laid over the last good settings, and stays until a good file says
    otherwise, since nothing may be moved by accident. Safe to ask from any thread: the settings are replaced as a whole.
    """

    def __init__(self, settings: Settings) -> None:
        self._given = settings._given
        self.router = Router(settings)
        # The last one that nothing was wrong with; None where the process started in trouble, by grace of the kill switch.
        self._good = None if settings._trouble else self.router
        document = settings._document
        self._path: Path | None = None if document is None else document.path
        self._raw = b"" if document is None or settings._trouble else document.raw
        self._lock = threading.RLock()  # a signal, or a handler of our log line, may make a call in the middle
        self._bad = document.raw if document is not None and settings._trouble else None
        self._complaint = (
            f"the last good settings stay in force: {settings._trouble}" if settings._trouble else ""
        )  # it was said at start
        # What the file was when it was last read, if it may be known by that. None: whatever happened since the settings were
        # made is found out at the first call.
        self._seen: Signature | None = None
        if not self.always_quiet and not self.router.killed:
            self.router.memory.prepare()

    def now(self) -> Router:
        """Return the router of the settings in force."""
        if self._path is not None and _signature(self._path) != self._seen:
            self._look(self._path)
        return self.router

    @property
    def always_quiet(self) -> bool:
        """Tell whether every call goes to Chat by the settings alone, and will: there is no file that could say something else."""
        return self._path is None and self.router.quiet

    def stands_for(self, settings: Settings) -> bool:
        """Tell whether this is what other settings would be made into: from the same file, arguments and environment."""
        document = settings._document
        return (
            document is not None
            and document.path == self._path
            and settings._given == self._given
            and _same(self.now().settings, settings)
        )

    def _look(self, path: Path) -> None:
        with self._lock:
            signature = _signature(path)
            if signature == self._seen:
                return  # another thread was faster
            now = time.time_ns()
            try:
                self._take(path, settings_file.contents(path))
            except ConfigurationError as error:
                self._complain(str(error))
            except OSError as error:
                self._complain(f"config_file: {path}: {error.strerror or type(error).__name__}")
            except Exception as error:  # noqa: BLE001  # promise 9: a call isn't lost for a file
                self._complain(f"config_file: {path}: the adapter failed on it ({type(error).__name__})")
            # Last, since whoever sees it takes the router of before. A file from the future was set there, or its server's clock
            # is another.
            settled = all(abs(now - moment) > _RACY_NS for moment in signature[:2])
            self._seen = signature if settled else None

    def _take(self, path: Path, raw: bytes) -> None:
        """Put the settings of the file's bytes in force. Raises ConfigurationError for bad ones."""
        if raw == self._bad or (raw == self._raw and not self._complaint):
            return
        self._bad = raw  # until it has proved good
        if not raw.strip():
            raise ConfigurationError(f"config_file: {path}: empty")
        router = self._good
        if router is None or raw != self._raw:
            document = settings_file.parse(path, raw, running=True)
            try:
                router = Router(Settings.at(document, self._given))
            except Exception as error:  # noqa: BLE001  # raised again, unless a force holds all the same
                self._obey(document, error)
                return
        news = self._complaint or router.settings.hash != self.router.settings.hash
        self._put(router)
        self._raw, self._good, self._bad, self._complaint = raw, router, None, ""
        if router.settings._remarks:
            logger.error("%s", router.settings.said_of_force())
        if news:
            _say_anew()
            logger.info("settings=%s read from the changed file", router.settings.hash)

    def _obey(self, document: settings_file.Document, error: Exception) -> None:
        """Obey the force in a file that is bad. Raises the error where there is none."""
        if not any(one.value for one in document.forces):
            raise error
        settings = self._good.settings if self._good is not None else Settings.at(document, self._given, lenient=True)
        force = strongest(one.value for one, _ in forces_of(document, self._given))
        if force is not None and force != settings.force:
            settings = settings.forced(force)
        if settings.hash != self.router.settings.hash:
            self._put(Router(settings))
            _say_anew()
        why = str(error) if isinstance(error, AdapterError) else type(error).__name__
        self._say(logging.ERROR, f"the kill switch in the file holds, and something is wrong: {why}")

    def _put(self, router: Router) -> None:
        """Put a router in force; its store is opened meanwhile, unless nothing will ask it: a kill switch waits for no store."""
        self.router = router
        if not router.killed:
            with suppress(Exception):  # the call that needs it says so
                router.memory.prepare(0)  # in the midst of a call

    def _complain(self, why: str) -> None:
        held = self.router.settings.force is not None
        self._say(logging.ERROR if held else logging.WARNING, f"the last good settings stay in force: {why}")

    def _say(self, level: int, what: str) -> None:
        if what != self._complaint:
            self._complaint = what
            settings = self.router.settings
            logger.log(level, "settings=%s force=%s %s", settings.hash, settings.force, printable(what, _LONGEST_LINE))


def _say_anew() -> None:
    ONCE.anew()
    HELD.anew()


def _signature(path: Path) -> Signature:
    """Return what changes with a file: its times, size and identity. A symbolic link stands for what it leads to."""
    try:
        found = os.stat(path)  # noqa: PTH116  # on every call: half the price of Path.stat
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev)


def _same(one: Settings, other: Settings) -> bool:
    """Tell whether settings are equal, secrets included, which the hash leaves out."""
    return all(getattr(one, name) == getattr(other, name) for name in type(one).model_fields)


_MAKING = threading.RLock()
_READING: weakref.WeakSet[Live] = weakref.WeakSet()


def live(settings: Settings) -> Live:
    """Return the one `Live` of these settings: a file is read, and logged, once for all clients that are told the same."""
    found: Live | None = settings._live
    if found is None:
        with _MAKING:
            same = next((one for one in _READING if one.stands_for(settings)), None)
            found = settings._live = settings._live or same or Live(settings)
            if settings._document is not None:
                _READING.add(found)
    return found


@in_forked_child
def _unlock() -> None:
    """Give a forked process locks of its own: a thread that it doesn't have may hold its parent's."""
    global _MAKING  # noqa: PLW0603
    _MAKING = threading.RLock()
    for one in _READING:
        one._lock = threading.RLock()
