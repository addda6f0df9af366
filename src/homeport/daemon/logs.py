"""What the processes say on standard error. One rule: one event, one line, whatever a peer put into its name."""

from __future__ import annotations

import logging
import os
import sys


class LineFormatter(logging.Formatter):
    """Escapes everything that does not print; only a traceback has lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in record.message)
        return super().formatMessage(record)


def configure(level: str, process: str) -> None:
    """Send the log to standard error; `process` is such as `master`. Under systemd the journal adds the time."""
    stamp = "" if "JOURNAL_STREAM" in os.environ else "%(asctime)s "
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(f"{stamp}{process}[{os.getpid()}] %(levelname)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for library in ("asyncio", "alembic"):
        logging.getLogger(library).setLevel(logging.WARNING)
