"""The settings as they stand now: a file is read again when it changes, and a bad one leaves the last good settings in force."""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path

from adapter.errors import ConfigurationError

from . import files
from .decide import Router
from .settings import Settings

logger = logging.getLogger("adapter")

_RACY_NS = 1_000_000_000
"""A file changed this recently may have changed again with the same size and time, and is read again to be sure. File systems
count time in steps of milliseconds."""

Signature = tuple[int, ...]


class Live:
    """Give the router of the settings in force; one `stat` a call where there is a file, nothing where there is none.

    A file that is bad, empty (an editor or a copy has just begun to write it) or gone leaves the last good settings in force, and
    is logged once. Safe to ask from any thread: the settings are replaced as a whole.
    """

    def __init__(self, settings: Settings) -> None:
        self._given = settings._given
        self._router = Router(settings)
        document = settings._document
        self._path: Path | None = None if document is None else document.path
        self._raw = b"" if document is None else document.raw
        self._lock = threading.Lock()
        # None: whatever happened since the file was read is found out at the first call.
        self._seen: Signature | None = None
        self._settled = False

    def now(self) -> Router:
        """Return the router of the settings in force."""
        if self._path is not None:
            signature = _signature(self._path)
            if signature != self._seen or not self._settled:
                self._look()
        return self._router

    def _look(self) -> None:
        assert self._path is not None
        with self._lock:
            signature = _signature(self._path)
            if signature == self._seen and self._settled:
                return  # another thread was faster
            self._settled = not signature or time.time_ns() - max(signature[:2]) > _RACY_NS
            raw = self._read(self._path)
            self._seen = signature
            if raw is None or raw == self._raw:
                return
            self._raw = raw
            try:
                if not raw.strip():
                    raise ConfigurationError(f"config_file: {self._path}: empty")
                settings = Settings.at(files.parse(self._path, raw), self._given)
                router = Router(settings)
            except ConfigurationError as error:
                logger.warning("settings=%s stay in force: %s", self._router.settings.hash, error)
                return
            changed = settings.hash != self._router.settings.hash
            self._router = router
            if changed:
                logger.info("settings=%s read from the changed file", settings.hash)

    def _read(self, path: Path) -> bytes | None:
        try:
            return path.read_bytes()
        except OSError as error:
            if self._seen != ():
                why = error.strerror or type(error).__name__
                logger.warning("settings=%s stay in force: config_file: %s: %s", self._router.settings.hash, path, why)
            return None


def _signature(path: Path) -> Signature:
    """Return what changes with a file: its times, size and identity. A symbolic link stands for what it leads to."""
    try:
        found = os.stat(path)  # noqa: PTH116  # on every call: half the price of Path.stat
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev)


_MAKING = threading.Lock()


def live(settings: Settings) -> Live:
    """Return the one `Live` of these settings: a file is read once for a client and all its copies."""
    found: Live | None = settings._live
    if found is None:
        with _MAKING:
            found = settings._live = settings._live or Live(settings)
    return found
