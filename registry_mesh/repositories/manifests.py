"""The manifests of one repository: their documents, their bytes, who refers to whom.

A manifest's document says what it names, so that a collection reads no manifest's bytes:
{mediaType, size, subject?, artifactType?, annotations?, blobs, manifests, mentions?, leftOut?, names, at, by}.
`blobs` and `manifests` (what cannot be told from a manifest among them) must be here; `mentions` are kept where they
are: layers that need not be held, and hints (`oci.mentions`). `leftOut` of them all a replica's rules do not want.
`names` is the reading that told them apart; documents of older versions have none, and are read anew where their type
is not known.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, Final

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.media_types import INDEXES, MANIFESTS
from registry_mesh.oci.mentions import Kind, Mentions, mentions
from registry_mesh.oci.reading import read_manifest
from registry_mesh.oci.refusals import BlobUnknown, DigestInvalid, ManifestUnknown
from registry_mesh.ports.blobs import BlobSource
from registry_mesh.ports.documents import Document, decode, encode
from registry_mesh.ports.failures import SourceLied, StoreBroken
from registry_mesh.ports.pieces import in_memory
from registry_mesh.ports.pushes import Pusher
from registry_mesh.ports.records import Records
from registry_mesh.ports.repositories import FetchedManifest
from registry_mesh.repositories.keys import RepositoryKeys, digest_of
from registry_mesh.tasks.together import ask_each

_READING: Final = 2


@dataclass(frozen=True, slots=True)
class ShelvedManifest:
    """A manifest's document: what collections and referrers need to know of it."""

    descriptor: Descriptor
    subject: Digest | None
    blobs: tuple[Digest, ...]
    manifests: tuple[Digest, ...]
    at: float  # seconds since the epoch
    mentions: tuple[Digest, ...] = ()
    left_out: frozenset[Digest] = frozenset()
    is_current: bool = True
    """Whether this version wrote it; an older one saw less of what a manifest names, and noted nothing left out."""

    @property
    def digest(self) -> Digest:
        """The manifest's digest."""
        return self.descriptor.digest

    @classmethod
    def parse(cls, data: bytes, key: str) -> ShelvedManifest:
        """The document stored under `key`; `StoreBroken` where the bytes are none."""
        document = decode(data, key)
        digest = digest_of(key)
        try:
            if digest is None:
                raise ValueError
            descriptor = _descriptor(document, digest)
            subject = Digest.parse(document["subject"]) if "subject" in document else None
            blobs = tuple(Digest.parse(each) for each in document["blobs"])
            manifests = tuple(Digest.parse(each) for each in document["manifests"])
            hints = tuple(Digest.parse(each) for each in document.get("mentions") or ())
            is_current = document.get("names") == _READING
            left = frozenset(Digest.parse(each) for each in document.get("leftOut") or ())
            return cls(descriptor, subject, blobs, manifests, float(document["at"]), hints, left, is_current)
        except (KeyError, ValueError, TypeError, AttributeError, DigestInvalid):
            raise StoreBroken(f"{key} is no manifest's document") from None


