"""Pins: images that are not to be evicted, until a time or for good. Kept as records, a document each."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.ports.place import Place
from registry_mesh.ports.records import Records

_ROOT: Final = "pins/"


@dataclass(frozen=True, slots=True)
class Pin:
    """Of a tag at a place. `until`: seconds since the epoch; None: for good."""

    place: Place
    tag: str
    until: float | None = None

    def holds(self, now: float) -> bool:
        """Whether it has not ended."""
        return self.until is None or now < self.until


class Pins:
    """Of one store."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def set(self, pin: Pin) -> None:
        """Pin, or pin until another time."""
        document = {"registry": pin.place.registry, "repository": pin.place.repository, "tag": pin.tag}
        await self._records.put(
            _key(pin.place, pin.tag), json.dumps(document | {"until": pin.until}).encode()
        )

    async def take(self, place: Place, tag: str) -> bool:
        """Take a pin away; False where there is none."""
        key = _key(place, tag)
        there = await self._records.get(key) is not None
        await self._records.delete([key])
        return there

    async def all(self, now: float) -> AsyncIterator[Pin]:
        """Those that hold; those that have ended are forgotten."""
        async for key in self._records.walk(_ROOT):
            data = await self._records.get(key)
            pin = _decoded(data) if data is not None else None
            if pin is not None and pin.holds(now):
                yield pin
            else:
                await self._records.delete([key])


def _key(place: Place, tag: str) -> str:
    return f"{_ROOT}{place.registry.replace(':', '_')}/{place.repository}/_tags/{tag}"


def _decoded(data: bytes) -> Pin | None:
    try:
        told = json.loads(data)
        place = Place(RegistryName(told["registry"]), RepositoryName(told["repository"]))
        until = told["until"]
        return Pin(place, str(told["tag"]), None if until is None else float(until))
    except (ValueError, KeyError, TypeError):
        return None
