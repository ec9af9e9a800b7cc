"""Tags and referrers that a repository of a parent lists (distribution-spec, "Listing Tags", "Listing Referrers")."""

from __future__ import annotations

from typing import Any

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.endpoints import Endpoint
from registry_mesh.oci.reference import Tag, is_tag
from registry_mesh.ports.failures import SourceLied
from registry_mesh.ports.repositories import Referrers, Resolved, TagPage
from registry_mesh.upstream.manifests import ParentManifests
from registry_mesh.upstream.pages import page
from registry_mesh.upstream.referrers import ParentReferrers
from registry_mesh.upstream.repository import ParentRepository


class ParentLists:
    """Implements `ports.repositories.TagSource` and `ReferrerSource`."""

    def __init__(self, parent: ParentRepository, manifests: ParentManifests) -> None:
        self._parent = parent
        self._source = parent.source
        self._manifests = manifests

    async def resolve(self, tag: Tag, known: Descriptor | None = None) -> Resolved:
        """See `ParentManifests.resolve`."""
        return await self._manifests.resolve(tag, known)

    async def tags(self, limit: int, last: str = "") -> TagPage:
        path = f"{Endpoint.TAGS.path(self._parent.name)}?n={limit}" + (f"&last={last}" if last else "")
        document, following = await self._page(path, "list of tags")
        tags = document.get("tags") or []
        if not isinstance(tags, list):
            raise SourceLied("sent tags that are no list", source=self._source)
        good = sorted(Tag(t) for t in tags if isinstance(t, str) and is_tag(t))
        return TagPage(tuple(good), following is not None, self._parent.here)

    async def _page(self, path: str, what: str) -> tuple[dict[str, Any], str | None]:  # Any: JSON
        return await page(self._parent.session, path, self._parent.scope, what, self._parent.query)

    async def referrers(self, subject: Digest, tagged: bool = True) -> Referrers:
        asked = ParentReferrers(
            self._parent.name,
            self._source,
            lambda path: self._page(path, "list of referrers"),
            self._manifests.by_tag,
            self._manifests.manifest,
        )
        return Referrers(await asked.of(subject, tagged), self._parent.here)
