"""Which repository names which digest, at a node that shares bytes among repositories.

What is held is held once, however it came, and is served only through a repository that names it: one that gave
the digest itself, a tag that points at it, or a document that mentions it (distribution-spec, "Pulling blobs": a blob
that is not found in the repository is 404). The truth is in records, a document for each manifest that a repository
gave; the store's index has a copy for speed, and is filled again from the records where it was lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Final, Protocol

from cachetools import LRUCache, TTLCache

from registry_mesh.content.nest.remembered import Entry
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.mentions import Kind, Mention, mentions
from registry_mesh.oci.refusals import BlobUnknown, DigestInvalid, ManifestInvalid
from registry_mesh.ports.blobs import BlobSource
from registry_mesh.ports.cache import NamedBlobs
from registry_mesh.ports.failures import Failure, StoreBroken, StoreFull
from registry_mesh.ports.pieces import whole
from registry_mesh.ports.place import Place
from registry_mesh.ports.records import Records
from registry_mesh.tasks.flights import Flights

_DOCUMENT: Final = 64 << 20
"""Bytes of a held document that is looked into."""

_PATIENCE: Final = 2.0
"""Seconds at most that records still on their way are waited for in the end."""

_AGAIN: Final = 5.0
"""Seconds until the records of a place are looked at once more."""

_PAUSE: Final = (1.0, 60.0)
"""Seconds before a record that could not be written is tried again: at first, and at most."""

_WAITING: Final = 4096
"""Records that wait to be written at most."""

_KNOWN: Final = 65_536
"""Pairs of a place and a digest that are remembered in the process."""


class NamingStore(BlobSource, NamedBlobs, Protocol):
    """The blobs that manifests are, and what was noted of them."""


class Names:
    """The relation of one store. One per process; `of` binds it to a repository."""

    def __init__(self, store: NamingStore, records: Records) -> None:
        self._store = store
        self._records = records
        self._known: LRUCache[tuple[Place, Digest], bool] = LRUCache(_KNOWN)
        self._noted: LRUCache[tuple[Place, Digest], bool] = LRUCache(_KNOWN)
        self._looks: Flights[tuple[Place, Digest], bool] = Flights()
        self._loads: Flights[Place, None] = Flights()
        self._loaded: TTLCache[Place, bool] = TTLCache(_KNOWN, _AGAIN)
        self._writes: Flights[tuple[Place, Digest], None] = Flights()

    def of(self, place: Place) -> NamesOfPlace:
        """The relation as one repository sees it."""
        return NamesOfPlace(self, place)

    async def have(self, place: Place, digest: Digest) -> bool:
        """Whether the repository at `place` names `digest`, as far as anybody has seen."""
        if (place, digest) in self._known:
            return True
        return await self._looks.join((place, digest), lambda: self._look(place, digest))

    async def _look(self, place: Place, digest: Digest) -> bool:
        """Once for all who ask at a time."""
        named = await self._store.names(place, digest)
        if named is None:
            await self._loads.join(place, lambda: self._load(place))
            named = await self._store.names(place, digest)
        if named:
            self._known[place, digest] = True
        return bool(named)

    async def have_elsewhere(self, place: Place, digest: Digest) -> bool:
        """`have`, after another look at the records: another server over the same ones may have seen more. They are
        looked at every few seconds at most."""
        if place not in self._loaded:
            await self._loads.join(place, lambda: self._load(place))
        return await self.have(place, digest)

    async def note(self, place: Place, digests: Collection[Digest]) -> None:
        """The repository gave these, or a document of it mentions them. Never fails: what is lost is asked again."""
        new = [digest for digest in digests if (place, digest) not in self._known]
        for digest in new:
            self._known[place, digest] = True
        if new:
            with contextlib.suppress(StoreFull, StoreBroken):
                await self._store.note_names(place, new)

    async def note_manifest(self, place: Place, digest: Digest, data: bytes, media_type: str) -> None:
        """The repository gave this manifest: it names the manifest and all that the manifest mentions."""
        if (place, digest) in self._noted:
            return
        mentioned = {each.digest for each in mentions(data, media_type).named}
        self._record(place, digest, mentioned)
        await self.note(place, {digest, *mentioned})

    async def note_given(self, place: Place, digest: Digest) -> None:
        """The repository gave this, and nothing that it gave before mentions it."""
        self._record(place, digest, ())
        await self.note(place, {digest})

    def _record(self, place: Place, digest: Digest, mentioned: Collection[Digest]) -> None:
        """Write it down, behind the asker's back."""
        self._noted[place, digest] = True
        document = json.dumps(sorted(str(each) for each in mentioned)).encode()

        self._writes.launch((place, digest), lambda: self._write(place, digest, document))

    async def _write(self, place: Place, digest: Digest, document: bytes) -> None:
        """Write until the records take it: others who share them may be asked when no parent can be."""
        pause = _PAUSE[0]
        while True:
            try:
                await self._records.create(_key(place, digest), document)
                return
            except StoreFull:
                return
            except StoreBroken:
                if len(self._writes) > _WAITING:
                    self._noted.pop((place, digest), None)  # the next request has it written again
                    return
                await asyncio.sleep(pause)
                pause = min(_PAUSE[1], 2 * pause)

    async def _load(self, place: Place) -> None:
        """Fill the index with what records tell of the place."""
        found: set[Digest] = set()
        whole = True
        try:
            async for digests in self._told(place):
                found |= digests
        except StoreBroken:
            whole = False
        self._loaded[place] = True
        await self._store.note_names(place, found, whole=whole)

    async def _told(self, place: Place) -> AsyncIterator[set[Digest]]:
        async for key in self._records.walk(_root(place)):
            data = await self._records.get(key)
            if data is not None and (manifest := digest_of(key)) is not None:
                yield {manifest, *_listed(data)}
        async for key in self._records.walk(_tags(place)):  # a store from before there were such records
            data = await self._records.get(key)
            entry = Entry.decode(data) if data is not None else None
            if entry is not None and (digest := pointed_at(entry)) is not None:
                yield await self._closure(digest)

    async def _closure(self, digest: Digest) -> set[Digest]:
        """The digest, and all that held documents below it mention."""
        found, todo = {digest}, [digest]
        while todo:
            for mention in await self._mentioned(todo.pop()):
                if mention.digest not in found:
                    found.add(mention.digest)
                    todo += [mention.digest] if mention.kind is Kind.MANIFEST else []
        return found

    async def _mentioned(self, digest: Digest) -> Sequence[Mention]:
        try:
            async with self._store.open(digest) as reading:
                data = await whole(reading, _DOCUMENT)
        except (BlobUnknown, Failure):
            return ()
        return mentions(data, "").named

    def forget(self) -> None:
        """Drop what is in memory of records: some may have been deleted under it."""
        self._noted.clear()

    async def close(self) -> None:
        """End what runs in the background; what is to be written is."""
        await self._looks.close()
        await self._loads.close()
        await self._writes.settle(_PATIENCE)


