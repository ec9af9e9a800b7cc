"""Manifests and tags of a repository of a parent (distribution-spec, "Pulling manifests")."""

from __future__ import annotations

from typing import Final

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.endpoints import Endpoint
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.media_types import ACCEPT
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import DigestInvalid, ManifestInvalid, ManifestUnknown
from registry_mesh.ports.failures import SourceLied
from registry_mesh.ports.repositories import FetchedManifest, Resolved
from registry_mesh.upstream.answer import Answer
from registry_mesh.upstream.repository import ParentRepository

MANIFEST_LIMIT: Final = 64 << 20

_ACCEPT: Final = {"Accept": ", ".join((*ACCEPT, "*/*"))}


class ParentManifests:
    """Implements `ports.repositories.ManifestSource`, and `resolve` of `TagSource`."""

    def __init__(self, parent: ParentRepository) -> None:
        self._parent = parent
        self._source = parent.source

    async def manifest(self, digest: Digest) -> FetchedManifest:
        async with self._parent.request("GET", Endpoint.MANIFEST, str(digest), _ACCEPT) as answer:
            self._parent.expect(answer, 200, ManifestUnknown)
            data = await answer.body(MANIFEST_LIMIT)
            media_type = answer.field("Content-Type")
        if Digest.of(data, digest.algorithm) != digest:
            raise SourceLied("sent a manifest that does not have its digest", source=self._source)
        try:
            return FetchedManifest(Manifest.parse(data, media_type, digest), self._parent.here)
        except ManifestInvalid as refusal:
            raise SourceLied(f"sent a manifest that is none: {refusal.reason}", source=self._source) from None

    async def resolve(self, tag: Tag, known: Descriptor | None = None) -> Resolved:
        """One HEAD; on the condition that it is no longer `known`, by the entity tag that registries make of a digest.
        Those that make it of something else, or read no conditions, answer in full."""
        condition = {"If-None-Match": f'"{known.digest}"'} if known is not None else {}
        async with self._parent.request("HEAD", Endpoint.MANIFEST, tag, _ACCEPT | condition) as answer:
            if answer.status == 304 and known is not None:
                self._confirmed(answer, known.digest)
                return Resolved(known, self._parent.here)
            self._parent.expect(answer, 200, ManifestUnknown)
            stated, length = answer.field("Docker-Content-Digest"), answer.length
            media_type = answer.media_type
        if not stated or length is None or not media_type:
            return Resolved((await self.by_tag(tag)).descriptor, self._parent.here)
        try:
            digest = Digest.parse(stated)
        except DigestInvalid as refusal:
            raise SourceLied(f"named a tag's digest badly: {refusal.reason}", source=self._source) from None
        return Resolved(Descriptor(media_type, digest, length), self._parent.here)

    def _confirmed(self, answer: Answer, known: Digest) -> None:
        """Whether a 304 is about what was asked. It need not say more (distribution's says nothing); what it says must
        fit. The entity tag may have been weakened on its way, by a proxy that compresses: the digest in it is the same.
        """
        stated = answer.field("Docker-Content-Digest", str(known)).strip()
        tag = answer.field("ETag", f'"{known}"').strip()
        if stated != str(known) or tag.removeprefix("W/") != f'"{known}"':
            raise SourceLied("confirmed what was not asked", source=self._source)

    async def by_tag(self, tag: Tag) -> Manifest:
        """What a tag points at, taken whole; its digest is computed."""
        async with self._parent.request("GET", Endpoint.MANIFEST, tag, _ACCEPT) as answer:
            self._parent.expect(answer, 200, ManifestUnknown)
            data = await answer.body(MANIFEST_LIMIT)
            media_type = answer.field("Content-Type")
        try:
            return Manifest.parse(data, media_type)
        except ManifestInvalid as refusal:
            raise SourceLied(f"sent a manifest that is none: {refusal.reason}", source=self._source) from None
