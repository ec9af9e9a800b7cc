"""Whether this node may open the store that its configuration names."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from registry_mesh.assembly.labels import node_name
from registry_mesh.config.schema import Config
from registry_mesh.ports.failures import StoreForeign
from registry_mesh.ports.marker import KEY, Admission, Marker, demand_ours, demand_readable
from registry_mesh.ports.records import Records
from registry_mesh.telemetry.logs import FIELDS

log: Final = logging.getLogger(__name__)

_OF_A_SITE: Final = frozenset({"remembered", "named", "media-types"})
"""What only a site writes; or a replica that falls through, which has receipts, too."""


@dataclass(frozen=True, slots=True)
class NodeAdmission:
    """Of the node `ours`. `adopt`: another's store is taken over."""

    ours: Marker
    adopt: bool = False

    async def check(self, records: Records, where: str) -> None:
        """Raise `StoreForeign` where the store is another's and is not to be taken over. Nothing is written."""
        found = await self._found(records, where)
        if found is not None:
            demand_readable(found, where)
            if not self.adopt:
                demand_ours(found, self.ours, where)

    async def admit(self, records: Records, where: str) -> None:
        """`check`, and write the marker where there is none, or another's that is taken over. Of two nodes that begin
        in an empty store at once one is let in. A store of format 1 is upgraded by its marker: all else in it is
        read as it is, or made anew; a process that is killed before the marker is there has changed nothing."""
        await self.check(records, where)
        data = await records.get(KEY)
        found = _decoded(data, where) if data is not None else None
        if found is None:
            if not await records.create(KEY, self._fresh().encode()):
                await self.check(records, where)
        elif (ours := self._made_ours(found)) != found:
            log.warning(
                "the store was taken over",
                extra={FIELDS: {"store": where, "was": str(found), "is": str(ours)}},
            )
            await records.put(KEY, ours.encode())

    def _fresh(self) -> Marker:
        return replace(self.ours, store=uuid.uuid4().hex)

    def _made_ours(self, found: Marker) -> Marker:
        """What the marker is to say: an origin says a name that it was given since, others never."""
        if found.role == self.ours.role and found.registry in (self.ours.registry, None):
            return replace(found, registry=self.ours.registry or found.registry)
        if not self.adopt:
            return found
        return replace(self.ours, store=found.store)

    async def _found(self, records: Records, where: str) -> Marker | None:
        """Whose the store is; None where nothing tells that it is anybody's."""
        data = await records.get(KEY)
        if data is not None:
            return _decoded(data, where)
        tops = await records.children("")
        role = role_by(tops, await records.children("repositories/", limit=1000))
        return Marker(role, "", format=1) if role is not None else None


def role_by(tops: Collection[str], repositories: Collection[str]) -> str | None:
    """The role of the node that wrote records that begin with `tops`, and with `repositories` below
    `repositories/`; None where they do not tell. For stores from before there were markers."""
    if "receipts" in tops:
        return "replica"
    if repositories:  # at a replica each stands below the name of its registry
        return "replica" if all("." in name or ":" in name for name in repositories) else "origin"
    return "site" if _OF_A_SITE & set(tops) else None


def _decoded(data: bytes, where: str) -> Marker:
    try:
        return Marker.decode(data)
    except ValueError as fault:
        raise StoreForeign(
            f"the marker of {where} cannot be read ({fault}): put back the record {KEY} from a copy, "
            "or give this node a place of its own"
        ) from None


def admission_of(config: Config, *, adopt: bool = False) -> Admission:
    """The admission of the node that `config` describes."""
    return NodeAdmission(Marker(config.role, node_name(config), config.registry), adopt)
