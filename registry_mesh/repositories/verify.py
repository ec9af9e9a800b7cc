"""Self-check: every reference and every byte of a store, while it serves; repair from wherever the bytes still are.

What pushes and collections change meanwhile is looked at once more before it is called wrong.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from registry_mesh.chunks.mapper import ChunkMapper
from registry_mesh.oci.digest import Digest, Hasher, new_hasher
from registry_mesh.oci.reference import RepositoryName, Tag
from registry_mesh.oci.refusals import BlobUnknown, Refusal
from registry_mesh.ports.blobs import BlobSource, BlobStore, Reading
from registry_mesh.ports.failures import Failure, StoreBroken, StoreRotten
from registry_mesh.ports.pieces import in_memory
from registry_mesh.ports.repositories import Repository
from registry_mesh.repositories.facts import Inventory, inventory
from registry_mesh.repositories.faults import (
    REPAIRABLE,
    BlobFacts,
    Fault,
    Finding,
    Needs,
    blob_fault,
    bytes_fault,
    left_out,
    reference_faults,
)
from registry_mesh.repositories.of_origin import Repositories
from registry_mesh.tasks.threads import offload

Progress = Callable[[str], None]

Parents = Callable[[RepositoryName], Sequence[Repository]]
"""Where what a repository has may be fetched again, in order."""


def no_parents(name: RepositoryName) -> Sequence[Repository]:
    """Repairs nothing: an origin has no parents."""
    return ()


class SelfCheck:
    """One walk over a store. `parents` given: what they have is repaired."""

    def __init__(
        self, origin: Repositories, *, parents: Parents = no_parents, progress: Progress = lambda _: None
    ) -> None:
        self._origin = origin
        self._parents = parents
        self._progress = progress
        self._checked: set[Digest] = set()
        self.blobs = 0
        self.bytes = 0
        self.repositories = 0
        self.left_out = 0
        """Of what manifests name, what is not here because a replica's rules do not want it."""

    async def findings(self) -> AsyncIterator[Finding]:
        """Everything that is wrong, as it is found."""
        async for name in self._origin.names():
            self.repositories += 1
            self._progress(f"checking {name}")
            async for finding in self._repository(name):
                yield finding
        self._progress("checking what no repository names")
        async for info in self._origin.blobs.blobs():
            if info.digest not in self._checked:
                async for finding in self._blob("the store", info.digest, None, ()):
                    yield finding

    async def _repository(self, name: RepositoryName) -> AsyncIterator[Finding]:
        try:
            found, tags = await self._read(name)
            findings = list(reference_faults(name, found.facts, tags, self._origin.policy.sparse))
            if findings:  # a push or a collection may have come between two looks
                found, tags = await self._read(name)
                again = set(reference_faults(name, found.facts, tags, self._origin.policy.sparse))
                findings = [each for each in findings if each in again]
        except StoreBroken as fault:
            yield Finding(Fault.DOCUMENT, name, detail=fault.reason)
            return
        self.left_out += left_out(found.facts)
        needs = Needs(found.facts, tags)
        for finding in findings:
            yield _with_tags(finding, needs)
        parents = self._parents(name)
        for digest in (*found.facts.manifests, *found.facts.blobs):
            if digest not in self._checked:
                async for finding in self._blob(name, digest, found.sizes.get(digest), parents):
                    yield _with_tags(finding, needs)

    async def _read(self, name: RepositoryName) -> tuple[Inventory, dict[Tag, Digest]]:
        parts = self._origin.parts(name)
        tags = {}
        for tag in await parts.tags.names():
            entry = await parts.tags.current(tag)
            if entry is not None and entry.digest is not None:
                tags[tag] = entry.digest
        now = self._origin.lifecycle.clock()
        return await inventory(parts, now, self._origin.policy.grace), tags

    async def _blob(
        self, where: str, digest: Digest, stated: int | None, parents: Sequence[Repository]
    ) -> AsyncIterator[Finding]:
        self._checked.add(digest)
        fault, detail = await self._fault_of(digest, stated)
        if fault is None or (
            fault is Fault.MISSING and not await self._origin.parts(RepositoryName(where)).have(digest)
        ):
            return
        finding = Finding(fault, where, digest, detail)
        if fault in REPAIRABLE and await self._repair(digest, parents):
            finding = replace(finding, repaired=True)
        yield finding

    async def _fault_of(self, digest: Digest, stated: int | None) -> tuple[Fault | None, str]:
        try:
            async with self._origin.blobs.open(digest) as reading:
                facts = await read_facts(self._origin.blobs, digest, reading)
        except BlobUnknown:
            return Fault.MISSING, ""
        except StoreRotten as rot:
            return bytes_fault(stated, rot.size), rot.reason
        except Failure as failure:
            return Fault.UNREADABLE, failure.reason
        self.blobs += 1
        self.bytes += facts.size
        return blob_fault(digest, stated, facts), ""

    async def _repair(self, digest: Digest, parents: Sequence[Repository]) -> bool:
        for parent in parents:
            try:
                await refetch(self._origin.blobs, parent, digest)
                return (await self._fault_of(digest, None))[0] is None
            except (Refusal, Failure):
                continue
        return False


def _with_tags(finding: Finding, needs: Needs) -> Finding:
    if finding.digest is None or finding.fault is Fault.DANGLING_TAG:
        return finding
    return replace(finding, tags=needs.of(finding.digest))


async def read_facts(store: BlobSource, digest: Digest, reading: Reading) -> BlobFacts:
    """Read all of it once: its digest, its size, and whether the chunk map fits."""
    stored = await store.chunk_map(digest)
    hasher = new_hasher(digest.algorithm)
    mapper = ChunkMapper(stored.algorithm) if stored is not None else ChunkMapper()
    size = 0
    async for data in in_memory(reading):
        await offload(_take_in, data, hasher, mapper)
        size += len(data)
    fits = None if stored is None else stored == mapper.finish()
    return BlobFacts(Digest(digest.algorithm, hasher.hexdigest()), size, fits)


async def refetch(store: BlobStore, parent: Repository, digest: Digest) -> None:
    """Put what `parent` has in the place of what `store` has. Nothing is given up before the new bytes are here."""
    async with store.ingest(digest) as ingest:
        async for data in _bytes_of(parent, digest):
            await ingest.write(data)
        with suppress(BlobUnknown):
            await store.delete(digest)
        await ingest.commit(digest)


async def _bytes_of(parent: Repository, digest: Digest) -> AsyncIterator[bytes]:
    """A blob, or a manifest: registries serve each at its own place only."""
    try:
        async with parent.blobs.open(digest) as reading:
            async for data in in_memory(reading):
                yield data
    except BlobUnknown:
        yield (await parent.manifests.manifest(digest)).manifest.data


def _take_in(data: bytes, hasher: Hasher, mapper: ChunkMapper) -> None:
    hasher.update(data)
    mapper.update(data)
