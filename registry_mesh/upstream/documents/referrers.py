"""Who refers to a digest at a parent, by the API and by the tag schema (distribution-spec, "Listing Referrers").

What hangs beside an image is no reason to fail it. A parent without the API says so in many ways: 404, 405, 401 of the
proxy before it, a page of HTML; then there is the tag. One that refuses the tag has none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.endpoints import Endpoint
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.media_types import INDEXES
from registry_mesh.oci.reference import RepositoryName, Tag, referrers_tag
from registry_mesh.oci.refusals import DigestInvalid, ManifestInvalid, ManifestUnknown, NameUnknown
from registry_mesh.ports.failures import (
    Failure,
    SourceDenied,
    SourceErred,
    SourceLied,
    SourceRefused,
    SourceUnreadable,
)
from registry_mesh.ports.repositories import FetchedManifest

PAGES: Final = 100
UNREADABLE: Final = 50
"""Entries without a size or a media type that are looked up, of one list."""

Page = Callable[[str], Awaitable[tuple[dict[str, Any], str | None]]]  # Any: JSON
"""One page of a list, and the path of the next."""


@dataclass(frozen=True, slots=True)
class ParentReferrers:
    """Asks one parent about one repository. `by_tag` gives the manifest that a tag stands for; `is_mesh`, once it has
    answered, whether it is of our own kind, whose list is by the manifests and needs no tag."""

    name: RepositoryName
    parent: str
    page: Page
    by_tag: Callable[[Tag], Awaitable[Manifest]]
    manifest: Callable[[Digest], Awaitable[FetchedManifest]]
    is_mesh: Callable[[], bool]

    async def of(self, subject: Digest, tagged: bool = True) -> tuple[Descriptor, ...]:
        """All of them, each once; `tagged` False where it is known that there is no referrers tag.

        `SourceDenied` where neither may be asked for: then nothing is known of either. Failures of a parent that may be
        over soon (429, 5xx, no answer) are raised.
        """
        denied: SourceDenied | None = None
        listed: list[Descriptor] | None = None
        try:
            listed = await self._listed(subject)
        except SourceDenied as refused:
            denied = refused
        if listed is not None and self.is_mesh():
            tagged = False
        found = await self._tagged(subject, denied, offered=listed is not None) if tagged else []
        return tuple({each.digest: each for each in (*found, *(listed or ()))}.values())

    async def _listed(self, subject: Digest) -> list[Descriptor] | None:
        """By the API; None where the parent does not offer it."""
        try:
            document, path = await self.page(Endpoint.REFERRERS.path(self.name, str(subject)))
        except (NameUnknown, SourceRefused, SourceLied):  # a page that is no JSON is no API either
            return None
        found = await self._entries(document)
        for _ in range(PAGES):
            if path is None:
                return found
            document, path = await self.page(path)
            found += await self._entries(document)
        raise SourceUnreadable("an endless list of referrers", source=self.parent)

    async def _entries(self, document: dict[str, Any]) -> list[Descriptor]:
        """Those that can be read. One that says too little is looked up; one that names nothing is passed over."""
        listed = document.get("manifests")
        found: list[Descriptor] = []
        left = UNREADABLE
        for each in listed if isinstance(listed, list) else ():
            try:
                found.append(Descriptor.parse(each, "manifests"))
            except ManifestInvalid:
                left -= 1
                found += await self._looked_up(each) if left >= 0 else []
        return found

    async def _looked_up(self, entry: object) -> list[Descriptor]:
        try:
            digest = Digest.parse(entry["digest"]) if isinstance(entry, dict) else None
            return [(await self.manifest(digest)).manifest.descriptor] if digest else []
        except (DigestInvalid, KeyError, AttributeError, ManifestUnknown, NameUnknown, Failure):
            return []

    async def _tagged(
        self, subject: Digest, denied: SourceDenied | None, *, offered: bool
    ) -> Iterable[Descriptor]:
        """By the tag schema. What a parent that has the API says of the tag decides nothing."""
        try:
            index = await self.by_tag(referrers_tag(subject))
        except (ManifestUnknown, NameUnknown, SourceRefused, SourceLied, SourceErred):
            return ()
        except SourceDenied:
            if denied is not None:
                raise denied from None
            return ()
        except Failure:
            if offered:
                return ()
            raise
        children = {each.digest for each in index.manifests}
        if index.media_type not in INDEXES or subject in children or index.digest == subject:
            return ()  # a tag that happens to have this name
        return index.manifests
