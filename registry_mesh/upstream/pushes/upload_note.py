"""Where the upload of one blob stands, kept in records: the next process goes on with it."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from registry_mesh.oci.digest import Digest
from registry_mesh.ports.failures import StoreBroken, StoreFull
from registry_mesh.ports.records import KeyedRecords
from registry_mesh.upstream.pushes.place import PushPlace


@dataclass(frozen=True, slots=True)
class UploadNote:
    """`location`: path and query of its next request; `chunk`: bytes of one; `offset`: bytes that the registry took;
    `stale`: see `Traits.stale`."""

    location: str
    chunk: int
    offset: int = 0
    stale: bool = False


class UploadNotes:
    """Of one blob on its way to one repository. Where it cannot be kept, the next process begins anew."""

    def __init__(self, records: KeyedRecords, place: PushPlace, blob: Digest) -> None:
        self._records = records
        self._key = f"receipts/uploads/{place.registry}/{place.name}/{blob.hex}.json"
        self._is_kept = False

    async def read(self) -> UploadNote | None:
        """None where none was broken off, or nothing can be read of it."""
        try:
            told: Any = json.loads(await self._records.get(self._key) or b"null")  # Any: JSON as it was kept
            self._is_kept = told is not None
            chunk, offset = int(told["chunk"]), int(told.get("offset", 0))
            return UploadNote(str(told["location"]), chunk, max(0, offset), told.get("stale") is True)
        except (ValueError, TypeError, KeyError, AttributeError, StoreBroken):
            return None

    async def keep(self, note: UploadNote) -> None:
        """In the place of what was noted before."""
        self._is_kept = True
        with suppress(StoreFull, StoreBroken):
            await self._records.put(self._key, json.dumps(asdict(note)).encode())

    async def forget(self) -> None:
        """It has ended."""
        if self._is_kept:
            with suppress(StoreFull, StoreBroken):
                await self._records.delete([self._key])
