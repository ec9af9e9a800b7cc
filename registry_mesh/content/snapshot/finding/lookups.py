"""What is asked of one source while graphs are found: manifests, sizes of blobs, referrers.

Manifests are fetched once, checked, and kept in the blob store at once, where nobody serves them until their
repository lists them; the next look finds them there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from registry_mesh.content.snapshot.finding.asking import Asking
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.reading import read_manifest
from registry_mesh.oci.reference import RegistryName
from registry_mesh.oci.refusals import BlobUnknown, Refusal
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobStore
from registry_mesh.ports.failures import Failure, SourceLied, SpanUnsatisfiable
from registry_mesh.ports.pieces import put, whole
from registry_mesh.ports.repositories import Repository

MAX_MANIFEST: Final = 64 << 20
BESIDE_TRIES: Final = 3
"""How often referrers are asked for; once, where a registry did not answer that before."""


@dataclass(frozen=True, slots=True)
class Lead:
    """A manifest to look at. `size` and `media_type` as they were told; `subject` where it was listed as a referrer."""

    digest: Digest
    media_type: str = ""
    size: int | None = None
    subject: Digest | None = None
    is_root: bool = False
    """Whether a tag led to it, and no digest that somebody vouches for."""


class Lookups:
    """Asks a source only for manifests that the store lacks. One for all graphs of a run."""

    def __init__(self, store: BlobStore, asking: Asking) -> None:
        self._store = store
        self._asking = asking
        self._unanswered: set[RegistryName] = set()

    async def referrers(self, source: Repository, subject: Digest, tagged: bool) -> tuple[Descriptor, ...]:
        """What refers to `subject`. A registry that has failed once is tried once only from then on. `Failure`,
        `Refusal`."""
        tries = 1 if source.registry in self._unanswered else BESIDE_TRIES
        try:
            found = await self._asking.ask(
                source.registry, lambda: source.referrers.referrers(subject, tagged), tries
            )
        except (Failure, Refusal):
            self._unanswered.add(source.registry)
            raise
        return found.descriptors

    async def size(self, source: Repository, digest: Digest) -> int:
        """Of a blob that nobody tells the size of, in bytes: as its first byte is opened, for HEAD is a hint."""

        async def opened() -> int:
            try:
                async with source.blobs.open(digest, Span(0, 1)) as reading:
                    return reading.info.size
            except SpanUnsatisfiable as empty:
                return empty.size

        return await self._asking.ask(source.registry, opened)

    async def manifest(self, source: Repository, lead: Lead) -> Manifest:
        """Fetched, or as the store has it."""
        data = await held_data(self._store, lead.digest)
        media_type = lead.media_type
        if data is None or not media_type:
            fetched = await self._asking.ask(source.registry, lambda: source.manifests.manifest(lead.digest))
            media_type = media_type or fetched.manifest.media_type
            if data is None:
                data = fetched.manifest.data
                _check(data, lead, source)
                await put(self._store, lead.digest, data)
        return read_manifest(data, media_type, lead.digest)


async def held_data(store: BlobStore, digest: Digest) -> bytes | None:
    """A manifest's bytes, where the store has them and they are still what they were."""
    try:
        async with store.open(digest) as reading:
            data = await whole(reading, MAX_MANIFEST)
    except BlobUnknown:
        return None
    if Digest.of(data, digest.algorithm) == digest:
        return data
    await store.delete(digest)
    return None


def _check(data: bytes, lead: Lead, source: Repository) -> None:
    """A source's word is not enough, whatever it checked itself."""
    if Digest.of(data, lead.digest.algorithm) != lead.digest:
        raise SourceLied(f"other bytes than those of {lead.digest}", source=str(source.registry))
