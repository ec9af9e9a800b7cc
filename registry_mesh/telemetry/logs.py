"""Structured log lines: one JSON object a line, to standard error."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import IO, Any, Final

FIELDS: Final = "fields"
"""The attribute of a log record that carries its structured part: `log.info("…", extra={FIELDS: {…}})`."""

_ROOT: Final = "registry_mesh"


class JsonFormatter(logging.Formatter):
    """`always` stands in every line: the node's role and name."""

    def __init__(self, **always: str) -> None:
        super().__init__()
        self._always = always

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        line: dict[str, Any] = {  # Any: JSON
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **self._always,
            "pid": record.process,
            "logger": record.name.removeprefix(_ROOT + "."),
            **getattr(record, FIELDS, {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def log_to(stream: IO[str] | None = None, level: str = "info", **always: str) -> logging.Handler:
    """Let everything of ours, and warnings of libraries, go to `stream` as JSON. Returns what to remove again."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(**always))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger(_ROOT).setLevel(level.upper())
    return handler
