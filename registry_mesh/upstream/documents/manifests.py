"""Manifests and tags of a repository of a parent (distribution-spec, "Pulling manifests")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.endpoints import Endpoint
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.media_types import ACCEPT, KNOWN, is_vendors_json
from registry_mesh.oci.reading import is_manifest, looks_like_one, read_manifest
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import DigestInvalid, ManifestUnknown
from registry_mesh.ports.blobs import Provenance
from registry_mesh.ports.failures import Failure, SourceLied, SourceUnreadable
from registry_mesh.ports.repositories import FetchedManifest, Resolved
from registry_mesh.tasks.threads import in_thread
from registry_mesh.upstream.answer import Answer
from registry_mesh.upstream.codings import decoded
from registry_mesh.upstream.documents.whole import whole
from registry_mesh.upstream.heads import Asked
from registry_mesh.upstream.repository import ParentRepository

MANIFEST_LIMIT: Final = 64 << 20
_BIG: Final = 64 << 10
"""A manifest beyond it is read in a thread."""

_ACCEPT: Final = {"Accept": ", ".join((*ACCEPT, "*/*"))}


class ParentManifests:
    """Implements `ports.repositories.ManifestSource`, and `resolve` of `TagSource`."""

    def __init__(self, parent: ParentRepository) -> None:
        self._parent = parent
        self._source = parent.source
        self._heads = parent.session.heads

    async def manifest(self, digest: Digest) -> FetchedManifest:
        """Whatever has the digest. A proxy may have compressed it on its way, though it was asked not to.

        `SourceLied` where a manifest comes that has another, or anything that is said to have it; `SourceUnreadable`
        where it is no manifest and is not said to be one.
        """
        return await whole(lambda: self._manifest(digest))

    async def _manifest(self, digest: Digest) -> FetchedManifest:
        async with self._parent.request("GET", Endpoint.MANIFEST, str(digest), _ACCEPT) as answer:
            if answer.status == 404:
                self._heads.missing(digest)
            self._parent.expect(answer, 200, ManifestUnknown)
            data = await answer.body(MANIFEST_LIMIT)
            coding, media_type = answer.field("Content-Encoding"), answer.media_type
            stated = answer.field("Docker-Content-Digest").strip()
        for form in _forms(data, coding):
            if Digest.of(form, digest.algorithm) == digest:
                return FetchedManifest(await _read(form, media_type, digest), self._parent.here)
        forms = _forms(data, coding)
        if stated != str(digest) and not any(
            [is_manifest(await _read(each, media_type, None)) for each in forms]
        ):
            raise SourceUnreadable("sent something for a digest that is no manifest", source=self._source)
        raise SourceLied("sent a manifest that does not have its digest", source=self._source)

    async def resolve(self, tag: Tag, known: Descriptor | None = None) -> Resolved:
        """One HEAD; on the condition that it is no longer `known`, by the entity tag that registries make of a digest.
        Those that make it of something else, or read no conditions, answer in full. One GET, where HEAD is of no use;
        its answer has the manifest with it.
        """
        condition = {"If-None-Match": f'"{known.digest}"'} if known is not None else {}
        if not self._heads.worth(Asked.MANIFESTS):
            return await self._got(tag, known, condition)
        told, fault = None, None
        try:
            told = await self._told(tag, known, condition)
        except Failure as failed:
            if not self._parent.leaves_to_get(failed):
                raise
            fault = failed
        if told is None:
            told = await self._got(tag, known, {}, self._parent.beyond(fault))
            self._heads.useless(Asked.MANIFESTS, fault)
        elif told.manifest is None and told.descriptor.media_type not in KNOWN:
            return await self._got(tag, known, condition)
        return told

    async def _told(
        self, tag: Tag, known: Descriptor | None, condition: Mapping[str, str]
    ) -> Resolved | None:
        """What HEAD says; None where that is nothing, or cannot be what it says it is.

        `ManifestUnknown` of a parent of our own kind alone: others say 404 to HEAD and 200 to GET.
        """
        async with self._parent.request("HEAD", Endpoint.MANIFEST, tag, {**_ACCEPT, **condition}) as answer:
            if answer.status == 304 and known is not None:
                self._confirmed(answer, known.digest)
                return Resolved(known, self._provenance(answer))
            if answer.status == 404 and self._parent.session.mesh:
                raise ManifestUnknown(f"{self._source} does not have it")
            if answer.status != 200 or not answer.length:
                return None
            media_type = answer.media_type.lower()
            if media_type not in KNOWN and not is_vendors_json(media_type):
                return None
            try:
                digest = Digest.parse(answer.field("Docker-Content-Digest").strip())
            except DigestInvalid:
                return None
            self._heads.told(digest)
            return Resolved(Descriptor(media_type, digest, answer.length), self._provenance(answer))

    def _provenance(self, answer: Answer) -> Provenance:
        """Where it is from; of a node of this mesh also that nobody has confirmed it, and since when."""
        here = self._parent.here
        if not self._parent.session.mesh or not answer.field("Warning").startswith(("110", "299")):
            return here
        age = answer.field("Age")
        return replace(here, stale=True, age=float(age) if age.isascii() and age.isdigit() else 0.0)

    def _confirmed(self, answer: Answer, known: Digest) -> None:
        """Whether a 304 is about what was asked. It need not say more (distribution's says nothing); what it says must
        fit. The entity tag may have been weakened on its way, by a proxy that compresses: the digest in it is the same.
        """
        stated = answer.field("Docker-Content-Digest", str(known)).strip()
        tag = answer.field("ETag", f'"{known}"').strip()
        if stated != str(known) or tag.removeprefix("W/") != f'"{known}"':
            raise SourceLied("confirmed what was not asked", source=self._source)

    async def by_tag(self, tag: Tag) -> Manifest:
        """What a tag points at, taken whole."""
        manifest = (await self._got(tag, None, {})).manifest
        assert manifest is not None, "only what is known already comes without"
        return manifest

    async def _got(
        self, tag: Tag, known: Descriptor | None, condition: Mapping[str, str], beyond: float = 0.0
    ) -> Resolved:
        """By GET. `SourceLied` where what comes has another digest than the answer says, `SourceUnreadable` where it is
        no manifest."""
        return await whole(lambda: self._got_now(tag, known, condition, beyond))

    async def _got_now(
        self, tag: Tag, known: Descriptor | None, condition: Mapping[str, str], beyond: float
    ) -> Resolved:
        fields = {**_ACCEPT, **condition}
        async with self._parent.request("GET", Endpoint.MANIFEST, tag, fields, beyond=beyond) as answer:
            if answer.status == 304 and known is not None:
                self._confirmed(answer, known.digest)
                return Resolved(known, self._provenance(answer))
            self._parent.expect(answer, 200, ManifestUnknown)
            data = await answer.body(MANIFEST_LIMIT)
            stated, media_type = answer.field("Docker-Content-Digest").strip(), answer.media_type
            coding = answer.field("Content-Encoding")
            provenance = self._provenance(answer)
        manifest = await self._fitting(_forms(data, coding), stated, media_type)
        return Resolved(manifest.descriptor, provenance, manifest)

    async def _fitting(self, forms: list[bytes], stated: str, media_type: str) -> Manifest:
        """The form of a body that has the digest stated and is a manifest."""
        try:
            digest = Digest.parse(stated)
        except DigestInvalid:
            digest = None  # not told, or told by an algorithm that nobody here can check
        if digest is not None:
            forms = [form for form in forms if Digest.of(form, digest.algorithm) == digest]
            if not forms:
                raise SourceLied(
                    "sent another manifest than its Docker-Content-Digest says", source=self._source
                )
        for form in forms:
            manifest = await _read(form, media_type, digest)
            if looks_like_one(manifest) or (digest is not None and await self._vouched(manifest)):
                return manifest
        raise SourceUnreadable("sent something for a tag that is no manifest", source=self._source)

    async def _vouched(self, manifest: Manifest) -> bool:
        """Whether a document of a kind that nobody here knows is there by its digest as well, and is not what the
        parent says to everything. A note that something is amiss is not the first, or is the second."""
        if not is_manifest(manifest):
            return False
        try:
            await self.manifest(manifest.digest)
        except (ManifestUnknown, Failure):
            return False
        try:
            await self.manifest(Digest.of(b"not " + manifest.data))
        except SourceLied:
            return False
        except (ManifestUnknown, Failure):
            pass
        return True


def _forms(data: bytes, coding: str) -> list[bytes]:
    """A body as it came, and, where it is labelled as compressed, what it is made of."""
    try:
        plain = decoded(data, coding, MANIFEST_LIMIT)
    except ValueError:
        return [data]
    return [data] if plain is data else [data, plain]


async def _read(data: bytes, media_type: str, digest: Digest | None) -> Manifest:
    if len(data) > _BIG:
        return await in_thread(read_manifest, data, media_type, digest)
    return read_manifest(data, media_type, digest)
