"""Structured log lines: one JSON object a line, to standard error; on a terminal a line for eyes."""

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


class ConsoleFormatter(logging.Formatter):
    """For eyes: time, level, event, then the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line of text; what an exception says comes below it."""
        when = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        fields: dict[str, object] = getattr(record, FIELDS, {})
        told = "".join(f"  {name}={_short(value)}" for name, value in fields.items())
        line = f"{when} {_LEVELS.get(record.levelno, record.levelname.lower())} {record.getMessage()}{told}"
        return line + (f"\n{self.formatException(record.exc_info)}" if record.exc_info else "")


_LEVELS: Final = {
    logging.DEBUG: "debug  ",
    logging.INFO: "       ",
    logging.WARNING: "warning",
    logging.ERROR: "ERROR  ",
    logging.CRITICAL: "ERROR  ",
}


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return json.dumps(text, ensure_ascii=False) if " " in text and isinstance(value, str) else text


def log_to(
    stream: IO[str] | None = None, level: str = "info", form: str = "auto", **always: str
) -> logging.Handler:
    """Let everything of ours, and warnings of libraries, go to `stream`. `form`: json, console, or auto: console on a
    terminal. Returns what to remove again."""
    where = stream or sys.stderr
    handler = logging.StreamHandler(where)
    console = form == "console" or (form == "auto" and where.isatty())
    handler.setFormatter(ConsoleFormatter() if console else JsonFormatter(**always))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger(_ROOT).setLevel(level.upper())
    return handler
