"""`ADAPTER_LOG`: the adapter's log on stderr, for a process without logging of its own."""

from __future__ import annotations

import logging
import sys

from adapter._util.log_once import Once

from .environment import LOG, Environment

_LEVELS = {
    "debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING,
    "warn": logging.WARNING, "error": logging.ERROR, "critical": logging.CRITICAL,
}  # fmt: skip
_WARNED = Once()

logger = logging.getLogger("adapter")


class Handler(logging.Handler):
    """Write each record to stderr as one line, unless another handler gets it as well."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            if sys.stderr is not None and not self._has_other_handler(record):
                sys.stderr.write(" ".join(self.format(record).splitlines()) + "\n")
                sys.stderr.flush()
        except Exception:  # noqa: BLE001  # as the handlers of logging do
            self.handleError(record)

    def _has_other_handler(self, record: logging.LogRecord) -> bool:
        """Return whether a handler of the application gets the record."""
        current: logging.Logger | None = logging.getLogger(record.name)
        while current is not None:
            others = (
                handler
                for handler in current.handlers
                if handler is not self and not isinstance(handler, logging.NullHandler)
            )
            if any(record.levelno >= handler.level for handler in others):
                return True
            current = current.parent if current.propagate else None
        return False


_HANDLER = Handler()


def configure_log(environment: Environment) -> None:
    """Set the log level that `ADAPTER_LOG` names; without it leave logging as it is."""
    level_name = environment.get(LOG)
    if level_name is None:
        return
    level = _LEVELS.get(level_name.strip().lower())
    if level is None:
        if _WARNED.first(LOG):
            logger.warning(
                "%s: ignored: expected debug, info, warning, error or critical",
                environment.where(LOG),
            )
        return
    logger.setLevel(level)
    if _HANDLER not in logger.handlers:
        logger.addHandler(_HANDLER)
