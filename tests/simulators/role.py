"""A role over dictionaries, with every write end point and with faults to order: what the edge is tested against.

`faults` maps the name of a port's method (`stat`, `open`, `resolve`, `manifest`, `tags`, `referrers`, …) to what it
raises. `Scripted` is a blob whose pieces a test writes itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.oci.refusals import (
    BlobUnknown,
    BlobUploadUnknown,
    Conflict,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestUnknown,
    NameUnknown,
    RangeInvalid,
)
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import HELD, BlobInfo, Ingest, Piece, Provenance, Reading, Streamed
from registry_mesh.ports.pushes import Pushed, Pusher, Upload
from registry_mesh.ports.repositories import FetchedManifest, Referrers, Repository, Resolved, TagPage
from registry_mesh.ports.uploads import new_id
from registry_mesh.stores.memory.store import MemoryStore

Pieces = Callable[[Span], AsyncIterator[Piece]]


@dataclass
class Scripted:
    """A blob whose bytes come from a test."""

    info: BlobInfo
    pieces: Pieces
    address: str | None = None
    provenance: Provenance = HELD
    opened: int = 0
    closed: int = 0


class _ScriptedReading(Streamed):
    def __init__(self, blob: Scripted, span: Span) -> None:
        self._blob = blob
        self.info = blob.info
        self.span = span
        self.address = blob.address
        self.provenance = blob.provenance

    def pieces(self) -> AsyncIterator[Piece]:
        return self._blob.pieces(self.span)


@dataclass
class Shelf:
    """Everything one repository has."""

    role: SimulatedRole
    registry: RegistryName
    name: RepositoryName
    links: set[Digest] = field(default_factory=set)
    held: dict[Digest, Manifest] = field(default_factory=dict)
    pointing: dict[Tag, Digest] = field(default_factory=dict)
    sessions: dict[str, tuple[Pusher, bytearray]] = field(default_factory=dict)
    scripted: dict[Digest, Scripted] = field(default_factory=dict)

    def fault(self, method: str) -> None:
        fault = self.role.faults.get(method)
        if fault is not None:
            raise fault

    # Sources

    async def stat(self, digest: Digest) -> BlobInfo:
        self.fault("stat")
        if digest in self.scripted:
            return self.scripted[digest].info
        if digest not in self.links:
            raise BlobUnknown(digest=str(digest))
        return await self.role.store.stat(digest)

    @asynccontextmanager
    async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[Reading]:
        self.fault("open")
        self.role.opened.append((digest, span))
        scripted = self.scripted.get(digest)
        if scripted is not None:
            scripted.opened += 1
            try:
                yield _ScriptedReading(scripted, scripted.info.clip(span))
            finally:
                scripted.closed += 1
            return
        if digest not in self.links:
            raise BlobUnknown(digest=str(digest))
        async with self.role.store.open(digest, span) as reading:
            yield reading

    async def chunk_map(self, digest: Digest, span: Span | None = None) -> ChunkMap | None:
        if digest not in self.links:
            raise BlobUnknown(digest=str(digest))
        return await self.role.store.chunk_map(digest, span)

    async def manifest(self, digest: Digest) -> FetchedManifest:
        self.fault("manifest")
        if digest not in self.held:
            raise ManifestUnknown(digest=str(digest))
        return FetchedManifest(self.held[digest], self.role.provenance)

    async def resolve(self, tag: Tag, known: Descriptor | None = None) -> Resolved:
        self.fault("resolve")
        if tag not in self.pointing:
            raise ManifestUnknown(tag=tag)
        return Resolved(self.held[self.pointing[tag]].descriptor, self.role.provenance)

    async def tags(self, limit: int, last: str = "") -> TagPage:
        self.fault("tags")
        if not self.held and not self.links:
            raise NameUnknown(name=self.name)
        after = sorted(tag for tag in self.pointing if tag > last)
        return TagPage(tuple(after[:limit]), len(after) > limit, self.role.provenance)

    async def referrers(self, subject: Digest, tagged: bool = True) -> Referrers:
        self.fault("referrers")
        found = [m.descriptor for m in self.held.values() if m.subject and m.subject.digest == subject]
        return Referrers(tuple(found), self.role.provenance)

    # Pushes

    async def begin(self, who: Pusher, algorithm: str = "sha256") -> Upload:
        upload = new_id()
        self.sessions[upload] = (who, bytearray())
        return Upload(upload, 0, algorithm)

    def _session(self, who: Pusher, upload: str) -> bytearray:
        owner, data = self.sessions.get(upload, (None, bytearray()))
        if owner != who:
            raise BlobUploadUnknown(upload=upload[:100])
        return data

    async def status(self, who: Pusher, upload: str) -> Upload:
        return Upload(upload, len(self._session(who, upload)))

    @asynccontextmanager
    async def append(
        self, who: Pusher, upload: str, start: int | None, size: int | None = None
    ) -> AsyncIterator[Ingest]:
        data = self._session(who, upload)
        if start not in (None, len(data)):
            raise RangeInvalid(offset=len(data))
        yield _Session(self, data, upload)

    @asynccontextmanager
    async def monolithic(self, who: Pusher, expected: Digest, size: int | None) -> AsyncIterator[Ingest]:
        yield _Session(self, bytearray(), "")

    async def cancel(self, who: Pusher, upload: str) -> None:
        self._session(who, upload)
        del self.sessions[upload]

    async def mount(self, who: Pusher, digest: Digest, source: RepositoryName | None) -> bool:
        shelves = self.role.shelves.values()
        if not any(digest in each.links and source in (None, each.name) for each in shelves):
            return False
        self.links.add(digest)
        return True

    async def put_manifest(
        self,
        who: Pusher,
        manifest: Manifest,
        tags: Sequence[Tag],
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> Pushed:
        self.fault("put_manifest")
        for tag in tags:
            now = self.pointing.get(tag)
            if (if_none_match is not None and now and if_none_match in ("*", f'"{now}"')) or (
                if_match is not None and if_match not in ("*", f'"{now}"')
            ):
                raise Conflict(tag=tag)
        missing = [str(b.digest) for b in manifest.blobs() if b.distributable and b.digest not in self.links]
        if missing:
            raise ManifestBlobUnknown(digests=missing)
        self.held[manifest.digest] = manifest
        moved = [(tag, was) for tag in tags if (was := self.pointing.get(tag)) not in (None, manifest.digest)]
        self.pointing |= dict.fromkeys(tags, manifest.digest)
        subject = manifest.subject.digest if manifest.subject else None
        return Pushed(manifest.digest, subject, tuple(tags), tuple(moved))

    async def delete_tag(self, who: Pusher, tag: Tag, if_match: str | None = None) -> None:
        if self.pointing.pop(tag, None) is None:
            raise ManifestUnknown(tag=tag)

    async def delete_manifest(self, who: Pusher, digest: Digest) -> None:
        if self.held.pop(digest, None) is None:
            raise ManifestUnknown(digest=str(digest))
        self.pointing = {tag: to for tag, to in self.pointing.items() if to != digest}

    async def delete_blob(self, who: Pusher, digest: Digest) -> None:
        if digest not in self.links:
            raise BlobUnknown(digest=str(digest))
        self.links.remove(digest)

    async def put_blob(self, data: bytes, algorithm: str = "sha256") -> Digest:
        """For tests: a blob without the wire."""
        async with self.role.store.ingest(algorithm=algorithm) as ingest:
            await ingest.write(data)
            info = await ingest.commit()
        self.links.add(info.digest)
        return info.digest

    def script(self, data: bytes, pieces: Pieces, address: str | None = None) -> Scripted:
        """For tests: a blob that seems to hold `data`, and gives what `pieces` gives."""
        blob = Scripted(BlobInfo(Digest.of(data), len(data)), pieces, address)
        self.scripted[blob.info.digest] = blob
        return blob


class _Session:
    """Implements `ports.blobs.Ingest`."""

    def __init__(self, shelf: Shelf, data: bytearray, upload: str) -> None:
        self._shelf = shelf
        self._data = data
        self._upload = upload

    @property
    def offset(self) -> int:
        return len(self._data)

    async def write(self, data: bytes) -> None:
        self._shelf.fault("write")
        self._shelf.role.largest_write = max(self._shelf.role.largest_write, len(data))
        self._data += data

    async def commit(self, expected: Digest | None = None) -> BlobInfo:
        self._shelf.sessions.pop(self._upload, None)
        algorithm = expected.algorithm if expected else "sha256"
        if expected and hashlib.new(algorithm, self._data).hexdigest() != expected.hex:
            raise DigestInvalid(given=str(expected))
        digest = await self._shelf.put_blob(bytes(self._data), algorithm)
        return BlobInfo(digest, len(self._data))


class SimulatedRole:
    """Implements `ports.role.Role`: an origin with pushes, a replica or a site without."""

    def __init__(self, name: str = "origin", registries: Sequence[str] = ("registry.example",)) -> None:
        self.name = name
        self._registries = tuple(map(RegistryName, registries))
        self.store = MemoryStore()
        self.shelves: dict[tuple[str, str], Shelf] = {}
        self.faults: dict[str, Exception] = {}
        self.provenance = HELD
        self.opened: list[tuple[Digest, Span | None]] = []
        self.largest_write = 0

    @property
    def registries(self) -> frozenset[str]:
        return frozenset(self._registries)

    def shelf(self, name: str, registry: str | None = None) -> Shelf:
        key = (registry or self._registries[0], name)
        if key not in self.shelves:
            self.shelves[key] = Shelf(self, RegistryName(key[0]), RepositoryName(name))
        return self.shelves[key]

    def repository(self, registry: str | None, name: RepositoryName) -> Repository:
        if registry is not None and registry not in self._registries:
            raise NameUnknown("not one of ours", registry=registry)
        shelf = self.shelf(name, registry)
        pushes = shelf if self.name == "origin" else None
        return Repository(shelf.registry, shelf.name, shelf, shelf, shelf, shelf, pushes)

    async def repositories(
        self, registry: RegistryName | None, last: str = ""
    ) -> AsyncIterator[RepositoryName]:
        for (of, name), shelf in sorted(self.shelves.items()):
            if name > last and of == (registry or self._registries[0]) and (shelf.held or shelf.links):
                yield RepositoryName(name)


def descriptor(data: bytes, media_type: str, algorithm: str = "sha256") -> Descriptor:
    return Descriptor(media_type, Digest.of(data, algorithm), len(data))
