"""The list of revoked credentials, asked of a parent that is a node of the mesh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from registry_mesh.auth.revoked import LIMIT, Revoked, parse_revoked
from registry_mesh.ports.failures import SourceUnreadable
from registry_mesh.ports.urgency import unhurried
from registry_mesh.upstream.session import ParentSession

_PATH: Final = "/v2/_mesh/revoked"
_SCOPE: Final = "registry:mesh:*"


@dataclass(frozen=True, slots=True)
class Told:
    """A list, and the entity tag by which it is asked whether it is still the same."""

    revoked: Revoked
    tag: str


async def fetch_revoked(parent: ParentSession, known: str = "") -> Told | None:
    """Return the parent's list; None where it is the one whose tag is `known`, and where the parent is of a version
    that tells none. No client waits for it. `SourceUnavailable`, `SourceDenied`, `SourceUnreadable`."""
    headers = {"If-None-Match": known} if known else {}
    with unhurried():
        async with parent.request("GET", _PATH, scope=_SCOPE, headers=headers) as answer:
            if answer.status != 200:
                return None
            data = await answer.body(LIMIT)
    try:
        return Told(parse_revoked(data), answer.field("ETag"))
    except ValueError as fault:
        raise SourceUnreadable(str(fault), source=answer.source) from None
