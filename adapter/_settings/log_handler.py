"""`ADAPTER_LOG`: the adapter's log on stderr, for a process whose logging nobody has set up."""

from __future__ import annotations

import logging
import sys

from adapter._util.log_once import Once

from .environment import LOG, Environment

_LEVELS = {
    "debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "warn": logging.WARNING, "error": logging.ERROR,
    "critical": logging.CRITICAL,
}  # fmt: skip
_WARNED = Once()

logger = logging.getLogger("adapter")


class Handler(logging.Handler):
    """Write a line for each record to stderr, unless another handler has the record as well."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            if sys.stderr is not None and not self._has_other_handler(record):
                sys.stderr.write(" ".join(self.format(record).splitlines()) + "\n")
                sys.stderr.flush()
        except Exception:  # noqa: BLE001  # as logging's own handlers
            self.handleError(record)

    def _has_other_handler(self, record: logging.LogRecord) -> bool:
        """Tell whether a handler of the application's, set up before or after this one, has the record."""
        at: logging.Logger | None = logging.getLogger(record.name)
        while at is not None:
            others = (
                one
                for one in at.handlers
                if one is not self and not isinstance(one, logging.NullHandler)
            )
            if any(record.levelno >= one.level for one in others):
                return True
            at = at.parent if at.propagate else None
        return False


_HANDLER = Handler()


def configure_log(environment: Environment) -> None:
    """Log from the level on that `ADAPTER_LOG` names; without it logging is left as it is."""
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