class NamesOfPlace:
    """What one repository names."""

    def __init__(self, names: Names, place: Place) -> None:
        self._names = names
        self.place = place

    async def have(self, digest: Digest) -> bool:
        """See `Names.have`."""
        return await self._names.have(self.place, digest)

    async def have_elsewhere(self, digest: Digest) -> bool:
        """See `Names.have_elsewhere`."""
        return await self._names.have_elsewhere(self.place, digest)

    async def note_given(self, digest: Digest) -> None:
        """See `Names.note_given`."""
        await self._names.note_given(self.place, digest)

    async def note(self, *digests: Digest) -> None:
        """See `Names.note`."""
        await self._names.note(self.place, digests)

    async def note_manifest(self, digest: Digest, data: bytes, media_type: str) -> None:
        """See `Names.note_manifest`."""
        await self._names.note_manifest(self.place, digest, data, media_type)


def _root(place: Place) -> str:
    return f"named/{place.registry.replace(':', '_')}/{place.repository}/_manifests/"


def _key(place: Place, digest: Digest) -> str:
    return f"{_root(place)}{digest.algorithm}/{digest.hex}"


def _tags(place: Place) -> str:
    """Where `RememberedTags` keeps what its source said of tags."""
    return f"remembered/{place.registry.replace(':', '_')}/{place.repository}/_tags/"


def pointed_at(entry: Entry) -> Digest | None:
    """The digest that a remembered answer about a tag names; None where it names none."""
    try:
        return Descriptor.parse(json.loads(entry.answer), "tag").digest if entry.answer else None
    except (ValueError, ManifestInvalid):
        return None


def digest_of(key: str) -> Digest | None:
    """The digest whose algorithm and hex end a record's key; None where they do not."""
    algorithm, _, encoded = key.rpartition("/")
    try:
        return Digest.parse(f"{algorithm.rpartition('/')[2]}:{encoded}")
    except DigestInvalid:
        return None


def _listed(data: bytes) -> set[Digest]:
    """The digests of a record; a damaged one lists none."""
    found = set()
    with contextlib.suppress(ValueError):
        listed = json.loads(data)
        for each in listed if isinstance(listed, list) else ():
            with contextlib.suppress(DigestInvalid):
                found.add(Digest.parse(str(each)))
    return found
