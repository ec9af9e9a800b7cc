"""The audit log's one shape: a JSON line for whatever changed something, for logins, and for refusals."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

EVENTS: Final = (
    "login",
    "login-refused",
    "refused",
    "push",
    "upload",
    "delete",
    "undo",
    "gc",
    "retention",
    "access-changed",
    "access-invalid",
    "admin",
    "admin-refused",
    "lost",
)
"""All there are. `login-refused` is a password that was not good, by the name that came with it, `refused` a 401 to
other credentials, or a 403; `upload` a blob that was taken or linked; `push` and `delete` are what clients do, and
what rules do; `undo` a tag that `tags undo` pointed back; `gc` and `retention` a run of these, by a command or by the
node itself; `access-changed` a user, robot, issuer, group or policy that came, went or is another; `access-invalid`
files that change nothing because they cannot be used; `admin` an action by the operator's listener, `admin-refused` a
login that was not let in there; `lost` says how many lines the disk did not take, and that were too many to be held."""
CHANGES: Final = ("push", "upload", "delete")
"""What clients change: its line is written before they are told of it."""
FIELDS: Final = (
    "time",
    "event",
    "node",
    "subject",
    "client",
    "request",
    "method",
    "path",
    "status",
    "registry",
    "repository",
    "reference",
    "digest",
    "tags",
    "moved",
    "reason",
)
"""Of each line, in this order; `null` where there is nothing to say. `tags` point at `digest` now; `moved` has those of
them that pointed at another digest before, with that digest."""
SCHEMA_ID: Final = "registry-mesh-audit.json"
_DIGEST: Final = {"type": "string", "pattern": "^[a-z0-9]+:[0-9a-f]+$"}
_TEXT: Final = {"type": ["string", "null"]}


@contextmanager
def appending(path: str | None) -> Iterator[Callable[[str], None]]:
    """What takes lines for the log at `path`, from a command that does itself what a node would tell of.

    OSError, before anything is done, where the file cannot be opened. Nothing is kept where `path` is None or standard
    output."""
    if path is None or path == "-":
        yield lambda text: None
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        yield lambda text: _write(descriptor, text)
    finally:
        os.close(descriptor)


def _write(descriptor: int, text: str) -> None:
    os.write(descriptor, text.encode())


def json_schema() -> dict[str, object]:
    """What each line is, as a JSON Schema."""
    shapes: dict[str, object] = dict.fromkeys(FIELDS, _TEXT)
    shapes |= {
        "time": {"type": "number", "description": "Unix time, to a millisecond"},
        "event": {"enum": list(EVENTS)},
        "node": {"type": "string", "minLength": 1},
        "status": {"type": ["integer", "null"], "minimum": 200, "maximum": 599},
        "digest": {"anyOf": [_DIGEST, {"type": "null"}]},
        "tags": {"type": ["array", "null"], "items": {"type": "string"}},
        "moved": {"type": ["object", "null"], "additionalProperties": _DIGEST},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "a line of the audit log",
        "type": "object",
        "properties": shapes,
        "required": list(FIELDS),
        "additionalProperties": False,
    }


def line(event: str, node: str, **said: object) -> str:
    """A line with its end. JSON escapes whatever could end it. `said` are those of `FIELDS` that are known."""
    known = {"time": round(time.time(), 3), "event": event, "node": node, **said}
    return json.dumps({name: known.get(name) for name in FIELDS}) + "\n"


def lost(node: str, count: int) -> str:
    """The line that stands for so many."""
    return line("lost", node, reason=f"{count} lines were lost: the disk did not take them")


if __name__ == "__main__":
    Path(sys.argv[1], SCHEMA_ID).write_text(json.dumps(json_schema(), indent=2) + "\n")
