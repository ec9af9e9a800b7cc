"""Runs that somebody asked for: kept with the store until they have ended, so that they outlive the process that was
asked."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from registry_mesh.ports.failures import Failure
from registry_mesh.ports.place import Place
from registry_mesh.ports.records import Records

_ALL: Final = "receipts/asked.json"
_BELOW: Final = "receipts/asked/"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for at one time: runs of some repositories, or of all."""

    places: frozenset[Place] = frozenset()
    all: bool = False

    def __bool__(self) -> bool:
        return self.all or bool(self.places)

    def __or__(self, other: Asked) -> Asked:
        return Asked(self.places | other.places, self.all or other.all)

    @property
    def records(self) -> set[str]:
        """Their keys."""
        return {f"{_BELOW}{place}" for place in self.places} | ({_ALL} if self.all else set())


class Asks:
    """What one replica is asked for. Where its store takes no records, the process alone remembers."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self.waiting = Asked()

    async def ask(self, asked: Asked) -> None:
        """Have it run soon."""
        self.waiting |= asked
        for key in asked.records:
            with suppress(Failure):
                await self._records.put(key, b"{}")

    async def read(self) -> None:
        """Take up what a process before was asked for, and did not come to the end of."""
        with suppress(Failure):
            found = [Place.parse(key.removeprefix(_BELOW)) async for key in self._records.walk(_BELOW)]
            self.waiting |= Asked(frozenset(found), await self._records.get(_ALL) is not None)

    def take(self) -> Asked:
        """What waits, which is to be run now; `forget` it, or put it `back`."""
        taken, self.waiting = self.waiting, Asked()
        return taken

    def back(self, taken: Asked) -> None:
        """It has not been run after all."""
        self.waiting |= taken

    async def forget(self, taken: Asked) -> None:
        """It has been run: what was asked for since then still waits."""
        with suppress(Failure):
            await self._records.delete(sorted(taken.records - self.waiting.records))
