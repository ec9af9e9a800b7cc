"""Records of a cache that serve nobody any more: of tags that were not confirmed for long, of evicted manifests.

They are small, but a cache that passes new names on every day would keep them all for ever, beside what its quota
bounds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from registry_mesh.content.nest.names import digest_of, pointed_at
from registry_mesh.content.nest.remembered import Entry
from registry_mesh.oci.digest import Digest
from registry_mesh.ports.cache import KnownSizes
from registry_mesh.ports.records import Records

_TAGS: Final = "remembered/"
_NAMED: Final = "named/"
_TYPES: Final = "media-types/"
_BATCH: Final = 100


async def drop_old_records(records: Records, held: KnownSizes, before: float) -> int:
    """Delete what was last written before `before` (seconds since the epoch) and is of nothing in `held`; return how
    many that were. `before` has to lie further back than an answer about a tag is ever told. `StoreBroken`."""
    dropped = 0
    batch: list[str] = []
    async for key in _old(records, held, before):
        batch.append(key)
        if len(batch) == _BATCH:
            await records.delete(batch)
            dropped, batch = dropped + len(batch), []
    await records.delete(batch)
    return dropped + len(batch)


async def _old(records: Records, held: KnownSizes, before: float) -> AsyncIterator[str]:
    async for key in records.walk(_TAGS, before):
        if not await _is_held(held, await _answer(records, key)):
            yield key
    async for key in records.walk(_NAMED, before):
        if not await _is_held(held, digest_of(key)):
            yield key
    async for key in records.walk(_TYPES, before):
        if not await _is_held(held, _typed(key)):
            yield key


async def _answer(records: Records, key: str) -> Digest | None:
    """What a tag pointed at; None for lists and the like, and for damaged records."""
    data = await records.get(key)
    entry = Entry.decode(data) if data is not None else None
    return pointed_at(entry) if entry is not None else None


def _typed(key: str) -> Digest | None:
    """Of which manifest a record has the media type: its key is `media-types/ALGORITHM/XX/HEX`."""
    components = key.split("/")
    return digest_of(f"{components[1]}/{components[-1]}")


async def _is_held(held: KnownSizes, digest: Digest | None) -> bool:
    return digest is not None and await held.held_size(digest) is not None
