"""Registries that clients asked this node for, and that it does not serve: by whom, within an hour."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from registry_mesh.findings.facts import UnservedFacts

HOUR: Final = 3600.0
REGISTRIES: Final = 64
CLIENTS: Final = 4096
"""Of a registry; beyond both, what was asked for longest ago is forgotten: clients choose these names."""


@dataclass(slots=True)
class _Asked:
    since: float
    requests: int = 0
    clients: OrderedDict[str, float] = field(default_factory=OrderedDict)


class Unserved:
    """Times are in seconds since the epoch."""

    def __init__(self) -> None:
        self._asked: OrderedDict[str, _Asked] = OrderedDict()

    def note(self, registry: str, client: str, at: float) -> None:
        """A client asked for something of the registry."""
        asked = self._asked.setdefault(registry, _Asked(at))
        self._asked.move_to_end(registry)
        asked.requests += 1
        asked.clients[client] = at
        asked.clients.move_to_end(client)
        if len(asked.clients) > CLIENTS:
            asked.clients.popitem(last=False)
        if len(self._asked) > REGISTRIES:
            self._asked.popitem(last=False)

    def facts(self, now: float) -> tuple[UnservedFacts, ...]:
        """What was asked for within the last hour; a registry that was not for so long is forgotten."""
        for registry, asked in list(self._asked.items()):
            while asked.clients and next(iter(asked.clients.values())) <= now - HOUR:
                asked.clients.popitem(last=False)
            if not asked.clients:
                del self._asked[registry]
        return tuple(
            UnservedFacts(registry, len(asked.clients), asked.requests, asked.since)
            for registry, asked in self._asked.items()
        )
