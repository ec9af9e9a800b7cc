"""Records of pulls, told to a parent that is a node of the mesh."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import astuple
from typing import Final

from registry_mesh.ports.pulls import Pull
from registry_mesh.ports.urgency import unhurried
from registry_mesh.upstream.session import ParentSession

_PATH: Final = "/v2/_mesh/pulls"
_SCOPE: Final = "registry:mesh:*"


async def report(parent: ParentSession, pulls: Sequence[Pull]) -> bool:
    """Return whether the parent has taken them. No client waits for it. `SourceUnavailable`, `SourceDenied`."""
    body = json.dumps([astuple(pull) for pull in pulls], separators=(",", ":")).encode()
    fields = {"Content-Type": "application/json"}
    with unhurried():
        async with parent.request("POST", _PATH, scope=_SCOPE, headers=fields, body=body) as answer:
            return answer.status == 204
