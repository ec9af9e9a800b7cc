"""A registry to copy from: images made on the spot, every question counted, faults on demand."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.media_types import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from registry_mesh.oci.reading import read_manifest
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.oci.refusals import BlobUnknown, ManifestUnknown, NameUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobInfo, Provenance, Reading, Streamed
from registry_mesh.ports.failures import SourceUnavailable
from registry_mesh.ports.repositories import FetchedManifest, Referrers, Repository, Resolved, TagPage

HOST = RegistryName("registry.example")
LAYER = "application/vnd.oci.image.layer.v1.tar"

Fault = Callable[[int, bytes], bytes]
"""Given (how often the blob was opened before, the rest of its bytes): what to send. A short answer is a stream
that breaks off there; an exception is raised before any byte."""


def random_bytes(seed: str, size: int) -> bytes:
    return hashlib.shake_128(seed.encode()).digest(size)


def descriptor(media_type: str, data: bytes, **more: object) -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(Digest.of(data)), "size": len(data), **more}


@dataclass(slots=True)
class Content:
    """What one repository has."""

    tags: dict[Tag, Digest] = field(default_factory=dict)
    manifests: dict[Digest, Manifest] = field(default_factory=dict)
    blobs: dict[Digest, bytes] = field(default_factory=dict)
    unlisted: set[Tag] = field(default_factory=set)
    """Tags that are there, and in no list."""

    def blob(self, data: bytes) -> bytes:
        self.blobs[Digest.of(data)] = data
        return data

    def put(self, document: dict[str, object], *tags: str) -> Manifest:
        manifest = Manifest.parse(json.dumps(document).encode(), str(document["mediaType"]))
        self.manifests[manifest.digest] = manifest
        self.tags.update({Tag(tag): manifest.digest for tag in tags})
        return manifest

    def put_bytes(self, data: bytes, media_type: str, *tags: str) -> Manifest:
        """What a push would refuse."""
        manifest = read_manifest(data, media_type)
        self.manifests[manifest.digest] = manifest
        self.tags.update({Tag(tag): manifest.digest for tag in tags})
        return manifest

    def image(
        self,
        seed: str,
        *tags: str,
        layers: Sequence[bytes] = (),
        subject: Manifest | None = None,
        labels: dict[str, str] | None = None,
    ) -> Manifest:
        """An image with two small layers of its own besides `layers`."""
        config = {"seed": seed} | ({"config": {"Labels": labels}} if labels is not None else {})
        parts = [*layers, random_bytes(seed + "/a", 3_000), random_bytes(seed + "/b", 1_000)]
        document: dict[str, object] = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor(OCI_CONFIG, self.blob(json.dumps(config).encode())),
            "layers": [descriptor(LAYER, self.blob(part)) for part in parts],
        }
        if subject is not None:
            document |= {
                "subject": subject.descriptor.document(),
                "artifactType": "application/vnd.example.sig",
            }
        return self.put(document, *tags)

    def index(self, platforms: dict[str, Manifest], *tags: str) -> Manifest:
        children = []
        for name, child in platforms.items():
            os, _, architecture = name.partition("/")
            platform = {"platform": {"os": os, "architecture": architecture}} if architecture else {}
            children.append(child.descriptor.document() | platform)
        return self.put({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children}, *tags)


class SourceRegistry:
    """Implements `ports.repositories.RegistrySource`."""

    def __init__(self, name: RegistryName = HOST) -> None:
        self.name = name
        self.content: dict[RepositoryName, Content] = {}
        self.asked: Counter[str] = Counter()
        self.sent = 0
        self.faults: dict[Digest, Fault] = {}
        self.lies: dict[Digest, Manifest] = {}
        """Manifests that are answered for another digest."""
        self.injected: dict[Digest, list[Descriptor]] = {}
        """Added to the referrers of a digest."""
        self.odd = ""
        """How its lists of tags end, where they do not end well."""
        self.tagged: list[bool] = []
        """Of every question for referrers, whether it was about their tag too."""
        self.down = False
        self.raises: dict[str, list[Exception]] = {}
        """By kind of question: what the next ones raise."""
        self.always: dict[str, Exception] = {}
        """By kind of question: what each raises."""

    def __getitem__(self, name: str) -> Content:
        return self.content.setdefault(RepositoryName(name), Content())

    def repository(self, name: RepositoryName) -> Repository:
        place = _Place(self, name)
        return Repository(self.name, name, place, place, place, place)

    async def repositories(self) -> AsyncIterator[RepositoryName]:
        self.ask("catalog")
        for name in sorted(self.content):
            yield name

    def ask(self, kind: str) -> None:
        self.asked[kind] += 1
        if self.down:
            raise SourceUnavailable("connection refused", source=self.name)
        if self.raises.get(kind):
            raise self.raises[kind].pop(0)
        if kind in self.always:
            raise self.always[kind]


@dataclass(frozen=True, slots=True)
class _Place:
    """Implements the sources of one repository."""

    registry: SourceRegistry
    name: RepositoryName

    def content(self, kind: str) -> Content:
        self.registry.ask(kind)
        if self.name not in self.registry.content:
            raise NameUnknown(name=self.name)
        return self.registry.content[self.name]

    async def stat(self, digest: Digest) -> BlobInfo:
        blobs = self.content("stat").blobs
        if digest not in blobs:
            raise BlobUnknown(digest=str(digest))
        return BlobInfo(digest, len(blobs[digest]))

    @asynccontextmanager
    async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[Reading]:
        before = self.registry.asked[f"blob {digest}"]
        self.registry.asked[f"blob {digest}"] += 1
        blobs = self.content("blob").blobs
        if digest not in blobs:
            raise BlobUnknown(digest=str(digest))
        whole = blobs[digest]
        span = (span or Span(0, len(whole))).clip(Span(0, len(whole)))
        data = whole[span.start : span.stop]
        if digest in self.registry.faults:
            data = self.registry.faults[digest](before, data)
        yield _Reading(self.registry, BlobInfo(digest, len(whole)), span, data)

    async def chunk_map(self, digest: Digest, span: Span | None = None) -> ChunkMap | None:
        return None

    async def manifest(self, digest: Digest) -> FetchedManifest:
        self.registry.asked[f"manifest {digest}"] += 1
        manifests = self.content("manifest").manifests
        if digest in self.registry.lies:
            return FetchedManifest(self.registry.lies[digest])
        if digest not in manifests:
            raise ManifestUnknown(digest=str(digest))
        return FetchedManifest(manifests[digest])

    async def resolve(self, tag: Tag, known: Descriptor | None = None) -> Resolved:
        content = self.content("resolve")
        if tag not in content.tags:
            raise ManifestUnknown(tag=tag)
        digest = content.tags[tag]
        manifest = content.manifests.get(digest)
        return Resolved(manifest.descriptor if manifest else Descriptor(OCI_MANIFEST, digest, 1))

    async def tags(self, limit: int, last: str = "") -> TagPage:
        content = self.content("tags")
        after = sorted(tag for tag in content.tags.keys() - content.unlisted if tag > last)
        return TagPage(tuple(after[:limit]), len(after) > limit, note=self.registry.odd)

    async def referrers(self, subject: Digest, tagged: bool = True) -> Referrers:
        self.registry.tagged.append(tagged)
        content = self.content("referrers")
        found = [
            each.descriptor
            for each in content.manifests.values()
            if each.subject is not None and each.subject.digest == subject
        ]
        return Referrers((*found, *self.registry.injected.get(subject, ())))


@dataclass(slots=True)
class _Reading(Streamed):
    """Implements `ports.blobs.Reading`."""

    registry: SourceRegistry
    info: BlobInfo
    span: Span
    data: bytes
    address: str | None = None

    @property
    def provenance(self) -> Provenance:
        return Provenance(hit=False, source=self.registry.name)

    async def pieces(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.data), 1_000):
            piece = self.data[start : start + 1_000]
            self.registry.sent += len(piece)
            yield piece
        if len(self.data) < len(self.span):
            raise SourceUnavailable("the connection broke", source=self.registry.name)