class ManifestShelf:
    """ManifestSource of one repository, and the write side of its documents."""

    def __init__(self, records: Records, blobs: BlobSource, keys: RepositoryKeys) -> None:
        self._records = records
        self._blobs = blobs
        self._keys = keys

    async def find(self, digest: Digest) -> ShelvedManifest | None:
        """The document, or None where the repository has no such manifest."""
        key = self._keys.manifest(digest)
        data = await self._records.get(key)
        return None if data is None else ShelvedManifest.parse(data, key)

    async def manifest(self, digest: Digest) -> FetchedManifest:
        """The manifest's bytes, checked against `digest`. `ManifestUnknown`; `SourceLied` where they rotted."""
        shelved = await self.find(digest)
        if shelved is None:
            raise ManifestUnknown(digest=str(digest))
        try:
            async with self._blobs.open(digest) as reading:
                data = b"".join([piece async for piece in in_memory(reading)])
        except BlobUnknown:
            raise StoreBroken(f"the bytes of manifest {digest} are gone") from None
        if Digest.of(data, digest.algorithm) != digest:
            raise SourceLied(f"the stored manifest {digest} has other bytes")
        manifest = read_manifest(data, shelved.descriptor.media_type, digest)
        return FetchedManifest(manifest, left_out=shelved.left_out)

    async def names(self, shelved: ShelvedManifest) -> ShelvedManifest:
        """The document with all that its manifest names, where an older version wrote it and saw less."""
        media_type = shelved.descriptor.media_type
        if shelved.is_current or media_type in MANIFESTS or media_type in INDEXES:
            return shelved
        try:
            async with self._blobs.open(shelved.digest) as reading:
                data = b"".join([piece async for piece in in_memory(reading)])
        except BlobUnknown:
            return shelved  # nothing can be read of it, or pulled
        blobs, manifests, mentioned = _named(mentions(data, media_type))
        return replace(shelved, blobs=blobs, manifests=manifests, mentions=mentioned)

    async def shelve(
        self, manifest: Manifest, at: float, who: Pusher, left_out: frozenset[Digest] = frozenset()
    ) -> None:
        """The repository has it from now on; its bytes and all it names are there already.

        Its referrer document is written first: until the manifest's own is there, nobody shows it.
        """
        await self._records.put(self._keys.linked(manifest.digest), b"")
        subject = manifest.subject.digest if manifest.subject else None
        if subject is not None:
            await self._records.put(
                self._keys.referrer(subject, manifest.digest), encode(manifest.descriptor.document())
            )
        document = _document(manifest, at, who.subject) | _left_out(left_out)
        await self._records.put(self._keys.manifest(manifest.digest), encode(document))

    async def leave_out(self, digest: Digest, left_out: frozenset[Digest]) -> None:
        """Of what this manifest names, `left_out` and no more need not be here."""
        key = self._keys.manifest(digest)
        document = decode(await self._records.get(key) or b"{}", key)
        document.pop("leftOut", None)
        await self._records.put(key, encode(document | _left_out(left_out) | {"names": _READING}))

    async def unshelve(self, shelved: ShelvedManifest, at: float, who: Pusher) -> None:
        """Take it out, remembering its document until its grace is over."""
        key = self._keys.manifest(shelved.digest)
        data = await self._records.get(key)
        if data is None:
            raise ManifestUnknown(digest=str(shelved.digest))
        document = decode(data, key) | {"at": at, "by": who.subject}
        await self._records.put(self._keys.deleted_manifest(shelved.digest), encode(document))
        await self._records.delete([key])
        if shelved.subject is not None:
            await self._records.delete([self._keys.referrer(shelved.subject, shelved.digest)])

    async def restore(self, digest: Digest, at: float) -> bool:
        """Put back one that was taken out; False where it is not remembered."""
        key = self._keys.deleted_manifest(digest)
        data = await self._records.get(key)
        if data is None:
            return False
        shelved = ShelvedManifest.parse(data, key)
        if shelved.subject is not None:
            await self._records.put(
                self._keys.referrer(shelved.subject, digest), encode(shelved.descriptor.document())
            )
        await self._records.put(self._keys.manifest(digest), encode(decode(data, key) | {"at": at}))
        return True

    async def referrers_of(self, subject: Digest) -> list[Descriptor]:
        """By the documents that were written when they were pushed, sorted by digest."""
        prefix = self._keys.referrers_of(subject)
        digests = [digest_of(prefix + name) for name in await self._records.children(prefix)]
        found = await ask_each(self.find, [digest for digest in digests if digest is not None])
        return [each.descriptor for each in found if each is not None and each.subject == subject]

    async def all(self, prefix: str | None = None) -> AsyncIterator[ShelvedManifest]:
        """Every manifest of the repository (or below another prefix of such documents)."""
        async for key in self._records.walk(prefix or self._keys.manifests):
            data = await self._records.get(key)
            if data is not None:
                yield ShelvedManifest.parse(data, key)


def _document(manifest: Manifest, at: float, by: str) -> Document:
    descriptor: dict[str, Any] = manifest.descriptor.document()  # Any: as a descriptor is spelled
    del descriptor["digest"]
    subject = {"subject": str(manifest.subject.digest)} if manifest.subject else {}
    blobs, manifests, mentioned = _named(mentions(manifest.data, manifest.media_type))
    hints = {"mentions": list(map(str, mentioned))} if mentioned else {}
    return (
        descriptor
        | subject
        | hints
        | {
            "blobs": list(map(str, blobs)),
            "manifests": list(map(str, manifests)),
            "names": _READING,
            "at": at,
            "by": by,
        }
    )


def _left_out(digests: frozenset[Digest]) -> Document:
    return {"leftOut": sorted(map(str, digests))} if digests else {}


def _named(found: Mentions) -> tuple[tuple[Digest, ...], tuple[Digest, ...], tuple[Digest, ...]]:
    """The blobs that must be there, what else must be there, and hints; each once, in order."""
    blobs = {each.digest for each in found.named if each.needed and each.kind is Kind.BLOB}
    others = {each.digest for each in found.named if each.needed and each.kind is not Kind.BLOB}
    hints = {each.digest for each in found.named} - blobs - others
    return tuple(sorted(blobs)), tuple(sorted(others)), tuple(sorted(hints))


def _descriptor(document: Document, digest: Digest) -> Descriptor:
    artifact_type = document.get("artifactType")
    return Descriptor(
        str(document["mediaType"]),
        digest,
        int(document["size"]),
        str(artifact_type) if artifact_type is not None else None,
        dict(document.get("annotations") or {}),
    )
