"""What runs deleted, for `rules undo` and for the guard; and which plan of deletions a person approved."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any, Final

from registry_mesh.content.snapshot.removing.going import Going
from registry_mesh.ports.place import Outward
from registry_mesh.ports.records import Records

REMOVED: Final = "receipts/removed.json"
APPROVED: Final = "receipts/approved.json"
WAITING: Final = "receipts/waiting.json"
"""The digest of the plan that the guard stopped last."""
_DAY: Final = 86400.0
_REMEMBERED: Final = 10_000
"""Deletions that are listed for `undo`."""

Entry = dict[str, Any]  # Any: JSON as it was kept


class RemovedTags:
    """The list as one run reads and writes it; `now` in seconds since the epoch."""

    def __init__(self, records: Records, now: float) -> None:
        self._records = records
        self._now = now
        self._known: list[Entry] = []

    async def read(self) -> None:
        """What was noted; nothing where it cannot be read. `StoreBroken`."""
        try:
            found = json.loads(await self._records.get(REMOVED) or b"[]")
            self._known = [dict(e) for e in found if {"at", "registry", "repository", "tag"} <= set(e)]
        except (ValueError, TypeError):
            self._known = []

    @property
    def lately(self) -> Counter[str]:
        """By registry how many went within 24 hours, without companions."""
        own = (each for each in self._known if "companion_of" not in each)
        return Counter(str(each["registry"]) for each in own if self._now - float(each["at"]) < _DAY)

    async def note(self, going: Iterable[Going]) -> None:
        """Before they go: a crash between this and that counts too much, never too little."""
        fresh = [_entry(each, self._now) for each in going]
        if fresh:
            self._known = [*self._known, *fresh][-_REMEMBERED:]
            await self._write()

    async def withdraw(self, stayed: Collection[Going]) -> None:
        """These were not deleted."""
        if stayed:
            wrong = [_entry(each, self._now) for each in stayed]
            self._known = [each for each in self._known if each not in wrong]
            await self._write()

    async def is_approved(self, plan: str) -> bool:
        """Whether a person approved the plan of this digest; good for one time."""
        data = await self._records.get(APPROVED)
        try:
            approved = bool(json.loads(data or b"{}").get("digest") == plan)
        except (ValueError, AttributeError):
            return False
        if approved:
            await self._records.delete([APPROVED, WAITING])
        return approved

    async def wait(self, plan: str) -> None:
        """The guard stopped the plan of this digest: it waits for a person."""
        await self._records.put(WAITING, json.dumps({"digest": plan}).encode())

    async def _write(self) -> None:
        await self._records.put(REMOVED, json.dumps(self._known).encode())


def _entry(going: Going, now: float) -> Entry:
    said: Entry = {
        "at": now,
        "registry": going.place.registry,
        "repository": going.place.repository,
        "tag": going.tag,
        "digest": going.digest,
        "because": going.because,
    }
    said |= {"outward": True} if isinstance(going.place, Outward) else {}
    return said | ({"companion_of": going.companion_of} if going.companion_of else {})
