"""Tags and referrers that a repository of a parent lists (distribution-spec, "Listing Tags", "Listing Referrers")."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from itertools import pairwise
from typing import Any, Final
from urllib.parse import quote

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.endpoints import Endpoint
from registry_mesh.oci.reference import Tag, is_tag
from registry_mesh.ports.failures import SourceUnavailable
from registry_mesh.ports.repositories import EVERY, Referrers, Resolved, TagPage
from registry_mesh.upstream.documents.manifests import ParentManifests
from registry_mesh.upstream.documents.pages import page
from registry_mesh.upstream.documents.referrers import ParentReferrers
from registry_mesh.upstream.documents.walk import PAGE, Walk
from registry_mesh.upstream.repository import ParentRepository

LONG: Final = 900.0
"""Seconds for which a list is walked."""


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
        """As many pages as that takes: a few where the parent keeps the order, else the whole list."""
        try:
            async with asyncio.timeout(LONG):
                found = await self._in_order(limit, last) if limit < EVERY else None
                return found or await self._sorted(limit, last)
        except TimeoutError:
            raise SourceUnavailable(
                f"has not come to the end of a list of tags in {LONG:.0f} s", source=self._source
            ) from None

    async def _in_order(self, limit: int, last: str) -> TagPage | None:
        """The first pages after `last`; None where they do not come in ASCII order, or with what was before it."""
        walk = self._walk(last)
        found: list[Tag] = []
        async with aclosing(walk.pages()) as pages:
            async for names in pages:
                tags = [Tag(name) for name in names if is_tag(name)]
                if not _ascends([found[-1] if found else last, *tags]):
                    return None
                found += tags
                if len(found) > limit or (len(found) == limit and not walk.ended):
                    break
        return self._page(found, limit, walk)

    async def _sorted(self, limit: int, last: str) -> TagPage:
        """The same from the whole list."""
        walk = self._walk()
        found = {Tag(name) async for names in walk.pages() for name in names if is_tag(name) and name > last}
        return self._page(sorted(found), limit, walk)

    def _page(self, found: list[Tag], limit: int, walk: Walk) -> TagPage:
        more = len(found) > limit or not walk.ended
        return TagPage(tuple(found[:limit]), more, self._parent.here, walk.note)

    def _walk(self, last: str = "") -> Walk:
        size = 10 * PAGE if self._parent.session.mesh else PAGE
        path = f"{Endpoint.TAGS.path(self._parent.name)}?n={size}"
        return Walk(self._ask, path + (f"&last={quote(last, safe='')}" if last else ""), "tags", self._source)

    async def _ask(self, path: str) -> tuple[dict[str, Any], str | None]:  # Any: JSON
        return await page(self._parent.session, path, self._parent.scope, "list of tags", self._parent.query)

    async def referrers(self, subject: Digest, tagged: bool = True) -> Referrers:
        """What the parent says refers to `subject`, by its API and by the tag schema."""
        asked = ParentReferrers(
            self._parent.name,
            self._source,
            lambda path: page(
                self._parent.session, path, self._parent.scope, "list of referrers", self._parent.query
            ),
            self._manifests.by_tag,
            self._manifests.manifest,
            self._is_mesh,
        )
        found = await asked.of(subject, tagged)
        return Referrers(found, self._parent.here, checked=self._is_mesh())

    def _is_mesh(self) -> bool:
        return self._parent.session.mesh is True


def _ascends(names: list[str]) -> bool:
    return all(one < other for one, other in pairwise(names))
