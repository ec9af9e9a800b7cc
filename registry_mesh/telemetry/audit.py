"""The audit log's one shape: a JSON line for whatever changed something, for logins, and for refusals."""

from __future__ import annotations

import json
import time
from typing import Final

EVENTS: Final = (
    "login",
    "login-refused",
    "refused",
    "push",
    "upload",
    "delete",
    "access-changed",
    "access-invalid",
    "admin",
    "admin-refused",
)
"""All there are. `refused` is a 401 to credentials, or a 403; `upload` a blob that was taken or linked;
`access-changed` a user, robot, issuer, group or policy that came, went or is another; `access-invalid` files that
change nothing because they cannot be used; `admin` an action by the operator's listener, `admin-refused` a login that
was not let in there."""
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
    "reason",
)
"""Of each line, in this order; `null` where there is nothing to say."""


def line(event: str, node: str, **said: object) -> str:
    """A line with its end. JSON escapes whatever could end it. `said` are those of `FIELDS` that are known."""
    known = {"time": round(time.time(), 3), "event": event, "node": node, **said}
    return json.dumps({name: known.get(name) for name in FIELDS}) + "\n"
