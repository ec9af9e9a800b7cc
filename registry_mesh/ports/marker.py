"""The marker of a store: whose it is, and in which format it is written.

It lies among the store's records, is written once, create-only, and read before anything else of the store is touched.
A node of another role would spoil what it finds: a site evicts what an origin must keep.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final, Protocol

from registry_mesh.ports.failures import StoreForeign
from registry_mesh.ports.records import Records

FORMAT: Final = 2
"""The format that this version writes. A store of format 1 has no marker: there were none when it was made."""

KEY: Final = "store/marker"
"""Of the record."""


@dataclass(frozen=True, slots=True)
class Marker:
    """Whose a store is."""

    role: str
    node: str
    """Name of the node that made it, or took it over. Empty where that is not known."""
    registry: str | None = None
    """An origin's own; None where it has no name."""
    store: str = ""
    """Id of the store, made with it; a copy of it has the same."""
    format: int = FORMAT

    def __str__(self) -> str:
        named = f"{self.role} {self.node}".rstrip()
        return f"{named} of {self.registry}" if self.registry else named

    def encode(self) -> bytes:
        """As it is kept."""
        return json.dumps(
            {
                "format": self.format,
                "role": self.role,
                "registry": self.registry,
                "store": self.store,
                "node": self.node,
            }
        ).encode()

    @classmethod
    def decode(cls, data: bytes) -> Marker:
        """The marker that was kept. Raises `ValueError` where it is none."""
        told = json.loads(data)
        if not isinstance(told, dict) or not isinstance(told.get("format"), int):
            raise ValueError("no marker of a store")
        registry = told.get("registry")
        return cls(
            str(told.get("role", "")),
            str(told.get("node", "")),
            str(registry) if registry else None,
            str(told.get("store", "")),
            told["format"],
        )


def demand_readable(found: Marker, where: str) -> None:
    """Raise `StoreForeign` where a newer version wrote the store in `where`."""
    if found.format > FORMAT:
        raise StoreForeign(
            f"{where} was written by a newer registry-mesh (format {found.format}; this one reads up to {FORMAT}): "
            "upgrade this node, or give it a place of its own"
        )


def demand_ours(found: Marker, ours: Marker, where: str) -> None:
    """Raise `StoreForeign` where the store in `where` is another's than `ours`. A node may be renamed, and two sites
    may share a bucket: role and registry decide."""
    strangers = found.registry and ours.registry and found.registry != ours.registry
    if found.role != ours.role or strangers:
        raise StoreForeign(
            f"{where} is the store of {found}, and this node is {ours}: give it a place of its own, "
            "or take this one over with serve --adopt"
        )


class Admission(Protocol):
    """Decides whether a node may open the store in `where`, whose records are given. Raises `StoreForeign`."""

    async def check(self, records: Records, where: str) -> None:
        """Look, before anything of the store is touched."""
        ...

    async def admit(self, records: Records, where: str) -> None:
        """Look again, and write the marker where there is none."""
        ...


class Anybody:
    """For a store that is nobody's: nothing is looked at or written."""

    async def check(self, records: Records, where: str) -> None:
        """Return."""

    async def admit(self, records: Records, where: str) -> None:
        """Return."""


_: type[Admission] = Anybody
